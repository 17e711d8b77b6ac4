/* Transfer encodings: each row whole, byte by byte, cut at each offset, with little and much room for what comes out. */
#include "config.h"

#include "../../service/core/split_priv.h"
#include "unit.h"

#include <stdio.h>

enum {
    IDENTITY = SP_TRANSFER_IDENTITY,
    B64 = SP_TRANSFER_BASE64,
    QP = SP_TRANSFER_QUOTED_PRINTABLE,
    PCT = SP_TRANSFER_PERCENT,
    FORM = 100
};

static const struct row {
    const char *title;
    int kind;
    const char *in, *out;
} rows[] = {
    { "identity", IDENTITY, "a=41%41+b\r\n", "a=41%41+b\r\n" },
    { "nothing", IDENTITY, "", "" },

    { "base64 nothing", B64, "", "" },
    { "base64 1", B64, "YQ==", "a" },
    { "base64 2", B64, "YWI=", "ab" },
    { "base64 3", B64, "YWJj", "abc" },
    { "base64 4", B64, "YWJjZA==", "abcd" },
    { "base64 without padding, 1", B64, "YQ", "a" },
    { "base64 without padding, 2", B64, "YWI", "ab" },
    { "base64 half the padding", B64, "YQ=", "a" },
    { "base64 too much padding", B64, "YQ=====", "a" },
    { "base64 one letter left", B64, "YWJjZ", "abc" },
    { "base64 one letter", B64, "Y", "" },
    { "base64 one letter and padding", B64, "Y===YQ==", "a" },
    { "base64 only padding", B64, "====", "" },
    { "base64 starts anew", B64, "YQ==YmM=ZGVm", "abcdef" },
    { "base64 standard alphabet", B64, "+/+/", "\xfb\xff\xbf" },
    { "base64 URL alphabet", B64, "-_-_", "\xfb\xff\xbf" },
    { "base64 lines", B64, "YW\r\nJj\r\n", "abc" },
    { "base64 longer", B64, "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo=", "abcdefghijklmnopqrstuvwxyz" },
    { "base64 blanks", B64, " Y W\tJ j ", "abc" },
    { "base64 junk", B64, "!Y*W.J(j)\xff\x01", "abc" },
    { "base64 letters of all ranges", B64, "AZaz09+/", "\x01\x96\xb3\xd3\xdf\xbf" },

    { "qp nothing", QP, "", "" },
    { "qp plain", QP, "plain text\r\n", "plain text\r\n" },
    { "qp escapes", QP, "=41=4a=4A=fF", "AJJ\xff" },
    { "qp soft break CR LF", QP, "a=\r\nb", "ab" },
    { "qp soft break LF", QP, "a=\nb", "ab" },
    { "qp soft break with padding", QP, "a= \t\r\nb=\t\nc", "abc" },
    { "qp soft break of a lone CR", QP, "a=\rb", "ab" },
    { "qp soft break, then an escape", QP, "a=\r\n=42", "aB" },
    { "qp soft break of CR, then an escape", QP, "a=\r=42", "aB" },
    { "qp soft break of CR, then a CR LF", QP, "a=\r\r\nb", "a\r\nb" },
    { "qp soft break at the end", QP, "a=", "a" },
    { "qp soft break CR at the end", QP, "a=\r", "a" },
    { "qp no escape", QP, "a=zb", "a=zb" },
    { "qp half an escape", QP, "a=4zb", "a=4zb" },
    { "qp half an escape at the end", QP, "a=4", "a=4" },
    { "qp half an escape before a line end", QP, "a=4\nb", "a=4\nb" },
    { "qp = =", QP, "==41", "=A" },
    { "qp half = =", QP, "=4=41", "=4A" },
    { "qp blank behind =", QP, "a= b", "a=b" },
    { "qp + and _", QP, "a+b_c%41", "a+b_c%41" },

    { "percent nothing", PCT, "", "" },
    { "percent escapes", PCT, "%41%4a%4A%fF%0a", "AJJ\xff\n" },
    { "percent none", PCT, "a%zb%4zc", "a%zb%4zc" },
    { "percent percent", PCT, "%%41%4%41", "%A%4A" },
    { "percent at the end", PCT, "a%", "a%" },
    { "percent half at the end", PCT, "a%4", "a%4" },
    { "percent line ends and blanks", PCT, "a%\r\nb% c", "a%\r\nb% c" },
    { "percent line feed", PCT, "a%\nb", "a%\nb" },
    { "percent plus", PCT, "a+b", "a+b" },
    { "percent not =", PCT, "=41", "=41" },
    { "form plus", FORM, "a+b%2B+", "a b+ " },
    { "form plus in half an escape", FORM, "%+%4+", "% %4 " },
};

