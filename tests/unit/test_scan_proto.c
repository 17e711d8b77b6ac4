/* The checks on packets: each field wrong in turn, and each length. */
#include "config.h"

#include "unit.h"

#include "sallyport/scan_proto.h"

#include <stdbool.h>

static struct sp_scan_request good_request(void)
{
    return (struct sp_scan_request){ .magic = SP_SCAN_MAGIC,
        .version = SP_SCAN_VERSION,
        .kind = SP_SCAN_OBJECT,
        .size = 5,
        .inline_bytes = 5,
        .deadline_ms = 100,
        .id = "x" };
}

static void check_request(const char *name, struct sp_scan_request req, size_t extra, bool has_fd, enum sp_status expected)
{
    struct sp_error err = { 0 };
    enum sp_status status = sp_scan_request_check(&req, sizeof(req) + extra, has_fd, &err);
    ck_assert_msg(status == expected, "%s: %s (%s)", name, sp_status_name(status), err.text);
    ck_assert_msg((status == SP_OK) == (err.text[0] == '\0'), "%s: text", name);
}

START_TEST(requests)
{
    struct sp_scan_request r = good_request();
    check_request("inline", r, 5, false, SP_OK);
    check_request("inline, short packet", r, 4, false, SP_ERR_SYNTAX);
    check_request("inline, long packet", r, 6, false, SP_ERR_SYNTAX);
    check_request("inline and descriptor", r, 5, true, SP_ERR_SYNTAX);
    r.magic++;
    check_request("magic", r, 5, false, SP_ERR_SYNTAX);
    r = good_request();
    r.version++;
    check_request("version", r, 5, false, SP_ERR_SYNTAX);
    r = good_request();
    r.kind = 7;
    check_request("kind", r, 5, false, SP_ERR_SYNTAX);
    r = good_request();
    r.deadline_ms = 0;
    check_request("deadline", r, 5, false, SP_ERR_SYNTAX);
    r = good_request();
    r.size = 6;
    check_request("size and inline bytes differ", r, 5, false, SP_ERR_SYNTAX);
    r = good_request();
    r.inline_bytes = 0;
    check_request("descriptor", r, 0, true, SP_OK);
    check_request("descriptor missing", r, 0, false, SP_ERR_SYNTAX);
    r.size = 0;
    check_request("empty object", r, 0, false, SP_OK);
    check_request("empty object with descriptor", r, 0, true, SP_ERR_SYNTAX);
    r = good_request();
    r.size = r.inline_bytes = SP_SCAN_INLINE_MAX + 1;
    check_request("inline over the cap", r, SP_SCAN_INLINE_MAX + 1, false, SP_ERR_SYNTAX);
    r = good_request();
    r.kind = SP_SCAN_PING;
    check_request("ping with a body", r, 5, false, SP_ERR_SYNTAX);
    r.size = r.inline_bytes = 0;
    check_request("ping", r, 0, false, SP_OK);
    check_request("ping with descriptor", r, 0, true, SP_ERR_SYNTAX);
}
END_TEST

START_TEST(request_cut_at_each_byte)
{
    for (size_t n = 0; n < sizeof(struct sp_scan_request); n++) {
        struct sp_scan_request r = good_request();
        ck_assert_int_eq(sp_scan_request_check(&r, n, false, NULL), SP_ERR_SYNTAX);
    }
}
END_TEST

START_TEST(texts_are_terminated)
{
    struct sp_scan_request r = good_request();
    memset(r.id, 'x', sizeof(r.id));
    check_request("long id", r, 5, false, SP_OK);
    ck_assert_int_eq(sp_scan_request_check(&r, sizeof(r) + 5, false, NULL), SP_OK);
    ck_assert_uint_eq(strlen(r.id), sizeof(r.id) - 1);
    struct sp_scan_reply reply = { .magic = SP_SCAN_MAGIC, .version = SP_SCAN_VERSION, .verdict = SP_VERDICT_INFECTED };
    memset(reply.signature, 's', sizeof(reply.signature));
    memset(reply.detail, 'd', sizeof(reply.detail));
    ck_assert_int_eq(sp_scan_reply_check(&reply, sizeof(reply), NULL), SP_OK);
    ck_assert_uint_eq(strlen(reply.signature), sizeof(reply.signature) - 1);
    ck_assert_uint_eq(strlen(reply.detail), sizeof(reply.detail) - 1);
}
END_TEST

START_TEST(replies)
{
    const struct sp_scan_reply good = { .magic = SP_SCAN_MAGIC, .version = SP_SCAN_VERSION, .verdict = SP_VERDICT_CLEAN };
    struct sp_scan_reply r = good;
    ck_assert_int_eq(sp_scan_reply_check(&r, sizeof(r), NULL), SP_OK);
    for (size_t n = 0; n < sizeof(r); n++)
        ck_assert_int_eq(sp_scan_reply_check(&r, n, NULL), SP_ERR_SYNTAX);
    ck_assert_int_eq(sp_scan_reply_check(&r, sizeof(r) + 1, NULL), SP_ERR_SYNTAX);
    r.verdict = 0;
    ck_assert_int_eq(sp_scan_reply_check(&r, sizeof(r), NULL), SP_ERR_SYNTAX);
    r.verdict = SP_VERDICT_ERROR + 1;
    ck_assert_int_eq(sp_scan_reply_check(&r, sizeof(r), NULL), SP_ERR_SYNTAX);
    r = good;
    r.magic = 0;
    ck_assert_int_eq(sp_scan_reply_check(&r, sizeof(r), NULL), SP_ERR_SYNTAX);
    r = good;
    r.verdict = SP_VERDICT_INFECTED;
    ck_assert_int_eq(sp_scan_reply_check(&r, sizeof(r), NULL), SP_OK);
    ck_assert_str_ne(r.signature, ""); /* infected always has a name */
}
END_TEST

START_TEST(socket_path_fits_or_says_so)
{
    char out[108], dir[200];
    struct sp_error err = { 0 };
    ck_assert_int_eq(sp_scan_socket_path("/run/sallyport", out, &err), SP_OK);
    ck_assert_str_eq(out, "/run/sallyport/scan.sock");
    for (size_t n = 1; n < sizeof(dir); n++) {
        memset(dir, 'd', n);
        dir[n] = '\0';
        bool fits = n + strlen("/scan.sock") < sizeof(out);
        ck_assert_msg((sp_scan_socket_path(dir, out, &err) == SP_OK) == fits, "%zu", n);
    }
    ck_assert_ptr_nonnull(strstr(err.text, "too long"));
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("scan_proto");
    tcase_add_test(c, requests);
    tcase_add_test(c, request_cut_at_each_byte);
    tcase_add_test(c, texts_are_terminated);
    tcase_add_test(c, replies);
    tcase_add_test(c, socket_path_fits_or_says_so);
    return unit_run("scan_proto", c);
}
