/* forward.c - one request on its way: between the server's request and the exchange with the target.
 *
 * Events of the two come on threads of the library (the queue is inline), those of one in order, those of both perhaps at the same time: the
 * lock of the passage makes them one after the other. No call that is made under it waits or calls back. */
#include "forward.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "forward_answer.h"
#include "forward_flow.h"
#include "forward_head.h"

struct passage {
    pthread_mutex_t lock;
    const struct forward *forward;
    atls_server_request *down; /* the client's side */
    atls_exchange *up;         /* the target's side; NULL if it was not asked */
    int sinks;                 /* that are not dropped yet */
    struct flow to_target, to_client;
    atls_headers *trailers;
    bool streams;   /* the request has a body */
    bool expects;   /* the client waits to be asked for it */
    bool answered;  /* a final head was sent to the client */
    bool up_over, down_over;
    struct timespec begun;
    unsigned status; /* of that head */
    char reason[300]; /* why it went wrong, for the log; "" if it did not */
};

atls_status forward_configure(atls_config *config, atls_server_config *server, atls_error **error)
{
    atls_status status = atls_config_set_credit(config, FORWARD_WINDOW, false, error);
    if (status == ATLS_OK)
        status = atls_server_config_set_credit(server, 0, false, error);
    if (status == ATLS_OK)
        status = atls_server_config_set_limit(server, ATLS_SERVER_LIMIT_BODY_BYTES, UINT64_MAX, error);
    /* A client that has left should not keep the target busy. */
    return status == ATLS_OK ? atls_server_config_set_half_close(server, false, error) : status;
}

static void set_reason(struct passage *passage, const char *what, const char *why)
{
    if (!*passage->reason)
        snprintf(passage->reason, sizeof passage->reason, "%.90s: %.200s", what, why);
}

/* Answers in place of the target. */
static void answer(struct passage *passage, const struct answer *text)
{
    if (passage->answered || passage->down_over)
        return;
    passage->answered = true;
    passage->status = text->status;
    passage->to_client.bytes = answer_send(passage->down, text);
}

static void answer_text(struct passage *passage, unsigned status, const char *code, const char *message)
{
    struct answer text = {.status = status, .code = code, .message = message};
    set_reason(passage, code, message);
    answer(passage, &text);
}

/* `status` 0 is for that of the error. */
static void answer_error(struct passage *passage, unsigned status, const atls_error *error)
{
    struct answer text;
    char reason[200];
    answer_of_error(&text, error);
    log_reason(error, reason, sizeof reason);
    set_reason(passage, text.code, reason);
    text.status = status ? status : text.status;
    answer(passage, &text);
}

/* Bytes that cannot be kept would be missing: both sides end, in the middle of what they send. */
static void take(struct passage *passage, struct flow *flow, const atls_buf *buf)
{
    flow_take(flow, buf);
    if (!flow->lost)
        return;
    set_reason(passage, "lost", "out of memory");
    atls_exchange_cancel(passage->up, NULL);
    atls_server_request_cancel(passage->down, NULL);
}

static void ask_for_body(struct passage *passage)
{
    if (passage->expects)
        atls_server_request_grant(passage->down, FORWARD_WINDOW, NULL);
    passage->expects = false;
}

/* The response is complete: ends it for the client, once all of it was taken. */
static void finish_response(struct passage *passage)
{
    if (flow_may_finish(&passage->to_client) && atls_server_request_finish(passage->down, passage->trailers, NULL) == ATLS_HTTP_HEADER_INVALID)
        atls_server_request_finish(passage->down, NULL, NULL); /* trailers that this client cannot have */
}

static void finish_request(struct passage *passage)
{
    if (passage->streams && passage->up && flow_may_finish(&passage->to_target))
        atls_exchange_finish(passage->up, NULL);
}

/* A reason phrase may be of bytes that cannot be said here; it means nothing, so that its absence does no harm (RFC 9112 section 4). */
static atls_status send_head(struct passage *passage, const atls_head *head, const atls_headers *fields, atls_error **error)
{
    const char *reason = atls_head_reason(head).ptr;
    unsigned code = atls_head_status(head);
    if (*reason && atls_server_request_send_head(passage->down, code, reason, fields, ATLS_LENGTH_UNKNOWN, NULL) == ATLS_OK)
        return ATLS_OK;
    return atls_server_request_send_head(passage->down, code, NULL, fields, ATLS_LENGTH_UNKNOWN, error);
}

static void pass_head(struct passage *passage, const atls_head *head, bool is_final)
{
    atls_error *error = NULL;
    atls_headers *fields = NULL;
    unsigned code = atls_head_status(head);
    if (is_final && forward_leads_away(passage->forward, head)) {
        answer_text(passage, 502, "REDIRECT_REFUSED", "the target redirects to another origin, which is not attested here");
        atls_exchange_cancel(passage->up, NULL);
        return;
    }
    atls_status status = atls_headers_new(true, &fields, &error);
    if (status == ATLS_OK)
        status = forward_response_fields(passage->forward, head, fields, &error);
    if (status == ATLS_OK)
        status = send_head(passage, head, fields, &error);
    atls_headers_free(fields);
    if (status == ATLS_OK && is_final) {
        passage->answered = true;
        passage->status = code;
    } else if (status != ATLS_OK && is_final) {
        answer_error(passage, 502, error);
        atls_exchange_cancel(passage->up, NULL);
    }
    atls_error_free(error);
}

