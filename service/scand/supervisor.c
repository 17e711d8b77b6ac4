/* Lives through everything. It holds the only write end of each generation's lifeline: closing one retires the generation and
 * its workers, and so does our own death, however it comes. Workers whose generation has died are adopted (subreaper) and
 * serve on until the next generation is ready. */
#include "config.h"

#include "supervisor_priv.h"

#include "child.h"
#include "dbset.h"
#include "notify.h"
#include "scratch.h"
#include "slots.h"

#include "sallyport/assert.h"
#include "sallyport/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS 1000
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 10000
#define STEADY_US (30 * 1000 * US_PER_MS) /* a generation that served this long pays off the back-off */
#define STOP_GRACE_US (5000 * US_PER_MS)  /* beyond scan.timeout */
#define RETRY_FIRST_MS 30000
#define RETRY_MAX_MS 600000
#define US_PER_MINUTE (60 * 1000LL * US_PER_MS)
#define LOAD_LIMIT_US (30 * US_PER_MINUTE)
#define GENTLE_LIMIT_US (1000LL * US_PER_MS) /* beside others, and as much again for every MB: several times what it takes alone */
#define BYTES_PER_MB 1000000
#define DAY_US (24 * 60 * US_PER_MINUTE)

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void free_child(struct child *child)
{
    close_fd(&child->lifeline_fd);
    close_fd(&child->report_fd);
    child->stage = STAGE_FREE;
    child->pid = 0;
}

static void enter_stage(struct child *child, enum stage stage)
{
    child->stage = stage;
    child->since_us = sp_clock_mono_us();
}

/* Tells the generation and its workers to finish and leave. */
static void retire(struct child *child)
{
    close_fd(&child->lifeline_fd);
    if (child->pid != 0)
        enter_stage(child, STAGE_RETIRING);
    else
        free_child(child);
}

/* --- generations ----------------------------------------------------------------------------------------------------- */

static void become_generation(struct supervisor *s, const struct child *child, int lifeline_fd, int report_fd)
{
    const struct sp_generation_env env = { .conf = *s->env->conf,
        .log = s->env->log,
        .board = s->board,
        .number = child->number,
        .listen_fd = s->env->rundir->listen_fd,
        .lifeline_fd = lifeline_fd,
        .report_fd = report_fd,
        .scratch_root = s->env->scratch_root,
        .scratch_fd = s->env->scratch_fd,
        .is_gentle = child->is_gentle,
        .serving = s->takes_fewer || s->board->generation == 0 ? 0 : s->board->signatures };
    const int keep[] = { env.listen_fd, lifeline_fd, report_fd, env.scratch_fd };
    char name[16];
    snprintf(name, sizeof(name), "scand: gen %u", child->number);
    sp_child_begin(name, keep, sizeof(keep) / sizeof(keep[0]));
    _exit(sp_generation_run(&env));
}

