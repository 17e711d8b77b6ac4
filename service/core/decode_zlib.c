/* gzip and deflate; the only includer of zlib.
 *
 * gzip (RFC 1952) is any number of members, after which only zero bytes may follow (padding to a block size).
 *
 * deflate is zlib's format (RFC 1950) by RFC 9110 8.4.1.2, but some servers send bare deflate data (RFC 1951) and clients guess, so
 * this must guess as they do: a valid zlib header wins. A body can be made so that both readings hold, and clients exist that try
 * the bare one first. It needs a stored block with an odd header, which no compressor writes; whoever sends it wants to be read in
 * two ways, so it is refused. */
#include "config.h"

#include "decode_priv.h"

#include <limits.h>
#define ZLIB_CONST /* next_in points to const */
#include <zlib.h>

#define WINDOW_GZIP (MAX_WBITS + 16)
#define WINDOW_ZLIB MAX_WBITS
#define WINDOW_RAW (-MAX_WBITS)
#define HEAD_BYTES 5 /* zlib's two, or the header of a stored block */

enum phase {
    PHASE_HEAD,   /* deflate only: which of its forms is not known yet */
    PHASE_STREAM, /* inside a member */
    PHASE_END,    /* a member is complete, nothing followed so far */
    PHASE_PADDING /* zero bytes after a gzip member */
};

struct zlib_state {
    z_stream z;
    enum phase phase;
    bool is_gzip;
    unsigned char head[HEAD_BYTES]; /* of deflate, held back until its form is known */
    unsigned head_n;
    unsigned head_used;
};

static const char *name_of(const struct zlib_state *s)
{
    return s->is_gzip ? sp_codec_gzip.name : sp_codec_deflate.name;
}

static enum sp_decode_result bad(const struct zlib_state *s, const char *why, struct sp_error *detail)
{
    sp_error_set(detail, SP_ERR_SYNTAX, "%s: %s", name_of(s), why);
    return SP_DECODE_BAD;
}

static enum sp_decode_result no_memory(const struct zlib_state *s, struct sp_error *detail)
{
    sp_error_set(detail, SP_ERR_NOMEM, "no memory to decode %s", name_of(s));
    return SP_DECODE_ERROR;
}

/* The one place that opens an inflate stream; zlib_fini closes it. */
static enum sp_decode_result zlib_init(struct zlib_state *s, bool is_gzip, struct sp_error *detail)
{
    *s = (struct zlib_state){ .is_gzip = is_gzip, .phase = is_gzip ? PHASE_STREAM : PHASE_HEAD };
    int rc = inflateInit2(&s->z, is_gzip ? WINDOW_GZIP : WINDOW_ZLIB);
    return rc == Z_OK ? SP_DECODE_OK : no_memory(s, detail);
}

static enum sp_decode_result gzip_init(void *state, struct sp_error *detail)
{
    return zlib_init(state, true, detail);
}

static enum sp_decode_result deflate_init(void *state, struct sp_error *detail)
{
    return zlib_init(state, false, detail);
}

static void zlib_fini(void *state)
{
    struct zlib_state *s = state;
    inflateEnd(&s->z);
}

/* Runs inflate over one piece of input; *p and *n move on. */
static enum sp_decode_result inflate_piece(
    struct zlib_state *s, const unsigned char **p, size_t *n, struct sp_codec_io *io, struct sp_error *detail)
{
    uInt in_n = *n < UINT_MAX ? (uInt) *n : UINT_MAX;
    uInt out_n = io->out_n < UINT_MAX ? (uInt) io->out_n : UINT_MAX;

    s->z.next_in = *p;
    s->z.avail_in = in_n;
    s->z.next_out = io->out;
    s->z.avail_out = out_n;
    int rc = inflate(&s->z, Z_NO_FLUSH);
    *p += in_n - s->z.avail_in;
    *n -= in_n - s->z.avail_in;
    io->out += out_n - s->z.avail_out;
    io->out_n -= out_n - s->z.avail_out;

    switch (rc) {
    case Z_STREAM_END:
        s->phase = PHASE_END;
        return SP_DECODE_OK;
    case Z_OK:
    case Z_BUF_ERROR: /* nothing to do without more input or room */
        return SP_DECODE_OK;
    case Z_MEM_ERROR:
        return no_memory(s, detail);
    case Z_NEED_DICT:
        return bad(s, "wants a dictionary", detail);
    default:
        return bad(s, s->z.msg != NULL ? s->z.msg : "broken data", detail);
    }
}

