// A C++ program with handles in unique_ptr, and a whole attested connection.
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include <atls.h>

template <auto Free> struct Deleter {
    template <typename T> void operator()(T *pointer) const { Free(pointer); }
};
template <typename T, auto Free> using Handle = std::unique_ptr<T, Deleter<Free>>;

static std::string file(const std::string &name)
{
    std::ifstream in(std::string(std::getenv("ATLS_SIM")) + "/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

int main()
{
    const std::string ports = file("ports"), json = file("policy.json"), root = file("root.der"), pem = file("web-ca.pem");
    const auto port = static_cast<uint16_t>(std::stoi(ports.substr(ports.find('=') + 1)));
    atls_config *config_raw = nullptr;
    atls_policy *policy_raw = nullptr;
    atls_verifier *verifier_raw = nullptr;
    atls_http *http_raw = nullptr;
    const auto bytes = [](const std::string &text) { return atls_bytes_of(text.data(), text.size()); };
    atls_verifier_config *trust_raw = nullptr;
    if (atls_verifier_config_new(&trust_raw, nullptr) != ATLS_OK)
        return 1;
    Handle<atls_verifier_config, atls_verifier_config_free> trust(trust_raw);
    if (atls_verifier_config_set_simulated_root(trust.get(), bytes(root), nullptr) != ATLS_OK ||
        atls_verifier_new(trust.get(), &verifier_raw, nullptr) != ATLS_OK ||
        atls_policy_new(bytes(json), &policy_raw, nullptr) != ATLS_OK ||
        atls_config_new("localhost", port, &config_raw, nullptr) != ATLS_OK)
        return 1;
    Handle<atls_verifier, atls_verifier_free> verifier(verifier_raw);
    Handle<atls_policy, atls_policy_free> policy(policy_raw);
    Handle<atls_config, atls_config_free> config(config_raw);
    if (atls_config_set_policy(config.get(), policy.get(), nullptr) != ATLS_OK ||
        atls_config_set_verifier(config.get(), verifier.get(), nullptr) != ATLS_OK ||
        atls_config_add_root_pem(config.get(), pem.c_str(), nullptr) != ATLS_OK ||
        atls_http_connect(config.get(), &http_raw, nullptr) != ATLS_OK)
        return 2;
    Handle<atls_http, atls_http_free> http(http_raw);
    Handle<atls_verdict, atls_verdict_free> verdict(atls_http_verdict(http.get()));
    return atls_verdict_trusted(verdict.get()) ? 0 : 3;
}
