/* Through real proxies: HTTP by CONNECT with basic (tinyproxy) and digest authentication (squid), SOCKS5 (microsocks). */
#include "web.h"

static struct sim sim;

static const struct {
    const char *scheme, *name;
    uint32_t auth;
} ways[] = {{"http", "PROXY", ATLS_AUTH_BASIC}, {"http", "SQUID", ATLS_AUTH_DIGEST}, {"socks5", "SOCKS", ATLS_AUTH_BASIC}, {"socks5h", "SOCKS", ATLS_AUTH_BASIC}};
enum { WAYS = sizeof ways / sizeof *ways };

static void set_way(atls_config *config, int way, const char *password)
{
    char url[100];
    snprintf(url, sizeof url, "%s://127.0.0.1:%u", ways[way].scheme, peer(ways[way].name));
    OK(atls_config_set_proxy(config, url, "user", password, ways[way].auth, &error));
}

static void streams(int way)
{
    unsigned char text[6] = "";
    size_t n = 0, got = 0;
    atls_stream *stream = NULL;
    atls_config *config = sim_config(sim.raw, "policy.json");
    set_way(config, way, "password");
    OK(atls_stream_connect(config, &stream, &error));
    OK(atls_stream_write_all(stream, atls_bytes_of("hello", 5), 5000, &error));
    while (got < 5) {
        OK(atls_stream_read(stream, text + got, 5 - got, 5000, &n, &error));
        got += n;
    }
    CHECK(strcmp((char *)text, "hello") == 0);
    atls_stream_free(stream);

    stream = NULL;
    set_way(config, way, "wrong");
    atls_status status = atls_stream_connect(config, &stream, &error);
    uint32_t said = atls_error_http_status(error);
    CHECK(status == ATLS_TUNNEL_REFUSED && stream == NULL);
    CHECK(ways[way].scheme[0] == 's' ? said == 0 : said == 407 || said == 401);
    CHECK(atls_error_detail(error) == ATLS_DETAIL_PROXY_LOGIN);
    CHECK(strcmp(atls_error_phase(error).ptr, "tunnel") == 0 && strstr(atls_error_message(error).ptr, "proxy"));
    atls_error_free(error);
    error = NULL;
    /* Without credentials nobody gets through. */
    char url[100];
    snprintf(url, sizeof url, "%s://127.0.0.1:%u", ways[way].scheme, peer(ways[way].name));
    OK(atls_config_set_proxy(config, url, NULL, NULL, ATLS_AUTH_BASIC, &error));
    EXPECT(ATLS_TUNNEL_REFUSED, "proxy", atls_stream_connect(config, &stream, &error));
    atls_config_free(config);

    /* Nobody listens there. */
    config = sim_config(1, "policy.json");
    set_way(config, way, "password");
    CHECK(atls_stream_connect(config, &stream, &error) == ATLS_TUNNEL_REFUSED && atls_error_detail(error) == ATLS_DETAIL_PROXY_REFUSED);
    atls_error_free(error);
    error = NULL;
    atls_config_free(config);
}

/* Attested, and in the clear, where an HTTP proxy is asked for the whole URL. */
static void clients(int way)
{
    atls_client *client = NULL;
    atls_config *config = sim_config(sim.http, "policy.json");
    set_way(config, way, "password");
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    for (int i = 0; i < 3; i++) {
        struct answer answer = get(client, ask("GET", "https://localhost:%u/small", sim.http));
        CHECK(answer.status == 200 && answer.len == 100 && atls_exchange_reused(answer.exchange) == (i > 0));
        forget(answer);
    }
    atls_client_free(client);
    atls_config_free(config);

    config = web_config();
    set_way(config, way, "password");
    client = NULL;
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    for (int i = 0; i < 2; i++) {
        /* tinyproxy closes without a word: what may be sent twice is. */
        atls_request *request = ask("PUT", "http://127.0.0.1:%u/echo?x=y", peer("PLAIN"));
        set_body(request, "sent");
        struct answer answer = get(client, request);
        CHECK(answer.status == 200 && strstr(answer.body, "\"uri\": \"/echo?x=y\"") && strstr(answer.body, "\"body\": \"sent\""));
        CHECK(!strstr(answer.body, "Proxy-Authorization"));
        forget(answer);
    }
    atls_client_free(client);

    set_way(config, way, "wrong");
    client = NULL;
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    if (ways[way].scheme[0] == 's') {
        FAILS(ATLS_TUNNEL_REFUSED, "proxy", ask("GET", "http://127.0.0.1:%u/echo", peer("PLAIN")));
    } else {
        struct answer answer = get(client, ask("GET", "http://127.0.0.1:%u/echo", peer("PLAIN")));
        CHECK(answer.status == 407 || answer.status == 401);
        forget(answer);
    }
    atls_client_free(client);
    atls_config_free(config);
}

