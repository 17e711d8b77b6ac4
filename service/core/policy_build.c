/* Files to compiled rules, in the order in which they are judged: what the site says, then the catalogue. Everything that can be
 * wrong with a rule is found here, with file and line, so that a decision can fail in no other way than by running out of
 * effort.
 *
 * A file of the catalogue is one category. Unknown keys are refused rather than passed over: a misspelt condition would otherwise make a
 * rule match more than its author meant. */
#include "config.h"

#include "policy_priv.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 200
#define TEXT_MAX_BYTES 1000

enum evidence { EVIDENCE_SEEN, EVIDENCE_ACCEPTED, EVIDENCE_UNVERIFIED };

enum sp_status sp_node_read_text(
    const struct sp_cfgnode *group, const char *key, size_t max, const char *fallback, char **text_out, struct sp_error *err)
{
    const struct sp_cfgnode *node = sp_cfgnode_get(group, key);
    if (!node && !fallback)
        return sp_node_fail(group, err, "the rule has no %s", key);
    enum sp_status status = node ? sp_node_need_string(node, key, max, err) : SP_OK;
    if (status != SP_OK)
        return status;
    const char *text = node ? sp_cfgnode_string(node) : fallback;
    for (const char *s = text; *s; s++)
        if ((unsigned char) *s < ' ' || *s == 0x7f)
            return sp_node_fail(node, err, "%s has a control character in it", key);
    *text_out = strdup(text);
    return *text_out ? SP_OK : sp_build_no_memory(err);
}

/* The index of the string of key in names; refuses others and says what there is. */
static enum sp_status read_choice(
    const struct sp_cfgnode *group, const char *key, const char *const *names, size_t n, size_t *index_out, struct sp_error *err)
{
    const struct sp_cfgnode *node = sp_cfgnode_get(group, key);
    if (!node)
        return sp_node_fail(group, err, "the rule has no %s", key);
    enum sp_status status = sp_node_need_string(node, key, NAME_MAX_BYTES, err);
    if (status != SP_OK)
        return status;
    char list[200] = "";
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(sp_cfgnode_string(node), names[i]) == 0) {
            *index_out = i;
            return SP_OK;
        }
        int added = snprintf(list + used, sizeof(list) - used, "%s%s", i > 0 ? ", " : "", names[i]);
        used = added > 0 && used + (size_t) added < sizeof(list) ? used + (size_t) added : used;
    }
    return sp_node_fail(node, err, "%s \"%s\" is not one of %s", key, sp_cfgnode_string(node), list);
}

enum sp_status sp_node_read_action(
    const struct sp_cfgnode *group, const enum sp_action *fallback, enum sp_action *action_out, struct sp_error *err)
{
    if (fallback && !sp_cfgnode_get(group, "action")) {
        *action_out = *fallback;
        return SP_OK;
    }
    const char *actions[SP_ACTION_COUNT];
    for (int i = 0; i < SP_ACTION_COUNT; i++)
        actions[i] = sp_action_name((enum sp_action) i);
    size_t action = 0;
    enum sp_status status = read_choice(group, "action", actions, SP_ACTION_COUNT, &action, err);
    *action_out = (enum sp_action) action;
    return status;
}

enum sp_status sp_node_origin(const struct sp_cfgnode *node, char **origin_out, struct sp_error *err)
{
    if (asprintf(origin_out, "%s:%d", sp_cfgnode_file(node), sp_cfgnode_line(node)) >= 0)
        return SP_OK;
    *origin_out = NULL;
    return sp_build_no_memory(err);
}

/* --- rules ----------------------------------------------------------------------------------------------------------- */

void sp_compiled_fini(struct sp_compiled *rule)
{
    sp_conds_fini(rule);
    sp_domains_close(&rule->domains);
    free(rule->id);
    free(rule->name);
    free(rule->category);
    free(rule->reference);
    free(rule->false_positives);
    free(rule->origin);
    free(rule->file);
    *rule = (struct sp_compiled){ 0 };
}

