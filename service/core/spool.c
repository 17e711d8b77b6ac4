/* The body store. Bytes move from tier to tier as the body grows, each byte at most twice; nothing moves after seal.
 *
 * Writing goes by explicit offset, so the descriptor's own position stays at 0 for whoever it is handed to. The file tier is opened a
 * second time for reading and the writable descriptor is closed: then there is none left that a receiver could write through. The
 * memfd tier needs no second one, the seals hold for every descriptor of it. */
#include "config.h"

#include "sallyport/spool.h"
#include "sallyport/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEAP_FIRST_BYTES 1024u
#define HEAP_GROWTH 4u /* 1, 4, 16, 64 KiB: at most three moves */
#define COPY_BYTES (16u * 1024u)
/* The quota is asked for at least so much at once, for a quarter of what is there when that is more, but never so much more that
 * what is not used yet matters. */
#define ROOM_FIRST_BYTES (256u * 1024u)
#define ROOM_MAX_BYTES (16u * 1024u * 1024u)
#define ROOM_PART 4u

enum tier { TIER_HEAP, TIER_MEMFD, TIER_FILE };

struct sp_spool {
    struct sp_spool_limits limits;
    enum tier tier;
    bool is_sealed;
    bool is_broken;
    int fd; /* -1 on the heap */
    char *heap;
    size_t heap_cap;
    uint64_t size;
    uint64_t room; /* taken from the quota; 0 on the heap */
};

enum sp_status sp_spool_new(const struct sp_spool_limits *limits, struct sp_spool **spool_out)
{
    struct sp_spool *spool = calloc(1, sizeof(*spool));
    *spool_out = spool;
    if (spool == NULL)
        return SP_ERR_NOMEM;
    spool->limits = *limits;
    spool->fd = -1;
    return SP_OK;
}

void sp_spool_free(struct sp_spool **spool)
{
    struct sp_spool *s = *spool;
    if (s == NULL)
        return;
    if (s->fd >= 0)
        close(s->fd);
    if (s->room > 0)
        sp_quota_give(s->limits.quota, s->room);
    free(s->heap);
    free(s);
    *spool = NULL;
}

/* --- descriptors ---------------------------------------------------------------------------------------------------- */

static enum sp_status write_at(int fd, uint64_t offset, const char *p, size_t n, struct sp_error *err)
{
    while (n > 0) {
        ssize_t done = pwrite(fd, p, n, (off_t) offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return sp_error_set(err, SP_ERR_IO, "cannot write a body to the spool: %s", strerror(done < 0 ? errno : ENOSPC));
        p += done;
        n -= (size_t) done;
        offset += (uint64_t) done;
    }
    return SP_OK;
}

/* Fewer than n only at the end. */
static enum sp_status read_at(int fd, uint64_t offset, char *p, size_t n, size_t *got_out)
{
    size_t got = 0;
    while (got < n) {
        ssize_t done = pread(fd, p + got, n - got, (off_t) (offset + got));
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return SP_ERR_IO;
        if (done == 0)
            break;
        got += (size_t) done;
    }
    *got_out = got;
    return SP_OK;
}

static enum sp_status copy_fd(int from, int to, uint64_t n, struct sp_error *err)
{
    char block[COPY_BYTES];
    uint64_t offset = 0;
    while (offset < n) {
        size_t got = 0;
        if (read_at(from, offset, block, sizeof(block), &got) != SP_OK || got == 0)
            return sp_error_set(err, SP_ERR_IO, "cannot read a body back from memory");
        enum sp_status status = write_at(to, offset, block, got, err);
        if (status != SP_OK)
            return status;
        offset += got;
    }
    return SP_OK;
}

/* For file systems without O_TMPFILE. The name exists only for a moment. */
static int open_named_file(const char *dir)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/sallyport-XXXXXX", dir);
    if (n < 0 || (size_t) n >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

static enum sp_status open_file(const char *dir, int *fd_out, struct sp_error *err)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
        fd = open_named_file(dir);
    if (fd < 0)
        return sp_error_set(err, SP_ERR_IO, "cannot create a file in the spool directory %s: %s", dir, strerror(errno));
    *fd_out = fd;
    return SP_OK;
}

/* --- room ----------------------------------------------------------------------------------------------------------- */

static bool make_room(struct sp_spool *spool, uint64_t size)
{
    if (!spool->limits.quota || size <= SP_SPOOL_HEAP_MAX || size <= spool->room)
        return true;
    const uint64_t needed = size - spool->room, left = spool->limits.max_bytes - spool->room;
    uint64_t more = spool->room / ROOM_PART;
    more = more < ROOM_FIRST_BYTES ? ROOM_FIRST_BYTES : more > ROOM_MAX_BYTES ? ROOM_MAX_BYTES : more;
    more = more < needed ? needed : more > left ? left : more;
    if (!sp_quota_take(spool->limits.quota, more))
        return false;
    spool->room += more;
    return true;
}

/* What was taken ahead and is not needed. */
static void give_spare_room(struct sp_spool *spool)
{
    const uint64_t used = spool->tier == TIER_HEAP ? 0 : spool->size;
    if (spool->room > used)
        sp_quota_give(spool->limits.quota, spool->room - used);
    spool->room = spool->room > used ? used : spool->room;
}

/* --- tiers ---------------------------------------------------------------------------------------------------------- */

static enum tier tier_for(const struct sp_spool *spool, uint64_t size)
{
    enum tier wanted = size <= SP_SPOOL_HEAP_MAX ? TIER_HEAP : size <= spool->limits.memory_bytes ? TIER_MEMFD : TIER_FILE;
    return wanted > spool->tier ? wanted : spool->tier;
}

/* Copies what is there to the descriptor, which then is the spool's. On failure *fd stays the caller's. */
static enum sp_status move_to(struct sp_spool *spool, int *fd, enum tier tier, struct sp_error *err)
{
    enum sp_status status =
        spool->tier == TIER_HEAP ? write_at(*fd, 0, spool->heap, (size_t) spool->size, err) : copy_fd(spool->fd, *fd, spool->size, err);
    if (status != SP_OK)
        return status;
    if (spool->fd >= 0)
        close(spool->fd);
    free(spool->heap);
    spool->heap = NULL;
    spool->heap_cap = 0;
    spool->fd = *fd;
    spool->tier = tier;
    *fd = -1;
    return SP_OK;
}

static enum sp_status raise_tier(struct sp_spool *spool, enum tier tier, struct sp_error *err)
{
    enum sp_status status = SP_OK;
    int fd = -1;

