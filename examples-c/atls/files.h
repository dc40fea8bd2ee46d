/* files.h - reading files with limits, and writing files that appear whole or not at all. */
#ifndef ATLS_TOOL_FILES_H
#define ATLS_TOOL_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include <atls.h>

#define FILE_LIMIT_DOCUMENT (16u << 20)   /* policies, evidence, certificates */
#define FILE_LIMIT_COLLATERAL (64u << 20) /* bundles of collateral */

struct file {
    unsigned char *data; /* followed by a NUL */
    size_t len;
};

/* Reads a file, or stdin for "-". Returns 0, or an exit code after saying what is wrong: unreadable, a folder, longer than `limit`. */
int file_read(const char *path, size_t limit, struct file *file);
void file_free(struct file *file);
static inline atls_bytes file_bytes(const struct file *file)
{
    return atls_bytes_of(file->data, file->len);
}

/* A file being written. A regular file appears under its name when it is complete, and until then has another name beside it, which a
 * signal removes. A device or a pipe is written as it is. */
struct output {
    const char *path;
    char *target;  /* the file itself, if `path` is a link to one; NULL if it is to be made */
    char *partial; /* NULL if written in place */
    int fd;        /* -1 if not open */
    bool is_stdout;
};

/* `path` NULL or "-" is stdout. Returns 0 or an exit code after a message; nothing has been changed then. */
int file_create(const char *path, struct output *output);
/* Returns 0, or an exit code, with a message except if nobody reads stdout. */
int file_write(struct output *output, const void *data, size_t len);
/* Ends it: complete, so that it gets its name, or not, so that it is removed. Returns 0 or an exit code after a message. */
int file_close(struct output *output, bool complete);
/* All of it at once. */
int file_save(const char *path, const void *data, size_t len);

#endif
