/* One body: memory first, then a sealed memfd, then an unlinked file. Append, seal, read, hand over.
 * A spool belongs to one transaction; no thread may share it. Bytes once appended never change.
 *
 * Tiers: up to SP_SPOOL_HEAP_MAX on the heap (goes inline to the scanner), up to memory_bytes in a memfd, beyond
 * that in an unlinked file in dir. What leaves the heap is taken from a quota that all processes share. */
#ifndef SALLYPORT_SPOOL_H
#define SALLYPORT_SPOOL_H

#include "sallyport/quota.h"
#include "sallyport/status.h"
#include "sallyport/str.h"

#include <stdint.h>

#define SP_SPOOL_HEAP_MAX (64u * 1024u)

struct sp_spool_limits {
    uint64_t memory_bytes; /* memfd up to here, file beyond */
    uint64_t max_bytes;    /* append refuses to go past this */
    const char *dir;       /* borrowed for the life of the spool; where unlinked files go */
    struct sp_quota *quota; /* borrowed likewise; NULL: none */
};

struct sp_spool;

enum sp_status sp_spool_new(const struct sp_spool_limits *limits, struct sp_spool **spool_out) SP_MUST_CHECK;
void sp_spool_free(struct sp_spool **spool);

/* All n bytes or an error: SP_ERR_LIMIT past max_bytes, SP_ERR_NO_ROOM when the quota is used up, SP_ERR_NOMEM (nothing was
 * added in all three), SP_ERR_IO (disk full, ...; the spool is then broken and only free is allowed). */
enum sp_status sp_spool_append(struct sp_spool *spool, const void *p, size_t n, struct sp_error *err) SP_MUST_CHECK;

/* No append after this. A memfd is sealed against writing, growing and shrinking. */
enum sp_status sp_spool_seal(struct sp_spool *spool, struct sp_error *err) SP_MUST_CHECK;

uint64_t sp_spool_size(const struct sp_spool *spool);

/* Copies up to n bytes from offset; *got_out is 0 at the end. Allowed before and after seal. */
enum sp_status sp_spool_read(const struct sp_spool *spool, uint64_t offset, void *p, size_t n, size_t *got_out) SP_MUST_CHECK;

/* True and the bytes if the body is on the heap; borrowed until the next append or free. */
bool sp_spool_bytes(const struct sp_spool *spool, struct sp_str *bytes_out);

/* A read-only descriptor of the sealed body for handing to another process, or -1 if it is on the heap. Owned by the
 * spool. The receiver cannot write through it. */
int sp_spool_fd(const struct sp_spool *spool);

#endif
