// Blocking calls: an attested answer, refusals with their checks, bodies both ways, and cancellation by another thread.
#include <vector>

#include "world.hpp"

static void an_attested_answer_comes_whole()
{
    const auto client = atls::client::make(settings());
    const auto exchange = client.get_url(url("/early"));
    CHECK(exchange.verdict().trusted() && exchange.verdict().bound_to_session());
    const auto head = exchange.head();
    CHECK(head.status() == 200 && head.reason() == "Quite Fine" && head.find("x-CASE") == "Kept" && head[0].first == "X-Case");
    CHECK(exchange.next_informational().status() == 103 && !exchange.next_informational());
    CHECK(exchange.read_all(100).text() == "body");
    CHECK(exchange.trailers().find("x-trailer") == "end");
    CHECK(exchange.url() == url("/early") && !exchange.reused() && exchange.certificate().size() > 0);
    CHECK(exchange.time(ATLS_EXCHANGE_TIME_ATTEST) > 0us && !exchange.time(static_cast<atls_exchange_time>(99)));
    const auto second = client.get_url(url("/small"));
    CHECK(second.reused() && second.read_all(100).size() == 100 && client.idle_connections() == 1);
}

static void a_refused_server_is_thrown_with_its_checks()
{
    const auto client = atls::client::make(settings("wrong-policy.json"));
    const atls::error refused = thrown_by([&] { client.get_url(url("/small")); });
    CHECK(refused.status() == ATLS_MEASUREMENT_MISMATCH && refused.check() == "bootchain" && refused.phase() == "verify");
    const atls::verdict verdict = refused.verdict();
    CHECK(verdict && !verdict.trusted() && verdict.json() == refused.report_json());
    bool named = false;
    for (const atls::check &check : verdict.checks())
        named = named || (check.outcome == ATLS_CHECK_FAIL && check.expected.find("eeee") != std::string_view::npos);
    CHECK(named);
    const auto other = atls::client::make(settings());
    CHECK(thrown_by([&] { other.get_url(url("/small", "EVIL")); }).check() == "report_data");
}

/// A loop over what a temporary has, which is gone before the loop begins.
static void what_a_temporary_says_stays_readable()
{
    const auto client = atls::client::make(settings());
    std::string names;
    for (const atls::check &check : client.get_url(url("/small")).verdict().checks())
        names += std::string(check.name) + " ";
    CHECK(names.find("report_data ") != std::string::npos && names.find("tls_certificate ") == std::string::npos);
    const auto json = client.get_url(url("/small")).verdict().json();
    const auto length = client.get_url(url("/small")).head().find("content-length");
    CHECK(json.find("\"checks\"") != std::string::npos && length == "100");
    static_assert(std::is_same_v<decltype(json), const std::string>);
    const auto text = client.get_url(url("/small")).read_all(100).text();
    const auto from = client.get_url(url("/small")).url();
    CHECK(text == std::string(100, text[0]) && from == url("/small") && client.get_url(url("/small")).peer().size() > 3);
}

template <class T> using text_of = decltype(std::declval<T>().text());
template <class T> using url_of = decltype(std::declval<T>().url());
template <class T> using exchange_peer = decltype(std::declval<T>().peer());
template <class T> using method_of = decltype(std::declval<T>().method());
template <class T> using target_of = decltype(std::declval<T>().target());
template <class T> using authority_of = decltype(std::declval<T>().authority());
template <class T> using remote_of = decltype(std::declval<T>().remote());
template <class T> using scheme_of = decltype(std::declval<T>().scheme());
template <class T> using message_of = decltype(std::declval<T>().message());
template <class T> using phase_of = decltype(std::declval<T>().phase());
template <class T> using check_of = decltype(std::declval<T>().check());
template <class T> using report_of = decltype(std::declval<T>().report_json());
template <class T> using name_of_part = decltype(std::declval<T>().name());
template <class T> using file_of_part = decltype(std::declval<T>().file_name());
template <class T> using type_of_part = decltype(std::declval<T>().content_type());
template <class T> using file_of_field = decltype(std::declval<T>().file_name(0));
template <class T> using type_of_field = decltype(std::declval<T>().content_type(0));
template <class T> using found_in = decltype(std::declval<T>().find(""));
template <class T> using at_first = decltype(std::declval<T>()[0]);
template <class T> using begin_of = decltype(std::declval<T>().begin());
template <class T> using end_of = decltype(std::declval<T>().end());
template <class T> using data_of_part = decltype(std::declval<T>().data());

