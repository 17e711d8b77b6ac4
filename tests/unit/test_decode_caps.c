/* The chain of content codings, what must stop it: bombs and other caps, a sink that fails, a library or memory that fails. */
#include "config.h"

#include "decode_kit.h"

/* --- failing on command: the linker routes these calls here (Makefile.am) ------------------------------------------------- */

static int calls_until_failure = -1; /* -1: never fail; 0: the next one fails */

static bool must_fail(void)
{
    return is_armed && calls_until_failure >= 0 && calls_until_failure-- == 0;
}

#define WRAP(type, name, failure, parameters, arguments)                                                                                   \
    type __real_##name parameters;                                                                                                         \
    type __wrap_##name parameters;                                                                                                         \
    type __wrap_##name parameters                                                                                                          \
    {                                                                                                                                      \
        return must_fail() ? (failure) : __real_##name arguments;                                                                          \
    }

WRAP(void *, malloc, NULL, (size_t n), (n))
WRAP(void *, calloc, NULL, (size_t n, size_t m), (n, m))
WRAP(int, inflateInit2_, Z_MEM_ERROR, (z_streamp z, int bits, const char *version, int size), (z, bits, version, size))
WRAP(int, inflateReset, Z_STREAM_ERROR, (z_streamp z), (z))
WRAP(int, inflateReset2, Z_STREAM_ERROR, (z_streamp z, int bits), (z, bits))
WRAP(int, inflate, Z_MEM_ERROR, (z_streamp z, int flush), (z, flush))
WRAP(void *, BrotliDecoderCreateInstance, NULL, (void *a, void *f, void *o), (a, f, o))
WRAP(void *, ZSTD_createDCtx, NULL, (void), ())
WRAP(size_t, ZSTD_DCtx_setParameter, (size_t) -64, (void *d, int what, int value), (d, what, value)) /* out of memory */
WRAP(size_t, ZSTD_decompressStream, (size_t) -64, (void *d, void *out, void *in), (d, out, in))

/* --- caps ------------------------------------------------------------------------------------------------------------- */

/* A GiB of zeros in sixteen members. */
static struct bytes gzip_bomb(void)
{
    struct bytes zeros = { calloc(1, 64 * MIB), 64 * MIB, 64 * MIB }, bomb = { 0 };
    ck_assert_ptr_nonnull(zeros.p);
    struct bytes member = deflate_with(&zeros, MAX_WBITS + 16, 1);
    for (size_t i = 0; i < 16; i++)
        add(&bomb, member.p, member.n);
    drop(&zeros);
    drop(&member);
    return bomb;
}

static void expect_limit(
    const char *title, const char *value, const struct bytes *bomb, uint64_t max_output, unsigned max_ratio, size_t most)
{
    struct sp_decode_limits limits = { .max_layers = 8, .max_output_bytes = max_output, .max_ratio = max_ratio };
    for (size_t chunk = 1; chunk != 0; chunk = chunk == 1 ? 4096 : chunk == 4096 ? SIZE_MAX : 0) {
        struct run run = { 0 };
        enum sp_decode_result result = decode(&run, value, &limits, bomb->p, bomb->n, chunk);
        REQUIRE(result == SP_DECODE_LIMIT, "%s, chunks of %zu: %d %s", title, chunk, (int) result, run.detail.text);
        REQUIRE(run.out.n <= most, "%s: %zu bytes came out", title, run.out.n);
        REQUIRE(run.detail.text[0] != '\0', "%s: no text", title);
        run_free(&run);
    }
}

