/* Transactions whose body holds several objects, and replies that begin before their verdict. */
#include "config.h"

#include "inspect_kit.h"

#define FORM "POST http://site.example/up HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
#define PART(text) "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n" text "\r\n"
#define LONG "a part that is long enough to be worth a scan of its own"
#define END "--b--\r\n"

static void expect(const char *script, const char *conf, const char *text, enum sp_outcome outcome, enum sp_step step, int scans)
{
    struct sp_gate *gate = open_gate(script, conf);
    transact(gate, FORM, "", text, strlen(text), 5);
    ck_assert_msg(run.result.outcome == outcome, "%s: %s (%s)", script, sp_outcome_name(run.result.outcome), run.result.reason);
    ck_assert_int_eq(run.step, step);
    ck_assert_int_eq((int) sp_metrics_get(gate->metrics, SP_METRIC_SCANS), scans);
    if (step == SP_STEP_PASS) {
        ck_assert_uint_eq(run.out_bytes, strlen(text));
        ck_assert_int_eq(memcmp(run.out, text, run.out_bytes), 0);
    }
    close_gate(&gate);
}

START_TEST(the_whole_and_its_parts_are_scanned)
{
    const char *two = PART(LONG) PART("short") PART(LONG "!") END;
    expect("c", "", two, SP_OUTCOME_CLEAN, SP_STEP_PASS, 2);
    ck_assert_uint_eq(fake.request.n_extents, 2);
    expect("c", "", PART("short") END, SP_OUTCOME_CLEAN, SP_STEP_PASS, 1);
    expect("ci", "", two, SP_OUTCOME_INFECTED, SP_STEP_BLOCK, 2);
    expect("ic", "", two, SP_OUTCOME_INFECTED, SP_STEP_BLOCK, 1); /* enough is known */
}
END_TEST

START_TEST(of_several_verdicts_the_worst_counts)
{
    const char *two = PART(LONG) END;
    expect("ec", "", two, SP_OUTCOME_ENCRYPTED, SP_STEP_PASS, 2);
    expect("ce", "", two, SP_OUTCOME_ENCRYPTED, SP_STEP_PASS, 2);
    expect("ei", "", two, SP_OUTCOME_INFECTED, SP_STEP_BLOCK, 2);
    expect("le", "", two, SP_OUTCOME_LIMIT, SP_STEP_BLOCK, 2);
    expect("el", "", two, SP_OUTCOME_LIMIT, SP_STEP_BLOCK, 2);
    expect("xl", "", two, SP_OUTCOME_ERROR, SP_STEP_BLOCK, 2);
    expect("ex", "", two, SP_OUTCOME_ERROR, SP_STEP_BLOCK, 2);
    /* What is blocked weighs more than what is allowed, whatever its rank. */
    expect("xe", "outcomes = { error = \"allow\"; encrypted = \"block\"; };", two, SP_OUTCOME_ENCRYPTED, SP_STEP_BLOCK, 2);
    expect("ci", "outcomes = { infected = \"report\"; };", two, SP_OUTCOME_INFECTED, SP_STEP_PASS, 2);
}
END_TEST

START_TEST(a_body_that_cannot_be_split_has_an_outcome)
{
    const char *cut = PART(LONG);
    expect("c", "", cut, SP_OUTCOME_UNDECODABLE, SP_STEP_BLOCK, 0);
    expect("c", "outcomes = { undecodable = \"allow\"; };", cut, SP_OUTCOME_UNDECODABLE, SP_STEP_PASS, 2);
    expect("ci", "outcomes = { undecodable = \"allow\"; };", cut, SP_OUTCOME_INFECTED, SP_STEP_BLOCK, 2);
    expect("c", "decode = { max_parts = 2; };", PART(LONG) PART(LONG) PART(LONG) END, SP_OUTCOME_LIMIT, SP_STEP_BLOCK, 0);
    expect("c", "decode = { max_parts = 3; };", PART(LONG) PART(LONG) PART(LONG) END, SP_OUTCOME_CLEAN, SP_STEP_PASS, 2);
}
END_TEST

