/* Loads an engine, proves it, forks workers from it. This process parses databases but never a scanned object. Workers are
 * replaced at once when they die; tokens keep a crash loop from turning into a fork loop. */
#include "config.h"

#include "generation.h"

#include "child.h"
#include "engine.h"
#include "loader.h"
#include "priority.h"
#include "sandbox.h"
#include "scratch.h"
#include "slots.h"
#include "worker.h"

#include "sallyport/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS 500
#define FORK_RETRY_MS 50
#define TOKENS_PER_S 20 /* forks a second, for as long as workers keep dying */
#define TOKENS_BURST 64 /* forks at once before that */
#define US_PER_S 1000000
#define TOKEN_US (US_PER_S / TOKENS_PER_S)
#define LOWER_AFTER_US (SP_LANE_LONG_US + US_PER_S / 2) /* later than a worker takes its scan for long, or it might go on so */
#define LONG_SCAN_NICE 10
#define IDLE_LEAVES_US (2 * US_PER_S) /* an idle worker that has not left by then after the lifeline ended is stuck */

/* Short scans keep all workers busy now and then, and more workers than cores only push each other aside: measured, a fifth
 * of the processor. So a worker is added when all have been in one and the same scan for this long. */
#define GROW_AFTER_US 20000
#define US_PER_MS 1000

struct crew_member {
    pid_t pid;
    unsigned slot;
    bool is_killed;
    bool is_lowered;
};

struct generation {
    const struct sp_generation_env *env;
    struct sp_engine *engine;
    struct sp_clients clients;
    struct crew_member *crew; /* max of them */
    struct sp_culprits *culprits;
    struct sp_lane *lane;
    struct sp_digest digest; /* for the workers, each of which has its copy */
    unsigned n, wanted, max;
    int grow_fd, signal_fd;
    int64_t grow_asked_us; /* all workers were busy then; 0: not lately */
    int64_t retired_us; /* 0: serving */
    int64_t tokens_us;  /* tokens as time: one is worth TOKEN_US */
    int64_t tokens_at_us;
    bool has_warned;
    bool is_fork_failing; /* which was said */
};

/* --- workers --------------------------------------------------------------------------------------------------------- */

static bool take_token(struct generation *g)
{
    const int64_t price = TOKEN_US, now_us = sp_clock_mono_us();
    g->tokens_us += now_us - g->tokens_at_us;
    g->tokens_at_us = now_us;
    if (g->tokens_us > TOKENS_BURST * price)
        g->tokens_us = TOKENS_BURST * price;
    if (g->tokens_us < price)
        return false;
    g->tokens_us -= price;
    return true;
}

static void become_worker(struct generation *g, unsigned slot)
{
    const struct sp_generation_env *env = g->env;
    const int keep[] = { env->listen_fd, env->lifeline_fd, g->grow_fd, env->scratch_fd };
    sp_child_begin("scand: worker", keep, sizeof(keep) / sizeof(keep[0]));
    char scratch[SP_SCRATCH_PATH_SIZE];
    sp_scratch_worker_path(env->scratch_root, env->number, slot, scratch);
    struct sp_sandbox sandbox;
    sp_sandbox_plan(env->conf, scratch, &sandbox);
    sandbox.forbidden_out = &env->board->workers[slot].forbidden;
    const struct sp_worker_env worker = { .engine = g->engine,
        .board = env->board,
        .log = env->log,
        .generation = env->number,
        .slot = slot,
        .max_workers = g->max,
        .scan_ms_max = (uint32_t) env->conf->scan_ms,
        .listen_fd = env->listen_fd,
        .lifeline_fd = env->lifeline_fd,
        .grow_fd = g->grow_fd,
        .scratch = scratch,
        .culprits = g->culprits,
        .lane = g->lane,
        .digest = &g->digest,
        .sandbox = &sandbox,
        .clients = &g->clients };
    _exit((int) sp_worker_run(&worker));
}

static bool spawn_worker(struct generation *g)
{
    const int slot = sp_slot_claim(g->env->board, g->env->number);
    if (slot < 0)
        return false;
    const pid_t pid = fork();
    if (pid == 0)
        become_worker(g, (unsigned) slot);
    if (pid < 0) {
        if (!g->is_fork_failing)
            sp_log(g->env->log, SP_LOG_ERROR, "cannot fork a worker, %u serve on: %s", g->n, strerror(errno));
        g->is_fork_failing = true;
        sp_slot_free(g->env->board, (unsigned) slot);
        return false;
    }
    if (g->is_fork_failing)
        sp_log(g->env->log, SP_LOG_NOTICE, "workers can be forked again");
    g->is_fork_failing = false;
    sp_slot_assign(g->env->board, (unsigned) slot, pid);
    g->crew[g->n++] = (struct crew_member){ .pid = pid, .slot = (unsigned) slot };
    return true;
}

