/* The length of the queue at a listening unix socket, by sock_diag(7): what `ss -lx` shows. It costs those who wait nothing, and is right
 * even when every worker hangs. The one file that includes linux/unix_diag.h. */
#include "config.h"

#include "backlog.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define STATE_LISTEN 10 /* TCP_LISTEN, which unix sockets use too */
#define WAIT_MS 500
#define ANSWER_BYTES 32768
#define US_PER_MS 1000

static bool ask(int fd)
{
    struct {
        struct nlmsghdr head;
        struct unix_diag_req body;
    } request = {
        .head = { .nlmsg_len = sizeof(request), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
        .body = { .sdiag_family = AF_UNIX, .udiag_states = 1u << STATE_LISTEN, .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_RQLEN },
    };
    const struct timeval patience = { .tv_usec = WAIT_MS * US_PER_MS };
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
        return false;
    return send(fd, &request, sizeof(request), 0) == (ssize_t) sizeof(request);
}

/* Whether the message is of the socket at path; then its queue. The kernel puts no NUL behind a name. */
static bool is_of(const struct nlmsghdr *head, const char *path, unsigned *n_out)
{
    if (head->nlmsg_len < NLMSG_LENGTH(sizeof(struct unix_diag_msg)))
        return false;
    const struct unix_diag_msg *msg = NLMSG_DATA(head);
    const size_t wanted = strlen(path);
    bool is_named = false, has_queue = false;
    unsigned left = head->nlmsg_len - (unsigned) NLMSG_LENGTH(sizeof(*msg));
    const struct rtattr *attr = (const struct rtattr *) (const void *) (msg + 1);
    for (; RTA_OK(attr, left); attr = RTA_NEXT(attr, left)) {
        size_t n = RTA_PAYLOAD(attr);
        const char *name = RTA_DATA(attr);
        if (attr->rta_type == UNIX_DIAG_NAME) {
            while (n > 0 && name[n - 1] == '\0')
                n--;
            is_named = n == wanted && memcmp(name, path, n) == 0;
        } else if (attr->rta_type == UNIX_DIAG_RQLEN && n >= sizeof(struct unix_diag_rqlen)) {
            struct unix_diag_rqlen queue;
            memcpy(&queue, RTA_DATA(attr), sizeof(queue));
            *n_out = queue.udiag_rqueue;
            has_queue = true;
        }
    }
    return is_named && has_queue;
}

/* Reads the whole answer, which may have come in several pieces. */
static bool find(int fd, const char *path, unsigned *n_out)
{
    union {
        char bytes[ANSWER_BYTES];
        struct nlmsghdr align;
    } answer;
    for (;;) {
        const ssize_t got = recv(fd, answer.bytes, sizeof(answer.bytes), 0);
        if (got <= 0)
            return false;
        unsigned left = (unsigned) got;
        for (const struct nlmsghdr *head = &answer.align; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
            if (head->nlmsg_type == NLMSG_DONE || head->nlmsg_type == NLMSG_ERROR)
                return false;
            if (head->nlmsg_type == SOCK_DIAG_BY_FAMILY && is_of(head, path, n_out))
                return true;
        }
    }
}

bool sp_backlog(const char *path, unsigned *n_out)
{
    const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return false;
    const bool is_found = ask(fd) && find(fd, path, n_out);
    close(fd);
    return is_found;
}
