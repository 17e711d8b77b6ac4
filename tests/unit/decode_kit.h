/* For the tests of decode: bytes, encoders, and a run of a chain. The encoders for br and zstd only store; tests/data/decode has
 * what real compressors make of a text (see the README there). */
#ifndef SALLYPORT_TESTS_DECODE_KIT_H
#define SALLYPORT_TESTS_DECODE_KIT_H

#include "sallyport/decode.h"
#include "unit.h"

#include <stdio.h>
#include <zlib.h>

#define MIB (1024u * 1024u)

static const struct sp_decode_limits roomy = { .max_layers = 8, .max_output_bytes = 256 * MIB, .max_ratio = 1000000000 };

/* True only inside the module: check and the tests allocate too, and their memory is not under test. */
static bool is_armed;

/* The value of a call into the module. */
#define ARMED(call) (is_armed = true, armed_result = (call), is_armed = false, armed_result)
static enum sp_decode_result armed_result;

/* check writes a record for every assertion of its own that holds; there are millions here. */
#define REQUIRE(condition, ...)                                                                                                            \
    do {                                                                                                                                   \
        if (!(condition))                                                                                                                  \
            ck_abort_msg(__VA_ARGS__);                                                                                                     \
    } while (0)

/* --- bytes ------------------------------------------------------------------------------------------------------------ */

struct bytes {
    unsigned char *p; /* owned */
    size_t n, cap;
};

static inline void add(struct bytes *b, const void *p, size_t n)
{
    if (b->n + n >= b->cap) {
        b->cap = b->n + n + b->cap + 64;
        b->p = realloc(b->p, b->cap);
        REQUIRE(b->p != NULL, "no memory");
    }
    if (n > 0)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}

static inline void add_byte(struct bytes *b, unsigned v)
{
    unsigned char c = (unsigned char) v;
    add(b, &c, 1);
}

static inline void drop(struct bytes *b)
{
    free(b->p);
    *b = (struct bytes){ 0 };
}

static inline struct bytes load(const char *name)
{
    const char *src = getenv("SRCDIR");
    char path[4096];
    snprintf(path, sizeof(path), "%s/tests/data/decode/%s", src != NULL ? src : ".", name);
    FILE *f = fopen(path, "rb");
    REQUIRE(f != NULL, "cannot open %s", path);
    struct bytes b = { 0 };
    char block[4096];
    size_t n;
    while ((n = fread(block, 1, sizeof(block), f)) > 0)
        add(&b, block, n);
    fclose(f);
    return b;
}

/* Half text, half noise, always the same. */
static inline struct bytes make_body(size_t n)
{
    struct bytes b = { 0 };
    unsigned x = 12345;
    b.p = malloc(n + 1);
    b.cap = n + 1;
    ck_assert_ptr_nonnull(b.p);
    for (; b.n < n; b.n++) {
        x = x * 1103515245u + 12345u;
        b.p[b.n] = (unsigned char) (b.n / 512 % 2 == 0 ? "sally port "[b.n % 11] : (char) (x >> 16));
    }
    return b;
}

/* --- encoders --------------------------------------------------------------------------------------------------------- */

