/* fields.h - the header fields of a request, as -H gives them. */
#ifndef ATLS_TOOL_FIELDS_H
#define ATLS_TOOL_FIELDS_H

#include <stddef.h>

#include "files.h"
#include "options.h"

struct field {
    const char *line; /* "NAME: VALUE", without its end */
    const char *file; /* NULL for the command line */
    size_t number;    /* of the line in its file, or of the option; from 1 */
};

struct fields {
    struct field *list;
    size_t count;
    struct file *files; /* have the text of the lines */
    size_t file_count;
};

/* From -H LINE, and -H @FILE with a field in each line. Returns 0, or an exit code after a message; free it in both cases. */
int fields_load(const struct arguments *args, struct fields *fields);
/* Erases the files' text: it may be secret. */
void fields_free(struct fields *fields);
/* fail() about a field, which is named by where it stands, never by what it says. */
int field_fail(const struct field *field, int code, const char *what);

#endif
