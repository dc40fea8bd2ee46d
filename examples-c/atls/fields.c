/* fields.c - the header fields of a request: lines of the command line and of files. Their values may be secrets, so no message has one. */
#include "fields.h"

#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "secrets.h"

#define FIELDS_LIMIT (1u << 20) /* of a file */

static int add(struct fields *fields, const char *line, const char *file, size_t number)
{
    if (fields->count % 64 == 0) {
        struct field *more = realloc(fields->list, (fields->count + 64) * sizeof *more);
        if (!more)
            return fail(CODE_SYSTEM, "out of memory");
        fields->list = more;
    }
    fields->list[fields->count++] = (struct field){line, file, number};
    return 0;
}

/* One field in each line, which may end with CR; empty lines are skipped. */
static int add_file(struct fields *fields, const char *path)
{
    struct file *file = &fields->files[fields->file_count];
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    int code = file_read(path, FIELDS_LIMIT, file);
    if (code != 0)
        return code;
    fields->file_count++;
    if (memchr(file->data, '\0', file->len))
        return fail(CODE_CALL, "--header: %s: not text", name);
    char *line = (char *)file->data;
    for (size_t number = 1; code == 0 && line; number++) {
        char *end = strchr(line, '\n');
        if (end)
            *end = '\0';
        size_t len = strlen(line);
        if (len > 0 && line[len - 1] == '\r')
            line[--len] = '\0';
        if (len > 0)
            code = add(fields, line, name, number);
        line = end ? end + 1 : NULL;
    }
    return code;
}

int fields_load(const struct arguments *args, struct fields *fields)
{
    const char *text;
    int code = 0;
    *fields = (struct fields){NULL, 0, NULL, 0};
    fields->files = calloc(option_count(args, "header") + 1, sizeof *fields->files);
    if (!fields->files)
        return fail(CODE_SYSTEM, "out of memory");
    for (size_t i = 0; code == 0 && (text = option_at(args, "header", i)); i++)
        code = text[0] == '@' ? add_file(fields, text + 1) : add(fields, text, NULL, i + 1);
    return code;
}

void fields_free(struct fields *fields)
{
    for (size_t i = 0; i < fields->file_count; i++) {
        secret_erase(fields->files[i].data, fields->files[i].len);
        file_free(&fields->files[i]);
    }
    free(fields->files);
    free(fields->list);
    *fields = (struct fields){NULL, 0, NULL, 0};
}

int field_fail(const struct field *field, int code, const char *what)
{
    if (field->file)
        return fail(code, "--header: %s, line %zu: %s", field->file, field->number, what);
    return fail(code, "--header, number %zu: %s", field->number, what);
}
