/* The way in which c-icap is stopped, without c-icap: here its loop is played, and its clock, which anybody may set. tests/icap has the
 * rest. */
#include "config.h"

#include "unit.h"

#include "drain.h"

#include "sallyport/clock.h"

#include <c_icap/c-icap.h>
#include <c_icap/commands.h>

#include <signal.h>
#include <unistd.h>

/* --- c-icap's commands ------------------------------------------------------------------------------------------------- */

#define MAX 8

static struct {
    time_t now;
    struct {
        const char *name;
        int type;
        void (*run)(const char *name, int type, void *data);
    } commands[MAX];
    struct {
        const char *name;
        time_t when;
    } due[MAX];
    size_t n_commands, n_due;
} server;

static volatile sig_atomic_t told;

static void on_term(int sig)
{
    (void) sig;
    told = 1;
}

void ci_command_register_action(const char *name, int type, void *data, void (*run)(const char *name, int type, void *data))
{
    (void) data;
    ck_assert_uint_lt(server.n_commands, MAX);
    server.commands[server.n_commands].name = name;
    server.commands[server.n_commands].type = type;
    server.commands[server.n_commands++].run = run;
}

/* One that is there for the same time is not taken twice. */
void ci_command_schedule_on(const char *name, void *data, time_t when)
{
    (void) data;
    for (size_t i = 0; i < server.n_due; i++)
        if (strcmp(server.due[i].name, name) == 0 && server.due[i].when == when)
            return;
    ck_assert_uint_lt(server.n_due, MAX);
    server.due[server.n_due].name = name;
    server.due[server.n_due++].when = when;
}

void ci_command_schedule(const char *name, void *data, time_t after_s)
{
    ci_command_schedule_on(name, data, server.now + after_s);
}

static void run_commands(const char *name, int type)
{
    for (size_t i = 0; i < server.n_commands; i++)
        if (server.commands[i].type == type && (!name || strcmp(server.commands[i].name, name) == 0))
            server.commands[i].run(server.commands[i].name, type, NULL);
}

/* Once through the loop: what was due when it began is run, and then taken out. */
static void go_round(void)
{
    for (size_t i = server.n_due; i > 0; i--) {
        if (server.due[i - 1].when > server.now)
            continue;
        run_commands(server.due[i - 1].name, CI_CMD_MONITOR_ONDEMAND);
        memmove(&server.due[i - 1], &server.due[i], (server.n_due - i) * sizeof(server.due[0]));
        server.n_due--;
    }
}

/* --- cases ------------------------------------------------------------------------------------------------------------- */

static void start(int64_t notice_ms, int64_t wait_ms)
{
    const struct sp_conf conf = { .stop_notice_ms = notice_ms, .stop_wait_ms = wait_ms };
    const struct sp_log log = sp_log_stderr("test", SP_LOG_ERROR);
    server.now = 1000000000;
    ck_assert(drain_set_up(&conf, 1, &log));
    ck_assert(signal(SIGTERM, on_term) != SIG_ERR);
    run_commands(NULL, CI_CMD_MONITOR_START);
    run_commands(NULL, CI_CMD_CHILD_START); /* as if the child were this process too */
    for (int i = 0; i < 3; i++, server.now++)
        go_round();
}

/* Milliseconds until c-icap has the signal. */
static int await_told(int most_ms)
{
    const int64_t began_us = sp_clock_mono_us();
    const time_t began = server.now;
    int ms = 0;
    for (; !told && ms < most_ms; ms = (int) ((sp_clock_mono_us() - began_us) / 1000)) {
        server.now = began + ms / 1000;
        go_round();
        ck_assert_uint_le(server.n_due, 1);
        usleep(20 * 1000);
    }
    return ms;
}

/* _i: by how many seconds the clock was set. */
START_TEST(test_clock_is_set)
{
    start(0, 60000);
    server.now += _i;
    raise(SIGTERM);
    ck_assert_msg(!told && drain_is_on(), "the signal is not held back");
    const int ms = await_told(10000);
    ck_assert_msg(told && ms >= 900, "set by %d s: told after %d ms", _i, ms);
}
END_TEST

/* However often the loop goes round (each signal and each command does that), what is under way is waited for. */
START_TEST(test_waits)
{
    start(0, 60000);
    drain_begin();
    raise(SIGTERM);
    ck_assert_int_ge(await_told(3000), 3000);
    drain_end();
    await_told(10000);
    ck_assert(told);
}
END_TEST

START_TEST(test_waits_no_longer)
{
    start(0, 1500);
    drain_begin();
    raise(SIGTERM);
    const int ms = await_told(20000);
    ck_assert_msg(told && ms >= 1000, "told after %d ms", ms);
}
END_TEST

START_TEST(test_twice)
{
    start(60000, 60000);
    raise(SIGTERM);
    ck_assert(!told);
    raise(SIGTERM);
    ck_assert(told);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("drain");
    tcase_add_loop_test(tc, test_clock_is_set, 0, 1);
    tcase_add_loop_test(tc, test_clock_is_set, -3600, -3599);
    tcase_add_loop_test(tc, test_clock_is_set, 3600, 3601);
    tcase_add_test(tc, test_waits);
    tcase_add_test(tc, test_waits_no_longer);
    tcase_add_test(tc, test_twice);
    return unit_run("drain", tc);
}
