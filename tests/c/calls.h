/* calls.h - a host that makes every wrong call first, and counts what it is told. */
#ifndef CALLS_H
#define CALLS_H

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "tcp.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

static _Thread_local atls_error *error;
static uint16_t port;
static int requests, closed, failed, refusals, server_closed;
static size_t piece_size, held;
static struct {
    atls_status status;
    uint32_t detail, http;
    char peer[60], phase[20];
} refusal;
static char authority[100], last_peer[60];
static uint32_t last_detail;

static inline int get(int *count)
{
    return __atomic_load_n(count, __ATOMIC_SEQ_CST);
}

static inline void add(int *count)
{
    __atomic_fetch_add(count, 1, __ATOMIC_SEQ_CST);
}

static inline void wait_until(int line, int *count, int wanted)
{
    for (int i = 0; i < 20000 && get(count) < wanted; i++)
        usleep(1000);
    if (get(count) != wanted) {
        fprintf(stderr, "%s:%d: waited for %d, got %d\n", __FILE__, line, wanted, get(count));
        exit(1);
    }
}
#define until(count, wanted) wait_until(__LINE__, count, wanted)

/* Bytes that the process holds; always 0 where nobody counts them. */
static inline size_t memory(void)
{
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
    return getenv("ATLS_TEST_SLOW") ? 0 : mallinfo2().uordblks + mallinfo2().hblkhd;
#else
    return 0;
#endif
}

static inline atls_headers *lines(const char *name, const char *value)
{
    atls_headers *headers = NULL;
    OK(atls_headers_new(true, &headers, &error));
    OK(atls_headers_add(headers, name, atls_bytes_of_text(value), &error));
    return headers;
}

#define TEXT(text) atls_bytes_of(text, sizeof text - 1)

/* Each of these is refused, and the request is none the worse for it. */
static inline void wrong_answers(atls_server_request *request)
{
    atls_headers *foo = lines("Content-Length", "foo"), *four = lines("Content-Length", "4"), *trailer = lines("Content-Length", "4");
    EXPECT(ATLS_HTTP_HEADER_INVALID, "Content-Length", atls_server_request_send_head(request, 200, NULL, foo, ATLS_LENGTH_UNKNOWN, &error));
    EXPECT(ATLS_HTTP_HEADER_INVALID, "Content-Length", atls_server_request_respond(request, 200, foo, atls_bytes_of(NULL, 0), &error));
    EXPECT(ATLS_HTTP_HEADER_INVALID, "4 bytes", atls_server_request_respond(request, 200, four, TEXT("five!"), &error));
    OK(atls_server_request_send_head(request, 200, NULL, four, ATLS_LENGTH_UNKNOWN, &error));
    OK(atls_server_request_write(request, TEXT("fo"), &error));
    EXPECT(ATLS_INVALID_STATE, "3 bytes are more than the 2", atls_server_request_write(request, TEXT("urs"), &error));
    EXPECT(ATLS_HTTP_HEADER_INVALID, "trailers", atls_server_request_finish(request, trailer, &error));
    OK(atls_server_request_write(request, TEXT("ur"), &error));
    OK(atls_server_request_finish(request, NULL, &error));
    atls_headers_free(foo);
    atls_headers_free(four);
    atls_headers_free(trailer);
}

