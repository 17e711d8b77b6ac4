/* Text with something inside: data: URLs in markup and scripts, base64 in JSON. Each row in all pieces. */
#include "config.h"

#include "split_kit.h"

#define EICAR "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
#define EICAR_64 "WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5EQVJELUFOVElWSVJVUy1URVNULUZJTEUhJEgrSCo="
#define EICAR_64_BARE "WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5EQVJELUFOVElWSVJVUy1URVNULUZJTEUhJEgrSCo"
#define EICAR_PERCENT "X5O%21P%25%40AP%5B4%5CPZX54%28P%5E%297CC%297%7D%24EICAR-STANDARD-ANTIVIRUS-TEST-FILE%21%24H%2bH%2A"
/* <img src="data:;base64,...EICAR..."> */
#define HTML_64 \
    "PGltZyBzcmM9ImRhdGE6O2Jhc2U2NCxXRFZQSVZBbFFFRlFXelJjVUZwWU5UUW9VRjRwTjBOREtUZDlKRVZKUTBGU0xWTlVRVTVF" \
    "UVZKRUxVRk9WRWxXU1ZKVlV5MVVSVk5VTFVaSlRFVWhKRWdyU0NvPSI+"
#define HTML "<img src=\"data:;base64," EICAR_64 "\">"
/* A payload whose base64 has + and /. */
#define X2(s) s s
#define X4(s) X2(X2(s))
#define X12(s) X4(s) X4(s) X4(s)
#define SIGNS X12(">>>?\?\?")
#define SIGNS_64 X12("Pj4+Pz8/")
#define LONG_31 "0123456789012345678901234567890"
#define LONG_32 LONG_31 "1"
#define BEHIND "<b>" EICAR_64 "</b>" /* not behind data:, so not looked at */

#define HTM "text/html; charset=utf-8"
#define JS "text/javascript"
#define CSS "text/css"
#define JSON "application/json"

