/* What requests carry: queries, cookies, forms as a whole and piece by piece; and bodies of requests that a server decodes. */
#include <arpa/inet.h>
#include <unistd.h>

#include "loop.h"

static _Thread_local atls_error *error;
static uint16_t port;

#define IS(text, wanted) CHECK((text).len == strlen(wanted) && strcmp((text).ptr, wanted) == 0)

static void queries_and_cookies_are_parsed_into_pairs(void)
{
    atls_form *form = NULL;
    const char *query = "a=1&b=%C3%A4+c&a=2&empty=";
    OK(atls_form_parse_query(atls_bytes_of_text(query), &form, &error));
    CHECK(atls_form_count(form) == 4 && atls_form_find(form, "a", 0) == 0 && atls_form_find(form, "a", 1) == 2);
    CHECK(atls_form_find(form, "a", 3) == SIZE_MAX && atls_form_find(form, "A", 0) == SIZE_MAX && atls_form_find(NULL, "a", 0) == SIZE_MAX);
    IS(atls_form_name(form, 1), "b");
    IS(atls_form_value(form, 1), "\xc3\xa4 c");
    IS(atls_form_value(form, 3), "");
    IS(atls_form_file_name(form, 0), "");
    IS(atls_form_name(form, 4), "");
    atls_form_free(form);
    const char *cookie = "session=\"a\\073b\"; theme=dark; session=last";
    OK(atls_form_parse_cookies(atls_bytes_of_text(cookie), &form, &error));
    CHECK(atls_form_count(form) == 2);
    IS(atls_form_value(form, atls_form_find(form, "session", 0)), "last");
    IS(atls_form_value(form, atls_form_find(form, "theme", 0)), "dark");
    atls_form_free(form);
    /* A name that C would see the beginning of is refused; a value may be any bytes. */
    EXPECT(ATLS_HTTP_PROTOCOL, "NUL in the name", atls_form_parse_query(atls_bytes_of("role%00x=1", 10), &form, &error));
    OK(atls_form_parse_query(atls_bytes_of("a=b%00c", 7), &form, &error));
    CHECK(atls_form_value(form, 0).len == 3);
    atls_form_free(form);
    EXPECT(ATLS_NULL_ARGUMENT, "form", atls_form_parse_query(atls_bytes_of(NULL, 0), NULL, &error));
}

#define TYPE "multipart/form-data; boundary=\"--x\""
static const char body[] = "----x\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nwords\r\n"
                           "----x\r\nContent-Disposition: form-data; name=file; filename=\"a;b.txt\"\r\nContent-Type: text/plain\r\n\r\nline\r\n----y\r\n"
                           "\r\n----x--\r\n";

static void a_form_is_parsed_as_a_whole(void)
{
    atls_form *form = NULL;
    const uint8_t *bytes = (const uint8_t *)body;
    OK(atls_form_parse_body(TYPE, NULL, atls_bytes_of(bytes, sizeof body - 1), &form, &error));
    CHECK(atls_form_count(form) == 2);
    IS(atls_form_value(form, 0), "words");
    IS(atls_form_name(form, 1), "file");
    IS(atls_form_file_name(form, 1), "a;b.txt");
    IS(atls_form_content_type(form, 1), "text/plain");
    IS(atls_form_value(form, 1), "line\r\n----y\r\n");
    atls_form_free(form);
    OK(atls_form_parse_body("Application/X-WWW-form-urlencoded; charset=utf-8", "identity", atls_bytes_of("a=b", 3), &form, &error));
    CHECK(atls_form_count(form) == 1);
    atls_form_free(form);
    OK(atls_form_parse_body("application/json", NULL, atls_bytes_of("{}", 2), &form, &error));
    CHECK(atls_form_count(form) == 0);
    atls_form_free(form);
    /* Text before the form, a part that ends at its head, and spellings that must not beat the plain ones. */
    const char *other = "\r\nto whom it may concern\r\n--b\r\nContent-Disposition: form-data; name=a; name*=utf-8''x\r\n\r\n--b\r\n"
                        "Content-Disposition: form-data; name=f; filename*=utf-8''evil.php; filename=good.txt\r\n\r\ndata\r\n--b--";
    OK(atls_form_parse_body("multipart/form-data; boundary*=utf-8''c; boundary=b", NULL, atls_bytes_of_text(other), &form, &error));
    CHECK(atls_form_count(form) == 2);
    IS(atls_form_name(form, 0), "a");
    IS(atls_form_value(form, 0), "");
    IS(atls_form_file_name(form, 1), "good.txt");
    IS(atls_form_value(form, 1), "data");
    atls_form_free(form);
    form = NULL;
    /* Within limits of one's own. */
    EXPECT(ATLS_HTTP_PROTOCOL, "more than 1 pairs", atls_form_parse_body_with_limits("application/x-www-form-urlencoded", NULL, atls_bytes_of("a=b&c", 5), 0, 0, 1, &form, &error));
    OK(atls_form_parse_body_with_limits("application/x-www-form-urlencoded", NULL, atls_bytes_of("a=b&c", 5), 0, 0, 2, &form, &error));
    CHECK(atls_form_count(form) == 2);
    atls_form_free(form);
    form = NULL;
    CHECK(atls_form_parse_body_with_limits(TYPE, NULL, atls_bytes_of(bytes, sizeof body - 1), 1, 0, 0, &form, &error) == ATLS_HTTP_PROTOCOL);
    atls_error_free(error);
    error = NULL;
    CHECK(atls_form_parse_body_with_limits(TYPE, NULL, atls_bytes_of(bytes, sizeof body - 1), 0, 10, 0, &form, &error) == ATLS_HTTP_PROTOCOL);
    atls_error_free(error);
    error = NULL;
    CHECK(atls_form_parse_body(TYPE, "gzip", atls_bytes_of(bytes, sizeof body - 1), &form, &error) == ATLS_HTTP_PROTOCOL && atls_error_http_status(error) == 415);
    atls_error_free(error);
    error = NULL;
    CHECK(atls_form_parse_body(TYPE, NULL, atls_bytes_of(bytes, sizeof body - 5), &form, &error) == ATLS_HTTP_PROTOCOL && atls_error_http_status(error) == 400);
    atls_error_free(error);
    error = NULL;
    EXPECT(ATLS_HTTP_PROTOCOL, "not multipart/form-data", atls_form_parse_body("multipart/form-dataxyz; boundary=a", NULL, atls_bytes_of(bytes, 3), &form, &error));
    CHECK(form == NULL);
}

