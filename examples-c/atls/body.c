/* body.c - the body of a request: text of the command line, a file or standard input. Files are streamed, never held. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failure.h"
#include "job.h"
#include "output.h"

/* How long a piece may wait for room before it is looked whether the server has answered. */
#define LOOK_MS 500

/* Files that the system makes up as they are read, such as those of /proc, have a size of 0 and are not empty. */
static uint64_t length_of(int fd, off_t size)
{
    char one;
    return size > 0 || pread(fd, &one, 1, 0) == 0 ? (uint64_t)size : ATLS_LENGTH_UNKNOWN;
}

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
    body->length = at == 0 ? length_of(body->fd, found.st_size) : ATLS_LENGTH_UNKNOWN;
    return 0;
}

void body_close(struct body *body)
{
    if (body->fd > STDIN_FILENO)
        close(body->fd);
    body->fd = -1;
}

/* Waits for bytes of a pipe or a terminal no longer than there is time, nor than the server wants them; *got is -1 if it does not. */
static int read_piece(struct job *job, struct watch *watch, unsigned char *piece, size_t size, ssize_t *got)
{
    struct pollfd waiting[2] = {{job->body.fd, POLLIN, 0}, {watch_fd(watch), POLLIN, 0}};
    for (;;) {
        uint32_t left = job_left(job);
        int ready = job->body.seekable ? 1 : poll(waiting, waiting[1].fd < 0 ? 1 : 2, left > INT32_MAX ? -1 : (int)left);
        if (ready == 0)
            return job_timed_out(job);
        if (ready < 0 && errno == EINTR)
            continue;
        *got = -1;
        if (watch_stops(watch))
            return job_left(job) <= 1 ? job_timed_out(job) : 0;
        if (!job->body.seekable && waiting[1].revents)
            waiting[1].fd = -1; /* the server has begun to answer and reads on: look no more */
        if (!job->body.seekable && ready > 0 && !waiting[0].revents)
            continue;
        *got = ready < 0 ? -1 : read(job->body.fd, piece, size);
        if (*got >= 0 || errno != EINTR)
            return *got < 0 ? fail_errno(job->body.name) : 0;
    }
}

/* Writes all of it, or less if the server wants no more. */
static atls_status write_piece(struct job *job, const struct watch *watch, const unsigned char *piece, size_t len, atls_error **error)
{
    for (;;) {
        uint32_t left = job_left(job), limit = left < LOOK_MS ? left : LOOK_MS;
        atls_status status = atls_exchange_write_all(job->exchange, atls_bytes_of(piece, len), limit, error);
        if (status != ATLS_TIMED_OUT || limit < LOOK_MS || atls_error_detail(*error) != ATLS_DETAIL_CALL_TIMEOUT)
            return status;
        atls_error_free(*error); /* nothing was taken */
        *error = NULL;
        if (watch_stops(watch))
            return ATLS_CLOSED;
    }
}

void body_say_cut(const struct job *job)
{
    if (!job->cut)
        return;
    if (job->body.length != ATLS_LENGTH_UNKNOWN && job->sent >= job->body.length)
        warn("%s has become longer: only the first %" PRIu64 " bytes were sent", job->body.name, job->body.length);
    else
        warn("%s answered before it had the whole body: %" PRIu64 " bytes of it were sent", job->url.host, job->sent);
}

/* Sends until there is no more, the server wants no more, or it is to be sent again, which the head says. */
static int send_all(struct job *job, struct watch *watch)
{
    static unsigned char piece[65536];
    for (;;) {
        ssize_t got = 0;
        atls_error *error = NULL;
        int code = read_piece(job, watch, piece, sizeof piece, &got);
        if (code != 0)
            return code;
        atls_status status = got < 0   ? ATLS_CLOSED
                             : got > 0 ? write_piece(job, watch, piece, (size_t)got, &error)
                                       : atls_exchange_finish(job->exchange, &error);
        job->cut = status == ATLS_CLOSED;
        bool again = status == ATLS_AGAIN && atls_error_detail(error) == ATLS_DETAIL_REWIND;
        if (status != ATLS_OK && status != ATLS_CLOSED && !again)
            return job_failed(job, status, error);
        atls_error_free(error);
        if (got <= 0 || status != ATLS_OK)
            return 0;
        job->sent += (uint64_t)got;
        progress_add((uint64_t)got);
    }
}

int body_send(struct job *job, struct watch *watch)
{
    if (!option_given(job->args, "silent"))
        progress_begin("sent", job->body.length == ATLS_LENGTH_UNKNOWN ? 0 : job->body.length);
    int code = send_all(job, watch);
    progress_end();
    return code;
}