static enum sp_status fork_generation(struct supervisor *s, struct child *child, struct sp_error *err)
{
    int lifeline[2] = { -1, -1 }, report[2] = { -1, -1 };
    if (pipe2(lifeline, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0) {
        close_fd(&lifeline[0]);
        close_fd(&lifeline[1]);
        return sp_error_set(err, SP_ERR_IO, "cannot make a pipe: %s", strerror(errno));
    }
    const pid_t pid = fork();
    if (pid == 0)
        become_generation(s, child, lifeline[0], report[1]);
    close_fd(&lifeline[0]);
    close_fd(&report[1]);
    child->lifeline_fd = lifeline[1];
    child->report_fd = report[0];
    child->pid = pid;
    return pid > 0 ? SP_OK : sp_error_set(err, SP_ERR_IO, "cannot fork: %s", strerror(errno));
}

static void schedule_restart(struct supervisor *s)
{
    s->restart_at_us = sp_clock_mono_us() + (int64_t) s->backoff_ms * US_PER_MS;
    s->backoff_ms = s->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : s->backoff_ms * 2;
}

static void schedule_retry(struct supervisor *s)
{
    s->restart_at_us = sp_clock_mono_us() + (int64_t) s->retry_ms * US_PER_MS;
    s->retry_ms = s->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : s->retry_ms * 2;
}

/* A load beside an engine that serves is gentle, but not for ever: when others want all of the processor it would not end. */
static void plan_load(struct supervisor *s, struct child *child)
{
    uint64_t bytes = 0;
    s->tried = sp_dbset_look(&(*s->env->conf)->databases, &bytes);
    child->is_gentle = sp_supervisor_find(s, STAGE_SERVING) && !s->is_hasty;
    child->is_too_slow = false;
    child->limit_us = child->is_gentle ? GENTLE_LIMIT_US + (int64_t) (bytes / BYTES_PER_MB) * GENTLE_LIMIT_US : LOAD_LIMIT_US;
    if (child->limit_us > LOAD_LIMIT_US)
        child->limit_us = LOAD_LIMIT_US;
    s->is_hasty = false;
}

static void start_generation(struct supervisor *s)
{
    struct sp_error err = { 0 };
    struct child *child = sp_supervisor_find(s, STAGE_FREE);
    s->restart_at_us = 0;
    if (!child) {
        schedule_restart(s); /* many reloads in a row, and all their scans are long */
        return;
    }
    s->board->loads_begun = atomic_load(&s->board->loads_done) + 1;
    child->number = ++s->last_number;
    plan_load(s, child);
    enter_stage(child, STAGE_LOADING);
    if (fork_generation(s, child, &err) == SP_OK)
        return;
    free_child(child);
    sp_supervisor_note_refusal(s, s->last_number, err.text);
    schedule_restart(s);
}

static void take_over(struct supervisor *s, struct child *child, const struct sp_generation_report *report)
{
    const bool is_first = s->board->generation == 0;
    sp_supervisor_show_engine(s, child, report);
    sp_supervisor_note_load_done(s, false);
    s->tried = s->serving = report->files;
    s->retry_ms = RETRY_FIRST_MS;
    for (size_t i = 0; i < GENERATIONS_MAX; i++)
        if (s->children[i].stage == STAGE_SERVING || s->children[i].stage == STAGE_ORPHANED)
            retire(&s->children[i]);
    enter_stage(child, STAGE_SERVING);
    if (is_first)
        sp_notify_ready();
}

/* A refused generation leaves by itself. is_passing: the same databases may load another time. */
static void refuse(struct supervisor *s, struct child *child, bool is_passing, const char *text)
{
    const bool is_first = s->board->generation == 0;
    sp_supervisor_note_refusal(s, child->number, text);
    retire(child);
    if (is_first)
        s->is_first_refused = true;
    else if (!sp_supervisor_find(s, STAGE_SERVING))
        schedule_restart(s);
    else if (is_passing)
        schedule_retry(s);
}

static void read_report(struct supervisor *s, struct child *child)
{
    struct sp_generation_report report;
    const ssize_t n = read(child->report_fd, &report, sizeof(report));
    if (n < 0 && errno == EINTR)
        return;
    close_fd(&child->report_fd);
    if (n != (ssize_t) sizeof(report))
        return; /* it died: its status says how */
    report.text[sizeof(report.text) - 1] = '\0';
    if (report.is_ready)
        take_over(s, child, &report);
    else
        refuse(s, child, report.is_passing, report.text);
}

static void note_generation_death(struct supervisor *s, struct child *child, int status)
{
    char text[SP_BOARD_TEXT_SIZE];
    const enum stage stage = child->stage;
    if (child->report_fd >= 0)
        read_report(s, child); /* its last words may still lie in the pipe */
    child->pid = 0;
    char scratch[SP_SCRATCH_PATH_SIZE];
    sp_scratch_generation_path(s->env->scratch_root, child->number, scratch);
    sp_scratch_remove(scratch);
    sp_slots_free_claimed(s->board, child->number);
    if (child->is_too_slow)
        snprintf(text, sizeof(text), "generation %u was stopped: it loaded for more than %lld minutes", child->number,
            LOAD_LIMIT_US / US_PER_MINUTE);
    else if (WIFSIGNALED(status))
        snprintf(text, sizeof(text), "generation %u died: signal %d, %s", child->number, WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, sizeof(text), "generation %u ended with status %d", child->number, WEXITSTATUS(status));
    if (child->stage == STAGE_RETIRING || s->stop_us != 0) {
        free_child(child);
    } else if (stage == STAGE_LOADING && child->stage == STAGE_LOADING) {
        refuse(s, child, true, text);
    } else {
        sp_log(s->env->log, SP_LOG_ERROR, "%s; its workers serve on while another one loads", text);
        sp_supervisor_note_failure(s, text);
        if (sp_clock_mono_us() - child->since_us > STEADY_US)
            s->backoff_ms = BACKOFF_FIRST_MS;
        enter_stage(child, STAGE_ORPHANED);
        if (!sp_supervisor_find(s, STAGE_LOADING))
            schedule_restart(s);
    }
}

/* --- children that end ----------------------------------------------------------------------------------------------- */

static bool has_living_generation(const struct supervisor *s, unsigned number)
{
    for (size_t i = 0; i < GENERATIONS_MAX; i++)
        if (s->children[i].pid != 0 && s->children[i].number == number)
            return true;
    return false;
}

static void note_orphan_death(struct supervisor *s, pid_t pid, int status)
{
    const int slot = sp_slot_find(s->board, pid);
    if (slot < 0)
        return;
    char scratch[SP_SCRATCH_PATH_SIZE];
    sp_scratch_worker_path(s->env->scratch_root, s->board->workers[slot].generation, (unsigned) slot, scratch);
    sp_scratch_remove(scratch);
    const bool is_late = sp_slot_is_overdue(s->board, (unsigned) slot, sp_clock_mono_us());
    sp_generation_note_death(s->board, s->env->log, pid, status, is_late);
    sp_slot_free(s->board, (unsigned) slot);
}

/* True while there are children. */
static bool reap(struct supervisor *s)
{
    for (;;) {
        int status;
        const pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0)
            return pid == 0;
        struct child *child = NULL;
        for (size_t i = 0; i < GENERATIONS_MAX; i++)
            if (s->children[i].stage != STAGE_FREE && s->children[i].pid == pid)
                child = &s->children[i];
        if (child)
            note_generation_death(s, child, status);
        else
            note_orphan_death(s, pid, status);
    }
}

