/** \file client.hpp A client for requests by URL, and one connection for requests in turn. Part of atls.hpp. */
#ifndef ATLS_CLIENT_HPP
#define ATLS_CLIENT_HPP

#include <string_view>

ATLS_HPP_BEGIN

namespace detail {

/** A call that makes an exchange: `function(out, error)`. */
template <class F> outcome<exchange> make_exchange(const request &of, F &&function)
{
    atls_exchange *made = nullptr;
    std::optional<error> failure = attempt([&](atls_error **e) { return function(&made, e); });
    if (failure && failure->status() == ATLS_CANCELED && of.of_body())
        of.of_body()->rethrow();
    return conclude(std::move(failure), exchange(made, of.of_body()));
}

} // namespace detail

/** Limits of a client. A builder. */
class client_limits : public handle<atls_client_limits> {
  public:
    using handle::handle;

    static outcome<client_limits> make() { return detail::make<client_limits>(atls_client_limits_new); }
    outcome<void> set_requests(std::uint32_t max)
    {
        return detail::done([&](atls_error **e) { return atls_client_limits_set_requests(get(), max, e); });
    }
    outcome<void> set_connections(std::uint32_t per_host, std::uint32_t idle)
    {
        return detail::done([&](atls_error **e) { return atls_client_limits_set_connections(get(), per_host, idle, e); });
    }
    outcome<void> set_times(timeout idle, timeout age)
    {
        return detail::done([&](atls_error **e) { return atls_client_limits_set_times(get(), idle.ms(), age.ms(), e); });
    }
};

/** Requests by URL over pooled connections, with a policy for each host. */
class client : public handle<atls_client> {
  public:
    using handle::handle;

    /** Blocking: fetch() and open(). */
    static outcome<client> make(const config &settings, const client_limits &limits = client_limits())
    {
        return make(runtime(), settings, limits);
    }
    /** Event-driven: start(). */
    static outcome<client> make(const runtime &on, const config &settings, const client_limits &limits = client_limits())
    {
        return detail::make<client>([&](atls_client **out, atls_error **e) {
            return atls_client_new(on.get(), settings.get(), limits.get(), out, e);
        });
    }

    outcome<void> set_policy(std::string_view pattern, const policy &wanted) const
    {
        const detail::c_text text("pattern", pattern);
        return detail::done([&](atls_error **e) { return atls_client_set_policy(get(), text, wanted.get(), e); }, text);
    }
    /** Blocking: sends and, unless the body is a stream, waits for the response head. */
    outcome<exchange> fetch(const request &wanted) const
    {
        return detail::make_exchange(
            wanted, [&](atls_exchange **out, atls_error **e) { return atls_client_fetch(get(), wanted.get(), out, e); });
    }
    /** Blocking: returns at once, so that another thread can cancel while this one waits in exchange::head(). */
    outcome<exchange> open(const request &wanted) const
    {
        return detail::make_exchange(
            wanted, [&](atls_exchange **out, atls_error **e) { return atls_client_open(get(), wanted.get(), out, e); });
    }
    /** Blocking: fetch() of a GET. */
    outcome<exchange> get_url(std::string_view url) const
    {
        auto wanted = request::make("GET", url);
#ifdef ATLS_NO_EXCEPTIONS
        if (!wanted)
            return wanted.error();
        return fetch(*wanted);
#else
        return fetch(wanted);
#endif
    }
    /** Event-driven. */
    outcome<operation<exchange>> start(const request &wanted, const queue &on, handlers<exchange> events) const
    {
        return detail::start<exchange>(on, std::move(events), wanted.of_body(),
                                       [&](const atls_sink *to, atls_exchange **out, atls_error **e) {
                                           return atls_client_start(get(), wanted.get(), to, out, e);
                                       });
    }

    std::size_t active_requests() const noexcept { return atls_client_active_requests(get()); }
    std::size_t queued_requests() const noexcept { return atls_client_queued_requests(get()); }
    std::size_t idle_connections() const noexcept { return atls_client_idle_connections(get()); }
    outcome<void> set_cookies(bool keep) const
    {
        return detail::done([&](atls_error **e) { return atls_client_set_cookies(get(), keep, e); });
    }
    void close_idle() const noexcept { atls_client_close_idle(get(), nullptr); }
    client share() const noexcept { return client(*this ? detail::ref(get()) : nullptr); }
};

/** One attested HTTP connection. */
class http : public handle<atls_http> {
  public:
    using handle::handle;

    /** Blocking: connects, attests, judges. */
    static outcome<http> connect(const config &where)
    {
        return detail::make<http>([&](atls_http **out, atls_error **e) { return atls_http_connect(where.get(), out, e); });
    }
    /** Event-driven. */
    static outcome<operation<http>> connect(const runtime &by, const config &where, const queue &on, handlers<http> events)
    {
        return detail::start<http>(on, std::move(events), nullptr, [&](const atls_sink *to, atls_http **out, atls_error **e) {
            return atls_http_connect_start(by.get(), where.get(), to, out, e);
        });
    }

    atls::verdict verdict() const noexcept { return atls::verdict(*this ? atls_http_verdict(get()) : nullptr); }
    bool ready() const noexcept { return *this && atls_http_ready(get()); }
    /** Blocking: as client::fetch(). */
    outcome<exchange> fetch(const request &wanted) const
    {
        return detail::make_exchange(
            wanted, [&](atls_exchange **out, atls_error **e) { return atls_http_fetch(get(), wanted.get(), out, e); });
    }
    /** Blocking: as client::open(). */
    outcome<exchange> open(const request &wanted) const
    {
        return detail::make_exchange(
            wanted, [&](atls_exchange **out, atls_error **e) { return atls_http_open(get(), wanted.get(), out, e); });
    }
    /** Event-driven. */
    outcome<operation<exchange>> start(const request &wanted, const queue &on, handlers<exchange> events) const
    {
        return detail::start<exchange>(on, std::move(events), wanted.of_body(),
                                       [&](const atls_sink *to, atls_exchange **out, atls_error **e) {
                                           return atls_http_start(get(), wanted.get(), to, out, e);
                                       });
    }
    void close() const noexcept { atls_http_close(get(), nullptr); }
    void abandon() const noexcept { close(); }
    http share() const noexcept { return http(*this ? detail::ref(get()) : nullptr); }
};

ATLS_HPP_END

#endif
