/* attested_peer.c - mutual attestation: the client proves itself once the server has done so, and the server serves nobody else. Two
 * enclaves that exchange a secret would do it like this. The policies must name the protocol exporter-v1.
 *
 * usage: attested_peer serve PORT CHAIN.pem KEY.pem CLIENT_POLICY.json AGENT_SOCKET [CLIENT_CA.pem]   (until standard input ends)
 *        attested_peer ask HOST PORT SERVER_POLICY.json AGENT_SOCKET
 */
#include "serving.h"

static atls_queue *queue;
static atls_runtime *runtime;

static void on_server(void *user_data, const atls_event *event)
{
    char text[200];
    (void)user_data;
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    /* Never NULL here: the library refuses clients without evidence. */
    atls_verdict *verdict = atls_server_request_verdict(event->source);
    int len = snprintf(text, sizeof text, "the client is trusted: %s, TCB %s, by %s\n", atls_verdict_trusted(verdict) ? "yes" : "no",
                       atls_verdict_tcb_status(verdict).ptr, atls_verdict_trust_anchor(verdict).ptr);
    atls_verdict_free(verdict);
    atls_sink sink = {.queue = queue, .call = on_server};
    if (atls_server_request_start(event->source, runtime, &sink, NULL) == ATLS_OK)
        atls_server_request_respond(event->source, 200, NULL, atls_bytes_of(text, (size_t)len), NULL);
}

static int serve(char **argv)
{
    atls_error *error = NULL;
    atls_server_config *config = NULL;
    atls_policy *policy = NULL;
    atls_verifier *verifier = make_verifier();
    struct file json = read_file(argv[3]);
    check(atls_runtime_new(0, &runtime, &error), &error);
    check(atls_queue_new_dispatching(&queue, &error), &error);
    check(atls_policy_new(atls_bytes_of(json.data, json.len), &policy, &error), &error);
    check(atls_server_config_new(&config, &error), &error);
    set_certificate(config, argv[1], argv[2]);
    check(atls_server_config_set_dstack_agent(config, argv[4], &error), &error);
    check(atls_server_config_set_client_policy(config, policy, verifier, &error), &error);
    if (argv[5]) { /* clients may also have a certificate, which a policy can require in their event log */
        struct file pem = read_file(argv[5]);
        check(atls_server_config_set_client_roots(config, (char *)pem.data, false, &error), &error);
        free(pem.data);
    }
    atls_server *server = listen_on(runtime, queue, config, on_server, argv[0]);
    while (getchar() != EOF)
        ;
    stop_server(server, runtime, queue);
    atls_server_config_free(config);
    atls_verifier_free(verifier);
    atls_policy_free(policy);
    free(json.data);
    return 0;
}

static int ask(char **argv)
{
    char text[1000];
    size_t n;
    atls_error *error = NULL;
    atls_http *http = NULL;
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    atls_config *config = make_config(argv[0], argv[1], argv[2]);
    check(atls_config_set_dstack_agent(config, argv[3], &error), &error);
    check(atls_http_connect(config, &http, &error), &error);
    atls_verdict *verdict = atls_http_verdict(http);
    print_verdict(verdict, stdout);
    check(atls_request_new("GET", "/", argv[0], &request, &error), &error);
    check(atls_http_fetch(http, request, &exchange, &error), &error);
    do {
        check(atls_exchange_read(exchange, (uint8_t *)text, sizeof text, 0, &n, &error), &error);
        fwrite(text, 1, n, stdout);
    } while (n > 0);
    atls_verdict_free(verdict);
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_http_free(http);
    atls_config_free(config);
    return 0;
}

int main(int argc, char **argv)
{
    if ((argc == 7 || argc == 8) && strcmp(argv[1], "serve") == 0)
        return serve(argv + 2);
    if (argc == 6 && strcmp(argv[1], "ask") == 0)
        return ask(argv + 2);
    fprintf(stderr, "usage: %s serve PORT CHAIN.pem KEY.pem CLIENT_POLICY.json AGENT_SOCKET [CLIENT_CA.pem]\n"
                    "       %s ask HOST PORT SERVER_POLICY.json AGENT_SOCKET\n", argv[0], argv[0]);
    return 2;
}
