/* The operational log: what an operator must know about the program itself. Decisions about traffic go to declog.h.
 * error: act now. warn: degraded. notice: state changed. info, debug: for tracing.
 * A logger is passed where it is needed; it holds a sink, so that c-icap's log, stderr and tests differ in one line. */
#ifndef SALLYPORT_LOG_H
#define SALLYPORT_LOG_H

#include "sallyport/status.h"

enum sp_log_level { SP_LOG_ERROR, SP_LOG_WARN, SP_LOG_NOTICE, SP_LOG_INFO, SP_LOG_DEBUG };

/* Gets one line without newline, already escaped: no control bytes. Must be callable from any thread. */
typedef void (*sp_log_sink_fn)(void *arg, enum sp_log_level level, const char *line);

struct sp_log {
    sp_log_sink_fn sink;
    void *arg;
    enum sp_log_level level; /* lines above it are dropped */
};

/* Writes "sallyport-scand: notice: text" to stderr, with a timestamp unless systemd adds one (JOURNAL_STREAM is set).
 * name is borrowed for ever. */
struct sp_log sp_log_stderr(const char *name, enum sp_log_level level);

const char *sp_log_level_name(enum sp_log_level level);

/* log may be NULL: nothing happens. Keeps errno. */
void sp_log(const struct sp_log *log, enum sp_log_level level, const char *fmt, ...) SP_PRINTF(3, 4);

#endif
