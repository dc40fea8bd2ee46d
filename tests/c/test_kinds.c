/* Evidence of several kinds: a server that can give more than one, the host's own sources, and ends of different kinds that prove themselves to each other. */
#include "attesting.h"

static _Atomic int asked_fresh;

/* The host's source of evidence of a kind: a machine of the simulator. Static, as a server that was let go may use it until the runtime is shut down. */
struct source {
    const char *kind;
    _Atomic int asked, dropped;
};

static atls_status evidence(void *user_data, const uint8_t *binder, bool fresh, atls_buf **made)
{
    struct source *source = user_data;
    source->asked++;
    asked_fresh += fresh;
    return machine_evidence(source->kind, binder, made);
}

static atls_status old_fashioned(void *user_data, const uint8_t *report_data, atls_buf **made)
{
    return evidence(user_data, report_data, false, made);
}

static void dropped(void *user_data)
{
    ((struct source *)user_data)->dropped++;
}

static void proves(const char *expected, const char *policy_file)
{
    char kind[32];
    OK(get(client(policy_file), kind));
    CHECK(strcmp(kind, expected) == 0);
}

static void the_first_kind_that_the_client_lists_is_given(void)
{
    char kind[32];
    static struct source snp = {.kind = "snp"}, nitro = {.kind = "nitro"};
    atls_server_config *config = server_config();
    OK(atls_server_config_set_evidence_source(config, "nitro", evidence, &nitro, dropped, &error));
    OK(atls_server_config_set_dstack_agent(config, path_of("agent.sock"), &error));
    OK(atls_server_config_set_evidence_source(config, "snp", evidence, &snp, dropped, &error));
    atls_server *server = start(config);
    proves("tdx", "tdx-first.json");
    CHECK(snp.asked == 0 && nitro.asked == 0);
    proves("snp", "snp-first.json");
    proves("nitro", "nitro-first.json");
    /* Clients of one kind, of version 0.1 too: they list "tdx" alone, or ask by atlas-v1. */
    proves("snp", "snp-policy.json");
    proves("nitro", "nitro-policy.json");
    proves("tdx", "strict-policy.json");
    proves("tdx", "policy.json");
    CHECK(snp.asked == 2 && nitro.asked == 2 && asked_fresh == 0);
    end(server);

    /* No kind in common: by either protocol there is no evidence. */
    config = server_config();
    OK(atls_server_config_set_evidence_source(config, "snp", evidence, &snp, dropped, &error));
    server = start(config);
    EXPECT(ATLS_NO_EVIDENCE, "status 400: {\\\"error\\\":\\\"tee must list \\\\\\\"snp\\\\\\\"\\\"}", get(client("strict-policy.json"), kind));
    EXPECT(ATLS_NO_EVIDENCE, "404", get(client("policy.json"), kind));
    CHECK(snp.asked == 2);
    proves("snp", "tdx-first.json");
    end(server);
}

/* A server that is proved by `server_kind` ("tdx": the guest's agent) and wants clients to satisfy `client_policy`. */
static atls_server *wanting(struct source *source, const char *client_policy)
{
    atls_server_config *config = server_config();
    if (strcmp(source->kind, "tdx") == 0)
        OK(atls_server_config_set_dstack_agent(config, path_of("agent.sock"), &error));
    else
        OK(atls_server_config_set_evidence_source(config, source->kind, evidence, source, dropped, &error));
    atls_policy *policy = policy_of(client_policy);
    atls_verifier *verifier = machine_verifier();
    OK(atls_server_config_set_client_policy(config, policy, verifier, &error));
    atls_policy_free(policy);
    atls_verifier_free(verifier);
    return start(config);
}

static atls_config *proving(const char *policy_file, struct source *source)
{
    atls_config *config = client(policy_file);
    OK(atls_config_set_evidence_source(config, source->kind, evidence, source, dropped, &error));
    return config;
}

