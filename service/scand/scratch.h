/* Private folders for what libclamav unpacks: one for all of this scand, in it one for each process. A process that is killed
 * leaves files behind, so its parent removes the folder; what a killed scand left, the next one removes. */
#ifndef SALLYPORT_SCAND_SCRATCH_H
#define SALLYPORT_SCAND_SCRATCH_H

#include "sallyport/log.h"
#include "sallyport/status.h"

#include <dirent.h>
#include <stdint.h>

#define SP_SCRATCH_PATH_SIZE 4096

/* Makes a folder in spool_dir, else in TMPDIR, else in /tmp (and says so), and removes those that no living process uses. The
 * folder is in use as long as any process has *lock_fd_out, which forked processes inherit. */
enum sp_status sp_scratch_open_root(const char *spool_dir, const struct sp_log *log, struct sp_error *err,
    char path_out[SP_SCRATCH_PATH_SIZE], int *lock_fd_out) SP_MUST_CHECK;

/* Makes path as an empty folder of mode 0700. What is there must be a folder of ours and is emptied. */
enum sp_status sp_scratch_make(const char *path, struct sp_error *err) SP_MUST_CHECK;

/* "root/gN" of a generation, "root/gNwS" of its worker in slot S. */
void sp_scratch_generation_path(const char *root, unsigned generation, char path_out[SP_SCRATCH_PATH_SIZE]);
void sp_scratch_worker_path(const char *root, unsigned generation, unsigned slot, char path_out[SP_SCRATCH_PATH_SIZE]);

/* Removes everything in an open folder: what a scan has left. Whether there was anything. */
bool sp_scratch_sweep(DIR *folder);

/* Removes path with everything in it. Follows no link; what is not there is no failure. */
void sp_scratch_remove(const char *path);

/* The size of the tmpfs that a folder lies on, as a service manager may give us one; 0 if it lies on anything else. */
uint64_t sp_scratch_tmpfs_bytes(int folder_fd);

#endif
