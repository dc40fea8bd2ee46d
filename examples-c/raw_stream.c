/* raw_stream.c - an attested byte stream, blocking: stdin goes to the server, what the server sends goes to stdout.
 *
 * usage: raw_stream HOST PORT POLICY.json < request > response
 *
 * Both directions at once: a thread sends, then ends its direction; the main thread receives until the server has ended the other.
 */
#include <pthread.h>

#include "common.h"

static void *send_stdin(void *argument)
{
    atls_stream *stream = argument;
    atls_error *error = NULL;
    static unsigned char buffer[65536];
    size_t n;
    while ((n = fread(buffer, 1, sizeof buffer, stdin)) > 0)
        check(atls_stream_write_all(stream, atls_bytes_of(buffer, n), 0, &error), &error);
    check(atls_stream_finish(stream, &error), &error);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: %s HOST PORT POLICY.json\n", argv[0]);
        return 2;
    }
    atls_error *error = NULL;
    atls_stream *stream = NULL;
    atls_config *config = make_config(argv[1], argv[2], argv[3]);
    check(atls_stream_connect(config, &stream, &error), &error);

    atls_verdict *verdict = atls_stream_verdict(stream);
    print_verdict(verdict, stderr);
    atls_verdict_free(verdict);

    pthread_t sender;
    if (pthread_create(&sender, NULL, send_stdin, stream) != 0)
        return 2;
    static unsigned char buffer[65536];
    size_t n;
    do {
        check(atls_stream_read(stream, buffer, sizeof buffer, UINT32_MAX, &n, &error), &error);
        fwrite(buffer, 1, n, stdout);
    } while (n > 0);
    pthread_join(sender, NULL);
    atls_stream_free(stream);
    atls_config_free(config);
    return 0;
}
