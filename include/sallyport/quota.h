/* How much all processes of the gate together may keep of bodies, in a file-backed shared map (run_dir/spool.stat). Bytes on the
 * heap of a process do not count, memfds and files do. Taking and giving back is lock-free; any thread of any process may do it.
 * What a process held when it died, however it died, comes back: its slot carries its id and start time, and whoever finds no
 * room looks for slots of the dead. All processes must share one process id namespace.
 *
 * Nobody can take all: a process gets more only while it holds at most SP_QUOTA_FAIRNESS times what is then left free. Alone it can
 * have 8/9 of the quota, three that want all of it 8/25 each; a process that comes late always finds some room, and those
 * that hold much get no more until it has caught up. */
#ifndef SALLYPORT_QUOTA_H
#define SALLYPORT_QUOTA_H

#include "sallyport/status.h"

#include <stdint.h>

#define SP_QUOTA_FAIRNESS 8
#define SP_QUOTA_PROCESSES 512 /* at once; a process that reloads counts twice for a while */

struct sp_quota;

/* Maps path, made anew if it is missing or of another layout; what others hold there counts on. The limit is this object's own, so a
 * reload changes it by opening anew. May be opened before a fork. */
enum sp_status sp_quota_open(const char *path, uint64_t limit_bytes, struct sp_error *err, struct sp_quota **quota_out) SP_MUST_CHECK;
void sp_quota_close(struct sp_quota **quota); /* accepts NULL inside; what this process still held through it is given back */

/* False: no room now, nothing was taken. Never waits. */
bool sp_quota_take(struct sp_quota *quota, uint64_t bytes) SP_MUST_CHECK;
void sp_quota_give(struct sp_quota *quota, uint64_t bytes); /* by the process that took them */

struct sp_quota_use {
    uint64_t held_bytes; /* by processes that are alive */
    unsigned processes;  /* that hold some */
    uint64_t refused;    /* times that there was no room, since the file was made */
};
/* For whoever wants to look: SP_ERR_NOT_FOUND if there is no such file, SP_ERR_CONF for another layout. */
enum sp_status sp_quota_look(const char *path, struct sp_error *err, struct sp_quota_use *use_out) SP_MUST_CHECK;

#endif
