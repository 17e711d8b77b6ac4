/* JSON, and text that browsers run or show (HTML, XML, CSS, scripts, plain): two kinds of body, one search for data: URLs anywhere and
 * for base64 in string literals. It runs over nearly every reply, so it skips, and knows no grammar: whatever is odd in a page, the
 * same bytes are found, and nothing is an error.
 *
 * A URL is found by its colon. A literal is a quote and what follows of the characters that base64 and escapes have; because one that
 * counts is long, only every so many bytes are looked at. In JSON literals from 64 characters on count, in the rest from 1,024 on: in
 * a script that is a program or a picture; less may be anything. There the text of an element counts too (in XML: SOAP, WebDAV). */
#include "config.h"

#include "split_text_priv.h"

#include <stdlib.h>
#include <string.h>

#define JSON_MIN_CHARS 64
#define MARKUP_MIN_CHARS 1024
#define MAX_BLANKS 8 /* between what a URL stands behind and the URL */
#define TAIL_BYTES 16 /* at least the opener, its escape, the blanks, "data" */

#define LITERAL_CHARS (SP_CHAR_BASE64 | SP_CHAR_PAD | SP_CHAR_EOL | SP_CHAR_ESCAPE)

struct text_state {
    enum { TEXT, LITERAL, URL } mode;
    bool is_json;
    unsigned min_chars;
    unsigned n_tail;
    char tail[TAIL_BYTES]; /* the last bytes before this piece */
    struct sp_split_url url;
    struct sp_split_string literal;
};

/* One piece of the body, and what is known to come next in it: each at or behind where the search is, or in need of a new search. */
struct piece {
    const char *begin, *end;
    const char *next_url, *next_literal;
};

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_opener(const struct text_state *s, char c)
{
    return c == '"' || (!s->is_json && (c == '\'' || c == '`' || c == '>'));
}

/* The byte that stands k before at; 0 where there is none. */
static char before(const struct text_state *s, const struct piece *piece, const char *at, size_t k)
{
    size_t n_here = (size_t) (at - piece->begin);
    if (k <= n_here)
        return at[-(ptrdiff_t) k];
    k -= n_here;
    return k <= s->n_tail ? s->tail[s->n_tail - k] : '\0';
}

static void keep_tail(struct text_state *s, const char *p, size_t n)
{
    if (n >= TAIL_BYTES) {
        memcpy(s->tail, p + n - TAIL_BYTES, TAIL_BYTES);
        s->n_tail = TAIL_BYTES;
        return;
    }
    size_t keep = TAIL_BYTES - n < s->n_tail ? TAIL_BYTES - n : s->n_tail;
    memmove(s->tail, s->tail + s->n_tail - keep, keep);
    memcpy(s->tail + keep, p, n);
    s->n_tail = (unsigned) (keep + n);
}

/* --- data: URLs ----------------------------------------------------------------------------------------------------------- */

/* The next colon behind "data", from at on. */
static const char *find_url(const struct text_state *s, const struct piece *piece, const char *at)
{
    while (at < piece->end) {
        const char *colon = memchr(at, ':', (size_t) (piece->end - at));
        if (colon == NULL)
            break;
        if ((before(s, piece, colon, 1) | 0x20) == 'a' && (before(s, piece, colon, 2) | 0x20) == 't'
            && (before(s, piece, colon, 3) | 0x20) == 'a' && (before(s, piece, colon, 4) | 0x20) == 'd')
            return colon;
        at = colon + 1;
    }
    return piece->end;
}

/* What the URL stands behind, whose "data:" ends with colon. */
static struct sp_split_place find_place(const struct text_state *s, const struct piece *piece, const char *colon)
{
    size_t k = sizeof("data:") - 1;
    while (is_blank(before(s, piece, colon, k)) && k < sizeof("data:") - 1 + MAX_BLANKS)
        k++;
    char c = before(s, piece, colon, k);
    if (k > (size_t) (colon - piece->begin) + s->n_tail) /* the tail has more than was looked at, unless there is no more */
        return (struct sp_split_place){ .kind = SP_PLACE_START };
    if (c == '"' || c == '\'' || c == '`') {
        bool is_escaped = before(s, piece, colon, k + 1) == '\\';
        return (struct sp_split_place){ .kind = SP_PLACE_QUOTED, .quote = c, .is_escaped = is_escaped };
    }
    if (c == '(')
        return (struct sp_split_place){ .kind = SP_PLACE_BRACKET };
    if (c == '=')
        return (struct sp_split_place){ .kind = SP_PLACE_ATTRIBUTE };
    return (struct sp_split_place){ .kind = c == ';' ? SP_PLACE_ENTITY : SP_PLACE_UNKNOWN };
}

/* --- literals ------------------------------------------------------------------------------------------------------------- */

static bool is_literal_char(char c)
{
    return (sp_split_char(c) & LITERAL_CHARS) != 0;
}

/* The first character of the next literal from at on that has min_chars or touches the end of the piece.
 *
 * Such a literal that begins at at or up to min_chars behind it covers the byte min_chars - 1 behind at. So that byte is looked at,
 * and then what is around it. */
static const char *find_literal(const struct text_state *s, const struct piece *piece, const char *at)
{
    while (at < piece->end) {
        bool is_near_end = (size_t) (piece->end - at) <= s->min_chars;
        const char *probe = is_near_end ? piece->end - 1 : at + s->min_chars - 1;
        const char *first = probe + 1, *behind = probe + 1;
        while (first > at && is_literal_char(first[-1]))
            first--;
        if (first <= probe && is_opener(s, before(s, piece, first, 1))) {
            while (behind < piece->end && (size_t) (behind - first) < s->min_chars && is_literal_char(*behind))
                behind++;
            if (behind == piece->end || (size_t) (behind - first) == s->min_chars)
                return first;
        }
        at = behind;
    }
    return piece->end;
}

