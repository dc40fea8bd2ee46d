/* attested_server.c - a server inside a TEE that proves itself, with evidence from the dstack guest agent. It plays a confidential LLM:
 * a client with a policy that this machine satisfies knows where its prompt goes, and gets the tokens one by one.
 *
 * usage: attested_server PORT CHAIN.pem KEY.pem [AGENT_SOCKET]     (serves until standard input ends)
 */
#include <pthread.h>
#include <unistd.h>

#include "serving.h"

static atls_queue *queue;
static atls_runtime *runtime;

/* One request. */
struct talk {
    atls_server_request *request;
    char prompt[4096];
    size_t len;
};

/* The text of the last "content":"...". A real server would use a JSON parser. */
static const char *content(char *json)
{
    char *text = json, *next;
    while ((next = strstr(text, "\"content\":\"")))
        text = next + 11;
    text[strcspn(text, "\"")] = '\0';
    return text == json ? "nothing" : text;
}

/* Responds at the pace of a model, on its own thread. */
static void *speak(void *user_data)
{
    struct talk *talk = user_data;
    char words[4300], event[4400], *word, *rest = words;
    snprintf(words, sizeof words, "You said: %s And nobody but this enclave has read it.", content(talk->prompt));
    while ((word = strsep(&rest, " "))) {
        int len = snprintf(event, sizeof event, "data: {\"choices\":[{\"delta\":{\"content\":\"%s \"}}]}\n\n", word);
        if (atls_server_request_write(talk->request, atls_bytes_of(event, (size_t)len), NULL) != ATLS_OK)
            break; /* the client is gone */
        usleep(20000);
    }
    atls_server_request_finish(talk->request, NULL, NULL);
    atls_server_request_free(talk->request);
    free(talk);
    return NULL;
}

static void on_talk(void *user_data, const atls_event *event)
{
    struct talk *talk = user_data;
    pthread_t thread;
    if (event->kind == ATLS_EVENT_DATA) {
        size_t room = sizeof talk->prompt - 1 - talk->len, len = atls_buf_len(event->buf);
        memcpy(talk->prompt + talk->len, atls_buf_data(event->buf), len < room ? len : room);
        talk->len += len < room ? len : room;
    } else if (event->kind == ATLS_EVENT_END) {
        struct talk *own = malloc(sizeof *own); /* outlives this request's events */
        if (!own)
            return;
        *own = *talk;
        atls_server_request_ref(own->request);
        atls_server_request_send_head(own->request, 200, NULL, NULL, ATLS_LENGTH_UNKNOWN, NULL);
        if (pthread_create(&thread, NULL, speak, own) == 0)
            pthread_detach(thread);
        else
            speak(own);
    }
}

/* Runs after CLOSED. */
static void on_drop(void *user_data)
{
    struct talk *talk = user_data;
    atls_server_request_free(talk->request);
    free(talk);
}

static void on_server(void *user_data, const atls_event *event)
{
    struct talk *talk = event->kind == ATLS_EVENT_REQUEST ? calloc(1, sizeof *talk) : NULL;
    (void)user_data;
    if (!talk)
        return; /* a request that is not started is answered with 500 */
    talk->request = atls_server_request_ref(event->source);
    atls_sink sink = {.queue = queue, .call = on_talk, .user_data = talk, .drop = on_drop};
    if (atls_server_request_start(talk->request, runtime, &sink, NULL) != ATLS_OK)
        on_drop(talk);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: %s PORT CHAIN.pem KEY.pem [AGENT_SOCKET]\n", argv[0]);
        return 2;
    }
    atls_error *error = NULL;
    atls_server_config *config = NULL;
    check(atls_runtime_new(0, &runtime, &error), &error);
    check(atls_queue_new_dispatching(&queue, &error), &error);
    check(atls_server_config_new(&config, &error), &error);
    set_certificate(config, argv[2], argv[3]);
    check(atls_server_config_set_dstack_agent(config, argc > 4 ? argv[4] : NULL, &error), &error);
    atls_server *server = listen_on(runtime, queue, config, on_server, argv[1]);
    while (getchar() != EOF)
        ;
    stop_server(server, runtime, queue);
    atls_server_config_free(config);
    return 0;
}
