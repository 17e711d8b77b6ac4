/* The boundary parameter of multipart/anything (RFC 2046 5.1.1). The rule that types cannot say: whoever sends a virus picks the
 * spelling that the receiver and a scanner read differently. So what is not plain is odd, and odd is not clean. */
#include "config.h"

#include "split_multipart_priv.h"

#include <string.h>

struct value {
    char p[SP_BOUNDARY_MAX + 1]; /* a byte more, so that too long is seen */
    size_t n;
    bool is_broken;
    bool has_escape;
};

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_control(char c)
{
    return (c >= 0 && c < ' ') || c == 0x7f;
}

static void skip(struct sp_str *s, size_t n)
{
    s->p += n;
    s->n -= n;
}

static void skip_blanks(struct sp_str *s)
{
    while (s->n > 0 && is_blank(s->p[0]))
        skip(s, 1);
}

static void add(struct value *value, char c)
{
    value->is_broken = value->is_broken || is_control(c);
    if (value->n < sizeof(value->p))
        value->p[value->n++] = c;
}

/* Takes a quoted-string off the front of s, its first quote included. */
static void take_quoted(struct sp_str *s, struct value *value)
{
    skip(s, 1);
    while (s->n > 0 && s->p[0] != '"') {
        if (s->p[0] == '\\' && s->n > 1) {
            value->has_escape = true;
            skip(s, 1);
        }
        add(value, s->p[0]);
        skip(s, 1);
    }
    if (s->n == 0)
        value->is_broken = true;
    else
        skip(s, 1);
}

/* Up to a semicolon. Many boundaries hold "=", "/" and the like without quotes; blanks and commas end one for some readers only. */
static void take_token(struct sp_str *s, struct value *value)
{
    while (s->n > 0 && s->p[0] != ';' && !is_blank(s->p[0])) {
        value->is_broken = value->is_broken || strchr("\",\\", s->p[0]) != NULL;
        add(value, s->p[0]);
        skip(s, 1);
    }
}

/* Takes "name=value" and its semicolon. A parameter without a value has an empty one. */
static void take_parameter(struct sp_str *s, struct sp_str *name_out, struct value *value)
{
    *value = (struct value){ 0 };
    skip_blanks(s);
    *name_out = (struct sp_str){ s->p, 0 };
    for (; s->n > 0 && s->p[0] != ';' && s->p[0] != '=' && !is_blank(s->p[0]); skip(s, 1))
        name_out->n++;
    skip_blanks(s);
    if (s->n > 0 && s->p[0] == '=') {
        skip(s, 1);
        skip_blanks(s);
        if (s->n > 0 && s->p[0] == '"')
            take_quoted(s, value);
        else
            take_token(s, value);
        skip_blanks(s);
    }
    if (s->n > 0 && s->p[0] != ';')
        value->is_broken = true;
    while (s->n > 0 && s->p[0] != ';')
        skip(s, 1);
    if (s->n > 0)
        skip(s, 1);
}

/* Some receivers take what follows the first "boundary" anywhere in the field, be it a part of another parameter. */
static bool is_first_mention(struct sp_str content_type, struct sp_str name)
{
    struct sp_str before = { content_type.p, (size_t) (name.p - content_type.p) };
    return !sp_str_contains_nocase(before, SP_STR("boundary"));
}

static bool check(const struct value *value, struct sp_error *odd)
{
    if (value->n == 0)
        sp_error_set(odd, SP_ERR_SYNTAX, "multipart with an empty boundary");
    else if (value->n > SP_BOUNDARY_MAX)
        sp_error_set(odd, SP_ERR_SYNTAX, "multipart with a boundary of more than %d bytes", SP_BOUNDARY_MAX);
    else if (value->is_broken)
        sp_error_set(odd, SP_ERR_SYNTAX, "multipart with a broken boundary parameter");
    else
        return true;
    return false;
}

bool sp_boundary_parse(struct sp_str content_type, char out[SP_BOUNDARY_MAX], size_t *n_out, struct sp_error *odd)
{
    struct sp_str rest = content_type, name;
    struct value value;
    bool is_found = false, is_usable = false;
    *n_out = 0;
    while (rest.n > 0 && rest.p[0] != ';')
        skip(&rest, 1);
    if (rest.n > 0)
        skip(&rest, 1);
    while (rest.n > 0) {
        take_parameter(&rest, &name, &value);
        /* A blank at the end cannot be told from the padding of the delimiter line. */
        while (value.n > 0 && value.n <= SP_BOUNDARY_MAX && value.p[value.n - 1] == ' ')
            value.n--;
        if (sp_str_starts_nocase(name, SP_STR("boundary*")))
            sp_error_set(odd, SP_ERR_SYNTAX, "multipart with a boundary in the form of RFC 2231");
        if (!sp_str_equal_nocase(name, SP_STR("boundary")))
            continue;
        if (is_found) {
            if (!sp_str_equal((struct sp_str){ out, *n_out }, (struct sp_str){ value.p, value.n }))
                sp_error_set(odd, SP_ERR_SYNTAX, "multipart with two boundaries");
            continue;
        }
        is_found = true;
        is_usable = check(&value, odd);
        if (is_usable) {
            memcpy(out, value.p, value.n);
            *n_out = value.n;
        }
        if (value.has_escape || !is_first_mention(content_type, name))
            sp_error_set(odd, SP_ERR_SYNTAX, "multipart with a boundary that can be read in two ways");
    }
    if (!is_found)
        sp_error_set(odd, SP_ERR_SYNTAX, "multipart without a boundary");
    return is_usable;
}
