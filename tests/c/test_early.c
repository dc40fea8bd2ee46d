/* Servers that answer before they have read the request's body: the answer is read, the rest of the body goes nowhere, writing ends at once, and
 * no other request follows on that connection. In the clear and in TLS; every kind of body; events and blocking; a client and an own connection. */
#include <arpa/inet.h>
#include <pthread.h>
#include <strings.h>
#include <unistd.h>

#include "web.h"

enum { BODY = 12 << 20, PIECE = 100000 };
enum { FULL, STREAM, STREAM_CHUNKED, SOURCE, SOURCE_CHUNKED, KINDS };

static unsigned clear_port;
static _Atomic int mixed, seconds;
static atls_runtime *runtime;
static atls_queue *queue;
static unsigned char *block;

/* Reads a head; its length, 0 at the end. Exactly a head: what follows it stays in the socket. */
static size_t head_of(int conn, char *to, size_t cap)
{
    size_t have = 0;
    while (have < cap - 1 && recv(conn, to + have, 1, 0) == 1) {
        to[++have] = '\0';
        if (have >= 4 && memcmp(to + have - 4, "\r\n\r\n", 4) == 0)
            return have;
    }
    return 0;
}

/* Takes what comes until the other end goes, and looks for a head of ours in it. */
static void swallow(int conn)
{
    static const char second[] = "GET /second";
    char data[70000];
    size_t kept = 0;
    ssize_t n;
    while ((n = recv(conn, data + kept, 65536, 0)) > 0) {
        size_t all = kept + (size_t)n;
        for (size_t i = 0; i + sizeof second - 1 <= all; i++)
            mixed += memcmp(data + i, second, sizeof second - 1) == 0;
        kept = all < sizeof second - 2 ? all : sizeof second - 2;
        memmove(data, data + all - kept, kept);
    }
}

static void *serve(void *arg)
{
    int conn = (int)(long)arg;
    char head[4096];
    while (head_of(conn, head, sizeof head)) {
        if (strncmp(head, "POST /hasty?keep", 16) == 0) {
            send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhasty", 43, MSG_NOSIGNAL);
            usleep(50000);
            swallow(conn);
            break;
        }
        if (strncmp(head, "POST /hasty?close", 17) == 0) {
            send(conn, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhasty", 70, MSG_NOSIGNAL);
            break;
        }
        if (strncmp(head, "GET /small ", 11) && strncmp(head, "GET /second ", 12))
            mixed++;
        seconds += strncmp(head, "GET /second ", 12) == 0;
        send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlater", 43, MSG_NOSIGNAL);
    }
    close(conn);
    return NULL;
}

_Noreturn static void *listener(void *arg)
{
    for (;;) {
        pthread_t thread;
        int conn = accept((int)(long)arg, NULL, NULL);
        CHECK(conn >= 0 && pthread_create(&thread, NULL, serve, (void *)(long)conn) == 0);
        pthread_detach(thread);
    }
}

static void listen_in_the_clear(void)
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof place;
    pthread_t thread;
    int sock = socket(AF_INET, SOCK_STREAM, 0), small = 4096;
    CHECK(setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) == 0);
    CHECK(bind(sock, (struct sockaddr *)&place, len) == 0 && listen(sock, 100) == 0);
    CHECK(getsockname(sock, (struct sockaddr *)&place, &len) == 0);
    clear_port = ntohs(place.sin_port);
    CHECK(pthread_create(&thread, NULL, listener, (void *)(long)sock) == 0);
    pthread_detach(thread);
}

/* A source of BODY bytes. */
static int64_t source_read(void *user_data, uint8_t *to, size_t cap)
{
    size_t *at = user_data, n = BODY - *at < cap ? BODY - *at : cap;
    memcpy(to, block, n);
    *at += n;
    return (int64_t)n;
}

/* A source may be asked until it is dropped, which can be after CLOSED: what it counts with lives as long. */
static void source_drop(void *user_data)
{
    free(user_data);
}

/* One upload as far as it has come. */
struct upload {
    atls_exchange *exchange;
    size_t written;
    bool finished, refused;
    uint32_t status;
    char body[128];
    size_t len;
};

static bool streamed(int kind)
{
    return kind == STREAM || kind == STREAM_CHUNKED;
}

