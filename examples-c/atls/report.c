/* report.c - what a transfer says beside the body: -v, -i and --verdict. */
#include <string.h>

#include "failure.h"
#include "job.h"
#include "output.h"

void report_request(const struct job *job, const char *method)
{
    if (!option_given(job->args, "verbose"))
        return;
    fprintf(stderr, "> %s %s\n", method, job->url.path);
    for (size_t i = 0; i < job->fields.count; i++) {
        const char *line = job->fields.list[i].line;
        /* Only names: values may be secrets. */
        fputs("> ", stderr);
        fprintf(stderr, "%.*s: ..\n", (int)strcspn(line, ":;"), line);
    }
}

static void print_head(const atls_head *head)
{
    fprintf(stderr, "< HTTP/1.%u %u ", atls_head_minor_version(head), atls_head_status(head));
    print_safe(atls_head_reason(head).ptr, 256, stderr);
    fputc('\n', stderr);
    for (size_t i = 0; i < atls_head_count(head); i++) {
        fputs("< ", stderr);
        print_safe(atls_head_name(head, i).ptr, 256, stderr);
        fputs(": ", stderr);
        print_safe(atls_head_value(head, i).ptr, 4096, stderr);
        fputc('\n', stderr);
    }
}

void report_head(const struct job *job)
{
    if (!option_given(job->args, "verbose"))
        return;
    atls_verdict *verdict = atls_exchange_verdict(job->exchange);
    fprintf(stderr, "connected to %s\n", atls_exchange_peer(job->exchange).ptr);
    if (verdict)
        print_verdict(verdict, stderr);
    atls_verdict_free(verdict);
    print_head(job->head);
}

int report_save_verdict(const struct job *job, const char *json)
{
    const char *path = option_text(job->args, "verdict");
    return path && *json ? file_save(path, json, strlen(json)) : 0;
}

int report_write_head(struct job *job)
{
    atls_headers *fields = NULL;
    atls_buf *block = NULL;
    atls_error *error = NULL;
    char line[512];
    int len = snprintf(line, sizeof line, "HTTP/1.%u %u %.400s\r\n", atls_head_minor_version(job->head), atls_head_status(job->head),
                       atls_head_reason(job->head).ptr);
    atls_status status = atls_headers_new(true, &fields, &error);
    if (status == ATLS_OK)
        status = atls_headers_add_head(fields, job->head, &error);
    if (status == ATLS_OK)
        status = atls_headers_serialize(fields, &block, &error);
    int code = status == ATLS_OK ? file_write(&job->output, line, (size_t)len) : fail_status(status, error, "the response's head");
    if (code == 0)
        code = file_write(&job->output, atls_buf_data(block), atls_buf_len(block));
    if (code == 0)
        code = file_write(&job->output, "\r\n", 2);
    atls_buf_free(block);
    atls_headers_free(fields);
    return code;
}
