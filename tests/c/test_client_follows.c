/* What leads to another request or another place: 417, a stale nonce, redirects, a Host of its own, names by the host. */
#define _GNU_SOURCE

#include "odd_server.h"

static void an_answer_that_leads_to_another_request_is_followed(void)
{
    atls_client *client = client_with(false, 10, 0, 0);
    /* 417: once more, without the expectation; a stream, of which nothing was taken yet, too. */
    atls_request *request = ask("POST", "http://127.0.0.1:%u/expect", port);
    set_body(request, "four");
    OK(atls_request_set_expect_continue(request, UINT32_MAX, &error));
    WANT(200, "POST /expect", request);
    request = ask("POST", "http://127.0.0.1:%u/expect", port);
    OK(atls_request_set_body_stream(request, 4, &error));
    OK(atls_request_set_expect_continue(request, UINT32_MAX, &error));
    atls_exchange *exchange = NULL;
    OK(atls_client_fetch(client, request, &exchange, &error));
    OK(atls_exchange_write_all(exchange, atls_bytes_of("four", 4), 20000, &error));
    OK(atls_exchange_finish(exchange, &error));
    struct answer answer = answer_to(exchange);
    CHECK(answer.status == 200);
    forget(answer);
    atls_request_free(request);

    request = at("/digest");
    OK(atls_request_set_auth(request, "user", "word", ATLS_AUTH_DIGEST, &error));
    WANT(200, "nonce=\"two\"", request);

    /* The limit is for the body that is shown, and so is the coding; the fragment goes along. */
    request = at("/away#part");
    OK(atls_request_set_max_response_body(request, 1000, &error));
    OK(atls_request_set_decode(request, true, &error));
    answer = get(client, request);
    char url[100];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/head#part", port);
    CHECK(answer.status == 200 && strcmp(atls_exchange_url(answer.exchange).ptr, url) == 0);
    forget(answer);

    /* What went over the wire. */
    answer = get(client, at("/a/../b?%7e"));
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a/../b?%%7e", port);
    CHECK(strncmp(answer.body, "GET /a/../b?%7e ", 16) == 0 && strcmp(atls_exchange_url(answer.exchange).ptr, url) == 0);
    forget(answer);

    /* A Host of its own; a redirect has that of where it leads. */
    request = at("/head");
    OK(atls_request_set_host(request, "other.example:81", &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "host", atls_request_set_host(request, "a\r\nb", &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "host", atls_request_set_host(request, "", &error));
    WANT(200, "\r\nHost: other.example:81\r\n", request);
    request = at("/away");
    OK(atls_request_set_host(request, "other.example", &error));
    WANT(200, "\r\nHost: 127.0.0.1:", request);
    atls_client_free(client);
}

static int resolved, dropped;

static int32_t resolve(void *user_data, const char *host, atls_addresses *addresses)
{
    atls_error *failure = NULL;
    (*(int *)user_data)++;
    if (strcmp(host, "wait.example") == 0)
        usleep(300000);
    CHECK(atls_addresses_add(addresses, "not one", &failure) == ATLS_INVALID_ARGUMENT);
    atls_error_free(failure);
    if (strcmp(host, "none.example") == 0)
        return 0;
    CHECK(atls_addresses_add(addresses, "127.0.0.1", NULL) == ATLS_OK);
    return strcmp(host, "fails.example") == 0 ? 5 : 0;
}

static void drop(void *user_data)
{
    CHECK(user_data == &resolved);
    dropped++;
}

static void the_hosts_resolver_and_map_give_the_address(void)
{
    atls_client *client = NULL;
    atls_config *config = clear_config();
    atls_resolver resolver = {resolve, drop, &resolved};
    OK(atls_config_set_resolver(config, &resolver, &error));
    /* Names are compared as those of policies. */
    OK(atls_config_map_host(config, "M\xc3\xbcller.Example.", 80, "mapped.example", (uint16_t)port, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "host", atls_config_map_host(config, "*.example", 80, "a", 1, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "resolve", atls_config_set_resolver(config, &(atls_resolver){0}, &error));
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    WANT(200, "Host: some.example", ask("GET", "http://some.example:%u/head", port));
    CHECK(resolved == 1);
    WANT(200, "Host: xn--mller-kva.example.\r\n", ask("GET", "http://m\xc3\xbcLLER.example./head"));
    CHECK(resolved == 2);
    WANT(200, "GET", at("/head"));
    CHECK(resolved == 2);
    FAILS(ATLS_DNS, "no address", ask("GET", "http://none.example:%u/", port));
    FAILS(ATLS_DNS, "returned 5", ask("GET", "http://fails.example:%u/", port));
    /* The phase of the deadline for connecting is the one that was on. */
    atls_request *request = ask("GET", "http://wait.example:%u/", port);
    atls_exchange *exchange = NULL;
    OK(atls_request_set_deadline(request, ATLS_REQUEST_DEADLINE_CONNECT, 50, &error));
    CHECK(atls_client_fetch(client, request, &exchange, &error) == ATLS_TIMED_OUT);
    CHECK(strcmp(atls_error_phase(error).ptr, "dns") == 0 && atls_error_detail(error) == ATLS_DETAIL_CONNECT_TIMEOUT);
    atls_error_free(error);
    error = NULL;
    atls_request_free(request);
    atls_client_free(client);
    atls_config_free(config);
    for (int i = 0; i < 1000 && !dropped; i++)
        usleep(1000);
    CHECK(dropped == 1);
}

TESTS(set_up, tear_down, CASE(an_answer_that_leads_to_another_request_is_followed), CASE(the_hosts_resolver_and_map_give_the_address))
