/* The events of an exchange, which come in order and need no credit for the end; and all three kinds of queue. */
#include "job.h"

struct heads {
    char order[32];
    atomic_int done;
    atls_status status;
};

/* The order of an exchange's events, and what they carry. */
static void on_exchange(void *user_data, const atls_event *event)
{
    struct heads *heads = user_data;
    size_t at = strlen(heads->order);
    CHECK(at < sizeof heads->order - 1 && event->kind < 9);
    heads->order[at] = ".CIHDTEWX"[event->kind];
    if (event->kind == ATLS_EVENT_INFORMATIONAL)
        CHECK(atls_head_status(event->head) == 103 && strcmp(atls_head_get(event->head, "link").ptr, "</x>") == 0);
    if (event->kind == ATLS_EVENT_HEAD && atls_head_count(event->head) > 3)
        CHECK(atls_head_status(event->head) == 200 && strcmp(atls_head_name(event->head, 1).ptr, "x-case") == 0);
    if (event->kind == ATLS_EVENT_TRAILERS)
        CHECK(atls_head_status(event->head) == 0 && strcmp(atls_head_get(event->head, "x-trailer").ptr, "end") == 0);
    if (event->kind == ATLS_EVENT_CLOSED) {
        heads->status = event->status;
        heads->done = 1;
    }
}

/* The end needs no credit: a host that granted just what it expects still hears END. */
static void the_end_needs_no_credit(void)
{
    atls_error *error = NULL;
    struct job job = {0};
    atls_config *config = sim_config(sim.raw, "policy.json");
    OK(atls_config_set_credit(config, 5, false, &error));
    start(&job, queue, config);
    wait_for(&job.connected);
    OK(atls_stream_write(job.stream, atls_bytes_of("exact", 5), &error));
    OK(atls_stream_finish(job.stream, &error));
    wait_for(&job.closed);
    CHECK(job.received == 5 && job.ended == 1 && job.status == ATLS_OK);
    atls_stream_free(job.stream);
    atls_config_free(config);

    atls_http *http = NULL;
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    struct job connection = {0};
    struct heads heads = {0};
    config = sim_config(sim.http, "policy.json");
    OK(atls_config_set_credit(config, 100, false, &error));
    atls_sink sink = {queue, 42, on_event, &connection, NULL}, events = {queue, 0, on_exchange, &heads, NULL};
    OK(atls_http_connect_start(runtime, config, &sink, &http, &error));
    wait_for(&connection.connected);
    OK(atls_request_new("GET", "/small", "localhost", &request, &error));
    OK(atls_http_start(http, request, &events, &exchange, &error));
    wait_for(&heads.done);
    CHECK(heads.status == ATLS_OK && strcmp(heads.order, "HDEX") == 0);
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_http_free(http);
    wait_for(&connection.closed);
    atls_config_free(config);
}

static void the_events_of_an_exchange_come_in_order(void)
{
    atls_error *error = NULL;
    atls_http *http = NULL;
    atls_request *request = NULL, *upload = NULL;
    struct job job = {.action = HOG};
    atls_config *config = sim_config(sim.http, "policy.json");
    atls_sink sink = {queue, 42, on_event, &job, on_drop};
    OK(atls_request_new("GET", "/early", "localhost", &request, &error));
    OK(atls_http_connect_start(runtime, config, &sink, &http, &error));
    wait_for(&job.connected);
    for (int i = 0; i < 3; i++) {
        struct heads heads = {0}, after = {0};
        atls_exchange *exchange = NULL, *second = NULL;
        atls_sink events = {queue, 0, on_exchange, &heads, NULL}, late = {queue, 0, on_exchange, &after, NULL};
        OK(atls_http_start(http, request, &events, &exchange, &error));
        /* Refused while the first is under way, which it may not be any more. */
        atls_status busy = atls_http_start(http, request, &late, &second, NULL);
        CHECK(busy == ATLS_BUSY || busy == ATLS_OK);
        wait_for(&heads.done);
        CHECK(heads.status == ATLS_OK && strcmp(heads.order, "IHDTEX") == 0);
        atls_exchange_free(exchange);
        if (busy == ATLS_OK) {
            wait_for(&after.done);
            CHECK(strcmp(after.order, "IHDTEX") == 0);
            atls_exchange_free(second);
        }
    }
    /* An upload by WRITABLE, and one that is given up in the middle: the connection goes with it. */
    struct heads heads = {0};
    static unsigned char block[100000];
    atls_exchange *exchange = NULL;
    atls_sink events = {queue, 0, on_exchange, &heads, NULL};
    OK(atls_request_new("POST", "/sink", "localhost", &upload, &error));
    OK(atls_request_set_body_stream(upload, ATLS_LENGTH_UNKNOWN, &error));
    OK(atls_http_start(http, upload, &events, &exchange, &error));
    for (int sent = 0; sent < 5;)
        if (atls_exchange_write(exchange, atls_bytes_of(block, sizeof block), NULL) == ATLS_OK)
            sent++;
        else
            usleep(1000);
    memset(heads.order, 0, sizeof heads.order);
    OK(atls_exchange_finish(exchange, &error));
    wait_for(&heads.done);
    CHECK(heads.status == ATLS_OK);
    atls_exchange_free(exchange);
    memset(&heads, 0, sizeof heads);
    OK(atls_http_start(http, upload, &events, &exchange, &error));
    OK(atls_exchange_cancel(exchange, &error));
    wait_for(&heads.done);
    CHECK(heads.status == ATLS_CANCELED);
    wait_for(&job.closed);
    EXPECT(ATLS_CLOSED, NULL, atls_http_start(http, request, &events, &exchange, &error));
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_request_free(upload);
    atls_http_free(http);
    atls_config_free(config);
}

