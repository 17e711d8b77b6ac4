/* The gate that serves now, and a thread that builds a new one when a file it was made of has changed. A bad file changes
 * nothing: the old gate serves on and the log says why, once for each change. No transaction waits: the new gate is built
 * aside and the pointer is swapped; transactions keep the gate that they began with. The same thread reads which
 * engine the scanner has (run_dir/scand.stat), so that counters, ISTag and cache follow an update without a scan, and
 * whether it is at long scans.
 *
 * Built before a server forks; the thread is begun in each process on its first use, because threads do not survive fork. */
#ifndef SALLYPORT_GATE_WATCH_H
#define SALLYPORT_GATE_WATCH_H

#include "sallyport/gate.h"
#include "sallyport/log.h"

struct sp_gate_watch;

/* Takes the reference in *gate (built from conf_path with SP_GATE_SERVE), also on failure, and sets it NULL. conf_path is
 * copied. poll_ms: how often files are looked at; a change must have been quiet for that long. */
enum sp_status sp_gate_watch_new(const char *conf_path, unsigned poll_ms, const struct sp_log *log, struct sp_gate **gate,
    struct sp_gate_watch **watch_out) SP_MUST_CHECK;

/* Ends the thread if this process has one, releases the gate. */
void sp_gate_watch_free(struct sp_gate_watch **watch);

/* The gate that serves now, with a reference for the caller. Begins the thread of this process the first time; if that
 * fails the gate serves on and the log says that changes will not be seen. */
struct sp_gate *sp_gate_watch_acquire(struct sp_gate_watch *watch);

/* Whether the scanner was at a long scan (SP_BOARD_LONG_US) when the thread looked last. */
bool sp_gate_watch_has_long_scans(const struct sp_gate_watch *watch);

#endif
