/* files.c - reading files with limits, and writing files that appear whole or not at all. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failure.h"
#include "output.h"

static int too_long(const char *name, size_t limit)
{
    static const char *const units[] = {"bytes", "KiB", "MiB"};
    size_t unit = 0;
    for (; unit < 2 && limit % 1024 == 0; unit++)
        limit /= 1024;
    return fail(CODE_SYSTEM, "%s: longer than %zu %s", name, limit, units[unit]);
}

static int read_all(int fd, const char *name, size_t limit, struct file *file)
{
    size_t room = 0;
    for (;;) {
        if (room - file->len < 2) {
            room = room ? room * 2 : 65536;
            unsigned char *larger = realloc(file->data, room);
            if (!larger)
                return fail(CODE_SYSTEM, "%s: out of memory", name);
            file->data = larger;
        }
        ssize_t got = read(fd, file->data + file->len, room - file->len - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(name);
        file->len += (size_t)got;
        file->data[file->len] = '\0';
        if (file->len > limit)
            return too_long(name, limit);
        if (got == 0)
            return 0;
    }
}

int file_read(const char *path, size_t limit, struct file *file)
{
    bool is_stdin = strcmp(path, "-") == 0;
    const char *name = is_stdin ? "standard input" : path;
    *file = (struct file){NULL, 0};
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return fail_errno(name);
    int code = read_all(fd, name, limit, file);
    if (!is_stdin)
        close(fd);
    if (code != 0)
        file_free(file);
    return code;
}

void file_free(struct file *file)
{
    free(file->data);
    *file = (struct file){NULL, 0};
}

/* Beside the file, so that it can be renamed. The mode is that of the file that it replaces, or what a new file gets. */
static int create_beside(struct output *output, mode_t mode)
{
    const char *target = output->target ? output->target : output->path;
    size_t room = strlen(target) + 16;
    output->partial = malloc(room);
    if (!output->partial)
        return fail(CODE_SYSTEM, "%s: out of memory", output->path);
    snprintf(output->partial, room, "%s.part-XXXXXX", target);
    signals_hold(true); /* no signal between making it and naming it */
    output->fd = mkstemp(output->partial);
    bool named = output->fd >= 0 && signals_add_partial(output->partial);
    int reason = errno;
    signals_hold(false);
    if (output->fd < 0) {
        free(output->partial);
        output->partial = NULL;
        errno = reason;
        return fail_errno(output->path);
    }
    fcntl(output->fd, F_SETFD, FD_CLOEXEC);
    if (!named || fchmod(output->fd, mode) != 0) {
        int code = fail(CODE_SYSTEM, "%s: cannot be written", output->path);
        file_close(output, false);
        return code;
    }
    return 0;
}

int file_create(const char *path, struct output *output)
{
    struct stat found;
    *output = (struct output){.path = path, .fd = -1};
    if (!path || strcmp(path, "-") == 0) {
        output->path = "standard output";
        output->fd = STDOUT_FILENO;
        output->is_stdout = true;
        return 0;
    }
    if (*path && stat(path, &found) == 0) {
        if (S_ISDIR(found.st_mode)) {
            errno = EISDIR;
            return fail_errno(path);
        }
        if (access(path, W_OK) != 0)
            return fail_errno(path);
        if (S_ISREG(found.st_mode)) {
            output->target = realpath(path, NULL);
            return create_beside(output, found.st_mode & 0777);
        }
        output->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return output->fd < 0 ? fail_errno(path) : 0;
    }
    mode_t mask = umask(0);
    umask(mask);
    return create_beside(output, 0666 & ~mask);
}

int file_write(struct output *output, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t sent = write(output->fd, at, len);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return output->is_stdout ? output_failed() : fail_errno(output->path);
        at += sent;
        len -= (size_t)sent;
    }
    return 0;
}

int file_close(struct output *output, bool complete)
{
    int code = 0;
    if (output->fd >= 0 && !output->is_stdout && close(output->fd) != 0 && complete)
        code = fail_errno(output->path);
    if (output->partial) {
        if (complete && code == 0 && rename(output->partial, output->target ? output->target : output->path) != 0)
            code = fail_errno(output->path);
        if (!complete || code != 0)
            unlink(output->partial);
        signals_drop_partial(output->partial);
        free(output->partial);
    }
    free(output->target);
    output->fd = -1;
    output->partial = output->target = NULL;
    return code;
}

int file_save(const char *path, const void *data, size_t len)
{
    struct output output;
    int code = file_create(path, &output);
    if (code != 0)
        return code;
    code = file_write(&output, data, len);
    int closing = file_close(&output, code == 0);
    return code ? code : closing;
}
