/* h1_upgrade.c - HTTP/1.1 without I/O: a protocol switch, and the bytes that arrived with it.
 *
 * usage: h1_upgrade      prints its port, serves one connection, then ends
 *
 * A request with `Connection: Upgrade` and `Upgrade: echo` is answered with 101. From then on the bytes are not HTTP. What was received
 * after the request is the connection's trailing data and belongs to the new protocol, which echoes what it gets.
 */
#include "common.h"
#include "sockets.h"

static void echo(int fd, atls_h1_conn *conn)
{
    atls_bytes trailing;
    bool eof;
    atls_error *error = NULL;
    check(atls_h1_conn_trailing_data(conn, &trailing, &eof, &error), &error);
    fprintf(stderr, "switched, with %zu bytes of the new protocol\n", trailing.len);
    bool alive = put(fd, trailing) && !eof;
    static uint8_t buffer[4096];
    ssize_t n;
    while (alive && (n = read(fd, buffer, sizeof buffer)) > 0)
        alive = put(fd, atls_bytes_of(buffer, (size_t)n));
}

static void answer(int fd, atls_h1_conn *conn, bool wanted)
{
    const atls_h1_header yes[] = {header("Connection", "Upgrade"), header("Upgrade", "echo")};
    const atls_h1_header no[] = {header("Content-Length", "0"), header("Connection", "close")};
    atls_error *error = NULL;
    atls_bytes out;
    check(atls_h1_conn_send_response(conn, wanted ? 101 : 426, atls_bytes_of_text(""), wanted ? yes : no, 2, &out, &error), &error);
    if (put(fd, out) && wanted)
        echo(fd, conn);
}

int main(void)
{
    atls_error *error = NULL;
    atls_h1_conn *conn = NULL;
    int fd = accept(listen_here(), NULL, NULL);
    check(atls_h1_conn_new(ATLS_H1_SERVER, 0, &conn, &error), &error);
    for (bool wanted = false, over = false; !over;) {
        const atls_h1_event *event;
        check(atls_h1_conn_next_event(conn, &event, &error), &error);
        switch (event->kind) {
        case ATLS_H1_NEED_DATA:
            if (!fill(fd, conn))
                give_up("read");
            break;
        case ATLS_H1_REQUEST:
            wanted = atls_h1_header_has_token(event->headers, event->headers_len, atls_bytes_of_text("upgrade"),
                                              atls_bytes_of_text("echo"));
            break;
        case ATLS_H1_END_OF_MESSAGE:
            /* Without `Connection: Upgrade` the client proposed no switch, and sending a 101 would fail. */
            wanted = wanted && atls_h1_conn_their_state(conn) == ATLS_H1_MIGHT_SWITCH_PROTOCOL;
            answer(fd, conn, wanted);
            over = true;
            break;
        case ATLS_H1_CONNECTION_CLOSED:
            over = true;
        default:
            break;
        }
    }
    atls_h1_conn_free(conn);
    close(fd);
    return 0;
}
