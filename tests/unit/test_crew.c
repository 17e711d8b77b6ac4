/* A generation and its workers as they are, over an engine that does what the object tells it. */
#include "config.h"

#include "crew_kit.h"
#include "unit.h"

#include "../../service/scand/culprits.h"
#include "../../service/scand/generation.h"
#include "../../service/scand/lane.h"

#include "sallyport/clock.h"
#include "sallyport/scan_client.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- a generation ---------------------------------------------------------------------------------------------------- */

static struct {
    char dir[64], scratch[80];
    struct sp_scan_client client;
    struct sp_conf *conf;
    struct sp_board *board;
    struct sp_log log;
    int listen_fd, lifeline_fd;
    pid_t pid;
} crew;

static void become_generation(int lifeline_fd, int report_fd)
{
    const struct sp_generation_env env = { .conf = crew.conf,
        .log = &crew.log,
        .board = crew.board,
        .number = 1,
        .listen_fd = crew.listen_fd,
        .lifeline_fd = lifeline_fd,
        .report_fd = report_fd,
        .scratch_root = crew.scratch,
        .scratch_fd = STDERR_FILENO };
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(crew.lifeline_fd);
    _exit(sp_generation_run(&env));
}

static void start(int workers, int max_workers)
{
    struct sp_error err = { 0 };
    int lifeline[2], report[2];
    char board_path[80];
    struct sp_generation_report r = { 0 };
    snprintf(crew.dir, sizeof(crew.dir), "/tmp/sallyport-unit-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(crew.dir));
    snprintf(crew.scratch, sizeof(crew.scratch), "%s/scratch", crew.dir);
    ck_assert_int_eq(mkdir(crew.scratch, 0700), 0);
    snprintf(board_path, sizeof(board_path), "%s/scand.stat", crew.dir);
    ck_assert_int_eq(sp_board_create(board_path, &err, &crew.board), SP_OK);
    ck_assert_int_eq(unlink(board_path), 0); /* the client is not to ask it */
    ck_assert_int_eq(sp_conf_defaults(&crew.conf), SP_OK);
    crew.conf->scan_workers = workers;
    crew.conf->scan_max_workers = max_workers;
    crew.client = (struct sp_scan_client){ .queue_ms = 30000, .scan_ms = 30000 };
    ck_assert_int_eq(sp_scan_socket_path(crew.dir, crew.client.socket_path, &err), SP_OK);
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    memcpy(addr.sun_path, crew.client.socket_path, sizeof(addr.sun_path));
    crew.listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(bind(crew.listen_fd, (struct sockaddr *) &addr, sizeof(addr)), 0);
    ck_assert_int_eq(listen(crew.listen_fd, 64), 0);
    ck_assert_int_eq(pipe(lifeline), 0);
    ck_assert_int_eq(pipe(report), 0);
    crew.lifeline_fd = lifeline[1];
    crew.log = sp_log_stderr("crew", getenv("VERBOSE") ? SP_LOG_DEBUG : SP_LOG_ERROR);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    crew.pid = fork();
    if (crew.pid == 0)
        become_generation(lifeline[0], report[1]);
    close(lifeline[0]);
    close(report[1]);
    ck_assert_int_eq(read(report[0], &r, sizeof(r)), sizeof(r));
    ck_assert_msg(r.is_ready, "%s", r.text);
    close(report[0]);
}

static void stop(void)
{
    int status;
    char path[80];
    close(crew.lifeline_fd);
    ck_assert_int_eq(waitpid(crew.pid, &status, 0), crew.pid);
    ck_assert_int_eq(status, 0);
    close(crew.listen_fd);
    const struct sp_board *board = crew.board;
    sp_board_close(&board);
    sp_conf_free(&crew.conf);
    snprintf(path, sizeof(path), "%s/scan.sock", crew.dir);
    unlink(path);
    rmdir(crew.scratch);
    ck_assert_int_eq(rmdir(crew.dir), 0);
}

static struct sp_spool *body_of(char first, size_t n, char rest)
{
    const struct sp_spool_limits limits = { .memory_bytes = 1 << 25, .max_bytes = 1 << 25, .dir = "/tmp" };
    struct sp_spool *body = NULL;
    char *bytes = malloc(n);
    memset(bytes, rest, n);
    bytes[0] = first;
    ck_assert_int_eq(sp_spool_new(&limits, &body), SP_OK);
    ck_assert_int_eq(sp_spool_append(body, bytes, n, NULL), SP_OK);
    ck_assert_int_eq(sp_spool_seal(body, NULL), SP_OK);
    free(bytes);
    return body;
}

static struct sp_scan_result ask_for(char first, size_t n, char rest)
{
    struct sp_scan_result result;
    struct sp_spool *body = body_of(first, n, rest);
    sp_scan_client_ask(&crew.client, &(struct sp_scan_body){ .spool = body }, "test", &result);
    sp_spool_free(&body);
    return result;
}

static void check_result(const struct sp_scan_result *r, enum sp_outcome outcome, bool is_retried, const char *detail)
{
    ck_assert_msg(r->outcome == outcome, "%s: %s", sp_outcome_name(r->outcome), r->detail);
    ck_assert_int_eq(r->is_retried, is_retried);
    ck_assert_msg(strstr(r->detail, detail) != NULL, "%s", r->detail);
}

#define PATIENCE_US 30000000

static void await_count(const _Atomic uint64_t *counter, uint64_t n)
{
    for (int64_t end_us = sp_clock_mono_us() + PATIENCE_US; atomic_load(counter) < n && sp_clock_mono_us() < end_us;)
        usleep(1000);
    ck_assert_uint_eq(atomic_load(counter), n);
}

static bool is_dead_on_board(void)
{
    for (unsigned i = 0; i < SP_BOARD_MAX_WORKERS; i++) {
        const pid_t pid = atomic_load(&crew.board->workers[i].pid);
        if (pid > 0 && kill(pid, 0) < 0)
            return true;
    }
    return false;
}

/* The generation hears of a death a moment after the client, and gives the slot back when it has judged the object. */
static void await_crashes(unsigned n)
{
    await_count(&crew.board->crashed, n);
    bool is_settled = false; /* once: another one may die right after */
    for (int64_t end_us = sp_clock_mono_us() + PATIENCE_US; !is_settled && sp_clock_mono_us() < end_us; usleep(1000))
        is_settled = !is_dead_on_board();
    ck_assert(is_settled);
}

#define KNOWN "has ended scanner processes before"

/* --- containment ----------------------------------------------------------------------------------------------------- */

static void check_contained(char what, size_t n, unsigned crashes, const char *detail)
{
    start(2, 2);
    struct sp_scan_result r = ask_for(what, n, 'x');
    check_result(&r, SP_OUTCOME_ERROR, true, detail);
    await_crashes(crashes);
    await_count(&crew.board->culprits, 1);
    ck_assert_uint_eq(atomic_load(&shared->scans), 2);
    r = ask_for(what, n, 'x');
    check_result(&r, SP_OUTCOME_ERROR, false, KNOWN);
    ck_assert_uint_eq(atomic_load(&shared->scans), 2);
    ck_assert_uint_eq(atomic_load(&crew.board->culprits), 1);
    ck_assert_uint_eq(atomic_load(&crew.board->culprits_refused), 1);
    r = ask_for('c', n, 'x'); /* of the same length */
    check_result(&r, SP_OUTCOME_CLEAN, false, "");
    r = ask_for(what, n, 'y'); /* another object */
    check_result(&r, SP_OUTCOME_ERROR, true, detail);
    await_crashes(2 * crashes);
    ck_assert_uint_eq(atomic_load(&shared->scans), 5);
    stop();
}

START_TEST(an_object_that_crashes_twice_is_not_scanned_again)
{
    check_contained('S', 100, 2, "died twice");
}
END_TEST

START_TEST(also_when_it_is_in_a_file)
{
    check_contained('S', 200000, 2, "died twice");
}
END_TEST

START_TEST(an_object_that_needs_too_much_memory_is_not_scanned_again)
{
    check_contained('M', 100, 0, "the engine's word");
}
END_TEST

/* A full disk is no fault of the object. */
START_TEST(other_failures_are_retried_and_not_remembered)
{
    start(2, 2);
    for (unsigned i = 1; i <= 3; i++) {
        const struct sp_scan_result r = ask_for('E', 100, 'x');
        check_result(&r, SP_OUTCOME_ERROR, true, "the engine's word");
        ck_assert_uint_eq(atomic_load(&shared->scans), 2 * i);
    }
    stop();
}
END_TEST

START_TEST(what_is_killed_from_outside_is_not_blamed)
{
    start(2, 2);
    for (unsigned i = 1; i <= 3; i++) {
        const struct sp_scan_result r = ask_for('K', 100, 'x');
        check_result(&r, SP_OUTCOME_ERROR, true, "died twice");
        await_crashes(2 * i);
        ck_assert_uint_eq(atomic_load(&shared->scans), 2 * i);
    }
    stop();
}
END_TEST

START_TEST(what_hangs_is_a_limit_each_time)
{
    start(2, 2);
    crew.client.scan_ms = 200;
    for (unsigned i = 1; i <= 3; i++) {
        const struct sp_scan_result r = ask_for('H', 100, 'x');
        check_result(&r, SP_OUTCOME_LIMIT, false, "");
        ck_assert_uint_eq(atomic_load(&shared->scans), i);
    }
    await_count(&crew.board->timed_out, 3);
    ck_assert_uint_eq(atomic_load(&crew.board->crashed), 0);
    stop();
}
END_TEST

/* Only the guilty one of several objects in a body, which may come in another body the next time. */
START_TEST(one_of_several_objects_is_blamed)
{
    start(2, 2);
    char bytes[] = "cccccSSSScccc";
    const struct sp_scan_extent extents[] = { { 0, 5 }, { 5, 4 }, { 9, 4 } };
    const struct sp_spool_limits limits = { .memory_bytes = 1 << 20, .max_bytes = 1 << 20, .dir = "/tmp" };
    struct sp_spool *body = NULL;
    struct sp_scan_result r;
    ck_assert_int_eq(sp_spool_new(&limits, &body), SP_OK);
    ck_assert_int_eq(sp_spool_append(body, bytes, sizeof(bytes) - 1, NULL), SP_OK);
    ck_assert_int_eq(sp_spool_seal(body, NULL), SP_OK);
    sp_scan_client_ask(&crew.client, &(struct sp_scan_body){ body, extents, 3 }, "test", &r);
    check_result(&r, SP_OUTCOME_ERROR, true, "died twice");
    await_crashes(2);
    sp_scan_client_ask(&crew.client, &(struct sp_scan_body){ body, extents, 3 }, "test", &r);
    check_result(&r, SP_OUTCOME_ERROR, false, KNOWN);
    sp_scan_client_ask(&crew.client, &(struct sp_scan_body){ body, extents, 1 }, "test", &r);
    check_result(&r, SP_OUTCOME_CLEAN, false, "");
    sp_spool_free(&body);
    r = ask_for('S', 4, 'S');
    check_result(&r, SP_OUTCOME_ERROR, false, KNOWN);
    stop();
}
END_TEST

/* --- fairness -------------------------------------------------------------------------------------------------------- */

#define LARGE (2 * SP_LANE_LARGE_BYTES)
#define LONG_SCANS 4

/* Of four workers three may be in long scans: the fourth object waits with its client, and small ones pass it. */
START_TEST(large_objects_leave_a_worker_for_small_ones)
{
    start(4, 4);
    struct sp_scan_job *jobs[LONG_SCANS];
    struct sp_spool *body = body_of('L', LARGE, 'x');
    struct sp_scan_result r;
    const int64_t start_us = sp_clock_mono_us();
    shared->is_held = true;
    for (size_t i = 0; i < LONG_SCANS; i++)
        jobs[i] = sp_scan_job_new(&crew.client, &(struct sp_scan_body){ .spool = body }, "large");
    for (int64_t end_us = start_us + PATIENCE_US; atomic_load(&shared->scans) < 3 && sp_clock_mono_us() < end_us;)
        usleep(1000);
    for (int i = 0; i < 5; i++) {
        r = ask_for('c', 10, 'x');
        check_result(&r, SP_OUTCOME_CLEAN, false, "");
    }
    for (size_t i = 0; i < LONG_SCANS; i++)
        ck_assert(!sp_scan_job_wait(jobs[i], 0, &r));
    ck_assert_uint_eq(atomic_load(&shared->scans), 3 + 5);
    shared->is_held = false;
    for (size_t i = 0; i < LONG_SCANS; i++) {
        ck_assert(sp_scan_job_wait(jobs[i], -1, &r));
        check_result(&r, SP_OUTCOME_CLEAN, false, "");
        sp_scan_job_free(&jobs[i]);
    }
    ck_assert_int_ge(sp_clock_mono_us() - start_us, 2 * LONG_SCAN_US); /* one waited for another */
    sp_spool_free(&body);
    stop();
}
END_TEST

START_TEST(waiting_for_the_lane_ends_in_overload)
{
    start(4, 4);
    crew.client.queue_ms = 2000;
    shared->is_held = true;
    struct sp_scan_job *jobs[LONG_SCANS];
    struct sp_spool *body = body_of('L', LARGE, 'x');
    struct sp_scan_result r;
    unsigned overloads = 0;
    for (size_t i = 0; i < LONG_SCANS; i++)
        jobs[i] = sp_scan_job_new(&crew.client, &(struct sp_scan_body){ .spool = body }, "large");
    for (int left = LONG_SCANS; left > 0; usleep(1000))
        for (size_t i = 0; i < LONG_SCANS; i++)
            if (jobs[i] && sp_scan_job_wait(jobs[i], 0, &r)) {
                if (r.outcome == SP_OUTCOME_OVERLOAD) {
                    overloads++;
                    shared->is_held = false;
                    check_result(&r, SP_OUTCOME_OVERLOAD, false, "too many long scans");
                } else {
                    check_result(&r, SP_OUTCOME_CLEAN, false, "");
                }
                sp_scan_job_free(&jobs[i]);
                left--;
            }
    ck_assert_uint_eq(overloads, 1);
    sp_spool_free(&body);
    stop();
}
END_TEST

/* A worker that dies in the lane leaves it. */
START_TEST(dead_workers_leave_the_lane)
{
    start(4, 4);
    for (int i = 0; i < 3; i++) {
        const struct sp_scan_result r = ask_for('S', LARGE, (char) ('a' + i));
        check_result(&r, SP_OUTCOME_ERROR, true, "died twice");
    }
    await_crashes(6);
    const struct sp_scan_result r = ask_for('c', LARGE, 'x');
    check_result(&r, SP_OUTCOME_CLEAN, false, "");
    stop();
}
END_TEST

static unsigned busy_slot(void)
{
    for (int64_t end_us = sp_clock_mono_us() + PATIENCE_US; sp_clock_mono_us() < end_us; usleep(1000))
        for (unsigned i = 0; i < 4; i++)
            if (atomic_load(&crew.board->workers[i].busy_since_us) != 0)
                return i;
    ck_abort_msg("nobody is busy");
    return 0;
}

static void await_nice(pid_t pid, int want)
{
    for (int64_t end_us = sp_clock_mono_us() + PATIENCE_US; getpriority(PRIO_PROCESS, (id_t) pid) != want && sp_clock_mono_us() < end_us;)
        usleep(1000);
    ck_assert_int_eq(getpriority(PRIO_PROCESS, (id_t) pid), want);
}

/* Its process; while a successor is being forked there is none. */
static pid_t await_worker(unsigned slot)
{
    pid_t pid = 0;
    for (int64_t end_us = sp_clock_mono_us() + PATIENCE_US; pid <= 0 && sp_clock_mono_us() < end_us; usleep(1000))
        pid = atomic_load(&crew.board->workers[slot].pid);
    ck_assert_int_gt(pid, 0);
    return pid;
}

static void check_lowered(size_t n, unsigned after_ms, int nice)
{
    start(2, 2);
    struct sp_scan_result r;
    struct sp_spool *body = body_of('L', n, 'x');
    shared->is_held = true;
    struct sp_scan_job *job = sp_scan_job_new(&crew.client, &(struct sp_scan_body){ .spool = body }, "long");
    const unsigned slot = busy_slot();
    const pid_t pid = atomic_load(&crew.board->workers[slot].pid);
    const int own = getpriority(PRIO_PROCESS, 0), want = nice > own ? nice : own;
    usleep(after_ms * 1000);
    await_nice(pid, want);
    shared->is_held = false;
    ck_assert(sp_scan_job_wait(job, -1, &r));
    check_result(&r, SP_OUTCOME_CLEAN, false, "");
    const bool is_long = nice > 0 || r.reply.scan_us > SP_LANE_LONG_US; /* on a busy machine the short one may be, too */
    for (int64_t end_us = sp_clock_mono_us() + PATIENCE_US; is_long && kill(pid, 0) == 0 && sp_clock_mono_us() < end_us;)
        usleep(1000);
    ck_assert_int_eq(kill(pid, 0) == 0, !is_long);
    ck_assert_uint_eq(atomic_load(&crew.board->crashed), 0);
    r = ask_for('c', 10, 'x');
    check_result(&r, SP_OUTCOME_CLEAN, false, "");
    await_crashes(0); /* who has ended is off the board */
    for (unsigned i = 0; i < 2; i++)
        await_nice(await_worker(i), own);
    sp_scan_job_free(&job);
    sp_spool_free(&body);
    stop();
}

/* What is huge from the begin, what turns out to be long when it has; what is neither keeps its priority and its worker. */
START_TEST(long_scans_step_back)
{
    check_lowered(SP_LANE_HUGE_BYTES, 0, 10);
    check_lowered(10, SP_LANE_LONG_US / 1000 + 200, 10); /* long enough to end its worker, also if this runs with a low priority */
    check_lowered(LARGE, 100, 0);
}
END_TEST

START_TEST(the_lane_counts_large_and_long_scans)
{
    static struct sp_board board;
    struct sp_lane *lane = sp_lane_new();
    static const unsigned widths[][2] = { { 1, 1 }, { 2, 2 }, { 3, 3 }, { 4, 3 }, { 8, 6 }, { 32, 24 }, { 256, 192 } };
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++)
        ck_assert_uint_eq(sp_lane_width(widths[i][0]), widths[i][1]);
    const int64_t now_us = 100000000;
    for (unsigned i = 0; i < 8; i++) {
        board.workers[i].pid = (int) i + 1;
        board.workers[i].generation = i < 6 ? 1 : 2;
        board.workers[i].busy_since_us = now_us;
    }
    ck_assert(sp_lane_enter(lane, &board, 1, 0, 4, now_us));
    ck_assert(sp_lane_enter(lane, &board, 1, 1, 4, now_us));
    ck_assert(sp_lane_enter(lane, &board, 1, 2, 4, now_us));
    ck_assert(!sp_lane_enter(lane, &board, 1, 3, 4, now_us));
    ck_assert(sp_lane_enter(lane, &board, 2, 6, 4, now_us)); /* another generation has its own */
    sp_lane_leave(lane, 1);
    board.workers[4].busy_since_us = now_us - 1000001; /* small and long */
    ck_assert(!sp_lane_enter(lane, &board, 1, 3, 4, now_us));
    board.workers[4].busy_since_us = 0; /* idle again */
    ck_assert(sp_lane_enter(lane, &board, 1, 3, 4, now_us));
    sp_lane_free(&lane);
    sp_lane_free(&lane);
}
END_TEST

