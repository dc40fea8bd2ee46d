/* Where a server's connections come from and what becomes of them: Unix sockets, sockets of the host's, what proxies say, connections that leave HTTP. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop.h"

static _Thread_local atls_error *error;
static uint16_t port;
static atls_server *server;
static int seen, streams_closed, requests_closed;
static atls_status last_status;

static void on_stream(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind == ATLS_EVENT_DATA)
        atls_stream_write(event->source, atls_bytes_of(atls_buf_data(event->buf), atls_buf_len(event->buf)), NULL);
    if (event->kind == ATLS_EVENT_END)
        atls_stream_finish(event->source, NULL);
    if (event->kind == ATLS_EVENT_CLOSED)
        __atomic_fetch_add(&streams_closed, 1, __ATOMIC_SEQ_CST);
}

static void drop_stream(void *user_data)
{
    atls_stream_free(*(atls_stream **)user_data);
    free(user_data);
}

static void upgrade(atls_server_request *request, uint32_t status)
{
    atls_headers *headers = NULL;
    atls_stream **stream = calloc(1, sizeof *stream), *none = NULL;
    atls_sink sink = {.queue = queue, .call = on_stream, .user_data = stream, .drop = drop_stream};
    atls_sink unused = {.queue = queue, .call = on_stream};
    atls_error *own = NULL;
    CHECK(stream);
    OK(atls_headers_new(true, &headers, &error));
    if (status == 101)
        OK(atls_headers_add(headers, "Upgrade", atls_bytes_of("echo", 4), &error));
    CHECK(atls_server_request_upgrade_start(request, runtime, status == 101 ? 200 : 101, headers, &unused, &none, &own) == ATLS_INVALID_STATE);
    atls_error_free(own);
    own = NULL;
    CHECK(atls_server_request_upgrade_start(request, runtime, 404, headers, &unused, &none, &own) == ATLS_INVALID_ARGUMENT && !none);
    atls_error_free(own);
    own = NULL;
    OK(atls_server_request_upgrade_start(request, runtime, status, headers, &sink, stream, &error));
    atls_status late = atls_server_request_respond(request, 200, NULL, atls_bytes_of(NULL, 0), &own);
    CHECK(late == ATLS_INVALID_STATE || late == ATLS_CLOSED);
    atls_error_free(own);
    atls_headers_free(headers);
}

static void on_request(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind != ATLS_EVENT_CLOSED)
        return;
    last_status = event->status;
    __atomic_fetch_add(&requests_closed, 1, __ATOMIC_SEQ_CST);
}

static void drop_request(void *user_data)
{
    atls_server_request_free(user_data);
}

static void on_server(void *user_data, const atls_event *event)
{
    char text[300];
    (void)user_data;
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    atls_server_request *request = atls_server_request_ref(event->source);
    atls_sink sink = {.queue = queue, .call = on_request, .user_data = request, .drop = drop_request};
    CHECK(atls_server_request_start(request, runtime, &sink, NULL) == ATLS_OK);
    /* Before the peer can know of it. */
    __atomic_fetch_add(&seen, 1, __ATOMIC_SEQ_CST);
    const char *target = atls_server_request_target(request).ptr, *method = atls_server_request_method(request).ptr;
    atls_str peer = atls_server_request_peer(request), remote = atls_server_request_remote(request);
    if (strcmp(method, "CONNECT") == 0)
        upgrade(request, 200);
    else if (strcmp(target, "/echo") == 0)
        upgrade(request, 101);
    else if (strcmp(target, "/never") != 0) {
        int len = snprintf(text, sizeof text, "[%s] [%s] %s", peer.len ? "peer" : "", remote.ptr,
                           atls_server_request_scheme(request).ptr);
        CHECK(atls_server_request_respond(request, 200, NULL, atls_bytes_of(text, (size_t)len), NULL) == ATLS_OK);
    }
}

static void wait_for(int *count, int wanted)
{
    for (int i = 0; i < 5000 && __atomic_load_n(count, __ATOMIC_SEQ_CST) < wanted; i++)
        usleep(1000);
    CHECK(__atomic_load_n(count, __ATOMIC_SEQ_CST) == wanted);
}

/* Sends all of it, and returns what comes until the other side ends, or `part` has come. */
static char *say(int fd, const char *text, const char *part)
{
    static char answer[10000];
    size_t got = 0;
    ssize_t n;
    CHECK(!*text || send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
    answer[0] = '\0';
    while (!(part && strstr(answer, part)) && (n = recv(fd, answer + got, sizeof answer - 1 - got, 0)) > 0) {
        got += (size_t)n;
        answer[got] = '\0';
    }
    return answer;
}

static int dial_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] != '@'))) == 0);
    return fd;
}

static int dial(uint16_t to)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(to), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

#define GET(path, lines) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" lines "\r\n"

/* With or without a proxy that is trusted. */
static void serve(bool forwarded)
{
    atls_server_config *config = NULL;
    atls_sink sink = {.queue = queue, .call = on_server};
    seen = streams_closed = requests_closed = 0;
    OK(atls_server_config_new(&config, &error));
    if (forwarded) {
        OK(atls_server_config_set_trust_forwarded(config, true, &error));
        OK(atls_server_config_add_trusted_proxy(config, "3.3.3.3", &error));
        EXPECT(ATLS_INVALID_ARGUMENT, "not an IP address", atls_server_config_add_trusted_proxy(config, "proxy", &error));
    }
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    atls_server_config_free(config);
}

static void end(void)
{
    OK(atls_server_stop(server, &error));
    EXPECT(ATLS_INVALID_STATE, "stopped", atls_server_listen_unix(server, "@late", &error));
    atls_server_free(server);
}

