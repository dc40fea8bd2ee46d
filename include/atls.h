/* atls.h - attested TLS for C. Generated from src/capi by `cargo xtask header`: edit there.
 *
 * Licence: MIT OR Apache-2.0.
 *
 * Rules that hold for every function, so that comments need not repeat them:
 *
 * - `_new` and successful starting calls give one reference, `_ref` adds one, `_free` drops one. `_free` takes NULL, never blocks
 *   and may be called on any thread, in callbacks too.
 * - A call that fails took nothing and wrote nothing but *error, which may be NULL and else is the caller's to free.
 * - Reference-counted handles may be used from any thread. Builders (atls_*_config, atls_request, atls_verification) belong to one
 *   thread at a time and are copied when used.
 * - A NULL where a value is needed answers ATLS_NULL_ARGUMENT.
 * - Names, hosts, paths and PEM are NUL-terminated UTF-8. Bytes are a pointer and a length; with length 0 the pointer may be NULL.
 * - Durations are milliseconds; 0 is the default, UINT32_MAX is none.
 * - In the child of a fork calls answer ATLS_FORKED and `_free` leaks.
 * - Callbacks must not throw, longjmp or block for long. Those of a dispatching queue run one at a time, on a thread of the library.
 *
 * Events (atls_event, atls_sink), for every operation that takes a sink:
 *
 * - Events of one source come in order and never at the same time.
 * - After a successful start exactly one CLOSED comes, last, whatever happens. Then sink.drop(user_data) runs, once.
 * - After a failed start nothing comes and drop does not run.
 * - Unknown event kinds are to be ignored: minor versions may add some.
 */
#ifndef ATLS_H
#define ATLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


#define ATLS_VERSION_MAJOR 0

#define ATLS_VERSION_MINOR 1

#define ATLS_VERSION_PATCH 0

/*
 Of the header: major * 1000000 + minor * 1000 + patch. Compare with atls_version_number, which is of the library in use.
 */
#define ATLS_VERSION_NUMBER 1000

/*
 Evidence of TDX guests under dstack, protocol atlas-v1.
 */
#define ATLS_HAS_TDX 1

/*
 Connections through a WebSocket tunnel.
 */
#define ATLS_HAS_TUNNEL 2

#define ATLS_LOG_OFF 0

#define ATLS_LOG_ERROR 1

#define ATLS_LOG_WARNING 2

#define ATLS_LOG_INFO 3

#define ATLS_LOG_DEBUG 4

#define ATLS_CHECK_PASS 0

#define ATLS_CHECK_FAIL 1

/*
 Not judged: the policy does not ask, or an earlier failure left nothing to judge. `actual` says which.
 */
#define ATLS_CHECK_SKIPPED 2

/*
 Immutable bytes, reference-counted and safe to share between threads. Buffers of DATA events are views of what the network
 layer received: keeping one costs no copy, and keeps the memory.
 */
typedef struct atls_buf atls_buf;

/*
 A failure. Immutable, reference-counted, safe to share between threads.
 */
typedef struct atls_error atls_error;

/*
 A policy. Immutable, reference-counted, safe to share between threads and connections.
 */
typedef struct atls_policy atls_policy;

/*
 The judgement of one server's or one file's evidence. Immutable, reference-counted, safe to share between threads.
 */
typedef struct atls_verdict atls_verdict;

/*
 A question for the verifier, put together piece by piece. A builder: one thread at a time.
 */
typedef struct atls_verification atls_verification;

/*
 Borrowed text. `ptr` is never NULL and is followed by a NUL byte; `len` does not count it. Valid as long as the object that it
 came from, which the function that returns it names.
 */
typedef struct atls_str {
    const char *ptr;
    size_t len;
} atls_str;

/*
 What a call answers, or why an operation ended. Numbers never change or get reused; new ones are added. A program that meets
 one it does not know should go by its hundred: 1xx the call was wrong, 2xx system or time, 3xx TLS, 4xx attestation, 5xx HTTP
 or tunnel, 9xx a defect of the library.
 */
typedef int32_t atls_status;

/*
 Receives one line. `message` is valid during the call only. Runs on any thread, several at once; must not call `atls_*`.
 */
typedef void (*atls_log_fn)(void *user_data, uint32_t level, struct atls_str message);

/*
 Success.
 */
#define ATLS_OK 0

/*
 A pointer that must not be NULL is.
 */
#define ATLS_NULL_ARGUMENT 101

/*
 An argument has an impossible value; the message names it.
 */
#define ATLS_INVALID_ARGUMENT 102

/*
 Text that must be UTF-8 is not.
 */
#define ATLS_INVALID_UTF8 103

/*
 The object is not in a state in which the call makes sense.
 */
#define ATLS_INVALID_STATE 104

/*
 Nothing was taken; try again after the next WRITABLE event (or when data has come).
 */
