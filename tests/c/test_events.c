/* Event-driven handles: the guarantees of atls_sink and atls_event, credit, WRITABLE, re-entrancy, and all three kinds of queue. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "loop.h"
#include "sim.h"

static struct sim sim;

enum action { NOTHING, CANCEL_ON_CONNECT, FREE_ON_CONNECT, CLOSE_ON_CONNECT, HOG };

struct job {
    enum action action;
    atomic_int connected, ended, writable, closed, dropped, after_closed, inside;
    atomic_size_t received;
    atls_status status;
    atls_queue *queue;
    atls_stream *stream;
    unsigned char sum;
};

static void on_event(void *user_data, const atls_event *event)
{
    struct job *job = user_data;
    atls_error *error = NULL;
    CHECK(atomic_fetch_add(&job->inside, 1) == 0); /* never concurrent */
    if (job->closed)
        job->after_closed++;
    switch (event->kind) {
    case ATLS_EVENT_CONNECTED:
        job->connected++;
        CHECK(event->token == 42);
        if (job->action == CANCEL_ON_CONNECT)
            OK(atls_stream_cancel(event->source, &error));
        if (job->action == FREE_ON_CONNECT) {
            while (!job->stream) /* the starting call may not have returned yet */
                usleep(100);
            atls_stream_free(job->stream);
        }
        if (job->action == CLOSE_ON_CONNECT) {
            size_t n;
            unsigned char byte;
            atls_stream *blocking = NULL;
            EXPECT(ATLS_WOULD_DEADLOCK, NULL, atls_queue_stop(job->queue, &error));
            atls_config *config = sim_config(1, "policy.json");
            EXPECT(ATLS_WOULD_DEADLOCK, NULL, atls_stream_connect(config, &blocking, &error));
            atls_config_free(config);
            EXPECT(ATLS_INVALID_STATE, "event-driven", atls_stream_read(event->source, &byte, 1, 0, &n, &error));
            OK(atls_stream_write(event->source, atls_bytes_of("bye", 3), &error));
            OK(atls_stream_close(event->source, &error));
        }
        break;
    case ATLS_EVENT_DATA:
        job->received += atls_buf_len(event->buf);
        break;
    case ATLS_EVENT_END:
        job->ended++;
        break;
    case ATLS_EVENT_WRITABLE:
        job->writable++;
        break;
    case ATLS_EVENT_CLOSED:
        job->status = event->status;
        CHECK((event->error != NULL) == (event->status != ATLS_OK));
        job->closed++;
        break;
    }
    atomic_fetch_sub(&job->inside, 1);
}

static void on_drop(void *user_data)
{
    struct job *job = user_data;
    CHECK(job->closed == 1);
    job->dropped++;
}

static void on_drop_unheard(void *user_data)
{
    ((struct job *)user_data)->dropped++;
}

static void wait_for(atomic_int *flag)
{
    for (int i = 0; i < 20000 && !*flag; i++)
        usleep(1000);
    CHECK(*flag);
}

static void start(struct job *job, atls_queue *its_queue, atls_config *config)
{
    atls_error *error = NULL;
    atls_stream *stream = NULL;
    job->queue = its_queue;
    atls_sink sink = {its_queue, 42, on_event, job, on_drop};
    OK(atls_stream_connect_start(runtime, config, &sink, &stream, &error));
    job->stream = stream;
}

static void data_waits_for_credit_and_writers_for_writable(void)
{
    static unsigned char block[60000];
    atls_error *error = NULL;
    struct job job = {0};
    atls_config *config = sim_config(sim.raw, "policy.json");
    OK(atls_config_set_credit(config, 0, false, &error));
    start(&job, queue, config);
    /* Before it is attested nothing is taken. */
    atls_status first = atls_stream_write(job.stream, atls_bytes_of(block, 10), &error);
    CHECK(first == ATLS_AGAIN || first == ATLS_OK);
    atls_error_free(error);
    error = NULL;
    wait_for(&job.connected);
    if (first == ATLS_AGAIN)
        wait_for(&job.writable);
    int written = first == ATLS_OK ? 10 : 0, refused = 0, before = job.writable;
    /* Nobody reads: the echo fills up, and then so does our window. */
    for (int i = 0; i < 4000 && !refused; i++) {
        atls_status status = atls_stream_write(job.stream, atls_bytes_of(block, sizeof block), &error);
        if (status == ATLS_OK)
            written += sizeof block;
        else
            refused = status;
        atls_error_free(error);
        error = NULL;
    }
    CHECK(refused == ATLS_AGAIN);
    usleep(50000);
    CHECK(job.received == 0); /* held, without credit */
    OK(atls_stream_grant(job.stream, 1000, &error));
    for (int i = 0; i < 5000 && job.received < 1000; i++)
        usleep(1000);
    usleep(20000);
    CHECK(job.received == 1000); /* not a byte more */
    OK(atls_stream_grant(job.stream, UINT64_MAX, &error));
    for (int i = 0; i < 20000 && job.writable == before; i++)
        usleep(1000);
    CHECK(job.writable == before + 1); /* one for the one refusal */
    for (int i = 0; i < 20000 && job.received < (size_t)written; i++)
        usleep(1000);
    CHECK(job.received == (size_t)written);
    OK(atls_stream_finish(job.stream, &error));
    /* The echo ends in turn, and by now the stream may be closed altogether. */
    atls_status again = atls_stream_finish(job.stream, NULL), more = atls_stream_write(job.stream, atls_bytes_of(block, 1), NULL);
    CHECK(again == ATLS_INVALID_STATE || again == ATLS_CLOSED);
    CHECK(more == ATLS_INVALID_STATE || more == ATLS_CLOSED);
    wait_for(&job.closed);
    wait_for(&job.dropped);
    CHECK(job.ended == 1 && job.status == ATLS_OK);
    EXPECT(ATLS_CLOSED, NULL, atls_stream_write(job.stream, atls_bytes_of(block, 1), &error));
    atls_stream_free(job.stream);
    atls_config_free(config);
}

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

