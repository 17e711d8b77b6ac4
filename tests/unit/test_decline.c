/* Lines of the decision log read back: what declog.c writes comes out as it went in, and anything else is an error or a gap. */
#include "config.h"

#include "unit.h"

#include "sallyport/decline.h"
#include "sallyport/declog.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static struct sp_str copy_of(struct sp_str s)
{
    char *copy = malloc(s.n > 0 ? s.n : 1); /* not a byte more, so that reading past the end is seen */
    memcpy(copy, s.p, s.n);
    return (struct sp_str){ copy, s.n };
}

static enum sp_status parse(const char *line, struct sp_decline *out)
{
    return sp_decline_parse(sp_str_from(line), out);
}

static void check_str(struct sp_str s, const char *want)
{
    ck_assert_msg(sp_str_equal(s, sp_str_from(want)), "\"%.*s\", not \"%s\"", (int) s.n, s.p, want);
}

static void check_text(struct sp_str raw, struct sp_str want)
{
    struct sp_buf text;
    sp_buf_init(&text, 100000);
    ck_assert_int_eq(sp_decline_text(raw, &text), SP_OK);
    ck_assert_msg(sp_str_equal((struct sp_str){ text.p, text.n }, want), "%s, not %s", text.p ? text.p : "", want.p);
    ck_assert(sp_decline_contains(raw, want));
    sp_buf_fini(&text);
}

static const struct sp_decision full = {
    .wall_us = 1795357599123456,
    .id = "id-1",
    .client = { "192.0.2.7", 9 },
    .user = { "al\"ice\\", 7 },
    .direction = { "RESPMOD", 7 },
    .method = { "GET", 3 },
    .url = { "http://h/p?q=\n\x1b[2J\xc3\xbc", 20 },
    .status = 200,
    .outcome = SP_OUTCOME_INFECTED,
    .action = SP_ACTION_BLOCK,
    .reason = "why",
    .rule = "r-1",
    .category = "vpn",
    .excepted = "r-0",
    .is_monitored = true,
    .is_cached = true,
    .signature = "Eicar-Test",
    .encoding = { "gzip, br", 8 },
    .bytes = 12345678901234,
    .generation = 3,
    .total_us = 1500,
    .scan_us = 900,
};

/* What declog.c writes for a decision, without the line's end. The caller frees p. */
static struct sp_str written(const struct sp_decision *decision)
{
    char path[] = "/tmp/sp_test_decline.XXXXXX";
    close(mkstemp(path));
    struct sp_error err = { 0 };
    struct sp_declog *log;
    ck_assert(sp_declog_open(&(struct sp_declog_options){ .path = path }, &err, &log) == SP_OK);
    ck_assert(sp_declog_write(log, decision));
    sp_declog_close(&log);
    int fd = open(path, O_RDONLY);
    char *text = malloc(65536);
    ssize_t n = read(fd, text, 65536);
    close(fd);
    unlink(path);
    ck_assert(n > 1 && text[n - 1] == '\n');
    return (struct sp_str){ text, (size_t) n - 1 };
}

START_TEST(test_all_fields)
{
    struct sp_str line = written(&full);
    struct sp_decline d;
    ck_assert_int_eq(sp_decline_parse(line, &d), SP_OK);
    ck_assert_int_eq(d.wall_us, full.wall_us);
    check_text(d.id, SP_STR("id-1"));
    check_text(d.client, full.client);
    check_text(d.user, full.user);
    check_text(d.direction, full.direction);
    check_text(d.method, full.method);
    check_text(d.url, full.url);
    ck_assert_uint_eq(d.status, 200);
    ck_assert_int_eq(d.outcome, SP_OUTCOME_INFECTED);
    ck_assert(d.has_action && d.action == SP_ACTION_BLOCK);
    check_text(d.reason, SP_STR("why"));
    check_text(d.rule, SP_STR("r-1"));
    check_text(d.category, SP_STR("vpn"));
    check_text(d.excepted, SP_STR("r-0"));
    ck_assert(d.is_monitored && d.is_cached);
    check_text(d.signature, SP_STR("Eicar-Test"));
    check_text(d.encoding, full.encoding);
    ck_assert_uint_eq(d.bytes, full.bytes);
    ck_assert_uint_eq(d.generation, 3);
    ck_assert_int_eq(d.total_us, 1500);
    ck_assert_int_eq(d.scan_us, 900);
    free((void *) (uintptr_t) line.p);
}
END_TEST

