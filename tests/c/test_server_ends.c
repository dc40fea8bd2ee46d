/* How requests and streams of a server end: for a peer that goes away in each way that there is, for a host that gives up what it waits for, and with the
 * server. Each ends once, says why and whose it was, and nothing stays behind. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop.h"
#include "tcp.h"

static _Thread_local atls_error *error;
static uint16_t port;

/* A request, or a stream that came of one, as its events tell it. */
struct told {
    atls_server_request *request;
    atls_stream *stream;
    int started, upgrades, closed, dropped, ended;
    atls_status status;
    uint32_t detail;
    char message[200], peer[60];
};
static struct told requests[400], streams[400];
static int seen, server_closed;

static int get(int *count)
{
    return __atomic_load_n(count, __ATOMIC_SEQ_CST);
}

static void wait_until(int line, int *count, int wanted)
{
    for (int i = 0; i < 20000 && get(count) < wanted; i++)
        usleep(1000);
    if (get(count) != wanted) {
        fprintf(stderr, "%s:%d: waited for %d, got %d\n", __FILE__, line, wanted, get(count));
        exit(1);
    }
}
#define until(count, wanted) wait_until(__LINE__, count, wanted)

static void on_told(void *user_data, const atls_event *event)
{
    struct told *told = user_data;
    CHECK(get(&told->closed) == 0);
    if (event->kind == ATLS_EVENT_END)
        __atomic_store_n(&told->ended, 1, __ATOMIC_SEQ_CST);
    if (event->kind != ATLS_EVENT_CLOSED)
        return;
    told->status = event->status;
    told->detail = atls_error_detail(event->error);
    snprintf(told->message, sizeof told->message, "%s", atls_error_message(event->error).ptr);
    snprintf(told->peer, sizeof told->peer, "%s", atls_error_peer(event->error).ptr);
    __atomic_fetch_add(&told->closed, 1, __ATOMIC_SEQ_CST);
}

static void on_drop(void *user_data)
{
    struct told *told = user_data;
    __atomic_fetch_add(&told->dropped, 1, __ATOMIC_SEQ_CST);
}

static void upgrade(int number)
{
    atls_headers *headers = NULL;
    atls_sink sink = {.queue = queue, .call = on_told, .user_data = &streams[number], .drop = on_drop};
    OK(atls_headers_new(true, &headers, &error));
    OK(atls_headers_add(headers, "Upgrade", atls_bytes_of("x", 1), &error));
    OK(atls_server_request_upgrade_start(requests[number].request, runtime, 101, headers, &sink, &streams[number].stream, &error));
    atls_headers_free(headers);
}

static void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind == ATLS_EVENT_CLOSED)
        __atomic_fetch_add(&server_closed, 1, __ATOMIC_SEQ_CST);
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    int number = seen;
    struct told *told = &requests[number];
    atls_sink sink = {.queue = queue, .call = on_told, .user_data = told, .drop = on_drop};
    told->request = atls_server_request_ref(event->source);
    const char *target = atls_server_request_target(told->request).ptr;
    if (strcmp(target, "/held") != 0) {
        OK(atls_server_request_start(told->request, runtime, &sink, &error));
        told->started = 1;
    }
    if (strcmp(target, "/upgrade") == 0)
        upgrade(number);
    __atomic_fetch_add(&seen, 1, __ATOMIC_SEQ_CST);
}

static atls_server *serve(uint32_t probe)
{
    atls_server *server = NULL;
    atls_server_config *config = NULL;
    atls_sink sink = {.queue = queue, .call = on_server};
    memset(requests, 0, sizeof requests);
    memset(streams, 0, sizeof streams);
    seen = server_closed = 0;
    OK(atls_server_config_new(&config, &error));
    OK(atls_server_config_set_deadline(config, ATLS_SERVER_DEADLINE_TCP_KEEPALIVE, probe, &error));
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    atls_server_config_free(config);
    return server;
}

/* Stops, and all that was started has ended, once. */
static void end(atls_server *server)
{
    OK(atls_server_stop(server, &error));
    until(&server_closed, 1);
    for (int i = 0; i < seen; i++) {
        until(&requests[i].dropped, requests[i].started);
        CHECK(requests[i].closed == requests[i].started);
        until(&streams[i].dropped, streams[i].stream != NULL);
        atls_server_request_free(requests[i].request);
        atls_stream_free(streams[i].stream);
    }
    CHECK(atls_server_count(server, ATLS_SERVER_COUNT_CONNECTIONS) == 0);
    atls_server_free(server);
}

static int dial(void)
{
    return tcp_dial(port);
}

/* Sends a head, and waits until the host has the request; its number. */
static int ask(int fd, const char *target, const char *extra)
{
    char text[300];
    int number = get(&seen), len = snprintf(text, sizeof text, "POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n", target, extra);
    CHECK(send(fd, text, (size_t)len, MSG_NOSIGNAL) == len);
    until(&seen, number + 1);
    return number;
}

