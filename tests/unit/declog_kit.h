/* For the tests of the decision log: a folder for one test, a decision with every field, what a file holds. */
#ifndef SALLYPORT_DECLOG_KIT_H
#define SALLYPORT_DECLOG_KIT_H

#include "unit.h"

#include "sallyport/declog.h"

#include <stdio.h>
#include <time.h>

static char dir[64], path[96];

static inline void setup(void)
{
    snprintf(dir, sizeof(dir), "/tmp/sp_test_declog.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/decisions.log", dir);
}

static inline void teardown(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static const struct sp_decision full = {
    .wall_us = 1795357599123456,
    .id = "id-1",
    .client = { "192.0.2.7", 9 },
    .user = { "al\"ice", 6 },
    .direction = { "RESPMOD", 7 },
    .method = { "GET", 3 },
    .url = { "http://h/p?q=1", 14 },
    .status = 200,
    .outcome = SP_OUTCOME_INFECTED,
    .action = SP_ACTION_BLOCK,
    .reason = "why",
    .rule = "r-1",
    .category = "vpn",
    .signature = "Eicar-Test",
    .encoding = { "gzip, br", 8 },
    .bytes = 12345678901234,
    .generation = 3,
    .total_us = 1500,
    .scan_us = 900,
};

static inline char *read_text(const char *name, size_t *n_out)
{
    FILE *f = fopen(name, "r");
    if (!f) /* no ck_assert: run_torn() is no test */
        ck_abort_msg("%s cannot be read", name);
    char *text = calloc(1, 1 << 24);
    *n_out = fread(text, 1, (1 << 24) - 1, f);
    fclose(f);
    return text;
}

static inline void pause_ms(long ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

#endif
