/* The conditions of one rule: from the nodes of a file to predicates with their arguments. With it, the checks of nodes that
 * policy_build.c uses too.
 *
 * Unknown keys are refused rather than passed over: a misspelt condition would otherwise make a rule match more than its
 * author meant. */
#include "config.h"

#include "policy_priv.h"

#include "sallyport/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX_BYTES 200
#define PATTERN_MAX_BYTES 4096
#define STATUS_MIN 100
#define STATUS_MAX 999

static const char *const stage_names[SP_STAGE_COUNT] = { "connect", "request", "response" };

const char *sp_stage_name(enum sp_stage stage)
{
    return stage_names[stage];
}

enum sp_status sp_node_fail(const struct sp_cfgnode *node, struct sp_error *err, const char *fmt, ...)
{
    char text[400];
    char line[400]; /* what is quoted may hold line ends */
    va_list args;
    va_start(args, fmt);
    (void) vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return sp_error_set(
        err, SP_ERR_CONF, "%s:%d: %s", sp_cfgnode_file(node), sp_cfgnode_line(node), sp_text_escape(sp_str_from(text), line, sizeof(line)));
}

enum sp_status sp_build_no_memory(struct sp_error *err)
{
    return sp_error_set(err, SP_ERR_NOMEM, "policy: no memory");
}

/* --- values ---------------------------------------------------------------------------------------------------------- */

enum sp_status sp_node_check_keys(const struct sp_cfgnode *group, const char *const *known, enum sp_scope scope, struct sp_error *err)
{
    for (size_t i = 0; i < sp_cfgnode_count(group); i++) {
        const struct sp_cfgnode *child = sp_cfgnode_child(group, i);
        const char *key = sp_cfgnode_name(child);
        bool is_known = sp_predicate_find(scope, key) != NULL;
        for (size_t k = 0; known[k] && !is_known; k++)
            is_known = strcmp(key, known[k]) == 0;
        if (!is_known)
            return sp_node_fail(child, err, "unknown key \"%s\"", key);
    }
    return SP_OK;
}

enum sp_status sp_node_only_keys(const struct sp_cfgnode *group, const char *const *known, struct sp_error *err)
{
    for (size_t i = 0; i < sp_cfgnode_count(group); i++) {
        const char *key = sp_cfgnode_name(sp_cfgnode_child(group, i));
        size_t k = 0;
        while (known[k] && strcmp(key, known[k]) != 0)
            k++;
        if (!known[k])
            return sp_node_fail(sp_cfgnode_child(group, i), err, "unknown key \"%s\"", key);
    }
    return SP_OK;
}

enum sp_status sp_node_need_type(
    const struct sp_cfgnode *node, enum sp_cfgtype type, const char *what, const char *wanted, struct sp_error *err)
{
    if (sp_cfgnode_type(node) == type)
        return SP_OK;
    return sp_node_fail(node, err, "%s must be %s, not %s", what, wanted, sp_cfgnode_type_name(node));
}

enum sp_status sp_node_need_string(const struct sp_cfgnode *node, const char *what, size_t max, struct sp_error *err)
{
    enum sp_status status = sp_node_need_type(node, SP_CFG_STRING, what, "a string", err);
    if (status != SP_OK)
        return status;
    const char *s = sp_cfgnode_string(node);
    if (*s == '\0')
        return sp_node_fail(node, err, "%s is empty", what);
    if (strlen(s) > max)
        return sp_node_fail(node, err, "%s is longer than %zu bytes", what, max);
    return SP_OK;
}

/* --- conditions ------------------------------------------------------------------------------------------------------ */

static void cond_fini(struct sp_cond *cond)
{
    sp_words_free(cond->words, cond->n_words);
    free(cond->networks);
    free(cond->numbers);
    free(cond->field);
    sp_pattern_free(&cond->pattern);
}

size_t sp_node_list_count(const struct sp_cfgnode *node)
{
    return sp_cfgnode_type(node) == SP_CFG_LIST ? sp_cfgnode_count(node) : 1;
}

const struct sp_cfgnode *sp_node_list_item(const struct sp_cfgnode *node, size_t i)
{
    return sp_cfgnode_type(node) == SP_CFG_LIST ? sp_cfgnode_child(node, i) : node;
}

void sp_words_free(char **words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(words[i]);
    free(words);
}

enum sp_status sp_node_read_words(
    const struct sp_cfgnode *node, const char *what, size_t max, char ***words_out, size_t *n_out, struct sp_error *err)
{
    size_t n = sp_node_list_count(node);
    if (n == 0)
        return sp_node_fail(node, err, "%s is empty", what);
    *n_out = 0;
    *words_out = calloc(n, sizeof(**words_out));
    if (!*words_out)
        return sp_build_no_memory(err);
    for (size_t i = 0; i < n; i++) {
        const struct sp_cfgnode *item = sp_node_list_item(node, i);
        enum sp_status status = sp_node_need_string(item, what, max, err);
        if (status != SP_OK)
            return status;
        (*words_out)[i] = strdup(sp_cfgnode_string(item));
        if (!(*words_out)[i])
            return sp_build_no_memory(err);
        (*n_out)++;
    }
    return SP_OK;
}

