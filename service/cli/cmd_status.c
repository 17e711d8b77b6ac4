/* sallyport status: the scoreboard of sallyport-scand, the counters of the proxy module, and one ping through the socket: a
 * scoreboard alone cannot tell a serving scanner from one that was killed. */
#include "config.h"

#include "cli.h"

#include "sallyport/board.h"
#include "sallyport/clock.h"
#include "sallyport/conf.h"
#include "sallyport/metrics.h"
#include "sallyport/quota.h"
#include "sallyport/scan_client.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

#define PING_MS 2000
#define DAY_S 86400
#define WHEN_BYTES 32

struct status {
    struct sp_conf *conf;
    const struct sp_board *board; /* NULL: none */
    struct sp_error board_error;
    struct sp_metrics *metrics; /* NULL: none */
    bool is_gate_new;           /* none, for the module has never run here */
    struct sp_error metrics_error;
    struct sp_quota_use spool;
    bool has_spool; /* the module has run here and has the quota of this version */
    struct sp_scan_result ping;
    int64_t ping_us;
    bool is_answering;
};

static int64_t database_age(const struct sp_board *board)
{
    int64_t age = sp_clock_wall_us() / 1000000 - atomic_load(&board->database_time);
    return age < 0 ? 0 : age;
}

static bool is_database_old(const struct status *s)
{
    return s->conf->scan_max_age_ms > 0 && atomic_load(&s->board->database_time) != 0 &&
        database_age(s->board) > s->conf->scan_max_age_ms / 1000;
}

static bool is_loading(const struct sp_board *board)
{
    return atomic_load(&board->loads_begun) > atomic_load(&board->loads_done);
}

/* --- gathering -------------------------------------------------------------------------------------------------------- */

static void join(char out[PATH_MAX], const char *dir, const char *name)
{
    snprintf(out, PATH_MAX, "%s/%s", dir, name);
}

static void ping(struct status *s)
{
    struct sp_scan_client client = { .queue_ms = PING_MS, .scan_ms = PING_MS };
    struct sp_error err = { 0 };
    if (sp_scan_socket_path(s->conf->run_dir, client.socket_path, &err) != SP_OK)
        return;
    int64_t before = sp_clock_mono_us();
    sp_scan_client_ask(&client, &(struct sp_scan_body){ 0 }, "status", &s->ping);
    s->ping_us = sp_clock_mono_us() - before;
    s->is_answering = s->ping.outcome == SP_OUTCOME_CLEAN;
}

static enum sp_status gather(struct status *s, const char *conf_path, struct sp_error *err)
{
    char path[PATH_MAX];
    enum sp_status status = sp_conf_load(conf_path, err, NULL, &s->conf);
    if (status != SP_OK)
        return status;
    join(path, s->conf->run_dir, "scand.stat");
    if (sp_board_open_reader(path, &s->board_error, &s->board) != SP_OK)
        s->board = NULL;
    join(path, s->conf->run_dir, "icap.stat");
    status = sp_metrics_open_reader(path, &s->metrics_error, &s->metrics);
    s->is_gate_new = status == SP_ERR_NOT_FOUND;
    join(path, s->conf->run_dir, "spool.stat");
    s->has_spool = sp_quota_look(path, NULL, &s->spool) == SP_OK;
    ping(s);
    return SP_OK;
}

static enum sp_scand_state state_of(const struct sp_board *board)
{
    return (enum sp_scand_state) atomic_load(&board->state);
}

static int pid_of(const struct sp_board *board)
{
    return atomic_load(&board->supervisor_pid);
}

static enum sp_cli_exit judge(const struct status *s)
{
    if (!s->board || !s->is_answering)
        return SP_CLI_ERROR;
    return state_of(s->board) == SP_SCAND_SERVING ? SP_CLI_OK : SP_CLI_FOUND;
}

/* The state as the scoreboard has it, unless the ping knows better. */
static const char *state_text(const struct status *s)
{
    if (!s->board)
        return "not running";
    enum sp_scand_state state = state_of(s->board);
    bool claims_to_serve = state == SP_SCAND_SERVING || state == SP_SCAND_DEGRADED;
    return claims_to_serve && !s->is_answering ? "not answering" : sp_scand_state_name(state);
}

