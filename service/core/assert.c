/* The end of a process that found its own bug. */
#include "config.h"

#include "sallyport/assert.h"

#include <stdio.h>
#include <stdlib.h>

void sp_assert_fail(const char *expr, const char *file, int line)
{
    fprintf(stderr, "sallyport: bug: assertion `%s' failed at %s:%d\n", expr, file, line);
    abort();
}
