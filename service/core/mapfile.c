/* Making and opening of shared maps. The lock on a file is only for replacing it; opening one of the right layout takes none. */
#include "config.h"

#include "sallyport/mapfile.h"

#include "sallyport/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SHARED_MODE 0644
#define PRIVATE_MODE 0600
#define TRIES 32
#define LOCK_TRIES 200
#define LOCK_PAUSE_NS 10000000

static void *map_file(int fd, size_t bytes, int protection)
{
    void *p = mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

static bool has_header(const void *start, const struct sp_mapfile_header *header)
{
    return memcmp(start, header, sizeof(*header)) == 0;
}

/* How all files of the two kinds begin. */
static struct sp_mapfile_start mapped(const struct sp_mapfile_header *header)
{
    return (struct sp_mapfile_start){ .header = header, .n = sizeof(*header), .is_right = has_header };
}

/* SP_ERR_CONF if the open file is of another layout, or a private one is not private. */
static enum sp_status check_file(int fd, const char *path, const struct sp_mapfile_start *start, mode_t mode, struct sp_error *err)
{
    struct stat st;
    unsigned char bytes[SP_MAPFILE_START_MAX];
    if (fstat(fd, &st) < 0)
        return sp_error_set(err, SP_ERR_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return sp_error_set(err, SP_ERR_IO, "%s: is not a regular file", path);
    if (mode == PRIVATE_MODE && (st.st_uid != geteuid() || (st.st_mode & ~(mode_t) S_IFMT & ~mode) != 0))
        return SP_ERR_CONF;
    if ((uint64_t) st.st_size < start->header->bytes || pread(fd, bytes, start->n, 0) != (ssize_t) start->n)
        return SP_ERR_CONF;
    return start->is_right(bytes, start->header) ? SP_OK : SP_ERR_CONF;
}

static enum sp_status map_existing(int fd, int protection, const char *path, size_t bytes, struct sp_error *err, void **map_out)
{
    *map_out = map_file(fd, bytes, protection);
    return *map_out ? SP_OK : sp_error_set(err, SP_ERR_IO, "%s: cannot be mapped: %s", path, strerror(errno));
}

/* A complete file, zero behind its start, under a name of its own. Its blocks are allocated, for a full disk would kill a
 * process that writes to a map. */
static enum sp_status make_file(char *temporary, const struct sp_mapfile_start *start, mode_t mode, struct sp_error *err)
{
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return sp_error_set(err, SP_ERR_IO, "%s: cannot be made: %s", temporary, strerror(errno));
    int failed = posix_fallocate(fd, 0, start->header->bytes);
    if (failed == 0 && fchmod(fd, mode) < 0)
        failed = errno;
    if (failed == 0 && pwrite(fd, start->header, start->n, 0) != (ssize_t) start->n)
        failed = errno;
    close(fd);
    if (failed == 0)
        return SP_OK;
    unlink(temporary);
    return sp_error_set(err, SP_ERR_IO, "%s: cannot be made: %s", temporary, strerror(failed));
}

/* Waits for the lock on a file that is to be replaced, so that two processes do not replace each other's. Anybody who can
 * read the file can hold it: bounded. */
static bool lock_file(int fd)
{
    const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

static bool is_still_named(int fd, const char *path)
{
    struct stat by_fd, by_path;
    return fstat(fd, &by_fd) == 0 && stat(path, &by_path) == 0 && by_fd.st_dev == by_path.st_dev && by_fd.st_ino == by_path.st_ino;
}

/* Puts a new file at path: where none is (old is -1), or in place of the open file old. Finding that another process
 * was faster is no failure: the caller looks again. */
static enum sp_status publish(const char *path, const struct sp_mapfile_start *start, mode_t mode, int old, struct sp_error *err)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int) sizeof(temporary))
        return sp_error_set(err, SP_ERR_IO, "%s: path is too long", path);
    if (old >= 0 && !lock_file(old))
        return sp_error_set(err, SP_ERR_IO, "%s: has another layout and another process holds it locked", path);
    if (old >= 0 && !is_still_named(old, path))
        return SP_OK;
    enum sp_status status = make_file(temporary, start, mode, err);
    if (status != SP_OK)
        return status;
    int failed = old >= 0 ? rename(temporary, path) : link(temporary, path);
    if (failed < 0 && errno != EEXIST)
        status = sp_error_set(err, SP_ERR_IO, "%s: cannot be made: %s", path, strerror(errno));
    if (old < 0 || failed < 0)
        unlink(temporary);
    return status;
}

/* The file at path, right or made anew. */
static enum sp_status open_or_make(
    const char *path, const struct sp_mapfile_start *start, mode_t mode, struct sp_error *err, int *fd_out)
{
    *fd_out = -1;
    for (int i = 0; i < TRIES; i++) {
        int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 && errno != ENOENT)
            return sp_error_set(err, SP_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
        enum sp_status status = fd < 0 ? SP_ERR_NOT_FOUND : check_file(fd, path, start, mode, err);
        if (status == SP_OK) {
            *fd_out = fd;
            return SP_OK;
        }
        if (status == SP_ERR_NOT_FOUND || status == SP_ERR_CONF)
            status = publish(path, start, mode, fd, err);
        if (fd >= 0)
            close(fd);
        if (status != SP_OK)
            return status;
    }
    return sp_error_set(err, SP_ERR_IO, "%s: other processes keep replacing it", path);
}

enum sp_status sp_mapfile_open(const char *path, const struct sp_mapfile_header *header, struct sp_error *err, void **map_out)
{
    *map_out = NULL;
    const struct sp_mapfile_start start = mapped(header);
    int fd = -1;
    enum sp_status status = open_or_make(path, &start, SHARED_MODE, err, &fd);
    if (status != SP_OK)
        return status;
    status = map_existing(fd, PROT_READ | PROT_WRITE, path, header->bytes, err, map_out);
    close(fd);
    return status;
}

enum sp_status sp_mapfile_open_fd(const char *path, const struct sp_mapfile_start *start, struct sp_error *err, int *fd_out)
{
    SP_ASSERT(start->n >= sizeof(*start->header) && start->n <= SP_MAPFILE_START_MAX);
    return open_or_make(path, start, PRIVATE_MODE, err, fd_out);
}

enum sp_status sp_mapfile_open_reader(const char *path, const struct sp_mapfile_header *header, struct sp_error *err, void **map_out)
{
    *map_out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return sp_error_set(err, errno == ENOENT ? SP_ERR_NOT_FOUND : SP_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    const struct sp_mapfile_start start = mapped(header);
    enum sp_status status = check_file(fd, path, &start, SHARED_MODE, err);
    if (status == SP_OK)
        status = map_existing(fd, PROT_READ, path, header->bytes, err, map_out);
    close(fd);
    if (status == SP_ERR_CONF)
        sp_error_set(err, status, "%s: is of another version", path);
    return status;
}

enum sp_status sp_mapfile_anonymous(const struct sp_mapfile_header *header, struct sp_error *err, void **map_out)
{
    void *p = mmap(NULL, header->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *map_out = p == MAP_FAILED ? NULL : p;
    if (p == MAP_FAILED)
        return sp_error_set(err, SP_ERR_NOMEM, "out of memory");
    memcpy(p, header, sizeof(*header));
    return SP_OK;
}

void sp_mapfile_close(void *map, const struct sp_mapfile_header *header)
{
    if (map)
        munmap(map, header->bytes);
}
