/* Handles that the host frees or uses inside its callbacks: no use after free, and no call waits for itself. */
#include <stdatomic.h>

#include "sim.h"
#include "tcp.h"

static _Thread_local atls_error *error;

/* The response's head at once, then a chunk for each piece of the request: so the body source is asked while the host reads. */
static void answer_early(int fd)
{
    char buffer[65536];
    if (!tcp_head(fd, buffer, 4096) || !tcp_send(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 47))
        return;
    while (recv(fd, buffer, sizeof buffer, 0) > 0 && tcp_send(fd, "5\r\nhello\r\n", 10))
        ;
}

enum act { FREE_CLIENT, ASK_TRAILERS, FREE_EXCHANGE, CANCEL_EXCHANGE, READ_EXCHANGE };

struct source {
    enum act act;
    atls_client *client;
    atls_exchange *exchange;
    int pieces, acted, dropped;
};

static int64_t read_source(void *user_data, uint8_t *buffer, size_t cap)
{
    struct source *source = user_data;
    atls_error *mine = NULL;
    atls_head *trailers = NULL;
    atls_exchange *exchange = source->exchange;
    uint8_t byte;
    size_t n;
    CHECK(cap >= 1000);
    memset(buffer, 'x', 1000);
    source->pieces++;
    if (source->acted)
        return source->pieces < 100 ? 1000 : 0;
    if (source->act == FREE_CLIENT) {
        atls_client_free(source->client);
        source->acted = 1;
    } else if (exchange && source->pieces > 3) {
        source->acted = 1;
        switch (source->act) {
        case ASK_TRAILERS:
            CHECK(atls_exchange_trailers(exchange, &trailers, &mine) == ATLS_INVALID_STATE);
            break;
        case FREE_EXCHANGE:
            source->exchange = NULL;
            atls_exchange_free(exchange);
            break;
        case CANCEL_EXCHANGE:
            CHECK(atls_exchange_cancel(exchange, NULL) == ATLS_OK);
            break;
        default:
            CHECK(atls_exchange_read(exchange, &byte, 1, 0, &n, &mine) == ATLS_WOULD_DEADLOCK);
        }
    }
    atls_error_free(mine);
    return 1000;
}

static void drop_source(void *user_data)
{
    ((struct source *)user_data)->dropped++;
}

static void in_a_body_source(struct tcp *tcp, enum act act)
{
    struct source source = {.act = act, .client = tcp_client(NULL)};
    atls_body_source functions = {.read = read_source, .drop = drop_source, .user_data = &source};
    atls_request *request = tcp_request("POST", tcp->port, "/");
    atls_exchange *kept = NULL;
    uint8_t buffer[100];
    size_t n = 1;
    atls_status status = ATLS_OK;
    OK(atls_request_set_body_source(request, &functions, ATLS_LENGTH_UNKNOWN, &error));
    OK(atls_client_fetch(source.client, request, &source.exchange, &error));
    kept = source.exchange;
    atls_request_free(request);
    while (status == ATLS_OK && n > 0 && !(source.acted && act != FREE_CLIENT))
        status = atls_exchange_read(kept, buffer, sizeof buffer, 300, &n, &error);
    CHECK(source.acted);
    CHECK(status == ATLS_OK || status == ATLS_TIMED_OUT || act == CANCEL_EXCHANGE || act == FREE_EXCHANGE);
    atls_error_free(error);
    error = NULL;
    atls_exchange_free(source.exchange);
    if (act != FREE_CLIENT)
        atls_client_free(source.client);
    CHECK(source.dropped == 1);
}

/* A body that another takes the place of: its `drop` may use the request. */
static void drop_asks_the_request(void *user_data)
{
    atls_request **request = user_data;
    atls_error *mine = NULL;
    if (*request)
        CHECK(atls_request_set_body(*request, atls_bytes_of("last", 4), &mine) == ATLS_OK);
    *request = NULL;
}

static void the_drop_of_a_replaced_body_may_use_the_request(void)
{
    atls_request *request = tcp_request("POST", 1, "/"), *seen = request;
    atls_body_source functions = {.read = read_source, .drop = drop_asks_the_request, .user_data = &seen};
    OK(atls_request_set_body_source(request, &functions, 5, &error));
    OK(atls_request_set_body(request, atls_bytes_of("first", 5), &error));
    CHECK(seen == NULL);
    seen = request;
    OK(atls_request_set_body_source(request, &functions, 5, &error));
    OK(atls_request_set_body_stream(request, 5, &error));
    CHECK(seen == NULL);
    atls_request_free(request);
}

