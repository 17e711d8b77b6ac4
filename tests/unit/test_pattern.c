/* Patterns: what they mean, that no subject can make them slow, that threads may share one, and that the literal start that
 * is compared first never changes an answer; what bytes are in every match. */
#include "config.h"

#include "unit.h"

#include "sallyport/pattern.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define KIB 1024

static struct sp_pattern *compile(const char *regex)
{
    struct sp_error err = { 0 };
    struct sp_pattern *pattern = NULL;
    ck_assert_msg(sp_pattern_new(sp_str_from(regex), &err, &pattern) == SP_OK, "%s: %s", regex, err.text);
    return pattern;
}

static const struct {
    const char *regex;
    const char *subject;
    enum sp_pattern_result result;
} match_cases[] = {
    { "b", "abc", SP_PATTERN_YES },
    { "^b", "abc", SP_PATTERN_NO },
    { "c$", "abc", SP_PATTERN_YES },
    { "b$", "abc", SP_PATTERN_NO },
    { "^$", "", SP_PATTERN_YES },
    { "x*", "", SP_PATTERN_YES },
    { "x", "", SP_PATTERN_NO },
    { "c$", "abc\n", SP_PATTERN_NO },             /* $ is the end, not the end but one */
    { "^b", "a\nb", SP_PATTERN_NO },              /* and ^ the start */
    { "a.b", "a\nb", SP_PATTERN_YES },            /* a line end is a byte */
    { "a.b", "a\xff" "b", SP_PATTERN_YES },       /* bytewise */
    { "^a..b$", "a\xc3\xa4" "b", SP_PATTERN_YES },
    { "\\xC8\\x33", "\xc8\x33", SP_PATTERN_YES },
    { "ABC", "abc", SP_PATTERN_NO },
    { "(?i)ABC", "abc", SP_PATTERN_YES },
    { "(?i)(^|\\.)vpn\\.example:", "x.VPN.example:443", SP_PATTERN_YES },
    { "(?i)(^|\\.)vpn\\.example:", "xvpn.example:443", SP_PATTERN_NO },
    { "^/sra_(\\{|%7[Bb])X(\\}|%7[Dd])/?$", "/sra_%7bX}", SP_PATTERN_YES },
    { "^/sra_(\\{|%7[Bb])X(\\}|%7[Dd])/?$", "/sra_X", SP_PATTERN_NO },
    { "^/sra_", "/sra", SP_PATTERN_NO },
    { "^18446744073709551615$", "18446744073709551615", SP_PATTERN_YES },
    { "^18446744073709551615$", "184467440737095516150", SP_PATTERN_NO },
};

START_TEST(test_match)
{
    struct sp_pattern *pattern = compile(match_cases[_i].regex);
    enum sp_pattern_result result = sp_pattern_match(pattern, sp_str_from(match_cases[_i].subject));
    ck_assert_msg(result == match_cases[_i].result, "%s on \"%s\": %d", match_cases[_i].regex, match_cases[_i].subject, result);
    sp_pattern_free(&pattern);
    ck_assert_ptr_null(pattern);
    sp_pattern_free(&pattern);
}
END_TEST

static const struct {
    const char *regex;
    const char *text; /* part of the message */
} bad_cases[] = {
    { "a(b", "offset 3" },
    { "a)", "offset 1" },
    { "[a", "offset 2" },
    { "*a", "offset 0" },
    { "a{2,1}", "offset" },
    { "\\", "offset 1" },
    { "(a)\\1", "offset" }, /* nothing is captured */
    { "(*UTF)a", "not allowed" },
    { "(*LIMIT_MATCH=1000000000)a", "not allowed" },
};

START_TEST(test_bad)
{
    struct sp_error err = { 0 };
    struct sp_pattern *pattern = NULL;
    ck_assert_int_eq(sp_pattern_new(sp_str_from(bad_cases[_i].regex), &err, &pattern), SP_ERR_SYNTAX);
    ck_assert_ptr_null(pattern);
    ck_assert_msg(strstr(err.text, bad_cases[_i].text) != NULL, "%s: %s", bad_cases[_i].regex, err.text);
}
END_TEST

