/* measure.c - `atls measure`: shows what runs at a server, and drafts the policy that pins it. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "evidence.h"
#include "failure.h"
#include "files.h"
#include "output.h"
#include "probe.h"
#include "setup.h"
#include "url.h"

static const char *const warning = "a policy that pins what a server shows is only as good as the moment of looking: compare the values "
                                   "with ones that you have computed yourself before you rely on them";

/* Claims whose name begins with `part`; `skip` letters of it are not shown. */
static void print_part(const atls_verdict *verdict, const char *heading, const char *part, size_t skip)
{
    for (size_t i = 0; i < atls_verdict_claim_count(verdict); i++) {
        const char *name = atls_verdict_claim_name(verdict, i).ptr;
        if (strncmp(name, part, strlen(part)) != 0)
            continue;
        if (heading)
            printf("%s\n", heading);
        heading = NULL;
        /* Names and values of event logs are the machine's own words. */
        size_t len = strlen(name + skip);
        fputs("  ", stdout);
        print_safe(name + skip, 64, stdout);
        printf("%*s ", len < 24 ? (int)(24 - len) : 0, "");
        print_safe(atls_verdict_claim_value(verdict, i).ptr, 512, stdout);
        putchar('\n');
    }
}

static void print_table(const atls_verdict *verdict, const char *from)
{
    const char *tcb = atls_verdict_tcb_status(verdict).ptr; /* "" if the vendor publishes none */
    printf("%s\n", from);
    printf("  %-24s %s\n", "kind", atls_verdict_tee_type(verdict).ptr);
    printf("  %-24s %s\n", "status of the platform", *tcb ? tcb : "none is published");
    printf("  %-24s %s\n", "trust anchor", atls_verdict_trust_anchor(verdict).ptr);
    printf("  %-24s %s\n", "bound to this session", atls_verdict_bound_to_session(verdict) ? "yes" : "no");
    for (size_t i = 0; i < atls_verdict_advisory_count(verdict); i++)
        printf("  %-24s %s\n", "advisory", atls_verdict_advisory(verdict, i).ptr);
    print_part(verdict, "What it says it is", "application.", strlen("application."));
    print_part(verdict, "What runs there", "measurements.", strlen("measurements."));
    print_part(verdict, "What it runs on", "platform.", strlen("platform."));
    print_part(verdict, "Devices beside it", "attached[", strlen("attached"));
}

/* The draft, with the collateral services that were asked, and checked as a policy. NUL-terminated; free it. */
static int make_draft(const struct arguments *args, const atls_verdict *verdict, char **draft)
{
    atls_buf *json = NULL;
    atls_error *error = NULL;
    size_t size;
    atls_status status = atls_verdict_draft_policy(verdict, &json, &error);
    if (status != ATLS_OK)
        return fail_status(status, error, NULL);
    const char *text = (const char *)atls_buf_data(json);
    char *sources = probe_sources(args);
    FILE *out = open_memstream(draft, &size);
    if (!out)
        return fail(CODE_SYSTEM, "out of memory");
    if (sources)
        fprintf(out, "{\n  \"collateral\": %s,", sources);
    fwrite(text + (sources ? 1 : 0), 1, atls_buf_len(json) - (sources ? 1 : 0), out);
    fclose(out);
    free(sources);
    atls_buf_free(json);
    atls_policy *policy = NULL;
    status = atls_policy_new(atls_bytes_of_text(*draft), &policy, &error);
    atls_policy_free(policy);
    return status == ATLS_OK ? 0 : fail_status(status, error, "the draft");
}

/* The draft accepts what is there. Whoever uses it must know what that is. */
static void warn_of_status(const atls_verdict *verdict)
{
    const char *tcb = atls_verdict_tcb_status(verdict).ptr;
    char *list = NULL;
    size_t size, count = atls_verdict_advisory_count(verdict);
    if (!*tcb || strcmp(tcb, "UpToDate") == 0)
        return;
    FILE *out = open_memstream(&list, &size);
    if (out) {
        for (size_t i = 0; i < count; i++)
            fprintf(out, "%s%s", i ? ", " : ": ", atls_verdict_advisory(verdict, i).ptr);
        fclose(out);
    }
    warn("the platform is %s%s; the draft accepts that (allowed_tcb_status)", tcb, list ? list : "");
    free(list);
}

