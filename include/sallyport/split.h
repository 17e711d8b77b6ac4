/* Finds the objects that a plain body carries inside itself: the parts of multipart/anything with their transfer encodings
 * undone (RFC 2046, 2045), the values of application/x-www-form-urlencoded, base64 strings in JSON, data: URLs (RFC 2397) in
 * HTML and its like. Push style: feed the body, the objects come out at a sink, byte by byte the same for any chunking.
 * One transaction, one thread. Each kind of body is one file behind a table row in split.c.
 *
 * The body itself is the caller's to scan; what comes out here is scanned besides. A part that has parts of its own is
 * split again, one depth further down.
 *
 * A part with a Content-Transfer-Encoding or a Content-Encoding comes out twice: as it was sent, because many receivers look at
 * neither field, and one depth further down with both undone. Objects without a byte do not come out. */
#ifndef SALLYPORT_SPLIT_H
#define SALLYPORT_SPLIT_H

#include "sallyport/decode.h"
#include "sallyport/message.h"
#include "sallyport/status.h"

#include <stdint.h>

#define SP_SPLIT_MAX_DEPTH 8 /* depths are 0 to this - 1, whatever the limits say */

struct sp_split_limits {
    unsigned max_depth;             /* 1 to SP_SPLIT_MAX_DEPTH; parts nested deeper are LIMIT */
    unsigned max_parts;             /* of all depths together, empty ones too; more are LIMIT */
    struct sp_decode_limits decode; /* for Content-Encoding in the heads of parts; max_output_bytes holds for all parts together */
};

enum sp_split_result {
    SP_SPLIT_OK,
    SP_SPLIT_BAD,   /* what receivers will read differently or cannot be read: multipart without a usable boundary, with a broken
                       part head, a broken coding, or without its end */
    SP_SPLIT_LIMIT, /* a cap was reached, or the sink said SP_ERR_LIMIT */
    SP_SPLIT_ERROR  /* no memory, or the sink failed */
};

/* What takes the objects. At one depth only one object is open at a time; objects of different depths interleave.
 * Anything but SP_OK ends the splitting. */
struct sp_split_sink {
    void *arg;
    enum sp_status (*begin)(void *arg, unsigned depth);
    enum sp_status (*bytes)(void *arg, unsigned depth, const void *p, size_t n);
    enum sp_status (*end)(void *arg, unsigned depth);
};

struct sp_split;

/* True if a body under this head is of a kind that can carry objects: by Content-Type (media type, any case). */
bool sp_split_is_needed(const struct sp_message *msg);

/* Copies what it needs of msg and of sink. On anything but OK *split_out is NULL. The text says why, fit for a log line. */
enum sp_split_result sp_split_new(const struct sp_message *msg, const struct sp_split_limits *limits, const struct sp_split_sink *sink,
    struct sp_error *detail, struct sp_split **split_out) SP_MUST_CHECK;
void sp_split_free(struct sp_split **split); /* accepts NULL inside */

/* LIMIT and ERROR end it: it stays in that result, and an object that was open then stays without its end. A kind of body that can
 * go on after a fault does so: everything comes out, and finish says BAD. */
enum sp_split_result sp_split_feed(struct sp_split *split, const void *p, size_t n, struct sp_error *detail) SP_MUST_CHECK;

/* The body has ended. An empty body is OK. */
enum sp_split_result sp_split_finish(struct sp_split *split, struct sp_error *detail) SP_MUST_CHECK;

#endif
