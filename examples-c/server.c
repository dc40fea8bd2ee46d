/* server.c - an HTTP server: a greeting, a streamed response, and an upload that is counted as it arrives.
 *
 * usage: server PORT [CHAIN.pem KEY.pem]       (port 0 lets the system choose; serves until standard input ends)
 */
#include <unistd.h>

#include "serving.h"

static atls_queue *queue;
static atls_runtime *runtime;

/* One request. */
struct visit {
    atls_server_request *request;
    uint64_t received;
    int lines; /* still to be sent */
};

static void send_lines(struct visit *visit)
{
    char line[40];
    atls_error *error = NULL;
    while (visit->lines > 0) {
        int len = snprintf(line, sizeof line, "%d to go\n", visit->lines);
        if (atls_server_request_write(visit->request, atls_bytes_of(line, (size_t)len), &error) != ATLS_OK) {
            atls_error_free(error);
            return; /* WRITABLE comes when there is room again, CLOSED if the peer is gone */
        }
        visit->lines--;
    }
    atls_server_request_finish(visit->request, NULL, NULL);
}

static void on_body(void *user_data, const atls_event *event)
{
    struct visit *visit = user_data;
    char text[60];
    switch (event->kind) {
    case ATLS_EVENT_DATA:
        visit->received += atls_buf_len(event->buf);
        break;
    case ATLS_EVENT_END:
        if (strcmp(atls_server_request_target(visit->request).ptr, "/lines") == 0) {
            visit->lines = 100000;
            atls_server_request_send_head(visit->request, 200, NULL, NULL, ATLS_LENGTH_UNKNOWN, NULL);
            send_lines(visit);
        } else if (strcmp(atls_server_request_method(visit->request).ptr, "POST") == 0) {
            int len = snprintf(text, sizeof text, "%llu bytes\n", (unsigned long long)visit->received);
            atls_server_request_respond(visit->request, 200, NULL, atls_bytes_of(text, (size_t)len), NULL);
        } else {
            atls_server_request_respond(visit->request, 200, NULL, atls_bytes_of_text("hello\n"), NULL);
        }
        break;
    case ATLS_EVENT_WRITABLE:
        send_lines(visit);
        break;
    default:
        break;
    }
}

/* Runs after CLOSED. */
static void on_drop(void *user_data)
{
    struct visit *visit = user_data;
    atls_server_request_free(visit->request);
    free(visit);
}

static void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    struct visit *visit = calloc(1, sizeof *visit);
    if (!visit)
        return; /* a request that is not started is answered with 500 */
    visit->request = atls_server_request_ref(event->source);
    atls_sink sink = {.queue = queue, .call = on_body, .user_data = visit, .drop = on_drop};
    if (atls_server_request_start(visit->request, runtime, &sink, NULL) != ATLS_OK)
        on_drop(visit);
}

int main(int argc, char **argv)
{
    if (argc != 2 && argc != 4) {
        fprintf(stderr, "usage: %s PORT [CHAIN.pem KEY.pem]\n", argv[0]);
        return 2;
    }
    atls_error *error = NULL;
    atls_server_config *config = NULL;
    check(atls_runtime_new(0, &runtime, &error), &error);
    check(atls_queue_new_dispatching(&queue, &error), &error);
    check(atls_server_config_new(&config, &error), &error);
    if (argc == 4)
        set_certificate(config, argv[2], argv[3]);
    atls_server *server = listen_on(runtime, queue, config, on_server, argv[1]);
    while (getchar() != EOF)
        ;
    stop_server(server, runtime, queue);
    atls_server_config_free(config);
    return 0;
}
