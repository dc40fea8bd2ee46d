/* Connections driven over sockets, in either role: both ends are drivers, or one is a raw socket or an attested server. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "sim.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

static _Thread_local atls_error *error;

/* What one end has seen, as text. */
struct end {
    atls_h1_driver *driver;
    atls_stream *stream;
    pthread_mutex_t lock;
    char seen[4000];
    size_t bytes, most;
    atls_status status, stream_status;
    uint32_t detail;
    char peer[60];
    int closed, stream_closed, echo;
};

static void note(struct end *end, const char *text)
{
    pthread_mutex_lock(&end->lock);
    snprintf(end->seen + strlen(end->seen), sizeof end->seen - strlen(end->seen), "%s", text);
    pthread_mutex_unlock(&end->lock);
}

static void on_stream(void *user_data, const atls_event *event)
{
    struct end *end = user_data;
    char text[200];
    if (event->kind == ATLS_EVENT_DATA) {
        snprintf(text, sizeof text, "<%.*s>", (int)atls_buf_len(event->buf), (const char *)atls_buf_data(event->buf));
        note(end, text);
    }
    if (event->kind != ATLS_EVENT_CLOSED)
        return;
    end->stream_status = event->status;
    __atomic_store_n(&end->stream_closed, 1, __ATOMIC_SEQ_CST);
}

/* A server that answers with what it was sent, or leaves HTTP. */
static void serve(struct end *end)
{
    atls_headers *headers = NULL;
    const char *target = atls_h1_driver_target(end->driver).ptr;
    if (strcmp(target, "/upgrade") == 0) {
        atls_sink sink = {.queue = queue, .call = on_stream, .user_data = end};
        OK(atls_headers_new(true, &headers, &error));
        OK(atls_headers_add(headers, "Upgrade", atls_bytes_of("x", 1), &error));
        OK(atls_headers_add(headers, "Connection", atls_bytes_of("upgrade", 7), &error));
        OK(atls_h1_driver_send_response(end->driver, 101, "Switching Protocols", headers, &error));
        OK(atls_h1_driver_detach_start(end->driver, runtime, &sink, &end->stream, &error));
        atls_headers_free(headers);
    } else {
        OK(atls_h1_driver_send_response(end->driver, 200, "Fine", NULL, &error));
        OK(atls_h1_driver_write(end->driver, atls_bytes_of("answer", 6), &error));
        OK(atls_h1_driver_finish(end->driver, NULL, &error));
    }
}

static void on_event(void *user_data, const atls_event *event)
{
    struct end *end = user_data;
    char text[300];
    switch (event->kind) {
    case ATLS_EVENT_CONNECTED:
        note(end, "(connected)");
        break;
    case ATLS_EVENT_INFORMATIONAL:
    case ATLS_EVENT_HEAD:
        if (atls_head_status(event->head) == 0) {
            const char *method = atls_h1_driver_method(event->source).ptr, *target = atls_h1_driver_target(event->source).ptr;
            snprintf(text, sizeof text, "[%s %s]", method, target);
            if (strncmp(target, "/more", 5) == 0) {
                OK(atls_h1_driver_set_body_limit(event->source, 10, &error));
                OK(atls_h1_driver_set_body_deadline(event->source, 150, &error));
            }
        } else {
            snprintf(text, sizeof text, "[%u]", atls_head_status(event->head));
        }
        note(end, text);
        break;
    case ATLS_EVENT_DATA:
        end->bytes += atls_buf_len(event->buf);
        end->most = atls_buf_len(event->buf) > end->most ? atls_buf_len(event->buf) : end->most;
        if (end->bytes < 100) {
            snprintf(text, sizeof text, "%.*s", (int)atls_buf_len(event->buf), (const char *)atls_buf_data(event->buf));
            note(end, text);
        }
        break;
    case ATLS_EVENT_TRAILERS:
        note(end, "(trailers)");
        break;
    case ATLS_EVENT_END:
        note(end, ".");
        if (end->echo)
            serve(end);
        break;
    case ATLS_EVENT_CLOSED:
        CHECK(!end->closed);
        end->status = event->status;
        end->detail = atls_error_detail(event->error);
        snprintf(end->peer, sizeof end->peer, "%s", atls_error_peer(event->error).ptr);
        __atomic_store_n(&end->closed, 1, __ATOMIC_SEQ_CST);
        break;
    }
}

