/* A line of the decision log taken apart in one pass: no copy, no memory, no step back.
 *
 * A string ends at a quote with an even number of backslashes before it, which memchr finds; what is inside is looked at only by
 * who wants the text. Fields come in the order in which declog.c writes them, so the next one is looked for behind the last. */
#include "config.h"

#include "sallyport/decline.h"

#include "sallyport/text.h"

#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define UTF8_MAX 4
#define ESCAPE_DIGITS 4 /* of \uXXXX */

/* --- tokens ------------------------------------------------------------------------------------------------------------ */

struct cursor {
    const char *p, *end;
};

static inline void skip_blanks(struct cursor *c)
{
    while (c->p < c->end && *c->p == ' ')
        c->p++;
}

/* Takes one character, with blanks around it. */
static inline bool take(struct cursor *c, char wanted)
{
    skip_blanks(c);
    if (c->p == c->end || *c->p != wanted)
        return false;
    c->p++;
    skip_blanks(c);
    return true;
}

static bool is_escaped(const char *from, const char *quote)
{
    const char *p = quote;
    while (p > from && p[-1] == '\\')
        p--;
    return (quote - p) % 2 != 0;
}

/* Behind the opening quote; to behind the closing one. No byte is looked at more than twice: backslashes are counted back to
 * the quote before. */
static bool take_string(struct cursor *c, struct sp_str *out)
{
    const char *from = c->p;
    while (c->p < c->end) {
        const char *quote = memchr(c->p, '"', (size_t) (c->end - c->p));
        if (!quote)
            return false;
        bool is_end = !is_escaped(c->p, quote);
        c->p = quote + 1;
        if (is_end) {
            *out = (struct sp_str){ from, (size_t) (quote - from) };
            return true;
        }
    }
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool take_digits(struct cursor *c)
{
    const char *from = c->p;
    while (c->p < c->end && is_digit(*c->p))
        c->p++;
    return c->p > from;
}

/* A number as JSON writes it (RFC 8259 6). One that is negative, broken or too large for a field is 0: not one of ours. */
static bool take_number(struct cursor *c, uint64_t *out)
{
    uint64_t value = 0;
    bool is_ours = *c->p != '-';
    if (!is_ours)
        c->p++;
    const char *from = c->p;
    for (; c->p < c->end && is_digit(*c->p); c->p++) {
        uint64_t digit = (uint64_t) (*c->p - '0');
        is_ours = is_ours && value <= (INT64_MAX - digit) / 10;
        value = value * 10 + digit;
    }
    if (c->p == from || (*from == '0' && c->p > from + 1))
        return false;
    if (c->p < c->end && *c->p == '.') {
        is_ours = false;
        c->p++;
        if (!take_digits(c))
            return false;
    }
    if (c->p < c->end && (*c->p == 'e' || *c->p == 'E')) {
        is_ours = false;
        c->p++;
        if (c->p < c->end && (*c->p == '+' || *c->p == '-'))
            c->p++;
        if (!take_digits(c))
            return false;
    }
    *out = is_ours ? value : 0;
    return true;
}

static bool take_word(struct cursor *c, struct sp_str word)
{
    if ((size_t) (c->end - c->p) < word.n || memcmp(c->p, word.p, word.n) != 0)
        return false;
    c->p += word.n;
    return true;
}

enum kind { KIND_TEXT, KIND_NUMBER, KIND_BOOL, KIND_NULL };

struct value {
    enum kind kind;
    struct sp_str text;
    uint64_t number;
    bool is_true;
};

/* Anything but an object or an array. */
static bool take_value(struct cursor *c, struct value *out)
{
    if (c->p == c->end)
        return false;
    switch (*c->p) {
    case '"':
        out->kind = KIND_TEXT;
        c->p++;
        return take_string(c, &out->text);
    case 't':
    case 'f':
        out->kind = KIND_BOOL;
        out->is_true = *c->p == 't';
        return take_word(c, out->is_true ? SP_STR("true") : SP_STR("false"));
    case 'n':
        out->kind = KIND_NULL;
        return take_word(c, SP_STR("null"));
    default:
        out->kind = KIND_NUMBER;
        return take_number(c, &out->number);
    }
}

/* --- fields ------------------------------------------------------------------------------------------------------------ */

static unsigned two_digits(const char *p)
{
    return (unsigned) (p[0] - '0') * 10 + (unsigned) (p[1] - '0');
}

/* Days since 1970-01-01 in the Gregorian calendar; years begin in March here, so that a leap day is a year's last. */
static int64_t days_of(unsigned year, unsigned month, unsigned day)
{
    int64_t y = month > 2 ? year : (int64_t) year - 1;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 + of_year - 719468;
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && is_leap ? 1 : 0);
}

