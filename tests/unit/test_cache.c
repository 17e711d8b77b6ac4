/* The table of what is clean: it may forget, but it never says clean of what was not stored, whatever becomes of its file. */
#include "config.h"

#include "cache_kit.h"

#include "sallyport/clock.h"

#include <sys/stat.h>

#define BUCKET_BYTES 256
#define RECORD_BYTES 32
#define HEAD_BYTES 40
#define N_BUCKETS (SP_CACHE_MIN_BYTES / BUCKET_BYTES - 1)
#define N_RECORDS (N_BUCKETS * BUCKET_BYTES / RECORD_BYTES)
#define START_US INT64_C(1700000000000000)
#define MS 1000

static int64_t wall_us; /* what the clock says; 0: the true time */

int64_t __real_sp_clock_wall_us(void);
int64_t __wrap_sp_clock_wall_us(void);
int64_t __wrap_sp_clock_wall_us(void)
{
    return wall_us != 0 ? wall_us : __real_sp_clock_wall_us();
}

static void setup(void)
{
    wall_us = 0;
    cache_setup();
}

/* --- keys ----------------------------------------------------------------------------------------------------------------- */

static struct sp_cache_key key_of(const struct sp_cache_object *object, struct sp_digest *digest)
{
    struct sp_cache_key key;
    ck_assert_int_eq(sp_cache_key_of(object, digest, &key), SP_OK);
    ck_assert_uint_eq(key.engine_id, object->engine_id);
    return key;
}

START_TEST(key_depends_on_everything)
{
    static const struct sp_scan_extent extents[] = { { 1, 2 }, { 3, 4 } }, other[] = { { 1, 2 }, { 3, 5 } };
    const struct sp_cache_object base = { .body = { 1, 2, 3 }, .engine_id = 5, .policy = 6, .extents = extents, .n_extents = 2 };
    struct sp_cache_object objects[9];
    struct sp_cache_key keys[9];
    struct sp_digest digest;
    ck_assert_int_eq(sp_digest_init(&digest, NULL, NULL), SP_OK);
    for (size_t i = 0; i < 9; i++)
        objects[i] = base;
    objects[1].body[SP_DIGEST_BYTES - 1] = 1;
    objects[2].body[0] = 0;
    objects[3].engine_id = 6;
    objects[4].policy = 5;
    objects[5].n_extents = 1;
    objects[6].extents = other;
    objects[7].n_extents = 0;
    objects[8].engine_id = 5 | UINT64_C(1) << 63;
    for (size_t i = 0; i < 9; i++) {
        keys[i] = key_of(&objects[i], &digest);
        for (size_t k = 0; k < i; k++)
            ck_assert_msg(memcmp(keys[i].word, keys[k].word, sizeof(keys[i].word)) != 0, "%zu and %zu are the same", i, k);
    }
    sp_digest_add(&digest, "left over", 9);
    struct sp_cache_key again = key_of(&base, &digest);
    ck_assert_mem_eq(again.word, keys[0].word, sizeof(again.word));
    objects[0].engine_id = 0;
    ck_assert_int_eq(sp_cache_key_of(&objects[0], &digest, &again), SP_ERR_NOT_FOUND);
    sp_digest_fini(&digest);
}
END_TEST

/* --- the table ------------------------------------------------------------------------------------------------------------ */

