/** \file server.hpp An HTTP server that can prove itself, and the forwarder of tunnels. Part of atls.hpp. */
#ifndef ATLS_SERVER_HPP
#define ATLS_SERVER_HPP

#include <functional>
#include <memory>
#include <string>
#include <string_view>

ATLS_HPP_BEGIN

/** A builder. */
class server_config : public handle<atls_server_config> {
  public:
    using handle::handle;

    static outcome<server_config> make() { return detail::make<server_config>(atls_server_config_new); }
    outcome<void> set_limit(atls_server_limit which, std::uint64_t value)
    {
        return set(atls_server_config_set_limit, which, value);
    }
    outcome<void> set_deadline(atls_server_deadline which, timeout limit)
    {
        return set(atls_server_config_set_deadline, which, limit.ms());
    }
    outcome<void> set_keep_alive(bool keep) { return set(atls_server_config_set_keep_alive, keep); }
    outcome<void> set_flags(std::uint32_t flags) { return set(atls_server_config_set_flags, flags); }
    outcome<void> set_handshake_events(bool enabled) { return set(atls_server_config_set_handshake_events, enabled); }
    outcome<void> set_decode(bool decode) { return set(atls_server_config_set_decode, decode); }
    outcome<void> set_trust_forwarded(bool trust) { return set(atls_server_config_set_trust_forwarded, trust); }
    outcome<void> add_trusted_proxy(std::string_view address)
    {
        return set_text(atls_server_config_add_trusted_proxy, detail::c_text("address", address));
    }
    outcome<void> set_credit(std::uint64_t initial, bool automatic)
    {
        return set(atls_server_config_set_credit, initial, automatic);
    }
    outcome<void> set_certificate(std::string_view chain_pem, std::string_view key_pem)
    {
        const detail::c_text chain("chain_pem", chain_pem), key("key_pem", key_pem);
        return detail::done([&](atls_error **e) { return atls_server_config_set_certificate(get(), chain, key, e); }, chain,
                            key);
    }
    outcome<void> add_certificate(std::string_view name, std::string_view chain_pem, std::string_view key_pem)
    {
        const detail::c_text text("name", name), chain("chain_pem", chain_pem), key("key_pem", key_pem);
        return detail::done([&](atls_error **e) { return atls_server_config_add_certificate(get(), text, chain, key, e); },
                            text, chain, key);
    }
    outcome<void> set_client_roots(std::string_view roots_pem, bool required)
    {
        const detail::c_text pem("roots_pem", roots_pem);
        return detail::done([&](atls_error **e) { return atls_server_config_set_client_roots(get(), pem, required, e); }, pem);
    }
    outcome<void> set_client_policy(const policy &wanted, const verifier &by)
    {
        return set(atls_server_config_set_client_policy, wanted.get(), by.get());
    }
    outcome<void> add_name(std::string_view name)
    {
        return set_text(atls_server_config_add_name, detail::c_text("name", name));
    }

    outcome<void> set_dstack_agent(std::string_view path = {})
    {
        return set_text(atls_server_config_set_dstack_agent, detail::c_text("path", path));
    }
    outcome<void> set_tsm(std::string_view path = {})
    {
        return set_text(atls_server_config_set_tsm, detail::c_text("path", path));
    }
    outcome<void> set_nsm(std::string_view path = {})
    {
        return set_text(atls_server_config_set_nsm, detail::c_text("path", path));
    }
    outcome<void> set_azure_vtpm(std::string_view tpm = {}, std::string_view metadata_url = {})
    {
        const detail::c_text device("tpm", tpm), url("metadata_url", metadata_url);
        return detail::done([&](atls_error **e) { return atls_server_config_set_azure_vtpm(get(), device, url, e); }, device,
                            url);
    }
    outcome<void> set_quote_source(quote_source source)
    {
        using boxed = detail::boxed<std::string(bytes)>;
        return set(atls_server_config_set_quote_source, detail::on_bytes<64>, boxed::box(std::move(source)), boxed::drop);
    }
    outcome<void> set_evidence_source(std::string_view tee, evidence_source source)
    {
        using boxed = detail::boxed<std::string(bytes, bool)>;
        const detail::c_text kind("tee", tee);
        return detail::done(
            [&](atls_error **e) {
                return atls_server_config_set_evidence_source(get(), kind, detail::on_evidence, boxed::box(std::move(source)),
                                                              boxed::drop, e);
            },
            kind);
    }
    outcome<void> add_attached_source(std::string_view tee, attached_source source)
    {
        using boxed = detail::boxed<std::string(bytes)>;
        const detail::c_text kind("tee", tee);
        return detail::done(
            [&](atls_error **e) {
                return atls_server_config_add_attached_source(get(), kind, detail::on_bytes<32>,
                                                              boxed::box(std::move(source)), boxed::drop, e);
            },
            kind);
    }

