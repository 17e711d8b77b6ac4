/* What must be in a text that a regular expression matches, read out of the expression's own text: the bytes it starts with, and runs
 * of bytes one of which is somewhere in it. Comparing bytes is cheaper than asking PCRE2.
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

/* --- runs ------------------------------------------------------------------------------------------------------------- */

#define DEPTH_MAX 8 /* of groups inside groups */

/* Reads the text from its front. */
struct reader {
    struct sp_str rest;
    unsigned depth;
};

static void skip(struct reader *r, size_t n)
{
    r->rest.p += n;
    r->rest.n -= n;
}

static void add_byte(struct sp_literal *run, char c)
{
    if (run->n < SP_LITERAL_MAX)
        run->bytes[run->n++] = c;
}

/* A set is worth what the shortest of its runs is, because that is found most often; one without runs says nothing. */
static size_t worth_of(const struct sp_literals *set)
{
    size_t worth = set->n > 0 ? SP_LITERAL_MAX : 0;
    for (size_t i = 0; i < set->n; i++)
        if (set->of[i].n < worth)
            worth = set->of[i].n;
    return worth;
}

static void keep_better(struct sp_literals *best, const struct sp_literals *set)
{
    size_t better = worth_of(set), worth = worth_of(best);
    if (better > worth || (better == worth && set->n < best->n))
        *best = *set;
}

static void end_run(struct sp_literal *run, struct sp_literals *best)
{
    struct sp_literals one = { .n = 1 };
    one.of[0] = *run;
    if (run->n > 0)
        keep_better(best, &one);
    run->n = 0;
}

/* The byte before may be missing, or come several times. */
static void end_run_before_last(struct sp_literal *run, struct sp_literals *best)
{
    if (run->n > 0)
        run->n--;
    end_run(run, best);
}

/* Length of "{2,3}" at the start of s; 0 when it is not that. */
static size_t count_length(struct sp_str s)
{
    size_t n = 1;
    while (n < s.n && ((s.p[n] >= '0' && s.p[n] <= '9') || s.p[n] == ','))
        n++;
    return n < s.n && s.p[n] == '}' ? n + 1 : 0;
}

/* Takes the token of n bytes at the start of s, which is no bracket and no bar. Its length; 0 when it says nothing about the whole. */
static size_t take_token(struct sp_str s, size_t n, struct sp_literal *run, struct sp_literals *best)
{
    switch (s.p[0]) {
    case '\\':
        if (!is_alnum(s.p[1]))
            add_byte(run, s.p[1]);
        else if (strchr("bBdDsSwW", s.p[1]))
            end_run(run, best);
        else
            return 0; /* \x41 and the like: longer than it looks */
        return n;
    case '?':
    case '*':
        end_run_before_last(run, best);
        return n;
    case '{':
        end_run_before_last(run, best);
        return count_length(s);
    case '[':
    case '.':
    case '^':
    case '$':
    case '+':
        end_run(run, best);
        return n;
    default:
        add_byte(run, s.p[0]);
        return n;
    }
}

static bool read_branches(struct reader *r, struct sp_literals *all);

/* The group at the front. What it holds counts if it is there in every match as it stands: no look around, not repeated zero times. */
static bool read_group(struct reader *r, struct sp_literals *best)
{
    struct sp_literals inside;
    bool is_look = r->rest.n > 2 && r->rest.p[1] == '?' && r->rest.p[2] != ':';
    bool is_back = is_look && r->rest.p[2] == '<';
    if (!is_plain_group(r->rest) || ++r->depth > DEPTH_MAX)
        return false;
    skip(r, is_back ? strlen("(?<=") : r->rest.p[1] == '?' ? strlen("(?:") : 1);
    if (!read_branches(r, &inside) || r->rest.n == 0)
        return false;
    skip(r, 1); /* ")" */
    r->depth--;
    bool may_miss = r->rest.n > 0 && strchr("?*{", r->rest.p[0]) != NULL;
    if (!is_look && !may_miss)
        keep_better(best, &inside);
    return true;
}

/* Up to a bar, a closing bracket or the end. */
static bool read_branch(struct reader *r, struct sp_literals *best)
{
    struct sp_literal run = { .n = 0 };
    best->n = 0;
    while (r->rest.n > 0 && r->rest.p[0] != '|' && r->rest.p[0] != ')') {
        if (r->rest.p[0] == '(') {
            end_run(&run, best);
            if (!read_group(r, best))
                return false;
            continue;
        }
        unsigned depth = 0;
        size_t n = token_length(r->rest, &depth);
        if (n > 0)
            n = take_token(r->rest, n, &run, best);
        if (n == 0)
            return false;
        skip(r, n);
    }
    end_run(&run, best);
    return true;
}

/* One branch or several, of which any may be the one that matches: so a run of each. False: nothing can be told of the whole. */
static bool read_branches(struct reader *r, struct sp_literals *all)
{
    bool is_any_open = false; /* a branch without a run */
    all->n = 0;
    for (;;) {
        struct sp_literals branch;
        if (!read_branch(r, &branch))
            return false;
        is_any_open = is_any_open || branch.n == 0 || all->n + branch.n > SP_LITERALS_MAX;
        for (size_t i = 0; i < branch.n && !is_any_open; i++)
            all->of[all->n++] = branch.of[i];
        if (r->rest.n == 0 || r->rest.p[0] == ')')
            break;
        skip(r, 1); /* "|" */
    }
    if (is_any_open)
        all->n = 0;
    return true;
}

void sp_regex_literals(struct sp_str regex, struct sp_literals *literals_out)
{
    struct sp_str any_case = SP_STR("(?i)");
    struct reader r = { .rest = regex };
    if (sp_str_starts_nocase(regex, any_case))
        skip(&r, any_case.n);
    if (!read_branches(&r, literals_out) || r.rest.n > 0)
        literals_out->n = 0;
}
