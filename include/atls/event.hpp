/** \file event.hpp Runtime, queues, and handlers of events. Part of atls.hpp. */
#ifndef ATLS_EVENT_HPP
#define ATLS_EVENT_HPP

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

ATLS_HPP_BEGIN

/** Worker threads of event-driven operations. */
class runtime : public handle<atls_runtime> {
  public:
    using handle::handle;

    static outcome<runtime> make(unsigned workers = 0)
    {
        return detail::make<runtime>([&](atls_runtime **out, atls_error **e) { return atls_runtime_new(workers, out, e); });
    }
    outcome<void> shutdown(timeout limit = timeout::standard())
    {
        return detail::done([&](atls_error **e) { return atls_runtime_shutdown(get(), limit.ms(), e); });
    }
    runtime share() const noexcept { return runtime(*this ? detail::ref(get()) : nullptr); }
};

/**
 * What a program wants to hear of an operation. `H` is the class of its handle; the one that handlers get is theirs to use
 * during the call and, by share(), to keep. It is empty once the program has dropped its own. Set those that you need; the
 * other events are ignored. `closed` comes last, with the reason if it was a failure; only a polled queue that is stopped first discards it. A buffer or a head
 * that is moved from keeps its bytes, without a copy.
 */
template <class H> struct handlers {
    std::function<void(H &)> connected;
    std::function<void(H &, head)> informational;
    /** The response head. */
    std::function<void(H &, head)> response;
    std::function<void(H &, buffer)> data;
    std::function<void(H &, head)> trailers;
    std::function<void(H &)> end;
    std::function<void(H &)> writable;
    std::function<void(H &)> rewind;
    std::function<void(H &)> sent;
    std::function<void(const std::optional<error> &)> closed;
};

namespace detail {

inline std::optional<error> reason_of(const atls_event &event)
{
    if (event.status == ATLS_OK)
        return std::nullopt;
    return error(event.status, ref(event.error));
}

/** The library's side of an operation: what `user_data` points to. */
class sink_base {
  public:
    sink_base() = default;
    sink_base(const sink_base &) = delete;
    sink_base &operator=(const sink_base &) = delete;
    virtual ~sink_base() = default;
    virtual void deliver(const atls_event &event) noexcept = 0;

    /** As `sink.call`, and for events of a polled queue. */
    static void call(void *user_data, const atls_event *event) noexcept
    {
        const bool before = std::exchange(in_handler(), true);
        static_cast<sink_base *>(user_data)->deliver(*event);
        in_handler() = before;
    }
    static void drop(void *user_data) noexcept { delete static_cast<sink_base *>(user_data); }
};

/**
 * Events of a polled queue that this thread has taken and delivers now. Under them the queue stays, since to stop it or to
 * drop its last reference may free the sinks that they go to.
 */
class delivery {
  public:
    explicit delivery(atls_queue *of) noexcept : of_(of ? ref(of) : nullptr), outer_(std::exchange(innermost(), this)) {}
    delivery(const delivery &) = delete;
    delivery &operator=(const delivery &) = delete;
    ~delivery()
    {
        innermost() = outer_;
        if (gone_ && !find(of_.get()))
            atls_queue_stop(of_.get(), nullptr); // as its destructor would have
    }
    /** The queue was destroyed in one of its handlers: no other one may run. */
    bool gone() const noexcept { return gone_; }

    /** That of a queue whose handler this thread is in; NULL if there is none. */
    static delivery *find(const atls_queue *of) noexcept
    {
        delivery *at = innermost();
        while (at && at->of_.get() != of)
            at = at->outer_;
        return at;
    }
    /** For the destructor of the queue; false if the thread is in none of its handlers. */
    static bool give_up(const atls_queue *of) noexcept
    {
        delivery *const own = find(of);
        for (delivery *at = own; at; at = at->outer_)
            at->gone_ |= at->of_.get() == of;
        return own != nullptr;
    }

  private:
    static delivery *&innermost() noexcept
    {
        thread_local delivery *last = nullptr;
        return last;
    }
    handle<atls_queue> of_;
    delivery *outer_;
    bool gone_ = false;
};

/** How an operation ended. Shared by the handle and the library's side. */
class ending {
  public:
    /** What a handler threw. A server's requests share its own. */
    const std::shared_ptr<kept> thrown;
    /** What a body given as a function threw, if the operation has one. */
    std::shared_ptr<kept> of_body;

    ending() : ending(std::make_shared<kept>()) {}
    explicit ending(std::shared_ptr<kept> shared) : thrown(std::move(shared)) {}

