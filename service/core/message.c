/* The view of one HTTP head. Every function here only points into bytes that somebody else owns; the one allocation
 * is the field array.
 *
 * The rule that types cannot say: oddness is not an error. A head with blanks before a colon, a folded value, a target
 * with userinfo or a method in lower case must still show its fields and its parts, because that is how an
 * attacker would write it. So blanks here are all that some server takes for one, line ends of a fold included. */
#include "config.h"

#include "sallyport/message.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 32 /* fields of an ordinary head, so that most heads allocate once */
#define STATUS_DIGITS 3

/* Asked of many bytes, of which few are as low as a blank: that is the first question. */
static bool is_space(char c)
{
    unsigned char u = (unsigned char) c;
    return u <= ' ' && (u == ' ' || (u >= '\t' && u <= '\r'));
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool all_digits(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_digit(s.p[i]))
            return false;
    return s.n > 0;
}

static struct sp_str slice(struct sp_str s, size_t from, size_t to)
{
    return (struct sp_str){ s.p + from, to - from };
}

static struct sp_str from(struct sp_str s, size_t start)
{
    return slice(s, start, s.n);
}

static inline struct sp_str trim(struct sp_str s)
{
    while (s.n > 0 && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* The first byte of s that is c; s.n if there is none. */
static size_t find(struct sp_str s, char c)
{
    const char *hit = s.n > 0 ? memchr(s.p, c, s.n) : NULL;
    return hit ? (size_t) (hit - s.p) : s.n;
}

static size_t find_last(struct sp_str s, char c)
{
    const char *hit = s.n > 0 ? memrchr(s.p, c, s.n) : NULL;
    return hit ? (size_t) (hit - s.p) : s.n;
}

/* Takes the bytes up to the first space off the front of s. */
static struct sp_str take_word(struct sp_str *s)
{
    size_t n = 0;
    while (n < s->n && !is_space(s->p[n]))
        n++;
    struct sp_str word = slice(*s, 0, n);
    *s = trim(from(*s, n));
    return word;
}

/* --- target ---------------------------------------------------------------------------------------------------------- */

/* Trailing dots go: "host." and "host" are one name, and a rule on the name must not be avoided by a dot. */
static struct sp_str strip_dots(struct sp_str host)
{
    while (host.n > 0 && host.p[host.n - 1] == '.')
        host.n--;
    return host;
}

static void set_authority(struct sp_message *msg, struct sp_str authority)
{
    size_t at = find_last(authority, '@');
    if (at < authority.n)
        authority = from(authority, at + 1);
    msg->authority = authority;

    size_t host_end;
    struct sp_str rest;
    if (authority.n > 0 && authority.p[0] == '[') {
        host_end = find(authority, ']');
        msg->host = slice(authority, 1, host_end);
        rest = host_end < authority.n ? from(authority, host_end + 1) : SP_STR("");
    } else {
        /* Two colons without brackets are an IPv6 address in plain form: no port can be told. */
        host_end = find(authority, ':');
        if (find_last(authority, ':') != host_end)
            host_end = authority.n;
        msg->host = strip_dots(slice(authority, 0, host_end));
        rest = from(authority, host_end);
    }
    if (rest.n > 1 && rest.p[0] == ':' && all_digits(from(rest, 1)))
        msg->port = from(rest, 1);
}

/* Splits "authority/path": what starts at the first of "/?#" is the path. */
static void set_authority_and_path(struct sp_message *msg, struct sp_str s)
{
    size_t n = find(s, '/');
    n = find(slice(s, 0, n), '?');
    n = find(slice(s, 0, n), '#');
    set_authority(msg, slice(s, 0, n));
    msg->path = from(s, n);
}

/* Length of the scheme of an absolute target ("http" of "http://..."), else 0. RFC 3986 3.1 names the characters. */
static size_t scheme_length(struct sp_str target)
{
    size_t n = 0;
    while (n < target.n) {
        char c = target.p[n];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && (n == 0 || !(is_digit(c) || c == '+' || c == '-' || c == '.')))
            break;
        n++;
    }
    return target.n - n >= 3 && memcmp(target.p + n, "://", 3) == 0 ? n : 0;
}

/* The four forms of RFC 9112 3.2. Needs the fields: the Host field speaks where the target has no authority. */
static void split_target(struct sp_message *msg)
{
    struct sp_str target = msg->target;
    size_t scheme_n = scheme_length(target);
    if (scheme_n > 0) {
        msg->scheme = slice(target, 0, scheme_n);
        set_authority_and_path(msg, from(target, scheme_n + 3));
        return;
    }
    bool is_origin = target.n > 0 && target.p[0] == '/';
    if (msg->is_connect && !is_origin) {
        set_authority_and_path(msg, target);
        return;
    }
    if (is_origin)
        msg->path = target;
    const struct sp_field *host = sp_message_field(msg, SP_STR("Host"));
    if (host)
        set_authority(msg, host->value);
}

/* --- start line ------------------------------------------------------------------------------------------------------ */

/* "METHOD target HTTP/1.1". The target may hold blanks: what is between the first and the last word. A line that was
 * continued by a fold ends where its first physical line ends; no receiver reads a version further on. */
static void split_request_line(struct sp_message *msg)
{
    struct sp_str line = msg->start_line;
    line = trim(slice(line, 0, find(line, '\n')));
    msg->method = take_word(&line);
    msg->is_connect = sp_str_equal_nocase(msg->method, SP_STR("CONNECT"));

    size_t word = line.n;
    while (word > 0 && !is_space(line.p[word - 1]))
        word--;
    if (sp_str_starts_nocase(from(line, word), SP_STR("HTTP/"))) {
        msg->version = from(line, word);
        line = trim(slice(line, 0, word));
    }
    msg->target = line;
}

static void split_status_line(struct sp_message *msg)
{
    struct sp_str line = msg->start_line;
    line = trim(slice(line, 0, find(line, '\n')));
    struct sp_str version = take_word(&line);
    struct sp_str code = take_word(&line);
    msg->version = version;
    if (code.n != STATUS_DIGITS || !all_digits(code))
        return;
    for (size_t i = 0; i < code.n; i++)
        msg->status_code = msg->status_code * 10 + (unsigned) (code.p[i] - '0');
}

/* --- fields ---------------------------------------------------------------------------------------------------------- */

static enum sp_status grow(struct sp_message *msg)
{
    if (msg->n_fields >= SP_MESSAGE_MAX_FIELDS)
        return SP_ERR_LIMIT;
    size_t cap = msg->cap_fields == 0 ? FIRST_CAP : msg->cap_fields * 2;
    struct sp_field *fields = realloc(msg->fields, cap * sizeof(*fields));
    if (!fields)
        return SP_ERR_NOMEM;
    msg->fields = fields;
    msg->cap_fields = cap;
    return SP_OK;
}

static enum sp_status add_field(struct sp_message *msg, struct sp_str line)
{
    size_t colon = find(line, ':');
    struct sp_str name = trim(slice(line, 0, colon));
    if (name.n == 0 && colon == line.n)
        return SP_OK; /* nothing but blanks */
    if (msg->n_fields == msg->cap_fields) {
        enum sp_status status = grow(msg);
        if (status != SP_OK)
            return status;
    }
    struct sp_field *field = &msg->fields[msg->n_fields++];
    field->name = name;
    field->value = colon < line.n ? trim(from(line, colon + 1)) : SP_STR("");
    return SP_OK;
}

enum sp_status sp_message_init_lines(struct sp_message *msg, enum sp_message_kind kind, char *const *lines, size_t n)
{
    *msg = (struct sp_message){ .kind = kind };
    for (size_t i = 1; i < n; i++) {
        enum sp_status status = add_field(msg, sp_str_from(lines[i]));
        if (status != SP_OK) {
            sp_message_fini(msg);
            return status;
        }
    }
    msg->start_line = n > 0 ? trim(sp_str_from(lines[0])) : SP_STR("");
    if (kind == SP_MESSAGE_RESPONSE) {
        split_status_line(msg);
    } else {
        split_request_line(msg);
        split_target(msg);
    }
    return SP_OK;
}

void sp_message_fini(struct sp_message *msg)
{
    free(msg->fields);
    *msg = (struct sp_message){ 0 };
}

const struct sp_field *sp_message_next(const struct sp_message *msg, struct sp_str name, size_t *pos)
{
    for (size_t i = *pos; i < msg->n_fields; i++)
        if (sp_str_equal_nocase(msg->fields[i].name, name)) {
            *pos = i + 1;
            return &msg->fields[i];
        }
    *pos = msg->n_fields;
    return NULL;
}

const struct sp_field *sp_message_field(const struct sp_message *msg, struct sp_str name)
{
    size_t pos = 0;
    return sp_message_next(msg, name, &pos);
}

/* --- known fields ---------------------------------------------------------------------------------------------------- */

struct sp_str sp_message_media_type(const struct sp_message *msg)
{
    const struct sp_field *field = sp_message_field(msg, SP_STR("Content-Type"));
    if (!field)
        return SP_STR("");
    return trim(slice(field->value, 0, find(field->value, ';')));
}

static bool parse_length(struct sp_str digits, unsigned long long *length_out)
{
    unsigned long long value = 0;
    if (!all_digits(digits))
        return false;
    for (size_t i = 0; i < digits.n; i++) {
        unsigned digit = (unsigned) (digits.p[i] - '0');
        if (value > (ULLONG_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *length_out = value;
    return true;
}

bool sp_message_content_length(const struct sp_message *msg, unsigned long long *length_out)
{
    unsigned long long length = 0;
    bool is_known = false;
    size_t pos = 0;
    const struct sp_field *field;
    while ((field = sp_message_next(msg, SP_STR("Content-Length"), &pos)) != NULL) {
        struct sp_str rest = field->value;
        for (bool more = true; more;) { /* a list of equal values is allowed (RFC 9110 8.6) */
            size_t comma = find(rest, ',');
            unsigned long long value;
            if (!parse_length(trim(slice(rest, 0, comma)), &value) || (is_known && value != length))
                return false;
            length = value;
            is_known = true;
            more = comma < rest.n;
            rest = more ? from(rest, comma + 1) : SP_STR("");
        }
    }
    if (is_known)
        *length_out = length;
    return is_known;
}
