/* The predicates: what a condition of a rule can ask of a head. One function and one row each; the rows are in the order in which
 * the conditions of a rule are tested, cheap ones first.
 *
 * The rule that types cannot say: who decides what a head looks like is the attacker. So methods compare without regard to case,
 * every repetition of a field is tried, and a value that was folded is also tried as a receiver would join it. */
#include "config.h"

#include "policy_priv.h"

#include "sallyport/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANY_STAGE ((1u << SP_STAGE_CONNECT) | (1u << SP_STAGE_REQUEST) | (1u << SP_STAGE_RESPONSE))
#define RESPONSE_STAGE (1u << SP_STAGE_RESPONSE)

static enum sp_match yes_if(bool is_true)
{
    return is_true ? SP_MATCH_YES : SP_MATCH_NO;
}

enum sp_match sp_cond_run_pattern(const struct sp_cond *cond, struct sp_str text)
{
    switch (sp_pattern_match(cond->pattern, text)) {
    case SP_PATTERN_YES:
        return SP_MATCH_YES;
    case SP_PATTERN_NO:
        return SP_MATCH_NO;
    case SP_PATTERN_LIMIT:
        break;
    }
    return SP_MATCH_LIMIT;
}

bool sp_words_have(char *const *words, size_t n, struct sp_str text)
{
    for (size_t i = 0; i < n; i++)
        if (sp_str_equal_nocase(text, sp_str_from(words[i])))
            return true;
    return false;
}

/* --- subject --------------------------------------------------------------------------------------------------------- */

void sp_subject_init(struct sp_subject *subject, const struct sp_policy_input *in)
{
    subject->in = in;
    subject->request = in->request;
    subject->head = in->stage == SP_STAGE_RESPONSE ? in->response : in->request;
    subject->has_authority = false;
    subject->has_target = false;
    subject->has_sni = false;
    subject->has_client = false;
}

static const struct sp_named *name_once(struct sp_named *named, bool *is_there, struct sp_str text)
{
    if (!*is_there) {
        sp_host_normalise(text, &named->host);
        sp_domain_keys_init(&named->host, &named->keys);
        *is_there = true;
    }
    return named;
}

const struct sp_named *sp_subject_target(struct sp_subject *subject)
{
    return name_once(&subject->target, &subject->has_target, subject->request ? subject->request->host : SP_STR(""));
}

const struct sp_named *sp_subject_sni(struct sp_subject *subject)
{
    return name_once(&subject->sni, &subject->has_sni, subject->in->sni);
}

const struct sp_netaddr *sp_subject_client(struct sp_subject *subject)
{
    if (!subject->has_client) {
        subject->is_client_known = sp_netaddr_parse(subject->in->client, &subject->client);
        subject->has_client = true;
    }
    return subject->is_client_known ? &subject->client : NULL;
}

/* --- who asks -------------------------------------------------------------------------------------------------------- */

static enum sp_match match_client(const struct sp_cond *cond, struct sp_subject *subject)
{
    const struct sp_netaddr *client = sp_subject_client(subject);
    for (size_t i = 0; client && i < cond->n_words; i++)
        if (sp_network_holds(&cond->networks[i], client))
            return SP_MATCH_YES;
    return SP_MATCH_NO;
}

static enum sp_match match_user(const struct sp_cond *cond, struct sp_subject *subject)
{
    return yes_if(subject->in->user.n > 0 && sp_words_have(cond->words, cond->n_words, subject->in->user));
}

/* A name that the client asked for inside TLS, and another one outside. An address has no server name (RFC 6066 3), so none is
 * expected for one; a client that sends one all the same does differ. */
static enum sp_match match_sni_differs(const struct sp_cond *cond, struct sp_subject *subject)
{
    (void) cond;
    if (subject->in->sni.n == 0 || !subject->request || subject->request->host.n == 0)
        return SP_MATCH_NO;
    const struct sp_host *sni = &sp_subject_sni(subject)->host;
    const struct sp_host *target = &sp_subject_target(subject)->host;
    return yes_if(!sp_str_equal((struct sp_str){ sni->bytes, sni->n }, (struct sp_str){ target->bytes, target->n }));
}

/* Squid makes CONNECTs of its own (when it intercepts, or splices): HTTP/1.1 with Host alone. What proxies add on the way does
 * not count. */
static enum sp_match match_not_fake(const struct sp_cond *cond, struct sp_subject *subject)
{
    (void) cond;
    const struct sp_message *head = subject->head;
    if (!head->is_connect || !sp_str_equal(head->version, SP_STR("HTTP/1.1")) || !sp_message_field(head, SP_STR("Host")))
        return SP_MATCH_YES;
    static const char *const proxies[] = { "Host", "Via", "X-Forwarded-For", "Forwarded" };
    for (size_t i = 0; i < head->n_fields; i++) {
        struct sp_str name = head->fields[i].name;
        bool is_proxys = sp_str_starts_nocase(name, SP_STR("X-Sallyport-"));
        for (size_t k = 0; k < sizeof(proxies) / sizeof(proxies[0]) && !is_proxys; k++)
            is_proxys = sp_str_equal_nocase(name, sp_str_from(proxies[k]));
        if (!is_proxys)
            return SP_MATCH_YES;
    }
    return SP_MATCH_NO;
}

