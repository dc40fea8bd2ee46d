/* What a host makes of a verdict: a draft of a policy, and an attestation result. The mapping is held by tests/rust/results.rs, the drafts of each kind by drafts.rs. */
#include "sim.h"

/* Of P-256, in PKCS#8; for tests. */
static const char KEY[] = "-----BEGIN PRIVATE KEY-----\n"
                          "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgm8MUbZZb364lSNS8\n"
                          "zNJoy7sT3CdfcsE6k50isNoa1/ShRANCAARigPCzeg9N/AFlvrxjqTFocOPSzSkx\n"
                          "EZPgqZLeoyy/D5sTrp5R9dnJPKt7pPN/A4MK6OvgNjNGLcWGq+y5uDc5\n"
                          "-----END PRIVATE KEY-----\n";

static struct sim sim;

/* Connects to the raw server under `json`; what it fails with goes to `refusal`. */
static atls_stream *connect_under(atls_bytes json, atls_error **refusal)
{
    atls_error *error = NULL;
    atls_policy *policy = NULL;
    atls_stream *stream = NULL;
    atls_config *config = sim_config(sim.raw, NULL);
    OK(atls_policy_new(json, &policy, &error));
    OK(atls_config_set_policy(config, policy, &error));
    if (atls_stream_connect(config, &stream, refusal) != ATLS_OK)
        stream = NULL;
    atls_policy_free(policy);
    atls_config_free(config);
    return stream;
}

static bool holds(atls_buf *buf, const char *part)
{
    char *text = calloc(1, atls_buf_len(buf) + 1);
    CHECK(text);
    memcpy(text, atls_buf_data(buf), atls_buf_len(buf));
    bool found = strstr(text, part) != NULL;
    free(text);
    return found;
}

/* The simulator's collateral service, by its policy. */
static void service(char *url, size_t room)
{
    size_t len;
    char *json = sim_file("policy.json", &len), *at = strstr(json, "\"pccs_url\":\"");
    CHECK(at);
    at += strlen("\"pccs_url\":\"");
    snprintf(url, room, "%.*s", (int)strcspn(at, "\""), at);
    free(json);
}

/* A host that knows nothing of a server yet: it is refused, drafts a policy from the refusal, and connects under that. */
static void a_refusal_gives_the_policy_that_accepts(void)
{
    atls_error *error = NULL, *refusal = NULL;
    atls_buf *draft = NULL;
    size_t len;
    char *wrong = sim_file("wrong-policy.json", &len), url[200];
    CHECK(!connect_under(atls_bytes_of(wrong, len), &refusal));
    free(wrong);
    CHECK(atls_error_status(refusal) == ATLS_MEASUREMENT_MISMATCH);
    OK(atls_verdict_draft_policy(atls_error_verdict(refusal), &draft, &error));
    atls_error_free(refusal);
    refusal = NULL;
    CHECK(holds(draft, "\"dstack_tdx\"") && holds(draft, "\"allow_simulated\": true"));

    /* It says nothing of where documents come from. */
    service(url, sizeof url);
    size_t room = atls_buf_len(draft) + 300;
    char *json = calloc(1, room);
    CHECK(json && atls_buf_data(draft)[0] == '{');
    snprintf(json, room, "{\"pccs_url\":\"%s\",%.*s", url, (int)atls_buf_len(draft) - 1, (const char *)atls_buf_data(draft) + 1);
    atls_stream *stream = connect_under(atls_bytes_of_text(json), &refusal);
    free(json);
    atls_buf_free(draft);
    CHECK(stream && !refusal);
    atls_verdict *verdict = atls_stream_verdict(stream);
    CHECK(atls_verdict_trusted(verdict));
    atls_verdict_free(verdict);
    atls_stream_free(stream);
}

static void what_is_not_authentic_gives_no_policy(void)
{
    atls_error *error = NULL;
    atls_verification *question = NULL;
    atls_verdict *verdict = NULL;
    atls_policy *policy = NULL;
    atls_buf *draft = NULL;
    OK(atls_verification_new(&question, &error));
    OK(atls_policy_new(atls_bytes_of_text("{\"type\":\"dstack_tdx\",\"disable_runtime_verification\":true}"), &policy, &error));
    OK(atls_verification_set_policy(question, policy, &error));
    OK(atls_verification_set_quote(question, atls_bytes_of_text("none"), atls_bytes_of(NULL, 0), &error));
    OK(atls_verification_set_collateral_json(question, atls_bytes_of_text("{\"atls_collateral_bundle\":1,\"objects\":[]}"), &error));
    OK(atls_verification_set_time(question, 1, &error));
    OK(atls_verification_skip_binding(question, &error));
    OK(atls_verify(question, &verdict, &error));
    EXPECT(ATLS_INVALID_STATE, "is not authentic", atls_verdict_draft_policy(verdict, &draft, &error));
    CHECK(!draft);
    atls_verdict_free(verdict);
    atls_policy_free(policy);
    atls_verification_free(question);
}

static atls_verdict *trusted(void)
{
    atls_error *error = NULL;
    size_t len;
    char *json = sim_file("policy.json", &len);
    atls_stream *stream = connect_under(atls_bytes_of(json, len), &error);
    free(json);
    CHECK(stream);
    atls_verdict *verdict = atls_stream_verdict(stream);
    atls_stream_free(stream);
    return verdict;
}

/* The verdict may be freed before. What the simulator's machines are is never affirmed. */
static void a_result_says_what_the_verdict_says(void)
{
    atls_error *error = NULL;
    atls_ear *ear = NULL;
    atls_buf *claims = NULL, *token = NULL;
    atls_verdict *verdict = trusted();
    OK(atls_ear_new(verdict, 1800000000, &ear, &error));
    atls_verdict_free(verdict);
    OK(atls_ear_set_nonce(ear, atls_bytes_of_text("12345678"), &error));
    OK(atls_ear_set_verifier(ear, "https://verifier.example", "test 1", &error));
    OK(atls_ear_claims(ear, &claims, &error));
    CHECK(holds(claims, "\"eat_nonce\":\"MTIzNDU2Nzg\"") && holds(claims, "\"iat\":1800000000"));
    CHECK(holds(claims, "\"trusted\":true") && holds(claims, "\"trust_anchor\":\"simulated\""));
    CHECK(holds(claims, "\"ear_status\":\"contraindicated\"") && !holds(claims, "affirming"));
    OK(atls_ear_sign(ear, atls_bytes_of_text(KEY), NULL, &token, &error));
    CHECK(holds(token, "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9."));
    atls_buf_free(token);
    atls_buf_free(claims);
    EXPECT(ATLS_INVALID_ARGUMENT, "key: ", atls_ear_sign(ear, atls_bytes_of(KEY, 60), NULL, &token, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "within 8..64", atls_ear_set_nonce(ear, atls_bytes_of_text("1234567"), &error));
    atls_ear_free(ear);
}

static void set_up(void)
{
    sim = sim_start();
}

static void tear_down(void)
{
}

TESTS(set_up, tear_down, CASE(a_refusal_gives_the_policy_that_accepts), CASE(what_is_not_authentic_gives_no_policy),
      CASE(a_result_says_what_the_verdict_says))
