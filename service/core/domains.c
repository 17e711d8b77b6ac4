/* Keys of names, lookup, and opening a list: from the cache if it is there and whole, else built, and kept for the next.
 *
 * Keys are SipHash-2-4 with 128 bits and a fixed key: tables must be the same in all processes. Who writes a list could as well write
 * any domain into it, and a host that was made to collide is only refused itself; so the key need not be secret.
 *
 * The key of a name takes the labels from the last to the first, each with its length at its end. So the keys of all names that a host is
 * below are there on the way to its own; and no two names are the same message, since from its end a message can be read back. */
#include "config.h"

#include "domains_priv.h"

#include "sallyport/assert.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_LIST_BYTES (1024 * 1024 * 1024)

struct sp_domains {
    struct sp_domain_table table;
    char note[SP_DOMAIN_WHY + 240];
};

/* --- keys ------------------------------------------------------------------------------------------------------------ */

#define SIP_KEY_0 0x53616c6c79706f72u
#define SIP_KEY_1 0x7420646f6d61696eu

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void sip_rounds(struct sip *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 = rotate(s->v0, 32);
        s->v2 += s->v1;
        s->v0 += s->v3;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 = rotate(s->v2, 32);
    }
}

static void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_rounds(s, 2);
    s->v0 ^= word;
}

static const struct sip sip_start = { SIP_KEY_0 ^ 0x736f6d6570736575u, SIP_KEY_1 ^ 0x646f72616e646f6du ^ 0xeeu,
    SIP_KEY_0 ^ 0x6c7967656e657261u, SIP_KEY_1 ^ 0x7465646279746573u };

static void sip_text(struct sip *s, const char *p, size_t n)
{
    uint64_t word;
    size_t left = n;
    for (; left >= sizeof(word); left -= sizeof(word), p += sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        sip_word(s, le64toh(word));
    }
    word = 0;
    memcpy(&word, p, left);
    sip_word(s, le64toh(word) | (uint64_t) n << 56);
}

