/* A capped growable run of bytes. One byte more than n is always there for the terminator. */
#include "config.h"

#include "sallyport/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 256

void sp_buf_init(struct sp_buf *buf, size_t max_bytes)
{
    *buf = (struct sp_buf){ .max = max_bytes };
}

void sp_buf_fini(struct sp_buf *buf)
{
    free(buf->p);
    sp_buf_init(buf, buf->max);
}

void sp_buf_clear(struct sp_buf *buf)
{
    buf->n = 0;
    if (buf->p)
        buf->p[0] = '\0';
}

/* Makes room for n more bytes and the terminator. */
static enum sp_status reserve(struct sp_buf *buf, size_t n)
{
    if (n > buf->max || buf->n > buf->max - n)
        return SP_ERR_LIMIT;
    size_t need = buf->n + n + 1;
    if (need <= buf->cap)
        return SP_OK;
    size_t cap = buf->cap ? buf->cap : FIRST_BYTES;
    while (cap < need)
        cap *= 2;
    char *p = realloc(buf->p, cap);
    if (!p)
        return SP_ERR_NOMEM;
    buf->p = p;
    buf->cap = cap;
    return SP_OK;
}

enum sp_status sp_buf_add(struct sp_buf *buf, const void *p, size_t n)
{
    enum sp_status status = reserve(buf, n);
    if (status != SP_OK)
        return status;
    if (n > 0)
        memcpy(buf->p + buf->n, p, n);
    buf->n += n;
    buf->p[buf->n] = '\0';
    return SP_OK;
}

enum sp_status sp_buf_add_str(struct sp_buf *buf, struct sp_str s)
{
    return sp_buf_add(buf, s.p, s.n);
}

enum sp_status sp_buf_addf(struct sp_buf *buf, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    enum sp_status status = n < 0 ? SP_ERR_SYNTAX : reserve(buf, (size_t) n);
    if (status == SP_OK) {
        vsnprintf(buf->p + buf->n, (size_t) n + 1, fmt, again);
        buf->n += (size_t) n;
    }
    va_end(again);
    return status;
}
