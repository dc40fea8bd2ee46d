/* http2.h - a server of the library that proves itself and speaks HTTP/2, and a client that tells what its exchanges said. */
#ifndef HTTP2_H
#define HTTP2_H

#include <stdatomic.h>
#include <unistd.h>

#include "loop.h"
#include "sim.h"

static _Thread_local atls_error *error;
static uint16_t port;
static atls_server *server;
/* Requests that the server has been shown, and those that it holds back. */
static atomic_int shown, hanging;

struct call {
    atls_server_request *request;
    size_t received;
};

static inline bool is(struct call *call, const char *path)
{
    return strcmp(atls_server_request_target(call->request).ptr, path) == 0;
}

static inline void with_trailers(struct call *call)
{
    atls_headers *trailers = NULL;
    CHECK(atls_headers_new(true, &trailers, NULL) == ATLS_OK);
    CHECK(atls_headers_add(trailers, "X-Sum", atls_bytes_of_text("7"), NULL) == ATLS_OK);
    CHECK(atls_server_request_send_head(call->request, 200, NULL, NULL, ATLS_LENGTH_UNKNOWN, NULL) == ATLS_OK);
    CHECK(atls_server_request_write(call->request, atls_bytes_of_text("body"), NULL) == ATLS_OK);
    CHECK(atls_server_request_finish(call->request, trailers, NULL) == ATLS_OK);
    atls_headers_free(trailers);
}

static inline void answer(struct call *call)
{
    char text[160];
    atls_server_request *request = call->request;
    static const uint8_t zeros[100000];
    if (is(call, "/hang")) {
        hanging++;
    } else if (is(call, "/drip")) {
        atls_server_request_send_head(request, 200, NULL, NULL, ATLS_LENGTH_UNKNOWN, NULL);
        atls_server_request_write(request, atls_bytes_of_text("drop"), NULL);
    } else if (is(call, "/trailers")) {
        with_trailers(call);
    } else if (is(call, "/large")) {
        atls_server_request_respond(request, 200, NULL, atls_bytes_of(zeros, sizeof zeros), NULL);
    } else if (is(call, "/hints")) {
        atls_server_request_send_head(request, 103, NULL, NULL, ATLS_LENGTH_UNKNOWN, NULL);
        atls_server_request_send_head(request, 103, NULL, NULL, ATLS_LENGTH_UNKNOWN, NULL);
        atls_server_request_respond(request, 200, NULL, atls_bytes_of_text("hints"), NULL);
    } else if (is(call, "/away")) {
        atls_headers *headers = NULL;
        CHECK(atls_headers_new(true, &headers, NULL) == ATLS_OK);
        CHECK(atls_headers_add(headers, "Location", atls_bytes_of_text("/"), NULL) == ATLS_OK);
        atls_server_request_respond(request, 307, headers, atls_bytes_of_text("gone"), NULL);
        atls_headers_free(headers);
    } else {
        atls_head *head = atls_server_request_head(request);
        snprintf(text, sizeof text, "%s %zu version=%u x=%s hop=%s te=%s", atls_server_request_method(request).ptr, call->received,
                 atls_server_request_http_version(request), atls_head_get(head, "x").ptr, atls_head_get(head, "x-hop").ptr,
                 atls_head_get(head, "te").ptr);
        atls_head_free(head);
        atls_server_request_respond(request, 200, NULL, atls_bytes_of_text(text), NULL);
    }
}

static inline void on_request(void *user_data, const atls_event *event)
{
    struct call *call = user_data;
    if (event->kind == ATLS_EVENT_DATA)
        call->received += atls_buf_len(event->buf);
    if (event->kind == ATLS_EVENT_END)
        answer(call);
    if (event->kind == ATLS_EVENT_CLOSED && is(call, "/hang"))
        hanging--;
}

static inline void let_go(void *user_data)
{
    struct call *call = user_data;
    atls_server_request_free(call->request);
    free(call);
}

static inline void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    shown++;
    struct call *call = calloc(1, sizeof *call);
    call->request = atls_server_request_ref(event->source);
    atls_sink sink = {.queue = queue, .call = on_request, .user_data = call, .drop = let_go};
    /* CLOSED: the client has given it up already. */
    atls_status status = atls_server_request_start(event->source, runtime, &sink, NULL);
    CHECK(status == ATLS_OK || status == ATLS_CLOSED);
    if (status != ATLS_OK)
        let_go(call);
}

