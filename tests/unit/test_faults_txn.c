/* Whole transactions in which every allocation fails in turn. What is refused stays refused, what passes is what came, and
 * everything between has a name: a shortage of ours blocks. Then what transactions are made of: configuration, gate, scan client. */
#include "config.h"

#include "faults_kit.h"
#include "inspect_kit.h"

#include <zlib.h>

#define BODY_BYTES 150000

/* --- bodies ---------------------------------------------------------------------------------------------------------------- */

static size_t plain_body(char *out)
{
    for (size_t i = 0; i < BODY_BYTES; i++)
        out[i] = (char) ('a' + i % 23);
    return BODY_BYTES;
}

static size_t small_body(char *out)
{
    memset(out, 'x', 700);
    return 700;
}

static size_t add_text(char *out, size_t n, const char *text)
{
    memcpy(out + n, text, strlen(text));
    return n + strlen(text);
}

static size_t to_gzip(char *out, const char *in, size_t n)
{
    z_stream z = { 0 };
    const int with_gzip_head = 16;
    ck_assert_int_eq(deflateInit2(&z, 1, Z_DEFLATED, MAX_WBITS + with_gzip_head, 8, Z_DEFAULT_STRATEGY), Z_OK);
    static unsigned char copy[BODY_MAX];
    memcpy(copy, in, n);
    z.next_in = copy;
    z.avail_in = (uInt) n;
    z.next_out = (unsigned char *) out;
    z.avail_out = BODY_MAX / 2;
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    n = z.total_out;
    deflateEnd(&z);
    return n;
}

/* A part that is long enough to leave the heap, one in base64, one with a coding, and one that has
 * parts of its own. */
static size_t parts_body(char *out)
{
    size_t n = add_text(out, 0, "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n");
    n += plain_body(out + n);
    n = add_text(out, n, "\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n");
    for (int i = 0; i < 200; i++)
        n = add_text(out, n, "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=\r\n");
    static char small[1000];
    n = add_text(out, n, "\r\n--b\r\nContent-Encoding: gzip\r\n\r\n");
    n += to_gzip(out + n, small, small_body(small));
    n = add_text(out, n, "\r\n--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n");
    n = add_text(out, n, "--c\r\n\r\nan inner part of more than 32 bytes, so that it counts\r\n--c--\r\n");
    return add_text(out, n, "\r\n--b--\r\n");
}

static size_t form_body(char *out)
{
    size_t n = add_text(out, 0, "a=b&long=");
    for (int i = 0; i < 3000; i++)
        n = add_text(out, n, "%41%42+c");
    return n;
}

static size_t json_body(char *out)
{
    size_t n = add_text(out, 0, "{ \"a\": [ 1, \"");
    for (int i = 0; i < 500; i++)
        n = add_text(out, n, "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY");
    return add_text(out, n, "\" ] }");
}

static size_t markup_body(char *out)
{
    size_t n = add_text(out, 0, "<html><img src=\"data:image/png;base64,");
    for (int i = 0; i < 500; i++)
        n = add_text(out, n, "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY");
    return add_text(out, n, "\"></html>");
}

static size_t hello_body(char *out)
{
    return add_text(out, 0, "hello hello");
}

/* --- transactions ------------------------------------------------------------------------------------------------------------ */

struct story {
    const char *name, *script, *request, *response;
    size_t (*body)(char *out); /* NULL: none */
    unsigned times_gzip;
    enum sp_outcome outcome; /* when nothing fails */
    long at_least;
};

struct scene {
    const struct story *story;
    bool is_lenient; /* a shortage may pass */
    struct sp_gate *gate;
    struct sp_head *request, *response;
    const char *body;
    size_t body_bytes;
};

