/* sallyport status: one screen for a person, the worst first; the same for programs in status_json.c. */
#include "config.h"

#include "cli.h"
#include "look.h"
#include "status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 2000
#define WHEN_BYTES 32
#define US_PER_S 1000000
#define MINUTE_S 60
#define HOUR_S 3600
#define DAY_S 86400
#define COLUMNS 80
#define INDENT 10
#define MIB (1024.0 * 1024.0)
#define PERCENT 100.0
#define QUANTILE_HIGH 0.99
#define QUANTILE_MIDDLE 0.5

/* --- small forms ------------------------------------------------------------------------------------------------------- */

static void format_when(int64_t seconds, char out[WHEN_BYTES])
{
    time_t t = (time_t) seconds;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || strftime(out, WHEN_BYTES, "%Y-%m-%d %H:%M UTC", &tm) == 0)
        snprintf(out, WHEN_BYTES, "%s", "?");
}

static const char *format_bytes(uint64_t n, char out[SP_CLI_NUMBER_SIZE])
{
    static const char *const units[] = { "bytes", "KB", "MB", "GB", "TB", "PB" };
    const double step = 1024.0;
    double v = (double) n;
    size_t unit = 0;
    while (v >= step && unit < sizeof(units) / sizeof(units[0]) - 1) {
        v /= step;
        unit++;
    }
    snprintf(out, SP_CLI_NUMBER_SIZE, unit == 0 ? "%.0f %s" : "%.1f %s", v, units[unit]);
    return out;
}

static const char *format_us(double us, char out[SP_CLI_NUMBER_SIZE])
{
    const double step = 1000.0;
    if (us < step)
        snprintf(out, SP_CLI_NUMBER_SIZE, "%.0f us", us);
    else if (us < step * step)
        snprintf(out, SP_CLI_NUMBER_SIZE, "%.1f ms", us / step);
    else
        snprintf(out, SP_CLI_NUMBER_SIZE, "%.1f s", us / step / step);
    return out;
}