/* Forks up to the number that is wanted. False if some must wait. */
static bool fill_crew(struct generation *g)
{
    while (g->n < g->wanted) {
        if (!take_token(g)) {
            if (!g->has_warned)
                sp_log(g->env->log, SP_LOG_ERROR, "workers keep dying: no more than %d a second are replaced", TOKENS_PER_S);
            g->has_warned = true;
            return false;
        }
        if (!spawn_worker(g)) {
            g->tokens_us += TOKEN_US; /* no worker died of it */
            return false;
        }
    }
    g->has_warned = g->has_warned && g->tokens_us < TOKENS_BURST / 2 * TOKEN_US;
    return true;
}

/* For the log and the board. */
static void note_cause(struct sp_board *board, const struct sp_log *log, pid_t pid, int wait_status)
{
    char buf[SP_SANDBOX_TEXT_SIZE], text[SP_BOARD_TEXT_SIZE];
    const int slot = sp_slot_find(board, pid);
    if (WIFEXITED(wait_status)) {
        snprintf(text, sizeof(text), "ended with status %d", WEXITSTATUS(wait_status));
    } else {
        const int number = WTERMSIG(wait_status);
        const char *why = sp_sandbox_death(number, slot < 0 ? 0 : atomic_load(&board->workers[slot].forbidden), buf);
        snprintf(text, sizeof(text), "died: signal %d, %s", number, why ? why : strsignal(number));
    }
    sp_log(log, SP_LOG_WARN, "worker %d %s", (int) pid, text);
    snprintf(board->last_death, sizeof(board->last_death), "worker %d %.*s", (int) pid, SP_BOARD_TEXT_SIZE - 32, text);
}

bool sp_generation_note_death(struct sp_board *board, const struct sp_log *log, pid_t pid, int wait_status, bool is_killed)
{
    const int code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
    if (is_killed || code == SP_WORKER_TIMED_OUT) {
        atomic_fetch_add(&board->timed_out, 1);
        sp_log(log, SP_LOG_NOTICE, "worker %d stopped at the deadline of its scan%s", (int) pid, is_killed ? ", killed" : "");
        return false;
    }
    if (code == SP_WORKER_SPOILED)
        sp_log(log, SP_LOG_DEBUG, "worker %d is replaced: its engine may remember a wrong answer", (int) pid);
    if (code == SP_WORKER_ABANDONED)
        sp_log(log, SP_LOG_DEBUG, "worker %d is replaced: it stopped a scan whose client had left", (int) pid);
    if (code == SP_WORKER_TIRED)
        sp_log(log, SP_LOG_DEBUG, "worker %d is replaced after a long scan", (int) pid);
    if (code == SP_WORKER_SPOILED || code == SP_WORKER_ABANDONED || code == SP_WORKER_TIRED)
        atomic_fetch_add(&board->replaced, 1);
    if (code == SP_WORKER_SPOILED || code == SP_WORKER_ABANDONED || code == SP_WORKER_TIRED || code == SP_WORKER_RETIRED)
        return false;
    if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGSYS) /* seccomp's */
        atomic_fetch_add(&board->forbidden, 1);
    atomic_fetch_add(&board->crashed, 1);
    note_cause(board, log, pid, wait_status);
    return true;
}

/* What ended a worker, if that was its object, which had had a second chance: not what came from outside, as SIGKILL does, also
 * from a kernel that is out of memory, for it may have hit any process. */
static void blame(struct generation *g, unsigned slot, int wait_status, bool is_crash)
{
    uint64_t bytes;
    const bool is_killed = WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL;
    const bool is_exhausted = WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == SP_WORKER_SPOILED;
    if (((is_crash && !is_killed) || is_exhausted) && sp_culprits_convict(g->culprits, slot, &bytes)) {
        atomic_fetch_add(&g->env->board->culprits, 1);
        sp_log(g->env->log, SP_LOG_WARN, "an object of %llu bytes ended two workers: generation %u scans it no more",
            (unsigned long long) bytes, g->env->number);
    }
    sp_culprits_acquit(g->culprits, slot);
}

