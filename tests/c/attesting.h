/* attesting.h - a server that proves itself and says what its client has proved to be, and a client that asks it for something. */
#ifndef ATTESTING_H
#define ATTESTING_H

#include "loop.h"
#include "machine.h"

static _Thread_local atls_error *error;
static uint16_t port;

/* What the server says of the client of the last request; empty for nothing. */
static char client_kind[32];

static void on_request(void *request, const atls_event *event)
{
    if (event->kind != ATLS_EVENT_END)
        return;
    uint32_t status = strcmp(atls_server_request_target(request).ptr, "/") == 0 ? 200 : 404;
    CHECK(atls_server_request_respond(request, status, NULL, atls_bytes_of("secret", 6), NULL) == ATLS_OK);
}

static void let_go(void *request)
{
    atls_server_request_free(request);
}

static void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    atls_verdict *verdict = atls_server_request_verdict(event->source);
    snprintf(client_kind, sizeof client_kind, "%s", verdict ? atls_verdict_tee_type(verdict).ptr : "");
    CHECK(!verdict || (atls_verdict_trusted(verdict) && atls_verdict_bound_to_session(verdict)));
    atls_verdict_free(verdict);
    atls_sink sink = {.queue = queue, .call = on_request, .user_data = atls_server_request_ref(event->source), .drop = let_go};
    CHECK(atls_server_request_start(event->source, runtime, &sink, NULL) == ATLS_OK);
}

static inline char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", getenv("ATLS_SIM"), name);
    return path;
}

static atls_policy *policy_of(const char *name)
{
    size_t len;
    atls_policy *policy = NULL;
    char *json = sim_file(name, &len);
    OK(atls_policy_new(atls_bytes_of(json, len), &policy, &error));
    free(json);
    return policy;
}

static inline atls_server_config *server_config(void)
{
    size_t len;
    atls_server_config *config = NULL;
    OK(atls_server_config_new(&config, &error));
    char *chain = sim_file("peer.pem", &len), *key = sim_file("peer-key.pem", &len);
    OK(atls_server_config_set_certificate(config, chain, key, &error));
    free(chain);
    free(key);
    return config;
}

static atls_server *start(atls_server_config *config)
{
    atls_server *server = NULL;
    atls_sink sink = {.queue = queue, .call = on_server};
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

static atls_config *client(const char *policy_file)
{
    atls_config *config = NULL;
    size_t len;
    OK(atls_config_new("localhost", port, &config, &error));
    char *pem = sim_file("web-ca.pem", &len);
    OK(atls_config_add_root_pem(config, pem, &error));
    free(pem);
    atls_verifier *verifier = machine_verifier();
    OK(atls_config_set_verifier(config, verifier, &error));
    atls_verifier_free(verifier);
    atls_policy *policy = policy_of(policy_file);
    OK(atls_config_set_policy(config, policy, &error));
    atls_policy_free(policy);
    return config;
}

/* Opens a connection and asks for something. `kind` becomes what the server has proved to be. */
static inline atls_status get(atls_config *config, char kind[32])
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
    atls_verdict *verdict = atls_http_verdict(http);
    CHECK(verdict && atls_verdict_trusted(verdict) && atls_verdict_bound_to_session(verdict));
    snprintf(kind, 32, "%s", atls_verdict_tee_type(verdict).ptr);
    atls_verdict_free(verdict);
    OK(atls_request_new("GET", "/", "localhost", &request, &error));
    OK(atls_http_fetch(http, request, &exchange, &error));
    OK(atls_exchange_read(exchange, (uint8_t *)text, sizeof text - 1, 5000, &n, &error));
    CHECK(strcmp(text, "secret") == 0);
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_http_free(http);
    return ATLS_OK;
}

#endif
