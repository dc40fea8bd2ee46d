/* Calls on a request: wrong ones, answers to HTTP/1.0, bodies beyond their limit, and what waits for a slow peer. */
#define _GNU_SOURCE

#include "calls.h"

static void a_wrong_call_leaves_the_request_usable(void)
{
    atls_server *server = serve(configure());
    char *text = say(ASK("GET", "/wrong") LAST "\r\n");
    CHECK(strncmp(text, "HTTP/1.1 200", 12) == 0 && strstr(text, "Content-Length: 4\r\n") && strstr(text, "\r\n\r\nfour"));
    CHECK(failed == 0);
    CHECK(strstr(say(ASK("GET", "/short") "\r\n"), "\r\n\r\nfour"));
    until(&failed, 1);
    /* RFC 9110 section 15.5.22. */
    text = say(ASK("GET", "/upgrade") LAST "\r\n");
    CHECK(strncmp(text, "HTTP/1.1 426 Upgrade Required\r\n", 31) == 0 && strstr(text, "Upgrade: TLS/1.3\r\n"));
    CHECK(strcasestr(text, "Connection: Upgrade\r\n") && strcasestr(text, "Connection: close\r\n"));
    /* A target that is no path. */
    CHECK(strstr(say(ASK("OPTIONS", "*") LAST "\r\n"), "fine") && strcmp(authority, "a") == 0);
    CHECK(strstr(say(ASK("GET", "http://b.example:1/x") LAST "\r\n"), "fine") && strcmp(authority, "b.example:1") == 0);
    CHECK(strstr(say("GET / HTTP/1.0\r\n\r\n"), "fine") && strcmp(authority, "") == 0);
    end(server);
    atls_buf *found = NULL;
    OK(atls_effective_authority("CONNECT", "b.example:443", "a", &found, &error));
    CHECK(strcmp((const char *)atls_buf_data(found), "b.example:443") == 0);
    atls_buf_free(found);
    OK(atls_effective_authority("GET", "https://me@b.example/", "a", &found, &error));
    CHECK(atls_buf_len(found) == 0);
    atls_buf_free(found);
    EXPECT(ATLS_NULL_ARGUMENT, "target", atls_effective_authority("GET", NULL, "a", &found, &error));
}

static void a_body_beyond_its_limit_is_never_asked_for(void)
{
    atls_server_config *config = configure();
    OK(atls_server_config_set_limit(config, ATLS_SERVER_LIMIT_BODY_BYTES, 10, &error));
    atls_server *server = serve(config);
    /* Nothing of the body is sent, nor asked for. */
    char *text = say(ASK("POST", "/") "Expect: 100-continue\r\nContent-Length: 11\r\n\r\n");
    CHECK(strncmp(text, "HTTP/1.1 413", 12) == 0);
    CHECK(strncmp(say(ASK("POST", "/") "Content-Length: 9000000000000000000\r\n\r\n"), "HTTP/1.1 413", 12) == 0);
    until(&failed, 2);
    /* Where the host has another limit for this one. */
    int fd = dial();
    CHECK(strncmp(hear(fd, ASK("POST", "/large") LAST "Expect: 100-continue\r\nContent-Length: 20\r\n\r\n", "\r\n\r\n"), "HTTP/1.1 100", 12) == 0);
    CHECK(strstr(hear(fd, "12345678901234567890", NULL), "fine"));
    close(fd);
    end(server);
    CHECK(failed == 2);
}

static void http_1_0_is_sent_what_it_knows(void)
{
    atls_server *server = serve(configure());
    int fd = dial();
    for (int i = 0; i < 3; i++) {
        char *text = hear(fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "fine");
        CHECK(strncmp(text, "HTTP/1.1 200", 12) == 0 && strcasestr(text, "\r\nConnection: keep-alive\r\n") && strstr(text, "Content-Length: 4\r\n"));
    }
    /* A body whose end is that of the connection, no informational head, no trailers. */
    char *text = hear(fd, "GET /chunks HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", NULL);
    CHECK(strncmp(text, "HTTP/1.1 200", 12) == 0 && strstr(text, "\r\n\r\nchunk") && !strstr(text, "X-End") && !strcasestr(text, "keep-alive"));
    close(fd);
    text = say("GET / HTTP/1.0\r\n\r\n");
    CHECK(strstr(text, "fine") && !strcasestr(text, "keep-alive"));
    until(&closed, 5);
    CHECK(failed == 0);
    end(server);
}

/* What waits for a peer that does not read is as much as the header says, whatever the pieces. */
static void what_waits_for_a_slow_peer_is_bounded(void)
{
    static const size_t sizes[] = {1, 100, 5000, 16384};
    atls_server *server = serve(configure());
    const char *ask = ASK("GET", "/drops") "\r\n";
    for (int i = 0; i < 4; i++) {
        /* Of which the system keeps little. */
        int ends[2], least = 1;
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
        CHECK(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least) == 0);
        OK(atls_server_adopt_connection(server, ends[0], &error));
        piece_size = sizes[i];
        CHECK(send(ends[1], ask, strlen(ask), MSG_NOSIGNAL) > 0);
        until(&closed, i + 1);
        close(ends[1]);
        if (held > 600 << 10) {
            fprintf(stderr, "%zu KiB in pieces of %zu bytes\n", held >> 10, piece_size);
            exit(1);
        }
    }
    end(server);
}

TESTS(loop_start, loop_end, CASE(a_wrong_call_leaves_the_request_usable), CASE(a_body_beyond_its_limit_is_never_asked_for),
      CASE(http_1_0_is_sent_what_it_knows), CASE(what_waits_for_a_slow_peer_is_bounded))
