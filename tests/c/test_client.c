/* The pooled client: reuse, policies by host, redirects, limits, streamed bodies, and what goes wrong; blocking and by events. */
#include <stdatomic.h>
#include <unistd.h>

#include "sim.h"

static struct sim sim;
static _Thread_local atls_error *error;

static char *url(const char *path)
{
    static char text[512];
    snprintf(text, sizeof text, "https://localhost:%u%s", sim.http, path);
    return text;
}

static atls_policy *policy_file(const char *name)
{
    size_t len;
    atls_policy *policy = NULL;
    char *json = sim_file(name, &len);
    OK(atls_policy_new(atls_bytes_of(json, len), &policy, &error));
    free(json);
    return policy;
}

/* A client that knows a policy for localhost, and none for other hosts. */
static atls_client *new_client(atls_runtime *runtime, uint32_t requests, uint32_t idle_ms, uint32_t age_ms)
{
    atls_client *client = NULL;
    atls_client_limits *limits = NULL;
    atls_config *config = NULL, *trust = sim_config(sim.http, "policy.json");
    OK(atls_client_limits_new(&limits, &error));
    OK(atls_client_limits_set_requests(limits, requests, &error));
    OK(atls_client_limits_set_times(limits, idle_ms, age_ms, &error));
    /* The verifier and roots are those of a configuration whose policy is then taken away. */
    config = trust;
    OK(atls_config_set_unattested(config, &error));
    OK(atls_client_new(runtime, config, limits, &client, &error));
    atls_policy *policy = policy_file("policy.json");
    OK(atls_client_set_policy(client, "LOCALHOST.", policy, &error));
    atls_policy_free(policy);
    atls_config_free(config);
    atls_client_limits_free(limits);
    return client;
}

static atls_request *request(const char *method, const char *where)
{
    atls_request *request = NULL;
    OK(atls_request_new_url(method, where, &request, &error));
    OK(atls_request_set_timeout(request, 10000, &error));
    return request;
}

static size_t body(atls_exchange *exchange, char *to, size_t cap)
{
    static unsigned char buffer[50000];
    size_t total = 0, n;
    memset(to, 0, cap);
    do {
        OK(atls_exchange_read(exchange, buffer, sizeof buffer, 5000, &n, &error));
        if (total < cap - 1)
            memcpy(to + total, buffer, n < cap - 1 - total ? n : cap - 1 - total);
        total += n;
    } while (n > 0);
    return total;
}

/* Fetches and frees the request; the status, the body in `to`, and whether the connection was used before. */
static uint32_t fetch(atls_client *client, atls_request *request, char *to, size_t cap, bool *reused)
{
    atls_exchange *exchange = NULL;
    atls_head *head = NULL;
    OK(atls_client_fetch(client, request, &exchange, &error));
    OK(atls_exchange_head(exchange, 5000, &head, &error));
    uint32_t status = atls_head_status(head);
    body(exchange, to, cap);
    atls_verdict *verdict = atls_exchange_verdict(exchange);
    CHECK(atls_verdict_trusted(verdict));
    atls_verdict_free(verdict);
    if (reused)
        *reused = atls_exchange_reused(exchange);
    atls_head_free(head);
    atls_exchange_free(exchange);
    atls_request_free(request);
    return status;
}

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