static void write_some(struct upload *it)
{
    while (!it->finished && !it->refused) {
        atls_status status = it->written < BODY ? atls_exchange_write(it->exchange, atls_bytes_of(block, PIECE), NULL) : atls_exchange_finish(it->exchange, NULL);
        if (status == ATLS_AGAIN)
            return;
        it->finished = status == ATLS_OK && it->written >= BODY;
        it->refused = status != ATLS_OK;
        CHECK(status == ATLS_OK || status == ATLS_CLOSED);
        it->written += PIECE;
    }
}

/* Runs an event-driven upload to CLOSED, which must be OK. */
static void run_events(struct upload *it, bool stream)
{
    for (int over = 0; !over;) {
        atls_event event;
        size_t count = 0;
        OK(atls_queue_wait(queue, &event, sizeof event, 1, 20000, &count, &error));
        CHECK(count == 1);
        if (event.token != 7) { /* of the own connection */
            atls_event_release(&event);
            continue;
        }
        if (event.kind == ATLS_EVENT_HEAD)
            it->status = atls_head_status(event.head);
        if (event.kind == ATLS_EVENT_DATA && it->len + atls_buf_len(event.buf) < sizeof it->body) {
            memcpy(it->body + it->len, atls_buf_data(event.buf), atls_buf_len(event.buf));
            it->len += atls_buf_len(event.buf);
        }
        over = event.kind == ATLS_EVENT_CLOSED;
        if (over && event.status != ATLS_OK)
            fprintf(stderr, "closed: %s %s\n", atls_status_name(event.status).ptr, atls_error_message(event.error).ptr);
        CHECK(!over || event.status == ATLS_OK);
        atls_event_release(&event);
        if (stream && !over)
            write_some(it);
    }
}

static void run_blocking(struct upload *it, bool stream)
{
    atls_head *head = NULL;
    atls_status status = ATLS_OK;
    for (; stream && status == ATLS_OK && it->written < BODY; it->written += PIECE)
        status = atls_exchange_write_all(it->exchange, atls_bytes_of(block, PIECE), 20000, NULL);
    CHECK(status == ATLS_OK || status == ATLS_CLOSED);
    if (stream)
        OK(atls_exchange_finish(it->exchange, &error));
    OK(atls_exchange_head(it->exchange, 20000, &head, &error));
    it->status = atls_head_status(head);
    atls_head_free(head);
    size_t n;
    do {
        OK(atls_exchange_read(it->exchange, (uint8_t *)it->body + it->len, sizeof it->body - 1 - it->len, 20000, &n, &error));
        it->len += n;
    } while (n);
}

static atls_request *upload_of(int kind, bool tls, const char *how, bool asks)
{
    uint64_t length = kind == STREAM_CHUNKED || kind == SOURCE_CHUNKED ? ATLS_LENGTH_UNKNOWN : (BODY + PIECE - 1) / PIECE * PIECE;
    char path[40];
    atls_request *request = NULL;
    snprintf(path, sizeof path, "/hasty?%s", how);
    request = ask("POST", tls ? "https://localhost:%u%s" : "http://127.0.0.1:%u%s", tls ? sim_start().http : clear_port, path);
    if (kind == FULL)
        OK(atls_request_set_body(request, atls_bytes_of(block, BODY), &error));
    else if (streamed(kind))
        OK(atls_request_set_body_stream(request, length, &error));
    else
        OK(atls_request_set_body_source(request, &(atls_body_source){source_read, NULL, source_drop, calloc(1, sizeof(size_t))}, kind == SOURCE ? BODY : length, &error));
    if (asks)
        OK(atls_request_set_expect_continue(request, UINT32_MAX, &error));
    return request;
}

static void check(const struct upload *it, const char *how, int kind)
{
    if (it->status != (strcmp(how, "keep") ? 413 : 200) || it->len != 5 || memcmp(it->body, "hasty", 5) != 0) {
        fprintf(stderr, "%s, body %d: %u with %zu bytes\n", how, kind, it->status, it->len);
        exit(1);
    }
}

