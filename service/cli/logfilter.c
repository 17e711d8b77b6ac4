/* Which lines of the decision log are wanted. All that is asked for must hold. */
#include "config.h"

#include "logview.h"

#include "sallyport/declog.h"

#include <stdio.h>
#include <string.h>

#define FIELD_MAX_BYTES 65536

bool sp_log_find(const struct sp_cli_options *options, struct sp_conf **conf_out, const char **path_out)
{
    struct sp_error err = { 0 };
    *path_out = options->values[SP_CLI_LOG];
    enum sp_status status = sp_conf_load(options->config, &err, NULL, conf_out);
    if (*path_out)
        return true;
    if (status != SP_OK) {
        sp_cli_fail("%s", err.text);
        return false;
    }
    *path_out = (*conf_out)->log_file;
    if ((*conf_out)->log_to != SP_LOG_TO_FILE) {
        sp_cli_fail("decisions go to %s and not to a file: journalctl -t sallyport, or name a file with --log",
            (*conf_out)->log_to == SP_LOG_TO_SYSLOG ? "syslog" : "the journal");
        return false;
    }
    if (**path_out == '\0') {
        sp_cli_fail("log.file is empty, so no decision is logged");
        return false;
    }
    return true;
}

bool sp_log_is_hashed(const struct sp_cli_options *options, const struct sp_conf *conf)
{
    return conf && conf->log_hash_key[0] && !options->values[SP_CLI_LOG];
}

/* --- what is wanted ---------------------------------------------------------------------------------------------------- */

static unsigned outcome_bit(struct sp_str name)
{
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++)
        if (sp_str_equal(name, sp_str_from(sp_outcome_name((enum sp_outcome) i))))
            return 1u << i;
    return 0;
}

static unsigned action_bit(struct sp_str name)
{
    for (unsigned i = 0; i <= SP_ACTION_NONE; i++)
        if (sp_str_equal(name, sp_str_from(sp_action_name((enum sp_action) i))))
            return 1u << i;
    return 0;
}

/* "a,b": the bits of all names. 0: told on stderr. */
static unsigned read_names(const char *what, const char *names, unsigned (*bit_of)(struct sp_str))
{
    unsigned bits = 0;
    for (const char *p = names;; p++) {
        size_t n = strcspn(p, ",");
        unsigned bit = bit_of((struct sp_str){ p, n });
        if (bit == 0) {
            sp_cli_fail("there is no %s \"%.*s\"", what, (int) n, p);
            return 0;
        }
        bits |= bit;
        p += n;
        if (*p == '\0')
            return bits;
    }
}

static struct sp_str hashed(const struct sp_conf *conf, struct sp_str text, char out[32])
{
    if (!conf || !conf->log_hash_key[0] || text.n == 0)
        return text;
    char pseudonym[SP_DECLOG_PSEUDONYM_SIZE];
    if (!sp_declog_pseudonym(conf->log_hash_key, text, pseudonym))
        return text;
    snprintf(out, 32, "%s", pseudonym);
    return sp_str_from(out);
}

bool sp_log_filter_init(const struct sp_cli_options *options, const struct sp_conf *conf, struct sp_log_filter *out)
{
    const char *const *values = options->values;
    *out = (struct sp_log_filter){ .client = sp_str_from(values[SP_CLI_CLIENT]),
        .user = sp_str_from(values[SP_CLI_USER]),
        .rule = sp_str_from(values[SP_CLI_RULE]) };
    if (values[SP_CLI_OUTCOME] && !(out->outcomes = read_names("outcome", values[SP_CLI_OUTCOME], outcome_bit)))
        return false;
    if (values[SP_CLI_ACTION] && !(out->actions = read_names("action", values[SP_CLI_ACTION], action_bit)))
        return false;
    if (values[SP_CLI_BLOCKED])
        out->actions |= 1u << SP_ACTION_BLOCK;
    if (values[SP_CLI_HOST]) {
        out->has_host = true;
        sp_host_normalise(sp_str_from(values[SP_CLI_HOST]), &out->host);
        if (out->host.n == 0) {
            sp_cli_fail("\"%s\" is no host", values[SP_CLI_HOST]);
            return false;
        }
    }
    out->has_network = out->client.n > 0 && !sp_network_parse(out->client, &out->network);
    if (out->has_network && memchr(out->client.p, '/', out->client.n) && sp_log_is_hashed(options, conf)) {
        sp_cli_fail("--client takes one address and no network: with log.hash_key the log has pseudonyms");
        return false;
    }
    out->client = hashed(conf, out->client, out->hashed_client);
    out->user = hashed(conf, out->user, out->hashed_user);
    return true;
}

/* --- which lines have it ------------------------------------------------------------------------------------------------ */

struct sp_str sp_log_host(struct sp_str raw_url)
{
    static const char ends[] = "/?#\\"; /* a backslash begins an escape, and no host has one */
    const char *scheme = memmem(raw_url.p, raw_url.n, "://", 3);
    if (scheme && !memchr(raw_url.p, '/', (size_t) (scheme - raw_url.p))) {
        raw_url.n -= (size_t) (scheme + 3 - raw_url.p);
        raw_url.p = scheme + 3;
    }
    size_t n = 0;
    while (n < raw_url.n && !memchr(ends, raw_url.p[n], sizeof(ends) - 1))
        n++;
    struct sp_str host = { raw_url.p, n };
    const char *at = memrchr(host.p, '@', host.n);
    if (at) {
        host.n -= (size_t) (at + 1 - host.p);
        host.p = at + 1;
    }
    const char *colon = memrchr(host.p, ':', host.n), *bracket = memrchr(host.p, ']', host.n);
    if (colon && (!bracket || colon > bracket))
        host.n = (size_t) (colon - host.p);
    return host;
}

static bool is_text(struct sp_str raw, struct sp_str wanted)
{
    if (!memchr(raw.p, '\\', raw.n))
        return sp_str_equal_nocase(raw, wanted);
    struct sp_buf text;
    sp_buf_init(&text, FIELD_MAX_BYTES);
    bool is = sp_decline_text(raw, &text) == SP_OK && sp_str_equal_nocase((struct sp_str){ text.p, text.n }, wanted);
    sp_buf_fini(&text);
    return is;
}

static bool is_host(const struct sp_log_filter *filter, struct sp_str raw_url)
{
    struct sp_host host;
    sp_host_normalise(sp_log_host(raw_url), &host);
    const struct sp_host *wanted = &filter->host;
    if (host.n < wanted->n || memcmp(host.bytes + host.n - wanted->n, wanted->bytes, wanted->n) != 0)
        return false;
    return host.n == wanted->n || (!wanted->is_address && host.bytes[host.n - wanted->n - 1] == '.');
}

static bool is_client(const struct sp_log_filter *filter, struct sp_str raw)
{
    struct sp_netaddr address;
    if (filter->has_network && sp_netaddr_parse(raw, &address))
        return sp_network_holds(&filter->network, &address);
    return is_text(raw, filter->client);
}

bool sp_log_filter_takes(const struct sp_log_filter *filter, const struct sp_decline *line)
{
    if (filter->outcomes && (line->outcome == SP_OUTCOME_COUNT || !(filter->outcomes & 1u << line->outcome)))
        return false;
    if (filter->actions && (!line->has_action || !(filter->actions & 1u << line->action)))
        return false;
    if (filter->rule.n > 0 && !is_text(line->rule, filter->rule))
        return false;
    if (filter->user.n > 0 && !is_text(line->user, filter->user))
        return false;
    if (filter->client.n > 0 && !is_client(filter, line->client))
        return false;
    return !filter->has_host || is_host(filter, line->url);
}
