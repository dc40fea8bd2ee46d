// The side of test_mixed.cc that is built without exceptions.
#include <string>

#include <atls.hpp>

std::string message_as_result(const std::string &json);

std::string message_as_result(const std::string &json)
{
    const auto policy = atls::policy::parse(json);
    return policy ? std::string() : std::string(policy.error().message());
}
