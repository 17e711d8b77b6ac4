/* The policy: exceptions, a site's own rules, domain lists and the catalogue, compiled once, immutable, shared by all threads.
 *
 * The order in which a head is judged, so that a person can predict it:
 *   1. rules in turn: the site's own rules first (as they stand in the configuration), then domain lists (likewise), then the
 *      catalogue (files by name, rules as they stand in a file);
 *   2. a matching rule that an exception covers is passed over (and remembered for the explanation);
 *   3. the first rule left that blocks decides. If none blocks, the first that reports. A site rule or list whose action is allow
 *      ends the search: the head passes.
 *
 * A list is asked for the host of the request (of a CONNECT: its target) and for the SNI, if known. An exception for a host holds
 * when it covers both.
 *
 * The effective action of a catalogue rule: its own, lowered to what conf says of its category: "block" and "default" leave
 * each rule its own action, "report" lets blocking rules only report, "allow" turns the category off. A rule is raised or
 * lowered by name with `rule_actions`, of which the last that names it counts. In mode "monitor" the decision is the same
 * and the caller lets it pass. */
#ifndef SALLYPORT_POLICY_H
#define SALLYPORT_POLICY_H

#include "sallyport/buf.h"
#include "sallyport/conf.h"
#include "sallyport/message.h"
#include "sallyport/outcome.h"

struct sp_policy;

enum sp_stage { SP_STAGE_CONNECT, SP_STAGE_REQUEST, SP_STAGE_RESPONSE, SP_STAGE_COUNT };

#define SP_POLICY_BODY_BYTES 4096 /* the most of a body that rules look at */

struct sp_rule {                 /* all borrowed from the policy */
    const char *id;              /* "sstp-a-version"; of a domain list "list:NAME" */
    const char *name;            /* what it recognises, for people */
    const char *category;        /* "vpn", ...; "site" for a site's own rules without one */
    const char *reference;       /* where the fact comes from; "" for a site's own */
    const char *false_positives; /* what else it may hit; "" for a site's own */
    const char *origin;          /* "FILE:LINE" */
    enum sp_stage stage;         /* of a list REQUEST; it is asked for CONNECT too */
    enum sp_action own_action;   /* as written */
    enum sp_action action;       /* effective */
};

struct sp_exception {   /* borrowed from the policy */
    const char *text;   /* its keys and values in one line, for people */
    const char *origin; /* "FILE:LINE" */
};

struct sp_policy_input {
    enum sp_stage stage;
    const struct sp_message *request;  /* NULL if the ICAP client sent none */
    const struct sp_message *response; /* NULL unless stage is RESPONSE */
    struct sp_str client;              /* address as text, or empty: then no rule or exception for clients matches */
    struct sp_str user;                /* or empty */
    struct sp_str sni;                 /* TLS server name that the proxy saw, or empty */
    struct sp_str body;                /* first bytes of the plain body, as far as they are there */
    bool is_body_known;                /* body is all that will be looked at: rules on it can be judged */
    bool is_from_log;                  /* only the start line was written down: no condition on a field or on the version holds */
};

struct sp_policy_result {
    enum sp_action action;                /* ALLOW when no rule matched */
    const struct sp_rule *rule;           /* NULL when no rule matched; one that allows if that ended the search and nothing was
                                         * reported before. Borrowed from the policy */
    const struct sp_exception *exception; /* the first one that passed a matching rule over, or NULL */
    const struct sp_rule *excepted;       /* that rule */
    bool wants_body;                      /* a rule that could change this answer needs the body: ask again with it. Which rule of
                                         * several blocks is not worth it */
    bool is_limited;                      /* a rule that blocks could not be tested to its end: too much effort. Says nothing about
                                         * the rule above. (A rule that only reports counts as matched in such a case.) */
};

/* Reads exceptions, rules, rule_actions and lists of the file at conf->path (none if it is NULL) and every *.conf file of
 * conf->catalogue, compiles. All errors are found here, none at run time; the text has file and line. */
enum sp_status sp_policy_new(const struct sp_conf *conf, struct sp_error *err, struct sp_policy **policy_out) SP_MUST_CHECK;
void sp_policy_free(struct sp_policy **policy);

void sp_policy_decide(const struct sp_policy *policy, const struct sp_policy_input *in, struct sp_policy_result *out);

/* For explanations: one line a condition of the rule, "yes|no|unknown: TEXT", whether it holds for in; the stage comes first. */
enum sp_status sp_policy_describe(
    const struct sp_policy *policy, const struct sp_rule *rule, const struct sp_policy_input *in, struct sp_buf *out) SP_MUST_CHECK;

size_t sp_policy_count(const struct sp_policy *policy);
const struct sp_rule *sp_policy_rule(const struct sp_policy *policy, size_t i); /* in order; NULL past the end */
size_t sp_policy_count_exceptions(const struct sp_policy *policy);
const struct sp_exception *sp_policy_exception(const struct sp_policy *policy, size_t i); /* likewise */

struct sp_policy_list { /* borrowed from the policy */
    const struct sp_rule *rule;
    const char *file;
    uint64_t domains;
    uint64_t bad_lines; /* passed over: no domains */
    bool is_shared;     /* processes share one copy */
    const char *note;   /* what the operator should know, for the log; "" */
};
bool sp_policy_list(const struct sp_policy *policy, size_t i, struct sp_policy_list *list_out); /* false past the end */
uint64_t sp_policy_digest(const struct sp_policy *policy); /* changes when a rule, list, exception or action does; for ISTag */

#endif
