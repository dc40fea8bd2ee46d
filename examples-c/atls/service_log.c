/* service_log.c - the queue between threads that have something to say and the one that writes it.
 *
 * The lock protects `queue`. Nobody writes to stderr while holding it, so whoever says something waits for no reader. */
#include "service_log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "failure.h"

#define ROOM ((size_t)256 << 10)
/* How long the end waits for a reader. */
#define END_S 1

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char data[ROOM];
    size_t len;
    unsigned long dropped; /* not said yet; while there are any, nothing is taken, so that the notice stands in their place */
    bool ends, is_over;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static pthread_t writer;
static bool is_started;

static void take(const char *data, size_t len)
{
    pthread_mutex_lock(&queue.lock);
    if (queue.dropped > 0 || len > ROOM - queue.len) {
        queue.dropped++;
    } else {
        memcpy(queue.data + queue.len, data, len);
        queue.len += len;
    }
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
}

/* What cannot be written is lost: there is no other place to say it. */
static void write_all(const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = write(STDERR_FILENO, data, len);
        if (sent < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = STDERR_FILENO, .events = POLLOUT}, 1, -1); /* somebody else has made it non-blocking */
        else if (sent < 0 && errno != EINTR)
            return;
        if (sent > 0) {
            data += sent;
            len -= (size_t)sent;
        }
    }
}

/* Takes what is to be written next out of the queue; 0 at the end. */
static size_t next(char *piece, size_t room)
{
    pthread_mutex_lock(&queue.lock);
    while (queue.len == 0 && queue.dropped == 0 && !queue.ends)
        pthread_cond_wait(&queue.changed, &queue.lock);
    size_t len = queue.len < room ? queue.len : room;
    if (len > 0) {
        memcpy(piece, queue.data, len);
        queue.len -= len;
        memmove(queue.data, queue.data + len, queue.len);
    } else if (queue.dropped > 0) {
        len = (size_t)snprintf(piece, room, "%s: %lu lines were dropped here, because nobody read stderr\n", failure_name(), queue.dropped);
        queue.dropped = 0;
    }
    pthread_mutex_unlock(&queue.lock);
    return len;
}

static void *write_lines(void *unused)
{
    static char piece[16384];
    size_t len;
    while ((len = next(piece, sizeof piece)) > 0)
        write_all(piece, len);
    pthread_mutex_lock(&queue.lock);
    queue.is_over = true;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
    return unused;
}

int service_log_start(void)
{
    int reason = pthread_create(&writer, NULL, write_lines, NULL);
    if (reason != 0)
        return fail(CODE_SYSTEM, "no thread for the log: %s", strerror(reason));
    is_started = true;
    message_set_taker(take);
    return 0;
}

void service_log_end(void)
{
    struct timespec end;
    if (!is_started)
        return;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += END_S;
    pthread_mutex_lock(&queue.lock);
    queue.ends = true;
    pthread_cond_broadcast(&queue.changed);
    while (!queue.is_over && pthread_cond_timedwait(&queue.changed, &queue.lock, &end) == 0)
        continue;
    bool is_over = queue.is_over;
    pthread_mutex_unlock(&queue.lock);
    if (!is_over)
        return; /* the end of the process ends the thread; messages still go into the queue, so that nothing waits for a reader until then */
    pthread_join(writer, NULL);
    message_set_taker(NULL);
    is_started = false;
}
