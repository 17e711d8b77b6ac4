/* The decision: which rules could match this head, do they, and what follows.
 *
 * Most rules need a field that an ordinary head does not have. The index finds the rules worth testing by one look at each field of
 * the head, with a hash of its length and end letters (no byte loop); rules that need no field are always tested, and
 * most of those end at the method. Candidates are a bit set, so they come out in the order of the files, and the
 * answer is the same as if every rule had been tested in turn. */
#include "config.h"

#include "policy_priv.h"

#include "sallyport/assert.h"

#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64
#define MAX_WORDS (SP_POLICY_MAX_RULES / WORD_BITS)

/* A field name and the rules that cannot match without it. */
struct slot {
    struct sp_str name; /* borrowed from a condition; empty: the slot is free */
    size_t set;         /* of the index' sets */
};

/* The rules of one stage that do something, in order. */
struct sp_index {
    size_t *rules; /* positions in the policy */
    size_t n_rules;
    size_t n_words; /* of one set: a bit for each of rules */
    uint64_t *sets; /* set 0: tested always. The others belong to a slot */
    size_t n_sets;
    struct slot *slots; /* open addressing, at most half full */
    size_t n_slots;     /* a power of 2 */
};

/* --- index ----------------------------------------------------------------------------------------------------------- */

static size_t hash_name(struct sp_str name)
{
    unsigned first = (unsigned char) name.p[0] | 0x20u;
    unsigned middle = (unsigned char) name.p[name.n / 2] | 0x20u;
    unsigned last = (unsigned char) name.p[name.n - 1] | 0x20u;
    return name.n * 0x9e3779b1u + first * 0x85ebca6bu + middle * 0xc2b2ae35u + last * 0x27d4eb2fu;
}

/* The slot of that name, or the free one where it would be. */
static struct slot *find_slot(const struct sp_index *index, struct sp_str name)
{
    size_t hash = hash_name(name);
    size_t at = (hash ^ (hash >> 15)) & (index->n_slots - 1);
    while (index->slots[at].name.n > 0 && !sp_str_equal_nocase(index->slots[at].name, name))
        at = (at + 1) & (index->n_slots - 1);
    return &index->slots[at];
}

static void set_bit(struct sp_index *index, size_t set, size_t bit)
{
    index->sets[set * index->n_words + bit / WORD_BITS] |= (uint64_t) 1 << (bit % WORD_BITS);
}

/* Fields that almost every head has: a rule that needs one of them and another is found by the other. */
static bool is_common(struct sp_str name)
{
    static const char *const common[] = { "Host", "User-Agent", "Accept", "Accept-Encoding", "Accept-Language", "Connection", "Cookie",
        "Referer", "Upgrade", "Content-Type", "Content-Length", "Server", "Date", "Set-Cookie" };
    for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
        if (sp_str_equal_nocase(name, sp_str_from(common[i])))
            return true;
    return false;
}

/* The name of a field without which the rule cannot match; empty when there is no single one. */
static struct sp_str needed_field(const struct sp_compiled *rule)
{
    struct sp_str needed = SP_STR("");
    for (size_t i = 0; i < rule->n_conds; i++) {
        const struct sp_cond *cond = &rule->conds[i];
        bool needs = cond->field && !cond->is_prefix && (cond->predicate->argument != SP_ARG_BOOL || cond->is_wanted);
        if (needs && (needed.n == 0 || is_common(needed)))
            needed = sp_str_from(cond->field);
    }
    return needed;
}

static void index_rule(struct sp_index *index, const struct sp_compiled *rule, size_t bit)
{
    struct sp_str name = needed_field(rule);
    size_t set = 0;
    if (name.n > 0) {
        struct slot *slot = find_slot(index, name);
        if (slot->name.n == 0)
            *slot = (struct slot){ name, index->n_sets++ };
        set = slot->set;
    }
    set_bit(index, set, bit);
}

static void index_free(struct sp_index **index)
{
    if (!*index)
        return;
    free((*index)->rules);
    free((*index)->sets);
    free((*index)->slots);
    free(*index);
    *index = NULL;
}

/* A rule of the catalogue that allows is turned off; one of the site's own that allows ends the search. A list is asked for
 * what is connected to, too. */
static bool is_judged(const struct sp_compiled *rule, enum sp_stage stage)
{
    bool is_of_stage = rule->rule.stage == stage || (rule->domains && stage == SP_STAGE_CONNECT);
    return is_of_stage && (rule->rule.action != SP_ACTION_ALLOW || rule->is_site);
}

static struct sp_index *index_new(const struct sp_policy *policy, enum sp_stage stage)
{
    struct sp_index *index = calloc(1, sizeof(*index));
    if (!index)
        return NULL;
    index->rules = calloc(policy->n_rules + 1, sizeof(*index->rules));
    if (!index->rules)
        goto fail;
    for (size_t i = 0; i < policy->n_rules; i++)
        if (is_judged(&policy->rules[i], stage))
            index->rules[index->n_rules++] = i;

    index->n_words = index->n_rules / WORD_BITS + 1;
    index->n_slots = 2;
    while (index->n_slots < 2 * (index->n_rules + 1))
        index->n_slots *= 2;
    index->n_sets = 1;
    index->sets = calloc((index->n_rules + 1) * index->n_words, sizeof(*index->sets));
    index->slots = calloc(index->n_slots, sizeof(*index->slots));
    if (!index->sets || !index->slots)
        goto fail;
    for (size_t bit = 0; bit < index->n_rules; bit++)
        index_rule(index, &policy->rules[index->rules[bit]], bit);
    return index;
fail:
    index_free(&index);
    return NULL;
}

static void find_candidates(const struct sp_index *index, const struct sp_message *head, uint64_t *candidates)
{
    memcpy(candidates, index->sets, index->n_words * sizeof(*candidates));
    for (size_t i = 0; i < head->n_fields; i++) {
        struct sp_str name = head->fields[i].name;
        if (name.n == 0)
            continue;
        const struct slot *slot = find_slot(index, name);
        if (slot->name.n == 0)
            continue;
        const uint64_t *set = &index->sets[slot->set * index->n_words];
        for (size_t w = 0; w < index->n_words; w++)
            candidates[w] |= set[w];
    }
}

/* --- life ------------------------------------------------------------------------------------------------------------ */

enum sp_status sp_policy_new(const struct sp_conf *conf, struct sp_error *err, struct sp_policy **policy_out)
{
    *policy_out = NULL;
    struct sp_policy *policy = calloc(1, sizeof(*policy));
    if (!policy)
        return sp_error_set(err, SP_ERR_NOMEM, "policy: no memory");
    enum sp_status status = sp_policy_read(policy, conf, err);
    for (int stage = 0; stage < SP_STAGE_COUNT && status == SP_OK; stage++) {
        policy->indexes[stage] = index_new(policy, (enum sp_stage) stage);
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
        index_free(&(*policy)->indexes[stage]);
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
    uint64_t candidates[MAX_WORDS + 1];
    find_candidates(index, d.subject.head, candidates);
    for (size_t w = 0; w < index->n_words; w++) {
        while (candidates[w] != 0) {
            size_t bit = w * WORD_BITS + (size_t) __builtin_ctzll(candidates[w]);
            candidates[w] &= candidates[w] - 1;
            if (consider(&d, index->rules[bit])) {
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
