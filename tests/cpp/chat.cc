// chat.cc - the README's ten lines of C++: the verdict, the tokens of an answer as they come, and the end of it at will.
//
// usage: chat URL POLICY.json PROMPT COUNT     (stops after COUNT tokens; ATLS_SIM is where the simulator's roots are)
#include <atls.hpp>

#include <iostream>

#include "world.hpp"

static void chat(const atls::client &client, const std::string &url, const std::string &prompt, int count)
{
    // snippet: chat
    auto request = atls::request::make("POST", url + "/v1/chat/completions");
    request.set_body(R"({"stream": true, "messages": [{"role": "user", "content": ")" + prompt + R"("}]})");
    const atls::exchange answer = client.fetch(request); // attests first; throws atls::error with the verdict if it is refused
    for (const atls::check &check : answer.verdict().checks())
        std::cout << (check.outcome == ATLS_CHECK_PASS ? "pass  " : "-     ") << check.name << "\n";
    for (const std::string_view line : answer.lines()) { // server-sent events, as they arrive
        std::cout << line << std::endl;
        if (!line.empty() && --count == 0)
            answer.cancel(); // also from another thread; the loop then throws CANCELED
    }
    // end of snippet
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        std::cerr << "usage: " << argv[0] << " URL POLICY.json PROMPT COUNT\n";
        return 2;
    }
    try {
        chat(atls::client::make(settings(argv[2])), argv[1], argv[3], std::atoi(argv[4]));
    } catch (const atls::error &failure) {
        std::cerr << failure.name() << ": " << failure.what() << " " << failure.check() << "\n";
        return failure.status() == ATLS_CANCELED ? 3 : 1;
    }
    return 0;
}
