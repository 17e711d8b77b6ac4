/* The text for Prometheus. Names follow its conventions: a unit at the end, _total for what only goes up, base units. Label values are
 * names of ours only: nothing that a client sent gets into it, and the number of series is bounded. */
#include "config.h"

#include "prometheus.h"

#include "look.h"

#include "sallyport/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PATIENCE_MS 500 /* a scrape must not take longer than the second that some give it */
#define US_PER_S 1e6
#define MS_PER_S 1e3
#define EXACT_DIGITS 16

enum needs { NEEDS_NOTHING, NEEDS_ANSWER, NEEDS_BOARD, NEEDS_ENGINE, NEEDS_DATABASE, NEEDS_QUEUE, NEEDS_SPOOL };

/* The first failure stays. */
struct writer {
    struct sp_buf *out;
    enum sp_status status;
};

static void __attribute__((format(printf, 2, 3))) put(struct writer *w, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    SP_ASSERT(n >= 0 && (size_t) n < sizeof(line));
    if (w->status == SP_OK)
        w->status = sp_buf_add(w->out, line, (size_t) n);
}

static void begin(struct writer *w, const char *name, const char *type, const char *help)
{
    put(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static bool has(const struct sp_look *look, enum needs needs)
{
    switch (needs) {
    case NEEDS_NOTHING:
        return true;
    case NEEDS_ANSWER:
        return look->is_answering;
    case NEEDS_BOARD:
        return look->board;
    case NEEDS_ENGINE:
        return look->board && atomic_load(&look->board->generation) != 0;
    case NEEDS_DATABASE:
        return look->board && atomic_load(&look->board->database_time) != 0;
    case NEEDS_QUEUE:
        return look->has_queue;
    case NEEDS_SPOOL:
        return look->has_spool;
    }
    return false;
}

/* --- metrics of one number ------------------------------------------------------------------------------------------- */

static void write_single(struct writer *w, const struct sp_look *look, const struct sp_board *board)
{
    const struct {
        const char *name, *type;
        enum needs needs;
        const char *help;
        double value;
    } rows[] = {
#define SP_GAUGE_ROW(name, type, needs, help, value) { name, type, needs, help, value },
#include "prometheus.def"
#undef SP_GAUGE_ROW
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!has(look, rows[i].needs))
            continue;
        begin(w, rows[i].name, rows[i].type, rows[i].help);
        put(w, "%s %.*g\n", rows[i].name, EXACT_DIGITS, rows[i].value);
    }
}

static void write_counters(struct writer *w, const struct sp_metrics *metrics)
{
    for (unsigned i = 0; i < SP_METRIC_COUNT; i++) {
        char name[128];
        snprintf(name, sizeof(name), "sallyport_%s_total", sp_metric_name((enum sp_metric) i));
        begin(w, name, "counter", sp_metric_help((enum sp_metric) i));
        put(w, "%s %" PRIu64 "\n", name, sp_metrics_get(metrics, (enum sp_metric) i));
    }
}

/* --- metrics with labels: the gate ----------------------------------------------------------------------------------- */

/* A series that appears with its first event has no rate for it: so all that can occur under this configuration begin at 0. */
static bool can_occur(const struct sp_conf *conf, unsigned outcome, unsigned action)
{
    if (outcome == SP_OUTCOME_GONE)
        return action == SP_ACTION_NONE;
    if (outcome == SP_OUTCOME_RULE)
        return action != SP_ACTION_NONE;
    return action == (unsigned) conf->outcomes[outcome];
}

static void write_transactions(struct writer *w, const struct sp_look *look)
{
    const char *name = "sallyport_transactions_total";
    begin(w, name, "counter", "transactions decided");
    for (unsigned d = 0; d < SP_DIRECTION_COUNT; d++)
        for (unsigned o = 0; o < SP_OUTCOME_COUNT; o++)
            for (unsigned a = 0; a <= SP_ACTION_NONE; a++) {
                const uint64_t n = sp_metrics_transactions(look->metrics, (int) d, (int) o, (int) a);
                if (n > 0 || can_occur(look->conf, o, a))
                    put(w, "%s{direction=\"%s\",outcome=\"%s\",action=\"%s\"} %" PRIu64 "\n", name,
                        sp_direction_name((enum sp_direction) d), sp_outcome_name((enum sp_outcome) o),
                        sp_action_name((enum sp_action) a), n);
            }
}

static void write_categories(struct writer *w, const struct sp_metrics *metrics)
{
    const char *name = "sallyport_rule_transactions_total";
    begin(w, name, "counter", "transactions in which a rule of this category matched");
    for (unsigned c = 0; c < SP_METRICS_CATEGORY_COUNT; c++)
        for (unsigned a = 0; a <= SP_ACTION_NONE; a++) {
            const uint64_t n = sp_metrics_get_category(metrics, (enum sp_metrics_category) c, (enum sp_action) a);
            if (n > 0 || a == SP_ACTION_REPORT || a == SP_ACTION_BLOCK)
                put(w, "%s{category=\"%s\",action=\"%s\"} %" PRIu64 "\n", name, sp_metrics_category_name((enum sp_metrics_category) c),
                    sp_action_name((enum sp_action) a), n);
        }
}

static void write_histogram(struct writer *w, const char *name, const char *label, const char *value, const struct sp_histogram *h)
{
    uint64_t below = 0;
    for (unsigned i = 0; i < SP_HISTOGRAM_BUCKETS - 1; i++) {
        below += h->buckets[i];
        put(w, "%s_bucket{%s=\"%s\",le=\"%.9g\"} %" PRIu64 "\n", name, label, value, (double) sp_histogram_bound_us(i) / US_PER_S, below);
    }
    put(w, "%s_bucket{%s=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, label, value, h->count);
    put(w, "%s_sum{%s=\"%s\"} %.*g\n", name, label, value, EXACT_DIGITS, (double) h->sum_us / US_PER_S);
    put(w, "%s_count{%s=\"%s\"} %" PRIu64 "\n", name, label, value, h->count);
}

static void write_times(struct writer *w, const struct sp_metrics *metrics)
{
    struct sp_histogram h;
    begin(w, "sallyport_transaction_duration_seconds", "histogram", "from the head to the decision");
    for (unsigned d = 0; d < SP_DIRECTION_COUNT; d++) {
        sp_metrics_get_total(metrics, (enum sp_direction) d, &h);
        write_histogram(w, "sallyport_transaction_duration_seconds", "direction", sp_direction_name((enum sp_direction) d), &h);
    }
    begin(w, "sallyport_phase_duration_seconds", "histogram",
        "the phases of that: policy, receive, decode, scan, wait; only those that occurred");
    for (unsigned p = 0; p < SP_PHASE_COUNT; p++) {
        sp_metrics_get_phase(metrics, (enum sp_phase) p, &h);
        write_histogram(w, "sallyport_phase_duration_seconds", "phase", sp_phase_name((enum sp_phase) p), &h);
    }
}

/* --- metrics with labels: the scanner -------------------------------------------------------------------------------- */

static void put_labelled(struct writer *w, const char *name, const char *label, const char *value, uint64_t n)
{
    put(w, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, value, n);
}

static void write_state(struct writer *w, const struct sp_board *board)
{
    const char *name = "sallyport_scanner_state";
    begin(w, name, "gauge", "1 for the state that the scanner says it is in");
    for (unsigned i = SP_SCAND_LOADING; i <= SP_SCAND_STOPPING; i++)
        put_labelled(w, name, "state", sp_scand_state_name((enum sp_scand_state) i), atomic_load(&board->state) == i);
}

static void write_workers(struct writer *w, const struct sp_look *look)
{
    const char *name = "sallyport_workers";
    const struct sp_board *board = look->board;
    begin(w, name, "gauge", "workers alive, by whether they scan now");
    put_labelled(w, name, "state", "busy", look->workers_busy);
    put_labelled(w, name, "state", "idle", look->workers_alive - look->workers_busy);
    name = "sallyport_worker_exits_total";
    const uint64_t forbidden = atomic_load(&board->forbidden), crashed = atomic_load(&board->crashed);
    begin(w, name, "counter", "workers that ended and were replaced, by cause; \"replaced\" is no fault");
    put_labelled(w, name, "cause", "crashed", crashed > forbidden ? crashed - forbidden : 0);
    put_labelled(w, name, "cause", "forbidden", forbidden);
    put_labelled(w, name, "cause", "timed_out", atomic_load(&board->timed_out));
    put_labelled(w, name, "cause", "replaced", atomic_load(&board->replaced));
}

static void write_loads(struct writer *w, const struct sp_board *board)
{
    const char *name = "sallyport_engine_loads_total";
    const uint64_t refused = atomic_load(&board->refused), done = atomic_load(&board->loads_done);
    begin(w, name, "counter", "engines loaded, by whether they took over or were refused");
    put_labelled(w, name, "result", "accepted", done > refused ? done - refused : 0);
    put_labelled(w, name, "result", "refused", refused);
}

static void write_sandbox(struct writer *w, const struct sp_board *board)
{
    static const struct {
        unsigned part;
        const char *name;
    } parts[] = { { SP_SANDBOX_LANDLOCK, "landlock" }, { SP_SANDBOX_SECCOMP, "seccomp" }, { SP_SANDBOX_NO_NEW_PRIVS, "no_new_privs" },
        { SP_SANDBOX_LIMITS, "limits" }, { SP_SANDBOX_TMPFS, "tmpfs" } };
    const char *name = "sallyport_sandbox_part";
    begin(w, name, "gauge", "1 if this part of the sandbox confines the workers");
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        put_labelled(w, name, "part", parts[i].name, (atomic_load(&board->sandbox) & parts[i].part) != 0);
}

static void write_board(struct writer *w, const struct sp_look *look)
{
    write_state(w, look->board);
    write_workers(w, look);
    write_loads(w, look->board);
    write_sandbox(w, look->board);
}

/* --- all of it ------------------------------------------------------------------------------------------------------- */

enum sp_status sp_prometheus_write(const struct sp_conf *conf, struct sp_buf *out)
{
    static const struct sp_board no_board;
    struct writer w = { out, SP_OK };
    struct sp_look *look = calloc(1, sizeof(*look));
    if (!look)
        return SP_ERR_NOMEM;
    sp_look_open(conf, PATIENCE_MS, look);
    begin(&w, "sallyport_build_info", "gauge", "1, with the version of the program that writes this");
    put(&w, "sallyport_build_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
    write_single(&w, look, look->board ? look->board : &no_board);
    if (look->board)
        write_board(&w, look);
    if (look->metrics) {
        write_transactions(&w, look);
        write_categories(&w, look->metrics);
        write_counters(&w, look->metrics);
        write_times(&w, look->metrics);
    }
    sp_look_close(look);
    free(look);
    return w.status;
}