static const struct row {
    const char *title, *type, *body, *objects;
} rows[] = {
    { "double quotes", HTM, "<p><img src=\"data:image/png;base64," EICAR_64 "\">" BEHIND, "0" EICAR },
    { "single quotes", HTM, "<img src='data:image/png;base64," EICAR_64 "'>" BEHIND, "0" EICAR },
    { "no quotes, then >", HTM, "<a href=data:a/b;base64," EICAR_64 ">x</a>", "0" EICAR },
    { "no quotes, then a blank", HTM, "<a href=data:a/b;base64," EICAR_64_BARE " class=x>x</a>", "0" EICAR },
    { "blanks in front", HTM, "<a href=\" \n data:a/b;base64," EICAR_64 "\">", "0" EICAR },
    { "in a style", HTM, "<p style=\"background:url(data:a/b;base64," EICAR_64 ")\">", "0" EICAR },
    { "in a style, quote by name", HTM, "<p style=\"background:url(&quot;data:a/b;base64," EICAR_64 "&quot;)\">", "0" EICAR },
    { "any case", HTM, "<a href=\"DaTa:a/b;BASE64," EICAR_64 "\">", "0" EICAR },
    { "no type", HTM, "<a href=\"data:;base64," EICAR_64 "\">", "0" EICAR },
    { "parameters", HTM, "<a href=\"data:a/b;charset=utf-8 ; base64," EICAR_64 "\">", "0" EICAR },
    { "a quoted parameter", HTM, "<a href='data:a/b;x=\"y\";base64," EICAR_64 "'>", "0" EICAR },
    { "base64 not last", HTM, "<a href='data:a/b;base64;x=y," EICAR_64 "'>", "0" EICAR },
    { "a head of any length", HTM, "<a href='data:a/b;x=" X12(X12("yy")) ";base64," EICAR_64 "'>", "0" EICAR },
    { "data: twice", HTM, "<a href='data:data:a/b;base64," EICAR_64 "'>", "0" EICAR },
    { "data: twice, a page inside", HTM, "<a href='data:data:text/html;base64," HTML_64 "'>", "0" HTML "|1" EICAR },
    { "a page inside, its type in two lines", HTM, "<a href='data:te\r\n\txt/html;base64," HTML_64 "'>", "0" HTML "|1" EICAR },
    { "in a srcset", HTM, "<img srcset='data:a/b;base64," EICAR_64 " 1x, /x 2x'>", "0" EICAR },
    { "a line end escaped, no quotes", CSS, "p{a:url(data:a/b;base64," X12("Pj4+Pz8/%0D%0a") ")}", "0" SIGNS },
    { "padding within", HTM, "<a href='data:a/b;base64,QQ==" X12("Pj4+ Pz8/") "'>", "0A" SIGNS },
    { "two", HTM, "url(data:a/b;base64," EICAR_64 ")url(data:a/b;base64," SIGNS_64 ")", "0" EICAR "|0" SIGNS },
    { "no padding", HTM, "<a href='data:a/b;base64," EICAR_64_BARE "'>", "0" EICAR },
    { "percent escapes in base64", HTM, "<a href='data:a/b;base64,%57DVPIVA" /* */ "lQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5EQVJELUFOVElWSVJVUy1URVNULUZJTEUhJEgrSCo%3D'>", "0" EICAR },
    { "+ and / escaped", HTM, "<a href='data:a/b;base64," X12("Pj4%2BPz8%2f") "'>", "0" SIGNS },
    { "+ and / by number", HTM, "<a href='data:a/b;base64," X12("Pj4&#43;Pz8&#x2F;") "'>", "0" SIGNS },
    { "+ and / by name, and zeros", HTM, "<a href='data:a/b;base64," X12("Pj4&plus;Pz8&#x000000000000002f;") "'>", "0" SIGNS },
    { "+ by number without a semicolon", HTM, "<a href='data:a/b;base64," X12("Pj4&#43Pz8&#x2f") "'>", "0" SIGNS },
    { "lines", HTM, "<a href='data:a/b;base64,\r\n" X12(" Pj4+\n\tPz8/\r\n") "'>", "0" SIGNS },
    { "in a script's string", HTM, "<script>x='data:a/b;base64," X12("Pj4+Pz8\\/") "'", "0" SIGNS },
    { "in a script's string, by code", JS, "x='data:a\\/b;base64," X12("Pj4\\u002BPz8\\x2f") "'", "0" SIGNS },
    { "continued lines", JS, "x='data:a\\/b;base64," X12("Pj4+\\\nPz8/") "'", "0" SIGNS },
    { "back-quotes", JS, "x=`data:a\\/b;base64," X12("Pj4+Pz8/") "`", "0" SIGNS },
    { "in CSS", CSS, "p{background:url(data:a/b;base64," EICAR_64 ")}", "0" EICAR },
    { "in XML", "application/rss+xml", "<a b=\"data:a/b;base64," EICAR_64 "\"/>", "0" EICAR },
    { "in XHTML", "APPLICATION/XHTML+XML", "<a b=\"data:a/b;base64," EICAR_64 "\"/>", "0" EICAR },
    { "in plain text", "text/plain", "see data:a/b;base64," EICAR_64 ".", "0" EICAR },
    { "at the beginning", "text/plain", "data:a/b;base64," EICAR_64, "0" EICAR },
    { "at the beginning, percent", "text/plain", "data:," EICAR_PERCENT, "0" EICAR },
    { "URL-safe", HTM, "<a href='data:a/b;base64," X12("Pj4-Pz8_") "'>", "0" SIGNS },
    { "end of the body", HTM, "<a href='data:a/b;base64," EICAR_64, "0" EICAR },
    { "a URL behind broken base64", HTM, "<a href='data:a/b;base64,AAAA data:a/b;base64," EICAR_64 "'>", "0" EICAR },
    { "a page inside", HTM, "<iframe src=\"data:text/html;base64," HTML_64 "\">", "0" HTML "|1" EICAR },
    { "a page inside, percent", HTM, "<iframe src='data:text/html,%3Cimg src=\"data:;base64," EICAR_64 "\">'>" BEHIND, "0" HTML "|1" EICAR },
    { "hidden in what is not over", HTM, "\"data:image/png,\\<a href=data:;base64," EICAR_64 ">\"",
        "0\\<a href=data:;base64," EICAR_64 ">|1" EICAR },

    { "percent", HTM, "<a href=\"data:text/x," EICAR_PERCENT "\">", "0" EICAR },
    { "percent, other quote in it", HTM, "<a href=\"data:text/x,'>( " EICAR_PERCENT "\">", "0'>( " EICAR },
    { "percent, url()", CSS, "p{a:url(data:text/x," EICAR_PERCENT ")}", "0" EICAR },
    { "percent, no quotes", HTM, "<a href=data:text/x," EICAR_PERCENT " b=c>", "0" EICAR },
    { "percent, no quotes, then >", HTM, "<a href=data:text/x," EICAR_PERCENT ">b c", "0" EICAR },
    { "percent, blanks in front", HTM, "<a href=\"   \n  data:text/x," EICAR_PERCENT "\">", "0" EICAR },
    { "percent, no type", HTM, "<a href='data:," EICAR_PERCENT "'>", "0" EICAR },
    { "percent, only a parameter", HTM, "<a href='data:;charset=x," EICAR_PERCENT "'>", "0" EICAR },
    { "percent, quote by name", HTM, "<a b=\"url(&#34;data:text/x," EICAR_PERCENT "&quot;)\">", "0" EICAR },
    { "percent, references", HTM, "<a href='data:text/x,&lt;b&gt; &amp;&amp; &copy; &x &lt &#60; &#65bc" LONG_32 "'>", "0<b> && &copy; &x &lt < Abc" LONG_32 },
    { "percent, a script's escapes", JS, "x='data:text/x,\\'\\\\\\/\\x41\\u0042\\u20ac\\uzz&amp;" LONG_32 "'", "0'\\/AB?zz&amp;" LONG_32 },
    { "percent, lines", HTM, "<a href='data:text/x,\n0123456789\r\n\t0123456789012345678901'>", "0" LONG_32 },
    { "percent, ends in a reference", HTM, "<a href='data:text/x," LONG_32 "&am", "0" LONG_32 "&am" },
    { "percent, ends in an escape", HTM, "<a href='data:text/x," LONG_32 "%4", "0" LONG_32 "%4" },
    { "percent, just long enough", HTM, "<a href='data:text/x," LONG_32 "'>", "0" LONG_32 },
    { "percent, too short", HTM, "<a href='data:text/x," LONG_31 "'>", "" },
    { "base64, just long enough", HTM, "<a href='data:a/b;base64,MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE='>", "001234567890123456789012345678901" },
    { "base64, too short", HTM, "<a href='data:a/b;base64,MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MD=='>", "" },

    { "no comma", HTM, "<a href='data:a/b;base64;" EICAR_64 "'>" BEHIND, "" },
    { "no colon", HTM, "<a href='data;base64," EICAR_64 "'>", "" },
    { "almost data", HTM, "<a href='mata:a/b;base64," EICAR_64 "'>", "" },
    { "another scheme", HTM, "<a href='date:a/b;base64," EICAR_64 "'>", "" },
    { "no URL: an object's field", JS, "f({type:1,data:e.foo,then:function(){return " EICAR_64 "}})", "" },
    { "no URL: prose", "text/plain", "The data: one, two, three and then " EICAR_64, "" },
    { "no URL: in prose", "text/plain", "See data:a/b," EICAR_PERCENT, "" },
    { "no URL: type is none", HTM, "<a href='data:x," EICAR_PERCENT "'>", "" },
    { "base64 of less than 1,024 in a script", JS, "x='" EICAR_64 "'", "" },
    { "type of no kind", "image/png", "<a href='data:;base64," EICAR_64 "'>", "" },

    { "a string", JSON, "{\"a\":\"" EICAR_64 "\"}", "0" EICAR },
    { "a key", JSON, "{\"" EICAR_64 "\":1}", "0" EICAR },
    { "alone", JSON, "\"" EICAR_64 "\"", "0" EICAR },
    { "cut off", JSON, "\"" EICAR_64, "0" EICAR },
    { "strings", JSON, "[\"" EICAR_64 "\",\"" SIGNS_64 "\", \"x\"]", "0" EICAR "|0" SIGNS },
    { "JSON lines", "application/x-ndjson", "{\"a\":\"" EICAR_64 "\"}\n{\"a\":\"" EICAR_64 "\"}\n", "0" EICAR "|0" EICAR },
    { "by suffix", "application/vnd.api+json; x=y", "{\"a\":\"" EICAR_64 "\"}", "0" EICAR },
    { "as text", "text/json", "{\"a\":\"" EICAR_64 "\"}", "0" EICAR },
    { "no padding in JSON", JSON, "\"" EICAR_64_BARE "\"", "0" EICAR },
    { "escaped /", JSON, "\"" X12("Pj4+Pz8\\/") "\"", "0" SIGNS },
    { "escapes by code", JSON, "\"" X12("Pj4\\u002bPz8\\u002F") "\"", "0" SIGNS },
    { "URL-safe in JSON", JSON, "\"" X12("Pj4-Pz8_") "\"", "0" SIGNS },
    { "MIME's lines", JSON, "\"" X12("Pj4+Pz8/\\n") "\"", "0" SIGNS },
    { "MIME's lines, CR LF", JSON, "\"" X12("Pj4+Pz8/\\r\\n") "\"", "0" SIGNS },
    { "JSON in JSON", JSON, "{\"a\":\"{\\\"b\\\":\\\"" X12("Pj4+Pz8\\\\/\\\\n") "\\\"}\"}", "0" SIGNS },
    { "a data: URL in JSON", JSON, "\"data:image\\/png;base64," X12("Pj4+Pz8\\/") "\",\"" EICAR_64 "\"", "0" SIGNS "|0" EICAR },
    { "a data: URL in HTML in JSON", JSON, "\"<img src=\\\"data:image\\/png;base64," EICAR_64 "\\\"> \"", "0" EICAR },
    { "references in HTML in JSON", JSON, "\"<img src='data:image\\/png;base64," X12("Pj4&#43;Pz8\\/") "'> \"", "0" SIGNS },
    { "a percent data: URL in HTML in JSON", JSON, "\"<a href=\\\"data:text/x," EICAR_PERCENT "\\\">x y\"", "0" EICAR },
    { "a percent data: URL in JSON", JSON, "\"data:text\\/x,\\\"" EICAR_PERCENT "\",1", "0\"" EICAR },
    { "JSON in a data: URL", HTM, "<a href='data:application/json;base64,W3sieCI6IldEVlBJVkFsUUVGUVd6UmNVRnBZTlRRb1VGNHBOME5ES1RkOUpFVkpRMEZTTFZOVVFVNUVRVkpFTFVGT1ZFbFdTVkpWVXkxVVJWTlVMVVpKVEVVaEpFZ3JTQ289In1d'>", "0[{\"x\":\"" EICAR_64 "\"}]|1" EICAR },
    { "more than can be held, then no base64", JSON, "\"" SIGNS_64 SIGNS_64 ".x\"", "0" SIGNS SIGNS },
    { "64 characters", JSON, "\"" X4("Pj4+Pz8/Pj4+Pz8/") "\"", "" },
    { "65 characters", JSON, "\"" X4("Pj4+Pz8/Pj4+Pz8/") "A\"", "0" X2(X4(">>>?\?\?")) },
    { "63 characters", JSON, "\"" X2("Pj4+Pz8/Pj4+Pz8/") "Pj4+Pz8/Pj4+Pz8/Pj4+Pz8/Pj4+Pz8\"", "" },

    { "then a dot", JSON, "\"" SIGNS_64 ".x\"", "" },
    { "a blank in it", JSON, "\"" SIGNS_64 " \"", "" },
    { "a control character in it", JSON, "\"" SIGNS_64 "\\t\"", "" },
    { "both alphabets", JSON, "\"" SIGNS_64 "_\"", "" },
    { "both alphabets, the other first", JSON, "\"_" SIGNS_64 "\"", "" },
    { "a broken escape", JSON, "\"" SIGNS_64 "\\u00zz\"", "" },
    { "an escape cut off", JSON, "\"" SIGNS_64 "\\u00", "" },
    { "no string", JSON, EICAR_64, "" },
    { "a JWT", JSON, "\"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6IjAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxIn0.eyJzdWIiOiIxIn0.x\"", "" },
    { "SHA-256", JSON, "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"", "" },
    { "SHA-384, capitals", JSON, "\"38B060A751AC96384CD9327EB1B1E36A21FDB71114BE07434C0CC7BF63F6E1DA274EDEBFE76F65FBD51AD2F14898B95B\"", "" },
    { "SHA-512, capitals", JSON, "\"" X4("0123456789ABCDEF") X4("FEDCBA9876543210") "\"", "" },
    { "SHA-384, integrity", JSON, "\"sha384-OLBgp1GsljhM2TJ-sbHjaiH9txEUvgdDTAzHv2P24donTt6_529l-9Ua0vFImLlb\"", "" },
    { "SHA-384, base64", JSON, "\"OLBgp1GsljhM2TJ+sbHjaiH9txEUvgdDTAzHv2P24donTt6/529l+9Ua0vFImLlb\"", "" },
    { "SHA-512, integrity", JSON, "\"sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg_SpIdNs6c5H0NE8XYXysP-DGNKHfuwvY7kxvUdBeoGlODJ6-SfaPg==\"", "" },
    { "SHA-512, base64", JSON, "\"z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==\"", "" },
    { "a name with hyphens", JSON, "\"how-to-find-a-very-long-name-that-somebody-made-out-of-the-title-of-a-page\"", "" },
};

START_TEST(each_row)
{
    const struct row *row = &rows[_i];
    struct bytes body = { 0 }, objects = { 0 };
    add(&body, row->body, strlen(row->body));
    add(&objects, row->objects, strlen(row->objects));
    expect_split(row->title, row->type, &wide, &body, &objects, SP_SPLIT_OK);
    drop(&body);
    drop(&objects);
}
END_TEST

/* --- long ones -------------------------------------------------------------------------------------------------------------- */

static struct bytes encode64(const struct bytes *in)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct bytes out = { 0 };
    for (size_t i = 0; i < in->n; i += 3) {
        size_t n = in->n - i < 3 ? in->n - i : 3;
        unsigned v = (unsigned) in->p[i] << 16 | (n > 1 ? (unsigned) in->p[i + 1] << 8 : 0) | (n > 2 ? in->p[i + 2] : 0);
        for (size_t k = 0; k < 4; k++)
            add_byte(&out, k <= n ? (unsigned char) digits[v >> (18 - 6 * k) & 63] : '=');
    }
    return out;
}

