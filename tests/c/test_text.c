/* Dates, credentials, query strings, host and port, and the request's setters that use them. */
#include "test.h"

static _Thread_local atls_error *error;

static void is(atls_buf *buf, const char *text)
{
    CHECK(atls_buf_len(buf) == strlen(text) && strcmp((const char *)atls_buf_data(buf), text) == 0);
    atls_buf_free(buf);
}

static void add(atls_headers *headers, const char *name, const char *value)
{
    OK(atls_headers_add(headers, name, atls_bytes_of_text(value), &error));
}

static void header_fields_are_found_changed_and_written(void)
{
    atls_headers *headers = NULL, *copy = NULL, *kept = NULL;
    atls_buf *text = NULL;
    OK(atls_headers_new(false, &headers, &error));
    add(headers, "content-TYPE", "a/b");
    add(headers, "set-cookie", "a=1");
    add(headers, "Set-Cookie", "b=\xff");
    CHECK(atls_headers_count(headers) == 3 && strcmp(atls_headers_name(headers, 0).ptr, "Content-Type") == 0);
    CHECK(strcmp(atls_headers_value(headers, 2).ptr, "b=\xff") == 0 && atls_headers_value(headers, 3).len == 0);
    CHECK(atls_headers_find(headers, "SET-cookie", 0) == 1 && atls_headers_find(headers, "set-cookie", 2) == 2);
    CHECK(atls_headers_find(headers, "set-cookie", 3) == SIZE_MAX && atls_headers_find(headers, "other", 0) == SIZE_MAX);
    CHECK(strcmp(atls_headers_get(headers, "SET-cookie").ptr, "a=1") == 0 && atls_headers_get(headers, "other").len == 0);
    OK(atls_headers_joined(headers, "set-cookie", &text, &error));
    CHECK(strcmp((const char *)atls_buf_data(text), "a=1,b=\xff") == 0);
    atls_buf_free(text);
    OK(atls_headers_joined(headers, "other", &text, &error));
    CHECK(text == NULL);
    OK(atls_headers_copy(headers, &copy, &error));
    OK(atls_headers_set(copy, "Set-Cookie", atls_bytes_of("c", 1), &error));
    OK(atls_headers_remove(copy, "CONTENT-type", &error));
    CHECK(atls_headers_count(copy) == 1 && atls_headers_count(headers) == 3);
    OK(atls_headers_parse_line(copy, atls_bytes_of(" and on\r\n", 9), &error));
    const char *block = "a: 1\r\nb:\t2\n";
    OK(atls_headers_parse(copy, atls_bytes_of_text(block), &error));
    OK(atls_headers_serialize(copy, &text, &error));
    CHECK(strcmp((const char *)atls_buf_data(text), "Set-Cookie: c and on\r\nA: 1\r\nB: 2\r\n") == 0);
    atls_buf_free(text);
    OK(atls_headers_new(true, &kept, &error));
    add(kept, "x-KEPT", "");
    CHECK(strcmp(atls_headers_name(kept, 0).ptr, "x-KEPT") == 0);
    EXPECT(ATLS_HTTP_HEADER_INVALID, "token", atls_headers_add(kept, "a b", atls_bytes_of(NULL, 0), &error));
    EXPECT(ATLS_HTTP_HEADER_INVALID, "control", atls_headers_set(kept, "a", atls_bytes_of("\r\nb: c", 6), &error));
    EXPECT(ATLS_HTTP_HEADER_INVALID, "no colon", atls_headers_parse(kept, atls_bytes_of("c: d\nab", 7), &error));
    EXPECT(ATLS_NULL_ARGUMENT, "headers", atls_headers_add(NULL, "a", atls_bytes_of(NULL, 0), &error));
    CHECK(atls_headers_count(kept) == 1 && atls_headers_count(NULL) == 0);

    atls_request *request = NULL;
    OK(atls_request_new("GET", "/", "h", &request, &error));
    OK(atls_request_add_headers(request, kept, &error));
    add(kept, "Host", "other");
    EXPECT(ATLS_HTTP_HEADER_INVALID, "Host", atls_request_add_headers(request, kept, &error));
    atls_request_free(request);
    atls_headers_free(headers);
    atls_headers_free(copy);
    atls_headers_free(kept);
    atls_headers_free(NULL);
}

