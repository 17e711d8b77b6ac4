/* For the tests of split: a sink that writes down what comes, and a run of a body in any pieces.
 *
 * What came is one string: the objects in the order of their begin with "|" between them, each its depth and its bytes; "~" behind
 * one that was not ended. So "0ab|1c" is ab at depth 0, then c at depth 1. */
#ifndef SALLYPORT_TESTS_SPLIT_KIT_H
#define SALLYPORT_TESTS_SPLIT_KIT_H

#include "decode_kit.h"
#include "sallyport/split.h"

#define MAX_OBJECTS 200

static const struct sp_split_limits wide = { .max_depth = SP_SPLIT_MAX_DEPTH,
    .max_parts = MAX_OBJECTS,
    .decode = { .max_layers = 4, .max_output_bytes = 16 * MIB, .max_ratio = 1000 } };

struct object {
    unsigned depth;
    bool is_ended;
    struct bytes content;
};

struct caught {
    struct object *objects; /* MAX_OBJECTS of them */
    size_t n_objects;
    size_t open[SP_SPLIT_MAX_DEPTH]; /* index + 1 of the object open at each depth */
    enum sp_split_result result;
    struct sp_error detail;
    enum sp_status sink_says; /* from call sink_after on */
    size_t n_calls, sink_after;
};

static enum sp_status answer(struct caught *c)
{
    return c->n_calls++ >= c->sink_after ? c->sink_says : SP_OK;
}

static enum sp_status on_begin(void *arg, unsigned depth)
{
    struct caught *c = arg;
    REQUIRE(depth < SP_SPLIT_MAX_DEPTH, "depth %u", depth);
    REQUIRE(c->open[depth] == 0, "two objects open at depth %u", depth);
    REQUIRE(c->n_objects < MAX_OBJECTS, "too many objects");
    c->objects[c->n_objects++] = (struct object){ .depth = depth };
    c->open[depth] = c->n_objects;
    return answer(c);
}

static enum sp_status on_bytes(void *arg, unsigned depth, const void *p, size_t n)
{
    struct caught *c = arg;
    bool was_armed = is_armed;
    REQUIRE(depth < SP_SPLIT_MAX_DEPTH && c->open[depth] > 0, "bytes for no object at depth %u", depth);
    REQUIRE(n > 0, "no bytes at depth %u", depth);
    is_armed = false;
    add(&c->objects[c->open[depth] - 1].content, p, n);
    is_armed = was_armed;
    return answer(c);
}

static enum sp_status on_end(void *arg, unsigned depth)
{
    struct caught *c = arg;
    REQUIRE(depth < SP_SPLIT_MAX_DEPTH && c->open[depth] > 0, "the end of no object at depth %u", depth);
    REQUIRE(c->objects[c->open[depth] - 1].content.n > 0, "an object without a byte at depth %u", depth);
    c->objects[c->open[depth] - 1].is_ended = true;
    c->open[depth] = 0;
    return answer(c);
}

static inline void caught_fini(struct caught *c)
{
    for (size_t i = 0; i < c->n_objects; i++)
        drop(&c->objects[i].content);
    free(c->objects);
    c->objects = NULL;
}

static inline struct bytes show(const struct caught *c)
{
    struct bytes out = { 0 };
    for (size_t i = 0; i < c->n_objects; i++) {
        const struct object *object = &c->objects[i];
        if (i > 0)
            add_byte(&out, '|');
        add_byte(&out, '0' + object->depth);
        add(&out, object->content.p, object->content.n);
        if (!object->is_ended)
            add_byte(&out, '~');
    }
    add(&out, "", 1);
    out.n--;
    return out;
}

#define ARM(on) (is_armed = (on))

