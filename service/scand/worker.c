/* One scan: accept, one recvmsg, the engine, one sendmsg, close. Nothing is allocated on the way and no timer is set for a
 * short scan: one timer runs on, and its handler looks whether the current deadline has passed; only if none would go off in
 * time it is set anew. The handler may interrupt libclamav anywhere, so it does nothing but send an answer that lies ready,
 * and end the process. */
#include "config.h"

#include "worker.h"

#include "scratch.h"
#include "slots.h"

#include "sallyport/clock.h"
#include "sallyport/scan_proto.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define US_PER_MS 1000
#define US_PER_S 1000000
#define NS_PER_US 1000
#define RECEIVE_MS 5000           /* a client that has connected must have sent by then */
#define FDS_MAX 4                 /* descriptors of a message that are looked at; the kernel drops more */
#define WARN_EVERY_US 1000000     /* between two warnings about malformed requests */
#define ACCEPT_PAUSE_NS 100000000 /* after an accept that failed for want of descriptors or memory */

enum phase { PHASE_IDLE, PHASE_RECEIVING, PHASE_SCANNING };

struct packet {
    struct sp_scan_request request;
    unsigned char body[SP_SCAN_INLINE_MAX];
    unsigned char excess; /* a byte here: the packet is too long */
};

struct worker {
    const struct sp_worker_env *env;
    struct sp_board_worker *slot;
    pid_t pid;
    timer_t timer;
    int connection;               /* -1: none */
    volatile sig_atomic_t phase;  /* enum phase; set after what it makes valid, cleared before */
    _Atomic int64_t deadline_us;  /* of the phase */
    _Atomic int64_t timer_set_us; /* when the timer goes off; 0: it is off */
    struct sp_scan_reply late;    /* the answer at the deadline */
    struct sp_scan_reply reply;
    struct sp_engine_result result;
    int64_t warned_us;
    unsigned unwarned; /* malformed requests since then */
    struct packet packet;
};

static struct worker *the_worker; /* for the signal handler, which gets no argument */

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* --- the deadline ---------------------------------------------------------------------------------------------------- */

static void set_timer(struct worker *w, int64_t at_us)
{
    const struct itimerspec when = { .it_value = { .tv_sec = at_us / US_PER_S, .tv_nsec = at_us % US_PER_S * NS_PER_US } };
    w->timer_set_us = at_us;
    timer_settime(w->timer, TIMER_ABSTIME, &when, NULL);
}

static void on_timer(int signal_number)
{
    (void) signal_number;
    const int saved_errno = errno;
    struct worker *w = the_worker;
    w->timer_set_us = 0;
    if (w->phase == PHASE_IDLE) {
        errno = saved_errno;
        return;
    }
    if (sp_clock_mono_us() < w->deadline_us) {
        set_timer(w, w->deadline_us);
    } else if (w->phase == PHASE_RECEIVING) {
        shutdown(w->connection, SHUT_RDWR); /* ends the recvmsg */
    } else {
        send(w->connection, &w->late, sizeof(w->late), MSG_NOSIGNAL | MSG_DONTWAIT);
        count(&w->env->board->scans);
        _exit(SP_WORKER_TIMED_OUT);
    }
    errno = saved_errno;
}

static enum sp_status make_timer(struct worker *w)
{
    struct sigaction action = { .sa_handler = on_timer, .sa_flags = SA_RESTART };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
    sigemptyset(&action.sa_mask);
    return sigaction(SIGALRM, &action, NULL) == 0 && timer_create(CLOCK_MONOTONIC, &event, &w->timer) == 0 ? SP_OK : SP_ERR_IO;
}

/* Enters a phase that must end by deadline_us. A later deadline than before is set before the phase, or the handler would
 * hold the new phase to the old deadline. */
static void begin_phase(struct worker *w, enum phase phase, int64_t deadline_us)
{
    w->deadline_us = deadline_us;
    w->phase = phase;
    const int64_t set_us = w->timer_set_us;
    if (set_us == 0 || set_us > deadline_us)
        set_timer(w, deadline_us);
}

/* --- the board ------------------------------------------------------------------------------------------------------- */

