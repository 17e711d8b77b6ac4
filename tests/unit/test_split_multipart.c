/* Multipart bodies: each row runs with LF and with CR LF as its line end, in all pieces. */
#include "config.h"

#include "split_kit.h"

#define MIXED "multipart/mixed; boundary=b"
#define TEN "0123456789"
#define FIFTY TEN TEN TEN TEN TEN
#define BOUNDARY_250 FIFTY FIFTY FIFTY FIFTY FIFTY

static const struct row {
    const char *title, *type, *body, *objects;
    enum sp_split_result result;
} rows[] = {
    { "two parts", MIXED, "--b\n\nhello\n--b\nContent-Type: text/plain\n\nyou\n--b--\n", "0hello|0you", SP_SPLIT_OK },
    { "preamble and epilogue", MIXED, "pre\namble\n--b\n\nhello\n--b--\nepi\nlogue\n", "0hello", SP_SPLIT_OK },
    { "preamble without a line end of its own", MIXED, "pre--b\n--b\n\nx\n--b--", "0x", SP_SPLIT_OK },
    { "blank lines before", MIXED, "\n\n--b\n\nx\n--b--", "0x", SP_SPLIT_OK },
    { "no line end at the end", MIXED, "--b\n\nx\n--b--", "0x", SP_SPLIT_OK },
    { "CR at the end", MIXED, "--b\n\nx\n--b--\r", "0x", SP_SPLIT_OK },
    { "line ends belong to the content, the last one to the delimiter", MIXED, "--b\n\n\n\nx\n\n\n--b--\n", "0\n\nx\n\n", SP_SPLIT_OK },
    { "content of line ends", MIXED, "--b\n\n\n\n--b--\n", "0\n", SP_SPLIT_OK },
    { "lone CRs are content", MIXED, "--b\n\n\rx\r\ry\n--b--\n", "0\rx\r\ry", SP_SPLIT_OK },
    { "empty part", MIXED, "--b\n\n\n--b\n\nx\n--b--\n", "0x", SP_SPLIT_OK },
    { "empty part without a line end", MIXED, "--b\nA: b\n\n--b\n\nx\n--b--\n", "0x", SP_SPLIT_OK },
    { "no parts", MIXED, "--b--\n", "", SP_SPLIT_OK },
    { "delimiters only", MIXED, "--b\n--b\n--b--\n", "", SP_SPLIT_OK },
    { "padding behind delimiters", MIXED, "--b \t \n\nx\n--b\t\n\ny\n--b-- \t\nz\n", "0x|0y", SP_SPLIT_OK },
    { "a part behind the close", MIXED, "--b\n\nx\n--b--\nepilogue\n--b\n\ny\n--b--\n", "0x|0y", SP_SPLIT_OK },
    { "nothing", MIXED, "", "", SP_SPLIT_OK },
    { "nothing, no boundary", "multipart/mixed", "", "", SP_SPLIT_OK },
    { "bytes above 127 and NUL-like", MIXED, "--b\n\n\xff\xfe\x80\x01\n--b--\n", "0\xff\xfe\x80\x01", SP_SPLIT_OK },

    { "lines of dashes", MIXED, "--b\n\n-\n--\n---\n----b\n -- b\n--\n--b--\n", "0-\n--\n---\n----b\n -- b\n--", SP_SPLIT_OK },
    { "almost the boundary", "multipart/x; boundary=abab", "--abab\n\n--aba\n--ababa\n--aab\n--abb\n\n--abab--",
        "0--aba\n--ababa\n--aab\n--abb\n", SP_SPLIT_BAD },
    { "boundary within lines", MIXED, "--b\n\nx--b\nx --b--\n\t--b\n--b--\n", "0x--b\nx --b--\n\t--b", SP_SPLIT_OK },
    { "boundary begins as the line end", "multipart/x; boundary=--", "----\n\n--\n---\n\n------", "0--\n---\n", SP_SPLIT_OK },
    { "boundary as prefix of a line", MIXED, "--b\n\nx\n--bc\ny\n--b--\n", "0x\n--bc\ny", SP_SPLIT_BAD },
    { "close as prefix of a line", MIXED, "--b\n\nx\n--b--c\ny\n--b--\n", "0x\n--b--c\ny", SP_SPLIT_BAD },
    { "half a close", MIXED, "--b\n\nx\n--b-\ny\n--b--\n", "0x\n--b-\ny", SP_SPLIT_BAD },
    { "blank within a close", MIXED, "--b\n\nx\n--b - -\ny\n--b--\n", "0x\n--b - -\ny", SP_SPLIT_BAD },
    { "preamble with a prefix line", MIXED, "--bc\n\nno\n--b\n\nx\n--b--\n", "0x", SP_SPLIT_BAD },

    { "no close", MIXED, "--b\n\nx\n--b\n\ny\nz\n", "0x|0y\nz\n", SP_SPLIT_BAD },
    { "cut in the delimiter", "multipart/x; boundary=abc", "--abc\n\nx\n--ab", "0x\n--ab", SP_SPLIT_BAD },
    { "cut behind the delimiter", MIXED, "--b\n\nx\n--b", "0x", SP_SPLIT_BAD },
    { "cut in the close", MIXED, "--b\n\nx\n--b-", "0x\n--b-", SP_SPLIT_BAD },
    { "cut in a head", MIXED, "--b\n\nx\n--b\nContent-Type: text/pl", "0x", SP_SPLIT_BAD },
    { "cut before a head", MIXED, "--b\n\nx\n--b\n", "0x", SP_SPLIT_BAD },
    { "cut behind a head", MIXED, "--b\n\nx\n--b\nA: b\n\n", "0x", SP_SPLIT_BAD },
    { "open again", MIXED, "--b\n\nx\n--b--\n--b\n\ny\n", "0x|0y\n", SP_SPLIT_BAD },
    { "never a delimiter", MIXED, "hello\n", "", SP_SPLIT_BAD },
    { "another boundary", MIXED, "--c\n\nhello\n--c--\n", "", SP_SPLIT_BAD },
    { "delimiter in a head", MIXED, "--b\nContent-Transfer-Encoding: base64\n--b\n\naGVsbG8=\n--b--\n", "0aGVsbG8=", SP_SPLIT_BAD },
    { "head begins with a blank", MIXED, "--b\n Content-Type: text/plain\n\nx\n--b--\n", "0x", SP_SPLIT_BAD },

    { "any case, blanks, other parameters", "MULTIPART/Related ; type=\"a;boundar\\\"y\"; BOUNDARY = b ; x=y", "--b\n\nx\n--b--", "0x",
        SP_SPLIT_OK },
    { "folded Content-Type", "multipart/mixed;\r\n\tboundary=b", "--b\n\nx\n--b--", "0x", SP_SPLIT_OK },
    { "boundary with separators", "multipart/form-data; boundary=----=_Part:0/(1)?", "------=_Part:0/(1)?\n\nx\n------=_Part:0/(1)?--",
        "0x", SP_SPLIT_OK },
    { "boundary of the name", "multipart/form-data; boundary=----WebKitFormBoundaryA",
        "------WebKitFormBoundaryA\n\nx\n------WebKitFormBoundaryA--", "0x", SP_SPLIT_OK },
    { "quoted boundary", "multipart/mixed; boundary=\"a b,;c\"", "--a b,;c\n\nx\n--a b,;c--", "0x", SP_SPLIT_OK },
    { "quoted boundary, blanks at its end", "multipart/mixed; boundary=\"b  \"; a", "--b  \n\nx\n--b--", "0x", SP_SPLIT_OK },
    { "the same boundary twice", "multipart/mixed; boundary=b; boundary=\"b\"", "--b\n\nx\n--b--", "0x", SP_SPLIT_OK },
    { "boundary of 250 bytes", "multipart/mixed; boundary=" BOUNDARY_250, "--" BOUNDARY_250 "\n\nx\n--" BOUNDARY_250 "--", "0x",
        SP_SPLIT_OK },
    { "boundary of 256 bytes", "multipart/mixed; boundary=" BOUNDARY_250 "abcdef",
        "--" BOUNDARY_250 "abcdef\n\nx\n--" BOUNDARY_250 "abcdef--", "0x", SP_SPLIT_OK },
    { "boundary of 257 bytes", "multipart/mixed; boundary=" BOUNDARY_250 "abcdefg",
        "--" BOUNDARY_250 "abcdefg\n\nx\n--" BOUNDARY_250 "abcdefg--", "", SP_SPLIT_BAD },
    { "boundary with an escape", "multipart/mixed; boundary=\"a\\\"b\"", "--a\"b\n\nx\n--a\"b--", "0x", SP_SPLIT_BAD },
    { "no boundary", "multipart/mixed", "--b\n\nx\n--b--", "", SP_SPLIT_BAD },
    { "empty boundary", "multipart/mixed; boundary=", "--\n\nx\n----", "", SP_SPLIT_BAD },
    { "empty quoted boundary", "multipart/mixed; boundary=\"\"", "--\n\nx\n----", "", SP_SPLIT_BAD },
    { "boundary without a value", "multipart/mixed; boundary", "--b\n\nx\n--b--", "", SP_SPLIT_BAD },
    { "open quote", "multipart/mixed; boundary=\"b", "--b\n\nx\n--b--", "", SP_SPLIT_BAD },
    { "open quote before", "multipart/mixed; charset=\"x; boundary=b", "--b\n\nx\n--b--", "", SP_SPLIT_BAD },
    { "junk behind the quote", "multipart/mixed; boundary=\"b\"c", "--b\n\nx\n--b--", "", SP_SPLIT_BAD },
    { "blank in a token", "multipart/mixed; boundary=b c", "--b\n\nx\n--b--", "", SP_SPLIT_BAD },
    { "comma in a token", "multipart/mixed; boundary=b,c", "--b,c\n\nx\n--b,c--", "", SP_SPLIT_BAD },
    { "control in the boundary", "multipart/mixed; boundary=\"b\rc\"", "--b\rc\n\nx\n--b\rc--", "", SP_SPLIT_BAD },
    { "two boundaries", "multipart/mixed; boundary=b; boundary=c", "--b\n\nx\n--c\ny\n--b--", "0x\n--c\ny", SP_SPLIT_BAD },
    { "RFC 2231 beside it", "multipart/mixed; boundary=b; boundary*0=c; boundary*1=d", "--b\n\nx\n--b--", "0x", SP_SPLIT_BAD },
    { "RFC 2231 alone", "multipart/mixed; boundary*=us-ascii''b", "--b\n\nx\n--b--", "", SP_SPLIT_BAD },
    { "hidden in another parameter", "multipart/mixed; a=\"boundary=c\"; boundary=b", "--b\n\nx\n--b--", "0x", SP_SPLIT_BAD },

    { "base64, as sent and undone", MIXED, "--b\nContent-Transfer-Encoding: base64\n\naGVsbG8gPT0+IHdvcmxk\n--b--",
        "0aGVsbG8gPT0+IHdvcmxk|1hello ==> world", SP_SPLIT_OK },
    { "base64 in lines with junk", MIXED, "--b\ncontent-transfer-encoding:BASE64 \n\naG.Vs\n*bG8\n=\n--b--", "0aG.Vs\n*bG8\n=|1hello",
        SP_SPLIT_OK },
    { "folded field", MIXED, "--b\nContent-Transfer-Encoding:\n\tbase64\n\naGVsbG8\n--b--", "0aGVsbG8|1hello", SP_SPLIT_OK },
    { "quoted-printable", MIXED, "--b\nContent-Transfer-Encoding: quoted-printable\n\n=68e=\nllo\n--b--", "0=68e=\nllo|1hello",
        SP_SPLIT_OK },
    { "two base64 parts", MIXED, "--b\nContent-Transfer-Encoding: base64\n\nYQ\n--b\nContent-Transfer-Encoding: base64\n\nYg\n--b--",
        "0YQ|1a|0Yg|1b", SP_SPLIT_OK },
    { "base64 of nothing", MIXED, "--b\nContent-Transfer-Encoding: base64\n\n*\n--b--", "0*", SP_SPLIT_OK },
    { "7bit and unknown", MIXED, "--b\nContent-Transfer-Encoding: 7BIT\n\nx\n--b\nContent-Transfer-Encoding: x-nobody\n\ny\n--b--", "0x|0y",
        SP_SPLIT_OK },
    { "the same transfer encoding twice", MIXED, "--b\nContent-Transfer-Encoding: base64\nContent-Transfer-Encoding: Base64\n\nYQ==\n--b--",
        "0YQ==|1a", SP_SPLIT_OK },
    { "two transfer encodings", MIXED, "--b\nContent-Transfer-Encoding: base64\nContent-Transfer-Encoding: 8bit\n\nYQ==\n--b--", "0YQ==|1a",
        SP_SPLIT_BAD },
    { "unknown coding", MIXED, "--b\nContent-Encoding: x-nobody\n\nx\n--b\n\ny\n--b--", "0x|1x|0y", SP_SPLIT_BAD },
    { "broken coding", MIXED, "--b\nContent-Encoding: gzip\n\nnot gzip\n--b\n\ny\n--b--", "0not gzip|0y", SP_SPLIT_BAD },

    { "nested", MIXED, "--b\nContent-Type: multipart/mixed; boundary=c\n\npre\n--c\n\nx\n--c\n\ny\n--c--\nepi\n--b\n\nz\n--b--",
        "0pre\n--c\n\nx\n--c\n\ny\n--c--\nepi|1x|1y|0z", SP_SPLIT_OK },
    { "nested, outer boundary is a prefix of the inner", MIXED,
        "--b\nContent-Type: multipart/mixed; boundary=bc\n\n--bc\n\nx\n--bc--\n--b--", "0--bc\n\nx\n--bc--|1x", SP_SPLIT_BAD },
    { "nested 3 deep", MIXED,
        "--b\nContent-Type: multipart/a; boundary=c\n\n--c\nContent-Type: multipart/a; boundary=d\n\n"
        "--d\nContent-Transfer-Encoding: base64\n\nYWI\n--d--\n--c--\n--b--",
        "0--c\nContent-Type: multipart/a; boundary=d\n\n--d\nContent-Transfer-Encoding: base64\n\nYWI\n--d--\n--c--|"
        "1--d\nContent-Transfer-Encoding: base64\n\nYWI\n--d--|2YWI|3ab",
        SP_SPLIT_OK },
    { "nested without close, the rest still comes", MIXED, "--b\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nx\n--b\n\nz\n--b--",
        "0--c\n\nx|1x|0z", SP_SPLIT_BAD },
    { "nested without boundary, the rest still comes", MIXED, "--b\nContent-Type: multipart/mixed\n\n--c\n\nx\n--b\n\nz\n--b--",
        "0--c\n\nx|0z", SP_SPLIT_BAD },
    { "nested, empty", MIXED, "--b\nContent-Type: multipart/mixed; boundary=c\n\n\n--b--", "", SP_SPLIT_OK },
    { "nested with a transfer encoding", MIXED,
        "--b\nContent-Type: multipart/mixed; boundary=c\nContent-Transfer-Encoding: base64\n\n--c\n\nx\n--c--\n--b--",
        "0--c\n\nx\n--c--|1x", SP_SPLIT_BAD },
    { "nested with the same boundary: the outer one has it", MIXED,
        "--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n--b--", "0x", SP_SPLIT_OK },
    { "two Content-Types in a part", MIXED,
        "--b\nContent-Type: text/plain\nContent-Type: multipart/x; boundary=c\n\n--c\n\nx\n--c--\n--b--", "0--c\n\nx\n--c--|1x",
        SP_SPLIT_BAD },
    { "message/rfc822 is a part", MIXED,
        "--b\nContent-Type: message/rfc822\n\nSubject: x\nContent-Type: multipart/x; boundary=c\n\n--c\n\nx\n--c--\n--b--",
        "0Subject: x\nContent-Type: multipart/x; boundary=c\n\n--c\n\nx\n--c--", SP_SPLIT_OK },
    { "byteranges", "multipart/byteranges; boundary=THIS",
        "--THIS\nContent-Type: application/pdf\nContent-Range: bytes 0-2/9\n\nabc\n--THIS\nContent-Range: bytes 5-6/9\n\nde\n--THIS--\n",
        "0abc|0de", SP_SPLIT_OK },
    { "form", "multipart/form-data; boundary=b",
        "--b\nContent-Disposition: form-data; name=\"f\"; filename=\"a.exe\"\nContent-Type: application/octet-stream\n\nMZ\n--b--\n", "0MZ",
        SP_SPLIT_OK },
};

