/* Virtual machines of Azure at either end: what a policy that wants a fresh report asks of the host's source, and machines that lie. */
#include "attesting.h"

#define TWICE(text) text text
#define BYTES_32(byte) TWICE(TWICE(TWICE(TWICE(TWICE(byte)))))
#define BYTES_48(byte) BYTES_32(byte) TWICE(TWICE(TWICE(TWICE(byte))))

/* About the simulator's machine; with the paravisor pinned, so that what it says may be asked for. */
static const char *const policy_text =
    "{\"type\":\"azure_snp_vtpm\",\"pcrs\":{\"4\":[\"" BYTES_32("05") "\"],\"7\":[\"" BYTES_32("08") "\"]},"
    "\"paravisor\":[\"" BYTES_48("5a") "\"],%s\"snp\":{\"products\":[\"Genoa\"],\"crl\":\"off\","
    "\"min_tcb\":{\"Genoa\":{\"bootloader\":4,\"tee\":2,\"snp\":24,\"microcode\":219}}},\"allow_simulated\":true}";

/* What the host's source was asked for. */
struct source {
    const char *socket;
    _Atomic int asked, fresh;
};

static atls_status evidence(void *user_data, const uint8_t *binder, bool fresh, atls_buf **made)
{
    struct source *source = user_data;
    source->asked++;
    source->fresh += fresh;
    return machine_evidence_from(source->socket, "azure_snp_vtpm", binder, made);
}

static atls_policy *azure_policy(const char *more)
{
    char json[2048];
    atls_policy *policy = NULL;
    CHECK(snprintf(json, sizeof json, policy_text, more) < (int)sizeof json);
    OK(atls_policy_new(atls_bytes_of_text(json), &policy, &error));
    return policy;
}

/* A client that knows of such machines only. */
static atls_config *strict_client(const char *more)
{
    atls_config *config = client("tdx-first.json");
    atls_policy *policy = azure_policy(more);
    OK(atls_config_set_policy(config, policy, &error));
    atls_policy_free(policy);
    return config;
}

static atls_server *proved_by(struct source *source)
{
    atls_server_config *config = server_config();
    OK(atls_server_config_set_evidence_source(config, "azure_snp_vtpm", evidence, source, NULL, &error));
    return start(config);
}

static void a_server_proves_itself_and_anew_if_that_is_asked_for(void)
{
    char kind[32];
    static struct source honest = {.socket = "evidence.sock"};
    atls_server *server = proved_by(&honest);
    OK(get(client("tdx-first.json"), kind));
    CHECK(strcmp(kind, "azure_snp_vtpm") == 0 && honest.asked == 1 && honest.fresh == 0);
    OK(get(strict_client(""), kind));
    CHECK(honest.asked == 2 && honest.fresh == 0);
    OK(get(strict_client("\"fresh_report\":true,\"secure_boot\":true,\"allow_console\":false,"), kind));
    CHECK(honest.asked == 3 && honest.fresh == 1);
    /* A client that wants another kind gets none. */
    EXPECT(ATLS_NO_EVIDENCE, "tee must list", get(client("snp-policy.json"), kind));
    end(server);
}

static void a_server_that_shows_another_machines_tpm_is_refused(void)
{
    char kind[32];
    static struct source liar = {.socket = "evil-evidence.sock"};
    atls_server *server = proved_by(&liar);
    EXPECT(ATLS_QUOTE_INVALID, "tpm_quote", get(client("tdx-first.json"), kind));
    EXPECT(ATLS_QUOTE_INVALID, "tpm_quote", get(strict_client(""), kind));
    CHECK(liar.asked == 2);
    end(server);
}

/* A server in a TDX guest that wants its clients to be such machines. */
static atls_server *wanting(const char *more)
{
    atls_server_config *config = server_config();
    OK(atls_server_config_set_dstack_agent(config, path_of("agent.sock"), &error));
    atls_policy *policy = azure_policy(more);
    atls_verifier *verifier = machine_verifier();
    OK(atls_server_config_set_client_policy(config, policy, verifier, &error));
    atls_policy_free(policy);
    atls_verifier_free(verifier);
    return start(config);
}

static atls_status as_client(struct source *source)
{
    char kind[32];
    atls_config *config = client("strict-policy.json");
    OK(atls_config_set_evidence_source(config, "azure_snp_vtpm", evidence, source, NULL, &error));
    return get(config, kind);
}

static void a_client_proves_itself_and_anew_if_the_server_asks_for_that(void)
{
    static struct source honest = {.socket = "evidence.sock"}, liar = {.socket = "evil-evidence.sock"};
    atls_server *server = wanting("");
    OK(as_client(&honest));
    CHECK(strcmp(client_kind, "azure_snp_vtpm") == 0 && honest.asked == 1 && honest.fresh == 0);
    EXPECT(ATLS_EVIDENCE_REFUSED, "status 403", as_client(&liar));
    end(server);
    server = wanting("\"fresh_report\":true,");
    OK(as_client(&honest));
    CHECK(strcmp(client_kind, "azure_snp_vtpm") == 0 && honest.asked == 2 && honest.fresh == 1);
    EXPECT(ATLS_EVIDENCE_REFUSED, "status 403", as_client(&liar));
    CHECK(liar.asked == 2 && liar.fresh == 1);
    end(server);
}

static void set_up(void)
{
    sim_start();
    loop_start();
}

TESTS(set_up, loop_end, CASE(a_server_proves_itself_and_anew_if_that_is_asked_for), CASE(a_server_that_shows_another_machines_tpm_is_refused),
      CASE(a_client_proves_itself_and_anew_if_the_server_asks_for_that))
