/* What the server makes of what comes over the wire: pieces that arrived together, HTTP/1.0, and request lines that few clients send. */
#include <arpa/inet.h>
#include <pthread.h>
#include <unistd.h>

#include "loop.h"
#include "tcp.h"

static _Thread_local atls_error *error;
static uint16_t port;
static atls_server *server;

struct visit {
    atls_server_request *request;
    size_t received, pieces;
};

/* Answers with method, target, and in how many pieces how much has come. */
static void on_visit(void *user_data, const atls_event *event)
{
    struct visit *visit = user_data;
    if (event->kind == ATLS_EVENT_DATA) {
        visit->received += atls_buf_len(event->buf);
        visit->pieces++;
    }
    if (event->kind != ATLS_EVENT_END)
        return;
    char text[300];
    const char *method = atls_server_request_method(visit->request).ptr, *target = atls_server_request_target(visit->request).ptr;
    snprintf(text, sizeof text, "%s %s %zu in %zu.", method, target, visit->received, visit->pieces);
    /* A hint for those who know such. */
    atls_server_request_send_head(visit->request, 103, NULL, NULL, 0, NULL);
    atls_server_request_respond(visit->request, 200, NULL, atls_bytes_of_text(text), NULL);
}

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
    CHECK(visit);
    visit->request = atls_server_request_ref(event->source);
    atls_sink sink = {queue, 0, on_visit, visit, on_drop};
    CHECK(atls_server_request_start(visit->request, runtime, &sink, NULL) == ATLS_OK);
}

static int dial(void)
{
    return tcp_dial(port);
}

static char *said(int fd, const char *bytes, size_t len)
{
    static char text[100000];
    size_t at = 0;
    ssize_t n;
    CHECK(send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len);
    while ((n = recv(fd, text + at, sizeof text - 1 - at, 0)) > 0)
        at += (size_t)n;
    CHECK(n == 0);
    close(fd);
    text[at] = '\0';
    return text;
}

static char *say(const char *bytes)
{
    return said(dial(), bytes, strlen(bytes));
}

static int count(const char *text, const char *part)
{
    int found = 0;
    for (; (text = strstr(text, part)); text++)
        found++;
    return found;
}

/* A body in 20,000 single bytes is told in about as many events as there were reads, not 20,000. */
static void small_chunks_are_told_together(void)
{
    static char bytes[200000];
    size_t len = (size_t)snprintf(bytes, sizeof bytes, "POST /c HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 20000; i++, len += 6)
        memcpy(bytes + len, "1\r\nx\r\n", 6);
    memcpy(bytes + len, "0\r\n\r\n", 5);
    char *text = strstr(said(dial(), bytes, len + 5), "POST /c 20000 in ");
    CHECK(text && atoi(text + strlen("POST /c 20000 in ")) < 1000);
}

static void http_1_0_clients_keep_their_connection_if_they_ask(void)
{
    /* As `ab -k` asks: three on one connection, then one that asks for no more. */
    char *text = say("GET /1 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                     "POST /3 HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nabGET /4 HTTP/1.0\r\n\r\nGET /5 HTTP/1.0\r\n\r\n");
    CHECK(count(text, "Connection: Keep-Alive\r\n") == 3 && count(text, "Connection: close\r\n") == 1 && count(text, "HTTP/1.1 200") == 4);
    CHECK(strstr(text, "POST /3 2 in 1.") && strstr(text, "GET /4 0") && !strstr(text, "/5"));
    /* They know no 103. */
    CHECK(count(text, "HTTP/1.1 ") == 4);
    CHECK(count(say("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "HTTP/1.1 103") == 1);
    /* What has a body that nobody announced must not be read as the next request. */
    CHECK(count(say("POST / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /6 HTTP/1.0\r\n\r\n"), "HTTP/1.1 ") == 1);
}

static void unusual_request_lines_are_read(void)
{
    CHECK(strstr(say("\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "GET /b 0"));
    CHECK(strncmp(say("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 400", 12) == 0);
    CHECK(strstr(say("GET /\xc3\xa4\xe2\x82\xac?\xc3\xb6=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "GET /\xc3\xa4\xe2\x82\xac?\xc3\xb6=1 0"));
}

static void set_up(void)
{
    atls_server_config *config = NULL;
    loop_start();
    atls_sink sink = {queue, 0, on_server, NULL, NULL};
    OK(atls_server_config_new(&config, &error));
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    atls_server_config_free(config);
}

static void tear_down(void)
{
    OK(atls_server_close(server, &error));
    atls_server_free(server);
    loop_end();
}

TESTS(set_up, tear_down, CASE(small_chunks_are_told_together), CASE(http_1_0_clients_keep_their_connection_if_they_ask),
      CASE(unusual_request_lines_are_read))
