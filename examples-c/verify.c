/* verify.c - judge stored evidence offline: a quote, its collateral, a policy and a time in, a verdict out. No network.
 *
 * usage: verify QUOTE COLLATERAL.json POLICY.json UNIX_TIME [EVENT_LOG.json]
 *
 * Exit status: 0 trusted, 1 not trusted, 2 the question could not be asked.
 */
#include <stdio.h>
#include <stdlib.h>

#include <atls.h>

struct file {
    unsigned char *data;
    size_t len;
};

static struct file read_file(const char *path)
{
    struct file file = {NULL, 0};
    FILE *in = fopen(path, "rb");
    if (!in) {
        perror(path);
        exit(2);
    }
    for (;;) {
        file.data = realloc(file.data, file.len + 65536);
        if (!file.data)
            exit(2);
        size_t got = fread(file.data + file.len, 1, 65536, in);
        file.len += got;
        if (got == 0)
            break;
    }
    fclose(in);
    return file;
}

static void check(atls_status status, atls_error *error)
{
    if (status == ATLS_OK)
        return;
    fprintf(stderr, "%s: %s\n", atls_status_name(status).ptr, atls_error_message(error).ptr);
    atls_error_free(error);
    exit(2);
}

static void print_verdict(const atls_verdict *verdict)
{
    static const char *const outcome[] = {"pass", "FAIL", "-"};
    for (size_t i = 0; i < atls_verdict_check_count(verdict); i++)
        printf("  %-4s  %-18s %.66s\n", outcome[atls_verdict_check_outcome(verdict, i)],
               atls_verdict_check_name(verdict, i).ptr, atls_verdict_check_actual(verdict, i).ptr);
    printf("%s: TCB %s, trust anchor %s%s\n", atls_verdict_trusted(verdict) ? "trusted" : "NOT TRUSTED",
           atls_verdict_tcb_status(verdict).ptr, atls_verdict_trust_anchor(verdict).ptr,
           atls_verdict_bound_to_session(verdict) ? "" : " (not bound to a session)");
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: %s QUOTE COLLATERAL.json POLICY.json UNIX_TIME [EVENT_LOG.json]\n", argv[0]);
        return 2;
    }
    struct file quote = read_file(argv[1]), collateral = read_file(argv[2]), json = read_file(argv[3]);
    struct file log = {NULL, 0};
    if (argc > 5)
        log = read_file(argv[5]);

    atls_error *error = NULL;
    atls_policy *policy = NULL;
    atls_verdict *verdict = NULL;
    atls_verification *question = atls_verification_new();
    check(atls_policy_new(json.data, json.len, &policy, &error), error);
    check(atls_verification_set_policy(question, policy, &error), error);
    check(atls_verification_set_quote(question, quote.data, quote.len, log.data, log.len, &error), error);
    check(atls_verification_set_collateral_json(question, collateral.data, collateral.len, &error), error);
    check(atls_verification_set_time(question, strtoull(argv[4], NULL, 10), &error), error);
    check(atls_verification_skip_binding(question, &error), error);
    check(atls_verify(question, &verdict, &error), error);

    print_verdict(verdict);
    int trusted = atls_verdict_trusted(verdict);
    atls_verdict_free(verdict);
    atls_verification_free(question);
    atls_policy_free(policy);
    free(quote.data);
    free(collateral.data);
    free(json.data);
    free(log.data);
    return trusted ? 0 : 1;
}
