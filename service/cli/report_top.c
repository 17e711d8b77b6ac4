/* Names and how often they came, in bounded memory: a table of so many names. When it is full, the names that came least are dropped,
 * half of them, and how often they could have come is remembered: so a name that is taken in later may have come that often before
 * (Misra and Gries, 1982, with the median in place of one). Whoever invents millions of names cannot push out one that comes often. */
#include "config.h"

#include "report.h"

#include "sallyport/assert.h"
#include "sallyport/siphash.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define MAX_NAMES 16384
#define SLOTS (2 * MAX_NAMES)
#define KEY_MAX_BYTES 256

bool sp_top_init(struct sp_top *top)
{
    *top = (struct sp_top){ .entries = calloc(SLOTS, sizeof(*top->entries)), .cap = SLOTS };
    const ssize_t got = getrandom(top->hash_key, sizeof(top->hash_key), GRND_NONBLOCK);
    (void) got; /* without it a report can be made slow, and nothing else */
    return top->entries != NULL;
}

void sp_top_fini(struct sp_top *top)
{
    for (size_t i = 0; top->entries && i < top->cap; i++)
        free(top->entries[i].key);
    free(top->entries);
    *top = (struct sp_top){ 0 };
}

/* Keyed: attackers choose the names, and must not be able to choose those that all fall into one place. */
static uint32_t hash_of(const struct sp_top *top, struct sp_str key)
{
    uint64_t words[KEY_MAX_BYTES / sizeof(uint64_t) + 1];
    const size_t n = (key.n + sizeof(uint64_t) - 1) / sizeof(uint64_t);
    if (n > 0)
        words[n - 1] = 0;
    memcpy(words, key.p, key.n);
    words[n] = key.n;
    return (uint32_t) sp_siphash(top->hash_key, words, n + 1);
}

/* Its entry, or the free one where it belongs. */
static struct sp_top_entry *find_slot(struct sp_top *top, struct sp_str key, uint32_t hash)
{
    for (size_t i = hash & (top->cap - 1);; i = (i + 1) & (top->cap - 1)) {
        struct sp_top_entry *entry = &top->entries[i];
        if (!entry->key || (entry->hash == hash && entry->n == key.n && memcmp(entry->key, key.p, key.n) == 0))
            return entry;
    }
}

static int compare_weights(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;
    return x < y ? -1 : x > y;
}

static bool median_weight(const struct sp_top *top, uint64_t *median_out)
{
    uint64_t *weights = malloc(top->n * sizeof(*weights));
    if (!weights)
        return false;
    size_t n = 0;
    for (size_t i = 0; i < top->cap; i++)
        if (top->entries[i].key)
            weights[n++] = top->entries[i].weight;
    qsort(weights, n, sizeof(*weights), compare_weights);
    *median_out = weights[n / 2];
    free(weights);
    return true;
}

static bool make_room(struct sp_top *top)
{
    uint64_t median;
    struct sp_top kept;
    if (!median_weight(top, &median) || !sp_top_init(&kept))
        return false;
    memcpy(kept.hash_key, top->hash_key, sizeof(kept.hash_key)); /* entries keep their hashes */
    kept.dropped = top->dropped + median;
    for (size_t i = 0; i < top->cap; i++) {
        struct sp_top_entry entry = top->entries[i];
        if (!entry.key || entry.weight <= median)
            continue;
        entry.weight -= median;
        *find_slot(&kept, (struct sp_str){ entry.key, entry.n }, entry.hash) = entry;
        top->entries[i].key = NULL;
        kept.n++;
    }
    sp_top_fini(top);
    *top = kept;
    return true;
}

bool sp_top_add(struct sp_top *top, struct sp_str key, bool is_refused)
{
    if (key.n > KEY_MAX_BYTES)
        key.n = KEY_MAX_BYTES;
    const uint32_t hash = hash_of(top, key);
    struct sp_top_entry *entry = find_slot(top, key, hash);
    if (!entry->key) {
        if (top->n == MAX_NAMES) {
            if (!make_room(top))
                return false;
            entry = find_slot(top, key, hash);
        }
        char *copy = malloc(key.n);
        if (!copy)
            return false;
        memcpy(copy, key.p, key.n);
        *entry = (struct sp_top_entry){ .key = copy, .n = key.n, .hash = hash, .missed = top->dropped };
        top->n++;
    }
    entry->weight++;
    if (is_refused)
        entry->refused++;
    else
        entry->reported++;
    return true;
}

static int compare_entries(const void *a, const void *b)
{
    const struct sp_top_entry *x = a, *y = b;
    const uint64_t n_x = x->refused + x->reported, n_y = y->refused + y->reported;
    if (n_x != n_y)
        return n_x > n_y ? -1 : 1;
    int order = memcmp(x->key, y->key, x->n < y->n ? x->n : y->n);
    return order ? order : x->n < y->n ? -1 : x->n > y->n;
}

size_t sp_top_sort(struct sp_top *top)
{
    size_t n = 0;
    for (size_t i = 0; i < top->cap; i++) {
        struct sp_top_entry entry = top->entries[i];
        top->entries[i].key = NULL;
        if (entry.key)
            top->entries[n++] = entry;
    }
    SP_ASSERT(n == top->n);
    qsort(top->entries, n, sizeof(*top->entries), compare_entries);
    return n;
}
