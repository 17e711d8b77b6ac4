/* A worker: a forked process that takes one connection of scan.sock after the other, one object at a time. */
#ifndef SALLYPORT_SCAND_WORKER_H
#define SALLYPORT_SCAND_WORKER_H

#include "culprits.h"
#include "engine.h"
#include "lane.h"
#include "peer.h"
#include "sandbox.h"

#include "sallyport/board.h"

enum sp_worker_exit {
    SP_WORKER_RETIRED = 0, /* its lifeline ended */
    SP_WORKER_TIMED_OUT,   /* stopped itself at the deadline of a scan, which has got its answer */
    SP_WORKER_ABANDONED,   /* stopped itself: the client of a long scan has left */
    SP_WORKER_SPOILED,     /* its engine must not answer again; the scan has got its answer */
    SP_WORKER_TIRED,       /* after a long scan, for which its parent may have lowered its priority; the scan has got its answer */
    SP_WORKER_FAILED       /* could not begin; logged */
};

struct sp_worker_env { /* borrowed for the life of the process */
    struct sp_engine *engine;
    struct sp_board *board;
    const struct sp_log *log;
    unsigned generation;
    unsigned slot;
    unsigned max_workers;
    uint32_t scan_ms_max; /* no request gets more time */
    int listen_fd;
    int lifeline_fd; /* readable (end of file): finish what is held and leave */
    int grow_fd;     /* an eventfd: written when every worker of the generation is busy, or one takes a huge object */
    const char *scratch;
    const struct sp_sandbox *sandbox;
    struct sp_culprits *culprits;
    struct sp_lane *lane;
    struct sp_digest *digest;
    const struct sp_clients *clients;
};

/* Serves until it must end; the caller exits with the result. The process does nothing else. */
enum sp_worker_exit sp_worker_run(const struct sp_worker_env *env);

#endif
