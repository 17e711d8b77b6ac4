/* The look itself, and what is to be thought of it. Numbers on the board change while we read: each is right by itself. */
#include "config.h"

#include "look.h"

#include "backlog.h"

#include "sallyport/clock.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define US_PER_S 1000000
#define MS_PER_S 1000
#define DAY_S 86400
#define SPOOL_FULL 0.9 /* of the quota */

/* --- looking --------------------------------------------------------------------------------------------------------- */

static void join(char out[PATH_MAX], const char *dir, const char *name)
{
    snprintf(out, PATH_MAX, "%s/%s", dir, name);
}

static void ask_scanner(struct sp_look *look, unsigned patience_ms)
{
    struct sp_scan_client client = { .queue_ms = patience_ms, .scan_ms = patience_ms };
    struct sp_error err = { 0 };
    if (sp_scan_socket_path(look->conf->run_dir, client.socket_path, &err) != SP_OK) {
        snprintf(look->ping.detail, sizeof(look->ping.detail), "%.*s", (int) sizeof(look->ping.detail) - 1, err.text);
        return;
    }
    look->has_queue = sp_backlog(client.socket_path, &look->queue); /* before we stand in it */
    const int64_t before = sp_clock_mono_us();
    sp_scan_client_ask(&client, &(struct sp_scan_body){ 0 }, "look", &look->ping);
    look->ping_us = sp_clock_mono_us() - before;
    look->is_answering = look->ping.outcome == SP_OUTCOME_CLEAN;
}

void sp_look_open(const struct sp_conf *conf, unsigned patience_ms, struct sp_look *look_out)
{
    char path[PATH_MAX];
    memset(look_out, 0, sizeof(*look_out));
    look_out->conf = conf;
    look_out->wall_us = sp_clock_wall_us();
    join(path, conf->run_dir, "scand.stat");
    if (sp_board_open_reader(path, &look_out->board_error, &look_out->board) != SP_OK)
        look_out->board = NULL;
    if (look_out->board) /* before our own question makes a worker busy */
        sp_board_count_workers(look_out->board, &look_out->workers_alive, &look_out->workers_busy);
    join(path, conf->run_dir, "icap.stat");
    look_out->is_gate_new = sp_metrics_open_reader(path, &look_out->metrics_error, &look_out->metrics) == SP_ERR_NOT_FOUND;
    join(path, conf->run_dir, "spool.stat");
    look_out->has_spool = sp_quota_look(path, NULL, &look_out->spool) == SP_OK;
    ask_scanner(look_out, patience_ms);
}

void sp_look_close(struct sp_look *look)
{
    sp_metrics_close(&look->metrics);
    sp_board_close(&look->board);
}

/* --- what it says ---------------------------------------------------------------------------------------------------- */

const char *sp_look_state(const struct sp_look *look)
{
    if (!look->board)
        return "not running";
    const enum sp_scand_state state = (enum sp_scand_state) atomic_load(&look->board->state);
    const bool claims_to_serve = state == SP_SCAND_SERVING || state == SP_SCAND_DEGRADED;
    return claims_to_serve && !look->is_answering ? "not answering" : sp_scand_state_name(state);
}

int64_t sp_look_database_age_s(const struct sp_look *look)
{
    const int64_t made = look->board ? atomic_load(&look->board->database_time) : 0;
    const int64_t age = look->wall_us / US_PER_S - made;
    return made == 0 || age < 0 ? 0 : age;
}

bool sp_look_is_database_old(const struct sp_look *look)
{
    return look->conf->scan_max_age_ms > 0 && sp_look_database_age_s(look) > look->conf->scan_max_age_ms / MS_PER_S;
}

bool sp_look_is_loading(const struct sp_look *look)
{
    return look->board && atomic_load(&look->board->loads_begun) > atomic_load(&look->board->loads_done);
}

uint64_t sp_look_culprits(const struct sp_look *look)
{
    if (!look->board)
        return 0;
    const uint64_t all = atomic_load(&look->board->culprits), before = atomic_load(&look->board->culprits_before);
    return all > before ? all - before : 0;
}

/* --- what to think of it --------------------------------------------------------------------------------------------- */

struct verdict {
    struct sp_finding *findings;
    size_t n;
};

