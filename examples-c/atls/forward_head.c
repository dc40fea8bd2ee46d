/* forward_head.c - heads of messages on their way through. */
#include "forward_head.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The field names of one connection, whether Connection names them or not. */
static const char *const hop_by_hop[] = {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
                                         "transfer-encoding", "upgrade", NULL};
/* Those that are made anew for the target. The library sends no trailers of requests, so none are announced. */
static const char *const made_anew[] = {"host", "content-length", "expect", "trailer", NULL};
/* Alt-Svc names other places for the same origin; a client that went there would pass this program by. */
static const char *const not_for_clients[] = {"alt-svc", NULL};
/* A redirect by other means, which is not worth being read. */
static const char *const leading_away[] = {"refresh", NULL};
/* What would redirect if a client took trailers for fields of the head. */
static const char *const not_in_trailers[] = {"location", "content-location", "refresh", NULL};

static bool is_one_of(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcasecmp(name, *list) == 0)
            return true;
    return false;
}

/* Whether a list such as "close, Upgrade" has the member. */
static bool lists(const char *list, const char *member)
{
    size_t len = strlen(member);
    while (*list) {
        list += strspn(list, ", \t");
        size_t word = strcspn(list, ", \t");
        if (word == len && strncasecmp(list, member, len) == 0)
            return true;
        list += word;
    }
    return false;
}

/* Whether any field `name` of the head lists the member. */
static bool head_lists(const atls_head *head, const char *name, const char *member)
{
    for (size_t i = atls_head_find(head, name, 0); i != SIZE_MAX; i = atls_head_find(head, name, i + 1))
        if (lists(atls_head_value(head, i).ptr, member))
            return true;
    return false;
}

static bool ends_here(const atls_head *head, const char *name)
{
    return is_one_of(name, hop_by_hop) || head_lists(head, "connection", name);
}

uint64_t forward_body_length(const atls_head *head)
{
    if (atls_head_find(head, "transfer-encoding", 0) != SIZE_MAX)
        return ATLS_LENGTH_UNKNOWN;
    return strtoull(atls_head_get(head, "content-length").ptr, NULL, 10); /* the server has checked it */
}

bool forward_asks_upgrade(const atls_head *head, const char *protocol)
{
    return head_lists(head, "connection", "upgrade") && head_lists(head, "upgrade", protocol);
}

static bool tells_of_clients(const char *name)
{
    return strcasecmp(name, "forwarded") == 0 || strcasecmp(name, "x-real-ip") == 0 || strncasecmp(name, "x-forwarded", 11) == 0;
}

/* Whether an upstream could take it for another one: many put _ for all that is neither a letter nor a digit, and what is left then of Proxy is
 * HTTP_PROXY, which programs read from their environment. */
static bool is_ambiguous(const char *name)
{
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")] || strcasecmp(name, "proxy") == 0;
}

static atls_status add_text(atls_request *to, const char *name, const char *value, atls_error **error)
{
    return *value ? atls_request_add_header(to, name, atls_bytes_of_text(value), error) : ATLS_OK;
}

/* What is known of the client: its address, and by which name and scheme it came. */
static atls_status tell_of_client(const atls_server_request *from, atls_request *to, atls_error **error)
{
    const char *remote = atls_server_request_remote(from).ptr, *scheme = atls_server_request_scheme(from).ptr;
    const char *host = atls_server_request_authority(from).ptr;
    char text[600];
    bool is_v6 = strchr(remote, ':') != NULL, is_plain = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:[]") == strlen(host);
    snprintf(text, sizeof text, "for=%s%s%s;proto=%s%s%.200s%s", is_v6 ? "\"[" : "", *remote ? remote : "unknown", is_v6 ? "]\"" : "", scheme,
             is_plain && *host ? ";host=\"" : "", is_plain ? host : "", is_plain && *host ? "\"" : "");
    atls_status status = add_text(to, "Forwarded", text, error);
    if (status == ATLS_OK)
        status = add_text(to, "X-Forwarded-For", remote, error);
    if (status == ATLS_OK)
        status = add_text(to, "X-Forwarded-Proto", scheme, error);
    return status == ATLS_OK && is_plain ? add_text(to, "X-Forwarded-Host", host, error) : status;
}

static bool passes_on(const struct forward *forward, const atls_head *head, const char *name, const char *drop)
{
    if (ends_here(head, name) || is_one_of(name, made_anew) || (drop && strcasecmp(name, drop) == 0))
        return false;
    if (forward->authorization && strcasecmp(name, "authorization") == 0)
        return false;
    return forward->forwarded == FORWARDED_KEEP || !(tells_of_clients(name) || is_ambiguous(name));
}

