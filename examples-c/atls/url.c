/* url.c - the parts of a URL that the tool itself needs. */
#include "url.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "failure.h"

uint16_t url_port(const char *text)
{
    if (!*text || strlen(text) > 5 || strspn(text, "0123456789") != strlen(text))
        return 0;
    unsigned long port = strtoul(text, NULL, 10);
    return port <= 65535 ? (uint16_t)port : 0;
}

const char *url_part(const char *text, char *part, unsigned size)
{
    const char *begin = text, *end;
    if (*text == '[') {
        begin++;
        end = strchr(text, ']');
        if (!end || (end[1] != ':' && end[1] != '\0'))
            return NULL;
        text = end + 1;
    } else {
        end = text = text + strcspn(text, ":");
    }
    if ((size_t)(end - begin) >= size)
        return NULL;
    memcpy(part, begin, (size_t)(end - begin));
    part[end - begin] = '\0';
    return text + (*text == ':');
}

static int hex(char digit)
{
    if (isdigit((unsigned char)digit))
        return digit - '0';
    return isxdigit((unsigned char)digit) ? tolower((unsigned char)digit) - 'a' + 10 : -1;
}

void url_decode(char *text)
{
    char *to = text;
    for (; *text; text++) {
        if (*text == '%' && hex(text[1]) >= 0 && hex(text[2]) >= 0) {
            *to++ = (char)(hex(text[1]) * 16 + hex(text[2]));
            text += 2;
        } else {
            *to++ = *text;
        }
    }
    *to = '\0';
}

const char *url_shown(const char *text)
{
    static char shown[2][1024];
    static int next;
    const char *scheme = strstr(text, "://"), *begin = scheme ? scheme + 3 : text, *at = strrchr(begin, '@');
    const char *colon = strchr(begin, ':');
    size_t host_len = strcspn(begin, "/?#");
    /* Without a colon before it, an '@' behind the host is of a path. A password may have any character, a slash too. */
    bool has_login = at && ((colon && colon < at) || (scheme && at < begin + host_len));
    if (!has_login)
        return text;
    char *copy = shown[next++ % 2];
    snprintf(copy, sizeof *shown, "%.*s***%s", scheme ? (int)(begin - text) : 0, text, at);
    return copy;
}

static int parse_authority(struct url *url, const char *authority, size_t len)
{
    char copy[512], port[8] = "";
    if (len == 0 || len >= sizeof copy)
        return fail(CODE_CALL, "'%s' has no usable host", url_shown(url->text));
    memcpy(copy, authority, len);
    copy[len] = '\0';
    char *host = strrchr(copy, '@');
    host = host ? host + 1 : copy;
    const char *rest = url_part(host, url->host, sizeof url->host);
    if (!rest || !*url->host)
        return fail(CODE_CALL, "'%s' has no usable host", url_shown(url->text));
    url->port = 443;
    if (*rest) {
        rest = url_part(rest, port, sizeof port);
        url->port = url_port(port);
        if (!rest || *rest || url->port == 0)
            return fail(CODE_CALL, "'%s' has no usable port", url_shown(url->text));
    }
    return 0;
}

int url_parse(const char *text, struct url *url)
{
    static const char https[] = "https://";
    *url = (struct url){.text = NULL};
    const char *scheme = strstr(text, "://");
    if (scheme && strncasecmp(text, https, sizeof https - 1) != 0)
        return fail(CODE_CALL, "'%s': only https:// URLs can be attested", url_shown(text));
    size_t len = strlen(text) + sizeof https;
    url->text = malloc(len);
    url->path = malloc(len);
    if (!url->text || !url->path)
        return fail(CODE_SYSTEM, "out of memory");
    strcpy(url->text, scheme ? "" : https);
    strcat(url->text, text);
    const char *authority = url->text + sizeof https - 1;
    size_t host_len = strcspn(authority, "/?#");
    const char *path = authority + host_len;
    size_t path_len = strcspn(path, "#");
    strcpy(url->path, *path == '/' ? "" : "/");
    strncat(url->path, path, path_len);
    int code = parse_authority(url, authority, host_len);
    if (code != 0)
        url_free(url);
    return code;
}

void url_free(struct url *url)
{
    free(url->text);
    free(url->path);
    url->text = url->path = NULL;
}