static void on_target_closed(struct passage *passage, const atls_event *event)
{
    passage->up_over = true;
    if (event->status == ATLS_OK || passage->down_over)
        return;
    if (!passage->answered) {
        answer_error(passage, 0, event->error);
    } else if (!passage->to_client.ended) {
        /* Never the end of what is not complete: the client's connection breaks. */
        char reason[200];
        log_reason(event->error, reason, sizeof reason);
        set_reason(passage, atls_status_name(event->status).ptr, reason);
        atls_server_request_cancel(passage->down, NULL);
    }
}

/* Events of the exchange with the target. */
static void on_target(void *user_data, const atls_event *event)
{
    struct passage *passage = user_data;
    pthread_mutex_lock(&passage->lock);
    switch (event->kind) {
    case ATLS_EVENT_CONNECTED: /* attested */
        ask_for_body(passage);
        break;
    case ATLS_EVENT_INFORMATIONAL:
        if (atls_head_status(event->head) != 100) /* the server says that itself, when the body is asked for */
            pass_head(passage, event->head, false);
        break;
    case ATLS_EVENT_HEAD:
        pass_head(passage, event->head, true);
        break;
    case ATLS_EVENT_DATA:
        take(passage, &passage->to_client, event->buf);
        break;
    case ATLS_EVENT_TRAILERS:
        if (atls_headers_new(true, &passage->trailers, NULL) == ATLS_OK)
            forward_trailers(event->head, passage->trailers, NULL);
        break;
    case ATLS_EVENT_END:
        passage->to_client.ended = true;
        finish_response(passage);
        break;
    case ATLS_EVENT_WRITABLE:
        flow_continue(&passage->to_target);
        finish_request(passage);
        break;
    case ATLS_EVENT_CLOSED:
        on_target_closed(passage, event);
        break;
    default:
        break;
    }
    pthread_mutex_unlock(&passage->lock);
}

static void on_client_closed(struct passage *passage, const atls_event *event)
{
    passage->down_over = true;
    char reason[200];
    log_reason(event->error, reason, sizeof reason);
    if (event->status != ATLS_OK)
        set_reason(passage, "client", atls_error_detail(event->error) == ATLS_DETAIL_PEER_GONE ? "gone" : reason);
    if (passage->up && !passage->up_over)
        atls_exchange_cancel(passage->up, NULL);
    if (passage->forward->logs)
        log_request(passage->down, passage->status, passage->to_client.bytes, &passage->begun, passage->reason);
}

/* Events of the client's request. */
static void on_client(void *user_data, const atls_event *event)
{
    struct passage *passage = user_data;
    pthread_mutex_lock(&passage->lock);
    switch (event->kind) {
    case ATLS_EVENT_DATA:
        take(passage, &passage->to_target, event->buf);
        break;
    case ATLS_EVENT_END:
        passage->to_target.ended = true;
        finish_request(passage);
        break;
    case ATLS_EVENT_WRITABLE:
        flow_continue(&passage->to_client);
        finish_response(passage);
        break;
    case ATLS_EVENT_CLOSED:
        on_client_closed(passage, event);
        break;
    default:
        break;
    }
    pthread_mutex_unlock(&passage->lock);
}

/* Runs once for each side, after its CLOSED. */
static void on_drop(void *user_data)
{
    struct passage *passage = user_data;
    pthread_mutex_lock(&passage->lock);
    bool is_last = --passage->sinks == 0;
    pthread_mutex_unlock(&passage->lock);
    if (!is_last)
        return;
    atls_exchange_free(passage->up);
    atls_server_request_free(passage->down);
    atls_headers_free(passage->trailers);
    flow_clear(&passage->to_target);
    flow_clear(&passage->to_client);
    pthread_mutex_destroy(&passage->lock);
    free(passage);
}

static atls_status write_to_target(void *passage, atls_bytes data)
{
    return atls_exchange_write(((struct passage *)passage)->up, data, NULL);
}

static void grant_client(void *passage, size_t bytes)
{
    atls_server_request_grant(((struct passage *)passage)->down, bytes, NULL);
}

static atls_status write_to_client(void *passage, atls_bytes data)
{
    return atls_server_request_write(((struct passage *)passage)->down, data, NULL);
}

static void grant_target(void *passage, size_t bytes)
{
    atls_exchange_grant(((struct passage *)passage)->up, bytes, NULL);
}

