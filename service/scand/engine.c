/* libclamav, told everything and trusted with little. Four things in it turn "not scanned" into "clean": errors that it counts
 * as harmless (no scratch file, a short read), members of archives that it cuts at a limit without an alert (zip, cab), alerts
 * that hide each other (one of "limit exceeded" and "encrypted" is reported, in no fixed order), and what it cannot open and
 * passes over. So a clean answer counts only if the engine has begun with the object and nothing broke on the way, the sizes
 * of members are watched, an answer that could hide another is asked again in the mode that reports all, and marks of our own
 * (builtin.c) tell of what stayed closed. */
#include "config.h"

#include "engine.h"

#include "builtin.h"
#include "dbset.h"
#include "findings.h"
#include "selftest.h"

#include "sallyport/clock.h"

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

#define OWN_ALERT "Detected.By.Callback" /* libclamav's name for what a callback of ours raised */

#define CANNOT_LOAD "Can't load " /* libclamav, then the path and the reason */

#define CUT_MARGIN 8192              /* a member cut at max_file_size may be this much smaller: it is written in such pieces */
#define LOOKED_AT_BYTES 5            /* libclamav takes objects up to this size for clean without a look, as clamscan does */
#define PARTITIONS_MAX 256           /* twice as many as a partition table commonly has */
#define BYTECODE_TIMEOUT_MS 10000    /* clamscan's default */
#define SCAN_TIME_MARGIN 10          /* libclamav's own time limit comes this part of scan.timeout before the hard one ... */
#define SCAN_TIME_MARGIN_MAX_MS 2000 /* ... but not more than this */
#define BOMB_MEMBERS 4 /* chance bytes may look like one that is too large */
#define BOMB_US 500000
#define LOAD_ATTEMPTS 3
#define ID_WITH_RAR 0x526172211a07u /* tells engines with the library for RAR from those without */
#define SETTINGS_MAX_BYTES 16384

struct sp_engine {
    struct cl_engine *cl;
    struct cl_scan_options options;
    unsigned db_options;
    struct sp_engine_facts facts;
    uint64_t max_file_size, max_scan_size;
    bool unpacks_rar; /* the library for it, which is not free, is there */
};

/* One call into libclamav; its callbacks get it as context. */
struct scan {
    const struct sp_engine *engine;
    bool has_begun;    /* the object itself reached the matchers */
    uint64_t spent;    /* of max_scan_size, at most */
    uint64_t unpacked; /* of max_scan_size, at least */
    uint64_t largest;  /* the object or a member */
    uint64_t declared; /* size of a member that should come next; 0: none */
    bool must_come;    /* that one, whatever its size */
    int64_t refused_us; /* since when members are listed that will not be scanned ... */
    unsigned refused;  /* ... and how many were */
    bool is_unsaid;    /* a limit that libclamav does not know of: what it keeps of the object in its cache is wrong */
    bool is_broken;    /* something failed that libclamav may take for harmless */
    struct sp_findings found;
};

/* A range of a file. */
struct source {
    int fd;
    off_t offset;
    struct scan *scan;
};

/* libclamav's message callback has no argument of ours while databases load, and there is one libclamav in a process. */
static struct {
    const struct sp_log *log;
    struct sp_error *load_errors; /* while loading: libclamav's first complaint ... */
    struct sp_error *load_file;   /* ... and its last word on a file */
} messages;

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

static void note_broken(struct scan *scan, const char *why)
{
    scan->is_broken = true;
    sp_findings_note(scan->found.error, why);
}

static void on_message(enum cl_msg severity, const char *full, const char *text, void *context)
{
    (void) full;
    char line[SP_SCAN_DETAIL_SIZE * 2];
    snprintf(line, sizeof(line), "%s", text);
    line[strcspn(line, "\n")] = '\0';
    struct scan *scan = context;
    if (scan) {
        if (tells_of_lost_content(line))
            note_broken(scan, line);
        sp_log(messages.log, SP_LOG_DEBUG, "libclamav: %s", line); /* hostile files make it talk: not for every log */
    } else if (severity == CL_MSG_ERROR && messages.load_errors) {
        if (strncmp(line, CANNOT_LOAD "/", sizeof(CANNOT_LOAD)) == 0)
            snprintf(messages.load_file->text, sizeof(messages.load_file->text), "%s", line + sizeof(CANNOT_LOAD) - 1);
        sp_error_set(messages.load_errors, SP_ERR_CONF, "%s", line); /* the first is the most exact; reported once, with the refusal */
    } else if (severity != CL_MSG_INFO_VERBOSE && strspn(line, "* ") < strlen(line)) { /* it frames some in stars */
        sp_log(messages.log, SP_LOG_WARN, "libclamav: %s", line);
    }
}

