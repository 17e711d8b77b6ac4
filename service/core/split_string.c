/* Strings that may be base64, and what they have in common with data: URLs: classes of characters, escapes, objects that begin late.
 *
 * A string is held back until it is longer than any digest; one that ends before is judged whole. Not taken:
 * - less than the kind of body asks for, at least 64 characters.
 * - digests: what decodes to exactly 48 or 64 bytes (SHA-384, SHA-512), also behind "sha384-" and "sha512-" as integrity lists
 *   have them; hexadecimal digits in capitals, 96 or 128 of them.
 * - up to 128 characters without one capital: digests in hexadecimal, names-with-hyphens, paths.
 * Package indexes have these by the thousand. None of it hides a payload: the lengths are exact, and no payload of those lengths is
 * known or can be made longer; and 64 and more characters without A-Z can be no random bytes, nor can they begin as a program, a
 * script, an archive, a document or markup does: M, P, <, #, %, {\rt, ELF and EICAR's X need capitals.
 *
 * A longer string is taken from its beginning, and if it turns out later not to be base64, then that far. */
#include "config.h"

#include "split_text_priv.h"

#include "sallyport/text.h"

#include <string.h>

#define OUT_BYTES 4096
#define MIN_ROOM 8 /* that a step of a transfer encoding wants */
#define MAX_JUDGED 128 /* characters; a longer string is no digest */

/* --- characters --------------------------------------------------------------------------------------------------------- */

#define B SP_CHAR_BASE
const unsigned char sp_split_chars[256] = {
    ['0'] = B, ['1'] = B, ['2'] = B, ['3'] = B, ['4'] = B, ['5'] = B, ['6'] = B, ['7'] = B, ['8'] = B, ['9'] = B,
    ['A'] = B, ['B'] = B, ['C'] = B, ['D'] = B, ['E'] = B, ['F'] = B, ['G'] = B, ['H'] = B, ['I'] = B, ['J'] = B,
    ['K'] = B, ['L'] = B, ['M'] = B, ['N'] = B, ['O'] = B, ['P'] = B, ['Q'] = B, ['R'] = B, ['S'] = B, ['T'] = B,
    ['U'] = B, ['V'] = B, ['W'] = B, ['X'] = B, ['Y'] = B, ['Z'] = B,
    ['a'] = B, ['b'] = B, ['c'] = B, ['d'] = B, ['e'] = B, ['f'] = B, ['g'] = B, ['h'] = B, ['i'] = B, ['j'] = B,
    ['k'] = B, ['l'] = B, ['m'] = B, ['n'] = B, ['o'] = B, ['p'] = B, ['q'] = B, ['r'] = B, ['s'] = B, ['t'] = B,
    ['u'] = B, ['v'] = B, ['w'] = B, ['x'] = B, ['y'] = B, ['z'] = B,
    ['+'] = SP_CHAR_STD, ['/'] = SP_CHAR_STD, ['-'] = SP_CHAR_URL, ['_'] = SP_CHAR_URL, ['='] = SP_CHAR_PAD,
    ['\r'] = SP_CHAR_EOL | SP_CHAR_SPECIAL, ['\n'] = SP_CHAR_EOL | SP_CHAR_SPECIAL, ['\\'] = SP_CHAR_ESCAPE | SP_CHAR_SPECIAL,
    ['\t'] = SP_CHAR_SPECIAL, [' '] = SP_CHAR_SPECIAL, ['"'] = SP_CHAR_SPECIAL, ['\''] = SP_CHAR_SPECIAL, ['`'] = SP_CHAR_SPECIAL,
    ['&'] = SP_CHAR_SPECIAL, ['<'] = SP_CHAR_SPECIAL, ['>'] = SP_CHAR_SPECIAL, [')'] = SP_CHAR_SPECIAL,
};
#undef B

