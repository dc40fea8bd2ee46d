/* Faults, limits, deadlines and peers that leave: how a driven connection ends. */
#include "driven.h"

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
    /* 0 for one message is the deadline of the configuration. */
    small = config(ATLS_H1_SERVER);
    OK(atls_h1_driver_config_set_deadline(small, ATLS_H1_DRIVER_DEADLINE_BODY, 100, &error));
    raw(small, "POST /usual HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nfo", false, "[POST /usual]fo", "", ATLS_TIMED_OUT);
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
    EXPECT(ATLS_INVALID_ARGUMENT, "limit 402: 0 is out of range", atls_h1_driver_config_set_limit(usual, ATLS_H1_DRIVER_LIMIT_DATA_BYTES, 0, &error));
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

TESTS(set_up, loop_end, CASE(a_fault_of_the_peer_or_the_host_ends_the_connection), CASE(limits_of_one_message_hold_for_it_alone),
      CASE(hints_without_end_run_into_the_deadline), CASE(a_peer_that_leaves_is_told_from_one_that_ends_its_direction))
