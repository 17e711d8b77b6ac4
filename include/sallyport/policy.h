/* The policy: catalogue rules with a site's actions, compiled once, immutable, shared by all threads.
 * First-match order that a person can predict: of the rules that match, in file order, the first that blocks wins;
 * if none blocks, the first that reports. Recipes: a new predicate is one function and one row in policy_match.c.
 *
 * The effective action of a rule: what conf says of its category, and where conf says nothing ("default"), the rule's own.
 * A category's action replaces that of all its rules, those that only report and those with evidence "unverified" included:
 * allow turns the category off, report makes it watch, block makes it refuse whatever it recognises. */
#ifndef SALLYPORT_POLICY_H
#define SALLYPORT_POLICY_H

#include "sallyport/conf.h"
#include "sallyport/message.h"
#include "sallyport/outcome.h"

struct sp_policy;

enum sp_stage { SP_STAGE_CONNECT, SP_STAGE_REQUEST, SP_STAGE_RESPONSE, SP_STAGE_COUNT };

struct sp_rule {           /* all borrowed from the policy */
    const char *id;        /* "sstp-a-version" */
    const char *name;      /* what it recognises, for people */
    const char *category;  /* "vpn", ... */
    const char *reference; /* where the fact comes from */
    enum sp_stage stage;
    enum sp_action action; /* effective: category and site applied */
};

struct sp_policy_input {
    enum sp_stage stage;
    const struct sp_message *request;  /* NULL if the ICAP client sent none */
    const struct sp_message *response; /* NULL unless stage is RESPONSE */
};

struct sp_policy_result {
    enum sp_action action;      /* ALLOW when no rule matched */
    const struct sp_rule *rule; /* NULL when no rule matched; borrowed from the policy */
    bool is_limited;            /* a rule that blocks could not be tested to its end: too much effort. Says nothing about
                                 * the rule above. (A rule that only reports counts as matched in such a case.) */
};

/* Reads every *.conf file of conf->catalogue (sorted by name), applies conf's category actions, compiles. All errors
 * are found here, none at run time; the text has file and line. */
enum sp_status sp_policy_new(const struct sp_conf *conf, struct sp_error *err, struct sp_policy **policy_out) SP_MUST_CHECK;
void sp_policy_free(struct sp_policy **policy);

void sp_policy_decide(const struct sp_policy *policy, const struct sp_policy_input *in, struct sp_policy_result *out);

size_t sp_policy_count(const struct sp_policy *policy);
const struct sp_rule *sp_policy_rule(const struct sp_policy *policy, size_t i); /* in order; NULL past the end */
uint64_t sp_policy_digest(const struct sp_policy *policy);                      /* changes when a rule or action does; for ISTag */

#endif
