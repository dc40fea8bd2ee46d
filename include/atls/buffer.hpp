/** \file buffer.hpp Bytes, borrowed and owned. Part of atls.hpp. */
#ifndef ATLS_BUFFER_HPP
#define ATLS_BUFFER_HPP

#include <cstddef>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

ATLS_HPP_BEGIN

namespace detail {

template <class C> using data_of = decltype(std::data(std::declval<C &>()));

/** A container whose elements lie one after the other and have the size of a byte: vector, array, span, .. */
template <class C, class = void> struct holds_bytes : std::false_type {};
template <class C>
struct holds_bytes<C, std::enable_if_t<std::is_pointer_v<data_of<C>> && sizeof(*std::declval<data_of<C>>()) == 1>>
    : std::is_trivially_copyable<std::remove_pointer_t<data_of<C>>> {};

} // namespace detail

/** Bytes that something else owns: for the time of a call. Made of text and of any container of bytes. */
class bytes {
  public:
    constexpr bytes() noexcept = default;
    bytes(const void *data, std::size_t size) noexcept : it_(atls_bytes_of(data, size)) {}
    bytes(std::string_view text) noexcept : it_(atls_bytes_of(text.data(), text.size())) {}
    bytes(const std::string &text) noexcept : it_(atls_bytes_of(text.data(), text.size())) {}
    bytes(const char *text) noexcept : it_(atls_bytes_of_text(text)) {}
    template <class C, class = std::enable_if_t<detail::holds_bytes<const C>::value && !std::is_array_v<C> &&
                                                !std::is_convertible_v<const C &, std::string_view>>>
    bytes(const C &container) noexcept : it_(atls_bytes_of(std::data(container), std::size(container)))
    {
    }

    const std::uint8_t *data() const noexcept { return it_.ptr; }
    std::size_t size() const noexcept { return it_.len; }
    operator atls_bytes() const noexcept { return it_; }

  private:
    atls_bytes it_ = {nullptr, 0};
};

/** Immutable bytes, shared and never copied. */
class buffer : public handle<atls_buf> {
  public:
    using handle::handle;

    static outcome<buffer> copy(bytes data)
    {
        return detail::make<buffer>([&](atls_buf **out, atls_error **e) { return atls_buf_copy(data, out, e); });
    }
    /** Moves a container here and lets the library read it in its place. It is destroyed on whatever thread drops it. */
    template <class C> static outcome<buffer> wrap(C container)
    {
        auto kept = std::make_unique<C>(std::move(container));
        const bytes data(*kept);
        auto made = detail::make<buffer>([&](atls_buf **out, atls_error **e) {
            return atls_buf_wrap(data, [](void *user) { delete static_cast<C *>(user); }, kept.get(), out, e);
        });
#ifdef ATLS_NO_EXCEPTIONS
        if (!made)
            return made;
#endif
        static_cast<void>(kept.release()); // the buffer's now
        return made;
    }

    /** Valid as long as the buffer; so are begin() and end(). A temporary's would not last: keep the buffer, or copy its text(). */
    const std::uint8_t *data() const & noexcept { return *this ? atls_buf_data(get()) : nullptr; }
    const std::uint8_t *data() const && = delete;
    std::size_t size() const noexcept { return atls_buf_len(get()); }
    bool empty() const noexcept { return size() == 0; }
    const std::uint8_t *begin() const & noexcept { return data(); }
    const std::uint8_t *begin() const && = delete;
    const std::uint8_t *end() const & noexcept { return data() + size(); }
    const std::uint8_t *end() const && = delete;
    /** The bytes as text. Valid as long as the buffer. */
    std::string_view text() const & noexcept { return {reinterpret_cast<const char *>(data()), size()}; }
    /** Of a temporary: a copy. */
    std::string text() const && { return std::string(text()); }
    std::string string() const { return std::string(text()); }
    buffer share() const noexcept { return buffer(detail::ref(get())); }
};

namespace detail {

/** A call that creates text. */
template <class F, class... Texts> outcome<std::string> make_text(F &&function, const Texts &...texts)
{
    buffer made;
    std::optional<error> failure = attempt(
        [&](atls_error **e) {
            atls_buf *raw = nullptr;
            const atls_status status = function(&raw, e);
            made = buffer(raw);
            return status;
        },
        texts...);
    return conclude(std::move(failure), made.string());
}

} // namespace detail

ATLS_HPP_END

#endif
