/* web.h - servers and proxies of others, found through ATLS_PEERS, a file of lines NAME=PORT. Without it a test is skipped (exit status 77). */
#ifndef WEB_H
#define WEB_H

#include <stdarg.h>

#include "sim.h"

static _Thread_local atls_error *error;

static inline unsigned peer(const char *name)
{
    const char *path = getenv("ATLS_PEERS");
    char line[100];
    unsigned port = 0;
    size_t len = strlen(name);
    if (!path) {
        puts("skipped: no ATLS_PEERS");
        exit(77);
    }
    FILE *in = fopen(path, "r");
    CHECK(in);
    while (port == 0 && fgets(line, sizeof line, in))
        if (strncmp(line, name, len) == 0 && line[len] == '=')
            port = (unsigned)atoi(line + len + 1);
    fclose(in);
    CHECK(port != 0);
    return port;
}

/* A configuration for hosts that nobody judges, which trusts the tests' own CA. */
static inline atls_config *web_config(void)
{
    atls_config *config = NULL;
    size_t len;
    char *pem = sim_file("web-ca.pem", &len);
    OK(atls_config_new("localhost", 1, &config, &error));
    OK(atls_config_add_root_pem(config, pem, &error));
    OK(atls_config_set_unattested(config, &error));
    free(pem);
    return config;
}

static inline atls_client *web_client(void)
{
    atls_client *client = NULL;
    atls_config *config = web_config();
    OK(atls_client_new(NULL, config, NULL, &client, &error));
    atls_config_free(config);
    return client;
}

/* A request to a peer, its URL put together as by printf. */
__attribute__((format(printf, 2, 3))) static inline atls_request *ask(const char *method, const char *format, ...)
{
    char url[10000];
    atls_request *request = NULL;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(url, sizeof url, format, arguments);
    va_end(arguments);
    OK(atls_request_new_url(method, url, &request, &error));
    OK(atls_request_set_timeout(request, 20000, &error));
    return request;
}

static inline void add_header(atls_request *request, const char *name, const char *value)
{
    OK(atls_request_add_header(request, name, atls_bytes_of_text(value), &error));
}

static inline void set_body(atls_request *request, const char *text)
{
    OK(atls_request_set_body(request, atls_bytes_of_text(text), &error));
}

/* What came back; its exchange is kept until `forget`. */
struct answer {
    uint32_t status;
    atls_exchange *exchange;
    atls_head *head;
    atls_buf *buf;
    const char *body;
    size_t len;
};

static inline struct answer answer_to(atls_exchange *exchange)
{
    struct answer answer = {0, exchange, NULL, NULL, NULL, 0};
    OK(atls_exchange_head(exchange, 20000, &answer.head, &error));
    answer.status = atls_head_status(answer.head);
    OK(atls_exchange_read_all(exchange, SIZE_MAX, 20000, &answer.buf, &error));
    answer.body = (const char *)atls_buf_data(answer.buf);
    answer.len = atls_buf_len(answer.buf);
    return answer;
}

/* Fetches, and frees the request. */
static inline struct answer get(atls_client *client, atls_request *request)
{
    atls_exchange *exchange = NULL;
    OK(atls_client_fetch(client, request, &exchange, &error));
    atls_request_free(request);
    return answer_to(exchange);
}

static inline void forget(struct answer answer)
{
    atls_buf_free(answer.buf);
    atls_head_free(answer.head);
    atls_exchange_free(answer.exchange);
}

/* Fetches; `status` must come, with `part` in the body. */
static inline void want(const char *file, int line, atls_client *client, uint32_t status, const char *part, atls_request *request)
{
    struct answer answer = get(client, request);
    if (answer.status != status || !strstr(answer.body, part)) {
        fprintf(stderr, "%s:%d: got %u \"%s\", wanted %u \"%s\"\n", file, line, answer.status, answer.body, status, part);
        exit(1);
    }
    forget(answer);
}
#define WANT(status, part, request) want(__FILE__, __LINE__, client, status, part, request)

/* Fetches and reads; one of them must fail so. Frees the request. */
static inline void fails(const char *file, int line, atls_client *client, atls_status status, const char *part, atls_request *request)
{
    atls_exchange *exchange = NULL;
    atls_buf *body = NULL;
    atls_status got = atls_client_fetch(client, request, &exchange, &error);
    if (got == ATLS_OK)
        got = atls_exchange_read_all(exchange, SIZE_MAX, 20000, &body, &error);
    expect(file, line, status, part, got, &error);
    atls_buf_free(body);
    atls_exchange_free(exchange);
    atls_request_free(request);
}
#define FAILS(status, part, request) fails(__FILE__, __LINE__, client, status, part, request)

/* As FAILS, by the detail; with OK all must go well. */
static inline void detailed(const char *file, int line, atls_client *client, atls_request *request, atls_status status, uint32_t detail)
{
    atls_exchange *exchange = NULL;
    atls_buf *body = NULL;
    atls_status got = atls_client_fetch(client, request, &exchange, &error);
    if (got == ATLS_OK)
        got = atls_exchange_read_all(exchange, SIZE_MAX, 20000, &body, &error);
    if (got != status || atls_error_detail(error) != detail) {
        fprintf(stderr, "%s:%d: %s, detail %u, \"%s\"\n", file, line, atls_status_name(got).ptr, atls_error_detail(error), atls_error_message(error).ptr);
        exit(1);
    }
    atls_error_free(error);
    error = NULL;
    atls_buf_free(body);
    atls_exchange_free(exchange);
    atls_request_free(request);
}
#define DETAIL(status, detail, request) detailed(__FILE__, __LINE__, client, request, status, detail)

#endif
