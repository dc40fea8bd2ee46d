/* What a server lets its host say, ask and set: faults that a call can know come from the call, bodies beyond their limit are refused at the head, HTTP/1.0
 * may keep its connection, and what is refused is told with its kind and its peer, counted and logged. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "tcp.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

static _Thread_local atls_error *error;
static uint16_t port;
static int requests, closed, failed, refusals, server_closed;
static size_t piece_size, held;
static struct {
    atls_status status;
    uint32_t detail, http;
    char peer[60], phase[20];
} refusal;
static char authority[100], last_peer[60];
static uint32_t last_detail;

static int get(int *count)
{
    return __atomic_load_n(count, __ATOMIC_SEQ_CST);
}

static void add(int *count)
{
    __atomic_fetch_add(count, 1, __ATOMIC_SEQ_CST);
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

/* Bytes that the process holds; always 0 where nobody counts them. */
static size_t memory(void)
{
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
    return getenv("ATLS_TEST_SLOW") ? 0 : mallinfo2().uordblks + mallinfo2().hblkhd;
#else
    return 0;
#endif
}

static atls_headers *lines(const char *name, const char *value)
{
    atls_headers *headers = NULL;
    OK(atls_headers_new(true, &headers, &error));
    OK(atls_headers_add(headers, name, atls_bytes_of_text(value), &error));
    return headers;
}

#define TEXT(text) atls_bytes_of(text, sizeof text - 1)

/* Each of these is refused, and the request is none the worse for it. */
static void wrong_answers(atls_server_request *request)
{
    atls_headers *foo = lines("Content-Length", "foo"), *four = lines("Content-Length", "4"), *trailer = lines("Content-Length", "4");
    EXPECT(ATLS_HTTP_HEADER_INVALID, "Content-Length", atls_server_request_send_head(request, 200, NULL, foo, ATLS_LENGTH_UNKNOWN, &error));
    EXPECT(ATLS_HTTP_HEADER_INVALID, "Content-Length", atls_server_request_respond(request, 200, foo, atls_bytes_of(NULL, 0), &error));
    EXPECT(ATLS_HTTP_HEADER_INVALID, "4 bytes", atls_server_request_respond(request, 200, four, TEXT("five!"), &error));
    OK(atls_server_request_send_head(request, 200, NULL, four, ATLS_LENGTH_UNKNOWN, &error));
    OK(atls_server_request_write(request, TEXT("fo"), &error));
    EXPECT(ATLS_INVALID_STATE, "3 bytes are more than the 2", atls_server_request_write(request, TEXT("urs"), &error));
    EXPECT(ATLS_HTTP_HEADER_INVALID, "trailers", atls_server_request_finish(request, trailer, &error));
    OK(atls_server_request_write(request, TEXT("ur"), &error));
    OK(atls_server_request_finish(request, NULL, &error));
    atls_headers_free(foo);
    atls_headers_free(four);
    atls_headers_free(trailer);
}