/* At `at`, or at a port that is free. */
static inline void serve_at(uint16_t at, uint32_t versions, const char *agent)
{
    size_t len;
    char path[512];
    atls_server_config *config = NULL;
    OK(atls_server_config_new(&config, &error));
    char *chain = sim_file("peer.pem", &len), *key = sim_file("peer-key.pem", &len);
    OK(atls_server_config_set_certificate(config, chain, key, &error));
    free(chain);
    free(key);
    snprintf(path, sizeof path, "%s/%s", getenv("ATLS_SIM"), agent);
    OK(atls_server_config_set_dstack_agent(config, path, &error));
    OK(atls_server_config_set_http_versions(config, versions, &error));
    atls_sink sink = {.queue = queue, .call = on_server};
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    /* The server before may still be about to close. */
    for (int i = 0; i < 3000 && at && atls_server_listen(server, "127.0.0.1", at, false, &port, NULL) != ATLS_OK; i++)
        usleep(10000);
    if (!at)
        OK(atls_server_listen(server, "127.0.0.1", at, false, &port, &error));
    atls_server_config_free(config);
}

static inline void serve(uint32_t versions, const char *agent)
{
    serve_at(0, versions, agent);
}

static inline void end(void)
{
    OK(atls_server_close(server, &error));
    atls_server_free(server);
}

enum { BOTH = ATLS_HTTP_VERSION_1_1 | ATLS_HTTP_VERSION_2 };

static inline atls_client *client_of(uint32_t versions, const char *policy, uint32_t requests)
{
    atls_client *client = NULL;
    atls_client_limits *limits = NULL;
    atls_config *config = sim_config(port, policy);
    OK(atls_config_set_http_versions(config, versions, &error));
    OK(atls_client_limits_new(&limits, &error));
    OK(atls_client_limits_set_requests(limits, requests, &error));
    OK(atls_client_new(runtime, config, limits, &client, &error));
    atls_client_limits_free(limits);
    atls_config_free(config);
    return client;
}

/* One exchange, and what its events said: c(onnected), i(nformational), h(ead), d(ata), t(railers), e(nd), C(losed). */
struct shot {
    atls_exchange *exchange;
    char events[64], text[200];
    size_t bytes;
    atomic_int over;
    uint32_t status;
    atls_http_version version;
    atls_status ended;
    atls_detail detail;
};

static inline void on_event(void *user_data, const atls_event *event)
{
    struct shot *shot = user_data;
    static const char letters[] = "?cihdtewC";
    size_t count = strlen(shot->events);
    char letter = event->kind < sizeof letters - 1 ? letters[event->kind] : '?';
    /* Pieces of a body are one. */
    if (count + 1 < sizeof shot->events && !(letter == 'd' && count && shot->events[count - 1] == 'd'))
        shot->events[count] = letter;
    if (event->kind == ATLS_EVENT_HEAD) {
        shot->status = atls_head_status(event->head);
        shot->version = atls_exchange_http_version(event->source);
    }
    if (event->kind == ATLS_EVENT_DATA) {
        size_t len = atls_buf_len(event->buf), room = sizeof shot->text - 1 - (shot->bytes < 199 ? shot->bytes : 199);
        memcpy(shot->text + (sizeof shot->text - 1 - room), atls_buf_data(event->buf), len < room ? len : room);
        shot->bytes += len;
    }
    if (event->kind == ATLS_EVENT_TRAILERS)
        CHECK(strcmp(atls_head_get(event->head, "x-sum").ptr, "7") == 0);
    if (event->kind == ATLS_EVENT_CLOSED) {
        shot->ended = event->status;
        shot->detail = event->error ? atls_error_detail(event->error) : 0;
        shot->over = 1;
    }
}

static inline atls_request *request(const char *method, const char *path)
{
    char url[128];
    atls_request *request = NULL;
    snprintf(url, sizeof url, "https://localhost:%u%s", port, path);
    OK(atls_request_new_url(method, url, &request, &error));
    return request;
}

/* Starts it, and frees the request. */
static inline void start(atls_client *client, struct shot *shot, atls_request *request)
{
    memset(shot, 0, sizeof *shot);
    atls_sink sink = {.queue = queue, .call = on_event, .user_data = shot};
    OK(atls_client_start(client, request, &sink, &shot->exchange, &error));
    atls_request_free(request);
}

static inline void wait_for(struct shot *shot)
{
    for (int i = 0; i < 30000 && !shot->over; i++)
        usleep(1000);
    CHECK(shot->over);
    atls_exchange_free(shot->exchange);
}

static inline void until(atomic_int *count, int wanted)
{
    for (int i = 0; i < 30000 && *count != wanted; i++)
        usleep(1000);
    CHECK(*count == wanted);
}

static inline void ask(atls_client *client, struct shot *shot, const char *method, const char *path)
{
    start(client, shot, request(method, path));
    wait_for(shot);
}

static inline uint64_t quotes(void)
{
    return atls_server_count(server, ATLS_SERVER_COUNT_EVIDENCE);
}

static inline void set_up(void)
{
    sim_start();
    loop_start();
    shown = hanging = 0;
}

#endif
