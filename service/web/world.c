/* One tick a second. The scanner is asked outside the lock: it may take its time to answer, or not to. */
#include "config.h"

#include "world.h"

#include "sallyport/clock.h"

#include <string.h>

#define PING_EVERY 3 /* ticks */
#define US_PER_S 1000000
#define SURE_US 100000 /* longer between two looks at clocks: they say nothing about each other */

enum sp_status sp_web_world_init(struct sp_web_world *world, const struct sp_web_options *options, struct sp_error *err)
{
    memset(world, 0, sizeof(*world));
    pthread_mutex_init(&world->lock, NULL);
    world->options = options;
    world->started_us = sp_clock_wall_us();
    world->clock_us = world->started_us - sp_clock_boot_us();
    world->history = sp_web_history_new();
    world->recent = sp_web_recent_new();
    const char *log_file = sp_web_log_file(options->conf);
    bool has_log = log_file[0] != '\0';
    if (has_log)
        world->follow = sp_web_follow_new(log_file);
    if (!world->history || !world->recent || (has_log && !world->follow)) {
        sp_web_world_fini(world);
        return sp_error_set(err, SP_ERR_NOMEM, "out of memory");
    }
    return SP_OK;
}

void sp_web_world_fini(struct sp_web_world *world)
{
    if (!world->options)
        return;
    sp_web_follow_free(&world->follow);
    sp_web_history_free(&world->history);
    sp_web_recent_free(&world->recent);
    pthread_mutex_destroy(&world->lock);
    memset(world, 0, sizeof(*world));
}

static void take_line(void *arg, struct sp_str line)
{
    struct sp_web_world *world = arg;
    sp_web_recent_add(world->recent, line);
}

/* Columns that the log tells all about: what it leaves out in its shorter form is only counted. */
static bool is_in_log(const struct sp_conf *conf, unsigned column)
{
    if (column == SP_WEB_OUTCOMES + SP_OUTCOME_CLEAN || column == SP_WEB_OUTCOMES + SP_OUTCOME_NONE)
        return conf->log_decisions == SP_LOG_ALL;
    return column == SP_WEB_BLOCKED || column == SP_WEB_REPORTED || column >= SP_WEB_OUTCOMES;
}

static void recall_entry(struct sp_web_world *world, const struct sp_web_entry *entry)
{
    const struct sp_conf *conf = world->options->conf;
    const struct sp_decline *d = &entry->d;
    const int64_t when_s = d->wall_us / 1000000;
    if (d->outcome != SP_OUTCOME_COUNT && is_in_log(conf, SP_WEB_OUTCOMES + d->outcome))
        sp_web_history_add(world->history, (enum sp_web_column) (SP_WEB_OUTCOMES + d->outcome), when_s, 1);
    if (d->has_action && d->action == SP_ACTION_BLOCK)
        sp_web_history_add(world->history, SP_WEB_BLOCKED, when_s, 1);
    if (d->has_action && d->action == SP_ACTION_REPORT)
        sp_web_history_add(world->history, SP_WEB_REPORTED, when_s, 1);
}

/* What the log remembers of the time before us. */
static void recall(struct sp_web_world *world)
{
    const size_t n = sp_web_recent_count(world->recent);
    const int64_t now_s = sp_clock_wall_us() / 1000000;
    int64_t first_s = now_s;
    for (size_t i = 0; i < n; i++) {
        int64_t when_s = sp_web_recent_at(world->recent, i)->d.wall_us / 1000000;
        if (when_s > 0 && when_s < first_s)
            first_s = when_s;
    }
    for (unsigned c = 0; n > 0 && c < SP_WEB_COLUMNS; c++)
        if (is_in_log(world->options->conf, c))
            sp_web_history_cover(world->history, (enum sp_web_column) c, first_s, now_s);
    for (size_t i = 0; i < n; i++)
        recall_entry(world, sp_web_recent_at(world->recent, i));
}

/* Somebody set the wall clock: a bad one was put right after boot, most often. What we hold keeps its age. Without that charts would say
 * "not known", or what was long ago, until a clock that went back is where it was before. Slewing is no such case. */
static void watch_clock(struct sp_web_world *world)
{
    const int64_t before = sp_clock_boot_us(), wall = sp_clock_wall_us(), after = sp_clock_boot_us();
    if (after - before > SURE_US)
        return; /* the next tick will know */
    const int64_t moved = wall - before - world->clock_us, half = moved < 0 ? -US_PER_S / 2 : US_PER_S / 2;
    const int64_t seconds = (moved + half) / US_PER_S;
    world->clock_us += moved;
    if (seconds == 0)
        return;
    sp_web_history_shift(world->history, seconds);
    sp_web_recent_shift(world->recent, moved);
    world->started_us += moved;
    world->clock_set++;
}

static void read_log(struct sp_web_world *world)
{
    struct sp_web_state *state = &world->state;
    state->log_error = (struct sp_error){ 0 };
    state->has_log = !world->follow || sp_web_follow_step(world->follow, take_line, world, &state->log_error);
    /* Before the first decision there is no file. */
    if (!state->has_log && state->is_gate_new)
        state->has_log = true;
}

void sp_web_world_tick(struct sp_web_world *world)
{
    const struct sp_conf *conf = world->options->conf;
    struct sp_web_state asked = { 0 };
    const bool is_first = world->ticks == 0, asks = world->ticks % PING_EVERY == 0;
    world->ticks++;
    if (asks)
        sp_web_state_ping(&asked, conf);
    pthread_mutex_lock(&world->lock);
    struct sp_web_state *state = &world->state;
    if (asks) {
        state->is_answering = asked.is_answering;
        state->ping_us = asked.ping_us;
        memcpy(state->ping_detail, asked.ping_detail, sizeof(state->ping_detail));
    }
    watch_clock(world);
    sp_web_state_read(state, conf);
    read_log(world);
    if (is_first)
        recall(world);
    const int64_t now_s = state->taken_us / 1000000;
    if (state->has_gate)
        sp_web_history_tick(world->history, now_s, state->totals);
    else if (state->is_gate_new) /* the first transaction makes the file: until then nothing happened */
        sp_web_history_tick(world->history, now_s, (const uint64_t[SP_WEB_COLUMNS]){ 0 });
    else
        sp_web_history_forget(world->history);
    state->troubles = sp_web_history_sum(world->history, SP_WEB_OUTCOMES + SP_OUTCOME_ERROR, now_s, SP_WEB_TROUBLE_S) +
        sp_web_history_sum(world->history, SP_WEB_OUTCOMES + SP_OUTCOME_OVERLOAD, now_s, SP_WEB_TROUBLE_S);
    state->lost = sp_web_history_sum(world->history, SP_WEB_LOST, now_s, SP_WEB_TROUBLE_S);
    pthread_mutex_unlock(&world->lock);
}
