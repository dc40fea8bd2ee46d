/* The server, beside raw sockets and the library's own client: what it answers to what is not HTTP, bodies both ways under credit, deadlines,
 * limits, stopping and draining, and hosts that let go. */
#include <arpa/inet.h>
#include <pthread.h>
#include <unistd.h>

#include "loop.h"
#include "tcp.h"

static _Thread_local atls_error *error;
static uint16_t port;

/* What the host does with a request is in its target. */
struct visit {
    atls_server_request *request;
    size_t received, pieces, to_send;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int seen, started, closed, failed, dropped, server_closed, refusals;
static atls_status last_status;

static void send_on(struct visit *visit)
{
    static uint8_t block[50000];
    while (visit->to_send > 0) {
        size_t n = visit->to_send < sizeof block ? visit->to_send : sizeof block;
        if (atls_server_request_write(visit->request, atls_bytes_of(block, n), NULL) != ATLS_OK)
            return;
        visit->to_send -= n;
    }
    atls_server_request_finish(visit->request, NULL, NULL);
}

static void answer(struct visit *visit, const char *target)
{
    char text[60];
    atls_headers *headers = NULL;
    atls_server_request *request = visit->request;
    atls_error *own = NULL;
    if (strcmp(target, "/large") == 0 || strcmp(target, "/both") == 0) {
        visit->to_send = 20000000;
        atls_server_request_send_head(request, 200, NULL, NULL, visit->to_send, NULL);
        send_on(visit);
    } else if (strcmp(target, "/chunks") == 0) {
        atls_headers_new(true, &headers, NULL);
        atls_headers_add(headers, "X-End", atls_bytes_of("yes", 3), NULL);
        CHECK(atls_server_request_send_head(request, 103, NULL, headers, 0, NULL) == ATLS_OK);
        CHECK(atls_server_request_send_head(request, 299, "So so", NULL, ATLS_LENGTH_UNKNOWN, NULL) == ATLS_OK);
        CHECK(atls_server_request_send_head(request, 200, NULL, NULL, 0, &own) == ATLS_INVALID_STATE);
        atls_error_free(own);
        CHECK(atls_server_request_write(request, atls_bytes_of("one", 3), NULL) == ATLS_OK);
        CHECK(atls_server_request_write(request, atls_bytes_of("two", 3), NULL) == ATLS_OK);
        CHECK(atls_server_request_finish(request, headers, NULL) == ATLS_OK);
        atls_headers_free(headers);
    } else if (strcmp(target, "/long") == 0) {
        atls_server_request_send_head(request, 200, NULL, NULL, 3, NULL);
        atls_server_request_write(request, atls_bytes_of("four", 4), NULL);
        atls_server_request_finish(request, NULL, NULL);
    } else if (strcmp(target, "/short") == 0) {
        atls_server_request_send_head(request, 200, NULL, NULL, 5, NULL);
        atls_server_request_write(request, atls_bytes_of("four", 4), NULL);
        atls_server_request_finish(request, NULL, NULL);
    } else if (strcmp(target, "/cancel") == 0) {
        atls_server_request_cancel(request, NULL);
    } else if (strcmp(target, "/304") == 0) {
        atls_server_request_respond(request, 304, NULL, atls_bytes_of("not sent", 8), NULL);
    } else if (strcmp(target, "/never") != 0) {
        size_t shown = strcmp(target, "/pieces") == 0 ? visit->pieces : visit->received;
        int len = snprintf(text, sizeof text, "%s %zu", atls_server_request_method(request).ptr, shown);
        atls_server_request_respond(request, 200, NULL, atls_bytes_of(text, (size_t)len), NULL);
    }
}

static void on_visit(void *user_data, const atls_event *event)
{
    struct visit *visit = user_data;
    const char *target = atls_server_request_target(visit->request).ptr;
    if (event->kind == ATLS_EVENT_DATA) {
        visit->received += atls_buf_len(event->buf);
        visit->pieces++;
    }
    if (event->kind == ATLS_EVENT_END)
        answer(visit, target);
    if (event->kind == ATLS_EVENT_WRITABLE)
        send_on(visit);
    if (event->kind != ATLS_EVENT_CLOSED)
        return;
    pthread_mutex_lock(&lock);
    closed++;
    failed += event->status != ATLS_OK;
    last_status = event->status;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void on_drop(void *user_data)
{
    struct visit *visit = user_data;
    atls_server_request_free(visit->request);
    free(visit);
    pthread_mutex_lock(&lock);
    dropped++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    pthread_mutex_lock(&lock);
    seen += event->kind == ATLS_EVENT_REQUEST;
    /* The peer is told once this is over: a later check of the count sees it. */
    refusals += event->kind == ATLS_EVENT_REFUSED && event->error && event->status == atls_error_status(event->error);
    server_closed += event->kind == ATLS_EVENT_CLOSED;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    if (event->kind != ATLS_EVENT_REQUEST || strcmp(atls_server_request_target(event->source).ptr, "/ignored") == 0)
        return;
    struct visit *visit = calloc(1, sizeof *visit);
    CHECK(visit);
    visit->request = atls_server_request_ref(event->source);
    CHECK(atls_server_request_write(visit->request, atls_bytes_of(NULL, 0), NULL) == ATLS_INVALID_STATE);
    atls_sink sink = {queue, 0, on_visit, visit, on_drop};
    CHECK(atls_server_request_start(visit->request, runtime, &sink, NULL) == ATLS_OK);
    CHECK(atls_server_request_start(visit->request, runtime, &sink, NULL) == ATLS_INVALID_STATE);
    if (strcmp(atls_server_request_target(event->source).ptr, "/early") == 0)
        CHECK(atls_server_request_respond(event->source, 200, NULL, atls_bytes_of("early", 5), NULL) == ATLS_OK);
    if (strcmp(atls_server_request_target(event->source).ptr, "/both") == 0)
        answer(visit, "/both");
    pthread_mutex_lock(&lock);
    started++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static atls_server *serve(uint32_t limit, uint64_t value, uint32_t deadline, uint32_t ms)
{
    atls_server *server = NULL;
    atls_server_config *config = NULL;
    atls_sink sink = {queue, 0, on_server, NULL, NULL};
    seen = started = closed = failed = dropped = server_closed = refusals = 0;
    OK(atls_server_config_new(&config, &error));
    if (limit)
        OK(atls_server_config_set_limit(config, limit, value, &error));
    if (deadline)
        OK(atls_server_config_set_deadline(config, deadline, ms, &error));
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    atls_server_config_free(config);
    return server;
}

/* Waits for CLOSED, and that nothing is left. */
static void end(atls_server *server, bool stop)
{
    if (stop)
        OK(atls_server_stop(server, &error));
    pthread_mutex_lock(&lock);
    while (!server_closed || dropped < closed)
        pthread_cond_wait(&changed, &lock);
    CHECK(server_closed == 1);
    pthread_mutex_unlock(&lock);
    CHECK(atls_server_count(server, ATLS_SERVER_COUNT_CONNECTIONS) == 0);
    uint16_t again;
    EXPECT(ATLS_INVALID_STATE, "stopped", atls_server_listen(server, "127.0.0.1", 0, false, &again, &error));
    atls_server_free(server);
}

static int dial(void)
{
    return tcp_dial(port);
}

/* All that comes until the server closes; it must close. */
static char *until_end(int fd)
{
    static char text[100000];
    size_t len = 0;
    ssize_t n;
    while ((n = recv(fd, text + len, sizeof text - 1 - len, 0)) > 0)
        len += (size_t)n;
    CHECK(n == 0);
    close(fd);
    text[len] = '\0';
    return text;
}

static char *say(const char *bytes)
{
    int fd = dial();
    CHECK(send(fd, bytes, strlen(bytes), MSG_NOSIGNAL) == (ssize_t)strlen(bytes));
    return until_end(fd);
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

/* None of these may reach the host; each is answered, and the connection ends. */
static void what_is_not_http_never_reaches_the_host(void)
{
    static const struct {
        const char *bytes, *status;
    } cases[] = {
        {"HELLO\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\n\r\n", "400"},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
        {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        {"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        {GET "no colon\r\n\r\n", "400"},
        {GET "a : b\r\n\r\n", "400"},
        {GET "a: b\001\r\n\r\n", "400"},
        {GET " folded: x\r\n\r\n", "400"},
        {POST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
        {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "501"},
        {POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"},
        {POST "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", "400"},
        {POST "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd", "400"},
        {POST "Content-Length: +4\r\n\r\nabcd", "400"},
        {POST "Content-Length: 99999999999999999999999\r\n\r\n", "400"},
    };
    atls_server *server = serve(0, 0, 0, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = say(cases[i].bytes);
        if (strncmp(text, "HTTP/1.1 ", 9) != 0 || strncmp(text + 9, cases[i].status, 3) != 0 || !strstr(text, "Connection: close\r\n")) {
            fprintf(stderr, "case %zu: \"%s\", wanted %s\n", i, text, cases[i].status);
            exit(1);
        }
    }
    CHECK(seen == 0 && atls_server_count(server, ATLS_SERVER_COUNT_REQUESTS_REFUSED) == sizeof cases / sizeof *cases && refusals == sizeof cases / sizeof *cases);
    /* A body that breaks once the host has the request: the host hears of it, and so does the peer. */
    static const char *bodies[] = {"x\r\n", "5\r\nhelloworld\r\n", "-1\r\n", "1\nx\n0\n\n", "fffffffffffffffff\r\n"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        char bytes[200];
        snprintf(bytes, sizeof bytes, POST "Transfer-Encoding: chunked\r\n\r\n%s", bodies[i]);
        CHECK(strncmp(say(bytes), "HTTP/1.1 400", 12) == 0);
    }
    end(server, true);
    CHECK(seen == 5 && failed == 5 && last_status == ATLS_HTTP_PROTOCOL);
}

static void requests_are_answered_in_their_order(void)
{
    atls_server *server = serve(0, 0, 0, 0);
    /* Pipelined, and one after another; HTTP/1.0 ends unless it asks otherwise. */
    char *text = say(GET "\r\n" POST "Content-Length: 3\r\n\r\nabc" POST "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nde\r\n0\r\n\r\n");
    char *one = strstr(text, "\r\n\r\nGET 0HTTP/1.1 200 OK\r\n"), *two = strstr(text, "POST 3HTTP"), *three = strstr(text, "POST 2");
    CHECK(one && two > one && three > two);
    CHECK(strstr(say("GET / HTTP/1.0\r\n\r\n"), "\r\n\r\nGET 0") && strstr(say("HEAD / HTTP/1.0\r\n\r\n"), "Content-Length: 6\r\n"));
    text = say(GET "\r\nGET /chunks HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    CHECK(strstr(text, "HTTP/1.1 103 Early Hints\r\nX-End: yes\r\n\r\nHTTP/1.1 299 So so\r\n"));
    CHECK(strstr(text, "Transfer-Encoding: chunked\r\n") && strstr(text, "\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\nX-End: yes\r\n\r\n"));
    /* HTTP/1.0 knows no chunks. */
    text = say("GET /chunks HTTP/1.0\r\n\r\n");
    CHECK(!strstr(text, "chunked") && strstr(text, "\r\n\r\nonetwo"));
    text = say("GET /304 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    CHECK(strncmp(text, "HTTP/1.1 304 Not Modified\r\n", 27) == 0 && !strstr(text, "not sent"));
    /* Who waits to be asked for the body is asked. */
    int fd = dial();
    const char *head = POST "Expect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n";
    char buffer[100] = "";
    CHECK(send(fd, head, strlen(head), 0) > 0 && recv(fd, buffer, sizeof buffer - 1, 0) > 0);
    CHECK(strcmp(buffer, "HTTP/1.1 100 Continue\r\n\r\n") == 0 && send(fd, "abc", 3, 0) == 3);
    CHECK(strstr(until_end(fd), "POST 3"));
    CHECK(strncmp(say("GET /ignored HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 500", 12) == 0);
    int before = failed;
    CHECK(strstr(say("GET /short HTTP/1.1\r\nHost: a\r\n\r\n"), "\r\n\r\nfour"));
    CHECK(!strstr(say("GET /long HTTP/1.1\r\nHost: a\r\n\r\n"), "four") && say("GET /cancel HTTP/1.1\r\nHost: a\r\n\r\n")[0] == '\0');
    end(server, true);
    CHECK(failed == before + 3 && closed == seen - 1);
}

/* A request that is answered before its body has come: the rest is discarded, the answer arrives, and the connection ends. */
static void an_early_answer_arrives_and_ends_the_connection(void)
{
    atls_server *server = serve(0, 0, 0, 0);
    char buffer[200] = "";
    static const struct {
        const char *framing;
        size_t body;
    } cases[] = {{"Content-Length: 3", 3}, {"Content-Length: 300000", 300000}, {"Expect: 100-continue\r\nContent-Length: 3", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static char rest[300000 + 100];
        int fd = dial(), len = snprintf(buffer, sizeof buffer, "POST /early HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", cases[i].framing);
        CHECK(send(fd, buffer, (size_t)len, 0) == len && recv(fd, buffer, sizeof buffer, 0) > 0);
        /* Only who waits to be asked for its body is, where the answer was not there yet; then it may come in time. */
        bool asked = strncmp(buffer, "HTTP/1.1 100", 12) == 0;
        CHECK(asked ? cases[i].framing[0] == 'E' : strncmp(buffer, "HTTP/1.1 200", 12) == 0);
        memset(rest, 'x', cases[i].body);
        strcpy(rest + cases[i].body, GET "Connection: close\r\n\r\n");
        CHECK(send(fd, rest, cases[i].body + strlen(rest + cases[i].body), MSG_NOSIGNAL) > 0);
        bool again = strstr(until_end(fd), "GET 0") != NULL;
        CHECK(asked || !again);
    }
    end(server, true);
    CHECK(failed == 0 && closed >= 3);
}

static void each_limit_has_its_answer(void)
{
    static char text[70000];
    atls_server *server = serve(ATLS_SERVER_LIMIT_HEAD_BYTES, 1000, 0, 0);
    memset(text, 'a', sizeof text - 1);
    memcpy(text, GET "X: ", strlen(GET "X: "));
    CHECK(strncmp(say(text), "HTTP/1.1 431", 12) == 0);
    end(server, true);
    server = serve(ATLS_SERVER_LIMIT_BODY_BYTES, 10, 0, 0);
    CHECK(strncmp(say(POST "Content-Length: 11\r\n\r\nabcdefghijk"), "HTTP/1.1 413", 12) == 0);
    CHECK(strstr(say(POST "Content-Length: 10\r\nConnection: close\r\n\r\nabcdefghij"), "POST 10"));
    end(server, true);
    CHECK(failed == 1);
    server = serve(ATLS_SERVER_LIMIT_DATA_BYTES, 16, 0, 0);
    CHECK(strstr(say("POST /pieces HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "14\r\n01234567890123456789\r\n1e\r\n012345678901234567890123456789\r\n0\r\n\r\n"),
                 "POST 4"));
    end(server, true);
    server = serve(ATLS_SERVER_LIMIT_CONNECTIONS, 2, 0, 0);
    int a = dial(), b = dial();
    CHECK(send(a, GET "\r\n", strlen(GET "\r\n"), 0) > 0 && recv(a, text, 100, 0) > 0);
    CHECK(send(b, GET "\r\n", strlen(GET "\r\n"), 0) > 0 && recv(b, text, 100, 0) > 0);
    int c = dial();
    ssize_t n = recv(c, text, 100, 0);
    CHECK(n <= 0 && atls_server_count(server, ATLS_SERVER_COUNT_CONNECTIONS_REFUSED) == 1);
    close(c);
    CHECK(atls_server_count(server, ATLS_SERVER_COUNT_CONNECTIONS) == 2);
    end(server, true);
    close(a);
    close(b);
    atls_server_config *config = NULL;
    OK(atls_server_config_new(&config, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "limit 101 cannot be 0", atls_server_config_set_limit(config, ATLS_SERVER_LIMIT_CONNECTIONS, 0, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "limit 9", atls_server_config_set_limit(config, 9, 1, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "deadline 9", atls_server_config_set_deadline(config, 9, 1, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "holds none", atls_server_config_set_certificate(config, "", "", &error));
    EXPECT(ATLS_NULL_ARGUMENT, "config", atls_server_config_set_keep_alive(NULL, true, &error));
    atls_server_config_free(config);
}

/* One more than `before` has ended, for want of time. */
static void times_out(int fd, int before)
{
    pthread_mutex_lock(&lock);
    while (closed == before)
        pthread_cond_wait(&changed, &lock);
    CHECK(last_status == ATLS_TIMED_OUT);
    pthread_mutex_unlock(&lock);
    close(fd);
}

static void each_deadline_ends_its_connection(void)
{
    atls_server *server = serve(0, 0, ATLS_SERVER_DEADLINE_IDLE, 100);
    CHECK(until_end(dial())[0] == '\0' && strstr(say(GET "\r\n"), "GET 0"));
    end(server, true);
    server = serve(0, 0, ATLS_SERVER_DEADLINE_HEAD, 100);
    CHECK(strncmp(say(GET "X-Slow: "), "HTTP/1.1 408", 12) == 0);
    end(server, true);
    CHECK(seen == 0);
    server = serve(0, 0, ATLS_SERVER_DEADLINE_BODY, 100);
    CHECK(strncmp(say(POST "Content-Length: 10\r\n\r\nabc"), "HTTP/1.1 408", 12) == 0);
    end(server, true);
    CHECK(failed == 1 && last_status == ATLS_TIMED_OUT);
    server = serve(0, 0, ATLS_SERVER_DEADLINE_SEND, 200);
    int fd = dial();
    const char *head = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
    CHECK(send(fd, head, strlen(head), 0) > 0);
    times_out(fd, 0);
    /* Nor does a peer have longer for that which goes on sending meanwhile. */
    fd = dial();
    head = "POST /both HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\n\r\n";
    CHECK(send(fd, head, strlen(head), 0) > 0);
    static const char block[1000];
    int sent = 0;
    while (sent < 10000 && send(fd, block, sizeof block, MSG_NOSIGNAL) > 0) {
        usleep(500);
        sent++;
    }
    CHECK(sent < 10000);
    times_out(fd, 1);
    end(server, true);
}

static void stop_waits_and_close_cuts(void)
{
    /* A stop lets what is under way come to its end. */
    static char buffer[65536];
    atls_server *server = serve(0, 0, 0, 0);
    int idle = dial(), busy = dial();
    const char *head = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
    CHECK(send(busy, head, strlen(head), 0) > 0);
    ssize_t n = recv(busy, buffer, sizeof buffer, 0);
    size_t total = (size_t)n;
    OK(atls_server_stop(server, &error));
    CHECK(until_end(idle)[0] == '\0');
    while ((n = recv(busy, buffer, sizeof buffer, 0)) > 0)
        total += (size_t)n;
    CHECK(n == 0 && total > 20000000);
    close(busy);
    end(server, false);
    CHECK(failed == 0 && closed == 1);
    /* A drain does so for a while; a close, and the last reference, not at all. */
    for (int way = 0; way < 2; way++) {
        server = serve(0, 0, 0, 0);
        busy = dial();
        head = "GET /never HTTP/1.1\r\nHost: a\r\n\r\n";
        CHECK(send(busy, head, strlen(head), 0) > 0);
        pthread_mutex_lock(&lock);
        while (started == 0)
            pthread_cond_wait(&changed, &lock);
        pthread_mutex_unlock(&lock);
        if (way == 0)
            OK(atls_server_drain(server, 100, &error));
        if (way == 1)
            OK(atls_server_close(server, &error));
        (void)!recv(busy, buffer, sizeof buffer, 0);
        close(busy);
        end(server, false);
        CHECK(failed == 1 && last_status == ATLS_CANCELED);
    }
}

TESTS(loop_start, loop_end, CASE(what_is_not_http_never_reaches_the_host), CASE(requests_are_answered_in_their_order),
      CASE(an_early_answer_arrives_and_ends_the_connection), CASE(each_limit_has_its_answer), CASE(each_deadline_ends_its_connection),
      CASE(stop_waits_and_close_cuts))
