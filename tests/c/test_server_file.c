/* Answers from files, and limits that hold for one request. */
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop.h"

enum { SIZE = 3000000 };

static _Thread_local atls_error *error;
static uint16_t port;
static char path[100];
static int closed, failed;
static atls_server *server;

static void on_request(void *user_data, const atls_event *event)
{
    atls_server_request *request = user_data;
    if (event->kind == ATLS_EVENT_END && strcmp(atls_server_request_method(request).ptr, "POST") == 0)
        atls_server_request_respond(request, 200, NULL, atls_bytes_of("taken", 5), NULL);
    if (event->kind == ATLS_EVENT_CLOSED) {
        __atomic_fetch_add(&failed, event->status != ATLS_OK, __ATOMIC_SEQ_CST);
        __atomic_fetch_add(&closed, 1, __ATOMIC_SEQ_CST);
    }
}

static void drop(void *user_data)
{
    atls_server_request_free(user_data);
}

static void on_server(void *user_data, const atls_event *event)
{
    atls_error *own = NULL;
    (void)user_data;
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    atls_server_request *request = atls_server_request_ref(event->source);
    const char *target = atls_server_request_target(request).ptr;
    atls_sink sink = {.queue = queue, .call = on_request, .user_data = request, .drop = drop};
    if (strcmp(target, "/tiny") == 0)
        OK(atls_server_request_set_body_limit(request, 4, &error));
    if (strcmp(target, "/quick") == 0)
        OK(atls_server_request_set_body_deadline(request, 300, &error));
    if (strcmp(target, "/usual") == 0)
        OK(atls_server_request_set_body_deadline(request, 0, &error));
    CHECK(atls_server_request_start(request, runtime, &sink, NULL) == ATLS_OK);
    CHECK(atls_server_request_set_body_limit(request, 4, &own) == ATLS_INVALID_STATE);
    atls_error_free(own);
    own = NULL;
    if (strcmp(target, "/all") == 0)
        OK(atls_server_request_respond_file(request, runtime, 200, NULL, path, 0, ATLS_LENGTH_UNKNOWN, &error));
    if (strcmp(target, "/part") == 0)
        OK(atls_server_request_respond_file(request, runtime, 206, NULL, path, 1000, 2000, &error));
    if (strcmp(target, "/none") == 0) {
        CHECK(atls_server_request_respond_file(request, runtime, 200, NULL, "/nowhere/at/all", 0, 1, &own) == ATLS_IO);
        atls_error_free(own);
        own = NULL;
        CHECK(atls_server_request_respond_file(request, runtime, 200, NULL, "/tmp", 0, 1, &own) == ATLS_INVALID_ARGUMENT);
        atls_error_free(own);
        own = NULL;
        CHECK(atls_server_request_respond_file(request, runtime, 200, NULL, path, SIZE, 1, &own) == ATLS_INVALID_ARGUMENT);
        atls_error_free(own);
        OK(atls_server_request_respond(request, 404, NULL, atls_bytes_of(NULL, 0), &error));
    }
    if (strcmp(target, "/shrinks") == 0) {
        OK(atls_server_request_respond_file(request, runtime, 200, NULL, path, 0, ATLS_LENGTH_UNKNOWN, &error));
        CHECK(truncate(path, 100000) == 0);
    }
}

static uint8_t byte_at(size_t at)
{
    return (uint8_t)(at * 31 >> 5);
}

static char answer[SIZE + 1000];

/* Sends all of it, waits, and returns the length of what comes until the server closes. */
static size_t say(const char *text, useconds_t wait)
{
    size_t got = 0;
    ssize_t n;
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&place, sizeof place) == 0);
    CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
    usleep(wait);
    while (got < sizeof answer - 1 && (n = recv(fd, answer + got, sizeof answer - 1 - got, 0)) > 0)
        got += (size_t)n;
    answer[got] = '\0';
    close(fd);
    return got;
}

