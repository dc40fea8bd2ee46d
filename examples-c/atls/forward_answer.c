/* forward_answer.c - answers as JSON, and the log. */
#include "forward_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "forward.h"
#include "output.h"

static unsigned status_of(const atls_error *error)
{
    switch (atls_error_status(error)) {
    case ATLS_TIMED_OUT:
        return atls_error_detail(error) == ATLS_DETAIL_QUEUE_TIMEOUT ? 503 : 504;
    case ATLS_CANCELED:
        return 503; /* this program is ending */
    case ATLS_HTTP_HEADER_INVALID:
    case ATLS_INVALID_ARGUMENT:
    case ATLS_INVALID_UTF8:
        return *atls_error_phase(error).ptr && strcmp(atls_error_phase(error).ptr, "call") != 0 ? 502 : 400;
    default:
        return 502;
    }
}

void answer_of_error(struct answer *answer, const atls_error *error)
{
    const atls_verdict *verdict = atls_error_verdict(error);
    *answer = (struct answer){.status = status_of(error),
                              .code = atls_status_name(atls_error_status(error)).ptr,
                              .message = atls_error_message(error).ptr,
                              .phase = atls_error_phase(error).ptr};
    for (size_t i = 0; verdict && !answer->check && i < atls_verdict_check_count(verdict); i++)
        if (atls_verdict_check_outcome(verdict, i) == ATLS_CHECK_FAIL) {
            answer->check = atls_verdict_check_name(verdict, i).ptr;
            answer->expected = atls_verdict_check_expected(verdict, i).ptr;
            answer->actual = atls_verdict_check_actual(verdict, i).ptr;
        }
}

static void print_member(const char *name, const char *text, FILE *out)
{
    if (!text || !*text)
        return;
    fprintf(out, ",\"%s\":", name);
    print_json_text(text, out);
}

/* Clients of OpenAI's interface show error.message. */
static char *json_of(const struct answer *answer, size_t *len)
{
    char *json = NULL;
    FILE *out = open_memstream(&json, len);
    if (!out)
        return NULL;
    fputs("{\"status\":", out);
    print_json_text(answer->code, out);
    print_member("phase", answer->phase, out);
    print_member("check", answer->check, out);
    print_member("expected", answer->expected, out);
    print_member("actual", answer->actual, out);
    fputs(",\"error\":{\"type\":\"atls\"", out);
    print_member("code", answer->code, out);
    print_member("message", answer->message, out);
    fputs("}}\n", out);
    return fclose(out) == 0 ? json : NULL;
}

uint64_t answer_send(const atls_server_request *request, const struct answer *answer)
{
    size_t len = 0;
    char *json = json_of(answer, &len);
    atls_headers *headers = NULL;
    atls_status status = atls_headers_new(true, &headers, NULL);
    if (status == ATLS_OK)
        status = atls_headers_add(headers, "Content-Type", atls_bytes_of_text("application/json"), NULL);
    if (status == ATLS_OK)
        status = atls_headers_add(headers, "Cache-Control", atls_bytes_of_text("no-store"), NULL);
    if (status == ATLS_OK && answer->status == 401)
        status = atls_headers_add(headers, "WWW-Authenticate", atls_bytes_of_text("Bearer realm=\"atls\""), NULL);
    if (status == ATLS_OK && answer->status == 405)
        status = atls_headers_add(headers, "Allow", atls_bytes_of_text("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"), NULL);
    /* If even that is impossible, the connection ends. */
    if (status != ATLS_OK || !json || atls_server_request_respond(request, answer->status, headers, atls_bytes_of(json, len), NULL) != ATLS_OK)
        atls_server_request_cancel(request, NULL);
    atls_headers_free(headers);
    free(json);
    return len;
}

static void print_time(FILE *out)
{
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    fprintf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ ", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
            parts.tm_sec, now.tv_nsec / 1000000);
}

void log_reason(const atls_error *error, char *reason, size_t size)
{
    static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~";
    const char *message = atls_error_message(error).ptr;
    size_t len = strcspn(message, "\"");
    int hundred = (int)atls_error_status(error) / 100;
    if (atls_error_verdict(error) || (hundred != 1 && hundred != 5)) /* not of what a client has sent */
        len = strlen(message);
    if (message[len] == '"') {
        size_t word = strspn(message + len + 1, token);
        if (word > 0 && message[len + 1 + word] == '"')
            len += word + 2;
        else
            while (len > 0 && strchr(" :", message[len - 1]))
                len--;
    }
    snprintf(reason, size, "%.*s", (int)len, message);
}

/* Without the authority of other forms than that of a path, which may hold a password, and without the query. */
static void print_path(const char *target, FILE *out)
{
    char path[1024];
    const char *authority = strstr(target, "://");
    if (*target != '/' && authority)
        target = authority + 3 + strcspn(authority + 3, "/?#");
    snprintf(path, sizeof path, "%.*s", (int)strcspn(target, "?#"), target);
    print_safe(*path == '/' || strcmp(path, "*") == 0 ? path : "-", sizeof path, out);
}

void log_request(const atls_server_request *request, unsigned status, uint64_t bytes, const struct timespec *begun, const char *reason)
{
    struct message message;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long long ms = (long long)(now.tv_sec - begun->tv_sec) * 1000 + (now.tv_nsec - begun->tv_nsec) / 1000000;
    message_begin(&message);
    print_time(message.out);
    print_safe(atls_server_request_method(request).ptr, 32, message.out);
    fputc(' ', message.out);
    print_path(atls_server_request_target(request).ptr, message.out);
    fprintf(message.out, status ? " %u" : " -", status);
    fprintf(message.out, " %llu %lld ms", (unsigned long long)bytes, ms);
    if (*reason) {
        fputs("  ", message.out);
        print_safe(reason, 300, message.out);
    }
    fputc('\n', message.out);
    message_end(&message);
}

void forward_refused(const struct forward *forward, const atls_error *error)
{
    struct message message;
    char reason[200];
    if (!forward->logs)
        return;
    log_reason(error, reason, sizeof reason);
    message_begin(&message);
    print_time(message.out);
    fprintf(message.out, "- - %u 0 0 ms  %s: ", atls_error_http_status(error), atls_status_name(atls_error_status(error)).ptr);
    print_safe(reason, sizeof reason, message.out);
    fputc('\n', message.out);
    message_end(&message);
}
