/* Links, is the version it was compiled for, and gets as far as a clear refusal. */
#include <string.h>

#include <atls.h>

int main(void)
{
    atls_policy *policy = NULL;
    atls_error *error = NULL;
    if (atls_version_number() != ATLS_VERSION_NUMBER || !atls_has(ATLS_HAS_TDX) || !atls_has(ATLS_HAS_SNP) || !atls_has(ATLS_HAS_NITRO) || !atls_has(ATLS_HAS_SGX) || atls_has(99))
        return 1;
    if (atls_policy_new(atls_bytes_of("{}", 2), &policy, &error) != ATLS_POLICY_INVALID)
        return 2;
    int named = strstr(atls_error_message(error).ptr, "policy.type") != NULL;
    atls_error_free(error);
    return named ? 0 : 3;
}
