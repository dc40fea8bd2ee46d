/* secrets.h - tokens in files. */
#ifndef ATLS_TOOL_SECRETS_H
#define ATLS_TOOL_SECRETS_H

#include <stddef.h>

/* Reads a token of at least 16 visible characters; line breaks and spaces around it do not count. Returns 0, or an exit code after a message
 * that does not show it. */
int secret_read(const char *path, char **token);
/* Any token, as the value "Bearer TOKEN". */
int secret_bearer(const char *path, char **value);
/* Overwrites it, also if the compiler sees that nobody reads it any more. */
void secret_erase(void *data, size_t len);
/* Erases it first. */
void secret_free(char *secret);

#endif
