/* Values on a page. Everything that fills a variable may have been chosen by an attacker: a URL, a host, even a signature name. Values
 * are read as UTF-8, cut to a length that people can look at, and lose what could break out of its place or turn the text around. */
#include "config.h"

#include "page_priv.h"

#include "sallyport/text.h"

#include <string.h>

#define VALUE_MAX_BYTES 2048u
#define ESCAPE_BYTES 8 /* the longest replacement, "\u00e9" or "&quot;", and its NUL */

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define ELLIPSIS "\xe2\x80\xa6"

#define CODE_INVALID UINT32_MAX /* a byte that is not UTF-8 */

/* Controls, line separators, marks that turn the direction of the text around them, and what XML does not allow. */
static bool is_hostile(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x61c || code == 0x200e || code == 0x200f ||
        (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0xfffe || code == 0xffff;
}

/* The text that takes the place of a code point, or NULL if it may stay. scratch has ESCAPE_BYTES. */
typedef const char *(*escape_fn)(uint32_t code, char *scratch);

static const char *escape_html(uint32_t code, char *scratch)
{
    (void) scratch;
    switch (code) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return code == CODE_INVALID || is_hostile(code) ? REPLACEMENT : NULL;
    }
}

static const char *escape_json(uint32_t code, char *scratch)
{
    if (code == CODE_INVALID)
        return REPLACEMENT;
    if (code == '"')
        return "\\\"";
    if (code == '\\')
        return "\\\\";
    /* The characters of markup too, for whoever pastes the reply into a page. */
    if (!is_hostile(code) && (code > 0x7f || strchr("<>&'", (int) code) == NULL))
        return NULL;
    static const char digits[] = "0123456789abcdef";
    scratch[0] = '\\';
    scratch[1] = 'u';
    for (unsigned i = 0; i < 4; i++)
        scratch[2 + i] = digits[code >> (12 - 4 * i) & 0xf];
    scratch[6] = '\0';
    return scratch;
}

static const char *escape_text(uint32_t code, char *scratch)
{
    (void) scratch;
    return code == CODE_INVALID || is_hostile(code) ? REPLACEMENT : NULL;
}

/* Letters that look alike: a comment knows no escapes. */
static const char *escape_comment(uint32_t code, char *scratch)
{
    switch (code) {
    case '*':
        return "\xe2\x88\x97"; /* U+2217 */
    case '<':
        return "\xe2\x80\xb9"; /* U+2039 */
    case '>':
        return "\xe2\x80\xba"; /* U+203A */
    default:
        return escape_text(code, scratch);
    }
}

static enum sp_status add_escaped(struct sp_buf *out, struct sp_str s, escape_fn escape)
{
    char scratch[ESCAPE_BYTES];
    size_t kept = 0, pos = 0; /* from kept to pos goes out as it is */
    size_t len = 0;

    for (; pos < s.n && pos < VALUE_MAX_BYTES; pos += len) {
        uint32_t code = CODE_INVALID;
        len = sp_utf8_next((struct sp_str){ s.p + pos, s.n - pos }, &code);
        if (len == 0) {
            code = CODE_INVALID;
            len = 1;
        }
        const char *text = escape(code, scratch);
        if (text == NULL)
            continue;
        enum sp_status status = sp_buf_add(out, s.p + kept, pos - kept);
        if (status == SP_OK)
            status = sp_buf_add_str(out, sp_str_from(text));
        if (status != SP_OK)
            return status;
        kept = pos + len;
    }
    enum sp_status status = sp_buf_add(out, s.p + kept, pos - kept);
    if (status == SP_OK && pos < s.n)
        status = sp_buf_add_str(out, SP_STR(ELLIPSIS));
    return status;
}

enum sp_status sp_page_escape_html(struct sp_buf *out, struct sp_str s)
{
    return add_escaped(out, s, escape_html);
}

enum sp_status sp_page_escape_json(struct sp_buf *out, struct sp_str s)
{
    return add_escaped(out, s, escape_json);
}

enum sp_status sp_page_escape_text(struct sp_buf *out, struct sp_str s)
{
    return add_escaped(out, s, escape_text);
}

enum sp_status sp_page_escape_comment(struct sp_buf *out, struct sp_str s)
{
    return add_escaped(out, s, escape_comment);
}