template <class T, template <class> class... Asked> constexpr bool copies()
{
    return (std::is_same_v<Asked<T>, std::string> && ...) && (std::is_same_v<Asked<T &>, std::string_view> && ...);
}
template <template <class> class Asked, class T, class = void> struct possible : std::false_type {};
template <template <class> class Asked, class T> struct possible<Asked, T, std::void_t<Asked<T>>> : std::true_type {};

static void no_view_outlives_a_temporary()
{
    static_assert(copies<atls::buffer, text_of>() && copies<atls::exchange, url_of, exchange_peer>());
    static_assert(copies<atls::server_request, method_of, target_of, authority_of, exchange_peer, remote_of, scheme_of>());
    static_assert(copies<atls::error, message_of, phase_of, check_of, report_of, exchange_peer>());
    static_assert(copies<atls::multipart, name_of_part, file_of_part, type_of_part>());
    static_assert(copies<atls::form, file_of_field, type_of_field>());
    static_assert(std::is_same_v<found_in<atls::form>, std::optional<std::string>>);
    static_assert(std::is_same_v<found_in<atls::headers>, std::optional<std::string>>);
    static_assert(possible<at_first, atls::form &>::value && !possible<at_first, atls::form>::value);
    static_assert(possible<at_first, atls::headers &>::value && !possible<at_first, atls::headers>::value);
    using list = atls::verdict::list<atls::check>;
    static_assert(possible<at_first, const list &>::value && !possible<at_first, list>::value);
    static_assert(possible<data_of_part, atls::multipart &>::value && !possible<data_of_part, atls::multipart>::value);
    static_assert(possible<data_of_part, const atls::buffer &>::value && !possible<data_of_part, atls::buffer>::value);
    static_assert(possible<begin_of, const atls::buffer &>::value && !possible<begin_of, atls::buffer>::value);
    static_assert(possible<end_of, const atls::buffer &>::value && !possible<end_of, atls::buffer>::value);
    CHECK(atls::buffer::copy("some").text() == "some");
    std::string copied;
    for (const std::uint8_t byte : atls::buffer::copy("some")) // a loop keeps what it runs over
        copied += static_cast<char>(byte);
    CHECK(copied == "some");
}

static void without_a_policy_nothing_is_sent()
{
    auto config = settings();
    config.clear_policy();
    const auto client = atls::client::make(config);
    CHECK(thrown_by([&] { client.get_url(url("/small")); }).status() == ATLS_POLICY_REQUIRED);
    client.set_policy("localhost", atls::policy::parse(file("policy.json")));
    CHECK(client.get_url(url("/small")).verdict().trusted());
}

static void bodies_stream_both_ways_unchanged()
{
    const auto client = atls::client::make(settings());
    auto request = atls::request::make("POST", url("/echo"));
    request.set_body_stream();
    const auto exchange = client.fetch(request);
    Hash sent, received;
    for (std::uint32_t i = 0; i < 40; i++) {
        const std::string piece = noise(1000 + i * 1777, i);
        exchange.write_all(piece);
        sent.add(piece);
    }
    exchange.finish();
    for (const std::string_view piece : exchange.body())
        received.add(piece);
    CHECK(sent == received && sent.size > 1000000);
    CHECK(exchange.read_all(1).empty());
    // Into a container of one's own, as large as it is.
    const auto again = client.get_url(url("/bytes/100000"));
    std::vector<unsigned char> room(777);
    std::size_t total = 0;
    while (const std::size_t n = again.read(room))
        total += n;
    CHECK(total == 100000);
}

