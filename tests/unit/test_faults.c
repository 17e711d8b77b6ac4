/* Every allocation fails in turn, in each module that owns a body, makes a page or is built from a file: the answer is a status,
 * nothing is left behind, and what could not be done is never taken for done. Libraries fail too where they can live with it;
 * libconfig and libc's streams end the process or crash, so there only our own allocations do. */
#include "config.h"

#include "decode_kit.h"
#include "faults_kit.h"

#include "sallyport/declog.h"
#include "sallyport/message_parse.h"
#include "sallyport/page.h"
#include "sallyport/quota.h"
#include "sallyport/spool.h"

#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static void setup(void)
{
    snprintf(dir, sizeof(dir), "/tmp/sp_test_faults.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void)
{
    ck_assert_msg(rmdir(dir) == 0, "something was left in %s", dir);
}

static const char *in_dir(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

/* --- spool ---------------------------------------------------------------------------------------------------------------- */

static bool spool_once(void *arg)
{
    struct sp_quota *quota = arg;
    struct sp_spool_limits limits = { .memory_bytes = 200000, .max_bytes = 1000000, .dir = dir, .quota = quota };
    static char block[8000], back[sizeof(block)];
    struct sp_spool *spool = NULL;
    struct sp_error err = { 0 };
    size_t got = 0;
    memset(block, 'b', sizeof(block));
    enum sp_status status = sp_spool_new(&limits, &spool);
    MUST((spool != NULL) == (status == SP_OK), "a spool in spite of the failure");
    for (int i = 0; status == SP_OK && i < 50; i++) {
        status = sp_spool_append(spool, block, sizeof(block), &err);
        MUST(status == SP_OK || err.text[0] != '\0', "no text");
    }
    if (status == SP_OK)
        status = sp_spool_seal(spool, &err);
    if (status == SP_OK)
        status = sp_spool_read(spool, 49 * sizeof(block), back, sizeof(back), &got);
    MUST(status == SP_OK || status == SP_ERR_NOMEM, "status %d: %s", status, err.text);
    MUST(status != SP_OK || (got == sizeof(back) && memcmp(block, back, got) == 0), "other bytes");
    sp_spool_free(&spool);
    return status == SP_OK;
}

static bool quota_once(void *arg)
{
    struct sp_quota *quota = NULL;
    struct sp_quota_use use;
    enum sp_status status = sp_quota_open(arg, 1000, NULL, &quota);
    MUST((quota != NULL) == (status == SP_OK), "a quota in spite of the failure");
    if (quota) {
        MUST(sp_quota_take(quota, 100), "no room");
        MUST(sp_quota_look(arg, NULL, &use) == SP_OK && use.held_bytes == 100, "another use");
    }
    sp_quota_close(&quota);
    return status == SP_OK;
}

START_TEST(spool_and_quota)
{
    char path[128];
    struct sp_quota *quota;
    snprintf(path, sizeof(path), "%s", in_dir("spool.stat"));
    ck_assert_int_eq(sp_quota_open(path, 10 * MIB, NULL, &quota), SP_OK);
    exhaust("spool", spool_once, quota, FAULT_ALL, 4);
    struct sp_quota_use use;
    ck_assert_int_eq(sp_quota_look(path, NULL, &use), SP_OK);
    ck_assert_uint_eq(use.held_bytes, 0);
    sp_quota_close(&quota);
    exhaust("quota", quota_once, path, FAULT_ALL, 1);
    unlink(path);
}
END_TEST

/* --- decode --------------------------------------------------------------------------------------------------------------- */

struct coded {
    const char *value;
    struct bytes plain, encoded;
    size_t chunk;
    unsigned char *out; /* as large as plain */
    size_t out_n;
};

static enum sp_status keep(void *arg, const void *p, size_t n)
{
    struct coded *c = arg;
    MUST(c->out_n + n <= c->plain.n, "too much comes out");
    memcpy(c->out + c->out_n, p, n);
    c->out_n += n;
    return SP_OK;
}

/* Want of memory is ERROR: never BAD or LIMIT, which are faults of the body, and never OK with less than all of it. */
static bool decode_once(void *arg)
{
    struct coded *c = arg;
    struct head head;
    const char *const values[] = { c->value, NULL };
    struct sp_decode *chain = NULL;
    struct sp_error detail = { 0 };
    c->out_n = 0;
    enum sp_decode_result result = sp_decode_new(head_with(&head, values), &roomy, keep, c, &detail, &chain);
    MUST((chain != NULL) == (result == SP_DECODE_OK), "a chain in spite of the failure");
    for (size_t at = 0; result == SP_DECODE_OK && at < c->encoded.n; at += c->chunk) {
        const size_t left = c->encoded.n - at;
        result = sp_decode_feed(chain, c->encoded.p + at, left < c->chunk ? left : c->chunk, &detail);
    }
    if (result == SP_DECODE_OK)
        result = sp_decode_finish(chain, &detail);
    sp_decode_free(&chain);
    MUST(result == SP_DECODE_OK || result == SP_DECODE_ERROR, "%s: result %d: %s", c->value, (int) result, detail.text);
    MUST((result == SP_DECODE_OK) == (detail.text[0] == '\0'), "%s: text \"%s\" with result %d", c->value, detail.text, (int) result);
    MUST(memcmp(c->out, c->plain.p, c->out_n) == 0, "%s: other bytes", c->value);
    MUST(result != SP_DECODE_OK || c->out_n == c->plain.n, "%s: %zu of %zu bytes", c->value, c->out_n, c->plain.n);
    return result == SP_DECODE_OK;
}

static void exhaust_decode(const char *value, struct bytes plain, struct bytes encoded, long at_least)
{
    struct coded c = { .value = value, .plain = plain, .encoded = encoded };
    c.out = malloc(plain.n);
    ck_assert_ptr_nonnull(c.out);
    for (int is_whole = 0; is_whole < 2; is_whole++) {
        c.chunk = is_whole ? encoded.n : 1 + encoded.n / 7;
        exhaust(value, decode_once, &c, FAULT_ALL, at_least);
    }
    free(c.out);
    drop(&plain);
    drop(&encoded);
}

START_TEST(decode_each)
{
    for (size_t i = 0; i < N_CODINGS; i++) {
        struct bytes plain = make_body(200000);
        exhaust_decode(codings[i].name, plain, codings[i].encode(&plain), 3);
    }
    exhaust_decode("br", load("plain.txt"), load("plain.txt.br"), 5);
    exhaust_decode("zstd", load("plain.txt"), load("plain.txt.zst"), 3);
}
END_TEST

START_TEST(decode_stacks)
{
    struct bytes plain = make_body(50000), one = to_gzip(&plain), two = to_br(&one), three = to_zstd(&two), four = to_raw(&three);
    exhaust_decode("gzip, br, zstd, deflate", plain, four, 12);
    drop(&one);
    drop(&two);
    drop(&three);
}
END_TEST

/* --- head, page, log ------------------------------------------------------------------------------------------------------- */

static bool head_once(void *arg)
{
    struct sp_head *head = NULL;
    enum sp_status status = sp_head_parse(arg, strlen(arg), SP_MESSAGE_REQUEST, &head);
    MUST((head != NULL) == (status == SP_OK), "a head in spite of the failure");
    MUST(status == SP_OK || status == SP_ERR_NOMEM, "status %d", status);
    if (head)
        MUST(sp_message_field(sp_head_message(head), SP_STR("Accept")) != NULL, "a field is missing");
    sp_head_free(&head);
    return status == SP_OK;
}

/* A page is whole or it is a failure: half of it could have lost an escape. */
static bool page_once(void *arg)
{
    static char wholes[SP_PAGE_FORMATS][20000];
    const struct sp_page_values values = { "infected", "found <it>", "r-1", "a rule", "vpn", "Eicar & Co", "id7", "now",
        SP_STR("http://h.example/<script>?a=\"b\""), SP_STR("h.example"), 0 };
    struct sp_page *page = NULL;
    struct sp_error err = { 0 };
    enum sp_status status = sp_page_new(&(struct sp_page_options){ .path = arg, .contact = "the \"help\" desk" }, &err, &page);
    MUST((page != NULL) == (status == SP_OK), "a page in spite of the failure");
    for (int f = 0; status == SP_OK && f < SP_PAGE_FORMATS; f++) {
        struct sp_buf out;
        sp_buf_init(&out, sizeof(wholes[f]) - 1);
        status = sp_page_render(page, (enum sp_page_format) f, &values, &out);
        if (status == SP_OK && wholes[f][0] == '\0')
            memcpy(wholes[f], out.p, out.n);
        MUST(status != SP_OK || (out.n > 0 && memcmp(wholes[f], out.p, out.n) == 0), "format %d: another page", f);
        sp_buf_fini(&out);
    }
    MUST(status == SP_OK || status == SP_ERR_NOMEM, "status %d: %s", status, err.text);
    sp_page_free(&page);
    return status == SP_OK;
}

static bool log_once(void *arg)
{
    struct sp_declog *log = NULL;
    struct sp_error err = { 0 };
    enum sp_status status = sp_declog_open(&(struct sp_declog_options){ .path = arg }, &err, &log);
    MUST((log != NULL) == (status == SP_OK), "a log in spite of the failure");
    const struct sp_decision d = { .id = "7", .client = SP_STR("192.0.2.1"), .direction = SP_STR("REQMOD"), .url = SP_STR("http://\xff/"),
        .reason = "because", .rule = "r", .signature = "s", .category = "", .excepted = "" };
    const bool is_written = status == SP_OK && sp_declog_write(log, &d);
    sp_declog_close(&log);
    return is_written;
}

/* A line that could be written is whole: nothing is left out of it for want of memory. */
static void expect_equal_lines(const char *path)
{
    char line[4096], first[4096] = "";
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof(line), f)) {
        if (strstr(line, "\"lost\":1}")) /* word of the one that could not be written */
            continue;
        if (first[0] == '\0')
            snprintf(first, sizeof(first), "%s", line);
        ck_assert_str_eq(line, first);
    }
    fclose(f);
}

START_TEST(heads_pages_and_log)
{
    char head[] = "GET http://h.example/ HTTP/1.1\r\nHost: h.example\r\nX-Folded: a\r\n b\r\nAccept: */*\r\n\r\n";
    exhaust("head", head_once, head, FAULT_ALL, 3);
    char built_in[] = "", path[128];
    exhaust("built-in page", page_once, built_in, FAULT_ALL, 3);
    snprintf(path, sizeof(path), "%s", in_dir("decisions.log"));
    exhaust("log", log_once, path, FAULT_ALL, 4);
    expect_equal_lines(path);
    unlink(path);
}
END_TEST

START_TEST(page_from_file)
{
    const char *src = getenv("SRCDIR");
    char template[4096];
    snprintf(template, sizeof(template), "%s/etc/templates/block.html", src ? src : ".");
    exhaust("page from a file", page_once, template, FAULT_OURS, 3); /* libconfig, which reads its texts, does not outlive a failure */
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("faults");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, spool_and_quota);
    tcase_add_test(c, decode_each);
    tcase_add_test(c, decode_stacks);
    tcase_add_test(c, heads_pages_and_log);
    tcase_add_test(c, page_from_file);
    return unit_run("faults", c);
}