    void close(std::optional<error> why) noexcept
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        why_ = std::move(why);
        closed_ = true;
        changed_.notify_all();
    }
    /** The library has dropped the operation, so that no CLOSED will come: its queue was polled, and was stopped or destroyed before. */
    void drop() noexcept
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        dropped_ = !closed_;
        closed_ = true;
        changed_.notify_all();
    }
    outcome<void> wait(timeout limit)
    {
        std::optional<error> why = wait_for(limit);
        thrown->rethrow();
        if (why && why->status() == ATLS_CANCELED && of_body)
            of_body->rethrow();
        return conclude(std::move(why));
    }

  private:
    std::optional<error> wait_for(timeout limit)
    {
        std::unique_lock<std::mutex> lock(mutex_);
        if (!closed_ && in_handler())
            return error(ATLS_WOULD_DEADLOCK, "wait() in a handler would wait for itself");
        const auto is_closed = [this] { return closed_; };
        if (limit.ms() == UINT32_MAX)
            changed_.wait(lock, is_closed);
        else if (!changed_.wait_for(lock, std::chrono::milliseconds(limit.ms() ? limit.ms() : 60000), is_closed))
            return error(ATLS_TIMED_OUT, "wait(): the operation has not ended; it continues");
        if (dropped_)
            return error(ATLS_CANCELED, "the queue was stopped before the end of the operation was taken from it");
        return why_;
    }

    std::mutex mutex_; // guards what follows
    std::condition_variable changed_;
    bool closed_ = false, dropped_ = false;
    std::optional<error> why_;
};

/** A borrowed handle of an event as an object of its own. */
template <class H> H borrow(void *source) noexcept
{
    auto *borrowed = static_cast<typename H::element *>(source);
    return H(borrowed ? ref(borrowed) : nullptr);
}

/** Delivers the events of one operation to its handlers, until one of them throws. */
template <class H> class sink : public sink_base {
  public:
    sink(handlers<H> on, std::shared_ptr<ending> end) : on_(std::move(on)), end_(std::move(end)) {}
    ~sink() override
    {
        on_ = {};
        end_->drop();
    }

    void deliver(const atls_event &event) noexcept override
    {
        if (event.kind == ATLS_EVENT_CLOSED)
            return close(event);
        if (failed_)
            return;
        failed_ = !end_->thrown->guard([&] { hand(event); });
        if (failed_ && event.source)
            borrow<H>(event.source).abandon();
    }

  private:
    void hand(const atls_event &event)
    {
        H source = borrow<H>(event.source);
        switch (event.kind) {
        case ATLS_EVENT_CONNECTED: return give(on_.connected, source);
        case ATLS_EVENT_END: return give(on_.end, source);
        case ATLS_EVENT_WRITABLE: return give(on_.writable, source);
        case ATLS_EVENT_REWIND: return give(on_.rewind, source);
        case ATLS_EVENT_SENT: return give(on_.sent, source);
        case ATLS_EVENT_INFORMATIONAL: return give(on_.informational, source, head(ref(event.head)));
        case ATLS_EVENT_HEAD: return give(on_.response, source, head(ref(event.head)));
        case ATLS_EVENT_TRAILERS: return give(on_.trailers, source, head(ref(event.head)));
        case ATLS_EVENT_DATA: return give(on_.data, source, buffer(ref(event.buf)));
        default: return; // of a later version
        }
    }
    template <class F, class... A> static void give(const F &function, H &source, A &&...arguments)
    {
        if (function)
            function(source, std::forward<A>(arguments)...);
    }
    void close(const atls_event &event) noexcept
    {
        std::optional<error> why = reason_of(event);
        if (!failed_ && on_.closed)
            end_->thrown->guard([&] { on_.closed(why); });
        on_ = {}; // what they hold is gone when wait() returns
        end_->close(std::move(why));
    }

    handlers<H> on_;
    std::shared_ptr<ending> end_;
    bool failed_ = false; // only on the thread that delivers
};

} // namespace detail

/**
 * An event-driven handle, with what becomes of it. Move-only; to drop it cancels it, as atls.h says of the handle, but its
 * handlers may still run until CLOSED or until the queue is destroyed.
 */
template <class H> class operation : public H {
  public:
    operation() noexcept = default;
    operation(H own, std::shared_ptr<detail::ending> end) noexcept : H(std::move(own)), end_(std::move(end)) {}

    /**
     * Waits for CLOSED, after which no handler of it runs any more. Throws what a handler threw; otherwise reports why the
     * operation ended. With a polled queue another thread must take the events.
     *
     * \retval ATLS_WOULD_DEADLOCK in a handler
     * \retval ATLS_CANCELED also if a polled queue was stopped before CLOSED was taken from it; `closed` was not called then
     * \retval ATLS_TIMED_OUT the operation continues
     */
    outcome<void> wait(timeout limit = timeout::none())
    {
        if (!end_)
            return detail::conclude(error(ATLS_INVALID_STATE, "wait() of an empty operation"));
        return end_->wait(limit);
    }

  private:
    std::shared_ptr<detail::ending> end_;
};

