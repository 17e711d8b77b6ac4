/* One scan over one connection. The kernel is the queue: a request that no worker has read yet still lies in the socket,
 * which is how waiting for a worker is told from waiting for a verdict without a message more. */
#include "config.h"

#include "sallyport/scan_client.h"

#include "sallyport/clock.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define US_PER_MS 1000
#define BACKLOG_FULL_WAIT_NS 2000000 /* between attempts to connect while the backlog is full */
#define VERDICT_GRACE_MS 2000        /* the worker stops itself at the deadline; its supervisor a second later */

enum ask_end {
    ASK_REPLY,       /* a checked reply is in the result */
    ASK_NO_SCANNER,  /* nobody listens */
    ASK_NO_WORKER,   /* the queue timeout passed */
    ASK_TOO_LONG,    /* the scan timeout passed */
    ASK_WORKER_DIED, /* end of file instead of a reply */
    ASK_FAILED       /* anything else; detail is set */
};

static void set_detail(struct sp_scan_result *result, const char *what, const char *why)
{
    int n = snprintf(result->detail, sizeof(result->detail), "%s%s%s", what, why[0] ? ": " : "", why);
    if (n < 0) /* a text cut short will do */
        result->detail[0] = '\0';
}

static int64_t ms_left(int64_t until_us)
{
    int64_t left = until_us - sp_clock_mono_us();
    return left <= 0 ? 0 : left / US_PER_MS + 1;
}

static enum ask_end connect_to_worker(const struct sp_scan_client *client, int64_t until_us, int *fd_out, struct sp_scan_result *result)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    memcpy(addr.sun_path, client->socket_path, sizeof(addr.sun_path));
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        set_detail(result, "socket", strerror(errno));
        return ASK_FAILED;
    }
    const struct timespec wait = { 0, BACKLOG_FULL_WAIT_NS };
    while (connect(fd, (const struct sockaddr *) &addr, sizeof(addr)) < 0) {
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN && ms_left(until_us) > 0) {
            nanosleep(&wait, NULL);
            continue;
        }
        enum ask_end end = errno == EAGAIN ? ASK_NO_WORKER : ASK_NO_SCANNER;
        set_detail(result, "scanner not reachable", strerror(errno));
        close(fd);
        return end;
    }
    *fd_out = fd;
    return ASK_REPLY;
}

static bool send_request(int fd, const struct sp_scan_client *client, const struct sp_spool *body, const char *id)
{
    struct sp_scan_request req = { .magic = SP_SCAN_MAGIC, .version = SP_SCAN_VERSION, .kind = body ? SP_SCAN_OBJECT : SP_SCAN_PING };
    struct sp_str bytes = { "", 0 };
    bool is_inline = !body || sp_spool_bytes(body, &bytes);
    req.size = body ? sp_spool_size(body) : 0;
    req.inline_bytes = (uint32_t) bytes.n;
    req.deadline_ms = client->scan_ms;
    snprintf(req.id, sizeof(req.id), "%s", id);

    struct iovec iov[2] = { { &req, sizeof(req) }, { NULL, bytes.n } };
    memcpy(&iov[1].iov_base, &bytes.p, sizeof(iov[1].iov_base)); /* sendmsg does not write, iovec has no const */
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { { 0 } };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = bytes.n > 0 ? 2 : 1 };
    if (!is_inline) {
        int body_fd = sp_spool_fd(body);
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &body_fd, sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(fd, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n >= 0;
}

/* True while no worker has read the request. */
static bool is_still_queued(int fd)
{
    int unread = 0;
    return ioctl(fd, SIOCOUTQ, &unread) == 0 && unread > 0;
}

/* Waits until fd is readable: 1, 0 at until_us, -1 on failure. */
static int wait_readable(int fd, int64_t until_us)
{
    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int n = poll(&p, 1, (int) ms_left(until_us));
        if (n > 0 || (n < 0 && errno != EINTR))
            return n;
        if (n == 0 && ms_left(until_us) == 0)
            return 0;
    }
}

