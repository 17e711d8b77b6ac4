/* The tmpfs of the workers. It must be mounted before root is given away, and after that nobody can change it: not its size, not
 * what may be done in it. Mounts that the system makes later (another disk with databases) are still seen: the namespace follows
 * its origin and does not tell it anything. */
#include "config.h"

#include "scratch_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define OPTIONS_SIZE 128
#define TARGET_SIZE 32
#define BYTES_MIN (1024 * 1024) /* a size of 0 would be none at all */

static uint64_t at_most_half_of_memory(uint64_t bytes)
{
    struct sysinfo info;
    if (sysinfo(&info) == 0 && bytes > (uint64_t) info.totalram * info.mem_unit / 2)
        bytes = (uint64_t) info.totalram * info.mem_unit / 2;
    return bytes < BYTES_MIN ? BYTES_MIN : bytes;
}

/* As a descriptor: run_dir is not root's alone, and between a look and the mount the name could become a link. */
static enum sp_status open_mount_point(const char *path, struct sp_error *err, int *fd_out)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return sp_error_set(err, SP_ERR_IO, "cannot make %s: %s", path, strerror(errno));
    *fd_out = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *fd_out >= 0 ? SP_OK : sp_error_set(err, SP_ERR_IO, "%s is in the way: %s", path, strerror(errno));
}

/* Takes fd. */
static enum sp_status mount_on(int fd, const char *options, struct sp_error *err)
{
    char target[TARGET_SIZE];
    enum sp_status status = SP_OK;
    snprintf(target, sizeof(target), "/proc/self/fd/%d", fd);
    if (mount("sallyport-scratch", target, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME, options) < 0)
        status = sp_error_set(err, SP_ERR_IO, "cannot mount a tmpfs: %s", strerror(errno));
    close(fd);
    return status;
}

enum sp_status sp_scratch_mount(const char *run_dir, const struct sp_account *owner, uint64_t *bytes, struct sp_error *err,
    char path_out[SP_SCRATCH_PATH_SIZE], int *lock_fd_out)
{
    char options[OPTIONS_SIZE];
    const int n = snprintf(path_out, SP_SCRATCH_PATH_SIZE, "%s/scratch", run_dir);
    if (n < 0 || n >= SP_SCRATCH_PATH_SIZE / 2) /* half: room for the names below it */
        return sp_error_set(err, SP_ERR_IO, "run_dir is too long");
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return sp_error_set(err, SP_ERR_IO, "no mount namespace: %s", strerror(errno));
    int fd = -1; /* of the new namespace: on one of the old nothing could be mounted */
    enum sp_status status = open_mount_point(path_out, err, &fd);
    if (status != SP_OK)
        return status;
    *bytes = at_most_half_of_memory(*bytes);
    snprintf(options, sizeof(options), "size=%llu,mode=0700,uid=%u,gid=%u", (unsigned long long) *bytes, owner ? owner->uid : 0,
        owner ? owner->gid : 0);
    status = mount_on(fd, options, err);
    if (status == SP_OK) {
        *lock_fd_out = open(path_out, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (*lock_fd_out < 0)
            status = sp_error_set(err, SP_ERR_IO, "cannot open %s: %s", path_out, strerror(errno));
    }
    if (status != SP_OK)
        rmdir(path_out);
    return status;
}

void sp_scratch_unmount(const char *path)
{
    if (umount2(path, MNT_DETACH) == 0)
        rmdir(path);
}
