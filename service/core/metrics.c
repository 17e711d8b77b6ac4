/* Counters that many processes share through one file. A file that others have mapped is never written over or cut: a new one
 * takes its name instead, complete before anyone can see it. */
#include "config.h"

#include "sallyport/metrics.h"

#include "sallyport/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x53504d31u /* "SPM1" */
#define FILE_MODE 0644
#define TRIES 32
#define LOCK_TRIES 200
#define LOCK_PAUSE_NS 10000000

struct map {
    uint32_t magic;
    uint32_t bytes;  /* of this struct */
    uint64_t layout; /* digest of all names in order: another table, another layout */
    _Atomic uint64_t engine;
    _Atomic uint64_t counters[SP_METRIC_COUNT];
    _Atomic uint64_t outcomes[SP_OUTCOME_COUNT];
};

struct sp_metrics {
    struct map *map;
    bool is_reader;
};

struct row {
    const char *name;
    const char *help;
};

static const struct row rows[SP_METRIC_COUNT] = {
#define SP_METRIC_ROW(id, name, help) [SP_METRIC_##id] = { name, help },
#include "sallyport/metrics.def"
#undef SP_METRIC_ROW
};

const char *sp_metric_name(enum sp_metric metric)
{
    SP_ASSERT((unsigned) metric < SP_METRIC_COUNT);
    return rows[metric].name;
}

const char *sp_metric_help(enum sp_metric metric)
{
    SP_ASSERT((unsigned) metric < SP_METRIC_COUNT);
    return rows[metric].help;
}

/* --- layout ------------------------------------------------------------------------------------------------------- */

static uint64_t mix_name(uint64_t h, const char *name) /* FNV-1a, the terminator included */
{
    do
        h = (h ^ (unsigned char) *name) * 0x100000001b3u;
    while (*name++);
    return h;
}

static uint64_t layout_digest(void)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (unsigned i = 0; i < SP_METRIC_COUNT; i++)
        h = mix_name(h, sp_metric_name((enum sp_metric) i));
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++)
        h = mix_name(h, sp_outcome_name((enum sp_outcome) i));
    return h;
}

static void write_header(struct map *map)
{
    map->magic = MAGIC;
    map->bytes = sizeof(*map);
    map->layout = layout_digest();
}