static uint64_t sip_half(struct sip *s)
{
    s->v2 ^= 0xee;
    sip_rounds(s, 4);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

static struct sp_domain_key sip_end(struct sip s)
{
    struct sp_domain_key key;
    key.a = sip_half(&s);
    s.v1 ^= 0xdd;
    sip_rounds(&s, 4);
    key.b = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    if (key.a == 0 && key.b == 0)
        key.b = 1; /* zero means an empty slot */
    return key;
}

struct sp_domain_key sp_domain_hash(const void *p, size_t n)
{
    struct sip s = sip_start;
    sip_text(&s, p, n);
    return sip_end(s);
}

/* Takes the last label of what stands before *end, all of it if that is an address. Its start; *end is where its dot is, or 0. */
static size_t take_label(struct sip *s, const struct sp_host *host, size_t *end)
{
    const char *dot = host->is_address ? NULL : memrchr(host->bytes, '.', *end);
    const size_t start = dot ? (size_t) (dot - host->bytes) + 1 : 0;
    sip_text(s, host->bytes + start, *end - start);
    *end = start > 0 ? start - 1 : 0;
    return start;
}

struct sp_domain_key sp_domain_key_of(const struct sp_host *name)
{
    struct sip s = sip_start;
    size_t end = name->n;
    while (take_label(&s, name, &end) > 0)
        ;
    return sip_end(s);
}

void sp_domain_keys_init(const struct sp_host *host, struct sp_domain_keys *keys_out)
{
    struct sip s = sip_start;
    size_t start = host->n, end = host->n;
    keys_out->host = host;
    for (keys_out->n = 0; start > 0 && keys_out->n < SP_DOMAIN_MAX_LABELS; keys_out->n++) {
        start = take_label(&s, host, &end);
        struct sip here = s;
        keys_out->starts[keys_out->n] = (unsigned char) start;
        keys_out->halves[keys_out->n] = sip_half(&here);
    }
}

bool sp_domain_keys_are(const struct sp_domain_keys *keys, size_t i, struct sp_domain_key key)
{
    struct sip s = sip_start;
    size_t end = keys->host->n;
    if (keys->halves[i] != key.a)
        return false;
    while (take_label(&s, keys->host, &end) > keys->starts[i])
        ;
    return sip_end(s).b == key.b;
}

/* --- lookup ---------------------------------------------------------------------------------------------------------- */

uint64_t sp_domain_place(uint64_t half, uint64_t n_slots)
{
    return (uint64_t) (((unsigned __int128) half * n_slots) >> 64);
}

static bool has(const struct sp_domain_table *table, const struct sp_domain_keys *keys, size_t i)
{
    uint64_t at = sp_domain_place(keys->halves[i], table->n_slots);
    for (uint64_t tried = 0; tried < table->n_slots; tried++) {
        struct sp_domain_key slot = table->slots[at];
        if (slot.a == keys->halves[i] && sp_domain_keys_are(keys, i, slot))
            return true;
        if (slot.a == 0 && slot.b == 0)
            return false;
        if (++at == table->n_slots)
            at = 0;
    }
    return false;
}

bool sp_domains_find(const struct sp_domains *domains, const struct sp_domain_keys *keys, size_t *at_out)
{
    /* All first lines are asked for before the first is waited for. */
    for (size_t i = 0; i < keys->n; i++)
        __builtin_prefetch(&domains->table.slots[sp_domain_place(keys->halves[i], domains->table.n_slots)]);
    for (size_t i = 0; i < keys->n; i++) {
        if (has(&domains->table, keys, i)) {
            *at_out = i;
            return true;
        }
    }
    return false;
}

/* --- opening --------------------------------------------------------------------------------------------------------- */

void sp_domain_table_fini(struct sp_domain_table *table)
{
    free(table->owned);
    if (table->map)
        munmap(table->map, table->map_bytes);
    *table = (struct sp_domain_table){ 0 };
}

static enum sp_status read_fd(int fd, const char *path, size_t size, char *bytes, size_t *n_out, struct sp_error *err)
{
    size_t n = 0;
    while (n < size) {
        ssize_t got = read(fd, bytes + n, size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return sp_error_set(err, SP_ERR_IO, "%s: cannot be read: %m", path);
        if (got == 0)
            break;
        n += (size_t) got;
    }
    *n_out = n;
    return SP_OK;
}

/* All bytes of the file, which the caller frees. */
static enum sp_status read_list(const char *path, struct sp_error *err, char **bytes_out, size_t *n_out)
{
    *bytes_out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO must not stop the start */
    if (fd < 0)
        return sp_error_set(err, SP_ERR_IO, "%s: cannot be opened: %m", path);
    struct stat st;
    enum sp_status status = SP_OK;
    char *bytes = NULL;
    if (fstat(fd, &st) < 0)
        status = sp_error_set(err, SP_ERR_IO, "%s: %m", path);
    else if (!S_ISREG(st.st_mode))
        status = sp_error_set(err, SP_ERR_IO, "%s: is not a regular file", path);
    else if (st.st_size > MAX_LIST_BYTES)
        status = sp_error_set(err, SP_ERR_IO, "%s: is larger than 1 GiB", path);
    else if (!(bytes = malloc((size_t) st.st_size + 1)))
        status = sp_error_set(err, SP_ERR_NOMEM, "%s: no memory", path);
    else
        status = read_fd(fd, path, (size_t) st.st_size, bytes, n_out, err);
    close(fd);
    if (status == SP_OK) {
        *bytes_out = bytes;
        bytes = NULL;
    }
    free(bytes);
    return status;
}

/* Builds and, if the cache can be used, stores and takes the stored one, so that the private memory is given back. */
static enum sp_status build(
    struct sp_domains *domains, struct sp_domain_cache *cache, struct sp_str text, const char *path, struct sp_error *err)
{
    struct sp_domain_table *table = &domains->table;
    bool can_store = cache && sp_domain_cache_lock(cache);
    if (can_store && sp_domain_cache_map(cache, table))
        return SP_OK; /* another process was quicker */
    enum sp_status status = sp_domain_table_build(text, path, err, table);
    struct sp_domain_table stored = { 0 };
    if (status != SP_OK || !can_store || !sp_domain_cache_store(cache, table))
        return status;
    if (sp_domain_cache_map(cache, &stored)) {
        sp_domain_table_fini(table);
        *table = stored;
    } else {
        snprintf(cache->why, sizeof(cache->why), "what was written cannot be read back");
    }
    return SP_OK;
}

static void take_notes(struct sp_domains *domains, const char *path, const char *cache_dir, const char *why)
{
    if (domains->table.n_entries == 0)
        snprintf(domains->note, sizeof(domains->note), "%.120s: has no domain in it", path);
    else if (why[0] != '\0')
        snprintf(domains->note, sizeof(domains->note), "%.120s: each process keeps a copy of its own in memory: %.60s: %s", path, cache_dir,
            why);
}

enum sp_status sp_domains_open(const char *path, const char *cache_dir, struct sp_error *err, struct sp_domains **domains_out)
{
    *domains_out = NULL;
    char *bytes = NULL;
    struct sp_str text = { 0 };
    struct sp_domain_cache cache = { .dir_fd = -1, .lock_fd = -1 };
    struct sp_domains *domains = NULL;
    enum sp_status status = read_list(path, err, &bytes, &text.n);
    if (status != SP_OK)
        goto out;
    text.p = bytes;
    domains = calloc(1, sizeof(*domains));
    if (!domains) {
        status = sp_error_set(err, SP_ERR_NOMEM, "%s: no memory", path);
        goto out;
    }
    bool can_cache = cache_dir && sp_domain_cache_open(&cache, cache_dir, path, sp_domain_hash(text.p, text.n));
    if (!can_cache || !sp_domain_cache_map(&cache, &domains->table))
        status = build(domains, can_cache ? &cache : NULL, text, path, err);
    if (status == SP_OK) {
        take_notes(domains, path, cache_dir, cache.why);
        *domains_out = domains;
        domains = NULL;
    }
out:
    sp_domain_cache_close(&cache);
    sp_domains_close(&domains);
    free(bytes);
    return status;
}

enum sp_status sp_domains_from_text(struct sp_str text, const char *name, struct sp_error *err, struct sp_domains **domains_out)
{
    *domains_out = NULL;
    struct sp_domains *domains = calloc(1, sizeof(*domains));
    if (!domains)
        return sp_error_set(err, SP_ERR_NOMEM, "%s: no memory", name);
    enum sp_status status = sp_domain_table_build(text, name, err, &domains->table);
    if (status != SP_OK) {
        sp_domains_close(&domains);
        return status;
    }
    take_notes(domains, name, "", "");
    *domains_out = domains;
    return SP_OK;
}

void sp_domains_close(struct sp_domains **domains)
{
    if (!domains || !*domains)
        return;
    sp_domain_table_fini(&(*domains)->table);
    free(*domains);
    *domains = NULL;
}

uint64_t sp_domains_count(const struct sp_domains *domains)
{
    return domains->table.n_entries;
}

uint64_t sp_domains_bad_lines(const struct sp_domains *domains)
{
    return domains->table.n_bad;
}

uint64_t sp_domains_digest(const struct sp_domains *domains)
{
    return domains->table.digest.a;
}

bool sp_domains_is_shared(const struct sp_domains *domains)
{
    return domains->table.map != NULL;
}

const char *sp_domains_note(const struct sp_domains *domains)
{
    return domains->note;
}
