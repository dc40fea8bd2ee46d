/* The client over HTTP/2: streams, one beside the other, each with its own heads, body, limits and end. */
#include <pthread.h>

#include "http2.h"

static void canceling_one_leaves_the_others(void)
{
    static struct shot shots[10];
    struct shot after;
    serve(BOTH, "agent.sock");
    atls_client *client = client_of(BOTH, "policy.json", 20);
    for (int i = 0; i < 10; i++)
        start(client, &shots[i], request("GET", "/hang"));
    until(&hanging, 10);
    for (int i = 0; i < 9; i++) {
        OK(atls_exchange_cancel(shots[i].exchange, &error));
        wait_for(&shots[i]);
        CHECK(shots[i].ended == ATLS_CANCELED && strcmp(shots[i].events, "C") == 0);
    }
    until(&hanging, 1);
    ask(client, &after, "GET", "/");
    CHECK(after.status == 200 && !shots[9].over && quotes() == 1);
    /* A deadline is that of one request. */
    atls_request *late = request("GET", "/hang");
    OK(atls_request_set_deadline(late, ATLS_REQUEST_DEADLINE_FIRST_BYTE, 50, &error));
    start(client, &after, late);
    wait_for(&after);
    CHECK(after.ended == ATLS_TIMED_OUT && after.detail == ATLS_DETAIL_FIRST_BYTE_TIMEOUT && !shots[9].over);
    ask(client, &after, "GET", "/");
    CHECK(after.status == 200 && quotes() == 1);
    OK(atls_exchange_cancel(shots[9].exchange, &error));
    wait_for(&shots[9]);
    until(&hanging, 0);
    atls_client_free(client);
    end();
}

static void heads_bodies_and_trailers_come_in_their_order(void)
{
    struct shot shot;
    serve(BOTH, "agent.sock");
    atls_client *client = client_of(BOTH, "policy.json", 4);
    ask(client, &shot, "GET", "/trailers");
    CHECK(shot.ended == ATLS_OK && strcmp(shot.events, "hdteC") == 0 && strcmp(shot.text, "body") == 0);
    ask(client, &shot, "GET", "/hints");
    CHECK(shot.ended == ATLS_OK && strcmp(shot.events, "iihdeC") == 0 && strcmp(shot.text, "hints") == 0);
    ask(client, &shot, "HEAD", "/large");
    CHECK(shot.ended == ATLS_OK && strcmp(shot.events, "heC") == 0 && shot.bytes == 0);
    ask(client, &shot, "GET", "/large");
    CHECK(shot.ended == ATLS_OK && shot.bytes == 100000);
    ask(client, &shot, "GET", "/away");
    CHECK(shot.ended == ATLS_OK && shot.status == 200);
    atls_request *bounded = request("GET", "/large");
    OK(atls_request_set_max_response_body(bounded, 99999, &error));
    start(client, &shot, bounded);
    wait_for(&shot);
    CHECK(shot.ended == ATLS_BODY_TOO_LARGE && quotes() == 1);
    atls_client_free(client);
    end();
}

/* What is about a connection is not sent; a body in memory arrives whole, with others beside it. */
static void requests_arrive_whole(void)
{
    static uint8_t bytes[3000000];
    static struct shot shots[4];
    struct shot shot;
    serve(BOTH, "agent.sock");
    atls_client *client = client_of(BOTH, "policy.json", 8);
    atls_request *fields = request("GET", "/");
    OK(atls_request_add_header(fields, "Connection", atls_bytes_of_text("X-Hop, te"), &error));
    OK(atls_request_add_header(fields, "X-Hop", atls_bytes_of_text("no"), &error));
    OK(atls_request_add_header(fields, "TE", atls_bytes_of_text("trailers"), &error));
    OK(atls_request_add_header(fields, "X", atls_bytes_of_text(" yes "), &error));
    start(client, &shot, fields);
    wait_for(&shot);
    CHECK(strcmp(shot.text, "GET 0 version=4 x=yes hop= te=trailers") == 0);
    for (int i = 0; i < 4; i++) {
        atls_request *post = request("POST", "/");
        OK(atls_request_set_body(post, atls_bytes_of(bytes, sizeof bytes), &error));
        start(client, &shots[i], post);
    }
    for (int i = 0; i < 4; i++) {
        wait_for(&shots[i]);
        CHECK(strncmp(shots[i].text, "POST 3000000 version=4", 22) == 0);
    }
    CHECK(quotes() == 1);
    atls_client_free(client);
    end();
}

/* A host that takes nothing holds back its own response, and no other one. */
static void a_response_without_credit_holds_up_no_other(void)
{
    static struct shot held[3];
    struct shot shot;
    serve(BOTH, "agent.sock");
    atls_client *client = NULL;
    atls_config *config = sim_config(port, "policy.json");
    OK(atls_config_set_http_versions(config, ATLS_HTTP_VERSION_2, &error));
    OK(atls_config_set_credit(config, 0, false, &error));
    OK(atls_client_new(runtime, config, NULL, &client, &error));
    atls_config_free(config);
    for (int i = 0; i < 3; i++)
        start(client, &held[i], request("GET", "/large"));
    start(client, &shot, request("GET", "/trailers"));
    OK(atls_exchange_grant(shot.exchange, 4, &error));
    wait_for(&shot);
    CHECK(strcmp(shot.events, "hdteC") == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(held[i].bytes == 0 && !held[i].over);
        OK(atls_exchange_grant(held[i].exchange, 100000, &error));
        wait_for(&held[i]);
        CHECK(held[i].ended == ATLS_OK && held[i].bytes == 100000);
    }
    CHECK(quotes() == 1);
    atls_client_free(client);
    end();
}