static struct bytes text(const char *s, bool is_crlf)
{
    struct bytes b = { 0 };
    for (; *s != '\0'; s++)
        add(&b, is_crlf && *s == '\n' ? "\r\n" : s, is_crlf && *s == '\n' ? 2 : 1);
    return b;
}

START_TEST(table)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int is_crlf = 0; is_crlf < 2; is_crlf++) {
            struct bytes body = text(rows[i].body, is_crlf), objects = text(rows[i].objects, is_crlf);
            char title[200];
            snprintf(title, sizeof(title), "%s (%s)", rows[i].title, is_crlf ? "CR LF" : "LF");
            expect_split(title, rows[i].type, &wide, &body, &objects, rows[i].result);
            drop(&body);
            drop(&objects);
        }
    }
}
END_TEST

/* CR LF and LF in one body, and CRs that belong to no line end. */
START_TEST(mixed_line_ends)
{
    static const struct row mixed[] = {
        { "both", MIXED, "--b\r\nA: b\n\r\nx\r\n\n--b\n\n\r\n--b--\r\n", "0x\r\n", SP_SPLIT_OK },
        { "two CRs before a delimiter", MIXED, "--b\n\nx\r\r\n--b--\n", "0x\r", SP_SPLIT_OK },
        { "two CRs behind a boundary", MIXED, "--b\n\nx\n--b\r\r\n--b--\n", "0x\n--b\r", SP_SPLIT_BAD },
        { "a CR is no empty line", MIXED, "--b\n\r\r\nContent-Transfer-Encoding: base64\n\nYQ\n--b--\n", "0YQ|1a", SP_SPLIT_OK },
    };
    for (size_t i = 0; i < sizeof(mixed) / sizeof(mixed[0]); i++) {
        struct bytes body = text(mixed[i].body, false), objects = text(mixed[i].objects, false);
        expect_split(mixed[i].title, mixed[i].type, &wide, &body, &objects, mixed[i].result);
        drop(&body);
        drop(&objects);
    }
}
END_TEST

