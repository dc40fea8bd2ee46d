/* get.c - `atls get` and `atls post`: one request to an attested server, with the habits of curl. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "failure.h"
#include "job.h"
#include "output.h"

uint32_t job_left(const struct job *job)
{
    struct timespec now;
    if (job->limit_ms == 0)
        return UINT32_MAX;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t spent = (int64_t)(now.tv_sec - job->begun.tv_sec) * 1000 + (now.tv_nsec - job->begun.tv_nsec) / 1000000;
    return spent >= job->limit_ms ? 1 : job->limit_ms - (uint32_t)spent;
}

int job_timed_out(const struct job *job)
{
    return fail(CODE_SYSTEM, "%s is over", job->limit_ms ? "--max-time" : "the time");
}

int job_failed(struct job *job, atls_status status, atls_error *error)
{
    int saved = report_save_verdict(job, atls_error_report_json(error).ptr);
    int code = fail_status(status, error, job->url.host);
    return code ? code : saved;
}

/* Sends the body, if it is streamed, while waiting for the head. Returns 0 with the library's status, or an exit code after a message. */
static int send_and_wait(struct job *job, atls_status *status, atls_error **error)
{
    struct watch watch;
    uint32_t left = job_left(job);
    if (job->body.fd < 0) {
        *status = atls_exchange_head(job->exchange, left, &job->head, error);
        return 0;
    }
    /* A little longer, so that it is the sender who says that the time is over. */
    int code = watch_begin(&watch, job->exchange, left > UINT32_MAX - 200 ? UINT32_MAX : left + 200);
    if (code != 0)
        return code;
    code = body_send(job, &watch);
    if (code == 0)
        *status = watch_end(&watch, &job->head, error);
    else
        watch_cancel(&watch);
    return code;
}

/* Ends with the response head. */
static int exchange(struct job *job, const char *method)
{
    atls_error *error = NULL;
    report_request(job, method);
    atls_status status = atls_client_open(job->client, job->request, &job->exchange, &error);
    if (status != ATLS_OK)
        return job_failed(job, status, error);
    for (;;) {
        int code = send_and_wait(job, &status, &error);
        if (code != 0)
            return code;
        if (status != ATLS_AGAIN || atls_error_detail(error) != ATLS_DETAIL_REWIND || lseek(job->body.fd, 0, SEEK_SET) != 0)
            break;
        atls_error_free(error);
        error = NULL;
        job->sent = 0;
        status = atls_exchange_rewind(job->exchange, &error);
        if (status != ATLS_OK)
            break;
    }
    if (status != ATLS_OK)
        return job_failed(job, status, error);
    body_say_cut(job);
    report_head(job);
    atls_verdict *verdict = atls_exchange_verdict(job->exchange);
    int code = verdict ? report_save_verdict(job, atls_verdict_json(verdict).ptr) : fail(CODE_DEFECT, "a response without a verdict");
    atls_verdict_free(verdict);
    return code;
}

/* Writes the body as it arrives. */
static int receive(struct job *job)
{
    static unsigned char buffer[65536];
    uint64_t total = strtoull(atls_head_get(job->head, "Content-Length").ptr, NULL, 10);
    bool shows = !option_given(job->args, "silent") && !(job->output.is_stdout && isatty(STDOUT_FILENO));
    if (shows)
        progress_begin("received", total);
    int code = option_given(job->args, "include") ? report_write_head(job) : 0;
    while (code == 0) {
        size_t n = 0;
        atls_error *error = NULL;
        atls_status status = atls_exchange_read(job->exchange, buffer, sizeof buffer, job_left(job), &n, &error);
        if (status != ATLS_OK)
            code = fail_status(status, error, job->url.host);
        else if (n == 0)
            break;
        else
            code = file_write(&job->output, buffer, n);
        job->received += n;
        progress_add(n);
    }
    progress_end();
    return code;
}

static int prepare(struct job *job)
{
    const struct arguments *args = job->args;
    const char *format = option_text(args, "write-out");
    bool can_send = option_find(args->command, "data") != NULL;
    clock_gettime(CLOCK_MONOTONIC, &job->begun);
    job->limit_ms = option_milliseconds(args, "max-time", 0);
    int code = url_parse(args->operands[0], &job->url);
    if (code == 0 && format)
        code = writeout_check(format);
    if (code == 0)
        code = fields_load(args, &job->fields);
    if (code == 0)
        code = body_open(can_send ? option_text(args, "data") : NULL, &job->body);
    if (code == 0)
        code = setup_make(args, &job->url, &job->setup);
    if (code == 0)
        code = file_create(option_text(args, "output"), &job->output);
    return code;
}

static int perform(struct job *job)
{
    const char *method = option_text(job->args, "request");
    atls_error *error = NULL;
    if (!method)
        method = strcmp(job->args->command->name, "post") == 0 ? "POST" : "GET";
    int code = job_make_request(job, method);
    if (code != 0)
        return code;
    atls_status status = atls_client_new(NULL, job->setup.config, NULL, &job->client, &error);
    if (status != ATLS_OK)
        return fail_status(status, error, NULL);
    code = exchange(job, method);
    if (code != 0)
        return code;
    uint32_t answer = atls_head_status(job->head);
    if (answer >= 400 && option_given(job->args, "fail"))
        code = fail(CODE_HTTP_STATUS, "%s answered %u", job->url.host, answer);
    else
        code = receive(job);
    return code;
}

