/* The lane of long scans: they may hold at most three quarters of the workers that a generation may have, so that the small objects
 * behind them always find one. How long a scan will take is not known beforehand, so large objects count from their begin, and
 * every scan that has run for a second. Only large ones are kept waiting. Shared memory between a generation and its workers. */
#ifndef SALLYPORT_SCAND_LANE_H
#define SALLYPORT_SCAND_LANE_H

#include "sallyport/board.h"

#include <stdbool.h>

#define SP_LANE_LARGE_BYTES (1u << 20)
#define SP_LANE_HUGE_BYTES (16u << 20) /* as good as long from the begin */
#define SP_LANE_LONG_US 1000000 /* a scan that has run for this long is a long one, however small its object */

struct sp_lane {
    /* by slot; written by the worker, and by its parent after its end */
    atomic_bool is_in[SP_BOARD_MAX_WORKERS];
    atomic_bool is_huge[SP_BOARD_MAX_WORKERS];
};

/* Shared with every process forked from now on. NULL only without memory. */
struct sp_lane *sp_lane_new(void);
void sp_lane_free(struct sp_lane **lane); /* accepts NULL inside; sets NULL */

/* How many of max workers long scans may hold. Of fewer than four: all. */
unsigned sp_lane_width(unsigned max_workers);

/* For a busy worker, before it scans a large object. False: the lane is full, and the worker is not in it. */
bool sp_lane_enter(struct sp_lane *lane, const struct sp_board *board, unsigned generation, unsigned slot, unsigned max_workers,
    int64_t now_us);
void sp_lane_leave(struct sp_lane *lane, unsigned slot);

#endif
