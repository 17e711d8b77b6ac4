/* Filters are a table of names; each takes its value. */
#include "config.h"

#include "query.h"

#include <string.h>

#define LIMIT_DEFAULT 100

bool sp_web_number(struct sp_str text, uint64_t max, uint64_t *out)
{
    uint64_t n = 0;
    if (text.n == 0 || text.n > 18)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        n = n * 10 + (uint64_t) (text.p[i] - '0');
    }
    *out = n;
    return n <= max;
}

static bool take_outcome(struct sp_web_filter *filter, struct sp_str value)
{
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++)
        if (sp_str_equal(value, sp_str_from(sp_outcome_name((enum sp_outcome) i)))) {
            filter->outcome = (enum sp_outcome) i;
            return true;
        }
    filter->is_notable = sp_str_equal(value, SP_STR("notable"));
    return filter->is_notable;
}

static bool take_action(struct sp_web_filter *filter, struct sp_str value)
{
    filter->has_action = sp_action_parse(value, &filter->action);
    return filter->has_action;
}

static bool take_limit(struct sp_web_filter *filter, struct sp_str value)
{
    uint64_t n = 0;
    bool is_good = sp_web_number(value, SP_WEB_LIMIT_MAX, &n) && n > 0;
    filter->limit = (unsigned) n;
    return is_good;
}

static bool take_before(struct sp_web_filter *filter, struct sp_str value)
{
    return sp_web_number(value, UINT64_MAX, &filter->before);
}

static bool take_text(struct sp_web_filter *filter, struct sp_str value)
{
    filter->text = value;
    return true;
}

static bool take_host(struct sp_web_filter *filter, struct sp_str value)
{
    filter->host = value;
    return true;
}

static bool take_client(struct sp_web_filter *filter, struct sp_str value)
{
    filter->client = value;
    return true;
}

static bool take_user(struct sp_web_filter *filter, struct sp_str value)
{
    filter->user = value;
    return true;
}

static bool take_rule(struct sp_web_filter *filter, struct sp_str value)
{
    filter->rule = value;
    return true;
}

static const struct taker {
    const char *name;
    bool (*take)(struct sp_web_filter *filter, struct sp_str value);
    const char *fault;
} takers[] = {
    { "q", take_text, "q" },
    { "host", take_host, "host" },
    { "client", take_client, "client" },
    { "user", take_user, "user" },
    { "rule", take_rule, "rule" },
    { "outcome", take_outcome, "there is no such outcome" },
    { "action", take_action, "action is allow, report or block" },
    { "limit", take_limit, "limit is 1 to 500" },
    { "before", take_before, "before is a number" },
};
#define TAKERS (sizeof(takers) / sizeof(takers[0]))

bool sp_web_filter_parse(const struct sp_web_arg *args, size_t n_args, struct sp_web_filter *out, const char **fault_out)
{
    bool is_seen[TAKERS] = { false };
    *out = (struct sp_web_filter){ .outcome = SP_OUTCOME_COUNT, .limit = LIMIT_DEFAULT };
    *fault_out = NULL;
    for (size_t i = 0; i < n_args; i++) {
        size_t t = 0;
        while (t < TAKERS && !sp_str_equal(args[i].name, sp_str_from(takers[t].name)))
            t++;
        if (t == TAKERS)
            *fault_out = "there is no such parameter";
        else if (is_seen[t])
            *fault_out = "a parameter stands twice";
        else if (args[i].value.n > SP_WEB_VALUE_MAX)
            *fault_out = "a value is too long";
        else if (args[i].value.n > 0 && !takers[t].take(out, args[i].value))
            *fault_out = takers[t].fault;
        if (*fault_out)
            return false;
        is_seen[t] = true;
    }
    return true;
}

void sp_web_filter_hash(struct sp_web_filter *filter, const char *hash_key)
{
    if (filter->client.n > 0 && !sp_declog_pseudonym(hash_key, filter->client, filter->client_hashed))
        filter->client_hashed[0] = '\0';
    if (filter->user.n > 0 && !sp_declog_pseudonym(hash_key, filter->user, filter->user_hashed))
        filter->user_hashed[0] = '\0';
}

static bool has(struct sp_str raw, struct sp_str text)
{
    return text.n == 0 || sp_decline_contains(raw, text);
}

static bool has_person(struct sp_str raw, struct sp_str text, const char *hashed)
{
    return has(raw, text) || (hashed[0] != '\0' && sp_str_equal(raw, sp_str_from(hashed)));
}

static bool has_anywhere(const struct sp_web_entry *entry, struct sp_str text)
{
    const struct sp_decline *d = &entry->d;
    const struct sp_str fields[] = { d->url, d->id, d->client, d->user, d->rule, d->signature, d->reason, d->category, d->method };
    if (text.n == 0)
        return true;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (sp_decline_contains(fields[i], text))
            return true;
    return false;
}

bool sp_web_filter_takes(const struct sp_web_filter *filter, const struct sp_web_entry *entry)
{
    const struct sp_decline *d = &entry->d;
    if (filter->before != 0 && entry->number >= filter->before)
        return false;
    if (filter->outcome != SP_OUTCOME_COUNT && d->outcome != filter->outcome)
        return false;
    if (filter->is_notable && (d->outcome == SP_OUTCOME_CLEAN || d->outcome == SP_OUTCOME_NONE))
        return false;
    if (filter->has_action && (!d->has_action || d->action != filter->action))
        return false;
    if (filter->host.n > 0 && !sp_str_contains_nocase(entry->host, filter->host))
        return false;
    return has_person(d->client, filter->client, filter->client_hashed) && has_person(d->user, filter->user, filter->user_hashed) &&
        (has(d->rule, filter->rule) || has(d->category, filter->rule)) && has_anywhere(entry, filter->text);
}
