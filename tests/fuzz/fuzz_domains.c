/* Any bytes as a list of domains: read or refused; and what was read is found again, with all that is below it. The lines are asked for
 * as hosts too, as they stand. */
#include "config.h"

#include "fuzz_kit.h"

#include "sallyport/domains.h"

#include <string.h>

static bool has(const struct sp_domains *domains, const struct sp_host *host)
{
    struct sp_domain_keys keys;
    size_t at = 0;
    sp_domain_keys_init(host, &keys);
    require(keys.n <= SP_DOMAIN_MAX_LABELS && (keys.n > 0 || host->n == 0));
    bool is_found = sp_domains_find(domains, &keys, &at);
    require(!is_found || (at < keys.n && keys.starts[at] < host->n));
    return is_found;
}

/* A line that is one name must be found if it is one, and so must a name below it. */
static void look_up(const struct sp_domains *domains, struct sp_str line, bool is_list)
{
    struct sp_host host;
    sp_host_normalise(line, &host);
    require(host.n <= SP_HOST_MAX && host.bytes[host.n] == '\0');
    struct sp_host again;
    sp_host_normalise((struct sp_str){ host.bytes, host.n }, &again);
    require(again.n == host.n && again.is_address == host.is_address && memcmp(again.bytes, host.bytes, host.n) == 0);
    (void) has(domains, &host);
    if (!is_list || !sp_domain_parse(line, false, &host))
        return;
    require(has(domains, &host));
    if (host.is_address || host.n + 2 > SP_HOST_MAX)
        return;
    memmove(host.bytes + 2, host.bytes, host.n + 1);
    memcpy(host.bytes, "x.", 2);
    host.n += 2;
    require(has(domains, &host));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_domains *domains = NULL;
    struct sp_error err = { 0 };
    struct sp_str text = { (const char *) data, size };
    enum sp_status status = sp_domains_from_text(text, "list", &err, &domains);
    require(status == SP_OK || status == SP_ERR_CONF);
    require((status == SP_OK) == (domains != NULL) && (status == SP_OK) == (err.text[0] == '\0'));
    if (!domains)
        return 0;
    while (text.n > 0) {
        const char *newline = memchr(text.p, '\n', text.n);
        struct sp_str line = { text.p, newline ? (size_t) (newline - text.p) : text.n };
        look_up(domains, line, !memchr(line.p, '#', line.n));
        text.p += line.n + (newline ? 1 : 0);
        text.n -= line.n + (newline ? 1 : 0);
    }
    sp_domains_close(&domains);
    return 0;
}
