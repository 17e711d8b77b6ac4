/* sallyport status --json: every number there is, under names that stay. */
#include "config.h"

#include "status.h"

#include "cli.h"

#include <stdio.h>

#define US_PER_S 1000000

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

static void add_engine(struct json_object *out, const struct sp_look *look)
{
    const struct sp_board *board = look->board;
    sp_cli_json_add_number(out, "generation", atomic_load(&board->generation));
    sp_cli_json_add_number(out, "signatures", atomic_load(&board->signatures));
    sp_cli_json_add_number(out, "database_time", atomic_load(&board->database_time));
    if (atomic_load(&board->database_time) != 0)
        sp_cli_json_add_number(out, "database_age_s", sp_look_database_age_s(look));
    sp_cli_json_add_bool(out, "database_old", sp_look_is_database_old(look));
    sp_cli_json_add_number(out, "loaded", atomic_load(&board->loaded_wall_us) / US_PER_S);
    sp_cli_json_add_bool(out, "loading", sp_look_is_loading(look));
}

static void add_text(struct json_object *out, const char *key, const char text[SP_BOARD_TEXT_SIZE])
{
    char copy[SP_BOARD_TEXT_SIZE + 1];
    snprintf(copy, sizeof(copy), "%.*s", SP_BOARD_TEXT_SIZE, text);
    sp_cli_json_add_text(out, key, copy);
}

static struct json_object *board_json(const struct sp_look *look)
{
    const struct sp_board *board = look->board;
    struct json_object *out = sp_cli_json_object();
    sp_cli_json_add_number(out, "pid", atomic_load(&board->supervisor_pid));
    sp_cli_json_add_number(out, "started", atomic_load(&board->started_wall_us) / US_PER_S);
    add_engine(out, look);
    sp_cli_json_add_number(out, "workers_alive", look->workers_alive);
    sp_cli_json_add_number(out, "workers_busy", look->workers_busy);
    sp_cli_json_add_number(out, "workers_min", atomic_load(&board->min_workers));
    sp_cli_json_add_number(out, "workers_max", atomic_load(&board->max_workers));
    if (look->has_queue)
        sp_cli_json_add_number(out, "queue", look->queue);
    const struct {
        const char *key;
        uint64_t n;
    } counters[] = {
        { "scans", atomic_load(&board->scans) },
        { "infected", atomic_load(&board->infected) },
        { "errors", atomic_load(&board->errors) },
        { "crashed", atomic_load(&board->crashed) },
        { "forbidden", atomic_load(&board->forbidden) },
        { "timed_out", atomic_load(&board->timed_out) },
        { "replaced", atomic_load(&board->replaced) },
        { "culprits", sp_look_culprits(look) },
        { "culprits_refused", atomic_load(&board->culprits_refused) },
        { "requests_refused", atomic_load(&board->requests_refused) },
        { "refused", atomic_load(&board->refused) },
    };
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
        sp_cli_json_add_number(out, counters[i].key, (int64_t) counters[i].n);
    sp_cli_json_add_bool(out, "load_refused", atomic_load(&board->is_load_refused));
    sp_cli_json_add_number(out, "refused_time", atomic_load(&board->refused_wall_us) / US_PER_S);
    add_text(out, "last_error", board->last_error);
    add_text(out, "last_death", board->last_death);
    sp_cli_json_add(out, "sandbox", sandbox_json(board));
    return out;
}

static struct json_object *times_json(const struct sp_histogram *took)
{
    struct json_object *out = sp_cli_json_object();
    sp_cli_json_add_number(out, "count", (int64_t) took->count);
    sp_cli_json_add_number(out, "sum", (int64_t) took->sum_us);
    sp_cli_json_add_number(out, "p50", (int64_t) sp_histogram_quantile_us(took, 0.5));
    sp_cli_json_add_number(out, "p90", (int64_t) sp_histogram_quantile_us(took, 0.9));
    sp_cli_json_add_number(out, "p99", (int64_t) sp_histogram_quantile_us(took, 0.99));
    return out;
}

static struct json_object *latency_json(const struct sp_metrics *metrics)
{
    struct json_object *out = sp_cli_json_object();
    struct sp_histogram took;
    for (unsigned d = 0; d < SP_DIRECTION_COUNT; d++) {
        sp_metrics_get_total(metrics, (enum sp_direction) d, &took);
        sp_cli_json_add(out, sp_direction_name((enum sp_direction) d), times_json(&took));
    }
    for (unsigned p = 0; p < SP_PHASE_COUNT; p++) {
        sp_metrics_get_phase(metrics, (enum sp_phase) p, &took);
        sp_cli_json_add(out, sp_phase_name((enum sp_phase) p), times_json(&took));
    }
    return out;
}

