/* Handles that are freed while others need what is behind them: an exchange keeps its connection, its client and its runtime. Blocking exchanges that
 * are there before they block, informational heads for them, and bodies that are written twice. */
#include <pthread.h>
#include <unistd.h>

#include "web.h"

enum { LONG = 3000000 };

static struct sim sim;

/* What came of an exchange, or of the connection under it (token 1). */
struct record {
    size_t bytes;
    atls_status closed, connection;
    int connected, informational, rewinds;
    bool http_over;
};

static atls_config *config_of(void)
{
    atls_config *config = sim_config(sim.http, "policy.json");
    OK(atls_config_set_credit(config, 100000, true, &error));
    return config;
}

static atls_request *get_long(void)
{
    char path[40];
    atls_request *request = NULL;
    snprintf(path, sizeof path, "/bytes/%d", LONG);
    OK(atls_request_new("GET", path, "localhost", &request, &error));
    return request;
}

static bool take(atls_queue *queue, struct record *record, uint32_t until)
{
    atls_event event;
    size_t count = 0;
    OK(atls_queue_wait(queue, &event, sizeof event, 1, 20000, &count, &error));
    CHECK(count == 1);
    uint32_t kind = event.kind;
    if (event.token == 1) {
        record->http_over |= kind == ATLS_EVENT_CLOSED;
        record->connection = event.status;
        kind = 0;
    } else {
        if (kind == ATLS_EVENT_DATA)
            record->bytes += atls_buf_len(event.buf);
        if (kind == ATLS_EVENT_CLOSED)
            record->closed = event.status;
        record->connected += kind == ATLS_EVENT_CONNECTED;
        record->informational += kind == ATLS_EVENT_INFORMATIONAL;
    }
    atls_event_release(&event);
    return kind == until;
}

static void a_freed_connection_lets_its_exchange_end(void)
{
    atls_runtime *runtime = NULL;
    atls_queue *queue = NULL;
    atls_http *http = NULL;
    atls_exchange *exchange = NULL;
    atls_config *config = config_of();
    atls_request *request = get_long();
    struct record record = {0};
    OK(atls_runtime_new(1, &runtime, &error));
    OK(atls_queue_new_polled(&queue, &error));
    OK(atls_http_connect_start(runtime, config, &(atls_sink){.queue = queue, .token = 1}, &http, &error));
    while (!atls_http_ready(http))
        take(queue, &record, 0);
    OK(atls_http_start(http, request, &(atls_sink){.queue = queue, .token = 2}, &exchange, &error));
    while (!take(queue, &record, ATLS_EVENT_HEAD))
        ;
    atls_http_free(http);
    atls_runtime_free(runtime);
    while (!take(queue, &record, ATLS_EVENT_CLOSED))
        ;
    CHECK(record.closed == ATLS_OK && record.bytes == LONG);
    while (!record.http_over)
        take(queue, &record, 0);
    CHECK(record.connection == ATLS_CANCELED);
    atls_exchange_free(exchange);
    atls_queue_free(queue);
    atls_request_free(request);
    atls_config_free(config);
}

static void a_freed_connection_lets_a_blocking_exchange_end(void)
{
    atls_http *http = NULL;
    atls_exchange *exchange = NULL;
    atls_config *config = config_of();
    atls_request *request = get_long();
    OK(atls_http_connect(config, &http, &error));
    OK(atls_http_fetch(http, request, &exchange, &error));
    atls_http_free(http);
    struct answer answer = answer_to(exchange);
    CHECK(answer.status == 200 && answer.len == LONG);
    forget(answer);
    atls_request_free(request);
    atls_config_free(config);
}