static void ends_of_different_kinds_prove_themselves_to_each_other(void)
{
    char kind[32];
    static struct source tdx = {.kind = "tdx"}, snp = {.kind = "snp"}, nitro = {.kind = "nitro"};
    atls_server *server = wanting(&tdx, "snp-policy.json");
    OK(get(proving("tdx-first.json", &snp), kind));
    CHECK(strcmp(kind, "tdx") == 0 && strcmp(client_kind, "snp") == 0 && snp.asked == 1);
    /* What the server does not want is not even made, and a client with both shows what is wanted. */
    EXPECT(ATLS_NO_EVIDENCE, "tee must list \"nitro\"", get(proving("tdx-first.json", &nitro), kind));
    atls_config *both = proving("tdx-first.json", &nitro);
    OK(atls_config_set_evidence_source(both, "snp", evidence, &snp, dropped, &error));
    OK(get(both, kind));
    CHECK(nitro.asked == 0 && snp.asked == 2);
    end(server);

    server = wanting(&snp, "nitro-first.json");
    OK(get(proving("snp-policy.json", &nitro), kind));
    CHECK(strcmp(kind, "snp") == 0 && strcmp(client_kind, "nitro") == 0);
    /* The server would take any, and prefers what this client has. */
    both = proving("snp-policy.json", &snp);
    OK(atls_config_set_dstack_agent(both, path_of("agent.sock"), &error));
    OK(atls_config_set_evidence_source(both, "nitro", evidence, &nitro, dropped, &error));
    OK(get(both, kind));
    CHECK(strcmp(client_kind, "nitro") == 0);
    /* The one kind under the other's name: the source lies about what it is. */
    static struct source lie = {.kind = "nitro"};
    atls_config *config = client("snp-policy.json");
    OK(atls_config_set_evidence_source(config, "snp", evidence, &lie, dropped, &error));
    EXPECT(ATLS_EVIDENCE_REFUSED, "status 403: {\\\"error\\\":\\\"answer\\\"}", get(config, kind));
    end(server);
}

