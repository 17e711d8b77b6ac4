/* Whole transactions against a scanner that follows a script: step, outcome, action, bytes delivered, log line, counters. */
#include "config.h"

#include "inspect_kit.h"

START_TEST(outcomes_and_actions)
{
    static const struct {
        const char *name, *script, *conf, *request, *response;
        size_t body_bytes; /* 0 and has_body: an empty body */
        bool has_body;
        enum sp_outcome outcome;
        enum sp_action action;
        enum sp_step step;
    } cases[] = {
        { "no body", "c", "", GET, "", 0, false, SP_OUTCOME_NONE, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "empty body", "c", "", GET, OK200, 0, true, SP_OUTCOME_NONE, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "clean reply", "c", "", GET, OK200, 1000, true, SP_OUTCOME_CLEAN, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "clean large reply", "c", "", GET, OK200, 150000, true, SP_OUTCOME_CLEAN, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "clean upload", "c", "", POST, "", 1000, true, SP_OUTCOME_CLEAN, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "infected reply", "i", "", GET, OK200, 1000, true, SP_OUTCOME_INFECTED, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "infected, allowed", "i", "outcomes = { infected = \"allow\"; };", GET, OK200, 1000, true, SP_OUTCOME_INFECTED, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "infected, reported", "i", "outcomes = { infected = \"report\"; };", GET, OK200, 1000, true, SP_OUTCOME_INFECTED, SP_ACTION_REPORT, SP_STEP_PASS },
        { "infected upload", "i", "", POST, "", 1000, true, SP_OUTCOME_INFECTED, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "limit", "l", "", GET, OK200, 1000, true, SP_OUTCOME_LIMIT, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "limit, allowed", "l", "outcomes = { limit = \"allow\"; };", GET, OK200, 1000, true, SP_OUTCOME_LIMIT, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "encrypted", "e", "", GET, OK200, 1000, true, SP_OUTCOME_ENCRYPTED, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "encrypted, blocked", "e", "outcomes = { encrypted = \"block\"; };", GET, OK200, 9, true, SP_OUTCOME_ENCRYPTED, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "engine error", "x", "", GET, OK200, 1000, true, SP_OUTCOME_ERROR, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "engine error, allowed", "x", "outcomes = { error = \"allow\"; };", GET, OK200, 1000, true, SP_OUTCOME_ERROR, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "worker died once", "dc", "", GET, OK200, 1000, true, SP_OUTCOME_CLEAN, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "worker died twice", "dd", "", GET, OK200, 1000, true, SP_OUTCOME_ERROR, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "overload", "q", "", GET, OK200, 1000, true, SP_OUTCOME_OVERLOAD, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "hang", "h", "", GET, OK200, 1000, true, SP_OUTCOME_LIMIT, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "fragment", "c", "", GET, "HTTP/1.1 206 Partial Content\r\n\r\n", 1000, true, SP_OUTCOME_PARTIAL, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "infected fragment", "i", "", GET, "HTTP/1.1 206 P\r\n\r\n", 1000, true, SP_OUTCOME_INFECTED, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "event stream", "i", "", GET, "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n\r\n", 9, true, SP_OUTCOME_STREAM, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "oversize told", "i", "", GET, "HTTP/1.1 200 OK\r\nContent-Length: 200001\r\n\r\n", 9, true, SP_OUTCOME_OVERSIZE, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "oversize told, blocked", "i", "outcomes = { oversize = \"block\"; };", GET, "HTTP/1.1 200 OK\r\nContent-Length: 200001\r\n\r\n", 9, true, SP_OUTCOME_OVERSIZE, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "oversize found", "i", "", GET, OK200, 250000, true, SP_OUTCOME_OVERSIZE, SP_ACTION_ALLOW, SP_STEP_RELEASE },
        { "oversize found, blocked", "i", "outcomes = { oversize = \"block\"; };", GET, OK200, 250000, true, SP_OUTCOME_OVERSIZE, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "broken gzip", "i", "", GET, CODED("gzip"), 1000, true, SP_OUTCOME_UNDECODABLE, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "unknown coding", "i", "", GET, CODED("sdch"), 1000, true, SP_OUTCOME_UNDECODABLE, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "too many codings", "i", "", GET, CODED("gzip, gzip, gzip, gzip, gzip"), 1000, true, SP_OUTCOME_LIMIT, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "undecodable, allowed, clean", "c", "outcomes = { undecodable = \"allow\"; };", GET, CODED("gzip"), 1000, true, SP_OUTCOME_UNDECODABLE, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "undecodable, allowed, infected as it came", "i", "outcomes = { undecodable = \"allow\"; };", GET, CODED("gzip"), 1000, true, SP_OUTCOME_INFECTED, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "refused CONNECT", "c", "", "CONNECT vpn.example:443 HTTP/1.1\r\nX-VPN : x\r\n\r\n", "", 0, false, SP_OUTCOME_RULE, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "marked CONNECT", "c", "connect_page = true;", "CONNECT vpn.example:443 HTTP/1.1\r\nX-VPN: x\r\n\r\n", "", 0, false, SP_OUTCOME_RULE, SP_ACTION_BLOCK, SP_STEP_EDIT },
        { "ordinary CONNECT", "c", "", "CONNECT site.example:443 HTTP/1.1\r\nHost: site.example:443\r\n\r\n", "", 0, false, SP_OUTCOME_NONE, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "category allowed", "c", "categories = { vpn = \"allow\"; };", "CONNECT v:443 HTTP/1.1\r\nX-VPN: x\r\n\r\n", "", 0, false, SP_OUTCOME_NONE, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "category reported", "c", "categories = { vpn = \"report\"; };", "CONNECT v:443 HTTP/1.1\r\nX-VPN: x\r\n\r\n", "", 0, false, SP_OUTCOME_RULE, SP_ACTION_REPORT, SP_STEP_PASS },
        { "monitored", "c", "mode = \"monitor\";", "CONNECT v:443 HTTP/1.1\r\nX-VPN: x\r\n\r\n", "", 0, false, SP_OUTCOME_RULE, SP_ACTION_REPORT, SP_STEP_PASS },
        { "monitored, infected", "i", "mode = \"monitor\";", GET, OK200, 10, true, SP_OUTCOME_INFECTED, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "excepted host", "c", "exceptions = ( { host = \"v.example\"; } );", "CONNECT a.v.example:443 HTTP/1.1\r\nX-VPN: x\r\n\r\n", "", 0, false, SP_OUTCOME_NONE, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "excepted client", "c", "exceptions = ( { client = \"192.0.2.0/24\"; } );", "CONNECT a:443 HTTP/1.1\r\nX-VPN: x\r\n\r\n", "", 0, false, SP_OUTCOME_NONE, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "excepted user", "c", "exceptions = ( { user = \"bob\"; } );", "CONNECT a:443 HTTP/1.1\r\nX-VPN: x\r\n\r\n", "", 0, false, SP_OUTCOME_NONE, SP_ACTION_ALLOW, SP_STEP_PASS },
        { "another user", "c", "exceptions = ( { user = \"alice\"; } );", "CONNECT a:443 HTTP/1.1\r\nX-VPN: x\r\n\r\n", "", 0, false, SP_OUTCOME_RULE, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "exceptions pass no malware", "i", "exceptions = ( { host = \"site.example\"; } );", GET, OK200, 10, true, SP_OUTCOME_INFECTED, SP_ACTION_BLOCK, SP_STEP_BLOCK },
        { "own field", "c", "", "CONNECT a:443 HTTP/1.1\r\nx-sallyport-block: me\r\n\r\n", "", 0, false, SP_OUTCOME_NONE, SP_ACTION_ALLOW, SP_STEP_EDIT },
        { "own field and upload", "c", "", "POST / HTTP/1.1\r\nX-Sallyport-Foo : me\r\n\r\n", "", 10, true, SP_OUTCOME_CLEAN, SP_ACTION_ALLOW, SP_STEP_EDIT },
        { "reported upload", "c", "", "POST / HTTP/1.1\r\nX-Odd: 1\r\n\r\n", "", 10, true, SP_OUTCOME_RULE, SP_ACTION_REPORT, SP_STEP_PASS },
        { "reported upload, infected", "i", "", "POST / HTTP/1.1\r\nX-Odd: 1\r\n\r\n", "", 10, true, SP_OUTCOME_INFECTED, SP_ACTION_BLOCK, SP_STEP_BLOCK },
    };
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char) ('A' + i % 23);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_gate *gate = open_gate(cases[i].script, cases[i].conf);
        transact(gate, cases[i].request, cases[i].response, cases[i].has_body ? body : NULL, cases[i].body_bytes, 4096);
        const char *name = cases[i].name;
        ck_assert_msg(run.result.outcome == cases[i].outcome, "%s: outcome %s", name, sp_outcome_name(run.result.outcome));
        ck_assert_msg(run.result.action == cases[i].action, "%s: action %s", name, sp_action_name(run.result.action));
        ck_assert_msg(run.step == cases[i].step, "%s: step %d", name, run.step);
        if (run.step == SP_STEP_BLOCK)
            ck_assert_msg(strstr(run.out, run.id) != NULL && run.out_bytes == run.result.page_bytes, "%s: page", name);
        else if (run.out_bytes > 0)
            ck_assert_msg(run.out_bytes == cases[i].body_bytes && memcmp(run.out, body, run.out_bytes) == 0, "%s: body", name);
        ck_assert_uint_eq(sp_metrics_get_outcome(gate->metrics, cases[i].outcome), 1);
        const char *line = last_log_line();
        char want[64];
        snprintf(want, sizeof(want), "\"outcome\":\"%s\"", sp_outcome_name(cases[i].outcome));
        ck_assert_msg(strstr(line, want) != NULL && strstr(line, run.id) != NULL, "%s: log %s", name, line);
        ck_assert_msg(cases[i].outcome != SP_OUTCOME_RULE || strstr(line, "\"rule\":\"t-") != NULL, "%s: log %s", name, line);
        close_gate(&gate);
    }
}
END_TEST

