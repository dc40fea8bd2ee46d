/* The events of one turn of a worker are announced together: none is lost, comes late, or out of order for that. */
#include <poll.h>
#include <stdatomic.h>

#include "tcp.h"

static _Thread_local atls_error *error;
static atls_runtime *runtime;
static atls_client *client;
static atls_request *refused;
static atomic_int dropped, closed, seen, released;

enum { MANY = 40 };

static void drop(void *user_data)
{
    (void)user_data;
    dropped++;
}

/* A client that refuses every host: its requests are CLOSED at once, on the runtime's threads, without a network. */
static void refuse_all(void)
{
    atls_config *config = NULL;
    atls_client_limits *limits = NULL;
    OK(atls_config_new("localhost", 1, &config, &error));
    OK(atls_client_limits_new(&limits, &error));
    OK(atls_client_limits_set_requests(limits, 1000, &error));
    OK(atls_client_new(runtime, config, limits, &client, &error));
    atls_client_limits_free(limits);
    atls_config_free(config);
    refused = tcp_request("GET", 1, "/");
}

/* Starts an operation that ends at once; its handle goes where `user_data` points. */
static void start(const atls_sink *sink)
{
    OK(atls_client_start(client, refused, sink, sink->user_data, &error));
}

static void wait_for(atomic_int *count, int wanted)
{
    for (int i = 0; i < 20000 && *count < wanted; i++)
        usleep(1000);
    CHECK(*count == wanted);
}

/* Starts operations from a callback on the worker, so that they run in one turn. */
struct turn {
    atls_queue *inline_queue;
    const atls_sink *sinks;
    int count;
    atls_exchange *own;
};

static void on_turn(void *user_data, const atls_event *event)
{
    struct turn *turn = user_data;
    CHECK(event->kind == ATLS_EVENT_CLOSED);
    for (int i = 0; i < turn->count; i++)
        start(&turn->sinks[i]);
}

static void in_one_turn(struct turn *turn)
{
    atls_sink sink = {turn->inline_queue, 0, on_turn, turn, NULL};
    OK(atls_client_start(client, refused, &sink, &turn->own, &error));
}

static int take(atls_queue *queue, size_t max)
{
    atls_event events[64];
    size_t n = 0;
    OK(atls_queue_next(queue, events, sizeof *events, max, &n, &error));
    for (size_t i = 0; i < n; i++) {
        CHECK(events[i].kind == ATLS_EVENT_CLOSED && events[i].status == ATLS_POLICY_REQUIRED);
        atls_event_release(&events[i]);
    }
    return (int)n;
}

static bool readable(atls_queue *queue, int ms)
{
    struct pollfd fd = {atls_queue_fd(queue), POLLIN, 0};
    return poll(&fd, 1, ms) == 1;
}

/* One worker has an event for a polled queue, and then a function of the host blocks it until the host has seen that event. */
static void wait_until_seen(void)
{
    for (int i = 0; i < 10000 && !seen; i++)
        usleep(1000);
    CHECK(seen);
    released++;
}

static void block_in_call(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind == ATLS_EVENT_CLOSED)
        wait_until_seen();
}

static void block_in_drop(void *user_data)
{
    (void)user_data;
    wait_until_seen();
}

static void a_worker_that_the_host_blocks_holds_nothing_back(void)
{
    atls_queue *polled = NULL, *inline_queue = NULL;
    OK(atls_queue_new_polled(&polled, &error));
    OK(atls_queue_new_inline(&inline_queue, &error));
    for (int round = 0; round < 40; round++) {
        atls_exchange *handles[2] = {NULL, NULL};
        atls_sink blocking = {inline_queue, 0, round % 2 ? block_in_call : NULL, &handles[1], round % 2 ? NULL : block_in_drop};
        /* A worker runs next what it started last. */
        atls_sink sinks[2] = {blocking, {polled, 0, NULL, &handles[0], NULL}};
        struct turn turn = {inline_queue, sinks, 2, NULL};
        seen = released = 0;
        in_one_turn(&turn);
        CHECK(readable(polled, 5000));
        seen = 1;
        CHECK(take(polled, 8) == 1);
        wait_for(&released, 1);
        CHECK(!readable(polled, 0));
        atls_exchange_free(turn.own);
        atls_exchange_free(handles[0]);
        atls_exchange_free(handles[1]);
    }
    OK(atls_queue_stop(inline_queue, &error));
    OK(atls_queue_stop(polled, &error));
    atls_queue_free(inline_queue);
    atls_queue_free(polled);
}