static void a_body_comes_from_functions()
{
    const auto client = atls::client::make(settings());
    auto request = atls::request::make("POST", url("/sink"));
    std::size_t left = 500000;
    const auto read = [&](std::uint8_t *to, std::size_t cap) {
        const std::size_t n = std::min(cap, left);
        std::memset(to, 'y', n);
        left -= n;
        return n;
    };
    request.set_body_source({read, nullptr});
    CHECK(client.fetch(request).read_all(100).text() == "500000" && left == 0);
    CHECK(thrown_by([&] { request.set_body_source({}); }).status() == ATLS_INVALID_ARGUMENT);
}

struct Broken {
    int count;
};

static void what_a_body_throws_is_thrown_by_the_call()
{
    const auto client = atls::client::make(settings());
    auto request = atls::request::make("POST", url("/sink"));
    int calls = 0;
    const auto read = [&calls](std::uint8_t *, std::size_t cap) -> std::size_t {
        if (++calls == 3)
            throw Broken{calls};
        return cap;
    };
    for (const bool by_fetch : {true, false}) {
        int count = calls = 0;
        request.set_body_source({read, nullptr});
        try {
            if (by_fetch)
                client.fetch(request);
            else
                client.open(request).head();
        } catch (const Broken &broken) {
            count = broken.count;
        }
        CHECK(count == 3);
    }
    // And the one who says that there is more than fits is not believed.
    request.set_body_source({[](std::uint8_t *, std::size_t cap) { return cap + 1; }, nullptr});
    CHECK(thrown_by([&] { client.fetch(request); }).status() == ATLS_CANCELED);
    CHECK(client.get_url(url("/small")).read_all(100).size() == 100);
}

static void lines_come_as_they_are()
{
    const auto client = atls::client::make(settings());
    std::size_t number = 0;
    for (const std::string_view line : client.get_url(url("/numbers")).lines()) {
        char wanted[16];
        std::snprintf(wanted, sizeof wanted, "%07zu", number++);
        CHECK(line == wanted);
    }
    CHECK(number == 20000);
    auto request = atls::request::make("POST", url("/echo"));
    request.set_body("a\r\n\nb\rc\n\r\nlast");
    std::string joined;
    for (const std::string_view line : client.fetch(request).lines())
        joined += std::string(line) + "|";
    CHECK(joined == "a||b\rc||last|");
    const auto long_one = client.get_url(url("/bytes/100000"));
    CHECK(thrown_by([&] { for (const auto line : long_one.lines(1000)) static_cast<void>(line); }).status() == ATLS_BODY_TOO_LARGE);
}

/// At a moment of its own in each round: in DNS, TCP, TLS, evidence, the wait for an answer that never comes.
static void another_thread_cancels()
{
    for (int round = 0; round < 30; round++) {
        const auto client = atls::client::make(settings());
        const auto exchange = client.open(atls::request::make("GET", url("/hang")));
        std::thread other([ours = exchange.share(), round] {
            std::this_thread::sleep_for(round * 1ms);
            ours.cancel();
        });
        const auto begun = std::chrono::steady_clock::now();
        CHECK(thrown_by([&] { exchange.head(30s); }).status() == ATLS_CANCELED);
        CHECK(std::chrono::steady_clock::now() - begun < 20s);
        other.join();
    }
    const auto client = atls::client::make(settings());
    const auto exchange = client.get_url(url("/bytes/300000000"));
    std::thread other([ours = exchange.share()] {
        std::this_thread::sleep_for(20ms);
        ours.cancel();
    });
    CHECK(thrown_by([&] { for (const auto piece : exchange.body()) static_cast<void>(piece); }).status() == ATLS_CANCELED);
    other.join();
}