/* --- literal start --------------------------------------------------------------------------------------------------- */

static bool has_one_of(struct sp_str subject, const struct sp_pattern *pattern)
{
    const size_t n = sp_pattern_count_literals(pattern);
    for (size_t i = 0; i < n; i++)
        if (sp_str_contains_nocase(subject, sp_pattern_literal(pattern, i)))
            return true;
    return n == 0;
}

/* Each pattern against each subject, once as it is and once inside a group, where no literal start is taken. */
START_TEST(test_literal_start)
{
    static const char *const regexes[] = {
        "^/a", "^/ab?", "^/ab*c", "^/ab+c", "^/ab{0,2}c", "^/a{2}", "^/a|b", "^(/a|b)", "^/a(b|c)", "^/a[b|c]d|x", "^/a\\.b", "^/a\\d",
        "^/a\\?b$", "^/a\\[b|x", "^/a[]|]b|x", "^/a[^]|]b", "^/a\\Q|\\Eb|x", "^/ab\\E?c", "^/a[[:alpha:]]|x", "^/a[[:alpha:](]|x",
        "^/a[[:]|x]|x",
        "^/a\\c(|x", "^/a[\\c]]|x", "^/a(?i)B", "^/a(?#|)b", "^/a(?:b|c)d", "^/a(?=b|c)", "^/a.b", "^/a$", "^^/a", "^", "^$", "^/a\\E",
        "^/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab?c", "^/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab?c", "^/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab?c",
        "^/aaaaaaaaaaaaaaaaaaaaaaaaaaaaab?c", "^ab]c", "^/a\\/b", "^\\/a", "^\\x2fa", "^/a{b", "^/a\\{b",
        "^/(ab|b)c", "^/(ab|b)?c", "/ab|/ac", "(ab|ac){0,1}x?b", "(?:a(?=b|c)|ad)", "(?!/ab)/a", "(/ab|/ac|)", "((/a)b|/(a[cd]))"
    };
    static const char *const subjects[] = {
        "", "/", "/a", "/ab", "/abc", "/ac", "/abbc", "/aa", "/aab", "b", "x", "/ad", "/abd", "/a|d", "/a.b", "/a1", "/a?b", "/a[b",
        "/a]b", "/a|b", "/aB", "/ab", "/acd", "/axb", "|", "|b", "/ab|", "/aE", "/ab]c", "ab]c", "/a/b", "/a{b", "/aac", "/a:", "/a(",
        "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabc", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac",
        "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaac"
    };
    for (size_t r = 0; r < sizeof(regexes) / sizeof(regexes[0]); r++) {
        char grouped[200];
        snprintf(grouped, sizeof(grouped), "(?:%s)", regexes[r]);
        struct sp_pattern *plain = compile(regexes[r]);
        struct sp_pattern *reference = compile(grouped);
        for (size_t s = 0; s < sizeof(subjects) / sizeof(subjects[0]); s++) {
            struct sp_str subject = sp_str_from(subjects[s]);
            enum sp_pattern_result result = sp_pattern_match(reference, subject);
            ck_assert_msg(sp_pattern_match(plain, subject) == result, "%s on %s", regexes[r], subjects[s]);
            bool has_literal = has_one_of(subject, plain);
            ck_assert_msg(result != SP_PATTERN_YES || has_literal, "literal of %s not in %s", regexes[r], subjects[s]);
        }
        sp_pattern_free(&plain);
        sp_pattern_free(&reference);
    }
}
END_TEST

/* --- literal --------------------------------------------------------------------------------------------------------- */

