/* The pooled client: reuse, limits, streamed bodies, forwarders, and what goes wrong; blocking and by events. */
#include "pooled.h"

static void connections_are_reused_within_their_limit(void)
{
    char text[256];
    bool reused = true;
    atls_client *client = new_client(NULL, 2, 0, 0);
    CHECK(fetch(client, request("GET", url("/small")), text, sizeof text, &reused) == 200 && !reused && strlen(text) == 100);
    for (int i = 0; i < 20; i++)
        CHECK(fetch(client, request("GET", url("/small")), text, sizeof text, &reused) == 200 && reused);
    CHECK(atls_client_idle_connections(client) == 1 && atls_client_active_requests(client) == 0 && atls_client_queued_requests(client) == 0);

    /* Two at a time need two connections, and the third waits for its turn until its time is up. */
    atls_exchange *one = NULL, *two = NULL, *three = NULL;
    atls_request *big = request("GET", url("/bytes/300000")), *hasty = request("GET", url("/small"));
    OK(atls_client_fetch(client, big, &one, &error));
    OK(atls_client_fetch(client, big, &two, &error));
    CHECK(atls_client_active_requests(client) == 2 && atls_client_idle_connections(client) == 0);
    OK(atls_request_set_timeout(hasty, 100, &error));
    EXPECT(ATLS_TIMED_OUT, "100 ms", atls_client_fetch(client, hasty, &three, &error));
    OK(atls_request_set_timeout(hasty, 10000, &error));
    CHECK(body(one, text, sizeof text) == 300000);
    /* Read to its end it gives its place away, even before it is freed; given up in the middle it takes its connection with it. */
    OK(atls_client_fetch(client, hasty, &three, &error));
    CHECK(atls_exchange_reused(three) && body(three, text, sizeof text) == 100);
    atls_exchange_free(two);
    CHECK(atls_client_idle_connections(client) == 1 && atls_client_active_requests(client) == 0);
    atls_exchange_free(one);
    atls_exchange_free(three);
    atls_request_free(big);
    atls_request_free(hasty);

    /* A response without a body needs no reading. */
    atls_request *head = request("GET", url("/headers?0"));
    OK(atls_client_fetch(client, head, &one, &error));
    atls_exchange_free(one);
    CHECK(atls_client_idle_connections(client) == 1);
    atls_request_free(head);
    OK(atls_client_close_idle(client, &error));
    CHECK(atls_client_idle_connections(client) == 0);
    CHECK(fetch(client, request("GET", url("/small")), text, sizeof text, &reused) == 200 && !reused);
    atls_client_free(client);
}

/* Connections that the server closed while they waited, that waited too long, or that are too old. */
static void a_stale_or_old_connection_is_not_reused(void)
{
    char text[256];
    bool reused;
    atls_client *client = new_client(NULL, 2, 0, 0);
    for (int i = 0; i < 5; i++) {
        CHECK(fetch(client, request("GET", url("/stale")), text, sizeof text, &reused) == 200 && !reused);
        if (i % 2)
            usleep(50000);
        CHECK(fetch(client, request("GET", url("/stale")), text, sizeof text, &reused) == 200 && !reused);
    }
    /* What may not be sent twice is not sent into a connection that is known to be gone. */
    for (int i = 0; i < 5; i++) {
        CHECK(fetch(client, request("GET", url("/stale")), text, sizeof text, &reused) == 200);
        usleep(50000);
        CHECK(fetch(client, request("POST", url("/sink")), text, sizeof text, &reused) == 200 && !reused);
        OK(atls_client_close_idle(client, &error));
    }
    atls_client_free(client);

    client = new_client(NULL, 2, 50, 0);
    CHECK(fetch(client, request("GET", url("/small")), text, sizeof text, &reused) == 200);
    usleep(80000);
    CHECK(fetch(client, request("GET", url("/small")), text, sizeof text, &reused) == 200 && !reused);
    atls_client_free(client);

    client = new_client(NULL, 2, 0, 1500);
    CHECK(fetch(client, request("GET", url("/small")), text, sizeof text, &reused) == 200);
    CHECK(fetch(client, request("GET", url("/small")), text, sizeof text, &reused) == 200 && reused);
    usleep(1600000);
    CHECK(fetch(client, request("GET", url("/small")), text, sizeof text, &reused) == 200 && !reused);
    atls_client_free(client);
}

static void a_streamed_body_gives_its_connection_back_or_up(void)
{
    char text[256];
    bool reused = false;
    atls_client *client = new_client(NULL, 1, 0, 0);
    atls_request *upload = request("POST", url("/sink"));
    OK(atls_request_set_body_stream(upload, ATLS_LENGTH_UNKNOWN, &error));
    static unsigned char piece[100000];
    for (int round = 0; round < 3; round++) {
        atls_exchange *exchange = NULL;
        OK(atls_client_fetch(client, upload, &exchange, &error));
        for (int i = 0; i < 10; i++)
            OK(atls_exchange_write_all(exchange, atls_bytes_of(piece, sizeof piece), 5000, &error));
        OK(atls_exchange_finish(exchange, &error));
        CHECK(body(exchange, text, sizeof text) == 7 && strcmp(text, "1000000") == 0);
        atls_exchange_free(exchange);
    }
    CHECK(fetch(client, request("GET", url("/small")), text, sizeof text, &reused) == 200 && reused);
    /* Given up in the middle: its place is free again once the client has heard of it. */
    atls_exchange *exchange = NULL;
    OK(atls_client_fetch(client, upload, &exchange, &error));
    OK(atls_exchange_write_all(exchange, atls_bytes_of(piece, 10), 5000, &error));
    atls_exchange_free(exchange);
    CHECK(fetch(client, request("GET", url("/small")), text, sizeof text, NULL) == 200);
    atls_request_free(upload);
    atls_client_free(client);
}