static void by_pieces(size_t step)
{
    char seen[300] = "";
    size_t fed = 0;
    uint32_t event = 0;
    atls_bytes data;
    atls_multipart *multipart = NULL;
    OK(atls_multipart_new(TYPE, 0, 0, &multipart, &error));
    EXPECT(ATLS_INVALID_STATE, "DATA", atls_multipart_data(multipart, &data, &error));
    while (event != ATLS_MULTIPART_END) {
        OK(atls_multipart_next(multipart, &event, &error));
        if (event == ATLS_MULTIPART_NEED_DATA) {
            size_t n = sizeof body - 1 - fed < step ? sizeof body - 1 - fed : step;
            OK(atls_multipart_receive(multipart, atls_bytes_of(body + fed, n), &error));
            fed += n;
        } else if (event == ATLS_MULTIPART_PART) {
            snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "[%s %s %s]", atls_multipart_name(multipart).ptr,
                     atls_multipart_file_name(multipart).ptr, atls_multipart_content_type(multipart).ptr);
        } else if (event == ATLS_MULTIPART_DATA) {
            OK(atls_multipart_data(multipart, &data, &error));
            strncat(seen, (const char *)data.ptr, data.len);
        } else if (event == ATLS_MULTIPART_PART_END) {
            strcat(seen, ".");
        }
    }
    CHECK(strcmp(seen, "[text  ]words.[file a;b.txt text/plain]line\r\n----y\r\n.") == 0);
    atls_multipart_free(multipart);
    OK(atls_multipart_new(TYPE, 1, 50, &multipart, &error));
    OK(atls_multipart_receive(multipart, atls_bytes_of(body, sizeof body - 1), &error));
    OK(atls_multipart_receive_eof(multipart, &error));
    OK(atls_multipart_next(multipart, &event, &error));
    OK(atls_multipart_next(multipart, &event, &error));
    OK(atls_multipart_next(multipart, &event, &error));
    EXPECT(ATLS_HTTP_PROTOCOL, "larger than 50", atls_multipart_next(multipart, &event, &error));
    atls_multipart_free(multipart);
}

/* Of a request on its way. */
struct visit {
    atls_server_request *request;
    char text[2000];
    size_t len;
};

static void on_visit(void *user_data, const atls_event *event)
{
    struct visit *visit = user_data;
    if (event->kind == ATLS_EVENT_DATA && visit->len + atls_buf_len(event->buf) < sizeof visit->text) {
        memcpy(visit->text + visit->len, atls_buf_data(event->buf), atls_buf_len(event->buf));
        visit->len += atls_buf_len(event->buf);
    }
    if (event->kind == ATLS_EVENT_END)
        atls_server_request_respond(visit->request, 200, NULL, atls_bytes_of(visit->text, visit->len), NULL);
}

static void on_drop(void *user_data)
{
    struct visit *visit = user_data;
    atls_server_request_free(visit->request);
    free(visit);
}

