/* request.c - a request from the options of `atls get` and `atls post`. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "failure.h"
#include "job.h"

/* "Name: value", or "Name;" for an empty value, as curl has it. */
static int add_header(struct job *job, const struct field *field)
{
    const char *line = field->line;
    size_t len = strcspn(line, ":;");
    const char *value = line + len + 1;
    if (len == 0 || line[len] == '\0' || (line[len] == ';' && *value))
        return field_fail(field, CODE_CALL, "not NAME: VALUE");
    value += strspn(value, " \t");
    char *name = strndup(line, len);
    if (!name)
        return fail(CODE_SYSTEM, "out of memory");
    atls_error *error = NULL;
    size_t value_len = strlen(value);
    while (value_len > 0 && (value[value_len - 1] == ' ' || value[value_len - 1] == '\t'))
        value_len--;
    atls_status status = strcasecmp(name, "Host") == 0 ? atls_request_set_host(job->request, value, &error)
                                                       : atls_request_add_header(job->request, name, atls_bytes_of(value, value_len), &error);
    /* The library's message has the value, which may be a secret, and so may be what stands before the colon. */
    int code = status == ATLS_OK ? 0 : field_fail(field, code_of(status), "not an allowed name, or not an allowed value");
    atls_error_free(error);
    free(name);
    return code;
}

static int add_headers(struct job *job)
{
    bool has_type = false, has_agent = false;
    for (size_t i = 0; i < job->fields.count; i++) {
        const char *line = job->fields.list[i].line;
        int code = add_header(job, &job->fields.list[i]);
        if (code != 0)
            return code;
        has_type = has_type || strncasecmp(line, "Content-Type:", 13) == 0;
        has_agent = has_agent || strncasecmp(line, "User-Agent:", 11) == 0;
    }
    atls_error *error = NULL;
    atls_status status = ATLS_OK;
    static const char form[] = "application/x-www-form-urlencoded", agent[] = "atls";
    if (!has_agent)
        status = atls_request_add_header(job->request, "User-Agent", atls_bytes_of_text(agent), &error);
    if (status == ATLS_OK && !has_type && (job->body.text || job->body.fd >= 0))
        status = atls_request_add_header(job->request, "Content-Type", atls_bytes_of_text(form), &error);
    return status == ATLS_OK ? 0 : fail_status(status, error, "--header");
}

static atls_status set_body(struct job *job, atls_error **error)
{
    if (job->body.fd < 0)
        return job->body.text ? atls_request_set_body(job->request, atls_bytes_of_text(job->body.text), error) : ATLS_OK;
    atls_status status = atls_request_set_body_stream(job->request, job->body.length, error);
    if (status == ATLS_OK && job->body.seekable)
        status = atls_request_set_body_rewindable(job->request, true, error);
    return status == ATLS_OK ? atls_request_set_expect_continue(job->request, 0, error) : status;
}

/* As curl: no limit unless one is given. Connecting has its own. */
static atls_status set_limits(struct job *job, atls_error **error)
{
    uint32_t whole = job->limit_ms ? job->limit_ms : UINT32_MAX;
    atls_status status = atls_request_set_deadline(job->request, ATLS_REQUEST_DEADLINE_HEAD, whole, error);
    if (status == ATLS_OK)
        status = atls_request_set_deadline(job->request, ATLS_REQUEST_DEADLINE_TOTAL, whole, error);
    uint32_t redirects = option_given(job->args, "location") ? 10 : 0;
    return status == ATLS_OK ? atls_request_set_redirects(job->request, redirects, 0, error) : status;
}

int job_make_request(struct job *job, const char *method)
{
    atls_error *error = NULL;
    atls_status status = atls_request_new_url(method, job->url.text, &job->request, &error);
    if (status == ATLS_OK)
        status = set_limits(job, &error);
    if (status == ATLS_OK)
        status = set_body(job, &error);
    if (status != ATLS_OK)
        return fail_status(status, error, url_shown(job->url.text));
    return add_headers(job);
}