static struct json_object *categories_json(const struct sp_metrics *metrics)
{
    struct json_object *out = sp_cli_json_object();
    for (unsigned c = 0; c < SP_METRICS_CATEGORY_COUNT; c++) {
        struct json_object *actions = sp_cli_json_object();
        for (unsigned a = 0; a <= SP_ACTION_NONE; a++)
            sp_cli_json_add_number(actions, sp_action_name((enum sp_action) a),
                (int64_t) sp_metrics_get_category(metrics, (enum sp_metrics_category) c, (enum sp_action) a));
        sp_cli_json_add(out, sp_metrics_category_name((enum sp_metrics_category) c), actions);
    }
    return out;
}

/* Only what is not zero: direction, outcome, action. */
static struct json_object *transactions_json(const struct sp_metrics *metrics)
{
    struct json_object *out = sp_cli_json_array();
    for (unsigned d = 0; d < SP_DIRECTION_COUNT; d++)
        for (unsigned o = 0; o < SP_OUTCOME_COUNT; o++)
            for (unsigned a = 0; a <= SP_ACTION_NONE; a++) {
                const uint64_t n = sp_metrics_transactions(metrics, (int) d, (int) o, (int) a);
                if (n == 0)
                    continue;
                struct json_object *one = sp_cli_json_object();
                sp_cli_json_add_text(one, "direction", sp_direction_name((enum sp_direction) d));
                sp_cli_json_add_text(one, "outcome", sp_outcome_name((enum sp_outcome) o));
                sp_cli_json_add_text(one, "action", sp_action_name((enum sp_action) a));
                sp_cli_json_add_number(one, "count", (int64_t) n);
                sp_cli_json_append(out, one);
            }
    return out;
}

static void add_sum(struct json_object *out, const char *key, const struct sp_metrics *metrics, int direction, int action)
{
    sp_cli_json_add_number(out, key, (int64_t) sp_metrics_transactions(metrics, direction, SP_METRICS_ANY, action));
}

static struct json_object *metrics_json(const struct sp_metrics *metrics)
{
    struct json_object *out = sp_cli_json_object(), *outcomes = sp_cli_json_object();
    add_sum(out, "reqmod", metrics, SP_REQMOD, SP_METRICS_ANY);
    add_sum(out, "respmod", metrics, SP_RESPMOD, SP_METRICS_ANY);
    add_sum(out, "allowed", metrics, SP_METRICS_ANY, SP_ACTION_ALLOW);
    add_sum(out, "reported", metrics, SP_METRICS_ANY, SP_ACTION_REPORT);
    add_sum(out, "blocked", metrics, SP_METRICS_ANY, SP_ACTION_BLOCK);
    for (unsigned i = 0; i < SP_METRIC_COUNT; i++)
        sp_cli_json_add_number(out, sp_metric_name((enum sp_metric) i), (int64_t) sp_metrics_get(metrics, (enum sp_metric) i));
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++)
        sp_cli_json_add_number(
            outcomes, sp_outcome_name((enum sp_outcome) i), (int64_t) sp_metrics_get_outcome(metrics, (enum sp_outcome) i));
    sp_cli_json_add(out, "outcomes", outcomes);
    sp_cli_json_add(out, "transactions", transactions_json(metrics));
    sp_cli_json_add(out, "categories", categories_json(metrics));
    sp_cli_json_add(out, "latency_us", latency_json(metrics));
    return out;
}

static struct json_object *spool_json(const struct sp_look *look)
{
    struct json_object *out = sp_cli_json_object();
    sp_cli_json_add_number(out, "held_bytes", (int64_t) look->spool.held_bytes);
    sp_cli_json_add_number(out, "quota_bytes", look->conf->spool_quota);
    sp_cli_json_add_number(out, "processes", look->spool.processes);
    sp_cli_json_add_number(out, "refused", (int64_t) look->spool.refused);
    return out;
}

void sp_status_print_json(const struct sp_look *look, const struct sp_finding *findings, size_t n)
{
    struct json_object *out = sp_cli_json_object(), *list = sp_cli_json_array();
    sp_cli_json_add_text(out, "health", sp_health_name(sp_status_worst(findings, n)));
    for (size_t i = 0; i < n; i++) {
        struct json_object *one = sp_cli_json_object();
        sp_cli_json_add_text(one, "health", sp_health_name(findings[i].health));
        sp_cli_json_add_text(one, "text", findings[i].text);
        sp_cli_json_append(list, one);
    }
    sp_cli_json_add(out, "findings", list);
    sp_cli_json_add_text(out, "state", sp_look_state(look));
    sp_cli_json_add_bool(out, "answering", look->is_answering);
    sp_cli_json_add_number(out, "ping_us", look->ping_us);
    if (!look->is_answering)
        sp_cli_json_add_text(out, "detail", look->ping.detail);
    sp_cli_json_add(out, "scanner", look->board ? board_json(look) : NULL);
    sp_cli_json_add(out, "gate", look->metrics ? metrics_json(look->metrics) : NULL);
    sp_cli_json_add(out, "spool", look->has_spool ? spool_json(look) : NULL);
    sp_cli_json_print(out);
}
