/* Which rules of a stage are worth testing on a head. Most rules need something that an ordinary head does not have: a field, bytes in
 * the target, bytes in the value of a common field, a method. That is the rule's mark; where one of several is needed, it has several.
 * One walk over the head finds the marks that are there and, by them, the rules; those that have no mark are always tested.
 *
 * Marks are found by a hash of their first bytes, without regard to case, and may be found where they are not quite (a name that
 * only begins like the one that is asked for): a mark only saves work, the conditions of the rule decide. Rules come out as a bit
 * set, in the order of the files, so the answer is the same as if every rule had been tested in turn. */
#include "config.h"

#include "policy_priv.h"

#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64
#define KEY_BYTES 4 /* the first of a mark; shorter ones are of no use */
#define BUCKET_BITS 10
#define BUCKETS (1u << BUCKET_BITS)

enum place {
    PLACE_METHOD, /* at its start */
    PLACE_NAME,   /* of a field, at its start */
    PLACE_VALUE,  /* anywhere in the values of one field */
    PLACE_PATH,   /* anywhere, as in the next two */
    PLACE_HOST,
    PLACE_AUTHORITY,
    PLACE_COUNT
};

/* Numbered from 1. Mark i owns set i of the index. */
struct mark {
    enum place place;
    struct sp_str text; /* borrowed from a condition of a rule */
    unsigned field;     /* PLACE_VALUE: the mark of the field's name; else 0 */
    unsigned values;    /* PLACE_NAME: a mark without text, whose set has all rules with a mark in these values; 0: none */
    unsigned next;      /* in the same bucket; 0 ends */
};

struct sp_index {
    size_t *rules; /* positions in the policy, of the rules of this stage that do something */
    size_t n_rules;
    size_t n_words; /* of one set: a bit for each of rules */
    uint64_t *sets; /* set 0: tested always */
    struct mark *marks;
    unsigned n_marks;
    bool has_place[PLACE_COUNT]; /* a mark is looked for there */
    unsigned char filter[BUCKETS]; /* in what places the bucket has marks: nearly every byte of a head is compared with this alone */
    unsigned buckets[BUCKETS]; /* by the first bytes: a mark, or 0 */
};

/* --- building -------------------------------------------------------------------------------------------------------- */

static unsigned bucket_of(const char *p)
{
    uint32_t key;
    memcpy(&key, p, KEY_BYTES);
    return (key | 0x20202020u) * 0x9e3779b1u >> (32 - BUCKET_BITS); /* upper and lower case differ by one bit */
}

static bool may_have(const struct sp_index *index, enum place place, const char *p)
{
    return (index->filter[bucket_of(p)] & 1u << place) != 0;
}

static unsigned add_mark(struct sp_index *index, enum place place, unsigned field, struct sp_str text)
{
    unsigned m = ++index->n_marks;
    index->marks[m] = (struct mark){ .place = place, .field = field, .text = text };
    index->has_place[place] = true;
    return m;
}

/* The mark of that text; a new one if there is none. */
static unsigned mark_of(struct sp_index *index, enum place place, unsigned field, struct sp_str text)
{
    unsigned at = bucket_of(text.p);
    unsigned *bucket = &index->buckets[at];
    for (unsigned m = *bucket; m != 0; m = index->marks[m].next) {
        const struct mark *mark = &index->marks[m];
        if (mark->place == place && mark->field == field && sp_str_equal_nocase(mark->text, text))
            return m;
    }
    unsigned m = add_mark(index, place, field, text);
    index->marks[m].next = *bucket;
    *bucket = m;
    index->filter[at] |= (unsigned char) (1u << place);
    return m;
}

static void set_bit(struct sp_index *index, unsigned set, size_t bit)
{
    index->sets[set * index->n_words + bit / WORD_BITS] |= (uint64_t) 1 << (bit % WORD_BITS);
}

/* Fields that almost every head has: to have one is no mark. */
static bool is_common(struct sp_str name)
{
    static const char *const common[] = { "Host", "User-Agent", "Accept", "Accept-Encoding", "Accept-Language", "Connection", "Cookie",
        "Referer", "Upgrade", "Content-Type", "Content-Length", "Server", "Date", "Set-Cookie" };
    for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
        if (sp_str_equal_nocase(name, sp_str_from(common[i])))
            return true;
    return false;
}

/* What a condition gives as a mark of its rule; the later, the rarer it is in ordinary heads. */
enum worth { WORTH_NOTHING, WORTH_METHOD, WORTH_COMMON_NAME, WORTH_VALUE, WORTH_TARGET, WORTH_NAME };

