/* The dashboard's server without HTTP: who may ask, what is asked for, the host in an address, JSON, history, and the log as it grows. */
#include "config.h"

#include "unit.h"

#include "web/access.h"
#include "web/follow.h"
#include "web/gatekeep.h"
#include "web/history.h"
#include "web/host.h"
#include "web/writer.h"
#include "web/query.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKEN "0123456789abcdef0123"

static struct sp_str str(const char *text)
{
    return sp_str_from(text);
}

START_TEST(host)
{
    static const char *const rows[][2] = {
        { "https://User:pw@Example.COM:8443/a?b#c", "Example.COM" },
        { "example.com:443", "example.com" },
        { "http://example.com", "example.com" },
        { "http://[2001:db8::1]:80/", "2001:db8::1" },
        { "[2001:db8::1]:443", "2001:db8::1" },
        { "http://a/b@c", "a" },
        { "http://a\\b@c", "a" },
        { "http://a?x://b", "a" },
        { "http://evil@good@real/", "real" },
        { "/path/only", "" },
        { "", "" },
        { "http://", "" },
        { "http://a:port/", "a:port" },
        { "http://[::1", "[::1" },
        { "a/b://c", "a" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sp_str got = sp_web_host(str(rows[i][0]));
        ck_assert_msg(sp_str_equal(got, str(rows[i][1])), "%s: %.*s", rows[i][0], (int) got.n, got.p);
    }
}
END_TEST

START_TEST(writer)
{
    struct sp_buf out;
    sp_buf_init(&out, 4096);
    struct sp_json json = { .out = &out };
    sp_json_open(&json, '{');
    sp_json_add_text(&json, "a", (struct sp_str){ "<\"\\\0\x7f\xff\xe2\x80\xae&'>\n:", 14 });
    sp_json_key(&json, "b");
    sp_json_open(&json, '[');
    sp_json_number(&json, INT64_MIN);
    sp_json_null(&json);
    sp_json_text(&json, SP_STR("{[:"));
    sp_json_text(&json, SP_STR("\xc3\xa4\xf0\x9f\x98\x80"));
    sp_json_open(&json, '{');
    sp_json_close(&json, '}');
    sp_json_open(&json, '[');
    sp_json_close(&json, ']');
    sp_json_close(&json, ']');
    sp_json_add_bool(&json, "c", false);
    sp_json_add_number(&json, "d", 1);
    sp_json_close(&json, '}');
    ck_assert_int_eq(json.status, SP_OK);
    ck_assert_str_eq(out.p, "{\"a\":\"\\u003c\\u0022\\u005c\\u0000\\u007f\\ufffd\\u202e\\u0026\\u0027\\u003e\\u000a:\","
                            "\"b\":[-9223372036854775808,null,"
                            "\"{[:\",\"\xc3\xa4\xf0\x9f\x98\x80\",{},[]],\"c\":false,\"d\":1}");
    sp_buf_fini(&out);
    sp_buf_init(&out, 10);
    json = (struct sp_json){ .out = &out };
    sp_json_text(&json, SP_STR("more than ten"));
    ck_assert_int_eq(json.status, SP_ERR_LIMIT);
    sp_buf_fini(&out);
}
END_TEST

START_TEST(address)
{
    static const struct {
        const char *text;
        bool is_good, is_loopback;
    } rows[] = {
        { "127.0.0.1:9301", true, true }, { "127.9.9.9:1", true, true }, { "9301", true, true }, { "localhost:80", true, true },
        { "[::1]:65535", true, true }, { "0.0.0.0:80", true, false }, { "[::]:80", true, false }, { "10.0.0.1:80", true, false },
        { "[::ffff:127.0.0.1]:80", true, false }, { "127.0.0.1", false, false }, { "127.0.0.1:", false, false }, { "127.0.0.1:0",
        false, false },
        { "127.0.0.1:65536", false, false }, { "::1:80", false, false }, { "[127.0.0.1]:80", false, false }, { ":80", false, false },
        { "", false, false }, { "a.example:80", false, false }, { "127.1:80", false, false }, { "1 27.0.0.1:80", false, false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sp_web_address out;
        struct sp_error err = { 0 };
        ck_assert_msg((sp_web_address_parse(rows[i].text, &err, &out) == SP_OK) == rows[i].is_good, "%s", rows[i].text);
        ck_assert_msg(!rows[i].is_good || out.is_loopback == rows[i].is_loopback, "%s", rows[i].text);
    }
}
END_TEST

START_TEST(loopback_host)
{
    static const char *const good[] = { "localhost", "LOCALHOST:1", "127.0.0.1", " 127.255.0.1:80 ", "[::1]", "[::1]:80", "localhost:" };
    static const char *const bad[] = { "", "localhost.", "localhost.evil", "evil", "127.0.0.1.evil", "[::2]", "[::1", "::1",
        "[::1]x", "[::1]:x",
        "127.1", "127.0.0.1:80:80", "127.0.0.1@evil", "evil@127.0.0.1", "128.0.0.1", "[127.0.0.1]", "[]", ":80" };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ck_assert_msg(sp_web_host_is_loopback(str(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!sp_web_host_is_loopback(str(bad[i])), "%s", bad[i]);
}
END_TEST

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
    ck_assert_int_eq(chmod(path, mode), 0);
}

static void load(struct sp_web_access *access, const char *text)
{
    char path[] = "/tmp/sp-web-token-XXXXXX";
    struct sp_error err = { 0 };
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    write_file(path, text, 0600);
    enum sp_status status = sp_web_access_load(path, &err, access);
    unlink(path);
    ck_assert_msg(status == SP_OK, "%s", err.text);
}

START_TEST(token_and_cookie)
{
    struct sp_web_access access, other, none;
    char field[256];
    load(&access, "  " TOKEN "\r\nsecond line\n");
    load(&other, TOKEN "4");
    ck_assert_int_eq(sp_web_access_load(NULL, NULL, &none), SP_OK);
    ck_assert(sp_web_access_token(&access, SP_STR(TOKEN)) && !sp_web_access_token(&other, SP_STR(TOKEN)));
    ck_assert(!sp_web_access_token(&none, SP_STR(TOKEN)) && !sp_web_access_token(&access, SP_STR("")));
    ck_assert_str_ne(access.cookie, other.cookie);
    snprintf(field, sizeof(field), "a=b;sallyport=%s ;c", access.cookie);
    ck_assert(sp_web_access_cookie(&access, str(field)));
    ck_assert(!sp_web_access_cookie(&other, str(field)) && !sp_web_access_cookie(&none, str(field)));
    for (size_t n = 0; n < 4 + strlen("sallyport=") + 64; n++)
        ck_assert_msg(!sp_web_access_cookie(&access, (struct sp_str){ field, n }), "%zu bytes", n);
    ck_assert(sp_str_equal(sp_web_bearer(SP_STR("bEaReR   x ")), SP_STR("x")));
    ck_assert_uint_eq(sp_web_bearer(SP_STR("Basic x")).n + sp_web_bearer(SP_STR("Bearer")).n + sp_web_bearer(SP_STR("")).n, 0);
}
END_TEST

START_TEST(rulings)
{
    struct sp_web_access access, none = { 0 };
    char cookie[128];
    load(&access, TOKEN);
    snprintf(cookie, sizeof(cookie), "sallyport=%s", access.cookie);
    const struct sp_str get = SP_STR("GET"), api = SP_STR("/api/status"), page = SP_STR("/"), evil = SP_STR("evil"),
        cross = SP_STR("cross-site");
    const struct {
        struct sp_web_head head;
        const struct sp_web_access *access;
        bool checks_host;
        enum sp_web_verdict verdict;
        unsigned status;
    } rows[] = {
        { { .method = get, .path = api }, &none, true, SP_WEB_ANSWER, 0 },
        { { .method = get, .path = api, .host = evil }, &none, true, SP_WEB_REFUSE, 421 },
        { { .method = get, .path = SP_STR("/healthz"), .host = evil }, &none, true, SP_WEB_REFUSE, 421 },
        { { .method = get, .path = api, .host = evil }, &access, false, SP_WEB_REFUSE, 401 },
        { { .method = get, .path = SP_STR("/nothing") }, &access, false, SP_WEB_REFUSE, 401 },
        { { .method = get, .path = SP_STR("/nothing") }, &none, true, SP_WEB_REFUSE, 404 },
        { { .method = get, .path = page }, &access, false, SP_WEB_LOGIN, 401 },
        { { .method = get, .path = page, .token = SP_STR(TOKEN) }, &access, false, SP_WEB_LET_IN, 303 },
        { { .method = get, .path = api, .token = SP_STR(TOKEN) }, &access, false, SP_WEB_REFUSE, 401 },
        { { .method = get, .path = api, .cookie = str(cookie) }, &access, false, SP_WEB_ANSWER, 0 },
        { { .method = get, .path = api, .cookie = str(cookie), .fetch_site = cross }, &access, false, SP_WEB_REFUSE, 403 },
        { { .method = get, .path = page, .cookie = str(cookie), .fetch_site = cross }, &access, false, SP_WEB_ANSWER, 0 },
        { { .method = get, .path = page, .cookie = str(cookie), .token = SP_STR("x") }, &access, false, SP_WEB_LET_IN, 303 },
        { { .method = get, .path = api, .authorization = SP_STR("Bearer " TOKEN) }, &access, false, SP_WEB_ANSWER, 0 },
        { { .method = get, .path = SP_STR("/login") }, &access, false, SP_WEB_LOGIN, 200 },
        { { .method = get, .path = SP_STR("/login"), .authorization = SP_STR("Bearer " TOKEN) }, &access, false,
        SP_WEB_LET_IN_QUIETLY, 204 },
        { { .method = get, .path = SP_STR("/login"), .authorization = SP_STR("Bearer " TOKEN), .fetch_site = cross }, &access,
        false, SP_WEB_REFUSE, 401 },
        { { .method = get, .path = SP_STR("/healthz") }, &access, false, SP_WEB_ANSWER, 0 },
        { { .method = SP_STR("POST"), .path = api }, &none, true, SP_WEB_REFUSE, 405 },
        { { .method = SP_STR("HEAD"), .path = api }, &none, true, SP_WEB_ANSWER, 0 },
        { { .method = get, .path = api, .has_body = true }, &none, true, SP_WEB_REFUSE, 413 },
        { { .method = get, .path = api, .is_too_long = true }, &none, true, SP_WEB_REFUSE, 414 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sp_web_ruling got = sp_web_judge(&rows[i].head, rows[i].access, rows[i].checks_host);
        ck_assert_msg(got.verdict == rows[i].verdict && got.status == rows[i].status, "row %zu: verdict %u, status %u",
        i, got.verdict, got.status);
        ck_assert((got.verdict == SP_WEB_ANSWER) == (got.route != NULL));
    }
}
END_TEST

START_TEST(query)
{
    struct sp_web_filter filter;
    const char *fault;
    char longest[SP_WEB_VALUE_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    const struct {
        struct sp_web_arg arg;
        bool is_good;
    } rows[] = {
        { { SP_STR("outcome"), SP_STR("infected") }, true }, { { SP_STR("outcome"), SP_STR("notable") }, true },
        { { SP_STR("outcome"), SP_STR("Infected") }, false },
        { { SP_STR("action"), SP_STR("block") }, true }, { { SP_STR("action"), SP_STR("none") }, false }, { { SP_STR("limit"),
        SP_STR("500") }, true },
        { { SP_STR("limit"), SP_STR("501") }, false }, { { SP_STR("limit"), SP_STR("0") }, false }, { { SP_STR("limit"),
        SP_STR("+1") }, false },
        { { SP_STR("before"), SP_STR("999999999999999999") }, true }, { { SP_STR("before"), SP_STR("9999999999999999999") }, false },
        { { SP_STR("q"), { longest, SP_WEB_VALUE_MAX } }, true }, { { SP_STR("q"), { longest, SP_WEB_VALUE_MAX + 1 } }, false },
        { { SP_STR("Q"), SP_STR("x") }, false }, { { SP_STR(""), SP_STR("x") }, false }, { { SP_STR("limit"), SP_STR("") }, true },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_msg(sp_web_filter_parse(&rows[i].arg, 1, &filter, &fault) == rows[i].is_good, "row %zu", i);
        ck_assert((fault == NULL) == rows[i].is_good);
    }
    const struct sp_web_arg twice[] = { { SP_STR("q"), SP_STR("a") }, { SP_STR("q"), SP_STR("b") } };
    ck_assert(!sp_web_filter_parse(twice, 2, &filter, &fault));
    ck_assert(sp_web_filter_parse(NULL, 0, &filter, &fault) && filter.limit > 0 && filter.outcome == SP_OUTCOME_COUNT);
}
END_TEST

START_TEST(filter)
{

           static const char line[] = "{\"id\":\"i1\",\"client\":\"10.0.0.1\",\"user\":\"anna\",\"url\":\"http://Bad.Example/x\","
                               "\"outcome\":\"rule\",\"action\":\"block\",\"rule\":\"sstp\",\"category\":\"vpn\"}";
    struct sp_web_entry *entry = sp_web_entry_new(SP_STR(line));
    ck_assert_ptr_nonnull(entry);
    ck_assert(sp_str_equal(entry->host, SP_STR("bad.example")));
    static const struct {
        const char *name, *value;
        bool takes;
    } rows[] = {
        { "host", "BAD", true }, { "host", "x", true }, { "host", "http", false }, { "client", "10.0", true }, { "user", "bo",
        false }, { "rule", "vpn", true },
        { "rule", "openvpn", false }, { "q", "anna", true }, { "q", "BAD.example/X", true }, { "q", "nothing",
        false }, { "outcome", "rule", true },
        { "outcome", "clean", false }, { "outcome", "notable", true }, { "action", "allow", false }, { "before", "7",
        false }, { "before", "8", true },
    };
    entry->number = 7;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sp_web_filter wanted;
        const char *fault;
        struct sp_web_arg arg = { str(rows[i].name), str(rows[i].value) };
        ck_assert(sp_web_filter_parse(&arg, 1, &wanted, &fault));
        ck_assert_msg(sp_web_filter_takes(&wanted, entry) == rows[i].takes, "%s=%s", rows[i].name, rows[i].value);
    }
    free(entry);
    ck_assert_ptr_null(sp_web_entry_new(SP_STR("[]")));
}
END_TEST

START_TEST(recent)
{
    struct sp_web_recent *held = sp_web_recent_new();
    char line[64];
    ck_assert_ptr_null(sp_web_recent_at(held, 0));
    for (unsigned i = 1; i <= SP_WEB_RECENT_MAX + 10; i++) {
        snprintf(line, sizeof(line), "{\"id\":\"%u\"}", i);
        sp_web_recent_add(held, str(line));
        sp_web_recent_add(held, SP_STR("rubbish"));
    }
    ck_assert_uint_eq(sp_web_recent_count(held), SP_WEB_RECENT_MAX);
    ck_assert_uint_eq(sp_web_recent_at(held, 0)->number, SP_WEB_RECENT_MAX + 10);
    ck_assert_uint_eq(sp_web_recent_at(held, SP_WEB_RECENT_MAX - 1)->number, 11);
    ck_assert(sp_str_equal(sp_web_recent_at(held, SP_WEB_RECENT_MAX - 1)->d.id, SP_STR("11")));
    char *large = malloc(100000);
    memset(large, 'x', 100000);
    memcpy(large, "{\"url\":\"", 8);
    memcpy(large + 99998, "\"}", 2);
    for (unsigned i = 0; i < 1000; i++)
        sp_web_recent_add(held, (struct sp_str){ large, 100000 });
    ck_assert_uint_lt(sp_web_recent_count(held), SP_WEB_RECENT_BYTES / 100000 + 1);
    ck_assert_uint_gt(sp_web_recent_count(held), SP_WEB_RECENT_BYTES / 101000 - 1);
    free(large);
    sp_web_recent_free(&held);
    ck_assert_ptr_null(held);
}
END_TEST

START_TEST(history)
{
    struct sp_web_history *h = sp_web_history_new();
    uint64_t totals[SP_WEB_COLUMNS] = { [SP_WEB_BLOCKED] = 100 };
    const int64_t t = 1800000000;
    ck_assert(sp_web_history_get(h, SP_WEB_HOUR, SP_WEB_BLOCKED, t) == SP_WEB_UNKNOWN);
    sp_web_history_cover(h, SP_WEB_BLOCKED, t - 100, t);
    sp_web_history_add(h, SP_WEB_BLOCKED, t - 50, 3);
    sp_web_history_add(h, SP_WEB_BLOCKED, t - 100000, 3); /* too long ago */
    ck_assert(sp_web_history_get(h, SP_WEB_HOUR, SP_WEB_BLOCKED, t - 50) == 3);
    ck_assert(sp_web_history_get(h, SP_WEB_HOUR, SP_WEB_BLOCKED, t - 45) == 0);
    ck_assert(sp_web_history_get(h, SP_WEB_HOUR, SP_WEB_BLOCKED, t - 105) == SP_WEB_UNKNOWN);
    ck_assert(sp_web_history_get(h, SP_WEB_HOUR, SP_WEB_REQUESTS, t - 50) == SP_WEB_UNKNOWN);
    sp_web_history_tick(h, t, totals); /* what was before us is not ours */
    ck_assert(sp_web_history_sum(h, SP_WEB_BLOCKED, t, 3600) == 3);
    totals[SP_WEB_BLOCKED] += 5;
    sp_web_history_tick(h, t + 7, totals);
    ck_assert(sp_web_history_get(h, SP_WEB_HOUR, SP_WEB_BLOCKED, t + 5) == 5);
    ck_assert(sp_web_history_get(h, SP_WEB_HOUR, SP_WEB_REQUESTS, t + 5) == 0);
    totals[SP_WEB_BLOCKED] = 2; /* the counters began anew */
    sp_web_history_tick(h, t + 10, totals);
    ck_assert(sp_web_history_get(h, SP_WEB_HOUR, SP_WEB_BLOCKED, t + 10) == 2);
    ck_assert(sp_web_history_sum(h, SP_WEB_BLOCKED, t + 10, 3600) == 10 && sp_web_history_sum(h, SP_WEB_BLOCKED, t + 10, 10) == 7);
    totals[SP_WEB_BLOCKED] = 50; /* nobody looked for a while: it could have been at any time */
    sp_web_history_tick(h, t + 100, totals);
    ck_assert(sp_web_history_get(h, SP_WEB_HOUR, SP_WEB_BLOCKED, t + 50) == SP_WEB_UNKNOWN);
    ck_assert(sp_web_history_sum(h, SP_WEB_BLOCKED, t + 100, 3600) == 10);
    sp_web_history_tick(h, t + 100 + 2 * 86400, totals);
    ck_assert(sp_web_history_sum(h, SP_WEB_BLOCKED, t + 100 + 2 * 86400, 3600) == 0);
    ck_assert(sp_web_history_get(h, SP_WEB_DAY, SP_WEB_BLOCKED, t) == SP_WEB_UNKNOWN);
    sp_web_history_tick(h, 5, totals); /* a clock that goes back */
    sp_web_history_tick(h, -5, totals);
    sp_web_history_free(&h);
}
END_TEST

/* --- the log ------------------------------------------------------------------------------------------------------------- */

struct lines {
    unsigned n;
    char last[64];
    size_t longest;
};

static void take(void *arg, struct sp_str line)
{
    struct lines *lines = arg;
    lines->n++;
    lines->longest = line.n > lines->longest ? line.n : lines->longest;
    sp_str_copy(line, lines->last, sizeof(lines->last));
}

START_TEST(follower)
{
    char dir[] = "/tmp/sp-web-XXXXXX", path[64], old[64];
    struct lines lines = { 0 };
    struct sp_error err = { 0 };
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/log", dir);
    snprintf(old, sizeof(old), "%s/log.1", dir);
    struct sp_web_follow *follow = sp_web_follow_new(path);
    ck_assert(!sp_web_follow_step(follow, take, &lines, &err));
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    const char text[] = "one\n\ntwo\nthr";
    for (size_t i = 0; i < sizeof(text) - 1; i++) { /* byte by byte */
        fputc(text[i], f);
        fflush(f);
        ck_assert(sp_web_follow_step(follow, take, &lines, &err));
    }
    ck_assert_uint_eq(lines.n, 2);
    fputs("ee\n", f);
    for (unsigned i = 0; i < SP_WEB_LINE_MAX + 1; i++)
        fputc('x', f);
    fputs("\nfour\n", f);
    for (unsigned i = 0; i < 3 * SP_WEB_LINE_MAX; i++)
        fputc('y', f);
    fflush(f);
    ck_assert(sp_web_follow_step(follow, take, &lines, &err));
    ck_assert_msg(lines.n == 4 && strcmp(lines.last, "four") == 0, "%u, %s", lines.n, lines.last);
    fputs("\nfive\n", f);
    fflush(f);
    ck_assert_int_eq(rename(path, old), 0);
    write_file(path, "six\n", 0600);
    ck_assert(sp_web_follow_step(follow, take, &lines, &err));
    ck_assert_msg(lines.n == 6 && strcmp(lines.last, "six") == 0, "%u, %s", lines.n, lines.last);
    ck_assert_int_eq(truncate(path, 0), 0);
    ck_assert(sp_web_follow_step(follow, take, &lines, &err));
    write_file(path, "7\n", 0600);
    ck_assert(sp_web_follow_step(follow, take, &lines, &err));
    ck_assert_msg(lines.n == 7 && strcmp(lines.last, "7") == 0, "%u, %s", lines.n, lines.last);
    ck_assert_uint_lt(lines.longest, 10);
    fclose(f);
    unlink(old);
    unlink(path);
    rmdir(dir);
    sp_web_follow_free(&follow);
    ck_assert_ptr_null(follow);
}
END_TEST

START_TEST(search)
{
    char path[] = "/tmp/sp-web-search-XXXXXX";
    struct lines lines = { 0 };
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");
    ck_assert_ptr_nonnull(f);
    fputs("first needle-0\n", f);
    for (unsigned i = 1; i < 40000; i++)
        fprintf(f, "%050u hay\n%05u needle-%u\n", i, i, i);
    fputs("torn needle-0", f);
    fclose(f);
    sp_web_follow_search(path, SP_STR("needle-0"), 64 << 20, take, &lines);
    ck_assert_str_eq(lines.last, "first needle-0");
    lines = (struct lines){ 0 };
    sp_web_follow_search(path, SP_STR("needle-0"), 1 << 20, take, &lines);
    ck_assert_uint_eq(lines.n, 0);
    for (unsigned i = 1; i < 40000; i += 371) {
        char text[32], want[32];
        snprintf(text, sizeof(text), " needle-%u\n", i);
        snprintf(want, sizeof(want), "%05u needle-%u", i, i);
        lines = (struct lines){ 0 };
        sp_web_follow_search(path, (struct sp_str){ text, strlen(text) - 1 }, 64 << 20, take, &lines);
        ck_assert_msg(lines.n > 0, "%s", text);
    }
    unlink(path);
    sp_web_follow_search(path, SP_STR("x"), 100, take, &lines);
    sp_web_follow_search("/dev/null", SP_STR("x"), 100, take, &lines);
    sp_web_follow_search("/tmp", SP_STR("x"), 100, take, &lines);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("web");
    tcase_add_test(c, host);
    tcase_add_test(c, writer);
    tcase_add_test(c, address);
    tcase_add_test(c, loopback_host);
    tcase_add_test(c, token_and_cookie);
    tcase_add_test(c, rulings);
    tcase_add_test(c, query);
    tcase_add_test(c, filter);
    tcase_add_test(c, recent);
    tcase_add_test(c, history);
    tcase_add_test(c, follower);
    tcase_add_test(c, search);
    return unit_run("web", c);
}
