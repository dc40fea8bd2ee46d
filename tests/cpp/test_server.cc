// Both ends in C++: a server that proves itself, streams, and survives what its handlers throw.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "world.hpp"

struct Thrown {};

/// A server of the simulated guest, and what clients of it need.
class Served {
  public:
    Served(const atls::runtime &runtime, const atls::queue &queue, atls::server_handlers on)
    {
        auto config = atls::server_config::make();
        config.set_certificate(file("peer.pem"), file("peer-key.pem"));
        config.set_dstack_agent(path("agent.sock"));
        server = atls::server::start(runtime, config, queue, std::move(on));
        port_ = server.listen("127.0.0.1", 0);
    }
    atls::http connect(const std::string &policy = "policy.json") const { return atls::http::connect(settings(policy, port_)); }
    std::string url(const std::string &at) const { return "https://localhost:" + std::to_string(port_) + at; }

    atls::operation<atls::server> server;

  private:
    std::uint16_t port_ = 0;
};

static unsigned status_of(const atls::http &http, const std::string &path)
{
    const auto exchange = http.fetch(atls::request::make("GET", path, "localhost"));
    const unsigned status = exchange.head().status();
    exchange.read_all(1000);
    return status;
}

/// Nobody will take the server's CLOSED from the queue any more.
static void a_wait_for_a_server_ends_with_its_polled_queue()
{
    const auto runtime = atls::runtime::make(1);
    auto queue = atls::queue::polled();
    auto held = std::make_shared<int>(1);
    atls::server_handlers on;
    on.request = [held](const atls::server_request &) {};
    Served our(runtime, queue, std::move(on));
    std::thread waiting([&] { CHECK(thrown_by([&] { our.server.wait(); }).status() == ATLS_CANCELED); });
    std::this_thread::sleep_for(20ms);
    queue.stop();
    waiting.join();
    CHECK(held.use_count() == 1);
}

static void an_attested_round_trip_streams_both_ways()
{
    const auto runtime = atls::runtime::make(2);
    Hash received;
    std::string seen;
    const auto queue = atls::queue::dispatching();
    const Served our(runtime, queue, {[&](atls::server_request request) {
        CHECK(request.secure() && request.scheme() == "https" && !request.verdict());
        seen = std::string(request.method()) + " " + std::string(request.target()) + " " +
               std::string(request.head().find("x-mine").value_or("none"));
        atls::handlers<atls::server_request> on;
        // What was received goes back, as it comes; what finds no room waits here.
        auto waiting = std::make_shared<std::string>();
        auto ended = std::make_shared<bool>(false);
        const auto flush = [waiting, ended](atls::server_request &to) {
            while (!waiting->empty()) {
                const std::string piece = waiting->substr(0, 30000);
                if (!to.write(piece))
                    return;
                waiting->erase(0, piece.size());
            }
            if (*ended)
                to.finish();
        };
        on.data = [&received, waiting, flush](auto &to, atls::buffer piece) {
            received.add(piece);
            waiting->append(piece.text());
            flush(to);
        };
        on.end = [ended, flush](auto &to) {
            *ended = true;
            flush(to);
        };
        on.writable = flush;
        request.start(runtime, queue, on);
        auto fields = atls::headers::make();
        fields.add("X-Theirs", "2");
        request.send_head(200, fields);
    }, nullptr, nullptr});

    const auto http = our.connect();
    CHECK(http.verdict().trusted() && http.verdict().bound_to_session());
    auto request = atls::request::make("POST", "/copy?q", "localhost");
    request.add_header("X-Mine", "1");
    request.set_body_stream();
    const auto exchange = http.fetch(request);
    Hash sent, returned;
    std::thread reader([ours = exchange.share(), &returned] {
        for (const std::string_view piece : ours.body())
            returned.add(piece);
    });
    for (std::uint32_t i = 0; i < 60; i++) {
        const std::string piece = noise(33333, i);
        exchange.write_all(piece);
        sent.add(piece);
    }
    exchange.finish();
    reader.join();
    CHECK(exchange.head().find("x-theirs") == "2" && seen == "POST /copy?q 1");
    CHECK(sent == received && sent == returned && sent.size == 60 * 33333);
    CHECK(thrown_by([&] { our.connect("wrong-policy.json"); }).check() == "bootchain");
    CHECK(our.server.count(ATLS_SERVER_COUNT_REQUESTS) == 1);
}