static void time_runs_out_and_nothing_is_lost()
{
    const auto client = atls::client::make(settings());
    auto request = atls::request::make("GET", url("/hang"));
    request.set_timeout(200ms);
    const atls::error late = thrown_by([&] { client.fetch(request); });
    CHECK(late.status() == ATLS_TIMED_OUT && late.detail() == ATLS_DETAIL_HEAD_TIMEOUT);
    auto talk = atls::request::make("POST", url("/v1/chat/completions?pause=300"));
    talk.set_body(R"({"messages":[{"role":"user","content":"one"}]})");
    const auto exchange = client.fetch(talk);
    std::string text;
    int timeouts = 0;
    char room[4096];
    for (;;) {
        try {
            const std::size_t n = exchange.read(room, sizeof room, 50ms);
            if (n == 0)
                break;
            text.append(room, n);
        } catch (const atls::error &failure) {
            CHECK(failure.status() == ATLS_TIMED_OUT && failure.detail() == ATLS_DETAIL_CALL_TIMEOUT);
            timeouts++;
        }
    }
    CHECK(timeouts > 3 && text.find("\"You \"") != std::string::npos && text.find("[DONE]") != std::string::npos);
}

static void one_connection_carries_requests_in_turn()
{
    const auto http = atls::http::connect(settings("policy.json", port("HTTP")));
    CHECK(http.verdict().trusted() && http.ready());
    auto request = atls::request::make("POST", "/echo", "localhost");
    request.add_header("X-Mine", "1");
    request.set_body(atls::buffer::copy("hello"));
    for (int i = 0; i < 3; i++)
        CHECK(http.fetch(request).read_all(10).text() == "hello");
    const auto exchange = http.fetch(request);
    CHECK(thrown_by([&] { exchange.read_all(2); }).status() == ATLS_BODY_TOO_LARGE);
}

static void a_raw_stream_returns_what_it_is_given()
{
    const auto stream = atls::stream::connect(settings("policy.json", port("RAW")));
    CHECK(stream.verdict().trusted());
    const std::string data = noise(2000000, 5);
    std::thread writer([ours = stream.share(), &data] {
        ours.write_all(data, 30s);
        ours.finish();
    });
    Hash sent, received;
    sent.add(data);
    std::vector<char> room(70000);
    while (const std::size_t n = stream.read(room))
        received.add({room.data(), n});
    writer.join();
    CHECK(sent == received);
    std::thread other([ours = stream.share()] { ours.cancel(); });
    other.join();
    CHECK(thrown_by([&] { atls::stream::connect(settings("wrong-policy.json", port("RAW"))); }).check() == "bootchain");
}

static void names_are_resolved_by_a_function()
{
    auto config = settings("policy.json");
    std::atomic<int> asked{0};
    config.set_resolver([&](std::string_view host) -> std::vector<std::string> {
        asked++;
        if (host == "localhost")
            return {"127.0.0.1"};
        throw std::runtime_error("no such host");
    });
    const auto client = atls::client::make(config);
    CHECK(client.get_url(url("/small")).read_all(100).size() == 100 && asked > 0);
    CHECK(thrown_by([&] { client.get_url("https://other.example/"); }).status() == ATLS_DNS);
}

TESTS(NULL, NULL, CASE(an_attested_answer_comes_whole), CASE(a_refused_server_is_thrown_with_its_checks),
      CASE(what_a_temporary_says_stays_readable), CASE(without_a_policy_nothing_is_sent), CASE(bodies_stream_both_ways_unchanged), CASE(a_body_comes_from_functions),
      CASE(what_a_body_throws_is_thrown_by_the_call), CASE(lines_come_as_they_are), CASE(no_view_outlives_a_temporary),
      CASE(another_thread_cancels),
      CASE(time_runs_out_and_nothing_is_lost), CASE(one_connection_carries_requests_in_turn),
      CASE(a_raw_stream_returns_what_it_is_given), CASE(names_are_resolved_by_a_function))
