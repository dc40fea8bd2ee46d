/* The forwarder, with the library's own client at its end: who is let through, who is not and is told why, and what deadlines do. */
#include <arpa/inet.h>
#include <unistd.h>

#include "loop.h"
#include "sim.h"
#include "tcp.h"

static struct sim sim;
static _Thread_local atls_error *error;
static uint16_t port;
static int closed, refusals;

static void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind == ATLS_EVENT_REFUSED) {
        CHECK(event->status != ATLS_OK && atls_error_http_status(event->error) >= 400);
        __atomic_fetch_add(&refusals, 1, __ATOMIC_SEQ_CST);
        return;
    }
    CHECK(event->kind == ATLS_EVENT_CLOSED && event->status == ATLS_OK);
    __atomic_fetch_add(&closed, 1, __ATOMIC_SEQ_CST);
}

static atls_tunnel_config *tunnel_config(const char *format, unsigned number)
{
    char entry[100];
    atls_tunnel_config *config = NULL;
    snprintf(entry, sizeof entry, format, number);
    OK(atls_tunnel_config_new(&config, &error));
    OK(atls_tunnel_config_add_target(config, entry, &error));
    return config;
}

static atls_server *serve(atls_tunnel_config *config)
{
    atls_server *server = NULL;
    atls_server_config *limits = NULL;
    atls_sink sink = {.queue = queue, .call = on_server};
    OK(atls_server_config_new(&limits, &error));
    OK(atls_tunnel_server_start(runtime, limits, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    atls_server_config_free(limits);
    return server;
}

static void end(atls_server *server, atls_tunnel_config *config)
{
    int before = __atomic_load_n(&closed, __ATOMIC_SEQ_CST);
    OK(atls_server_close(server, &error));
    for (int i = 0; i < 5000 && __atomic_load_n(&closed, __ATOMIC_SEQ_CST) == before; i++)
        usleep(1000);
    CHECK(__atomic_load_n(&closed, __ATOMIC_SEQ_CST) == before + 1);
    atls_server_free(server);
    atls_tunnel_config_free(config);
}

static atls_status through(const char *query, unsigned target, atls_stream **stream)
{
    char url[200];
    atls_config *config = sim_config(target, "policy.json");
    /* The forwarder leads to the target only, so collateral goes its own way: directly. */
    atls_verifier *direct = sim_verifier(config);
    OK(atls_config_set_verifier(config, direct, &error));
    atls_verifier_free(direct);
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/any/path%s", port, query);
    OK(atls_config_set_tunnel(config, url, &error));
    atls_status status = atls_stream_connect(config, stream, &error);
    atls_config_free(config);
    return status;
}

static void echo(atls_stream *stream, size_t len)
{
    static uint8_t out[300000], in[300000];
    size_t n = 0, got = 0;
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(i * 7 >> 3);
    OK(atls_stream_write_all(stream, atls_bytes_of(out, len), 20000, &error));
    while (got < len) {
        OK(atls_stream_read(stream, in + got, len - got, 20000, &n, &error));
        CHECK(n > 0);
        got += n;
    }
    CHECK(memcmp(in, out, len) == 0);
}

static void refused(const char *query, unsigned target, uint32_t status, const char *reason)
{
    atls_stream *stream = NULL;
    CHECK(through(query, target, &stream) == ATLS_TUNNEL_REFUSED && stream == NULL);
    if (atls_error_http_status(error) != status || !strstr(atls_error_message(error).ptr, reason)) {
        fprintf(stderr, "wanted %u %s: %s\n", status, reason, atls_error_message(error).ptr);
        exit(1);
    }
    atls_error_free(error);
    error = NULL;
}

static void allowed_targets_alone_are_reached(void)
{
    atls_stream *stream = NULL;
    atls_tunnel_config *config = tunnel_config("localhost:%u", sim.raw);
    atls_server *server = serve(config);
    for (int i = 0; i < 5; i++) {
        OK(through("", sim.raw, &stream));
        echo(stream, 300000);
        atls_stream_free(stream);
    }
    CHECK(atls_server_count(server, ATLS_SERVER_COUNT_TUNNELS) == 5);
    CHECK(atls_server_count(server, ATLS_SERVER_COUNT_BYTES_UP) > 1500000);
    CHECK(atls_server_count(server, ATLS_SERVER_COUNT_BYTES_DOWN) > 1500000);
    refused("", sim.http, 403, "is not allowed");
    refused("?target=", sim.raw, 400, "is not host:port");
    refused("?target=localhost", sim.raw, 400, "is not host:port");
    CHECK(atls_server_count(server, ATLS_SERVER_COUNT_REQUESTS_REFUSED) == 3 && refusals == 3);
    end(server, config);

    /* Nobody there. Then a name that leads to this machine: `127.1` is looked up as one. */
    config = tunnel_config("localhost:%u", 1);
    server = serve(config);
    refused("", 1, 502, "cannot be reached");
    end(server, config);
    char query[60];
    snprintf(query, sizeof query, "?target=127.1:%u", sim.raw);
    config = tunnel_config("127.1:%u", sim.raw);
    server = serve(config);
    refused(query, sim.raw, 403, "private address");
    end(server, config);
    config = tunnel_config("127.1:%u", sim.raw);
    OK(atls_tunnel_config_set_allow_private(config, true, &error));
    server = serve(config);
    OK(through(query, sim.raw, &stream));
    echo(stream, 10);
    atls_stream_free(stream);
    end(server, config);
}

static void a_token_is_required(void)
{
    atls_stream *stream = NULL;
    atls_tunnel_config *config = tunnel_config("localhost:%u", sim.raw);
    OK(atls_tunnel_config_set_token(config, "open sesame", &error));
    atls_server *server = serve(config);
    refused("", sim.raw, 401, "token");
    refused("?token=open", sim.raw, 401, "token");
    OK(through("?token=open+sesame", sim.raw, &stream));
    echo(stream, 10);
    atls_stream_free(stream);
    end(server, config);
}

static int dial(void)
{
    return tcp_dial(port);
}

/* Sends `text` on a connection of its own and returns the answer, all of it or its head if it is 101. */
static const char *answer_to(const char *text)
{
    static char answer[2000];
    size_t got = 0;
    ssize_t n;
    int fd = dial();
    memset(answer, 0, sizeof answer);
    CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
    while (got < sizeof answer - 1 && (n = recv(fd, answer + got, sizeof answer - 1 - got, 0)) > 0) {
        got += (size_t)n;
        if (strncmp(answer, "HTTP/1.1 101", 12) == 0)
            break;
    }
    close(fd);
    return answer;
}

/* The status of that; 0 for none. */
static int raw(const char *text)
{
    int status = 0;
    sscanf(answer_to(text), "HTTP/1.1 %d", &status);
    return status;
}

#define HANDSHAKE "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static void a_wrong_handshake_has_its_status(void)
{
    char target[60];
    atls_tunnel_config *config = tunnel_config("localhost:%u", sim.raw);
    snprintf(target, sizeof target, "localhost:%u", sim.raw);
    OK(atls_tunnel_config_set_default_target(config, target, &error));
    OK(atls_tunnel_config_add_origin(config, "https://app.example", &error));
    atls_server *server = serve(config);
    CHECK(raw("GET / HTTP/1.1\r\n" HANDSHAKE KEY "\r\n") == 101);
    CHECK(raw("GET / HTTP/1.1\r\n" HANDSHAKE KEY "Origin: https://app.example\r\n\r\n") == 101);
    CHECK(raw("GET / HTTP/1.1\r\n" HANDSHAKE KEY "Origin: https://evil.example\r\n\r\n") == 403);
    CHECK(raw("GET / HTTP/1.1\r\n" HANDSHAKE "\r\n") == 400);
    CHECK(raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n") == 426);
    CHECK(raw("POST / HTTP/1.1\r\n" HANDSHAKE KEY "Content-Length: 0\r\n\r\n") == 426);
    CHECK(raw("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") == 200);
    /* To HEAD as well, and then without a body. */
    const char *answer = answer_to("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(strncmp(answer, "HTTP/1.1 200 ", 13) == 0 && strstr(answer, "Content-Length: 3\r\n") && strcmp(strstr(answer, "\r\n\r\n"), "\r\n\r\n") == 0);
    answer = answer_to("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(strncmp(answer, "HTTP/1.1 426 ", 13) == 0 && strcmp(strstr(answer, "\r\n\r\n"), "\r\n\r\n") == 0);
    CHECK(strstr(answer, "\r\nUpgrade: websocket\r\n") && strstr(answer, "\r\nConnection: Upgrade\r\n"));
    CHECK(raw("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n") == 400);
    CHECK(raw("nonsense\r\n\r\n") == 400);
    end(server, config);
}

/* A connection that was upgraded; frames whose mask is 0 go over it. */
static int upgraded(void)
{
    char head[1000] = {0};
    size_t got = 0;
    const char *text = "GET / HTTP/1.1\r\n" HANDSHAKE KEY "\r\n";
    int fd = dial();
    CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
    while (!strstr(head, "\r\n\r\n"))
        CHECK(got < sizeof head - 1 && recv(fd, head + got++, 1, 0) == 1);
    CHECK(strncmp(head, "HTTP/1.1 101 ", 13) == 0);
    return fd;
}

/* What breaks the protocol is told its code, and then the connection ends. */
static void violated(const char *frame, size_t len, unsigned code)
{
    uint8_t head[4], more[200];
    size_t got = 0;
    ssize_t n;
    int fd = upgraded();
    CHECK(send(fd, frame, len, MSG_NOSIGNAL) == (ssize_t)len);
    while (got < sizeof head && (n = recv(fd, head + got, sizeof head - got, 0)) > 0)
        got += (size_t)n;
    if (got < 4 || head[0] != 0x88 || (head[2] << 8 | head[3]) != (int)code) {
        fprintf(stderr, "wanted a Close with %u: %zu bytes %02x %02x %02x %02x\n", code, got, head[0], head[1], head[2], head[3]);
        exit(1);
    }
    while ((n = recv(fd, more, sizeof more, 0)) > 0)
        ;
    CHECK(n == 0);
    close(fd);
}
#define VIOLATED(code, frame) violated(frame, sizeof frame - 1, code)

/* Kibibytes of this process. */
static long resident(void)
{
    long pages = 0;
    FILE *in = fopen("/proc/self/statm", "r");
    CHECK(in && fscanf(in, "%*d %ld", &pages) == 1);
    fclose(in);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void a_broken_frame_has_its_code(void)
{
    enum { MANY = 200 };
    static int fds[MANY];
    char target[60];
    atls_tunnel_config *config = tunnel_config("localhost:%u", sim.raw);
    snprintf(target, sizeof target, "localhost:%u", sim.raw);
    OK(atls_tunnel_config_set_default_target(config, target, &error));
    atls_server *server = serve(config);
    VIOLATED(1002, "\x83\x80\0\0\0\0");                                 /* no such opcode */
    VIOLATED(1002, "\xc2\x80\0\0\0\0");                                 /* a reserved bit */
    VIOLATED(1002, "\x82\x01x");                                        /* no mask */
    VIOLATED(1002, "\x80\x80\0\0\0\0");                                 /* continues nothing */
    VIOLATED(1002, "\x09\x80\0\0\0\0");                                 /* a ping in parts */
    VIOLATED(1002, "\x88\x82\0\0\0\0\x03\xed");                         /* a code that is never sent */
    VIOLATED(1007, "\x81\x82\0\0\0\0\xc3\x28");                         /* text that is none */
    VIOLATED(1007, "\x88\x83\0\0\0\0\x03\xe8\xff");                     /* in a reason */
    VIOLATED(1009, "\x82\xff\0\0\0\0\0\x10\0\x01\0\0\0\0");             /* 1 MiB and a byte */
    VIOLATED(1009, "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"); /* nearly 2^63 */
    VIOLATED(1000, "\x88\x82\0\0\0\0\x03\xe8");                         /* no violation: a goodbye is given back */
    /* A frame that is announced and does not come holds no memory, nor does a tunnel much. */
    int many = getenv("ATLS_TEST_SLOW") ? 10 : MANY;
    fds[0] = upgraded();
    long before = resident();
    for (int i = 1; i < many; i++) {
        fds[i] = upgraded();
        CHECK(send(fds[i], "\x02\xff\0\0\0\0\0\x10\0\0\0\0\0\0begun", 19, MSG_NOSIGNAL) == 19);
    }
    usleep(100000);
#ifndef __SANITIZE_ADDRESS__
    CHECK(getenv("ATLS_TEST_SLOW") || resident() - before < 64 * many);
#endif
    (void)before;
    for (int i = 0; i < many; i++)
        close(fds[i]);
    end(server, config);
}

static void each_deadline_ends_the_tunnel(void)
{
    size_t n;
    uint8_t byte;
    atls_stream *stream = NULL;
    atls_tunnel_config *config = tunnel_config("localhost:%u", sim.raw);
    OK(atls_tunnel_config_set_deadline(config, ATLS_TUNNEL_DEADLINE_IDLE, 2000, &error));
    atls_server *server = serve(config);
    OK(through("", sim.raw, &stream));
    for (int i = 0; i < 3; i++) {
        usleep(1000000);
        echo(stream, 10); /* as long as something moves nobody is idle */
    }
    atls_status status = atls_stream_read(stream, &byte, 1, 20000, &n, &error);
    CHECK(status == ATLS_WEBSOCKET && strstr(atls_error_message(error).ptr, "idle"));
    atls_error_free(error);
    error = NULL;
    atls_stream_free(stream);
    end(server, config);
}

static void settings_of_a_forwarder_are_checked(void)
{
    atls_server *server = NULL;
    atls_server_config *limits = NULL;
    atls_tunnel_config *config = NULL;
    atls_sink sink = {.queue = queue, .call = on_server};
    OK(atls_server_config_new(&limits, &error));
    OK(atls_tunnel_config_new(&config, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "no target is allowed", atls_tunnel_server_start(runtime, limits, config, &sink, &server, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "a b", atls_tunnel_config_add_target(config, "a b", &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "below an address", atls_tunnel_config_add_target(config, "*.127.0.0.1:1", &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "empty", atls_tunnel_config_set_token(config, "", &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "deadline 9", atls_tunnel_config_set_deadline(config, 9, 1, &error));
    OK(atls_tunnel_config_add_target(config, "*.example:1", &error));
    OK(atls_tunnel_config_set_default_target(config, "localhost:1", &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "localhost:1", atls_tunnel_server_start(runtime, limits, config, &sink, &server, &error));
    OK(atls_tunnel_config_add_target(config, "localhost:1", &error));
    OK(atls_server_config_set_http_versions(limits, ATLS_HTTP_VERSION_2, &error));
    EXPECT(ATLS_UNSUPPORTED, "HTTP/1.1 only", atls_tunnel_server_start(runtime, limits, config, &sink, &server, &error));
    EXPECT(ATLS_INVALID_STATE, "HTTP/2 needs TLS", atls_server_start(runtime, limits, &sink, &server, &error));
    OK(atls_server_config_set_http_versions(limits, 0, &error));
    /* What a forwarder would not enforce it does not take. */
    atls_policy *policy = NULL;
    atls_verifier *verifier = NULL;
    atls_verifier_config *trust = NULL;
    OK(atls_verifier_config_new(&trust, &error));
    size_t len;
    char *json = sim_file("peer-policy.json", &len), *root = sim_file("root.der", &len);
    OK(atls_verifier_config_set_simulated_root(trust, atls_bytes_of(root, len), &error));
    OK(atls_verifier_new(trust, &verifier, &error));
    OK(atls_policy_new(atls_bytes_of_text(json), &policy, &error));
    OK(atls_server_config_set_client_policy(limits, policy, verifier, &error));
    EXPECT(ATLS_UNSUPPORTED, "evidence", atls_tunnel_server_start(runtime, limits, config, &sink, &server, &error));
    atls_policy_free(policy);
    atls_verifier_free(verifier);
    atls_verifier_config_free(trust);
    free(json);
    free(root);
    atls_server_config_free(limits);
    atls_tunnel_config_free(config);
}

static void set_up(void)
{
    sim = sim_start();
    loop_start();
}

TESTS(set_up, loop_end, CASE(settings_of_a_forwarder_are_checked), CASE(allowed_targets_alone_are_reached), CASE(a_token_is_required),
      CASE(a_wrong_handshake_has_its_status), CASE(a_broken_frame_has_its_code), CASE(each_deadline_ends_the_tunnel))