/* One request through a forwarder, the next one not; both attested, and neither on the other's connection. */
static void requests_through_a_forwarder_have_connections_of_their_own(void)
{
    char ws[100], text[256];
    bool reused;
    atls_client *client = new_client(NULL, 2, 0, 0);
    atls_config *config = sim_config(1, NULL);
    snprintf(ws, sizeof ws, "ws://127.0.0.1:%u/", sim.tunnel);
    OK(atls_config_set_tunnel(config, ws, &error));
    for (int i = 0; i < 4; i++) {
        atls_request *small = request("GET", url("/small"));
        if (i % 2)
            OK(atls_request_set_config(small, config, &error));
        CHECK(fetch(client, small, text, sizeof text, &reused) == 200 && strlen(text) == 100 && reused == (i > 1));
    }
    CHECK(atls_client_idle_connections(client) == 2);
    atls_config_free(config);
    atls_client_free(client);
}

static atomic_int ended, failed, dropped, most;
static atls_client *shared;

static void on_event(void *user_data, const atls_event *event)
{
    (void)user_data;
    int active = (int)atls_client_active_requests(shared), seen = atomic_load(&most);
    if (active > seen)
        atomic_store(&most, active);
    if (event->kind == ATLS_EVENT_HEAD)
        CHECK(atls_head_status(event->head) == 200 && atls_exchange_url(event->source).len > 0);
    if (event->kind != ATLS_EVENT_CLOSED)
        return;
    atomic_fetch_add(event->status == ATLS_OK ? &ended : &failed, 1);
}

static void on_drop(void *user_data)
{
    (void)user_data;
    atomic_fetch_add(&dropped, 1);
}

/* Many at a time over a few connections, some of them given up. */
static void many_exchanges_share_few_connections(void)
{
    enum { COUNT = 64 };
    atls_runtime *runtime = NULL;
    atls_queue *queue = NULL;
    atls_exchange *exchanges[COUNT];
    OK(atls_runtime_new(2, &runtime, &error));
    OK(atls_queue_new_dispatching(&queue, &error));
    shared = new_client(runtime, 4, 0, 0);
    atls_sink sink = {queue, 0, on_event, NULL, on_drop};
    atls_request *small = request("GET", url("/bytes/20000")), *hang = request("GET", url("/hang"));
    OK(atls_request_set_timeout(hang, 300, &error));
    for (int i = 0; i < COUNT; i++) {
        OK(atls_client_start(shared, i == 5 ? hang : small, &sink, &exchanges[i], &error));
        if (i % 16 == 9)
            OK(atls_exchange_cancel(exchanges[i], &error));
    }
    EXPECT(ATLS_INVALID_STATE, "event-driven", atls_client_fetch(shared, small, &exchanges[0], &error));
    while (atomic_load(&dropped) < COUNT)
        usleep(1000);
    CHECK(atomic_load(&failed) >= 1 && atomic_load(&failed) <= 5 && atomic_load(&ended) + atomic_load(&failed) == COUNT);
    CHECK(atomic_load(&most) <= 4 && atls_client_active_requests(shared) == 0 && atls_client_queued_requests(shared) == 0);
    CHECK(atls_client_idle_connections(shared) >= 1 && atls_client_idle_connections(shared) <= 4);
    for (int i = 0; i < COUNT; i++)
        atls_exchange_free(exchanges[i]);
    atls_client_free(shared);
    atls_request_free(small);
    atls_request_free(hang);
    OK(atls_queue_stop(queue, &error));
    atls_queue_free(queue);
    atls_runtime_free(runtime);
}

static void null_arguments_are_refused(void)
{
    atls_exchange *exchange = NULL;
    atls_client *client = NULL;
    EXPECT(ATLS_NULL_ARGUMENT, "client", atls_client_new(NULL, NULL, NULL, NULL, &error));
    /* Without a configuration no host has a policy, so nothing goes out. */
    atls_request *request = NULL;
    OK(atls_client_new(NULL, NULL, NULL, &client, &error));
    OK(atls_request_new_url("GET", "https://localhost/", &request, &error));
    EXPECT(ATLS_POLICY_REQUIRED, "localhost", atls_client_fetch(client, request, &exchange, &error));
    atls_request_free(request);
    atls_client_free(client);
    EXPECT(ATLS_NULL_ARGUMENT, "client", atls_client_fetch(NULL, NULL, &exchange, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "exchange", atls_client_fetch(NULL, NULL, NULL, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "client", atls_client_set_policy(NULL, "a", NULL, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "limits", atls_client_limits_set_requests(NULL, 1, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "url", atls_request_new_url("GET", NULL, (atls_request **)&exchange, &error));
    CHECK(atls_client_idle_connections(NULL) == 0 && atls_client_ref(NULL) == NULL && atls_exchange_url(NULL).len == 0);
    CHECK(!atls_exchange_reused(NULL) && atls_exchange_verdict(NULL) == NULL && atls_exchange_redirects(NULL) == 0);
    client = new_client(NULL, 1, 0, 0);
    atls_request *no_url = NULL;
    OK(atls_request_new("GET", "/", "localhost", &no_url, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "no URL", atls_client_fetch(client, no_url, &exchange, &error));
    atls_request_free(no_url);
    atls_client_free(client);
    atls_client_free(NULL);
    atls_client_limits_free(NULL);
}

TESTS(set_up, NULL, CASE(connections_are_reused_within_their_limit), CASE(a_stale_or_old_connection_is_not_reused),
      CASE(a_streamed_body_gives_its_connection_back_or_up), CASE(requests_through_a_forwarder_have_connections_of_their_own),
      CASE(many_exchanges_share_few_connections), CASE(null_arguments_are_refused))
