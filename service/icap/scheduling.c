/* Batch scheduling never pushes anybody aside. Both ways are open to a process without privileges. */
#include "config.h"

#include "scheduling.h"

#include <sched.h>

static _Thread_local bool is_eager; /* what this thread was set to last */

static bool set_policy(int policy)
{
    const struct sched_param none = { 0 };
    return sched_setscheduler(0, policy, &none) == 0;
}

bool scheduling_set_up(void)
{
    return set_policy(SCHED_BATCH);
}

void scheduling_choose(bool has_long_scans)
{
    if (has_long_scans == is_eager)
        return;
    is_eager = has_long_scans;
    (void) set_policy(is_eager ? SCHED_OTHER : SCHED_BATCH);
}