START_TEST(any_chunking_scans_the_same_bytes)
{
    static const size_t pieces[] = { 1, 7, 4096, SIZE_MAX };
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct sp_gate *gate = open_gate("c", "");
        transact(gate, GET, OK200, body, 100000, pieces[i]);
        ck_assert_int_eq(run.step, SP_STEP_PASS);
        ck_assert_uint_eq(run.out_bytes, 100000);
        ck_assert_int_eq(memcmp(run.out, body, 100000), 0);
        ck_assert_uint_eq(fake.body_bytes, 100000);
        ck_assert_int_eq(memcmp(fake.body, body, 100000), 0);
        close_gate(&gate);
    }
}
END_TEST

/* "hello hello hello" by gzip, made once with python's gzip module. */
static const char gzip_hello[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03"
                                 "\xcb\x48\xcd\xc9\xc9\x57\xc8\x40\x90\x00\x80\x88\xf9\xe5\x11\x00\x00\x00";

START_TEST(the_decoded_body_is_scanned_and_the_coded_one_delivered)
{
    struct sp_gate *gate = open_gate("c", "");
    size_t n = sizeof(gzip_hello) - 1;
    for (size_t piece = 1; piece <= n; piece++) {
        transact(gate, POST_GZIP, "", gzip_hello, n, piece); /* an upload: no rule is on its body */
        ck_assert_int_eq(run.result.outcome, SP_OUTCOME_CLEAN);
        ck_assert_uint_eq(run.out_bytes, n);
        ck_assert_int_eq(memcmp(run.out, gzip_hello, n), 0);
    }
    close_gate(&gate);
    ck_assert_uint_eq(fake.body_bytes, strlen("hello hello hello"));
    ck_assert_int_eq(memcmp(fake.body, "hello hello hello", fake.body_bytes), 0);
}
END_TEST

START_TEST(rules_on_the_body_see_the_plain_one_in_any_chunking)
{
    static const size_t pieces[] = { 1, 3, 100 };
    struct sp_gate *gate = open_gate("c", "");
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        transact(gate, GET, CODED("gzip"), gzip_hello, sizeof(gzip_hello) - 1, pieces[i]);
        ck_assert_int_eq(run.result.outcome, SP_OUTCOME_RULE);
        ck_assert_int_eq(run.step, SP_STEP_BLOCK);
        transact(gate, GET, OK200, "hello Hello", 11, pieces[i]);
        ck_assert_int_eq(run.result.outcome, SP_OUTCOME_CLEAN);
        transact(gate, GET, OK200, "", 0, pieces[i]);
        ck_assert_int_eq(run.result.outcome, SP_OUTCOME_NONE);
    }
    close_gate(&gate);
    gate = open_gate("c", "mode = \"monitor\";");
    transact(gate, GET, OK200, "hello hello", 11, 4);
    ck_assert_int_eq(run.result.outcome, SP_OUTCOME_RULE);
    ck_assert_int_eq(run.result.action, SP_ACTION_REPORT);
    ck_assert_ptr_nonnull(strstr(last_log_line(), "\"monitor\":true"));
    close_gate(&gate);
}
END_TEST

