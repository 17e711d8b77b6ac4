/* All that the pages tell about, kept up to date by one thread and read by those that answer requests. Between the modules of
 * service/web only. */
#ifndef SALLYPORT_WEB_WORLD_H
#define SALLYPORT_WEB_WORLD_H

#include "follow.h"
#include "history.h"
#include "recent.h"
#include "state.h"
#include "web.h"

#include <pthread.h>

struct sp_web_world {
    const struct sp_web_options *options; /* borrowed; immutable */
    struct sp_web_follow *follow;         /* of the thread that ticks; NULL: there is no log */
    unsigned ticks;                       /* so far; of that thread */
    int64_t clock_us;                     /* how far the wall clock is from the boot clock; of that thread */
    pthread_mutex_t lock;                 /* guards what follows; held for milliseconds */
    int64_t started_us; /* by the clock as it is set now */
    unsigned clock_set; /* how often the clock was set since */
    struct sp_web_state state;
    struct sp_web_history *history;
    struct sp_web_recent *recent;
};

enum sp_status sp_web_world_init(struct sp_web_world *world, const struct sp_web_options *options, struct sp_error *err) SP_MUST_CHECK;
void sp_web_world_fini(struct sp_web_world *world); /* accepts one that is all zero */

/* Looks at everything anew. Once a second; the first one reads the tail of the log and what it says about the time before. */
void sp_web_world_tick(struct sp_web_world *world);

#endif
