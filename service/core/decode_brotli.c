/* br (RFC 7932); the only includer of brotli. One stream, nothing behind it. Windows above 16 MiB (an extension of the library that
 * no browser speaks) stay switched off. */
#include "config.h"

#include "decode_priv.h"

#include <brotli/decode.h>

struct brotli_state {
    BrotliDecoderState *decoder;
    bool is_complete;
};

static enum sp_decode_result no_memory(struct sp_error *detail)
{
    sp_error_set(detail, SP_ERR_NOMEM, "no memory to decode %s", sp_codec_brotli.name);
    return SP_DECODE_ERROR;
}

static enum sp_decode_result brotli_init(void *state, struct sp_error *detail)
{
    struct brotli_state *s = state;
    s->is_complete = false;
    s->decoder = BrotliDecoderCreateInstance(NULL, NULL, NULL);
    return s->decoder != NULL ? SP_DECODE_OK : no_memory(detail);
}

static void brotli_fini(void *state)
{
    struct brotli_state *s = state;
    BrotliDecoderDestroyInstance(s->decoder);
}

static enum sp_decode_result explain(const struct brotli_state *s, struct sp_error *detail)
{
    BrotliDecoderErrorCode code = BrotliDecoderGetErrorCode(s->decoder);
    /* The allocation errors are one run of codes, the highest first. */
    if (code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES && code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES)
        return no_memory(detail);
    sp_error_set(detail, SP_ERR_SYNTAX, "%s: %s", sp_codec_brotli.name, BrotliDecoderErrorString(code));
    return SP_DECODE_BAD;
}

static enum sp_decode_result brotli_step(void *state, struct sp_codec_io *io, struct sp_error *detail)
{
    struct brotli_state *s = state;
    if (s->is_complete)
        return SP_DECODE_OK;
    BrotliDecoderResult rc = BrotliDecoderDecompressStream(s->decoder, &io->in_n, &io->in, &io->out_n, &io->out, NULL);
    if (rc == BROTLI_DECODER_RESULT_ERROR)
        return explain(s, detail);
    s->is_complete = rc == BROTLI_DECODER_RESULT_SUCCESS;
    return SP_DECODE_OK;
}

static bool brotli_is_complete(const void *state)
{
    const struct brotli_state *s = state;
    return s->is_complete;
}

const struct sp_codec sp_codec_brotli = {
    .name = "br",
    .alias = NULL,
    .state_bytes = sizeof(struct brotli_state),
    .init = brotli_init,
    .step = brotli_step,
    .is_complete = brotli_is_complete,
    .fini = brotli_fini,
};
