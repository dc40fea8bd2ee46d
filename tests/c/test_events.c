/* Event-driven streams: the guarantees of atls_sink and atls_event, credit, WRITABLE, re-entrancy. */
#include "job.h"

static void data_waits_for_credit_and_writers_for_writable(void)
{
    static unsigned char block[60000];
    atls_error *error = NULL;
    struct job job = {0};
    atls_config *config = sim_config(sim.raw, "policy.json");
    OK(atls_config_set_credit(config, 0, false, &error));
    start(&job, queue, config);
    /* Before it is attested nothing is taken. */
    atls_status first = atls_stream_write(job.stream, atls_bytes_of(block, 10), &error);
    CHECK(first == ATLS_AGAIN || first == ATLS_OK);
    atls_error_free(error);
    error = NULL;
    wait_for(&job.connected);
    if (first == ATLS_AGAIN)
        wait_for(&job.writable);
    int written = first == ATLS_OK ? 10 : 0, refused = 0, before = job.writable;
    /* Nobody reads: the echo fills up, and then so does our window. */
    for (int i = 0; i < 4000 && !refused; i++) {
        atls_status status = atls_stream_write(job.stream, atls_bytes_of(block, sizeof block), &error);
        if (status == ATLS_OK)
            written += sizeof block;
        else
            refused = status;
        atls_error_free(error);
        error = NULL;
    }
    CHECK(refused == ATLS_AGAIN);
    usleep(50000);
    CHECK(job.received == 0); /* held, without credit */
    OK(atls_stream_grant(job.stream, 1000, &error));
    for (int i = 0; i < 5000 && job.received < 1000; i++)
        usleep(1000);
    usleep(20000);
    CHECK(job.received == 1000); /* not a byte more */
    OK(atls_stream_grant(job.stream, UINT64_MAX, &error));
    for (int i = 0; i < 20000 && job.writable == before; i++)
        usleep(1000);
    CHECK(job.writable == before + 1); /* one for the one refusal */
    for (int i = 0; i < 20000 && job.received < (size_t)written; i++)
        usleep(1000);
    CHECK(job.received == (size_t)written);
    OK(atls_stream_finish(job.stream, &error));
    /* The echo ends in turn, and by now the stream may be closed altogether. */
    atls_status again = atls_stream_finish(job.stream, NULL), more = atls_stream_write(job.stream, atls_bytes_of(block, 1), NULL);
    CHECK(again == ATLS_INVALID_STATE || again == ATLS_CLOSED);
    CHECK(more == ATLS_INVALID_STATE || more == ATLS_CLOSED);
    wait_for(&job.closed);
    wait_for(&job.dropped);
    CHECK(job.ended == 1 && job.status == ATLS_OK);
    EXPECT(ATLS_CLOSED, NULL, atls_stream_write(job.stream, atls_bytes_of(block, 1), &error));
    atls_stream_free(job.stream);
    atls_config_free(config);
}

static atomic_int released;

static void on_release(void *user_data)
{
    free(user_data);
    released++;
}

/* Zero-copy both ways: our memory goes out and is given back, and what came in may be kept after the event. */
static atls_buf *kept;

static void keep(void *user_data, const atls_event *event)
{
    struct job *job = user_data;
    if (event->kind == ATLS_EVENT_CONNECTED)
        job->connected++;
    if (event->kind == ATLS_EVENT_DATA && !kept)
        kept = atls_buf_ref(event->buf);
    if (event->kind == ATLS_EVENT_DATA)
        job->received += atls_buf_len(event->buf);
    if (event->kind == ATLS_EVENT_CLOSED)
        job->closed++;
}

static void buffers_go_both_ways_without_a_copy(void)
{
    atls_error *error = NULL;
    atls_stream *stream = NULL;
    atls_buf *buf = NULL;
    struct job job = {0};
    unsigned char *mine = malloc(50000);
    CHECK(mine);
    memset(mine, 'z', 50000);
    atls_config *config = sim_config(sim.raw, "policy.json");
    atls_sink sink = {queue, 0, keep, &job, NULL};
    OK(atls_stream_connect_start(runtime, config, &sink, &stream, &error));
    wait_for(&job.connected);
    OK(atls_buf_wrap(atls_bytes_of(mine, 50000), on_release, mine, &buf, &error));
    OK(atls_stream_write_buf(stream, buf, &error));
    atls_buf_free(buf);
    wait_for(&released);
    for (int i = 0; i < 5000 && job.received < 50000; i++)
        usleep(1000);
    CHECK(job.received == 50000);
    OK(atls_stream_close(stream, &error));
    wait_for(&job.closed);
    atls_stream_free(stream);
    CHECK(atls_buf_len(kept) > 0 && atls_buf_data(kept)[0] == 'z');
    atls_buf_free(kept);
    atls_config_free(config);
}

static void a_callback_may_cancel_free_and_close(void)
{
    atls_config *config = sim_config(sim.raw, "policy.json");
    struct job cancel = {.action = CANCEL_ON_CONNECT}, freed = {.action = FREE_ON_CONNECT}, closed = {.action = CLOSE_ON_CONNECT};
    start(&cancel, queue, config);
    start(&freed, queue, config);
    start(&closed, queue, config);
    wait_for(&cancel.dropped);
    wait_for(&freed.dropped);
    wait_for(&closed.dropped);
    CHECK(cancel.status == ATLS_CANCELED && freed.status == ATLS_CANCELED && closed.status == ATLS_OK);
    CHECK(cancel.closed == 1 && freed.closed == 1 && closed.closed == 1);
    CHECK(cancel.after_closed == 0 && freed.after_closed == 0 && closed.after_closed == 0);
    atls_stream_free(cancel.stream);
    atls_stream_free(closed.stream);
    atls_config_free(config);
}

static void a_refused_connection_ends_with_its_error(void)
{
    atls_error *error = NULL;
    atls_stream *stream = NULL;
    struct job job = {0};
    atls_config *config = sim_config(sim.evil, "policy.json");
    start(&job, queue, config);
    wait_for(&job.dropped);
    CHECK(job.status == ATLS_BINDING_MISMATCH && job.connected == 0);
    CHECK(atls_stream_verdict(job.stream) == NULL);
    atls_stream_free(job.stream);
    /* A failed start takes nothing: no event, no drop. */
    struct job untouched = {0};
    atls_sink sink = {queue, 1, NULL, &untouched, on_drop_unheard};
    EXPECT(ATLS_NULL_ARGUMENT, "sink", atls_stream_connect_start(runtime, config, NULL, &stream, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "runtime", atls_stream_connect_start(NULL, config, &sink, &stream, &error));
    usleep(10000);
    CHECK(stream == NULL && untouched.closed == 0 && untouched.dropped == 0);
    /* A host that wants no events still hears, by `drop`, that all is over. */
    OK(atls_stream_connect_start(runtime, config, &sink, &stream, &error));
    wait_for(&untouched.dropped);
    CHECK(untouched.closed == 0);
    atls_stream_free(stream);
    atls_config_free(config);
}

TESTS(set_up, loop_end, CASE(data_waits_for_credit_and_writers_for_writable), CASE(buffers_go_both_ways_without_a_copy),
      CASE(a_callback_may_cancel_free_and_close), CASE(a_refused_connection_ends_with_its_error))
