/* output.c - checked writes, JSON text, the table of a verdict, the progress bar. */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "failure.h"

void output_setup(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            _exit(CODE_SYSTEM);
    /* Written at once at the end, so that errno says what was wrong. */
    static char buffer[1 << 20];
    if (!isatty(STDOUT_FILENO))
        setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
}

int output_failed(void)
{
    if (errno == EPIPE)
        return CODE_OUTPUT_CLOSED;
    return fail_errno("standard output");
}

/* An earlier write has failed, and its errno is gone: a pipe that nobody reads still says so. */
static void find_errno(void)
{
    struct pollfd out = {STDOUT_FILENO, POLLOUT, 0};
    errno = poll(&out, 1, 0) == 1 && (out.revents & POLLERR) ? EPIPE : EIO;
}

int output_finish(void)
{
    static int said; /* once is enough */
    bool failed = ferror(stdout) != 0;
    if (said || (fflush(stdout) == 0 && !failed))
        return said;
    if (failed)
        find_errno();
    return said = output_failed();
}

void print_json_text(const char *text, FILE *out)
{
    fputc('"', out);
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '"' || *at == '\\')
            fprintf(out, "\\%c", *at);
        else if (*at < 0x20)
            fprintf(out, "\\u%04x", *at);
        else
            fputc(*at, out);
    }
    fputc('"', out);
}

/* The length of a character of valid UTF-8 that is no control character; 0 for anything else. A terminal that does not speak UTF-8 takes
 * the bytes 0x80 to 0x9F for control characters (C1), and one that does so takes U+0080 to U+009F. */
static size_t character(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    static const uint32_t least[] = {0, 0x20, 0xA0, 0x800, 0x10000};
    size_t size = at[0] < 0x80 ? 1 : at[0] < 0xC2 ? 0 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : at[0] < 0xF5 ? 4 : 0;
    if (size <= 1)
        return size == 1 && at[0] >= 0x20 && at[0] != 0x7F;
    uint32_t code = at[0] & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3F);
    }
    return code >= least[size] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF) ? size : 0;
}

/* What one ? stands for: a control character of two bytes, or one byte. */
static size_t control_size(const char *text)
{
    return (unsigned char)text[0] == 0xC2 && ((unsigned char)text[1] & 0xE0) == 0x80 ? 2 : 1;
}

void print_safe(const char *text, size_t most, FILE *out)
{
    size_t len = strlen(text), shown = len;
    if (len > most) {
        shown = most - 2;
        while (shown > 0 && ((unsigned char)text[shown] & 0xC0) == 0x80)
            shown--; /* not in the middle of a character of UTF-8 */
    }
    for (size_t at = 0, size; at < shown; at += size) {
        size = character(text + at);
        if (size > 0)
            fwrite(text + at, 1, size, out);
        else
            fputc('?', out);
        size = size ? size : control_size(text + at);
    }
    if (shown < len)
        fputs("..", out);
}

void print_verdict(const atls_verdict *verdict, FILE *out)
{
    static const char *const outcome[] = {"pass", "FAIL", "-"};
    for (size_t i = 0; i < atls_verdict_check_count(verdict); i++) {
        atls_check check = atls_verdict_check_outcome(verdict, i);
        fprintf(out, "  %-4s  %-24s ", check <= ATLS_CHECK_SKIPPED ? outcome[check] : "?", atls_verdict_check_name(verdict, i).ptr);
        print_safe(atls_verdict_check_actual(verdict, i).ptr, 96, out);
        if (check == ATLS_CHECK_FAIL) {
            fputs("\n        expected                 ", out);
            print_safe(atls_verdict_check_expected(verdict, i).ptr, 96, out);
        }
        fputc('\n', out);
    }
    const char *tcb = atls_verdict_tcb_status(verdict).ptr; /* "" if the vendor publishes none */
    fprintf(out, "%s: %s, %s%s%strust anchor %s%s\n", atls_verdict_trusted(verdict) ? "trusted" : "NOT TRUSTED",
            atls_verdict_tee_type(verdict).ptr, *tcb ? "TCB " : "", tcb, *tcb ? ", " : "", atls_verdict_trust_anchor(verdict).ptr,
            atls_verdict_bound_to_session(verdict) ? "" : " (not bound to a session)");
}

static struct {
    const char *what;
    uint64_t done, total;
    struct timespec begun;
    double shown; /* when the bar was drawn last, in seconds since it began */
    bool active, visible;
} bar;

static double since(const struct timespec *then)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - then->tv_sec) + (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

void progress_begin(const char *what, uint64_t total)
{
    progress_end();
    bar.what = what;
    bar.done = 0;
    bar.total = total;
    bar.shown = 0.75; /* so that it appears after a second */
    bar.active = isatty(STDERR_FILENO) == 1;
    clock_gettime(CLOCK_MONOTONIC, &bar.begun);
}

void progress_add(uint64_t bytes)
{
    bar.done += bytes;
    if (!bar.active)
        return;
    double time = since(&bar.begun);
    if (time < bar.shown + 0.25)
        return;
    bar.shown = time;
    bar.visible = true;
    double speed = (double)bar.done / time / 1e6, mega = (double)bar.done / 1e6;
    if (bar.total) {
        int cells = bar.done >= bar.total ? 30 : (int)(bar.done * 30 / bar.total);
        fprintf(stderr, "\r%s [%-30.*s] %3d %%  %.1f MB  %.1f MB/s ", bar.what, cells, "##############################",
                (int)((double)bar.done * 100 / (double)bar.total), mega, speed);
    } else {
        fprintf(stderr, "\r%s  %.1f MB  %.1f MB/s ", bar.what, mega, speed);
    }
    fflush(stderr);
}

void progress_end(void)
{
    if (bar.visible)
        fprintf(stderr, "\r%*s\r", 76, "");
    bar.visible = bar.active = false;
}
