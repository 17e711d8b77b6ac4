/* /api/status: how the gate is. /api/series: what happened when. */
#include "config.h"

#include "api.h"
#include "writer.h"

#include "sallyport/clock.h"

#define MILLI 1000

static const char *const log_to_names[] = { [SP_LOG_TO_FILE] = "file", [SP_LOG_TO_SYSLOG] = "syslog", [SP_LOG_TO_JOURNAL] = "journal" };

static void write_problems(struct sp_json *json, const struct sp_web_state *state, const struct sp_conf *conf)
{
    struct sp_web_problem problems[SP_WEB_PROBLEMS_MAX];
    unsigned n = sp_web_state_problems(state, conf, problems);
    sp_json_add_cstr(json, "level", sp_web_level_name(n > 0 ? problems[0].level : SP_WEB_GOOD));
    sp_json_key(json, "problems");
    sp_json_open(json, '[');
    for (unsigned i = 0; i < n; i++) {
        sp_json_open(json, '{');
        sp_json_add_cstr(json, "level", sp_web_level_name(problems[i].level));
        sp_json_add_cstr(json, "what", problems[i].what);
        sp_json_add_cstr(json, "detail", problems[i].detail);
        sp_json_close(json, '}');
    }
    sp_json_close(json, ']');
}

static void write_scanner(struct sp_json *json, const struct sp_web_state *state, const struct sp_conf *conf)
{
    const struct sp_web_scanner *s = &state->scanner;
    sp_json_key(json, "scanner");
    if (!s->has_board) {
        sp_json_null(json);
        return;
    }
    sp_json_open(json, '{');
    sp_json_add_cstr(json, "state", sp_scand_state_name(s->state));
    sp_json_add_bool(json, "answering", state->is_answering);
    sp_json_add_number(json, "ping_us", state->ping_us);
    sp_json_add_number(json, "pid", s->pid);
    sp_json_add_number(json, "started", s->started_us / MILLI);
    sp_json_add_number(json, "generation", s->generation);
    sp_json_add_number(json, "loaded", s->loaded_us / MILLI);
    sp_json_add_bool(json, "loading", s->is_loading);
    sp_json_add_number(json, "signatures", s->signatures);
    sp_json_add_number(json, "database_time", s->database_s * MILLI);
    sp_json_add_number(json, "database_age_s", state->database_age_s);
    sp_json_add_number(json, "database_max_age_s", conf->scan_max_age_ms / 1000);
    sp_json_add_number(json, "workers_alive", s->workers_alive);
    sp_json_add_number(json, "workers_busy", s->workers_busy);
    sp_json_add_number(json, "workers_min", s->workers_min);
    sp_json_add_number(json, "workers_max", s->workers_max);
    sp_json_add_number(json, "scans", (int64_t) s->scans);
    sp_json_add_number(json, "infected", (int64_t) s->infected);
    sp_json_add_number(json, "errors", (int64_t) s->errors);
    sp_json_add_number(json, "crashed", (int64_t) s->crashed);
    sp_json_add_number(json, "timed_out", (int64_t) s->timed_out);
    sp_json_add_number(json, "loads_refused", (int64_t) s->refused);
    sp_json_add_cstr(json, "sandbox", s->sandbox);
    sp_json_close(json, '}');
}

static void write_gate(struct sp_json *json, const struct sp_web_state *state)
{
    sp_json_key(json, "gate");
    if (!state->has_gate) {
        sp_json_null(json);
        return;
    }
    sp_json_open(json, '{');
    for (unsigned i = 0; i < SP_METRIC_COUNT; i++)
        sp_json_add_number(json, sp_metric_name((enum sp_metric) i), (int64_t) state->counters[i]);
    sp_json_key(json, "totals"); /* of the columns of /api/series, since the counters began */
    sp_json_open(json, '{');
    for (unsigned i = 0; i < SP_WEB_COLUMNS; i++)
        sp_json_add_number(json, sp_web_column_name((enum sp_web_column) i), (int64_t) state->totals[i]);
    sp_json_close(json, '}');
    sp_json_close(json, '}');
}

static void write_outcomes(struct sp_json *json, const struct sp_conf *conf)
{
    sp_json_key(json, "outcomes");
    sp_json_open(json, '[');
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++) {
        sp_json_open(json, '{');
        sp_json_add_cstr(json, "name", sp_outcome_name((enum sp_outcome) i));
        sp_json_add_cstr(json, "when", sp_outcome_when((enum sp_outcome) i));
        sp_json_add_cstr(json, "action", sp_action_name(conf->outcomes[i]));
        sp_json_close(json, '}');
    }
    sp_json_close(json, ']');
}

