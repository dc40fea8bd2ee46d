/* Both ends prove themselves by exporter-v1: a server that serves only clients of which it knows what they are, and clients that try without. */
#include "mutual.h"

static void both_sides_prove_themselves(void)
{
    atls_server *server = serve("agent.sock", "peer-policy.json", NULL);
    for (int i = 0; i < 3; i++)
        OK(get(client("strict-policy.json", "peer-agent.sock")));
    CHECK(served == 3 && with_certificate == 0);

    end(server);

    /* With a certificate besides, which evidence is then bound to, and which the log must name. */
    size_t len;
    server = serve("agent.sock", "peer-strict-policy.json", NULL);
    EXPECT(ATLS_EVIDENCE_REFUSED, "certificate_event", get(client("strict-policy.json", "peer-agent.sock")));
    atls_config *config = client("strict-policy.json", "peer-agent.sock");
    char *chain = sim_file("next.pem", &len), *key = sim_file("next-key.pem", &len);
    OK(atls_config_set_client_certificate(config, chain, key, &error));
    free(chain);
    free(key);
    OK(get(config));
    CHECK(served == 4 && with_certificate == 1);
    end(server);

    /* A server that cannot prove itself, and wants to know: for a client that agrees to that. */
    server = serve(NULL, "peer-policy.json", NULL);
    OK(get(client(NULL, "peer-agent.sock")));
    EXPECT(ATLS_NO_EVIDENCE, "no evidence", get(client("strict-policy.json", "peer-agent.sock")));
    CHECK(served == 5);
    end(server);

    /* A server that knows nothing of all this is shown nothing, and is used where the client wants nothing of it. */
    judges = false;
    server = serve(NULL, NULL, NULL);
    OK(get(client(NULL, "peer-agent.sock")));
    EXPECT(ATLS_NO_EVIDENCE, "404", get(client("strict-policy.json", "peer-agent.sock")));
    CHECK(served == 6);
    judges = true;
    end(server);
}

static void a_refused_client_reaches_no_host(void)
{
    int before = served;
    atls_server *server = serve("agent.sock", "peer-policy.json", NULL);
    /* Nothing to show; another machine; a quote that is bound to another session; a policy that wants the older protocol. */
    EXPECT(ATLS_EVIDENCE_REFUSED, "has no source of evidence", get(client("strict-policy.json", NULL)));
    /* The client is told the name of what failed, the host what it wanted and got. */
    int told = told_host;
    EXPECT(ATLS_EVIDENCE_REFUSED, "status 403: {\\\"error\\\":\\\"bootchain\\\"}", get(client("strict-policy.json", "agent.sock")));
    EXPECT(ATLS_EVIDENCE_REFUSED, "status 403: {\\\"error\\\":\\\"report_data\\\"}", get(client("strict-policy.json", "evil-agent.sock")));
    CHECK(told_host == told + 2);
    EXPECT(ATLS_INVALID_STATE, "exporter-v1", get(client("policy.json", "peer-agent.sock")));
    CHECK(get(client("policy.json", NULL)) == 403);
    CHECK(get(client(NULL, NULL)) == 403);
    CHECK(served == before);
    end(server);

    /* The server is not what the client wants: it is told nothing. */
    server = serve("peer-agent.sock", "peer-policy.json", NULL);
    EXPECT(ATLS_MEASUREMENT_MISMATCH, "bootchain", get(client("strict-policy.json", "peer-agent.sock")));
    end(server);
    server = serve("evil-agent.sock", "peer-policy.json", NULL);
    EXPECT(ATLS_BINDING_MISMATCH, "report_data", get(client("strict-policy.json", "peer-agent.sock")));
    end(server);
    CHECK(served == before);
}

static uint32_t post(atls_http *http, const char *path, const char *body, char *text, size_t cap)
{
    size_t n, total = 0;
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    OK(atls_request_new("POST", path, "localhost", &request, &error));
    OK(atls_request_set_body(request, atls_bytes_of_text(body), &error));
    OK(atls_http_fetch(http, request, &exchange, &error));
    uint32_t status = status_of(exchange);
    do {
        OK(atls_exchange_read(exchange, (uint8_t *)text + total, cap - 1 - total, 5000, &n, &error));
        total += n;
    } while (n > 0 && total < cap - 1);
    text[total] = '\0';
    atls_exchange_free(exchange);
    atls_request_free(request);
    return status;
}

