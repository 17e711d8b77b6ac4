/* Which process it was that wrote into a map that many share, and whether it still lives. All must share one process id namespace. */
#ifndef SALLYPORT_PROCESS_H
#define SALLYPORT_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* One word for a process: its id above this many bits (22 are the most that Linux has), its start time in ticks since boot below,
 * 0 if that is not known. Never 0 as a whole. */
#define SP_PROCESS_PID_SHIFT 42

uint64_t sp_process_word(pid_t pid);

/* When in doubt it lives. A zombie does not, a process whose main thread alone has ended does. */
bool sp_process_is_alive(uint64_t word);

#endif
