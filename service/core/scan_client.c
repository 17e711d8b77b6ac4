/* One scan over one connection, as a job that goes on whenever it is waited for. The kernel is the queue: a request that no
 * worker has read yet still lies in the socket, which is how waiting for a worker is told from waiting for a verdict without a
 * message more. The socket never blocks, and no wait is longer than the caller's. */
#include "config.h"

#include "sallyport/scan_client.h"

#include "sallyport/assert.h"
#include "sallyport/board.h"
#include "sallyport/clock.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define US_PER_MS 1000
#define US_PER_S 1000000
#define NS_PER_US 1000
#define BACKLOG_FULL_WAIT_US 2000 /* between attempts to connect while the backlog is full */
#define ABSENT_WAIT_US 2000       /* after the first attempt that found nobody; doubled from one to the next up to */
#define ABSENT_WAIT_MAX_US 100000
#define BUSY_WAIT_US 50000        /* before a scanner that is busy with long scans is asked again */
#define LOOK_AGAIN_US 250000      /* at a scanner that loads its engine */
#define VERDICT_GRACE_MS 2000     /* the worker stops itself at the deadline; its supervisor a second later */
#define PACKET_OVERHEAD 4096      /* what the kernel may count besides the bytes of a packet */

enum ask_end {
    ASK_PENDING,     /* not yet */
    ASK_REPLY,       /* a checked reply is in the result */
    ASK_NO_SCANNER,  /* nobody listens, or nobody has an engine; detail is set */
    ASK_NO_WORKER,   /* the queue timeout passed */
    ASK_TOO_LONG,    /* the scan timeout passed */
    ASK_TOO_MANY,    /* more extents than a request can have */
    ASK_BUSY,        /* the scanner asks to be asked again */
    ASK_SPOILED,     /* a checked reply is in the result; another worker may do better */
    ASK_NOT_TAKEN,   /* hung up, and nobody had read the request */
    ASK_WORKER_DIED, /* end of file instead of a reply */
    ASK_FAILED       /* anything else; detail is set */
};

struct sp_scan_job {
    struct sp_scan_client client;
    struct sp_scan_body body;
    char id[sizeof(((struct sp_scan_request *) NULL)->id)];
    enum ask_end end;
    int fd;              /* of this attempt; -1: none yet */
    bool is_sent;        /* the request; else the socket is not even connected */
    bool is_suspect;     /* a worker that had read the request has failed */
    bool is_missed;      /* the scanner, or its engine: the queue's time has not begun */
    int64_t missed_us;   /* since when nobody listens, as this job knows it; 0: it has not come to that */
    int64_t start_by_us; /* what the scanner lost while it was restarted is asked again until then */
    int64_t try_us, pause_us; /* not to connect before; how long to wait the next time */
    int64_t start_us;    /* of this attempt */
    int64_t queue_by_us; /* a worker must have taken it */
    int64_t verdict_by_us; /* 0: it is not known to be taken */
    struct sp_scan_result result;
};

static void set_detail(struct sp_scan_result *result, const char *what, const char *why)
{
    int n = snprintf(result->detail, sizeof(result->detail), "%s%s%s", what, why[0] ? ": " : "", why);
    if (n < 0) /* a text cut short will do */
        result->detail[0] = '\0';
}

static enum ask_end fail(struct sp_scan_job *job, const char *what)
{
    set_detail(&job->result, what, strerror(errno));
    return ASK_FAILED;
}