/* --- the list -------------------------------------------------------------------------------------------------------- */

static struct sp_culprit culprit_of(struct sp_digest *digest, unsigned i)
{
    struct sp_culprit culprit;
    ck_assert(sp_culprit_describe(digest, &i, -1, 0, sizeof(i), &culprit));
    return culprit;
}

START_TEST(the_list_is_bounded_and_the_oldest_goes)
{
    struct sp_digest digest;
    struct sp_culprits *list = sp_culprits_new();
    uint64_t bytes = 0;
    ck_assert_int_eq(sp_digest_init(&digest, NULL, NULL), SP_OK);
    ck_assert(!sp_culprits_has_length(list, sizeof(unsigned)));
    ck_assert(!sp_culprits_convict(list, 7, &bytes)); /* of nothing */
    for (unsigned i = 0; i < SP_CULPRITS_MAX + 10; i++) {
        const struct sp_culprit culprit = culprit_of(&digest, i);
        for (int again = 0; again < 2; again++) { /* the second time adds nothing */
            sp_culprits_suspect(list, 7, &culprit);
            ck_assert(sp_culprits_has(list, &culprit) == again);
            ck_assert(sp_culprits_convict(list, 7, &bytes));
            ck_assert_uint_eq(bytes, sizeof(i));
        }
        ck_assert(!sp_culprits_convict(list, 7, &bytes));
    }
    ck_assert(sp_culprits_has_length(list, sizeof(unsigned)));
    ck_assert(!sp_culprits_has_length(list, sizeof(unsigned) + 1));
    for (unsigned i = 0; i < SP_CULPRITS_MAX + 10; i++) {
        const struct sp_culprit culprit = culprit_of(&digest, i);
        ck_assert(sp_culprits_has(list, &culprit) == (i >= 10));
    }
    const struct sp_culprit fresh = culprit_of(&digest, 100000);
    sp_culprits_suspect(list, 7, &fresh);
    sp_culprits_acquit(list, 7);
    ck_assert(!sp_culprits_convict(list, 7, &bytes));
    sp_digest_fini(&digest);
    sp_culprits_free(&list);
    sp_culprits_free(&list);
}
END_TEST