START_TEST(bombs)
{
    struct bytes gz = gzip_bomb(), br = load("zeros.br"), zst = load("zeros.zst");
    struct bytes gzgz = to_gzip(&gz);
    const size_t ratio_most = 1 * MIB + 32 * 1024; /* what the ratio lets through before it looks */

    expect_limit("gzip, output", "gzip", &gz, 1000000, 1000000, 1000000);
    expect_limit("gzip, ratio", "gzip", &gz, 1024 * MIB, 100, ratio_most);
    expect_limit("br, output", "br", &br, 1000000, 100000000, 1000000);
    expect_limit("br, ratio", "br", &br, 1024 * MIB, 1000, ratio_most);
    expect_limit("zstd, output", "zstd", &zst, 1000000, 1000000, 1000000);
    expect_limit("zstd, ratio", "zstd", &zst, 1024 * MIB, 1000, ratio_most);
    /* Each layer has a ratio below 1100; only together they reach it. */
    expect_limit("gzip in gzip, ratio", "gzip,gzip", &gzgz, 1024 * MIB, 1100, ratio_most);
    expect_limit("gzip in gzip, output", "gzip, gzip", &gzgz, 1000000, 1000000, 1000000);
    drop(&gz);
    drop(&br);
    drop(&zst);
    drop(&gzgz);
}
END_TEST

START_TEST(output_cap_is_exact)
{
    struct bytes plain = make_body(100000);
    for (size_t i = 0; i < N_CODINGS; i++) {
        struct bytes encoded = codings[i].encode(&plain);
        static const int offsets[] = { -1, 0, 1 };
        for (size_t o = 0; o < 3; o++) {
            struct sp_decode_limits limits = roomy;
            limits.max_output_bytes = (uint64_t) ((long) plain.n + offsets[o]);
            struct run run = { 0 };
            enum sp_decode_result result = decode(&run, codings[i].name, &limits, encoded.p, encoded.n, 1000);
            REQUIRE(result == (offsets[o] < 0 ? SP_DECODE_LIMIT : SP_DECODE_OK), "%s %d: %d", codings[i].title, offsets[o], (int) result);
            ck_assert_uint_eq(run.out.n, offsets[o] < 0 ? plain.n - 1 : plain.n);
            run_free(&run);
        }
        /* Inside a stack the cap holds for the inner layers: what comes out of the outer one is the larger of the two here. */
        struct bytes stored = deflate_with(&plain, MAX_WBITS + 16, 0), twice = to_gzip(&stored);
        struct sp_decode_limits limits = roomy;
        limits.max_output_bytes = plain.n; /* stored is larger than that */
        struct run run = { 0 };
        ck_assert_int_eq(decode(&run, "gzip,gzip", &limits, twice.p, twice.n, SIZE_MAX), SP_DECODE_LIMIT);
        run_free(&run);
        drop(&stored);
        drop(&twice);
        drop(&encoded);
    }
    drop(&plain);
}
END_TEST

/* The ratio says nothing about small bodies. */
START_TEST(ratio_begins_at_one_mib)
{
    for (size_t n = MIB - 1; n <= MIB + 1; n++) {
        struct bytes zeros = { calloc(1, n), n, n };
        ck_assert_ptr_nonnull(zeros.p);
        struct bytes encoded = to_gzip(&zeros);
        struct sp_decode_limits limits = roomy;
        limits.max_ratio = 10;
        struct run run = { 0 };
        ck_assert_int_eq(decode(&run, "gzip", &limits, encoded.p, encoded.n, SIZE_MAX), n > MIB ? SP_DECODE_LIMIT : SP_DECODE_OK);
        run_free(&run);
        drop(&zeros);
        drop(&encoded);
    }
}
END_TEST

START_TEST(ratio_of_ordinary_bodies)
{
    struct bytes plain = make_body(4 * MIB);
    for (size_t i = 0; i < N_CODINGS; i++) {
        struct bytes encoded = codings[i].encode(&plain);
        struct sp_decode_limits limits = roomy;
        limits.max_ratio = 10;
        struct run run = { 0 };
        enum sp_decode_result result = decode(&run, codings[i].name, &limits, encoded.p, encoded.n, 4096);
        REQUIRE(result == SP_DECODE_OK, "%s: %s", codings[i].title, run.detail.text);
        ck_assert_uint_eq(run.out.n, plain.n);
        run_free(&run);
        drop(&encoded);
    }
    drop(&plain);
}
END_TEST

/* --- failures of others ----------------------------------------------------------------------------------------------- */

