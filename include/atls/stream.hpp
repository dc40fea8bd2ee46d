/** \file stream.hpp An attested connection that carries bytes. Part of atls.hpp. */
#ifndef ATLS_STREAM_HPP
#define ATLS_STREAM_HPP

ATLS_HPP_BEGIN

/** Blocking or event-driven, as it was connected. */
class stream : public handle<atls_stream> {
  public:
    using handle::handle;

    /** Blocking: connects, attests, judges. */
    static outcome<stream> connect(const config &where)
    {
        return detail::make<stream>(
            [&](atls_stream **out, atls_error **e) { return atls_stream_connect(where.get(), out, e); });
    }
    /** Event-driven. */
    static outcome<operation<stream>> connect(const runtime &by, const config &where, const queue &on, handlers<stream> events)
    {
        return detail::start<stream>(on, std::move(events), nullptr,
                                     [&](const atls_sink *to, atls_stream **out, atls_error **e) {
                                         return atls_stream_connect_start(by.get(), where.get(), to, out, e);
                                     });
    }

    atls::verdict verdict() const noexcept { return atls::verdict(*this ? atls_stream_verdict(get()) : nullptr); }
    /** Blocking: up to `cap` bytes; 0 only at the end. */
    outcome<std::size_t> read(void *to, std::size_t cap, timeout limit = timeout::standard()) const
    {
        std::size_t n = 0;
        auto failure = detail::attempt([&](atls_error **e) {
            return atls_stream_read(get(), static_cast<std::uint8_t *>(to), cap, limit.ms(), &n, e);
        });
        return detail::conclude(std::move(failure), n);
    }
    /** Blocking: the same into a container of bytes. */
    template <class C, class = std::enable_if_t<detail::holds_bytes<C>::value>>
    outcome<std::size_t> read(C &&to, timeout limit = timeout::standard()) const
    {
        return read(std::data(to), std::size(to), limit);
    }
    /** Blocking. */
    outcome<void> write_all(bytes data, timeout limit = timeout::standard()) const
    {
        return detail::done([&](atls_error **e) { return atls_stream_write_all(get(), data, limit.ms(), e); });
    }
    /** Event-driven: false if nothing was taken; WRITABLE follows. */
    outcome<bool> write(bytes data) const
    {
        return taken([&](atls_error **e) { return atls_stream_write(get(), data, e); });
    }
    /** Event-driven: the same without a copy. */
    outcome<bool> write(const buffer &data) const
    {
        return taken([&](atls_error **e) { return atls_stream_write_buf(get(), data.get(), e); });
    }
    /** Ends this direction. */
    outcome<void> finish() const
    {
        return detail::done([&](atls_error **e) { return atls_stream_finish(get(), e); });
    }
    /** Event-driven: more credit. */
    outcome<void> grant(std::uint64_t size) const
    {
        return detail::done([&](atls_error **e) { return atls_stream_grant(get(), size, e); });
    }
    /** In an orderly way. */
    void close() const noexcept { atls_stream_close(get(), nullptr); }
    /** At once, from any thread. Calls of other threads end with CANCELED. */
    void cancel() const noexcept { atls_stream_cancel(get(), nullptr); }
    void abandon() const noexcept { cancel(); }
    stream share() const noexcept { return stream(detail::ref(get())); }

  private:
    template <class F> static outcome<bool> taken(F &&function)
    {
        auto failure = detail::attempt(std::forward<F>(function));
        const bool again = failure && failure->status() == ATLS_AGAIN;
        return detail::conclude(again ? std::nullopt : std::move(failure), !again);
    }
};

ATLS_HPP_END

#endif
