/* The dashboard while somebody sets the clock: what happened stays as old as it is, alarms hold, and the server is not thought to hang. The
 * wall clock is ours here, and so is the one that goes on while the machine sleeps. */
#include "config.h"

#include "unit.h"

#include "web/api.h"
#include "web/world.h"

#include "sallyport/clock.h"
#include "sallyport/conf.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HOUR 3600
#define DAY 86400
#define START INT64_C(1795305600) /* a round time */

static int64_t wall_s = START, boot_s = 1000;

/* In place of the C library's. */
int clock_gettime(clockid_t id, struct timespec *out)
{
    if (id != CLOCK_REALTIME && id != CLOCK_BOOTTIME)
        return (int) syscall(SYS_clock_gettime, id, out);
    *out = (struct timespec){ .tv_sec = id == CLOCK_REALTIME ? wall_s : boot_s };
    return 0;
}

struct gate {
    char dir[64], log[96];
    struct sp_conf *conf;
    struct sp_web_options options;
    struct sp_web_world world;
    struct sp_metrics *metrics;
};

static void gate_start(struct gate *g)
{
    struct sp_error err = { 0 };
    char path[96];
    wall_s = START;
    memset(g, 0, sizeof(*g));
    strcpy(g->dir, "/tmp/sp-web-clock-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(g->dir));
    snprintf(g->log, sizeof(g->log), "%s/log", g->dir);
    snprintf(path, sizeof(path), "%s/icap.stat", g->dir);
    ck_assert_int_eq(sp_conf_defaults(&g->conf), SP_OK);
    free(g->conf->run_dir);
    free(g->conf->log_file);
    g->conf->run_dir = strdup(g->dir);
    g->conf->log_file = strdup(g->log);
    ck_assert_msg(sp_metrics_open(path, &err, &g->metrics) == SP_OK, "%s", err.text);
    g->options.conf = g->conf;
    ck_assert_int_eq(sp_web_world_init(&g->world, &g->options, &err), SP_OK);
    g->world.ticks = 1; /* only the first tick and each third one ask the scanner, which is not there */
}

static void gate_stop(struct gate *g)
{
    char path[96];
    sp_web_world_fini(&g->world);
    sp_metrics_close(&g->metrics);
    sp_conf_free(&g->conf);
    snprintf(path, sizeof(path), "%s/icap.stat", g->dir);
    unlink(path);
    unlink(g->log);
    ck_assert_int_eq(rmdir(g->dir), 0);
}

/* Seconds pass, one tick in each. */
static void pass(struct gate *g, unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++) {
        wall_s++;
        boot_s++;
        g->world.ticks = 1;
        sp_web_world_tick(&g->world);
    }
}

static void refuse(struct gate *g, enum sp_outcome outcome, const char *client)
{
    char when[SP_CLOCK_TEXT_SIZE];
    const struct sp_metrics_txn txn = { .direction = SP_REQMOD, .outcome = outcome, .action = SP_ACTION_BLOCK };
    sp_metrics_count(g->metrics, &txn);
    FILE *f = fopen(g->log, "a");
    ck_assert_ptr_nonnull(f);
    sp_clock_format(wall_s * 1000000, when);
    fprintf(f, "{\"time\":\"%s\",\"id\":\"%s\",\"client\":\"%s\",\"outcome\":\"%s\",\"action\":\"block\"}\n", when, client, client,
        sp_outcome_name(outcome));
    fclose(f);
}

/* What /api/series says was blocked, at so many seconds before now or up to a step later; -1: not known. */
static int64_t blocked(struct gate *g, enum sp_web_range range, int64_t age_s)
{
    const int64_t step_s = sp_web_history_step(range);
    return sp_web_history_get(g->world.history, range, SP_WEB_BLOCKED, (wall_s - age_s) / step_s * step_s);
}

static int64_t blocked_about(struct gate *g, enum sp_web_range range, int64_t age_s)
{
    int64_t sum = 0;
    for (int64_t step = -1; step <= 1; step++) {
        const int64_t value = blocked(g, range, age_s + step * sp_web_history_step(range));
        sum += value == SP_WEB_UNKNOWN ? 0 : value;
    }
    return sum;
}

static void expect_in(struct gate *g, sp_web_handler_fn answer, const char *part, bool is_there)
{
    struct sp_web_reply reply = { .status = 200 };
    const struct sp_web_request request = { .path = SP_STR("/") };
    sp_buf_init(&reply.body, 4 << 20);
    ck_assert_int_eq(answer(&g->world, &request, &reply), SP_OK);
    ck_assert_int_eq(sp_buf_add(&reply.body, "", 1), SP_OK);
    ck_assert_msg((strstr(reply.body.p, part) != NULL) == is_there, "%s is%s in %s", part, is_there ? " not" : "", reply.body.p);
    sp_buf_fini(&reply.body);
}