static void a_source_takes_the_place_of_one_of_its_kind(void)
{
    static struct source first = {.kind = "snp"}, second = {.kind = "snp"}, third = {.kind = "tdx"}, refused = {.kind = "?"};
    atls_server_config *config = server_config();
    EXPECT(ATLS_INVALID_ARGUMENT, "\"SNP\"", atls_server_config_set_evidence_source(config, "SNP", evidence, &refused, dropped, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "tee", atls_server_config_set_evidence_source(config, NULL, evidence, &refused, dropped, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "evidence", atls_server_config_set_evidence_source(config, "snp", NULL, &refused, dropped, &error));
    CHECK(refused.dropped == 3);
    OK(atls_server_config_set_evidence_source(config, "snp", evidence, &first, dropped, &error));
    OK(atls_server_config_set_quote_source(config, old_fashioned, &third, dropped, &error));
    CHECK(first.dropped == 0);
    OK(atls_server_config_set_evidence_source(config, "snp", evidence, &second, dropped, &error));
    CHECK(first.dropped == 1 && third.dropped == 0);
    OK(atls_server_config_set_evidence_source(config, "tdx", evidence, &first, NULL, &error));
    CHECK(third.dropped == 1 && second.dropped == 0);
    atls_server_config_free(config);
    CHECK(second.dropped == 1);

    atls_config *own = NULL;
    OK(atls_config_new("localhost", 1, &own, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "may be one of tdx, snp", atls_config_set_evidence_source(own, "", evidence, &refused, dropped, &error));
    OK(atls_config_set_evidence_source(own, "snp", evidence, &second, dropped, &error));
    OK(atls_config_set_quote_source(own, old_fashioned, &third, dropped, &error));
    CHECK(second.dropped == 1);
    OK(atls_config_set_evidence_source(own, "snp", evidence, &first, dropped, &error));
    CHECK(second.dropped == 2 && third.dropped == 1 && refused.dropped == 4);
    atls_config_free(own);
    CHECK(first.dropped == 2 && third.dropped == 2);
}

static atls_status devices(void *user_data, const uint8_t *nonce, atls_buf **made)
{
    (void)user_data, (void)nonce, (void)made;
    return ATLS_NO_EVIDENCE;
}

static void a_source_is_let_go_if_there_is_no_configuration(void)
{
    static struct source source = {.kind = "snp"};
    EXPECT(ATLS_NULL_ARGUMENT, "config", atls_server_config_set_evidence_source(NULL, "snp", evidence, &source, dropped, &error));
    CHECK(source.dropped == 1);
    EXPECT(ATLS_NULL_ARGUMENT, "config", atls_config_set_evidence_source(NULL, "snp", evidence, &source, dropped, &error));
    CHECK(source.dropped == 2);
    EXPECT(ATLS_NULL_ARGUMENT, "config", atls_server_config_set_quote_source(NULL, old_fashioned, &source, dropped, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "config", atls_config_set_quote_source(NULL, old_fashioned, &source, dropped, &error));
    CHECK(source.dropped == 4);
    EXPECT(ATLS_NULL_ARGUMENT, "config", atls_server_config_add_attached_source(NULL, "nvidia", devices, &source, dropped, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "config", atls_config_add_attached_source(NULL, "nvidia", devices, &source, dropped, &error));
    CHECK(source.dropped == 6 && source.asked == 0);
}

/* A source whose function returns only when it is told to. */
static _Atomic int stuck, under_way, most, begun;

static atls_status stuck_evidence(void *user_data, const uint8_t *binder, bool fresh, atls_buf **made)
{
    int now = ++under_way;
    most = now > most ? now : most;
    begun++;
    while (stuck)
        usleep(1000);
    atls_status status = evidence(user_data, binder, fresh, made);
    under_way--;
    return status;
}

/* The policy of that file with a deadline for evidence. */
static atls_policy *hurried_policy(const char *name)
{
    size_t len;
    atls_policy *policy = NULL;
    char *json = sim_file(name, &len), *hurried = malloc(len + 64);
    CHECK(hurried && json[0] == '{');
    int n = sprintf(hurried, "{\"binding\":{\"timeout_ms\":%d},", getenv("ATLS_TEST_SLOW") ? 4000 : 1000);
    memcpy(hurried + n, json + 1, len - 1);
    OK(atls_policy_new(atls_bytes_of(hurried, (size_t)n + len - 1), &policy, &error));
    free(json);
    free(hurried);
    return policy;
}

static void a_function_that_outlasts_its_connection_is_not_called_again_meanwhile(void)
{
    static struct source own = {.kind = "snp"}, other = {.kind = "nitro"}, server_own = {.kind = "snp"};
    atls_http *http = NULL;
    stuck = 1;
    most = begun = 0;
    atls_server *server = wanting(&server_own, "snp-policy.json");
    atls_config *config = client("snp-policy.json");
    atls_policy *policy = hurried_policy("snp-policy.json");
    OK(atls_config_set_policy(config, policy, &error));
    atls_policy_free(policy);
    OK(atls_config_set_evidence_source(config, "snp", stuck_evidence, &own, dropped, &error));
    EXPECT(ATLS_TIMED_OUT, "evidence", atls_http_connect(config, &http, &error));
    CHECK(begun == 1 && under_way == 1);
    EXPECT(ATLS_TIMED_OUT, "evidence", atls_http_connect(config, &http, &error));
    CHECK(begun == 1 && most == 1);
    /* Another source beside it does not make this one another either. */
    OK(atls_config_set_evidence_source(config, "nitro", evidence, &other, dropped, &error));
    EXPECT(ATLS_TIMED_OUT, "evidence", atls_http_connect(config, &http, &error));
    CHECK(begun == 1 && most == 1);
    stuck = 0;
    OK(atls_http_connect(config, &http, &error));
    CHECK(begun == 2 && most == 1 && other.asked == 0);
    atls_http_free(http);
    atls_config_free(config);
    end(server);
}

static uint32_t challenge(atls_http *http, const char *kinds, char *text, size_t cap)
{
    size_t n, total = 0;
    char body[1024];
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    atls_head *head = NULL;
    snprintf(body, sizeof body, "{\"protocol\":\"exporter-v1\",\"role\":\"S\",\"nonce\":\"%064d\",%s}", 7, kinds);
    OK(atls_request_new("POST", "/atls/exporter-v1", "localhost", &request, &error));
    OK(atls_request_set_body(request, atls_bytes_of_text(body), &error));
    OK(atls_http_fetch(http, request, &exchange, &error));
    OK(atls_exchange_head(exchange, 0, &head, &error));
    uint32_t status = atls_head_status(head);
    do {
        OK(atls_exchange_read(exchange, (uint8_t *)text + total, cap - 1 - total, 5000, &n, &error));
        total += n;
    } while (n > 0 && total < cap - 1);
    text[total] = '\0';
    atls_head_free(head);
    atls_exchange_free(exchange);
    atls_request_free(request);
    return status;
}

static void a_challenge_is_read_in_one_way_or_not_at_all(void)
{
    static char text[200000];
    static struct source snp = {.kind = "snp"}, nitro = {.kind = "nitro"};
    atls_server_config *config = server_config();
    OK(atls_server_config_set_evidence_source(config, "snp", evidence, &snp, dropped, &error));
    OK(atls_server_config_set_evidence_source(config, "nitro", evidence, &nitro, dropped, &error));
    atls_server *server = start(config);
    atls_http *http = NULL;
    atls_config *plain = client("snp-policy.json");
    OK(atls_http_connect(plain, &http, &error));
    atls_config_free(plain);
    CHECK(snp.asked == 1);
    static const char *const bad[] = {
        "\"tee\":[\"snp\",\"snp\"]", "\"tee\":[\"x\",\"snp\",\"x\"]", "\"tee\":[]",          "\"tee\":\"snp\"",
        "\"tee\":[\"snp\",7]",       "\"tee\":[\"snp\"],\"fresh\":1", "\"tee\":[\"snp\"],\"tee\":[\"nitro\"]",
        "\"tee\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\",\"12\",\"13\",\"14\",\"15\",\"16\",\"snp\"]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(challenge(http, bad[i], text, sizeof text) == 422);
    CHECK(challenge(http, "\"tee\":[\"tdx\",\"later\"]", text, sizeof text) == 400 && strstr(text, "snp"));
    CHECK(snp.asked == 1 && nitro.asked == 0);
    /* Unknown kinds are passed over, and the rest is taken in its order; a wish for fresh evidence reaches the source. */
    CHECK(challenge(http, "\"tee\":[\"later\",\"tdx\",\"nitro\",\"snp\"]", text, sizeof text) == 200 && strstr(text, "\"tee\":\"nitro\""));
    CHECK(asked_fresh == 0);
    CHECK(challenge(http, "\"tee\":[\"snp\"],\"fresh\":true", text, sizeof text) == 200 && strstr(text, "\"tee\":\"snp\""));
    CHECK(snp.asked == 2 && nitro.asked == 1 && asked_fresh == 1);
    atls_http_free(http);
    end(server);
}

static void set_up(void)
{
    sim_start();
    loop_start();
    asked_fresh = 0;
}

TESTS(set_up, loop_end, CASE(the_first_kind_that_the_client_lists_is_given), CASE(ends_of_different_kinds_prove_themselves_to_each_other),
      CASE(a_source_takes_the_place_of_one_of_its_kind), CASE(a_source_is_let_go_if_there_is_no_configuration),
      CASE(a_function_that_outlasts_its_connection_is_not_called_again_meanwhile),
      CASE(a_challenge_is_read_in_one_way_or_not_at_all))
