/* The data: URL (RFC 2397), from behind "data:" to its end, as browsers read it: head, comma, payload in base64 or percent-encoded.
 *
 * Each character passes up to three wrappings, outermost first: escapes of a script's or JSON's string, character references of
 * markup, percent escapes. In head and base64 all three are undone whatever the body is, because there none of their signs stands for
 * itself; in a percent-encoded payload only those that the kind of body has.
 *
 * Where it ends must not be guessed too early (the rest would not be scanned) nor so late that it takes in another URL or string. So
 * base64 ends at what cannot be base64, and the rest by where the URL stands. */
#include "config.h"

#include "split_text_priv.h"

#include "sallyport/text.h"

#include <string.h>
#include <strings.h>

enum origin { RAW, ESCAPED, REFERENCE };

void sp_split_url_init(struct sp_split_url *url, struct sp_split_ctx *ctx, unsigned depth, bool has_escapes, bool has_entities)
{
    sp_split_late_init(&url->object, ctx, depth);
    url->has_escapes = has_escapes;
    url->has_entities = has_entities;
    url->state = SP_URL_OVER;
}

void sp_split_url_fini(struct sp_split_url *url)
{
    sp_split_late_fini(&url->object);
}

static void head_begin(struct sp_split_url *url)
{
    sp_split_late_begin(&url->object, SP_TRANSFER_IDENTITY, SP_STR(""));
    url->n_token = 0;
    url->is_parameter = url->is_base64 = url->has_slash = false;
    url->last_four = 0;
}

void sp_split_url_begin(struct sp_split_url *url, struct sp_split_place place)
{
    url->state = SP_URL_HEAD;
    url->place = place;
    url->unescape = (struct sp_split_unescape){ 0 };
    url->n_reference = 0;
    url->n_percent = 0;
    url->is_padded = false;
    head_begin(url);
}

