/* Whole transactions for tests: a gate with a few rules and a scanner that follows a script, a driver, and what came of it. */
#ifndef SALLYPORT_TESTS_INSPECT_KIT_H
#define SALLYPORT_TESTS_INSPECT_KIT_H

#include "fake_scanner.h"

#include "sallyport/inspect.h"
#include "sallyport/message_parse.h"

#include <sys/stat.h>

#define BODY_MAX 300000

static struct fake_scanner fake;
static char conf_path[256], log_path[256];

static const char rules[] = "category = \"vpn\";\n"
                            "rules = (\n"
                            "  { id = \"t-connect\"; name = \"test vpn\"; stage = \"connect\"; method = \"CONNECT\";\n"
                            "    when = ( { field = \"X-Vpn\"; present = true; } ); action = \"block\"; evidence = \"seen\";\n"
                            "    false_positives = \"none\"; reference = \"test\"; },\n"
                            "  { id = \"t-report\"; name = \"test report\"; stage = \"request\";\n"
                            "    when = ( { field = \"X-Odd\"; present = true; } ); action = \"report\"; evidence = \"seen\";\n"
                            "    false_positives = \"none\"; reference = \"test\"; },\n"
                            "  { id = \"t-body\"; name = \"test body\"; stage = \"response\"; body = \"^hello h\";\n"
                            "    action = \"block\"; evidence = \"seen\"; false_positives = \"none\"; reference = \"test\"; }\n"
                            ");\n";

static inline void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

static inline struct sp_gate *open_gate(const char *script, const char *conf_lines)
{
    static char text[4096], path[256];
    const bool is_slow = strpbrk(script, "hqw") != NULL; /* others answer when this machine lets them */
    fake_scanner_start(&fake, script);
    snprintf(path, sizeof(path), "%s/catalogue", fake.dir);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/catalogue/test.conf", fake.dir);
    write_file(path, rules);
    snprintf(conf_path, sizeof(conf_path), "%s/sallyport.conf", fake.dir);
    snprintf(log_path, sizeof(log_path), "%s/decisions.log", fake.dir);
    snprintf(text, sizeof(text),
        "run_dir = \"%s\"; catalogue = \"%s/catalogue\"; page_template = \"\";\n"
        "log = { file = \"%s\"; decisions = \"all\"; };\n"
        "spool = { dir = \"/tmp\"; memory = \"64K\"; };\n"
        "scan = { queue_timeout = \"%s\"; timeout = \"%s\"; };\n"
        "max_object_size = 200000;\n%s\n",
        fake.dir, fake.dir, log_path, is_slow ? "150ms" : "30s", is_slow ? "300ms" : "30s", conf_lines);
    write_file(conf_path, text);
    struct sp_error err = { 0 };
    struct sp_gate *gate = NULL;
    enum sp_status status = sp_gate_open(conf_path, SP_GATE_SERVE, &err, &gate);
    ck_assert_msg(status == SP_OK, "gate: %s", err.text);
    return gate;
}

static inline void close_gate(struct sp_gate **gate)
{
    static const char *const names[] = { "catalogue/test.conf", "sallyport.conf", "decisions.log", "icap.stat", "spool.stat",
        "verdicts.cache", "scans.stat" };
    char path[256];
    sp_gate_release(gate);
    ck_assert_ptr_null(*gate);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", fake.dir, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/catalogue", fake.dir);
    rmdir(path);
    fake_scanner_stop(&fake);
}

static inline const char *last_log_line(void)
{
    static char line[20000];
    char next[20000];
    line[0] = '\0';
    FILE *f = fopen(log_path, "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(next, sizeof(next), f))
        memcpy(line, next, sizeof(line));
    fclose(f);
    return line;
}

struct run {
    enum sp_step step;
    struct sp_txn_result result;
    char id[32], add_fields[1000]; /* lines */
    bool strip_own;
    char out[BODY_MAX + 65536]; /* what would be delivered */
    size_t out_bytes;
};

static struct run run;

static inline void keep_result(struct sp_txn *txn, enum sp_step step)
{
    run.step = step;
    run.result = *sp_txn_result(txn);
    snprintf(run.id, sizeof(run.id), "%s", run.result.id);
    const struct sp_txn_edits *edits = sp_txn_edits(txn);
    run.strip_own = edits->strip_own;
    for (size_t i = 0, n = 0; i < edits->n_add && n < sizeof(run.add_fields); i++)
        n += (size_t) snprintf(run.add_fields + n, sizeof(run.add_fields) - n, "%s\n", edits->add[i]);
}

static inline void drain(struct sp_txn *txn)
{
    size_t got = 0;
    do {
        ck_assert_int_eq(sp_txn_read(txn, run.out + run.out_bytes, sizeof(run.out) - run.out_bytes, &got), SP_OK);
        run.out_bytes += got;
    } while (got > 0);
}

static inline void feed(struct sp_txn *txn, const char *body, size_t n, size_t piece)
{
    enum sp_step step = SP_STEP_BODY;
    for (size_t at = 0; at < n;) {
        size_t taken = 0, want = n - at < piece ? n - at : piece;
        step = sp_txn_body(txn, body + at, want, &taken);
        ck_assert_uint_le(taken, want);
        at += taken;
        if (step != SP_STEP_BODY)
            drain(txn);
    }
    step = sp_txn_end(txn);
    keep_result(txn, step);
    drain(txn);
}

/* Drives one transaction as the module would. response "" means REQMOD; body NULL means none. */
static inline void transact(struct sp_gate *gate, const char *request, const char *response, const char *body, size_t n, size_t piece)
{
    struct sp_head *req = NULL, *res = NULL;
    memset(&run, 0, sizeof(run));
    ck_assert_int_eq(sp_head_parse(request, strlen(request), SP_MESSAGE_REQUEST, &req), SP_OK);
    if (response[0])
        ck_assert_int_eq(sp_head_parse(response, strlen(response), SP_MESSAGE_RESPONSE, &res), SP_OK);
    struct sp_txn_start start = {
        .direction = response[0] ? SP_RESPMOD : SP_REQMOD,
        .request = sp_head_message(req),
        .response = res ? sp_head_message(res) : NULL,
        .client = SP_STR("192.0.2.7"),
        .user = SP_STR("bob"),
        .has_body = body != NULL,
    };
    struct sp_txn *txn = NULL;
    ck_assert_int_eq(sp_txn_new(gate, &txn), SP_OK);
    enum sp_step step = sp_txn_head(txn, &start);
    if (step == SP_STEP_BODY) {
        feed(txn, body, n, piece);
    } else {
        keep_result(txn, step);
        if (step == SP_STEP_BLOCK)
            drain(txn);
    }
    sp_txn_free(&txn);
    sp_head_free(&req);
    sp_head_free(&res);
}

#define GET "GET http://site.example/file HTTP/1.1\r\nHost: site.example\r\n\r\n"
#define POST "POST http://site.example/up HTTP/1.1\r\nHost: site.example\r\nContent-Type: text/plain\r\n\r\n"
#define OK200 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
#define POST_GZIP "POST http://site.example/up HTTP/1.1\r\nHost: site.example\r\nContent-Encoding: GZip\r\n\r\n"
#define CODED(name) "HTTP/1.1 200 OK\r\nContent-Encoding: " name "\r\n\r\n"

static char body[BODY_MAX];

#endif
