/* A client over HTTP/2: requests share one attested connection, nothing of them leaves before the verdict or after the end of the trust, and each learns what
 * became of it. */

#include "http2.h"

#include <arpa/inet.h>
#include <time.h>

static void sixty_four_requests_at_once_cost_one_quote(void)
{
    static struct shot shots[64];
    serve(BOTH, "agent.sock");
    atls_client *client = client_of(BOTH, "policy.json", 64);
    for (int i = 0; i < 64; i++)
        start(client, &shots[i], request("GET", "/"));
    for (int i = 0; i < 64; i++) {
        wait_for(&shots[i]);
        CHECK(shots[i].ended == ATLS_OK && shots[i].status == 200 && shots[i].version == ATLS_HTTP_VERSION_2);
        CHECK(strncmp(shots[i].text, "GET 0 version=4 ", 16) == 0 && strcmp(shots[i].events, "hdeC") == 0);
    }
    CHECK(quotes() == 1 && shown == 64);
    CHECK(atls_server_count(server, ATLS_SERVER_COUNT_CONNECTIONS_ACCEPTED) == 1);
    CHECK(atls_client_idle_connections(client) == 1);
    /* And so does the next one, by a blocking client's rules too: the same connection. */
    ask(client, &shots[0], "POST", "/");
    CHECK(shots[0].status == 200 && quotes() == 1 && atls_client_idle_connections(client) == 1);
    atls_client_free(client);
    end();
}

/* Nothing of a request leaves before the verdict, and each that waits learns why. */
static void a_machine_that_differs_is_sent_nothing(void)
{
    static struct shot shots[16];
    serve(BOTH, "agent.sock");
    atls_client *client = client_of(BOTH, "wrong-policy.json", 16);
    for (int i = 0; i < 16; i++)
        start(client, &shots[i], request("GET", "/"));
    for (int i = 0; i < 16; i++) {
        wait_for(&shots[i]);
        CHECK(shots[i].ended == ATLS_MEASUREMENT_MISMATCH && strcmp(shots[i].events, "C") == 0);
    }
    CHECK(shown == 0 && quotes() == 1 && atls_client_idle_connections(client) == 0);
    atls_client_free(client);
    end();
}

static void a_server_without_evidence_is_sent_nothing(void)
{
    struct shot shot;
    serve(BOTH, "none.sock");
    atls_client *client = client_of(BOTH, "policy.json", 1);
    ask(client, &shot, "GET", "/");
    CHECK(shot.ended == ATLS_NO_EVIDENCE && shown == 0);
    atls_client_free(client);
    end();
}

static void what_is_agreed_on_is_spoken(void)
{
    struct shot shot;
    static const uint32_t sides[][3] = {
        {BOTH, ATLS_HTTP_VERSION_1_1, ATLS_HTTP_VERSION_1_1}, {ATLS_HTTP_VERSION_1_1, BOTH, ATLS_HTTP_VERSION_1_1},
        {0, BOTH, ATLS_HTTP_VERSION_1_1},                     {BOTH, ATLS_HTTP_VERSION_2, ATLS_HTTP_VERSION_2},
        {ATLS_HTTP_VERSION_2, BOTH, ATLS_HTTP_VERSION_2},     {ATLS_HTTP_VERSION_2, ATLS_HTTP_VERSION_1_1, 0},
        {ATLS_HTTP_VERSION_1_1, ATLS_HTTP_VERSION_2, 0},
    };
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        serve(sides[i][1], "agent.sock");
        atls_client *client = client_of(sides[i][0], "policy.json", 4);
        shown = 0;
        ask(client, &shot, "GET", "/");
        CHECK(shot.version == sides[i][2]);
        CHECK(shot.ended == (sides[i][2] ? ATLS_OK : ATLS_TLS_HANDSHAKE) && shown == (sides[i][2] ? 1 : 0));
        atls_client_free(client);
        end();
    }
}

/* A server of HTTP/1.1: those that waited open connections of their own. */
static void a_server_of_the_old_version_gets_a_connection_each(void)
{
    static struct shot shots[4];
    serve(ATLS_HTTP_VERSION_1_1, "agent.sock");
    atls_client *client = client_of(BOTH, "policy.json", 4);
    for (int i = 0; i < 4; i++)
        start(client, &shots[i], request("GET", "/hang"));
    until(&hanging, 4);
    CHECK(quotes() == 4);
    for (int i = 0; i < 4; i++) {
        OK(atls_exchange_cancel(shots[i].exchange, &error));
        wait_for(&shots[i]);
    }
    atls_client_free(client);
    end();
}

