/* Forms: names and values, decoded, and what is inside them. Each row in all pieces. */
#include "config.h"

#include "split_kit.h"

#define FORM "application/x-www-form-urlencoded"
#define EICAR "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
#define EICAR_64 "WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5EQVJELUFOVElWSVJVUy1URVNULUZJTEUhJEgrSCo="
#define EICAR_64_BARE "WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5EQVJELUFOVElWSVJVUy1URVNULUZJTEUhJEgrSCo"
#define EICAR_PERCENT "X5O%21P%25%40AP%5B4%5CPZX54%28P%5E%297CC%297%7D%24EICAR-STANDARD-ANTIVIRUS-TEST-FILE%21%24H%2bH%2A"
/* <img src="data:;base64,...EICAR..."> */
#define HTML_64 \
    "PGltZyBzcmM9ImRhdGE6O2Jhc2U2NCxXRFZQSVZBbFFFRlFXelJjVUZwWU5UUW9VRjRwTjBOREtUZDlKRVZKUTBGU0xWTlVRVTVF" \
    "UVZKRUxVRk9WRWxXU1ZKVlV5MVVSVk5VTFVaSlRFVWhKRWdyU0NvPSI+"
#define X2(s) s s
#define X4(s) X2(X2(s))
#define X12(s) X4(s) X4(s) X4(s)
#define X24(s) X12(s) X12(s)
#define SIGNS X24(">>>?\?\?")
#define SIGNS_64 X24("Pj4+Pz8/")
#define SIGNS_64_BLANK X24("Pj4 Pz8/")
#define LONG_31 "0123456789012345678901234567890"
#define LONG_32 LONG_31 "1"

static const struct row {
    const char *title, *body, *objects;
} rows[] = {
    { "a value", "a=" EICAR_PERCENT, "0" EICAR },
    { "values", "a=1&b=" EICAR_PERCENT "&c=&=x&" EICAR_PERCENT "=&d=" EICAR_PERCENT "&", "0" EICAR "|0" EICAR "|0" EICAR },
    { "a name without a value", EICAR_PERCENT, "0" EICAR },
    { "= in a value", "a=" EICAR_PERCENT "=b=c", "0" EICAR "=b=c" },
    { "blanks", "a=+%2b+" LONG_32 "+", "0 + " LONG_32 " " },
    { "just long enough", "a=" LONG_31 "%31", "0" LONG_32 },
    { "too short", "a=" LONG_31 "&b=" LONG_31 "&" LONG_31, "" },
    { "escapes that are none", "a=" LONG_32 "%zz%4&b=" LONG_32 "%", "0" LONG_32 "%zz%4|0" LONG_32 "%" },
    { "bytes that text does not have", "a=%01%ff%80" LONG_32, "0\x01\xff\x80" LONG_32 },
    { "only separators", "&&==&=&", "" },

    { "base64", "a=" EICAR_64, "0" EICAR_64 "|1" EICAR },
    { "base64, escaped", "a=" "%57DVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5EQVJELUFOVElWSVJVUy1URVNULUZJTEUhJEgrSCo%3D&b=1", "0" EICAR_64 "|1" EICAR },
    { "base64, its + as they are", "a=" SIGNS_64, "0" SIGNS_64_BLANK "|1" SIGNS },
    { "base64, its + escaped", "a=" X24("Pj4%2BPz8%2f"), "0" SIGNS_64 "|1" SIGNS },
    { "base64, lines", "a=" X24("Pj4%2BPz8/%0D%0A"), "0" X24("Pj4+Pz8/\r\n") "|1" SIGNS },
    { "base64, then none", "a=" SIGNS_64 ".x", "0" SIGNS_64_BLANK ".x|1" SIGNS },
    { "base64, then half an escape", "a=" EICAR_64 "%", "0" EICAR_64 "%" },
    { "base64 in two values", "a=" EICAR_64 "&b=" EICAR_64, "0" EICAR_64 "|1" EICAR "|0" EICAR_64 "|1" EICAR },
    { "a token", "a=z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg%2fSpIdNs6c5H0NE8XYXysP%2bDGNKHfuwvY7kxvUdBeoGlODJ6%2bSfaPg%3d%3d",
        "0z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==" },

    { "a data: URL", "a=data:a/b;base64," EICAR_64, "0data:a/b;base64," EICAR_64 "|1" EICAR },
    { "a data: URL, escaped", "a=%64ata%3Aa%2Fb%3Bbase64%2C" EICAR_64, "0data:a/b;base64," EICAR_64 "|1" EICAR },
    { "a data: URL, its + as they are", "a=data:image/svg+xml;base64," SIGNS_64, "0data:image/svg+xml;base64," SIGNS_64 "|1" SIGNS },
    { "a data: URL with a page", "a=data:text/html;base64," HTML_64 "",
        "0data:text/html;base64," HTML_64 "|1<img src=\"data:;base64," EICAR_64 "\">|2" EICAR },
    { "markup", "a=%3Cp%3E%3Cimg+src%3D%22data%3Aa%2fb;base64%2C" EICAR_64 "%22%3E", "0<p><img src=\"data:a/b;base64," EICAR_64 "\">|1" EICAR },
    { "JSON", "a=%7B%22a%22:%22" EICAR_64 "%22%7D&b=1", "0{\"a\":\"" EICAR_64 "\"}|1" EICAR },
    { "a string of JSON", "a=%22" EICAR_64 "%22&b=1", "0\"" EICAR_64 "\"|1" EICAR },
    { "JSON behind blanks", "a=+%0a%5B%22" EICAR_64 "%22%5D&b=1", "0 \n[\"" EICAR_64 "\"]|1" EICAR },
    { "data, but no URL", "a=dat" LONG_32 "&b=data+" LONG_32, "0dat" LONG_32 "|0data " LONG_32 },

    { "JSON that is no form", "{\"a\":\"" SIGNS_64 "\"}", "0{\"a\":\"" SIGNS_64_BLANK "\"}|2" SIGNS },
    { "JSON that is no form, cut off", "{\"a\":\"" EICAR_64_BARE "%", "0{\"a\":\"" EICAR_64_BARE "%" },
    { "JSON that is no form, cut by padding", "{\"a\":\"" EICAR_64 "\",\"b\":\"x&y\",\"c\":\"" EICAR_64 "\"}",
        "0{\"a\":\"" EICAR_64_BARE "|0y\",\"c\":\"" EICAR_64_BARE "|2" EICAR "|2" EICAR },
    { "a form that begins like JSON", "{=1&a=%3Cp%3E%3Cimg+src%3D%22data%3Aa%2fb;base64%2C" EICAR_64 "%22%3E",
        "0<p><img src=\"data:a/b;base64," EICAR_64 "\">|2" EICAR },
    { "XML that is no form", "<a b='data:a/b;base64," SIGNS_64 "'/>", "0'data:a/b;base64," SIGNS_64_BLANK "'/>|2" SIGNS },
};