static enum sp_split_result over(struct sp_split_url *url, struct sp_error *detail)
{
    url->state = SP_URL_OVER;
    return sp_split_late_end(&url->object, detail);
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_quote(char c)
{
    return c == '"' || c == '\'' || c == '`';
}

/* --- head --------------------------------------------------------------------------------------------------------------- */

/* A parameter ends: is it the one that says base64? */
static void token_end(struct sp_split_url *url)
{
    url->is_base64 = url->is_base64 || (url->is_parameter && url->n_token == sizeof("base64") - 1);
    url->is_parameter = true;
    url->n_token = 0;
}

static void token_char(struct sp_split_url *url, char c)
{
    static const char word[] = "base64";
    if (c == ' ')
        return;
    bool fits = url->n_token < sizeof(word) - 1 && (c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c) == word[url->n_token];
    url->n_token = fits ? url->n_token + 1 : SIZE_MAX;
}

/* A payload that is not base64 ends by a guess, and may then hold other URLs. So what is in it is always looked into. */
static void settle_type(struct sp_split_late *object)
{
    struct sp_str media_type = sp_split_media_type((struct sp_str){ object->type, object->n_type });
    if (!sp_split_markup.accepts(media_type) && !sp_split_json.accepts(media_type))
        sp_split_late_begin(object, SP_TRANSFER_PERCENT, SP_STR("text/plain"));
}

/* Much of what has "data:" and a comma is no URL: a field of a script's object, a line of prose. Base64 must be named; for the rest it
 * must stand where a URL does and have a type or none. */
static enum sp_split_result head_end(struct sp_split_url *url, struct sp_error *detail)
{
    struct sp_split_late *object = &url->object;
    token_end(url);
    if (!url->is_base64 && (url->place.kind == SP_PLACE_UNKNOWN || !(url->has_slash || object->n_type == 0 || object->type[0] == ';')))
        return over(url, detail);
    url->state = url->is_base64 ? SP_URL_BASE64 : SP_URL_PERCENT;
    sp_transfer_init(&object->transfer, url->is_base64 ? SP_TRANSFER_BASE64 : SP_TRANSFER_PERCENT);
    if (!url->is_base64)
        settle_type(object);
    return SP_SPLIT_OK;
}

static bool may_be_in_head(const struct sp_split_url *url, char c, enum origin origin)
{
    if (is_quote(c))
        return url->place.kind == SP_PLACE_QUOTED && (c != url->place.quote || (origin != RAW && !url->place.is_escaped));
    if (is_blank(c))
        return url->place.kind != SP_PLACE_BRACKET && url->place.kind != SP_PLACE_ATTRIBUTE;
    return c > ' ' && c < 0x7f && strchr("<>{}()[]|^\\", c) == NULL;
}

static enum sp_split_result head_char(struct sp_split_url *url, char c, enum origin origin, struct sp_error *detail)
{
    struct sp_split_late *object = &url->object;
    const uint32_t data = 'd' << 24 | 'a' << 16 | 't' << 8 | 'a';
    if (c == ',')
        return head_end(url, detail);
    if (!may_be_in_head(url, c, origin))
        return over(url, detail);
    if (c == ':' && (url->last_four | 0x20202020u) == data) { /* that one was none, this one may be */
        head_begin(url);
        return SP_SPLIT_OK;
    }
    url->last_four = url->last_four << 8 | (unsigned char) c;
    if (c == '\t' || c == '\r' || c == '\n')
        return SP_SPLIT_OK;
    if (c == ';')
        token_end(url);
    else
        token_char(url, c);
    url->has_slash = url->has_slash || (c == '/' && !url->is_parameter);
    if (object->n_type < sizeof(object->type))
        object->type[object->n_type++] = c;
    return SP_SPLIT_OK;
}

/* --- payload ------------------------------------------------------------------------------------------------------------ */

static enum sp_split_result base64_char(struct sp_split_url *url, char c, enum origin origin, struct sp_error *detail)
{
    bool is_wrapped = origin != RAW;
    if (url->n_percent > 0) {
        int digit = sp_hex_digit(c);
        if (digit < 0)
            return over(url, detail);
        url->percent = url->percent << 4 | (unsigned) digit;
        if (++url->n_percent < 3)
            return SP_SPLIT_OK;
        url->n_percent = 0;
        c = (char) url->percent;
        is_wrapped = true;
    } else if (c == '%') {
        url->n_percent = 1;
        url->percent = 0;
        return SP_SPLIT_OK;
    }
    if (is_blank(c)) {
        bool is_end = !is_wrapped
            && (url->is_padded || url->place.kind == SP_PLACE_BRACKET || url->place.kind == SP_PLACE_ATTRIBUTE);
        return is_end ? over(url, detail) : SP_SPLIT_OK;
    }
    if ((sp_split_char(c) & (SP_CHAR_BASE64 | SP_CHAR_PAD)) == 0)
        return over(url, detail);
    url->is_padded = c == '=';
    return sp_split_late_feed(&url->object, &c, 1, detail);
}

static bool ends_payload(const struct sp_split_url *url, char c, enum origin origin)
{
    switch (url->place.kind) {
    case SP_PLACE_QUOTED:
        return c == url->place.quote && (origin == RAW || (origin == ESCAPED && url->place.is_escaped));
    case SP_PLACE_ENTITY:
        return (origin == REFERENCE && is_quote(c)) || (origin == RAW && c == '"');
    case SP_PLACE_BRACKET:
        return origin == RAW && (c == ')' || c == '"' || is_blank(c));
    case SP_PLACE_ATTRIBUTE:
        return origin == RAW && (c == '>' || is_blank(c));
    case SP_PLACE_START:
    case SP_PLACE_UNKNOWN:
        break;
    }
    return false;
}

static enum sp_split_result percent_char(struct sp_split_url *url, char c, enum origin origin, struct sp_error *detail)
{
    if (ends_payload(url, c, origin))
        return over(url, detail);
    if (c == '\t' || c == '\r' || c == '\n') /* no URL has them; browsers take them out */
        return SP_SPLIT_OK;
    return sp_split_late_feed(&url->object, &c, 1, detail);
}

/* A character without the wrapping of the body around it. */
static enum sp_split_result plain_char(struct sp_split_url *url, char c, enum origin origin, struct sp_error *detail)
{
    if (url->state == SP_URL_HEAD)
        return head_char(url, c, origin, detail);
    return url->state == SP_URL_BASE64 ? base64_char(url, c, origin, detail) : percent_char(url, c, origin, detail);
}

/* --- what a body wraps around its characters ------------------------------------------------------------------------------ */

/* The character that "&name" or "&#digits" stands for, or -1. */
static int reference_value(const char *p, size_t n, bool has_semicolon)
{
    static const struct {
        const char *name;
        char c;
    } names[] = { { "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' }, { "apos", '\'' }, { "plus", '+' }, { "sol", '/' },
        { "equals", '=' }, { "comma", ',' }, { "colon", ':' }, { "semi", ';' }, { "percnt", '%' }, { "NewLine", '\n' }, { "Tab", '\t' } };
    if (n > 2 && p[1] == '#') {
        bool is_hex = p[2] == 'x' || p[2] == 'X';
        unsigned long value = 0;
        size_t i = is_hex ? 3 : 2;
        if (i == n)
            return -1;
        for (; i < n; i++) {
            int digit = sp_hex_digit(p[i]);
            if (digit < 0 || (digit > 9 && !is_hex))
                return -1;
            value = value * (is_hex ? 16 : 10) + (unsigned) digit;
        }
        return value < 0x80 ? (int) value : '?';
    }
    for (size_t i = 0; has_semicolon && i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i].name) == n - 1 && memcmp(names[i].name, p + 1, n - 1) == 0)
            return names[i].c;
    return -1;
}

