/* One look at all that tells how the gate is: the scanner's scoreboard, the counters of the proxy module, the spool, the queue, and one
 * question through the socket, for a scoreboard alone cannot tell a serving scanner from one that was killed. What to think of it
 * is said here too, once for the command line, the dashboard and Prometheus. */
#ifndef SALLYPORT_CLI_LOOK_H
#define SALLYPORT_CLI_LOOK_H

#include "sallyport/board.h"
#include "sallyport/conf.h"
#include "sallyport/metrics.h"
#include "sallyport/quota.h"
#include "sallyport/scan_client.h"

struct sp_look {
    const struct sp_conf *conf; /* borrowed */
    int64_t wall_us;            /* of the look */
    const struct sp_board *board; /* NULL: none, and board_error says why */
    struct sp_error board_error;
    struct sp_metrics *metrics; /* NULL: none, and metrics_error says why */
    struct sp_error metrics_error;
    bool is_gate_new; /* there are no counters because the module has never run here */
    struct sp_quota_use spool;
    bool has_spool; /* the module has run here and has the quota of this version */
    bool has_queue; /* the socket of the scanner is in the network namespace that we see */
    unsigned queue; /* scans that no worker has taken yet */
    unsigned workers_alive, workers_busy; /* 0 without a board */
    struct sp_scan_result ping;
    int64_t ping_us;
    bool is_answering;
};

/* Never fails: what is not there is marked. The scanner has patience_ms to answer. */
void sp_look_open(const struct sp_conf *conf, unsigned patience_ms, struct sp_look *look_out);
void sp_look_close(struct sp_look *look); /* of a zeroed one too */

/* The scanner's state in one or two words: "serving", ..., and where the question knows better "not running", "not answering". */
const char *sp_look_state(const struct sp_look *look);

int64_t sp_look_database_age_s(const struct sp_look *look); /* 0 without a board or a database */
bool sp_look_is_database_old(const struct sp_look *look);
bool sp_look_is_loading(const struct sp_look *look);
uint64_t sp_look_culprits(const struct sp_look *look); /* objects that the serving generation scans no more */

enum sp_health {
    SP_HEALTH_OK,
    SP_HEALTH_NOTE,     /* all is well, but it should be known */
    SP_HEALTH_DEGRADED, /* the gate works, someone must look after it */
    SP_HEALTH_DOWN      /* bodies are not scanned */
};

struct sp_finding {
    enum sp_health health;
    char text[384]; /* one line; what is wrong, and what to do where that is known. May have bytes from outside */
};
#define SP_FINDINGS_MAX 16

/* Everything that a person should know, the worst first; how many. */
size_t sp_look_judge(const struct sp_look *look, struct sp_finding findings[SP_FINDINGS_MAX]);
const char *sp_health_name(enum sp_health health); /* "ok", "note", "degraded", "down" */

#endif
