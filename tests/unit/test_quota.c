/* The quota of all spools: many threads and processes at once, processes that are killed, shares, and a file that is foreign. */
#include "config.h"

#include "unit.h"

#include "sallyport/quota.h"
#include "sallyport/spool.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT 9000u

static char dir[64], path[96];

static void setup(void)
{
    snprintf(dir, sizeof(dir), "/tmp/sp_test_quota.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/spool.stat", dir);
}

static void teardown(void)
{
    unlink(path);
    ck_assert_msg(rmdir(dir) == 0, "something was left in %s", dir);
}

static struct sp_quota *open_quota(uint64_t limit)
{
    struct sp_error err = { 0 };
    struct sp_quota *quota;
    ck_assert_msg(sp_quota_open(path, limit, &err, &quota) == SP_OK, "%s", err.text);
    return quota;
}

static struct sp_quota_use look(void)
{
    struct sp_quota_use use;
    ck_assert_int_eq(sp_quota_look(path, NULL, &use), SP_OK);
    return use;
}

/* --- one process ---------------------------------------------------------------------------------------------------------- */

START_TEST(take_and_give)
{
    struct sp_error err = { 0 };
    struct sp_quota_use use;
    ck_assert_int_eq(sp_quota_look(path, &err, &use), SP_ERR_NOT_FOUND);
    ck_assert_str_ne(err.text, "");
    struct sp_quota *quota = open_quota(LIMIT);
    ck_assert_uint_eq(look().held_bytes, 0);
    ck_assert(sp_quota_take(quota, 0));
    ck_assert(sp_quota_take(quota, 5000));
    ck_assert_uint_eq(look().held_bytes, 5000);
    ck_assert_uint_eq(look().processes, 1);
    ck_assert_uint_eq(look().refused, 0);
    ck_assert(!sp_quota_take(quota, 4001));
    ck_assert(!sp_quota_take(quota, UINT64_MAX)); /* sums must not wrap */
    ck_assert(!sp_quota_take(quota, UINT64_MAX - 5000 + 1));
    ck_assert_uint_eq(look().held_bytes, 5000);
    ck_assert_uint_eq(look().refused, 3);
    sp_quota_give(quota, 4000);
    ck_assert_uint_eq(look().held_bytes, 1000);
    sp_quota_give(quota, 2000); /* more than was taken: nothing below zero */
    ck_assert_uint_eq(look().held_bytes, 0);
    ck_assert(sp_quota_take(quota, 7000));
    sp_quota_close(&quota);
    ck_assert_ptr_null(quota);
    sp_quota_close(&quota);
    ck_assert_uint_eq(look().held_bytes, 0);
    ck_assert_uint_eq(look().refused, 3);
}
END_TEST

/* A process alone gets eight ninths, to the byte. */
START_TEST(alone)
{
    struct sp_quota *quota = open_quota(LIMIT);
    ck_assert(!sp_quota_take(quota, 8008));
    ck_assert(sp_quota_take(quota, 8000));
    ck_assert(!sp_quota_take(quota, 8));
    sp_quota_close(&quota);
}
END_TEST

/* A reload: two objects of one process are one process, a smaller limit holds for the new one, and nothing is forgotten. */
START_TEST(two_objects)
{
    struct sp_quota *old = open_quota(LIMIT), *fresh = open_quota(LIMIT / 2);
    ck_assert(sp_quota_take(old, 4000));
    ck_assert(!sp_quota_take(fresh, 1000)); /* 5000 of 4500 */
    ck_assert(!sp_quota_take(fresh, 300));  /* 4300: all of it held by this process, 200 free */
    ck_assert_uint_eq(look().held_bytes, 4000);
    sp_quota_give(old, 4000);
    ck_assert(sp_quota_take(fresh, 4000));
    sp_quota_close(&old);
    ck_assert_uint_eq(look().held_bytes, 4000);
    sp_quota_close(&fresh);
    ck_assert_uint_eq(look().held_bytes, 0);
}
END_TEST

/* --- processes ------------------------------------------------------------------------------------------------------------ */

/* A process that takes in steps until it is refused, says how much it got, and then waits to be killed or for its pipe to end. */
struct taker {
    pid_t pid;
    int to, from;
    uint64_t got;
};

