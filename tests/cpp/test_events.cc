// Handlers of events: their order, what they throw, who waits, and that none runs when it must not.
#include <poll.h>

#include <vector>

#include "world.hpp"

struct Setting {
    atls::runtime runtime = atls::runtime::make(2);
    atls::client client = atls::client::make(runtime, settings());
};

static void events_come_in_order_and_wait_ends_after_the_last()
{
    std::string order;
    const Setting our;
    const auto queue = atls::queue::dispatching();
    atls::handlers<atls::exchange> on;
    on.informational = [&](auto &, atls::head head) { order += std::to_string(head.status()) + " "; };
    on.response = [&](auto &exchange, atls::head head) {
        CHECK(exchange.verdict().trusted());
        order += std::to_string(head.status()) + " ";
    };
    on.data = [&](auto &, atls::buffer piece) { order += piece.string() + " "; };
    on.trailers = [&](auto &, atls::head trailers) { order += std::string(*trailers.find("x-trailer")) + " "; };
    on.end = [&](auto &) { order += "END "; };
    on.closed = [&](const std::optional<atls::error> &why) { order += why ? "failed" : "closed"; };
    auto operation = our.client.start(atls::request::make("GET", url("/early")), queue, on);
    operation.wait();
    CHECK(order == "103 200 body end END closed");
    operation.wait(1ms); // again: the answer stays
}

static void a_refusal_reaches_closed_and_wait()
{
    std::string check;
    const auto runtime = atls::runtime::make(1);
    const auto client = atls::client::make(runtime, settings("wrong-policy.json"));
    const auto queue = atls::queue::dispatching();
    atls::handlers<atls::exchange> on;
    on.response = [](auto &, atls::head) { CHECK(false && "an answer"); };
    on.closed = [&](const std::optional<atls::error> &why) { check = std::string(why.value().check()); };
    auto operation = client.start(atls::request::make("GET", url("/small")), queue, on);
    const atls::error refused = thrown_by([&] { operation.wait(); });
    CHECK(check == "bootchain" && refused.check() == "bootchain" && !refused.verdict().trusted());
    auto connecting = atls::http::connect(runtime, settings("wrong-policy.json", port("HTTP")), queue, {});
    CHECK(thrown_by([&] { connecting.wait(); }).check() == "bootchain");
}

struct Thrown {
    int where;
};

/// Whichever handler throws: the operation ends, no other handler runs, and wait() throws the same.
static void what_a_handler_throws_is_thrown_by_wait()
{
    const Setting our;
    const auto queue = atls::queue::dispatching();
    for (int where = 1; where <= 4; where++) {
        std::atomic<int> after{0}, data{0};
        bool thrown = false;
        const auto step = [&](int here) {
            after += thrown ? 1 : 0;
            if (here == where) {
                thrown = true;
                throw Thrown{here};
            }
        };
        atls::handlers<atls::exchange> on;
        on.response = [&](auto &, atls::head) { step(1); };
        on.data = [&](auto &, atls::buffer) { step(data++ == 0 ? 2 : data == 3 ? 3 : 0); };
        on.closed = [&](const std::optional<atls::error> &) { step(4); };
        const auto path_of = where == 4 ? "/bytes/1000" : "/bytes/50000000";
        auto operation = our.client.start(atls::request::make("GET", url(path_of)), queue, on);
        int caught = 0;
        try {
            operation.wait();
        } catch (const Thrown &it) {
            caught = it.where;
        }
        CHECK(caught == where && after == 0);
        // Once; then the reason why the operation ended.
        if (where == 4)
            operation.wait();
        else
            CHECK(thrown_by([&] { operation.wait(); }).status() == ATLS_CANCELED);
    }
}

static void a_body_that_throws_is_thrown_by_wait()
{
    const Setting our;
    const auto queue = atls::queue::dispatching();
    auto request = atls::request::make("POST", url("/sink"));
    request.set_body_source({[](std::uint8_t *, std::size_t) -> std::size_t { throw Thrown{9}; }, nullptr});
    int caught = 0;
    try {
        our.client.start(request, queue, {}).wait();
    } catch (const Thrown &it) {
        caught = it.where;
    }
    CHECK(caught == 9);
}

