/* forward.h - what `atls proxy` and `atls serve` share: each request of a server is sent to one target, and the response goes back. Both
 * bodies stream; what one side does not take, the other is not asked for. */
#ifndef ATLS_TOOL_FORWARD_H
#define ATLS_TOOL_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include <atls.h>

#include "gate.h"

/* What becomes of Forwarded, X-Forwarded-* and X-Real-IP. */
enum forwarded {
    FORWARDED_KEEP,   /* as the client sent them */
    FORWARDED_REMOVE, /* the target learns nothing of clients, and clients cannot pretend */
    FORWARDED_SET,    /* removed, and set to what is known of the client */
};

/* Set before the first request, and not changed while there are any. */
struct forward {
    atls_runtime *runtime;
    atls_queue *queue;   /* inline */
    atls_client *client; /* event-driven; its policy decides who gets a request */
    const char *origin;  /* of the target: scheme, host, and the port unless it is the default; no path */
    const struct gate *gate; /* who may come in; NULL for everybody */
    const char *authorization; /* for the target, in place of the client's; NULL leaves it alone */
    enum forwarded forwarded;
    bool redirects_may_leave; /* to other origins, which the client then asks itself; Refresh too */
    bool logs;                /* a line on stderr for each request */
    uint32_t head_ms;         /* how long the target may take to begin its response */
};

/* Receive window of either body, in bytes. */
#define FORWARD_WINDOW (256u << 10)

/* What clients and servers must be configured with: windows that only forwarding moves. */
atls_status forward_configure(atls_config *config, atls_server_config *server, atls_error **error);

/* Takes a request that a server has reported, and sees it through. Runs in the callback of the server's sink. */
void forward_request(const struct forward *forward, atls_server_request *request);

/* The server has refused a request itself: logs it. */
void forward_refused(const struct forward *forward, const atls_error *error);

#endif
