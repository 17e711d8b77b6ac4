/* The public face of splitting: the table of kinds, and the objects that the kinds find. The rule that types cannot say: a fault
 * (BAD) is noted and the rest of the body is still taken apart, so that what is in it is scanned whatever is done about the fault;
 * only a cap or a failure of ours ends the split. */
#include "config.h"

#include "sallyport/assert.h"
#include "split_priv.h"

#include <stdlib.h>
#include <string.h>

/* A body being looked into. kind NULL: nothing is looked for in it. */
struct body {
    const struct sp_split_kind *kind;
    void *state;
};

struct sp_split_part {
    struct sp_split_ctx *ctx;
    unsigned depth;
    bool is_begun;
    struct body inside;
};

struct sp_split {
    struct sp_split_ctx ctx;
    struct body top;
    enum sp_split_result result;
    bool is_fed; /* at least one byte */
    bool is_finished;
};

/* --- Content-Type --------------------------------------------------------------------------------------------------- */

static const struct sp_split_kind *find_kind(struct sp_str content_type)
{
    static const struct sp_split_kind *const kinds[] = { &sp_split_multipart, &sp_split_form, &sp_split_json, &sp_split_markup };
    struct sp_str media_type = sp_split_media_type(content_type);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i]->accepts(media_type))
            return kinds[i];
    return NULL;
}

