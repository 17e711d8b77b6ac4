/* The main process of c-icap runs a loop, about once a second, and in it commands that modules have scheduled: tick() is one of them
 * and goes through the phases. c-icap schedules by the wall clock, which may be set back by hours; so tick() asks for a time long ago.
 * Children count their transactions in memory that all share, each in a slot of its own, so that one which dies in the middle is not
 * waited for.
 *
 * New connections are kept away by binding the listening sockets to a network interface that does not exist: for the kernel the port
 * is closed, and who asks is refused at once. To shut the sockets down would reset connections that the kernel has accepted and c-icap
 * has not yet, and would end c-icap's listeners with an error. (A packet filter would do as well, but takes a privilege.) */
#include "config.h"

#include "drain.h"

#include <c_icap/c-icap.h>
#include <c_icap/commands.h>

#include "sallyport/clock.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define COMMAND "sallyport::drain"
#define START_COMMAND "sallyport::start"
#define CHILD_COMMAND "sallyport::child"
#define TICK_US (900 * 1000) /* the loop goes round at each signal and command too */
#define US_PER_MS 1000
#define US_PER_S 1000000
#define SETTLE_US US_PER_S /* what the kernel had accepted before has become a transaction by then */
#define CACHE_LINE 64

struct slot {
    _Alignas(CACHE_LINE) _Atomic pid_t pid; /* 0: free */
    atomic_uint under_way, begun;
};

struct shared {
    _Atomic int64_t told_us; /* monotonic: when the server was told to stop; 0: it was not */
    size_t n;
    struct slot slots[];
};

static struct {
    struct shared *shared; /* NULL: c-icap stops in its own way */
    size_t bytes;
    pid_t main_pid;
    int64_t notice_us, wait_us;
    struct sp_log log;
    struct slot *slot; /* of this child */
    /* of the main process */
    bool has_handler;
    struct sigaction before; /* c-icap's */
    bool is_announced, is_noticed; /* told_us is in the log; stop.notice is over */
    int64_t closed_us; /* monotonic: when new connections were shut out; 0: they are not */
    int64_t looked_us; /* monotonic: when last looked at */
    unsigned begun;    /* transactions, then */
    time_t due;        /* when tick() comes next: 0 and 1 in turn, because what is there for the same time is not taken */
} drain;

/* --- the children ------------------------------------------------------------------------------------------------------ */

static bool is_dead(pid_t pid)
{
    return kill(pid, 0) < 0 && errno == ESRCH;
}

static void take_slot(const char *name, int type, void *unused)
{
    (void) name;
    (void) type;
    (void) unused;
    drain.slot = NULL;
    for (size_t i = 0; drain.shared && i < drain.shared->n && !drain.slot; i++) {
        struct slot *slot = &drain.shared->slots[i];
        pid_t owner = atomic_load(&slot->pid);
        if ((owner == 0 || is_dead(owner)) && atomic_compare_exchange_strong(&slot->pid, &owner, getpid())) {
            atomic_store(&slot->under_way, 0);
            drain.slot = slot;
        }
    }
}

void drain_begin(void)
{
    if (!drain.slot)
        return;
    atomic_fetch_add_explicit(&drain.slot->under_way, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&drain.slot->begun, 1, memory_order_relaxed);
}

void drain_end(void)
{
    if (drain.slot)
        atomic_fetch_sub_explicit(&drain.slot->under_way, 1, memory_order_release);
}

bool drain_is_on(void)
{
    return drain.shared && atomic_load_explicit(&drain.shared->told_us, memory_order_relaxed) != 0;
}

/* --- the main process -------------------------------------------------------------------------------------------------- */

/* A child inherits this for an instant, until c-icap gives it a handler of its own. */
static void on_stop(int sig)
{
    int64_t never = 0;
    const int saved = errno;
    const bool is_first = getpid() == drain.main_pid && atomic_compare_exchange_strong(&drain.shared->told_us, &never, sp_clock_mono_us());
    errno = saved;
    if (!is_first)
        drain.before.sa_handler(sig);
}

/* When c-icap has its own handler, which is after it has forked its first children; after a `reconfigure' the next tick comes here. */
static void take_signal(const char *name, int type, void *unused)
{
    (void) name;
    (void) type;
    (void) unused;
    struct sigaction action = { .sa_handler = on_stop };
    sigemptyset(&action.sa_mask);
    if (!drain.has_handler && sigaction(SIGTERM, NULL, &drain.before) == 0)
        drain.has_handler = sigaction(SIGTERM, &action, NULL) == 0;
}

static bool is_tcp_listener(int fd)
{
    int is_listening = 0, protocol = 0;
    socklen_t n = sizeof(int);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &n) < 0 || !is_listening)
        return false;
    n = sizeof(int);
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &n) == 0 && protocol == IPPROTO_TCP;
}

