/* failure.c - messages, exit codes, signals. */
#include "failure.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"

const struct code_text code_texts[] = {
    {CODE_DONE, "Success."},
    {CODE_CALL, "The command line or a document, such as the policy, is invalid (ATLS statuses 1xx)."},
    {CODE_SYSTEM, "A file, the network or a time limit (2xx)."},
    {CODE_TLS, "TLS (3xx)."},
    {CODE_ATTESTATION, "The other side is not attested: no evidence, or refused (4xx)."},
    {CODE_HTTP, "HTTP, a proxy or a tunnel (5xx)."},
    {CODE_DEFECT, "A defect of the library (9xx)."},
    {CODE_HTTP_STATUS, "With --fail: the status of the response is 400 or more."},
    {130, "Interrupted by SIGINT, as a shell reports it; the tool ends by the signal itself."},
    {CODE_OUTPUT_CLOSED, "Nobody reads standard output any more. No message is printed."},
    {0, NULL},
};

static const char *name = "atls";

void failure_set_name(const char *new_name)
{
    name = new_name;
}

const char *failure_name(void)
{
    return name;
}

static void (*taker)(const char *text, size_t len);

void message_set_taker(void (*new_taker)(const char *text, size_t len))
{
    taker = new_taker;
}

void message_begin(struct message *message)
{
    message->text = NULL;
    message->out = open_memstream(&message->text, &message->len);
    if (!message->out)
        message->out = stderr; /* without memory, in pieces */
}

void message_end(struct message *message)
{
    if (message->out == stderr)
        return;
    bool complete = fclose(message->out) == 0;
    if (complete && taker)
        taker(message->text, message->len);
    else if (complete)
        fwrite(message->text, 1, message->len, stderr);
    free(message->text);
}

int fail(int code, const char *format, ...)
{
    va_list list;
    struct message message;
    va_start(list, format);
    progress_end();
    message_begin(&message);
    fprintf(message.out, "%s: ", name);
    vfprintf(message.out, format, list);
    fputc('\n', message.out);
    message_end(&message);
    va_end(list);
    return code;
}

void warn(const char *format, ...)
{
    va_list list;
    struct message message;
    va_start(list, format);
    progress_end();
    message_begin(&message);
    fprintf(message.out, "%s: warning: ", name);
    vfprintf(message.out, format, list);
    fputc('\n', message.out);
    message_end(&message);
    va_end(list);
}

int fail_errno(const char *what)
{
    return fail(CODE_SYSTEM, "%s: %s", what, strerror(errno));
}

int code_of(atls_status status)
{
    int hundred = (int)status / 100;
    return status == ATLS_OK ? CODE_DONE : hundred >= 1 && hundred <= 9 ? hundred : CODE_DEFECT;
}

int fail_status(atls_status status, atls_error *error, const char *about)
{
    const atls_verdict *verdict = atls_error_verdict(error);
    struct message message;
    progress_end();
    message_begin(&message);
    if (verdict)
        print_verdict(verdict, message.out);
    const char *what = atls_error_message(error).ptr;
    fprintf(message.out, "%s: %s%s", name, about ? about : "", about ? ": " : "");
    print_safe(*what ? what : atls_status_name(status).ptr, 4096, message.out); /* some of it may be the other side's words */
    fputc('\n', message.out);
    message_end(&message);
    atls_error_free(error);
    return code_of(status);
}

/* Files that a signal removes. `used` is set once `path` is written, and cleared before it is written again: the handler, which runs on
 * the main thread alone, as all that changes them does, never sees half of a path. */
static struct {
    volatile sig_atomic_t used;
    char path[4096];
} partial[8];
#define PARTIALS (sizeof partial / sizeof *partial)
static pthread_t main_thread;

static void say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
}

/* Only calls that a signal handler may make. Threads of the library take no signals upon themselves: what the main thread holds back
 * would not be held back from them. */
static void on_signal(int signal_number)
{
    bool removed = false;
    if (!pthread_equal(pthread_self(), main_thread)) {
        pthread_kill(main_thread, signal_number);
        return;
    }
    for (size_t i = 0; i < PARTIALS; i++)
        removed = (partial[i].used && unlink(partial[i].path) == 0) || removed;
    say(removed ? "\natls: interrupted; what had arrived was removed\n" : "\natls: interrupted\n");
    signal(signal_number, SIG_DFL);
    raise(signal_number); /* takes effect when the handler returns */
}

void signals_setup(void)
{
    const int ending[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;
    main_thread = pthread_self();
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        sigaddset(&action.sa_mask, ending[i]); /* one at a time */
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) {
        struct sigaction before;
        /* nohup and shells' background jobs ignore some: so do we. */
        if (sigaction(ending[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(ending[i], &action, NULL);
    }
}

static sigset_t before_hold;

void signals_hold(bool hold)
{
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    if (hold)
        sigprocmask(SIG_BLOCK, &ending, &before_hold);
    else
        sigprocmask(SIG_SETMASK, &before_hold, NULL); /* a server has them blocked in any case */
}

bool signals_add_partial(const char *path)
{
    size_t free_one = 0;
    while (free_one < PARTIALS && partial[free_one].used)
        free_one++;
    if (free_one == PARTIALS || strlen(path) >= sizeof partial->path)
        return false;
    strcpy(partial[free_one].path, path);
    atomic_signal_fence(memory_order_seq_cst);
    partial[free_one].used = 1;
    return true;
}

void signals_drop_partial(const char *path)
{
    for (size_t i = 0; i < PARTIALS; i++)
        if (partial[i].used && strcmp(partial[i].path, path) == 0)
            partial[i].used = 0;
}