static inline struct bytes deflate_with(const struct bytes *in, int window_bits, int level)
{
    z_stream z = { 0 };
    ck_assert_int_eq(deflateInit2(&z, level, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    struct bytes out = { .n = deflateBound(&z, in->n) + 64 };
    out.p = malloc(out.n + 1);
    out.cap = out.n + 1;
    ck_assert_ptr_nonnull(out.p);
    z.next_in = in->p;
    z.avail_in = (uInt) in->n;
    z.next_out = out.p;
    z.avail_out = (uInt) out.n;
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    out.n = z.total_out;
    deflateEnd(&z);
    return out;
}

static inline struct bytes to_gzip(const struct bytes *in)
{
    return deflate_with(in, MAX_WBITS + 16, 6);
}

static inline struct bytes to_zlib(const struct bytes *in)
{
    return deflate_with(in, MAX_WBITS, 6);
}

static inline struct bytes to_raw(const struct bytes *in)
{
    return deflate_with(in, -MAX_WBITS, 6);
}

/* RFC 7932 9.2 with uncompressed meta-blocks: WBITS 16 in the first; ISLAST 0, MNIBBLES 4, MLEN - 1, ISUNCOMPRESSED 1. */
static inline struct bytes to_br(const struct bytes *in)
{
    struct bytes out = { 0 };
    unsigned lead = 1; /* bits before ISLAST */
    for (size_t done = 0; done < in->n;) {
        size_t n = in->n - done < 65536 ? in->n - done : 65536;
        unsigned long bits = (unsigned long) (n - 1) << (lead + 3) | 1ul << (lead + 19);
        for (unsigned i = 0; i < 3; i++)
            add_byte(&out, (unsigned) (bits >> (8 * i)) & 0xff);
        add(&out, in->p + done, n);
        done += n;
        lead = 0;
    }
    add_byte(&out, lead == 1 ? 0x06 : 0x03); /* ISLAST, ISLASTEMPTY */
    return out;
}

/* RFC 8878 3.1.1: magic, descriptor without size and checksum, a window of 1 << 17, raw blocks. */
static inline struct bytes to_zstd(const struct bytes *in)
{
    struct bytes out = { 0 };
    size_t done = 0;
    add(&out, "\x28\xb5\x2f\xfd\x00\x38", 6);
    do {
        size_t n = in->n - done < 131072 ? in->n - done : 131072;
        unsigned long head = (unsigned long) n << 3 | (done + n == in->n);
        for (unsigned i = 0; i < 3; i++)
            add_byte(&out, (unsigned) (head >> (8 * i)) & 0xff);
        add(&out, in->p + done, n);
        done += n;
    } while (done < in->n);
    return out;
}

static const struct coding {
    const char *title, *name;
    struct bytes (*encode)(const struct bytes *in);
} codings[] = {
    { "gzip", "gzip", to_gzip },
    { "zlib", "deflate", to_zlib },
    { "raw deflate", "deflate", to_raw },
    { "br", "br", to_br },
    { "zstd", "zstd", to_zstd },
};

#define N_CODINGS (sizeof(codings) / sizeof(codings[0]))

/* --- running a chain -------------------------------------------------------------------------------------------------- */

#define MAX_FIELDS 8

struct head {
    struct sp_field fields[MAX_FIELDS];
    struct sp_message msg;
};

static inline const struct sp_message *head_with(struct head *head, const char *const *values)
{
    *head = (struct head){ .msg = { .kind = SP_MESSAGE_RESPONSE, .fields = head->fields } };
    head->fields[head->msg.n_fields++] = (struct sp_field){ SP_STR("Content-Type"), SP_STR("gzip, br") };
    for (; *values != NULL; values++) {
        struct sp_str name = head->msg.n_fields % 2 == 0 ? SP_STR("content-ENCODING") : SP_STR("Content-Encoding");
        REQUIRE(head->msg.n_fields < MAX_FIELDS, "too many fields");
        head->fields[head->msg.n_fields++] = (struct sp_field){ name, sp_str_from(*values) };
    }
    return &head->msg;
}

struct run {
    struct bytes out;
    struct sp_error detail;
    enum sp_status sink_says; /* from sink_after bytes on */
    size_t sink_after;
    size_t fed;
};

static enum sp_status sink(void *arg, const void *p, size_t n)
{
    struct run *run = arg;
    bool was_armed = is_armed;
    is_armed = false;
    REQUIRE(n > 0, "nothing for the sink");
    add(&run->out, p, n);
    is_armed = was_armed;
    return run->out.n >= run->sink_after ? run->sink_says : SP_OK;
}

static inline void run_free(struct run *run)
{
    drop(&run->out);
}

/* Feeds n bytes in pieces of `chunk` through a chain for the header value. */
static inline enum sp_decode_result decode(
    struct run *run, const char *value, const struct sp_decode_limits *limits, const unsigned char *p, size_t n, size_t chunk)
{
    struct head head;
    const char *const values[] = { value, NULL };
    struct sp_decode *chain = NULL;
    enum sp_decode_result result = ARMED(sp_decode_new(head_with(&head, values), limits, sink, run, &run->detail, &chain));
    if (result != SP_DECODE_OK) {
        REQUIRE(chain == NULL, "a chain in spite of the failure");
        return result;
    }
    for (run->fed = 0; result == SP_DECODE_OK && run->fed < n;) {
        size_t piece = n - run->fed < chunk ? n - run->fed : chunk;
        unsigned char *copy = malloc(piece); /* its own allocation, so that reading past it is seen */
        REQUIRE(copy != NULL, "no memory");
        memcpy(copy, p + run->fed, piece);
        result = ARMED(sp_decode_feed(chain, copy, piece, &run->detail));
        free(copy);
        run->fed += piece;
    }
    if (result == SP_DECODE_OK)
        result = ARMED(sp_decode_finish(chain, &run->detail));
    if (result != SP_DECODE_OK && run->fed > 0) { /* it stays so */
        struct sp_error again = { 0 };
        if (run->fed < n)
            REQUIRE(sp_decode_feed(chain, "x", 1, &again) == result, "another result after the first failure");
    }
    sp_decode_free(&chain);
    REQUIRE(chain == NULL, "free leaves a pointer");
    return result;
}

static inline void expect(
    const char *title, const char *value, const struct bytes *encoded, size_t chunk, enum sp_decode_result want, const struct bytes *plain)
{
    struct run run = { 0 };
    enum sp_decode_result got = decode(&run, value, &roomy, encoded->p, encoded->n, chunk);
    REQUIRE(got == want, "%s (%s, chunks of %zu): %d instead of %d: %s", title, value, chunk, (int) got, (int) want, run.detail.text);
    REQUIRE((got == SP_DECODE_OK) == (run.detail.text[0] == '\0'), "%s: text \"%s\" with result %d", title, run.detail.text, (int) got);
    if (plain != NULL) {
        REQUIRE(run.out.n == plain->n, "%s (%s, chunks of %zu): %zu bytes instead of %zu", title, value, chunk, run.out.n, plain->n);
        REQUIRE(plain->n == 0 || memcmp(run.out.p, plain->p, plain->n) == 0, "%s: other bytes", title);
    }
    run_free(&run);
}

/* The chunkings of "any chunking gives the same". */
static inline void expect_always(
    const char *title, const char *value, const struct bytes *encoded, enum sp_decode_result want, const struct bytes *plain)
{
    static const size_t chunks[] = { SIZE_MAX, 1, 7, 1000 };
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++)
        expect(title, value, encoded, chunks[i], want, plain);
}

#endif