/* True if c goes on with the reference. A number ends with its last digit. */
static bool is_in_reference(const struct sp_split_url *url, char c)
{
    const char *p = url->reference;
    size_t n = url->n_reference;
    if (n == 1 || p[1] != '#')
        return (sp_split_char(c) & SP_CHAR_BASE) != 0 || (c == '#' && n == 1);
    bool is_hex = n > 2 && (p[2] == 'x' || p[2] == 'X');
    return (c >= '0' && c <= '9') || (is_hex && sp_hex_digit(c) >= 0) || (n == 2 && (c == 'x' || c == 'X'));
}

/* Leading zeros are without number, so only one is kept. */
static bool is_more_zeros(const struct sp_split_url *url, char c)
{
    const char *p = url->reference;
    size_t n = url->n_reference;
    return c == '0' && n >= 3 && p[1] == '#' && p[n - 1] == '0' && (n == 3 || (n == 4 && (p[2] == 'x' || p[2] == 'X')));
}

static enum sp_split_result reference_char(struct sp_split_url *url, char c, bool *is_taken, struct sp_error *detail)
{
    size_t n = url->n_reference;
    bool is_part = is_in_reference(url, c);
    if (is_part && is_more_zeros(url, c))
        return SP_SPLIT_OK;
    if (is_part && n < sizeof(url->reference)) {
        url->reference[url->n_reference++] = c;
        return SP_SPLIT_OK;
    }
    *is_taken = c == ';';
    int value = is_part ? -1 : reference_value(url->reference, n, c == ';');
    url->n_reference = 0;
    if (value >= 0)
        return plain_char(url, (char) value, REFERENCE, detail);
    *is_taken = false;
    /* None after all: an & means itself in a payload, and nothing elsewhere. */
    return url->state == SP_URL_PERCENT ? sp_split_late_feed(&url->object, url->reference, n, detail) : over(url, detail);
}

static enum sp_split_result escape_char(struct sp_split_url *url, char c, bool *is_taken, struct sp_error *detail)
{
    int value = sp_split_unescape_step(&url->unescape, c, url->state != SP_URL_PERCENT);
    if (value == SP_UNESCAPE_MORE)
        return SP_SPLIT_OK;
    if (value >= 0)
        return plain_char(url, (char) value, ESCAPED, detail);
    *is_taken = false;
    return url->state == SP_URL_PERCENT ? SP_SPLIT_OK : over(url, detail);
}

/* One byte of the body. Not taken: it ended something and is to be looked at again, or it ended the URL. */
static enum sp_split_result url_byte(struct sp_split_url *url, char c, bool *is_taken, struct sp_error *detail)
{
    bool is_payload = url->state == SP_URL_PERCENT;
    *is_taken = true;
    if (url->n_reference > 0)
        return reference_char(url, c, is_taken, detail);
    if (url->unescape.is_open || (c == '\\' && (url->has_escapes || !is_payload)))
        return escape_char(url, c, is_taken, detail);
    if (c == '&' && (url->has_entities || !is_payload)) {
        url->reference[url->n_reference++] = c;
        return SP_SPLIT_OK;
    }
    enum sp_split_result result = plain_char(url, c, RAW, detail);
    *is_taken = url->state != SP_URL_OVER;
    return result;
}

/* What needs no look at each byte, from p on. */
static const char *plain_run(const struct sp_split_url *url, const char *p, const char *end)
{
    if (url->n_reference > 0 || url->unescape.is_open || url->n_percent > 0)
        return p;
    if (url->state == SP_URL_BASE64)
        while (p < end && (sp_split_char(*p) & SP_CHAR_BASE64) != 0)
            p++;
    if (url->state == SP_URL_PERCENT)
        while (p < end && (sp_split_char(*p) & SP_CHAR_SPECIAL) == 0)
            p++;
    return p;
}

enum sp_split_result sp_split_url_feed(
    struct sp_split_url *url, const char *p, size_t n, size_t *used_out, struct sp_error *detail)
{
    enum sp_split_result result = SP_SPLIT_OK;
    const char *begin = p, *end = p + n;
    while (p < end && result == SP_SPLIT_OK && url->state != SP_URL_OVER) {
        const char *run_end = plain_run(url, p, end);
        bool is_taken = false;
        if (run_end > p) {
            url->is_padded = false;
            result = sp_split_late_feed(&url->object, p, (size_t) (run_end - p), detail);
            p = run_end;
            continue;
        }
        result = url_byte(url, *p, &is_taken, detail);
        p += is_taken;
    }
    *used_out = (size_t) (p - begin);
    return result;
}

enum sp_split_result sp_split_url_end(struct sp_split_url *url, struct sp_error *detail)
{
    enum sp_split_result result = SP_SPLIT_OK;
    if (url->state == SP_URL_PERCENT && url->n_reference > 0)
        result = sp_split_late_feed(&url->object, url->reference, url->n_reference, detail);
    if (result == SP_SPLIT_OK && url->state != SP_URL_OVER)
        result = over(url, detail);
    return result;
}
