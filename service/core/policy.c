/* The decision: what follows from the rules that match this head. */
#include "config.h"

#include "policy_priv.h"

#include "sallyport/assert.h"

#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64

/* --- life ------------------------------------------------------------------------------------------------------------ */

enum sp_status sp_policy_new(const struct sp_conf *conf, struct sp_error *err, struct sp_policy **policy_out)
{
    *policy_out = NULL;
    struct sp_policy *policy = calloc(1, sizeof(*policy));
    if (!policy)
        return sp_error_set(err, SP_ERR_NOMEM, "policy: no memory");
    enum sp_status status = sp_policy_read(policy, conf, err);
    for (int stage = 0; stage < SP_STAGE_COUNT && status == SP_OK; stage++) {
        policy->indexes[stage] = sp_index_new(policy, (enum sp_stage) stage);
        if (!policy->indexes[stage])
            status = sp_error_set(err, SP_ERR_NOMEM, "policy: no memory");
    }
    if (status == SP_OK) {
        policy->digest = sp_policy_compute_digest(policy);
        *policy_out = policy;
        policy = NULL;
    }
    sp_policy_free(&policy);
    return status;
}

void sp_policy_free(struct sp_policy **policy)
{
    if (!policy || !*policy)
        return;
    for (int stage = 0; stage < SP_STAGE_COUNT; stage++)
        sp_index_free(&(*policy)->indexes[stage]);
    for (size_t i = 0; i < (*policy)->n_rules; i++)
        sp_compiled_fini(&(*policy)->rules[i]);
    free((*policy)->rules);
    sp_exceptions_free(&(*policy)->exceptions);
    free(*policy);
    *policy = NULL;
}

/* --- decision -------------------------------------------------------------------------------------------------------- */

struct decision {
    const struct sp_policy *policy;
    struct sp_subject subject;
    struct sp_policy_result *out;
    bool may_have_allowed; /* a rule that allows would, perhaps, if the body were there; the same for the other two */
    bool may_have_reported;
    bool may_have_blocked;
    bool is_report_doubtful; /* out->rule came after a rule that may have allowed */
    bool has_exceptions;     /* found is made */
    uint64_t found[SP_EXCEPTION_WORDS];
};

/* Whether the rule, which matches or might, is passed over. One that allows needs no exception. */
static bool is_excepted(struct decision *d, size_t at, bool has_matched)
{
    const struct sp_rule *rule = &d->policy->rules[at].rule;
    if (rule->action == SP_ACTION_ALLOW || !d->policy->exceptions)
        return false;
    if (!d->has_exceptions)
        sp_exceptions_find(d->policy->exceptions, &d->subject, d->found);
    d->has_exceptions = true;
    const struct sp_exception *exception = sp_exceptions_cover(d->policy->exceptions, d->found, at);
    if (exception && has_matched && !d->out->exception) {
        d->out->exception = exception;
        d->out->excepted = rule;
    }
    return exception != NULL;
}

static void note_unknown(struct decision *d, enum sp_action action)
{
    switch (action) {
    case SP_ACTION_ALLOW:
        d->may_have_allowed = true;
        break;
    case SP_ACTION_REPORT:
        d->may_have_reported = true;
        break;
    case SP_ACTION_BLOCK:
        d->may_have_blocked = true;
        break;
    case SP_ACTION_COUNT:
        break;
    }
}

/* Takes note of one rule in its turn. True when the answer is settled. */
static bool consider(struct decision *d, size_t at)
{
    const struct sp_rule *rule = &d->policy->rules[at].rule;
    struct sp_policy_result *out = d->out;
    if (rule->action == SP_ACTION_REPORT && out->rule)
        return false; /* one that reports was there before */
    enum sp_match match = sp_rule_match(&d->policy->rules[at], &d->subject);
    if (match == SP_MATCH_NO || is_excepted(d, at, match == SP_MATCH_YES))
        return false;
    if (match == SP_MATCH_UNKNOWN) {
        note_unknown(d, rule->action);
        return false;
    }
    if (match == SP_MATCH_LIMIT && rule->action != SP_ACTION_REPORT) { /* of one that only reports, better said than not */
        out->is_limited = out->is_limited || rule->action == SP_ACTION_BLOCK;
        return false;
    }
    if (rule->action != SP_ACTION_ALLOW || !out->rule) { /* what was reported stays so */
        out->rule = rule;
        out->action = rule->action;
        d->is_report_doubtful = d->may_have_allowed;
    }
    return rule->action != SP_ACTION_REPORT;
}

/* Whether another action, or a report, could come of it once the body is there. What is refused now is refused then, unless a rule
 * before it allows. */
static bool wants_body(const struct decision *d)
{
    if (d->out->action == SP_ACTION_BLOCK)
        return d->may_have_allowed;
    return d->may_have_blocked || d->may_have_reported || (d->out->action == SP_ACTION_REPORT && d->is_report_doubtful);
}

void sp_policy_decide(const struct sp_policy *policy, const struct sp_policy_input *in, struct sp_policy_result *out)
{
    SP_ASSERT(in->stage < SP_STAGE_COUNT);
    *out = (struct sp_policy_result){ .action = SP_ACTION_ALLOW };
    struct decision d;
    d.policy = policy;
    d.out = out;
    d.is_report_doubtful = d.may_have_allowed = d.may_have_reported = d.may_have_blocked = d.has_exceptions = false;
    sp_subject_init(&d.subject, in);
    if (!d.subject.head)
        return;

    const struct sp_index *index = policy->indexes[in->stage];
    uint64_t candidates[SP_INDEX_WORDS];
    const size_t n_words = sp_index_find(index, &d.subject, candidates);
    for (size_t w = 0; w < n_words; w++) {
        while (candidates[w] != 0) {
            size_t bit = w * WORD_BITS + (size_t) __builtin_ctzll(candidates[w]);
            candidates[w] &= candidates[w] - 1;
            if (consider(&d, sp_index_rule(index, bit))) {
                out->wants_body = wants_body(&d);
                return;
            }
        }
    }
    out->wants_body = wants_body(&d);
}

size_t sp_policy_count(const struct sp_policy *policy)
{
    return policy->n_rules;
}

const struct sp_rule *sp_policy_rule(const struct sp_policy *policy, size_t i)
{
    return i < policy->n_rules ? &policy->rules[i].rule : NULL;
}

uint64_t sp_policy_digest(const struct sp_policy *policy)
{
    return policy->digest;
}

size_t sp_policy_count_exceptions(const struct sp_policy *policy)
{
    return sp_exceptions_count(policy->exceptions);
}

const struct sp_exception *sp_policy_exception(const struct sp_policy *policy, size_t i)
{
    return sp_exceptions_get(policy->exceptions, i);
}

bool sp_policy_list(const struct sp_policy *policy, size_t i, struct sp_policy_list *list_out)
{
    for (size_t at = 0; at < policy->n_rules; at++) {
        const struct sp_compiled *rule = &policy->rules[at];
        if (!rule->domains || i-- > 0)
            continue;
        *list_out = (struct sp_policy_list){ .rule = &rule->rule,
            .file = rule->file,
            .domains = sp_domains_count(rule->domains),
            .bad_lines = sp_domains_bad_lines(rule->domains),
            .is_shared = sp_domains_is_shared(rule->domains),
            .note = sp_domains_note(rule->domains) };
        return true;
    }
    return false;
}
