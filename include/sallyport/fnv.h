/* FNV-1a, 64 bits: one number for some bytes, to see that something has changed. Nobody may gain by a collision. */
#ifndef SALLYPORT_FNV_H
#define SALLYPORT_FNV_H

#include <stddef.h>
#include <stdint.h>

#define SP_FNV_START 0xcbf29ce484222325u

/* The digest of what h is the digest of and n bytes more. */
uint64_t sp_fnv(uint64_t h, const void *p, size_t n);
uint64_t sp_fnv_number(uint64_t h, uint64_t number); /* its eight bytes, lowest first */

#endif