enum sp_status sp_node_read_networks(
    const struct sp_cfgnode *node, const char *what, struct sp_network **networks_out, size_t *n_out, struct sp_error *err)
{
    size_t n = sp_node_list_count(node);
    if (n == 0)
        return sp_node_fail(node, err, "%s is empty", what);
    *networks_out = calloc(n, sizeof(**networks_out));
    if (!*networks_out)
        return sp_build_no_memory(err);
    *n_out = n;
    for (size_t i = 0; i < n; i++) {
        const struct sp_cfgnode *item = sp_node_list_item(node, i);
        enum sp_status status = sp_node_need_string(item, what, WORD_MAX_BYTES, err);
        if (status != SP_OK)
            return status;
        const char *fault = sp_network_parse(sp_str_from(sp_cfgnode_string(item)), &(*networks_out)[i]);
        if (fault)
            return sp_node_fail(item, err, "%s: \"%s\" %s", what, sp_cfgnode_string(item), fault);
    }
    return SP_OK;
}

static enum sp_status read_words(struct sp_cond *cond, const struct sp_cfgnode *node, size_t max, struct sp_error *err)
{
    return sp_node_read_words(node, cond->predicate->key, max, &cond->words, &cond->n_words, err);
}

static enum sp_status read_networks(struct sp_cond *cond, const struct sp_cfgnode *node, struct sp_error *err)
{
    size_t n;
    enum sp_status status = read_words(cond, node, WORD_MAX_BYTES, err);
    return status == SP_OK ? sp_node_read_networks(node, cond->predicate->key, &cond->networks, &n, err) : status;
}

static enum sp_status read_numbers(struct sp_cond *cond, const struct sp_cfgnode *node, struct sp_error *err)
{
    size_t n = sp_node_list_count(node);
    if (n == 0)
        return sp_node_fail(node, err, "%s is empty", cond->predicate->key);
    cond->numbers = calloc(n, sizeof(*cond->numbers));
    if (!cond->numbers)
        return sp_build_no_memory(err);
    for (size_t i = 0; i < n; i++) {
        const struct sp_cfgnode *item = sp_node_list_item(node, i);
        enum sp_status status = sp_node_need_type(item, SP_CFG_INT, cond->predicate->key, "a number", err);
        if (status != SP_OK)
            return status;
        if (sp_cfgnode_int(item) < STATUS_MIN || sp_cfgnode_int(item) > STATUS_MAX)
            return sp_node_fail(item, err, "%s must be from %d to %d", cond->predicate->key, STATUS_MIN, STATUS_MAX);
        cond->numbers[cond->n_numbers++] = (unsigned) sp_cfgnode_int(item);
    }
    return SP_OK;
}

static enum sp_status read_pattern(struct sp_cond *cond, const struct sp_cfgnode *node, struct sp_error *err)
{
    enum sp_status status = sp_node_need_type(node, SP_CFG_STRING, cond->predicate->key, "a string", err);
    if (status == SP_OK)
        status = read_words(cond, node, PATTERN_MAX_BYTES, err);
    if (status != SP_OK)
        return status;
    struct sp_error why = { 0 };
    status = sp_pattern_new(sp_str_from(cond->words[0]), &why, &cond->pattern);
    if (status == SP_ERR_NOMEM)
        return sp_build_no_memory(err);
    return status == SP_OK ? SP_OK : sp_node_fail(node, err, "%s: %s", cond->predicate->key, why.text);
}

/* Fills the condition from the value of its key. What was filled is freed by cond_fini, also after a failure. */
static enum sp_status read_cond(struct sp_cond *cond, const struct sp_cfgnode *node, enum sp_stage stage, struct sp_error *err)
{
    const struct sp_predicate *predicate = cond->predicate;
    if ((predicate->stages & (1u << stage)) == 0)
        return sp_node_fail(node, err, "\"%s\" means nothing in stage %s", predicate->key, stage_names[stage]);
    switch (predicate->argument) {
    case SP_ARG_WORDS:
        return read_words(cond, node, WORD_MAX_BYTES, err);
    case SP_ARG_NUMBERS:
        return read_numbers(cond, node, err);
    case SP_ARG_PATTERN:
        return read_pattern(cond, node, err);
    case SP_ARG_BOOL:
        cond->is_wanted = sp_cfgnode_type(node) == SP_CFG_BOOL && sp_cfgnode_bool(node);
        return sp_node_need_type(node, SP_CFG_BOOL, predicate->key, "true or false", err);
    case SP_ARG_TRUE:
        if (sp_cfgnode_type(node) != SP_CFG_BOOL || !sp_cfgnode_bool(node))
            return sp_node_fail(node, err, "%s must be true, or not be there", predicate->key);
        return SP_OK;
    case SP_ARG_NETWORKS:
        return read_networks(cond, node, err);
    }
    return SP_ERR_CONF;
}