static void be_taker(struct sp_quota *quota, int from, int to, uint64_t step)
{
    char c;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (read(from, &c, 1) == 1) { /* '1': one step; 'a': all there is */
        uint64_t got = 0;
        while (sp_quota_take(quota, step)) {
            got += step;
            if (c == '1')
                break;
        }
        if (write(to, &got, sizeof(got)) != (ssize_t) sizeof(got))
            _exit(1);
    }
    _exit(0); /* without giving anything back */
}

static struct taker start_taker(struct sp_quota *quota, uint64_t step)
{
    int in[2], out[2];
    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(in[1]);
        be_taker(quota, in[0], out[1], step);
    }
    close(in[0]);
    close(out[1]);
    return (struct taker){ .pid = pid, .to = in[1], .from = out[0] };
}

static uint64_t let_take(struct taker *t, char how)
{
    uint64_t got = 0;
    ck_assert_int_eq(write(t->to, &how, 1), 1);
    ck_assert_int_eq(read(t->from, &got, sizeof(got)), (ssize_t) sizeof(got));
    t->got += got;
    return got;
}

static void end_taker(struct taker *t, bool is_reaped)
{
    siginfo_t info;
    ck_assert_int_eq(kill(t->pid, SIGKILL), 0);
    ck_assert_int_eq(waitid(P_PID, (id_t) t->pid, &info, WEXITED | (is_reaped ? 0 : WNOWAIT)), 0);
    close(t->to);
    close(t->from);
}

/* Killed, it gives its share back at once: as a zombie, and when it is gone. */
START_TEST(killed)
{
    for (int is_reaped = 0; is_reaped < 2; is_reaped++) {
        struct sp_quota *quota = open_quota(LIMIT);
        struct taker t = start_taker(quota, 10);
        ck_assert_uint_eq(let_take(&t, 'a'), 8000);
        ck_assert(!sp_quota_take(quota, 1001));
        ck_assert_uint_eq(look().held_bytes, 8000);
        end_taker(&t, is_reaped);
        ck_assert_uint_eq(look().held_bytes, 0);
        ck_assert(sp_quota_take(quota, 8000));
        ck_assert_uint_eq(look().held_bytes, 8000);
        ck_assert_uint_eq(look().processes, 1);
        sp_quota_close(&quota);
        waitpid(t.pid, NULL, 0);
    }
}
END_TEST

/* Each finds room, whatever the others hold, and who comes first does not keep more than who comes last in the end. */
START_TEST(fair_shares)
{
    const uint64_t limit = 1000000;
    struct sp_quota *quota = open_quota(limit);
    struct taker t[4];
    uint64_t total = 0;
    for (size_t i = 0; i < 4; i++)
        t[i] = start_taker(quota, 1000);
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_gt(let_take(&t[i], 'a'), i == 0 ? limit * 8 / 10 : 0);
    for (size_t i = 0; i < 4; i++)
        total += t[i].got;
    ck_assert_uint_le(total, limit);
    end_taker(&t[0], true); /* the greedy one's share is for those who hold little */
    ck_assert_uint_gt(let_take(&t[3], 'a'), limit / 2);
    end_taker(&t[3], true);
    struct taker late = start_taker(quota, 1000);
    ck_assert_uint_gt(let_take(&late, 'a'), 0);
    end_taker(&late, true);
    end_taker(&t[1], true);
    end_taker(&t[2], true);
    ck_assert_uint_eq(look().held_bytes, 0);
    sp_quota_close(&quota);
}
END_TEST

/* Three that grow side by side end at eight twenty-fifths each. */
START_TEST(equal_shares)
{
    struct sp_quota *quota = open_quota(2500);
    struct taker t[3];
    for (size_t i = 0; i < 3; i++)
        t[i] = start_taker(quota, 1);
    for (uint64_t got = 1; got > 0;) {
        got = 0;
        for (size_t i = 0; i < 3; i++)
            got += let_take(&t[i], '1');
    }
    for (size_t i = 0; i < 3; i++) {
        ck_assert_msg(t[i].got >= 798 && t[i].got <= 802, "the share of %zu is %llu", i, (unsigned long long) t[i].got);
        end_taker(&t[i], true);
    }
    sp_quota_close(&quota);
}
END_TEST

