/* The view of a head, from lines and from raw bytes: forms of targets, oddities that must not hide a field, caps; and heads cut at
 * each offset and with every byte changed, which must do nothing worse than fail. */
#include "config.h"

#include "unit.h"

#include "sallyport/message_parse.h"

#include <stdio.h>

#define MIB (1024 * 1024)

static bool is(struct sp_str s, const char *want)
{
    return sp_str_equal(s, sp_str_from(want));
}

#define want_str(s, want) ck_assert_msg(is((s), (want)), "%s: \"%.*s\" is not \"%s\"", #s, (int) (s).n, (s).p, (want))

static struct sp_head *parse(const char *bytes, size_t n, enum sp_message_kind kind)
{
    struct sp_head *head = NULL;
    ck_assert_int_eq(sp_head_parse(bytes, n, kind, &head), SP_OK);
    return head;
}

static char *read_data(const char *name, size_t *n_out)
{
    const char *root = getenv("SRCDIR");
    char path[512];
    snprintf(path, sizeof(path), "%s/tests/data/message/%s", root ? root : ".", name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s", path);
    char *bytes = calloc(1, MIB);
    *n_out = fread(bytes, 1, MIB, file);
    fclose(file);
    return bytes;
}

/* --- start lines ----------------------------------------------------------------------------------------------------- */

static const struct request_case {
    const char *line;
    const char *host_field; /* NULL: none */
    const char *method, *target, *version, *scheme, *authority, *host, *port, *path;
    bool is_connect;
} request_cases[] = {
    { "GET /a?b HTTP/1.1", "h", "GET", "/a?b", "HTTP/1.1", "", "h", "h", "", "/a?b", false },
    { "GET /a HTTP/1.1", "h:81", "GET", "/a", "HTTP/1.1", "", "h:81", "h", "81", "/a", false },
    { "GET /a HTTP/1.1", NULL, "GET", "/a", "HTTP/1.1", "", "", "", "", "/a", false },
    { "GET http://h/ HTTP/1.0", "other", "GET", "http://h/", "HTTP/1.0", "http", "h", "h", "", "/", false },
    { "GET HTTPS://h:8443/x?y=/z HTTP/1.1", NULL, "GET", "HTTPS://h:8443/x?y=/z", "HTTP/1.1", "HTTPS", "h:8443", "h", "8443", "/x?y=/z", false },
    { "GET http://u:p@h:1/ HTTP/1.1", NULL, "GET", "http://u:p@h:1/", "HTTP/1.1", "http", "h:1", "h", "1", "/", false },
    { "GET http://u@v@h/ HTTP/1.1", NULL, "GET", "http://u@v@h/", "HTTP/1.1", "http", "h", "h", "", "/", false },
    { "GET http://h/@x HTTP/1.1", NULL, "GET", "http://h/@x", "HTTP/1.1", "http", "h", "h", "", "/@x", false },
    { "GET http://h?q HTTP/1.1", NULL, "GET", "http://h?q", "HTTP/1.1", "http", "h", "h", "", "?q", false },
    { "GET http://h HTTP/1.1", NULL, "GET", "http://h", "HTTP/1.1", "http", "h", "h", "", "", false },
    { "GET http://[::1]:81/x HTTP/1.1", NULL, "GET", "http://[::1]:81/x", "HTTP/1.1", "http", "[::1]:81", "::1", "81", "/x", false },
    { "GET http://[::1]/x HTTP/1.1", NULL, "GET", "http://[::1]/x", "HTTP/1.1", "http", "[::1]", "::1", "", "/x", false },
    { "GET http://[::1 HTTP/1.1", NULL, "GET", "http://[::1", "HTTP/1.1", "http", "[::1", "::1", "", "", false },
    { "GET http://h.:80/ HTTP/1.1", NULL, "GET", "http://h.:80/", "HTTP/1.1", "http", "h.:80", "h", "80", "/", false },
    { "GET http://h:/ HTTP/1.1", NULL, "GET", "http://h:/", "HTTP/1.1", "http", "h:", "h", "", "/", false },
    { "GET http://h:8x/ HTTP/1.1", NULL, "GET", "http://h:8x/", "HTTP/1.1", "http", "h:8x", "h", "", "/", false },
    { "CONNECT h:443 HTTP/1.1", "other:1", "CONNECT", "h:443", "HTTP/1.1", "", "h:443", "h", "443", "", true },
    { "connect h:443 HTTP/1.1", NULL, "connect", "h:443", "HTTP/1.1", "", "h:443", "h", "443", "", true },
    { "CONNECT [2001:db8::1]:443 HTTP/1.1", NULL, "CONNECT", "[2001:db8::1]:443", "HTTP/1.1", "", "[2001:db8::1]:443", "2001:db8::1", "443", "", true },
    { "CONNECT 2001:db8::1 HTTP/1.1", NULL, "CONNECT", "2001:db8::1", "HTTP/1.1", "", "2001:db8::1", "2001:db8::1", "", "", true },
    { "CONNECT u@h:443 HTTP/1.1", NULL, "CONNECT", "u@h:443", "HTTP/1.1", "", "h:443", "h", "443", "", true },
    { "CONNECT h HTTP/1.1", NULL, "CONNECT", "h", "HTTP/1.1", "", "h", "h", "", "", true },
    { "CONNECT /CSCOSSLC/tunnel HTTP/1.1", "h", "CONNECT", "/CSCOSSLC/tunnel", "HTTP/1.1", "", "h", "h", "", "/CSCOSSLC/tunnel", true },
    { "OPTIONS * HTTP/1.1", "h:1", "OPTIONS", "*", "HTTP/1.1", "", "h:1", "h", "1", "", false },
    { "GET /a b HTTP/1.1", NULL, "GET", "/a b", "HTTP/1.1", "", "", "", "", "/a b", false },
    { "GET  \t /a  HTTP/1.1  ", NULL, "GET", "/a", "HTTP/1.1", "", "", "", "", "/a", false },
    { "GET /a", NULL, "GET", "/a", "", "", "", "", "", "/a", false },
    { "GET /a http/1.1", NULL, "GET", "/a", "http/1.1", "", "", "", "", "/a", false },
    { "GET HTTP/1.1", NULL, "GET", "", "HTTP/1.1", "", "", "", "", "", false },
    { "GET", NULL, "GET", "", "", "", "", "", "", "", false },
    { "", NULL, "", "", "", "", "", "", "", "", false },
    { "GET 1ttp://h/ HTTP/1.1", NULL, "GET", "1ttp://h/", "HTTP/1.1", "", "", "", "", "", false },
    { "CONNECT h:443 HTTP/1.1\r\n SSTPVERSION: 1.0", NULL, "CONNECT", "h:443", "HTTP/1.1", "", "h:443", "h", "443", "", true },
};

START_TEST(test_request_line)
{
    const struct request_case *c = &request_cases[_i];
    char start[200];
    char field[200];
    snprintf(start, sizeof(start), "%s", c->line);
    snprintf(field, sizeof(field), "Host: %s", c->host_field ? c->host_field : "");
    char *lines[] = { start, field };
    struct sp_message msg;
    ck_assert_int_eq(sp_message_init_lines(&msg, SP_MESSAGE_REQUEST, lines, c->host_field ? 2 : 1), SP_OK);
    want_str(msg.method, c->method);
    want_str(msg.target, c->target);
    want_str(msg.version, c->version);
    want_str(msg.scheme, c->scheme);
    want_str(msg.authority, c->authority);
    want_str(msg.host, c->host);
    want_str(msg.port, c->port);
    want_str(msg.path, c->path);
    ck_assert_int_eq(msg.is_connect, c->is_connect);
    ck_assert_int_eq(msg.kind, SP_MESSAGE_REQUEST);
    sp_message_fini(&msg);
    ck_assert_ptr_null(msg.fields);
}
END_TEST

static const struct {
    const char *line;
    const char *version;
    unsigned code;
} status_cases[] = {
    { "HTTP/1.1 200 OK", "HTTP/1.1", 200 },
    { "HTTP/1.0 404", "HTTP/1.0", 404 },
    { "HTTP/1.1  206   Partial Content", "HTTP/1.1", 206 },
    { "HTTP/1.1 2000 x", "HTTP/1.1", 0 },
    { "HTTP/1.1 20 x", "HTTP/1.1", 0 },
    { "HTTP/1.1 20x x", "HTTP/1.1", 0 },
    { "ICY 200 OK", "ICY", 200 },
    { "HTTP/1.1", "HTTP/1.1", 0 },
    { "", "", 0 },
};

START_TEST(test_status_line)
{
    char line[100];
    snprintf(line, sizeof(line), "%s", status_cases[_i].line);
    char *lines[] = { line };
    struct sp_message msg;
    ck_assert_int_eq(sp_message_init_lines(&msg, SP_MESSAGE_RESPONSE, lines, 1), SP_OK);
    want_str(msg.version, status_cases[_i].version);
    ck_assert_uint_eq(msg.status_code, status_cases[_i].code);
    ck_assert_uint_eq(msg.method.n, 0);
    sp_message_fini(&msg);
}
END_TEST

START_TEST(test_no_lines)
{
    struct sp_message msg;
    ck_assert_int_eq(sp_message_init_lines(&msg, SP_MESSAGE_REQUEST, NULL, 0), SP_OK);
    ck_assert_uint_eq(msg.start_line.n, 0);
    ck_assert_uint_eq(msg.n_fields, 0);
    sp_message_fini(&msg);
    sp_message_fini(&msg);
}
END_TEST

/* --- fields ---------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *line;
    const char *name, *value; /* NULL: no field */
} field_cases[] = {
    { "A: b", "A", "b" },
    { "A:b", "A", "b" },
    { "A:", "A", "" },
    { "A : b", "A", "b" },
    { "A \t: \tb \t", "A", "b" },
    { " A: b", "A", "b" },
    { "A", "A", "" },
    { "A: b: c", "A", "b: c" },
    { "A::", "A", ":" },
    { ": b", "", "b" },
    { "A:\r\n b", "A", "b" },
    { "A: b\r\n c", "A", "b\r\n c" },
    { "A: b\r\n \r\n\t", "A", "b" },
    { "A\r\n : b", "A", "b" },
    { "A: b\r", "A", "b" },
    { "A B: c", "A B", "c" },
    { "", NULL, NULL },
    { " \t", NULL, NULL },
};