/* --- for people -------------------------------------------------------------------------------------------------------- */

static void format_when(int64_t seconds, char out[WHEN_BYTES])
{
    time_t t = (time_t) seconds;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || strftime(out, WHEN_BYTES, "%Y-%m-%d %H:%M UTC", &tm) == 0)
        snprintf(out, WHEN_BYTES, "%s", "?");
}

static void print_engine(const struct status *s)
{
    const struct sp_board *board = s->board;
    char loaded[WHEN_BYTES], made[WHEN_BYTES];
    int64_t database_time = atomic_load(&board->database_time);
    if (atomic_load(&board->generation) == 0) {
        printf("engine    none\n");
        return;
    }
    format_when(atomic_load(&board->loaded_wall_us) / 1000000, loaded);
    unsigned signatures = atomic_load(&board->signatures);
    printf("engine    generation %u, %u signature%s, loaded %s%s\n", atomic_load(&board->generation), signatures,
        signatures == 1 ? "" : "s", loaded, is_loading(board) ? "; another one is loading" : "");
    if (database_time == 0) {
        printf("database  none: only the built-in test signature. Get one: freshclam\n");
        return;
    }
    format_when(database_time, made);
    int64_t days = database_age(board) / DAY_S;
    printf("database  of %s, %" PRId64 " %s old%s\n", made, days, days == 1 ? "day" : "days",
        is_database_old(s) ? ". Too old: does freshclam run?" : "");
}

static void print_sandbox(const struct sp_board *board)
{
    char text[SP_BOARD_SANDBOX_TEXT_SIZE];
    sp_board_sandbox_text(board, text);
    printf("sandbox   %s\n", text);
    if (board->last_death[0] != '\0')
        sp_cli_line(
            stdout, "crashed   %" PRIu64 " workers; the last: %.*s", atomic_load(&board->crashed), SP_BOARD_TEXT_SIZE, board->last_death);
}

static void print_refused(const struct sp_board *board)
{
    char when[WHEN_BYTES];
    const uint64_t n = atomic_load(&board->refused);
    format_when(atomic_load(&board->refused_wall_us) / 1000000, when);
    sp_cli_line(stdout, "refused   %" PRIu64 " engine%s%s, %s: %.*s", n, n == 1 ? "" : "s",
        atomic_load(&board->is_load_refused) ? ", the newest too" : "; the last one", when, SP_BOARD_TEXT_SIZE, board->last_error);
}

static void print_board(const struct status *s)
{
    const struct sp_board *board = s->board;
    unsigned alive, busy;
    sp_board_count_workers(board, &alive, &busy);
    print_engine(s);
    printf(
        "workers   %u alive, %u busy, %u to %u allowed\n", alive, busy, atomic_load(&board->min_workers), atomic_load(&board->max_workers));
    printf("scans     %" PRIu64 ", %" PRIu64 " infected, %" PRIu64 " errors; workers crashed %" PRIu64
           ", stopped at their deadline %" PRIu64 "\n",
        atomic_load(&board->scans), atomic_load(&board->infected), atomic_load(&board->errors), atomic_load(&board->crashed),
        atomic_load(&board->timed_out));
    print_sandbox(board);
    if (atomic_load(&board->refused) > 0)
        print_refused(board);
}

static void print_spool(const struct status *s)
{
    const double mib = 1024.0 * 1024.0;
    const struct sp_quota_use *use = &s->spool;
    printf("spool     %.1f of %.0f MB, held by %u process%s, refused %" PRIu64 " times\n", (double) use->held_bytes / mib,
        (double) s->conf->spool_quota / mib, use->processes, use->processes == 1 ? "" : "es", use->refused);
}

