/* Boards are opened anew each time: the module and the scanner may start later than we, and may be replaced by other versions. */
#include "config.h"

#include "state.h"

#include "sallyport/clock.h"
#include "sallyport/scan_client.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define PING_MS 1500
#define STALE_S 15
#define DAY_S 86400

static void join(char out[PATH_MAX], const char *dir, const char *name)
{
    snprintf(out, PATH_MAX, "%s/%s", dir, name);
}

const char *sp_web_log_file(const struct sp_conf *conf)
{
    return conf->log_to == SP_LOG_TO_FILE ? conf->log_file : "";
}

/* --- gathering -------------------------------------------------------------------------------------------------------- */

static void copy_board(struct sp_web_scanner *to, const struct sp_board *board)
{
    to->state = (enum sp_scand_state) atomic_load(&board->state);
    to->pid = atomic_load(&board->supervisor_pid);
    to->generation = atomic_load(&board->generation);
    to->signatures = atomic_load(&board->signatures);
    to->workers_min = atomic_load(&board->min_workers);
    to->workers_max = atomic_load(&board->max_workers);
    sp_board_count_workers(board, &to->workers_alive, &to->workers_busy);
    to->started_us = atomic_load(&board->started_wall_us);
    to->database_s = atomic_load(&board->database_time);
    to->loaded_us = atomic_load(&board->loaded_wall_us);
    to->refused_us = atomic_load(&board->refused_wall_us);
    to->scans = atomic_load(&board->scans);
    to->infected = atomic_load(&board->infected);
    to->errors = atomic_load(&board->errors);
    to->crashed = atomic_load(&board->crashed);
    to->timed_out = atomic_load(&board->timed_out);
    to->refused = atomic_load(&board->refused);
    to->is_loading = atomic_load(&board->loads_begun) > atomic_load(&board->loads_done);
    to->is_load_refused = atomic_load(&board->is_load_refused) != 0;
    snprintf(to->last_error, sizeof(to->last_error), "%.*s", SP_BOARD_TEXT_SIZE, board->last_error);
    snprintf(to->last_death, sizeof(to->last_death), "%.*s", SP_BOARD_TEXT_SIZE, board->last_death);
    sp_board_sandbox_text(board, to->sandbox);
}

static void read_scanner(struct sp_web_state *state, const struct sp_conf *conf)
{
    char path[PATH_MAX];
    const struct sp_board *board = NULL;
    memset(&state->scanner, 0, sizeof(state->scanner));
    join(path, conf->run_dir, "scand.stat");
    if (sp_board_open_reader(path, &state->scanner.error, &board) != SP_OK)
        return;
    state->scanner.has_board = true;
    copy_board(&state->scanner, board);
    sp_board_close(&board);
    int64_t age = state->taken_us / 1000000 - state->scanner.database_s;
    state->database_age_s = age > 0 ? age : 0;
}

static uint64_t with_action(const struct sp_metrics *metrics, enum sp_action action)
{
    return sp_metrics_transactions(metrics, SP_METRICS_ANY, SP_METRICS_ANY, (int) action);
}

static void read_totals(const struct sp_metrics *metrics, uint64_t totals[SP_WEB_COLUMNS])
{
    totals[SP_WEB_REQUESTS] = sp_metrics_transactions(metrics, SP_REQMOD, SP_METRICS_ANY, SP_METRICS_ANY);
    totals[SP_WEB_REPLIES] = sp_metrics_transactions(metrics, SP_RESPMOD, SP_METRICS_ANY, SP_METRICS_ANY);
    totals[SP_WEB_ALLOWED] = with_action(metrics, SP_ACTION_ALLOW);
    totals[SP_WEB_REPORTED] = with_action(metrics, SP_ACTION_REPORT);
    totals[SP_WEB_BLOCKED] = with_action(metrics, SP_ACTION_BLOCK);
    totals[SP_WEB_BYTES] = sp_metrics_get(metrics, SP_METRIC_REQUEST_BYTES) + sp_metrics_get(metrics, SP_METRIC_RESPONSE_BYTES);
    totals[SP_WEB_SCANS] = sp_metrics_get(metrics, SP_METRIC_SCANS);
    totals[SP_WEB_CACHED] = sp_metrics_get(metrics, SP_METRIC_CACHE_HITS) + sp_metrics_get(metrics, SP_METRIC_CACHE_JOINED);
    totals[SP_WEB_LOST] = sp_metrics_get(metrics, SP_METRIC_LOG_LOST);
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++)
        totals[SP_WEB_OUTCOMES + i] = sp_metrics_get_outcome(metrics, (enum sp_outcome) i);
}

