/* Requests to a server that is not ours (tornado): methods, header fields, bodies, forms, authentication, cookies, content codings, redirects. */
#include <unistd.h>

#include "web.h"

static unsigned plain, tls;
static atls_client *client;

#define HERE "http://127.0.0.1:%u"
#define SAFE "https://localhost:%u"

static void methods_and_heads_arrive_as_they_were_sent(void)
{
    static const char *methods[] = {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "OTHER"};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        char line[40];
        snprintf(line, sizeof line, "\"method\": \"%s\"", methods[i]);
        WANT(200, line, ask(methods[i], i % 2 ? SAFE "/echo" : HERE "/echo", i % 2 ? tls : plain));
    }
    WANT(200, "", ask("HEAD", HERE "/status/200", plain));
    /* The path stays as it is written, the fragment stays here, the port is in Host. */
    WANT(200, "\"uri\": \"/echo/../%7e/./a?b=c%20d&e\"", ask("GET", HERE "/echo/../%%7e/./a?b=c%%20d&e#f", plain));
    char host[40];
    snprintf(host, sizeof host, "\"host\": \"127.0.0.1:%u\"", plain);
    WANT(200, host, ask("GET", HERE "/echo", plain));
    atls_request *request = ask("GET", HERE "/echo", plain);
    add_header(request, "x-Twice", "one");
    add_header(request, "User-Agent", "test/1 (\xc3\xa9)");
    add_header(request, "X-Twice", "two");
    struct answer answer = get(client, request);
    CHECK(strstr(answer.body, "[\"X-Twice\", \"one\"], [\"X-Twice\", \"two\"]") && strstr(answer.body, "test/1 (\\u00c3\\u00a9)"));
    forget(answer);
    /* Reason phrase and status as they came; no body where there cannot be one. */
    answer = get(client, ask("GET", HERE "/status/299?reason=As%%20you%%20like", plain));
    CHECK(answer.status == 299 && strcmp(atls_head_reason(answer.head).ptr, "As you like") == 0 && answer.len == 0);
    forget(answer);
    WANT(204, "", ask("GET", HERE "/status/204", plain));
    request = ask("GET", HERE "/modified", plain);
    OK(atls_request_set_if_modified_since(request, 784111777, &error));
    WANT(304, "", request);
}

static size_t produced, rewound, dropped;

static int64_t produce(void *user_data, uint8_t *buf, size_t cap)
{
    size_t length = *(size_t *)user_data - produced;
    length = length > cap ? cap : length;
    memset(buf, 'x', length);
    produced += length;
    return (int64_t)length;
}

static int64_t give_up(void *user_data, uint8_t *buf, size_t cap)
{
    (void)user_data, (void)buf, (void)cap;
    return -1;
}

static bool begin_again(void *user_data)
{
    (void)user_data;
    produced = 0;
    rewound++;
    return true;
}

static void on_drop(void *user_data)
{
    (void)user_data;
    dropped++;
}

static atls_request *from_source(const char *path, size_t *size, uint64_t length, bool again)
{
    atls_body_source source = {produce, again ? begin_again : NULL, on_drop, size};
    atls_request *request = ask("POST", HERE "%s", plain, path);
    produced = rewound = dropped = 0;
    OK(atls_request_set_body_source(request, &source, length, &error));
    return request;
}