/* A folded field still has its line ends inside. */
static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct sp_str sp_split_media_type(struct sp_str s)
{
    const char *semicolon = s.n > 0 ? memchr(s.p, ';', s.n) : NULL;
    if (semicolon != NULL)
        s.n = (size_t) (semicolon - s.p);
    for (; s.n > 0 && is_blank(s.p[0]); s.p++)
        s.n--;
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct sp_str sp_split_content_type(const struct sp_message *msg, bool *is_ambiguous_out)
{
    struct sp_str chosen = { 0 }, first = { 0 };
    const struct sp_split_kind *chosen_kind = NULL;
    bool is_multipart = false, is_different = false;
    const struct sp_field *field;
    size_t pos = 0;

    for (size_t i = 0; (field = sp_message_next(msg, SP_STR("Content-Type"), &pos)) != NULL; i++) {
        const struct sp_split_kind *kind = find_kind(field->value);
        if (i == 0)
            first = field->value;
        is_different = is_different || !sp_str_equal(field->value, first);
        is_multipart = is_multipart || kind == &sp_split_multipart;
        if (kind != NULL && (chosen_kind == NULL || (kind == &sp_split_multipart && chosen_kind != kind))) {
            chosen_kind = kind;
            chosen = field->value;
        }
    }
    *is_ambiguous_out = is_multipart && is_different;
    return chosen_kind != NULL ? chosen : first;
}

/* --- looking into a body -------------------------------------------------------------------------------------------- */

static void body_close(struct body *body)
{
    if (body->kind != NULL)
        body->kind->fini(body->state);
    *body = (struct body){ 0 };
}

/* What a kind said. BAD ends the kind and is kept for the end. */
static enum sp_split_result judge(
    struct sp_split_ctx *ctx, struct body *body, enum sp_split_result result, const struct sp_error *why, struct sp_error *detail)
{
    if (result == SP_SPLIT_BAD) {
        sp_error_set(&ctx->bad, SP_ERR_SYNTAX, "%s", why->text);
        body_close(body);
        return SP_SPLIT_OK;
    }
    if (result != SP_SPLIT_OK)
        sp_error_set(detail, SP_ERR_IO, "%s", why->text);
    return result;
}

static enum sp_split_result body_open(
    struct sp_split_ctx *ctx, struct body *body, struct sp_str content_type, unsigned depth, struct sp_error *detail)
{
    struct sp_error why = { 0 };
    *body = (struct body){ 0 };
    const struct sp_split_kind *kind = find_kind(content_type);
    if (kind == NULL)
        return SP_SPLIT_OK;
    enum sp_split_result result = kind->init(ctx, content_type, depth, &why, &body->state);
    if (result == SP_SPLIT_OK)
        body->kind = kind;
    return judge(ctx, body, result, &why, detail);
}

static enum sp_split_result body_feed(struct sp_split_ctx *ctx, struct body *body, const void *p, size_t n, struct sp_error *detail)
{
    struct sp_error why;
    if (body->kind == NULL || n == 0)
        return SP_SPLIT_OK;
    why.text[0] = '\0';
    return judge(ctx, body, body->kind->feed(body->state, p, n, &why), &why, detail);
}

static enum sp_split_result body_finish(struct sp_split_ctx *ctx, struct body *body, struct sp_error *detail)
{
    struct sp_error why = { 0 };
    if (body->kind == NULL)
        return SP_SPLIT_OK;
    return judge(ctx, body, body->kind->finish(body->state, &why), &why, detail);
}

/* --- objects -------------------------------------------------------------------------------------------------------- */

static enum sp_split_result from_sink(enum sp_status status, struct sp_error *detail)
{
    if (status == SP_OK)
        return SP_SPLIT_OK;
    sp_error_set(detail, status, "an object inside the body was not taken: %s", sp_status_name(status));
    return status == SP_ERR_LIMIT ? SP_SPLIT_LIMIT : SP_SPLIT_ERROR;
}

static enum sp_split_result check_caps(struct sp_split_ctx *ctx, unsigned depth, struct sp_error *detail)
{
    unsigned max_depth = ctx->limits.max_depth < SP_SPLIT_MAX_DEPTH ? ctx->limits.max_depth : SP_SPLIT_MAX_DEPTH;
    if (depth >= max_depth) {
        sp_error_set(detail, SP_ERR_LIMIT, "objects inside objects more than %u deep", max_depth);
        return SP_SPLIT_LIMIT;
    }
    if (ctx->n_parts >= ctx->limits.max_parts) {
        sp_error_set(detail, SP_ERR_LIMIT, "more than %u objects inside the body", ctx->limits.max_parts);
        return SP_SPLIT_LIMIT;
    }
    ctx->n_parts++;
    return SP_SPLIT_OK;
}

enum sp_split_result sp_split_part_new(
    struct sp_split_ctx *ctx, struct sp_str content_type, unsigned depth, struct sp_error *detail, struct sp_split_part **part_out)
{
    *part_out = NULL;
    enum sp_split_result result = check_caps(ctx, depth, detail);
    if (result != SP_SPLIT_OK)
        return result;
    struct sp_split_part *part = calloc(1, sizeof(*part));
    if (part == NULL) {
        sp_error_set(detail, SP_ERR_NOMEM, "no memory for an object inside the body");
        return SP_SPLIT_ERROR;
    }
    part->ctx = ctx;
    part->depth = depth;
    result = body_open(ctx, &part->inside, content_type, depth + 1, detail);
    if (result == SP_SPLIT_OK)
        *part_out = part;
    else
        sp_split_part_free(&part);
    return result;
}

enum sp_split_result sp_split_part_feed(struct sp_split_part *part, const void *p, size_t n, struct sp_error *detail)
{
    const struct sp_split_sink *sink = &part->ctx->sink;
    enum sp_split_result result = SP_SPLIT_OK;
    if (n == 0)
        return result;
    if (!part->is_begun) {
        result = from_sink(sink->begin(sink->arg, part->depth), detail);
        part->is_begun = result == SP_SPLIT_OK;
    }
    if (result == SP_SPLIT_OK)
        result = from_sink(sink->bytes(sink->arg, part->depth, p, n), detail);
    if (result == SP_SPLIT_OK)
        result = body_feed(part->ctx, &part->inside, p, n, detail);
    return result;
}

enum sp_split_result sp_split_part_finish(struct sp_split_part *part, struct sp_error *detail)
{
    const struct sp_split_sink *sink = &part->ctx->sink;
    enum sp_split_result result = body_finish(part->ctx, &part->inside, detail);
    if (result == SP_SPLIT_OK && part->is_begun)
        result = from_sink(sink->end(sink->arg, part->depth), detail);
    return result;
}

void sp_split_part_free(struct sp_split_part **part)
{
    if (*part == NULL)
        return;
    body_close(&(*part)->inside);
    free(*part);
    *part = NULL;
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

bool sp_split_is_needed(const struct sp_message *msg)
{
    bool is_ambiguous;
    return find_kind(sp_split_content_type(msg, &is_ambiguous)) != NULL;
}

enum sp_split_result sp_split_new(const struct sp_message *msg, const struct sp_split_limits *limits, const struct sp_split_sink *sink,
    struct sp_error *detail, struct sp_split **split_out)
{
    bool is_ambiguous;
    *split_out = NULL;
    SP_ASSERT(limits->max_depth >= 1 && limits->max_depth <= SP_SPLIT_MAX_DEPTH);
    struct sp_split *split = calloc(1, sizeof(*split));
    if (split == NULL) {
        sp_error_set(detail, SP_ERR_NOMEM, "no memory to look into the body");
        return SP_SPLIT_ERROR;
    }
    split->ctx.limits = *limits;
    split->ctx.sink = *sink;
    struct sp_str content_type = sp_split_content_type(msg, &is_ambiguous);
    if (is_ambiguous)
        sp_error_set(&split->ctx.bad, SP_ERR_SYNTAX, "several Content-Type fields that differ, one of them multipart");
    enum sp_split_result result = body_open(&split->ctx, &split->top, content_type, 0, detail);
    if (result == SP_SPLIT_OK)
        *split_out = split;
    else
        sp_split_free(&split);
    return result;
}

void sp_split_free(struct sp_split **split)
{
    if (*split == NULL)
        return;
    body_close(&(*split)->top);
    free(*split);
    *split = NULL;
}

enum sp_split_result sp_split_feed(struct sp_split *split, const void *p, size_t n, struct sp_error *detail)
{
    SP_ASSERT(!split->is_finished || n == 0);
    split->is_fed = split->is_fed || n > 0;
    if (split->result == SP_SPLIT_OK)
        split->result = body_feed(&split->ctx, &split->top, p, n, detail);
    else
        sp_error_set(detail, SP_ERR_SYNTAX, "looking into the body has failed before");
    return split->result;
}

enum sp_split_result sp_split_finish(struct sp_split *split, struct sp_error *detail)
{
    split->is_finished = true;
    if (split->result != SP_SPLIT_OK) {
        sp_error_set(detail, SP_ERR_SYNTAX, "looking into the body has failed before");
        return split->result;
    }
    if (!split->is_fed)
        return SP_SPLIT_OK;
    split->result = body_finish(&split->ctx, &split->top, detail);
    if (split->result == SP_SPLIT_OK && split->ctx.bad.text[0] != '\0') {
        sp_error_set(detail, SP_ERR_SYNTAX, "%s", split->ctx.bad.text);
        split->result = SP_SPLIT_BAD;
    }
    return split->result;
}
