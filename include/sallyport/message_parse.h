/* Raw head to message view, for the CLI, tests and fuzzing. In the proxy c-icap splits the lines. No sockets. */
#ifndef SALLYPORT_MESSAGE_PARSE_H
#define SALLYPORT_MESSAGE_PARSE_H

#include "sallyport/message.h"

struct sp_head; /* owns a copy of the bytes and the view on it */

/* Copies n bytes of a head (start line, fields, up to and including the empty line; what follows is ignored) and
 * splits it as c-icap 0.5 does: CR LF or LF ends a line, a following blank or tab continues it, NUL becomes a blank.
 * SP_ERR_SYNTAX: no empty line at the end, or empty. SP_ERR_LIMIT: more than 1 MiB, or the field cap. */
enum sp_status sp_head_parse(const void *bytes, size_t n, enum sp_message_kind kind, struct sp_head **head_out) SP_MUST_CHECK;
const struct sp_message *sp_head_message(const struct sp_head *head); /* borrowed until free */
void sp_head_free(struct sp_head **head);                             /* accepts NULL inside; sets NULL */

#endif
