/* Every pointer that must not be NULL may be, with a clear status and without harm. */
#include "test.h"

static void null_and_nothing_are_refused_or_ignored(void)
{
    atls_error *error = NULL;
    atls_policy *policy = NULL;
    atls_verdict *verdict = NULL;
    atls_buf *buf = NULL;

    EXPECT(ATLS_NULL_ARGUMENT, "policy", atls_policy_new(atls_bytes_of("{}", 2), NULL, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "json", atls_policy_new(atls_bytes_of(NULL, 2), &policy, &error));
    EXPECT(ATLS_POLICY_INVALID, "policy", atls_policy_new(atls_bytes_of(NULL, 0), &policy, &error));
    CHECK(policy == NULL);
    CHECK(atls_policy_new(atls_bytes_of(NULL, 0), &policy, NULL) == ATLS_POLICY_INVALID);

    EXPECT(ATLS_NULL_ARGUMENT, "verification", atls_verification_set_time(NULL, 1, &error));
    atls_verification *question = NULL;
    OK(atls_verification_new(&question, &error));
    EXPECT(ATLS_NULL_ARGUMENT, "verdict", atls_verify(question, NULL, &error));
    EXPECT(ATLS_INVALID_STATE, "no evidence", atls_verify(question, &verdict, &error));
    EXPECT(ATLS_INVALID_ARGUMENT, "nonce has 3 bytes",
           atls_verification_set_session(question, atls_bytes_of("abc", 3), atls_bytes_of(NULL, 0), atls_bytes_of("x", 1), &error));
    EXPECT(ATLS_EVIDENCE_INVALID, "line 1", atls_verification_set_evidence_json(question, atls_bytes_of("{", 1), &error));
    EXPECT(ATLS_COLLATERAL_INVALID, "missing field", atls_verification_set_collateral_json(question, atls_bytes_of("{}", 2), &error));
    EXPECT(ATLS_INVALID_UTF8, "event_log",
           atls_verification_set_quote(question, atls_bytes_of(NULL, 0), atls_bytes_of("\xff", 1), &error));
    atls_verification_free(question);

    EXPECT(ATLS_NULL_ARGUMENT, "data", atls_buf_copy(atls_bytes_of(NULL, 1), &buf, &error));
    OK(atls_buf_copy(atls_bytes_of(NULL, 0), &buf, &error));
    CHECK(atls_buf_len(buf) == 0 && atls_buf_data(buf) != NULL);
    atls_buf_free(buf);

    CHECK(atls_error_status(NULL) == ATLS_OK && atls_error_message(NULL).ptr[0] == '\0');
    CHECK(!atls_verdict_trusted(NULL) && atls_verdict_check_outcome(NULL, 0) == ATLS_CHECK_FAIL);
    CHECK(atls_buf_ref(NULL) == NULL && atls_policy_ref(NULL) == NULL && atls_verdict_ref(NULL) == NULL);
    atls_error_free(NULL);
    atls_policy_free(NULL);
    atls_verdict_free(NULL);
    atls_buf_free(NULL);
    atls_verification_free(NULL);
    CHECK(strcmp(atls_status_name(99999).ptr, "UNKNOWN") == 0);
    CHECK(atls_version_number() == ATLS_VERSION_NUMBER);
}

TESTS(NULL, NULL, CASE(null_and_nothing_are_refused_or_ignored))