/* The URL at the target for what the client has asked for; NULL if there is none. The caller's to free. */
static char *url_at_target(const struct passage *passage)
{
    atls_str target = atls_server_request_target(passage->down);
    const char *path = target.ptr;
    if (strncasecmp(path, "http://", 7) == 0 || strncasecmp(path, "https://", 8) == 0) {
        path = strstr(path, "://") + 3; /* the gate has looked at the authority */
        path += strcspn(path, "/?");
    }
    bool is_usable = strlen(target.ptr) == target.len && !strpbrk(path, "#\\") && (*path == '/' || *path == '?' || (!*path && path != target.ptr));
    char *url = is_usable ? malloc(strlen(passage->forward->origin) + strlen(path) + 2) : NULL;
    if (url) {
        strcpy(url, passage->forward->origin);
        strcat(url, *path == '/' ? "" : "/");
        strcat(url, path);
    }
    return url;
}

static atls_status set_up_request(struct passage *passage, const atls_head *head, const char *drop, atls_request *request, atls_error **error)
{
    uint64_t length = forward_body_length(head);
    passage->streams = length > 0;
    passage->expects = false;
    atls_status status = forward_request_fields(passage->forward, passage->down, drop, request, error);
    if (status == ATLS_OK && passage->streams)
        status = atls_request_set_body_stream(request, length, error);
    if (status == ATLS_OK && passage->streams && strcasecmp(atls_head_get(head, "expect").ptr, "100-continue") == 0) {
        passage->expects = true;
        status = atls_request_set_expect_continue(request, 0, error);
    }
    if (status == ATLS_OK)
        status = atls_request_set_redirects(request, 0, 0, error);
    if (status == ATLS_OK)
        status = atls_request_set_deadline(request, ATLS_REQUEST_DEADLINE_HEAD, passage->forward->head_ms, error);
    return status == ATLS_OK ? atls_request_set_deadline(request, ATLS_REQUEST_DEADLINE_QUEUE, 30000, error) : status;
}

/* Asks the target. */
static void begin(struct passage *passage, const atls_head *head, const char *drop)
{
    atls_error *error = NULL;
    atls_request *request = NULL;
    char *url = url_at_target(passage);
    if (!url) {
        answer_text(passage, 400, "TARGET_INVALID", "the request's target is not a path");
        return;
    }
    atls_status status = atls_request_new_url(atls_server_request_method(passage->down).ptr, url, &request, &error);
    if (status != ATLS_OK)
        answer_text(passage, 400, "TARGET_INVALID", "the request's method or target cannot be forwarded"); /* the error shows the query */
    else
        status = set_up_request(passage, head, drop, request, &error);
    if (status == ATLS_OK) {
        atls_sink sink = {.queue = passage->forward->queue, .call = on_target, .user_data = passage, .drop = on_drop};
        passage->sinks++; /* its events wait for the lock */
        status = atls_client_start(passage->forward->client, request, &sink, &passage->up, &error);
        passage->sinks -= status != ATLS_OK;
    }
    if (status != ATLS_OK)
        answer_error(passage, 0, error); /* unless it is answered */
    else if (passage->streams && !passage->expects)
        atls_server_request_grant(passage->down, FORWARD_WINDOW, NULL);
    atls_error_free(error);
    atls_request_free(request);
    free(url);
}

/* Answers what is not for the target, or asks it. */
static void judge(struct passage *passage)
{
    const char *method = atls_server_request_method(passage->down).ptr;
    atls_head *head = atls_server_request_head(passage->down);
    struct refusal refusal = {.status = 0};
    if (passage->forward->gate)
        refusal = gate_check(passage->forward->gate, passage->down);
    if (refusal.status)
        set_reason(passage, refusal.code, refusal.reason);
    if (refusal.status)
        answer_text(passage, refusal.status, refusal.code, refusal.message);
    else if (strcmp(method, "CONNECT") == 0 || strcmp(method, "TRACE") == 0)
        answer_text(passage, 405, "METHOD_REFUSED", "CONNECT and TRACE are not forwarded");
    else if (forward_asks_upgrade(head, "websocket"))
        answer_text(passage, 501, "UPGRADE_REFUSED", "WebSockets are not forwarded");
    else
        begin(passage, head, refusal.drop);
    atls_head_free(head);
}

void forward_request(const struct forward *forward, atls_server_request *request)
{
    struct passage *passage = calloc(1, sizeof *passage);
    if (!passage)
        return; /* a request that is not started is answered with 500 */
    pthread_mutex_init(&passage->lock, NULL);
    clock_gettime(CLOCK_MONOTONIC, &passage->begun);
    passage->forward = forward;
    passage->down = atls_server_request_ref(request);
    passage->to_target = (struct flow){.owner = passage, .write = write_to_target, .grant = grant_client};
    passage->to_client = (struct flow){.owner = passage, .write = write_to_client, .grant = grant_target};
    passage->sinks = 1;
    pthread_mutex_lock(&passage->lock);
    atls_sink sink = {.queue = forward->queue, .call = on_client, .user_data = passage, .drop = on_drop};
    atls_status status = atls_server_request_start(passage->down, forward->runtime, &sink, NULL);
    if (status == ATLS_OK)
        judge(passage);
    pthread_mutex_unlock(&passage->lock);
    if (status != ATLS_OK)
        on_drop(passage);
}
