/* The server under what the world does to servers: more connections than descriptors, ten thousand that do nothing, heads byte by byte, peers that are half
 * gone, a stop under load. With ATLS_TEST_SLOW a few hundred stand for the ten thousand. */
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "loop.h"

static _Thread_local atls_error *error;
static uint16_t port;
static int served, requests_closed, server_closed;

static void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind == ATLS_EVENT_CLOSED)
        __atomic_fetch_add(&requests_closed, 1, __ATOMIC_SEQ_CST);
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    atls_sink sink = {.queue = queue, .call = on_server};
    if (atls_server_request_start(event->source, runtime, &sink, NULL) == ATLS_OK &&
        atls_server_request_respond(event->source, 200, NULL, atls_bytes_of("ok", 2), NULL) == ATLS_OK)
        __atomic_fetch_add(&served, 1, __ATOMIC_SEQ_CST);
}

static void on_end(void *user_data)
{
    (void)user_data;
    __atomic_fetch_add(&server_closed, 1, __ATOMIC_SEQ_CST);
}

static atls_server *serve(uint32_t deadline, uint32_t ms)
{
    atls_server *server = NULL;
    atls_server_config *config = NULL;
    atls_sink sink = {.queue = queue, .call = on_server, .drop = on_end};
    OK(atls_server_config_new(&config, &error));
    OK(atls_server_config_set_limit(config, ATLS_SERVER_LIMIT_CONNECTIONS, 20000, &error));
    if (deadline)
        OK(atls_server_config_set_deadline(config, deadline, ms, &error));
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    atls_server_config_free(config);
    return server;
}

static void wait_for(int *count, int wanted)
{
    for (int i = 0; i < 20000 && __atomic_load_n(count, __ATOMIC_SEQ_CST) < wanted; i++)
        usleep(1000);
    CHECK(__atomic_load_n(count, __ATOMIC_SEQ_CST) >= wanted);
}

static void end(atls_server *server)
{
    int before = server_closed;
    OK(atls_server_close(server, &error));
    wait_for(&server_closed, before + 1);
    CHECK(atls_server_count(server, ATLS_SERVER_COUNT_CONNECTIONS) == 0);
    atls_server_free(server);
}

/* From an address of its own for each few thousand: there are only so many ports. */
static int dial(unsigned number)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + number / 4000)};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    CHECK(bind(fd, (struct sockaddr *)&own, sizeof own) == 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

static bool ask(int fd)
{
    char text[1000];
    size_t got = 0;
    ssize_t n;
    if (send(fd, GET, strlen(GET), MSG_NOSIGNAL) != (ssize_t)strlen(GET))
        return false;
    memset(text, 0, sizeof text);
    while (!strstr(text, "\r\n\r\nok")) {
        if ((n = recv(fd, text + got, sizeof text - 1 - got, 0)) <= 0)
            return false;
        got += (size_t)n;
    }
    return strncmp(text, "HTTP/1.1 200 ", 13) == 0;
}

static long rss(void)
{
    char line[200];
    long kib = 0;
    FILE *in = fopen("/proc/self/status", "r");
    while (in && fgets(line, sizeof line, in))
        sscanf(line, "VmRSS: %ld", &kib);
    if (in)
        fclose(in);
    return kib;
}

/* Idle connections stay, the first and the last one answer, and all of them end with the server. */
static void idle(unsigned wanted)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_cur < 2 * wanted + 100)
        wanted = (unsigned)(limit.rlim_cur - 100) / 2;
    int *fds = calloc(wanted, sizeof *fds);
    CHECK(fds);
    atls_server *server = serve(0, 0);
    long before = rss();
    for (unsigned i = 0; i < wanted; i++)
        CHECK((fds[i] = dial(i)) >= 0 && ask(fds[i]));
    CHECK(atls_server_count(server, ATLS_SERVER_COUNT_CONNECTIONS) == wanted);
    printf("%u idle connections: %.2f KiB each\n", wanted, (double)(rss() - before) / wanted);
    CHECK(ask(fds[0]) && ask(fds[wanted / 2]) && ask(fds[wanted - 1]));
    end(server);
    for (unsigned i = 0; i < wanted; i++) {
        char byte;
        CHECK(recv(fds[i], &byte, 1, 0) <= 0);
        close(fds[i]);
    }
    free(fds);
}

static int wants;
static char want[300];

static void on_want(void *user_data, uint32_t level, atls_str line)
{
    (void)user_data;
    CHECK(level == ATLS_LOG_ERROR);
    snprintf(want, sizeof want, "%s", line.ptr);
    wants++;
}

/* Without descriptors nobody is accepted; those that are there go on, and when there are some again so does the listener. */
static void the_listener_comes_back_with_descriptors(void)
{
    if (getenv("ATLS_TEST_SLOW"))
        return; /* valgrind closes what it thinks is beyond the limit itself */
    enum { MANY = 200 };
    int fds[MANY], held[40], count = 0, answered = 0;
    struct rlimit limit, before;
    atls_server *server = serve(0, 0);
    int first = dial(0);
    CHECK(ask(first));
    int next = dup(0); /* the lowest one that is free */
    CHECK(next >= 0);
    close(next);
    for (int i = 0; i < 40; i++)
        CHECK((held[i] = dup(0)) >= 0);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    atls_log_set(ATLS_LOG_ERROR, on_want, NULL);
    limit = before;
    limit.rlim_cur = (rlim_t)held[39] + 1;
    for (int i = 20; i < 40; i++)
        close(held[i]);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while (count < MANY && (fds[count] = dial(0)) >= 0)
        count++;
    CHECK(count > 0 && count < 40);
    usleep(200000);
    CHECK(ask(first));
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    atls_log_set(0, NULL, NULL);
    /* The host has to know, and is told once, not each time that it is tried again. */
    CHECK(wants == 1 && strncmp(want, "server: 127.0.0.1:", 18) == 0 && strstr(want, "nothing can be accepted"));
    for (int i = 0; i < count; i++)
        answered += ask(fds[i]);
    printf("%d connections at the limit of descriptors, %d answered after it\n", count, answered);
    CHECK(answered == count);
    for (int i = 0; i < count; i++)
        close(fds[i]);
    for (int i = 0; i < 20; i++)
        close(held[i]);
    close(first);
    end(server);
}

