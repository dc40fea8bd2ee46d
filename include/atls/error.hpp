/** \file error.hpp Failures: thrown, or returned as results. Part of atls.hpp. */
#ifndef ATLS_ERROR_HPP
#define ATLS_ERROR_HPP

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

ATLS_HPP_BEGIN

class verdict;

namespace detail {
inline std::string_view view(atls_str text) noexcept { return {text.ptr, text.len}; }
} // namespace detail

/** The name of a status, for example "TIMED_OUT". */
inline std::string_view name_of(atls_status status) noexcept { return detail::view(atls_status_name(status)); }

/** A failure. Copies share what is known about it. Text of one that is a temporary is returned as a copy. */
class error : public std::exception {
  public:
    /** Takes over `owned`, which may be NULL. */
    error(atls_status status, atls_error *owned) noexcept : status_(status), handle_(owned) {}
    /** A failure that C++ found before the library was called. */
    error(atls_status status, std::string message)
        : status_(status), text_(std::make_shared<const std::string>(std::move(message)))
    {
    }
    error(const error &other) noexcept
        : std::exception(other), status_(other.status_), handle_(detail::ref(other.handle_.get())), text_(other.text_)
    {
    }
    error(error &&) noexcept = default;
    error &operator=(error other) noexcept
    {
        status_ = other.status_;
        handle_ = std::move(other.handle_);
        text_ = std::move(other.text_);
        return *this;
    }
    ~error() override = default;

    atls_status status() const noexcept { return status_; }
    std::string_view name() const noexcept { return name_of(status_); }
    atls_detail detail() const noexcept { return atls_error_detail(handle_.get()); }
    const char *what() const noexcept override
    {
        if (text_)
            return text_->c_str();
        return handle_ ? atls_error_message(handle_.get()).ptr : atls_status_name(status_).ptr;
    }
    std::string_view message() const & noexcept { return what(); }
    std::string message() const && { return std::string(message()); }
    std::string_view phase() const & noexcept { return detail::view(atls_error_phase(handle_.get())); }
    std::string phase() const && { return std::string(phase()); }
    /** Name of the first check that failed, if a peer was refused by a verdict; otherwise "". */
    std::string_view check() const & noexcept
    {
        const atls_verdict *judged = atls_error_verdict(handle_.get());
        for (std::size_t i = 0; judged && i < atls_verdict_check_count(judged); i++)
            if (atls_verdict_check_outcome(judged, i) == ATLS_CHECK_FAIL)
                return detail::view(atls_verdict_check_name(judged, i));
        return {};
    }
    std::string check() const && { return std::string(check()); }
    /** The verdict that refused the peer; empty if none was reached. */
    inline atls::verdict verdict() const noexcept;
    std::string_view report_json() const & noexcept { return detail::view(atls_error_report_json(handle_.get())); }
    std::string report_json() const && { return std::string(report_json()); }
    std::string_view peer() const & noexcept { return detail::view(atls_error_peer(handle_.get())); }
    std::string peer() const && { return std::string(peer()); }
    int os_errno() const noexcept { return atls_error_os_errno(handle_.get()); }
    int tls_alert() const noexcept { return atls_error_tls_alert(handle_.get()); }
    unsigned http_status() const noexcept { return atls_error_http_status(handle_.get()); }
    bool retryable() const noexcept { return atls_error_retryable(handle_.get()); }
    const atls_error *get() const noexcept { return handle_.get(); }

  private:
    atls_status status_;
    handle<atls_error> handle_;
    std::shared_ptr<const std::string> text_;
};

/**
 * A value or a failure. To take the value of a failure ends the program (std::abort()), as does the failure of a value: it is
 * never read as something else.
 */
template <class T> class [[nodiscard]] result {
  public:
    result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    result(atls::error failure) : state_(std::in_place_index<1>, std::move(failure)) {}

    bool has_value() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }
    T &value() & noexcept { return *must(std::get_if<0>(&state_)); }
    const T &value() const & noexcept { return *must(std::get_if<0>(&state_)); }
    T &&value() && noexcept { return std::move(*must(std::get_if<0>(&state_))); }
    T &operator*() & noexcept { return value(); }
    const T &operator*() const & noexcept { return value(); }
    T &&operator*() && noexcept { return std::move(*this).value(); }
    T *operator->() noexcept { return &value(); }
    const T *operator->() const noexcept { return &value(); }
    const atls::error &error() const & noexcept { return *must(std::get_if<1>(&state_)); }
    atls::error error() && noexcept { return std::move(*must(std::get_if<1>(&state_))); }

  private:
    template <class P> static P *must(P *pointer) noexcept
    {
        if (!pointer)
            std::abort();
        return pointer;
    }

    std::variant<T, atls::error> state_;
};

