/* The sans-I/O connection through C: round trips over a socket pair, what stays valid when, and every call with nothing. */
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"

static _Thread_local atls_error *error;

static atls_bytes b(const char *text)
{
    atls_bytes bytes = {(const uint8_t *)text, strlen(text)};
    return bytes;
}

static atls_h1_header h(const char *name, const char *value)
{
    atls_h1_header header = {b(name), b(value), NULL};
    return header;
}

static int is(atls_bytes bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.ptr, text, bytes.len) == 0;
}

static atls_h1_conn *new_conn(uint32_t role, uint32_t flags)
{
    atls_h1_conn *conn = NULL;
    OK(atls_h1_conn_new(role, flags, &conn, &error));
    return conn;
}

static void send_all(int fd, atls_bytes bytes)
{
    CHECK(bytes.len == 0 || write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len);
}

/* Reads from `fd` straight into the receive buffer, a few bytes at a time, until there is an event. */
static const atls_h1_event *next(atls_h1_conn *conn, int fd)
{
    for (;;) {
        const atls_h1_event *event = NULL;
        OK(atls_h1_conn_next_event(conn, &event, &error));
        if (event->kind != ATLS_H1_NEED_DATA)
            return event;
        uint8_t *room = NULL;
        size_t room_len = 0;
        OK(atls_h1_conn_receive_reserve(conn, 7, &room, &room_len, &error));
        CHECK(room_len >= 7);
        ssize_t n = read(fd, room, 7);
        CHECK(n >= 0);
        if (n == 0)
            OK(atls_h1_conn_receive_eof(conn, &error));
        else
            OK(atls_h1_conn_receive_commit(conn, (size_t)n, &error));
    }
}

static void read_body(atls_h1_conn *conn, int fd, const char *wanted, size_t trailers)
{
    char body[64] = "";
    size_t len = 0;
    for (;;) {
        const atls_h1_event *event = next(conn, fd);
        if (event->kind == ATLS_H1_END_OF_MESSAGE) {
            CHECK(event->headers_len == trailers);
            break;
        }
        CHECK(event->kind == ATLS_H1_DATA && event->data.len > 0 && len + event->data.len < sizeof body);
        memcpy(body + len, event->data.ptr, event->data.len);
        len += event->data.len;
    }
    CHECK(strcmp(body, wanted) == 0);
}

