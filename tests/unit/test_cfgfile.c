/* The configuration tree: types, lines, and every way in which a file can be wrong. */
#include "config.h"

#include "unit.h"

#include "sallyport/cfgfile.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[64];

static void write_bytes(const char *p, size_t n)
{
    snprintf(path, sizeof(path), "/tmp/sp_test_cfgfile.%d", (int) getpid());
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(p, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
}

static struct sp_cfgfile *open_text(const char *text)
{
    struct sp_error err = { 0 };
    struct sp_cfgfile *file;
    write_bytes(text, strlen(text));
    enum sp_status status = sp_cfgfile_open(path, &err, &file);
    unlink(path);
    ck_assert_msg(status == SP_OK, "%s", err.text);
    return file;
}

/* Expects a refusal; want is the text after "FILE:". */
static void refuse_bytes(const char *p, size_t n, const char *want)
{
    struct sp_error err = { 0 };
    struct sp_cfgfile *file;
    char full[512];
    write_bytes(p, n);
    enum sp_status status = sp_cfgfile_open(path, &err, &file);
    unlink(path);
    snprintf(full, sizeof(full), "%s:%s", path, want);
    ck_assert_str_eq(err.text, full);
    ck_assert_int_eq(status, SP_ERR_CONF);
    ck_assert_ptr_null(file);
}

START_TEST(test_types)
{
    struct sp_cfgfile *file = open_text(
        "s = \"x\";\ni = 5;\nb = true;\nf = 1.5;\ng:\n{\n  a-b = [ \"p\", \"q\" ];\n  l = ( { id = \"1\"; }, 2 );\n  e = ();\n};\n");
    const struct sp_cfgnode *root = sp_cfgfile_root(file);
    ck_assert_int_eq(sp_cfgnode_type(root), SP_CFG_GROUP);
    ck_assert_int_eq(sp_cfgnode_line(root), 1);
    ck_assert_ptr_null(sp_cfgnode_name(root));
    ck_assert_uint_eq(sp_cfgnode_count(root), 5);
    ck_assert_str_eq(sp_cfgnode_string(sp_cfgnode_get(root, "s")), "x");
    ck_assert_int_eq(sp_cfgnode_int(sp_cfgnode_get(root, "i")), 5);
    ck_assert(sp_cfgnode_bool(sp_cfgnode_get(root, "b")));
    ck_assert_int_eq(sp_cfgnode_type(sp_cfgnode_get(root, "f")), SP_CFG_FLOAT);
    ck_assert_ptr_null(sp_cfgnode_get(root, "nothing"));
    ck_assert_ptr_null(sp_cfgnode_get(root, "s.x"));
    const struct sp_cfgnode *g = sp_cfgnode_get(root, "g");
    ck_assert_int_eq(sp_cfgnode_type(g), SP_CFG_GROUP);
    const struct sp_cfgnode *array = sp_cfgnode_get(g, "a-b");
    ck_assert_int_eq(sp_cfgnode_type(array), SP_CFG_LIST);
    ck_assert_uint_eq(sp_cfgnode_count(array), 2);
    ck_assert_str_eq(sp_cfgnode_string(sp_cfgnode_child(array, 1)), "q");
    ck_assert_ptr_null(sp_cfgnode_name(sp_cfgnode_child(array, 0)));
    const struct sp_cfgnode *list = sp_cfgnode_get(g, "l");
    ck_assert_int_eq(sp_cfgnode_type(list), SP_CFG_LIST);
    ck_assert_str_eq(sp_cfgnode_string(sp_cfgnode_get(sp_cfgnode_child(list, 0), "id")), "1");
    ck_assert_uint_eq(sp_cfgnode_count(sp_cfgnode_get(g, "e")), 0);
    ck_assert_str_eq(sp_cfgnode_file(sp_cfgnode_child(list, 0)), path);
    ck_assert_str_eq(sp_cfgnode_type_name(list), "a list");
    sp_cfgfile_close(&file);
    ck_assert_ptr_null(file);
    sp_cfgfile_close(&file);
}
END_TEST

START_TEST(test_empty)
{
    static const char *const texts[] = { "", "\n\n", "# nothing", "/* nothing */ // x", " \t\r\n" };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct sp_cfgfile *file = open_text(texts[i]);
        ck_assert_uint_eq(sp_cfgnode_count(sp_cfgfile_root(file)), 0);
        sp_cfgfile_close(&file);
    }
}
END_TEST

/* Each string and number holds the line it stands on. */
static void check_lines(const struct sp_cfgnode *node)
{
    if (sp_cfgnode_type(node) == SP_CFG_INT)
        ck_assert_int_eq(sp_cfgnode_line(node), (int) sp_cfgnode_int(node));
    if (sp_cfgnode_type(node) == SP_CFG_STRING)
        ck_assert_msg(sp_cfgnode_line(node) == atoi(sp_cfgnode_string(node)), "\"%s\" is said to be in line %d", sp_cfgnode_string(node),
            sp_cfgnode_line(node));
    for (size_t i = 0; i < sp_cfgnode_count(node); i++)
        check_lines(sp_cfgnode_child(node, i));
}

