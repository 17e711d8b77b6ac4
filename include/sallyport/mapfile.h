/* Files that many processes map and write together. A file that others have mapped is never written over or cut: a new one takes
 * its name instead, complete before anyone can see it. What is in it is the caller's, and must be atomics. */
#ifndef SALLYPORT_MAPFILE_H
#define SALLYPORT_MAPFILE_H

#include "sallyport/status.h"

#include <stddef.h>
#include <stdint.h>

/* What every such file begins with: another header, another layout. Must be the first member of the caller's struct. */
struct sp_mapfile_header {
    uint32_t magic;
    uint32_t bytes;  /* of the whole struct */
    uint64_t layout; /* a version, or a digest of names */
};

/* Maps path, made anew with mode 0644 and all zero behind the header if it is missing or has another header; an existing file goes
 * on as it is. */
enum sp_status sp_mapfile_open(
    const char *path, const struct sp_mapfile_header *header, struct sp_error *err, void **map_out) SP_MUST_CHECK;

/* A file that is read and written through its descriptor instead: it may be cut at any time without killing anybody. Only its user
 * may touch it (mode 0600). */
struct sp_mapfile_start {
    const struct sp_mapfile_header *header; /* the first of what follows */
    size_t n;                               /* bytes that a new file begins with; at most SP_MAPFILE_START_MAX */
    /* Whether what an existing file begins with (n bytes) is right; one that is not is replaced, and so is somebody else's. */
    bool (*is_right)(const void *start, const struct sp_mapfile_header *header);
};
#define SP_MAPFILE_START_MAX 256
enum sp_status sp_mapfile_open_fd(const char *path, const struct sp_mapfile_start *start, struct sp_error *err, int *fd_out) SP_MUST_CHECK;

/* Maps an existing file read-only; SP_ERR_NOT_FOUND if there is none, SP_ERR_CONF for another layout. */
enum sp_status sp_mapfile_open_reader(
    const char *path, const struct sp_mapfile_header *header, struct sp_error *err, void **map_out) SP_MUST_CHECK;

/* Without a file: shared between this process and its children. */
enum sp_status sp_mapfile_anonymous(const struct sp_mapfile_header *header, struct sp_error *err, void **map_out) SP_MUST_CHECK;

void sp_mapfile_close(void *map, const struct sp_mapfile_header *header); /* of any of the three; accepts NULL */

#endif
