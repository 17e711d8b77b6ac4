/* The languages of the page: who gets which, texts that are missing or broken, the ones that are shipped; and the logo. */
#include "config.h"

#include "page_kit.h"

#include "sallyport/outcome.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], texts_folder[96], template_path[128];

static void write_file(const char *name, const char *p, size_t n)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(p, 1, n, f), n);
    fclose(f);
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

static void setup(void)
{
    snprintf(folder, sizeof(folder), "/tmp/test_page_texts.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(texts_folder, sizeof(texts_folder), "%s/texts", folder);
    snprintf(template_path, sizeof(template_path), "%s/t.html", folder);
    ck_assert_int_eq(mkdir(texts_folder, 0700), 0);
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    ck_assert_int_eq(system(command), 0);
}

static struct sp_page *open_page(const char *language, const char *logo)
{
    struct sp_page *page = NULL;
    struct sp_error err = { 0 };
    ck_assert_msg(sp_page_new(&(struct sp_page_options){ .path = template_path, .language = language, .logo = logo }, &err, &page) == SP_OK,
        "%s", err.text);
    return page;
}

static void expect_refused(const char *language, const char *logo, enum sp_status want, const char *text)
{
    struct sp_page *page = NULL;
    struct sp_error err = { 0 };
    ck_assert_int_eq(
        sp_page_new(&(struct sp_page_options){ .path = template_path, .language = language, .logo = logo }, &err, &page), want);
    ck_assert_msg(strstr(err.text, text) != NULL, "no \"%s\" in \"%s\"", text, err.text);
    ck_assert_ptr_null(page);
}

static unsigned choose(const struct sp_page *page, const char *first, const char *second)
{
    struct sp_field fields[] = { { SP_STR("Accept-Language"), sp_str_from(first) }, { SP_STR("accept-language"), sp_str_from(second) } };
    const struct sp_message request = { .kind = SP_MESSAGE_REQUEST, .fields = fields, .n_fields = second ? 2 : first ? 1 : 0 };
    return sp_page_choose_language(page, &request);
}

/* --- who gets which ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *first, *second, *want;
} choices[] = {
    { NULL, NULL, "en" },
    { "", NULL, "en" },
    { "de", NULL, "de" },
    { "DE-at", NULL, "de" },
    { "zh-TW", NULL, "zh-TW" },
    { "zh-Hant-TW, zh;q=0.9", NULL, "en" }, /* neither is there, nor the first's first subtag */
    { "it, fr;q=0.5, de;q=0.7", NULL, "de" },
    { "de;q=0.5,en;q=0.5", NULL, "de" }, /* the first of equals */
    { "de;q=0, en;q=0.1", NULL, "en" },
    { "de;q=0", NULL, "en" },
    { "de;q=1.0", NULL, "de" },
    { "de;q=1.001, fr;q=0.1", NULL, "fr" }, /* no quality value: not wanted */
    { "de;q=0.0001, fr;q=0.001", NULL, "fr" },
    { "de;q=x", NULL, "en" },
    { "de;q=", NULL, "en" },
    { "de ; q=0.2 , fr ; q=0.1", NULL, "de" },
    { "*", NULL, "en" },
    { "it", "fr", "fr" },
    { "de;q=0.3", "fr;q=0.4", "fr" },
    { ",,,;;;,-,", NULL, "en" },
    { "d", NULL, "en" },
    { "de_DE", NULL, "en" },
};

