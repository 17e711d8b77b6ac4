/* Borrowed bytes: a pointer and a length, not terminated, never owned. */
#ifndef SALLYPORT_STR_H
#define SALLYPORT_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct sp_str {
    const char *p; /* borrowed; may be NULL only when n is 0 */
    size_t n;      /* bytes */
};

#define SP_STR(literal) ((struct sp_str){ (literal), sizeof(literal) - 1 })

struct sp_str sp_str_from(const char *cstr); /* NULL gives the empty string */

/* These are inline because mostly the length alone says no. */
static inline bool sp_str_equal(struct sp_str a, struct sp_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
/* "nocase": without regard to case, ASCII only, whatever the locale. */
bool sp_bytes_equal_nocase(const char *a, const char *b, size_t n);
static inline bool sp_str_equal_nocase(struct sp_str a, struct sp_str b)
{
    return a.n == b.n && sp_bytes_equal_nocase(a.p, b.p, a.n);
}
static inline bool sp_str_starts_nocase(struct sp_str s, struct sp_str prefix)
{
    return s.n >= prefix.n && sp_bytes_equal_nocase(s.p, prefix.p, prefix.n);
}

bool sp_str_contains_nocase(struct sp_str s, struct sp_str needle);
struct sp_str sp_str_trim(struct sp_str s); /* without blanks and tabs at both ends */
struct sp_str sp_str_trim_folded(struct sp_str s); /* and without line ends, which a folded field still has inside */

/* Copies at most size - 1 bytes and terminates. NUL bytes inside become '?'. Returns out. */
char *sp_str_copy(struct sp_str s, char *out, size_t size);

#endif