static struct bytes around(const char *front, const struct bytes *middle, const char *behind)
{
    struct bytes out = { 0 };
    add(&out, front, strlen(front));
    add(&out, middle->p, middle->n);
    add(&out, behind, strlen(behind));
    return out;
}

/* 766 bytes of payload are 1,024 characters, 765 are 1,020. */
START_TEST(long_literals)
{
    static const struct {
        const char *type, *front, *behind;
    } cases[] = {
        { JS, "eval(atob('", "'))" },
        { JS, "x=\"", "\"" },
        { HTM, "<script>x=`\n", "\n`" },
        { "text/xml", "<a><b>\r\n", "\r\n</b></a>" },
        { "text/xml", "<a><b>", "" },
    };
    struct bytes plain = make_body(766), expected = { 0 }, nothing = { 0 };
    add_byte(&expected, '0');
    add(&expected, plain.p, plain.n);
    struct bytes shorter = { plain.p, 765, 0 };
    struct bytes text = encode64(&plain), short_text = encode64(&shorter);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes body = around(cases[i].front, &text, cases[i].behind);
        struct bytes short_body = around(cases[i].front, &short_text, cases[i].behind);
        expect_split(cases[i].front, cases[i].type, &wide, &body, &expected, SP_SPLIT_OK);
        expect_split(cases[i].front, cases[i].type, &wide, &short_body, &nothing, SP_SPLIT_OK);
        drop(&body);
        drop(&short_body);
    }
    drop(&plain);
    drop(&expected);
    drop(&text);
    drop(&short_text);
}
END_TEST