enum sp_status sp_web_api_status(struct sp_web_world *world, const struct sp_web_request *request, struct sp_web_reply *reply)
{
    (void) request;
    const struct sp_conf *conf = world->options->conf;
    struct sp_json json = { .out = &reply->body };
    reply->type = SP_WEB_JSON;
    pthread_mutex_lock(&world->lock);
    const struct sp_web_state *state = &world->state;
    sp_json_open(&json, '{');
    const int64_t now_us = sp_clock_wall_us();
    sp_json_add_number(&json, "now", now_us / MILLI);
    sp_json_add_number(&json, "taken", (now_us - sp_web_state_age_us(state)) / MILLI);
    sp_json_add_number(&json, "watching_since", world->started_us / MILLI);
    sp_json_add_cstr(&json, "version", PACKAGE_VERSION);
    sp_json_add_cstr(&json, "mode", conf->mode == SP_MODE_MONITOR ? "monitor" : "enforce");
    sp_json_add_bool(&json, "serving", sp_web_state_serves(state));
    write_problems(&json, state, conf);
    write_scanner(&json, state, conf);
    write_gate(&json, state);
    sp_json_key(&json, "spool");
    sp_json_open(&json, '{');
    sp_json_add_number(&json, "held_bytes", state->has_spool ? (int64_t) state->spool.held_bytes : 0);
    sp_json_add_number(&json, "quota_bytes", conf->spool_quota);
    sp_json_add_number(&json, "refused", state->has_spool ? (int64_t) state->spool.refused : 0);
    sp_json_close(&json, '}');
    sp_json_key(&json, "log");
    sp_json_open(&json, '{');
    sp_json_add_bool(&json, "on", conf->log_to != SP_LOG_TO_FILE || conf->log_file[0] != '\0');
    sp_json_add_cstr(&json, "to", log_to_names[conf->log_to]);
    sp_json_add_bool(&json, "hashed", conf->log_hash_key[0] != '\0');
    sp_json_add_bool(&json, "all", conf->log_decisions == SP_LOG_ALL);
    sp_json_add_number(&json, "held", (int64_t) sp_web_recent_count(world->recent));
    const struct sp_web_entry *newest = sp_web_recent_at(world->recent, 0);
    sp_json_add_number(&json, "newest", newest ? (int64_t) newest->number : 0);
    sp_json_close(&json, '}');
    write_outcomes(&json, conf);
    sp_json_close(&json, '}');
    pthread_mutex_unlock(&world->lock);
    return json.status;
}

/* --- /api/series --------------------------------------------------------------------------------------------------------- */

struct series {
    enum sp_web_range range;
    int64_t since_s; /* only steps that begin later */
};

static bool parse_series(const struct sp_web_request *request, struct series *out)
{
    *out = (struct series){ .range = SP_WEB_HOUR };
    for (size_t i = 0; i < request->n_args; i++) {
        const struct sp_web_arg *arg = &request->args[i];
        uint64_t number = 0;
        if (sp_str_equal(arg->name, SP_STR("range")) && sp_str_equal(arg->value, SP_STR("day")))
            out->range = SP_WEB_DAY;
        else if (sp_str_equal(arg->name, SP_STR("since")) && sp_web_number(arg->value, INT64_MAX / MILLI, &number))
            out->since_s = (int64_t) number;
        else if (!sp_str_equal(arg->name, SP_STR("range")) || !sp_str_equal(arg->value, SP_STR("hour")))
            return false;
    }
    return true;
}

static void write_row(struct sp_json *json, const struct sp_web_history *history, enum sp_web_range range, int64_t at)
{
    sp_json_open(json, '[');
    for (unsigned c = 0; c < SP_WEB_COLUMNS; c++) {
        int64_t value = sp_web_history_get(history, range, (enum sp_web_column) c, at);
        if (value == SP_WEB_UNKNOWN)
            sp_json_null(json);
        else
            sp_json_number(json, value);
    }
    sp_json_close(json, ']');
}

/* Steps that are complete, the oldest first; "start" is when the first one begins. Once "clock_set" is another, so are all times: what
 * was asked for before is to be asked for anew. */
enum sp_status sp_web_api_series(struct sp_web_world *world, const struct sp_web_request *request, struct sp_web_reply *reply)
{
    struct series want;
    struct sp_json json = { .out = &reply->body };
    if (!parse_series(request, &want))
        return sp_web_api_fault(reply, 400, "range is hour or day, since is a number of seconds");
    reply->type = SP_WEB_JSON;
    const int64_t step_s = sp_web_history_step(want.range);
    pthread_mutex_lock(&world->lock);
    const int64_t end = world->state.taken_us / 1000000 / step_s * step_s; /* of the last complete step */
    int64_t start = end - step_s * ((int64_t) sp_web_history_length(want.range) - 1);
    if (want.since_s >= start)
        start = (want.since_s / step_s + 1) * step_s;
    sp_json_open(&json, '{');
    sp_json_add_number(&json, "step", step_s);
    sp_json_add_number(&json, "start", start);
    sp_json_add_number(&json, "clock_set", world->clock_set);
    sp_json_key(&json, "columns");
    sp_json_open(&json, '[');
    for (unsigned c = 0; c < SP_WEB_COLUMNS; c++)
        sp_json_text(&json, sp_str_from(sp_web_column_name((enum sp_web_column) c)));
    sp_json_close(&json, ']');
    sp_json_key(&json, "rows");
    sp_json_open(&json, '[');
    for (int64_t at = start; at < end; at += step_s)
        write_row(&json, world->history, want.range, at);
    pthread_mutex_unlock(&world->lock);
    sp_json_close(&json, ']');
    sp_json_close(&json, '}');
    return json.status;
}
