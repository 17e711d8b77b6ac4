/* The quota of all spools. There is no sum in the map that a dying process could leave wrong: each process adds to a counter of its
 * own first, then adds up everybody's, and takes its addition back if that is too much. So the limit is never passed; two that come
 * at once near the limit may both be refused.
 *
 * A slot belongs to whoever's id and start time stand in it. The slot of a dead process is taken over before it is emptied, so that
 * only one cleans up, and that one may die too. */
#include "config.h"

#include "sallyport/quota.h"

#include "sallyport/mapfile.h"
#include "sallyport/process.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define MAGIC 0x53505131u /* "SPQ1" */
#define LAYOUT 1u         /* raise it with every change of struct map */
#define SEAT_SHIFT 32

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "processes can share only lock-free atomics");

struct slot {
    _Atomic uint64_t owner; /* sp_process_word; 0: free */
    _Atomic uint64_t held;
};

struct map {
    struct sp_mapfile_header header;
    _Atomic uint64_t refused;
    _Atomic uint64_t n_used; /* slots from here on were never used */
    struct slot slots[SP_QUOTA_PROCESSES];
};

struct sp_quota {
    struct map *map;
    uint64_t limit;
    _Atomic uint64_t seat; /* process id and index + 1 of the slot that it has; another process (after fork) needs its own */
};

static const struct sp_mapfile_header header = { .magic = MAGIC, .bytes = sizeof(struct map), .layout = LAYOUT };

static size_t slots_used(const struct map *map)
{
    const uint64_t n = atomic_load(&map->n_used);
    return n < SP_QUOTA_PROCESSES ? (size_t) n : SP_QUOTA_PROCESSES;
}

/* True if room came back. */
static bool sweep(struct map *map, uint64_t me)
{
    uint64_t freed = 0;
    for (size_t i = 0; i < slots_used(map); i++) {
        struct slot *slot = &map->slots[i];
        uint64_t owner = atomic_load(&slot->owner);
        if (owner == 0 || owner == me || sp_process_is_alive(owner) || !atomic_compare_exchange_strong(&slot->owner, &owner, me))
            continue;
        freed += atomic_exchange(&slot->held, 0);
        atomic_store(&slot->owner, 0);
    }
    return freed > 0;
}

/* --- slots ---------------------------------------------------------------------------------------------------------- */

static void leave(struct slot *slot)
{
    atomic_store(&slot->held, 0);
    atomic_store(&slot->owner, 0);
}

static struct slot *slot_of(const struct sp_quota *quota, uint64_t seat)
{
    return &quota->map->slots[(seat & UINT32_MAX) - 1];
}

static bool is_mine(uint64_t seat, pid_t pid)
{
    return seat >> SEAT_SHIFT == (uint64_t) pid;
}

static bool find_free(struct map *map, uint64_t me, size_t *index_out)
{
    for (size_t i = 0; i < SP_QUOTA_PROCESSES; i++) {
        uint64_t nobody = 0;
        if (!atomic_compare_exchange_strong(&map->slots[i].owner, &nobody, me))
            continue;
        uint64_t n = atomic_load(&map->n_used);
        while (n < i + 1 && !atomic_compare_exchange_weak(&map->n_used, &n, i + 1))
            ;
        *index_out = i;
        return true;
    }
    return false;
}

/* The slot of this process, taken at its first need. NULL if there is none left. */
static struct slot *sit(struct sp_quota *quota)
{
    const pid_t pid = getpid();
    uint64_t seat = atomic_load(&quota->seat);
    if (is_mine(seat, pid))
        return slot_of(quota, seat);
    const uint64_t me = sp_process_word(pid);
    size_t index;
    sweep(quota->map, me);
    if (!find_free(quota->map, me, &index))
        return NULL;
    const uint64_t fresh = (uint64_t) pid << SEAT_SHIFT | (index + 1);
    while (!is_mine(seat, pid))
        if (atomic_compare_exchange_weak(&quota->seat, &seat, fresh))
            return &quota->map->slots[index];
    leave(&quota->map->slots[index]); /* another thread was faster */
    return slot_of(quota, seat);
}

