/* Many connections on one runtime and one queue, started and used from many threads, each answer checked. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "sim.h"

enum { THREADS = 4 };

static struct sim sim;
static atls_runtime *runtime;
static atls_queue *queue;

struct fetch {
    atls_http *http;
    atls_request *request;
    atls_exchange *exchange;
    atomic_int left;
    atomic_int done;
    size_t received;
};

static void on_exchange(void *user_data, const atls_event *event);

static void next(struct fetch *fetch)
{
    atls_error *error = NULL;
    atls_sink sink = {queue, 0, on_exchange, fetch, NULL};
    fetch->received = 0;
    atls_exchange_free(fetch->exchange);
    fetch->exchange = NULL;
    OK(atls_http_start(fetch->http, fetch->request, &sink, &fetch->exchange, &error));
}

static void on_exchange(void *user_data, const atls_event *event)
{
    struct fetch *fetch = user_data;
    if (event->kind == ATLS_EVENT_DATA)
        fetch->received += atls_buf_len(event->buf);
    if (event->kind == ATLS_EVENT_CLOSED) {
        CHECK(event->status == ATLS_OK && fetch->received == 40000);
        if (--fetch->left > 0)
            next(fetch);
        else
            fetch->done = 1;
    }
}

static void on_connection(void *user_data, const atls_event *event)
{
    if (event->kind == ATLS_EVENT_CONNECTED)
        next(user_data);
}

static void *work(void *argument)
{
    (void)argument;
    atls_error *error = NULL;
    int rounds = getenv("ATLS_TEST_SLOW") ? 1 : 5;
    atls_config *config = sim_config(sim.http, "policy.json");
    for (int round = 0; round < rounds; round++) {
        struct fetch fetches[4] = {0};
        for (int i = 0; i < 4; i++) {
            fetches[i].left = 5;
            OK(atls_request_new("GET", "/bytes/40000", "localhost", &fetches[i].request, &error));
            atls_sink sink = {queue, 0, on_connection, &fetches[i], NULL};
            /* G5: the handle is in place before the first event can run. */
            OK(atls_http_connect_start(runtime, config, &sink, &fetches[i].http, &error));
        }
        for (int i = 0; i < 4; i++) {
            for (int k = 0; k < 60000 && !fetches[i].done; k++)
                usleep(1000);
            CHECK(fetches[i].done);
        }
        /* Other threads share the queue, so it is no barrier here: wait for the connections' own end instead. */
        for (int i = 0; i < 4; i++) {
            atls_exchange_free(fetches[i].exchange);
            atls_request_free(fetches[i].request);
            atls_http_free(fetches[i].http);
        }
        usleep(50000);
    }
    atls_config_free(config);
    return NULL;
}

static void many_threads_share_a_runtime_and_a_queue(void)
{
    atls_error *error = NULL;
    pthread_t threads[THREADS];
    sim = sim_start();
    OK(atls_runtime_new(2, &runtime, &error));
    OK(atls_queue_new_dispatching(&queue, &error));
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    OK(atls_queue_stop(queue, &error));
    atls_queue_free(queue);
    OK(atls_runtime_shutdown(runtime, 0, &error));
    atls_runtime_free(runtime);
}

TESTS(NULL, NULL, CASE(many_threads_share_a_runtime_and_a_queue))