static int show(const struct arguments *args, const atls_verdict *verdict, const char *from)
{
    char *draft = NULL;
    const char *path = option_text(args, "output");
    int code = make_draft(args, verdict, &draft);
    if (code == 0 && option_given(args, "json")) {
        printf("{\"verdict\": %s, \"policy\": %s}\n", atls_verdict_json(verdict).ptr, draft);
    } else if (code == 0) {
        print_table(verdict, from);
        if (!path)
            printf("Draft of a policy\n%s", draft);
    }
    if (code == 0)
        code = output_finish();
    if (code == 0 && path)
        code = file_save(path, draft, strlen(draft));
    if (code == 0)
        warn_of_status(verdict);
    if (code == 0)
        warn("%s", warning);
    free(draft);
    return code;
}

static int measure_file(const struct arguments *args, const char *path)
{
    atls_policy *policy = NULL;
    atls_verdict *verdict = NULL;
    if (args->operand_count > 0)
        return fail(CODE_CALL, "either URL or --from, not both: '%s'", url_shown(args->operands[0]));
    int code = probe_policy(args, &policy);
    if (code == 0)
        code = evidence_judge(args, path, policy, &verdict);
    atls_status status = code == 0 ? atls_verdict_status(verdict) : ATLS_OK;
    if (code == 0 && status == ATLS_ONLY_MEASURED) {
        warn("stored evidence is not bound to a session: it says nothing about who sent it");
        code = show(args, verdict, path);
    } else if (code == 0) {
        print_verdict(verdict, stderr);
        code = fail(code_of(status), "%s: %s", path, atls_status_name(status).ptr);
    }
    atls_verdict_free(verdict);
    atls_policy_free(policy);
    return code;
}

static int measure_server(const struct arguments *args, const char *text)
{
    struct url url;
    struct probe probe;
    int code = url_parse(text, &url);
    if (code != 0)
        return code;
    code = probe_server(args, &url, &probe);
    if (code == 0 && probe.status == ATLS_ONLY_MEASURED) {
        code = show(args, atls_error_verdict(probe.error), url.host);
    } else if (code == 0) {
        code = fail_status(probe.status, probe.error, url.host);
        probe.error = NULL;
    }
    probe_free(&probe);
    url_free(&url);
    return code;
}

static int run(const struct arguments *args)
{
    const char *from = option_text(args, "from");
    if (from)
        return measure_file(args, from);
    const char *only[] = {"format", "event-log", "at"};
    for (size_t i = 0; i < sizeof only / sizeof *only; i++)
        if (option_given(args, only[i]))
            return fail(CODE_CALL, "--%s is only for --from FILE", only[i]);
    if (args->operand_count == 0) {
        fail(CODE_CALL, "URL or --from FILE is missing");
        help_usage(args->command, stderr);
        return CODE_CALL;
    }
    return measure_server(args, args->operands[0]);
}

static const struct option_spec options[] = {
    {'o', "output", "FILE", OPTION_FILE, OPTION_WRITTEN, "Output", "Write the draft of a policy to a file", NULL},
    {'j', "json", NULL, OPTION_FLAG, 0, "Output", "Print verdict and draft as one JSON object", NULL},
    {0, "from", "FILE", OPTION_FILE, 0, "Evidence", "Measure stored evidence, in place of URL", NULL},
    OPTIONS_EVIDENCE(OPTION_RARE),
    OPTIONS_SOURCES(0),
    {0, "collateral-cache", "FOLDER", OPTION_FOLDER, OPTION_RARE, "Trust", "Keep the vendor's documents in a folder", NULL},
    OPTION_TEST_ROOT,
    OPTIONS_CONNECTION,
    OPTION_MAX_TIME,
    OPTION_HELP,
    OPTIONS_END,
};

static const struct example examples[] = {
    {"atls measure https://llm.example -o policy.json", "Draft a policy of what runs there now"},
    {"atls get --policy policy.json https://llm.example/v1/models", "Use it"},
    {NULL, NULL},
};

const struct command command_measure = {
    .name = "measure",
    .operands = "URL",
    .least = 0,
    .most = 1,
    .summary = "Show what runs at a server, and draft a policy that pins it",
    .text = "Connects, takes the server's evidence, fetches the vendor's documents and verifies both. Then prints what runs there, and the "
            "draft of a policy that pins all of it, and closes the connection. No data is sent. It fails if the evidence is not "
            "authentic, is not bound to the session, or if the host of the machine can look into it.\n\n"
            "What a server shows is not what ought to run. Pinning it protects against a change from then on, and is only as good as the "
            "moment of looking: compare the values with ones that you have computed yourself before you rely on them.",
    .options = options,
    .examples = examples,
    .run = run,
};
