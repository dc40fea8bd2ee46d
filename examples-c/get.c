/* get.c - the shortest attested request: verify the server, GET a path, copy the body to stdout. Blocking.
 *
 * usage: get HOST PORT POLICY.json PATH
 */
#include "common.h"

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: %s HOST PORT POLICY.json PATH\n", argv[0]);
        return 2;
    }
    atls_error *error = NULL;
    atls_http *http = NULL;
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    atls_head *head = NULL;
    atls_config *config = make_config(argv[1], argv[2], argv[3]);

    check(atls_http_connect(config, &http, &error), &error);
    check(atls_request_new("GET", argv[4], argv[1], &request, &error), &error);
    check(atls_http_fetch(http, request, &exchange, &error), &error);
    check(atls_exchange_head(exchange, 0, &head, &error), &error);
    fprintf(stderr, "HTTP/1.%u %u %s\n", atls_head_minor_version(head), atls_head_status(head), atls_head_reason(head).ptr);
    for (size_t i = 0; i < atls_head_count(head); i++)
        fprintf(stderr, "%s: %s\n", atls_head_name(head, i).ptr, atls_head_value(head, i).ptr);

    static unsigned char buffer[65536];
    size_t n;
    do {
        check(atls_exchange_read(exchange, buffer, sizeof buffer, 0, &n, &error), &error);
        fwrite(buffer, 1, n, stdout);
    } while (n > 0);

    int ok = atls_head_status(head) < 400;
    atls_head_free(head);
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_http_free(http);
    atls_config_free(config);
    return ok ? 0 : 1;
}
