/* sockets.h - plain sockets for the examples of HTTP/1.1 without I/O. */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atls.h>

#ifndef MSG_NOSIGNAL /* on systems without it, ignore SIGPIPE */
#define MSG_NOSIGNAL 0
#endif

static inline void give_up(const char *what)
{
    perror(what);
    exit(1);
}

static inline int connect_to(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        give_up("getaddrinfo");
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0)
        give_up("connect");
    freeaddrinfo(found);
    return fd;
}

/* Listens on a free port of the loopback interface and prints it. */
static inline int listen_here(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 16) != 0)
        give_up("listen");
    getsockname(fd, (struct sockaddr *)&address, &len);
    printf("port %u\n", (unsigned)ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

/* False if the peer is gone. */
static inline bool put(int fd, atls_bytes bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes.ptr += n;
        bytes.len -= (size_t)n;
    }
    return true;
}

/* Reads once, straight into the connection's receive buffer. False if the peer is gone. */
static inline bool fill(int fd, atls_h1_conn *conn)
{
    uint8_t *room;
    size_t len;
    if (atls_h1_conn_receive_reserve(conn, 4096, &room, &len, NULL) != ATLS_OK)
        return false;
    ssize_t n = read(fd, room, len);
    if (n < 0)
        return false;
    if (n == 0)
        return atls_h1_conn_receive_eof(conn, NULL) == ATLS_OK;
    return atls_h1_conn_receive_commit(conn, (size_t)n, NULL) == ATLS_OK;
}

static inline atls_h1_header header(const char *name, const char *value)
{
    return (atls_h1_header){atls_bytes_of_text(name), atls_bytes_of_text(value), NULL};
}

static inline bool is(atls_bytes bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.ptr, text, bytes.len) == 0;
}

#endif
