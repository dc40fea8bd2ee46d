/* pool_attested.c - a policy for each host: one server judged once for many requests and again when its verdict is old, and a host that no
 * policy covers, which is not spoken to.
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

/* A client whose policies are set host by host: nothing holds for all the others, and so they are refused. */
static atls_client *make_client(char **argv)
{
    atls_error *error = NULL;
    atls_client *client = NULL;
    atls_client_limits *limits = NULL;
    atls_policy *policy = NULL;
    atls_config *config = make_config(argv);
    struct file json = read_file(argv[2]);
    check(atls_client_limits_new(&limits, &error), &error);
    /* Connections may wait for a minute; a verdict is good for one second, so that one sees it renewed. */
    check(atls_client_limits_set_times(limits, 60000, 1000, &error), &error);
    check(atls_config_clear_policy(config, &error), &error);
    check(atls_client_new(NULL, config, limits, &client, &error), &error);
    check(atls_policy_new(atls_bytes_of(json.data, json.len), &policy, &error), &error);
    check(atls_client_set_policy(client, argv[0], policy, &error), &error);
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
    atls_client *client = make_client(argv + 1);
    for (int i = 0; i < 3; i++)
        fetch(client, url);
    struct timespec pause = {1, 100000000};
    nanosleep(&pause, NULL);
    fetch(client, url);
    fetch(client, other);
    printf("%zu connections wait\n", atls_client_idle_connections(client));
    atls_client_free(client);
    return 0;
}