static void body_is(size_t got, size_t from, size_t wanted)
{
    char *end = strstr(answer, "\r\n\r\n");
    CHECK(end);
    size_t head = (size_t)(end + 4 - answer);
    CHECK(got - head == wanted);
    for (size_t i = 0; i < wanted; i++)
        CHECK((uint8_t)answer[head + i] == byte_at(from + i));
}

#define ASK(method, target, lines) method " " target " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" lines "\r\n"

static void wait_closed(int wanted)
{
    for (int i = 0; i < 5000 && __atomic_load_n(&closed, __ATOMIC_SEQ_CST) < wanted; i++)
        usleep(1000);
    CHECK(closed == wanted);
}

static void a_file_or_a_part_of_it_is_sent(void)
{
    body_is(say(ASK("GET", "/all", ""), 200000), 0, SIZE);
    CHECK(strstr(answer, "Content-Length: 3000000\r\n"));
    body_is(say(ASK("GET", "/part", ""), 0), 1000, 2000);
    CHECK(strncmp(answer, "HTTP/1.1 206 Partial Content\r\n", 30) == 0);
    body_is(say(ASK("HEAD", "/all", ""), 0), 0, 0);
    CHECK(strstr(answer, "Content-Length: 3000000\r\n"));
}

static void a_missing_file_is_answered_by_the_host(void)
{
    say(ASK("GET", "/none", ""), 0);
    CHECK(strncmp(answer, "HTTP/1.1 404 ", 13) == 0);
}

static void limits_of_one_request_hold_for_it_alone(void)
{
    say(ASK("POST", "/tiny", "Content-Length: 4\r\n") "four", 0);
    CHECK(strstr(answer, "taken"));
    say(ASK("POST", "/tiny", "Content-Length: 5\r\n") "fiveX", 0);
    CHECK(strncmp(answer, "HTTP/1.1 413 ", 13) == 0);
    say(ASK("POST", "/other", "Content-Length: 5\r\n") "fiveX", 0);
    CHECK(strstr(answer, "taken"));
    say(ASK("POST", "/quick", "Content-Length: 5\r\n") "fo", 0);
    CHECK(strncmp(answer, "HTTP/1.1 408 ", 13) == 0);
    say(ASK("POST", "/quick", "Content-Length: 4\r\n") "four", 0);
    CHECK(strstr(answer, "taken"));
    wait_closed(5);
    CHECK(failed == 2);
}

static void a_deadline_of_0_is_that_of_the_server(void)
{
    say(ASK("POST", "/usual", "Content-Length: 5\r\n") "fo", 0);
    CHECK(strncmp(answer, "HTTP/1.1 408 ", 13) == 0);
    wait_closed(1);
    CHECK(failed == 1);
}

static void a_file_that_shrinks_ends_the_connection(void)
{
    CHECK(say(ASK("GET", "/shrinks", ""), 100000) < SIZE);
    wait_closed(1);
    CHECK(failed == 1);
}

static void set_up(void)
{
    atls_server_config *config = NULL;
    loop_start();
    closed = failed = 0;
    snprintf(path, sizeof path, "/tmp/atls-file-%d", (int)getpid());
    FILE *out = fopen(path, "wb");
    CHECK(out);
    for (size_t i = 0; i < SIZE; i++)
        fputc(byte_at(i), out);
    fclose(out);
    atls_sink sink = {.queue = queue, .call = on_server};
    OK(atls_server_config_new(&config, &error));
    OK(atls_server_config_set_deadline(config, ATLS_SERVER_DEADLINE_BODY, 1000, &error));
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    atls_server_config_free(config);
}

static void tear_down(void)
{
    unlink(path);
    OK(atls_server_close(server, &error));
    atls_server_free(server);
    loop_end();
}

TESTS(set_up, tear_down, CASE(a_file_or_a_part_of_it_is_sent), CASE(a_missing_file_is_answered_by_the_host),
      CASE(limits_of_one_request_hold_for_it_alone), CASE(a_deadline_of_0_is_that_of_the_server),
      CASE(a_file_that_shrinks_ends_the_connection))