static const char *format_span(int64_t seconds, char out[SP_CLI_NUMBER_SIZE])
{
    if (seconds < MINUTE_S)
        snprintf(out, SP_CLI_NUMBER_SIZE, "%" PRId64 " s", seconds);
    else if (seconds < HOUR_S)
        snprintf(out, SP_CLI_NUMBER_SIZE, "%" PRId64 " min", seconds / MINUTE_S);
    else if (seconds < DAY_S)
        snprintf(out, SP_CLI_NUMBER_SIZE, "%" PRId64 " h %" PRId64 " min", seconds / HOUR_S, seconds % HOUR_S / MINUTE_S);
    else
        snprintf(out, SP_CLI_NUMBER_SIZE, "%" PRId64 " d %" PRId64 " h", seconds / DAY_S, seconds % DAY_S / HOUR_S);
    return out;
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* --- health ------------------------------------------------------------------------------------------------------------ */

static const char *colour_of(enum sp_health health)
{
    if (!isatty(STDOUT_FILENO) || getenv("NO_COLOR"))
        return "";
    switch (health) {
    case SP_HEALTH_OK:
    case SP_HEALTH_NOTE:
        return "\033[1;32m";
    case SP_HEALTH_DEGRADED:
        return "\033[1;33m";
    case SP_HEALTH_DOWN:
        return "\033[1;31m";
    }
    return "";
}

/* In lines of 80 columns, broken at blanks. */
static void print_wrapped(const char *label, const char *mark, const char *text)
{
    const size_t width = COLUMNS - INDENT - strlen(mark);
    bool is_first = true;
    while (*text) {
        size_t n = strlen(text);
        if (n > width) {
            n = width;
            while (n > 0 && text[n] != ' ')
                n--;
            if (n == 0)
                n = width;
        }
        sp_cli_line(stdout, "%-*s%*s%.*s", INDENT, is_first ? label : "", (int) strlen(mark), is_first ? mark : "", (int) n, text);
        is_first = false;
        text += n;
        while (*text == ' ')
            text++;
    }
}

static void print_health(const struct sp_finding *findings, size_t n)
{
    const enum sp_health worst = sp_status_worst(findings, n);
    const char *colour = colour_of(worst);
    printf("health    %s%s%s\n", colour, sp_health_name(worst), colour[0] ? "\033[0m" : "");
    for (size_t i = 0; i < n; i++)
        print_wrapped("", findings[i].health >= SP_HEALTH_DEGRADED ? "! " : "- ", findings[i].text);
}

/* --- the scanner ------------------------------------------------------------------------------------------------------- */

static void print_engine(const struct sp_look *look)
{
    const struct sp_board *board = look->board;
    char loaded[WHEN_BYTES], made[WHEN_BYTES], number[SP_CLI_NUMBER_SIZE];
    const int64_t database_time = atomic_load(&board->database_time);
    if (atomic_load(&board->generation) == 0) {
        printf("engine    none%s\n", sp_look_is_loading(look) ? "; the first one is loading" : "");
        return;
    }
    format_when(atomic_load(&board->loaded_wall_us) / US_PER_S, loaded);
    const unsigned signatures = atomic_load(&board->signatures);
    printf("engine    generation %u, %s signature%s, loaded %s%s\n", atomic_load(&board->generation), sp_cli_number(signatures, number),
        plural(signatures), loaded, sp_look_is_loading(look) ? "; another one is loading" : "");
    if (database_time == 0) {
        printf("database  none: only the built-in test signature\n");
        return;
    }
    format_when(database_time, made);
    const int64_t days = sp_look_database_age_s(look) / DAY_S;
    printf("database  of %s, %" PRId64 " %s old%s\n", made, days, days == 1 ? "day" : "days",
        sp_look_is_database_old(look) ? ": too old" : "");
}

static void print_refused(const struct sp_board *board)
{
    char when[WHEN_BYTES];
    const uint64_t n = atomic_load(&board->refused);
    format_when(atomic_load(&board->refused_wall_us) / US_PER_S, when);
    sp_cli_line(stdout, "refused   %" PRIu64 " engine%s%s, %s: %.*s", n, plural(n),
        atomic_load(&board->is_load_refused) ? ", the newest too" : "; the last one", when, SP_BOARD_TEXT_SIZE, board->last_error);
}

static void print_workers(const struct sp_look *look)
{
    const struct sp_board *board = look->board;
    printf("workers   %u alive, %u busy, %u to %u allowed", look->workers_alive, look->workers_busy, atomic_load(&board->min_workers),
        atomic_load(&board->max_workers));
    if (look->has_queue)
        printf("; %u scan%s waiting", look->queue, plural(look->queue));
    const uint64_t crashed = atomic_load(&board->crashed), forbidden = atomic_load(&board->forbidden);
    printf("\n          ended: %" PRIu64 " crashed, %" PRIu64 " forbidden a call, %" PRIu64 " at a deadline, %" PRIu64 " in good order\n",
        crashed > forbidden ? crashed - forbidden : 0, forbidden, (uint64_t) atomic_load(&board->timed_out),
        (uint64_t) atomic_load(&board->replaced));
    if (board->last_death[0] != '\0')
        sp_cli_line(stdout, "crashed   %" PRIu64 " workers; the last: %.*s", crashed, SP_BOARD_TEXT_SIZE, board->last_death);
    const uint64_t culprits = sp_look_culprits(look), refused = atomic_load(&board->culprits_refused);
    if (culprits > 0 || refused > 0)
        printf("culprits  %" PRIu64 " object%s remembered, %" PRIu64 " scan%s refused for it\n", culprits, plural(culprits), refused,
            plural(refused));
}

static void print_board(const struct sp_look *look)
{
    const struct sp_board *board = look->board;
    char sandbox[SP_BOARD_SANDBOX_TEXT_SIZE], scans[SP_CLI_NUMBER_SIZE], infected[SP_CLI_NUMBER_SIZE], errors[SP_CLI_NUMBER_SIZE];
    print_engine(look);
    print_workers(look);
    printf("scans     %s, %s infected, %s errors\n", sp_cli_number(atomic_load(&board->scans), scans),
        sp_cli_number(atomic_load(&board->infected), infected), sp_cli_number(atomic_load(&board->errors), errors));
    sp_board_sandbox_text(board, sandbox);
    print_wrapped("sandbox", "", sandbox);
    if (atomic_load(&board->refused) > 0)
        print_refused(board);
}

static void print_scanner(const struct sp_look *look)
{
    const int pid = look->board ? atomic_load(&look->board->supervisor_pid) : 0;
    char up[SP_CLI_NUMBER_SIZE], took[SP_CLI_NUMBER_SIZE];
    if (!look->board)
        sp_cli_line(stdout, "scanner   %s: %s", sp_look_state(look), look->board_error.text);
    else if (look->is_answering)
        printf("scanner   %s, answered in %s, pid %d, up %s\n", sp_look_state(look), format_us((double) look->ping_us, took), pid,
            format_span((look->wall_us - atomic_load(&look->board->started_wall_us)) / US_PER_S, up));
    else
        sp_cli_line(stdout, "scanner   %s: %s, pid %d", sp_look_state(look), look->ping.detail, pid);
    if (look->board)
        print_board(look);
}

/* --- the gate ---------------------------------------------------------------------------------------------------------- */

static void print_direction(const struct sp_metrics *metrics, enum sp_direction direction, const char *label, const char *what)
{
    char n[SP_ACTION_COUNT + 1][SP_CLI_NUMBER_SIZE], middle[SP_CLI_NUMBER_SIZE], high[SP_CLI_NUMBER_SIZE];
    struct sp_histogram took;
    sp_metrics_get_total(metrics, direction, &took);
    for (unsigned a = 0; a < SP_ACTION_COUNT; a++)
        sp_cli_number(sp_metrics_transactions(metrics, (int) direction, SP_METRICS_ANY, (int) a), n[a]);
    sp_cli_number(sp_metrics_transactions(metrics, (int) direction, SP_METRICS_ANY, SP_METRICS_ANY), n[SP_ACTION_COUNT]);
    printf("%-10s%-9s%12s%12s%10s%10s%8s%8s\n", label, what, n[SP_ACTION_COUNT], n[SP_ACTION_ALLOW], n[SP_ACTION_REPORT],
        n[SP_ACTION_BLOCK], format_us(sp_histogram_quantile_us(&took, QUANTILE_MIDDLE), middle),
        format_us(sp_histogram_quantile_us(&took, QUANTILE_HIGH), high));
}

/* "label     NAME N, NAME N": those above zero, in lines of 80 columns. */
struct list {
    const char *label;
    int column; /* 0: nothing yet */
};

static void list_item(struct list *list, const char *name, uint64_t n)
{
    char item[64], number[SP_CLI_NUMBER_SIZE];
    if (n == 0)
        return;
    const int len = snprintf(item, sizeof(item), "%s %s", name, sp_cli_number(n, number));
    if (list->column == 0)
        list->column = printf("%-10s%s", list->label, item);
    else if (list->column + len + 2 > COLUMNS - 1)
        list->column = printf(",\n%*s%s", INDENT, "", item) - 2;
    else
        list->column += printf(", %s", item);
}

static void list_end(const struct list *list, bool is_shown)
{
    if (list->column > 0)
        printf("\n");
    else if (is_shown)
        printf("%-10snone\n", list->label);
}

static void print_outcomes(const struct sp_metrics *metrics)
{
    struct list blocked = { "blocked", 0 }, others = { "passed", 0 }, rules = { "rules", 0 };
    for (unsigned o = 0; o < SP_OUTCOME_COUNT; o++)
        list_item(&blocked, sp_outcome_name((enum sp_outcome) o),
            sp_metrics_transactions(metrics, SP_METRICS_ANY, (int) o, SP_ACTION_BLOCK));
    list_end(&blocked, true);
    for (unsigned o = 0; o < SP_OUTCOME_COUNT; o++) {
        uint64_t passed = 0; /* by addition: a difference of counters that move meanwhile may fall below zero */
        for (unsigned a = 0; a <= SP_ACTION_NONE; a++)
            passed += a == SP_ACTION_BLOCK ? 0 : sp_metrics_transactions(metrics, SP_METRICS_ANY, (int) o, (int) a);
        list_item(&others, o == SP_OUTCOME_NONE ? "nothing to scan" : sp_outcome_name((enum sp_outcome) o), passed);
    }
    list_end(&others, false);
    for (unsigned c = 0; c < SP_METRICS_CATEGORY_COUNT; c++) {
        uint64_t n = 0;
        for (unsigned a = 0; a <= SP_ACTION_NONE; a++)
            n += sp_metrics_get_category(metrics, (enum sp_metrics_category) c, (enum sp_action) a);
        list_item(&rules, sp_metrics_category_name((enum sp_metrics_category) c), n);
    }
    list_end(&rules, false);
}

static void print_cache(const struct sp_metrics *metrics)
{
    const uint64_t known = sp_metrics_get(metrics, SP_METRIC_CACHE_HITS) + sp_metrics_get(metrics, SP_METRIC_CACHE_JOINED);
    const uint64_t asked = known + sp_metrics_get(metrics, SP_METRIC_CACHE_MISSES);
    char known_text[SP_CLI_NUMBER_SIZE], asked_text[SP_CLI_NUMBER_SIZE];
    printf("cache     %s of %s objects known (%.0f %%)\n", sp_cli_number(known, known_text), sp_cli_number(asked, asked_text),
        asked == 0 ? 0.0 : PERCENT * (double) known / (double) asked);
}

static void print_rare(const struct sp_metrics *metrics)
{
    static const enum sp_metric rare[] = { SP_METRIC_CUT, SP_METRIC_CLIENT_GONE, SP_METRIC_SCAN_RETRIES, SP_METRIC_MONITORED,
        SP_METRIC_STRIPPED, SP_METRIC_POLICY_LIMITED, SP_METRIC_LOG_LOST, SP_METRIC_RELOADS, SP_METRIC_RELOADS_REFUSED };
    struct list list = { "also", 0 };
    for (size_t i = 0; i < sizeof(rare) / sizeof(rare[0]); i++)
        list_item(&list, sp_metric_name(rare[i]), sp_metrics_get(metrics, rare[i]));
    list_end(&list, false);
}

static void print_gate(const struct sp_look *look)
{
    const struct sp_metrics *metrics = look->metrics;
    char in[SP_CLI_NUMBER_SIZE], out[SP_CLI_NUMBER_SIZE];
    if (!metrics && look->is_gate_new) {
        printf("gate      no counters yet: c-icap has not run the module here\n");
        return;
    }
    if (!metrics) {
        sp_cli_line(stdout, "gate      no counters: %s", look->metrics_error.text);
        return;
    }
    printf("%-10s%-9s%12s%12s%10s%10s%8s%8s\n", "", "", "total", "allowed", "reported", "blocked", "median", "99 %");
    print_direction(metrics, SP_REQMOD, "gate", "requests");
    print_direction(metrics, SP_RESPMOD, "", "replies");
    print_outcomes(metrics);
    print_rare(metrics);
    print_cache(metrics);
    printf("bodies    %s of requests, %s of replies\n", format_bytes(sp_metrics_get(metrics, SP_METRIC_REQUEST_BYTES), out),
        format_bytes(sp_metrics_get(metrics, SP_METRIC_RESPONSE_BYTES), in));
}

static void print_spool(const struct sp_look *look)
{
    const struct sp_quota_use *use = &look->spool;
    printf("spool     %.1f of %.0f MB, held by %u process%s, refused %" PRIu64 " times\n", (double) use->held_bytes / MIB,
        (double) look->conf->spool_quota / MIB, use->processes, use->processes == 1 ? "" : "es", use->refused);
}

/* --- the command ------------------------------------------------------------------------------------------------------- */

static enum sp_cli_exit judge(enum sp_health worst)
{
    if (worst == SP_HEALTH_DOWN)
        return SP_CLI_ERROR;
    return worst == SP_HEALTH_DEGRADED ? SP_CLI_FOUND : SP_CLI_OK;
}

static enum sp_cli_exit show(const struct sp_cli_options *options, const struct sp_conf *conf)
{
    struct sp_look look;
    struct sp_finding findings[SP_FINDINGS_MAX];
    sp_look_open(conf, PATIENCE_MS, &look);
    const size_t n = sp_look_judge(&look, findings);
    if (options->json) {
        sp_status_print_json(&look, findings, n);
    } else {
        print_health(findings, n);
        print_scanner(&look);
        print_gate(&look);
        if (look.has_spool)
            print_spool(&look);
    }
    sp_look_close(&look);
    return judge(sp_status_worst(findings, n));
}

static enum sp_cli_exit run(const struct sp_cli_options *options)
{
    struct sp_error err = { 0 };
    struct sp_conf *conf = NULL;
    if (sp_conf_load(options->config, &err, NULL, &conf) != SP_OK)
        return sp_cli_fail("%s", err.text);
    const enum sp_cli_exit status = show(options, conf);
    sp_conf_free(&conf);
    return status;
}

const struct sp_cli_command sp_cli_status = {
    .name = "status",
    .args = "",
    .summary = "show whether the gate is well, and what it has done",
    .help = "Asks the scanner for an answer and reads its scoreboard, so it says \"serving\" only when it is. What someone must look\n"
            "after stands first, with a mark: \"!\" for what degrades the gate, \"-\" for what is only good to know.\n"
            "Numbers are since the scanner's start, those of the gate since its counters were made.\n\n"
            "exit status: 0 all is well, 1 the gate works but is degraded (an old database, a refused load, workers that keep\n"
            "dying, a full spool), 2 the scanner does not run or does not answer\n\n"
            "examples:\n"
            "  sallyport status\n"
            "  sallyport status --json | jq -r '.findings[].text'\n"
            "  watch -n 1 sallyport status\n",
    .run = run,
};
