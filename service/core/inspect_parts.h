/* Only for inspect*.c: the objects inside one body, as they come out of it, in spools of their own.
 *
 * Objects of one depth lie behind each other in one spool, which is scanned with a table of where each begins: so a thousand small
 * ones cost one descriptor and one request. */
#ifndef SALLYPORT_INSPECT_PARTS_H
#define SALLYPORT_INSPECT_PARTS_H

#include "sallyport/digest.h"
#include "sallyport/scan_client.h"
#include "sallyport/split.h"
#include "sallyport/spool.h"

struct sp_parts;

/* Something to scan: a spool, and the digest of its bytes if somebody wants to know. */
struct sp_part_body {
    struct sp_scan_body body;
    bool has_digest;
    unsigned char digest[SP_DIGEST_BYTES];
};

struct sp_parts_setup {
    const struct sp_message *carrier; /* the head whose Content-Type says what the body is */
    struct sp_split_limits split;
    struct sp_spool_limits spool;
    const struct sp_digest *model; /* borrowed; NULL: no digests */
};

enum sp_split_result sp_parts_new(const struct sp_parts_setup *setup, struct sp_error *detail, struct sp_parts **parts_out) SP_MUST_CHECK;
void sp_parts_free(struct sp_parts **parts); /* accepts NULL inside */

/* Plain bytes of the body. After anything but OK no more is looked for; what was found so far is still scanned. */
enum sp_split_result sp_parts_feed(struct sp_parts *parts, const void *p, size_t n, struct sp_error *detail) SP_MUST_CHECK;
enum sp_split_result sp_parts_finish(struct sp_parts *parts, struct sp_error *detail) SP_MUST_CHECK;

/* Seals the spools and writes up to max entries that must be scanned; they borrow from parts. */
enum sp_status sp_parts_bodies(
    struct sp_parts *parts, struct sp_part_body *bodies, size_t max, size_t *n_out, struct sp_error *err) SP_MUST_CHECK;

#endif
