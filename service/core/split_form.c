/* application/x-www-form-urlencoded: each name and each value, decoded, is an object (short ones are not), and what is inside it is
 * looked for one depth further down: what JSON or markup carries if it looks like that, data: URLs, and the whole of it if it is base64.
 *
 * Careless senders have two habits that would spoil base64: a + that was meant as a plus, and JSON or XML as it is under this type. So
 * base64 and data: URLs keep their +, and a body that begins like JSON or XML is looked into as a whole, with its + kept, instead of
 * value by value; two depths down, because one down may be a value in base64.
 *
 * Objects of three depths may thus begin in one piece of the body. It is taken in blocks, so that their order is always the same. */
#include "config.h"

#include "split_text_priv.h"

#include <stdlib.h>
#include <string.h>

#define OUT_BYTES 4096
#define BLOCK_BYTES 4096
#define MIN_BASE64_CHARS 64

struct form_state {
    struct sp_split_ctx *ctx;
    unsigned depth;
    bool is_name;
    bool is_open;   /* a name or value has begun */
    bool is_known;  /* what it looks like */
    bool has_begun; /* the body */
    struct sp_split_late value;
    struct sp_split_string base64;
    struct sp_transfer with_plus; /* of the value, for base64 */
    const struct sp_split_kind *whole_kind; /* what the body looks like that is no form, or NULL */
    void *whole;
    struct sp_transfer whole_plain;
    size_t n_block;
    char block[BLOCK_BYTES];
};

static bool form_accepts(struct sp_str media_type)
{
    return sp_str_equal_nocase(media_type, SP_STR("application/x-www-form-urlencoded"));
}

static void value_begin(struct form_state *s)
{
    sp_split_late_begin(&s->value, SP_TRANSFER_PERCENT, s->whole_kind == NULL ? SP_STR("text/plain") : SP_STR(""));
    s->value.transfer.plus_is_space = true;
    sp_transfer_init(&s->with_plus, SP_TRANSFER_PERCENT);
    sp_split_string_begin(&s->base64);
    s->is_open = true;
    s->is_known = false;
}

/* Looks at the first bytes of the value, while they are held. */
static void value_look(struct form_state *s)
{
    static const char data[] = "data:";
    struct sp_str held = { s->value.held, s->value.n_held };
    struct sp_str type = SP_STR("text/plain");
    while (held.n > 0 && (held.p[0] == ' ' || (held.p[0] >= '\t' && held.p[0] <= '\r'))) {
        held.p++;
        held.n--;
    }
    if (held.n == 0)
        return;
    if (held.p[0] == '{' || held.p[0] == '[' || held.p[0] == '"')
        type = SP_STR("application/json");
    else if (held.n < sizeof(data) - 1 && sp_str_starts_nocase(SP_STR("data:"), held))
        return;
    else if (sp_str_starts_nocase(held, SP_STR("data:")))
        s->value.transfer.plus_is_space = false;
    s->is_known = true;
    if (s->whole_kind != NULL)
        return;
    memcpy(s->value.type, type.p, type.n);
    s->value.n_type = type.n;
}

/* First to the string: it ends before something in the value can begin at the same depth. */
static enum sp_split_result value_bytes(struct form_state *s, const char *p, size_t n, struct sp_error *detail)
{
    enum sp_split_result result = SP_SPLIT_OK;
    char out[OUT_BYTES];
    for (size_t done = 0, used, made; done < n && result == SP_SPLIT_OK && s->base64.state != SP_STRING_NOT; done += used) {
        sp_transfer_step(&s->with_plus, p + done, n - done, &used, out, sizeof(out), &made);
        result = sp_split_string_feed(&s->base64, out, made, detail);
    }
    return result == SP_SPLIT_OK ? sp_split_late_feed(&s->value, p, n, detail) : result;
}

static enum sp_split_result value_feed(struct form_state *s, const char *p, size_t n, struct sp_error *detail)
{
    enum sp_split_result result = SP_SPLIT_OK;
    if (!s->is_open)
        value_begin(s);
    while (result == SP_SPLIT_OK && n > 0 && s->value.part == NULL) { /* so that it begins before what is in it */
        size_t few = s->is_known ? SP_SPLIT_MIN_BYTES - s->value.n_held : 1;
        few = few < n ? few : n;
        result = value_bytes(s, p, few, detail);
        p += few;
        n -= few;
        if (!s->is_known)
            value_look(s);
    }
    return result == SP_SPLIT_OK && n > 0 ? value_bytes(s, p, n, detail) : result;
}

static enum sp_split_result value_end(struct form_state *s, struct sp_error *detail)
{
    char out[8];
    if (!s->is_open)
        return SP_SPLIT_OK;
    s->is_open = false;
    enum sp_split_result result = sp_split_string_feed(&s->base64, out, sp_transfer_finish(&s->with_plus, out), detail);
    if (result == SP_SPLIT_OK)
        result = sp_split_string_end(&s->base64, true, detail);
    return result == SP_SPLIT_OK ? sp_split_late_end(&s->value, detail) : result;
}

/* --- the body ------------------------------------------------------------------------------------------------------------- */

