/* The numbers of a report as text for a terminal or a mail, and as one JSON object. */
#include "config.h"

#include "report.h"

#include "sallyport/clock.h"
#include "sallyport/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define US_PER_S 1000000
#define DAY_US (INT64_C(86400) * US_PER_S)
#define NAME_SHOWN_BYTES 64
#define NAME_MAX_BYTES 2048

const char *sp_report_us(int64_t us, char out[SP_CLI_NUMBER_SIZE])
{
    if (us < 1000)
        snprintf(out, SP_CLI_NUMBER_SIZE, "%" PRId64 " us", us);
    else if (us < 10000)
        snprintf(out, SP_CLI_NUMBER_SIZE, "%.1f ms", (double) us / 1000);
    else if (us < US_PER_S)
        snprintf(out, SP_CLI_NUMBER_SIZE, "%.0f ms", (double) us / 1000);
    else
        snprintf(out, SP_CLI_NUMBER_SIZE, us < 100 * US_PER_S ? "%.1f s" : "%.0f s", (double) us / US_PER_S);
    return out;
}

const char *sp_report_title(enum sp_report_top which)
{
    static const char *const titles[SP_TOP_COUNT] = { "Categories", "Rules", "Signatures", "Hosts", "Clients", "Users" };
    return titles[which];
}

const char *sp_report_bin_time(const struct sp_report *r, size_t bin, char out[SP_LOG_TIME_SIZE])
{
    /* Days are named by their noon, so that a change to summer time does not make one yesterday's 23:00. */
    const time_t s = (time_t) ((r->first_bin_us + (int64_t) bin * r->bin_us + (r->bin_us >= DAY_US ? DAY_US / 2 : 0)) / US_PER_S);
    struct tm tm = { 0 };
    const bool is_short = r->bin_us < DAY_US && r->until_us - r->since_us <= DAY_US;
    if (!localtime_r(&s, &tm))
        out[0] = '\0';
    else if (is_short)
        strftime(out, SP_LOG_TIME_SIZE, "%H:%M", &tm);
    else if (r->bin_us < DAY_US)
        strftime(out, SP_LOG_TIME_SIZE, "%d %b %H:%M", &tm);
    else
        strftime(out, SP_LOG_TIME_SIZE, "%d %b", &tm);
    return out;
}

/* --- text -------------------------------------------------------------------------------------------------------------- */