static atomic_int released;

static void on_release(void *user_data)
{
    free(user_data);
    released++;
}

/* Zero-copy both ways: our memory goes out and is given back, and what came in may be kept after the event. */
static atls_buf *kept;

static void keep(void *user_data, const atls_event *event)
{
    struct job *job = user_data;
    if (event->kind == ATLS_EVENT_CONNECTED)
        job->connected++;
    if (event->kind == ATLS_EVENT_DATA && !kept)
        kept = atls_buf_ref(event->buf);
    if (event->kind == ATLS_EVENT_DATA)
        job->received += atls_buf_len(event->buf);
    if (event->kind == ATLS_EVENT_CLOSED)
        job->closed++;
}

static void buffers_go_both_ways_without_a_copy(void)
{
    atls_error *error = NULL;
    atls_stream *stream = NULL;
    atls_buf *buf = NULL;
    struct job job = {0};
    unsigned char *mine = malloc(50000);
    CHECK(mine);
    memset(mine, 'z', 50000);
    atls_config *config = sim_config(sim.raw, "policy.json");
    atls_sink sink = {queue, 0, keep, &job, NULL};
    OK(atls_stream_connect_start(runtime, config, &sink, &stream, &error));
    wait_for(&job.connected);
    OK(atls_buf_wrap(atls_bytes_of(mine, 50000), on_release, mine, &buf, &error));
    OK(atls_stream_write_buf(stream, buf, &error));
    atls_buf_free(buf);
    wait_for(&released);
    for (int i = 0; i < 5000 && job.received < 50000; i++)
        usleep(1000);
    CHECK(job.received == 50000);
    OK(atls_stream_close(stream, &error));
    wait_for(&job.closed);
    atls_stream_free(stream);
    CHECK(atls_buf_len(kept) > 0 && atls_buf_data(kept)[0] == 'z');
    atls_buf_free(kept);
    atls_config_free(config);
}

static void a_callback_may_cancel_free_and_close(void)
{
    atls_config *config = sim_config(sim.raw, "policy.json");
    struct job cancel = {.action = CANCEL_ON_CONNECT}, freed = {.action = FREE_ON_CONNECT}, closed = {.action = CLOSE_ON_CONNECT};
    start(&cancel, queue, config);
    start(&freed, queue, config);
    start(&closed, queue, config);
    wait_for(&cancel.dropped);
    wait_for(&freed.dropped);
    wait_for(&closed.dropped);
    CHECK(cancel.status == ATLS_CANCELED && freed.status == ATLS_CANCELED && closed.status == ATLS_OK);
    CHECK(cancel.closed == 1 && freed.closed == 1 && closed.closed == 1);
    CHECK(cancel.after_closed == 0 && freed.after_closed == 0 && closed.after_closed == 0);
    atls_stream_free(cancel.stream);
    atls_stream_free(closed.stream);
    atls_config_free(config);
}

static void a_refused_connection_ends_with_its_error(void)
{
    atls_error *error = NULL;
    atls_stream *stream = NULL;
    struct job job = {0};
    atls_config *config = sim_config(sim.evil, "policy.json");
    start(&job, queue, config);
    wait_for(&job.dropped);
    CHECK(job.status == ATLS_BINDING_MISMATCH && job.connected == 0);
    CHECK(atls_stream_verdict(job.stream) == NULL);
    atls_stream_free(job.stream);
    /* A failed start takes nothing: no event, no drop. */
    struct job untouched = {0};
    atls_sink sink = {queue, 1, NULL, &untouched, on_drop_unheard};
    EXPECT(ATLS_NULL_ARGUMENT, "sink", atls_stream_connect_start(runtime, config, NULL, &stream, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "runtime", atls_stream_connect_start(NULL, config, &sink, &stream, &error));
    usleep(10000);
    CHECK(stream == NULL && untouched.closed == 0 && untouched.dropped == 0);
    /* A host that wants no events still hears, by `drop`, that all is over. */
    OK(atls_stream_connect_start(runtime, config, &sink, &stream, &error));
    wait_for(&untouched.dropped);
    CHECK(untouched.closed == 0);
    atls_stream_free(stream);
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

static void set_up(void)
{
    sim = sim_start();
    loop_start();
}

TESTS(set_up, loop_end, CASE(data_waits_for_credit_and_writers_for_writable), CASE(the_end_needs_no_credit),
      CASE(buffers_go_both_ways_without_a_copy), CASE(a_callback_may_cancel_free_and_close), CASE(a_refused_connection_ends_with_its_error),
      CASE(the_events_of_an_exchange_come_in_order), CASE(a_polled_queue_hands_out_events),
      CASE(an_inline_queue_calls_where_the_event_arises))
