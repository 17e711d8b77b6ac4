/* What every unit test shares: one suite a program, run without forking helpers of its own, exit status for automake. */
#ifndef SALLYPORT_TESTS_UNIT_H
#define SALLYPORT_TESTS_UNIT_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Runs the cases of one suite and returns main()'s exit status. A program's main is:
 *   int main(void) { TCase *c = tcase_create("spool"); tcase_add_test(c, ...); return unit_run("spool", c); } */
static inline int unit_run(const char *name, TCase *tc)
{
    Suite *suite = suite_create(name);
    tcase_set_timeout(tc, 300); /* a hang is found; with sanitizers on a busy machine some take a minute */
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