START_TEST(test_lines)
{
    struct sp_cfgfile *file = open_text("a = 1; # ; \" {\n"
                                        "b = (\n"
                                        "  \"3\",\n"
                                        "  \"4\"   // last of its list\n"
                                        "  /* two\n"
                                        "     lines */\n"
                                        ");\n"
                                        "g: {\n"
                                        "  l = [ 9,\n"
                                        "        10\n"
                                        "  ];\n"
                                        "  s = \"12\"\n"
                                        "};\n"
                                        "/* x\n"
                                        " */ c = 15\n"
                                        "d = ( ( \"16\"\n"
                                        "  ), \"17\"\n"
                                        ", 18 )\n"
                                        "e = 19");
    check_lines(sp_cfgfile_root(file));
    ck_assert_int_eq(sp_cfgnode_line(sp_cfgnode_get(sp_cfgfile_root(file), "g")), 8);
    sp_cfgfile_close(&file);
}
END_TEST

START_TEST(test_numbers)
{
    static const struct {
        const char *text;
        int64_t want;
    } cases[] = {
        { "n = 0;", 0 },
        { "n = -5;", -5 },
        { "n = 2147483647;", 2147483647 },
        { "n = 2147483648;", 2147483648 },
        { "n = 4294967296;", 4294967296 },
        { "n = 4294967296L;", 4294967296 },
        { "n = 5000000000", 5000000000 },
        { "n = -5000000000;", -5000000000 },
        { "n = 999999999999999999;", 999999999999999999 },
        { "n = 0xff;", 255 },
        { "n = 0xFFFFFFFF;", 4294967295 },
        { "n = 0x1FFFFFFFF;", 8589934591 },
        { "n1234567890123 = 1; n = 7;", 7 },
        { "# 99999999999999999999999\nn = 8; s = \"99999999999999999999999\"", 8 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_cfgfile *file = open_text(cases[i].text);
        const struct sp_cfgnode *node = sp_cfgnode_get(sp_cfgfile_root(file), "n");
        ck_assert_ptr_nonnull(node);
        ck_assert_int_eq(sp_cfgnode_type(node), SP_CFG_INT);
        ck_assert_msg(sp_cfgnode_int(node) == cases[i].want, "%s gives %lld", cases[i].text, (long long) sp_cfgnode_int(node));
        sp_cfgfile_close(&file);
    }
    struct sp_cfgfile *file = open_text("n = [ 1, 5000000000, 3L ];"); /* arrays have one type */
    ck_assert_int_eq(sp_cfgnode_int(sp_cfgnode_child(sp_cfgnode_get(sp_cfgfile_root(file), "n"), 1)), 5000000000);
    sp_cfgfile_close(&file);
}
END_TEST

START_TEST(test_strings)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "s = \"\";", "" },
        { "s = \"a # b // c /* d */ e\";", "a # b // c /* d */ e" },
        { "s = \"a\" \"b\"\n\"c\";", "abc" },
        { "s = \"\\\"q\\\" \\\\ \\x41 \\d\";", "\"q\" \\ A \\d" },
        { "s = \"\\\\\";", "\\" },
        { "s = \"}])({[\";", "}])({[" },
        { "s = \"\\\\x00\";", "\\x00" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_cfgfile *file = open_text(cases[i].text);
        ck_assert_str_eq(sp_cfgnode_string(sp_cfgnode_get(sp_cfgfile_root(file), "s")), cases[i].want);
        sp_cfgfile_close(&file);
    }
}
END_TEST

START_TEST(test_refused)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "a = 1;\nb = ;\n", "2: syntax error at or before: b = ;" },
        { "a = 1;\nb = {\n\n", "4: syntax error, or in the line before" },
        { "a = 1;\n\na = 2;\n", "3: duplicate setting name at or before: a = 2;" },
        { "a = [ 1,\n \"x\" ];\n", "2: mismatched element type in array at or before: \"x\" ];" },
        { "a = 1;\nb = \"open;\nc = 2;\n", "2: this string is not closed on its line: \" is missing" },
        { "a = \"x\\", "1: this string is not closed on its line: \" is missing" },
        { "a = \"x\\\n\"", "1: this string is not closed on its line: \" is missing" },
        { "a = 1;\n/* open\nb = 2;\n", "2: this comment is never closed: */ is missing" },
        { "a = 1;\n/*/\nb = 2;\n", "2: this comment is never closed: */ is missing" },
        { "a = ( \"x\"\n /* open", "2: this comment is never closed: */ is missing" },
        { "a = 1;\n@include \"/etc/passwd\"\n", "2: @include is not supported" },
        { "a = 12345678901234567890;", "1: this number is too large" },
        { "\na = 0x12345678901234567;", "2: this number is too large" },
        { "a = \"x\\x00y\";", "1: a string cannot hold \\x00" },
        { "a = 1;\n\xff\xfe = 2;\n", "2: syntax error at or before: \\xff\\xfe = 2;" },
        { "a.b = 1;", "1: syntax error at or before: a.b = 1;" },
        { "a = 1)", "1: syntax error at or before: a = 1)" },
        { "= 1", "1: syntax error at or before: = 1" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuse_bytes(cases[i].text, strlen(cases[i].text), cases[i].want);
    refuse_bytes("a = 1;\n\0b = 2;", 14, "2: a NUL byte: this is not a text file");
}
END_TEST

