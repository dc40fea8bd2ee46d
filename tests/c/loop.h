/* loop.h - a runtime and a dispatching queue for one test case. */
#ifndef LOOP_H
#define LOOP_H

#include "test.h"

static atls_runtime *runtime;
static atls_queue *queue;

static inline void loop_start(void)
{
    atls_error *error = NULL;
    OK(atls_runtime_new(2, &runtime, &error));
    OK(atls_queue_new_dispatching(&queue, &error));
}

static inline void loop_end(void)
{
    atls_error *error = NULL;
    OK(atls_runtime_shutdown(runtime, 10000, &error));
    OK(atls_queue_stop(queue, &error));
    atls_queue_free(queue);
    atls_runtime_free(runtime);
}

#endif