/* The value of a digit of base64, in both alphabets. */
#define IS_SEXTET 0x80
#define V(n) (IS_SEXTET | (n))
static const unsigned char sextets[256] = {
    ['A'] = V(0), ['B'] = V(1), ['C'] = V(2), ['D'] = V(3), ['E'] = V(4), ['F'] = V(5), ['G'] = V(6), ['H'] = V(7), ['I'] = V(8),
    ['J'] = V(9), ['K'] = V(10), ['L'] = V(11), ['M'] = V(12), ['N'] = V(13), ['O'] = V(14), ['P'] = V(15), ['Q'] = V(16), ['R'] = V(17),
    ['S'] = V(18), ['T'] = V(19), ['U'] = V(20), ['V'] = V(21), ['W'] = V(22), ['X'] = V(23), ['Y'] = V(24), ['Z'] = V(25),
    ['a'] = V(26), ['b'] = V(27), ['c'] = V(28), ['d'] = V(29), ['e'] = V(30), ['f'] = V(31), ['g'] = V(32), ['h'] = V(33), ['i'] = V(34),
    ['j'] = V(35), ['k'] = V(36), ['l'] = V(37), ['m'] = V(38), ['n'] = V(39), ['o'] = V(40), ['p'] = V(41), ['q'] = V(42), ['r'] = V(43),
    ['s'] = V(44), ['t'] = V(45), ['u'] = V(46), ['v'] = V(47), ['w'] = V(48), ['x'] = V(49), ['y'] = V(50), ['z'] = V(51),
    ['0'] = V(52), ['1'] = V(53), ['2'] = V(54), ['3'] = V(55), ['4'] = V(56), ['5'] = V(57), ['6'] = V(58), ['7'] = V(59), ['8'] = V(60),
    ['9'] = V(61), ['+'] = V(62), ['-'] = V(62), ['/'] = V(63), ['_'] = V(63),
};
#undef V

int sp_split_unescape_step(struct sp_split_unescape *u, char c, bool is_nested)
{
    static const char from[] = "nrtbfv", to[] = "\n\r\t\b\f\v";
    if (!u->is_open || (c == '\\' && is_nested && u->n_digits == 0)) {
        *u = (struct sp_split_unescape){ .is_open = true };
        return SP_UNESCAPE_MORE;
    }
    if (u->n_digits > 0) {
        int digit = sp_hex_digit(c);
        u->is_open = digit >= 0;
        if (digit < 0)
            return SP_UNESCAPE_BAD;
        u->value = u->value << 4 | (unsigned) digit;
        if (--u->n_digits > 0)
            return SP_UNESCAPE_MORE;
        u->is_open = false;
        return u->value < 0x80 ? (int) u->value : '?';
    }
    if (c == 'u' || c == 'x') {
        u->n_digits = c == 'u' ? 4 : 2;
        return SP_UNESCAPE_MORE;
    }
    u->is_open = false;
    const char *known = c != '\0' ? strchr(from, c) : NULL;
    return known != NULL ? to[known - from] : (unsigned char) c;
}

/* --- objects that begin late -------------------------------------------------------------------------------------------- */

void sp_split_late_init(struct sp_split_late *late, struct sp_split_ctx *ctx, unsigned depth)
{
    late->ctx = ctx;
    late->depth = depth;
    late->n_held = late->n_type = 0;
    late->part = NULL;
    sp_transfer_init(&late->transfer, SP_TRANSFER_IDENTITY);
}

void sp_split_late_fini(struct sp_split_late *late)
{
    sp_split_part_free(&late->part);
}

void sp_split_late_begin(struct sp_split_late *late, enum sp_transfer_kind kind, struct sp_str content_type)
{
    late->n_held = 0;
    late->n_type = content_type.n < sizeof(late->type) ? content_type.n : sizeof(late->type);
    if (late->n_type > 0)
        memcpy(late->type, content_type.p, late->n_type);
    sp_transfer_init(&late->transfer, kind);
}

/* Plain bytes: held until they are enough. */
static enum sp_split_result late_plain(struct sp_split_late *late, const char *p, size_t n, struct sp_error *detail)
{
    enum sp_split_result result = SP_SPLIT_OK;
    if (late->part == NULL) {
        size_t fits = sizeof(late->held) - late->n_held;
        fits = n < fits ? n : fits;
        if (fits > 0)
            memcpy(late->held + late->n_held, p, fits);
        late->n_held += fits;
        p += fits;
        n -= fits;
        if (late->n_held < sizeof(late->held))
            return SP_SPLIT_OK;
        result = sp_split_part_new(late->ctx, (struct sp_str){ late->type, late->n_type }, late->depth, detail, &late->part);
        if (result == SP_SPLIT_OK)
            result = sp_split_part_feed(late->part, late->held, late->n_held, detail);
    }
    return result == SP_SPLIT_OK && n > 0 ? sp_split_part_feed(late->part, p, n, detail) : result;
}

