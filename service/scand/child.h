/* The first steps of a process that sallyport-scand has forked. */
#ifndef SALLYPORT_SCAND_CHILD_H
#define SALLYPORT_SCAND_CHILD_H

#include <stddef.h>

#define SP_CHILD_KEEP_MAX 8

/* Names the process for ps and closes every descriptor but stdin, stdout, stderr and the n in keep (at most SP_CHILD_KEEP_MAX).
 * What tells the process to stop is its lifeline alone: signals that a terminal or a service manager sends to the whole group
 * are ignored, the rest are at their defaults and unblocked. */
void sp_child_begin(const char *name, const int *keep, size_t n);

#endif