  private:
    template <class F, class... A> outcome<void> set(F function, A... arguments)
    {
        return detail::done([&](atls_error **e) { return function(get(), arguments..., e); });
    }
    template <class F> outcome<void> set_text(F function, const detail::c_text &text)
    {
        return detail::done([&](atls_error **e) { return function(get(), text, e); }, text);
    }
};

/** A request to a server, and the way to respond. Text of one that is a temporary is returned as a copy. */
class server_request : public handle<atls_server_request> {
  public:
    using handle::handle;
    server_request() noexcept = default;
    /** What its handlers throw goes to `thrown`, the server's. */
    server_request(atls_server_request *owned, std::shared_ptr<detail::kept> thrown) noexcept
        : handle(owned), thrown_(std::move(thrown))
    {
    }

    /** Accepts the request. It stays alive until CLOSED, so the response may be written from any thread that shares it. */
    outcome<void> start(const runtime &by, const queue &on, handlers<server_request> events) const
    {
        auto end = thrown_ ? std::make_shared<detail::ending>(thrown_) : std::make_shared<detail::ending>();
        const auto closed = std::move(events.closed);
        // The handler keeps the request, and is destroyed after CLOSED.
        events.closed = [own = std::make_shared<server_request>(share()), closed](const std::optional<error> &why) {
            if (closed)
                closed(why);
        };
        return detail::conclude(detail::start_with(
            on, std::make_unique<detail::sink<server_request>>(std::move(events), std::move(end)), [&](const atls_sink *to) {
                return detail::attempt(
                    [&](atls_error **e) { return atls_server_request_start(get(), by.get(), to, e); });
            }));
    }
    outcome<void> set_body_limit(std::uint64_t size) const { return set(atls_server_request_set_body_limit, size); }
    outcome<void> set_body_deadline(timeout limit) const { return set(atls_server_request_set_body_deadline, limit.ms()); }

    std::string_view method() const & noexcept { return text(atls_server_request_method); }
    std::string method() const && { return std::string(method()); }
    std::string_view target() const & noexcept { return text(atls_server_request_target); }
    std::string target() const && { return std::string(target()); }
    std::string_view authority() const & noexcept { return text(atls_server_request_authority); }
    std::string authority() const && { return std::string(authority()); }
    std::string_view peer() const & noexcept { return text(atls_server_request_peer); }
    std::string peer() const && { return std::string(peer()); }
    std::string_view remote() const & noexcept { return text(atls_server_request_remote); }
    std::string remote() const && { return std::string(remote()); }
    std::string_view scheme() const & noexcept { return text(atls_server_request_scheme); }
    std::string scheme() const && { return std::string(scheme()); }
    bool secure() const noexcept { return *this && atls_server_request_secure(get()); }
    atls::head head() const noexcept { return atls::head(*this ? atls_server_request_head(get()) : nullptr); }
    buffer certificate() const noexcept { return buffer(*this ? atls_server_request_certificate(get()) : nullptr); }
    /** The verdict on the client's evidence; empty if it was not asked for any. */
    atls::verdict verdict() const noexcept { return atls::verdict(*this ? atls_server_request_verdict(get()) : nullptr); }