/* Whole groups of four characters of base64, up to what is none. */
static size_t decode_groups(const char *p, size_t n, char *out, size_t cap, size_t *made_out)
{
    size_t used = 0, made = 0;
    for (; n - used >= 4 && cap - made >= 3; used += 4, made += 3) {
        const unsigned char *in = (const unsigned char *) p + used;
        unsigned a = sextets[in[0]], b = sextets[in[1]], c = sextets[in[2]], d = sextets[in[3]];
        if ((a & b & c & d & IS_SEXTET) == 0)
            break;
        out[made] = (char) (a << 2 | (b >> 4 & 3));
        out[made + 1] = (char) (b << 4 | (c >> 2 & 15));
        out[made + 2] = (char) (c << 6 | (d & 63));
    }
    *made_out = made;
    return used;
}

/* Percent encoding without escapes. */
static size_t copy_plain(const struct sp_transfer *t, const char *p, size_t n, char *out, size_t cap)
{
    size_t used = 0;
    char plus = t->plus_is_space ? '+' : '%';
    n = n < cap ? n : cap;
    for (; used < n && p[used] != '%' && p[used] != plus; used++)
        out[used] = p[used];
    return used;
}

/* As sp_transfer_step, of which it does the easy parts many bytes at a time. */
static size_t decode(struct sp_transfer *t, const char *p, size_t n, char *out, size_t cap, size_t *made_out)
{
    enum { GROUP = 4, ESCAPE = 3 };
    size_t used = 0, rest = n;
    if (t->kind == SP_TRANSFER_PERCENT) {
        if (t->n_held == 0)
            *made_out = used = copy_plain(t, p, n, out, cap);
        rest = ESCAPE;
    } else if (t->kind == SP_TRANSFER_BASE64) {
        if (t->n_held == 0)
            used = decode_groups(p, n, out, cap, made_out);
        rest = GROUP - t->n_held; /* then at best all are in groups again */
    }
    if (used > 0)
        return used;
    n = n < rest ? n : rest;
    sp_transfer_step(t, p, n, &used, out, cap, made_out);
    return used;
}

enum sp_split_result sp_split_late_feed(struct sp_split_late *late, const char *p, size_t n, struct sp_error *detail)
{
    enum sp_split_result result = SP_SPLIT_OK;
    char out[OUT_BYTES];
    while (result == SP_SPLIT_OK && n > 0) {
        size_t made = 0;
        while (n > 0 && sizeof(out) - made >= MIN_ROOM) {
            size_t more, used = decode(&late->transfer, p, n, out + made, sizeof(out) - made, &more);
            p += used;
            n -= used;
            made += more;
        }
        result = late_plain(late, out, made, detail);
    }
    return result;
}

enum sp_split_result sp_split_late_end(struct sp_split_late *late, struct sp_error *detail)
{
    char out[8];
    size_t n = sp_transfer_finish(&late->transfer, out);
    enum sp_split_result result = late_plain(late, out, n, detail);
    if (result == SP_SPLIT_OK && late->part != NULL)
        result = sp_split_part_finish(late->part, detail);
    if (result == SP_SPLIT_OK)
        sp_split_part_free(&late->part);
    late->n_held = 0;
    return result;
}

/* --- strings ------------------------------------------------------------------------------------------------------------ */

void sp_split_string_init(struct sp_split_string *s, struct sp_split_ctx *ctx, unsigned depth, unsigned min_chars)
{
    sp_split_late_init(&s->object, ctx, depth);
    s->min_chars = min_chars;
    sp_split_string_begin(s);
}

void sp_split_string_fini(struct sp_split_string *s)
{
    sp_split_late_fini(&s->object);
}

void sp_split_string_begin(struct sp_split_string *s)
{
    s->state = SP_STRING_HELD;
    s->seen = 0;
    s->n_held = 0;
    s->unescape = (struct sp_split_unescape){ 0 };
}

/* The classes that may follow: not both alphabets in one string. */
static unsigned may_follow(unsigned seen)
{
    unsigned all = SP_CHAR_BASE64 | SP_CHAR_PAD;
    if ((seen & SP_CHAR_STD) != 0)
        all &= ~(unsigned) SP_CHAR_URL;
    return (seen & SP_CHAR_URL) != 0 ? all & ~(unsigned) SP_CHAR_STD : all;
}

