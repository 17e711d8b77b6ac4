/* Everything that the gate counts, as Prometheus text (exposition format 0.0.4): the counters of the proxy module, the scoreboard of
 * the scanner, the spool, and whether the scanner answers now. It keeps nothing between two calls and opens all files anew, so a
 * module or a scanner that starts later, or that is replaced by another version, is seen from the next call on. */
#ifndef SALLYPORT_CLI_PROMETHEUS_H
#define SALLYPORT_CLI_PROMETHEUS_H

#include "sallyport/buf.h"
#include "sallyport/conf.h"

#define SP_PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define SP_PROMETHEUS_MAX_BYTES (1024u * 1024u) /* a cap for out; the text has some 100 KB */

/* Appends to out. What is not there is no failure: its metrics are left out, and sallyport_scanner_up is 0. Asks the scanner for an
 * answer, so it may take half a second. Any thread. SP_ERR_NOMEM or SP_ERR_LIMIT: out has no room. */
enum sp_status sp_prometheus_write(const struct sp_conf *conf, struct sp_buf *out) SP_MUST_CHECK;

#endif
