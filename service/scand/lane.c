/* A worker enters first and counts then: of two that come at once for the last place both may have to wait, but never do both
 * get in. */
#include "config.h"

#include "lane.h"

#include "sallyport/assert.h"

#include <stddef.h>
#include <sys/mman.h>

struct sp_lane *sp_lane_new(void)
{
    void *p = mmap(NULL, sizeof(struct sp_lane), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void sp_lane_free(struct sp_lane **lane)
{
    if (*lane)
        munmap(*lane, sizeof(**lane));
    *lane = NULL;
}

unsigned sp_lane_width(unsigned max_workers)
{
    return max_workers - max_workers / 4;
}

static unsigned count_long(const struct sp_lane *lane, const struct sp_board *board, unsigned generation, int64_t now_us)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SP_BOARD_MAX_WORKERS; i++) {
        const struct sp_board_worker *worker = &board->workers[i];
        const int64_t since_us = atomic_load_explicit(&worker->busy_since_us, memory_order_relaxed);
        if (since_us == 0 || atomic_load_explicit(&worker->generation, memory_order_relaxed) != generation)
            continue;
        if (atomic_load(&lane->is_in[i]) || now_us - since_us > SP_LANE_LONG_US)
            n++;
    }
    return n;
}

bool sp_lane_enter(struct sp_lane *lane, const struct sp_board *board, unsigned generation, unsigned slot, unsigned max_workers,
    int64_t now_us)
{
    SP_ASSERT(slot < SP_BOARD_MAX_WORKERS);
    atomic_store(&lane->is_in[slot], true);
    if (count_long(lane, board, generation, now_us) <= sp_lane_width(max_workers))
        return true;
    sp_lane_leave(lane, slot);
    return false;
}

void sp_lane_leave(struct sp_lane *lane, unsigned slot)
{
    SP_ASSERT(slot < SP_BOARD_MAX_WORKERS);
    atomic_store(&lane->is_in[slot], false);
    atomic_store(&lane->is_huge[slot], false);
}
