/* Lives through everything. It holds the only write end of each generation's lifeline: closing one retires the generation and
 * its workers, and so does our own death, however it comes. Workers whose generation has died are adopted (subreaper) and
 * serve on until the next generation is ready. */
#include "config.h"

#include "supervisor.h"

#include "child.h"
#include "generation.h"
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
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define GENERATIONS_MAX 8 /* alive at once: one serves, one loads, the rest finish what they hold */
#define US_PER_MS 1000
#define TICK_MS 1000
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 10000
#define STEADY_US (30 * 1000 * US_PER_MS) /* a generation that served this long pays off the back-off */
#define STOP_GRACE_US (5000 * US_PER_MS)  /* beyond scan.timeout */
#define CRASH_WINDOW_TICKS 10
#define CRASHES_DEGRADED 10 /* in that window */

enum stage { STAGE_FREE, STAGE_LOADING, STAGE_SERVING, STAGE_RETIRING, STAGE_ORPHANED /* dead, its workers serve on */ };

struct child {
    enum stage stage;
    unsigned number;
    pid_t pid; /* 0: dead */
    int lifeline_fd, report_fd;
    int64_t since_us; /* of the stage */
};

struct supervisor {
    const struct sp_supervisor_env *env;
    struct sp_board *board;
    struct child children[GENERATIONS_MAX];
    int signal_fd;
    unsigned last_number;
    bool wants_reload;
    bool is_load_refused;  /* the newest load failed */
    int64_t restart_at_us; /* 0: no restart is due */
    unsigned backoff_ms;
    int64_t stop_us; /* 0: running */
    bool is_urgent;  /* told twice to stop */
    bool is_first_refused;
    uint64_t crashes_seen[CRASH_WINDOW_TICKS];
    unsigned tick;
    int64_t tick_us;
};

static struct child *find_stage(struct supervisor *s, enum stage stage)
{
    for (size_t i = 0; i < GENERATIONS_MAX; i++)
        if (s->children[i].stage == stage)
            return &s->children[i];
    return NULL;
}

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

/* --- what is shown --------------------------------------------------------------------------------------------------- */

static void notify_status(const struct supervisor *s)
{
    sd_notifyf(0, "STATUS=%s, generation %u, %u signatures", sp_scand_state_name(atomic_load(&s->board->state)),
        atomic_load(&s->board->generation), atomic_load(&s->board->signatures));
}

static void show_state(struct supervisor *s)
{
    const uint64_t crashes = atomic_load(&s->board->crashed) - s->crashes_seen[s->tick % CRASH_WINDOW_TICKS];
    const struct child *serving = find_stage(s, STAGE_SERVING);
    enum sp_scand_state state = SP_SCAND_SERVING;
    if (s->stop_us != 0)
        return; /* STOPPED comes last */
    if (!serving && !find_stage(s, STAGE_ORPHANED))
        state = SP_SCAND_LOADING;
    else if (!serving || s->is_load_refused || crashes >= CRASHES_DEGRADED)
        state = SP_SCAND_DEGRADED;
    if (atomic_exchange(&s->board->state, state) != (unsigned) state)
        notify_status(s);
}

static void note_failure(struct supervisor *s, const char *text)
{
    memset(s->board->last_error, 0, sizeof(s->board->last_error));
    snprintf(s->board->last_error, sizeof(s->board->last_error), "%s", text);
}

static void note_refusal(struct supervisor *s, unsigned number, const char *text)
{
    atomic_fetch_add(&s->board->refused, 1);
    note_failure(s, text);
    s->is_load_refused = true;
    if (s->board->generation == 0)
        sp_log(s->env->log, SP_LOG_ERROR, "%s", text);
    else
        sp_log(s->env->log, SP_LOG_ERROR, "generation %u refused, generation %u serves on: %s", number, atomic_load(&s->board->generation),
            text);
}