/* As above, and what blocks is a line of the log, about a connection to this port. */
struct logged {
    char place[20];
    atls_client *client;
    atls_request *request;
    atls_sink polled, other;
};

static void block_in_log(void *user_data, atls_log_level level, atls_str message)
{
    (void)level;
    if (strstr(message.ptr, user_data) && !released)
        wait_until_seen();
}

static void on_logged_turn(void *user_data, const atls_event *event)
{
    struct logged *logged = user_data;
    CHECK(event->kind == ATLS_EVENT_CLOSED);
    OK(atls_client_start(logged->client, logged->request, &logged->other, logged->other.user_data, &error));
    start(&logged->polled);
}

static void serve_nothing(int fd)
{
    char buffer[1000];
    while (recv(fd, buffer, sizeof buffer, 0) > 0)
        ;
}

static void a_log_that_blocks_holds_nothing_back(void)
{
    struct tcp tcp;
    atls_queue *polled = NULL, *inline_queue = NULL;
    atls_exchange *handles[3] = {NULL, NULL, NULL};
    tcp_start(&tcp, serve_nothing);
    OK(atls_queue_new_polled(&polled, &error));
    OK(atls_queue_new_inline(&inline_queue, &error));
    struct logged logged = {.client = tcp_client(runtime),
                            .request = tcp_request("GET", tcp.port, "/"),
                            .polled = {polled, 0, NULL, &handles[0], NULL},
                            .other = {inline_queue, 0, NULL, &handles[1], NULL}};
    snprintf(logged.place, sizeof logged.place, ":%u", tcp.port);
    atls_sink first = {inline_queue, 0, on_logged_turn, &logged, NULL};
    seen = released = 0;
    atls_log_set(ATLS_LOG_DEBUG, block_in_log, logged.place);
    OK(atls_client_start(client, refused, &first, &handles[2], &error));
    CHECK(readable(polled, 5000));
    CHECK(take(polled, 8) == 1);
    seen = 1;
    for (int i = 0; i < 20000 && !released; i++)
        usleep(1000);
    CHECK(released);
    atls_log_set(ATLS_LOG_OFF, NULL, NULL);
    OK(atls_queue_stop(inline_queue, &error));
    for (int i = 0; i < 3; i++)
        atls_exchange_free(handles[i]);
    atls_queue_free(inline_queue);
    atls_queue_free(polled);
    atls_request_free(logged.request);
    atls_client_free(logged.client);
    tcp_stop(&tcp);
}

/* Each of many queues with one event of the same turn is announced. */
static void every_queue_of_a_turn_is_announced(void)
{
    atls_queue *polled[MANY], *inline_queue = NULL;
    atls_exchange *handles[MANY] = {NULL};
    atls_sink sinks[MANY];
    OK(atls_queue_new_inline(&inline_queue, &error));
    for (int i = 0; i < MANY; i++) {
        OK(atls_queue_new_polled(&polled[i], &error));
        sinks[i] = (atls_sink){polled[i], 0, NULL, &handles[i], NULL};
    }
    for (int round = 0; round < 20; round++) {
        struct turn turn = {inline_queue, sinks, MANY, NULL};
        in_one_turn(&turn);
        for (int i = 0; i < MANY; i++) {
            CHECK(readable(polled[i], 5000));
            CHECK(take(polled[i], 8) == 1 && !readable(polled[i], 0));
            atls_exchange_free(handles[i]);
        }
        atls_exchange_free(turn.own);
    }
    for (int i = 0; i < MANY; i++)
        atls_queue_free(polled[i]);
    OK(atls_queue_stop(inline_queue, &error));
    atls_queue_free(inline_queue);
}

static void *take_one(void *queue)
{
    atls_error *mine = NULL;
    atls_event event;
    size_t n = 0;
    CHECK(atls_queue_wait(queue, &event, sizeof event, 1, UINT32_MAX, &n, &mine) == ATLS_OK && n == 1);
    atls_event_release(&event);
    return NULL;
}