/* Body bytes p, in the pieces that end at next(done); the head is one Content-Type field. */
static inline void split_fields(struct caught *c, const struct sp_message *msg, const struct sp_split_limits *limits,
    const unsigned char *p, size_t n, size_t (*next)(void *arg, size_t done), void *arg)
{
    struct sp_split_sink sink = { c, on_begin, on_bytes, on_end };
    struct sp_split *split = NULL;
    if (c->objects == NULL)
        c->objects = malloc(MAX_OBJECTS * sizeof(struct object));
    ck_assert_ptr_nonnull(c->objects);
    ARM(true);
    c->result = sp_split_new(msg, limits, &sink, &c->detail, &split);
    ARM(false);
    REQUIRE((c->result == SP_SPLIT_OK) == (split != NULL), "split_out does not fit the result");
    for (size_t done = 0; c->result == SP_SPLIT_OK && done < n;) {
        size_t to = next(arg, done);
        size_t piece = to > n || to <= done ? n - done : to - done;
        unsigned char *copy = malloc(piece); /* not a byte more, so that reading past the end is seen */
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, p + done, piece);
        ARM(true);
        c->result = sp_split_feed(split, copy, piece, &c->detail);
        ARM(false);
        free(copy);
        done += piece;
    }
    if (c->result == SP_SPLIT_OK) {
        ARM(true);
        c->result = sp_split_finish(split, &c->detail);
        ARM(false);
    }
    REQUIRE((c->result == SP_SPLIT_OK) == (c->detail.text[0] == '\0'), "result %d with the text \"%s\"", (int) c->result, c->detail.text);
    sp_split_free(&split);
    REQUIRE(split == NULL, "free leaves the pointer");
    sp_split_free(&split);
}

/* --- pieces ----------------------------------------------------------------------------------------------------------- */

static inline size_t whole(void *arg, size_t done)
{
    (void) arg;
    (void) done;
    return SIZE_MAX;
}

static inline size_t one_by_one(void *arg, size_t done)
{
    (void) arg;
    return done + 1;
}

static inline size_t cut_at(void *arg, size_t done)
{
    size_t at = *(size_t *) arg;
    return done < at ? at : SIZE_MAX;
}

static inline size_t any(void *arg, size_t done)
{
    unsigned *x = arg;
    *x = *x * 1103515245u + 12345u;
    return done + 1 + (*x >> 16) % 9;
}

/* --- a body in all ways ----------------------------------------------------------------------------------------------- */

static inline void expect_one(const char *title, const struct sp_message *msg, const struct sp_split_limits *limits,
    const struct bytes *body, const struct bytes *expected, enum sp_split_result result, size_t (*next)(void *, size_t), void *arg,
    const char *how)
{
    struct caught c = { 0 };
    split_fields(&c, msg, limits, body->p, body->n, next, arg);
    struct bytes got = show(&c);
    REQUIRE(c.result == result, "%s, %s: result %d (%s)", title, how, (int) c.result, c.detail.text);
    REQUIRE(got.n == expected->n && (got.n == 0 || memcmp(got.p, expected->p, got.n) == 0), "%s, %s:\ngot      \"%s\"\nexpected \"%.*s\"",
        title, how, (const char *) got.p, (int) expected->n, (const char *) expected->p);
    drop(&got);
    caught_fini(&c);
}

/* Whole, byte by byte, cut at each offset, in pieces of any size: always the same. Bodies that end in LIMIT or ERROR: whole only. */
static inline void expect_fields(const char *title, const struct sp_message *msg, const struct sp_split_limits *limits,
    const struct bytes *body, const struct bytes *expected, enum sp_split_result result)
{
    char how[64];
    expect_one(title, msg, limits, body, expected, result, whole, NULL, "whole");
    expect_one(title, msg, limits, body, expected, result, one_by_one, NULL, "byte by byte");
    for (size_t at = 1; at < body->n; at++) {
        snprintf(how, sizeof(how), "cut at %zu", at);
        expect_one(title, msg, limits, body, expected, result, cut_at, &at, how);
    }
    for (unsigned seed = 1; seed <= 20; seed++) {
        unsigned x = seed;
        snprintf(how, sizeof(how), "pieces of seed %u", seed);
        expect_one(title, msg, limits, body, expected, result, any, &x, how);
    }
}

static inline void expect_split(const char *title, const char *content_type, const struct sp_split_limits *limits, const struct bytes *body,
    const struct bytes *expected, enum sp_split_result result)
{
    struct sp_field field = { SP_STR("Content-Type"), sp_str_from(content_type) };
    struct sp_message msg = { .kind = SP_MESSAGE_RESPONSE, .fields = &field, .n_fields = 1, .cap_fields = 1 };
    expect_fields(title, &msg, limits, body, expected, result);
}

#endif