static void cycle(atls_h1_conn *client, atls_h1_conn *server, int c, int s)
{
    atls_bytes out, before, after;
    const atls_h1_header request[] = {h("Content-Type", "text/plain"), h("Host", "example"), h("Content-Length", "5")};
    OK(atls_h1_conn_send_request(client, b("POST"), b("/a?b"), request, 3, &out, &error));
    CHECK(is(out, "POST /a?b HTTP/1.1\r\nHost: example\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n"));
    send_all(c, out);
    OK(atls_h1_conn_send_data(client, 5, &before, &after, &error));
    CHECK(before.len == 0 && after.len == 0);
    send_all(c, b("hello"));
    OK(atls_h1_conn_send_end_of_message(client, NULL, 0, &out, &error));
    CHECK(out.len == 0);

    const atls_h1_event *event = next(server, s);
    CHECK(event->kind == ATLS_H1_REQUEST && is(event->method, "POST") && is(event->target, "/a?b"));
    CHECK(event->http_version == 0x0101 && event->headers_len == 3);
    CHECK(is(event->headers[1].name, "content-type") && memcmp(event->headers[1].raw_name, "Content-Type", 12) == 0);

    /* The answer forwards the request's own headers while the event is held: sending leaves it alone. */
    OK(atls_h1_conn_send_response(server, 200, b("OK"), event->headers + 1, 1, &out, &error));
    CHECK(is(out, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"));
    send_all(s, out);
    CHECK(is(event->target, "/a?b") && is(event->headers[1].value, "text/plain"));
    read_body(server, s, "hello", 0);
    OK(atls_h1_conn_send_data(server, 3, &before, &after, &error));
    CHECK(is(before, "3\r\n") && is(after, "\r\n"));
    send_all(s, before);
    send_all(s, b("abc"));
    send_all(s, after);
    const atls_h1_header trailers[] = {h("Checksum", "1")};
    OK(atls_h1_conn_send_end_of_message(server, trailers, 1, &out, &error));
    send_all(s, out);

    event = next(client, c);
    CHECK(event->kind == ATLS_H1_RESPONSE && event->status == 200 && is(event->reason, "OK"));
    read_body(client, c, "abc", 1);
    CHECK(atls_h1_conn_our_state(client) == ATLS_H1_DONE && atls_h1_conn_their_state(client) == ATLS_H1_DONE);
    OK(atls_h1_conn_start_next_cycle(client, &error));
    OK(atls_h1_conn_start_next_cycle(server, &error));
}

static void two_connections_exchange_messages(void)
{
    int fd[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    atls_h1_conn *client = new_conn(ATLS_H1_CLIENT, 0), *server = new_conn(ATLS_H1_SERVER, 0);
    CHECK(atls_h1_conn_our_role(client) == ATLS_H1_CLIENT && atls_h1_conn_our_role(server) == ATLS_H1_SERVER);
    for (int i = 0; i < 20; i++)
        cycle(client, server, fd[0], fd[1]);
    CHECK(atls_h1_conn_their_http_version(client) == 0x0101);
    OK(atls_h1_conn_send_connection_closed(client, &error));
    close(fd[0]);
    CHECK(next(server, fd[1])->kind == ATLS_H1_CONNECTION_CLOSED);
    uint32_t states[2];
    OK(atls_h1_conn_states(server, &states[0], &states[1], &error));
    CHECK(states[0] == ATLS_H1_CLOSED && states[1] == ATLS_H1_MUST_CLOSE);
    CHECK(strcmp(atls_h1_state_name(states[1]).ptr, "MUST_CLOSE") == 0 && atls_h1_state_name(9).len == 0);
    close(fd[1]);
    atls_h1_conn_free(client);
    atls_h1_conn_free(server);
}

static void receive(atls_h1_conn *conn, const char *text)
{
    OK(atls_h1_conn_receive(conn, atls_bytes_of_text(text), &error));
}

/* What one may not send oneself has its status too, and the first refusal stays. */
static void local_hints(void)
{
    atls_bytes out;
    const atls_h1_header gzip[] = {h("Host", "a"), h("Transfer-Encoding", "gzip")};
    atls_h1_conn *client = new_conn(ATLS_H1_CLIENT, 0);
    for (int i = 0; i < 2; i++) {
        CHECK(atls_h1_conn_send_request(client, b("POST"), b("/"), gzip, 2, &out, &error) == ATLS_H1_LOCAL);
        CHECK(atls_error_http_status(error) == 501);
        EXPECT(ATLS_H1_LOCAL, "other than chunked", ATLS_H1_LOCAL);
    }
    CHECK(atls_h1_conn_send_data(client, 1, &out, &out, &error) == ATLS_H1_LOCAL && atls_error_http_status(error) == 501);
    EXPECT(ATLS_H1_LOCAL, "other than chunked", ATLS_H1_LOCAL);
    atls_h1_conn_free(client);

    const atls_h1_header chunked[] = {h("Host", "a"), h("Transfer-Encoding", "chunked")};
    for (uint64_t len = (uint64_t)1 << 63; len != 0; len = len == UINT64_MAX ? 0 : UINT64_MAX) {
        client = new_conn(ATLS_H1_CLIENT, 0);
        OK(atls_h1_conn_send_request(client, b("POST"), b("/"), chunked, 2, &out, &error));
        EXPECT(ATLS_H1_LOCAL, "2^63", atls_h1_conn_send_data(client, len, &out, &out, &error));
        CHECK(atls_h1_conn_our_state(client) == ATLS_H1_ERROR);
        atls_h1_conn_free(client);
    }
    client = new_conn(ATLS_H1_CLIENT, 0);
    OK(atls_h1_conn_send_request(client, b("POST"), b("/"), chunked, 2, &out, &error));
    OK(atls_h1_conn_send_data(client, INT64_MAX, &out, &out, &error));
    atls_h1_conn_free(client);
}

/* Giving memory back leaves what was received beyond the message. */
static void shrinking_keeps_what_came_beyond_the_message(void)
{
    atls_bytes rest;
    bool eof;
    const atls_h1_event *event = NULL;
    atls_h1_conn *server = new_conn(ATLS_H1_SERVER, 0);
    receive(server, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n");
    size_t large = 5000000;
    char *body = malloc(large + 10);
    CHECK(body);
    memset(body, 'x', large);
    memcpy(body + large, "GET / HTTP", 10);
    OK(atls_h1_conn_receive(server, atls_bytes_of(body, large + 10), &error));
    free(body);
    do
        OK(atls_h1_conn_next_event(server, &event, &error));
    while (event->kind != ATLS_H1_PAUSED);
    OK(atls_h1_conn_shrink(server, 1000, &error));
    OK(atls_h1_conn_trailing_data(server, &rest, &eof, &error));
    CHECK(is(rest, "GET / HTTP"));
    EXPECT(ATLS_NULL_ARGUMENT, "conn", atls_h1_conn_shrink(NULL, 0, &error));
    atls_h1_conn_free(server);
}

static void a_fault_has_its_status_and_stays(void)
{
    const atls_h1_event *event = NULL;
    atls_bytes out = {NULL, 0};
    static const struct {
        const char *bytes;
        uint32_t answer;
        const char *part;
    } bad[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\nA: b\001\r\n\r\n", 400, "\"A\""},
        {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "other than chunked"},
        {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, "HTTP/3.0"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        atls_h1_conn *server = new_conn(ATLS_H1_SERVER, 0);
        receive(server, bad[i].bytes);
        CHECK(atls_h1_conn_next_event(server, &event, &error) == ATLS_H1_REMOTE);
        CHECK(atls_error_http_status(error) == bad[i].answer && strstr(atls_error_message(error).ptr, bad[i].part));
        atls_error_free(error);
        error = NULL;
        CHECK(event == NULL && atls_h1_conn_their_state(server) == ATLS_H1_ERROR);
        /* Whoever asks again hears the same. */
        CHECK(atls_h1_conn_next_event(server, &event, &error) == ATLS_H1_REMOTE && atls_error_http_status(error) == bad[i].answer);
        EXPECT(ATLS_H1_REMOTE, bad[i].part, ATLS_H1_REMOTE);
        OK(atls_h1_conn_send_response(server, bad[i].answer, b(""), NULL, 0, &out, &error));
        CHECK(strstr((const char *)out.ptr, "Connection: close\r\n\r\n"));
        atls_h1_conn_free(server);
    }
    atls_h1_conn *server = new_conn(ATLS_H1_SERVER, 0);
    OK(atls_h1_conn_set_limits(server, 20, 0, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "max_incomplete", atls_h1_conn_set_limits(server, (uint64_t)1 << 31, 0, &error));
    receive(server, "GET /0123456789abcdef");
    EXPECT(ATLS_H1_REMOTE, "more than 20 bytes", atls_h1_conn_next_event(server, &event, &error));
    EXPECT(ATLS_INVALID_STATE, "in use", atls_h1_conn_set_limits(server, 0, 0, &error));
    EXPECT(ATLS_H1_LOCAL, "impossible while", atls_h1_conn_send_data(server, 1, &out, &out, &error));
    CHECK(atls_h1_conn_our_state(server) == ATLS_H1_ERROR);
    OK(atls_h1_conn_send_failed(server, &error));
    OK(atls_h1_conn_receive_eof(server, &error));
    OK(atls_h1_conn_receive_eof(server, &error));
    EXPECT(ATLS_INVALID_STATE, "end", atls_h1_conn_receive(server, atls_bytes_of("x", 1), &error));
    bool eof = false;
    OK(atls_h1_conn_trailing_data(server, &out, &eof, &error));
    CHECK(is(out, "GET /0123456789abcdef") && eof);
    atls_h1_conn_free(server);

    atls_h1_conn *client = new_conn(ATLS_H1_CLIENT, 0);
    EXPECT(ATLS_H1_LOCAL, "no next cycle", atls_h1_conn_start_next_cycle(client, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "more than was reserved", atls_h1_conn_receive_commit(client, 1, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "status 70000", atls_h1_conn_send_response(client, 70000, b(""), NULL, 0, &out, &error));
    CHECK(atls_h1_conn_our_state(client) == ATLS_H1_IDLE);
    const atls_h1_header null = {{NULL, 1}, {NULL, 0}, NULL};
    EXPECT(ATLS_INVALID_ARGUMENT, "headers[0]", atls_h1_conn_send_request(client, b("GET"), b("/"), &null, 1, &out, &error));
    CHECK(atls_h1_conn_our_state(client) == ATLS_H1_IDLE);
    const atls_h1_header evil[] = {h("Host", "a"), h("X", "y\r\nEvil: 1")};
    EXPECT(ATLS_H1_LOCAL, "the value of: \"X\"", atls_h1_conn_send_request(client, b("GET"), b("/"), evil, 2, &out, &error));
    atls_h1_conn_free(client);
    local_hints();
    EXPECT(ATLS_INVALID_ARGUMENT, "role 2", atls_h1_conn_new(2, 0, &client, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "0x80", atls_h1_conn_new(ATLS_H1_SERVER, 0x80, &client, &error));
}

static void header_lists_are_normalized_and_validated(void)
{
    atls_h1_header_list *list = NULL, *made = NULL;
    size_t n = 9;
    OK(atls_h1_header_list_new(&list, &error));
    OK(atls_h1_header_list_new(&made, &error));
    OK(atls_h1_header_list_add(list, b("Host"), b("a"), &error));
    const uint32_t lens[] = {10, 9, 14, 1, 14, 1};
    const char *packed = "ConnectiONclose, X,content-length5Content-Length5";
    OK(atls_h1_header_list_add_packed(list, atls_bytes_of_text(packed), lens, 3, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "add up", atls_h1_header_list_add_packed(list, atls_bytes_of(packed, 20), lens, 3, &error));
    const atls_h1_header *items = atls_h1_header_list_items(list, &n);
    CHECK(n == 4 && is(items[1].name, "connection") && memcmp(items[1].raw_name, "ConnectiON", 10) == 0);

    uint64_t cursor = 0;
    atls_bytes token;
    CHECK(atls_h1_header_token_next(items, n, b("connection"), &cursor, &token) && is(token, "close"));
    CHECK(atls_h1_header_token_next(items, n, b("connection"), &cursor, &token) && is(token, "X"));
    CHECK(!atls_h1_header_token_next(items, n, b("connection"), &cursor, &token));
    CHECK(atls_h1_header_has_token(items, n, b("Connection"), b("x")));
    CHECK(!atls_h1_header_has_token(items, n, b("Connection"), b("keep-alive")));
    CHECK(!atls_h1_keep_alive(0x0101, items, n) && atls_h1_keep_alive(0x0101, items, 1) && !atls_h1_keep_alive(0x0100, items, 1));
    CHECK(!atls_h1_expects_100_continue(0x0101, items, n));

    EXPECT(ATLS_H1_LOCAL, "more than one Content-Length", atls_h1_headers_normalize(items, n, 0, made, &error));
    OK(atls_h1_headers_normalize(items, n, ATLS_H1_MERGE_EQUAL_CONTENT_LENGTH, made, &error));
    items = atls_h1_header_list_items(made, &n);
    CHECK(n == 3 && is(items[2].name, "content-length") && is(items[2].value, "5"));
    uint32_t framing = 9;
    uint64_t length = 9;
    OK(atls_h1_body_framing(b(""), 0, items, n, &framing, &length, &error));
    CHECK(framing == ATLS_H1_FRAMING_CONTENT_LENGTH && length == 5);
    OK(atls_h1_body_framing(b("HEAD"), 200, items, n, &framing, &length, &error));
    CHECK(framing == ATLS_H1_FRAMING_CONTENT_LENGTH && length == 0);
    OK(atls_h1_body_framing(b("GET"), 200, items, 2, &framing, &length, &error));
    CHECK(framing == ATLS_H1_FRAMING_UNTIL_CLOSE);
    EXPECT(ATLS_INVALID_ARGUMENT, "status 99", atls_h1_body_framing(b("GET"), 99, items, n, &framing, &length, &error));

    OK(atls_h1_request_validate(b("GET"), b("/"), 0x0101, items, n, 0, &error));
    EXPECT(ATLS_H1_LOCAL, "no Host", atls_h1_request_validate(b("GET"), b("/"), 0x0101, items + 1, n - 1, 0, &error));
    OK(atls_h1_request_validate(b("GET"), b("/"), 0x0100, items + 1, n - 1, 0, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "http_version", atls_h1_request_validate(b("GET"), b("/"), 2, items, n, 0, &error));
    const uint32_t informational = ATLS_H1_INFORMATIONAL_RESPONSE, final = ATLS_H1_RESPONSE;
    OK(atls_h1_response_validate(final, 204, b("No"), items, n, 0, &error));
    EXPECT(ATLS_H1_LOCAL, "reason", atls_h1_response_validate(final, 204, b("N\no"), items, n, 0, &error));
    EXPECT(ATLS_H1_LOCAL, "impossible status", atls_h1_response_validate(final, 1000, b(""), NULL, 0, 0, &error));
    EXPECT(ATLS_H1_LOCAL, "status 103", atls_h1_response_validate(final, 103, b(""), NULL, 0, 0, &error));
    EXPECT(ATLS_H1_LOCAL, "status 200", atls_h1_response_validate(informational, 200, b(""), NULL, 0, 0, &error));
    OK(atls_h1_response_validate(informational, 103, b(""), items, 1, 0, &error));
    EXPECT(ATLS_H1_LOCAL, "in a 103", atls_h1_response_validate(informational, 103, b(""), items, n, 0, &error));
    OK(atls_h1_response_validate(informational, 103, b(""), items, n, ATLS_H1_COMPAT_H11, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "kind 1", atls_h1_response_validate(ATLS_H1_REQUEST, 200, b(""), NULL, 0, 0, &error));
    const atls_h1_header both[] = {h("Host", "a"), h("Content-Length", "5"), h("Transfer-Encoding", "chunked")}, chunked[] = {both[0], both[2]};
    EXPECT(ATLS_H1_LOCAL, "both", atls_h1_request_validate(b("GET"), b("/"), 0x0101, both, 3, 0, &error));
    EXPECT(ATLS_H1_LOCAL, "both", atls_h1_response_validate(final, 200, b(""), both, 3, 0, &error));
    OK(atls_h1_request_validate(b("GET"), b("/"), 0x0101, both, 3, ATLS_H1_ALLOW_CL_WITH_TE, &error));
    OK(atls_h1_request_validate(b("GET"), b("/"), 0x0101, chunked, 2, 0, &error));
    EXPECT(ATLS_H1_LOCAL, "HTTP/1.0", atls_h1_request_validate(b("GET"), b("/"), 0x0100, chunked, 2, 0, &error));
    atls_h1_header_list_clear(list);
    CHECK(atls_h1_header_list_items(list, &n) != NULL && n == 0);
    atls_h1_header_list_free(list);
    atls_h1_header_list_free(made);
}

static void the_state_machine_alone_follows_events(void)
{
    atls_h1_states states, before;
    OK(atls_h1_states_init(&states, &error));
    OK(atls_h1_states_propose_switch(&states, ATLS_H1_SWITCH_UPGRADE, &error));
    OK(atls_h1_states_event(&states, ATLS_H1_CLIENT, ATLS_H1_REQUEST, ATLS_H1_SWITCH_NONE, &error));
    OK(atls_h1_states_event(&states, ATLS_H1_CLIENT, ATLS_H1_END_OF_MESSAGE, ATLS_H1_SWITCH_NONE, &error));
    CHECK(states.client == ATLS_H1_MIGHT_SWITCH_PROTOCOL && states.server == ATLS_H1_SEND_RESPONSE);
    before = states;
    EXPECT(ATLS_H1_LOCAL, "did not propose", atls_h1_states_event(&states, ATLS_H1_SERVER, ATLS_H1_RESPONSE, ATLS_H1_SWITCH_CONNECT, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "kind 7", atls_h1_states_event(&states, ATLS_H1_SERVER, ATLS_H1_NEED_DATA, 0, &error));
    CHECK(memcmp(&before, &states, sizeof states) == 0);
    OK(atls_h1_states_event(&states, ATLS_H1_SERVER, ATLS_H1_INFORMATIONAL_RESPONSE, ATLS_H1_SWITCH_UPGRADE, &error));
    CHECK(states.client == ATLS_H1_SWITCHED_PROTOCOL && states.server == ATLS_H1_SWITCHED_PROTOCOL);
    EXPECT(ATLS_H1_LOCAL, "no next cycle", atls_h1_states_start_next_cycle(&states, &error));
    OK(atls_h1_states_error(&states, ATLS_H1_SERVER, &error));
    CHECK(states.server == ATLS_H1_ERROR);
    OK(atls_h1_states_init(&states, &error));
    OK(atls_h1_states_disable_keep_alive(&states, &error));
    CHECK(states.keep_alive == 0 && states.client == ATLS_H1_IDLE);
    states.client = 77;
    EXPECT(ATLS_INVALID_ARGUMENT, "77 is not a state", atls_h1_states_disable_keep_alive(&states, &error));
}

static void null_arguments_are_refused(void)
{
    atls_bytes none = {NULL, 0}, lost = {NULL, 3};
    const atls_h1_event *event;
    atls_h1_conn *conn = new_conn(ATLS_H1_CLIENT, 0);
    EXPECT(ATLS_NULL_ARGUMENT, "conn", atls_h1_conn_new(0, 0, NULL, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "conn", atls_h1_conn_receive(NULL, atls_bytes_of(NULL, 0), &error));
    EXPECT(ATLS_NULL_ARGUMENT, "data", atls_h1_conn_receive(conn, atls_bytes_of(NULL, 1), &error));
    EXPECT(ATLS_NULL_ARGUMENT, "conn", atls_h1_conn_receive_eof(NULL, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "room", atls_h1_conn_receive_reserve(conn, 1, NULL, NULL, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "conn", atls_h1_conn_receive_commit(NULL, 0, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "event", atls_h1_conn_next_event(conn, NULL, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "conn", atls_h1_conn_next_event(NULL, &event, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "data", atls_h1_conn_trailing_data(conn, NULL, NULL, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "out", atls_h1_conn_send_request(conn, none, none, NULL, 0, NULL, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "method", atls_h1_conn_send_request(conn, lost, none, NULL, 0, &none, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "headers", atls_h1_conn_send_request(conn, none, none, NULL, 1, &none, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "before", atls_h1_conn_send_data(conn, 1, NULL, NULL, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "conn", atls_h1_conn_send_end_of_message(NULL, NULL, 0, &none, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "conn", atls_h1_conn_send_connection_closed(NULL, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "conn", atls_h1_conn_send_failed(NULL, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "client", atls_h1_conn_states(conn, NULL, NULL, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "list", atls_h1_header_list_new(NULL, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "list", atls_h1_header_list_add(NULL, none, none, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "out", atls_h1_headers_normalize(NULL, 0, 0, NULL, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "states", atls_h1_states_init(NULL, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "states", atls_h1_states_error(NULL, 0, &error));
    CHECK(atls_h1_conn_our_state(conn) == ATLS_H1_IDLE && atls_h1_conn_our_state(NULL) == ATLS_H1_ERROR);
    CHECK(!atls_h1_header_token_next(NULL, 1, none, NULL, NULL) && !atls_h1_header_has_token(NULL, 1, none, none));
    CHECK(atls_h1_header_list_items(NULL, NULL) == NULL);
    atls_h1_header_list_clear(NULL);
    atls_h1_header_list_free(NULL);
    atls_h1_conn_free(NULL);
    atls_h1_conn_free(conn);
}

TESTS(NULL, NULL, CASE(two_connections_exchange_messages), CASE(a_fault_has_its_status_and_stays),
      CASE(header_lists_are_normalized_and_validated), CASE(shrinking_keeps_what_came_beyond_the_message),
      CASE(the_state_machine_alone_follows_events), CASE(null_arguments_are_refused))