static void what_handlers_throw_ends_their_request_only()
{
    const auto runtime = atls::runtime::make(1);
    const auto queue = atls::queue::dispatching();
    Served our(runtime, queue, {[&](atls::server_request request) {
        if (request.target() == "/throw")
            throw Thrown();
        atls::handlers<atls::server_request> on;
        if (request.target() == "/later")
            on.end = [](auto &) { throw Thrown(); };
        if (request.target() == "/midway")
            on.end = [](auto &to) {
                to.write("half of it");
                throw Thrown();
            };
        const bool ends_here = request.target() == "/started";
        const bool midway = request.target() == "/midway";
        const bool good = request.target() == "/good";
        request.start(runtime, queue, on);
        if (ends_here)
            throw Thrown();
        if (midway)
            request.send_head(200);
        if (good)
            request.respond(204);
    }, nullptr, nullptr});
    for (const char *target : {"/throw", "/started", "/later"})
        CHECK(status_of(our.connect(), target) == 500);
    const auto http = our.connect();
    const atls::error cut = thrown_by([&] { status_of(http, "/midway"); });
    CHECK(cut.status() == ATLS_TRUNCATED || cut.status() == ATLS_IO || cut.status() == ATLS_HTTP_PROTOCOL);
    CHECK(status_of(our.connect(), "/good") == 204);
    our.server.stop();
    bool caught = false;
    try {
        our.server.wait();
    } catch (const Thrown &) {
        caught = true;
    }
    CHECK(caught);
    our.server.wait(); // the others of its kind are not kept
}

static void a_request_that_is_not_started_is_a_500()
{
    const auto runtime = atls::runtime::make(1);
    const auto queue = atls::queue::dispatching();
    Served our(runtime, queue, {[](atls::server_request) {}, nullptr, nullptr});
    CHECK(status_of(our.connect(), "/") == 500);
    our.server.close();
    our.server.wait();
}

static void a_client_without_evidence_is_refused()
{
    const auto runtime = atls::runtime::make(1);
    std::atomic<int> refused{0}, served{0}, closed{0};
    const auto queue = atls::queue::dispatching();
    auto config = atls::server_config::make();
    config.set_certificate(file("peer.pem"), file("peer-key.pem"));
    auto trust = atls::verifier_config::make();
    trust.set_simulated_root(file("root.der"));
    config.set_client_policy(atls::policy::parse(file("peer-policy.json")), trust.build());
    auto server = atls::server::start(runtime, config, queue, {
        [&](atls::server_request request) {
            CHECK(request.verdict().trusted());
            served++;
            request.start(runtime, queue, {});
            request.respond(200, "for your eyes");
        },
        [&](const atls::error &why) { refused += why.status() != ATLS_OK && !why.peer().empty(); },
        [&](const std::optional<atls::error> &why) { closed += !why; },
    });
    const std::uint16_t at = server.listen("127.0.0.1", 0);
    auto plain = atls::config::make("localhost", at);
    plain.set_unattested();
    plain.add_root_pem(file("web-ca.pem"));
    CHECK(status_of(atls::http::connect(plain), "/") == 403);
    plain.set_dstack_agent(path("peer-agent.sock"));
    CHECK(status_of(atls::http::connect(plain), "/") == 200);
    CHECK(refused == 1 && served == 1);
    server.drain(2s);
    server.wait();
    CHECK(closed == 1);
}

