/* The supervisor: starts generations, replaces them, stops everything. Makes no call into libclamav and reads no byte that
 * comes over scan.sock. */
#ifndef SALLYPORT_SCAND_SUPERVISOR_H
#define SALLYPORT_SCAND_SUPERVISOR_H

#include "rundir.h"

#include "sallyport/conf.h"
#include "sallyport/log.h"

struct sp_supervisor_env {
    struct sp_conf **conf;    /* borrowed; replaced (old one freed) when SIGHUP reads another one */
    const struct sp_log *log; /* borrowed */
    struct sp_rundir *rundir; /* borrowed; its board and listening socket are used */
    const char *scratch_root; /* borrowed; removed at the end */
    int scratch_fd;           /* borrowed; its lock is the claim on scratch_root */
};

/* Runs until SIGTERM or SIGINT; nothing that it started is left then. The exit status: 0, or 1 if the first engine was
 * refused. */
int sp_supervisor_run(const struct sp_supervisor_env *env);

#endif
