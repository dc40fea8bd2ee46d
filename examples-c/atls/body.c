/* body.c - the body of a request: text of the command line, a file or standard input. Files are streamed, never held. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failure.h"
#include "job.h"
#include "output.h"

int body_open(const char *data, struct body *body)
{
    struct stat found;
    *body = (struct body){.text = data, .fd = -1, .name = "", .length = 0};
    if (!data || data[0] != '@')
        return 0;
    bool is_stdin = strcmp(data, "@-") == 0;
    body->text = NULL;
    body->name = is_stdin ? "standard input" : data + 1;
    body->fd = is_stdin ? STDIN_FILENO : open(data + 1, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (body->fd < 0 || fstat(body->fd, &found) != 0)
        return fail_errno(body->name);
    if (S_ISDIR(found.st_mode)) {
        errno = EISDIR;
        return fail_errno(body->name);
    }
    off_t at = S_ISREG(found.st_mode) ? lseek(body->fd, 0, SEEK_CUR) : -1;
    body->seekable = at == 0;
    body->length = at == 0 ? (uint64_t)found.st_size : ATLS_LENGTH_UNKNOWN;
    return 0;
}

void body_close(struct body *body)
{
    if (body->fd > STDIN_FILENO)
        close(body->fd);
    body->fd = -1;
}

/* Waits for bytes of a pipe or a terminal no longer than there is time. */
static int read_piece(struct job *job, unsigned char *piece, size_t size, ssize_t *got)
{
    struct pollfd waiting = {job->body.fd, POLLIN, 0};
    do {
        uint32_t left = job_left(job);
        int ready = job->body.seekable ? 1 : poll(&waiting, 1, left > INT32_MAX ? -1 : (int)left);
        if (ready == 0)
            return job_timed_out(job);
        *got = ready < 0 ? -1 : read(job->body.fd, piece, size);
    } while (*got < 0 && errno == EINTR);
    return *got < 0 ? fail_errno(job->body.name) : 0;
}

/* From the beginning again, for a redirect. */
static int rewind_body(struct job *job, atls_error *error)
{
    if (atls_error_detail(error) != ATLS_DETAIL_REWIND || lseek(job->body.fd, 0, SEEK_SET) != 0)
        return job_failed(job, ATLS_AGAIN, error);
    atls_error_free(error);
    error = NULL;
    job->sent = 0;
    atls_status status = atls_exchange_rewind(job->exchange, &error);
    return status == ATLS_OK ? 0 : job_failed(job, status, error);
}

/* Sends what is there; *over says that the server wants no more, or has it all. */
static int send_once(struct job *job, bool *over)
{
    static unsigned char piece[65536];
    for (;;) {
        ssize_t got = 0;
        atls_error *error = NULL;
        int code = read_piece(job, piece, sizeof piece, &got);
        if (code != 0)
            return code;
        atls_status status = got > 0 ? atls_exchange_write_all(job->exchange, atls_bytes_of(piece, (size_t)got), job_left(job), &error)
                                     : atls_exchange_finish(job->exchange, &error);
        if (status == ATLS_AGAIN)
            return rewind_body(job, error);
        *over = status == ATLS_CLOSED || (status == ATLS_OK && got == 0);
        if (status != ATLS_OK && status != ATLS_CLOSED)
            return job_failed(job, status, error);
        atls_error_free(error);
        if (*over)
            return 0;
        job->sent += (uint64_t)got;
        progress_add((uint64_t)got);
    }
}

int body_send(struct job *job)
{
    bool over = false;
    int code = 0;
    if (!option_given(job->args, "silent"))
        progress_begin("sent", job->body.length == ATLS_LENGTH_UNKNOWN ? 0 : job->body.length);
    while (code == 0 && !over)
        code = send_once(job, &over);
    progress_end();
    return code;
}