/* --- the search ----------------------------------------------------------------------------------------------------------- */

/* Between URLs and literals: goes to the next one and begins it. */
static const char *text_step(struct text_state *s, struct piece *piece, const char *at)
{
    if (piece->next_url == NULL || piece->next_url < at)
        piece->next_url = find_url(s, piece, at);
    if (piece->next_literal == NULL || piece->next_literal < at)
        piece->next_literal = find_literal(s, piece, at);
    if (piece->next_literal < piece->next_url) {
        s->mode = LITERAL;
        sp_split_string_begin(&s->literal);
        return piece->next_literal;
    }
    if (piece->next_url == piece->end)
        return piece->end;
    s->mode = URL;
    sp_split_url_begin(&s->url, find_place(s, piece, piece->next_url));
    return piece->next_url + 1;
}

static enum sp_split_result literal_step(struct text_state *s, const struct piece *piece, const char **at, struct sp_error *detail)
{
    const char *begin = *at, *end = *at;
    while (end < piece->end && is_literal_char(*end))
        end++;
    *at = end;
    enum sp_split_result result = sp_split_string_feed(&s->literal, begin, (size_t) (end - begin), detail);
    if (result == SP_SPLIT_OK && end < piece->end) {
        s->mode = TEXT;
        result = sp_split_string_end(&s->literal, is_opener(s, *end) || *end == '<', detail);
    }
    return result;
}

static enum sp_split_result text_feed(void *state, const char *p, size_t n, struct sp_error *detail)
{
    struct text_state *s = state;
    struct piece piece = { .begin = p, .end = p + n };
    enum sp_split_result result = SP_SPLIT_OK;
    for (const char *at = p; at < piece.end && result == SP_SPLIT_OK;) {
        if (s->mode == TEXT) {
            at = text_step(s, &piece, at);
        } else if (s->mode == LITERAL) {
            result = literal_step(s, &piece, &at, detail);
        } else {
            size_t used;
            result = sp_split_url_feed(&s->url, at, (size_t) (piece.end - at), &used, detail);
            at += used;
            if (s->url.state == SP_URL_OVER)
                s->mode = TEXT;
        }
    }
    keep_tail(s, p, n);
    return result;
}

static enum sp_split_result text_finish(void *state, struct sp_error *detail)
{
    struct text_state *s = state;
    if (s->mode == LITERAL)
        return sp_split_string_end(&s->literal, true, detail);
    return s->mode == URL ? sp_split_url_end(&s->url, detail) : SP_SPLIT_OK;
}

static void text_fini(void *state)
{
    struct text_state *s = state;
    sp_split_string_fini(&s->literal);
    sp_split_url_fini(&s->url);
    free(s);
}

/* --- the two kinds -------------------------------------------------------------------------------------------------------- */

static bool is_script(struct sp_str media_type)
{
    return sp_str_contains_nocase(media_type, SP_STR("javascript")) || sp_str_contains_nocase(media_type, SP_STR("ecmascript"));
}

static bool ends_nocase(struct sp_str s, struct sp_str end)
{
    return s.n >= end.n && sp_str_equal_nocase((struct sp_str){ s.p + s.n - end.n, end.n }, end);
}

static bool json_accepts(struct sp_str media_type)
{
    return sp_str_contains_nocase(media_type, SP_STR("json")) || sp_str_equal_nocase(media_type, SP_STR("application/graphql"))
        || sp_str_equal_nocase(media_type, SP_STR("application/csp-report"));
}

static bool markup_accepts(struct sp_str media_type)
{
    return sp_str_starts_nocase(media_type, SP_STR("text/")) || ends_nocase(media_type, SP_STR("xml")) || is_script(media_type)
        || ends_nocase(media_type, SP_STR("manifest"));
}

static enum sp_split_result text_init(
    struct sp_split_ctx *ctx, struct sp_str content_type, unsigned depth, bool is_json, struct sp_error *detail, void **state_out)
{
    bool has_escapes = is_json || is_script(sp_split_media_type(content_type));
    struct text_state *s = calloc(1, sizeof(*s));
    *state_out = s;
    if (s == NULL) {
        sp_error_set(detail, SP_ERR_NOMEM, "no memory to look for what is inside text");
        return SP_SPLIT_ERROR;
    }
    s->is_json = is_json;
    s->min_chars = is_json ? JSON_MIN_CHARS : MARKUP_MIN_CHARS;
    sp_split_string_init(&s->literal, ctx, depth, s->min_chars);
    sp_split_url_init(&s->url, ctx, depth, has_escapes, !has_escapes);
    return SP_SPLIT_OK;
}

static enum sp_split_result json_init(
    struct sp_split_ctx *ctx, struct sp_str content_type, unsigned depth, struct sp_error *detail, void **state_out)
{
    return text_init(ctx, content_type, depth, true, detail, state_out);
}

static enum sp_split_result markup_init(
    struct sp_split_ctx *ctx, struct sp_str content_type, unsigned depth, struct sp_error *detail, void **state_out)
{
    return text_init(ctx, content_type, depth, false, detail, state_out);
}

const struct sp_split_kind sp_split_json = {
    .name = "JSON",
    .accepts = json_accepts,
    .init = json_init,
    .feed = text_feed,
    .finish = text_finish,
    .fini = text_fini,
};

const struct sp_split_kind sp_split_markup = {
    .name = "text",
    .accepts = markup_accepts,
    .init = markup_init,
    .feed = text_feed,
    .finish = text_finish,
    .fini = text_fini,
};
