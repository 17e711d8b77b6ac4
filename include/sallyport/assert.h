/* SP_ASSERT states what only a bug of ours can break. It stays on in release builds.
 * Never use it on bytes, sizes, allocations or results of libraries: an abort takes every
 * transaction of the process with it. */
#ifndef SALLYPORT_ASSERT_H
#define SALLYPORT_ASSERT_H

void sp_assert_fail(const char *expr, const char *file, int line) __attribute__((noreturn));

#define SP_ASSERT(e) ((e) ? (void) 0 : sp_assert_fail(#e, __FILE__, __LINE__))

#endif