/* Kept in order: the worst first, of equals the earlier one. */
static void __attribute__((format(printf, 3, 4))) find(struct verdict *v, enum sp_health health, const char *fmt, ...)
{
    if (v->n == SP_FINDINGS_MAX)
        return;
    size_t at = v->n++;
    for (; at > 0 && v->findings[at - 1].health < health; at--)
        v->findings[at] = v->findings[at - 1];
    va_list ap;
    va_start(ap, fmt);
    v->findings[at].health = health;
    if (vsnprintf(v->findings[at].text, sizeof(v->findings[at].text), fmt, ap) < 0)
        v->findings[at].text[0] = '\0';
    va_end(ap);
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void judge_engine(const struct sp_look *look, struct verdict *v)
{
    const struct sp_board *board = look->board;
    if (atomic_load(&board->generation) == 0)
        return;
    if (atomic_load(&board->is_load_refused))
        find(v, SP_HEALTH_DEGRADED, "the newest load was refused, the engine before it serves on: %.*s", SP_BOARD_TEXT_SIZE,
            board->last_error);
    if (atomic_load(&board->database_time) == 0)
        find(v, SP_HEALTH_NOTE, "no database: only the built-in test signature. Get one: freshclam");
    else if (sp_look_is_database_old(look))
        find(v, SP_HEALTH_DEGRADED, "the newest database is %" PRId64 " days old: does freshclam run?",
            sp_look_database_age_s(look) / DAY_S);
    const unsigned needed = SP_SANDBOX_LANDLOCK | SP_SANDBOX_SECCOMP | SP_SANDBOX_NO_NEW_PRIVS | SP_SANDBOX_LIMITS;
    if ((atomic_load(&board->sandbox) & needed) != needed) {
        char text[SP_BOARD_SANDBOX_TEXT_SIZE];
        sp_board_sandbox_text(board, text);
        find(v, SP_HEALTH_NOTE, "the workers are not fully confined: %s", text);
    }
}

static void judge_workers(const struct sp_look *look, struct verdict *v)
{
    const struct sp_board *board = look->board;
    const uint64_t culprits = sp_look_culprits(look), crashed = atomic_load(&board->crashed);
    const unsigned max = atomic_load(&board->max_workers);
    const unsigned state = atomic_load(&board->state);
    if (look->is_answering && state != SP_SCAND_SERVING && state != SP_SCAND_DEGRADED)
        find(v, SP_HEALTH_DEGRADED, "the scanner answers, but is %s", sp_look_state(look));
    if (state == SP_SCAND_DEGRADED && !atomic_load(&board->is_load_refused))
        find(v, SP_HEALTH_DEGRADED, "workers keep dying, or the engine's process has died: see the log of sallyport-scand");
    if (look->has_queue && look->queue > 0 && max > 0 && look->workers_busy >= max)
        find(v, SP_HEALTH_DEGRADED, "all %u workers are busy and %u scan%s wait: scan.max_workers, or more cores", max, look->queue,
            plural(look->queue));
    if (culprits > 0)
        find(v, SP_HEALTH_NOTE, "%" PRIu64 " object%s ended workers and %s scanned no more; refused for that: %" PRIu64, culprits,
            plural(culprits), culprits == 1 ? "is" : "are", (uint64_t) atomic_load(&board->culprits_refused));
    if (crashed > 0)
        find(v, SP_HEALTH_NOTE, "%" PRIu64 " worker%s crashed since start; the last: %.*s", crashed, plural(crashed), SP_BOARD_TEXT_SIZE,
            board->last_death);
}

static void judge_gate(const struct sp_look *look, struct verdict *v)
{
    const double quota = (double) look->conf->spool_quota;
    if (look->has_spool && quota > 0 && (double) look->spool.held_bytes >= SPOOL_FULL * quota)
        find(v, SP_HEALTH_DEGRADED, "the spool is nearly full: new bodies get the outcome `overload'; see spool.quota");
    if (!look->metrics) {
        if (!look->is_gate_new)
            find(v, SP_HEALTH_DEGRADED, "the counters of the proxy module cannot be read: %s", look->metrics_error.text);
        return;
    }
    const uint64_t lost = sp_metrics_get(look->metrics, SP_METRIC_LOG_LOST);
    if (lost > 0)
        find(v, SP_HEALTH_NOTE, "%" PRIu64 " line%s of the decision log could not be written", lost, plural(lost));
}

size_t sp_look_judge(const struct sp_look *look, struct sp_finding findings[SP_FINDINGS_MAX])
{
    struct verdict v = { findings, 0 };
    if (!look->board)
        find(&v, SP_HEALTH_DOWN, "the scanner is not running: %s", look->board_error.text);
    else if (!look->is_answering)
        find(&v, SP_HEALTH_DOWN, "the scanner is %s: %s", sp_look_state(look), look->ping.detail);
    if (look->board) {
        judge_engine(look, &v);
        judge_workers(look, &v);
    }
    judge_gate(look, &v);
    return v.n;
}

const char *sp_health_name(enum sp_health health)
{
    static const char *const names[] = { [SP_HEALTH_OK] = "ok",
        [SP_HEALTH_NOTE] = "note",
        [SP_HEALTH_DEGRADED] = "degraded",
        [SP_HEALTH_DOWN] = "down" };
    return names[health];
}