static void read_gate(struct sp_web_state *state, const struct sp_conf *conf)
{
    char path[PATH_MAX];
    struct sp_metrics *metrics = NULL;
    state->gate_error = (struct sp_error){ 0 };
    join(path, conf->run_dir, "icap.stat");
    enum sp_status status = sp_metrics_open_reader(path, &state->gate_error, &metrics);
    state->has_gate = status == SP_OK;
    state->is_gate_new = status == SP_ERR_NOT_FOUND;
    if (!state->has_gate)
        return;
    for (unsigned i = 0; i < SP_METRIC_COUNT; i++)
        state->counters[i] = sp_metrics_get(metrics, (enum sp_metric) i);
    read_totals(metrics, state->totals);
    sp_metrics_close(&metrics);
}

void sp_web_state_read(struct sp_web_state *state, const struct sp_conf *conf)
{
    char path[PATH_MAX];
    state->taken_us = sp_clock_wall_us();
    state->taken_mono_us = sp_clock_mono_us();
    read_scanner(state, conf);
    read_gate(state, conf);
    join(path, conf->run_dir, "spool.stat");
    state->has_spool = sp_quota_look(path, NULL, &state->spool) == SP_OK;
}

void sp_web_state_ping(struct sp_web_state *state, const struct sp_conf *conf)
{
    struct sp_scan_client client = { .queue_ms = PING_MS, .scan_ms = PING_MS };
    struct sp_scan_result result = { 0 };
    struct sp_error err = { 0 };
    state->is_answering = false;
    if (sp_scan_socket_path(conf->run_dir, client.socket_path, &err) != SP_OK) {
        snprintf(state->ping_detail, sizeof(state->ping_detail), "%.*s", (int) sizeof(state->ping_detail) - 1, err.text);
        return;
    }
    int64_t before = sp_clock_mono_us();
    sp_scan_client_ask(&client, &(struct sp_scan_body){ 0 }, "dashboard", &result);
    state->ping_us = sp_clock_mono_us() - before;
    state->is_answering = result.outcome == SP_OUTCOME_CLEAN;
    snprintf(state->ping_detail, sizeof(state->ping_detail), "%s", result.detail);
}

/* --- judging ---------------------------------------------------------------------------------------------------------- */

struct findings {
    struct sp_web_problem *out;
    unsigned n;
};

/* Where the next one goes: behind all that are as bad or worse. */
static void find(struct findings *f, enum sp_web_level level, const char *what, const char *fmt, ...) SP_PRINTF(4, 5);
static void find(struct findings *f, enum sp_web_level level, const char *what, const char *fmt, ...)
{
    if (f->n == SP_WEB_PROBLEMS_MAX)
        return;
    unsigned at = f->n++;
    for (; at > 0 && f->out[at - 1].level < level; at--)
        f->out[at] = f->out[at - 1];
    f->out[at] = (struct sp_web_problem){ .level = level, .what = what };
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(f->out[at].detail, sizeof(f->out[at].detail), fmt, ap) < 0)
        f->out[at].detail[0] = '\0';
    va_end(ap);
}