/* What leads to the vendor's service: nowhere, at first. */
static void gateway(int fd)
{
    char buffer[16384];
    if (!vendor_is_reachable)
        return;
    int vendor = tcp_dial((uint16_t)vendor_port());
    struct pollfd ends[2] = {{.fd = fd, .events = POLLIN}, {.fd = vendor, .events = POLLIN}};
    for (bool open = true; open && poll(ends, 2, 20000) > 0;) {
        for (int i = 0; i < 2; i++) {
            ssize_t n = ends[i].revents ? recv(ends[i].fd, buffer, sizeof buffer, 0) : -1;
            if (ends[i].revents)
                open = open && n > 0 && tcp_send(ends[1 - i].fd, buffer, (size_t)n);
        }
    }
    close(vendor);
}

static void a_server_that_cannot_judge_asks_to_be_asked_again(void)
{
    struct tcp way;
    vendor_is_reachable = false;
    tcp_start(&way, gateway);
    gateway_port = way.port;
    atls_server *server = serve("agent.sock", "peer-policy.json", NULL);
    gateway_port = 0;
    /* Answered with 503 and Retry-After, the client shows the same evidence again: its challenge is still open. */
    OK(get(client("strict-policy.json", "peer-agent.sock")));
    CHECK(vendor_is_reachable && served == 1);
    end(server);
    tcp_stop(&way);
}

#define CHALLENGE "{\"protocol\":\"exporter-v1\",\"role\":\"S\",\"nonce\":\"" NONCE "\",\"tee\":[\"tdx\"]}"
#define NONCE "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f"

/* Spoken by hand: what a client may not do to prove itself. */
static void reflected_and_replayed_evidence_is_refused(void)
{
    static char text[200000], answer[200000];
    atls_http *http = NULL;
    atls_server *server = serve("agent.sock", "policy.json", NULL);
    atls_config *config = client(NULL, NULL);
    OK(atls_http_connect(config, &http, &error));

    /* An answer to no challenge; challenges that are none. */
    CHECK(post(http, "/atls/exporter-v1/client", "{}", text, sizeof text) == 403 && strcmp(text, "{\"error\":\"challenge\"}") == 0);
    CHECK(post(http, "/atls/exporter-v1", "{}", text, sizeof text) == 422);
    CHECK(post(http, "/atls/exporter-v1", "{\"protocol\":\"exporter-v1\",\"role\":\"C\",\"nonce\":\"" NONCE "\",\"tee\":[\"tdx\"]}", text,
               sizeof text) == 422 && strstr(text, "role"));

    /* Reflection: the server's own evidence, which satisfies the policy, is shown to it as the client's. */
    CHECK(post(http, "/atls/exporter-v1", CHALLENGE, answer, sizeof answer) == 200);
    char *role = strstr(answer, "\"role\":\"S\""), *challenge = strstr(answer, "\"challenge\":\"{");
    CHECK(role && challenge);
    static char mirrored[200000];
    char *comma = strstr(answer, "\"evidence\":");
    CHECK(comma);
    /* The object of evidence ends where its braces do; there are none inside its strings but escaped ones in pairs. */
    int depth = 0;
    char *at = comma + strlen("\"evidence\":"), *from = at;
    do {
        depth += *at == '{';
        depth -= *at == '}';
        at++;
    } while (depth > 0);
    snprintf(mirrored, sizeof mirrored, "{\"protocol\":\"exporter-v1\",\"role\":\"C\",\"tee\":\"tdx\",\"evidence\":%.*s}", (int)(at - from), from);
    CHECK(post(http, "/atls/exporter-v1/client", mirrored, text, sizeof text) == 403 &&
          strcmp(text, "{\"error\":\"report_data\"}") == 0);
    /* The challenge is used up: the same answer is not even looked at. */
    CHECK(post(http, "/atls/exporter-v1/client", mirrored, text, sizeof text) == 403 && strcmp(text, "{\"error\":\"challenge\"}") == 0);
    /* With its role as it was, it is no client's answer. */
    CHECK(post(http, "/atls/exporter-v1", CHALLENGE, answer, sizeof answer) == 200);
    CHECK(post(http, "/atls/exporter-v1/client", answer, text, sizeof text) == 403 && strcmp(text, "{\"error\":\"answer\"}") == 0);
    /* Eight times are enough. */
    for (int i = 0; i < 4; i++)
        CHECK(post(http, "/atls/exporter-v1/client", "{}", text, sizeof text) == 403);
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    OK(atls_request_new("GET", "/", "localhost", &request, &error));
    EXPECT(ATLS_CLOSED, "", atls_http_fetch(http, request, &exchange, &error));
    atls_request_free(request);
    atls_http_free(http);
    atls_config_free(config);
    end(server);
}

