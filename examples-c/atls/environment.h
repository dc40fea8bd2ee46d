/* environment.h - what the tool takes from the environment. The library itself reads none. */
#ifndef ATLS_TOOL_ENVIRONMENT_H
#define ATLS_TOOL_ENVIRONMENT_H

struct variable {
    const char *name;
    const char *text;
};

/* For the man pages; the last one has no name. */
extern const struct variable environment_variables[];

/* The proxy for https: URLs, and in `*variable` where it stands; NULL if there is none. Empty counts as not set. */
const char *environment_proxy(const char **variable);
/* Whether NO_PROXY excepts `host`, an address or a name without brackets. */
int environment_no_proxy(const char *host);
/* SSL_CERT_FILE, or NULL. */
const char *environment_roots(void);

#endif
