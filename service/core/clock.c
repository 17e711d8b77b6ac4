/* The clocks, in microseconds. */
#include "config.h"

#include "sallyport/clock.h"

#include <stdio.h>
#include <time.h>

#define US_PER_S 1000000

static int64_t read_clock(clockid_t id)
{
    struct timespec ts = { 0 };
    clock_gettime(id, &ts);
    return (int64_t) ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

int64_t sp_clock_mono_us(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t sp_clock_boot_us(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

int64_t sp_clock_wall_us(void)
{
    return read_clock(CLOCK_REALTIME);
}

void sp_clock_format(int64_t wall_us, char out[SP_CLOCK_TEXT_SIZE])
{
    time_t s = (time_t) (wall_us / US_PER_S);
    unsigned us = (unsigned) (wall_us % US_PER_S);
    struct tm tm = { 0 };
    char date[24] = "";
    if (gmtime_r(&s, &tm))
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, SP_CLOCK_TEXT_SIZE, "%s.%06uZ", date, us % US_PER_S);
}
