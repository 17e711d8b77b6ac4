/* The scanning engine: libclamav with the databases, limits and options of one configuration. engine.c is the only includer of
 * clamav.h. Built once in a process that then forks: workers share it copy-on-write. Single-threaded. */
#ifndef SALLYPORT_SCAND_ENGINE_H
#define SALLYPORT_SCAND_ENGINE_H

#include "sallyport/conf.h"
#include "sallyport/log.h"
#include "sallyport/scan_proto.h"
#include "sallyport/status.h"

#include <stddef.h>
#include <stdint.h>

struct sp_engine;

struct sp_engine_facts {
    uint64_t id;           /* digest of databases, limits, options and libclamav: equal engines, equal ids */
    uint32_t signatures;   /* the built-in one included */
    int64_t database_time; /* newest database, seconds since 1970; 0 with the built-in signature alone */
    uint64_t files;        /* sp_dbset_print of what was loaded */
};

struct sp_engine_result {
    enum sp_verdict verdict;
    bool is_spoiled;                   /* a failure may have left a wrong "clean" in libclamav's cache: this process must not scan again */
    bool is_out_of_memory;             /* which is why the verdict is ERROR */
    char signature[SP_SCAN_NAME_SIZE]; /* "" unless INFECTED */
    char detail[SP_SCAN_DETAIL_SIZE];  /* why, for LIMIT, ENCRYPTED and ERROR */
};

/* Loads, compiles and tests. The only way to an engine, at start and at reload, so that no limit can be forgotten. scratch is
 * a private folder (copied). Log and conf are borrowed for the engine's life. On failure the text names the database and the
 * reason; SP_ERR_CONF when it was refused, else what the system said: that may be better another time. */
enum sp_status sp_engine_build(const struct sp_conf *conf, const char *scratch, const struct sp_log *log, struct sp_error *err,
    struct sp_engine **engine_out) SP_MUST_CHECK;
void sp_engine_free(struct sp_engine **engine); /* accepts NULL inside; sets NULL */

const struct sp_engine_facts *sp_engine_facts(const struct sp_engine *engine);

/* Where this process unpacks archives from now on (copied). */
enum sp_status sp_engine_set_scratch(struct sp_engine *engine, const char *scratch) SP_MUST_CHECK;

/* Each always fills the result, and answers CLEAN only if all n bytes were looked at. Memory must not change meanwhile. */
void sp_engine_scan_memory(const struct sp_engine *engine, const void *p, size_t n, struct sp_engine_result *result_out);
/* n bytes of fd from offset, by pread; a file that turns out shorter or unreadable is ERROR. */
void sp_engine_scan_fd(const struct sp_engine *engine, int fd, uint64_t offset, size_t n, struct sp_engine_result *result_out);

/* Adds one of several results: the worst of them stays, of equals the first. Worst first: infected, limit, error, encrypted, clean. */
void sp_engine_merge(struct sp_engine_result *all, const struct sp_engine_result *one);

#endif
