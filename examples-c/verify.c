/* verify.c - verifies stored evidence offline: quote, collateral, policy and time in, a verdict out. No network.
 *
 * usage: verify QUOTE COLLATERAL.json POLICY.json UNIX_TIME [EVENT_LOG.json]
 *
 * Exit status: 0 trusted, 1 not trusted, or an error.
 */
#include "common.h"

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
    atls_verification *question = NULL;
    check(atls_verification_new(&question, &error), &error);
    check(atls_policy_new(atls_bytes_of(json.data, json.len), &policy, &error), &error);
    check(atls_verification_set_policy(question, policy, &error), &error);
    check(atls_verification_set_quote(question, atls_bytes_of(quote.data, quote.len), atls_bytes_of(log.data, log.len), &error), &error);
    check(atls_verification_set_collateral_json(question, atls_bytes_of(collateral.data, collateral.len), &error), &error);
    check(atls_verification_set_time(question, strtoull(argv[4], NULL, 10), &error), &error);
    check(atls_verification_skip_binding(question, &error), &error);
    check(atls_verify(question, &verdict, &error), &error);

    print_verdict(verdict, stdout);
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