/* A streamed body waits for the server's windows, and the response for its end. */
static void a_streamed_body_arrives_piece_by_piece(void)
{
    static uint8_t piece[10000];
    struct shot shot;
    serve(BOTH, "agent.sock");
    atls_client *client = client_of(BOTH, "policy.json", 4);
    atls_request *post = request("POST", "/");
    OK(atls_request_set_body_stream(post, ATLS_LENGTH_UNKNOWN, &error));
    start(client, &shot, post);
    for (int sent = 0; sent < 200;) {
        atls_status status = atls_exchange_write(shot.exchange, atls_bytes_of(piece, sizeof piece), &error);
        atls_error_free(error);
        error = NULL;
        CHECK(status == ATLS_OK || status == ATLS_AGAIN || status == ATLS_INVALID_STATE);
        sent += status == ATLS_OK;
        if (status != ATLS_OK)
            usleep(1000);
    }
    OK(atls_exchange_finish(shot.exchange, &error));
    wait_for(&shot);
    CHECK(shot.ended == ATLS_OK && strncmp(shot.text, "POST 2000000 version=4", 22) == 0);
    /* One that is given up ends its own request. */
    post = request("POST", "/");
    OK(atls_request_set_body_stream(post, ATLS_LENGTH_UNKNOWN, &error));
    start(client, &shot, post);
    OK(atls_exchange_cancel(shot.exchange, &error));
    wait_for(&shot);
    CHECK(shot.ended == ATLS_CANCELED);
    ask(client, &shot, "GET", "/");
    CHECK(shot.status == 200 && quotes() == 1);
    atls_client_free(client);
    end();
}

static void *fetches(void *client)
{
    for (int i = 0; i < 5; i++) {
        atls_exchange *exchange = NULL;
        atls_buf *body = NULL;
        atls_request *get = request("GET", i % 2 ? "/trailers" : "/large");
        OK(atls_client_fetch(client, get, &exchange, &error));
        OK(atls_exchange_read_all(exchange, 1 << 20, 20000, &body, &error));
        CHECK(atls_buf_len(body) == (i % 2 ? 4 : 100000) && atls_exchange_http_version(exchange) == ATLS_HTTP_VERSION_2);
        atls_buf_free(body);
        atls_exchange_free(exchange);
        atls_request_free(get);
    }
    return NULL;
}

/* Without a runtime of its own the threads that wait do the work, for each other too. */
static void blocking_calls_share_the_connection_too(void)
{
    pthread_t threads[4];
    atls_client *client = NULL;
    serve(BOTH, "agent.sock");
    atls_config *config = sim_config(port, "policy.json");
    OK(atls_config_set_http_versions(config, BOTH, &error));
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, fetches, client) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(quotes() == 1 && shown == 20);
    atls_client_free(client);
    atls_config_free(config);
    end();
}

/* The server ends the connection in order: requests go on, on another connection. */
static void a_connection_that_ends_is_replaced(void)
{
    struct shot shot;
    serve(BOTH, "agent.sock");
    atls_client *client = client_of(BOTH, "policy.json", 4);
    ask(client, &shot, "GET", "/");
    uint16_t before = port;
    OK(atls_server_close(server, &error));
    atls_server_free(server);
    serve(BOTH, "agent.sock");
    atls_client_free(client);
    CHECK(before != 0);
    client = client_of(BOTH, "policy.json", 4);
    ask(client, &shot, "GET", "/");
    OK(atls_client_close_idle(client, &error));
    CHECK(atls_client_idle_connections(client) == 0);
    ask(client, &shot, "GET", "/");
    CHECK(shot.status == 200 && quotes() == 2);
    atls_client_free(client);
    end();
}

static void a_url_without_tls_needs_the_old_version(void)
{
    char url[64];
    struct shot shot;
    atls_request *plain = NULL;
    atls_client *client = NULL;
    serve(BOTH, "agent.sock");
    atls_config *config = sim_config(port, NULL);
    OK(atls_config_set_http_versions(config, ATLS_HTTP_VERSION_2, &error));
    OK(atls_client_new(runtime, config, NULL, &client, &error));
    atls_config_free(config);
    snprintf(url, sizeof url, "http://localhost:%u/", port);
    OK(atls_request_new_url("GET", url, &plain, &error));
    start(client, &shot, plain);
    wait_for(&shot);
    CHECK(shot.ended == ATLS_UNSUPPORTED && shown == 0);
    atls_client_free(client);
    end();
}

TESTS(set_up, loop_end, CASE(canceling_one_leaves_the_others), CASE(heads_bodies_and_trailers_come_in_their_order),
      CASE(requests_arrive_whole), CASE(a_response_without_credit_holds_up_no_other),
      CASE(a_streamed_body_arrives_piece_by_piece), CASE(blocking_calls_share_the_connection_too),
      CASE(a_connection_that_ends_is_replaced),
      CASE(a_url_without_tls_needs_the_old_version))
