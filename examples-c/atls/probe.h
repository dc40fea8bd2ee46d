/* probe.h - looks at a server under a policy that nothing satisfies: evidence and the vendor's documents are fetched and judged, and no
 * connection comes of it. For measure and collateral. */
#ifndef ATLS_TOOL_PROBE_H
#define ATLS_TOOL_PROBE_H

#include <atls.h>

#include "options.h"
#include "url.h"

#define OPTIONS_SOURCES(RARE)                                                                                                             \
    {0, "source", "URL", OPTION_TEXT, OPTION_REPEATS, "Trust", "Service that has Intel's documents",                                       \
     "In place of https://pccs.phala.network. The first that has a valid document counts."},                                              \
    {0, "amd-source", "URL", OPTION_TEXT, OPTION_REPEATS | (RARE), "Trust", "Service that has AMD's documents",                            \
     "In place of https://kdsintf.amd.com."}

struct probe {
    atls_status status;      /* ONLY_MEASURED if nothing is wrong */
    atls_error *error;       /* has the verdict; NULL offline */
    atls_verifier *verifier; /* has the documents */
};

/* `{"sources":[..],"amd_sources":[..]}` of the options; NULL if there are none. Free it. */
char *probe_sources(const struct arguments *args);
/* The policy that only measures. Returns 0 or an exit code after a message. */
int probe_policy(const struct arguments *args, atls_policy **policy);
/* Connects. Returns 0 if the server could be asked, whatever came of it, or an exit code after a message; free it in both cases. */
int probe_server(const struct arguments *args, const struct url *url, struct probe *probe);
void probe_free(struct probe *probe);

#endif
