/* A table as a file: a header, then the slots as they are in memory. All of it is checked when it is opened, each byte: what is
 * torn, foreign or of another machine is as good as absent and is written anew. Files are written beside their name and
 * renamed, so that a reader finds an old one, a new one or none.
 *
 * Only files of this user, of root, or of the directory's owner are believed: a sum shows damage, not malice. */
#include "config.h"

#include "domains_priv.h"

#include <errno.h>
#include <dirent.h>
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

#define MAGIC "SPDOMAIN"
#define FORMAT 2u /* raise it when keys, places or the header change */
#define BYTE_ORDER_MARK 0x01020304u
#define WAIT_NS (20 * 1000 * 1000)
#define MAX_WAITS 500 /* ten seconds */
#define SUFFIX ".table"
#define FILE_MODE 0644 /* hashes of public names are no secret; who may enter the directory is its owner's to say */

struct header {
    char magic[8];
    uint32_t byte_order;
    uint32_t format;
    struct sp_domain_key digest;
    uint64_t n_slots;
    uint64_t n_entries;
    uint64_t n_bad;
    uint64_t slots_sum;
    uint64_t header_sum; /* of all before */
    uint64_t spare[7];   /* zero; the slots begin on a border of 128 bytes */
};

_Static_assert(sizeof(struct header) == 128, "the header has no padding that could hold anything");

/* Any one word that differs gives another sum: each step can be undone. */
static uint64_t sum_of(const void *p, size_t bytes)
{
    const unsigned char *at = p;
    uint64_t sum = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i + sizeof(uint64_t) <= bytes; i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, at + i, sizeof(word));
        sum = (sum ^ word) * 0xff51afd7ed558ccdu;
        sum = sum << 29 | sum >> 35;
    }
    return sum;
}

static bool cannot(struct sp_domain_cache *cache, const char *what)
{
    snprintf(cache->why, sizeof(cache->why), "%s: %s", what, strerror(errno));
    return false;
}

/* --- life ------------------------------------------------------------------------------------------------------------ */

bool sp_domain_cache_open(struct sp_domain_cache *cache, const char *dir, const char *path, struct sp_domain_key digest)
{
    *cache = (struct sp_domain_cache){ .dir_fd = -1, .lock_fd = -1, .digest = digest };
    struct sp_domain_key list = sp_domain_hash(path, strlen(path));
    snprintf(cache->stem, sizeof(cache->stem), "domains-%016llx", (unsigned long long) list.a);
    snprintf(cache->file, sizeof(cache->file), "%s-%016llx%016llx" SUFFIX, cache->stem, (unsigned long long) digest.a,
        (unsigned long long) digest.b);
    cache->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return cache->dir_fd >= 0 || cannot(cache, "cannot be opened");
}

void sp_domain_cache_close(struct sp_domain_cache *cache)
{
    if (cache->lock_fd >= 0)
        close(cache->lock_fd); /* and with it the lock */
    if (cache->dir_fd >= 0)
        close(cache->dir_fd);
    cache->lock_fd = -1;
    cache->dir_fd = -1;
}

bool sp_domain_cache_lock(struct sp_domain_cache *cache)
{
    char name[sizeof(cache->stem) + 8];
    snprintf(name, sizeof(name), "%s.lock", cache->stem);
    cache->lock_fd = openat(cache->dir_fd, name, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, FILE_MODE);
    if (cache->lock_fd < 0)
        return cannot(cache, "a file cannot be made in it");
    for (int i = 0; flock(cache->lock_fd, LOCK_EX | LOCK_NB) != 0; i++) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || i == MAX_WAITS)
            return cannot(cache, "the lock of another process");
        nanosleep(&(struct timespec){ 0, WAIT_NS }, NULL);
    }
    return true;
}

/* --- reading --------------------------------------------------------------------------------------------------------- */