START_TEST(test_field_forms)
{
    char start[] = "GET / HTTP/1.1";
    char line[100];
    snprintf(line, sizeof(line), "%s", field_cases[_i].line);
    char *lines[] = { start, line };
    struct sp_message msg;
    ck_assert_int_eq(sp_message_init_lines(&msg, SP_MESSAGE_REQUEST, lines, 2), SP_OK);
    ck_assert_uint_eq(msg.n_fields, field_cases[_i].name ? 1 : 0);
    if (field_cases[_i].name) {
        want_str(msg.fields[0].name, field_cases[_i].name);
        want_str(msg.fields[0].value, field_cases[_i].value);
    }
    sp_message_fini(&msg);
}
END_TEST

START_TEST(test_lookup)
{
    static const char bytes[] = "GET / HTTP/1.1\r\nA: 1\r\nb: 2\r\na: 3\r\nAB: 4\r\n\r\n";
    struct sp_head *head = parse(bytes, sizeof(bytes) - 1, SP_MESSAGE_REQUEST);
    const struct sp_message *msg = sp_head_message(head);
    ck_assert_uint_eq(msg->n_fields, 4);
    want_str(sp_message_field(msg, SP_STR("A"))->value, "1");
    want_str(sp_message_field(msg, SP_STR("B"))->value, "2");
    ck_assert_ptr_null(sp_message_field(msg, SP_STR("C")));
    ck_assert_ptr_null(sp_message_field(msg, SP_STR("")));
    size_t pos = 0;
    want_str(sp_message_next(msg, SP_STR("a"), &pos)->value, "1");
    want_str(sp_message_next(msg, SP_STR("a"), &pos)->value, "3");
    ck_assert_ptr_null(sp_message_next(msg, SP_STR("a"), &pos));
    ck_assert_ptr_null(sp_message_next(msg, SP_STR("a"), &pos));
    sp_head_free(&head);
    ck_assert_ptr_null(head);
    sp_head_free(&head);
}
END_TEST

