/** \file exchange.hpp A request under way and its response. Part of atls.hpp. */
#ifndef ATLS_EXCHANGE_HPP
#define ATLS_EXCHANGE_HPP

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

ATLS_HPP_BEGIN

namespace detail {

/**
 * A range over what `next` answers, until that is nothing: for a range-for loop, once. With ATLS_NO_EXCEPTIONS its elements
 * are results, of which a failure is the last; otherwise a failure is thrown by the step to it.
 */
template <class Next> class pulled {
  public:
    class iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = outcome<std::string_view>;
        using difference_type = std::ptrdiff_t;
        using pointer = const value_type *;
        using reference = const value_type &;

        iterator() noexcept = default;
        explicit iterator(Next *next) : next_(next) { ++*this; }
        reference operator*() const noexcept { return *at_; }
        iterator &operator++()
        {
            if (failed())
                next_ = nullptr;
            else
                at_ = step();
            if (!at_)
                next_ = nullptr;
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(const iterator &other) const noexcept { return next_ == other.next_; }
        bool operator!=(const iterator &other) const noexcept { return next_ != other.next_; }

      private:
#ifdef ATLS_NO_EXCEPTIONS
        bool failed() const noexcept { return at_ && !at_->has_value(); }
        std::optional<value_type> step()
        {
            auto got = (*next_)();
            if (!got)
                return value_type(got.error());
            return *got ? std::optional<value_type>(**got) : std::nullopt;
        }
#else
        bool failed() const noexcept { return false; }
        std::optional<value_type> step() { return (*next_)(); }
#endif
        Next *next_ = nullptr;
        std::optional<value_type> at_;
    };

    explicit pulled(Next next) : next_(std::move(next)) {}
    iterator begin() { return iterator(&next_); }
    iterator end() noexcept { return iterator(); }

  private:
    Next next_;
};

} // namespace detail

/** Blocking or event-driven, as it was started. Share it with the thread that may cancel it. */
class exchange : public handle<atls_exchange> {
  public:
    using handle::handle;
    exchange() noexcept = default;
    /** The functions of the request's body throw into `of_body`. */
    exchange(atls_exchange *owned, std::shared_ptr<detail::kept> of_body) noexcept
        : handle(owned), of_body_(std::move(of_body))
    {
    }

    /** Blocking: the response head. */
    outcome<atls::head> head(timeout limit = timeout::standard()) const
    {
        return head_by([&](atls_head **out, atls_error **e) { return atls_exchange_head(get(), limit.ms(), out, e); });
    }
    /** Blocking: the next 1xx head; empty once the final head is there. */
    outcome<atls::head> next_informational(timeout limit = timeout::standard()) const
    {
        return head_by(
            [&](atls_head **out, atls_error **e) { return atls_exchange_next_informational(get(), limit.ms(), out, e); });
    }
    /** Blocking: up to `cap` bytes of the body; 0 only at its end. */
    outcome<std::size_t> read(void *to, std::size_t cap, timeout limit = timeout::standard()) const
    {
        std::size_t n = 0;
        auto failure = attempt([&](atls_error **e) {
            return atls_exchange_read(get(), static_cast<std::uint8_t *>(to), cap, limit.ms(), &n, e);
        });
        return detail::conclude(std::move(failure), n);
    }
    /** Blocking: the same into a container of bytes, of which as many are used as it has. */
    template <class C, class = std::enable_if_t<detail::holds_bytes<C>::value>>
    outcome<std::size_t> read(C &&to, timeout limit = timeout::standard()) const
    {
        return read(std::data(to), std::size(to), limit);
    }
    /** Blocking: the rest of the body. */
    outcome<buffer> read_all(std::size_t max, timeout limit = timeout::standard()) const
    {
        atls_buf *made = nullptr;
        auto failure =
            attempt([&](atls_error **e) { return atls_exchange_read_all(get(), max, limit.ms(), &made, e); });
        return detail::conclude(std::move(failure), buffer(made));
    }
    /**
     * Blocking: the body as a range of pieces, as they arrive. A piece is valid until the next one. The range keeps the
     * exchange, so it may be that of a temporary.
     */
    auto body(timeout each = timeout::standard()) const
    {
        return detail::pulled([own = share(), each, piece = std::string()]() mutable { return own.next_piece(piece, each); });
    }
    /**
     * Blocking: the body as a range of lines, without their ends (LF or CRLF), such as those of server-sent events. A line of
     * more than `max` bytes ends it with BODY_TOO_LARGE. The last line may lack its end. After TIMED_OUT the next step goes on
     * with the line that it interrupted.
     */
    auto lines(std::size_t max = 1 << 20, timeout each = timeout::standard()) const
    {
        return detail::pulled(
            [own = share(), max, each, so_far = reading()]() mutable { return own.next_line(max, each, so_far); });
    }
    /** Blocking: the trailers, after the body; empty if there were none. */
    outcome<atls::head> trailers() const
    {
        return head_by([&](atls_head **out, atls_error **e) { return atls_exchange_trailers(get(), out, e); });
    }

