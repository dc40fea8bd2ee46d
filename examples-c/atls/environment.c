/* environment.c - proxies and roots from the environment, as curl reads them. */
#include "environment.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct variable environment_variables[] = {
    {"HTTPS_PROXY", "Proxy for connections and for collateral services, unless --proxy is given: http://, socks5:// or socks5h://. "
                    "https_proxy counts before it."},
    {"ALL_PROXY", "The same, if HTTPS_PROXY is not set. all_proxy counts before it."},
    {"NO_PROXY", "Hosts that are reached without the proxy, separated by commas: example.com also covers all names below it; * is every "
                 "host. no_proxy counts before it. Collateral services are reached through the proxy all the same; --proxy '' is for none."},
    {"SSL_CERT_FILE", "Root certificates (PEM) for TLS in place of the built-in ones, unless --cacert is given."},
    {NULL, NULL},
};

static const char *value_of(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

const char *environment_proxy(const char **variable)
{
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        *variable = names[i];
        if (value_of(names[i]))
            return value_of(names[i]);
    }
    return NULL;
}

/* Whether `host` is the name of `len` bytes or below it. */
static int covers(const char *entry, size_t len, const char *host)
{
    if (len > 0 && entry[0] == '.') {
        entry++;
        len--;
    }
    size_t host_len = strlen(host);
    if (host_len > 0 && host[host_len - 1] == '.')
        host_len--;
    if (len == 0 || host_len < len || strncasecmp(host + host_len - len, entry, len) != 0)
        return 0;
    return host_len == len || host[host_len - len - 1] == '.';
}

int environment_no_proxy(const char *host)
{
    const char *list = value_of("no_proxy");
    if (!list && !(list = value_of("NO_PROXY")))
        return 0;
    if (strcmp(list, "*") == 0)
        return 1;
    while (*list) {
        list += strspn(list, ", \t");
        size_t len = strcspn(list, ", \t");
        size_t brackets = len > 2 && list[0] == '[' && list[len - 1] == ']';
        if (covers(list + brackets, len - 2 * brackets, host))
            return 1;
        list += len;
    }
    return 0;
}

const char *environment_roots(void)
{
    return value_of("SSL_CERT_FILE");
}
