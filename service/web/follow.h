/* Follows the decision log as it grows, over rotation (another file takes the name) and truncation. Only ever reads a bounded tail: of
 * what was there before, and of what came in one step. One thread. */
#ifndef SALLYPORT_WEB_FOLLOW_H
#define SALLYPORT_WEB_FOLLOW_H

#include "sallyport/status.h"
#include "sallyport/str.h"

#include <stdint.h>

#define SP_WEB_TAIL_BYTES (8 * 1024 * 1024) /* at most this much is read in one step */
#define SP_WEB_LINE_MAX (128 * 1024)        /* longer ones are passed over */

struct sp_web_follow;

/* line: without its newline, borrowed for the call. */
typedef void (*sp_web_line_fn)(void *arg, struct sp_str line);

struct sp_web_follow *sp_web_follow_new(const char *path); /* path is copied; NULL: no memory */
void sp_web_follow_free(struct sp_web_follow **follow);

/* Reads what is new. False, and why: the file cannot be read now; try again later. */
bool sp_web_follow_step(struct sp_web_follow *follow, sp_web_line_fn fn, void *arg, struct sp_error *err) SP_MUST_CHECK;

/* Calls fn for the lines that have the text in them, newest megabytes first, until it has looked at max_bytes of the end of path. For a
 * line that is no longer in memory. Needs no follower; any thread. */
void sp_web_follow_search(const char *path, struct sp_str text, size_t max_bytes, sp_web_line_fn fn, void *arg);

#endif
