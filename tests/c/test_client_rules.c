/* What the client does with what a server says: who goes next, how many 1xx and how much head, and answers that lead to another request. Against a
 * server of our own in the clear, which answers by the path. */
#define _GNU_SOURCE
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

static size_t head_of(int conn, char *to, size_t cap)
{
    size_t have = 0;
    while (have < cap - 1 && recv(conn, to + have, 1, 0) == 1) {
        to[++have] = '\0';
        if (have >= 4 && memcmp(to + have - 4, "\r\n\r\n", 4) == 0)
            return have;
    }
    return 0;
}

static bool say(int conn, const char *text)
{
    return send(conn, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* Answers with the request's own head, after `lines`. */
static void show(int conn, const char *lines, const char *head)
{
    char text[5000];
    snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", lines, strlen(head), head);
    say(conn, text);
}

/* A digest that is refused as stale until the nonce is the second one. */
static void digest(int conn, const char *head)
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
static void endless(int conn, const char *one)
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

static void answer(int conn, const char *head)
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

static void *serve(void *arg)
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

_Noreturn static void *listener(void *arg)
{
    for (;;) {
        pthread_t thread;
        int conn = accept((int)(long)arg, NULL, NULL);
        CHECK(conn >= 0 && pthread_create(&thread, NULL, serve, (void *)(long)conn) == 0);
        pthread_detach(thread);
    }
}

static void listen_here(void)
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

static atls_config *clear_config(void)
{
    atls_config *config = NULL;
    OK(atls_config_new("localhost", 1, &config, &error));
    OK(atls_config_set_unattested(config, &error));
    return config;
}

static atls_client *client_with(bool events, uint32_t requests, uint32_t to_one_host, uint32_t idle)
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

static atls_request *at(const char *path)
{
    return ask("GET", "http://127.0.0.1:%u%s", port, path);
}

/* Sends `count` requests and waits for all; `path` may have a place for the number. */
static void send_all(atls_client *client, int count, const char *host, const char *path)
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

static void requests_that_wait_are_sent_in_their_order(void)
{
    for (int round = 0; round < (getenv("ATLS_TEST_SLOW") ? 3 : 20); round++) {
        atls_client *client = client_with(true, 1, 0, 0);
        came = 0;
        send_all(client, REQUESTS, "127.0.0.1", "/turn/");
        for (int i = 0; i < REQUESTS; i++)
            CHECK(order[i] == i);
        atls_client_free(client);
    }
}

static void connections_stay_within_their_limits(void)
{
    atls_client *client = client_with(true, 20, 2, 0);
    while (open_now)
        usleep(1000);
    open_most = 0;
    send_all(client, 12, "127.0.0.1", "/slow");
    CHECK(open_most == 2 && atls_client_idle_connections(client) == 2);
    atls_client_free(client);

    /* Those that wait, over all hosts. */
    client = client_with(true, 20, UINT32_MAX, 3);
    send_all(client, 3, "127.0.0.1", "/slow");
    send_all(client, 2, "localhost", "/slow");
    CHECK(atls_client_idle_connections(client) == 3);
    atls_client_free(client);
}

static void informational_heads_are_bounded_in_count_bytes_and_time(void)
{
    atls_client *client = client_with(false, 10, 0, 0);
    WANT(200, "many", at("/many/64"));
    DETAIL(ATLS_HTTP_PROTOCOL, ATLS_DETAIL_TOO_MANY_INFORMATIONAL, at("/many/65"));
    atls_request *request = at("/many/2000");
    OK(atls_request_set_head_limits(request, 0, 0, 2000, &error));
    WANT(200, "many", request);
    request = at("/many/3");
    OK(atls_request_set_head_limits(request, 0, 0, 2, &error));
    DETAIL(ATLS_HTTP_PROTOCOL, ATLS_DETAIL_TOO_MANY_INFORMATIONAL, request);
    /* As many as they like, but no more bytes than a head may have. */
    request = at("/endless");
    OK(atls_request_set_head_limits(request, 0, 0, UINT32_MAX, &error));
    DETAIL(ATLS_HTTP_PROTOCOL, ATLS_DETAIL_TOO_MANY_INFORMATIONAL, request);
    request = at("/drops");
    OK(atls_request_set_head_limits(request, 0, 0, UINT32_MAX, &error));
    OK(atls_request_set_deadline(request, ATLS_REQUEST_DEADLINE_HEAD, 300, &error));
    DETAIL(ATLS_TIMED_OUT, ATLS_DETAIL_HEAD_TIMEOUT, request);
    atls_client_free(client);

    /* A host that takes no events: no more than a few wait for it, and the deadline passes. */
    client = client_with(true, 10, 0, 0);
    atls_exchange *exchange = NULL;
    size_t n = 0, seen = 0;
    atls_event events[64];
    request = at("/endless");
    OK(atls_request_set_head_limits(request, 0, 0, 10000, &error));
    OK(atls_request_set_deadline(request, ATLS_REQUEST_DEADLINE_HEAD, 200, &error));
    OK(atls_client_start(client, request, &(atls_sink){.queue = queue}, &exchange, &error));
    while (atls_client_active_requests(client))
        usleep(1000);
    for (bool over = false; !over;) {
        OK(atls_queue_wait(queue, events, sizeof events[0], 64, 20000, &n, &error));
        for (size_t i = 0; i < n; i++) {
            seen += events[i].kind == ATLS_EVENT_INFORMATIONAL;
            over |= events[i].kind == ATLS_EVENT_CLOSED;
            CHECK(events[i].kind != ATLS_EVENT_CLOSED || events[i].status == ATLS_TIMED_OUT);
            atls_event_release(&events[i]);
        }
    }
    CHECK(seen <= 8);
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_client_free(client);
}

/* What has come together is told together: no event for each byte. */
static void small_pieces_of_a_body_are_joined(void)
{
    atls_client *client = client_with(true, 10, 0, 0);
    atls_exchange *exchange = NULL;
    atls_request *request = at("/crumbs");
    size_t bytes = 0, events = 0, trailers = 0;
    OK(atls_client_start(client, request, &(atls_sink){.queue = queue}, &exchange, &error));
    OK(atls_exchange_grant(exchange, 1 << 20, &error));
    for (bool over = false; !over;) {
        atls_event event;
        size_t n = 0;
        OK(atls_queue_wait(queue, &event, sizeof event, 1, 20000, &n, &error));
        CHECK(n == 1);
        if (event.kind == ATLS_EVENT_DATA) {
            const uint8_t *data = atls_buf_data(event.buf);
            for (size_t i = 0; i < atls_buf_len(event.buf); i++)
                CHECK(data[i] == 'a' + (bytes + i) % 26);
            bytes += atls_buf_len(event.buf);
            events++;
        }
        trailers += event.kind == ATLS_EVENT_TRAILERS;
        over = event.kind == ATLS_EVENT_CLOSED;
        CHECK(!over || event.status == ATLS_OK);
        atls_event_release(&event);
    }
    CHECK(bytes == 20000 && trailers == 1 && events < bytes / 2);
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_client_free(client);
}

static void a_head_beyond_its_limits_is_refused(void)
{
    atls_client *client = client_with(false, 10, 0, 0);
    atls_request *request = at("/lines/20");
    OK(atls_request_set_head_limits(request, 500, 20, 0, &error));
    WANT(200, "", request);
    request = at("/lines/20");
    OK(atls_request_set_head_limits(request, 0, 19, 0, &error));
    DETAIL(ATLS_HTTP_PROTOCOL, ATLS_DETAIL_HEAD_TOO_LARGE, request);
    request = at("/lines/100");
    OK(atls_request_set_head_limits(request, 500, 0, 0, &error));
    DETAIL(ATLS_HTTP_PROTOCOL, ATLS_DETAIL_HEAD_TOO_LARGE, request);
    request = at("/");
    EXPECT(ATLS_INVALID_ARGUMENT, "lines", atls_request_set_head_limits(request, 0, 257, 0, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "bytes", atls_request_set_head_limits(request, 262145, 0, 0, &error));
    atls_request_free(request);
    DETAIL(ATLS_HTTP_PROTOCOL, ATLS_DETAIL_UNASKED_UPGRADE, at("/switch"));
    struct answer answer = get(client, at("/reason"));
    CHECK(strcmp(atls_head_reason(answer.head).ptr, "Sch\xc3\xb6n \xe9") == 0);
    forget(answer);
    atls_client_free(client);
}

static void an_answer_that_leads_to_another_request_is_followed(void)
{
    atls_client *client = client_with(false, 10, 0, 0);
    /* 417: once more, without the expectation; a stream, of which nothing was taken yet, too. */
    atls_request *request = ask("POST", "http://127.0.0.1:%u/expect", port);
    set_body(request, "four");
    OK(atls_request_set_expect_continue(request, UINT32_MAX, &error));
    WANT(200, "POST /expect", request);
    request = ask("POST", "http://127.0.0.1:%u/expect", port);
    OK(atls_request_set_body_stream(request, 4, &error));
    OK(atls_request_set_expect_continue(request, UINT32_MAX, &error));
    atls_exchange *exchange = NULL;
    OK(atls_client_fetch(client, request, &exchange, &error));
    OK(atls_exchange_write_all(exchange, atls_bytes_of("four", 4), 20000, &error));
    OK(atls_exchange_finish(exchange, &error));
    struct answer answer = answer_to(exchange);
    CHECK(answer.status == 200);
    forget(answer);
    atls_request_free(request);

    request = at("/digest");
    OK(atls_request_set_auth(request, "user", "word", ATLS_AUTH_DIGEST, &error));
    WANT(200, "nonce=\"two\"", request);

    /* The limit is for the body that is shown, and so is the coding; the fragment goes along. */
    request = at("/away#part");
    OK(atls_request_set_max_response_body(request, 1000, &error));
    OK(atls_request_set_decode(request, true, &error));
    answer = get(client, request);
    char url[100];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/head#part", port);
    CHECK(answer.status == 200 && strcmp(atls_exchange_url(answer.exchange).ptr, url) == 0);
    forget(answer);

    /* What went over the wire. */
    answer = get(client, at("/a/../b?%7e"));
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a/../b?%%7e", port);
    CHECK(strncmp(answer.body, "GET /a/../b?%7e ", 16) == 0 && strcmp(atls_exchange_url(answer.exchange).ptr, url) == 0);
    forget(answer);

    /* A Host of its own; a redirect has that of where it leads. */
    request = at("/head");
    OK(atls_request_set_host(request, "other.example:81", &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "host", atls_request_set_host(request, "a\r\nb", &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "host", atls_request_set_host(request, "", &error));
    WANT(200, "\r\nHost: other.example:81\r\n", request);
    request = at("/away");
    OK(atls_request_set_host(request, "other.example", &error));
    WANT(200, "\r\nHost: 127.0.0.1:", request);
    atls_client_free(client);
}

static int resolved, dropped;

static int32_t resolve(void *user_data, const char *host, atls_addresses *addresses)
{
    atls_error *failure = NULL;
    (*(int *)user_data)++;
    if (strcmp(host, "wait.example") == 0)
        usleep(300000);
    CHECK(atls_addresses_add(addresses, "not one", &failure) == ATLS_INVALID_ARGUMENT);
    atls_error_free(failure);
    if (strcmp(host, "none.example") == 0)
        return 0;
    CHECK(atls_addresses_add(addresses, "127.0.0.1", NULL) == ATLS_OK);
    return strcmp(host, "fails.example") == 0 ? 5 : 0;
}

static void drop(void *user_data)
{
    CHECK(user_data == &resolved);
    dropped++;
}

static void the_hosts_resolver_and_map_give_the_address(void)
{
    atls_client *client = NULL;
    atls_config *config = clear_config();
    atls_resolver resolver = {resolve, drop, &resolved};
    OK(atls_config_set_resolver(config, &resolver, &error));
    /* Names are compared as those of policies. */
    OK(atls_config_map_host(config, "M\xc3\xbcller.Example.", 80, "mapped.example", (uint16_t)port, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "host", atls_config_map_host(config, "*.example", 80, "a", 1, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "resolve", atls_config_set_resolver(config, &(atls_resolver){0}, &error));
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    WANT(200, "Host: some.example", ask("GET", "http://some.example:%u/head", port));
    CHECK(resolved == 1);
    WANT(200, "Host: xn--mller-kva.example.\r\n", ask("GET", "http://m\xc3\xbcLLER.example./head"));
    CHECK(resolved == 2);
    WANT(200, "GET", at("/head"));
    CHECK(resolved == 2);
    FAILS(ATLS_DNS, "no address", ask("GET", "http://none.example:%u/", port));
    FAILS(ATLS_DNS, "returned 5", ask("GET", "http://fails.example:%u/", port));
    /* The phase of the deadline for connecting is the one that was on. */
    atls_request *request = ask("GET", "http://wait.example:%u/", port);
    atls_exchange *exchange = NULL;
    OK(atls_request_set_deadline(request, ATLS_REQUEST_DEADLINE_CONNECT, 50, &error));
    CHECK(atls_client_fetch(client, request, &exchange, &error) == ATLS_TIMED_OUT);
    CHECK(strcmp(atls_error_phase(error).ptr, "dns") == 0 && atls_error_detail(error) == ATLS_DETAIL_CONNECT_TIMEOUT);
    atls_error_free(error);
    error = NULL;
    atls_request_free(request);
    atls_client_free(client);
    atls_config_free(config);
    for (int i = 0; i < 1000 && !dropped; i++)
        usleep(1000);
    CHECK(dropped == 1);
}

static void set_up(void)
{
    if (!port)
        listen_here();
    OK(atls_runtime_new(2, &runtime, &error));
    OK(atls_queue_new_polled(&queue, &error));
}

static void tear_down(void)
{
    atls_runtime_free(runtime);
    atls_queue_free(queue);
}

TESTS(set_up, tear_down, CASE(requests_that_wait_are_sent_in_their_order), CASE(connections_stay_within_their_limits),
      CASE(informational_heads_are_bounded_in_count_bytes_and_time), CASE(small_pieces_of_a_body_are_joined),
      CASE(a_head_beyond_its_limits_is_refused), CASE(an_answer_that_leads_to_another_request_is_followed),
      CASE(the_hosts_resolver_and_map_give_the_address))
