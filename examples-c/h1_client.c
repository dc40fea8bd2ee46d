/* h1_client.c - HTTP/1.1 without I/O: a GET over a plain socket, the body to stdout as it arrives.
 *
 * usage: h1_client HOST PORT PATH
 *
 * The connection object says what to write and what was received; the program reads and writes. Here it uses a blocking socket; it
 * could as well be io_uring, a TLS library, or a test.
 */
#include "common.h"
#include "sockets.h"

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: %s HOST PORT PATH\n", argv[0]);
        return 2;
    }
    atls_error *error = NULL;
    atls_h1_conn *conn = NULL;
    atls_bytes out;
    int fd = connect_to(argv[1], argv[2]);
    check(atls_h1_conn_new(ATLS_H1_CLIENT, 0, &conn, &error), &error);

    const atls_h1_header headers[] = {header("Host", argv[1]), header("Connection", "close")};
    check(atls_h1_conn_send_request(conn, atls_bytes_of_text("GET"), atls_bytes_of_text(argv[3]), headers, 2, &out, &error), &error);
    if (!put(fd, out))
        give_up("send");
    check(atls_h1_conn_send_end_of_message(conn, NULL, 0, &out, &error), &error);

    for (;;) {
        const atls_h1_event *event;
        check(atls_h1_conn_next_event(conn, &event, &error), &error);
        switch (event->kind) {
        case ATLS_H1_NEED_DATA:
            if (!fill(fd, conn))
                give_up("read");
            break;
        case ATLS_H1_RESPONSE:
            fprintf(stderr, "%u %.*s\n", event->status, (int)event->reason.len, (const char *)event->reason.ptr);
            for (size_t i = 0; i < event->headers_len; i++)
                fprintf(stderr, "%.*s: %.*s\n", (int)event->headers[i].name.len, (const char *)event->headers[i].raw_name,
                        (int)event->headers[i].value.len, (const char *)event->headers[i].value.ptr);
            break;
        case ATLS_H1_DATA:
            fwrite(event->data.ptr, 1, event->data.len, stdout);
            break;
        case ATLS_H1_END_OF_MESSAGE:
            atls_h1_conn_free(conn);
            close(fd);
            return 0;
        default:
            break;
        }
    }
}
