/* Addresses, networks and names of hosts in one form, so that they can be compared. IPv4 and IPv6; an IPv4-mapped IPv6 address
 * is the IPv4 address in it. Pure functions. */
#ifndef SALLYPORT_NETADDR_H
#define SALLYPORT_NETADDR_H

#include "sallyport/str.h"

struct sp_netaddr {
    unsigned char bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
};

struct sp_network {
    struct sp_netaddr base; /* no bit behind the prefix is set */
    unsigned bits;          /* of all 128: an IPv4 /8 has 104 */
};

/* "10.1.2.3", "2001:db8::1", "[2001:db8::1]", "fe80::1%eth0" (the zone is dropped). */
bool sp_netaddr_parse(struct sp_str text, struct sp_netaddr *address_out);
bool sp_netaddr_is_v4(const struct sp_netaddr *address);

/* "10.1.0.0/16", "2001:db8::/32", or an address alone. NULL, or what is wrong: a text that follows the word in question. */
const char *sp_network_parse(struct sp_str text, struct sp_network *network_out);
/* Never across families: ::/0 holds no IPv4 address. */
bool sp_network_holds(const struct sp_network *network, const struct sp_netaddr *address);

#define SP_HOST_MAX 253 /* bytes of a name, RFC 1035 without the length bytes */

/* A host in its one form: a name in lower case without trailing dots; an address, in whatever form resolvers take (1.2.3.4,
 * 0x01020304, 1.2.772, [::1]), as inet_ntop writes it. */
struct sp_host {
    char bytes[SP_HOST_MAX + 1];
    size_t n; /* 0: empty, or too long to be a name */
    bool is_address;
};
void sp_host_normalise(struct sp_str text, struct sp_host *host_out);

#endif
