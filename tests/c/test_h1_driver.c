/* Connections driven over sockets, in either role: both ends are drivers, or one is a raw socket or an attested server. */
#include "driven.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

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

TESTS(set_up, loop_end, CASE(two_drivers_exchange_messages), CASE(an_upgrade_hands_the_connection_over),
      CASE(a_detached_stream_that_waits_can_be_canceled), CASE(a_large_body_flows_under_credit),
      CASE(a_driver_runs_over_an_attested_stream))
