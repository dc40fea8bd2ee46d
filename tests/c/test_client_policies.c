/* Policies by host and redirects, which must not lead around them. */
#include "pooled.h"

static void the_closest_policy_of_a_host_holds(void)
{
    char text[256];
    bool reused;
    atls_exchange *exchange = NULL;
    atls_client *client = NULL;
    atls_config *config = sim_config(sim.http, "policy.json");
    atls_policy *good = policy_file("policy.json"), *bad = policy_file("wrong-policy.json");

    /* The configuration's policy is for every host; a pattern that is closer comes first. */
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    CHECK(fetch(client, request("GET", url("/small")), text, sizeof text, NULL) == 200);
    OK(atls_client_set_policy(client, "localhost", bad, &error));
    CHECK(atls_client_idle_connections(client) == 1);
    atls_request *small = request("GET", url("/small"));
    CHECK(atls_client_fetch(client, small, &exchange, &error) == ATLS_MEASUREMENT_MISMATCH);
    CHECK(strstr(atls_error_report_json(error).ptr, "bootchain") && exchange == NULL);
    atls_error_free(error);
    error = NULL;
    /* The same document again is another policy: what was judged under the former is not used. */
    OK(atls_client_set_policy(client, "localhost", good, &error));
    CHECK(fetch(client, request("GET", url("/small")), text, sizeof text, &reused) == 200 && !reused);
    EXPECT(ATLS_INVALID_ARGUMENT, "pattern \"*\"", atls_client_set_policy(client, "*", good, &error));
    atls_client_free(client);

    /* Nothing covers the host, and nothing allows it. */
    client = NULL;
    atls_config *bare = NULL;
    OK(atls_config_new(NULL, 0, &bare, &error));
    OK(atls_client_new(NULL, bare, NULL, &client, &error));
    EXPECT(ATLS_POLICY_REQUIRED, "no policy covers localhost", atls_client_fetch(client, small, &exchange, &error));
    atls_client_free(client);

    /* A configuration without a host is for what needs none. */
    atls_http *http = NULL;
    OK(atls_config_set_unattested(bare, &error));
    EXPECT(ATLS_INVALID_STATE, "no host", atls_http_connect(bare, &http, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "port is 1", atls_config_new(NULL, 1, &bare, &error));

    /* Nobody is judged by default: then there is no verdict either. */
    OK(atls_config_set_unattested(config, &error));
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    OK(atls_client_fetch(client, small, &exchange, &error));
    CHECK(atls_exchange_verdict(exchange) == NULL);
    atls_exchange_free(exchange);
    atls_client_free(client);
    atls_request_free(small);
    atls_policy_free(good);
    atls_policy_free(bad);
    atls_config_free(bare);
    atls_config_free(config);

    atls_request *wrong = NULL;
    EXPECT(ATLS_UNSUPPORTED, "scheme \"ftp\"", atls_request_new_url("GET", "ftp://localhost/", &wrong, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "URL", atls_request_new_url("GET", "localhost", &wrong, &error));
}

static atls_request *redirecting(const char *method, const char *status, const char *to, uint32_t most, uint32_t allowed)
{
    char path[400];
    snprintf(path, sizeof path, "/redirect?%s,%s", status, to);
    atls_request *made = request(method, url(path));
    OK(atls_request_set_redirects(made, most, allowed, &error));
    if (method[0] == 'P') {
        OK(atls_request_set_body(made, atls_bytes_of("data", 4), &error));
        OK(atls_request_add_header(made, "Content-Type", atls_bytes_of("a/b", 3), &error));
    }
    OK(atls_request_add_header(made, "Authorization", atls_bytes_of("secret", 6), &error));
    return made;
}

static void redirects_keep_the_method_and_the_attested_origin(void)
{
    char text[1024], other[200];
    atls_client *client = new_client(NULL, 1, 0, 0);
    static const struct {
        const char *method, *status, *line;
        bool body;
    } cases[] = {
        {"GET", "302", "GET /head", false},  {"POST", "301", "GET /head", false}, {"POST", "302", "GET /head", false},
        {"POST", "303", "GET /head", false}, {"POST", "307", "POST /head", true}, {"POST", "308", "POST /head", true},
        {"PUT", "302", "PUT /head", true},   {"PUT", "303", "GET /head", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(fetch(client, redirecting(cases[i].method, cases[i].status, "head", 5, 0), text, sizeof text, NULL) == 200);
        CHECK(strncmp(text, cases[i].line, strlen(cases[i].line)) == 0 && strstr(text, "Authorization: secret"));
        CHECK((strstr(text, "Content-Length: 4") != NULL) == cases[i].body);
        CHECK((strstr(text, "Content-Type") != NULL) == cases[i].body);
    }
    /* Not followed: no more than asked for, no Location, and a body that cannot be sent twice. */
    CHECK(fetch(client, redirecting("GET", "302", "/small", 0, 0), text, sizeof text, NULL) == 302);
    CHECK(fetch(client, redirecting("GET", "302", "/redirect?302,/redirect?302,/small", 2, 0), text, sizeof text, NULL) == 302);
    CHECK(strcmp(text, "not here") == 0);
    CHECK(fetch(client, redirecting("GET", "300", "/small", 5, 0), text, sizeof text, NULL) == 300);

    atls_exchange *exchange = NULL;
    atls_request *to_small = redirecting("GET", "302", "/small", 5, 0);
    OK(atls_client_fetch(client, to_small, &exchange, &error));
    CHECK(strcmp(atls_exchange_url(exchange).ptr, url("/small")) == 0 && atls_exchange_redirects(exchange) == 1);
    atls_exchange_free(exchange);
    atls_request_free(to_small);

    /* An attested origin is not left, unless the request allows it; then the other host's policy holds. In the clear nothing goes at all. */
    snprintf(other, sizeof other, "https://localhost:%u/small", sim.evil);
    atls_request *leaving = redirecting("GET", "307", other, 5, 0);
    CHECK(atls_client_fetch(client, leaving, &exchange, &error) == ATLS_REDIRECT_REFUSED);
    CHECK(strstr(atls_error_message(error).ptr, "from attested localhost") && atls_error_detail(error) == ATLS_DETAIL_REDIRECT_LEAVES);
    atls_error_free(error);
    error = NULL;
    atls_request_free(leaving);
    leaving = redirecting("GET", "307", other, 5, ATLS_REDIRECT_ALLOW_OTHER_ORIGIN);
    EXPECT(ATLS_BINDING_MISMATCH, "report_data", atls_client_fetch(client, leaving, &exchange, &error));
    atls_request_free(leaving);
    leaving = redirecting("GET", "307", "http://localhost/", 5, ATLS_REDIRECT_ALLOW_OTHER_ORIGIN);
    EXPECT(ATLS_REDIRECT_REFUSED, "from https: to http:", atls_client_fetch(client, leaving, &exchange, &error));
    /* Allowed, it meets the policy, which http: cannot satisfy. */
    OK(atls_request_set_redirects(leaving, 5, ATLS_REDIRECT_ALLOW_OTHER_ORIGIN | ATLS_REDIRECT_ALLOW_DOWNGRADE, &error));
    EXPECT(ATLS_POLICY_REQUIRED, "cannot be attested", atls_client_fetch(client, leaving, &exchange, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "0x4", atls_request_set_redirects(leaving, 5, 4, &error));
    atls_request_free(leaving);
    CHECK(atls_client_active_requests(client) == 0);
    atls_client_free(client);
}

TESTS(set_up, NULL, CASE(the_closest_policy_of_a_host_holds), CASE(redirects_keep_the_method_and_the_attested_origin))
