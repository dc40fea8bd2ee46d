/* gate.c - checks of Host, Origin and the token. A page that a browser has loaded from elsewhere can send requests to this machine: under the name
 * of its own site, if that resolves to this machine (DNS rebinding), or across origins. Host tells of the former, Origin and Sec-Fetch-Site of the
 * latter. */
#include "gate.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcasecmp(host, "localhost") == 0;
}

static bool is_address(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

/* The host of "host:port", "[v6]:port" or "host". */
static bool host_of(const char *authority, char *host, size_t size)
{
    const char *begin = authority, *end;
    if (*begin == '[') {
        end = strchr(++begin, ']');
        if (!end || (end[1] && end[1] != ':'))
            return false;
    } else {
        end = begin + strcspn(begin, ":");
    }
    size_t len = (size_t)(end - begin);
    if (len == 0 || len >= size)
        return false;
    memcpy(host, begin, len);
    host[len] = '\0';
    return true;
}

static bool is_listed(const char *text, const char *const *list)
{
    for (; *list; list++)
        if (strcasecmp(text, *list) == 0)
            return true;
    return false;
}

/* An address cannot be rebound, so a proxy that listens on several is known by each. */
static bool knows_host(const struct gate *gate, const char *authority)
{
    char host[256];
    if (!host_of(authority, host, sizeof host))
        return false;
    if (is_listed(authority, gate->hosts) || is_listed(host, gate->hosts) || strcasecmp(host, gate->listen_host) == 0)
        return true;
    if (is_loopback(gate->listen_host))
        return is_loopback(host);
    return is_address(host);
}

/* Browsers name the origin of the page, or at least say whether it is another one. Other programs say nothing. */
static bool knows_page(const struct gate *gate, const atls_head *head, const char *authority)
{
    const char *site = atls_head_get(head, "sec-fetch-site").ptr;
    size_t origin = atls_head_find(head, "origin", 0);
    if (origin == SIZE_MAX)
        return !*site || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
    for (; origin != SIZE_MAX; origin = atls_head_find(head, "origin", origin + 1)) {
        const char *text = atls_head_value(head, origin).ptr;
        bool is_own = strncasecmp(text, "http://", 7) == 0 && strcasecmp(text + 7, authority) == 0;
        if (!is_own && !is_listed(text, gate->origins))
            return false;
    }
    return true;
}

/* Takes the same time wherever the two differ. */
static bool is_token(const char *given, const char *token)
{
    size_t given_len = strlen(given), len = strlen(token);
    volatile unsigned char difference = given_len != len;
    for (size_t i = 0; i < given_len; i++)
        difference |= (unsigned char)given[i] ^ (unsigned char)token[i % len];
    return difference == 0;
}

/* Whether a field, of which there is one at most, is "Bearer" and the token. */
static bool has_token(const atls_head *head, const char *name, const char *token)
{
    const char *value = atls_head_get(head, name).ptr;
    if (strncasecmp(value, "bearer ", 7) != 0)
        return false;
    return is_token(value + 7 + strspn(value + 7, " "), token);
}

static bool is_repeated(const atls_head *head, const char *name)
{
    size_t first = atls_head_find(head, name, 0);
    return first != SIZE_MAX && atls_head_find(head, name, first + 1) != SIZE_MAX;
}

static void refuse(struct refusal *refusal, unsigned status, const char *code, const char *what, const char *shown)
{
    refusal->status = status;
    refusal->code = code;
    refusal->reason = what;
    snprintf(refusal->message, sizeof refusal->message, "%s%s%.120s", what, *shown ? ": " : "", shown);
    for (char *at = refusal->message; *at; at++)
        if (*at < ' ' || *at > '~') /* it becomes text in JSON, and bytes of a client need not be UTF-8 */
            *at = '?';
}

static void check_token(const atls_head *head, const char *token, struct refusal *refusal)
{
    if (is_repeated(head, "authorization") || is_repeated(head, "proxy-authorization")) {
        refuse(refusal, 400, "AUTHORIZATION_REPEATED", "more than one Authorization or Proxy-Authorization", "");
        return;
    }
    /* Both are looked at, whichever has it. */
    bool proxy = has_token(head, "proxy-authorization", token), own = has_token(head, "authorization", token);
    if (!proxy && !own)
        refuse(refusal, 401, "TOKEN_REQUIRED", "this proxy requires its token, as Authorization: Bearer or Proxy-Authorization: Bearer", "");
    /* Nor does it reach the target among other things. */
    refusal->drop = own || strstr(atls_head_get(head, "authorization").ptr, token) ? "authorization" : NULL;
}

struct refusal gate_check(const struct gate *gate, const atls_server_request *request)
{
    struct refusal refusal = {.status = 0};
    const char *authority = atls_server_request_authority(request).ptr;
    atls_head *head = atls_server_request_head(request);
    if (!knows_host(gate, authority))
        refuse(&refusal, 403, "HOST_REFUSED", "Host is not a name of this proxy, and --allow-host adds one", authority);
    else if (!knows_page(gate, head, authority))
        refuse(&refusal, 403, "ORIGIN_REFUSED", "pages of other origins may not use this proxy, and --allow-origin adds one",
               atls_head_get(head, "origin").ptr);
    else if (gate->token)
        check_token(head, gate->token, &refusal);
    atls_head_free(head);
    return refusal;
}
