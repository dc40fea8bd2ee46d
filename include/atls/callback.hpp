/** \file callback.hpp Callables of the host that the library calls: no exception passes. Part of atls.hpp. */
#ifndef ATLS_CALLBACK_HPP
#define ATLS_CALLBACK_HPP

#include <exception>
#include <functional>
#include <mutex>
#include <utility>

ATLS_HPP_BEGIN

namespace detail {

/** Holds the first exception that a callable threw, until somebody who can throw it asks. Safe to share between threads. */
class kept {
  public:
    /** Calls; false if that threw. */
    template <class F> bool guard(F &&function) noexcept
    {
#ifdef ATLS_NO_EXCEPTIONS
        function();
        return true;
#else
        try {
            function();
            return true;
        } catch (...) {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (!thrown_)
                thrown_ = std::current_exception();
            return false;
        }
#endif
    }
    /** Throws what was kept, once. */
    void rethrow()
    {
#ifndef ATLS_NO_EXCEPTIONS
        std::exception_ptr mine;
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            mine = std::exchange(thrown_, nullptr);
        }
        if (mine)
            std::rethrow_exception(mine);
#endif
    }

  private:
#ifndef ATLS_NO_EXCEPTIONS
    std::mutex mutex_; // guards thrown_
    std::exception_ptr thrown_;
#endif
};

/** Whether this thread is in a handler, where waiting for another one would wait for itself. */
inline bool &in_handler() noexcept
{
    thread_local bool inside = false;
    return inside;
}

/** A callable on the heap, as `user_data`, and the `drop` that goes with it. */
template <class Signature> struct boxed {
    using function = std::function<Signature>;
    static void *box(function callable) { return new function(std::move(callable)); }
    static function &of(void *user_data) noexcept { return *static_cast<function *>(user_data); }
    static void drop(void *user_data) noexcept { delete static_cast<function *>(user_data); }
};

/** Text that a source of evidence made, as the library wants it. */
inline atls_status give_evidence(const std::string &text, atls_buf **out) noexcept
{
    return atls_buf_copy(atls_bytes_of(text.data(), text.size()), out, nullptr);
}

} // namespace detail

/**
 * Makes evidence over the 64 bytes of a binder: the JSON text of atls_evidence_fn; "fresh" is its second argument. If it
 * throws, or the text is empty, there is no evidence.
 */
using evidence_source = std::function<std::string(bytes binder, bool fresh)>;
/** Makes a TDX quote over 64 bytes of report data: the JSON text of atls_quote_fn. Fails as an evidence_source does. */
using quote_source = std::function<std::string(bytes report_data)>;
/** Makes evidence of devices over a nonce of 32 bytes: the JSON text of atls_attached_fn. Fails as an evidence_source does. */
using attached_source = std::function<std::string(bytes nonce)>;

namespace detail {

inline atls_status on_evidence(void *user, const std::uint8_t *binder, bool fresh, atls_buf **out) noexcept
{
    std::string text;
    kept lost;
    if (!lost.guard([&] { text = boxed<std::string(bytes, bool)>::of(user)(bytes(binder, 64), fresh); }) || text.empty())
        return ATLS_NO_EVIDENCE;
    return give_evidence(text, out);
}

/** Quotes (64 bytes) and devices (32). */
template <std::size_t Size> atls_status on_bytes(void *user, const std::uint8_t *input, atls_buf **out) noexcept
{
    std::string text;
    kept lost;
    if (!lost.guard([&] { text = boxed<std::string(bytes)>::of(user)(bytes(input, Size)); }) || text.empty())
        return ATLS_NO_EVIDENCE;
    return give_evidence(text, out);
}

} // namespace detail

/** Receives lines of the log: the level and the text, which is valid during the call. */
using log_function = std::function<void(atls_log_level, std::string_view)>;

/**
 * atls_log_set(), for the whole process. An empty function ends it; when the call returns, no line is being delivered any
 * more to the function before. Two threads must not call it at the same time.
 */
inline void set_log(atls_log_level level, log_function function)
{
    static log_function *current = nullptr; // not destroyed at exit, when other threads may still log
    atls_log_set(ATLS_LOG_OFF, nullptr, nullptr); // waits for the former one
    delete std::exchange(current, function ? new log_function(std::move(function)) : nullptr);
    const auto deliver = [](void *user, atls_log_level of, atls_str line) noexcept {
        detail::kept lost;
        lost.guard([&] { (*static_cast<log_function *>(user))(of, detail::view(line)); });
    };
    if (current)
        atls_log_set(level, deliver, current);
}

ATLS_HPP_END

#endif
