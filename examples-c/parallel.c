/* parallel.c - 64 concurrent requests on one queue: the client sends as many as its limit allows, and the others wait their turn.
 *
 * usage: parallel POLICY.json URL
 */
#include <pthread.h>

#include "common.h"

enum { REQUESTS = 64 };

struct tally {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int over, failed, reused;
    size_t bytes;
};

/* Runs on the queue's thread, one event at a time. */
static void on_event(void *user_data, const atls_event *event)
{
    struct tally *tally = user_data;
    if (event->kind == ATLS_EVENT_HEAD)
        tally->reused += atls_exchange_reused(event->source);
    if (event->kind == ATLS_EVENT_DATA)
        tally->bytes += atls_buf_len(event->buf);
    if (event->kind != ATLS_EVENT_CLOSED)
        return;
    if (event->status != ATLS_OK)
        fprintf(stderr, "%s: %s\n", atls_status_name(event->status).ptr, atls_error_message(event->error).ptr);
    pthread_mutex_lock(&tally->lock);
    tally->failed += event->status != ATLS_OK;
    tally->over++;
    pthread_cond_signal(&tally->changed);
    pthread_mutex_unlock(&tally->lock);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s POLICY.json URL\n", argv[0]);
        return 2;
    }
    struct tally tally = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0, 0};
    atls_error *error = NULL;
    atls_runtime *runtime = NULL;
    atls_queue *queue = NULL;
    atls_client *client = NULL;
    atls_client_limits *limits = NULL;
    atls_request *request = NULL;
    atls_exchange *exchanges[REQUESTS];
    atls_config *config = make_config(NULL, NULL, argv[1]);
    check(atls_runtime_new(0, &runtime, &error), &error);
    check(atls_queue_new_dispatching(&queue, &error), &error);
    check(atls_client_limits_new(&limits, &error), &error);
    check(atls_client_limits_set_requests(limits, 8, &error), &error);
    check(atls_client_new(runtime, config, limits, &client, &error), &error);
    check(atls_request_new_url("GET", argv[2], &request, &error), &error);

    atls_sink sink = {.queue = queue, .call = on_event, .user_data = &tally};
    for (int i = 0; i < REQUESTS; i++)
        check(atls_client_start(client, request, &sink, &exchanges[i], &error), &error);
    pthread_mutex_lock(&tally.lock);
    while (tally.over < REQUESTS)
        pthread_cond_wait(&tally.changed, &tally.lock);
    pthread_mutex_unlock(&tally.lock);
    printf("%d requests, %d failed, %d on a used connection, %zu bytes\n", REQUESTS, tally.failed, tally.reused, tally.bytes);

    for (int i = 0; i < REQUESTS; i++)
        atls_exchange_free(exchanges[i]);
    atls_request_free(request);
    atls_client_free(client);
    atls_client_limits_free(limits);
    atls_config_free(config);
    check(atls_queue_stop(queue, &error), &error);
    atls_queue_free(queue);
    atls_runtime_free(runtime);
    return tally.failed != 0;
}
