/* The examples stop as they should: what is under way comes to its end. */
#include <pthread.h>
#include <unistd.h>

#include "loop.h"
#include "tcp.h"

#include "../../examples-c/serving.h"

static _Thread_local atls_error *error;
static uint16_t port;

/* The examples' way to stop lets an answer come to its end. */
static void *slowly(void *argument)
{
    atls_server_request *request = argument;
    for (int i = 0; i < 20; i++) {
        usleep(10000);
        atls_status status = atls_server_request_write(request, atls_bytes_of("word ", 5), NULL);
        CHECK(status == ATLS_OK || getenv("ATLS_TEST_SLOW"));
    }
    OK(atls_server_request_finish(request, NULL, &error));
    atls_server_request_free(request);
    return NULL;
}

static void on_example(void *user_data, const atls_event *event)
{
    pthread_t thread;
    (void)user_data;
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    atls_sink sink = {.queue = queue};
    OK(atls_server_request_start(event->source, runtime, &sink, &error));
    OK(atls_server_request_send_head(event->source, 200, NULL, NULL, 100, &error));
    CHECK(pthread_create(&thread, NULL, slowly, atls_server_request_ref(event->source)) == 0);
    pthread_detach(thread);
}

static void the_examples_let_an_answer_come_to_its_end(void)
{
    atls_server_config *config = NULL;
    atls_server *server = NULL;
    char text[400] = "";
    size_t got = 0;
    ssize_t n;
    OK(atls_server_config_new(&config, &error));
    atls_sink sink = {.queue = queue, .call = on_example, .drop = server_is_over};
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    int fd = tcp_dial(port);
    const char *head = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    CHECK(send(fd, head, strlen(head), MSG_NOSIGNAL) > 0 && recv(fd, text, 1, MSG_PEEK) == 1);
    stop_server(server, runtime, queue);
    while ((n = recv(fd, text + got, sizeof text - 1 - got, 0)) > 0)
        got += (size_t)n;
    const char *body = strstr(text, "\r\n\r\n");
    CHECK(n == 0 && body && strlen(body) == 104);
    close(fd);
    atls_server_config_free(config);
    loop_start(); /* for tear_down: stop_server has freed the ones of this case */
}

TESTS(loop_start, loop_end, CASE(the_examples_let_an_answer_come_to_its_end))
