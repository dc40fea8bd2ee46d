/* verify.c - `atls verify`: judges stored evidence offline under a policy. */
#include "commands.h"
#include "evidence.h"
#include "failure.h"
#include "output.h"
#include "setup.h"

static int run(const struct arguments *args)
{
    atls_policy *policy = NULL;
    atls_verdict *verdict = NULL;
    int code = setup_policy(args, &policy);
    if (code == 0)
        code = evidence_judge(args, args->operands[0], policy, &verdict);
    if (code == 0 && option_given(args, "json"))
        printf("%s\n", atls_verdict_json(verdict).ptr);
    else if (code == 0)
        print_verdict(verdict, stdout);
    if (code == 0 && !atls_verdict_trusted(verdict)) {
        atls_status status = atls_verdict_status(verdict);
        code = fail(code_of(status), "%s: not trusted: %s", args->operands[0], atls_status_name(status).ptr);
    }
    atls_verdict_free(verdict);
    atls_policy_free(policy);
    return code;
}

static const struct option_spec options[] = {
    OPTION_POLICY,
    OPTIONS_EVIDENCE(0),
    OPTION_TEST_ROOT,
    {'j', "json", NULL, OPTION_FLAG, 0, "Output", "Print the verdict as JSON", "docs/verdict.md describes it."},
    OPTION_HELP,
    OPTIONS_END,
};

static const struct example examples[] = {
    {"atls verify evidence.json --policy policy.json --collateral bundle.json", "Judge stored evidence now"},
    {"atls verify quote.bin --format quote --event-log log.json --policy policy.json --collateral bundle.json --at 2026-11-26",
     "Judge a quote as of a day"},
    {NULL, NULL},
};

const struct command command_verify = {
    .name = "verify",
    .operands = "EVIDENCE",
    .least = 1,
    .most = 1,
    .files = true,
    .summary = "Judge stored evidence offline, under a policy",
    .text = "Judges the evidence in a file, and prints a line for each check. No network is used: the vendor's documents come from "
            "--collateral. The exit code is 0 only if the evidence is trusted.\n\n"
            "The evidence is judged whatever session it came from, so the verdict says that it is not bound to one. Never decide by it "
            "whether to talk to a server: anybody can show evidence of another machine again.",
    .options = options,
    .examples = examples,
    .run = run,
};