static void reap_workers(struct generation *g)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        unsigned i = 0;
        while (i < g->n && g->crew[i].pid != pid)
            i++;
        if (i == g->n)
            continue;
        char scratch[SP_SCRATCH_PATH_SIZE];
        sp_scratch_worker_path(g->env->scratch_root, g->env->number, g->crew[i].slot, scratch);
        sp_scratch_remove(scratch);
        const bool is_crash = sp_generation_note_death(g->env->board, g->env->log, pid, status, g->crew[i].is_killed);
        if (!is_crash)
            g->tokens_us += TOKEN_US; /* its successor costs nothing */
        blame(g, g->crew[i].slot, status, is_crash);
        sp_lane_leave(g->lane, g->crew[i].slot);
        sp_slot_free(g->env->board, g->crew[i].slot);
        g->crew[i] = g->crew[--g->n];
    }
}

/* Long scans take what the short ones leave of the processor. Only root could give it back: so a worker ends with its long scan. */
static void lower_long(struct generation *g)
{
    const int64_t long_us = sp_clock_mono_us() - LOWER_AFTER_US;
    for (unsigned i = 0; i < g->n; i++) {
        struct crew_member *member = &g->crew[i];
        const int64_t since_us = g->env->board->workers[member->slot].busy_since_us;
        const bool is_huge = atomic_load(&g->lane->is_huge[member->slot]);
        if (member->is_lowered || since_us == 0 || (since_us > long_us && !is_huge))
            continue;
        member->is_lowered = true;
        if (!sp_priority_lower(member->pid, LONG_SCAN_NICE))
            sp_log(g->env->log, SP_LOG_DEBUG, "a long scan goes on at normal priority: %s", strerror(errno));
    }
}

/* The last resort for workers that do not stop by themselves: they are stopped, or loop with signals blocked. */
static void kill_stuck(struct generation *g)
{
    const int64_t now_us = sp_clock_mono_us();
    const bool must_leave = g->retired_us != 0 && now_us > g->retired_us + IDLE_LEAVES_US;
    for (unsigned i = 0; i < g->n; i++) {
        struct crew_member *member = &g->crew[i];
        const bool is_idle = g->env->board->workers[member->slot].busy_since_us == 0;
        if (member->is_killed || !(sp_slot_is_overdue(g->env->board, member->slot, now_us) || (must_leave && is_idle)))
            continue;
        member->is_killed = true;
        kill(member->pid, SIGKILL);
    }
}

/* --- the process ----------------------------------------------------------------------------------------------------- */

static void report(const struct generation *g, enum sp_status status, const struct sp_error *refusal)
{
    struct sp_generation_report r = { .is_ready = status == SP_OK, .is_passing = status != SP_ERR_CONF };
    if (status != SP_OK) {
        snprintf(r.text, sizeof(r.text), "%.*s", SP_BOARD_TEXT_SIZE - 1, refusal->text);
    } else {
        const struct sp_engine_facts *facts = sp_engine_facts(g->engine);
        r.signatures = facts->signatures;
        r.engine_id = facts->id;
        r.database_time = facts->database_time;
        r.files = facts->files;
        r.workers = g->n;
    }
    if (write(g->env->report_fd, &r, sizeof(r)) < 0)
        sp_log(g->env->log, SP_LOG_DEBUG, "nobody waits for this generation: %s", strerror(errno));
    close(g->env->report_fd);
}

static void choose_sizes(struct generation *g)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const int64_t initial = g->env->conf->scan_workers > 0 ? g->env->conf->scan_workers : cores > 0 ? cores : 1;
    g->max = (unsigned) g->env->conf->scan_max_workers;
    if (initial > g->max)
        g->max = (unsigned) initial;
    if (g->max > SP_BOARD_MAX_WORKERS / 2)
        g->max = SP_BOARD_MAX_WORKERS / 2;
    g->wanted = initial < g->max ? (unsigned) initial : g->max;
}

/* What the workers share with each other and with this process. */
static enum sp_status share(struct generation *g, struct sp_error *err)
{
    g->culprits = sp_culprits_new();
    g->lane = sp_lane_new();
    if (!g->culprits || !g->lane)
        return sp_error_set(err, SP_ERR_NOMEM, "no memory to share with workers: %s", strerror(errno));
    return sp_digest_init(&g->digest, NULL, err);
}

