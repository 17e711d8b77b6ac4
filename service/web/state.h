/* How the gate is, taken at one moment: what the scanner and the proxy module left on their boards, and whether the scanner answers. A
 * plain copy, so that it can be read while the next one is taken. */
#ifndef SALLYPORT_WEB_STATE_H
#define SALLYPORT_WEB_STATE_H

#include "sallyport/board.h"
#include "sallyport/conf.h"
#include "sallyport/metrics.h"
#include "sallyport/quota.h"
#include "sallyport/scan_proto.h"

#include "history.h"

struct sp_web_scanner {
    bool has_board; /* without it only error means anything */
    struct sp_error error;
    enum sp_scand_state state;
    int pid;
    unsigned generation, signatures, workers_alive, workers_busy, workers_min, workers_max;
    int64_t started_us, database_s, loaded_us, refused_us;
    uint64_t scans, infected, errors, crashed, timed_out, refused;
    bool is_loading, is_load_refused;
    char last_error[SP_BOARD_TEXT_SIZE + 1], last_death[SP_BOARD_TEXT_SIZE + 1], sandbox[SP_BOARD_SANDBOX_TEXT_SIZE];
};

struct sp_web_state {
    int64_t taken_us; /* wall clock; 0: never yet */
    int64_t taken_mono_us;
    struct sp_web_scanner scanner;
    bool is_answering;
    int64_t ping_us;
    char ping_detail[SP_SCAN_DETAIL_SIZE];
    bool has_gate, is_gate_new; /* new: the module has never run here */
    struct sp_error gate_error;
    uint64_t counters[SP_METRIC_COUNT];
    uint64_t totals[SP_WEB_COLUMNS]; /* what history counts */
    bool has_spool;
    struct sp_quota_use spool;
    bool has_log; /* the decision log can be read; true if there is none to be read */
    struct sp_error log_error;
    int64_t troubles, lost; /* outcomes error and overload, and lines of the log lost, in the last SP_WEB_TROUBLE_S */
    int64_t database_age_s;
};
#define SP_WEB_TROUBLE_S 300

/* What lies in run_dir; nothing else of state changes. Quick. */
void sp_web_state_read(struct sp_web_state *state, const struct sp_conf *conf);
/* Asks the scanner: up to a few seconds. */
void sp_web_state_ping(struct sp_web_state *state, const struct sp_conf *conf);

enum sp_web_level { SP_WEB_GOOD, SP_WEB_NOTE, SP_WEB_WARN, SP_WEB_BAD };
struct sp_web_problem {
    enum sp_web_level level;
    const char *what; /* a few words; static */
    char detail[SP_BOARD_TEXT_SIZE + 64];
};
#define SP_WEB_PROBLEMS_MAX 16

/* What a person on duty must know, the worst first. Returns how many; the level of the whole is that of the first. */
unsigned sp_web_state_problems(
    const struct sp_web_state *state, const struct sp_conf *conf, struct sp_web_problem out[SP_WEB_PROBLEMS_MAX]);

/* The decision log, if it is a file; "" if there is none to be read. */
const char *sp_web_log_file(const struct sp_conf *conf);

/* How long ago it was taken, whatever the wall clock did meanwhile. */
int64_t sp_web_state_age_us(const struct sp_web_state *state);

/* Whether traffic can be scanned: what a load balancer wants to know. */
bool sp_web_state_serves(const struct sp_web_state *state);

const char *sp_web_level_name(enum sp_web_level level); /* "good", "note", "warn", "bad" */

#endif
