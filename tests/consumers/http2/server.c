/* server.c - the server that test_http2.py drives. It attests by the simulated machine, speaks the versions of HTTP that its first argument names, prints
 * its port, and stops in order once its standard input ends. With a second argument it asks its clients for evidence. */
#include <atls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atls_runtime *runtime;
static atls_queue *queue;

static void must(atls_status status, const char *what, atls_error *error)
{
    if (status == ATLS_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, atls_error_message(error).ptr);
    exit(1);
}

static size_t length;

/* The bytes of a file of the simulator's; `length` says how many. */
static char *file(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", getenv("ATLS_SIM"), name);
    FILE *in = fopen(path, "rb");
    char *text = calloc(1, 1 << 20);
    length = in && text ? fread(text, 1, (1 << 20) - 1, in) : 0;
    if (length == 0)
        exit(1);
    fclose(in);
    return text;
}

/* Pieces of a body that are held at most: the credit bounds their bytes. */
#define HELD 4096

/* What one request needs to remember. */
struct call {
    atls_server_request *request;
    unsigned long long received;
    unsigned left;
    /* What is to be echoed and there was no room for, in a ring; the body has ended. */
    atls_buf *held[HELD];
    unsigned first, count;
    int ended;
};

static int is(struct call *call, const char *path)
{
    return strcmp(atls_server_request_target(call->request).ptr, path) == 0;
}

static int echoes(struct call *call)
{
    return is(call, "/echo") || is(call, "/grpc.Echo/Say");
}

/* Trailers that say how much came, and to gRPC that all is well. */
static void end_with_count(struct call *call)
{
    char text[32];
    atls_headers *trailers = NULL;
    snprintf(text, sizeof text, "%llu", call->received);
    must(atls_headers_new(true, &trailers, NULL), "headers", NULL);
    must(atls_headers_add(trailers, "X-Count", atls_bytes_of_text(text), NULL), "trailer", NULL);
    must(atls_headers_add(trailers, "Grpc-Status", atls_bytes_of_text("0"), NULL), "trailer", NULL);
    atls_server_request_finish(call->request, trailers, NULL);
    atls_headers_free(trailers);
}

/* What is held, as long as there is room; then there is credit for more. */
static void more_of_the_echo(struct call *call)
{
    while (call->count > 0) {
        atls_buf *buf = call->held[call->first];
        size_t len = atls_buf_len(buf);
        if (atls_server_request_write(call->request, atls_bytes_of(atls_buf_data(buf), len), NULL) == ATLS_AGAIN)
            return;
        atls_server_request_grant(call->request, len, NULL);
        atls_buf_free(buf);
        call->first = (call->first + 1) % HELD;
        call->count--;
    }
    if (call->ended)
        end_with_count(call);
}

static void echo(struct call *call, atls_buf *buf)
{
    if (call->count == HELD)
        exit(1);
    call->held[(call->first + call->count++) % HELD] = atls_buf_ref(buf);
    more_of_the_echo(call);
}

/* Zeros, as long as there is room. */
static void more_zeros(struct call *call)
{
    static const uint8_t zeros[16384];
    while (call->left > 0 && atls_server_request_write(call->request, atls_bytes_of(zeros, sizeof zeros), NULL) == ATLS_OK)
        if (--call->left == 0)
            atls_server_request_finish(call->request, NULL, NULL);
}

static void answer(struct call *call)
{
    atls_headers *headers = NULL;
    atls_server_request *request = call->request;
    must(atls_headers_new(true, &headers, NULL), "headers", NULL);
    if (is(call, "/hints")) {
        must(atls_headers_add(headers, "Link", atls_bytes_of_text("</a>"), NULL), "link", NULL);
        atls_server_request_send_head(request, 103, NULL, headers, ATLS_LENGTH_UNKNOWN, NULL);
        atls_server_request_respond(request, 200, NULL, atls_bytes_of_text("hints"), NULL);
    } else if (is(call, "/zeros")) {
        call->left = 256;
        atls_server_request_send_head(request, 200, NULL, NULL, (uint64_t)256 * 16384, NULL);
        more_zeros(call);
    } else if (is(call, "/none")) {
        atls_server_request_respond(request, 204, NULL, atls_bytes_of_text(""), NULL);
    } else if (is(call, "/hop")) {
        must(atls_headers_add(headers, "Connection", atls_bytes_of_text("close"), NULL), "close", NULL);
        must(atls_headers_add(headers, "Keep-Alive", atls_bytes_of_text("timeout=1"), NULL), "hop", NULL);
        atls_server_request_respond(request, 200, headers, atls_bytes_of_text("hop"), NULL);
    } else if (is(call, "/short")) {
        atls_server_request_send_head(request, 200, NULL, NULL, 10, NULL);
        atls_server_request_write(request, atls_bytes_of_text("short"), NULL);
        atls_server_request_finish(request, NULL, NULL);
    } else if (!is(call, "/never")) {
        char text[256];
        atls_head *head = atls_server_request_head(request);
        snprintf(text, sizeof text, "%s %s version=%u host=%s cookie=%s", atls_server_request_method(request).ptr,
                 atls_server_request_authority(request).ptr, atls_server_request_http_version(request),
                 atls_head_get(head, "host").ptr, atls_head_get(head, "cookie").ptr);
        atls_head_free(head);
        atls_server_request_respond(request, 200, NULL, atls_bytes_of_text(text), NULL);
    }
    atls_headers_free(headers);
}

