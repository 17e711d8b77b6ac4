/* The block page: what attackers may put into each variable, parts that come and go, and templates that are wrong. */
#include "config.h"

#include "page_kit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- memory that fails: the linker routes these calls here (Makefile.am) --------------------------------------------------- */

static int calls_until_failure = -1; /* -1: never; counts only while armed */
static bool is_armed;

static bool must_fail(void)
{
    return is_armed && calls_until_failure >= 0 && calls_until_failure-- == 0;
}

#define WRAP(name, parameters, arguments)                                                                                                  \
    void *__real_##name parameters;                                                                                                        \
    void *__wrap_##name parameters;                                                                                                        \
    void *__wrap_##name parameters                                                                                                         \
    {                                                                                                                                      \
        return must_fail() ? NULL : __real_##name arguments;                                                                               \
    }

WRAP(calloc, (size_t n, size_t m), (n, m))
WRAP(realloc, (void *p, size_t n), (p, n))
WRAP(strdup, (const char *s), (s))

/* --- helpers ---------------------------------------------------------------------------------------------------------- */

static char path[64];

static void setup(void)
{
    snprintf(path, sizeof(path), "/tmp/test_page.XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void)
{
    unlink(path);
}

static void write_template(const char *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(p, 1, n, f), n);
    fclose(f);
}

static struct sp_page *new_page(const char *text, const char *contact)
{
    struct sp_page *page = NULL;
    struct sp_error err = { 0 };
    write_template(text, strlen(text));
    ck_assert_msg(sp_page_new(&(struct sp_page_options){ .path = path, .contact = contact }, &err, &page) == SP_OK, "%s", err.text);
    ck_assert_str_eq(err.text, "");
    return page;
}

static void expect_html(const char *text, const struct sp_page_values *values, const char *want)
{
    struct sp_page *page = new_page(text, "the desk");
    expect_render(page, SP_PAGE_HTML, values, want);
    sp_page_free(&page);
    ck_assert_ptr_null(page);
    sp_page_free(&page);
}

/* --- variables -------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *raw, *html, *json;
} injections[] = {
    { "plain text, 100 %s", "plain text, 100 %s", "plain text, 100 %s" },
    { "<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;", "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e" },
    { "\" onload=\"x", "&quot; onload=&quot;x", "\\\" onload=\\\"x" },
    { "' onload='x", "&#39; onload=&#39;x", "\\u0027 onload=\\u0027x" },
    { "&lt;b&gt; &amp;", "&amp;lt;b&amp;gt; &amp;amp;", "\\u0026lt;b\\u0026gt; \\u0026amp;" },
    { "\\", "\\", "\\\\" },
    { "\\\"", "\\&quot;", "\\\\\\\"" },
    { "a\r\nb\tc",
        "a\xef\xbf\xbd\xef\xbf\xbd"
        "b\xef\xbf\xbd"
        "c",
        "a\\u000d\\u000ab\\u0009c" },
    { "\x01\x1b[31m\x7f", "\xef\xbf\xbd\xef\xbf\xbd[31m\xef\xbf\xbd", "\\u0001\\u001b[31m\\u007f" },
    { "{{id}}{{#url}}", "{{id}}{{#url}}", "{{id}}{{#url}}" },
    { "]]>--><!--", "]]&gt;--&gt;&lt;!--", "]]\\u003e--\\u003e\\u003c!--" },
    { "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xa2", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xa2",
        "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xa2" },
    { "\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd" },
    { "\xc3<b>", "\xef\xbf\xbd&lt;b&gt;", "\xef\xbf\xbd\\u003cb\\u003e" },                              /* a lead byte that would swallow */
    { "\xc0\xbc", "\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd" },                             /* overlong < */
    { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* a surrogate */
    { "x\xf0\x9f\x9a", "x\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "x\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
    { "\xc2\x9b"
      "31m",
        "\xef\xbf\xbd"
        "31m",
        "\\u009b31m" }, /* C1 */
    { "a\xe2\x80\xae"
      "txt.exe",
        "a\xef\xbf\xbd"
        "txt.exe",
        "a\\u202etxt.exe" }, /* turns the text around */
    { "a\xe2\x80\xa8"
      "b",
        "a\xef\xbf\xbd"
        "b",
        "a\\u2028b" },
};

START_TEST(injection_into_every_variable)
{
    char text[64], want[4096];
    for (unsigned v = 0; v < N_GIVEN; v++) {
        snprintf(text, sizeof(text), "<a title=\"{{%s}}\">", given_names[v]);
        struct sp_page *page = new_page(text, "");
        for (size_t i = 0; i < sizeof(injections) / sizeof(injections[0]); i++) {
            struct sp_page_values values = { 0 };
            set_value(&values, v, injections[i].raw);
            snprintf(want, sizeof(want), "<a title=\"%s\">", injections[i].html);
            expect_render(page, SP_PAGE_HTML, &values, want);
        }
        sp_page_free(&page);
    }
}
END_TEST

START_TEST(injection_into_json)
{
    /* Where each variable lands; NULL: it is not part of the reply. */
    static const char *const names[N_GIVEN] = { "outcome", "reason", "rule", NULL, "category", "signature", "id", NULL, "url", NULL };
    static const char *const order[] = { "outcome", "reason", "rule", "category", "signature", "url", "id", "contact" };
    struct sp_page *page = NULL;
    ck_assert_int_eq(sp_page_new(&(struct sp_page_options){ .path = "", .contact = "" }, NULL, &page), SP_OK);
    for (unsigned v = 0; v < N_GIVEN; v++) {
        for (size_t i = 0; i < sizeof(injections) / sizeof(injections[0]); i++) {
            struct sp_page_values values = { 0 };
            char want[4096] = "{\"blocked\":true";
            set_value(&values, v, injections[i].raw);
            for (size_t o = 0; o < sizeof(order) / sizeof(order[0]); o++) {
                bool is_here = names[v] != NULL && strcmp(names[v], order[o]) == 0;
                size_t used = strlen(want);
                snprintf(want + used, sizeof(want) - used, ",\"%s\":\"%s\"", order[o], is_here ? injections[i].json : "");
            }
            strncat(want, "}\n", sizeof(want) - strlen(want) - 1);
            expect_render(page, SP_PAGE_JSON, &values, want);
        }
    }
    sp_page_free(&page);
}
END_TEST

START_TEST(contact_is_escaped_too)
{
    struct sp_page_values values = { 0 };
    struct sp_page *page = new_page("{{contact}}", "<desk@example.com> & co");
    expect_render(page, SP_PAGE_HTML, &values, "&lt;desk@example.com&gt; &amp; co");
    expect_render(page, SP_PAGE_JSON, &values,
        "{\"blocked\":true,\"outcome\":\"\",\"reason\":\"\",\"rule\":\"\",\"category\":\"\",\"signature\":\"\",\"url\":\"\",\"id\":\"\","
        "\"contact\":\"\\u003cdesk@example.com\\u003e \\u0026 co\"}\n");
    sp_page_free(&page);
    page = new_page("[{{contact}}]", NULL);
    expect_render(page, SP_PAGE_HTML, &values, "[]");
    sp_page_free(&page);
}
END_TEST

START_TEST(bytes_inside_a_value_that_end_strings)
{
    struct sp_page_values values = { .url = { "a\0b<", 4 } };
    struct sp_page *page = new_page("{{url}}", "");
    struct sp_buf out;
    sp_buf_init(&out, OUT_MAX);
    ck_assert_int_eq(sp_page_render(page, SP_PAGE_HTML, &values, &out), SP_OK);
    ck_assert_str_eq(out.p,
        "a\xef\xbf\xbd"
        "b&lt;");
    sp_buf_clear(&out);
    ck_assert_int_eq(sp_page_render(page, SP_PAGE_JSON, &values, &out), SP_OK);
    ck_assert_ptr_nonnull(strstr(out.p, "\"url\":\"a\\u0000b\\u003c\""));
    sp_buf_fini(&out);
    sp_page_free(&page);
}
END_TEST

START_TEST(long_values_are_cut)
{
    static char url[100000];
    struct sp_page *page = new_page("{{url}}|", "");
    for (size_t lead = 0; lead < 4; lead++) { /* the cut falls on each byte of a character */
        struct sp_buf out;
        memset(url, 'x', lead);
        for (size_t i = lead; i + 3 <= sizeof(url); i += 3)
            memcpy(url + i, "\xe2\x82\xac", 3);
        struct sp_page_values values = { .url = { url, sizeof(url) } };
        sp_buf_init(&out, OUT_MAX);
        ck_assert_int_eq(sp_page_render(page, SP_PAGE_HTML, &values, &out), SP_OK);
        ck_assert_uint_ge(out.n, 2048);
        ck_assert_uint_lt(out.n, 2060);
        ck_assert_str_eq(out.p + out.n - 7, "\xe2\x82\xac\xe2\x80\xa6|"); /* a whole character, then the mark */
        sp_buf_fini(&out);
    }
    memset(url, 'y', 2048);
    struct sp_page_values values = { .url = { url, 2048 } };
    struct sp_buf out;
    sp_buf_init(&out, OUT_MAX);
    ck_assert_int_eq(sp_page_render(page, SP_PAGE_HTML, &values, &out), SP_OK);
    ck_assert_uint_eq(out.n, 2049);
    sp_buf_fini(&out);
    sp_page_free(&page);
}
END_TEST

/* --- templates -------------------------------------------------------------------------------------------------------- */

START_TEST(parts)
{
    static const struct {
        const char *text;
        const char *signature, *rule;
        const char *want;
    } cases[] = {
        { "", "", "", "" },
        { "just text { } } {", "", "", "just text { } } {" },
        { "a}}b", "", "", "a}}b" },
        { "{{signature}}", "Eicar", "", "Eicar" },
        { "{{ signature }}{{\tsignature\t}}", "Eicar", "", "EicarEicar" },
        { "{{signature}}", NULL, NULL, "" },
        { "a{{#signature}}b{{/signature}}c", "Eicar", "", "abc" },
        { "a{{#signature}}b{{/signature}}c", "", "", "ac" },
        { "a{{#signature}}b{{/signature}}c", NULL, NULL, "ac" },
        { "a{{^signature}}b{{/signature}}c", "Eicar", "", "ac" },
        { "a{{^signature}}b{{/signature}}c", "", "", "abc" },
        { "{{#signature}}{{/signature}}", "Eicar", "", "" },
        { "{{# signature }}x{{/ signature }}", "Eicar", "", "x" },
        { "{{#signature}}s{{#rule}}r{{/rule}}t{{/signature}}", "Eicar", "R", "srt" },
        { "{{#signature}}s{{#rule}}r{{/rule}}t{{/signature}}", "Eicar", "", "st" },
        { "{{#signature}}s{{#rule}}r{{/rule}}t{{/signature}}", "", "R", "" },
        { "{{#signature}}S{{/signature}}{{^signature}}{{#rule}}R{{/rule}}{{^rule}}O{{/rule}}{{/signature}}", "x", "x", "S" },
        { "{{#signature}}S{{/signature}}{{^signature}}{{#rule}}R{{/rule}}{{^rule}}O{{/rule}}{{/signature}}", "", "x", "R" },
        { "{{#signature}}S{{/signature}}{{^signature}}{{#rule}}R{{/rule}}{{^rule}}O{{/rule}}{{/signature}}", "", "", "O" },
        { "{{#rule}}{{#rule}}{{rule}}{{/rule}}{{/rule}}", "", "R", "R" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_page_values values = { .signature = cases[i].signature, .rule = cases[i].rule };
        expect_html(cases[i].text, &values, cases[i].want);
    }
}
END_TEST

START_TEST(template_errors)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *why;
    } cases[] = {
        { "{{nosuch}}", 1, "no variable \"nosuch\"" },
        { "\n\n{{nosuch}}", 3, "no variable" },
        { "{{signature}}\n{{Signature}}", 2, "no variable \"Signature\"" },
        { "{{}}", 1, "no variable \"\"" },
        { "{{ # }}", 1, "no variable" },
        { "{{{signature}}}", 1, "no variable" },
        { "{{&signature}}", 1, "no variable" },
        { "a\n{{#nosuch}}x{{/nosuch}}", 2, "no variable" },
        { "x\n{{signature", 2, "{{ without }}" },
        { "x\n{{", 2, "{{ without }}" },
        { "\n{{#signature}}\n\nx", 2, "{{#signature}} is not closed" },
        { "{{#signature}}\n{{#rule}}\n{{/rule}}\n", 1, "is not closed" },
        { "\n\n\n{{/signature}}", 4, "was not opened" },
        { "{{#signature}}\n{{#rule}}\n{{/signature}}\n{{/rule}}", 3, "{{/rule}} was expected (opened on line 2)" },
        { "{{#rule}}{{#rule}}{{#rule}}{{#rule}}{{#rule}}{{#rule}}{{#rule}}{{#rule}}\n{{#rule}}", 2, "deeper than 8" },
        { "{{0123456789012345678901234567890123456789ab}}", 1, "\"0123456789012345678901234567890123456789\"" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char place[100];
        struct sp_page *page = NULL;
        struct sp_error err = { 0 };
        write_template(cases[i].text, strlen(cases[i].text));
        ck_assert_msg(
            sp_page_new(&(struct sp_page_options){ .path = path, .contact = "" }, &err, &page) == SP_ERR_CONF, "case %zu: %s", i, err.text);
        ck_assert_ptr_null(page);
        snprintf(place, sizeof(place), "%s:%u: ", path, cases[i].line);
        ck_assert_msg(strncmp(err.text, place, strlen(place)) == 0, "case %zu: \"%s\" does not begin with \"%s\"", i, err.text, place);
        ck_assert_msg(strstr(err.text, cases[i].why) != NULL, "case %zu: \"%s\" without \"%s\"", i, err.text, cases[i].why);
    }
}
END_TEST

START_TEST(nesting_to_the_limit)
{
    struct sp_page_values values = { .rule = "R" };
    expect_html(
        "{{#rule}}{{#rule}}{{#rule}}{{#rule}}{{#rule}}{{#rule}}{{#rule}}{{#rule}}x{{/rule}}{{/rule}}{{/rule}}{{/rule}}{{/rule}}{{/rule}}"
        "{{/rule}}{{/rule}}",
        &values, "x");
}
END_TEST

/* A template cut anywhere is either refused or a shorter template; it never crashes. */
START_TEST(template_cut_at_each_offset)
{
    static const char text[] = "a{{#signature}}b{{signature}}{{^rule}}c{{/rule}}{{/signature}}d";
    struct sp_page_values values = { .signature = "S" };
    for (size_t n = 0; n < sizeof(text); n++) {
        struct sp_page *page = NULL;
        struct sp_error err = { 0 };
        write_template(text, n);
        enum sp_status status = sp_page_new(&(struct sp_page_options){ .path = path, .contact = "" }, &err, &page);
        bool is_whole = n <= 2 || n >= sizeof(text) - 2; /* "a{" is text */
        ck_assert_msg((status == SP_OK) == is_whole, "cut at %zu: %s", n, err.text);
        if (n == sizeof(text) - 1)
            expect_render(page, SP_PAGE_HTML, &values, "abScd");
        sp_page_free(&page);
    }
}
END_TEST

START_TEST(template_sizes)
{
    const size_t limit = 1024u * 1024u;
    char *text = malloc(limit + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', limit + 1);
    for (size_t n = limit; n <= limit + 1; n++) {
        struct sp_page *page = NULL;
        struct sp_error err = { 0 };
        write_template(text, n);
        ck_assert_int_eq(
            sp_page_new(&(struct sp_page_options){ .path = path, .contact = "" }, &err, &page), n <= limit ? SP_OK : SP_ERR_LIMIT);
        ck_assert_int_eq(err.text[0] != '\0', n > limit);
        sp_page_free(&page);
    }
    size_t n = 0;
    for (; n + 6 <= limit; n += 6)
        memcpy(text + n, "{{id}}", 6);
    struct sp_page *page = NULL;
    struct sp_error err = { 0 };
    write_template(text, n);
    ck_assert_int_eq(sp_page_new(&(struct sp_page_options){ .path = path, .contact = "" }, &err, &page), SP_ERR_LIMIT);
    ck_assert_ptr_nonnull(strstr(err.text, "more than"));
    free(text);
}
END_TEST

START_TEST(template_files)
{
    static const char *const bad[] = { "/nonexistent/block.html", "/tmp", "/dev/zero" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sp_page *page = NULL;
        struct sp_error err = { 0 };
        ck_assert_int_eq(sp_page_new(&(struct sp_page_options){ .path = bad[i], .contact = "" }, &err, &page), SP_ERR_IO);
        ck_assert_ptr_null(page);
        ck_assert_ptr_nonnull(strstr(err.text, bad[i]));
    }
    struct sp_page *page = NULL;
    struct sp_error err = { 0 };
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(sp_page_new(&(struct sp_page_options){ .path = path, .contact = "" }, &err, &page), SP_ERR_IO); /* and comes back */
}
END_TEST

static void expect_page(const struct sp_page *page, const struct sp_page_values *values, const char *const *has, const char *const *has_not)
{
    struct sp_buf out;
    sp_buf_init(&out, OUT_MAX);
    ck_assert_int_eq(sp_page_render(page, SP_PAGE_HTML, values, &out), SP_OK);
    for (; *has != NULL; has++)
        ck_assert_msg(strstr(out.p, *has) != NULL, "\"%s\" is missing in:\n%s", *has, out.p);
    for (; *has_not != NULL; has_not++)
        ck_assert_msg(strstr(out.p, *has_not) == NULL, "\"%s\" should not be in:\n%s", *has_not, out.p);
    sp_buf_fini(&out);
}

/* The page that is shipped and the one that is built in: what people need is there, and nothing comes from elsewhere. */
START_TEST(pages_of_ours)
{
    const char *src = getenv("SRCDIR");
    char shipped[4096];
    snprintf(shipped, sizeof(shipped), "%s/etc/templates/block.html", src != NULL ? src : ".");
    const char *const paths[] = { shipped, "" };
    struct sp_page_values base = {
        .outcome = "infected", .reason = "why it was", .id = "id-17", .time = "2001-02-03T04:05:06Z", .url = SP_STR("http://example.com/x")
    };
    for (size_t i = 0; i < 2; i++) {
        struct sp_page *page = NULL;
        struct sp_error err = { 0 };
        ck_assert_msg(sp_page_new(&(struct sp_page_options){ .path = paths[i], .contact = "help@example.com" }, &err, &page) == SP_OK, "%s",
            err.text);
        const char *const always_not[] = { "{{", "}}", "src=", "href=", "url(", "@import", "<script", NULL };
        struct sp_page_values infected = base, rule = base;
        infected.signature = "Eicar-Test";
        rule.rule = "sstp-version";
        rule.rule_name = "Microsoft SSTP";
        rule.category = "vpn";
        expect_page(page, &infected,
            (const char *const[]){ "<html lang=\"en\">", "<main>", "<h1>", "Eicar-Test", "why it was", "id-17", "2001-02-03T04:05:06Z",
                "help@example.com", "http://example.com/x", NULL },
            always_not);
        expect_page(
            page, &rule, (const char *const[]){ "Microsoft SSTP", "sstp-version", "vpn", "id-17", "help@example.com", NULL }, always_not);
        expect_page(page, &base, (const char *const[]){ "why it was", "id-17", NULL },
            (const char *const[]){ "Signature", "Rule", "Category", "{{", NULL });
        sp_page_free(&page);
    }
    struct stat st;
    ck_assert_int_eq(stat(shipped, &st), 0);
    ck_assert_int_lt(st.st_size, 6 * 1024);
}
END_TEST

/* --- memory and caps -------------------------------------------------------------------------------------------------- */

START_TEST(every_allocation_fails_in_turn)
{
    char text[4096] = "";
    for (unsigned i = 0; i < 100; i++) /* more than one growth of the segments */
        strncat(text, "{{#rule}}{{url}}{{/rule}}", sizeof(text) - strlen(text) - 1);
    write_template(text, strlen(text));
    struct sp_page_values values = { .rule = "R", .url = SP_STR("http://example.com/<>") };
    int n = 0;
    for (bool is_done = false; !is_done; n++) {
        struct sp_page *page = NULL;
        struct sp_error err = { 0 };
        struct sp_buf out;
        sp_buf_init(&out, OUT_MAX);
        calls_until_failure = n;
        is_armed = true;
        enum sp_status status = sp_page_new(&(struct sp_page_options){ .path = path, .contact = "desk" }, &err, &page);
        enum sp_status rendered = status == SP_OK ? sp_page_render(page, n % 2 ? SP_PAGE_JSON : SP_PAGE_HTML, &values, &out) : SP_OK;
        is_armed = false;
        is_done = calls_until_failure >= 0;
        ck_assert_msg(is_done ? status == SP_OK && rendered == SP_OK : status == SP_ERR_NOMEM || rendered == SP_ERR_NOMEM,
            "call %d: %d, %d", n, (int) status, (int) rendered);
        ck_assert_msg(status == SP_OK || err.text[0] != '\0', "call %d: no text", n);
        sp_buf_fini(&out);
        sp_page_free(&page);
    }
    ck_assert_int_gt(n, 8);
}
END_TEST

START_TEST(output_cap)
{
    struct sp_page *page = new_page("<p>{{url}}</p>", "");
    struct sp_page_values values = { .url = SP_STR("<&>") }; /* <p>&lt;&amp;&gt;</p> is 20 bytes */
    for (size_t max = 0; max <= 21; max++) {
        struct sp_buf out;
        sp_buf_init(&out, max);
        ck_assert_int_eq(sp_page_render(page, SP_PAGE_HTML, &values, &out), max < 20 ? SP_ERR_LIMIT : SP_OK);
        ck_assert_int_eq(sp_page_render(page, SP_PAGE_JSON, &values, &out), SP_ERR_LIMIT);
        sp_buf_fini(&out);
    }
    sp_page_free(&page);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("page");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, injection_into_every_variable);
    tcase_add_test(c, injection_into_json);
    tcase_add_test(c, contact_is_escaped_too);
    tcase_add_test(c, bytes_inside_a_value_that_end_strings);
    tcase_add_test(c, long_values_are_cut);
    tcase_add_test(c, parts);
    tcase_add_test(c, template_errors);
    tcase_add_test(c, nesting_to_the_limit);
    tcase_add_test(c, template_cut_at_each_offset);
    tcase_add_test(c, template_sizes);
    tcase_add_test(c, template_files);
    tcase_add_test(c, pages_of_ours);
    tcase_add_test(c, every_allocation_fails_in_turn);
    tcase_add_test(c, output_cap);
    return unit_run("page", c);
}
