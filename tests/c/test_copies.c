/* Where the copies of a download come from and go to. glibc's copies of more than 2 KiB are very slow on some processors if the destination is 1 to 16 bytes
 * beyond the source, counted within a page. Which copies are so is chance, of the heap and of the host's buffer: so a download is tried with many of both. */
#define _GNU_SOURCE
#include <stdint.h>

#include "sim.h"

static struct sim sim;

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
static _Thread_local atls_error *error;

/* The copy of a record's remainder may be slow by chance: about one in a hundred is. */
enum { PAGE = 4096, SLOW = 16, LONG = 2 << 10, BODY = 160000, ROOM = 65536, CHANCE = 6 };

static _Atomic unsigned long copies, slow;

static void note(const void *to, const void *from, size_t len)
{
    uintptr_t distance = ((uintptr_t)to - (uintptr_t)from) % PAGE;
    copies += len > LONG;
    slow += len > LONG && distance >= 1 && distance <= SLOW;
}

/* The library's copies come through these two, which stand before libc's. What libc exports for checked code does the work; volatile, so that the
 * compiler makes no memmove or memcpy of it, which would call itself for ever. */
void *__memmove_chk(void *to, const void *from, size_t len, size_t room);
static void *(*volatile move)(void *to, const void *from, size_t len, size_t room) = __memmove_chk;

void *memmove(void *to, const void *from, size_t len)
{
    note(to, from, len);
    return move(to, from, len, SIZE_MAX);
}

void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
    note(to, from, len);
    return move(to, from, len, SIZE_MAX);
}

static atls_request *request(void)
{
    char path[64];
    atls_request *made = NULL;
    snprintf(path, sizeof path, "/bytes/%d", BODY);
    OK(atls_request_new("GET", path, "localhost", &made, &error));
    return made;
}

static void read_into(atls_exchange *exchange, unsigned char *room)
{
    size_t all = 0, n;
    do {
        OK(atls_exchange_read(exchange, room, ROOM, 10000, &n, &error));
        all += n;
    } while (n);
    CHECK(all == BODY);
    atls_exchange_free(exchange);
}

/* One download for each place within a page that malloc could give a buffer. */
static void a_download_makes_no_slow_copy_wherever_its_buffers_are(void)
{
    enum { STEP = 16 };
    static _Alignas(PAGE) unsigned char place[PAGE + ROOM];
    static void *between[PAGE / STEP];
    atls_config *config = sim_config(sim.http, NULL);
    atls_request *get = request();
    for (size_t at = 0; at < PAGE / STEP; at++) {
        atls_http *http = NULL;
        atls_exchange *exchange = NULL;
        OK(atls_http_connect(config, &http, &error));
        /* Moves what the heap gives next. */
        between[at] = malloc(STEP * at + 24);
        unsigned long before = slow;
        OK(atls_http_fetch(http, get, &exchange, &error));
        read_into(exchange, place + STEP * at);
        if (slow - before > CHANCE)
            fprintf(stderr, "%lu copies are slow with a buffer %zu bytes into a page\n", slow - before, STEP * at);
        CHECK(slow - before <= CHANCE);
        atls_http_free(http);
    }
    CHECK(copies > 0 && slow * 20 < copies);
    for (size_t at = 0; at < PAGE / STEP; at++)
        free(between[at]);
    atls_request_free(get);
    atls_config_free(config);
}

/* The same of a raw stream, whose echo comes back while it is written. */
static void a_stream_makes_no_slow_copy_wherever_its_buffers_are(void)
{
    enum { STEP = 16, PIECE = 40000 };
    static _Alignas(PAGE) unsigned char place[PAGE + PIECE], sent[PIECE];
    atls_config *config = sim_config(sim.raw, "policy.json");
    atls_stream *stream = NULL;
    OK(atls_stream_connect(config, &stream, &error));
    for (size_t at = 0; at < PAGE / STEP; at++) {
        unsigned long before = slow;
        OK(atls_stream_write_all(stream, atls_bytes_of(sent, PIECE), 10000, &error));
        for (size_t have = 0, n; have < PIECE; have += n) {
            OK(atls_stream_read(stream, place + STEP * at + have, PIECE - have, 10000, &n, &error));
            CHECK(n > 0);
        }
        CHECK(slow - before <= 2);
    }
    CHECK(copies > 0);
    atls_stream_free(stream);
    atls_config_free(config);
}
#else
static void a_download_makes_no_slow_copy_wherever_its_buffers_are(void)
{
    exit(77);
}

static void a_stream_makes_no_slow_copy_wherever_its_buffers_are(void)
{
    exit(77);
}
#endif

static void set_up(void)
{
    sim = sim_start();
}

TESTS(set_up, NULL, CASE(a_download_makes_no_slow_copy_wherever_its_buffers_are), CASE(a_stream_makes_no_slow_copy_wherever_its_buffers_are))
