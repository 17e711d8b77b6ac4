/* For policy*.c only: what a compiled policy is made of.
 *
 *   policy_match.c     the predicates: one row and one function each, and the test of one rule against one head
 *   policy_jwt.c       the predicate that looks into tokens
 *   policy_cond.c      from the nodes of a file to conditions
 *   policy_build.c     files to rules: the order of reading, the catalogue
 *   policy_site.c      what sallyport.conf says: rules, rule_actions, lists
 *   policy_except.c    exceptions: from the file, and which of them hold
 *   policy_index.c     which rules are worth testing on a head
 *   policy.c           the decision
 *   policy_digest.c    one number for all of it
 *   policy_describe.c  conditions in words
 *
 * All of it is written while the policy is built and only read afterwards; every mistake is found while it is built. */
#ifndef SALLYPORT_POLICY_PRIV_H
#define SALLYPORT_POLICY_PRIV_H

#include "sallyport/cfgfile.h"
#include "sallyport/domains.h"
#include "sallyport/netaddr.h"
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
    SP_ARG_BOOL,
    SP_ARG_TRUE,    /* true: the key alone says it all */
    SP_ARG_NETWORKS /* a network or address, or a list of them */
};

enum sp_match {
    SP_MATCH_NO,
    SP_MATCH_YES,
    SP_MATCH_LIMIT,  /* a pattern gave up: nobody knows */
    SP_MATCH_UNKNOWN /* the body would tell */
};

struct sp_cond {
    const struct sp_predicate *predicate;
    char *field;    /* owned; of SP_SCOPE_FIELD, else NULL */
    bool is_prefix; /* field is the start of a name */
    bool is_wanted; /* SP_ARG_BOOL */
    char **words;   /* owned, with n: of SP_ARG_WORDS; the source text of SP_ARG_PATTERN (one) and SP_ARG_NETWORKS */
    size_t n_words;
    unsigned *numbers; /* owned, with n; SP_ARG_NUMBERS */
    size_t n_numbers;
    struct sp_network *networks; /* owned, n_words of them; SP_ARG_NETWORKS */
    struct sp_pattern *pattern;  /* owned; SP_ARG_PATTERN */
};

#define SP_AUTHORITY_MAX 320 /* a host name has up to 253 bytes */

/* A host in its one form, with the keys by which lists and exceptions find it. */
struct sp_named {
    struct sp_host host;
    struct sp_domain_keys keys;
};

/* What one decision is about. What costs something is made by the first who asks. */
struct sp_subject {
    const struct sp_policy_input *in;
    const struct sp_message *request; /* may be NULL */
    const struct sp_message *head;    /* whose fields are looked at: of stage response the response's. NULL: nothing matches */
    bool has_authority;
    bool has_target;
    bool has_sni;
    bool has_client;
    bool is_client_known;
    struct sp_str authority; /* canonical */
    struct sp_netaddr client;
    char authority_bytes[SP_AUTHORITY_MAX];
    struct sp_named target;
    struct sp_named sni;
};

typedef enum sp_match (*sp_predicate_fn)(const struct sp_cond *cond, struct sp_subject *subject);

struct sp_predicate {
    const char *key;
    enum sp_scope scope;
    enum sp_argument argument;
    unsigned stages; /* bit set of (1u << enum sp_stage) in which it makes sense */
    sp_predicate_fn matches;
};

struct sp_compiled {
    struct sp_rule rule; /* its strings are the owned ones below, or literals */
    char *id;
    char *name;
    char *category; /* of a site's own; NULL in the catalogue */
    char *reference;
    char *false_positives;
    char *origin;          /* "FILE:LINE" */
    bool is_site;          /* a site's own: rule or list */
    struct sp_cond *conds; /* in table order of the predicates: cheap ones first */
    size_t n_conds;
    struct sp_domains *domains; /* owned; of a list, which has no conditions, else NULL */
    char *file;                 /* of a list */
};

struct sp_index; /* policy_index.c */
struct sp_exceptions;

struct sp_policy {
    struct sp_compiled *rules; /* in order */
    size_t n_rules;
    size_t cap_rules;
    struct sp_exceptions *exceptions; /* NULL if there are none */
    struct sp_index *indexes[SP_STAGE_COUNT];
    uint64_t digest;
};

/* policy_match.c */
void sp_subject_init(struct sp_subject *subject, const struct sp_policy_input *in);
const struct sp_named *sp_subject_target(struct sp_subject *subject); /* the request's host; empty if it has none */
const struct sp_named *sp_subject_sni(struct sp_subject *subject);    /* likewise */
struct sp_str sp_subject_authority(struct sp_subject *subject); /* "host:port" in one form. There must be a request */
/* The address of the client; NULL if there is none that can be read. */
const struct sp_netaddr *sp_subject_client(struct sp_subject *subject);
const struct sp_predicate *sp_predicate_find(enum sp_scope scope, const char *key); /* NULL if there is none */
enum sp_match sp_rule_match(const struct sp_compiled *rule, struct sp_subject *subject);
/* The name that the rule's list has; empty if it has neither the host's nor the SNI. Borrowed from the subject. */
struct sp_str sp_list_match(const struct sp_compiled *rule, struct sp_subject *subject);
enum sp_match sp_cond_run_pattern(const struct sp_cond *cond, struct sp_str text);
bool sp_words_have(char *const *words, size_t n, struct sp_str text); /* without regard to case */
/* The next field that the condition is about, from *pos on; NULL at the end. */
const struct sp_field *sp_cond_next_field(const struct sp_cond *cond, const struct sp_message *head, size_t *pos);

