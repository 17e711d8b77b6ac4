/* libclamav, told everything and trusted with little. Three things in it turn "not scanned" into "clean": errors that it counts
 * as harmless (no scratch file, a short read), members of archives that it cuts at a limit without an alert (zip, cab), and
 * alerts that hide each other (one of "limit exceeded" and "encrypted" is reported, in no fixed order). So a clean answer
 * counts only if the engine has begun with the object and nothing broke on the way, the sizes of members are watched, and an
 * answer that could hide another is asked again in the mode that reports all. */
#include "config.h"

#include "engine.h"

#include "dbset.h"
#include "selftest.h"

#include <clamav.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef CL_SCAN_PARSE_ONENOTE /* libclamav before 1.1 */
#define CL_SCAN_PARSE_ONENOTE 0u
#endif
#ifndef CL_SCAN_PARSE_IMAGE /* libclamav before 1.3 */
#define CL_SCAN_PARSE_IMAGE 0u
#define CL_SCAN_PARSE_IMAGE_FUZZY_HASH 0u
#endif

#define BUILTIN_LOAD_NAME "Sallyport.Builtin.Eicar" /* not one that a site's database would use */
#define BUILTIN_NAME "Eicar-Test-Signature"
#define UNOFFICIAL ".UNOFFICIAL" /* libclamav appends it to names of unsigned databases */
#define LIMIT_PREFIX "Heuristics.Limits.Exceeded"
#define LIMIT_TIME LIMIT_PREFIX ".MaxScanTime"
#define LIMIT_FILE LIMIT_PREFIX ".MaxFileSize"
#define LIMIT_SCAN LIMIT_PREFIX ".MaxScanSize"
#define OWN_ALERT "Detected.By.Callback" /* libclamav's name for what a callback of ours raised */
#define ENCRYPTED_PREFIX "Heuristics.Encrypted"

#define CUT_MARGIN 8192              /* a member cut at max_file_size may be this much smaller: it is written in such pieces */
#define LOOKED_AT_BYTES 5            /* libclamav takes objects up to this size for clean without a look, as clamscan does */
#define BYTECODE_TIMEOUT_MS 10000    /* clamscan's default */
#define SCAN_TIME_MARGIN 10          /* libclamav's own time limit comes this part of scan.timeout before the hard one ... */
#define SCAN_TIME_MARGIN_MAX_MS 2000 /* ... but not more than this */
#define LOAD_ATTEMPTS 3
#define SETTINGS_MAX_BYTES 4096

struct sp_engine {
    struct cl_engine *cl;
    struct cl_scan_options options;
    struct sp_engine_facts facts;
    uint64_t max_file_size, max_scan_size;
};

/* One call into libclamav; its callbacks get it as context. */
struct scan {
    const struct sp_engine *engine;
    bool has_begun;    /* the object itself reached the matchers */
    uint64_t spent;    /* of max_scan_size, at most */
    uint64_t largest;  /* the object or a member */
    uint64_t declared; /* size of a cab member that should come next; 0: none */
    bool is_broken;    /* something failed that libclamav may take for harmless */
    char broken[SP_SCAN_DETAIL_SIZE];
    char infected[SP_SCAN_NAME_SIZE]; /* first of each kind; "" if none */
    char limit[SP_SCAN_NAME_SIZE];
    char encrypted[SP_SCAN_NAME_SIZE];
};

struct source {
    int fd;
    struct scan *scan;
};

/* libclamav's message callback has no argument of ours while databases load, and there is one libclamav in a process. */
static struct {
    const struct sp_log *log;
    struct sp_error *load_errors; /* while loading: libclamav's first complaint */
} messages;

