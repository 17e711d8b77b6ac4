/* What heads lose: codings that cannot be undone, ranges and their exceptions, offers to leave. A table of heads with the edits that
 * they get, written as "-Name" for a field removed and "+line" for one added. */
#include "config.h"

#include "unit.h"

#include "sallyport/decode.h"
#include "sallyport/message_parse.h"
#include "sallyport/rewrite.h"

#include <stdio.h>

#define HEAD_BYTES 8192
#define EDITS_BYTES 1024

static struct sp_conf *conf;
static char *no_items[] = { NULL };

static void setup(void)
{
    ck_assert_int_eq(sp_conf_defaults(&conf), SP_OK);
}

static void teardown(void)
{
    sp_conf_free(&conf);
}

static struct sp_head *parse(const char *text, enum sp_message_kind kind)
{
    struct sp_head *head = NULL;
    ck_assert_int_eq(sp_head_parse(text, strlen(text), kind, &head), SP_OK);
    return head;
}

static const char *show(const struct sp_rewrite *rewrite, char out[EDITS_BYTES])
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < rewrite->n_remove; i++)
        n += (size_t) snprintf(out + n, EDITS_BYTES - n, "%s-%s", n > 0 ? " " : "", rewrite->remove[i]);
    if (rewrite->has_add)
        snprintf(out + n, EDITS_BYTES - n, "%s+%s", n > 0 ? " " : "", rewrite->add);
    return out;
}

static struct sp_rewrite rewrite_request(const char *start_line, const char *fields, const char *sni)
{
    char text[HEAD_BYTES];
    struct sp_rewrite rewrite;
    memset(&rewrite, 0x5a, sizeof(rewrite)); /* it may not count on zeroes */
    ck_assert_int_lt(snprintf(text, sizeof(text), "%s\r\nHost: files.example\r\n%s\r\n\r\n", start_line, fields), (int) sizeof(text));
    struct sp_head *head = parse(text, SP_MESSAGE_REQUEST);
    sp_rewrite_request(conf, sp_head_message(head), sp_str_from(sni), &rewrite);
    sp_head_free(&head);
    return rewrite;
}

static void expect(const char *start_line, const char *fields, const char *sni, const char *want)
{
    char shown[EDITS_BYTES];
    struct sp_rewrite rewrite = rewrite_request(start_line, fields, sni);
    ck_assert_msg(strcmp(show(&rewrite, shown), want) == 0, "%s\n%s (sni %s)\n gives %s\nbut not %s", start_line, fields, sni, shown, want);
}

/* --- Accept-Encoding ------------------------------------------------------------------------------------------------- */

#define AE(value) "-Accept-Encoding +Accept-Encoding: " value

