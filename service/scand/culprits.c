/* The list of a generation. Entries are written and read without a lock: one that is replaced while a worker looks may seem to be
 * half the old and half the new one, which is nobody's digest. What a worker wrote last before it died is read after waitpid. */
#include "config.h"

#include "culprits.h"

#include "sallyport/assert.h"
#include "sallyport/board.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DIGEST_WORDS (SP_DIGEST_BYTES / sizeof(uint64_t))
#define CHUNK_BYTES 16384

struct entry {
    _Atomic uint64_t bytes; /* 0: none */
    _Atomic uint64_t digest[DIGEST_WORDS];
};

struct sp_culprits {
    _Atomic unsigned n; /* ever listed */
    struct entry listed[SP_CULPRITS_MAX];
    struct entry suspects[SP_BOARD_MAX_WORKERS];
};

struct sp_culprits *sp_culprits_new(void)
{
    void *p = mmap(NULL, sizeof(struct sp_culprits), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void sp_culprits_free(struct sp_culprits **culprits)
{
    if (*culprits)
        munmap(*culprits, sizeof(**culprits));
    *culprits = NULL;
}

static bool add_file(struct sp_digest *digest, int fd, uint64_t offset, uint64_t n)
{
    unsigned char chunk[CHUNK_BYTES];
    while (n > 0) {
        const ssize_t got = pread(fd, chunk, n < sizeof(chunk) ? (size_t) n : sizeof(chunk), (off_t) offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        sp_digest_add(digest, chunk, (size_t) got);
        offset += (uint64_t) got;
        n -= (uint64_t) got;
    }
    return true;
}

bool sp_culprit_describe(struct sp_digest *digest, const void *p, int fd, uint64_t offset, uint64_t n, struct sp_culprit *culprit_out)
{
    memset(culprit_out, 0, sizeof(*culprit_out));
    if (n == 0)
        return false;
    culprit_out->bytes = n;
    sp_digest_restart(digest); /* the last one may not have come to its end */
    if (p)
        sp_digest_add(digest, p, (size_t) n);
    else if (!add_file(digest, fd, offset, n))
        return false;
    return sp_digest_finish(digest, culprit_out->digest) == SP_OK;
}

static void store(struct entry *entry, uint64_t bytes, const uint64_t digest[DIGEST_WORDS])
{
    atomic_store(&entry->bytes, 0);
    for (size_t i = 0; i < DIGEST_WORDS; i++)
        atomic_store(&entry->digest[i], digest[i]);
    atomic_store(&entry->bytes, bytes);
}

static bool equals(const struct entry *entry, uint64_t bytes, const uint64_t digest[DIGEST_WORDS])
{
    if (atomic_load(&entry->bytes) != bytes)
        return false;
    for (size_t i = 0; i < DIGEST_WORDS; i++)
        if (atomic_load(&entry->digest[i]) != digest[i])
            return false;
    return true;
}

static bool lists(const struct sp_culprits *culprits, uint64_t bytes, const uint64_t digest[DIGEST_WORDS])
{
    for (size_t i = 0; i < SP_CULPRITS_MAX; i++)
        if (equals(&culprits->listed[i], bytes, digest))
            return true;
    return false;
}

bool sp_culprits_has_length(const struct sp_culprits *culprits, uint64_t bytes)
{
    if (bytes == 0 || atomic_load_explicit(&culprits->n, memory_order_relaxed) == 0)
        return false;
    for (size_t i = 0; i < SP_CULPRITS_MAX; i++)
        if (atomic_load_explicit(&culprits->listed[i].bytes, memory_order_relaxed) == bytes)
            return true;
    return false;
}

bool sp_culprits_has(const struct sp_culprits *culprits, const struct sp_culprit *culprit)
{
    uint64_t digest[DIGEST_WORDS];
    memcpy(digest, culprit->digest, sizeof(digest));
    return lists(culprits, culprit->bytes, digest);
}

void sp_culprits_suspect(struct sp_culprits *culprits, unsigned slot, const struct sp_culprit *culprit)
{
    uint64_t digest[DIGEST_WORDS];
    SP_ASSERT(slot < SP_BOARD_MAX_WORKERS);
    memcpy(digest, culprit->digest, sizeof(digest));
    store(&culprits->suspects[slot], culprit->bytes, digest);
}

void sp_culprits_acquit(struct sp_culprits *culprits, unsigned slot)
{
    SP_ASSERT(slot < SP_BOARD_MAX_WORKERS);
    atomic_store_explicit(&culprits->suspects[slot].bytes, 0, memory_order_relaxed);
}

bool sp_culprits_convict(struct sp_culprits *culprits, unsigned slot, uint64_t *bytes_out)
{
    uint64_t digest[DIGEST_WORDS];
    SP_ASSERT(slot < SP_BOARD_MAX_WORKERS);
    struct entry *suspect = &culprits->suspects[slot];
    const uint64_t bytes = atomic_load(&suspect->bytes);
    if (bytes == 0)
        return false;
    for (size_t i = 0; i < DIGEST_WORDS; i++)
        digest[i] = atomic_load(&suspect->digest[i]);
    if (!lists(culprits, bytes, digest)) {
        store(&culprits->listed[atomic_load(&culprits->n) % SP_CULPRITS_MAX], bytes, digest);
        atomic_fetch_add(&culprits->n, 1);
    }
    sp_culprits_acquit(culprits, slot);
    *bytes_out = bytes;
    return true;
}
