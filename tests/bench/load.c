/* The load generator: some kept-alive connections, each with one transaction at a time, for a fixed time; one thread, epoll. Every
 * answer is checked; a wrong one counts as failed. Prints one line of JSON; the exit status is 1 if a transaction failed.
 *
 *   load -p PORT -s SERVICE -m reqmod|respmod [-b BYTES] [-T FORM] [-k unseen|seen|eicar|half] [-c CONNECTIONS]
 *        [-t SECONDS] [-w WARM-SECONDS] [-S SEED] [-P PREVIEW|none] [-g PAUSE-US] [-x ICAP-FIELD] [-r]
 *
 * What ends in the measured time counts, whenever it began: else long transactions would count for less than they are. -g: each
 * connection rests so long after an answer. -r: a changed body is a refusal. */
#include "config.h"

#include "common.h"
#include "conn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define MAX_CONNECTIONS 4096
#define MAX_REASONS 4
#define PATIENCE_US 30000000u /* a transaction that takes longer has failed */
#define TICK_MS 100

struct options {
    struct conn_target target;
    const char *form;
    size_t bytes;
    enum bench_kind kind;
    unsigned connections;
    double run_s, warm_s;
    uint64_t pause_us;
    char extra[256];
    uint64_t seed;
};

struct reason {
    const char *text;
    uint64_t n;
};

struct load {
    const struct options *options;
    int epoll;
    struct conn *conns;
    uint64_t *due;                               /* when each connection may go on */
    struct bench_body (*own)[BENCH_MAX_CLASSES]; /* of each connection */
    struct bench_mixture mixture;
    struct conn_head heads[BENCH_MAX_CLASSES];
    uint64_t serial, warm_us, end_us;
    unsigned busy;
    uint64_t all, counted, failed, blocked, clean_204, clean_200;
    struct reason reasons[MAX_REASONS];
    struct bench_times times;
};

static void note_failure(struct load *l, const char *why)
{
    l->failed++;
    for (size_t i = 0; i < MAX_REASONS; i++) {
        if (!l->reasons[i].text)
            l->reasons[i].text = why;
        if (strcmp(l->reasons[i].text, why) == 0) {
            l->reasons[i].n++;
            return;
        }
    }
}

static void watch(struct load *l, struct conn *c, int op)
{
    struct epoll_event event = { .events = EPOLLIN | (c->is_writable_wanted ? (uint32_t) EPOLLOUT : 0), .data = { .ptr = c } };
    if (epoll_ctl(l->epoll, op, c->fd, &event) != 0)
        bench_die("epoll_ctl");
    c->is_watched = true;
}

static void finish(struct load *l, const struct conn *c, enum conn_answer got, uint64_t now)
{
    bool is_wrong = (got == CONN_BLOCKED) != (l->options->kind == BENCH_EICAR);
    l->all++;
    l->busy--;
    l->blocked += got == CONN_BLOCKED;
    l->clean_204 += got == CONN_CLEAN_204;
    l->clean_200 += got == CONN_CLEAN_200;
    if (got == CONN_FAILED)
        note_failure(l, c->error);
    else if (is_wrong)
        note_failure(l, got == CONN_BLOCKED ? "a clean body was refused" : "the test signature passed");
    else if (now >= l->warm_us && now <= l->end_us) {
        l->counted++;
        bench_times_add(&l->times, now - c->begin_us);
    }
}

static void update_watch(struct load *l, struct conn *c, bool was_wanted)
{
    if (c->fd >= 0 && !c->is_watched)
        watch(l, c, EPOLL_CTL_ADD);
    else if (c->fd >= 0 && c->is_writable_wanted != was_wanted)
        watch(l, c, EPOLL_CTL_MOD);
}

