/* Long work that must not be in the way of short work: loads and long scans. */
#ifndef SALLYPORT_SCAND_PRIORITY_H
#define SALLYPORT_SCAND_PRIORITY_H

#include "sallyport/status.h"

#include <stdbool.h>
#include <sys/types.h>

/* Lowers the priority of a process, or of the calling thread alone if pid is 0, to nice, for good. False: not allowed; errno says why. */
bool sp_priority_lower(pid_t pid, int nice) SP_MUST_CHECK;

#endif
