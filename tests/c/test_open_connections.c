/* Connections that stay open, event-driven and blocking: the server is judged again when documents have ended, and proves itself anew when its evidence is too
 * old. The clock of this process is moved, with the library's; the simulator keeps its own. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"
#include "sim.h"

static struct sim sim;
static _Thread_local atls_error *error;
static atomic_llong ahead;

/* Everybody's clock, that of the library too. */
int clock_gettime(clockid_t which, struct timespec *now)
{
    int done = (int)syscall(SYS_clock_gettime, which, now);
    if (which == CLOCK_REALTIME)
        now->tv_sec += (time_t)ahead;
    return done;
}

enum { HOUR = 3600, MONTH = 31 * 24 * HOUR };

/* What the events of one operation have said. */
struct told {
    atomic_int connected, bytes, closed;
    _Atomic(atls_status) status;
    char message[512], phase[32];
};

static void on_event(void *user_data, const atls_event *event)
{
    struct told *told = user_data;
    if (event->kind == ATLS_EVENT_CONNECTED)
        told->connected = 1;
    if (event->kind == ATLS_EVENT_DATA)
        told->bytes += (int)atls_buf_len(event->buf);
    if (event->kind != ATLS_EVENT_CLOSED)
        return;
    told->status = event->status;
    if (event->error) {
        snprintf(told->message, sizeof told->message, "%s", atls_error_message(event->error).ptr);
        snprintf(told->phase, sizeof told->phase, "%s", atls_error_phase(event->error).ptr);
    }
    told->closed = 1;
}

static void wait_for(atomic_int *what)
{
    for (int i = 0; i < 2000 && !*what; i++)
        usleep(5000);
    CHECK(*what);
}

/* strict-policy.json (exporter-v1), with `more` in it. */
static atls_config *strict(const char *more)
{
    size_t len;
    char *json = sim_file("strict-policy.json", &len), text[1 << 14];
    CHECK(*json == '{');
    snprintf(text, sizeof text, "{%s%s", more, json + 1);
    free(json);
    atls_policy *policy = NULL;
    atls_config *config = sim_config(sim.http, "policy.json");
    OK(atls_policy_new(atls_bytes_of_text(text), &policy, &error));
    OK(atls_config_set_policy(config, policy, &error));
    atls_policy_free(policy);
    return config;
}

static atls_http *connected(atls_config *config, struct told *told)
{
    atls_http *http = NULL;
    atls_sink sink = {.queue = queue, .call = on_event, .user_data = told};
    OK(atls_http_connect_start(runtime, config, &sink, &http, &error));
    wait_for(&told->connected);
    atls_config_free(config);
    return http;
}

static void exchange(atls_http *http, struct told *told)
{
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    atls_sink sink = {.queue = queue, .call = on_event, .user_data = told};
    memset(told, 0, sizeof *told);
    OK(atls_request_new("GET", "/small", "localhost", &request, &error));
    OK(atls_http_start(http, request, &sink, &exchange, &error));
    wait_for(&told->closed);
    atls_exchange_free(exchange);
    atls_request_free(request);
}

static void documents_that_have_ended_end_the_connection_and_the_host_is_told(void)
{
    struct told connection = {0}, told;
    atls_http *http = connected(strict(""), &connection);
    exchange(http, &told);
    CHECK(told.status == ATLS_OK && told.bytes == 100);
    ahead = MONTH;
    exchange(http, &told);
    CHECK(told.status == ATLS_COLLATERAL_INVALID && told.bytes == 0 && strcmp(told.phase, "collateral") == 0);
    CHECK(strstr(told.message, "expired"));
    wait_for(&connection.closed);
    CHECK(connection.status == told.status && strcmp(connection.message, told.message) == 0);
    CHECK(!atls_http_ready(http));
    atls_http_free(http);
}