static void start_lines_are_parsed(void)
{
    atls_str method, target, reason;
    uint32_t minor, status;
    const char *line = "GET /a HTTP/1.0", *answer = "HTTP/1.1 404 Not Found";
    OK(atls_parse_request_line(atls_bytes_of(line, 15), &method, &target, &minor, &error));
    CHECK(method.len == 3 && target.len == 2 && target.ptr == line + 4 && minor == 0);
    EXPECT(ATLS_INVALID_ARGUMENT, "is not a request line", atls_parse_request_line(atls_bytes_of(line, 14), &method, &target, &minor, &error));
    OK(atls_parse_status_line(atls_bytes_of(answer, 22), &minor, &status, &reason, &error));
    CHECK(minor == 1 && status == 404 && reason.len == 9);
    EXPECT(ATLS_INVALID_ARGUMENT, "is not a status line", atls_parse_status_line(atls_bytes_of(answer, 12), &minor, &status, &reason, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "reason", atls_parse_status_line(atls_bytes_of(answer, 22), &minor, &status, NULL, &error));
}

static void dates_are_formatted_and_parsed(void)
{
    atls_buf *buf = NULL;
    int64_t seconds = 0;
    OK(atls_format_http_date(784111777, &buf, &error));
    is(buf, "Sun, 06 Nov 1994 08:49:37 GMT");
    EXPECT(ATLS_INVALID_ARGUMENT, "years 1 to 9999", atls_format_http_date(INT64_MAX, &buf, &error));
    OK(atls_parse_http_date("Sun Nov  6 08:49:37 1994", &seconds, &error));
    CHECK(seconds == 784111777);
    EXPECT(ATLS_INVALID_ARGUMENT, "\"yesterday\"", atls_parse_http_date("yesterday", &seconds, &error));
}

static void pairs_are_appended_to_a_url(void)
{
    atls_buf *buf = NULL;
    const char *pairs[] = {"q", "a b", "r", "\xc3\xbc"};
    OK(atls_url_add_query("https://a/?x#f", pairs, 2, &buf, &error));
    is(buf, "https://a/?x=&q=a+b&r=%C3%BC#f");
    OK(atls_url_add_query("https://a/", NULL, 0, &buf, &error));
    is(buf, "https://a/");
    pairs[3] = "\xff";
    EXPECT(ATLS_INVALID_UTF8, "pairs", atls_url_add_query("https://a/", pairs, 2, &buf, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "pairs", atls_url_add_query("https://a/", NULL, 1, &buf, &error));
}

static void basic_credentials_are_encoded(void)
{
    atls_buf *buf = NULL;
    OK(atls_basic_credentials("Aladdin", "open sesame", &buf, &error));
    is(buf, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    EXPECT(ATLS_INVALID_ARGUMENT, "colon", atls_basic_credentials("a:b", "c", &buf, &error));
}

static void host_and_port_are_split(void)
{
    atls_str host;
    uint32_t port = 9;
    OK(atls_split_host_port("[::1]:8443", &host, &port, &error));
    CHECK(port == 8443 && host.len == 5 && memcmp(host.ptr, "[::1]", 5) == 0);
    OK(atls_split_host_port("a:", &host, &port, &error));
    CHECK(port == 0 && host.len == 2);
}

static void a_request_takes_credentials_and_a_date(void)
{
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
}

/* What a list has given out may be given back to it, also if the call frees it. */
static void a_list_is_changed_by_its_own_text(void)
{
    atls_headers *headers = NULL;
    OK(atls_headers_new(true, &headers, &error));
    add(headers, "a-name-of-some-length", "1");
    add(headers, "other", "a value of some length");
    add(headers, "A-Name-Of-Some-Length", "2");
    add(headers, "last", "3");
    atls_str value = atls_headers_value(headers, 1);
    OK(atls_headers_set(headers, atls_headers_name(headers, 0).ptr, atls_bytes_of(value.ptr, value.len), &error));
    CHECK(atls_headers_count(headers) == 3 && strcmp(atls_headers_value(headers, 0).ptr, "a value of some length") == 0);
    OK(atls_headers_remove(headers, atls_headers_name(headers, 0).ptr, &error));
    CHECK(atls_headers_count(headers) == 2 && strcmp(atls_headers_name(headers, 0).ptr, "other") == 0);
    add(headers, "long", "a b c d e f g h i j k l m n o p q r s t u v w x y z");
    atls_str whole = atls_headers_value(headers, 2);
    OK(atls_headers_parse_line(headers, atls_bytes_of(whole.ptr + 1, whole.len - 1), &error));
    CHECK(strcmp(atls_headers_value(headers, 2).ptr, "a b c d e f g h i j k l m n o p q r s t u v w x y z b c d e f g h i j k l m n "
                                                     "o p q r s t u v w x y z") == 0);
    atls_headers_free(headers);
}

TESTS(NULL, NULL, CASE(dates_are_formatted_and_parsed), CASE(pairs_are_appended_to_a_url), CASE(basic_credentials_are_encoded),
      CASE(host_and_port_are_split), CASE(a_request_takes_credentials_and_a_date), CASE(header_fields_are_found_changed_and_written),
      CASE(start_lines_are_parsed), CASE(a_list_is_changed_by_its_own_text))