static void begin(struct load *l, struct conn *c)
{
    bool was_wanted = c->is_writable_wanted;
    size_t i = (size_t) (c - l->conns), class = 0;
    uint64_t serial = (l->options->kind == BENCH_SEEN ? 0 : l->options->seed << 40) + l->serial;
    const struct bench_body *body = l->options->target.is_reqmod ? NULL : bench_pick(&l->mixture, l->own[i], serial, &class);
    enum conn_answer answer = conn_begin(c, &l->heads[class], body, serial);
    l->serial++;
    l->busy++;
    update_watch(l, c, was_wanted);
    if (answer != CONN_PENDING)
        finish(l, c, answer, bench_now_us());
}

/* epoll has something for this connection. Its next transaction begins when this one is done. */
static void drive(struct load *l, struct conn *c)
{
    bool was_wanted = c->is_writable_wanted;
    enum conn_answer answer = conn_drive(c);
    update_watch(l, c, was_wanted);
    if (answer == CONN_PENDING)
        return;
    uint64_t now = bench_now_us();
    finish(l, c, answer, now);
    l->due[c - l->conns] = now + l->options->pause_us;
    if (now < l->end_us && l->options->pause_us == 0)
        begin(l, c);
}

/* Connections that failed to begin try again now and then: a dead server must not make a storm of them. Others have rested. */
static void begin_idle(struct load *l)
{
    uint64_t now = bench_now_us();
    for (unsigned i = 0; i < l->options->connections && now < l->end_us; i++)
        if (l->conns[i].state == CONN_IDLE && l->due[i] <= now)
            begin(l, &l->conns[i]);
}

static void expire(struct load *l, uint64_t now)
{
    for (unsigned i = 0; i < l->options->connections; i++) {
        struct conn *c = &l->conns[i];
        if (c->state == CONN_IDLE || now < c->begin_us + PATIENCE_US)
            continue;
        conn_close(c);
        c->state = CONN_IDLE;
        c->error = "no answer in time";
        finish(l, c, CONN_FAILED, now);
    }
}

static void run(struct load *l)
{
    struct epoll_event events[64];
    uint64_t start = bench_now_us();
    l->warm_us = start + (uint64_t) (l->options->warm_s * 1e6);
    l->end_us = l->warm_us + (uint64_t) (l->options->run_s * 1e6);
    for (unsigned i = 0; i < l->options->connections; i++)
        begin(l, &l->conns[i]);
    int tick_ms = l->options->pause_us ? 1 : TICK_MS;
    while (l->busy > 0 || bench_now_us() < l->end_us) {
        int n = epoll_wait(l->epoll, events, (int) (sizeof events / sizeof events[0]), tick_ms);
        if (n < 0 && errno != EINTR)
            bench_die("epoll_wait");
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (c->state == CONN_IDLE)
                conn_close(c); /* closed by the server between two transactions */
            else
                drive(l, c);
        }
        if (n == 0)
            expire(l, bench_now_us());
        if (n == 0 || l->options->pause_us)
            begin_idle(l);
    }
}

static void report(struct load *l)
{
    unsigned reconnects = 0;
    for (unsigned i = 0; i < l->options->connections; i++)
        reconnects += l->conns[i].reconnects;
    printf("{\"tps\": %.1f, \"counted\": %" PRIu64 ", \"all\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"blocked\": %" PRIu64
           ", \"clean_204\": %" PRIu64 ", \"clean_200\": %" PRIu64 ", \"reconnects\": %u, \"p50_us\": %" PRIu32 ", \"p99_us\": %" PRIu32
           ", \"load_cpu_us\": %" PRIu64 ", \"reasons\": [",
        l->options->run_s > 0 ? (double) l->counted / l->options->run_s : 0, l->counted, l->all, l->failed, l->blocked, l->clean_204,
        l->clean_200, reconnects, bench_times_percentile(&l->times, 50), bench_times_percentile(&l->times, 99), bench_cpu_us());
    for (size_t i = 0; i < MAX_REASONS && l->reasons[i].text; i++)
        printf("%s\"%" PRIu64 " x %s\"", i ? ", " : "", l->reasons[i].n, l->reasons[i].text);
    puts("]}");
}