static void check_passed(const struct scene *s, struct sp_txn *txn)
{
    size_t n = 0, got = 0;
    do {
        MUST(sp_txn_read(txn, body + n, sizeof(body) - n, &got) == SP_OK, "%s: cannot be read", s->story->name);
        n += got;
    } while (got > 0);
    MUST(n == s->body_bytes && memcmp(body, s->body, n) == 0, "%s: %zu bytes come out, and %zu went in", s->story->name, n, s->body_bytes);
}

static void check_blocked(const struct scene *s, struct sp_txn *txn)
{
    static char page[100000];
    size_t n = 0, got = 0;
    do {
        MUST(sp_txn_read(txn, page + n, sizeof(page) - n, &got) == SP_OK, "%s: the page cannot be read", s->story->name);
        n += got;
    } while (got > 0);
    MUST(n == sp_txn_result(txn)->page_bytes, "%s: a page of %zu bytes, %zu told", s->story->name, n, sp_txn_result(txn)->page_bytes);
}

/* A shortage is overload, error (the scanner could not be asked), or limit where a pattern of the policy could not be tried. */
static bool is_shortage(enum sp_outcome outcome, const char *reason)
{
    return outcome == SP_OUTCOME_OVERLOAD || outcome == SP_OUTCOME_ERROR || (outcome == SP_OUTCOME_LIMIT && strstr(reason, "pattern"));
}

static enum sp_step drive(const struct scene *s, struct sp_txn *txn)
{
    const struct sp_txn_start start = {
        .direction = s->response ? SP_RESPMOD : SP_REQMOD,
        .request = sp_head_message(s->request),
        .response = s->response ? sp_head_message(s->response) : NULL,
        .client = SP_STR("192.0.2.7"),
        .has_body = s->body != NULL,
    };
    const size_t piece = 9000;
    enum sp_step step = sp_txn_head(txn, &start);
    for (size_t at = 0; step == SP_STEP_BODY && at < s->body_bytes;) {
        size_t taken = 0;
        step = sp_txn_body(txn, s->body + at, s->body_bytes - at < piece ? s->body_bytes - at : piece, &taken);
        at += taken;
    }
    return step == SP_STEP_BODY ? sp_txn_end(txn) : step;
}

static bool transact_once(void *arg)
{
    const struct scene *s = arg;
    struct sp_txn *txn = NULL;
    if (sp_txn_new(s->gate, &txn) != SP_OK)
        return false;
    const enum sp_step step = drive(s, txn);
    const struct sp_txn_result *result = sp_txn_result(txn);
    const bool is_as_told = result->outcome == s->story->outcome;
    MUST(is_as_told || is_shortage(result->outcome, result->reason), "%s: outcome %s (%s)", s->story->name,
        sp_outcome_name(result->outcome), result->reason);
    MUST(is_as_told || s->is_lenient || result->action == SP_ACTION_BLOCK, "%s: %s passes", s->story->name,
        sp_outcome_name(result->outcome));
    MUST((step == SP_STEP_BLOCK) == (result->action == SP_ACTION_BLOCK), "%s: step %d", s->story->name, (int) step);
    MUST(result->reason[0] != '\0', "%s: no reason", s->story->name);
    if (step == SP_STEP_BLOCK)
        check_blocked(s, txn);
    else if (s->body)
        check_passed(s, txn);
    sp_txn_free(&txn);
    return is_as_told;
}

#define REPLY(fields) "HTTP/1.1 200 OK\r\n" fields "\r\n"
#define UPLOAD(fields) "POST http://site.example/up HTTP/1.1\r\nHost: site.example\r\n" fields "\r\n"
#define GZIP "Content-Encoding: gzip\r\n"
#define GZIPS "Content-Encoding: gzip, gzip\r\n"
#define PARTS "Content-Type: multipart/form-data; boundary=b\r\n"

