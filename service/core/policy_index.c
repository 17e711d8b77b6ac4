/* Which rules of a stage are worth testing on a head. Most rules need something that an ordinary head does not have: a field, bytes in
 * the target, bytes in the value of a common field, a method. That is the rule's mark; where one of several is needed, it has several.
 * One walk over the head finds the marks that are there and, by them, the rules; those that have no mark are always tested.
 *
 * Marks are found by a hash of some bytes of them, without regard to case, and may be found where they are not quite (a name that
 * only begins like the one that is asked for): a mark only saves work, the conditions of the rule decide. Rules come out as a bit
 * set, in the order of the files, so the answer is the same as if every rule had been tested in turn.
 *
 * Where all marks are long, not every byte of a text is looked at: of marks with at least 4 + k bytes, k + 1 pieces of 4 bytes are known,
 * each one byte further on, and wherever the mark stands, one of them is at a multiple of k + 1. */
#include "config.h"

#include "policy_priv.h"

#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64
#define KEY_BYTES 4 /* of a mark, by which it is found; shorter ones are of no use */
#define STEP_MAX 8  /* bytes from one place that is looked at to the next */
#define BUCKET_BITS 11
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
    size_t shortest;    /* likewise: bytes of the shortest mark in these values */
};

/* A piece of a mark. Numbered from 1. */
struct gram {
    unsigned mark;
    unsigned offset; /* of the piece */
    unsigned next;   /* in the same bucket; 0 ends */
};

struct sp_index {
    size_t *rules; /* positions in the policy, of the rules of this stage that do something */
    size_t n_rules;
    size_t n_words; /* of one set: a bit for each of rules */
    uint64_t *sets; /* set 0: tested always */
    struct mark *marks;
    unsigned n_marks;
    struct gram *grams;
    unsigned n_grams;
    size_t shortest[PLACE_COUNT]; /* bytes of the shortest mark that is looked for there; 0: none is. But for PLACE_VALUE */
    unsigned char filter[BUCKETS]; /* in what places the bucket has marks: nearly all of a head is compared with this alone */
    unsigned buckets[BUCKETS]; /* by the bytes: a gram, or 0 */
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
    return m;
}

static void add_gram(struct sp_index *index, unsigned m, unsigned offset)
{
    const struct mark *mark = &index->marks[m];
    unsigned at = bucket_of(mark->text.p + offset);
    index->grams[++index->n_grams] = (struct gram){ m, offset, index->buckets[at] };
    index->buckets[at] = index->n_grams;
    index->filter[at] |= (unsigned char) (1u << mark->place);
}

static size_t shortest_of(const struct sp_index *index, enum place place, unsigned field)
{
    return field != 0 ? index->marks[field].shortest : index->shortest[place];
}

/* shortest is not 0. */
static size_t step_of(size_t shortest)
{
    return shortest - KEY_BYTES < STEP_MAX ? shortest - KEY_BYTES + 1 : STEP_MAX;
}

/* The other pieces of all marks, once it is known how far apart one looks. */
static void add_other_grams(struct sp_index *index)
{
    for (unsigned m = 1; m <= index->n_marks; m++) {
        const size_t shortest = shortest_of(index, index->marks[m].place, index->marks[m].field);
        const size_t step = index->marks[m].text.n > 0 && shortest > 0 ? step_of(shortest) : 1;
        for (unsigned offset = 1; offset < step; offset++)
            add_gram(index, m, offset);
    }
}

/* The mark of that text; a new one if there is none. */
static unsigned mark_of(struct sp_index *index, enum place place, unsigned field, struct sp_str text)
{
    for (unsigned g = index->buckets[bucket_of(text.p)]; g != 0; g = index->grams[g].next) {
        const struct mark *mark = &index->marks[index->grams[g].mark];
        if (mark->place == place && mark->field == field && sp_str_equal_nocase(mark->text, text))
            return index->grams[g].mark;
    }
    unsigned m = add_mark(index, place, field, text);
    add_gram(index, m, 0);
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
    for (size_t i = 0; i < sp_pattern_count_literals(cond->pattern); i++) {
        struct sp_str text = sp_pattern_literal(cond->pattern, i);
        size_t *shortest = field != 0 ? &index->marks[field].shortest : &index->shortest[place];
        set_bit(index, mark_of(index, place, field, text), bit);
        if (*shortest == 0 || text.n < *shortest)
            *shortest = text.n;
    }
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
    index->grams = calloc(max_marks, STEP_MAX * sizeof(*index->grams));
    index->sets = calloc(max_marks, index->n_words * sizeof(*index->sets));
    if (!index->marks || !index->grams || !index->sets)
        goto fail;
    for (size_t bit = 0; bit < index->n_rules; bit++)
        index_rule(index, &policy->rules[index->rules[bit]], bit);
    add_other_grams(index);
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
    free((*index)->grams);
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

/* Adds the rules of all marks that text has a piece of at that place. value: of the field, where text is its name. */
static void find_at(const struct sp_index *index, enum place place, unsigned field, struct sp_str text, size_t at, struct sp_str value,
    uint64_t *candidates)
{
    for (unsigned g = index->buckets[bucket_of(text.p + at)]; g != 0; g = index->grams[g].next) {
        const struct gram *gram = &index->grams[g];
        const struct mark *mark = &index->marks[gram->mark];
        if (mark->place != place || mark->field != field || gram->offset > at)
            continue;
        const size_t start = at - gram->offset;
        if (!sp_str_starts_nocase((struct sp_str){ text.p + start, text.n - start }, mark->text))
            continue;
        add_set(index, gram->mark, candidates);
        if (mark->values != 0)
            look_into_values(index, gram->mark, value, candidates);
    }
}

static void find_in(const struct sp_index *index, enum place place, unsigned field, struct sp_str text, uint64_t *candidates)
{
    const size_t shortest = shortest_of(index, place, field);
    if (shortest == 0 || text.n < shortest)
        return;
    const size_t n_starts = text.n - KEY_BYTES + 1, step = step_of(shortest);
    for (size_t i = 0; i < n_starts; i += step)
        if (may_have(index, place, text.p + i))
            find_at(index, place, field, text, i, SP_STR(""), candidates);
}

static void find_in_target(const struct sp_index *index, struct sp_subject *subject, uint64_t *candidates)
{
    const struct sp_message *request = subject->request;
    if (request->method.n >= KEY_BYTES)
        find_at(index, PLACE_METHOD, 0, request->method, 0, SP_STR(""), candidates);
    find_in(index, PLACE_PATH, 0, request->path, candidates);
    find_in(index, PLACE_HOST, 0, request->host, candidates);
    if (index->shortest[PLACE_AUTHORITY] > 0)
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
            find_at(index, PLACE_NAME, 0, head->fields[i].name, 0, head->fields[i].value, candidates);
    return index->n_words;
}

size_t sp_index_rule(const struct sp_index *index, size_t bit)
{
    return index->rules[bit];
}
