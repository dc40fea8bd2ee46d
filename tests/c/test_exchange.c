/* Event-driven exchanges of a client: a body in one piece, decoded under credit, bodies from callbacks, deadlines, giving up in every phase, and a
 * client that is freed in a callback. */
#include <pthread.h>
#include <unistd.h>

#include "loop.h"
#include "web.h"

/* What an exchange told; `over` is the last of it. */
struct record {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    atls_client *free_at_head;
    uint32_t head, detail;
    int heads, pieces, ends, writable, over, dropped;
    size_t bytes, largest;
    atls_status status;
    char phase[20];
};

static void on_event(void *user_data, const atls_event *event)
{
    struct record *record = user_data;
    pthread_mutex_lock(&record->lock);
    switch (event->kind) {
    case ATLS_EVENT_HEAD:
        record->heads++;
        record->head = atls_head_status(event->head);
        atls_client_free(record->free_at_head);
        record->free_at_head = NULL;
        break;
    case ATLS_EVENT_DATA:
        record->pieces++;
        record->bytes += atls_buf_len(event->buf);
        record->largest = atls_buf_len(event->buf) > record->largest ? atls_buf_len(event->buf) : record->largest;
        break;
    case ATLS_EVENT_END:
        record->ends++;
        break;
    case ATLS_EVENT_WRITABLE:
        record->writable++;
        break;
    case ATLS_EVENT_CLOSED:
        record->over++;
        record->status = event->status;
        record->detail = atls_error_detail(event->error);
        snprintf(record->phase, sizeof record->phase, "%s", event->error ? atls_error_phase(event->error).ptr : "");
        break;
    }
    pthread_cond_broadcast(&record->changed);
    pthread_mutex_unlock(&record->lock);
}

static void on_drop(void *user_data)
{
    struct record *record = user_data;
    pthread_mutex_lock(&record->lock);
    record->dropped++;
    pthread_cond_broadcast(&record->changed);
    pthread_mutex_unlock(&record->lock);
}

static atls_client *new_client(uint32_t requests, uint64_t credit)
{
    atls_client *client = NULL;
    atls_client_limits *limits = NULL;
    atls_config *config = web_config();
    OK(atls_config_set_credit(config, credit, credit != 0, &error));
    OK(atls_client_limits_new(&limits, &error));
    OK(atls_client_limits_set_requests(limits, requests, &error));
    OK(atls_client_new(runtime, config, limits, &client, &error));
    atls_client_limits_free(limits);
    atls_config_free(config);
    return client;
}