static bool is_about(const struct sp_cond *cond, const char *key)
{
    return strcmp(cond->predicate->key, key) == 0;
}

/* Where in the target the condition's pattern is looked for; PLACE_COUNT if it is about something else. */
static enum place place_in_target(const struct sp_cond *cond)
{
    static const char *const keys[PLACE_COUNT] = { [PLACE_PATH] = "path", [PLACE_HOST] = "host", [PLACE_AUTHORITY] = "authority" };
    enum place place = PLACE_PATH;
    while (place < PLACE_COUNT && !is_about(cond, keys[place]))
        place++;
    return place;
}

/* Whether a text that matches the condition's pattern is known to have one of some marks. */
static bool has_literals(const struct sp_cond *cond)
{
    size_t n = cond->pattern ? sp_pattern_count_literals(cond->pattern) : 0;
    for (size_t i = 0; i < n; i++)
        if (sp_pattern_literal(cond->pattern, i).n < KEY_BYTES)
            return false;
    return n > 0;
}

static enum worth worth_of(const struct sp_cond *cond)
{
    bool has_literal = has_literals(cond);
    if (is_about(cond, "method")) {
        for (size_t i = 0; i < cond->n_words; i++)
            if (strlen(cond->words[i]) < KEY_BYTES)
                return WORTH_NOTHING;
        return WORTH_METHOD;
    }
    if (place_in_target(cond) != PLACE_COUNT)
        return has_literal ? WORTH_TARGET : WORTH_NOTHING;
    bool needs_field = cond->field && (cond->predicate->argument != SP_ARG_BOOL || cond->is_wanted);
    if (!needs_field || strlen(cond->field) < KEY_BYTES)
        return WORTH_NOTHING;
    if (!is_common(sp_str_from(cond->field)))
        return WORTH_NAME;
    return has_literal && is_about(cond, "value") ? WORTH_VALUE : WORTH_COMMON_NAME;
}

static void index_literals(struct sp_index *index, enum place place, unsigned field, const struct sp_cond *cond, size_t bit)
{
    for (size_t i = 0; i < sp_pattern_count_literals(cond->pattern); i++)
        set_bit(index, mark_of(index, place, field, sp_pattern_literal(cond->pattern, i)), bit);
}

static void index_value(struct sp_index *index, const struct sp_cond *cond, size_t bit)
{
    unsigned name = mark_of(index, PLACE_NAME, 0, sp_str_from(cond->field));
    if (index->marks[name].values == 0)
        index->marks[name].values = add_mark(index, PLACE_VALUE, name, SP_STR(""));
    set_bit(index, index->marks[name].values, bit);
    index_literals(index, PLACE_VALUE, name, cond, bit);
}

static void index_rule(struct sp_index *index, const struct sp_compiled *rule, size_t bit)
{
    enum worth best = WORTH_NOTHING;
    const struct sp_cond *cond = NULL;
    for (size_t i = 0; i < rule->n_conds; i++) {
        enum worth worth = worth_of(&rule->conds[i]);
        if (worth > best) {
            best = worth;
            cond = &rule->conds[i];
        }
    }
    switch (best) {
    case WORTH_NOTHING:
        set_bit(index, 0, bit);
        break;
    case WORTH_METHOD:
        for (size_t i = 0; i < cond->n_words; i++)
            set_bit(index, mark_of(index, PLACE_METHOD, 0, sp_str_from(cond->words[i])), bit);
        break;
    case WORTH_VALUE:
        index_value(index, cond, bit);
        break;
    case WORTH_TARGET:
        index_literals(index, place_in_target(cond), 0, cond, bit);
        break;
    case WORTH_COMMON_NAME:
    case WORTH_NAME:
        set_bit(index, mark_of(index, PLACE_NAME, 0, sp_str_from(cond->field)), bit);
        break;
    }
}

/* A rule of the catalogue that allows is turned off; one of the site's own that allows ends the search. A list is asked for
 * what is connected to, too. */
static bool is_judged(const struct sp_compiled *rule, enum sp_stage stage)
{
    bool is_of_stage = rule->rule.stage == stage || (rule->domains && stage == SP_STAGE_CONNECT);
    return is_of_stage && (rule->rule.action != SP_ACTION_ALLOW || rule->is_site);
}

/* No rule makes more marks: one a word of a method, or one a literal and two for the field where it is looked for. */
static size_t most_marks(const struct sp_compiled *rule)
{
    size_t n = 2;
    for (size_t i = 0; i < rule->n_conds; i++)
        n += rule->conds[i].n_words + (rule->conds[i].pattern ? sp_pattern_count_literals(rule->conds[i].pattern) : 0);
    return n;
}