/* One announcement for all of them must wake as many threads as there are events. */
static void several_threads_share_the_events_of_a_turn(void)
{
    atls_queue *polled = NULL, *inline_queue = NULL;
    atls_exchange *handles[8] = {NULL};
    atls_sink sinks[8];
    OK(atls_queue_new_polled(&polled, &error));
    OK(atls_queue_new_inline(&inline_queue, &error));
    for (int i = 0; i < 8; i++)
        sinks[i] = (atls_sink){polled, 0, NULL, &handles[i], NULL};
    for (int round = 0; round < 100; round++) {
        pthread_t threads[8];
        struct turn turn = {inline_queue, sinks, 8, NULL};
        for (int i = 0; i < 8; i++)
            CHECK(pthread_create(&threads[i], NULL, take_one, polled) == 0);
        if (round % 2)
            usleep(1000);
        in_one_turn(&turn);
        for (int i = 0; i < 8; i++)
            pthread_join(threads[i], NULL);
        CHECK(take(polled, 8) == 0 && !readable(polled, 0));
        for (int i = 0; i < 8; i++)
            atls_exchange_free(handles[i]);
        atls_exchange_free(turn.own);
    }
    OK(atls_queue_stop(inline_queue, &error));
    atls_queue_free(inline_queue);
    atls_queue_free(polled);
}

/* A host that looks without being told finds what there is; what it leaves makes the descriptor readable at once, and what it has taken does not. */
static void a_host_that_looks_finds_events_before_they_are_announced(void)
{
    atls_queue *polled = NULL, *inline_queue = NULL;
    atls_exchange *handles[MANY] = {NULL};
    atls_sink sinks[MANY];
    OK(atls_queue_new_polled(&polled, &error));
    OK(atls_queue_new_inline(&inline_queue, &error));
    for (int i = 0; i < MANY; i++)
        sinks[i] = (atls_sink){polled, 0, NULL, &handles[i], NULL};
    for (int round = 0; round < 100; round++) {
        struct turn turn = {inline_queue, sinks, MANY, NULL};
        in_one_turn(&turn);
        for (int taken = 0, left = 20000; taken < MANY; left--) {
            int n = take(polled, 1 + round % 3);
            taken += n;
            CHECK(left > 0);
            if (n == 0)
                usleep(round % 2 ? 0 : 500);
        }
        CHECK(take(polled, 8) == 0 && !readable(polled, 0));
        for (int i = 0; i < MANY; i++)
            atls_exchange_free(handles[i]);
        atls_exchange_free(turn.own);
    }
    OK(atls_queue_stop(inline_queue, &error));
    atls_queue_free(inline_queue);
    atls_queue_free(polled);
}

static void count_closed(void *user_data, const atls_event *event)
{
    (void)user_data;
    closed += event->kind == ATLS_EVENT_CLOSED;
}

/* The queue is stopped, or its handle freed, at any moment of a turn: each operation is released once, and a dispatching queue shows each CLOSED. */
static void a_queue_may_go_at_any_moment_of_a_turn(void)
{
    for (int round = 0; round < 300; round++) {
        atls_queue *ending = NULL;
        atls_exchange *handles[MANY] = {NULL};
        bool dispatches = round % 2, stops = round % 4 < 2;
        OK(dispatches ? atls_queue_new_dispatching(&ending, &error) : atls_queue_new_polled(&ending, &error));
        dropped = closed = 0;
        for (int i = 0; i < MANY; i++) {
            atls_sink sink = {ending, 0, count_closed, &handles[i], drop};
            start(&sink);
        }
        if (round % 3 == 0)
            usleep((useconds_t)round);
        if (!dispatches && round % 8 == 0)
            take(ending, 3);
        if (stops) {
            OK(atls_queue_stop(ending, &error));
            CHECK(dropped == MANY && closed == (dispatches ? MANY : 0));
        }
        atls_queue_free(ending);
        wait_for(&dropped, MANY);
        CHECK(closed == (dispatches ? MANY : 0));
        for (int i = 0; i < MANY; i++)
            atls_exchange_free(handles[i]);
    }
}

static void answer_in_pieces(int fd)
{
    char buffer[2000];
    while (tcp_head(fd, buffer, sizeof buffer)) {
        const char *head = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        tcp_send(fd, head, strlen(head));
        for (int i = 0; i < 20; i++) {
            tcp_send(fd, "3\r\nabc\r\n", 8);
            if (i % 7 == 0)
                usleep(200);
        }
        if (!tcp_send(fd, "0\r\nX-End: 1\r\n\r\n", 15))
            return;
    }
}

struct course {
    char order[80];
    size_t bytes;
    bool over;
};

