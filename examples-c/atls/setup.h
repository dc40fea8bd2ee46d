/* setup.h - what several subcommands share: the options about trust and connections, and the objects of the library made from them. */
#ifndef ATLS_TOOL_SETUP_H
#define ATLS_TOOL_SETUP_H

#include <atls.h>

#include "options.h"
#include "url.h"

/* Lines for a command's table. */
#define OPTION_POLICY                                                                                                                     \
    {0, "policy", "FILE", OPTION_FILE, 0, "Trust", "What the server must prove (JSON)",                                                    \
     "The format is described in docs/policy.md; atls-measure(1) drafts one. - is standard input."}
#define OPTIONS_COLLATERAL                                                                                                                \
    {0, "collateral", "FILE", OPTION_FILE, OPTION_REPEATS, "Trust", "Bundle of the vendor's documents to begin with",                      \
     "As atls-collateral(1) writes it. Documents that it lacks are fetched from the sources of the policy."},                             \
    {0, "collateral-cache", "FOLDER", OPTION_FOLDER, OPTION_RARE, "Trust", "Keep the vendor's documents in a folder",                      \
     "For later runs. It is created if it is missing."}
#define OPTION_TEST_ROOT                                                                                                                  \
    {0, "test-root", "VENDOR=FILE", OPTION_TEXT, OPTION_RARE | OPTION_REPEATS | OPTION_PAIR, "Trust", "For tests: judge evidence under a simulator's root", \
     "VENDOR is intel, amd, aws, microsoft or nvidia. Evidence of that vendor must then lead to the roots in FILE, so that it proves "     \
     "nothing about hardware; a warning says so. The policy must consent by \"allow_simulated\"."}
#define OPTIONS_CONNECTION                                                                                                                \
    {0, "cacert", "FILE", OPTION_FILE, 0, "Connection", "Root certificates for TLS (PEM)",                                                 \
     "They are trusted in place of the built-in ones, and beside them for collateral services."},                                          \
    {0, "connect-to", "H1:P1:H2:P2", OPTION_TEXT, OPTION_REPEATS, "Connection", "Connect to H2:P2 instead of H1:P1",                      \
     "TLS and HTTP still use H1. An empty H1 or P1 is that of the URL, an empty H2 or P2 is H1 or P1. IPv6 addresses are in brackets."},   \
    {'x', "proxy", "URL", OPTION_TEXT, OPTION_SECRET, "Connection", "http://, socks5:// or socks5h:// proxy",                                          \
     "[user:password@] may come before its host. It sees ciphertext only. '' is for no proxy, whatever the environment says."}
#define OPTION_MAX_TIME                                                                                                                   \
    {'m', "max-time", "SECONDS", OPTION_SECONDS, 0, "Connection", "Give up after this long", "It covers everything; 2.5 is a number too."}
#define OPTION_HELP {'h', "help", NULL, OPTION_FLAG, 0, "General", "Print this", NULL}
#define OPTIONS_END {0, NULL, NULL, OPTION_FLAG, 0, NULL, NULL, NULL}

struct setup {
    atls_config *config;     /* has the policy, the verifier, roots and the route */
    atls_verifier *verifier; /* has the collateral */
    atls_policy *policy;     /* NULL if the command takes none */
};

/* Makes them of the options that the command has of those above, and of the environment. `url` is the target. The policy is required if
 * the command's table has the option. Returns 0, or an exit code after a message; free it in both cases. */
int setup_make(const struct arguments *args, const struct url *url, struct setup *setup);
void setup_free(struct setup *setup);

/* Parts of it. */
int setup_policy(const struct arguments *args, atls_policy **policy);
/* `url` may be NULL: then NO_PROXY and empty parts of --connect-to have nothing to refer to. */
int setup_config(const struct arguments *args, const struct url *url, atls_config **config);
int setup_verifier(const struct arguments *args, atls_verifier **verifier);
/* Adds what each --test-root names to a verifier's configuration or to a verification; the other is NULL. Warns. */
int setup_test_roots(const struct arguments *args, atls_verifier_config *trust, atls_verification *question);

#endif