static void a_polled_queue_hands_out_events(void)
{
    atls_error *error = NULL;
    atls_queue *queue = NULL;
    struct job job = {0};
    atls_event events[4];
    size_t count = 7;
    OK(atls_queue_new_polled(&queue, &error));
    CHECK(atls_queue_fd(queue) >= 0);
    OK(atls_queue_next(queue, events, sizeof *events, 4, &count, &error));
    CHECK(count == 0);
    EXPECT(ATLS_INVALID_ARGUMENT, "event_size", atls_queue_next(queue, events, 8, 4, &count, &error));
    atls_config *config = sim_config(sim.raw, "policy.json");
    atls_sink sink = {queue, 4711, NULL, &job, NULL};
    atls_stream *stream = NULL;
    OK(atls_stream_connect_start(runtime, config, &sink, &stream, &error));
    int closed = 0;
    size_t received = 0;
    while (!closed) {
        struct pollfd poller = {atls_queue_fd(queue), POLLIN, 0};
        CHECK(poll(&poller, 1, 20000) == 1);
        OK(atls_queue_wait(queue, events, sizeof *events, 4, 1000, &count, &error));
        for (size_t i = 0; i < count; i++) {
            CHECK(events[i].token == 4711 && events[i].source == stream);
            if (events[i].kind == ATLS_EVENT_CONNECTED) {
                OK(atls_stream_write(stream, atls_bytes_of("0123456789", 10), &error));
                OK(atls_stream_finish(stream, &error));
            }
            if (events[i].kind == ATLS_EVENT_DATA)
                received += atls_buf_len(events[i].buf);
            if (events[i].kind == ATLS_EVENT_CLOSED) {
                CHECK(events[i].status == ATLS_OK);
                closed = 1;
            }
            atls_event_release(&events[i]);
            atls_event_release(&events[i]); /* harmless */
        }
    }
    CHECK(received == 10);
    /* Stop with an operation under way and events that nobody takes. */
    atls_stream *second = NULL;
    OK(atls_stream_connect_start(runtime, config, &sink, &second, &error));
    OK(atls_queue_stop(queue, &error));
    EXPECT(ATLS_INVALID_STATE, "stopped", atls_stream_connect_start(runtime, config, &sink, &second, &error));
    atls_stream_free(second);
    atls_stream_free(stream);
    atls_queue_free(queue);
    atls_config_free(config);
}

static void an_inline_queue_calls_where_the_event_arises(void)
{
    atls_error *error = NULL;
    atls_queue *queue = NULL;
    struct job job = {.action = CLOSE_ON_CONNECT};
    OK(atls_queue_new_inline(&queue, &error));
    CHECK(atls_queue_fd(queue) == -1);
    atls_config *config = sim_config(sim.raw, "policy.json");
    start(&job, queue, config);
    wait_for(&job.dropped);
    CHECK(job.status == ATLS_OK && job.closed == 1);
    OK(atls_queue_stop(queue, &error));
    atls_stream_free(job.stream);
    atls_queue_free(queue);
    atls_config_free(config);
}

TESTS(set_up, loop_end, CASE(the_end_needs_no_credit), CASE(the_events_of_an_exchange_come_in_order), CASE(a_polled_queue_hands_out_events),
      CASE(an_inline_queue_calls_where_the_event_arises))