/* No form begins with these characters unless they are escaped. */
static enum sp_split_result body_begin(struct form_state *s, char first, struct sp_error *detail)
{
    s->has_begun = true;
    bool is_json = first == '{' || first == '[';
    if (!is_json && first != '<')
        return SP_SPLIT_OK;
    const struct sp_split_kind *kind = is_json ? &sp_split_json : &sp_split_markup;
    struct sp_str type = is_json ? SP_STR("application/json") : SP_STR("text/xml");
    enum sp_split_result result = kind->init(s->ctx, type, s->depth + 2, detail, &s->whole);
    if (result == SP_SPLIT_OK)
        s->whole_kind = kind;
    return result;
}

static enum sp_split_result whole_feed(struct form_state *s, const char *p, size_t n, struct sp_error *detail)
{
    enum sp_split_result result = SP_SPLIT_OK;
    char out[OUT_BYTES];
    for (size_t used, made; result == SP_SPLIT_OK && n > 0; p += used, n -= used) {
        sp_transfer_step(&s->whole_plain, p, n, &used, out, sizeof(out), &made);
        if (made > 0)
            result = s->whole_kind->feed(s->whole, out, made, detail);
    }
    return result;
}

static enum sp_split_result whole_finish(struct form_state *s, struct sp_error *detail)
{
    char out[8];
    size_t n = sp_transfer_finish(&s->whole_plain, out);
    enum sp_split_result result = n > 0 ? s->whole_kind->feed(s->whole, out, n, detail) : SP_SPLIT_OK;
    return result == SP_SPLIT_OK ? s->whole_kind->finish(s->whole, detail) : result;
}

/* The next & at or behind p, or = if a name is open. */
static const char *find_end(const struct form_state *s, const char *p, const char *end)
{
    const char *amp = memchr(p, '&', (size_t) (end - p));
    amp = amp != NULL ? amp : end;
    const char *equals = s->is_name && amp > p ? memchr(p, '=', (size_t) (amp - p)) : NULL;
    return equals != NULL ? equals : amp;
}

static enum sp_split_result form_block(struct form_state *s, const char *p, size_t n, struct sp_error *detail)
{
    const char *begin = p, *end = p + n;
    enum sp_split_result result = s->has_begun ? SP_SPLIT_OK : body_begin(s, *p, detail);
    while (result == SP_SPLIT_OK && p < end) {
        const char *value_end_at = find_end(s, p, end);
        if (value_end_at > p)
            result = value_feed(s, p, (size_t) (value_end_at - p), detail);
        if (result == SP_SPLIT_OK && value_end_at < end) {
            result = value_end(s, detail);
            s->is_name = *value_end_at == '&';
            value_end_at++;
        }
        p = value_end_at;
    }
    return result == SP_SPLIT_OK && s->whole_kind != NULL ? whole_feed(s, begin, n, detail) : result;
}

static enum sp_split_result form_feed(void *state, const char *p, size_t n, struct sp_error *detail)
{
    struct form_state *s = state;
    enum sp_split_result result = SP_SPLIT_OK;
    while (result == SP_SPLIT_OK && n > 0) {
        size_t used = BLOCK_BYTES - s->n_block;
        used = used < n ? used : n;
        if (used == BLOCK_BYTES) {
            result = form_block(s, p, used, detail);
        } else {
            memcpy(s->block + s->n_block, p, used);
            s->n_block += used;
            if (s->n_block == BLOCK_BYTES) {
                s->n_block = 0;
                result = form_block(s, s->block, BLOCK_BYTES, detail);
            }
        }
        p += used;
        n -= used;
    }
    return result;
}

static enum sp_split_result form_finish(void *state, struct sp_error *detail)
{
    struct form_state *s = state;
    enum sp_split_result result = s->n_block > 0 ? form_block(s, s->block, s->n_block, detail) : SP_SPLIT_OK;
    if (result == SP_SPLIT_OK)
        result = value_end(s, detail);
    return result == SP_SPLIT_OK && s->whole_kind != NULL ? whole_finish(s, detail) : result;
}

static void form_fini(void *state)
{
    struct form_state *s = state;
    if (s->whole_kind != NULL)
        s->whole_kind->fini(s->whole);
    sp_split_string_fini(&s->base64);
    sp_split_late_fini(&s->value);
    free(s);
}

static enum sp_split_result form_init(
    struct sp_split_ctx *ctx, struct sp_str content_type, unsigned depth, struct sp_error *detail, void **state_out)
{
    (void) content_type;
    struct form_state *s = calloc(1, sizeof(*s));
    *state_out = s;
    if (s == NULL) {
        sp_error_set(detail, SP_ERR_NOMEM, "no memory to decode a form");
        return SP_SPLIT_ERROR;
    }
    s->ctx = ctx;
    s->depth = depth;
    s->is_name = true;
    sp_transfer_init(&s->whole_plain, SP_TRANSFER_PERCENT);
    sp_split_late_init(&s->value, ctx, depth);
    sp_split_string_init(&s->base64, ctx, depth + 1, MIN_BASE64_CHARS);
    return SP_SPLIT_OK;
}

const struct sp_split_kind sp_split_form = {
    .name = "form",
    .accepts = form_accepts,
    .init = form_init,
    .feed = form_feed,
    .finish = form_finish,
    .fini = form_fini,
};
