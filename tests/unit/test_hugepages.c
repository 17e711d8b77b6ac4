/* What was allocated stays where and what it is, on large pages or not. */
#include "config.h"

#include "../../service/scand/hugepages.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define LARGE_BYTES ((size_t) 2 * 1024 * 1024)
#define BYTES (4 * LARGE_BYTES)

static unsigned char expected(size_t i)
{
    return (unsigned char) (i * 7 + i / 4096);
}

/* How much of this process lies on large pages, as the kernel counts. */
static size_t counted(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    char line[256];
    size_t kb = 0;
    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "AnonHugePages: %zu", &kb) == 1)
            break;
    if (file)
        fclose(file);
    return kb * 1024;
}

START_TEST(contents_stay)
{
    unsigned char *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(p, MAP_FAILED);
    for (size_t i = 0; i < BYTES; i++)
        p[i] = expected(i);
    const size_t before = counted(), taken = sp_hugepages_take();
    size_t n_same = 0;
    for (size_t i = 0; i < BYTES; i++)
        n_same += p[i] == expected(i);
    ck_assert_uint_eq(n_same, BYTES);
    ck_assert_uint_eq(taken % LARGE_BYTES, 0);
    if (taken > 0) { /* not every kernel does it */
        ck_assert_uint_ge(taken, BYTES - LARGE_BYTES);
        ck_assert_uint_gt(counted(), before);
    }
    munmap(p, BYTES);
}
END_TEST

/* What only may be read, or belongs to a file, is left alone. */
START_TEST(others_are_left_alone)
{
    const size_t others = sp_hugepages_take(); /* a sanitizer's */
    unsigned char *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(p, MAP_FAILED);
    memset(p, 1, BYTES);
    ck_assert_int_eq(mprotect(p, BYTES, PROT_READ), 0);
    ck_assert_uint_le(sp_hugepages_take(), others);
    munmap(p, BYTES);
}
END_TEST

/* One page in each range of 2 MB: on large pages it would be 512 times as much. */
START_TEST(sparse_memory_does_not_grow)
{
    const size_t others = sp_hugepages_take();
    unsigned char *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(p, MAP_FAILED);
    for (size_t i = 0; i < BYTES; i += LARGE_BYTES / 2)
        p[i] = 1;
    ck_assert_uint_le(sp_hugepages_take(), others);
    munmap(p, BYTES);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("hugepages");
    tcase_add_test(c, contents_stay);
    tcase_add_test(c, others_are_left_alone);
    tcase_add_test(c, sparse_memory_does_not_grow);
    return unit_run("hugepages", c);
}
