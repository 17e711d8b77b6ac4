/* When a thread of the server that wakes up may push a scan aside. Normally not: the scan is about to end, and the thread would then
 * wait for just such scans; measured, a tenth to a fifth of the processor at full load. But it must not wait for a long scan. */
#ifndef SALLYPORT_ICAP_SCHEDULING_H
#define SALLYPORT_ICAP_SCHEDULING_H

#include <stdbool.h>

/* For the process before it forks and makes threads, which inherit it. False: not allowed here. */
bool scheduling_set_up(void);

/* For a thread, at each transaction: a system call only when the answer changes. */
void scheduling_choose(bool has_long_scans);

#endif
