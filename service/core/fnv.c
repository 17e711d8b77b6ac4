/* FNV-1a. */
#include "config.h"

#include "sallyport/fnv.h"

#define PRIME 0x100000001b3u

uint64_t sp_fnv(uint64_t h, const void *p, size_t n)
{
    const unsigned char *bytes = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ bytes[i]) * PRIME;
    return h;
}

uint64_t sp_fnv_number(uint64_t h, uint64_t number)
{
    unsigned char bytes[sizeof(number)];
    for (size_t i = 0; i < sizeof(number); i++)
        bytes[i] = (unsigned char) (number >> (8 * i));
    return sp_fnv(h, bytes, sizeof(bytes));
}
