/* The database files that an engine will be made of, as found on disk: names, digest, age. Knows the names that libclamav
 * loads, not what is in them; libclamav reads the files by itself. */
#ifndef SALLYPORT_SCAND_DBSET_H
#define SALLYPORT_SCAND_DBSET_H

#include "sallyport/conf.h"
#include "sallyport/log.h"
#include "sallyport/status.h"

#include <stddef.h>
#include <stdint.h>

struct sp_dbset;

/* Lists the files of all configured directories and files. One that is not there, or a directory without a database, is
 * no failure: warned about. One that cannot be read is SP_ERR_IO. */
enum sp_status sp_dbset_open(
    const struct sp_conf_list *databases, const struct sp_log *log, struct sp_error *err, struct sp_dbset **set_out) SP_MUST_CHECK;
void sp_dbset_close(struct sp_dbset **set); /* accepts NULL inside; sets NULL */

/* Reads every file: 64 bits of SHA-256 over settings (a text of everything else that shapes the engine) and over names and
 * contents of the files. Directories, times and owners do not count: equal databases give equal ids, on every host. */
enum sp_status sp_dbset_digest(struct sp_dbset *set, const char *settings, struct sp_error *err, uint64_t *id_out) SP_MUST_CHECK;

/* One number for the files as they lay there when the set was opened: names, sizes, times, inodes, and whether they can be read.
 * Not their contents: it is asked often. */
uint64_t sp_dbset_print(const struct sp_dbset *set);
/* The same for what lies there now; what keeps it from being listed counts too. bytes_out: of all files; NULL: not asked. */
uint64_t sp_dbset_look(const struct sp_conf_list *databases, uint64_t *bytes_out);

/* Whether libclamav would load a file of this name: it goes by the ending. */
bool sp_dbset_is_database(const char *name);

/* Whether the same files are still there as they were when the set was opened. */
bool sp_dbset_is_current(const struct sp_dbset *set, const struct sp_conf_list *databases);

/* What cl_load is to be given: the i-th configured directory or file that has databases; NULL after the last. */
const char *sp_dbset_source(const struct sp_dbset *set, size_t i);

/* Seconds since 1970 of the newest file: its own header's time if it has one, else its mtime. 0 without files. */
int64_t sp_dbset_newest(const struct sp_dbset *set);

#endif