static void wait_gone(int line, int number)
{
    struct told *told = &requests[number];
    wait_until(line, &told->closed, 1);
    if (told->status != ATLS_IO || told->detail != ATLS_DETAIL_PEER_GONE || strncmp(told->peer, "127.0.0.1:", 10) != 0) {
        fprintf(stderr, "request %d: %s, detail %u, peer \"%s\": %s\n", number, atls_status_name(told->status).ptr, told->detail, told->peer, told->message);
        exit(1);
    }
}

#define is_gone(number) wait_gone(__LINE__, number)

static void reset(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    close(fd);
}

#define UPGRADE "Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 5\r\n"

/* One that has only ended its own direction is not gone, and gets its answer, however late. */
static void answered(int fd, int number)
{
    char text[300] = "";
    size_t got = 0;
    ssize_t n;
    CHECK(requests[number].closed == 0);
    OK(atls_server_request_respond(requests[number].request, 200, NULL, atls_bytes_of("late", 4), &error));
    while ((n = recv(fd, text + got, sizeof text - 1 - got, 0)) > 0)
        got += (size_t)n;
    CHECK(n == 0 && strncmp(text, "HTTP/1.1 200", 12) == 0 && strstr(text, "\r\n\r\nlate"));
    close(fd);
    until(&requests[number].closed, 1);
    CHECK(requests[number].status == ATLS_OK);
}

static void a_peer_that_leaves_is_noticed_however_it_leaves(void)
{
    atls_server *server = serve(1000);
    /* Closed without a reset: only TCP's questions find it out, once the peer's system has forgotten the connection. The others go on meanwhile. */
    int closed = dial(), half = dial(), quiet = ask(closed, "/", ""), second = 1;
    CHECK(setsockopt(closed, IPPROTO_TCP, TCP_LINGER2, &second, sizeof second) == 0);
    close(closed);
    int late = ask(half, "/", "");
    CHECK(shutdown(half, SHUT_WR) == 0);

    /* A reset: while it is read; after it has ended its direction; within its body. */
    int fd = dial(), number = ask(fd, "/", "");
    reset(fd);
    is_gone(number);
    fd = dial();
    number = ask(fd, "/", "");
    CHECK(shutdown(fd, SHUT_WR) == 0);
    until(&requests[number].ended, 1);
    usleep(20000);
    CHECK(requests[number].closed == 0);
    reset(fd);
    is_gone(number);
    fd = dial();
    number = ask(fd, "/upgrade", UPGRADE);
    CHECK(send(fd, "12", 2, MSG_NOSIGNAL) == 2);
    reset(fd);
    is_gone(number);
    until(&streams[number].closed, 1);
    CHECK(streams[number].status == ATLS_CLOSED);

    is_gone(quiet);
    answered(half, late);
    end(server);
}

/* Nor does a request that nobody has started keep its connection; it cannot be started then. */
static void a_request_nobody_starts_keeps_no_connection(void)
{
    atls_server *server = serve(0);
    int fd = dial(), number = ask(fd, "/held", "Expect: 100-continue\r\nContent-Length: 5\r\n");
    atls_sink sink = {.queue = queue, .call = on_told, .user_data = &requests[number], .drop = on_drop};
    reset(fd);
    for (int i = 0; i < 20000 && atls_server_count(server, ATLS_SERVER_COUNT_CONNECTIONS) > 0; i++)
        usleep(1000);
    CHECK(atls_server_count(server, ATLS_SERVER_COUNT_CONNECTIONS) == 0);
    EXPECT(ATLS_CLOSED, "over", atls_server_request_start(requests[number].request, runtime, &sink, &error));
    end(server);
}

/* A Unix socket's peer that has closed it is known to be gone without any question. */
static void a_unix_peer_that_closes_is_noticed_at_once(void)
{
    atls_server *server = serve(UINT32_MAX);
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    OK(atls_server_adopt_connection(server, pair[0], &error));
    int number = ask(pair[1], "/", "");
    CHECK(shutdown(pair[1], SHUT_WR) == 0);
    until(&requests[number].ended, 1);
    usleep(20000);
    CHECK(requests[number].closed == 0);
    close(pair[1]);
    until(&requests[number].closed, 1);
    CHECK(requests[number].status == ATLS_IO && requests[number].detail == ATLS_DETAIL_PEER_GONE);
    end(server);
}

/* A stream that waits for its connection, which waits for the rest of a body. */
static void a_stream_that_waits_can_be_given_up(void)
{
    atls_server *server = serve(0);
    for (int way = 0; way < 3; way++) {
        int fd = dial(), number = ask(fd, "/upgrade", UPGRADE);
        char byte;
        if (way == 0)
            OK(atls_stream_cancel(streams[number].stream, &error));
        if (way == 1)
            OK(atls_stream_close(streams[number].stream, &error));
        if (way == 2) {
            atls_stream_free(streams[number].stream);
            until(&streams[number].dropped, 1);
            streams[number].stream = NULL;
            streams[number].dropped = 0;
        }
        until(&streams[number].closed, 1);
        CHECK(streams[number].status == (way == 1 ? ATLS_OK : ATLS_CANCELED));
        until(&requests[number].closed, 1);
        CHECK(requests[number].status == ATLS_CANCELED);
        /* Nothing of a switch was said. */
        CHECK(recv(fd, &byte, 1, 0) <= 0);
        close(fd);
    }
    end(server);
}

