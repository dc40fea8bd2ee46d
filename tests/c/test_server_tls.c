/* What a server shows and asks for in TLS: certificates by name, certificates of clients. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "sim.h"

static _Thread_local atls_error *error;
static uint16_t port;
static int with_certificate, told;
static atls_status told_status;
static char told_phase[20], told_peer[60];

static atls_server_request *late;
static int late_closed;

static void on_late(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind == ATLS_EVENT_CLOSED)
        __atomic_store_n(&late_closed, 1 + (event->status != ATLS_OK), __ATOMIC_SEQ_CST);
}

static void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind == ATLS_EVENT_REFUSED) {
        told_status = event->status;
        snprintf(told_phase, sizeof told_phase, "%s", atls_error_phase(event->error).ptr);
        snprintf(told_peer, sizeof told_peer, "%s", atls_error_peer(event->error).ptr);
        __atomic_fetch_add(&told, 1, __ATOMIC_SEQ_CST);
    }
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    if (strcmp(atls_server_request_target(event->source).ptr, "/late") == 0) {
        atls_sink sink = {.queue = queue, .call = on_late};
        OK(atls_server_request_start(event->source, runtime, &sink, &error));
        __atomic_store_n(&late, atls_server_request_ref(event->source), __ATOMIC_SEQ_CST);
        return;
    }
    atls_buf *leaf = atls_server_request_certificate(event->source);
    with_certificate += leaf != NULL;
    atls_buf_free(leaf);
    CHECK(atls_server_request_verdict(event->source) == NULL);
    atls_sink sink = {.queue = queue, .call = on_server};
    CHECK(atls_server_request_start(event->source, runtime, &sink, NULL) == ATLS_OK);
    CHECK(atls_server_request_respond(event->source, 200, NULL, atls_bytes_of(NULL, 0), NULL) == ATLS_OK);
}

struct pair {
    char *chain, *key;
};
static struct pair peer, next;

static struct pair pair(const char *name)
{
    size_t len;
    char file[64];
    struct pair pair;
    snprintf(file, sizeof file, "%s.pem", name);
    pair.chain = sim_file(file, &len);
    snprintf(file, sizeof file, "%s-key.pem", name);
    pair.key = sim_file(file, &len);
    return pair;
}

static void done(struct pair pair)
{
    free(pair.chain);
    free(pair.key);
}

static void end(atls_server *server)
{
    OK(atls_server_close(server, &error));
    atls_server_free(server);
}

static atls_server *serve(atls_server_config *config)
{
    atls_server *server = NULL;
    atls_sink sink = {.queue = queue, .call = on_server};
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    return server;
}

/* Asks as for `name`; returns the hash of the certificate that the server has shown, or 0 where it wants another client. */
static uint64_t shown(const char *name, const struct pair *identity)
{
    uint64_t hash = 14695981039346656037u;
    char host[100];
    atls_client *client = NULL;
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    atls_config *config = sim_config(port, NULL);
    snprintf(host, sizeof host, "https://%s:%u/", name, port);
    OK(atls_config_map_host(config, name, port, "127.0.0.1", port, &error));
    if (identity)
        OK(atls_config_set_client_certificate(config, identity->chain, identity->key, &error));
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    OK(atls_request_new_url("GET", host, &request, &error));
    atls_status status = atls_client_fetch(client, request, &exchange, &error);
    if (status == ATLS_OK) {
        atls_buf *leaf = atls_exchange_certificate(exchange);
        for (size_t i = 0; i < atls_buf_len(leaf); i++)
            hash = (hash ^ atls_buf_data(leaf)[i]) * 1099511628211u;
        atls_buf_free(leaf);
    } else {
        hash = 0;
        atls_error_free(error);
        error = NULL;
    }
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_client_free(client);
    atls_config_free(config);
    return hash;
}

/* A client that has ended its own direction, as TLS has it, still gets its answer. */
static void a_client_that_ended_its_direction_gets_its_answer(void)
{
    atls_server_config *plain = NULL;
    OK(atls_server_config_new(&plain, &error));
    OK(atls_server_config_set_certificate(plain, peer.chain, peer.key, &error));
    atls_server *server = serve(plain);
    atls_server_config_free(plain);
    const char *head = "GET /late HTTP/1.1\r\nHost: x\r\n\r\n";
    uint8_t text[1000] = {0};
    size_t n, got = 0;
    atls_stream *stream = NULL;
    atls_config *config = sim_config(port, NULL);
    OK(atls_stream_connect(config, &stream, &error));
    OK(atls_stream_write_all(stream, atls_bytes_of_text(head), 0, &error));
    for (int i = 0; i < 10000 && !__atomic_load_n(&late, __ATOMIC_SEQ_CST); i++)
        usleep(1000);
    CHECK(late);
    OK(atls_stream_finish(stream, &error));
    usleep(100000);
    CHECK(__atomic_load_n(&late_closed, __ATOMIC_SEQ_CST) == 0);
    OK(atls_server_request_respond(late, 200, NULL, atls_bytes_of("late", 4), &error));
    do {
        OK(atls_stream_read(stream, text + got, sizeof text - 1 - got, 0, &n, &error));
        got += n;
    } while (n > 0);
    CHECK(strncmp((char *)text, "HTTP/1.1 200", 12) == 0 && strstr((char *)text, "\r\n\r\nlate"));
    for (int i = 0; i < 10000 && !__atomic_load_n(&late_closed, __ATOMIC_SEQ_CST); i++)
        usleep(1000);
    CHECK(late_closed == 1);
    atls_server_request_free(late);
    atls_stream_free(stream);
    atls_config_free(config);
    end(server);
}

