// The same with results in place of exceptions: built with -fno-exceptions -fno-rtti.
#include "world.hpp"

static atls::config settings(const std::string &policy)
{
    auto trust = atls::verifier_config::make();
    CHECK(trust && trust->set_simulated_root(file("root.der")));
    auto verifier = trust->build();
    auto made = atls::config::make();
    auto parsed = atls::policy::parse(file(policy));
    CHECK(verifier && made && parsed);
    CHECK(made->set_verifier(*verifier) && made->add_root_pem(file("web-ca.pem")) && made->set_policy(*parsed));
    return *std::move(made);
}

static void a_failure_is_a_result()
{
    const auto policy = atls::policy::parse("{}");
    CHECK(!policy && policy.error().status() == ATLS_POLICY_INVALID);
    CHECK(policy.error().message().find("policy.type") != std::string_view::npos);
    auto config = atls::config::make();
    CHECK(config && config->get());
    const auto set = config->set_policy(atls::policy());
    CHECK(!set.has_value() && set.error().status() == ATLS_NULL_ARGUMENT);
    CHECK(config->set_family(ATLS_FAMILY_IPV4).has_value());
    const auto call = atls::call([none = static_cast<atls_config *>(nullptr)](atls_error **e) { return atls_config_set_family(none, ATLS_FAMILY_ANY, e); });
    CHECK(!call && call.error().status() == ATLS_NULL_ARGUMENT);
}

static void an_answer_and_a_refusal_are_results()
{
    const auto client = atls::client::make(settings("policy.json"));
    CHECK(client);
    const auto exchange = client->get_url(url("/early"));
    CHECK(exchange && exchange->verdict().trusted());
    const auto body = exchange->read_all(100);
    CHECK(body && body->text() == "body");
    const auto strict = atls::client::make(settings("wrong-policy.json"));
    const auto refused = strict->get_url(url("/small"));
    CHECK(!refused && refused.error().check() == "bootchain" && !refused.error().verdict().trusted());
    CHECK(client->get_url("no url").error().status() == ATLS_INVALID_ARGUMENT);
}

/// No piece of a body that is cut short is taken for the end of it.
static void a_range_ends_with_its_failure()
{
    const auto client = atls::client::make(settings("policy.json"));
    for (const char *path : {"/numbers", "/cut"}) {
        const auto exchange = client->get_url(url(path));
        CHECK(exchange);
        std::size_t size = 0;
        int failures = 0;
        for (const auto &piece : exchange->body()) {
            CHECK(failures == 0);
            if (piece)
                size += piece->size();
            else
                failures += piece.error().status() == ATLS_TRUNCATED || piece.error().status() == ATLS_HTTP_PROTOCOL;
        }
        CHECK(std::string_view(path) == "/cut" ? size == 5 && failures == 1 : size == 160000 && failures == 0);
    }
    std::size_t lines = 0;
    for (const auto &line : client->get_url(url("/numbers"))->lines())
        lines += line && line->size() == 7;
    CHECK(lines == 20000);
}

static void events_and_wait_are_the_same()
{
    const auto runtime = atls::runtime::make(1);
    const auto client = atls::client::make(*runtime, settings("policy.json"));
    std::size_t size = 0;
    const auto queue = atls::queue::dispatching();
    CHECK(runtime && client && queue);
    atls::handlers<atls::exchange> on;
    on.data = [&](auto &, atls::buffer piece) { size += piece.size(); };
    auto operation = client->start(*atls::request::make("GET", url("/bytes/1000000")), *queue, on);
    CHECK(operation && operation->wait() && size == 1000000);
    auto hanging = client->start(*atls::request::make("GET", url("/hang")), *queue, {});
    CHECK(hanging);
    hanging->cancel();
    CHECK(hanging->wait().error().status() == ATLS_CANCELED);
    auto serving = atls::server::start(*runtime, *atls::server_config::make(), *queue, {});
    CHECK(serving && serving->listen("127.0.0.1", 0) && *serving->listen("127.0.0.1", 0) > 0);
    serving->stop();
    CHECK(serving->wait());
}

TESTS(NULL, NULL, CASE(a_failure_is_a_result), CASE(an_answer_and_a_refusal_are_results),
      CASE(a_range_ends_with_its_failure), CASE(events_and_wait_are_the_same))
