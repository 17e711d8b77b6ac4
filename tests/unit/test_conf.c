/* Options: defaults, every kind of fault with its line, and the two files that must agree with the table. */
#include "config.h"

#include "unit.h"

#include "sallyport/conf.h"

#include <stdio.h>
#include <unistd.h>

static char path[64];

static enum sp_status load_bytes(const char *p, size_t n, struct sp_error *err, struct sp_buf *report, struct sp_conf **conf)
{
    snprintf(path, sizeof(path), "/tmp/sp_test_conf.%d", (int) getpid());
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(p, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
    enum sp_status status = sp_conf_load(path, err, report, conf);
    unlink(path);
    return status;
}

static struct sp_conf *load(const char *text)
{
    struct sp_error err = { 0 };
    struct sp_conf *conf;
    enum sp_status status = load_bytes(text, strlen(text), &err, NULL, &conf);
    ck_assert_msg(status == SP_OK, "%s", err.text);
    return conf;
}

START_TEST(test_defaults)
{
    struct sp_conf *conf;
    ck_assert_int_eq(sp_conf_defaults(&conf), SP_OK);
    ck_assert_str_eq(conf->run_dir, SP_RUN_DIR);
    ck_assert_str_eq(conf->catalogue, SP_SYSCONF_DIR "/catalogue");
    ck_assert(!conf->connect_page);
    ck_assert_int_eq(conf->max_object_size, 256 << 20);
    ck_assert_int_eq(conf->scan_ms, 120000);
    ck_assert_int_eq(conf->log_decisions, SP_LOG_NOTABLE);
    ck_assert_int_eq(conf->mode, SP_MODE_ENFORCE);
    ck_assert_uint_eq(conf->databases.n, 1);
    ck_assert_str_eq(conf->databases.items[0], SP_DATABASE_DIR);
    ck_assert_int_eq(conf->outcomes[SP_OUTCOME_ERROR], SP_ACTION_BLOCK);
    ck_assert_int_eq(conf->outcomes[SP_OUTCOME_OVERSIZE], SP_ACTION_ALLOW);
    for (unsigned i = 0; i < SP_CATEGORY_COUNT; i++)
        ck_assert(!conf->has_category_action[i]);
    sp_conf_free(&conf);
    ck_assert_ptr_null(conf);
    sp_conf_free(&conf);
}
END_TEST

START_TEST(test_every_type)
{
    struct sp_conf *conf = load(
        "run_dir = \"/r\";\n"
        "connect_page = true;\n"
        "mode = \"monitor\";\n"
        "rules = ( 1 ); lists = ( 2 ); exceptions = ( 3 ); rule_actions = ( 4 );\n" /* the policy's to read */
        "max_object_size = 4096;\n"
        "log: { file = \"\"; decisions = \"all\"; };\n"
        "spool: { memory = \"64k\"; };\n"
        "remove_alt_svc = true;\n"
        "ranges: { remove = false; keep_from = \"256M\"; };\n"
        "cache: { size = 0; max_age = \"1h\"; };\n"
        "scan: { database = [ \"/a\", \"/b\" ]; workers = 4; timeout = \"5m\"; queue_timeout = \"500ms\"; max_scan_size = 4294967296; "
        "max_age = \"2d\"; };\n"
        "outcomes: { error = \"allow\"; encrypted = \"report\"; };\n"
        "categories: { vpn = \"report\"; tunnel = \"default\"; anonymous-proxy = \"block\"; };\n");
    ck_assert_str_eq(conf->path, path);
    ck_assert_str_eq(conf->run_dir, "/r");
    ck_assert(conf->connect_page);
    ck_assert_int_eq(conf->mode, SP_MODE_MONITOR);
    ck_assert_int_eq(conf->max_object_size, 4096);
    ck_assert_str_eq(conf->log_file, "");
    ck_assert_int_eq(conf->log_decisions, SP_LOG_ALL);
    ck_assert_int_eq(conf->spool_memory, 65536);
    ck_assert(conf->remove_alt_svc && !conf->ranges_remove);
    ck_assert_int_eq(conf->ranges_keep_from, 256 << 20);
    ck_assert_int_eq(conf->cache_size, 0);
    ck_assert_int_eq(conf->cache_age_ms, 3600000);
    ck_assert_uint_eq(conf->databases.n, 2);
    ck_assert_str_eq(conf->databases.items[1], "/b");
    ck_assert_int_eq(conf->scan_workers, 4);
    ck_assert_int_eq(conf->scan_ms, 300000);
    ck_assert_int_eq(conf->scan_queue_ms, 500);
    ck_assert_int_eq(conf->scan_max_size, 4294967296);
    ck_assert_int_eq(conf->scan_max_age_ms, 2 * 86400000);
    ck_assert_int_eq(conf->outcomes[SP_OUTCOME_ERROR], SP_ACTION_ALLOW);
    ck_assert_int_eq(conf->outcomes[SP_OUTCOME_ENCRYPTED], SP_ACTION_REPORT);
    ck_assert_int_eq(conf->outcomes[SP_OUTCOME_LIMIT], SP_ACTION_BLOCK);
    ck_assert(conf->has_category_action[SP_CATEGORY_VPN]);
    ck_assert_int_eq(conf->category_action[SP_CATEGORY_VPN], SP_ACTION_REPORT);
    ck_assert(!conf->has_category_action[SP_CATEGORY_TUNNEL]);
    ck_assert_int_eq(conf->category_action[SP_CATEGORY_ANONYMOUS_PROXY], SP_ACTION_BLOCK);
    sp_conf_free(&conf);
}
END_TEST

/* list as "a|b". */
static void want_list(const struct sp_conf_list *list, const char *want)
{
    char is[256] = "";
    for (size_t i = 0, n = 0; i < list->n; i++)
        n += (size_t) snprintf(is + n, sizeof(is) - n, "%s%s", i > 0 ? "|" : "", list->items[i]);
    ck_assert_str_eq(is, want);
}

START_TEST(test_lists)
{
    static const struct {
        const char *text, *hosts, *types;
    } cases[] = {
        { "", "", "video|audio" },
        { "ranges: { keep_hosts = [ \"a.example\", \"*.b\", \"::1\" ]; };", "a.example|*.b|::1", "video|audio" },
        { "ranges: { keep_hosts = \"a.example\"; };", "a.example", "video|audio" },
        { "ranges: { keep_hosts = []; keep_types = []; };", "", "" },
        { "ranges: { keep_hosts = (); keep_types = ( \"font\", \".mp4\" ); };", "", "font|.mp4" },
        { "ranges: { keep_types = [ \".tar.gz\", \"audio\" ]; };", "", ".tar.gz|audio" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_conf *conf = load(cases[i].text);
        want_list(&conf->ranges_keep_hosts, cases[i].hosts);
        want_list(&conf->ranges_keep_types, cases[i].types);
        ck_assert(conf->ranges_remove && !conf->remove_alt_svc);
        sp_conf_free(&conf);
    }
    struct sp_buf sample; /* an empty list and one of two, as a file has them */
    sp_buf_init(&sample, 65536);
    ck_assert_int_eq(sp_conf_sample(&sample), SP_OK);
    ck_assert_ptr_nonnull(strstr(sample.p, "#keep_hosts = [ ];\n"));
    ck_assert_ptr_nonnull(strstr(sample.p, "#keep_types = [ \"video\", \"audio\" ];\n"));
    sp_buf_fini(&sample);
}
END_TEST

START_TEST(test_scaled_numbers)
{
    static const struct {
        const char *text;
        int64_t want; /* of spool.memory or scan.timeout; 0: refused */
    } cases[] = {
        { "spool: { memory = \"64K\"; };", 65536 },
        { "spool: { memory = \"65536\"; };", 65536 },
        { "spool: { memory = \"1M\"; };", 1 << 20 },
        { "spool: { memory = \"256m\"; };", 256 << 20 },
        { "spool: { memory = \"1G\"; };", 0 },
        { "spool: { memory = \"64KB\"; };", 0 },
        { "spool: { memory = \"64 K\"; };", 0 },
        { "spool: { memory = \"K\"; };", 0 },
        { "spool: { memory = \"\"; };", 0 },
        { "spool: { memory = \"-64K\"; };", 0 },
        { "spool: { memory = \"1.5M\"; };", 0 },
        { "spool: { memory = \"0x10000\"; };", 0 },
        { "spool: { memory = \"9223372036854775807G\"; };", 0 },
        { "spool: { memory = \"99999999999999999999\"; };", 0 },
        { "spool: { memory = \"18014398509547520K\"; };", 0 }, /* 2^64 + 64K: must not wrap */
        { "scan: { timeout = \"100ms\"; };", 100 },
        { "scan: { timeout = \"90s\"; };", 90000 },
        { "scan: { timeout = \"1h\"; };", 3600000 },
        { "scan: { timeout = \"90\"; };", 0 },
        { "scan: { timeout = 90; };", 0 },
        { "scan: { timeout = \"2d\"; };", 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_error err = { 0 };
        struct sp_conf *conf;
        enum sp_status status = load_bytes(cases[i].text, strlen(cases[i].text), &err, NULL, &conf);
        ck_assert_msg((status == SP_OK) == (cases[i].want != 0), "%s: %s", cases[i].text, err.text);
        if (conf)
            ck_assert_int_eq(strncmp(cases[i].text, "spool", 5) == 0 ? conf->spool_memory : conf->scan_ms, cases[i].want);
        sp_conf_free(&conf);
    }
}
END_TEST

/* want: what stands after "FILE" in the only line. */
static void expect_fault(const char *text, const char *want)
{
    struct sp_error err = { 0 };
    struct sp_conf *conf;
    struct sp_buf report;
    char line[1024];
    sp_buf_init(&report, 65536);
    enum sp_status status = load_bytes(text, strlen(text), &err, &report, &conf);
    snprintf(line, sizeof(line), "%s%s", path, want);
    ck_assert_str_eq(err.text, line);
    ck_assert_int_eq(status, SP_ERR_CONF);
    ck_assert_ptr_null(conf);
    snprintf(line, sizeof(line), "%s%s\n", path, want);
    ck_assert_str_eq(report.p, line);
    sp_buf_fini(&report);
}

START_TEST(test_faults)
{
    static const struct {
        const char *text, *want; /* the line after "FILE" */
    } cases[] = {
        { "\nscan: {\n tiemout = \"1s\"; };", ":3: unknown key `scan.tiemout' (did you mean `scan.timeout'?)" },
        { "scan: { tiemuot = \"1s\"; };", ":1: unknown key `scan.tiemuot' (did you mean `scan.timeout'?)" },
        { "timeout = \"1s\";", ":1: unknown key `timeout' (did you mean `scan.timeout'?)" },
        { "rundir = \"/r\";", ":1: unknown key `rundir' (did you mean `run_dir'?)" },
        { "scan: { memory = 65536; };", ":1: unknown key `scan.memory' (did you mean `spool.memory'?)" },
        { "bogus = 1;", ":1: unknown key `bogus'" },
        { "exeptions = ( );", ":1: unknown key `exeptions' (did you mean `exceptions'?)" },
        { "rule_action = ( );", ":1: unknown key `rule_action' (did you mean `rule_actions'?)" },
        { "mode = \"watch\";", ":1: `mode' is \"watch\", but must be one of enforce|monitor" },
        { "bogus: { x = 1; };", ":1: unknown key `bogus'" },
        { "outcomes: { eror = \"block\"; };", ":1: unknown key `outcomes.eror' (did you mean `outcomes.error'?)" },
        { "categories: { vnp = \"block\"; };", ":1: unknown key `categories.vnp' (did you mean `categories.vpn'?)" },
        { "scan = 5;", ":1: `scan' must be a group, scan: { ... };, not a whole number" },
        { "outcomes = \"block\";", ":1: `outcomes' must be a group, outcomes: { ... };, not a string" },
        { "run_dir = 5;", ":1: `run_dir' must be a string, not a whole number" },
        { "run_dir: { };", ":1: `run_dir' must be a string, not a group" },
        { "connect_page = \"true\";", ":1: `connect_page' must be true or false, not a string" },
        { "scan: { workers = \"4\"; };", ":1: `scan.workers' must be a whole number, not a string" },
        { "scan: { workers = 4.5; };", ":1: `scan.workers' must be a whole number, not a number with a fraction" },
        { "scan: { workers = 257; };", ":1: `scan.workers' is 257, but must be from 0 to 256" },
        { "scan: { workers = -1; };", ":1: `scan.workers' is -1, but must be from 0 to 256" },
        { "scan: { workers = 4294967297; };", ":1: `scan.workers' is 4294967297, but must be from 0 to 256" },
        { "max_object_size = 1;", ":1: `max_object_size' is 1, but must be from 1K to 2097148K" },
        { "scan: { timeout = \"2h\"; };", ":1: `scan.timeout' is 2h, but must be from 100ms to 1h" },
        { "scan: { timeout = 30; };",
            ":1: `scan.timeout' must be a time with its unit: \"500ms\", \"30s\", \"5m\", \"1h\", not a bare number" },
        { "spool: { memory = \"a\\nb\"; };",
            ":1: `spool.memory' is \"a\\nb\", but must be a size: a number of bytes, or \"64K\", \"256M\", \"1G\"" },
        { "log: { decisions = \"some\"; };", ":1: `log.decisions' is \"some\", but must be one of notable|all" },
        { "log: { decisions = true; };", ":1: `log.decisions' must be one of its names, as a string, not true or false" },
        { "page_contact = \"a\\nb\";", ":1: `page_contact' holds a control character" },
        { "scan: { database = []; };", ":1: `scan.database' is empty" },
        { "scan: { database = [ \"/a\",\n 5 ]; };", ":2: mismatched element type in array at or before: 5 ]; };" },
        { "scan: { database = ( \"/a\",\n 5 ); };", ":2: `scan.database' must be a list of strings, not a whole number" },
        { "scan: { database = [ \"a\" ]; };", ":1: `scan.database' must be an absolute path, beginning with /" },
        { "\nrun_dir = \"run\";", ":2: `run_dir' must be an absolute path, beginning with /" },
        { "catalogue = \"\";", ":1: `catalogue' is empty" },
        { "outcomes: { clean = \"block\"; };", ":1: `outcomes.clean' cannot be set: it means \"the engine found nothing\"" },
        { "outcomes: { error = \"deny\"; };", ":1: `outcomes.error' is \"deny\", but must be allow, report or block" },
        { "outcomes: { error = false; };", ":1: `outcomes.error' must be allow, report or block, as a string, not true or false" },
        { "categories: { vpn = \"no\"; };", ":1: `categories.vpn' is \"no\", but must be default, allow, report or block" },
        { "scan: {\n max_workers = 2;\n workers = 3; };",
            ":3: `scan.workers' (3) must not be larger than `scan.max_workers' (2): workers at start are part of the most" },
        { "\nscan: { max_file_size = \"100M\"; };",
            ":2: `max_object_size' (256M) must not be larger than `scan.max_file_size' (100M): "
            "objects between the two could not be scanned" },
        { "scan: { max_scan_size = \"255M\"; };",
            ":1: `scan.max_file_size' (256M) must not be larger than `scan.max_scan_size' (255M): "
            "files between the two could not be scanned" },
        { "cache: {\n size = \"63K\"; };", ":2: `cache.size' is 63K, but must be 0 (off) or at least 64K" },
        { "cache: { size = 1; };", ":1: `cache.size' is 1, but must be 0 (off) or at least 64K" },
        { "cache: { size = \"2G\"; };", ":1: `cache.size' is 2G, but must be from 0 to 1G" },
        { "cache: { max_age = \"0s\"; };", ":1: `cache.max_age' is 0ms, but must be from 1s to 7d" },
        { "scan: { workers = 1;\n workers = 2; };", ":2: duplicate setting name at or before: workers = 2; };" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_fault(cases[i].text, cases[i].want);
}
END_TEST

START_TEST(test_faults_in_ranges)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "ranges: {\n keep_hosts = [ \"a.example\", \"http://b/\" ]; };",
            ":2: `ranges.keep_hosts': \"http://b/\" is not a host: a name or an address, without port and path" },
        { "ranges: { keep_hosts = [ \"\" ]; };", ":1: `ranges.keep_hosts': \"\" is not a host: a name or an address, without port and path" },
        { "ranges: {\n keep_types = [ \"video\", \"mp4\" ]; };",
            ":2: `ranges.keep_types': \"mp4\" is neither a value of Sec-Fetch-Dest (\"video\") nor the end of a path (\".mp4\")" },
        { "ranges: { keep_types = \".\"; };",
            ":1: `ranges.keep_types': \".\" is neither a value of Sec-Fetch-Dest (\"video\") nor the end of a path (\".mp4\")" },
        { "ranges: { keep_types = \".a/b\"; };",
            ":1: `ranges.keep_types': \".a/b\" is neither a value of Sec-Fetch-Dest (\"video\") nor the end of a path (\".mp4\")" },
        { "ranges: { keep_types = \"\"; };",
            ":1: `ranges.keep_types': \"\" is neither a value of Sec-Fetch-Dest (\"video\") nor the end of a path (\".mp4\")" },
        { "\nranges: { keep_from = \"255M\"; };",
            ":2: `max_object_size' (256M) must not be larger than `ranges.keep_from' (255M): "
            "objects between the two could be fetched in parts" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_fault(cases[i].text, cases[i].want);
}
END_TEST

START_TEST(test_quota_holds_an_object)
{
    static const struct {
        const char *text, *want; /* NULL: accepted */
    } cases[] = {
        { "spool: { quota = \"1G\"; };", NULL },
        { "\nspool: { quota = \"1023M\"; };", ":2: `spool.quota' (1023M) must be at least 4 times `max_object_size' (256M): " },
        { "max_object_size = \"1024M\";\nscan: { max_file_size = \"1G\"; max_scan_size = \"1G\"; };", NULL },
        { "\nmax_object_size = \"1025M\";\nscan: { max_file_size = \"2000M\"; max_scan_size = \"2G\"; };",
            ":2: `spool.quota' (4G) must be at least 4 times `max_object_size' (1025M): " },
        { "max_object_size = \"256K\";\nspool: { quota = \"1M\"; };", NULL },
        { "spool: { quota = \"1023K\"; };", ":1: `spool.quota' is 1023K, but must be from 1M to 1048576G" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_error err = { 0 };
        struct sp_conf *conf;
        enum sp_status status = load_bytes(cases[i].text, strlen(cases[i].text), &err, NULL, &conf);
        ck_assert_msg((status == SP_OK) == !cases[i].want, "%s: %s", cases[i].text, err.text);
        ck_assert_msg(!cases[i].want || strstr(err.text, cases[i].want), "%s: %s", cases[i].text, err.text);
        sp_conf_free(&conf);
    }
}
END_TEST

START_TEST(test_all_faults_are_told)
{
    static const char text[] =
        "run_dri = \"/r\";\nconnect_page = 1;\nscan: {\n workers = 1000;\n timeout = \"x\";\n};\ncatalogue = \"rel\";\n";
    struct sp_error err = { 0 };
    struct sp_conf *conf;
    struct sp_buf report;
    sp_buf_init(&report, 65536);
    ck_assert_int_eq(load_bytes(text, strlen(text), &err, &report, &conf), SP_ERR_CONF);
    static const int lines[] = { 1, 2, 4, 5, 7 };
    const char *p = report.p;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char want[128];
        snprintf(want, sizeof(want), "%s:%d: ", path, lines[i]);
        ck_assert_msg(p && strncmp(p, want, strlen(want)) == 0, "fault %zu: %s", i, p);
        p = strchr(p, '\n') + 1;
    }
    ck_assert_str_eq(p, "");
    ck_assert_int_eq(strncmp(report.p, err.text, strlen(err.text)), 0);
    sp_buf_fini(&report);
}
END_TEST

START_TEST(test_socket_path_fits)
{
    char text[256], dir[128];
    struct sp_error err = { 0 };
    struct sp_conf *conf;
    for (size_t n = 97; n <= 98; n++) { /* and "/scan.sock" and the terminator in 108 bytes */
        memset(dir, 'd', sizeof(dir));
        dir[0] = '/';
        dir[n] = '\0';
        snprintf(text, sizeof(text), "\nrun_dir = \"%s\";", dir);
        enum sp_status status = load_bytes(text, strlen(text), &err, NULL, &conf);
        ck_assert_int_eq(status, n == 97 ? SP_OK : SP_ERR_CONF);
        sp_conf_free(&conf);
    }
    ck_assert_ptr_nonnull(strstr(err.text, ":2: run_dir is too long for a unix socket"));
}
END_TEST

START_TEST(test_missing_file)
{
    struct sp_error err = { 0 };
    struct sp_conf *conf;
    ck_assert_int_eq(sp_conf_load("/nonexistent/x", &err, NULL, &conf), SP_ERR_IO);
    ck_assert_str_eq(err.text, "/nonexistent/x: cannot be opened: No such file or directory");
    ck_assert_ptr_null(conf);
}
END_TEST

/* --- the sample and the shipped file --------------------------------------------------------------------------------- */

static bool is_setting(const char *line)
{
    line += strspn(line, " ");
    return line[0] == '#' && line[1] >= 'a' && line[1] <= 'z' && strstr(line, " = ") && line[strcspn(line, "\n") - 1] == ';';
}

/* Removes the # of "#key = value;" lines, in place. */
static size_t uncomment(char *text)
{
    size_t n = 0;
    for (char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (is_setting(line)) {
            *strchr(line, '#') = ' ';
            n++;
        }
    }
    return n;
}

static size_t count_settings(void)
{
    size_t n = SP_CATEGORY_COUNT;
#define ONE(...) n++;
#define SP_CONF_STRING ONE
#define SP_CONF_LIST ONE
#define SP_CONF_BOOL ONE
#define SP_CONF_INT ONE
#define SP_CONF_SIZE ONE
#define SP_CONF_TIME ONE
#define SP_CONF_ENUM ONE
#include "sallyport/conf_options.def"
#undef SP_CONF_STRING
#undef SP_CONF_LIST
#undef SP_CONF_BOOL
#undef SP_CONF_INT
#undef SP_CONF_SIZE
#undef SP_CONF_TIME
#undef SP_CONF_ENUM
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++)
        n += sp_outcome_is_configurable((enum sp_outcome) i);
    return n;
}

/* The first option in which the two differ, or NULL. Strings and lists are paths, which depend on the build: compared on
 * their own. */
static const char *difference(const struct sp_conf *a, const struct sp_conf *b)
{
#define SKIP(...)
#define COMPARE(field, key, ...)                                                                                                           \
    if (a->field != b->field)                                                                                                              \
        return key;
#define SP_CONF_STRING SKIP
#define SP_CONF_LIST SKIP
#define SP_CONF_BOOL COMPARE
#define SP_CONF_INT COMPARE
#define SP_CONF_SIZE COMPARE
#define SP_CONF_TIME COMPARE
#define SP_CONF_ENUM COMPARE
#include "sallyport/conf_options.def"
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++)
        if (a->outcomes[i] != b->outcomes[i])
            return sp_outcome_name((enum sp_outcome) i);
    for (unsigned i = 0; i < SP_CATEGORY_COUNT; i++)
        if (a->has_category_action[i] || b->has_category_action[i])
            return sp_category_name((enum sp_category) i);
    return NULL;
}

/* text as it is, and with its settings uncommented, is a configuration at the defaults. The latter is returned. */
static struct sp_conf *check_file(char *text)
{
    struct sp_conf *defaults;
    ck_assert_int_eq(sp_conf_defaults(&defaults), SP_OK);
    struct sp_conf *conf = load(text);
    ck_assert_ptr_null(difference(defaults, conf));
    ck_assert_str_eq(conf->run_dir, defaults->run_dir);
    sp_conf_free(&conf);
    /* A key that is unknown, or there twice, is refused: so as many as in the table means all of it. */
    ck_assert_uint_eq(uncomment(text), count_settings());
    conf = load(text);
    const char *key = difference(defaults, conf);
    ck_assert_msg(!key, "%s is not at its default", key);
    ck_assert_str_eq(conf->page_contact, defaults->page_contact);
    sp_conf_free(&defaults);
    return conf;
}

START_TEST(test_sample)
{
    struct sp_buf sample;
    sp_buf_init(&sample, 65536);
    ck_assert_int_eq(sp_conf_sample(&sample), SP_OK);
    struct sp_conf *conf = check_file(sample.p);
    ck_assert_str_eq(conf->run_dir, SP_RUN_DIR);
    ck_assert_str_eq(conf->catalogue, SP_SYSCONF_DIR "/catalogue");
    ck_assert_str_eq(conf->log_file, SP_LOG_DIR "/decisions.log");
    ck_assert_str_eq(conf->spool_dir, SP_SPOOL_DIR);
    ck_assert_uint_eq(conf->databases.n, 1);
    ck_assert_str_eq(conf->databases.items[0], SP_DATABASE_DIR);
    sp_conf_free(&conf);
    sp_buf_fini(&sample);
    sp_buf_init(&sample, 100);
    ck_assert_int_eq(sp_conf_sample(&sample), SP_ERR_LIMIT);
    sp_buf_fini(&sample);
}
END_TEST

START_TEST(test_shipped_file)
{
    const char *srcdir = getenv("SRCDIR");
    char name[4096];
    snprintf(name, sizeof(name), "%s/etc/sallyport.conf", srcdir ? srcdir : ".");
    FILE *f = fopen(name, "r");
    ck_assert_msg(f != NULL, "%s is missing", name);
    char *text = calloc(1, 65536);
    ck_assert_uint_lt(fread(text, 1, 65535, f), 65535);
    fclose(f);
    struct sp_conf *conf = check_file(text);
    /* make install writes the paths of the build; the file has Debian's. */
    ck_assert_str_eq(conf->run_dir, "/run/sallyport");
    ck_assert_str_eq(conf->catalogue, "/etc/sallyport/catalogue");
    ck_assert_str_eq(conf->page_template, "/etc/sallyport/templates/block.html");
    ck_assert_str_eq(conf->log_file, "/var/log/sallyport/decisions.log");
    ck_assert_str_eq(conf->spool_dir, "/var/spool/sallyport");
    ck_assert_uint_eq(conf->databases.n, 1);
    ck_assert_str_eq(conf->databases.items[0], "/var/lib/clamav");
    sp_conf_free(&conf);
    free(text);
}
END_TEST

START_TEST(test_categories)
{
    enum sp_category category;
    ck_assert(sp_category_parse(SP_STR("anonymous-proxy"), &category));
    ck_assert_int_eq(category, SP_CATEGORY_ANONYMOUS_PROXY);
    ck_assert(!sp_category_parse(SP_STR("VPN"), &category));
    ck_assert(!sp_category_parse(SP_STR(""), &category));
    for (unsigned i = 0; i < SP_CATEGORY_COUNT; i++) {
        ck_assert(sp_category_parse(sp_str_from(sp_category_name((enum sp_category) i)), &category));
        ck_assert_int_eq(category, (enum sp_category) i);
    }
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("conf");
    tcase_add_test(c, test_defaults);
    tcase_add_test(c, test_every_type);
    tcase_add_test(c, test_lists);
    tcase_add_test(c, test_scaled_numbers);
    tcase_add_test(c, test_faults);
    tcase_add_test(c, test_faults_in_ranges);
    tcase_add_test(c, test_quota_holds_an_object);
    tcase_add_test(c, test_all_faults_are_told);
    tcase_add_test(c, test_socket_path_fits);
    tcase_add_test(c, test_missing_file);
    tcase_add_test(c, test_sample);
    tcase_add_test(c, test_shipped_file);
    tcase_add_test(c, test_categories);
    return unit_run("conf", c);
}