/* More processes came and went, without giving anything back, than there are slots. */
START_TEST(slots_come_back)
{
    struct sp_quota *quota = open_quota(LIMIT);
    ck_assert(sp_quota_take(quota, 10));
    for (int i = 0; i < SP_QUOTA_PROCESSES + 100; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(sp_quota_take(quota, 5) ? 0 : 1);
        int status;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(status == 0, "process %d: %d", i, status);
    }
    ck_assert_uint_eq(look().held_bytes, 10);
    sp_quota_close(&quota);
}
END_TEST

/* All slots taken by those who live: refused, not waited for. */
START_TEST(no_slot_left)
{
    struct sp_quota *all[SP_QUOTA_PROCESSES], *one_more = open_quota(LIMIT);
    for (size_t i = 0; i < SP_QUOTA_PROCESSES; i++) {
        all[i] = open_quota(LIMIT);
        ck_assert(sp_quota_take(all[i], 1));
    }
    ck_assert(!sp_quota_take(one_more, 1));
    sp_quota_give(one_more, 1);
    sp_quota_close(&all[100]);
    ck_assert(sp_quota_take(one_more, 1));
    ck_assert_uint_eq(look().held_bytes, SP_QUOTA_PROCESSES);
    sp_quota_close(&one_more);
    for (size_t i = 0; i < SP_QUOTA_PROCESSES; i++)
        sp_quota_close(&all[i]);
}
END_TEST

/* --- many at once --------------------------------------------------------------------------------------------------------- */

#define WORKERS 4
#define ROUNDS 20000
#define SLICE 10u

static atomic_uint n_taken;

static void *take_and_give_often(void *arg)
{
    struct sp_quota *quota = arg;
    unsigned x = (unsigned) (uintptr_t) &x;
    uint64_t held = 0;
    for (int i = 0; i < ROUNDS; i++) {
        x = x * 1103515245u + 12345u;
        if ((x >> 16) % 2 == 0 && sp_quota_take(quota, SLICE)) {
            held += SLICE;
            n_taken++;
        } else if (held > 0) {
            sp_quota_give(quota, SLICE);
            held -= SLICE;
        }
    }
    sp_quota_give(quota, held);
    return NULL;
}

static void run_threads(struct sp_quota *quota)
{
    pthread_t threads[WORKERS];
    for (size_t i = 0; i < WORKERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, take_and_give_often, quota), 0);
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
}

START_TEST(many_threads)
{
    struct sp_quota *quota = open_quota(300);
    run_threads(quota);
    ck_assert_uint_gt(n_taken, 0);
    ck_assert_uint_eq(look().held_bytes, 0);
    sp_quota_close(&quota);
}
END_TEST

static pthread_barrier_t all_here;

static void *take_first(void *arg)
{
    struct sp_quota **quota = arg;
    for (int i = 0; i < SP_QUOTA_PROCESSES * 4; i++) {
        if (pthread_barrier_wait(&all_here) == PTHREAD_BARRIER_SERIAL_THREAD) {
            sp_quota_close(quota);
            *quota = open_quota(LIMIT);
        }
        pthread_barrier_wait(&all_here);
        ck_assert(sp_quota_take(*quota, 1));
    }
    return NULL;
}

/* Threads that need the slot of their process at the same moment get one, not one each. */
START_TEST(one_slot_for_all_threads)
{
    struct sp_quota *quota = NULL, *rest[SP_QUOTA_PROCESSES - 1];
    pthread_t threads[WORKERS];
    pthread_barrier_init(&all_here, NULL, WORKERS);
    for (size_t i = 0; i < WORKERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, take_first, &quota), 0);
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&all_here);
    ck_assert_uint_eq(look().held_bytes, WORKERS);
    for (size_t i = 0; i < SP_QUOTA_PROCESSES - 1; i++) {
        rest[i] = open_quota(LIMIT);
        ck_assert_msg(sp_quota_take(rest[i], 1), "only %zu slots are left", i);
    }
    for (size_t i = 0; i < SP_QUOTA_PROCESSES - 1; i++)
        sp_quota_close(&rest[i]);
    sp_quota_close(&quota);
}
END_TEST

