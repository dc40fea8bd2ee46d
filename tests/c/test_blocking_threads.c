/* Blocking handles that several threads use at a time: nobody stalls, and a call's time covers the wait for another thread's call. */
#include <stdatomic.h>

#include "sim.h"
#include "tcp.h"

enum { WRITERS = 4 };

static _Thread_local atls_error *error;
static atls_exchange *exchange;
static atls_stream *stream;
static atomic_long sent;
static atomic_long received;
static atomic_int waiting;

static void read_slowly(int fd)
{
    static char buffer[1 << 16];
    char tail[6] = "";
    for (ssize_t n; memcmp(tail, "0\r\n\r\n", 5) != 0 && (n = recv(fd, buffer, sizeof buffer, 0)) > 0;) {
        received += n;
        if (n >= 5)
            memcpy(tail, buffer + n - 5, 5);
        usleep(100);
    }
    tcp_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 40);
    while (recv(fd, buffer, sizeof buffer, 0) > 0)
        ;
}

static void *write_pieces(void *argument)
{
    static uint8_t piece[400 << 10];
    atls_error *mine = NULL;
    unsigned seed = (unsigned)(uintptr_t)argument;
    int pieces = getenv("ATLS_TEST_SLOW") ? 5 : 40;
    for (int i = 0; i < pieces; i++) {
        seed = seed * 1103515245 + 12345;
        /* Small ones, and some that are larger than the window: these must not be passed by for ever. */
        size_t len = i % 10 == 9 ? sizeof piece : 1000 + (seed >> 8) % (150 << 10);
        expect(__FILE__, __LINE__, ATLS_OK, NULL, atls_exchange_write_all(exchange, atls_bytes_of(piece, len), 20000, &mine), &mine);
        sent += (long)len;
    }
    return NULL;
}

static void writers_of_one_exchange_do_not_stall(void)
{
    atls_client *client = tcp_client(NULL);
    struct tcp tcp;
    pthread_t threads[WRITERS];
    tcp_start(&tcp, read_slowly);
    atls_request *request = tcp_request("POST", tcp.port, "/");
    OK(atls_request_set_timeout(request, UINT32_MAX, &error));
    OK(atls_request_set_body_stream(request, ATLS_LENGTH_UNKNOWN, &error));
    OK(atls_client_fetch(client, request, &exchange, &error));
    for (int i = 0; i < WRITERS; i++)
        CHECK(pthread_create(&threads[i], NULL, write_pieces, (void *)(uintptr_t)(i + 1)) == 0);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    OK(atls_exchange_finish(exchange, &error));
    atls_head *head = NULL;
    OK(atls_exchange_head(exchange, 30000, &head, &error));
    CHECK(atls_head_status(head) == 200 && received >= sent);
    atls_head_free(head);
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_client_free(client);
    tcp_stop(&tcp);
}

static void head_and_silence(int fd)
{
    char buffer[4096];
    if (tcp_head(fd, buffer, sizeof buffer) && tcp_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 38))
        while (recv(fd, buffer, sizeof buffer, 0) > 0)
            ;
}

static void *read_exchange(void *argument)
{
    uint8_t buffer[10];
    size_t n;
    (void)argument;
    waiting = 1;
    CHECK(atls_exchange_read(exchange, buffer, sizeof buffer, UINT32_MAX, &n, NULL) == ATLS_CANCELED);
    return NULL;
}

static void *read_stream(void *argument)
{
    uint8_t buffer[10];
    size_t n;
    (void)argument;
    waiting = 1;
    CHECK(atls_stream_read(stream, buffer, sizeof buffer, UINT32_MAX, &n, NULL) == ATLS_CANCELED);
    return NULL;
}

/* The other thread waits for ever: this one comes back all the same, and the handle is as good as before. */
static void the_time_of_a_call_covers_the_wait_for_another_thread(void)
{
    atls_client *client = tcp_client(NULL);
    struct tcp tcp;
    pthread_t thread;
    uint8_t buffer[10];
    size_t n;
    atls_head *head = NULL;
    atls_buf *body = NULL;
    tcp_start(&tcp, head_and_silence);
    atls_request *request = tcp_request("GET", tcp.port, "/");
    OK(atls_client_fetch(client, request, &exchange, &error));
    waiting = 0;
    CHECK(pthread_create(&thread, NULL, read_exchange, NULL) == 0);
    while (!waiting)
        usleep(1000);
    usleep(50000);
    EXPECT(ATLS_TIMED_OUT, "receiving", atls_exchange_read(exchange, buffer, sizeof buffer, 50, &n, &error));
    EXPECT(ATLS_TIMED_OUT, "response head", atls_exchange_head(exchange, 50, &head, &error));
    EXPECT(ATLS_TIMED_OUT, "receiving", atls_exchange_read_all(exchange, 100, 50, &body, &error));
    EXPECT(ATLS_INVALID_STATE, "under way", atls_exchange_trailers(exchange, &head, &error));
    OK(atls_exchange_cancel(exchange, &error));
    pthread_join(thread, NULL);
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_client_free(client);
    tcp_stop(&tcp);

    struct sim sim = sim_start();
    atls_config *config = sim_config(sim.raw, "policy.json");
    OK(atls_stream_connect(config, &stream, &error));
    waiting = 0;
    CHECK(pthread_create(&thread, NULL, read_stream, NULL) == 0);
    while (!waiting)
        usleep(1000);
    usleep(50000);
    EXPECT(ATLS_TIMED_OUT, "receiving", atls_stream_read(stream, buffer, sizeof buffer, 50, &n, &error));
    OK(atls_stream_cancel(stream, &error));
    pthread_join(thread, NULL);
    atls_stream_free(stream);
    atls_config_free(config);
}

static void *write_stream(void *argument)
{
    static uint8_t block[1 << 20];
    (void)argument;
    atls_status status = ATLS_OK;
    waiting = 1;
    /* The echo of what nobody reads stops it. */
    while (status == ATLS_OK)
        status = atls_stream_write_all(stream, atls_bytes_of(block, sizeof block), UINT32_MAX, NULL);
    CHECK(status == ATLS_CANCELED);
    return NULL;
}

/* A write that had no turn has sent nothing: the stream goes on. */
static void a_write_that_had_no_turn_has_sent_nothing(void)
{
    struct sim sim = sim_start();
    pthread_t thread;
    uint8_t buffer[1000];
    size_t n;
    atls_config *config = sim_config(sim.raw, "policy.json");
    OK(atls_stream_connect(config, &stream, &error));
    waiting = 0;
    CHECK(pthread_create(&thread, NULL, write_stream, NULL) == 0);
    while (!waiting)
        usleep(1000);
    /* Once it waits for ever, no turn is to be had. */
    atls_status status = ATLS_OK;
    for (int i = 0; i < 1000 && status == ATLS_OK; i++) {
        usleep(10000);
        status = atls_stream_write_all(stream, atls_bytes_of("x", 1), 100, &error);
    }
    EXPECT(ATLS_TIMED_OUT, "sending", status);
    OK(atls_stream_read(stream, buffer, sizeof buffer, 5000, &n, &error));
    CHECK(n > 0);
    OK(atls_stream_cancel(stream, &error));
    pthread_join(thread, NULL);
    atls_stream_free(stream);
    atls_config_free(config);
}

static void set_up(void)
{
    alarm(120);
}

TESTS(set_up, NULL, CASE(writers_of_one_exchange_do_not_stall), CASE(the_time_of_a_call_covers_the_wait_for_another_thread),
      CASE(a_write_that_had_no_turn_has_sent_nothing))
