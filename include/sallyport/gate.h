/* Everything a transaction needs that outlives it, built from one configuration file: configuration, policy, page, decision
 * log, counters, scanner address. Immutable after it was built, so any number of threads may inspect with it. Counted: a
 * transaction pins the gate that it began with, a reload swaps the pointer. */
#ifndef SALLYPORT_GATE_H
#define SALLYPORT_GATE_H

#include "sallyport/cache.h"
#include "sallyport/conf.h"
#include "sallyport/declog.h"
#include "sallyport/log.h"
#include "sallyport/metrics.h"
#include "sallyport/page.h"
#include "sallyport/policy.h"
#include "sallyport/quota.h"
#include "sallyport/scan_client.h"

#include <stdatomic.h>

struct sp_gate {
    struct sp_conf *conf;
    struct sp_policy *policy;
    struct sp_page *page;
    struct sp_declog *declog;   /* NULL in tools */
    struct sp_metrics *metrics; /* never NULL */
    struct sp_quota *quota;     /* of all spools of all processes; NULL in tools */
    struct sp_cache *cache;     /* what is known to be clean; NULL in tools, and where it is turned off */
    struct sp_digest digest_model; /* for digests that the cache is asked with */
    struct sp_scan_client scanner; /* in tools it does not wait for a scanner that is not there */
    struct sp_scan_absence scanner_absence;
    uint64_t digest;     /* of the policy and what is done about outcomes */
    char apart[64];      /* what all threads write is on another line of a cache than what all read */
    atomic_uint next_id; /* for transaction ids */
    atomic_uint refs;
};

/* flags */
#define SP_GATE_SERVE 1u /* open the decision log and the shared counters, as the proxy does; tools leave both alone */

/* Builds all of it from the file at conf_path or nothing; the text says what is wrong, with file and line where there is one.
 * The caller owns one reference. */
enum sp_status sp_gate_open(const char *conf_path, unsigned flags, struct sp_error *err, struct sp_gate **gate_out) SP_MUST_CHECK;
struct sp_gate *sp_gate_acquire(struct sp_gate *gate); /* returns gate */
void sp_gate_release(struct sp_gate **gate);           /* accepts NULL inside; sets NULL; frees with the last one */
/* Nobody but the caller holds it; stays so if the caller gave it to nobody. */
bool sp_gate_is_unused(const struct sp_gate *gate);

/* Lets the counter of transaction ids begin elsewhere in each process. Called by sp_gate_open, and anew after fork. */
void sp_gate_begin_ids(struct sp_gate *gate);

/* What an operator should know of a gate that serves now: notes on domain lists, one warning each. */
void sp_gate_tell(const struct sp_gate *gate, const struct sp_log *log);

/* Changes whenever the policy or an outcome's action does. */
uint64_t sp_gate_digest(const struct sp_gate *gate);

/* "XXXXXXXXXXXXXXXX-XXXXXXXX": engine and policy with the outcomes' actions, for the ICAP ISTag (RFC 3507 4.7). */
#define SP_GATE_ISTAG_SIZE 26
void sp_gate_istag(const struct sp_gate *gate, char out[SP_GATE_ISTAG_SIZE]);

#endif
