/* Asks the scanner about one body and waits for the answer. Blocks the calling thread, bounded by the three timeouts.
 * Any number of threads may scan at once. A worker that dies is retried once elsewhere; a scanner that is being restarted is
 * waited for. */
#ifndef SALLYPORT_SCAN_CLIENT_H
#define SALLYPORT_SCAN_CLIENT_H

#include "sallyport/outcome.h"
#include "sallyport/scan_proto.h"
#include "sallyport/spool.h"

#include <stdatomic.h>

/* What those who ask the same scanner know together: an absence is waited out once, not by everybody anew. Zeroed at first. */
struct sp_scan_absence {
    _Atomic int64_t since_us, seen_us; /* monotonic: first and last time that nobody listened; since 0: somebody does */
};

struct sp_scan_client {
    char socket_path[108];
    unsigned start_ms; /* while nobody listens, or the scanner has no engine yet, else ERROR; besides queue_ms. 0: ERROR at once */
    unsigned queue_ms; /* until a worker takes the scan, else OVERLOAD */
    unsigned scan_ms;  /* from then to the verdict, else LIMIT */
    struct sp_scan_absence *absence; /* borrowed until the last scan has ended; NULL: each scan waits for itself */
};

struct sp_scan_result {
    enum sp_outcome outcome;    /* CLEAN, INFECTED, LIMIT, ENCRYPTED, ERROR or OVERLOAD */
    struct sp_scan_reply reply; /* as received; zeroed if no reply came */
    bool is_retried;            /* the first worker died over it, or gave up; one that had not read the request does not count */
    char detail[SP_SCAN_DETAIL_SIZE]; /* why, when the outcome is none of CLEAN and INFECTED */
};

/* What is scanned. */
struct sp_scan_body {
    const struct sp_spool *spool;         /* sealed; borrowed until the scan has ended. NULL sends a ping */
    const struct sp_scan_extent *extents; /* the objects in it; borrowed until the scan has ended */
    size_t n_extents;                     /* 0: the body is one object. Over SP_SCAN_EXTENTS_MAX: LIMIT, nothing is scanned */
};

/* Asks and waits. Always fills the result: a failure to ask is an outcome too. */
void sp_scan_client_ask(const struct sp_scan_client *client, const struct sp_scan_body *body, const char *id,
    struct sp_scan_result *result_out);

/* The same in steps, for a caller that has something else to do meanwhile. Asks without waiting; client, body and id are copied,
 * what body points to is not. NULL only without memory. */
struct sp_scan_job;
struct sp_scan_job *sp_scan_job_new(const struct sp_scan_client *client, const struct sp_scan_body *body, const char *id);
/* Waits up to wait_ms (0: only looks; -1: until the end). True: *result_out is filled and the scan has ended; then only free.
 * To be called often: timeouts and a worker's death are noticed here. */
bool sp_scan_job_wait(struct sp_scan_job *job, int wait_ms, struct sp_scan_result *result_out);
void sp_scan_job_free(struct sp_scan_job **job); /* before the end: abandons the scan. Accepts NULL inside */

#endif
