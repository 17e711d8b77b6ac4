/* A bar on stderr for what takes long: how far, how fast, how long still. Nothing at all where stderr is no terminal, and nothing
 * for what is over within half a second. One at a time, one thread. */
#ifndef SALLYPORT_CLI_PROGRESS_H
#define SALLYPORT_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sp_progress {
    uint64_t total, done; /* bytes; total 0: unknown */
    int64_t start_us, next_us; /* monotonic; next_us: when it is drawn again */
    bool is_on, is_shown;
};

void sp_progress_start(struct sp_progress *progress, uint64_t total_bytes);
void sp_progress_add(struct sp_progress *progress, uint64_t bytes);
/* Before anything is printed while it runs: takes the bar off the screen; the next add puts it back. */
void sp_progress_hide(struct sp_progress *progress);

#endif
