/* tunnel.c - an attested request through a WebSocket forwarder, for clients that cannot reach the server directly. TLS and evidence are
 * end to end: the forwarder can neither read nor fake them. Collateral is fetched through the forwarder too, unless the verifier has its
 * own route (atls_verifier_config_set_route).
 *
 * usage: tunnel HOST PORT POLICY.json ws://FORWARDER/ PATH
 */
#include "common.h"

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "usage: %s HOST PORT POLICY.json ws://FORWARDER/ PATH\n", argv[0]);
        return 2;
    }
    atls_error *error = NULL;
    atls_http *http = NULL;
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    atls_config *config = make_config(argv[1], argv[2], argv[3]);
    /* The library adds ?target=HOST:PORT. */
    check(atls_config_set_tunnel(config, argv[4], &error), &error);
    check(atls_http_connect(config, &http, &error), &error);

    atls_verdict *verdict = atls_http_verdict(http);
    print_verdict(verdict, stderr);
    atls_verdict_free(verdict);

    check(atls_request_new("GET", argv[5], argv[1], &request, &error), &error);
    check(atls_http_fetch(http, request, &exchange, &error), &error);
    unsigned char buffer[4096];
    size_t n;
    do {
        check(atls_exchange_read(exchange, buffer, sizeof buffer, 0, &n, &error), &error);
        fwrite(buffer, 1, n, stdout);
    } while (n > 0);
    atls_exchange_free(exchange);
    atls_request_free(request);
    atls_http_free(http);
    atls_config_free(config);
    return 0;
}
