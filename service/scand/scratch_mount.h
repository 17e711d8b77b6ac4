/* A scratch folder of limited size: a file system in memory that only this scand sees. */
#ifndef SALLYPORT_SCAND_SCRATCH_MOUNT_H
#define SALLYPORT_SCAND_SCRATCH_MOUNT_H

#include "rundir.h"
#include "scratch.h"

#include <stdint.h>

/* Moves the process into a mount namespace of its own and mounts a tmpfs on run_dir/scratch there; it goes with the last process
 * of this scand. Gets at most *bytes and at most half of the machine's memory: *bytes is then what it got. owner (NULL: stays root)
 * owns it. *lock_fd_out is a descriptor of it, as of sp_scratch_open_root. Needs root: SP_ERR_IO if that does not suffice. */
enum sp_status sp_scratch_mount(const char *run_dir, const struct sp_account *owner, uint64_t *bytes, struct sp_error *err,
    char path_out[SP_SCRATCH_PATH_SIZE], int *lock_fd_out) SP_MUST_CHECK;

/* Removes it, if this process may still do so. Without that an empty run_dir/scratch stays, which the next one takes. */
void sp_scratch_unmount(const char *path);

#endif
