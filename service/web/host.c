/* Where in an address the host stands. As browsers see it: a backslash ends it too, and what stands before the last @ is no host. */
#include "config.h"

#include "host.h"

#include <string.h>

static bool is_end(char c)
{
    return c == '/' || c == '?' || c == '#' || c == '\\';
}

static bool is_port(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] < '0' || p[i] > '9')
            return false;
    return true;
}

static struct sp_str behind_scheme(struct sp_str url)
{
    for (size_t i = 0; i + 2 < url.n && !is_end(url.p[i]); i++)
        if (memcmp(url.p + i, "://", 3) == 0)
            return (struct sp_str){ url.p + i + 3, url.n - i - 3 };
    return url;
}

struct sp_str sp_web_host(struct sp_str url)
{
    struct sp_str s = behind_scheme(url);
    size_t n = 0;
    while (n < s.n && !is_end(s.p[n]))
        n++;
    s.n = n;
    const char *at = s.n > 0 ? memrchr(s.p, '@', s.n) : NULL;
    if (at)
        s = (struct sp_str){ at + 1, s.n - (size_t) (at + 1 - s.p) };
    if (s.n > 0 && s.p[0] == '[') {
        const char *close = memchr(s.p, ']', s.n);
        return close ? (struct sp_str){ s.p + 1, (size_t) (close - s.p) - 1 } : s;
    }
    const char *colon = s.n > 0 ? memrchr(s.p, ':', s.n) : NULL;
    if (colon && is_port(colon + 1, s.n - (size_t) (colon + 1 - s.p)))
        s.n = (size_t) (colon - s.p);
    return s;
}
