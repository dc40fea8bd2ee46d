/* Limits, deadlines and ends of a server. */
#include "visits.h"

static void each_limit_has_its_answer(void)
{
    static char text[70000];
    atls_server *server = serve(ATLS_SERVER_LIMIT_HEAD_BYTES, 1000, 0, 0);
    memset(text, 'a', sizeof text - 1);
    memcpy(text, GET "X: ", strlen(GET "X: "));
    CHECK(strncmp(say(text), "HTTP/1.1 431", 12) == 0);
    end(server, true);
    server = serve(ATLS_SERVER_LIMIT_BODY_BYTES, 10, 0, 0);
    CHECK(strncmp(say(POST "Content-Length: 11\r\n\r\nabcdefghijk"), "HTTP/1.1 413", 12) == 0);
    CHECK(strstr(say(POST "Content-Length: 10\r\nConnection: close\r\n\r\nabcdefghij"), "POST 10"));
    end(server, true);
    CHECK(failed == 1);
    server = serve(ATLS_SERVER_LIMIT_DATA_BYTES, 16, 0, 0);
    CHECK(strstr(say("POST /pieces HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "14\r\n01234567890123456789\r\n1e\r\n012345678901234567890123456789\r\n0\r\n\r\n"),
                 "POST 4"));
    end(server, true);
    server = serve(ATLS_SERVER_LIMIT_CONNECTIONS, 2, 0, 0);
    int a = dial(), b = dial();
    CHECK(send(a, GET "\r\n", strlen(GET "\r\n"), 0) > 0 && recv(a, text, 100, 0) > 0);
    CHECK(send(b, GET "\r\n", strlen(GET "\r\n"), 0) > 0 && recv(b, text, 100, 0) > 0);
    int c = dial();
    ssize_t n = recv(c, text, 100, 0);
    CHECK(n <= 0 && atls_server_count(server, ATLS_SERVER_COUNT_CONNECTIONS_REFUSED) == 1);
    close(c);
    CHECK(atls_server_count(server, ATLS_SERVER_COUNT_CONNECTIONS) == 2);
    end(server, true);
    close(a);
    close(b);
    atls_server_config *config = NULL;
    OK(atls_server_config_new(&config, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "limit 101: 0 is out of range", atls_server_config_set_limit(config, ATLS_SERVER_LIMIT_CONNECTIONS, 0, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "limit 9", atls_server_config_set_limit(config, 9, 1, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "deadline 9", atls_server_config_set_deadline(config, 9, 1, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "holds none", atls_server_config_set_certificate(config, "", "", &error));
    EXPECT(ATLS_NULL_ARGUMENT, "config", atls_server_config_set_keep_alive(NULL, true, &error));
    atls_server_config_free(config);
}

/* One more than `before` has ended, for want of time. */
static void times_out(int fd, int before)
{
    pthread_mutex_lock(&lock);
    while (closed == before)
        pthread_cond_wait(&changed, &lock);
    CHECK(last_status == ATLS_TIMED_OUT);
    pthread_mutex_unlock(&lock);
    close(fd);
}

static void each_deadline_ends_its_connection(void)
{
    atls_server *server = serve(0, 0, ATLS_SERVER_DEADLINE_IDLE, 100);
    CHECK(until_end(dial())[0] == '\0' && strstr(say(GET "\r\n"), "GET 0"));
    end(server, true);
    server = serve(0, 0, ATLS_SERVER_DEADLINE_HEAD, 100);
    CHECK(strncmp(say(GET "X-Slow: "), "HTTP/1.1 408", 12) == 0);
    end(server, true);
    CHECK(seen == 0);
    server = serve(0, 0, ATLS_SERVER_DEADLINE_BODY, 100);
    CHECK(strncmp(say(POST "Content-Length: 10\r\n\r\nabc"), "HTTP/1.1 408", 12) == 0);
    end(server, true);
    CHECK(failed == 1 && last_status == ATLS_TIMED_OUT);
    server = serve(0, 0, ATLS_SERVER_DEADLINE_SEND, 200);
    int fd = dial();
    const char *head = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
    CHECK(send(fd, head, strlen(head), 0) > 0);
    times_out(fd, 0);
    /* Nor does a peer have longer for that which goes on sending meanwhile. */
    fd = dial();
    head = "POST /both HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\n\r\n";
    CHECK(send(fd, head, strlen(head), 0) > 0);
    static const char block[1000];
    int sent = 0;
    while (sent < 10000 && send(fd, block, sizeof block, MSG_NOSIGNAL) > 0) {
        usleep(500);
        sent++;
    }
    CHECK(sent < 10000);
    times_out(fd, 1);
    end(server, true);
}

static void stop_waits_and_close_cuts(void)
{
    /* A stop lets what is under way come to its end. */
    static char buffer[65536];
    atls_server *server = serve(0, 0, 0, 0);
    int idle = dial(), busy = dial();
    const char *head = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
    CHECK(send(busy, head, strlen(head), 0) > 0);
    ssize_t n = recv(busy, buffer, sizeof buffer, 0);
    size_t total = (size_t)n;
    OK(atls_server_stop(server, &error));
    CHECK(until_end(idle)[0] == '\0');
    while ((n = recv(busy, buffer, sizeof buffer, 0)) > 0)
        total += (size_t)n;
    CHECK(n == 0 && total > 20000000);
    close(busy);
    end(server, false);
    CHECK(failed == 0 && closed == 1);
    /* A drain does so for a while; a close, and the last reference, not at all. */
    for (int way = 0; way < 2; way++) {
        server = serve(0, 0, 0, 0);
        busy = dial();
        head = "GET /never HTTP/1.1\r\nHost: a\r\n\r\n";
        CHECK(send(busy, head, strlen(head), 0) > 0);
        pthread_mutex_lock(&lock);
        while (started == 0)
            pthread_cond_wait(&changed, &lock);
        pthread_mutex_unlock(&lock);
        if (way == 0)
            OK(atls_server_drain(server, 100, &error));
        if (way == 1)
            OK(atls_server_close(server, &error));
        (void)!recv(busy, buffer, sizeof buffer, 0);
        close(busy);
        end(server, false);
        CHECK(failed == 1 && last_status == ATLS_CANCELED);
    }
}

TESTS(loop_start, loop_end, CASE(each_limit_has_its_answer), CASE(each_deadline_ends_its_connection), CASE(stop_waits_and_close_cuts))