static void on_request(void *user_data, const atls_event *event)
{
    struct call *call = user_data;
    if (event->kind == ATLS_EVENT_DATA) {
        call->received += atls_buf_len(event->buf);
        if (echoes(call))
            echo(call, event->buf);
        else
            atls_server_request_grant(call->request, atls_buf_len(event->buf), NULL);
    } else if (event->kind == ATLS_EVENT_END) {
        call->ended = 1;
        if (echoes(call))
            more_of_the_echo(call);
        else
            answer(call);
    } else if (event->kind == ATLS_EVENT_WRITABLE) {
        if (echoes(call))
            more_of_the_echo(call);
        else
            more_zeros(call);
    } else if (event->kind == ATLS_EVENT_CLOSED) {
        printf("closed %s %d\n", atls_server_request_target(call->request).ptr, (int)event->status);
        fflush(stdout);
    }
}

static void let_go(void *user_data)
{
    struct call *call = user_data;
    while (call->count > 0)
        atls_buf_free(call->held[(call->first + --call->count) % HELD]);
    atls_server_request_free(call->request);
    free(call);
}

static void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind == ATLS_EVENT_REFUSED) {
        printf("refused %s\n", atls_error_message(event->error).ptr);
        fflush(stdout);
    }
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    struct call *call = calloc(1, sizeof *call);
    call->request = atls_server_request_ref(event->source);
    atls_sink sink = {.queue = queue, .call = on_request, .user_data = call, .drop = let_go};
    if (atls_server_request_start(call->request, runtime, &sink, NULL) != ATLS_OK)
        return;
    if (echoes(call)) {
        atls_headers *headers = NULL;
        must(atls_headers_new(true, &headers, NULL), "headers", NULL);
        must(atls_headers_add(headers, "Content-Type", atls_bytes_of_text("application/grpc"), NULL), "type", NULL);
        atls_server_request_send_head(call->request, 200, NULL, headers, ATLS_LENGTH_UNKNOWN, NULL);
        atls_headers_free(headers);
    }
}

static void ask_clients(atls_server_config *config, const char *policy_file)
{
    atls_error *error = NULL;
    atls_policy *policy = NULL;
    atls_verifier *verifier = NULL;
    atls_verifier_config *trust = NULL;
    char *json = file(policy_file), *root = file("root.der");
    must(atls_policy_new(atls_bytes_of_text(json), &policy, &error), "policy", error);
    must(atls_verifier_config_new(&trust, &error), "trust", error);
    must(atls_verifier_config_set_simulated_root(trust, atls_bytes_of(root, length), &error), "root", error);
    must(atls_verifier_new(trust, &verifier, &error), "verifier", error);
    atls_verifier_config_free(trust);
    must(atls_server_config_set_client_policy(config, policy, verifier, &error), "client policy", error);
    atls_policy_free(policy);
    atls_verifier_free(verifier);
    free(json);
    free(root);
}

int main(int argc, char **argv)
{
    uint16_t port;
    char byte, agent[512];
    atls_error *error = NULL;
    atls_server *server = NULL;
    atls_server_config *config = NULL;
    char *chain = file("peer.pem"), *key = file("peer-key.pem");
    must(atls_runtime_new(2, &runtime, &error), "runtime", error);
    must(atls_queue_new_dispatching(&queue, &error), "queue", error);
    must(atls_server_config_new(&config, &error), "config", error);
    must(atls_server_config_set_certificate(config, chain, key, &error), "certificate", error);
    snprintf(agent, sizeof agent, "%s/agent.sock", getenv("ATLS_SIM"));
    must(atls_server_config_set_dstack_agent(config, agent, &error), "agent", error);
    must(atls_server_config_set_http_versions(config, (uint32_t)atoi(argv[1]), &error), "versions", error);
    must(atls_server_config_set_limit(config, ATLS_SERVER_LIMIT_BODY_BYTES, 8 << 20, &error), "limit", error);
    must(atls_server_config_set_deadline(config, ATLS_SERVER_DEADLINE_IDLE, 3000, &error), "idle", error);
    must(atls_server_config_set_deadline(config, ATLS_SERVER_DEADLINE_TCP_KEEPALIVE, 1000, &error), "probes", error);
    must(atls_server_config_set_deadline(config, ATLS_SERVER_DEADLINE_SEND, 3000, &error), "send", error);
    must(atls_server_config_set_credit(config, 128 << 10, false, &error), "credit", error);
    if (argc > 2)
        ask_clients(config, argv[2]);
    atls_sink sink = {.queue = queue, .call = on_server};
    must(atls_server_start(runtime, config, &sink, &server, &error), "server", error);
    must(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error), "listen", error);
    printf("%u\n", port);
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        ;
    must(atls_server_drain(server, 5000, &error), "drain", error);
    for (int wait = 0; wait < 600 && atls_server_count(server, ATLS_SERVER_COUNT_CONNECTIONS) > 0; wait++)
        usleep(10000);
    atls_server_free(server);
    atls_server_config_free(config);
    must(atls_runtime_shutdown(runtime, 10000, &error), "shutdown", error);
    must(atls_queue_stop(queue, &error), "stop", error);
    atls_queue_free(queue);
    atls_runtime_free(runtime);
    free(chain);
    free(key);
    return 0;
}