/* A peer that asks for a switch, and to be asked for its body: the switch comes behind the body, and so the body is asked for. */
static void a_switch_comes_after_the_body(void)
{
    atls_server *server = serve(0);
    const char *expected[] = {"HTTP/1.1 100 ", "HTTP/1.1 101 "};
    char text[400];
    int fd = dial(), number = ask(fd, "/upgrade", UPGRADE "Expect: 100-continue\r\n");
    struct timeval limit = {5, 0};
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    for (int i = 0; i < 2; i++) {
        ssize_t got = recv(fd, text, sizeof text, 0);
        CHECK(got > 13 && strncmp(text, expected[i], 13) == 0);
        CHECK(i == 1 || send(fd, "12345", 5, MSG_NOSIGNAL) == 5);
    }
    until(&requests[number].closed, 1);
    CHECK(requests[number].status == ATLS_OK);
    OK(atls_stream_cancel(streams[number].stream, &error));
    until(&streams[number].closed, 1);
    close(fd);
    end(server);
}

/* What is cut with its server says so, and whose it was. */
static void what_is_cut_with_its_server_says_so(void)
{
    for (int way = 0; way < 2; way++) {
        atls_server *server = serve(0);
        int fds[3] = {dial(), dial(), dial()};
        int plain = ask(fds[0], "/", ""), waiting = ask(fds[1], "/upgrade", UPGRADE), switched = ask(fds[2], "/upgrade", UPGRADE);
        CHECK(send(fds[2], "12345", 5, MSG_NOSIGNAL) == 5);
        until(&requests[switched].closed, 1);
        CHECK(requests[switched].status == ATLS_OK);
        OK(way == 0 ? atls_server_close(server, &error) : atls_server_drain(server, 50, &error));
        struct told *all[] = {&requests[plain], &requests[waiting], &streams[switched]};
        for (int i = 0; i < 3; i++) {
            until(&all[i]->closed, 1);
            CHECK(all[i]->status == ATLS_CANCELED && all[i]->detail == ATLS_DETAIL_SERVER_CLOSED);
            CHECK(strstr(all[i]->message, "the server was closed") && strncmp(all[i]->peer, "127.0.0.1:", 10) == 0);
        }
        until(&streams[waiting].closed, 1);
        for (int i = 0; i < 3; i++)
            close(fds[i]);
        end(server);
    }
}

/* Whatever comes first, a start or the server's end, a request that was not started leaves nothing behind, and one that was ends. */
struct race {
    pthread_barrier_t barrier;
    atls_server *server;
    int refused;
};

static void *start_all(void *argument)
{
    struct race *race = argument;
    pthread_barrier_wait(&race->barrier);
    for (int i = 0; i < seen; i++) {
        atls_sink sink = {.queue = queue, .call = on_told, .user_data = &requests[i], .drop = on_drop};
        requests[i].started = atls_server_request_start(requests[i].request, runtime, &sink, NULL) == ATLS_OK;
    }
    return NULL;
}

static void a_start_that_races_the_end_leaves_nothing_behind(void)
{
    enum { REQUESTS = 16 };
    atls_queue *usual = queue;
    for (int round = 0; round < (getenv("ATLS_TEST_SLOW") ? 5 : 40); round++) {
        struct race race = {.refused = 0};
        pthread_t thread;
        int fds[REQUESTS];
        OK(atls_queue_new_dispatching(&queue, &error));
        race.server = serve(0);
        pthread_barrier_init(&race.barrier, NULL, 2);
        for (int i = 0; i < REQUESTS; i++) {
            fds[i] = dial();
            ask(fds[i], "/held", "");
        }
        CHECK(pthread_create(&thread, NULL, start_all, &race) == 0);
        pthread_barrier_wait(&race.barrier);
        for (volatile int i = 0; i < round * 300; i++)
            ;
        OK(atls_server_close(race.server, &error));
        pthread_join(thread, NULL);
        for (int i = 0; i < REQUESTS; i++)
            close(fds[i]);
        end(race.server);
        OK(atls_queue_stop(queue, &error));
        atls_queue_free(queue);
        pthread_barrier_destroy(&race.barrier);
    }
    queue = usual;
}

TESTS(loop_start, loop_end, CASE(a_peer_that_leaves_is_noticed_however_it_leaves), CASE(a_request_nobody_starts_keeps_no_connection),
      CASE(a_unix_peer_that_closes_is_noticed_at_once), CASE(a_stream_that_waits_can_be_given_up), CASE(a_switch_comes_after_the_body),
      CASE(what_is_cut_with_its_server_says_so), CASE(a_start_that_races_the_end_leaves_nothing_behind))