static void judge_scanner(struct findings *f, const struct sp_web_state *state)
{
    const struct sp_web_scanner *scanner = &state->scanner;
    if (!scanner->has_board)
        find(f, SP_WEB_BAD, "The scanner does not run", "%s", scanner->error.text);
    else if (scanner->state == SP_SCAND_STOPPED || scanner->state == SP_SCAND_STOPPING)
        find(f, SP_WEB_BAD, "The scanner was stopped", "What has a body is refused until it runs again.");
    else if (scanner->state == SP_SCAND_LOADING)
        find(f, SP_WEB_BAD, "The scanner has no signatures yet", "It loads them now. Scans wait.");
    else if (!state->is_answering)
        find(f, SP_WEB_BAD, "The scanner does not answer", "%s", state->ping_detail);
    if (!scanner->has_board)
        return;
    if (scanner->state == SP_SCAND_DEGRADED && !scanner->is_load_refused)
        find(f, SP_WEB_WARN, "The scanner is degraded", "%s", scanner->last_death);
    if (scanner->is_load_refused)
        find(f, SP_WEB_WARN, "The newest signatures were refused", "The old ones serve on. %s", scanner->last_error);
    if (scanner->workers_max > 0 && scanner->workers_busy >= scanner->workers_max)
        find(f, SP_WEB_WARN, "All workers are busy", "%u of %u. New scans wait.", scanner->workers_busy, scanner->workers_max);
}

static void judge_database(struct findings *f, const struct sp_web_state *state, const struct sp_conf *conf)
{
    if (!state->scanner.has_board || state->scanner.generation == 0)
        return;
    if (state->scanner.database_s == 0)
        find(f, SP_WEB_WARN, "No signatures but the built-in test", "Malware is not found. Get signatures with freshclam.");
    else if (conf->scan_max_age_ms > 0 && state->database_age_s > conf->scan_max_age_ms / 1000)
        find(f, SP_WEB_WARN, "The signatures are old", "%" PRId64 " days. Does freshclam run?", state->database_age_s / DAY_S);
}

static void judge_gate(struct findings *f, const struct sp_web_state *state)
{
    if (state->is_gate_new)
        find(f, SP_WEB_NOTE, "No traffic has come yet", "The proxy module has not run here.");
    else if (!state->has_gate)
        find(f, SP_WEB_BAD, "The counters cannot be read", "%s", state->gate_error.text);
    if (state->troubles > 0)
        find(f, SP_WEB_WARN, "Not everything could be scanned",
            "%" PRId64 " with the outcome error or overload in the last five minutes.", state->troubles);
    if (state->lost > 0)
        find(f, SP_WEB_WARN, "Lines of the decision log were lost",
            "%" PRId64 " in the last five minutes. Is the disk full?", state->lost);
    if (!state->has_log)
        find(f, SP_WEB_WARN, "The decision log cannot be read", "%s", state->log_error.text);
}

static void judge_settings(struct findings *f, const struct sp_conf *conf)
{
    if (conf->mode == SP_MODE_MONITOR)
        find(f, SP_WEB_NOTE, "Rules only watch", "mode = \"monitor\": what they match passes, and is logged. Malware is refused.");
    if (conf->log_to != SP_LOG_TO_FILE)
        find(f, SP_WEB_NOTE, "Decisions cannot be listed here",
            "They go to %s and not to a file (log.to): journalctl -t sallyport. Counts and charts are not touched by it.",
            conf->log_to == SP_LOG_TO_SYSLOG ? "syslog" : "the journal");
    else if (conf->log_file[0] == '\0')
        find(f, SP_WEB_NOTE, "Decisions cannot be listed here", "log.file is empty: none is logged.");
}

unsigned sp_web_state_problems(
    const struct sp_web_state *state, const struct sp_conf *conf, struct sp_web_problem out[SP_WEB_PROBLEMS_MAX])
{
    struct findings f = { .out = out };
    judge_scanner(&f, state);
    judge_database(&f, state, conf);
    judge_gate(&f, state);
    judge_settings(&f, conf);
    return f.n;
}

int64_t sp_web_state_age_us(const struct sp_web_state *state)
{
    return sp_clock_mono_us() - state->taken_mono_us;
}

bool sp_web_state_serves(const struct sp_web_state *state)
{
    return state->is_answering && sp_web_state_age_us(state) < (int64_t) STALE_S * 1000000;
}

const char *sp_web_level_name(enum sp_web_level level)
{
    static const char *const names[] = { [SP_WEB_GOOD] = "good", [SP_WEB_NOTE] = "note", [SP_WEB_WARN] = "warn", [SP_WEB_BAD] = "bad" };
    return names[level];
}