/* --- taking and giving ---------------------------------------------------------------------------------------------- */

/* Whether what is taken now, an addition of this process included, is within the rules. A process that has two slots (a reload) is
 * one process. */
static bool is_within(const struct sp_quota *quota, uint64_t me)
{
    uint64_t total = 0, mine = 0;
    for (size_t i = 0; i < slots_used(quota->map); i++) {
        const struct slot *slot = &quota->map->slots[i];
        const uint64_t held = atomic_load(&slot->held);
        if (__builtin_add_overflow(total, held, &total))
            return false;
        if (held > 0 && atomic_load(&slot->owner) == me)
            mine += held;
    }
    return total <= quota->limit && mine / SP_QUOTA_FAIRNESS <= quota->limit - total;
}

static void take_back(struct slot *slot, uint64_t bytes)
{
    uint64_t held = atomic_load(&slot->held);
    while (!atomic_compare_exchange_weak(&slot->held, &held, held > bytes ? held - bytes : 0))
        ;
}

static bool try_take(struct sp_quota *quota, struct slot *slot, uint64_t me, uint64_t bytes)
{
    atomic_fetch_add(&slot->held, bytes);
    if (is_within(quota, me))
        return true;
    take_back(slot, bytes);
    return false;
}

bool sp_quota_take(struct sp_quota *quota, uint64_t bytes)
{
    bool is_taken = false;
    struct slot *slot = bytes <= quota->limit ? sit(quota) : NULL;
    if (slot) {
        const uint64_t me = atomic_load(&slot->owner);
        is_taken = try_take(quota, slot, me, bytes) || (sweep(quota->map, me) && try_take(quota, slot, me, bytes));
    }
    if (!is_taken)
        atomic_fetch_add(&quota->map->refused, 1);
    return is_taken;
}

void sp_quota_give(struct sp_quota *quota, uint64_t bytes)
{
    const uint64_t seat = atomic_load(&quota->seat);
    if (is_mine(seat, getpid()))
        take_back(slot_of(quota, seat), bytes);
}

/* --- opening -------------------------------------------------------------------------------------------------------- */

enum sp_status sp_quota_open(const char *path, uint64_t limit_bytes, struct sp_error *err, struct sp_quota **quota_out)
{
    *quota_out = NULL;
    struct sp_quota *quota = calloc(1, sizeof(*quota));
    if (!quota)
        return sp_error_set(err, SP_ERR_NOMEM, "out of memory");
    void *map = NULL;
    enum sp_status status = sp_mapfile_open(path, &header, err, &map);
    if (status != SP_OK) {
        free(quota);
        return status;
    }
    quota->map = map;
    quota->limit = limit_bytes;
    *quota_out = quota;
    return SP_OK;
}

void sp_quota_close(struct sp_quota **quota)
{
    struct sp_quota *q = *quota;
    if (!q)
        return;
    if (is_mine(q->seat, getpid()))
        leave(slot_of(q, q->seat));
    sp_mapfile_close(q->map, &header);
    free(q);
    *quota = NULL;
}

enum sp_status sp_quota_look(const char *path, struct sp_error *err, struct sp_quota_use *use_out)
{
    *use_out = (struct sp_quota_use){ 0 };
    void *p = NULL;
    enum sp_status status = sp_mapfile_open_reader(path, &header, err, &p);
    if (status != SP_OK)
        return status;
    const struct map *map = p;
    for (size_t i = 0; i < slots_used(map); i++) {
        const uint64_t owner = atomic_load(&map->slots[i].owner), held = atomic_load(&map->slots[i].held);
        if (owner == 0 || held == 0 || !sp_process_is_alive(owner))
            continue;
        use_out->held_bytes += held;
        use_out->processes++;
    }
    use_out->refused = atomic_load(&map->refused);
    sp_mapfile_close(p, &header);
    return SP_OK;
}