START_TEST(sink_fails)
{
    static const struct {
        enum sp_status says;
        enum sp_decode_result result;
    } cases[] = {
        { SP_ERR_NOMEM, SP_DECODE_ERROR },
        { SP_ERR_IO, SP_DECODE_ERROR },
        { SP_ERR_LIMIT, SP_DECODE_LIMIT },
        { SP_ERR_CLOSED, SP_DECODE_ERROR },
    };
    static const size_t after[] = { 1, 40000, 99999 };
    struct bytes plain = make_body(100000);
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        for (size_t i = 0; i <= N_CODINGS; i++) {
            for (size_t a = 0; a < 3; a++) {
                struct bytes encoded = { 0 };
                const char *name = i < N_CODINGS ? codings[i].name : "identity";
                if (i < N_CODINGS)
                    encoded = codings[i].encode(&plain);
                else
                    add(&encoded, plain.p, plain.n);
                struct run run = { .sink_says = cases[c].says, .sink_after = after[a] };
                enum sp_decode_result result = decode(&run, name, &roomy, encoded.p, encoded.n, 1000);
                REQUIRE(result == cases[c].result, "%s: %d for %d", name, (int) result, (int) cases[c].says);
                REQUIRE(strstr(run.detail.text, sp_status_name(cases[c].says)) != NULL, "text: %s", run.detail.text);
                REQUIRE(run.out.n < after[a] + 64 * 1024, "%s: went on after the sink had failed", name);
                run_free(&run);
                drop(&encoded);
            }
        }
    }
    drop(&plain);
}
END_TEST

/* Every allocation and library call fails once: never OK, never a crash, never a leak. */
START_TEST(every_call_fails_in_turn)
{
    struct bytes plain = make_body(5000), encoded = { 0 };
    add(&encoded, plain.p, plain.n);
    for (size_t i = 0; i < N_CODINGS; i++) {
        struct bytes next = codings[i].encode(&encoded), again = codings[i].encode(&encoded);
        if (i == 0)
            add(&next, again.p, again.n); /* a second gzip member */
        drop(&again);
        drop(&encoded);
        encoded = next;
    }
    const char *value = "gzip, deflate, deflate, br, zstd";
    int n = 0;
    for (enum sp_decode_result result = SP_DECODE_ERROR; result != SP_DECODE_OK; n++) {
        struct run run = { 0 };
        calls_until_failure = n;
        result = decode(&run, value, &roomy, encoded.p, encoded.n, 4000);
        bool has_failed = calls_until_failure < 0;
        calls_until_failure = -1;
        REQUIRE(has_failed == (result != SP_DECODE_OK), "call %d: %d", n, (int) result);
        run_free(&run);
        ck_assert_int_lt(n, 10000);
    }
    ck_assert_int_gt(n, 20); /* the hooks are in place */
    drop(&plain);
    drop(&encoded);
}
END_TEST

START_TEST(failed_new_gives_error)
{
    static const char *const values[] = { "gzip", "deflate", "br", "zstd" };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        enum sp_decode_result result = SP_DECODE_ERROR;
        for (int n = 0; n < 10 && result != SP_DECODE_OK; n++) {
            struct head head;
            struct run run = { 0 };
            struct sp_decode *chain = NULL;
            const char *const one[] = { values[i], NULL };
            calls_until_failure = n;
            result = ARMED(sp_decode_new(head_with(&head, one), &roomy, sink, &run, &run.detail, &chain));
            calls_until_failure = -1;
            REQUIRE(result == SP_DECODE_ERROR || (result == SP_DECODE_OK && n >= 3), "%s, call %d: %d", values[i], n, (int) result);
            if (result == SP_DECODE_ERROR)
                REQUIRE(strstr(run.detail.text, "no memory") != NULL, "%s, call %d: %s", values[i], n, run.detail.text);
            ck_assert_int_eq(chain != NULL, result == SP_DECODE_OK);
            sp_decode_free(&chain);
        }
        ck_assert_int_eq(result, SP_DECODE_OK);
    }
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("decode_caps");
    tcase_add_test(c, bombs);
    tcase_add_test(c, output_cap_is_exact);
    tcase_add_test(c, ratio_begins_at_one_mib);
    tcase_add_test(c, ratio_of_ordinary_bodies);
    tcase_add_test(c, sink_fails);
    tcase_add_test(c, every_call_fails_in_turn);
    tcase_add_test(c, failed_new_gives_error);
    return unit_run("decode_caps", c);
}
