/* mutual.h - a server that judges its clients, clients with evidence of their own, and what leads to the vendor's documents. */
#ifndef MUTUAL_H
#define MUTUAL_H

#include "loop.h"
#include "sim.h"
#include "tcp.h"

#include <poll.h>

static _Thread_local atls_error *error;
static uint16_t port;
static int served, with_certificate;
static _Atomic int told_host;
static _Atomic bool vendor_is_reachable;
static bool judges = true;

static void on_request(void *request, const atls_event *event)
{
    /* Not before: a connection ends with an answer that overtakes its request. */
    if (event->kind != ATLS_EVENT_END)
        return;
    bool known = strcmp(atls_server_request_target(request).ptr, "/") == 0;
    served += known;
    CHECK(atls_server_request_respond(request, known ? 200 : 404, NULL, atls_bytes_of("secret", 6), NULL) == ATLS_OK);
}

static void let_go(void *request)
{
    atls_server_request_free(request);
}

static void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind == ATLS_EVENT_REFUSED) {
        CHECK(strncmp(atls_error_peer(event->error).ptr, "127.0.0.1:", 10) == 0);
        bool whole = strstr(atls_error_message(event->error).ptr, "expected") != NULL;
        told_host += whole && atls_error_verdict(event->error) && atls_error_http_status(event->error) == 403;
    }
    if (event->kind == ATLS_EVENT_REFUSED && atls_error_http_status(event->error) == 503) {
        CHECK(event->status == ATLS_COLLATERAL_UNAVAILABLE);
        vendor_is_reachable = true;
    }
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    atls_verdict *verdict = atls_server_request_verdict(event->source);
    CHECK(judges ? verdict && atls_verdict_trusted(verdict) && atls_verdict_bound_to_session(verdict) : !verdict);
    atls_verdict_free(verdict);
    atls_buf *leaf = atls_server_request_certificate(event->source);
    with_certificate += leaf != NULL && atls_buf_len(leaf) > 100;
    atls_buf_free(leaf);
    atls_sink sink = {.queue = queue, .call = on_request, .user_data = atls_server_request_ref(event->source), .drop = let_go};
    CHECK(atls_server_request_start(event->source, runtime, &sink, NULL) == ATLS_OK);
}

static char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", getenv("ATLS_SIM"), name);
    return path;
}

static void certificate(atls_server_config *config)
{
    size_t len;
    char *chain = sim_file("peer.pem", &len), *key = sim_file("peer-key.pem", &len);
    OK(atls_server_config_set_certificate(config, chain, key, &error));
    free(chain);
    free(key);
}

static atls_verifier *verifier(void)
{
    size_t len;
    atls_verifier *verifier = NULL;
    atls_verifier_config *trust = NULL;
    OK(atls_verifier_config_new(&trust, &error));
    char *root = sim_file("root.der", &len);
    OK(atls_verifier_config_set_simulated_root(trust, atls_bytes_of(root, len), &error));
    OK(atls_verifier_new(trust, &verifier, &error));
    atls_verifier_config_free(trust);
    free(root);
    return verifier;
}

/* Of what leads to the simulator's collateral service; 0 for nothing in between. */
static unsigned gateway_port;

static unsigned vendor_port(void)
{
    size_t len;
    unsigned port;
    char *ports = sim_file("ports", &len), *line = strstr(ports, "PCCS=");
    CHECK(line && sscanf(line, "PCCS=%u", &port) == 1);
    free(ports);
    return port;
}

/* With a gateway, documents are asked for there. */
static void lead_through_the_gateway(char *json, size_t *len)
{
    char place[16];
    int digits = snprintf(place, sizeof place, ":%u\"", vendor_port());
    char *at = strstr(json, place);
    CHECK(at);
    char *rest = strdup(at + digits);
    CHECK(rest);
    *len = (size_t)(at - json) + (size_t)sprintf(at, ":%u\"%s", gateway_port, rest);
    free(rest);
}

static atls_policy *policy(const char *name)
{
    size_t len;
    atls_policy *policy = NULL;
    char *json = sim_file(name, &len);
    if (gateway_port)
        lead_through_the_gateway(json, &len);
    OK(atls_policy_new(atls_bytes_of(json, len), &policy, &error));
    free(json);
    return policy;
}

/* Wants clients to be what `client_policy` says; proves itself by `agent`, unless that is NULL. */
static atls_server *serve(const char *agent, const char *client_policy, const char *name)
{
    size_t len;
    atls_server *server = NULL;
    atls_server_config *config = NULL;
    atls_sink sink = {.queue = queue, .call = on_server};
    OK(atls_server_config_new(&config, &error));
    certificate(config);
    if (agent)
        OK(atls_server_config_set_dstack_agent(config, path_of(agent), &error));
    if (name)
        OK(atls_server_config_add_name(config, name, &error));
    if (client_policy) {
        atls_policy *wanted = policy(client_policy);
        atls_verifier *judge = verifier();
        OK(atls_server_config_set_client_policy(config, wanted, judge, &error));
        atls_policy_free(wanted);
        atls_verifier_free(judge);
        char *ca = sim_file("web-ca.pem", &len);
        OK(atls_server_config_set_client_roots(config, ca, false, &error));
        free(ca);
    }
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    atls_server_config_free(config);
    return server;
}

static void end(atls_server *server)
{
    OK(atls_server_close(server, &error));
    atls_server_free(server);
}

/* A client with this policy (NULL: none) that proves itself by this agent (NULL: cannot). */
static atls_config *client(const char *policy_file, const char *agent)
{
    atls_config *config = sim_config(port, policy_file);
    if (agent)
        OK(atls_config_set_dstack_agent(config, path_of(agent), &error));
    return config;
}

static uint32_t status_of(atls_exchange *exchange)
{
    atls_head *head = NULL;
    OK(atls_exchange_head(exchange, 0, &head, &error));
    uint32_t status = atls_head_status(head);
    atls_head_free(head);
    return status;
}

static atls_status get(atls_config *config)
{
    char text[16] = {0};
    size_t n;
    atls_http *http = NULL;
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    atls_status status = atls_http_connect(config, &http, &error);
    atls_config_free(config);
    if (status != ATLS_OK)
        return status;
    OK(atls_request_new("GET", "/", "localhost", &request, &error));
    OK(atls_http_fetch(http, request, &exchange, &error));
    uint32_t answer = status_of(exchange);
    OK(atls_exchange_read(exchange, (uint8_t *)text, sizeof text - 1, 5000, &n, &error));
    CHECK(answer != 200 || strcmp(text, "secret") == 0);
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_http_free(http);
    return answer == 200 ? ATLS_OK : (atls_status)answer;
}

#endif