/* One that changes to HTTP/2 later: its connection is shared from then on. */
static void a_server_may_change_to_the_new_version(void)
{
    struct shot shot;
    serve(ATLS_HTTP_VERSION_1_1, "agent.sock");
    atls_client *client = client_of(BOTH, "policy.json", 4);
    ask(client, &shot, "GET", "/");
    CHECK(shot.ended == ATLS_OK && shot.version == ATLS_HTTP_VERSION_1_1);
    uint16_t at = port;
    end();
    serve_at(at, BOTH, "agent.sock");
    for (int i = 0; i < 5; i++) {
        ask(client, &shot, "GET", "/");
        CHECK(shot.ended == ATLS_OK && shot.version == ATLS_HTTP_VERSION_2);
    }
    CHECK(atls_server_count(server, ATLS_SERVER_COUNT_CONNECTIONS_ACCEPTED) == 1 && quotes() == 1);
    CHECK(atls_client_idle_connections(client) == 1);
    atls_client_free(client);
    end();
}

/* Connections of a policy that was replaced make room too. */
static void connections_to_a_host_stay_within_their_limit(void)
{
    struct shot shot;
    size_t len;
    atls_client *client = NULL;
    atls_client_limits *limits = NULL;
    serve(BOTH, "agent.sock");
    atls_config *config = sim_config(port, "policy.json");
    OK(atls_config_set_http_versions(config, BOTH, &error));
    OK(atls_client_limits_new(&limits, &error));
    OK(atls_client_limits_set_connections(limits, 1, 0, &error));
    OK(atls_client_new(runtime, config, limits, &client, &error));
    atls_client_limits_free(limits);
    atls_config_free(config);
    char *json = sim_file("policy.json", &len);
    for (int i = 0; i < 3; i++) {
        atls_policy *policy = NULL;
        OK(atls_policy_new(atls_bytes_of(json, len), &policy, &error));
        OK(atls_client_set_policy(client, "localhost", policy, &error));
        atls_policy_free(policy);
        ask(client, &shot, "GET", "/");
        CHECK(shot.ended == ATLS_OK && atls_client_idle_connections(client) == 1);
    }
    CHECK(quotes() == 3);
    free(json);
    atls_client_free(client);
    end();
}

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A server that accepts and says nothing: a request waits for its connection as long as its own deadline says, whoever makes it. */
static void each_request_waits_as_long_as_its_own_deadline(void)
{
    enum { COUNT = 5, LIMIT = 600 };
    static struct shot shots[COUNT];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    long began[COUNT];
    int silent = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(silent >= 0 && bind(silent, (struct sockaddr *)&address, size) == 0 && listen(silent, 16) == 0);
    CHECK(getsockname(silent, (struct sockaddr *)&address, &size) == 0);
    port = ntohs(address.sin_port);
    atls_client *client = client_of(BOTH, "policy.json", COUNT);
    for (int i = 0; i < COUNT; i++) {
        atls_request *get = request("GET", "/");
        OK(atls_request_set_deadline(get, ATLS_REQUEST_DEADLINE_CONNECT, LIMIT, &error));
        began[i] = now_ms();
        start(client, &shots[i], get);
        usleep(100000);
    }
    for (int i = 0; i < COUNT; i++) {
        wait_for(&shots[i]);
        CHECK(shots[i].ended == ATLS_TIMED_OUT && now_ms() - began[i] < 2 * LIMIT);
    }
    atls_client_free(client);
    close(silent);
}

/* The one that opens the connection for all is given up: another one does. */
static void a_request_that_is_given_up_leaves_no_one_waiting(void)
{
    static struct shot shots[8];
    serve(BOTH, "agent.sock");
    for (int round = 0; round < 5; round++) {
        atls_client *client = client_of(BOTH, "policy.json", 8);
        for (int i = 0; i < 8; i++)
            start(client, &shots[i], request("GET", "/"));
        usleep(1000 * round);
        OK(atls_exchange_cancel(shots[0].exchange, &error));
        for (int i = 0; i < 8; i++) {
            wait_for(&shots[i]);
            CHECK(i == 0 || (shots[i].ended == ATLS_OK && shots[i].status == 200));
        }
        atls_client_free(client);
    }
    end();
}

