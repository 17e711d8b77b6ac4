/* A web server as small as it can be: one thread, epoll, kept-alive connections, the bodies of the benchmark. The digits in the path
 * say which body. Prints its port and serves until its standard input ends.
 *
 *   origin FORM BYTES unseen|seen|half */
#include "config.h"

#include "bodies.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define IN_SIZE 16384
#define MAX_EVENTS 64

struct peer {
    int fd;
    char in[IN_SIZE + 1];
    size_t n_in;
    char head[256];
    struct iovec parts[2];
    int part, n_parts;
    struct bench_body own[BENCH_MAX_CLASSES];
};

static int listen_somewhere(unsigned *port_out)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t n = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *) &at, sizeof at) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *) &at, &n) != 0)
        bench_die("listen");
    *port_out = ntohs(at.sin_port);
    return fd;
}

/* 1 all sent, 0 the socket is full, -1 error. */
static int send_parts(struct peer *p)
{
    while (p->part < p->n_parts) {
        ssize_t n = writev(p->fd, &p->parts[p->part], p->n_parts - p->part);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        p->part = bench_parts_sent(p->parts, p->part, p->n_parts, (size_t) n);
    }
    return 1;
}

/* Queues the answer to the request that ends at end. */
static void answer(struct peer *p, const struct bench_mixture *mixture, const char *end)
{
    const char *digits = strstr(p->in, "/items/");
    size_t class = 0;
    uint64_t serial = digits && digits < end ? strtoull(digits + strlen("/items/"), NULL, 16) : 0;
    const struct bench_body *body = bench_pick(mixture, p->own, serial, &class);
    int n = snprintf(p->head, sizeof p->head,
        "HTTP/1.1 200 OK\r\nDate: Mon, 02 Jun 2025 10:00:00 GMT\r\nContent-Type: %s\r\nCache-Control: no-store\r\n"
        "Content-Length: %zu\r\n\r\n",
        bench_content_type(mixture->classes[class].form), body->n);
    p->parts[0] = (struct iovec){ .iov_base = p->head, .iov_len = (size_t) n };
    p->parts[1] = (struct iovec){ .iov_base = body->p, .iov_len = body->n };
    p->part = 0;
    p->n_parts = 2;
    p->n_in -= (size_t) (end - p->in);
    memmove(p->in, end, p->n_in + 1);
}

/* False when the connection is over. */
static bool serve(struct peer *p, const struct bench_mixture *mixture)
{
    for (;;) {
        int sent = send_parts(p);
        if (sent <= 0)
            return sent == 0;
        char *end = strstr(p->in, "\r\n\r\n");
        if (end) {
            answer(p, mixture, end + 4);
            continue;
        }
        ssize_t n = recv(p->fd, p->in + p->n_in, IN_SIZE - p->n_in, 0);
        if (n <= 0)
            return n < 0 && (errno == EAGAIN || errno == EINTR);
        p->n_in += (size_t) n;
        p->in[p->n_in] = '\0';
    }
}

static void take(int epoll, int listener)
{
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct peer *p = bench_alloc(sizeof *p);
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data = { .ptr = p } };
        p->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
            bench_die("epoll_ctl");
    }
}

static void drop(struct peer *p)
{
    close(p->fd);
    bench_own_fini(p->own);
    free(p);
}

int main(int argc, char **argv)
{
    struct bench_mixture *mixture = bench_alloc(sizeof *mixture);
    struct epoll_event events[MAX_EVENTS], event = { .events = EPOLLIN };
    unsigned port = 0;
    int kind = argc == 4 ? bench_kind_parse(argv[3]) : -1, epoll = epoll_create1(EPOLL_CLOEXEC);
    if (kind < 0 || !bench_mixture_init(mixture, argv[1], strtoul(argv[2], NULL, 10), (enum bench_kind) kind)) {
        fputs("usage: origin FORM BYTES unseen|seen|half\n", stderr);
        return 2;
    }
    int listener = listen_somewhere(&port);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event); /* data is zero: the listener */
    event.data.ptr = mixture;                          /* standard input */
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    printf("%u\n", port);
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(epoll, events, MAX_EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct peer *p = events[i].data.ptr;
            if (!p)
                take(epoll, listener);
            else if (events[i].data.ptr == mixture)
                return 0;
            else if (!serve(p, mixture))
                drop(p);
        }
    }
}