START_TEST(a_coded_body_cut_anywhere_is_undecodable)
{
    struct sp_gate *gate = open_gate("c", "");
    for (size_t n = 1; n < sizeof(gzip_hello) - 1; n++) {
        transact(gate, GET, CODED("gzip"), gzip_hello, n, 3);
        ck_assert_msg(run.result.outcome == SP_OUTCOME_UNDECODABLE, "cut at %zu: %s", n, sp_outcome_name(run.result.outcome));
        ck_assert_int_eq(run.step, SP_STEP_BLOCK);
    }
    close_gate(&gate);
}
END_TEST

START_TEST(a_mark_names_the_rule_and_a_clients_own_mark_goes)
{
    struct sp_gate *gate = open_gate("c", "connect_page = true;");
    transact(gate, "CONNECT v:443 HTTP/1.1\r\nX-Vpn: 1\r\nX-SALLYPORT-Block: mine\r\n\r\n", "", NULL, 0, 1);
    char want[300];
    snprintf(want, sizeof(want),
        "X-Sallyport-Block: t-connect\nX-Sallyport-Rule: test vpn\nX-Sallyport-Category: vpn\nX-Sallyport-Id: %s\n", run.id);
    ck_assert_str_eq(run.add_fields, want);
    ck_assert(run.strip_own);
    ck_assert_uint_eq(sp_metrics_transactions(gate->metrics, SP_REQMOD, SP_METRICS_ANY, SP_ACTION_BLOCK), 1);
    ck_assert_uint_eq(sp_metrics_get(gate->metrics, SP_METRIC_STRIPPED), 1);
    close_gate(&gate);
}
END_TEST

