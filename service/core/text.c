/* Escaping for terminals and logs, and UTF-8 for JSON. Whoever controls a URL or a file name would like to move the cursor of
 * the person who reads it: only what is known to be harmless passes as it is. */
#include "config.h"

#include "sallyport/text.h"

#include "sallyport/assert.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define ELLIPSIS "\xe2\x80\xa6"    /* U+2026 */
#define CUT_MARK "..."
#define ESCAPE_MAX 16 /* "\xHH" for each byte of one character */

/* Length by the first byte, and the smallest code point that needs it, so that overlong forms are refused. */
static size_t sequence_length(unsigned char first, uint32_t *least_out)
{
    if (first < 0x80) {
        *least_out = 0;
        return 1;
    }
    if (first >= 0xc2 && first <= 0xdf) {
        *least_out = 0x80;
        return 2;
    }
    if (first >= 0xe0 && first <= 0xef) {
        *least_out = 0x800;
        return 3;
    }
    *least_out = 0x10000;
    return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

size_t sp_utf8_next(struct sp_str s, uint32_t *code_out)
{
    SP_ASSERT(s.n > 0);
    unsigned char first = (unsigned char) s.p[0];
    uint32_t least;
    size_t n = sequence_length(first, &least);
    if (n == 0 || n > s.n)
        return 0;
    uint32_t code = n == 1 ? first : first & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        unsigned char c = (unsigned char) s.p[i];
        if ((c & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (c & 0x3fu);
    }
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    *code_out = code;
    return n;
}

static bool is_c1_or_del(uint32_t code)
{
    return code >= 0x7f && code <= 0x9f;
}

bool sp_text_is_mark(uint32_t code)
{
    return code == 0x61c || (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
        (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}

static bool is_showable(uint32_t code)
{
    return code >= 0x20 && !is_c1_or_del(code) && !sp_text_is_mark(code);
}

static size_t escape_bytes(const char *p, size_t n, char out[ESCAPE_MAX + 1])
{
    const char *name = n == 1 ? strchr("\nn\tt\rr", *p) : NULL;
    if (name && *p != '\0' && (*p == '\n' || *p == '\t' || *p == '\r'))
        return (size_t) snprintf(out, ESCAPE_MAX + 1, "\\%c", name[1]);
    size_t used = 0;
    for (size_t i = 0; i < n; i++)
        used += (size_t) snprintf(out + used, ESCAPE_MAX + 1 - used, "\\x%02x", (unsigned char) p[i]);
    return used;
}

char *sp_text_escape(struct sp_str s, char *out, size_t size)
{
    SP_ASSERT(size >= 8);
    size_t used = 0, safe = 0; /* safe: where the mark of a cut still fits */
    while (s.n > 0) {
        char escaped[ESCAPE_MAX + 1];
        uint32_t code;
        size_t n = sp_utf8_next(s, &code);
        bool as_is = n > 0 && is_showable(code);
        if (n == 0)
            n = 1;
        size_t need = as_is ? n : escape_bytes(s.p, n, escaped);
        if (used + need >= size) {
            memcpy(out + safe, CUT_MARK, sizeof(CUT_MARK));
            return out;
        }
        memcpy(out + used, as_is ? s.p : escaped, need);
        used += need;
        if (used + sizeof(CUT_MARK) <= size)
            safe = used;
        s.p += n;
        s.n -= n;
    }
    out[used] = '\0';
    return out;
}

enum sp_status sp_text_clean(struct sp_str s, size_t max, struct sp_buf *out)
{
    bool is_cut = s.n > max;
    if (is_cut)
        s.n = max;
    enum sp_status status = SP_OK;
    size_t plain = 0; /* bytes at the front of s that need no change, added in one go */
    while (plain < s.n && status == SP_OK) {
        uint32_t code;
        size_t n = sp_utf8_next((struct sp_str){ s.p + plain, s.n - plain }, &code);
        if (n > 0 && !is_c1_or_del(code)) {
            plain += n;
            continue;
        }
        bool is_torn = n == 0 && is_cut && s.n - plain < 4; /* the cut may have gone through a character */
        status = sp_buf_add(out, s.p, plain);
        if (status == SP_OK && !is_torn)
            status = sp_buf_add_str(out, SP_STR(REPLACEMENT));
        size_t skip = plain + (n == 0 ? 1 : n);
        s.p += skip;
        s.n -= skip;
        plain = 0;
    }
    if (status == SP_OK && plain > 0)
        status = sp_buf_add(out, s.p, plain);
    if (status == SP_OK && is_cut)
        status = sp_buf_add_str(out, SP_STR(ELLIPSIS));
    return status;
}

int sp_base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

int sp_hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}
