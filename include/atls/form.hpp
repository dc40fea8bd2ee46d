/** \file form.hpp What a browser sends: queries, cookies, forms. Part of atls.hpp. */
#ifndef ATLS_FORM_HPP
#define ATLS_FORM_HPP

#include <optional>
#include <string>
#include <string_view>

ATLS_HPP_BEGIN

/**
 * Names and values, in the order in which they came. Views are valid as long as the form; text of a form
 * that is a temporary is returned as a copy.
 */
class form : public handle<atls_form> {
  public:
    using handle::handle;

    static outcome<form> parse_query(bytes query)
    {
        return detail::make<form>([&](atls_form **out, atls_error **e) { return atls_form_parse_query(query, out, e); });
    }
    static outcome<form> parse_cookies(bytes cookie)
    {
        return detail::make<form>([&](atls_form **out, atls_error **e) { return atls_form_parse_cookies(cookie, out, e); });
    }
    static outcome<form> parse_body(std::string_view content_type, bytes body, std::string_view content_encoding = {})
    {
        const detail::c_text type("content_type", content_type), coding("content_encoding", content_encoding);
        return detail::make<form>(
            [&](atls_form **out, atls_error **e) { return atls_form_parse_body(type, coding, body, out, e); }, type, coding);
    }

    std::size_t size() const noexcept { return atls_form_count(get()); }
    field operator[](std::size_t index) const & noexcept
    {
        return *this ? field(detail::view(atls_form_name(get(), index)), detail::view(atls_form_value(get(), index))) : field();
    }
    field operator[](std::size_t index) const && = delete;
    /** As the client sent it: never use it as a path. */
    std::string_view file_name(std::size_t index) const & noexcept
    {
        return *this ? detail::view(atls_form_file_name(get(), index)) : std::string_view();
    }
    std::string file_name(std::size_t index) const && { return std::string(file_name(index)); }
    std::string_view content_type(std::size_t index) const & noexcept
    {
        return *this ? detail::view(atls_form_content_type(get(), index)) : std::string_view();
    }
    std::string content_type(std::size_t index) const && { return std::string(content_type(index)); }
    std::optional<std::string_view> find(std::string_view name) const &
    {
        const detail::c_text text("name", name);
        const std::size_t at = text.cut() || !*this ? SIZE_MAX : atls_form_find(get(), text, 0);
        return at == SIZE_MAX ? std::nullopt : std::optional(detail::view(atls_form_value(get(), at)));
    }
    std::optional<std::string> find(std::string_view name) const &&
    {
        const auto found = find(name);
        return found ? std::optional(std::string(*found)) : std::nullopt;
    }
};

/** A parser of multipart bodies, piece by piece. One thread at a time. */
class multipart : public handle<atls_multipart> {
  public:
    using handle::handle;

    static outcome<multipart> make(std::string_view content_type, std::size_t parts = 0, std::size_t part_head = 0)
    {
        const detail::c_text type("content_type", content_type);
        return detail::make<multipart>(
            [&](atls_multipart **out, atls_error **e) { return atls_multipart_new(type, parts, part_head, out, e); }, type);
    }
    outcome<void> receive(bytes data)
    {
        return detail::done([&](atls_error **e) { return atls_multipart_receive(get(), data, e); });
    }
    outcome<void> receive_eof()
    {
        return detail::done([&](atls_error **e) { return atls_multipart_receive_eof(get(), e); });
    }
    outcome<atls_multipart_event> next()
    {
        atls_multipart_event event = ATLS_MULTIPART_NEED_DATA;
        auto failure = detail::attempt([&](atls_error **e) { return atls_multipart_next(get(), &event, e); });
        return detail::conclude(std::move(failure), event);
    }
    std::string_view name() const & noexcept { return text(atls_multipart_name); }
    std::string name() const && { return std::string(name()); }
    std::string_view file_name() const & noexcept { return text(atls_multipart_file_name); }
    std::string file_name() const && { return std::string(file_name()); }
    std::string_view content_type() const & noexcept { return text(atls_multipart_content_type); }
    std::string content_type() const && { return std::string(content_type()); }
    /** The bytes of an ATLS_MULTIPART_DATA event; valid until next(). */
    outcome<std::string_view> data() const &
    {
        atls_bytes it = {nullptr, 0};
        auto failure = detail::attempt([&](atls_error **e) { return atls_multipart_data(get(), &it, e); });
        return detail::conclude(std::move(failure), std::string_view(reinterpret_cast<const char *>(it.ptr), it.len));
    }
    outcome<std::string_view> data() const && = delete;

  private:
    std::string_view text(atls_str (*getter)(const atls_multipart *)) const noexcept
    {
        return *this ? detail::view(getter(get())) : std::string_view();
    }
};

ATLS_HPP_END

#endif