static const struct {
    const char *fields;
    bool is_known;
    unsigned long long length;
} length_cases[] = {
    { "", false, 0 },
    { "Content-Length: 0\r\n", true, 0 },
    { "content-length: 42\r\n", true, 42 },
    { "Content-Length: 18446744073709551615\r\n", true, 18446744073709551615ULL },
    { "Content-Length: 18446744073709551616\r\n", false, 0 },
    { "Content-Length: 99999999999999999999999999\r\n", false, 0 },
    { "Content-Length: \r\n", false, 0 },
    { "Content-Length: -1\r\n", false, 0 },
    { "Content-Length: +1\r\n", false, 0 },
    { "Content-Length: 1x\r\n", false, 0 },
    { "Content-Length: 0x10\r\n", false, 0 },
    { "Content-Length: 1 2\r\n", false, 0 },
    { "Content-Length: 5\r\nContent-Length: 5\r\n", true, 5 },
    { "Content-Length: 5\r\nContent-Length: 6\r\n", false, 0 },
    { "Content-Length: 5\r\nContent-Length: x\r\n", false, 0 },
    { "Content-Length: 5, 5\r\n", true, 5 },
    { "Content-Length: 5,05\r\n", true, 5 },
    { "Content-Length: 5, 6\r\n", false, 0 },
    { "Content-Length: 5,\r\n", false, 0 },
};

