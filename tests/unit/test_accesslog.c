/* Lines of an access.log. */
#include "config.h"

#include "unit.h"

#include "sallyport/accesslog.h"

#define START "1763825787.123    120 "
#define END " HIER_DIRECT/192.0.2.1 text/html"

START_TEST(test_kinds)
{
    static const struct {
        const char *line;
        enum sp_accesslog_kind want;
    } cases[] = {
        { START "10.1.2.3 TCP_MISS/200 3920 GET http://www.example.com/ -" END, SP_ACCESSLOG_REQUEST },
        { START "10.1.2.3 TCP_TUNNEL/200 39 CONNECT vpn.example.com:443 -" END, SP_ACCESSLOG_REQUEST },
        { START "10.1.2.3 NONE_NONE/200 0 CONNECT vpn.example.com:443 - HIER_NONE/- -", SP_ACCESSLOG_REQUEST },
        { START "10.1.2.3 TCP_DENIED/403 0 CONNECT vpn.example.com:443 - HIER_NONE/- -", SP_ACCESSLOG_REQUEST },
        { START "10.1.2.3 TCP_MISS/200 1 GET http://x/ -" END " [Host:%20x] [HTTP/1.1]", SP_ACCESSLOG_REQUEST },
        { "1763825787 -3 ::1 TCP_MISS/200 1 get http://x/ - NONE/-", SP_ACCESSLOG_REQUEST },
        { START "10.1.2.3 TCP_DENIED/407 4000 CONNECT x.example:443 - HIER_NONE/- text/html", SP_ACCESSLOG_CHALLENGE },
        { START "10.1.2.3 NONE_NONE/400 4000 - error:invalid-request - HIER_NONE/- text/html", SP_ACCESSLOG_NOTHING },
        { START "10.1.2.3 NONE_NONE/000 0 NONE error:transaction-end-before-headers - HIER_NONE/- -", SP_ACCESSLOG_NOTHING },
        { START "10.1.2.3 UDP_MISS/000 60 ICP_QUERY http://x.example/ - HIER_NONE/- -", SP_ACCESSLOG_NOTHING },
        { "10.1.2.3 - bob [22/Nov/2026:15:36:27 +0000] \"GET http://x/ HTTP/1.1\" 200 3 TCP_MISS:HIER_DIRECT", SP_ACCESSLOG_QUOTED },
        { "10.1.2.3 - - [22/Nov/2026:15:36:27 +0000] \"CONNECT x:443 HTTP/1.1\" 200 3 \"-\" \"curl\" A:B", SP_ACCESSLOG_QUOTED },
        { "", SP_ACCESSLOG_UNKNOWN },
        { "  ", SP_ACCESSLOG_UNKNOWN },
        { "GET / HTTP/1.1", SP_ACCESSLOG_UNKNOWN },
        { "x1763825787.123 120 c TCP_MISS/200 1 GET http://x/ -" END, SP_ACCESSLOG_UNKNOWN },
        { "1763825787.12x 120 c TCP_MISS/200 1 GET http://x/ -" END, SP_ACCESSLOG_UNKNOWN },
        { "999999999999999999999 120 c TCP_MISS/200 1 GET http://x/ -" END, SP_ACCESSLOG_UNKNOWN },
        { START "10.1.2.3 tcp_miss/200 1 GET http://x/ -" END, SP_ACCESSLOG_UNKNOWN },
        { START "10.1.2.3 TCP_MISS 1 GET http://x/ -" END, SP_ACCESSLOG_UNKNOWN },
        { START "10.1.2.3 TCP_MISS/200 x GET http://x/ -" END, SP_ACCESSLOG_UNKNOWN },
        { START "10.1.2.3 TCP_MISS/200 1 GET http://x/ - nothing", SP_ACCESSLOG_UNKNOWN },
        { START "10.1.2.3 TCP_MISS/200 1 GET http://x/ HIER_DIRECT/1", SP_ACCESSLOG_UNKNOWN },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_accesslog_line out;
        enum sp_accesslog_kind kind = sp_accesslog_parse(sp_str_from(cases[i].line), &out);
        ck_assert_msg(kind == cases[i].want, "case %zu: %d: %s", i, (int) kind, cases[i].line);
    }
}
END_TEST

static void check_str(struct sp_str s, const char *want)
{
    ck_assert_msg(sp_str_equal(s, sp_str_from(want)), "\"%.*s\", not \"%s\"", (int) s.n, s.p, want);
}

START_TEST(test_parts)
{
    struct sp_accesslog_line out;
    const char *line = START "2001:db8::5\tTCP_MISS/200  3920 POST  http://www.example.com/a?b  bob" END;
    ck_assert(sp_accesslog_parse(sp_str_from(line), &out) == SP_ACCESSLOG_REQUEST);
    ck_assert_int_eq(out.seconds, 1763825787);
    check_str(out.client, "2001:db8::5");
    check_str(out.method, "POST");
    check_str(out.url, "http://www.example.com/a?b");
    check_str(out.user, "bob");
    line = START "- TCP_MISS/200 1 GET http://x/ -" END;
    ck_assert(sp_accesslog_parse(sp_str_from(line), &out) == SP_ACCESSLOG_REQUEST);
    check_str(out.client, "");
    check_str(out.user, "");
    line = START "c TCP_MISS/200 1 GET http://x/ bob the  builder" END;
    ck_assert(sp_accesslog_parse(sp_str_from(line), &out) == SP_ACCESSLOG_REQUEST);
    check_str(out.user, "bob the  builder");
}
END_TEST

/* Cut anywhere, it is never taken for a request of other parts than the whole line's. */
START_TEST(test_cut)
{
    struct sp_str whole = sp_str_from(START "10.1.2.3 TCP_MISS/200 3920 GET http://www.example.com/ bob HIER_DIRECT/192.0.2.1 text/html");
    struct sp_accesslog_line out;
    for (size_t n = 0; n < whole.n; n++) {
        char *copy = malloc(n > 0 ? n : 1);
        memcpy(copy, whole.p, n);
        if (sp_accesslog_parse((struct sp_str){ copy, n }, &out) == SP_ACCESSLOG_REQUEST) {
            check_str(out.url, "http://www.example.com/");
            check_str(out.user, "bob");
        } else {
            ck_assert_uint_eq(out.url.n, 0);
        }
        free(copy);
    }
}
END_TEST

START_TEST(test_user)
{
    static const struct {
        const char *in, *want;
    } cases[] = {
        { "", "" },
        { "bob", "bob" },
        { "EX\\\\bob", "EX\\bob" },
        { "a%20b", "a b" },
        { "%c3%BC", "\303\274" },
        { "%", "%" },
        { "%4", "%4" },
        { "%zz", "%zz" },
        { "\\", "\\" },
        { "\\r\\n", "\r\n" },
        { "\\x", "\\x" },
        { "%25%34", "%4" },
    };
    char out[SP_ACCESSLOG_USER_SIZE];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_str(sp_accesslog_user(sp_str_from(cases[i].in), out), cases[i].want);
    char long_name[2 * SP_ACCESSLOG_USER_SIZE];
    memset(long_name, 'x', sizeof(long_name));
    ck_assert_uint_eq(sp_accesslog_user((struct sp_str){ long_name, sizeof(long_name) }, out).n, sizeof(out));
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("accesslog");
    tcase_add_test(c, test_kinds);
    tcase_add_test(c, test_parts);
    tcase_add_test(c, test_cut);
    tcase_add_test(c, test_user);
    return unit_run("accesslog", c);
}