static uint64_t time_of(const atls_http *http)
{
    atls_verdict *verdict = atls_http_verdict(http);
    const char *at = strstr(atls_verdict_json(verdict).ptr, "\"time\":");
    CHECK(at && atls_verdict_trusted(verdict));
    uint64_t time = strtoull(at + 7, NULL, 10);
    atls_verdict_free(verdict);
    return time;
}

static void evidence_that_is_too_old_is_renewed_between_exchanges(void)
{
    struct told connection = {0}, told;
    atls_http *http = connected(strict("\"reattest\":{\"interval_s\":3600},"), &connection);
    uint64_t before = time_of(http);
    exchange(http, &told);
    CHECK(told.status == ATLS_OK && time_of(http) == before);
    for (int i = 0; i < 3; i++) {
        ahead += HOUR;
        exchange(http, &told);
        CHECK(told.status == ATLS_OK && told.bytes == 100 && time_of(http) >= before + HOUR);
        before = time_of(http);
    }
    CHECK(!connection.closed);
    atls_http_free(http);
    wait_for(&connection.closed);
}

static void a_blocking_stream_and_a_blocking_connection_end_alike(void)
{
    atls_stream *stream = NULL;
    atls_http *http = NULL;
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    atls_config *config = strict("");
    OK(atls_http_connect(config, &http, &error));
    OK(atls_stream_connect(config, &stream, &error));
    atls_config_free(config);
    OK(atls_request_new("GET", "/small", "localhost", &request, &error));
    ahead = MONTH;
    EXPECT(ATLS_COLLATERAL_INVALID, "expired", atls_http_fetch(http, request, &exchange, &error));
    CHECK(!exchange);
    EXPECT(ATLS_CLOSED, "expired", atls_http_fetch(http, request, &exchange, &error));
    EXPECT(ATLS_COLLATERAL_INVALID, "expired", atls_stream_write_all(stream, atls_bytes_of("GET", 3), 5000, &error));
    atls_request_free(request);
    atls_stream_free(stream);
    atls_http_free(http);
}

static atls_client *shared;

static void *fetching(void *first)
{
    char url[64];
    snprintf(url, sizeof url, "https://localhost:%u/small", sim.http);
    for (int i = 0; i < (getenv("ATLS_TEST_SLOW") ? 4 : 20); i++) {
        atls_request *request = NULL;
        atls_exchange *exchange = NULL;
        atls_buf *body = NULL;
        if (first)
            ahead += HOUR / 3;
        OK(atls_request_new_url("GET", url, &request, &error));
        OK(atls_client_fetch(shared, request, &exchange, &error));
        OK(atls_exchange_read_all(exchange, 1000, 10000, &body, &error));
        CHECK(atls_buf_len(body) == 100);
        atls_verdict *verdict = atls_exchange_verdict(exchange);
        CHECK(atls_verdict_trusted(verdict));
        atls_verdict_free(verdict);
        atls_buf_free(body);
        atls_exchange_free(exchange);
        atls_request_free(request);
    }
    return NULL;
}

static void many_threads_on_one_client_while_time_passes(void)
{
    pthread_t threads[6];
    atls_config *config = strict("\"reattest\":{\"interval_s\":3600},");
    OK(atls_client_new(NULL, config, NULL, &shared, &error));
    atls_config_free(config);
    for (size_t i = 0; i < 6; i++)
        CHECK(pthread_create(&threads[i], NULL, fetching, i == 0 ? &threads : NULL) == 0);
    for (size_t i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    atls_client_free(shared);
}

static void set_up(void)
{
    sim = sim_start();
    ahead = 0;
    loop_start();
}

TESTS(set_up, loop_end, CASE(documents_that_have_ended_end_the_connection_and_the_host_is_told),
      CASE(evidence_that_is_too_old_is_renewed_between_exchanges), CASE(a_blocking_stream_and_a_blocking_connection_end_alike),
      CASE(many_threads_on_one_client_while_time_passes))
