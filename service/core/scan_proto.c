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
    if (n - sizeof(*req) != req->inline_bytes || req->inline_bytes > SP_SCAN_INLINE_MAX)
        return sp_error_set(err, SP_ERR_SYNTAX, "scan request says %u inline bytes and has %zu", req->inline_bytes, n - sizeof(*req));
    if (req->deadline_ms == 0)
        return sp_error_set(err, SP_ERR_SYNTAX, "scan request without a deadline");
    bool wants_fd = req->kind == SP_SCAN_OBJECT && req->size > 0 && req->inline_bytes == 0;
    if (wants_fd != has_fd)
        return sp_error_set(err, SP_ERR_SYNTAX, has_fd ? "scan request with a descriptor too many" : "scan request without its descriptor");
    if (req->kind == SP_SCAN_PING)
        return req->size == 0 && req->inline_bytes == 0 ? SP_OK : sp_error_set(err, SP_ERR_SYNTAX, "ping with a body");
    if (req->kind != SP_SCAN_OBJECT)
        return sp_error_set(err, SP_ERR_SYNTAX, "scan request of unknown kind %u", req->kind);
    if (req->inline_bytes > 0 && req->inline_bytes != req->size)
        return sp_error_set(err, SP_ERR_SYNTAX, "scan request of %u inline bytes for an object of %llu", req->inline_bytes,
            (unsigned long long) req->size);
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
