/* A file that gzip packed (RFC 1952), read piece by piece. Unlike zlib's own reader it gives what stands before a fault up to its last
 * byte, and takes nothing for gzip's that is not. */
#ifndef SALLYPORT_CLI_GZFILE_H
#define SALLYPORT_CLI_GZFILE_H

#include <stddef.h>
#include <stdint.h>

struct sp_gzfile;

/* fd: borrowed until the free; read from where it is. NULL: no memory. */
struct sp_gzfile *sp_gzfile_new(int fd);
void sp_gzfile_free(struct sp_gzfile **file);

/* Up to room bytes of what was packed, several members one behind the other; *n_out is 0 at the end, and for room 0. Returns NULL, or
 * what went wrong behind these bytes: valid until the free, and nothing can be read any more. */
const char *sp_gzfile_read(struct sp_gzfile *file, char *to, size_t room, size_t *n_out);

/* Bytes of the file itself that are done. */
uint64_t sp_gzfile_taken(const struct sp_gzfile *file);

#endif
