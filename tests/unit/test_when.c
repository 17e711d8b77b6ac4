/* Points in time: every form, what is none, days that a month does not have, and the hours that a change of clocks takes away, gives
 * twice, or takes away at midnight. */
#include "config.h"

#include "unit.h"

#include "when.h"

#include <time.h>

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define NOW (INT64_C(1795384800) * SECOND) /* 2026-11-22 22:00:00 UTC */
#define NONE (-1)

struct row {
    const char *zone, *text;
    int64_t want; /* NONE: refused */
};

static void expect(const struct row *row, int64_t now)
{
    int64_t got = 12345;
    setenv("TZ", row->zone, 1);
    tzset();
    const bool is_taken = sp_when_parse(row->text, now, &got);
    ck_assert_msg(is_taken == (row->want != NONE), "%s \"%s\": %s", row->zone, row->text, is_taken ? "taken" : "refused");
    if (is_taken)
        ck_assert_msg(got == row->want, "%s \"%s\": %lld, not %lld", row->zone, row->text, (long long) got, (long long) row->want);
}

START_TEST(spans)
{
    static const struct row rows[] = {
        { "UTC", "now", NOW },
        { "UTC", "0s", NOW },
        { "UTC", "90s", NOW - 90 * SECOND },
        { "UTC", "30m", NOW - HOUR / 2 },
        { "UTC", "8h", NOW - 8 * HOUR },
        { "Europe/Berlin", "1d", NOW - DAY }, /* 24 hours, whatever the clocks did */
        { "UTC", "007d", NOW - 7 * DAY },
        { "UTC", "2w", NOW - 14 * DAY },
        /* further back than there are logs */
        { "UTC", "3000w", 1 },
        { "UTC", "99999999s", NOW - 99999999 * SECOND },
        { "UTC", "99999999d", 1 },
        { "UTC", "99999999w", 1 },
        { "UTC", "999999999w", 1 },
        { "UTC", "9999999999w", NONE },
        { "UTC", "99999999999999999999999999s", NONE },
        { "UTC", "", NONE },
        { "UTC", "5", NONE },
        { "UTC", "d", NONE },
        { "UTC", "-5d", NONE },
        { "UTC", "+5d", NONE },
        { "UTC", " 5d", NONE },
        { "UTC", "5d ", NONE },
        { "UTC", "5dd", NONE },
        { "UTC", "5y", NONE },
        { "UTC", "1.5h", NONE },
        { "UTC", "0x10s", NONE },
        { "UTC", "Today", NONE },
        { "UTC", "tomorrow", NONE },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect(&rows[i], NOW);
}
END_TEST

START_TEST(dates)
{
    static const struct row rows[] = {
        { "UTC", "2026-11-22", NOW - 22 * HOUR },
        { "UTC", "2026-11-22 21:30", NOW - HOUR / 2 },
        { "UTC", "2026-11-22T21:30", NOW - HOUR / 2 },
        { "UTC", "2026-11-22 21:30:15", NOW - HOUR / 2 + 15 * SECOND },
        { "UTC", "2026-11-22T21:30:15", NOW - HOUR / 2 + 15 * SECOND },
        { "Europe/Berlin", "2026-11-22 21:30", NOW - HOUR - HOUR / 2 },
        { "Europe/Berlin", "2026-11-22T21:30:00Z", NOW - HOUR / 2 },
        { "Asia/Kolkata", "2026-11-23", NOW - 3 * HOUR - HOUR / 2 },
        { "UTC", "2028-02-29", INT64_C(1835395200) * SECOND },
        { "UTC", "2027-02-29", NONE },
        { "UTC", "2026-02-30", NONE },
        { "UTC", "2026-04-31", NONE },
        { "UTC", "2026-13-01", NONE },
        { "UTC", "2026-00-01", NONE },
        { "UTC", "2026-11-22 24:30", NONE },
        { "UTC", "2026-11-22 21:60", NONE },
        { "UTC", "2026-11-22 21:30 ", NONE },
        { "UTC", "2026-11-22ZZ", NONE },
        { "UTC", "1969-12-31", NONE },
        { "UTC", "22.11.2026", NONE },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect(&rows[i], NOW);
}
END_TEST

/* Clocks in Berlin went forward on 2026-03-29 at 02:00 and back on 2026-10-25 at 03:00; in Cairo forward at midnight of 2024-04-26. */
START_TEST(clock_changes)
{
    const int64_t march = INT64_C(1774738800) * SECOND, october = INT64_C(1792879200) * SECOND, cairo = INT64_C(1714082400) * SECOND;
    const struct row rows[] = {
        { "Europe/Berlin", "2026-03-29", march },
        { "Europe/Berlin", "2026-03-29 01:59", march + 2 * HOUR - 60 * SECOND },
        { "Europe/Berlin", "2026-03-29 03:00", march + 2 * HOUR },
        { "Europe/Berlin", "2026-03-30", march + 23 * HOUR },
        { "Europe/Berlin", "2026-10-25", october },
        { "Europe/Berlin", "2026-10-25 04:00", october + 5 * HOUR },
        { "Europe/Berlin", "2026-10-26", october + 25 * HOUR },
        { "Africa/Cairo", "2024-04-26", cairo },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect(&rows[i], NOW);
    const struct row long_day[] = { { "Europe/Berlin", "today", october }, { "Europe/Berlin", "yesterday", october - DAY } };
    const struct row day_after[] = { { "Europe/Berlin", "today", october + 25 * HOUR }, { "Europe/Berlin", "yesterday", october } };
    const struct row no_midnight[] = { { "Africa/Cairo", "today", cairo }, { "Africa/Cairo", "yesterday", cairo - DAY } };
    for (int i = 0; i < 2; i++) {
        expect(&long_day[i], october + 12 * HOUR);
        expect(&day_after[i], october + 30 * HOUR);
        expect(&no_midnight[i], cairo + 12 * HOUR);
    }
}
END_TEST

/* The hour that is not there and the one that is there twice: some time within it, and no failure. */
START_TEST(doubtful_hours)
{
    int64_t got = 0;
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
    ck_assert(sp_when_parse("2026-03-29 02:30", NOW, &got));
    ck_assert_int_le(llabs(got - INT64_C(1774747800) * SECOND), HOUR);
    ck_assert(sp_when_parse("2026-10-25 02:30", NOW, &got));
    ck_assert_int_le(llabs(got - INT64_C(1792890000) * SECOND), HOUR);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("when");
    tcase_add_test(tc, spans);
    tcase_add_test(tc, dates);
    tcase_add_test(tc, clock_changes);
    tcase_add_test(tc, doubtful_hours);
    return unit_run("when", tc);
}
