// What needs no connection: ownership, errors, text and bytes, durations, offline verification.
#include <array>
#include <vector>

#include "world.hpp"

// Move-only, and nothing that is moved can throw.
template <class T> constexpr bool owns = !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T> &&
                                         std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T> &&
                                         std::is_nothrow_default_constructible_v<T>;
static_assert(owns<atls::buffer> && owns<atls::policy> && owns<atls::verdict> && owns<atls::ear> && owns<atls::runtime>);
static_assert(owns<atls::queue> && owns<atls::config> && owns<atls::stream> && owns<atls::head> && owns<atls::headers>);
static_assert(owns<atls::request> && owns<atls::http> && owns<atls::exchange> && owns<atls::client_limits>);
static_assert(owns<atls::client> && owns<atls::server_config> && owns<atls::server> && owns<atls::server_request>);
static_assert(owns<atls::form> && owns<atls::multipart> && owns<atls::tunnel_config> && owns<atls::verification>);
static_assert(owns<atls::verifier_config> && owns<atls::verifier> && owns<atls::operation<atls::exchange>>);
static_assert(owns<atls::handle<atls_h1_conn>> && owns<atls::handle<atls_h1_driver>>);
static_assert(std::is_nothrow_copy_constructible_v<atls::error>);

static void a_wrong_policy_names_the_field()
{
    const atls::error failure = thrown_by([] { atls::policy::parse("{}"); });
    CHECK(failure.status() == ATLS_POLICY_INVALID && failure.name() == "POLICY_INVALID");
    CHECK(failure.message().find("policy.type") != std::string_view::npos);
    CHECK(failure.what() == failure.message() && failure.detail() == 0);
    CHECK(!failure.verdict() && failure.check().empty() && !failure.verdict().trusted());
}

static void text_with_a_nul_is_refused()
{
    using namespace std::string_view_literals;
    const atls::error host = thrown_by([] { atls::config::make("evil.example\0.llm.example"sv, 443); });
    CHECK(host.status() == ATLS_INVALID_ARGUMENT && host.message() == "host: has a NUL byte");
    auto config = atls::config::make();
    CHECK(thrown_by([&] { config.add_root_pem("a\0b"sv); }).message() == "pem: has a NUL byte");
    CHECK(thrown_by([&] { config.set_key_log([](std::string_view) {}, "secrets\0"sv); }).message() == "words: has a NUL byte");
    CHECK(thrown_by([] { atls::request::make("GET", "https://a/\0b"sv); }).message() == "url: has a NUL byte");
    auto fields = atls::headers::make();
    CHECK(thrown_by([&] { fields.add("x\0y"sv, "1"); }).message() == "name: has a NUL byte");
    CHECK(!fields.find("x\0y"sv) && fields.size() == 0);
}

static void errors_are_copied_and_share_what_is_known()
{
    atls::error first = thrown_by([] { atls::policy::parse("["); });
    const std::string message(first.message());
    atls::error second(first), third(ATLS_OK, nullptr);
    third = second;
    first = atls::error(ATLS_BUSY, "another");
    CHECK(second.message() == message && third.message() == message && second.get() == third.get());
    CHECK(first.message() == "another" && first.status() == ATLS_BUSY);
    const atls::error moved(std::move(second));
    CHECK(moved.message() == message);
    CHECK(atls::error(ATLS_TIMED_OUT, nullptr).message() == "TIMED_OUT");
}

