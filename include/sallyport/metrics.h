/* Counters in a file-backed shared map (run_dir/icap.stat): every c-icap child adds, the command line reads. The map has several
 * shards, a thread adds to that of the processor it runs on, so that processors do not fight for cache lines; a reader sums
 * them. Adding is one relaxed atomic instruction a number. The layout carries a digest of all names; a reader refuses another one. */
#ifndef SALLYPORT_METRICS_H
#define SALLYPORT_METRICS_H

#include "sallyport/outcome.h"
#include "sallyport/status.h"

#include <stdint.h>

enum sp_metric {
#define SP_METRIC_ROW(id, name, unit, help) SP_METRIC_##id,
#include "sallyport/metrics.def"
    SP_METRIC_COUNT
};

enum sp_phase {
#define SP_PHASE_ROW(id, name, help) SP_PHASE_##id,
#include "sallyport/metrics.def"
    SP_PHASE_COUNT
};

/* The categories of the catalogue, and one for all that a site made itself. */
enum sp_metrics_category {
#define SP_CATEGORY_ROW(id, name, help) SP_METRICS_CATEGORY_##id,
#include "sallyport/category.def"
#undef SP_CATEGORY_ROW
    SP_METRICS_CATEGORY_SITE,
    SP_METRICS_CATEGORY_COUNT
};

struct sp_metrics;

/* Maps path, made anew with zero counters and mode 0644 if it is missing or of another layout; counters of an existing
 * file go on. path NULL: private to this process and its children. */
enum sp_status sp_metrics_open(const char *path, struct sp_error *err, struct sp_metrics **metrics_out) SP_MUST_CHECK;

/* Maps an existing file read-only; SP_ERR_NOT_FOUND if there is none, SP_ERR_CONF for another layout. */
enum sp_status sp_metrics_open_reader(const char *path, struct sp_error *err, struct sp_metrics **metrics_out) SP_MUST_CHECK;
void sp_metrics_close(struct sp_metrics **metrics);

void sp_metrics_add(struct sp_metrics *metrics, enum sp_metric metric, uint64_t n);

/* One transaction, at its decision. */
#define SP_METRICS_NO_TIME (-1) /* this phase did not occur */
struct sp_metrics_txn {
    enum sp_direction direction;
    enum sp_outcome outcome;
    enum sp_action action;
    const char *category; /* of the rule that matched; NULL: none did */
    int64_t total_us;
    int64_t phase_us[SP_PHASE_COUNT];
};
void sp_metrics_count(struct sp_metrics *metrics, const struct sp_metrics_txn *txn);

/* --- for readers: sums over all shards, each number by itself ------------------------------------------------------- */

uint64_t sp_metrics_get(const struct sp_metrics *metrics, enum sp_metric metric);

/* Transactions with this direction, outcome and action, each of which may be SP_METRICS_ANY. */
#define SP_METRICS_ANY (-1)
uint64_t sp_metrics_transactions(const struct sp_metrics *metrics, int direction, int outcome, int action);
uint64_t sp_metrics_get_outcome(const struct sp_metrics *metrics, enum sp_outcome outcome);

/* Transactions in which a rule of this category matched. */
uint64_t sp_metrics_get_category(const struct sp_metrics *metrics, enum sp_metrics_category category, enum sp_action action);

/* Fixed log-linear buckets, two to each power of two: 1, 2, 3, 4, 6, 8, 12, 16, ... microseconds. */
#define SP_HISTOGRAM_BUCKETS 57 /* the last one is without end */
struct sp_histogram {
    uint64_t buckets[SP_HISTOGRAM_BUCKETS]; /* each value in one */
    uint64_t count, sum_us;
};
void sp_metrics_get_phase(const struct sp_metrics *metrics, enum sp_phase phase, struct sp_histogram *histogram_out);
void sp_metrics_get_total(const struct sp_metrics *metrics, enum sp_direction direction, struct sp_histogram *histogram_out);

/* The largest value that belongs into the bucket; the last one has UINT64_MAX. */
uint64_t sp_histogram_bound_us(unsigned bucket);

/* The value that this share (0 to 1) of all stay below, interpolated within its bucket; 0 if there is none. */
double sp_histogram_quantile_us(const struct sp_histogram *histogram, double share);

/* --- the engine ----------------------------------------------------------------------------------------------------- */

/* The id of the engine that answered last, shared by all children, so that all have the same ISTag. 0 before. */
void sp_metrics_set_engine(struct sp_metrics *metrics, uint64_t engine_id);
uint64_t sp_metrics_engine(const struct sp_metrics *metrics);

/* --- names ---------------------------------------------------------------------------------------------------------- */

const char *sp_metric_name(enum sp_metric metric);
const char *sp_metric_unit(enum sp_metric metric); /* "" or "bytes" */
const char *sp_metric_help(enum sp_metric metric);
const char *sp_phase_name(enum sp_phase phase);
const char *sp_phase_help(enum sp_phase phase);
const char *sp_metrics_category_name(enum sp_metrics_category category); /* "vpn", ...; "site" */

#endif
