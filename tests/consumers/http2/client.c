/* client.c - the client that test_http2_client.py drives: it sends COUNT requests at a time to URL, attested by nothing, trusting the tests' own CA, and prints
 * a line for each: how it ended, its status and version of HTTP, how many bytes came, what the detail of its error is, and its text.
 *     client VERSIONS COUNT METHOD URL [BODY-BYTES [NAME VALUE]...]
 * HTTP2_POLICY is the text of a policy by which the server must prove itself; HTTP2_PAUSE_MS the time from one request to the next. */
#include <atls.h>
#include <stdatomic.h>
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

struct shot {
    atls_exchange *exchange;
    uint32_t status;
    atls_http_version version;
    unsigned hints;
    size_t bytes;
    uint8_t head[48];
    char trailer[64], message[200];
    atls_status ended;
    atls_detail detail;
    atomic_int over;
};

static void on_event(void *user_data, const atls_event *event)
{
    struct shot *shot = user_data;
    if (event->kind == ATLS_EVENT_INFORMATIONAL)
        shot->hints++;
    if (event->kind == ATLS_EVENT_HEAD) {
        shot->status = atls_head_status(event->head);
        shot->version = atls_exchange_http_version(event->source);
    }
    if (event->kind == ATLS_EVENT_DATA) {
        size_t len = atls_buf_len(event->buf), had = shot->bytes < sizeof shot->head ? shot->bytes : sizeof shot->head;
        size_t room = sizeof shot->head - had;
        memcpy(shot->head + had, atls_buf_data(event->buf), len < room ? len : room);
        shot->bytes += len;
    }
    if (event->kind == ATLS_EVENT_TRAILERS) {
        const char *name = atls_head_get(event->head, "grpc-status").ptr;
        snprintf(shot->trailer, sizeof shot->trailer, "%s", *name ? name : atls_head_get(event->head, "x-sum").ptr);
    }
    if (event->kind == ATLS_EVENT_CLOSED) {
        shot->ended = event->status;
        shot->detail = event->error ? atls_error_detail(event->error) : 0;
        snprintf(shot->message, sizeof shot->message, "%s", event->error ? atls_error_message(event->error).ptr : "");
        shot->over = 1;
    }
}

/* A policy, and a verifier that takes the simulator's evidence. */
static void attest(atls_config *config, const char *text)
{
    char path[512];
    uint8_t root[1 << 14];
    atls_error *error = NULL;
    atls_policy *policy = NULL;
    atls_verifier_config *trust = NULL;
    atls_verifier *verifier = NULL;
    snprintf(path, sizeof path, "%s/root.der", getenv("ATLS_SIM"));
    FILE *in = fopen(path, "rb");
    if (!in)
        exit(1);
    atls_bytes bytes = atls_bytes_of(root, fread(root, 1, sizeof root, in));
    fclose(in);
    must(atls_policy_new(atls_bytes_of_text(text), &policy, &error), "policy", error);
    must(atls_config_set_policy(config, policy, &error), "policy", error);
    must(atls_verifier_config_new(&trust, &error), "trust", error);
    must(atls_verifier_config_set_simulated_root(trust, bytes, &error), "root", error);
    must(atls_verifier_new(trust, &verifier, &error), "verifier", error);
    must(atls_config_set_verifier(config, verifier, &error), "verifier", error);
    atls_verifier_config_free(trust);
    atls_verifier_free(verifier);
    atls_policy_free(policy);
}

static atls_client *client_of(uint32_t versions, uint32_t count)
{
    char path[512], pem[1 << 14] = {0};
    atls_error *error = NULL;
    atls_client *client = NULL;
    atls_config *config = NULL;
    atls_client_limits *limits = NULL;
    snprintf(path, sizeof path, "%s/web-ca.pem", getenv("ATLS_SIM"));
    FILE *in = fopen(path, "rb");
    if (!in || fread(pem, 1, sizeof pem - 1, in) == 0)
        exit(1);
    fclose(in);
    must(atls_config_new("localhost", 1, &config, &error), "config", error);
    must(atls_config_add_root_pem(config, pem, &error), "root", error);
    if (getenv("HTTP2_POLICY"))
        attest(config, getenv("HTTP2_POLICY"));
    else
        must(atls_config_set_unattested(config, &error), "unattested", error);
    must(atls_config_set_http_versions(config, versions, &error), "versions", error);
    must(atls_client_limits_new(&limits, &error), "limits", error);
    must(atls_client_limits_set_requests(limits, count, &error), "requests", error);
    must(atls_client_new(runtime, config, limits, &client, &error), "client", error);
    atls_client_limits_free(limits);
    atls_config_free(config);
    return client;
}

int main(int argc, char **argv)
{
    atls_error *error = NULL;
    if (argc < 5)
        return 2;
    int count = atoi(argv[2]);
    size_t length = argc > 5 ? (size_t)atol(argv[5]) : 0;
    uint8_t *body = calloc(1, length + 1);
    struct shot *shots = calloc((size_t)count, sizeof *shots);
    must(atls_runtime_new(2, &runtime, &error), "runtime", error);
    must(atls_queue_new_dispatching(&queue, &error), "queue", error);
    atls_client *client = client_of((uint32_t)atoi(argv[1]), (uint32_t)count);
    for (int i = 0; i < count; i++) {
        atls_request *request = NULL;
        must(atls_request_new_url(argv[3], argv[4], &request, &error), "request", error);
        must(atls_request_set_deadline(request, ATLS_REQUEST_DEADLINE_TOTAL, 8000, &error), "deadline", error);
        if (length)
            must(atls_request_set_body(request, atls_bytes_of(body, length), &error), "body", error);
        for (int j = 6; j + 1 < argc; j += 2)
            must(atls_request_add_header(request, argv[j], atls_bytes_of_text(argv[j + 1]), &error), "field", error);
        atls_sink sink = {.queue = queue, .call = on_event, .user_data = &shots[i]};
        must(atls_client_start(client, request, &sink, &shots[i].exchange, &error), "start", error);
        atls_request_free(request);
        if (getenv("HTTP2_PAUSE_MS"))
            usleep((unsigned)atoi(getenv("HTTP2_PAUSE_MS")) * 1000);
    }
    for (int i = 0; i < count; i++) {
        while (!shots[i].over)
            usleep(1000);
        printf("%s status=%u version=%u hints=%u bytes=%zu detail=%u trailer=%s head=", atls_status_name(shots[i].ended).ptr, shots[i].status,
               shots[i].version, shots[i].hints, shots[i].bytes, shots[i].detail, shots[i].trailer);
        for (size_t j = 0; j < sizeof shots[i].head && j < shots[i].bytes; j++)
            printf("%02x", shots[i].head[j]);
        printf(" message=%s\n", shots[i].message);
        atls_exchange_free(shots[i].exchange);
    }
    atls_client_free(client);
    must(atls_runtime_shutdown(runtime, 10000, &error), "shutdown", error);
    must(atls_queue_stop(queue, &error), "stop", error);
    atls_queue_free(queue);
    atls_runtime_free(runtime);
    free(shots);
    free(body);
    return 0;
}
