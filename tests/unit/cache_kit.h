/* For the tests of the verdict cache: a private folder with the smallest cache in it, and keys by number. */
#ifndef SALLYPORT_TESTS_CACHE_KIT_H
#define SALLYPORT_TESTS_CACHE_KIT_H

#include "unit.h"

#include "sallyport/cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define HOUR_MS INT64_C(3600000)
#define ENGINE 7u

static char dir[64], table[96], flights[96];

static inline void cache_setup(void)
{
    snprintf(dir, sizeof(dir), "/tmp/sp_test_cache.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(table, sizeof(table), "%s/verdicts.cache", dir);
    snprintf(flights, sizeof(flights), "%s/scans.stat", dir);
}

static inline void cache_teardown(void)
{
    unlink(table);
    unlink(flights);
    ck_assert_msg(rmdir(dir) == 0, "something was left in %s", dir);
}

static inline struct sp_cache *open_cache(int64_t max_age_ms)
{
    struct sp_error err = { 0 };
    struct sp_cache *cache;
    ck_assert_msg(sp_cache_open(dir, SP_CACHE_MIN_BYTES, max_age_ms, &err, &cache) == SP_OK, "%s", err.text);
    return cache;
}

/* Spread like a digest, and another for each number. */
static inline uint64_t spread(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline struct sp_cache_key key_number(uint64_t n)
{
    return (struct sp_cache_key){ { spread(n), spread(n ^ 1u << 30), spread(n ^ 2u << 30), spread(n ^ 3u << 30) }, ENGINE };
}

static inline bool finds(const struct sp_cache *cache, uint64_t n)
{
    const struct sp_cache_key key = key_number(n);
    return sp_cache_find(cache, &key);
}

static inline bool stores(const struct sp_cache *cache, uint64_t n)
{
    const struct sp_cache_key key = key_number(n);
    return sp_cache_store(cache, &key);
}

#endif