static void answer(atls_server_request *request)
{
    const char *target = atls_server_request_target(request).ptr;
    atls_headers *headers = NULL;
    if (strcmp(target, "/wrong") == 0) {
        wrong_answers(request);
    } else if (strcmp(target, "/short") == 0) {
        OK(atls_server_request_send_head(request, 200, NULL, NULL, 5, &error));
        OK(atls_server_request_write(request, TEXT("four"), &error));
        EXPECT(ATLS_INVALID_STATE, "1 bytes before", atls_server_request_finish(request, NULL, &error));
    } else if (strcmp(target, "/upgrade") == 0) {
        headers = lines("Upgrade", "TLS/1.3");
        EXPECT(ATLS_HTTP_HEADER_INVALID, "Upgrade", atls_server_request_send_head(request, 103, NULL, headers, 0, &error));
        OK(atls_server_request_respond(request, 426, headers, TEXT("no"), &error));
    } else if (strcmp(target, "/chunks") == 0) {
        headers = lines("X-End", "yes");
        OK(atls_server_request_send_head(request, 103, NULL, headers, 0, &error));
        OK(atls_server_request_send_head(request, 200, NULL, NULL, ATLS_LENGTH_UNKNOWN, &error));
        OK(atls_server_request_write(request, TEXT("chunk"), &error));
        OK(atls_server_request_finish(request, headers, &error));
    } else if (strcmp(target, "/drops") == 0) {
        /* To a peer that does not read: as much as is taken, until nothing is for a while. */
        static uint8_t piece[16384];
        size_t before = memory();
        OK(atls_server_request_send_head(request, 200, NULL, NULL, ATLS_LENGTH_UNKNOWN, &error));
        for (int again = 0; again < 100; usleep(again ? 1000 : 0))
            again = atls_server_request_write(request, atls_bytes_of(piece, piece_size), NULL) == ATLS_OK ? 0 : again + 1;
        held = memory() - before;
        OK(atls_server_request_cancel(request, &error));
    } else {
        OK(atls_server_request_respond(request, 200, NULL, TEXT("fine"), &error));
    }
    atls_headers_free(headers);
}

static void on_request(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind == ATLS_EVENT_END)
        answer(event->source);
    if (event->kind != ATLS_EVENT_CLOSED)
        return;
    if (event->status != ATLS_OK) {
        last_detail = atls_error_detail(event->error);
        snprintf(last_peer, sizeof last_peer, "%s", atls_error_peer(event->error).ptr);
        add(&failed);
    }
    add(&closed);
}

static void drop_request(void *user_data)
{
    atls_server_request_free(user_data);
}

static void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind == ATLS_EVENT_CLOSED)
        add(&server_closed);
    if (event->kind == ATLS_EVENT_REFUSED) {
        refusal.status = event->status;
        refusal.detail = atls_error_detail(event->error);
        refusal.http = atls_error_http_status(event->error);
        snprintf(refusal.peer, sizeof refusal.peer, "%s", atls_error_peer(event->error).ptr);
        snprintf(refusal.phase, sizeof refusal.phase, "%s", atls_error_phase(event->error).ptr);
        add(&refusals);
    }
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    atls_server_request *request = atls_server_request_ref(event->source);
    atls_sink sink = {.queue = queue, .call = on_request, .user_data = request, .drop = drop_request};
    snprintf(authority, sizeof authority, "%s", atls_server_request_authority(request).ptr);
    if (strcmp(atls_server_request_target(request).ptr, "/large") == 0)
        OK(atls_server_request_set_body_limit(request, 20, &error));
    OK(atls_server_request_start(request, runtime, &sink, &error));
    add(&requests);
}

static atls_server_config *configure(void)
{
    atls_server_config *config = NULL;
    OK(atls_server_config_new(&config, &error));
    return config;
}

static atls_server *serve(atls_server_config *config)
{
    atls_server *server = NULL;
    atls_sink sink = {.queue = queue, .call = on_server};
    requests = closed = failed = refusals = server_closed = 0;
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "localhost", 0, false, &port, &error));
    atls_server_config_free(config);
    return server;
}

static void end(atls_server *server)
{
    OK(atls_server_stop(server, &error));
    until(&server_closed, 1);
    until(&closed, requests);
    atls_server_free(server);
}

static int dial(void)
{
    return tcp_dial(port);
}

/* All that comes after these bytes, until the server ends the connection; it must, unless `part` has come. */
static char *hear(int fd, const char *bytes, const char *part)
{
    static char text[4000];
    size_t got = 0;
    ssize_t n = 0;
    memset(text, 0, sizeof text);
    CHECK(send(fd, bytes, strlen(bytes), MSG_NOSIGNAL) == (ssize_t)strlen(bytes));
    while (!(part && strstr(text, part)) && (n = recv(fd, text + got, sizeof text - 1 - got, 0)) > 0)
        got += (size_t)n;
    CHECK(n >= 0);
    return text;
}