static const struct story stories[] = {
    { "no body", "c", GET, NULL, NULL, 0, SP_OUTCOME_NONE, 3 },
    { "a rule", "c", "CONNECT a.example:443 HTTP/1.1\r\nX-Vpn: 1\r\n\r\n", NULL, NULL, 0, SP_OUTCOME_RULE, 5 },
    { "a rule on the body", "c", GET, REPLY("Content-Type: text/plain\r\n"), hello_body, 0, SP_OUTCOME_RULE, 5 },
    { "small and clean", "c", GET, REPLY(""), small_body, 0, SP_OUTCOME_CLEAN, 5 },
    { "small and infected", "i", GET, REPLY(""), small_body, 0, SP_OUTCOME_INFECTED, 5 },
    { "large and clean", "c", GET, REPLY(""), plain_body, 0, SP_OUTCOME_CLEAN, 5 },
    { "large and infected", "i", GET, REPLY(""), plain_body, 0, SP_OUTCOME_INFECTED, 5 },
    { "coded and clean", "c", GET, REPLY(GZIP), plain_body, 1, SP_OUTCOME_CLEAN, 8 },
    { "coded and infected", "i", GET, REPLY(GZIP), plain_body, 1, SP_OUTCOME_INFECTED, 8 },
    { "coded twice", "i", GET, REPLY(GZIPS), plain_body, 2, SP_OUTCOME_INFECTED, 10 },
    { "parts, clean", "c", UPLOAD(PARTS), NULL, parts_body, 0, SP_OUTCOME_CLEAN, 12 },
    { "parts, infected", "i", UPLOAD(PARTS), NULL, parts_body, 0, SP_OUTCOME_INFECTED, 12 },
    { "only a part infected", "o", UPLOAD(PARTS), NULL, parts_body, 0, SP_OUTCOME_INFECTED, 12 },
    { "only a value infected", "o", UPLOAD("Content-Type: application/json\r\n"), NULL, json_body, 0, SP_OUTCOME_INFECTED, 8 },
    { "coded parts", "i", UPLOAD(GZIP PARTS), NULL, parts_body, 1, SP_OUTCOME_INFECTED, 15 },
    { "a form", "c", UPLOAD("Content-Type: application/x-www-form-urlencoded\r\n"), NULL, form_body, 0, SP_OUTCOME_CLEAN, 8 },
    { "json", "c", UPLOAD("Content-Type: application/json\r\n"), NULL, json_body, 0, SP_OUTCOME_CLEAN, 8 },
    { "html", "c", GET, REPLY("Content-Type: text/html\r\n"), markup_body, 0, SP_OUTCOME_CLEAN, 8 },
};

static void play(const struct story *story, const char *conf, bool is_lenient)
{
    static char packed[2][BODY_MAX];
    struct scene s = { .story = story, .is_lenient = is_lenient, .gate = open_gate(story->script, conf) };
    ck_assert_int_eq(sp_head_parse(story->request, strlen(story->request), SP_MESSAGE_REQUEST, &s.request), SP_OK);
    if (story->response)
        ck_assert_int_eq(sp_head_parse(story->response, strlen(story->response), SP_MESSAGE_RESPONSE, &s.response), SP_OK);
    if (story->body) {
        s.body_bytes = story->body(packed[0]);
        for (unsigned i = 0; i < story->times_gzip; i++)
            s.body_bytes = to_gzip(packed[(i + 1) % 2], packed[i % 2], s.body_bytes);
        s.body = packed[story->times_gzip % 2];
    }
    exhaust(story->name, transact_once, &s, FAULT_ALL, story->at_least);
    sp_head_free(&s.request);
    sp_head_free(&s.response);
    close_gate(&s.gate);
}

START_TEST(blocked_for_want)
{
    play(&stories[_i], "", false);
}
END_TEST

START_TEST(malware_in_monitor_mode)
{
    play(&stories[_i], "mode = \"monitor\";", false);
}
END_TEST

/* Where the operator lets shortages pass, what passes is whole. */
START_TEST(passed_for_want)
{
    play(&stories[_i], "outcomes = { overload = \"allow\"; error = \"allow\"; limit = \"allow\"; };", true);
}
END_TEST

/* --- what they are made of --------------------------------------------------------------------------------------------------- */