START_TEST(test_every_outcome_and_action)
{
    for (unsigned i = 0; i < SP_OUTCOME_COUNT * (SP_ACTION_NONE + 1); i++) {
        const struct sp_decision decision = { .outcome = (enum sp_outcome) (i % SP_OUTCOME_COUNT),
            .action = (enum sp_action) (i / SP_OUTCOME_COUNT) };
        struct sp_str line = written(&decision);
        struct sp_decline d;
        ck_assert_int_eq(sp_decline_parse(line, &d), SP_OK);
        ck_assert(d.outcome == decision.outcome && d.has_action && d.action == decision.action);
        ck_assert(!d.is_monitored && !d.is_cached && d.id.n == 0 && d.status == 0 && d.scan_us == 0);
        free((void *) (uintptr_t) line.p);
    }
}
END_TEST

/* Cut anywhere it is no line; and byte by byte it is one only when the last is there. */
START_TEST(test_cut)
{
    struct sp_str line = written(&full);
    for (size_t n = 0; n < line.n; n++) {
        struct sp_decline d;
        struct sp_str cut = copy_of((struct sp_str){ line.p, n });
        ck_assert_msg(sp_decline_parse(cut, &d) == SP_ERR_SYNTAX, "%zu bytes are a line", n);
        free((void *) (uintptr_t) cut.p);
    }
    free((void *) (uintptr_t) line.p);
}
END_TEST

/* Each byte replaced by each of those that mean something: whatever is made of it, fields lie inside the line. */
START_TEST(test_each_byte_changed)
{
    struct sp_str line = written(&full);
    static const char changes[] = "\"\\{}[],: \t\n\x01" "0-.eE" "tnu\xff\x80";
    for (size_t i = 0; i < line.n; i++) {
        for (size_t k = 0; k < sizeof(changes); k++) {
            struct sp_decline d;
            struct sp_str changed = copy_of(line);
            ((char *) (uintptr_t) changed.p)[i] = changes[k];
            if (sp_decline_parse(changed, &d) == SP_OK && d.url.n > 0)
                ck_assert(d.url.p > changed.p && d.url.p + d.url.n < changed.p + changed.n);
            if ((unsigned char) changes[k] < 0x20 && changes[k] != '\0')
                ck_assert_int_eq(sp_decline_parse(changed, &d), SP_ERR_SYNTAX);
            free((void *) (uintptr_t) changed.p);
        }
    }
    free((void *) (uintptr_t) line.p);
}
END_TEST

START_TEST(test_refused)
{
    static const char *const lines[] = { "", " ", "x", "null", "[]", "\"\"", "{", "}", "{}}", "{} x", "{,}", "{\"id\"}",
        "{\"id\":}", "{\"id\":\"a\",}", "{\"id\":\"a\" \"url\":\"b\"}", "{\"id\":\"a\\\"}", "{\"id\":{}}", "{\"id\":[]}",
        "{\"x\":{\"id\":\"a\"}}", "{id:1}", "{\"bytes\":01}", "{\"bytes\":-}", "{\"bytes\":1.}", "{\"bytes\":.5}",
        "{\"bytes\":1e}", "{\"bytes\":+1}", "{\"bytes\":0x1}", "{\"cached\":tru}", "{\"cached\":truex}", "{\"cached\":True}",
        "{\"x\":nul}", "{\"id\":\"a\nb\"}", "{\"id\":\"a\x1b[2Jb\"}", "{}\n", "{}\r", "{\t}", "{}{}" };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct sp_decline d;
        ck_assert_msg(parse(lines[i], &d) == SP_ERR_SYNTAX, "%s", lines[i]);
    }
}
END_TEST

