/* A machine whose clock is wrong: connecting says so, and nothing panics. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

static _Thread_local atls_error *error;
static time_t wrong;
static bool is_wrong;

/* Everybody's clock, that of the library too. */
int clock_gettime(clockid_t which, struct timespec *now)
{
    int done = (int)syscall(SYS_clock_gettime, which, now);
    if (is_wrong && which == CLOCK_REALTIME)
        now->tv_sec = wrong;
    return done;
}

static void connecting(unsigned port, const char *policy, bool fails)
{
    atls_stream *stream = NULL;
    atls_config *config = sim_config(port, policy);
    atls_status status = atls_stream_connect(config, &stream, &error);
    if (fails)
        CHECK(status == ATLS_INVALID_STATE && atls_error_detail(error) == ATLS_DETAIL_CLOCK && !atls_error_retryable(error));
    if (fails)
        EXPECT(ATLS_INVALID_STATE, "clock", status);
    else
        OK(status);
    atls_stream_free(stream);
    atls_config_free(config);
}

static void a_clock_that_is_wrong_is_named_and_harms_no_later_connection(void)
{
    struct sim sim = sim_start();
    connecting(sim.raw, "policy.json", false);
    const time_t times[] = {-1, -1000000000, 253402300800, 1000000000000000};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        is_wrong = true;
        wrong = times[i];
        connecting(sim.raw, "policy.json", true);
        connecting(sim.raw, NULL, true);
        is_wrong = false;
        connecting(sim.raw, "policy.json", false);
    }
}

TESTS(NULL, NULL, CASE(a_clock_that_is_wrong_is_named_and_harms_no_later_connection))
