/* Cancel, free and shutdown at every phase: whatever the moment, one CLOSED, one drop, and nothing after the barrier. */
#include <stdatomic.h>
#include <unistd.h>

#include "sim.h"

static atomic_int closed, dropped, stopped;

static void on_event(void *user_data, const atls_event *event)
{
    (void)user_data;
    CHECK(!stopped);
    if (event->kind == ATLS_EVENT_CLOSED)
        closed++;
}

static void on_drop(void *user_data)
{
    CHECK(!stopped);
    free(user_data);
    dropped++;
}

static void every_start_has_one_closed_and_one_drop_whenever_it_ends(void)
{
    struct sim sim = sim_start();
    atls_error *error = NULL;
    atls_config *config = sim_config(sim.http, "policy.json");
    atls_request *request = NULL;
    int rounds = getenv("ATLS_TEST_SLOW") ? 10 : 60;
    OK(atls_request_new("GET", "/bytes/3000000", "localhost", &request, &error));
    for (int round = 0; round < rounds; round++) {
        atls_runtime *runtime = NULL;
        atls_queue *queue = NULL;
        atls_stream *streams[8] = {0};
        atls_http *http = NULL;
        atls_exchange *exchange = NULL;
        int started = 0;
        closed = dropped = stopped = 0;
        OK(atls_runtime_new(2, &runtime, &error));
        OK(atls_queue_new_dispatching(&queue, &error));
        for (int i = 0; i < 8; i++, started++) {
            atls_sink sink = {queue, 0, on_event, malloc(16), on_drop};
            OK(atls_stream_connect_start(runtime, config, &sink, &streams[i], &error));
        }
        atls_sink sink = {queue, 0, on_event, malloc(16), on_drop};
        OK(atls_http_connect_start(runtime, config, &sink, &http, &error));
        started++;
        /* Later each round: in the middle of DNS, TCP, TLS, evidence, collateral, after it. */
        usleep((useconds_t)(round * 400));
        sink.user_data = malloc(16);
        atls_status status = atls_http_start(http, request, &sink, &exchange, NULL);
        if (status == ATLS_OK)
            started++;
        else
            free(sink.user_data);
        CHECK(status == ATLS_OK || status == ATLS_INVALID_STATE);
        for (int i = 0; i < 8; i++) {
            if (i % 3 == 0)
                atls_stream_free(streams[i]);
            else if (i % 3 == 1)
                OK(atls_stream_cancel(streams[i], &error));
            else
                OK(atls_stream_close(streams[i], &error));
        }
        if (round % 3 == 0)
            OK(atls_runtime_shutdown(runtime, 0, &error));
        if (round % 3 == 1)
            atls_exchange_free(exchange);
        OK(atls_queue_stop(queue, &error));
        stopped = 1;
        CHECK(closed == started && dropped == started);
        for (int i = 0; i < 8; i++)
            if (i % 3 != 0)
                atls_stream_free(streams[i]);
        if (round % 3 != 1)
            atls_exchange_free(exchange);
        atls_http_free(http);
        atls_queue_free(queue);
        atls_runtime_free(runtime);
    }
    atls_request_free(request);
    atls_config_free(config);
}

TESTS(NULL, NULL, CASE(every_start_has_one_closed_and_one_drop_whenever_it_ends))