static void print_metrics(const struct sp_metrics *metrics)
{
    printf("gate      ");
    for (unsigned i = 0; i < SP_METRIC_COUNT; i++)
        printf("%s%s %" PRIu64, i == 0 ? "" : (i % 7 == 0 ? "\n          " : ", "), sp_metric_name((enum sp_metric) i),
            sp_metrics_get(metrics, (enum sp_metric) i));
    printf("\noutcomes  ");
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++)
        printf("%s%s %" PRIu64, i == 0 ? "" : (i % 7 == 0 ? "\n          " : ", "), sp_outcome_name((enum sp_outcome) i),
            sp_metrics_get_outcome(metrics, (enum sp_outcome) i));
    printf("\n");
}

static void print_status(const struct status *s)
{
    if (!s->board)
        sp_cli_line(stdout, "scanner   %s: %s", state_text(s), s->board_error.text);
    else if (s->is_answering)
        sp_cli_line(stdout, "scanner   %s, answered in %.1f ms, pid %d", state_text(s), (double) s->ping_us / 1000.0, pid_of(s->board));
    else
        sp_cli_line(stdout, "scanner   %s: %s, pid %d", state_text(s), s->ping.detail, pid_of(s->board));
    if (s->board)
        print_board(s);
    if (s->has_spool)
        print_spool(s);
    if (s->metrics)
        print_metrics(s->metrics);
    else if (s->is_gate_new)
        printf("gate      no counters yet: c-icap has not run the module here\n");
    else
        sp_cli_line(stdout, "gate      no counters: %s", s->metrics_error.text);
}

/* --- for programs ------------------------------------------------------------------------------------------------------ */

static struct json_object *sandbox_json(const struct sp_board *board)
{
    struct json_object *out = sp_cli_json_object();
    const unsigned parts = atomic_load(&board->sandbox);
    sp_cli_json_add_number(out, "landlock_abi", atomic_load(&board->landlock_abi));
    sp_cli_json_add_bool(out, "landlock", parts & SP_SANDBOX_LANDLOCK);
    sp_cli_json_add_bool(out, "seccomp", parts & SP_SANDBOX_SECCOMP);
    sp_cli_json_add_bool(out, "no_new_privs", parts & SP_SANDBOX_NO_NEW_PRIVS);
    sp_cli_json_add_bool(out, "limits", parts & SP_SANDBOX_LIMITS);
    sp_cli_json_add_number(out, "scratch_bytes", (int64_t) atomic_load(&board->sandbox_scratch_bytes));
    return out;
}

static struct json_object *board_json(const struct status *s)
{
    const struct sp_board *board = s->board;
    unsigned alive, busy;
    char last_error[SP_BOARD_TEXT_SIZE + 1];
    sp_board_count_workers(board, &alive, &busy);
    struct json_object *out = sp_cli_json_object();
    sp_cli_json_add_number(out, "pid", pid_of(board));
    sp_cli_json_add_number(out, "started", atomic_load(&board->started_wall_us) / 1000000);
    sp_cli_json_add_number(out, "generation", atomic_load(&board->generation));
    sp_cli_json_add_number(out, "signatures", atomic_load(&board->signatures));
    sp_cli_json_add_number(out, "database_time", atomic_load(&board->database_time));
    if (atomic_load(&board->database_time) != 0)
        sp_cli_json_add_number(out, "database_age_s", database_age(board));
    sp_cli_json_add_bool(out, "database_old", is_database_old(s));
    sp_cli_json_add_number(out, "loaded", atomic_load(&board->loaded_wall_us) / 1000000);
    sp_cli_json_add_bool(out, "loading", is_loading(board));
    sp_cli_json_add_number(out, "workers_alive", alive);
    sp_cli_json_add_number(out, "workers_busy", busy);
    sp_cli_json_add_number(out, "workers_min", atomic_load(&board->min_workers));
    sp_cli_json_add_number(out, "workers_max", atomic_load(&board->max_workers));
    sp_cli_json_add_number(out, "scans", (int64_t) atomic_load(&board->scans));
    sp_cli_json_add_number(out, "infected", (int64_t) atomic_load(&board->infected));
    sp_cli_json_add_number(out, "errors", (int64_t) atomic_load(&board->errors));
    sp_cli_json_add_number(out, "crashed", (int64_t) atomic_load(&board->crashed));
    sp_cli_json_add_number(out, "timed_out", (int64_t) atomic_load(&board->timed_out));
    sp_cli_json_add_number(out, "refused", (int64_t) atomic_load(&board->refused));
    sp_cli_json_add_bool(out, "load_refused", atomic_load(&board->is_load_refused));
    sp_cli_json_add_number(out, "refused_time", atomic_load(&board->refused_wall_us) / 1000000);
    snprintf(last_error, sizeof(last_error), "%.*s", SP_BOARD_TEXT_SIZE, board->last_error);
    sp_cli_json_add_text(out, "last_error", last_error);
    snprintf(last_error, sizeof(last_error), "%.*s", SP_BOARD_TEXT_SIZE, board->last_death);
    sp_cli_json_add_text(out, "last_death", last_error);
    sp_cli_json_add(out, "sandbox", sandbox_json(board));
    return out;
}

