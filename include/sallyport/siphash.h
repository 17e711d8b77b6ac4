/* SipHash-2-4 of 64-bit words: a check that nobody can make who does not know the key. */
#ifndef SALLYPORT_SIPHASH_H
#define SALLYPORT_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t sp_siphash(const uint64_t key[2], const uint64_t *words, size_t n);

#endif