static char *repeat(const char *a, const char *b, size_t n)
{
    char *text = calloc(1, 16 + 2 * n * (strlen(a) + strlen(b)));
    char *p = stpcpy(text, "a = ");
    for (size_t i = 0; i < n; i++)
        p = stpcpy(p, a);
    for (size_t i = 0; i < n; i++)
        p = stpcpy(p, b);
    return text;
}

START_TEST(test_depth)
{
    char *text = repeat("(", ")", 32);
    struct sp_cfgfile *file = open_text(text);
    sp_cfgfile_close(&file);
    free(text);
    static const size_t depths[] = { 33, 1000, 200000 };
    for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        text = repeat("(", ")", depths[i]);
        refuse_bytes(text, strlen(text), "1: groups and lists are nested too deep here (32 levels at most)");
        free(text);
    }
    text = repeat("{\na=", "}", 5000);
    refuse_bytes(text, strlen(text), "33: groups and lists are nested too deep here (32 levels at most)");
    free(text);
}
END_TEST

/* A cut at any byte gives a tree or an error with a line, never anything else. */
START_TEST(test_cut_anywhere)
{
    static const char text[] = "a = \"x\\\"y\"; /* c */ # d\ng: { l = ( { i = 0x1F; }, [ 1, 2L ], \"s\"\n ); b = true; f = 1.5e3; };\n";
    for (size_t n = 0; n < sizeof(text); n++) {
        struct sp_error err = { 0 };
        struct sp_cfgfile *file;
        write_bytes(text, n);
        enum sp_status status = sp_cfgfile_open(path, &err, &file);
        unlink(path);
        char prefix[80];
        snprintf(prefix, sizeof(prefix), "%s:", path);
        ck_assert(status == SP_OK ? file != NULL : strncmp(err.text, prefix, strlen(prefix)) == 0 && atoi(err.text + strlen(prefix)) > 0);
        ck_assert(n < sizeof(text) - 1 || status == SP_OK || status == SP_ERR_CONF);
        if (n == sizeof(text) - 1)
            ck_assert_int_eq(status, SP_OK);
        sp_cfgfile_close(&file);
    }
}
END_TEST

START_TEST(test_not_a_file)
{
    static const struct {
        const char *path, *want;
    } cases[] = {
        { "/nonexistent/x.conf", "/nonexistent/x.conf: cannot be opened: No such file or directory" },
        { "/tmp", "/tmp: is a directory" },
        { "/dev/null", "/dev/null: is not a regular file" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_error err = { 0 };
        struct sp_cfgfile *file;
        ck_assert_int_eq(sp_cfgfile_open(cases[i].path, &err, &file), SP_ERR_IO);
        ck_assert_str_eq(err.text, cases[i].want);
        ck_assert_ptr_null(file);
    }
    snprintf(path, sizeof(path), "/tmp/sp_test_fifo.%d", (int) getpid());
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    struct sp_error err = { 0 };
    struct sp_cfgfile *file;
    ck_assert_int_eq(sp_cfgfile_open(path, &err, &file), SP_ERR_IO);
    unlink(path);
}
END_TEST

START_TEST(test_too_large)
{
    write_bytes("a = 1;\n", 7);
    ck_assert_int_eq(truncate(path, 16 * 1024 * 1024 + 1), 0);
    struct sp_error err = { 0 };
    struct sp_cfgfile *file;
    ck_assert_int_eq(sp_cfgfile_open(path, &err, &file), SP_ERR_IO);
    unlink(path);
    ck_assert_ptr_nonnull(strstr(err.text, "is larger than 16 MiB"));
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("cfgfile");
    tcase_add_test(c, test_types);
    tcase_add_test(c, test_empty);
    tcase_add_test(c, test_lines);
    tcase_add_test(c, test_numbers);
    tcase_add_test(c, test_strings);
    tcase_add_test(c, test_refused);
    tcase_add_test(c, test_depth);
    tcase_add_test(c, test_cut_anywhere);
    tcase_add_test(c, test_not_a_file);
    tcase_add_test(c, test_too_large);
    return unit_run("cfgfile", c);
}