static void handles_move_and_are_empty_then()
{
    atls::policy policy = atls::policy::parse(R"({"type":"nitro","pcrs":{"0":[")" + std::string(96, 'a') + R"("]}})");
    atls_policy *raw = policy.get();
    atls::policy other = std::move(policy);
    CHECK(!policy && other.get() == raw); // NOLINT: what a move leaves is a promise
    auto config = atls::config::make();
    CHECK(thrown_by([&] { config.set_policy(policy); }).status() == ATLS_NULL_ARGUMENT);
    config.set_policy(other);
    other = other.share();
    CHECK(other.get() == raw);
    atls_policy *given = other.release();
    CHECK(!other && given == raw);
    other = atls::policy(given);
    other.reset();
    CHECK(!other);
    const atls::verdict none;
    CHECK(!none.trusted() && none.checks().empty() && none.json().empty() && !none.bound_to_session());
    const atls::head nothing;
    CHECK(nothing.size() == 0 && nothing[0].first.empty() && !nothing.find("x") && !atls::head().find("x"));
    CHECK(atls::exchange().url().empty() && !atls::exchange().verdict() && !atls::exchange().share());
    atls::exchange().cancel();
}

struct Counted : std::vector<unsigned char> {
    std::shared_ptr<int> alive = std::make_shared<int>(0);
    Counted() : std::vector<unsigned char>(100000, 7) {}
};

static void a_buffer_wraps_without_a_copy_and_frees_once()
{
    Counted data;
    const unsigned char *where = data.data();
    const std::weak_ptr<int> alive = data.alive;
    atls::buffer wrapped = atls::buffer::wrap(std::move(data));
    data.alive.reset();
    CHECK(wrapped.data() == where && wrapped.size() == 100000 && *wrapped.begin() == 7);
    atls::buffer second = wrapped.share();
    wrapped.reset();
    CHECK(!alive.expired() && second.data() == where);
    second.reset();
    CHECK(alive.expired());
    CHECK(atls::buffer::copy("abc").text() == "abc" && atls::buffer().empty() && atls::buffer::copy({}).string().empty());
}

static void bytes_are_made_of_containers()
{
    const std::array<std::byte, 2> some{std::byte{1}, std::byte{2}};
    const std::vector<char> more{'a', 'b', 'c'};
    const std::string text = "abcd";
    CHECK(atls::bytes(some).size() == 2 && atls::bytes(some).data()[1] == 2);
    CHECK(atls::bytes(more).size() == 3 && atls::bytes(text).size() == 4 && atls::bytes("hello").size() == 5);
    CHECK(atls::bytes().size() == 0);
    static_assert(!std::is_convertible_v<std::vector<int>, atls::bytes>);
}

static void durations_round_up_and_never_become_the_default()
{
    CHECK(atls::timeout(0ms).ms() == 1 && atls::timeout(-5s).ms() == 1 && atls::timeout(1ns).ms() == 1);
    CHECK(atls::timeout(1500us).ms() == 2 && atls::timeout(2ms).ms() == 2 && atls::timeout(3s).ms() == 3000);
    CHECK(atls::timeout(1h * 24 * 365).ms() == UINT32_MAX - 1 && atls::timeout::none().ms() == UINT32_MAX);
    CHECK(atls::timeout::standard().ms() == 0 && atls::timeout(std::chrono::hours::max()).ms() == UINT32_MAX - 1);
}

static atls::verdict judge(const std::string &policy, std::uint64_t time)
{
    auto question = atls::verification::make();
    question.set_quote(file("quote.bin"), file("log.json"));
    question.set_collateral_json(file("collateral.json"));
    question.set_policy(atls::policy::parse(policy));
    question.set_time(time);
    question.skip_binding();
    question.set_simulated_root(file("root.der"));
    return question.verify();
}