static int64_t min_us(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* --- asking ---------------------------------------------------------------------------------------------------------- */

/* Puts the next attempt off, but not beyond by_us: the last one is made right then. */
static void put_off(struct sp_scan_job *job, int64_t pause_us, int64_t by_us)
{
    job->try_us = min_us(sp_clock_mono_us() + pause_us, by_us);
}

static void put_off_longer(struct sp_scan_job *job, int64_t by_us)
{
    put_off(job, job->pause_us, by_us);
    job->pause_us = min_us(2 * job->pause_us, ABSENT_WAIT_MAX_US);
}

/* A socket that is not connected can wait for nothing but time. False if the caller does not wait until the next attempt. */
static bool await_attempt(const struct sp_scan_job *job, int64_t until_us)
{
    for (;;) {
        const int64_t now_us = sp_clock_mono_us();
        if (now_us >= job->try_us)
            return true;
        if (now_us >= until_us)
            return false;
        const int64_t pause_us = min_us(job->try_us, until_us) - now_us;
        nanosleep(&(struct timespec){ pause_us / US_PER_S, (long) (pause_us % US_PER_S) * NS_PER_US }, NULL);
    }
}

/* Since when nobody has listened. When nobody has asked for long, what was seen then says nothing about now. */
static int64_t absent_since(struct sp_scan_job *job, int64_t now_us)
{
    struct sp_scan_absence *shared = job->client.absence;
    if (job->missed_us == 0)
        job->missed_us = now_us;
    if (!shared)
        return job->missed_us;
    const int64_t seen_us = atomic_exchange(&shared->seen_us, now_us), since_us = atomic_load(&shared->since_us);
    if (since_us != 0 && now_us - seen_us <= (int64_t) job->client.start_ms * US_PER_MS)
        return since_us;
    atomic_store(&shared->since_us, now_us);
    return now_us;
}

/* A file that is missing or not yet given to its user, a socket that does not listen yet or no more: as in a restart. */
static enum ask_end note_absent(struct sp_scan_job *job, int why)
{
    const int64_t now_us = sp_clock_mono_us();
    const int64_t by_us = absent_since(job, now_us) + (int64_t) job->client.start_ms * US_PER_MS;
    const bool may_come = why == ENOENT || why == ECONNREFUSED || why == EACCES;
    if (!may_come || now_us >= by_us) {
        set_detail(&job->result, "scanner not reachable", strerror(why));
        return ASK_NO_SCANNER;
    }
    job->is_missed = true;
    put_off_longer(job, by_us);
    return ASK_PENDING;
}

/* Somebody listens. */
static void note_present(struct sp_scan_job *job)
{
    struct sp_scan_absence *shared = job->client.absence;
    if (shared && atomic_load_explicit(&shared->since_us, memory_order_relaxed) != 0)
        atomic_store(&shared->since_us, 0);
    if (job->is_missed)
        job->queue_by_us = sp_clock_mono_us() + (int64_t) job->client.queue_ms * US_PER_MS;
    job->is_missed = false;
}

/* A socket that a service manager holds listens also while there is no engine behind it. */
static bool has_engine(const struct sp_scan_job *job)
{
    const struct sp_board *board = NULL;
    const char *end = strrchr(job->client.socket_path, '/');
    char path[sizeof(job->client.socket_path) + sizeof("scand.stat")];
    snprintf(path, sizeof(path), "%.*s/scand.stat", end ? (int) (end - job->client.socket_path) : 0, job->client.socket_path);
    if (sp_board_open_reader(path, NULL, &board) != SP_OK)
        return true; /* nobody to wait for */
    const unsigned state = atomic_load(&board->state);
    sp_board_close(&board);
    return state == SP_SCAND_SERVING || state == SP_SCAND_DEGRADED;
}

/* Nobody has taken the scan in the queue's time? Without an engine that time has not begun, within start_ms. */
static enum ask_end look_at_queue(struct sp_scan_job *job, int64_t now_us)
{
    if (now_us < job->queue_by_us)
        return ASK_PENDING;
    if (job->client.start_ms > 0 && !has_engine(job)) {
        set_detail(&job->result, "the scanner has not loaded its signatures yet", "");
        job->is_missed = true;
        job->queue_by_us = min_us(now_us + LOOK_AGAIN_US, job->start_by_us);
        return now_us < job->start_by_us ? ASK_PENDING : ASK_NO_SCANNER;
    }
    const bool begins_now = job->is_missed;
    note_present(job);
    return begins_now ? ASK_PENDING : ASK_NO_WORKER;
}

static enum ask_end connect_to_worker(struct sp_scan_job *job, int64_t until_us)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    memcpy(addr.sun_path, job->client.socket_path, sizeof(addr.sun_path));
    if (job->fd < 0)
        job->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (job->fd < 0)
        return fail(job, "socket");
    while (await_attempt(job, until_us)) {
        if (connect(job->fd, (const struct sockaddr *) &addr, sizeof(addr)) == 0) {
            note_present(job);
            return ASK_REPLY;
        }
        if (errno == EINTR)
            continue;
        const int why = errno;
        enum ask_end end = ASK_PENDING;
        if (why != EAGAIN)
            end = note_absent(job, why);
        else if ((end = look_at_queue(job, sp_clock_mono_us())) == ASK_PENDING)
            put_off(job, BACKLOG_FULL_WAIT_US, job->queue_by_us);
        if (end != ASK_PENDING)
            return end;
    }
    return ASK_PENDING;
}