/* Adopted workers have no generation to stop them at their deadline. all: whatever they do. */
static void kill_orphans(struct supervisor *s, bool all)
{
    const int64_t now_us = sp_clock_mono_us();
    for (unsigned i = 0; i < SP_BOARD_MAX_WORKERS; i++) {
        const pid_t pid = s->board->workers[i].pid;
        if (pid > 0 && !has_living_generation(s, s->board->workers[i].generation) && (all || sp_slot_is_overdue(s->board, i, now_us)))
            kill(pid, SIGKILL);
    }
}

/* --- signals --------------------------------------------------------------------------------------------------------- */

static void begin_stop(struct supervisor *s)
{
    s->stop_us = sp_clock_mono_us();
    s->board->state = SP_SCAND_STOPPING;
    sp_notify_stopping();
    sp_supervisor_notify_status(s);
    sp_log(s->env->log, SP_LOG_NOTICE, "stopping: scans under way are finished");
    sp_rundir_unlisten(s->env->rundir);
    for (size_t i = 0; i < GENERATIONS_MAX; i++) {
        struct child *child = &s->children[i];
        if (child->stage == STAGE_FREE)
            continue;
        if (child->stage == STAGE_LOADING)
            kill(child->pid, SIGKILL); /* it has nothing to finish, and does not listen while it loads */
        retire(child);
    }
}

/* The workers follow when their generations are reaped and they are ours. */
static void stop_at_once(struct supervisor *s)
{
    s->is_urgent = true;
    for (size_t i = 0; i < GENERATIONS_MAX; i++)
        if (s->children[i].pid != 0)
            kill(s->children[i].pid, SIGKILL);
}

static void watch_databases(struct supervisor *s)
{
    const struct sp_conf *conf = *s->env->conf;
    sp_watch_set(s->watch, &conf->databases, conf->scan_settle_ms, sp_clock_mono_us());
}

/* The file may have other limits now. One that is wrong changes nothing. */
static void reload_conf(struct supervisor *s)
{
    struct sp_error err = { 0 };
    struct sp_conf *conf = NULL, *old = *s->env->conf;
    if (sp_conf_load(old->path, &err, NULL, &conf) != SP_OK) {
        s->board->loads_begun = atomic_load(&s->board->loads_done) + 1;
        sp_supervisor_note_refusal(s, s->last_number + 1, err.text);
        return;
    }
    if (strcmp(conf->run_dir, old->run_dir) != 0 || strcmp(conf->spool_dir, old->spool_dir) != 0)
        sp_log(s->env->log, SP_LOG_WARN, "another run_dir or spool.dir takes effect after a restart");
    *s->env->conf = conf;
    watch_databases(s); /* before the old list goes */
    sp_conf_free(&old);
    s->takes_fewer |= s->wants_fewer;
    s->wants_fewer = false;
    start_generation(s);
}