/* Only some bytes are looked at: wherever a literal stands, one of them is in it. */
START_TEST(every_offset)
{
    struct bytes text = { 0 }, expected = { 0 };
    char front[300];
    add(&text, EICAR_64, sizeof(EICAR_64) - 1);
    add(&expected, "0" EICAR, sizeof(EICAR));
    for (size_t n = 1; n < sizeof(front); n++) {
        struct sp_field field = { SP_STR("Content-Type"), SP_STR(JSON) };
        struct sp_message msg = { .kind = SP_MESSAGE_RESPONSE, .fields = &field, .n_fields = 1, .cap_fields = 1 };
        snprintf(front, sizeof(front), "%*s", (int) n, "\"");
        struct bytes body = around(front, &text, "\" and so on");
        expect_one("offset", &msg, &wide, &body, &expected, SP_SPLIT_OK, whole, NULL, front);
        drop(&body);
    }
    drop(&text);
    drop(&expected);
}
END_TEST

static void run(struct caught *c, const char *type, const struct sp_split_limits *limits, const struct bytes *body)
{
    struct sp_field field = { SP_STR("Content-Type"), sp_str_from(type) };
    struct sp_message msg = { .kind = SP_MESSAGE_RESPONSE, .fields = &field, .n_fields = 1, .cap_fields = 1 };
    split_fields(c, &msg, limits, body->p, body->n, whole, NULL);
}

