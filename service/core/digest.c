/* SHA-256 from libcrypto. Looking for the algorithm takes locks that all threads of a process share, so it is fetched once and
 * then taken from a model: EVP_sha256() is only its name, by which libcrypto would look for it each time. */
#include "config.h"

#include "sallyport/digest.h"

#include "sallyport/assert.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

/* libcrypto keeps them for this thread, where whoever does TLS on it would take them for his. */
static void forget_errors(void)
{
    ERR_clear_error();
}

enum sp_status sp_digest_init(struct sp_digest *digest, const struct sp_digest *model, struct sp_error *err)
{
    EVP_MD_CTX *fresh = EVP_MD_CTX_new();
    *digest = (struct sp_digest){ .context = fresh };
    if (!fresh) {
        forget_errors(); /* since OpenSSL 3.5, failed allocations are among them */
        return sp_error_set(err, SP_ERR_NOMEM, "out of memory");
    }
    EVP_MD *fetched = model ? NULL : EVP_MD_fetch(NULL, "SHA256", NULL);
    const EVP_MD *algorithm = model ? EVP_MD_CTX_get0_md(model->context) : fetched;
    digest->is_begun = algorithm && EVP_DigestInit_ex(fresh, algorithm, NULL) && EVP_MD_CTX_get_size(fresh) == SP_DIGEST_BYTES;
    EVP_MD_free(fetched); /* the context has its own reference */
    if (digest->is_begun)
        return SP_OK;
    forget_errors();
    sp_digest_fini(digest);
    return sp_error_set(err, SP_ERR_IO, "libcrypto has no SHA-256, or no memory for it");
}

void sp_digest_fini(struct sp_digest *digest)
{
    EVP_MD_CTX_free(digest->context);
    digest->context = NULL;
}

/* Only when it is needed, for libcrypto 3.0 takes memory for it. After a failure its context must not be touched. */
static bool begin(struct sp_digest *digest)
{
    SP_ASSERT(digest->context);
    if (!digest->is_begun && !digest->has_failed)
        digest->has_failed = !EVP_DigestInit_ex(digest->context, NULL, NULL); /* the same algorithm */
    digest->is_begun = true;
    return !digest->has_failed;
}

void sp_digest_add(struct sp_digest *digest, const void *p, size_t n)
{
    if (n > 0 && begin(digest) && !EVP_DigestUpdate(digest->context, p, n))
        digest->has_failed = true;
}

void sp_digest_restart(struct sp_digest *digest)
{
    digest->is_begun = digest->has_failed = false;
}

enum sp_status sp_digest_finish(struct sp_digest *digest, unsigned char out[SP_DIGEST_BYTES])
{
    unsigned n = 0;
    const bool is_done = begin(digest) && EVP_DigestFinal_ex(digest->context, out, &n) && n == SP_DIGEST_BYTES;
    if (!is_done) {
        memset(out, 0, SP_DIGEST_BYTES);
        forget_errors();
    }
    sp_digest_restart(digest);
    return is_done ? SP_OK : SP_ERR_IO;
}
