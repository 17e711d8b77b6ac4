/* The wire form of one scan on scan.sock (unix, SOCK_SEQPACKET, same host, native byte order). One connection carries
 * one request and one reply:
 *
 *   client -> worker  one packet: struct sp_scan_request, then n_extents of struct sp_scan_extent, then inline_bytes of body;
 *                     if inline_bytes is 0 and size is not, one descriptor by SCM_RIGHTS: a sealed memfd or a read-only file
 *                     of exactly size bytes
 *   worker -> client  one packet: struct sp_scan_reply
 *
 * End of file instead of a reply: the worker died. Both sides check magic, version and sizes with the functions here
 * and trust nothing else; text fields are always terminated by the checks. */
#ifndef SALLYPORT_SCAN_PROTO_H
#define SALLYPORT_SCAN_PROTO_H

#include "sallyport/status.h"

#include <stddef.h>
#include <stdint.h>

#define SP_SCAN_MAGIC 0x53504731u /* "SPG1" */
#define SP_SCAN_VERSION 2u
#define SP_SCAN_INLINE_MAX (64u * 1024u)
#define SP_SCAN_EXTENTS_MAX 4096u
#define SP_SCAN_NAME_SIZE 128
#define SP_SCAN_DETAIL_SIZE 128

enum sp_scan_kind {
    SP_SCAN_OBJECT = 1, /* scan size bytes */
    SP_SCAN_PING = 2    /* no body: answer with the engine's facts, verdict CLEAN */
};

/* Flags of a request: */
#define SP_SCAN_IS_RETRY 1u /* a worker has died over it, or given up: if this one does too, the object is not scanned again */
#define SP_SCAN_REQUEST_FLAGS SP_SCAN_IS_RETRY
/* Flags of a reply whose verdict is ERROR: */
#define SP_SCAN_IS_BUSY 1u    /* nothing was scanned: too many long scans are under way. Ask again while the queue's time lasts */
#define SP_SCAN_IS_SPOILED 2u /* the worker failed and leaves: another one may do better. Not in the answer to a retry */

enum sp_verdict {
    SP_VERDICT_CLEAN = 1,
    SP_VERDICT_INFECTED,  /* signature is set */
    SP_VERDICT_LIMIT,     /* a limit of size, time, depth or count; detail says which */
    SP_VERDICT_ENCRYPTED, /* an archive or document that cannot be opened; nothing else was found */
    SP_VERDICT_ERROR      /* the engine failed; detail says how */
};

/* One of several objects that lie in one body. They may overlap: a part, and what was decoded from it. */
struct sp_scan_extent {
    uint64_t offset, bytes; /* within the body; bytes > 0 */
};

struct sp_scan_request {
    uint32_t magic;
    uint16_t version;
    uint16_t kind;         /* enum sp_scan_kind */
    uint64_t size;         /* bytes of the object */
    uint32_t inline_bytes; /* 0, or equal to size */
    uint32_t deadline_ms;  /* hard limit for this scan, counted from when a worker takes it; > 0 */
    uint32_t n_extents;    /* 0: the body is one object. Else each extent is one, scanned in turn as if it came alone, until one is
                            * infected or the deadline is there; the worst is the verdict: infected, limit, error, encrypted, clean */
    uint32_t flags;        /* SP_SCAN_IS_RETRY; others are refused */
    char id[32];           /* transaction id for the log; terminated */
};

struct sp_scan_reply {
    uint32_t magic;
    uint16_t version;
    uint16_t verdict;    /* enum sp_verdict */
    uint64_t scanned;    /* bytes of the object, or of all extents */
    uint64_t engine_id;  /* digest of databases, limits and options: equal engines, equal ids */
    uint32_t generation; /* counts up from 1 with each engine loaded by this scand */
    uint32_t signatures; /* in the engine */
    uint32_t scan_us;    /* time inside the engine */
    uint32_t flags;      /* SP_SCAN_IS_BUSY, SP_SCAN_IS_SPOILED */
    int64_t database_time; /* newest database, seconds since 1970; 0 if unknown */
    char signature[SP_SCAN_NAME_SIZE];
    char detail[SP_SCAN_DETAIL_SIZE];
};

/* Check a packet of n bytes as received; has_fd says whether a descriptor came along. On success text fields are
 * terminated in place. SP_ERR_SYNTAX with a text otherwise. A request's table, if it has one, is checked by itself: */
enum sp_status sp_scan_request_check(struct sp_scan_request *req, size_t n, bool has_fd, struct sp_error *err) SP_MUST_CHECK;
/* n extents of a body of size bytes; *total_out is their sum. */
enum sp_status sp_scan_extents_check(const struct sp_scan_extent *extents, size_t n, uint64_t size, uint64_t *total_out,
    struct sp_error *err) SP_MUST_CHECK;
enum sp_status sp_scan_reply_check(struct sp_scan_reply *reply, size_t n, struct sp_error *err) SP_MUST_CHECK;

const char *sp_verdict_name(enum sp_verdict verdict); /* "clean", ... */

/* The path of the socket in run_dir. SP_ERR_LIMIT if it does not fit into sockaddr_un. */
enum sp_status sp_scan_socket_path(const char *run_dir, char out[108], struct sp_error *err) SP_MUST_CHECK;

#endif
