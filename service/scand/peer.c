/* Peer credentials. The kernel wrote them down when the client connected; what the client says about itself counts for nothing.
 * Names are looked up at the start, for a sandboxed worker could not. */
#include "config.h"

#include "peer.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif
#define GROUPS_MAX 1024 /* of one client */

enum sp_status sp_clients_find(const struct sp_conf *conf, struct sp_error *err, struct sp_clients *clients_out)
{
    const struct sp_conf_list *names = &conf->scan_clients;
    *clients_out = (struct sp_clients){ .own_uid = geteuid(), .own_gid = getegid(), .is_listed = names->n > 0 };
    if (names->n > SP_CLIENTS_MAX)
        return sp_error_set(err, SP_ERR_LIMIT, "scan.clients names more than %d users", SP_CLIENTS_MAX);
    for (size_t i = 0; i < names->n; i++) {
        errno = 0;
        const struct passwd *entry = getpwnam(names->items[i]);
        if (!entry)
            return sp_error_set(err, SP_ERR_NOT_FOUND, "scan.clients: no user %s%s%s", names->items[i], errno ? ": " : "",
                errno ? strerror(errno) : "");
        clients_out->uids[clients_out->n++] = entry->pw_uid;
    }
    return SP_OK;
}

static bool is_in_group(int connection, gid_t group)
{
    gid_t groups[GROUPS_MAX];
    socklen_t bytes = sizeof(groups);
    if (getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) < 0)
        return false;
    for (size_t i = 0; i < bytes / sizeof(groups[0]); i++)
        if (groups[i] == group)
            return true;
    return false;
}

bool sp_clients_allow(const struct sp_clients *clients, int connection, struct sp_peer *peer_out)
{
    struct ucred who;
    socklen_t bytes = sizeof(who);
    *peer_out = (struct sp_peer){ 0, (uid_t) -1, (gid_t) -1 };
    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &who, &bytes) < 0 || bytes != sizeof(who))
        return false;
    *peer_out = (struct sp_peer){ who.pid, who.uid, who.gid };
    if (who.uid == 0 || who.uid == clients->own_uid)
        return true;
    if (!clients->is_listed)
        return who.gid == clients->own_gid || is_in_group(connection, clients->own_gid);
    for (size_t i = 0; i < clients->n; i++)
        if (clients->uids[i] == who.uid)
            return true;
    return false;
}
