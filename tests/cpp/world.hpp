// world.hpp - the simulated world, found through ATLS_SIM as tests/c/sim.h does; without it a test is skipped (exit status 77).
#ifndef WORLD_HPP
#define WORLD_HPP

#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>

#include <atls.hpp>

#include "../c/test.h"

using namespace std::chrono_literals;

inline std::string file(const std::string &name)
{
    const char *folder = std::getenv("ATLS_SIM");
    if (!folder) {
        std::puts("skipped: no ATLS_SIM");
        std::exit(77);
    }
    std::ifstream in(std::string(folder) + "/" + name, std::ios::binary);
    CHECK(in);
    return {std::istreambuf_iterator<char>(in), {}};
}

inline std::string path(const std::string &name) { return std::string(std::getenv("ATLS_SIM")) + "/" + name; }

/// The port of one of the servers: HTTP, RAW, EVIL, ..
inline std::uint16_t port(const std::string &name)
{
    const std::string ports = "\n" + file("ports");
    const std::size_t at = ports.find("\n" + name + "=");
    CHECK(at != std::string::npos);
    return static_cast<std::uint16_t>(std::stoi(ports.substr(at + name.size() + 2)));
}

inline std::string url(const std::string &at, const std::string &server = "HTTP")
{
    return "https://localhost:" + std::to_string(port(server)) + at;
}

/// A hash of what passes, to compare both ends of a stream.
struct Hash {
    std::uint64_t state = 0xcbf29ce484222325, size = 0;
    void add(atls::bytes data)
    {
        for (std::size_t i = 0; i < data.size(); i++)
            state = (state ^ data.data()[i]) * 0x100000001b3;
        size += data.size();
    }
    bool operator==(const Hash &other) const { return state == other.state && size == other.size; }
};

/// Bytes that no two offsets of a stream share soon.
inline std::string noise(std::size_t size, std::uint32_t seed)
{
    std::string text(size, '\0');
    for (char &each : text) {
        seed = seed * 1664525 + 1013904223;
        each = static_cast<char>(seed >> 24);
    }
    return text;
}

#ifndef ATLS_NO_EXCEPTIONS
/// For connections to localhost, under a policy of the simulator's.
inline atls::config settings(const std::string &policy = "policy.json", std::uint16_t to = 0)
{
    auto trust = atls::verifier_config::make();
    trust.set_simulated_root(file("root.der"));
    auto made = to ? atls::config::make("localhost", to) : atls::config::make();
    made.set_verifier(trust.build());
    made.add_root_pem(file("web-ca.pem"));
    made.set_policy(atls::policy::parse(file(policy)));
    return made;
}

/// The error that a call throws; the test fails if it throws none.
template <class F> atls::error thrown_by(F &&call)
{
    try {
        call();
    } catch (const atls::error &failure) {
        return failure;
    }
    CHECK(false && "an atls::error was thrown");
    std::abort();
}
#endif

#endif