/* A client whose policy asks for new evidence after a second. */
static atls_client *renewing(void)
{
    size_t len;
    atls_client *client = NULL;
    atls_policy *policy = NULL;
    char *json = sim_file("strict-policy.json", &len), text[1 << 14];
    snprintf(text, sizeof text, "{\"reattest\":{\"interval_s\":1},%s", json + 1);
    free(json);
    atls_config *config = sim_config(port, "policy.json");
    OK(atls_policy_new(atls_bytes_of_text(text), &policy, &error));
    OK(atls_config_set_policy(config, policy, &error));
    atls_policy_free(policy);
    OK(atls_config_set_http_versions(config, BOTH, &error));
    OK(atls_client_new(runtime, config, NULL, &client, &error));
    atls_config_free(config);
    return client;
}

/* Once for all that wait, on the connection that they share; requests under way go on. */
static void new_evidence_comes_on_a_stream_of_its_own(void)
{
    static struct shot shots[8], hang;
    serve(BOTH, "agent.sock");
    atls_client *client = renewing();
    start(client, &hang, request("GET", "/hang"));
    until(&hanging, 1);
    CHECK(quotes() == 1);
    usleep(1100000);
    for (int i = 0; i < 8; i++)
        start(client, &shots[i], request("GET", "/"));
    for (int i = 0; i < 8; i++) {
        wait_for(&shots[i]);
        CHECK(shots[i].ended == ATLS_OK && shots[i].status == 200);
    }
    CHECK(quotes() == 2 && !hang.over && atls_server_count(server, ATLS_SERVER_COUNT_CONNECTIONS_ACCEPTED) == 1);
    OK(atls_exchange_cancel(hang.exchange, &error));
    wait_for(&hang);
    atls_client_free(client);
    end();
}

/* A server that can prove itself no more gets nothing more: the connection ends, and all that it carries. */
static void refused_evidence_ends_the_connection(void)
{
    static struct shot shots[4], hang, drip;
    char agent[512], link[512];
    snprintf(agent, sizeof agent, "%s/agent.sock", getenv("ATLS_SIM"));
    snprintf(link, sizeof link, "/tmp/atls-http2-%ld.sock", (long)getpid());
    CHECK(symlink(agent, link) == 0);
    size_t len;
    atls_server_config *config = NULL;
    OK(atls_server_config_new(&config, &error));
    char *chain = sim_file("peer.pem", &len), *key = sim_file("peer-key.pem", &len);
    OK(atls_server_config_set_certificate(config, chain, key, &error));
    free(chain);
    free(key);
    OK(atls_server_config_set_dstack_agent(config, link, &error));
    OK(atls_server_config_set_http_versions(config, BOTH, &error));
    atls_sink sink = {.queue = queue, .call = on_server};
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    atls_server_config_free(config);
    atls_client *client = renewing();
    start(client, &hang, request("GET", "/hang"));
    start(client, &drip, request("GET", "/drip"));
    until(&hanging, 1);
    for (int i = 0; i < 30000 && strcmp(drip.events, "hd") != 0; i++)
        usleep(1000);
    CHECK(unlink(link) == 0 && quotes() == 1);
    usleep(1100000);
    shown = 0;
    for (int i = 0; i < 4; i++)
        start(client, &shots[i], request("GET", "/"));
    for (int i = 0; i < 4; i++) {
        wait_for(&shots[i]);
        CHECK(shots[i].ended == ATLS_NO_EVIDENCE && strcmp(shots[i].events, "C") == 0);
    }
    wait_for(&hang);
    wait_for(&drip);
    CHECK(drip.ended == ATLS_NO_EVIDENCE && strcmp(drip.events, "hdC") == 0);
    CHECK(hang.ended == ATLS_NO_EVIDENCE && shown == 0 && atls_client_idle_connections(client) == 0);
    atls_client_free(client);
    end();
}

TESTS(set_up, loop_end, CASE(sixty_four_requests_at_once_cost_one_quote), CASE(a_machine_that_differs_is_sent_nothing),
      CASE(a_server_without_evidence_is_sent_nothing), CASE(what_is_agreed_on_is_spoken),
      CASE(a_server_of_the_old_version_gets_a_connection_each), CASE(a_request_that_is_given_up_leaves_no_one_waiting),
      CASE(a_server_may_change_to_the_new_version), CASE(connections_to_a_host_stay_within_their_limit),
      CASE(each_request_waits_as_long_as_its_own_deadline),
      CASE(new_evidence_comes_on_a_stream_of_its_own), CASE(refused_evidence_ends_the_connection))