/* Buffers of the host's that go with a stream: what releases them may use the stream, and waits for nobody. */
static atls_stream *stream;
static atomic_int seen, released, letting_go;

static void release_uses_the_stream(void *user_data)
{
    (void)user_data;
    released++;
    if (!letting_go)
        return;
    (void)!atls_stream_write(stream, atls_bytes_of("more", 4), NULL);
    CHECK(atls_stream_cancel(stream, NULL) == ATLS_OK);
}

static void on_stream(void *user_data, const atls_event *event)
{
    (void)user_data;
    seen |= 1 << event->kind;
}

static void the_release_of_a_buffer_may_use_its_stream(void)
{
    struct sim sim = sim_start();
    atls_config *config = sim_config(sim.raw, "policy.json");
    atls_runtime *runtime = NULL;
    atls_queue *queue = NULL;
    static uint8_t block[100 << 10];
    OK(atls_runtime_new(1, &runtime, &error));
    OK(atls_queue_new_dispatching(&queue, &error));
    /* Without credit nothing is read, the peer's echo stops, and at last what is written stays here. */
    OK(atls_config_set_credit(config, 0, false, &error));
    atls_sink sink = {queue, 0, on_stream, NULL, NULL};
    OK(atls_stream_connect_start(runtime, config, &sink, &stream, &error));
    for (int i = 0; i < 20000 && !(seen & 1 << ATLS_EVENT_CONNECTED); i++)
        usleep(1000);
    int wrapped = 0, refused = 0;
    while (refused < 100) {
        atls_buf *buf = NULL;
        OK(atls_buf_wrap(atls_bytes_of(block, sizeof block), release_uses_the_stream, NULL, &buf, &error));
        wrapped++;
        atls_status status = atls_stream_write_buf(stream, buf, NULL);
        atls_buf_free(buf);
        CHECK(status == ATLS_OK || status == ATLS_AGAIN);
        refused = status == ATLS_OK ? 0 : refused + 1;
        if (refused)
            usleep(1000);
    }
    letting_go = 1;
    CHECK(released < wrapped);
    OK(atls_stream_cancel(stream, &error));
    OK(atls_queue_stop(queue, &error));
    CHECK(seen & 1 << ATLS_EVENT_CLOSED);
    OK(atls_runtime_shutdown(runtime, 0, &error));
    CHECK(released == wrapped);
    atls_stream_free(stream);
    atls_queue_free(queue);
    atls_runtime_free(runtime);
    atls_config_free(config);
}

static atls_status no_quote(void *user_data, const uint8_t *report_data, atls_buf **evidence)
{
    (void)user_data, (void)report_data, (void)evidence;
    return ATLS_IO;
}

static void no_line(void *user_data, atls_str line)
{
    (void)user_data, (void)line;
}

static void free_config(void *config)
{
    atls_config_free(config);
}

static void free_server_config(void *config)
{
    atls_server_config_free(config);
}

/* What is replaced in a configuration may own it, and takes it along. */
static void the_drop_of_a_replaced_owner_may_use_the_configuration(void)
{
    for (int way = 0; way < 4; way++) {
        atls_config *config = NULL;
        atls_server_config *server = NULL;
        OK(atls_config_new("localhost", 443, &config, &error));
        OK(atls_server_config_new(&server, &error));
        if (way == 0) {
            OK(atls_config_set_quote_source(config, no_quote, config, free_config, &error));
            OK(atls_config_set_quote_source(config, no_quote, NULL, NULL, &error));
        } else if (way < 3) {
            OK(atls_config_set_key_log(config, no_line, config, free_config, NULL, &error));
            OK(atls_config_set_key_log(config, way == 1 ? no_line : NULL, NULL, NULL, NULL, &error));
        } else {
            OK(atls_config_set_key_log(config, NULL, config, free_config, NULL, &error));
        }
        OK(atls_server_config_set_quote_source(server, no_quote, server, free_server_config, &error));
        OK(atls_server_config_set_quote_source(server, no_quote, NULL, NULL, &error));
    }
}

static void a_body_source_may_let_go_of_what_asks_it(void)
{
    struct tcp tcp;
    tcp_start(&tcp, answer_early);
    for (enum act act = FREE_CLIENT; act <= READ_EXCHANGE; act++)
        in_a_body_source(&tcp, act);
    tcp_stop(&tcp);
}

static void set_up(void)
{
    alarm(60);
}

TESTS(set_up, NULL, CASE(a_body_source_may_let_go_of_what_asks_it), CASE(the_drop_of_a_replaced_body_may_use_the_request),
      CASE(the_drop_of_a_replaced_owner_may_use_the_configuration), CASE(the_release_of_a_buffer_may_use_its_stream))