/* Eight heights. */
static void print_bars(const struct sp_report *r, const char *what, bool is_refusals)
{
    static const char *const bars[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
    char number[SP_CLI_NUMBER_SIZE];
    uint64_t most = 0;
    for (size_t i = 0; i < r->n_bins; i++) {
        const uint64_t n = is_refusals ? r->bins[i].refused + r->bins[i].reported : r->bins[i].all;
        most = n > most ? n : most;
    }
    printf("  %-10s ", what);
    for (size_t i = 0; i < r->n_bins; i++) {
        const uint64_t n = is_refusals ? r->bins[i].refused + r->bins[i].reported : r->bins[i].all;
        fputs(n == 0 ? " " : bars[(n * 8 - 1) / most], stdout);
    }
    printf("  most: %s\n", sp_cli_number(most, number));
}

static void print_time(const struct sp_report *r)
{
    char first[SP_LOG_TIME_SIZE], last[SP_LOG_TIME_SIZE];
    puts("\nOver time");
    print_bars(r, "decisions", false);
    print_bars(r, "refused", true);
    const char *from = sp_report_bin_time(r, 0, first), *to = sp_report_bin_time(r, r->n_bins - 1, last);
    const int width = (int) r->n_bins - (int) strlen(from);
    printf("             %s%*s\n", from, width > (int) strlen(to) ? width : (int) strlen(to) + 1, to);
}

static void print_outcomes(const struct sp_report *r)
{
    char number[SP_CLI_NUMBER_SIZE];
    puts("\nOutcomes");
    for (unsigned i = 0; i <= SP_OUTCOME_COUNT; i++)
        if (r->outcomes[i] > 0)
            printf("%18s  %5.1f %%  %s\n", sp_cli_number(r->outcomes[i], number),
                100.0 * (double) r->outcomes[i] / (double) r->decisions,
                i < SP_OUTCOME_COUNT ? sp_outcome_name((enum sp_outcome) i) : "unknown");
}

static void print_durations(const char *what, const struct sp_durations *d)
{
    char text[SP_CLI_NUMBER_SIZE];
    if (d->n == 0)
        return;
    printf("  %-10s", what);
    for (size_t i = 0; i < sp_report_n_permilles; i++)
        printf("  %g %%: %s", sp_report_permilles[i] / 10.0, sp_report_us(sp_durations_at(d, sp_report_permilles[i]), text));
    printf("  longest: %s\n", sp_report_us(d->max_us, text));
}

/* The name, without its escapes. */
static const char *name_of(const struct sp_top_entry *entry, char out[NAME_MAX_BYTES])
{
    struct sp_buf text;
    sp_buf_init(&text, NAME_MAX_BYTES - 1);
    const enum sp_status status = sp_decline_text((struct sp_str){ entry->key, entry->n }, &text);
    sp_str_copy(status == SP_OK ? (struct sp_str){ text.p ? text.p : "", text.n } : SP_STR("?"), out, NAME_MAX_BYTES);
    sp_buf_fini(&text);
    return out;
}

static void print_top(struct sp_report *r, enum sp_report_top which)
{
    struct sp_top *top = &r->tops[which];
    const size_t n = sp_top_sort(top);
    char number[SP_CLI_NUMBER_SIZE], name[NAME_MAX_BYTES], shown[NAME_SHOWN_BYTES];
    if (n == 0)
        return;
    printf("\n%-11s%s  %14s\n", sp_report_title(which), "refused", "reported");
    for (size_t i = 0; i < n && i < SP_REPORT_SHOWN; i++) {
        const struct sp_top_entry *entry = &top->entries[i];
        sp_text_escape(sp_str_from(name_of(entry, name)), shown, sizeof(shown));
        printf("%18s", sp_cli_number(entry->refused, number));
        printf("  %14s  %s%s\n", sp_cli_number(entry->reported, number), shown, entry->missed > 0 ? "  (or more)" : "");
    }
    if (n > SP_REPORT_SHOWN)
        printf("%18s  %14s  and %s%s more\n", "", "", sp_cli_number(n - SP_REPORT_SHOWN, number), top->dropped > 0 ? " or many" : "");
}

static void print_warnings(const struct sp_report *r)
{
    char number[SP_CLI_NUMBER_SIZE];
    if (r->is_notable_only)
        puts("The log has no clean and uneventful transactions: log.decisions is \"notable\".");
    if (r->is_hashed)
        puts(SP_LOG_HASHED);
    if (r->lost > 0)
        printf("%s decisions could not be written to the log and are missing here.\n", sp_cli_number(r->lost, number));
    if (r->broken > 0)
        printf("%s lines of the log are broken and are left out.\n", sp_cli_number(r->broken, number));
}

void sp_report_print(struct sp_report *r)
{
    char since[SP_LOG_TIME_SIZE], until[SP_LOG_TIME_SIZE], a[SP_CLI_NUMBER_SIZE], b[SP_CLI_NUMBER_SIZE], c[SP_CLI_NUMBER_SIZE];
    printf("Sallyport, %s to %s\n", sp_log_time(r->since_us, since), sp_log_time(r->until_us, until));
    printf("\n%s decisions: %s refused, %s reported", sp_cli_number(r->decisions, a), sp_cli_number(r->refused, b),
        sp_cli_number(r->reported, c));
    if (r->monitored > 0)
        printf(" (%s of them only because of monitor mode)", sp_cli_number(r->monitored, a));
    printf("\n%s requests, %s responses, %s of bodies", sp_cli_number(r->requests, a), sp_cli_number(r->responses, b),
        sp_cli_bytes(r->bytes, "bytes", c));
    if (r->cached > 0)
        printf(", %s known from before", sp_cli_number(r->cached, a));
    if (r->excepted > 0)
        printf(", %s passed by exceptions", sp_cli_number(r->excepted, a));
    puts("");
    print_warnings(r);
    if (r->decisions == 0)
        return;
    print_time(r);
    print_outcomes(r);
    for (unsigned i = 0; i < SP_TOP_COUNT; i++)
        print_top(r, (enum sp_report_top) i);
    puts("\nDurations");
    print_durations("decision", &r->total);
    print_durations("scan", &r->scan);
}

/* --- JSON -------------------------------------------------------------------------------------------------------------- */

static struct json_object *durations_json(const struct sp_durations *d)
{
    struct json_object *out = sp_cli_json_object();
    char name[16];
    sp_cli_json_add_number(out, "count", (int64_t) d->n);
    for (size_t i = 0; i < sp_report_n_permilles; i++) {
        const unsigned permille = sp_report_permilles[i];
        snprintf(name, sizeof(name), permille % 10 ? "p%u.%u_us" : "p%u_us", permille / 10, permille % 10);
        sp_cli_json_add_number(out, name, d->n > 0 ? sp_durations_at(d, permille) : 0);
    }
    sp_cli_json_add_number(out, "max_us", d->max_us);
    return out;
}

static struct json_object *top_json(struct sp_top *top)
{
    struct json_object *out = sp_cli_json_array();
    char name[NAME_MAX_BYTES];
    const size_t n = sp_top_sort(top);
    for (size_t i = 0; i < n && i < 10 * SP_REPORT_SHOWN; i++) {
        const struct sp_top_entry *entry = &top->entries[i];
        struct json_object *row = sp_cli_json_object();
        sp_cli_json_add_text(row, "name", name_of(entry, name));
        sp_cli_json_add_number(row, "refused", (int64_t) entry->refused);
        sp_cli_json_add_number(row, "reported", (int64_t) entry->reported);
        if (entry->missed > 0)
            sp_cli_json_add_number(row, "missed_at_most", (int64_t) entry->missed);
        sp_cli_json_append(out, row);
    }
    return out;
}

static void add_time(struct json_object *out, const char *name, int64_t us)
{
    char text[SP_CLOCK_TEXT_SIZE];
    sp_clock_format(us, text);
    sp_cli_json_add_text(out, name, text);
}

static struct json_object *bins_json(const struct sp_report *r)
{
    struct json_object *out = sp_cli_json_array();
    for (size_t i = 0; i < r->n_bins; i++) {
        struct json_object *bin = sp_cli_json_object();
        add_time(bin, "time", r->first_bin_us + (int64_t) i * r->bin_us);
        sp_cli_json_add_number(bin, "decisions", (int64_t) r->bins[i].all);
        sp_cli_json_add_number(bin, "refused", (int64_t) r->bins[i].refused);
        sp_cli_json_add_number(bin, "reported", (int64_t) r->bins[i].reported);
        sp_cli_json_append(out, bin);
    }
    return out;
}

static void add_counts(struct json_object *out, const struct sp_report *r)
{
    const struct {
        const char *name;
        uint64_t n;
    } counts[] = { { "decisions", r->decisions }, { "refused", r->refused }, { "reported", r->reported }, { "monitored", r->monitored },
        { "excepted", r->excepted }, { "cached", r->cached }, { "requests", r->requests }, { "responses", r->responses },
        { "bytes", r->bytes }, { "lines", r->lines }, { "broken", r->broken }, { "lost", r->lost }, { "files", r->n_files } };
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        sp_cli_json_add_number(out, counts[i].name, (int64_t) counts[i].n);
}

void sp_report_print_json(struct sp_report *r)
{
    struct json_object *out = sp_cli_json_object(), *outcomes = sp_cli_json_object();
    add_time(out, "since", r->since_us);
    add_time(out, "until", r->until_us);
    add_counts(out, r);
    for (unsigned i = 0; i <= SP_OUTCOME_COUNT; i++)
        if (r->outcomes[i] > 0)
            sp_cli_json_add_number(
                outcomes, i < SP_OUTCOME_COUNT ? sp_outcome_name((enum sp_outcome) i) : "unknown", (int64_t) r->outcomes[i]);
    sp_cli_json_add(out, "outcomes", outcomes);
    for (unsigned i = 0; i < SP_TOP_COUNT; i++)
        sp_cli_json_add(out, sp_report_top_name((enum sp_report_top) i), top_json(&r->tops[i]));
    sp_cli_json_add(out, "duration", durations_json(&r->total));
    sp_cli_json_add(out, "scan", durations_json(&r->scan));
    sp_cli_json_add_number(out, "step_s", r->bin_us / US_PER_S);
    sp_cli_json_add(out, "time", bins_json(r));
    sp_cli_json_print(out);
}
