/* The predicates: what a condition of a rule can ask of a head. One function and one row each; the rows are in the order in which
 * the conditions of a rule are tested, cheap ones first.
 *
 * The rule that types cannot say: who decides what a head looks like is the attacker. So methods compare without regard to case,
 * every repetition of a field is tried, and a value that was folded is also tried as a receiver would join it. */
#include "config.h"

#include "policy_priv.h"

#include "sallyport/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANY_STAGE ((1u << SP_STAGE_CONNECT) | (1u << SP_STAGE_REQUEST) | (1u << SP_STAGE_RESPONSE))
#define RESPONSE_STAGE (1u << SP_STAGE_RESPONSE)

static enum sp_match yes_if(bool is_true)
{
    return is_true ? SP_MATCH_YES : SP_MATCH_NO;
}

static enum sp_match run_pattern(const struct sp_cond *cond, struct sp_str subject)
{
    switch (sp_pattern_match(cond->pattern, subject)) {
    case SP_PATTERN_YES:
        return SP_MATCH_YES;
    case SP_PATTERN_NO:
        return SP_MATCH_NO;
    case SP_PATTERN_LIMIT:
        break;
    }
    return SP_MATCH_LIMIT;
}

/* --- start line ------------------------------------------------------------------------------------------------------ */

static enum sp_match match_method(const struct sp_cond *cond, struct sp_subject *subject)
{
    if (!subject->request)
        return SP_MATCH_NO;
    for (size_t i = 0; i < cond->n_words; i++)
        if (sp_str_equal_nocase(subject->request->method, sp_str_from(cond->words[i])))
            return SP_MATCH_YES;
    return SP_MATCH_NO;
}

static enum sp_match match_status(const struct sp_cond *cond, struct sp_subject *subject)
{
    for (size_t i = 0; i < cond->n_numbers; i++)
        if (subject->head->status_code == cond->numbers[i])
            return SP_MATCH_YES;
    return SP_MATCH_NO;
}

static enum sp_match match_version(const struct sp_cond *cond, struct sp_subject *subject)
{
    return run_pattern(cond, subject->head->version);
}

static enum sp_match match_path(const struct sp_cond *cond, struct sp_subject *subject)
{
    return subject->request ? run_pattern(cond, subject->request->path) : SP_MATCH_NO;
}

static enum sp_match match_host(const struct sp_cond *cond, struct sp_subject *subject)
{
    return subject->request ? run_pattern(cond, subject->request->host) : SP_MATCH_NO;
}

/* The port that an authority without one means; empty when nothing says. */
static struct sp_str default_port(const struct sp_message *request)
{
    if (request->is_connect || sp_str_equal_nocase(request->scheme, SP_STR("https")))
        return SP_STR("443");
    return sp_str_equal_nocase(request->scheme, SP_STR("http")) ? SP_STR("80") : SP_STR("");
}

/* "host:port" in one form whatever the client wrote: no trailing dot, no zeros before the port, the port always there. Else
 * "vpn.example.:443" and "vpn.example:0443" would reach what a rule on "vpn.example:443" refuses. */
static struct sp_str canonical_authority(struct sp_subject *subject)
{
    const struct sp_message *request = subject->request;
    if (subject->has_authority)
        return subject->authority;
    subject->has_authority = true;
    subject->authority = request->authority;

    struct sp_str port = request->port;
    while (port.n > 1 && port.p[0] == '0') {
        port.p++;
        port.n--;
    }
    if (port.n == 0)
        port = default_port(request);
    bool is_literal = request->host.n > 0 && memchr(request->host.p, ':', request->host.n) != NULL;
    if (request->host.n == 0 || port.n == 0 || request->host.n + port.n + sizeof("[]:") > SP_AUTHORITY_MAX)
        return subject->authority;
    int n = snprintf(subject->authority_bytes, SP_AUTHORITY_MAX, "%s%.*s%s:%.*s", is_literal ? "[" : "", (int) request->host.n,
        request->host.p, is_literal ? "]" : "", (int) port.n, port.p);
    SP_ASSERT(n > 0 && n < SP_AUTHORITY_MAX);
    subject->authority = (struct sp_str){ subject->authority_bytes, (size_t) n };
    return subject->authority;
}

static enum sp_match match_authority(const struct sp_cond *cond, struct sp_subject *subject)
{
    return subject->request ? run_pattern(cond, canonical_authority(subject)) : SP_MATCH_NO;
}

/* --- fields ---------------------------------------------------------------------------------------------------------- */