static void show_engine(struct supervisor *s, const struct child *child, const struct sp_generation_report *report)
{
    struct sp_board *board = s->board;
    board->generation = child->number;
    board->signatures = report->signatures;
    board->engine_id = report->engine_id;
    board->database_time = report->database_time;
    board->loaded_wall_us = sp_clock_wall_us();
    board->min_workers = report->workers;
    board->max_workers = (unsigned) (*s->env->conf)->scan_max_workers;
    notify_status(s);
    sp_log(s->env->log, SP_LOG_NOTICE, "ready: generation %u, %u signatures, %u workers, engine %016llx, %s", child->number,
        report->signatures, report->workers, (unsigned long long) report->engine_id, s->env->rundir->socket_path);
}

/* --- generations ----------------------------------------------------------------------------------------------------- */

static void become_generation(struct supervisor *s, unsigned number, int lifeline_fd, int report_fd)
{
    const struct sp_generation_env env = { .conf = *s->env->conf,
        .log = s->env->log,
        .board = s->board,
        .number = number,
        .listen_fd = s->env->rundir->listen_fd,
        .lifeline_fd = lifeline_fd,
        .report_fd = report_fd,
        .scratch_root = s->env->scratch_root,
        .scratch_fd = s->env->scratch_fd };
    const int keep[] = { env.listen_fd, lifeline_fd, report_fd, env.scratch_fd };
    char name[16];
    snprintf(name, sizeof(name), "scand: gen %u", number);
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
        become_generation(s, child->number, lifeline[0], report[1]);
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

static void start_generation(struct supervisor *s)
{
    struct sp_error err = { 0 };
    struct child *child = find_stage(s, STAGE_FREE);
    s->restart_at_us = 0;
    if (!child) {
        schedule_restart(s); /* many reloads in a row, and all their scans are long */
        return;
    }
    child->number = ++s->last_number;
    enter_stage(child, STAGE_LOADING);
    if (fork_generation(s, child, &err) == SP_OK)
        return;
    free_child(child);
    note_refusal(s, s->last_number, err.text);
    schedule_restart(s);
}

static void take_over(struct supervisor *s, struct child *child, const struct sp_generation_report *report)
{
    const bool is_first = s->board->generation == 0;
    show_engine(s, child, report);
    s->is_load_refused = false;
    for (size_t i = 0; i < GENERATIONS_MAX; i++)
        if (s->children[i].stage == STAGE_SERVING || s->children[i].stage == STAGE_ORPHANED)
            retire(&s->children[i]);
    enter_stage(child, STAGE_SERVING);
    if (is_first)
        sd_notify(0, "READY=1");
}

/* A refused generation leaves by itself. */
static void refuse(struct supervisor *s, struct child *child, const char *text)
{
    const bool is_first = s->board->generation == 0;
    note_refusal(s, child->number, text);
    retire(child);
    if (is_first)
        s->is_first_refused = true;
    else if (!find_stage(s, STAGE_SERVING))
        schedule_restart(s);
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
        refuse(s, child, report.text);
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
    if (WIFSIGNALED(status))
        snprintf(text, sizeof(text), "generation %u died: signal %d, %s", child->number, WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, sizeof(text), "generation %u ended with status %d", child->number, WEXITSTATUS(status));
    if (child->stage == STAGE_RETIRING || s->stop_us != 0) {
        free_child(child);
    } else if (stage == STAGE_LOADING && child->stage == STAGE_LOADING) {
        refuse(s, child, text);
    } else {
        sp_log(s->env->log, SP_LOG_ERROR, "%s; its workers serve on while another one loads", text);
        note_failure(s, text);
        if (sp_clock_mono_us() - child->since_us > STEADY_US)
            s->backoff_ms = BACKOFF_FIRST_MS;
        enter_stage(child, STAGE_ORPHANED);
        if (!find_stage(s, STAGE_LOADING))
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
    sd_notify(0, "STOPPING=1");
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

/* The file may have other limits now. One that is wrong changes nothing. */
static void reload_conf(struct supervisor *s)
{
    struct sp_error err = { 0 };
    struct sp_conf *conf = NULL, *old = *s->env->conf;
    if (sp_conf_load(old->path, &err, NULL, &conf) != SP_OK) {
        note_refusal(s, s->last_number + 1, err.text);
        return;
    }
    if (strcmp(conf->run_dir, old->run_dir) != 0 || strcmp(conf->spool_dir, old->spool_dir) != 0)
        sp_log(s->env->log, SP_LOG_WARN, "another run_dir or spool.dir takes effect after a restart");
    *s->env->conf = conf;
    sp_conf_free(&old);
    start_generation(s);
}

static void read_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signal_fd, &info, sizeof(info)) == (ssize_t) sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            s->wants_reload = true;
        } else if (info.ssi_signo != SIGCHLD) {
            if (s->stop_us == 0)
                begin_stop(s);
            else
                stop_at_once(s);
        }
    }
}

