/* sim.h - the simulated world that `simtee` serves, found through ATLS_SIM. Without it a test is skipped (exit status 77). */
#ifndef SIM_H
#define SIM_H

#include "test.h"

struct sim {
    unsigned http, raw, tunnel, evil;
};

static inline char *sim_file(const char *name, size_t *len)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", getenv("ATLS_SIM"), name);
    FILE *in = fopen(path, "rb");
    CHECK(in);
    char *data = calloc(1, 1 << 17);
    CHECK(data);
    *len = fread(data, 1, (1 << 17) - 1, in);
    fclose(in);
    return data;
}

static inline struct sim sim_start(void)
{
    struct sim sim;
    size_t len;
    if (!getenv("ATLS_SIM")) {
        puts("skipped: no ATLS_SIM");
        exit(77);
    }
    char *ports = sim_file("ports", &len);
    CHECK(sscanf(ports, "HTTP=%u RAW=%u TUNNEL=%u EVIL=%u", &sim.http, &sim.raw, &sim.tunnel, &sim.evil) == 4);
    free(ports);
    return sim;
}

/* A verifier of the simulator's quotes that fetches collateral by the way of `route`; NULL is that of the connection. */
static inline atls_verifier *sim_verifier(const atls_config *route)
{
    atls_error *error = NULL;
    atls_verifier_config *trust = NULL;
    OK(atls_verifier_config_new(&trust, &error));
    atls_verifier *verifier = NULL;
    size_t len;
    char *root = sim_file("root.der", &len);
    OK(atls_verifier_config_set_simulated_root(trust, atls_bytes_of(root, len), &error));
    free(root);
    OK(atls_verifier_config_set_route(trust, route, &error));
    OK(atls_verifier_new(trust, &verifier, &error));
    atls_verifier_config_free(trust);
    return verifier;
}

/* A configuration for one of the servers, under policy.json or the given one; NULL is no attestation. */
static inline atls_config *sim_config(unsigned port, const char *policy_file)
{
    atls_error *error = NULL;
    atls_config *config = NULL;
    atls_verifier *verifier = sim_verifier(NULL);
    size_t len;
    OK(atls_config_new("localhost", (uint16_t)port, &config, &error));
    OK(atls_config_set_verifier(config, verifier, &error));
    char *pem = sim_file("web-ca.pem", &len);
    OK(atls_config_add_root_pem(config, pem, &error));
    free(pem);
    if (policy_file) {
        atls_policy *policy = NULL;
        char *json = sim_file(policy_file, &len);
        OK(atls_policy_new(atls_bytes_of(json, len), &policy, &error));
        OK(atls_config_set_policy(config, policy, &error));
        atls_policy_free(policy);
        free(json);
    } else {
        OK(atls_config_set_unattested(config, &error));
    }
    atls_verifier_free(verifier);
    return config;
}

#endif