atls_status forward_request_fields(const struct forward *forward, const atls_server_request *from, const char *drop, atls_request *to,
                                   atls_error **error)
{
    atls_head *head = atls_server_request_head(from);
    atls_status status = ATLS_OK;
    for (size_t i = 0; status == ATLS_OK && i < atls_head_count(head); i++) {
        const char *name = atls_head_name(head, i).ptr;
        atls_str value = atls_head_value(head, i);
        if (passes_on(forward, head, name, drop))
            status = atls_request_add_header(to, name, atls_bytes_of(value.ptr, value.len), error);
    }
    if (status == ATLS_OK && forward->authorization)
        status = add_text(to, "Authorization", forward->authorization, error);
    if (status == ATLS_OK && forward->forwarded == FORWARDED_SET)
        status = tell_of_client(from, to, error);
    if (status == ATLS_OK)
        status = add_text(to, "Via", atls_head_minor_version(head) == 0 ? "1.0 atls" : "1.1 atls", error);
    atls_head_free(head);
    return status;
}

/* Whether every client takes it for a path on the same host. Browsers read \ as / and leave out tabs. */
static bool is_path(const char *text)
{
    return text[0] == '/' && text[1] != '/' && text[1] != '\\' && !strchr(text, '\t');
}

/* What follows the target's origin in a URL, at least "/", or a relative reference itself; NULL if it leads to another origin, or may. */
static const char *within_origin(const struct forward *forward, const char *location)
{
    size_t len = strlen(forward->origin);
    if (strncasecmp(location, forward->origin, len) == 0) {
        const char *rest = location + len, *port = strncmp(forward->origin, "https", 5) == 0 ? ":443" : ":80";
        if (strncmp(rest, port, strlen(port)) == 0) /* the default port, which the target's origin leaves out */
            rest += strlen(port);
        return !*rest ? "/" : is_path(rest) ? rest : NULL;
    }
    size_t word = strcspn(location, ":/?#\\\t");
    bool has_scheme = location[word] == ':', is_odd = location[word] == '\\' || location[word] == '\t';
    return has_scheme || is_odd || (word == 0 && location[0] == '/' && !is_path(location)) ? NULL : location;
}

bool forward_leads_away(const struct forward *forward, const atls_head *head)
{
    uint32_t status = atls_head_status(head);
    size_t location = atls_head_find(head, "location", 0);
    bool redirects = status >= 300 && status <= 399 && status != 304; /* clients follow also what has no meaning any more */
    if (forward->redirects_may_leave || !redirects || location == SIZE_MAX)
        return false;
    for (; location != SIZE_MAX; location = atls_head_find(head, "location", location + 1))
        if (!within_origin(forward, atls_head_value(head, location).ptr))
            return true;
    return false;
}

atls_status forward_response_fields(const struct forward *forward, const atls_head *from, atls_headers *to, atls_error **error)
{
    uint32_t code = atls_head_status(from);
    atls_status status = ATLS_OK;
    for (size_t i = 0; status == ATLS_OK && i < atls_head_count(from); i++) {
        const char *name = atls_head_name(from, i).ptr, *within = NULL;
        atls_str value = atls_head_value(from, i);
        bool has_no_length = code == 204 || code < 200;
        if (ends_here(from, name) || is_one_of(name, not_for_clients) || (has_no_length && strcasecmp(name, "content-length") == 0))
            continue;
        if (!forward->redirects_may_leave && is_one_of(name, leading_away))
            continue;
        if (strcasecmp(name, "location") == 0 || strcasecmp(name, "content-location") == 0)
            within = within_origin(forward, value.ptr); /* so that the client comes back here */
        status = atls_headers_add(to, name, within ? atls_bytes_of_text(within) : atls_bytes_of(value.ptr, value.len), error);
    }
    return status;
}

atls_status forward_trailers(const atls_head *from, atls_headers *to, atls_error **error)
{
    atls_status status = ATLS_OK;
    for (size_t i = 0; status == ATLS_OK && i < atls_head_count(from); i++) {
        const char *name = atls_head_name(from, i).ptr;
        atls_str value = atls_head_value(from, i);
        if (!ends_here(from, name) && !is_one_of(name, not_for_clients) && !is_one_of(name, not_in_trailers))
            status = atls_headers_add(to, name, atls_bytes_of(value.ptr, value.len), error);
    }
    return status;
}