static void until_closed(int *flag)
{
    for (int i = 0; i < 10000 && !__atomic_load_n(flag, __ATOMIC_SEQ_CST); i++)
        usleep(1000);
    CHECK(__atomic_load_n(flag, __ATOMIC_SEQ_CST));
}

static void until_seen(struct end *end, const char *wanted)
{
    for (int i = 0; i < 10000; i++) {
        pthread_mutex_lock(&end->lock);
        bool there = strcmp(end->seen, wanted) == 0;
        pthread_mutex_unlock(&end->lock);
        if (there)
            return;
        usleep(1000);
    }
    fprintf(stderr, "seen %s, wanted %s\n", end->seen, wanted);
    exit(1);
}

static atls_h1_driver_config *config(uint32_t role)
{
    atls_h1_driver_config *config = NULL;
    OK(atls_h1_driver_config_new(role, &config, &error));
    return config;
}

/* Starts an end on this socket; the configuration is freed. */
static void start(struct end *end, atls_h1_driver_config *config, int fd)
{
    memset(end, 0, sizeof *end);
    pthread_mutex_init(&end->lock, NULL);
    atls_sink sink = {.queue = queue, .call = on_event, .user_data = end};
    OK(atls_h1_driver_adopt_start(runtime, config, fd, &sink, &end->driver, &error));
    atls_h1_driver_config_free(config);
}

static void over(struct end *end)
{
    until_closed(&end->closed);
    atls_h1_driver_free(end->driver);
    atls_stream_free(end->stream);
    pthread_mutex_destroy(&end->lock);
}

static void ask(struct end *client, const char *method, const char *target, const char *extra, const char *value)
{
    atls_headers *headers = NULL;
    OK(atls_headers_new(true, &headers, &error));
    OK(atls_headers_add(headers, "Host", atls_bytes_of("a", 1), &error));
    if (extra)
        OK(atls_headers_add(headers, extra, atls_bytes_of_text(value), &error));
    if (extra && strcmp(extra, "Upgrade") == 0)
        OK(atls_headers_add(headers, "Connection", atls_bytes_of("Upgrade", 7), &error));
    OK(atls_h1_driver_send_request(client->driver, method, target, headers, &error));
    atls_headers_free(headers);
}

static void two_drivers_exchange_messages(void)
{
    int pair[2];
    struct end client, server;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    start(&client, config(ATLS_H1_CLIENT), pair[0]);
    start(&server, config(ATLS_H1_SERVER), pair[1]);
    server.echo = 1;
    ask(&client, "GET", "/one", NULL, NULL);
    OK(atls_h1_driver_finish(client.driver, NULL, &error));
    until_seen(&client, "[200]answer.");
    until_seen(&server, "[GET /one].");

    /* Another one on the same connection, in chunks and with trailers. */
    atls_headers *trailers = NULL;
    ask(&client, "POST", "/two", "Transfer-Encoding", "chunked");
    OK(atls_h1_driver_write(client.driver, atls_bytes_of("bo", 2), &error));
    OK(atls_h1_driver_write(client.driver, atls_bytes_of("dy", 2), &error));
    OK(atls_headers_new(true, &trailers, &error));
    OK(atls_headers_add(trailers, "X-Sum", atls_bytes_of("1", 1), &error));
    OK(atls_h1_driver_finish(client.driver, trailers, &error));
    atls_headers_free(trailers);
    until_seen(&client, "[200]answer.[200]answer.");
    until_seen(&server, "[GET /one].[POST /two]body(trailers).");

    atls_stream *none = NULL;
    atls_sink sink = {.queue = queue, .call = on_stream, .user_data = &client};
    ask(&client, "GET", "/three", NULL, NULL);
    EXPECT(ATLS_INVALID_STATE, "under way", atls_h1_driver_detach_start(client.driver, runtime, &sink, &none, &error));
    OK(atls_h1_driver_finish(client.driver, NULL, &error));
    until_seen(&client, "[200]answer.[200]answer.[200]answer.");
    OK(atls_h1_driver_close(client.driver, &error));
    atls_status late = atls_h1_driver_finish(client.driver, NULL, NULL);
    CHECK(late == ATLS_INVALID_STATE || late == ATLS_CLOSED);
    over(&client);
    over(&server);
    CHECK(client.status == ATLS_OK);
}

