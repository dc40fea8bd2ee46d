/* epoll.c - the library in a host's own event loop: one thread, one epoll, and a polled queue among the other descriptors. The timer
 * stands for the host's other work.
 *
 * usage: epoll HOST PORT POLICY.json PATH
 */
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common.h"

enum { CONNECTION = 1, EXCHANGE = 2 }; /* tokens */

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: %s HOST PORT POLICY.json PATH\n", argv[0]);
        return 2;
    }
    atls_error *error = NULL;
    atls_runtime *runtime = NULL;
    atls_queue *queue = NULL;
    atls_http *http = NULL;
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    atls_config *config = make_config(argv[1], argv[2], argv[3]);
    check(atls_runtime_new(1, &runtime, &error), &error);
    check(atls_queue_new_polled(&queue, &error), &error);
    check(atls_request_new("GET", argv[4], argv[1], &request, &error), &error);

    int loop = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec tick = {{0, 100000000}, {0, 100000000}};
    timerfd_settime(timer, 0, &tick, NULL);
    struct epoll_event on_queue = {.events = EPOLLIN, .data.fd = atls_queue_fd(queue)};
    struct epoll_event on_timer = {.events = EPOLLIN, .data.fd = timer};
    epoll_ctl(loop, EPOLL_CTL_ADD, on_queue.data.fd, &on_queue);
    epoll_ctl(loop, EPOLL_CTL_ADD, timer, &on_timer);

    atls_sink sink = {.queue = queue, .token = CONNECTION};
    check(atls_http_connect_start(runtime, config, &sink, &http, &error), &error);

    int running = 1, result = 0;
    unsigned long long ticks = 0, bytes = 0;
    while (running) {
        struct epoll_event ready[2];
        int count = epoll_wait(loop, ready, 2, -1);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.fd == timer) {
                unsigned long long expired;
                if (read(timer, &expired, sizeof expired) == sizeof expired)
                    ticks += expired;
                continue;
            }
            atls_event events[16];
            size_t taken;
            check(atls_queue_next(queue, events, sizeof *events, 16, &taken, &error), &error);
            for (size_t k = 0; k < taken; k++) {
                const atls_event *event = &events[k];
                if (event->kind == ATLS_EVENT_CONNECTED) {
                    atls_sink next = {.queue = queue, .token = EXCHANGE};
                    check(atls_http_start(http, request, &next, &exchange, &error), &error);
                }
                if (event->kind == ATLS_EVENT_DATA)
                    bytes += fwrite(atls_buf_data(event->buf), 1, atls_buf_len(event->buf), stdout);
                if (event->kind == ATLS_EVENT_CLOSED) {
                    if (event->status != ATLS_OK) {
                        fprintf(stderr, "%s\n", atls_error_message(event->error).ptr);
                        result = 1;
                    }
                    running = 0; /* the exchange is over, or the connection failed before there was one */
                }
                atls_event_release(&events[k]);
            }
        }
    }
    fprintf(stderr, "%llu bytes, %llu ticks of the host's timer in the meantime\n", bytes, ticks);
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_http_free(http);
    check(atls_queue_stop(queue, &error), &error);
    atls_queue_free(queue);
    atls_runtime_free(runtime);
    atls_config_free(config);
    close(timer);
    close(loop);
    return result;
}