START_TEST(megabytes)
{
    static const char *const types[] = { JSON, JS, HTM };
    struct bytes plain = make_body(3 * MIB + 1), text = encode64(&plain);
    for (size_t i = 0; i < 3; i++) {
        struct bytes body = around("{\"a\": \"data:application/x;base64,", &text, "\"}");
        struct bytes bare = around("{\"a\": \"", &text, "\"}");
        const struct bytes *both[] = { &body, &bare };
        for (size_t k = 0; k < 2; k++) {
            struct caught c = { 0 };
            run(&c, types[i], &wide, both[k]);
            ck_assert_int_eq(c.result, SP_SPLIT_OK);
            ck_assert_uint_eq(c.n_objects, 1);
            ck_assert_uint_eq(c.objects[0].content.n, plain.n);
            ck_assert(memcmp(c.objects[0].content.p, plain.p, plain.n) == 0);
            caught_fini(&c);
        }
        drop(&body);
        drop(&bare);
    }
    drop(&plain);
    drop(&text);
}
END_TEST

/* --- limits ------------------------------------------------------------------------------------------------------------------ */

static void expect_cstr(const char *title, const char *type, const struct sp_split_limits *limits, const char *text, const char *objects,
    enum sp_split_result result)
{
    struct sp_field field = { SP_STR("Content-Type"), sp_str_from(type) };
    struct sp_message msg = { .kind = SP_MESSAGE_RESPONSE, .fields = &field, .n_fields = 1, .cap_fields = 1 };
    struct bytes body = { 0 }, expected = { 0 };
    add(&body, text, strlen(text));
    add(&expected, objects, strlen(objects));
    expect_one(title, &msg, limits, &body, &expected, result, whole, NULL, "whole");
    drop(&body);
    drop(&expected);
}

