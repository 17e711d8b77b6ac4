/* Asks the scanner about one body and waits for the answer. Blocks the calling thread, bounded by the two timeouts.
 * Stateless: any number of threads may scan at once. A worker that dies is retried once elsewhere. */
#ifndef SALLYPORT_SCAN_CLIENT_H
#define SALLYPORT_SCAN_CLIENT_H

#include "sallyport/outcome.h"
#include "sallyport/scan_proto.h"
#include "sallyport/spool.h"

struct sp_scan_client {
    char socket_path[108];
    unsigned queue_ms; /* until a worker takes the scan, else OVERLOAD */
    unsigned scan_ms;  /* from then to the verdict, else LIMIT */
};

struct sp_scan_result {
    enum sp_outcome outcome;    /* CLEAN, INFECTED, LIMIT, ENCRYPTED, ERROR or OVERLOAD */
    struct sp_scan_reply reply; /* as received; zeroed if no reply came */
    bool is_retried;            /* the first worker died */
    char detail[SP_SCAN_DETAIL_SIZE]; /* why, when the outcome is none of CLEAN and INFECTED */
};

/* body is sealed and borrowed; NULL sends a ping. Always fills the result: a failure to ask is an outcome too. */
void sp_scan_client_ask(const struct sp_scan_client *client, const struct sp_spool *body, const char *id,
    struct sp_scan_result *result_out);

#endif
