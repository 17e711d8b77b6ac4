/* The bodies that all contestants get: text, pages, scripts, PDF documents and packages of a wanted size, and a mixture of them.
 * A body is made once; digits in it make each copy unlike any other, inside each compressed part too (checksums follow), so that
 * no cache of anybody's knows a piece of it. One thread. */
#ifndef SALLYPORT_BENCH_BODIES_H
#define SALLYPORT_BENCH_BODIES_H

#include "common.h"

#define BENCH_MAX_STAMPS 160u
#define BENCH_SEEN_BODIES 16u /* how many bodies of a kind come again and again */
#define BENCH_SEEN_LARGE 4u
#define BENCH_LARGE_BYTES (1u << 20)
#define BENCH_MAX_CLASSES 4u

enum bench_form { BENCH_TEXT, BENCH_HTML, BENCH_SCRIPT, BENCH_PDF, BENCH_PACKAGE };

enum bench_check { BENCH_NO_CHECK, BENCH_ADLER32, BENCH_CRC32 };

/* Digits that make a body unique, and the checksum over them and what follows. */
struct bench_stamp {
    size_t at;
    enum bench_check check;
    size_t check_at[2]; /* of CRC-32, little endian, twice; of Adler-32, big endian, once */
    uint32_t rest_check;
    size_t rest_bytes;
};

struct bench_body {
    char *p; /* owned */
    size_t n;
    struct bench_stamp stamps[BENCH_MAX_STAMPS];
    size_t n_stamps;
};

/* Equal arguments make equal bytes; exactly n of them. Documents and packages need 256 KB at least. */
void bench_body_init(struct bench_body *body, enum bench_form form, size_t n, uint64_t seed);

/* Always plain text: of a page libclamav scans a form in lower case only, where nothing finds the signature. */
void bench_body_init_eicar(struct bench_body *body, size_t n, uint64_t seed);
void bench_body_copy(struct bench_body *body, const struct bench_body *from);
void bench_body_stamp(struct bench_body *body, uint64_t serial);
void bench_body_fini(struct bench_body *body);

/* What a measurement sends: one class, or several with weights. Immutable once made. */
struct bench_class {
    enum bench_form form;
    size_t bytes;
    unsigned weight; /* of 100 */
    unsigned n_seen; /* fewer of large ones, so that all have been seen soon */
    struct bench_body base, seen[BENCH_SEEN_BODIES];
};

struct bench_mixture {
    enum bench_kind kind;
    struct bench_class classes[BENCH_MAX_CLASSES];
    size_t n_classes;
};

/* form: text, html, script, pdf, package or mixed (then bytes does not count). False if it is none of them. */
int bench_mixture_init(struct bench_mixture *mixture, const char *form, size_t bytes, enum bench_kind kind);
void bench_mixture_fini(struct bench_mixture *mixture);

/* Bodies of one connection or worker, BENCH_MAX_CLASSES of them, all zero at first. */
void bench_own_fini(struct bench_body *own);

/* The body of transaction number serial: borrowed from the mixture, or from own and then overwritten by the next call. */
const struct bench_body *bench_pick(const struct bench_mixture *mixture, struct bench_body *own, uint64_t serial, size_t *class_out);

const char *bench_content_type(enum bench_form form);

#endif
