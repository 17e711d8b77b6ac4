/* One scan: accept, one recvmsg, the engine, one sendmsg, close. Nothing is allocated on the way and no timer is set for a
 * short scan: one timer ticks on while there is work, and its handler looks whether the current deadline has passed or the
 * client has gone; only if none would go off in time it is set anew. The handler may interrupt libclamav anywhere, so it does
 * nothing but send an answer that lies ready, and end the process. */
#include "config.h"

#include "worker.h"

#include "scratch.h"
#include "slots.h"

#include "sallyport/clock.h"
#include "sallyport/scan_proto.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
#define TICK_US 500000            /* a scan goes on for at most that long after its client has left */
#define RECEIVE_MS 500            /* a client that has connected must have sent by then; one that loses its turn asks anew */
#define RECEIVE_MS_MIN 10         /* after several that have not: they must not keep the others waiting */
#define FDS_MAX 4                 /* descriptors of a message that are looked at; the kernel drops more */
#define WARN_EVERY_US 1000000     /* between two warnings about malformed requests */
#define ACCEPT_PAUSE_NS 100000000 /* after an accept that failed for want of descriptors or memory */

enum phase { PHASE_IDLE, PHASE_RECEIVING, PHASE_SCANNING };

struct packet {
    struct sp_scan_request request;
    union {
        struct sp_scan_extent extents[SP_SCAN_EXTENTS_MAX];
        unsigned char bytes[SP_SCAN_EXTENTS_MAX * sizeof(struct sp_scan_extent) + SP_SCAN_INLINE_MAX];
    } rest; /* the table, then the body */
    unsigned char excess; /* a byte here: the packet is too long */
};

