/** \file verify.hpp Verifiers, which keep the vendors' documents, and verification without a network. Part of atls.hpp. */
#ifndef ATLS_VERIFY_HPP
#define ATLS_VERIFY_HPP

#include <string>
#include <string_view>

ATLS_HPP_BEGIN

class config;

/** Caches collateral for the connections that share it. */
class verifier : public handle<atls_verifier> {
  public:
    using handle::handle;

    /** With the defaults. */
    static outcome<verifier> make()
    {
        return detail::make<verifier>([](atls_verifier **out, atls_error **e) { return atls_verifier_new(nullptr, out, e); });
    }
    /** atls_verifier_export(). */
    outcome<std::string> export_bundle() const
    {
        return detail::make_text([&](atls_buf **out, atls_error **e) { return atls_verifier_export(get(), out, e); });
    }
    /** atls_verifier_import(); returns how many documents were taken. */
    outcome<std::size_t> import_bundle(bytes bundle) const
    {
        std::size_t taken = 0;
        auto failure = detail::attempt([&](atls_error **e) { return atls_verifier_import(get(), bundle, &taken, e); });
        return detail::conclude(std::move(failure), taken);
    }
    verifier share() const noexcept { return verifier(detail::ref(get())); }
};

/** Settings of a verifier. A builder. */
class verifier_config : public handle<atls_verifier_config> {
  public:
    using handle::handle;

    static outcome<verifier_config> make() { return detail::make<verifier_config>(atls_verifier_config_new); }
    outcome<void> add_root_pem(std::string_view pem)
    {
        const detail::c_text text("pem", pem);
        return detail::done([&](atls_error **e) { return atls_verifier_config_add_root_pem(get(), text, e); }, text);
    }
    /** For tests: atls_verifier_config_set_simulated_root(). */
    outcome<void> set_simulated_root(bytes root_der)
    {
        return detail::done([&](atls_error **e) { return atls_verifier_config_set_simulated_root(get(), root_der, e); });
    }
    /** For tests: atls_verifier_config_add_simulated_root(). */
    outcome<void> add_simulated_root(std::string_view vendor, bytes pem)
    {
        const detail::c_text text("vendor", vendor);
        return detail::done([&](atls_error **e) { return atls_verifier_config_add_simulated_root(get(), text, pem, e); },
                            text);
    }
    inline outcome<void> set_route(const config &route);
    outcome<void> set_disk_cache(std::string_view folder)
    {
        const detail::c_text text("folder", folder);
        return detail::done([&](atls_error **e) { return atls_verifier_config_set_disk_cache(get(), text, e); }, text);
    }
    outcome<verifier> build() const
    {
        return detail::make<verifier>([&](atls_verifier **out, atls_error **e) { return atls_verifier_new(get(), out, e); });
    }
};

/** The input of an offline verification. A builder. */
class verification : public handle<atls_verification> {
  public:
    using handle::handle;

    static outcome<verification> make() { return detail::make<verification>(atls_verification_new); }
    outcome<void> set_evidence_json(bytes json)
    {
        return detail::done([&](atls_error **e) { return atls_verification_set_evidence_json(get(), json, e); });
    }
    outcome<void> set_evidence_document(std::string_view format, bytes document)
    {
        const detail::c_text text("format", format);
        return detail::done(
            [&](atls_error **e) { return atls_verification_set_evidence_document(get(), text, document, e); }, text);
    }
    outcome<void> set_quote(bytes quote, bytes event_log = {})
    {
        return detail::done([&](atls_error **e) { return atls_verification_set_quote(get(), quote, event_log, e); });
    }
    outcome<void> set_collateral_json(bytes json)
    {
        return detail::done([&](atls_error **e) { return atls_verification_set_collateral_json(get(), json, e); });
    }
    outcome<void> set_policy(const policy &wanted)
    {
        return detail::done([&](atls_error **e) { return atls_verification_set_policy(get(), wanted.get(), e); });
    }
    outcome<void> set_time(std::uint64_t unix_seconds)
    {
        return detail::done([&](atls_error **e) { return atls_verification_set_time(get(), unix_seconds, e); });
    }
    outcome<void> set_session(bytes nonce, bytes exporter, bytes leaf_der)
    {
        return detail::done(
            [&](atls_error **e) { return atls_verification_set_session(get(), nonce, exporter, leaf_der, e); });
    }
    outcome<void> set_exporter_session(atls_attester attester, bytes nonce, bytes exporter, bytes server_leaf,
                                       bytes client_leaf, std::string_view server_name = {})
    {
        const detail::c_text name("server_name", server_name);
        return detail::done(
            [&](atls_error **e) {
                return atls_verification_set_exporter_session(get(), attester, nonce, exporter, server_leaf, client_leaf, name,
                                                              e);
            },
            name);
    }
    outcome<void> set_ra_tls_certificate(bytes certificate)
    {
        return detail::done([&](atls_error **e) { return atls_verification_set_ra_tls_certificate(get(), certificate, e); });
    }
    /** Read atls_verification_skip_binding(): anybody can replay evidence. */
    outcome<void> skip_binding()
    {
        return detail::done([&](atls_error **e) { return atls_verification_skip_binding(get(), e); });
    }
    /** For tests. */
    outcome<void> set_simulated_root(bytes root_der)
    {
        return detail::done([&](atls_error **e) { return atls_verification_set_simulated_root(get(), root_der, e); });
    }
    /** For tests. */
    outcome<void> add_simulated_root(std::string_view vendor, bytes pem)
    {
        const detail::c_text text("vendor", vendor);
        return detail::done([&](atls_error **e) { return atls_verification_add_simulated_root(get(), text, pem, e); }, text);
    }
    /** atls_verify(). A verdict that was reached is returned, favourable or not: ask verdict::trusted(). */
    outcome<verdict> verify() const
    {
        return detail::make<verdict>([&](atls_verdict **out, atls_error **e) { return atls_verify(get(), out, e); });
    }
};

ATLS_HPP_END

#endif
