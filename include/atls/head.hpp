/** \file head.hpp Heads as they were received, and lists of header fields to send. Part of atls.hpp. */
#ifndef ATLS_HEAD_HPP
#define ATLS_HEAD_HPP

#include <optional>
#include <string>
#include <string_view>
#include <utility>

ATLS_HPP_BEGIN

/** A name and a value, as they were spelled. */
using field = std::pair<std::string_view, std::string_view>;

/**
 * A response head, a request's header fields, or trailers. Views are valid as long as the head; text of a head that is a
 * temporary is returned as a copy.
 */
class head : public handle<atls_head> {
  public:
    using handle::handle;

    unsigned status() const noexcept { return *this ? atls_head_status(get()) : 0; }
    std::string_view reason() const & noexcept { return *this ? detail::view(atls_head_reason(get())) : std::string_view(); }
    std::string reason() const && { return std::string(reason()); }
    unsigned minor_version() const noexcept { return *this ? atls_head_minor_version(get()) : 0; }
    std::size_t size() const noexcept { return *this ? atls_head_count(get()) : 0; }
    /** The field at `index`; empty past the end. */
    field operator[](std::size_t index) const & noexcept
    {
        return *this ? field(detail::view(atls_head_name(get(), index)), detail::view(atls_head_value(get(), index))) : field();
    }
    field operator[](std::size_t index) const && = delete;
    /** The value of the first field with this name, in any case; nothing if there is none. */
    std::optional<std::string_view> find(std::string_view name) const &
    {
        const detail::c_text text("name", name);
        const std::size_t at = text.cut() || !*this ? SIZE_MAX : atls_head_find(get(), text, 0);
        return at == SIZE_MAX ? std::nullopt : std::optional(detail::view(atls_head_value(get(), at)));
    }
    std::optional<std::string> find(std::string_view name) const &&
    {
        const auto found = find(name);
        return found ? std::optional(std::string(*found)) : std::nullopt;
    }
    head share() const noexcept { return head(*this ? detail::ref(get()) : nullptr); }
};

/** A list of header fields. A builder; views are valid until it changes. */
class headers : public handle<atls_headers> {
  public:
    using handle::handle;

    static outcome<headers> make(bool preserve_case = true)
    {
        return detail::make<headers>(
            [&](atls_headers **out, atls_error **e) { return atls_headers_new(preserve_case, out, e); });
    }
    outcome<headers> copy() const
    {
        return detail::make<headers>([&](atls_headers **out, atls_error **e) { return atls_headers_copy(get(), out, e); });
    }
    outcome<void> add(std::string_view name, bytes value)
    {
        const detail::c_text text("name", name);
        return detail::done([&](atls_error **e) { return atls_headers_add(get(), text, value, e); }, text);
    }
    outcome<void> set(std::string_view name, bytes value)
    {
        const detail::c_text text("name", name);
        return detail::done([&](atls_error **e) { return atls_headers_set(get(), text, value, e); }, text);
    }
    outcome<void> remove(std::string_view name)
    {
        const detail::c_text text("name", name);
        return detail::done([&](atls_error **e) { return atls_headers_remove(get(), text, e); }, text);
    }
    outcome<void> parse(bytes block)
    {
        return detail::done([&](atls_error **e) { return atls_headers_parse(get(), block, e); });
    }
    outcome<void> add_head(const head &from)
    {
        return detail::done([&](atls_error **e) { return atls_headers_add_head(get(), from.get(), e); });
    }
    std::size_t size() const noexcept { return atls_headers_count(get()); }
    field operator[](std::size_t index) const & noexcept
    {
        return *this ? field(detail::view(atls_headers_name(get(), index)), detail::view(atls_headers_value(get(), index)))
                     : field();
    }
    field operator[](std::size_t index) const && = delete;
    std::optional<std::string_view> find(std::string_view name) const &
    {
        const detail::c_text text("name", name);
        const std::size_t at = text.cut() || !*this ? SIZE_MAX : atls_headers_find(get(), text, 0);
        return at == SIZE_MAX ? std::nullopt : std::optional(detail::view(atls_headers_value(get(), at)));
    }
    std::optional<std::string> find(std::string_view name) const &&
    {
        const auto found = find(name);
        return found ? std::optional(std::string(*found)) : std::nullopt;
    }
    outcome<std::string> serialize() const
    {
        return detail::make_text([&](atls_buf **out, atls_error **e) { return atls_headers_serialize(get(), out, e); });
    }
};

ATLS_HPP_END

#endif
