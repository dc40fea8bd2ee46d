/* evidence.c - judges stored evidence offline: no network. */
#include "evidence.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "failure.h"
#include "files.h"
#include "setup.h"

static int parse_time(const char *text, uint64_t *seconds)
{
    *seconds = (uint64_t)time(NULL);
    if (!text)
        return 0;
    if (*text && strlen(text) < 13 && strspn(text, "0123456789") == strlen(text)) {
        *seconds = strtoull(text, NULL, 10);
        return 0;
    }
    struct tm parts;
    memset(&parts, 0, sizeof parts);
    const char *rest = strptime(text, "%Y-%m-%d", &parts);
    if (rest && *rest == 'T')
        rest = strptime(rest, "T%H:%M:%SZ", &parts);
    struct tm normal = parts;
    time_t found = rest && !*rest ? timegm(&normal) : -1;
    /* What no calendar or clock shows, such as February 31, would come out as another time. */
    bool exists = normal.tm_mday == parts.tm_mday && normal.tm_mon == parts.tm_mon && normal.tm_year == parts.tm_year &&
                  normal.tm_hour == parts.tm_hour && normal.tm_min == parts.tm_min && normal.tm_sec == parts.tm_sec;
    if (found < 0 || !exists)
        return fail(CODE_CALL, "--at: '%s' is not a time: seconds since 1970, or as 2026-11-26T12:00:00Z", text);
    *seconds = (uint64_t)found;
    return 0;
}

static int set_quote(const struct arguments *args, const struct file *quote, atls_verification *question)
{
    struct file log = {NULL, 0};
    atls_error *error = NULL;
    const char *path = option_text(args, "event-log");
    int code = path ? file_read(path, FILE_LIMIT_DOCUMENT, &log) : 0;
    if (code != 0)
        return code;
    atls_status status = atls_verification_set_quote(question, file_bytes(quote), file_bytes(&log), &error);
    file_free(&log);
    return status == ATLS_OK ? 0 : fail_status(status, error, "quote and event log");
}

static int set_evidence(const struct arguments *args, const char *path, atls_verification *question)
{
    struct file file;
    atls_error *error = NULL;
    atls_status status;
    const char *format = option_text(args, "format");
    if (option_given(args, "event-log") && (!format || strcmp(format, "quote") != 0))
        return fail(CODE_CALL, "--event-log is only for --format quote");
    int code = file_read(path, FILE_LIMIT_DOCUMENT, &file);
    if (code != 0)
        return code;
    if (format && strcmp(format, "quote") == 0) {
        code = set_quote(args, &file, question);
        file_free(&file);
        return code;
    }
    if (!format || strcmp(format, "json") == 0)
        status = atls_verification_set_evidence_json(question, file_bytes(&file), &error);
    else if (strcmp(format, "ra-tls") == 0)
        status = atls_verification_set_ra_tls_certificate(question, file_bytes(&file), &error);
    else
        status = atls_verification_set_evidence_document(question, format, file_bytes(&file), &error);
    file_free(&file);
    if (status == ATLS_OK && (!format || strcmp(format, "ra-tls") != 0))
        status = atls_verification_skip_binding(question, &error);
    return status == ATLS_OK ? 0 : fail_status(status, error, path);
}

static int set_collateral(const struct arguments *args, atls_verification *question)
{
    struct file file;
    atls_error *error = NULL;
    const char *path = option_text(args, "collateral");
    int code = path ? file_read(path, FILE_LIMIT_COLLATERAL, &file) : 0;
    if (code != 0 || !path)
        return code;
    atls_status status = atls_verification_set_collateral_json(question, file_bytes(&file), &error);
    file_free(&file);
    return status == ATLS_OK ? 0 : fail_status(status, error, path);
}

static int make_question(const struct arguments *args, const char *path, const atls_policy *policy, atls_verification *question)
{
    uint64_t seconds;
    atls_error *error = NULL;
    int code = parse_time(option_text(args, "at"), &seconds);
    if (code == 0)
        code = set_evidence(args, path, question);
    if (code == 0)
        code = set_collateral(args, question);
    if (code == 0)
        code = setup_test_roots(args, NULL, question);
    if (code != 0)
        return code;
    atls_status status = atls_verification_set_policy(question, policy, &error);
    if (status == ATLS_OK)
        status = atls_verification_set_time(question, seconds, &error);
    if (status == ATLS_OK && option_text(args, "format") && strcmp(option_text(args, "format"), "quote") == 0)
        status = atls_verification_skip_binding(question, &error);
    return status == ATLS_OK ? 0 : fail_status(status, error, NULL);
}

int evidence_judge(const struct arguments *args, const char *path, const atls_policy *policy, atls_verdict **verdict)
{
    atls_error *error = NULL;
    atls_verification *question = NULL;
    atls_status status = atls_verification_new(&question, &error);
    if (status != ATLS_OK)
        return fail_status(status, error, NULL);
    int code = make_question(args, path, policy, question);
    if (code == 0) {
        status = atls_verify(question, verdict, &error);
        code = status == ATLS_OK ? 0 : fail_status(status, error, path);
    }
    atls_verification_free(question);
    return code;
}
