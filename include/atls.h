/**
 * \file atls.h
 * Attested TLS for C: prove that a server runs inside a TEE, then talk to it.
 *
 * Generated from src/capi by `cargo xtask header`: edit there. Licence: MIT OR Apache-2.0.
 *
 * \par Contents
 * First come rules for everything, then chapters, each with its types, constants and functions.
 *
 * 1. Statuses
 * 2. Buffers
 * 3. Errors
 * 4. Versions
 * 5. Policy and verdict
 * 6. Attestation results
 * 7. Events
 * 8. Configuration
 * 9. Streams
 * 10. Heads and header fields
 * 11. Requests
 * 12. HTTP connections
 * 13. Exchanges
 * 14. Client
 * 15. Server
 * 16. Evidence
 * 17. Forms
 * 18. Tunnel server
 * 19. Verification
 * 20. HTTP/1.1 without I/O
 * 21. HTTP/1.1 driver
 * 22. Texts
 * 23. Log
 *
 * \par Example
 * A request to a server that must satisfy a policy. Blocking, so no runtime and no queue is needed.
 *
 * \code{.c}
 * int fetch(atls_config *config, const atls_policy *policy, const char *host, const char *path)
 * {
 *     atls_error *error = NULL;
 *     atls_http *http = NULL;
 *     atls_request *request = NULL;
 *     atls_exchange *exchange = NULL;
 *     atls_buf *body = NULL;
 *     atls_status status = atls_config_set_policy(config, policy, &error);
 *     if (status == ATLS_OK) status = atls_http_connect(config, &http, &error);
 *     if (status == ATLS_OK) status = atls_request_new("GET", path, host, &request, &error);
 *     if (status == ATLS_OK) status = atls_http_fetch(http, request, &exchange, &error);
 *     if (status == ATLS_OK) status = atls_exchange_read_all(exchange, 1 << 20, 0, &body, &error);
 *     if (status == ATLS_OK) fwrite(atls_buf_data(body), 1, atls_buf_len(body), stdout);
 *     else fprintf(stderr, "%s\n", atls_error_message(error).ptr);
 *     atls_buf_free(body);
 *     atls_exchange_free(exchange);
 *     atls_request_free(request);
 *     atls_http_free(http);
 *     atls_error_free(error);
 *     return status == ATLS_OK ? 0 : 1;
 * }
 * \endcode
 *
 * \par Rules for every function
 * Comments below do not repeat them.
 *
 * - `_new` and each call that starts or connects something give the caller one reference, `_ref`
 *   adds one, `_free` drops one. `_free` accepts NULL, never blocks, and may be called on any
 *   thread, also in callbacks.
 * - A call that fails takes ownership of nothing and writes nothing but `*error`. That argument may
 *   be NULL; the error is the caller's to free.
 * - Reference-counted handles may be used from any thread. Builders (`atls_*_config`, atls_request,
 *   atls_verification) belong to one thread at a time and are copied when used. So do atls_h1_conn
 *   and atls_h1_header_list, which are not copied.
 * - A pointer may be NULL only if it is marked ATLS_NULLABLE. Elsewhere NULL is harmless, and the
 *   call returns ATLS_NULL_ARGUMENT.
 * - Names, hosts, paths and PEM are NUL-terminated UTF-8. To the library such a string ends at its
 *   first NUL: a binding whose strings can contain one must refuse those itself.
 * - Bytes are an atls_bytes (atls_bytes_of()); if the length is 0 the pointer may be NULL.
 * - A function that starts events has `_start` in its name; the same name without it blocks.
 * - Outputs come last, before `error`.
 * - Text that a getter returns is an atls_str: borrowed, NUL-terminated, "" for none. Bytes that a
 *   getter returns, and text or bytes that a call creates as its output, are an atls_buf, which is
 *   the caller's to free.
 * - Durations are in milliseconds. 0 means the default, UINT32_MAX means no limit.
 * - Enumerations are open: later versions add values, so expect values that you do not know.
 * - In the child of a fork, calls return ATLS_FORKED and `_free` leaks.
 * - Callbacks must not throw, longjmp or block for long. Those of a dispatching queue run one at a
 *   time, on a thread of the library.
 *
 * \par Rules for events
 * They hold for every operation that takes an atls_sink.
 *
 * - Events of one source come in order and never at the same time.
 * - After a successful start exactly one ATLS_EVENT_CLOSED comes, last, whatever happens. Then
 *   `sink.drop(user_data)` runs, once.
 * - After a failed start no event comes, and `drop` does not run.
 * - Ignore event kinds that you do not know.
 */
#ifndef ATLS_H
#define ATLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(nullability)
#define ATLS_NULLABLE _Nullable
#define ATLS_NONNULL _Nonnull
#define ATLS_BEGIN                                                                                 \
    _Pragma("clang diagnostic push")                                                               \
    _Pragma("clang diagnostic ignored \"-Wnullability-extension\"")                                \
    _Pragma("clang diagnostic ignored \"-Wfixed-enum-extension\"")                                 \
    _Pragma("clang assume_nonnull begin")
#define ATLS_END _Pragma("clang assume_nonnull end") _Pragma("clang diagnostic pop")
#endif
#endif
#ifndef ATLS_NULLABLE
/** A pointer that may be NULL. A pointer without a mark is not. */
#define ATLS_NULLABLE
/** A pointer that is not NULL, where the mark cannot be left out. */
#define ATLS_NONNULL
#define ATLS_BEGIN
#define ATLS_END
#endif

#if defined(__clang__)
#if __has_attribute(enum_extensibility)
#define ATLS_OPEN __attribute__((enum_extensibility(open)))
#endif
#endif
#ifndef ATLS_OPEN
/** Marks an enumeration that may have values which the header does not list. */
#define ATLS_OPEN
#endif
#if !defined(__clang__) && !(defined(__cplusplus) && __cplusplus >= 201103L)                       \
    && !(defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L)
/**
 * An enumeration whose values are of a known type, so that the ABI does not depend on the compiler.
 * C++11, C23 and clang (and so Swift) see an enumeration, others the type and constants.
 */
#define ATLS_ENUM(name, type)                                                                      \
    typedef type name;                                                                             \
    enum
#else
#define ATLS_ENUM(name, type)                                                                      \
    enum ATLS_OPEN name : type;                                                                    \
    typedef enum name name;                                                                        \
    enum ATLS_OPEN name : type
#endif

