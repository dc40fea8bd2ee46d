/* job.h - an event-driven stream, and what it was told. */
#ifndef JOB_H
#define JOB_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "loop.h"
#include "sim.h"

static struct sim sim;

enum action { NOTHING, CANCEL_ON_CONNECT, FREE_ON_CONNECT, CLOSE_ON_CONNECT, HOG };

struct job {
    enum action action;
    atomic_int connected, ended, writable, closed, dropped, after_closed, inside;
    atomic_size_t received;
    atls_status status;
    atls_queue *queue;
    atls_stream *stream;
    unsigned char sum;
};

static inline void on_event(void *user_data, const atls_event *event)
{
    struct job *job = user_data;
    atls_error *error = NULL;
    CHECK(atomic_fetch_add(&job->inside, 1) == 0); /* never concurrent */
    if (job->closed)
        job->after_closed++;
    switch (event->kind) {
    case ATLS_EVENT_CONNECTED:
        job->connected++;
        CHECK(event->token == 42);
        if (job->action == CANCEL_ON_CONNECT)
            OK(atls_stream_cancel(event->source, &error));
        if (job->action == FREE_ON_CONNECT) {
            while (!job->stream) /* the starting call may not have returned yet */
                usleep(100);
            atls_stream_free(job->stream);
        }
        if (job->action == CLOSE_ON_CONNECT) {
            size_t n;
            unsigned char byte;
            atls_stream *blocking = NULL;
            EXPECT(ATLS_WOULD_DEADLOCK, NULL, atls_queue_stop(job->queue, &error));
            atls_config *config = sim_config(1, "policy.json");
            EXPECT(ATLS_WOULD_DEADLOCK, NULL, atls_stream_connect(config, &blocking, &error));
            atls_config_free(config);
            EXPECT(ATLS_INVALID_STATE, "event-driven", atls_stream_read(event->source, &byte, 1, 0, &n, &error));
            OK(atls_stream_write(event->source, atls_bytes_of("bye", 3), &error));
            OK(atls_stream_close(event->source, &error));
        }
        break;
    case ATLS_EVENT_DATA:
        job->received += atls_buf_len(event->buf);
        break;
    case ATLS_EVENT_END:
        job->ended++;
        break;
    case ATLS_EVENT_WRITABLE:
        job->writable++;
        break;
    case ATLS_EVENT_CLOSED:
        job->status = event->status;
        CHECK((event->error != NULL) == (event->status != ATLS_OK));
        job->closed++;
        break;
    }
    atomic_fetch_sub(&job->inside, 1);
}

static inline void on_drop(void *user_data)
{
    struct job *job = user_data;
    CHECK(job->closed == 1);
    job->dropped++;
}

static inline void on_drop_unheard(void *user_data)
{
    ((struct job *)user_data)->dropped++;
}

static inline void wait_for(atomic_int *flag)
{
    for (int i = 0; i < 20000 && !*flag; i++)
        usleep(1000);
    CHECK(*flag);
}

static inline void start(struct job *job, atls_queue *its_queue, atls_config *config)
{
    atls_error *error = NULL;
    atls_stream *stream = NULL;
    job->queue = its_queue;
    atls_sink sink = {its_queue, 42, on_event, job, on_drop};
    OK(atls_stream_connect_start(runtime, config, &sink, &stream, &error));
    job->stream = stream;
}

static inline void set_up(void)
{
    sim = sim_start();
    loop_start();
}

#endif