#define ATLS_AGAIN 105

/*
 The stream or connection is closed.
 */
#define ATLS_CLOSED 106

/*
 The process forked after the library was started; the child cannot use it.
 */
#define ATLS_FORKED 107

/*
 A blocking call from a callback or a thread of the library would wait for itself.
 */
#define ATLS_WOULD_DEADLOCK 108

/*
 Known, but not part of this version.
 */
#define ATLS_UNSUPPORTED 109

/*
 The connection still carries the previous exchange.
 */
#define ATLS_BUSY 110

/*
 The policy document does not say what it must; the message has the path of the field.
 */
#define ATLS_POLICY_INVALID 111

/*
 A system call on a socket failed; see atls_error_os_errno.
 */
#define ATLS_IO 201

/*
 The host name could not be resolved.
 */
#define ATLS_DNS 202

/*
 A deadline passed; the message names the phase.
 */
#define ATLS_TIMED_OUT 203

/*
 Canceled by the caller or by a shutdown.
 */
#define ATLS_CANCELED 204

/*
 The peer ended in the middle of a message.
 */
#define ATLS_TRUNCATED 205

/*
 The TLS handshake or record layer failed; see atls_error_tls_alert.
 */
#define ATLS_TLS_HANDSHAKE 301

/*
 The server's certificate is not acceptable: chain, dates or name.
 */
#define ATLS_TLS_CERTIFICATE 302

/*
 The server does not speak TLS 1.3.
 */
#define ATLS_TLS_VERSION 303

/*
 The server gave no evidence.
 */
#define ATLS_NO_EVIDENCE 401

/*
 What the server sent as evidence cannot be read.
 */
#define ATLS_EVIDENCE_INVALID 402

/*
 The quote is malformed, or its signatures do not lead to the trust anchor.
 */
#define ATLS_QUOTE_INVALID 403

/*
 The platform's TCB is not acceptable under the policy.
 */
#define ATLS_TCB_REJECTED 404

/*
 What runs there is not what the policy names.
 */
#define ATLS_MEASUREMENT_MISMATCH 405

/*
 The evidence does not belong to this session.
 */
#define ATLS_BINDING_MISMATCH 406

/*
 The event log contradicts itself or the quote.
 */
#define ATLS_EVENT_LOG_INVALID 407

/*
 No collateral source answered.
 */
#define ATLS_COLLATERAL_UNAVAILABLE 408

/*
 The collateral is expired, rolled back, for another platform or not signed by the vendor.
 */
#define ATLS_COLLATERAL_INVALID 409

/*
 A simulated root without both opt-ins.
 */
#define ATLS_TRUST_ANCHOR 410

/*
 The peer's HTTP/1.1 is malformed.
 */
#define ATLS_HTTP_PROTOCOL 501

/*
 A header that the caller gave is not allowed.
 */
#define ATLS_HTTP_HEADER_INVALID 502

/*
 The tunnel server refused the target; see atls_error_http_status.
 */
#define ATLS_TUNNEL_REFUSED 510

/*
 The WebSocket under a tunnel broke its protocol.
 */
#define ATLS_WEBSOCKET 511

/*
 The library failed inside and caught itself. The handle involved is not usable any more.
 */
#define ATLS_PANIC 901

/*
 Something impossible was noticed.
 */
#define ATLS_INTERNAL 902

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 The name of a status without its prefix, for example "TIMED_OUT"; "UNKNOWN" for numbers of later versions. Static.
 */
struct atls_str atls_status_name(atls_status status);

/*
 First byte; never NULL, valid as long as the caller holds the buffer.
 */
const uint8_t *atls_buf_data(const struct atls_buf *buf);

/*
 Number of bytes; 0 for NULL.
 */
size_t atls_buf_len(const struct atls_buf *buf);

/*
 Copies `len` bytes into a new buffer. Statuses: NULL_ARGUMENT.
 */
atls_status atls_buf_copy(const uint8_t *data, size_t len, struct atls_buf **buf, struct atls_error **error);

/*
 Wraps the caller's memory without copying. The library reads it until the last reference is gone, then calls
 `release(user_data)` once, on whichever thread that happens. Statuses: NULL_ARGUMENT, and then `release` is not called.
 */
atls_status atls_buf_wrap(const uint8_t *data,
                          size_t len,
                          void (*release)(void *user_data),
                          void *user_data,
                          struct atls_buf **buf,
                          struct atls_error **error);

/*
 Adds a reference; returns `buf` for convenience, NULL for NULL.
 */
struct atls_buf *atls_buf_ref(struct atls_buf *buf);

/*
 Drops a reference.
 */
void atls_buf_free(struct atls_buf *buf);

/*
 The status that goes with the error; OK for NULL.
 */
atls_status atls_error_status(const struct atls_error *error);

