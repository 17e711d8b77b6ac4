/* Lists of domains: what a line may be, and what is found, against a model too. The file that processes share is test_domains_cache.c. */
#include "config.h"

#include "domains_kit.h"

static struct sp_domains *from_text(const char *text)
{
    struct sp_domains *domains = NULL;
    struct sp_error err = { 0 };
    ck_assert_msg(sp_domains_from_text(sp_str_from(text), "list", &err, &domains) == SP_OK, "%s", err.text);
    return domains;
}

/* --- lines ----------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    const char *host;
    const char *listed; /* "" for not */
} line_cases[] = {
    { "bad.example", "bad.example", "bad.example" },
    { "bad.example", "www.bad.example", "bad.example" },
    { "bad.example", "a.b.c.bad.example", "bad.example" },
    { "bad.example", "BAD.Example.", "bad.example" },
    { "bad.example", "notbad.example", "" },
    { "bad.example", "bad.example.org", "" },
    { "bad.example", "example", "" },
    { "bad.example", "ad.example", "" },
    { "bad.example", "", "" },
    { "bad.example", ".bad.example", "bad.example" },
    { "www.bad.example", "bad.example", "" },
    { "www.bad.example\nbad.example", "x.www.bad.example", "bad.example" },
    { "BAD.Example", "bad.example", "bad.example" },
    { "bad.example.", "bad.example", "bad.example" },
    { "*.bad.example", "bad.example", "bad.example" },
    { ".bad.example", "x.bad.example", "bad.example" },
    { "  bad.example\t", "bad.example", "bad.example" },
    { "bad.example\r\ngood.example\r\n", "bad.example", "bad.example" },
    { "\xef\xbb\xbf"
      "bad.example\n",
        "bad.example", "bad.example" },
    { "# bad.example\n", "bad.example", "" },
    { "bad.example # because", "bad.example", "bad.example" },
    { "\n\n \r\n#\nbad.example", "bad.example", "bad.example" },
    { "0.0.0.0 bad.example", "x.bad.example", "bad.example" },
    { "127.0.0.1\tbad.example # why", "bad.example", "bad.example" },
    { "::1 bad.example", "bad.example", "bad.example" },
    { "0.0.0.0 a.example b.example", "b.example", "b.example" },
    { "127.0.0.1 localhost\n127.0.0.1 localhost.localdomain", "localhost", "" },
    { "0.0.0.0 0.0.0.0\n::1 ip6-localhost ip6-loopback", "0.0.0.0", "" },
    { "fe80::1%lo0 localhost\n255.255.255.255 broadcasthost\nff02::1 ip6-allnodes", "localhost", "" },
    { "xn--bcher-kva.example", "xn--bcher-kva.example", "xn--bcher-kva.example" },
    { "a_b.example", "a_b.example", "a_b.example" },
    { "*.zip", "evil.zip", "zip" },
    { ".onion", "onion", "onion" },
    { "192.0.2.7", "192.0.2.7", "192.0.2.7" },
    { "192.0.2.7", "0xc0000207", "192.0.2.7" },
    { "192.0.2.7", "3221225991", "192.0.2.7" },
    { "192.0.2.7", "::ffff:192.0.2.7", "192.0.2.7" },
    { "192.0.2.7", "192.0.2.70", "" },
    { "2001:DB8::0:1", "2001:db8::1", "2001:db8::1" },
    { "2001:db8::1", "2001:db8::2", "" },
    { "bad.example", "2.bad.example", "bad.example" },
    { "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.1.2.3.4.5.zz",
        "q.a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.1.2.3.4.5.zz",
        "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.1.2.3.4.5.zz" },
    { "", "bad.example", "" },
};