static char *say(const char *bytes)
{
    int fd = dial();
    char *text = hear(fd, bytes, NULL);
    close(fd);
    return text;
}

#define ASK(method, target) method " " target " HTTP/1.1\r\nHost: a\r\n"
#define LAST "Connection: close\r\n"

static void a_wrong_call_leaves_the_request_usable(void)
{
    atls_server *server = serve(configure());
    char *text = say(ASK("GET", "/wrong") LAST "\r\n");
    CHECK(strncmp(text, "HTTP/1.1 200", 12) == 0 && strstr(text, "Content-Length: 4\r\n") && strstr(text, "\r\n\r\nfour"));
    CHECK(failed == 0);
    CHECK(strstr(say(ASK("GET", "/short") "\r\n"), "\r\n\r\nfour"));
    until(&failed, 1);
    /* RFC 9110 section 15.5.22. */
    text = say(ASK("GET", "/upgrade") LAST "\r\n");
    CHECK(strncmp(text, "HTTP/1.1 426 Upgrade Required\r\n", 31) == 0 && strstr(text, "Upgrade: TLS/1.3\r\n"));
    CHECK(strcasestr(text, "Connection: Upgrade\r\n") && strcasestr(text, "Connection: close\r\n"));
    /* A target that is no path. */
    CHECK(strstr(say(ASK("OPTIONS", "*") LAST "\r\n"), "fine") && strcmp(authority, "a") == 0);
    CHECK(strstr(say(ASK("GET", "http://b.example:1/x") LAST "\r\n"), "fine") && strcmp(authority, "b.example:1") == 0);
    CHECK(strstr(say("GET / HTTP/1.0\r\n\r\n"), "fine") && strcmp(authority, "") == 0);
    end(server);
    atls_buf *found = NULL;
    OK(atls_effective_authority("CONNECT", "b.example:443", "a", &found, &error));
    CHECK(strcmp((const char *)atls_buf_data(found), "b.example:443") == 0);
    atls_buf_free(found);
    OK(atls_effective_authority("GET", "https://me@b.example/", "a", &found, &error));
    CHECK(atls_buf_len(found) == 0);
    atls_buf_free(found);
    EXPECT(ATLS_NULL_ARGUMENT, "target", atls_effective_authority("GET", NULL, "a", &found, &error));
}

static void a_body_beyond_its_limit_is_never_asked_for(void)
{
    atls_server_config *config = configure();
    OK(atls_server_config_set_limit(config, ATLS_SERVER_LIMIT_BODY_BYTES, 10, &error));
    atls_server *server = serve(config);
    /* Nothing of the body is sent, nor asked for. */
    char *text = say(ASK("POST", "/") "Expect: 100-continue\r\nContent-Length: 11\r\n\r\n");
    CHECK(strncmp(text, "HTTP/1.1 413", 12) == 0);
    CHECK(strncmp(say(ASK("POST", "/") "Content-Length: 9000000000000000000\r\n\r\n"), "HTTP/1.1 413", 12) == 0);
    until(&failed, 2);
    /* Where the host has another limit for this one. */
    int fd = dial();
    CHECK(strncmp(hear(fd, ASK("POST", "/large") LAST "Expect: 100-continue\r\nContent-Length: 20\r\n\r\n", "\r\n\r\n"), "HTTP/1.1 100", 12) == 0);
    CHECK(strstr(hear(fd, "12345678901234567890", NULL), "fine"));
    close(fd);
    end(server);
    CHECK(failed == 2);
}

