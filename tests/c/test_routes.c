/* How connections are made: local address, address family, mapped hosts, certificates of both sides; and what an exchange says about its connection. */
#include "web.h"

static atls_client *client;

static atls_request *with(atls_config *config, atls_request *request)
{
    OK(atls_request_set_config(request, config, &error));
    return request;
}

static void a_connection_leaves_from_the_chosen_address(void)
{
    atls_config *config = web_config();
    OK(atls_config_set_bind(config, "127.0.0.7", &error));
    WANT(200, "\"address\": \"127.0.0.7\"", with(config, ask("GET", "http://127.0.0.1:%u/echo", peer("PLAIN"))));
    WANT(200, "\"address\": \"127.0.0.7\"", with(config, ask("GET", "https://localhost:%u/echo", peer("TLS"))));
    OK(atls_config_set_bind(config, "192.0.2.1", &error));
    FAILS(ATLS_IO, "binding to 192.0.2.1", with(config, ask("GET", "http://127.0.0.1:%u/echo", peer("PLAIN"))));
    OK(atls_config_set_bind(config, "::1", &error));
    FAILS(ATLS_DNS, "no address of the family", with(config, ask("GET", "http://127.0.0.1:%u/echo", peer("PLAIN"))));
#ifdef __linux__
    OK(atls_config_set_bind(config, "lo", &error));
    WANT(200, "\"address\": \"127.0.0.1\"", with(config, ask("GET", "http://127.0.0.1:%u/echo", peer("PLAIN"))));
    OK(atls_config_set_bind(config, "not-an-interface", &error));
    FAILS(ATLS_IO, "binding to interface not-an-interface", with(config, ask("GET", "http://127.0.0.1:%u/echo", peer("PLAIN"))));
#endif
    EXPECT(ATLS_INVALID_ARGUMENT, "empty", atls_config_set_bind(config, "", &error));
    OK(atls_config_set_bind(config, NULL, &error));
    WANT(200, "\"address\": \"127.0.0.1\"", with(config, ask("GET", "http://127.0.0.1:%u/echo", peer("PLAIN"))));
    atls_config_free(config);
}

static void families_and_mapped_hosts_are_respected(void)
{
    atls_config *config = web_config();
    OK(atls_config_set_family(config, ATLS_FAMILY_IPV4, &error));
    WANT(200, "", with(config, ask("GET", "http://localhost:%u/echo", peer("PLAIN"))));
    FAILS(ATLS_DNS, "::1 has no address of the family", with(config, ask("GET", "http://[::1]:%u/echo", peer("PLAIN"))));
    OK(atls_config_set_family(config, ATLS_FAMILY_IPV6, &error));
    FAILS(ATLS_DNS, "127.0.0.1 has no address", with(config, ask("GET", "http://127.0.0.1:%u/echo", peer("PLAIN"))));
    FAILS(ATLS_IO, "[::1]", with(config, ask("GET", "http://localhost:%u/echo", peer("PLAIN"))));
    EXPECT(ATLS_INVALID_ARGUMENT, "family 5", atls_config_set_family(config, 5, &error));
    OK(atls_config_set_family(config, ATLS_FAMILY_ANY, &error));

    /* The name stays in Host, in SNI and in the check of the certificate. */
    OK(atls_config_map_host(config, "other.example", 443, "127.0.0.1", (uint16_t)peer("TLS"), &error));
    OK(atls_config_map_host(config, "wrong.example", 443, "127.0.0.1", (uint16_t)peer("TLS"), &error));
    WANT(200, "\"host\": \"other.example\"", with(config, ask("GET", "https://other.example/echo")));
    FAILS(ATLS_TLS_CERTIFICATE, "wrong.example", with(config, ask("GET", "https://wrong.example/echo")));
    EXPECT(ATLS_INVALID_ARGUMENT, "port of 0", atls_config_map_host(config, "a", 0, "b", 1, &error));
    atls_config_free(config);
    FAILS(ATLS_DNS, "nowhere.invalid", ask("GET", "https://nowhere.invalid/"));
    FAILS(ATLS_IO, "127.0.0.1:1", ask("GET", "http://127.0.0.1:1/"));
}

