/* Counters that many processes share through one file. */
#include "config.h"

#include "sallyport/metrics.h"

#include "sallyport/assert.h"
#include "sallyport/fnv.h"
#include "sallyport/mapfile.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0x53504d32u /* "SPM2" */
#define LINE_BYTES 64      /* of a cache */
#define SHARDS 16          /* a power of two */
#define ACTIONS (SP_ACTION_NONE + 1)
#define TIMED (SP_PHASE_COUNT + SP_DIRECTION_COUNT) /* the phases, and the whole in each direction */

struct timing {
    _Atomic uint64_t buckets[SP_HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum_us;
};

struct shard {
    _Alignas(LINE_BYTES) _Atomic uint64_t counters[SP_METRIC_COUNT];
    _Atomic uint64_t transactions[SP_DIRECTION_COUNT][SP_OUTCOME_COUNT][ACTIONS];
    _Atomic uint64_t categories[SP_METRICS_CATEGORY_COUNT][ACTIONS];
    struct timing timings[TIMED];
};

struct map {
    struct sp_mapfile_header header; /* its layout is a digest of all names in order: another table, another layout */
    _Atomic uint64_t engine;
    struct shard shards[SHARDS];
};

struct sp_metrics {
    struct map *map;
    bool is_reader;
};

struct row {
    const char *name;
    const char *unit;
    const char *help;
};

static const struct row rows[SP_METRIC_COUNT] = {
#define SP_METRIC_ROW(id, name, unit, help) [SP_METRIC_##id] = { name, unit, help },
#include "sallyport/metrics.def"
};

static const struct row phases[SP_PHASE_COUNT] = {
#define SP_PHASE_ROW(id, name, help) [SP_PHASE_##id] = { name, "us", help },
#include "sallyport/metrics.def"
};

static const char *const categories[SP_METRICS_CATEGORY_COUNT] = {
#define SP_CATEGORY_ROW(id, name, help) [SP_METRICS_CATEGORY_##id] = name,
#include "sallyport/category.def"
#undef SP_CATEGORY_ROW
    [SP_METRICS_CATEGORY_SITE] = "site",
};

const char *sp_metric_name(enum sp_metric metric)
{
    SP_ASSERT((unsigned) metric < SP_METRIC_COUNT);
    return rows[metric].name;
}

const char *sp_metric_unit(enum sp_metric metric)
{
    SP_ASSERT((unsigned) metric < SP_METRIC_COUNT);
    return rows[metric].unit;
}

const char *sp_metric_help(enum sp_metric metric)
{
    SP_ASSERT((unsigned) metric < SP_METRIC_COUNT);
    return rows[metric].help;
}

const char *sp_phase_name(enum sp_phase phase)
{
    SP_ASSERT((unsigned) phase < SP_PHASE_COUNT);
    return phases[phase].name;
}

const char *sp_phase_help(enum sp_phase phase)
{
    SP_ASSERT((unsigned) phase < SP_PHASE_COUNT);
    return phases[phase].help;
}

const char *sp_metrics_category_name(enum sp_metrics_category category)
{
    SP_ASSERT((unsigned) category < SP_METRICS_CATEGORY_COUNT);
    return categories[category];
}

/* --- layout ------------------------------------------------------------------------------------------------------- */

static uint64_t mix_name(uint64_t h, const char *name)
{
    return sp_fnv(h, name, strlen(name) + 1); /* its end is part of it */
}

static uint64_t layout_digest(void)
{
    uint64_t h = SP_FNV_START;
    for (unsigned i = 0; i < SP_METRIC_COUNT; i++)
        h = mix_name(h, sp_metric_name((enum sp_metric) i));
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++)
        h = mix_name(h, sp_outcome_name((enum sp_outcome) i));
    for (unsigned i = 0; i < SP_PHASE_COUNT; i++)
        h = mix_name(h, sp_phase_name((enum sp_phase) i));
    for (unsigned i = 0; i < SP_METRICS_CATEGORY_COUNT; i++)
        h = mix_name(h, categories[i]);
    return h;
}

