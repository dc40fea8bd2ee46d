/* Both ends are the library's: a server that shows evidence of the machine it runs on, by way of the guest agent, and clients that judge it. */
#include <pthread.h>
#include <unistd.h>

#include "loop.h"
#include "sim.h"

static _Thread_local atls_error *error;
static uint16_t port;
static int served, recorded;

#define NONCE "{\"nonce_hex\":\"000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f\"}"

static void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    served++;
    atls_sink sink = {.queue = queue, .call = on_server};
    CHECK(atls_server_request_start(event->source, runtime, &sink, NULL) == ATLS_OK);
    CHECK(atls_server_request_respond(event->source, 200, NULL, atls_bytes_of("secret", 6), NULL) == ATLS_OK);
}

static char *file(const char *name)
{
    size_t len;
    return sim_file(name, &len);
}

static atls_server *serve(const char *socket)
{
    char path[512];
    atls_server *server = NULL;
    atls_server_config *config = NULL;
    atls_sink sink = {.queue = queue, .call = on_server};
    char *chain = file("peer.pem"), *key = file("peer-key.pem");
    snprintf(path, sizeof path, "%s/%s", getenv("ATLS_SIM"), socket);
    OK(atls_server_config_new(&config, &error));
    OK(atls_server_config_set_dstack_agent(config, path, &error));
    EXPECT(ATLS_INVALID_STATE, "evidence needs TLS", atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_config_set_certificate(config, chain, key, &error));
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    atls_server_config_free(config);
    free(chain);
    free(key);
    return server;
}

/* A connection under policy.json; what its verdict says of the certificate event. */
static void fetch(int wanted)
{
    unsigned char text[10] = "";
    size_t n;
    atls_http *http = NULL;
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    atls_config *config = sim_config(port, "policy.json");
    OK(atls_http_connect(config, &http, &error));
    atls_verdict *verdict = atls_http_verdict(http);
    CHECK(atls_verdict_trusted(verdict) && atls_verdict_bound_to_session(verdict));
    for (size_t i = 0; i < atls_verdict_check_count(verdict); i++)
        if (strcmp(atls_verdict_check_name(verdict, i).ptr, "certificate_event") == 0)
            CHECK((int)atls_verdict_check_outcome(verdict, i) == wanted);
    atls_verdict_free(verdict);
    OK(atls_request_new("GET", "/", "localhost", &request, &error));
    OK(atls_http_fetch(http, request, &exchange, &error));
    OK(atls_exchange_read(exchange, text, sizeof text, 5000, &n, &error));
    CHECK(n == 6 && memcmp(text, "secret", 6) == 0);
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_http_free(http);
    atls_config_free(config);
}

/* Asks for a quote as an ordinary request, in a session that nobody judges. */
static uint32_t ask(const char *body)
{
    atls_http *http = NULL;
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    atls_head *head = NULL;
    atls_buf *answer = NULL;
    atls_config *config = sim_config(port, NULL);
    OK(atls_http_connect(config, &http, &error));
    OK(atls_request_new("POST", "/tdx_quote", "localhost", &request, &error));
    OK(atls_request_set_body(request, atls_bytes_of_text(body), &error));
    uint32_t status = 0;
    /* Twice on one connection: an answer leaves it as it was. */
    for (int i = 0; i < 2 && (i == 0 || status < 500); i++) {
        OK(atls_http_fetch(http, request, &exchange, &error));
        OK(atls_exchange_head(exchange, 5000, &head, &error));
        status = atls_head_status(head);
        OK(atls_exchange_read_all(exchange, 1 << 20, 5000, &answer, &error));
        CHECK((strstr((const char *)atls_buf_data(answer), "\"success\":true") != NULL) == (status == 200));
        CHECK(!strstr((const char *)atls_buf_data(answer), "sock"));
        recorded = 0;
        for (const char *at = (const char *)atls_buf_data(answer); (at = strstr(at, "New TLS Certificate")); at++)
            recorded++;
        atls_buf_free(answer);
        atls_head_free(head);
        atls_exchange_free(exchange);
    }
    atls_request_free(request);
    atls_http_free(http);
    atls_config_free(config);
    return status;
}

