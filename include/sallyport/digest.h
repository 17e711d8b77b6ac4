/* SHA-256 of bytes that come in pieces, as many digests as wanted, one after the other. No piece takes memory; making it does, and with
 * libcrypto 3.0 beginning another digest. One thread at a time. */
#ifndef SALLYPORT_DIGEST_H
#define SALLYPORT_DIGEST_H

#include "sallyport/status.h"

#include <stddef.h>

#define SP_DIGEST_BYTES 32

/* In the caller's storage. Must not be moved or copied between init and fini. */
struct sp_digest {
    void *context; /* libcrypto's; NULL: not made */
    bool is_begun, has_failed;
};

/* model: NULL, or another one, which makes it cheaper: libcrypto need not look for the algorithm again. It
 * is only read, by any number of threads. SP_ERR_NOMEM, or SP_ERR_IO where libcrypto has no SHA-256; fini is then allowed. */
enum sp_status sp_digest_init(struct sp_digest *digest, const struct sp_digest *model, struct sp_error *err) SP_MUST_CHECK;
void sp_digest_fini(struct sp_digest *digest); /* accepts one that is all zero; again too */

void sp_digest_add(struct sp_digest *digest, const void *p, size_t n); /* a failure shows at the finish */

/* The digest of all that was added since the last finish. Afterwards it is as new, also after a failure: SP_ERR_IO. */
enum sp_status sp_digest_finish(struct sp_digest *digest, unsigned char out[SP_DIGEST_BYTES]) SP_MUST_CHECK;

/* Forgets what was added. */
void sp_digest_restart(struct sp_digest *digest);

#endif
