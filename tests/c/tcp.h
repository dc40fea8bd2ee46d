/* tcp.h - a server of a few lines, each connection served on a thread of its own; and the client side of a connection. */
#ifndef TCP_H
#define TCP_H

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"

struct tcp {
    int fd;
    unsigned port;
    void (*serve)(int fd);
    pthread_t thread;
};

struct tcp_one {
    int fd;
    void (*serve)(int fd);
};

static inline void *tcp_serve_one(void *argument)
{
    struct tcp_one one = *(struct tcp_one *)argument;
    free(argument);
    one.serve(one.fd);
    close(one.fd);
    return NULL;
}

static inline void *tcp_accept(void *argument)
{
    struct tcp *tcp = argument;
    for (;;) {
        struct tcp_one *one = malloc(sizeof *one);
        pthread_t thread;
        CHECK(one);
        *one = (struct tcp_one){accept(tcp->fd, NULL, NULL), tcp->serve};
        if (one->fd < 0) {
            free(one);
            return NULL;
        }
        CHECK(pthread_create(&thread, NULL, tcp_serve_one, one) == 0);
        pthread_detach(thread);
    }
}

static inline void tcp_start(struct tcp *tcp, void (*serve)(int fd))
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof place;
    tcp->serve = serve;
    tcp->fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(tcp->fd >= 0 && bind(tcp->fd, (struct sockaddr *)&place, len) == 0 && listen(tcp->fd, 128) == 0);
    CHECK(getsockname(tcp->fd, (struct sockaddr *)&place, &len) == 0);
    tcp->port = ntohs(place.sin_port);
    CHECK(pthread_create(&tcp->thread, NULL, tcp_accept, tcp) == 0);
}

static inline void tcp_stop(struct tcp *tcp)
{
    shutdown(tcp->fd, SHUT_RDWR);
    pthread_join(tcp->thread, NULL);
    close(tcp->fd);
}

/* A connection to a port of this machine; reading from it fails after 20 seconds without a byte. */
static inline int tcp_dial(uint16_t port)
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&place, sizeof place) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    return fd;
}

/* Reads a request's head, and perhaps more; false at the end. */
static inline int tcp_head(int fd, char *buffer, size_t cap)
{
    size_t have = 0;
    while (have < cap - 1) {
        ssize_t n = recv(fd, buffer + have, cap - 1 - have, 0);
        if (n <= 0)
            return 0;
        have += (size_t)n;
        buffer[have] = '\0';
        if (strstr(buffer, "\r\n\r\n"))
            return 1;
    }
    return 0;
}

static inline int tcp_send(int fd, const void *data, size_t len)
{
    for (const char *at = data; len > 0;) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return 0;
        at += n;
        len -= (size_t)n;
    }
    return 1;
}

/* A client for servers that nobody judges, event-driven if there is a runtime. */
static inline atls_client *tcp_client(atls_runtime *runtime)
{
    atls_error *error = NULL;
    atls_config *config = NULL;
    atls_client *client = NULL;
    atls_client_limits *limits = NULL;
    OK(atls_config_new("localhost", 1, &config, &error));
    OK(atls_config_set_unattested(config, &error));
    OK(atls_client_limits_new(&limits, &error));
    OK(atls_client_limits_set_requests(limits, 1000, &error));
    OK(atls_client_new(runtime, config, limits, &client, &error));
    atls_client_limits_free(limits);
    atls_config_free(config);
    return client;
}

static inline atls_request *tcp_request(const char *method, unsigned port, const char *path)
{
    char url[200];
    atls_error *error = NULL;
    atls_request *request = NULL;
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, path);
    OK(atls_request_new_url(method, url, &request, &error));
    return request;
}

#endif
