/* Only for split_multipart.c and the two files behind it: the boundary parameter, and one part with its codings. */
#ifndef SALLYPORT_SPLIT_MULTIPART_PRIV_H
#define SALLYPORT_SPLIT_MULTIPART_PRIV_H

#include "split_priv.h"

#define SP_BOUNDARY_MAX 256 /* RFC 2046 says 70; software takes more */

/* The boundary parameter of a Content-Type. False: there is none to work with. In that case, and where receivers will read it
 * differently, *odd has the text. */
bool sp_boundary_parse(struct sp_str content_type, char out[SP_BOUNDARY_MAX], size_t *n_out, struct sp_error *odd);

/* One part between its head and its end. Embed it and zero it; after open its address must stay. Faults go to ctx->bad. */
struct sp_mime_part {
    struct sp_split_ctx *ctx;
    struct sp_split_part *raw;   /* as it was sent */
    struct sp_split_part *plain; /* with its codings undone; NULL: it has none */
    struct sp_transfer transfer;
    struct sp_decode *decode;    /* NULL: none, or nobody knows it */
    enum sp_split_result result; /* of what the decoder's sink did, and where its text goes */
    struct sp_error *detail;
};

/* head: any start line, then the fields of the part, then an empty line. Never BAD, like the two that follow. */
enum sp_split_result sp_mime_part_open(
    struct sp_mime_part *part, struct sp_split_ctx *ctx, struct sp_str head, unsigned depth, struct sp_error *detail) SP_MUST_CHECK;
enum sp_split_result sp_mime_part_feed(struct sp_mime_part *part, const char *p, size_t n, struct sp_error *detail) SP_MUST_CHECK;
enum sp_split_result sp_mime_part_finish(struct sp_mime_part *part, struct sp_error *detail) SP_MUST_CHECK;
void sp_mime_part_fini(struct sp_mime_part *part); /* also after a failure, and twice */

#endif