START_TEST(test_taken)
{
    struct sp_decline d;
    ck_assert_int_eq(parse("{}", &d), SP_OK);
    ck_assert(d.wall_us == 0 && d.outcome == SP_OUTCOME_COUNT && !d.has_action && d.id.n == 0 && d.id.p != NULL);
    ck_assert_int_eq(parse(" { } ", &d), SP_OK);
    ck_assert_int_eq(parse("{ \"scan_us\" : 7 , \"id\"  : \"a\" , \"new\" : null , \"newer\":-1.5e+3, \"\":\"\\\"\" }", &d), SP_OK);
    ck_assert_int_eq(d.scan_us, 7);
    check_str(d.id, "a");
    ck_assert_int_eq(parse("{\"id\":\"a\",\"id\":\"b\"}", &d), SP_OK);
    check_str(d.id, "b");
    ck_assert_int_eq(parse("{\"id\":\"a\",\"id\":5,\"url\":null,\"bytes\":\"9\",\"cached\":1,\"time\":7,\"outcome\":false}", &d), SP_OK);
    ck_assert(d.id.n == 0 && d.url.n == 0 && d.bytes == 0 && !d.is_cached && d.wall_us == 0 && d.outcome == SP_OUTCOME_COUNT);
    ck_assert_int_eq(parse("{\"outcome\":\"cleaner\",\"action\":\"blocked\",\"Id\":\"x\",\"ids\":\"x\"}", &d), SP_OK);
    ck_assert(d.outcome == SP_OUTCOME_COUNT && !d.has_action && d.id.n == 0);
    ck_assert_int_eq(parse("{\"id\":\"a\\\\\",\"url\":\"\\\\\\\"\"}", &d), SP_OK);
    check_str(d.id, "a\\\\");
    check_str(d.url, "\\\\\\\"");
}
END_TEST