static bool conf_once(void *arg)
{
    struct sp_conf *conf = NULL;
    struct sp_error err = { 0 };
    struct sp_buf report;
    sp_buf_init(&report, 100000);
    const enum sp_status status = sp_conf_load(arg, &err, &report, &conf);
    MUST((conf != NULL) == (status == SP_OK), "a configuration in spite of the failure");
    MUST(status == SP_OK || status == SP_ERR_NOMEM, "status %d: %s", (int) status, err.text);
    MUST(status == SP_OK || err.text[0] != '\0', "no text");
    sp_buf_fini(&report);
    sp_conf_free(&conf);
    return status == SP_OK;
}

static bool gate_once(void *arg)
{
    struct sp_gate *gate = NULL;
    struct sp_error err = { 0 };
    const enum sp_status status = sp_gate_open(arg, SP_GATE_SERVE, &err, &gate);
    MUST((gate != NULL) == (status == SP_OK), "a gate in spite of the failure");
    MUST(status == SP_OK || status == SP_ERR_NOMEM, "status %d: %s", (int) status, err.text);
    MUST(status == SP_OK || err.text[0] != '\0', "no text");
    sp_gate_release(&gate);
    return status == SP_OK;
}

START_TEST(configuration_and_gate)
{
    struct sp_gate *gate = open_gate("c", "exceptions = ( { host = \"a.example\"; client = \"10.0.0.0/8\"; rules = [ \"t-*\" ]; } );"
                                          "rule_actions = ( { rule = \"t-report\"; action = \"block\"; } );");
    exhaust("configuration", conf_once, conf_path, FAULT_OURS, 20);
    exhaust("gate", gate_once, conf_path, FAULT_OURS, 50);
    close_gate(&gate);
}
END_TEST

static bool ask_once(void *arg)
{
    const struct sp_spool_limits limits = { .memory_bytes = 1 << 20, .max_bytes = 1 << 20, .dir = fake.dir };
    struct sp_scan_client client = { .queue_ms = 500, .scan_ms = 500 };
    static const char bytes[100000];
    const size_t n = *(const size_t *) arg;
    struct sp_spool *spool = NULL;
    struct sp_scan_result result = { .outcome = SP_OUTCOME_NONE };
    memcpy(client.socket_path, fake.path, sizeof(fake.path));
    enum sp_status status = sp_spool_new(&limits, &spool);
    if (status == SP_OK)
        status = sp_spool_append(spool, bytes, n, NULL);
    if (status == SP_OK)
        status = sp_spool_seal(spool, NULL);
    if (status == SP_OK) {
        sp_scan_client_ask(&client, &(struct sp_scan_body){ .spool = spool }, "id", &result);
        MUST(result.outcome == SP_OUTCOME_CLEAN || is_shortage(result.outcome, ""), "outcome %s", sp_outcome_name(result.outcome));
        MUST(result.outcome == SP_OUTCOME_CLEAN || result.detail[0] != '\0', "no detail");
    }
    sp_spool_free(&spool);
    return result.outcome == SP_OUTCOME_CLEAN;
}

START_TEST(scan_client)
{
    const size_t sizes[] = { 100, 100000 };
    fake_scanner_start(&fake, "c");
    for (size_t i = 0; i < 2; i++) {
        size_t n = sizes[i];
        exhaust("scan client", ask_once, &n, FAULT_ALL, 1);
    }
    fake_scanner_stop(&fake);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("faults_txn");
    const int n = (int) (sizeof(stories) / sizeof(stories[0]));
    const int n_rules = 3;
    tcase_add_loop_test(c, blocked_for_want, 0, n);
    tcase_add_loop_test(c, malware_in_monitor_mode, n_rules, n);
    tcase_add_loop_test(c, passed_for_want, n_rules, n);
    tcase_add_test(c, configuration_and_gate);
    tcase_add_test(c, scan_client);
    return unit_run("faults_txn", c);
}