/* A supervisor that was started after ours was killed begins the board anew: then the slot is no longer ours. */
static bool owns_slot(const struct worker *w)
{
    return atomic_load_explicit(&w->slot->pid, memory_order_relaxed) == w->pid;
}

static void show(struct worker *w, int64_t busy_since_us, int64_t deadline_us)
{
    if (!owns_slot(w))
        return;
    atomic_store_explicit(&w->slot->deadline_us, deadline_us, memory_order_relaxed);
    atomic_store_explicit(&w->slot->busy_since_us, busy_since_us, memory_order_relaxed);
}

static void ask_for_more_workers(const struct worker *w)
{
    static const uint64_t one = 1;
    if (!sp_slots_want_more(w->env->board, w->env->generation, w->env->max_workers))
        return;
    if (write(w->env->grow_fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: they know */
}

/* --- one request ----------------------------------------------------------------------------------------------------- */

static void warn_malformed(struct worker *w, const char *why, int64_t now_us)
{
    if (w->warned_us != 0 && now_us - w->warned_us < WARN_EVERY_US) {
        w->unwarned++;
        return;
    }
    if (w->unwarned > 0)
        sp_log(w->env->log, SP_LOG_WARN, "refused: %s (and %u more since the last warning)", why, w->unwarned);
    else
        sp_log(w->env->log, SP_LOG_WARN, "refused: %s", why);
    w->warned_us = now_us;
    w->unwarned = 0;
}

/* Keeps the first descriptor of the message, closes all others. How many there were. */
static unsigned take_descriptors(struct msghdr *msg, int *fd_out)
{
    unsigned n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t bytes = c->cmsg_len - CMSG_LEN(0);
        for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
            if (n++ == 0)
                *fd_out = fd;
            else
                close(fd);
        }
    }
    return n;
}

