/* How a server is set up, and what is told and logged of requests that it refuses. */
#define _GNU_SOURCE

#include "calls.h"

/* How it is set up: names, queues, leniency. */
static void listening_and_leniency_are_as_configured(void)
{
    atls_server_config *config = configure();
    atls_server *server = NULL;
    EXPECT(ATLS_INVALID_ARGUMENT, "unknown flags", atls_server_config_set_flags(config, 1u << 30, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "limit", atls_server_config_set_limit(config, ATLS_SERVER_LIMIT_BACKLOG, 1ull << 31, &error));
    OK(atls_server_config_set_limit(config, ATLS_SERVER_LIMIT_BACKLOG, 5, &error));
    OK(atls_server_config_set_flags(config, ATLS_H1_ALLOW_BARE_LF, &error));
    server = serve(config);
    CHECK(strstr(say("GET / HTTP/1.1\nHost: a\nConnection: close\n\n"), "fine"));
    /* Of a name every address that this machine has. */
    struct sockaddr_in6 place = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0), probe = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    if (probe >= 0 && bind(probe, (struct sockaddr *)&any, sizeof any) == 0) {
        CHECK(connect(fd, (struct sockaddr *)&place, sizeof place) == 0);
        CHECK(strstr(hear(fd, ASK("GET", "/") LAST "\r\n", NULL), "fine"));
    }
    close(fd);
    close(probe);
    EXPECT(ATLS_DNS, "no-such-host.invalid", atls_server_listen(server, "no-such-host.invalid", 0, false, NULL, &error));
    EXPECT(ATLS_IO, "listen on", atls_server_listen(server, "localhost", port, false, NULL, &error));
    end(server);
}

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char warnings[4000], infos[4000];

static void on_log(void *user_data, uint32_t level, atls_str line)
{
    (void)user_data;
    pthread_mutex_lock(&log_lock);
    char *place = level == ATLS_LOG_WARNING ? warnings : level == ATLS_LOG_INFO ? infos : NULL;
    if (place)
        snprintf(place + strlen(place), 4000 - strlen(place), "%s\n", line.ptr);
    pthread_mutex_unlock(&log_lock);
}

static bool logged(char *place, const char *part)
{
    bool found = false;
    for (int i = 0; i < 5000 && !found; i++) {
        usleep(1000);
        pthread_mutex_lock(&log_lock);
        found = strstr(place, part) != NULL;
        pthread_mutex_unlock(&log_lock);
    }
    return found;
}

static void refusals_are_told_and_logged_without_targets(void)
{
    atls_server *server = serve(configure());
    atls_log_set(ATLS_LOG_INFO, on_log, NULL);
    CHECK(strncmp(say(ASK("GET", "/secret-path") "Content-Length: foo\r\n\r\n"), "HTTP/1.1 400", 12) == 0);
    CHECK(refusals == 1 && refusal.status == ATLS_HTTP_PROTOCOL && refusal.http == 400 && refusal.detail == ATLS_DETAIL_BAD_CONTENT_LENGTH);
    CHECK(strncmp(refusal.peer, "127.0.0.1:", 10) == 0 && strcmp(refusal.phase, "transfer") == 0);
    CHECK(logged(warnings, refusal.peer) && logged(warnings, "refused: HTTP_PROTOCOL"));
    CHECK(logged(infos, refusal.peer) && logged(infos, "requests=0"));
    CHECK(strstr(say(ASK("GET", "/secret-path") "\r\n" ASK("GET", "/") LAST "\r\n"), "fine"));
    CHECK(logged(infos, "closed: requests=2") && !strstr(warnings, "secret") && !strstr(infos, "secret"));
    atls_log_set(0, NULL, NULL);
    static const struct {
        const char *bytes;
        uint32_t detail;
    } cases[] = {
        {"HELLO\r\n\r\n", ATLS_DETAIL_BAD_START_LINE},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", ATLS_DETAIL_BAD_START_LINE},
        {ASK("GET", "/") "no colon\r\n\r\n", ATLS_DETAIL_BAD_HEADER},
        {"GET / HTTP/1.1\r\n\r\n", ATLS_DETAIL_BAD_HEADER},
        {ASK("POST", "/") "Content-Length: 4\r\nContent-Length: 5\r\n\r\n", ATLS_DETAIL_UNEQUAL_CONTENT_LENGTH},
        {ASK("POST", "/") "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", ATLS_DETAIL_BOTH_LENGTHS},
        {ASK("POST", "/") "Transfer-Encoding: gzip\r\n\r\n", ATLS_DETAIL_BAD_TRANSFER_ENCODING},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        say(cases[i].bytes);
        if (refusals != (int)i + 2 || refusal.detail != cases[i].detail || strncmp(refusal.peer, "127.0.0.1:", 10) != 0) {
            fprintf(stderr, "%s: refusal %d, detail %u, wanted %u\n", cases[i].bytes, refusals, refusal.detail, cases[i].detail);
            exit(1);
        }
    }
    /* Once the host has the request it is its CLOSED that says so. */
    say(ASK("POST", "/") "Transfer-Encoding: chunked\r\n\r\nx\r\n");
    until(&failed, 1);
    CHECK(last_detail == ATLS_DETAIL_BAD_CHUNK && strncmp(last_peer, "127.0.0.1:", 10) == 0);
    int fd = dial();
    CHECK(send(fd, ASK("POST", "/") "Content-Length: 3\r\n\r\nab", sizeof ASK("POST", "/") "Content-Length: 3\r\n\r\nab" - 1, MSG_NOSIGNAL) > 0);
    CHECK(shutdown(fd, SHUT_WR) == 0);
    until(&failed, 2);
    CHECK(last_detail == ATLS_DETAIL_MESSAGE_CUT);
    close(fd);
    end(server);
}

TESTS(loop_start, loop_end, CASE(listening_and_leniency_are_as_configured), CASE(refusals_are_told_and_logged_without_targets))
