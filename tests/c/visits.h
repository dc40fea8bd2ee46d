/* visits.h - a server whose host does what the target says, and raw sockets to ask it. */
#ifndef VISITS_H
#define VISITS_H

#include <arpa/inet.h>
#include <pthread.h>
#include <unistd.h>

#include "loop.h"
#include "tcp.h"

static _Thread_local atls_error *error;
static uint16_t port;

/* What the host does with a request is in its target. */
struct visit {
    atls_server_request *request;
    size_t received, pieces, to_send;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int seen, started, closed, failed, dropped, server_closed, refusals;
static atls_status last_status;

static inline void send_on(struct visit *visit)
{
    static uint8_t block[50000];
    while (visit->to_send > 0) {
        size_t n = visit->to_send < sizeof block ? visit->to_send : sizeof block;
        if (atls_server_request_write(visit->request, atls_bytes_of(block, n), NULL) != ATLS_OK)
            return;
        visit->to_send -= n;
    }
    atls_server_request_finish(visit->request, NULL, NULL);
}

static inline void answer(struct visit *visit, const char *target)
{
    char text[60];
    atls_headers *headers = NULL;
    atls_server_request *request = visit->request;
    atls_error *own = NULL;
    if (strcmp(target, "/large") == 0 || strcmp(target, "/both") == 0) {
        visit->to_send = 20000000;
        atls_server_request_send_head(request, 200, NULL, NULL, visit->to_send, NULL);
        send_on(visit);
    } else if (strcmp(target, "/chunks") == 0) {
        atls_headers_new(true, &headers, NULL);
        atls_headers_add(headers, "X-End", atls_bytes_of("yes", 3), NULL);
        CHECK(atls_server_request_send_head(request, 103, NULL, headers, 0, NULL) == ATLS_OK);
        CHECK(atls_server_request_send_head(request, 299, "So so", NULL, ATLS_LENGTH_UNKNOWN, NULL) == ATLS_OK);
        CHECK(atls_server_request_send_head(request, 200, NULL, NULL, 0, &own) == ATLS_INVALID_STATE);
        atls_error_free(own);
        CHECK(atls_server_request_write(request, atls_bytes_of("one", 3), NULL) == ATLS_OK);
        CHECK(atls_server_request_write(request, atls_bytes_of("two", 3), NULL) == ATLS_OK);
        CHECK(atls_server_request_finish(request, headers, NULL) == ATLS_OK);
        atls_headers_free(headers);
    } else if (strcmp(target, "/long") == 0) {
        atls_server_request_send_head(request, 200, NULL, NULL, 3, NULL);
        atls_server_request_write(request, atls_bytes_of("four", 4), NULL);
        atls_server_request_finish(request, NULL, NULL);
    } else if (strcmp(target, "/short") == 0) {
        atls_server_request_send_head(request, 200, NULL, NULL, 5, NULL);
        atls_server_request_write(request, atls_bytes_of("four", 4), NULL);
        atls_server_request_finish(request, NULL, NULL);
    } else if (strcmp(target, "/cancel") == 0) {
        atls_server_request_cancel(request, NULL);
    } else if (strcmp(target, "/304") == 0) {
        atls_server_request_respond(request, 304, NULL, atls_bytes_of("not sent", 8), NULL);
    } else if (strcmp(target, "/never") != 0) {
        size_t shown = strcmp(target, "/pieces") == 0 ? visit->pieces : visit->received;
        int len = snprintf(text, sizeof text, "%s %zu", atls_server_request_method(request).ptr, shown);
        atls_server_request_respond(request, 200, NULL, atls_bytes_of(text, (size_t)len), NULL);
    }
}

static inline void on_visit(void *user_data, const atls_event *event)
{
    struct visit *visit = user_data;
    const char *target = atls_server_request_target(visit->request).ptr;
    if (event->kind == ATLS_EVENT_DATA) {
        visit->received += atls_buf_len(event->buf);
        visit->pieces++;
    }
    if (event->kind == ATLS_EVENT_END)
        answer(visit, target);
    if (event->kind == ATLS_EVENT_WRITABLE)
        send_on(visit);
    if (event->kind != ATLS_EVENT_CLOSED)
        return;
    pthread_mutex_lock(&lock);
    closed++;
    failed += event->status != ATLS_OK;
    last_status = event->status;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static inline void on_drop(void *user_data)
{
    struct visit *visit = user_data;
    atls_server_request_free(visit->request);
    free(visit);
    pthread_mutex_lock(&lock);
    dropped++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static inline void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    pthread_mutex_lock(&lock);
    seen += event->kind == ATLS_EVENT_REQUEST;
    /* The peer is told once this is over: a later check of the count sees it. */
    refusals += event->kind == ATLS_EVENT_REFUSED && event->error && event->status == atls_error_status(event->error);
    server_closed += event->kind == ATLS_EVENT_CLOSED;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    if (event->kind != ATLS_EVENT_REQUEST || strcmp(atls_server_request_target(event->source).ptr, "/ignored") == 0)
        return;
    struct visit *visit = calloc(1, sizeof *visit);
    CHECK(visit);
    visit->request = atls_server_request_ref(event->source);
    CHECK(atls_server_request_write(visit->request, atls_bytes_of(NULL, 0), NULL) == ATLS_INVALID_STATE);
    atls_sink sink = {queue, 0, on_visit, visit, on_drop};
    CHECK(atls_server_request_start(visit->request, runtime, &sink, NULL) == ATLS_OK);
    CHECK(atls_server_request_start(visit->request, runtime, &sink, NULL) == ATLS_INVALID_STATE);
    if (strcmp(atls_server_request_target(event->source).ptr, "/early") == 0)
        CHECK(atls_server_request_respond(event->source, 200, NULL, atls_bytes_of("early", 5), NULL) == ATLS_OK);
    if (strcmp(atls_server_request_target(event->source).ptr, "/both") == 0)
        answer(visit, "/both");
    pthread_mutex_lock(&lock);
    started++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static inline atls_server *serve(uint32_t limit, uint64_t value, uint32_t deadline, uint32_t ms)
{
    atls_server *server = NULL;
    atls_server_config *config = NULL;
    atls_sink sink = {queue, 0, on_server, NULL, NULL};
    seen = started = closed = failed = dropped = server_closed = refusals = 0;
    OK(atls_server_config_new(&config, &error));
    if (limit)
        OK(atls_server_config_set_limit(config, limit, value, &error));
    if (deadline)
        OK(atls_server_config_set_deadline(config, deadline, ms, &error));
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    atls_server_config_free(config);
    return server;
}

/* Waits for CLOSED, and that nothing is left. */
static inline void end(atls_server *server, bool stop)
{
    if (stop)
        OK(atls_server_stop(server, &error));
    pthread_mutex_lock(&lock);
    while (!server_closed || dropped < closed)
        pthread_cond_wait(&changed, &lock);
    CHECK(server_closed == 1);
    pthread_mutex_unlock(&lock);
    CHECK(atls_server_count(server, ATLS_SERVER_COUNT_CONNECTIONS) == 0);
    uint16_t again;
    EXPECT(ATLS_INVALID_STATE, "stopped", atls_server_listen(server, "127.0.0.1", 0, false, &again, &error));
    atls_server_free(server);
}

static inline int dial(void)
{
    return tcp_dial(port);
}

/* All that comes until the server closes; it must close. */
static inline char *until_end(int fd)
{
    static char text[100000];
    size_t len = 0;
    ssize_t n;
    while ((n = recv(fd, text + len, sizeof text - 1 - len, 0)) > 0)
        len += (size_t)n;
    CHECK(n == 0);
    close(fd);
    text[len] = '\0';
    return text;
}

static inline char *say(const char *bytes)
{
    int fd = dial();
    CHECK(send(fd, bytes, strlen(bytes), MSG_NOSIGNAL) == (ssize_t)strlen(bytes));
    return until_end(fd);
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

#endif