/* --- start line ------------------------------------------------------------------------------------------------------ */

static enum sp_match match_method(const struct sp_cond *cond, struct sp_subject *subject)
{
    return yes_if(subject->request && sp_words_have(cond->words, cond->n_words, subject->request->method));
}

static enum sp_match match_status(const struct sp_cond *cond, struct sp_subject *subject)
{
    for (size_t i = 0; i < cond->n_numbers; i++)
        if (subject->head->status_code == cond->numbers[i])
            return SP_MATCH_YES;
    return SP_MATCH_NO;
}

static enum sp_match match_version(const struct sp_cond *cond, struct sp_subject *subject)
{
    return sp_cond_run_pattern(cond, subject->head->version);
}

static enum sp_match match_path(const struct sp_cond *cond, struct sp_subject *subject)
{
    return subject->request ? sp_cond_run_pattern(cond, subject->request->path) : SP_MATCH_NO;
}

static enum sp_match match_host(const struct sp_cond *cond, struct sp_subject *subject)
{
    return subject->request ? sp_cond_run_pattern(cond, subject->request->host) : SP_MATCH_NO;
}

/* The port that an authority without one means; empty when nothing says. */
static struct sp_str default_port(const struct sp_message *request)
{
    if (request->is_connect || sp_str_equal_nocase(request->scheme, SP_STR("https")))
        return SP_STR("443");
    return sp_str_equal_nocase(request->scheme, SP_STR("http")) ? SP_STR("80") : SP_STR("");
}

/* "host:port" in one form whatever the client wrote: no trailing dot, no zeros before the port, the port always there. Else
 * "vpn.example.:443" and "vpn.example:0443" would reach what a rule on "vpn.example:443" refuses. */
struct sp_str sp_subject_authority(struct sp_subject *subject)
{
    const struct sp_message *request = subject->request;
    if (subject->has_authority)
        return subject->authority;
    subject->has_authority = true;
    subject->authority = request->authority;

    struct sp_str port = request->port;
    while (port.n > 1 && port.p[0] == '0') {
        port.p++;
        port.n--;
    }
    if (port.n == 0)
        port = default_port(request);
    bool is_literal = request->host.n > 0 && memchr(request->host.p, ':', request->host.n) != NULL;
    if (request->host.n == 0 || port.n == 0 || request->host.n + port.n + sizeof("[]:") > SP_AUTHORITY_MAX)
        return subject->authority;
    int n = snprintf(subject->authority_bytes, SP_AUTHORITY_MAX, "%s%.*s%s:%.*s", is_literal ? "[" : "", (int) request->host.n,
        request->host.p, is_literal ? "]" : "", (int) port.n, port.p);
    SP_ASSERT(n > 0 && n < SP_AUTHORITY_MAX);
    subject->authority = (struct sp_str){ subject->authority_bytes, (size_t) n };
    return subject->authority;
}

static enum sp_match match_authority(const struct sp_cond *cond, struct sp_subject *subject)
{
    return subject->request ? sp_cond_run_pattern(cond, sp_subject_authority(subject)) : SP_MATCH_NO;
}

/* --- fields ---------------------------------------------------------------------------------------------------------- */

const struct sp_field *sp_cond_next_field(const struct sp_cond *cond, const struct sp_message *head, size_t *pos)
{
    struct sp_str name = sp_str_from(cond->field);
    if (!cond->is_prefix)
        return sp_message_next(head, name, pos);
    while (*pos < head->n_fields) {
        const struct sp_field *field = &head->fields[(*pos)++];
        if (sp_str_starts_nocase(field->name, name))
            return field;
    }
    return NULL;
}

static enum sp_match match_present(const struct sp_cond *cond, struct sp_subject *subject)
{
    size_t pos = 0;
    return yes_if((sp_cond_next_field(cond, subject->head, &pos) != NULL) == cond->is_wanted);
}

/* A folded value as a receiver joins it: each line end with the blanks around it is one blank (RFC 9112 5.2). */
static enum sp_match match_unfolded(const struct sp_cond *cond, struct sp_str value)
{
    char *joined = malloc(value.n);
    if (!joined)
        return SP_MATCH_LIMIT;
    size_t n = 0;
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c != '\n') {
            joined[n++] = c;
            continue;
        }
        while (n > 0 && (joined[n - 1] == ' ' || joined[n - 1] == '\t' || joined[n - 1] == '\r'))
            n--;
        joined[n++] = ' ';
        while (i + 1 < value.n && (value.p[i + 1] == ' ' || value.p[i + 1] == '\t'))
            i++;
    }
    enum sp_match match = sp_cond_run_pattern(cond, (struct sp_str){ joined, n });
    free(joined);
    return match;
}

