/** \file config.hpp Where to connect, by which route, and what must hold there. Part of atls.hpp. */
#ifndef ATLS_CONFIG_HPP
#define ATLS_CONFIG_HPP

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

ATLS_HPP_BEGIN

/**
 * The addresses of a name, in text, in the order in which to try them; none, or an exception, ends the attempt with DNS. Runs
 * on threads of the library, several at a time.
 */
using resolver = std::function<std::vector<std::string>(std::string_view host)>;

/** Receives lines in the format of SSLKEYLOGFILE, on any thread, on several at once. */
using key_log_function = std::function<void(std::string_view line)>;

/** A builder: one thread at a time; copied when used. */
class config : public handle<atls_config> {
  public:
    using handle::handle;

    /** For a client, whose requests name their hosts, and for the route of a verifier. */
    static outcome<config> make() { return make(std::string_view(), 0); }
    /** For connections to one server. */
    static outcome<config> make(std::string_view host, std::uint16_t port)
    {
        const detail::c_text name("host", host);
        return detail::make<config>(
            [&](atls_config **out, atls_error **e) { return atls_config_new(name, port, out, e); }, name);
    }

    outcome<void> set_policy(const policy &wanted) { return set(atls_config_set_policy, wanted.get()); }
    outcome<void> clear_policy() { return set(atls_config_clear_policy); }
    /** Read atls_config_set_unattested(): such a connection proves nothing. */
    outcome<void> set_unattested() { return set(atls_config_set_unattested); }
    outcome<void> set_verifier(const verifier &shared) { return set(atls_config_set_verifier, shared.get()); }
    outcome<void> set_timeouts(timeout connect, timeout tls)
    {
        return set(atls_config_set_timeouts, connect.ms(), tls.ms());
    }
    outcome<void> set_deadline(timeout whole) { return set(atls_config_set_deadline, whole.ms()); }
    outcome<void> set_credit(std::uint64_t initial, bool automatic)
    {
        return set(atls_config_set_credit, initial, automatic);
    }
    outcome<void> set_server_name(std::string_view name)
    {
        return set_text(atls_config_set_server_name, detail::c_text("server_name", name));
    }
    outcome<void> add_root_pem(std::string_view pem)
    {
        return set_text(atls_config_add_root_pem, detail::c_text("pem", pem));
    }
    outcome<void> set_roots(bool webpki, bool platform) { return set(atls_config_set_roots, webpki, platform); }
    outcome<void> set_client_certificate(std::string_view chain_pem, std::string_view key_pem)
    {
        const detail::c_text chain("chain_pem", chain_pem), key("key_pem", key_pem);
        return detail::done([&](atls_error **e) { return atls_config_set_client_certificate(get(), chain, key, e); }, chain,
                            key);
    }
    /** Read atls_config_set_certificate_check(): with false the connection may end anywhere. */
    outcome<void> set_certificate_check(bool check_it) { return set(atls_config_set_certificate_check, check_it); }
    /** Read atls_config_set_key_log(). An empty function: nothing is passed on. */
    outcome<void> set_key_log(key_log_function function, std::string_view words = {})
    {
        using boxed = detail::boxed<void(std::string_view)>;
        const auto deliver = [](void *user, atls_str line) noexcept {
            detail::kept lost;
            lost.guard([&] { boxed::of(user)(detail::view(line)); });
        };
        const detail::c_text text("words", words);
        if (!function || text.cut())
            return detail::done([&](atls_error **e) { return atls_config_set_key_log(get(), nullptr, nullptr, nullptr, text, e); },
                                text);
        return detail::done([&](atls_error **e) {
            return atls_config_set_key_log(get(), deliver, boxed::box(std::move(function)), boxed::drop, text, e);
        });
    }
    outcome<void> set_tunnel(std::string_view url) { return set_text(atls_config_set_tunnel, detail::c_text("url", url)); }
    outcome<void> set_proxy(std::string_view url, std::string_view user = {}, std::string_view password = {},
                            atls_auth auth = ATLS_AUTH_BASIC)
    {
        const detail::c_text where("url", url), who("user", user), secret("password", password);
        return detail::done([&](atls_error **e) { return atls_config_set_proxy(get(), where, who, secret, auth, e); }, where,
                            who, secret);
    }
    outcome<void> set_bind(std::string_view address_or_interface)
    {
        return set_text(atls_config_set_bind, detail::c_text("address_or_interface", address_or_interface));
    }
    outcome<void> set_family(atls_family family) { return set(atls_config_set_family, family); }
    outcome<void> map_host(std::string_view host, std::uint16_t port, std::string_view other_host, std::uint16_t other_port)
    {
        const detail::c_text name("host", host), other("other_host", other_host);
        return detail::done([&](atls_error **e) { return atls_config_map_host(get(), name, port, other, other_port, e); },
                            name, other);
    }
    /** An empty function: the system resolves. */
    outcome<void> set_resolver(resolver function)
    {
        using boxed = detail::boxed<std::vector<std::string>(std::string_view)>;
        if (!function)
            return set(atls_config_set_resolver, nullptr);
        auto box = std::make_unique<resolver>(std::move(function));
        const atls_resolver it = {resolve, boxed::drop, box.get()};
        auto failure = detail::attempt([&](atls_error **e) { return atls_config_set_resolver(get(), &it, e); });
        if (!failure)
            static_cast<void>(box.release());
        return detail::conclude(std::move(failure));
    }

    outcome<void> set_dstack_agent(std::string_view path = {})
    {
        return set_text(atls_config_set_dstack_agent, detail::c_text("path", path));
    }
    outcome<void> set_tsm(std::string_view path = {}) { return set_text(atls_config_set_tsm, detail::c_text("path", path)); }
    outcome<void> set_nsm(std::string_view path = {}) { return set_text(atls_config_set_nsm, detail::c_text("path", path)); }
    outcome<void> set_azure_vtpm(std::string_view tpm = {}, std::string_view metadata_url = {})
    {
        const detail::c_text device("tpm", tpm), url("metadata_url", metadata_url);
        return detail::done([&](atls_error **e) { return atls_config_set_azure_vtpm(get(), device, url, e); }, device, url);
    }
    outcome<void> set_quote_source(quote_source source)
    {
        using boxed = detail::boxed<std::string(bytes)>;
        return detail::done([&](atls_error **e) {
            return atls_config_set_quote_source(get(), detail::on_bytes<64>, boxed::box(std::move(source)), boxed::drop, e);
        });
    }
    outcome<void> set_evidence_source(std::string_view tee, evidence_source source)
    {
        using boxed = detail::boxed<std::string(bytes, bool)>;
        const detail::c_text kind("tee", tee);
        return detail::done(
            [&](atls_error **e) {
                return atls_config_set_evidence_source(get(), kind, detail::on_evidence, boxed::box(std::move(source)),
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
                return atls_config_add_attached_source(get(), kind, detail::on_bytes<32>, boxed::box(std::move(source)),
                                                       boxed::drop, e);
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
    static std::int32_t resolve(void *user, const char *host, atls_addresses *addresses) noexcept
    {
        bool added = true;
        detail::kept lost;
        const bool returned = lost.guard([&] {
            for (const std::string &address : (*static_cast<resolver *>(user))(host))
                added = added && address.find('\0') == std::string::npos &&
                        atls_addresses_add(addresses, address.c_str(), nullptr) == ATLS_OK;
        });
        return returned && added ? 0 : 1;
    }
};

inline outcome<void> verifier_config::set_route(const config &route)
{
    return detail::done([&](atls_error **e) { return atls_verifier_config_set_route(get(), route.get(), e); });
}

ATLS_HPP_END

#endif