/* An alert of ours. Raised inside libclamav too, or it would take the archive for clean and keep that in its cache. */
static cl_error_t raise_closed(struct scan *scan, const char *what)
{
    sp_findings_note(scan->found.encrypted, what);
    return CL_VIRUS;
}

/* A limit does not stop the scan: what is infected may follow. */
static void note_limit(struct scan *scan, const char *name)
{
    sp_findings_note(scan->found.limit, name);
    scan->is_unsaid = true;
}

/* libclamav unpacks of a cab member what fits below the limits, or nothing, and says nothing; nor does it of 7z members whose
 * method it does not know. */
static cl_error_t check_declared(struct scan *scan, uint64_t got)
{
    const uint64_t declared = scan->declared;
    const bool must_come = scan->must_come;
    scan->declared = 0;
    scan->must_come = false;
    if (got >= declared)
        return CL_CLEAN;
    if (declared > scan->engine->max_file_size)
        note_limit(scan, SP_LIMIT_FILE);
    else if (scan->spent + declared > scan->engine->max_scan_size)
        note_limit(scan, SP_LIMIT_SCAN);
    else if (must_come && got == 0)
        return raise_closed(scan, "7Zip with an unknown method");
    return CL_CLEAN;
}

/* libclamav unpacks a member of a zip to find that it must not scan it. A bomb has many, and would hold the worker until the
 * deadline: so the search for what is infected behind a limit has an end. */
static cl_error_t check_bomb(struct scan *scan, uint64_t size)
{
    const struct sp_engine *engine = scan->engine;
    if (size <= engine->max_file_size && scan->unpacked + size <= engine->max_scan_size)
        return CL_CLEAN;
    const int64_t now_us = sp_clock_mono_us();
    if (scan->refused++ == 0)
        scan->refused_us = now_us;
    if (scan->refused < BOMB_MEMBERS || now_us < scan->refused_us + BOMB_US)
        return CL_CLEAN;
    sp_findings_note(scan->found.limit, SP_LIMIT_SCAN);
    return CL_VIRUS;
}

/* RAR is known to libclamav, but not opened without the library for it. */
static cl_error_t check_type(struct scan *scan, const char *type)
{
    const bool is_closed = type && strcmp(type, "CL_TYPE_RAR") == 0 && !scan->engine->unpacks_rar;
    return is_closed ? raise_closed(scan, "RAR, and libclamunrar is not installed") : CL_CLEAN;
}

/* Called for the object, then for every member that is unpacked; fd is -1 for what lies in memory. */
static cl_error_t on_begin(int fd, const char *type, void *context)
{
    struct scan *scan = context;
    struct stat st;
    cl_error_t rc = check_type(scan, type);
    if (!scan->has_begun) {
        scan->has_begun = true;
        return rc;
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        scan->spent += scan->largest; /* part of something that was counted before */
        return rc;
    }
    const uint64_t size = (uint64_t) st.st_size;
    if (check_declared(scan, size) == CL_VIRUS)
        rc = CL_VIRUS;
    scan->spent += size;
    scan->unpacked += size;
    if (size > scan->largest)
        scan->largest = size;
    if (size + CUT_MARGIN <= scan->engine->max_file_size)
        return rc;
    note_limit(scan, SP_LIMIT_FILE);
    return CL_BREAK; /* the time that a part of it would take can be had by many */
}

/* Called for every member that an archive lists, before it is scanned. Only of cab, chm and 7z is the size looked at: their
 * lists were checked, others may be chance bytes in a harmless file. */
static cl_error_t on_listed(
    const char *type, unsigned long packed, const char *name, unsigned long size, int is_encrypted, unsigned position, void *context)
{
    (void) packed, (void) name, (void) is_encrypted, (void) position;
    struct scan *scan = context;
    cl_error_t rc = check_declared(scan, 0);
    const bool is_7z = type && strstr(type, "7Z");
    if (size > LOOKED_AT_BYTES && type && (is_7z || strstr(type, "CAB") || strstr(type, "CHM"))) {
        scan->declared = size;
        scan->must_come = is_7z;
    } else if (check_bomb(scan, size) == CL_VIRUS) {
        rc = CL_VIRUS;
    }
    return rc;
}