static void a_verdict_has_its_checks_and_a_draft_that_holds()
{
    const auto now = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(
        std::chrono::system_clock::now().time_since_epoch()).count());
    const atls::verdict good = judge(file("policy.json"), now), bad = judge(file("wrong-policy.json"), now);
    CHECK(good.trusted() && !good.bound_to_session() && good.trust_anchor() == "simulated" && good.tee_type() == "tdx");
    CHECK(good.tcb_status() == "UpToDate" && good.json().find("\"version\"") != std::string_view::npos);
    CHECK(!bad.trusted() && bad.status() == ATLS_MEASUREMENT_MISMATCH);
    std::string failed;
    for (const atls::check &each : bad.checks())
        if (each.outcome == ATLS_CHECK_FAIL)
            failed += std::string(each.name) + " ";
    CHECK(failed == "bootchain " && bad.checks().size() == atls_verdict_check_count(bad.get()));
    CHECK(good.draft_policy().find("\"type\"") != std::string::npos);
    auto report = atls::ear::make(good, now);
    report.set_nonce("12345678");
    CHECK(report.claims().find("\"eat_nonce\"") != std::string::npos);
    CHECK(thrown_by([&] { report.sign("not a key"); }).status() == ATLS_INVALID_ARGUMENT);
    // Nothing to judge is not a verdict.
    CHECK(thrown_by([] { atls::verification::make().verify(); }).status() == ATLS_INVALID_STATE);
}

static void fields_and_forms_are_read_as_they_are()
{
    auto fields = atls::headers::make();
    fields.add("X-One", "1");
    fields.add("x-two", "2");
    fields.set("x-one", "3");
    CHECK(fields.size() == 2 && fields.find("X-ONE") == "3" && !fields.find("none") && fields.find("X-Two") == "2");
    CHECK(thrown_by([&] { fields.add("bad name", "1"); }).status() == ATLS_HTTP_HEADER_INVALID);
    const auto same = fields.copy();
    fields.remove("x-two");
    CHECK(same.size() == 2 && fields.size() == 1 && same.serialize().find("x-two: 2\r\n") != std::string::npos);
    const auto form = atls::form::parse_query("a=1&b=two+words&a=%32");
    CHECK(form.size() == 3 && form.find("b") == "two words" && form[2].second == "2" && !form.find("c"));
    auto parts = atls::multipart::make("multipart/form-data; boundary=B");
    parts.receive("--B\r\nContent-Disposition: form-data; name=f; filename=n.txt\r\n\r\nbody\r\n--B--\r\n");
    parts.receive_eof();
    CHECK(parts.next() == ATLS_MULTIPART_PART && parts.name() == "f" && parts.file_name() == "n.txt");
    CHECK(parts.next() == ATLS_MULTIPART_DATA && parts.data() == "body");
}

static void a_log_ends_when_it_is_told_and_may_throw()
{
    static std::atomic<int> lines{0};
    atls::set_log(ATLS_LOG_DEBUG, [](atls_log_level, std::string_view) {
        lines++;
        throw std::string("not an error of anybody");
    });
    auto config = atls::config::make("127.0.0.1", 1);
    config.set_unattested();
    CHECK(thrown_by([&] { atls::http::connect(config); }).status() == ATLS_IO);
    CHECK(lines > 0);
    atls::set_log(ATLS_LOG_OFF, nullptr);
    const int before = lines;
    CHECK(thrown_by([&] { atls::http::connect(config); }).os_errno() != 0);
    CHECK(lines == before);
}

static void a_function_without_a_method_can_be_called()
{
    const atls::error failure = thrown_by([] {
        atls::call([none = static_cast<atls_config *>(nullptr)](atls_error **e) { return atls_config_set_family(none, ATLS_FAMILY_ANY, e); });
    });
    CHECK(failure.status() == ATLS_NULL_ARGUMENT);
}

TESTS(NULL, NULL, CASE(a_wrong_policy_names_the_field), CASE(text_with_a_nul_is_refused),
      CASE(errors_are_copied_and_share_what_is_known), CASE(handles_move_and_are_empty_then),
      CASE(a_buffer_wraps_without_a_copy_and_frees_once), CASE(bytes_are_made_of_containers),
      CASE(durations_round_up_and_never_become_the_default), CASE(a_verdict_has_its_checks_and_a_draft_that_holds),
      CASE(fields_and_forms_are_read_as_they_are), CASE(a_log_ends_when_it_is_told_and_may_throw),
      CASE(a_function_without_a_method_can_be_called))
