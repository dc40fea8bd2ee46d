/* forward_head.h - heads of messages on their way through: what concerns one connection only is removed (RFC 9110 section 7.6.1). */
#ifndef ATLS_TOOL_FORWARD_HEAD_H
#define ATLS_TOOL_FORWARD_HEAD_H

#include "forward.h"

/* The body that a request announces: 0, its length, or ATLS_LENGTH_UNKNOWN. */
uint64_t forward_body_length(const atls_head *head);

/* Whether the client asks for an upgrade to this protocol. */
bool forward_asks_upgrade(const atls_head *head, const char *protocol);

/* Adds the client's fields to the request for the target. `drop` is one more name to leave out; may be NULL. */
atls_status forward_request_fields(const struct forward *forward, const atls_server_request *from, const char *drop, atls_request *to,
                                   atls_error **error);

/* The target's fields for the client. */
atls_status forward_response_fields(const struct forward *forward, const atls_head *from, atls_headers *to, atls_error **error);

/* Its trailers. */
atls_status forward_trailers(const atls_head *from, atls_headers *to, atls_error **error);

/* Whether a response would lead the client to another origin than the target's, which is not attested by this program. */
bool forward_leads_away(const struct forward *forward, const atls_head *head);

#endif
