/* Blocking streams. */
#include <pthread.h>
#include <unistd.h>

#include "sim.h"

static _Thread_local atls_error *error;
static struct sim sim;

static void read_all(atls_stream *stream, unsigned char *to, size_t len)
{
    atls_error *error = NULL;
    for (size_t have = 0, n; have < len; have += n) {
        OK(atls_stream_read(stream, to + have, len - have, 5000, &n, &error));
        CHECK(n > 0);
    }
}

static void *cancel_soon(void *argument)
{
    usleep(100000);
    CHECK(atls_stream_cancel(argument, NULL) == ATLS_OK);
    return NULL;
}

static void *write_late(void *argument)
{
    atls_error *error = NULL;
    usleep(100000);
    OK(atls_stream_write_all(argument, atls_bytes_of("late", 4), 5000, &error));
    return NULL;
}

/* By events: SENT comes once, after all that was written has left, and not before atls_stream_finish. */
static void sent_is_told_once_and_after_the_end_of_writing(void)
{
    enum { ALL = 600000, PIECE = 50000 };
    static unsigned char piece[PIECE];
    atls_error *error = NULL;
    atls_runtime *runtime = NULL;
    atls_queue *queue = NULL;
    atls_stream *stream = NULL;
    atls_config *config = sim_config(sim.raw, "policy.json");
    size_t written = 0, came = 0;
    int sent = 0, ends = 0;
    bool over = false, closed = false;
    OK(atls_config_set_credit(config, 1 << 20, true, &error));
    OK(atls_runtime_new(1, &runtime, &error));
    OK(atls_queue_new_polled(&queue, &error));
    OK(atls_stream_connect_start(runtime, config, &(atls_sink){.queue = queue}, &stream, &error));
    while (!over) {
        atls_event event;
        size_t n = 0;
        OK(atls_queue_wait(queue, &event, sizeof event, 1, 20000, &n, &error));
        CHECK(n == 1);
        came += event.kind == ATLS_EVENT_DATA ? atls_buf_len(event.buf) : 0;
        if (event.kind == ATLS_EVENT_SENT) {
            CHECK(closed && written == ALL);
            sent++;
        }
        ends += event.kind == ATLS_EVENT_END;
        over = event.kind == ATLS_EVENT_CLOSED;
        CHECK(!over || (event.status == ATLS_OK && sent == 1 && ends == 1 && came == ALL));
        atls_event_release(&event);
        while (!over && written < ALL && atls_stream_write(stream, atls_bytes_of(piece, PIECE), NULL) == ATLS_OK)
            written += PIECE;
        /* The echo of all is awaited: until then nothing has been closed, and SENT would be wrong. */
        if (came == ALL && !closed) {
            closed = true;
            OK(atls_stream_finish(stream, &error));
        }
    }
    atls_stream_free(stream);
    atls_runtime_free(runtime);
    atls_queue_free(queue);
    atls_config_free(config);
}