START_TEST(limits)
{
    struct sp_split_limits two = wide, flat = wide;
    two.max_parts = 2;
    flat.max_depth = 1;
    expect_cstr("two parts", JSON, &two, "\"" EICAR_64 "\",\"" EICAR_64 "\"", "0" EICAR "|0" EICAR, SP_SPLIT_OK);
    expect_cstr("three parts", JSON, &two, "\"" EICAR_64 "\",\"" EICAR_64 "\",\"" EICAR_64 "\"", "0" EICAR "|0" EICAR, SP_SPLIT_LIMIT);
    expect_cstr("a page inside, one depth", HTM, &flat, "<a href='data:text/html;base64," HTML_64 "'>", "0" HTML "~", SP_SPLIT_LIMIT);
    expect_cstr("nothing inside, one depth", HTM, &flat, "<a href='data:text/html;base64," EICAR_64 "'>", "0" EICAR, SP_SPLIT_OK);
}
END_TEST

START_TEST(sink_fails)
{
    static const enum sp_status says[] = { SP_ERR_LIMIT, SP_ERR_IO, SP_ERR_NOMEM };
    struct bytes body = { 0 };
    static const char text[] = "<a href='data:text/html;base64," HTML_64 "'>\"data:," EICAR_PERCENT "\"";
    add(&body, text, sizeof(text) - 1);
    for (size_t after = 0; after < 9; after++) {
        for (size_t i = 0; i < 3; i++) {
            struct caught c = { .sink_says = says[i], .sink_after = after };
            run(&c, HTM, &wide, &body);
            ck_assert_int_eq(c.result, says[i] == SP_ERR_LIMIT ? SP_SPLIT_LIMIT : SP_SPLIT_ERROR);
            ck_assert_uint_eq(c.n_calls, after + 1);
            caught_fini(&c);
        }
    }
    drop(&body);
}
END_TEST

