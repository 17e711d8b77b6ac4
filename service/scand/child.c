/* A fork inherits everything; this gives up what the child must not have. Above all the write ends of lifelines: one copy
 * left open somewhere, and the death of the supervisor would go unnoticed. */
#include "config.h"

#include "child.h"

#include "sallyport/assert.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static int compare_fds(const void *a, const void *b)
{
    const int *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void close_all_but(const int *keep, size_t n)
{
    int sorted[SP_CHILD_KEEP_MAX];
    SP_ASSERT(n > 0 && n <= SP_CHILD_KEEP_MAX);
    memcpy(sorted, keep, n * sizeof(keep[0]));
    qsort(sorted, n, sizeof(sorted[0]), compare_fds);
    unsigned from = STDERR_FILENO + 1;
    for (size_t i = 0; i < n; i++) {
        if (sorted[i] < (int) from)
            continue;
        if (sorted[i] > (int) from)
            close_range(from, (unsigned) sorted[i] - 1, 0);
        from = (unsigned) sorted[i] + 1;
    }
    close_range(from, UINT_MAX, 0);
}

void sp_child_begin(const char *name, const int *keep, size_t n)
{
    static const int ignored[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGQUIT, SIGPIPE };
    prctl(PR_SET_NAME, name);
    close_all_but(keep, n);
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}
