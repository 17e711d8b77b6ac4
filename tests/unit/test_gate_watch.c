/* Reload: a good change serves soon, a bad one never, and transactions in other threads notice neither. Run it under TSan too. */
#include "config.h"

#include "unit.h"

#include "sallyport/board.h"
#include "sallyport/clock.h"
#include "sallyport/gate_watch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS 10
#define PATIENCE_MS 20000

static char dir[64], conf_path[128];
static atomic_uint errors_logged;

static void keep_log(void *arg, enum sp_log_level level, const char *line)
{
    (void) arg;
    (void) line;
    if (level == SP_LOG_ERROR)
        atomic_fetch_add(&errors_logged, 1);
}

static void write_file(const char *path, const char *text)
{
    char aside[160];
    snprintf(aside, sizeof(aside), "%s.new", path);
    FILE *f = fopen(aside, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(rename(aside, path), 0);
}

static void write_conf(const char *lines)
{
    char text[1024];
    snprintf(text, sizeof(text),
        "run_dir = \"%s\"; catalogue = \"%s/catalogue\"; page_template = \"\"; log = { file = \"\"; };\n"
        "spool = { dir = \"/tmp\"; };\n%s\n",
        dir, dir, lines);
    write_file(conf_path, text);
}

static void write_rules(const char *field)
{
    char path[128], text[512];
    snprintf(path, sizeof(path), "%s/catalogue/test.conf", dir);
    snprintf(text, sizeof(text),
        "category = \"vpn\"; rules = ( { id = \"t\"; name = \"n\"; stage = \"connect\"; when = ( { field = \"%s\"; present = true; } );\n"
        "action = \"block\"; evidence = \"seen\"; false_positives = \"-\"; reference = \"-\"; } );\n",
        field);
    write_file(path, text);
}

static struct sp_gate_watch *open_watch(void)
{
    snprintf(dir, sizeof(dir), "/tmp/sallyport-watch-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    char path[128];
    snprintf(path, sizeof(path), "%s/catalogue", dir);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(conf_path, sizeof(conf_path), "%s/sallyport.conf", dir);
    write_rules("X-A");
    write_conf("");
    errors_logged = 0;
    const struct sp_log log = { keep_log, NULL, SP_LOG_NOTICE };
    struct sp_error err = { 0 };
    struct sp_gate *gate = NULL;
    enum sp_status status = sp_gate_open(conf_path, SP_GATE_SERVE, &err, &gate);
    ck_assert_msg(status == SP_OK, "%s", err.text);
    struct sp_gate_watch *watch = NULL;
    ck_assert_int_eq(sp_gate_watch_new(conf_path, POLL_MS, &log, &gate, &watch), SP_OK);
    ck_assert_ptr_null(gate);
    return watch;
}

static void close_watch(struct sp_gate_watch **watch)
{
    static const char *const names[] = { "catalogue/test.conf", "sallyport.conf", "icap.stat", "spool.stat", "verdicts.cache", "scans.stat",
        "catalogue" };
    char path[128];
    sp_gate_watch_free(watch);
    ck_assert_ptr_null(*watch);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        ck_assert_msg(remove(path) == 0, "%s", path);
    }
    ck_assert_int_eq(rmdir(dir), 0);
}

static uint64_t digest_now(struct sp_gate_watch *watch)
{
    struct sp_gate *gate = sp_gate_watch_acquire(watch);
    uint64_t digest = sp_gate_digest(gate);
    sp_gate_release(&gate);
    return digest;
}

static void pause_ms(long ms)
{
    const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

static uint64_t await_other_digest(struct sp_gate_watch *watch, uint64_t before)
{
    for (int i = 0; i < PATIENCE_MS / POLL_MS; i++) {
        uint64_t now = digest_now(watch);
        if (now != before)
            return now;
        pause_ms(POLL_MS);
    }
    ck_abort_msg("the change was not taken");
    return 0;
}

static void await_errors(unsigned n)
{
    for (int i = 0; i < PATIENCE_MS / POLL_MS && errors_logged < n; i++)
        pause_ms(POLL_MS);
    ck_assert_uint_eq(errors_logged, n);
}

START_TEST(changes_of_configuration_and_catalogue_are_taken)
{
    struct sp_gate_watch *watch = open_watch();
    uint64_t first = digest_now(watch);
    write_conf("outcomes = { encrypted = \"block\"; };");
    uint64_t second = await_other_digest(watch, first);
    write_rules("X-B");
    uint64_t third = await_other_digest(watch, second);
    ck_assert(third != first);
    ck_assert_uint_eq(errors_logged, 0);
    close_watch(&watch);
}
END_TEST

START_TEST(a_bad_change_is_told_once_and_the_next_good_one_taken)
{
    struct sp_gate_watch *watch = open_watch();
    uint64_t first = digest_now(watch);
    write_conf("outcomes = { encrypted = \"maybe\"; };");
    await_errors(1);
    ck_assert(digest_now(watch) == first);
    pause_ms(10 * POLL_MS);
    ck_assert_uint_eq(errors_logged, 1);
    ck_assert_int_eq(unlink(conf_path), 0);
    await_errors(2);
    ck_assert(digest_now(watch) == first);
    write_conf("outcomes = { encrypted = \"block\"; };");
    await_other_digest(watch, first);
    struct sp_gate *gate = sp_gate_watch_acquire(watch);
    ck_assert_uint_eq(sp_metrics_get(gate->metrics, SP_METRIC_RELOADS_REFUSED), 2);
    ck_assert_uint_eq(sp_metrics_get(gate->metrics, SP_METRIC_RELOADS), 1);
    sp_gate_release(&gate);
    close_watch(&watch);
}
END_TEST

static uint64_t reloads_of(struct sp_gate_watch *watch)
{
    struct sp_gate *gate = sp_gate_watch_acquire(watch);
    uint64_t n = sp_metrics_get(gate->metrics, SP_METRIC_RELOADS);
    sp_gate_release(&gate);
    return n;
}

static void await_reload(struct sp_gate_watch *watch, uint64_t before)
{
    for (int i = 0; i < PATIENCE_MS / POLL_MS && reloads_of(watch) == before; i++)
        pause_ms(POLL_MS);
    ck_assert_uint_eq(reloads_of(watch), before + 1);
}

/* A file in dir that is gone at the end. */
static void write_in_dir(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    write_file(path, text);
}

START_TEST(changes_of_the_words_and_the_logo_are_taken)
{
    struct sp_gate_watch *watch = open_watch();
    char path[128], lines[512];
    snprintf(path, sizeof(path), "%s/texts", dir);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    write_in_dir("page", "{{t:a}}");
    write_in_dir("texts/en.conf", "a = \"one\";");
    write_in_dir("logo", "GIF8");
    snprintf(lines, sizeof(lines),
        "run_dir = \"%s\"; catalogue = \"%s/catalogue\"; page_template = \"%s/page\"; page_logo = \"%s/logo\";"
        "log = { file = \"\"; }; spool = { dir = \"/tmp\"; };\n",
        dir, dir, dir, dir);
    write_file(conf_path, lines);
    await_reload(watch, 0);
    write_in_dir("texts/en.conf", "a = \"another\";");
    await_reload(watch, 1);
    write_in_dir("logo", "GIF89");
    await_reload(watch, 2);
    write_in_dir("texts/en.conf", "b = \"lost\";");
    await_errors(1);
    static const char *const names[] = { "texts/en.conf", "texts", "page", "logo" };
    write_conf("");
    await_reload(watch, 3);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        ck_assert_int_eq(remove(path), 0);
    }
    close_watch(&watch);
}
END_TEST

static atomic_bool is_over;
static atomic_ulong decisions;

static void *decide_for_ever(void *arg)
{
    struct sp_gate_watch *watch = arg;
    char start[] = "CONNECT a:443 HTTP/1.1", field[] = "X-Both: 1";
    char *const lines[] = { start, field };
    struct sp_message msg = { 0 };
    if (sp_message_init_lines(&msg, SP_MESSAGE_REQUEST, lines, 2) != SP_OK)
        return arg;
    while (!is_over) {
        struct sp_gate *gate = sp_gate_watch_acquire(watch);
        const struct sp_policy_input in = { .stage = SP_STAGE_CONNECT, .request = &msg };
        struct sp_policy_result found;
        sp_policy_decide(gate->policy, &in, &found);
        if (found.rule && strcmp(found.rule->id, "t") != 0)
            return arg;
        sp_gate_release(&gate);
        atomic_fetch_add(&decisions, 1);
    }
    sp_message_fini(&msg);
    return NULL;
}

START_TEST(a_storm_of_reloads_disturbs_nobody)
{
    struct sp_gate_watch *watch = open_watch();
    pthread_t threads[4];
    is_over = false;
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, decide_for_ever, watch), 0);
    uint64_t digest = digest_now(watch);
    for (int i = 0; i < 100; i++) {
        write_rules(i % 2 ? "X-A" : "X-Both");
        digest = await_other_digest(watch, digest);
    }
    is_over = true;
    for (size_t i = 0; i < 4; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
    ck_assert_uint_gt(decisions, 0);
    close_watch(&watch);
}
END_TEST