/* What must be in a match, "" for what cannot be told; blanks stand between several. */
static const struct {
    const char *regex;
    const char *literal;
} literal_cases[] = {
    { "", "" },
    { "abc", "abc" },
    { "^/go\\.php\\?u=[^&]+&b=[0-9]+", "/go.php?u=" },
    { "(?i)^PAN Global", "PAN Global" },
    { "(?i)(^|\\.)vpn\\.example:", "vpn.example:" },
    { "(?<![^;\\s])COOKIE=", "COOKIE=" },
    { "(?<=abcdef)ab", "ab" },
    { "ab(?!cdefgh)cd", "ab" }, /* the first of the longest */
    { "ab(?=cdef)", "ab" },
    { "/uv\\.(config|handler)\\.js(\\?|$)", "config handler" },
    { "(abc|abd)", "abc abd" },
    { "(?:abc|abd){2}", "" }, /* none would be a count too */
    { "x(abc|abd)*", "x" },
    { "x(abc|abd)?y", "x" },
    { "(abc|abd)+", "abc abd" },
    { "(abc|[def])", "" },
    { "x(abc|)", "x" },
    { "(?:ab(?:cde|cdf)|efg)h", "cde cdf efg" },
    { "(?=abcd|efgh)i", "i" },
    { "(?<!abcd|efgh)i", "i" },
    { "(a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p)", "a b c d e f g h i j k l m n o p" },
    { "(a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p|q)", "" },
    { "((((((((ab))))))))", "ab" },
    { "(((((((((ab)))))))))", "" },
    { "(ab|c\\x41)de", "" },
    { "(abcd)", "abcd" },
    { "a(b(c)d)e", "a" },
    { "a[bc]defg", "defg" },
    { "a[])]bc", "bc" },
    { "ab|cd", "ab cd" },
    { "abc|", "" },
    { "(ab|cd)e|f", "ab cd f" },
    { "abcd?", "abc" },
    { "abcd*e", "abc" },
    { "abcd*?ef", "abc" },
    { "ab+c", "ab" },
    { "ab+?cde", "cde" },
    { "abc{0}", "ab" },
    { "abc{0,2}de", "ab" },
    { "abc{2}", "ab" },
    { "abc{x}", "" }, /* bytes like any others to PCRE2, and not worth a thought */
    { "a?", "" },
    { "(abc)?d", "d" },
    { "abc.def?", "abc" },
    { "a\\.b\\?", "a.b?" },
    { "a\\.?bc", "bc" },
    { "a\\dbc", "bc" },
    { "\\bword\\b", "word" },
    { "a\\x41bcdef", "" }, /* more than two bytes of it belong together */
    { "a\\101bcdef", "" },
    { "a\\tbcdef", "" },
    { "a\\p{Lu}bcd", "" },
    { "a\\Qb|c\\Ede", "" },
    { "abc(?i)def", "" },
    { "(?x)a b c # d", "" },
    { "(?i:abc)def", "" },
    { "abc(?#def)", "" },
    { "a(?|b|c)def", "" },
    { "a(?>b|c)def", "" },
    { "(?(?=a)b|c)def", "" },
    { "a(*ACCEPT)bcdef", "" },
    { "a(b(*ACCEPT))cdef", "" },
    { "a[[:alpha:]]bc", "" },
    { "0123456789012345678901234567890123456789", "01234567890123456789012345678901" },
    { "0123456789012345678901234567890123456789?", "0123456789012345678901234567890" },
};

START_TEST(test_literal)
{
    struct sp_pattern *pattern = compile(literal_cases[_i].regex);
    char all[1024] = "";
    for (size_t i = 0, n = 0; i < sp_pattern_count_literals(pattern); i++) {
        struct sp_str literal = sp_pattern_literal(pattern, i);
        n += (size_t) snprintf(all + n, sizeof(all) - n, "%s%.*s", i > 0 ? " " : "", (int) literal.n, literal.p);
    }
    ck_assert_msg(strcmp(all, literal_cases[_i].literal) == 0, "%s: \"%s\"", literal_cases[_i].regex, all);
    sp_pattern_free(&pattern);
}
END_TEST