static enum sp_match match_value(const struct sp_cond *cond, struct sp_subject *subject)
{
    enum sp_match result = SP_MATCH_NO;
    size_t pos = 0;
    const struct sp_field *field;
    while ((field = sp_cond_next_field(cond, subject->head, &pos)) != NULL) {
        struct sp_str value = field->value;
        enum sp_match match = sp_cond_run_pattern(cond, value);
        if (match == SP_MATCH_NO && value.n > 0 && memchr(value.p, '\n', value.n))
            match = match_unfolded(cond, value);
        if (match == SP_MATCH_YES)
            return match;
        if (match == SP_MATCH_LIMIT)
            result = match;
    }
    return result;
}

/* --- body ------------------------------------------------------------------------------------------------------------ */

static enum sp_match match_body(const struct sp_cond *cond, struct sp_subject *subject)
{
    struct sp_str body = subject->in->body;
    if (!subject->in->is_body_known)
        return SP_MATCH_UNKNOWN;
    if (body.n > SP_POLICY_BODY_BYTES)
        body.n = SP_POLICY_BODY_BYTES;
    return sp_cond_run_pattern(cond, body);
}

/* --- table ----------------------------------------------------------------------------------------------------------- */

#define CONNECT_STAGE (1u << SP_STAGE_CONNECT)
#define BODY_STAGES ((1u << SP_STAGE_REQUEST) | RESPONSE_STAGE)

static const struct sp_predicate predicates[] = {
    { "method", SP_SCOPE_RULE, SP_ARG_WORDS, ANY_STAGE, match_method },
    { "status", SP_SCOPE_RULE, SP_ARG_NUMBERS, RESPONSE_STAGE, match_status },
    { "user", SP_SCOPE_RULE, SP_ARG_WORDS, ANY_STAGE, match_user },
    { "client", SP_SCOPE_RULE, SP_ARG_NETWORKS, ANY_STAGE, match_client },
    { "present", SP_SCOPE_FIELD, SP_ARG_BOOL, ANY_STAGE, match_present },
    { "not_fake", SP_SCOPE_RULE, SP_ARG_TRUE, CONNECT_STAGE, match_not_fake },
    { "version", SP_SCOPE_RULE, SP_ARG_PATTERN, ANY_STAGE, match_version },
    { "host", SP_SCOPE_RULE, SP_ARG_PATTERN, ANY_STAGE, match_host },
    { "authority", SP_SCOPE_RULE, SP_ARG_PATTERN, ANY_STAGE, match_authority },
    { "sni_differs", SP_SCOPE_RULE, SP_ARG_TRUE, ANY_STAGE, match_sni_differs },
    { "path", SP_SCOPE_RULE, SP_ARG_PATTERN, ANY_STAGE, match_path },
    { "value", SP_SCOPE_FIELD, SP_ARG_PATTERN, ANY_STAGE, match_value },
    { "jwt", SP_SCOPE_FIELD, SP_ARG_PATTERN, ANY_STAGE, sp_match_jwt },
    { "body", SP_SCOPE_RULE, SP_ARG_PATTERN, BODY_STAGES, match_body },
};

const struct sp_predicate *sp_predicate_find(enum sp_scope scope, const char *key)
{
    for (size_t i = 0; i < sizeof(predicates) / sizeof(predicates[0]); i++)
        if (predicates[i].scope == scope && strcmp(predicates[i].key, key) == 0)
            return &predicates[i];
    return NULL;
}

/* --- rules ----------------------------------------------------------------------------------------------------------- */

static struct sp_str listed_part(const struct sp_domains *domains, const struct sp_named *named)
{
    size_t at;
    if (named->keys.n == 0 || !sp_domains_find(domains, &named->keys, &at))
        return SP_STR("");
    size_t start = named->keys.starts[at];
    return (struct sp_str){ named->host.bytes + start, named->host.n - start };
}

struct sp_str sp_list_match(const struct sp_compiled *rule, struct sp_subject *subject)
{
    struct sp_str part = listed_part(rule->domains, sp_subject_target(subject));
    return part.n > 0 || subject->in->sni.n == 0 ? part : listed_part(rule->domains, sp_subject_sni(subject));
}

/* What a log line cannot tell: neither presence nor absence. */
static bool is_hidden(const struct sp_cond *cond, const struct sp_subject *subject)
{
    sp_predicate_fn matches = cond->predicate->matches;
    return subject->in->is_from_log && (cond->field || matches == match_version || matches == match_not_fake);
}

enum sp_match sp_rule_match(const struct sp_compiled *rule, struct sp_subject *subject)
{
    if (!subject->head)
        return SP_MATCH_NO;
    if (rule->domains)
        return yes_if(sp_list_match(rule, subject).n > 0);
    enum sp_match result = SP_MATCH_YES;
    for (size_t i = 0; i < rule->n_conds; i++) {
        const struct sp_cond *cond = &rule->conds[i];
        enum sp_match match = is_hidden(cond, subject) ? SP_MATCH_NO : cond->predicate->matches(cond, subject);
        if (match == SP_MATCH_NO)
            return SP_MATCH_NO; /* certain, whatever was not before */
        if (match != SP_MATCH_YES && result != SP_MATCH_UNKNOWN)
            result = match;
    }
    return result;
}