static void a_server_answers_for_its_own_names_alone(void)
{
    atls_server *server = serve("agent.sock", NULL, "sibling.test");
    EXPECT(ATLS_NO_EVIDENCE, "421", get(client("strict-policy.json", NULL)));
    end(server);
    server = serve("agent.sock", NULL, "LOCALHOST");
    atls_stream *stream = NULL;
    atls_config *config = client("strict-policy.json", NULL);
    OK(atls_stream_connect(config, &stream, &error));
    atls_stream_free(stream);
    atls_config_free(config);
    end(server);
}

/* The host's own source of quotes: by way of the agent's answer it is told what to say. */
struct source {
    int asked, dropped, fails;
};

static atls_status quote(void *user_data, const uint8_t *report_data, atls_buf **evidence)
{
    struct source *source = user_data;
    source->asked++;
    if (source->fails)
        return ATLS_IO;
    char text[100];
    int len = snprintf(text, sizeof text, "{\"quote\":\"%02x%02x\",\"event_log\":\"[]\"}", report_data[0], report_data[63]);
    return atls_buf_copy(atls_bytes_of(text, (size_t)len), evidence, NULL);
}

static void dropped(void *user_data)
{
    ((struct source *)user_data)->dropped++;
}

static void the_hosts_own_source_gives_the_quotes(void)
{
    struct source source = {0};
    atls_server *server = NULL;
    atls_server_config *config = NULL;
    atls_sink sink = {.queue = queue, .call = on_server};
    OK(atls_server_config_new(&config, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "quote", atls_server_config_set_quote_source(config, NULL, &source, dropped, &error));
    CHECK(source.dropped == 1);
    OK(atls_server_config_set_quote_source(config, quote, &source, dropped, &error));
    EXPECT(ATLS_INVALID_STATE, "TLS", atls_server_start(runtime, config, &sink, &server, &error));
    certificate(config);
    OK(atls_server_config_set_limit(config, ATLS_SERVER_LIMIT_EVIDENCE_PER_SECOND, 2, &error));
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    atls_server_config_free(config);
    EXPECT(ATLS_QUOTE_INVALID, "quote", get(client("strict-policy.json", NULL)));
    source.fails = 1;
    EXPECT(ATLS_NO_EVIDENCE, "500", get(client("strict-policy.json", NULL)));
    /* The third comes to a server that has had enough for this second, and waits for the next. */
    EXPECT(ATLS_NO_EVIDENCE, "500", get(client("strict-policy.json", NULL)));
    CHECK(source.asked == 3);
    end(server);
    OK(atls_runtime_shutdown(runtime, 10000, &error));
    CHECK(source.dropped == 2);
}

static void set_up(void)
{
    sim_start();
    loop_start();
    served = with_certificate = told_host = 0;
    judges = true;
}

TESTS(set_up, loop_end, CASE(both_sides_prove_themselves), CASE(a_refused_client_reaches_no_host),
      CASE(reflected_and_replayed_evidence_is_refused), CASE(a_server_that_cannot_judge_asks_to_be_asked_again),
      CASE(a_server_answers_for_its_own_names_alone),
      CASE(the_hosts_own_source_gives_the_quotes))