/* One packet into w->packet. SP_ERR_CLOSED if the client sent nothing. */
static enum sp_status receive(struct worker *w, size_t *n_out, int *fd_out, struct sp_error *err)
{
    union {
        char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = { &w->packet, sizeof(w->packet) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes) };
    ssize_t n;
    do
        n = recvmsg(w->connection, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return sp_error_set(err, SP_ERR_CLOSED, "no request: %s", strerror(errno));
    const unsigned fds = take_descriptors(&msg, fd_out);
    *n_out = (size_t) n;
    if (msg.msg_flags & MSG_TRUNC || (size_t) n > offsetof(struct packet, excess))
        return sp_error_set(err, SP_ERR_SYNTAX, "a scan request that is too long");
    if (msg.msg_flags & MSG_CTRUNC || fds > 1)
        return sp_error_set(err, SP_ERR_SYNTAX, "a scan request with more than one descriptor");
    if (n == 0)
        return sp_error_set(err, SP_ERR_CLOSED, "a client that sent no request");
    return sp_scan_request_check(&w->packet.request, (size_t) n, fds == 1, err);
}

/* What a client hands over must be a file of the size it said. A memfd that a client can change is refused: it says sealed
 * and is not. Plain files (on tmpfs too, which knows seals but not for them) are read by pread, so that a shrinking one is
 * a short read and not a SIGBUS. */
static enum sp_status check_descriptor(int fd, uint64_t size, bool *is_sealed_out, struct sp_error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return sp_error_set(err, SP_ERR_SYNTAX, "a descriptor without a file: %s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return sp_error_set(err, SP_ERR_SYNTAX, "a descriptor that is no regular file");
    if ((uint64_t) st.st_size != size)
        return sp_error_set(
            err, SP_ERR_SYNTAX, "a file of %lld bytes for an object of %llu", (long long) st.st_size, (unsigned long long) size);
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || flags & O_PATH || (flags & O_ACCMODE) == O_WRONLY)
        return sp_error_set(err, SP_ERR_SYNTAX, "a descriptor that cannot be read");
    const int needed = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;
    const int seals = fcntl(fd, F_GET_SEALS);
    *is_sealed_out = seals >= 0 && (seals & needed) == needed;
    if (seals >= 0 && !*is_sealed_out && !(seals & F_SEAL_SEAL))
        return sp_error_set(err, SP_ERR_SYNTAX, "a memfd that is not sealed");
    return SP_OK;
}

static void scan_descriptor(struct worker *w, int fd, size_t n, bool is_sealed)
{
    void *p = is_sealed ? mmap(NULL, n, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0) : MAP_FAILED;
    if (p == MAP_FAILED) {
        sp_engine_scan_fd(w->env->engine, fd, n, &w->result);
        return;
    }
    sp_engine_scan_memory(w->env->engine, p, n, &w->result);
    munmap(p, n);
}

static void prepare_reply(struct worker *w)
{
    const struct sp_engine_facts *facts = sp_engine_facts(w->env->engine);
    struct sp_scan_reply *reply = &w->reply;
    memset(reply, 0, sizeof(*reply));
    reply->magic = SP_SCAN_MAGIC;
    reply->version = SP_SCAN_VERSION;
    reply->verdict = SP_VERDICT_CLEAN;
    reply->engine_id = facts->id;
    reply->generation = w->env->generation;
    reply->signatures = facts->signatures;
    reply->database_time = facts->database_time;
    w->late = *reply;
    w->late.verdict = SP_VERDICT_LIMIT;
    snprintf(w->late.detail, sizeof(w->late.detail), "longer than scan.timeout");
}

/* Idle from here on, for the board too: the client's next connection, which wakes another worker, must not find this one busy
 * and ask for more. */
static void send_reply(struct worker *w)
{
    ssize_t n;
    show(w, 0, 0);
    do
        n = send(w->connection, &w->reply, sizeof(w->reply), MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        sp_log(w->env->log, SP_LOG_DEBUG, "the client of a scan has gone: %s", strerror(errno));
}

static void fill_reply(struct worker *w, const struct sp_engine_result *result, int64_t took_us)
{
    w->reply.verdict = (uint16_t) result->verdict;
    w->reply.scanned = w->packet.request.size;
    w->reply.scan_us = took_us > UINT32_MAX ? UINT32_MAX : (uint32_t) took_us;
    memcpy(w->reply.signature, result->signature, sizeof(w->reply.signature));
    memcpy(w->reply.detail, result->detail, sizeof(w->reply.detail));
}

static void count_scan(const struct worker *w)
{
    struct sp_board *board = w->env->board;
    count(&board->scans);
    if (w->result.verdict == SP_VERDICT_INFECTED)
        count(&board->infected);
    else if (w->result.verdict == SP_VERDICT_ERROR)
        count(&board->errors);
}

/* fd is -1 for an inline body. */
static void scan(struct worker *w, int fd, bool is_sealed)
{
    const struct sp_scan_request *request = &w->packet.request;
    const uint32_t ms = request->deadline_ms < w->env->scan_ms_max ? request->deadline_ms : w->env->scan_ms_max;
    const int64_t start_us = sp_clock_mono_us();
    const int64_t deadline_us = start_us + (int64_t) ms * US_PER_MS;
    w->late.scan_us = ms * US_PER_MS;
    show(w, start_us, deadline_us);
    begin_phase(w, PHASE_SCANNING, deadline_us);
    if (fd >= 0)
        scan_descriptor(w, fd, (size_t) request->size, is_sealed);
    else
        sp_engine_scan_memory(w->env->engine, w->packet.body, request->inline_bytes, &w->result);
    w->phase = PHASE_IDLE;
    const int64_t took_us = sp_clock_mono_us() - start_us;
    fill_reply(w, &w->result, took_us);
    count_scan(w);
    if (w->result.verdict == SP_VERDICT_ERROR)
        sp_log(w->env->log, SP_LOG_WARN, "scan %s of %llu bytes failed: %s", request->id, (unsigned long long) request->size,
            w->result.detail);
    else
        sp_log(w->env->log, SP_LOG_DEBUG, "scan %s: %llu bytes, %s %s%s, %lld us", request->id, (unsigned long long) request->size,
            sp_verdict_name(w->result.verdict), w->result.signature, w->result.detail, (long long) took_us);
}

/* Takes the connection. */
static void serve(struct worker *w, int connection)
{
    struct sp_error err = { 0 };
    int fd = -1;
    size_t n = 0;
    bool is_sealed = false;
    const int64_t now_us = sp_clock_mono_us();
    const int64_t receive_by_us = now_us + RECEIVE_MS * US_PER_MS;
    w->connection = connection;
    show(w, now_us, receive_by_us);
    ask_for_more_workers(w);
    begin_phase(w, PHASE_RECEIVING, receive_by_us);
    enum sp_status status = receive(w, &n, &fd, &err);
    if (status == SP_OK && fd >= 0)
        status = check_descriptor(fd, w->packet.request.size, &is_sealed, &err);
    if (status != SP_OK) {
        w->phase = PHASE_IDLE;
        show(w, 0, 0);
        if (status != SP_ERR_CLOSED)
            warn_malformed(w, err.text, now_us);
    } else if (w->packet.request.kind == SP_SCAN_PING) {
        w->phase = PHASE_IDLE;
        fill_reply(w, &(struct sp_engine_result){ .verdict = SP_VERDICT_CLEAN }, 0);
        send_reply(w);
    } else {
        scan(w, fd, is_sealed);
        send_reply(w);
    }
    w->connection = -1;
    close(connection);
    if (fd >= 0)
        close(fd);
}

/* --- the process ----------------------------------------------------------------------------------------------------- */

static void accept_one(struct worker *w)
{
    const int connection = accept4(w->env->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (connection >= 0) {
        serve(w, connection);
        return;
    }
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
        return; /* another worker was faster, or the client gave up */
    sp_log(w->env->log, SP_LOG_WARN, "cannot accept a scan: %s", strerror(errno));
    const struct timespec pause = { 0, ACCEPT_PAUSE_NS };
    nanosleep(&pause, NULL);
}

static enum sp_worker_exit serve_all(struct worker *w, int epoll_fd)
{
    while (!w->result.is_spoiled) {
        struct epoll_event events[2];
        const int n = epoll_wait(epoll_fd, events, 2, -1);
        bool is_ending = false, has_connection = false;
        for (int i = 0; i < n; i++) {
            is_ending |= events[i].data.fd == w->env->lifeline_fd;
            has_connection |= events[i].data.fd == w->env->listen_fd;
        }
        /* The kernel woke this worker alone for a connection: it must be taken even by one that is leaving. */
        if (has_connection)
            accept_one(w);
        if (is_ending)
            return SP_WORKER_RETIRED;
    }
    return SP_WORKER_SPOILED;
}

static enum sp_status watch(int epoll_fd, int fd, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.fd = fd };
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? SP_OK : SP_ERR_IO;
}

enum sp_worker_exit sp_worker_run(const struct sp_worker_env *env)
{
    struct sp_error err = { 0 };
    enum sp_worker_exit end = SP_WORKER_FAILED;
    struct worker *w = calloc(1, sizeof(*w));
    if (!w)
        return SP_WORKER_FAILED;
    w->env = env;
    w->slot = &env->board->workers[env->slot];
    w->pid = getpid();
    w->connection = -1;
    the_worker = w;
    sp_slot_assign(env->board, env->slot, w->pid);
    prepare_reply(w);
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (sp_scratch_make(env->scratch, &err) != SP_OK)
        sp_log(env->log, SP_LOG_ERROR, "worker: %s", err.text);
    else if (sp_engine_set_scratch(env->engine, env->scratch) != SP_OK || epoll_fd < 0 || make_timer(w) != SP_OK ||
        watch(epoll_fd, env->lifeline_fd, EPOLLIN) != SP_OK || watch(epoll_fd, env->listen_fd, EPOLLIN | EPOLLEXCLUSIVE) != SP_OK)
        sp_log(env->log, SP_LOG_ERROR, "worker: cannot begin: %s", strerror(errno));
    else
        end = serve_all(w, epoll_fd); /* a sandbox closes right before this line */
    if (epoll_fd >= 0)
        close(epoll_fd);
    the_worker = NULL;
    free(w);
    return end;
}
