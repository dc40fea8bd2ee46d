/* forward_answer.h - what a client is told in place of the target's response, and what the log says of a request. */
#ifndef ATLS_TOOL_FORWARD_ANSWER_H
#define ATLS_TOOL_FORWARD_ANSWER_H

#include <stdint.h>
#include <time.h>

#include <atls.h>

/* Texts are borrowed. */
struct answer {
    unsigned status;
    const char *code;    /* for programs: the name of an ATLS status, or one of this program's own */
    const char *message;
    const char *phase;   /* where it failed; may be NULL or "" */
    const char *check, *expected, *actual; /* the check that failed; NULL if none was reached */
};

/* Of the failure of an exchange. As long as the error. */
void answer_of_error(struct answer *answer, const atls_error *error);

/* Responds with it as JSON, and returns how many bytes the body has. */
uint64_t answer_send(const atls_server_request *request, const struct answer *answer);

/* What the log says of an error: its message without what it quotes, except names, since that may be a secret. */
void log_reason(const atls_error *error, char *reason, size_t size);

/* One line: time, method, path without its query and without a host, status, bytes of the body, milliseconds; and what went wrong, if it did. `status` 0 is
 * for no response. */
void log_request(const atls_server_request *request, unsigned status, uint64_t bytes, const struct timespec *begun, const char *reason);

#endif