static void unix_sockets_are_listened_on(void)
{
    char path[100];
    snprintf(path, sizeof path, "/tmp/atls-test-%d.sock", (int)getpid());
    unlink(path);
    OK(atls_server_listen_unix(server, path, &error));
    EXPECT(ATLS_IO, path, atls_server_listen_unix(server, path, &error));
    for (int i = 0; i < 3; i++) {
        int fd = dial_unix(path);
        CHECK(strstr(say(fd, GET("/", ""), NULL), "\r\n\r\n[] [] http"));
        close(fd);
    }
    unlink(path);
    snprintf(path, sizeof path, "@atls-test-%d", (int)getpid());
    OK(atls_server_listen_unix(server, path, &error));
    int fd = dial_unix(path);
    CHECK(strstr(say(fd, GET("/", "X-Real-Ip: 1.2.3.4\r\n"), NULL), "[] [] http"));
    close(fd);
}

static void sockets_of_the_host_are_adopted(void)
{
    int pair[2];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&address, len) == 0);
    EXPECT(ATLS_INVALID_ARGUMENT, "does not listen", atls_server_adopt_listener(server, listener, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "not connected", atls_server_adopt_connection(server, listener, &error));
    CHECK(listen(listener, 16) == 0 && getsockname(listener, (struct sockaddr *)&address, &len) == 0);
    OK(atls_server_adopt_listener(server, listener, &error));
    CHECK(fcntl(listener, F_GETFD) == -1 && errno == EBADF);
    int fd = dial(ntohs(address.sin_port));
    CHECK(strstr(say(fd, GET("/", ""), NULL), "[peer] [127.0.0.1] http"));
    close(fd);

    EXPECT(ATLS_INVALID_ARGUMENT, "descriptor -1", atls_server_adopt_connection(server, -1, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "not a socket", atls_server_adopt_listener(server, STDIN_FILENO, &error));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    OK(atls_server_adopt_connection(server, pair[0], &error));
    CHECK(strstr(say(pair[1], GET("/", ""), NULL), "[] [] http"));
    close(pair[1]);
}

static void proxies_that_are_trusted_name_the_client(void)
{
    end();
    serve(true);
    int fd = dial(port);
    CHECK(strstr(say(fd, GET("/", "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3\r\nX-Forwarded-Proto: https\r\n"), NULL), "[peer] [2.2.2.2] https"));
    close(fd);
    /* What the client wrote comes first, what the proxy added last. */
    fd = dial(port);
    CHECK(strstr(say(fd, GET("/", "X-Real-Ip: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Real-Ip: 2.2.2.2\r\nX-Forwarded-Proto: http\r\n"), NULL),
                 "[peer] [2.2.2.2] http"));
    close(fd);
}

static void a_connection_leaves_http_for_a_stream(void)
{
    wait_for(&requests_closed, seen);
    int before = streams_closed, requests = requests_closed;
    /* With bytes sent ahead of the answer. */
    int fd = dial(port);
    char *text = say(fd, "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nahead", "\r\n\r\nahead");
    CHECK(strstr(text, "HTTP/1.1 101 Switching Protocols\r\n") && strstr(text, "Upgrade: echo\r\n") && strstr(text, "Connection: Upgrade\r\n"));
    CHECK(strstr(text, "\r\n\r\nahead") && !strstr(text, "Content-Length") && !strstr(text, "Transfer-Encoding"));
    wait_for(&requests_closed, requests + 1);
    CHECK(last_status == ATLS_OK);
    CHECK(strcmp(say(fd, "GET / HTTP/1.1\r\n\r\n", "\n\r\n"), "GET / HTTP/1.1\r\n\r\n") == 0);
    CHECK(shutdown(fd, SHUT_WR) == 0 && say(fd, "", NULL)[0] == '\0');
    close(fd);
    wait_for(&streams_closed, before + 1);

    /* After a body, which is HTTP's still. */
    fd = dial(port);
    text = say(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\nContent-Length: 4\r\n\r\nbodyafter", "\r\n\r\nafter");
    CHECK(strstr(text, " 101 ") && strstr(text, "\r\n\r\nafter"));
    close(fd);
    wait_for(&streams_closed, before + 2);

    fd = dial(port);
    CHECK(strstr(say(fd, "CONNECT other.example:1 HTTP/1.1\r\nHost: other.example:1\r\n\r\nhello", "\r\n\r\nhello"), "HTTP/1.1 200 OK\r\n"));
    close(fd);
    wait_for(&streams_closed, before + 3);
}

/* A peer that breaks off while its answer is made is noticed. */
static void a_peer_that_resets_is_noticed(void)
{
    wait_for(&requests_closed, seen);
    int before = requests_closed, shown = seen;
    int fd = dial(port);
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    CHECK(send(fd, "GET /never HTTP/1.1\r\nHost: x\r\n\r\n", 32, MSG_NOSIGNAL) > 0);
    wait_for(&seen, shown + 1);
    usleep(50000);
    CHECK(requests_closed == before);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    close(fd);
    wait_for(&requests_closed, before + 1);
    CHECK(last_status == ATLS_IO);
}

static void set_up(void)
{
    loop_start();
    serve(false);
}

static void tear_down(void)
{
    end();
    loop_end();
}

TESTS(set_up, tear_down, CASE(unix_sockets_are_listened_on), CASE(sockets_of_the_host_are_adopted),
      CASE(a_connection_leaves_http_for_a_stream), CASE(a_peer_that_resets_is_noticed), CASE(proxies_that_are_trusted_name_the_client))
