/* url.h - the parts of a URL that the tool itself needs; the library parses URLs of requests. */
#ifndef ATLS_TOOL_URL_H
#define ATLS_TOOL_URL_H

#include <stdint.h>

struct url {
    char *text;    /* the whole of it, with its scheme */
    char host[256]; /* without brackets */
    uint16_t port;
    char *path; /* path and query, without the fragment; at least "/" */
};

/* `https://host[:port][/path]`, or without the scheme. Returns 0, or an exit code after saying what is wrong with it. */
int url_parse(const char *text, struct url *url);
void url_free(struct url *url);

/* A text of the command line as messages show it: what stands before the last '@' of a URL may be a user and a password, and is "***". The
 * result is the text itself, or valid until the next call but one; for the main thread. */
const char *url_shown(const char *text);

/* Reads one part of HOST1:PORT1:HOST2:PORT2, up to the next colon; a host may be in brackets. Returns what follows the colon, "" at the
 * end, or NULL if it is too long. */
const char *url_part(const char *text, char *part, unsigned size);
/* A port, 1 to 65535; 0 if it is none. */
uint16_t url_port(const char *text);
/* Decodes %XX in place. */
void url_decode(char *text);

#endif
