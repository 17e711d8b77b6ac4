/* For domains*.c only: the table of a list, in memory and as a file.
 *
 *   domains_build.c  the text of a list to a table
 *   domains_cache.c  a table to a file and back
 *   domains.c        keys, lookup, and which of the two is taken
 *
 * The table is open addressing: a key's place is its first half scaled to the number of slots, and the next free slot from there. An
 * empty slot is all zero; a key that would be is stored with b = 1. */
#ifndef SALLYPORT_DOMAINS_PRIV_H
#define SALLYPORT_DOMAINS_PRIV_H

#include "sallyport/domains.h"

struct sp_domain_table {
    const struct sp_domain_key *slots;
    struct sp_domain_key *owned; /* the same in private memory, or NULL */
    void *map;                   /* a mapped file, or NULL */
    size_t map_bytes;
    uint64_t n_slots; /* at least one of them is empty */
    uint64_t n_entries;
    uint64_t n_bad;
    struct sp_domain_key digest; /* of the text */
};

struct sp_domain_key sp_domain_hash(const void *p, size_t n);
uint64_t sp_domain_place(uint64_t half, uint64_t n_slots); /* half: the first of a key */
void sp_domain_table_fini(struct sp_domain_table *table);

/* domains_build.c. On failure the table is empty. */
enum sp_status sp_domain_table_build(
    struct sp_str text, const char *name, struct sp_error *err, struct sp_domain_table *table) SP_MUST_CHECK;

/* domains_cache.c. A cache is one file for each list (by its path) and content. */
#define SP_DOMAIN_WHY 160

struct sp_domain_cache {
    int dir_fd;    /* owned */
    int lock_fd;   /* owned; -1: not locked */
    char stem[40]; /* "domains-<path>": what all files of this list begin with */
    char file[80]; /* "domains-<path>-<content>.table" */
    struct sp_domain_key digest;
    char why[SP_DOMAIN_WHY]; /* why it cannot be used; "" */
};

/* False, with why set, if the directory cannot be used. Close it in any case. */
bool sp_domain_cache_open(struct sp_domain_cache *cache, const char *dir, const char *path, struct sp_domain_key digest);
void sp_domain_cache_close(struct sp_domain_cache *cache);
/* One process builds at a time; false, with why set, when the lock cannot be had in time. */
bool sp_domain_cache_lock(struct sp_domain_cache *cache);
/* Maps the file if it is there and whole. */
bool sp_domain_cache_map(const struct sp_domain_cache *cache, struct sp_domain_table *table);
/* Writes the file in one step and removes those of older contents. Locked only. False with why set. */
bool sp_domain_cache_store(struct sp_domain_cache *cache, const struct sp_domain_table *table);

#endif