START_TEST(test_content_length)
{
    char bytes[300];
    int n = snprintf(bytes, sizeof(bytes), "POST / HTTP/1.1\r\n%s\r\n", length_cases[_i].fields);
    struct sp_head *head = parse(bytes, (size_t) n, SP_MESSAGE_REQUEST);
    unsigned long long length = 7;
    ck_assert_int_eq(sp_message_content_length(sp_head_message(head), &length), length_cases[_i].is_known);
    ck_assert(length == (length_cases[_i].is_known ? length_cases[_i].length : 7));
    sp_head_free(&head);
}
END_TEST

static const struct {
    const char *field;
    const char *type;
} type_cases[] = {
    { "", "" },
    { "Content-Type: text/html\r\n", "text/html" },
    { "Content-Type: text/html; charset=utf-8\r\n", "text/html" },
    { "CONTENT-TYPE :  text/html \t; x\r\n", "text/html" },
    { "Content-Type: ;x\r\n", "" },
    { "Content-Type:\r\n text/html\r\n ;x\r\n", "text/html" },
};

START_TEST(test_media_type)
{
    char bytes[300];
    int n = snprintf(bytes, sizeof(bytes), "HTTP/1.1 200 OK\r\n%s\r\n", type_cases[_i].field);
    struct sp_head *head = parse(bytes, (size_t) n, SP_MESSAGE_RESPONSE);
    want_str(sp_message_media_type(sp_head_message(head)), type_cases[_i].type);
    sp_head_free(&head);
}
END_TEST