/* --- no memory --------------------------------------------------------------------------------------------------------------- */

static size_t fail_at = SIZE_MAX, n_allocated;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return is_armed && n_allocated++ == fail_at ? NULL : __real_calloc(n, size);
}

START_TEST(no_memory)
{
    struct bytes body = { 0 };
    static const char text[] = "<a href='data:text/html;base64," HTML_64 "'>\"data:," EICAR_PERCENT "\"";
    add(&body, text, sizeof(text) - 1);
    for (fail_at = 0;; fail_at++) {
        struct caught c = { .sink_after = SIZE_MAX };
        n_allocated = 0;
        run(&c, HTM, &wide, &body);
        enum sp_split_result result = c.result;
        caught_fini(&c);
        if (n_allocated <= fail_at)
            break;
        ck_assert_int_eq(result, SP_SPLIT_ERROR);
    }
    ck_assert_uint_ge(fail_at, 7); /* the split, three texts, three objects */
    fail_at = SIZE_MAX;
    drop(&body);
}
END_TEST

/* --- what only looks like it -------------------------------------------------------------------------------------------------- */

/* Random enough, always the same. */
static void add_random(struct bytes *out, unsigned *seed, const char *digits, size_t n)
{
    size_t n_digits = strlen(digits);
    for (size_t i = 0; i < n; i++) {
        *seed = *seed * 1103515245u + 12345u;
        add_byte(out, (unsigned char) digits[(*seed >> 16) % n_digits]);
    }
}

#define B64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
#define B64_URL "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
#define HEX "0123456789abcdef"
#define LOWER "abcdefghijklmnopqrstuvwxyz"

static void add_text(struct bytes *out, const char *text)
{
    add(out, text, strlen(text));
}

static void add_lock(struct bytes *out, unsigned *seed)
{
    add_text(out, "  \"node_modules/");
    add_random(out, seed, LOWER, 9);
    add_text(out, "\": {\n    \"version\": \"1.2.3\",\n    \"resolved\": \"https://registry.example/a/-/a-1.2.3.tgz\",\n");
    add_text(out, "    \"integrity\": \"sha512-");
    add_random(out, seed, *seed % 2 == 0 ? B64 : B64_URL, 86);
    add_text(out, "==\",\n    \"shasum\": \"");
    add_random(out, seed, HEX, 64);
    add_text(out, "\", \"sha512\": \"");
    add_random(out, seed, HEX, 128);
    add_text(out, "\", \"sha384\": \"");
    add_random(out, seed, B64, 64);
    add_text(out, "\", \"up\": \"");
    add_random(out, seed, "0123456789ABCDEF", 96);
    add_text(out, "\"\n  },\n");
}

