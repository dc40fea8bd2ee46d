/* pool_attested.c - a policy for each host. A server is attested once for many requests, and again when its connection is too old. A host
 * without a policy gets no request.
 *
 * usage: pool_attested HOST PORT POLICY.json PATH
 */
#include <time.h>

#include "common.h"

static void fetch(atls_client *client, const char *url)
{
    atls_error *error = NULL;
    atls_request *request = NULL;
    atls_exchange *exchange = NULL;
    atls_buf *body = NULL;
    check(atls_request_new_url("GET", url, &request, &error), &error);
    if (atls_client_fetch(client, request, &exchange, &error) == ATLS_OK) {
        check(atls_exchange_read_all(exchange, 1 << 20, 0, &body, &error), &error);
        atls_verdict *verdict = atls_exchange_verdict(exchange);
        printf("%zu bytes, %s, trusted: %s, attested in %llu us, all in %llu us\n", atls_buf_len(body),
               atls_exchange_reused(exchange) ? "on a connection that was judged" : "on a new connection",
               atls_verdict_trusted(verdict) ? "yes" : "no", (unsigned long long)atls_exchange_time_us(exchange, ATLS_EXCHANGE_TIME_ATTEST),
               (unsigned long long)atls_exchange_time_us(exchange, ATLS_EXCHANGE_TIME_TOTAL));
        atls_verdict_free(verdict);
    } else {
        printf("refused: %s: %s\n", atls_status_name(atls_error_status(error)).ptr, atls_error_message(error).ptr);
        atls_error_free(error);
    }
    atls_buf_free(body);
    atls_exchange_free(exchange);
    atls_request_free(request);
}

/* A client with a policy for one host. It refuses all others, because there is no policy for them. */
static atls_client *make_client(const char *host, const char *policy_file)
{
    atls_error *error = NULL;
    atls_client *client = NULL;
    atls_client_limits *limits = NULL;
    atls_policy *policy = NULL;
    atls_config *config = make_config(NULL, NULL, policy_file);
    struct file json = read_file(policy_file);
    check(atls_client_limits_new(&limits, &error), &error);
    /* Idle connections are kept for a minute, but none longer than a second: so the last request below attests anew. */
    check(atls_client_limits_set_times(limits, 60000, 1000, &error), &error);
    check(atls_config_clear_policy(config, &error), &error);
    check(atls_client_new(NULL, config, limits, &client, &error), &error);
    check(atls_policy_new(atls_bytes_of(json.data, json.len), &policy, &error), &error);
    check(atls_client_set_policy(client, host, policy, &error), &error);
    atls_policy_free(policy);
    atls_config_free(config);
    atls_client_limits_free(limits);
    free(json.data);
    return client;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: %s HOST PORT POLICY.json PATH\n", argv[0]);
        return 2;
    }
    char url[1000], other[1000];
    snprintf(url, sizeof url, "https://%s:%s%s", argv[1], argv[2], argv[4]);
    snprintf(other, sizeof other, "https://127.0.0.1:%s%s", argv[2], argv[4]);
    atls_client *client = make_client(argv[1], argv[3]);
    for (int i = 0; i < 3; i++)
        fetch(client, url);
    struct timespec pause = {1, 100000000};
    nanosleep(&pause, NULL);
    fetch(client, url);
    fetch(client, other);
    printf("%zu idle connections\n", atls_client_idle_connections(client));
    atls_client_free(client);
    return 0;
}
