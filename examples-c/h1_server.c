/* h1_server.c - HTTP/1.1 without I/O: an echo server over plain sockets.
 *
 * usage: h1_server [CONNECTIONS]      prints its port, serves that many connections one after the other (default 1), then ends
 *
 * A POST is answered with its own body, chunk by chunk, any other request with a greeting. A client that waits for 100-continue gets
 * it; a client that violates the protocol gets the status that the error names. Connections are reused if both sides allow it.
 */
#include "common.h"
#include "sockets.h"

struct server {
    int fd;
    atls_h1_conn *conn;
    bool echo;
};

static bool respond(struct server *s, uint32_t status, const char *reason, const atls_h1_header *headers, size_t n)
{
    atls_bytes out;
    return atls_h1_conn_send_response(s->conn, status, atls_bytes_of_text(reason), headers, n, &out, NULL) == ATLS_OK && put(s->fd, out);
}

static bool send_body(struct server *s, atls_bytes data)
{
    atls_bytes before, after;
    return atls_h1_conn_send_data(s->conn, data.len, &before, &after, NULL) == ATLS_OK && put(s->fd, before) &&
           put(s->fd, data) && put(s->fd, after);
}

static bool finish(struct server *s)
{
    atls_bytes out;
    return atls_h1_conn_send_end_of_message(s->conn, NULL, 0, &out, NULL) == ATLS_OK && put(s->fd, out);
}

/* The peer violated the protocol. Nothing more can be received, but we may still be able to tell it. */
static bool complain(struct server *s, atls_error *error)
{
    const atls_h1_header headers[] = {header("Content-Type", "text/plain")};
    atls_str message = atls_error_message(error);
    uint32_t status = atls_error_http_status(error);
    if (atls_h1_conn_our_state(s->conn) <= ATLS_H1_SEND_RESPONSE && status != 0 && respond(s, status, "", headers, 1) &&
        send_body(s, atls_bytes_of_text(message.ptr)))
        finish(s);
    atls_error_free(error);
    return false;
}

/* Waits for the next event and acts on it. False if the connection is over. */
static bool serve_event(struct server *s)
{
    const atls_h1_event *event;
    atls_error *error = NULL;
    if (atls_h1_conn_next_event(s->conn, &event, &error) != ATLS_OK)
        return complain(s, error);
    switch (event->kind) {
    case ATLS_H1_NEED_DATA:
        if (atls_h1_conn_they_are_waiting_for_100_continue(s->conn) && !respond(s, 100, "Continue", NULL, 0))
            return false;
        return fill(s->fd, s->conn);
    case ATLS_H1_REQUEST:
        s->echo = is(event->method, "POST");
        return !s->echo || respond(s, 200, "OK", NULL, 0);
    case ATLS_H1_DATA:
        return !s->echo || send_body(s, event->data);
    case ATLS_H1_END_OF_MESSAGE:
        if (!s->echo) {
            const atls_h1_header headers[] = {header("Content-Length", "6"), header("Content-Type", "text/plain")};
            if (!respond(s, 200, "OK", headers, 2))
                return false;
            /* No body after HEAD. */
            if (atls_h1_conn_our_state(s->conn) == ATLS_H1_SEND_BODY && !send_body(s, atls_bytes_of_text("hello\n")))
                return false;
        }
        return finish(s) && atls_h1_conn_start_next_cycle(s->conn, NULL) == ATLS_OK;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    int listener = listen_here();
    for (int left = argc > 1 ? atoi(argv[1]) : 1; left > 0; left--) {
        atls_error *error = NULL;
        struct server s = {.fd = accept(listener, NULL, NULL)};
        if (s.fd < 0)
            give_up("accept");
        check(atls_h1_conn_new(ATLS_H1_SERVER, 0, &s.conn, &error), &error);
        while (serve_event(&s))
            ;
        atls_h1_conn_free(s.conn);
        shutdown(s.fd, SHUT_WR);
        /* Read what the client still sends; otherwise the kernel would reset the connection, and our response with it. */
        for (char rest[4096]; read(s.fd, rest, sizeof rest) > 0;)
            ;
        close(s.fd);
    }
    return 0;
}