/* A packet must fit into the socket's buffer. As Linux comes, it does; a host with smaller buffers may let one grow. */
static bool send_packet(int fd, const struct msghdr *msg, size_t bytes)
{
    bool has_grown = false;
    for (;;) {
        if (sendmsg(fd, msg, MSG_NOSIGNAL) >= 0)
            return true;
        if (errno == EMSGSIZE && !has_grown) {
            const int wanted = (int) (bytes + PACKET_OVERHEAD);
            has_grown = true;
            if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof(wanted)) < 0)
                return false;
        } else if (errno != EINTR) {
            return false;
        }
    }
}

static struct iovec to_send(const void *p, size_t n)
{
    struct iovec out = { NULL, n };
    memcpy(&out.iov_base, &p, sizeof(out.iov_base)); /* sendmsg does not write, iovec has no const */
    return out;
}

static enum ask_end send_request(struct sp_scan_job *job)
{
    const struct sp_spool *body = job->body.spool;
    struct sp_scan_request req = { .magic = SP_SCAN_MAGIC, .version = SP_SCAN_VERSION, .kind = body ? SP_SCAN_OBJECT : SP_SCAN_PING };
    struct sp_str bytes = { "", 0 };
    bool is_inline = !body || sp_spool_bytes(body, &bytes);
    req.size = body ? sp_spool_size(body) : 0;
    req.inline_bytes = (uint32_t) bytes.n;
    req.deadline_ms = job->client.scan_ms;
    req.n_extents = (uint32_t) job->body.n_extents;
    req.flags = job->is_suspect ? SP_SCAN_IS_RETRY : 0;
    memcpy(req.id, job->id, sizeof(req.id));

    const size_t table_bytes = job->body.n_extents * sizeof(job->body.extents[0]);
    struct iovec iov[3];
    size_t n = 0;
    iov[n++] = to_send(&req, sizeof(req));
    if (table_bytes > 0)
        iov[n++] = to_send(job->body.extents, table_bytes);
    if (bytes.n > 0)
        iov[n++] = to_send(bytes.p, bytes.n);
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { { 0 } };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };
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
    if (send_packet(job->fd, &msg, sizeof(req) + table_bytes + bytes.n))
        return ASK_PENDING;
    if (errno == EPIPE || errno == ECONNRESET)
        return ASK_NOT_TAKEN;
    if (errno == EMSGSIZE) {
        set_detail(&job->result, "the object does not fit into a packet: net.core.wmem_max of this host is too small", "");
        return ASK_FAILED;
    }
    return fail(job, "cannot hand the object to the scanner");
}

/* --- waiting --------------------------------------------------------------------------------------------------------- */

/* True while no worker has read the request. */
static bool is_still_queued(int fd)
{
    int unread = 0;
    return ioctl(fd, SIOCOUTQ, &unread) == 0 && unread > 0;
}

/* Waits until fd is readable: 1, 0 at until_us, -1 on failure. Looks at least once. */
static int wait_readable(int fd, int64_t until_us)
{
    for (;;) {
        const int64_t left_us = until_us - sp_clock_mono_us();
        const int64_t ms = left_us <= 0 ? 0 : (left_us + US_PER_MS - 1) / US_PER_MS;
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int n = poll(&p, 1, ms > INT32_MAX ? INT32_MAX : (int) ms);
        if (n > 0 || (n < 0 && errno != EINTR))
            return n;
        if (left_us <= 0 || sp_clock_mono_us() >= until_us)
            return 0;
    }
}