static struct sp_mapfile_header own_header(void)
{
    return (struct sp_mapfile_header){ .magic = MAGIC, .bytes = sizeof(struct map), .layout = layout_digest() };
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static enum sp_status keep(enum sp_status status, void *map, bool is_reader, struct sp_error *err, struct sp_metrics **metrics_out)
{
    const struct sp_mapfile_header header = own_header();
    *metrics_out = NULL;
    if (status != SP_OK)
        return status;
    struct sp_metrics *metrics = calloc(1, sizeof(*metrics));
    if (!metrics) {
        sp_mapfile_close(map, &header);
        return sp_error_set(err, SP_ERR_NOMEM, "out of memory");
    }
    metrics->map = map;
    metrics->is_reader = is_reader;
    *metrics_out = metrics;
    return SP_OK;
}

enum sp_status sp_metrics_open(const char *path, struct sp_error *err, struct sp_metrics **metrics_out)
{
    const struct sp_mapfile_header header = own_header();
    void *map = NULL;
    enum sp_status status = path ? sp_mapfile_open(path, &header, err, &map) : sp_mapfile_anonymous(&header, err, &map);
    return keep(status, map, false, err, metrics_out);
}

enum sp_status sp_metrics_open_reader(const char *path, struct sp_error *err, struct sp_metrics **metrics_out)
{
    const struct sp_mapfile_header header = own_header();
    void *map = NULL;
    enum sp_status status = sp_mapfile_open_reader(path, &header, err, &map);
    return keep(status, map, true, err, metrics_out);
}

void sp_metrics_close(struct sp_metrics **metrics)
{
    if (!*metrics)
        return;
    const struct sp_mapfile_header header = own_header();
    sp_mapfile_close((*metrics)->map, &header);
    free(*metrics);
    *metrics = NULL;
}

/* --- counting ----------------------------------------------------------------------------------------------------- */

/* The processor may be another one by the time of the addition: that costs a little, and nothing is lost. */
static struct shard *shard_here(struct sp_metrics *metrics)
{
    SP_ASSERT(!metrics->is_reader);
    return &metrics->map->shards[(unsigned) sched_getcpu() % SHARDS];
}

static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void sp_metrics_add(struct sp_metrics *metrics, enum sp_metric metric, uint64_t n)
{
    SP_ASSERT((unsigned) metric < SP_METRIC_COUNT);
    add(&shard_here(metrics)->counters[metric], n);
}

/* v microseconds are in the first bucket whose bound is not below v. */
static unsigned bucket_of(uint64_t us)
{
    if (us <= 2)
        return us < 2 ? 0 : 1;
    const uint64_t below = us - 1;
    const unsigned log = 63u - (unsigned) __builtin_clzll(below);
    const unsigned bucket = 2 * log + (below >> (log - 1) & 1);
    return bucket < SP_HISTOGRAM_BUCKETS - 1 ? bucket : SP_HISTOGRAM_BUCKETS - 1;
}

static void time_it(struct timing *timing, int64_t us)
{
    if (us < 0)
        return;
    add(&timing->buckets[bucket_of((uint64_t) us)], 1);
    add(&timing->sum_us, (uint64_t) us);
}

static enum sp_metrics_category category_of(const char *name)
{
    unsigned i = 0;
    while (i < SP_METRICS_CATEGORY_SITE && strcmp(categories[i], name) != 0)
        i++;
    return (enum sp_metrics_category) i;
}

void sp_metrics_count(struct sp_metrics *metrics, const struct sp_metrics_txn *txn)
{
    SP_ASSERT((unsigned) txn->direction < SP_DIRECTION_COUNT);
    SP_ASSERT((unsigned) txn->outcome < SP_OUTCOME_COUNT && (unsigned) txn->action < ACTIONS);
    struct shard *shard = shard_here(metrics);
    add(&shard->transactions[txn->direction][txn->outcome][txn->action], 1);
    if (txn->category)
        add(&shard->categories[category_of(txn->category)][txn->action], 1);
    for (unsigned i = 0; i < SP_PHASE_COUNT; i++)
        time_it(&shard->timings[i], txn->phase_us[i]);
    time_it(&shard->timings[SP_PHASE_COUNT + txn->direction], txn->total_us);
}

void sp_metrics_set_engine(struct sp_metrics *metrics, uint64_t engine_id)
{
    SP_ASSERT(!metrics->is_reader);
    atomic_store_explicit(&metrics->map->engine, engine_id, memory_order_relaxed);
}

uint64_t sp_metrics_engine(const struct sp_metrics *metrics)
{
    return atomic_load_explicit(&metrics->map->engine, memory_order_relaxed);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static uint64_t look(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

uint64_t sp_metrics_get(const struct sp_metrics *metrics, enum sp_metric metric)
{
    SP_ASSERT((unsigned) metric < SP_METRIC_COUNT);
    uint64_t n = 0;
    for (unsigned i = 0; i < SHARDS; i++)
        n += look(&metrics->map->shards[i].counters[metric]);
    return n;
}

static bool is_asked_for(unsigned is, int asked)
{
    return asked == SP_METRICS_ANY || is == (unsigned) asked;
}

static uint64_t transactions_of(const struct shard *shard, int direction, int outcome, int action)
{
    uint64_t n = 0;
    for (unsigned d = 0; d < SP_DIRECTION_COUNT; d++)
        for (unsigned o = 0; o < SP_OUTCOME_COUNT; o++)
            for (unsigned a = 0; a < ACTIONS; a++)
                if (is_asked_for(d, direction) && is_asked_for(o, outcome) && is_asked_for(a, action))
                    n += look(&shard->transactions[d][o][a]);
    return n;
}

uint64_t sp_metrics_transactions(const struct sp_metrics *metrics, int direction, int outcome, int action)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < SHARDS; i++)
        n += transactions_of(&metrics->map->shards[i], direction, outcome, action);
    return n;
}

uint64_t sp_metrics_get_outcome(const struct sp_metrics *metrics, enum sp_outcome outcome)
{
    return sp_metrics_transactions(metrics, SP_METRICS_ANY, (int) outcome, SP_METRICS_ANY);
}

uint64_t sp_metrics_get_category(const struct sp_metrics *metrics, enum sp_metrics_category category, enum sp_action action)
{
    SP_ASSERT((unsigned) category < SP_METRICS_CATEGORY_COUNT && (unsigned) action < ACTIONS);
    uint64_t n = 0;
    for (unsigned i = 0; i < SHARDS; i++)
        n += look(&metrics->map->shards[i].categories[category][action]);
    return n;
}

/* The count is that of what is in the buckets, so that the two always agree. */
static void read_timing(const struct sp_metrics *metrics, unsigned timing, struct sp_histogram *out)
{
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < SHARDS; i++) {
        const struct timing *from = &metrics->map->shards[i].timings[timing];
        for (unsigned b = 0; b < SP_HISTOGRAM_BUCKETS; b++)
            out->buckets[b] += look(&from->buckets[b]);
        out->sum_us += look(&from->sum_us);
    }
    for (unsigned b = 0; b < SP_HISTOGRAM_BUCKETS; b++)
        out->count += out->buckets[b];
}

