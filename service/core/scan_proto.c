/* Checks of the packets between c-icap threads and scanner workers. Nothing in a packet is used before it passed here. */
#include "config.h"

#include "sallyport/scan_proto.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#define SOCKET_NAME "scan.sock"

enum sp_status sp_scan_request_check(struct sp_scan_request *req, size_t n, bool has_fd, struct sp_error *err)
{
    if (n < sizeof(*req))
        return sp_error_set(err, SP_ERR_SYNTAX, "scan request of %zu bytes is too short", n);
    req->id[sizeof(req->id) - 1] = '\0';
    if (req->magic != SP_SCAN_MAGIC || req->version != SP_SCAN_VERSION)
        return sp_error_set(err, SP_ERR_SYNTAX, "scan request of another protocol (magic %08x, version %u)", req->magic, req->version);
    if (req->n_extents > SP_SCAN_EXTENTS_MAX || req->inline_bytes > SP_SCAN_INLINE_MAX)
        return sp_error_set(err, SP_ERR_SYNTAX, "scan request of %u extents and %u inline bytes", req->n_extents, req->inline_bytes);
    const size_t announced = req->n_extents * sizeof(struct sp_scan_extent) + req->inline_bytes;
    if (n - sizeof(*req) != announced)
        return sp_error_set(err, SP_ERR_SYNTAX, "scan request says that %zu bytes follow and has %zu", announced, n - sizeof(*req));
    if (req->flags & ~SP_SCAN_REQUEST_FLAGS)
        return sp_error_set(err, SP_ERR_SYNTAX, "scan request with unknown flags %x", req->flags);
    if (req->deadline_ms == 0)
        return sp_error_set(err, SP_ERR_SYNTAX, "scan request without a deadline");
    bool wants_fd = req->kind == SP_SCAN_OBJECT && req->size > 0 && req->inline_bytes == 0;
    if (wants_fd != has_fd)
        return sp_error_set(err, SP_ERR_SYNTAX, has_fd ? "scan request with a descriptor too many" : "scan request without its descriptor");
    if (req->kind == SP_SCAN_PING)
        return req->size == 0 && announced == 0 ? SP_OK : sp_error_set(err, SP_ERR_SYNTAX, "ping with a body");
    if (req->kind != SP_SCAN_OBJECT)
        return sp_error_set(err, SP_ERR_SYNTAX, "scan request of unknown kind %u", req->kind);
    if (req->inline_bytes > 0 && req->inline_bytes != req->size)
        return sp_error_set(err, SP_ERR_SYNTAX, "scan request of %u inline bytes for an object of %llu", req->inline_bytes,
            (unsigned long long) req->size);
    return SP_OK;
}

enum sp_status sp_scan_extents_check(
    const struct sp_scan_extent *extents, size_t n, uint64_t size, uint64_t *total_out, struct sp_error *err)
{
    uint64_t total = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t offset = extents[i].offset, bytes = extents[i].bytes;
        if (bytes == 0 || offset > size || bytes > size - offset)
            return sp_error_set(err, SP_ERR_SYNTAX, "extent %zu (%llu bytes at %llu) is not in an object of %llu bytes", i,
                (unsigned long long) bytes, (unsigned long long) offset, (unsigned long long) size);
        if (total + bytes < total)
            return sp_error_set(err, SP_ERR_SYNTAX, "extents of more bytes than can be counted");
        total += bytes;
    }
    *total_out = total;
    return SP_OK;
}

enum sp_status sp_scan_reply_check(struct sp_scan_reply *reply, size_t n, struct sp_error *err)
{
    if (n != sizeof(*reply))
        return sp_error_set(err, SP_ERR_SYNTAX, "scan reply of %zu bytes", n);
    reply->signature[sizeof(reply->signature) - 1] = '\0';
    reply->detail[sizeof(reply->detail) - 1] = '\0';
    if (reply->magic != SP_SCAN_MAGIC || reply->version != SP_SCAN_VERSION)
        return sp_error_set(err, SP_ERR_SYNTAX, "scan reply of another protocol (magic %08x, version %u)", reply->magic, reply->version);
    if (reply->verdict < SP_VERDICT_CLEAN || reply->verdict > SP_VERDICT_ERROR)
        return sp_error_set(err, SP_ERR_SYNTAX, "scan reply with unknown verdict %u", reply->verdict);
    if (reply->verdict == SP_VERDICT_INFECTED && reply->signature[0] == '\0')
        snprintf(reply->signature, sizeof(reply->signature), "%s", "unnamed");
    return SP_OK;
}

const char *sp_verdict_name(enum sp_verdict verdict)
{
    static const char *const names[] = {
        [SP_VERDICT_CLEAN] = "clean",         [SP_VERDICT_INFECTED] = "infected", [SP_VERDICT_LIMIT] = "limit",
        [SP_VERDICT_ENCRYPTED] = "encrypted", [SP_VERDICT_ERROR] = "error",
    };
    size_t i = (size_t) verdict;
    return i > 0 && i < sizeof(names) / sizeof(names[0]) ? names[i] : "unknown";
}

enum sp_status sp_scan_socket_path(const char *run_dir, char out[108], struct sp_error *err)
{
    struct sockaddr_un addr;
    int n = snprintf(out, sizeof(addr.sun_path), "%s/%s", run_dir, SOCKET_NAME);
    if (n < 0 || (size_t) n >= sizeof(addr.sun_path))
        return sp_error_set(err, SP_ERR_LIMIT, "run_dir is too long for a unix socket (%zu bytes at most): %s",
            sizeof(addr.sun_path) - sizeof(SOCKET_NAME) - 1, run_dir);
    return SP_OK;
}
