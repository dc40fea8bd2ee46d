/* Clients of a server that end their sending direction, and bodies that only the end of a connection ends. */
#include <errno.h>

#include "loop.h"
#include "tcp.h"

static _Thread_local atls_error *error;
static uint16_t port;

/* The newest request, as its events tell it. */
static struct {
    atls_server_request *request;
    int ended, closed;
    atls_status status;
    atls_detail detail;
} told;
static int seen, server_closed;

static void until(int *count, int wanted)
{
    for (int i = 0; i < 20000 && __atomic_load_n(count, __ATOMIC_SEQ_CST) < wanted; i++)
        usleep(1000);
    CHECK(__atomic_load_n(count, __ATOMIC_SEQ_CST) == wanted);
}

static void on_told(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind == ATLS_EVENT_CLOSED) {
        told.status = event->status;
        told.detail = atls_error_detail(event->error);
    }
    if (event->kind == ATLS_EVENT_END || event->kind == ATLS_EVENT_CLOSED)
        __atomic_fetch_add(event->kind == ATLS_EVENT_END ? &told.ended : &told.closed, 1, __ATOMIC_SEQ_CST);
}

static void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind == ATLS_EVENT_CLOSED)
        __atomic_fetch_add(&server_closed, 1, __ATOMIC_SEQ_CST);
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    atls_sink sink = {.queue = queue, .call = on_told};
    told.request = atls_server_request_ref(event->source);
    OK(atls_server_request_start(told.request, runtime, &sink, &error));
    __atomic_fetch_add(&seen, 1, __ATOMIC_SEQ_CST);
}

static atls_server *serve(bool half_close)
{
    atls_server *server = NULL;
    atls_server_config *config = NULL;
    atls_sink sink = {.queue = queue, .call = on_server};
    seen = server_closed = 0;
    OK(atls_server_config_new(&config, &error));
    OK(atls_server_config_set_half_close(config, half_close, &error));
    /* Nothing but the end of its direction tells that a client has left. */
    OK(atls_server_config_set_deadline(config, ATLS_SERVER_DEADLINE_TCP_KEEPALIVE, UINT32_MAX, &error));
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    atls_server_config_free(config);
    return server;
}

static void end(atls_server *server)
{
    OK(atls_server_stop(server, &error));
    until(&server_closed, 1);
    atls_server_free(server);
}

/* A connection with a request under way. */
static int ask(const char *text)
{
    memset(&told, 0, sizeof told);
    int fd = tcp_dial(port), before = seen;
    CHECK(tcp_send(fd, text, strlen(text)));
    until(&seen, before + 1);
    until(&told.ended, 1);
    return fd;
}

static void leave(int fd)
{
    until(&told.closed, 1);
    atls_server_request_free(told.request);
    close(fd);
}

static void begin_response(void)
{
    OK(atls_server_request_send_head(told.request, 200, NULL, NULL, ATLS_LENGTH_UNKNOWN, &error));
}

/* Whether the response has begun when the client leaves or not. */
static void a_client_that_may_not_half_close_is_gone_at_its_end(void)
{
    atls_server *server = serve(false);
    for (int begun = 0; begun < 2; begun++) {
        int fd = ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        if (begun)
            begin_response();
        usleep(20000);
        CHECK(told.closed == 0);
        CHECK(shutdown(fd, SHUT_WR) == 0);
        leave(fd);
        CHECK(told.status == ATLS_IO && told.detail == ATLS_DETAIL_PEER_GONE);
    }
    end(server);
}

static void a_client_that_may_half_close_gets_its_response(void)
{
    char text[400];
    atls_server *server = serve(true);
    int fd = ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(shutdown(fd, SHUT_WR) == 0);
    usleep(20000);
    CHECK(told.closed == 0);
    OK(atls_server_request_respond(told.request, 204, NULL, atls_bytes_of(NULL, 0), &error));
    CHECK(tcp_head(fd, text, sizeof text) && strncmp(text, "HTTP/1.1 204", 12) == 0);
    leave(fd);
    CHECK(told.status == ATLS_OK);
    end(server);
}

/* Reads until the text has come; what came is in `text`. */
static void read_text(int fd, char *text, size_t cap, const char *wanted)
{
    memset(text, 0, cap);
    for (size_t have = 0; !strstr(text, wanted);) {
        ssize_t got = recv(fd, text + have, cap - 1 - have, 0);
        CHECK(got > 0);
        have += (size_t)got;
    }
}

/* To a client of HTTP/1.0 only the end of the connection ends a body of unknown length: if the host gives it up, there must be no such end. */
static void a_body_that_ends_with_its_connection_is_reset_if_it_is_not_complete(void)
{
    atls_server *server = serve(true);
    for (int complete = 0; complete < 2; complete++) {
        char text[400];
        int fd = ask("GET / HTTP/1.0\r\nHost: x\r\n\r\n");
        begin_response();
        OK(atls_server_request_write(told.request, atls_bytes_of_text("the beginning"), &error));
        read_text(fd, text, sizeof text, "the beginning");
        if (complete)
            OK(atls_server_request_finish(told.request, NULL, &error));
        else
            OK(atls_server_request_cancel(told.request, &error));
        ssize_t got = recv(fd, text, sizeof text, 0);
        CHECK(complete ? got == 0 : got < 0 && errno == ECONNRESET);
        leave(fd);
    }
    end(server);
}

/* The host frees the server while the half is written, and nobody gives the request up. */
static void a_body_that_ends_with_its_connection_is_reset_if_the_server_is_freed(void)
{
    char text[400];
    atls_server *server = serve(true);
    int fd = ask("GET / HTTP/1.0\r\nHost: x\r\n\r\n");
    begin_response();
    OK(atls_server_request_write(told.request, atls_bytes_of_text("the beginning"), &error));
    read_text(fd, text, sizeof text, "the beginning");
    atls_server_free(server);
    CHECK(recv(fd, text, sizeof text, 0) < 0 && errno == ECONNRESET);
    leave(fd);
}

/* A length says itself that bytes are missing: what was written comes, and then an end. */
static void a_body_of_known_length_is_not_reset(void)
{
    static char body[300000], text[400000];
    atls_server *server = serve(true);
    memset(body, 'x', sizeof body);
    int fd = ask("GET / HTTP/1.0\r\nHost: x\r\n\r\n");
    OK(atls_server_request_send_head(told.request, 200, NULL, NULL, sizeof body + 1, &error));
    OK(atls_server_request_write(told.request, atls_bytes_of(body, sizeof body), &error));
    read_text(fd, text, sizeof text, "xxx");
    OK(atls_server_request_cancel(told.request, &error));
    ssize_t got;
    while ((got = recv(fd, text, sizeof text, 0)) > 0) {
    }
    CHECK(got == 0);
    leave(fd);
    end(server);
}

TESTS(loop_start, loop_end, CASE(a_client_that_may_not_half_close_is_gone_at_its_end), CASE(a_client_that_may_half_close_gets_its_response),
      CASE(a_body_that_ends_with_its_connection_is_reset_if_it_is_not_complete),
      CASE(a_body_that_ends_with_its_connection_is_reset_if_the_server_is_freed), CASE(a_body_of_known_length_is_not_reset))
