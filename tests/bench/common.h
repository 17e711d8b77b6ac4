/* What the programs of the benchmark share: a clock, digits, the test signature, pieces of HTTP and the record of one measurement.
 * No part of the product. One thread; a failed allocation ends the program (bench_die). */
#ifndef SALLYPORT_BENCH_COMMON_H
#define SALLYPORT_BENCH_COMMON_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define BENCH_STAMP_DIGITS 16
#define BENCH_EICAR_BYTES 68u

/* How bodies are chosen. */
enum bench_kind {
    BENCH_UNSEEN, /* no two alike */
    BENCH_SEEN,   /* a few, round and round */
    BENCH_EICAR,  /* the test signature, bare if the size is its own, else in the middle of plain text */
    BENCH_HALF    /* one in two is one of a few, the others are unlike any */
};

void bench_die(const char *what) __attribute__((noreturn));
void *bench_alloc(size_t n); /* zeroed; never NULL */

uint64_t bench_now_us(void);         /* monotonic */
uint64_t bench_cpu_us(void);         /* of this process */
uint64_t bench_mix(uint64_t x);      /* a bijection that looks random: equal outputs mean equal inputs */
void bench_hex(char *p, uint64_t x); /* BENCH_STAMP_DIGITS digits, no terminator */

/* "unseen", "seen", "eicar", "half"; -1 if it is none of them. */
int bench_kind_parse(const char *word);

/* The EICAR test file, put together here: it stands whole in no file of this repository. */
void bench_eicar(char out[BENCH_EICAR_BYTES]);

/* The value of a header field in a head that ends with a NUL, or NULL. */
const char *bench_field(const char *head, const char *name);

/* n bytes of parts, of which there are n_parts, were sent from part on: drops them. Returns the part that is next. */
int bench_parts_sent(struct iovec *parts, int part, int n_parts, size_t n);

/* Latencies of one measurement. */
struct bench_times {
    uint32_t *us; /* owned */
    size_t n, room;
};
void bench_times_add(struct bench_times *times, uint64_t us);
uint32_t bench_times_percentile(struct bench_times *times, unsigned percent); /* sorts; 0 if empty */
void bench_times_fini(struct bench_times *times);

#endif