static void bodies_arrive_with_their_announced_length(void)
{
    size_t size = 1000000;
    char path[200];
    atls_request *request = ask("POST", HERE "/echo", plain);
    set_body(request, "\xc3\xa9 data");
    WANT(200, "\"body\": \"\\u00c3\\u00a9 data\"", request);
    WANT(200, "1000000 - chunked", from_source("/upload", &size, ATLS_LENGTH_UNKNOWN, false));
    CHECK(dropped == 1 && rewound == 0);
    WANT(200, "1000000 - 1000000", from_source("/upload", &size, size, false));
    /* More or fewer bytes than announced: the server must not take it for a message. */
    FAILS(ATLS_INVALID_STATE, "Content-Length says 999999", from_source("/upload", &size, size - 1, false));
    FAILS(ATLS_INVALID_STATE, "Content-Length says 1000001", from_source("/upload", &size, size + 1, false));
    atls_body_source source = {give_up, NULL, NULL, NULL};
    request = ask("POST", HERE "/upload", plain);
    OK(atls_request_set_body_source(request, &source, ATLS_LENGTH_UNKNOWN, &error));
    FAILS(ATLS_CANCELED, "reported a failure", request);
    source.read = NULL;
    request = ask("POST", HERE "/", plain);
    EXPECT(ATLS_NULL_ARGUMENT, "read", atls_request_set_body_source(request, &source, 1, &error));
    atls_request_free(request);
    /* A redirect that wants the body again gets it, or is shown; one that becomes a GET needs none. */
    size = 70000;
    snprintf(path, sizeof path, "/redirect?status=307&to=/upload");
    WANT(200, "70000 - chunked", from_source(path, &size, ATLS_LENGTH_UNKNOWN, true));
    CHECK(rewound == 1 && dropped == 1);
    WANT(307, "moved", from_source(path, &size, ATLS_LENGTH_UNKNOWN, false));
    WANT(200, "\"method\": \"GET\"", from_source("/redirect?status=303&to=/echo", &size, ATLS_LENGTH_UNKNOWN, false));
}

static void a_streamed_body_may_meet_a_redirect(void)
{
    static uint8_t piece[50000];
    atls_exchange *exchange = NULL;
    atls_request *request = ask("POST", HERE "/redirect?status=303&to=/echo", plain);
    OK(atls_request_set_body_stream(request, ATLS_LENGTH_UNKNOWN, &error));
    OK(atls_client_fetch(client, request, &exchange, &error));
    for (int i = 0; i < 20; i++)
        OK(atls_exchange_write_all(exchange, atls_bytes_of(piece, sizeof piece), 5000, &error));
    OK(atls_exchange_finish(exchange, &error));
    struct answer answer = answer_to(exchange);
    CHECK(answer.status == 200 && strstr(answer.body, "\"method\": \"GET\""));
    forget(answer);
    atls_request_free(request);
}

static void a_body_waits_for_100_continue(void)
{
    size_t size = 300000;
    atls_request *request = from_source("/upload", &size, size, false);
    OK(atls_request_set_expect_continue(request, 10000, &error));
    WANT(200, "300000 100-continue 300000", request);
    /* Refused: the body stays here, and the connection, which owes one, is not used again. */
    request = from_source("/upload?refuse", &size, size, false);
    OK(atls_request_set_expect_continue(request, 10000, &error));
    WANT(403, "no", request);
    CHECK(produced == 0);
    /* A server that does not know the word is sent the body after a while. */
    request = ask("POST", HERE "/~~~~~~~~~~HTTP/1.1%%20200%%20OK%%0D%%0AContent-Length:%%202%%0D%%0A%%0D%%0Aok", peer("RAW"));
    set_body(request, "body");
    OK(atls_request_set_expect_continue(request, 50, &error));
    WANT(200, "ok", request);
    request = ask("GET", HERE "/echo", plain);
    OK(atls_request_set_expect_continue(request, 0, &error));
    struct answer answer = get(client, request);
    CHECK(answer.status == 200 && !strstr(answer.body, "Expect"));
    forget(answer);
}

static void add_field(atls_request *request, const char *name, const char *value, const char *file, const char *type)
{
    OK(atls_request_add_form_field(request, name, atls_bytes_of_text(value), file, type, &error));
}