void sp_metrics_get_phase(const struct sp_metrics *metrics, enum sp_phase phase, struct sp_histogram *histogram_out)
{
    SP_ASSERT((unsigned) phase < SP_PHASE_COUNT);
    read_timing(metrics, (unsigned) phase, histogram_out);
}

void sp_metrics_get_total(const struct sp_metrics *metrics, enum sp_direction direction, struct sp_histogram *histogram_out)
{
    SP_ASSERT((unsigned) direction < SP_DIRECTION_COUNT);
    read_timing(metrics, SP_PHASE_COUNT + (unsigned) direction, histogram_out);
}

uint64_t sp_histogram_bound_us(unsigned bucket)
{
    SP_ASSERT(bucket < SP_HISTOGRAM_BUCKETS);
    if (bucket < 2)
        return bucket + 1;
    if (bucket == SP_HISTOGRAM_BUCKETS - 1)
        return UINT64_MAX;
    return (uint64_t) (bucket % 2 == 0 ? 3 : 4) << (bucket / 2 - 1);
}

double sp_histogram_quantile_us(const struct sp_histogram *histogram, double share)
{
    const double wanted = share * (double) histogram->count;
    double below = 0;
    if (histogram->count == 0)
        return 0;
    for (unsigned i = 0; i < SP_HISTOGRAM_BUCKETS - 1; i++) {
        const double here = (double) histogram->buckets[i];
        const double low = i == 0 ? 0 : (double) sp_histogram_bound_us(i - 1), high = (double) sp_histogram_bound_us(i);
        if (here > 0 && below + here >= wanted)
            return low + (high - low) * (wanted - below) / here;
        below += here;
    }
    return (double) sp_histogram_bound_us(SP_HISTOGRAM_BUCKETS - 2); /* or more */
}
