/* stream_tokens.c - the README's lines of C: the verdict, the pieces of an answer as they arrive, and the end of it at will. Blocking, on one thread.
 *
 * usage: stream_tokens HOST PORT POLICY.json QUESTION COUNT     (QUESTION is JSON; cancels after COUNT pieces)
 */
#include "common.h"

static void stream_tokens(const atls_http *http, const char *host, const char *question, long count)
{
    atls_error *error = NULL;
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    unsigned char piece[16384];
    size_t n = 1;
    /* snippet: chat (http comes from atls_http_connect(), which attests first; check() ends the program and says what failed) */
    atls_verdict *verdict = atls_http_verdict(http);
    print_verdict(verdict, stdout);
    check(atls_request_new("POST", "/v1/chat/completions", host, &request, &error), &error);
    check(atls_request_set_body(request, atls_bytes_of_text(question), &error), &error);
    check(atls_http_fetch(http, request, &exchange, &error), &error);
    while (n > 0 && count-- > 0) { /* n is 0 at the end of the answer */
        check(atls_exchange_read(exchange, piece, sizeof piece, 0, &n, &error), &error);
        fwrite(piece, 1, n, stdout);
    }
    check(atls_exchange_cancel(exchange, &error), &error); /* or from another thread, while this one reads */
    /* end of snippet */
    atls_verdict_free(verdict);
    atls_exchange_free(exchange);
    atls_request_free(request);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: %s HOST PORT POLICY.json QUESTION COUNT\n", argv[0]);
        return 2;
    }
    atls_error *error = NULL;
    atls_http *http = NULL;
    atls_config *config = make_config(argv[1], argv[2], argv[3]);
    check(atls_http_connect(config, &http, &error), &error);
    stream_tokens(http, argv[1], argv[4], atol(argv[5]));
    atls_http_free(http);
    atls_config_free(config);
    return 0;
}