static void an_upgrade_hands_the_connection_over(void)
{
    int pair[2];
    struct end client, server;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    start(&client, config(ATLS_H1_CLIENT), pair[0]);
    start(&server, config(ATLS_H1_SERVER), pair[1]);
    server.echo = 1;
    ask(&client, "GET", "/upgrade", "Upgrade", "x");
    OK(atls_h1_driver_finish(client.driver, NULL, &error));
    until_seen(&client, "[101]");
    atls_sink sink = {.queue = queue, .call = on_stream, .user_data = &client};
    OK(atls_h1_driver_detach_start(client.driver, runtime, &sink, &client.stream, &error));
    until_closed(&client.closed);
    until_closed(&server.closed);
    CHECK(client.status == ATLS_OK && server.status == ATLS_OK);
    /* It opens once the driver is through. */
    for (int i = 0; i < 5000 && atls_stream_write(client.stream, atls_bytes_of("hello", 5), NULL) == ATLS_AGAIN; i++)
        usleep(1000);
    until_seen(&server, "[GET /upgrade].<hello>");
    OK(atls_stream_close(client.stream, &error));
    OK(atls_stream_close(server.stream, &error));
    until_closed(&client.stream_closed);
    until_closed(&server.stream_closed);
    over(&client);
    over(&server);
}

/* A server that gets these bytes sees that, and says this. */
static void raw(atls_h1_driver_config *config, const char *bytes, bool end_of_input, const char *seen, const char *answer, atls_status status)
{
    int pair[2];
    struct end server;
    char text[1000] = {0};
    size_t got = 0;
    ssize_t n;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    start(&server, config, pair[0]);
    CHECK(send(pair[1], bytes, strlen(bytes), MSG_NOSIGNAL) == (ssize_t)strlen(bytes));
    if (end_of_input)
        CHECK(shutdown(pair[1], SHUT_WR) == 0);
    while ((n = recv(pair[1], text + got, sizeof text - 1 - got, 0)) > 0)
        got += (size_t)n;
    over(&server);
    close(pair[1]);
    if (strcmp(server.seen, seen) || strncmp(text, answer, strlen(answer)) || (!*answer && *text) || server.status != status) {
        fprintf(stderr, "%s\nseen %s, said %s, %s\n", bytes, server.seen, text, atls_status_name(server.status).ptr);
        exit(1);
    }
}