static void prepare(struct load *l)
{
    const struct options *o = l->options;
    const struct bench_mixture *m = &l->mixture;
    l->conns = bench_alloc(o->connections * sizeof *l->conns);
    l->own = bench_alloc(o->connections * sizeof *l->own);
    l->due = bench_alloc(o->connections * sizeof *l->due);
    if (!bench_mixture_init(&l->mixture, o->form, o->bytes, o->kind)) {
        fprintf(stderr, "load: no such form of body: %s\n", o->form);
        exit(2);
    }
    for (size_t c = 0; c < m->n_classes; c++)
        conn_head_init(&l->heads[c], &o->target, m->classes[c].base.n, bench_content_type(m->classes[c].form));
    for (unsigned i = 0; i < o->connections; i++)
        conn_init(&l->conns[i], &o->target);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0)
        bench_die("epoll_create1");
}

static void release(struct load *l)
{
    for (unsigned i = 0; i < l->options->connections; i++) {
        conn_close(&l->conns[i]);
        bench_own_fini(l->own[i]);
    }
    bench_mixture_fini(&l->mixture);
    free(l->conns);
    free(l->own);
    free(l->due);
    bench_times_fini(&l->times);
    close(l->epoll);
}

static void usage(void)
{
    fputs("usage: load -p PORT -s SERVICE -m reqmod|respmod [-b BYTES] [-T text|html|script|pdf|package|mixed]\n"
          "            [-k unseen|seen|eicar|half] [-c CONNECTIONS] [-t SECONDS] [-w WARM-SECONDS] [-S SEED] [-P PREVIEW|none]\n"
          "            [-g PAUSE-US] [-x ICAP-FIELD] [-r]\n",
        stderr);
    exit(2);
}

static enum bench_kind parse_kind(const char *word)
{
    int kind = bench_kind_parse(word);
    if (kind < 0)
        usage();
    return (enum bench_kind) kind;
}

static void parse_option(struct options *o, int opt, const char *value)
{
    switch (opt) {
    case 'p':
        o->target.port = (unsigned) strtoul(value, NULL, 10);
        break;
    case 's':
        o->target.service = value;
        break;
    case 'm':
        o->target.is_reqmod = strcmp(value, "reqmod") == 0;
        break;
    case 'b':
        o->bytes = strtoul(value, NULL, 10);
        break;
    case 'T':
        o->form = value;
        break;
    case 'k':
        o->kind = parse_kind(value);
        break;
    case 'c':
        o->connections = (unsigned) strtoul(value, NULL, 10);
        break;
    case 't':
        o->run_s = strtod(value, NULL);
        break;
    case 'w':
        o->warm_s = strtod(value, NULL);
        break;
    case 'S':
        o->seed = strtoull(value, NULL, 10);
        break;
    case 'P':
        o->target.is_previewing = strcmp(value, "none") != 0;
        o->target.preview = strtoul(value, NULL, 10);
        break;
    case 'g':
        o->pause_us = strtoull(value, NULL, 10);
        break;
    case 'x':
        snprintf(o->extra, sizeof o->extra, "%s\r\n", value);
        break;
    case 'r':
        o->target.is_page_a_refusal = true;
        break;
    default:
        usage();
    }
}

int main(int argc, char **argv)
{
    struct options options = { .target = { .preview = 1024, .is_previewing = true },
        .form = "text",
        .bytes = 1024,
        .kind = BENCH_UNSEEN,
        .connections = 8,
        .run_s = 2,
        .seed = 1 };
    int opt;
    while ((opt = getopt(argc, argv, "p:s:m:b:T:k:c:t:w:S:P:g:x:r")) != -1)
        parse_option(&options, opt, optarg);
    options.target.extra = options.extra;
    if (options.target.port == 0 || !options.target.service || options.connections == 0 || options.connections > MAX_CONNECTIONS ||
        optind != argc)
        usage();
    struct load *load = bench_alloc(sizeof *load);
    load->options = &options;
    prepare(load);
    run(load);
    report(load);
    int status = load->failed || load->all == 0 ? 1 : 0;
    release(load);
    free(load);
    return status;
}
