/* How many clients wait at a listening unix socket. */
#ifndef SALLYPORT_CLI_BACKLOG_H
#define SALLYPORT_CLI_BACKLOG_H

#include <stdbool.h>

/* Asks the kernel. False: it does not say, or nobody listens at path in this network namespace. */
bool sp_backlog(const char *path, unsigned *n_out);

#endif
