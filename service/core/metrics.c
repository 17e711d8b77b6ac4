/* Counters that many processes share through one file. */
#include "config.h"

#include "sallyport/metrics.h"

#include "sallyport/assert.h"
#include "sallyport/fnv.h"
#include "sallyport/mapfile.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0x53504d31u /* "SPM1" */

struct map {
    struct sp_mapfile_header header; /* its layout is a digest of all names in order: another table, another layout */
    _Atomic uint64_t engine;
    _Atomic uint64_t counters[SP_METRIC_COUNT];
    _Atomic uint64_t outcomes[SP_OUTCOME_COUNT];
};

struct sp_metrics {
    struct map *map;
    bool is_reader;
};

struct row {
    const char *name;
    const char *help;
};

static const struct row rows[SP_METRIC_COUNT] = {
#define SP_METRIC_ROW(id, name, help) [SP_METRIC_##id] = { name, help },
#include "sallyport/metrics.def"
#undef SP_METRIC_ROW
};

const char *sp_metric_name(enum sp_metric metric)
{
    SP_ASSERT((unsigned) metric < SP_METRIC_COUNT);
    return rows[metric].name;
}

const char *sp_metric_help(enum sp_metric metric)
{
    SP_ASSERT((unsigned) metric < SP_METRIC_COUNT);
    return rows[metric].help;
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

static void add(struct sp_metrics *metrics, _Atomic uint64_t *counter, uint64_t n)
{
    SP_ASSERT(!metrics->is_reader);
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void sp_metrics_add(struct sp_metrics *metrics, enum sp_metric metric, uint64_t n)
{
    SP_ASSERT((unsigned) metric < SP_METRIC_COUNT);
    add(metrics, &metrics->map->counters[metric], n);
}

void sp_metrics_add_outcome(struct sp_metrics *metrics, enum sp_outcome outcome)
{
    SP_ASSERT((unsigned) outcome < SP_OUTCOME_COUNT);
    add(metrics, &metrics->map->outcomes[outcome], 1);
}

uint64_t sp_metrics_get(const struct sp_metrics *metrics, enum sp_metric metric)
{
    SP_ASSERT((unsigned) metric < SP_METRIC_COUNT);
    return atomic_load_explicit(&metrics->map->counters[metric], memory_order_relaxed);
}

uint64_t sp_metrics_get_outcome(const struct sp_metrics *metrics, enum sp_outcome outcome)
{
    SP_ASSERT((unsigned) outcome < SP_OUTCOME_COUNT);
    return atomic_load_explicit(&metrics->map->outcomes[outcome], memory_order_relaxed);
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