static enum ask_end kind_of_reply(const struct sp_scan_reply *reply)
{
    if (reply->verdict != SP_VERDICT_ERROR)
        return ASK_REPLY;
    if (reply->flags & SP_SCAN_IS_BUSY)
        return ASK_BUSY;
    return reply->flags & SP_SCAN_IS_SPOILED ? ASK_SPOILED : ASK_REPLY;
}

static enum ask_end receive_reply(struct sp_scan_job *job)
{
    ssize_t n = recv(job->fd, &job->result.reply, sizeof(job->result.reply), MSG_TRUNC);
    bool is_late = sp_clock_mono_us() - job->start_us >= (int64_t) job->client.scan_ms * US_PER_MS;
    if (n < 0 && errno == ECONNRESET) /* the kernel says so when what we sent still lay there */
        return ASK_NOT_TAKEN;
    if (n == 0)
        return is_late ? ASK_TOO_LONG : ASK_WORKER_DIED;
    if (n < 0)
        return fail(job, "no reply from the scanner");
    struct sp_error err = { 0 };
    if (sp_scan_reply_check(&job->result.reply, (size_t) n, &err) == SP_OK)
        return kind_of_reply(&job->result.reply);
    set_detail(&job->result, err.text, "");
    return ASK_FAILED;
}

static enum ask_end wait_for_reply(struct sp_scan_job *job, int64_t until_us)
{
    for (;;) {
        const int64_t phase_by_us = job->verdict_by_us != 0 ? job->verdict_by_us : job->queue_by_us;
        int ready = wait_readable(job->fd, min_us(until_us, phase_by_us));
        if (ready != 0)
            return ready < 0 ? fail(job, "poll") : receive_reply(job);
        const int64_t now_us = sp_clock_mono_us();
        if (now_us < phase_by_us)
            return ASK_PENDING;
        if (job->verdict_by_us != 0)
            return ASK_TOO_LONG;
        if (is_still_queued(job->fd)) {
            const enum ask_end end = look_at_queue(job, now_us);
            if (end != ASK_PENDING)
                return end;
            continue;
        }
        job->verdict_by_us = now_us + ((int64_t) job->client.scan_ms + VERDICT_GRACE_MS) * US_PER_MS;
    }
}

/* --- the job --------------------------------------------------------------------------------------------------------- */

static void close_attempt(struct sp_scan_job *job)
{
    if (job->fd >= 0)
        close(job->fd);
    job->fd = -1;
}

static void begin_attempt(struct sp_scan_job *job)
{
    close_attempt(job);
    job->is_sent = false;
    job->start_us = sp_clock_mono_us();
    job->queue_by_us = job->start_us + (int64_t) job->client.queue_ms * US_PER_MS;
    job->verdict_by_us = 0;
}

/* Connects and sends. Pending without is_sent: the backlog is full. */
static enum ask_end ask(struct sp_scan_job *job, int64_t until_us)
{
    enum ask_end end = connect_to_worker(job, until_us);
    if (end != ASK_REPLY)
        return end;
    end = send_request(job);
    job->is_sent = end == ASK_PENDING;
    return end;
}

