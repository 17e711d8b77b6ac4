/* What a fallible call returns, and the text that goes with a failure.
 *
 * Every call that can fail returns enum sp_status and is marked SP_MUST_CHECK.
 * Whoever knows the cause writes the text into struct sp_error; the first text
 * wins, upper layers only pass the record on and nobody logs twice.
 * Out of memory is a status like any other: inside c-icap the process is not ours. */
#ifndef SALLYPORT_STATUS_H
#define SALLYPORT_STATUS_H

#include <stdarg.h>
#include <stdbool.h>

#define SP_MUST_CHECK __attribute__((warn_unused_result))
#define SP_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

enum sp_status {
    SP_OK = 0,
    SP_ERR_NOMEM,     /* no memory */
    SP_ERR_IO,        /* a system call failed; errno was put into the text */
    SP_ERR_CONF,      /* a configuration file is wrong; the text has file and line */
    SP_ERR_SYNTAX,    /* bytes from outside do not follow their grammar */
    SP_ERR_LIMIT,     /* a cap given at creation was reached */
    SP_ERR_NOT_FOUND, /* asked for something that is not there */
    SP_ERR_TIMEOUT,   /* a deadline passed */
    SP_ERR_NO_ROOM,   /* what all share is used up; later there may be room again */
    SP_ERR_CLOSED     /* the peer closed before it answered */
};

/* The first failure's text. Zero it (= {0}) before use. */
struct sp_error {
    char text[512]; /* one line, no newline; "" when nothing failed */
};

/* Short lower-case name of a status, never NULL: "ok", "out of memory", ... */
const char *sp_status_name(enum sp_status status);

/* Formats the text unless one is there already or err is NULL. Returns status, so that
 * callers can write: return sp_error_set(err, SP_ERR_IO, "cannot open %s", path); */
enum sp_status sp_error_set(struct sp_error *err, enum sp_status status, const char *fmt, ...) SP_PRINTF(3, 4);

#endif
