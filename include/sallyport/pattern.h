/* Compiled patterns with a bound on effort. The only includer of PCRE2 is pattern.c.
 * A compiled pattern is immutable and may be used by all threads at once. */
#ifndef SALLYPORT_PATTERN_H
#define SALLYPORT_PATTERN_H

#include "sallyport/status.h"
#include "sallyport/str.h"

struct sp_pattern;

/* Compiles PCRE syntax, bytewise, unanchored, JIT where it can. The text of a failure has the offset. */
enum sp_status sp_pattern_new(struct sp_str regex, struct sp_error *err, struct sp_pattern **pattern_out) SP_MUST_CHECK;
void sp_pattern_free(struct sp_pattern **pattern);

/* Every text that matches has at least one of these runs of bytes somewhere, in upper or lower case, so that a text without them need
 * not be tried. 0: nothing is known. Borrowed from the pattern. */
size_t sp_pattern_count_literals(const struct sp_pattern *pattern);
struct sp_str sp_pattern_literal(const struct sp_pattern *pattern, size_t i);

enum sp_pattern_result { SP_PATTERN_NO, SP_PATTERN_YES, SP_PATTERN_LIMIT /* too much effort: cannot tell */ };
enum sp_pattern_result sp_pattern_match(const struct sp_pattern *pattern, struct sp_str subject);

#endif