START_TEST(a_client_that_leaves_is_logged_and_counted)
{
    struct sp_gate *gate = open_gate("c", "");
    struct sp_head *req = NULL;
    ck_assert_int_eq(sp_head_parse(POST, strlen(POST), SP_MESSAGE_REQUEST, &req), SP_OK);
    struct sp_txn_start start = { .direction = SP_REQMOD, .request = sp_head_message(req), .has_body = true };
    struct sp_txn *txn = NULL;
    ck_assert_int_eq(sp_txn_new(gate, &txn), SP_OK);
    ck_assert_int_eq(sp_txn_head(txn, &start), SP_STEP_BODY);
    size_t taken = 0;
    ck_assert_int_eq(sp_txn_body(txn, "abc", 3, &taken), SP_STEP_BODY);
    sp_txn_free(&txn);
    sp_head_free(&req);
    ck_assert_uint_eq(sp_metrics_get(gate->metrics, SP_METRIC_CLIENT_GONE), 1);
    ck_assert_uint_eq(sp_metrics_get_outcome(gate->metrics, SP_OUTCOME_GONE), 1);
    ck_assert_uint_eq(sp_metrics_transactions(gate->metrics, SP_METRICS_ANY, SP_METRICS_ANY, SP_ACTION_BLOCK), 0);
    ck_assert_uint_eq(sp_metrics_transactions(gate->metrics, SP_METRICS_ANY, SP_METRICS_ANY, SP_ACTION_ALLOW), 0);
    ck_assert_uint_eq(sp_metrics_transactions(gate->metrics, SP_METRICS_ANY, SP_METRICS_ANY, SP_ACTION_NONE), 1);
    ck_assert_ptr_nonnull(strstr(last_log_line(), "\"outcome\":\"gone\",\"action\":\"none\""));
    close_gate(&gate);
}
END_TEST