/* Client and runtime go at once, or after the head. */
static void client_freed(bool at_once)
{
    atls_runtime *runtime = NULL;
    atls_queue *queue = NULL;
    atls_client *client = NULL;
    atls_exchange *exchange = NULL;
    atls_config *config = config_of();
    struct record record = {0};
    atls_request *request = ask("GET", "https://localhost:%u/bytes/%d", sim.http, LONG);
    OK(atls_runtime_new(1, &runtime, &error));
    OK(atls_queue_new_polled(&queue, &error));
    OK(atls_client_new(runtime, config, NULL, &client, &error));
    OK(atls_client_start(client, request, &(atls_sink){.queue = queue, .token = 2}, &exchange, &error));
    while (!at_once && !take(queue, &record, ATLS_EVENT_HEAD))
        ;
    atls_client_free(client);
    atls_runtime_free(runtime);
    while (!take(queue, &record, ATLS_EVENT_CLOSED))
        ;
    CHECK(record.closed == ATLS_OK && record.bytes == LONG);
    CHECK(record.connected == 0); /* only a streamed body asks for that */
    atls_exchange_free(exchange);
    atls_queue_free(queue);
    atls_request_free(request);
    atls_config_free(config);
}

static void *cancel_soon(void *exchange)
{
    usleep(100000);
    atls_error *failure = NULL;
    CHECK(atls_exchange_cancel(exchange, &failure) == ATLS_OK);
    return NULL;
}

/* A blocking exchange is there before it blocks, and another thread can cancel it. */
static void another_thread_can_cancel_a_blocking_exchange(void)
{
    pthread_t thread;
    atls_client *client = NULL;
    atls_http *http = NULL;
    atls_exchange *exchange = NULL;
    atls_head *head = NULL;
    atls_config *config = config_of();
    atls_request *request = ask("GET", "https://localhost:%u/hang", sim.http);
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    OK(atls_http_connect(config, &http, &error));
    for (int own = 0; own < 2; own++) {
        if (own)
            OK(atls_http_open(http, request, &exchange, &error));
        else
            OK(atls_client_open(client, request, &exchange, &error));
        CHECK(pthread_create(&thread, NULL, cancel_soon, exchange) == 0);
        EXPECT(ATLS_CANCELED, NULL, atls_exchange_head(exchange, 20000, &head, &error));
        CHECK(pthread_join(thread, NULL) == 0);
        atls_exchange_free(exchange);
    }
    CHECK(!atls_http_ready(http) && atls_client_active_requests(client) == 0);
    atls_http_free(http);
    atls_client_free(client);
    atls_request_free(request);
    atls_config_free(config);
}

/* Informational heads for who blocks: while waiting, and afterwards. */
static void informational_heads_can_be_read_while_blocking(void)
{
    atls_client *client = NULL;
    atls_config *config = config_of();
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    for (int begins = 0; begins < 2; begins++) {
        atls_exchange *exchange = NULL;
        atls_head *head = NULL;
        atls_request *request = ask("GET", "https://localhost:%u/early", sim.http);
        if (begins)
            OK(atls_client_open(client, request, &exchange, &error));
        else
            OK(atls_client_fetch(client, request, &exchange, &error));
        OK(atls_exchange_next_informational(exchange, 20000, &head, &error));
        CHECK(head && atls_head_status(head) == 103 && strcmp(atls_head_get(head, "link").ptr, "</x>") == 0);
        atls_head_free(head);
        OK(atls_exchange_next_informational(exchange, 20000, &head, &error));
        CHECK(head == NULL);
        struct answer answer = answer_to(exchange);
        CHECK(answer.status == 200 && answer.len == 4);
        forget(answer);
        atls_request_free(request);
    }
    atls_client_free(client);
    atls_config_free(config);
}

/* A streamed body that a redirect asks for once more. */
static atls_request *redirected(bool may_rewind, uint32_t status)
{
    atls_request *request = ask("POST", "https://localhost:%u/redirect?%u,/echo", sim.http, status);
    OK(atls_request_set_body_stream(request, ATLS_LENGTH_UNKNOWN, &error));
    OK(atls_request_set_body_rewindable(request, may_rewind, &error));
    return request;
}

