/* What sallyport.conf says about rules: rules of the site's own, lists of domains, and other actions for rules of the catalogue. The
 * options of that file are conf_load.c's. */
#include "config.h"

#include "policy_priv.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_PREFIX "list:"
#define MAX_LISTS 64

bool sp_glob_matches(const char *glob, const char *name)
{
    const char *star = NULL; /* the last one seen, and the name behind what it has taken */
    const char *taken = NULL;
    while (*name) {
        if (*glob == '*') {
            star = glob++;
            taken = name;
        } else if (*glob == *name) {
            glob++;
            name++;
        } else if (star) {
            glob = star + 1;
            name = ++taken;
        } else {
            return false;
        }
    }
    while (*glob == '*')
        glob++;
    return *glob == '\0';
}

/* The list of groups under key, or NULL if there is none. */
static enum sp_status get_list(
    const struct sp_cfgnode *root, const char *key, const char *wanted, struct sp_error *err, const struct sp_cfgnode **list_out)
{
    *list_out = sp_cfgnode_get(root, key);
    return *list_out ? sp_node_need_type(*list_out, SP_CFG_LIST, key, wanted, err) : SP_OK;
}

enum sp_status sp_site_read_rules(struct sp_policy *policy, const struct sp_cfgnode *root, struct sp_error *err)
{
    const struct sp_cfgnode *list;
    enum sp_status status = get_list(root, "rules", "a list of rules: ( { id = ...; }, ... )", err, &list);
    for (size_t i = 0; status == SP_OK && list && i < sp_cfgnode_count(list); i++)
        status = sp_policy_add_rule(policy, sp_cfgnode_child(list, i), NULL, err);
    return status;
}

/* --- lists of domains ------------------------------------------------------------------------------------------------ */

static enum sp_status read_list_name(
    struct sp_policy *policy, struct sp_compiled *rule, const struct sp_cfgnode *group, struct sp_error *err)
{
    char *name = NULL;
    enum sp_status status = sp_node_read_text(group, "name", SP_RULE_ID_MAX, NULL, &name, err);
    const struct sp_cfgnode *node = sp_cfgnode_get(group, "name");
    if (status == SP_OK && !sp_is_rule_id(name))
        status = sp_node_fail(node, err, "name \"%s\": lower-case letters, digits and - only", name);
    if (status == SP_OK && asprintf(&rule->id, LIST_PREFIX "%s", name) < 0) {
        rule->id = NULL;
        status = sp_build_no_memory(err);
    }
    for (size_t i = 0; status == SP_OK && i + 1 < policy->n_rules; i++)
        if (strcmp(policy->rules[i].id, rule->id) == 0)
            status = sp_node_fail(node, err, "name \"%s\" is taken by %s", name, policy->rules[i].origin);
    free(name);
    return status;
}

static enum sp_status read_list_file(
    struct sp_compiled *rule, const struct sp_cfgnode *group, const struct sp_conf *conf, struct sp_error *err)
{
    enum sp_status status = sp_node_read_text(group, "file", PATH_MAX, NULL, &rule->file, err);
    if (status == SP_OK && rule->file[0] != '/')
        status = sp_node_fail(sp_cfgnode_get(group, "file"), err, "file must be an absolute path, beginning with /");
    if (status == SP_OK && asprintf(&rule->name, "domain in %s", rule->file) < 0) {
        rule->name = NULL;
        status = sp_build_no_memory(err);
    }
    if (status != SP_OK)
        return status;
    struct sp_error why = { 0 };
    status = sp_domains_open(rule->file, conf->spool_dir, &why, &rule->domains);
    if (status == SP_ERR_CONF) /* it has a line of its own */
        return sp_error_set(err, status, "%s", why.text);
    return status == SP_OK ? SP_OK : sp_error_set(err, status, "%s: %s", rule->origin, why.text);
}

