/* Sees that the database files have changed and have come to rest. The kernel tells of changes (inotify); what it does not tell
 * of (network file systems, a link above the directory, no watches left) is found by looking every few seconds. Whether that
 * makes another engine is the caller's question: this one only says what lies there now. */
#ifndef SALLYPORT_SCAND_WATCH_H
#define SALLYPORT_SCAND_WATCH_H

#include "sallyport/conf.h"
#include "sallyport/log.h"
#include "sallyport/status.h"

#include <stdbool.h>
#include <stdint.h>

struct sp_watch;

/* Borrows log. SP_ERR_NOMEM. It watches nothing before sp_watch_set. */
enum sp_status sp_watch_new(const struct sp_log *log, struct sp_error *err, struct sp_watch **watch_out) SP_MUST_CHECK;
void sp_watch_free(struct sp_watch **watch); /* accepts NULL inside; sets NULL */

/* Watches these from now on; borrows databases until the next call. settle_ms: rest means that nothing has changed for this long. */
void sp_watch_set(struct sp_watch *watch, const struct sp_conf_list *databases, int64_t settle_ms, int64_t now_us);

/* For poll: readable when something has happened. -1: not now. */
int sp_watch_fd(const struct sp_watch *watch, int64_t now_us);
/* When to ask next, whatever the descriptor says. */
int64_t sp_watch_next_us(const struct sp_watch *watch, int64_t now_us);

/* True once after each disturbance, when it is over; *print_out is sp_dbset_look's number for what lies there. Files that never
 * come to rest count as such after a while. */
bool sp_watch_ask(struct sp_watch *watch, int64_t now_us, uint64_t *print_out);

#endif
