/* What libconfig 1.5 would accept in silence, or report on the wrong line, is settled here before it sees the text:
 * - whole numbers over 32 bits lose their upper half: every number gets an L, which means 64 bits;
 * - an unclosed comment hides the rest of the file, an unclosed string is reported at its end: both are refused where they begin;
 * - a NUL byte ends the text: refused, also as \x00;
 * - the last string of a list gets the line of the bracket after it: the bracket is moved up;
 * - nesting goes to its parser's limit of thousands: refused beyond SP_CFGTEXT_MAX_DEPTH;
 * - @include opens any file: refused. */
#include "config.h"

#include "cfgtext_priv.h"

#include "sallyport/text.h"

#include <stdbool.h>
#include <string.h>

#define SAFE_DIGITS 18 /* always fit 64 bits */
#define SAFE_HEX_DIGITS 15

struct scan {
    const char *p, *end;
    int line;
    unsigned depth;
    struct sp_buf *out;
    struct sp_error *err;
};

static enum sp_status refuse(struct scan *s, const char *text)
{
    return sp_error_set(s->err, SP_ERR_CONF, "%s", text);
}

static enum sp_status add(struct scan *s, const char *p, size_t n)
{
    enum sp_status status = sp_buf_add(s->out, p, n);
    return status == SP_OK ? SP_OK : sp_error_set(s->err, SP_ERR_NOMEM, "out of memory");
}

/* Adds what lies between p and the place reached, and goes on from there. */
static enum sp_status add_to(struct scan *s, const char *to)
{
    const char *from = s->p;
    s->p = to;
    return add(s, from, (size_t) (to - from));
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '*';
}

static bool is_name(char c)
{
    return is_name_start(c) || is_digit(c) || c == '-' || c == '_';
}

static bool starts(const struct scan *s, const char *prefix)
{
    size_t n = strlen(prefix);
    return (size_t) (s->end - s->p) >= n && memcmp(s->p, prefix, n) == 0;
}

/* Leaves a block comment as a blank and its newlines. */
static enum sp_status block_comment(struct scan *s)
{
    int first_line = s->line;
    for (s->p += 2; s->p < s->end; s->p++) {
        if (starts(s, "*/")) {
            s->p += 2;
            return add(s, " ", 1);
        }
        if (*s->p == '\n') {
            s->line++;
            enum sp_status status = add(s, "\n", 1);
            if (status != SP_OK)
                return status;
        }
    }
    s->line = first_line;
    return refuse(s, "this comment is never closed: */ is missing");
}

/* Blanks, newlines and comments up to the next token. */
static enum sp_status blanks(struct scan *s)
{
    enum sp_status status = SP_OK;
    while (status == SP_OK && s->p < s->end) {
        if (starts(s, "#") || starts(s, "//")) {
            const char *newline = memchr(s->p, '\n', (size_t) (s->end - s->p));
            s->p = newline ? newline : s->end;
        } else if (starts(s, "/*")) {
            status = block_comment(s);
        } else if (*s->p == '\n' || *s->p == ' ' || *s->p == '\t' || *s->p == '\r') {
            s->line += *s->p == '\n';
            status = add_to(s, s->p + 1);
        } else {
            break;
        }
    }
    return status;
}

static bool is_closing(char c)
{
    return c == ',' || c == ')' || c == ']' || c == '}';
}

static enum sp_status bracket(struct scan *s)
{
    char c = *s->p;
    if (c == '(' || c == '[' || c == '{') {
        if (++s->depth > SP_CFGTEXT_MAX_DEPTH)
            return refuse(s, "groups and lists are nested too deep here (32 levels at most)");
    } else if (c != ',' && s->depth > 0) { /* one too many is libconfig's to report */
        s->depth--;
    }
    return add_to(s, s->p + 1);
}

/* libconfig looks one token past a string (strings side by side are one) and then takes the line of that token. So a
 * bracket or comma that follows on a later line is written before the newlines. */
static enum sp_status pull_up_bracket(struct scan *s)
{
    struct sp_buf gap;
    sp_buf_init(&gap, s->out->max);
    struct sp_buf *out = s->out;
    s->out = &gap;
    enum sp_status status = blanks(s);
    s->out = out;
    if (status == SP_OK && s->p < s->end && is_closing(*s->p))
        status = bracket(s);
    if (status == SP_OK && gap.n > 0)
        status = add(s, gap.p, gap.n);
    sp_buf_fini(&gap);
    return status;
}

static enum sp_status string(struct scan *s)
{
    const char *q = s->p + 1;
    while (q < s->end && *q != '"' && *q != '\n') {
        if (*q == '\\' && s->end - q >= 4 && memcmp(q + 1, "x00", 3) == 0)
            return refuse(s, "a string cannot hold \\x00");
        q += *q == '\\' && q + 1 < s->end && q[1] != '\n' ? 2 : 1;
    }
    if (q >= s->end || *q != '"')
        return refuse(s, "this string is not closed on its line: \" is missing");
    enum sp_status status = add_to(s, q + 1);
    return status == SP_OK ? pull_up_bracket(s) : status;
}

static const char *end_of_float(const struct scan *s, const char *q)
{
    while (q < s->end && (is_digit(*q) || (*q != '\0' && strchr(".eE+-", *q))))
        q++;
    return q;
}

static bool is_hexadecimal_at(const struct scan *s, const char *q)
{
    return s->end - q > 2 && q[0] == '0' && (q[1] == 'x' || q[1] == 'X') && sp_hex_digit(q[2]) >= 0;
}

static enum sp_status number(struct scan *s)
{
    const char *q = s->p;
    const bool is_hexadecimal = is_hexadecimal_at(s, q);
    if (is_hexadecimal)
        q += 2;
    const char *first = q;
    while (q < s->end && (is_hexadecimal ? sp_hex_digit(*q) >= 0 : is_digit(*q)))
        q++;
    size_t digits = (size_t) (q - first);
    if (!is_hexadecimal && q < s->end && (*q == '.' || *q == 'e' || *q == 'E')) /* a float, however long */
        return add_to(s, end_of_float(s, q));
    if (digits > (is_hexadecimal ? SAFE_HEX_DIGITS : SAFE_DIGITS))
        return refuse(s, "this number is too large");
    enum sp_status status = add_to(s, q);
    if (status == SP_OK && !(q < s->end && *q == 'L'))
        status = add(s, "L", 1); /* to all: an array's elements must be of one type */
    return status;
}

static enum sp_status name(struct scan *s)
{
    const char *q = s->p;
    while (q < s->end && is_name(*q))
        q++;
    return add_to(s, q);
}

static enum sp_status token(struct scan *s)
{
    char c = *s->p;
    if (c == '"')
        return string(s);
    if (c == '(' || c == '[' || c == '{' || is_closing(c))
        return bracket(s);
    if (is_digit(c))
        return number(s);
    if (is_name_start(c))
        return name(s);
    if (c == '\0')
        return refuse(s, "a NUL byte: this is not a text file");
    if (c == '@')
        return refuse(s, "@include is not supported");
    return add_to(s, s->p + 1); /* signs, and what libconfig will call a syntax error */
}

enum sp_status sp_cfgtext_normalise(struct sp_str text, struct sp_buf *out, int *line_out, struct sp_error *err)
{
    struct scan s = { .p = text.p, .end = text.p + text.n, .line = 1, .out = out, .err = err };
    enum sp_status status = blanks(&s);
    while (status == SP_OK && s.p < s.end) {
        *line_out = s.line;
        status = token(&s);
        if (status == SP_OK)
            status = blanks(&s);
    }
    *line_out = s.line;
    return status;
}
