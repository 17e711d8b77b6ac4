/* The table of what is clean. A key has its bucket of a few records, read with one call; the oldest of them goes when another is
 * wanted. Nothing orders readers and writers: a record that was read while it was written fails its check and is no record.
 *
 * Only 128 bits of a key stand in its record, the check is over all 256 and the time, under 128 bits that nobody outside knows: who
 * wants to pass something for clean must find a second object with the same SHA-256. */
#include "config.h"

#include "cache_priv.h"

#include "sallyport/clock.h"
#include "sallyport/mapfile.h"
#include "sallyport/siphash.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define MAGIC 0x53505643u /* "SPVC" */
#define LAYOUT 1u         /* raise it with every change of struct head or struct record, and of what a key is made of */
#define TABLE_NAME "verdicts.cache"
#define FLIGHTS_NAME "scans.stat"
#define BUCKET_RECORDS 8
#define US_PER_MS 1000

struct record {
    uint64_t tag[2];
    int64_t stored_us; /* since 1970: it must outlive the machine's run */
    uint64_t check;
};

struct bucket {
    struct record records[BUCKET_RECORDS];
};

/* What the file begins with; it takes the room of a bucket. */
struct head {
    struct sp_mapfile_header header;
    uint64_t salt[2];
    uint64_t check; /* over all before it */
};

_Static_assert(sizeof(struct head) <= sizeof(struct bucket) && sizeof(struct head) <= SP_MAPFILE_START_MAX, "the head has its room");

/* --- keys ------------------------------------------------------------------------------------------------------------- */

enum sp_status sp_cache_key_of(const struct sp_cache_object *object, struct sp_digest *digest, struct sp_cache_key *key_out)
{
    *key_out = (struct sp_cache_key){ .engine_id = object->engine_id };
    if (object->engine_id == 0)
        return SP_ERR_NOT_FOUND;
    const uint64_t facts[] = { LAYOUT, object->engine_id, object->policy, object->n_extents };
    sp_digest_restart(digest);
    sp_digest_add(digest, object->body, sizeof(object->body));
    sp_digest_add(digest, facts, sizeof(facts));
    sp_digest_add(digest, object->extents, object->n_extents * sizeof(*object->extents));
    unsigned char bytes[SP_DIGEST_BYTES];
    enum sp_status status = sp_digest_finish(digest, bytes);
    memcpy(key_out->word, bytes, sizeof(key_out->word));
    return status;
}

/* --- records ---------------------------------------------------------------------------------------------------------- */

static off_t place_of(const struct sp_cache *cache, const struct sp_cache_key *key)
{
    return (off_t) ((1 + key->word[0] % cache->n_buckets) * sizeof(struct bucket));
}

static uint64_t check_of(const struct sp_cache *cache, const struct sp_cache_key *key, int64_t stored_us)
{
    const uint64_t words[] = { key->word[0], key->word[1], key->word[2], key->word[3], (uint64_t) stored_us };
    return sp_siphash(cache->salt, words, sizeof(words) / sizeof(words[0]));
}

static bool has_tag(const struct record *record, const struct sp_cache_key *key)
{
    return record->tag[0] == key->word[1] && record->tag[1] == key->word[2];
}

/* How long it still counts, in microseconds; 0 or less: not. A time to come is none: the clock was set back, or it is damaged. */
static int64_t left_of(const struct sp_cache *cache, const struct record *record, int64_t now_us)
{
    if (record->stored_us <= 0 || record->stored_us > now_us)
        return 0;
    return cache->max_age_us - (now_us - record->stored_us);
}

/* Where a file was cut there are no records. */
static void read_bucket(const struct sp_cache *cache, const struct sp_cache_key *key, struct bucket *bucket)
{
    const ssize_t got = pread(cache->fd, bucket, sizeof(*bucket), place_of(cache, key));
    const size_t n = got > 0 ? (size_t) got : 0;
    memset((char *) bucket + n, 0, sizeof(*bucket) - n);
}

bool sp_cache_find(const struct sp_cache *cache, const struct sp_cache_key *key)
{
    struct bucket bucket;
    read_bucket(cache, key, &bucket);
    for (size_t i = 0; i < BUCKET_RECORDS; i++) {
        const struct record *record = &bucket.records[i];
        if (has_tag(record, key) && record->check == check_of(cache, key, record->stored_us))
            return left_of(cache, record, sp_clock_wall_us()) > 0;
    }
    return false;
}

