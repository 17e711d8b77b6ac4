/* Scratch folders. Hostile archives decide what is unpacked here, so removal works on descriptors, follows no link and is
 * bounded in depth. */
#include "config.h"

#include "scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define DEPTH_MAX 600                    /* one descriptor a level; a path as libclamav makes them has no more */
#define ROOT_PREFIX "sallyport-scratch-" /* all folders of this name that nobody has locked are removed */
#define LOCK_ATTEMPTS 10
#define FD_PATH_SIZE 32

static void remove_at(int parent, const char *name, int depth);

/* Takes fd, a folder. */
static void empty_folder(int fd, int depth)
{
    DIR *folder = fdopendir(fd);
    if (!folder) {
        close(fd);
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(folder)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_at(dirfd(folder), entry->d_name, depth + 1);
    closedir(folder);
}

/* A folder of a mode that locks out its owner. By /proc: fchmodat would follow a link, fchmod does not take a mere path. */
static bool make_readable(int parent, const char *name)
{
    char path[FD_PATH_SIZE];
    const int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const bool is_changed = chmod(path, 0700) == 0;
    close(fd);
    return is_changed;
}

static void remove_at(int parent, const char *name, int depth)
{
    if (unlinkat(parent, name, 0) == 0 || (errno != EISDIR && errno != EPERM) || depth > DEPTH_MAX)
        return;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && make_readable(parent, name))
        fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        empty_folder(fd, depth);
    unlinkat(parent, name, AT_REMOVEDIR);
}

bool sp_scratch_sweep(DIR *folder)
{
    const struct dirent *entry;
    bool has_found = false;
    rewinddir(folder);
    while ((entry = readdir(folder))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        has_found = true;
        remove_at(dirfd(folder), entry->d_name, 1);
    }
    return has_found;
}

void sp_scratch_remove(const char *path)
{
    remove_at(AT_FDCWD, path, 0);
}

enum sp_status sp_scratch_make(const char *path, struct sp_error *err)
{
    if (mkdir(path, 0700) == 0)
        return SP_OK;
    if (errno != EEXIST)
        return sp_error_set(err, SP_ERR_IO, "cannot make the scratch folder %s: %s", path, strerror(errno));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st = { 0 };
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || fchmod(fd, 0700) < 0) {
        if (fd >= 0)
            close(fd);
        return sp_error_set(err, SP_ERR_IO, "the scratch folder %s is not ours; remove it", path);
    }
    empty_folder(fd, 0);
    return SP_OK;
}

/* Folders of scands that are gone: nobody holds their lock. */
static void remove_unused(const char *place)
{
    DIR *folder = opendir(place);
    if (!folder)
        return;
    const struct dirent *entry;
    while ((entry = readdir(folder))) {
        struct stat st;
        if (strncmp(entry->d_name, ROOT_PREFIX, sizeof(ROOT_PREFIX) - 1) != 0)
            continue;
        int fd = openat(dirfd(folder), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0)
            remove_at(dirfd(folder), entry->d_name, 0);
        close(fd);
    }
    closedir(folder);
}

/* Another scand that starts right now may take a new folder for an unused one until it is locked: then there is another try. */
static enum sp_status make_locked(const char *place, struct sp_error *err, char path_out[SP_SCRATCH_PATH_SIZE], int *fd_out)
{
    for (int attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
        struct stat by_path, by_fd;
        const int n = snprintf(path_out, SP_SCRATCH_PATH_SIZE, "%s/%sXXXXXX", place, ROOT_PREFIX);
        if (n < 0 || n >= SP_SCRATCH_PATH_SIZE / 2 || !mkdtemp(path_out)) /* half: room for the names below it */
            return sp_error_set(err, SP_ERR_IO, "cannot make a scratch folder in %s: %s", place, strerror(errno));
        const int fd = open(path_out, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &by_fd) == 0 && stat(path_out, &by_path) == 0 &&
            by_fd.st_ino == by_path.st_ino) {
            *fd_out = fd;
            return SP_OK;
        }
        if (fd >= 0)
            close(fd);
    }
    return sp_error_set(err, SP_ERR_IO, "cannot lock a scratch folder in %s", place);
}

enum sp_status sp_scratch_open_root(
    const char *spool_dir, const struct sp_log *log, struct sp_error *err, char path_out[SP_SCRATCH_PATH_SIZE], int *lock_fd_out)
{
    const char *const places[] = { spool_dir, getenv("TMPDIR"), "/tmp" };
    struct sp_error first = { 0 };
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (!places[i] || places[i][0] == '\0' || make_locked(places[i], &first, path_out, lock_fd_out) != SP_OK)
            continue;
        remove_unused(places[i]);
        if (first.text[0] != '\0')
            sp_log(log, SP_LOG_NOTICE, "%s; archives are unpacked in %s", first.text, path_out);
        return SP_OK;
    }
    return sp_error_set(err, SP_ERR_IO, "%s", first.text);
}

void sp_scratch_generation_path(const char *root, unsigned generation, char path_out[SP_SCRATCH_PATH_SIZE])
{
    snprintf(path_out, SP_SCRATCH_PATH_SIZE, "%s/g%u", root, generation);
}

void sp_scratch_worker_path(const char *root, unsigned generation, unsigned slot, char path_out[SP_SCRATCH_PATH_SIZE])
{
    snprintf(path_out, SP_SCRATCH_PATH_SIZE, "%s/g%uw%u", root, generation, slot);
}

uint64_t sp_scratch_tmpfs_bytes(int folder_fd)
{
    struct statfs fs;
    if (fstatfs(folder_fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
        return 0;
    return (uint64_t) fs.f_blocks * (uint64_t) fs.f_bsize;
}
