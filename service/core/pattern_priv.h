/* For pattern*.c only: what pattern_literal.c reads out of the text of a regular expression that PCRE2 has accepted. Both say less
 * rather than something wrong: a form that they do not know gives nothing. */
#ifndef SALLYPORT_PATTERN_PRIV_H
#define SALLYPORT_PATTERN_PRIV_H

#include "sallyport/pattern.h"

#define SP_LITERAL_MAX 32
#define SP_LITERALS_MAX 16

struct sp_literal {
    char bytes[SP_LITERAL_MAX];
    size_t n;
};

struct sp_literals {
    struct sp_literal of[SP_LITERALS_MAX];
    size_t n;
};

/* The bytes with which every match begins, at the start of the subject; their number, 0 if nothing is known. */
size_t sp_regex_prefix(struct sp_str regex, char prefix[SP_LITERAL_MAX]);

/* Runs of bytes: one at least is somewhere in every subject that matches, in upper or lower case. None: nothing is known. */
void sp_regex_literals(struct sp_str regex, struct sp_literals *literals_out);

#endif
