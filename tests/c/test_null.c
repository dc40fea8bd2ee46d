/* Every pointer that must not be NULL may be, with a clear status and without harm. Which calls there are is made of the header: null_calls.h. */
#include "test.h"

#include <sys/socket.h>
#include <unistd.h>

/* One of each that a caller can have without a connection. */
static atls_buf *have_atls_buf;
static atls_client *have_atls_client;
static atls_client_limits *have_atls_client_limits;
static atls_config *have_atls_config;
static atls_ear *have_atls_ear;
static atls_form *have_atls_form;
static atls_h1_conn *have_atls_h1_conn;
static atls_h1_driver_config *have_atls_h1_driver_config;
static atls_h1_header_list *have_atls_h1_header_list;
static atls_headers *have_atls_headers;
static atls_multipart *have_atls_multipart;
static atls_policy *have_atls_policy;
static atls_queue *have_atls_queue;
static atls_request *have_atls_request;
static atls_runtime *have_atls_runtime;
static atls_server_config *have_atls_server_config;
static atls_tunnel_config *have_atls_tunnel_config;
static atls_verdict *have_atls_verdict;
static atls_verification *have_atls_verification;
static atls_verifier *have_atls_verifier;
static atls_verifier_config *have_atls_verifier_config;
static int have_socket;
static const char have_32_bytes[33] = "0123456789abcdef0123456789abcdef";
static atls_sink sink;
static const atls_sink *const have_atls_sink = &sink;

static int64_t no_more(void *user_data, uint8_t *buf, size_t cap)
{
    (void)user_data, (void)buf, (void)cap;
    return 0;
}
static const atls_body_source no_body = {.read = no_more};
static const atls_body_source *const have_atls_body_source = &no_body;

static int32_t not_found(void *user_data, const char *host, atls_addresses *addresses)
{
    (void)user_data, (void)host, (void)addresses;
    return 1;
}
static const atls_resolver no_names = {.resolve = not_found};
static const atls_resolver *const have_atls_resolver = &no_names;

static const char POLICY[] = "{\"type\":\"dstack_tdx\",\"disable_runtime_verification\":true}";

static void have_all(void)
{
    atls_error *error = NULL;
    OK(atls_buf_copy(atls_bytes_of_text("{}"), &have_atls_buf, &error));
    OK(atls_config_new("localhost", 1, &have_atls_config, &error));
    OK(atls_policy_new(atls_bytes_of_text(POLICY), &have_atls_policy, &error));
    OK(atls_config_set_unattested(have_atls_config, &error));
    OK(atls_runtime_new(1, &have_atls_runtime, &error));
    OK(atls_queue_new_inline(&have_atls_queue, &error));
    sink.queue = have_atls_queue;
    OK(atls_client_limits_new(&have_atls_client_limits, &error));
    OK(atls_client_new(have_atls_runtime, have_atls_config, have_atls_client_limits, &have_atls_client, &error));
    OK(atls_form_parse_query(atls_bytes_of_text("a=b"), &have_atls_form, &error));
    OK(atls_h1_conn_new(ATLS_H1_CLIENT, 0, &have_atls_h1_conn, &error));
    OK(atls_h1_driver_config_new(ATLS_H1_CLIENT, &have_atls_h1_driver_config, &error));
    OK(atls_h1_header_list_new(&have_atls_h1_header_list, &error));
    OK(atls_headers_new(false, &have_atls_headers, &error));
    OK(atls_multipart_new("multipart/form-data; boundary=b", 0, 0, &have_atls_multipart, &error));
    OK(atls_request_new_url("GET", "http://localhost:1/", &have_atls_request, &error));
    OK(atls_server_config_new(&have_atls_server_config, &error));
    OK(atls_tunnel_config_new(&have_atls_tunnel_config, &error));
    OK(atls_tunnel_config_add_target(have_atls_tunnel_config, "localhost:1", &error));
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    have_socket = pair[0];
    close(pair[1]);
    OK(atls_verification_new(&have_atls_verification, &error));
    OK(atls_verification_set_policy(have_atls_verification, have_atls_policy, &error));
    OK(atls_verification_set_quote(have_atls_verification, atls_bytes_of_text("none"), atls_bytes_of(NULL, 0), &error));
    const char *none = "{\"atls_collateral_bundle\":1,\"objects\":[]}";
    OK(atls_verification_set_collateral_json(have_atls_verification, atls_bytes_of_text(none), &error));
    OK(atls_verification_set_time(have_atls_verification, 1, &error));
    OK(atls_verification_skip_binding(have_atls_verification, &error));
    OK(atls_verify(have_atls_verification, &have_atls_verdict, &error));
    OK(atls_ear_new(have_atls_verdict, 1, &have_atls_ear, &error));
    OK(atls_verifier_config_new(&have_atls_verifier_config, &error));
    OK(atls_verifier_new(have_atls_verifier_config, &have_atls_verifier, &error));
}