/* All processes share the socket; connections that it has accepted are not of it any more. */
static void shut_out(int fd)
{
    const int nowhere = INT_MAX;
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &nowhere, sizeof(nowhere)) < 0)
        sp_log(&drain.log, SP_LOG_WARN, "new connections cannot be kept away while it stops: %s", strerror(errno));
}

static void shut_out_new_connections(void)
{
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        char *end;
        const long fd = strtol(entry->d_name, &end, 10);
        if (*end == '\0' && is_tcp_listener((int) fd))
            shut_out((int) fd);
    }
    if (folder)
        closedir(folder);
    else
        sp_log(&drain.log, SP_LOG_WARN, "new connections cannot be kept away while it stops: /proc/self/fd: %s", strerror(errno));
}

/* Sums over the children that live. */
static unsigned count_under_way(unsigned *begun_out)
{
    unsigned under_way = 0, begun = 0;
    for (size_t i = 0; i < drain.shared->n; i++) {
        struct slot *slot = &drain.shared->slots[i];
        const pid_t pid = atomic_load(&slot->pid);
        if (pid == 0 || is_dead(pid))
            continue;
        under_way += atomic_load_explicit(&slot->under_way, memory_order_acquire);
        begun += atomic_load(&slot->begun);
    }
    *begun_out = begun;
    return under_way;
}

/* What has to be done after told_us. True when c-icap may stop. Who holds a long transaction through a balancer would lose it if the
 * balancer met a closed port: so as long as nothing new comes the port stays open. */
static bool advance(int64_t told_us)
{
    const int64_t now = sp_clock_mono_us();
    const bool is_over = now - told_us >= drain.wait_us;
    unsigned begun = 0;
    const unsigned under_way = count_under_way(&begun);
    const bool is_coming = drain.is_noticed && begun != drain.begun;
    drain.begun = begun;
    drain.is_noticed = now - told_us >= drain.notice_us;
    if (!drain.is_announced)
        sp_log(&drain.log, SP_LOG_NOTICE, "told to stop: finishing what is under way");
    drain.is_announced = true;
    if (!is_over && (!drain.is_noticed || (under_way > 0 && !is_coming)))
        return false;
    if (drain.closed_us == 0) {
        shut_out_new_connections();
        drain.closed_us = now;
        if (!is_over)
            return false;
    }
    const bool is_quiet = under_way == 0 && !is_coming && now - drain.closed_us >= SETTLE_US;
    if (is_quiet)
        sp_log(&drain.log, SP_LOG_NOTICE, "nothing is under way any more: stopping");
    else if (is_over)
        sp_log(&drain.log, SP_LOG_WARN, "stopping after stop.wait with %u transaction%s under way", under_way, under_way == 1 ? "" : "s");
    return is_quiet || is_over;
}

static void tick(const char *name, int type, void *unused)
{
    (void) unused;
    drain.due = !drain.due;
    ci_command_schedule_on(COMMAND, NULL, drain.due);
    take_signal(name, type, NULL);
    const int64_t told_us = atomic_load(&drain.shared->told_us), now = sp_clock_mono_us();
    if (told_us == 0 || now - drain.looked_us < TICK_US)
        return;
    drain.looked_us = now;
    if (advance(told_us))
        drain.before.sa_handler(SIGTERM);
}

bool drain_set_up(const struct sp_conf *conf, unsigned max_children, const struct sp_log *log)
{
    if (conf->stop_wait_ms == 0)
        return true;
    const size_t n = 2 * (size_t) max_children + 1; /* those that make room for others are still there */
    drain.bytes = sizeof(struct shared) + n * sizeof(struct slot);
    void *memory = mmap(NULL, drain.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    drain.shared = memory;
    drain.shared->n = n;
    drain.main_pid = getpid();
    drain.notice_us = conf->stop_notice_ms * US_PER_MS;
    drain.wait_us = conf->stop_wait_ms * US_PER_MS;
    drain.log = *log;
    ci_command_register_action(START_COMMAND, CI_CMD_MONITOR_START, NULL, take_signal);
    ci_command_register_action(COMMAND, CI_CMD_MONITOR_ONDEMAND, NULL, tick);
    ci_command_register_action(CHILD_COMMAND, CI_CMD_CHILD_START, NULL, take_slot);
    ci_command_schedule_on(COMMAND, NULL, drain.due);
    return true;
}

/* Children call this too when they end, maybe while a thread of theirs still counts. */
void drain_tear_down(void)
{
    if (!drain.shared || getpid() != drain.main_pid)
        return;
    if (drain.has_handler) {
        sigaction(SIGTERM, &drain.before, NULL);
        if (drain_is_on())
            drain.before.sa_handler(SIGTERM); /* a `reconfigure' while it stops: whoever wants it to end is not forgotten */
    }
    munmap(drain.shared, drain.bytes);
    memset(&drain, 0, sizeof(drain));
}