/// What handlers refer to is declared before the queue, and so outlives every call.
static void no_handler_runs_after_its_queue()
{
    const Setting our;
    for (int round = 0; round < 25; round++) {
        auto alive = std::make_unique<int>(round);
        std::atomic<int> closed{0};
        std::weak_ptr<int> captured;
        {
            const auto queue = round % 2 ? atls::queue::dispatching() : atls::queue::inlined();
            auto held = std::make_shared<int>(1);
            captured = held;
            atls::handlers<atls::exchange> on;
            on.response = [&](auto &, atls::head) { CHECK(*alive == round); };
            on.data = [&](auto &, atls::buffer) { CHECK(*alive == round); };
            on.closed = [&, held](const std::optional<atls::error> &) { closed += *alive == round ? 1 : 100; };
            held.reset();
            const auto operation = our.client.start(atls::request::make("GET", url("/bytes/3000000")), queue, on);
            std::this_thread::sleep_for(round * 400us);
        }
        alive.reset();
        CHECK(closed == 1 && captured.expired());
    }
}

static void to_drop_an_operation_cancels_it()
{
    const Setting our;
    std::atomic<int> status{-1};
    const auto queue = atls::queue::dispatching();
    atls::handlers<atls::exchange> on;
    on.closed = [&](const std::optional<atls::error> &why) { status = why ? static_cast<int>(why->status()) : 0; };
    our.client.start(atls::request::make("GET", url("/hang")), queue, on);
    for (int i = 0; i < 1000 && status < 0; i++)
        std::this_thread::sleep_for(10ms);
    CHECK(status == ATLS_CANCELED);
}

static void to_wait_in_a_handler_is_refused()
{
    const Setting our;
    std::atomic<int> refused{0};
    atls::operation<atls::exchange> other;
    const auto queue = atls::queue::dispatching();
    other = our.client.start(atls::request::make("GET", url("/hang")), queue, {});
    CHECK(thrown_by([&] { other.wait(20ms); }).status() == ATLS_TIMED_OUT);
    atls::handlers<atls::exchange> on;
    on.response = [&](auto &, atls::head) { refused = thrown_by([&] { other.wait(); }).status(); };
    our.client.start(atls::request::make("GET", url("/small")), queue, on).wait();
    CHECK(refused == ATLS_WOULD_DEADLOCK);
    CHECK(thrown_by([] { atls::operation<atls::exchange>().wait(); }).status() == ATLS_INVALID_STATE);
}

static void a_polled_queue_calls_on_the_thread_that_asks()
{
    const Setting our;
    const std::thread::id here = std::this_thread::get_id();
    Hash received;
    bool closed = false;
    auto queue = atls::queue::polled();
    CHECK(queue.fd() >= 0 && queue.run_now() == 0);
    atls::handlers<atls::exchange> on;
    on.data = [&](auto &, atls::buffer piece) {
        CHECK(std::this_thread::get_id() == here);
        received.add(piece);
    };
    on.closed = [&](const std::optional<atls::error> &why) { closed = !why; };
    auto operation = our.client.start(atls::request::make("GET", url("/bytes/2000000")), queue, on);
    pollfd wanted = {queue.fd(), POLLIN, 0};
    while (!closed) {
        CHECK(poll(&wanted, 1, 20000) == 1);
        queue.run_now();
    }
    CHECK(received.size == 2000000);
    operation.wait(1ms);
    auto last = our.client.start(atls::request::make("GET", url("/small")), queue, {});
    while (queue.run(10s) > 0 && received.size) {
        try {
            last.wait(1ms);
            break;
        } catch (const atls::error &failure) {
            CHECK(failure.status() == ATLS_TIMED_OUT);
        }
    }
    queue.stop();
    CHECK(thrown_by([&] { our.client.start(atls::request::make("GET", url("/small")), queue, {}); }).status() ==
          ATLS_INVALID_STATE);
}

