/* An allocator that fails on command, in the test, in the core and in every library that the program is linked with. It stands in
 * front of the C library's, or of a sanitizer's. Only calls of the thread that armed it fail. */
#ifndef SALLYPORT_TESTS_FAULTS_KIT_H
#define SALLYPORT_TESTS_FAULTS_KIT_H

#include "unit.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

enum fault_reach {
    FAULT_OURS, /* what the program's own code asks for */
    FAULT_ALL   /* what libraries ask for too */
};
enum fault_length {
    FAULT_ONCE,   /* memory is short for a moment */
    FAULT_FOREVER /* and stays so */
};

static __thread struct {
    bool is_armed, has_failed;
    enum fault_reach reach;
    enum fault_length length;
    long left; /* calls that still work */
} fault;

static atomic_long n_live; /* pieces of memory that are not freed */

/* The program's own text: the core is linked into it, libraries are not. */
extern const char __executable_start, etext;

static bool must_fail(const void *caller)
{
    if (!fault.is_armed)
        return false;
    const uintptr_t at = (uintptr_t) caller;
    if (fault.reach == FAULT_OURS && (at < (uintptr_t) &__executable_start || at >= (uintptr_t) &etext))
        return false;
    if (fault.left-- > 0 || (fault.has_failed && fault.length == FAULT_ONCE))
        return false;
    fault.has_failed = true;
    return true;
}

/* The allocator behind: a sanitizer's if there is one. */
#define BEHIND(name) (__interceptor_##name ? __interceptor_##name : __libc_##name)
#define DECLARE_BEHIND(type, name, parameters)                                                                                             \
    type __libc_##name parameters;                                                                                                         \
    type __interceptor_##name parameters __attribute__((weak));
DECLARE_BEHIND(void *, malloc, (size_t n))
DECLARE_BEHIND(void *, calloc, (size_t n, size_t size))
DECLARE_BEHIND(void *, realloc, (void *p, size_t n))
DECLARE_BEHIND(void, free, (void *p))

#define SEEN_BY_LIBRARIES __attribute__((visibility("default")))

static void *counted(void *p)
{
    if (p)
        atomic_fetch_add(&n_live, 1);
    return p;
}

SEEN_BY_LIBRARIES void *malloc(size_t n)
{
    return must_fail(__builtin_return_address(0)) ? NULL : counted(BEHIND(malloc)(n));
}

SEEN_BY_LIBRARIES void *calloc(size_t n, size_t size)
{
    return must_fail(__builtin_return_address(0)) ? NULL : counted(BEHIND(calloc)(n, size));
}

SEEN_BY_LIBRARIES void *realloc(void *p, size_t n)
{
    if (must_fail(__builtin_return_address(0)))
        return NULL;
    void *fresh = BEHIND(realloc)(p, n);
    return p ? fresh : counted(fresh);
}

SEEN_BY_LIBRARIES void free(void *p)
{
    if (p)
        atomic_fetch_sub(&n_live, 1);
    BEHIND(free)(p);
}

/* A sanitizer's own would allocate out of reach. */
SEEN_BY_LIBRARIES char *strdup(const char *s)
{
    const size_t n = strlen(s) + 1;
    char *copy = must_fail(__builtin_return_address(0)) ? NULL : counted(BEHIND(malloc)(n));
    return copy ? memcpy(copy, s, n) : NULL;
}

static inline unsigned count_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Another thread may have to close its end yet. */
static inline unsigned await_fds(unsigned wanted)
{
    unsigned n = count_fds();
    for (int i = 0; n > wanted && i < 1000; i++) {
        usleep(1000);
        n = count_fds();
    }
    return n;
}

/* Does the thing once; true if it came to its full result. Anything that must not happen in between ends the test inside. */
typedef bool (*fault_attempt_fn)(void *arg);

static inline bool attempt_failing_at(fault_attempt_fn attempt, void *arg, enum fault_reach reach, enum fault_length length, long n)
{
    memset(&fault, 0, sizeof(fault));
    fault.reach = reach;
    fault.length = length;
    fault.left = n;
    fault.is_armed = true;
    const bool is_done = attempt(arg);
    fault.is_armed = false;
    return is_done;
}

/* Check's assertions allocate: they stand inside this. */
#define UNARMED(statement)                                                                                                                 \
    do {                                                                                                                                   \
        const bool was_armed = fault.is_armed;                                                                                             \
        fault.is_armed = false;                                                                                                            \
        statement;                                                                                                                         \
        fault.is_armed = was_armed;                                                                                                        \
    } while (0)
#define MUST(condition, ...)                                                                                                            \
    do {                                                                                                                                   \
        if (!(condition))                                                                                                                  \
            UNARMED(ck_abort_msg(__VA_ARGS__));                                                                                            \
    } while (0)

/* Attempts with the first allocation failing, the second, and so on until one comes through without reaching it; that one must be
 * done. Nothing may be left behind by any of them. at_least: there were so many allocations. */
static inline void exhaust(const char *name, fault_attempt_fn attempt, void *arg, enum fault_reach reach, long at_least)
{
    const unsigned fds = count_fds();
    attempt_failing_at(attempt, arg, reach, FAULT_ONCE, 0); /* OpenSSL 3.5 keeps a place for its errors from the first one on */
    for (int warm = 0; warm < 2; warm++) /* what libraries keep for good */
        ck_assert_msg(attempt(arg), "%s fails by itself", name);
    const long live = n_live;
    for (int length = FAULT_ONCE; length <= FAULT_FOREVER; length++) {
        for (long n = 0;; n++) {
            const bool is_done = attempt_failing_at(attempt, arg, reach, (enum fault_length) length, n);
            const bool has_failed = fault.has_failed;
            const long left = n_live - live;
            const unsigned open = await_fds(fds);
            ck_assert_msg(left <= 0, "%s, allocation %ld: %ld pieces of memory are left", name, n, left);
            ck_assert_msg(open == fds, "%s, allocation %ld: %u descriptors, %u before", name, n, open, fds);
            if (has_failed)
                continue;
            ck_assert_msg(is_done, "%s fails without a reason", name);
            ck_assert_msg(n >= at_least, "%s has only %ld allocations", name, n);
            break;
        }
    }
}

#endif
