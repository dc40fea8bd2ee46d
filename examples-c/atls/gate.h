/* gate.h - who may use a local proxy: not pages of other sites in the user's browser, and with a token only who knows it. */
#ifndef ATLS_TOOL_GATE_H
#define ATLS_TOOL_GATE_H

#include <stdbool.h>
#include <stddef.h>

#include <atls.h>

/* Not changed while it is in use. */
struct gate {
    const char *listen_host; /* as given; "" for all addresses */
    const char *const *hosts; /* further names of the proxy, with or without a port; NULL at the end */
    const char *const *origins; /* of pages that may use it; NULL at the end */
    const char *token; /* NULL for none */
};

struct refusal {
    unsigned status;    /* of the answer; 0 for none: the request may pass */
    const char *code;   /* for programs */
    char message[400];  /* shows what is refused */
    const char *reason; /* does not, for the log */
    const char *drop; /* if it may pass: the field that has the token, which is for this program alone; NULL for none */
};

/* Whether an address or name, without brackets, is this machine's own. */
bool is_loopback(const char *host);

/* Looks at a request. */
struct refusal gate_check(const struct gate *gate, const atls_server_request *request);

#endif