/* "2026-11-22T14:26:39.123456Z", as sp_clock_format writes it; 0 for anything else. */
static int64_t parse_time(struct sp_str s)
{
    static const char form[] = "0000-00-00T00:00:00.000000Z";
    if (s.n != sizeof(form) - 1)
        return 0;
    for (size_t i = 0; i < s.n; i++)
        if (form[i] == '0' ? !is_digit(s.p[i]) : s.p[i] != form[i])
            return 0;
    unsigned year = two_digits(s.p) * 100 + two_digits(s.p + 2), month = two_digits(s.p + 5), day = two_digits(s.p + 8);
    unsigned hour = two_digits(s.p + 11), minute = two_digits(s.p + 14), second = two_digits(s.p + 17);
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in(year, month) || hour > 23 || minute > 59 || second > 59)
        return 0;
    int64_t us = two_digits(s.p + 20) * 10000 + two_digits(s.p + 22) * 100 + two_digits(s.p + 24);
    return (((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000000 + us;
}

static enum sp_outcome outcome_of(struct sp_str name)
{
    static const struct sp_str names[] = {
#define SP_OUTCOME_ROW(id, name, action, configurable, when) { name, sizeof(name) - 1 },
#include "sallyport/outcome.def"
#undef SP_OUTCOME_ROW
    };
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++)
        if (sp_str_equal(names[i], name))
            return (enum sp_outcome) i;
    return SP_OUTCOME_COUNT;
}

static bool parse_action(struct sp_str name, enum sp_action *action_out)
{
    if (sp_action_parse(name, action_out))
        return true;
    *action_out = SP_ACTION_NONE;
    return sp_str_equal(name, sp_str_from(sp_action_name(SP_ACTION_NONE)));
}

/* The order is declog.c's. */
enum field {
    TIME, ID, CLIENT, USER, DIRECTION, METHOD, URL, STATUS, OUTCOME, ACTION, REASON, RULE, CATEGORY, EXCEPTED, MONITOR, CACHED, SIGNATURE,
    ENCODING, BYTES, GENERATION, TOTAL_US, SCAN_US, LOST, FIELD_COUNT
};

static const struct sp_str keys[FIELD_COUNT] = {
    [TIME] = { "time", 4 },
    [ID] = { "id", 2 },
    [CLIENT] = { "client", 6 },
    [USER] = { "user", 4 },
    [DIRECTION] = { "direction", 9 },
    [METHOD] = { "method", 6 },
    [URL] = { "url", 3 },
    [STATUS] = { "status", 6 },
    [OUTCOME] = { "outcome", 7 },
    [ACTION] = { "action", 6 },
    [REASON] = { "reason", 6 },
    [RULE] = { "rule", 4 },
    [CATEGORY] = { "category", 8 },
    [EXCEPTED] = { "excepted", 8 },
    [MONITOR] = { "monitor", 7 },
    [CACHED] = { "cached", 6 },
    [SIGNATURE] = { "signature", 9 },
    [ENCODING] = { "encoding", 8 },
    [BYTES] = { "bytes", 5 },
    [GENERATION] = { "generation", 10 },
    [TOTAL_US] = { "total_us", 8 },
    [SCAN_US] = { "scan_us", 7 },
    [LOST] = { "lost", 4 },
};

/* Looks from the field at `from` on, once around; FIELD_COUNT for a key that is not known. */
static unsigned find_field(struct sp_str key, unsigned from)
{
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        unsigned at = from + i < FIELD_COUNT ? from + i : from + i - FIELD_COUNT;
        if (keys[at].n == key.n && keys[at].p[0] == key.p[0] && memcmp(keys[at].p, key.p, key.n) == 0)
            return at;
    }
    return FIELD_COUNT;
}

