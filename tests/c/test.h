/* test.h - the few words that the C tests share. */
#ifndef TEST_H
#define TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atls.h>

#define CHECK(condition)                                                                                                \
    do {                                                                                                                \
        if (!(condition)) {                                                                                             \
            fprintf(stderr, "%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #condition);                               \
            exit(1);                                                                                                    \
        }                                                                                                               \
    } while (0)

/* Checks for one status and, where `part` is not NULL, that the message holds it; frees the error. */
static inline void expect(const char *file, int line, atls_status wanted, const char *part, atls_status status, atls_error **error)
{
    const char *message = *error ? atls_error_message(*error).ptr : "";
    if (status != wanted || (part && !strstr(message, part))) {
        fprintf(stderr, "%s:%d: got %s \"%s\", wanted %s \"%s\"\n", file, line, atls_status_name(status).ptr, message,
                atls_status_name(wanted).ptr, part ? part : "");
        exit(1);
    }
    if (status != ATLS_OK && *error)
        CHECK(atls_error_status(*error) == status);
    atls_error_free(*error);
    *error = NULL;
}
#define EXPECT(wanted, part, call) expect(__FILE__, __LINE__, wanted, part, (call), &error)
#define OK(call) EXPECT(ATLS_OK, NULL, call)

#endif
