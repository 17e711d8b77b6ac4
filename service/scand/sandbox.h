/* What a worker is confined to. The code that parses hostile bytes keeps its descriptors and a private scratch folder; it gets no
 * network, no program, no other file, no other process, and only so much memory, time and space. */
#ifndef SALLYPORT_SCAND_SANDBOX_H
#define SALLYPORT_SCAND_SANDBOX_H

#include "sallyport/board.h"
#include "sallyport/conf.h"
#include "sallyport/log.h"

#include <stdint.h>

struct sp_sandbox {
    const char *scratch;       /* borrowed: the only folder that can be read or written */
    uint64_t memory_bytes;     /* beyond what the process has when it enters */
    uint64_t map_bytes;        /* address space beyond that: bodies that are mapped, stacks */
    uint64_t file_bytes;       /* of one file */
    uint64_t files;            /* open at once */
    int64_t scan_ms;           /* time of one scan ... */
    unsigned cores;            /* ... each of which it may use */
    bool is_required;
    atomic_int *forbidden_out; /* borrowed, shared with the parent; gets 1 + the number of a forbidden call. NULL: untold */
};

struct sp_sandbox_state {
    unsigned parts; /* SP_SANDBOX_... of board.h */
    unsigned landlock_abi;
};

/* The limits that follow from the configuration; forbidden_out is NULL. */
void sp_sandbox_plan(const struct sp_conf *conf, const char *scratch, struct sp_sandbox *plan_out);

/* What a sandboxed process can no longer fetch, fetched now: once, in the process that the workers are forked from. */
void sp_sandbox_warm_up(void);

/* For good. What the kernel lacks is left out: state_out tells, the text of err says why, and it is a failure only if the
 * sandbox is required. After a failure the process must end. */
enum sp_status sp_sandbox_enter(const struct sp_sandbox *plan, struct sp_error *err, struct sp_sandbox_state *state_out) SP_MUST_CHECK;

/* Enters it in a child of its own, to know beforehand what a worker will have. scratch must be there. SP_ERR_CONF if what is
 * required is missing. A process with a handler of its own for SIGCHLD will hear of the child. */
enum sp_status sp_sandbox_try(const struct sp_sandbox *plan, struct sp_error *err, struct sp_sandbox_state *state_out) SP_MUST_CHECK;

/* Says what workers will have, tried in the folder scratch: to the log, and on the board. scratch_bytes: its size if it has one,
 * else 0. */
void sp_sandbox_announce(const struct sp_conf *conf, const char *scratch, uint64_t scratch_bytes, const struct sp_log *log,
    struct sp_board *board);

/* The limit on processor time is of the whole process, so it moves on as scans are done. */
struct sp_sandbox_cpu {
    int64_t scan_ms;
    unsigned cores;
    int64_t spent_us; /* since the limit was moved */
};
void sp_sandbox_begin_cpu(struct sp_sandbox_cpu *cpu, int64_t scan_ms, unsigned cores);
void sp_sandbox_spend_cpu(struct sp_sandbox_cpu *cpu, int64_t scan_took_us);

/* Why a process that had entered was ended by this signal, or NULL if no part of the sandbox sends it. forbidden: as told by
 * forbidden_out. The text lies in buf or is static. */
#define SP_SANDBOX_TEXT_SIZE 96
const char *sp_sandbox_death(int signal_number, int forbidden, char buf[SP_SANDBOX_TEXT_SIZE]);

#endif