static void add_tokens(struct bytes *out, unsigned *seed)
{
    add_text(out, "{\"token\":\"eyJ");
    add_random(out, seed, B64_URL, 60);
    add_text(out, ".");
    add_random(out, seed, B64_URL, 300);
    add_text(out, ".");
    add_random(out, seed, B64_URL, 43);
    add_text(out, "\",\"slug\":\"");
    for (size_t i = 0; i < 12; i++, add_text(out, "-"))
        add_random(out, seed, LOWER, 7);
    add_text(out, "x\",\"path\":\"a/b/");
    for (size_t i = 0; i < 12; i++, add_text(out, "/"))
        add_random(out, seed, LOWER, 7);
    add_text(out, "\",\"text\":\"It is data: one, two, three; and more\"},\n");
}

static void add_script(struct bytes *out, unsigned *seed)
{
    add_text(out, "function ");
    add_random(out, seed, LOWER, 3);
    add_text(out, "(e,t){return $.ajax({type:\"POST\",data:e,success:function(n){t(n)}}),{data:t.x,y:1,z:\"a,b\",metadata:[1,2]}}var ");
    add_random(out, seed, LOWER, 700);
    add_text(out, "=\"data:\"+x+\";base64,\"+y;'data:image/png;base64,'.concat(z);a?data:b,c;\"");
    add_random(out, seed, B64, 300);
    add_text(out, "\";\n");
}

static void add_page(struct bytes *out, unsigned *seed)
{
    add_text(out, "<svg viewBox=\"0 0 9 9\" data-x=\"data: a, b\"><path d=\"M0 0c");
    add_random(out, seed, "0123456789. -lcvhz", 2000);
    add_text(out, "\"/></svg><p title='data:'>Meta data: names, numbers</p><a href=\"?data=1&data:2,3\">");
    add_random(out, seed, LOWER "     ", 400);
    add_text(out, "</a>\n");
}

START_TEST(false_friends)
{
    static const struct {
        const char *title, *type;
        void (*add_one)(struct bytes *, unsigned *);
        size_t max_objects;
    } cases[] = { { "lock file", JSON, add_lock, 0 }, { "tokens", JSON, add_tokens, 0 }, { "script", JS, add_script, 0 },
        { "page", HTM, add_page, 0 } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct caught c = { 0 };
        struct bytes body = { 0 };
        unsigned seed = 1;
        for (size_t k = 0; k < 1000; k++)
            cases[i].add_one(&body, &seed);
        run(&c, cases[i].type, &wide, &body);
        printf("%s: %zu bytes, %zu objects\n", cases[i].title, body.n, c.n_objects);
        ck_assert_int_eq(c.result, SP_SPLIT_OK);
        REQUIRE(c.n_objects <= cases[i].max_objects, "%s: %zu objects, such as \"%.*s\"", cases[i].title, c.n_objects,
            (int) (c.objects[0].content.n < 100 ? c.objects[0].content.n : 100), (const char *) c.objects[0].content.p);
        caught_fini(&c);
        drop(&body);
    }
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("text");
    tcase_add_loop_test(c, each_row, 0, (int) (sizeof(rows) / sizeof(rows[0])));
    tcase_add_test(c, long_literals);
    tcase_add_test(c, every_offset);
    tcase_add_test(c, megabytes);
    tcase_add_test(c, limits);
    tcase_add_test(c, sink_fails);
    tcase_add_test(c, no_memory);
    tcase_add_test(c, false_friends);
    return unit_run("split_text", c);
}