static void certificates_are_shown_and_checked_as_configured(void)
{
    size_t len;
    atls_config *config = web_config();
    char *chain = sim_file("peer.pem", &len), *key = sim_file("peer-key.pem", &len);
    /* nginx answers who does not show one with a page that says so. */
    WANT(400, "No required SSL certificate was sent", ask("GET", "https://localhost:%u/", peer("MUTUAL")));
    OK(atls_config_set_client_certificate(config, chain, key, &error));
    WANT(200, "CN=TEST ONLY peer", with(config, ask("GET", "https://localhost:%u/", peer("MUTUAL"))));
    /* It is not shown where it was not asked to be. */
    WANT(400, "No required SSL certificate was sent", ask("GET", "https://localhost:%u/", peer("MUTUAL")));
    EXPECT(ATLS_NULL_ARGUMENT, "key_pem", atls_config_set_client_certificate(config, chain, NULL, &error));
    OK(atls_config_set_client_certificate(config, chain, chain, &error));
    atls_request *request = ask("GET", "https://localhost:%u/", peer("MUTUAL"));
    EXPECT(ATLS_INVALID_ARGUMENT, "client key", atls_request_set_config(request, config, &error));
    OK(atls_config_set_client_certificate(config, "nothing", key, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "holds none", atls_request_set_config(request, config, &error));
    atls_request_free(request);
    OK(atls_config_set_client_certificate(config, NULL, NULL, &error));
    free(chain);
    free(key);

    /* Roots are what they are set to; no check at all is for those alone whom nobody judges. */
    atls_config *strict = NULL, *lax = NULL;
    OK(atls_config_new("localhost", 1, &strict, &error));
    OK(atls_config_set_unattested(strict, &error));
    FAILS(ATLS_TLS_CERTIFICATE, "UnknownIssuer", with(strict, ask("GET", "https://localhost:%u/echo", peer("TLS"))));
    OK(atls_config_set_certificate_check(strict, false, &error));
    WANT(200, "/echo", with(strict, ask("GET", "https://localhost:%u/echo", peer("TLS"))));
    lax = sim_config(1, "policy.json");
    EXPECT(ATLS_INVALID_STATE, "needs the certificate check", atls_config_set_certificate_check(lax, false, &error));
    OK(atls_config_set_unattested(lax, &error));
    OK(atls_config_set_certificate_check(lax, false, &error));
    char *json = sim_file("policy.json", &len);
    atls_policy *policy = NULL;
    OK(atls_policy_new(atls_bytes_of(json, len), &policy, &error));
    OK(atls_config_set_policy(lax, policy, &error));
    request = ask("GET", "https://localhost:%u/echo", peer("TLS"));
    EXPECT(ATLS_INVALID_STATE, "no policy allows", atls_request_set_config(request, lax, &error));
    atls_request_free(request);

    /* A request's configuration does not get around the policy of a host. */
    OK(atls_client_set_policy(client, "localhost", policy, &error));
    FAILS(ATLS_INVALID_STATE, "no policy allows", with(strict, ask("GET", "https://localhost:%u/echo", peer("TLS"))));
    FAILS(ATLS_NO_EVIDENCE, "/tdx_quote", with(config, ask("GET", "https://localhost:%u/echo", peer("TLS"))));
    FAILS(ATLS_POLICY_REQUIRED, "cannot be attested", with(config, ask("GET", "http://localhost:%u/echo", peer("PLAIN"))));
    atls_policy_free(policy);
    free(json);
    atls_config_free(strict);
    atls_config_free(lax);
    atls_config_free(config);
}

static void times_and_certificate_of_an_exchange_are_known(void)
{
    atls_client *own = web_client();
    for (int i = 0; i < 2; i++) {
        struct answer answer = get(own, ask("GET", "https://localhost:%u/slow?head=50", peer("TLS")));
        atls_exchange *exchange = answer.exchange;
        uint64_t connect = atls_exchange_time_us(exchange, ATLS_EXCHANGE_TIME_CONNECT), tls = atls_exchange_time_us(exchange, ATLS_EXCHANGE_TIME_TLS);
        uint64_t first = atls_exchange_time_us(exchange, ATLS_EXCHANGE_TIME_FIRST_BYTE), total = atls_exchange_time_us(exchange, ATLS_EXCHANGE_TIME_TOTAL);
        CHECK(i == 0 ? connect > 0 && tls > 0 : connect == 0 && tls == 0);
        CHECK(atls_exchange_time_us(exchange, ATLS_EXCHANGE_TIME_ATTEST) == 0 && atls_exchange_time_us(exchange, ATLS_EXCHANGE_TIME_DNS) < 1000000);
        CHECK(first >= 50000 && total >= first + connect + tls && total < 20000000);
        CHECK(atls_exchange_time_us(exchange, ATLS_EXCHANGE_TIME_QUEUE) < 1000000 && atls_exchange_time_us(exchange, 99) == UINT64_MAX);
        atls_buf *certificate = atls_exchange_certificate(exchange);
        CHECK(atls_buf_len(certificate) > 200 && atls_buf_data(certificate)[0] == 0x30);
        atls_buf_free(certificate);
        forget(answer);
    }
    struct answer answer = get(own, ask("GET", "http://127.0.0.1:%u/echo", peer("PLAIN")));
    CHECK(atls_exchange_certificate(answer.exchange) == NULL && atls_exchange_time_us(answer.exchange, ATLS_EXCHANGE_TIME_TLS) == 0);
    forget(answer);
    CHECK(atls_exchange_peer(NULL).len == 0 && atls_exchange_time_us(NULL, ATLS_EXCHANGE_TIME_TOTAL) == UINT64_MAX);
    atls_client_free(own);
}

/* A part of a file, as one resumes a download, and the server's own coding of it. */
static void ranges_and_codings_of_nginx_are_read(void)
{
    atls_request *request = ask("GET", "https://localhost:%u/numbers.html", peer("NGINX"));
    add_header(request, "Range", "bytes=159984-");
    struct answer answer = get(client, request);
    CHECK(answer.status == 206 && answer.len == 16 && strcmp(answer.body, "0019998\n0019999\n") == 0);
    forget(answer);
    request = ask("GET", "https://localhost:%u/numbers.html", peer("NGINX"));
    OK(atls_request_set_decode(request, true, &error));
    answer = get(client, request);
    CHECK(answer.status == 200 && answer.len == 160000 && strcmp(atls_head_get(answer.head, "Content-Encoding").ptr, "gzip") == 0);
    forget(answer);
    WANT(404, "404 Not Found", ask("GET", "https://localhost:%u/none", peer("NGINX")));
}

/* openssl, told to speak TLS 1.2 only, and as it likes. */
static void tls_1_2_is_refused(void)
{
    FAILS(ATLS_TLS_VERSION, "TLS", ask("GET", "https://localhost:%u/", peer("TLS12")));
    WANT(200, "TLSv1.3", ask("GET", "https://localhost:%u/", peer("OPENSSL")));
}

static void set_up(void)
{
    client = web_client();
}

static void tear_down(void)
{
    atls_client_free(client);
}

TESTS(set_up, tear_down, CASE(a_connection_leaves_from_the_chosen_address), CASE(families_and_mapped_hosts_are_respected),
      CASE(ranges_and_codings_of_nginx_are_read), CASE(tls_1_2_is_refused), CASE(times_and_certificate_of_an_exchange_are_known),
      CASE(certificates_are_shown_and_checked_as_configured))
