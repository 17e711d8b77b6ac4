/* A browser's part: kept-alive connections to a proxy, one request at a time on each, for a fixed time. Prints one line of JSON like
 * load does. An answer counts as failed if it is not a 200 with as many bytes as were wanted.
 *
 *   browse -p PROXY-PORT -o ORIGIN-PORT -b BYTES [-c CONNECTIONS] [-t SECONDS] [-w WARM-SECONDS] [-S SEED] [-g PAUSE-US]
 *
 * -b 0: any size is right. */
#include "config.h"

#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_SIZE 65536
#define MAX_CONNECTIONS 1024
#define MAX_EVENTS 64
#define PATIENCE_US 30000000u

enum body_state { HEAD, LENGTH, SIZE_LINE, CHUNK, CHUNK_END, LAST, TO_END };

struct tab {
    int fd;
    bool is_busy, is_closing;
    enum body_state state;
    char in[IN_SIZE + 1];
    size_t n_in, left, got;
    int status;
    uint64_t begin_us, due_us;
};

struct browser {
    unsigned proxy, origin, connections;
    size_t bytes;
    double run_s, warm_s;
    uint64_t seed, serial, pause_us, warm_us, end_us, all, counted, failed;
    unsigned busy;
    int epoll;
    const char *reason;
    struct tab *tabs;
    struct bench_times times;
};

static void hang_up(struct tab *t)
{
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
}

static bool dial(struct browser *b, struct tab *t)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t) b->proxy) };
    struct epoll_event event = { .events = EPOLLIN, .data = { .ptr = t } };
    int one = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    t->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (t->fd < 0 || connect(t->fd, (const struct sockaddr *) &to, sizeof to) != 0) {
        hang_up(t);
        return false;
    }
    setsockopt(t->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, t->fd, &event) != 0)
        bench_die("epoll_ctl");
    return true;
}

static void finish(struct browser *b, struct tab *t, const char *why)
{
    uint64_t now = bench_now_us();
    t->is_busy = false;
    t->due_us = now + b->pause_us;
    b->busy--;
    b->all++;
    if (why || t->is_closing)
        hang_up(t);
    if (why) {
        b->failed++;
        b->reason = why;
        t->due_us = now + 10000;
    } else if (now >= b->warm_us && now <= b->end_us) {
        b->counted++;
        bench_times_add(&b->times, now - t->begin_us);
    }
}

static void begin(struct browser *b, struct tab *t)
{
    char request[512], digits[BENCH_STAMP_DIGITS + 1] = "";
    bench_hex(digits, (b->seed << 40) + b->serial++);
    int n = snprintf(request, sizeof request,
        "GET http://127.0.0.1:%u/items/%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
        "Accept: */*\r\nAccept-Language: en-GB\r\n\r\n",
        b->origin, digits, b->origin);
    t->is_busy = true;
    t->is_closing = false;
    t->state = HEAD;
    t->n_in = t->got = 0;
    t->begin_us = bench_now_us();
    b->busy++;
    if ((t->fd < 0 && !dial(b, t)) || send(t->fd, request, (size_t) n, MSG_NOSIGNAL) != n)
        finish(b, t, "cannot ask the proxy");
}

static void drop_front(struct tab *t, size_t n)
{
    t->n_in -= n;
    memmove(t->in, t->in + n, t->n_in + 1);
}

static void take_head(struct tab *t, char *end)
{
    const char *length, *coding, *connection;
    end[2] = '\0';
    if (sscanf(t->in, "HTTP/1.%*d %d", &t->status) != 1)
        t->status = 0;
    length = bench_field(t->in, "Content-Length");
    coding = bench_field(t->in, "Transfer-Encoding");
    connection = bench_field(t->in, "Connection");
    t->is_closing = connection && strncasecmp(connection, "close", 5) == 0;
    t->left = length ? strtoul(length, NULL, 10) : 0;
    t->state = coding ? SIZE_LINE : length ? LENGTH : TO_END;
    drop_front(t, (size_t) (end + 4 - t->in));
}

static void eat(struct tab *t)
{
    size_t n = t->n_in < t->left ? t->n_in : t->left;
    t->got += n;
    t->left -= n;
    drop_front(t, n);
}

/* One step on the bytes at hand: 1 go on, 0 more are needed, 2 the answer is complete. */
static int parse_step(struct tab *t)
{
    char *line = strstr(t->in, "\r\n");
    switch (t->state) {
    case HEAD:
        line = strstr(t->in, "\r\n\r\n");
        if (line)
            take_head(t, line);
        return line ? 1 : 0;
    case LENGTH:
        eat(t);
        return t->left == 0 ? 2 : 0;
    case SIZE_LINE:
        if (!line)
            return 0;
        t->left = strtoul(t->in, NULL, 16);
        t->state = t->left ? CHUNK : LAST;
        drop_front(t, (size_t) (line + 2 - t->in));
        return 1;
    case CHUNK:
        eat(t);
        if (t->left == 0)
            t->state = CHUNK_END;
        return t->left == 0;
    case CHUNK_END:
        if (t->n_in < 2)
            return 0;
        drop_front(t, 2);
        t->state = SIZE_LINE;
        return 1;
    case LAST:
        return t->n_in >= 2 ? 2 : 0;
    case TO_END:
        t->got += t->n_in;
        t->n_in = 0;
        return 0;
    }
    return 0;
}