static void bad_arguments_open_no_socket(void)
{
    atls_stream *stream = NULL;
    atls_config *config = sim_config(sim.raw, "policy.json");
    EXPECT(ATLS_NULL_ARGUMENT, "config", atls_stream_connect(NULL, &stream, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "stream", atls_stream_connect(config, NULL, &error));
    atls_config *bare = NULL;
    OK(atls_config_new("localhost", (uint16_t)sim.raw, &bare, &error));
    EXPECT(ATLS_INVALID_STATE, "no policy", atls_stream_connect(bare, &stream, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "ws://", atls_config_set_tunnel(bare, "http://x/", &error));
    OK(atls_config_set_unattested(bare, &error));
    OK(atls_config_add_root_pem(bare, "not a certificate", &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "root certificate", atls_stream_connect(bare, &stream, &error));
    atls_config_free(bare);
    EXPECT(ATLS_INVALID_ARGUMENT, "port", atls_config_new("localhost", 0, &bare, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "host", atls_config_new("a b", 1, &bare, &error));
    CHECK(stream == NULL);
    atls_config_free(config);
}

static void what_is_written_comes_back_and_the_end_is_clean(void)
{
    static unsigned char buffer[100000], pattern[100000];
    size_t n = 99;
    atls_stream *stream = NULL;
    atls_config *config = sim_config(sim.raw, "policy.json");
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (unsigned char)(i * 7);
    OK(atls_stream_connect(config, &stream, &error));
    atls_verdict *verdict = atls_stream_verdict(stream);
    CHECK(atls_verdict_trusted(verdict) && atls_verdict_bound_to_session(verdict));
    CHECK(strcmp(atls_verdict_trust_anchor(verdict).ptr, "simulated") == 0);
    CHECK(strcmp(atls_verdict_tcb_status(verdict).ptr, "UpToDate") == 0);
    CHECK(strstr(atls_verdict_json(verdict).ptr, "\"trusted\":true"));
    atls_verdict_free(verdict);
    OK(atls_stream_write_all(stream, atls_bytes_of(pattern, sizeof pattern), 0, &error));
    read_all(stream, buffer, sizeof buffer);
    CHECK(memcmp(buffer, pattern, sizeof buffer) == 0);
    OK(atls_stream_finish(stream, &error));
    OK(atls_stream_read(stream, buffer, 10, 5000, &n, &error));
    CHECK(n == 0);
    atls_stream_free(stream);
    atls_config_free(config);
}

static void a_read_that_times_out_loses_nothing(void)
{
    unsigned char buffer[10];
    const unsigned char pattern[] = "0123456789";
    size_t n = 99;
    atls_stream *stream = NULL;
    atls_config *config = sim_config(sim.raw, "policy.json");
    OK(atls_stream_connect(config, &stream, &error));
    EXPECT(ATLS_TIMED_OUT, "receiving", atls_stream_read(stream, buffer, 10, 50, &n, &error));
    CHECK(n > 0); /* left as it was */
    OK(atls_stream_write_all(stream, atls_bytes_of(pattern, 10), 0, &error));
    read_all(stream, buffer, 10);
    CHECK(memcmp(buffer, pattern, 10) == 0);
    /* Event functions do not apply. */
    EXPECT(ATLS_INVALID_STATE, "blocking", atls_stream_grant(stream, 1, &error));
    EXPECT(ATLS_INVALID_STATE, "blocking", atls_stream_write(stream, atls_bytes_of(pattern, 1), &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "cap", atls_stream_read(stream, buffer, 0, 0, &n, &error));
    atls_stream_free(stream);
    atls_config_free(config);
}

static void a_waiting_reader_does_not_keep_a_writer_waiting(void)
{
    unsigned char buffer[4];
    pthread_t thread;
    atls_stream *stream = NULL;
    atls_config *config = sim_config(sim.raw, "policy.json");
    OK(atls_stream_connect(config, &stream, &error));
    CHECK(pthread_create(&thread, NULL, write_late, stream) == 0);
    read_all(stream, buffer, 4);
    CHECK(memcmp(buffer, "late", 4) == 0);
    pthread_join(thread, NULL);
    atls_stream_free(stream);
    atls_config_free(config);
}

static void another_thread_can_cancel(void)
{
    unsigned char buffer[10] = {0};
    size_t n;
    pthread_t thread;
    atls_stream *stream = NULL;
    atls_config *config = sim_config(sim.raw, "policy.json");
    OK(atls_stream_connect(config, &stream, &error));
    CHECK(pthread_create(&thread, NULL, cancel_soon, stream) == 0);
    EXPECT(ATLS_CANCELED, NULL, atls_stream_read(stream, buffer, 10, UINT32_MAX, &n, &error));
    pthread_join(thread, NULL);
    EXPECT(ATLS_CANCELED, NULL, atls_stream_write_all(stream, atls_bytes_of(buffer, 1), 0, &error));
    OK(atls_stream_close(stream, &error));
    atls_stream_free(stream);
    atls_config_free(config);
}

static void a_refusal_names_the_check_that_failed(void)
{
    atls_stream *stream = NULL;
    atls_config *config = sim_config(sim.raw, "wrong-policy.json");
    CHECK(atls_stream_connect(config, &stream, &error) == ATLS_MEASUREMENT_MISMATCH);
    CHECK(atls_error_verdict(error) && !atls_verdict_trusted(atls_error_verdict(error)));
    CHECK(strstr(atls_error_message(error).ptr, "bootchain"));
    CHECK(strcmp(atls_error_phase(error).ptr, "verify") == 0);
    CHECK(strstr(atls_error_report_json(error).ptr, "\"trusted\":false"));
    CHECK(!atls_error_retryable(error));
    atls_error_free(error);
    error = NULL;
    atls_config_free(config);
}

static void a_stream_goes_through_a_tunnel(void)
{
    unsigned char buffer[15];
    atls_stream *stream = NULL;
    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/?target=localhost:%u", sim.tunnel, sim.http);
    atls_config *config = sim_config(sim.http, "policy.json");
    /* It leads nowhere else, so collateral goes its own way: directly. */
    atls_verifier *direct = sim_verifier(config);
    OK(atls_config_set_verifier(config, direct, &error));
    atls_verifier_free(direct);
    OK(atls_config_set_tunnel(config, url, &error));
    OK(atls_stream_connect(config, &stream, &error));
    const char *plain = "GET /small HTTP/1.1\r\nHost: x\r\n\r\n";
    OK(atls_stream_write_all(stream, atls_bytes_of_text(plain), 0, &error));
    read_all(stream, buffer, 15);
    CHECK(memcmp(buffer, "HTTP/1.1 200 OK", 15) == 0);
    atls_stream_free(stream);
    atls_config_free(config);
}

static void set_up(void)
{
    sim = sim_start();
}

TESTS(set_up, NULL, CASE(sent_is_told_once_and_after_the_end_of_writing), CASE(bad_arguments_open_no_socket),
      CASE(what_is_written_comes_back_and_the_end_is_clean), CASE(a_read_that_times_out_loses_nothing),
      CASE(a_waiting_reader_does_not_keep_a_writer_waiting), CASE(another_thread_can_cancel), CASE(a_refusal_names_the_check_that_failed),
      CASE(a_stream_goes_through_a_tunnel))
