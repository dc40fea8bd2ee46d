/* What a client takes of a server that means harm: coded bodies in any cut, and cookies without end. */
#include <arpa/inet.h>
#include <pthread.h>
#include <unistd.h>

#include "test.h"

static _Thread_local atls_error *error;

/* A server of one thread: `answer` serves each connection until it returns. */
struct peer {
    uint16_t port;
    int fd;
    void (*answer)(int fd);
    pthread_t thread;
};

static void *serve(void *arg)
{
    struct peer *peer = arg;
    int fd;
    while ((fd = accept(peer->fd, NULL, NULL)) >= 0) {
        peer->answer(fd);
        close(fd);
    }
    return NULL;
}

static void start(struct peer *peer, void (*answer)(int))
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof place;
    peer->answer = answer;
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(peer->fd >= 0 && bind(peer->fd, (struct sockaddr *)&place, sizeof place) == 0 && listen(peer->fd, 10) == 0);
    CHECK(getsockname(peer->fd, (struct sockaddr *)&place, &len) == 0);
    peer->port = ntohs(place.sin_port);
    CHECK(pthread_create(&peer->thread, NULL, serve, peer) == 0);
}

static void stop(struct peer *peer)
{
    shutdown(peer->fd, SHUT_RDWR);
    pthread_join(peer->thread, NULL);
    close(peer->fd);
}

static bool read_head(int fd, char *head, size_t room)
{
    size_t got = 0;
    ssize_t n;
    while (got < room - 1 && (n = recv(fd, head + got, room - 1 - got, 0)) > 0) {
        got += (size_t)n;
        head[got] = '\0';
        if (strstr(head, "\r\n\r\n"))
            return true;
    }
    return false;
}

static atls_client *new_client(void)
{
    atls_client *client = NULL;
    atls_config *config = NULL;
    OK(atls_config_new("localhost", 1, &config, &error));
    OK(atls_config_set_unattested(config, &error));
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    atls_config_free(config);
    return client;
}

static atls_status fetch(atls_client *client, const char *host, uint16_t port, bool decode, atls_buf **body)
{
    char url[100];
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    atls_buf *unused = NULL;
    snprintf(url, sizeof url, "http://%s:%u/", host, port);
    OK(atls_request_new_url("GET", url, &request, &error));
    OK(atls_request_set_decode(request, decode, &error));
    OK(atls_client_fetch(client, request, &exchange, &error));
    atls_status status = atls_exchange_read_all(exchange, 1000, 20000, body ? body : &unused, &error);
    atls_buf_free(unused);
    atls_exchange_free(exchange);
    atls_request_free(request);
    return status;
}

static void send_lines(int fd)
{
    char head[1000];
    const char *answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\nX-Empty:\r\nX-Two: 1\r\nx-two: 2\r\n\r\n";
    if (read_head(fd, head, sizeof head))
        send(fd, answer, strlen(answer), MSG_NOSIGNAL);
}

/* A line that is not there is told from one that says nothing. */
static void an_empty_field_is_told_from_a_missing_one(void)
{
    char url[100];
    struct peer peer;
    atls_head *head = NULL;
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    atls_client *client = new_client();
    start(&peer, send_lines);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", peer.port);
    OK(atls_request_new_url("GET", url, &request, &error));
    OK(atls_client_fetch(client, request, &exchange, &error));
    OK(atls_exchange_head(exchange, 20000, &head, &error));
    CHECK(atls_head_get(head, "x-empty").len == 0 && atls_head_find(head, "x-empty", 0) == 2);
    CHECK(atls_head_get(head, "x-none").len == 0 && atls_head_find(head, "x-none", 0) == SIZE_MAX);
    CHECK(atls_head_find(head, "X-TWO", 0) == 3 && atls_head_find(head, "X-TWO", 4) == 4 && atls_head_find(head, "X-TWO", 5) == SIZE_MAX);
    CHECK(atls_head_find(NULL, "x", 0) == SIZE_MAX && atls_head_find(head, NULL, 0) == SIZE_MAX && atls_head_find(head, "x-two", SIZE_MAX) == SIZE_MAX);
    atls_str text = atls_exchange_peer(exchange);
    CHECK(strncmp(text.ptr, "127.0.0.1:", 10) == 0 && atls_exchange_peer(exchange).ptr == text.ptr);
    atls_head_free(head);
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_client_free(client);
    stop(&peer);
}

/* "abc" by gzip. */
static const char member[] = "\037\213\010\0\0\0\0\0\002\003\113\114\112\006\0\302\101\044\065\003\0\0";
static char wire[200];
static size_t wire_len, cut;

