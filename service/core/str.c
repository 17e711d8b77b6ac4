/* Borrowed bytes. ASCII rules only: HTTP names do not follow a locale. */
#include "config.h"

#include "sallyport/str.h"

#include <stdint.h>
#include <string.h>

static unsigned char lower(char c)
{
    unsigned char u = (unsigned char) c;
    return u >= 'A' && u <= 'Z' ? (unsigned char) (u | 0x20) : u;
}

/* Mostly the case is the same too: so long, eight bytes are one step. */
bool sp_bytes_equal_nocase(const char *a, const char *b, size_t n)
{
    size_t i = 0;
    while (n - i >= sizeof(uint64_t) && memcmp(a + i, b + i, sizeof(uint64_t)) == 0)
        i += sizeof(uint64_t);
    for (; i < n; i++)
        if (a[i] != b[i] && lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

struct sp_str sp_str_from(const char *cstr)
{
    return cstr ? (struct sp_str){ cstr, strlen(cstr) } : (struct sp_str){ "", 0 };
}

bool sp_str_contains_nocase(struct sp_str s, struct sp_str needle)
{
    for (size_t i = 0; i + needle.n <= s.n; i++)
        if (sp_bytes_equal_nocase(s.p + i, needle.p, needle.n))
            return true;
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_line_end(char c)
{
    return c == '\r' || c == '\n';
}

struct sp_str sp_str_trim(struct sp_str s)
{
    while (s.n > 0 && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct sp_str sp_str_trim_folded(struct sp_str s)
{
    for (; s.n > 0 && (is_blank(s.p[0]) || is_line_end(s.p[0])); s.p++)
        s.n--;
    while (s.n > 0 && (is_blank(s.p[s.n - 1]) || is_line_end(s.p[s.n - 1])))
        s.n--;
    return s;
}

char *sp_str_copy(struct sp_str s, char *out, size_t size)
{
    size_t n = s.n < size - 1 ? s.n : size - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = s.p[i] ? s.p[i] : '?';
    out[n] = '\0';
    return out;
}