/* Of gates: each maps the counters once. */
static int gates_alive(void)
{
    char line[512];
    int n = 0;
    FILE *f = fopen("/proc/self/maps", "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof(line), f))
        n += strstr(line, dir) && strstr(line, "icap.stat");
    fclose(f);
    return n;
}

START_TEST(a_replaced_gate_lives_while_it_is_held)
{
    struct sp_gate_watch *watch = open_watch();
    uint64_t digest = digest_now(watch);
    struct sp_gate *held[2];
    for (size_t i = 0; i < 2; i++) {
        held[i] = sp_gate_watch_acquire(watch);
        write_rules(i % 2 ? "X-A" : "X-B");
        digest = await_other_digest(watch, digest);
    }
    pause_ms(5 * POLL_MS);
    ck_assert_int_eq(gates_alive(), 3);
    for (int i = 0; i < 2; i++) {
        ck_assert(sp_gate_digest(held[i]) != 0);
        sp_gate_release(&held[i]);
        for (int n = 0; n < PATIENCE_MS / POLL_MS && gates_alive() > 2 - i; n++)
            pause_ms(POLL_MS);
        ck_assert_int_eq(gates_alive(), 2 - i);
    }
    held[0] = sp_gate_watch_acquire(watch); /* and one that outlives the watch */
    write_rules("X-C");
    await_other_digest(watch, digest);
    close_watch(&watch);
    ck_assert_int_eq(gates_alive(), 1);
    sp_gate_release(&held[0]);
    ck_assert_int_eq(gates_alive(), 0);
}
END_TEST

static uint64_t await_engine(struct sp_gate_watch *watch, uint64_t want)
{
    uint64_t engine = 0;
    for (int i = 0; i < PATIENCE_MS / POLL_MS && engine != want; i++) {
        struct sp_gate *gate = sp_gate_watch_acquire(watch);
        engine = sp_metrics_engine(gate->metrics);
        sp_gate_release(&gate);
        pause_ms(POLL_MS);
    }
    return engine;
}

/* Without a scan: what the scanner's board says, also after another scanner put another file in its place; never what a dead one
 * left. */
START_TEST(the_engine_is_followed)
{
    struct sp_gate_watch *watch = open_watch();
    struct sp_error err = { 0 };
    char path[128];
    snprintf(path, sizeof(path), "%s/scand.stat", dir);
    for (uint64_t i = 1; i <= 2; i++) {
        struct sp_board *board;
        ck_assert_int_eq(sp_board_create(path, &err, &board), SP_OK);
        board->seen_us = sp_clock_mono_us();
        board->state = SP_SCAND_SERVING;
        board->engine_id = 10 * i;
        ck_assert_uint_eq(await_engine(watch, 10 * i), 10 * i);
        board->engine_id = 10 * i + 1;
        ck_assert_uint_eq(await_engine(watch, 10 * i + 1), 10 * i + 1);
        board->state = SP_SCAND_STOPPED;
        board->engine_id = 99;
        pause_ms(5 * POLL_MS);
        ck_assert_uint_eq(await_engine(watch, 10 * i + 1), 10 * i + 1);
        const struct sp_board *done = board;
        sp_board_close(&done);
        ck_assert_int_eq(unlink(path), 0);
    }
    close_watch(&watch);
}
END_TEST

static unsigned id_now(struct sp_gate_watch *watch)
{
    struct sp_gate *gate = sp_gate_watch_acquire(watch);
    unsigned id = atomic_load(&gate->next_id);
    sp_gate_release(&gate);
    return id;
}

/* No thread can have a stack of this size, so none is made. */
static void forbid_threads(bool is_forbidden)
{
    static size_t usual;
    pthread_attr_t attr;
    ck_assert_int_eq(pthread_getattr_default_np(&attr), 0);
    if (is_forbidden)
        pthread_attr_getstacksize(&attr, &usual);
    ck_assert_int_eq(pthread_attr_setstacksize(&attr, is_forbidden ? (size_t) 1 << 50 : usual), 0);
    ck_assert_int_eq(pthread_setattr_default_np(&attr), 0);
    pthread_attr_destroy(&attr);
}

/* As in c-icap the parent has not used the watch yet (0); or it has (1), without a thread that could hold the lock as it forks. */
START_TEST(a_child_has_a_thread_of_its_own)
{
    struct sp_gate_watch *watch = open_watch();
    forbid_threads(true);
    unsigned parents_id = _i == 1 ? id_now(watch) : 0;
    forbid_threads(false);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        uint64_t first = digest_now(watch);
        ck_assert(_i == 0 || id_now(watch) != parents_id);
        write_conf("outcomes = { encrypted = \"block\"; };");
        await_other_digest(watch, first);
        sp_gate_watch_free(&watch);
        _exit(0);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    close_watch(&watch);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("gate_watch");
    tcase_add_test(c, changes_of_configuration_and_catalogue_are_taken);
    tcase_add_test(c, a_bad_change_is_told_once_and_the_next_good_one_taken);
    tcase_add_test(c, changes_of_the_words_and_the_logo_are_taken);
    tcase_add_test(c, a_storm_of_reloads_disturbs_nobody);
    tcase_add_test(c, a_replaced_gate_lives_while_it_is_held);
    tcase_add_test(c, the_engine_is_followed);
    tcase_add_loop_test(c, a_child_has_a_thread_of_its_own, 0, 2);
    return unit_run("gate_watch", c);
}
