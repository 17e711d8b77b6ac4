/* Escaping, and the operational log that relies on it. */
#include "config.h"

#include "unit.h"

#include "sallyport/log.h"
#include "sallyport/text.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

START_TEST(test_utf8)
{
    static const struct {
        const char *p;
        size_t n, want;
        uint32_t code;
    } cases[] = {
        { "A", 1, 1, 'A' },
        { "\0", 1, 1, 0 },
        { "\x7f", 1, 1, 0x7f },
        { "\xc2\x80", 2, 2, 0x80 },
        { "\xdf\xbf", 2, 2, 0x7ff },
        { "\xe0\xa0\x80", 3, 3, 0x800 },
        { "\xef\xbf\xbf", 3, 3, 0xffff },
        { "\xf0\x90\x80\x80", 4, 4, 0x10000 },
        { "\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff },
        { "\x80", 1, 0, 0 },
        { "\xc1\xbf", 2, 0, 0 },
        { "\xe0\x9f\xbf", 3, 0, 0 },
        { "\xed\xa0\x80", 3, 0, 0 },
        { "\xf0\x8f\xbf\xbf", 4, 0, 0 },
        { "\xf4\x90\x80\x80", 4, 0, 0 },
        { "\xf5\x80\x80\x80", 4, 0, 0 },
        { "\xc2", 1, 0, 0 },
        { "\xe2\x82", 2, 0, 0 },
        { "\xc2\xc2", 2, 0, 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t code = 0;
        ck_assert_msg(sp_utf8_next((struct sp_str){ cases[i].p, cases[i].n }, &code) == cases[i].want, "case %zu", i);
        ck_assert_uint_eq(code, cases[i].code);
    }
}
END_TEST

START_TEST(test_escape)
{
    static const struct {
        const char *in, *want;
    } cases[] = {
        { "", "" }, { "plain gr\303\274\303\237", "plain gr\303\274\303\237" }, { "a\nb\tc\rd", "a\\nb\\tc\\rd" },
        { "\033[31mred\007", "\\x1b[31mred\\x07" }, { "\177", "\\x7f" },
        { "\302\2332J", "\\xc2\\x9b2J" }, /* U+009B, which begins a command to a terminal */
        { "\377\303", "\\xff\\xc3" }, { "gpj.\342\200\256exe", "gpj.\\xe2\\x80\\xaeexe" }, /* U+202E, which turns what follows around */
        { "a\330\234z", "a\\xd8\\x9cz" }, /* U+061C, which does so to letters */
    };
    char out[128];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        ck_assert_str_eq(sp_text_escape(sp_str_from(cases[i].in), out, sizeof(out)), cases[i].want);
    ck_assert_str_eq(sp_text_escape((struct sp_str){ "a\0b", 3 }, out, sizeof(out)), "a\\x00b");
}
END_TEST

/* Whatever the room: terminated, never past the end, never half an escape. */
START_TEST(test_escape_cut)
{
    static const char in[] = "ab\033c\342\202\254d\nefg\377";
    static const char full[] = "ab\\x1bc\342\202\254d\\nefg\\xff";
    for (size_t size = 8; size < 40; size++) {
        char *out = malloc(size);
        sp_text_escape(SP_STR(in), out, size);
        size_t n = strlen(out);
        ck_assert_uint_lt(n, size);
        if (size > strlen(full)) {
            ck_assert_str_eq(out, full);
        } else {
            ck_assert_str_eq(out + n - 3, "...");
            ck_assert_int_eq(strncmp(out, full, n - 3), 0);
            char last = n > 3 ? out[n - 4] : '\0';
            ck_assert(last != '\\' && last != 'x' && ((unsigned char) last < 0x80 || (unsigned char) last == 0xac));
        }
        free(out);
    }
}
END_TEST

START_TEST(test_clean_grows_within_its_cap)
{
    struct sp_buf out;
    sp_buf_init(&out, 8);
    ck_assert_int_eq(sp_text_clean(SP_STR("\xff\xff"), 10, &out), SP_OK);
    ck_assert_int_eq(sp_text_clean(SP_STR("\xff"), 10, &out), SP_ERR_LIMIT);
    ck_assert_uint_eq(out.n, 6);
    sp_buf_fini(&out);
}
END_TEST

/* --- log ------------------------------------------------------------------------------------------------------------- */

struct seen {
    int n;
    enum sp_log_level level;
    char line[4096];
};

static void see(void *arg, enum sp_log_level level, const char *line)
{
    struct seen *seen = arg;
    seen->n++;
    seen->level = level;
    snprintf(seen->line, sizeof(seen->line), "%s", line);
    errno = ENOENT;
}

START_TEST(test_log)
{
    struct seen seen = { 0 };
    struct sp_log log = { .sink = see, .arg = &seen, .level = SP_LOG_NOTICE };
    errno = EAGAIN;
    sp_log(&log, SP_LOG_NOTICE, "line one\nforged: %s", "\x1b[2J");
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(seen.n, 1);
    ck_assert_int_eq(seen.level, SP_LOG_NOTICE);
    ck_assert_str_eq(seen.line, "line one\\nforged: \\x1b[2J");
    sp_log(&log, SP_LOG_INFO, "dropped");
    sp_log(NULL, SP_LOG_ERROR, "nowhere");
    ck_assert_int_eq(seen.n, 1);
    char *big = malloc(100001);
    memset(big, 'x', 100000);
    big[100000] = '\0';
    sp_log(&log, SP_LOG_ERROR, "%s", big);
    ck_assert_int_eq(seen.n, 2);
    ck_assert_uint_gt(strlen(seen.line), 1000);
    ck_assert_uint_lt(strlen(seen.line), 2048);
    free(big);
}
END_TEST

/* What log writes to stderr while it points to a file. */
static void capture(enum sp_log_level level, char *out, size_t size)
{
    FILE *f = tmpfile();
    int keep = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(fileno(f), STDERR_FILENO), 0);
    struct sp_log log = sp_log_stderr("sallyport-test", SP_LOG_DEBUG);
    sp_log(&log, level, "text %d", 1);
    dup2(keep, STDERR_FILENO);
    close(keep);
    ssize_t n = pread(fileno(f), out, size - 1, 0);
    ck_assert_int_ge(n, 0);
    out[n] = '\0';
    fclose(f);
}

START_TEST(test_stderr)
{
    char out[256];
    setenv("JOURNAL_STREAM", "8:1", 1);
    capture(SP_LOG_WARN, out, sizeof(out));
    ck_assert_str_eq(out, "sallyport-test: warn: text 1\n");
    unsetenv("JOURNAL_STREAM");
    capture(SP_LOG_ERROR, out, sizeof(out));
    ck_assert_int_eq(out[0], '2');
    ck_assert_str_eq(out + strlen("2026-11-22T14:26:39.123456Z"), " sallyport-test: error: text 1\n");
}
END_TEST

START_TEST(test_level_names)
{
    ck_assert_str_eq(sp_log_level_name(SP_LOG_ERROR), "error");
    ck_assert_str_eq(sp_log_level_name(SP_LOG_DEBUG), "debug");
    ck_assert_str_eq(sp_log_level_name((enum sp_log_level) 99), "unknown");
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("text");
    tcase_add_test(c, test_utf8);
    tcase_add_test(c, test_escape);
    tcase_add_test(c, test_escape_cut);
    tcase_add_test(c, test_clean_grows_within_its_cap);
    tcase_add_test(c, test_log);
    tcase_add_test(c, test_stderr);
    tcase_add_test(c, test_level_names);
    return unit_run("text", c);
}
