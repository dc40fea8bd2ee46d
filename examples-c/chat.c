/* chat.c - sends prompts to a confidential LLM and prints its tokens as they arrive. The verdict comes first: no part of a prompt leaves
 * this machine before the server has proved what it is. One connection, one request per prompt, events on a dispatching queue.
 *
 * usage: chat HOST PORT POLICY.json PROMPT...
 */
#include <pthread.h>

#include "common.h"

struct chat {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int connected, done, failed;
    char line[8192]; /* the current line of the event stream, as far as it has arrived */
    size_t len;
};

static void signal_change(struct chat *chat, int *flag)
{
    pthread_mutex_lock(&chat->lock);
    *flag = 1;
    pthread_cond_broadcast(&chat->changed);
    pthread_mutex_unlock(&chat->lock);
}

/* Prints the "content":"..." of one server-sent event. A real client would use a JSON parser. */
static void print_token(char *line)
{
    char *text = strstr(line, "\"content\":\"");
    if (!text)
        return;
    for (text += 11; *text && *text != '"'; text++) {
        if (*text == '\\' && text[1])
            text++;
        putchar(*text);
    }
    fflush(stdout);
}

static void on_event(void *user_data, const atls_event *event)
{
    struct chat *chat = user_data;
    if (event->kind == ATLS_EVENT_CONNECTED)
        signal_change(chat, &chat->connected);
    if (event->kind == ATLS_EVENT_DATA) {
        const unsigned char *data = atls_buf_data(event->buf);
        for (size_t i = 0; i < atls_buf_len(event->buf); i++) {
            if (data[i] == '\n') {
                chat->line[chat->len] = '\0';
                print_token(chat->line);
                chat->len = 0;
            } else if (chat->len < sizeof chat->line - 1)
                chat->line[chat->len++] = (char)data[i];
        }
    }
    if (event->kind == ATLS_EVENT_CLOSED) {
        if (event->status != ATLS_OK && event->status != ATLS_CANCELED) {
            if (atls_error_verdict(event->error))
                print_verdict(atls_error_verdict(event->error), stderr);
            fprintf(stderr, "%s: %s\n", atls_status_name(event->status).ptr, atls_error_message(event->error).ptr);
            signal_change(chat, &chat->failed);
        }
        signal_change(chat, &chat->done);
    }
}

static void wait_for(struct chat *chat, int *flag)
{
    pthread_mutex_lock(&chat->lock);
    while (!*flag && !chat->failed)
        pthread_cond_wait(&chat->changed, &chat->lock);
    pthread_mutex_unlock(&chat->lock);
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: %s HOST PORT POLICY.json PROMPT...\n", argv[0]);
        return 2;
    }
    struct chat chat = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    atls_error *error = NULL;
    atls_runtime *runtime = NULL;
    atls_queue *queue = NULL;
    atls_http *http = NULL;
    atls_config *config = make_config(argv[1], argv[2], argv[3]);
    check(atls_runtime_new(1, &runtime, &error), &error);
    check(atls_queue_new_dispatching(&queue, &error), &error);
    atls_sink sink = {queue, 0, on_event, &chat, NULL};
    check(atls_http_connect_start(runtime, config, &sink, &http, &error), &error);
    wait_for(&chat, &chat.connected);
    atls_verdict *verdict = atls_http_verdict(http);
    if (verdict)
        print_verdict(verdict, stdout);
    atls_verdict_free(verdict);

    for (int i = 4; i < argc && !chat.failed; i++) {
        char body[4096];
        snprintf(body, sizeof body, "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", argv[i]);
        atls_request *request = NULL;
        atls_exchange *exchange = NULL;
        chat.done = 0;
        printf("\n> %s\n", argv[i]);
        check(atls_request_new("POST", "/v1/chat/completions", argv[1], &request, &error), &error);
        check(atls_request_set_body(request, atls_bytes_of_text(body), &error), &error);
        check(atls_http_start(http, request, &sink, &exchange, &error), &error);
        wait_for(&chat, &chat.done);
        putchar('\n');
        atls_exchange_free(exchange);
        atls_request_free(request);
    }
    atls_http_free(http);
    check(atls_queue_stop(queue, &error), &error);
    atls_queue_free(queue);
    atls_runtime_free(runtime);
    atls_config_free(config);
    return chat.failed;
}
