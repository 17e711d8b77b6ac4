/* The decision log as files, read by `sallyport find` and `report`: the one that is being written, and what rotation left of it.
 * They are read in pieces and not mapped, because a file that is cut while it is mapped kills its reader. */
#ifndef SALLYPORT_CLI_LOGFILE_H
#define SALLYPORT_CLI_LOGFILE_H

#include "progress.h"

#include "sallyport/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sp_logfile {
    char *path; /* owned */
    int fd;     /* owned; opened at once, so that rotation cannot put another file in its place. -1: not yet, of very many files */
    dev_t dev;
    ino_t ino;
    uint64_t bytes;
    int64_t changed_us; /* no line in it was written later */
};

struct sp_logset {
    struct sp_logfile *files; /* owned; the oldest first */
    size_t n;
};

/* A descriptor of a file that can be read, and of nothing else: a FIFO would keep us waiting for a writer. -1: see errno. */
int sp_logfile_open(const char *path);
const char *sp_logfile_why(int error); /* errno of it in words */

/* PATH, PATH.1, PATH.2.gz, PATH-20261122.gz and so on. A file whose compressed form is there too is taken once. False: told on
 * stderr; one that has no file at all is such a fault. */
bool sp_logset_open(const char *path, struct sp_logset *out);
void sp_logset_close(struct sp_logset *set);

/* One line without its end, as it is; valid until the call returns. False ends the reading. */
typedef bool (*sp_logline_fn)(void *arg, struct sp_str line);

/* Every line of the file; one whose name ends in .gz must be packed by gzip, or empty. A line that is longer than the log can write is
 * left out and counted. False: told on stderr, if there is a progress; what stands before the fault has been read. */
bool sp_logfile_read(const struct sp_logfile *file, sp_logline_fn take, void *arg, struct sp_progress *progress, uint64_t *too_long);

#endif