static void evidence_comes_from_a_function_or_not_at_all()
{
    const auto runtime = atls::runtime::make(1);
    std::atomic<int> asked{0};
    const auto queue = atls::queue::dispatching();
    for (const bool throws : {true, false}) {
        auto config = atls::server_config::make();
        config.set_certificate(file("peer.pem"), file("peer-key.pem"));
        config.set_evidence_source("tdx", [&, throws](atls::bytes binder, bool) -> std::string {
            asked += binder.size() == 64;
            if (throws)
                throw Thrown();
            return {};
        });
        auto server = atls::server::start(runtime, config, queue, {});
        const auto connect = [&] { atls::http::connect(settings("strict-policy.json", server.listen("127.0.0.1", 0))); };
        CHECK(thrown_by(connect).status() == ATLS_NO_EVIDENCE);
    }
    CHECK(asked >= 2);
}

/// Sends this over TCP, ends its direction, and returns all of the answer.
static std::string ask(std::uint16_t at, const std::string &text)
{
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(at);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fd, reinterpret_cast<sockaddr *>(&to), sizeof to) == 0);
    CHECK(send(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()) && shutdown(fd, SHUT_WR) == 0);
    std::string answer;
    char room[1000];
    for (ssize_t n; (n = recv(fd, room, sizeof room, 0)) > 0;)
        answer.append(room, static_cast<std::size_t>(n));
    close(fd);
    return answer;
}

static void a_request_becomes_a_stream()
{
    const auto runtime = atls::runtime::make(1);
    atls::operation<atls::stream> upgraded;
    const auto queue = atls::queue::dispatching();
    auto config = atls::server_config::make();
    auto server = atls::server::start(runtime, config, queue, {[&](atls::server_request request) {
        CHECK(request.method() == "CONNECT" && request.target() == "a.example:1");
        request.start(runtime, queue, {});
        atls::handlers<atls::stream> echo;
        echo.data = [](atls::stream &to, atls::buffer piece) { CHECK(to.write(piece)); };
        echo.end = [](atls::stream &to) { to.close(); };
        upgraded = request.upgrade(runtime, 200, {}, queue, echo);
    }, nullptr, nullptr});
    const std::uint16_t at = server.listen("127.0.0.1", 0);
    CHECK(ask(at, "CONNECT a.example:1 HTTP/1.1\r\nHost: a.example:1\r\n\r\nhello").find("\r\n\r\nhello") != std::string::npos);
    upgraded.wait();
}

/// A line of which a part has come is neither lost nor read as two.
static void a_line_survives_a_timeout()
{
    const auto runtime = atls::runtime::make(2);
    const auto queue = atls::queue::dispatching();
    const Served our(runtime, queue, {[&](atls::server_request request) {
        atls::handlers<atls::server_request> on;
        on.data = [](auto &to, atls::buffer piece) { CHECK(to.write(piece)); };
        on.end = [](auto &to) { to.finish(); };
        request.start(runtime, queue, on);
        request.send_head(200);
    }, nullptr, nullptr});
    const auto http = our.connect();
    auto request = atls::request::make("POST", "/", "localhost");
    request.set_body_stream(ATLS_LENGTH_UNKNOWN);
    const auto exchange = http.open(request);
    exchange.write_all("first\npart");
    CHECK(exchange.head().status() == 200);
    auto lines = exchange.lines(100, 1s);
    auto at = lines.begin();
    CHECK(*at == "first");
    for (int round = 0; round < 2; round++)
        CHECK(thrown_by([&] { ++at; }).status() == ATLS_TIMED_OUT);
    exchange.write_all("ial\nnext");
    exchange.finish();
    ++at;
    CHECK(*at == "partial");
    ++at;
    CHECK(*at == "next");
    ++at;
    CHECK(at == lines.end());
}

TESTS(NULL, NULL, CASE(an_attested_round_trip_streams_both_ways), CASE(a_wait_for_a_server_ends_with_its_polled_queue),
      CASE(what_handlers_throw_ends_their_request_only),
      CASE(a_request_that_is_not_started_is_a_500), CASE(a_client_without_evidence_is_refused),
      CASE(evidence_comes_from_a_function_or_not_at_all), CASE(a_request_becomes_a_stream),
      CASE(a_line_survives_a_timeout))