START_TEST(nul_bytes)
{
    struct bytes body = { 0 }, objects = { 0 };
    add(&body, "--b\n\n\0a\0\n--\0b\n--b--\n", 20);
    add(&objects, "0\0a\0\n--\0b", 9);
    expect_split("NUL bytes", MIXED, &wide, &body, &objects, SP_SPLIT_OK);
    drop(&body);
    drop(&objects);
}
END_TEST

/* --- codings ---------------------------------------------------------------------------------------------------------- */

static struct bytes part_with(const char *head, const struct bytes *content)
{
    struct bytes body = text("--b\r\n", false);
    add(&body, head, strlen(head));
    add(&body, "\r\n\r\n", 4);
    add(&body, content->p, content->n);
    add(&body, "\r\n--b\r\n\r\nlast\r\n--b--\r\n", 23);
    return body;
}

static struct bytes to_base64(const struct bytes *in)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct bytes out = { 0 };
    for (size_t i = 0; i < in->n; i += 3) {
        unsigned long bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (i + k < in->n ? in->p[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            add_byte(&out, i + k > in->n ? '=' : (unsigned char) letters[bits >> (18 - 6 * k) & 63]);
        if (i % 57 == 54)
            add(&out, "\r\n", 2);
    }
    return out;
}

static void expect_coded(const char *title, const char *head, const struct bytes *sent, const struct bytes *plain)
{
    struct bytes body = part_with(head, sent), objects = { 0 };
    add_byte(&objects, '0');
    add(&objects, sent->p, sent->n);
    add(&objects, "|1", 2);
    add(&objects, plain->p, plain->n);
    add(&objects, "|0last", 6);
    expect_split(title, MIXED, &wide, &body, &objects, SP_SPLIT_OK);
    drop(&body);
    drop(&objects);
}

START_TEST(content_encoding)
{
    struct bytes plain = make_body(700);
    for (size_t i = 0; i < N_CODINGS; i++) {
        char head[200];
        struct bytes coded = codings[i].encode(&plain), sent = to_base64(&coded);
        snprintf(head, sizeof(head), "content-encoding: %s", codings[i].name);
        expect_coded(codings[i].title, head, &coded, &plain);
        snprintf(head, sizeof(head), "Content-Encoding: identity, %s\r\nContent-Transfer-Encoding: base64", codings[i].name);
        expect_coded(codings[i].title, head, &sent, &plain);
        drop(&coded);
        drop(&sent);
    }
    drop(&plain);
}
END_TEST

/* What could be decoded comes out, the rest of the body too, and the whole is BAD. */
START_TEST(cut_coding)
{
    struct bytes plain = make_body(700), coded = deflate_with(&plain, MAX_WBITS + 16, 0);
    coded.n -= 9; /* the trailer and a byte */
    struct bytes body = part_with("Content-Encoding: gzip", &coded), objects = { 0 };
    add_byte(&objects, '0');
    add(&objects, coded.p, coded.n);
    add(&objects, "|1", 2);
    add(&objects, plain.p, plain.n - 1);
    add(&objects, "|0last", 6);
    expect_split("cut gzip", MIXED, &wide, &body, &objects, SP_SPLIT_BAD);
    drop(&plain);
    drop(&coded);
    drop(&body);
    drop(&objects);
}
END_TEST

/* --- caps ------------------------------------------------------------------------------------------------------------- */

static void expect_limit(const char *title, const struct sp_split_limits *limits, const struct bytes *body, const char *word)
{
    struct sp_field field = { SP_STR("Content-Type"), SP_STR(MIXED) };
    struct sp_message msg = { .kind = SP_MESSAGE_RESPONSE, .fields = &field, .n_fields = 1, .cap_fields = 1 };
    for (int k = 0; k < 2; k++) {
        struct caught c = { 0 };
        split_fields(&c, &msg, limits, body->p, body->n, k == 0 ? whole : one_by_one, NULL);
        REQUIRE(c.result == (word == NULL ? SP_SPLIT_OK : SP_SPLIT_LIMIT), "%s: %d (%s)", title, (int) c.result, c.detail.text);
        REQUIRE(word == NULL || strstr(c.detail.text, word) != NULL, "%s: the text is \"%s\"", title, c.detail.text);
        caught_fini(&c);
    }
}

START_TEST(caps)
{
    struct sp_split_limits limits = wide;
    struct bytes three = text("--b\n\nx\n--b\n\n\n--b\n\ny\n--b--\n", false);
    limits.max_parts = 3;
    expect_limit("3 parts", &limits, &three, NULL);
    limits.max_parts = 2;
    expect_limit("3 parts of 2", &limits, &three, "more than 2 objects");

    limits = wide;
    struct bytes deep = text("--b\nContent-Type: multipart/x; boundary=c\n\n--c\n\nx\n--c--\n--b--\n", false);
    limits.max_depth = 2;
    expect_limit("2 deep", &limits, &deep, NULL);
    limits.max_depth = 1;
    expect_limit("2 deep of 1", &limits, &deep, "more than 1 deep");
    struct bytes base64 = text("--b\nContent-Transfer-Encoding: base64\n\nYQ\n--b--\n", false);
    expect_limit("base64 is one deeper", &limits, &base64, "more than 1 deep");

    limits = wide;
    struct bytes layers = text("--b\nContent-Encoding: gzip, gzip\n\nx\n--b--\n", false);
    limits.decode.max_layers = 1;
    expect_limit("layers", &limits, &layers, "content codings");
    drop(&three);
    drop(&deep);
    drop(&base64);
    drop(&layers);
}
END_TEST

START_TEST(output_cap_is_for_all_parts)
{
    struct sp_split_limits limits = wide;
    struct bytes plain = make_body(1000), coded = to_gzip(&plain), one = part_with("Content-Encoding: gzip", &coded), two = { 0 };
    add(&two, one.p, one.n - 7); /* without the close */
    add(&two, "\r\n", 2);
    add(&two, one.p, one.n);
    for (size_t parts = 1; parts <= 2; parts++) {
        limits.decode.max_output_bytes = parts * 1000;
        expect_limit("as much as allowed", &limits, parts == 1 ? &one : &two, NULL);
        limits.decode.max_output_bytes--;
        expect_limit("one byte more", &limits, parts == 1 ? &one : &two, "decoded bytes");
    }
    drop(&plain);
    drop(&coded);
    drop(&one);
    drop(&two);
}
END_TEST

START_TEST(bomb)
{
    struct bytes zeros = { calloc(1, 4 * MIB), 4 * MIB, 4 * MIB };
    struct sp_split_limits limits = wide;
    ck_assert_ptr_nonnull(zeros.p);
    limits.decode.max_ratio = 100;
    struct bytes coded = to_gzip(&zeros), body = part_with("Content-Encoding: gzip", &coded);
    expect_limit("bomb", &limits, &body, "decoded bytes for one");
    drop(&zeros);
    drop(&coded);
    drop(&body);
}
END_TEST

/* Deeper than any limit may be. */
START_TEST(depth_has_an_end)
{
    struct bytes body = { 0 };
    char line[100];
    for (int i = 0; i < 2 * SP_SPLIT_MAX_DEPTH; i++) {
        snprintf(line, sizeof(line), "--%s%d\nContent-Type: multipart/x; boundary=x%d\n\n", i == 0 ? "b\n\nx\n--b" : "x", i, i + 1);
        add(&body, i == 0 ? "--b\nContent-Type: multipart/x; boundary=x1\n\n" : line, i == 0 ? 44 : strlen(line));
    }
    expect_limit("deep", &wide, &body, "deep");
    drop(&body);
}
END_TEST

/* A head of n bytes, the blank line that ends it not among them. What is wrong with it is forgotten with the next one. */
static void expect_head(size_t n, enum sp_split_result result)
{
    struct bytes body = text("--b\nContent-Transfer-Encoding: base64\nX: ", false), objects = text("0YQ|1a|0Yg|1b", false);
    while (body.n - 4 < n - 1)
        add_byte(&body, 'x');
    struct bytes rest = text("\n\nYQ\n--b\nContent-Transfer-Encoding: base64\n\nYg\n--b--\n", false);
    add(&body, rest.p, rest.n);
    drop(&rest);
    struct sp_field field = { SP_STR("Content-Type"), SP_STR(MIXED) };
    struct sp_message msg = { .kind = SP_MESSAGE_RESPONSE, .fields = &field, .n_fields = 1, .cap_fields = 1 };
    expect_one("large head", &msg, &wide, &body, &objects, result, whole, NULL, "whole");
    expect_one("large head", &msg, &wide, &body, &objects, result, one_by_one, NULL, "byte by byte");
    drop(&body);
    drop(&objects);
}

START_TEST(large_heads)
{
    expect_head(100, SP_SPLIT_OK);
    expect_head(16 * 1024 - 1, SP_SPLIT_OK);
    expect_head(16 * 1024, SP_SPLIT_OK);
    expect_head(16 * 1024 + 1, SP_SPLIT_BAD);
    expect_head(1000 * 1024, SP_SPLIT_BAD);
}
END_TEST

/* More fields than a head may have: nothing in it counts. */
START_TEST(many_fields)
{
    struct bytes body = text("--b\nContent-Transfer-Encoding: base64\n", false), objects = text("0YQ", false);
    for (int i = 0; i < 5000; i++)
        add(&body, "a:\n", 3);
    add(&body, "\nYQ\n--b--\n", 10);
    struct sp_field field = { SP_STR("Content-Type"), SP_STR(MIXED) };
    struct sp_message msg = { .kind = SP_MESSAGE_RESPONSE, .fields = &field, .n_fields = 1, .cap_fields = 1 };
    expect_one("many fields", &msg, &wide, &body, &objects, SP_SPLIT_BAD, whole, NULL, "whole");
    drop(&body);
    drop(&objects);
}
END_TEST

/* Padding has an end: what is held is bounded. */
START_TEST(long_padding)
{
    for (size_t n = 256; n <= 257; n++) {
        struct bytes body = text("--b\n\nx\n--b", false), objects = text("0x", false);
        for (size_t i = 0; i < n; i++)
            add_byte(&body, ' ');
        if (n > 256)
            add(&objects, body.p + 6, body.n - 6);
        add(&body, "\n\ny\n--b--\n", 10);
        add(&objects, n > 256 ? "\n\ny" : "|0y", 3);
        expect_split("padding", MIXED, &wide, &body, &objects, n > 256 ? SP_SPLIT_BAD : SP_SPLIT_OK);
        drop(&body);
        drop(&objects);
    }
}
END_TEST

/* Larger than what is gathered, around that size, and cut where it is full. */
START_TEST(large_parts)
{
    static const size_t sizes[] = { 2047, 2048, 2049, 4096, 20000 };
    struct sp_field field = { SP_STR("Content-Type"), SP_STR(MIXED) };
    struct sp_message msg = { .kind = SP_MESSAGE_RESPONSE, .fields = &field, .n_fields = 1, .cap_fields = 1 };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct bytes content = make_body(sizes[i]), body = part_with("A: b", &content), objects = { 0 };
        add_byte(&objects, '0');
        add(&objects, content.p, content.n);
        add(&objects, "|0last", 6);
        expect_one("large part", &msg, &wide, &body, &objects, SP_SPLIT_OK, whole, NULL, "whole");
        expect_one("large part", &msg, &wide, &body, &objects, SP_SPLIT_OK, one_by_one, NULL, "byte by byte");
        for (size_t at = 1; at<body.n; at += at> 2000 && at < 2150 ? 1 : 97)
            expect_one("large part", &msg, &wide, &body, &objects, SP_SPLIT_OK, cut_at, &at, "cut");
        drop(&content);
        drop(&body);
        drop(&objects);
    }
}
END_TEST