START_TEST(a_head_that_cannot_be_viewed_is_a_limit)
{
    struct sp_gate *gate = open_gate("c", "");
    struct sp_txn_start start = { .direction = SP_REQMOD, .is_head_broken = true };
    struct sp_txn *txn = NULL;
    ck_assert_int_eq(sp_txn_new(gate, &txn), SP_OK);
    ck_assert_int_eq(sp_txn_head(txn, &start), SP_STEP_BLOCK);
    ck_assert_int_eq(sp_txn_result(txn)->outcome, SP_OUTCOME_LIMIT);
    sp_txn_free(&txn);
    close_gate(&gate);
}
END_TEST

START_TEST(a_slow_reader_holds_back_what_passes_through)
{
    struct sp_gate *gate = open_gate("c", "");
    struct sp_txn_start start = { .direction = SP_REQMOD, .has_body = true };
    struct sp_txn *txn = NULL;
    ck_assert_int_eq(sp_txn_new(gate, &txn), SP_OK);
    ck_assert_int_eq(sp_txn_head(txn, &start), SP_STEP_BODY);
    size_t taken = 0, sent = 0;
    do {
        (void) !sp_txn_body(txn, body, 4096, &taken);
        sent += taken;
    } while (taken > 0 && sent < 10000000);
    ck_assert_uint_lt(sent, 400000); /* the spool and a little more, never the whole body */
    memset(&run, 0, sizeof(run));
    drain(txn);
    ck_assert_uint_eq(run.out_bytes, sent);
    ck_assert_int_eq(sp_txn_body(txn, body, 4096, &taken), SP_STEP_RELEASE);
    ck_assert_uint_eq(taken, 4096);
    sp_txn_free(&txn);
    close_gate(&gate);
}
END_TEST

START_TEST(ids_differ_and_the_tag_follows_engine_and_policy)
{
    struct sp_gate *gate = open_gate("c", "");
    char first[SP_GATE_ISTAG_SIZE], second[SP_GATE_ISTAG_SIZE], last_id[32] = "";
    sp_gate_istag(gate, first);
    for (int i = 0; i < 100; i++) {
        transact(gate, GET, OK200, body, 10, 10);
        ck_assert_str_ne(run.id, last_id);
        memcpy(last_id, run.id, sizeof(last_id));
    }
    sp_gate_istag(gate, second);
    ck_assert_str_ne(first, second); /* the first answer told the engine's id */
    close_gate(&gate);
    gate = open_gate("c", "outcomes = { encrypted = \"block\"; };");
    sp_metrics_set_engine(gate->metrics, 42);
    sp_gate_istag(gate, first);
    ck_assert_str_ne(first, second);
    ck_assert_uint_le(strlen(first), 26);
    close_gate(&gate);
}
END_TEST

START_TEST(a_bad_file_opens_no_gate_and_says_where)
{
    struct sp_gate *gate = open_gate("c", "");
    FILE *f = fopen(conf_path, "a");
    ck_assert_ptr_nonnull(f);
    fputs("\nscan_timeout = 5;\n", f);
    fclose(f);
    struct sp_error err = { 0 };
    struct sp_gate *bad = NULL;
    ck_assert_int_eq(sp_gate_open(conf_path, 0, &err, &bad), SP_ERR_CONF);
    ck_assert_ptr_null(bad);
    ck_assert_msg(strstr(err.text, "sallyport.conf:") != NULL && strstr(err.text, "scan_timeout") != NULL, "%s", err.text);
    close_gate(&gate);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("inspect");
    tcase_add_test(c, outcomes_and_actions);
    tcase_add_test(c, any_chunking_scans_the_same_bytes);
    tcase_add_test(c, the_decoded_body_is_scanned_and_the_coded_one_delivered);
    tcase_add_test(c, rules_on_the_body_see_the_plain_one_in_any_chunking);
    tcase_add_test(c, a_coded_body_cut_anywhere_is_undecodable);
    tcase_add_test(c, a_mark_names_the_rule_and_a_clients_own_mark_goes);
    tcase_add_test(c, a_client_that_leaves_is_logged_and_counted);
    tcase_add_test(c, a_head_that_cannot_be_viewed_is_a_limit);
    tcase_add_test(c, a_slow_reader_holds_back_what_passes_through);
    tcase_add_test(c, ids_differ_and_the_tag_follows_engine_and_policy);
    tcase_add_test(c, a_bad_file_opens_no_gate_and_says_where);
    return unit_run("inspect", c);
}
