/* pooled.h - a client with a policy for localhost, and how the tests fetch with it. */
#ifndef POOLED_H
#define POOLED_H

#include <stdatomic.h>
#include <unistd.h>

#include "sim.h"

static struct sim sim;
static _Thread_local atls_error *error;

static inline char *url(const char *path)
{
    static char text[512];
    snprintf(text, sizeof text, "https://localhost:%u%s", sim.http, path);
    return text;
}

static inline atls_policy *policy_file(const char *name)
{
    size_t len;
    atls_policy *policy = NULL;
    char *json = sim_file(name, &len);
    OK(atls_policy_new(atls_bytes_of(json, len), &policy, &error));
    free(json);
    return policy;
}

/* A client that knows a policy for localhost, and none for other hosts. */
static inline atls_client *new_client(atls_runtime *runtime, uint32_t requests, uint32_t idle_ms, uint32_t age_ms)
{
    atls_client *client = NULL;
    atls_client_limits *limits = NULL;
    atls_config *config = NULL, *trust = sim_config(sim.http, "policy.json");
    OK(atls_client_limits_new(&limits, &error));
    OK(atls_client_limits_set_requests(limits, requests, &error));
    OK(atls_client_limits_set_times(limits, idle_ms, age_ms, &error));
    /* The verifier and roots are those of a configuration whose policy is then taken away. */
    config = trust;
    OK(atls_config_set_unattested(config, &error));
    OK(atls_client_new(runtime, config, limits, &client, &error));
    atls_policy *policy = policy_file("policy.json");
    OK(atls_client_set_policy(client, "LOCALHOST.", policy, &error));
    atls_policy_free(policy);
    atls_config_free(config);
    atls_client_limits_free(limits);
    return client;
}

static inline atls_request *request(const char *method, const char *where)
{
    atls_request *request = NULL;
    OK(atls_request_new_url(method, where, &request, &error));
    OK(atls_request_set_timeout(request, 10000, &error));
    return request;
}

static inline size_t body(atls_exchange *exchange, char *to, size_t cap)
{
    static unsigned char buffer[50000];
    size_t total = 0, n;
    memset(to, 0, cap);
    do {
        OK(atls_exchange_read(exchange, buffer, sizeof buffer, 5000, &n, &error));
        if (total < cap - 1)
            memcpy(to + total, buffer, n < cap - 1 - total ? n : cap - 1 - total);
        total += n;
    } while (n > 0);
    return total;
}

/* Fetches and frees the request; the status, the body in `to`, and whether the connection was used before. */
static inline uint32_t fetch(atls_client *client, atls_request *request, char *to, size_t cap, bool *reused)
{
    atls_exchange *exchange = NULL;
    atls_head *head = NULL;
    OK(atls_client_fetch(client, request, &exchange, &error));
    OK(atls_exchange_head(exchange, 5000, &head, &error));
    uint32_t status = atls_head_status(head);
    body(exchange, to, cap);
    atls_verdict *verdict = atls_exchange_verdict(exchange);
    CHECK(atls_verdict_trusted(verdict));
    atls_verdict_free(verdict);
    if (reused)
        *reused = atls_exchange_reused(exchange);
    atls_head_free(head);
    atls_exchange_free(exchange);
    atls_request_free(request);
    return status;
}

static inline void set_up(void)
{
    sim = sim_start();
}

#endif
