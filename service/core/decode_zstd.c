/* zstd (RFC 8878, RFC 9659); the only includer of libzstd. Any number of frames, skippable ones among them, nothing else.
 *
 * A frame's header says how much memory the decoder must have; WINDOW_LOG_MAX bounds what it may ask for. The library looks at that
 * only when it decodes piecemeal, so it is read here too: the answer must not hang on how the network cut the body.
 *
 * The library may also know the formats from before zstd was finished; no client does, and their decoders are not maintained, so each
 * frame must begin with one of the two magic numbers of the standard. */
#include "config.h"

#include "decode_priv.h"

#include <zstd.h>
#include <zstd_errors.h>

#define WINDOW_LOG_MAX 23 /* what RFC 9659 lets a sender of Content-Encoding: zstd ask for */
#define WINDOW_LOG_MIN 10 /* exponent 0 of the descriptor */
#define MAGIC_BYTES 4
#define HEAD_BYTES 6        /* magic, descriptor, window */
#define SINGLE_SEGMENT 0x20 /* bit of the descriptor: no window byte, the window is the content */

struct zstd_state {
    ZSTD_DCtx *dctx;
    bool is_in_frame;
    size_t wanted; /* bytes that the library asked for next */
    unsigned head_n;
    unsigned char head[HEAD_BYTES]; /* of the frame */
};

static enum sp_decode_result window_too_large(struct sp_error *detail)
{
    sp_error_set(detail, SP_ERR_LIMIT, "%s: a window over 2^%d bytes", sp_codec_zstd.name, WINDOW_LOG_MAX);
    return SP_DECODE_LIMIT;
}

static enum sp_decode_result explain(size_t rc, struct sp_error *detail)
{
    const char *name = sp_codec_zstd.name, *text = ZSTD_getErrorName(rc);
    ZSTD_ErrorCode code = ZSTD_getErrorCode(rc);
    if (code == ZSTD_error_memory_allocation) {
        sp_error_set(detail, SP_ERR_NOMEM, "no memory to decode %s", name);
        return SP_DECODE_ERROR;
    }
    if (code == ZSTD_error_frameParameter_windowTooLarge)
        return window_too_large(detail);
    sp_error_set(detail, SP_ERR_SYNTAX, "%s: %s", name, text);
    return SP_DECODE_BAD;
}

static void zstd_fini(void *state)
{
    struct zstd_state *s = state;
    ZSTD_freeDCtx(s->dctx);
}

static enum sp_decode_result zstd_init(void *state, struct sp_error *detail)
{
    struct zstd_state *s = state;
    *s = (struct zstd_state){ .dctx = ZSTD_createDCtx() };
    if (s->dctx == NULL) {
        sp_error_set(detail, SP_ERR_NOMEM, "no memory to decode %s", sp_codec_zstd.name);
        return SP_DECODE_ERROR;
    }
    size_t rc = ZSTD_DCtx_setParameter(s->dctx, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    if (!ZSTD_isError(rc))
        return SP_DECODE_OK;
    zstd_fini(s);
    return explain(rc, detail);
}

/* Looks at a frame's first bytes, which may come one by one, before the library sees the last of them. */
static enum sp_decode_result check_head(struct zstd_state *s, const unsigned char *p, size_t n, struct sp_error *detail)
{
    const unsigned char *h = s->head;
    for (size_t i = 0; i < n && s->head_n < HEAD_BYTES; i++)
        s->head[s->head_n++] = p[i];
    if (s->head_n < MAGIC_BYTES)
        return SP_DECODE_OK;
    uint32_t magic = (uint32_t) h[0] | (uint32_t) h[1] << 8 | (uint32_t) h[2] << 16 | (uint32_t) h[3] << 24;
    if ((magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START)
        return SP_DECODE_OK;
    if (magic != ZSTD_MAGICNUMBER) {
        sp_error_set(detail, SP_ERR_SYNTAX, "%s: not the start of a frame", sp_codec_zstd.name);
        return SP_DECODE_BAD;
    }
    if (s->head_n < HEAD_BYTES || (h[4] & SINGLE_SEGMENT) != 0)
        return SP_DECODE_OK;
    unsigned exponent = h[5] >> 3, eighths = h[5] & 7; /* RFC 8878 3.1.1.1.2 */
    bool is_too_large = exponent + WINDOW_LOG_MIN > WINDOW_LOG_MAX || (exponent + WINDOW_LOG_MIN == WINDOW_LOG_MAX && eighths > 0);
    return is_too_large ? window_too_large(detail) : SP_DECODE_OK;
}

/* One call of the library with the next n bytes: it stops at the end of a frame. */
static enum sp_decode_result decode_piece(struct zstd_state *s, struct sp_codec_io *io, size_t n, struct sp_error *detail)
{
    ZSTD_inBuffer in = { io->in, n, 0 };
    ZSTD_outBuffer out = { io->out, io->out_n, 0 };
    size_t rc = ZSTD_decompressStream(s->dctx, &out, &in);
    io->in += in.pos;
    io->in_n -= in.pos;
    io->out += out.pos;
    io->out_n -= out.pos;
    if (ZSTD_isError(rc))
        return explain(rc, detail);
    s->is_in_frame = rc != 0;
    s->wanted = rc;
    if (!s->is_in_frame)
        s->head_n = 0;
    return SP_DECODE_OK;
}

static enum sp_decode_result zstd_step(void *state, struct sp_codec_io *io, struct sp_error *detail)
{
    struct zstd_state *s = state;
    enum sp_decode_result result = SP_DECODE_OK;
    bool is_first = true;

    /* Between frames the library must not be called without input: it would begin a new one. */
    while (result == SP_DECODE_OK && io->out_n > 0 && (io->in_n > 0 || (is_first && s->is_in_frame))) {
        is_first = false;
        /* No more than it asked for: given a block and a wrong checksum in one call, the library would give out nothing of either. */
        size_t wanted = s->is_in_frame ? s->wanted : 1;
        size_t n = wanted < io->in_n ? wanted : io->in_n;
        result = check_head(s, io->in, n, detail);
        if (result == SP_DECODE_OK)
            result = decode_piece(s, io, n, detail);
    }
    return result;
}

static bool zstd_is_complete(const void *state)
{
    const struct zstd_state *s = state;
    return !s->is_in_frame;
}

const struct sp_codec sp_codec_zstd = {
    .name = "zstd",
    .alias = NULL,
    .state_bytes = sizeof(struct zstd_state),
    .init = zstd_init,
    .step = zstd_step,
    .is_complete = zstd_is_complete,
    .fini = zstd_fini,
};
