/* A scanner that does what a script says, one letter a connection, for faults that a real one cannot be made to have on time:
 *   c clean   i infected   l limit   e encrypted   x engine error   o infected if it is objects of a body, clean if it is the body
 *   w too busy, asks to be asked again   s engine error, worth another worker
 *   r hangs up before it has read the request
 *   d takes the request and dies   b answers with bytes that are no reply   h takes the request and hangs   q does not even take it
 * The last letter stands for all later connections. It keeps what the last request carried. */
#ifndef SALLYPORT_TESTS_FAKE_SCANNER_H
#define SALLYPORT_TESTS_FAKE_SCANNER_H

#include "unit.h"

#include "sallyport/scan_proto.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FAKE_BODY_MAX (SP_SCAN_INLINE_MAX + 65536)

struct fake_scanner {
    char dir[64], path[108];
    const char *script;
    int listen_fd, stop_pipe[2];
    pthread_t thread;
    atomic_int connections;
    char body[FAKE_BODY_MAX]; /* of the last request, read when stopped */
    size_t body_bytes;
    struct sp_scan_request request;
    struct sp_scan_extent extents[SP_SCAN_EXTENTS_MAX];
    int held[16], n_held; /* connections that hang */
};

static inline void fake_scanner_take(struct fake_scanner *f, int fd)
{
    static char packet[sizeof(struct sp_scan_request) + sizeof(f->extents) + SP_SCAN_INLINE_MAX];
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = { packet, sizeof(packet) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes) };
    ssize_t n = recvmsg(fd, &msg, 0);
    int body_fd = -1;
    struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
    if (c)
        memcpy(&body_fd, CMSG_DATA(c), sizeof(int));
    struct sp_error err = { 0 };
    if (n == 0) /* it could not send */
        return;
    memcpy(&f->request, packet, sizeof(f->request));
    if (sp_scan_request_check(&f->request, n < 0 ? 0 : (size_t) n, body_fd >= 0, &err) != SP_OK)
        abort();
    const size_t table_bytes = f->request.n_extents * sizeof(f->extents[0]);
    uint64_t total;
    memcpy(f->extents, packet + sizeof(f->request), table_bytes);
    if (sp_scan_extents_check(f->extents, f->request.n_extents, f->request.size, &total, &err) != SP_OK)
        abort();
    f->body_bytes = f->request.inline_bytes;
    memcpy(f->body, packet + sizeof(f->request) + table_bytes, f->body_bytes);
    if (body_fd >= 0) {
        ssize_t got = pread(body_fd, f->body, sizeof(f->body), 0);
        f->body_bytes = got < 0 ? 0 : (size_t) got;
        close(body_fd);
    }
}

static inline void fake_scanner_answer(int fd, char what)
{
    struct sp_scan_reply reply = { .magic = SP_SCAN_MAGIC, .version = SP_SCAN_VERSION, .engine_id = 42, .generation = 1, .scan_us = 7 };
    switch (what) {
    case 'c': reply.verdict = SP_VERDICT_CLEAN; break;
    case 'i':
        reply.verdict = SP_VERDICT_INFECTED;
        snprintf(reply.signature, sizeof(reply.signature), "Test.Signature");
        break;
    case 'l':
        reply.verdict = SP_VERDICT_LIMIT;
        snprintf(reply.detail, sizeof(reply.detail), "too deep");
        break;
    case 'e': reply.verdict = SP_VERDICT_ENCRYPTED; break;
    case 'x': reply.verdict = SP_VERDICT_ERROR; break;
    case 's':
    case 'w':
        reply.verdict = SP_VERDICT_ERROR;
        reply.flags = what == 's' ? SP_SCAN_IS_SPOILED : SP_SCAN_IS_BUSY;
        break;
    default: reply.magic = 0; break;
    }
    (void) !send(fd, &reply, sizeof(reply), MSG_NOSIGNAL);
}

static inline void *fake_scanner_run(void *arg)
{
    struct fake_scanner *f = arg;
    const char *at = f->script;
    for (;;) {
        struct pollfd p[2] = { { .fd = f->listen_fd, .events = POLLIN }, { .fd = f->stop_pipe[0], .events = POLLIN } };
        if (*at == 'q') /* leaves connections in the backlog */
            p[0].fd = -1;
        if (poll(p, 2, -1) < 0 || p[1].revents)
            return NULL;
        int fd = accept(f->listen_fd, NULL, NULL);
        char what = *at;
        if (at[1])
            at++;
        if (what == 'r') { /* not before it was sent: to hang up on a client that connects is another case */
            struct pollfd sent = { .fd = fd, .events = POLLIN };
            poll(&sent, 1, 1000);
            atomic_fetch_add(&f->connections, 1);
            close(fd);
            continue;
        }
        fake_scanner_take(f, fd);
        atomic_fetch_add(&f->connections, 1);
        if (what == 'h') {
            f->held[f->n_held++] = fd;
            continue;
        }
        if (what == 'o')
            what = f->request.n_extents > 0 ? 'i' : 'c';
        if (what != 'd')
            fake_scanner_answer(fd, what);
        close(fd);
    }
}

static inline void fake_scanner_place(struct fake_scanner *f)
{
    memset(f, 0, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/sallyport-unit-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f->dir));
    ck_assert_int_eq(sp_scan_socket_path(f->dir, f->path, NULL), SP_OK);
}

static inline void fake_scanner_listen(struct fake_scanner *f, const char *script)
{
    f->script = script;
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    memcpy(addr.sun_path, f->path, sizeof(f->path));
    f->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    ck_assert_int_eq(bind(f->listen_fd, (struct sockaddr *) &addr, sizeof(addr)), 0);
    ck_assert_int_eq(listen(f->listen_fd, 16), 0);
    ck_assert_int_eq(pipe(f->stop_pipe), 0);
    ck_assert_int_eq(pthread_create(&f->thread, NULL, fake_scanner_run, f), 0);
}

static inline void fake_scanner_start(struct fake_scanner *f, const char *script)
{
    fake_scanner_place(f);
    fake_scanner_listen(f, script);
}

/* As a scanner that ends: what waits in its backlog is lost. */
static inline void fake_scanner_unlisten(struct fake_scanner *f)
{
    ck_assert_int_eq(write(f->stop_pipe[1], "", 1), 1);
    pthread_join(f->thread, NULL);
    for (int i = 0; i < f->n_held; i++)
        close(f->held[i]);
    close(f->listen_fd);
    close(f->stop_pipe[0]);
    close(f->stop_pipe[1]);
    unlink(f->path);
}

static inline void fake_scanner_stop(struct fake_scanner *f)
{
    fake_scanner_unlisten(f);
    rmdir(f->dir);
}

#endif
