/* Large pages for what a process has allocated. */
#ifndef SALLYPORT_HUGEPAGES_H
#define SALLYPORT_HUGEPAGES_H

#include <stddef.h>

/* Gives back what malloc holds and nobody uses (it would be copied into every worker that allocates), then moves the memory of this
 * process, where 2 MB of it lie together, to large pages. Contents and addresses stay. To be called once, before workers are forked.
 * Returns the bytes that now lie so; 0 where the system does not do it. */
size_t sp_hugepages_take(void);

#endif
