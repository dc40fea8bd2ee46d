/* What the log tells an operator, and what it never tells; and the lines for who takes traffic apart. */
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sim.h"

static _Thread_local atls_error *error;
static struct sim sim;

/* Every line, each with its level as a digit before it and a line feed behind it. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char lines[1 << 20];
static size_t used;

static void on_line(void *user_data, uint32_t level, atls_str line)
{
    (void)user_data;
    pthread_mutex_lock(&mutex);
    if (used + line.len + 3 < sizeof lines)
        used += (size_t)snprintf(lines + used, sizeof lines - used, "%u%s\n", level, line.ptr);
    pthread_mutex_unlock(&mutex);
}

static void begin(uint32_t level)
{
    atls_log_set(level, NULL, NULL);
    used = 0;
    lines[0] = '\0';
    atls_log_set(level, on_line, NULL);
}

/* How many lines of this level hold all of `parts`. */
static int told(char level, const char *first, const char *second)
{
    int count = 0;
    for (char *line = lines, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        count += *line == level && strstr(line, first) && strstr(line, second);
        *end = '\n';
    }
    return count;
}

static atls_status stream_to(unsigned port, const char *policy, void (*change)(atls_config *))
{
    atls_stream *stream = NULL;
    atls_config *config = sim_config(port, policy);
    if (change)
        change(config);
    atls_status status = atls_stream_connect(config, &stream, &error);
    atls_stream_free(stream);
    atls_config_free(config);
    return status;
}

static void through_a_tunnel(atls_config *config)
{
    char url[100];
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/?token=SECRET-tunnel", sim.tunnel);
    OK(atls_config_set_tunnel(config, url, &error));
}

static void through_a_dead_proxy(atls_config *config)
{
    OK(atls_config_set_proxy(config, "http://127.0.0.1:1", "SECRET-user", "SECRET-password", ATLS_AUTH_BASIC, &error));
}

/* INFO: each attempt in one line, with its outcome and times. WARNING: who was refused. */
static void each_attempt_is_one_line_with_its_times(void)
{
    char place[40];
    begin(ATLS_LOG_INFO);
    OK(stream_to(sim.raw, "policy.json", NULL));
    snprintf(place, sizeof place, "3connect: localhost:%u: attested;", sim.raw);
    CHECK(told('3', place, " dns=") == 1 && told('3', " tls=", " evidence=") == 1 && told('3', " connect=", " total=") == 1);
    OK(stream_to(sim.raw, NULL, NULL));
    CHECK(told('3', "connected, not attested", " ms") == 1);
    EXPECT(ATLS_MEASUREMENT_MISMATCH, NULL, stream_to(sim.raw, "wrong-policy.json", NULL));
    CHECK(told('2', "verify: localhost:", "refused: MEASUREMENT_MISMATCH") == 1);
    CHECK(told('3', "failed in phase verify: MEASUREMENT_MISMATCH", "total=") == 1);
    EXPECT(ATLS_BINDING_MISMATCH, NULL, stream_to(sim.evil, "policy.json", NULL));
    CHECK(told('2', "refused: BINDING_MISMATCH", "report_data") == 1);
    EXPECT(ATLS_IO, NULL, stream_to(1, "policy.json", NULL));
    CHECK(told('3', "connect: localhost:1: failed in phase connect: IO", "total=") == 1 && told('2', "localhost:1", "") == 0);
    CHECK(told('3', "connect: ", " total=") == 5 && told('4', "", "") == 0);
    /* A higher level has no such lines, and off has none. */
    begin(ATLS_LOG_WARNING);
    OK(stream_to(sim.raw, "policy.json", NULL));
    EXPECT(ATLS_BINDING_MISMATCH, NULL, stream_to(sim.evil, "policy.json", NULL));
    CHECK(told('3', "", "") == 0 && told('2', "", "") == 1);
    begin(ATLS_LOG_OFF);
    OK(stream_to(sim.raw, "policy.json", NULL));
    CHECK(used == 0);
}

static void post(unsigned port)
{
    size_t n = 1;
    uint8_t text[1000];
    atls_http *http = NULL;
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    atls_config *config = sim_config(port, "policy.json");
    OK(atls_http_connect(config, &http, &error));
    OK(atls_request_new("POST", "/SECRET-path?token=SECRET-query", "localhost", &request, &error));
    OK(atls_request_add_header(request, "Authorization", atls_bytes_of("Bearer SECRET-token", 19), &error));
    OK(atls_request_add_header(request, "Cookie", atls_bytes_of("session=SECRET-cookie", 21), &error));
    OK(atls_request_set_body(request, atls_bytes_of("SECRET-body", 11), &error));
    OK(atls_http_fetch(http, request, &exchange, &error));
    while (n > 0)
        OK(atls_exchange_read(exchange, text, sizeof text, 5000, &n, &error));
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_http_free(http);
    atls_config_free(config);
}

