/* The small forms of a refusal: what attackers may put into them, what they look like, and who gets which. */
#include "config.h"

#include "page_kit.h"

#include <stdio.h>
#include <unistd.h>

/* --- the forms ---------------------------------------------------------------------------------------------------------- */

/* What becomes of a value in a comment of a script or a style sheet, and in plain text. */
static const struct {
    const char *raw, *comment, *text;
} small_injections[] = {
    { "plain, 100 %s", "plain, 100 %s", "plain, 100 %s" },
    { "*/alert(1)/*", "\xe2\x88\x97/alert(1)/\xe2\x88\x97", "*/alert(1)/*" },
    { "**/", "\xe2\x88\x97\xe2\x88\x97/", "**/" },
    { "</script><!--", "\xe2\x80\xb9/script\xe2\x80\xba\xe2\x80\xb9!--", "</script><!--" },
    { "a\r\nBlocked: b",
        "a\xef\xbf\xbd\xef\xbf\xbd"
        "Blocked: b",
        "a\xef\xbf\xbd\xef\xbf\xbd"
        "Blocked: b" },
    { "\x1b[31m\x7f", "\xef\xbf\xbd[31m\xef\xbf\xbd", "\xef\xbf\xbd[31m\xef\xbf\xbd" },
    { "\xe2\x80\xa8\xe2\x80\xae", "\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd" },
    { "\xd8\x9c\xef\xbf\xbe\xef\xbf\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
    { "\xff\xc0\xaa/", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd/", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd/" }, /* an overlong "*" */
    { "caf\xc3\xa9 {{id}}", "caf\xc3\xa9 {{id}}", "caf\xc3\xa9 {{id}}" },
};

START_TEST(injection_into_small_forms)
{
    struct sp_page *page = NULL;
    char want[1024];
    ck_assert_int_eq(sp_page_new(&(struct sp_page_options){ .path = "", .contact = "" }, NULL, &page), SP_OK);
    for (size_t i = 0; i < sizeof(small_injections) / sizeof(small_injections[0]); i++) {
        struct sp_page_values values = { .reason = small_injections[i].raw };
        snprintf(want, sizeof(want), "/*\nBlocked: %s\n*/\n", small_injections[i].comment);
        expect_render(page, SP_PAGE_SCRIPT, &values, want);
        expect_render(page, SP_PAGE_STYLE, &values, want);
        snprintf(want, sizeof(want), "Blocked: %s\n", small_injections[i].text);
        expect_render(page, SP_PAGE_TEXT, &values, want);
    }
    for (unsigned v = 0; v < N_GIVEN; v++) {
        for (unsigned format = 0; format < SP_PAGE_FORMATS; format++) {
            struct sp_page_values values = { .rule = "r", .id = "i" };
            struct sp_buf out;
            set_value(&values, v, "q*/z<z\"z\nz]]>");
            sp_buf_init(&out, OUT_MAX);
            ck_assert_int_eq(sp_page_render(page, (enum sp_page_format) format, &values, &out), SP_OK);
            const char *here = strchr(out.p, 'q'); /* in none of the templates that end in a value */
            if (format == SP_PAGE_SCRIPT || format == SP_PAGE_STYLE)
                ck_assert_uint_eq((size_t) (strstr(out.p, "*/") - out.p), out.n - 3);
            if (format != SP_PAGE_TEXT && format != SP_PAGE_GIF)
                ck_assert_msg(here == NULL || strstr(here, "z<z") == NULL, "%s", out.p);
            ck_assert_ptr_null(strstr(out.p, "z\nz"));
            sp_buf_fini(&out);
        }
    }
    sp_page_free(&page);
}
END_TEST

START_TEST(small_forms)
{
    struct sp_page *page = NULL;
    const struct sp_page_values values = { .outcome = "rule",
        .reason = "A VPN",
        .rule = "sstp-1",
        .rule_name = "SSTP",
        .category = "vpn",
        .signature = "none",
        .id = "17",
        .time = "noon",
        .url = SP_STR("http://h/<a>") };
    const struct sp_page_values few = { .reason = "A VPN", .rule = "sstp-1", .id = "17" };
    const struct sp_page_values none = { 0 };
    char path[] = "/tmp/test_page_forms.XXXXXX";
    int fd = mkstemp(path);
    ck_assert(fd >= 0 && write(fd, "a page of our own", 17) == 17);
    close(fd);
    ck_assert_int_eq(sp_page_new(&(struct sp_page_options){ .path = path, .contact = "the desk" }, NULL, &page), SP_OK);
    unlink(path);
    expect_render(page, SP_PAGE_HTML, &values, "a page of our own"); /* the only form that a file replaces */
    expect_render(page, SP_PAGE_TEXT, &values,
        "Blocked: A VPN\nAddress: http://h/<a>\nFound: none\nRule: SSTP, sstp-1 (vpn)\nReference: 17, noon\nContact: the desk\n");
    expect_render(page, SP_PAGE_TEXT, &few, "Blocked: A VPN\nRule: sstp-1\nReference: 17\nContact: the desk\n");
    expect_render(page, SP_PAGE_SCRIPT, &few, "/*\nBlocked: A VPN\nRule: sstp-1\nReference: 17\nContact: the desk\n*/\n");
    expect_render(page, SP_PAGE_STYLE, &few, "/*\nBlocked: A VPN\nRule: sstp-1\nReference: 17\nContact: the desk\n*/\n");
#define SVG_HEAD "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"130\" height=\"24\" viewBox=\"0 0 130 24\"><title>Blocked: "
#define SVG_RECT "</title><rect x=\"0.5\" y=\"0.5\" width=\"129\" height=\"23\" fill=\"#eee\" stroke=\"#999\"/>"
#define SVG_TEXT "<text x=\"65\" y=\"16\" text-anchor=\"middle\" font-family=\"sans-serif\" font-size=\"11\" fill=\"#333\">Blocked"
    expect_render(page, SP_PAGE_SVG, &values, SVG_HEAD "A VPN (17)" SVG_RECT SVG_TEXT ": rule</text></svg>\n");
    expect_render(page, SP_PAGE_SVG, &none, SVG_HEAD SVG_RECT SVG_TEXT "</text></svg>\n");
    sp_page_free(&page);
}
END_TEST

/* The blocks of GIF89a, and its one pixel: codes of three bits, lowest first: clear, pixel 0, end. */
START_TEST(picture_of_a_pixel)
{
    struct sp_page *page = NULL;
    struct sp_page_values values = { .reason = "x" };
    struct sp_buf out;
    sp_buf_init(&out, OUT_MAX);
    ck_assert_int_eq(sp_page_new(&(struct sp_page_options){ .path = "", .contact = "" }, NULL, &page), SP_OK);
    ck_assert_int_eq(sp_page_render(page, SP_PAGE_GIF, &values, &out), SP_OK);
    ck_assert_uint_eq(out.n, 43);
    const unsigned char *p = (const unsigned char *) out.p;
    ck_assert_mem_eq(p, "GIF89a\1\0\1\0", 10);
    ck_assert_uint_eq(p[10] & 0x87, 0x80);                  /* a colour table of two */
    ck_assert_mem_eq(p + 19, "\x21\xf9\x04\x01", 4);        /* behind it: a transparent colour, 0 */
    ck_assert_mem_eq(p + 27, "\x2c\0\0\0\0\1\0\1\0\0", 10); /* the image */
    ck_assert_uint_eq(p[37], 2);
    ck_assert_uint_eq(p[38], 2);
    ck_assert_uint_eq(p[39] & 7, 4);                     /* clear */
    ck_assert_uint_eq(p[39] >> 3 & 7, 0);                /* pixel */
    ck_assert_uint_eq((p[39] >> 6 | p[40] << 2) & 7, 5); /* end */
    ck_assert_mem_eq(p + 41, "\0\x3b", 2);
    sp_buf_fini(&out);
    sp_page_free(&page);
}
END_TEST

/* --- which one ------------------------------------------------------------------------------------------------------- */

START_TEST(choice_of_the_format)
{
    static const struct {
        const char *accept, *accept2, *requested_with;
        enum sp_page_format format;
    } cases[] = {
        { NULL, NULL, NULL, SP_PAGE_HTML },
        { "", NULL, NULL, SP_PAGE_HTML },
        { "*/*", NULL, NULL, SP_PAGE_HTML },
        { "text/html", NULL, NULL, SP_PAGE_HTML },
        { "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", NULL, NULL, SP_PAGE_HTML },
        { "application/json", NULL, NULL, SP_PAGE_JSON },
        { "Application/JSON", NULL, NULL, SP_PAGE_JSON },
        { "application/json, text/plain, */*", NULL, NULL, SP_PAGE_JSON },
        { "application/json;charset=utf-8 ; q=0.5", NULL, NULL, SP_PAGE_JSON },
        { "application/vnd.api+json", NULL, NULL, SP_PAGE_JSON },
        { "application/problem+JSON;q=0.2,*/*", NULL, NULL, SP_PAGE_JSON },
        { "+json", NULL, NULL, SP_PAGE_HTML },
        { "application/jsonp", NULL, NULL, SP_PAGE_HTML },
        { "text/json-seq", NULL, NULL, SP_PAGE_HTML },
        { "application/json, text/html", NULL, NULL, SP_PAGE_HTML },
        { "text/html;q=0.1, application/json", NULL, NULL, SP_PAGE_HTML },
        { "text/html;q=0, application/json", NULL, NULL, SP_PAGE_JSON },
        { "text/html; q=0.000 , application/json", NULL, NULL, SP_PAGE_JSON },
        { "text/html;level=1;Q=0.0, application/json", NULL, NULL, SP_PAGE_JSON },
        { "text/html;q=0.001, application/json", NULL, NULL, SP_PAGE_HTML },
        { "application/json;q=0", NULL, NULL, SP_PAGE_HTML },
        { "application/json;q=0, */*", NULL, NULL, SP_PAGE_HTML },
        { "application/json", "text/html", NULL, SP_PAGE_HTML },
        { "text/plain", "application/json", NULL, SP_PAGE_JSON },
        { ",,;;,application/json", NULL, NULL, SP_PAGE_JSON },
        { NULL, NULL, "XMLHttpRequest", SP_PAGE_JSON },
        { "*/*", NULL, "xmlhttprequest", SP_PAGE_JSON },
        { "text/html, */*", NULL, "XMLHttpRequest", SP_PAGE_HTML },
        { "*/*", NULL, "com.example.browser", SP_PAGE_HTML },
        { "application/json", NULL, "com.example.browser", SP_PAGE_JSON },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_field fields[4] = { { SP_STR("Host"), SP_STR("example.com") } };
        struct sp_message msg = { .kind = SP_MESSAGE_REQUEST, .fields = fields, .n_fields = 1 };
        if (cases[i].accept != NULL)
            fields[msg.n_fields++] = (struct sp_field){ SP_STR("accept"), sp_str_from(cases[i].accept) };
        if (cases[i].requested_with != NULL)
            fields[msg.n_fields++] = (struct sp_field){ SP_STR("X-Requested-With"), sp_str_from(cases[i].requested_with) };
        if (cases[i].accept2 != NULL)
            fields[msg.n_fields++] = (struct sp_field){ SP_STR("Accept"), sp_str_from(cases[i].accept2) };
        ck_assert_msg(
            sp_page_choose(&msg, NULL) == cases[i].format, "case %zu: Accept: %s", i, cases[i].accept != NULL ? cases[i].accept : "(none)");
    }
}
END_TEST

#define IMG "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8" /* as Chrome has it */

static const struct {
    const char *path, *dest, *accept, *requested_with, *type; /* NULL: not there; type is that of the reply */
    enum sp_page_format format;
} choices[] = {
    /* what the browser wants it for */
    { "/", "document", "*/*", NULL, "image/png", SP_PAGE_HTML },
    { "/a.js", "document", "application/json", "XMLHttpRequest", "application/json", SP_PAGE_HTML },
    { "/", "iframe", "image/png", NULL, NULL, SP_PAGE_HTML },
    { "/", "frame", "image/png", NULL, NULL, SP_PAGE_HTML },
    { "/", "fencedframe", "image/png", NULL, NULL, SP_PAGE_HTML },
    { "/", "embed", "image/png", NULL, NULL, SP_PAGE_HTML },
    { "/", "object", "image/png", NULL, NULL, SP_PAGE_HTML },
    { "/", "image", IMG, NULL, NULL, SP_PAGE_SVG },
    { "/", "Image", "image/webp,*/*", NULL, NULL, SP_PAGE_GIF },
    { "/", "image", NULL, NULL, "text/html", SP_PAGE_GIF },
    { "/", "image", "image/svg+xml;q=0,image/*", NULL, NULL, SP_PAGE_GIF },
    { "/", "image", "text/html", NULL, NULL, SP_PAGE_GIF },
    { "/", "script", "*/*", NULL, NULL, SP_PAGE_SCRIPT },
    { "/", "worker", "text/html", NULL, NULL, SP_PAGE_SCRIPT },
    { "/", "sharedworker", "*/*", NULL, NULL, SP_PAGE_SCRIPT },
    { "/", "serviceworker", "*/*", NULL, NULL, SP_PAGE_SCRIPT },
    { "/", "audioworklet", "*/*", NULL, NULL, SP_PAGE_SCRIPT },
    { "/", "paintworklet", "*/*", NULL, NULL, SP_PAGE_SCRIPT },
    { "/", "style", "text/css,*/*;q=0.1", NULL, NULL, SP_PAGE_STYLE },
    { "/", "style", "*/*", NULL, NULL, SP_PAGE_STYLE },
    { "/", "json", "*/*", NULL, NULL, SP_PAGE_JSON },
    { "/", "manifest", "*/*", NULL, NULL, SP_PAGE_JSON },
    { "/", "webidentity", "*/*", NULL, NULL, SP_PAGE_JSON },
    { "/", "audio", "*/*", NULL, NULL, SP_PAGE_TEXT },
    { "/", "video", "text/html", NULL, NULL, SP_PAGE_TEXT },
    { "/", "track", "*/*", NULL, NULL, SP_PAGE_TEXT },
    { "/", "font", "*/*", NULL, NULL, SP_PAGE_TEXT },
    { "/", "report", "*/*", NULL, NULL, SP_PAGE_TEXT },
    { "/", "text", "*/*", NULL, NULL, SP_PAGE_TEXT },
    { "/", "xslt", "*/*", NULL, NULL, SP_PAGE_TEXT },
    /* fetch: Accept, and JSON if that says nothing */
    { "/", "empty", "*/*", NULL, NULL, SP_PAGE_JSON },
    { "/", "empty", NULL, NULL, "text/css", SP_PAGE_JSON },
    { "/a.css", "empty", "*/*", NULL, NULL, SP_PAGE_JSON },
    { "/", "empty", "text/html, */*", NULL, NULL, SP_PAGE_HTML },
    { "/", "empty", "application/json, text/plain, */*", NULL, NULL, SP_PAGE_JSON },
    { "/", "empty", "text/plain", NULL, NULL, SP_PAGE_TEXT },
    { "/", "empty", "image/png", NULL, NULL, SP_PAGE_GIF },
    { "/", "unheard-of", "text/css", NULL, NULL, SP_PAGE_STYLE },
    { "/", "unheard-of", "*/*", NULL, NULL, SP_PAGE_HTML },
    { "/", "", "*/*", NULL, NULL, SP_PAGE_HTML },
    /* Accept alone, as over plain HTTP */
    { "/", NULL, IMG, NULL, NULL, SP_PAGE_SVG },
    { "/", NULL, "image/webp,*/*", NULL, NULL, SP_PAGE_GIF },
    { "/", NULL, "text/html,application/xhtml+xml," IMG, NULL, NULL, SP_PAGE_HTML },
    { "/", NULL, "application/json, application/xhtml+xml", NULL, NULL, SP_PAGE_HTML },
    { "/", NULL, "image/svg+xml", NULL, NULL, SP_PAGE_SVG },
    { "/a.js", NULL, "text/html", NULL, "application/json", SP_PAGE_HTML },
    { "/", NULL, "text/css,*/*;q=0.1", NULL, NULL, SP_PAGE_STYLE },
    { "/", NULL, "application/javascript, */*;q=0.8", NULL, NULL, SP_PAGE_SCRIPT },
    { "/", NULL, "text/javascript", NULL, NULL, SP_PAGE_SCRIPT },
    { "/", NULL, "application/x-javascript", NULL, NULL, SP_PAGE_SCRIPT },
    { "/", NULL, "application/ecmascript", NULL, NULL, SP_PAGE_SCRIPT },
    { "/", NULL, "text/ecmascript", NULL, NULL, SP_PAGE_SCRIPT },
    { "/", NULL, "text/plain", NULL, NULL, SP_PAGE_TEXT },
    { "/", NULL, "text/plain, text/javascript", NULL, NULL, SP_PAGE_SCRIPT },
    { "/", NULL, "text/javascript, text/css", NULL, NULL, SP_PAGE_STYLE },
    { "/", NULL, "text/css, image/png", NULL, NULL, SP_PAGE_GIF },
    { "/", NULL, "image/svg+xml, application/json", NULL, NULL, SP_PAGE_JSON },
    { "/", NULL, "text/plain", "XMLHttpRequest", NULL, SP_PAGE_TEXT },
    { "/", NULL, "application/octet-stream", "XMLHttpRequest", "text/css", SP_PAGE_JSON },
    /* how it looks */
    { "/x/a.js", NULL, "*/*", NULL, NULL, SP_PAGE_SCRIPT },
    { "/a.MJS?v=1", NULL, NULL, NULL, NULL, SP_PAGE_SCRIPT },
    { "/a.css?x=.js", NULL, "*/*", NULL, "application/json", SP_PAGE_STYLE },
    { "/a.json", NULL, "*/*", NULL, NULL, SP_PAGE_JSON },
    { "/a?b.js", NULL, "*/*", NULL, NULL, SP_PAGE_HTML },
    { "/a.jsp", NULL, "*/*", NULL, NULL, SP_PAGE_HTML },
    { "/a.png", NULL, "*/*", NULL, "image/png", SP_PAGE_HTML }, /* a program that stores it as a.png */
    { "/", NULL, "*/*", NULL, "text/javascript; charset=x", SP_PAGE_SCRIPT },
    { "/", NULL, "*/*", NULL, "TEXT/CSS", SP_PAGE_STYLE },
    { "/", NULL, "*/*", NULL, "application/geo+json", SP_PAGE_JSON },
    { "/", NULL, "*/*", NULL, "text/plain", SP_PAGE_HTML },
    { "/", NULL, "*/*", NULL, "application/octet-stream", SP_PAGE_HTML },
    { "", NULL, NULL, NULL, NULL, SP_PAGE_HTML },
};

START_TEST(choice_by_all_that_is_known)
{
    for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
        const char *const given[] = { choices[i].dest, choices[i].accept, choices[i].requested_with };
        static const char *const names[] = { "sec-fetch-dest", "Accept", "X-Requested-With" };
        struct sp_field fields[3], type = { SP_STR("Content-Type"), sp_str_from(choices[i].type) };
        struct sp_message request = { .kind = SP_MESSAGE_REQUEST, .fields = fields, .path = sp_str_from(choices[i].path) };
        const struct sp_message response = { .kind = SP_MESSAGE_RESPONSE, .fields = &type, .n_fields = choices[i].type != NULL };
        for (size_t k = 0; k < 3; k++)
            if (given[k] != NULL)
                fields[request.n_fields++] = (struct sp_field){ sp_str_from(names[k]), sp_str_from(given[k]) };
        enum sp_page_format format = sp_page_choose(&request, choices[i].type != NULL ? &response : NULL);
        ck_assert_msg(format == choices[i].format, "case %zu: %s for %s, Accept: %s", i, sp_page_content_type(format),
            choices[i].dest != NULL ? choices[i].dest : "(nothing)", choices[i].accept != NULL ? choices[i].accept : "(none)");
    }
    struct sp_field type = { SP_STR("Content-Type"), SP_STR("text/css") };
    const struct sp_message response = { .kind = SP_MESSAGE_RESPONSE, .fields = &type, .n_fields = 1 };
    ck_assert_int_eq(sp_page_choose(NULL, NULL), SP_PAGE_HTML);
    ck_assert_int_eq(sp_page_choose(NULL, &response), SP_PAGE_STYLE);
}
END_TEST

START_TEST(content_types)
{
    static const char *const want[SP_PAGE_FORMATS] = { "text/html; charset=utf-8", "application/json", "text/plain; charset=utf-8",
        "text/javascript; charset=utf-8", "text/css; charset=utf-8", "image/svg+xml", "image/gif" };
    for (unsigned i = 0; i < SP_PAGE_FORMATS; i++)
        ck_assert_str_eq(sp_page_content_type((enum sp_page_format) i), want[i]);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("page_forms");
    tcase_add_test(c, injection_into_small_forms);
    tcase_add_test(c, small_forms);
    tcase_add_test(c, picture_of_a_pixel);
    tcase_add_test(c, choice_of_the_format);
    tcase_add_test(c, choice_by_all_that_is_known);
    tcase_add_test(c, content_types);
    return unit_run("page_forms", c);
}