static void a_blocking_upload_is_written_again_after_a_redirect(void)
{
    atls_client *client = NULL;
    atls_config *config = config_of();
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    for (int may = 0; may < 2; may++) {
        atls_exchange *exchange = NULL;
        atls_head *head = NULL;
        atls_request *request = redirected(may, 307);
        OK(atls_client_fetch(client, request, &exchange, &error));
        EXPECT(ATLS_INVALID_STATE, "written again", atls_exchange_rewind(exchange, &error));
        OK(atls_exchange_write_all(exchange, atls_bytes_of("first ", 6), 20000, &error));
        OK(atls_exchange_write_all(exchange, atls_bytes_of("second", 6), 20000, &error));
        OK(atls_exchange_finish(exchange, &error));
        if (may) {
            CHECK(atls_exchange_head(exchange, 20000, &head, &error) == ATLS_AGAIN && atls_error_detail(error) == ATLS_DETAIL_REWIND);
            atls_error_free(error);
            error = NULL;
            EXPECT(ATLS_AGAIN, "beginning", atls_exchange_write_all(exchange, atls_bytes_of("lost", 4), 20000, &error));
            OK(atls_exchange_rewind(exchange, &error));
            OK(atls_exchange_write_all(exchange, atls_bytes_of("once more", 9), 20000, &error));
            OK(atls_exchange_finish(exchange, &error));
        }
        struct answer answer = answer_to(exchange);
        CHECK(answer.status == (may ? 200 : 307) && (!may || (answer.len == 9 && memcmp(answer.body, "once more", 9) == 0)));
        CHECK(atls_exchange_redirects(exchange) == (unsigned)may);
        forget(answer);
        atls_request_free(request);
    }
    atls_client_free(client);
    atls_config_free(config);
}

static void an_upload_is_written_again_after_a_redirect(void)
{
    atls_runtime *runtime = NULL;
    atls_queue *queue = NULL;
    atls_client *client = NULL;
    atls_exchange *exchange = NULL;
    atls_config *config = config_of();
    atls_request *request = redirected(true, 308);
    struct record record = {0};
    OK(atls_runtime_new(1, &runtime, &error));
    OK(atls_queue_new_polled(&queue, &error));
    OK(atls_client_new(runtime, config, NULL, &client, &error));
    OK(atls_client_start(client, request, &(atls_sink){.queue = queue, .token = 2}, &exchange, &error));
    /* The producer starts when there is a connection. */
    CHECK(take(queue, &record, ATLS_EVENT_CONNECTED));
    for (int i = 0; i < 2; i++) {
        OK(atls_exchange_write(exchange, atls_bytes_of("body", 4), &error));
        OK(atls_exchange_finish(exchange, &error));
        CHECK(take(queue, &record, i ? ATLS_EVENT_HEAD : ATLS_EVENT_REWIND));
        if (i == 0)
            OK(atls_exchange_rewind(exchange, &error));
    }
    while (!take(queue, &record, ATLS_EVENT_CLOSED))
        ;
    CHECK(record.closed == ATLS_OK && record.bytes == 4 && record.connected == 1);
    atls_exchange_free(exchange);
    atls_client_free(client);
    atls_runtime_free(runtime);
    atls_queue_free(queue);
    atls_request_free(request);
    atls_config_free(config);
}

static void a_client_freed_after_the_head_lets_its_exchange_end(void)
{
    client_freed(false);
}

static void a_client_freed_at_once_lets_its_exchange_end(void)
{
    client_freed(true);
}

static void set_up(void)
{
    sim = sim_start();
}

TESTS(set_up, NULL, CASE(a_freed_connection_lets_its_exchange_end), CASE(a_freed_connection_lets_a_blocking_exchange_end),
      CASE(a_client_freed_after_the_head_lets_its_exchange_end), CASE(a_client_freed_at_once_lets_its_exchange_end),
      CASE(another_thread_can_cancel_a_blocking_exchange), CASE(informational_heads_can_be_read_while_blocking),
      CASE(a_blocking_upload_is_written_again_after_a_redirect), CASE(an_upload_is_written_again_after_a_redirect))