/// Writes as much as is taken, and continues on WRITABLE.
/// To stop it there would free what is running. It is refused, whoever's handler asks, and the queue goes on.
static void a_polled_queue_is_not_stopped_in_its_handler()
{
    const Setting our;
    int refused = 0;
    std::size_t received = 0;
    auto queue = atls::queue::polled();
    auto held = std::make_shared<std::string>("what handlers hold");
    atls::handlers<atls::exchange> on;
    on.response = [&, held](auto &, atls::head) {
        refused += thrown_by([&] { queue.stop(); }).status() == ATLS_WOULD_DEADLOCK;
        CHECK(*held == "what handlers hold");
    };
    on.data = [&](auto &, atls::buffer piece) { received += piece.size(); };
    bool closed = false;
    on.closed = [&, held](const std::optional<atls::error> &) {
        refused += thrown_by([&] { queue.stop(); }).status() == ATLS_WOULD_DEADLOCK;
        closed = *held == "what handlers hold";
    };
    auto operation = our.client.start(atls::request::make("GET", url("/bytes/100000")), queue, on);
    while (!closed)
        queue.run(20s);
    CHECK(refused == 2 && received == 100000);
    // That of another one may.
    auto other = atls::queue::polled();
    atls::handlers<atls::exchange> stopping;
    stopping.response = [&](auto &, atls::head) { other.stop(); };
    stopping.closed = [&](const std::optional<atls::error> &) { closed = false; };
    const auto running = our.client.start(atls::request::make("GET", url("/hang")), other, {});
    auto last = our.client.start(atls::request::make("GET", url("/small")), queue, stopping);
    while (closed)
        queue.run(20s);
    queue.stop();
}

/// Nobody will take CLOSED from it any more: wait() says so in place of waiting for ever, on a thread that waits already too.
static void a_wait_ends_with_its_polled_queue()
{
    const Setting our;
    for (const bool is_destroyed : {false, true}) {
        auto queue = std::make_unique<atls::queue>(atls::queue::polled());
        auto held = std::make_shared<int>(1);
        atls::handlers<atls::exchange> on;
        on.closed = [held](const std::optional<atls::error> &) { CHECK(false); };
        auto operation = our.client.start(atls::request::make("GET", url("/hang")), *queue, std::move(on));
        std::thread waiting([&] { CHECK(thrown_by([&] { operation.wait(); }).status() == ATLS_CANCELED); });
        std::this_thread::sleep_for(20ms);
        if (is_destroyed)
            queue.reset();
        else
            queue->stop();
        waiting.join();
        CHECK(thrown_by([&] { operation.wait(); }).status() == ATLS_CANCELED);
        CHECK(held.use_count() == 1);
    }
}

/// Its handler is the last one, even if more events were taken with it; what it holds stays until it returns.
static void a_polled_queue_may_be_destroyed_in_its_handler()
{
    const Setting our;
    for (int way = 0; way < 3; way++) {
        auto queue = std::make_unique<atls::queue>(atls::queue::polled());
        auto held = std::make_shared<std::string>("what handlers hold");
        const std::weak_ptr<std::string> watched = held;
        int handled = 0;
        atls::handlers<atls::exchange> on;
        on.response = [&, held](auto &, atls::head) {
            handled++;
            std::this_thread::sleep_for(20ms); // more events have come
            if (way == 0)
                queue.reset();
            else if (way == 1)
                queue->reset();
            else
                *queue = atls::queue::polled();
            CHECK(*held == "what handlers hold");
        };
        on.data = [&](auto &, atls::buffer) { handled += 100; };
        on.closed = [&](const std::optional<atls::error> &) { handled += 100; };
        held.reset();
        auto operation = our.client.start(atls::request::make("GET", url("/small")), *queue, on);
        std::this_thread::sleep_for(way * 100ms);
        on = {};
        while (!handled)
            queue->run(20s);
        CHECK(handled == 1 && watched.expired());
    }
}

static void a_queue_survives_an_assignment_of_itself()
{
    const Setting our;
    auto queue = atls::queue::dispatching();
    atls::queue &same = queue;
    queue = std::move(same);
    our.client.start(atls::request::make("GET", url("/small")), queue, {}).wait();
    // Another one's stops it.
    auto held = std::make_shared<int>(1);
    atls::handlers<atls::exchange> on;
    on.closed = [held](const std::optional<atls::error> &) {};
    auto operation = our.client.start(atls::request::make("GET", url("/hang")), queue, std::move(on));
    queue = atls::queue::dispatching();
    CHECK(held.use_count() == 1);
}

