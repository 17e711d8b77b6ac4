/* The Content-Encoding chain (RFC 9110 8.4): undoes the codings of a body while it arrives. Push style: feed encoded
 * bytes, plain bytes come out at a sink. One transaction, one thread. Each codec is one file behind a table row in
 * decode.c; the only includers of zlib, brotli and zstd are decode_zlib.c, decode_brotli.c and decode_zstd.c.
 *
 * Caps: layers, output bytes, and the ratio of output to input. A bomb ends in LIMIT, a broken or unknown coding in
 * BAD; neither is ever plain. */
#ifndef SALLYPORT_DECODE_H
#define SALLYPORT_DECODE_H

#include "sallyport/message.h"
#include "sallyport/status.h"

#include <stdint.h>

struct sp_decode_limits {
    unsigned max_layers;       /* codings stacked */
    uint64_t max_output_bytes; /* of the last layer, and of each inner one */
    unsigned max_ratio;        /* output / input once output is past 1 MiB */
};

enum sp_decode_result {
    SP_DECODE_OK,
    SP_DECODE_BAD,   /* corrupt, cut short, trailing garbage, or a coding nobody knows */
    SP_DECODE_LIMIT, /* a cap was reached */
    SP_DECODE_ERROR  /* no memory, or the sink failed */
};

/* Takes plain bytes; anything but SP_OK stops the chain with SP_DECODE_ERROR, or LIMIT for SP_ERR_LIMIT. */
typedef enum sp_status (*sp_decode_sink_fn)(void *arg, const void *p, size_t n);

struct sp_decode;

/* True if name is a coding that can be undone (any case), or identity. */
bool sp_decode_is_known(struct sp_str name);

/* True if msg names a coding in any number of Content-Encoding fields (comma-joined or repeated, any case). identity is none, and
 * so is what servers write by mistake ("utf-8", "none"). */
bool sp_decode_is_needed(const struct sp_message *msg);

/* Builds the chain that msg's Content-Encoding fields ask for, last coding first. BAD: a name nobody knows (its text
 * is in *detail). LIMIT: too many layers. On anything but OK *decode_out is NULL. */
enum sp_decode_result sp_decode_new(const struct sp_message *msg, const struct sp_decode_limits *limits, sp_decode_sink_fn sink, void *arg,
    struct sp_error *detail, struct sp_decode **decode_out) SP_MUST_CHECK;
void sp_decode_free(struct sp_decode **decode);

/* Any chunking gives the same output. After a result other than OK the chain stays in that result. */
enum sp_decode_result sp_decode_feed(struct sp_decode *decode, const void *p, size_t n, struct sp_error *detail) SP_MUST_CHECK;

/* The body has ended: BAD if any layer still expects bytes. An empty body is OK. */
enum sp_decode_result sp_decode_finish(struct sp_decode *decode, struct sp_error *detail) SP_MUST_CHECK;

#endif
