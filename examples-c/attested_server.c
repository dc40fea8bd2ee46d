/* attested_server.c - a server inside a TEE that proves it: whoever connects with libatls and a policy that this machine satisfies gets an
 * answer, and knows from where. Evidence comes from the dstack guest agent.
 *
 * usage: attested_server PORT CHAIN.pem KEY.pem [AGENT_SOCKET]     (serves until standard input ends)
 */
#include "common.h"

static atls_queue *queue;
static atls_runtime *runtime;

static void on_event(void *user_data, const atls_event *event)
{
    static const char text[] = "Nobody but this enclave has read your request.\n";
    (void)user_data;
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    /* All of the answer is at hand: the request's own events are of no interest. */
    atls_sink sink = {.queue = queue, .call = on_event};
    if (atls_server_request_start(event->source, runtime, &sink, NULL) == ATLS_OK)
        atls_server_request_respond(event->source, 200, NULL, (const uint8_t *)text, sizeof text - 1, NULL);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: %s PORT CHAIN.pem KEY.pem [AGENT_SOCKET]\n", argv[0]);
        return 2;
    }
    atls_error *error = NULL;
    atls_server_config *config = NULL;
    atls_server *server = NULL;
    uint16_t port;
    struct file chain = read_file(argv[2]), key = read_file(argv[3]);
    check(atls_runtime_new(0, &runtime, &error), &error);
    check(atls_queue_new_dispatching(&queue, &error), &error);
    check(atls_server_config_new(&config, &error), &error);
    check(atls_server_config_set_certificate(config, (char *)chain.data, (char *)key.data, &error), &error);
    check(atls_server_config_set_dstack_agent(config, argc > 4 ? argv[4] : NULL, &error), &error);
    atls_sink sink = {.queue = queue, .call = on_event};
    check(atls_server_new(runtime, config, &sink, &server, &error), &error);
    check(atls_server_listen(server, "127.0.0.1", (uint16_t)atoi(argv[1]), false, &port, &error), &error);
    printf("listening on 127.0.0.1:%u\n", port);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    check(atls_server_drain(server, 5000, &error), &error);
    check(atls_runtime_shutdown(runtime, 10000, &error), &error);
    atls_server_free(server);
    atls_server_config_free(config);
    check(atls_queue_stop(queue, &error), &error);
    atls_queue_free(queue);
    atls_runtime_free(runtime);
    free(chain.data);
    free(key.data);
    return 0;
}