START_TEST(choice)
{
    write_text("t.html", "<p lang=\"{{t:lang}}\">{{ t:a }}</p>{{t:a}}");
    write_text("texts/en.conf", "a = \"one\";\n");
    write_text("texts/de.conf", "a = \"eins\";\n");
    write_text("texts/fr.conf", "a = \"un\";\n");
    write_text("texts/zh-TW.conf", "a = \"yi\";\n");
    write_text("texts/README", "not a language");
    write_text("texts/.de.conf", "not = a language");
    expect_refused("", "", SP_ERR_CONF, "t.html:1: there is no variable \"t:a\""); /* no blank before t: */
    write_text("t.html", "<p lang=\"{{t:lang}}\">{{t: a }}</p>");
    struct sp_page *page = open_page("", "");
    for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++)
        ck_assert_msg(strcmp(sp_page_language_tag(page, choose(page, choices[i].first, choices[i].second)), choices[i].want) == 0,
            "\"%s\", \"%s\"", choices[i].first, choices[i].second);
    char many[1024] = "xx";
    for (unsigned i = 0; i < 40; i++)
        strcat(many, ", xx");
    strcat(many, ", de");
    ck_assert_str_eq(sp_page_language_tag(page, choose(page, many, NULL)), "en"); /* too far back */
    struct sp_page_values values = { .language = choose(page, "de", NULL) };
    expect_render(page, SP_PAGE_HTML, &values, "<p lang=\"de\">eins</p>");
    values.language = choose(page, NULL, NULL);
    expect_render(page, SP_PAGE_HTML, &values, "<p lang=\"en\">one</p>");
    sp_page_free(&page);
    page = open_page("fr-CA", "");
    ck_assert_str_eq(sp_page_language_tag(page, choose(page, "it", NULL)), "fr");
    ck_assert_str_eq(sp_page_language_tag(page, sp_page_choose_language(page, NULL)), "fr");
    sp_page_free(&page);
}
END_TEST

/* --- what goes into them ------------------------------------------------------------------------------------------------- */

START_TEST(variables_in_texts)
{
    write_text("t.html", "{{t:ask}}\n{{#id}}{{why}}{{/id}}");
    write_text("texts/en.conf", "ask = \"a\\nb{{#rule}} <b>{{rule}}</b>{{/rule}}\";\nwhy_limit = \"too <large>\";\n");
    struct sp_page *page = open_page("", "");
    struct sp_page_values values = { .outcome = "limit", .reason = "r", .rule = "<x>", .id = "7" };
    expect_render(page, SP_PAGE_HTML, &values, "a b <b>&lt;x&gt;</b>\ntoo &lt;large&gt;");
    values = (struct sp_page_values){ .outcome = "error", .reason = "no worker", .id = "7" };
    expect_render(page, SP_PAGE_HTML, &values, "a b\nno worker");
    sp_page_free(&page);
}
END_TEST

START_TEST(faults)
{
    write_text("t.html", "1\n2 {{id}}\n{{t:a}} {{t:b}}\n");
    expect_refused("", "", SP_ERR_CONF, "no file of texts");
    write_text("texts/en.conf", "a = \"x\";\n");
    expect_refused("", "", SP_ERR_CONF, "t.html:3: there is no text \"b\" in texts/en.conf");
    write_text("texts/en.conf", "a = \"x\";\nb = 1;\n");
    expect_refused("", "", SP_ERR_CONF, "texts/en.conf:2: b must be a string");
    write_text("texts/en.conf", "a = \"x\";\nb = \n");
    expect_refused("", "", SP_ERR_CONF, "texts/en.conf:");
    write_text("texts/en.conf", "a = \"x\";\nb = \"{{#rule}}\";\n");
    expect_refused("", "", SP_ERR_CONF, "t.html:3: the part {{#rule}} is not closed");
    write_text("texts/en.conf", "a = \"x\";\nb = \"{{t:a}}\";\n"); /* once is enough */
    expect_refused("", "", SP_ERR_CONF, "t.html:3: there is no variable \"t:a\"");
    write_text("texts/en.conf", "a = \"x\";\nb = \"y\";\n");
    expect_refused("it", "", SP_ERR_CONF, "page_language \"it\": there is no texts/it.conf");
    write_text("t.html", "\n{{t:a");
    expect_refused("", "", SP_ERR_CONF, "t.html:2: {{ without }}");
    write_text("t.html", "no texts");
    write_text("texts/en.conf", "broken");
    struct sp_page *page = open_page("it", ""); /* not read */
    sp_page_free(&page);
    char name[32];
    for (unsigned i = 0; i < 65; i++) {
        snprintf(name, sizeof(name), "texts/l%02u.conf", i);
        write_text(name, "a = \"x\";\n");
    }
    write_text("t.html", "{{t:a}}");
    expect_refused("", "", SP_ERR_LIMIT, "more than 64 languages");
}
END_TEST