struct sp_index *sp_index_new(const struct sp_policy *policy, enum sp_stage stage)
{
    struct sp_index *index = calloc(1, sizeof(*index));
    if (!index)
        return NULL;
    index->rules = calloc(policy->n_rules + 1, sizeof(*index->rules));
    if (!index->rules)
        goto fail;
    size_t max_marks = 1;
    for (size_t i = 0; i < policy->n_rules; i++) {
        if (!is_judged(&policy->rules[i], stage))
            continue;
        index->rules[index->n_rules++] = i;
        max_marks += most_marks(&policy->rules[i]);
    }
    index->n_words = index->n_rules / WORD_BITS + 1;
    index->marks = calloc(max_marks, sizeof(*index->marks));
    index->sets = calloc(max_marks, index->n_words * sizeof(*index->sets));
    if (!index->marks || !index->sets)
        goto fail;
    for (size_t bit = 0; bit < index->n_rules; bit++)
        index_rule(index, &policy->rules[index->rules[bit]], bit);
    return index;
fail:
    sp_index_free(&index);
    return NULL;
}

void sp_index_free(struct sp_index **index)
{
    if (!*index)
        return;
    free((*index)->rules);
    free((*index)->sets);
    free((*index)->marks);
    free(*index);
    *index = NULL;
}

/* --- asking ---------------------------------------------------------------------------------------------------------- */

static void add_set(const struct sp_index *index, unsigned mark, uint64_t *candidates)
{
    const uint64_t *set = &index->sets[mark * index->n_words];
    for (size_t w = 0; w < index->n_words; w++)
        candidates[w] |= set[w];
}

static void find_in(const struct sp_index *index, enum place place, unsigned field, struct sp_str text, uint64_t *candidates);

/* A value that is folded may be read as joined, with a blank at the fold: any of its marks may be there then. */
static void look_into_values(const struct sp_index *index, unsigned name, struct sp_str value, uint64_t *candidates)
{
    if (value.n > 0 && memchr(value.p, '\n', value.n))
        add_set(index, index->marks[name].values, candidates);
    else
        find_in(index, PLACE_VALUE, name, value, candidates);
}

/* Adds the rules of all marks with which text begins. value: of the field, where text is its name. */
static void find_at(const struct sp_index *index, enum place place, unsigned field, struct sp_str text, struct sp_str value,
    uint64_t *candidates)
{
    for (unsigned m = index->buckets[bucket_of(text.p)]; m != 0; m = index->marks[m].next) {
        const struct mark *mark = &index->marks[m];
        if (mark->place != place || mark->field != field || !sp_str_starts_nocase(text, mark->text))
            continue;
        add_set(index, m, candidates);
        if (mark->values != 0)
            look_into_values(index, m, value, candidates);
    }
}

static void find_in(const struct sp_index *index, enum place place, unsigned field, struct sp_str text, uint64_t *candidates)
{
    const size_t n_starts = text.n >= KEY_BYTES ? text.n - KEY_BYTES + 1 : 0;
    for (size_t i = 0; i < n_starts; i++)
        if (may_have(index, place, text.p + i))
            find_at(index, place, field, (struct sp_str){ text.p + i, text.n - i }, SP_STR(""), candidates);
}

static void find_in_target(const struct sp_index *index, struct sp_subject *subject, uint64_t *candidates)
{
    const struct sp_message *request = subject->request;
    if (request->method.n >= KEY_BYTES)
        find_at(index, PLACE_METHOD, 0, request->method, SP_STR(""), candidates);
    if (index->has_place[PLACE_PATH])
        find_in(index, PLACE_PATH, 0, request->path, candidates);
    if (index->has_place[PLACE_HOST])
        find_in(index, PLACE_HOST, 0, request->host, candidates);
    if (index->has_place[PLACE_AUTHORITY])
        find_in(index, PLACE_AUTHORITY, 0, sp_subject_authority(subject), candidates);
}

size_t sp_index_find(const struct sp_index *index, struct sp_subject *subject, uint64_t candidates[SP_INDEX_WORDS])
{
    const struct sp_message *head = subject->head;
    memcpy(candidates, index->sets, index->n_words * sizeof(*candidates));
    if (subject->request)
        find_in_target(index, subject, candidates);
    for (size_t i = 0; i < head->n_fields; i++)
        if (head->fields[i].name.n >= KEY_BYTES && may_have(index, PLACE_NAME, head->fields[i].name.p))
            find_at(index, PLACE_NAME, 0, head->fields[i].name, head->fields[i].value, candidates);
    return index->n_words;
}

size_t sp_index_rule(const struct sp_index *index, size_t bit)
{
    return index->rules[bit];
}