/** It writes until there is no room: what comes back waits for this thread, so the server must stop reading. */
static void an_upload_follows_the_room_there_is()
{
    const Setting our;
    const std::string data = noise(3000000, 8);
    std::size_t at = 0;
    int waits = 0;
    Hash sent, received;
    const auto queue = atls::queue::dispatching();
    atls::handlers<atls::exchange> on;
    const auto fill = [&](atls::exchange &exchange) {
        while (waits == 0 || at < data.size()) {
            const std::string_view piece = std::string_view(data).substr(at % data.size(), 50000);
            if (!exchange.write(piece))
                return void(waits++);
            sent.add(piece);
            at += piece.size();
        }
        exchange.finish();
    };
    on.connected = on.writable = fill;
    on.data = [&](auto &, atls::buffer piece) { received.add(piece); };
    auto request = atls::request::make("POST", url("/echo"));
    request.set_body_stream();
    our.client.start(request, queue, on).wait();
    CHECK(waits > 0);
    CHECK(sent == received && sent.size == at && at >= data.size());
}

static void a_stream_returns_what_it_is_given()
{
    const auto runtime = atls::runtime::make(1);
    Hash sent, received;
    const auto queue = atls::queue::dispatching();
    atls::handlers<atls::stream> on;
    on.connected = [&](atls::stream &stream) {
        CHECK(stream.verdict().trusted());
        for (std::uint32_t i = 0; i < 3; i++) {
            const std::string piece = noise(60000, i);
            CHECK(stream.write(atls::buffer::wrap(piece)));
            sent.add(piece);
        }
        stream.finish();
    };
    on.data = [&](auto &, atls::buffer piece) { received.add(piece); };
    on.end = [](atls::stream &stream) { stream.close(); };
    atls::stream::connect(runtime, settings("policy.json", port("RAW")), queue, on).wait();
    CHECK(sent == received && sent.size == 180000);
    atls::handlers<atls::stream> throwing;
    throwing.connected = [](auto &) { throw Thrown{1}; };
    bool caught = false;
    try {
        atls::stream::connect(runtime, settings("policy.json", port("RAW")), queue, throwing).wait();
    } catch (const Thrown &) {
        caught = true;
    }
    CHECK(caught);
}

static void a_connection_is_shared_by_its_requests()
{
    const auto runtime = atls::runtime::make(1);
    std::string text;
    const auto queue = atls::queue::dispatching();
    std::atomic<bool> connected{false};
    atls::handlers<atls::http> on;
    on.connected = [&](auto &) { connected = true; };
    auto http = atls::http::connect(runtime, settings("policy.json", port("HTTP")), queue, on);
    while (!connected)
        std::this_thread::sleep_for(1ms);
    atls::handlers<atls::exchange> read;
    read.data = [&](auto &, atls::buffer piece) { text += piece.text(); };
    for (int i = 0; i < 2; i++)
        http.start(atls::request::make("GET", "/small", "localhost"), queue, read).wait();
    CHECK(text.size() == 200 && http.verdict().trusted());
    http.close();
    CHECK(thrown_by([&] { http.wait(); }).status() == ATLS_CANCELED);
}

TESTS(NULL, NULL, CASE(events_come_in_order_and_wait_ends_after_the_last), CASE(a_refusal_reaches_closed_and_wait),
      CASE(what_a_handler_throws_is_thrown_by_wait), CASE(a_body_that_throws_is_thrown_by_wait),
      CASE(no_handler_runs_after_its_queue), CASE(to_drop_an_operation_cancels_it), CASE(to_wait_in_a_handler_is_refused),
      CASE(a_polled_queue_calls_on_the_thread_that_asks), CASE(a_polled_queue_is_not_stopped_in_its_handler),
      CASE(a_wait_ends_with_its_polled_queue),
      CASE(a_polled_queue_may_be_destroyed_in_its_handler), CASE(a_queue_survives_an_assignment_of_itself),
      CASE(an_upload_follows_the_room_there_is),
      CASE(a_stream_returns_what_it_is_given), CASE(a_connection_is_shared_by_its_requests))
