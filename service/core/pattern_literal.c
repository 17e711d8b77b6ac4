/* What must be in a text that a regular expression matches, read out of the expression's own text: the bytes it starts with, and the
 * longest run of bytes somewhere in it. Comparing bytes is cheaper than asking PCRE2.
 *
 * The rule that types cannot say: this is no parser of PCRE2's language and need not be. It reads the plain forms that catalogues are
 * written in, and of anything else it says nothing; a run that a match could lack would let a tunnel pass. */
#include "config.h"

#include "pattern_priv.h"

#include <string.h>

/* Whether the escape at the start of s (a backslash and more) is one that changes how the bytes behind it are read. */
static bool is_odd_escape(struct sp_str s)
{
    return s.n < 2 || strchr("QEc", s.p[1]) != NULL;
}

/* Length of the class "[...]" at the start of s; 0 when it holds something that this file does not read. */
static size_t class_length(struct sp_str s)
{
    size_t i = 1;
    if (i < s.n && s.p[i] == '^')
        i++;
    if (i < s.n && s.p[i] == ']')
        i++;
    while (i < s.n && s.p[i] != ']') {
        bool is_escape = s.p[i] == '\\';
        if (s.p[i] == '[' || (is_escape && is_odd_escape((struct sp_str){ s.p + i, s.n - i })))
            return 0; /* [:alpha:] and the like */
        i += is_escape ? 2 : 1;
    }
    return i < s.n ? i + 1 : 0;
}

/* "(", "(?:", or a look ahead or behind. Others change how what follows is read, or are no groups at all. */
static bool is_plain_group(struct sp_str s)
{
    static const char *const known[] = { "(?:", "(?=", "(?!", "(?<=", "(?<!" };
    if (s.n < 2 || (s.p[1] != '?' && s.p[1] != '*'))
        return true;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (sp_str_starts_nocase(s, sp_str_from(known[i])))
            return true;
    return false;
}

/* Length of the atom or sign at the start of s; 0 when it is special. *depth counts open groups. */
static size_t token_length(struct sp_str s, unsigned *depth)
{
    switch (s.p[0]) {
    case '\\':
        return is_odd_escape(s) ? 0 : 2;
    case '[':
        return class_length(s);
    case '(':
        if (!is_plain_group(s))
            return 0;
        (*depth)++;
        return 1;
    case ')':
        (*depth)--;
        return 1;
    default:
        return 1;
    }
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* --- start ----------------------------------------------------------------------------------------------------------- */

/* Whether the pattern, which PCRE2 has accepted, is one branch without settings or other specials. */
static bool is_one_branch(struct sp_str regex)
{
    unsigned depth = 0;
    for (size_t i = 0; i < regex.n;) {
        size_t n = token_length((struct sp_str){ regex.p + i, regex.n - i }, &depth);
        if (n == 0 || (regex.p[i] == '|' && depth == 0))
            return false;
        i += n;
    }
    return true;
}

/* The bytes that follow a leading "^" as themselves. Stops early rather than wrongly. */
size_t sp_regex_prefix(struct sp_str regex, char prefix[SP_LITERAL_MAX])
{
    size_t n = 0;
    if (regex.n == 0 || regex.p[0] != '^' || !is_one_branch(regex))
        return 0;
    for (size_t i = 1; i < regex.n && n < SP_LITERAL_MAX; i++) {
        char c = regex.p[i];
        if (c == '\\') {
            if (++i == regex.n || is_alnum(regex.p[i]))
                break; /* \d and the like */
            c = regex.p[i];
        } else if (strchr("?*+{", c) != NULL) {
            return n > 0 ? n - 1 : 0; /* the byte before may be missing */
        } else if (strchr("[(.^$", c) != NULL) {
            break;
        }
        prefix[n++] = c;
    }
    return n == SP_LITERAL_MAX ? n - 1 : n; /* a quantifier may follow the last one */
}

/* --- run -------------------------------------------------------------------------------------------------------------- */

struct run {
    char bytes[SP_LITERAL_MAX];
    size_t n;
};

static void add_byte(struct run *run, char c)
{
    if (run->n < SP_LITERAL_MAX)
        run->bytes[run->n++] = c;
}

static void end_run(struct run *run, struct run *longest)
{
    if (run->n > longest->n)
        *longest = *run;
    run->n = 0;
}

/* The byte before may be missing, or come several times. */
static void end_run_before_last(struct run *run, struct run *longest)
{
    if (run->n > 0)
        run->n--;
    end_run(run, longest);
}

/* Length of "{2,3}" at the start of s; 0 when it is not that. */
static size_t count_length(struct sp_str s)
{
    size_t n = 1;
    while (n < s.n && ((s.p[n] >= '0' && s.p[n] <= '9') || s.p[n] == ','))
        n++;
    return n < s.n && s.p[n] == '}' ? n + 1 : 0;
}

/* Takes the token at the start of s, outside of all groups. Its length; 0 when it says nothing about the whole. */
static size_t take_token(struct sp_str s, size_t n, struct run *run, struct run *longest)
{
    switch (s.p[0]) {
    case '\\':
        if (!is_alnum(s.p[1]))
            add_byte(run, s.p[1]);
        else if (strchr("bBdDsSwW", s.p[1]))
            end_run(run, longest);
        else
            return 0; /* \x41 and the like: longer than it looks */
        return n;
    case '?':
    case '*':
        end_run_before_last(run, longest);
        return n;
    case '{':
        end_run_before_last(run, longest);
        return count_length(s);
    case '|':
        return 0;
    case '[':
    case '(':
    case ')':
    case '.':
    case '^':
    case '$':
    case '+':
        end_run(run, longest);
        return n;
    default:
        add_byte(run, s.p[0]);
        return n;
    }
}

size_t sp_regex_literal(struct sp_str regex, char literal[SP_LITERAL_MAX])
{
    struct run run = { .n = 0 }, longest = { .n = 0 };
    struct sp_str any_case = SP_STR("(?i)");
    unsigned depth = 0;
    size_t i = sp_str_starts_nocase(regex, any_case) ? any_case.n : 0;
    while (i < regex.n) {
        struct sp_str s = { regex.p + i, regex.n - i };
        bool is_outside = depth == 0;
        size_t n = token_length(s, &depth);
        if (n > 0 && is_outside)
            n = take_token(s, n, &run, &longest);
        if (n == 0)
            return 0;
        i += n; /* what is inside a group may be one of several branches: passed over */
    }
    end_run(&run, &longest);
    memcpy(literal, longest.bytes, longest.n);
    return longest.n;
}