static void send_coded(int fd)
{
    char head[1000];
    if (!read_head(fd, head, sizeof head))
        return;
    size_t at = cut; /* a client that has seen enough goes on with the next */
    int n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", wire_len);
    send(fd, head, (size_t)n, MSG_NOSIGNAL);
    send(fd, wire, at, MSG_NOSIGNAL);
    usleep(at < wire_len ? 30000 : 0);
    send(fd, wire + at, wire_len - at, MSG_NOSIGNAL);
    while (recv(fd, head, sizeof head, 0) > 0)
        ;
}

/* A member, `zeros`, and a member: the same wherever the network cuts. */
static void coded(atls_client *client, uint16_t port, size_t zeros, atls_status wanted)
{
    size_t first = sizeof member + zeros;
    memset(wire, 0, sizeof wire);
    memcpy(wire, member, sizeof member);
    memcpy(wire + first, member, sizeof member);
    wire_len = first + sizeof member;
    for (cut = sizeof member - 1; cut <= wire_len; cut += cut < first ? 1 : 11) {
        atls_buf *body = NULL;
        EXPECT(wanted, wanted == ATLS_OK ? NULL : "bytes after the end", fetch(client, "127.0.0.1", port, true, &body));
        CHECK(wanted != ATLS_OK || (atls_buf_len(body) == 6 && memcmp(atls_buf_data(body), "abcabc", 6) == 0));
        atls_buf_free(body);
    }
}

static size_t longest;

/* Sets 50 cookies of nearly 4 KB with each answer. */
static void fill(int fd)
{
    static char head[200000], out[220000];
    static int number;
    while (read_head(fd, head, sizeof head)) {
        longest = strlen(head) > longest ? strlen(head) : longest;
        int len = sprintf(out, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
        for (int i = 0; i < 50; i++, number++)
            len += sprintf(out + len, "Set-Cookie: c%d=%0*d; Max-Age=9999\r\n", number, 3900, number);
        len += sprintf(out + len, "\r\n");
        send(fd, out, (size_t)len, MSG_NOSIGNAL);
    }
}

static const char *setting;
static char sent[100];

static void remember(int fd)
{
    char head[10000], out[300];
    while (read_head(fd, head, sizeof head)) {
        char *line = strstr(head, "\r\nCookie: ");
        snprintf(sent, sizeof sent, "%.*s", line ? (int)strcspn(line + 10, "\r") : 0, line ? line + 10 : "");
        int len = snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n%s\r\n", setting);
        send(fd, out, (size_t)len, MSG_NOSIGNAL);
    }
}

static const char *cookie_of(atls_client *client, uint16_t port, const char *set)
{
    setting = set;
    for (int i = 0; i < 2; i++) {
        OK(fetch(client, "localhost", port, false, NULL));
        setting = "";
    }
    return sent;
}

static void a_full_jar_keeps_the_cookies_of_others(void)
{
    struct peer filler, other;
    atls_client *client = new_client();
    start(&filler, fill);
    start(&other, remember);
    OK(atls_client_set_cookies(client, true, &error));
    CHECK(strcmp(cookie_of(client, other.port, "Set-Cookie: session=1\r\n"), "session=1") == 0);
    for (int i = 0; i < (getenv("ATLS_TEST_SLOW") ? 5 : 62); i++)
        OK(fetch(client, "127.0.0.1", filler.port, false, NULL));
    CHECK(longest > 4000 && longest < 10000);
    CHECK(strcmp(cookie_of(client, other.port, "Set-Cookie: session=2\r\n"), "session=2") == 0);
    CHECK(strcmp(cookie_of(client, other.port, "Set-Cookie: new=3\r\n"), "session=2; new=3") == 0);
    CHECK(strcmp(cookie_of(client, other.port, "Set-Cookie: session=; Max-Age=0\r\n"), "new=3") == 0);
    atls_client_free(client);
    stop(&filler);
    stop(&other);
}

static void members(size_t zeros, atls_status wanted)
{
    struct peer peer;
    atls_client *client = new_client();
    start(&peer, send_coded);
    coded(client, peer.port, zeros, wanted);
    atls_client_free(client);
    stop(&peer);
}

static void members_of_a_coding_are_one_body_wherever_they_are_cut(void)
{
    members(0, ATLS_OK);
}

static void bytes_between_members_are_refused_wherever_they_are_cut(void)
{
    members(10, ATLS_CONTENT_CODING);
}

TESTS(NULL, NULL, CASE(members_of_a_coding_are_one_body_wherever_they_are_cut),
      CASE(bytes_between_members_are_refused_wherever_they_are_cut), CASE(an_empty_field_is_told_from_a_missing_one),
      CASE(a_full_jar_keeps_the_cookies_of_others))
