/* Slots of the board. Relaxed order throughout: each field stands for itself, nothing is published through it. */
#include "config.h"

#include "slots.h"

#include "sallyport/assert.h"

#define CLAIMED (-1)             /* as pid: a fork is under way */
#define OVERDUE_GRACE_US 1000000 /* between a worker's own deadline and ours */

static int32_t pid_of(const struct sp_board *board, unsigned slot)
{
    return atomic_load_explicit(&board->workers[slot].pid, memory_order_relaxed);
}

static unsigned generation_of(const struct sp_board *board, unsigned slot)
{
    return atomic_load_explicit(&board->workers[slot].generation, memory_order_relaxed);
}

int sp_slot_claim(struct sp_board *board, unsigned generation)
{
    for (int i = 0; i < SP_BOARD_MAX_WORKERS; i++) {
        struct sp_board_worker *worker = &board->workers[i];
        int32_t expected = 0;
        if (!atomic_compare_exchange_strong(&worker->pid, &expected, CLAIMED))
            continue;
        worker->generation = generation;
        worker->busy_since_us = 0;
        worker->deadline_us = 0;
        worker->forbidden = 0;
        return i;
    }
    return -1;
}

void sp_slot_assign(struct sp_board *board, unsigned slot, pid_t pid)
{
    SP_ASSERT(slot < SP_BOARD_MAX_WORKERS);
    board->workers[slot].pid = pid;
}

void sp_slot_free(struct sp_board *board, unsigned slot)
{
    SP_ASSERT(slot < SP_BOARD_MAX_WORKERS);
    struct sp_board_worker *worker = &board->workers[slot];
    worker->busy_since_us = 0;
    worker->deadline_us = 0;
    worker->generation = 0;
    worker->pid = 0;
}

int sp_slot_find(const struct sp_board *board, pid_t pid)
{
    for (int i = 0; i < SP_BOARD_MAX_WORKERS; i++)
        if (pid_of(board, (unsigned) i) == pid)
            return i;
    return -1;
}

void sp_slots_free_claimed(struct sp_board *board, unsigned generation)
{
    for (unsigned i = 0; i < SP_BOARD_MAX_WORKERS; i++)
        if (pid_of(board, i) == CLAIMED && generation_of(board, i) == generation)
            sp_slot_free(board, i);
}

bool sp_slot_is_overdue(const struct sp_board *board, unsigned slot, int64_t now_us)
{
    SP_ASSERT(slot < SP_BOARD_MAX_WORKERS);
    int64_t deadline_us = atomic_load_explicit(&board->workers[slot].deadline_us, memory_order_relaxed);
    return deadline_us != 0 && now_us > deadline_us + OVERDUE_GRACE_US;
}

bool sp_slots_want_more(const struct sp_board *board, unsigned generation, unsigned max)
{
    unsigned alive = 0;
    for (unsigned i = 0; i < SP_BOARD_MAX_WORKERS; i++) {
        if (pid_of(board, i) == 0 || generation_of(board, i) != generation)
            continue;
        if (atomic_load_explicit(&board->workers[i].busy_since_us, memory_order_relaxed) == 0)
            return false; /* idle, or about to be born */
        alive++;
    }
    return alive < max;
}

bool sp_slots_all_busy_since(const struct sp_board *board, unsigned generation, int64_t at_us)
{
    for (unsigned i = 0; i < SP_BOARD_MAX_WORKERS; i++) {
        if (pid_of(board, i) == 0 || generation_of(board, i) != generation)
            continue;
        const int64_t since_us = atomic_load_explicit(&board->workers[i].busy_since_us, memory_order_relaxed);
        if (since_us == 0 || since_us > at_us)
            return false;
    }
    return true;
}