/* --- raw heads ------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *file;
    enum sp_message_kind kind;
    size_t n_fields;
    const char *name, *value; /* one field to look at */
} file_cases[] = {
    { "get-origin.head", SP_MESSAGE_REQUEST, 3, "Accept", "*/*" },
    { "get-absolute.head", SP_MESSAGE_REQUEST, 2, "Host", "www.example.com" },
    { "connect-ipv6.head", SP_MESSAGE_REQUEST, 1, "host", "[2001:db8::1]:8443" },
    { "options-asterisk.head", SP_MESSAGE_REQUEST, 1, "Host", "www.example.com" },
    { "folded.head", SP_MESSAGE_REQUEST, 3, "X-Folded", "one\r\n two\r\n\tthree" },
    { "folded.head", SP_MESSAGE_REQUEST, 3, "X-Late", "value" },
    { "lf-only.head", SP_MESSAGE_REQUEST, 2, "X", "a\n\tb" },
    { "nul-bytes.head", SP_MESSAGE_REQUEST, 3, "X Y", "a b" },
    { "nul-bytes.head", SP_MESSAGE_REQUEST, 3, "Z", "1" },
    { "odd-names.head", SP_MESSAGE_REQUEST, 5, "Host", "www.example.com" },
    { "odd-names.head", SP_MESSAGE_REQUEST, 5, "no colon here", "" },
    { "odd-names.head", SP_MESSAGE_REQUEST, 5, "X-Tab", "v" },
    { "odd-names.head", SP_MESSAGE_REQUEST, 5, "A", "b:c" },
    { "response.head", SP_MESSAGE_RESPONSE, 4, "set-cookie", "a=b" },
    { "response-odd.head", SP_MESSAGE_RESPONSE, 2, "Content-Type", ";" },
    { "bare-cr.head", SP_MESSAGE_REQUEST, 2, "Y", "2" },
};

START_TEST(test_files)
{
    size_t n;
    char *bytes = read_data(file_cases[_i].file, &n);
    struct sp_head *head = parse(bytes, n, file_cases[_i].kind);
    const struct sp_message *msg = sp_head_message(head);
    ck_assert_uint_eq(msg->n_fields, file_cases[_i].n_fields);
    const struct sp_field *field = sp_message_field(msg, sp_str_from(file_cases[_i].name));
    ck_assert_ptr_nonnull(field);
    want_str(field->value, file_cases[_i].value);
    sp_head_free(&head);
    free(bytes);
}
END_TEST

static const struct {
    const char *bytes;
    enum sp_status status;
} syntax_cases[] = {
    { "", SP_ERR_SYNTAX },
    { "\r\n", SP_ERR_SYNTAX },
    { "\r\n\r\n", SP_ERR_SYNTAX },
    { "\n", SP_ERR_SYNTAX },
    { "GET / HTTP/1.1", SP_ERR_SYNTAX },
    { "GET / HTTP/1.1\r\n", SP_ERR_SYNTAX },
    { "GET / HTTP/1.1\r\nA: b\r\n", SP_ERR_SYNTAX },
    { "GET / HTTP/1.1\r\n\r", SP_ERR_SYNTAX },
    { "GET / HTTP/1.1\r\r\n \r\n", SP_ERR_SYNTAX },
    { "GET / HTTP/1.1\r\n\r\n", SP_OK },
    { "GET / HTTP/1.1\n\n", SP_OK },
    { "GET / HTTP/1.1\r\n\n", SP_OK },
    { "GET / HTTP/1.1\r\nA: b\r\n\r\n body \r\n\r\nB: c", SP_OK },
};

START_TEST(test_syntax)
{
    struct sp_head *head = NULL;
    const char *bytes = syntax_cases[_i].bytes;
    ck_assert_int_eq(sp_head_parse(bytes, strlen(bytes), SP_MESSAGE_REQUEST, &head), syntax_cases[_i].status);
    ck_assert_int_eq(head != NULL, syntax_cases[_i].status == SP_OK);
    if (head)
        ck_assert_ptr_null(sp_message_field(sp_head_message(head), SP_STR("B"))); /* the body is not looked at */
    sp_head_free(&head);
}
END_TEST

