/* The scoreboard of sallyport-scand: a file-backed shared map (run_dir/scand.stat) that the supervisor makes, generations and
 * workers write, and the command line reads. Fields are atomics with one writer each, so a reader needs no lock and works
 * even when every worker hangs. The layout carries a version; a reader refuses another one. */
#ifndef SALLYPORT_BOARD_H
#define SALLYPORT_BOARD_H

#include "sallyport/status.h"

#include <stdatomic.h>
#include <stdint.h>

#define SP_BOARD_MAX_WORKERS 512 /* slots: two generations of the configured maximum */
#define SP_BOARD_TEXT_SIZE 256

enum sp_scand_state {
    SP_SCAND_LOADING,  /* no engine yet */
    SP_SCAND_SERVING,  /* an engine answers */
    SP_SCAND_DEGRADED, /* an engine answers, but the newest load was refused or workers keep dying */
    SP_SCAND_STOPPED,  /* shut down in good order */
    SP_SCAND_STOPPING  /* finishes what it holds, takes nothing more */
};

/* What confines the workers: bits of sp_board.sandbox. */
enum sp_sandbox_part {
    SP_SANDBOX_LANDLOCK = 1, /* which files */
    SP_SANDBOX_SECCOMP = 2,  /* which system calls */
    SP_SANDBOX_NO_NEW_PRIVS = 4,
    SP_SANDBOX_LIMITS = 8,   /* memory, processor time, files */
    SP_SANDBOX_TMPFS = 16    /* the scratch folder is a file system of its own, of sandbox_scratch_bytes */
};

struct sp_board_worker { /* one slot; written by the worker, cleared by its generation */
    _Atomic int32_t pid;          /* 0: free slot */
    atomic_uint generation;
    _Atomic int64_t busy_since_us; /* monotonic; 0: idle */
    _Atomic int64_t deadline_us;   /* monotonic; kill past this; 0: idle */
    atomic_int forbidden;          /* 1 + the number of the system call that the sandbox killed it for; 0: none */
};

struct sp_board {
    uint32_t magic, version;
    _Atomic int32_t supervisor_pid;
    atomic_uint state; /* enum sp_scand_state */
    _Atomic int64_t started_wall_us;
    /* of the generation that serves */
    atomic_uint generation;
    atomic_uint signatures;
    _Atomic uint64_t engine_id;
    _Atomic int64_t database_time;  /* newest database, seconds since 1970; 0: only the built-in signature */
    _Atomic int64_t loaded_wall_us;
    atomic_uint min_workers, max_workers;
    /* since start */
    _Atomic uint64_t scans, infected, errors;
    _Atomic uint64_t crashed;   /* workers that died by themselves */
    _Atomic uint64_t forbidden; /* of those: ended by the sandbox, for a system call that it does not allow */
    _Atomic uint64_t timed_out; /* workers stopped at their deadline */
    _Atomic uint64_t replaced;  /* workers that made room for a fresh one: after a long scan, or one that nobody waited for any more */
    _Atomic uint64_t culprits;  /* objects found to end workers, by all generations ... */
    _Atomic uint64_t culprits_before;  /* ... and by those before the one that serves, which are forgotten */
    _Atomic uint64_t culprits_refused; /* scans refused because they were of such an object */
    _Atomic uint64_t requests_refused; /* from a user who may not ask, malformed, or not sent in time */
    _Atomic uint64_t refused;   /* engines that did not load or failed the self-test */
    char last_error[SP_BOARD_TEXT_SIZE]; /* newest refusal; written by the supervisor only; terminated */
    /* Loads since start, the first one included; one at a time. A load that is refused has its text in last_error before it is done. */
    _Atomic uint64_t loads_begun, loads_done;
    atomic_uint is_load_refused;       /* the newest one that is done */
    _Atomic int64_t refused_wall_us;   /* when an engine was refused last; 0: never */
    char last_death[SP_BOARD_TEXT_SIZE]; /* why a worker crashed last; written by who reaped it; terminated */
    atomic_uint sandbox, landlock_abi; /* enum sp_sandbox_part */
    _Atomic uint64_t sandbox_scratch_bytes;
    _Atomic int64_t seen_us; /* monotonic: when the supervisor was last at work, which is every second while it lives */
    struct sp_board_worker workers[SP_BOARD_MAX_WORKERS];
};

/* Makes (or empties) path with mode 0644 and maps it shared. For the supervisor. */
enum sp_status sp_board_create(const char *path, struct sp_error *err, struct sp_board **board_out) SP_MUST_CHECK;
/* Maps an existing board read-only: SP_ERR_NOT_FOUND if there is none, SP_ERR_CONF for another layout. */
enum sp_status sp_board_open_reader(const char *path, struct sp_error *err, const struct sp_board **board_out) SP_MUST_CHECK;
void sp_board_close(const struct sp_board **board); /* unmaps; sets NULL */

void sp_board_count_workers(const struct sp_board *board, unsigned *alive_out, unsigned *busy_out);

/* What those who ask the scanner want to know of it also while they do not ask: an update must be noticed when nothing is scanned. */
struct sp_board_view {
    uint64_t engine;     /* that serves now */
    unsigned long_scans; /* how many have run for SP_BOARD_LONG_US and more */
};

/* False, and *view_out is left alone, if none serves: what a dead one left on its board counts for SP_BOARD_STALE_US at most. Goes by
 * the time alone: in another container the process id says nothing. */
#define SP_BOARD_STALE_US 10000000
#define SP_BOARD_LONG_US 50000
bool sp_board_peek(const char *path, struct sp_board_view *view_out) SP_MUST_CHECK;

/* "landlock abi 7, seccomp, no_new_privs, limits; scratch tmpfs 512M"; what is missing is said too: "no landlock". */
#define SP_BOARD_SANDBOX_TEXT_SIZE 128
void sp_board_sandbox_text(const struct sp_board *board, char out[SP_BOARD_SANDBOX_TEXT_SIZE]);

const char *sp_scand_state_name(enum sp_scand_state state); /* "loading", ... */

#endif