static void a_fault_of_the_peer_or_the_host_ends_the_connection(void)
{
    raw(config(ATLS_H1_SERVER), "", true, "", "", ATLS_OK);
    raw(config(ATLS_H1_SERVER), "nonsense\r\n\r\n", false, "", "HTTP/1.1 400 Bad Request\r\n", ATLS_H1_REMOTE);
    raw(config(ATLS_H1_SERVER), "GET / HTTP/1.1\r\nHost: a\r\n", true, "", "HTTP/1.1 400 ", ATLS_H1_REMOTE);
    atls_h1_driver_config *small = config(ATLS_H1_SERVER);
    OK(atls_h1_driver_config_set_limit(small, ATLS_H1_DRIVER_LIMIT_HEAD_BYTES, 30, &error));
    raw(small, "GET / HTTP/1.1\r\nHost: a\r\nX: 123456789\r\n\r\n", false, "", "HTTP/1.1 431 ", ATLS_H1_REMOTE);
    small = config(ATLS_H1_SERVER);
    OK(atls_h1_driver_config_set_limit(small, ATLS_H1_DRIVER_LIMIT_BODY_BYTES, 3, &error));
    raw(small, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nfour", false, "[POST /]", "HTTP/1.1 413 ", ATLS_BODY_TOO_LARGE);
    small = config(ATLS_H1_SERVER);
    OK(atls_h1_driver_config_set_deadline(small, ATLS_H1_DRIVER_DEADLINE_HEAD, 100, &error));
    raw(small, "GET / HT", false, "", "", ATLS_TIMED_OUT);
    small = config(ATLS_H1_SERVER);
    OK(atls_h1_driver_config_set_deadline(small, ATLS_H1_DRIVER_DEADLINE_BODY, 100, &error));
    raw(small, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nfo", false, "[POST /]fo", "", ATLS_TIMED_OUT);
    small = config(ATLS_H1_SERVER);
    OK(atls_h1_driver_config_set_decode(small, true, &error));
    raw(small, "POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: rot13\r\nContent-Length: 1\r\n\r\nx", false, "", "HTTP/1.1 415 ", ATLS_CONTENT_CODING);

    /* What is no HTTP is refused at the call, and nothing of it is sent. */
    int pair[2];
    struct end server;
    char byte;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    start(&server, config(ATLS_H1_SERVER), pair[0]);
    /* It waits for the peer by now, and ends nevertheless. */
    usleep(50000);
    CHECK(atls_h1_driver_write(server.driver, atls_bytes_of("x", 1), &error) == ATLS_H1_LOCAL);
    atls_error_free(error);
    error = NULL;
    CHECK(recv(pair[1], &byte, 1, 0) == 0);
    over(&server);
    close(pair[1]);

    int null = open("/dev/null", O_RDONLY);
    atls_h1_driver *none = NULL;
    atls_sink sink = {.queue = queue, .call = on_event};
    atls_h1_driver_config *usual = config(ATLS_H1_SERVER);
    EXPECT(ATLS_INVALID_ARGUMENT, "not a socket", atls_h1_driver_adopt_start(runtime, usual, null, &sink, &none, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "role 2", atls_h1_driver_config_new(2, &usual, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "limit 402 cannot be 0", atls_h1_driver_config_set_limit(usual, ATLS_H1_DRIVER_LIMIT_DATA_BYTES, 0, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "deadline 4", atls_h1_driver_config_set_deadline(usual, 4, 0, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "flags", atls_h1_driver_config_set_flags(usual, 1 << 30, &error));
    atls_h1_driver_config_free(usual);
    close(null);
}

/* What one message may be, and how long it may take, where the host says so for it alone. */
static void limits_of_one_message_hold_for_it_alone(void)
{
#define MORE "POST /more HTTP/1.1\r\nHost: a\r\n"
#define NEXT "POST /next HTTP/1.1\r\nHost: a\r\n"
    for (int i = 0; i < 4; i++) {
        atls_h1_driver_config *small = config(ATLS_H1_SERVER);
        OK(atls_h1_driver_config_set_limit(small, ATLS_H1_DRIVER_LIMIT_BODY_BYTES, 3, &error));
        static const struct {
            const char *bytes, *seen, *answer;
            atls_status status;
        } cases[] = {
            {MORE "Content-Length: 11\r\n\r\n12345678901", "[POST /more]", "HTTP/1.1 413", ATLS_BODY_TOO_LARGE},
            {MORE "Transfer-Encoding: chunked\r\n\r\nb\r\nabcdefghijk\r\n", "[POST /more]abcdefghij", "HTTP/1.1 413", ATLS_BODY_TOO_LARGE},
            {MORE "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n6\r\nfghijk\r\n", "[POST /more]abcdefghij", "HTTP/1.1 413", ATLS_BODY_TOO_LARGE},
            {MORE "Content-Length: 5\r\n\r\nfour", "[POST /more]four", "", ATLS_TIMED_OUT},
            /* Refused at the head, before it is asked for. */
            {NEXT "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n", "[POST /next]", "HTTP/1.1 413", ATLS_BODY_TOO_LARGE},
        };
        raw(small, cases[i].bytes, false, cases[i].seen, cases[i].answer, cases[i].status);
    }
    /* It is for one message, and within it all is well. */
    int pair[2];
    struct end server;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    atls_h1_driver_config *small = config(ATLS_H1_SERVER);
    OK(atls_h1_driver_config_set_limit(small, ATLS_H1_DRIVER_LIMIT_BODY_BYTES, 3, &error));
    start(&server, small, pair[0]);
    server.echo = 1;
    const char *bytes = MORE "Content-Length: 10\r\n\r\n1234567890" NEXT "Content-Length: 3\r\n\r\nabc" NEXT "Content-Length: 4\r\n\r\nabcd";
    CHECK(send(pair[1], bytes, strlen(bytes), MSG_NOSIGNAL) == (ssize_t)strlen(bytes));
    until_closed(&server.closed);
    until_seen(&server, "[POST /more]1234567890.[POST /next]abc.[POST /next]");
    CHECK(server.status == ATLS_BODY_TOO_LARGE);
    over(&server);
    close(pair[1]);
    /* Leniency, where it is asked for. */
    atls_h1_driver_config *lenient = config(ATLS_H1_SERVER);
    OK(atls_h1_driver_config_set_flags(lenient, ATLS_H1_ALLOW_BARE_LF, &error));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    start(&server, lenient, pair[0]);
    CHECK(send(pair[1], "GET / HTTP/1.1\nHost: a\n\n", 24, MSG_NOSIGNAL) == 24);
    until_seen(&server, "[GET /].");
    OK(atls_h1_driver_close(server.driver, &error));
    over(&server);
    close(pair[1]);
}

/* A client that has ended its own direction gets its answer; one that has gone is told, once. */
static void a_peer_that_leaves_is_told_from_one_that_ends_its_direction(void)
{
    int pair[2];
    struct end server;
    char text[400] = "";
    size_t got = 0;
    ssize_t n;
    const char *bytes = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    start(&server, config(ATLS_H1_SERVER), pair[0]);
    CHECK(send(pair[1], bytes, strlen(bytes), MSG_NOSIGNAL) > 0 && shutdown(pair[1], SHUT_WR) == 0);
    until_seen(&server, "[GET /].");
    usleep(50000);
    CHECK(!server.closed);
    serve(&server);
    while ((n = recv(pair[1], text + got, sizeof text - 1 - got, 0)) > 0)
        got += (size_t)n;
    CHECK(n == 0 && strncmp(text, "HTTP/1.1 200", 12) == 0 && strstr(text, "answer"));
    until_closed(&server.closed);
    CHECK(server.status == ATLS_OK);
    over(&server);
    close(pair[1]);

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    start(&server, config(ATLS_H1_SERVER), pair[0]);
    CHECK(send(pair[1], bytes, strlen(bytes), MSG_NOSIGNAL) > 0);
    until_seen(&server, "[GET /].");
    close(pair[1]);
    until_closed(&server.closed);
    CHECK(server.status == ATLS_IO && server.detail == ATLS_DETAIL_PEER_GONE);
    over(&server);

    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof place;
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&place, size) == 0 && listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&place, &size) == 0 && connect(fd, (struct sockaddr *)&place, size) == 0);
    start(&server, config(ATLS_H1_SERVER), accept(listener, NULL, NULL));
    CHECK(send(fd, bytes, strlen(bytes), MSG_NOSIGNAL) > 0 && shutdown(fd, SHUT_WR) == 0);
    until_seen(&server, "[GET /].");
    usleep(20000);
    CHECK(!server.closed && setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    close(fd);
    until_closed(&server.closed);
    CHECK(server.status == ATLS_IO && server.detail == ATLS_DETAIL_PEER_GONE && strncmp(server.peer, "127.0.0.1:", 10) == 0);
    over(&server);
    close(listener);
}

/* Bytes that the process holds; always 0 where nobody counts them. */
static size_t memory(void)
{
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
    return getenv("ATLS_TEST_SLOW") ? 0 : mallinfo2().uordblks + mallinfo2().hblkhd;
#else
    return 0;
#endif
}

/* A stream that waits for a peer to take what was said before can be given up. */
static void a_detached_stream_that_waits_can_be_canceled(void)
{
    static uint8_t block[65536];
    int pair[2], least = 1;
    struct end server;
    const char *bytes = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    atls_sink sink = {.queue = queue, .call = on_stream, .user_data = &server};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    CHECK(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least) == 0);
    start(&server, config(ATLS_H1_SERVER), pair[0]);
    CHECK(send(pair[1], bytes, strlen(bytes), MSG_NOSIGNAL) > 0);
    until_seen(&server, "[GET /].");
    OK(atls_h1_driver_send_response(server.driver, 200, NULL, NULL, &error));
    /* What waits is as much as the header says, however small the pieces. */
    size_t before = memory();
    for (int again = 0; again < 200; usleep(again ? 1000 : 0))
        again = atls_h1_driver_write(server.driver, atls_bytes_of(block, 40), NULL) == ATLS_OK ? 0 : again + 1;
    CHECK(memory() - before < 700 << 10);
    for (int again = 0; again < 200; usleep(again ? 1000 : 0))
        again = atls_h1_driver_write(server.driver, atls_bytes_of(block, sizeof block), NULL) == ATLS_OK ? 0 : again + 1;
    CHECK(memory() - before < 700 << 10);
    OK(atls_h1_driver_finish(server.driver, NULL, &error));
    for (int i = 0; i < 5000 && atls_h1_driver_detach_start(server.driver, runtime, &sink, &server.stream, NULL) != ATLS_OK; i++)
        usleep(1000);
    CHECK(server.stream);
    usleep(20000);
    CHECK(!server.stream_closed);
    OK(atls_stream_cancel(server.stream, &error));
    until_closed(&server.stream_closed);
    until_closed(&server.closed);
    CHECK(server.status == ATLS_CANCELED && server.stream_status == ATLS_CANCELED);
    over(&server);
    close(pair[1]);
}

/* Much, in small pieces and under credit, to a host that writes until it is told to wait. */
static void a_large_body_flows_under_credit(void)
{
    enum { TOTAL = 2000000 };
    static uint8_t block[10000];
    int pair[2], sent = 0, refused = 0;
    struct end client, server;
    char length[20];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    start(&client, config(ATLS_H1_CLIENT), pair[0]);
    atls_h1_driver_config *small = config(ATLS_H1_SERVER);
    OK(atls_h1_driver_config_set_limit(small, ATLS_H1_DRIVER_LIMIT_DATA_BYTES, 1000, &error));
    OK(atls_h1_driver_config_set_credit(small, 5000, false, &error));
    start(&server, small, pair[1]);
    snprintf(length, sizeof length, "%d", TOTAL);
    ask(&client, "POST", "/much", "Content-Length", length);
    while (sent < TOTAL) {
        atls_status status = atls_h1_driver_write(client.driver, atls_bytes_of(block, sizeof block), NULL);
        CHECK(status == ATLS_OK || status == ATLS_AGAIN);
        sent += status == ATLS_OK ? (int)sizeof block : 0;
        if (status == ATLS_AGAIN && refused++ == 0) {
            for (int i = 0; i < 10000 && server.bytes < 5000; i++)
                usleep(1000);
            usleep(50000);
            CHECK(server.bytes == 5000);
            OK(atls_h1_driver_grant(server.driver, UINT64_MAX, &error));
        }
        if (status == ATLS_AGAIN)
            usleep(1000);
    }
    OK(atls_h1_driver_finish(client.driver, NULL, &error));
    for (int i = 0; i < 10000 && server.bytes < TOTAL; i++)
        usleep(1000);
    CHECK(server.bytes == TOTAL && server.most == 1000 && refused > 0);
    atls_h1_driver_free(client.driver);
    client.driver = NULL;
    over(&client);
    CHECK(client.status == ATLS_CANCELED);
    over(&server);
}

/* Over an attested stream. */
static void a_driver_runs_over_an_attested_stream(void)
{
    struct sim sim = sim_start();
    struct end client = {.lock = PTHREAD_MUTEX_INITIALIZER};
    atls_sink sink = {.queue = queue, .call = on_event, .user_data = &client};
    atls_config *connection = sim_config(sim.http, "policy.json");
    atls_h1_driver_config *usual = config(ATLS_H1_CLIENT), *server = config(ATLS_H1_SERVER);
    EXPECT(ATLS_INVALID_STATE, "does not connect", atls_h1_driver_connect_start(runtime, server, connection, &sink, &client.driver, &error));
    OK(atls_h1_driver_connect_start(runtime, usual, connection, &sink, &client.driver, &error));
    until_seen(&client, "(connected)");
    atls_verdict *verdict = atls_h1_driver_verdict(client.driver);
    CHECK(verdict && atls_verdict_trusted(verdict) && atls_verdict_bound_to_session(verdict));
    atls_verdict_free(verdict);
    ask(&client, "GET", "/early", NULL, NULL);
    OK(atls_h1_driver_finish(client.driver, NULL, &error));
    until_seen(&client, "(connected)[103][200]body(trailers).");
    OK(atls_h1_driver_close(client.driver, &error));
    over(&client);
    CHECK(client.status == ATLS_OK);
    atls_config_free(connection);
    connection = sim_config(sim.http, "wrong-policy.json");
    struct end refused = {.lock = PTHREAD_MUTEX_INITIALIZER};
    sink.user_data = &refused;
    OK(atls_h1_driver_connect_start(runtime, usual, connection, &sink, &refused.driver, &error));
    over(&refused);
    CHECK(refused.status == ATLS_MEASUREMENT_MISMATCH && refused.seen[0] == '\0');
    atls_config_free(connection);
    atls_h1_driver_config_free(usual);
    atls_h1_driver_config_free(server);
}

/* A response that is announced again and again is late as another. */
static void hints_without_end_run_into_the_deadline(void)
{
    int pair[2], sent = 0;
    struct end client;
    const char *hint = "HTTP/1.1 103 Early Hints\r\n\r\n";
    atls_h1_driver_config *late = config(ATLS_H1_CLIENT);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    OK(atls_h1_driver_config_set_deadline(late, ATLS_H1_DRIVER_DEADLINE_HEAD, 300, &error));
    start(&client, late, pair[0]);
    ask(&client, "GET", "/", NULL, NULL);
    OK(atls_h1_driver_finish(client.driver, NULL, &error));
    for (; sent < 200 && !__atomic_load_n(&client.closed, __ATOMIC_SEQ_CST); sent++) {
        CHECK(send(pair[1], hint, strlen(hint), MSG_NOSIGNAL) > 0 || sent > 0);
        usleep(20000);
    }
    CHECK(sent < 200);
    over(&client);
    CHECK(client.status == ATLS_TIMED_OUT && strstr(client.seen, "[103][103]"));
    close(pair[1]);
}

static void set_up(void)
{
    sim_start();
    loop_start();
}

TESTS(set_up, loop_end, CASE(two_drivers_exchange_messages), CASE(an_upgrade_hands_the_connection_over),
      CASE(a_fault_of_the_peer_or_the_host_ends_the_connection), CASE(limits_of_one_message_hold_for_it_alone),
      CASE(hints_without_end_run_into_the_deadline), CASE(a_peer_that_leaves_is_told_from_one_that_ends_its_direction),
      CASE(a_detached_stream_that_waits_can_be_canceled), CASE(a_large_body_flows_under_credit),
      CASE(a_driver_runs_over_an_attested_stream))
