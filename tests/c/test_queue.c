/* Queues: wake-ups are counted, arguments are looked at before a wait, events of another size, and a queue that goes before its operations. */
#include <dirent.h>
#include <poll.h>
#include <stdatomic.h>

#include "tcp.h"

static _Thread_local atls_error *error;
static atls_runtime *runtime;
static atomic_int dropped;

static void on_event(void *user_data, const atls_event *event)
{
    (void)user_data;
    (void)event;
}

static void drop(void *user_data)
{
    (void)user_data;
    dropped++;
}

static void serve_nothing(int fd)
{
    char buffer[1000];
    while (recv(fd, buffer, sizeof buffer, 0) > 0)
        ;
}

/* A client that refuses every host: its requests are CLOSED at once, on the runtime's threads, without a network. */
static atls_client *refusing_client(void)
{
    atls_config *config = NULL;
    atls_client *client = NULL;
    atls_client_limits *limits = NULL;
    OK(atls_config_new("localhost", 1, &config, &error));
    OK(atls_client_limits_new(&limits, &error));
    OK(atls_client_limits_set_requests(limits, 1000, &error));
    OK(atls_client_new(runtime, config, limits, &client, &error));
    atls_client_limits_free(limits);
    atls_config_free(config);
    return client;
}

static void start(atls_client *client, atls_queue *queue, atls_exchange **exchange)
{
    atls_sink sink = {queue, 7, on_event, NULL, drop};
    atls_request *request = tcp_request("GET", 1, "/");
    OK(atls_client_start(client, request, &sink, exchange, &error));
    atls_request_free(request);
}

static void every_wakeup_has_its_event(void)
{
    atls_queue *queue = NULL;
    atls_client *client = refusing_client();
    atls_exchange *exchanges[32];
    int batches = getenv("ATLS_TEST_SLOW") ? 30 : 1200, missed = 0, empty = 0;
    OK(atls_queue_new_polled(&queue, &error));
    struct pollfd fd = {atls_queue_fd(queue), POLLIN, 0};
    for (int batch = 0; batch < batches; batch++) {
        for (int i = 0; i < 32; i++)
            start(client, queue, &exchanges[i]);
        for (int closed = 0; closed < 32;) {
            atls_event events[8];
            size_t n = 0;
            int ready = poll(&fd, 1, 3000);
            OK(atls_queue_next(queue, events, sizeof *events, 8, &n, &error));
            missed += ready == 0 && n > 0;
            empty += ready == 1 && n == 0;
            CHECK(ready == 1 || n > 0);
            for (size_t i = 0; i < n; i++) {
                CHECK(events[i].token == 7);
                closed += events[i].kind == ATLS_EVENT_CLOSED && events[i].status == ATLS_POLICY_REQUIRED;
                atls_event_release(&events[i]);
            }
        }
        empty += poll(&fd, 1, 0) == 1;
        for (int i = 0; i < 32; i++)
            atls_exchange_free(exchanges[i]);
    }
    if (missed || empty)
        fprintf(stderr, "%d wake-ups missed, %d for nothing\n", missed, empty);
    CHECK(missed == 0 && empty == 0);
    OK(atls_queue_stop(queue, &error));
    atls_queue_free(queue);
    atls_client_free(client);
}