static void forms_are_encoded_and_sent(void)
{
    atls_request *request = ask("POST", HERE "/echo", plain);
    add_field(request, "a b", "1&2=\xc3\xa9", NULL, NULL);
    add_field(request, "empty", "", NULL, NULL);
    add_field(request, "a b", "+", NULL, NULL);
    WANT(200, "\"arguments\": {\"a b\": [\"1&2=\\u00c3\\u00a9\", \"+\"], \"empty\": [\"\"]}", request);
    request = ask("POST", HERE "/echo", plain);
    add_field(request, "text", "plain", NULL, NULL);
    add_field(request, "file", "\r\n--not the end", "na me.bin", NULL);
    add_field(request, "typed", "<p>", "x.html", "text/html");
    struct answer answer = get(client, request);
    CHECK(strstr(answer.body, "\"text\": [\"plain\"]"));
    CHECK(strstr(answer.body, "\"file\": [[\"na me.bin\", \"application/octet-stream\", \"\\r\\n--not the end\"]]"));
    CHECK(strstr(answer.body, "\"typed\": [[\"x.html\", \"text/html\", \"<p>\"]]"));
    forget(answer);
    request = ask("POST", HERE "/echo", plain);
    EXPECT(ATLS_HTTP_HEADER_INVALID, "control", atls_request_add_form_field(request, "a", atls_bytes_of(NULL, 0), NULL, "a/b\r\nX: y", &error));
    atls_request_free(request);
}

static void credentials_answer_the_challenge_of_their_origin(void)
{
    /* NFC: the e with its accent apart is the same user. In the URL it is percent-encoded. */
    atls_request *request = ask("GET", HERE "/basic", plain);
    OK(atls_request_set_auth(request, "use\xcc\x81r", "pa\xcc\x88ss", ATLS_AUTH_BASIC, &error));
    WANT(200, "welcome", request);
    WANT(200, "welcome", ask("GET", "http://us%%C3%%A9r:p%%C3%%A4ss@127.0.0.1:%u/basic", plain));
    WANT(401, "", ask("GET", "http://user@127.0.0.1:%u/basic", plain));
    struct answer answer = get(client, ask("GET", "http://us%%C3%%A9r:p%%C3%%A4ss@127.0.0.1:%u/basic", plain));
    CHECK(!strchr(atls_exchange_url(answer.exchange).ptr, '@'));
    forget(answer);
    static const char *digests[] = {"/digest", "/digest?modern"};
    for (int i = 0; i < 2; i++) {
        request = ask("POST", HERE "%s", plain, digests[i]);
        set_body(request, "with this");
        OK(atls_request_set_auth(request, "user", "pass", ATLS_AUTH_DIGEST, &error));
        WANT(200, "welcome with this", request);
        request = ask("GET", HERE "%s", plain, digests[i]);
        OK(atls_request_set_auth(request, "user", "wrong", ATLS_AUTH_DIGEST, &error));
        WANT(403, "no", request);
    }
    /* Asked for anything but a digest, a digest login says nothing; a basic one does not answer a digest. */
    request = ask("GET", HERE "/basic", plain);
    OK(atls_request_set_auth(request, "us\xc3\xa9r", "p\xc3\xa4ss", ATLS_AUTH_DIGEST, &error));
    WANT(401, "", request);
    request = ask("GET", HERE "/digest", plain);
    OK(atls_request_set_auth(request, "user", "pass", ATLS_AUTH_BASIC, &error));
    WANT(401, "", request);
    /* Along with a redirect at the same origin; not to another one, and back again not either. */
    request = ask("GET", HERE "/redirect?to=/basic", plain);
    OK(atls_request_set_auth(request, "us\xc3\xa9r", "p\xc3\xa4ss", ATLS_AUTH_BASIC, &error));
    WANT(200, "welcome", request);
    request = ask("GET", HERE "/redirect?to=http://localhost:%u/basic", plain, plain);
    OK(atls_request_set_auth(request, "us\xc3\xa9r", "p\xc3\xa4ss", ATLS_AUTH_BASIC, &error));
    WANT(401, "", request);
    request = ask("GET", HERE "/redirect?to=http://localhost:%u/redirect?to=" HERE "/basic", plain, plain, plain);
    OK(atls_request_set_auth(request, "us\xc3\xa9r", "p\xc3\xa4ss", ATLS_AUTH_BASIC, &error));
    WANT(401, "", request);
}

