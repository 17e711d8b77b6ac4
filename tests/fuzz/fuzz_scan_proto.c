/* Packets of the scan protocol: the first byte says request or reply and whether a descriptor came along. */
#include "config.h"

#include "sallyport/scan_proto.h"

#include <stdbool.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n == 0)
        return 0;
    bool is_reply = bytes[0] & 1, has_fd = bytes[0] & 2;
    bytes++;
    n--;
    struct sp_error err = { 0 };
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
        || n != sizeof(req) + req.inline_bytes)
        __builtin_trap();
    return 0;
}
