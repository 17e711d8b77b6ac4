/* The conditions of a rule in words, each with whether it holds: what `sallyport explain` shows. It asks the predicates that the
 * decision asks, so it cannot say anything else. */
#include "config.h"

#include "policy_priv.h"

#include "sallyport/assert.h"
#include "sallyport/text.h"

#include <stdio.h>

#define LINE_MAX 512

static const char *answer_of(enum sp_match match)
{
    switch (match) {
    case SP_MATCH_YES:
        return "yes";
    case SP_MATCH_NO:
        return "no";
    case SP_MATCH_LIMIT:
    case SP_MATCH_UNKNOWN:
        break;
    }
    return "unknown";
}

static const char *reason_of(enum sp_match match)
{
    if (match == SP_MATCH_UNKNOWN)
        return " (the body is not known)";
    return match == SP_MATCH_LIMIT ? " (too much effort to tell)" : "";
}

static enum sp_status add_line(struct sp_buf *out, enum sp_match match, const char *fmt, ...) SP_PRINTF(3, 4);
static enum sp_status add_line(struct sp_buf *out, enum sp_match match, const char *fmt, ...)
{
    char text[LINE_MAX];
    char line[LINE_MAX];
    va_list args;
    va_start(args, fmt);
    (void) vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return sp_buf_addf(out, "%s: %s%s\n", answer_of(match), sp_text_escape(sp_str_from(text), line, sizeof(line)), reason_of(match));
}

/* Words or numbers with "or" between them. */
static void join(const struct sp_cond *cond, char out[LINE_MAX])
{
    size_t used = 0;
    size_t n = cond->n_numbers > 0 ? cond->n_numbers : cond->n_words;
    out[0] = '\0';
    for (size_t i = 0; i < n && used < LINE_MAX - 1; i++) {
        const char *between = i > 0 ? " or " : "";
        int added = cond->n_numbers > 0 ? snprintf(out + used, LINE_MAX - used, "%s%u", between, cond->numbers[i])
                                        : snprintf(out + used, LINE_MAX - used, "%s%s", between, cond->words[i]);
        used += added > 0 ? (size_t) added : 0;
    }
}

static enum sp_status describe_cond(const struct sp_cond *cond, enum sp_match match, struct sp_buf *out)
{
    const char *key = cond->predicate->key;
    const char *star = cond->is_prefix ? "*" : "";
    char values[LINE_MAX];
    join(cond, values);
    switch (cond->predicate->argument) {
    case SP_ARG_WORDS:
    case SP_ARG_NUMBERS:
        return add_line(out, match, "%s is %s", key, values);
    case SP_ARG_NETWORKS:
        return add_line(out, match, "%s is in %s", key, values);
    case SP_ARG_BOOL:
        return add_line(out, match, "field %s%s is %s", cond->field, star, cond->is_wanted ? "present" : "absent");
    case SP_ARG_TRUE:
        return add_line(out, match, "%s", key);
    case SP_ARG_PATTERN:
        break;
    }
    if (cond->field)
        return add_line(out, match, "%s of field %s%s matches %s", key, cond->field, star, values);
    return add_line(out, match, "%s matches %s", key, values);
}

static enum sp_status describe_list(const struct sp_compiled *rule, struct sp_subject *subject, struct sp_buf *out)
{
    if (!subject->head)
        return add_line(out, SP_MATCH_NO, "listed in %s", rule->file);
    struct sp_str part = sp_list_match(rule, subject);
    if (part.n == 0)
        return add_line(out, SP_MATCH_NO, "listed in %s", rule->file);
    return add_line(out, SP_MATCH_YES, "listed in %s as %.*s", rule->file, (int) part.n, part.p);
}

static const struct sp_compiled *find_rule(const struct sp_policy *policy, const struct sp_rule *rule)
{
    for (size_t i = 0; i < policy->n_rules; i++)
        if (&policy->rules[i].rule == rule)
            return &policy->rules[i];
    return NULL;
}

enum sp_status sp_policy_describe(
    const struct sp_policy *policy, const struct sp_rule *rule, const struct sp_policy_input *in, struct sp_buf *out)
{
    const struct sp_compiled *compiled = find_rule(policy, rule);
    SP_ASSERT(compiled != NULL);
    struct sp_subject subject;
    sp_subject_init(&subject, in);
    bool is_either = compiled->domains != NULL;
    bool is_stage = in->stage == rule->stage || (is_either && in->stage == SP_STAGE_CONNECT);
    enum sp_status status =
        add_line(out, is_stage ? SP_MATCH_YES : SP_MATCH_NO, "stage is %s%s", is_either ? "connect or " : "", sp_stage_name(rule->stage));
    if (status == SP_OK && is_either)
        status = describe_list(compiled, &subject, out);
    for (size_t i = 0; i < compiled->n_conds && status == SP_OK; i++) {
        const struct sp_cond *cond = &compiled->conds[i];
        status = describe_cond(cond, subject.head ? cond->predicate->matches(cond, &subject) : SP_MATCH_NO, out);
    }
    return status;
}
