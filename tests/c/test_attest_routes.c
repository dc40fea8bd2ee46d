/* The routes by which a server proves itself behave as the rest of it: continuations, forms of targets, what a refusal does to the connection, and bursts. */
#include <pthread.h>

#include "loop.h"
#include "sim.h"

static _Thread_local atls_error *error;
static uint16_t port;
static _Atomic int shown;

static void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    shown += event->kind == ATLS_EVENT_REQUEST;
}

static atls_server *serve(const char *client_policy, uint64_t quotes)
{
    size_t len;
    char path[512];
    atls_server *server = NULL;
    atls_server_config *config = NULL;
    atls_sink sink = {.queue = queue, .call = on_server};
    char *chain = sim_file("peer.pem", &len), *key = sim_file("peer-key.pem", &len);
    snprintf(path, sizeof path, "%s/agent.sock", getenv("ATLS_SIM"));
    OK(atls_server_config_new(&config, &error));
    OK(atls_server_config_set_certificate(config, chain, key, &error));
    OK(atls_server_config_set_dstack_agent(config, path, &error));
    if (quotes)
        OK(atls_server_config_set_limit(config, ATLS_SERVER_LIMIT_EVIDENCE_PER_SECOND, quotes, &error));
    if (client_policy) {
        atls_policy *policy = NULL;
        atls_verifier *verifier = NULL;
        atls_verifier_config *trust = NULL;
        OK(atls_verifier_config_new(&trust, &error));
        char *root = sim_file("root.der", &len);
        OK(atls_verifier_config_set_simulated_root(trust, atls_bytes_of(root, len), &error));
        OK(atls_verifier_new(trust, &verifier, &error));
        OK(atls_policy_new(atls_bytes_of_text(client_policy), &policy, &error));
        OK(atls_server_config_set_client_policy(config, policy, verifier, &error));
        atls_policy_free(policy);
        atls_verifier_free(verifier);
        atls_verifier_config_free(trust);
        free(root);
    }
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    atls_server_config_free(config);
    free(chain);
    free(key);
    return server;
}

static void end(atls_server *server)
{
    OK(atls_server_close(server, &error));
    atls_server_free(server);
}

static atls_stream *raw(void)
{
    atls_stream *stream = NULL;
    atls_config *config = sim_config(port, NULL);
    OK(atls_stream_connect(config, &stream, &error));
    atls_config_free(config);
    return stream;
}

static void say(atls_stream *stream, const char *text)
{
    OK(atls_stream_write_all(stream, atls_bytes_of_text(text), 5000, &error));
}

/* What comes until `until` is in it, or the end. */
static const char *hear(atls_stream *stream, const char *until)
{
    static char text[300000];
    size_t n = 1, total = 0;
    text[0] = '\0';
    while (n > 0 && !(until && strstr(text, until))) {
        OK(atls_stream_read(stream, (uint8_t *)text + total, sizeof text - 1 - total, 5000, &n, &error));
        text[total += n] = '\0';
    }
    return text;
}

#define NONCE "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f"
#define ATLAS "{\"nonce_hex\":\"" NONCE "\"}"
#define CHALLENGE "{\"protocol\":\"exporter-v1\",\"role\":\"S\",\"nonce\":\"" NONCE "\",\"tee\":[\"tdx\"]}"

