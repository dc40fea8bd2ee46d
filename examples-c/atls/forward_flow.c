/* forward_flow.c - one direction of a body. */
#include "forward_flow.h"

#include <stdlib.h>
#include <string.h>

/* Held bytes are written in pieces of this size, so that a reader which has room for some gets them. */
#define PIECE ((size_t)16 << 10)

/* Whether the writer has taken the bytes, or will never take any. */
static bool give(struct flow *flow, const unsigned char *data, size_t len)
{
    atls_status status = flow->discards ? ATLS_OK : flow->write(flow->owner, atls_bytes_of(data, len));
    if (status == ATLS_AGAIN)
        return false;
    if (status != ATLS_OK)
        flow->discards = true;
    else if (!flow->discards)
        flow->bytes += len;
    flow->grant(flow->owner, len);
    return true;
}

static void hold(struct flow *flow, const unsigned char *data, size_t len)
{
    if (flow->begin > 0 && flow->end + len > flow->room) {
        memmove(flow->held, flow->held + flow->begin, flow->end - flow->begin);
        flow->end -= flow->begin;
        flow->begin = 0;
    }
    if (flow->end + len > flow->room) {
        size_t room = 2 * (flow->end + len);
        unsigned char *held = realloc(flow->held, room);
        if (!held) {
            flow->lost = true;
            return;
        }
        flow->held = held;
        flow->room = room;
    }
    memcpy(flow->held + flow->end, data, len);
    flow->end += len;
}

void flow_take(struct flow *flow, const atls_buf *buf)
{
    const unsigned char *data = atls_buf_data(buf);
    size_t len = atls_buf_len(buf);
    if (flow->begin < flow->end || !give(flow, data, len))
        hold(flow, data, len);
}

void flow_continue(struct flow *flow)
{
    while (flow->begin < flow->end) {
        size_t len = flow->end - flow->begin;
        if (!give(flow, flow->held + flow->begin, len < PIECE ? len : PIECE))
            return;
        flow->begin += len < PIECE ? len : PIECE;
    }
    /* The memory stays for what waits next: the system takes long to find new pages. */
    flow->begin = flow->end = 0;
}

bool flow_may_finish(struct flow *flow)
{
    bool may = flow->ended && flow->begin == flow->end && !flow->finished && !flow->lost;
    flow->finished |= may;
    return may;
}

void flow_clear(struct flow *flow)
{
    free(flow->held);
    flow->held = NULL;
    flow->begin = flow->end = flow->room = 0;
}