static struct json_object *metrics_json(const struct sp_metrics *metrics)
{
    struct json_object *out = sp_cli_json_object(), *outcomes = sp_cli_json_object();
    for (unsigned i = 0; i < SP_METRIC_COUNT; i++)
        sp_cli_json_add_number(out, sp_metric_name((enum sp_metric) i), (int64_t) sp_metrics_get(metrics, (enum sp_metric) i));
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++)
        sp_cli_json_add_number(
            outcomes, sp_outcome_name((enum sp_outcome) i), (int64_t) sp_metrics_get_outcome(metrics, (enum sp_outcome) i));
    sp_cli_json_add(out, "outcomes", outcomes);
    return out;
}

static struct json_object *spool_json(const struct status *s)
{
    struct json_object *out = sp_cli_json_object();
    sp_cli_json_add_number(out, "held_bytes", (int64_t) s->spool.held_bytes);
    sp_cli_json_add_number(out, "quota_bytes", s->conf->spool_quota);
    sp_cli_json_add_number(out, "processes", s->spool.processes);
    sp_cli_json_add_number(out, "refused", (int64_t) s->spool.refused);
    return out;
}

static void print_json(const struct status *s)
{
    struct json_object *out = sp_cli_json_object();
    sp_cli_json_add_text(out, "state", state_text(s));
    sp_cli_json_add_bool(out, "answering", s->is_answering);
    sp_cli_json_add_number(out, "ping_us", s->ping_us);
    if (!s->is_answering)
        sp_cli_json_add_text(out, "detail", s->ping.detail);
    sp_cli_json_add(out, "scanner", s->board ? board_json(s) : NULL);
    sp_cli_json_add(out, "gate", s->metrics ? metrics_json(s->metrics) : NULL);
    sp_cli_json_add(out, "spool", s->has_spool ? spool_json(s) : NULL);
    sp_cli_json_print(out);
}

static enum sp_cli_exit run(const struct sp_cli_options *options)
{
    struct status s = { 0 };
    struct sp_error err = { 0 };
    enum sp_cli_exit status;
    if (gather(&s, options->config, &err) == SP_OK) {
        options->json ? print_json(&s) : print_status(&s);
        status = judge(&s);
    } else {
        status = sp_cli_fail("%s", err.text);
    }
    sp_metrics_close(&s.metrics);
    sp_board_close(&s.board);
    sp_conf_free(&s.conf);
    return status;
}

const struct sp_cli_command sp_cli_status = {
    .name = "status",
    .args = "",
    .summary = "show the scanner, its signatures and the counters of the proxy module",
    .help = "Asks the scanner for an answer and reads its scoreboard, so it says \"serving\" only when it is.\n\n"
            "exit status: 0 the scanner serves, 1 it serves but is degraded, 2 it does not run or does not answer\n\n"
            "examples:\n"
            "  sallyport status\n"
            "  sallyport status --json | jq .scanner.signatures\n"
            "  watch -n 1 sallyport status\n",
    .run = run,
};