START_TEST(test_line)
{
    struct sp_domains *domains = from_text(line_cases[_i].text);
    struct sp_host host;
    ck_assert_str_eq(listed(domains, line_cases[_i].host, &host), line_cases[_i].listed);
    ck_assert_uint_eq(sp_domains_bad_lines(domains), 0);
    ck_assert(!sp_domains_is_shared(domains));
    ck_assert_int_eq(sp_domains_note(domains)[0] != '\0', sp_domains_count(domains) == 0);
    sp_domains_close(&domains);
    sp_domains_close(&domains);
}
END_TEST

static const char *const bad_lines[] = {
    "com",
    "localhost",
    "<html>",
    "||bad.example^",
    "http://bad.example/",
    "bad.example/path",
    "bad.example:443",
    "bad..example",
    ".",
    "*.",
    "*",
    "..bad.example",
    "*bad.example",
    "bad.*.example",
    "bad example words",
    "bad.example other.example",
    "10.0.0.0/8",
    "10.0.0.1 bad.example",
    "1.2.3.400",
    "1.2.3.4.5",
    "b\xc3\xbc"
    "cher.example",
    ".192.0.2.7",
    "0.0.0.0 bad.example http://x.y",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example",
    "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.aa",
};

START_TEST(test_bad_line)
{
    struct sp_error err = { 0 };
    struct sp_domains *domains = NULL;
    char text[2000];
    snprintf(text, sizeof(text), "good.example\n\n%s\n", bad_lines[_i]);
    ck_assert_msg(sp_domains_from_text(sp_str_from(text), "list", &err, &domains) == SP_ERR_CONF, "%s", bad_lines[_i]);
    ck_assert_ptr_null(domains);
    ck_assert_msg(strncmp(err.text, "list:3: \"", 9) == 0 && strstr(err.text, "1 of 2 lines"), "%s", err.text);
}
END_TEST

/* One line in a hundred may be bad; no line may be long. */
START_TEST(test_share_of_bad_lines)
{
    char text[16384];
    for (int n_good = 98; n_good <= 299; n_good++) {
        size_t n = 0;
        for (int i = 0; i < n_good; i++)
            n += (size_t) snprintf(text + n, sizeof(text) - n, "host%d.example\n", i);
        n += (size_t) snprintf(text + n, sizeof(text) - n, "not a domain\n");
        if (n_good > 200)
            snprintf(text + n, sizeof(text) - n, "%s", "%%%\n");
        struct sp_error err = { 0 };
        struct sp_domains *domains = NULL;
        enum sp_status status = sp_domains_from_text(sp_str_from(text), "list", &err, &domains);
        int n_bad = n_good > 200 ? 2 : 1;
        ck_assert_int_eq(status == SP_OK, (n_good + n_bad) / 100 >= n_bad);
        if (status == SP_OK)
            ck_assert_uint_eq(sp_domains_bad_lines(domains), n_bad);
        sp_domains_close(&domains);
    }
}
END_TEST

START_TEST(test_long_line)
{
    char text[1200];
    struct sp_error err = { 0 };
    struct sp_domains *domains = NULL;
    memset(text, '#', sizeof(text));
    memcpy(text, "a.example\n", 10);
    ck_assert_int_eq(sp_domains_from_text((struct sp_str){ text, 10 + 1024 }, "list", &err, &domains), SP_OK);
    sp_domains_close(&domains);
    ck_assert_int_eq(sp_domains_from_text((struct sp_str){ text, 10 + 1025 }, "list", &err, &domains), SP_ERR_CONF);
    ck_assert_str_eq(err.text, "list:2: a line of more than 1024 bytes: this is not a list of domains");
}
END_TEST

START_TEST(test_count_and_digest)
{
    struct sp_domains *one = from_text("a.example\nb.example\nA.example.\n0.0.0.0 b.example c.example\n");
    struct sp_domains *other = from_text("a.example\nb.example\n");
    ck_assert_uint_eq(sp_domains_count(one), 3);
    ck_assert_uint_eq(sp_domains_count(other), 2);
    ck_assert(sp_domains_digest(one) != sp_domains_digest(other));
    sp_domains_close(&one);
    sp_domains_close(&other);
}
END_TEST