static void cookies_go_back_to_their_host_and_path(void)
{
    WANT(200, "none", ask("GET", HERE "/cookies?set=a=1", plain));
    WANT(200, "none", ask("GET", HERE "/cookies", plain));
    OK(atls_client_set_cookies(client, true, &error));
    WANT(200, "none", ask("GET", HERE "/cookies?set=a=1&set=b=2;%%20Path=/cookies/deep", plain));
    WANT(200, "a=1", ask("GET", HERE "/cookies", plain));
    WANT(200, "b=2; a=1", ask("GET", HERE "/cookies/deep/er", plain));
    WANT(200, "none", ask("GET", "http://localhost:%u/cookies", plain));
    atls_request *request = ask("GET", HERE "/cookies", plain);
    add_header(request, "Cookie", "own=1");
    WANT(200, "own=1", request);
    WANT(200, "a=1", ask("GET", HERE "/cookies?set=a=;%%20Max-Age=0", plain));
    WANT(200, "none", ask("GET", HERE "/cookies", plain));
    OK(atls_client_set_cookies(client, false, &error));
}

static atls_request *encoded(const char *query)
{
    atls_request *request = ask("GET", SAFE "/encoded?%s", tls, query);
    OK(atls_request_set_decode(request, true, &error));
    return request;
}

static void each_coding_is_decoded_within_its_limit(void)
{
    static const char *codings[] = {"gzip", "deflate", "br", "zstd", "identity"};
    char query[100];
    for (size_t i = 0; i < sizeof codings / sizeof *codings; i++) {
        bool is_coded = i < 4;
        snprintf(query, sizeof query, "coding=%s&tens=100000%s", codings[i], is_coded ? "&accept" : "");
        struct answer answer = get(client, encoded(query));
        CHECK(answer.status == 200 && answer.len == 1000000 && memcmp(answer.body + 999990, "0123456789", 11) == 0);
        CHECK(strcmp(atls_head_get(answer.head, "content-encoding").ptr, codings[i]) == 0);
        forget(answer);
        if (!is_coded)
            continue;
        snprintf(query, sizeof query, "coding=%s&cut=3", codings[i]);
        FAILS(ATLS_TRUNCATED, codings[i], encoded(query));
        DETAIL(ATLS_TRUNCATED, ATLS_DETAIL_TRUNCATED_CODING, encoded(query));
        snprintf(query, sizeof query, "coding=%s&stray=20", codings[i]);
        FAILS(ATLS_CONTENT_CODING, "bytes after the end", encoded(query));
        /* What is written beyond the limit is not. */
        snprintf(query, sizeof query, "coding=%s&tens=1000000", codings[i]);
        atls_request *request = encoded(query);
        OK(atls_request_set_max_response_body(request, 9999999, &error));
        FAILS(ATLS_BODY_TOO_LARGE, "larger than the request allows", request);
        request = encoded(query);
        OK(atls_request_set_max_response_body(request, 10000000, &error));
        answer = get(client, request);
        CHECK(answer.len == 10000000);
        forget(answer);
    }
    FAILS(ATLS_CONTENT_CODING, "\"compress\" was not asked for", encoded("coding=compress"));
    DETAIL(ATLS_CONTENT_CODING, ATLS_DETAIL_UNKNOWN_CODING, encoded("coding=compress"));
    DETAIL(ATLS_CONTENT_CODING, ATLS_DETAIL_BAD_CODING, encoded("coding=gzip&tens=0&cut=20&stray=40"));
    /* Not asked to, nothing is decoded, and nothing said. */
    struct answer answer = get(client, ask("GET", SAFE "/encoded?coding=gzip", tls));
    CHECK(answer.status == 200 && answer.len < 1000 && memcmp(answer.body, "\x1f\x8b", 2) == 0);
    forget(answer);
    FAILS(ATLS_OK, NULL, encoded("coding=gzip&tens=0"));
    atls_request *limited = ask("GET", SAFE "/encoded?coding=identity", tls);
    OK(atls_request_set_max_response_body(limited, 9999, &error));
    FAILS(ATLS_BODY_TOO_LARGE, "larger", limited);
}

