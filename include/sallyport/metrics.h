/* Counters in a file-backed shared map (run_dir/icap.stat): every c-icap child adds, the CLI reads. Adding is one
 * relaxed atomic instruction. The layout carries a version; a reader refuses another one. */
#ifndef SALLYPORT_METRICS_H
#define SALLYPORT_METRICS_H

#include "sallyport/outcome.h"
#include "sallyport/status.h"

#include <stdint.h>

enum sp_metric {
#define SP_METRIC_ROW(id, name, help) SP_METRIC_##id,
#include "sallyport/metrics.def"
#undef SP_METRIC_ROW
    SP_METRIC_COUNT
};

struct sp_metrics;

/* Maps path, made anew with zero counters and mode 0644 if it is missing or of another layout; counters of an existing
 * file go on. path NULL: private to this process and its children. */
enum sp_status sp_metrics_open(const char *path, struct sp_error *err, struct sp_metrics **metrics_out) SP_MUST_CHECK;

/* Maps an existing file read-only; SP_ERR_NOT_FOUND if there is none, SP_ERR_CONF for another layout. */
enum sp_status sp_metrics_open_reader(const char *path, struct sp_error *err, struct sp_metrics **metrics_out) SP_MUST_CHECK;
void sp_metrics_close(struct sp_metrics **metrics);

void sp_metrics_add(struct sp_metrics *metrics, enum sp_metric metric, uint64_t n);
void sp_metrics_add_outcome(struct sp_metrics *metrics, enum sp_outcome outcome);
uint64_t sp_metrics_get(const struct sp_metrics *metrics, enum sp_metric metric);
uint64_t sp_metrics_get_outcome(const struct sp_metrics *metrics, enum sp_outcome outcome);

/* The id of the engine that answered last, shared by all children, so that all have the same ISTag. 0 before. */
void sp_metrics_set_engine(struct sp_metrics *metrics, uint64_t engine_id);
uint64_t sp_metrics_engine(const struct sp_metrics *metrics);

const char *sp_metric_name(enum sp_metric metric);
const char *sp_metric_help(enum sp_metric metric);

#endif