START_TEST(stored_is_found)
{
    struct sp_cache *cache = open_cache(HOUR_MS), *other = open_cache(HOUR_MS);
    struct stat st;
    ck_assert_int_eq(stat(table, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(st.st_size, SP_CACHE_MIN_BYTES);
    ck_assert(!finds(cache, 1));
    ck_assert(stores(cache, 1));
    ck_assert(finds(cache, 1) && finds(other, 1));
    ck_assert(!finds(cache, 2) && !finds(other, 2));
    ck_assert(stores(other, 2));
    ck_assert(finds(cache, 2));
    for (size_t i = 0; i < 4; i++) {
        struct sp_cache_key near = key_number(1);
        near.word[i] ^= 1;
        ck_assert_msg(!sp_cache_find(cache, &near), "word %zu does not count", i);
    }
    sp_cache_close(&cache);
    sp_cache_close(&other);
    ck_assert_ptr_null(cache);
    sp_cache_close(&cache);
    cache = open_cache(HOUR_MS); /* after a restart */
    ck_assert(finds(cache, 1) && finds(cache, 2) && !finds(cache, 3));
    sp_cache_close(&cache);
}
END_TEST

START_TEST(old_ones_do_not_count)
{
    struct sp_cache *cache = open_cache(1000), *longer = open_cache(2000);
    wall_us = START_US;
    ck_assert(stores(cache, 1));
    wall_us = START_US + 1000 * MS - 1;
    ck_assert(finds(cache, 1));
    wall_us = START_US + 1000 * MS;
    ck_assert(!finds(cache, 1));
    ck_assert(finds(longer, 1));
    wall_us = START_US - 1; /* the clock was set back */
    ck_assert(!finds(cache, 1));
    ck_assert(stores(cache, 1));
    ck_assert(finds(cache, 1));
    sp_cache_close(&cache);
    sp_cache_close(&longer);
}
END_TEST

/* A key of its own in the bucket of another one. */
static struct sp_cache_key beside(uint64_t bucket, uint64_t n)
{
    struct sp_cache_key key = key_number(n);
    key.word[0] = bucket;
    return key;
}

START_TEST(oldest_goes_first)
{
    enum { N = BUCKET_BYTES / RECORD_BYTES };
    static const uint64_t order[N] = { 3, 1, 7, 0, 5, 2, 6, 4 };
    struct sp_cache *cache = open_cache(HOUR_MS);
    struct sp_cache_key key;
    for (uint64_t i = 0; i < N; i++) {
        wall_us = START_US + (int64_t) i;
        key = beside(9, order[i]);
        ck_assert(sp_cache_store(cache, &key));
    }
    wall_us++;
    key = beside(9, order[0]); /* stored again: now it is the youngest */
    ck_assert(sp_cache_store(cache, &key));
    for (uint64_t i = 1; i < N; i++) {
        for (uint64_t k = i; k < N; k++) {
            key = beside(9, order[k]);
            ck_assert_msg(sp_cache_find(cache, &key), "number %d went too early", (int) k);
        }
        wall_us++;
        key = beside(9, 100 + i);
        ck_assert(sp_cache_store(cache, &key));
        key = beside(9, order[i]);
        ck_assert(!sp_cache_find(cache, &key));
    }
    key = beside(9, order[0]);
    ck_assert(sp_cache_find(cache, &key));
    sp_cache_close(&cache);
}
END_TEST

/* A million operations against a model that forgets nothing: whatever the cache knows the model knows too. */
START_TEST(never_more_than_was_stored)
{
    enum { OBJECTS = 6000, OPERATIONS = 1000000 };
    static int64_t stored[OBJECTS];
    const int64_t age_ms = 1000;
    struct sp_cache *cache = open_cache(age_ms);
    uint64_t x = 1;
    unsigned hits = 0, misses = 0;
    wall_us = START_US;
    for (int i = 0; i < OPERATIONS; i++) {
        x = spread(x);
        const uint64_t n = (x >> 8) % OBJECTS;
        wall_us += (int64_t) (x >> 32) % 100;
        if (x % 4 == 0) {
            ck_assert(stores(cache, n));
            stored[n] = wall_us;
            if (!finds(cache, n))
                ck_abort_msg("operation %d: %d is not found when it was stored", i, (int) n);
        } else if (finds(cache, n)) {
            hits++;
            if (stored[n] == 0 || wall_us - stored[n] >= age_ms * MS)
                ck_abort_msg("operation %d: %d is not clean", i, (int) n);
        } else {
            misses++;
        }
    }
    ck_assert_uint_gt(hits, OPERATIONS / 10);
    ck_assert_uint_gt(misses, OPERATIONS / 10);
    sp_cache_close(&cache);
}
END_TEST

/* --- what becomes of its file --------------------------------------------------------------------------------------------- */

static unsigned char *read_table(void)
{
    unsigned char *bytes = malloc(SP_CACHE_MIN_BYTES);
    FILE *f = fopen(table, "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fread(bytes, 1, SP_CACHE_MIN_BYTES, f), SP_CACHE_MIN_BYTES);
    fclose(f);
    return bytes;
}

#define FILLED 3000u

static struct sp_cache *open_filled(void)
{
    struct sp_cache *cache = open_cache(HOUR_MS);
    for (uint64_t i = 0; i < FILLED; i++)
        ck_assert(stores(cache, i));
    return cache;
}

/* Whose the record is, or FILLED. */
static uint64_t owner_of(const unsigned char *record)
{
    uint64_t tag[2];
    memcpy(tag, record, sizeof(tag));
    for (uint64_t n = 0; n < FILLED; n++) {
        const struct sp_cache_key key = key_number(n);
        if (key.word[1] == tag[0] && key.word[2] == tag[1])
            return n;
    }
    return FILLED;
}

static void put_byte(int fd, size_t at, unsigned char byte)
{
    if (pwrite(fd, &byte, 1, (off_t) at) != 1)
        ck_abort_msg("pwrite");
}

/* Each bit of a record turned over: its object is not known any more, nor the one that the record now names. */
static void flip_bits_of(const struct sp_cache *cache, int fd, const unsigned char *bytes, size_t at)
{
    const uint64_t owner = owner_of(bytes + at);
    struct sp_cache_key key = key_number(owner);
    if (owner == FILLED)
        key.word[0] = at / BUCKET_BYTES - 1; /* so that its bucket is looked into */
    for (size_t bit = 0; bit < 8 * RECORD_BYTES; bit++) {
        const size_t byte = at + bit / 8;
        struct sp_cache_key named = key;
        unsigned char record[RECORD_BYTES];
        put_byte(fd, byte, bytes[byte] ^ (unsigned char) (1u << bit % 8));
        if (pread(fd, record, sizeof(record), (off_t) at) != (ssize_t) sizeof(record))
            ck_abort_msg("pread");
        memcpy(&named.word[1], record, sizeof(uint64_t[2]));
        if (sp_cache_find(cache, &key) || sp_cache_find(cache, &named))
            ck_abort_msg("bit %zu of the record at %zu does not count", bit, at);
        put_byte(fd, byte, bytes[byte]);
    }
    if (sp_cache_find(cache, &key) != (owner != FILLED))
        ck_abort_msg("the record at %zu is not what it was", at);
}

START_TEST(every_bit_of_a_record_counts)
{
    struct sp_cache *cache = open_filled();
    unsigned char *bytes = read_table();
    unsigned n_owned = 0;
    int fd = open(table, O_RDWR);
    for (size_t at = BUCKET_BYTES; at < SP_CACHE_MIN_BYTES; at += RECORD_BYTES) {
        flip_bits_of(cache, fd, bytes, at);
        n_owned += owner_of(bytes + at) != FILLED;
    }
    ck_assert_uint_gt(n_owned, N_RECORDS / 2);
    close(fd);
    free(bytes);
    sp_cache_close(&cache);
}
END_TEST

/* The head: whoever opens such a file makes a new one; whoever had it open goes on. */
START_TEST(every_bit_of_the_head_counts)
{
    for (size_t bit = 0; bit < 8 * HEAD_BYTES; bit++) {
        struct sp_cache *cache = open_cache(HOUR_MS);
        ck_assert(stores(cache, 1));
        unsigned char *bytes = read_table();
        int fd = open(table, O_RDWR);
        put_byte(fd, bit / 8, bytes[bit / 8] ^ (unsigned char) (1u << bit % 8));
        close(fd);
        free(bytes);
        struct sp_cache *second = open_cache(HOUR_MS);
        ck_assert_msg(finds(cache, 1) && !finds(second, 1), "bit %zu", bit);
        ck_assert(stores(second, 2) && finds(second, 2) && !finds(cache, 2));
        struct sp_cache *third = open_cache(HOUR_MS);
        ck_assert(finds(third, 2));
        sp_cache_close(&cache);
        sp_cache_close(&second);
        sp_cache_close(&third);
        unlink(table);
    }
}
END_TEST

static void fill_file(const char *path, size_t from, size_t n, uint64_t seed)
{
    unsigned char *bytes = calloc(1, n);
    for (size_t i = 0; seed != 0 && i < n; i++)
        bytes[i] = (unsigned char) (seed = spread(seed));
    int fd = open(path, O_RDWR);
    ck_assert_int_eq(pwrite(fd, bytes, n, (off_t) from), (ssize_t) n);
    close(fd);
    free(bytes);
}

/* None of the strangers is known. How many of the stored still are. */
static unsigned count_known(const struct sp_cache *cache)
{
    unsigned n = 0;
    for (uint64_t i = 0; i < 2 * (uint64_t) FILLED; i++) {
        const bool is_known = finds(cache, i);
        ck_assert_msg(!is_known || i < FILLED, "%d was never stored", (int) i);
        n += is_known;
    }
    return n;
}

enum damage { CUT_TO_NOTHING, CUT_IN_THE_HEAD, CUT_IN_HALF, ZEROED, RANDOM, RANDOM_RECORDS, GROWN, REMOVED, REPLACED, READABLE, DAMAGES };

static void do_damage(enum damage damage)
{
    static const off_t sizes[] = { 0, 20, SP_CACHE_MIN_BYTES / 2 + 13 };
    switch (damage) {
    case CUT_TO_NOTHING:
    case CUT_IN_THE_HEAD:
    case CUT_IN_HALF:
        ck_assert_int_eq(truncate(table, sizes[damage]), 0);
        break;
    case ZEROED:
        fill_file(table, 0, SP_CACHE_MIN_BYTES, 0);
        break;
    case RANDOM:
        fill_file(table, 0, SP_CACHE_MIN_BYTES, 99);
        break;
    case RANDOM_RECORDS:
        fill_file(table, BUCKET_BYTES, SP_CACHE_MIN_BYTES - BUCKET_BYTES, 98);
        break;
    case GROWN:
        fill_file(table, SP_CACHE_MIN_BYTES, SP_CACHE_MIN_BYTES, 97);
        break;
    case REMOVED:
        ck_assert_int_eq(unlink(table), 0);
        break;
    case REPLACED:
        ck_assert_int_eq(unlink(table), 0);
        ck_assert_int_eq(mkfifo(table, 0600), 0);
        break;
    case READABLE:
        ck_assert_int_eq(chmod(table, 0644), 0);
        break;
    case DAMAGES:
        break;
    }
}

/* While it is open: no harm, and it serves on. Opened again: a whole one. */
START_TEST(damaged_file)
{
    const enum damage damage = (enum damage) _i;
    const bool keeps_all = damage == GROWN || damage == REMOVED || damage == REPLACED || damage == READABLE;
    struct sp_cache *cache = open_filled(), *again = NULL;
    const unsigned before = count_known(cache);
    ck_assert_uint_gt(before, FILLED / 3);
    do_damage(damage);
    const unsigned after = count_known(cache);
    ck_assert_msg(keeps_all ? after == before : after < before / 2 + before / 4, "damage %d: %u of %u", _i, after, before);
    for (uint64_t i = 0; i < 50; i++)
        ck_assert(stores(cache, i) && finds(cache, i));
    struct sp_error err = { 0 };
    enum sp_status status = sp_cache_open(dir, SP_CACHE_MIN_BYTES, HOUR_MS, &err, &again);
    if (damage == REPLACED) {
        ck_assert_int_eq(status, SP_ERR_IO);
        ck_assert_ptr_nonnull(strstr(err.text, table));
    } else {
        ck_assert_msg(status == SP_OK, "%s", err.text);
        ck_assert_uint_eq(count_known(again), damage == GROWN ? before : damage == RANDOM_RECORDS ? 50 : 0);
        ck_assert(stores(again, 1) && finds(again, 1));
    }
    sp_cache_close(&again);
    sp_cache_close(&cache);
}
END_TEST

/* What was read before the cut is not read again. */
START_TEST(cut_between_two_looks)
{
    struct sp_cache *cache = open_cache(HOUR_MS);
    const struct sp_cache_key key = key_number(1);
    ck_assert(sp_cache_store(cache, &key));
    int fd = open(table, O_RDWR);
    int failed = ftruncate(fd, SP_CACHE_MIN_BYTES); /* nothing, but the loader finds the function: it would wipe the stack */
    const bool before = sp_cache_find(cache, &key);
    failed |= ftruncate(fd, 0);
    const bool after = sp_cache_find(cache, &key);
    ck_assert(before && !after && failed == 0);
    close(fd);
    sp_cache_close(&cache);
}
END_TEST

/* A record out of another file says nothing here, nor one in another bucket. */
START_TEST(records_cannot_be_moved)
{
    const struct sp_cache_key key = beside(9, 1), moved = beside(10, 1);
    const off_t at = (1 + 9) * BUCKET_BYTES;
    unsigned char bucket[BUCKET_BYTES];
    struct sp_cache *cache = open_cache(HOUR_MS);
    ck_assert(sp_cache_store(cache, &key));
    int fd = open(table, O_RDWR);
    ck_assert_int_eq(pread(fd, bucket, sizeof(bucket), at), BUCKET_BYTES);
    ck_assert_int_eq(pwrite(fd, bucket, sizeof(bucket), at + BUCKET_BYTES), BUCKET_BYTES);
    close(fd);
    ck_assert(sp_cache_find(cache, &key) && !sp_cache_find(cache, &moved));
    sp_cache_close(&cache);
    ck_assert_int_eq(unlink(table), 0);
    cache = open_cache(HOUR_MS);
    fd = open(table, O_RDWR);
    ck_assert_int_eq(pwrite(fd, bucket, sizeof(bucket), at), BUCKET_BYTES);
    close(fd);
    ck_assert(!sp_cache_find(cache, &key));
    sp_cache_close(&cache);
}
END_TEST

START_TEST(sizes)
{
    struct sp_error err = { 0 };
    struct sp_cache *small = open_cache(HOUR_MS), *large = NULL;
    ck_assert(stores(small, 1));
    ck_assert_int_eq(sp_cache_open(dir, SP_CACHE_MIN_BYTES * 2 + 100, HOUR_MS, &err, &large), SP_OK);
    ck_assert(!finds(large, 1) && finds(small, 1));
    for (uint64_t i = 0; i < FILLED; i++)
        ck_assert(stores(large, i) && finds(large, i));
    struct stat st;
    ck_assert_int_eq(stat(table, &st), 0);
    ck_assert_int_eq(st.st_size, SP_CACHE_MIN_BYTES * 2 + 100);
    sp_cache_close(&small);
    sp_cache_close(&large);
    ck_assert_int_eq(sp_cache_open(dir, SP_CACHE_MIN_BYTES - 1, HOUR_MS, &err, &large), SP_ERR_CONF);
    ck_assert_ptr_null(large);
    ck_assert_int_eq(sp_cache_open(dir, SP_CACHE_MAX_BYTES + 1, HOUR_MS, NULL, &large), SP_ERR_CONF);
    memset(&err, 0, sizeof(err));
    ck_assert_int_eq(sp_cache_open("/nonexistent", SP_CACHE_MIN_BYTES, HOUR_MS, &err, &large), SP_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent"));
}
END_TEST

/* A file of somebody else is not read. */
START_TEST(owner)
{
    struct sp_cache *cache = open_cache(HOUR_MS);
    ck_assert(stores(cache, 1));
    sp_cache_close(&cache);
    if (chown(table, 65534, 65534) < 0)
        return; /* only root can try */
    cache = open_cache(HOUR_MS);
    ck_assert(!finds(cache, 1));
    struct stat st;
    ck_assert_int_eq(stat(table, &st), 0);
    ck_assert_uint_eq(st.st_uid, geteuid());
    sp_cache_close(&cache);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("cache");
    tcase_add_checked_fixture(c, setup, cache_teardown);
    tcase_add_test(c, key_depends_on_everything);
    tcase_add_test(c, stored_is_found);
    tcase_add_test(c, old_ones_do_not_count);
    tcase_add_test(c, oldest_goes_first);
    tcase_add_test(c, never_more_than_was_stored);
    tcase_add_test(c, every_bit_of_a_record_counts);
    tcase_add_test(c, every_bit_of_the_head_counts);
    tcase_add_loop_test(c, damaged_file, 0, DAMAGES);
    tcase_add_test(c, cut_between_two_looks);
    tcase_add_test(c, records_cannot_be_moved);
    tcase_add_test(c, sizes);
    tcase_add_test(c, owner);
    return unit_run("cache", c);
}
