/** \file request.hpp A request, made piece by piece. Part of atls.hpp. */
#ifndef ATLS_REQUEST_HPP
#define ATLS_REQUEST_HPP

#include <functional>
#include <memory>
#include <string_view>

ATLS_HPP_BEGIN

/** A request body that the library asks for, on the thread that drives the connection. */
struct body_source {
    /** Writes up to `cap` bytes and returns how many; 0 at the end. Must not block for long. */
    std::function<std::size_t(std::uint8_t *to, std::size_t cap)> read;
    /** Optional: starts again from the beginning; false if that is impossible. */
    std::function<bool()> rewind;
};

/** A builder: one thread at a time; copied when used, and may be used again. */
class request : public handle<atls_request> {
  public:
    using handle::handle;

    /** For a client. */
    static outcome<request> make(std::string_view method, std::string_view url)
    {
        const detail::c_text verb("method", method), where("url", url);
        return detail::make<request>(
            [&](atls_request **out, atls_error **e) { return atls_request_new_url(verb, where, out, e); }, verb, where);
    }
    /** For an HTTP connection. */
    static outcome<request> make(std::string_view method, std::string_view path, std::string_view host)
    {
        const detail::c_text verb("method", method), where("path", path), name("host", host);
        return detail::make<request>(
            [&](atls_request **out, atls_error **e) { return atls_request_new(verb, where, name, out, e); }, verb, where, name);
    }

    outcome<void> set_host(std::string_view host)
    {
        const detail::c_text text("host", host);
        return detail::done([&](atls_error **e) { return atls_request_set_host(get(), text, e); }, text);
    }
    outcome<void> add_header(std::string_view name, bytes value)
    {
        const detail::c_text text("name", name);
        return detail::done([&](atls_error **e) { return atls_request_add_header(get(), text, value, e); }, text);
    }
    outcome<void> add_headers(const headers &fields) { return set(atls_request_add_headers, fields.get()); }
    /** Copied. */
    outcome<void> set_body(bytes data) { return set(atls_request_set_body, static_cast<atls_bytes>(data)); }
    /** Not copied. */
    outcome<void> set_body(const buffer &data) { return set(atls_request_set_body_buf, data.get()); }
    /** The body is written to the exchange piece by piece. */
    outcome<void> set_body_stream(std::uint64_t length = ATLS_LENGTH_UNKNOWN)
    {
        return set(atls_request_set_body_stream, length);
    }
    outcome<void> set_body_rewindable(bool rewindable) { return set(atls_request_set_body_rewindable, rewindable); }
    /** The body comes from functions. What they throw is thrown by the call that would report that it was canceled. */
    outcome<void> set_body_source(body_source source, std::uint64_t length = ATLS_LENGTH_UNKNOWN)
    {
        if (!source.read)
            return detail::conclude(error(ATLS_INVALID_ARGUMENT, "read: is empty"));
        auto thrown = std::make_shared<detail::kept>();
        auto box = std::make_unique<pump>(pump{std::move(source), thrown});
        const atls_body_source it = {pump_read, box->source.rewind ? pump_rewind : nullptr, pump_drop, box.get()};
        auto failure = detail::attempt([&](atls_error **e) { return atls_request_set_body_source(get(), &it, length, e); });
        if (!failure) {
            static_cast<void>(box.release());
            of_body_ = std::move(thrown);
        }
        return detail::conclude(std::move(failure));
    }
    /** A field of a form; `file_name` and `content_type` make it a file. */
    outcome<void> add_form_field(std::string_view name, bytes value, std::string_view file_name = {},
                                 std::string_view content_type = {})
    {
        const detail::c_text text("name", name), file("file_name", file_name), type("content_type", content_type);
        return detail::done(
            [&](atls_error **e) { return atls_request_add_form_field(get(), text, value, file, type, e); }, text, file, type);
    }
    /** For the response head. */
    outcome<void> set_timeout(timeout limit) { return set(atls_request_set_timeout, limit.ms()); }
    outcome<void> set_deadline(atls_request_deadline which, timeout limit)
    {
        return set(atls_request_set_deadline, which, limit.ms());
    }
    outcome<void> set_auth(std::string_view user, std::string_view password, atls_auth auth = ATLS_AUTH_BASIC)
    {
        const detail::c_text who("user", user), secret("password", password);
        return detail::done([&](atls_error **e) { return atls_request_set_auth(get(), who, secret, auth, e); }, who, secret);
    }
    outcome<void> set_if_modified_since(std::int64_t seconds) { return set(atls_request_set_if_modified_since, seconds); }
    outcome<void> set_redirects(std::uint32_t max, std::uint32_t allowed = 0)
    {
        return set(atls_request_set_redirects, max, allowed);
    }
    outcome<void> set_decode(bool decode) { return set(atls_request_set_decode, decode); }
    outcome<void> set_max_response_body(std::uint64_t size) { return set(atls_request_set_max_response_body, size); }
    outcome<void> set_head_limits(std::uint32_t size, std::uint32_t fields, std::uint32_t informational)
    {
        return set(atls_request_set_head_limits, size, fields, informational);
    }
    outcome<void> set_buffered(bool buffered) { return set(atls_request_set_buffered, buffered); }
    outcome<void> set_expect_continue(timeout wait) { return set(atls_request_set_expect_continue, wait.ms()); }
    outcome<void> set_config(const config &own) { return set(atls_request_set_config, own.get()); }

    /** Where what the functions of the body throw is kept; the classes of this library use it. */
    const std::shared_ptr<detail::kept> &of_body() const noexcept { return of_body_; }

  private:
    struct pump {
        body_source source;
        std::shared_ptr<detail::kept> thrown;
    };

    static std::int64_t pump_read(void *user, std::uint8_t *to, std::size_t cap) noexcept
    {
        auto *self = static_cast<pump *>(user);
        std::size_t n = 0;
        const bool returned = self->thrown->guard([&] { n = self->source.read(to, cap); });
        return returned && n <= cap ? static_cast<std::int64_t>(n) : -1;
    }
    static bool pump_rewind(void *user) noexcept
    {
        auto *self = static_cast<pump *>(user);
        bool rewound = false;
        return self->thrown->guard([&] { rewound = self->source.rewind(); }) && rewound;
    }
    static void pump_drop(void *user) noexcept { delete static_cast<pump *>(user); }

    template <class F, class... A> outcome<void> set(F function, A... arguments)
    {
        return detail::done([&](atls_error **e) { return function(get(), arguments..., e); });
    }

    std::shared_ptr<detail::kept> of_body_;
};

ATLS_HPP_END

#endif