/* --- effort ---------------------------------------------------------------------------------------------------------- */

static int64_t thread_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static char *repeated(const char *unit, size_t n)
{
    char *bytes = malloc(n);
    size_t unit_n = strlen(unit);
    for (size_t i = 0; i < n; i++)
        bytes[i] = unit[i % unit_n];
    return bytes;
}

/* The subject is unit again and again, then tail: often the bytes without which PCRE2 would see at once that there is no match. */
static const struct {
    const char *regex;
    const char *unit;
    const char *tail;
    bool must_give_up; /* else NO is allowed as well, when it comes in time */
} hostile_cases[] = {
    { "(a|b|ab)+q", "ab", "Xq", true }, /* exponential */
    { "([ab]+)+q", "ab", "Xq", true },
    { "^(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "b", true },
    { "x(?=[xyz]*w)", "x", "Qw", true }, /* quadratic, and no backtracking point counts it */
    { "(?:x(?=[xyz]*w?))+w", "x", "Qw", true },
    { "x.*x.*x.*y.*qw", "xy", "wq", true }, /* polynomial */
    { "(?=.*w)x|(?=.*q)x", "x", "", false },
    { "a.*b.*c", "ab", "", false },
    { "(^|;\\s*)name=", "; ", "=", false },
    { "(^|;\\s*)name=", ";                    ", "=", false },
    { "[?&]x_padding=X{20,}", "&x_padding=XXXX", "", false },
    { "\"p\":.*\"r\":.*\"rp\":", "\"p\":\"r\":", "\"rp\"", false },
};

/* Much less is expected; sanitizers and old machines are slower. */
#define HOSTILE_MAX_MS 300
#define HOSTILE_SHORT_MAX_MS 20 /* up to 1 KiB */

START_TEST(test_hostile)
{
    struct sp_pattern *pattern = compile(hostile_cases[_i].regex);
    for (size_t n = 64; n <= 256 * KIB; n *= 4) {
        char *bytes = repeated(hostile_cases[_i].unit, n);
        size_t tail_n = strlen(hostile_cases[_i].tail);
        memcpy(bytes + n - tail_n, hostile_cases[_i].tail, tail_n);
        int64_t start = thread_ms();
        enum sp_pattern_result result = sp_pattern_match(pattern, (struct sp_str){ bytes, n });
        long long took = thread_ms() - start;
        int allowed = n <= 1 * KIB ? HOSTILE_SHORT_MAX_MS : HOSTILE_MAX_MS;
        ck_assert_msg(took <= allowed, "%s on %zu bytes: %lld ms", hostile_cases[_i].regex, n, took);
        ck_assert_int_ne(result, SP_PATTERN_YES);
        if (n >= 64 * KIB && hostile_cases[_i].must_give_up)
            ck_assert_int_eq(result, SP_PATTERN_LIMIT);
        free(bytes);
    }
    sp_pattern_free(&pattern);
}
END_TEST

/* Ordinary patterns answer on long subjects, wherever the hit is: at the edges of windows too. */
START_TEST(test_long_subjects)
{
    struct sp_pattern *free_floating = compile("[?&]needle=(1|2)$");
    struct sp_pattern *look_back = compile("(?<=x)needle");
    struct sp_pattern *at_end = compile("y$|z$");
    struct sp_pattern *behind = compile("(?<=x)$");
    for (size_t n = 1 * KIB; n <= 64 * KIB; n *= 2) {
        char *bytes = repeated("x", n);
        struct sp_str subject = { bytes, n };
        ck_assert_int_eq(sp_pattern_match(free_floating, subject), SP_PATTERN_NO);
        ck_assert_int_eq(sp_pattern_match(look_back, subject), SP_PATTERN_NO);
        ck_assert_int_eq(sp_pattern_match(at_end, subject), SP_PATTERN_NO);
        ck_assert_int_eq(sp_pattern_match(behind, subject), SP_PATTERN_YES);
        bytes[n - 1] = 'y';
        ck_assert_int_eq(sp_pattern_match(at_end, subject), SP_PATTERN_YES);
        for (size_t at = n - 9; at > n / 2; at -= n / 7) {
            memcpy(bytes + at, "&needle=2", 9);
            subject.n = at + 9;
            ck_assert_int_eq(sp_pattern_match(free_floating, subject), SP_PATTERN_YES);
            memcpy(bytes + at, "xneedlexx", 9);
            subject.n = n;
            ck_assert_int_eq(sp_pattern_match(look_back, subject), SP_PATTERN_YES);
            memset(bytes + at, 'x', 9);
        }
        free(bytes);
    }
    sp_pattern_free(&free_floating);
    sp_pattern_free(&look_back);
    sp_pattern_free(&at_end);
    sp_pattern_free(&behind);
}
END_TEST

/* A hit at every position of a subject that is searched in windows. */
START_TEST(test_every_position)
{
    enum { SIZE = 8 * KIB };
    struct sp_pattern *pattern = compile("needle");
    char *bytes = repeated("n", SIZE);
    for (size_t at = 0; at + 6 <= SIZE; at++) {
        memcpy(bytes + at, "needle", 6);
        ck_assert_int_eq(sp_pattern_match(pattern, (struct sp_str){ bytes, SIZE }), SP_PATTERN_YES);
        memcpy(bytes + at, "nnnnnn", 6);
    }
    ck_assert_int_eq(sp_pattern_match(pattern, (struct sp_str){ bytes, SIZE }), SP_PATTERN_NO);
    free(bytes);
    sp_pattern_free(&pattern);
}
END_TEST

START_TEST(test_empty_subject)
{
    struct sp_pattern *pattern = compile("a");
    ck_assert_int_eq(sp_pattern_match(pattern, (struct sp_str){ NULL, 0 }), SP_PATTERN_NO);
    sp_pattern_free(&pattern);
    pattern = compile("^/a");
    ck_assert_int_eq(sp_pattern_match(pattern, (struct sp_str){ NULL, 0 }), SP_PATTERN_NO);
    sp_pattern_free(&pattern);
}
END_TEST

/* --- threads --------------------------------------------------------------------------------------------------------- */

static void *match_often(void *arg)
{
    const struct sp_pattern *pattern = arg;
    size_t wrong = 0;
    for (int i = 0; i < 20000; i++) {
        wrong += sp_pattern_match(pattern, SP_STR("/x?needle=1")) != SP_PATTERN_YES;
        wrong += sp_pattern_match(pattern, SP_STR("/x?noodle=1")) != SP_PATTERN_NO;
    }
    return wrong == 0 ? arg : NULL;
}

START_TEST(test_threads)
{
    struct sp_pattern *pattern = compile("[?&]needle=[0-9]+");
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, match_often, pattern), 0);
    for (size_t i = 0; i < 4; i++) {
        void *result = NULL;
        ck_assert_int_eq(pthread_join(threads[i], &result), 0);
        ck_assert_ptr_nonnull(result);
    }
    sp_pattern_free(&pattern);
}
END_TEST

#define add_table(tc, test, table) tcase_add_loop_test(tc, test, 0, (int) (sizeof(table) / sizeof((table)[0])))

int main(void)
{
    TCase *tc = tcase_create("pattern");
    add_table(tc, test_match, match_cases);
    add_table(tc, test_bad, bad_cases);
    add_table(tc, test_literal, literal_cases);
    add_table(tc, test_hostile, hostile_cases);
    tcase_add_test(tc, test_literal_start);
    tcase_add_test(tc, test_long_subjects);
    tcase_add_test(tc, test_every_position);
    tcase_add_test(tc, test_empty_subject);
    tcase_add_test(tc, test_threads);
    return unit_run("pattern", tc);
}