static void on_server(void *user_data, const atls_event *event)
{
    (void)user_data;
    if (event->kind != ATLS_EVENT_REQUEST)
        return;
    struct visit *visit = calloc(1, sizeof *visit);
    CHECK(visit);
    visit->request = atls_server_request_ref(event->source);
    atls_sink sink = {.queue = queue, .call = on_visit, .user_data = visit, .drop = on_drop};
    CHECK(atls_server_request_start(visit->request, runtime, &sink, NULL) == ATLS_OK);
}

/* Posts a body of this coding; returns the answer. `chunked` sends it byte by byte. */
static char *post(const char *coding, const char *data, size_t len, bool chunked)
{
    static char answer[4000];
    char head[300];
    size_t got = 0;
    ssize_t n;
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&place, sizeof place) == 0);
    int head_len = snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Encoding: %s\r\n", coding);
    if (chunked)
        head_len += snprintf(head + head_len, sizeof head - (size_t)head_len, "Transfer-Encoding: chunked\r\n\r\n");
    else
        head_len += snprintf(head + head_len, sizeof head - (size_t)head_len, "Content-Length: %zu\r\n\r\n", len);
    CHECK(send(fd, head, (size_t)head_len, MSG_NOSIGNAL) == head_len);
    if (!chunked)
        CHECK(send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len);
    for (size_t i = 0; chunked && i < len; i++) {
        char chunk[] = {'1', '\r', '\n', data[i], '\r', '\n'};
        send(fd, chunk, sizeof chunk, MSG_NOSIGNAL);
    }
    if (chunked)
        send(fd, "0\r\n\r\n", 5, MSG_NOSIGNAL);
    while (got < sizeof answer - 1 && (n = recv(fd, answer + got, sizeof answer - 1 - got, 0)) > 0)
        got += (size_t)n;
    answer[got] = '\0';
    close(fd);
    return answer;
}

/* "hello", and a thousand times "a", by gzip. */
static const char hello[] = "\037\213\010\000\000\000\000\000\002\003\313\110\315\311\311\007\000\206\246\020\066\005\000\000";
static const char thousand[] = "\037\213\010\000\000\000\000\000\002\003\113\114\034\005\243\140\024\014\167\000\000\003\332\070\232\350\003\000";

static void a_server_decodes_bodies_within_its_limit(void)
{
    atls_server *server = NULL;
    atls_server_config *config = NULL;
    atls_sink sink = {.queue = queue, .call = on_server};
    OK(atls_server_config_new(&config, &error));
    OK(atls_server_config_set_decode(config, true, &error));
    OK(atls_server_config_set_limit(config, ATLS_SERVER_LIMIT_BODY_BYTES, 500, &error));
    OK(atls_server_start(runtime, config, &sink, &server, &error));
    OK(atls_server_listen(server, "127.0.0.1", 0, false, &port, &error));
    for (int chunked = 0; chunked < 2; chunked++) {
        CHECK(strstr(post("gzip", hello, sizeof hello, chunked), "\r\n\r\nhello"));
        CHECK(strstr(post("identity", "plain", 5, chunked), "\r\n\r\nplain"));
        CHECK(strncmp(post("gzip", hello, sizeof hello - 3, chunked), "HTTP/1.1 400 ", 13) == 0);
        CHECK(strncmp(post("gzip", "not gzip at all", 15, chunked), "HTTP/1.1 400 ", 13) == 0);
        /* Two members are one body; with bytes between them that are none, nothing is. */
        char two[2 * sizeof hello + 10] = {0};
        memcpy(two, hello, sizeof hello);
        memcpy(two + sizeof hello, hello, sizeof hello);
        CHECK(strstr(post("gzip", two, 2 * sizeof hello, chunked), "\r\n\r\nhellohello"));
        memset(two + sizeof hello, 0, 10);
        memcpy(two + sizeof hello + 10, hello, sizeof hello);
        CHECK(strncmp(post("gzip", two, sizeof two, chunked), "HTTP/1.1 400 ", 13) == 0);
        CHECK(strncmp(post("gzip", thousand, sizeof thousand, chunked), "HTTP/1.1 413 ", 13) == 0);
        CHECK(strncmp(post("rot13", "uryyb", 5, chunked), "HTTP/1.1 415 ", 13) == 0);
    }
    OK(atls_server_close(server, &error));
    atls_server_free(server);
    atls_server_config_free(config);
}

static void a_form_is_the_same_in_pieces_of_any_size(void)
{
    for (size_t step = 1; step < sizeof body; step++)
        by_pieces(step);
}

TESTS(loop_start, loop_end, CASE(queries_and_cookies_are_parsed_into_pairs), CASE(a_form_is_parsed_as_a_whole),
      CASE(a_form_is_the_same_in_pieces_of_any_size), CASE(a_server_decodes_bodies_within_its_limit))
