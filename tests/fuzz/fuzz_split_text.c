/* Forms, JSON and markup on hostile bytes. Byte 0 picks the kind, byte 1 how the body is cut; the rest is the body. It is split whole and
 * in pieces: what came out at each depth must be the same. Content is never an error, and no depth has two objects open. */
#include "config.h"

#include "fuzz_kit.h"

#include "sallyport/split.h"

#include <stdlib.h>
#include <string.h>

#define MIN_OBJECT 32

struct depth {
    uint64_t hash; /* FNV-1a, over the bytes and the ends */
    uint64_t n_bytes, n_objects;
    size_t n_open; /* bytes of the one that is open */
    int is_open;
};

struct catch {
    struct depth depths[SP_SPLIT_MAX_DEPTH];
    size_t max_bytes; /* no object is larger than the body */
};

static void mix(struct depth *d, unsigned v)
{
    d->hash = (d->hash ^ v) * 1099511628211u;
}

static enum sp_status on_begin(void *arg, unsigned depth)
{
    struct catch *c = arg;
    require(depth < SP_SPLIT_MAX_DEPTH && !c->depths[depth].is_open);
    c->depths[depth].is_open = 1;
    c->depths[depth].n_open = 0;
    c->depths[depth].n_objects++;
    return SP_OK;
}

static enum sp_status on_bytes(void *arg, unsigned depth, const void *p, size_t n)
{
    struct catch *c = arg;
    const unsigned char *bytes = p;
    struct depth *d = &c->depths[depth];
    require(n > 0 && depth < SP_SPLIT_MAX_DEPTH && d->is_open);
    for (size_t i = 0; i < n; i++)
        mix(d, bytes[i]);
    d->n_bytes += n;
    d->n_open += n;
    require(d->n_open <= c->max_bytes);
    return SP_OK;
}

static enum sp_status on_end(void *arg, unsigned depth)
{
    struct catch *c = arg;
    require(depth < SP_SPLIT_MAX_DEPTH && c->depths[depth].is_open && c->depths[depth].n_open >= MIN_OBJECT);
    mix(&c->depths[depth], 256);
    c->depths[depth].is_open = 0;
    return SP_OK;
}

static enum sp_split_result split(const char *type, const uint8_t *p, size_t n, size_t chunk, struct catch *c)
{
    struct sp_field field = { SP_STR("Content-Type"), sp_str_from(type) };
    struct sp_message msg = { .kind = SP_MESSAGE_RESPONSE, .fields = &field, .n_fields = 1, .cap_fields = 1 };
    struct sp_split_limits limits = { .max_depth = SP_SPLIT_MAX_DEPTH, .max_parts = 1000000,
        .decode = { .max_layers = 1, .max_output_bytes = 1, .max_ratio = 1 } };
    struct sp_split_sink sink = { c, on_begin, on_bytes, on_end };
    struct sp_error detail = { 0 };
    struct sp_split *s = NULL;

    *c = (struct catch){ .max_bytes = n };
    enum sp_split_result result = sp_split_new(&msg, &limits, &sink, &detail, &s);
    for (size_t done = 0; result == SP_SPLIT_OK && done < n;) {
        size_t piece = n - done < chunk ? n - done : chunk;
        uint8_t *copy = malloc(piece); /* not a byte more, so that reading past the end is seen */
        require(copy != NULL);
        memcpy(copy, p + done, piece);
        result = sp_split_feed(s, copy, piece, &detail);
        free(copy);
        done += piece;
    }
    if (result == SP_SPLIT_OK)
        result = sp_split_finish(s, &detail);
    sp_split_free(&s);
    require((result == SP_SPLIT_OK) == (detail.text[0] == '\0'));
    require(result == SP_SPLIT_OK || result == SP_SPLIT_LIMIT); /* nested too deeply */
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = { "application/json", "text/html", "text/javascript", "application/x-www-form-urlencoded",
        "text/css", "application/rss+xml" };
    struct catch whole, pieces;
    if (size < 2)
        return 0;
    const char *type = types[data[0] % (sizeof(types) / sizeof(types[0]))];
    enum sp_split_result a = split(type, data + 2, size - 2, SIZE_MAX, &whole);
    enum sp_split_result b = split(type, data + 2, size - 2, 1u + data[1] % 80u, &pieces);
    require(a == b);
    for (size_t i = 0; a == SP_SPLIT_OK && i < SP_SPLIT_MAX_DEPTH; i++)
        require(memcmp(&whole.depths[i], &pieces.depths[i], sizeof(struct depth)) == 0);
    return 0;
}
