/* Dates and spans of time. */
#include "config.h"

#include "when.h"

#include <string.h>
#include <time.h>

#define US_PER_S 1000000
#define FIRST_US 1 /* nothing was logged before 1970, and 0 is no time */
#define SPAN_MAX 100000000 /* of any unit; in microseconds its product would overflow */

static int64_t unit_seconds(char unit)
{
    switch (unit) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    case 'w':
        return 7 * 86400;
    default:
        return 0;
    }
}

static bool parse_span(const char *text, int64_t now_us, int64_t *out)
{
    int64_t n = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9' && n < SPAN_MAX; p++)
        n = n * 10 + (*p - '0');
    if (p == text || p[0] == '\0' || p[1] != '\0' || unit_seconds(*p) == 0)
        return false;
    const int64_t seconds = n * unit_seconds(*p);
    *out = seconds < now_us / US_PER_S ? now_us - seconds * US_PER_S : FIRST_US;
    return true;
}

static bool midnight(int64_t now_us, int days_back, int64_t *out)
{
    time_t now = (time_t) (now_us / US_PER_S);
    struct tm tm = { 0 };
    if (!localtime_r(&now, &tm))
        return false;
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    tm.tm_mday -= days_back;
    tm.tm_isdst = -1;
    *out = (int64_t) mktime(&tm) * US_PER_S;
    return true;
}

/* strptime() takes days that a month does not have; what comes out of the calendar again must be what went in. */
static bool parse_date(const char *text, int64_t *out)
{
    static const char *const forms[] = { "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S" };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm tm = { .tm_isdst = -1 };
        const char *end = strptime(text, forms[i], &tm);
        if (!end || (*end != '\0' && strcmp(end, "Z") != 0))
            continue;
        const int day = tm.tm_mday;
        const time_t s = *end == 'Z' ? timegm(&tm) : mktime(&tm);
        if (tm.tm_mday != day || tm.tm_year < 70)
            return false;
        *out = (int64_t) s * US_PER_S;
        return true;
    }
    return false;
}

bool sp_when_parse(const char *text, int64_t now_us, int64_t *when_us_out)
{
    if (strcmp(text, "now") == 0) {
        *when_us_out = now_us;
        return true;
    }
    if (strcmp(text, "today") == 0)
        return midnight(now_us, 0, when_us_out);
    if (strcmp(text, "yesterday") == 0)
        return midnight(now_us, 1, when_us_out);
    return parse_span(text, now_us, when_us_out) || parse_date(text, when_us_out);
}