static void http_1_0_is_sent_what_it_knows(void)
{
    atls_server *server = serve(configure());
    int fd = dial();
    for (int i = 0; i < 3; i++) {
        char *text = hear(fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "fine");
        CHECK(strncmp(text, "HTTP/1.1 200", 12) == 0 && strcasestr(text, "\r\nConnection: keep-alive\r\n") && strstr(text, "Content-Length: 4\r\n"));
    }
    /* A body whose end is that of the connection, no informational head, no trailers. */
    char *text = hear(fd, "GET /chunks HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", NULL);
    CHECK(strncmp(text, "HTTP/1.1 200", 12) == 0 && strstr(text, "\r\n\r\nchunk") && !strstr(text, "X-End") && !strcasestr(text, "keep-alive"));
    close(fd);
    text = say("GET / HTTP/1.0\r\n\r\n");
    CHECK(strstr(text, "fine") && !strcasestr(text, "keep-alive"));
    until(&closed, 5);
    CHECK(failed == 0);
    end(server);
}

/* What waits for a peer that does not read is as much as the header says, whatever the pieces. */
static void what_waits_for_a_slow_peer_is_bounded(void)
{
    static const size_t sizes[] = {1, 100, 5000, 16384};
    atls_server *server = serve(configure());
    const char *ask = ASK("GET", "/drops") "\r\n";
    for (int i = 0; i < 4; i++) {
        /* Of which the system keeps little. */
        int ends[2], least = 1;
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
        CHECK(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least) == 0);
        OK(atls_server_adopt_connection(server, ends[0], &error));
        piece_size = sizes[i];
        CHECK(send(ends[1], ask, strlen(ask), MSG_NOSIGNAL) > 0);
        until(&closed, i + 1);
        close(ends[1]);
        if (held > 600 << 10) {
            fprintf(stderr, "%zu KiB in pieces of %zu bytes\n", held >> 10, piece_size);
            exit(1);
        }
    }
    end(server);
}

/* How it is set up: names, queues, leniency. */
static void listening_and_leniency_are_as_configured(void)
{
    atls_server_config *config = configure();
    atls_server *server = NULL;
    EXPECT(ATLS_INVALID_ARGUMENT, "unknown flags", atls_server_config_set_flags(config, 1u << 30, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "limit", atls_server_config_set_limit(config, ATLS_SERVER_LIMIT_BACKLOG, 1ull << 31, &error));
    OK(atls_server_config_set_limit(config, ATLS_SERVER_LIMIT_BACKLOG, 5, &error));
    OK(atls_server_config_set_flags(config, ATLS_H1_ALLOW_BARE_LF, &error));
    server = serve(config);
    CHECK(strstr(say("GET / HTTP/1.1\nHost: a\nConnection: close\n\n"), "fine"));
    /* Of a name every address that this machine has. */
    struct sockaddr_in6 place = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0), probe = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    if (probe >= 0 && bind(probe, (struct sockaddr *)&any, sizeof any) == 0) {
        CHECK(connect(fd, (struct sockaddr *)&place, sizeof place) == 0);
        CHECK(strstr(hear(fd, ASK("GET", "/") LAST "\r\n", NULL), "fine"));
    }
    close(fd);
    close(probe);
    EXPECT(ATLS_DNS, "no-such-host.invalid", atls_server_listen(server, "no-such-host.invalid", 0, false, NULL, &error));
    EXPECT(ATLS_IO, "listen on", atls_server_listen(server, "localhost", port, false, NULL, &error));
    end(server);
}

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char warnings[4000], infos[4000];

static void on_log(void *user_data, uint32_t level, atls_str line)
{
    (void)user_data;
    pthread_mutex_lock(&log_lock);
    char *place = level == ATLS_LOG_WARNING ? warnings : level == ATLS_LOG_INFO ? infos : NULL;
    if (place)
        snprintf(place + strlen(place), 4000 - strlen(place), "%s\n", line.ptr);
    pthread_mutex_unlock(&log_lock);
}

static bool logged(char *place, const char *part)
{
    bool found = false;
    for (int i = 0; i < 5000 && !found; i++) {
        usleep(1000);
        pthread_mutex_lock(&log_lock);
        found = strstr(place, part) != NULL;
        pthread_mutex_unlock(&log_lock);
    }
    return found;
}

