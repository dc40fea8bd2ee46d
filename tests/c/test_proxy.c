/* Through a real HTTP proxy, found through ATLS_PROXY (http://127.0.0.1:PORT, user "user", password "password"). */
#include "sim.h"

static struct sim sim;
static atls_error *error;

static atls_config *through(unsigned port, const char *password)
{
    atls_config *config = sim_config(port, "policy.json");
    OK(atls_config_set_proxy(config, getenv("ATLS_PROXY"), "user", password, ATLS_AUTH_BASIC, &error));
    return config;
}

static void streams(void)
{
    unsigned char text[6] = "";
    size_t n = 0, got = 0;
    atls_stream *stream = NULL;
    atls_config *config = through(sim.raw, "password");
    OK(atls_stream_open(config, &stream, &error));
    OK(atls_stream_write_all(stream, (const uint8_t *)"hello", 5, 5000, &error));
    while (got < 5) {
        OK(atls_stream_read(stream, text + got, 5 - got, &n, 5000, &error));
        got += n;
    }
    CHECK(strcmp((char *)text, "hello") == 0);
    atls_stream_free(stream);
    atls_config_free(config);

    stream = NULL;
    config = through(sim.raw, "wrong");
    atls_status status = atls_stream_open(config, &stream, &error);
    CHECK(status == ATLS_TUNNEL_REFUSED && stream == NULL);
    CHECK(atls_error_http_status(error) == 407 || atls_error_http_status(error) == 401);
    CHECK(strcmp(atls_error_phase(error).ptr, "tunnel") == 0);
    atls_error_free(error);
    error = NULL;
    atls_config_free(config);

    /* Nobody listens there. */
    config = through(1, "password");
    EXPECT(ATLS_TUNNEL_REFUSED, "the proxy answered with status 5", atls_stream_open(config, &stream, &error));
    atls_config_free(config);
}

static void client(void)
{
    char url[100];
    unsigned char buffer[1000];
    size_t n;
    atls_client *client = NULL;
    atls_request *request = NULL;
    atls_config *config = through(sim.http, "password");
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    snprintf(url, sizeof url, "https://localhost:%u/small", sim.http);
    OK(atls_request_new_url("GET", url, &request, &error));
    for (int i = 0; i < 3; i++) {
        atls_exchange *exchange = NULL;
        OK(atls_client_fetch(client, request, &exchange, &error));
        CHECK(atls_exchange_reused(exchange) == (i > 0));
        do
            OK(atls_exchange_read(exchange, buffer, sizeof buffer, &n, 5000, &error));
        while (n > 0);
        atls_exchange_free(exchange);
    }
    atls_request_free(request);
    atls_client_free(client);
    atls_config_free(config);
}

static void settings(void)
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

int main(void)
{
    sim = sim_start();
    settings();
    if (!getenv("ATLS_PROXY")) {
        puts("skipped: no ATLS_PROXY");
        return 77;
    }
    streams();
    client();
    return 0;
}
