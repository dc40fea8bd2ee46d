/* job.h - one request of `atls get` or `atls post`: what was asked for, and how far it has come. */
#ifndef ATLS_TOOL_JOB_H
#define ATLS_TOOL_JOB_H

#include <time.h>

#include <atls.h>

#include "fields.h"
#include "files.h"
#include "options.h"
#include "setup.h"
#include "url.h"
#include "watch.h"

/* The body of a request. */
struct body {
    const char *text; /* as it stands; NULL for none, or if it is streamed */
    int fd;           /* streamed; -1 if it is not */
    const char *name; /* of the file, for messages */
    uint64_t length;  /* ATLS_LENGTH_UNKNOWN if it is not known */
    bool seekable;
};

struct job {
    const struct arguments *args;
    struct url url;
    struct setup setup;
    struct fields fields;
    struct body body;
    struct output output;
    struct timespec begun;
    uint32_t limit_ms; /* 0: none */
    atls_client *client;
    atls_request *request;
    atls_exchange *exchange;
    atls_head *head;
    uint64_t sent, received;
    bool cut; /* the server did not get all of the body */
};

/* request.c: makes the request from the options. Returns 0 or an exit code after a message. */
int job_make_request(struct job *job, const char *method);
/* body.c: opens what -d names. */
int body_open(const char *data, struct body *body);
void body_close(struct body *body);
/* Sends a streamed body until it ends, or until the server wants no more: `watch` waits for its answer. Returns 0 or an exit code after a
 * message. The head says whether it is to be sent again. */
int body_send(struct job *job, struct watch *watch);
/* Warns if the server did not get all of it. */
void body_say_cut(const struct job *job);

/* Milliseconds that are left of --max-time; UINT32_MAX if there is no limit, 0 if it is over. */
uint32_t job_left(const struct job *job);
int job_timed_out(const struct job *job);
/* fail_status(), which also keeps the verdict in the error for --verdict. */
int job_failed(struct job *job, atls_status status, atls_error *error);

/* report.c: -v, -i and --verdict. */
void report_request(const struct job *job, const char *method);
void report_head(const struct job *job);
int report_save_verdict(const struct job *job, const char *json);
/* The head as it stands on the wire, into the output. */
int report_write_head(struct job *job);
/* writeout.c: -w. Says what is wrong with a format, before anything is sent. */
int writeout_check(const char *format);
void writeout_print(const struct job *job, const char *format);

#endif
