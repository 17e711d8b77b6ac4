/* Every way a scan can end, against a scanner that follows a script. */
#include "config.h"

#include "fake_scanner.h"

#include "sallyport/scan_client.h"

static struct fake_scanner fake;

static struct sp_spool *body_of(size_t n)
{
    struct sp_spool_limits limits = { 1 << 20, 1 << 22, "/tmp" };
    struct sp_spool *body = NULL;
    ck_assert_int_eq(sp_spool_new(&limits, &body), SP_OK);
    for (size_t i = 0; i < n; i++) {
        char c = (char) ('a' + i % 26);
        ck_assert_int_eq(sp_spool_append(body, &c, 1, NULL), SP_OK);
    }
    ck_assert_int_eq(sp_spool_seal(body, NULL), SP_OK);
    return body;
}

static struct sp_scan_result ask(const char *script, size_t body_bytes)
{
    fake_scanner_start(&fake, script);
    struct sp_scan_client client = { .queue_ms = 150, .scan_ms = 300 };
    memcpy(client.socket_path, fake.path, sizeof(client.socket_path));
    struct sp_spool *body = body_of(body_bytes);
    struct sp_scan_result result;
    sp_scan_client_ask(&client, body, "id", &result);
    sp_spool_free(&body);
    fake_scanner_stop(&fake);
    return result;
}

START_TEST(every_script_has_its_outcome)
{
    static const struct {
        const char *script;
        enum sp_outcome outcome;
        int connections;
        bool is_retried;
    } cases[] = {
        { "c", SP_OUTCOME_CLEAN, 1, false },
        { "i", SP_OUTCOME_INFECTED, 1, false },
        { "l", SP_OUTCOME_LIMIT, 1, false },
        { "e", SP_OUTCOME_ENCRYPTED, 1, false },
        { "x", SP_OUTCOME_ERROR, 1, false },
        { "b", SP_OUTCOME_ERROR, 1, false },  /* a reply that is none is not retried and never clean */
        { "dc", SP_OUTCOME_CLEAN, 2, true },
        { "di", SP_OUTCOME_INFECTED, 2, true },
        { "ddc", SP_OUTCOME_ERROR, 2, true }, /* once only */
        { "h", SP_OUTCOME_LIMIT, 1, false },
        { "q", SP_OUTCOME_OVERLOAD, 0, false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_scan_result r = ask(cases[i].script, 10);
        ck_assert_msg(r.outcome == cases[i].outcome, "%s: %s %s", cases[i].script, sp_outcome_name(r.outcome), r.detail);
        ck_assert_msg(fake.connections == cases[i].connections, "%s: %d connections", cases[i].script, fake.connections);
        ck_assert_msg(r.is_retried == cases[i].is_retried, "%s: retried", cases[i].script);
        bool needs_detail = r.outcome != SP_OUTCOME_CLEAN && r.outcome != SP_OUTCOME_INFECTED && r.reply.verdict == 0;
        ck_assert_msg(!needs_detail || r.detail[0], "%s: no detail", cases[i].script);
    }
}
END_TEST

START_TEST(bodies_arrive_whole_inline_and_by_descriptor)
{
    static const size_t sizes[] = { 0, 1, SP_SPOOL_HEAP_MAX - 1, SP_SPOOL_HEAP_MAX, SP_SPOOL_HEAP_MAX + 1, SP_SPOOL_HEAP_MAX + 60000 };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct sp_scan_result r = ask("c", sizes[i]);
        ck_assert_int_eq(r.outcome, SP_OUTCOME_CLEAN);
        ck_assert_uint_eq(fake.request.size, sizes[i]);
        ck_assert_uint_eq(fake.body_bytes, sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++)
            ck_assert_int_eq(fake.body[k], (char) ('a' + k % 26));
        ck_assert_str_eq(fake.request.id, "id");
        ck_assert_uint_eq(fake.request.deadline_ms, 300);
    }
}
END_TEST

START_TEST(nobody_listens)
{
    struct sp_scan_client client = { .queue_ms = 100, .scan_ms = 100, .socket_path = "/nonexistent/scan.sock" };
    struct sp_scan_result r;
    sp_scan_client_ask(&client, NULL, "id", &r);
    ck_assert_int_eq(r.outcome, SP_OUTCOME_ERROR);
    ck_assert_ptr_nonnull(strstr(r.detail, "not reachable"));
    ck_assert_uint_eq(r.reply.engine_id, 0);
}
END_TEST

START_TEST(ping_has_no_body)
{
    fake_scanner_start(&fake, "c");
    struct sp_scan_client client = { .queue_ms = 150, .scan_ms = 300 };
    memcpy(client.socket_path, fake.path, sizeof(client.socket_path));
    struct sp_scan_result r;
    sp_scan_client_ask(&client, NULL, "id", &r);
    fake_scanner_stop(&fake);
    ck_assert_int_eq(r.outcome, SP_OUTCOME_CLEAN);
    ck_assert_uint_eq(r.reply.engine_id, 42);
    ck_assert_int_eq(fake.request.kind, SP_SCAN_PING);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("scan_client");
    tcase_add_test(c, every_script_has_its_outcome);
    tcase_add_test(c, bodies_arrive_whole_inline_and_by_descriptor);
    tcase_add_test(c, nobody_listens);
    tcase_add_test(c, ping_has_no_body);
    return unit_run("scan_client", c);
}
