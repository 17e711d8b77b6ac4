/* For policy*.c only: what a compiled policy is made of.
 *
 *   policy_match.c  the predicates: one row and one function each, and the test of one rule against one head
 *   policy_cond.c   from the nodes of a file to conditions
 *   policy_build.c  catalogue files to rules; every mistake is found here and in policy_cond.c
 *   policy.c        the index and the decision
 *
 * All of it is written while the policy is built and only read afterwards. */
#ifndef SALLYPORT_POLICY_PRIV_H
#define SALLYPORT_POLICY_PRIV_H

#include "sallyport/cfgfile.h"
#include "sallyport/pattern.h"
#include "sallyport/policy.h"

#define SP_POLICY_MAX_RULES 4096
#define SP_RULE_MAX_CONDS 32 /* fits a bit set, for results that name the conditions that matched */

/* Where a predicate's key stands: in the rule itself, or in an element of its `when` list next to `field`. */
enum sp_scope { SP_SCOPE_RULE, SP_SCOPE_FIELD };

enum sp_argument {
    SP_ARG_WORDS,   /* a string or a list of strings */
    SP_ARG_NUMBERS, /* a number or a list of numbers */
    SP_ARG_PATTERN, /* a string: a regular expression */
    SP_ARG_BOOL
};

enum sp_match {
    SP_MATCH_NO,
    SP_MATCH_YES,
    SP_MATCH_LIMIT /* a pattern gave up: nobody knows */
};

struct sp_cond {
    const struct sp_predicate *predicate;
    char *field;    /* owned; of SP_SCOPE_FIELD, else NULL */
    bool is_prefix; /* field is the start of a name */
    bool is_wanted; /* SP_ARG_BOOL */
    char **words;   /* owned, with n; SP_ARG_WORDS; of SP_ARG_PATTERN the one source text */
    size_t n_words;
    unsigned *numbers; /* owned, with n; SP_ARG_NUMBERS */
    size_t n_numbers;
    struct sp_pattern *pattern; /* owned; SP_ARG_PATTERN */
};

#define SP_AUTHORITY_MAX 320 /* a host name has up to 253 bytes */

/* What one decision is about. */
struct sp_subject {
    const struct sp_message *request; /* may be NULL */
    const struct sp_message *head;    /* whose fields are looked at: of stage response the response's. Never NULL */
    char authority_bytes[SP_AUTHORITY_MAX];
    struct sp_str authority; /* canonical; made by the first predicate that asks */
    bool has_authority;
};

typedef enum sp_match (*sp_predicate_fn)(const struct sp_cond *cond, struct sp_subject *subject);

struct sp_predicate {
    const char *key;
    enum sp_scope scope;
    enum sp_argument argument;
    unsigned stages;         /* bit set of (1u << enum sp_stage) in which it makes sense */
    sp_predicate_fn matches; /* NULL: the format knows the key, this version cannot test it */
};

struct sp_compiled {
    struct sp_rule rule; /* its strings are the owned ones below */
    char *id;
    char *name;
    char *reference;
    char *false_positives;
    char *origin; /* "FILE:LINE" */
    enum sp_category category;
    enum sp_action own_action; /* before the site's word on the category */
    struct sp_cond *conds;     /* in table order of the predicates: cheap ones first */
    size_t n_conds;
};

struct sp_index; /* policy.c */

struct sp_policy {
    struct sp_compiled *rules; /* in order */
    size_t n_rules;
    size_t cap_rules;
    struct sp_index *indexes[SP_STAGE_COUNT];
    uint64_t digest;
};

/* policy_match.c */
const struct sp_predicate *sp_predicate_find(enum sp_scope scope, const char *key); /* NULL if there is none */
enum sp_match sp_rule_match(const struct sp_compiled *rule, struct sp_subject *subject);

/* policy_cond.c: fills rule->conds from the predicates of a rule's group and its `when` list, sorted by table order. What was filled
 * is freed by sp_conds_fini, also after a failure. rule->rule.stage is set before. */
enum sp_status sp_conds_read(struct sp_compiled *rule, const struct sp_cfgnode *group, struct sp_error *err) SP_MUST_CHECK;
void sp_conds_fini(struct sp_compiled *rule);
const char *sp_stage_name(enum sp_stage stage);

/* Checks of nodes; each failure is SP_ERR_CONF with FILE:LINE of the node. */
enum sp_status sp_node_fail(const struct sp_cfgnode *node, struct sp_error *err, const char *fmt, ...) SP_PRINTF(3, 4);
enum sp_status sp_node_need_type(
    const struct sp_cfgnode *node, enum sp_cfgtype type, const char *what, const char *wanted, struct sp_error *err) SP_MUST_CHECK;
enum sp_status sp_node_need_string(
    const struct sp_cfgnode *node, const char *what, size_t max, struct sp_error *err) SP_MUST_CHECK; /* not empty */
/* Refuses keys of group that are neither in known (NULL-ended) nor predicates of that scope. */
enum sp_status sp_node_check_keys(
    const struct sp_cfgnode *group, const char *const *known, enum sp_scope scope, struct sp_error *err) SP_MUST_CHECK;
enum sp_status sp_build_no_memory(struct sp_error *err);
/* A value that is one scalar or a list of them, seen as a list. */
size_t sp_node_list_count(const struct sp_cfgnode *node);
const struct sp_cfgnode *sp_node_list_item(const struct sp_cfgnode *node, size_t i);

/* policy_build.c */
enum sp_status sp_policy_read(struct sp_policy *policy, const struct sp_conf *conf, struct sp_error *err) SP_MUST_CHECK;
void sp_compiled_fini(struct sp_compiled *rule);

#endif