static unsigned to_unsigned(uint64_t number)
{
    return number <= UINT32_MAX ? (unsigned) number : 0;
}

/* A value of another kind than the field's counts as missing. */
static void set_field(struct sp_decline *out, unsigned field, const struct value *value)
{
    struct sp_str text = value->kind == KIND_TEXT ? value->text : SP_STR("");
    uint64_t number = value->kind == KIND_NUMBER ? value->number : 0;
    bool is_true = value->kind == KIND_BOOL && value->is_true;
    switch ((enum field) field) {
    case TIME: out->wall_us = parse_time(text); break;
    case ID: out->id = text; break;
    case CLIENT: out->client = text; break;
    case USER: out->user = text; break;
    case DIRECTION: out->direction = text; break;
    case METHOD: out->method = text; break;
    case URL: out->url = text; break;
    case STATUS: out->status = to_unsigned(number); break;
    case OUTCOME: out->outcome = outcome_of(text); break;
    case ACTION: out->has_action = parse_action(text, &out->action); break;
    case REASON: out->reason = text; break;
    case RULE: out->rule = text; break;
    case CATEGORY: out->category = text; break;
    case EXCEPTED: out->excepted = text; break;
    case MONITOR: out->is_monitored = is_true; break;
    case CACHED: out->is_cached = is_true; break;
    case SIGNATURE: out->signature = text; break;
    case ENCODING: out->encoding = text; break;
    case BYTES: out->bytes = number; break;
    case GENERATION: out->generation = to_unsigned(number); break;
    case TOTAL_US: out->total_us = (int64_t) number; break;
    case SCAN_US: out->scan_us = (int64_t) number; break;
    case LOST: out->lost = number; break;
    case FIELD_COUNT: break;
    }
}

/* Eight at a time: a line of ours has no byte below a blank, for JSON has those escaped (RFC 8259 7). */
static bool has_control(struct sp_str s)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;
    uint64_t found = 0, word;
    size_t i = 0;
    for (; i + sizeof(word) <= s.n; i += sizeof(word)) {
        memcpy(&word, s.p + i, sizeof(word));
        found |= (word - ones * 0x20) & ~word & tops;
    }
    for (; i < s.n; i++)
        found |= (unsigned char) s.p[i] < 0x20;
    return found != 0;
}

enum sp_status sp_decline_parse(struct sp_str line, struct sp_decline *out)
{
    *out = (struct sp_decline){ .outcome = SP_OUTCOME_COUNT };
    struct sp_str none = SP_STR("");
    out->id = out->client = out->user = out->direction = out->method = out->url = none;
    out->reason = out->rule = out->category = out->excepted = out->signature = out->encoding = none;
    if (line.n == 0 || has_control(line))
        return SP_ERR_SYNTAX;
    struct cursor c = { line.p, line.p + line.n };
    if (!take(&c, '{'))
        return SP_ERR_SYNTAX;
    unsigned next = TIME;
    bool is_more = !take(&c, '}');
    while (is_more) {
        struct sp_str key;
        struct value value;
        if (c.p == c.end || *c.p++ != '"' || !take_string(&c, &key) || !take(&c, ':') || !take_value(&c, &value))
            return SP_ERR_SYNTAX;
        unsigned field = find_field(key, next);
        if (field != FIELD_COUNT) {
            set_field(out, field, &value);
            next = (field + 1) % FIELD_COUNT;
        }
        is_more = take(&c, ',');
        if (!is_more && !take(&c, '}'))
            return SP_ERR_SYNTAX;
    }
    return c.p == c.end ? SP_OK : SP_ERR_SYNTAX;
}

/* --- text -------------------------------------------------------------------------------------------------------------- */

/* "\uXXXX" at the start of s. */
static bool read_unit(struct sp_str s, uint32_t *unit_out)
{
    if (s.n < 2 + ESCAPE_DIGITS || s.p[0] != '\\' || s.p[1] != 'u')
        return false;
    *unit_out = 0;
    for (size_t i = 2; i < 2 + ESCAPE_DIGITS; i++) {
        int value = sp_hex_digit(s.p[i]);
        if (value < 0)
            return false;
        *unit_out = *unit_out << 4 | (uint32_t) value;
    }
    return true;
}