    /** Event-driven: false if nothing was taken; WRITABLE follows. */
    outcome<bool> write(bytes data) const
    {
        auto failure = attempt([&](atls_error **e) { return atls_exchange_write(get(), data, e); });
        const bool again = failure && failure->status() == ATLS_AGAIN;
        return detail::conclude(again ? std::nullopt : std::move(failure), !again);
    }
    /** Blocking. */
    outcome<void> write_all(bytes data, timeout limit = timeout::standard()) const
    {
        return detail::conclude(
            attempt([&](atls_error **e) { return atls_exchange_write_all(get(), data, limit.ms(), e); }));
    }
    outcome<void> finish() const
    {
        return detail::conclude(attempt([&](atls_error **e) { return atls_exchange_finish(get(), e); }));
    }
    /** Call it when a body must be written again: REWIND, or AGAIN with ATLS_DETAIL_REWIND. */
    outcome<void> restart_body() const
    {
        return detail::conclude(attempt([&](atls_error **e) { return atls_exchange_rewind(get(), e); }));
    }
    /** Event-driven: more credit. */
    outcome<void> grant(std::uint64_t size) const
    {
        return detail::done([&](atls_error **e) { return atls_exchange_grant(get(), size, e); });
    }
    /** From any thread. Calls of other threads end with CANCELED. */
    void cancel() const noexcept { atls_exchange_cancel(get(), nullptr); }
    void abandon() const noexcept { cancel(); }

    /** The verdict on the server that responded; empty before that, unattested, and on an http connection, which has it. */
    atls::verdict verdict() const noexcept { return atls::verdict(*this ? atls_exchange_verdict(get()) : nullptr); }
    /** Text of an exchange that is a temporary is returned as a copy. */
    std::string_view url() const & noexcept { return *this ? detail::view(atls_exchange_url(get())) : std::string_view(); }
    std::string url() const && { return std::string(url()); }
    std::string_view peer() const & noexcept { return *this ? detail::view(atls_exchange_peer(get())) : std::string_view(); }
    std::string peer() const && { return std::string(peer()); }
    unsigned redirects() const noexcept { return *this ? atls_exchange_redirects(get()) : 0; }
    bool reused() const noexcept { return *this && atls_exchange_reused(get()); }
    buffer certificate() const noexcept { return buffer(*this ? atls_exchange_certificate(get()) : nullptr); }
    /** Nothing if it is not known. */
    std::optional<std::chrono::microseconds> time(atls_exchange_time which) const noexcept
    {
        const std::uint64_t us = *this ? atls_exchange_time_us(get(), which) : UINT64_MAX;
        if (us == UINT64_MAX)
            return std::nullopt;
        return std::chrono::microseconds(us);
    }
    exchange share() const noexcept { return {*this ? detail::ref(get()) : nullptr, of_body_}; }

  private:
    /** Where a canceled exchange may owe its end to an exception of the body's functions. */
    template <class F> std::optional<error> attempt(F &&function) const
    {
        auto failure = detail::attempt(std::forward<F>(function));
        if (failure && failure->status() == ATLS_CANCELED && of_body_)
            of_body_->rethrow();
        return failure;
    }
    template <class F> outcome<atls::head> head_by(F &&function) const
    {
        atls_head *made = nullptr;
        auto failure = attempt([&](atls_error **e) { return function(&made, e); });
        return detail::conclude(std::move(failure), atls::head(made));
    }
    using piece = std::optional<std::string_view>;
    /** Where lines() is: the line, of which a part may be there; and what was received, read up to `at`. */
    struct reading {
        std::string line, held;
        std::size_t at = 0;
        bool delivered = false, ended = false;
    };
    /** Reads the next piece into `to`; nothing at the end. */
    std::optional<error> fill(std::string &to, timeout each) const
    {
        std::size_t n = 0;
        to.resize(16384);
        auto failure = attempt([&](atls_error **e) {
            return atls_exchange_read(get(), reinterpret_cast<std::uint8_t *>(to.data()), to.size(), each.ms(), &n, e);
        });
        to.resize(n);
        return failure;
    }
    outcome<piece> next_piece(std::string &to, timeout each) const
    {
        auto failure = fill(to, each);
        return detail::conclude(std::move(failure), to.empty() ? piece() : piece(to));
    }
    inline outcome<piece> next_line(std::size_t max, timeout each, reading &so_far) const;

    std::shared_ptr<detail::kept> of_body_;
};

inline outcome<exchange::piece> exchange::next_line(std::size_t max, timeout each, reading &so_far) const
{
    auto &[line, held, at, delivered, ended] = so_far;
    if (std::exchange(delivered, false))
        line.clear();
    while (!ended) {
        const std::size_t stop = held.find('\n', at);
        if (line.size() <= max)
            line.append(held, at, stop == std::string::npos ? stop : stop - at);
        if (line.size() > max)
            return detail::conclude(error(ATLS_BODY_TOO_LARGE, "a line is longer than " + std::to_string(max) + " bytes"),
                                    piece());
        if (stop != std::string::npos) {
            at = stop + 1;
            if (!line.empty() && line.back() == '\r')
                line.pop_back();
            delivered = true;
            return piece(line);
        }
        at = 0;
        if (auto failure = fill(held, each))
            return detail::conclude(std::move(failure), piece());
        ended = held.empty();
    }
    delivered = true;
    return line.empty() ? piece() : piece(line);
}

ATLS_HPP_END

#endif