START_TEST(memory_and_file_are_described_alike)
{
    struct sp_digest digest;
    static char bytes[100000];
    struct sp_culprit a, b;
    FILE *f = tmpfile();
    ck_assert_ptr_nonnull(f);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char) (i * i >> 7);
    ck_assert_uint_eq(fwrite(bytes, 1, sizeof(bytes), f), sizeof(bytes));
    fflush(f);
    ck_assert_int_eq(sp_digest_init(&digest, NULL, NULL), SP_OK);
    ck_assert(sp_culprit_describe(&digest, bytes + 11, -1, 0, 70000, &a));
    ck_assert(!sp_culprit_describe(&digest, NULL, fileno(f), 11, sizeof(bytes), &b)); /* shorter than said */
    ck_assert(!sp_culprit_describe(&digest, bytes, -1, 0, 0, &b));
    ck_assert(sp_culprit_describe(&digest, NULL, fileno(f), 11, 70000, &b)); /* nothing of the failure is left */
    ck_assert_mem_eq(&a, &b, sizeof(a));
    sp_digest_fini(&digest);
    fclose(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("crew");
    tcase_add_test(c, an_object_that_crashes_twice_is_not_scanned_again);
    tcase_add_test(c, also_when_it_is_in_a_file);
    tcase_add_test(c, an_object_that_needs_too_much_memory_is_not_scanned_again);
    tcase_add_test(c, other_failures_are_retried_and_not_remembered);
    tcase_add_test(c, what_is_killed_from_outside_is_not_blamed);
    tcase_add_test(c, what_hangs_is_a_limit_each_time);
    tcase_add_test(c, one_of_several_objects_is_blamed);
    tcase_add_test(c, large_objects_leave_a_worker_for_small_ones);
    tcase_add_test(c, waiting_for_the_lane_ends_in_overload);
    tcase_add_test(c, dead_workers_leave_the_lane);
    tcase_add_test(c, long_scans_step_back);
    tcase_add_test(c, the_lane_counts_large_and_long_scans);
    tcase_add_test(c, the_list_is_bounded_and_the_oldest_goes);
    tcase_add_test(c, memory_and_file_are_described_alike);
    return unit_run("crew", c);
}
