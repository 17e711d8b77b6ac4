/* Splitting as a whole: which bodies, what a sink or memory that fails does, results that stay. The kinds have tests of their own. */
#include "config.h"

#include "split_kit.h"

/* --- failing on command: the linker routes these calls here (Makefile.am) ------------------------------------------------- */

static int calls_until_failure = -1; /* -1: never fail; 0: the next one fails */

static bool must_fail(void)
{
    return is_armed && calls_until_failure >= 0 && calls_until_failure-- == 0;
}

#define WRAP(name, parameters, arguments)                                                                                                  \
    void *__real_##name parameters;                                                                                                        \
    void *__wrap_##name parameters;                                                                                                        \
    void *__wrap_##name parameters                                                                                                         \
    {                                                                                                                                      \
        if (must_fail())                                                                                                                   \
            return NULL;                                                                                                                   \
        return __real_##name arguments;                                                                                                    \
    }

WRAP(malloc, (size_t n), (n))
WRAP(calloc, (size_t n, size_t m), (n, m))
WRAP(realloc, (void *p, size_t n), (p, n))

/* --- heads ------------------------------------------------------------------------------------------------------------ */

#define MULTI "multipart/mixed; boundary=b"
#define BODY "--b\n\nx\n--b--\n"

static void expect_types(const char *title, const char *const *types, const char *body, const char *objects, enum sp_split_result result)
{
    struct sp_field fields[MAX_FIELDS];
    struct sp_message msg = { .kind = SP_MESSAGE_REQUEST, .fields = fields };
    for (; *types != NULL; types++)
        fields[msg.n_fields++] = (struct sp_field){ SP_STR("content-TYPE"), sp_str_from(*types) };
    struct bytes bytes = { 0 }, expected = { 0 };
    add(&bytes, body, strlen(body));
    add(&expected, objects, strlen(objects));
    expect_fields(title, &msg, &wide, &bytes, &expected, result);
    drop(&bytes);
    drop(&expected);
}

