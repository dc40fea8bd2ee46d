/* The server beside raw sockets: what it answers to what is not HTTP, requests one after another, and answers that come early. */
#include "visits.h"

/* None of these may reach the host; each is answered, and the connection ends. */
static void what_is_not_http_never_reaches_the_host(void)
{
    static const struct {
        const char *bytes, *status;
    } cases[] = {
        {"HELLO\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\n\r\n", "400"},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
        {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        {"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        {GET "no colon\r\n\r\n", "400"},
        {GET "a : b\r\n\r\n", "400"},
        {GET "a: b\001\r\n\r\n", "400"},
        {GET " folded: x\r\n\r\n", "400"},
        {POST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
        {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "501"},
        {POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"},
        {POST "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", "400"},
        {POST "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd", "400"},
        {POST "Content-Length: +4\r\n\r\nabcd", "400"},
        {POST "Content-Length: 99999999999999999999999\r\n\r\n", "400"},
    };
    atls_server *server = serve(0, 0, 0, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = say(cases[i].bytes);
        if (strncmp(text, "HTTP/1.1 ", 9) != 0 || strncmp(text + 9, cases[i].status, 3) != 0 || !strstr(text, "Connection: close\r\n")) {
            fprintf(stderr, "case %zu: \"%s\", wanted %s\n", i, text, cases[i].status);
            exit(1);
        }
    }
    CHECK(seen == 0 && atls_server_count(server, ATLS_SERVER_COUNT_REQUESTS_REFUSED) == sizeof cases / sizeof *cases && refusals == sizeof cases / sizeof *cases);
    /* A body that breaks once the host has the request: the host hears of it, and so does the peer. */
    static const char *bodies[] = {"x\r\n", "5\r\nhelloworld\r\n", "-1\r\n", "1\nx\n0\n\n", "fffffffffffffffff\r\n"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        char bytes[200];
        snprintf(bytes, sizeof bytes, POST "Transfer-Encoding: chunked\r\n\r\n%s", bodies[i]);
        CHECK(strncmp(say(bytes), "HTTP/1.1 400", 12) == 0);
    }
    end(server, true);
    CHECK(seen == 5 && failed == 5 && last_status == ATLS_HTTP_PROTOCOL);
}

static void requests_are_answered_in_their_order(void)
{
    atls_server *server = serve(0, 0, 0, 0);
    /* Pipelined, and one after another; HTTP/1.0 ends unless it asks otherwise. */
    char *text = say(GET "\r\n" POST "Content-Length: 3\r\n\r\nabc" POST "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nde\r\n0\r\n\r\n");
    char *one = strstr(text, "\r\n\r\nGET 0HTTP/1.1 200 OK\r\n"), *two = strstr(text, "POST 3HTTP"), *three = strstr(text, "POST 2");
    CHECK(one && two > one && three > two);
    CHECK(strstr(say("GET / HTTP/1.0\r\n\r\n"), "\r\n\r\nGET 0") && strstr(say("HEAD / HTTP/1.0\r\n\r\n"), "Content-Length: 6\r\n"));
    text = say(GET "\r\nGET /chunks HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    CHECK(strstr(text, "HTTP/1.1 103 Early Hints\r\nX-End: yes\r\n\r\nHTTP/1.1 299 So so\r\n"));
    CHECK(strstr(text, "Transfer-Encoding: chunked\r\n") && strstr(text, "\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\nX-End: yes\r\n\r\n"));
    /* HTTP/1.0 knows no chunks. */
    text = say("GET /chunks HTTP/1.0\r\n\r\n");
    CHECK(!strstr(text, "chunked") && strstr(text, "\r\n\r\nonetwo"));
    text = say("GET /304 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    CHECK(strncmp(text, "HTTP/1.1 304 Not Modified\r\n", 27) == 0 && !strstr(text, "not sent"));
    /* Who waits to be asked for the body is asked. */
    int fd = dial();
    const char *head = POST "Expect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n";
    char buffer[100] = "";
    CHECK(send(fd, head, strlen(head), 0) > 0 && recv(fd, buffer, sizeof buffer - 1, 0) > 0);
    CHECK(strcmp(buffer, "HTTP/1.1 100 Continue\r\n\r\n") == 0 && send(fd, "abc", 3, 0) == 3);
    CHECK(strstr(until_end(fd), "POST 3"));
    CHECK(strncmp(say("GET /ignored HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 500", 12) == 0);
    int before = failed;
    CHECK(strstr(say("GET /short HTTP/1.1\r\nHost: a\r\n\r\n"), "\r\n\r\nfour"));
    CHECK(!strstr(say("GET /long HTTP/1.1\r\nHost: a\r\n\r\n"), "four") && say("GET /cancel HTTP/1.1\r\nHost: a\r\n\r\n")[0] == '\0');
    end(server, true);
    CHECK(failed == before + 3 && closed == seen - 1);
}

/* A request that is answered before its body has come: the rest is discarded, the answer arrives, and the connection ends. */
static void an_early_answer_arrives_and_ends_the_connection(void)
{
    atls_server *server = serve(0, 0, 0, 0);
    char buffer[200] = "";
    static const struct {
        const char *framing;
        size_t body;
    } cases[] = {{"Content-Length: 3", 3}, {"Content-Length: 300000", 300000}, {"Expect: 100-continue\r\nContent-Length: 3", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static char rest[300000 + 100];
        int fd = dial(), len = snprintf(buffer, sizeof buffer, "POST /early HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", cases[i].framing);
        CHECK(send(fd, buffer, (size_t)len, 0) == len && recv(fd, buffer, sizeof buffer, 0) > 0);
        /* Only who waits to be asked for its body is, where the answer was not there yet; then it may come in time. */
        bool asked = strncmp(buffer, "HTTP/1.1 100", 12) == 0;
        CHECK(asked ? cases[i].framing[0] == 'E' : strncmp(buffer, "HTTP/1.1 200", 12) == 0);
        memset(rest, 'x', cases[i].body);
        strcpy(rest + cases[i].body, GET "Connection: close\r\n\r\n");
        CHECK(send(fd, rest, cases[i].body + strlen(rest + cases[i].body), MSG_NOSIGNAL) > 0);
        bool again = strstr(until_end(fd), "GET 0") != NULL;
        CHECK(asked || !again);
    }
    end(server, true);
    CHECK(failed == 0 && closed >= 3);
}

TESTS(loop_start, loop_end, CASE(what_is_not_http_never_reaches_the_host), CASE(requests_are_answered_in_their_order),
      CASE(an_early_answer_arrives_and_ends_the_connection))
