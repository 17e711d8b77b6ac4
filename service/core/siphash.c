/* SipHash as its paper has it (Aumasson and Bernstein, 2012), two rounds a word and four at the end, for whole words only. */
#include "config.h"

#include "sallyport/siphash.h"

#define WORD_BYTES 8
#define LENGTH_SHIFT 56

static uint64_t turn(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void mix(uint64_t v[4], int rounds)
{
    for (int i = 0; i < rounds; i++) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = turn(v[1], 13) ^ v[0];
        v[3] = turn(v[3], 16) ^ v[2];
        v[0] = turn(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = turn(v[1], 17) ^ v[2];
        v[3] = turn(v[3], 21) ^ v[0];
        v[2] = turn(v[2], 32);
    }
}

static void take(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    mix(v, 2);
    v[0] ^= word;
}

uint64_t sp_siphash(const uint64_t key[2], const uint64_t *words, size_t n)
{
    uint64_t v[4] = { key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
        key[1] ^ 0x7465646279746573u };
    for (size_t i = 0; i < n; i++)
        take(v, words[i]);
    take(v, (uint64_t) (n * WORD_BYTES) << LENGTH_SHIFT);
    v[2] ^= 0xff;
    mix(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
