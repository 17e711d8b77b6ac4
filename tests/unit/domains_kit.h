/* For the tests of lists of domains: lists from text, hosts looked up. */
#ifndef SALLYPORT_TESTS_DOMAINS_KIT_H
#define SALLYPORT_TESTS_DOMAINS_KIT_H

#include "unit.h"

#include "sallyport/domains.h"

#include <stdio.h>

#define add_table(tc, test, table) tcase_add_loop_test(tc, test, 0, (int) (sizeof(table) / sizeof((table)[0])))

/* What of the host is listed; "" for nothing. */
static inline const char *listed(const struct sp_domains *domains, const char *text, struct sp_host *host)
{
    struct sp_domain_keys keys;
    size_t at;
    sp_host_normalise(sp_str_from(text), host);
    sp_domain_keys_init(host, &keys);
    return sp_domains_find(domains, &keys, &at) ? host->bytes + keys.starts[at] : "";
}

static inline bool has(const struct sp_domains *domains, const char *text)
{
    struct sp_host host;
    return listed(domains, text, &host)[0] != '\0';
}

#endif