/* The id goes into ICAP headers, log lines and command lines. */
bool sp_is_rule_id(const char *s)
{
    return *s != '-' && *s != '\0' && s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

static enum sp_status read_id(struct sp_policy *policy, struct sp_compiled *rule, const struct sp_cfgnode *group, struct sp_error *err)
{
    enum sp_status status = sp_node_read_text(group, "id", SP_RULE_ID_MAX, NULL, &rule->id, err);
    if (status != SP_OK)
        return status;
    const struct sp_cfgnode *node = sp_cfgnode_get(group, "id");
    if (!sp_is_rule_id(rule->id))
        return sp_node_fail(node, err, "id \"%s\": lower-case letters, digits and - only", rule->id);
    for (size_t i = 0; i < policy->n_rules; i++)
        if (&policy->rules[i] != rule && strcmp(policy->rules[i].id, rule->id) == 0)
            return sp_node_fail(node, err, "id \"%s\" is taken by %s", rule->id, policy->rules[i].origin);
    return sp_node_origin(group, &rule->origin, err);
}

/* A rule of the catalogue that nobody has seen working may watch, not refuse. */
static enum sp_status read_action(struct sp_compiled *rule, const struct sp_cfgnode *group, struct sp_error *err)
{
    static const char *const evidences[] = { "seen", "accepted", "unverified" };
    size_t evidence = EVIDENCE_SEEN;
    enum sp_status status = sp_node_read_action(group, NULL, &rule->rule.own_action, err);
    if (status == SP_OK && !(rule->is_site && !sp_cfgnode_get(group, "evidence")))
        status = read_choice(group, "evidence", evidences, sizeof(evidences) / sizeof(evidences[0]), &evidence, err);
    if (status == SP_OK && evidence == EVIDENCE_UNVERIFIED && rule->rule.own_action == SP_ACTION_BLOCK && !rule->is_site)
        status = sp_node_fail(sp_cfgnode_get(group, "action"), err, "a rule with evidence \"unverified\" may report, not block");
    return status;
}

/* A site may name its own category. */
static enum sp_status read_own_category(struct sp_compiled *rule, const struct sp_cfgnode *group, struct sp_error *err)
{
    if (!rule->is_site)
        return SP_OK;
    enum sp_status status = sp_node_read_text(group, "category", SP_RULE_ID_MAX, "site", &rule->category, err);
    if (status == SP_OK && !sp_is_rule_id(rule->category))
        status =
            sp_node_fail(sp_cfgnode_get(group, "category"), err, "category \"%s\": lower-case letters, digits and - only", rule->category);
    return status;
}

static enum sp_status read_texts(struct sp_compiled *rule, const struct sp_cfgnode *group, struct sp_error *err)
{
    const char *none = rule->is_site ? "" : NULL;
    enum sp_status status = sp_node_read_text(group, "name", NAME_MAX_BYTES, rule->is_site ? rule->id : NULL, &rule->name, err);
    if (status == SP_OK)
        status = sp_node_read_text(group, "reference", TEXT_MAX_BYTES, none, &rule->reference, err);
    if (status == SP_OK)
        status = sp_node_read_text(group, "false_positives", TEXT_MAX_BYTES, none, &rule->false_positives, err);
    if (status == SP_OK)
        status = read_own_category(rule, group, err);
    return status;
}

static enum sp_status read_stage(struct sp_compiled *rule, const struct sp_cfgnode *group, struct sp_error *err)
{
    const char *stages[SP_STAGE_COUNT];
    for (int i = 0; i < SP_STAGE_COUNT; i++)
        stages[i] = sp_stage_name((enum sp_stage) i);
    size_t stage = 0;
    enum sp_status status = read_choice(group, "stage", stages, SP_STAGE_COUNT, &stage, err);
    rule->rule.stage = (enum sp_stage) stage;
    return status;
}

/* CONNECT has a stage of its own; a method that cannot occur in the rule's stage is a slip. */
static enum sp_status check_method(const struct sp_compiled *rule, const struct sp_cfgnode *group, struct sp_error *err)
{
    const struct sp_cfgnode *node = sp_cfgnode_get(group, "method");
    if (!node || rule->rule.stage == SP_STAGE_RESPONSE)
        return SP_OK;
    for (size_t i = 0; i < sp_node_list_count(node); i++) {
        bool is_connect = strcasecmp(sp_cfgnode_string(sp_node_list_item(node, i)), "CONNECT") == 0;
        if (is_connect != (rule->rule.stage == SP_STAGE_CONNECT))
            return sp_node_fail(node, err, "stage %s never has the method %s", sp_stage_name(rule->rule.stage),
                sp_cfgnode_string(sp_node_list_item(node, i)));
    }
    return SP_OK;
}

/* Fills a zeroed rule, which the caller frees in any case. */
static enum sp_status read_rule(struct sp_policy *policy, struct sp_compiled *rule, const struct sp_cfgnode *group, struct sp_error *err)
{
    /* The first is for a site's own. */
    static const char *const known[] = { "category", "id", "name", "stage", "when", "action", "evidence", "false_positives", "reference",
        NULL };
    enum sp_status status = sp_node_need_type(group, SP_CFG_GROUP, "a rule", "a group { id = ...; }", err);
    if (status == SP_OK)
        status = sp_node_check_keys(group, rule->is_site ? known : known + 1, SP_SCOPE_RULE, err);
    if (status == SP_OK)
        status = read_id(policy, rule, group, err);
    if (status == SP_OK)
        status = read_texts(rule, group, err);
    if (status == SP_OK)
        status = read_action(rule, group, err);
    if (status == SP_OK)
        status = read_stage(rule, group, err);
    if (status == SP_OK)
        status = sp_conds_read(rule, group, err);
    if (status == SP_OK)
        status = check_method(rule, group, err);
    return status;
}

enum sp_status sp_policy_add(struct sp_policy *policy, const struct sp_cfgnode *node, struct sp_error *err, struct sp_compiled **rule_out)
{
    if (policy->n_rules == SP_POLICY_MAX_RULES)
        return sp_node_fail(node, err, "more than %d rules", SP_POLICY_MAX_RULES);
    if (policy->n_rules == policy->cap_rules) {
        size_t cap = policy->cap_rules == 0 ? 64 : policy->cap_rules * 2;
        struct sp_compiled *rules = realloc(policy->rules, cap * sizeof(*rules));
        if (!rules)
            return sp_build_no_memory(err);
        policy->rules = rules;
        policy->cap_rules = cap;
    }
    struct sp_compiled *rule = &policy->rules[policy->n_rules++];
    *rule = (struct sp_compiled){ 0 };
    *rule_out = rule;
    return SP_OK;
}

enum sp_status sp_policy_add_rule(struct sp_policy *policy, const struct sp_cfgnode *group, const char *category, struct sp_error *err)
{
    struct sp_compiled *rule;
    enum sp_status status = sp_policy_add(policy, group, err, &rule);
    if (status != SP_OK)
        return status;
    rule->is_site = !category;
    status = read_rule(policy, rule, group, err);
    if (status != SP_OK)
        return status;
    rule->rule.id = rule->id;
    rule->rule.name = rule->name;
    rule->rule.category = category ? category : rule->category;
    rule->rule.reference = rule->reference;
    rule->rule.false_positives = rule->false_positives;
    rule->rule.origin = rule->origin;
    rule->rule.action = rule->rule.own_action;
    return SP_OK;
}

/* --- files ----------------------------------------------------------------------------------------------------------- */

static enum sp_status read_category(const struct sp_cfgnode *root, enum sp_category *category_out, struct sp_error *err)
{
    const struct sp_cfgnode *node = sp_cfgnode_get(root, "category");
    if (!node)
        return sp_node_fail(root, err, "the file names no category");
    enum sp_status status = sp_node_need_string(node, "category", NAME_MAX_BYTES, err);
    if (status == SP_OK && !sp_category_parse(sp_str_from(sp_cfgnode_string(node)), category_out))
        status = sp_node_fail(node, err, "unknown category \"%s\"", sp_cfgnode_string(node));
    return status;
}

/* What the site says of a category is the most that its rules may do. */
static enum sp_status add_of_category(
    struct sp_policy *policy, const struct sp_cfgnode *group, enum sp_category category, const struct sp_conf *conf, struct sp_error *err)
{
    enum sp_status status = sp_policy_add_rule(policy, group, sp_category_name(category), err);
    if (status != SP_OK || !conf->has_category_action[category])
        return status;
    struct sp_rule *rule = &policy->rules[policy->n_rules - 1].rule;
    if (rule->action > conf->category_action[category])
        rule->action = conf->category_action[category];
    return SP_OK;
}

static enum sp_status read_file(struct sp_policy *policy, const char *path, const struct sp_conf *conf, struct sp_error *err)
{
    struct sp_cfgfile *file = NULL;
    enum sp_status status = sp_cfgfile_open(path, err, &file);
    if (status != SP_OK)
        return status;
    const struct sp_cfgnode *root = sp_cfgfile_root(file);
    enum sp_category category = SP_CATEGORY_COUNT;
    for (size_t i = 0; i < sp_cfgnode_count(root) && status == SP_OK; i++) {
        const struct sp_cfgnode *child = sp_cfgnode_child(root, i);
        if (strcmp(sp_cfgnode_name(child), "category") != 0 && strcmp(sp_cfgnode_name(child), "rules") != 0)
            status = sp_node_fail(child, err, "unknown key \"%s\"", sp_cfgnode_name(child));
    }
    if (status == SP_OK)
        status = read_category(root, &category, err);
    const struct sp_cfgnode *rules = sp_cfgnode_get(root, "rules");
    if (status == SP_OK && !rules)
        status = sp_node_fail(root, err, "the file has no rules");
    if (status == SP_OK)
        status = sp_node_need_type(rules, SP_CFG_LIST, "rules", "a list of rules", err);
    for (size_t i = 0; status == SP_OK && i < sp_cfgnode_count(rules); i++)
        status = add_of_category(policy, sp_cfgnode_child(rules, i), category, conf, err);
    sp_cfgfile_close(&file);
    return status;
}

static int is_conf_name(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return entry->d_name[0] != '.' && dot && strcmp(dot, ".conf") == 0;
}

/* By bytes, so that the order of rules does not hang on a locale. */
static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static enum sp_status read_catalogue(struct sp_policy *policy, const struct sp_conf *conf, struct sp_error *err)
{
    struct dirent **entries = NULL;
    int n = scandir(conf->catalogue, &entries, is_conf_name, compare_names);
    if (n < 0)
        return sp_error_set(err, SP_ERR_IO, "catalogue: cannot read directory %s: %m", conf->catalogue);
    /* An empty directory is a mount or an installation that went wrong, and would let everything pass. */
    enum sp_status status = n > 0 ? SP_OK : sp_error_set(err, SP_ERR_CONF, "catalogue: no *.conf file in %s", conf->catalogue);
    for (int i = 0; i < n; i++) {
        char *path = NULL;
        if (status == SP_OK && asprintf(&path, "%s/%s", conf->catalogue, entries[i]->d_name) < 0) {
            path = NULL;
            status = sp_build_no_memory(err);
        }
        if (status == SP_OK)
            status = read_file(policy, path, conf, err);
        free(path);
        free(entries[i]);
    }
    free(entries);
    return status;
}

enum sp_status sp_policy_read(struct sp_policy *policy, const struct sp_conf *conf, struct sp_error *err)
{
    struct sp_cfgfile *file = NULL;
    bool has_file = conf->path && conf->path[0] != '\0';
    enum sp_status status = has_file ? sp_cfgfile_open(conf->path, err, &file) : SP_OK;
    const struct sp_cfgnode *root = file ? sp_cfgfile_root(file) : NULL;
    if (status == SP_OK && root)
        status = sp_site_read_rules(policy, root, err);
    if (status == SP_OK && root)
        status = sp_site_read_lists(policy, root, conf, err);
    if (status == SP_OK)
        status = read_catalogue(policy, conf, err);
    if (status == SP_OK && root)
        status = sp_site_read_actions(policy, root, err);
    if (status == SP_OK && root)
        status = sp_exceptions_read(policy, root, err);
    sp_cfgfile_close(&file);
    return status;
}
