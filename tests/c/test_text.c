/* Dates, credentials, query strings, host and port, and the request's setters that use them. */
#include "test.h"

static atls_error *error;

static void is(atls_buf *buf, const char *text)
{
    CHECK(atls_buf_len(buf) == strlen(text) && strcmp((const char *)atls_buf_data(buf), text) == 0);
    atls_buf_free(buf);
}

int main(void)
{
    atls_buf *buf = NULL;
    int64_t seconds = 0;
    OK(atls_http_date_format(784111777, &buf, &error));
    is(buf, "Sun, 06 Nov 1994 08:49:37 GMT");
    EXPECT(ATLS_INVALID_ARGUMENT, "years 1 to 9999", atls_http_date_format(INT64_MAX, &buf, &error));
    OK(atls_http_date_parse("Sun Nov  6 08:49:37 1994", &seconds, &error));
    CHECK(seconds == 784111777);
    EXPECT(ATLS_INVALID_ARGUMENT, "\"yesterday\"", atls_http_date_parse("yesterday", &seconds, &error));

    const char *pairs[] = {"q", "a b", "r", "\xc3\xbc"};
    OK(atls_url_concat("https://a/?x#f", pairs, 2, &buf, &error));
    is(buf, "https://a/?x=&q=a+b&r=%C3%BC#f");
    OK(atls_url_concat("https://a/", NULL, 0, &buf, &error));
    is(buf, "https://a/");
    pairs[3] = "\xff";
    EXPECT(ATLS_INVALID_UTF8, "pairs", atls_url_concat("https://a/", pairs, 2, &buf, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "pairs", atls_url_concat("https://a/", NULL, 1, &buf, &error));

    OK(atls_basic_credentials("Aladdin", "open sesame", &buf, &error));
    is(buf, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    EXPECT(ATLS_INVALID_ARGUMENT, "colon", atls_basic_credentials("a:b", "c", &buf, &error));

    atls_str host;
    uint32_t port = 9;
    OK(atls_split_host_port("[::1]:8443", &host, &port, &error));
    CHECK(port == 8443 && host.len == 5 && memcmp(host.ptr, "[::1]", 5) == 0);
    OK(atls_split_host_port("a:", &host, &port, &error));
    CHECK(port == 0 && host.len == 2);

    atls_request *request = NULL;
    OK(atls_request_new_url("GET", "https://a/", &request, &error));
    OK(atls_request_set_auth(request, "u", "p", ATLS_AUTH_BASIC, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "auth 7", atls_request_set_auth(request, "u", "p", 7, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "colon", atls_request_set_auth(request, "u:", "p", ATLS_AUTH_DIGEST, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "password", atls_request_set_auth(request, "u", NULL, ATLS_AUTH_BASIC, &error));
    OK(atls_request_set_auth(request, NULL, NULL, ATLS_AUTH_BASIC, &error));
    OK(atls_request_set_if_modified_since(request, 0, &error));
    EXPECT(ATLS_INVALID_STATE, "If-Modified-Since", atls_request_set_if_modified_since(request, 0, &error));
    atls_request_free(request);
    return 0;
}