/* A head of n fields. */
static char *many_fields(size_t n, size_t *size_out)
{
    char *bytes = malloc(32 + 5 * n);
    size_t used = (size_t) sprintf(bytes, "GET / HTTP/1.1\r\n");
    for (size_t i = 0; i < n; i++, used += 5)
        memcpy(bytes + used, "A:b\r\n", 5);
    memcpy(bytes + used, "\r\n", 2);
    *size_out = used + 2;
    return bytes;
}

START_TEST(test_field_cap)
{
    for (size_t n = SP_MESSAGE_MAX_FIELDS - 1; n <= SP_MESSAGE_MAX_FIELDS + 1; n++) {
        size_t size;
        char *bytes = many_fields(n, &size);
        struct sp_head *head = NULL;
        bool fits = n <= SP_MESSAGE_MAX_FIELDS;
        ck_assert_int_eq(sp_head_parse(bytes, size, SP_MESSAGE_REQUEST, &head), fits ? SP_OK : SP_ERR_LIMIT);
        if (fits)
            ck_assert_uint_eq(sp_head_message(head)->n_fields, n);
        sp_head_free(&head);
        free(bytes);
    }
    char field[] = "A: b";
    char *lines[SP_MESSAGE_MAX_FIELDS + 2];
    for (size_t i = 0; i < SP_MESSAGE_MAX_FIELDS + 2; i++)
        lines[i] = field;
    struct sp_message msg;
    ck_assert_int_eq(sp_message_init_lines(&msg, SP_MESSAGE_REQUEST, lines, SP_MESSAGE_MAX_FIELDS + 1), SP_OK);
    sp_message_fini(&msg);
    ck_assert_int_eq(sp_message_init_lines(&msg, SP_MESSAGE_REQUEST, lines, SP_MESSAGE_MAX_FIELDS + 2), SP_ERR_LIMIT);
    ck_assert_uint_eq(msg.n_fields, 0);
    ck_assert_ptr_null(msg.fields);
    sp_message_fini(&msg);
}
END_TEST

START_TEST(test_size_cap)
{
    static const char start[] = "GET / HTTP/1.1\r\nA: ";
    char *bytes = malloc(MIB + 100);
    memset(bytes, 'x', MIB + 100);
    memcpy(bytes, start, sizeof(start) - 1);
    struct sp_head *head = NULL;

    memcpy(bytes + MIB - 4, "\r\n\r\n", 4);
    ck_assert_int_eq(sp_head_parse(bytes, MIB, SP_MESSAGE_REQUEST, &head), SP_OK);
    ck_assert_uint_eq(sp_message_field(sp_head_message(head), SP_STR("A"))->value.n, MIB - 4 - (sizeof(start) - 1));
    sp_head_free(&head);
    ck_assert_int_eq(sp_head_parse(bytes, MIB + 100, SP_MESSAGE_REQUEST, &head), SP_OK); /* bytes behind the head */
    sp_head_free(&head);

    memcpy(bytes + MIB - 4, "xxx\r\n\r\n", 7);
    ck_assert_int_eq(sp_head_parse(bytes, MIB + 3, SP_MESSAGE_REQUEST, &head), SP_ERR_LIMIT);
    ck_assert_int_eq(sp_head_parse(bytes, MIB + 1, SP_MESSAGE_REQUEST, &head), SP_ERR_LIMIT);
    ck_assert_int_eq(sp_head_parse(bytes, MIB, SP_MESSAGE_REQUEST, &head), SP_ERR_SYNTAX);
    memcpy(bytes + MIB - 4, "x\r\n\r\n", 5); /* one byte too long */
    ck_assert_int_eq(sp_head_parse(bytes, MIB + 1, SP_MESSAGE_REQUEST, &head), SP_ERR_LIMIT);
    ck_assert_ptr_null(head);
    free(bytes);
}
END_TEST

/* --- abuse ----------------------------------------------------------------------------------------------------------- */