/* A string of up to MAX_JUDGED characters, all of it: is it a digest or a name? */
static bool is_known_harmless(struct sp_str s)
{
    enum { SHA384_CHARS = 64, SHA512_CHARS = 86 };
    bool has_capitals = false, is_hex = true;
    while (s.n > 0 && s.p[s.n - 1] == '=')
        s.n--;
    for (size_t i = 0; i < s.n; i++) {
        has_capitals = has_capitals || (s.p[i] >= 'A' && s.p[i] <= 'Z');
        is_hex = is_hex && sp_hex_digit(s.p[i]) >= 0 && !(s.p[i] >= 'a' && s.p[i] <= 'f');
    }
    if (!has_capitals || (is_hex && (s.n == 96 || s.n == 128)))
        return true;
    struct sp_str sha384 = SP_STR("sha384-"), sha512 = SP_STR("sha512-");
    return s.n == SHA384_CHARS || s.n == SHA512_CHARS || (s.n == sha384.n + SHA384_CHARS && memcmp(s.p, sha384.p, sha384.n) == 0)
        || (s.n == sha512.n + SHA512_CHARS && memcmp(s.p, sha512.p, sha512.n) == 0);
}

static enum sp_split_result string_open(struct sp_split_string *s, struct sp_error *detail)
{
    s->state = SP_STRING_OPEN;
    sp_split_late_begin(&s->object, SP_TRANSFER_BASE64, SP_STR(""));
    return sp_split_late_feed(&s->object, s->held, s->n_held, detail);
}

/* Characters of the alphabets and of padding. */
static enum sp_split_result string_take(struct sp_split_string *s, const char *p, size_t n, struct sp_error *detail)
{
    enum sp_split_result result = SP_SPLIT_OK;
    if (s->state == SP_STRING_HELD) {
        size_t max = s->min_chars > MAX_JUDGED ? s->min_chars : MAX_JUDGED;
        size_t fits = n < max - s->n_held ? n : max - s->n_held;
        memcpy(s->held + s->n_held, p, fits);
        s->n_held += fits;
        p += fits;
        n -= fits;
        if (n > 0)
            result = string_open(s, detail);
    }
    return result == SP_SPLIT_OK && n > 0 ? sp_split_late_feed(&s->object, p, n, detail) : result;
}

/* A backslash or what follows it. */
static enum sp_split_result string_escape(struct sp_split_string *s, char c, struct sp_error *detail)
{
    int plain = sp_split_unescape_step(&s->unescape, c, true);
    if (plain == SP_UNESCAPE_MORE)
        return SP_SPLIT_OK;
    char one = (char) plain;
    unsigned class = plain < 0 ? 0 : sp_split_char(one);
    if ((class & SP_CHAR_EOL) != 0)
        return SP_SPLIT_OK;
    if ((class & may_follow(s->seen)) == 0)
        return sp_split_string_end(s, false, detail);
    s->seen |= class;
    return string_take(s, &one, 1, detail);
}

enum sp_split_result sp_split_string_feed(struct sp_split_string *s, const char *p, size_t n, struct sp_error *detail)
{
    enum sp_split_result result = SP_SPLIT_OK;
    const char *end = p + n;
    while (p < end && result == SP_SPLIT_OK && s->state != SP_STRING_NOT) {
        const char *run = p;
        unsigned allowed = may_follow(s->seen), class = 0;
        if (s->unescape.is_open || *p == '\\') {
            result = string_escape(s, *p++, detail);
            continue;
        }
        for (; p < end && ((class = sp_split_char(*p)) & allowed) != 0; p++) {
            if (class != SP_CHAR_BASE) {
                s->seen |= class;
                allowed = may_follow(s->seen);
            }
        }
        if (p > run)
            result = string_take(s, run, (size_t) (p - run), detail);
        else if ((class & SP_CHAR_EOL) != 0)
            p++;
        else
            result = sp_split_string_end(s, false, detail);
    }
    return result;
}

enum sp_split_result sp_split_string_end(struct sp_split_string *s, bool is_whole, struct sp_error *detail)
{
    enum sp_split_result result = SP_SPLIT_OK;
    if (s->state == SP_STRING_HELD && is_whole && s->unescape.n_digits == 0 && s->n_held >= s->min_chars
        && (s->n_held > MAX_JUDGED || !is_known_harmless((struct sp_str){ s->held, s->n_held })))
        result = string_open(s, detail);
    if (result == SP_SPLIT_OK && s->state == SP_STRING_OPEN)
        result = sp_split_late_end(&s->object, detail);
    s->state = SP_STRING_NOT;
    return result;
}