static void events_of_another_size_are_filled_up(void)
{
    atls_queue *queue = NULL;
    atls_client *client = refusing_client();
    atls_exchange *exchanges[2];
    struct later {
        atls_event event;
        uint64_t more[3];
    } events[2];
    size_t n = 0, have = 0;
    OK(atls_queue_new_polled(&queue, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "event_size is 8", atls_queue_next(queue, &events[0].event, 8, 2, &n, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "impossible", atls_queue_next(queue, &events[0].event, sizeof *events, SIZE_MAX / 16, &n, &error));
    start(client, queue, &exchanges[0]);
    start(client, queue, &exchanges[1]);
    memset(events, 0xff, sizeof events);
    for (; have < 2; have += n)
        OK(atls_queue_wait(queue, &events[have].event, sizeof *events, 2 - have, 10000, &n, &error));
    for (int i = 0; i < 2; i++) {
        CHECK(events[i].event.kind == ATLS_EVENT_CLOSED && events[i].event.token == 7);
        CHECK(events[i].more[0] == 0 && events[i].more[1] == 0 && events[i].more[2] == 0);
        atls_event_release(&events[i].event);
        atls_event_release(&events[i].event);
        atls_exchange_free(exchanges[i]);
    }
    OK(atls_queue_stop(queue, &error));
    atls_queue_free(queue);
    atls_client_free(client);
}

/* Each of these would wait for ever if it waited at all. */
static void wait_checks_its_arguments_first(void)
{
    atls_queue *queue = NULL, *dispatching = NULL;
    atls_event event;
    size_t n = 0;
    OK(atls_queue_new_polled(&queue, &error));
    OK(atls_queue_new_dispatching(&dispatching, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "queue", atls_queue_wait(NULL, &event, sizeof event, 1, UINT32_MAX, &n, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "events", atls_queue_wait(queue, NULL, sizeof event, 1, UINT32_MAX, &n, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "count", atls_queue_wait(queue, &event, sizeof event, 1, UINT32_MAX, NULL, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "event_size", atls_queue_wait(queue, &event, 1, 1, UINT32_MAX, &n, &error));
    EXPECT(ATLS_INVALID_STATE, "polled", atls_queue_wait(dispatching, &event, sizeof event, 1, UINT32_MAX, &n, &error));
    OK(atls_queue_wait(queue, &event, sizeof event, 0, UINT32_MAX, &n, &error));
    CHECK(n == 0);
    OK(atls_queue_wait(queue, &event, sizeof event, 1, 10, &n, &error));
    CHECK(n == 0);
    atls_queue_free(queue);
    atls_queue_free(dispatching);
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

static void each_of_several_waiters_gets_an_event(void)
{
    atls_queue *queue = NULL;
    atls_client *client = refusing_client();
    OK(atls_queue_new_polled(&queue, &error));
    for (int round = 0; round < 50; round++) {
        pthread_t threads[4];
        atls_exchange *exchanges[4];
        for (int i = 0; i < 4; i++)
            CHECK(pthread_create(&threads[i], NULL, take_one, queue) == 0);
        for (int i = 0; i < 4; i++)
            start(client, queue, &exchanges[i]);
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
            atls_exchange_free(exchanges[i]);
        }
    }
    atls_queue_free(queue);
    atls_client_free(client);
}

/* How often the dispatching thread was switched to; -1 once there is none. */
static long switches(void)
{
    long sum = -1;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks);
    for (struct dirent *task; (task = readdir(tasks));) {
        char path[300], line[200];
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        FILE *in = fopen(path, "r");
        long value;
        int is_it = 0;
        while (in && fgets(line, sizeof line, in)) {
            is_it |= strcmp(line, "Name:\tatls-queue\n") == 0;
            if (is_it && (sscanf(line, "voluntary_ctxt_switches: %ld", &value) == 1))
                sum = (sum < 0 ? 0 : sum) + value;
        }
        if (in)
            fclose(in);
    }
    closedir(tasks);
    return sum;
}

static void a_freed_queue_goes_on_quietly_and_ends(void)
{
    struct tcp tcp;
    atls_queue *queue = NULL;
    atls_client *client = tcp_client(runtime);
    atls_exchange *exchange = NULL;
    tcp_start(&tcp, serve_nothing);
    atls_request *request = tcp_request("GET", tcp.port, "/");
    for (int i = 0; i < 2000 && switches() >= 0; i++)
        usleep(1000); /* those of the tests before */
    OK(atls_queue_new_dispatching(&queue, &error));
    atls_sink sink = {queue, 0, on_event, NULL, drop};
    OK(atls_client_start(client, request, &sink, &exchange, &error));
    atls_queue_free(queue);
    usleep(50000);
    long before = switches();
    usleep(200000);
    CHECK(before >= 0 && switches() - before < 10);
    dropped = 0;
    OK(atls_exchange_cancel(exchange, &error));
    for (int i = 0; i < 10000 && switches() >= 0; i++)
        usleep(1000);
    CHECK(dropped == 1 && switches() < 0);
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_client_free(client);
    tcp_stop(&tcp);
}

/* Nobody can take the events of a polled queue that is gone: they are discarded, and the host's object is released all the same. */
static void a_freed_polled_queue_releases_everything(void)
{
    struct tcp tcp;
    atls_queue *queue = NULL;
    atls_client *client = tcp_client(runtime), *refusing = refusing_client();
    atls_exchange *exchanges[2] = {NULL, NULL};
    tcp_start(&tcp, serve_nothing);
    atls_request *request = tcp_request("GET", tcp.port, "/");
    OK(atls_queue_new_polled(&queue, &error));
    struct pollfd fd = {atls_queue_fd(queue), POLLIN, 0};
    atls_sink sink = {queue, 0, NULL, NULL, drop};
    dropped = 0;
    start(refusing, queue, &exchanges[0]);
    OK(atls_client_start(client, request, &sink, &exchanges[1], &error));
    CHECK(poll(&fd, 1, 10000) == 1);
    atls_queue_free(queue);
    CHECK(dropped == 1);
    OK(atls_exchange_cancel(exchanges[1], &error));
    for (int i = 0; i < 10000 && dropped < 2; i++)
        usleep(1000);
    CHECK(dropped == 2);
    for (int i = 0; i < 2; i++)
        atls_exchange_free(exchanges[i]);
    atls_request_free(request);
    atls_client_free(client);
    atls_client_free(refusing);
    tcp_stop(&tcp);
}

static void set_up(void)
{
    alarm(120);
    OK(atls_runtime_new(4, &runtime, &error));
}

static void tear_down(void)
{
    OK(atls_runtime_shutdown(runtime, 0, &error));
    atls_runtime_free(runtime);
}

TESTS(set_up, tear_down, CASE(every_wakeup_has_its_event), CASE(events_of_another_size_are_filled_up),
      CASE(wait_checks_its_arguments_first), CASE(each_of_several_waiters_gets_an_event), CASE(a_freed_queue_goes_on_quietly_and_ends),
      CASE(a_freed_polled_queue_releases_everything))
