/* Lines of the decision log to numbers. */
#include "config.h"

#include "report.h"

#include <string.h>
#include <time.h>

#define US_PER_S 1000000
#define SUB_BITS 5 /* of a duration, behind its first one: 32 steps from one power of two to the next */
#define SUBS (1 << SUB_BITS)

const unsigned sp_report_permilles[] = { 500, 900, 990, 999 };
const size_t sp_report_n_permilles = sizeof(sp_report_permilles) / sizeof(sp_report_permilles[0]);

const char *sp_report_top_name(enum sp_report_top which)
{
    static const char *const names[SP_TOP_COUNT] = { "categories", "rules", "signatures", "hosts", "clients", "users" };
    return names[which];
}

/* --- durations --------------------------------------------------------------------------------------------------------- */

static unsigned step_of(int64_t us)
{
    const uint64_t value = us > 0 ? (uint64_t) us : 0;
    if (value < SUBS)
        return (unsigned) value;
    const unsigned bits = 63u - (unsigned) __builtin_clzll(value);
    return (bits - SUB_BITS + 1) * SUBS + (unsigned) (value >> (bits - SUB_BITS) & (SUBS - 1));
}

/* The longest that belongs to a step. */
static int64_t end_of(unsigned step)
{
    if (step < SUBS)
        return step;
    const unsigned shift = step / SUBS - 1;
    return (int64_t) ((((uint64_t) SUBS + step % SUBS + 1) << shift) - 1);
}

static void add_duration(struct sp_durations *d, int64_t us)
{
    const unsigned step = step_of(us);
    d->counts[step < SP_REPORT_DURATIONS ? step : SP_REPORT_DURATIONS - 1]++;
    d->n++;
    if (us > d->max_us)
        d->max_us = us;
}

int64_t sp_durations_at(const struct sp_durations *d, unsigned permille)
{
    const uint64_t wanted = (d->n * permille + 999) / 1000;
    uint64_t seen = 0;
    for (unsigned step = 0; step < SP_REPORT_DURATIONS; step++) {
        seen += d->counts[step];
        if (seen >= wanted && seen > 0)
            return end_of(step) < d->max_us ? end_of(step) : d->max_us;
    }
    return d->max_us;
}

/* --- bins -------------------------------------------------------------------------------------------------------------- */

/* Bins begin at round times of this machine's clock: at the hour, at midnight. */
static void lay_bins(struct sp_report *r)
{
    static const int64_t widths[] = { 60, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800, 30 * 86400, 365 * 86400 };
    const int64_t since = r->since_us / US_PER_S, span = (r->until_us - r->since_us) / US_PER_S;
    const size_t n_widths = sizeof(widths) / sizeof(widths[0]);
    size_t i = 0;
    while (i + 1 < n_widths && span / widths[i] + 2 > SP_REPORT_MAX_BINS)
        i++;
    const time_t start = (time_t) since;
    struct tm tm = { 0 };
    const int64_t offset = localtime_r(&start, &tm) ? tm.tm_gmtoff : 0;
    const int64_t first = (since + offset) / widths[i] * widths[i] - offset;
    r->bin_us = widths[i] * US_PER_S;
    r->first_bin_us = first * US_PER_S;
    const int64_t n = (r->until_us - r->first_bin_us + r->bin_us - 1) / r->bin_us;
    r->n_bins = n < 1 ? 1 : n > SP_REPORT_MAX_BINS ? SP_REPORT_MAX_BINS : (size_t) n;
}

bool sp_report_init(struct sp_report *r)
{
    lay_bins(r);
    for (unsigned i = 0; i < SP_TOP_COUNT; i++)
        if (!sp_top_init(&r->tops[i]))
            return false;
    return true;
}

void sp_report_fini(struct sp_report *r)
{
    for (unsigned i = 0; i < SP_TOP_COUNT; i++)
        sp_top_fini(&r->tops[i]);
}

/* --- lines ------------------------------------------------------------------------------------------------------------- */

/* Refused, or would have been or was only reported: what a person wants to know the names of. */
static bool add_names(struct sp_report *r, const struct sp_decline *d, bool is_refused)
{
    const struct sp_str names[SP_TOP_COUNT] = {
        [SP_TOP_CATEGORIES] = d->category,
        [SP_TOP_RULES] = d->rule,
        [SP_TOP_SIGNATURES] = d->signature,
        [SP_TOP_HOSTS] = sp_log_host(d->url),
        [SP_TOP_CLIENTS] = d->client,
        [SP_TOP_USERS] = d->user,
    };
    for (unsigned i = 0; i < SP_TOP_COUNT; i++)
        if (names[i].n > 0 && !sp_top_add(&r->tops[i], names[i], is_refused))
            return false;
    return true;
}

/* A line that is damaged may have any number in it: the sum stays one that JSON has. */
static void add_number(uint64_t *sum, uint64_t n)
{
    *sum = n > INT64_MAX - *sum ? INT64_MAX : *sum + n;
}

static bool add_decision(struct sp_report *r, const struct sp_decline *d)
{
    const bool is_refused = d->has_action && d->action == SP_ACTION_BLOCK;
    const bool is_reported = !is_refused && (d->is_monitored || (d->has_action && d->action == SP_ACTION_REPORT));
    const int64_t at = (d->wall_us - r->first_bin_us) / r->bin_us;
    struct sp_report_bin *bin = &r->bins[(size_t) at < r->n_bins ? (size_t) at : r->n_bins - 1];
    r->decisions++;
    bin->all++;
    bin->refused += is_refused;
    bin->reported += is_reported;
    r->refused += is_refused;
    r->reported += is_reported;
    r->monitored += d->is_monitored;
    r->excepted += d->excepted.n > 0;
    r->cached += d->is_cached;
    add_number(&r->bytes, d->bytes);
    r->requests += sp_str_equal(d->direction, SP_STR("REQMOD"));
    r->responses += sp_str_equal(d->direction, SP_STR("RESPMOD"));
    r->outcomes[d->outcome]++;
    add_duration(&r->total, d->total_us);
    if (d->scan_us > 0)
        add_duration(&r->scan, d->scan_us);
    return (!is_refused && !is_reported) || add_names(r, d, is_refused);
}

bool sp_report_take(void *arg, struct sp_str line)
{
    struct sp_report *r = arg;
    struct sp_decline d;
    r->lines++;
    if (sp_decline_parse(line, &d) != SP_OK || d.wall_us == 0) {
        r->broken++;
        return true;
    }
    if (d.wall_us < r->since_us || d.wall_us >= r->until_us)
        return true;
    if (d.lost > 0) {
        add_number(&r->lost, d.lost);
        return true;
    }
    if (r->is_filtered && !sp_log_filter_takes(&r->filter, &d))
        return true;
    r->is_out_of_memory = !add_decision(r, &d);
    return !r->is_out_of_memory;
}
