/* tunnel_server.c - a forwarder for clients that can open WebSockets only, browsers above all: what they send goes on over TCP to a server of the list. It
 * sees ciphertext: TLS and the evidence run through it from end to end. From the environment:
 *
 *   ATLS_PROXY_LISTEN      address:port to listen on (127.0.0.1:9000)
 *   ATLS_PROXY_TARGET      host:port for clients that name none in ?target= (none)
 *   ATLS_PROXY_ALLOWLIST   host:port or *.suffix:port, with commas between; the target above, where this is not there
 *   ATLS_PROXY_ORIGINS     origins of web pages that may use it, with commas between (none)
 *   ATLS_PROXY_TOKEN       what clients must show (nothing)
 *   ATLS_PROXY_PRIVATE     1: names may lead to private addresses
 *
 * Serves until standard input ends; then tunnels have five seconds to come to their end.
 */
#include "serving.h"

typedef atls_status add_fn(atls_tunnel_config *, const char *, atls_error **);

/* Adds each item of a list with commas. */
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

/* A forwarder has nothing to tell. */
static void ignore(void *user_data, const atls_event *event)
{
    (void)user_data;
    (void)event;
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
    atls_sink sink = {.queue = queue, .call = ignore, .drop = server_is_over};
    check(atls_tunnel_server_start(runtime, limits, config, &sink, &server, &error), &error);
    check(atls_server_listen(server, listen, port, false, &port, &error), &error);
    printf("listening on %s:%u\n", listen, port);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    printf("%llu tunnels, %llu bytes up, %llu bytes down, %llu refused\n", count(server, ATLS_SERVER_COUNT_TUNNELS),
           count(server, ATLS_SERVER_COUNT_BYTES_UP), count(server, ATLS_SERVER_COUNT_BYTES_DOWN), count(server, ATLS_SERVER_COUNT_REQUESTS_REFUSED));
    stop_server(server, runtime, queue);
    atls_server_config_free(limits);
    atls_tunnel_config_free(config);
    return 0;
}