/* Processes with threads, each with an object opened before the fork, one of them killed in the middle. */
START_TEST(processes_with_threads)
{
    struct sp_quota *quota = open_quota(1000);
    pid_t pids[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            run_threads(quota);
            _exit(0);
        }
    }
    kill(pids[0], SIGKILL);
    for (size_t i = 0; i < WORKERS; i++)
        waitpid(pids[i], NULL, 0);
    ck_assert_uint_eq(look().held_bytes, 0);
    ck_assert(sp_quota_take(quota, 880));
    sp_quota_close(&quota);
}
END_TEST

/* What has been granted never passes the limit, not for a moment: of six that want a part, two get one. */
START_TEST(limit_is_hard)
{
    enum { N = 6, EACH = 100, GRANTS = 2000 };
    struct sp_quota *quota = open_quota(EACH * 2 + EACH / 2);
    struct {
        atomic_uint granted, worst, n;
    } *seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[N];
    for (size_t i = 0; i < N; i++) {
        pids[i] = fork();
        while (pids[i] == 0 && seen->n < GRANTS) {
            if (!sp_quota_take(quota, EACH))
                continue;
            unsigned now = atomic_fetch_add(&seen->granted, 1) + 1, worst = seen->worst;
            while (worst < now && !atomic_compare_exchange_weak(&seen->worst, &worst, now))
                ;
            seen->n++;
            sched_yield();
            seen->granted--;
            sp_quota_give(quota, EACH);
        }
        if (pids[i] == 0)
            _exit(0);
    }
    for (size_t i = 0; i < N; i++)
        waitpid(pids[i], NULL, 0);
    ck_assert_uint_eq(seen->worst, 2);
    munmap(seen, sizeof(*seen));
    sp_quota_close(&quota);
}
END_TEST

/* --- spools --------------------------------------------------------------------------------------------------------------- */

static struct sp_spool *new_spool(struct sp_quota *quota, uint64_t memory, uint64_t max)
{
    struct sp_spool_limits limits = { .memory_bytes = memory, .max_bytes = max, .dir = dir, .quota = quota };
    struct sp_spool *spool = NULL;
    ck_assert_int_eq(sp_spool_new(&limits, &spool), SP_OK);
    return spool;
}

static enum sp_status fill(struct sp_spool *spool, size_t n, struct sp_error *err)
{
    static const char block[4096];
    enum sp_status status = SP_OK;
    for (size_t piece; status == SP_OK && n > 0; n -= piece) {
        piece = n < sizeof(block) ? n : sizeof(block);
        status = sp_spool_append(spool, block, piece, err);
    }
    return status;
}

#define MIB (1024u * 1024u)

/* Nothing on the heap; what was taken ahead comes back at the seal, all of it at the end, and what others hold stays theirs. In a
 * memfd as in a file. */
START_TEST(spool_takes_what_it_needs)
{
    static const struct {
        size_t n, most;
    } sizes[] = { { 0, 0 }, { SP_SPOOL_HEAP_MAX, 0 }, { SP_SPOOL_HEAP_MAX + 1, MIB / 4 }, { MIB / 4, MIB / 4 }, { MIB / 4 + 1, MIB / 2 },
        { 9 * MIB + 7, 12 * MIB } };
    const uint64_t others = 1000;
    struct sp_quota *quota = open_quota(100 * MIB);
    ck_assert(sp_quota_take(quota, others));
    for (uint64_t memory = 0; memory <= 20 * MIB; memory += 10 * MIB) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            struct sp_spool *spool = new_spool(quota, memory, 50 * MIB);
            ck_assert_int_eq(fill(spool, sizes[i].n, NULL), SP_OK);
            const uint64_t on_heap = sizes[i].n <= SP_SPOOL_HEAP_MAX, held = look().held_bytes - others;
            ck_assert(held <= sizes[i].most && (on_heap || held >= sizes[i].n));
            ck_assert_int_eq(sp_spool_seal(spool, NULL), SP_OK);
            ck_assert_uint_eq(look().held_bytes - others, on_heap ? 0 : sizes[i].n);
            sp_spool_free(&spool);
            ck_assert_uint_eq(look().held_bytes, others);
        }
    }
    sp_quota_close(&quota);
}
END_TEST

