/* Only for decode.c and the codecs behind it: the row that each coding is.
 *
 * A codec is pulled by the chain: one step turns some input into at most one output buffer. It never sees the next layer, the
 * sink or the caps; the chain checks those between steps. Its state is part of the layer's memory, uninitialised before init.
 * fini is called exactly once after an init that returned SP_DECODE_OK, and never otherwise. */
#ifndef SALLYPORT_DECODE_PRIV_H
#define SALLYPORT_DECODE_PRIV_H

#include "sallyport/decode.h"

/* What one step may use; the codec moves the pointers on. Input is encoded, output plain. */
struct sp_codec_io {
    const unsigned char *in;
    size_t in_n;
    unsigned char *out;
    size_t out_n;
};

struct sp_codec {
    const char *name;
    const char *alias; /* or NULL */
    size_t state_bytes;
    enum sp_decode_result (*init)(void *state, struct sp_error *detail);
    /* Goes on until the input is used up, the output is full, or the coding has ended. To take and to make nothing says that the
     * bytes are behind the end. Called with no input only to fetch what did not fit before. Output made before a failure counts. */
    enum sp_decode_result (*step)(void *state, struct sp_codec_io *io, struct sp_error *detail);
    /* True if the coding may end here. Asked only if the layer got at least one byte. */
    bool (*is_complete)(const void *state);
    void (*fini)(void *state);
};

extern const struct sp_codec sp_codec_gzip;
extern const struct sp_codec sp_codec_deflate;
extern const struct sp_codec sp_codec_brotli;
extern const struct sp_codec sp_codec_zstd;

#endif
