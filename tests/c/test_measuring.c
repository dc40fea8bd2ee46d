/* A policy that only measures: no connection comes of it, and its verdict says what was seen. tests/rust/measuring.rs has the rest. */
#include "sim.h"

static struct sim sim;

/* The settings of a policy that measures the simulator's machines. */
static atls_policy *measuring(void)
{
    static char settings[1024], url[200];
    atls_error *error = NULL;
    atls_policy *policy = NULL;
    size_t len;
    char *json = sim_file("policy.json", &len), *at = strstr(json, "\"pccs_url\":\"");
    CHECK(at && sscanf(at, "\"pccs_url\":\"%199[^\"]", url) == 1);
    free(json);
    int n = snprintf(settings, sizeof settings, "{\"allow_simulated\":true,\"collateral\":{\"sources\":[\"%s\"]}}", url);
    OK(atls_policy_new_measuring(atls_bytes_of(settings, (size_t)n), &policy, &error));
    return policy;
}

/* Connects under the policy, in each way. The error of the last. */
static atls_error *refused(atls_config *config, const atls_policy *policy, atls_status wanted)
{
    atls_error *error = NULL, *last = NULL;
    atls_http *http = NULL;
    atls_stream *stream = NULL;
    atls_client *client = NULL;
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    char url[64];
    OK(atls_config_set_policy(config, policy, &error));
    EXPECT(wanted, NULL, atls_http_connect(config, &http, &error));
    EXPECT(wanted, NULL, atls_stream_connect(config, &stream, &error));
    snprintf(url, sizeof url, "https://localhost:%u/small", sim.http);
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    OK(atls_request_new_url("GET", url, &request, &error));
    CHECK(atls_client_fetch(client, request, &exchange, &last) == wanted);
    CHECK(!http && !stream && !exchange);
    atls_request_free(request);
    atls_client_free(client);
    return last;
}

static const char *claim(const atls_verdict *verdict, const char *name)
{
    for (size_t i = 0; i < atls_verdict_claim_count(verdict); i++)
        if (strcmp(atls_verdict_claim_name(verdict, i).ptr, name) == 0)
            return atls_verdict_claim_value(verdict, i).ptr;
    return "";
}

static void no_connection_comes_of_it(void)
{
    atls_error *error = NULL;
    atls_policy *policy = measuring(), *drafted = NULL;
    atls_config *config = sim_config(sim.http, NULL);
    atls_error *measured = refused(config, policy, ATLS_ONLY_MEASURED);
    const atls_verdict *verdict = atls_error_verdict(measured);
    CHECK(verdict && !atls_verdict_trusted(verdict) && atls_verdict_status(verdict) == ATLS_ONLY_MEASURED);
    CHECK(atls_verdict_bound_to_session(verdict) && !atls_error_retryable(measured));
    atls_buf *draft = NULL;
    OK(atls_verdict_draft_policy(verdict, &draft, &error));
    CHECK(strstr((const char *)atls_buf_data(draft), claim(verdict, "measurements.mrtd")));
    OK(atls_policy_new(atls_bytes_of(atls_buf_data(draft), atls_buf_len(draft)), &drafted, &error));
    atls_policy_free(drafted);
    atls_buf_free(draft);
    atls_error_free(measured);
    atls_config_free(config);
    atls_policy_free(policy);
}

static void a_server_that_lies_is_not_measured(void)
{
    atls_error *error = NULL;
    atls_policy *policy = measuring();
    atls_http *http = NULL;
    atls_config *config = sim_config(sim.evil, NULL);
    OK(atls_config_set_policy(config, policy, &error));
    atls_status status = atls_http_connect(config, &http, &error);
    CHECK(status / 100 == 4 && status != ATLS_ONLY_MEASURED && !http);
    atls_error_free(error);
    atls_config_free(config);
    atls_policy_free(policy);
}

static void claims_are_what_the_evidence_says(void)
{
    atls_policy *policy = measuring();
    atls_config *config = sim_config(sim.http, NULL);
    atls_error *measured = refused(config, policy, ATLS_ONLY_MEASURED);
    const atls_verdict *verdict = atls_error_verdict(measured);
    size_t count = atls_verdict_claim_count(verdict);
    CHECK(count > 10);
    for (size_t i = 0; i < count; i++) {
        CHECK(*atls_verdict_claim_name(verdict, i).ptr);
        CHECK(strstr(atls_verdict_json(verdict).ptr, strrchr(atls_verdict_claim_name(verdict, i).ptr, '.') + 1));
    }
    CHECK(strlen(claim(verdict, "measurements.rtmr1")) == 96 && strlen(claim(verdict, "application.app-id")) == 40);
    CHECK(strcmp(claim(verdict, "platform.smt"), "true") == 0 && strcmp(claim(verdict, "application.key-provider"), "{\"name\":\"kms\",\"id\":\"abcd\"}") == 0);
    CHECK(!*atls_verdict_claim_name(verdict, count).ptr && !*atls_verdict_claim_value(verdict, SIZE_MAX).ptr);
    CHECK(atls_verdict_claim_count(NULL) == 0);
    atls_error_free(measured);
    atls_config_free(config);
    atls_policy_free(policy);
}

static void settings_that_are_none(void)
{
    atls_error *error = NULL;
    atls_policy *policy = NULL;
    EXPECT(ATLS_POLICY_INVALID, "settings.any_of", atls_policy_new_measuring(atls_bytes_of_text("{\"any_of\":[]}"), &policy, &error));
    EXPECT(ATLS_POLICY_INVALID, "settings", atls_policy_new_measuring(atls_bytes_of_text("{"), &policy, &error));
    CHECK(!policy);
    OK(atls_policy_new_measuring(atls_bytes_of(NULL, 0), &policy, &error));
    atls_policy_free(policy);
}

static void set_up(void)
{
    sim = sim_start();
}

TESTS(set_up, NULL, CASE(no_connection_comes_of_it), CASE(a_server_that_lies_is_not_measured), CASE(claims_are_what_the_evidence_says),
      CASE(settings_that_are_none))