    /** Head, body and end at once. */
    outcome<void> respond(unsigned status, bytes body = {}, const headers &fields = headers()) const
    {
        return set(atls_server_request_respond, status, fields.get(), static_cast<atls_bytes>(body));
    }
    outcome<void> send_head(unsigned status, const headers &fields = headers(),
                            std::uint64_t length = ATLS_LENGTH_UNKNOWN) const
    {
        return set(atls_server_request_send_head, status, nullptr, fields.get(), length);
    }
    /** False if nothing was taken; WRITABLE follows. */
    outcome<bool> write(bytes data) const
    {
        auto failure = detail::attempt([&](atls_error **e) { return atls_server_request_write(get(), data, e); });
        const bool again = failure && failure->status() == ATLS_AGAIN;
        return detail::conclude(again ? std::nullopt : std::move(failure), !again);
    }
    outcome<void> finish(const headers &trailers = headers()) const { return set(atls_server_request_finish, trailers.get()); }
    outcome<void> respond_file(const runtime &by, unsigned status, std::string_view path, const headers &fields = headers(),
                               std::uint64_t offset = 0, std::uint64_t length = ATLS_LENGTH_UNKNOWN) const
    {
        const detail::c_text file("path", path);
        return detail::done(
            [&](atls_error **e) {
                return atls_server_request_respond_file(get(), by.get(), status, fields.get(), file, offset, length, e);
            },
            file);
    }
    /** Takes the connection out of HTTP. */
    outcome<operation<stream>> upgrade(const runtime &by, unsigned status, const headers &fields, const queue &on,
                                       handlers<stream> events) const
    {
        return detail::start<stream>(
            on, std::move(events), nullptr, [&](const atls_sink *to, atls_stream **out, atls_error **e) {
                return atls_server_request_upgrade_start(get(), by.get(), status, fields.get(), to, out, e);
            });
    }
    outcome<void> grant(std::uint64_t size) const { return set(atls_server_request_grant, size); }
    void cancel() const noexcept { atls_server_request_cancel(get(), nullptr); }
    /** After an exception of one of its handlers: 500 or, if the response has begun, the end of the connection. */
    void abandon() const noexcept
    {
        if (atls_server_request_respond(get(), 500, nullptr, atls_bytes_of(nullptr, 0), nullptr) != ATLS_OK)
            cancel();
    }
    /** After an exception of the server's handler: the same. One that was not started is answered with 500 when it is dropped. */
    void refuse() const noexcept
    {
        // Only before the start may the limit be set; afterwards nobody needs it.
        if (atls_server_request_set_body_limit(get(), 0, nullptr) != ATLS_OK)
            abandon();
    }
    server_request share() const noexcept { return {*this ? detail::ref(get()) : nullptr, thrown_}; }

  private:
    template <class F, class... A> outcome<void> set(F function, A... arguments) const
    {
        return detail::done([&](atls_error **e) { return function(get(), arguments..., e); });
    }
    std::string_view text(atls_str (*getter)(const atls_server_request *)) const noexcept
    {
        return *this ? detail::view(getter(get())) : std::string_view();
    }

    std::shared_ptr<detail::kept> thrown_;
};

/** What a server tells: each request, which is not started yet; and each peer that it refuses. */
struct server_handlers {
    /** A request that it neither starts nor keeps is answered with 500. */
    std::function<void(server_request)> request;
    std::function<void(const error &)> refused;
    std::function<void(const std::optional<error> &)> closed;
};

namespace detail {

/** Delivers a server's events. An exception ends the request that it was about, not the server. */
class server_sink : public sink_base {
  public:
    server_sink(server_handlers on, std::shared_ptr<ending> end) : on_(std::move(on)), end_(std::move(end)) {}
    ~server_sink() override
    {
        on_ = {};
        end_->drop();
    }

    void deliver(const atls_event &event) noexcept override
    {
        if (event.kind == ATLS_EVENT_REQUEST && on_.request) {
            const server_request own(borrow<server_request>(event.source).release(), end_->thrown);
            if (!end_->thrown->guard([&] { on_.request(own.share()); }))
                own.refuse();
        } else if (event.kind == ATLS_EVENT_REFUSED && on_.refused) {
            end_->thrown->guard([&] { on_.refused(error(event.status, ref(event.error))); });
        } else if (event.kind == ATLS_EVENT_CLOSED) {
            std::optional<error> why = reason_of(event);
            if (on_.closed)
                end_->thrown->guard([&] { on_.closed(why); });
            on_ = {};
            end_->close(std::move(why));
        }
    }

  private:
    server_handlers on_;
    std::shared_ptr<ending> end_;
};

} // namespace detail

/** What a tunnel server forwards. A builder. */
class tunnel_config : public handle<atls_tunnel_config> {
  public:
    using handle::handle;