static void copy_text(char *out, size_t size, const char *text)
{
    size_t n = strnlen(text, size - 1);
    memcpy(out, text, n);
    out[n] = '\0';
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* --- callbacks ------------------------------------------------------------------------------------------------------- */

/* Messages of libclamav that mean: content could not be stored or read, so it was not scanned. */
static bool tells_of_lost_content(const char *text)
{
    static const char *const signs[] = { "reate temp", "reate file", "reate tmp", "reate director", "reate the director",
        "create output file", "Can't open '", "enerate temp", "rite to", "rite error", "rror writing", "failed write", "failed to write",
        "failed to create", "Not all bytes written", "unable to create", "pread error", "pread fail", "fmap() failed",
        "cannot create a map" };
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
        if (strstr(text, signs[i]))
            return true;
    return false;
}

static void on_message(enum cl_msg severity, const char *full, const char *text, void *context)
{
    (void) full;
    char line[SP_SCAN_DETAIL_SIZE * 2];
    copy_text(line, sizeof(line), text);
    line[strcspn(line, "\n")] = '\0';
    struct scan *scan = context;
    if (scan) {
        if (!scan->is_broken && tells_of_lost_content(line)) {
            scan->is_broken = true;
            copy_text(scan->broken, sizeof(scan->broken), line);
        }
        sp_log(messages.log, SP_LOG_DEBUG, "libclamav: %s", line); /* hostile files make it talk: not for every log */
    } else if (severity == CL_MSG_ERROR && messages.load_errors) {
        sp_error_set(messages.load_errors, SP_ERR_CONF, "%s", line); /* the first is the most exact; reported once, with the refusal */
    } else if (severity != CL_MSG_INFO_VERBOSE && strspn(line, "* ") < strlen(line)) { /* it frames some in stars */
        sp_log(messages.log, SP_LOG_WARN, "libclamav: %s", line);
    }
}

static void note_alert(struct scan *scan, const char *name)
{
    char *slot = scan->infected;
    if (strcmp(name, OWN_ALERT) == 0)
        return; /* noted when it was raised */
    if (starts_with(name, LIMIT_PREFIX))
        slot = scan->limit;
    else if (starts_with(name, ENCRYPTED_PREFIX))
        slot = scan->encrypted;
    if (slot[0] == '\0')
        copy_text(slot, SP_SCAN_NAME_SIZE, name);
}

/* An alert of ours. Raised inside libclamav too, or it would take the archive for clean and keep that in its cache. */
static cl_error_t raise_alert(struct scan *scan, const char *name)
{
    note_alert(scan, name);
    return CL_VIRUS;
}

/* libclamav unpacks of a cab member what fits below the limits, or nothing, and says nothing. */
static cl_error_t check_declared(struct scan *scan, uint64_t got)
{
    const uint64_t declared = scan->declared;
    scan->declared = 0;
    if (got >= declared)
        return CL_CLEAN;
    if (declared > scan->engine->max_file_size)
        return raise_alert(scan, LIMIT_FILE);
    return scan->spent + declared > scan->engine->max_scan_size ? raise_alert(scan, LIMIT_SCAN) : CL_CLEAN;
}

/* Called for the object, then for every member that is unpacked; fd is -1 for what lies in memory. */
static cl_error_t on_begin(int fd, const char *type, void *context)
{
    (void) type;
    struct scan *scan = context;
    struct stat st;
    if (!scan->has_begun) {
        scan->has_begun = true;
        return CL_CLEAN;
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        scan->spent += scan->largest; /* part of something that was counted before */
        return CL_CLEAN;
    }
    const uint64_t size = (uint64_t) st.st_size;
    const cl_error_t rc = check_declared(scan, size);
    scan->spent += size;
    if (size > scan->largest)
        scan->largest = size;
    return size + CUT_MARGIN > scan->engine->max_file_size ? raise_alert(scan, LIMIT_FILE) : rc;
}

/* Called for every member that an archive lists, before it is unpacked. Only of cab and chm is the size looked at: their
 * lists were checked, others may be chance bytes in a harmless file. */
static cl_error_t on_listed(
    const char *type, unsigned long packed, const char *name, unsigned long size, int is_encrypted, unsigned position, void *context)
{
    (void) packed, (void) name, (void) is_encrypted, (void) position;
    struct scan *scan = context;
    const cl_error_t rc = check_declared(scan, 0);
    if (size > LOOKED_AT_BYTES && type && (strstr(type, "CAB") || strstr(type, "CHM")))
        scan->declared = size;
    return rc;
}

static void on_found(int fd, const char *name, void *context)
{
    (void) fd;
    note_alert(context, name ? name : "unnamed");
}

static off_t on_read(void *handle, void *buf, size_t n, off_t offset)
{
    struct source *source = handle;
    ssize_t got;
    do
        got = pread(source->fd, buf, n, offset);
    while (got < 0 && errno == EINTR);
    if (got <= 0) {
        source->scan->is_broken = true;
        copy_text(source->scan->broken, sizeof(source->scan->broken), got < 0 ? strerror(errno) : "the file is shorter than announced");
    }
    return got;
}

/* --- scanning -------------------------------------------------------------------------------------------------------- */

/* What the operator can do about a limit: the option behind it. */
static const char *limit_text(const char *name)
{
    static const struct {
        const char *suffix, *text;
    } limits[] = {
        { ".MaxScanTime", "longer than scan.timeout" },
        { ".MaxScanSize", "more than scan.max_scan_size unpacked" },
        { ".MaxFileSize", "a file larger than scan.max_file_size" },
        { ".MaxFiles", "more files than scan.max_files" },
        { ".MaxRecursion", "deeper than scan.max_recursion" },
    };
    const char *suffix = name + sizeof(LIMIT_PREFIX) - 1;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        if (strcmp(suffix, limits[i].suffix) == 0)
            return limits[i].text;
    return name;
}

static void set_result(struct sp_engine_result *result, enum sp_verdict verdict, const char *detail)
{
    result->verdict = verdict;
    copy_text(result->detail, sizeof(result->detail), detail);
}

static void set_infected(struct sp_engine_result *result, const char *name)
{
    result->verdict = SP_VERDICT_INFECTED;
    copy_text(result->signature, sizeof(result->signature), strcmp(name, BUILTIN_LOAD_NAME UNOFFICIAL) == 0 ? BUILTIN_NAME : name);
}

/* Worst first, so that nothing hides what matters more. */
static void judge(const struct scan *scan, cl_error_t rc, size_t n, struct sp_engine_result *result)
{
    memset(result, 0, sizeof(*result)); /* whole: the texts go over the socket as they are */
    result->is_spoiled = scan->is_broken;
    if (scan->infected[0] != '\0') {
        set_infected(result, scan->infected);
    } else if (scan->limit[0] != '\0') {
        set_result(result, SP_VERDICT_LIMIT, limit_text(scan->limit));
    } else if (rc == CL_ETIMEOUT || rc == CL_EMAXSIZE || rc == CL_EMAXREC || rc == CL_EMAXFILES) {
        set_result(result, SP_VERDICT_LIMIT, cl_strerror(rc));
    } else if (rc == CL_VIRUS && scan->encrypted[0] == '\0') {
        set_infected(result, "unnamed");
    } else if (rc != CL_CLEAN && rc != CL_VIRUS) {
        set_result(result, SP_VERDICT_ERROR, cl_strerror(rc));
        result->is_spoiled = true;
    } else if (scan->is_broken) {
        set_result(result, SP_VERDICT_ERROR, scan->broken);
    } else if (!scan->has_begun && n > LOOKED_AT_BYTES) {
        set_result(result, SP_VERDICT_ERROR, "the engine did not look at the object");
        result->is_spoiled = true;
    } else if (scan->encrypted[0] != '\0') {
        set_result(result, SP_VERDICT_ENCRYPTED, scan->encrypted + sizeof(ENCRYPTED_PREFIX));
    } else {
        result->verdict = SP_VERDICT_CLEAN;
    }
}

static bool could_hide_another(const struct scan *scan)
{
    return scan->infected[0] == '\0' && (scan->encrypted[0] != '\0' || (scan->limit[0] != '\0' && strcmp(scan->limit, LIMIT_TIME) != 0));
}

static cl_error_t scan_map(const struct sp_engine *engine, cl_fmap_t *map, bool reports_all, struct scan *scan)
{
    struct cl_scan_options options = engine->options; /* libclamav asks for one that it may write */
    if (reports_all)
        options.general |= CL_SCAN_GENERAL_ALLMATCHES;
    const char *name = NULL;
    unsigned long blocks = 0;
    return cl_scanmap_callback(map, NULL, &name, &blocks, engine->cl, &options, scan);
}

static void begin_scan(struct scan *scan, const struct sp_engine *engine, size_t n)
{
    memset(scan, 0, offsetof(struct scan, broken));
    scan->broken[0] = scan->infected[0] = scan->limit[0] = scan->encrypted[0] = '\0';
    scan->engine = engine;
    scan->spent = scan->largest = n;
}

/* Takes map. */
static void run_scan(struct scan *scan, cl_fmap_t *map, size_t n, struct sp_engine_result *result)
{
    if (!map) {
        judge(scan, CL_EMEM, n, result);
        return;
    }
    cl_error_t rc = scan_map(scan->engine, map, false, scan);
    bool is_late = check_declared(scan, 0) == CL_VIRUS; /* the last member: libclamav has taken the archive for clean */
    if (could_hide_another(scan)) {
        scan->has_begun = false;
        scan->spent = n;
        rc = scan_map(scan->engine, map, true, scan); /* adds to what was found */
        is_late |= check_declared(scan, 0) == CL_VIRUS;
    }
    judge(scan, rc, n, result);
    result->is_spoiled |= is_late;
    cl_fmap_close(map);
}

void sp_engine_scan_memory(const struct sp_engine *engine, const void *p, size_t n, struct sp_engine_result *result_out)
{
    struct scan scan;
    begin_scan(&scan, engine, n);
    if (n <= LOOKED_AT_BYTES)
        judge(&scan, CL_CLEAN, n, result_out);
    else
        run_scan(&scan, cl_fmap_open_memory(p, n), n, result_out);
}

void sp_engine_scan_fd(const struct sp_engine *engine, int fd, size_t n, struct sp_engine_result *result_out)
{
    struct scan scan;
    struct source source = { fd, &scan };
    begin_scan(&scan, engine, n);
    if (n <= LOOKED_AT_BYTES)
        judge(&scan, CL_CLEAN, n, result_out);
    else
        run_scan(&scan, cl_fmap_open_handle(&source, 0, n, on_read, 1), n, result_out);
}

/* --- building -------------------------------------------------------------------------------------------------------- */

struct setting {
    enum cl_engine_field field;
    const char *name;
    long long value;
};

#define SETTINGS 7

static void list_settings(const struct sp_conf *conf, struct setting out[SETTINGS])
{
    int64_t margin = conf->scan_ms / SCAN_TIME_MARGIN;
    if (margin > SCAN_TIME_MARGIN_MAX_MS)
        margin = SCAN_TIME_MARGIN_MAX_MS;
    const struct setting settings[SETTINGS] = {
        { CL_ENGINE_MAX_SCANSIZE, "max_scan_size", conf->scan_max_size },
        { CL_ENGINE_MAX_FILESIZE, "max_file_size", conf->scan_max_file_size },
        { CL_ENGINE_MAX_FILES, "max_files", conf->scan_max_files },
        { CL_ENGINE_MAX_RECURSION, "max_recursion", conf->scan_max_recursion },
        { CL_ENGINE_MAX_SCANTIME, "max_scan_time", conf->scan_ms - margin },
        { CL_ENGINE_PCRE_MAX_FILESIZE, "pcre_max_file_size", conf->scan_max_file_size },
        { CL_ENGINE_BYTECODE_TIMEOUT, "bytecode_timeout", BYTECODE_TIMEOUT_MS },
    };
    memcpy(out, settings, sizeof(settings));
}

/* What clamscan scans by default, and alerts for what could not be scanned. */
static void set_options(struct cl_scan_options *options)
{
    memset(options, 0, sizeof(*options));
    options->general = CL_SCAN_GENERAL_HEURISTICS;
    options->parse = CL_SCAN_PARSE_ARCHIVE | CL_SCAN_PARSE_ELF | CL_SCAN_PARSE_PDF | CL_SCAN_PARSE_SWF | CL_SCAN_PARSE_HWP3 |
        CL_SCAN_PARSE_XMLDOCS | CL_SCAN_PARSE_MAIL | CL_SCAN_PARSE_OLE2 | CL_SCAN_PARSE_HTML | CL_SCAN_PARSE_PE | CL_SCAN_PARSE_ONENOTE |
        CL_SCAN_PARSE_IMAGE | CL_SCAN_PARSE_IMAGE_FUZZY_HASH;
    options->heuristic = CL_SCAN_HEURISTIC_EXCEEDS_MAX | CL_SCAN_HEURISTIC_ENCRYPTED_ARCHIVE | CL_SCAN_HEURISTIC_ENCRYPTED_DOC;
}

static enum sp_status apply_settings(struct sp_engine *engine, const struct sp_conf *conf, struct sp_error *err)
{
    struct setting settings[SETTINGS];
    list_settings(conf, settings);
    for (size_t i = 0; i < SETTINGS; i++) {
        cl_error_t rc = cl_engine_set_num(engine->cl, settings[i].field, settings[i].value);
        if (rc != CL_SUCCESS)
            return sp_error_set(err, SP_ERR_CONF, "libclamav refuses %s = %lld: %s", settings[i].name, settings[i].value, cl_strerror(rc));
    }
    engine->max_file_size = (uint64_t) conf->scan_max_file_size;
    engine->max_scan_size = (uint64_t) conf->scan_max_size;
    set_options(&engine->options);
    cl_engine_set_clcb_pre_cache(engine->cl, on_begin);
    cl_engine_set_clcb_meta(engine->cl, on_listed);
    cl_engine_set_clcb_virus_found(engine->cl, on_found);
    return SP_OK;
}

/* Everything besides the databases that makes an engine answer as it does. */
static enum sp_status compute_id(struct sp_engine *engine, const struct sp_conf *conf, struct sp_dbset *databases, struct sp_error *err)
{
    struct setting settings[SETTINGS];
    list_settings(conf, settings);
    struct sp_buf text;
    sp_buf_init(&text, SETTINGS_MAX_BYTES);
    const struct cl_scan_options *o = &engine->options;
    enum sp_status status = sp_buf_addf(&text, "engine 1 libclamav %s level %u db %x options %x %x %x %x %x\nbuilt-in %s\n", cl_retver(),
        cl_retflevel(), (unsigned) CL_DB_STDOPT, o->general, o->parse, o->heuristic, o->mail, o->dev, sp_eicar_hex);
    for (size_t i = 0; status == SP_OK && i < SETTINGS; i++)
        status = sp_buf_addf(&text, "%s %lld\n", settings[i].name, settings[i].value);
    if (status == SP_OK)
        status = sp_dbset_digest(databases, text.p, err, &engine->facts.id);
    sp_buf_fini(&text);
    return status;
}

/* libclamav loads files: the built-in signature becomes one for a moment. */
static enum sp_status load_builtin(struct sp_engine *engine, const char *scratch, struct sp_error *err)
{
    char *path = NULL;
    if (asprintf(&path, "%s/builtin.ndb", scratch) < 0)
        return sp_error_set(err, SP_ERR_NOMEM, "no memory for a path");
    enum sp_status status = SP_OK;
    FILE *file = fopen(path, "wex");
    bool is_written = file && fprintf(file, "%s:0:0:%s\n", BUILTIN_LOAD_NAME, sp_eicar_hex) > 0;
    if (!file || fclose(file) != 0 || !is_written)
        status = sp_error_set(err, SP_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    if (status == SP_OK) {
        cl_error_t rc = cl_load(path, engine->cl, &engine->facts.signatures, CL_DB_STDOPT);
        if (rc != CL_SUCCESS)
            status = sp_error_set(err, SP_ERR_CONF, "cannot load the built-in signature: %s", cl_strerror(rc));
    }
    unlink(path);
    free(path);
    return status;
}

static enum sp_status load_databases(struct sp_engine *engine, const struct sp_dbset *databases, struct sp_error *err)
{
    const char *source;
    for (size_t i = 0; (source = sp_dbset_source(databases, i)); i++) {
        struct sp_error why = { 0 };
        messages.load_errors = &why;
        cl_error_t rc = cl_load(source, engine->cl, &engine->facts.signatures, CL_DB_STDOPT);
        messages.load_errors = NULL;
        if (rc != CL_SUCCESS)
            return sp_error_set(err, SP_ERR_CONF, "cannot load %s: %s%s%s", source, cl_strerror(rc), why.text[0] ? ": " : "", why.text);
    }
    return SP_OK;
}

static enum sp_status compile(struct sp_engine *engine, struct sp_error *err)
{
    struct sp_error why = { 0 };
    messages.load_errors = &why;
    cl_error_t rc = cl_engine_compile(engine->cl);
    messages.load_errors = NULL;
    if (rc != CL_SUCCESS)
        return sp_error_set(err, SP_ERR_CONF, "cannot compile the signatures: %s%s%s", cl_strerror(rc), why.text[0] ? ": " : "", why.text);
    return SP_OK;
}

static enum sp_status build_from(
    const struct sp_conf *conf, const char *scratch, struct sp_dbset *databases, struct sp_error *err, struct sp_engine **engine_out)
{
    struct sp_engine *engine = calloc(1, sizeof(*engine));
    if (engine)
        engine->cl = cl_engine_new();
    enum sp_status status = engine && engine->cl ? SP_OK : sp_error_set(err, SP_ERR_NOMEM, "no memory for an engine");
    if (status == SP_OK)
        status = apply_settings(engine, conf, err);
    if (status == SP_OK)
        status = sp_engine_set_scratch(engine, scratch);
    if (status == SP_OK)
        status = compute_id(engine, conf, databases, err);
    if (status == SP_OK)
        status = load_databases(engine, databases, err);
    if (status == SP_OK)
        status = load_builtin(engine, scratch, err);
    if (status == SP_OK)
        status = compile(engine, err);
    if (status == SP_OK) {
        engine->facts.database_time = sp_dbset_newest(databases);
        status = sp_selftest(engine, err);
    }
    if (status != SP_OK)
        sp_engine_free(&engine);
    *engine_out = engine;
    return status;
}

enum sp_status sp_engine_build(
    const struct sp_conf *conf, const char *scratch, const struct sp_log *log, struct sp_error *err, struct sp_engine **engine_out)
{
    *engine_out = NULL;
    messages.log = log;
    cl_set_clcb_msg(on_message);
    cl_error_t rc = cl_init(CL_INIT_DEFAULT);
    if (rc != CL_SUCCESS)
        return sp_error_set(err, SP_ERR_CONF, "libclamav does not start: %s", cl_strerror(rc));
    for (int attempt = 1;; attempt++) {
        /* An update in the middle of a load would give an engine that its id does not describe. */
        struct sp_dbset *databases = NULL;
        struct sp_error why = { 0 };
        enum sp_status status = sp_dbset_open(&conf->databases, attempt == 1 ? log : NULL, &why, &databases);
        if (status == SP_OK)
            status = build_from(conf, scratch, databases, &why, engine_out);
        bool has_changed = databases && !sp_dbset_is_current(databases, &conf->databases);
        sp_dbset_close(&databases);
        if (!has_changed || attempt == LOAD_ATTEMPTS)
            return status == SP_OK ? SP_OK : sp_error_set(err, status, "%s", why.text);
        sp_log(log, SP_LOG_NOTICE, "the databases changed while they were loaded: loading again");
        sp_engine_free(engine_out);
    }
}

void sp_engine_free(struct sp_engine **engine)
{
    if (*engine) {
        if ((*engine)->cl)
            cl_engine_free((*engine)->cl);
        free(*engine);
    }
    *engine = NULL;
}

const struct sp_engine_facts *sp_engine_facts(const struct sp_engine *engine)
{
    return &engine->facts;
}

enum sp_status sp_engine_set_scratch(struct sp_engine *engine, const char *scratch)
{
    return cl_engine_set_str(engine->cl, CL_ENGINE_TMPDIR, scratch) == CL_SUCCESS ? SP_OK : SP_ERR_NOMEM;
}
