/* What a server can get wrong, or slow: each its own status and detail, at once; and deadlines of every kind. The server says, byte for byte, what
 * it is asked to in the path; "~" is a pause. */
#include "tcp.h"
#include "web.h"

static atls_client *client;

/* A request that is answered with `bytes`; what follows "?" says what the server does then. */
static atls_request *says_to(const char *method, bool tls, const char *bytes, size_t len, const char *then)
{
    char path[9000] = "", *end = path;
    for (size_t i = 0; i < len; i++) {
        bool plain = bytes[i] == '~' || (bytes[i] >= '0' && bytes[i] <= '9') || (bytes[i] >= 'a' && bytes[i] <= 'z');
        end += sprintf(end, plain ? "%c" : "%%%02X", bytes[i] & 0xff);
    }
    return ask(method, "%s://localhost:%u/%s?%s", tls ? "https" : "http", peer(tls ? "RAWTLS" : "RAW"), path, then);
}

static atls_request *says(const char *text)
{
    return says_to("GET", false, text, strlen(text), "");
}

#define HEAD "HTTP/1.1 200 OK\r\n"

/* Refused at once: the server keeps the connection, and waiting would last until the deadline. */
static void a_malformed_response_is_refused_at_once(void)
{
    static const struct {
        const char *text;
        uint32_t detail;
    } cases[] = {
        {"HELLO\r\n\r\n", ATLS_DETAIL_BAD_START_LINE},
        {"SSH-2.0-x\r\n", ATLS_DETAIL_BAD_START_LINE},
        {"HTTP/2", ATLS_DETAIL_BAD_START_LINE},
        {"HTTP/1.1 2x0 OK\r\n\r\n", ATLS_DETAIL_BAD_START_LINE},
        {"HTTP/3.0 200 OK\r\n\r\n", ATLS_DETAIL_BAD_START_LINE},
        {HEAD "no colon\r\n\r\n", ATLS_DETAIL_BAD_HEADER},
        {HEAD "a b: c\r\n\r\n", ATLS_DETAIL_BAD_HEADER},
        {HEAD "a: b\001c\r\n\r\n", ATLS_DETAIL_BAD_HEADER},
        {HEAD ": c\r\n\r\n", ATLS_DETAIL_BAD_HEADER},
        {HEAD "Content-Length: five\r\n\r\nhello", ATLS_DETAIL_BAD_CONTENT_LENGTH},
        {HEAD "Content-Length: -5\r\n\r\nhello", ATLS_DETAIL_BAD_CONTENT_LENGTH},
        {HEAD "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", ATLS_DETAIL_UNEQUAL_CONTENT_LENGTH},
        {HEAD "Transfer-Encoding: gzip\r\n\r\nhello", ATLS_DETAIL_BAD_TRANSFER_ENCODING},
        {HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", ATLS_DETAIL_BAD_TRANSFER_ENCODING},
        {HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ATLS_DETAIL_BAD_TRANSFER_ENCODING},
        {HEAD "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n", ATLS_DETAIL_BOTH_LENGTHS},
        {"HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\nhello", ATLS_DETAIL_UNEXPECTED_BODY},
        {"HTTP/1.1 204 None\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ATLS_DETAIL_UNEXPECTED_BODY},
        {"HTTP/1.1 103 Hints\r\nContent-Length: 5\r\n\r\n" HEAD "Content-Length: 0\r\n\r\n", ATLS_DETAIL_UNEXPECTED_BODY},
        {HEAD "Transfer-Encoding: chunked\r\n\r\nhello\r\n", ATLS_DETAIL_BAD_CHUNK},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloworld\r\n", ATLS_DETAIL_BAD_CHUNK},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n", ATLS_DETAIL_BAD_CHUNK},
        {HEAD "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", ATLS_DETAIL_BAD_CHUNK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        DETAIL(ATLS_HTTP_PROTOCOL, cases[i].detail, says_to("GET", false, cases[i].text, strlen(cases[i].text), "keep"));
        DETAIL(ATLS_HTTP_PROTOCOL, cases[i].detail, says_to("GET", true, cases[i].text, strlen(cases[i].text), ""));
    }
    CHECK(atls_client_idle_connections(client) == 0 && atls_client_active_requests(client) == 0);
}

static void what_the_rfc_allows_is_read(void)
{
    WANT(200, "hello", says(HEAD "\r\nhello"));
    WANT(200, "hello", says("HTTP/1.0 200 OK\r\n\r\nhel~lo"));
    WANT(200, "hello", says(HEAD "Content-Length: 5, 5\r\n\r\nhello"));
    WANT(200, "hello", says(HEAD "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"));
    WANT(200, "hello", says(HEAD "Transfer-Encoding: Chunked\r\n\r\n3;ext=1\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"));
    WANT(200, "hello", says("HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n~" HEAD "Content-Length: 5\r\n\r\nhello"));
    WANT(304, "", says("HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n"));
    WANT(204, "", says("HTTP/1.1 204 None\r\nContent-Length: 0\r\n\r\n"));
    WANT(200, "", says_to("HEAD", false, HEAD "Content-Length: 5\r\n\r\n", 38, ""));
    WANT(200, "o\r\no", says(HEAD "Content-Length: 4\r\nX: \xe9\r\n\r\no\r\no"));
}

static void a_response_that_is_cut_is_truncated(void)
{
    DETAIL(ATLS_TRUNCATED, 0, says("HTTP/1.1 200"));
    DETAIL(ATLS_TRUNCATED, 0, says(""));
    DETAIL(ATLS_TRUNCATED, 0, says(HEAD "A: b"));
    DETAIL(ATLS_TRUNCATED, 0, says(HEAD "Content-Length: 6\r\n\r\nhello"));
    DETAIL(ATLS_TRUNCATED, 0, says(HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhel"));
    DETAIL(ATLS_TRUNCATED, 0, says(HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"));
    const char *open = HEAD "\r\nhello";
    DETAIL(ATLS_OK, 0, says_to("GET", true, open, strlen(open), ""));
    /* Without close_notify anybody could have ended it. */
    atls_exchange *exchange = NULL;
    atls_buf *body = NULL;
    atls_request *request = says_to("GET", true, open, strlen(open), "reset");
    atls_status status = atls_client_fetch(client, request, &exchange, &error);
    if (status == ATLS_OK)
        status = atls_exchange_read_all(exchange, SIZE_MAX, 5000, &body, &error);
    CHECK(status == ATLS_TRUNCATED || status == ATLS_IO);
    CHECK(status == ATLS_IO || atls_error_detail(error) == ATLS_DETAIL_NO_CLOSE_NOTIFY);
    atls_error_free(error);
    error = NULL;
    atls_exchange_free(exchange);
    atls_request_free(request);
}

static void too_many_header_fields_are_refused(void)
{
    static char text[2000];
    strcpy(text, HEAD);
    for (int i = 0; i < 280; i++)
        strcat(text, "a:b\r\n");
    strcat(text, "\r\n");
    DETAIL(ATLS_HTTP_PROTOCOL, ATLS_DETAIL_HEAD_TOO_LARGE, says_to("GET", false, text, strlen(text), "keep"));
}

static atls_request *slow(int head, int pieces, int gap, uint32_t which, uint32_t ms)
{
    atls_request *request = ask("GET", "http://127.0.0.1:%u/slow?head=%d&pieces=%d&gap=%d", peer("PLAIN"), head, pieces, gap);
    OK(atls_request_set_deadline(request, which, ms, &error));
    return request;
}

/* A port on which nobody accepts, and where no more may wait: there connecting lasts. */
static unsigned full_listener(int waiting[4])
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof place;
    waiting[0] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(waiting[0] >= 0 && bind(waiting[0], (struct sockaddr *)&place, len) == 0 && listen(waiting[0], 0) == 0);
    CHECK(getsockname(waiting[0], (struct sockaddr *)&place, &len) == 0);
    for (int i = 1; i < 4; i++) {
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        CHECK(waiting[i] >= 0);
        (void)!connect(waiting[i], (struct sockaddr *)&place, sizeof place);
    }
    usleep(50000);
    return ntohs(place.sin_port);
}

static void each_deadline_has_its_detail(void)
{
    DETAIL(ATLS_TIMED_OUT, ATLS_DETAIL_HEAD_TIMEOUT, slow(5000, 1, 0, ATLS_REQUEST_DEADLINE_HEAD, 100));
    DETAIL(ATLS_TIMED_OUT, ATLS_DETAIL_FIRST_BYTE_TIMEOUT, slow(5000, 1, 0, ATLS_REQUEST_DEADLINE_FIRST_BYTE, 100));
    DETAIL(ATLS_TIMED_OUT, ATLS_DETAIL_TOTAL_TIMEOUT, slow(0, 100, 50, ATLS_REQUEST_DEADLINE_TOTAL, 300));
    DETAIL(ATLS_OK, 0, slow(50, 2, 20, ATLS_REQUEST_DEADLINE_TOTAL, 10000));
    /* For each request of a chain anew. */
    atls_request *request = ask("GET", "http://127.0.0.1:%u/redirect?to=/slow?head=300", peer("PLAIN"));
    OK(atls_request_set_deadline(request, ATLS_REQUEST_DEADLINE_FIRST_BYTE, 15000, &error));
    DETAIL(ATLS_OK, 0, request);
    int waiting[4];
    request = ask("GET", "http://127.0.0.1:%u/", full_listener(waiting));
    OK(atls_request_set_deadline(request, ATLS_REQUEST_DEADLINE_CONNECT, 100, &error));
    DETAIL(ATLS_TIMED_OUT, ATLS_DETAIL_CONNECT_TIMEOUT, request);
    for (int i = 0; i < 4; i++)
        close(waiting[i]);
    /* Accepted, and then nothing: TLS never begins. */
    atls_config *config = web_config();
    OK(atls_config_set_timeouts(config, 5000, 100, &error));
    request = ask("GET", "https://127.0.0.1:%u/", peer("RAW"));
    OK(atls_request_set_config(request, config, &error));
    DETAIL(ATLS_TIMED_OUT, ATLS_DETAIL_TLS_TIMEOUT, request);
    atls_config_free(config);
    EXPECT(ATLS_NULL_ARGUMENT, "request", atls_request_set_deadline(NULL, 1, 1, &error));
    request = slow(0, 1, 0, ATLS_REQUEST_DEADLINE_IDLE, 100);
    EXPECT(ATLS_INVALID_ARGUMENT, "unknown deadline 7", atls_request_set_deadline(request, 7, 1, &error));
    atls_request_free(request);
}

static void a_request_waits_for_its_turn(void)
{
    atls_client_limits *limits = NULL;
    atls_client *one = NULL;
    atls_exchange *first = NULL, *second = NULL;
    atls_config *config = web_config();
    OK(atls_client_limits_new(&limits, &error));
    OK(atls_client_limits_set_requests(limits, 1, &error));
    OK(atls_client_new(NULL, config, limits, &one, &error));
    atls_request *request = slow(0, 2, 50, ATLS_REQUEST_DEADLINE_QUEUE, 100);
    OK(atls_client_fetch(one, request, &first, &error));
    CHECK(atls_client_fetch(one, request, &second, &error) == ATLS_TIMED_OUT && atls_error_detail(error) == ATLS_DETAIL_QUEUE_TIMEOUT);
    CHECK(strcmp(atls_error_phase(error).ptr, "queue") == 0);
    atls_error_free(error);
    error = NULL;
    /* Read to its end, it makes room; redirects wait for their turn again, and one at a time is enough for them. */
    forget(answer_to(first));
    atls_client *client_of_all = client;
    client = one;
    WANT(200, "piece", ask("GET", "http://127.0.0.1:%u/redirect?to=/redirect?to=/slow", peer("PLAIN")));
    client = client_of_all;
    atls_request_free(request);
    atls_client_free(one);
    atls_client_limits_free(limits);
    atls_config_free(config);
}

static int go_on;

/* Sends a piece of the body, and the rest when the test says so. */
static void serve_in_two(int fd)
{
    static const char first[] = HEAD "Content-Length: 20\r\n\r\npiece", rest[] = "piecepiecepiece";
    char head[1000];
    if (!tcp_head(fd, head, sizeof head) || !tcp_send(fd, first, sizeof first - 1))
        return;
    while (!__atomic_load_n(&go_on, __ATOMIC_SEQ_CST))
        usleep(1000);
    tcp_send(fd, rest, sizeof rest - 1);
}

static void a_read_that_times_out_loses_nothing(void)
{
    atls_exchange *exchange = NULL;
    atls_buf *body = NULL;
    uint8_t buffer[4];
    size_t n = 0;
    struct tcp server;
    tcp_start(&server, serve_in_two);
    atls_request *request = tcp_request("GET", server.port, "/");
    OK(atls_client_fetch(client, request, &exchange, &error));
    /* When the time is up nothing is lost, for either way of reading on. */
    CHECK(atls_exchange_read_all(exchange, 100, 150, &body, &error) == ATLS_TIMED_OUT && atls_error_detail(error) == ATLS_DETAIL_CALL_TIMEOUT);
    EXPECT(ATLS_TIMED_OUT, "receiving", ATLS_TIMED_OUT);
    OK(atls_exchange_read(exchange, buffer, sizeof buffer, 5000, &n, &error));
    CHECK(n == 4 && memcmp(buffer, "piec", 4) == 0);
    __atomic_store_n(&go_on, 1, __ATOMIC_SEQ_CST);
    OK(atls_exchange_read_all(exchange, 16, 20000, &body, &error));
    CHECK(strcmp((const char *)atls_buf_data(body), "epiecepiecepiece") == 0);
    atls_buf_free(body);
    atls_exchange_free(exchange);
    exchange = NULL;
    OK(atls_client_fetch(client, request, &exchange, &error));
    EXPECT(ATLS_BODY_TOO_LARGE, "longer than 19 bytes", atls_exchange_read_all(exchange, 19, 20000, &body, &error));
    atls_exchange_free(exchange);
    atls_request_free(request);
    tcp_stop(&server);
}

static void set_up(void)
{
    client = web_client();
}

static void tear_down(void)
{
    atls_client_free(client);
}

TESTS(set_up, tear_down, CASE(a_malformed_response_is_refused_at_once), CASE(what_the_rfc_allows_is_read),
      CASE(a_response_that_is_cut_is_truncated), CASE(too_many_header_fields_are_refused), CASE(each_deadline_has_its_detail),
      CASE(a_request_waits_for_its_turn), CASE(a_read_that_times_out_loses_nothing))
