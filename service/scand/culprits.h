/* What has ended workers of one generation, so that it does not take worker after worker. Shared memory between a generation,
 * which alone writes the list, and its workers, each of which writes only its own suspect. An object is named by its length and
 * its digest; as long as nothing of its length is listed, a scan costs one look at a counter. */
#ifndef SALLYPORT_SCAND_CULPRITS_H
#define SALLYPORT_SCAND_CULPRITS_H

#include "sallyport/digest.h"

#include <stdbool.h>
#include <stdint.h>

#define SP_CULPRITS_MAX 256 /* of one generation; the oldest goes */

struct sp_culprit {
    uint64_t bytes; /* > 0 */
    unsigned char digest[SP_DIGEST_BYTES];
};

struct sp_culprits;

/* Shared with every process forked from now on. NULL only without memory. */
struct sp_culprits *sp_culprits_new(void);
void sp_culprits_free(struct sp_culprits **culprits); /* accepts NULL inside; sets NULL */

/* Describes n bytes, which lie at p or, if that is NULL, in fd from offset. False for an object without bytes, and if they cannot
 * be read. */
bool sp_culprit_describe(struct sp_digest *digest, const void *p, int fd, uint64_t offset, uint64_t n, struct sp_culprit *culprit_out);

/* Whether anything of this length is listed: only then is it worth to describe the object. */
bool sp_culprits_has_length(const struct sp_culprits *culprits, uint64_t bytes);
bool sp_culprits_has(const struct sp_culprits *culprits, const struct sp_culprit *culprit);

/* For a worker: should it end now, this is why. Until it is acquitted. */
void sp_culprits_suspect(struct sp_culprits *culprits, unsigned slot, const struct sp_culprit *culprit);
void sp_culprits_acquit(struct sp_culprits *culprits, unsigned slot);

/* For the generation: lists what the worker of this slot suspected. False if that was nothing. */
bool sp_culprits_convict(struct sp_culprits *culprits, unsigned slot, uint64_t *bytes_out);

#endif
