/* Addresses, networks and hosts: every form that must be read, every one that must not, and containment against a plain model. */
#include "config.h"

#include "unit.h"

#include "sallyport/netaddr.h"

#include <arpa/inet.h>
#include <stdio.h>

#define add_table(tc, test, table) tcase_add_loop_test(tc, test, 0, (int) (sizeof(table) / sizeof((table)[0])))

static const struct {
    const char *text;
    const char *is; /* as inet_ntop writes it; NULL: refused */
} address_cases[] = {
    { "10.1.2.3", "10.1.2.3" },
    { "0.0.0.0", "0.0.0.0" },
    { "255.255.255.255", "255.255.255.255" },
    { "::", "::" },
    { "::1", "::1" },
    { "2001:DB8:0:0::1", "2001:db8::1" },
    { "[2001:db8::1]", "2001:db8::1" },
    { "fe80::1%eth0", "fe80::1" },
    { "::ffff:10.1.2.3", "10.1.2.3" },
    { "::ffff:0a01:0203", "10.1.2.3" },
    { "fe80::1%", NULL },
    { "fe80::1%a b", NULL },
    { "", NULL },
    { "10.1.2", NULL },
    { "10.1.2.3.4", NULL },
    { "10.1.2.256", NULL },
    { "10.1.2.03", NULL },
    { "010.1.2.3", NULL },
    { " 10.1.2.3", NULL },
    { "10.1.2.3 ", NULL },
    { "10.1.2.3%eth0", NULL },
    { "0x0a010203", NULL },
    { "-", NULL },
    { ":::", NULL },
    { "1:2:3:4:5:6:7:8:9", NULL },
    { "[::1", NULL },
    { "host.example", NULL },
    { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:", NULL },
};

static void write_address(const struct sp_netaddr *address, char out[64])
{
    bool is_v4 = sp_netaddr_is_v4(address);
    ck_assert_ptr_nonnull(inet_ntop(is_v4 ? AF_INET : AF_INET6, address->bytes + (is_v4 ? 12 : 0), out, 64));
}

START_TEST(test_address)
{
    struct sp_netaddr address;
    char is[64];
    bool is_read = sp_netaddr_parse(sp_str_from(address_cases[_i].text), &address);
    ck_assert_msg(is_read == (address_cases[_i].is != NULL), "%s", address_cases[_i].text);
    if (!is_read)
        return;
    write_address(&address, is);
    ck_assert_str_eq(is, address_cases[_i].is);
}
END_TEST

START_TEST(test_address_with_nul)
{
    struct sp_netaddr address;
    ck_assert(!sp_netaddr_parse((struct sp_str){ "10.1.2.3\0x", 10 }, &address));
    ck_assert(!sp_netaddr_parse((struct sp_str){ NULL, 0 }, &address));
}
END_TEST

static const struct {
    const char *network;
    const char *address;
    bool holds;
} network_cases[] = {
    { "10.1.0.0/16", "10.1.0.0", true },
    { "10.1.0.0/16", "10.1.255.255", true },
    { "10.1.0.0/16", "10.2.0.0", false },
    { "10.1.0.0/16", "10.0.255.255", false },
    { "10.1.0.0/16", "::ffff:10.1.2.3", true },
    { "::ffff:10.1.0.0/112", "10.1.2.3", true },
    { "10.1.2.3", "10.1.2.3", true },
    { "10.1.2.3", "10.1.2.2", false },
    { "10.1.2.2/31", "10.1.2.3", true },
    { "10.1.2.2/31", "10.1.2.4", false },
    { "0.0.0.0/0", "255.1.2.3", true },
    { "0.0.0.0/0", "::1", false },
    { "::/0", "2001:db8::1", true },
    { "::/0", "10.1.2.3", false },
    { "::/1", "7fff::", true },
    { "::/1", "8000::", false },
    { "2001:db8::/32", "2001:db8:ffff::1", true },
    { "2001:db8::/32", "2001:db9::1", false },
    { "2001:db8::/33", "2001:db8:8000::", false },
    { "2001:db8::1", "2001:db8::1", true },
    { "2001:db8::1", "2001:db8::2", false },
    { "::a01:203", "10.1.2.3", false },
};

START_TEST(test_network)
{
    struct sp_network network;
    struct sp_netaddr address;
    const char *fault = sp_network_parse(sp_str_from(network_cases[_i].network), &network);
    ck_assert_msg(!fault, "%s %s", network_cases[_i].network, fault);
    ck_assert(sp_netaddr_parse(sp_str_from(network_cases[_i].address), &address));
    ck_assert_msg(
        sp_network_holds(&network, &address) == network_cases[_i].holds, "%s in %s", network_cases[_i].address, network_cases[_i].network);
}
END_TEST

static const struct {
    const char *text;
    const char *fault;
} bad_networks[] = {
    { "", "is not an address or a network such as 10.1.0.0/16" },
    { "/8", "is not an address or a network such as 10.1.0.0/16" },
    { "10.0.0/8", "is not an address or a network such as 10.1.0.0/16" },
    { "host/8", "is not an address or a network such as 10.1.0.0/16" },
    { "10.0.0.0/", "has no prefix length from 0 to 32 behind the /" },
    { "10.0.0.0/33", "has no prefix length from 0 to 32 behind the /" },
    { "10.0.0.0/-8", "has no prefix length from 0 to 32 behind the /" },
    { "10.0.0.0/8 ", "has no prefix length from 0 to 32 behind the /" },
    { "10.0.0.0/255.0.0.0", "has no prefix length from 0 to 32 behind the /" },
    { "10.0.0.0/0008", "has no prefix length from 0 to 32 behind the /" },
    { "2001:db8::/129", "has no prefix length from 0 to 128 behind the /" },
    { "10.0.0.1/8", "has bits set behind its prefix: write the first address of the network" },
    { "10.0.0.0/0", "has bits set behind its prefix: write the first address of the network" },
    { "2001:db8::1/64", "has bits set behind its prefix: write the first address of the network" },
};

START_TEST(test_bad_network)
{
    struct sp_network network;
    const char *fault = sp_network_parse(sp_str_from(bad_networks[_i].text), &network);
    ck_assert_msg(fault && strcmp(fault, bad_networks[_i].fault) == 0, "%s: %s", bad_networks[_i].text, fault ? fault : "read");
}
END_TEST

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Each prefix length, bit by bit. */
START_TEST(test_network_model)
{
    unsigned seed = 5;
    for (int round = 0; round < 20000; round++) {
        struct sp_network network = { .bits = next_random(&seed) % 129 };
        struct sp_netaddr address;
        bool is_same = true;
        for (unsigned bit = 0; bit < 128; bit++) {
            unsigned mask = 0x80u >> (bit % 8);
            if (bit % 8 == 0)
                network.base.bytes[bit / 8] = address.bytes[bit / 8] = (unsigned char) next_random(&seed);
            if (bit >= network.bits)
                network.base.bytes[bit / 8] &= (unsigned char) ~mask;
            if (next_random(&seed) % 64 == 0)
                address.bytes[bit / 8] ^= (unsigned char) mask;
            if (bit < network.bits && ((network.base.bytes[bit / 8] ^ address.bytes[bit / 8]) & mask) != 0)
                is_same = false;
        }
        ck_assert_msg(sp_network_holds(&network, &address) == is_same, "round %d, /%u", round, network.bits);
    }
}
END_TEST

static const struct {
    const char *text;
    const char *is;
    bool is_address;
} host_cases[] = {
    { "A.Example", "a.example", false },
    { "a.example.", "a.example", false },
    { "a.example..", "a.example", false },
    { "a", "a", false },
    { ".", "", false },
    { "", "", false },
    { "10.1.2.3", "10.1.2.3", true },
    { "10.1.2.3.", "10.1.2.3", true },
    { "10.1.515", "10.1.2.3", true },
    { "10.66051", "10.1.2.3", true },
    { "167838211", "10.1.2.3", true },
    { "0x0a010203", "10.1.2.3", true },
    { "0XA.1.2.3", "10.1.2.3", true },
    { "012.1.2.3", "10.1.2.3", true },
    { "::ffff:10.1.2.3", "10.1.2.3", true },
    { "2001:DB8::1", "2001:db8::1", true },
    { "[2001:db8::1]", "2001:db8::1", true },
    { "10.1.2.3.example", "10.1.2.3.example", false },
    { "1.2.3.4.5", "1.2.3.4.5", false },
    { "300.1.2.3", "300.1.2.3", false },
    { "dead.beef", "dead.beef", false },
    { "a.0x", "a.0x", false },
    { "xn--bcher-kva.example", "xn--bcher-kva.example", false },
    { "a b", "a b", false },
};

START_TEST(test_host)
{
    struct sp_host host;
    sp_host_normalise(sp_str_from(host_cases[_i].text), &host);
    ck_assert_str_eq(host.bytes, host_cases[_i].is);
    ck_assert_uint_eq(host.n, strlen(host_cases[_i].is));
    ck_assert_int_eq(host.is_address, host_cases[_i].is_address);
}
END_TEST

START_TEST(test_host_bounds)
{
    char text[300];
    struct sp_host host;
    memset(text, 'A', sizeof(text));
    sp_host_normalise((struct sp_str){ text, SP_HOST_MAX }, &host);
    ck_assert_uint_eq(host.n, SP_HOST_MAX);
    sp_host_normalise((struct sp_str){ text, SP_HOST_MAX + 1 }, &host);
    ck_assert_uint_eq(host.n, 0);
    text[3] = '\0';
    sp_host_normalise((struct sp_str){ text, 10 }, &host);
    ck_assert_uint_eq(host.n, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("netaddr");
    add_table(tc, test_address, address_cases);
    add_table(tc, test_network, network_cases);
    add_table(tc, test_bad_network, bad_networks);
    add_table(tc, test_host, host_cases);
    tcase_add_test(tc, test_address_with_nul);
    tcase_add_test(tc, test_network_model);
    tcase_add_test(tc, test_host_bounds);
    return unit_run("netaddr", tc);
}
