/* status, str, buf, clock, outcome: the small modules below all others. */
#include "config.h"

#include "unit.h"

#include "sallyport/buf.h"
#include "sallyport/clock.h"
#include "sallyport/outcome.h"
#include "sallyport/status.h"

START_TEST(first_error_wins)
{
    struct sp_error err = { 0 };
    ck_assert_int_eq(sp_error_set(&err, SP_ERR_IO, "first %d", 1), SP_ERR_IO);
    ck_assert_int_eq(sp_error_set(&err, SP_ERR_CONF, "second"), SP_ERR_CONF);
    ck_assert_str_eq(err.text, "first 1");
    ck_assert_int_eq(sp_error_set(NULL, SP_ERR_NOMEM, "nowhere"), SP_ERR_NOMEM);
}
END_TEST

START_TEST(every_status_has_a_name)
{
    for (int i = SP_OK; i <= SP_ERR_CLOSED; i++)
        ck_assert_str_ne(sp_status_name((enum sp_status) i), "unknown status");
    ck_assert_str_eq(sp_status_name((enum sp_status) 99), "unknown status");
}
END_TEST

START_TEST(strings_compare_without_locale_and_case)
{
    static const struct {
        const char *a, *b;
        bool equal, equal_nocase, starts, contains; /* of a and b, the last two without case */
    } cases[] = {
        { "", "", true, true, true, true },
        { "Host", "host", false, true, true, true },
        { "Host", "hos", false, false, true, true },
        { "X-Host", "host", false, false, false, true },
        { "Ho", "host", false, false, false, false },
        { "[", "{", false, false, false, false }, /* differ by the case bit, but are no letters */
        { "\xc4", "\xe4", false, false, false, false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_str a = sp_str_from(cases[i].a), b = sp_str_from(cases[i].b);
        ck_assert_msg(sp_str_equal(a, b) == cases[i].equal, "equal %zu", i);
        ck_assert_msg(sp_str_equal_nocase(a, b) == cases[i].equal_nocase, "equal_nocase %zu", i);
        ck_assert_msg(sp_str_starts_nocase(a, b) == cases[i].starts, "starts %zu", i);
        ck_assert_msg(sp_str_contains_nocase(a, b) == cases[i].contains, "contains %zu", i);
    }
    ck_assert_uint_eq(sp_str_from(NULL).n, 0);
}
END_TEST

START_TEST(trim_and_copy)
{
    struct sp_str s = sp_str_trim(SP_STR(" \t a b\t "));
    ck_assert(sp_str_equal(s, SP_STR("a b")));
    ck_assert_uint_eq(sp_str_trim(SP_STR(" \t ")).n, 0);
    char out[4];
    ck_assert_str_eq(sp_str_copy(SP_STR("abcdef"), out, sizeof(out)), "abc");
    ck_assert_str_eq(sp_str_copy(SP_STR("a\0c"), out, sizeof(out)), "a?c");
}
END_TEST

START_TEST(buffer_keeps_its_cap)
{
    struct sp_buf b;
    sp_buf_init(&b, 10);
    ck_assert_int_eq(sp_buf_add(&b, "12345", 5), SP_OK);
    ck_assert_int_eq(sp_buf_addf(&b, "%d", 678), SP_OK);
    ck_assert_int_eq(sp_buf_add(&b, "abc", 3), SP_ERR_LIMIT);
    ck_assert_int_eq(sp_buf_addf(&b, "%s", "abc"), SP_ERR_LIMIT);
    ck_assert_str_eq(b.p, "12345678");
    ck_assert_int_eq(sp_buf_add_str(&b, SP_STR("ab")), SP_OK);
    ck_assert_uint_eq(b.n, 10);
    ck_assert_int_eq(sp_buf_add(&b, "", 0), SP_OK);
    ck_assert_int_eq(sp_buf_add(&b, "x", SIZE_MAX), SP_ERR_LIMIT);
    sp_buf_clear(&b);
    ck_assert_uint_eq(b.n, 0);
    sp_buf_fini(&b);
    ck_assert_int_eq(sp_buf_add(&b, "again", 5), SP_OK);
    sp_buf_fini(&b);
}
END_TEST

START_TEST(time_is_rfc3339)
{
    char text[SP_CLOCK_TEXT_SIZE];
    sp_clock_format(1764000000123456, text);
    ck_assert_str_eq(text, "2025-11-24T16:00:00.123456Z");
    sp_clock_format(0, text);
    ck_assert_str_eq(text, "1970-01-01T00:00:00.000000Z");
    int64_t before = sp_clock_mono_us();
    ck_assert_int_le(before, sp_clock_mono_us());
}
END_TEST

START_TEST(outcomes_default_as_the_design_says)
{
    static const struct {
        const char *name;
        enum sp_action action;
    } rows[] = {
        { "clean", SP_ACTION_ALLOW }, { "infected", SP_ACTION_BLOCK }, { "rule", SP_ACTION_BLOCK }, { "limit", SP_ACTION_BLOCK },
        { "undecodable", SP_ACTION_BLOCK }, { "encrypted", SP_ACTION_ALLOW }, { "oversize", SP_ACTION_ALLOW },
        { "partial", SP_ACTION_ALLOW }, { "error", SP_ACTION_BLOCK }, { "overload", SP_ACTION_BLOCK },
        { "gone", SP_ACTION_NONE },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool is_found = false;
        for (unsigned o = 0; o < SP_OUTCOME_COUNT; o++) {
            if (strcmp(sp_outcome_name((enum sp_outcome) o), rows[i].name) != 0)
                continue;
            is_found = true;
            ck_assert_msg(sp_outcome_default((enum sp_outcome) o) == rows[i].action, "%s", rows[i].name);
        }
        ck_assert_msg(is_found, "%s", rows[i].name);
    }
    /* What is certain is not a matter of configuration. */
    ck_assert(!sp_outcome_is_configurable(SP_OUTCOME_CLEAN));
    ck_assert(!sp_outcome_is_configurable(SP_OUTCOME_RULE));
    ck_assert(sp_outcome_is_configurable(SP_OUTCOME_ERROR));
}
END_TEST

START_TEST(actions_parse_by_name)
{
    enum sp_action action = SP_ACTION_ALLOW;
    ck_assert(sp_action_parse(SP_STR("block"), &action));
    ck_assert_int_eq(action, SP_ACTION_BLOCK);
    ck_assert(!sp_action_parse(SP_STR("Block"), &action));
    ck_assert_str_eq(sp_action_name(SP_ACTION_NONE), "none"); /* it happens; nobody can ask for it */
    ck_assert(!sp_action_parse(SP_STR("none"), &action));
    ck_assert(!sp_action_parse(SP_STR(""), &action));
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("base");
    tcase_add_test(c, first_error_wins);
    tcase_add_test(c, every_status_has_a_name);
    tcase_add_test(c, strings_compare_without_locale_and_case);
    tcase_add_test(c, trim_and_copy);
    tcase_add_test(c, buffer_keeps_its_cap);
    tcase_add_test(c, time_is_rfc3339);
    tcase_add_test(c, outcomes_default_as_the_design_says);
    tcase_add_test(c, actions_parse_by_name);
    return unit_run("base", c);
}
