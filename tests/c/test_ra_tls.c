/* Certificates that carry evidence (RA-TLS), a weak binding: they are judged only under a policy that names it, and the verdict says that it is bound to no
 * session. */
#include <time.h>

#include "attesting.h"

/* A server with nothing but its certificate: it proves itself by no other protocol. */
static atls_server *carrying(const char *chain_file, const char *key_file)
{
    size_t len;
    atls_server_config *config = NULL;
    OK(atls_server_config_new(&config, &error));
    char *chain = sim_file(chain_file, &len), *key = sim_file(key_file, &len);
    OK(atls_server_config_set_certificate(config, chain, key, &error));
    free(chain);
    free(key);
    return start(config);
}

static atls_status connected(const char *policy_file, atls_http **http)
{
    atls_config *config = client(policy_file);
    atls_status status = atls_http_connect(config, http, &error);
    atls_config_free(config);
    return status;
}

static void a_server_is_judged_by_its_certificate_only_where_the_policy_names_it(void)
{
    atls_http *http = NULL;
    atls_server *server = carrying("ra-tls.pem", "ra-tls-key.pem");
    /* Policies that its guest satisfies, and that name atlas-v1 and exporter-v1. */
    EXPECT(ATLS_NO_EVIDENCE, "404", connected("policy.json", &http));
    EXPECT(ATLS_NO_EVIDENCE, "404", connected("strict-policy.json", &http));
    OK(connected("ra-tls-policy.json", &http));
    atls_verdict *verdict = atls_http_verdict(http);
    CHECK(verdict && atls_verdict_trusted(verdict) && !atls_verdict_bound_to_session(verdict));
    const char *json = atls_verdict_json(verdict).ptr;
    CHECK(strstr(json, "\"protocol\":\"ra-tls\"") && strstr(json, "\"bound_to_session\":false"));
    atls_verdict_free(verdict);
    atls_http_free(http);
    end(server);
}

static void a_certificate_with_evidence_about_another_key_is_refused(void)
{
    atls_http *http = NULL;
    atls_server *server = carrying("evil-ra-tls.pem", "evil-ra-tls-key.pem");
    EXPECT(ATLS_BINDING_MISMATCH, "report_data", connected("ra-tls-policy.json", &http));
    CHECK(http == NULL);
    end(server);
    /* A certificate without evidence is nothing to judge. */
    server = carrying("peer.pem", "peer-key.pem");
    EXPECT(ATLS_NO_EVIDENCE, "certificate", connected("ra-tls-policy.json", &http));
    CHECK(http == NULL);
    end(server);
}

/* The verdict of a certificate offline, under the policy of a file. */
static atls_verdict *judged(const char *certificate, const char *policy_file)
{
    size_t len;
    atls_verdict *verdict = NULL;
    atls_verification *verification = NULL;
    OK(atls_verification_new(&verification, &error));
    char *pem = sim_file(certificate, &len);
    OK(atls_verification_set_ra_tls_certificate(verification, atls_bytes_of(pem, len), &error));
    free(pem);
    char *collateral = sim_file("collateral.json", &len);
    OK(atls_verification_set_collateral_json(verification, atls_bytes_of(collateral, len), &error));
    free(collateral);
    char *root = sim_file("root.der", &len);
    OK(atls_verification_set_simulated_root(verification, atls_bytes_of(root, len), &error));
    free(root);
    OK(atls_verification_set_time(verification, (uint64_t)time(NULL), &error));
    atls_policy *policy = policy_of(policy_file);
    OK(atls_verification_set_policy(verification, policy, &error));
    atls_policy_free(policy);
    OK(atls_verify(verification, &verdict, &error));
    atls_verification_free(verification);
    CHECK(!atls_verdict_bound_to_session(verdict));
    return verdict;
}

/* Refused, and the first check that failed is this one. */
static void refused(const char *certificate, const char *policy_file, const char *check)
{
    atls_verdict *verdict = judged(certificate, policy_file);
    CHECK(!atls_verdict_trusted(verdict) && atls_verdict_status(verdict) == ATLS_BINDING_MISMATCH);
    size_t index = 0;
    while (atls_verdict_check_outcome(verdict, index) != ATLS_CHECK_FAIL)
        CHECK(++index < atls_verdict_check_count(verdict));
    CHECK(strcmp(atls_verdict_check_name(verdict, index).ptr, check) == 0);
    atls_verdict_free(verdict);
}

static void a_certificate_is_judged_offline_under_the_same_rules(void)
{
    atls_verdict *verdict = judged("ra-tls.pem", "ra-tls-policy.json");
    CHECK(atls_verdict_trusted(verdict));
    atls_verdict_free(verdict);
    refused("ra-tls.pem", "policy.json", "ra_tls");
    refused("evil-ra-tls.pem", "ra-tls-policy.json", "report_data");
    size_t len;
    atls_verification *verification = NULL;
    char *plain = sim_file("peer.pem", &len);
    OK(atls_verification_new(&verification, &error));
    EXPECT(ATLS_NO_EVIDENCE, "certificate", atls_verification_set_ra_tls_certificate(verification, atls_bytes_of(plain, len), &error));
    atls_verification_free(verification);
    free(plain);
}

static void set_up(void)
{
    sim_start();
    loop_start();
}

TESTS(set_up, loop_end, CASE(a_server_is_judged_by_its_certificate_only_where_the_policy_names_it),
      CASE(a_certificate_with_evidence_about_another_key_is_refused), CASE(a_certificate_is_judged_offline_under_the_same_rules))
