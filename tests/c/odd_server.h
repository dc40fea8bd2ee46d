/* odd_server.h - a server that behaves as the path of the request says, and clients for it. */
#ifndef ODD_SERVER_H
#define ODD_SERVER_H

#include <arpa/inet.h>
#include <pthread.h>
#include <strings.h>
#include <unistd.h>

#include "web.h"

enum { REQUESTS = 30 };

static unsigned port;
static atls_runtime *runtime;
static atls_queue *queue;
static int order[REQUESTS], came, open_now, open_most;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static inline size_t head_of(int conn, char *to, size_t cap)
{
    size_t have = 0;
    while (have < cap - 1 && recv(conn, to + have, 1, 0) == 1) {
        to[++have] = '\0';
        if (have >= 4 && memcmp(to + have - 4, "\r\n\r\n", 4) == 0)
            return have;
    }
    return 0;
}

static inline bool say(int conn, const char *text)
{
    return send(conn, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* Answers with the request's own head, after `lines`. */
static inline void show(int conn, const char *lines, const char *head)
{
    char text[5000];
    snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", lines, strlen(head), head);
    say(conn, text);
}

/* A digest that is refused as stale until the nonce is the second one. */
static inline void digest(int conn, const char *head)
{
    const char *login = strcasestr(head, "authorization: digest");
    if (login && strstr(login, "nonce=\"two\""))
        show(conn, "200 OK", head);
    else if (login)
        show(conn, "401 Again\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"two\", qop=\"auth\", stale=true", "");
    else
        show(conn, "401 Who\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"one\", qop=\"auth\"", "");
}

/* One piece of it is written in many, as a network may. */
static inline void endless(int conn, const char *one)
{
    static char many[66000];
    size_t len = 0;
    pthread_mutex_lock(&lock);
    while (many[0] == '\0' || len + strlen(one) < sizeof many - 1)
        len += (size_t)sprintf(many + len, "%s", one);
    pthread_mutex_unlock(&lock);
    while (say(conn, many))
        ;
}

static inline void answer(int conn, const char *head)
{
    char body[8];
    const char *path = strchr(head, '/');
    if (strncmp(path, "/turn/", 6) == 0) {
        pthread_mutex_lock(&lock);
        if (came < REQUESTS)
            order[came++] = atoi(path + 6);
        pthread_mutex_unlock(&lock);
        show(conn, "200 OK", "turn");
    } else if (strncmp(path, "/slow", 5) == 0) {
        usleep(30000);
        show(conn, "200 OK", "slow");
    } else if (strncmp(path, "/many/", 6) == 0) {
        for (int i = atoi(path + 6); i > 0; i--)
            say(conn, "HTTP/1.1 102 Processing\r\nX: y\r\n\r\n");
        show(conn, "200 OK", "many");
    } else if (strncmp(path, "/endless", 8) == 0) {
        endless(conn, "HTTP/1.1 102 Processing\r\nX: y\r\n\r\n");
    } else if (strncmp(path, "/drops", 6) == 0) { /* slowly, for ever */
        while (say(conn, "HTTP/1.1 102 Processing\r\n\r\n"))
            usleep(5000);
    } else if (strncmp(path, "/crumbs", 7) == 0) { /* 20,000 chunks of a byte, and trailers */
        static char text[130000];
        size_t len = (size_t)sprintf(text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 20000; i++)
            len += (size_t)sprintf(text + len, "1\r\n%c\r\n", 'a' + i % 26);
        sprintf(text + len, "0\r\nX-Trailer: y\r\n\r\n");
        say(conn, text);
    } else if (strncmp(path, "/lines/", 7) == 0) {
        say(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
        for (int i = atoi(path + 7) - 1; i > 0; i--)
            say(conn, "X-Line: 0123456789\r\n");
        say(conn, "\r\n");
    } else if (strncmp(path, "/switch", 7) == 0) {
        say(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n");
    } else if (strncmp(path, "/reason", 7) == 0) {
        show(conn, "200 Sch\xc3\xb6n \xe9", "");
    } else if (strncmp(path, "/expect", 7) == 0) {
        if (strcasestr(head, "expect:")) {
            show(conn, "417 No\r\nConnection: close", "");
        } else {
            CHECK(recv(conn, body, 4, MSG_WAITALL) == 4);
            show(conn, "200 OK", head);
        }
    } else if (strncmp(path, "/digest", 7) == 0) {
        digest(conn, head);
    } else if (strncmp(path, "/away", 5) == 0) { /* with a body larger than any limit, in a coding that nobody knows */
        char text[3000] = "HTTP/1.1 302 Away\r\nLocation: /head\r\nContent-Encoding: rot13\r\nContent-Length: 2000\r\n\r\n";
        memset(text + strlen(text), 'x', 2000);
        say(conn, text);
    } else {
        show(conn, "200 OK", head);
    }
}

static inline void *serve(void *arg)
{
    int conn = (int)(long)arg;
    char head[4096];
    pthread_mutex_lock(&lock);
    open_most = ++open_now > open_most ? open_now : open_most;
    pthread_mutex_unlock(&lock);
    while (head_of(conn, head, sizeof head))
        answer(conn, head);
    pthread_mutex_lock(&lock);
    open_now--;
    pthread_mutex_unlock(&lock);
    close(conn);
    return NULL;
}

_Noreturn static inline void *listener(void *arg)
{
    for (;;) {
        pthread_t thread;
        int conn = accept((int)(long)arg, NULL, NULL);
        CHECK(conn >= 0 && pthread_create(&thread, NULL, serve, (void *)(long)conn) == 0);
        pthread_detach(thread);
    }
}

static inline void listen_here(void)
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof place;
    pthread_t thread;
    int sock = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(sock, (struct sockaddr *)&place, len) == 0 && listen(sock, 100) == 0);
    CHECK(getsockname(sock, (struct sockaddr *)&place, &len) == 0);
    port = ntohs(place.sin_port);
    CHECK(pthread_create(&thread, NULL, listener, (void *)(long)sock) == 0);
    pthread_detach(thread);
}

static inline atls_config *clear_config(void)
{
    atls_config *config = NULL;
    OK(atls_config_new("localhost", 1, &config, &error));
    OK(atls_config_set_unattested(config, &error));
    return config;
}

static inline atls_client *client_with(bool events, uint32_t requests, uint32_t to_one_host, uint32_t idle)
{
    atls_client *client = NULL;
    atls_client_limits *limits = NULL;
    atls_config *config = clear_config();
    OK(atls_client_limits_new(&limits, &error));
    OK(atls_client_limits_set_requests(limits, requests, &error));
    OK(atls_client_limits_set_connections(limits, to_one_host, idle, &error));
    OK(atls_client_new(events ? runtime : NULL, config, limits, &client, &error));
    atls_client_limits_free(limits);
    atls_config_free(config);
    return client;
}

static inline atls_request *at(const char *path)
{
    return ask("GET", "http://127.0.0.1:%u%s", port, path);
}

/* Sends `count` requests and waits for all; `path` may have a place for the number. */
static inline void send_all(atls_client *client, int count, const char *host, const char *path)
{
    atls_exchange *exchanges[REQUESTS];
    for (int i = 0; i < count; i++) {
        char numbered[50];
        snprintf(numbered, sizeof numbered, "%s%d", path, i);
        atls_request *request = ask("GET", "http://%s:%u%s", host, port, numbered);
        OK(atls_client_start(client, request, &(atls_sink){.queue = queue}, &exchanges[i], &error));
        atls_request_free(request);
    }
    for (int closed = 0; closed < count;) {
        atls_event event;
        size_t n = 0;
        OK(atls_queue_wait(queue, &event, sizeof event, 1, 20000, &n, &error));
        CHECK(n == 1);
        closed += event.kind == ATLS_EVENT_CLOSED;
        CHECK(event.kind != ATLS_EVENT_CLOSED || event.status == ATLS_OK);
        atls_event_release(&event);
    }
    for (int i = 0; i < count; i++)
        atls_exchange_free(exchanges[i]);
}

static inline void set_up(void)
{
    if (!port)
        listen_here();
    OK(atls_runtime_new(2, &runtime, &error));
    OK(atls_queue_new_polled(&queue, &error));
}

static inline void tear_down(void)
{
    atls_runtime_free(runtime);
    atls_queue_free(queue);
}

#endif
