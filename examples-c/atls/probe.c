/* probe.c - looks at a server, and never gets a connection of it. */
#include "probe.h"

#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "output.h"
#include "setup.h"

static void print_list(const struct arguments *args, const char *option, const char *member, const char *comma, FILE *out)
{
    const char *text;
    fprintf(out, "%s\"%s\": [", comma, member);
    for (size_t i = 0; (text = option_at(args, option, i)); i++) {
        fputs(i ? ", " : "", out);
        print_json_text(text, out);
    }
    fputc(']', out);
}

char *probe_sources(const struct arguments *args)
{
    char *text = NULL;
    size_t size;
    bool intel = option_given(args, "source"), amd = option_given(args, "amd-source");
    FILE *out = intel || amd ? open_memstream(&text, &size) : NULL;
    if (!out)
        return NULL;
    fputc('{', out);
    if (intel)
        print_list(args, "source", "sources", "", out);
    if (amd)
        print_list(args, "amd-source", "amd_sources", intel ? ", " : "", out);
    fputc('}', out);
    fclose(out);
    return text;
}

int probe_policy(const struct arguments *args, atls_policy **policy)
{
    char *settings = NULL, *sources = probe_sources(args);
    size_t size;
    FILE *out = open_memstream(&settings, &size);
    if (!out) {
        free(sources);
        return fail(CODE_SYSTEM, "out of memory");
    }
    fprintf(out, "{\"allow_simulated\": %s%s%s}", option_given(args, "test-root") ? "true" : "false",
            sources ? ", \"collateral\": " : "", sources ? sources : "");
    fclose(out);
    atls_error *error = NULL;
    atls_status status = atls_policy_new_measuring(atls_bytes_of_text(settings), policy, &error);
    free(settings);
    free(sources);
    return status == ATLS_OK ? 0 : fail_status(status, error, "--source");
}

int probe_server(const struct arguments *args, const struct url *url, struct probe *probe)
{
    struct setup setup;
    atls_http *http = NULL;
    *probe = (struct probe){ATLS_OK, NULL, NULL};
    int code = setup_make(args, url, &setup);
    if (code == 0)
        code = probe_policy(args, &setup.policy);
    if (code == 0)
        probe->status = atls_config_set_policy(setup.config, setup.policy, &probe->error);
    if (code == 0 && probe->status == ATLS_OK)
        probe->status = atls_http_connect(setup.config, &http, &probe->error);
    atls_http_free(http);
    probe->verifier = atls_verifier_ref(setup.verifier);
    setup_free(&setup);
    if (code != 0)
        return code;
    /* It must not have come to a connection. */
    return probe->status == ATLS_OK ? fail(CODE_DEFECT, "a policy that accepts nothing has accepted the server") : 0;
}

void probe_free(struct probe *probe)
{
    atls_error_free(probe->error);
    atls_verifier_free(probe->verifier);
}