    static outcome<tunnel_config> make() { return detail::make<tunnel_config>(atls_tunnel_config_new); }
    outcome<void> add_target(std::string_view entry) { return set(atls_tunnel_config_add_target, "entry", entry); }
    outcome<void> set_default_target(std::string_view target)
    {
        return set(atls_tunnel_config_set_default_target, "target", target);
    }
    outcome<void> set_allow_private(bool allow)
    {
        return detail::done([&](atls_error **e) { return atls_tunnel_config_set_allow_private(get(), allow, e); });
    }
    outcome<void> add_origin(std::string_view origin) { return set(atls_tunnel_config_add_origin, "origin", origin); }
    outcome<void> set_token(std::string_view token) { return set(atls_tunnel_config_set_token, "token", token); }
    outcome<void> set_deadline(atls_tunnel_deadline which, timeout limit)
    {
        return detail::done([&](atls_error **e) { return atls_tunnel_config_set_deadline(get(), which, limit.ms(), e); });
    }

  private:
    template <class F> outcome<void> set(F function, const char *name, std::string_view value)
    {
        const detail::c_text text(name, value);
        return detail::done([&](atls_error **e) { return function(get(), text, e); }, text);
    }
};

class server : public handle<atls_server> {
  public:
    using handle::handle;

    /** A server that does not listen yet. */
    static outcome<operation<server>> start(const runtime &by, const server_config &settings, const queue &on,
                                            server_handlers events)
    {
        return begin(on, std::move(events), [&](const atls_sink *to, atls_server **out, atls_error **e) {
            return atls_server_start(by.get(), settings.get(), to, out, e);
        });
    }
    /** A forwarder from WebSockets to TCP. */
    static outcome<operation<server>> start_tunnel(const runtime &by, const server_config &settings,
                                                   const tunnel_config &forwarding, const queue &on, server_handlers events)
    {
        return begin(on, std::move(events), [&](const atls_sink *to, atls_server **out, atls_error **e) {
            return atls_tunnel_server_start(by.get(), settings.get(), forwarding.get(), to, out, e);
        });
    }

    /** Returns the port. */
    outcome<std::uint16_t> listen(std::string_view address, std::uint16_t port, bool reuse_port = false) const
    {
        const detail::c_text text("address", address);
        std::uint16_t bound = 0;
        auto failure = detail::attempt(
            [&](atls_error **e) { return atls_server_listen(get(), text, port, reuse_port, &bound, e); }, text);
        return detail::conclude(std::move(failure), bound);
    }
    outcome<void> listen_unix(std::string_view path) const
    {
        const detail::c_text text("path", path);
        return detail::done([&](atls_error **e) { return atls_server_listen_unix(get(), text, e); }, text);
    }
    /** The descriptor is the library's after success, the caller's after a failure. */
    outcome<void> adopt_listener(int fd) const
    {
        return detail::done([&](atls_error **e) { return atls_server_adopt_listener(get(), fd, e); });
    }
    /** As adopt_listener(). */
    outcome<void> adopt_connection(int fd) const
    {
        return detail::done([&](atls_error **e) { return atls_server_adopt_connection(get(), fd, e); });
    }
    outcome<void> set_certificate(std::string_view chain_pem, std::string_view key_pem) const
    {
        const detail::c_text chain("chain_pem", chain_pem), key("key_pem", key_pem);
        return detail::done([&](atls_error **e) { return atls_server_set_certificate(get(), chain, key, e); }, chain, key);
    }
    void stop() const noexcept { atls_server_stop(get(), nullptr); }
    void drain(timeout limit = timeout::standard()) const noexcept { atls_server_drain(get(), limit.ms(), nullptr); }
    void close() const noexcept { atls_server_close(get(), nullptr); }
    std::uint64_t count(atls_server_counter which) const noexcept { return atls_server_count(get(), which); }
    server share() const noexcept { return server(*this ? detail::ref(get()) : nullptr); }

  private:
    template <class F> static outcome<operation<server>> begin(const queue &on, server_handlers events, F &&function)
    {
        auto end = std::make_shared<detail::ending>();
        atls_server *made = nullptr;
        auto failure = detail::start_with(
            on, std::make_unique<detail::server_sink>(std::move(events), end), [&](const atls_sink *to) {
                return detail::attempt([&](atls_error **e) { return function(to, &made, e); });
            });
        return detail::conclude(std::move(failure), operation<server>(server(made), std::move(end)));
    }
};

ATLS_HPP_END

#endif
