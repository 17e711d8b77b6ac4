/* What sallyport-scand owns in run_dir: the lock that makes it the only one there, the board, the listening socket. */
#ifndef SALLYPORT_SCAND_RUNDIR_H
#define SALLYPORT_SCAND_RUNDIR_H

#include "sallyport/board.h"
#include "sallyport/status.h"

#include <stdbool.h>
#include <sys/types.h>

struct sp_account { /* whom to become */
    char name[64];
    uid_t uid;
    gid_t gid;
};

struct sp_rundir {
    char socket_path[108];
    int lock_fd;
    int listen_fd;  /* non-blocking SOCK_SEQPACKET */
    bool is_handed; /* the socket is the service manager's, who goes on listening when we are gone */
    dev_t socket_dev;
    ino_t socket_ino;
    struct sp_board *board;
};

/* SP_ERR_NOT_FOUND if there is no such user. */
enum sp_status sp_account_find(const char *name, struct sp_error *err, struct sp_account *account_out) SP_MUST_CHECK;
/* For good. */
enum sp_status sp_account_become(const struct sp_account *account, struct sp_error *err) SP_MUST_CHECK;

/* Makes run_dir if it is missing, takes the lock, then the rest. owner (NULL: nobody) gets what was made. A socket of a dead
 * scand is replaced; anything else in its place is left alone and an error. A socket that the service manager hands over is taken
 * as it is. */
enum sp_status sp_rundir_open(
    const char *run_dir, const struct sp_account *owner, struct sp_error *err, struct sp_rundir *rundir_out) SP_MUST_CHECK;
/* Takes no more scans. Our own socket is removed, and who waits there is sent away, to ask the next scand; to be called again
 * while old workers still hold the socket, as somebody may just have been connecting. The manager's socket keeps its queue. */
void sp_rundir_unlisten(struct sp_rundir *rundir);
/* Whether clients find our socket under its name. */
bool sp_rundir_is_reachable(const struct sp_rundir *rundir);
void sp_rundir_close(struct sp_rundir *rundir);

#endif
