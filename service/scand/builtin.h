/* Signatures that every engine has, as database files for libclamav: the EICAR test file, and marks of what libclamav does not
 * open and says nothing about. Knows the form of such files, not libclamav. */
#ifndef SALLYPORT_SCAND_BUILTIN_H
#define SALLYPORT_SCAND_BUILTIN_H

#include "sallyport/buf.h"
#include "sallyport/status.h"

#define SP_BUILTIN_SIGNATURES 1 /* that an engine counts */

/* The i-th file: how its name must end, and its text is added to out. NULL after the last. The first holds what counts as a
 * signature, the others hold marks. */
const char *sp_builtin_file(size_t i, struct sp_buf *out, enum sp_status *status_out);

/* The name that libclamav reports for the test file is the usual one for it; any other is returned as it is. */
const char *sp_builtin_name(const char *reported);

/* Whether libclamav reports a mark: then for a person what cannot be opened, else NULL. */
const char *sp_builtin_mark(const char *reported);

#endif
