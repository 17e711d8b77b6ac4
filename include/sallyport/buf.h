/* A growable run of bytes with a cap given at birth. Embed it; no thread may share it. */
#ifndef SALLYPORT_BUF_H
#define SALLYPORT_BUF_H

#include "sallyport/status.h"
#include "sallyport/str.h"

#include <stddef.h>

struct sp_buf {
    char *p;    /* owned; terminated with a NUL that n does not count, once anything was added */
    size_t n;   /* bytes used */
    size_t cap; /* bytes allocated */
    size_t max; /* never holds more than this many bytes */
};

void sp_buf_init(struct sp_buf *buf, size_t max_bytes);
void sp_buf_fini(struct sp_buf *buf); /* frees; the buffer is empty and usable again */
void sp_buf_clear(struct sp_buf *buf); /* empties, keeps the memory */

/* All of it or nothing. SP_ERR_LIMIT past the cap, SP_ERR_NOMEM. */
enum sp_status sp_buf_add(struct sp_buf *buf, const void *p, size_t n) SP_MUST_CHECK;
enum sp_status sp_buf_add_str(struct sp_buf *buf, struct sp_str s) SP_MUST_CHECK;
enum sp_status sp_buf_addf(struct sp_buf *buf, const char *fmt, ...) SP_PRINTF(2, 3) SP_MUST_CHECK;

#endif