/* --- databases ------------------------------------------------------------------------------------------------------- */

/* They have changed, and come to rest. What was refused is tried again only when it is no longer the same. */
static void check_databases(struct supervisor *s)
{
    uint64_t now_there;
    if (s->stop_us != 0 || sp_supervisor_find(s, STAGE_LOADING))
        return;
    if (!sp_watch_ask(s->watch, sp_clock_mono_us(), &now_there) || now_there == s->tried)
        return;
    if (now_there == s->serving && sp_supervisor_find(s, STAGE_SERVING)) {
        s->tried = s->serving;
        s->restart_at_us = 0;
        sp_supervisor_note_load_done(s, false);
        sp_log(s->env->log, SP_LOG_NOTICE, "the databases are again those that serve");
        return;
    }
    sp_log(s->env->log, SP_LOG_NOTICE, "the databases have changed: loading them");
    start_generation(s);
}

static void check_age(struct supervisor *s, int64_t now_us)
{
    const int64_t max_us = (*s->env->conf)->scan_max_age_ms * US_PER_MS, made = s->board->database_time;
    const int64_t age_us = sp_clock_wall_us() - made * US_PER_S;
    if (made == 0 || max_us == 0 || age_us <= max_us || (s->aged_us != 0 && now_us < s->aged_us + DAY_US))
        return;
    s->aged_us = now_us;
    sp_log(s->env->log, SP_LOG_WARN, "the newest database is %lld days old: does freshclam run?", (long long) (age_us / DAY_US));
}

static void stop_slow_loads(struct supervisor *s, int64_t now_us)
{
    struct child *child = sp_supervisor_find(s, STAGE_LOADING);
    if (!child || child->is_too_slow || now_us < child->since_us + child->limit_us)
        return;
    kill(child->pid, SIGKILL);
    child->is_too_slow = true;
    if (!child->is_gentle)
        return; /* refused when it is dead */
    sp_log(s->env->log, SP_LOG_NOTICE, "generation %u gets too little of the processor: loading again at normal priority", child->number);
    close_fd(&child->report_fd); /* what it may have said counts no more */
    retire(child);               /* it dies as slowly as it loads: nobody waits for it */
    s->is_hasty = true;
    start_generation(s);
}

static void read_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signal_fd, &info, sizeof(info)) == (ssize_t) sizeof(info)) {
        if (info.ssi_signo == SIGHUP || info.ssi_signo == SIGUSR2) {
            s->wants_reload = true;
            s->wants_fewer |= info.ssi_signo == SIGUSR2;
        } else if (info.ssi_signo != SIGCHLD) {
            if (s->stop_us == 0)
                begin_stop(s);
            else
                stop_at_once(s);
        }
    }
}

/* --- the service manager --------------------------------------------------------------------------------------------- */

/* Nothing that a restart would mend: clients can reach us, and there is an engine, or one on its way. */
static bool is_well(struct supervisor *s)
{
    if (s->stop_us != 0)
        return true;
    const bool is_reachable = sp_rundir_is_reachable(s->env->rundir);
    if (!is_reachable && !s->is_lost)
        sp_log(s->env->log, SP_LOG_ERROR, "%s is gone or not ours any more: no client finds us", s->env->rundir->socket_path);
    s->is_lost = !is_reachable;
    const bool has_engine =
        sp_supervisor_find(s, STAGE_SERVING) || sp_supervisor_find(s, STAGE_LOADING) || sp_supervisor_find(s, STAGE_ORPHANED);
    return is_reachable && (has_engine || s->restart_at_us != 0);
}

/* --- the loop -------------------------------------------------------------------------------------------------------- */

