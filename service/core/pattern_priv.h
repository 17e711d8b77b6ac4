/* For pattern*.c only: what pattern_literal.c reads out of the text of a regular expression that PCRE2 has accepted. Both say less
 * rather than something wrong: a form that they do not know gives nothing. */
#ifndef SALLYPORT_PATTERN_PRIV_H
#define SALLYPORT_PATTERN_PRIV_H

#include "sallyport/pattern.h"

#define SP_LITERAL_MAX 32

/* The bytes with which every match begins, at the start of the subject; their number, 0 if nothing is known. */
size_t sp_regex_prefix(struct sp_str regex, char prefix[SP_LITERAL_MAX]);

/* The longest run of bytes that is somewhere in every subject that matches, in upper or lower case; their number. */
size_t sp_regex_literal(struct sp_str regex, char literal[SP_LITERAL_MAX]);

#endif