/**
 * Delivers events to handlers: on a thread of the library (dispatching), on the thread that calls run() (polled), or at once
 * (inline). Not shared: its destructor stops it and waits, so that no handler runs any more. Only if it is destroyed in one
 * of its own handlers does it not wait: that handler is the last one if the queue is polled, and run() then stops it.
 */
class queue : public handle<atls_queue> {
  public:
    using handle::handle;
    queue() noexcept = default;
    queue(queue &&) noexcept = default;
    /** Stops the former one, as its destructor does. */
    queue &operator=(queue &&other) noexcept
    {
        queue taken(std::move(other));
        swap(taken);
        return *this;
    }
    ~queue()
    {
        if (*this && !detail::delivery::give_up(get()))
            atls_queue_stop(get(), nullptr);
    }
    /** Destroys it now. */
    void reset() noexcept { queue().swap(*this); }

    static outcome<queue> dispatching() { return detail::make<queue>(atls_queue_new_dispatching); }
    static outcome<queue> polled() { return detail::make<queue>(atls_queue_new_polled); }
    static outcome<queue> inlined() { return detail::make<queue>(atls_queue_new_inline); }

    /** atls_queue_fd(): readable while run() has something to do. */
    int fd() const noexcept { return atls_queue_fd(get()); }
    /**
     * Polled: waits for the first event, and calls the handlers of all that are there, on this thread. Returns how many
     * there were; 0 if the time was up, or the queue was stopped. One thread at a time keeps the events of an operation in
     * order.
     */
    outcome<std::size_t> run(timeout limit)
    {
        return taken([&](atls_event *all, std::size_t *count, atls_error **e) {
            return atls_queue_wait(get(), all, sizeof *all, batch, limit.ms(), count, e);
        });
    }
    /** Like run(), without waiting. */
    outcome<std::size_t> run_now()
    {
        return taken([&](atls_event *all, std::size_t *count, atls_error **e) {
            return atls_queue_next(get(), all, sizeof *all, batch, count, e);
        });
    }
    /** \retval ATLS_WOULD_DEADLOCK in one of its own handlers, of whatever kind the queue is */
    outcome<void> stop()
    {
        if (detail::delivery::find(get()))
            return detail::conclude(error(ATLS_WOULD_DEADLOCK, "stop() in a handler would wait for itself"));
        return detail::done([&](atls_error **e) { return atls_queue_stop(get(), e); });
    }

  private:
    static constexpr std::size_t batch = 32;

    template <class F> outcome<std::size_t> taken(F &&take)
    {
        detail::delivery under_way(get()); // a handler may destroy this object
        atls_event all[batch] = {};
        std::size_t count = 0;
        std::optional<error> failure = detail::attempt([&](atls_error **e) { return take(all, &count, e); });
        for (std::size_t i = 0; i < count; i++) {
            // sink_of() put the address there, and it stays valid until the release of CLOSED.
            if (!under_way.gone())
                detail::sink_base::call(reinterpret_cast<void *>(static_cast<std::uintptr_t>(all[i].token)), &all[i]);
            atls_event_release(&all[i]);
        }
        return detail::conclude(std::move(failure), count);
    }
};

namespace detail {

/** Starts an operation whose events go to `base`, which the library owns once the start has succeeded. */
template <class F> std::optional<error> start_with(const queue &on, std::unique_ptr<sink_base> base, F &&start)
{
    const auto token = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(base.get()));
    const atls_sink sink = {on.get(), token, sink_base::call, base.get(), sink_base::drop};
    std::optional<error> failure = start(&sink);
    if (!failure)
        static_cast<void>(base.release());
    return failure;
}

/** Starts an operation: `function(sink, out, error)`. */
template <class H, class F, class... Texts>
outcome<operation<H>> start(const queue &on, handlers<H> handlers_of, std::shared_ptr<kept> of_body, F &&function,
                            const Texts &...texts)
{
    auto end = std::make_shared<ending>();
    end->of_body = std::move(of_body);
    typename H::element *made = nullptr;
    std::optional<error> failure =
        start_with(on, std::make_unique<sink<H>>(std::move(handlers_of), end), [&](const atls_sink *to) {
            return attempt([&](atls_error **e) { return function(to, &made, e); }, texts...);
        });
    return conclude(std::move(failure), operation<H>(H(made), std::move(end)));
}

} // namespace detail

ATLS_HPP_END

#endif
