/* What a server shows and asks for in TLS: certificates by name, certificates of clients. */
#include "sim.h"

static atls_error *error;
static atls_runtime *runtime;
static atls_queue *queue;
static uint16_t port;
static int with_certificate;

static void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    atls_buf *leaf = atls_server_request_certificate(event->source);
    with_certificate += leaf != NULL;
    atls_buf_free(leaf);
    CHECK(atls_server_request_verdict(event->source) == NULL);
    atls_sink sink = {.queue = queue, .call = on_server};
    CHECK(atls_server_request_start(event->source, runtime, &sink, NULL) == ATLS_OK);
    CHECK(atls_server_request_respond(event->source, 200, NULL, NULL, 0, NULL) == ATLS_OK);
}

struct pair {
    char *chain, *key;
};

static struct pair pair(const char *name)
{
    size_t len;
    char file[64];
    struct pair pair;
    snprintf(file, sizeof file, "%s.pem", name);
    pair.chain = sim_file(file, &len);
    snprintf(file, sizeof file, "%s-key.pem", name);
    pair.key = sim_file(file, &len);
    return pair;
}

static void done(struct pair pair)
{
    free(pair.chain);
    free(pair.key);
}

static atls_server *serve(atls_server_config *config)
{
    atls_server *server = NULL;
    atls_sink sink = {.queue = queue, .call = on_server};
    OK(atls_server_new(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    return server;
}

/* Asks as for `name`; returns the hash of the certificate that the server has shown, or 0 where it wants another client. */
static uint64_t shown(const char *name, const struct pair *identity)
{
    uint64_t hash = 14695981039346656037u;
    char host[100];
    atls_client *client = NULL;
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    atls_config *config = sim_config(port, NULL);
    snprintf(host, sizeof host, "https://%s:%u/", name, port);
    OK(atls_config_map_host(config, name, port, "127.0.0.1", port, &error));
    if (identity)
        OK(atls_config_set_client_certificate(config, identity->chain, identity->key, &error));
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    OK(atls_request_new_url("GET", host, &request, &error));
    atls_status status = atls_client_fetch(client, request, &exchange, &error);
    if (status == ATLS_OK) {
        atls_buf *leaf = atls_exchange_certificate(exchange);
        for (size_t i = 0; i < atls_buf_len(leaf); i++)
            hash = (hash ^ atls_buf_data(leaf)[i]) * 1099511628211u;
        atls_buf_free(leaf);
    } else {
        hash = 0;
        atls_error_free(error);
        error = NULL;
    }
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_client_free(client);
    atls_config_free(config);
    return hash;
}

int main(void)
{
    size_t len;
    sim_start();
    OK(atls_runtime_new(1, &runtime, &error));
    OK(atls_queue_new_dispatching(&queue, &error));
    struct pair peer = pair("peer"), next = pair("next");
    atls_server_config *config = NULL;
    OK(atls_server_config_new(&config, &error));
    EXPECT(ATLS_INVALID_STATE, "no certificate", atls_server_config_add_certificate(config, "a.example", next.chain, next.key, &error));
    EXPECT(ATLS_INVALID_STATE, "no certificate", atls_server_config_set_client_roots(config, next.chain, true, &error));
    OK(atls_server_config_set_certificate(config, peer.chain, peer.key, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "certificate", atls_server_config_add_certificate(config, "a.example", next.chain, peer.key, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "root certificate", atls_server_config_set_client_roots(config, "none", true, &error));
    OK(atls_server_config_add_certificate(config, "LOCALHOST", next.chain, next.key, &error));
    atls_server *server = serve(config);
    uint64_t by_name = shown("localhost", NULL), by_default = shown("other.example", NULL);
    CHECK(by_name && by_default && by_name != by_default);
    /* The default is replaced, the one with a name stays. */
    OK(atls_server_set_certificate(server, next.chain, next.key, &error));
    CHECK(shown("localhost", NULL) == by_name && shown("other.example", NULL) == 0);
    OK(atls_server_close(server, &error));
    atls_server_free(server);

    char *ca = sim_file("web-ca.pem", &len);
    OK(atls_server_config_set_client_roots(config, ca, true, &error));
    server = serve(config);
    CHECK(shown("other.example", NULL) == 0 && with_certificate == 0);
    CHECK(shown("other.example", &next) == by_default && with_certificate == 1);
    OK(atls_server_close(server, &error));
    atls_server_free(server);

    OK(atls_server_config_set_client_roots(config, ca, false, &error));
    server = serve(config);
    CHECK(shown("other.example", NULL) == by_default && with_certificate == 1);
    CHECK(shown("other.example", &next) == by_default && with_certificate == 2);
    OK(atls_server_close(server, &error));
    atls_server_free(server);

    free(ca);
    done(peer);
    done(next);
    atls_server_config_free(config);
    OK(atls_runtime_shutdown(runtime, 10000, &error));
    OK(atls_queue_stop(queue, &error));
    atls_queue_free(queue);
    atls_runtime_free(runtime);
    return 0;
}