/* Heads that come a byte at a time, from many, and one honest client between them. */
static void slow_heads_time_out_beside_an_honest_client(void)
{
    enum { MANY = 100 };
    int fds[MANY], alive = MANY, honest = 0;
    char text[200];
    atls_server *server = serve(ATLS_SERVER_DEADLINE_HEAD, 1000);
    for (int i = 0; i < MANY; i++)
        CHECK((fds[i] = dial(0)) >= 0);
    for (int tick = 0; tick < 60 && (alive > 0 || honest < 10); tick++) {
        alive = 0;
        for (int i = 0; i < MANY; i++) {
            if (fds[i] < 0)
                continue;
            if (recv(fds[i], text, sizeof text - 1, MSG_DONTWAIT) > 0 && strncmp(text, "HTTP/1.1 408", 12) == 0) {
                close(fds[i]);
                fds[i] = -1;
            } else {
                send(fds[i], &GET[tick % 20], 1, MSG_NOSIGNAL);
                alive++;
            }
        }
        int fd = dial(0);
        honest += ask(fd);
        close(fd);
        usleep(100000);
    }
    CHECK(alive == 0 && honest >= 10);
    end(server);
}

/* Peers that ended their direction get their answer; peers that vanished are let go at the deadline. */
static void half_open_peers_are_answered_or_let_go(void)
{
    char text[300] = {0};
    atls_server *server = serve(ATLS_SERVER_DEADLINE_IDLE, 500);
    int fd = dial(0);
    CHECK(send(fd, GET, strlen(GET), MSG_NOSIGNAL) > 0 && shutdown(fd, SHUT_WR) == 0);
    size_t got = 0;
    ssize_t n;
    while ((n = recv(fd, text + got, sizeof text - 1 - got, 0)) > 0)
        got += (size_t)n;
    CHECK(n == 0 && strstr(text, "\r\n\r\nok"));
    close(fd);
    int silent[20];
    for (int i = 0; i < 20; i++)
        CHECK((silent[i] = dial(0)) >= 0 && (i % 2 || ask(silent[i])));
    for (int i = 0; i < 5000 && atls_server_count(server, ATLS_SERVER_COUNT_CONNECTIONS) > 0; i++)
        usleep(1000);
    CHECK(atls_server_count(server, ATLS_SERVER_COUNT_CONNECTIONS) == 0);
    for (int i = 0; i < 20; i++)
        close(silent[i]);
    end(server);
}

static int answers, stopped;

/* Asks until it is turned away; an answer that has begun must come whole. */
static void *load(void *unused)
{
    (void)unused;
    while (!__atomic_load_n(&stopped, __ATOMIC_SEQ_CST)) {
        int fd = dial(0);
        if (fd < 0)
            break;
        while (ask(fd))
            __atomic_fetch_add(&answers, 1, __ATOMIC_SEQ_CST);
        close(fd);
    }
    return NULL;
}

/* Each request that the host was shown has its answer, and the server ends. */
static void stop_under_load(int rounds)
{
    for (int round = 0; round < rounds; round++) {
        pthread_t threads[8];
        int closed = server_closed;
        served = requests_closed = answers = stopped = 0;
        atls_server *server = serve(0, 0);
        for (int i = 0; i < 8; i++)
            CHECK(pthread_create(&threads[i], NULL, load, NULL) == 0);
        /* Once it runs, however fast the machine is. */
        wait_for(&served, 100);
        if (round % 2)
            OK(atls_server_stop(server, &error));
        else
            OK(atls_server_drain(server, 5000, &error));
        wait_for(&server_closed, closed + 1);
        __atomic_store_n(&stopped, 1, __ATOMIC_SEQ_CST);
        for (int i = 0; i < 8; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
        int shown = (int)atls_server_count(server, ATLS_SERVER_COUNT_REQUESTS);
        if (served == 0 || served != shown || answers != served) {
            fprintf(stderr, "round %d: of %d requests %d were answered, and %d answers arrived\n", round, shown, served, answers);
            exit(1);
        }
        CHECK(requests_closed >= served);
        atls_server_free(server);
    }
}

static void a_stop_under_load_loses_no_request(void)
{
    stop_under_load(getenv("ATLS_TEST_SLOW") ? 2 : 10);
}

static void idle_connections_stay_and_end_with_the_server(void)
{
    idle(getenv("ATLS_TEST_SLOW") ? 300 : 10000);
}

TESTS(loop_start, loop_end, CASE(half_open_peers_are_answered_or_let_go), CASE(slow_heads_time_out_beside_an_honest_client),
      CASE(a_stop_under_load_loses_no_request), CASE(the_listener_comes_back_with_descriptors),
      CASE(idle_connections_stay_and_end_with_the_server))