static inline void answer(atls_server_request *request)
{
    const char *target = atls_server_request_target(request).ptr;
    atls_headers *headers = NULL;
    if (strcmp(target, "/wrong") == 0) {
        wrong_answers(request);
    } else if (strcmp(target, "/short") == 0) {
        OK(atls_server_request_send_head(request, 200, NULL, NULL, 5, &error));
        OK(atls_server_request_write(request, TEXT("four"), &error));
        EXPECT(ATLS_INVALID_STATE, "1 bytes before", atls_server_request_finish(request, NULL, &error));
    } else if (strcmp(target, "/upgrade") == 0) {
        headers = lines("Upgrade", "TLS/1.3");
        EXPECT(ATLS_HTTP_HEADER_INVALID, "Upgrade", atls_server_request_send_head(request, 103, NULL, headers, 0, &error));
        OK(atls_server_request_respond(request, 426, headers, TEXT("no"), &error));
    } else if (strcmp(target, "/chunks") == 0) {
        headers = lines("X-End", "yes");
        OK(atls_server_request_send_head(request, 103, NULL, headers, 0, &error));
        OK(atls_server_request_send_head(request, 200, NULL, NULL, ATLS_LENGTH_UNKNOWN, &error));
        OK(atls_server_request_write(request, TEXT("chunk"), &error));
        OK(atls_server_request_finish(request, headers, &error));
    } else if (strcmp(target, "/drops") == 0) {
        /* To a peer that does not read: as much as is taken, until nothing is for a while. */
        static uint8_t piece[16384];
        size_t before = memory();
        OK(atls_server_request_send_head(request, 200, NULL, NULL, ATLS_LENGTH_UNKNOWN, &error));
        for (int again = 0; again < 100; usleep(again ? 1000 : 0))
            again = atls_server_request_write(request, atls_bytes_of(piece, piece_size), NULL) == ATLS_OK ? 0 : again + 1;
        held = memory() - before;
        OK(atls_server_request_cancel(request, &error));
    } else {
        OK(atls_server_request_respond(request, 200, NULL, TEXT("fine"), &error));
    }
    atls_headers_free(headers);
}

static inline void on_request(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind == ATLS_EVENT_END)
        answer(event->source);
    if (event->kind != ATLS_EVENT_CLOSED)
        return;
    if (event->status != ATLS_OK) {
        last_detail = atls_error_detail(event->error);
        snprintf(last_peer, sizeof last_peer, "%s", atls_error_peer(event->error).ptr);
        add(&failed);
    }
    add(&closed);
}

static inline void drop_request(void *user_data)
{
    atls_server_request_free(user_data);
}

static inline void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind == ATLS_EVENT_CLOSED)
        add(&server_closed);
    if (event->kind == ATLS_EVENT_REFUSED) {
        refusal.status = event->status;
        refusal.detail = atls_error_detail(event->error);
        refusal.http = atls_error_http_status(event->error);
        snprintf(refusal.peer, sizeof refusal.peer, "%s", atls_error_peer(event->error).ptr);
        snprintf(refusal.phase, sizeof refusal.phase, "%s", atls_error_phase(event->error).ptr);
        add(&refusals);
    }
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    atls_server_request *request = atls_server_request_ref(event->source);
    atls_sink sink = {.queue = queue, .call = on_request, .user_data = request, .drop = drop_request};
    snprintf(authority, sizeof authority, "%s", atls_server_request_authority(request).ptr);
    if (strcmp(atls_server_request_target(request).ptr, "/large") == 0)
        OK(atls_server_request_set_body_limit(request, 20, &error));
    OK(atls_server_request_start(request, runtime, &sink, &error));
    add(&requests);
}

static inline atls_server_config *configure(void)
{
    atls_server_config *config = NULL;
    OK(atls_server_config_new(&config, &error));
    return config;
}

static inline atls_server *serve(atls_server_config *config)
{
    atls_server *server = NULL;
    atls_sink sink = {.queue = queue, .call = on_server};
    requests = closed = failed = refusals = server_closed = 0;
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "localhost", 0, false, &port, &error));
    atls_server_config_free(config);
    return server;
}

static inline void end(atls_server *server)
{
    OK(atls_server_stop(server, &error));
    until(&server_closed, 1);
    until(&closed, requests);
    atls_server_free(server);
}

static inline int dial(void)
{
    return tcp_dial(port);
}

/* All that comes after these bytes, until the server ends the connection; it must, unless `part` has come. */
static inline char *hear(int fd, const char *bytes, const char *part)
{
    static char text[4000];
    size_t got = 0;
    ssize_t n = 0;
    memset(text, 0, sizeof text);
    CHECK(send(fd, bytes, strlen(bytes), MSG_NOSIGNAL) == (ssize_t)strlen(bytes));
    while (!(part && strstr(text, part)) && (n = recv(fd, text + got, sizeof text - 1 - got, 0)) > 0)
        got += (size_t)n;
    CHECK(n >= 0);
    return text;
}

static inline char *say(const char *bytes)
{
    int fd = dial();
    char *text = hear(fd, bytes, NULL);
    close(fd);
    return text;
}

#define ASK(method, target) method " " target " HTTP/1.1\r\nHost: a\r\n"
#define LAST "Connection: close\r\n"

#endif