static enum ask_end receive_reply(int fd, const struct sp_scan_client *client, int64_t start_us, struct sp_scan_result *result)
{
    int ready = wait_readable(fd, start_us + (int64_t) client->queue_ms * US_PER_MS);
    if (ready == 0) {
        if (is_still_queued(fd))
            return ASK_NO_WORKER;
        ready = wait_readable(fd, sp_clock_mono_us() + ((int64_t) client->scan_ms + VERDICT_GRACE_MS) * US_PER_MS);
    }
    if (ready == 0)
        return ASK_TOO_LONG;
    ssize_t n = ready < 0 ? -1 : recv(fd, &result->reply, sizeof(result->reply), MSG_TRUNC);
    bool is_late = sp_clock_mono_us() - start_us >= (int64_t) client->scan_ms * US_PER_MS;
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return is_late ? ASK_TOO_LONG : ASK_WORKER_DIED;
    if (n < 0) {
        set_detail(result, "no reply from the scanner", strerror(errno));
        return ASK_FAILED;
    }
    struct sp_error err = { 0 };
    if (sp_scan_reply_check(&result->reply, (size_t) n, &err) != SP_OK) {
        set_detail(result, err.text, "");
        return ASK_FAILED;
    }
    return ASK_REPLY;
}

static enum ask_end ask_once(const struct sp_scan_client *client, const struct sp_spool *body, const char *id,
    struct sp_scan_result *result)
{
    int64_t start_us = sp_clock_mono_us();
    int fd = -1;
    enum ask_end end = connect_to_worker(client, start_us + (int64_t) client->queue_ms * US_PER_MS, &fd, result);
    if (end != ASK_REPLY)
        return end;
    if (send_request(fd, client, body, id)) {
        end = receive_reply(fd, client, start_us, result);
    } else if (errno == EPIPE || errno == ECONNRESET) {
        end = ASK_WORKER_DIED;
    } else {
        set_detail(result, "cannot hand the object to the scanner", strerror(errno));
        end = ASK_FAILED;
    }
    close(fd);
    return end;
}

static enum sp_outcome outcome_of_reply(struct sp_scan_result *result)
{
    set_detail(result, result->reply.detail, "");
    switch ((enum sp_verdict) result->reply.verdict) {
    case SP_VERDICT_CLEAN:
        return SP_OUTCOME_CLEAN;
    case SP_VERDICT_INFECTED:
        return SP_OUTCOME_INFECTED;
    case SP_VERDICT_LIMIT:
        return SP_OUTCOME_LIMIT;
    case SP_VERDICT_ENCRYPTED:
        return SP_OUTCOME_ENCRYPTED;
    case SP_VERDICT_ERROR:
        break;
    }
    return SP_OUTCOME_ERROR;
}

void sp_scan_client_ask(const struct sp_scan_client *client, const struct sp_spool *body, const char *id,
    struct sp_scan_result *result_out)
{
    struct sp_scan_result *result = result_out;
    memset(result, 0, sizeof(*result));
    enum ask_end end = ask_once(client, body, id, result);
    if (end == ASK_WORKER_DIED) {
        result->is_retried = true;
        end = ask_once(client, body, id, result);
    }
    if (end != ASK_REPLY)
        memset(&result->reply, 0, sizeof(result->reply));
    switch (end) {
    case ASK_REPLY:
        result->outcome = outcome_of_reply(result);
        break;
    case ASK_NO_WORKER:
        result->outcome = SP_OUTCOME_OVERLOAD;
        set_detail(result, "no worker took the scan in time", "");
        break;
    case ASK_TOO_LONG:
        result->outcome = SP_OUTCOME_LIMIT;
        set_detail(result, "scan timeout", "");
        break;
    case ASK_WORKER_DIED:
        result->outcome = SP_OUTCOME_ERROR;
        set_detail(result, "the scanner died twice over this object", "");
        break;
    case ASK_NO_SCANNER:
    case ASK_FAILED:
        result->outcome = SP_OUTCOME_ERROR;
        break;
    }
}
