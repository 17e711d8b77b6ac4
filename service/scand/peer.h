/* Who may ask. The mode of scan.sock keeps strangers out already; this holds even when that mode, or the folder, has been changed. */
#ifndef SALLYPORT_SCAND_PEER_H
#define SALLYPORT_SCAND_PEER_H

#include "sallyport/conf.h"
#include "sallyport/status.h"

#include <sys/types.h>

#define SP_CLIENTS_MAX 32

struct sp_clients {
    uid_t own_uid;
    gid_t own_gid;
    bool is_listed; /* else by group */
    uid_t uids[SP_CLIENTS_MAX];
    size_t n;
};

struct sp_peer { /* of a connection, as it was made */
    pid_t pid;
    uid_t uid;
    gid_t gid;
};

/* From scan.clients. SP_ERR_NOT_FOUND for a user that there is not, SP_ERR_LIMIT for too many. */
enum sp_status sp_clients_find(const struct sp_conf *conf, struct sp_error *err, struct sp_clients *clients_out) SP_MUST_CHECK;

/* Root and our own user always; else the users of scan.clients, or, if it is empty, who is in our group. False too if it cannot
 * be told. *peer_out is filled in any case. */
bool sp_clients_allow(const struct sp_clients *clients, int connection, struct sp_peer *peer_out);

#endif
