/* writeout.c - `-w FORMAT`: facts about a transfer on standard output, when it is over. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failure.h"
#include "job.h"
#include "output.h"

enum fact {
    HTTP_CODE,
    CONTENT_TYPE,
    URL_EFFECTIVE,
    NUM_REDIRECTS,
    REMOTE,
    SIZE_DOWNLOAD,
    SIZE_UPLOAD,
    TIME_NAMELOOKUP,
    TIME_CONNECT,
    TIME_APPCONNECT,
    TIME_ATTESTED,
    TIME_STARTTRANSFER,
    TIME_TOTAL,
    TEE_TYPE,
    TCB_STATUS,
};

static const char *const names[] = {
    "http_code",       "content_type", "url_effective", "num_redirects",   "remote",        "size_download",      "size_upload",
    "time_namelookup", "time_connect", "time_appconnect", "time_attested", "time_starttransfer", "time_total", "tee_type", "tcb_status",
};

static int find_fact(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == len && strncmp(names[i], name, len) == 0)
            return (int)i;
    return -1;
}

int writeout_check(const char *format)
{
    for (const char *at = format; (at = strstr(at, "%{")); at += 2) {
        size_t len = strcspn(at + 2, "}");
        if (at[2 + len] != '}' || find_fact(at + 2, len) < 0)
            return fail(CODE_CALL, "--write-out: '%.*s' is not known; man atls-get lists what is", (int)len + 3, at);
    }
    return 0;
}

/* From the start, as curl counts: the sum of the phases up to one, in seconds. */
static double time_until(const struct job *job, atls_exchange_time last)
{
    if (last == ATLS_EXCHANGE_TIME_TOTAL) {
        uint64_t total = atls_exchange_time_us(job->exchange, last);
        return total == UINT64_MAX ? 0 : (double)total / 1e6;
    }
    double sum = 0;
    for (uint32_t phase = ATLS_EXCHANGE_TIME_QUEUE; phase <= last; phase++) {
        uint64_t time = atls_exchange_time_us(job->exchange, phase);
        sum += time == UINT64_MAX ? 0 : (double)time / 1e6;
    }
    return sum;
}

static void print_verdict_fact(const struct job *job, enum fact fact)
{
    atls_verdict *verdict = atls_exchange_verdict(job->exchange);
    if (verdict)
        fputs((fact == TEE_TYPE ? atls_verdict_tee_type(verdict) : atls_verdict_tcb_status(verdict)).ptr, stdout);
    atls_verdict_free(verdict);
}

/* The server's words: as they are for a program, without control characters for a terminal. */
static void print_foreign(const char *text)
{
    if (isatty(STDOUT_FILENO))
        print_safe(text, 4096, stdout);
    else
        fputs(text, stdout);
}

static void print_fact(const struct job *job, enum fact fact)
{
    static const atls_exchange_time phases[] = {ATLS_EXCHANGE_TIME_DNS,        ATLS_EXCHANGE_TIME_CONNECT,
                                                ATLS_EXCHANGE_TIME_TLS,        ATLS_EXCHANGE_TIME_ATTEST,
                                                ATLS_EXCHANGE_TIME_FIRST_BYTE, ATLS_EXCHANGE_TIME_TOTAL};
    switch (fact) {
    case HTTP_CODE:
        printf("%03u", atls_head_status(job->head));
        break;
    case CONTENT_TYPE:
        print_foreign(atls_head_get(job->head, "Content-Type").ptr);
        break;
    case URL_EFFECTIVE:
        print_foreign(atls_exchange_url(job->exchange).ptr);
        break;
    case NUM_REDIRECTS:
        printf("%u", atls_exchange_redirects(job->exchange));
        break;
    case REMOTE:
        fputs(atls_exchange_peer(job->exchange).ptr, stdout);
        break;
    case SIZE_DOWNLOAD:
    case SIZE_UPLOAD:
        printf("%llu", (unsigned long long)(fact == SIZE_UPLOAD ? job->sent : job->received));
        break;
    case TEE_TYPE:
    case TCB_STATUS:
        print_verdict_fact(job, fact);
        break;
    default:
        printf("%.6f", time_until(job, phases[fact - TIME_NAMELOOKUP]));
    }
}

void writeout_print(const struct job *job, const char *format)
{
    static const char letters[] = "ntr\\", meant[] = "\n\t\r\\";
    for (const char *at = format; *at; at++) {
        const char *letter = at[0] == '\\' && at[1] ? strchr(letters, at[1]) : NULL;
        if (letter) {
            putchar(meant[letter - letters]);
            at++;
        } else if (strncmp(at, "%{", 2) == 0) {
            size_t len = strcspn(at + 2, "}");
            print_fact(job, (enum fact)find_fact(at + 2, len));
            at += len + 2;
        } else if (strncmp(at, "%%", 2) == 0) {
            putchar(*at++);
        } else {
            putchar(*at);
        }
    }
}