static void note(struct course *course, const atls_event *event)
{
    size_t at = strlen(course->order);
    CHECK(!course->over && event->kind < 9);
    if (event->kind == ATLS_EVENT_DATA)
        course->bytes += atls_buf_len(event->buf);
    if (event->kind != ATLS_EVENT_DATA || course->order[at - 1] != 'D')
        course->order[at] = ".CIHDTEWX"[event->kind];
    course->over = event->kind == ATLS_EVENT_CLOSED;
    if (course->over)
        CHECK(event->status == ATLS_OK);
}

/* Tasks move between workers, and the host gives room back meanwhile: the events of each exchange stay in their order. */
static void the_events_of_an_exchange_stay_in_order(void)
{
    struct tcp tcp;
    atls_queue *polled = NULL;
    atls_client *open = tcp_client(runtime);
    tcp_start(&tcp, answer_in_pieces);
    atls_request *request = tcp_request("GET", tcp.port, "/");
    OK(atls_queue_new_polled(&polled, &error));
    for (int round = 0; round < 6; round++) {
        struct course courses[MANY] = {0};
        atls_exchange *handles[MANY] = {NULL};
        for (int i = 0; i < MANY; i++) {
            atls_sink sink = {polled, (uint64_t)i, NULL, NULL, NULL};
            OK(atls_client_start(open, request, &sink, &handles[i], &error));
        }
        for (int over = 0; over < MANY;) {
            atls_event events[5];
            size_t n = 0;
            CHECK(readable(polled, 20000));
            OK(atls_queue_next(polled, events, sizeof *events, 5, &n, &error));
            CHECK(n > 0);
            for (size_t i = 0; i < n; i++) {
                note(&courses[events[i].token], &events[i]);
                over += events[i].kind == ATLS_EVENT_CLOSED;
                atls_event_release(&events[i]);
            }
        }
        for (int i = 0; i < MANY; i++) {
            CHECK(strcmp(courses[i].order, "IHDTEX") == 0 && courses[i].bytes == 60);
            atls_exchange_free(handles[i]);
        }
    }
    CHECK(!readable(polled, 0));
    atls_queue_free(polled);
    atls_request_free(request);
    atls_client_free(open);
    tcp_stop(&tcp);
}

/* A shutdown ends operations on the workers while they stop: their last events come all the same. */
static void a_shutdown_delivers_every_last_event(void)
{
    struct tcp tcp;
    tcp_start(&tcp, answer_in_pieces);
    atls_request *request = tcp_request("GET", tcp.port, "/");
    for (int round = 0; round < 30; round++) {
        atls_runtime *own = NULL;
        atls_queue *dispatching = NULL;
        atls_exchange *handles[MANY] = {NULL};
        OK(atls_runtime_new(1 + (unsigned)round % 3, &own, &error));
        OK(atls_queue_new_dispatching(&dispatching, &error));
        atls_client *open = tcp_client(own);
        dropped = closed = 0;
        for (int i = 0; i < MANY; i++) {
            atls_sink sink = {dispatching, 0, count_closed, NULL, drop};
            OK(atls_client_start(open, request, &sink, &handles[i], &error));
        }
        usleep((useconds_t)(round * 300));
        if (round % 2)
            OK(atls_runtime_shutdown(own, 20000, &error));
        for (int i = 0; i < MANY; i++)
            atls_exchange_free(handles[i]);
        atls_client_free(open);
        atls_runtime_free(own);
        wait_for(&dropped, MANY);
        CHECK(closed == MANY);
        OK(atls_queue_stop(dispatching, &error));
        atls_queue_free(dispatching);
    }
    atls_request_free(request);
    tcp_stop(&tcp);
}

static void one_worker(void)
{
    alarm(200);
    OK(atls_runtime_new(1, &runtime, &error));
    refuse_all();
}

static void tear_down(void)
{
    atls_request_free(refused);
    atls_client_free(client);
    OK(atls_runtime_shutdown(runtime, 0, &error));
    atls_runtime_free(runtime);
}

TESTS(one_worker, tear_down, CASE(a_worker_that_the_host_blocks_holds_nothing_back), CASE(a_log_that_blocks_holds_nothing_back),
      CASE(every_queue_of_a_turn_is_announced), CASE(several_threads_share_the_events_of_a_turn),
      CASE(a_host_that_looks_finds_events_before_they_are_announced), CASE(a_queue_may_go_at_any_moment_of_a_turn),
      CASE(the_events_of_an_exchange_stay_in_order), CASE(a_shutdown_delivers_every_last_event))
