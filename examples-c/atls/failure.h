/* failure.h - how the tool fails: messages on stderr, exit codes, and what a signal does. */
#ifndef ATLS_TOOL_FAILURE_H
#define ATLS_TOOL_FAILURE_H

#include <stdbool.h>
#include <stdio.h>

#include <atls.h>

/* Exit codes. A failure of the library has the hundred of its status. */
enum exit_code {
    CODE_DONE = 0,
    CODE_CALL = 1,         /* 1xx: the command line, or a document such as the policy */
    CODE_SYSTEM = 2,       /* 2xx: files, network, time */
    CODE_TLS = 3,          /* 3xx */
    CODE_ATTESTATION = 4,  /* 4xx: not attested, or refused */
    CODE_HTTP = 5,         /* 5xx: HTTP, proxy or tunnel */
    CODE_DEFECT = 9,       /* 9xx: a defect of the library */
    CODE_HTTP_STATUS = 22, /* --fail: the response's status is 400 or more */
    CODE_OUTPUT_CLOSED = 141, /* nobody reads stdout any more; as shells report SIGPIPE */
};

struct code_text {
    int code;
    const char *text;
};

/* What each code means, for the man pages; the last one has no text. */
extern const struct code_text code_texts[];

/* Sets what messages begin with, for example "atls get". Static text. */
void failure_set_name(const char *name);
const char *failure_name(void);

/* A text for stderr, of one or more lines, which comes out in one piece. */
struct message {
    FILE *out; /* to print it to */
    char *text;
    size_t len;
};
void message_begin(struct message *message);
void message_end(struct message *message);
/* Sets what takes such texts in place of stderr; NULL for stderr. Not while other threads have any. */
void message_set_taker(void (*taker)(const char *text, size_t len));

/* Prints "NAME: message" as a line on stderr, and returns `code`. */
int fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints "NAME: warning: message". */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* fail() with what errno says about `what`: "FILE: No such file or directory". */
int fail_errno(const char *what);

/* For a call of the library that failed: prints the checks that refused the server, if any, and the message, frees the error and returns
 * the exit code. `about` is what the message is about, such as a file; may be NULL. */
int fail_status(atls_status status, atls_error *error, const char *about);
int code_of(atls_status status);

/* SIGINT, SIGTERM and SIGHUP: removes the partial files, then ends as the signal does by default. Ignores SIGPIPE. The thread that calls
 * it is the main thread: it alone runs the handler, and may call the functions below. */
void signals_setup(void);
/* Holds signals back, or lets them come. */
void signals_hold(bool hold);
/* Adds a file to those that a signal removes. Returns false if its path is too long to be kept, or if there are too many. */
bool signals_add_partial(const char *path);
/* Takes this one out again. */
void signals_drop_partial(const char *path);

#endif