static void redirects_change_method_and_body_as_the_rfc_says(void)
{
    static const struct {
        const char *method;
        int status;
        const char *becomes;
    } cases[] = {{"GET", 301, "GET"},    {"GET", 308, "GET"}, {"POST", 301, "GET"}, {"POST", 302, "GET"},    {"POST", 303, "GET"},
                 {"POST", 307, "POST"}, {"PUT", 301, "PUT"}, {"PUT", 302, "PUT"},  {"DELETE", 302, "DELETE"}, {"DELETE", 303, "GET"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[40];
        bool has_body = cases[i].method[0] == 'P';
        atls_request *request = ask(cases[i].method, HERE "/redirect?status=%d&to=/echo", plain, cases[i].status);
        if (has_body)
            set_body(request, "sent");
        snprintf(line, sizeof line, "\"method\": \"%s\"", cases[i].becomes);
        struct answer answer = get(client, request);
        bool stays = strcmp(cases[i].method, cases[i].becomes) == 0;
        CHECK(answer.status == 200 && strstr(answer.body, line) && atls_exchange_redirects(answer.exchange) == 1);
        CHECK((strstr(answer.body, "\"body\": \"sent\"") != NULL) == (has_body && stays));
        CHECK((strstr(answer.body, "Content-Length") != NULL) == (has_body && stays));
        forget(answer);
    }
    WANT(302, "moved", ask("GET", HERE "/redirect", plain));
    FAILS(ATLS_UNSUPPORTED, "scheme \"ftp\"", ask("GET", HERE "/redirect?to=ftp://a/", plain));
    DETAIL(ATLS_UNSUPPORTED, ATLS_DETAIL_BAD_LOCATION, ask("GET", HERE "/redirect?to=ftp://a/", plain));
    DETAIL(ATLS_HTTP_PROTOCOL, ATLS_DETAIL_BAD_LOCATION, ask("GET", HERE "/redirect?to=http://a:99999/", plain));
    DETAIL(ATLS_REDIRECT_REFUSED, ATLS_DETAIL_REDIRECT_DOWNGRADES, ask("GET", SAFE "/redirect?to=" HERE "/echo", tls, plain));
    /* Up from http: to https: is no loss; down is. */
    WANT(200, "\"uri\": \"/echo\"", ask("GET", HERE "/redirect?to=" SAFE "/echo", plain, tls));
    FAILS(ATLS_REDIRECT_REFUSED, "from https: to http:", ask("GET", SAFE "/redirect?to=" HERE "/echo", tls, plain));
    atls_request *request = ask("GET", SAFE "/redirect?to=" HERE "/echo", tls, plain);
    OK(atls_request_set_redirects(request, 5, ATLS_REDIRECT_ALLOW_DOWNGRADE, &error));
    WANT(200, "/echo", request);
    /* For ever is five times, and the last answer is shown. */
    struct answer answer = get(client, ask("GET", HERE "/redirect?to=?to=?to=?to=?to=?to=?to=/echo", plain));
    CHECK(answer.status == 302 && atls_exchange_redirects(answer.exchange) <= 5);
    forget(answer);
}

static void set_up(void)
{
    plain = peer("PLAIN");
    tls = peer("TLS");
    client = web_client();
}

static void tear_down(void)
{
    atls_client_free(client);
}

TESTS(set_up, tear_down, CASE(methods_and_heads_arrive_as_they_were_sent), CASE(bodies_arrive_with_their_announced_length),
      CASE(a_streamed_body_may_meet_a_redirect), CASE(a_body_waits_for_100_continue), CASE(forms_are_encoded_and_sent),
      CASE(credentials_answer_the_challenge_of_their_origin), CASE(cookies_go_back_to_their_host_and_path),
      CASE(each_coding_is_decoded_within_its_limit), CASE(redirects_change_method_and_body_as_the_rfc_says))