static void do_what_is_due(struct supervisor *s)
{
    const int64_t now_us = sp_clock_mono_us();
    s->board->seen_us = now_us;
    if (s->stop_us == 0 && s->wants_reload && !sp_supervisor_find(s, STAGE_LOADING)) {
        s->wants_reload = false;
        reload_conf(s);
    } else if (s->stop_us == 0 && s->restart_at_us != 0 && now_us >= s->restart_at_us && !sp_supervisor_find(s, STAGE_LOADING)) {
        start_generation(s);
    }
    check_databases(s);
    stop_slow_loads(s, now_us);
    if (s->stop_us != 0)
        sp_rundir_unlisten(s->env->rundir);
    const int64_t patience_us = (*s->env->conf)->scan_ms * US_PER_MS + STOP_GRACE_US;
    for (size_t i = 0; i < GENERATIONS_MAX; i++)
        if (s->children[i].stage == STAGE_RETIRING && now_us - s->children[i].since_us > patience_us)
            kill(s->children[i].pid, SIGKILL);
    kill_orphans(s, s->is_urgent || (s->stop_us != 0 && now_us - s->stop_us > patience_us));
    if (now_us - s->tick_us >= TICK_MS * US_PER_MS) {
        s->tick_us = now_us;
        s->crashes_seen[s->tick++ % CRASH_WINDOW_TICKS] = s->board->crashed;
        check_age(s, now_us);
        if (is_well(s))
            sp_notify_alive();
    }
    sp_supervisor_show_state(s);
}

static int ms_to_sleep(struct supervisor *s, int64_t now_us)
{
    int64_t left_us = s->restart_at_us == 0 ? INT64_MAX : s->restart_at_us - now_us;
    if (s->stop_us == 0 && !sp_supervisor_find(s, STAGE_LOADING) && sp_watch_next_us(s->watch, now_us) - now_us < left_us)
        left_us = sp_watch_next_us(s->watch, now_us) - now_us;
    if (left_us >= TICK_MS * US_PER_MS)
        return TICK_MS;
    return left_us <= 0 ? 0 : (int) (left_us / US_PER_MS) + 1;
}

static void wait_for_events(struct supervisor *s)
{
    const int64_t now_us = sp_clock_mono_us();
    struct pollfd fds[2 + GENERATIONS_MAX] = { { .fd = s->signal_fd, .events = POLLIN } };
    for (size_t i = 0; i < GENERATIONS_MAX; i++)
        fds[1 + i] = (struct pollfd){ .fd = s->children[i].report_fd, .events = POLLIN };
    const bool is_watching = s->stop_us == 0 && !sp_supervisor_find(s, STAGE_LOADING);
    fds[1 + GENERATIONS_MAX] = (struct pollfd){ .fd = is_watching ? sp_watch_fd(s->watch, now_us) : -1, .events = POLLIN };
    if (poll(fds, 2 + GENERATIONS_MAX, ms_to_sleep(s, now_us)) <= 0)
        return;
    for (size_t i = 0; i < GENERATIONS_MAX; i++)
        if (fds[1 + i].revents && s->stop_us == 0)
            read_report(s, &s->children[i]);
    if (fds[0].revents)
        read_signals(s);
}

static enum sp_status begin(struct supervisor *s, struct sp_error *err)
{
    const int taken[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD };
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        sigaddset(&set, taken[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (size_t i = 0; i < GENERATIONS_MAX; i++)
        s->children[i].lifeline_fd = s->children[i].report_fd = -1;
    s->board->supervisor_pid = getpid();
    s->board->seen_us = sp_clock_mono_us();
    s->board->started_wall_us = sp_clock_wall_us();
    if (s->signal_fd < 0)
        return sp_error_set(err, SP_ERR_IO, "cannot take signals: %s", strerror(errno));
    return sp_watch_new(s->env->log, err, &s->watch);
}

int sp_supervisor_run(const struct sp_supervisor_env *env)
{
    struct supervisor s = { .env = env, .board = env->rundir->board, .signal_fd = -1 };
    s.backoff_ms = BACKOFF_FIRST_MS;
    s.retry_ms = RETRY_FIRST_MS;
    struct sp_error err = { 0 };
    if (begin(&s, &err) != SP_OK) {
        sp_log(env->log, SP_LOG_ERROR, "%s", err.text);
        return EXIT_FAILURE;
    }
    watch_databases(&s); /* from before the first look at them */
    start_generation(&s);
    while (!s.is_first_refused) {
        wait_for_events(&s);
        const bool has_children = reap(&s);
        if (s.stop_us != 0 && !has_children)
            break;
        do_what_is_due(&s);
    }
    while (s.is_first_refused && reap(&s))
        wait_for_events(&s);
    sp_scratch_remove(env->scratch_root);
    s.board->state = SP_SCAND_STOPPED;
    s.board->supervisor_pid = 0;
    sp_watch_free(&s.watch);
    close(s.signal_fd);
    if (!s.is_first_refused)
        sp_log(env->log, SP_LOG_NOTICE, "stopped");
    return s.is_first_refused ? EXIT_FAILURE : EXIT_SUCCESS;
}