/* Its own record before, else what counts least. */
static size_t choose(const struct sp_cache *cache, const struct bucket *bucket, const struct sp_cache_key *key, int64_t now_us)
{
    size_t best = 0;
    for (size_t i = 0; i < BUCKET_RECORDS; i++) {
        if (has_tag(&bucket->records[i], key))
            return i;
        if (left_of(cache, &bucket->records[i], now_us) < left_of(cache, &bucket->records[best], now_us))
            best = i;
    }
    return best;
}

bool sp_cache_store(const struct sp_cache *cache, const struct sp_cache_key *key)
{
    struct bucket bucket;
    read_bucket(cache, key, &bucket);
    const int64_t now_us = sp_clock_wall_us();
    const struct record fresh = { { key->word[1], key->word[2] }, now_us, check_of(cache, key, now_us) };
    const off_t at = place_of(cache, key) + (off_t) (choose(cache, &bucket, key, now_us) * sizeof(fresh));
    return pwrite(cache->fd, &fresh, sizeof(fresh), at) == (ssize_t) sizeof(fresh);
}

/* --- opening ---------------------------------------------------------------------------------------------------------- */

static uint64_t head_check(const struct head *head)
{
    const uint64_t words[] = { (uint64_t) head->header.magic << 32 | head->header.bytes, head->header.layout };
    return sp_siphash(head->salt, words, sizeof(words) / sizeof(words[0]));
}

static bool is_head(const void *start, const struct sp_mapfile_header *header)
{
    struct head head;
    memcpy(&head, start, sizeof(head));
    return memcmp(&head.header, header, sizeof(*header)) == 0 && head.check == head_check(&head);
}

static enum sp_status open_table(struct sp_cache *cache, const char *path, uint64_t bytes, struct sp_error *err)
{
    cache->n_buckets = bytes / sizeof(struct bucket) - 1;
    struct head head = { .header = { .magic = MAGIC, .bytes = (uint32_t) bytes, .layout = LAYOUT } };
    if (getrandom(head.salt, sizeof(head.salt), 0) != (ssize_t) sizeof(head.salt))
        return sp_error_set(err, SP_ERR_IO, "no random numbers: %s", strerror(errno));
    head.check = head_check(&head);
    const struct sp_mapfile_start start = { .header = &head.header, .n = sizeof(head), .is_right = is_head };
    enum sp_status status = sp_mapfile_open_fd(path, &start, err, &cache->fd);
    if (status != SP_OK)
        return status;
    struct head found; /* of who made it; damaged since it was looked at, it is worth no more than a salt of our own */
    const bool is_whole = pread(cache->fd, &found, sizeof(found), 0) == (ssize_t) sizeof(found) && is_head(&found, &head.header);
    memcpy(cache->salt, is_whole ? found.salt : head.salt, sizeof(cache->salt));
    return SP_OK;
}

static enum sp_status open_files(struct sp_cache *cache, const char *dir, uint64_t bytes, struct sp_error *err)
{
    char table[PATH_MAX], flights[PATH_MAX];
    if (snprintf(table, sizeof(table), "%s/%s", dir, TABLE_NAME) >= (int) sizeof(table)
        || snprintf(flights, sizeof(flights), "%s/%s", dir, FLIGHTS_NAME) >= (int) sizeof(flights))
        return sp_error_set(err, SP_ERR_IO, "%s: path is too long", dir);
    enum sp_status status = open_table(cache, table, bytes, err);
    return status == SP_OK ? sp_flights_open(flights, err, &cache->flights) : status;
}

enum sp_status sp_cache_open(const char *dir, uint64_t bytes, int64_t max_age_ms, struct sp_error *err, struct sp_cache **cache_out)
{
    *cache_out = NULL;
    if (bytes < SP_CACHE_MIN_BYTES || bytes > SP_CACHE_MAX_BYTES)
        return sp_error_set(err, SP_ERR_CONF, "a verdict cache cannot have %llu bytes", (unsigned long long) bytes);
    struct sp_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return sp_error_set(err, SP_ERR_NOMEM, "out of memory");
    cache->fd = -1;
    cache->max_age_us = max_age_ms * US_PER_MS;
    enum sp_status status = open_files(cache, dir, bytes, err);
    if (status == SP_OK)
        *cache_out = cache;
    else
        sp_cache_close(&cache);
    return status;
}

void sp_cache_close(struct sp_cache **cache)
{
    if (!*cache)
        return;
    if ((*cache)->fd >= 0)
        close((*cache)->fd);
    sp_flights_close(&(*cache)->flights);
    free(*cache);
    *cache = NULL;
}