static enum ask_end advance(struct sp_scan_job *job, int64_t until_us)
{
    enum ask_end end = job->is_sent ? ASK_PENDING : ask(job, until_us);
    return job->is_sent ? wait_for_reply(job, until_us) : end;
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

static void conclude(struct sp_scan_result *result, enum ask_end end)
{
    if (end != ASK_REPLY && end != ASK_SPOILED)
        memset(&result->reply, 0, sizeof(result->reply));
    switch (end) {
    case ASK_REPLY:
    case ASK_SPOILED:
        result->outcome = outcome_of_reply(result);
        break;
    case ASK_NO_WORKER:
        result->outcome = SP_OUTCOME_OVERLOAD;
        set_detail(result, "no worker took the scan in time", "");
        break;
    case ASK_BUSY:
        result->outcome = SP_OUTCOME_OVERLOAD;
        set_detail(result, "too many long scans for all of the time in the queue", "");
        break;
    case ASK_TOO_LONG:
        result->outcome = SP_OUTCOME_LIMIT;
        set_detail(result, "scan timeout", "");
        break;
    case ASK_TOO_MANY:
        result->outcome = SP_OUTCOME_LIMIT;
        set_detail(result, "more objects in one body than one scan can have", "");
        break;
    case ASK_NOT_TAKEN:
        result->outcome = SP_OUTCOME_ERROR;
        set_detail(result, "the scanner hung up twice before it had read the request", "");
        break;
    case ASK_WORKER_DIED:
        result->outcome = SP_OUTCOME_ERROR;
        set_detail(result, "the scanner died twice over this object", "");
        break;
    case ASK_PENDING:
    case ASK_NO_SCANNER:
    case ASK_FAILED:
        result->outcome = SP_OUTCOME_ERROR;
        break;
    }
}

/* The queue of large objects is here: each asks again until its time in the queue is over. */
static bool ask_again(struct sp_scan_job *job)
{
    const int64_t queue_by_us = job->queue_by_us;
    if (sp_clock_mono_us() + BUSY_WAIT_US >= queue_by_us)
        return false;
    begin_attempt(job);
    job->queue_by_us = queue_by_us;
    put_off(job, BUSY_WAIT_US, queue_by_us);
    return true;
}

/* True if there is to be another attempt. A scanner that went before it had read the request has said nothing about it: as long
 * as one that is restarted is waited for, such an attempt costs nothing. */
static bool note_end(struct sp_scan_job *job, enum ask_end end)
{
    const bool is_free = end == ASK_NOT_TAKEN && sp_clock_mono_us() < job->start_by_us;
    const bool has_failed = end == ASK_WORKER_DIED || end == ASK_SPOILED;
    const bool is_to_retry = is_free || ((has_failed || end == ASK_NOT_TAKEN) && !job->result.is_retried);
    if (end == ASK_BUSY && ask_again(job))
        return true;
    job->end = is_to_retry ? ASK_PENDING : end;
    if (is_to_retry) {
        job->result.is_retried |= !is_free;
        job->is_suspect |= has_failed;
        begin_attempt(job);
        if (is_free)
            put_off_longer(job, job->start_by_us);
    } else if (end != ASK_PENDING) {
        close_attempt(job);
        conclude(&job->result, end);
    }
    return is_to_retry;
}

static void begin(struct sp_scan_job *job, const struct sp_scan_client *client, const struct sp_scan_body *body, const char *id)
{
    memset(job, 0, sizeof(*job));
    job->client = *client;
    job->body = *body;
    snprintf(job->id, sizeof(job->id), "%s", id);
    job->fd = -1;
    job->pause_us = ABSENT_WAIT_US;
    begin_attempt(job);
    job->start_by_us = job->start_us + (int64_t) client->start_ms * US_PER_MS;
    if (body->n_extents > SP_SCAN_EXTENTS_MAX)
        note_end(job, ASK_TOO_MANY);
}

bool sp_scan_job_wait(struct sp_scan_job *job, int wait_ms, struct sp_scan_result *result_out)
{
    const int64_t until_us = wait_ms < 0 ? INT64_MAX : sp_clock_mono_us() + (int64_t) wait_ms * US_PER_MS;
    while (job->end == ASK_PENDING && note_end(job, advance(job, until_us)))
        continue;
    if (job->end == ASK_PENDING)
        return false;
    *result_out = job->result;
    return true;
}

void sp_scan_client_ask(const struct sp_scan_client *client, const struct sp_scan_body *body, const char *id,
    struct sp_scan_result *result_out)
{
    struct sp_scan_job job;
    begin(&job, client, body, id);
    const bool has_ended = sp_scan_job_wait(&job, -1, result_out);
    SP_ASSERT(has_ended);
}

/* The worker begins at once; but for it, nobody waits here. */
struct sp_scan_job *sp_scan_job_new(const struct sp_scan_client *client, const struct sp_scan_body *body, const char *id)
{
    struct sp_scan_job *job = malloc(sizeof(*job));
    if (!job)
        return NULL;
    begin(job, client, body, id);
    if (job->end == ASK_PENDING)
        note_end(job, ask(job, 0));
    return job;
}

void sp_scan_job_free(struct sp_scan_job **job)
{
    if (*job)
        close_attempt(*job);
    free(*job);
    *job = NULL;
}
