/**
 * \file atls.h
 * Attested TLS for C: prove that a server runs inside a TEE, then talk to it.
 *
 * Generated from src/capi by `cargo xtask header`: edit there. Licence: MIT OR Apache-2.0.
 *
 * \par Contents
 * First come rules for everything, then chapters, each with its types, constants and functions.
 *
@CONTENTS@
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