static bool is_our_layout(const struct map *map)
{
    return map->magic == MAGIC && map->bytes == sizeof(*map) && map->layout == layout_digest();
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static struct map *map_file(int fd, int protection)
{
    void *p = mmap(NULL, sizeof(struct map), protection, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* Maps an open file. SP_ERR_CONF if it is of another layout. */
static enum sp_status map_existing(int fd, int protection, const char *path, struct sp_error *err, struct map **map_out)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return sp_error_set(err, SP_ERR_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return sp_error_set(err, SP_ERR_IO, "%s: is not a regular file", path);
    if ((uint64_t) st.st_size < sizeof(struct map))
        return SP_ERR_CONF;
    struct map *map = map_file(fd, protection);
    if (!map)
        return sp_error_set(err, SP_ERR_IO, "%s: cannot be mapped: %s", path, strerror(errno));
    if (!is_our_layout(map)) {
        munmap(map, sizeof(*map));
        return SP_ERR_CONF;
    }
    *map_out = map;
    return SP_OK;
}

/* A complete file with zero counters under a name of its own. Its blocks are allocated, for a full disk would kill a
 * process that adds to a counter. */
static enum sp_status make_file(char *temporary, struct sp_error *err)
{
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return sp_error_set(err, SP_ERR_IO, "%s: cannot be made: %s", temporary, strerror(errno));
    enum sp_status status = SP_OK;
    struct map *map = NULL;
    int failed = posix_fallocate(fd, 0, sizeof(struct map));
    if (failed == 0 && fchmod(fd, FILE_MODE) < 0)
        failed = errno;
    if (failed == 0 && !(map = map_file(fd, PROT_READ | PROT_WRITE)))
        failed = errno;
    if (failed != 0)
        status = sp_error_set(err, SP_ERR_IO, "%s: cannot be made: %s", temporary, strerror(failed));
    if (map) {
        write_header(map);
        munmap(map, sizeof(*map));
    }
    close(fd);
    if (status != SP_OK)
        unlink(temporary);
    return status;
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
static enum sp_status publish(const char *path, int old, struct sp_error *err)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int) sizeof(temporary))
        return sp_error_set(err, SP_ERR_IO, "%s: path is too long", path);
    if (old >= 0 && !lock_file(old))
        return sp_error_set(err, SP_ERR_IO, "%s: has another layout and another process holds it locked", path);
    if (old >= 0 && !is_still_named(old, path))
        return SP_OK;
    enum sp_status status = make_file(temporary, err);
    if (status != SP_OK)
        return status;
    int failed = old >= 0 ? rename(temporary, path) : link(temporary, path);
    if (failed < 0 && errno != EEXIST)
        status = sp_error_set(err, SP_ERR_IO, "%s: cannot be made: %s", path, strerror(errno));
    if (old < 0 || failed < 0)
        unlink(temporary);
    return status;
}

static enum sp_status open_file(const char *path, struct sp_error *err, struct map **map_out)
{
    for (int i = 0; i < TRIES; i++) {
        int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 && errno != ENOENT)
            return sp_error_set(err, SP_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
        enum sp_status status = fd < 0 ? SP_ERR_NOT_FOUND : map_existing(fd, PROT_READ | PROT_WRITE, path, err, map_out);
        bool is_done = status != SP_ERR_NOT_FOUND && status != SP_ERR_CONF;
        if (!is_done)
            status = publish(path, fd, err);
        if (fd >= 0)
            close(fd);
        if (is_done || status != SP_OK)
            return status;
    }
    return sp_error_set(err, SP_ERR_IO, "%s: other processes keep replacing it", path);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static enum sp_status open_private(struct sp_error *err, struct map **map_out)
{
    void *p = mmap(NULL, sizeof(struct map), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return sp_error_set(err, SP_ERR_NOMEM, "out of memory");
    write_header(p);
    *map_out = p;
    return SP_OK;
}

enum sp_status sp_metrics_open(const char *path, struct sp_error *err, struct sp_metrics **metrics_out)
{
    *metrics_out = NULL;
    struct sp_metrics *metrics = calloc(1, sizeof(*metrics));
    if (!metrics)
        return sp_error_set(err, SP_ERR_NOMEM, "out of memory");
    enum sp_status status = path ? open_file(path, err, &metrics->map) : open_private(err, &metrics->map);
    if (status == SP_OK)
        *metrics_out = metrics;
    else
        free(metrics);
    return status;
}

enum sp_status sp_metrics_open_reader(const char *path, struct sp_error *err, struct sp_metrics **metrics_out)
{
    *metrics_out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return sp_error_set(err, errno == ENOENT ? SP_ERR_NOT_FOUND : SP_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    struct sp_metrics *metrics = calloc(1, sizeof(*metrics));
    enum sp_status status = metrics ? map_existing(fd, PROT_READ, path, err, &metrics->map) : SP_ERR_NOMEM;
    close(fd);
    if (status != SP_OK) {
        free(metrics);
        return sp_error_set(err, status, "%s: %s", path, status == SP_ERR_CONF ? "is of another version" : sp_status_name(status));
    }
    metrics->is_reader = true;
    *metrics_out = metrics;
    return SP_OK;
}

void sp_metrics_close(struct sp_metrics **metrics)
{
    if (!*metrics)
        return;
    munmap((*metrics)->map, sizeof(struct map));
    free(*metrics);
    *metrics = NULL;
}

/* --- counting ----------------------------------------------------------------------------------------------------- */

static void add(struct sp_metrics *metrics, _Atomic uint64_t *counter, uint64_t n)
{
    SP_ASSERT(!metrics->is_reader);
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void sp_metrics_add(struct sp_metrics *metrics, enum sp_metric metric, uint64_t n)
{
    SP_ASSERT((unsigned) metric < SP_METRIC_COUNT);
    add(metrics, &metrics->map->counters[metric], n);
}

void sp_metrics_add_outcome(struct sp_metrics *metrics, enum sp_outcome outcome)
{
    SP_ASSERT((unsigned) outcome < SP_OUTCOME_COUNT);
    add(metrics, &metrics->map->outcomes[outcome], 1);
}

uint64_t sp_metrics_get(const struct sp_metrics *metrics, enum sp_metric metric)
{
    SP_ASSERT((unsigned) metric < SP_METRIC_COUNT);
    return atomic_load_explicit(&metrics->map->counters[metric], memory_order_relaxed);
}

uint64_t sp_metrics_get_outcome(const struct sp_metrics *metrics, enum sp_outcome outcome)
{
    SP_ASSERT((unsigned) outcome < SP_OUTCOME_COUNT);
    return atomic_load_explicit(&metrics->map->outcomes[outcome], memory_order_relaxed);
}

void sp_metrics_set_engine(struct sp_metrics *metrics, uint64_t engine_id)
{
    SP_ASSERT(!metrics->is_reader);
    atomic_store_explicit(&metrics->map->engine, engine_id, memory_order_relaxed);
}

uint64_t sp_metrics_engine(const struct sp_metrics *metrics)
{
    return atomic_load_explicit(&metrics->map->engine, memory_order_relaxed);
}