static int run(const struct arguments *args)
{
    struct job job = {.args = args, .body = {.fd = -1}, .output = {.fd = -1}};
    int code = prepare(&job);
    if (code == 0)
        code = perform(&job);
    bool had_file = job.output.partial != NULL;
    int closed = file_close(&job.output, code == 0);
    if (code != 0 && had_file && job.received > 0)
        fail(code, "%s: not written; what had arrived was removed", job.output.path);
    if (code == 0 && closed == 0 && option_given(args, "write-out"))
        writeout_print(&job, option_text(args, "write-out"));
    body_close(&job.body);
    fields_free(&job.fields);
    atls_head_free(job.head);
    atls_exchange_free(job.exchange);
    atls_request_free(job.request);
    atls_client_free(job.client);
    setup_free(&job.setup);
    url_free(&job.url);
    return code ? code : closed;
}

#define OPTIONS_OUTPUT                                                                                                                    \
    {'o', "output", "FILE", OPTION_FILE, OPTION_WRITTEN, "Output", "Write the body to a file",                                                          \
     "It gets its name when it is complete: if the transfer fails or is interrupted, what had arrived is removed and a file that was there " \
     "stays as it was. By default, and for -, the body goes to standard output as it arrives."},                                          \
    {'i', "include", NULL, OPTION_FLAG, 0, "Output", "Also write the response's head", NULL},                                              \
    {'v', "verbose", NULL, OPTION_FLAG, 0, "Output", "Print verdict and heads to stderr", "Of the request's own fields only the names."},  \
    {0, "verdict", "FILE", OPTION_FILE, OPTION_WRITTEN, "Output", "Write the verdict as JSON", "Also the one that refuses the server."},                \
    {'s', "silent", NULL, OPTION_FLAG, 0, "Output", "No progress bar",                                                                     \
     "The bar is on stderr, if that is a terminal, after a second. Errors are always printed."},                                          \
    {'w', "write-out", "FORMAT", OPTION_TEXT, 0, "Output", "Print facts to stdout afterwards",                                             \
     "%{http_code}, %{content_type}, %{url_effective}, %{num_redirects}, %{remote}, %{size_download}, %{size_upload}, %{tee_type}, "      \
     "%{tcb_status}, and times from the start in seconds: %{time_namelookup}, %{time_connect}, %{time_appconnect}, %{time_attested}, "    \
     "%{time_starttransfer}, %{time_total}. \\n, \\t and \\r are understood."}
#define OPTIONS_REQUEST                                                                                                                   \
    {'H', "header", "LINE", OPTION_TEXT, OPTION_REPEATS | OPTION_AT | OPTION_SECRET, "Request", "Add header field NAME: VALUE; @FILE for a file", \
     "@FILE reads a field from each line of a file, @- from standard input: a token on the command line can be seen by other users of the " \
     "machine. 'NAME;' is a field without a value."},                                                                                      \
    {'X', "request", "METHOD", OPTION_TEXT, 0, "Request", "Another method", NULL},                                                         \
    {'f', "fail", NULL, OPTION_FLAG, 0, "Request", "Exit with 22 if the status is 400 or more", "The body is not written then."},         \
    {'L', "location", NULL, OPTION_FLAG, 0, "Request", "Follow redirects", "At most 10, and never away from the attested origin."}

static const struct option_spec get_options[] = {
    OPTION_POLICY, OPTIONS_REQUEST, OPTIONS_OUTPUT, OPTIONS_COLLATERAL, OPTION_TEST_ROOT, OPTIONS_CONNECTION, OPTION_MAX_TIME, OPTION_HELP, OPTIONS_END,
};

static const struct option_spec post_options[] = {
    OPTION_POLICY,
    {'d', "data", "DATA", OPTION_TEXT, OPTION_AT | OPTION_SECRET, "Request", "The body; @FILE for a file, @- for stdin",
     "As it is, and streamed if it is a file. Content-Type is application/x-www-form-urlencoded unless -H gives another."},
    OPTIONS_REQUEST, OPTIONS_OUTPUT, OPTIONS_COLLATERAL, OPTION_TEST_ROOT, OPTIONS_CONNECTION, OPTION_MAX_TIME, OPTION_HELP, OPTIONS_END,
};

static const struct example get_examples[] = {
    {"atls get --policy policy.json https://llm.example/v1/models", "Print a resource"},
    {"atls get --policy policy.json -o model.bin -w '%{size_download} bytes, %{tee_type}\\n' https://llm.example/model.bin", "Download a file"},
    {NULL, NULL},
};

static const struct example post_examples[] = {
    {"atls post --policy policy.json -H 'Content-Type: application/json' -d @question.json https://llm.example/v1/chat/completions",
     "Send a prompt, and print the answer as it streams"},
    {NULL, NULL},
};

static const char text[] = "Connects, has the server prove by hardware evidence what it is, judges that under the policy, and only then sends the request. "
                           "If the server is refused, nothing of the request has left, and stderr says which check failed.\n\n"
                           "The body of the response is written as it arrives.";

const struct command command_get = {
    .name = "get",
    .operands = "URL",
    .least = 1,
    .most = 1,
    .summary = "Fetch a URL from a server that satisfies a policy",
    .text = text,
    .options = get_options,
    .examples = get_examples,
    .run = run,
};

const struct command command_post = {
    .name = "post",
    .operands = "URL",
    .least = 1,
    .most = 1,
    .summary = "Send a body to a server that satisfies a policy",
    .text = text,
    .options = post_options,
    .examples = post_examples,
    .run = run,
};
