/** \file handle.hpp Ownership: one object, one reference. Part of atls.hpp, which must be included instead. */
#ifndef ATLS_HANDLE_HPP
#define ATLS_HANDLE_HPP

#include <utility>

ATLS_HPP_BEGIN

namespace detail {

// The function that gives up a reference, for every handle of atls.h.
inline void drop(atls_buf *it) noexcept { atls_buf_free(it); }
inline void drop(atls_error *it) noexcept { atls_error_free(it); }
inline void drop(atls_policy *it) noexcept { atls_policy_free(it); }
inline void drop(atls_verdict *it) noexcept { atls_verdict_free(it); }
inline void drop(atls_ear *it) noexcept { atls_ear_free(it); }
inline void drop(atls_runtime *it) noexcept { atls_runtime_free(it); }
inline void drop(atls_queue *it) noexcept { atls_queue_free(it); }
inline void drop(atls_config *it) noexcept { atls_config_free(it); }
inline void drop(atls_stream *it) noexcept { atls_stream_free(it); }
inline void drop(atls_head *it) noexcept { atls_head_free(it); }
inline void drop(atls_headers *it) noexcept { atls_headers_free(it); }
inline void drop(atls_request *it) noexcept { atls_request_free(it); }
inline void drop(atls_http *it) noexcept { atls_http_free(it); }
inline void drop(atls_exchange *it) noexcept { atls_exchange_free(it); }
inline void drop(atls_client_limits *it) noexcept { atls_client_limits_free(it); }
inline void drop(atls_client *it) noexcept { atls_client_free(it); }
inline void drop(atls_server_config *it) noexcept { atls_server_config_free(it); }
inline void drop(atls_server *it) noexcept { atls_server_free(it); }
inline void drop(atls_server_request *it) noexcept { atls_server_request_free(it); }
inline void drop(atls_form *it) noexcept { atls_form_free(it); }
inline void drop(atls_multipart *it) noexcept { atls_multipart_free(it); }
inline void drop(atls_tunnel_config *it) noexcept { atls_tunnel_config_free(it); }
inline void drop(atls_verification *it) noexcept { atls_verification_free(it); }
inline void drop(atls_verifier_config *it) noexcept { atls_verifier_config_free(it); }
inline void drop(atls_verifier *it) noexcept { atls_verifier_free(it); }
inline void drop(atls_h1_conn *it) noexcept { atls_h1_conn_free(it); }
inline void drop(atls_h1_header_list *it) noexcept { atls_h1_header_list_free(it); }
inline void drop(atls_h1_driver_config *it) noexcept { atls_h1_driver_config_free(it); }
inline void drop(atls_h1_driver *it) noexcept { atls_h1_driver_free(it); }

// The function that adds a reference, for the handles that are shared.
inline atls_buf *ref(const atls_buf *it) noexcept { return atls_buf_ref(it); }
inline atls_error *ref(const atls_error *it) noexcept { return atls_error_ref(it); }
inline atls_policy *ref(const atls_policy *it) noexcept { return atls_policy_ref(it); }
inline atls_verdict *ref(const atls_verdict *it) noexcept { return atls_verdict_ref(it); }
inline atls_runtime *ref(const atls_runtime *it) noexcept { return atls_runtime_ref(it); }
inline atls_queue *ref(const atls_queue *it) noexcept { return atls_queue_ref(it); }
inline atls_stream *ref(const atls_stream *it) noexcept { return atls_stream_ref(it); }
inline atls_head *ref(const atls_head *it) noexcept { return atls_head_ref(it); }
inline atls_http *ref(const atls_http *it) noexcept { return atls_http_ref(it); }
inline atls_exchange *ref(const atls_exchange *it) noexcept { return atls_exchange_ref(it); }
inline atls_client *ref(const atls_client *it) noexcept { return atls_client_ref(it); }
inline atls_server *ref(const atls_server *it) noexcept { return atls_server_ref(it); }
inline atls_server_request *ref(const atls_server_request *it) noexcept { return atls_server_request_ref(it); }
inline atls_verifier *ref(const atls_verifier *it) noexcept { return atls_verifier_ref(it); }
inline atls_h1_driver *ref(const atls_h1_driver *it) noexcept { return atls_h1_driver_ref(it); }

} // namespace detail

/**
 * Owns one reference to an object of the library, and drops it. The classes below derive from it; for the handles that have
 * none (atls_h1_conn, atls_h1_driver and their own), use it as it is, with the functions of atls.h and call().
 *
 * Empty after a move, and where a method says so. An empty one is false; the library answers NULL_ARGUMENT to it.
 */
template <class T> class handle {
  public:
    using element = T;

    handle() noexcept = default;
    /** Takes over the caller's reference. */
    explicit handle(T *owned) noexcept : pointer_(owned) {}
    handle(handle &&other) noexcept : pointer_(other.release()) {}
    handle &operator=(handle &&other) noexcept
    {
        handle(std::move(other)).swap(*this);
        return *this;
    }
    handle(const handle &) = delete;
    handle &operator=(const handle &) = delete;
    ~handle() { detail::drop(pointer_); }

    /** For functions of atls.h. The object keeps its reference. */
    T *get() const noexcept { return pointer_; }
    /** Gives the reference to the caller. */
    [[nodiscard]] T *release() noexcept { return std::exchange(pointer_, nullptr); }
    /** Drops the reference now. */
    void reset() noexcept { handle().swap(*this); }
    void swap(handle &other) noexcept { std::swap(pointer_, other.pointer_); }
    explicit operator bool() const noexcept { return pointer_ != nullptr; }

  private:
    T *pointer_ = nullptr;
};

ATLS_HPP_END

#endif
