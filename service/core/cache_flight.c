/* Who scans what, now. Each key has one place in the table, so that one compare-and-swap decides whose it is; if another key has the
 * place already, this one flies alone. What the table says is never a verdict: who has waited looks into the cache. So the worst that
 * a damaged or stale table can do is a scan too many, or a wait up to the end of somebody's patience.
 *
 * A claim is one word: process, serial number of the place, some bits of the key. Nobody can free a claim that he has not seen. */
#include "config.h"

#include "cache_priv.h"

#include "sallyport/assert.h"
#include "sallyport/clock.h"
#include "sallyport/mapfile.h"
#include "sallyport/process.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x53504631u /* "SPF1" */
#define LAYOUT 1u         /* raise it with every change of struct map */
#define PLACES 4096
#define PLACE_BYTES 64
#define SERIAL_SHIFT 26
#define SERIAL_MASK ((UINT64_C(1) << (SP_PROCESS_PID_SHIFT - SERIAL_SHIFT)) - 1)
#define TAG_MASK ((UINT64_C(1) << SERIAL_SHIFT) - 1)
#define LOOK_US 100000 /* how often who waits looks whether the other still lives */
#define CLAIM_TRIES 4
#define PATIENCE_MAX_MS INT64_C(86400000)
#define US_PER_MS 1000
#define US_PER_S 1000000
#define NS_PER_US 1000

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "processes can share only lock-free atomics");

/* One place. process and until_us belong to the claim; both are 0 before they are known, and then only its process id tells whether it
 * still stands. */
struct place {
    _Alignas(PLACE_BYTES) _Atomic uint64_t claim; /* 0: free */
    _Atomic uint64_t process;                     /* sp_process_word */
    _Atomic int64_t until_us;                     /* monotonic */
    _Atomic uint32_t turn;                        /* rises when a claim goes; a futex */
    _Atomic uint32_t waiting;
};

struct map {
    struct sp_mapfile_header header;
    struct place places[PLACES];
};

struct sp_flights {
    struct map *map;
    _Atomic uint64_t self; /* sp_process_word; another one after a fork */
};

static const struct sp_mapfile_header header = { .magic = MAGIC, .bytes = sizeof(struct map), .layout = LAYOUT };

/* --- claims ----------------------------------------------------------------------------------------------------------- */

static struct place *place_of(const struct sp_cache *cache, const struct sp_cache_key *key)
{
    return &cache->flights->map->places[key->word[3] % PLACES];
}

static uint64_t tag_of(const struct sp_cache_key *key)
{
    return (key->word[3] / PLACES) & TAG_MASK;
}

static uint64_t own_word(struct sp_flights *flights)
{
    const pid_t pid = getpid();
    uint64_t word = atomic_load(&flights->self);
    if (word >> SP_PROCESS_PID_SHIFT != (uint64_t) pid) {
        word = sp_process_word(pid);
        atomic_store(&flights->self, word);
    }
    return word;
}

static bool is_alive(const struct place *place, uint64_t claim)
{
    const uint64_t pid_bits = ~((UINT64_C(1) << SP_PROCESS_PID_SHIFT) - 1), process = atomic_load(&place->process);
    return sp_process_is_alive(process != 0 && ((process ^ claim) & pid_bits) == 0 ? process : claim & pid_bits);
}

/* Its time is over, or there is none yet and its process has died. A time that nobody can have set is no time. */
static bool is_over(const struct place *place, uint64_t claim, int64_t now_us)
{
    const int64_t until_us = atomic_load(&place->until_us);
    if (until_us == 0)
        return !is_alive(place, claim);
    return until_us <= now_us || until_us - now_us > PATIENCE_MAX_MS * US_PER_MS;
}

static void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void futex_wait(_Atomic uint32_t *word, uint32_t seen, int64_t us)
{
    const struct timespec t = { .tv_sec = us / US_PER_S, .tv_nsec = us % US_PER_S * NS_PER_US };
    syscall(SYS_futex, word, FUTEX_WAIT, seen, &t, NULL, 0);
}

/* Of ours, or on behalf of one that is over. */
static void free_claim(struct place *place, uint64_t claim)
{
    if (atomic_load(&place->claim) != claim)
        return;
    /* While the claim stands, so that they cannot be taken for those of the next. */
    atomic_store(&place->process, 0);
    atomic_store(&place->until_us, 0);
    if (!atomic_compare_exchange_strong(&place->claim, &claim, 0))
        return;
    atomic_fetch_add(&place->turn, 1);
    if (atomic_load(&place->waiting) > 0)
        futex_wake(&place->turn);
}

