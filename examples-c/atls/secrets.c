/* secrets.c - tokens in files. */
#include "secrets.h"

#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "files.h"

#define LEAST 16

void secret_erase(void *data, size_t len)
{
    for (volatile unsigned char *at = data; len > 0; len--)
        *at++ = 0;
}

/* The token behind `prefix`. */
static int read_token(const char *path, const char *prefix, size_t least, char **secret)
{
    struct file file;
    int code = file_read(path, 4096, &file);
    if (code != 0)
        return code;
    const char *text = file.data ? (const char *)file.data : "";
    text += strspn(text, " \t\r\n");
    size_t len = strcspn(text, " \t\r\n");
    const char *rest = text + len + strspn(text + len, " \t\r\n");
    for (size_t i = 0; i < len; i++)
        if (text[i] < '!' || text[i] > '~')
            len = 0;
    if (len < least || *rest)
        code = fail(CODE_CALL, "%s: not one token of at least %zu visible ASCII characters", path, least);
    *secret = code == 0 ? malloc(strlen(prefix) + len + 1) : NULL;
    if (*secret) {
        strcpy(*secret, prefix);
        strncat(*secret, text, len);
    } else if (code == 0) {
        code = fail(CODE_SYSTEM, "out of memory");
    }
    secret_erase(file.data, file.len);
    file_free(&file);
    return code;
}

int secret_read(const char *path, char **token)
{
    return read_token(path, "", LEAST, token);
}

int secret_bearer(const char *path, char **value)
{
    return read_token(path, "Bearer ", 1, value);
}

void secret_free(char *secret)
{
    if (secret)
        secret_erase(secret, strlen(secret));
    free(secret);
}