/* Megabytes of what is almost a delimiter, within the time that a case has. */
START_TEST(near_boundaries)
{
    static const char *const lines[] = { "\r\n--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", "\n--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabb", "\r", "\n", "-",
        "a" };
    static const char type[] = "multipart/x; boundary=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
    struct sp_field field = { SP_STR("Content-Type"), { type, sizeof(type) - 1 } };
    struct sp_message msg = { .kind = SP_MESSAGE_RESPONSE, .fields = &field, .n_fields = 1, .cap_fields = 1 };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct bytes body = text("--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\n\n", false);
        size_t before = body.n;
        while (body.n < 4 * MIB)
            add(&body, lines[i], strlen(lines[i]));
        struct caught c = { 0 };
        split_fields(&c, &msg, &wide, body.p, body.n, whole, NULL);
        ck_assert_int_eq(c.result, SP_SPLIT_BAD); /* no close */
        ck_assert_uint_eq(c.n_objects, 1);
        ck_assert_uint_le(c.n_calls, 2 + 4 * MIB / 1024); /* each may be a write */
        ck_assert_uint_eq(c.objects[0].content.n, body.n - before);
        caught_fini(&c);
        drop(&body);
    }
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("split_multipart");
    tcase_add_test(c, table);
    tcase_add_test(c, mixed_line_ends);
    tcase_add_test(c, nul_bytes);
    tcase_add_test(c, content_encoding);
    tcase_add_test(c, cut_coding);
    tcase_add_test(c, caps);
    tcase_add_test(c, output_cap_is_for_all_parts);
    tcase_add_test(c, bomb);
    tcase_add_test(c, depth_has_an_end);
    tcase_add_test(c, large_heads);
    tcase_add_test(c, many_fields);
    tcase_add_test(c, long_padding);
    tcase_add_test(c, large_parts);
    tcase_add_test(c, near_boundaries);
    return unit_run("split_multipart", c);
}
