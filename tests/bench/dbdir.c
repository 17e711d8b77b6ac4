/* Preloaded into the c-icap that runs virus_scan: its clamav module loads the database from the directory that libclamav was
 * compiled for and knows no option for another one. */
#include "config.h"

#include <stdlib.h>

const char *cl_retdbdir(void);

const char *cl_retdbdir(void)
{
    return getenv("BENCH_DATABASE");
}