/*
 One sentence in English with all causes, joined by ": ". Valid as long as the error; "" for NULL.
 */
struct atls_str atls_error_message(const struct atls_error *error);

/*
 Where it happened: "call", "dns", "connect", "tunnel", "tls", "evidence", "collateral", "verify" or "transfer". Valid as long as
 the error; "" for NULL.
 */
struct atls_str atls_error_phase(const struct atls_error *error);

/*
 `errno` of the system call that failed, 0 where none did.
 */
int32_t atls_error_os_errno(const struct atls_error *error);

/*
 TLS alert number (RFC 8446 section 6), -1 where none was sent or received.
 */
int32_t atls_error_tls_alert(const struct atls_error *error);

/*
 HTTP status that caused the error (evidence exchange, tunnel, collateral), 0 where none did.
 */
uint32_t atls_error_http_status(const struct atls_error *error);

/*
 Whether the same call may succeed later without a change on the caller's side.
 */
bool atls_error_retryable(const struct atls_error *error);

/*
 The verdict that refused the server as JSON, "" where no judgement was reached. Valid as long as the error.
 */
struct atls_str atls_error_report_json(const struct atls_error *error);

/*
 The verdict that refused the server, NULL where no judgement was reached. Borrowed: valid as long as the error.
 */
const struct atls_verdict *atls_error_verdict(const struct atls_error *error);

/*
 Adds a reference; returns `error`.
 */
struct atls_error *atls_error_ref(struct atls_error *error);

/*
 Drops a reference.
 */
void atls_error_free(struct atls_error *error);

/*
 Version of the library in use, for example "0.1.0". Static.
 */
struct atls_str atls_version(void);

/*
 Version of the library in use, as ATLS_VERSION_NUMBER.
 */
uint32_t atls_version_number(void);

/*
 Whether this build has a part (ATLS_HAS_*). Functions of an absent part exist and answer UNSUPPORTED.
 */
bool atls_has(uint32_t part);

/*
 Sends the library's log lines up to `level` to `callback`, for the whole process. Without a callback the library is silent; it
 never writes to stdout or stderr. With NULL this is a barrier: when it returns no call is running. Lines hold no secrets and no
 payload, but host names.
 */
void atls_log_set(uint32_t level,
                  atls_log_fn callback,
                  void *user_data);

/*
 Parses and validates a policy, JSON of `len` bytes: a `dstack_tdx` document, or `any_of` with several. Unknown fields, empty
 lists and wrong lengths are errors. Statuses: NULL_ARGUMENT; POLICY_INVALID with the path of the field and the bad value;
 UNSUPPORTED for what this version would not enforce.
 */
atls_status atls_policy_new(const uint8_t *json,
                            size_t len,
                            struct atls_policy **policy,
                            struct atls_error **error);

/*
 Adds a reference; returns `policy`.
 */
struct atls_policy *atls_policy_ref(struct atls_policy *policy);

/*
 Drops a reference.
 */
void atls_policy_free(struct atls_policy *policy);

/*
 Whether every check that ran passed and the mandatory ones ran. False for NULL.
 */
bool atls_verdict_trusted(const struct atls_verdict *verdict);

/*
 OK if trusted, else the status of the first check that failed.
 */
atls_status atls_verdict_status(const struct atls_verdict *verdict);

/*
 Kind of TEE that the evidence speaks of: "tdx". Static.
 */
struct atls_str atls_verdict_tee_type(const struct atls_verdict *verdict);

/*
 Status of the platform's TCB, for example "UpToDate"; "" where the quote does not hold. Valid as long as the verdict.
 */
struct atls_str atls_verdict_tcb_status(const struct atls_verdict *verdict);

/*
 Which root the quote leads to: "intel", or "simulated" for tests. Valid as long as the verdict.
 */
struct atls_str atls_verdict_trust_anchor(const struct atls_verdict *verdict);

/*
 Whether the evidence was checked to belong to a TLS session; false where the caller asked to skip that.
 */
bool atls_verdict_bound_to_session(const struct atls_verdict *verdict);

/*
 Number of security advisories that apply to the platform.
 */
size_t atls_verdict_advisory_count(const struct atls_verdict *verdict);

/*
 The advisory at `index`, for example "INTEL-SA-00960"; "" past the end. Valid as long as the verdict.
 */
struct atls_str atls_verdict_advisory(const struct atls_verdict *verdict, size_t index);

/*
 Number of checks.
 */
size_t atls_verdict_check_count(const struct atls_verdict *verdict);

/*
 Stable name of the check at `index`, for example "report_data"; "" past the end. Valid as long as the verdict.
 */
struct atls_str atls_verdict_check_name(const struct atls_verdict *verdict, size_t index);

/*
 What the policy or the session asked for. Valid as long as the verdict.
 */
struct atls_str atls_verdict_check_expected(const struct atls_verdict *verdict, size_t index);