static void on_found(int fd, const char *name, void *context)
{
    (void) fd;
    struct scan *scan = context;
    if (!name || strcmp(name, OWN_ALERT) != 0) /* those were noted when they were raised */
        sp_findings_note_alert(&scan->found, name ? name : "unnamed");
}

static off_t on_read(void *handle, void *buf, size_t n, off_t offset)
{
    struct source *source = handle;
    ssize_t got;
    do
        got = pread(source->fd, buf, n, source->offset + offset);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        note_broken(source->scan, got < 0 ? strerror(errno) : "the file is shorter than announced");
    return got;
}

/* --- scanning -------------------------------------------------------------------------------------------------------- */

static void judge(struct scan *scan, cl_error_t rc, size_t n, struct sp_engine_result *result)
{
    struct sp_findings *found = &scan->found;
    if (rc == CL_ETIMEOUT || rc == CL_EMAXSIZE || rc == CL_EMAXREC || rc == CL_EMAXFILES)
        sp_findings_note(found->limit, cl_strerror(rc));
    else if (rc == CL_VIRUS && found->limit[0] == '\0' && found->encrypted[0] == '\0')
        sp_findings_note(found->infected, "unnamed");
    else if (rc != CL_CLEAN && rc != CL_VIRUS)
        sp_findings_note(found->error, cl_strerror(rc));
    else if (!scan->has_begun && n > LOOKED_AT_BYTES)
        sp_findings_note(found->error, "the engine did not look at the object");
    sp_findings_judge(found, result);
    result->is_spoiled |= scan->is_broken || scan->is_unsaid;
    result->is_out_of_memory = rc == CL_EMEM && result->verdict == SP_VERDICT_ERROR;
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
    memset(scan, 0, offsetof(struct scan, found));
    sp_findings_init(&scan->found);
    scan->engine = engine;
    scan->spent = scan->unpacked = scan->largest = n;
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
    if (sp_findings_may_hide_more(&scan->found)) {
        scan->has_begun = false;
        scan->spent = scan->unpacked = n;
        scan->refused = 0;
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

void sp_engine_scan_fd(const struct sp_engine *engine, int fd, uint64_t offset, size_t n, struct sp_engine_result *result_out)
{
    struct scan scan;
    struct source source = { fd, (off_t) offset, &scan };
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

#define SETTINGS 13

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
        /* Beyond these sizes libclamav leaves out a step and does not say so. The time limit is enough. */
        { CL_ENGINE_PCRE_MAX_FILESIZE, "pcre_max_file_size", conf->scan_max_file_size },
        { CL_ENGINE_MAX_EMBEDDEDPE, "max_embedded_pe", conf->scan_max_file_size },
        { CL_ENGINE_MAX_HTMLNORMALIZE, "max_html_normalize", conf->scan_max_file_size },
        { CL_ENGINE_MAX_HTMLNOTAGS, "max_html_no_tags", conf->scan_max_file_size },
        { CL_ENGINE_MAX_SCRIPTNORMALIZE, "max_script_normalize", conf->scan_max_file_size },
        { CL_ENGINE_MAX_ZIPTYPERCG, "max_zip_type_rcg", conf->scan_max_file_size },
        { CL_ENGINE_MAX_PARTITIONS, "max_partitions", PARTITIONS_MAX },
        { CL_ENGINE_BYTECODE_TIMEOUT, "bytecode_timeout", BYTECODE_TIMEOUT_MS },
    };
    memcpy(out, settings, sizeof(settings));
}

/* What clamscan scans by default, alerts for what could not be scanned, and what the operator asked for. */
static void set_options(struct sp_engine *engine, const struct sp_conf *conf)
{
    struct cl_scan_options *options = &engine->options;
    memset(options, 0, sizeof(*options));
    options->general = CL_SCAN_GENERAL_HEURISTICS;
    options->parse = CL_SCAN_PARSE_ARCHIVE | CL_SCAN_PARSE_ELF | CL_SCAN_PARSE_PDF | CL_SCAN_PARSE_SWF | CL_SCAN_PARSE_HWP3 |
        CL_SCAN_PARSE_XMLDOCS | CL_SCAN_PARSE_MAIL | CL_SCAN_PARSE_OLE2 | CL_SCAN_PARSE_HTML | CL_SCAN_PARSE_PE | CL_SCAN_PARSE_ONENOTE |
        CL_SCAN_PARSE_IMAGE | CL_SCAN_PARSE_IMAGE_FUZZY_HASH;
    options->heuristic = CL_SCAN_HEURISTIC_EXCEEDS_MAX | CL_SCAN_HEURISTIC_ENCRYPTED_ARCHIVE | CL_SCAN_HEURISTIC_ENCRYPTED_DOC |
        (conf->scan_macros ? CL_SCAN_HEURISTIC_MACROS : 0u) | (conf->scan_broken_executables ? CL_SCAN_HEURISTIC_BROKEN : 0u);
    engine->db_options = CL_DB_STDOPT | (conf->scan_pua ? CL_DB_PUA : 0u);
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
    set_options(engine, conf);
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
    enum sp_status status = sp_buf_addf(&text, "engine 2 libclamav %s level %u db %x options %x %x %x %x %x\n", cl_retver(),
        cl_retflevel(), engine->db_options, o->general, o->parse, o->heuristic, o->mail, o->dev);
    for (size_t i = 0; status == SP_OK && i < SETTINGS; i++)
        status = sp_buf_addf(&text, "%s %lld\n", settings[i].name, settings[i].value);
    for (size_t i = 0; status == SP_OK && sp_builtin_file(i, &text, &status); i++)
        continue;
    if (status == SP_OK)
        status = sp_dbset_digest(databases, text.p, err, &engine->facts.id);
    sp_buf_fini(&text);
    return status;
}

/* libclamav loads files: the built-in signatures become some for a moment. */
static enum sp_status load_builtin_file(
    struct sp_engine *engine, const char *scratch, const char *ending, const struct sp_buf *text, unsigned *count, struct sp_error *err)
{
    char *path = NULL;
    if (asprintf(&path, "%s/builtin%s", scratch, ending) < 0)
        return sp_error_set(err, SP_ERR_NOMEM, "no memory for a path");
    enum sp_status status = SP_OK;
    FILE *file = fopen(path, "wex");
    bool is_written = file && fwrite(text->p, 1, text->n, file) == text->n;
    if (!file || fclose(file) != 0 || !is_written)
        status = sp_error_set(err, SP_ERR_IO, "cannot write %s: %s", path, strerror(errno));
    if (status == SP_OK) {
        cl_error_t rc = cl_load(path, engine->cl, count, CL_DB_STDOPT);
        if (rc != CL_SUCCESS)
            status = sp_error_set(err, SP_ERR_CONF, "cannot load the built-in signatures: %s", cl_strerror(rc));
    }
    unlink(path);
    free(path);
    return status;
}

static enum sp_status load_builtin(struct sp_engine *engine, const char *scratch, struct sp_error *err)
{
    struct sp_buf text;
    enum sp_status status = SP_OK;
    unsigned marks = 0;
    const char *ending = "";
    sp_buf_init(&text, SETTINGS_MAX_BYTES);
    for (size_t i = 0; status == SP_OK && ending; i++) {
        sp_buf_clear(&text);
        ending = sp_builtin_file(i, &text, &status);
        if (ending && status == SP_OK)
            status = load_builtin_file(engine, scratch, ending, &text, i == 0 ? &engine->facts.signatures : &marks, err);
    }
    sp_buf_fini(&text);
    return status;
}

/* What the system refuses may work another time. */
static enum sp_status load_status(cl_error_t rc)
{
    const bool is_system = rc == CL_EMEM || rc == CL_ETMPFILE || rc == CL_ETMPDIR || rc == CL_EWRITE || rc == CL_ECREAT || rc == CL_EMAP;
    return is_system ? SP_ERR_IO : SP_ERR_CONF;
}

static enum sp_status load_databases(struct sp_engine *engine, const struct sp_dbset *databases, struct sp_error *err)
{
    const char *source;
    for (size_t i = 0; (source = sp_dbset_source(databases, i)); i++) {
        struct sp_error why = { 0 }, file = { 0 };
        messages.load_errors = &why;
        messages.load_file = &file;
        cl_error_t rc = cl_load(source, engine->cl, &engine->facts.signatures, engine->db_options);
        messages.load_errors = messages.load_file = NULL;
        if (rc == CL_SUCCESS)
            continue;
        if (file.text[0] == '\0')
            snprintf(file.text, sizeof(file.text), "%s: %s", source, cl_strerror(rc));
        return sp_error_set(err, load_status(rc), "cannot load %s%s%s", file.text, why.text[0] ? ": " : "", why.text);
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
        engine->facts.files = sp_dbset_print(databases);
        status = sp_selftest(engine, err);
    }
    if (status == SP_OK && sp_selftest_rar(engine)) {
        engine->unpacks_rar = true;
        engine->facts.id ^= ID_WITH_RAR;
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