static atls_exchange *start(atls_client *client, atls_request *request, struct record *record)
{
    atls_exchange *exchange = NULL;
    atls_sink sink = {queue, 0, on_event, record, on_drop};
    *record = (struct record){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    OK(atls_client_start(client, request, &sink, &exchange, &error));
    atls_request_free(request);
    return exchange;
}

static void wait_for(struct record *record)
{
    pthread_mutex_lock(&record->lock);
    while (!record->dropped)
        pthread_cond_wait(&record->changed, &record->lock);
    pthread_mutex_unlock(&record->lock);
    CHECK(record->over == 1);
}

/* Runs a request to its end. */
static struct record run(atls_client *client, atls_request *request)
{
    struct record record;
    atls_exchange *exchange = start(client, request, &record);
    wait_for(&record);
    atls_exchange_free(exchange);
    return record;
}

static void a_buffered_body_comes_in_one_piece(void)
{
    atls_client *client = new_client(4, 0);
    atls_request *request = ask("GET", "https://localhost:%u/encoded?coding=br&tens=100000", peer("TLS"));
    OK(atls_request_set_decode(request, true, &error));
    OK(atls_request_set_buffered(request, true, &error));
    struct record record = run(client, request);
    CHECK(record.status == ATLS_OK && record.pieces == 1 && record.bytes == 1000000 && record.ends == 1);
    request = ask("GET", "http://127.0.0.1:%u/status/204", peer("PLAIN"));
    OK(atls_request_set_buffered(request, true, &error));
    record = run(client, request);
    CHECK(record.status == ATLS_OK && record.head == 204 && record.pieces == 1 && record.bytes == 0);
    request = ask("GET", "https://localhost:%u/encoded?coding=zstd&tens=100000", peer("TLS"));
    OK(atls_request_set_decode(request, true, &error));
    OK(atls_request_set_buffered(request, true, &error));
    OK(atls_request_set_max_response_body(request, 999999, &error));
    record = run(client, request);
    CHECK(record.status == ATLS_BODY_TOO_LARGE && record.pieces == 0 && record.ends == 0);
    atls_client_free(client);
}

static void decoding_stays_within_credit(void)
{
    struct record record;
    atls_client *client = new_client(4, 0);
    atls_request *request = ask("GET", "https://localhost:%u/encoded?coding=gzip&tens=100000", peer("TLS"));
    OK(atls_request_set_decode(request, true, &error));
    atls_exchange *exchange = start(client, request, &record);
    for (size_t granted = 0; granted < 1000000; granted += 10000) {
        OK(atls_exchange_grant(exchange, 10000, &error));
        pthread_mutex_lock(&record.lock);
        while (record.bytes < granted + 10000 && !record.over)
            pthread_cond_wait(&record.changed, &record.lock);
        CHECK(record.bytes == granted + 10000);
        pthread_mutex_unlock(&record.lock);
    }
    wait_for(&record);
    CHECK(record.status == ATLS_OK && record.bytes == 1000000 && record.largest <= 10000);
    atls_exchange_free(exchange);
    atls_client_free(client);
}

static atls_client *of_blocking_call;

static int64_t produce(void *user_data, uint8_t *buf, size_t cap)
{
    size_t *left = user_data, n = *left < cap ? *left : cap;
    atls_exchange *exchange = NULL;
    atls_error *own = NULL;
    /* A callback must not wait for what it is needed for. */
    if (of_blocking_call) {
        atls_request *request = NULL;
        if (atls_request_new_url("GET", "http://127.0.0.1:1/", &request, &own) != ATLS_OK ||
            atls_client_fetch(of_blocking_call, request, &exchange, &own) != ATLS_WOULD_DEADLOCK)
            return -1;
        atls_error_free(own);
        atls_request_free(request);
        of_blocking_call = NULL;
    }
    memset(buf, 'x', n);
    *left -= n;
    return (int64_t)n;
}

static void bodies_come_from_callbacks_and_from_writes(void)
{
    size_t left = 3000000;
    atls_client *client = new_client(4, 65536), *blocking = web_client();
    atls_body_source source = {produce, NULL, NULL, &left};
    atls_request *request = ask("POST", "http://127.0.0.1:%u/upload", peer("PLAIN"));
    OK(atls_request_set_body_source(request, &source, ATLS_LENGTH_UNKNOWN, &error));
    of_blocking_call = blocking;
    struct record record = run(client, request);
    CHECK(record.status == ATLS_OK && record.head == 200 && left == 0 && record.bytes == strlen("3000000 - chunked") && !of_blocking_call);

    /* Written by the host, which waits to be asked for it. */
    static uint8_t piece[100000];
    request = ask("POST", "http://127.0.0.1:%u/upload", peer("PLAIN"));
    OK(atls_request_set_body_stream(request, 1000000, &error));
    OK(atls_request_set_expect_continue(request, 10000, &error));
    atls_exchange *exchange = start(client, request, &record);
    for (int sent = 0; sent < 10;) {
        pthread_mutex_lock(&record.lock);
        int writable = record.writable;
        pthread_mutex_unlock(&record.lock);
        atls_status status = atls_exchange_write(exchange, atls_bytes_of(piece, sizeof piece), &error);
        atls_error_free(error);
        error = NULL;
        CHECK(status == ATLS_OK || status == ATLS_AGAIN);
        sent += status == ATLS_OK;
        pthread_mutex_lock(&record.lock);
        while (status == ATLS_AGAIN && record.writable == writable)
            pthread_cond_wait(&record.changed, &record.lock);
        pthread_mutex_unlock(&record.lock);
    }
    OK(atls_exchange_finish(exchange, &error));
    wait_for(&record);
    CHECK(record.status == ATLS_OK && record.bytes == strlen("1000000 100-continue 1000000"));
    OK(atls_exchange_finish(exchange, &error));
    EXPECT(ATLS_CLOSED, "over", atls_exchange_write(exchange, atls_bytes_of(piece, 1), &error));
    atls_exchange_free(exchange);
    atls_client_free(client);
    atls_client_free(blocking);
}

static void each_deadline_ends_the_exchange_with_its_detail(void)
{
    static const struct {
        const char *path;
        uint32_t which, detail;
        int heads;
    } cases[] = {
        {"head=10000", ATLS_REQUEST_DEADLINE_HEAD, ATLS_DETAIL_HEAD_TIMEOUT, 0},
        {"head=10000", ATLS_REQUEST_DEADLINE_FIRST_BYTE, ATLS_DETAIL_FIRST_BYTE_TIMEOUT, 0},
        {"head=10000", ATLS_REQUEST_DEADLINE_TOTAL, ATLS_DETAIL_TOTAL_TIMEOUT, 0},
        {"pieces=3&gap=10000", ATLS_REQUEST_DEADLINE_IDLE, ATLS_DETAIL_IDLE_TIMEOUT, 1},
        {"pieces=1000&gap=20", ATLS_REQUEST_DEADLINE_TOTAL, ATLS_DETAIL_TOTAL_TIMEOUT, 1},
    };
    atls_client *client = new_client(4, 65536);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        atls_request *request = ask("GET", "http://127.0.0.1:%u/slow?%s", peer("PLAIN"), cases[i].path);
        OK(atls_request_set_deadline(request, cases[i].which, 300, &error));
        struct record record = run(client, request);
        CHECK(record.status == ATLS_TIMED_OUT && record.detail == cases[i].detail && record.heads == cases[i].heads);
        CHECK(strcmp(record.phase, "transfer") == 0 && record.ends == 0);
    }
    CHECK(atls_client_active_requests(client) == 0 && atls_client_idle_connections(client) == 0);
    atls_client_free(client);
}

