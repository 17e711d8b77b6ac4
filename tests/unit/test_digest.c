/* SHA-256 in any pieces, over and over in the same memory, and the check under a key that SipHash is. */
#include "config.h"

#include "unit.h"

#include "sallyport/digest.h"
#include "sallyport/siphash.h"

#include <pthread.h>
#include <stdio.h>

static void want_hex(const unsigned char digest[SP_DIGEST_BYTES], const char *want)
{
    char is[2 * SP_DIGEST_BYTES + 1];
    for (size_t i = 0; i < SP_DIGEST_BYTES; i++)
        snprintf(is + 2 * i, 3, "%02x", digest[i]);
    ck_assert_str_eq(is, want);
}

static const struct {
    const char *text, *digest;
} known[] = { /* FIPS 180-4's examples */
    { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
};
#define N_KNOWN (sizeof(known) / sizeof(known[0]))

START_TEST(known_answers)
{
    struct sp_digest digest, second;
    unsigned char out[SP_DIGEST_BYTES];
    ck_assert_int_eq(sp_digest_init(&digest, NULL, NULL), SP_OK);
    ck_assert_int_eq(sp_digest_init(&second, &digest, NULL), SP_OK);
    struct sp_digest *both[] = { &digest, &second };
    for (size_t i = 0; i < 2 * N_KNOWN; i++) {
        sp_digest_add(both[i % 2], known[i / 2].text, strlen(known[i / 2].text));
        ck_assert_int_eq(sp_digest_finish(both[i % 2], out), SP_OK);
        want_hex(out, known[i / 2].digest);
    }
    sp_digest_add(&digest, "something else", 14);
    sp_digest_restart(&digest);
    sp_digest_add(&digest, "abc", 3);
    ck_assert_int_eq(sp_digest_finish(&digest, out), SP_OK);
    want_hex(out, known[1].digest);
    sp_digest_fini(&digest);
    sp_digest_fini(&digest);
    sp_digest_fini(&second);
    struct sp_digest none = { 0 };
    sp_digest_fini(&none);
}
END_TEST

/* Whole, cut at each offset, byte by byte, and with empty pieces in between. */
START_TEST(any_chunking)
{
    enum { N = 300 };
    unsigned char bytes[N], whole[SP_DIGEST_BYTES], out[SP_DIGEST_BYTES];
    struct sp_digest digest;
    for (size_t i = 0; i < N; i++)
        bytes[i] = (unsigned char) (i * 37);
    ck_assert_int_eq(sp_digest_init(&digest, NULL, NULL), SP_OK);
    sp_digest_add(&digest, bytes, N);
    ck_assert_int_eq(sp_digest_finish(&digest, whole), SP_OK);
    for (size_t cut = 0; cut <= N; cut++) {
        sp_digest_add(&digest, bytes, cut);
        sp_digest_add(&digest, NULL, 0);
        sp_digest_add(&digest, bytes + cut, N - cut);
        ck_assert_int_eq(sp_digest_finish(&digest, out), SP_OK);
        ck_assert_msg(memcmp(out, whole, sizeof(out)) == 0, "cut at %zu", cut);
    }
    for (size_t i = 0; i < N; i++)
        sp_digest_add(&digest, bytes + i, 1);
    ck_assert_int_eq(sp_digest_finish(&digest, out), SP_OK);
    ck_assert_mem_eq(out, whole, sizeof(out));
    sp_digest_fini(&digest);
}
END_TEST

static void *digest_often(void *arg)
{
    unsigned char out[SP_DIGEST_BYTES], want[SP_DIGEST_BYTES] = { 0xba, 0x78, 0x16, 0xbf };
    for (int i = 0; i < 2000; i++) {
        struct sp_digest digest;
        if (sp_digest_init(&digest, arg, NULL) != SP_OK)
            return arg;
        sp_digest_add(&digest, "abc", 3);
        const bool is_right = sp_digest_finish(&digest, out) == SP_OK && memcmp(out, want, 4) == 0;
        sp_digest_fini(&digest);
        if (!is_right)
            return arg;
    }
    return NULL;
}

START_TEST(one_model_for_all_threads)
{
    struct sp_digest model;
    pthread_t threads[4];
    ck_assert_int_eq(sp_digest_init(&model, NULL, NULL), SP_OK);
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, digest_often, &model), 0);
    for (size_t i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
    sp_digest_fini(&model);
}
END_TEST

/* The table of the reference implementation: key 00 01 ... 0f, message 00 01 ... of 0, 8 and 16 bytes. */
START_TEST(siphash)
{
    const uint64_t key[2] = { 0x0706050403020100u, 0x0f0e0d0c0b0a0908u };
    ck_assert(sp_siphash(key, NULL, 0) == 0x726fdb47dd0e0e31u);
    ck_assert(sp_siphash(key, key, 1) == 0x93f5f5799a932462u);
    ck_assert(sp_siphash(key, key, 2) == 0x3f2acc7f57c29bdbu);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("digest");
    tcase_add_test(c, known_answers);
    tcase_add_test(c, any_chunking);
    tcase_add_test(c, one_model_for_all_threads);
    tcase_add_test(c, siphash);
    return unit_run("digest", c);
}
