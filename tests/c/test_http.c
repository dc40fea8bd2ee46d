/* Blocking HTTP: keep-alive, framing, spelling, bodies both ways, and what goes wrong. */
#include "sim.h"

static struct sim sim;
static _Thread_local atls_error *error;

static atls_http *open_http(void)
{
    atls_http *http = NULL;
    atls_config *config = sim_config(sim.http, "policy.json");
    OK(atls_http_connect(config, &http, &error));
    atls_config_free(config);
    return http;
}

static atls_request *request(const char *method, const char *path)
{
    atls_request *request = NULL;
    OK(atls_request_new(method, path, "localhost", &request, &error));
    return request;
}

/* Reads a body to its end; returns its length, with the first bytes in `to`. */
static size_t body(atls_exchange *exchange, char *to, size_t cap)
{
    static unsigned char buffer[50000];
    size_t total = 0, n;
    do {
        OK(atls_exchange_read(exchange, buffer, sizeof buffer, 5000, &n, &error));
        if (total < cap)
            memcpy(to + total, buffer, n < cap - total ? n : cap - total);
        total += n;
    } while (n > 0);
    return total;
}

static size_t get(atls_http *http, atls_request *request, char *to, size_t cap)
{
    atls_exchange *exchange = NULL;
    memset(to, 0, cap);
    OK(atls_http_fetch(http, request, &exchange, &error));
    size_t total = body(exchange, to, cap - 1);
    atls_exchange_free(exchange);
    return total;
}

static void a_connection_serves_one_exchange_at_a_time(void)
{
    char text[256];
    atls_http *http = open_http();
    atls_request *small = request("GET", "/small"), *big = request("GET", "/bytes/300000");
    for (int i = 0; i < 50; i++) {
        CHECK(atls_http_ready(http));
        CHECK(get(http, small, text, sizeof text) == 100);
    }
    atls_exchange *exchange = NULL, *second = NULL;
    OK(atls_http_fetch(http, big, &exchange, &error));
    CHECK(!atls_http_ready(http));
    EXPECT(ATLS_BUSY, "previous response", atls_http_fetch(http, small, &second, &error));
    CHECK(second == NULL);
    CHECK(body(exchange, text, 0) == 300000);
    CHECK(atls_http_ready(http));
    atls_exchange_free(exchange);
    CHECK(get(http, small, text, sizeof text) == 100);

    /* Giving a response up in the middle gives the connection up. */
    OK(atls_http_fetch(http, big, &exchange, &error));
    atls_exchange_free(exchange);
    CHECK(!atls_http_ready(http));
    EXPECT(ATLS_CLOSED, "closed", atls_http_fetch(http, small, &exchange, &error));
    atls_request_free(small);
    atls_request_free(big);
    atls_http_free(http);
}

static void header_fields_keep_their_spelling_and_order(void)
{
    char text[1024];
    atls_http *http = open_http();
    atls_exchange *exchange = NULL;
    atls_head *head = NULL, *trailers = NULL;
    atls_request *early = request("GET", "/early");
    OK(atls_http_fetch(http, early, &exchange, &error));
    EXPECT(ATLS_INVALID_STATE, "not read to its end", atls_exchange_trailers(exchange, &trailers, &error));
    OK(atls_exchange_head(exchange, 0, &head, &error));
    CHECK(atls_head_status(head) == 200 && atls_head_minor_version(head) == 1);
    CHECK(strcmp(atls_head_reason(head).ptr, "Quite Fine") == 0);
    CHECK(strcmp(atls_head_name(head, 0).ptr, "X-Case") == 0 && strcmp(atls_head_value(head, 0).ptr, "Kept") == 0);
    CHECK(strcmp(atls_head_name(head, 1).ptr, "x-case") == 0 && strcmp(atls_head_name(head, 2).ptr, "Z") == 0);
    CHECK(strcmp(atls_head_get(head, "a").ptr, "2") == 0 && atls_head_get(head, "none").len == 0);
    CHECK(atls_head_name(head, 99).len == 0);
    CHECK(body(exchange, text, 4) == 4 && memcmp(text, "body", 4) == 0);
    OK(atls_exchange_trailers(exchange, &trailers, &error));
    CHECK(strcmp(atls_head_get(trailers, "X-Trailer").ptr, "end") == 0);
    atls_head_free(trailers);
    atls_head_free(head);
    atls_exchange_free(exchange);
    atls_request_free(early);

    /* Our head as the server saw it. */
    atls_request *mine = request("GET", "/head?q=1");
    OK(atls_request_add_header(mine, "zEBRA", atls_bytes_of("1", 1), &error));
    OK(atls_request_add_header(mine, "Accept", atls_bytes_of("*/*", 3), &error));
    OK(atls_request_add_header(mine, "Zebra", atls_bytes_of("2", 1), &error));
    EXPECT(ATLS_HTTP_HEADER_INVALID, "control", atls_request_add_header(mine, "X", atls_bytes_of("a\r\nY: b", 7), &error));
    EXPECT(ATLS_HTTP_HEADER_INVALID, "token", atls_request_add_header(mine, "X\r\nY", atls_bytes_of("b", 1), &error));
    EXPECT(ATLS_HTTP_HEADER_INVALID, "Host", atls_request_add_header(mine, "hOST", atls_bytes_of("b", 1), &error));
    get(http, mine, text, sizeof text);
    CHECK(strcmp(text, "GET /head?q=1 HTTP/1.1\r\nHost: localhost\r\nzEBRA: 1\r\nAccept: */*\r\nZebra: 2\r\n\r\n") == 0);
    atls_request_free(mine);
    atls_request *bad = request("GET", "/a b");
    EXPECT(ATLS_INVALID_ARGUMENT, "path", atls_http_fetch(http, bad, &exchange, &error));
    CHECK(atls_http_ready(http));
    atls_request_free(bad);
    atls_http_free(http);
}

