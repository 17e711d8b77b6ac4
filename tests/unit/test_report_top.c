/* Names and how often they came: exact while they fit, bounded and honest when they do not. */
#include "config.h"

#include "unit.h"

#include "report.h"

#include <stdio.h>

#define MANY 200000

static void add(struct sp_top *top, const char *name, bool is_refused, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        ck_assert(sp_top_add(top, sp_str_from(name), is_refused));
}

static const struct sp_top_entry *entry_of(const struct sp_top *top, struct sp_str name)
{
    for (size_t i = 0; i < top->cap; i++)
        if (top->entries[i].key && sp_str_equal((struct sp_str){ top->entries[i].key, top->entries[i].n }, name))
            return &top->entries[i];
    return NULL;
}

START_TEST(order)
{
    static const struct {
        const char *name;
        unsigned refused, reported;
    } rows[] = {
        { "most", 5, 4 },
        { "abc", 3, 0 }, /* of equals by name, the shorter one first */
        { "abcd", 0, 3 },
        { "b", 1, 2 },
        { "c", 0, 1 },
        { "\xff\\u0000", 1, 0 },
    };
    const size_t n = sizeof(rows) / sizeof(rows[0]);
    struct sp_top top;
    ck_assert(sp_top_init(&top));
    ck_assert_uint_eq(sp_top_sort(&top), 0);
    for (size_t i = n; i > 0; i--) {
        add(&top, rows[i - 1].name, true, rows[i - 1].refused);
        add(&top, rows[i - 1].name, false, rows[i - 1].reported);
    }
    ck_assert_uint_eq(sp_top_sort(&top), n);
    for (size_t i = 0; i < n; i++) {
        const struct sp_top_entry *entry = &top.entries[i];
        ck_assert_msg(sp_str_equal((struct sp_str){ entry->key, entry->n }, sp_str_from(rows[i].name)), "%zu: %.*s, not %s", i,
            (int) entry->n, entry->key, rows[i].name);
        ck_assert_uint_eq(entry->refused, rows[i].refused);
        ck_assert_uint_eq(entry->reported, rows[i].reported);
        ck_assert_uint_eq(entry->missed, 0);
    }
    ck_assert_uint_eq(top.dropped, 0);
    sp_top_fini(&top);
    sp_top_fini(&top);
}
END_TEST

/* Names without end: the table stays as large as it is, what comes often is counted exactly, and of the rest a count and what may be
 * missing of it enclose the truth. */
START_TEST(flood)
{
    struct sp_top top;
    unsigned steady = 0;
    ck_assert(sp_top_init(&top));
    const size_t cap = top.cap;
    for (unsigned i = 0; i < MANY; i++) {
        char name[32];
        snprintf(name, sizeof(name), "name-%u", i);
        add(&top, name, true, 1 + i % 3);
        if (i % 10 == 0) {
            add(&top, "steady", true, 1);
            steady++;
        }
        if (i >= MANY / 2 && i % 10 == 5)
            add(&top, "late", false, 1);
        ck_assert_uint_lt(top.n, cap);
    }
    ck_assert_uint_eq(top.cap, cap);
    ck_assert_uint_gt(top.dropped, 0);
    const struct sp_top_entry *entry = entry_of(&top, SP_STR("steady"));
    ck_assert_ptr_nonnull(entry);
    ck_assert_uint_eq(entry->refused, steady);
    ck_assert_uint_eq(entry->missed, 0);
    entry = entry_of(&top, SP_STR("late"));
    ck_assert_ptr_nonnull(entry);
    ck_assert_uint_le(entry->reported, MANY / 20);
    ck_assert_uint_ge(entry->reported + entry->missed, MANY / 20);
    ck_assert_uint_le(entry->missed, top.dropped);
    ck_assert_uint_eq(sp_top_sort(&top), top.n);
    ck_assert_uint_eq(top.entries[0].n, strlen("steady"));
    sp_top_fini(&top);
}
END_TEST

START_TEST(long_names)
{
    char name[400];
    struct sp_top top;
    memset(name, 'a', sizeof(name));
    ck_assert(sp_top_init(&top));
    for (size_t n = 1; n <= sizeof(name); n++)
        ck_assert(sp_top_add(&top, (struct sp_str){ name, n }, true));
    ck_assert_uint_eq(sp_top_sort(&top), 256);
    ck_assert_uint_eq(top.entries[0].n, 256);
    ck_assert_uint_eq(top.entries[0].refused, sizeof(name) - 255);
    sp_top_fini(&top);
}
END_TEST

/* Whoever chooses names must not be able to work out which ones meet in one place of the table. */
START_TEST(unforeseeable)
{
    struct sp_top a, b;
    unsigned same = 0;
    ck_assert(sp_top_init(&a) && sp_top_init(&b));
    for (unsigned i = 0; i < 64; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%u", i);
        add(&a, name, true, 1);
        add(&b, name, true, 1);
        const struct sp_top_entry *x = entry_of(&a, sp_str_from(name)), *y = entry_of(&b, sp_str_from(name));
        ck_assert(x && y);
        same += x->hash == y->hash;
    }
    ck_assert_uint_lt(same, 4);
    sp_top_fini(&a);
    sp_top_fini(&b);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("report_top");
    tcase_add_test(tc, order);
    tcase_add_test(tc, flood);
    tcase_add_test(tc, long_names);
    tcase_add_test(tc, unforeseeable);
    return unit_run("report_top", tc);
}