/*
 What the evidence shows. Valid as long as the verdict.
 */
struct atls_str atls_verdict_check_actual(const struct atls_verdict *verdict, size_t index);

/*
 ATLS_CHECK_PASS, _FAIL or _SKIPPED; FAIL past the end.
 */
uint32_t atls_verdict_check_outcome(const struct atls_verdict *verdict, size_t index);

/*
 The whole verdict as one JSON object: trusted, tee_type, tcb_status, advisory_ids, trust_anchor, bound_to_session, checks,
 application, measurements, platform and collateral dates. Valid as long as the verdict.
 */
struct atls_str atls_verdict_json(const struct atls_verdict *verdict);

/*
 Adds a reference; returns `verdict`.
 */
struct atls_verdict *atls_verdict_ref(const struct atls_verdict *verdict);

/*
 Drops a reference.
 */
void atls_verdict_free(struct atls_verdict *verdict);

/*
 An empty question; NULL in a forked child only.
 */
struct atls_verification *atls_verification_new(void);

/*
 Frees the builder.
 */
void atls_verification_free(struct atls_verification *verification);

/*
 The evidence, as JSON: an answer of `POST /tdx_quote` or the guest agent's object with `quote` (hex) and `event_log`. Copied.
 Statuses: NULL_ARGUMENT, EVIDENCE_INVALID.
 */
atls_status atls_verification_set_evidence_json(struct atls_verification *verification,
                                                const uint8_t *json,
                                                size_t len,
                                                struct atls_error **error);

/*
 The evidence, as a binary quote and the JSON text of its event log. NULL for a stored quote of which there is no log: that is
 judged only without session binding and under a policy that names no application. Copied. Statuses: NULL_ARGUMENT,
 INVALID_UTF8.
 */
atls_status atls_verification_set_quote(struct atls_verification *verification,
                                        const uint8_t *quote,
                                        size_t quote_len,
                                        const uint8_t *event_log,
                                        size_t event_log_len,
                                        struct atls_error **error);

/*
 The vendor's collateral, as JSON (the form that atls_verifier_export_collateral and dcap-qvl write). Copied; a PCK chain in it
 is ignored, the one in the quote counts. Statuses: NULL_ARGUMENT, COLLATERAL_INVALID.
 */
atls_status atls_verification_set_collateral_json(struct atls_verification *verification,
                                                  const uint8_t *json,
                                                  size_t len,
                                                  struct atls_error **error);

/*
 The policy to judge by. Statuses: NULL_ARGUMENT.
 */
atls_status atls_verification_set_policy(struct atls_verification *verification,
                                         const struct atls_policy *policy,
                                         struct atls_error **error);

/*
 The time to judge for, in seconds since 1970-01-01 UTC: certificates, CRLs and TCB documents must be valid then. Statuses:
 NULL_ARGUMENT.
 */
atls_status atls_verification_set_time(struct atls_verification *verification,
                                       uint64_t unix_seconds,
                                       struct atls_error **error);

/*
 The session that the evidence must belong to: the verifier's 32-byte nonce, the 32-byte TLS exporter value (label
 "EXPORTER-Channel-Binding", no context) and the DER of the server's leaf certificate. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
 */
atls_status atls_verification_set_session(struct atls_verification *verification,
                                          const uint8_t *nonce,
                                          size_t nonce_len,
                                          const uint8_t *exporter,
                                          size_t exporter_len,
                                          const uint8_t *leaf_der,
                                          size_t leaf_der_len,
                                          struct atls_error **error);

/*
 Judges the evidence alone, whatever session it came from. Never right for deciding whether to talk to a server: anybody can
 replay evidence. The verdict then says that it is not bound to a session. Statuses: NULL_ARGUMENT.
 */
atls_status atls_verification_skip_binding(struct atls_verification *verification,
                                           struct atls_error **error);

/*
 For tests: quotes must lead to this simulator's root (DER) instead of the vendor's. The policy must consent with
 `"allow_simulated": true`, else atls_verify answers TRUST_ANCHOR. Statuses: NULL_ARGUMENT, INVALID_ARGUMENT.
 */
atls_status atls_verification_set_simulated_root(struct atls_verification *verification,
                                                 const uint8_t *root_der,
                                                 size_t root_der_len,
                                                 struct atls_error **error);

/*
 Judges. Pure: the same question has the same answer at any time on any machine; about a millisecond of CPU. OK means that a
 verdict was reached, not that it is favourable: ask atls_verdict_trusted. Statuses: NULL_ARGUMENT, INVALID_STATE (a piece is
 missing: evidence, collateral, policy, time, or session or the wish to skip it), TRUST_ANCHOR.
 */
atls_status atls_verify(const struct atls_verification *verification,
                        struct atls_verdict **verdict,
                        struct atls_error **error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif /* ATLS_H */