/* Everything in the view lies inside the copy or is a constant: reading all of it is enough for the sanitizer. */
static unsigned touch(struct sp_str s)
{
    unsigned sum = 0;
    for (size_t i = 0; i < s.n; i++)
        sum += (unsigned char) s.p[i];
    return sum;
}

static unsigned touch_all(const struct sp_message *msg)
{
    unsigned long long length = 0;
    unsigned sum = touch(msg->start_line) + touch(msg->version) + touch(msg->method) + touch(msg->target) + touch(msg->scheme);
    sum += touch(msg->authority) + touch(msg->host) + touch(msg->port) + touch(msg->path) + touch(sp_message_media_type(msg));
    sum += sp_message_content_length(msg, &length) ? (unsigned) length : 0;
    for (size_t i = 0; i < msg->n_fields; i++)
        sum += touch(msg->fields[i].name) + touch(msg->fields[i].value);
    return sum;
}

/* In a block of its own size, so that a read past the end is seen. */
static void parse_exact(const char *bytes, size_t n)
{
    char *copy = malloc(n > 0 ? n : 1);
    memcpy(copy, bytes, n);
    for (int kind = SP_MESSAGE_REQUEST; kind <= SP_MESSAGE_RESPONSE; kind++) {
        struct sp_head *head = NULL;
        enum sp_status status = sp_head_parse(copy, n, (enum sp_message_kind) kind, &head);
        ck_assert(status == SP_OK || status == SP_ERR_SYNTAX || status == SP_ERR_LIMIT);
        ck_assert_int_eq(head != NULL, status == SP_OK);
        if (head)
            (void) touch_all(sp_head_message(head));
        sp_head_free(&head);
    }
    free(copy);
}

static void abuse_file(const char *name)
{
    size_t n;
    char *bytes = read_data(name, &n);
    for (size_t cut = 0; cut <= n; cut++)
        parse_exact(bytes, cut);
    for (size_t at = 0; at < n; at++) {
        char saved = bytes[at];
        for (int value = 0; value < 256; value++) {
            bytes[at] = (char) value;
            parse_exact(bytes, n);
        }
        bytes[at] = saved;
    }
    free(bytes);
}

START_TEST(test_cut_and_changed)
{
    for (size_t i = 0; i < sizeof(file_cases) / sizeof(file_cases[0]); i++)
        if (i == 0 || strcmp(file_cases[i].file, file_cases[i - 1].file) != 0)
            abuse_file(file_cases[i].file);
}
END_TEST

/* A head grown byte by byte is complete with its last byte and not before. */
START_TEST(test_byte_by_byte)
{
    size_t n;
    char *bytes = read_data("get-absolute.head", &n);
    for (size_t cut = 0; cut <= n; cut++) {
        struct sp_head *head = NULL;
        ck_assert_int_eq(sp_head_parse(bytes, cut, SP_MESSAGE_REQUEST, &head), cut < n ? SP_ERR_SYNTAX : SP_OK);
        sp_head_free(&head);
    }
    free(bytes);
}
END_TEST

#define add_table(tc, test, table) tcase_add_loop_test(tc, test, 0, (int) (sizeof(table) / sizeof((table)[0])))

int main(void)
{
    TCase *tc = tcase_create("message");
    add_table(tc, test_request_line, request_cases);
    add_table(tc, test_status_line, status_cases);
    add_table(tc, test_field_forms, field_cases);
    add_table(tc, test_content_length, length_cases);
    add_table(tc, test_media_type, type_cases);
    add_table(tc, test_files, file_cases);
    add_table(tc, test_syntax, syntax_cases);
    tcase_add_test(tc, test_no_lines);
    tcase_add_test(tc, test_lookup);
    tcase_add_test(tc, test_field_cap);
    tcase_add_test(tc, test_size_cap);
    tcase_add_test(tc, test_cut_and_changed);
    tcase_add_test(tc, test_byte_by_byte);
    return unit_run("message", tc);
}
