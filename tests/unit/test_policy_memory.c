/* Each allocation of heads, patterns and policies fails in turn: the answer is a status or "cannot tell", and nothing leaks (seen by
 * the address sanitizer). The linker sends the calls of the core here; libraries keep their own. */
#include "config.h"

#include "policy_kit.h"

#include "sallyport/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

static int countdown = -1; /* calls until one fails; negative: none does */

static bool fails(void)
{
    return countdown >= 0 && countdown-- == 0;
}

#define WRAP(type, name, params, args)                                                                                                     \
    type __real_##name params;                                                                                                             \
    type __wrap_##name params;                                                                                                             \
    type __wrap_##name params                                                                                                              \
    {                                                                                                                                      \
        return fails() ? NULL : __real_##name args;                                                                                        \
    }
WRAP(void *, malloc, (size_t n), (n))
WRAP(void *, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, (void *p, size_t n), (p, n))
WRAP(char *, strdup, (const char *s), (s))
WRAP(pcre2_match_data *, pcre2_match_data_create_8, (uint32_t n, pcre2_general_context *c), (n, c))
WRAP(pcre2_match_context *, pcre2_match_context_create_8, (pcre2_general_context * c), (c))
WRAP(pcre2_match_context *, pcre2_match_context_copy_8, (pcre2_match_context * c), (c))

/* Runs attempt with the first, second, ... call failing, until it gets through; more than one failure must have been seen. */
static void exhaust(enum sp_status (*attempt)(void *arg), void *arg, int at_least)
{
    enum sp_status status = SP_ERR_NOMEM;
    int n = 0;
    for (; status != SP_OK; n++) {
        countdown = n;
        status = attempt(arg);
        countdown = -1;
        ck_assert_msg(status == SP_OK || status == SP_ERR_NOMEM, "call %d: %s", n, sp_status_name(status));
    }
    ck_assert_int_gt(n, at_least);
}

static enum sp_status parse_once(void *arg)
{
    static const char bytes[] = "GET / HTTP/1.1\r\nA: 1\r\n\r\n";
    struct sp_head *head = NULL;
    enum sp_status status = sp_head_parse(bytes, sizeof(bytes) - 1, *(enum sp_message_kind *) arg, &head);
    ck_assert((head != NULL) == (status == SP_OK));
    sp_head_free(&head);
    return status;
}

START_TEST(test_head)
{
    enum sp_message_kind kind = SP_MESSAGE_REQUEST;
    exhaust(parse_once, &kind, 3);
}
END_TEST

static enum sp_status pattern_once(void *arg)
{
    struct sp_error err = { 0 };
    struct sp_pattern *pattern = NULL;
    enum sp_status status = sp_pattern_new(sp_str_from(arg), &err, &pattern);
    ck_assert((pattern != NULL) == (status == SP_OK));
    ck_assert((err.text[0] == '\0') == (status == SP_OK));
    sp_pattern_free(&pattern);
    return status;
}

START_TEST(test_pattern)
{
    char regex[] = "^/a(b|c)";
    exhaust(pattern_once, regex, 1);
}
END_TEST

/* A match without memory is not "no match". */
START_TEST(test_match)
{
    struct sp_pattern *pattern = NULL;
    static char subject[8192];
    memset(subject, 'x', sizeof(subject));
    ck_assert_int_eq(sp_pattern_new(SP_STR("needle"), NULL, &pattern), SP_OK);
    countdown = 0;
    ck_assert_int_eq(sp_pattern_match(pattern, SP_STR("hay")), SP_PATTERN_LIMIT);
    countdown = 1; /* the context of a long search */
    ck_assert_int_eq(sp_pattern_match(pattern, (struct sp_str){ subject, sizeof(subject) }), SP_PATTERN_LIMIT);
    countdown = -1;
    ck_assert_int_eq(sp_pattern_match(pattern, (struct sp_str){ subject, sizeof(subject) }), SP_PATTERN_NO);
    sp_pattern_free(&pattern);
}
END_TEST

static enum sp_status policy_once(void *arg)
{
    struct sp_error err = { 0 };
    struct sp_policy *policy = NULL;
    enum sp_status status = load(arg, NULL, &err, &policy);
    ck_assert((policy != NULL) == (status == SP_OK));
    ck_assert((err.text[0] == '\0') == (status == SP_OK));
    sp_policy_free(&policy);
    return status;
}