/* policy_index.c */
#define SP_INDEX_WORDS (SP_POLICY_MAX_RULES / 64 + 1)
struct sp_index *sp_index_new(const struct sp_policy *policy, enum sp_stage stage); /* NULL: no memory */
void sp_index_free(struct sp_index **index);
/* The rules that may match, as a bit set; the number of its words. subject has a head. */
size_t sp_index_find(const struct sp_index *index, struct sp_subject *subject, uint64_t candidates[SP_INDEX_WORDS]);
size_t sp_index_rule(const struct sp_index *index, size_t bit); /* its position in the policy */

/* policy_jwt.c */
enum sp_match sp_match_jwt(const struct sp_cond *cond, struct sp_subject *subject);

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

/* Refuses keys of group that are not in known (NULL-ended). */
enum sp_status sp_node_only_keys(const struct sp_cfgnode *group, const char *const *known, struct sp_error *err) SP_MUST_CHECK;
/* Copies the strings of a list, or the one; *words_out is an array of *n_out, which is there to be freed after a failure too. */
enum sp_status sp_node_read_words(
    const struct sp_cfgnode *node, const char *what, size_t max, char ***words_out, size_t *n_out, struct sp_error *err) SP_MUST_CHECK;
enum sp_status sp_node_read_networks(
    const struct sp_cfgnode *node, const char *what, struct sp_network **networks_out, size_t *n_out, struct sp_error *err) SP_MUST_CHECK;
void sp_words_free(char **words, size_t n);

/* policy_build.c */
enum sp_status sp_policy_read(struct sp_policy *policy, const struct sp_conf *conf, struct sp_error *err) SP_MUST_CHECK;
void sp_compiled_fini(struct sp_compiled *rule);
/* A zeroed rule at the end. SP_ERR_CONF with the place of node when there are too many. */
enum sp_status sp_policy_add(
    struct sp_policy *policy, const struct sp_cfgnode *node, struct sp_error *err, struct sp_compiled **rule_out) SP_MUST_CHECK;
/* A rule from its group. category NULL: a site's own, for which some keys may be left out. */
enum sp_status sp_policy_add_rule(
    struct sp_policy *policy, const struct sp_cfgnode *group, const char *category, struct sp_error *err) SP_MUST_CHECK;
/* The string of key, copied, one line. Absent: refused, or with fallback a copy of that. */
enum sp_status sp_node_read_text(
    const struct sp_cfgnode *group, const char *key, size_t max, const char *fallback, char **text_out, struct sp_error *err) SP_MUST_CHECK;
enum sp_status sp_node_read_action(
    const struct sp_cfgnode *group, const enum sp_action *fallback, enum sp_action *action_out, struct sp_error *err) SP_MUST_CHECK;
enum sp_status sp_node_origin(const struct sp_cfgnode *node, char **origin_out, struct sp_error *err) SP_MUST_CHECK;
bool sp_is_rule_id(const char *s);
#define SP_RULE_ID_MAX 64

/* policy_site.c: parts of sallyport.conf. */
enum sp_status sp_site_read_rules(struct sp_policy *policy, const struct sp_cfgnode *root, struct sp_error *err) SP_MUST_CHECK;
enum sp_status sp_site_read_lists(
    struct sp_policy *policy, const struct sp_cfgnode *root, const struct sp_conf *conf, struct sp_error *err) SP_MUST_CHECK;
enum sp_status sp_site_read_actions(struct sp_policy *policy, const struct sp_cfgnode *root, struct sp_error *err) SP_MUST_CHECK;
/* Whether name is what glob means, in which * stands for any run of bytes. */
bool sp_glob_matches(const char *glob, const char *name);

/* policy_except.c */
#define SP_POLICY_MAX_EXCEPTIONS 1024
#define SP_EXCEPTION_WORDS (SP_POLICY_MAX_EXCEPTIONS / 64)

enum sp_status sp_exceptions_read(struct sp_policy *policy, const struct sp_cfgnode *root, struct sp_error *err) SP_MUST_CHECK;
void sp_exceptions_free(struct sp_exceptions **exceptions);
size_t sp_exceptions_count(const struct sp_exceptions *exceptions);
const struct sp_exception *sp_exceptions_get(const struct sp_exceptions *exceptions, size_t i);
/* Those whose host, client and user hold for the subject, as a bit set. */
void sp_exceptions_find(const struct sp_exceptions *exceptions, struct sp_subject *subject, uint64_t found[SP_EXCEPTION_WORDS]);
/* The first of those that covers the rule at that position; NULL if none does. */
const struct sp_exception *sp_exceptions_cover(
    const struct sp_exceptions *exceptions, const uint64_t found[SP_EXCEPTION_WORDS], size_t rule);

/* policy_digest.c */
uint64_t sp_policy_compute_digest(const struct sp_policy *policy);

#endif
