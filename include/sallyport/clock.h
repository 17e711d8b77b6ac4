/* The clocks. Durations and deadlines use the monotonic one, log lines the wall clock, which anybody may set at any time. */
#ifndef SALLYPORT_CLOCK_H
#define SALLYPORT_CLOCK_H

#include <stdint.h>

/* Microseconds of CLOCK_MONOTONIC; never goes back, starts anywhere. */
int64_t sp_clock_mono_us(void);

/* Likewise, but it goes on while the machine sleeps: what the wall clock does beside it was done to the wall clock. */
int64_t sp_clock_boot_us(void);

/* Microseconds since 1970-01-01 UTC. */
int64_t sp_clock_wall_us(void);

/* "2026-11-22T14:26:39.123456Z" (RFC 3339) into out; always terminated. */
#define SP_CLOCK_TEXT_SIZE 32
void sp_clock_format(int64_t wall_us, char out[SP_CLOCK_TEXT_SIZE]);

#endif