#ifdef __cplusplus
extern "C" {
#endif

ATLS_BEGIN

/* 1. Statuses ---------------------------------------------------------------------------------- */

/**
 * \defgroup atls_statuses Statuses
 *
 * Every call that can fail returns a status. Its number says what kind of failure it was, so that
 * programs can branch on it. What exactly went wrong is in the error that comes with it.
 *
 * \{
 */

/**
 * What a call answers, or why an operation ended. Numbers never change or get reused; new ones are
 * added. A program that meets one it does not know should go by its hundred: 1xx the call was
 * wrong, 2xx system or time, 3xx TLS, 4xx attestation, 5xx HTTP or tunnel, 9xx a defect of the
 * library.
 */
ATLS_ENUM(atls_status, int32_t) {
    /** Success. */
    ATLS_OK = 0,
    /** A pointer that must not be NULL is. */
    ATLS_NULL_ARGUMENT = 101,
    /** An argument has an impossible value; the message names it. */
    ATLS_INVALID_ARGUMENT = 102,
    /** Text that must be UTF-8 is not. */
    ATLS_INVALID_UTF8 = 103,
    /** The call is not possible in the current state of the object. */
    ATLS_INVALID_STATE = 104,
    /** Nothing was taken; try again after the next WRITABLE event (or when data has come). */
    ATLS_AGAIN = 105,
    /** The stream or connection is closed. */
    ATLS_CLOSED = 106,
    /** The process forked after the library was started; the child cannot use it. */
    ATLS_FORKED = 107,
    /** A blocking call from a callback or a thread of the library would wait for itself. */
    ATLS_WOULD_DEADLOCK = 108,
    /** Known, but not part of this version. */
    ATLS_UNSUPPORTED = 109,
    /** The connection still carries the previous exchange. */
    ATLS_BUSY = 110,
    /** The policy document is invalid; the message has the path of the field. */
    ATLS_POLICY_INVALID = 111,
    /** A system call on a socket failed; see atls_error_os_errno(). */
    ATLS_IO = 201,
    /** The host name could not be resolved. */
    ATLS_DNS = 202,
    /** A deadline passed; the message names the phase. */
    ATLS_TIMED_OUT = 203,
    /** Canceled by the caller or by a shutdown. */
    ATLS_CANCELED = 204,
    /** The connection ended in the middle of a message. */
    ATLS_TRUNCATED = 205,
    /**
     * The system could not provide a thread or random numbers. The object on which the call was
     * made is unchanged.
     */
    ATLS_NO_RESOURCES = 206,
    /** The TLS handshake or record layer failed; see atls_error_tls_alert(). */
    ATLS_TLS_HANDSHAKE = 301,
    /** The peer's certificate is not acceptable: chain, dates or name. */
    ATLS_TLS_CERTIFICATE = 302,
    /** The peer does not support TLS 1.3. */
    ATLS_TLS_VERSION = 303,
    /** The peer gave no evidence, or this side could not obtain its own. */
    ATLS_NO_EVIDENCE = 401,
    /** The evidence cannot be parsed. */
    ATLS_EVIDENCE_INVALID = 402,
    /** The quote is malformed, or its signatures do not lead to the trust anchor. */
    ATLS_QUOTE_INVALID = 403,
    /**
     * The platform is revoked, or older than anything the vendor's documents vouch for, or the
     * policy does not accept its TCB.
     */
    ATLS_TCB_REJECTED = 404,
    /**
     * What runs there is not what the policy names, or is a TD that its host can inspect, disturb
     * or migrate.
     */
    ATLS_MEASUREMENT_MISMATCH = 405,
    /** The evidence does not belong to this session. */
    ATLS_BINDING_MISMATCH = 406,
    /** The event log contradicts itself or the quote. */
    ATLS_EVENT_LOG_INVALID = 407,
    /** No collateral source answered. */
    ATLS_COLLATERAL_UNAVAILABLE = 408,
    /**
     * One of the vendor's documents is expired, not yet valid, rolled back, for another platform or
     * not signed by the vendor: the message names it.
     */
    ATLS_COLLATERAL_INVALID = 409,
    /** A simulated root without both opt-ins. */
    ATLS_TRUST_ANCHOR = 410,
    /** No policy covers the host, and the client does not allow unattested connections. */
    ATLS_POLICY_REQUIRED = 411,
    /** The server refused this side's evidence, or requires evidence that this side cannot give. */
    ATLS_EVIDENCE_REFUSED = 412,
    /**
     * The other side can give evidence, but was too busy for it until the deadline passed, or did
     * not say when to ask again. Another try may succeed.
     */
    ATLS_EVIDENCE_BUSY = 413,
    /**
     * The policy only measures (atls_policy_new_measuring()), and so accepts nothing. Nothing else
     * is wrong: the evidence is authentic, belongs to the session, and its documents hold. The
     * verdict says what was seen.
     */
    ATLS_ONLY_MEASURED = 414,
    /** The peer's HTTP/1.1 is malformed. */
    ATLS_HTTP_PROTOCOL = 501,
    /** A header that the caller gave is not allowed. */
    ATLS_HTTP_HEADER_INVALID = 502,
    /** A redirect would leave an attested origin, and the request does not allow that. */
    ATLS_REDIRECT_REFUSED = 503,
    /** A content coding that was not asked for, or that cannot be decoded. */
    ATLS_CONTENT_CODING = 504,
    /** The response body is larger than the request allows. */
    ATLS_BODY_TOO_LARGE = 505,
    /** The tunnel server or proxy refused the target; see atls_error_http_status(). */
    ATLS_TUNNEL_REFUSED = 510,
    /** The WebSocket under a tunnel broke its protocol. */
    ATLS_WEBSOCKET = 511,
    /** What the caller wants to send on an atls_h1_conn is not HTTP, or not possible now. */
    ATLS_H1_LOCAL = 520,
    /**
     * The peer of an atls_h1_conn violated the protocol; atls_error_http_status() is what a server
     * might answer.
     */
    ATLS_H1_REMOTE = 521,
    /** The library failed internally and recovered. The handle involved is no longer usable. */
    ATLS_PANIC = 901,
    /** An internal invariant was violated. */
    ATLS_INTERNAL = 902,
};

/** \} */

/* 2. Buffers ----------------------------------------------------------------------------------- */

/**
 * \defgroup atls_buffers Buffers
 *
 * Text and bytes cross the boundary in three types. atls_str and atls_bytes are borrowed: something
 * else owns them, and comments say how long they are valid. An atls_buf is owned, shared by
 * reference and never copied.
 *
 * \{
 */

typedef struct atls_error atls_error; /**< Described in "Errors". */

/**
 * Borrowed text, valid as long as the object that it came from, which the function that returns it
 * names.
 */
typedef struct atls_str {
    /** Never NULL. */
    const char *ptr;
    /** Bytes, without the NUL. */
    size_t len;
} atls_str;

/**
 * Borrowed bytes, not NUL-terminated. As an input, `ptr` may be NULL if `len` is 0. As an output,
 * `ptr` is never NULL.
 */
typedef struct atls_bytes {
    /** The first byte. */
    const uint8_t *ATLS_NULLABLE ptr;
    /** How many there are. */
    size_t len;
} atls_bytes;

/**
 * Immutable bytes. Reference-counted; safe to share between threads. The buffer of a DATA event is
 * a view of what the network layer received: to keep it copies nothing, and keeps that memory
 * alive.
 */
typedef struct atls_buf atls_buf;

/** Returns the first byte; never NULL. Valid as long as the caller holds the buffer. */
const uint8_t *atls_buf_data(const atls_buf *buf);

/** Returns the number of bytes; 0 for NULL. */
size_t atls_buf_len(const atls_buf *ATLS_NULLABLE buf);

/**
 * Copies `data` into a new buffer.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_buf_copy(atls_bytes data,
                          atls_buf *ATLS_NULLABLE *ATLS_NONNULL buf,
                          atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Wraps the caller's memory without copying. The library reads it until the last reference is
 * dropped, then calls `release(user_data)` once, on whatever thread drops it. If the call fails,
 * `release` is not called.
 *
 * \param release may be NULL.
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_buf_wrap(atls_bytes data,
                          void (*ATLS_NULLABLE release)(void *ATLS_NULLABLE user_data),
                          void *ATLS_NULLABLE user_data,
                          atls_buf *ATLS_NULLABLE *ATLS_NONNULL buf,
                          atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Adds a reference and returns `buf`; NULL for NULL. */
atls_buf *ATLS_NULLABLE atls_buf_ref(const atls_buf *ATLS_NULLABLE buf);

/** Drops a reference. */
void atls_buf_free(atls_buf *ATLS_NULLABLE buf);

/** `len` bytes at `data`, which may be NULL with a length of 0. */
static inline atls_bytes atls_bytes_of(const void *ATLS_NULLABLE data, size_t len)
{
    atls_bytes bytes;
    bytes.ptr = (const uint8_t *)data;
    bytes.len = len;
    return bytes;
}

/** The bytes of a string, without its NUL. NULL is no bytes. */
static inline atls_bytes atls_bytes_of_text(const char *ATLS_NULLABLE text)
{
    return atls_bytes_of(text, text ? strlen(text) : 0);
}

/** \} */

/* 3. Errors ------------------------------------------------------------------------------------ */

/**
 * \defgroup atls_errors Errors
 *
 * An error holds everything known about a failure: a sentence for people, and fields for programs.
 * A call that fails writes one to its last argument, unless that is NULL. If a connection fails
 * later, its last event carries one.
 *
 * \{
 */

typedef struct atls_verdict atls_verdict; /**< Described in "Policy and verdict". */

/**
 * What exactly went wrong, if one status covers several causes (atls_error_detail()). Each names
 * the statuses that it comes with.
 */
ATLS_ENUM(atls_detail, uint32_t) {
    /** TIMED_OUT: the request was not given a connection in time (ATLS_REQUEST_DEADLINE_QUEUE). */
    ATLS_DETAIL_QUEUE_TIMEOUT = 1,
    /** TIMED_OUT: connecting (atls_config_set_timeouts(), ATLS_REQUEST_DEADLINE_CONNECT). */
    ATLS_DETAIL_CONNECT_TIMEOUT = 2,
    /** TIMED_OUT: the TLS handshake. */
    ATLS_DETAIL_TLS_TIMEOUT = 3,
    /** TIMED_OUT: the evidence exchange. */
    ATLS_DETAIL_EVIDENCE_TIMEOUT = 4,
    /** TIMED_OUT: the response head did not arrive in time (ATLS_REQUEST_DEADLINE_HEAD). */
    ATLS_DETAIL_HEAD_TIMEOUT = 5,
    /**
     * TIMED_OUT: one request of a chain of redirects was not answered in time
     * (ATLS_REQUEST_DEADLINE_FIRST_BYTE).
     */
    ATLS_DETAIL_FIRST_BYTE_TIMEOUT = 6,
    /** TIMED_OUT: the body made no progress (ATLS_REQUEST_DEADLINE_IDLE). */
    ATLS_DETAIL_IDLE_TIMEOUT = 7,
    /** TIMED_OUT: the exchange as a whole took too long (ATLS_REQUEST_DEADLINE_TOTAL). */
    ATLS_DETAIL_TOTAL_TIMEOUT = 8,
    /** TIMED_OUT: the timeout of this call. The operation continues. */
    ATLS_DETAIL_CALL_TIMEOUT = 9,
    /**
     * HTTP_PROTOCOL or H1_REMOTE, as for the details that follow: the status line or, on a server,
     * the request line is malformed.
     */
    ATLS_DETAIL_BAD_START_LINE = 20,
    /** HTTP_PROTOCOL: a header field is malformed. */
    ATLS_DETAIL_BAD_HEADER = 21,
    /** HTTP_PROTOCOL: the head has too many header fields or is too long. */
    ATLS_DETAIL_HEAD_TOO_LARGE = 22,
    /** HTTP_PROTOCOL: Content-Length is not a number. */
    ATLS_DETAIL_BAD_CONTENT_LENGTH = 23,
    /** HTTP_PROTOCOL: there are several Content-Length header fields with different values. */
    ATLS_DETAIL_UNEQUAL_CONTENT_LENGTH = 24,
    /** HTTP_PROTOCOL: Transfer-Encoding is not "chunked". */
    ATLS_DETAIL_BAD_TRANSFER_ENCODING = 25,
    /** HTTP_PROTOCOL: there are both Transfer-Encoding and Content-Length. */
    ATLS_DETAIL_BOTH_LENGTHS = 26,
    /** HTTP_PROTOCOL: a 1xx or 204 response announces a body. */
    ATLS_DETAIL_UNEXPECTED_BODY = 27,
    /** HTTP_PROTOCOL: the framing of a chunk is malformed. */
    ATLS_DETAIL_BAD_CHUNK = 28,
    /**
     * TRUNCATED: TLS ended without close_notify, so anybody on the path may have cut the body
     * short.
     */
    ATLS_DETAIL_NO_CLOSE_NOTIFY = 29,
    /** REDIRECT_REFUSED: the redirect leaves an attested origin. */
    ATLS_DETAIL_REDIRECT_LEAVES = 40,
    /** REDIRECT_REFUSED: the redirect leads from https: to http:. */
    ATLS_DETAIL_REDIRECT_DOWNGRADES = 41,
    /** HTTP_PROTOCOL or UNSUPPORTED: Location is not a usable URL. */
    ATLS_DETAIL_BAD_LOCATION = 42,
    /** TUNNEL_REFUSED: the proxy rejected the credentials or requires some. */
    ATLS_DETAIL_PROXY_LOGIN = 50,
    /** TUNNEL_REFUSED: the proxy refuses to connect to this destination. */
    ATLS_DETAIL_PROXY_REFUSED = 51,
    /** CONTENT_CODING: the response has a coding that was not asked for. */
    ATLS_DETAIL_UNKNOWN_CODING = 60,
    /** CONTENT_CODING: the body cannot be decoded. */
    ATLS_DETAIL_BAD_CODING = 61,
    /** TRUNCATED: the body ended before its coding did. */
    ATLS_DETAIL_TRUNCATED_CODING = 62,
    /** There were more informational (1xx) responses than the request allows. */
    ATLS_DETAIL_TOO_MANY_INFORMATIONAL = 70,
    /**
     * The server answered 101 (Switching Protocols) to a request that did not ask for an upgrade.
     */
    ATLS_DETAIL_UNASKED_UPGRADE = 71,
    /** AGAIN: a streamed body must be written again from its beginning (atls_exchange_rewind()). */
    ATLS_DETAIL_REWIND = 72,
    /** IO: the peer reset the connection, or no longer answers TCP keepalive probes. */
    ATLS_DETAIL_PEER_GONE = 80,
    /** CANCELED: the server was closed, or draining it took too long. */
    ATLS_DETAIL_SERVER_CLOSED = 81,
    /**
     * HTTP_PROTOCOL or H1_REMOTE: the peer closed its sending direction in the middle of a message.
     */
    ATLS_DETAIL_MESSAGE_CUT = 82,
    /**
     * CLOSED, over HTTP/2: the server has said that it has done nothing with the request. It can be
     * sent again, whatever its method.
     */
    ATLS_DETAIL_NOT_PROCESSED = 83,
    /**
     * TRUNCATED, over HTTP/2: the server has reset the request's stream. Others on the connection
     * go on.
     */
    ATLS_DETAIL_STREAM_RESET = 84,
    /** INVALID_STATE: the clock of this machine is before 1970 or after 9999. */
    ATLS_DETAIL_CLOCK = 110,
    /** NO_RESOURCES: no thread could be started. */
    ATLS_DETAIL_NO_THREAD = 130,
    /** NO_RESOURCES: the system gave no random numbers. */
    ATLS_DETAIL_NO_RANDOM = 131,
    /**
     * INVALID_STATE: a blocking call was made in an exit handler or in a destructor of thread-local
     * storage, where I/O is no longer possible.
     */
    ATLS_DETAIL_THREAD_ENDING = 132,
};

/** A failure. Immutable, reference-counted, safe to share between threads. */
struct atls_error;

/** The status that goes with the error; OK for NULL. */
atls_status atls_error_status(const atls_error *ATLS_NULLABLE error);

/**
 * Returns one sentence in English with all causes, joined by ": "; "" for NULL. Valid as long as
 * the error.
 */
atls_str atls_error_message(const atls_error *ATLS_NULLABLE error);

/**
 * Returns where it failed: "call", "queue", "dns", "connect", "tunnel", "tls", "evidence",
 * "collateral", "verify" or "transfer"; "" for NULL. Valid as long as the error.
 */
atls_str atls_error_phase(const atls_error *ATLS_NULLABLE error);

/**
 * Returns the exact cause if one status covers several, else 0. Ignore values that you do not know.
 */
atls_detail atls_error_detail(const atls_error *ATLS_NULLABLE error);

/** Returns the `errno` of the system call that failed; 0 if none did. */
int32_t atls_error_os_errno(const atls_error *ATLS_NULLABLE error);

/** Returns the number of the TLS alert (RFC 8446 section 6); -1 if none was sent or received. */
int32_t atls_error_tls_alert(const atls_error *ATLS_NULLABLE error);

/**
 * Returns the HTTP status that caused the error (evidence exchange, tunnel, collateral); 0 if none
 * did. With H1_REMOTE, the status that a server might answer with: 400, 431, 501 or 505.
 */
uint32_t atls_error_http_status(const atls_error *ATLS_NULLABLE error);

/**
 * Returns address and port of the other end of the connection; "" if they are not known. Only
 * errors of REFUSED events, and of the CLOSED events of server requests and adopted drivers, have
 * them. Valid as long as the error.
 */
atls_str atls_error_peer(const atls_error *ATLS_NULLABLE error);

/** Returns whether the same call may succeed later without any change by the caller. */
bool atls_error_retryable(const atls_error *ATLS_NULLABLE error);

/**
 * Returns the verdict that refused the peer, as JSON; "" if none was reached. Valid as long as the
 * error.
 */
atls_str atls_error_report_json(const atls_error *ATLS_NULLABLE error);

/**
 * Returns the verdict that refused the peer; NULL if none was reached. Borrowed: valid as long as
 * the error.
 */
const atls_verdict *ATLS_NULLABLE atls_error_verdict(const atls_error *ATLS_NULLABLE error);

/** Adds a reference and returns `error`; NULL for NULL. */
atls_error *ATLS_NULLABLE atls_error_ref(const atls_error *ATLS_NULLABLE error);

/** Drops a reference. */
void atls_error_free(atls_error *ATLS_NULLABLE error);

/**
 * The name of a status without its prefix, for example "TIMED_OUT"; "UNKNOWN" for numbers of later
 * versions. Static.
 */
atls_str atls_status_name(atls_status status);

/** \} */

/* 4. Versions ---------------------------------------------------------------------------------- */

/**
 * \defgroup atls_versions Versions
 *
 * The header has a version, and so has the library that is loaded; they need not be the same. A
 * program can ask for both. It can also ask which optional parts the library was built with.
 *
 * \{
 */

/** Of the header. */
#define ATLS_VERSION_MAJOR 0

/** Of the header. */
#define ATLS_VERSION_MINOR 1

/** Of the header. */
#define ATLS_VERSION_PATCH 0

/**
 * Of the header: major * 1000000 + minor * 1000 + patch. Compare with atls_version_number(), which
 * is of the library in use.
 */
#define ATLS_VERSION_NUMBER 1000

/** Parts that a build may leave out (atls_has()). */
ATLS_ENUM(atls_part, uint32_t) {
    /** Evidence of TDX guests, under dstack and without it. */
    ATLS_HAS_TDX = 1,
    /** Connections through a WebSocket tunnel. */
    ATLS_HAS_TUNNEL = 2,
    /** Evidence of AMD SEV-SNP guests. */
    ATLS_HAS_SNP = 3,
    /** Evidence of AWS Nitro enclaves. */
    ATLS_HAS_NITRO = 4,
    /** Evidence of EC2 instances with a NitroTPM. */
    ATLS_HAS_NITRO_TPM = 5,
    /** Evidence of Azure's confidential virtual machines, by their TPM. */
    ATLS_HAS_AZURE_VTPM = 6,
    /** Evidence of Intel SGX enclaves. */
    ATLS_HAS_SGX = 7,
    /** Evidence of NVIDIA GPUs beside a machine's own. */
    ATLS_HAS_NVIDIA = 8,
};

/** Version of the library in use, for example "0.1.0". Static. */
atls_str atls_version(void);

/** Version of the library in use, as ATLS_VERSION_NUMBER. */
uint32_t atls_version_number(void);

/**
 * Returns whether this build has a part. Functions of an absent part exist and answer UNSUPPORTED.
 */
bool atls_has(atls_part part);

/** \} */

/* 5. Policy and verdict ------------------------------------------------------------------------ */

/**
 * \defgroup atls_policy_and_verdict Policy and verdict
 *
 * A policy says what a peer must prove about its hardware and its software. The verdict says, check
 * by check, what its evidence showed. With a policy, none of the program's data is sent until the
 * policy is satisfied.
 *
 * \{
 */

/**
 * A policy: what a peer must prove. Immutable and reference-counted; safe to share between threads
 * and connections.
 */
typedef struct atls_policy atls_policy;

/**
 * Parses and validates a policy: one member, such as a `dstack_tdx` or `snp` document, or `any_of`
 * with several (docs/policy.md). Unknown fields, empty lists and wrong lengths are errors. Unless
 * the document names collateral services, Intel's documents are fetched from
 * https://pccs.phala.network and AMD's from https://kdsintf.amd.com.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_POLICY_INVALID with the path of the field and the bad value
 * \retval ATLS_UNSUPPORTED for rules that this version could not enforce
 */
atls_status atls_policy_new(atls_bytes json,
                            atls_policy *ATLS_NULLABLE *ATLS_NONNULL policy,
                            atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Creates a policy that nothing satisfies, to see what a server is before there is a policy for it.
 * Connecting under it fetches evidence and the vendor's documents, judges both, sends none of the
 * program's data, and always fails: with ONLY_MEASURED if nothing else is wrong.
 * atls_error_verdict() then has the verdict, of which atls_verdict_draft_policy() makes a policy.
 * atls_verify() under it gives the same verdict of stored evidence, never a favourable one.
 *
 * Evidence of every kind is asked for, by exporter-v1 or else atlas-v1, and by exporter-v1 of
 * devices beside the machine. A server whose evidence depends on who asks may show another machine
 * later.
 *
 * \param settings a JSON object with any of the members `version`, `binding`, `identity` (without
 *     `require_key_event`), `collateral`, `ra_tls` and `allow_simulated` of a policy; or no bytes,
 *     for the defaults. Evidence that none of the protocols under `binding` carries is not asked
 *     for.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_POLICY_INVALID with the path of the field and the bad value
 * \retval ATLS_UNSUPPORTED
 */
atls_status atls_policy_new_measuring(atls_bytes settings,
                                      atls_policy *ATLS_NULLABLE *ATLS_NONNULL policy,
                                      atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Adds a reference and returns `policy`; NULL for NULL. */
atls_policy *ATLS_NULLABLE atls_policy_ref(const atls_policy *ATLS_NULLABLE policy);

/** Drops a reference. */
void atls_policy_free(atls_policy *ATLS_NULLABLE policy);

/**
 * The result of judging evidence. Immutable and reference-counted; safe to share between threads.
 */
struct atls_verdict;

/** The outcome of a check. */
ATLS_ENUM(atls_check, uint32_t) {
    /** The evidence satisfies the check. */
    ATLS_CHECK_PASS = 0,
    /** The evidence does not satisfy the check. */
    ATLS_CHECK_FAIL = 1,
    /**
     * Not judged: the policy does not require it, or an earlier failure left nothing to judge.
     * atls_verdict_check_actual() says which.
     */
    ATLS_CHECK_SKIPPED = 2,
};

/** Returns whether all mandatory checks ran and every check that ran passed; false for NULL. */
bool atls_verdict_trusted(const atls_verdict *ATLS_NULLABLE verdict);

/**
 * Returns OK if the evidence is trusted, else the status of the first check that failed;
 * NULL_ARGUMENT for NULL.
 */
atls_status atls_verdict_status(const atls_verdict *ATLS_NULLABLE verdict);

/**
 * Returns the kind of TEE that the evidence is about, by its name on the wire, for example "tdx" or
 * "snp". Valid as long as the verdict.
 */
atls_str atls_verdict_tee_type(const atls_verdict *verdict);

/**
 * Status of the platform's TCB, for example "UpToDate"; "" if the quote is not valid. Valid as long
 * as the verdict.
 */
atls_str atls_verdict_tcb_status(const atls_verdict *verdict);

/**
 * Returns which root the evidence must lead to: "intel", "amd" and so on, or "simulated" in tests.
 * Valid as long as the verdict.
 */
atls_str atls_verdict_trust_anchor(const atls_verdict *verdict);

/**
 * Returns whether the evidence was checked to belong to a TLS session; false if that check was
 * skipped on request, or if the evidence came in a certificate (RA-TLS), which ties it to a key
 * only.
 */
bool atls_verdict_bound_to_session(const atls_verdict *verdict);

/** Number of security advisories that apply to the platform. */
size_t atls_verdict_advisory_count(const atls_verdict *verdict);

/**
 * The advisory at `index`, for example "INTEL-SA-00960"; "" past the end. Valid as long as the
 * verdict.
 */
atls_str atls_verdict_advisory(const atls_verdict *verdict, size_t index);

/** Number of checks. */
size_t atls_verdict_check_count(const atls_verdict *verdict);

/**
 * Stable name of the check at `index`, for example "report_data"; "" past the end. Valid as long as
 * the verdict.
 */
atls_str atls_verdict_check_name(const atls_verdict *verdict, size_t index);

/** Returns what the policy or the session requires. Valid as long as the verdict. */
atls_str atls_verdict_check_expected(const atls_verdict *verdict, size_t index);

/** Returns what the evidence shows. Valid as long as the verdict. */
atls_str atls_verdict_check_actual(const atls_verdict *verdict, size_t index);

/** Returns the outcome of the check at `index`; FAIL past the end. */
atls_check atls_verdict_check_outcome(const atls_verdict *verdict, size_t index);

/**
 * Number of claims: what authentic evidence says of the machine and of what runs there, acceptable
 * or not; 0 if it is not authentic.
 */
size_t atls_verdict_claim_count(const atls_verdict *verdict);

/**
 * Name of the claim at `index`: its path in the JSON of the verdict (docs/verdict.md), for example
 * "measurements.rtmr1", "application.app-id" or "platform.fmspc"; "" past the end. Valid as long as
 * the verdict.
 */
atls_str atls_verdict_claim_name(const atls_verdict *verdict, size_t index);

/**
 * Returns what the claim at `index` says, as text: hex in lower case, numbers, "true" or "false";
 * "" past the end. Text may be the machine's own: escape it before you show it. Valid as long as
 * the verdict.
 */
atls_str atls_verdict_claim_value(const atls_verdict *verdict, size_t index);

/**
 * Returns the whole verdict as one JSON object, whose `version` is 1: docs/verdict.md explains each
 * member, docs/verdict.schema.json is its schema. Valid as long as the verdict.
 */
atls_str atls_verdict_json(const atls_verdict *verdict);

/**
 * Drafts a policy from what was seen, trusted or refused (atls_error_verdict()), and writes it to a
 * new buffer, as JSON that atls_policy_new() takes. It pins all that was measured: the same
 * evidence satisfies it, and evidence with another measurement does not; docs/policy.md says for
 * each type what it pins. It is a draft. What was seen is not what ought to run, and the draft is
 * only as good as the moment at which it was seen: compare it with values of your own computation
 * before you use it. A status other than UpToDate (atls_verdict_tcb_status()) is in its
 * allowed_tcb_status: tell whoever is to use it.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE the evidence, or that of a device beside it, is not authentic, its
 *     host can look into it, its platform is Revoked, it shows too little, or the verdict has found
 *     wrong what came with it, such as a dstack event log that is not the quote's
 * \retval ATLS_UNSUPPORTED no drafts for this kind
 */
atls_status atls_verdict_draft_policy(const atls_verdict *verdict,
                                      atls_buf *ATLS_NULLABLE *ATLS_NONNULL json,
                                      atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Adds a reference and returns `verdict`; NULL for NULL. */
atls_verdict *ATLS_NULLABLE atls_verdict_ref(const atls_verdict *ATLS_NULLABLE verdict);

/** Drops a reference. */
void atls_verdict_free(atls_verdict *ATLS_NULLABLE verdict);

/** \} */

/* 6. Attestation results ----------------------------------------------------------------------- */

/**
 * \defgroup atls_attestation_results Attestation results
 *
 * A verdict in the form in which verifiers report to others: an EAT Attestation Result, signed or
 * not. Who receives one relies on whoever signed it. It need not know anything of evidence.
 *
 * \{
 */

/**
 * A verdict as an EAT Attestation Result (EAR, draft-ietf-rats-ear-04), the form in which verifiers
 * report to parties that do not judge evidence themselves: a trustworthiness vector with a status,
 * beside all that the verdict says. docs/verdict.md has the mapping. A verdict that is not trusted
 * is always `contraindicated`, and so is any evidence under a simulator's root. A builder: one
 * thread at a time.
 */
typedef struct atls_ear atls_ear;

/** How a result is signed. */
ATLS_ENUM(atls_ear_algorithm, uint32_t) {
    /** ES256: ECDSA with P-256 and SHA-256; a signature has 64 bytes. */
    ATLS_EAR_ES256 = 0,
    /** ES384: ECDSA with P-384 and SHA-384; a signature has 96 bytes. */
    ATLS_EAR_ES384 = 1,
};

/**
 * Creates a result from a verdict, trusted or not.
 *
 * \param issued_at the time of the result, in seconds since 1970-01-01 UTC (`iat`); not 0.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_ear_new(const atls_verdict *verdict,
                         uint64_t issued_at,
                         atls_ear *ATLS_NULLABLE *ATLS_NONNULL ear,
                         atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Frees the builder. */
void atls_ear_free(atls_ear *ATLS_NULLABLE ear);

/**
 * Sets when the result ends to hold (`exp`), in seconds since 1970-01-01 UTC: after `issued_at`. By
 * default it says nothing of that.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_ear_set_expiry(atls_ear *ear,
                                uint64_t unix_seconds,
                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the nonce of the party that asks for the result (`eat_nonce`), 8 to 64 bytes, by which it
 * knows that the result is fresh. It is not the nonce that the evidence answered. By default there
 * is none.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_ear_set_nonce(atls_ear *ear,
                               atls_bytes nonce,
                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets who answers for the verifier and what it is (`ear_verifier_id`); by default the library and
 * its version.
 *
 * \param developer who is responsible for it, for example "https://verifier.example".
 * \param build the program and its version.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT empty
 */
atls_status atls_ear_set_verifier(atls_ear *ear,
                                  const char *developer,
                                  const char *build,
                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Adds the name of a policy that was applied (`ear_appraisal_policy_ids`), in general a URI. By
 * default none is named.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT empty
 */
atls_status atls_ear_add_policy_id(atls_ear *ear,
                                   const char *id,
                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Writes the claims set, as JSON, to a new buffer. It is not signed: it is worth as much as the way
 * by which it travels.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_ear_claims(const atls_ear *ear,
                            atls_buf *ATLS_NULLABLE *ATLS_NONNULL json,
                            atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Signs the result and writes it as a JSON Web Token in compact form (RFC 7519) to a new buffer.
 *
 * \param key a private key of P-256, which signs by ES256, or of P-384, by ES384; in PKCS#8, PEM or
 *     DER, not encrypted. It is not kept.
 * \param key_id names the key to those who verify (`kid`). May be NULL, for no name.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT the key
 */
atls_status atls_ear_sign(const atls_ear *ear,
                          atls_bytes key,
                          const char *ATLS_NULLABLE key_id,
                          atls_buf *ATLS_NULLABLE *ATLS_NONNULL token,
                          atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * For a key that the program cannot hand over, in a security module or a service: writes what has
 * to be signed to a new buffer. The bytes are the same at each call until the result is changed.
 * atls_ear_sign_with() makes the token of the signature.
 *
 * \param key_id as for atls_ear_sign(). May be NULL.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT the algorithm
 */
atls_status atls_ear_signing_input(const atls_ear *ear,
                                   atls_ear_algorithm algorithm,
                                   const char *ATLS_NULLABLE key_id,
                                   atls_buf *ATLS_NULLABLE *ATLS_NONNULL input,
                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Writes the token that consists of the input which atls_ear_signing_input() gave for the same
 * arguments, and its signature, to a new buffer. The signature is not verified.
 *
 * \param signature both numbers of the ECDSA signature, one after the other, as RFC 7518 has it:
 *     not in DER.
 * \param key_id as for atls_ear_signing_input(). May be NULL.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT the algorithm, or a signature of another length
 */
atls_status atls_ear_sign_with(const atls_ear *ear,
                               atls_ear_algorithm algorithm,
                               const char *ATLS_NULLABLE key_id,
                               atls_bytes signature,
                               atls_buf *ATLS_NULLABLE *ATLS_NONNULL token,
                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** \} */

/* 7. Events ------------------------------------------------------------------------------------ */

/**
 * \defgroup atls_events Events
 *
 * An event-driven operation runs on the threads of a runtime and reports what happens through a
 * queue. The host chooses how events arrive: in a callback, or when it asks for them. Blocking
 * calls need none of this.
 *
 * \{
 */

typedef struct atls_event atls_event; /**< Described in "Events". */
typedef struct atls_head atls_head; /**< Described in "Heads and header fields". */

/**
 * Worker threads on which event-driven connections live. Handles that were started on a runtime
 * keep it alive. Dropping the last reference shuts it down without waiting. Reference-counted; safe
 * to share between threads.
 */
typedef struct atls_runtime atls_runtime;

/**
 * Starts a runtime. Its threads are named atls-0 and so on.
 *
 * \param workers how many threads; 0 is the default, the number of processors but at most 4.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT more than 1024
 * \retval ATLS_NO_RESOURCES not all of the threads could be started, so none was
 * \retval ATLS_IO
 */
atls_status atls_runtime_new(uint32_t workers,
                             atls_runtime *ATLS_NULLABLE *ATLS_NONNULL runtime,
                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Cancels every operation of the runtime, waits until all CLOSED events have been delivered and
 * released, and ends the threads. Afterwards nothing can be started on it.
 *
 * \param timeout_ms 10 seconds by default.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_WOULD_DEADLOCK
 * \retval ATLS_TIMED_OUT for instance because nobody takes events from a polled queue; the threads
 *     then end by themselves
 */
atls_status atls_runtime_shutdown(const atls_runtime *runtime,
                                  uint32_t timeout_ms,
                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Adds a reference; returns `runtime`. */
atls_runtime *atls_runtime_ref(const atls_runtime *runtime);

/** Drops a reference. */
void atls_runtime_free(atls_runtime *ATLS_NULLABLE runtime);

/**
 * Events wait here for the host. Those that arise together on a thread of the library are announced
 * together, by one wake-up: at the latest when that thread has nothing more to do, calls a function
 * of the host, or has held one back for half a millisecond and ends the step at which it is. A host
 * that looks finds them before. Reference-counted; safe to share between threads.
 */
typedef struct atls_queue atls_queue;

/**
 * Creates a queue whose events are delivered to `sink.call` one after the other, on a thread of the
 * library.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_NO_RESOURCES
 */
atls_status atls_queue_new_dispatching(atls_queue *ATLS_NULLABLE *ATLS_NONNULL queue,
                                       atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Creates a queue from which the host takes events itself (atls_queue_next()). A file descriptor
 * tells when there are some (atls_queue_fd()).
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_IO
 */
atls_status atls_queue_new_polled(atls_queue *ATLS_NULLABLE *ATLS_NONNULL queue,
                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Creates a queue whose events are delivered at once, on the thread of the library on which they
 * arise: the fastest kind, for hosts that never block in a callback. Events of one source stay in
 * order; those of different sources may come at the same time.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_queue_new_inline(atls_queue *ATLS_NULLABLE *ATLS_NONNULL queue,
                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Returns a descriptor for poll, epoll, libuv or Go's netpoller, level-triggered: readable from
 * when events are announced until all that wait were taken. Never read from it. -1 for a queue that
 * is not polled. Valid as long as the queue.
 */
int32_t atls_queue_fd(const atls_queue *queue);

/**
 * Takes up to `max` events from a polled queue without waiting; `*count` says how many (0 is not an
 * error). `event_size` is sizeof(atls_event) in the header that the host was compiled with, and so
 * the distance from one event to the next: fields that the host does not know are left out, and
 * fields that the library does not know are zero. Each event must be released with
 * atls_event_release().
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT `event_size` is smaller than in version 0.1
 * \retval ATLS_INVALID_STATE not a polled queue
 */
atls_status atls_queue_next(const atls_queue *queue,
                            atls_event *events,
                            size_t event_size,
                            size_t max,
                            size_t *count,
                            atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_queue_next(), but waits for the first event. `*count` is 0 if the time is up or the
 * queue was stopped.
 *
 * \param timeout_ms 60 seconds by default; UINT32_MAX waits for ever.
 * \return ATLS_OK, as atls_queue_next(), or
 * \retval ATLS_WOULD_DEADLOCK
 */
atls_status atls_queue_wait(const atls_queue *queue,
                            atls_event *events,
                            size_t event_size,
                            size_t max,
                            uint32_t timeout_ms,
                            size_t *count,
                            atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Gives back an event of a polled queue: its buffer, and its credit if that is automatic. After
 * CLOSED it runs `sink.drop`. A second call does nothing.
 */
void atls_event_release(atls_event *event);

/**
 * Stops the queue for good: cancels its operations and waits until every CLOSED was delivered and
 * every `sink.drop` has run. After it returns, no callback runs any more, and no operation can be
 * started with the queue. Events that wait in a polled queue are discarded; no other thread may
 * take events meanwhile, and those taken before must have been released.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_WOULD_DEADLOCK in a callback
 */
atls_status atls_queue_stop(const atls_queue *queue,
                            atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Adds a reference; returns `queue`. */
atls_queue *atls_queue_ref(const atls_queue *queue);

/**
 * Drops a reference. Operations under way keep what they need and continue, with their callbacks;
 * only atls_queue_stop() waits for them. When the last reference to a polled queue is dropped, its
 * events are discarded, those that wait and those still to come; `sink.drop` then runs in this
 * call, or on a thread of the library.
 */
void atls_queue_free(atls_queue *ATLS_NULLABLE queue);

/** Kinds of events. Later versions add some: ignore what you do not know. */
ATLS_ENUM(atls_event_kind, uint32_t) {
    /**
     * The connection is established, and attested if there is a policy; the verdict is available.
     * For a client's exchange with a streamed body: it has a connection, and the body may be
     * written.
     */
    ATLS_EVENT_CONNECTED = 1,
    /** An informational (1xx) response head, in `head`. */
    ATLS_EVENT_INFORMATIONAL = 2,
    /** The final response head, in `head`. */
    ATLS_EVENT_HEAD = 3,
    /** Bytes in `buf`. They count against the credit. */
    ATLS_EVENT_DATA = 4,
    /** Trailers after the body, in `head` (its status is 0). */
    ATLS_EVENT_TRAILERS = 5,
    /** The peer will send no more. On a stream, this side may continue to send. */
    ATLS_EVENT_END = 6,
    /** There is room again after a write that answered AGAIN. */
    ATLS_EVENT_WRITABLE = 7,
    /**
     * A streamed request body must be written again from its beginning
     * (atls_request_set_body_rewindable()). Until atls_exchange_rewind() is called, writes are
     * refused.
     */
    ATLS_EVENT_REWIND = 20,
    /**
     * After atls_stream_finish(): everything that was written has been sent, and so has the end of
     * this direction.
     */
    ATLS_EVENT_SENT = 21,
    /** The last event. `status` and `error` say why the operation ended; OK after a regular end. */
    ATLS_EVENT_CLOSED = 8,
    /**
     * A request has arrived at a server: `source` is the atls_server_request, `head` has its header
     * fields (the status is 0). If you neither take a reference nor start the request, it is
     * dropped and answered with 500.
     */
    ATLS_EVENT_REQUEST = 9,
    /**
     * A server refuses a peer, or a request that the host does not get to see: `error` says why,
     * with atls_error_detail() and atls_error_peer(). Or a TLS handshake has failed
     * (atls_server_config_set_handshake_events(); the phase is "tls"). Once the host is done with
     * the event, or after a second, the peer is answered with atls_error_http_status().
     */
    ATLS_EVENT_REFUSED = 10,
};

/**
 * One event. Owned by the library and valid during the callback or, on a polled queue, until
 * atls_event_release(). Minor versions may append fields.
 */
struct atls_event {
    /** ATLS_EVENT_*; ignore what you do not know. */
    atls_event_kind kind;
    /** On CLOSED: why it ended. On REFUSED: why. OK otherwise. */
    atls_status status;
    /** From the sink. */
    uint64_t token;
    /**
     * The handle that the event is about (atls_stream, atls_http, atls_exchange, atls_server or
     * atls_server_request); borrowed. NULL once the host has freed it.
     */
    void *ATLS_NULLABLE source;
    /** DATA: borrowed; atls_buf_ref() keeps it, without a copy. NULL otherwise. */
    atls_buf *ATLS_NULLABLE buf;
    /** REFUSED, and CLOSED with a failure: borrowed; atls_error_ref() keeps it. NULL otherwise. */
    atls_error *ATLS_NULLABLE error;
    /**
     * INFORMATIONAL, HEAD, TRAILERS, REQUEST: borrowed; atls_head_ref() keeps it. NULL otherwise.
     */
    atls_head *ATLS_NULLABLE head;
    /** The library's own. */
    void *ATLS_NULLABLE opaque;
};

/**
 * Where the events of one operation go. Copied when the operation starts; its layout never changes.
 */
typedef struct atls_sink {
    /** Required; kept alive by the operation. */
    atls_queue *queue;
    /** Returned in every event. */
    uint64_t token;
    /**
     * Dispatching and inline queues: receives the events; NULL if none is wanted. Polled queues
     * ignore it.
     */
    void (*ATLS_NULLABLE call)(void *ATLS_NULLABLE user_data, const atls_event *event);
    /** The host's own: what its functions are given. */
    void *ATLS_NULLABLE user_data;
    /** Optional. Runs once, after CLOSED was delivered: the place to free user_data. */
    void (*ATLS_NULLABLE drop)(void *ATLS_NULLABLE user_data);
} atls_sink;

/** \} */

/* 8. Configuration ----------------------------------------------------------------------------- */

/**
 * \defgroup atls_configuration Configuration
 *
 * A configuration says where to connect, by which route, and what the server must prove. It is made
 * once and used for any number of connections, each of which copies it. Everything but the host and
 * the policy has a default.
 *
 * \{
 */

typedef struct atls_verifier atls_verifier; /**< Described in "Verification". */

/**
 * Where to connect, and what must hold there. A builder: one thread at a time. Use the same one for
 * all connections to a server, so that the TLS configuration is made only once.
 */
typedef struct atls_config atls_config;

/**
 * Creates a configuration for a server. Connecting answers INVALID_STATE until it has a policy, and
 * also if it has no host.
 *
 * \param host name or address. May be NULL, with a `port` of 0, if none is needed: for a client,
 *     whose requests name their hosts, and for the route of a verifier.
 * \param port 1 to 65535.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_config_new(const char *ATLS_NULLABLE host,
                            uint16_t port,
                            atls_config *ATLS_NULLABLE *ATLS_NONNULL config,
                            atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Frees the builder. */
void atls_config_free(atls_config *ATLS_NULLABLE config);

/**
 * Sets the policy that the server must satisfy.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_config_set_policy(atls_config *config,
                                   const atls_policy *policy,
                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Removes the policy without allowing unattested connections: for a client whose policies are set
 * for each host by atls_client_set_policy(), so that it talks to no other host.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_config_clear_policy(atls_config *config,
                                     atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Connects with ordinary TLS and without attestation, and removes the policy. Such a connection
 * proves nothing about what runs at the other end, and its verdict is NULL.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_config_set_unattested(atls_config *config,
                                       atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the verifier, whose collateral connections then share; the configuration keeps a reference.
 * Without one, each connection fetches its own collateral.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_config_set_verifier(atls_config *config,
                                     const atls_verifier *verifier,
                                     atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the deadlines for connecting (DNS, TCP, tunnel) and for the TLS handshake, 20 seconds each
 * by default. Each evidence exchange has a deadline of its own in the policy;
 * atls_config_set_deadline() bounds them all together.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_config_set_timeouts(atls_config *config,
                                     uint32_t connect_ms,
                                     uint32_t tls_ms,
                                     atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the deadline for a connection as a whole, 90 seconds by default: DNS, TCP, tunnel or proxy,
 * TLS, the evidence exchanges and the waits between them, collateral, and a second attempt if the
 * server has just renewed its certificate. When it passes, connecting ends with TIMED_OUT and
 * ATLS_DETAIL_CONNECT_TIMEOUT, and atls_error_phase() is the phase that it was in.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_config_set_deadline(atls_config *config,
                                     uint32_t whole_ms,
                                     atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets which versions of HTTP the connections of an atls_client may speak; HTTP/1.1 alone by
 * default. Both are offered in the handshake (ALPN), HTTP/2 first, and the server chooses; a server
 * that chooses nothing speaks HTTP/1.1, and one that speaks none of them is TLS_HANDSHAKE. http:
 * URLs need HTTP/1.1. atls_http, streams and upgrades always use HTTP/1.1 or bytes of their own,
 * and offer http/1.1 whatever is set here.
 *
 * Over HTTP/2 requests to the same host under the same policy and configuration share a connection,
 * and so one attestation: the first request makes it, and those that come meanwhile wait for it. If
 * it fails, each of them fails with that error. Nothing is sent on it but requests for evidence,
 * until the verdict is trusted. Then:
 *
 * - Up to 100 requests are under way on a connection, or as many as the server allows; for more,
 *   another connection is made. A server that allows none at all when it has proved itself is BUSY
 *   for all that wait for it. atls_client_limits counts requests as it does over HTTP/1.1.
 * - Canceling an exchange resets its stream, and the others go on. The end of the trust ends the
 *   connection and everything on it.
 * - The server may send 256 KiB of a response before the host has taken any
 *   (atls_config_set_credit()), and sends no more until then; no response takes the room of
 *   another. But about 50,000 frames of a few bytes each that no host has taken, of all responses
 *   together, end the connection, and what it carries, with HTTP_PROTOCOL.
 * - A response that ends, and its connection with it, before all of its request is sent may be told
 *   as failed.
 * - A request that the server says it has not looked at (GOAWAY, REFUSED_STREAM) is sent again, up
 *   to three times, if its body can be: ATLS_DETAIL_NOT_PROCESSED otherwise. One whose stream it
 *   resets fails with ATLS_DETAIL_STREAM_RESET.
 * - Header fields that are about an HTTP/1.1 connection (Connection and what it names, Keep-Alive,
 *   Proxy-Connection, TE other than "trailers") are not sent; all names are sent in lower case.
 *
 * \param versions ATLS_HTTP_VERSION_1_1, which includes HTTP/1.0, or ATLS_HTTP_VERSION_2, or both
 *     as one set; 0 is the default.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT another version
 */
atls_status atls_config_set_http_versions(atls_config *config,
                                          uint32_t versions,
                                          atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the receive credit of event-driven handles. The default is 256 KiB, automatic.
 *
 * \param initial bytes to begin with; 0 holds everything back.
 * \param automatic whether the bytes of an event are granted again once the host is done with it.
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_config_set_credit(atls_config *config,
                                   uint64_t initial,
                                   bool automatic,
                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the name to check the certificate against and to send as SNI, if it is not the host.
 *
 * \param server_name may be NULL, for the host.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 */
atls_status atls_config_set_server_name(atls_config *config,
                                        const char *ATLS_NULLABLE server_name,
                                        atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Also trusts these root certificates (PEM, one or more) for the server's chain.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 */
atls_status atls_config_add_root_pem(atls_config *config,
                                     const char *pem,
                                     atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets which root certificates are trusted besides added ones.
 *
 * \param webpki the built-in Mozilla set, on by default.
 * \param platform the store of the operating system, off by default.
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_config_set_roots(atls_config *config,
                                  bool webpki,
                                  bool platform,
                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Presents a client certificate to servers that ask for one. The PEM is parsed when the
 * configuration is used.
 *
 * \param chain_pem,key_pem the chain, leaf first, and its key. Both may be NULL, to remove the
 *     certificate.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT only one of them is
 * \retval ATLS_INVALID_UTF8
 */
atls_status atls_config_set_client_certificate(atls_config *config,
                                               const char *ATLS_NULLABLE chain_pem,
                                               const char *ATLS_NULLABLE key_pem,
                                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * With false, any certificate and name are accepted, so the connection may end anywhere. For
 * unattested connections only: with a policy, connecting answers INVALID_STATE.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE a policy is set
 */
atls_status atls_config_set_certificate_check(atls_config *config,
                                              bool check,
                                              atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Receives one line in the format of SSLKEYLOGFILE, without its line break: a label, the client
 * random and a secret of the session, both in hexadecimal. `line` is valid only during the call.
 * Runs on any thread, on several at once; must not call `atls_*`.
 */
typedef void (*atls_key_log_fn)(void *ATLS_NULLABLE user_data, atls_str line);

/**
 * Passes the secrets of each TLS session to `callback`, for analysing protocols. Anyone who has
 * them and the recorded traffic can read all of it. With a policy, connecting answers INVALID_STATE
 * unless `words` is "secrets may leave".
 *
 * \param callback may be NULL, the default: nothing is passed on.
 * \param drop may be NULL. Runs once, after the last use of `user_data`, and also if this call
 *     fails.
 * \param words may be NULL, or else must be "secrets may leave".
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT other words
 */
atls_status atls_config_set_key_log(atls_config *config,
                                    atls_key_log_fn ATLS_NULLABLE callback,
                                    void *ATLS_NULLABLE user_data,
                                    void (*ATLS_NULLABLE drop)(void *ATLS_NULLABLE user_data),
                                    const char *ATLS_NULLABLE words,
                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** How a user name and password are sent. */
ATLS_ENUM(atls_auth, uint32_t) {
    /** They are sent without being asked for (RFC 7617). */
    ATLS_AUTH_BASIC = 0,
    /**
     * They are never sent; only the response to a challenge is (RFC 7616). If the other side asks
     * for anything else, nothing is sent.
     */
    ATLS_AUTH_DIGEST = 1,
};

/** Which addresses of a host are tried. */
ATLS_ENUM(atls_family, uint32_t) {
    /** IPv4 and IPv6; the first that connects is used. */
    ATLS_FAMILY_ANY = 0,
    /** IPv4 only. */
    ATLS_FAMILY_IPV4 = 4,
    /** IPv6 only. */
    ATLS_FAMILY_IPV6 = 6,
};

/**
 * Connects through a WebSocket forwarder. A frame from it may have up to 16 MiB; whatever length it
 * announces, at most 32 KiB are held. A forwarder that violates the protocol, or ends before
 * anything has come through it, is WEBSOCKET. Collateral takes the same route, unless
 * atls_verifier_config_set_route() sets another.
 *
 * \param url `ws://` or `wss://`; the query parameter `target=host:port` is added if it is missing.
 *     May be NULL, for a direct connection.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_UNSUPPORTED together with a proxy
 */
atls_status atls_config_set_tunnel(atls_config *config,
                                   const char *ATLS_NULLABLE url,
                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Connects through a proxy. A client's requests for http: URLs are sent to an HTTP proxy
 * themselves; everything else goes through a tunnel that it opens (CONNECT). TLS with the server is
 * end to end, so the proxy sees ciphertext only. If the proxy refuses, that is TUNNEL_REFUSED;
 * atls_error_http_status() has an HTTP proxy's status.
 *
 * \param url `http://host:port`, `socks5://host:port`, or `socks5h://host:port`, with which the
 *     proxy resolves names. May be NULL, for no proxy.
 * \param user,password may be NULL, for none.
 * \param auth how they are sent to an HTTP proxy; SOCKS has its own way.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_UNSUPPORTED another scheme; together with a tunnel
 */
atls_status atls_config_set_proxy(atls_config *config,
                                  const char *ATLS_NULLABLE url,
                                  const char *ATLS_NULLABLE user,
                                  const char *ATLS_NULLABLE password,
                                  atls_auth auth,
                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the local address of connections. If it cannot be bound, connecting fails with IO.
 *
 * \param address_or_interface an address of this machine or, on Linux, the name of an interface.
 *     May be NULL: the system chooses.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT empty
 */
atls_status atls_config_set_bind(atls_config *config,
                                 const char *ATLS_NULLABLE address_or_interface,
                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets which addresses are tried. If a host has none of them, connecting fails with DNS.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_config_set_family(atls_config *config,
                                   atls_family family,
                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Connects to `other_host` and `other_port` instead of `host` and `port`; TLS and HTTP still use
 * the latter. Names are compared as in atls_client_set_policy(). May be called several times; the
 * first match counts.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT an empty or invalid name, a port of 0
 */
atls_status atls_config_map_host(atls_config *config,
                                 const char *host,
                                 uint16_t port,
                                 const char *other_host,
                                 uint16_t other_port,
                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** The addresses of one name. Valid while `resolve` of an atls_resolver runs, on its thread. */
typedef struct atls_addresses atls_addresses;

/**
 * Resolves names instead of the system. Its functions run on helper threads of the library, several
 * at a time.
 */
typedef struct atls_resolver {
    /**
     * Adds the addresses of `host` to `addresses` (atls_addresses_add()), in the order in which to
     * try them, and returns 0. Another number, or no address, ends the attempt with DNS. May wait;
     * deadlines are kept meanwhile, and an answer that comes too late is discarded.
     */
    int32_t (*ATLS_NULLABLE resolve)(
        void *ATLS_NULLABLE user_data, const char *host, atls_addresses *addresses);
    /** Optional. Runs once, when nothing uses the resolver any more. */
    void (*ATLS_NULLABLE drop)(void *ATLS_NULLABLE user_data);
    /** The host's own: what its functions are given. */
    void *ATLS_NULLABLE user_data;
} atls_resolver;

/**
 * Adds an address in text form, such as "192.0.2.1" or "2001:db8::1"; it has no port.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_addresses_add(atls_addresses *addresses,
                               const char *address,
                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets what resolves the names of servers, proxies, tunnels and collateral services; addresses need
 * no resolving. Requests with different resolvers do not share connections. If the call fails,
 * `drop` does not run.
 *
 * \param resolver copied. May be NULL, for the system.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT also of its `resolve`
 */
atls_status atls_config_set_resolver(atls_config *config,
                                     const atls_resolver *ATLS_NULLABLE resolver,
                                     atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** \} */

/* 9. Streams ----------------------------------------------------------------------------------- */

/**
 * \defgroup atls_streams Streams
 *
 * A stream is an attested connection that carries bytes, for protocols other than HTTP. It is open
 * once the server has satisfied the policy. Both directions are independent, and credit bounds what
 * is received.
 *
 * \{
 */

/**
 * An attested byte stream, event-driven (atls_stream_connect_start()) or blocking
 * (atls_stream_connect()). Its two directions are independent. Reference-counted; safe to share
 * between threads. Dropping the last reference cancels it.
 */
typedef struct atls_stream atls_stream;

/**
 * Connects and attests in the background, as the configuration says, which is copied. Events:
 * CONNECTED; then DATA as credit allows, END when the peer will send no more, WRITABLE after a
 * write that answered AGAIN; CLOSED last. After OK, failures come with CLOSED.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_INVALID_STATE no policy; queue or runtime stopped
 * \retval ATLS_TRUST_ANCHOR
 */
atls_status atls_stream_connect_start(const atls_runtime *runtime,
                                      const atls_config *config,
                                      const atls_sink *sink,
                                      atls_stream *ATLS_NULLABLE *ATLS_NONNULL stream,
                                      atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Connects and attests on the calling thread, and waits. Use the stream with atls_stream_read() and
 * atls_stream_write_all(): its I/O runs on the thread that calls them, and no other thread is
 * involved.
 *
 * \return ATLS_OK, as atls_stream_connect_start(), every way in which connecting and attesting fail
 *     (2xx to 5xx), or
 * \retval ATLS_WOULD_DEADLOCK
 */
atls_status atls_stream_connect(const atls_config *config,
                                atls_stream *ATLS_NULLABLE *ATLS_NONNULL stream,
                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Returns the verdict on the server as a new reference, which you free; NULL before CONNECTED and
 * for an unattested stream. It is the newest one: the server is judged again while the stream is
 * open, and if it is refused then, the stream ends with that error (docs/policy.md, "Open
 * connections").
 */
atls_verdict *ATLS_NULLABLE atls_stream_verdict(const atls_stream *stream);

/**
 * Event-driven: allows `bytes` more to be received. Grants add up, and saturate.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE blocking stream
 */
atls_status atls_stream_grant(const atls_stream *stream,
                              uint64_t bytes,
                              atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Event-driven: copies all of the bytes for sending, or takes none and answers AGAIN. One WRITABLE
 * event follows each AGAIN; if the write came before CONNECTED, it follows that. Nothing is sent
 * before the server is attested. At most 256 KiB are queued, counted as by
 * atls_server_request_write().
 *
 * \return ATLS_OK, the status that says why the stream is closed, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_AGAIN
 * \retval ATLS_INVALID_STATE blocking stream; after atls_stream_finish()
 */
atls_status atls_stream_write(const atls_stream *stream,
                              atls_bytes data,
                              atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_stream_write(), without a copy: the stream takes a reference to the buffer and drops it
 * once the bytes are sent.
 *
 * \return ATLS_OK, or as atls_stream_write().
 */
atls_status atls_stream_write_buf(const atls_stream *stream,
                                  const atls_buf *buf,
                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Ends this direction: what was written is sent, then close_notify; the event SENT follows.
 * Receiving continues. On a blocking stream the call waits, up to 60 seconds.
 *
 * \return ATLS_OK, the status that says why the stream is closed, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE already closed
 * \retval ATLS_IO
 * \retval ATLS_TIMED_OUT
 */
atls_status atls_stream_finish(const atls_stream *stream,
                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Blocking: waits for bytes and copies up to `cap` of them. If it times out, nothing is lost.
 *
 * \param n how many; 0 only at the end of the stream.
 * \param timeout_ms 60 seconds by default.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT `cap` is 0
 * \retval ATLS_INVALID_STATE event-driven stream
 * \retval ATLS_WOULD_DEADLOCK
 * \retval ATLS_TIMED_OUT
 * \retval ATLS_CANCELED
 * \retval ATLS_IO
 * \retval ATLS_TRUNCATED ended without close_notify
 * \retval ATLS_TLS_HANDSHAKE
 */
atls_status atls_stream_read(const atls_stream *stream,
                             uint8_t *buf,
                             size_t cap,
                             uint32_t timeout_ms,
                             size_t *n,
                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Blocking: sends all of the bytes, after those of earlier calls on other threads. If it fails, it
 * is not known how much was sent, and the stream is canceled. But if the time is up before its turn
 * comes, nothing was sent and the stream continues.
 *
 * \param timeout_ms 60 seconds by default.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE event-driven stream
 * \retval ATLS_WOULD_DEADLOCK
 * \retval ATLS_TIMED_OUT
 * \retval ATLS_CANCELED
 * \retval ATLS_IO
 */
atls_status atls_stream_write_all(const atls_stream *stream,
                                  atls_bytes data,
                                  uint32_t timeout_ms,
                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Closes in an orderly way: what was written is sent, then close_notify, and the socket is closed;
 * what was not received is discarded. Event-driven: CLOSED follows, with OK. Blocking: waits, at
 * most a second.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_stream_close(const atls_stream *stream,
                              atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Ends the stream at once, whatever it is doing. Event-driven: CLOSED follows, with CANCELED; DATA
 * may still come before it. Blocking: calls of other threads on this stream return CANCELED.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_stream_cancel(const atls_stream *stream,
                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Adds a reference and returns `stream`; NULL for NULL. */
atls_stream *ATLS_NULLABLE atls_stream_ref(const atls_stream *ATLS_NULLABLE stream);

/** Drops a reference. The last one cancels the stream; CLOSED still comes. */
void atls_stream_free(atls_stream *ATLS_NULLABLE stream);

/** \} */

/* 10. Heads and header fields ------------------------------------------------------------------ */

/**
 * \defgroup atls_heads_and_header_fields Heads and header fields
 *
 * A head is what was received: a status and header fields, as they were spelled. A list of header
 * fields is what the program builds and changes. Both preserve order and case, and look names up in
 * any case.
 *
 * \{
 */

typedef struct atls_request atls_request; /**< Described in "Requests". */

/**
 * A response head, a request's header fields, or trailers. Immutable, reference-counted, safe to
 * share between threads.
 */
struct atls_head;

/** Status code; 0 for a request or trailers. */
uint32_t atls_head_status(const atls_head *head);

/** Reason phrase as it was sent. Valid as long as the head. */
atls_str atls_head_reason(const atls_head *head);

/** Versions of HTTP. Each is a bit, so that several make a set. */
ATLS_ENUM(atls_http_version, uint32_t) {
    /** HTTP/1.0: without chunked bodies, informational heads and trailers. */
    ATLS_HTTP_VERSION_1_0 = 1,
    /** HTTP/1.1. */
    ATLS_HTTP_VERSION_1_1 = 2,
    /** HTTP/2. Its heads have no reason phrase, and their field names are in lower case. */
    ATLS_HTTP_VERSION_2 = 4,
};

/** Minor version of HTTP/1.x: 0 or 1. It is 1 for HTTP/2 too, whose messages mean the same. */
uint32_t atls_head_minor_version(const atls_head *head);

/** Number of header fields. */
size_t atls_head_count(const atls_head *head);

/**
 * Name of the header field at `index`, in the order and case in which it was sent; in trailers that
 * came on an `atls_http`, in lower case and beside those of the same name. "" past the end. Valid
 * as long as the head.
 */
atls_str atls_head_name(const atls_head *head, size_t index);

/**
 * Value of the header field at `index`, without the spaces and tabs around it; bytes, usually
 * ASCII. "" past the end. Valid as long as the head.
 */
atls_str atls_head_value(const atls_head *head, size_t index);

/**
 * Value of the first header field with this name, in any case. "" if there is none, or if its value
 * is empty; atls_head_find() tells which. Valid as long as the head.
 */
atls_str atls_head_get(const atls_head *head, const char *name);

/**
 * Index of the first header field with this name, in any case, at or after index `from`; SIZE_MAX
 * if there is none.
 */
size_t atls_head_find(const atls_head *head, const char *name, size_t from);

/** Adds a reference; returns `head`. */
atls_head *atls_head_ref(const atls_head *head);

/** Drops a reference. */
void atls_head_free(atls_head *ATLS_NULLABLE head);

/**
 * A list of header fields. Keeps their order; values are bytes; names are found in any case. A
 * builder: one thread at a time.
 */
typedef struct atls_headers atls_headers;

/**
 * Creates an empty list. Free it with atls_headers_free().
 *
 * \param preserve_case keeps names as they are written; otherwise they become `Http-Header-Case`.
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_headers_new(bool preserve_case,
                             atls_headers *ATLS_NULLABLE *ATLS_NONNULL headers,
                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Creates a list with the same fields. Free it with atls_headers_free().
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_headers_copy(const atls_headers *headers,
                              atls_headers *ATLS_NULLABLE *ATLS_NONNULL copy,
                              atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Frees the list. */
void atls_headers_free(atls_headers *ATLS_NULLABLE headers);

/**
 * Appends a field. Both are copied.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_HTTP_HEADER_INVALID the name is not a token; the value has a control character, or
 *     spaces or tabs around it
 */
atls_status atls_headers_add(atls_headers *headers,
                             const char *name,
                             atls_bytes value,
                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_headers_add(), but replaces all fields with this name.
 *
 * \return ATLS_OK, or as atls_headers_add().
 */
atls_status atls_headers_set(atls_headers *headers,
                             const char *name,
                             atls_bytes value,
                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Removes all fields with this name, if there are any.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 */
atls_status atls_headers_remove(atls_headers *headers,
                                const char *name,
                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Adds a field from its line on the wire, with or without the line end. A line that begins with a
 * space or tab continues the field before; an empty line adds nothing.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_HTTP_HEADER_INVALID
 */
atls_status atls_headers_parse_line(atls_headers *headers,
                                    atls_bytes line,
                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Adds the fields of all lines of `block` or, if one is invalid, none.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_HTTP_HEADER_INVALID
 */
atls_status atls_headers_parse(atls_headers *headers,
                               atls_bytes block,
                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Adds the fields of a head, or of trailers: all of them or, if one is not allowed, none.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_HTTP_HEADER_INVALID
 */
atls_status atls_headers_add_head(atls_headers *headers,
                                  const atls_head *head,
                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Number of fields; 0 for NULL. */
size_t atls_headers_count(const atls_headers *ATLS_NULLABLE headers);

/** Name of the field at `index`; "" past the end. Valid until the list changes. */
atls_str atls_headers_name(const atls_headers *headers, size_t index);

/** Value of the field at `index`; "" past the end. Valid until the list changes. */
atls_str atls_headers_value(const atls_headers *headers, size_t index);

/**
 * Value of the first field with this name, in any case. "" if there is none, or if its value is
 * empty; atls_headers_find() tells which. Valid until the list changes.
 */
atls_str atls_headers_get(const atls_headers *headers, const char *name);

/**
 * Index of the first field with this name, in any case, at or after index `from`; SIZE_MAX if there
 * is none.
 */
size_t atls_headers_find(const atls_headers *headers, const char *name, size_t from);

/**
 * Joins the values of all fields with this name by commas (RFC 9110 section 5.3). `*joined` is NULL
 * if there is none; otherwise it is NUL-terminated, and the caller's to free.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 */
atls_status atls_headers_joined(const atls_headers *headers,
                                const char *name,
                                atls_buf *ATLS_NULLABLE *ATLS_NONNULL joined,
                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Writes all fields as they appear on the wire.
 *
 * \param block NUL-terminated; the caller's to free.
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_headers_serialize(const atls_headers *headers,
                                   atls_buf *ATLS_NULLABLE *ATLS_NONNULL block,
                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Adds each field to the request, as atls_request_add_header() does: all of them or, if one is not
 * allowed, none.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_HTTP_HEADER_INVALID
 */
atls_status atls_request_add_headers(atls_request *request,
                                     const atls_headers *headers,
                                     atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Parses a request line, `METHOD SP target SP HTTP/1.d`, without its line end (RFC 9112 section 3).
 *
 * \param method,target point into `line` and are not NUL-terminated.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_parse_request_line(atls_bytes line,
                                    atls_str *method,
                                    atls_str *target,
                                    uint32_t *minor_version,
                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Parses a status line, `HTTP/1.d SP status SP [reason]`, without its line end (RFC 9112 section
 * 4).
 *
 * \param reason points into `line` and is not NUL-terminated.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_parse_status_line(atls_bytes line,
                                   uint32_t *minor_version,
                                   uint32_t *status,
                                   atls_str *reason,
                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** \} */

/* 11. Requests --------------------------------------------------------------------------------- */

/**
 * \defgroup atls_requests Requests
 *
 * A request is made piece by piece: method, target, header fields and a body. It is copied when it
 * is sent, and can be sent again. It goes through one connection (HTTP connections) or through a
 * client.
 *
 * \{
 */

/**
 * A request: method, target, host, body, and header fields in the caller's order and case. A
 * builder: one thread at a time; copied when used, and may be used again.
 */
struct atls_request;

/**
 * Creates a request for an atls_http. Its parts are checked when it is used.
 *
 * \param method a token such as "GET".
 * \param path path and query, the origin form of RFC 9112 section 3.2.1.
 * \param host the value of the Host header field.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 */
atls_status atls_request_new(const char *method,
                             const char *path,
                             const char *host,
                             atls_request *ATLS_NULLABLE *ATLS_NONNULL request,
                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Creates a request for an atls_client.
 *
 * \param method a token such as "GET".
 * \param url begins with `https://`, or with `http://` for hosts that no policy covers. Its path is
 *     sent as it is written; its fragment is not sent. `user:password@` in it, percent-decoded, has
 *     the effect of atls_request_set_auth() with ATLS_AUTH_BASIC.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_UNSUPPORTED another scheme
 */
atls_status atls_request_new_url(const char *method,
                                 const char *url,
                                 atls_request *ATLS_NULLABLE *ATLS_NONNULL request,
                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Frees the builder. */
void atls_request_free(atls_request *ATLS_NULLABLE request);

/**
 * Sets the value of the Host header field, in place of the URL's host and port, for a server that
 * is reached by a name that is not its own. Certificate, policy, cookies and the choice of a
 * connection still go by the URL. After a redirect, Host is that of the new URL.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_request_set_host(atls_request *request,
                                  const char *host,
                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Adds a header field. Host, Transfer-Encoding, Upgrade and Trailer are set by the library and
 * refused here. Content-Length is accepted if it is correct.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8 `name`
 * \retval ATLS_HTTP_HEADER_INVALID the name is not a token; CR, LF or another control character in
 *     the value
 */
atls_status atls_request_add_header(atls_request *request,
                                    const char *name,
                                    atls_bytes value,
                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Functions of the host that supply a request body when the library asks for it. They run on the
 * thread that drives the connection: a thread of the library or, with blocking handles, the calling
 * thread; never two at a time.
 */
typedef struct atls_body_source {
    /**
     * Required. Writes up to `cap` bytes to `buf` and returns how many; 0 at the end of the body; a
     * negative number ends the exchange with CANCELED. Must not block for long.
     */
    int64_t (*read)(void *ATLS_NULLABLE user_data, uint8_t *buf, size_t cap);
    /**
     * Optional. Starts again from the beginning, for a redirect, a retry or an authentication
     * challenge. Returns false if that is impossible.
     */
    bool (*ATLS_NULLABLE rewind)(void *ATLS_NULLABLE user_data);
    /** Optional. Runs once, when neither the request nor an exchange uses the source any more. */
    void (*ATLS_NULLABLE drop)(void *ATLS_NULLABLE user_data);
    /** The host's own: what its functions are given. */
    void *ATLS_NULLABLE user_data;
} atls_body_source;

/**
 * Sets the request's body; copied.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_request_set_body(atls_request *request,
                                  atls_bytes data,
                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_request_set_body(), without a copy: the request keeps a reference to the buffer.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_request_set_body_buf(atls_request *request,
                                      const atls_buf *buf,
                                      atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** The length of a body that is not known in advance. The body is sent in chunks. */
#define ATLS_LENGTH_UNKNOWN UINT64_MAX

/**
 * Makes the body a stream that is written to the exchange piece by piece.
 *
 * \param length in bytes, or ATLS_LENGTH_UNKNOWN.
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_request_set_body_stream(atls_request *request,
                                         uint64_t length,
                                         atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Says whether a streamed body can be written again, for a redirect (307, 308) or an authentication
 * challenge. When that is needed, the host gets ATLS_EVENT_REWIND; with blocking handles,
 * atls_exchange_write_all(), atls_exchange_finish() and atls_exchange_head() return AGAIN with
 * ATLS_DETAIL_REWIND. The host then calls atls_exchange_rewind() and writes the body from its
 * beginning; until then nothing is taken.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE the body is not a stream
 */
atls_status atls_request_set_body_rewindable(atls_request *request,
                                             bool rewindable,
                                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Takes the body from `source`, which is copied. Exchanges of this request share the source: make
 * one at a time, and see to it that the source is at its beginning when the next one starts. If the
 * call fails, `drop` does not run.
 *
 * \param length in bytes, or ATLS_LENGTH_UNKNOWN.
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_request_set_body_source(atls_request *request,
                                         const atls_body_source *source,
                                         uint64_t length,
                                         atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Adds a field to the form that is the request's body, and sets Content-Type:
 * application/x-www-form-urlencoded or, once a field has a file name or a content type,
 * multipart/form-data. Copied.
 *
 * \param file_name may be NULL, for a field that is not a file.
 * \param content_type may be NULL.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_HTTP_HEADER_INVALID `content_type`
 */
atls_status atls_request_add_form_field(atls_request *request,
                                        const char *name,
                                        atls_bytes value,
                                        const char *ATLS_NULLABLE file_name,
                                        const char *ATLS_NULLABLE content_type,
                                        atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Deadlines of a request (atls_request_set_deadline()). */
ATLS_ENUM(atls_request_deadline, uint32_t) {
    /** From the call to the response head, including redirects; 60 seconds by default. */
    ATLS_REQUEST_DEADLINE_HEAD = 601,
    /** Waiting for the request's turn, if the client has as many requests under way as it may. */
    ATLS_REQUEST_DEADLINE_QUEUE = 602,
    /** From connecting to the end of the TLS handshake and the evidence exchange. */
    ATLS_REQUEST_DEADLINE_CONNECT = 603,
    /** From sending the request to its response head, for each request of a chain of redirects. */
    ATLS_REQUEST_DEADLINE_FIRST_BYTE = 604,
    /**
     * Between pieces of the response body. Event-driven exchanges only: blocking reads have a
     * timeout of their own.
     */
    ATLS_REQUEST_DEADLINE_IDLE = 605,
    /** From the call to the end of the response body. */
    ATLS_REQUEST_DEADLINE_TOTAL = 606,
};

/** What redirects may do (atls_request_set_redirects()). */
ATLS_ENUM(atls_redirect_flag, uint32_t) {
    /**
     * A redirect may lead from an attested origin to another one. The policy of the new origin
     * applies.
     */
    ATLS_REDIRECT_ALLOW_OTHER_ORIGIN = 1,
    /** A redirect may lead from https: to http:, to a host that no policy covers. */
    ATLS_REDIRECT_ALLOW_DOWNGRADE = 2,
};

/**
 * Sets the deadline for the response head: atls_request_set_deadline() with
 * ATLS_REQUEST_DEADLINE_HEAD.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_request_set_timeout(atls_request *request,
                                     uint32_t timeout_ms,
                                     atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets a deadline. If it passes, the exchange ends with TIMED_OUT; the error's message and
 * atls_error_phase() say which deadline it was. By default only ATLS_REQUEST_DEADLINE_HEAD is set.
 * Those for the queue and for connecting have no effect without a client.
 *
 * \param which ATLS_REQUEST_DEADLINE_*.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT `which`
 */
atls_status atls_request_set_deadline(atls_request *request,
                                      atls_request_deadline which,
                                      uint32_t milliseconds,
                                      atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets user and password for the server. They replace an Authorization header field, and follow
 * redirects within the same origin only. NULL for both removes them.
 *
 * \param user may be NULL, together with `password`.
 * \param password may be NULL, together with `user`.
 * \param auth ATLS_AUTH_BASIC, or ATLS_AUTH_DIGEST, which needs a client and a body that can be
 *     sent twice.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT a colon in the user; a control character; unknown `auth`
 */
atls_status atls_request_set_auth(atls_request *request,
                                  const char *ATLS_NULLABLE user,
                                  const char *ATLS_NULLABLE password,
                                  atls_auth auth,
                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Adds an If-Modified-Since header field. If nothing has changed since then, the response is a 304.
 *
 * \param seconds since 1970-01-01 00:00:00 UTC.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT outside the years 1 to 9999
 * \retval ATLS_INVALID_STATE the request already has this field
 */
atls_status atls_request_set_if_modified_since(atls_request *request,
                                               int64_t seconds,
                                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets how an atls_client follows redirects. 303 becomes a GET, as do 301 and 302 in response to a
 * POST. Authorization and Cookie are not sent to another origin. If the limit is reached, or a body
 * would have to be sent again and cannot be, the host gets the redirecting response itself.
 *
 * \param max how many redirects to follow; 5 by default, 0 for none.
 * \param allowed what is otherwise refused, a combination of ATLS_REDIRECT_ALLOW_*; none by
 *     default.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT `allowed`
 */
atls_status atls_request_set_redirects(atls_request *request,
                                       uint32_t max,
                                       uint32_t allowed,
                                       atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Accepts gzip, deflate, br and zstd, and decodes them as the bytes arrive. An Accept-Encoding
 * header field of the caller is replaced. The response head stays as the server sent it. Off by
 * default.
 *
 * A coding that was not requested, or is malformed, is CONTENT_CODING; one that ends too early is
 * TRUNCATED. Consecutive gzip members or zstd frames form one body (RFC 1952, RFC 8878); any other
 * byte after the end, even a zero, is CONTENT_CODING.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_request_set_decode(atls_request *request,
                                    bool decode,
                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Limits the response body, counted after decoding. A longer one ends the exchange with
 * BODY_TOO_LARGE: at its head if that gives the length, otherwise after the bytes up to the limit;
 * of a buffered body nothing is delivered.
 *
 * \param bytes UINT64_MAX, the default, is no limit.
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_request_set_max_response_body(atls_request *request,
                                               uint64_t bytes,
                                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Limits what may come before a response body. A response beyond a limit ends the exchange with
 * HTTP_PROTOCOL. 0 is the default of each limit.
 *
 * \param bytes bytes of each head; 262,144 by default and at most.
 * \param fields header fields of each head; 256 by default and at most.
 * \param informational informational (1xx) heads; 64 by default. Together they may have no more
 *     bytes than one head; UINT32_MAX allows as many as fit.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT `bytes` or `fields` above its maximum
 */
atls_status atls_request_set_head_limits(atls_request *request,
                                         uint32_t bytes,
                                         uint32_t fields,
                                         uint32_t informational,
                                         atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Event-driven: delivers the response body as one DATA event, whatever its size, without using
 * credit; an empty body is an empty DATA. Off by default. Also set
 * atls_request_set_max_response_body().
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_request_set_buffered(atls_request *request,
                                      bool buffered,
                                      atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sends `Expect: 100-continue` and waits for a response before sending the body. If a final
 * response comes first, the body is not sent (RFC 9110 section 10.1.1). No effect without a body.
 *
 * \param wait_ms how long to wait before the body is sent anyway; 1 second by default, UINT32_MAX
 *     waits for a response however long it takes.
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_request_set_expect_continue(atls_request *request,
                                             uint32_t wait_ms,
                                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the configuration of this request's connections, in place of the client's: roots, client
 * certificate, tunnel, proxy, local address, timeouts, and the policy for hosts that no pattern of
 * atls_client_set_policy() matches. If it neither has a policy nor allows unattested connections,
 * the client's own applies. Host, port and credit are ignored. Requests share connections if they
 * were given the same configuration, unchanged in between.
 *
 * \param config copied.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_INVALID_STATE
 * \retval ATLS_TRUST_ANCHOR
 * \retval ATLS_IO
 */
atls_status atls_request_set_config(atls_request *request,
                                    const atls_config *config,
                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** \} */

/* 12. HTTP connections ------------------------------------------------------------------------- */

/**
 * \defgroup atls_http_connections HTTP connections
 *
 * One attested connection that carries requests one after the other. The program opens it, sees the
 * verdict and closes it. For requests by URL, pools and redirects there is the client.
 *
 * \{
 */

typedef struct atls_exchange atls_exchange; /**< Described in "Exchanges". */

/**
 * An attested HTTP/1.1 connection with keep-alive. Requests are made one after the other; each
 * response is read to its end before the next request. Event-driven (atls_http_connect_start()) or
 * blocking (atls_http_connect()). Reference-counted, safe to share between threads. Dropping the
 * last reference closes the connection once its exchange is over.
 */
typedef struct atls_http atls_http;

/**
 * Event-driven: connects, and attests the server as the configuration's policy requires. Events:
 * CONNECTED, and CLOSED when the connection has ended, for whatever reason.
 *
 * \param config copied. Its credit is the initial credit of each exchange.
 * \return ATLS_OK, or as atls_stream_connect_start().
 */
atls_status atls_http_connect_start(const atls_runtime *runtime,
                                    const atls_config *config,
                                    const atls_sink *sink,
                                    atls_http *ATLS_NULLABLE *ATLS_NONNULL http,
                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Blocking: connects and attests the server. Requests are then made with atls_http_fetch(); I/O
 * runs on the threads that call.
 *
 * \return ATLS_OK, or as atls_stream_connect().
 */
atls_status atls_http_connect(const atls_config *config,
                              atls_http *ATLS_NULLABLE *ATLS_NONNULL http,
                              atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * The verdict on the server, as a new reference: free it. NULL before CONNECTED, and for an
 * unattested connection. It is the newest one: the server is judged again while the connection is
 * open (docs/policy.md, "Open connections").
 */
atls_verdict *ATLS_NULLABLE atls_http_verdict(const atls_http *http);

/**
 * Whether a request can be started now: the connection is established and open, and no exchange is
 * under way.
 */
bool atls_http_ready(const atls_http *http);

/**
 * Event-driven: starts a request, which is copied. Its events go to `sink`: INFORMATIONAL, HEAD,
 * DATA as credit allows, TRAILERS, END, WRITABLE for a streamed body, and CLOSED.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_INVALID_STATE blocking connection; not connected yet; queue stopped
 * \retval ATLS_HTTP_HEADER_INVALID
 * \retval ATLS_UNSUPPORTED the method is CONNECT
 * \retval ATLS_BUSY the previous exchange is not over
 * \retval ATLS_CLOSED
 */
atls_status atls_http_start(const atls_http *http,
                            const atls_request *request,
                            const atls_sink *sink,
                            atls_exchange *ATLS_NULLABLE *ATLS_NONNULL exchange,
                            atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Blocking: sends a request and waits for the response head. If the body is a stream, it returns at
 * once instead: write the body with atls_exchange_write_all(), end it with atls_exchange_finish(),
 * then call atls_exchange_head().
 *
 * \return ATLS_OK, as atls_http_start(), or
 * \retval ATLS_WOULD_DEADLOCK
 * \retval ATLS_TIMED_OUT the request's timeout
 * \retval ATLS_IO
 * \retval ATLS_TRUNCATED
 * \retval ATLS_HTTP_PROTOCOL
 * \retval ATLS_TLS_HANDSHAKE
 */
atls_status atls_http_fetch(const atls_http *http,
                            const atls_request *request,
                            atls_exchange *ATLS_NULLABLE *ATLS_NONNULL exchange,
                            atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Blocking: like atls_http_fetch(), but returns at once. Another thread can cancel the exchange. It
 * makes progress while a thread is in a blocking call on it or on this connection.
 *
 * \return ATLS_OK, as atls_http_start(), or
 * \retval ATLS_WOULD_DEADLOCK
 */
atls_status atls_http_open(const atls_http *http,
                           const atls_request *request,
                           atls_exchange *ATLS_NULLABLE *ATLS_NONNULL exchange,
                           atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Closes the connection; an exchange under way fails. Event-driven: CLOSED follows, with CANCELED.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_http_close(const atls_http *http, atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Adds a reference; returns `http`. */
atls_http *atls_http_ref(const atls_http *http);

/**
 * Drops a reference. The last one closes the connection once an exchange under way is over.
 * Event-driven: CLOSED follows, with CANCELED.
 */
void atls_http_free(atls_http *ATLS_NULLABLE http);

/** \} */

/* 13. Exchanges -------------------------------------------------------------------------------- */

/**
 * \defgroup atls_exchanges Exchanges
 *
 * An exchange is one request under way and its response. Bodies stream in both directions and are
 * never held as a whole, unless the program asks for it. It is the same for an HTTP connection and
 * for a client.
 *
 * \{
 */

/**
 * One request and its response. Reference-counted, safe to share between threads. Dropping the last
 * reference before the response was read to its end closes the connection; over HTTP/2, where
 * others share it, it resets the request's stream. The exchange keeps what it needs: its atls_http
 * or atls_client, and the runtime, may be freed first.
 */
struct atls_exchange;

/**
 * Blocking: waits for the response head. The head is a new reference: free it.
 *
 * \param timeout_ms 60 seconds by default.
 * \return ATLS_OK, as atls_http_fetch(), or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE event-driven exchange
 * \retval ATLS_WOULD_DEADLOCK
 * \retval ATLS_TIMED_OUT
 * \retval ATLS_CANCELED
 * \retval ATLS_AGAIN the body must be written again: atls_exchange_rewind()
 */
atls_status atls_exchange_head(const atls_exchange *exchange,
                               uint32_t timeout_ms,
                               atls_head *ATLS_NULLABLE *ATLS_NONNULL head,
                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Blocking: waits for the next informational (1xx) head, or for the final head, in which case
 * `*head` is NULL. At most 64 informational heads are kept until they are taken; later ones are
 * discarded. The head is a new reference: free it.
 *
 * \param timeout_ms 60 seconds by default.
 * \return ATLS_OK, or as atls_exchange_head().
 */
atls_status atls_exchange_next_informational(const atls_exchange *exchange,
                                             uint32_t timeout_ms,
                                             atls_head *ATLS_NULLABLE *ATLS_NONNULL head,
                                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Blocking: waits for bytes of the response body and copies up to `cap` of them into `buf`. `*n` is
 * 0 only at the end of the body; the connection is then free for the next request. After TIMED_OUT
 * nothing is lost: call again.
 *
 * \param timeout_ms 60 seconds by default.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT `cap` is 0
 * \retval ATLS_INVALID_STATE event-driven exchange
 * \retval ATLS_WOULD_DEADLOCK
 * \retval ATLS_TIMED_OUT
 * \retval ATLS_CANCELED
 * \retval ATLS_IO
 * \retval ATLS_TRUNCATED
 * \retval ATLS_HTTP_PROTOCOL
 */
atls_status atls_exchange_read(const atls_exchange *exchange,
                               uint8_t *buf,
                               size_t cap,
                               uint32_t timeout_ms,
                               size_t *n,
                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Blocking: waits for the rest of the response body and returns all of it, followed by a NUL that
 * its length does not count. After TIMED_OUT nothing is lost: the next call includes what has
 * arrived.
 *
 * \param max most bytes to accept; a longer body is BODY_TOO_LARGE.
 * \param timeout_ms for the whole body; 60 seconds by default.
 * \param body the caller's to free.
 * \return ATLS_OK, as atls_exchange_read(), or
 * \retval ATLS_BODY_TOO_LARGE
 */
atls_status atls_exchange_read_all(const atls_exchange *exchange,
                                   size_t max,
                                   uint32_t timeout_ms,
                                   atls_buf *ATLS_NULLABLE *ATLS_NONNULL body,
                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Blocking: the trailers, once the body was read to its end; `*trailers` is NULL if there were
 * none. Does not wait. The trailers are a new reference: free it.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE event-driven exchange; the body is not at its end; another call on the
 *     exchange is under way
 */
atls_status atls_exchange_trailers(const atls_exchange *exchange,
                                   atls_head *ATLS_NULLABLE *ATLS_NONNULL trailers,
                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Event-driven: allows `bytes` more of the response body to be received. Grants add up; the sum
 * saturates.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE blocking exchange
 */
atls_status atls_exchange_grant(const atls_exchange *exchange,
                                uint64_t bytes,
                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Cancels the exchange and, unless it was over, closes its connection; over HTTP/2 it resets its
 * stream, and others on the connection go on. Event-driven: CLOSED follows, with CANCELED.
 * Blocking: calls of other threads on this exchange return CANCELED.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_exchange_cancel(const atls_exchange *exchange,
                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Adds a reference; returns `exchange`. */
atls_exchange *atls_exchange_ref(const atls_exchange *exchange);

/**
 * Drops a reference. The last one cancels the exchange, like atls_exchange_cancel(); CLOSED still
 * comes.
 */
void atls_exchange_free(atls_exchange *ATLS_NULLABLE exchange);

/**
 * Event-driven: copies all of `data` for the request body, or returns AGAIN and takes nothing; one
 * WRITABLE event follows each AGAIN. At most 256 KiB are queued, counted as by
 * atls_server_request_write().
 *
 * \return ATLS_OK, the status that says why the exchange ended, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_AGAIN
 * \retval ATLS_INVALID_STATE the body is not a stream; already finished; blocking exchange
 * \retval ATLS_CLOSED the server responded, or closed the connection, before it had the whole body;
 *     the response still comes
 */
atls_status atls_exchange_write(const atls_exchange *exchange,
                                atls_bytes data,
                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Blocking: writes a piece of the request body, and waits until the library has taken all of it.
 * Pieces from several threads are sent in the order of the calls; the timeout includes waiting for
 * earlier pieces.
 *
 * \param timeout_ms 60 seconds by default.
 * \return ATLS_OK, the status that says why the exchange ended, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE the body is not a stream; already finished; event-driven exchange
 * \retval ATLS_WOULD_DEADLOCK
 * \retval ATLS_TIMED_OUT nothing was taken
 * \retval ATLS_CANCELED
 * \retval ATLS_AGAIN the body must be written again: atls_exchange_rewind()
 * \retval ATLS_CLOSED the server responded, or closed the connection, before it had the whole body;
 *     the response can still be read
 */
atls_status atls_exchange_write_all(const atls_exchange *exchange,
                                    atls_bytes data,
                                    uint32_t timeout_ms,
                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Ends a streamed request body. Does nothing if the exchange is already over without an error,
 * because the server has all bytes of an announced length or responded early.
 *
 * \return ATLS_OK, the status that says why the exchange failed, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE the body is not a stream; already finished
 * \retval ATLS_AGAIN the body must be written again: atls_exchange_rewind()
 */
atls_status atls_exchange_finish(const atls_exchange *exchange,
                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Starts a streamed body again, after ATLS_EVENT_REWIND, or AGAIN with ATLS_DETAIL_REWIND. The next
 * bytes written are its beginning.
 *
 * \return ATLS_OK, the status that says why the exchange ended, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE the body is not a stream; no rewind was requested
 */
atls_status atls_exchange_rewind(const atls_exchange *exchange,
                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * The URL that the response came from, after redirects. Valid as long as the exchange. "" before
 * the response head has arrived, and for an exchange of an atls_http.
 */
atls_str atls_exchange_url(const atls_exchange *exchange);

/** How many redirects were followed. 0 for an exchange of an atls_http. */
uint32_t atls_exchange_redirects(const atls_exchange *exchange);

/** Whether the connection had carried an earlier request. False for an exchange of an atls_http. */
bool atls_exchange_reused(const atls_exchange *exchange);

/**
 * The version of HTTP that the response came with. 0 before the response head has arrived, for an
 * exchange of an atls_http, which speaks HTTP/1.x, and for NULL.
 */
atls_http_version atls_exchange_http_version(const atls_exchange *ATLS_NULLABLE exchange);

/**
 * The verdict on the server that responded, as a new reference: free it. NULL before the response
 * head has arrived, for an unattested server, and for an exchange of an atls_http. It is the one
 * that held when the request was sent.
 */
atls_verdict *ATLS_NULLABLE atls_exchange_verdict(const atls_exchange *exchange);

/**
 * Address and port of the other end of the socket, such as "192.0.2.1:443" or "[2001:db8::1]:443":
 * the server, or the proxy or forwarder that leads to it. Valid as long as the exchange. "" before
 * the response head has arrived, and for an exchange of an atls_http.
 */
atls_str atls_exchange_peer(const atls_exchange *exchange);

/**
 * The server's own certificate, DER; the caller's to free. NULL before the response head has
 * arrived, without TLS, and for an exchange of an atls_http.
 */
atls_buf *ATLS_NULLABLE atls_exchange_certificate(const atls_exchange *exchange);

/** Phases of an exchange (atls_exchange_time_us()). */
ATLS_ENUM(atls_exchange_time, uint32_t) {
    /** Waiting for the request's turn. */
    ATLS_EXCHANGE_TIME_QUEUE = 1,
    /** Resolving the name; 0 if a proxy or tunnel does it. */
    ATLS_EXCHANGE_TIME_DNS = 2,
    /** Opening the TCP connection, and setting up the proxy or tunnel. */
    ATLS_EXCHANGE_TIME_CONNECT = 3,
    /** The TLS handshake. */
    ATLS_EXCHANGE_TIME_TLS = 4,
    /** Evidence, collateral and appraisal. */
    ATLS_EXCHANGE_TIME_ATTEST = 5,
    /** From sending the request to the response head. */
    ATLS_EXCHANGE_TIME_FIRST_BYTE = 6,
    /** From the call to the end of the body, including redirects. */
    ATLS_EXCHANGE_TIME_TOTAL = 7,
};

/**
 * How long a phase of the exchange took, in microseconds. Except for the total, it is that of the
 * last request of a chain of redirects. The phases of connecting are 0 if an idle connection was
 * used. UINT64_MAX if the time is unknown, or not known yet, and for an exchange of an atls_http.
 *
 * \param which ATLS_EXCHANGE_TIME_*.
 */
uint64_t atls_exchange_time_us(const atls_exchange *exchange, atls_exchange_time which);

/** \} */

/* 14. Client ----------------------------------------------------------------------------------- */

/**
 * \defgroup atls_client Client
 *
 * A client takes requests by URL. It keeps connections for later requests, follows redirects and
 * attests every host that a policy covers. One serves a whole program, from any of its threads.
 *
 * \{
 */

/**
 * An HTTP client: requests by URL over pooled connections, with redirects, cookies and a policy for
 * each host. A connection is reused only for the same origin under the same policy. A host that a
 * policy covers is contacted attested or not at all. Before a connection is reused, its server is
 * judged again or asked for new evidence if the policy wants that by now (docs/policy.md, "Open
 * connections"); if it fails, nothing of the request is sent, and the exchange fails with that
 * error.
 *
 * Reference-counted, safe to share between threads. Dropping the last reference closes the idle
 * connections; requests under way run to their end.
 */
typedef struct atls_client atls_client;

/** Limits of a client. A builder: one thread at a time; copied when used. */
typedef struct atls_client_limits atls_client_limits;

/**
 * Creates limits that have their default values. Free them with atls_client_limits_free().
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_client_limits_new(atls_client_limits *ATLS_NULLABLE *ATLS_NONNULL limits,
                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Frees the builder. */
void atls_client_limits_free(atls_client_limits *ATLS_NULLABLE limits);

/**
 * Limits how many requests are under way at a time. A request counts from sending to the end of its
 * response; further requests wait in the order in which they were started.
 *
 * \param max 10 by default.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT `max` is 0
 */
atls_status atls_client_limits_set_requests(atls_client_limits *limits,
                                            uint32_t max,
                                            atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Limits how many connections are kept open. For both limits, 0 is the default and UINT32_MAX no
 * limit.
 *
 * \param per_host connections to one host and port, idle ones included; no limit by default. A
 *     request beyond it waits, without holding up requests to other hosts; over HTTP/2 too, where
 *     requests share a connection.
 * \param idle idle connections to all hosts together; 100 by default. Beyond it, the connection
 *     that has been idle longest is closed.
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_client_limits_set_connections(atls_client_limits *limits,
                                               uint32_t per_host,
                                               uint32_t idle,
                                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Limits how long connections are kept.
 *
 * \param idle_ms how long a connection may wait for its next request; 90 seconds by default.
 * \param age_ms how old a connection may become before a new one, attested anew, takes its place;
 *     no limit by default.
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_client_limits_set_times(atls_client_limits *limits,
                                         uint32_t idle_ms,
                                         uint32_t age_ms,
                                         atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Creates a client. `config` and `limits` are copied.
 *
 * \param runtime runs the requests of an event-driven client. It may be NULL: the client is then a
 *     blocking one, and I/O runs on the threads that call it.
 * \param config supplies roots, verifier, timeouts, tunnel and credit; it may be NULL, for the
 *     defaults. Its host, port and server name are ignored. Its policy applies to every host that
 *     no pattern of atls_client_set_policy() matches. Without a policy such hosts are refused,
 *     unless the configuration allows unattested connections (atls_config_set_unattested()).
 * \param limits may be NULL, for the defaults.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT roots, tunnel
 * \retval ATLS_TRUST_ANCHOR
 * \retval ATLS_IO
 */
atls_status atls_client_new(const atls_runtime *ATLS_NULLABLE runtime,
                            const atls_config *ATLS_NULLABLE config,
                            const atls_client_limits *ATLS_NULLABLE limits,
                            atls_client *ATLS_NULLABLE *ATLS_NONNULL client,
                            atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Contacts hosts that match `pattern` only under this policy. If several patterns match, the
 * closest one wins. Setting a pattern again replaces its policy, and connections that were judged
 * by the former policy are not reused.
 *
 * \param pattern a host name, an address, or `*.` followed by a name, which covers every name below
 *     that one. Case, a trailing dot and the form of international names make no difference.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT `pattern`
 * \retval ATLS_TRUST_ANCHOR
 */
atls_status atls_client_set_policy(const atls_client *client,
                                   const char *pattern,
                                   const atls_policy *policy,
                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Event-driven: sends a request created by atls_request_new_url(), which is copied. Its events go
 * to `sink`, as with atls_http_start(). For a streamed body, CONNECTED comes first; the body may be
 * written from then on.
 *
 * The request's timeout covers waiting for its turn, connecting, attestation and redirects, up to
 * the response head. If the server has closed an idle connection, the request is sent once more on
 * another one: if nothing of it was sent and its body is not a stream, or if its method is
 * idempotent, nothing of an answer has come, and its body can be sent again.
 *
 * The CLOSED event may also carry POLICY_REQUIRED, REDIRECT_REFUSED, CONTENT_CODING,
 * BODY_TOO_LARGE, and the statuses of atls_http_connect_start().
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_INVALID_STATE blocking client; queue stopped
 * \retval ATLS_HTTP_HEADER_INVALID
 * \retval ATLS_UNSUPPORTED
 */
atls_status atls_client_start(const atls_client *client,
                              const atls_request *request,
                              const atls_sink *sink,
                              atls_exchange *ATLS_NULLABLE *ATLS_NONNULL exchange,
                              atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Blocking: sends a request and, unless its body is a stream, waits for the response head. Continue
 * as after atls_http_fetch(). Several threads may do so at the same time.
 *
 * \return ATLS_OK, as atls_client_start(), as atls_http_connect(), or
 * \retval ATLS_WOULD_DEADLOCK
 * \retval ATLS_TIMED_OUT
 * \retval ATLS_IO
 * \retval ATLS_TRUNCATED
 * \retval ATLS_HTTP_PROTOCOL
 * \retval ATLS_POLICY_REQUIRED
 * \retval ATLS_REDIRECT_REFUSED
 */
atls_status atls_client_fetch(const atls_client *client,
                              const atls_request *request,
                              atls_exchange *ATLS_NULLABLE *ATLS_NONNULL exchange,
                              atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Blocking: like atls_client_fetch(), but returns at once. Another thread can cancel the exchange.
 * It makes progress while a thread is in a blocking call on it or on this client, such as
 * atls_exchange_head().
 *
 * \return ATLS_OK, as atls_client_start(), or
 * \retval ATLS_WOULD_DEADLOCK
 */
atls_status atls_client_open(const atls_client *client,
                             const atls_request *request,
                             atls_exchange *ATLS_NULLABLE *ATLS_NONNULL exchange,
                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Number of requests under way; 0 for NULL. */
size_t atls_client_active_requests(const atls_client *ATLS_NULLABLE client);

/** Number of requests that wait for their turn; 0 for NULL. */
size_t atls_client_queued_requests(const atls_client *ATLS_NULLABLE client);

/** Number of idle connections; 0 for NULL. */
size_t atls_client_idle_connections(const atls_client *ATLS_NULLABLE client);

/**
 * Keeps the cookies that responses set, and sends them back to the same host and no other (RFC
 * 6265, without the Domain attribute). Off by default; turning it off discards all cookies. A
 * request that has its own Cookie header field is left alone.
 *
 * At most 100 cookies of a host and 3,000 in all are kept; a new one replaces the one that was
 * unused longest. A Set-Cookie field longer than 4,096 bytes is ignored. If the cookies for one
 * request exceed 8,192 bytes, those set last are sent.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_client_set_cookies(const atls_client *client,
                                    bool keep,
                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Closes every idle connection. Requests under way continue, and new ones open new connections.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_client_close_idle(const atls_client *client,
                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Adds a reference; returns `client`. */
atls_client *atls_client_ref(const atls_client *client);

/** Drops a reference. The last one closes idle connections; requests under way run to their end. */
void atls_client_free(atls_client *ATLS_NULLABLE client);

/** \} */

/* 15. Server ----------------------------------------------------------------------------------- */

/**
 * \defgroup atls_server Server
 *
 * A server for HTTP/1.1, in TLS or in the clear, and for HTTP/2 in TLS. Requests come as events,
 * and answers stream. With a source of evidence it proves itself to clients that ask.
 *
 * \{
 */

/** The configuration of a server. A builder: one thread at a time; copied when used. */
typedef struct atls_server_config atls_server_config;

/** Limits of a server (atls_server_config_set_limit()). */
ATLS_ENUM(atls_server_limit, uint32_t) {
    /** Open connections; 10,000 by default. Further ones are closed as they arrive. */
    ATLS_SERVER_LIMIT_CONNECTIONS = 101,
    /** Open connections from one address; no limit by default. */
    ATLS_SERVER_LIMIT_CONNECTIONS_PER_ADDRESS = 102,
    /** Bytes of a request head; 65,536 by default. A larger one is answered with 431. */
    ATLS_SERVER_LIMIT_HEAD_BYTES = 103,
    /** Header fields of a request; 256 by default. */
    ATLS_SERVER_LIMIT_HEADERS = 104,
    /**
     * Bytes of a request body; 104,857,600 by default. A larger one is answered with 413. If the
     * Content-Length is already too large, that happens when the host starts the request, before
     * any of the body is read or requested (atls_server_request_set_body_limit()).
     */
    ATLS_SERVER_LIMIT_BODY_BYTES = 105,
    /**
     * Requests for evidence per second; 50 by default, which is more than usual hardware produces.
     * Further ones are answered with 503.
     */
    ATLS_SERVER_LIMIT_EVIDENCE_PER_SECOND = 106,
    /** Most bytes of a request body in one DATA event; 65,536 by default. */
    ATLS_SERVER_LIMIT_DATA_BYTES = 107,
    /**
     * Connections that the system queues until they are accepted; 1,024 by default. The system may
     * allow fewer.
     */
    ATLS_SERVER_LIMIT_BACKLOG = 108,
};

/** Deadlines of a server (atls_server_config_set_deadline()). */
ATLS_ENUM(atls_server_deadline, uint32_t) {
    /** Deadline for the TLS handshake; 10 seconds by default. */
    ATLS_SERVER_DEADLINE_HANDSHAKE = 201,
    /**
     * From the first byte of a request head to its last; 30 seconds by default. A slower client
     * gets a 408.
     */
    ATLS_SERVER_DEADLINE_HEAD = 202,
    /** Between requests, and before the first one; 60 seconds by default. */
    ATLS_SERVER_DEADLINE_IDLE = 203,
    /** For a whole request body; none by default. */
    ATLS_SERVER_DEADLINE_BODY = 204,
    /** While the peer does not read anything of a response; 60 seconds by default. */
    ATLS_SERVER_DEADLINE_SEND = 205,
    /**
     * How long the peer may be silent before TCP probes whether it is still there, and the time
     * between probes; 15 seconds by default, in whole seconds. After three unanswered probes the
     * peer is gone. While requests are under way over HTTP/2 the peer is also sent a PING at this
     * interval, and is gone if three in a row bring no answer.
     *
     * A client that closes its connection while the host handles its request looks at first like
     * one that has only closed its sending direction, and that is to get its response. The probes
     * tell the difference as soon as the client's system has forgotten the connection (Linux: one
     * minute after the close).
     */
    ATLS_SERVER_DEADLINE_TCP_KEEPALIVE = 206,
};

/**
 * Creates a configuration without TLS and with the default limits and deadlines. Free it with
 * atls_server_config_free().
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_server_config_new(atls_server_config *ATLS_NULLABLE *ATLS_NONNULL config,
                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Frees the builder. */
void atls_server_config_free(atls_server_config *ATLS_NULLABLE config);

/**
 * Sets a limit.
 *
 * \param which ATLS_SERVER_LIMIT_*.
 * \param value 0 is allowed for the body only; at most 2^30 for a head and 2^31 - 1 for the
 *     backlog.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT unknown limit; `value` out of range
 */
atls_status atls_server_config_set_limit(atls_server_config *config,
                                         atls_server_limit which,
                                         uint64_t value,
                                         atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets a deadline.
 *
 * \param which ATLS_SERVER_DEADLINE_*.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT unknown deadline
 */
atls_status atls_server_config_set_deadline(atls_server_config *config,
                                            atls_server_deadline which,
                                            uint32_t milliseconds,
                                            atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Says whether a connection may serve more than one request. On by default.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_server_config_set_keep_alive(atls_server_config *config,
                                              bool keep_alive,
                                              atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets which versions of HTTP the server speaks in TLS, where ALPN chooses one of them. By default
 * HTTP/1.1 alone: HTTP/2 is more code for an attacker to try, and on it one client has 100 requests
 * under way on one connection.
 *
 * Over HTTP/2 the server attests as over HTTP/1.1, once for all requests of a connection, and its
 * events and limits are the same. The differences:
 *
 * - What closes a connection of HTTP/1.1 in the middle of a message resets the stream instead.
 *   `Connection: close` in a response closes the connection once its other requests have ended.
 * - Fields that are about a connection of HTTP/1.1, such as Keep-Alive and Upgrade, are not sent,
 *   and neither is the reason phrase.
 * - A request's `:authority` is shown as Host. CONNECT is answered with 501, and no connection can
 *   leave HTTP (atls_server_request_upgrade_start()).
 * - CLOSED comes with OK once the response was handed over to the connection: up to 64 KiB of it
 *   may wait for the network.
 * - A client may reset 200 more streams than it lets end; one that begins with a head that is
 *   refused counts like a reset.
 * - A connection that is to end still takes requests that were on their way, for 2 seconds; later
 *   ones are refused with REFUSED_STREAM. That is also so without keep-alive
 *   (atls_server_config_set_keep_alive()).
 * - A `#` in a request's path, and what follows it, is cut off; over HTTP/1.1 it is shown.
 * - The end of the client's sending direction ends all its requests, whatever
 *   atls_server_config_set_half_close() says.
 * - A head that HTTP/2 itself finds malformed, or too large, and for which it resets the stream,
 *   and a connection that does not begin as HTTP/2 does, are refused without REFUSED. What breaks
 *   HTTP/2 on the connection as a whole ends it, with REFUSED.
 * - A client that breaks HTTP/2 in the body of a request ends it with HTTP_PROTOCOL. After that
 *   body a reset is shown as IO, whoever it was by.
 *
 * HTTP/2 without a certificate is refused when the server is started, and for a tunnel server.
 *
 * \param versions ATLS_HTTP_VERSION_1_1, which includes HTTP/1.0, or ATLS_HTTP_VERSION_2, or both
 *     as one set; 0 is the default.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT another version
 */
atls_status atls_server_config_set_http_versions(atls_server_config *config,
                                                 uint32_t versions,
                                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Says whether a client may end its sending direction, by a FIN or close_notify, and still wait for
 * its response. On by default. If off, such a client is gone: a request whose response is not
 * complete ends with IO and ATLS_DETAIL_PEER_GONE as soon as the end is read, instead of when TCP's
 * probes notice (ATLS_SERVER_DEADLINE_TCP_KEEPALIVE), so that work for clients which have left can
 * be stopped. The end is read only once the host has started the request and has taken its body:
 * not while the host gives no credit for the body or the client waits for 100 (Continue), and not
 * behind 16 KiB that the client has already sent of its next requests. A reset is noticed within a
 * second even then. Few clients half-close.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_server_config_set_half_close(atls_server_config *config,
                                              bool allowed,
                                              atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Accepts requests that deviate from the RFCs.
 *
 * \param flags the leniency flags from ATLS_H1_ALLOW_BARE_LF on, each of which says what it risks;
 *     0 by default.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT unknown flag
 */
atls_status atls_server_config_set_flags(atls_server_config *config,
                                         uint32_t flags,
                                         atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Reports each failed TLS handshake with a REFUSED event: who the peer was and what went wrong. Off
 * by default, because anyone can cause such failures at will. Failed handshakes are always counted
 * (ATLS_SERVER_COUNT_HANDSHAKES_FAILED), and only counted while 1,024 of these events wait for the
 * host.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_server_config_set_handshake_events(atls_server_config *config,
                                                    bool enabled,
                                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Decodes request bodies by their Content-Encoding: gzip, deflate, br and zstd. Another coding is
 * answered with 415. A body that cannot be decoded, or has bytes after its end that are not a
 * further gzip member or zstd frame, is answered with 400. The body limit counts decoded bytes. The
 * head stays as it was sent. Off by default.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_server_config_set_decode(atls_server_config *config,
                                          bool decode,
                                          atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Trusts the header fields X-Real-Ip, X-Forwarded-For, X-Scheme and X-Forwarded-Proto
 * (atls_server_request_remote(), atls_server_request_scheme()). Turn it on only if nobody but a
 * proxy can reach the server, because anyone can write such fields. Fields of the same name form
 * one list, whose last item counts. The proxy must therefore write or remove each of the four;
 * otherwise the last item may come from the client. Off by default.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_server_config_set_trust_forwarded(atls_server_config *config,
                                                   bool trust,
                                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Adds the address of a trusted proxy. The last address in X-Forwarded-For that is not a trusted
 * proxy is the client's.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT not an IP address
 */
atls_status atls_server_config_add_trusted_proxy(atls_server_config *config,
                                                 const char *address,
                                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the receive credit of each request, like atls_config_set_credit(). 256 KiB and automatic by
 * default.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_server_config_set_credit(atls_server_config *config,
                                          uint64_t initial,
                                          bool automatic,
                                          atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Serves TLS 1.3, and nothing older, with this certificate.
 *
 * \param chain_pem the certificate chain, leaf first.
 * \param key_pem the private key of the leaf.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_server_config_set_certificate(atls_server_config *config,
                                               const char *chain_pem,
                                               const char *key_pem,
                                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Uses another certificate for sessions that ask for `name` (SNI). Call
 * atls_server_config_set_certificate() first.
 *
 * \param chain_pem the certificate chain, leaf first.
 * \param key_pem the private key of the leaf.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_INVALID_STATE no certificate was set
 */
atls_status atls_server_config_add_certificate(atls_server_config *config,
                                               const char *name,
                                               const char *chain_pem,
                                               const char *key_pem,
                                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Asks clients for a certificate; atls_server_request_certificate() returns it. Call
 * atls_server_config_set_certificate() first.
 *
 * \param roots_pem the roots, one of which must have issued the certificate's chain.
 * \param required whether the handshake fails if the client has no certificate.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_INVALID_STATE no certificate was set
 */
atls_status atls_server_config_set_client_roots(atls_server_config *config,
                                                const char *roots_pem,
                                                bool required,
                                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * An HTTP server, with or without TLS. Its sink gets a REQUEST event for each request, and CLOSED
 * once the server has stopped and its last connection has ended. Reference-counted, safe to share
 * between threads. Dropping the last reference closes the server.
 */
typedef struct atls_server atls_server;

/**
 * Creates a server that does not listen yet: call atls_server_listen(), or another function that
 * gives it connections, next. Its events go to `sink`.
 *
 * \param config copied.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE queue or runtime stopped; evidence without a certificate
 */
atls_status atls_server_start(const atls_runtime *runtime,
                              const atls_server_config *config,
                              const atls_sink *sink,
                              atls_server *ATLS_NULLABLE *ATLS_NONNULL server,
                              atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Listens on a TCP port. May be called several times. The calling thread blocks while a name is
 * resolved.
 *
 * \param address an IPv4 or IPv6 address; or a name, for those of its addresses that this machine
 *     has. It may be NULL, for all addresses of this machine.
 * \param port 0 lets the system choose a port, the same for all addresses.
 * \param reuse_port shares the port with other processes that set it too.
 * \param bound the port; may be NULL.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_STATE the server was stopped
 * \retval ATLS_WOULD_DEADLOCK a name, on a thread of the library
 * \retval ATLS_DNS
 * \retval ATLS_IO
 */
atls_status atls_server_listen(const atls_server *server,
                               const char *ATLS_NULLABLE address,
                               uint16_t port,
                               bool reuse_port,
                               uint16_t *ATLS_NULLABLE bound,
                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Uses this certificate for new connections, except for names that have one of their own. Open
 * connections are not affected.
 *
 * \param chain_pem the certificate chain, leaf first.
 * \param key_pem the private key of the leaf.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_INVALID_STATE the server has no TLS
 */
atls_status atls_server_set_certificate(const atls_server *server,
                                        const char *chain_pem,
                                        const char *key_pem,
                                        atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Stops listening and closes idle connections; requests under way run to their end. Then comes
 * CLOSED.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_server_stop(const atls_server *server,
                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_server_stop(); whatever is left after the timeout is ended as by atls_server_close().
 * Returns at once: keep the runtime until CLOSED.
 *
 * \param timeout_ms 30 seconds by default.
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_server_drain(const atls_server *server,
                              uint32_t timeout_ms,
                              atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Closes the server now. Requests under way end with CANCELED and ATLS_DETAIL_SERVER_CLOSED. Then
 * comes CLOSED.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_server_close(const atls_server *server,
                              atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** What a server counts (atls_server_count()). */
ATLS_ENUM(atls_server_counter, uint32_t) {
    /** Connections that are open now. */
    ATLS_SERVER_COUNT_CONNECTIONS = 301,
    /** Connections accepted since the server was started. */
    ATLS_SERVER_COUNT_CONNECTIONS_ACCEPTED = 302,
    /** Connections closed because of a limit. */
    ATLS_SERVER_COUNT_CONNECTIONS_REFUSED = 303,
    /** Requests delivered to the host. */
    ATLS_SERVER_COUNT_REQUESTS = 304,
    /** Requests refused before they were delivered. */
    ATLS_SERVER_COUNT_REQUESTS_REFUSED = 305,
    /** Requests for evidence. */
    ATLS_SERVER_COUNT_EVIDENCE = 306,
    /** Tunnel servers only: connections that were forwarded. */
    ATLS_SERVER_COUNT_TUNNELS = 307,
    /** Tunnel servers only: bytes from clients to targets. */
    ATLS_SERVER_COUNT_BYTES_UP = 308,
    /** Tunnel servers only: bytes from targets to clients. */
    ATLS_SERVER_COUNT_BYTES_DOWN = 309,
    /** TLS handshakes that failed: refused by either side, abandoned, or too slow. */
    ATLS_SERVER_COUNT_HANDSHAKES_FAILED = 310,
};

/**
 * Reads a counter; 0 for NULL, or if the counter is unknown.
 *
 * \param which ATLS_SERVER_COUNT_*.
 */
uint64_t atls_server_count(const atls_server *ATLS_NULLABLE server, atls_server_counter which);

/** Adds a reference; returns `server`. */
atls_server *atls_server_ref(const atls_server *server);

/** Drops a reference. The last one closes the server. */
void atls_server_free(atls_server *ATLS_NULLABLE server);

/**
 * Listens on a Unix socket.
 *
 * \param path must not exist yet; removing the file afterwards is up to the host. On Linux, a path
 *     that begins with '@' is an abstract socket.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_STATE the server was stopped
 * \retval ATLS_IO
 */
atls_status atls_server_listen_unix(const atls_server *server,
                                    const char *path,
                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Accepts connections from a TCP or Unix socket that already listens, such as one from a service
 * manager, or one that worker processes share.
 *
 * \param fd belongs to the library after success, which closes it when the server stops; after a
 *     failure it is still the caller's.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT not a listening socket
 * \retval ATLS_INVALID_STATE the server was stopped
 * \retval ATLS_IO
 */
atls_status atls_server_adopt_listener(const atls_server *server,
                                       int32_t fd,
                                       atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Serves a connected TCP or Unix socket as if the server had accepted it.
 *
 * \param fd belongs to the library after success; after a failure it is still the caller's.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT not a connected socket
 * \retval ATLS_INVALID_STATE the server was stopped
 * \retval ATLS_IO
 */
atls_status atls_server_adopt_connection(const atls_server *server,
                                         int32_t fd,
                                         atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * A request to a server, through which the host responds. It comes with a REQUEST event; start it
 * to respond. Reference-counted, safe to share between threads.
 *
 * Dropping the last reference before the response was finished gives the request up: if it was
 * never started, it is answered with 500; otherwise its connection is closed. The connection is
 * also closed after a response that was finished before the request's END; the rest of the request
 * is discarded.
 */
typedef struct atls_server_request atls_server_request;

/**
 * Accepts the request. Its events go to `sink`: DATA as credit allows, TRAILERS, END, WRITABLE
 * after a write that returned AGAIN, and CLOSED, with OK once the response is sent.
 *
 * \param runtime the server's.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE already started; queue stopped
 * \retval ATLS_CLOSED
 */
atls_status atls_server_request_start(const atls_server_request *request,
                                      const atls_runtime *runtime,
                                      const atls_sink *sink,
                                      atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the limit of this request's body, in place of ATLS_SERVER_LIMIT_BODY_BYTES. Call it before
 * the request is started.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE already started
 * \retval ATLS_CLOSED
 */
atls_status atls_server_request_set_body_limit(const atls_server_request *request,
                                               uint64_t bytes,
                                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the deadline for this request's whole body, in place of ATLS_SERVER_DEADLINE_BODY, which is
 * the default. Call it before the request is started.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE already started
 * \retval ATLS_CLOSED
 */
atls_status atls_server_request_set_body_deadline(const atls_server_request *request,
                                                  uint32_t milliseconds,
                                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** The method as it was sent. Valid as long as the request. */
atls_str atls_server_request_method(const atls_server_request *request);

/**
 * The target as it was sent; bytes. Usually path and query. Otherwise `*`, with OPTIONS, for the
 * server as a whole; or host and port, with CONNECT, which atls_server_request_upgrade_start()
 * accepts; or an absolute URL, as sent to a proxy: its path is the resource, and its authority
 * counts instead of Host (RFC 9112 section 3.2). Valid as long as the request.
 */
atls_str atls_server_request_target(const atls_server_request *request);

/**
 * The host that the request is for, as it was sent, with the port if there is one, whatever form
 * the target has (atls_effective_authority()). Valid as long as the request. Empty if an HTTP/1.0
 * request names no host, or the authority is invalid.
 */
atls_str atls_server_request_authority(const atls_server_request *request);

/** The request's header fields, as a head whose status is 0. A new reference: free it. */
atls_head *atls_server_request_head(const atls_server_request *request);

/**
 * Address and port of the other end of the socket; empty for a Unix socket. Valid as long as the
 * request.
 */
atls_str atls_server_request_peer(const atls_server_request *request);

/**
 * The client's address: that of the other end of the socket, or what a proxy reported
 * (atls_server_config_set_trust_forwarded()); empty if neither is known. Valid as long as the
 * request.
 */
atls_str atls_server_request_remote(const atls_server_request *request);

/**
 * "https" or "http": what the client speaks to the server or, according to a trusted proxy, to the
 * proxy. Static.
 */
atls_str atls_server_request_scheme(const atls_server_request *request);

/** The version of HTTP that the request came with; 0 for NULL. */
atls_http_version atls_server_request_http_version(
    const atls_server_request *ATLS_NULLABLE request);

/** Whether the request came over TLS. */
bool atls_server_request_secure(const atls_server_request *request);

/**
 * The client's certificate, DER; NULL if there is none (atls_server_config_set_client_roots()). The
 * caller's to free.
 */
atls_buf *ATLS_NULLABLE atls_server_request_certificate(const atls_server_request *request);

/**
 * The verdict on the client's evidence, as a new reference: free it. NULL if the client was not
 * asked for evidence (atls_server_config_set_client_policy()).
 */
atls_verdict *ATLS_NULLABLE atls_server_request_verdict(const atls_server_request *request);

/**
 * Sends the head of the response or, with a status below 200, an informational head before it. Date
 * and the framing that the peer's HTTP version needs are added; if there is an Upgrade field, so is
 * `Connection: Upgrade`. Informational heads are not sent to an HTTP/1.0 peer.
 *
 * \param reason may be NULL, for the usual phrase.
 * \param headers may be NULL.
 * \param length of the body that will be written, in bytes, or ATLS_LENGTH_UNKNOWN. To an HTTP/1.0
 *     peer a body of unknown length ends with the connection. If it is given up or the server is
 *     freed before all of it was sent, the connection is reset, so that it does not look complete.
 *     A Unix socket cannot be reset: name a length there.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT `status`, `reason`
 * \retval ATLS_HTTP_HEADER_INVALID
 * \retval ATLS_INVALID_STATE not started; already sent
 * \retval ATLS_CLOSED
 */
atls_status atls_server_request_send_head(const atls_server_request *request,
                                          uint32_t status,
                                          const char *ATLS_NULLABLE reason,
                                          const atls_headers *ATLS_NULLABLE headers,
                                          uint64_t length,
                                          atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sends the head, the body and the end of a response in one call. Everything is copied.
 *
 * \param headers may be NULL. If it has a Content-Length, that must be the length of `body`, except
 *     in response to HEAD or with 304.
 * \return ATLS_OK, as atls_server_request_send_head(), or
 * \retval ATLS_HTTP_HEADER_INVALID wrong Content-Length
 */
atls_status atls_server_request_respond(const atls_server_request *request,
                                        uint32_t status,
                                        const atls_headers *ATLS_NULLABLE headers,
                                        atls_bytes body,
                                        atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Copies all of `data` for the response body, or returns AGAIN and takes nothing; one WRITABLE
 * event follows each AGAIN. What is written in response to HEAD, or with 204 or 304, is not sent.
 *
 * At most 256 KiB are queued for a peer that does not read. Each piece counts with its buffer, at
 * most twice its length, and 128 bytes of overhead. In addition, at most 128 KiB and the last piece
 * begun are on their way.
 *
 * \return ATLS_OK, the status that says why the request ended, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_AGAIN
 * \retval ATLS_INVALID_STATE no head yet; already finished; more than the announced length
 * \retval ATLS_CLOSED
 */
atls_status atls_server_request_write(const atls_server_request *request,
                                      atls_bytes data,
                                      atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Ends the response. A body shorter than the announced length is INVALID_STATE and closes the
 * connection, because the peer waits for the rest; CLOSED reports it too.
 *
 * \param trailers may be NULL. Allowed only with a body of unknown length; not sent to an HTTP/1.0
 *     peer.
 * \return ATLS_OK, the status that says why the request ended, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE no head yet; already finished; bytes are missing
 * \retval ATLS_HTTP_HEADER_INVALID trailers; the response is not ended
 */
atls_status atls_server_request_finish(const atls_server_request *request,
                                       const atls_headers *ATLS_NULLABLE trailers,
                                       atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Allows `bytes` more of the request's body to be received. Grants add up; the sum saturates.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_server_request_grant(const atls_server_request *request,
                                      uint64_t bytes,
                                      atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Gives the request up and closes its connection. CLOSED follows, with CANCELED.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_server_request_cancel(const atls_server_request *request,
                                       atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Adds a reference; returns `request`. */
atls_server_request *atls_server_request_ref(const atls_server_request *request);

/** Drops a reference. The last one gives up a request whose response is not finished. */
void atls_server_request_free(atls_server_request *ATLS_NULLABLE request);

/**
 * Responds with a part of a file. The file is read on a thread of the library, as fast as the peer
 * takes it. Content-Length is added; the other header fields of a range, and which paths may be
 * served, are up to the host. If the file becomes shorter while it is sent, the connection is
 * closed.
 *
 * \param runtime the server's.
 * \param headers may be NULL.
 * \param offset where in the file to start, in bytes.
 * \param length in bytes; ATLS_LENGTH_UNKNOWN sends the file to its end.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT not a regular file; the file is too short; `status` not final
 * \retval ATLS_HTTP_HEADER_INVALID
 * \retval ATLS_IO
 * \retval ATLS_INVALID_STATE not started; already answered
 * \retval ATLS_CLOSED
 */
atls_status atls_server_request_respond_file(const atls_server_request *request,
                                             const atls_runtime *runtime,
                                             uint32_t status,
                                             const atls_headers *ATLS_NULLABLE headers,
                                             const char *path,
                                             uint64_t offset,
                                             uint64_t length,
                                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Answers with 101 and `headers`, which must include Upgrade, or answers a CONNECT with a 2xx, and
 * takes the connection out of HTTP. It becomes an event-driven atls_stream with events for `sink`:
 * CONNECTED once the response is on its way, then DATA, starting with bytes that the peer has sent
 * ahead.
 *
 * The request must have been started; it ends with CLOSED and OK. The stream has the credit of the
 * server's requests (atls_server_config_set_credit()). If the connection ends first, or the host
 * cancels the stream, the stream is CLOSED at once; canceling also closes the connection.
 *
 * \param runtime the server's.
 * \param headers may be NULL.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT `status`
 * \retval ATLS_HTTP_HEADER_INVALID Content-Length or Transfer-Encoding, which this response cannot
 *     have
 * \retval ATLS_INVALID_STATE not started; already answered; the client did not ask for it; queue or
 *     runtime stopped
 * \retval ATLS_CLOSED
 */
atls_status atls_server_request_upgrade_start(const atls_server_request *request,
                                              const atls_runtime *runtime,
                                              uint32_t status,
                                              const atls_headers *ATLS_NULLABLE headers,
                                              const atls_sink *sink,
                                              atls_stream *ATLS_NULLABLE *ATLS_NONNULL stream,
                                              atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** \} */

/* 16. Evidence --------------------------------------------------------------------------------- */

/**
 * \defgroup atls_evidence Evidence
 *
 * How this side proves itself, as a server or as a client. Evidence comes from a guest agent, from
 * the kernel or from the program. Programs that terminate TLS themselves can compute the report
 * data that evidence must hold.
 *
 * \{
 */

/**
 * Gets a quote over `report_data` (64 bytes). If it returns OK, `*evidence` is the JSON text of a
 * guest agent's answer, `{"quote":"<hex>","event_log":"<JSON>"}`, without `event_log` if the
 * machine is not a dstack guest; the library frees it. Any other status means that there is no
 * quote. Runs on a thread of the library, one call at a time for each configuration; may block.
 */
typedef atls_status (*atls_quote_fn)(void *ATLS_NULLABLE user_data,
                                     const uint8_t *report_data,
                                     atls_buf *ATLS_NULLABLE *ATLS_NONNULL evidence);

/**
 * Makes evidence that is bound to `binder` (64 bytes); docs/protocol.md says where evidence of each
 * kind holds it. If it returns OK, `*evidence` is the JSON text of the evidence object of that
 * kind; the library frees it. Any other status means that there is no evidence. Runs on a thread of
 * the library, one call at a time for each configuration and kind; may block.
 *
 * \param fresh all of it must be made now, even if that is slow; otherwise what was signed earlier
 *     for this machine may be part of it.
 */
typedef atls_status (*atls_evidence_fn)(void *ATLS_NULLABLE user_data,
                                        const uint8_t *binder,
                                        bool fresh,
                                        atls_buf *ATLS_NULLABLE *ATLS_NONNULL evidence);

/**
 * Makes evidence of devices beside the machine over `nonce` (32 bytes), which each device must put
 * into what it signs. If it returns OK, `*evidence` is the JSON text of the list of devices that
 * docs/protocol.md has for the kind; the library frees it. Any other status means that there is no
 * evidence. Runs on a thread of the library, one call at a time for each source; may block.
 */
typedef atls_status (*atls_attached_fn)(void *ATLS_NULLABLE user_data,
                                        const uint8_t *nonce,
                                        atls_buf *ATLS_NULLABLE *ATLS_NONNULL evidence);

/**
 * Proves the server to clients that ask: `POST /tdx_quote` (protocol atlas-v1) and `POST
 * /atls/exporter-v1` are answered with evidence of the machine that the server runs on, bound to
 * the TLS session. This is what atls_http_connect_start() and the like ask for; docs/protocol.md
 * describes both protocols. The host does not see these requests. The server needs a certificate;
 * if the agent supports it, its fingerprint is added to the guest's log. Quotes are made one at a
 * time. If 64 requests are waiting, or more than ATLS_SERVER_LIMIT_EVIDENCE_PER_SECOND arrive,
 * further ones are answered with 503 and Retry-After, and so is one whose evidence is not made
 * within 30 s; clients of this library then ask again, within their deadlines. A server may have
 * several sources, each of another kind of evidence: a source takes the place of one of the same
 * kind. A client is given the first kind of its challenge that the server has a source of; if there
 * is none, the answer is 400.
 *
 * \param path the Unix socket of the dstack guest agent. May be NULL, for its usual places.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT no agent found
 */
atls_status atls_server_config_set_dstack_agent(atls_server_config *config,
                                                const char *ATLS_NULLABLE path,
                                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_server_config_set_dstack_agent(), with TDX quotes or SEV-SNP reports from configfs-tsm
 * of the Linux kernel, for machines that are not dstack guests. The kernel is asked at once which
 * of the two this is. The evidence of a TDX guest then has no event log, so it satisfies only
 * policies that accept exporter-v1 and either are of type `tdx`, or name no application and have
 * `"require_key_event": false`. The firmware's boot log goes with the quote if
 * /sys/firmware/acpi/tables/data/CCEL can be read. Evidence of an SEV-SNP guest is given by
 * exporter-v1 only, with the certificate of the key that signed it if the guest's host provides
 * that.
 *
 * \param path the folder of configfs-tsm. May be NULL, for the usual one.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT not found
 */
atls_status atls_server_config_set_tsm(atls_server_config *config,
                                       const char *ATLS_NULLABLE path,
                                       atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_server_config_set_dstack_agent(), with documents of the security module of an AWS Nitro
 * enclave, which name the key of the session's certificate. They are given by exporter-v1 only.
 *
 * \param path the device. May be NULL, for "/dev/nsm".
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT cannot be opened
 */
atls_status atls_server_config_set_nsm(atls_server_config *config,
                                       const char *ATLS_NULLABLE path,
                                       atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_server_config_set_dstack_agent(), with evidence of an Azure confidential virtual
 * machine: the report of its paravisor and a quote of its TPM. The TPM is asked at once whether the
 * machine is a TDX or an SEV-SNP guest. Evidence is given by exporter-v1 only. The metadata service
 * is asked for the hardware's quote or for the certificate of the chip's key, whenever the report
 * is another; and the issuers of the certificate that the TPM has for its key are fetched once, by
 * http, from where that certificate says that they are, if that is on the public internet. Clients
 * that want a fresh report get it once in five seconds, and wait some seconds.
 *
 * \param tpm the device, or a Unix socket of a TPM. May be NULL, for "/dev/tpmrm0".
 * \param metadata_url "http://HOST" or "http://HOST:PORT". May be NULL, for
 *     "http://169.254.169.254".
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT no TPM, no such machine, not a URL
 */
atls_status atls_server_config_set_azure_vtpm(atls_server_config *config,
                                              const char *ATLS_NULLABLE tpm,
                                              const char *ATLS_NULLABLE metadata_url,
                                              atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_server_config_set_dstack_agent(), with TDX quotes that the host makes. The host is then
 * also responsible for naming the certificate in the guest's log.
 *
 * \param drop may be NULL. Runs once, after the last use of `user_data`, and also if this call
 *     fails.
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_server_config_set_quote_source(
    atls_server_config *config,
    atls_quote_fn quote,
    void *ATLS_NULLABLE user_data,
    void (*ATLS_NULLABLE drop)(void *ATLS_NULLABLE user_data),
    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_server_config_set_dstack_agent(), with evidence of any kind that the host makes. Such
 * evidence is given by exporter-v1, and "tdx" by atlas-v1 too, which needs a log that names the
 * certificate.
 *
 * \param tee the kind, as docs/protocol.md names it: "tdx", "snp", "nitro" and so on.
 * \param drop may be NULL. Runs once, after the last use of `user_data`, and also if this call
 *     fails.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT no such kind
 */
atls_status atls_server_config_set_evidence_source(
    atls_server_config *config,
    const char *tee,
    atls_evidence_fn evidence,
    void *ATLS_NULLABLE user_data,
    void (*ATLS_NULLABLE drop)(void *ATLS_NULLABLE user_data),
    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Adds a source of evidence of devices beside the machine. It is attached to the evidence of the
 * server itself if a client wishes for such evidence, that is, if its policy has a `gpu` block. The
 * library opens no library of a device's maker: the host calls that, or a tool, in `evidence`.
 * Nothing in such evidence says in which machine a device is. The guest has to check its own
 * devices before it uses them, and what a client learns of them is worth as much as what its policy
 * pins of the guest. There may be eight sources, several of a kind too; if one fails, the server
 * gives no evidence. A server that has no source of its own evidence does not start with one of
 * devices.
 *
 * \param tee the kind, "nvidia".
 * \param drop may be NULL. Runs once, after the last use of `user_data`, and also if this call
 *     fails.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT a kind that does not attach; a ninth source
 */
atls_status atls_server_config_add_attached_source(
    atls_server_config *config,
    const char *tee,
    atls_attached_fn evidence,
    void *ATLS_NULLABLE user_data,
    void (*ATLS_NULLABLE drop)(void *ATLS_NULLABLE user_data),
    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Proves the client to servers that ask, by protocol exporter-v1. If the configuration has a
 * policy, it must accept exporter-v1, and the server's evidence is judged first. Without a policy,
 * a server that does not support exporter-v1 is shown nothing and is used as it is. If the server
 * refuses the evidence, connecting ends with EVIDENCE_REFUSED; if it wants a kind of evidence that
 * there is no source of, with NO_EVIDENCE. There may be several sources, each of another kind of
 * evidence: a source takes the place of one of the same kind.
 *
 * \param path the Unix socket of the dstack guest agent. May be NULL, for its usual places.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT no agent found
 */
atls_status atls_config_set_dstack_agent(atls_config *config,
                                         const char *ATLS_NULLABLE path,
                                         atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_config_set_dstack_agent(), with evidence from configfs-tsm of the Linux kernel, as
 * described for atls_server_config_set_tsm().
 *
 * \param path the folder of configfs-tsm. May be NULL, for the usual one.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT not found
 */
atls_status atls_config_set_tsm(atls_config *config,
                                const char *ATLS_NULLABLE path,
                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_config_set_dstack_agent(), with documents of the security module of an AWS Nitro
 * enclave, as described for atls_server_config_set_nsm().
 *
 * \param path the device. May be NULL, for "/dev/nsm".
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT cannot be opened
 */
atls_status atls_config_set_nsm(atls_config *config,
                                const char *ATLS_NULLABLE path,
                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_config_set_dstack_agent(), with evidence of an Azure confidential virtual machine, as
 * described for atls_server_config_set_azure_vtpm().
 *
 * \param tpm the device, or a Unix socket of a TPM. May be NULL, for "/dev/tpmrm0".
 * \param metadata_url "http://HOST" or "http://HOST:PORT". May be NULL, for
 *     "http://169.254.169.254".
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT no TPM, no such machine, not a URL
 */
atls_status atls_config_set_azure_vtpm(atls_config *config,
                                       const char *ATLS_NULLABLE tpm,
                                       const char *ATLS_NULLABLE metadata_url,
                                       atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_config_set_dstack_agent(), with TDX quotes that the host makes.
 *
 * \param drop may be NULL. Runs once, after the last use of `user_data`, and also if this call
 *     fails.
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_config_set_quote_source(atls_config *config,
                                         atls_quote_fn quote,
                                         void *ATLS_NULLABLE user_data,
                                         void (*ATLS_NULLABLE drop)(void *ATLS_NULLABLE user_data),
                                         atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_config_set_dstack_agent(), with evidence of any kind that the host makes.
 *
 * \param tee the kind, as docs/protocol.md names it: "tdx", "snp", "nitro" and so on.
 * \param drop may be NULL. Runs once, after the last use of `user_data`, and also if this call
 *     fails.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT no such kind
 */
atls_status atls_config_set_evidence_source(
    atls_config *config,
    const char *tee,
    atls_evidence_fn evidence,
    void *ATLS_NULLABLE user_data,
    void (*ATLS_NULLABLE drop)(void *ATLS_NULLABLE user_data),
    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_server_config_add_attached_source(), for servers that ask the client for evidence and
 * wish for that of devices too. A configuration that has no source of the client's own evidence
 * cannot be used with one of devices.
 *
 * \param tee the kind, "nvidia".
 * \param drop may be NULL. Runs once, after the last use of `user_data`, and also if this call
 *     fails.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT a kind that does not attach; a ninth source
 */
atls_status atls_config_add_attached_source(
    atls_config *config,
    const char *tee,
    atls_attached_fn evidence,
    void *ATLS_NULLABLE user_data,
    void (*ATLS_NULLABLE drop)(void *ATLS_NULLABLE user_data),
    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Serves only clients that prove themselves by exporter-v1. Their evidence must satisfy `policy`,
 * with the collateral and trust anchors of `verifier`. Any other request before that is answered
 * with 403, which ends the connection. Refused evidence is answered with 403 too; the client learns
 * only the name of the check that failed. The reason and the verdict (atls_error_verdict()) are in
 * the host's REFUSED event. A client has one attempt for each challenge and eight for a connection,
 * which then ends. The proof holds as long as the connection, unless the policy ends it earlier
 * (docs/policy.md, "Open connections"): then the next request is refused in the same way. A later
 * proof that is refused ends it too, and the connection. Its verdict:
 * atls_server_request_verdict(). The server needs a certificate.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_TRUST_ANCHOR
 */
atls_status atls_server_config_set_client_policy(atls_server_config *config,
                                                 const atls_policy *policy,
                                                 const atls_verifier *verifier,
                                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Adds a name of this server. If there are any, the server does not prove itself by exporter-v1 in
 * a session that was opened for another name (SNI). So a client that was redirected to a sibling
 * whose certificate covers both names will notice.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 */
atls_status atls_server_config_add_name(atls_server_config *config,
                                        const char *name,
                                        atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** The side that proves itself. */
ATLS_ENUM(atls_attester, uint32_t) {
    /** The server proves itself. */
    ATLS_ATTESTER_SERVER = 0,
    /** The client proves itself. */
    ATLS_ATTESTER_CLIENT = 1,
};

/**
 * For hosts that terminate TLS themselves: computes the report data that a quote must hold in
 * protocol atlas-v1, the SHA-512 of `nonce` and `exporter`.
 *
 * \param nonce 32 bytes, from the request.
 * \param exporter 32 bytes, the TLS exporter value for the label "EXPORTER-Channel-Binding" without
 *     context.
 * \param binder has room for 64 bytes.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT not 32 bytes
 */
atls_status atls_compute_binder(atls_bytes nonce,
                                atls_bytes exporter,
                                uint8_t *binder,
                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * For hosts that terminate TLS themselves: computes the report data that a TDX quote must hold in
 * protocol exporter-v1 (docs/protocol.md, "The binder"). For other kinds of evidence:
 * atls_compute_exporter_binder_for().
 *
 * \param attester the side that proves itself.
 * \param nonce 32 bytes, from the challenge.
 * \param exporter 32 bytes, the TLS exporter value for the label "EXPERIMENTAL-atls-exporter-v1"
 *     with the SHA-384 of the challenge's bytes as context.
 * \param server_leaf the server's certificate (DER).
 * \param client_leaf the client's certificate (DER); empty if it has shown none.
 * \param server_name the name in the handshake (SNI); may be NULL, for none.
 * \param binder has room for 64 bytes.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 */
atls_status atls_compute_exporter_binder(atls_attester attester,
                                         atls_bytes nonce,
                                         atls_bytes exporter,
                                         atls_bytes server_leaf,
                                         atls_bytes client_leaf,
                                         const char *ATLS_NULLABLE server_name,
                                         uint8_t *binder,
                                         atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_compute_exporter_binder(), for evidence of any kind. docs/protocol.md says where
 * evidence of each kind holds the binder.
 *
 * \param tee the kind, as docs/protocol.md names it: "tdx", "snp", "nitro" and so on.
 * \param attester the side that proves itself.
 * \param nonce 32 bytes, from the challenge.
 * \param exporter 32 bytes, the TLS exporter value for the label "EXPERIMENTAL-atls-exporter-v1"
 *     with the SHA-384 of the challenge's bytes as context.
 * \param server_leaf the server's certificate (DER).
 * \param client_leaf the client's certificate (DER); empty if it has shown none.
 * \param server_name the name in the handshake (SNI); may be NULL, for none.
 * \param binder has room for 64 bytes.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 */
atls_status atls_compute_exporter_binder_for(const char *tee,
                                             atls_attester attester,
                                             atls_bytes nonce,
                                             atls_bytes exporter,
                                             atls_bytes server_leaf,
                                             atls_bytes client_leaf,
                                             const char *ATLS_NULLABLE server_name,
                                             uint8_t *binder,
                                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** \} */

/* 17. Forms ------------------------------------------------------------------------------------ */

/**
 * \defgroup atls_forms Forms
 *
 * What a browser sends: query strings, cookies, and bodies of forms with or without files. A form
 * is read as a whole, or, if it has files, piece by piece. Both have limits.
 *
 * \{
 */

/**
 * The names and values of a query, of cookies, or of a form in a body, and its files, in the order
 * in which they came. Immutable.
 */
typedef struct atls_form atls_form;

/**
 * Parses a query (what follows the '?' of a target) or text of the same form: pairs separated by
 * '&', '+' for a space, %XX for a byte.
 *
 * \param form the caller's to free.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_HTTP_PROTOCOL more than 10,000 pairs
 */
atls_status atls_form_parse_query(atls_bytes query,
                                  atls_form *ATLS_NULLABLE *ATLS_NONNULL form,
                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Parses the value of a Cookie header field. If a name is duplicated, the last one counts; text
 * without a '=' is a value without a name; quotes around a value are removed.
 *
 * \param form the caller's to free.
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_form_parse_cookies(atls_bytes cookie,
                                    atls_form *ATLS_NULLABLE *ATLS_NONNULL form,
                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Parses a whole body as its Content-Type says: application/x-www-form-urlencoded or
 * multipart/form-data. A body of another type gives an empty form, which is not an error.
 *
 * \param content_encoding the value of that header field; may be NULL. Anything but "identity" is
 *     an error: decode the body first (atls_server_config_set_decode()).
 * \param form the caller's to free.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_HTTP_PROTOCOL atls_error_http_status() is the status that a server may respond with
 */
atls_status atls_form_parse_body(const char *content_type,
                                 const char *ATLS_NULLABLE content_encoding,
                                 atls_bytes body,
                                 atls_form *ATLS_NULLABLE *ATLS_NONNULL form,
                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_form_parse_body(), with other limits. 0 is the default of each limit.
 *
 * \param content_encoding may be NULL.
 * \param parts parts of a multipart form; 100 by default.
 * \param part_head bytes of the head of each part; 10,240 by default.
 * \param pairs pairs of a urlencoded form; 10,000 by default.
 * \param form the caller's to free.
 * \return ATLS_OK, or as atls_form_parse_body().
 */
atls_status atls_form_parse_body_with_limits(const char *content_type,
                                             const char *ATLS_NULLABLE content_encoding,
                                             atls_bytes body,
                                             size_t parts,
                                             size_t part_head,
                                             size_t pairs,
                                             atls_form *ATLS_NULLABLE *ATLS_NONNULL form,
                                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Number of entries; 0 for NULL. */
size_t atls_form_count(const atls_form *ATLS_NULLABLE form);

/** Index of the first entry with this name, at or after index `from`; SIZE_MAX if there is none. */
size_t atls_form_find(const atls_form *form, const char *name, size_t from);

/**
 * Name of the entry at `index`: bytes, usually UTF-8. "" past the end. Valid as long as the form.
 */
atls_str atls_form_name(const atls_form *form, size_t index);

/**
 * Value of the entry at `index`, or the bytes of its file. "" past the end. Valid as long as the
 * form.
 */
atls_str atls_form_value(const atls_form *form, size_t index);

/**
 * File name of the entry at `index`, as the client sent it: never use it as a path. "" if the entry
 * is not a file. Valid as long as the form.
 */
atls_str atls_form_file_name(const atls_form *form, size_t index);

/**
 * Content type of the entry at `index`, as the client sent it; "" if it sent none. Valid as long as
 * the form.
 */
atls_str atls_form_content_type(const atls_form *form, size_t index);

/** Frees the form. */
void atls_form_free(atls_form *ATLS_NULLABLE form);

/** What comes next in a form (atls_multipart_next()). */
ATLS_ENUM(atls_multipart_event, uint32_t) {
    /** Nothing, until more is received. */
    ATLS_MULTIPART_NEED_DATA = 0,
    /**
     * A part begins: see atls_multipart_name(), atls_multipart_file_name() and
     * atls_multipart_content_type().
     */
    ATLS_MULTIPART_PART = 1,
    /** Some bytes of the part: see atls_multipart_data(). */
    ATLS_MULTIPART_DATA = 2,
    /** The part is complete. */
    ATLS_MULTIPART_PART_END = 3,
    /** The form is complete. */
    ATLS_MULTIPART_END = 4,
};

/**
 * A parser of multipart/form-data bodies (RFC 7578), without I/O. Give it the body piece by piece
 * with atls_multipart_receive(); atls_multipart_next() returns what it contains. It holds at most
 * the head of one part and the length of a boundary. One thread at a time.
 *
 * Text before the first boundary and after the last is ignored (RFC 2046 section 5.1.1). A part may
 * end with its head. `name*` and `filename*` count only if the plain parameter is absent,
 * `boundary*` never.
 */
typedef struct atls_multipart atls_multipart;

/**
 * Creates a parser. Free it with atls_multipart_free(). 0 is the default of each limit.
 *
 * \param content_type the value of the body's Content-Type header field.
 * \param parts most parts; 100 by default.
 * \param part_head most bytes of the head of each part; 10,240 by default.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_HTTP_PROTOCOL not multipart/form-data; no boundary
 */
atls_status atls_multipart_new(const char *content_type,
                               size_t parts,
                               size_t part_head,
                               atls_multipart *ATLS_NULLABLE *ATLS_NONNULL multipart,
                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Receives more of the body; copied.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_multipart_receive(atls_multipart *multipart,
                                   atls_bytes data,
                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Says that the body is complete. From now on a form that is not complete is an error.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_multipart_receive_eof(atls_multipart *multipart,
                                       atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Returns what comes next in the body.
 *
 * \param event ATLS_MULTIPART_*.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_HTTP_PROTOCOL permanent; atls_error_http_status() is the status that a server may
 *     respond with
 */
atls_status atls_multipart_next(atls_multipart *multipart,
                                atls_multipart_event *event,
                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Name of the part that began last. Valid until the next part. */
atls_str atls_multipart_name(const atls_multipart *multipart);

/**
 * File name of the part that began last, as the client sent it: never use it as a path. "" if the
 * part is not a file. Valid until the next part.
 */
atls_str atls_multipart_file_name(const atls_multipart *multipart);

/**
 * Content type of the part that began last, as the client sent it; "" if it sent none. Valid until
 * the next part.
 */
atls_str atls_multipart_content_type(const atls_multipart *multipart);

/**
 * The bytes of an ATLS_MULTIPART_DATA event. Valid until the next call of atls_multipart_next().
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE the last event was another one
 */
atls_status atls_multipart_data(const atls_multipart *multipart,
                                atls_bytes *data,
                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Frees the parser. */
void atls_multipart_free(atls_multipart *ATLS_NULLABLE multipart);

/** \} */

/* 18. Tunnel server ---------------------------------------------------------------------------- */

/**
 * \defgroup atls_tunnel_server Tunnel server
 *
 * A forwarder from WebSockets to TCP, the other end of atls_config_set_tunnel. It lets through what
 * it was told to allow, and nothing else. It sees only what TLS leaves visible.
 *
 * \{
 */

/** What a tunnel server forwards. A builder: one thread at a time; copied when used. */
typedef struct atls_tunnel_config atls_tunnel_config;

/** Deadlines of a forwarder (atls_tunnel_config_set_deadline()). */
ATLS_ENUM(atls_tunnel_deadline, uint32_t) {
    /** For connecting to the target; 10 seconds by default. After it the client gets a 504. */
    ATLS_TUNNEL_DEADLINE_CONNECT = 701,
    /** Without a byte in either direction; 300 seconds by default. */
    ATLS_TUNNEL_DEADLINE_IDLE = 702,
    /** From the upgrade to the end of the tunnel; none by default. */
    ATLS_TUNNEL_DEADLINE_TOTAL = 703,
};

/**
 * Creates a configuration that forwards nothing. Free it with atls_tunnel_config_free().
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_tunnel_config_new(atls_tunnel_config *ATLS_NULLABLE *ATLS_NONNULL config,
                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Frees the builder. */
void atls_tunnel_config_free(atls_tunnel_config *ATLS_NULLABLE config);

/**
 * Allows clients to reach a target.
 *
 * \param entry `host:port`, or `*.suffix:port` for every name below `suffix`. Case makes no
 *     difference.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_tunnel_config_add_target(atls_tunnel_config *config,
                                          const char *entry,
                                          atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the target of clients that name none; otherwise they get a 400. The target must be allowed
 * too (atls_tunnel_config_add_target()).
 *
 * \param target `host:port`.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_tunnel_config_set_default_target(atls_tunnel_config *config,
                                                  const char *target,
                                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Says whether a name may resolve to an address that is not public (loopback, private, link-local
 * and the like). Off by default, even if the name is an allowed target, because whoever controls
 * the name chooses the address. Does not affect targets that are addresses, nor "localhost".
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_tunnel_config_set_allow_private(atls_tunnel_config *config,
                                                 bool allow,
                                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Allows web pages of an origin. A client that sends any other Origin gets a 403. Programs that are
 * not browsers do not send one.
 *
 * \param origin such as `https://app.example`; `*` allows all.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 */
atls_status atls_tunnel_config_add_origin(atls_tunnel_config *config,
                                          const char *origin,
                                          atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Requires `Authorization: Bearer token` or, for browsers, which cannot send that, `token=` in the
 * query. A client without it gets a 401.
 *
 * \param token may be NULL, which removes the requirement.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT empty
 */
atls_status atls_tunnel_config_set_token(atls_tunnel_config *config,
                                         const char *ATLS_NULLABLE token,
                                         atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets a deadline.
 *
 * \param which ATLS_TUNNEL_DEADLINE_*.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT unknown deadline
 */
atls_status atls_tunnel_config_set_deadline(atls_tunnel_config *config,
                                            atls_tunnel_deadline which,
                                            uint32_t milliseconds,
                                            atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Creates a server that forwards WebSockets to TCP. A WebSocket on any path, with
 * `target=host:port` in its query, becomes a TCP connection to that target, whose bytes travel in
 * binary frames. A request that is not allowed is answered with 400, 401, 403, 426, 502 or 504 and
 * a reason, before anything is upgraded. `GET /healthz` is answered with 200. No REQUEST events
 * come; everything else is as with atls_server_start().
 *
 * A frame from a client may have 1 MiB, and a message any number of frames. Neither is held as a
 * whole: a tunnel takes 40 KiB, besides its two sockets and its TLS session, whether it is idle or
 * in the middle of a frame. A client that violates the protocol gets a Close frame: 1009 for a
 * frame that is too long, 1007 for text that is not UTF-8, otherwise 1002.
 *
 * \param server_config limits, deadlines and TLS; copied.
 * \param config copied.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE queue or runtime stopped
 * \retval ATLS_INVALID_ARGUMENT no target is allowed, or the default target is not
 * \retval ATLS_UNSUPPORTED `server_config` has evidence, or a policy for clients
 */
atls_status atls_tunnel_server_start(const atls_runtime *runtime,
                                     const atls_server_config *server_config,
                                     const atls_tunnel_config *config,
                                     const atls_sink *sink,
                                     atls_server *ATLS_NULLABLE *ATLS_NONNULL server,
                                     atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** \} */

/* 19. Verification ----------------------------------------------------------------------------- */

/**
 * \defgroup atls_verification Verification
 *
 * For evidence that did not arrive over a connection of this library, and for the vendors'
 * documents needed to judge it. Verifying a file is pure: no network, no clock. A verifier keeps
 * the vendor's documents and is shared by connections.
 *
 * \{
 */

/** The input of an offline verification, set piece by piece. A builder: one thread at a time. */
typedef struct atls_verification atls_verification;

/**
 * Creates an empty one.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_verification_new(atls_verification *ATLS_NULLABLE *ATLS_NONNULL verification,
                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Frees the builder. */
void atls_verification_free(atls_verification *ATLS_NULLABLE verification);

/**
 * Sets the evidence, as JSON: `{"tee":"snp","evidence":{..}}` with the evidence object of protocol
 * exporter-v1, and `"attached":[..]` as in its answers if there are devices beside the machine; or,
 * of a TDX guest, the answer to `POST /tdx_quote`, or a guest agent's object with `quote` (hex) and
 * `event_log`. Copied.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_EVIDENCE_INVALID
 */
atls_status atls_verification_set_evidence_json(atls_verification *verification,
                                                atls_bytes json,
                                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the evidence, as a document of another stack, converted; what it says beside the evidence is
 * not judged. Copied. Nothing is guessed: `format` says what it is. "dstack-attestation": of a
 * dstack machine, version 0 (SCALE) or 1 (MessagePack), or the JSON with one of them in hex, as its
 * agent answers. "coco-az", "coco-tdx": JSON of Confidential Containers' attestation agent, on
 * Azure or in a TDX guest. "tdx-quote", "snp-report": what the hardware signed, and zeros behind
 * it. "nitro-document", "nitro-tpm-document": what AWS signed.
 *
 * \param format one of these names.
 * \param document its bytes, at most 4 MiB.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_UNSUPPORTED another format
 * \retval ATLS_EVIDENCE_INVALID not of this format, or of a machine whose evidence is not judged by
 *     this version
 */
atls_status atls_verification_set_evidence_document(atls_verification *verification,
                                                    const char *format,
                                                    atls_bytes document,
                                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the evidence, as a binary quote of a TDX guest and the JSON text of its event log, or as the
 * quote of an SGX enclave, which has none. Copied.
 *
 * \param event_log its pointer may be NULL, with a length of 0, for a quote that has no log. Such a
 *     quote of a dstack guest is judged only without session binding and under a policy that names
 *     no application.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 */
atls_status atls_verification_set_quote(atls_verification *verification,
                                        atls_bytes quote,
                                        atls_bytes event_log,
                                        atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the vendor's collateral, as JSON: a bundle (atls_verifier_export()) or, of one TDX or SGX
 * platform, one set in the form of dcap-qvl. Copied. A PCK chain in it is ignored; the one in the
 * quote counts.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_COLLATERAL_INVALID
 */
atls_status atls_verification_set_collateral_json(atls_verification *verification,
                                                  atls_bytes json,
                                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the policy to judge by.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_verification_set_policy(atls_verification *verification,
                                         const atls_policy *policy,
                                         atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the time to judge at, in seconds since 1970-01-01 UTC: certificates, CRLs and TCB documents
 * must be valid then.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_verification_set_time(atls_verification *verification,
                                       uint64_t unix_seconds,
                                       atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the TLS session that the evidence must be bound to.
 *
 * \param nonce the verifier's, 32 bytes.
 * \param exporter 32 bytes, the TLS exporter value for the label "EXPORTER-Channel-Binding" without
 *     context.
 * \param leaf_der the server's leaf certificate.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_verification_set_session(atls_verification *verification,
                                          atls_bytes nonce,
                                          atls_bytes exporter,
                                          atls_bytes leaf_der,
                                          atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Like atls_verification_set_session(), for protocol exporter-v1. The arguments are those of
 * atls_compute_exporter_binder(); `server_name` may be NULL.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 */
atls_status atls_verification_set_exporter_session(atls_verification *verification,
                                                   atls_attester attester,
                                                   atls_bytes nonce,
                                                   atls_bytes exporter,
                                                   atls_bytes server_leaf,
                                                   atls_bytes client_leaf,
                                                   const char *ATLS_NULLABLE server_name,
                                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the evidence that a certificate carries (RA-TLS), and that it must be bound to the key of
 * that certificate. Copied. The verdict says that it is bound to no session, and is favourable only
 * under a policy that names protocol ra-tls. Who issued the certificate is not checked.
 *
 * \param certificate DER, or PEM, of which the first certificate counts.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT not a certificate
 * \retval ATLS_NO_EVIDENCE none in it
 * \retval ATLS_EVIDENCE_INVALID
 */
atls_status atls_verification_set_ra_tls_certificate(
    atls_verification *verification,
    atls_bytes certificate,
    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Judges the evidence by itself, whatever session it came from. Never use this to decide whether to
 * talk to a server: anybody can replay evidence. The verdict says that the evidence is not bound to
 * a session.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_verification_skip_binding(atls_verification *verification,
                                           atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * For tests: quotes must lead to this simulator's root (DER) instead of Intel's. The policy must
 * consent with `"allow_simulated": true`, else atls_verify() answers TRUST_ANCHOR.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_verification_set_simulated_root(atls_verification *verification,
                                                 atls_bytes root_der,
                                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * For tests, as atls_verification_set_simulated_root() for any vendor: "intel", "amd", "aws",
 * "microsoft" or "nvidia".
 *
 * \param pem the root certificate; for Microsoft one or several; for AMD the ARK, the ASK and the
 *     ASVK of a product, in this order, and likewise for further products. The common name of an
 *     ARK ends in `ARK-` and the product's name.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_verification_add_simulated_root(atls_verification *verification,
                                                 const char *vendor,
                                                 atls_bytes pem,
                                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Judges the evidence. Pure: the same input gives the same verdict at any time on any machine.
 * Takes about a millisecond of CPU time. OK means that a verdict was reached, not that it is
 * favourable: ask atls_verdict_trusted().
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE evidence, policy, time, a session or the request to skip it, or
 *     collateral unless the evidence is AWS's or has an SEV-SNP report, is missing
 * \retval ATLS_TRUST_ANCHOR
 */
atls_status atls_verify(const atls_verification *verification,
                        atls_verdict *ATLS_NULLABLE *ATLS_NONNULL verdict,
                        atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Settings of a verifier. A builder: one thread at a time. */
typedef struct atls_verifier_config atls_verifier_config;

/**
 * Caches collateral, the vendor's documents, for the connections that share it: each document is
 * fetched once, refreshed before it expires, and never used after that. The sources of a policy (if
 * it names none, those of atls_policy_new()) are asked in order until one has a document that the
 * vendor signed and that is valid now; if none has, the error says what was wrong with each.
 * Documents are fetched only for evidence that a genuine platform signed for the session in
 * question, at most 20 requests per second to one source after a burst of 100. A bad answer is
 * remembered for 30 seconds, and an answer that there is no such document for 60. A source that
 * answers 429, or 503 with Retry-After, is left alone for as long as it says, at most a day.
 * Reference-counted; safe to share between threads and runtimes.
 */
struct atls_verifier;

/**
 * Creates a configuration that trusts the vendor's own root and the built-in web roots.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_verifier_config_new(atls_verifier_config *ATLS_NULLABLE *ATLS_NONNULL config,
                                     atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Frees the builder. */
void atls_verifier_config_free(atls_verifier_config *ATLS_NULLABLE config);

/**
 * Also trusts these roots (PEM) for the HTTPS of collateral services.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 */
atls_status atls_verifier_config_add_root_pem(atls_verifier_config *config,
                                              const char *pem,
                                              atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * For tests: quotes must lead to this simulator's root (DER) instead of Intel's, and each policy
 * must consent with `"allow_simulated": true`.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_verifier_config_set_simulated_root(atls_verifier_config *config,
                                                    atls_bytes root_der,
                                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * For tests, as atls_verifier_config_set_simulated_root() for any vendor; the arguments are those
 * of atls_verification_add_simulated_root().
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_verifier_config_add_simulated_root(atls_verifier_config *config,
                                                    const char *vendor,
                                                    atls_bytes pem,
                                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets how collateral services are reached: like the connections of `route`, through its tunnel or
 * proxy, from its local address, with its address family, mapped hosts and resolver. Its host,
 * port, policy and roots are ignored. If it has none of these settings, services are dialled
 * directly. A proxy is asked to CONNECT; a tunnel gets the service as its target. If they refuse,
 * or if the tunnel's URL names a target itself, that is COLLATERAL_UNAVAILABLE.
 *
 * \param route copied, so later changes have no effect. May be NULL, the default: collateral takes
 *     the route of the connection whose evidence is judged; servers, which have none, dial
 *     directly.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_INVALID_STATE as when connecting
 */
atls_status atls_verifier_config_set_route(atls_verifier_config *config,
                                           const atls_config *ATLS_NULLABLE route,
                                           atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Also keeps documents in a folder, one file for each document and source, for other processes and
 * later runs. Policies with `cache_collateral` then need no fetch at startup, and a document older
 * than one seen before is not used again. Several processes may share a folder; a document is never
 * replaced by an older one. A damaged file counts as missing and is replaced.
 *
 * \param folder created if it is missing. May be NULL, for none.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 */
atls_status atls_verifier_config_set_disk_cache(atls_verifier_config *config,
                                                const char *ATLS_NULLABLE folder,
                                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Creates a verifier.
 *
 * \param config may be NULL, for the defaults.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT a root that cannot be parsed
 * \retval ATLS_IO the disk cache
 */
atls_status atls_verifier_new(const atls_verifier_config *ATLS_NULLABLE config,
                              atls_verifier *ATLS_NULLABLE *ATLS_NONNULL verifier,
                              atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Exports all documents as one JSON object in a new buffer, for a machine that cannot reach the
 * vendor.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_verifier_export(const atls_verifier *verifier,
                                 atls_buf *ATLS_NULLABLE *ATLS_NONNULL bundle,
                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Imports the documents of a bundle that are newer than the ones already held; they count for every
 * policy, whatever sources it names. A bundle with one bad entry, such as a document that the
 * vendor did not sign, changes nothing.
 *
 * \param taken how many were imported. May be NULL.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_COLLATERAL_INVALID
 */
atls_status atls_verifier_import(const atls_verifier *verifier,
                                 atls_bytes bundle,
                                 size_t *ATLS_NULLABLE taken,
                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Adds a reference and returns `verifier`; NULL for NULL. */
atls_verifier *ATLS_NULLABLE atls_verifier_ref(const atls_verifier *ATLS_NULLABLE verifier);

/** Drops a reference. */
void atls_verifier_free(atls_verifier *ATLS_NULLABLE verifier);

/** \} */

/* 20. HTTP/1.1 without I/O --------------------------------------------------------------------- */

/**
 * \defgroup atls_http_1_1_without_i_o HTTP/1.1 without I/O
 *
 * The protocol alone, for programs with sockets of their own. Bytes that were received go in and
 * events come out; messages go in and bytes to send come out. It never blocks, starts no thread and
 * reads no clock.
 *
 * \{
 */

/** One of the two sides of a connection. A connection has the role of its own side. */
ATLS_ENUM(atls_h1_role, uint32_t) {
    /** The side that sends requests. */
    ATLS_H1_CLIENT = 0,
    /** The side that answers them. */
    ATLS_H1_SERVER = 1,
};

/** States of a side of a connection. */
ATLS_ENUM(atls_h1_state, uint32_t) {
    /** Nothing of a message has been sent. */
    ATLS_H1_IDLE = 0,
    /** Server only: a request's head has come, the final response not yet begun. */
    ATLS_H1_SEND_RESPONSE = 1,
    /** Its head is sent, and the body is under way. */
    ATLS_H1_SEND_BODY = 2,
    /** Its message is complete. */
    ATLS_H1_DONE = 3,
    /** Nothing more may be sent but the end of the connection. */
    ATLS_H1_MUST_CLOSE = 4,
    /** It has closed its sending direction. */
    ATLS_H1_CLOSED = 5,
    /** Client only: its message is done, and a switch of protocol that it proposed is undecided. */
    ATLS_H1_MIGHT_SWITCH_PROTOCOL = 6,
    /** The connection now speaks another protocol. */
    ATLS_H1_SWITCHED_PROTOCOL = 7,
    /** It broke the protocol, for good. */
    ATLS_H1_ERROR = 8,
};

/** Kinds of atls_h1_event, with the fields that each has; the others are 0 or empty. */
ATLS_ENUM(atls_h1_event_kind, uint32_t) {
    /** Fields: method, target, http_version, headers. */
    ATLS_H1_REQUEST = 1,
    /** Status 100 to 199. Fields: status, reason, http_version, headers. */
    ATLS_H1_INFORMATIONAL_RESPONSE = 2,
    /**
     * Status 200 to 999. Fields: status, reason, http_version, headers. A response to HEAD, a 204,
     * a 304, and a 2xx to CONNECT have no body; their Content-Length or Transfer-Encoding is shown
     * as received (RFC 9112 section 6.3). A message with both is refused here too, unless
     * ATLS_H1_ALLOW_CL_WITH_TE removes the Content-Length.
     */
    ATLS_H1_RESPONSE = 3,
    /** A piece of the body. Fields: data, chunk_start, chunk_end. */
    ATLS_H1_DATA = 4,
    /** The message is complete. Fields: headers, which are the trailers. */
    ATLS_H1_END_OF_MESSAGE = 5,
    /**
     * The peer closed its sending side at a point where it may. Every later call returns this
     * again.
     */
    ATLS_H1_CONNECTION_CLOSED = 6,
    /** Receive more, or the end, then ask again. */
    ATLS_H1_NEED_DATA = 7,
    /**
     * No more is parsed for now: until the next cycle begins if the peer is DONE, until the server
     * has decided in MIGHT_SWITCH_PROTOCOL, and never again in SWITCHED_PROTOCOL (see
     * atls_h1_conn_trailing_data()).
     */
    ATLS_H1_PAUSED = 8,
};

/** How the end of a body is found. */
ATLS_ENUM(atls_h1_framing, uint32_t) {
    /** By Content-Length. */
    ATLS_H1_FRAMING_CONTENT_LENGTH = 0,
    /** By the last chunk. */
    ATLS_H1_FRAMING_CHUNKED = 1,
    /** By the end of the connection. */
    ATLS_H1_FRAMING_UNTIL_CLOSE = 2,
};

/**
 * Leniency, 0 by default. Each flag accepts something that another program on the path may read
 * differently, which is how requests are smuggled.
 */
ATLS_ENUM(atls_h1_flag, uint32_t) {
    /** A lone LF ends a line of a message head; never in chunk lines or trailers. */
    ATLS_H1_ALLOW_BARE_LF = 1,
    /**
     * Unfold continued header lines in requests too; responses always are (RFC 9112 section 5.2).
     * Never Content-Length, Transfer-Encoding or Host.
     */
    ATLS_H1_ALLOW_OBS_FOLD = 2,
    /** Spaces or tabs at the end of a chunk-size line. */
    ATLS_H1_ALLOW_CHUNK_SIZE_OWS = 4,
    /** 01-08, 0E-1F and 7F in field values and reason phrases. */
    ATLS_H1_ALLOW_CTL_IN_VALUE = 8,
    /** "5, 5" and equal repetitions become one Content-Length. */
    ATLS_H1_MERGE_EQUAL_CONTENT_LENGTH = 16,
    /** Upgrade proposes a switch of protocol without `Connection: upgrade`. */
    ATLS_H1_UPGRADE_WITHOUT_CONNECTION = 32,
    /**
     * Received Content-Length together with Transfer-Encoding: the latter wins, the former is
     * removed, and the connection closes afterwards.
     */
    ATLS_H1_ALLOW_CL_WITH_TE = 64,
    /**
     * What h11 0.16 accepts, except what is always refused. With all of these flags set, some rules
     * of the RFCs that h11 does not follow are off as well: skipping one empty line before a
     * request line, keep-alive for an HTTP/1.0 peer that asks for it, bytes beyond ASCII in a
     * target, checking the grammar of chunk extensions, no 1xx to an HTTP/1.0 peer, and no
     * Content-Length or Transfer-Encoding in a 2xx to CONNECT.
     */
    ATLS_H1_COMPAT_H11 = 63,
};

/** One header field. */
typedef struct atls_h1_header {
    /** Output: in lower case. Input: in any case. */
    atls_bytes name;
    /**
     * Output: without spaces and tabs around it, unfolded; Content-Length and Transfer-Encoding
     * normalised.
     */
    atls_bytes value;
    /** The name as it is on the wire, `name.len` bytes. Input: NULL to use `name`. */
    const uint8_t *ATLS_NULLABLE raw_name;
} atls_h1_header;

/**
 * An event that was received. Owned by the connection and valid, with all that it points to, until
 * the next receiving call on it: sending leaves it alone. Later versions may append fields: never
 * copy it by its size.
 */
typedef struct atls_h1_event {
    /** The kind of event, which decides which of the other fields are set. */
    atls_h1_event_kind kind;
    /** Of a response. */
    uint32_t status;
    /** Major << 8 | minor. */
    uint32_t http_version;
    /** Of a request. */
    atls_bytes method;
    /** Of a request, as it is on the wire. */
    atls_bytes target;
    /** Of a response; may be empty. */
    atls_bytes reason;
    /** Of a head, or trailers. */
    const atls_h1_header *ATLS_NULLABLE headers;
    /** Number of header fields. */
    size_t headers_len;
    /** A view into the receive buffer, never empty. */
    atls_bytes data;
    /** The data begins a chunk of a chunked body. */
    bool chunk_start;
    /** The data ends a chunk; its CRLF may still be to come. */
    bool chunk_end;
} atls_h1_event;

/**
 * A connection without I/O, in either role. Belongs to one thread at a time.
 *
 * What it hands out is borrowed in two domains: what receiving calls gave is valid until the next
 * receiving call (`receive*`, `recv_*`, `next_event`), what sending calls gave until the next
 * sending call (`send_*`); each also until `start_next_cycle` or `free`. A server may thus answer
 * while it holds the request's event.
 */
typedef struct atls_h1_conn atls_h1_conn;

/**
 * Creates a connection, which you free.
 *
 * \param flags ATLS_H1_ALLOW_* and the like; 0 for none.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_h1_conn_new(atls_h1_role role,
                             uint32_t flags,
                             atls_h1_conn *ATLS_NULLABLE *ATLS_NONNULL conn,
                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets limits, before anything is received or sent. 0 is the default.
 *
 * \param max_incomplete bytes of a head, of trailers or of a chunk-size line; 16384 by default, at
 *     most 2^30. More is refused with 431.
 * \param max_headers header fields of a head or of trailers; 256 by default.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_INVALID_STATE already in use
 */
atls_status atls_h1_conn_set_limits(atls_h1_conn *conn,
                                    uint64_t max_incomplete,
                                    uint32_t max_headers,
                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Frees the connection and everything it handed out. */
void atls_h1_conn_free(atls_h1_conn *ATLS_NULLABLE conn);

/**
 * Copies bytes into the receive buffer and parses nothing. The buffer has no limit: stop reading
 * from the network while the connection is PAUSED. No bytes do nothing, and do not mean the end.
 * Receiving domain.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE after the end
 */
atls_status atls_h1_conn_receive(atls_h1_conn *conn,
                                 atls_bytes data,
                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Records that the peer has closed its sending side. Repeating it changes nothing. Receiving
 * domain.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_h1_conn_receive_eof(atls_h1_conn *conn,
                                     atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Returns room for at least `least` bytes inside the receive buffer, for read(2) or SSL_read; then
 * commit how many came. Receiving domain.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT over 2^30 bytes
 * \retval ATLS_INVALID_STATE after the end
 */
atls_status atls_h1_conn_receive_reserve(atls_h1_conn *conn,
                                         size_t least,
                                         uint8_t *ATLS_NULLABLE *ATLS_NONNULL room,
                                         size_t *room_len,
                                         atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Records that the first `len` bytes of the room reserved last have been filled. Receiving domain.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT more than was reserved
 * \retval ATLS_INVALID_STATE after the end
 */
atls_status atls_h1_conn_receive_commit(atls_h1_conn *conn,
                                        size_t len,
                                        atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Parses the next event; its kind is NEED_DATA if there is none. On H1_REMOTE the peer has violated
 * the protocol: its side is in state ERROR for good, and atls_error_http_status() is what a server
 * might answer. Sending still works, and asking again gives the same error. Receiving domain.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_H1_REMOTE
 */
atls_status atls_h1_conn_next_event(atls_h1_conn *conn,
                                    const atls_h1_event *ATLS_NULLABLE *ATLS_NONNULL event,
                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Returns the bytes that were received but not parsed, and whether the end follows them: what
 * another protocol continues with after a switch. May be called at any time. Receiving domain, but
 * what was handed out before stays valid.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_h1_conn_trailing_data(const atls_h1_conn *conn,
                                       atls_bytes *data,
                                       bool *eof,
                                       atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Frees unused memory, except about `keep` bytes in each of the connection's buffers: after a large
 * message, or before a long wait. Bytes that were not parsed are kept. What was handed out in both
 * domains is no longer valid.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_h1_conn_shrink(atls_h1_conn *conn,
                                size_t keep,
                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Goes back to IDLE when both sides are DONE, and keeps what was received beyond the message. If it
 * fails, nothing changes.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_H1_LOCAL any other state; a client that has received more than its response
 */
atls_status atls_h1_conn_start_next_cycle(atls_h1_conn *conn,
                                          atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * The states of both sides: ATLS_H1_IDLE and so on.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_h1_conn_states(const atls_h1_conn *conn,
                                atls_h1_state *client,
                                atls_h1_state *server,
                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Returns the role of this side. */
atls_h1_role atls_h1_conn_our_role(const atls_h1_conn *conn);

/** Returns the state of this side; ERROR for NULL. */
atls_h1_state atls_h1_conn_our_state(const atls_h1_conn *ATLS_NULLABLE conn);

/** Returns the state of the peer; ERROR for NULL. */
atls_h1_state atls_h1_conn_their_state(const atls_h1_conn *ATLS_NULLABLE conn);

/** Returns major << 8 | minor of the peer's last head; 0 before the first. */
uint32_t atls_h1_conn_their_http_version(const atls_h1_conn *conn);

/**
 * Returns whether the client's request has `Expect: 100-continue`, and neither a response nor any
 * body has come since (RFC 9110 section 10.1.1).
 */
bool atls_h1_conn_client_is_waiting_for_100_continue(const atls_h1_conn *conn);

/** The same, on the server's side only: whether to send a 100 before waiting for the body. */
bool atls_h1_conn_they_are_waiting_for_100_continue(const atls_h1_conn *conn);

/** The name of a state, such as "SEND_BODY"; "" for any other number. Static. */
atls_str atls_h1_state_name(atls_h1_state state);

/**
 * Makes a request's head (RFC 9112 section 3). It needs exactly one Host, which is sent first; the
 * version is HTTP/1.1. A body may follow only if there is a Content-Length or `Transfer-Encoding:
 * chunked`, not both. End the message with atls_h1_conn_send_end_of_message(), even without a body.
 * On H1_LOCAL this side is in state ERROR for good. Sending domain.
 *
 * \param out the bytes to write.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_H1_LOCAL
 */
atls_status atls_h1_conn_send_request(atls_h1_conn *conn,
                                      atls_bytes method,
                                      atls_bytes target,
                                      const atls_h1_header *ATLS_NULLABLE headers,
                                      size_t headers_len,
                                      atls_bytes *out,
                                      atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Makes a response's head, as HTTP/1.1 (RFC 9112 sections 4 and 6). A 1xx is sent as given; it may
 * not have Content-Length or Transfer-Encoding, and is refused for an HTTP/1.0 peer. Any other
 * response is adjusted: without Content-Length the body is chunked or, for an HTTP/1.0 peer, lasts
 * until the connection closes; `Connection: close` is added if the connection ends, `Connection:
 * Keep-Alive` if it stays open for an HTTP/1.0 peer; Content-Length and Transfer-Encoding are
 * removed from a 204. A 304 keeps the one that it has, and may not have both. A 2xx to CONNECT may
 * have neither. On H1_LOCAL this side is in state ERROR for good. Sending domain.
 *
 * \param reason may be empty.
 * \param out the bytes to write.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_H1_LOCAL
 */
atls_status atls_h1_conn_send_response(atls_h1_conn *conn,
                                       uint32_t status,
                                       atls_bytes reason,
                                       const atls_h1_header *ATLS_NULLABLE headers,
                                       size_t headers_len,
                                       atls_bytes *out,
                                       atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Accounts for `len` bytes of body (RFC 9112 section 7.1). The call does not see the bytes: write
 * `before`, the bytes, then `after`, with writev, sendfile or as you like. Both are empty unless
 * the body is chunked. If `len` is 0 nothing is to be written. On H1_LOCAL this side is in state
 * ERROR for good. Sending domain.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_H1_LOCAL also more bytes than Content-Length announced; 2^63 or more
 */
atls_status atls_h1_conn_send_data(atls_h1_conn *conn,
                                   uint64_t len,
                                   atls_bytes *before,
                                   atls_bytes *after,
                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Ends the message (RFC 9112 section 7.1.2). On H1_LOCAL this side is in state ERROR for good.
 * Sending domain.
 *
 * \param trailers only with a chunked body; Host, Content-Length and Transfer-Encoding are not
 *     allowed.
 * \param out the bytes to write; may be empty.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_H1_LOCAL also fewer bytes than Content-Length announced
 */
atls_status atls_h1_conn_send_end_of_message(atls_h1_conn *conn,
                                             const atls_h1_header *ATLS_NULLABLE trailers,
                                             size_t trailers_len,
                                             atls_bytes *out,
                                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Records that this side is about to close the connection, or its half of it. On H1_LOCAL this side
 * is in state ERROR for good. Sending domain.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_H1_LOCAL within a message
 */
atls_status atls_h1_conn_send_connection_closed(atls_h1_conn *conn,
                                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Records that bytes returned by a sending call could not be written: this side is then in state
 * ERROR for good. Repeating it changes nothing.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_h1_conn_send_failed(atls_h1_conn *conn,
                                     atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * A growable list of header fields that owns its bytes. Belongs to one thread at a time. Once
 * cleared, it reuses its memory.
 */
typedef struct atls_h1_header_list atls_h1_header_list;

/**
 * Creates an empty list, which you free.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_h1_header_list_new(atls_h1_header_list *ATLS_NULLABLE *ATLS_NONNULL list,
                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Frees the list and the array that it gave. */
void atls_h1_header_list_free(atls_h1_header_list *ATLS_NULLABLE list);

/** Empties the list and keeps its memory. */
void atls_h1_header_list_clear(atls_h1_header_list *list);

/**
 * Appends a copy of one header field. It is not checked here, but when it is sent.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_h1_header_list_add(atls_h1_header_list *list,
                                    atls_bytes name,
                                    atls_bytes value,
                                    atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Adds copies of `count` header fields in one call.
 *
 * \param data name, value, name, value and so on, with nothing in between.
 * \param lens their lengths, 2 * `count` in the same order, which must add up to the length of
 *     `data`. May be NULL if `count` is 0.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_h1_header_list_add_packed(atls_h1_header_list *list,
                                           atls_bytes data,
                                           const uint32_t *ATLS_NULLABLE lens,
                                           size_t count,
                                           atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Returns the list as an array for the sending calls; NULL for NULL. Valid until the list is
 * changed or freed.
 *
 * \param len the number of elements. May be NULL.
 */
const atls_h1_header *ATLS_NULLABLE atls_h1_header_list_items(
    atls_h1_header_list *ATLS_NULLABLE list,
    size_t *ATLS_NULLABLE len);

/**
 * Checks header fields as the sending calls do and writes them, normalised, to `out`, whose former
 * contents are replaced. Equal Content-Length header fields are merged if `flags` allow it;
 * Transfer-Encoding becomes lower case. On failure `out` is unchanged.
 *
 * \param out must not be the list that `headers` come from.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_H1_LOCAL
 */
atls_status atls_h1_headers_normalize(const atls_h1_header *ATLS_NULLABLE headers,
                                      size_t headers_len,
                                      uint32_t flags,
                                      atls_h1_header_list *out,
                                      atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Checks that a request with these parts would be accepted. On H1_LOCAL, atls_error_http_status()
 * is the status that a server might answer with.
 *
 * \param http_version major << 8 | minor.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_H1_LOCAL
 */
atls_status atls_h1_request_validate(atls_bytes method,
                                     atls_bytes target,
                                     uint32_t http_version,
                                     const atls_h1_header *ATLS_NULLABLE headers,
                                     size_t headers_len,
                                     uint32_t flags,
                                     atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Checks that a response with these parts would be accepted. On H1_LOCAL, atls_error_http_status()
 * is set.
 *
 * \param kind ATLS_H1_INFORMATIONAL_RESPONSE (100-199, without Content-Length and
 *     Transfer-Encoding) or ATLS_H1_RESPONSE (200-999).
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_H1_LOCAL
 */
atls_status atls_h1_response_validate(atls_h1_event_kind kind,
                                      uint32_t status,
                                      atls_bytes reason,
                                      const atls_h1_header *ATLS_NULLABLE headers,
                                      size_t headers_len,
                                      uint32_t flags,
                                      atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Finds the next member of the comma-separated lists in all header fields called `name`, in any
 * case. The member is returned as it is written, without the spaces and tabs around it; empty
 * members are skipped. Returns false at the end, and if the arguments are invalid.
 *
 * \param cursor set it to 0 before the first call, and do not change it between calls.
 */
bool atls_h1_header_token_next(const atls_h1_header *ATLS_NULLABLE headers,
                               size_t headers_len,
                               atls_bytes name,
                               uint64_t *cursor,
                               atls_bytes *token);

/**
 * Returns whether one of the members that atls_h1_header_token_next() finds is `token`, in any
 * case.
 */
bool atls_h1_header_has_token(const atls_h1_header *ATLS_NULLABLE headers,
                              size_t headers_len,
                              atls_bytes name,
                              atls_bytes token);

/**
 * Returns whether the connection may be used again after a message with these header fields:
 * HTTP/1.1 (0x0101) and no `Connection: close`. False if they are invalid, and for HTTP/1.0, where
 * it depends on both messages: use an atls_h1_conn.
 */
bool atls_h1_keep_alive(uint32_t http_version,
                        const atls_h1_header *ATLS_NULLABLE headers,
                        size_t headers_len);

/**
 * Returns whether a request with these header fields asks for 100-continue (RFC 9110 section
 * 10.1.1).
 */
bool atls_h1_expects_100_continue(uint32_t http_version,
                                  const atls_h1_header *ATLS_NULLABLE headers,
                                  size_t headers_len);

/**
 * Determines how a body is framed (RFC 9112 section 6.3).
 *
 * \param request_method of the request that a response answers; may be empty.
 * \param status of a response; 0 for a request.
 * \param length written only for ATLS_H1_FRAMING_CONTENT_LENGTH.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_H1_LOCAL invalid header fields
 */
atls_status atls_h1_body_framing(atls_bytes request_method,
                                 uint32_t status,
                                 const atls_h1_header *ATLS_NULLABLE headers,
                                 size_t headers_len,
                                 atls_h1_framing *framing,
                                 uint64_t *length,
                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** A switch of protocol that was proposed or is accepted. */
ATLS_ENUM(atls_h1_switch, uint32_t) {
    /** None. */
    ATLS_H1_SWITCH_NONE = 0,
    /** By the method CONNECT. */
    ATLS_H1_SWITCH_CONNECT = 1,
    /** By `Upgrade`. */
    ATLS_H1_SWITCH_UPGRADE = 2,
};

/** Both state machines of a connection; a plain value that may be copied. */
typedef struct atls_h1_states {
    /** State of the client: an atls_h1_state. */
    uint8_t client;
    /** State of the server: an atls_h1_state. */
    uint8_t server;
    /** 1 until the connection is known to end. */
    uint8_t keep_alive;
    /** Bits of atls_h1_switch. */
    uint8_t proposals;
} atls_h1_states;

/**
 * Sets `*states` to the beginning of a connection.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_h1_states_init(atls_h1_states *states,
                                atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Applies an event that `role` sends. On H1_LOCAL `*states` is unchanged.
 *
 * \param accepted the proposal that a server's event accepts; usually ATLS_H1_SWITCH_NONE.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_H1_LOCAL the event is impossible
 */
atls_status atls_h1_states_event(atls_h1_states *states,
                                 atls_h1_role role,
                                 atls_h1_event_kind kind,
                                 atls_h1_switch accepted,
                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Records that the client proposes a switch of protocol. Call it before the event of the request.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_h1_states_propose_switch(atls_h1_states *states,
                                          atls_h1_switch proposal,
                                          atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Records that the connection ends with this cycle.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_h1_states_disable_keep_alive(atls_h1_states *states,
                                              atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Puts `role` in state ERROR for good.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_h1_states_error(atls_h1_states *states,
                                 atls_h1_role role,
                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Returns both sides from DONE to IDLE. On H1_LOCAL `*states` is unchanged.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_H1_LOCAL any other state
 */
atls_status atls_h1_states_start_next_cycle(atls_h1_states *states,
                                            atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** \} */

/* 21. HTTP/1.1 driver -------------------------------------------------------------------------- */

/**
 * \defgroup atls_http_1_1_driver HTTP/1.1 driver
 *
 * One HTTP/1.1 connection whose messages the program makes itself, in either role. The library does
 * the I/O and enforces the protocol. The socket is the program's, or an attested connection.
 *
 * \{
 */

/** How a driver handles a connection. A builder: one thread at a time; copied when used. */
typedef struct atls_h1_driver_config atls_h1_driver_config;

/** Limits of a driver (atls_h1_driver_config_set_limit()). */
ATLS_ENUM(atls_h1_driver_limit, uint32_t) {
    /** Bytes of a head; 65,536 by default. */
    ATLS_H1_DRIVER_LIMIT_HEAD_BYTES = 401,
    /** Bytes of a body in one DATA event; 65,536 by default. */
    ATLS_H1_DRIVER_LIMIT_DATA_BYTES = 402,
    /** Bytes of a received body, both on the wire and decoded; 104,857,600 by default. */
    ATLS_H1_DRIVER_LIMIT_BODY_BYTES = 403,
    /** Header fields of a head, or of trailers; 256 by default. */
    ATLS_H1_DRIVER_LIMIT_HEADERS = 404,
};

/** Deadlines of a driver (atls_h1_driver_config_set_deadline()). */
ATLS_ENUM(atls_h1_driver_deadline, uint32_t) {
    /**
     * When a deadline passes, the connection ends and the peer gets no answer. This one is for a
     * head, up to its last byte: as server from the end of the message before, as client from the
     * end of its own request; informational responses do not prolong it. None by default.
     */
    ATLS_H1_DRIVER_DEADLINE_HEAD = 501,
    /** From a head to the end of its body. None by default. */
    ATLS_H1_DRIVER_DEADLINE_BODY = 502,
    /**
     * As ATLS_SERVER_DEADLINE_TCP_KEEPALIVE, for an adopted TCP socket: how long the peer may be
     * silent before TCP probes whether it is still there. 15 seconds by default.
     */
    ATLS_H1_DRIVER_DEADLINE_TCP_KEEPALIVE = 503,
};

/**
 * A configuration for a connection in `role` (ATLS_H1_CLIENT, ATLS_H1_SERVER). The caller's to
 * free.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_h1_driver_config_new(atls_h1_role role,
                                      atls_h1_driver_config *ATLS_NULLABLE *ATLS_NONNULL config,
                                      atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Frees the builder. */
void atls_h1_driver_config_free(atls_h1_driver_config *ATLS_NULLABLE config);

/**
 * Sets a limit.
 *
 * \param which ATLS_H1_DRIVER_LIMIT_*.
 * \param value 0 is allowed for the body only; at most 2^30 for the others.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT unknown limit; `value` out of range
 */
atls_status atls_h1_driver_config_set_limit(atls_h1_driver_config *config,
                                            atls_h1_driver_limit which,
                                            uint64_t value,
                                            atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets a deadline.
 *
 * \param which ATLS_H1_DRIVER_DEADLINE_*.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT unknown deadline
 */
atls_status atls_h1_driver_config_set_deadline(atls_h1_driver_config *config,
                                               atls_h1_driver_deadline which,
                                               uint32_t milliseconds,
                                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets whether the connection may carry another message, as it may by default. If not, `Connection:
 * close` is added to heads of this side that say nothing of it.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_h1_driver_config_set_keep_alive(atls_h1_driver_config *config,
                                                 bool keep_alive,
                                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Accepts messages that deviate from the RFCs. Each flag (ATLS_H1_ALLOW_BARE_LF and the others)
 * says what it risks; 0 by default.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT unknown
 */
atls_status atls_h1_driver_config_set_flags(atls_h1_driver_config *config,
                                            uint32_t flags,
                                            atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets whether bodies are decoded according to Content-Encoding (gzip, deflate, br, zstd); off by
 * default.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_h1_driver_config_set_decode(atls_h1_driver_config *config,
                                             bool decode,
                                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the receive credit for bodies and for a detached stream, like atls_config_set_credit(). The
 * default is 256 KiB, automatic.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_h1_driver_config_set_credit(atls_h1_driver_config *config,
                                             uint64_t initial,
                                             bool automatic,
                                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * A connection. Events: INFORMATIONAL and HEAD (for a request the status is 0, and
 * atls_h1_driver_method() and atls_h1_driver_target() have the rest), DATA as credit allows,
 * TRAILERS, END; WRITABLE after a write that answered AGAIN; CLOSED last, with OK after a regular
 * end. Once both sides have completed their messages, the next ones may begin, without a call. If
 * the peer violates the protocol, the connection ends with H1_REMOTE; as server, unless a response
 * has begun, it answers with the status that fits first. A client that has closed its sending
 * direction still gets its response; if it goes away, CLOSED comes with IO and
 * ATLS_DETAIL_PEER_GONE. At most 320 KiB wait for a peer that does not read. Reference-counted,
 * safe to share between threads; dropping the last reference cancels it.
 */
typedef struct atls_h1_driver atls_h1_driver;

/**
 * Drives a connected socket, TCP or Unix.
 *
 * \param fd belongs to the library after success; after a failure it is still the caller's.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT not a connected socket
 * \retval ATLS_INVALID_STATE queue or runtime stopped
 * \retval ATLS_IO
 */
atls_status atls_h1_driver_adopt_start(const atls_runtime *runtime,
                                       const atls_h1_driver_config *config,
                                       int32_t fd,
                                       const atls_sink *sink,
                                       atls_h1_driver *ATLS_NULLABLE *ATLS_NONNULL driver,
                                       atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Connects, and attests as the connection's configuration says, as atls_stream_connect_start()
 * does; then drives the stream. CONNECTED comes first.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT
 * \retval ATLS_INVALID_STATE no policy; a driver for servers; queue or runtime stopped
 * \retval ATLS_TRUST_ANCHOR
 */
atls_status atls_h1_driver_connect_start(const atls_runtime *runtime,
                                         const atls_h1_driver_config *config,
                                         const atls_config *connection,
                                         const atls_sink *sink,
                                         atls_h1_driver *ATLS_NULLABLE *ATLS_NONNULL driver,
                                         atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sends a request's head, as client. The header fields must include exactly one Host, and
 * Content-Length or `Transfer-Encoding: chunked` if a body follows.
 *
 * \param headers may be NULL, for none.
 * \return ATLS_OK, the status that says why the connection ended, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_H1_LOCAL for good
 * \retval ATLS_INVALID_STATE closed; detached
 */
atls_status atls_h1_driver_send_request(const atls_h1_driver *driver,
                                        const char *method,
                                        const char *target,
                                        const atls_headers *ATLS_NULLABLE headers,
                                        atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sends a response's head, as server: informational ones first, if any, then the final one. Without
 * Content-Length the body is chunked, or ends with the connection if the peer speaks HTTP/1.0.
 *
 * \param reason,headers may be NULL, for none.
 * \return ATLS_OK, as atls_h1_driver_send_request(), or
 * \retval ATLS_INVALID_ARGUMENT status
 */
atls_status atls_h1_driver_send_response(const atls_h1_driver *driver,
                                         uint32_t status,
                                         const char *ATLS_NULLABLE reason,
                                         const atls_headers *ATLS_NULLABLE headers,
                                         atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Copies all of the bytes for the body of this side's message, or returns AGAIN and takes nothing;
 * one WRITABLE event follows each AGAIN.
 *
 * \return ATLS_OK, as atls_h1_driver_send_request(), or
 * \retval ATLS_AGAIN
 */
atls_status atls_h1_driver_write(const atls_h1_driver *driver,
                                 atls_bytes data,
                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Ends the message, even one without a body.
 *
 * \param trailers may be NULL, for none. They are sent only with a chunked body.
 * \return ATLS_OK, or as atls_h1_driver_send_request().
 */
atls_status atls_h1_driver_finish(const atls_h1_driver *driver,
                                  const atls_headers *ATLS_NULLABLE trailers,
                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Allows `bytes` more of received bodies. Grants add up; the sum saturates.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_h1_driver_grant(const atls_h1_driver *driver,
                                 uint64_t bytes,
                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * The verdict on the server (atls_h1_driver_connect_start()); NULL before CONNECTED and for an
 * unattested connection. A new reference: free it. It is the newest one, as of
 * atls_stream_verdict().
 */
atls_verdict *ATLS_NULLABLE atls_h1_driver_verdict(const atls_h1_driver *driver);

/**
 * Sets the limit of one body, in place of ATLS_H1_DRIVER_LIMIT_BODY_BYTES: of the message that is
 * coming in or, before its HEAD, of the next one. Set before the host is done with the HEAD event,
 * it covers the whole body.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_h1_driver_set_body_limit(const atls_h1_driver *driver,
                                          uint64_t bytes,
                                          atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Sets the deadline of one body, from its head to its end, in place of
 * ATLS_H1_DRIVER_DEADLINE_BODY, which is the default. Which body that is, and when to call, is as
 * with atls_h1_driver_set_body_limit().
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_h1_driver_set_body_deadline(const atls_h1_driver *driver,
                                             uint32_t milliseconds,
                                             atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Returns the method of the request received last, as server; "" before the first. Valid until the
 * first call after the HEAD of another request, and at most as long as the driver.
 */
atls_str atls_h1_driver_method(const atls_h1_driver *driver);

/** Returns the target of that request. Valid as with atls_h1_driver_method(). */
atls_str atls_h1_driver_target(const atls_h1_driver *driver);

/**
 * Takes the connection out of HTTP: after a switch of protocol, or between messages. It becomes an
 * event-driven atls_stream with events for `sink`, CONNECTED first; its DATA starts with bytes that
 * were received after the last message. The driver ends with CLOSED and OK.
 *
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_STATE a message is under way; closed or detached before; queue or runtime
 *     stopped
 * \retval ATLS_CLOSED
 */
atls_status atls_h1_driver_detach_start(const atls_h1_driver *driver,
                                        const atls_runtime *runtime,
                                        const atls_sink *sink,
                                        atls_stream *ATLS_NULLABLE *ATLS_NONNULL stream,
                                        atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Ends the connection after what was written has been sent; CLOSED follows. No more messages may be
 * sent.
 *
 * \return ATLS_OK or ATLS_NULL_ARGUMENT.
 */
atls_status atls_h1_driver_close(const atls_h1_driver *driver,
                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** Adds a reference and returns `driver`; NULL for NULL. */
atls_h1_driver *ATLS_NULLABLE atls_h1_driver_ref(const atls_h1_driver *ATLS_NULLABLE driver);

/** Drops a reference. The last one cancels the connection, and CLOSED comes with CANCELED. */
void atls_h1_driver_free(atls_h1_driver *ATLS_NULLABLE driver);

/** \} */

/* 22. Texts ------------------------------------------------------------------------------------ */

/**
 * \defgroup atls_texts Texts
 *
 * Small pieces of text that HTTP programs need: dates, URLs, credentials, authorities. They do no
 * I/O. What they return is the caller's to free.
 *
 * \{
 */

/**
 * Formats a time as an HTTP date such as "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7).
 *
 * \param seconds since 1970-01-01 00:00:00 UTC.
 * \param date NUL-terminated; the caller's to free.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_ARGUMENT outside the years 1 to 9999
 */
atls_status atls_format_http_date(int64_t seconds,
                                  atls_buf *ATLS_NULLABLE *ATLS_NONNULL date,
                                  atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Parses an HTTP date in any of its three forms (RFC 9110 section 5.6.7).
 *
 * \param seconds since 1970-01-01 00:00:00 UTC.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT
 */
atls_status atls_parse_http_date(const char *date,
                                 int64_t *seconds,
                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Adds pairs to the query of a URL. The query that the URL already has is kept and written in the
 * same way: "+" for a space, %XX for everything but letters, digits and "_.-~".
 *
 * \param pairs names and values in turn, 2 * `count` strings; may be NULL with a count of 0.
 * \param count number of pairs.
 * \param result NUL-terminated; the caller's to free.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 */
atls_status atls_url_add_query(const char *url,
                               const char *ATLS_NONNULL const *ATLS_NULLABLE pairs,
                               size_t count,
                               atls_buf *ATLS_NULLABLE *ATLS_NONNULL result,
                               atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Formats the value of an Authorization header field for basic authentication (RFC 7617).
 *
 * \param value NUL-terminated; the caller's to free.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 * \retval ATLS_INVALID_ARGUMENT a colon in the user; a control character
 */
atls_status atls_basic_credentials(const char *user,
                                   const char *password,
                                   atls_buf *ATLS_NULLABLE *ATLS_NONNULL value,
                                   atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * Splits `host:port` at its last colon.
 *
 * \param host points into `authority` and is not NUL-terminated. All of it if there is no port.
 * \param port 0 if there is none.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 */
atls_status atls_split_host_port(const char *authority,
                                 atls_str *host,
                                 uint32_t *port,
                                 atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/**
 * The authority that a request is for, for servers built on atls_h1_driver or atls_h1_conn (RFC
 * 9112 section 3.3): that of a target in absolute form, whatever Host says; the target of a
 * CONNECT; else that of Host.
 *
 * \param host the value of the Host header field; may be NULL.
 * \param authority the host, with the port if there is one; empty if the authority is invalid or
 *     has user information. NUL-terminated; the caller's to free.
 * \return ATLS_OK, or
 * \retval ATLS_NULL_ARGUMENT
 * \retval ATLS_INVALID_UTF8
 */
atls_status atls_effective_authority(const char *method,
                                     const char *target,
                                     const char *ATLS_NULLABLE host,
                                     atls_buf *ATLS_NULLABLE *ATLS_NONNULL authority,
                                     atls_error *ATLS_NULLABLE *ATLS_NULLABLE error);

/** \} */

/* 23. Log -------------------------------------------------------------------------------------- */

/**
 * \defgroup atls_log Log
 *
 * The library logs nothing unless the host sets a callback. Lines say what happened to which peer.
 * They hold no payload and no secrets.
 *
 * \{
 */

/** How much is logged; each level includes those before it. */
ATLS_ENUM(atls_log_level, uint32_t) {
    /** Nothing. */
    ATLS_LOG_OFF = 0,
    /** Problems that the host must act on: no file descriptors or no memory is left. */
    ATLS_LOG_ERROR = 1,
    /**
     * Also each peer whose evidence or request was refused, and each source of collateral that
     * failed while others still work.
     */
    ATLS_LOG_WARNING = 2,
    /**
     * Also one line for each connection attempt: its outcome, and the time that each phase took.
     */
    ATLS_LOG_INFO = 3,
    /**
     * Also each step of a connection: dns, proxy, tunnel, tls, evidence, collateral, pool,
     * redirect.
     */
    ATLS_LOG_DEBUG = 4,
};

/**
 * Receives one line, `<step>: <whom it concerns>: <what happened>`, without control characters.
 * `message` is valid only during the call. Runs on any thread, on several at once; must not call
 * `atls_*`.
 */
typedef void (*atls_log_fn)(void *ATLS_NULLABLE user_data, atls_log_level level, atls_str message);

/**
 * Sends the library's log lines up to `level` to `callback`, for the whole process. `callback` may
 * be NULL: then nothing is logged, and when the call returns no callback is running any more. The
 * library never writes to stdout or stderr. Lines hold host names, ports and addresses, but no
 * payload and no secrets: no bodies, values of header fields, paths or queries of URLs, user names,
 * passwords or keys.
 */
void atls_log_set(atls_log_level level,
                  atls_log_fn ATLS_NULLABLE callback,
                  void *ATLS_NULLABLE user_data);

/** \} */

ATLS_END

#ifdef __cplusplus
}
#endif

#endif /* ATLS_H */