/** Success or a failure. */
template <> class [[nodiscard]] result<void> {
  public:
    result() noexcept = default;
    result(atls::error failure) noexcept : failure_(std::move(failure)) {}

    bool has_value() const noexcept { return !failure_; }
    explicit operator bool() const noexcept { return has_value(); }
    const atls::error &error() const noexcept
    {
        if (!failure_)
            std::abort();
        return *failure_;
    }

  private:
    std::optional<atls::error> failure_;
};

/** What a call that can fail returns. */
#ifdef ATLS_NO_EXCEPTIONS
template <class T> using outcome = result<T>;
#else
template <class T> using outcome = T;
#endif

/**
 * How long to wait: a duration of std::chrono, the default that atls.h has for the call, or no limit. A duration is rounded
 * up to milliseconds; one of 0 or less, such as what is left of a deadline that passed, is one millisecond and not the
 * default.
 */
class timeout {
  public:
    template <class Rep, class Period> constexpr timeout(std::chrono::duration<Rep, Period> duration) noexcept
    {
        using wide = std::chrono::duration<double, std::milli>;
        const double wanted = std::chrono::duration_cast<wide>(duration).count();
        if (wanted >= 4294967294.0)
            ms_ = UINT32_MAX - 1;
        else if (wanted > 1)
            ms_ = static_cast<std::uint32_t>(wanted) + (wanted > static_cast<std::uint32_t>(wanted) ? 1U : 0U);
        else
            ms_ = 1;
    }
    static constexpr timeout standard() noexcept { return timeout(0U); }
    static constexpr timeout none() noexcept { return timeout(UINT32_MAX); }
    /** As atls.h has it. */
    constexpr std::uint32_t ms() const noexcept { return ms_; }

  private:
    explicit constexpr timeout(std::uint32_t ms) noexcept : ms_(ms) {}

    std::uint32_t ms_ = 0;
};

namespace detail {

/** Text for a parameter that atls.h wants NUL-terminated. A view without data is NULL. */
class c_text {
  public:
    c_text(const char *name, std::string_view text) : name_(name), null_(text.data() == nullptr), text_(text) {}
    operator const char *() const noexcept { return null_ ? nullptr : text_.c_str(); }
    /** The name of the parameter, if its text would be cut short. */
    const char *cut() const noexcept { return text_.find('\0') == std::string::npos ? nullptr : name_; }

  private:
    const char *name_;
    bool null_;
    std::string text_;
};

/** Makes a call of the library, unless one of its texts has a NUL. */
template <class F, class... Texts> std::optional<error> attempt(F &&function, const Texts &...texts)
{
    const char *bad = nullptr;
    ((bad = bad ? bad : texts.cut()), ...);
    if (bad)
        return error(ATLS_INVALID_ARGUMENT, std::string(bad) + ": has a NUL byte");
    atls_error *failure = nullptr;
    const atls_status status = function(&failure);
    if (status == ATLS_OK)
        return std::nullopt;
    return error(status, failure);
}

/** Succeeds, or throws or returns the failure. */
inline outcome<void> conclude(std::optional<error> failure)
{
#ifdef ATLS_NO_EXCEPTIONS
    if (failure)
        return *std::move(failure);
    return {};
#else
    if (failure)
        throw *std::move(failure);
#endif
}

template <class T> outcome<T> conclude(std::optional<error> failure, T value)
{
    if (failure)
#ifdef ATLS_NO_EXCEPTIONS
        return *std::move(failure);
#else
        throw *std::move(failure);
#endif
    return outcome<T>(std::move(value));
}

/** A call without a value. */
template <class F, class... Texts> outcome<void> done(F &&function, const Texts &...texts)
{
    return conclude(attempt(std::forward<F>(function), texts...));
}

/** A call that makes a handle: `function(out, error)`. */
template <class W, class F, class... Texts> outcome<W> make(F &&function, const Texts &...texts)
{
    typename W::element *made = nullptr;
    std::optional<error> failure = attempt([&](atls_error **e) { return function(&made, e); }, texts...);
    return conclude(std::move(failure), W(made));
}

} // namespace detail

/**
 * A call of a function of atls.h that has no method here, for example
 * `atls::call([&](atls_error **e) { return atls_h1_driver_close(driver.get(), e); })`.
 */
template <class F> outcome<void> call(F &&function) { return detail::done(std::forward<F>(function)); }

ATLS_HPP_END

#endif