    if (tier == TIER_MEMFD) {
        fd = memfd_create("sallyport-body", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0)
            tier = TIER_FILE; /* forbidden or not there: a file does it too */
    }
    if (tier == TIER_FILE)
        status = open_file(spool->limits.dir, &fd, err);
    if (status == SP_OK)
        status = move_to(spool, &fd, tier, err);
    if (fd >= 0)
        close(fd);
    return status;
}

static enum sp_status append_heap(struct sp_spool *spool, const void *p, size_t n)
{
    size_t size = (size_t) spool->size, need = size + n;
    if (need > spool->heap_cap) {
        size_t cap = spool->heap_cap > 0 ? spool->heap_cap * HEAP_GROWTH : HEAP_FIRST_BYTES;
        cap = cap < need ? need : cap;
        cap = cap > SP_SPOOL_HEAP_MAX ? SP_SPOOL_HEAP_MAX : cap;
        char *heap = realloc(spool->heap, cap);
        if (heap == NULL)
            return SP_ERR_NOMEM;
        spool->heap = heap;
        spool->heap_cap = cap;
    }
    memcpy(spool->heap + size, p, n);
    return SP_OK;
}

enum sp_status sp_spool_append(struct sp_spool *spool, const void *p, size_t n, struct sp_error *err)
{
    SP_ASSERT(!spool->is_sealed);
    if (spool->is_broken)
        return sp_error_set(err, SP_ERR_IO, "the spooled body is broken");
    if (n == 0)
        return SP_OK;
    if (n > spool->limits.max_bytes || spool->size > spool->limits.max_bytes - n)
        return sp_error_set(err, SP_ERR_LIMIT, "the body is larger than %llu bytes", (unsigned long long) spool->limits.max_bytes);
    if (!make_room(spool, spool->size + n))
        return sp_error_set(err, SP_ERR_NO_ROOM, "the quota of all spools together is used up");

    enum tier tier = tier_for(spool, spool->size + n);
    enum sp_status status = tier == spool->tier ? SP_OK : raise_tier(spool, tier, err);
    if (status == SP_OK)
        status = spool->tier == TIER_HEAP ? append_heap(spool, p, n) : write_at(spool->fd, spool->size, p, n, err);
    if (status == SP_OK)
        spool->size += n;
    else if (status == SP_ERR_NOMEM)
        sp_error_set(err, status, "no memory for a body");
    else
        spool->is_broken = true;
    return status;
}

/* --- sealing and reading -------------------------------------------------------------------------------------------- */

static enum sp_status seal_memfd(const struct sp_spool *spool, struct sp_error *err)
{
    if (fcntl(spool->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
        return sp_error_set(err, SP_ERR_IO, "cannot seal a body: %s", strerror(errno));
    return SP_OK;
}

static enum sp_status seal_file(struct sp_spool *spool, struct sp_error *err)
{
    char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", spool->fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sp_error_set(err, SP_ERR_IO, "cannot open a spooled body for reading (%s): %s", path, strerror(errno));
    close(spool->fd);
    spool->fd = fd;
    return SP_OK;
}

enum sp_status sp_spool_seal(struct sp_spool *spool, struct sp_error *err)
{
    SP_ASSERT(!spool->is_sealed);
    enum sp_status status = SP_OK;
    if (spool->is_broken)
        return sp_error_set(err, SP_ERR_IO, "the spooled body is broken");
    if (spool->tier == TIER_MEMFD)
        status = seal_memfd(spool, err);
    else if (spool->tier == TIER_FILE)
        status = seal_file(spool, err);
    give_spare_room(spool);
    spool->is_sealed = status == SP_OK;
    spool->is_broken = status != SP_OK;
    return status;
}

uint64_t sp_spool_size(const struct sp_spool *spool)
{
    return spool->size;
}

enum sp_status sp_spool_read(const struct sp_spool *spool, uint64_t offset, void *p, size_t n, size_t *got_out)
{
    *got_out = 0;
    if (spool->is_broken)
        return SP_ERR_IO;
    if (offset >= spool->size)
        return SP_OK;
    if (n > spool->size - offset)
        n = (size_t) (spool->size - offset);
    if (spool->tier == TIER_HEAP) {
        memcpy(p, spool->heap + offset, n);
        *got_out = n;
        return SP_OK;
    }
    size_t got = 0;
    if (read_at(spool->fd, offset, p, n, &got) != SP_OK || got != n)
        return SP_ERR_IO; /* a short file must not look like the end of the body */
    *got_out = got;
    return SP_OK;
}

bool sp_spool_bytes(const struct sp_spool *spool, struct sp_str *bytes_out)
{
    if (spool->tier != TIER_HEAP)
        return false;
    *bytes_out = (struct sp_str){ spool->heap, (size_t) spool->size };
    return true;
}

int sp_spool_fd(const struct sp_spool *spool)
{
    SP_ASSERT(spool->is_sealed);
    return spool->fd;
}