/* Where the body lies: in memory, or else in a file. */
struct body {
    const unsigned char *p;
    int fd;
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
    uint64_t total; /* bytes to scan */
    bool is_tired;
    struct sp_sandbox_cpu cpu;
    DIR *scratch;
    int64_t warned_us;
    unsigned unwarned; /* malformed requests since then */
    unsigned receive_ms;
    struct sp_peer peer;
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

/* Nobody waits for this scan. */
static bool has_client_left(const struct worker *w)
{
    struct pollfd p = { .fd = w->connection };
    return w->phase == PHASE_SCANNING && poll(&p, 1, 0) == 1 && p.revents & POLLHUP;
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
    const int64_t now_us = sp_clock_mono_us(), deadline_us = w->deadline_us;
    if (now_us >= deadline_us && w->phase == PHASE_RECEIVING) {
        shutdown(w->connection, SHUT_RDWR); /* ends the recvmsg */
    } else if (now_us < deadline_us && !has_client_left(w)) {
        set_timer(w, deadline_us < now_us + TICK_US ? deadline_us : now_us + TICK_US);
    } else if (now_us < deadline_us) {
        count(&w->env->board->scans);
        _exit(SP_WORKER_ABANDONED);
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
 * hold the new phase to the old deadline. The timer is mostly on already. */
static void begin_phase(struct worker *w, enum phase phase, int64_t deadline_us)
{
    w->deadline_us = deadline_us;
    w->phase = phase;
    const int64_t set_us = w->timer_set_us;
    if (set_us != 0 && set_us <= deadline_us)
        return;
    const int64_t tick_us = sp_clock_mono_us() + TICK_US;
    set_timer(w, deadline_us < tick_us ? deadline_us : tick_us);
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

static void wake_parent(const struct worker *w)
{
    static const uint64_t one = 1;
    if (write(w->env->grow_fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: it knows */
}

static void ask_for_more_workers(const struct worker *w)
{
    if (sp_slots_want_more(w->env->board, w->env->generation, w->env->max_workers))
        wake_parent(w);
}

/* --- one request ----------------------------------------------------------------------------------------------------- */

static void warn_refused(struct worker *w, const char *why, int64_t now_us)
{
    const int pid = (int) w->peer.pid;
    const unsigned uid = w->peer.uid;
    count(&w->env->board->requests_refused);
    if (w->warned_us != 0 && now_us - w->warned_us < WARN_EVERY_US) {
        w->unwarned++;
        return;
    }
    if (w->unwarned > 0)
        sp_log(w->env->log, SP_LOG_WARN, "refused: %s, from process %d of user %u (and %u more since the last warning)", why, pid, uid,
            w->unwarned);
    else
        sp_log(w->env->log, SP_LOG_WARN, "refused: %s, from process %d of user %u", why, pid, uid);
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
    enum sp_status status = sp_scan_request_check(&w->packet.request, (size_t) n, fds == 1, err);
    const struct sp_scan_request *request = &w->packet.request;
    w->total = request->size;
    if (status == SP_OK && request->n_extents > 0)
        status = sp_scan_extents_check(w->packet.rest.extents, request->n_extents, request->size, &w->total, err);
    return status;
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

/* Whether this object is known to end workers: then no other is given to it. One that is here for the second time is named
 * beforehand, so that the parent knows what to blame. */
static bool is_culprit(const struct worker *w, const struct body *body, uint64_t offset, uint64_t n)
{
    const bool is_retry = w->packet.request.flags & SP_SCAN_IS_RETRY;
    struct sp_culprit object;
    if (!is_retry && !sp_culprits_has_length(w->env->culprits, n))
        return false;
    if (!sp_culprit_describe(w->env->digest, body->p ? body->p + offset : NULL, body->fd, offset, n, &object))
        return false;
    if (sp_culprits_has(w->env->culprits, &object))
        return true;
    if (is_retry)
        sp_culprits_suspect(w->env->culprits, w->env->slot, &object);
    return false;
}

static void scan_range(const struct worker *w, const struct body *body, uint64_t offset, uint64_t n, struct sp_engine_result *result)
{
    if (is_culprit(w, body, offset, n)) {
        count(&w->env->board->culprits_refused);
        *result = (struct sp_engine_result){ .verdict = SP_VERDICT_ERROR };
        snprintf(result->detail, sizeof(result->detail), "an object of the same content has ended scanner processes before");
        return;
    }
    if (body->p)
        sp_engine_scan_memory(w->env->engine, body->p + offset, (size_t) n, result);
    else
        sp_engine_scan_fd(w->env->engine, body->fd, offset, (size_t) n, result);
    if (!result->is_out_of_memory) /* else this worker ends, and its last object is blamed for it */
        sp_culprits_acquit(w->env->culprits, w->env->slot);
}

/* One after the other, as if each came alone; only the deadline is of all together. What is not clean does not end it: an
 * infected one may follow, and that must not hide behind an encrypted one. */
static void scan_extents(struct worker *w, const struct body *body)
{
    memset(&w->result, 0, sizeof(w->result));
    w->result.verdict = SP_VERDICT_CLEAN;
    for (uint32_t i = 0; i < w->packet.request.n_extents; i++) {
        const struct sp_scan_extent *extent = &w->packet.rest.extents[i];
        struct sp_engine_result one;
        scan_range(w, body, extent->offset, extent->bytes, &one);
        sp_engine_merge(&w->result, &one);
        if (one.verdict == SP_VERDICT_INFECTED || (one.verdict == SP_VERDICT_ERROR && one.is_spoiled))
            return;
    }
}

static void scan_body(struct worker *w, const struct body *body)
{
    if (w->packet.request.n_extents > 0)
        scan_extents(w, body);
    else
        scan_range(w, body, 0, w->packet.request.size, &w->result);
}

static void scan_descriptor(struct worker *w, int fd, size_t n, bool is_sealed)
{
    void *p = is_sealed ? mmap(NULL, n, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0) : MAP_FAILED;
    scan_body(w, &(struct body){ .p = p == MAP_FAILED ? NULL : p, .fd = fd });
    if (p != MAP_FAILED)
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
    const bool is_worth_a_retry = result->verdict == SP_VERDICT_ERROR && result->is_spoiled;
    w->reply.verdict = (uint16_t) result->verdict;
    w->reply.flags = is_worth_a_retry && !(w->packet.request.flags & SP_SCAN_IS_RETRY) ? SP_SCAN_IS_SPOILED : 0;
    w->reply.scanned = w->total;
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
        scan_body(w, &(struct body){ .p = w->packet.rest.bytes + request->n_extents * sizeof(w->packet.rest.extents[0]) });
    w->phase = PHASE_IDLE;
    const int64_t took_us = sp_clock_mono_us() - start_us;
    sp_sandbox_spend_cpu(&w->cpu, took_us);
    w->is_tired = took_us > SP_LANE_LONG_US || w->total >= SP_LANE_HUGE_BYTES;
    fill_reply(w, &w->result, took_us);
    count_scan(w);
    if (w->result.verdict == SP_VERDICT_ERROR)
        sp_log(w->env->log, SP_LOG_WARN, "scan %s of %llu bytes failed: %s", request->id, (unsigned long long) w->total,
            w->result.detail);
    else
        sp_log(w->env->log, SP_LOG_DEBUG, "scan %s: %llu bytes, %s %s%s, %lld us", request->id, (unsigned long long) w->total,
            sp_verdict_name(w->result.verdict), w->result.signature, w->result.detail, (long long) took_us);
}

/* The request is read, or the answer would be lost with it; nothing of it is looked at. */
static void turn_away(struct worker *w, int connection)
{
    struct sp_scan_reply no = { .magic = SP_SCAN_MAGIC, .version = SP_SCAN_VERSION, .verdict = SP_VERDICT_ERROR };
    char sink;
    snprintf(no.detail, sizeof(no.detail), "user %u may not ask the scanner: see scan.clients", w->peer.uid);
    recv(connection, &sink, sizeof(sink), MSG_DONTWAIT);
    send(connection, &no, sizeof(no), MSG_NOSIGNAL | MSG_DONTWAIT);
    close(connection);
    warn_refused(w, "not one of scan.clients", sp_clock_mono_us());
}

/* How long the next client may take, after one that has sent (so much later) or has not. */
static void note_receipt(struct worker *w, bool is_received, int64_t took_us)
{
    if (is_received) {
        w->receive_ms = RECEIVE_MS;
    } else if (took_us >= (int64_t) w->receive_ms * US_PER_MS) {
        warn_refused(w, "a client that connected and sent nothing", sp_clock_mono_us());
        w->receive_ms = w->receive_ms / 2 > RECEIVE_MS_MIN ? w->receive_ms / 2 : RECEIVE_MS_MIN;
    }
}

static bool may_scan(const struct worker *w, int64_t now_us)
{
    const struct sp_worker_env *env = w->env;
    if (w->total < SP_LANE_LARGE_BYTES)
        return true;
    if (!sp_lane_enter(env->lane, env->board, env->generation, env->slot, env->max_workers, now_us))
        return false;
    if (w->total >= SP_LANE_HUGE_BYTES) {
        atomic_store(&env->lane->is_huge[env->slot], true);
        wake_parent(w);
    }
    return true;
}

static void reply_busy(struct worker *w)
{
    struct sp_engine_result busy = { .verdict = SP_VERDICT_ERROR, .detail = "too many long scans are under way" };
    w->phase = PHASE_IDLE;
    fill_reply(w, &busy, 0);
    w->reply.flags = SP_SCAN_IS_BUSY;
    w->reply.scanned = 0;
    send_reply(w);
}

/* Takes the connection. */
static void serve(struct worker *w, int connection)
{
    struct sp_error err = { 0 };
    int fd = -1;
    size_t n = 0;
    bool is_sealed = false;
    const int64_t now_us = sp_clock_mono_us();
    const int64_t receive_by_us = now_us + (int64_t) w->receive_ms * US_PER_MS;
    w->connection = connection;
    show(w, now_us, receive_by_us);
    ask_for_more_workers(w);
    begin_phase(w, PHASE_RECEIVING, receive_by_us);
    enum sp_status status = receive(w, &n, &fd, &err);
    note_receipt(w, status != SP_ERR_CLOSED, sp_clock_mono_us() - now_us);
    if (status == SP_OK && fd >= 0)
        status = check_descriptor(fd, w->packet.request.size, &is_sealed, &err);
    if (status != SP_OK) {
        w->phase = PHASE_IDLE;
        show(w, 0, 0);
        if (status != SP_ERR_CLOSED)
            warn_refused(w, err.text, now_us);
    } else if (w->packet.request.kind == SP_SCAN_PING) {
        w->phase = PHASE_IDLE;
        fill_reply(w, &(struct sp_engine_result){ .verdict = SP_VERDICT_CLEAN }, 0);
        send_reply(w);
    } else if (!may_scan(w, now_us)) {
        reply_busy(w);
    } else {
        scan(w, fd, is_sealed);
        sp_lane_leave(w->env->lane, w->env->slot);
        send_reply(w);
        if (sp_scratch_sweep(w->scratch))
            sp_log(w->env->log, SP_LOG_DEBUG, "scan %s left files behind", w->packet.request.id);
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
        if (sp_clients_allow(w->env->clients, connection, &w->peer))
            serve(w, connection);
        else
            turn_away(w, connection);
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
    while (!w->result.is_spoiled && !w->is_tired) {
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
    return w->result.is_spoiled ? SP_WORKER_SPOILED : SP_WORKER_TIRED;
}

static enum sp_status watch(int epoll_fd, int fd, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.fd = fd };
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? SP_OK : SP_ERR_IO;
}

/* The supervisor has said what there is; a worker that has less says so itself. */
static enum sp_status enter_sandbox(struct worker *w, struct sp_error *err)
{
    struct sp_sandbox_state state;
    w->scratch = opendir(w->env->scratch);
    if (!w->scratch)
        return sp_error_set(err, SP_ERR_IO, "cannot open %s: %s", w->env->scratch, strerror(errno));
    const enum sp_status status = sp_sandbox_enter(w->env->sandbox, err, &state);
    if (status == SP_OK && atomic_load(&w->env->board->sandbox) & ~state.parts & ~(unsigned) SP_SANDBOX_TMPFS)
        sp_log(w->env->log, SP_LOG_WARN, "worker: less of a sandbox than usual: %s", err->text);
    sp_sandbox_begin_cpu(&w->cpu, w->env->sandbox->scan_ms, w->env->sandbox->cores);
    return status;
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
    w->receive_ms = RECEIVE_MS;
    the_worker = w;
    sp_slot_assign(env->board, env->slot, w->pid);
    prepare_reply(w);
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (sp_scratch_make(env->scratch, &err) != SP_OK)
        sp_log(env->log, SP_LOG_ERROR, "worker: %s", err.text);
    else if (sp_engine_set_scratch(env->engine, env->scratch) != SP_OK || epoll_fd < 0 || make_timer(w) != SP_OK ||
        watch(epoll_fd, env->lifeline_fd, EPOLLIN) != SP_OK || watch(epoll_fd, env->listen_fd, EPOLLIN | EPOLLEXCLUSIVE) != SP_OK)
        sp_log(env->log, SP_LOG_ERROR, "worker: cannot begin: %s", strerror(errno));
    else if (enter_sandbox(w, &err) != SP_OK)
        sp_log(env->log, SP_LOG_ERROR, "worker: %s", err.text);
    else
        end = serve_all(w, epoll_fd);
    if (epoll_fd >= 0)
        close(epoll_fd);
    if (w->scratch)
        closedir(w->scratch);
    the_worker = NULL;
    free(w);
    return end;
}
