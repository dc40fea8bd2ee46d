/* forward_flow.h - one direction of a body: bytes go from an event to a write, and wait here only while the writer says AGAIN. At most a window
 * of them: the source is granted no more before they are gone. */
#ifndef ATLS_TOOL_FORWARD_FLOW_H
#define ATLS_TOOL_FORWARD_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <atls.h>

struct flow {
    void *owner;
    atls_status (*write)(void *owner, atls_bytes data);
    void (*grant)(void *owner, size_t bytes); /* the source may send so many more */
    unsigned char *held; /* from `begin` to `end`; NULL if nothing waits */
    size_t begin, end, room;
    uint64_t bytes;  /* that were written */
    bool ended;      /* by the source; set by the caller */
    bool finished;   /* flow_may_finish() has said so */
    bool discards;   /* the writer takes no more; what comes is counted as written, so that the source comes to its end */
    bool lost;       /* there was no memory: it must not come to its end */
};

/* Writes the bytes, or keeps them. */
void flow_take(struct flow *flow, const atls_buf *buf);
/* The writer has room again. */
void flow_continue(struct flow *flow);
/* True once, when the source has ended and everything was written. */
bool flow_may_finish(struct flow *flow);
void flow_clear(struct flow *flow);

#endif