static atls_config *config_for(bool tls)
{
    atls_config *config = sim_config(tls ? sim_start().http : clear_port, NULL);
    OK(atls_config_set_unattested(config, &error));
    OK(atls_config_set_credit(config, 1 << 20, true, &error));
    return config;
}

/* Through a client; the next request must go well. */
static void by_client(bool tls, bool events, int kind, const char *how, bool asks)
{
    atls_config *config = config_for(tls);
    atls_client *client = NULL;
    OK(atls_client_new(events ? runtime : NULL, config, NULL, &client, &error));
    atls_request *first = upload_of(kind, tls, how, asks);
    struct upload it = {0};
    for (int round = 0; round < 2; round++) {
        if (events) {
            OK(atls_client_start(client, first, &(atls_sink){.queue = queue, .token = 7}, &it.exchange, &error));
            run_events(&it, round == 0 && streamed(kind));
        } else {
            OK(atls_client_fetch(client, first, &it.exchange, &error));
            run_blocking(&it, round == 0 && streamed(kind));
        }
        atls_request_free(first);
        atls_exchange_free(it.exchange);
        if (round == 1)
            break;
        check(&it, how, kind);
        CHECK(atls_client_idle_connections(client) == 0);
        first = ask("GET", tls ? "https://localhost:%u/small" : "http://127.0.0.1:%u/second", tls ? sim_start().http : clear_port);
        it = (struct upload){0};
    }
    CHECK(it.status == 200 && (tls || it.len == 5));
    atls_client_free(client);
    atls_config_free(config);
}

/* On a connection of our own, which is over with the answer. */
static void by_connection(bool tls, bool events, int kind, const char *how, bool asks)
{
    atls_config *config = config_for(tls);
    atls_http *http = NULL;
    atls_request *request = upload_of(kind, tls, how, asks), *second = NULL;
    struct upload it = {0};
    atls_exchange *none = NULL;
    OK(atls_request_new("GET", "/second", "localhost", &second, &error));
    if (!events) {
        OK(atls_http_connect(config, &http, &error));
        CHECK(atls_http_ready(http));
        OK(atls_http_fetch(http, request, &it.exchange, &error));
        CHECK(!atls_http_ready(http));
        run_blocking(&it, streamed(kind));
        CHECK(!atls_http_ready(http));
        EXPECT(ATLS_CLOSED, NULL, atls_http_fetch(http, second, &none, &error));
    } else {
        OK(atls_http_connect_start(runtime, config, &(atls_sink){.queue = queue}, &http, &error));
        while (!atls_http_ready(http))
            usleep(1000);
        OK(atls_http_start(http, request, &(atls_sink){.queue = queue, .token = 7}, &it.exchange, &error));
        run_events(&it, streamed(kind));
        CHECK(!atls_http_ready(http));
        EXPECT(ATLS_CLOSED, NULL, atls_http_start(http, second, &(atls_sink){.queue = queue}, &none, &error));
    }
    check(&it, how, kind);
    atls_exchange_free(it.exchange);
    atls_http_free(http);
    atls_request_free(request);
    atls_request_free(second);
    atls_config_free(config);
}

static void an_early_answer_is_read_and_ends_the_upload(void)
{
    sim_start();
    block = malloc(BODY);
    for (size_t i = 0; i < BODY; i++)
        block[i] = (unsigned char)"\r\n\r\nGET "[i % 8]; /* nearly a head, at every place */
    listen_in_the_clear();
    OK(atls_runtime_new(2, &runtime, &error));
    OK(atls_queue_new_polled(&queue, &error));
    const char *slow = getenv("ATLS_TEST_SLOW");
    for (int which = 0; which < 2 * 2 * 2 * 2 * KINDS; which++) {
        bool tls = which & 1, events = which & 2, asks = which & 8;
        const char *how = which & 4 ? "keep" : "close";
        int kind = which / 16;
        if (slow && (tls || kind == SOURCE || kind == STREAM))
            continue;
        by_client(tls, events, kind, how, asks);
        if (tls) /* an atls_http always is */
            by_connection(tls, events, kind, how, asks);
    }
    CHECK(mixed == 0 && seconds > 0);
    atls_runtime_free(runtime);
    atls_queue_free(queue);
    free(block);
}

TESTS(NULL, NULL, CASE(an_early_answer_is_read_and_ends_the_upload))
