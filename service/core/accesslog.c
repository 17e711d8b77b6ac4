/* Squid's native access.log, line by line. The URL has no blank in it, for Squid sees to that; a user name may, so what ends it is
 * the hierarchy code behind it ("HIER_DIRECT/192.0.2.1"). */
#include "config.h"

#include "sallyport/accesslog.h"

#include "sallyport/text.h"

#include <string.h>

#define MAX_SECONDS 100000000000 /* the year 5138: no sum can overflow */
#define STATUS_CHALLENGE 407     /* RFC 9110 15.5.8 */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes the next column off the front of s; empty at the end. */
static struct sp_str take(struct sp_str *s)
{
    size_t from = 0;
    while (from < s->n && is_blank(s->p[from]))
        from++;
    size_t to = from;
    while (to < s->n && !is_blank(s->p[to]))
        to++;
    struct sp_str column = { s->p + from, to - from };
    s->p += to;
    s->n -= to;
    return column;
}

static struct sp_str unless_dash(struct sp_str s)
{
    return s.n == 1 && s.p[0] == '-' ? SP_STR("") : s;
}

/* "1763825787.123", the fraction optional. */
static bool parse_time(struct sp_str s, int64_t *seconds_out)
{
    int64_t seconds = 0;
    size_t i = 0;
    for (; i < s.n && is_digit(s.p[i]) && seconds < MAX_SECONDS; i++)
        seconds = seconds * 10 + (s.p[i] - '0');
    *seconds_out = seconds;
    if (i == 0 || seconds >= MAX_SECONDS)
        return false;
    if (i == s.n)
        return true;
    if (s.p[i] != '.')
        return false;
    for (i++; i < s.n; i++)
        if (!is_digit(s.p[i]))
            return false;
    return true;
}

static bool is_number(struct sp_str s)
{
    size_t i = s.n > 0 && s.p[0] == '-' ? 1 : 0; /* a clock that was set back gives a negative duration */
    if (i == s.n)
        return false;
    for (; i < s.n; i++)
        if (!is_digit(s.p[i]))
            return false;
    return true;
}

/* "TCP_TUNNEL/200": capitals with a slash behind; also the hierarchy code. */
static bool is_code(struct sp_str s)
{
    size_t i = 0;
    while (i < s.n && ((s.p[i] >= 'A' && s.p[i] <= 'Z') || (i > 0 && (is_digit(s.p[i]) || s.p[i] == '_'))))
        i++;
    return i > 0 && i < s.n && s.p[i] == '/';
}

static unsigned status_of(struct sp_str result)
{
    unsigned status = 0;
    size_t i = (size_t) ((const char *) memchr(result.p, '/', result.n) - result.p) + 1;
    for (; i < result.n && is_digit(result.p[i]) && status < 1000; i++)
        status = status * 10 + (unsigned) (result.p[i] - '0');
    return status;
}

/* What stands between the URL and the hierarchy code. False if there is no such code. */
static bool take_user(struct sp_str *rest, struct sp_str *user_out)
{
    struct sp_str user = take(rest);
    if (user.n == 0)
        return false;
    for (;;) {
        struct sp_str column = take(rest);
        if (column.n == 0)
            return false;
        if (is_code(column))
            break;
        user.n = (size_t) (column.p + column.n - user.p);
    }
    *user_out = unless_dash(user);
    return true;
}

/* The forms of web servers have a date in brackets and the request line in quotes. */
static bool is_quoted_form(struct sp_str line)
{
    const char *date = memmem(line.p, line.n, " [", 2);
    if (!date)
        return false;
    return memmem(date, line.n - (size_t) (date - line.p), "] \"", 3) != NULL;
}

enum sp_accesslog_kind sp_accesslog_parse(struct sp_str line, struct sp_accesslog_line *out)
{
    struct sp_accesslog_line found = { 0 };
    *out = found;
    struct sp_str rest = line;
    struct sp_str time = take(&rest), elapsed = take(&rest);
    found.client = unless_dash(take(&rest));
    struct sp_str result = take(&rest), bytes = take(&rest);
    found.method = take(&rest);
    found.url = take(&rest);
    if (!parse_time(time, &found.seconds) || !is_number(elapsed) || !is_code(result) || !is_number(bytes) || !take_user(&rest, &found.user))
        return line.n > 0 && is_quoted_form(line) ? SP_ACCESSLOG_QUOTED : SP_ACCESSLOG_UNKNOWN;
    if (status_of(result) == STATUS_CHALLENGE)
        return SP_ACCESSLOG_CHALLENGE;
    bool is_broken = sp_str_starts_nocase(found.url, SP_STR("error:")) || sp_str_equal(found.url, SP_STR("-"));
    if (is_broken || sp_str_equal(found.method, SP_STR("NONE")) || sp_str_starts_nocase(result, SP_STR("UDP_")))
        return SP_ACCESSLOG_NOTHING;
    *out = found;
    return SP_ACCESSLOG_REQUEST;
}

/* --- user ------------------------------------------------------------------------------------------------------------- */

/* The byte that begins at s, which is not empty; how many bytes stand for it. */
static size_t unquote(struct sp_str s, char *byte_out)
{
    *byte_out = s.p[0];
    if (s.p[0] == '%' && s.n >= 3 && sp_hex_digit(s.p[1]) >= 0 && sp_hex_digit(s.p[2]) >= 0) {
        *byte_out = (char) (sp_hex_digit(s.p[1]) * 16 + sp_hex_digit(s.p[2]));
        return 3;
    }
    if (s.p[0] != '\\' || s.n < 2)
        return 1;
    if (s.p[1] == 'r' || s.p[1] == 'n')
        *byte_out = s.p[1] == 'r' ? '\r' : '\n';
    else if (s.p[1] != '\\')
        return 1;
    return 2;
}

struct sp_str sp_accesslog_user(struct sp_str user, char out[SP_ACCESSLOG_USER_SIZE])
{
    size_t n = 0;
    while (user.n > 0 && n < SP_ACCESSLOG_USER_SIZE) {
        size_t took = unquote(user, &out[n++]);
        user.p += took;
        user.n -= took;
    }
    return (struct sp_str){ out, n };
}
