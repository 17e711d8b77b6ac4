/* Streaming decoders of transfer encodings: base64 (RFC 4648, both alphabets), quoted-printable (RFC 2045 6.7), percent
 * (RFC 3986 2.1). The rule that types cannot say: whoever receives the body is forgiving, so nothing here is an error and no
 * junk stops it. */
#include "config.h"

#include "split_priv.h"

#include "sallyport/text.h"

#include <string.h>

#define MAX_MADE 4 /* bytes that one byte of input makes at most */

/* How far an escape has come: n_held of the other two encodings. */
enum { ESC_NONE, ESC_OPEN, ESC_DIGIT, ESC_BLANK, ESC_CR };

void sp_transfer_init(struct sp_transfer *t, enum sp_transfer_kind kind)
{
    *t = (struct sp_transfer){ .kind = kind };
}

/* Up to a blank, a parameter or a comment: "base64 (really)". */
static struct sp_str first_word(struct sp_str s)
{
    size_t n = 0;
    while (s.n > 0 && (s.p[0] == ' ' || (s.p[0] >= '\t' && s.p[0] <= '\r') || s.p[0] == '"')) {
        s.p++;
        s.n--;
    }
    while (n < s.n && s.p[n] > ' ' && strchr(";(,\"", s.p[n]) == NULL)
        n++;
    return (struct sp_str){ s.p, n };
}

bool sp_transfer_parse(struct sp_str name, enum sp_transfer_kind *kind_out)
{
    static const struct {
        const char *name;
        enum sp_transfer_kind kind;
    } names[] = {
        { "base64", SP_TRANSFER_BASE64 },
        { "quoted-printable", SP_TRANSFER_QUOTED_PRINTABLE },
        { "7bit", SP_TRANSFER_IDENTITY },
        { "8bit", SP_TRANSFER_IDENTITY },
        { "binary", SP_TRANSFER_IDENTITY },
    };
    struct sp_str word = first_word(name);
    *kind_out = SP_TRANSFER_IDENTITY;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (sp_str_equal_nocase(word, sp_str_from(names[i].name))) {
            *kind_out = names[i].kind;
            return true;
        }
    }
    return false;
}

/* --- base64 --------------------------------------------------------------------------------------------------------- */

/* The bytes that are whole in what is held: 3 for 4 sextets, else one less than there are. */
static size_t base64_flush(struct sp_transfer *t, char *out)
{
    size_t n = t->n_held > 0 ? t->n_held - 1 : 0;
    uint32_t bits = t->bits << (6 * (4 - t->n_held));
    for (size_t i = 0; i < n; i++)
        out[i] = (char) (bits >> (16 - 8 * i) & 0xff);
    t->n_held = 0; /* what is left in bits is shifted out of the 24 that count */
    return n;
}

static size_t base64_byte(struct sp_transfer *t, char c, char *out)
{
    int value = sp_base64_digit(c);
    if (value < 0)
        return c == '=' ? base64_flush(t, out) : 0;
    t->bits = t->bits << 6 | (uint32_t) value;
    t->n_held++;
    return t->n_held == 4 ? base64_flush(t, out) : 0;
}

/* --- quoted-printable and percent ----------------------------------------------------------------------------------- */

/* Ends an escape that turned out to be none: its bytes were meant as they are. A soft line break was one, and leaves nothing. */
static size_t give_up(struct sp_transfer *t, char escape, char *out)
{
    size_t n = 0;
    if (t->n_held != ESC_CR)
        out[n++] = escape;
    if (t->n_held == ESC_DIGIT)
        out[n++] = t->held;
    t->n_held = ESC_NONE;
    return n;
}

/* Takes c into the open escape. False: it does not belong to it. */
static bool escape_byte(struct sp_transfer *t, char c, char *out, size_t *n_out)
{
    bool has_soft_breaks = t->kind == SP_TRANSFER_QUOTED_PRINTABLE;
    if (t->n_held == ESC_DIGIT && sp_hex_digit(c) >= 0) {
        out[(*n_out)++] = (char) (sp_hex_digit(t->held) << 4 | sp_hex_digit(c));
        t->n_held = ESC_NONE;
    } else if (t->n_held == ESC_OPEN && sp_hex_digit(c) >= 0) {
        t->held = c;
        t->n_held = ESC_DIGIT;
    } else if (has_soft_breaks && t->n_held != ESC_DIGIT && c == '\n') {
        t->n_held = ESC_NONE;
    } else if (has_soft_breaks && (t->n_held == ESC_OPEN || t->n_held == ESC_BLANK) && c == '\r') {
        t->n_held = ESC_CR;
    } else if (has_soft_breaks && (t->n_held == ESC_OPEN || t->n_held == ESC_BLANK) && (c == ' ' || c == '\t')) {
        t->n_held = ESC_BLANK;
    } else {
        return false;
    }
    return true;
}

static size_t escaped_byte(struct sp_transfer *t, char c, char *out)
{
    char escape = t->kind == SP_TRANSFER_PERCENT ? '%' : '=';
    size_t n = 0;
    if (t->n_held != ESC_NONE) {
        if (escape_byte(t, c, out, &n))
            return n;
        n = give_up(t, escape, out);
    }
    if (c == escape)
        t->n_held = ESC_OPEN;
    else
        out[n++] = c == '+' && t->kind == SP_TRANSFER_PERCENT && t->plus_is_space ? ' ' : c;
    return n;
}

/* --- all -------------------------------------------------------------------------------------------------------------- */

void sp_transfer_step(struct sp_transfer *t, const char *in, size_t n, size_t *used_out, char *out, size_t cap, size_t *made_out)
{
    size_t used = 0, made = 0;
    if (t->kind == SP_TRANSFER_IDENTITY) {
        used = made = n < cap ? n : cap;
        if (used > 0)
            memcpy(out, in, used);
    }
    for (; used < n && cap - made >= MAX_MADE; used++)
        made += t->kind == SP_TRANSFER_BASE64 ? base64_byte(t, in[used], out + made) : escaped_byte(t, in[used], out + made);
    *used_out = used;
    *made_out = made;
}

size_t sp_transfer_finish(struct sp_transfer *t, char out[8])
{
    if (t->kind == SP_TRANSFER_BASE64)
        return base64_flush(t, out);
    if (t->n_held == ESC_NONE)
        return 0;
    /* A last line may end in a soft break without the line end. */
    if (t->kind == SP_TRANSFER_QUOTED_PRINTABLE && t->n_held != ESC_DIGIT) {
        t->n_held = ESC_NONE;
        return 0;
    }
    return give_up(t, t->kind == SP_TRANSFER_PERCENT ? '%' : '=', out);
}
