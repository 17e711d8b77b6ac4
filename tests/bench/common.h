/* What the programs of the benchmark share: the same bodies for every contestant, the test signature, a clock and the record of
 * one measurement. No part of the product. One thread; a failed allocation ends the program (bench_die). */
#ifndef SALLYPORT_BENCH_COMMON_H
#define SALLYPORT_BENCH_COMMON_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_STAMPS 3
#define BENCH_STAMP_DIGITS 16
#define BENCH_SEEN_BODIES 16u /* how many bodies are sent round and round in a row of the kind "seen before" */
#define BENCH_EICAR_BYTES 68u

/* How bodies are chosen. */
enum bench_kind {
    BENCH_UNSEEN, /* no two alike */
    BENCH_SEEN,   /* a few, round and round */
    BENCH_EICAR   /* the test signature, bare if the size is its own, else in the middle of plain text */
};

/* Text of exactly n bytes with places where digits make it unique. */
struct bench_body {
    char *p; /* owned */
    size_t n;
    size_t stamp[BENCH_STAMPS];
    size_t stamps;
};

void bench_die(const char *what) __attribute__((noreturn));
void *bench_alloc(size_t n); /* zeroed; never NULL */

uint64_t bench_now_us(void);         /* monotonic */
uint64_t bench_cpu_us(void);         /* of this process */
uint64_t bench_mix(uint64_t x);      /* a bijection that looks random: equal outputs mean equal inputs */
void bench_hex(char *p, uint64_t x); /* BENCH_STAMP_DIGITS digits, no terminator */

/* "unseen", "seen", "eicar"; -1 if it is none of them. */
int bench_kind_parse(const char *word);

/* Equal arguments make equal text. html: a page with markup, else plain text. */
void bench_body_init(struct bench_body *body, size_t n, int html, uint64_t seed);

/* Always plain text: of a page libclamav scans a form in lower case only, where nothing finds the signature. */
void bench_body_init_eicar(struct bench_body *body, size_t n, uint64_t seed);
void bench_body_stamp(struct bench_body *body, uint64_t serial);
void bench_body_fini(struct bench_body *body);

/* The EICAR test file, put together here: it stands whole in no file of this repository. */
void bench_eicar(char out[BENCH_EICAR_BYTES]);

/* Latencies of one measurement. */
struct bench_times {
    uint32_t *us; /* owned */
    size_t n, room;
};
void bench_times_add(struct bench_times *times, uint64_t us);
uint32_t bench_times_percentile(struct bench_times *times, unsigned percent); /* sorts; 0 if empty */
void bench_times_fini(struct bench_times *times);

#endif
