/* Only for cache*.c. */
#ifndef SALLYPORT_CACHE_PRIV_H
#define SALLYPORT_CACHE_PRIV_H

#include "sallyport/cache.h"

struct sp_flights;

/* The table of claims, in the map at path. */
enum sp_status sp_flights_open(const char *path, struct sp_error *err, struct sp_flights **flights_out) SP_MUST_CHECK;
void sp_flights_close(struct sp_flights **flights); /* accepts NULL inside; sets NULL */

struct sp_cache {
    int fd;
    uint64_t n_buckets;
    int64_t max_age_us;
    uint64_t salt[2]; /* as it was when the file was opened */
    struct sp_flights *flights;
};

#endif