START_TEST(codings)
{
    static const struct {
        const char *fields, *want;
    } cases[] = {
        /* as browsers and programs send it */
        { "Accept-Encoding: gzip, deflate, br, zstd", "" },
        { "Accept-Encoding: gzip, deflate", "" },
        { "Accept-Encoding: deflate, gzip, br, zstd", "" },
        { "Accept-Encoding: gzip;q=1.0, deflate;q=0.6, identity;q=0.3", "" },
        { "Accept-Encoding: identity", "" },
        { "Accept-Encoding: x-gzip, gzip", "" },
        { "Accept-Encoding: gzip,,\tbr\t, ,zstd", "" },
        { "accept-encoding:GZIP,Br", "" },
        { "Accept-Encoding:", "" },
        { "Accept: text/html", "" },
        { "X-Accept-Encoding: dcb", "" },
        { "Accept-Language: dcb, *", "" },
        /* unknown ones go, the others keep order and weight */
        { "Accept-Encoding: gzip, deflate, br, zstd, dcb, dcz", AE("gzip, deflate, br, zstd") },
        { "Accept-Encoding: dcb, gzip;q=0.8", AE("gzip;q=0.8") },
        { "Accept-Encoding: gzip, deflate, sdch", AE("gzip, deflate") },
        { "Accept-Encoding: br;q=1.0, compress;q=0.9, x-compress, gzip;q=0.5", AE("br;q=1.0, gzip;q=0.5") },
        { "Accept-Encoding: pack200-gzip, gzip", AE("gzip") },
        { "Accept-Encoding: gzip,bzip2,xz,lzma,exi,aes128gcm,x-bzip2,lz4,snappy", AE("gzip") },
        { "Accept-Encoding: gzip2", AE("identity") },
        { "Accept-Encoding: gzi", AE("identity") },
        { "Accept-Encoding: gzip dcb, br", AE("br") },
        { "Accept-Encoding: gzip\tdcb", AE("identity") },
        { "Accept-Encoding: *", AE("identity") },
        { "Accept-Encoding: gzip, *", AE("gzip") },
        { "Accept-Encoding: gzip, *;q=0.1", AE("gzip") },
        { "Accept-Encoding: br,dcb", AE("br") },
        { "Accept-Encoding: ,, gzip ,, dcb,", AE("gzip") },
        { "Accept-Encoding: ;q=1, gzip", AE("gzip") },
        { "Accept-Encoding: gzip;x=\"a, dcb\"", AE("gzip;x=\"a") },
        /* what refuses a coding asks for nothing */
        { "Accept-Encoding: gzip, *;q=0", "" },
        { "Accept-Encoding: gzip, dcb;q=0", "" },
        { "Accept-Encoding: gzip, dcb ;\tq=0 , br", "" },
        { "Accept-Encoding: gzip, dcb;Q=0.000, identity; q=0", "" },
        { "Accept-Encoding: *;q=0", "" },
        { "Accept-Encoding: dcb, *;q=0", AE("identity") },
        { "Accept-Encoding: dcb, gzip;q=0", AE("identity") },
        { "Accept-Encoding: dcb, br, *;q=0.0", AE("br, *;q=0.0") },
        { "Accept-Encoding: gzip, dcb;q=0.001", AE("gzip") },
        { "Accept-Encoding: gzip, dcb;q=0.0001", AE("gzip") },
        { "Accept-Encoding: gzip, dcb;q=0.0000", AE("gzip") },
        { "Accept-Encoding: gzip, dcb;q=0.0x", AE("gzip") },
        { "Accept-Encoding: gzip, dcb;q=00", AE("gzip") },
        { "Accept-Encoding: gzip, dcb;q=0;q=1", AE("gzip") },
        { "Accept-Encoding: gzip, dcb;x=1;q=0", AE("gzip") },
        { "Accept-Encoding: gzip, dcb;q=", AE("gzip") },
        { "Accept-Encoding: gzip, dcb;r=0", AE("gzip") },
        /* in several fields, any case */
        { "Accept-Encoding: gzip\r\nAccept-Encoding: br", "" },
        { "Accept-Encoding: dcb\r\nAccept-Encoding: gzip", AE("gzip") },
        { "Accept-Encoding: gzip\r\nACCEPT-ENCODING: dcb, br", AE("gzip, br") },
        { "Accept-Encoding: dcb\r\nAccept-Encoding: zstd;q=0.2\r\nAccept-Encoding: dcz", AE("zstd;q=0.2") },
        { "Accept-Encoding: dcb\r\nAccept-Encoding: dcz", AE("identity") },
        { "Accept-Encoding : dcb", AE("identity") },
        /* folded, and bytes that would end the line that is added */
        { "Accept-Encoding: gzip,\r\n br", "" },
        { "Accept-Encoding: gzip,\r\n dcb,\r\n br", AE("gzip, br") },
        { "Accept-Encoding: gzip;\r\n q=0.5, br", AE("br") },
        { "Accept-Encoding: dcb,\r\n X: y;\r\n q=0, br", AE("br") },
        { "Accept-Encoding: gzip;q=1\x01, br", AE("br") },
        { "Accept-Encoding: gzip;q=1\x7f, br", AE("br") },
        { "Accept-Encoding: gzip;\tq=1, dcb", AE("gzip;\tq=1") },
        /* dictionaries and differences */
        { "Accept-Encoding: gzip, dcb\r\nAvailable-Dictionary: :cHJl:\r\nDictionary-ID: \"a\"",
            "-Available-Dictionary -Dictionary-ID " AE("gzip") },
        { "available-dictionary: :cHJl:\r\nAvailable-Dictionary: :cHJm:", "-Available-Dictionary" },
        { "Avail-Dictionary: x", "-Avail-Dictionary" },
        { "A-IM: vcdiff, diffe, gzip", "-A-IM" },
        { "a-im: range", "-A-IM" },
        { "IM: vcdiff\r\nDictionary: x\r\nA-In: y", "" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect("GET / HTTP/1.1", cases[i].fields, "", cases[i].want);
}
END_TEST

START_TEST(what_does_not_fit_is_not_offered)
{
    for (size_t n = 180; n < 280; n++) { /* around the size of the line */
        char fields[1024];
        snprintf(fields, sizeof(fields), "Accept-Encoding: gzip;%0*d, dcb, br, zstd", (int) n, 1);
        struct sp_rewrite rewrite = rewrite_request("GET / HTTP/1.1", fields, "");
        size_t whole = strlen("Accept-Encoding: gzip;") + n;
        ck_assert(rewrite.has_add);
        ck_assert_msg(memchr(rewrite.add, '\0', sizeof(rewrite.add)) != NULL, "%zu", n);
        ck_assert_uint_eq(strstr(rewrite.add, "gzip") != NULL, whole < SP_REWRITE_ADD_SIZE);
        bool is_br_there = whole >= SP_REWRITE_ADD_SIZE || whole + strlen(", br") < SP_REWRITE_ADD_SIZE;
        ck_assert_msg((strstr(rewrite.add, "br") != NULL) == is_br_there, "%zu: %s", n, rewrite.add);
        ck_assert_ptr_null(strstr(rewrite.add, "dcb"));
    }
}
END_TEST

/* Every subset of known and unknown codings: nothing but known ones, and all of them. */
START_TEST(every_mix)
{
    static const char *const names[] = { "gzip", "x-gzip", "deflate", "br", "zstd", "identity", "dcb", "compress", "*" };
    enum { N_KNOWN = 6, N_NAMES = 9 };
    for (unsigned set = 1; set < 1u << N_NAMES; set++) {
        char fields[256] = "Accept-Encoding: ", want[256] = AE("");
        size_t n = strlen(fields), n_want = strlen(want);
        for (unsigned i = 0; i < N_NAMES; i++) {
            if ((set >> i & 1) == 0)
                continue;
            bool is_first = fields[n - 1] == ' ', is_first_wanted = want[n_want - 1] == ' ';
            n += (size_t) snprintf(fields + n, sizeof(fields) - n, "%s%s", is_first ? "" : ",", names[i]);
            if (i < N_KNOWN)
                n_want += (size_t) snprintf(want + n_want, sizeof(want) - n_want, "%s%s", is_first_wanted ? "" : ", ", names[i]);
        }
        bool has_unknown = set >> N_KNOWN != 0, has_known = (set & ((1u << N_KNOWN) - 1)) != 0;
        if (!has_known)
            snprintf(want, sizeof(want), "%s", AE("identity"));
        expect("GET / HTTP/1.1", fields, "", has_unknown ? want : "");
    }
    for (unsigned i = 0; i < N_NAMES; i++)
        ck_assert(sp_decode_is_known(sp_str_from(names[i])) == (i < N_KNOWN));
    ck_assert(!sp_decode_is_known(SP_STR("")));
    ck_assert(sp_decode_is_known(SP_STR("Identity")));
}
END_TEST

/* --- ranges ---------------------------------------------------------------------------------------------------------- */

#define DEFAULT_LATE "268435456" /* max_object_size */
#define DEFAULT_EARLY "268435455"

START_TEST(ranges)
{
    static const struct {
        const char *line, *fields, *want;
    } cases[] = {
        { "GET / HTTP/1.1", "Range: bytes=0-99", "-Range" },
        { "GET / HTTP/1.1", "RANGE: bytes=0-99\r\nrange: bytes=5-", "-Range" },
        { "GET / HTTP/1.1", "Range : bytes=0-99", "-Range" },
        { "GET / HTTP/1.1", "Range:", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=0-99\r\nIf-Range: \"x\"", "-Range -If-Range" },
        { "GET / HTTP/1.1", "if-range: \"x\"\r\nRange: bytes=0-99", "-If-Range -Range" },
        { "GET / HTTP/1.1", "If-Range: \"x\"", "" },
        { "GET / HTTP/1.1", "Request-Range: bytes=0-99", "-Request-Range" },
        { "GET / HTTP/1.1", "Range: bytes=1-\r\nRequest-Range: bytes=0-99\r\nIf-Range: x", "-Range -Request-Range -If-Range" },
        { "POST / HTTP/1.1", "Range: bytes=0-99", "-Range" },
        { "HEAD / HTTP/1.1", "Range: bytes=0-99", "-Range" },
        { "GET / HTTP/1.1", "Content-Range: bytes 0-99/100\r\nAccept-Ranges: bytes\r\nOrder: a\r\nXange: bytes=0-1", "" },
        { "GET / HTTP/1.1", "Range: bytes=0-99\r\nAccept-Encoding: dcb", "-Accept-Encoding -Range +Accept-Encoding: identity" },
        { "GET / HTTP/1.1",
            "Range: bytes=0-\r\nRequest-Range: bytes=0-\r\nIf-Range: x\r\nA-IM: x\r\nAvail-Dictionary: x\r\nAvailable-Dictionary: x\r\n"
            "Dictionary-ID: x\r\nAccept-Encoding: dcb",
            "-A-IM -Avail-Dictionary -Available-Dictionary -Dictionary-ID -Accept-Encoding -Range -Request-Range -If-Range "
            "+Accept-Encoding: identity" },
        /* by what it is for */
        { "GET / HTTP/1.1", "Range: bytes=0-99\r\nSec-Fetch-Dest: video\r\nIf-Range: x", "" },
        { "GET / HTTP/1.1", "sec-fetch-dest: AUDIO\r\nRange: bytes=0-99", "" },
        { "GET / HTTP/1.1", "Range: bytes=0-99\r\nSec-Fetch-Dest: document", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=0-99\r\nSec-Fetch-Dest: empty", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=0-99\r\nSec-Fetch-Dest: videos", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=0-99\r\nSec-Fetch-Dest:", "-Range" },
        { "GET /a.mp4 HTTP/1.1", "Range: bytes=0-99", "-Range" },
        { "GET /video HTTP/1.1", "Range: bytes=0-99", "-Range" },
        /* by where it begins */
        { "GET / HTTP/1.1", "Range: bytes=" DEFAULT_LATE "-", "" },
        { "GET / HTTP/1.1", "Range: bytes=" DEFAULT_LATE "-" DEFAULT_LATE, "" },
        { "GET / HTTP/1.1", "Range: bytes=999999999999999999-", "" },
        { "GET / HTTP/1.1", "Range: BYTES=" DEFAULT_LATE "-\r\nIf-Range: x", "" },
        { "GET / HTTP/1.1", "Range: bytes=" DEFAULT_LATE "-300000000, 400000000-500000000", "" },
        { "GET / HTTP/1.1", "Range: bytes=" DEFAULT_EARLY "-", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=1000000000000000000-", "-Range" }, /* may wrap somewhere */
        { "GET / HTTP/1.1", "Range: bytes=18446744073709551616-", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=99999999999999999999999999-", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=-500", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=-999999999", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=" DEFAULT_LATE "-,0-5", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=0-5," DEFAULT_LATE "-", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=" DEFAULT_LATE "-,-5", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=" DEFAULT_LATE "-\r\nRange: bytes=0-", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=" DEFAULT_LATE "-\r\nRequest-Range: bytes=0-", "-Range -Request-Range" },
        { "GET / HTTP/1.1", "Range: bytes=" DEFAULT_LATE "-\r\nRequest-Range: bytes=" DEFAULT_LATE "-", "" },
        { "GET / HTTP/1.1", "Range: bytes=" DEFAULT_LATE, "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=" DEFAULT_LATE "-,", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=," DEFAULT_LATE "-", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=-", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes =" DEFAULT_LATE "-", "-Range" },
        { "GET / HTTP/1.1", "Range: " DEFAULT_LATE "-", "-Range" },
        { "GET / HTTP/1.1", "Range: items=" DEFAULT_LATE "-", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=" DEFAULT_LATE "x-", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=" DEFAULT_LATE "x5", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=" DEFAULT_LATE " ", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=" DEFAULT_LATE "-x", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=" DEFAULT_LATE "-5-6", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=" DEFAULT_LATE " -5", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=0x20000000-", "-Range" },
        { "GET / HTTP/1.1", "Range: bytes=+" DEFAULT_LATE "-", "-Range" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect(cases[i].line, cases[i].fields, "", cases[i].want);
}
END_TEST

START_TEST(ranges_are_left_alone_if_so_configured)
{
    conf->ranges_remove = false;
    expect("GET / HTTP/1.1", "Range: bytes=0-99\r\nIf-Range: x\r\nRequest-Range: bytes=0-99", "", "");
    expect("GET / HTTP/1.1", "Range: bytes=0-99\r\nA-IM: range", "", "-A-IM");
}
END_TEST

START_TEST(where_late_begins)
{
    conf->outcomes[SP_OUTCOME_OVERSIZE] = SP_ACTION_BLOCK; /* what is blocked as a whole does not pass in parts */
    expect("GET / HTTP/1.1", "Range: bytes=" DEFAULT_LATE "-", "", "-Range");
    conf->outcomes[SP_OUTCOME_OVERSIZE] = SP_ACTION_REPORT;
    expect("GET / HTTP/1.1", "Range: bytes=" DEFAULT_LATE "-", "", "");
    conf->max_object_size = 5000;
    expect("GET / HTTP/1.1", "Range: bytes=5000-", "", "");
    expect("GET / HTTP/1.1", "Range: bytes=4999-", "", "-Range");
    conf->ranges_keep_from = 6000;
    expect("GET / HTTP/1.1", "Range: bytes=6000-", "", "");
    expect("GET / HTTP/1.1", "Range: bytes=5999-", "", "-Range");
    conf->outcomes[SP_OUTCOME_OVERSIZE] = SP_ACTION_BLOCK;
    expect("GET / HTTP/1.1", "Range: bytes=6000-", "", "");
}
END_TEST

/* Runs with list in place of the option's own items. */
static void expect_with(
    struct sp_conf_list *option, char **items, size_t n, const char *line, const char *fields, const char *sni, bool kept)
{
    struct sp_conf_list own = *option;
    *option = (struct sp_conf_list){ items, n };
    expect(line, fields, sni, kept ? "" : "-Range");
    *option = own;
}

START_TEST(hosts_that_may_serve_parts)
{
    static const struct {
        const char *host, *sni;
        bool kept;
    } cases[] = {
        { "update.example", "", true },
        { "dl.update.example", "", true },
        { "a.b.UPDATE.example", "", true },
        { "update.example.", "", true },
        { "notupdate.example", "", false },
        { "update.example.evil.test", "", false },
        { "example", "", false },
        { "pool.test", "", true },
        { "x.pool.test", "", true },
        { "192.0.2.7", "", true },
        { "0xc0000207", "", true },
        { "192.0.2.70", "", false },
        { "1.192.0.2.7", "", false },
        { "[2001:db8::7]", "", true },
        { "[2001:DB8:0::7]", "", true },
        { "[2001:db8::8]", "", false },
        { "other.test", "", false },
        /* inside TLS */
        { "update.example", "update.example", true },
        { "update.example", "dl.update.example", true },
        { "update.example", "pool.test", true },
        { "update.example", "evil.test", false },
        { "evil.test", "update.example", false },
    };
    static char name[] = "Update.example", below[] = "*.pool.test", v4[] = "192.0.2.7", v6[] = "2001:db8::7";
    char *items[] = { name, below, v4, v6 };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[128];
        snprintf(line, sizeof(line), "GET http://%s/a HTTP/1.1", cases[i].host);
        expect_with(&conf->ranges_keep_hosts, items, 4, line, "Range: bytes=0-9", cases[i].sni, cases[i].kept);
        expect_with(&conf->ranges_keep_hosts, no_items, 0, line, "Range: bytes=0-9", cases[i].sni, false);
    }
}
END_TEST

START_TEST(types_that_may_come_in_parts)
{
    static const struct {
        const char *target, *dest;
        bool kept;
    } cases[] = {
        { "/a.mp4", "empty", true },
        { "/A.MP4?x=1", "empty", true },
        { "/a.mp4.exe", "empty", false },
        { "/a?b.mp4", "empty", false },
        { "/amp4", "empty", false },
        { "/.mp4", "empty", true },
        { "/a.tar.gz", "empty", true },
        { "/a.gz", "empty", false },
        { "/a", "font", true },
        { "/a", "Font", true },
        { "/a", "video", false },
        { "/a", ".mp4", false },
    };
    static char mp4[] = ".mp4", font[] = "font", tar[] = ".tar.gz";
    char *items[] = { mp4, font, tar };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[128], fields[128];
        snprintf(line, sizeof(line), "GET %s HTTP/1.1", cases[i].target);
        snprintf(fields, sizeof(fields), "Range: bytes=0-9\r\nSec-Fetch-Dest: %s", cases[i].dest);
        expect_with(&conf->ranges_keep_types, items, 3, line, fields, "", cases[i].kept);
        expect_with(&conf->ranges_keep_types, no_items, 0, line, fields, "", false);
    }
}
END_TEST

/* --- replies --------------------------------------------------------------------------------------------------------- */

START_TEST(offers_to_leave)
{
    static const struct {
        const char *fields, *want;
    } cases[] = {
        { "Alt-Svc: h3=\":443\"; ma=86400", "-Alt-Svc" },
        { "ALT-SVC: h3=\":443\"\r\nalt-svc: clear", "-Alt-Svc" },
        { "Alternate-Protocol: 443:quic", "-Alternate-Protocol" },
        { "Alternate-Protocol: 443:quic\r\nAlt-Svc: h2=\":443\"", "-Alternate-Protocol -Alt-Svc" },
        { "Alt-Svx: x\r\nAccept-Encoding: dcb\r\nRange: bytes=0-\r\nContent-Type: text/html", "" },
    };
    char text[1024], shown[EDITS_BYTES];
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_rewrite rewrite;
        memset(&rewrite, 0x5a, sizeof(rewrite));
        conf->remove_alt_svc = i % 2 == 1;
        snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%s\r\n\r\n", cases[i / 2].fields);
        struct sp_head *head = parse(text, SP_MESSAGE_RESPONSE);
        sp_rewrite_response(conf, sp_head_message(head), &rewrite);
        ck_assert_str_eq(show(&rewrite, shown), conf->remove_alt_svc ? cases[i / 2].want : "");
        sp_head_free(&head);
    }
    struct sp_rewrite rewrite;
    memset(&rewrite, 0x5a, sizeof(rewrite));
    sp_rewrite_response(conf, NULL, &rewrite);
    ck_assert_str_eq(show(&rewrite, shown), "");
    memset(&rewrite, 0x5a, sizeof(rewrite));
    sp_rewrite_request(conf, NULL, SP_STR(""), &rewrite);
    ck_assert_str_eq(show(&rewrite, shown), "");
}
END_TEST

/* --- any bytes ------------------------------------------------------------------------------------------------------- */

/* A head with every byte changed in turn: the line that is added is one line and offers nothing unknown. */
START_TEST(every_byte_changed)
{
    static const char head_text[] =
        "GET /a.mp4?b HTTP/1.1\r\nHost: h\r\nRange: bytes=300000000-,5-6\r\nAccept-Encoding: gzip;q=0.5, dcb, br,\r\n zstd, *;q=0\r\n\r\n";
    for (size_t at = 0; at + 1 < sizeof(head_text); at++) {
        for (unsigned c = 0; c < 256; c++) {
            char text[sizeof(head_text)];
            struct sp_head *head = NULL;
            memcpy(text, head_text, sizeof(text));
            text[at] = (char) c;
            if (sp_head_parse(text, sizeof(text) - 1, SP_MESSAGE_REQUEST, &head) != SP_OK)
                continue;
            struct sp_rewrite rewrite;
            sp_rewrite_request(conf, sp_head_message(head), SP_STR(""), &rewrite);
            ck_assert_uint_le(rewrite.n_remove, SP_REWRITE_REMOVE_MAX);
            if (rewrite.has_add) {
                ck_assert_uint_eq(strcspn(rewrite.add, "\r\n\x01\x7f"), strlen(rewrite.add));
                ck_assert_int_eq(strncmp(rewrite.add, "Accept-Encoding: ", 17), 0);
            }
            sp_head_free(&head);
        }
    }
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("rewrite");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, codings);
    tcase_add_test(c, what_does_not_fit_is_not_offered);
    tcase_add_test(c, every_mix);
    tcase_add_test(c, ranges);
    tcase_add_test(c, ranges_are_left_alone_if_so_configured);
    tcase_add_test(c, where_late_begins);
    tcase_add_test(c, hosts_that_may_serve_parts);
    tcase_add_test(c, types_that_may_come_in_parts);
    tcase_add_test(c, offers_to_leave);
    tcase_add_test(c, every_byte_changed);
    return unit_run("rewrite", c);
}