START_TEST(test_policy)
{
    char dir[512];
    data_dir("etc/catalogue", dir);
    exhaust(policy_once, dir, 50);
}
END_TEST

START_TEST(test_all_kinds_of_conditions)
{
    char dir[32];
    write_dir(dir, "a.conf",
        RULES(RULE("x", "response",
            "method = ( \"GET\", \"PUT\" ); status = ( 200, 201 ); version = \"1\"; host = \"h\"; authority = \"h:\"; path = \"p\";"
            " when = ( { field = \"A\"; present = true; }, { field_prefix = \"B\"; value = \"v\"; } );",
            "block")));
    exhaust(policy_once, dir, 20);
    drop_dir(dir, "a.conf");
}
END_TEST

/* A folded value that cannot be joined for want of memory may have matched. */
START_TEST(test_unfold)
{
    struct sp_policy *policy = policy_of(RULES(RULE("x", "request", "when = ( { field = \"X\"; value = \"a b$\"; } );", "block")), NULL);
    static const char bytes[] = "GET / HTTP/1.1\r\nX: a\r\n c\r\n\r\n";
    struct sp_head *head = parse(bytes, sizeof(bytes) - 1, SP_MESSAGE_REQUEST);
    int n_limited = 0;
    for (int n = 0; n < 4; n++) {
        countdown = n;
        struct sp_policy_result result = decide(policy, sp_head_message(head));
        countdown = -1;
        ck_assert_int_eq(result.action, SP_ACTION_ALLOW);
        n_limited += result.is_limited;
    }
    ck_assert_int_eq(n_limited, 3); /* match data, joined value, match data */
    sp_head_free(&head);
    sp_policy_free(&policy);
}
END_TEST

static enum sp_status site_once(void *arg)
{
    struct sp_error err = { 0 };
    struct sp_policy *policy = NULL;
    enum sp_status status = load_site(arg, &err, &policy);
    ck_assert((policy != NULL) == (status == SP_OK));
    ck_assert((err.text[0] == '\0') == (status == SP_OK));
    sp_policy_free(&policy);
    return status;
}

START_TEST(test_site)
{
    struct site site;
    new_site(&site,
        "rules = ( { id = \"own\"; stage = \"request\"; client = [ \"10.0.0.0/8\", \"::1\" ]; user = ( \"a\", \"b\" ); action = \"allow\"; "
        "} );"
        "lists = ( { name = \"l\"; file = \"LIST\"; } ); rule_actions = ( { rule = \"x\"; action = \"report\"; } );"
        "exceptions = ( { host = ( \"a\", \"b\" ); client = \"::1\"; user = \"u\"; rules = \"list:*\"; }, { user = \"v\"; } );",
        RULES(RULE("x", "request", "body = \"b\"; when = ( { field = \"A\"; jwt = \"j\"; } );", "block")), "a.example\n");
    exhaust(site_once, &site, 40);
    drop_site(&site);
}
END_TEST

/* So may a token that cannot be decoded; and a description has room for all or fails. */
START_TEST(test_token)
{
    struct sp_policy *policy = policy_of(RULES(RULE("x", "request", "when = ( { field = \"X\"; jwt = \"no\"; } );", "block")), NULL);
    static const char bytes[] = "GET / HTTP/1.1\r\nX: a.e30.b\r\n\r\n";
    struct sp_head *head = parse(bytes, sizeof(bytes) - 1, SP_MESSAGE_REQUEST);
    for (int n = 0; n < 3; n++) { /* room, match data, none */
        countdown = n;
        struct sp_policy_result result = decide(policy, sp_head_message(head));
        countdown = -1;
        ck_assert_int_eq(result.action, SP_ACTION_ALLOW);
        ck_assert_int_eq(result.is_limited, n < 2);
    }
    sp_head_free(&head);
    sp_policy_free(&policy);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("policy_memory");
    tcase_add_test(tc, test_head);
    tcase_add_test(tc, test_pattern);
    tcase_add_test(tc, test_match);
    tcase_add_test(tc, test_policy);
    tcase_add_test(tc, test_all_kinds_of_conditions);
    tcase_add_test(tc, test_unfold);
    tcase_add_test(tc, test_site);
    tcase_add_test(tc, test_token);
    return unit_run("policy_memory", tc);
}
