/* collateral.c - `atls collateral`: the vendor's documents, for machines that cannot fetch them. */
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "failure.h"
#include "files.h"
#include "output.h"
#include "probe.h"
#include "setup.h"
#include "url.h"

/* A bundle without a document is of no use to anybody: the folder was another one, or the machine is of a vendor that has no documents. */
static bool is_empty(const atls_buf *bundle)
{
    static const char none[] = "\"objects\":[]";
    return atls_buf_len(bundle) < 256 && memmem(atls_buf_data(bundle), atls_buf_len(bundle), none, sizeof none - 1);
}

static int save_bundle(const struct arguments *args, const atls_verifier *verifier, const char *from)
{
    atls_buf *bundle = NULL;
    atls_error *error = NULL;
    atls_status status = atls_verifier_export(verifier, &bundle, &error);
    if (status != ATLS_OK)
        return fail_status(status, error, NULL);
    int code = is_empty(bundle) ? fail(CODE_SYSTEM, "%s: there are no documents", from)
                                : file_save(option_text(args, "output"), atls_buf_data(bundle), atls_buf_len(bundle));
    atls_buf_free(bundle);
    return code;
}

/* Documents about the machine that answers there. Its evidence must be authentic, and may be of what nobody would trust. */
static int fetch(const struct arguments *args)
{
    struct url url;
    struct probe probe;
    if (args->operand_count != 2)
        return fail(CODE_CALL, "fetch needs one URL, of a server whose machine the documents are about");
    int code = url_parse(args->operands[1], &url);
    if (code != 0)
        return code;
    code = probe_server(args, &url, &probe);
    const atls_verdict *verdict = atls_error_verdict(probe.error);
    if (code == 0 && (!verdict || atls_verdict_claim_count(verdict) == 0)) {
        code = fail_status(probe.status, probe.error, url.host);
        probe.error = NULL;
    }
    if (code == 0)
        code = save_bundle(args, probe.verifier, url.host);
    probe_free(&probe);
    url_free(&url);
    return code;
}

static int export(const struct arguments *args)
{
    atls_verifier *verifier = NULL;
    if (args->operand_count != 1)
        return fail(CODE_CALL, "unexpected argument '%s'", url_shown(args->operands[1]));
    if (!option_given(args, "collateral-cache"))
        return fail(CODE_CALL, "export needs --collateral-cache FOLDER, which has the documents");
    /* A folder to be read is not made. */
    const char *folder = option_text(args, "collateral-cache");
    struct stat found;
    if (stat(folder, &found) != 0)
        return fail_errno(folder);
    int code = setup_verifier(args, &verifier);
    if (code == 0)
        code = save_bundle(args, verifier, folder);
    atls_verifier_free(verifier);
    return code;
}

static int import_one(atls_verifier *verifier, const char *path)
{
    struct file bundle;
    size_t taken = 0;
    atls_error *error = NULL;
    int code = file_read(path, FILE_LIMIT_COLLATERAL, &bundle);
    if (code != 0)
        return code;
    atls_status status = atls_verifier_import(verifier, file_bytes(&bundle), &taken, &error);
    file_free(&bundle);
    if (status != ATLS_OK)
        return fail_status(status, error, path);
    printf("%s: %zu documents taken\n", path, taken);
    return 0;
}

static int import(const struct arguments *args)
{
    atls_verifier *verifier = NULL;
    if (args->operand_count < 2)
        return fail(CODE_CALL, "import needs the files to import");
    if (!option_given(args, "collateral-cache"))
        return fail(CODE_CALL, "import needs --collateral-cache FOLDER, which gets the documents");
    int code = setup_verifier(args, &verifier);
    for (size_t i = 1; code == 0 && i < args->operand_count; i++)
        code = import_one(verifier, args->operands[i]);
    atls_verifier_free(verifier);
    return code;
}

static int run(const struct arguments *args)
{
    const char *action = args->operands[0];
    if (strcmp(action, "fetch") == 0)
        return fetch(args);
    if (strcmp(action, "export") == 0)
        return export(args);
    if (strcmp(action, "import") == 0)
        return import(args);
    fail(CODE_CALL, "'%s' is not fetch, export or import", url_shown(action));
    help_usage(args->command, stderr);
    return CODE_CALL;
}

static const struct option_spec options[] = {
    {'o', "output", "FILE", OPTION_FILE, OPTION_WRITTEN, "Output", "Write the bundle to a file", "Standard output by default."},
    {0, "collateral-cache", "FOLDER", OPTION_FOLDER, 0, "Trust", "The folder that has or gets the documents",
     "The same as for atls-get(1) and others. import creates it if it is missing."},
    {0, "collateral", "FILE", OPTION_FILE, OPTION_REPEATS | OPTION_RARE, "Trust", "Bundle to begin with", NULL},
    OPTIONS_SOURCES(0),
    OPTION_TEST_ROOT,
    OPTIONS_CONNECTION,
    OPTION_MAX_TIME,
    OPTION_HELP,
    OPTIONS_END,
};

static const struct example examples[] = {
    {"atls collateral fetch https://llm.example -o bundle.json", "Fetch the documents about the machine of a server"},
    {"atls collateral import bundle.json --collateral-cache ~/.cache/atls", "Put them where a machine without network keeps them"},
    {NULL, NULL},
};

const struct command command_collateral = {
    .name = "collateral",
    .operands = "fetch URL | export | import FILE..",
    .least = 1,
    .most = 64,
    .words = "fetch export import",
    .files = true,
    .summary = "Fetch, export or import the vendors' documents",
    .text = "Evidence of Intel and AMD is judged by documents that the vendor signs: TCB levels, identities, revocation lists.\n\n"
            "fetch looks at a server as atls-measure(1) does, and writes a bundle of the documents about its machine. export writes a bundle "
            "of all that a cache folder holds. import puts the documents of bundles into a cache folder, if the vendor signed them and they "
            "are newer than those that are there. Documents end after some weeks.",
    .options = options,
    .examples = examples,
    .run = run,
};
