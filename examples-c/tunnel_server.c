/* tunnel_server.c - a forwarder from WebSockets to TCP, for clients such as browsers that have nothing but WebSockets. It sees ciphertext
 * only: TLS and evidence are end to end. Settings come from the environment:
 *
 *   ATLS_PROXY_LISTEN      address:port to listen on (127.0.0.1:9000)
 *   ATLS_PROXY_TARGET      host:port for clients without ?target= (none)
 *   ATLS_PROXY_ALLOWLIST   allowed targets, host:port or *.suffix:port, separated by commas (the target above)
 *   ATLS_PROXY_ORIGINS     allowed origins of web pages, separated by commas (none)
 *   ATLS_PROXY_TOKEN       token that clients must send (none)
 *   ATLS_PROXY_PRIVATE     1: names may resolve to private addresses
 *
 * Serves until standard input ends; then tunnels have five seconds to finish.
 */
#include "serving.h"

typedef atls_status add_fn(atls_tunnel_config *, const char *, atls_error **);

/* Adds each item of a list separated by commas. */
static void each(char *list, add_fn *add, atls_tunnel_config *config)
{
    atls_error *error = NULL;
    for (char *item, *rest = list; rest && (item = strsep(&rest, ","));) {
        item += strspn(item, " ");
        item[strcspn(item, " ")] = '\0';
        if (*item)
            check(add(config, item, &error), &error);
    }
}

static unsigned long long count(const atls_server *server, uint32_t which)
{
    return atls_server_count(server, which);
}

int main(void)
{
    atls_error *error = NULL;
    atls_runtime *runtime = NULL;
    atls_queue *queue = NULL;
    atls_server *server = NULL;
    atls_server_config *limits = NULL;
    atls_tunnel_config *config = NULL;
    uint16_t port = 9000;
    char listen[100] = "127.0.0.1:9000", *target = getenv("ATLS_PROXY_TARGET"), *list = getenv("ATLS_PROXY_ALLOWLIST");
    if (getenv("ATLS_PROXY_LISTEN"))
        snprintf(listen, sizeof listen, "%s", getenv("ATLS_PROXY_LISTEN"));
    char *colon = strrchr(listen, ':');
    if (colon) {
        *colon = '\0';
        port = (uint16_t)atoi(colon + 1);
    }
    check(atls_tunnel_config_new(&config, &error), &error);
    if (target)
        check(atls_tunnel_config_set_default_target(config, target, &error), &error);
    each(list ? list : target, atls_tunnel_config_add_target, config);
    each(getenv("ATLS_PROXY_ORIGINS"), atls_tunnel_config_add_origin, config);
    check(atls_tunnel_config_set_token(config, getenv("ATLS_PROXY_TOKEN"), &error), &error);
    check(atls_tunnel_config_set_allow_private(config, getenv("ATLS_PROXY_PRIVATE") != NULL, &error), &error);

    check(atls_runtime_new(0, &runtime, &error), &error);
    check(atls_queue_new_dispatching(&queue, &error), &error);
    check(atls_server_config_new(&limits, &error), &error);
    check(atls_server_config_set_limit(limits, ATLS_SERVER_LIMIT_CONNECTIONS_PER_ADDRESS, 1000, &error), &error);
    atls_sink sink = {.queue = queue, .drop = server_is_over};
    check(atls_tunnel_server_start(runtime, limits, config, &sink, &server, &error), &error);
    check(atls_server_listen(server, listen, port, false, &port, &error), &error);
    printf("listening on %s:%u\n", listen, port);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    printf("%llu tunnels, %llu bytes up, %llu bytes down, %llu refused\n", count(server, ATLS_SERVER_COUNT_TUNNELS),
           count(server, ATLS_SERVER_COUNT_BYTES_UP), count(server, ATLS_SERVER_COUNT_BYTES_DOWN),
           count(server, ATLS_SERVER_COUNT_REQUESTS_REFUSED));
    stop_server(server, runtime, queue);
    atls_server_config_free(limits);
    atls_tunnel_config_free(config);
    return 0;
}
