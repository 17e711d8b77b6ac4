/* Builds and frees what transactions share. All or nothing: a file with one error changes nothing that serves. */
#include "config.h"

#include "sallyport/gate.h"

#include "sallyport/assert.h"
#include "sallyport/fnv.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define STAT_NAME "icap.stat"
#define QUOTA_NAME "spool.stat"

static uint64_t digest_of(const struct sp_gate *gate)
{
    uint64_t h = sp_fnv_number(SP_FNV_START, sp_policy_digest(gate->policy));
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++)
        h = sp_fnv_number(h, gate->conf->outcomes[i]);
    return sp_fnv_number(h, (uint64_t) gate->conf->max_object_size);
}

static enum sp_status open_declog(struct sp_gate *gate, struct sp_error *err)
{
    const struct sp_conf *conf = gate->conf;
    const struct sp_declog_options options = { .to = (enum sp_declog_to) conf->log_to,
        .path = conf->log_to == SP_LOG_TO_FILE ? conf->log_file : NULL,
        .max_rate = conf->log_max_rate,
        .max_size = (uint64_t) conf->log_max_size,
        .urls = (enum sp_declog_urls) conf->log_urls,
        .hash_key = conf->log_hash_key };
    return sp_declog_open(&options, err, &gate->declog);
}

static enum sp_status open_serving_parts(struct sp_gate *gate, struct sp_error *err)
{
    const struct sp_conf *conf = gate->conf;
    struct stat st;
    if (stat(conf->run_dir, &st) < 0 || !S_ISDIR(st.st_mode))
        return sp_error_set(err, SP_ERR_IO, "run_dir %s is not a directory: start sallyport-scand first, it makes it", conf->run_dir);
    enum sp_status status = open_declog(gate, err);
    if (status != SP_OK)
        return status;
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", conf->run_dir, QUOTA_NAME);
    status = sp_quota_open(path, (uint64_t) conf->spool_quota, err, &gate->quota);
    if (status != SP_OK)
        return status;
    if (conf->cache_size > 0)
        status = sp_digest_init(&gate->digest_model, NULL, err);
    if (status == SP_OK && conf->cache_size > 0)
        status = sp_cache_open(conf->run_dir, (uint64_t) conf->cache_size, conf->cache_age_ms, err, &gate->cache);
    if (status != SP_OK)
        return status;
    snprintf(path, sizeof(path), "%s/%s", conf->run_dir, STAT_NAME);
    return sp_metrics_open(path, err, &gate->metrics);
}

static enum sp_status open_page(struct sp_gate *gate, struct sp_error *err)
{
    const struct sp_page_options options = { .path = gate->conf->page_template,
        .contact = gate->conf->page_contact,
        .logo = gate->conf->page_logo,
        .language = gate->conf->page_language };
    return sp_page_new(&options, err, &gate->page);
}

static enum sp_status open_parts(struct sp_gate *gate, const char *conf_path, unsigned flags, struct sp_error *err)
{
    enum sp_status status = sp_conf_load(conf_path, err, NULL, &gate->conf);
    if (status == SP_OK)
        status = sp_policy_new(gate->conf, err, &gate->policy);
    if (status == SP_OK)
        status = open_page(gate, err);
    if (status == SP_OK)
        status = sp_scan_socket_path(gate->conf->run_dir, gate->scanner.socket_path, err);
    if (status == SP_OK)
        status = flags & SP_GATE_SERVE ? open_serving_parts(gate, err) : sp_metrics_open(NULL, err, &gate->metrics);
    if (status != SP_OK)
        return status;
    gate->scanner.queue_ms = (unsigned) gate->conf->scan_queue_ms;
    gate->scanner.scan_ms = (unsigned) gate->conf->scan_ms;
    gate->scanner.start_ms = flags & SP_GATE_SERVE ? (unsigned) gate->conf->scan_start_ms : 0;
    gate->scanner.absence = &gate->scanner_absence;
    gate->digest = digest_of(gate);
    return SP_OK;
}

static void free_gate(struct sp_gate *gate)
{
    sp_metrics_close(&gate->metrics);
    sp_quota_close(&gate->quota);
    sp_cache_close(&gate->cache);
    sp_digest_fini(&gate->digest_model);
    sp_declog_close(&gate->declog);
    sp_page_free(&gate->page);
    sp_policy_free(&gate->policy);
    sp_conf_free(&gate->conf);
    free(gate);
}

enum sp_status sp_gate_open(const char *conf_path, unsigned flags, struct sp_error *err, struct sp_gate **gate_out)
{
    *gate_out = NULL;
    struct sp_gate *gate = calloc(1, sizeof(*gate));
    if (!gate)
        return sp_error_set(err, SP_ERR_NOMEM, "out of memory");
    enum sp_status status = open_parts(gate, conf_path, flags, err);
    if (status != SP_OK) {
        sp_error_set(err, status, "%s: %s", conf_path, sp_status_name(status)); /* only if nobody said more */
        free_gate(gate);
        return status;
    }
    atomic_init(&gate->refs, 1);
    sp_gate_begin_ids(gate);
    *gate_out = gate;
    return SP_OK;
}

struct sp_gate *sp_gate_acquire(struct sp_gate *gate)
{
    unsigned before = atomic_fetch_add_explicit(&gate->refs, 1, memory_order_relaxed);
    SP_ASSERT(before > 0);
    return gate;
}

void sp_gate_release(struct sp_gate **gate)
{
    if (!*gate)
        return;
    unsigned before = atomic_fetch_sub_explicit(&(*gate)->refs, 1, memory_order_acq_rel);
    SP_ASSERT(before > 0);
    if (before == 1)
        free_gate(*gate);
    *gate = NULL;
}

bool sp_gate_is_unused(const struct sp_gate *gate)
{
    return atomic_load_explicit(&gate->refs, memory_order_acquire) == 1;
}

void sp_gate_begin_ids(struct sp_gate *gate)
{
    const unsigned spread = 40503; /* so that processes that start together count in different places */
    atomic_store_explicit(&gate->next_id, (unsigned) getpid() * spread, memory_order_relaxed);
}

void sp_gate_tell(const struct sp_gate *gate, const struct sp_log *log)
{
    struct sp_policy_list list;
    for (size_t i = 0; sp_policy_list(gate->policy, i, &list); i++)
        if (list.note[0] != '\0')
            sp_log(log, SP_LOG_WARN, "%s: %s", list.file, list.note);
}

uint64_t sp_gate_digest(const struct sp_gate *gate)
{
    return gate->digest;
}

void sp_gate_istag(const struct sp_gate *gate, char out[SP_GATE_ISTAG_SIZE])
{
    const uint64_t engine = sp_metrics_engine(gate->metrics);
    snprintf(out, SP_GATE_ISTAG_SIZE, "%016llx-%08x", (unsigned long long) engine, (unsigned) (gate->digest ^ (gate->digest >> 32)));
}
