/* What the supervisor tells of itself: on the board, to the service manager, in the log. */
#include "config.h"

#include "supervisor_priv.h"

#include "notify.h"

#include "sallyport/clock.h"

#include <stdio.h>
#include <string.h>

struct child *sp_supervisor_find(struct supervisor *s, enum stage stage)
{
    for (size_t i = 0; i < GENERATIONS_MAX; i++)
        if (s->children[i].stage == stage)
            return &s->children[i];
    return NULL;
}

void sp_supervisor_notify_status(const struct supervisor *s)
{
    char text[SP_BOARD_TEXT_SIZE];
    snprintf(text, sizeof(text), "%s, generation %u, %u signatures", sp_scand_state_name(atomic_load(&s->board->state)),
        atomic_load(&s->board->generation), atomic_load(&s->board->signatures));
    sp_notify_status(text);
}

void sp_supervisor_show_state(struct supervisor *s)
{
    const uint64_t crashes = atomic_load(&s->board->crashed) - s->crashes_seen[s->tick % CRASH_WINDOW_TICKS];
    const struct child *serving = sp_supervisor_find(s, STAGE_SERVING);
    enum sp_scand_state state = SP_SCAND_SERVING;
    if (s->stop_us != 0)
        return; /* STOPPED comes last */
    if (!serving && !sp_supervisor_find(s, STAGE_ORPHANED))
        state = SP_SCAND_LOADING;
    else if (!serving || s->is_load_refused || crashes >= CRASHES_DEGRADED)
        state = SP_SCAND_DEGRADED;
    if (atomic_exchange(&s->board->state, state) != (unsigned) state)
        sp_supervisor_notify_status(s);
}

void sp_supervisor_note_failure(struct supervisor *s, const char *text)
{
    memset(s->board->last_error, 0, sizeof(s->board->last_error));
    snprintf(s->board->last_error, sizeof(s->board->last_error), "%s", text);
}

void sp_supervisor_note_load_done(struct supervisor *s, bool is_refused)
{
    s->is_load_refused = is_refused;
    s->board->is_load_refused = is_refused;
    s->takes_fewer = false;
    s->board->loads_done = atomic_load(&s->board->loads_begun);
}

void sp_supervisor_note_refusal(struct supervisor *s, unsigned number, const char *text)
{
    atomic_fetch_add(&s->board->refused, 1);
    s->board->refused_wall_us = sp_clock_wall_us();
    sp_supervisor_note_failure(s, text);
    sp_supervisor_note_load_done(s, true);
    if (s->board->generation == 0)
        sp_log(s->env->log, SP_LOG_ERROR, "%s", text);
    else
        sp_log(s->env->log, SP_LOG_ERROR, "generation %u refused, generation %u serves on: %s", number, atomic_load(&s->board->generation),
            text);
}

void sp_supervisor_show_engine(struct supervisor *s, const struct child *child, const struct sp_generation_report *report)
{
    struct sp_board *board = s->board;
    board->generation = child->number;
    board->culprits_before = atomic_load(&board->culprits);
    board->signatures = report->signatures;
    board->engine_id = report->engine_id;
    board->database_time = report->database_time;
    board->loaded_wall_us = sp_clock_wall_us();
    board->min_workers = report->workers;
    board->max_workers = (unsigned) (*s->env->conf)->scan_max_workers;
    sp_supervisor_notify_status(s);
    sp_log(s->env->log, SP_LOG_NOTICE, "ready: generation %u, %u signatures, %u workers, engine %016llx, %s", child->number,
        report->signatures, report->workers, (unsigned long long) report->engine_id, s->env->rundir->socket_path);
}