/* DEBUG: each step has its line, in one form; and no line holds what is the host's or its users' alone. */
static void debug_lines_name_each_step_and_no_secret(void)
{
    begin(ATLS_LOG_DEBUG);
    post(sim.http);
    CHECK(told('4', "dns: localhost: ", "127.0.0.1") >= 1 && told('4', "connect: 127.0.0.1:", "connected, after") >= 1);
    CHECK(told('4', "tls: localhost:", "TLS13_") == 1 && told('4', "tls: localhost:", "ALPN http/1.1") == 1);
    CHECK(told('4', "evidence: localhost:", "status 200") == 1 && told('4', "evidence: localhost:", "trusted=true") == 1);
    OK(stream_to(sim.http, NULL, through_a_tunnel));
    CHECK(told('4', "tunnel: 127.0.0.1:", "upgraded") == 1);
    EXPECT(ATLS_IO, NULL, stream_to(sim.http, "policy.json", through_a_dead_proxy));
    CHECK(told('4', "proxy: 127.0.0.1:1: to localhost:", "IO") == 1);
    CHECK(used > 0 && used < sizeof lines - 1000);
    const char *const never[] = {"SECRET", "U0VDUkVU" /* SECRET, as Basic has it */, "nonce_hex", "\r", "\x1b"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        CHECK(!strstr(lines, never[i]));
    for (char *line = lines, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        char *step = strstr(line, ": "), *whom = step ? strstr(step + 2, ": ") : NULL;
        CHECK(step && whom && strspn(line + 1, "abcdefghijklmnopqrstuvwxyz") == (size_t)(step - line - 1));
    }
    begin(ATLS_LOG_OFF);
}

/* ERROR: what only the host can mend. */
static void want_of_descriptors_is_logged_as_an_error(void)
{
    struct rlimit before, few;
    atls_runtime *runtime = NULL;
    atls_queue *queue = NULL;
    atls_stream *stream = NULL;
    atls_event events[4];
    atls_config *config = sim_config(sim.raw, "policy.json");
    OK(atls_runtime_new(1, &runtime, &error));
    OK(atls_queue_new_polled(&queue, &error));
    begin(ATLS_LOG_ERROR);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    few = before;
    few.rlim_cur = 3;
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    atls_sink sink = {.queue = queue};
    OK(atls_stream_connect_start(runtime, config, &sink, &stream, &error));
    for (bool over = false; !over;) {
        size_t n = 0;
        OK(atls_queue_wait(queue, events, sizeof *events, 4, 5000, &n, &error));
        for (size_t i = 0; i < n; i++) {
            over |= events[i].kind == ATLS_EVENT_CLOSED;
            if (events[i].kind == ATLS_EVENT_CLOSED)
                CHECK(events[i].status == ATLS_IO);
            atls_event_release(&events[i]);
        }
    }
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(told('1', "connect: this machine: ", "RLIMIT_NOFILE") >= 1);
    begin(ATLS_LOG_OFF);
    atls_stream_free(stream);
    atls_config_free(config);
    OK(atls_runtime_shutdown(runtime, 10000, &error));
    atls_queue_free(queue);
    atls_runtime_free(runtime);
}

struct keys {
    int handshake, traffic, bad, dropped;
};

static void on_key(void *user_data, atls_str line)
{
    struct keys *keys = user_data;
    char label[64], random[80], secret[200];
    bool whole = sscanf(line.ptr, "%63s %79s %199s", label, random, secret) == 3 && strlen(random) == 64 && !strchr(line.ptr, '\n');
    keys->bad += !whole || strlen(label) + 1 + 64 + 1 + strlen(secret) != line.len;
    keys->handshake += strcmp(label, "CLIENT_HANDSHAKE_TRAFFIC_SECRET") == 0;
    keys->traffic += strcmp(label, "SERVER_TRAFFIC_SECRET_0") == 0;
}

static void dropped(void *user_data)
{
    ((struct keys *)user_data)->dropped++;
}

static struct keys keys;

static void with_keys(atls_config *config)
{
    OK(atls_config_set_key_log(config, on_key, &keys, dropped, NULL, &error));
}

static void with_keys_and_words(atls_config *config)
{
    OK(atls_config_set_key_log(config, on_key, &keys, dropped, "secrets may leave", &error));
}

static void with_other_words(atls_config *config)
{
    EXPECT(ATLS_INVALID_ARGUMENT, "secrets may leave", atls_config_set_key_log(config, on_key, &keys, dropped, "yes", &error));
}

static void taken_away(atls_config *config)
{
    OK(atls_config_set_key_log(config, on_key, &keys, dropped, "secrets may leave", &error));
    OK(atls_config_set_key_log(config, NULL, NULL, NULL, NULL, &error));
}

/* Off by default; not beside a policy, unless the configuration says in words that secrets may leave. Nothing of it is in the log. */
static void keys_are_logged_only_if_the_configuration_says_so_in_words(void)
{
    begin(ATLS_LOG_DEBUG);
    OK(stream_to(sim.raw, NULL, with_keys));
    CHECK(keys.handshake == 1 && keys.traffic == 1 && keys.bad == 0 && keys.dropped == 1);
    EXPECT(ATLS_INVALID_STATE, "secrets may leave", stream_to(sim.raw, "policy.json", with_keys));
    OK(stream_to(sim.raw, "policy.json", with_other_words));
    CHECK(keys.handshake == 1 && keys.dropped == 3);
    OK(stream_to(sim.raw, "policy.json", with_keys_and_words));
    CHECK(keys.handshake == 2 && keys.traffic == 2 && keys.bad == 0 && keys.dropped == 4);
    OK(stream_to(sim.raw, "policy.json", taken_away));
    OK(stream_to(sim.raw, NULL, NULL));
    CHECK(keys.handshake == 2 && keys.dropped == 5);
    CHECK(!strstr(lines, "TRAFFIC_SECRET"));
    begin(ATLS_LOG_OFF);
}

static void set_up(void)
{
    sim = sim_start();
}

TESTS(set_up, NULL, CASE(each_attempt_is_one_line_with_its_times), CASE(debug_lines_name_each_step_and_no_secret),
      CASE(want_of_descriptors_is_logged_as_an_error), CASE(keys_are_logged_only_if_the_configuration_says_so_in_words))