static uint64_t try_claim(struct place *place, uint64_t process, uint64_t tag, int64_t until_us)
{
    const uint64_t serial = atomic_load(&place->turn) & SERIAL_MASK;
    const uint64_t claim = process >> SP_PROCESS_PID_SHIFT << SP_PROCESS_PID_SHIFT | serial << SERIAL_SHIFT | tag;
    uint64_t nobody = 0;
    if (!atomic_compare_exchange_strong(&place->claim, &nobody, claim))
        return 0;
    atomic_store(&place->process, process);
    atomic_store(&place->until_us, until_us);
    return claim;
}

enum sp_cache_answer sp_cache_begin(
    struct sp_cache *cache, const struct sp_cache_key *key, int64_t patience_ms, struct sp_cache_flight *flight)
{
    const int64_t now_us = sp_clock_mono_us(), patience = patience_ms < PATIENCE_MAX_MS ? patience_ms : PATIENCE_MAX_MS;
    *flight = (struct sp_cache_flight){ .key = *key, .give_up_us = now_us + patience * US_PER_MS, .looked_us = now_us };
    struct place *place = place_of(cache, key);
    const uint32_t turn = atomic_load(&place->turn);
    if (sp_cache_find(cache, key))
        return SP_CACHE_KNOWN;
    const uint64_t me = own_word(cache->flights), tag = tag_of(key);
    for (int i = 0; i < CLAIM_TRIES; i++) {
        const uint64_t seen = atomic_load(&place->claim);
        if (seen == 0) {
            flight->held = try_claim(place, me, tag, flight->give_up_us);
            if (flight->held == 0)
                continue;
            /* Again, if one before us may have landed in between; who is just about to count himself out costs a scan. */
            if (atomic_load(&place->turn) == turn || !sp_cache_find(cache, key))
                return SP_CACHE_OURS;
            sp_cache_land(cache, flight, 0);
            return SP_CACHE_KNOWN;
        }
        if (is_over(place, seen, now_us)) {
            free_claim(place, seen);
        } else if ((seen & TAG_MASK) == tag) {
            flight->awaited = seen;
            return SP_CACHE_OTHERS;
        } else {
            break;
        }
    }
    return SP_CACHE_OURS;
}

static enum sp_cache_answer end_wait(const struct sp_cache *cache, struct sp_cache_flight *flight)
{
    flight->awaited = 0;
    return sp_cache_find(cache, &flight->key) ? SP_CACHE_KNOWN : SP_CACHE_OURS;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

enum sp_cache_answer sp_cache_wait(struct sp_cache *cache, struct sp_cache_flight *flight, int wait_ms)
{
    SP_ASSERT(flight->awaited != 0);
    struct place *place = place_of(cache, &flight->key);
    int64_t now_us = sp_clock_mono_us();
    const int64_t end_us = wait_ms < 0 ? flight->give_up_us : now_us + (int64_t) wait_ms * US_PER_MS;
    for (;; now_us = sp_clock_mono_us()) {
        const uint32_t turn = atomic_load(&place->turn);
        if (atomic_load(&place->claim) != flight->awaited || now_us >= flight->give_up_us)
            return end_wait(cache, flight);
        if (now_us - flight->looked_us >= LOOK_US) {
            flight->looked_us = now_us;
            if (is_over(place, flight->awaited, now_us) || !is_alive(place, flight->awaited)) {
                free_claim(place, flight->awaited);
                return end_wait(cache, flight);
            }
        }
        if (now_us >= end_us)
            return SP_CACHE_OTHERS;
        const int64_t next_us = least(least(end_us, flight->give_up_us), flight->looked_us + LOOK_US);
        atomic_fetch_add(&place->waiting, 1);
        if (atomic_load(&place->claim) == flight->awaited) /* else who freed it may not have seen us */
            futex_wait(&place->turn, turn, next_us - now_us);
        atomic_fetch_sub(&place->waiting, 1);
    }
}

bool sp_cache_land(struct sp_cache *cache, struct sp_cache_flight *flight, uint64_t clean_by)
{
    const bool is_stored = clean_by != 0 && clean_by == flight->key.engine_id && sp_cache_store(cache, &flight->key);
    if (flight->held != 0)
        free_claim(place_of(cache, &flight->key), flight->held);
    *flight = (struct sp_cache_flight){ 0 };
    return is_stored;
}

/* --- opening ---------------------------------------------------------------------------------------------------------- */

enum sp_status sp_flights_open(const char *path, struct sp_error *err, struct sp_flights **flights_out)
{
    *flights_out = NULL;
    struct sp_flights *flights = calloc(1, sizeof(*flights));
    if (!flights)
        return sp_error_set(err, SP_ERR_NOMEM, "out of memory");
    void *map = NULL;
    enum sp_status status = sp_mapfile_open(path, &header, err, &map);
    if (status != SP_OK) {
        free(flights);
        return status;
    }
    flights->map = map;
    *flights_out = flights;
    return SP_OK;
}

void sp_flights_close(struct sp_flights **flights)
{
    if (!*flights)
        return;
    sp_mapfile_close((*flights)->map, &header);
    free(*flights);
    *flights = NULL;
}
