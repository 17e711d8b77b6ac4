/* Only for split.c and the kinds of body behind it: the row that each kind is, and what a kind may call. */
#ifndef SALLYPORT_SPLIT_PRIV_H
#define SALLYPORT_SPLIT_PRIV_H

#include "sallyport/split.h"

/* What all kinds of one split share. Zero it, then fill in limits and sink. */
struct sp_split_ctx {
    struct sp_split_limits limits;
    struct sp_split_sink sink;
    unsigned n_parts;         /* so far */
    uint64_t n_decoded_bytes; /* so far, out of content codings */
    struct sp_error bad;      /* has a text once something was BAD; the split goes on and says so at its end */
};

/* The Content-Type that counts: of several fields the first that says multipart, else the first that some kind accepts.
 * *is_ambiguous_out: they differ, and one of them says multipart. */
struct sp_str sp_split_content_type(const struct sp_message *msg, bool *is_ambiguous_out);
struct sp_str sp_split_media_type(struct sp_str content_type); /* trimmed, without parameters */

/* One kind of body. content_type is the whole value of the field, media_type the trimmed type of it. */
struct sp_split_kind {
    const char *name;
    bool (*accepts)(struct sp_str media_type);
    /* depth is where the objects of this body go. *state_out is NULL on anything but OK. */
    enum sp_split_result (*init)(
        struct sp_split_ctx *ctx, struct sp_str content_type, unsigned depth, struct sp_error *detail, void **state_out);
    enum sp_split_result (*feed)(void *state, const char *p, size_t n, struct sp_error *detail);
    enum sp_split_result (*finish)(void *state, struct sp_error *detail);
    void (*fini)(void *state);
};

extern const struct sp_split_kind sp_split_multipart; /* multipart/anything */
extern const struct sp_split_kind sp_split_form;      /* application/x-www-form-urlencoded */
extern const struct sp_split_kind sp_split_json;      /* application/json, anything +json, and JSON lines */
extern const struct sp_split_kind sp_split_markup;    /* HTML, XHTML, SVG, CSS, XML, JavaScript: data: URLs */

/* A result of init, feed or finish that is BAD ends that kind, nothing else: the rest of the body is still split, and the text is what
 * the whole split says at its end. LIMIT and ERROR end the whole split.
 *
 * An object and, if its Content-Type is of a kind that carries objects, what is inside it. Made by any kind for each object that
 * it finds; it counts max_parts, and tells the sink with the first byte. Bytes go to the sink at the kind's depth, and to the kind
 * within one depth further down. Without a content_type nothing is looked for inside. Never BAD. */
struct sp_split_part;
enum sp_split_result sp_split_part_new(struct sp_split_ctx *ctx, struct sp_str content_type, unsigned depth, struct sp_error *detail,
    struct sp_split_part **part_out) SP_MUST_CHECK;
enum sp_split_result sp_split_part_feed(struct sp_split_part *part, const void *p, size_t n, struct sp_error *detail) SP_MUST_CHECK;
enum sp_split_result sp_split_part_finish(struct sp_split_part *part, struct sp_error *detail) SP_MUST_CHECK;
void sp_split_part_free(struct sp_split_part **part); /* accepts NULL inside; without finish the object stays open */

/* Transfer encodings as streaming decoders (transfer.c): forgiving, as mail and form software is. Never fail. What is no escape stays
 * as it is; blanks between a lone "=" of quoted-printable and something else than a line end are lost. */
enum sp_transfer_kind { SP_TRANSFER_IDENTITY, SP_TRANSFER_BASE64, SP_TRANSFER_QUOTED_PRINTABLE, SP_TRANSFER_PERCENT };
struct sp_transfer {
    enum sp_transfer_kind kind;
    bool plus_is_space; /* PERCENT only */
    unsigned n_held;    /* BASE64: sextets in bits; else how far an escape has come */
    char held;          /* the first digit of an escape */
    uint32_t bits;
};
void sp_transfer_init(struct sp_transfer *t, enum sp_transfer_kind kind);
/* The value of a Content-Transfer-Encoding; 7bit, 8bit, binary are IDENTITY. False, and IDENTITY: a name nobody knows. */
bool sp_transfer_parse(struct sp_str name, enum sp_transfer_kind *kind_out);
/* Decodes from in until it is used up or out is full: *used_out of n, *made_out of cap (cap >= 8). */
void sp_transfer_step(struct sp_transfer *t, const char *in, size_t n, size_t *used_out, char *out, size_t cap, size_t *made_out);
size_t sp_transfer_finish(struct sp_transfer *t, char out[8]); /* what was held over; returns its length */

#endif