/* Handshakes that come to nothing are counted, and told where the host wants to hear of them. */
static void failed_handshakes_are_counted_and_told(void)
{
    static const char *const first[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""};
    atls_server_config *config = NULL;
    OK(atls_server_config_new(&config, &error));
    OK(atls_server_config_set_certificate(config, peer.chain, peer.key, &error));
    for (int tells = 0; tells < 2; tells++) {
        OK(atls_server_config_set_handshake_events(config, tells, &error));
        atls_server *server = serve(config);
        told = 0;
        for (int i = 0; i < 2; i++) {
            struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
            char rest[100];
            int fd = socket(AF_INET, SOCK_STREAM, 0);
            CHECK(connect(fd, (struct sockaddr *)&place, sizeof place) == 0);
            CHECK(send(fd, first[i], strlen(first[i]), MSG_NOSIGNAL) == (ssize_t)strlen(first[i]));
            CHECK(shutdown(fd, SHUT_WR) == 0);
            while (recv(fd, rest, sizeof rest, 0) > 0)
                ;
            close(fd);
            for (int wait = 0; wait < 5000 && atls_server_count(server, ATLS_SERVER_COUNT_HANDSHAKES_FAILED) <= (uint64_t)i; wait++)
                usleep(1000);
            CHECK(atls_server_count(server, ATLS_SERVER_COUNT_HANDSHAKES_FAILED) == (uint64_t)i + 1);
            for (int wait = 0; wait < 5000 && __atomic_load_n(&told, __ATOMIC_SEQ_CST) < tells * (i + 1); wait++)
                usleep(1000);
            CHECK(told == tells * (i + 1));
            if (tells)
                CHECK(told_status == (i == 0 ? ATLS_TLS_HANDSHAKE : ATLS_TRUNCATED) && strcmp(told_phase, "tls") == 0 && strncmp(told_peer, "127.0.0.1:", 10) == 0);
        }
        CHECK(shown("localhost", NULL) != 0 && atls_server_count(server, ATLS_SERVER_COUNT_HANDSHAKES_FAILED) == 2);
        CHECK(atls_server_count(server, ATLS_SERVER_COUNT_REQUESTS_REFUSED) == 0);
        OK(atls_server_close(server, &error));
        atls_server_free(server);
    }
    atls_server_config_free(config);
}

static void certificates_are_chosen_by_name(void)
{
    atls_server_config *config = NULL;
    OK(atls_server_config_new(&config, &error));
    EXPECT(ATLS_INVALID_STATE, "no certificate", atls_server_config_add_certificate(config, "a.example", next.chain, next.key, &error));
    EXPECT(ATLS_INVALID_STATE, "no certificate", atls_server_config_set_client_roots(config, next.chain, true, &error));
    OK(atls_server_config_set_certificate(config, peer.chain, peer.key, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "certificate", atls_server_config_add_certificate(config, "a.example", next.chain, peer.key, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "root certificate", atls_server_config_set_client_roots(config, "none", true, &error));
    OK(atls_server_config_add_certificate(config, "LOCALHOST", next.chain, next.key, &error));
    atls_server *server = serve(config);
    uint64_t by_name = shown("localhost", NULL), by_default = shown("other.example", NULL);
    CHECK(by_name && by_default && by_name != by_default);
    /* The default is replaced, the one with a name stays. */
    OK(atls_server_set_certificate(server, next.chain, next.key, &error));
    CHECK(shown("localhost", NULL) == by_name && shown("other.example", NULL) == 0);
    end(server);
    atls_server_config_free(config);
}

static atls_server *serve_clients_of(bool required)
{
    size_t len;
    char *ca = sim_file("web-ca.pem", &len);
    atls_server_config *config = NULL;
    OK(atls_server_config_new(&config, &error));
    OK(atls_server_config_set_certificate(config, peer.chain, peer.key, &error));
    OK(atls_server_config_set_client_roots(config, ca, required, &error));
    atls_server *server = serve(config);
    atls_server_config_free(config);
    free(ca);
    return server;
}

static void a_server_may_require_a_client_certificate(void)
{
    atls_server *server = serve_clients_of(true);
    CHECK(shown("other.example", NULL) == 0 && with_certificate == 0);
    CHECK(shown("other.example", &next) != 0 && with_certificate == 1);
    end(server);
}

static void a_server_may_ask_for_a_client_certificate(void)
{
    atls_server *server = serve_clients_of(false);
    CHECK(shown("other.example", NULL) != 0 && with_certificate == 0);
    CHECK(shown("other.example", &next) != 0 && with_certificate == 1);
    end(server);
}

static void set_up(void)
{
    sim_start();
    loop_start();
    peer = pair("peer");
    next = pair("next");
    with_certificate = told = 0;
}

static void tear_down(void)
{
    done(peer);
    done(next);
    loop_end();
}

TESTS(set_up, tear_down, CASE(certificates_are_chosen_by_name), CASE(a_client_that_ended_its_direction_gets_its_answer),
      CASE(a_server_may_require_a_client_certificate), CASE(a_server_may_ask_for_a_client_certificate),
      CASE(failed_handshakes_are_counted_and_told))
