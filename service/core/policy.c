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

/* The name of a field without which the rule cannot match; empty when there is no single one. */
static struct sp_str needed_field(const struct sp_compiled *rule)
{
    for (size_t i = 0; i < rule->n_conds; i++) {
        const struct sp_cond *cond = &rule->conds[i];
        bool needs = cond->field && !cond->is_prefix && (cond->predicate->argument != SP_ARG_BOOL || cond->is_wanted);
        if (needs)
            return sp_str_from(cond->field);
    }
    return SP_STR("");
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

static struct sp_index *index_new(const struct sp_policy *policy, enum sp_stage stage)
{
    struct sp_index *index = calloc(1, sizeof(*index));
    if (!index)
        return NULL;
    index->rules = calloc(policy->n_rules + 1, sizeof(*index->rules));
    if (!index->rules)
        goto fail;
    for (size_t i = 0; i < policy->n_rules; i++)
        if (policy->rules[i].rule.stage == stage && policy->rules[i].rule.action != SP_ACTION_ALLOW)
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

/* --- digest ---------------------------------------------------------------------------------------------------------- */

#define FNV_OFFSET 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

static void feed(uint64_t *digest, const void *p, size_t n)
{
    const unsigned char *bytes = p;
    for (size_t i = 0; i < n; i++)
        *digest = (*digest ^ bytes[i]) * FNV_PRIME;
}

static void feed_number(uint64_t *digest, uint64_t number)
{
    unsigned char bytes[sizeof(number)];
    for (size_t i = 0; i < sizeof(number); i++)
        bytes[i] = (unsigned char) (number >> (8 * i));
    feed(digest, bytes, sizeof(bytes));
}

/* With its length, so that no two lists of texts feed the same bytes. */
static void feed_text(uint64_t *digest, const char *text)
{
    struct sp_str s = sp_str_from(text);
    feed_number(digest, s.n);
    feed(digest, s.p, s.n);
}

static void feed_cond(uint64_t *digest, const struct sp_cond *cond)
{
    feed_text(digest, cond->predicate->key);
    feed_text(digest, cond->field);
    feed_number(digest, cond->is_prefix);
    feed_number(digest, cond->is_wanted);
    feed_number(digest, cond->n_words);
    for (size_t i = 0; i < cond->n_words; i++)
        feed_text(digest, cond->words[i]);
    feed_number(digest, cond->n_numbers);
    for (size_t i = 0; i < cond->n_numbers; i++)
        feed_number(digest, cond->numbers[i]);
}

static uint64_t digest_of(const struct sp_policy *policy)
{
    uint64_t digest = FNV_OFFSET;
    feed_number(&digest, policy->n_rules);
    for (size_t i = 0; i < policy->n_rules; i++) {
        const struct sp_compiled *rule = &policy->rules[i];
        feed_text(&digest, rule->id);
        feed_text(&digest, rule->rule.category);
        feed_number(&digest, rule->rule.stage);
        feed_number(&digest, rule->rule.action);
        feed_number(&digest, rule->n_conds);
        for (size_t c = 0; c < rule->n_conds; c++)
            feed_cond(&digest, &rule->conds[c]);
    }
    return digest;
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
        policy->digest = digest_of(policy);
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
    free(*policy);
    *policy = NULL;
}

/* --- decision -------------------------------------------------------------------------------------------------------- */

/* Takes note of one rule in its turn. True when the answer is settled. */
static bool consider(const struct sp_compiled *rule, struct sp_subject *subject, struct sp_policy_result *out)
{
    bool blocks = rule->rule.action == SP_ACTION_BLOCK;
    if (!blocks && out->rule)
        return false; /* one that reports was there before */
    switch (sp_rule_match(rule, subject)) {
    case SP_MATCH_NO:
        return false;
    case SP_MATCH_LIMIT:
        if (blocks) {
            out->is_limited = true;
            return false;
        }
        break; /* the head passes either way, so it is better reported than not */
    case SP_MATCH_YES:
        break;
    }
    out->rule = &rule->rule;
    out->action = rule->rule.action;
    return blocks;
}

void sp_policy_decide(const struct sp_policy *policy, const struct sp_policy_input *in, struct sp_policy_result *out)
{
    SP_ASSERT(in->stage < SP_STAGE_COUNT);
    *out = (struct sp_policy_result){ .action = SP_ACTION_ALLOW };
    struct sp_subject subject;
    subject.request = in->request;
    subject.head = in->stage == SP_STAGE_RESPONSE ? in->response : in->request;
    subject.has_authority = false;
    if (!subject.head)
        return;

    const struct sp_index *index = policy->indexes[in->stage];
    uint64_t candidates[MAX_WORDS + 1];
    find_candidates(index, subject.head, candidates);
    for (size_t w = 0; w < index->n_words; w++) {
        while (candidates[w] != 0) {
            size_t bit = w * WORD_BITS + (size_t) __builtin_ctzll(candidates[w]);
            candidates[w] &= candidates[w] - 1;
            if (consider(&policy->rules[index->rules[bit]], &subject, out))
                return;
        }
    }
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