static void begin(struct sp_transfer *t, int kind)
{
    sp_transfer_init(t, kind == FORM ? SP_TRANSFER_PERCENT : (enum sp_transfer_kind) kind);
    t->plus_is_space = kind == FORM;
}

static size_t step_all(struct sp_transfer *t, const char *in, size_t n, size_t cap, char *out)
{
    size_t total = 0;
    while (n > 0) {
        size_t used = 0, made = 0;
        char room[64];
        memset(room, '#', sizeof(room));
        sp_transfer_step(t, in, n, &used, room, cap, &made);
        ck_assert_msg(used > 0 && used <= n && made <= cap, "used %zu of %zu, made %zu of %zu", used, n, made, cap);
        ck_assert_msg(room[cap] == '#', "wrote behind its room");
        memcpy(out + total, room, made);
        total += made;
        in += used;
        n -= used;
    }
    return total;
}

static void expect_row(const struct row *row, size_t piece, size_t first, size_t cap)
{
    struct sp_transfer t;
    char out[256], rest[8];
    size_t n = strlen(row->in), made = 0;
    begin(&t, row->kind);
    for (size_t done = 0, part; done < n; done += part) {
        part = done == 0 && first > 0 ? first : piece;
        part = part < n - done ? part : n - done;
        made += step_all(&t, row->in + done, part, cap, out + made);
    }
    size_t n_rest = sp_transfer_finish(&t, rest);
    ck_assert_uint_le(n_rest, sizeof(rest));
    memcpy(out + made, rest, n_rest);
    made += n_rest;
    ck_assert_msg(made == strlen(row->out) && memcmp(out, row->out, made) == 0, "%s, pieces of %zu (first %zu), room %zu: \"%.*s\"",
        row->title, piece, first, cap, (int) made, out);
    ck_assert_uint_eq(sp_transfer_finish(&t, rest), 0);
}

START_TEST(table)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t cap = 8; cap <= 32; cap += 12) {
            expect_row(&rows[i], SIZE_MAX, 0, cap);
            expect_row(&rows[i], 1, 0, cap);
            for (size_t at = 1; at < strlen(rows[i].in); at++)
                expect_row(&rows[i], SIZE_MAX, at, cap);
        }
    }
}
END_TEST

/* Every byte there and back. */
START_TEST(all_bytes)
{
    struct sp_transfer t;
    for (unsigned c = 0; c < 256; c++) {
        char in[8], out[64], rest[8];
        for (int kind = QP; kind <= PCT; kind++) {
            begin(&t, kind);
            snprintf(in, sizeof(in), "%c%02x", kind == QP ? '=' : '%', c);
            ck_assert_uint_eq(step_all(&t, in, 3, 8, out), 1);
            ck_assert_uint_eq((unsigned char) out[0], c);
            ck_assert_uint_eq(sp_transfer_finish(&t, rest), 0);
        }
        static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        begin(&t, B64);
        in[0] = letters[c >> 2];
        in[1] = letters[(c & 3) << 4];
        ck_assert_uint_eq(step_all(&t, in, 2, 8, out), 0);
        ck_assert_uint_eq(sp_transfer_finish(&t, rest), 1);
        ck_assert_uint_eq((unsigned char) rest[0], c);
    }
}
END_TEST

START_TEST(names)
{
    static const struct {
        const char *name;
        int kind;
        bool is_known;
    } names_rows[] = {
        { "base64", B64, true },
        { "BASE64", B64, true },
        { " \"base64\"", B64, true },
        { "base64; x", B64, true },
        { "base64(really)", B64, true },
        { "\r\n\tbase64 ", B64, true },
        { "Quoted-Printable", QP, true },
        { "7bit", IDENTITY, true },
        { "8BIT", IDENTITY, true },
        { "binary", IDENTITY, true },
        { "base6", IDENTITY, false },
        { "base64x", IDENTITY, false },
        { "x-uuencode", IDENTITY, false },
        { "", IDENTITY, false },
        { "\xff", IDENTITY, false },
    };
    for (size_t i = 0; i < sizeof(names_rows) / sizeof(names_rows[0]); i++) {
        enum sp_transfer_kind kind = SP_TRANSFER_PERCENT;
        ck_assert_msg(sp_transfer_parse(sp_str_from(names_rows[i].name), &kind) == names_rows[i].is_known, "%s", names_rows[i].name);
        ck_assert_msg((int) kind == names_rows[i].kind, "%s", names_rows[i].name);
    }
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("transfer");
    tcase_add_test(c, table);
    tcase_add_test(c, all_bytes);
    tcase_add_test(c, names);
    return unit_run("transfer", c);
}