static void bodies_are_sent_with_and_without_a_length(void)
{
    char text[256];
    static unsigned char block[70000];
    atls_http *http = open_http();
    memset(block, 'b', sizeof block);
    atls_request *post = request("POST", "/echo");
    OK(atls_request_set_body(post, atls_bytes_of("twelve bytes", 12), &error));
    CHECK(get(http, post, text, sizeof text) == 12 && strcmp(text, "twelve bytes") == 0);
    atls_request_free(post);
    for (int chunked = 0; chunked < 2; chunked++) {
        atls_exchange *exchange = NULL;
        atls_request *upload = request("POST", "/sink");
        OK(atls_request_set_body_stream(upload, chunked ? ATLS_LENGTH_UNKNOWN : 40 * sizeof block, &error));
        OK(atls_http_fetch(http, upload, &exchange, &error));
        for (int i = 0; i < 40; i++)
            OK(atls_exchange_write_all(exchange, atls_bytes_of(block, sizeof block), 5000, &error));
        OK(atls_exchange_finish(exchange, &error));
        EXPECT(ATLS_INVALID_STATE, "closed already", atls_exchange_finish(exchange, &error));
        memset(text, 0, sizeof text);
        body(exchange, text, sizeof text - 1);
        CHECK(strcmp(text, "2800000") == 0);
        atls_exchange_free(exchange);
        atls_request_free(upload);
    }
    atls_exchange *exchange = NULL;
    atls_head *head = NULL;
    atls_request *lies = request("POST", "/sink");
    OK(atls_request_set_body_stream(lies, 5, &error));
    OK(atls_http_fetch(http, lies, &exchange, &error));
    OK(atls_exchange_write_all(exchange, atls_bytes_of(block, 6), 5000, &error));
    OK(atls_exchange_finish(exchange, &error));
    CHECK(atls_exchange_head(exchange, 5000, &head, &error) != ATLS_OK);
    atls_error_free(error);
    error = NULL;
    atls_exchange_free(exchange);
    atls_request_free(lies);
    atls_http_free(http);
}

static void fails(const char *path, atls_status wanted)
{
    atls_http *http = open_http();
    atls_exchange *exchange = NULL;
    atls_request *it = request("GET", path);
    OK(atls_request_set_timeout(it, wanted == ATLS_TIMED_OUT ? 300 : 0, &error));
    atls_status status = atls_http_fetch(http, it, &exchange, &error);
    unsigned char buffer[64];
    size_t n = 1;
    while (status == ATLS_OK && n > 0)
        status = atls_exchange_read(exchange, buffer, sizeof buffer, 5000, &n, &error);
    if (status != wanted) {
        fprintf(stderr, "%s: %s, wanted %s: %s\n", path, atls_status_name(status).ptr, atls_status_name(wanted).ptr,
                atls_error_message(error).ptr);
        exit(1);
    }
    CHECK(status == ATLS_OK || !atls_http_ready(http));
    atls_error_free(error);
    error = NULL;
    atls_exchange_free(exchange);
    atls_request_free(it);
    atls_http_free(http);
}

static void a_body_ends_as_its_framing_says(void)
{
    fails("/small", ATLS_OK);
    fails("/close", ATLS_OK);
    fails("/cut", ATLS_TRUNCATED);
    fails("/reset", ATLS_IO);
}

static void a_server_that_hangs_times_out(void)
{
    fails("/hang", ATLS_TIMED_OUT);
}

static void a_head_beyond_the_limit_is_refused(void)
{
    fails("/headers?200", ATLS_OK);
    fails("/headers?10000", ATLS_HTTP_PROTOCOL);
}

static void set_up(void)
{
    sim = sim_start();
}

TESTS(set_up, NULL, CASE(a_connection_serves_one_exchange_at_a_time), CASE(header_fields_keep_their_spelling_and_order),
      CASE(bodies_are_sent_with_and_without_a_length), CASE(a_body_ends_as_its_framing_says), CASE(a_server_that_hangs_times_out),
      CASE(a_head_beyond_the_limit_is_refused))