/* All of a large piece, and never more than the largest body that the spool may hold. */
START_TEST(spool_takes_exactly)
{
    static const size_t sizes[] = { 100000, 9 * MIB };
    static char bytes[9 * MIB];
    struct sp_quota *quota = open_quota(100 * MIB);
    for (size_t i = 0; i < 2; i++) {
        for (int is_whole = 0; is_whole < 2; is_whole++) {
            struct sp_spool *spool = new_spool(quota, MIB, sizes[i]);
            ck_assert_int_eq(is_whole ? sp_spool_append(spool, bytes, sizes[i], NULL) : fill(spool, sizes[i], NULL), SP_OK);
            ck_assert_uint_eq(look().held_bytes, sizes[i]);
            ck_assert_int_eq(fill(spool, 1, NULL), SP_ERR_LIMIT);
            sp_spool_free(&spool);
        }
    }
    sp_quota_close(&quota);
}
END_TEST

/* Refused: nothing is lost, what is there can be read, and when there is room again it goes on. */
START_TEST(spool_is_refused)
{
    struct sp_quota *quota = open_quota(9 * MIB);
    struct sp_spool *a = new_spool(quota, MIB, 50 * MIB), *b = new_spool(quota, MIB, 50 * MIB);
    struct sp_error err = { 0 };
    ck_assert_int_eq(fill(b, 100, NULL), SP_OK);
    ck_assert_int_eq(fill(a, 50 * MIB, &err), SP_ERR_NO_ROOM);
    ck_assert_ptr_nonnull(strstr(err.text, "quota"));
    ck_assert_uint_gt(sp_spool_size(a), 5 * MIB);
    ck_assert_uint_le(look().held_bytes, 8 * MIB);
    uint64_t had = sp_spool_size(a);
    ck_assert_int_eq(fill(a, 4 * MIB, NULL), SP_ERR_NO_ROOM);
    ck_assert_int_eq(fill(b, SP_SPOOL_HEAP_MAX - 100, NULL), SP_OK); /* the heap does not count */
    while (sp_quota_take(quota, 4096))
        ;
    ck_assert_int_eq(fill(b, 1, NULL), SP_ERR_NO_ROOM);
    ck_assert_uint_eq(sp_spool_size(b), SP_SPOOL_HEAP_MAX);
    char last;
    size_t got;
    ck_assert_int_eq(sp_spool_read(a, sp_spool_size(a) - 1, &last, 1, &got), SP_OK);
    ck_assert_uint_eq(got, 1);
    ck_assert_uint_ge(sp_spool_size(a), had);
    ck_assert_int_eq(sp_spool_seal(a, NULL), SP_OK);
    sp_spool_free(&a);
    ck_assert_int_eq(fill(b, 2 * MIB, NULL), SP_OK);
    sp_spool_free(&b);
    sp_quota_close(&quota);
}
END_TEST

/* --- files ---------------------------------------------------------------------------------------------------------------- */

START_TEST(foreign_file)
{
    struct sp_error err = { 0 };
    struct sp_quota_use use;
    FILE *f = fopen(path, "w");
    ck_assert_int_gt(fprintf(f, "%08192d", 7), 0);
    fclose(f);
    ck_assert_int_eq(sp_quota_look(path, &err, &use), SP_ERR_CONF);
    struct sp_quota *quota = open_quota(LIMIT);
    ck_assert(sp_quota_take(quota, 1));
    ck_assert_uint_eq(look().held_bytes, 1);
    sp_quota_close(&quota);
    struct sp_quota *none;
    memset(&err, 0, sizeof(err));
    ck_assert_int_eq(sp_quota_open("/nonexistent/spool.stat", LIMIT, &err, &none), SP_ERR_IO);
    ck_assert_ptr_null(none);
    ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/spool.stat"));
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("quota");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, take_and_give);
    tcase_add_test(c, alone);
    tcase_add_test(c, two_objects);
    tcase_add_test(c, killed);
    tcase_add_test(c, fair_shares);
    tcase_add_test(c, equal_shares);
    tcase_add_test(c, slots_come_back);
    tcase_add_test(c, no_slot_left);
    tcase_add_test(c, many_threads);
    tcase_add_test(c, one_slot_for_all_threads);
    tcase_add_test(c, processes_with_threads);
    tcase_add_test(c, limit_is_hard);
    tcase_add_test(c, spool_takes_what_it_needs);
    tcase_add_test(c, spool_takes_exactly);
    tcase_add_test(c, spool_is_refused);
    tcase_add_test(c, foreign_file);
    return unit_run("quota", c);
}
