/* What the tests of the page share: rendering into a string, and values by number. */
#ifndef SALLYPORT_TESTS_PAGE_KIT_H
#define SALLYPORT_TESTS_PAGE_KIT_H

#include "unit.h"

#include "sallyport/page.h"

#define OUT_MAX (1024u * 1024u)

static inline void expect_render(
    const struct sp_page *page, enum sp_page_format format, const struct sp_page_values *values, const char *want)
{
    struct sp_buf out;
    sp_buf_init(&out, OUT_MAX);
    ck_assert_int_eq(sp_page_render(page, format, values, &out), SP_OK);
    ck_assert_str_eq(out.n > 0 ? out.p : "", want);
    sp_buf_fini(&out);
}

/* Sets variable number i of those that a caller gives. */
#define N_GIVEN 10
__attribute__((unused)) static const char *const given_names[N_GIVEN] = { "outcome", "reason", "rule", "rule_name", "category", "signature",
    "id", "time", "url", "host" };

static inline void set_value(struct sp_page_values *v, unsigned i, const char *value)
{
    const char **const strings[] = { &v->outcome, &v->reason, &v->rule, &v->rule_name, &v->category, &v->signature, &v->id, &v->time };
    if (i < 8)
        *strings[i] = value;
    else if (i == 8)
        v->url = sp_str_from(value);
    else
        v->host = sp_str_from(value);
}

#endif