START_TEST(test_numbers)
{
    static const struct {
        const char *number;
        uint64_t want;
    } cases[] = {
        { "0", 0 },
        { "9223372036854775807", INT64_MAX },
        { "9223372036854775808", 0 },
        { "18446744073709551617", 0 },
        { "99999999999999999999999999999999999999", 0 },
        { "-0", 0 },
        { "-5", 0 },
        { "1.5", 0 },
        { "1e3", 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[128];
        struct sp_decline d;
        snprintf(line, sizeof(line), "{\"bytes\":%s,\"total_us\":%s}", cases[i].number, cases[i].number);
        ck_assert_msg(parse(line, &d) == SP_OK, "%s", line);
        ck_assert_msg(d.bytes == cases[i].want && d.total_us == (int64_t) cases[i].want, "%s", line);
    }
    struct sp_decline d;
    ck_assert_int_eq(parse("{\"status\":4294967295,\"generation\":4294967296}", &d), SP_OK);
    ck_assert(d.status == 4294967295 && d.generation == 0);
}
END_TEST

START_TEST(test_times)
{
    static const struct {
        const char *time;
        int64_t want;
    } cases[] = {
        { "1970-01-01T00:00:00.000001Z", 1 },
        { "2000-02-29T12:00:00.000000Z", 951825600000000 },
        { "2026-11-22T14:26:39.123456Z", 1795357599123456 },
        { "2026-12-31T23:59:59.999999Z", 1798761599999999 },
        { "9999-12-31T23:59:59.000000Z", 253402300799000000 },
        { "2026-02-29T12:00:00.000000Z", 0 },
        { "2100-02-29T12:00:00.000000Z", 0 },
        { "2026-13-01T12:00:00.000000Z", 0 },
        { "2026-00-01T12:00:00.000000Z", 0 },
        { "2026-01-00T12:00:00.000000Z", 0 },
        { "2026-04-31T12:00:00.000000Z", 0 },
        { "2026-01-01T24:00:00.000000Z", 0 },
        { "2026-01-01T23:60:00.000000Z", 0 },
        { "2026-01-01T23:00:60.000000Z", 0 },
        { "1969-12-31T23:59:59.000000Z", 0 },
        { "2026-01-01T23:00:00Z", 0 },
        { "2026-01-01T23:00:00.000000+", 0 },
        { "2026-01-01 23:00:00.000000Z", 0 },
        { "2026-01-01T23:00:00.00000xZ", 0 },
        { "", 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[128];
        struct sp_decline d;
        snprintf(line, sizeof(line), "{\"time\":\"%s\"}", cases[i].time);
        ck_assert_int_eq(parse(line, &d), SP_OK);
        ck_assert_msg(d.wall_us == cases[i].want, "%s: %lld", cases[i].time, (long long) d.wall_us);
    }
}
END_TEST

#define BAD "\xef\xbf\xbd"

START_TEST(test_text)
{
    static const struct {
        struct sp_str raw, want;
    } cases[] = {
        { SP_STR("plain"), SP_STR("plain") },
        { SP_STR(""), SP_STR("") },
        { SP_STR("\\\"\\\\\\/\\b\\f\\n\\r\\t"), SP_STR("\"\\/\b\f\n\r\t") },
        { SP_STR("\\u0000x\\u001B[2J"), SP_STR("\0x\x1b[2J") },
        { SP_STR("\\u00e9\\u20AC\\ud83d\\ude42!"), SP_STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82!") },
        { SP_STR("\\ud83dx"), SP_STR(BAD "x") },
        { SP_STR("\\ud83d\\u0041"), SP_STR(BAD "A") },
        { SP_STR("\\ude42\\ud83d"), SP_STR(BAD BAD) },
        { SP_STR("\\u12g4"), SP_STR(BAD "u12g4") },
        { SP_STR("\\u12"), SP_STR(BAD "u12") },
        { SP_STR("\\x"), SP_STR(BAD "x") },
        { SP_STR("\\"), SP_STR(BAD) },
        { SP_STR("gr\xc3\xbc\xc3\x9f"), SP_STR("gr\xc3\xbc\xc3\x9f") },
        { SP_STR("\xff\xc3(\xed\xa0\x80"), SP_STR(BAD BAD "(" BAD BAD BAD) },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_str raw = copy_of(cases[i].raw);
        check_text(raw, cases[i].want);
        free((void *) (uintptr_t) raw.p);
    }
    struct sp_buf small;
    sp_buf_init(&small, 4);
    ck_assert_int_eq(sp_decline_text(SP_STR("12345"), &small), SP_ERR_LIMIT);
    sp_buf_fini(&small);
}
END_TEST

START_TEST(test_contains)
{
    static const struct {
        struct sp_str raw, text;
        bool want;
    } cases[] = {
        { SP_STR("http://WWW.Example.com/"), SP_STR("www.example.COM"), true },
        { SP_STR("abc"), SP_STR(""), true },
        { SP_STR(""), SP_STR(""), true },
        { SP_STR(""), SP_STR("a"), false },
        { SP_STR("abc"), SP_STR("abcd"), false },
        { SP_STR("aaab"), SP_STR("aab"), true },
        { SP_STR("a\\\"b"), SP_STR("a\"b"), true },
        { SP_STR("a\\\"b"), SP_STR("\\"), false },
        { SP_STR("\\u0041bc"), SP_STR("abc"), true },
        { SP_STR("\\u0041bc"), SP_STR("0041"), false },
        { SP_STR("\\\\u0041"), SP_STR("\\u0041"), true },
        { SP_STR("\\\\u0041"), SP_STR("A"), false },
        { SP_STR("\xc3\x9c"), SP_STR("\xc3\xbc"), false }, /* only ASCII has no case */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_msg(sp_decline_contains(cases[i].raw, cases[i].text) == cases[i].want, "case %zu: %s", i, cases[i].raw.p);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("decline");
    tcase_add_test(c, test_all_fields);
    tcase_add_test(c, test_every_outcome_and_action);
    tcase_add_test(c, test_cut);
    tcase_add_test(c, test_each_byte_changed);
    tcase_add_test(c, test_refused);
    tcase_add_test(c, test_taken);
    tcase_add_test(c, test_numbers);
    tcase_add_test(c, test_times);
    tcase_add_test(c, test_text);
    tcase_add_test(c, test_contains);
    return unit_run("decline", c);
}