/* In each phase: while it waits for a turn, connects, shakes hands, waits for the answer, reads it. */
static void an_exchange_can_be_canceled_in_each_phase(void)
{
    atls_client *client = new_client(1, 65536);
    for (int phase = 0; phase < 5; phase++) {
        struct record first, record;
        atls_exchange *before = NULL, *exchange;
        atls_request *request;
        if (phase == 0)
            before = start(client, ask("GET", "http://127.0.0.1:%u/slow?head=10000", peer("PLAIN")), &first);
        switch (phase) {
        case 1:
            request = ask("GET", "http://192.0.2.1:9/");
            break;
        case 2:
            request = ask("GET", "https://127.0.0.1:%u/", peer("RAW"));
            break;
        case 4:
            request = ask("GET", "http://127.0.0.1:%u/slow?pieces=1000&gap=50", peer("PLAIN"));
            break;
        default:
            request = ask("GET", "http://127.0.0.1:%u/slow?head=10000", peer("PLAIN"));
        }
        exchange = start(client, request, &record);
        usleep(phase == 4 ? 200000 : 30000);
        if (phase % 2) {
            OK(atls_exchange_cancel(exchange, &error));
            wait_for(&record);
            atls_exchange_free(exchange);
        } else {
            atls_exchange_free(exchange);
            wait_for(&record);
        }
        CHECK(record.status == ATLS_CANCELED || (phase == 1 && record.status == ATLS_IO));
        if (before) {
            OK(atls_exchange_cancel(before, &error));
            wait_for(&first);
            atls_exchange_free(before);
        }
        CHECK(atls_client_queued_requests(client) == 0);
    }
    /* Its one place is free again. */
    struct record record = run(client, ask("GET", "http://127.0.0.1:%u/echo", peer("PLAIN")));
    CHECK(record.status == ATLS_OK && record.head == 200);
    atls_client_free(client);
}

static void a_client_may_be_freed_in_a_callback(void)
{
    struct record record;
    atls_client *client = new_client(2, 65536);
    atls_request *request = ask("GET", "http://127.0.0.1:%u/slow?head=500&pieces=3&gap=20", peer("PLAIN"));
    atls_exchange *exchange = start(client, request, &record);
    pthread_mutex_lock(&record.lock);
    record.free_at_head = client;
    pthread_mutex_unlock(&record.lock);
    wait_for(&record);
    CHECK(record.status == ATLS_OK && record.bytes == 15 && record.free_at_head == NULL);
    atls_exchange_free(exchange);
}

static void set_up(void)
{
    peer("PLAIN");
    loop_start();
}

TESTS(set_up, loop_end, CASE(a_buffered_body_comes_in_one_piece), CASE(decoding_stays_within_credit),
      CASE(bodies_come_from_callbacks_and_from_writes), CASE(each_deadline_ends_the_exchange_with_its_detail),
      CASE(an_exchange_can_be_canceled_in_each_phase), CASE(a_client_may_be_freed_in_a_callback))