static void refusals_are_told_and_logged_without_targets(void)
{
    atls_server *server = serve(configure());
    atls_log_set(ATLS_LOG_INFO, on_log, NULL);
    CHECK(strncmp(say(ASK("GET", "/secret-path") "Content-Length: foo\r\n\r\n"), "HTTP/1.1 400", 12) == 0);
    CHECK(refusals == 1 && refusal.status == ATLS_HTTP_PROTOCOL && refusal.http == 400 && refusal.detail == ATLS_DETAIL_BAD_CONTENT_LENGTH);
    CHECK(strncmp(refusal.peer, "127.0.0.1:", 10) == 0 && strcmp(refusal.phase, "transfer") == 0);
    CHECK(logged(warnings, refusal.peer) && logged(warnings, "refused: HTTP_PROTOCOL"));
    CHECK(logged(infos, refusal.peer) && logged(infos, "requests=0"));
    CHECK(strstr(say(ASK("GET", "/secret-path") "\r\n" ASK("GET", "/") LAST "\r\n"), "fine"));
    CHECK(logged(infos, "closed: requests=2") && !strstr(warnings, "secret") && !strstr(infos, "secret"));
    atls_log_set(0, NULL, NULL);
    static const struct {
        const char *bytes;
        uint32_t detail;
    } cases[] = {
        {"HELLO\r\n\r\n", ATLS_DETAIL_BAD_START_LINE},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", ATLS_DETAIL_BAD_START_LINE},
        {ASK("GET", "/") "no colon\r\n\r\n", ATLS_DETAIL_BAD_HEADER},
        {"GET / HTTP/1.1\r\n\r\n", ATLS_DETAIL_BAD_HEADER},
        {ASK("POST", "/") "Content-Length: 4\r\nContent-Length: 5\r\n\r\n", ATLS_DETAIL_UNEQUAL_CONTENT_LENGTH},
        {ASK("POST", "/") "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", ATLS_DETAIL_BOTH_LENGTHS},
        {ASK("POST", "/") "Transfer-Encoding: gzip\r\n\r\n", ATLS_DETAIL_BAD_TRANSFER_ENCODING},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        say(cases[i].bytes);
        if (refusals != (int)i + 2 || refusal.detail != cases[i].detail || strncmp(refusal.peer, "127.0.0.1:", 10) != 0) {
            fprintf(stderr, "%s: refusal %d, detail %u, wanted %u\n", cases[i].bytes, refusals, refusal.detail, cases[i].detail);
            exit(1);
        }
    }
    /* Once the host has the request it is its CLOSED that says so. */
    say(ASK("POST", "/") "Transfer-Encoding: chunked\r\n\r\nx\r\n");
    until(&failed, 1);
    CHECK(last_detail == ATLS_DETAIL_BAD_CHUNK && strncmp(last_peer, "127.0.0.1:", 10) == 0);
    int fd = dial();
    CHECK(send(fd, ASK("POST", "/") "Content-Length: 3\r\n\r\nab", sizeof ASK("POST", "/") "Content-Length: 3\r\n\r\nab" - 1, MSG_NOSIGNAL) > 0);
    CHECK(shutdown(fd, SHUT_WR) == 0);
    until(&failed, 2);
    CHECK(last_detail == ATLS_DETAIL_MESSAGE_CUT);
    close(fd);
    end(server);
}

TESTS(loop_start, loop_end, CASE(a_wrong_call_leaves_the_request_usable), CASE(a_body_beyond_its_limit_is_never_asked_for),
      CASE(http_1_0_is_sent_what_it_knows), CASE(what_waits_for_a_slow_peer_is_bounded), CASE(listening_and_leniency_are_as_configured),
      CASE(refusals_are_told_and_logged_without_targets))
