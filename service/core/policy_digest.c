/* One number for a policy: two policies that decide alike have the same one, and two that do not, in all likelihood, do not. It
 * goes into the ISTag, by which an ICAP client knows that what it remembers may be out of date. */
#include "config.h"

#include "policy_priv.h"

#include "sallyport/fnv.h"

static void feed_number(uint64_t *digest, uint64_t number)
{
    *digest = sp_fnv_number(*digest, number);
}

/* With its length, so that no two lists of texts feed the same bytes. */
static void feed_text(uint64_t *digest, const char *text)
{
    struct sp_str s = sp_str_from(text);
    feed_number(digest, s.n);
    *digest = sp_fnv(*digest, s.p, s.n);
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

uint64_t sp_policy_compute_digest(const struct sp_policy *policy)
{
    uint64_t digest = SP_FNV_START;
    feed_number(&digest, policy->n_rules);
    for (size_t i = 0; i < policy->n_rules; i++) {
        const struct sp_compiled *rule = &policy->rules[i];
        feed_text(&digest, rule->id);
        feed_text(&digest, rule->rule.category);
        feed_number(&digest, rule->rule.stage);
        feed_number(&digest, rule->rule.action);
        feed_number(&digest, rule->domains ? sp_domains_digest(rule->domains) : 0);
        feed_number(&digest, rule->n_conds);
        for (size_t c = 0; c < rule->n_conds; c++)
            feed_cond(&digest, &rule->conds[c]);
    }
    const struct sp_exception *exception;
    for (size_t i = 0; (exception = sp_exceptions_get(policy->exceptions, i)) != NULL; i++)
        feed_text(&digest, exception->text);
    return digest;
}
