/* Packets of the scan protocol: the first byte says request, reply or table, and whether a descriptor came along. */
#include "config.h"

#include "sallyport/scan_proto.h"

#include <stdbool.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* The body's size, then extents. */
static int check_table(const uint8_t *bytes, size_t n)
{
    struct sp_scan_extent extents[16];
    uint64_t size = 0, total = 0;
    if (n < sizeof(size))
        return 0;
    memcpy(&size, bytes, sizeof(size));
    n -= sizeof(size);
    n = n < sizeof(extents) ? n : sizeof(extents);
    memcpy(extents, bytes + sizeof(size), n);
    n /= sizeof(extents[0]);
    struct sp_error err = { 0 };
    if (sp_scan_extents_check(extents, n, size, &total, &err) != SP_OK)
        return 0;
    for (size_t i = 0; i < n; i++)
        if (extents[i].bytes == 0 || extents[i].bytes > total || extents[i].offset + extents[i].bytes < extents[i].offset
            || extents[i].offset + extents[i].bytes > size)
            __builtin_trap();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n == 0)
        return 0;
    bool is_reply = bytes[0] & 1, has_fd = bytes[0] & 2;
    bytes++;
    n--;
    bool is_table = bytes[-1] & 4;
    struct sp_error err = { 0 };
    if (is_table)
        return check_table(bytes, n);
    if (is_reply) {
        struct sp_scan_reply reply = { 0 };
        memcpy(&reply, bytes, n < sizeof(reply) ? n : sizeof(reply));
        if (sp_scan_reply_check(&reply, n, &err) == SP_OK && (strlen(reply.signature) >= SP_SCAN_NAME_SIZE || reply.verdict == 0))
            __builtin_trap();
        return 0;
    }
    struct sp_scan_request req = { 0 };
    memcpy(&req, bytes, n < sizeof(req) ? n : sizeof(req));
    if (sp_scan_request_check(&req, n, has_fd, &err) != SP_OK)
        return 0;
    if (strlen(req.id) >= sizeof(req.id) || req.deadline_ms == 0 || req.inline_bytes > SP_SCAN_INLINE_MAX
        || req.n_extents > SP_SCAN_EXTENTS_MAX || n != sizeof(req) + req.n_extents * sizeof(struct sp_scan_extent) + req.inline_bytes)
        __builtin_trap();
    return 0;
}