static void free_all(void)
{
    atls_error *error = NULL;
    close(have_socket);
    atls_client_free(have_atls_client);
    OK(atls_runtime_shutdown(have_atls_runtime, 0, &error));
    OK(atls_queue_stop(have_atls_queue, &error));
    atls_runtime_free(have_atls_runtime);
    atls_queue_free(have_atls_queue);
    atls_buf_free(have_atls_buf);
    atls_config_free(have_atls_config);
    atls_client_limits_free(have_atls_client_limits);
    atls_policy_free(have_atls_policy);
    atls_multipart_free(have_atls_multipart);
    atls_form_free(have_atls_form);
    atls_h1_conn_free(have_atls_h1_conn);
    atls_h1_driver_config_free(have_atls_h1_driver_config);
    atls_h1_header_list_free(have_atls_h1_header_list);
    atls_headers_free(have_atls_headers);
    atls_request_free(have_atls_request);
    atls_server_config_free(have_atls_server_config);
    atls_tunnel_config_free(have_atls_tunnel_config);
    atls_ear_free(have_atls_ear);
    atls_verdict_free(have_atls_verdict);
    atls_verification_free(have_atls_verification);
    atls_verifier_config_free(have_atls_verifier_config);
    atls_verifier_free(have_atls_verifier);
}

static int faults;

static void refused(const char *call, const char *what, atls_status status, atls_error **error)
{
    atls_str message = atls_error_message(*error);
    if (status != ATLS_NULL_ARGUMENT || !strstr(message.ptr, what)) {
        fprintf(stderr, "%s\n    answers %s \"%s\", and not that %s is NULL\n", call, atls_status_name(status).ptr, message.ptr, what);
        faults++;
    }
    atls_error_free(*error);
    *error = NULL;
}

/* The argument is refused by its name. */
#define REFUSED(what, call)                                                                                             \
    do {                                                                                                                \
        atls_error *error = NULL;                                                                                       \
        atls_status status = (call);                                                                                    \
        refused(#call, what, status, &error);                                                                           \
    } while (0)
/* Without a place for the error there is none, and the status is the same. */
#define UNEXPLAINED(call)                                                                                               \
    do {                                                                                                                \
        if ((call) != ATLS_NULL_ARGUMENT) {                                                                             \
            fprintf(stderr, "%s\n    is not refused\n", #call);                                                         \
            faults++;                                                                                                   \
        }                                                                                                               \
    } while (0)
/* The argument may be NULL. */
#define TAKEN(call)                                                                                                     \
    do {                                                                                                                \
        atls_error *error = NULL;                                                                                       \
        if ((call) == ATLS_NULL_ARGUMENT) {                                                                             \
            fprintf(stderr, "%s\n    is refused: %s\n", #call, atls_error_message(error).ptr);                          \
            faults++;                                                                                                   \
        }                                                                                                               \
        atls_error_free(error);                                                                                         \
    } while (0)
/* No status to look at: it does no harm. */
#define ENDURED(call)                                                                                                   \
    do {                                                                                                                \
        atls_error *error = NULL;                                                                                       \
        (void)(call);                                                                                                   \
        atls_error_free(error);                                                                                         \
    } while (0)

#include "null_calls.h"

static void each_pointer_of_each_function_may_be_null(void)
{
    have_all();
    call_all_with_null();
    free_all();
    CHECK(faults == 0);
}

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

TESTS(NULL, NULL, CASE(each_pointer_of_each_function_may_be_null), CASE(null_and_nothing_are_refused_or_ignored))