static enum sp_status begin(struct generation *g, const char *scratch, struct sp_error *err)
{
    struct sp_sandbox sandbox;
    struct sp_sandbox_state state;
    enum sp_status status = sp_scratch_make(scratch, err);
    if (status == SP_OK)
        status = sp_clients_find(g->env->conf, err, &g->clients);
    sp_sandbox_plan(g->env->conf, scratch, &sandbox);
    if (status == SP_OK && sandbox.is_required)
        status = sp_sandbox_try(&sandbox, err, &state);
    sp_sandbox_warm_up();
    if (status == SP_OK)
        status = sp_loader_run(&(struct sp_loader_env){ g->env->conf, g->env->log, scratch, g->env->is_gentle, g->env->serving }, err,
            &g->engine);
    if (status == SP_OK)
        status = share(g, err);
    if (status != SP_OK)
        return status;
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    choose_sizes(g);
    g->crew = calloc(g->max, sizeof(g->crew[0]));
    g->grow_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g->signal_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (!g->crew || g->grow_fd < 0 || g->signal_fd < 0)
        return sp_error_set(err, SP_ERR_IO, "cannot begin: %s", strerror(errno));
    g->tokens_us = INT64_MAX / 4;
    g->tokens_at_us = sp_clock_mono_us();
    fill_crew(g);
    return g->n > 0 ? SP_OK : sp_error_set(err, SP_ERR_IO, "no worker could be forked");
}

static void drain(int fd)
{
    char sink[1024]; /* room for several signals */
    while (read(fd, sink, sizeof(sink)) > 0)
        continue;
}

/* A worker asks when it has become busy and no other is idle. Workers that stay busy ask no more, so the question is
 * repeated here until one is idle; what is asked meanwhile waits in grow_fd. */
static void consider_growth(struct generation *g, bool is_asked)
{
    const int64_t now_us = sp_clock_mono_us();
    if (is_asked && g->grow_asked_us == 0) {
        drain(g->grow_fd);
        g->grow_asked_us = now_us;
    }
    if (g->grow_asked_us == 0 || now_us - g->grow_asked_us < GROW_AFTER_US)
        return;
    const struct sp_generation_env *env = g->env;
    const bool may_grow = g->retired_us == 0 && g->wanted < g->max && g->n == g->wanted;
    if (may_grow && sp_slots_all_busy_since(env->board, env->number, g->grow_asked_us))
        g->wanted++;
    g->grow_asked_us = sp_slots_want_more(env->board, env->number, g->max) ? now_us : 0;
}

static int poll_ms(const struct generation *g, bool is_full)
{
    if (g->grow_asked_us != 0)
        return GROW_AFTER_US / US_PER_MS;
    return is_full ? TICK_MS : FORK_RETRY_MS;
}

static void serve(struct generation *g)
{
    while (g->retired_us == 0 || g->n > 0) {
        const bool is_full = fill_crew(g);
        const int grow_fd = g->grow_asked_us == 0 ? g->grow_fd : -1;
        struct pollfd fds[] = { { .fd = g->signal_fd, .events = POLLIN }, { .fd = grow_fd, .events = POLLIN },
            { .fd = g->retired_us == 0 ? g->env->lifeline_fd : -1, .events = POLLIN } };
        if (poll(fds, sizeof(fds) / sizeof(fds[0]), poll_ms(g, is_full)) < 0 && errno != EINTR)
            break;
        if (fds[0].revents) {
            drain(g->signal_fd);
            reap_workers(g);
        }
        consider_growth(g, fds[1].revents != 0);
        if (fds[2].revents) {
            g->retired_us = sp_clock_mono_us();
            g->wanted = 0;
        }
        lower_long(g);
        kill_stuck(g);
    }
}

int sp_generation_run(const struct sp_generation_env *env)
{
    struct generation g = { .env = env, .grow_fd = -1, .signal_fd = -1 };
    struct sp_error err = { 0 };
    char scratch[SP_SCRATCH_PATH_SIZE];
    sp_scratch_generation_path(env->scratch_root, env->number, scratch);
    const enum sp_status status = begin(&g, scratch, &err);
    report(&g, status, &err);
    if (status == SP_OK)
        serve(&g);
    sp_scratch_remove(scratch);
    sp_digest_fini(&g.digest);
    sp_lane_free(&g.lane);
    sp_culprits_free(&g.culprits);
    free(g.crew); /* the engine goes with the process: freeing a million signatures one by one takes a second */
    return status == SP_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