/* An hour of life, then the clock is set, then some more. */
static const int64_t jumps[] = { -10, -45, -HOUR / 2, -HOUR, -2 * HOUR, -DAY, -400 * DAY, -(START - 2 * DAY), 10, 45, HOUR / 2, 2 * HOUR,
    DAY, 400 * DAY };

START_TEST(charts)
{
    struct gate g;
    gate_start(&g);
    pass(&g, 5);
    refuse(&g, SP_OUTCOME_RULE, "early");
    pass(&g, 600);
    refuse(&g, SP_OUTCOME_ERROR, "late");
    refuse(&g, SP_OUTCOME_RULE, "late");
    pass(&g, 20);
    ck_assert_int_eq(g.world.state.troubles, 1);
    wall_s += jumps[_i];
    pass(&g, 20);
    ck_assert_int_eq(g.world.clock_set, 1);
    ck_assert_msg(blocked_about(&g, SP_WEB_HOUR, 40) == 2, "40 s ago: %d", (int) blocked_about(&g, SP_WEB_HOUR, 40));
    ck_assert_msg(blocked_about(&g, SP_WEB_HOUR, 640) == 1, "640 s ago: %d", (int) blocked_about(&g, SP_WEB_HOUR, 640));
    ck_assert_int_eq(blocked_about(&g, SP_WEB_DAY, 640), 1);
    for (int64_t age = 10; age < 600; age += 5)
        ck_assert_msg(blocked(&g, SP_WEB_HOUR, age) != SP_WEB_UNKNOWN, "%d s ago is not known", (int) age);
    ck_assert_msg(blocked(&g, SP_WEB_HOUR, 700) == SP_WEB_UNKNOWN, "nobody watched 700 s ago");
    ck_assert_int_eq(g.world.state.troubles, 1);
    refuse(&g, SP_OUTCOME_ERROR, "now");
    pass(&g, 10);
    ck_assert_int_eq(g.world.state.troubles, 2);
    ck_assert_int_eq(blocked_about(&g, SP_WEB_HOUR, 10), 1);
    ck_assert(g.world.started_us == (wall_s - 655) * 1000000);
    expect_in(&g, sp_web_api_series, "\"clock_set\":1,", true);
    pass(&g, 300);
    ck_assert_int_eq(g.world.state.troubles, 0);
    gate_stop(&g);
}
END_TEST

/* Those whose refusals are older than an hour are not on the list of the last hour, and others are, whatever their lines say. */
START_TEST(top)
{
    struct gate g;
    gate_start(&g);
    refuse(&g, SP_OUTCOME_RULE, "first");
    pass(&g, 1);
    for (unsigned i = 0; i < HOUR / 10; i++) { /* the machine is asleep: both clocks go on */
        wall_s += 9;
        boot_s += 9;
        pass(&g, 1);
    }
    refuse(&g, SP_OUTCOME_RULE, "second");
    pass(&g, 5);
    ck_assert_int_eq(g.world.clock_set, 0);
    wall_s += jumps[_i];
    pass(&g, 1);
    refuse(&g, SP_OUTCOME_RULE, "third");
    pass(&g, 1);
    expect_in(&g, sp_web_api_top, "first", false);
    expect_in(&g, sp_web_api_top, "\"second\",\"n\":1", true);
    expect_in(&g, sp_web_api_top, "\"third\",\"n\":1", true);
    gate_stop(&g);
}
END_TEST

/* Between the setting and the next tick: neither healthz nor the page thinks that the server hangs, and what hangs is seen. */
START_TEST(freshness)
{
    struct gate g;
    char now[64];
    gate_start(&g);
    pass(&g, 3);
    g.world.state.is_answering = true;
    wall_s += jumps[_i];
    ck_assert(sp_web_state_serves(&g.world.state));
    snprintf(now, sizeof(now), "\"taken\":%lld9", (long long) wall_s - 1);
    expect_in(&g, sp_web_api_status, now, true); /* less than a second before now */
    g.world.state.taken_mono_us -= 16 * 1000000;
    ck_assert(!sp_web_state_serves(&g.world.state));
    gate_stop(&g);
}
END_TEST

/* Slewing, and a clock that is set by less than shows. */
START_TEST(slewing)
{
    struct gate g;
    gate_start(&g);
    for (unsigned i = 0; i < 100; i++) {
        boot_s++;
        wall_s++;
        g.world.clock_us += 400000;
        g.world.ticks = 1;
        sp_web_world_tick(&g.world);
    }
    ck_assert_int_eq(g.world.clock_set, 0);
    gate_stop(&g);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("web_clock");
    const int n = sizeof(jumps) / sizeof(jumps[0]);
    tcase_add_loop_test(tc, charts, 0, n);
    tcase_add_loop_test(tc, top, 0, n);
    tcase_add_loop_test(tc, freshness, 0, n);
    tcase_add_test(tc, slewing);
    return unit_run("web_clock", tc);
}
