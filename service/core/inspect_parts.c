/* Takes what the splitter finds. An object too small to hold a threat of its own is not worth a scan: the body as a whole is
 * scanned anyway. An object that stays open (the splitter failed in it) is scanned as far as it came. */
#include "config.h"

#include "inspect_parts.h"

#include "sallyport/assert.h"

#include <stdlib.h>

#define WORTH_BYTES 32u
#define FIRST_EXTENTS 8u

struct level {
    struct sp_spool *spool; /* NULL until the first object */
    struct sp_scan_extent *extents;
    size_t n_extents, cap_extents;
    uint64_t begin; /* of the open object */
    bool is_open;
    struct sp_digest digest;
};

struct sp_parts {
    struct sp_split *split;
    struct sp_spool_limits spool_limits;
    const struct sp_digest *model;
    bool is_done; /* finished or failed */
    struct level levels[SP_SPLIT_MAX_DEPTH];
};

static enum sp_status open_level(struct sp_parts *parts, struct level *level)
{
    enum sp_status status = sp_spool_new(&parts->spool_limits, &level->spool);
    if (status == SP_OK && parts->model)
        status = sp_digest_init(&level->digest, parts->model, NULL);
    return status;
}

static enum sp_status begin_part(void *arg, unsigned depth)
{
    struct sp_parts *parts = arg;
    SP_ASSERT(depth < SP_SPLIT_MAX_DEPTH);
    struct level *level = &parts->levels[depth];
    SP_ASSERT(!level->is_open);
    enum sp_status status = level->spool ? SP_OK : open_level(parts, level);
    if (status != SP_OK)
        return status;
    level->begin = sp_spool_size(level->spool);
    level->is_open = true;
    return SP_OK;
}

static enum sp_status part_bytes(void *arg, unsigned depth, const void *p, size_t n)
{
    struct sp_parts *parts = arg;
    SP_ASSERT(depth < SP_SPLIT_MAX_DEPTH && parts->levels[depth].is_open);
    struct level *level = &parts->levels[depth];
    enum sp_status status = sp_spool_append(level->spool, p, n, NULL);
    if (status == SP_OK && parts->model)
        sp_digest_add(&level->digest, p, n);
    return status;
}

static enum sp_status grow(struct level *level)
{
    size_t cap = level->cap_extents > 0 ? 2 * level->cap_extents : FIRST_EXTENTS;
    struct sp_scan_extent *extents = realloc(level->extents, cap * sizeof(*extents));
    if (!extents)
        return SP_ERR_NOMEM;
    level->extents = extents;
    level->cap_extents = cap;
    return SP_OK;
}

static enum sp_status close_level(struct level *level)
{
    level->is_open = false;
    uint64_t bytes = sp_spool_size(level->spool) - level->begin;
    if (bytes < WORTH_BYTES)
        return SP_OK;
    if (level->n_extents == SP_SCAN_EXTENTS_MAX)
        return SP_ERR_LIMIT;
    enum sp_status status = level->n_extents < level->cap_extents ? SP_OK : grow(level);
    if (status == SP_OK)
        level->extents[level->n_extents++] = (struct sp_scan_extent){ level->begin, bytes };
    return status;
}

static enum sp_status end_part(void *arg, unsigned depth)
{
    struct sp_parts *parts = arg;
    SP_ASSERT(depth < SP_SPLIT_MAX_DEPTH && parts->levels[depth].is_open);
    return close_level(&parts->levels[depth]);
}

enum sp_split_result sp_parts_new(const struct sp_parts_setup *setup, struct sp_error *detail, struct sp_parts **parts_out)
{
    struct sp_parts *parts = calloc(1, sizeof(*parts));
    *parts_out = NULL;
    if (!parts) {
        sp_error_set(detail, SP_ERR_NOMEM, "no memory for the objects in the body");
        return SP_SPLIT_ERROR;
    }
    parts->spool_limits = setup->spool;
    parts->model = setup->model;
    const struct sp_split_sink sink = { parts, begin_part, part_bytes, end_part };
    enum sp_split_result result = sp_split_new(setup->carrier, &setup->split, &sink, detail, &parts->split);
    if (result == SP_SPLIT_OK)
        *parts_out = parts;
    else
        sp_parts_free(&parts);
    return result;
}

void sp_parts_free(struct sp_parts **parts_p)
{
    struct sp_parts *parts = *parts_p;
    if (!parts)
        return;
    sp_split_free(&parts->split);
    for (size_t i = 0; i < SP_SPLIT_MAX_DEPTH; i++) {
        sp_spool_free(&parts->levels[i].spool);
        sp_digest_fini(&parts->levels[i].digest);
        free(parts->levels[i].extents);
    }
    free(parts);
    *parts_p = NULL;
}

/* After a failure the splitter may not be fed again. */
static enum sp_split_result note(struct sp_parts *parts, enum sp_split_result result)
{
    parts->is_done = parts->is_done || result != SP_SPLIT_OK;
    return result;
}

enum sp_split_result sp_parts_feed(struct sp_parts *parts, const void *p, size_t n, struct sp_error *detail)
{
    return parts->is_done ? SP_SPLIT_OK : note(parts, sp_split_feed(parts->split, p, n, detail));
}

enum sp_split_result sp_parts_finish(struct sp_parts *parts, struct sp_error *detail)
{
    enum sp_split_result result = parts->is_done ? SP_SPLIT_OK : sp_split_finish(parts->split, detail);
    parts->is_done = true;
    return result;
}

enum sp_status sp_parts_bodies(struct sp_parts *parts, struct sp_part_body *bodies, size_t max, size_t *n_out, struct sp_error *err)
{
    *n_out = 0;
    for (size_t i = 0; i < SP_SPLIT_MAX_DEPTH; i++) {
        struct level *level = &parts->levels[i];
        if (!level->spool)
            continue;
        if (level->is_open && close_level(level) != SP_OK)
            return sp_error_set(err, SP_ERR_NOMEM, "no memory for the objects in the body");
        if (level->n_extents == 0)
            continue;
        enum sp_status status = sp_spool_seal(level->spool, err);
        if (status != SP_OK)
            return status;
        SP_ASSERT(*n_out < max);
        struct sp_part_body *body = &bodies[(*n_out)++];
        body->body = (struct sp_scan_body){ level->spool, level->extents, level->n_extents };
        body->has_digest = parts->model && sp_digest_finish(&level->digest, body->digest) == SP_OK;
    }
    return SP_OK;
}