START_TEST(content_types)
{
    static const struct {
        const char *title;
        const char *types[4];
        const char *body, *objects;
        enum sp_split_result result;
    } rows[] = {
        { "none", { NULL }, BODY, "", SP_SPLIT_OK },
        { "image", { "image/gif" }, BODY, "", SP_SPLIT_OK },
        { "one", { MULTI }, BODY, "0x", SP_SPLIT_OK },
        { "twice the same", { MULTI, MULTI }, BODY, "0x", SP_SPLIT_OK },
        { "plain first", { "text/plain", MULTI }, BODY, "0x", SP_SPLIT_BAD },
        { "plain last", { MULTI, "text/plain" }, BODY, "0x", SP_SPLIT_BAD },
        { "image first", { "image/gif", MULTI }, BODY, "0x", SP_SPLIT_BAD },
        { "other boundary", { MULTI, "multipart/mixed; boundary=c" }, BODY, "0x", SP_SPLIT_BAD },
        { "differ, empty", { MULTI, "text/plain" }, "", "", SP_SPLIT_OK },
        { "differ, no multipart", { "image/gif", "image/gif; x=y" }, BODY, "", SP_SPLIT_OK },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_types(rows[i].title, rows[i].types, rows[i].body, rows[i].objects, rows[i].result);
}
END_TEST

START_TEST(is_needed)
{
    static const struct {
        const char *type;
        bool is_needed;
    } rows[] = {
        { "multipart/form-data; boundary=x", true },
        { "MultiPart/X", true },
        { "\r\n multipart/mixed ;boundary=x", true },
        { "multipart", false },
        { "xmultipart/mixed", false },
        { "application/x-www-form-urlencoded", true },
        { "application/json; charset=utf-8", true },
        { "text/html", true },
        { "image/gif; x=multipart/mixed", false },
        { "application/octet-stream", false },
        { "image/png", false },
        { "", false },
        { ";", false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sp_field field = { SP_STR("Content-Type"), sp_str_from(rows[i].type) };
        struct sp_message msg = { .kind = SP_MESSAGE_REQUEST, .fields = &field, .n_fields = 1, .cap_fields = 1 };
        REQUIRE(sp_split_is_needed(&msg) == rows[i].is_needed, "%s", rows[i].type);
    }
    struct sp_message none = { .kind = SP_MESSAGE_REQUEST };
    ck_assert(!sp_split_is_needed(&none));
}
END_TEST

/* Objects of every kind inside a multipart, one deeper. */
#define LONG "a value that is long enough to be worth a scan"
#define LONG_ESCAPED "a%20value%20that%20is%20long%20enough%20to%20be%20worth%20a%20scan"
#define HTML "<a href=\"data:," LONG_ESCAPED "\">"
#define HTML_64                                                                                                                            \
    "PGEgaHJlZj0iZGF0YTosYSUyMHZhbHVlJTIwdGhhdCUyMGlzJTIwbG9uZyUy"                                                                         \
    "MGVub3VnaCUyMHRvJTIwYmUlMjB3b3J0aCUyMGElMjBzY2FuIj4="

START_TEST(kinds_inside_parts)
{
    static const char *const types[] = { MULTI, NULL };
    expect_types("form", types, "--b\nContent-Type: application/x-www-form-urlencoded\n\na=" LONG_ESCAPED "\n--b--",
        "0a=" LONG_ESCAPED "|1" LONG, SP_SPLIT_OK);
    expect_types("html", types, "--b\nContent-Type: text/html\n\n" HTML "\n--b--", "0" HTML "|1" LONG, SP_SPLIT_OK);
    expect_types("html that is said to be quoted-printable", types,
        "--b\nContent-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n" HTML "\n--b--", "0" HTML "|1" HTML "|2" LONG,
        SP_SPLIT_OK);
    expect_types("html in base64", types, "--b\nContent-Type: text/html\nContent-Transfer-Encoding: base64\n\n" HTML_64 "\n--b--",
        "0" HTML_64 "|1" HTML "|2" LONG, SP_SPLIT_OK);
}
END_TEST

/* --- failures --------------------------------------------------------------------------------------------------------- */

/* Every call that the module has: nested, encoded, coded. */
static struct bytes rich_body(void)
{
    struct bytes body = { 0 }, plain = make_body(3000), coded = to_gzip(&plain);
    static const char start[] = "--b\nContent-Type: multipart/x; boundary=c\n\n--c\nContent-Transfer-Encoding: base64\n\nYQ\n--c--\n"
                                "--b\nContent-Encoding: gzip\n\n";
    add(&body, start, sizeof(start) - 1);
    add(&body, coded.p, coded.n);
    add(&body, "\n--b--\n", 7);
    drop(&plain);
    drop(&coded);
    return body;
}

static void run_rich(struct caught *c, const struct bytes *body, size_t (*next)(void *, size_t))
{
    struct sp_field field = { SP_STR("Content-Type"), SP_STR(MULTI) };
    struct sp_message msg = { .kind = SP_MESSAGE_REQUEST, .fields = &field, .n_fields = 1, .cap_fields = 1 };
    split_fields(c, &msg, &wide, body->p, body->n, next, NULL);
}

START_TEST(sink_fails)
{
    static const struct {
        enum sp_status status;
        enum sp_split_result result;
    } rows[] = { { SP_ERR_LIMIT, SP_SPLIT_LIMIT }, { SP_ERR_IO, SP_SPLIT_ERROR }, { SP_ERR_NOMEM, SP_SPLIT_ERROR } };
    struct bytes body = rich_body();
    struct caught all = { 0 };
    run_rich(&all, &body, whole);
    ck_assert_int_eq(all.result, SP_SPLIT_OK);
    ck_assert_uint_ge(all.n_calls, 15); /* 5 objects */
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        for (size_t after = 0; after < all.n_calls; after++) {
            struct caught c = { .sink_says = rows[r].status, .sink_after = after };
            run_rich(&c, &body, whole);
            REQUIRE(c.result == rows[r].result, "call %zu: result %d", after, (int) c.result);
            REQUIRE(c.n_calls == after + 1, "call %zu: %zu calls after the failure", after, c.n_calls - after - 1);
            REQUIRE(strstr(c.detail.text, sp_status_name(rows[r].status)) != NULL, "call %zu: the text is \"%s\"", after, c.detail.text);
            caught_fini(&c);
        }
    }
    caught_fini(&all);
    drop(&body);
}
END_TEST

/* Leaks are for the address sanitizer to see. */
START_TEST(memory_fails)
{
    struct bytes body = rich_body();
    int n_failed = 0;
    for (;; n_failed++) {
        struct caught c = { 0 };
        calls_until_failure = n_failed;
        run_rich(&c, &body, n_failed % 2 == 0 ? whole : one_by_one);
        bool has_failed = calls_until_failure < 0;
        calls_until_failure = -1;
        REQUIRE(c.result == (has_failed ? SP_SPLIT_ERROR : SP_SPLIT_OK), "allocation %d: result %d", n_failed, (int) c.result);
        caught_fini(&c);
        if (!has_failed)
            break;
    }
    ck_assert_int_ge(n_failed, 15);
    drop(&body);
}
END_TEST

/* A failure stays, and nothing more reaches the sink. */
START_TEST(result_stays)
{
    struct sp_field field = { SP_STR("Content-Type"), SP_STR(MULTI) };
    struct sp_message msg = { .kind = SP_MESSAGE_REQUEST, .fields = &field, .n_fields = 1, .cap_fields = 1 };
    struct caught c = { .objects = malloc(MAX_OBJECTS * sizeof(struct object)), .sink_says = SP_ERR_LIMIT, .sink_after = 1 };
    struct sp_split_sink sink = { &c, on_begin, on_bytes, on_end };
    struct sp_split *split = NULL;
    struct sp_error detail = { 0 }, second = { 0 }, third = { 0 };
    ck_assert_ptr_nonnull(c.objects);
    ck_assert_int_eq(sp_split_new(&msg, &wide, &sink, &detail, &split), SP_SPLIT_OK);
    ck_assert_int_eq(sp_split_feed(split, BODY, sizeof(BODY) - 1, &detail), SP_SPLIT_LIMIT);
    ck_assert_int_eq(sp_split_feed(split, BODY, sizeof(BODY) - 1, &second), SP_SPLIT_LIMIT);
    ck_assert_int_eq(sp_split_finish(split, &third), SP_SPLIT_LIMIT);
    ck_assert(detail.text[0] != '\0' && second.text[0] != '\0' && third.text[0] != '\0');
    ck_assert_uint_eq(c.n_calls, 2);
    sp_split_free(&split);
    caught_fini(&c);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("split");
    tcase_add_test(c, content_types);
    tcase_add_test(c, is_needed);
    tcase_add_test(c, kinds_inside_parts);
    tcase_add_test(c, sink_fails);
    tcase_add_test(c, memory_fails);
    tcase_add_test(c, result_stays);
    return unit_run("split", c);
}
