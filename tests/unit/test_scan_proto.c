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

START_TEST(requests_with_a_table)
{
    const size_t entry = sizeof(struct sp_scan_extent);
    struct sp_scan_request r = good_request();
    r.n_extents = 2;
    check_request("two extents", r, 5 + 2 * entry, false, SP_OK);
    for (size_t n = 0; n < 5 + 3 * entry; n++)
        check_request("two extents, another length", r, n, false, n == 5 + 2 * entry ? SP_OK : SP_ERR_SYNTAX);
    r.n_extents = UINT32_MAX;
    check_request("2^32 - 1 extents", r, 5, false, SP_ERR_SYNTAX);
    r.n_extents = 1u << 28; /* of 16 bytes: 2^32 */
    check_request("2^28 extents", r, 5, false, SP_ERR_SYNTAX);
    r = good_request();
    r.size = r.inline_bytes = SP_SCAN_INLINE_MAX;
    r.n_extents = SP_SCAN_EXTENTS_MAX;
    check_request("all that there can be", r, SP_SCAN_INLINE_MAX + SP_SCAN_EXTENTS_MAX * entry, false, SP_OK);
    r.n_extents++;
    check_request("one more", r, SP_SCAN_INLINE_MAX + (SP_SCAN_EXTENTS_MAX + 1) * entry, false, SP_ERR_SYNTAX);
    r = good_request();
    r.inline_bytes = 0;
    r.n_extents = 1;
    check_request("with a descriptor", r, entry, true, SP_OK);
    check_request("without it", r, entry, false, SP_ERR_SYNTAX);
    r.kind = SP_SCAN_PING;
    r.size = 0;
    check_request("of a ping", r, entry, false, SP_ERR_SYNTAX);
    r = good_request();
    r.flags = SP_SCAN_IS_RETRY;
    check_request("a retry", r, 5, false, SP_OK);
    r.flags = SP_SCAN_REQUEST_FLAGS + 1;
    check_request("an unknown flag", r, 5, false, SP_ERR_SYNTAX);
}
END_TEST

START_TEST(extents)
{
    static const struct {
        const char *name;
        struct sp_scan_extent extents[2];
        enum sp_status status;
    } cases[] = {
        { "whole", { { 0, 100 }, { 0, 100 } }, SP_OK },
        { "side by side", { { 0, 50 }, { 50, 50 } }, SP_OK },
        { "first and last byte", { { 0, 1 }, { 99, 1 } }, SP_OK },
        { "empty", { { 0, 1 }, { 5, 0 } }, SP_ERR_SYNTAX },
        { "one too long", { { 0, 101 }, { 0, 1 } }, SP_ERR_SYNTAX },
        { "one too far", { { 0, 1 }, { 51, 50 } }, SP_ERR_SYNTAX },
        { "at the end", { { 0, 1 }, { 100, 1 } }, SP_ERR_SYNTAX },
        { "behind the end", { { 101, 1 }, { 0, 1 } }, SP_ERR_SYNTAX },
        { "end wraps", { { 0, 1 }, { 1, UINT64_MAX } }, SP_ERR_SYNTAX },
        { "offset wraps", { { UINT64_MAX, 2 }, { 0, 1 } }, SP_ERR_SYNTAX },
    };
    uint64_t total;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_error err = { 0 };
        enum sp_status status = sp_scan_extents_check(cases[i].extents, 2, 100, &total, &err);
        ck_assert_msg(status == cases[i].status && (status == SP_OK) == (err.text[0] == '\0'), "%s: %s", cases[i].name, err.text);
        ck_assert_msg(status != SP_OK || total == cases[i].extents[0].bytes + cases[i].extents[1].bytes, "%s: total", cases[i].name);
    }
    ck_assert_int_eq(sp_scan_extents_check(NULL, 0, 100, &total, NULL), SP_OK);
    ck_assert_uint_eq(total, 0);
    const struct sp_scan_extent huge[2] = { { 0, UINT64_MAX }, { 0, 1 } };
    ck_assert_int_eq(sp_scan_extents_check(huge, 1, UINT64_MAX, &total, NULL), SP_OK);
    ck_assert_int_eq(sp_scan_extents_check(huge, 2, UINT64_MAX, &total, NULL), SP_ERR_SYNTAX);
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
    tcase_add_test(c, requests_with_a_table);
    tcase_add_test(c, extents);
    tcase_add_test(c, request_cut_at_each_byte);
    tcase_add_test(c, texts_are_terminated);
    tcase_add_test(c, replies);
    tcase_add_test(c, socket_path_fits_or_says_so);
    return unit_run("scan_proto", c);
}
