/* Lines to syslog or to the journal, as datagrams to their sockets. Not through the C library's syslog(), which belongs to the
 * program around us and waits for whoever reads. A datagram is taken at once or not at all. */
#include "config.h"

#include "declog_priv.h"

#include "sallyport/assert.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SYSLOG_PATH "/dev/log"
#define JOURNAL_PATH "/run/systemd/journal/socket"
#define SYSLOG_HEAD "<30>" /* facility daemon, severity info (RFC 3164) */
#define NAME "sallyport"
#define HEAD_BYTES 64

struct sp_declog_socket {
    struct sockaddr_un address; /* immutable */
    int fd;                     /* immutable; never connected, so that whoever listens may come and go */
    bool is_journal;
};

enum sp_status sp_declog_socket_open(bool is_journal, const char *path, struct sp_error *err, struct sp_declog_socket **socket_out)
{
    *socket_out = NULL;
    struct sp_declog_socket *to = calloc(1, sizeof(*to));
    if (!to)
        return sp_error_set(err, SP_ERR_NOMEM, "out of memory");
    if (!path)
        path = is_journal ? JOURNAL_PATH : SYSLOG_PATH;
    to->is_journal = is_journal;
    to->address.sun_family = AF_UNIX;
    to->fd = -1;
    enum sp_status status = SP_OK;
    if (snprintf(to->address.sun_path, sizeof(to->address.sun_path), "%s", path) >= (int) sizeof(to->address.sun_path))
        status = sp_error_set(err, SP_ERR_CONF, "%s: path is too long for a socket", path);
    else if ((to->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
        status = sp_error_set(err, SP_ERR_IO, "no socket for the decision log: %s", strerror(errno));
    if (status == SP_OK)
        *socket_out = to;
    else
        sp_declog_socket_close(&to);
    return status;
}

void sp_declog_socket_close(struct sp_declog_socket **socket_p)
{
    if (!*socket_p)
        return;
    if ((*socket_p)->fd >= 0)
        close((*socket_p)->fd);
    free(*socket_p);
    *socket_p = NULL;
}

static bool send_parts(struct sp_declog_socket *to, const struct sp_str *parts, size_t n)
{
    struct iovec pieces[3];
    SP_ASSERT(n <= sizeof(pieces) / sizeof(pieces[0]));
    for (size_t i = 0; i < n; i++)
        pieces[i] = (struct iovec){ (void *) (uintptr_t) parts[i].p, parts[i].n };
    const struct msghdr message = { .msg_name = &to->address, .msg_namelen = sizeof(to->address), .msg_iov = pieces, .msg_iovlen = n };
    ssize_t sent;
    do
        sent = sendmsg(to->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

/* "<30>Nov 22 14:26:39 sallyport: ", what syslog() would write; English whatever the locale. */
static struct sp_str syslog_head(char out[HEAD_BYTES])
{
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    const time_t now = time(NULL);
    struct tm tm = { 0 };
    localtime_r(&now, &tm);
    int n = snprintf(out, HEAD_BYTES, SYSLOG_HEAD "%s %2d %02d:%02d:%02d " NAME ": ", months[(unsigned) tm.tm_mon % 12], tm.tm_mday,
        tm.tm_hour, tm.tm_min, tm.tm_sec);
    return (struct sp_str){ out, n > 0 && n < HEAD_BYTES ? (size_t) n : 0 };
}

bool sp_declog_socket_write(struct sp_declog_socket *to, struct sp_str line, struct sp_str fields)
{
    if (to->is_journal) {
        const struct sp_str parts[] = { SP_STR("PRIORITY=6\nSYSLOG_IDENTIFIER=" NAME "\nMESSAGE="), line, fields };
        return send_parts(to, parts, 3);
    }
    char head[HEAD_BYTES];
    const struct sp_str parts[] = { syslog_head(head), line };
    return send_parts(to, parts, 2);
}