START_TEST(each_row)
{
    const struct row *row = &rows[_i];
    struct bytes body = { 0 }, objects = { 0 };
    add(&body, row->body, strlen(row->body));
    add(&objects, row->objects, strlen(row->objects));
    expect_split(row->title, FORM, &wide, &body, &objects, SP_SPLIT_OK);
    drop(&body);
    drop(&objects);
}
END_TEST

static void run(struct caught *c, const struct sp_split_limits *limits, const struct bytes *body, size_t (*next)(void *, size_t))
{
    unsigned seed = 1;
    struct sp_field field = { SP_STR("Content-Type"), SP_STR("Application/X-WWW-Form-URLencoded; charset=utf-8") };
    struct sp_message msg = { .kind = SP_MESSAGE_REQUEST, .fields = &field, .n_fields = 1, .cap_fields = 1 };
    split_fields(c, &msg, limits, body->p, body->n, next, &seed);
}

/* 3 MB of any bytes, every one escaped. */
START_TEST(megabytes)
{
    struct bytes plain = make_body(3 * MIB), body = { 0 };
    add(&body, "a=", 2);
    for (size_t i = 0; i < plain.n; i++) {
        char escape[4];
        snprintf(escape, sizeof(escape), "%%%02x", plain.p[i]);
        add(&body, escape, 3);
    }
    for (size_t i = 0; i < 2; i++) {
        struct caught c = { 0 };
        run(&c, &wide, &body, i == 0 ? whole : any);
        ck_assert_int_eq(c.result, SP_SPLIT_OK);
        ck_assert_uint_eq(c.n_objects, 1);
        ck_assert_uint_eq(c.objects[0].content.n, plain.n);
        ck_assert(memcmp(c.objects[0].content.p, plain.p, plain.n) == 0);
        caught_fini(&c);
    }
    drop(&body);
    drop(&plain);
}
END_TEST

START_TEST(caps)
{
    static const char text[] = "a=" LONG_32 "&b=" EICAR_64;
    struct sp_split_limits two = wide, three = wide, flat = wide;
    two.max_parts = 2;
    three.max_parts = 3;
    flat.max_depth = 1;
    const struct {
        const struct sp_split_limits *limits;
        enum sp_split_result result;
        size_t n_objects;
    } cases[] = { { &two, SP_SPLIT_LIMIT, 2 }, { &three, SP_SPLIT_OK, 3 }, { &flat, SP_SPLIT_LIMIT, 2 } };
    struct bytes body = { 0 };
    add(&body, text, sizeof(text) - 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct caught c = { 0 };
        run(&c, cases[i].limits, &body, whole);
        ck_assert_int_eq(c.result, cases[i].result);
        ck_assert_uint_eq(c.n_objects, cases[i].n_objects);
        caught_fini(&c);
    }
    drop(&body);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("form");
    tcase_add_loop_test(c, each_row, 0, (int) (sizeof(rows) / sizeof(rows[0])));
    tcase_add_test(c, megabytes);
    tcase_add_test(c, caps);
    return unit_run("split_form", c);
}