static enum sp_status read_list(
    struct sp_compiled *rule, struct sp_policy *policy, const struct sp_cfgnode *group, const struct sp_conf *conf, struct sp_error *err)
{
    static const char *const known[] = { "name", "file", "category", "action", NULL };
    static const enum sp_action block = SP_ACTION_BLOCK;
    rule->is_site = true;
    enum sp_status status = sp_node_need_type(group, SP_CFG_GROUP, "a list", "a group { name = ...; file = ...; }", err);
    if (status == SP_OK)
        status = sp_node_only_keys(group, known, err);
    if (status == SP_OK)
        status = sp_node_origin(group, &rule->origin, err);
    if (status == SP_OK)
        status = read_list_name(policy, rule, group, err);
    if (status == SP_OK)
        status = sp_node_read_text(group, "category", SP_RULE_ID_MAX, "site", &rule->category, err);
    if (status == SP_OK && !sp_is_rule_id(rule->category))
        status =
            sp_node_fail(sp_cfgnode_get(group, "category"), err, "category \"%s\": lower-case letters, digits and - only", rule->category);
    if (status == SP_OK)
        status = sp_node_read_action(group, &block, &rule->rule.own_action, err);
    return status == SP_OK ? read_list_file(rule, group, conf, err) : status;
}

enum sp_status sp_site_read_lists(struct sp_policy *policy, const struct sp_cfgnode *root, const struct sp_conf *conf, struct sp_error *err)
{
    const struct sp_cfgnode *list;
    enum sp_status status = get_list(root, "lists", "a list of domain lists: ( { name = ...; file = ...; }, ... )", err, &list);
    if (status == SP_OK && list && sp_cfgnode_count(list) > MAX_LISTS)
        status = sp_node_fail(list, err, "more than %d lists", MAX_LISTS);
    for (size_t i = 0; status == SP_OK && list && i < sp_cfgnode_count(list); i++) {
        struct sp_compiled *rule;
        status = sp_policy_add(policy, list, err, &rule);
        if (status == SP_OK)
            status = read_list(rule, policy, sp_cfgnode_child(list, i), conf, err);
        if (status != SP_OK)
            break;
        rule->rule = (struct sp_rule){ .id = rule->id,
            .name = rule->name,
            .category = rule->category,
            .reference = "",
            .false_positives = "",
            .origin = rule->origin,
            .stage = SP_STAGE_REQUEST,
            .own_action = rule->rule.own_action,
            .action = rule->rule.own_action };
    }
    return status;
}

/* --- other actions --------------------------------------------------------------------------------------------------- */

static enum sp_status apply_action(struct sp_policy *policy, const struct sp_cfgnode *group, struct sp_error *err)
{
    static const char *const known[] = { "rule", "action", NULL };
    enum sp_action action;
    enum sp_status status =
        sp_node_need_type(group, SP_CFG_GROUP, "an element of rule_actions", "a group { rule = ...; action = ...; }", err);
    if (status == SP_OK)
        status = sp_node_only_keys(group, known, err);
    const struct sp_cfgnode *node = status == SP_OK ? sp_cfgnode_get(group, "rule") : NULL;
    if (status == SP_OK && !node)
        status = sp_node_fail(group, err, "no rule is named");
    if (status == SP_OK)
        status = sp_node_need_string(node, "rule", SP_RULE_ID_MAX, err);
    if (status == SP_OK)
        status = sp_node_read_action(group, NULL, &action, err);
    if (status != SP_OK)
        return status;
    const char *glob = sp_cfgnode_string(node);
    const char *own = NULL; /* where the site's own rule of that name is */
    size_t n = 0;
    for (size_t i = 0; i < policy->n_rules; i++) {
        struct sp_compiled *rule = &policy->rules[i];
        if (!sp_glob_matches(glob, rule->id))
            continue;
        if (rule->is_site) {
            own = rule->origin;
            continue;
        }
        rule->rule.action = action;
        n++;
    }
    if (n == 0 && own)
        return sp_node_fail(node, err, "\"%s\" is your own: change its action at %s", glob, own);
    return n > 0 ? SP_OK : sp_node_fail(node, err, "no rule is called \"%s\"", glob);
}

enum sp_status sp_site_read_actions(struct sp_policy *policy, const struct sp_cfgnode *root, struct sp_error *err)
{
    const struct sp_cfgnode *list;
    enum sp_status status = get_list(root, "rule_actions", "a list: ( { rule = ...; action = ...; }, ... )", err, &list);
    for (size_t i = 0; status == SP_OK && list && i < sp_cfgnode_count(list); i++)
        status = apply_action(policy, sp_cfgnode_child(list, i), err);
    return status;
}