static enum sp_status add_cond(struct sp_compiled *rule, const struct sp_predicate *predicate, const struct sp_cfgnode *node,
    struct sp_cond **cond_out, struct sp_error *err)
{
    if (rule->n_conds == SP_RULE_MAX_CONDS)
        return sp_node_fail(node, err, "the rule has more than %d conditions", SP_RULE_MAX_CONDS);
    struct sp_cond *conds = realloc(rule->conds, (rule->n_conds + 1) * sizeof(*conds));
    if (!conds)
        return sp_build_no_memory(err);
    rule->conds = conds;
    struct sp_cond *cond = &conds[rule->n_conds++];
    *cond = (struct sp_cond){ .predicate = predicate };
    *cond_out = cond;
    return read_cond(cond, node, rule->rule.stage, err);
}

/* RFC 9110 5.6.2. A name that no head can have would make a rule that never matches. */
static bool is_token(const char *s)
{
    for (; *s; s++) {
        bool is_alnum = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9');
        if (!is_alnum && !strchr("!#$%&'*+-.^_`|~", *s))
            return false;
    }
    return true;
}

/* One element of `when`: { field | field_prefix, and exactly one predicate }. */
static enum sp_status read_when_item(struct sp_compiled *rule, const struct sp_cfgnode *item, struct sp_error *err)
{
    static const char *const known[] = { "field", "field_prefix", NULL };
    enum sp_status status = sp_node_need_type(item, SP_CFG_GROUP, "a condition", "a group { field = ...; }", err);
    if (status == SP_OK)
        status = sp_node_check_keys(item, known, SP_SCOPE_FIELD, err);
    if (status != SP_OK)
        return status;
    const struct sp_cfgnode *field = sp_cfgnode_get(item, "field");
    const struct sp_cfgnode *prefix = sp_cfgnode_get(item, "field_prefix");
    if (!field == !prefix || sp_cfgnode_count(item) != 2)
        return sp_node_fail(item, err, "a condition is one of field, field_prefix and one of present, value, jwt");
    const struct sp_cfgnode *name = field ? field : prefix;
    status = sp_node_need_string(name, sp_cfgnode_name(name), WORD_MAX_BYTES, err);
    if (status == SP_OK && !is_token(sp_cfgnode_string(name)))
        status = sp_node_fail(name, err, "\"%s\" is not a field name", sp_cfgnode_string(name));
    if (status != SP_OK)
        return status;

    const struct sp_cfgnode *test = sp_cfgnode_child(item, sp_cfgnode_child(item, 0) == name ? 1 : 0);
    struct sp_cond *cond;
    status = add_cond(rule, sp_predicate_find(SP_SCOPE_FIELD, sp_cfgnode_name(test)), test, &cond, err);
    if (status != SP_OK)
        return status;
    cond->is_prefix = prefix != NULL;
    cond->field = strdup(sp_cfgnode_string(name));
    return cond->field ? SP_OK : sp_build_no_memory(err);
}

/* Cheap ones first: the rows of the table are in that order. */
static int compare_conds(const void *a, const void *b)
{
    const struct sp_cond *left = a;
    const struct sp_cond *right = b;
    return (left->predicate > right->predicate) - (left->predicate < right->predicate);
}

enum sp_status sp_conds_read(struct sp_compiled *rule, const struct sp_cfgnode *group, struct sp_error *err)
{
    enum sp_status status = SP_OK;
    struct sp_cond *cond;
    for (size_t i = 0; i < sp_cfgnode_count(group) && status == SP_OK; i++) {
        const struct sp_cfgnode *child = sp_cfgnode_child(group, i);
        const struct sp_predicate *predicate = sp_predicate_find(SP_SCOPE_RULE, sp_cfgnode_name(child));
        if (predicate)
            status = add_cond(rule, predicate, child, &cond, err);
    }
    const struct sp_cfgnode *when = sp_cfgnode_get(group, "when");
    if (status == SP_OK && when)
        status = sp_node_need_type(when, SP_CFG_LIST, "when", "a list of conditions", err);
    for (size_t i = 0; status == SP_OK && when && i < sp_cfgnode_count(when); i++)
        status = read_when_item(rule, sp_cfgnode_child(when, i), err);
    if (status == SP_OK && rule->n_conds == 0)
        status = sp_node_fail(group, err, "the rule has no condition: it would match everything");
    if (status == SP_OK)
        qsort(rule->conds, rule->n_conds, sizeof(*rule->conds), compare_conds);
    return status;
}

void sp_conds_fini(struct sp_compiled *rule)
{
    for (size_t i = 0; i < rule->n_conds; i++)
        cond_fini(&rule->conds[i]);
    free(rule->conds);
}
