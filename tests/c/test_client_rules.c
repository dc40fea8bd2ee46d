/* What the client does with what a server says: who goes next, how many connections, 1xx heads and header fields, and pieces that come together. */
#define _GNU_SOURCE

#include "odd_server.h"

static void requests_that_wait_are_sent_in_their_order(void)
{
    for (int round = 0; round < (getenv("ATLS_TEST_SLOW") ? 3 : 20); round++) {
        atls_client *client = client_with(true, 1, 0, 0);
        came = 0;
        send_all(client, REQUESTS, "127.0.0.1", "/turn/");
        for (int i = 0; i < REQUESTS; i++)
            CHECK(order[i] == i);
        atls_client_free(client);
    }
}

static void connections_stay_within_their_limits(void)
{
    atls_client *client = client_with(true, 20, 2, 0);
    while (open_now)
        usleep(1000);
    open_most = 0;
    send_all(client, 12, "127.0.0.1", "/slow");
    CHECK(open_most == 2 && atls_client_idle_connections(client) == 2);
    atls_client_free(client);

    /* Those that wait, over all hosts. */
    client = client_with(true, 20, UINT32_MAX, 3);
    send_all(client, 3, "127.0.0.1", "/slow");
    send_all(client, 2, "localhost", "/slow");
    CHECK(atls_client_idle_connections(client) == 3);
    atls_client_free(client);
}

static void informational_heads_are_bounded_in_count_bytes_and_time(void)
{
    atls_client *client = client_with(false, 10, 0, 0);
    WANT(200, "many", at("/many/64"));
    DETAIL(ATLS_HTTP_PROTOCOL, ATLS_DETAIL_TOO_MANY_INFORMATIONAL, at("/many/65"));
    atls_request *request = at("/many/2000");
    OK(atls_request_set_head_limits(request, 0, 0, 2000, &error));
    WANT(200, "many", request);
    request = at("/many/3");
    OK(atls_request_set_head_limits(request, 0, 0, 2, &error));
    DETAIL(ATLS_HTTP_PROTOCOL, ATLS_DETAIL_TOO_MANY_INFORMATIONAL, request);
    /* As many as they like, but no more bytes than a head may have. */
    request = at("/endless");
    OK(atls_request_set_head_limits(request, 0, 0, UINT32_MAX, &error));
    DETAIL(ATLS_HTTP_PROTOCOL, ATLS_DETAIL_TOO_MANY_INFORMATIONAL, request);
    request = at("/drops");
    OK(atls_request_set_head_limits(request, 0, 0, UINT32_MAX, &error));
    OK(atls_request_set_deadline(request, ATLS_REQUEST_DEADLINE_HEAD, 300, &error));
    DETAIL(ATLS_TIMED_OUT, ATLS_DETAIL_HEAD_TIMEOUT, request);
    atls_client_free(client);

    /* A host that takes no events: no more than a few wait for it, and the deadline passes. */
    client = client_with(true, 10, 0, 0);
    atls_exchange *exchange = NULL;
    size_t n = 0, seen = 0;
    atls_event events[64];
    request = at("/endless");
    OK(atls_request_set_head_limits(request, 0, 0, 10000, &error));
    OK(atls_request_set_deadline(request, ATLS_REQUEST_DEADLINE_HEAD, 200, &error));
    OK(atls_client_start(client, request, &(atls_sink){.queue = queue}, &exchange, &error));
    while (atls_client_active_requests(client))
        usleep(1000);
    for (bool over = false; !over;) {
        OK(atls_queue_wait(queue, events, sizeof events[0], 64, 20000, &n, &error));
        for (size_t i = 0; i < n; i++) {
            seen += events[i].kind == ATLS_EVENT_INFORMATIONAL;
            over |= events[i].kind == ATLS_EVENT_CLOSED;
            CHECK(events[i].kind != ATLS_EVENT_CLOSED || events[i].status == ATLS_TIMED_OUT);
            atls_event_release(&events[i]);
        }
    }
    CHECK(seen <= 8);
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_client_free(client);
}