/* --- the loop -------------------------------------------------------------------------------------------------------- */

static void do_what_is_due(struct supervisor *s)
{
    const int64_t now_us = sp_clock_mono_us();
    if (s->stop_us == 0 && s->wants_reload && !find_stage(s, STAGE_LOADING)) {
        s->wants_reload = false;
        reload_conf(s);
    } else if (s->stop_us == 0 && s->restart_at_us != 0 && now_us >= s->restart_at_us && !find_stage(s, STAGE_LOADING)) {
        start_generation(s);
    }
    const int64_t patience_us = (*s->env->conf)->scan_ms * US_PER_MS + STOP_GRACE_US;
    for (size_t i = 0; i < GENERATIONS_MAX; i++)
        if (s->children[i].stage == STAGE_RETIRING && now_us - s->children[i].since_us > patience_us)
            kill(s->children[i].pid, SIGKILL);
    kill_orphans(s, s->is_urgent || (s->stop_us != 0 && now_us - s->stop_us > patience_us));
    if (now_us - s->tick_us >= TICK_MS * US_PER_MS) {
        s->tick_us = now_us;
        s->crashes_seen[s->tick++ % CRASH_WINDOW_TICKS] = s->board->crashed;
    }
    show_state(s);
}

static int ms_to_sleep(const struct supervisor *s)
{
    const int64_t left_us = s->restart_at_us == 0 ? INT64_MAX : s->restart_at_us - sp_clock_mono_us();
    if (left_us >= TICK_MS * US_PER_MS)
        return TICK_MS;
    return left_us <= 0 ? 0 : (int) (left_us / US_PER_MS) + 1;
}

static void wait_for_events(struct supervisor *s)
{
    struct pollfd fds[1 + GENERATIONS_MAX] = { { .fd = s->signal_fd, .events = POLLIN } };
    for (size_t i = 0; i < GENERATIONS_MAX; i++)
        fds[1 + i] = (struct pollfd){ .fd = s->children[i].report_fd, .events = POLLIN };
    if (poll(fds, 1 + GENERATIONS_MAX, ms_to_sleep(s)) <= 0)
        return;
    for (size_t i = 0; i < GENERATIONS_MAX; i++)
        if (fds[1 + i].revents && s->stop_us == 0)
            read_report(s, &s->children[i]);
    if (fds[0].revents)
        read_signals(s);
}

static void begin(struct supervisor *s)
{
    const int taken[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD };
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
    s->board->started_wall_us = sp_clock_wall_us();
}

int sp_supervisor_run(const struct sp_supervisor_env *env)
{
    struct supervisor s = { .env = env, .board = env->rundir->board, .backoff_ms = BACKOFF_FIRST_MS, .signal_fd = -1 };
    begin(&s);
    if (s.signal_fd < 0) {
        sp_log(env->log, SP_LOG_ERROR, "cannot take signals: %s", strerror(errno));
        return EXIT_FAILURE;
    }
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
    close(s.signal_fd);
    if (!s.is_first_refused)
        sp_log(env->log, SP_LOG_NOTICE, "stopped");
    return s.is_first_refused ? EXIT_FAILURE : EXIT_SUCCESS;
}