static void drive(struct browser *b, struct tab *t)
{
    ssize_t n = t->fd < 0 ? -1 : recv(t->fd, t->in + t->n_in, IN_SIZE - t->n_in, MSG_DONTWAIT);
    int step = 1;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (!t->is_busy) {
        hang_up(t); /* closed between two requests */
        return;
    }
    if (n > 0) {
        t->n_in += (size_t) n;
        t->in[t->n_in] = '\0';
        while (step == 1)
            step = parse_step(t);
    }
    if (n <= 0 && t->state == TO_END) {
        t->is_closing = true;
        step = 2;
    }
    if (step == 2 && t->status != 200)
        finish(b, t, "the answer is not a 200");
    else if (step == 2 && b->bytes && t->got != b->bytes)
        finish(b, t, "not as many bytes as there should be");
    else if (step == 2)
        finish(b, t, NULL);
    else if (n <= 0)
        finish(b, t, "connection lost in the middle of a transaction");
}

static void begin_due(struct browser *b)
{
    uint64_t now = bench_now_us();
    for (unsigned i = 0; i < b->connections; i++) {
        struct tab *t = &b->tabs[i];
        if (t->is_busy && now > t->begin_us + PATIENCE_US)
            finish(b, t, "no answer in time");
        else if (!t->is_busy && now < b->end_us && t->due_us <= now)
            begin(b, t);
    }
}

static void run(struct browser *b)
{
    struct epoll_event events[MAX_EVENTS];
    b->warm_us = bench_now_us() + (uint64_t) (b->warm_s * 1e6);
    b->end_us = b->warm_us + (uint64_t) (b->run_s * 1e6);
    begin_due(b);
    while (b->busy > 0 || bench_now_us() < b->end_us) {
        int n = epoll_wait(b->epoll, events, MAX_EVENTS, b->pause_us ? 1 : 10);
        for (int i = 0; i < n; i++) {
            struct tab *t = events[i].data.ptr;
            drive(b, t);
            if (!t->is_busy && b->pause_us == 0 && t->due_us <= bench_now_us() && bench_now_us() < b->end_us)
                begin(b, t);
        }
        if (n == 0 || b->pause_us || b->busy < b->connections)
            begin_due(b);
    }
}

static void report(struct browser *b)
{
    printf("{\"tps\": %.1f, \"counted\": %" PRIu64 ", \"all\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"p50_us\": %" PRIu32
           ", \"p99_us\": %" PRIu32 ", \"load_cpu_us\": %" PRIu64 ", \"reasons\": [",
        b->run_s > 0 ? (double) b->counted / b->run_s : 0, b->counted, b->all, b->failed, bench_times_percentile(&b->times, 50),
        bench_times_percentile(&b->times, 99), bench_cpu_us());
    if (b->reason)
        printf("\"%s\"", b->reason);
    puts("]}");
}

static void parse_options(int argc, char **argv, struct browser *b)
{
    int opt;
    while ((opt = getopt(argc, argv, "p:o:b:c:t:w:S:g:")) != -1) {
        switch (opt) {
        case 'p':
            b->proxy = (unsigned) strtoul(optarg, NULL, 10);
            break;
        case 'o':
            b->origin = (unsigned) strtoul(optarg, NULL, 10);
            break;
        case 'b':
            b->bytes = strtoul(optarg, NULL, 10);
            break;
        case 'c':
            b->connections = (unsigned) strtoul(optarg, NULL, 10);
            break;
        case 't':
            b->run_s = strtod(optarg, NULL);
            break;
        case 'w':
            b->warm_s = strtod(optarg, NULL);
            break;
        case 'S':
            b->seed = strtoull(optarg, NULL, 10);
            break;
        case 'g':
            b->pause_us = strtoull(optarg, NULL, 10);
            break;
        default:
            b->connections = 0;
        }
    }
    if (b->proxy == 0 || b->origin == 0 || b->connections == 0 || b->connections > MAX_CONNECTIONS || optind != argc) {
        fputs("usage: browse -p PROXY-PORT -o ORIGIN-PORT -b BYTES [-c CONNECTIONS] [-t SECONDS] [-w WARM-SECONDS] [-S SEED]\n"
              "              [-g PAUSE-US]\n",
            stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct browser b = { .connections = 8, .run_s = 2, .seed = 1 };
    parse_options(argc, argv, &b);
    b.epoll = epoll_create1(EPOLL_CLOEXEC);
    b.tabs = bench_alloc(b.connections * sizeof *b.tabs);
    for (unsigned i = 0; i < b.connections; i++)
        b.tabs[i].fd = -1;
    run(&b);
    report(&b);
    for (unsigned i = 0; i < b.connections; i++)
        hang_up(&b.tabs[i]);
    free(b.tabs);
    bench_times_fini(&b.times);
    close(b.epoll);
    return b.failed || b.all == 0 ? 1 : 0;
}
