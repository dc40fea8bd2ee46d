/* fetch.c - a blocking client: one call per URL. Connections are reused, redirects are followed, and no request goes to a host that
 * does not satisfy the policy.
 *
 * usage: fetch POLICY.json URL...
 */
#include "common.h"

static void fetch(atls_client *client, const char *url)
{
    atls_error *error = NULL;
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    atls_head *head = NULL;
    check(atls_request_new_url("GET", url, &request, &error), &error);
    check(atls_client_fetch(client, request, &exchange, &error), &error);
    check(atls_exchange_head(exchange, 0, &head, &error), &error);
    fprintf(stderr, "%u %s%s, %u redirects\n", atls_head_status(head), atls_exchange_url(exchange).ptr,
            atls_exchange_reused(exchange) ? ", on the same connection" : "", atls_exchange_redirects(exchange));

    static unsigned char buffer[65536];
    size_t n;
    do {
        check(atls_exchange_read(exchange, buffer, sizeof buffer, 0, &n, &error), &error);
        fwrite(buffer, 1, n, stdout);
    } while (n > 0);
    atls_head_free(head);
    atls_exchange_free(exchange);
    atls_request_free(request);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s POLICY.json URL...\n", argv[0]);
        return 2;
    }
    atls_error *error = NULL;
    atls_client *client = NULL;
    atls_config *config = make_config(NULL, NULL, argv[1]);
    check(atls_client_new(NULL, config, NULL, &client, &error), &error);
    for (int i = 2; i < argc; i++)
        fetch(client, argv[i]);
    atls_client_free(client);
    atls_config_free(config);
    return 0;
}
