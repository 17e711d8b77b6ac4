/* Digest and cache when every allocation fails in turn, libcrypto's too: a status, nothing left behind, never a wrong digest. */
#include "config.h"

#include "cache_kit.h"
#include "faults_kit.h"

static bool digest_once(void *arg)
{
    struct sp_digest digest;
    struct sp_error err = { 0 };
    unsigned char out[SP_DIGEST_BYTES];
    enum sp_status status = sp_digest_init(&digest, arg, &err);
    MUST((digest.context != NULL) == (status == SP_OK), "a digest in spite of the failure");
    MUST((err.text[0] != '\0') == (status != SP_OK), "text \"%s\" with status %d", err.text, (int) status);
    for (int i = 0; status == SP_OK && i < 3; i++) {
        sp_digest_add(&digest, "ab", 2);
        const long left = fault.left;
        const bool had_failed = fault.has_failed;
        for (int k = 0; k < 20; k++)
            sp_digest_add(&digest, i == 0 ? "c" : "", i == 0 && k == 0);
        MUST(fault.left == left && fault.has_failed == had_failed, "a piece took memory");
        status = sp_digest_finish(&digest, out);
        MUST(status == SP_OK || status == SP_ERR_IO, "status %d", (int) status);
        MUST((out[0] == (i == 0 ? 0xba : 0xfb)) == (status == SP_OK), "digest %d begins with %02x", i, out[0]);
    }
    sp_digest_fini(&digest);
    return status == SP_OK;
}

/* A digest that has failed fails once: the next is right again. */
static bool digest_again(void *arg)
{
    unsigned char out[SP_DIGEST_BYTES];
    sp_digest_add(arg, "abc", 3);
    const bool is_done = sp_digest_finish(arg, out) == SP_OK;
    MUST(is_done == (out[0] == 0xba), "another digest");
    return is_done;
}

START_TEST(digest_without_memory)
{
    struct sp_digest model;
    ck_assert_int_eq(sp_digest_init(&model, NULL, NULL), SP_OK);
    attempt_failing_at(digest_once, NULL, FAULT_ALL, FAULT_ONCE, 2); /* libcrypto's list of errors, which stays */
    exhaust("a digest", digest_once, NULL, FAULT_ALL, 2);
    exhaust("a digest after a model", digest_once, &model, FAULT_ALL, 2);
    exhaust("the next digest", digest_again, &model, FAULT_ALL, 0);
    sp_digest_fini(&model);
}
END_TEST

static bool cache_once(void *arg)
{
    struct sp_error err = { 0 };
    struct sp_cache *cache = NULL;
    enum sp_status status = sp_cache_open(arg, SP_CACHE_MIN_BYTES, HOUR_MS, &err, &cache);
    MUST((cache != NULL) == (status == SP_OK), "a cache in spite of the failure");
    MUST((err.text[0] != '\0') == (status != SP_OK), "no text");
    if (cache)
        MUST(stores(cache, 1) && finds(cache, 1), "it does not work");
    sp_cache_close(&cache);
    return status == SP_OK;
}

START_TEST(cache_without_memory)
{
    exhaust("a cache", cache_once, dir, FAULT_ALL, 2);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("cache_faults");
    tcase_add_checked_fixture(c, cache_setup, cache_teardown);
    tcase_add_test(c, digest_without_memory);
    tcase_add_test(c, cache_without_memory);
    return unit_run("cache_faults", c);
}
