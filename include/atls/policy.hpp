/** \file policy.hpp What a peer must prove, what it has shown, and a report of it to others. Part of atls.hpp. */
#ifndef ATLS_POLICY_HPP
#define ATLS_POLICY_HPP

#include <string>
#include <string_view>
#include <vector>

ATLS_HPP_BEGIN

class policy : public handle<atls_policy> {
  public:
    using handle::handle;

    /** atls_policy_new(). */
    static outcome<policy> parse(bytes json)
    {
        return detail::make<policy>([&](atls_policy **out, atls_error **e) { return atls_policy_new(json, out, e); });
    }
    policy share() const noexcept { return policy(detail::ref(get())); }
};

/** One line of a verdict. Its views are valid as long as the verdict. */
struct check {
    std::string_view name;
    std::string_view expected;
    std::string_view actual;
    atls_check outcome;
};

/**
 * An empty verdict, as of an unattested connection, is not trusted and has no checks. Text of a verdict that is a temporary
 * is returned as a copy.
 */
class verdict : public handle<atls_verdict> {
  public:
    using handle::handle;
    template <class T> class list;

    bool trusted() const noexcept { return atls_verdict_trusted(get()); }
    atls_status status() const noexcept { return atls_verdict_status(get()); }
    bool bound_to_session() const noexcept { return *this && atls_verdict_bound_to_session(get()); }
    std::string_view tee_type() const & noexcept { return text(atls_verdict_tee_type); }
    std::string tee_type() const && { return std::string(text(atls_verdict_tee_type)); }
    std::string_view tcb_status() const & noexcept { return text(atls_verdict_tcb_status); }
    std::string tcb_status() const && { return std::string(text(atls_verdict_tcb_status)); }
    std::string_view trust_anchor() const & noexcept { return text(atls_verdict_trust_anchor); }
    std::string trust_anchor() const && { return std::string(text(atls_verdict_trust_anchor)); }
    std::string_view json() const & noexcept { return text(atls_verdict_json); }
    std::string json() const && { return std::string(text(atls_verdict_json)); }
    inline list<std::string_view> advisories() const;
    inline list<check> checks() const;
    /** A draft, as JSON: read atls_verdict_draft_policy() before you use it. */
    outcome<std::string> draft_policy() const
    {
        return detail::make_text([&](atls_buf **out, atls_error **e) { return atls_verdict_draft_policy(get(), out, e); });
    }
    verdict share() const noexcept { return verdict(detail::ref(get())); }

  private:
    std::string_view text(atls_str (*getter)(const atls_verdict *)) const noexcept
    {
        return *this ? detail::view(getter(get())) : std::string_view();
    }
};

/** Part of a verdict, which it keeps: so that a loop may ask a temporary for it. */
template <class T> class verdict::list {
  public:
    list(verdict of, std::vector<T> all) noexcept : of_(std::move(of)), all_(std::move(all)) {}
    auto begin() const noexcept { return all_.begin(); }
    auto end() const noexcept { return all_.end(); }
    std::size_t size() const noexcept { return all_.size(); }
    bool empty() const noexcept { return all_.empty(); }
    const T &operator[](std::size_t index) const & noexcept { return all_[index]; }
    const T &operator[](std::size_t index) const && = delete; // its views would outlive what they show

  private:
    verdict of_;
    std::vector<T> all_;
};

inline verdict::list<std::string_view> verdict::advisories() const
{
    std::vector<std::string_view> all;
    for (std::size_t i = 0; *this && i < atls_verdict_advisory_count(get()); i++)
        all.push_back(detail::view(atls_verdict_advisory(get(), i)));
    return {share(), std::move(all)};
}

inline verdict::list<check> verdict::checks() const
{
    std::vector<check> all;
    for (std::size_t i = 0; *this && i < atls_verdict_check_count(get()); i++)
        all.push_back({detail::view(atls_verdict_check_name(get(), i)), detail::view(atls_verdict_check_expected(get(), i)),
                       detail::view(atls_verdict_check_actual(get(), i)), atls_verdict_check_outcome(get(), i)});
    return {share(), std::move(all)};
}

inline verdict error::verdict() const noexcept
{
    return atls::verdict(detail::ref(atls_error_verdict(handle_.get())));
}

/** A verdict as an EAT Attestation Result. A builder. */
class ear : public handle<atls_ear> {
  public:
    using handle::handle;

    static outcome<ear> make(const verdict &judged, std::uint64_t issued_at)
    {
        return detail::make<ear>([&](atls_ear **out, atls_error **e) { return atls_ear_new(judged.get(), issued_at, out, e); });
    }
    outcome<void> set_expiry(std::uint64_t unix_seconds)
    {
        return detail::done([&](atls_error **e) { return atls_ear_set_expiry(get(), unix_seconds, e); });
    }
    outcome<void> set_nonce(bytes nonce)
    {
        return detail::done([&](atls_error **e) { return atls_ear_set_nonce(get(), nonce, e); });
    }
    outcome<void> set_verifier(std::string_view developer, std::string_view build)
    {
        const detail::c_text who("developer", developer), what("build", build);
        return detail::done([&](atls_error **e) { return atls_ear_set_verifier(get(), who, what, e); }, who, what);
    }
    outcome<void> add_policy_id(std::string_view id)
    {
        const detail::c_text text("id", id);
        return detail::done([&](atls_error **e) { return atls_ear_add_policy_id(get(), text, e); }, text);
    }
    outcome<std::string> claims() const
    {
        return detail::make_text([&](atls_buf **out, atls_error **e) { return atls_ear_claims(get(), out, e); });
    }
    outcome<std::string> sign(bytes key, std::string_view key_id = {}) const
    {
        const detail::c_text id("key_id", key_id);
        return detail::make_text([&](atls_buf **out, atls_error **e) { return atls_ear_sign(get(), key, id, out, e); }, id);
    }
    outcome<std::string> signing_input(atls_ear_algorithm algorithm, std::string_view key_id = {}) const
    {
        const detail::c_text id("key_id", key_id);
        return detail::make_text(
            [&](atls_buf **out, atls_error **e) { return atls_ear_signing_input(get(), algorithm, id, out, e); }, id);
    }
    outcome<std::string> sign_with(atls_ear_algorithm algorithm, bytes signature, std::string_view key_id = {}) const
    {
        const detail::c_text id("key_id", key_id);
        return detail::make_text(
            [&](atls_buf **out, atls_error **e) { return atls_ear_sign_with(get(), algorithm, id, signature, out, e); }, id);
    }
};

ATLS_HPP_END

#endif
