// One program of files with exceptions and files with results: their functions do not collide.
#include "world.hpp"

std::string message_as_result(const std::string &json);

static void both_report_the_same()
{
    for (const char *json : {"{}", "[", R"({"type":"none"})"})
        CHECK(thrown_by([&] { atls::policy::parse(json); }).message() == message_as_result(json));
}

TESTS(NULL, NULL, CASE(both_report_the_same))