/* Bytes behind a complete gzip member: the next member, padding, or garbage. */
static enum sp_decode_result after_member(struct zlib_state *s, struct sp_codec_io *io, struct sp_error *detail)
{
    for (; io->in_n > 0 && *io->in == 0; io->in_n--) {
        io->in++;
        s->phase = PHASE_PADDING;
    }
    if (io->in_n == 0)
        return SP_DECODE_OK;
    if (s->phase == PHASE_PADDING)
        return bad(s, "bytes behind the padding", detail);
    s->phase = PHASE_STREAM;
    return inflateReset(&s->z) == Z_OK ? SP_DECODE_OK : bad(s, "cannot begin the next member", detail);
}

/* Steps until input or room is used up, or there is no more to do. */
static enum sp_decode_result zlib_step(void *state, struct sp_codec_io *io, struct sp_error *detail)
{
    struct zlib_state *s = state;
    enum sp_decode_result result = SP_DECODE_OK;

    while (result == SP_DECODE_OK && io->out_n > 0) {
        if (s->phase == PHASE_STREAM) {
            result = inflate_piece(s, &io->in, &io->in_n, io, detail);
            if (s->phase == PHASE_STREAM)
                break;
        } else if (io->in_n == 0 || !s->is_gzip) {
            break;
        } else {
            result = after_member(s, io, detail);
        }
    }
    return result;
}

static bool is_zlib_header(const unsigned char *head)
{
    const unsigned method_deflate = 8, max_window = 7;
    return (head[0] & 0x0f) == method_deflate && head[0] >> 4 <= max_window && ((unsigned) head[0] << 8 | head[1]) % 31 == 0;
}

/* Bare data that starts like this is a stored block: LEN at 1 and its complement at 3 (RFC 1951 3.2.4). */
static bool is_stored_block(const unsigned char *head)
{
    return (head[0] & 0x06) == 0 && (head[1] ^ head[3]) == 0xff && (head[2] ^ head[4]) == 0xff;
}

/* Takes bytes until the form is known; then sets the phase. */
static enum sp_decode_result choose_form(struct zlib_state *s, struct sp_codec_io *io, struct sp_error *detail)
{
    while (s->head_n < HEAD_BYTES && io->in_n > 0) {
        s->head[s->head_n++] = *io->in++;
        io->in_n--;
        if (s->head_n == 2 && !is_zlib_header(s->head)) {
            s->phase = PHASE_STREAM;
            return inflateReset2(&s->z, WINDOW_RAW) == Z_OK ? SP_DECODE_OK : no_memory(s, detail);
        }
    }
    if (s->head_n < HEAD_BYTES)
        return SP_DECODE_OK;
    if (is_stored_block(s->head))
        return bad(s, "can be read with and without a zlib header", detail);
    s->phase = PHASE_STREAM;
    return SP_DECODE_OK;
}

static enum sp_decode_result deflate_step(void *state, struct sp_codec_io *io, struct sp_error *detail)
{
    struct zlib_state *s = state;
    enum sp_decode_result result = SP_DECODE_OK;

    if (s->phase == PHASE_HEAD) {
        result = choose_form(s, io, detail);
        if (result != SP_DECODE_OK || s->phase == PHASE_HEAD)
            return result;
    }
    while (result == SP_DECODE_OK && s->head_used < s->head_n && io->out_n > 0 && s->phase == PHASE_STREAM) {
        const unsigned char *p = s->head + s->head_used;
        size_t n = s->head_n - s->head_used;
        result = inflate_piece(s, &p, &n, io, detail);
        s->head_used = s->head_n - (unsigned) n;
    }
    return result == SP_DECODE_OK ? zlib_step(state, io, detail) : result;
}

static bool zlib_is_complete(const void *state)
{
    const struct zlib_state *s = state;
    return (s->phase == PHASE_END || s->phase == PHASE_PADDING) && s->head_used == s->head_n;
}

const struct sp_codec sp_codec_gzip = {
    .name = "gzip",
    .alias = "x-gzip",
    .state_bytes = sizeof(struct zlib_state),
    .init = gzip_init,
    .step = zlib_step,
    .is_complete = zlib_is_complete,
    .fini = zlib_fini,
};

const struct sp_codec sp_codec_deflate = {
    .name = "deflate",
    .alias = NULL,
    .state_bytes = sizeof(struct zlib_state),
    .init = deflate_init,
    .step = deflate_step,
    .is_complete = zlib_is_complete,
    .fini = zlib_fini,
};
