/* watch.c - a thread that waits for the response's head, and a pipe that says that it is there. */
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "failure.h"

static void *wait_for_head(void *data)
{
    struct watch *watch = data;
    watch->status = atls_exchange_head(watch->exchange, watch->limit_ms, &watch->head, &watch->error);
    while (write(watch->came[1], "", 1) < 0 && errno == EINTR)
        ;
    return NULL;
}

int watch_begin(struct watch *watch, atls_exchange *exchange, uint32_t limit_ms)
{
    *watch = (struct watch){.exchange = exchange, .limit_ms = limit_ms};
    if (pipe2(watch->came, O_CLOEXEC) != 0)
        return fail_errno("a pipe");
    errno = pthread_create(&watch->thread, NULL, wait_for_head, watch);
    if (errno == 0)
        return 0;
    int code = fail_errno("a thread");
    close(watch->came[0]);
    close(watch->came[1]);
    return code;
}

int watch_fd(const struct watch *watch)
{
    return watch->came[0];
}

bool watch_stops(const struct watch *watch)
{
    struct pollfd waiting = {watch->came[0], POLLIN, 0};
    if (poll(&waiting, 1, 0) != 1)
        return false;
    return watch->status != ATLS_OK || atls_head_status(watch->head) >= 300;
}

atls_status watch_end(struct watch *watch, atls_head **head, atls_error **error)
{
    pthread_join(watch->thread, NULL);
    close(watch->came[0]);
    close(watch->came[1]);
    *head = watch->head;
    *error = watch->error;
    return watch->status;
}

void watch_cancel(struct watch *watch)
{
    atls_head *head;
    atls_error *error;
    atls_exchange_cancel(watch->exchange, NULL);
    watch_end(watch, &head, &error);
    atls_head_free(head);
    atls_error_free(error);
}