/* Every language that is shipped says everything, and says it in its own words. */
START_TEST(shipped)
{
    const char *src = getenv("SRCDIR");
    snprintf(template_path, sizeof(template_path), "%s/etc/templates/block.html", src != NULL ? src : ".");
    struct sp_page *page = open_page("", "");
    static const char *const tags[] = { "en", "de", "el", "es", "fr", "zh" };
    struct sp_buf english, other;
    sp_buf_init(&english, OUT_MAX);
    sp_buf_init(&other, OUT_MAX);
    for (unsigned outcome = 0; outcome < SP_OUTCOME_COUNT; outcome++) {
        struct sp_page_values values = { .outcome = sp_outcome_name((enum sp_outcome) outcome), .reason = "REASON", .id = "i" };
        if (outcome == SP_OUTCOME_RULE)
            values.rule = values.rule_name = values.category = "r";
        if (outcome == SP_OUTCOME_INFECTED)
            values.signature = "s";
        for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
            struct sp_buf *out = i == 0 ? &english : &other;
            sp_buf_clear(out);
            values.language = choose(page, tags[i], NULL);
            ck_assert_str_eq(sp_page_language_tag(page, values.language), tags[i]);
            ck_assert_int_eq(sp_page_render(page, SP_PAGE_HTML, &values, out), SP_OK);
            ck_assert_ptr_null(strstr(out->p, "{{"));
            const bool can_be_refused = outcome != SP_OUTCOME_NONE && outcome != SP_OUTCOME_CLEAN && outcome != SP_OUTCOME_GONE;
            ck_assert_msg(!can_be_refused || strstr(out->p, "<p>REASON</p>") == NULL, "%s: no words for %s", tags[i], values.outcome);
            ck_assert_msg(i == 0 || strstr(out->p, "Do you think") == NULL, "%s", tags[i]);
        }
        for (const char *line = english.p; line; line = strchr(line + 1, '<'))
            if (strncmp(line, "<p>", 3) == 0)
                ck_assert_msg(outcome != SP_OUTCOME_LIMIT || strncmp(strstr(other.p, "<p>"), line, 20) != 0, "not translated");
    }
    sp_buf_fini(&english);
    sp_buf_fini(&other);
    sp_page_free(&page);
}
END_TEST

/* --- logo ----------------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *bytes;
    size_t n;
    const char *want;
} logos[] = {
    { "\x89PNG\r\n\x1a\n", 8, "data:image/png;base64,iVBORw0KGgo=" },
    { "\xff\xd8\xff", 3, "data:image/jpeg;base64,/9j/" },
    { "GIF89a", 6, "data:image/gif;base64,R0lGODlh" },
    { "RIFF\1\2\3\4WEBP", 12, "data:image/webp;base64,UklGRgECAwRXRUJQ" },
    { "<svg/>", 6, "data:image/svg+xml;base64,PHN2Zy8+" },
    { "<?xml", 5, "data:image/svg+xml;base64,PD94bWw=" },
    { "\x89PNG", 4, NULL },
    { "", 0, NULL },
    { "MZ", 2, NULL },
};

START_TEST(logo)
{
    char path[128], want[256];
    static char large[65537] = "GIF89a";
    snprintf(path, sizeof(path), "%s/logo", folder);
    write_text("t.html", "{{#logo}}[{{logo}}]{{/logo}}");
    const struct sp_page_values values = { .outcome = "limit" };
    for (size_t i = 0; i < sizeof(logos) / sizeof(logos[0]); i++) {
        write_file("logo", logos[i].bytes, logos[i].n);
        if (logos[i].want == NULL) {
            expect_refused("", path, SP_ERR_CONF, "is no PNG, JPEG, GIF, WebP or SVG picture");
            continue;
        }
        struct sp_page *page = open_page("", path);
        snprintf(want, sizeof(want), "[%s]", logos[i].want);
        expect_render(page, SP_PAGE_HTML, &values, want);
        sp_page_free(&page);
    }
    write_file("logo", large, 65536);
    struct sp_page *page = open_page("", path);
    sp_page_free(&page);
    write_file("logo", large, 65537);
    expect_refused("", path, SP_ERR_LIMIT, "a logo may not be larger than 65536 bytes");
    expect_refused("", "/nowhere/logo", SP_ERR_IO, "/nowhere/logo");
    page = open_page("", "");
    expect_render(page, SP_PAGE_HTML, &values, "");
    sp_page_free(&page);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("page_texts");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, choice);
    tcase_add_test(c, variables_in_texts);
    tcase_add_test(c, faults);
    tcase_add_test(c, shipped);
    tcase_add_test(c, logo);
    return unit_run("page_texts", c);
}
