/* watch.h - waits for the response's head while the body is still being sent. A server may answer before it has it all. */
#ifndef ATLS_TOOL_WATCH_H
#define ATLS_TOOL_WATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <atls.h>

struct watch {
    atls_exchange *exchange;
    uint32_t limit_ms;
    int came[2]; /* a pipe: readable once the wait is over */
    pthread_t thread;
    /* What it came to; the thread's until the pipe is readable. */
    atls_status status;
    atls_head *head;
    atls_error *error;
};

/* Begins to wait, on a thread of its own. Returns 0 or an exit code after a message. */
int watch_begin(struct watch *watch, atls_exchange *exchange, uint32_t limit_ms);
/* To poll for POLLIN. */
int watch_fd(const struct watch *watch);
/* Whether the server wants no more of the body: it has answered with 300 or more, or the exchange has failed. */
bool watch_stops(const struct watch *watch);
/* Waits for the head, as atls_exchange_head(), whose status and error it returns. */
atls_status watch_end(struct watch *watch, atls_head **head, atls_error **error);
/* Cancels the exchange, and ends. */
void watch_cancel(struct watch *watch);

#endif