static void *many(void *unused)
{
    (void)unused;
    for (int i = 0; i < 5; i++)
        fetch(0);
    return NULL;
}

static void end(atls_server *server)
{
    OK(atls_server_close(server, &error));
    atls_server_free(server);
}

static void each_session_has_a_quote_of_its_own(void)
{
    pthread_t threads[4];
    atls_server *server = serve("agent.sock");
    fetch(0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, many, NULL) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(served == 21 && atls_server_count(server, ATLS_SERVER_COUNT_EVIDENCE) == 21);
    end(server);
}

static void a_machine_that_differs_is_sent_nothing(void)
{
    atls_stream *stream = NULL;
    atls_server *server = serve("agent.sock");
    atls_config *wrong = sim_config(port, "wrong-policy.json");
    CHECK(atls_stream_connect(wrong, &stream, &error) == ATLS_MEASUREMENT_MISMATCH && served == 0);
    atls_error_free(error);
    error = NULL;
    atls_config_free(wrong);
    end(server);
}

/* The sessions of another certificate prove themselves, and the log names it. Then the first one again. */
static void another_certificate_is_proved_and_logged(void)
{
    atls_server *server = serve("agent.sock");
    fetch(0);
    char *chain = file("next.pem"), *key = file("next-key.pem");
    OK(atls_server_set_certificate(server, chain, key, &error));
    fetch(0);
    free(chain);
    free(key);
    chain = file("peer.pem"), key = file("peer-key.pem");
    OK(atls_server_set_certificate(server, chain, key, &error));
    fetch(0);
    free(chain);
    free(key);
    CHECK(ask(NONCE) == 200 && recorded >= 2 && served == 3);
    end(server);
}

static void what_is_no_challenge_gets_422(void)
{
    atls_server *server = serve("agent.sock");
    CHECK(ask("") == 422 && ask("{}") == 422 && ask("{\"nonce_hex\":\"00\"}") == 422 && ask("[") == 422);
    CHECK(ask(NONCE) == 200 && served == 0);
    end(server);
}

/* The log is as old as the machine. */
static void a_server_that_comes_back_adds_nothing_to_the_log(void)
{
    atls_server *server = serve("agent.sock");
    CHECK(ask(NONCE) == 200 && recorded > 0);
    int before = recorded;
    end(server);
    server = serve("agent.sock");
    fetch(0);
    CHECK(ask(NONCE) == 200 && recorded == before);
    end(server);
}

static void without_an_agent_there_is_no_evidence(void)
{
    atls_stream *stream = NULL;
    atls_server *server = serve("none.sock");
    CHECK(ask(NONCE) == 500);
    atls_config *config = sim_config(port, "policy.json");
    EXPECT(ATLS_NO_EVIDENCE, "status 500", atls_stream_connect(config, &stream, &error));
    atls_config_free(config);
    end(server);
}

static void the_report_data_depends_on_nonce_and_exporter(void)
{
    uint8_t nonce[32] = {1}, exporter[32] = {2}, binder[64] = {0}, again[64] = {0};
    OK(atls_compute_binder(atls_bytes_of(nonce, 32), atls_bytes_of(exporter, 32), binder, &error));
    OK(atls_compute_binder(atls_bytes_of(exporter, 32), atls_bytes_of(nonce, 32), again, &error));
    CHECK(memcmp(binder, again, 64) != 0 && binder[0] + binder[1] + binder[63] > 0);
    EXPECT(ATLS_NULL_ARGUMENT, "binder", atls_compute_binder(atls_bytes_of(nonce, 32), atls_bytes_of(exporter, 32), NULL, &error));
}

static void set_up(void)
{
    sim_start();
    loop_start();
    served = recorded = 0;
}

TESTS(set_up, loop_end, CASE(each_session_has_a_quote_of_its_own), CASE(a_machine_that_differs_is_sent_nothing),
      CASE(another_certificate_is_proved_and_logged), CASE(what_is_no_challenge_gets_422),
      CASE(a_server_that_comes_back_adds_nothing_to_the_log), CASE(without_an_agent_there_is_no_evidence),
      CASE(the_report_data_depends_on_nonce_and_exporter))
