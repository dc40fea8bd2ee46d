/* standard_input.c - finds command lines that read standard input more than once: the second reader would find nothing there. */
#include <string.h>
#include <sys/stat.h>

#include "failure.h"
#include "options.h"

/* "-", or a path such as /dev/stdin to the pipe that standard input is. A regular file is read from its beginning again by such a path. */
static bool is_standard_input(const char *path)
{
    struct stat found, in;
    if (strcmp(path, "-") == 0)
        return true;
    return stat(path, &found) == 0 && fstat(0, &in) == 0 && (S_ISFIFO(in.st_mode) || S_ISSOCK(in.st_mode)) && found.st_dev == in.st_dev &&
           found.st_ino == in.st_ino;
}

static bool reads_it(const struct option_spec *spec, const char *text)
{
    if (spec->flags & OPTION_AT)
        return text[0] == '@' && is_standard_input(text + 1);
    if (spec->flags & OPTION_PAIR) {
        const char *equals = strchr(text, '=');
        return equals && is_standard_input(equals + 1);
    }
    return spec->kind == OPTION_FILE && !(spec->flags & OPTION_WRITTEN) && is_standard_input(text);
}

int standard_input_check(const struct arguments *args)
{
    const char *dashes = "", *first = NULL;
    for (size_t i = 0; i < args->value_count; i++) {
        const struct option_spec *spec = args->values[i].spec;
        if (!reads_it(spec, args->values[i].text))
            continue;
        if (first)
            return fail(CODE_CALL, "standard input can be read only once, and both %s%s and --%s would read it", dashes, first, spec->name);
        dashes = "--";
        first = spec->name;
    }
    for (size_t i = 0; args->command->files && i < args->operand_count; i++) {
        const char *operand = args->operands[i];
        if (!is_standard_input(operand))
            continue;
        if (first)
            return fail(CODE_CALL, "standard input can be read only once, and both %s%s and '%s' would read it", dashes, first, operand);
        first = operand;
    }
    return 0;
}