/* What has come together is told together: no event for each byte. */
static void small_pieces_of_a_body_are_joined(void)
{
    atls_client *client = client_with(true, 10, 0, 0);
    atls_exchange *exchange = NULL;
    atls_request *request = at("/crumbs");
    size_t bytes = 0, events = 0, trailers = 0;
    OK(atls_client_start(client, request, &(atls_sink){.queue = queue}, &exchange, &error));
    OK(atls_exchange_grant(exchange, 1 << 20, &error));
    for (bool over = false; !over;) {
        atls_event event;
        size_t n = 0;
        OK(atls_queue_wait(queue, &event, sizeof event, 1, 20000, &n, &error));
        CHECK(n == 1);
        if (event.kind == ATLS_EVENT_DATA) {
            const uint8_t *data = atls_buf_data(event.buf);
            for (size_t i = 0; i < atls_buf_len(event.buf); i++)
                CHECK(data[i] == 'a' + (bytes + i) % 26);
            bytes += atls_buf_len(event.buf);
            events++;
        }
        trailers += event.kind == ATLS_EVENT_TRAILERS;
        over = event.kind == ATLS_EVENT_CLOSED;
        CHECK(!over || event.status == ATLS_OK);
        atls_event_release(&event);
    }
    CHECK(bytes == 20000 && trailers == 1 && events < bytes / 2);
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_client_free(client);
}

/* However many pieces come together: all up to the limit, and then the error. */
static void a_body_beyond_its_limit_comes_up_to_it(void)
{
    atls_client *client = client_with(true, 10, 0, 0);
    for (size_t limit = 0; limit < 20000; limit = 3 * limit + 1) {
        atls_exchange *exchange = NULL;
        atls_request *request = at("/crumbs");
        size_t bytes = 0;
        OK(atls_request_set_max_response_body(request, limit, &error));
        OK(atls_client_start(client, request, &(atls_sink){.queue = queue}, &exchange, &error));
        OK(atls_exchange_grant(exchange, 1 << 20, &error));
        for (bool over = false; !over;) {
            atls_event event;
            size_t n = 0;
            OK(atls_queue_wait(queue, &event, sizeof event, 1, 20000, &n, &error));
            CHECK(n == 1 && event.kind != ATLS_EVENT_END);
            bytes += event.kind == ATLS_EVENT_DATA ? atls_buf_len(event.buf) : 0;
            over = event.kind == ATLS_EVENT_CLOSED;
            CHECK(!over || event.status == ATLS_BODY_TOO_LARGE);
            atls_event_release(&event);
        }
        CHECK(bytes == limit);
        atls_exchange_free(exchange);
        atls_request_free(request);
    }
    atls_client_free(client);
    client = client_with(false, 10, 0, 0);
    atls_exchange *exchange = NULL;
    atls_request *request = at("/crumbs");
    uint8_t piece[100];
    size_t n = 1, bytes = 0;
    OK(atls_request_set_max_response_body(request, 10001, &error));
    OK(atls_client_fetch(client, request, &exchange, &error));
    while (bytes < 10001) {
        OK(atls_exchange_read(exchange, piece, sizeof piece, 20000, &n, &error));
        CHECK(n > 0);
        bytes += n;
    }
    CHECK(bytes == 10001);
    EXPECT(ATLS_BODY_TOO_LARGE, "larger than the request allows", atls_exchange_read(exchange, piece, sizeof piece, 20000, &n, &error));
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_client_free(client);
}

static void a_head_beyond_its_limits_is_refused(void)
{
    atls_client *client = client_with(false, 10, 0, 0);
    atls_request *request = at("/lines/20");
    OK(atls_request_set_head_limits(request, 500, 20, 0, &error));
    WANT(200, "", request);
    request = at("/lines/20");
    OK(atls_request_set_head_limits(request, 0, 19, 0, &error));
    DETAIL(ATLS_HTTP_PROTOCOL, ATLS_DETAIL_HEAD_TOO_LARGE, request);
    request = at("/lines/100");
    OK(atls_request_set_head_limits(request, 500, 0, 0, &error));
    DETAIL(ATLS_HTTP_PROTOCOL, ATLS_DETAIL_HEAD_TOO_LARGE, request);
    request = at("/");
    EXPECT(ATLS_INVALID_ARGUMENT, "fields", atls_request_set_head_limits(request, 0, 257, 0, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "bytes", atls_request_set_head_limits(request, 262145, 0, 0, &error));
    atls_request_free(request);
    DETAIL(ATLS_HTTP_PROTOCOL, ATLS_DETAIL_UNASKED_UPGRADE, at("/switch"));
    struct answer answer = get(client, at("/reason"));
    CHECK(strcmp(atls_head_reason(answer.head).ptr, "Sch\xc3\xb6n \xe9") == 0);
    forget(answer);
    atls_client_free(client);
}

TESTS(set_up, tear_down, CASE(requests_that_wait_are_sent_in_their_order), CASE(connections_stay_within_their_limits),
      CASE(informational_heads_are_bounded_in_count_bytes_and_time), CASE(small_pieces_of_a_body_are_joined),
      CASE(a_body_beyond_its_limit_comes_up_to_it), CASE(a_head_beyond_its_limits_is_refused))
