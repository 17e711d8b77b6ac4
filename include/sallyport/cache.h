/* What is known to be clean: a table of fixed size in a file (run_dir/verdicts.cache) that all processes of the gate share and that
 * outlives them. Nothing but `clean' is ever in it, and only for exactly these bytes, this engine and this policy.
 *
 * The table is read and written through a descriptor, one system call each, without locks: a file that is cut, filled with
 * anything, removed or replaced while it is used costs what was known, and nobody's life. Every record carries a check over all that
 * it stands for, under a key that the file was made with; one that is torn, foreign or damaged does not count. What is not
 * promised: whoever may write as the gate's user can read that key, and forge.
 *
 * Of objects that are the same and come at the same time one is scanned (single flight). The others wait for it, in whichever
 * process; the small table of these (run_dir/scans.stat) is a map like the counters and must not be cut. All processes must
 * share one process id namespace.
 *
 *   sp_cache_begin -+-> KNOWN
 *                   +-> OURS: scan, then sp_cache_land, always
 *                   +-> OTHERS: sp_cache_wait ... -> KNOWN | OURS
 *
 * Any thread of any process, also after a fork. */
#ifndef SALLYPORT_CACHE_H
#define SALLYPORT_CACHE_H

#include "sallyport/digest.h"
#include "sallyport/scan_proto.h"
#include "sallyport/status.h"

#include <stdint.h>

#define SP_CACHE_MIN_BYTES 65536
#define SP_CACHE_MAX_BYTES 1073741824

/* --- what it is asked for --------------------------------------------------------------------------------------------- */

struct sp_cache_key {
    uint64_t word[4];
    uint64_t engine_id;
};

/* All that a verdict depends on. */
struct sp_cache_object {
    unsigned char body[SP_DIGEST_BYTES]; /* of the bytes that the scanner is given */
    uint64_t engine_id;                  /* that would scan it now */
    uint64_t policy;                     /* sp_gate_digest */
    const struct sp_scan_extent *extents; /* as in the request to the scanner */
    size_t n_extents;
};

/* digest: for its use, between two others. SP_ERR_NOT_FOUND: the engine is not known, so nothing is known of the object. */
enum sp_status sp_cache_key_of(const struct sp_cache_object *object, struct sp_digest *digest, struct sp_cache_key *key_out) SP_MUST_CHECK;

/* --- the table -------------------------------------------------------------------------------------------------------- */

struct sp_cache;

/* Opens both files in dir, made anew where they are missing, damaged at their head, of another layout or size, or somebody else's;
 * who has the old ones open goes on with those. bytes: of the table, from SP_CACHE_MIN_BYTES to SP_CACHE_MAX_BYTES, allocated at once.
 * A record older than max_age_ms does not count. */
enum sp_status sp_cache_open(
    const char *dir, uint64_t bytes, int64_t max_age_ms, struct sp_error *err, struct sp_cache **cache_out) SP_MUST_CHECK;
void sp_cache_close(struct sp_cache **cache); /* accepts NULL inside; sets NULL */

bool sp_cache_find(const struct sp_cache *cache, const struct sp_cache_key *key);  /* true: clean */
bool sp_cache_store(const struct sp_cache *cache, const struct sp_cache_key *key); /* as clean; false: it could not be written */

/* --- single flight ---------------------------------------------------------------------------------------------------- */

enum sp_cache_answer {
    SP_CACHE_KNOWN, /* clean */
    SP_CACHE_OURS,  /* nobody knows: the caller scans, and lands */
    SP_CACHE_OTHERS /* somebody scans it now */
};

/* One object on its way through, in the caller's storage. Opaque; all zero: none, which may be landed. */
struct sp_cache_flight {
    struct sp_cache_key key;
    uint64_t held;    /* the claim that is ours, or 0 */
    uint64_t awaited; /* the claim that we wait for, or 0 */
    int64_t give_up_us, looked_us;
};

/* patience_ms: the longest that the scan can take, waiting for a worker included. A claim is void after that, and nobody waits
 * longer. */
enum sp_cache_answer sp_cache_begin(
    struct sp_cache *cache, const struct sp_cache_key *key, int64_t patience_ms, struct sp_cache_flight *flight) SP_MUST_CHECK;

/* After OTHERS. Waits up to wait_ms (0: only looks; -1: as long as it takes). OTHERS: not yet. OURS: it was not clean, or its
 * process died, or patience is at its end; then all that waited are told so at once. */
enum sp_cache_answer sp_cache_wait(struct sp_cache *cache, struct sp_cache_flight *flight, int wait_ms) SP_MUST_CHECK;

/* After OURS, once: the scan has ended, however it did. clean_by: the engine that said clean, 0 if none did. Stored only if
 * it is the engine that was asked for; true if so. Also without a scan, also while waiting: then nothing is left of it. */
bool sp_cache_land(struct sp_cache *cache, struct sp_cache_flight *flight, uint64_t clean_by);

#endif