/* One request through a proxy, the next one not: neither connection serves the other. */
static void per_request(int way)
{
    atls_client *client = web_client();
    atls_config *config = web_config();
    set_way(config, way, "password");
    for (int i = 0; i < 4; i++) {
        atls_request *request = ask("GET", "https://localhost:%u/echo", peer("TLS"));
        if (i % 2)
            OK(atls_request_set_config(request, config, &error));
        struct answer answer = get(client, request);
        CHECK(answer.status == 200 && atls_exchange_reused(answer.exchange) == (i > 1));
        CHECK(!strstr(answer.body, "Authorization"));
        atls_str peer_text = atls_exchange_peer(answer.exchange);
        char wanted[40];
        snprintf(wanted, sizeof wanted, "127.0.0.1:%u", peer(i % 2 ? ways[way].name : "TLS"));
        CHECK(strcmp(peer_text.ptr, wanted) == 0 && atls_exchange_peer(answer.exchange).ptr == peer_text.ptr);
        forget(answer);
    }
    CHECK(atls_client_idle_connections(client) == 2);
    /* Changed in between, it is another configuration. */
    OK(atls_config_set_timeouts(config, 1000, 1000, &error));
    atls_request *request = ask("GET", "https://localhost:%u/echo", peer("TLS"));
    OK(atls_request_set_config(request, config, &error));
    struct answer answer = get(client, request);
    CHECK(answer.status == 200 && !atls_exchange_reused(answer.exchange));
    forget(answer);
    atls_config_free(config);
    atls_client_free(client);
}

static void settings_of_a_proxy_are_checked(void)
{
    atls_config *config = sim_config(sim.http, "policy.json");
    EXPECT(ATLS_UNSUPPORTED, "scheme \"socks4\"", atls_config_set_proxy(config, "socks4://a:1", NULL, NULL, ATLS_AUTH_BASIC, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "host and port", atls_config_set_proxy(config, "http://a:1/x", NULL, NULL, ATLS_AUTH_BASIC, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "argument of their own", atls_config_set_proxy(config, "http://u:p@a:1", NULL, NULL, ATLS_AUTH_BASIC, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "colon", atls_config_set_proxy(config, "http://a:1", "u:v", NULL, ATLS_AUTH_BASIC, &error));
    OK(atls_config_set_proxy(config, "http://a:1", NULL, NULL, ATLS_AUTH_BASIC, &error));
    EXPECT(ATLS_UNSUPPORTED, "tunnel through a proxy", atls_config_set_tunnel(config, "ws://b/", &error));
    OK(atls_config_set_proxy(config, NULL, NULL, NULL, ATLS_AUTH_BASIC, &error));
    OK(atls_config_set_tunnel(config, "ws://b/", &error));
    EXPECT(ATLS_UNSUPPORTED, "tunnel through a proxy", atls_config_set_proxy(config, "http://a:1", NULL, NULL, ATLS_AUTH_BASIC, &error));
    atls_config_free(config);
}

static void streams_go_through_each_kind_of_proxy(void)
{
    for (int way = 0; way < WAYS; way++)
        streams(way);
}

static void a_client_goes_through_each_kind_of_proxy(void)
{
    for (int way = 0; way < WAYS; way++)
        clients(way);
}

static void a_request_through_a_proxy_has_its_own_connection(void)
{
    for (int way = 0; way < WAYS; way++)
        per_request(way);
}

static void set_up(void)
{
    sim = sim_start();
}

TESTS(set_up, NULL, CASE(settings_of_a_proxy_are_checked), CASE(streams_go_through_each_kind_of_proxy),
      CASE(a_client_goes_through_each_kind_of_proxy), CASE(a_request_through_a_proxy_has_its_own_connection))