/* A client that waits for 100 gets it, on each route, and then its answer on the same connection. */
static void a_client_that_waits_for_100_gets_it_on_each_route(void)
{
    static const struct {
        const char *path, *body, *answer, *end;
    } routes[] = {
        {"/tdx_quote", ATLAS, "HTTP/1.1 200 ", "\"error\":null}"},
        {"/atls/exporter-v1", CHALLENGE, "HTTP/1.1 200 ", "]}\"}"},
        {"/atls/exporter-v1/client", "{}", "HTTP/1.1 403 ", "{\"error\":\"answer\"}"},
    };
    size_t len;
    char head[400], *policy = sim_file("peer-policy.json", &len);
    atls_server *server = serve(policy, 0);
    atls_stream *stream = raw();
    for (size_t i = 0; i < 3; i++) {
        snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %zu\r\n\r\n", routes[i].path,
                 strlen(routes[i].body));
        say(stream, head);
        CHECK(strcmp(hear(stream, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n") == 0);
        say(stream, routes[i].body);
        CHECK(strncmp(hear(stream, routes[i].end), routes[i].answer, strlen(routes[i].answer)) == 0);
    }
    atls_stream_free(stream);
    /* What is announced too long is refused before it comes, without a 100. */
    stream = raw();
    say(stream, "POST /tdx_quote HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n");
    CHECK(strncmp(hear(stream, NULL), "HTTP/1.1 413 ", 13) == 0);
    atls_stream_free(stream);
    end(server);
    free(policy);
}

/* The same resource, however the target names it: the host sees none of these. */
static void each_form_of_a_target_names_the_same_route(void)
{
    static const char *const forms[] = {"/tdx_quote", "/tdx_quote?x", "https://localhost/tdx_quote", "HTTPS://localhost:1/tdx_quote?y"};
    char text[500];
    atls_server *server = serve(NULL, 0);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        atls_stream *stream = raw();
        snprintf(text, sizeof text, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n" ATLAS, forms[i], strlen(ATLAS));
        say(stream, text);
        CHECK(strncmp(hear(stream, "\"quote_type\":\"tdx\""), "HTTP/1.1 200 ", 13) == 0);
        atls_stream_free(stream);
    }
    CHECK(shown == 0 && atls_server_count(server, ATLS_SERVER_COUNT_EVIDENCE) == 4);
    end(server);
}

/* A client that has not proved itself is answered with 403, and that is the end of its connection: it says so. */
static void an_unproved_client_gets_403_and_its_connection_ends(void)
{
    size_t len;
    char *policy = sim_file("peer-policy.json", &len);
    atls_server *server = serve(policy, 0);
    atls_stream *stream = raw();
    say(stream, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const char *answer = hear(stream, NULL);
    CHECK(strncmp(answer, "HTTP/1.1 403 ", 13) == 0 && strstr(answer, "\r\nConnection: close\r\n") && shown == 0);
    atls_stream_free(stream);
    end(server);
    free(policy);
}

/* A key that is pinned is not met by a client that shows no certificate. */
static void a_pinned_key_is_not_met_without_a_certificate(void)
{
    size_t len;
    char pinned[20000], path[512], *policy = sim_file("peer-policy.json", &len);
    CHECK(policy[0] == '{' && !strstr(policy, "\"spki_sha256\""));
    char *identity = strstr(policy, "\"identity\":{");
    if (identity)
        snprintf(pinned, sizeof pinned, "%.*s\"spki_sha256\":[\"" NONCE "\"],%s", (int)(identity + 12 - policy), policy, identity + 12);
    else
        snprintf(pinned, sizeof pinned, "{\"identity\":{\"require_key_event\":false,\"spki_sha256\":[\"" NONCE "\"]},%s", policy + 1);
    atls_server *server = serve(pinned, 0);
    atls_http *http = NULL;
    atls_config *config = sim_config(port, NULL);
    snprintf(path, sizeof path, "%s/peer-agent.sock", getenv("ATLS_SIM"));
    OK(atls_config_set_dstack_agent(config, path, &error));
    EXPECT(ATLS_EVIDENCE_REFUSED, "spki", atls_http_connect(config, &http, &error));
    end(server);

    /* Without the pin it is what it says. */
    server = serve(policy, 0);
    atls_config *same = sim_config(port, NULL);
    OK(atls_config_set_dstack_agent(same, path, &error));
    OK(atls_http_connect(same, &http, &error));
    atls_http_free(http);
    atls_config_free(same);
    atls_config_free(config);
    end(server);
    free(policy);
}

static atls_config *shared;
static _Atomic int opened;

static void *open_one(void *unused)
{
    atls_http *http = NULL;
    atls_error *mine = NULL;
    atls_status status = atls_http_connect(shared, &http, &mine);
    if (status != ATLS_OK)
        fprintf(stderr, "%s %s\n", atls_status_name(status).ptr, mine ? atls_error_message(mine).ptr : "");
    opened += status == ATLS_OK;
    atls_error_free(mine);
    atls_http_free(http);
    return unused;
}

/* More at once than the server may make quotes for in a second: it says when, they wait, and all are served. */
static void clients_beyond_the_rate_of_quotes_wait_and_are_served(void)
{
    enum { MANY = 24 };
    pthread_t threads[MANY];
    int many = getenv("ATLS_TEST_SLOW") ? 8 : MANY;
    atls_server *server = serve(NULL, 6);
    shared = sim_config(port, "strict-policy.json");
    for (int i = 0; i < many; i++)
        CHECK(pthread_create(&threads[i], NULL, open_one, NULL) == 0);
    for (int i = 0; i < many; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(opened == many);
    /* Some were turned away, and asked again on the connection that they had. */
    CHECK(many < MANY || atls_server_count(server, ATLS_SERVER_COUNT_EVIDENCE) > (uint64_t)many);
    CHECK(atls_server_count(server, ATLS_SERVER_COUNT_CONNECTIONS_ACCEPTED) == (uint64_t)many);
    atls_config_free(shared);
    end(server);
}

static void set_up(void)
{
    sim_start();
    loop_start();
}

TESTS(set_up, loop_end, CASE(a_client_that_waits_for_100_gets_it_on_each_route), CASE(each_form_of_a_target_names_the_same_route),
      CASE(an_unproved_client_gets_403_and_its_connection_ends), CASE(a_pinned_key_is_not_met_without_a_certificate),
      CASE(clients_beyond_the_rate_of_quotes_wait_and_are_served))
