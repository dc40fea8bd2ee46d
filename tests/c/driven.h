/* driven.h - ends of a connection that are driven, and what they have seen. */
#ifndef DRIVEN_H
#define DRIVEN_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "sim.h"

static _Thread_local atls_error *error;

/* What one end has seen, as text. */
struct end {
    atls_h1_driver *driver;
    atls_stream *stream;
    pthread_mutex_t lock;
    char seen[4000];
    size_t bytes, most;
    atls_status status, stream_status;
    uint32_t detail;
    char peer[60];
    int closed, stream_closed, echo;
};

static inline void note(struct end *end, const char *text)
{
    pthread_mutex_lock(&end->lock);
    snprintf(end->seen + strlen(end->seen), sizeof end->seen - strlen(end->seen), "%s", text);
    pthread_mutex_unlock(&end->lock);
}

static inline void on_stream(void *user_data, const atls_event *event)
{
    struct end *end = user_data;
    char text[200];
    if (event->kind == ATLS_EVENT_DATA) {
        snprintf(text, sizeof text, "<%.*s>", (int)atls_buf_len(event->buf), (const char *)atls_buf_data(event->buf));
        note(end, text);
    }
    if (event->kind != ATLS_EVENT_CLOSED)
        return;
    end->stream_status = event->status;
    __atomic_store_n(&end->stream_closed, 1, __ATOMIC_SEQ_CST);
}

/* A server that answers with what it was sent, or leaves HTTP. */
static inline void serve(struct end *end)
{
    atls_headers *headers = NULL;
    const char *target = atls_h1_driver_target(end->driver).ptr;
    if (strcmp(target, "/upgrade") == 0) {
        atls_sink sink = {.queue = queue, .call = on_stream, .user_data = end};
        OK(atls_headers_new(true, &headers, &error));
        OK(atls_headers_add(headers, "Upgrade", atls_bytes_of("x", 1), &error));
        OK(atls_headers_add(headers, "Connection", atls_bytes_of("upgrade", 7), &error));
        OK(atls_h1_driver_send_response(end->driver, 101, "Switching Protocols", headers, &error));
        OK(atls_h1_driver_detach_start(end->driver, runtime, &sink, &end->stream, &error));
        atls_headers_free(headers);
    } else {
        OK(atls_h1_driver_send_response(end->driver, 200, "Fine", NULL, &error));
        OK(atls_h1_driver_write(end->driver, atls_bytes_of("answer", 6), &error));
        OK(atls_h1_driver_finish(end->driver, NULL, &error));
    }
}

static inline void on_event(void *user_data, const atls_event *event)
{
    struct end *end = user_data;
    char text[300];
    switch (event->kind) {
    case ATLS_EVENT_CONNECTED:
        note(end, "(connected)");
        break;
    case ATLS_EVENT_INFORMATIONAL:
    case ATLS_EVENT_HEAD:
        if (atls_head_status(event->head) == 0) {
            const char *method = atls_h1_driver_method(event->source).ptr, *target = atls_h1_driver_target(event->source).ptr;
            snprintf(text, sizeof text, "[%s %s]", method, target);
            if (strncmp(target, "/more", 5) == 0) {
                OK(atls_h1_driver_set_body_limit(event->source, 10, &error));
                OK(atls_h1_driver_set_body_deadline(event->source, 150, &error));
            }
            if (strcmp(target, "/usual") == 0)
                OK(atls_h1_driver_set_body_deadline(event->source, 0, &error));
        } else {
            snprintf(text, sizeof text, "[%u]", atls_head_status(event->head));
        }
        note(end, text);
        break;
    case ATLS_EVENT_DATA:
        end->bytes += atls_buf_len(event->buf);
        end->most = atls_buf_len(event->buf) > end->most ? atls_buf_len(event->buf) : end->most;
        if (end->bytes < 100) {
            snprintf(text, sizeof text, "%.*s", (int)atls_buf_len(event->buf), (const char *)atls_buf_data(event->buf));
            note(end, text);
        }
        break;
    case ATLS_EVENT_TRAILERS:
        note(end, "(trailers)");
        break;
    case ATLS_EVENT_END:
        note(end, ".");
        if (end->echo)
            serve(end);
        break;
    case ATLS_EVENT_CLOSED:
        CHECK(!end->closed);
        end->status = event->status;
        end->detail = atls_error_detail(event->error);
        snprintf(end->peer, sizeof end->peer, "%s", atls_error_peer(event->error).ptr);
        __atomic_store_n(&end->closed, 1, __ATOMIC_SEQ_CST);
        break;
    }
}

static inline void until_closed(int *flag)
{
    for (int i = 0; i < 10000 && !__atomic_load_n(flag, __ATOMIC_SEQ_CST); i++)
        usleep(1000);
    CHECK(__atomic_load_n(flag, __ATOMIC_SEQ_CST));
}

static inline void until_seen(struct end *end, const char *wanted)
{
    for (int i = 0; i < 10000; i++) {
        pthread_mutex_lock(&end->lock);
        bool there = strcmp(end->seen, wanted) == 0;
        pthread_mutex_unlock(&end->lock);
        if (there)
            return;
        usleep(1000);
    }
    fprintf(stderr, "seen %s, wanted %s\n", end->seen, wanted);
    exit(1);
}

static inline atls_h1_driver_config *config(uint32_t role)
{
    atls_h1_driver_config *config = NULL;
    OK(atls_h1_driver_config_new(role, &config, &error));
    return config;
}

/* Starts an end on this socket; the configuration is freed. */
static inline void start(struct end *end, atls_h1_driver_config *config, int fd)
{
    memset(end, 0, sizeof *end);
    pthread_mutex_init(&end->lock, NULL);
    atls_sink sink = {.queue = queue, .call = on_event, .user_data = end};
    OK(atls_h1_driver_adopt_start(runtime, config, fd, &sink, &end->driver, &error));
    atls_h1_driver_config_free(config);
}

static inline void over(struct end *end)
{
    until_closed(&end->closed);
    atls_h1_driver_free(end->driver);
    atls_stream_free(end->stream);
    pthread_mutex_destroy(&end->lock);
}

static inline void ask(struct end *client, const char *method, const char *target, const char *extra, const char *value)
{
    atls_headers *headers = NULL;
    OK(atls_headers_new(true, &headers, &error));
    OK(atls_headers_add(headers, "Host", atls_bytes_of("a", 1), &error));
    if (extra)
        OK(atls_headers_add(headers, extra, atls_bytes_of_text(value), &error));
    if (extra && strcmp(extra, "Upgrade") == 0)
        OK(atls_headers_add(headers, "Connection", atls_bytes_of("Upgrade", 7), &error));
    OK(atls_h1_driver_send_request(client->driver, method, target, headers, &error));
    atls_headers_free(headers);
}

static inline void set_up(void)
{
    sim_start();
    loop_start();
}

#endif
