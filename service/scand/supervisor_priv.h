/* For supervisor.c and supervisor_show.c only: what the supervisor knows, and how it tells of it. */
#ifndef SALLYPORT_SCAND_SUPERVISOR_PRIV_H
#define SALLYPORT_SCAND_SUPERVISOR_PRIV_H

#include "generation.h"
#include "supervisor.h"
#include "watch.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define GENERATIONS_MAX 8 /* alive at once: one serves, one loads, the rest finish what they hold */
#define US_PER_MS 1000
#define US_PER_S 1000000
#define CRASH_WINDOW_TICKS 10
#define CRASHES_DEGRADED 10 /* in that window */

enum stage { STAGE_FREE, STAGE_LOADING, STAGE_SERVING, STAGE_RETIRING, STAGE_ORPHANED /* dead, its workers serve on */ };

struct child {
    enum stage stage;
    unsigned number;
    pid_t pid; /* 0: dead */
    int lifeline_fd, report_fd;
    int64_t since_us; /* of the stage */
    bool is_gentle;   /* loads with what the processor has left */
    bool is_too_slow; /* so it was killed */
    int64_t limit_us; /* for loading */
};

struct supervisor {
    const struct sp_supervisor_env *env;
    struct sp_board *board;
    struct child children[GENERATIONS_MAX];
    int signal_fd;
    unsigned last_number;
    struct sp_watch *watch;
    bool wants_reload, wants_fewer; /* asked for: a load, and one that may lose any number of signatures */
    bool takes_fewer;               /* the load under way may */
    bool is_hasty;                  /* the next load gets its full share of the processor */
    bool is_load_refused;           /* the newest load failed */
    uint64_t tried, serving;        /* sp_dbset_print of what the newest load found, and of what serves */
    int64_t restart_at_us;          /* 0: no restart is due */
    unsigned backoff_ms;
    unsigned retry_ms; /* after a load that failed for no fault of the databases */
    int64_t aged_us;   /* when it was told that they are old; 0: not yet */
    int64_t stop_us;   /* 0: running */
    bool is_urgent;    /* told twice to stop */
    bool is_first_refused;
    bool is_lost; /* told that clients cannot find us */
    uint64_t crashes_seen[CRASH_WINDOW_TICKS];
    unsigned tick;
    int64_t tick_us;
};

/* The first generation in this stage, or NULL. */
struct child *sp_supervisor_find(struct supervisor *s, enum stage stage);

/* The board's state, from what there is. */
void sp_supervisor_show_state(struct supervisor *s);
/* The board's engine, from the report of the generation that takes over. */
void sp_supervisor_show_engine(struct supervisor *s, const struct child *child, const struct sp_generation_report *report);
void sp_supervisor_notify_status(const struct supervisor *s); /* to the service manager */

void sp_supervisor_note_failure(struct supervisor *s, const char *text);
/* A load that was refused is done; this logs why. */
void sp_supervisor_note_refusal(struct supervisor *s, unsigned number, const char *text);
void sp_supervisor_note_load_done(struct supervisor *s, bool is_refused); /* `sallyport reload` waits for this */

#endif
