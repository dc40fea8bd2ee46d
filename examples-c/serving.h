/* serving.h - helpers that the example servers share: certificate files, listening, one answer to all requests, an orderly shutdown. */
#ifndef SERVING_H
#define SERVING_H

#include <pthread.h>

#include "common.h"

/* Whether the server has ended. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool over;
} end_of_server = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};

/* The drop function of the server's sink, which runs after CLOSED. */
static inline void server_is_over(void *user_data)
{
    (void)user_data;
    pthread_mutex_lock(&end_of_server.lock);
    end_of_server.over = true;
    pthread_cond_broadcast(&end_of_server.changed);
    pthread_mutex_unlock(&end_of_server.lock);
}

/* The certificate of a server, from files. */
static inline void set_certificate(atls_server_config *config, const char *chain_file, const char *key_file)
{
    atls_error *error = NULL;
    struct file chain = read_file(chain_file), key = read_file(key_file);
    check(atls_server_config_set_certificate(config, (char *)chain.data, (char *)key.data, &error), &error);
    free(chain.data);
    free(key.data);
}

/* Starts a server on the loopback address and prints its port. */
static inline atls_server *listen_on(atls_runtime *runtime, atls_queue *queue, const atls_server_config *config,
                                     void (*on_event)(void *, const atls_event *), const char *port)
{
    atls_error *error = NULL;
    atls_server *server = NULL;
    uint16_t bound;
    atls_sink sink = {.queue = queue, .call = on_event, .drop = server_is_over};
    check(atls_server_start(runtime, config, &sink, &server, &error), &error);
    check(atls_server_listen(server, "127.0.0.1", (uint16_t)atoi(port), false, &bound, &error), &error);
    printf("listening on 127.0.0.1:%u\n", bound);
    fflush(stdout);
    return server;
}

/* Gives requests under way five seconds to finish, then frees everything. A drain returns at once, and shutting down the runtime ends
 * what runs on it: so this waits for the server's CLOSED first. */
static inline void stop_server(atls_server *server, atls_runtime *runtime, atls_queue *queue)
{
    atls_error *error = NULL;
    check(atls_server_drain(server, 5000, &error), &error);
    pthread_mutex_lock(&end_of_server.lock);
    while (!end_of_server.over)
        pthread_cond_wait(&end_of_server.changed, &end_of_server.lock);
    pthread_mutex_unlock(&end_of_server.lock);
    check(atls_runtime_shutdown(runtime, 10000, &error), &error);
    atls_server_free(server);
    check(atls_queue_stop(queue, &error), &error);
    atls_queue_free(queue);
    atls_runtime_free(runtime);
}

/* A server that answers each request alike. */
struct one_answer {
    atls_runtime *runtime;
    atls_queue *queue;
    const char *body;
};

static struct one_answer one_answer;

/* The request has arrived as a whole: the client trusts this machine, or it would not have sent it. */
static inline void answer_request(void *user_data, const atls_event *event)
{
    if (event->kind == ATLS_EVENT_END)
        atls_server_request_respond(user_data, 200, NULL, atls_bytes_of_text(one_answer.body), NULL);
}

/* Runs after CLOSED. */
static inline void drop_request(void *request)
{
    atls_server_request_free(request);
}

static inline void on_one_request(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    atls_server_request *request = atls_server_request_ref(event->source);
    atls_sink sink = {.queue = one_answer.queue, .call = answer_request, .user_data = request, .drop = drop_request};
    if (atls_server_request_start(request, one_answer.runtime, &sink, NULL) != ATLS_OK)
        drop_request(request);
}

/* Serves `body` to whoever asks, until standard input ends. */
static inline void serve_one_answer(const atls_server_config *config, const char *port, const char *body)
{
    atls_error *error = NULL;
    one_answer.body = body;
    check(atls_runtime_new(0, &one_answer.runtime, &error), &error);
    check(atls_queue_new_dispatching(&one_answer.queue, &error), &error);
    atls_server *server = listen_on(one_answer.runtime, one_answer.queue, config, on_one_request, port);
    while (getchar() != EOF)
        ;
    stop_server(server, one_answer.runtime, one_answer.queue);
}

#endif