static void the_closest_policy_of_a_host_holds(void)
{
    char text[256];
    bool reused;
    atls_exchange *exchange = NULL;
    atls_client *client = NULL;
    atls_config *config = sim_config(sim.http, "policy.json");
    atls_policy *good = policy_file("policy.json"), *bad = policy_file("wrong-policy.json");

    /* The configuration's policy is for every host; a pattern that is closer comes first. */
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    CHECK(fetch(client, request("GET", url("/small")), text, sizeof text, NULL) == 200);
    OK(atls_client_set_policy(client, "localhost", bad, &error));
    CHECK(atls_client_idle_connections(client) == 1);
    atls_request *small = request("GET", url("/small"));
    CHECK(atls_client_fetch(client, small, &exchange, &error) == ATLS_MEASUREMENT_MISMATCH);
    CHECK(strstr(atls_error_report_json(error).ptr, "bootchain") && exchange == NULL);
    atls_error_free(error);
    error = NULL;
    /* The same document again is another policy: what was judged under the former is not used. */
    OK(atls_client_set_policy(client, "localhost", good, &error));
    CHECK(fetch(client, request("GET", url("/small")), text, sizeof text, &reused) == 200 && !reused);
    EXPECT(ATLS_INVALID_ARGUMENT, "pattern \"*\"", atls_client_set_policy(client, "*", good, &error));
    atls_client_free(client);

    /* Nothing covers the host, and nothing allows it. */
    client = NULL;
    atls_config *bare = NULL;
    OK(atls_config_new(NULL, 0, &bare, &error));
    OK(atls_client_new(NULL, bare, NULL, &client, &error));
    EXPECT(ATLS_POLICY_REQUIRED, "no policy covers localhost", atls_client_fetch(client, small, &exchange, &error));
    atls_client_free(client);

    /* A configuration without a host is for what needs none. */
    atls_http *http = NULL;
    OK(atls_config_set_unattested(bare, &error));
    EXPECT(ATLS_INVALID_STATE, "no host", atls_http_connect(bare, &http, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "port is 1", atls_config_new(NULL, 1, &bare, &error));

    /* Nobody is judged by default: then there is no verdict either. */
    OK(atls_config_set_unattested(config, &error));
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    OK(atls_client_fetch(client, small, &exchange, &error));
    CHECK(atls_exchange_verdict(exchange) == NULL);
    atls_exchange_free(exchange);
    atls_client_free(client);
    atls_request_free(small);
    atls_policy_free(good);
    atls_policy_free(bad);
    atls_config_free(bare);
    atls_config_free(config);

    atls_request *wrong = NULL;
    EXPECT(ATLS_UNSUPPORTED, "scheme \"ftp\"", atls_request_new_url("GET", "ftp://localhost/", &wrong, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "URL", atls_request_new_url("GET", "localhost", &wrong, &error));
}

static atls_request *redirecting(const char *method, const char *status, const char *to, uint32_t most, uint32_t allowed)
{
    char path[400];
    snprintf(path, sizeof path, "/redirect?%s,%s", status, to);
    atls_request *made = request(method, url(path));
    OK(atls_request_set_redirects(made, most, allowed, &error));
    if (method[0] == 'P') {
        OK(atls_request_set_body(made, atls_bytes_of("data", 4), &error));
        OK(atls_request_add_header(made, "Content-Type", atls_bytes_of("a/b", 3), &error));
    }
    OK(atls_request_add_header(made, "Authorization", atls_bytes_of("secret", 6), &error));
    return made;
}

static void redirects_keep_the_method_and_the_attested_origin(void)
{
    char text[1024], other[200];
    atls_client *client = new_client(NULL, 1, 0, 0);
    static const struct {
        const char *method, *status, *line;
        bool body;
    } cases[] = {
        {"GET", "302", "GET /head", false},  {"POST", "301", "GET /head", false}, {"POST", "302", "GET /head", false},
        {"POST", "303", "GET /head", false}, {"POST", "307", "POST /head", true}, {"POST", "308", "POST /head", true},
        {"PUT", "302", "PUT /head", true},   {"PUT", "303", "GET /head", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(fetch(client, redirecting(cases[i].method, cases[i].status, "head", 5, 0), text, sizeof text, NULL) == 200);
        CHECK(strncmp(text, cases[i].line, strlen(cases[i].line)) == 0 && strstr(text, "Authorization: secret"));
        CHECK((strstr(text, "Content-Length: 4") != NULL) == cases[i].body);
        CHECK((strstr(text, "Content-Type") != NULL) == cases[i].body);
    }
    /* Not followed: no more than asked for, no Location, and a body that cannot be sent twice. */
    CHECK(fetch(client, redirecting("GET", "302", "/small", 0, 0), text, sizeof text, NULL) == 302);
    CHECK(fetch(client, redirecting("GET", "302", "/redirect?302,/redirect?302,/small", 2, 0), text, sizeof text, NULL) == 302);
    CHECK(strcmp(text, "not here") == 0);
    CHECK(fetch(client, redirecting("GET", "300", "/small", 5, 0), text, sizeof text, NULL) == 300);

    atls_exchange *exchange = NULL;
    atls_request *to_small = redirecting("GET", "302", "/small", 5, 0);
    OK(atls_client_fetch(client, to_small, &exchange, &error));
    CHECK(strcmp(atls_exchange_url(exchange).ptr, url("/small")) == 0 && atls_exchange_redirects(exchange) == 1);
    atls_exchange_free(exchange);
    atls_request_free(to_small);

    /* An attested origin is not left, unless the request allows it; then the other host's policy holds. In the clear nothing goes at all. */
    snprintf(other, sizeof other, "https://localhost:%u/small", sim.evil);
    atls_request *leaving = redirecting("GET", "307", other, 5, 0);
    CHECK(atls_client_fetch(client, leaving, &exchange, &error) == ATLS_REDIRECT_REFUSED);
    CHECK(strstr(atls_error_message(error).ptr, "from attested localhost") && atls_error_detail(error) == ATLS_DETAIL_REDIRECT_LEAVES);
    atls_error_free(error);
    error = NULL;
    atls_request_free(leaving);
    leaving = redirecting("GET", "307", other, 5, ATLS_REDIRECT_ALLOW_OTHER_ORIGIN);
    EXPECT(ATLS_BINDING_MISMATCH, "report_data", atls_client_fetch(client, leaving, &exchange, &error));
    atls_request_free(leaving);
    leaving = redirecting("GET", "307", "http://localhost/", 5, ATLS_REDIRECT_ALLOW_OTHER_ORIGIN);
    EXPECT(ATLS_REDIRECT_REFUSED, "from https: to http:", atls_client_fetch(client, leaving, &exchange, &error));
    /* Allowed, it meets the policy, which http: cannot satisfy. */
    OK(atls_request_set_redirects(leaving, 5, ATLS_REDIRECT_ALLOW_OTHER_ORIGIN | ATLS_REDIRECT_ALLOW_DOWNGRADE, &error));
    EXPECT(ATLS_POLICY_REQUIRED, "cannot be attested", atls_client_fetch(client, leaving, &exchange, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "0x4", atls_request_set_redirects(leaving, 5, 4, &error));
    atls_request_free(leaving);
    CHECK(atls_client_active_requests(client) == 0);
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

static void set_up(void)
{
    sim = sim_start();
}

TESTS(set_up, NULL, CASE(connections_are_reused_within_their_limit), CASE(a_stale_or_old_connection_is_not_reused),
      CASE(the_closest_policy_of_a_host_holds), CASE(redirects_keep_the_method_and_the_attested_origin),
      CASE(a_streamed_body_gives_its_connection_back_or_up), CASE(requests_through_a_forwarder_have_connections_of_their_own),
      CASE(many_exchanges_share_few_connections), CASE(null_arguments_are_refused))