/* --- against a model ------------------------------------------------------------------------------------------------- */

#define MODEL_ROUNDS 60
#define MODEL_LOOKUPS 17000
#define MODEL_LABELS 5 /* names of up to five labels out of three, under two roots */

static unsigned next_random(unsigned *state, unsigned below)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % below;
}

/* A name as a number: digits 1..3 are labels, the last digit the root. Its parent is the number without the first digit. */
struct model_name {
    int n;
    unsigned digits[MODEL_LABELS];
};

static unsigned model_number(const struct model_name *name, int from)
{
    unsigned number = 0;
    for (int i = from; i < name->n; i++)
        number = number * 4 + name->digits[i] + 1;
    return number;
}

static void model_write(const struct model_name *name, char out[64])
{
    static const char *const labels[] = { "a", "bb", "a-b" };
    static const char *const roots[] = { "x.example", "yz", "a" };
    size_t n = 0;
    for (int i = 0; i < name->n; i++)
        n += (size_t) snprintf(
            out + n, 64 - n, "%s%s", i > 0 ? "." : "", i == name->n - 1 ? roots[name->digits[i]] : labels[name->digits[i]]);
}

static void model_pick(struct model_name *name, unsigned *seed)
{
    name->n = 2 + (int) next_random(seed, MODEL_LABELS - 1);
    for (int i = 0; i < name->n; i++)
        name->digits[i] = next_random(seed, 3);
}

START_TEST(test_model)
{
    unsigned seed = 11;
    static bool set[4 * 4 * 4 * 4 * 4 * 4];
    static char text[20000];
    for (int round = 0; round < MODEL_ROUNDS; round++) {
        size_t n = 0;
        struct model_name name;
        char written[64];
        memset(set, 0, sizeof(set));
        text[0] = '\0';
        for (unsigned i = next_random(&seed, 120); i > 0; i--) {
            model_pick(&name, &seed);
            model_write(&name, written);
            set[model_number(&name, 0)] = true;
            n += (size_t) snprintf(text + n, sizeof(text) - n, "%s\n", written);
        }
        struct sp_domains *domains = from_text(text);
        for (int i = 0; i < MODEL_LOOKUPS; i++) {
            model_pick(&name, &seed);
            model_write(&name, written);
            bool want = false;
            for (int from = 0; from < name.n; from++)
                want = want || set[model_number(&name, from)];
            ck_assert_msg(has(domains, written) == want, "round %d: %s", round, written);
        }
        sp_domains_close(&domains);
    }
}
END_TEST

START_TEST(test_hostile_hosts)
{
    struct sp_domains *domains = from_text("a.a\nbad.example\n");
    char text[70000];
    for (size_t n = 1; n < 300; n++) { /* a.a.a.a... */
        for (size_t i = 0; i < n; i++)
            text[i] = i % 2 == 0 ? 'a' : '.';
        text[n] = '\0';
        ck_assert_int_eq(has(domains, text), n >= 3 && n <= 254);
    }
    memset(text, '.', 300);
    text[300] = '\0';
    ck_assert(!has(domains, text));
    memset(text, 'a', sizeof(text));
    memcpy(text + sizeof(text) - 13, ".bad.example", 13);
    ck_assert(!has(domains, text));
    sp_domains_close(&domains);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("domains");
    tcase_set_timeout(tc, 60);
    add_table(tc, test_line, line_cases);
    add_table(tc, test_bad_line, bad_lines);
    tcase_add_test(tc, test_share_of_bad_lines);
    tcase_add_test(tc, test_long_line);
    tcase_add_test(tc, test_count_and_digest);
    tcase_add_test(tc, test_model);
    tcase_add_test(tc, test_hostile_hosts);
    return unit_run("domains", tc);
}
