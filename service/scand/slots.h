/* The life of a worker's slot on the board. Any generation claims, the parent of a worker frees, so that a pid on the board is
 * never one that the kernel has given to somebody else. */
#ifndef SALLYPORT_SCAND_SLOTS_H
#define SALLYPORT_SCAND_SLOTS_H

#include "sallyport/board.h"

#include <sys/types.h>

/* Reserves a free slot before the fork: its index, or -1 when none is left. */
int sp_slot_claim(struct sp_board *board, unsigned generation);
/* The fork succeeded: the worker's pid. */
void sp_slot_assign(struct sp_board *board, unsigned slot, pid_t pid);
/* The worker is reaped, or its fork failed. */
void sp_slot_free(struct sp_board *board, unsigned slot);

/* The slot of this pid, or -1. */
int sp_slot_find(const struct sp_board *board, pid_t pid);
/* Frees what a generation that died between claim and fork has left behind. */
void sp_slots_free_claimed(struct sp_board *board, unsigned generation);

/* A worker that did not stop itself at its deadline is stopped or stuck. */
bool sp_slot_is_overdue(const struct sp_board *board, unsigned slot, int64_t now_us);

/* Whether the workers of the generation are all busy and fewer than max. For workers that have just become busy. */
bool sp_slots_want_more(const struct sp_board *board, unsigned generation, unsigned max);

/* Whether each of them has been in one scan since at_us (monotonic) or longer. */
bool sp_slots_all_busy_since(const struct sp_board *board, unsigned generation, int64_t at_us);

#endif