static bool is_sound(const struct header *header, size_t bytes, struct sp_domain_key digest)
{
    static const struct header blank;
    if (memcmp(header->magic, MAGIC, sizeof(header->magic)) != 0 || header->byte_order != BYTE_ORDER_MARK || header->format != FORMAT)
        return false;
    if (header->header_sum != sum_of(header, offsetof(struct header, header_sum)))
        return false;
    if (memcmp(header->spare, blank.spare, sizeof(blank.spare)) != 0)
        return false;
    if (header->digest.a != digest.a || header->digest.b != digest.b)
        return false;
    size_t slots_bytes = bytes - sizeof(*header);
    return header->n_slots == slots_bytes / sizeof(struct sp_domain_key) && slots_bytes % sizeof(struct sp_domain_key) == 0 &&
        header->n_entries < header->n_slots && header->slots_sum == sum_of(header + 1, slots_bytes);
}

static bool is_trusted(int dir_fd, const struct stat *st)
{
    struct stat dir;
    bool is_owner = st->st_uid == geteuid() || st->st_uid == 0 || (fstat(dir_fd, &dir) == 0 && dir.st_uid == st->st_uid);
    return S_ISREG(st->st_mode) && is_owner && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

bool sp_domain_cache_map(const struct sp_domain_cache *cache, struct sp_domain_table *table)
{
    int fd = openat(cache->dir_fd, cache->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    struct stat st;
    void *map = MAP_FAILED;
    size_t bytes = 0;
    if (fstat(fd, &st) == 0 && is_trusted(cache->dir_fd, &st) && st.st_size > (off_t) sizeof(struct header)) {
        bytes = (size_t) st.st_size;
        map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    }
    close(fd);
    if (map == MAP_FAILED)
        return false;
    const struct header *header = map;
    if (!is_sound(header, bytes, cache->digest)) {
        munmap(map, bytes);
        return false;
    }
    *table = (struct sp_domain_table){ .slots = (const struct sp_domain_key *) (header + 1),
        .map = map,
        .map_bytes = bytes,
        .n_slots = header->n_slots,
        .n_entries = header->n_entries,
        .n_bad = header->n_bad,
        .digest = header->digest };
    return true;
}

/* --- writing --------------------------------------------------------------------------------------------------------- */

static bool write_all(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        ssize_t done = write(fd, at, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        at += done;
        n -= (size_t) done;
    }
    return true;
}

static bool write_table(int fd, const struct sp_domain_table *table)
{
    size_t bytes = table->n_slots * sizeof(*table->slots);
    struct header header = { .byte_order = BYTE_ORDER_MARK,
        .format = FORMAT,
        .digest = table->digest,
        .n_slots = table->n_slots,
        .n_entries = table->n_entries,
        .n_bad = table->n_bad };
    memcpy(header.magic, MAGIC, sizeof(header.magic));
    header.slots_sum = sum_of(table->slots, bytes);
    header.header_sum = sum_of(&header, offsetof(struct header, header_sum));
    return write_all(fd, &header, sizeof(header)) && write_all(fd, table->slots, bytes);
}

/* Older contents of the same list. A process that still has one mapped keeps it until it lets go. */
static void remove_others(const struct sp_domain_cache *cache)
{
    int fd = openat(cache->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    size_t stem_n = strlen(cache->stem);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        const char *name = entry->d_name;
        const char *dot = strrchr(name, '.');
        bool is_ours = strncmp(name, cache->stem, stem_n) == 0 && name[stem_n] == '-' && dot && strcmp(dot, SUFFIX) == 0;
        if (is_ours && strcmp(name, cache->file) != 0)
            (void) unlinkat(cache->dir_fd, name, 0);
    }
    closedir(dir);
}

bool sp_domain_cache_store(struct sp_domain_cache *cache, const struct sp_domain_table *table)
{
    char name[sizeof(cache->stem) + 8];
    snprintf(name, sizeof(name), "%s.new", cache->stem);
    (void) unlinkat(cache->dir_fd, name, 0); /* of a process that died; nobody else writes while we hold the lock */
    int fd = openat(cache->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0)
        return cannot(cache, "a file cannot be made in it");
    bool is_written = write_table(fd, table);
    if (!is_written)
        cannot(cache, "a file cannot be written in it");
    if (close(fd) != 0 && is_written)
        is_written = cannot(cache, "a file cannot be written in it");
    if (is_written && renameat(cache->dir_fd, name, cache->dir_fd, cache->file) != 0)
        is_written = cannot(cache, "a file cannot be renamed in it");
    if (!is_written) {
        (void) unlinkat(cache->dir_fd, name, 0);
        return false;
    }
    remove_others(cache);
    return true;
}
