/* The service manager (systemd): the socket that it may hand over at the start, and what it is told. Without one, nothing. */
#ifndef SALLYPORT_SCAND_NOTIFY_H
#define SALLYPORT_SCAND_NOTIFY_H

#include "sallyport/status.h"

/* The listening socket that is bound to path: *fd_out is non-blocking and owned by the caller, or -1 if nothing was handed over.
 * SP_ERR_CONF for anything else that was. */
enum sp_status sp_notify_take_socket(const char *path, struct sp_error *err, int *fd_out) SP_MUST_CHECK;

void sp_notify_ready(void);
void sp_notify_status(const char *text); /* one line */
void sp_notify_stopping(void);
/* To be called at least once a second while all is well; the manager ends a daemon that has not for WatchdogSec. */
void sp_notify_alive(void);

#endif