/* The next field that the condition is about, from *pos on. */
static const struct sp_field *next_field(const struct sp_cond *cond, const struct sp_message *head, size_t *pos)
{
    struct sp_str name = sp_str_from(cond->field);
    if (!cond->is_prefix)
        return sp_message_next(head, name, pos);
    while (*pos < head->n_fields) {
        const struct sp_field *field = &head->fields[(*pos)++];
        if (sp_str_starts_nocase(field->name, name))
            return field;
    }
    return NULL;
}

static enum sp_match match_present(const struct sp_cond *cond, struct sp_subject *subject)
{
    size_t pos = 0;
    return yes_if((next_field(cond, subject->head, &pos) != NULL) == cond->is_wanted);
}

/* A folded value as a receiver joins it: each line end with the blanks around it is one blank (RFC 9112 5.2). */
static enum sp_match match_unfolded(const struct sp_cond *cond, struct sp_str value)
{
    char *joined = malloc(value.n);
    if (!joined)
        return SP_MATCH_LIMIT;
    size_t n = 0;
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c != '\n') {
            joined[n++] = c;
            continue;
        }
        while (n > 0 && (joined[n - 1] == ' ' || joined[n - 1] == '\t' || joined[n - 1] == '\r'))
            n--;
        joined[n++] = ' ';
        while (i + 1 < value.n && (value.p[i + 1] == ' ' || value.p[i + 1] == '\t'))
            i++;
    }
    enum sp_match match = run_pattern(cond, (struct sp_str){ joined, n });
    free(joined);
    return match;
}

static enum sp_match match_value(const struct sp_cond *cond, struct sp_subject *subject)
{
    enum sp_match result = SP_MATCH_NO;
    size_t pos = 0;
    const struct sp_field *field;
    while ((field = next_field(cond, subject->head, &pos)) != NULL) {
        struct sp_str value = field->value;
        enum sp_match match = run_pattern(cond, value);
        if (match == SP_MATCH_NO && value.n > 0 && memchr(value.p, '\n', value.n))
            match = match_unfolded(cond, value);
        if (match == SP_MATCH_YES)
            return match;
        if (match == SP_MATCH_LIMIT)
            result = match;
    }
    return result;
}

/* --- table ----------------------------------------------------------------------------------------------------------- */

static const struct sp_predicate predicates[] = {
    { "method", SP_SCOPE_RULE, SP_ARG_WORDS, ANY_STAGE, match_method },
    { "status", SP_SCOPE_RULE, SP_ARG_NUMBERS, RESPONSE_STAGE, match_status },
    { "present", SP_SCOPE_FIELD, SP_ARG_BOOL, ANY_STAGE, match_present },
    { "version", SP_SCOPE_RULE, SP_ARG_PATTERN, ANY_STAGE, match_version },
    { "host", SP_SCOPE_RULE, SP_ARG_PATTERN, ANY_STAGE, match_host },
    { "authority", SP_SCOPE_RULE, SP_ARG_PATTERN, ANY_STAGE, match_authority },
    { "path", SP_SCOPE_RULE, SP_ARG_PATTERN, ANY_STAGE, match_path },
    { "value", SP_SCOPE_FIELD, SP_ARG_PATTERN, ANY_STAGE, match_value },
    /* These need bytes of the body, or what is inside a token. */
    { "body", SP_SCOPE_RULE, SP_ARG_PATTERN, ANY_STAGE, NULL },
    { "jwt", SP_SCOPE_FIELD, SP_ARG_PATTERN, ANY_STAGE, NULL },
};

const struct sp_predicate *sp_predicate_find(enum sp_scope scope, const char *key)
{
    for (size_t i = 0; i < sizeof(predicates) / sizeof(predicates[0]); i++)
        if (predicates[i].scope == scope && strcmp(predicates[i].key, key) == 0)
            return &predicates[i];
    return NULL;
}

enum sp_match sp_rule_match(const struct sp_compiled *rule, struct sp_subject *subject)
{
    enum sp_match result = SP_MATCH_YES;
    for (size_t i = 0; i < rule->n_conds; i++) {
        const struct sp_cond *cond = &rule->conds[i];
        enum sp_match match = cond->predicate->matches(cond, subject);
        if (match == SP_MATCH_NO)
            return SP_MATCH_NO; /* certain, whatever was not before */
        if (match == SP_MATCH_LIMIT)
            result = SP_MATCH_LIMIT;
    }
    return result;
}