START_TEST(what_decodes_to_nothing_is_not_scanned)
{
    static const char gzip_nothing[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    struct sp_gate *gate = open_gate("i", "");
    transact(gate, GET, CODED("gzip"), gzip_nothing, sizeof(gzip_nothing) - 1, 4);
    ck_assert_int_eq(run.step, SP_STEP_PASS);
    ck_assert_uint_eq(run.out_bytes, sizeof(gzip_nothing) - 1);
    ck_assert_uint_eq(sp_metrics_get(gate->metrics, SP_METRIC_SCANS), 0);
    close_gate(&gate);
}
END_TEST

/* --- trickling ------------------------------------------------------------------------------------------------------- */

static struct sp_head *request, *response;
static struct sp_txn *txn;

static struct sp_gate *begin(const char *script, const char *conf)
{
    struct sp_gate *gate = open_gate(script, conf);
    memset(&run, 0, sizeof(run));
    ck_assert_int_eq(sp_head_parse(GET, strlen(GET), SP_MESSAGE_REQUEST, &request), SP_OK);
    ck_assert_int_eq(sp_head_parse(OK200, strlen(OK200), SP_MESSAGE_RESPONSE, &response), SP_OK);
    const struct sp_txn_start start = { .direction = SP_RESPMOD, .request = sp_head_message(request),
        .response = sp_head_message(response), .has_body = true };
    ck_assert_int_eq(sp_txn_new(gate, &txn), SP_OK);
    ck_assert_int_eq(sp_txn_head(txn, &start), SP_STEP_BODY);
    return gate;
}

static void end(struct sp_gate **gate)
{
    sp_txn_free(&txn);
    sp_head_free(&request);
    sp_head_free(&response);
    close_gate(gate);
}

static enum sp_step give(const char *p, size_t n)
{
    size_t taken = 0;
    enum sp_step step = sp_txn_body(txn, p, n, &taken);
    ck_assert_uint_eq(taken, n);
    return step;
}

static enum sp_step decide(void)
{
    enum sp_step step = sp_txn_complete(txn);
    while (!sp_txn_is_decided(txn))
        step = sp_txn_wait(txn, -1);
    return step;
}

START_TEST(at_most_half_goes_out_before_the_verdict)
{
    struct sp_gate *gate = begin("c", "hold_time = \"0ms\"; trickle_rate = \"1G\";");
    ck_assert_int_eq(give(body, 1000), SP_STEP_BODY); /* not allowed by the driver yet */
    ck_assert_int_eq(sp_txn_hold_ms(txn), -1);
    sp_txn_allow_trickle(txn);
    ck_assert_int_eq(sp_txn_hold_ms(txn), 0);
    ck_assert_int_eq(give(body + 1000, 1000), SP_STEP_TRICKLE);
    ck_assert_int_eq(sp_txn_hold_ms(txn), -1);
    drain(txn);
    ck_assert_uint_ge(run.out_bytes, 1);
    for (int i = 0; i < 1000 && run.out_bytes < 1000; i++)
        drain(txn);
    ck_assert_uint_eq(run.out_bytes, 1000);
    ck_assert_int_eq(give(body + 2000, 98000), SP_STEP_TRICKLE);
    ck_assert_int_eq(decide(), SP_STEP_RELEASE);
    drain(txn);
    ck_assert_uint_eq(run.out_bytes, 100000);
    ck_assert_int_eq(memcmp(run.out, body, 100000), 0);
    ck_assert_uint_eq(sp_metrics_get(gate->metrics, SP_METRIC_TRICKLED), 1);
    ck_assert_uint_eq(sp_metrics_get(gate->metrics, SP_METRIC_CUT), 0);
    end(&gate);
}
END_TEST

START_TEST(what_trickled_and_is_refused_is_cut)
{
    struct sp_gate *gate = begin("i", "hold_time = \"0ms\";");
    sp_txn_allow_trickle(txn);
    ck_assert_int_eq(give(body, 5000), SP_STEP_TRICKLE);
    ck_assert_int_eq(decide(), SP_STEP_CUT);
    ck_assert_int_eq(sp_txn_result(txn)->action, SP_ACTION_BLOCK);
    ck_assert_uint_eq(sp_txn_result(txn)->page_bytes, 0);
    size_t got = 0;
    ck_assert_int_eq(sp_txn_read(txn, run.out, sizeof(run.out), &got), SP_ERR_IO);
    ck_assert_int_eq(give(body, 10), SP_STEP_CUT); /* dropped */
    ck_assert_uint_eq(sp_metrics_get(gate->metrics, SP_METRIC_CUT), 1);
    ck_assert_ptr_nonnull(strstr(last_log_line(), "\"outcome\":\"infected\""));
    end(&gate);
}
END_TEST

START_TEST(a_long_scan_trickles_too)
{
    struct sp_gate *gate = begin("h", "hold_time = \"60ms\";");
    sp_txn_allow_trickle(txn);
    ck_assert_int_eq(give(body, 5000), SP_STEP_BODY);
    ck_assert_int_gt(sp_txn_hold_ms(txn), 0);
    ck_assert_int_eq(sp_txn_trickle(txn), SP_STEP_BODY);
    ck_assert_int_eq(sp_txn_complete(txn), SP_STEP_SCAN);
    ck_assert_int_eq(sp_txn_wait(txn, 0), SP_STEP_SCAN);
    ck_assert_int_eq(sp_txn_wait(txn, -1), SP_STEP_TRICKLE);
    ck_assert_int_eq(sp_txn_wait(txn, 1), SP_STEP_TRICKLE);
    ck_assert_int_eq(sp_txn_wait(txn, -1), SP_STEP_CUT); /* the scan timeout */
    ck_assert_int_eq(sp_txn_result(txn)->outcome, SP_OUTCOME_LIMIT);
    end(&gate);
}
END_TEST

START_TEST(no_rate_no_trickle)
{
    struct sp_gate *gate = begin("c", "hold_time = \"0ms\"; trickle_rate = 0;");
    sp_txn_allow_trickle(txn);
    ck_assert_int_eq(give(body, 5000), SP_STEP_BODY);
    ck_assert_int_eq(decide(), SP_STEP_PASS);
    end(&gate);
}
END_TEST

START_TEST(rules_on_the_body_come_before_its_first_byte)
{
    static char text[8192];
    memset(text, 'x', sizeof(text));
    memcpy(text, "hello h", 7);
    struct sp_gate *gate = begin("c", "hold_time = \"0ms\";");
    sp_txn_allow_trickle(txn);
    ck_assert_int_eq(give(text, sizeof(text)), SP_STEP_BLOCK);
    ck_assert_int_eq(sp_txn_result(txn)->outcome, SP_OUTCOME_RULE);
    end(&gate);
    gate = begin("c", "hold_time = \"0ms\";"); /* too short to tell: cut at its end */
    sp_txn_allow_trickle(txn);
    ck_assert_int_eq(give(text, 100), SP_STEP_TRICKLE);
    ck_assert_int_eq(decide(), SP_STEP_CUT);
    end(&gate);
}
END_TEST

START_TEST(what_is_too_large_flows_after_it_trickled)
{
    struct sp_gate *gate = begin("c", "hold_time = \"0ms\";");
    sp_txn_allow_trickle(txn);
    ck_assert_int_eq(give(body, 150000), SP_STEP_TRICKLE);
    drain(txn);
    ck_assert_int_eq(give(body + 150000, 100000), SP_STEP_RELEASE);
    ck_assert_int_eq(sp_txn_result(txn)->outcome, SP_OUTCOME_OVERSIZE);
    drain(txn);
    ck_assert_uint_eq(run.out_bytes, 250000);
    ck_assert_int_eq(memcmp(run.out, body, 250000), 0);
    end(&gate);
}
END_TEST

START_TEST(who_leaves_during_the_scan_is_logged)
{
    struct sp_gate *gate = begin("h", "");
    ck_assert_int_eq(give(body, 500), SP_STEP_BODY);
    ck_assert_int_eq(sp_txn_complete(txn), SP_STEP_SCAN);
    sp_txn_free(&txn);
    ck_assert_ptr_nonnull(strstr(last_log_line(), "\"outcome\":\"gone\""));
    end(&gate);
}
END_TEST

int main(void)
{
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char) ('a' + i * 7 % 26);
    TCase *c = tcase_create("scan");
    tcase_add_test(c, the_whole_and_its_parts_are_scanned);
    tcase_add_test(c, of_several_verdicts_the_worst_counts);
    tcase_add_test(c, a_body_that_cannot_be_split_has_an_outcome);
    tcase_add_test(c, what_decodes_to_nothing_is_not_scanned);
    tcase_add_test(c, at_most_half_goes_out_before_the_verdict);
    tcase_add_test(c, what_trickled_and_is_refused_is_cut);
    tcase_add_test(c, a_long_scan_trickles_too);
    tcase_add_test(c, no_rate_no_trickle);
    tcase_add_test(c, rules_on_the_body_come_before_its_first_byte);
    tcase_add_test(c, what_is_too_large_flows_after_it_trickled);
    tcase_add_test(c, who_leaves_during_the_scan_is_logged);
    return unit_run("inspect_scan", c);
}
