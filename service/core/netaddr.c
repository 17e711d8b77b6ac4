/* Addresses by the C library's inet_pton and inet_aton, behind checks of what these would read too generously.
 *
 * A host is written by whoever asks for it, and resolvers still read "0x7f.1" as an address. So an address that a rule names must be
 * found in every spelling that reaches it. */
#include "config.h"

#include "sallyport/netaddr.h"

#include <arpa/inet.h>
#include <string.h>

#define TEXT_SIZE 64 /* longer than the longest form of an address */
#define ZONE_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define V4_PREFIX_BYTES 12
#define V4_PREFIX_BITS 96
#define ALL_BITS 128

static const unsigned char v4_prefix[V4_PREFIX_BYTES] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

/* A terminated copy; false if it does not fit or holds a NUL byte. */
static bool copy_text(struct sp_str text, char out[TEXT_SIZE])
{
    if (text.n == 0 || text.n >= TEXT_SIZE || memchr(text.p, '\0', text.n))
        return false;
    memcpy(out, text.p, text.n);
    out[text.n] = '\0';
    return true;
}

static void set_v4(const struct in_addr *v4, struct sp_netaddr *address_out)
{
    memcpy(address_out->bytes, v4_prefix, sizeof(v4_prefix));
    memcpy(address_out->bytes + V4_PREFIX_BYTES, v4, sizeof(*v4));
}

bool sp_netaddr_parse(struct sp_str text, struct sp_netaddr *address_out)
{
    char copy[TEXT_SIZE];
    if (text.n > 2 && text.p[0] == '[' && text.p[text.n - 1] == ']')
        text = (struct sp_str){ text.p + 1, text.n - 2 };
    if (!copy_text(text, copy))
        return false;
    if (!strchr(copy, ':')) {
        struct in_addr v4;
        if (inet_pton(AF_INET, copy, &v4) != 1)
            return false;
        set_v4(&v4, address_out);
        return true;
    }
    char *zone = strchr(copy, '%');
    if (zone && (zone[1] == '\0' || zone[1 + strspn(zone + 1, ZONE_BYTES)] != '\0'))
        return false;
    if (zone)
        *zone = '\0';
    return inet_pton(AF_INET6, copy, address_out->bytes) == 1;
}

bool sp_netaddr_is_v4(const struct sp_netaddr *address)
{
    return memcmp(address->bytes, v4_prefix, sizeof(v4_prefix)) == 0;
}

/* --- networks -------------------------------------------------------------------------------------------------------- */

static bool holds(const struct sp_network *network, const struct sp_netaddr *address)
{
    size_t whole = network->bits / 8;
    if (memcmp(network->base.bytes, address->bytes, whole) != 0)
        return false;
    unsigned rest = network->bits % 8;
    return rest == 0 || ((network->base.bytes[whole] ^ address->bytes[whole]) >> (8 - rest)) == 0;
}

/* Digits only; false past 128. */
static bool parse_bits(struct sp_str text, unsigned *bits_out)
{
    unsigned bits = 0;
    if (text.n == 0 || text.n > 3)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        bits = bits * 10 + (unsigned) (text.p[i] - '0');
    }
    *bits_out = bits;
    return bits <= ALL_BITS;
}

static bool has_bits_behind(const struct sp_network *network)
{
    struct sp_netaddr masked = network->base;
    for (unsigned bit = network->bits; bit < ALL_BITS; bit++)
        masked.bytes[bit / 8] &= (unsigned char) ~(0x80u >> (bit % 8));
    return memcmp(&masked, &network->base, sizeof(masked)) != 0;
}

const char *sp_network_parse(struct sp_str text, struct sp_network *network_out)
{
    const char *slash = text.n > 0 ? memchr(text.p, '/', text.n) : NULL;
    struct sp_str address = { text.p, slash ? (size_t) (slash - text.p) : text.n };
    if (!sp_netaddr_parse(address, &network_out->base))
        return "is not an address or a network such as 10.1.0.0/16";
    bool is_v4 = sp_netaddr_is_v4(&network_out->base) && !memchr(address.p, ':', address.n);
    network_out->bits = ALL_BITS;
    if (!slash)
        return NULL;
    struct sp_str bits = { slash + 1, text.n - address.n - 1 };
    if (!parse_bits(bits, &network_out->bits) || (is_v4 && network_out->bits > ALL_BITS - V4_PREFIX_BITS))
        return is_v4 ? "has no prefix length from 0 to 32 behind the /" : "has no prefix length from 0 to 128 behind the /";
    if (is_v4)
        network_out->bits += V4_PREFIX_BITS;
    return has_bits_behind(network_out) ? "has bits set behind its prefix: write the first address of the network" : NULL;
}

bool sp_network_holds(const struct sp_network *network, const struct sp_netaddr *address)
{
    bool is_v4 = network->bits >= V4_PREFIX_BITS && sp_netaddr_is_v4(&network->base);
    return is_v4 == sp_netaddr_is_v4(address) && holds(network, address);
}

/* --- hosts ----------------------------------------------------------------------------------------------------------- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c + ('a' - 'A')) : c;
}

/* Whether resolvers may take it for an IPv4 address: its last label begins with a digit, and no letter is in it but of hexadecimal
 * numbers. */
static bool looks_v4(const struct sp_host *host)
{
    const char *dot = memrchr(host->bytes, '.', host->n);
    char first = dot ? dot[1] : host->bytes[0];
    return first >= '0' && first <= '9' && host->bytes[strspn(host->bytes, "0123456789abcdefx.")] == '\0';
}

static bool parse_any(const struct sp_host *host, struct sp_netaddr *address_out)
{
    struct sp_str text = { host->bytes, host->n };
    struct in_addr v4;
    if (memchr(text.p, ':', text.n))
        return sp_netaddr_parse(text, address_out);
    if (!looks_v4(host) || inet_aton(host->bytes, &v4) == 0)
        return false;
    set_v4(&v4, address_out);
    return true;
}

void sp_host_normalise(struct sp_str text, struct sp_host *host_out)
{
    host_out->n = 0;
    host_out->is_address = false;
    host_out->bytes[0] = '\0';
    while (text.n > 0 && text.p[text.n - 1] == '.')
        text.n--;
    if (text.n == 0 || text.n > SP_HOST_MAX || memchr(text.p, '\0', text.n))
        return;
    for (size_t i = 0; i < text.n; i++)
        host_out->bytes[i] = lower(text.p[i]);
    host_out->bytes[text.n] = '\0';
    host_out->n = text.n;

    struct sp_netaddr address;
    if (!parse_any(host_out, &address))
        return;
    bool is_v4 = sp_netaddr_is_v4(&address);
    const void *from = is_v4 ? address.bytes + V4_PREFIX_BYTES : address.bytes;
    host_out->is_address = inet_ntop(is_v4 ? AF_INET : AF_INET6, from, host_out->bytes, sizeof(host_out->bytes)) != NULL;
    host_out->n = strlen(host_out->bytes);
}
