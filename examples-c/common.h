/* common.h - helpers that all examples share: files, errors, verdicts, configurations.
 *
 * Variables of the environment let the examples run against the simulator:
 *   ATLS_ROOT_PEM        file with further root certificates for TLS
 *   ATLS_SIMULATED_ROOT  file with a simulator's root (DER): for tests, and only if the policy allows it
 *   ATLS_SIMULATED_ROOTS further ones (PEM): vendor=file,vendor=file,..
 */
#ifndef COMMON_H
#define COMMON_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atls.h>

struct file {
    unsigned char *data; /* followed by a NUL */
    size_t len;
};

static inline struct file read_file(const char *path)
{
    struct file file = {NULL, 0};
    FILE *in = fopen(path, "rb");
    if (!in) {
        perror(path);
        exit(2);
    }
    size_t got;
    do {
        file.data = realloc(file.data, file.len + 65537);
        if (!file.data)
            exit(2);
        got = fread(file.data + file.len, 1, 65536, in);
        file.len += got;
    } while (got > 0);
    file.data[file.len] = '\0';
    fclose(in);
    return file;
}

static inline void print_verdict(const atls_verdict *verdict, FILE *out)
{
    static const char *const outcome[] = {"pass", "FAIL", "-"};
    for (size_t i = 0; i < atls_verdict_check_count(verdict); i++)
        fprintf(out, "  %-4s  %-24s %.70s\n", outcome[atls_verdict_check_outcome(verdict, i)],
                atls_verdict_check_name(verdict, i).ptr, atls_verdict_check_actual(verdict, i).ptr);
    const char *tcb = atls_verdict_tcb_status(verdict).ptr; /* "" if the vendor publishes none */
    fprintf(out, "%s: %s%s%strust anchor %s%s\n", atls_verdict_trusted(verdict) ? "trusted" : "NOT TRUSTED", *tcb ? "TCB " : "",
            tcb, *tcb ? ", " : "", atls_verdict_trust_anchor(verdict).ptr,
            atls_verdict_bound_to_session(verdict) ? "" : " (not bound to a session)");
}

/* Ends the program if the call failed. If the server was refused, prints the checks that say why. Takes a pointer to the error: in
 * check(call(&error), error), C may read `error` before the call. */
static inline void check(atls_status status, atls_error **error)
{
    if (status == ATLS_OK)
        return;
    if (atls_error_verdict(*error))
        print_verdict(atls_error_verdict(*error), stderr);
    fprintf(stderr, "%s: %s\n", atls_status_name(status).ptr, atls_error_message(*error).ptr);
    atls_error_free(*error);
    exit(1);
}

/* "amd=/path/amd.pem,aws=/path/aws.pem" */
static inline void add_simulated_roots(atls_verifier_config *trust, const char *list)
{
    atls_error *error = NULL;
    char *copy = strdup(list ? list : ""), *rest = copy, *vendor;
    while (copy && (vendor = strsep(&rest, ",")) && *vendor) {
        char *path = vendor;
        strsep(&path, "=");
        struct file roots = read_file(path ? path : "");
        check(atls_verifier_config_add_simulated_root(trust, vendor, atls_bytes_of(roots.data, roots.len), &error), &error);
        free(roots.data);
    }
    free(copy);
}

static inline atls_verifier *make_verifier(void)
{
    atls_error *error = NULL;
    atls_verifier *verifier = NULL;
    atls_verifier_config *trust = NULL;
    check(atls_verifier_config_new(&trust, &error), &error);
    if (getenv("ATLS_SIMULATED_ROOT")) {
        struct file root = read_file(getenv("ATLS_SIMULATED_ROOT"));
        check(atls_verifier_config_set_simulated_root(trust, atls_bytes_of(root.data, root.len), &error), &error);
        free(root.data);
    }
    add_simulated_roots(trust, getenv("ATLS_SIMULATED_ROOTS"));
    check(atls_verifier_new(trust, &verifier, &error), &error);
    atls_verifier_config_free(trust);
    return verifier;
}

/* A configuration for a server, under the policy in a file. Clients leave host and port NULL: their requests have URLs. */
static inline atls_config *make_config(const char *host, const char *port, const char *policy_file)
{
    atls_error *error = NULL;
    atls_config *config = NULL;
    atls_policy *policy = NULL;
    atls_verifier *verifier = make_verifier();
    struct file json = read_file(policy_file);
    check(atls_config_new(host, port ? (uint16_t)atoi(port) : 0, &config, &error), &error);
    check(atls_policy_new(atls_bytes_of(json.data, json.len), &policy, &error), &error);
    check(atls_config_set_policy(config, policy, &error), &error);
    if (getenv("ATLS_ROOT_PEM")) {
        struct file pem = read_file(getenv("ATLS_ROOT_PEM"));
        check(atls_config_add_root_pem(config, (char *)pem.data, &error), &error);
        free(pem.data);
    }
    check(atls_config_set_verifier(config, verifier, &error), &error);
    atls_verifier_free(verifier);
    atls_policy_free(policy);
    free(json.data);
    return config;
}

#endif