static size_t put_utf8(uint32_t code, char out[UTF8_MAX])
{
    if (code < 0x80) {
        out[0] = (char) code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        out[i] = (char) (0x80 | (code & 0x3f));
    out[0] = (char) ((0xf00u >> n & 0xffu) | code);
    return n;
}

static size_t put_replacement(char out[UTF8_MAX])
{
    memcpy(out, REPLACEMENT, sizeof(REPLACEMENT) - 1);
    return sizeof(REPLACEMENT) - 1;
}

/* An escape at the start of s: its length, and the character for it. */
static size_t read_escape(struct sp_str s, char out[UTF8_MAX], size_t *n_out)
{
    static const char names[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    uint32_t unit, low;
    if (read_unit(s, &unit)) {
        struct sp_str rest = { s.p + 2 + ESCAPE_DIGITS, s.n - 2 - ESCAPE_DIGITS };
        bool is_high = unit >= 0xd800 && unit <= 0xdbff;
        if (is_high && read_unit(rest, &low) && low >= 0xdc00 && low <= 0xdfff) {
            *n_out = put_utf8(0x10000 + ((unit - 0xd800) << 10 | (low - 0xdc00)), out);
            return (size_t) 2 * (2 + ESCAPE_DIGITS);
        }
        *n_out = unit >= 0xd800 && unit <= 0xdfff ? put_replacement(out) : put_utf8(unit, out);
        return 2 + ESCAPE_DIGITS;
    }
    for (size_t i = 0; s.n >= 2 && i + 1 < sizeof(names); i += 2) {
        if (names[i] == s.p[1]) {
            out[0] = names[i + 1];
            *n_out = 1;
            return 2;
        }
    }
    *n_out = put_replacement(out);
    return 1;
}

/* The character at the start of s, which is not empty: how many bytes stand for it, and its own bytes. */
static size_t read_character(struct sp_str s, char out[UTF8_MAX], size_t *n_out)
{
    if (s.p[0] == '\\')
        return read_escape(s, out, n_out);
    uint32_t code;
    size_t n = sp_utf8_next(s, &code);
    if (n == 0) {
        *n_out = put_replacement(out);
        return 1;
    }
    memcpy(out, s.p, n);
    *n_out = n;
    return n;
}

static struct sp_str behind(struct sp_str s, size_t n)
{
    return (struct sp_str){ s.p + n, s.n - n };
}

enum sp_status sp_decline_text(struct sp_str raw, struct sp_buf *out)
{
    enum sp_status status = SP_OK;
    while (raw.n > 0 && status == SP_OK) {
        size_t plain = 0;
        while (plain < raw.n && raw.p[plain] != '\\' && (unsigned char) raw.p[plain] < 0x80)
            plain++;
        if (plain > 0) {
            status = sp_buf_add(out, raw.p, plain);
            raw = behind(raw, plain);
            continue;
        }
        char character[UTF8_MAX];
        size_t n, took = read_character(raw, character, &n);
        status = sp_buf_add(out, character, n);
        raw = behind(raw, took);
    }
    return status;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c | 0x20) : c;
}

static bool starts_with(struct sp_str raw, struct sp_str text)
{
    while (text.n > 0) {
        char character[UTF8_MAX];
        size_t n;
        if (raw.n == 0)
            return false;
        size_t took = read_character(raw, character, &n);
        if (n > text.n)
            return false;
        for (size_t i = 0; i < n; i++)
            if (lower(character[i]) != lower(text.p[i]))
                return false;
        raw = behind(raw, took);
        text = behind(text, n);
    }
    return true;
}

bool sp_decline_contains(struct sp_str raw, struct sp_str text)
{
    while (text.n > 0 && raw.n > 0) {
        char character[UTF8_MAX];
        size_t n;
        if (starts_with(raw, text))
            return true;
        raw = behind(raw, read_character(raw, character, &n));
    }
    return text.n == 0;
}
