// A C++ program: a whole attested connection through the C++ header.
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include <atls.hpp>

static std::string file(const std::string &name)
{
    std::ifstream in(std::string(std::getenv("ATLS_SIM")) + "/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

int main()
{
    try {
        const std::string ports = file("ports");
        auto trust = atls::verifier_config::make();
        trust.set_simulated_root(file("root.der"));
        auto config = atls::config::make("localhost", static_cast<std::uint16_t>(std::stoi(ports.substr(ports.find('=') + 1))));
        config.set_policy(atls::policy::parse(file("policy.json")));
        config.set_verifier(trust.build());
        config.add_root_pem(file("web-ca.pem"));
        return atls::http::connect(config).verdict().trusted() ? 0 : 3;
    } catch (const atls::error &failure) {
        std::cerr << failure.name() << ": " << failure.what() << "\n";
        return 2;
    }
}
