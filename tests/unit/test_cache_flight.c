/* Objects that come several times at once are scanned once, by threads and by processes, and whoever waits is told in the end:
 * also when the other one dies, or when the table holds nonsense. Run it under TSan too. */
#include "config.h"

#include "cache_kit.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#define PATIENCE_MS 60000
#define PLACES 4096 /* in the table */

static void pause_us(long us)
{
    const struct timespec t = { us / 1000000, us % 1000000 * 1000 };
    nanosleep(&t, NULL);
}

static enum sp_cache_answer begin(struct sp_cache *cache, uint64_t n, int64_t patience_ms, struct sp_cache_flight *flight)
{
    const struct sp_cache_key key = key_number(n);
    return sp_cache_begin(cache, &key, patience_ms, flight);
}

/* --- one thread ----------------------------------------------------------------------------------------------------------- */

START_TEST(clean_is_for_all)
{
    struct sp_cache *cache = open_cache(HOUR_MS), *other = open_cache(HOUR_MS);
    struct sp_cache_flight a, b, c, d;
    ck_assert_int_eq(begin(cache, 1, PATIENCE_MS, &a), SP_CACHE_OURS);
    ck_assert_int_eq(begin(cache, 1, PATIENCE_MS, &b), SP_CACHE_OTHERS);
    ck_assert_int_eq(begin(other, 1, PATIENCE_MS, &c), SP_CACHE_OTHERS);
    ck_assert_int_eq(begin(cache, 2, PATIENCE_MS, &d), SP_CACHE_OURS);
    ck_assert_int_eq(sp_cache_wait(cache, &b, 0), SP_CACHE_OTHERS);
    ck_assert_int_eq(sp_cache_wait(cache, &b, 1), SP_CACHE_OTHERS);
    ck_assert(sp_cache_land(cache, &a, ENGINE));
    ck_assert_int_eq(sp_cache_wait(cache, &b, 0), SP_CACHE_KNOWN);
    ck_assert_int_eq(sp_cache_wait(other, &c, -1), SP_CACHE_KNOWN);
    ck_assert(!sp_cache_land(cache, &b, 0)); /* nothing to say, and nothing happens */
    ck_assert_int_eq(begin(other, 1, PATIENCE_MS, &a), SP_CACHE_KNOWN);
    ck_assert(!sp_cache_land(cache, &d, 0));
    ck_assert_int_eq(begin(other, 2, PATIENCE_MS, &d), SP_CACHE_OURS);
    sp_cache_land(other, &d, 0);
    sp_cache_land(other, &(struct sp_cache_flight){ 0 }, ENGINE); /* none */
    sp_cache_close(&cache);
    sp_cache_close(&other);
}
END_TEST

/* All at once, not one after the other. */
START_TEST(not_clean_is_everybodys_own)
{
    struct sp_cache *cache = open_cache(HOUR_MS);
    struct sp_cache_flight first, late, waiting[3];
    ck_assert_int_eq(begin(cache, 1, PATIENCE_MS, &first), SP_CACHE_OURS);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(begin(cache, 1, PATIENCE_MS, &waiting[i]), SP_CACHE_OTHERS);
    sp_cache_land(cache, &first, 0);
    ck_assert_int_eq(begin(cache, 1, PATIENCE_MS, &late), SP_CACHE_OURS); /* a new claim; those before do not wait for it */
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(sp_cache_wait(cache, &waiting[i], 0), SP_CACHE_OURS);
    sp_cache_land(cache, &waiting[0], 0); /* it flies alone: the claim of the late one stands */
    ck_assert_int_eq(begin(cache, 1, PATIENCE_MS, &first), SP_CACHE_OTHERS);
    ck_assert(sp_cache_land(cache, &waiting[1], ENGINE));
    ck_assert_int_eq(begin(cache, 1, PATIENCE_MS, &first), SP_CACHE_KNOWN);
    sp_cache_land(cache, &late, 0);
    sp_cache_close(&cache);
}
END_TEST

/* The engine changed under way: what the other one says is not what was asked. */
START_TEST(other_engine)
{
    struct sp_cache *cache = open_cache(HOUR_MS);
    struct sp_cache_flight a, b;
    ck_assert_int_eq(begin(cache, 1, PATIENCE_MS, &a), SP_CACHE_OURS);
    ck_assert_int_eq(begin(cache, 1, PATIENCE_MS, &b), SP_CACHE_OTHERS);
    ck_assert(!sp_cache_land(cache, &a, ENGINE + 1));
    ck_assert_int_eq(sp_cache_wait(cache, &b, 0), SP_CACHE_OURS);
    ck_assert(sp_cache_land(cache, &b, ENGINE));
    ck_assert_int_eq(begin(cache, 1, PATIENCE_MS, &a), SP_CACHE_KNOWN);
    sp_cache_close(&cache);
}
END_TEST

/* Two keys with one place: the second flies alone, and leaves the first alone. */
START_TEST(shared_place)
{
    struct sp_cache *cache = open_cache(HOUR_MS);
    struct sp_cache_flight a, b, c;
    struct sp_cache_key one = key_number(1), two = key_number(2);
    two.word[3] = one.word[3] + PLACES;
    ck_assert_int_eq(sp_cache_begin(cache, &one, PATIENCE_MS, &a), SP_CACHE_OURS);
    ck_assert_int_eq(sp_cache_begin(cache, &two, PATIENCE_MS, &b), SP_CACHE_OURS);
    ck_assert(sp_cache_land(cache, &b, ENGINE));
    ck_assert_int_eq(sp_cache_begin(cache, &one, PATIENCE_MS, &c), SP_CACHE_OTHERS);
    ck_assert(sp_cache_land(cache, &a, ENGINE));
    ck_assert_int_eq(sp_cache_wait(cache, &c, 0), SP_CACHE_KNOWN);
    sp_cache_close(&cache);
}
END_TEST

START_TEST(patience_ends)
{
    struct sp_cache *cache = open_cache(HOUR_MS);
    struct sp_cache_flight a, b, c, d;
    ck_assert_int_eq(begin(cache, 1, PATIENCE_MS, &a), SP_CACHE_OURS);
    ck_assert_int_eq(begin(cache, 1, 20, &b), SP_CACHE_OTHERS);
    ck_assert_int_eq(sp_cache_wait(cache, &b, -1), SP_CACHE_OURS); /* who waited has none left; the claim stands */
    ck_assert_int_eq(begin(cache, 1, PATIENCE_MS, &c), SP_CACHE_OTHERS);
    sp_cache_land(cache, &a, 0);
    ck_assert_int_eq(begin(cache, 2, 300, &a), SP_CACHE_OURS);
    ck_assert_int_eq(begin(cache, 2, PATIENCE_MS, &b), SP_CACHE_OTHERS);
    ck_assert_int_eq(sp_cache_wait(cache, &b, -1), SP_CACHE_OURS); /* the claim has become void */
    ck_assert_int_eq(begin(cache, 2, 1, &c), SP_CACHE_OURS);
    pause_us(2000);
    ck_assert_int_eq(begin(cache, 2, PATIENCE_MS, &d), SP_CACHE_OURS); /* this one too */
    sp_cache_land(cache, &a, 0); /* those that are void free nothing */
    sp_cache_land(cache, &c, 0);
    ck_assert_int_eq(begin(cache, 2, PATIENCE_MS, &b), SP_CACHE_OTHERS);
    sp_cache_close(&cache);
}
END_TEST

/* --- threads -------------------------------------------------------------------------------------------------------------- */

#define THREADS 8
#define ROUNDS 300

static pthread_barrier_t all_here;
static atomic_uint scans[ROUNDS], known[ROUNDS];

/* Comes to a verdict as a transaction does; true if it scanned. */
static bool pass(struct sp_cache *cache, uint64_t n, bool is_clean, long scan_us, int wait_ms)
{
    struct sp_cache_flight flight;
    enum sp_cache_answer answer = begin(cache, n, PATIENCE_MS, &flight);
    while (answer == SP_CACHE_OTHERS)
        answer = sp_cache_wait(cache, &flight, wait_ms);
    if (answer == SP_CACHE_OURS && scan_us > 0)
        pause_us(scan_us);
    sp_cache_land(cache, &flight, answer == SP_CACHE_OURS && is_clean ? ENGINE : 0);
    return answer == SP_CACHE_OURS;
}

static bool is_clean_round(unsigned i)
{
    return i % 8 != 7;
}

static void *pass_all(void *arg)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&all_here);
        if (pass(arg, i, is_clean_round(i), i % 3 == 0 ? 0 : 200, i % 2 == 0 ? -1 : 1))
            scans[i]++;
        else
            known[i]++;
    }
    return NULL;
}

START_TEST(threads_scan_once)
{
    struct sp_cache *cache = open_cache(HOUR_MS);
    pthread_t threads[THREADS];
    pthread_barrier_init(&all_here, NULL, THREADS);
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, pass_all, cache), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&all_here);
    for (unsigned i = 0; i < ROUNDS; i++) {
        ck_assert_msg(scans[i] == (is_clean_round(i) ? 1 : THREADS), "%u was scanned %u times", i, scans[i]);
        ck_assert_uint_eq(scans[i] + known[i], THREADS);
    }
    sp_cache_close(&cache);
}
END_TEST

static void *store_and_find(void *arg)
{
    const uint64_t seed = (uint64_t) (uintptr_t) &seed;
    uint64_t x = seed;
    for (int i = 0; i < 30000; i++) {
        x = spread(x);
        struct sp_cache_key key = key_number(x % 64);
        key.word[0] = x % 3; /* all in few buckets: they write over each other */
        if ((x >> 20) % 2 == 0)
            ck_assert(sp_cache_store(arg, &key));
        key.word[3] ^= 1;
        ck_assert(!sp_cache_find(arg, &key));
    }
    return NULL;
}

/* Records torn by each other are no records. */
START_TEST(threads_write_over_each_other)
{
    struct sp_cache *cache = open_cache(HOUR_MS);
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, store_and_find, cache), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    sp_cache_close(&cache);
}
END_TEST

/* --- processes ------------------------------------------------------------------------------------------------------------ */

#define PROCESSES 6
#define OBJECTS 400

struct shared {
    atomic_uint scans[OBJECTS], passed;
    atomic_bool was_clean[OBJECTS]; /* said before it lands */
    atomic_bool is_wrong;
};

static struct shared *new_shared(void)
{
    struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(s, MAP_FAILED);
    return s;
}

static void pass_in_process(struct sp_cache *cache, struct shared *s, unsigned n, long scan_us)
{
    struct sp_cache_flight flight;
    enum sp_cache_answer answer = begin(cache, n, PATIENCE_MS, &flight);
    if (answer == SP_CACHE_OTHERS)
        answer = sp_cache_wait(cache, &flight, -1);
    if (answer == SP_CACHE_KNOWN && !s->was_clean[n])
        s->is_wrong = true;
    if (answer == SP_CACHE_OURS) {
        s->scans[n]++;
        pause_us(scan_us);
        s->was_clean[n] = true;
        sp_cache_land(cache, &flight, ENGINE);
    }
    s->passed++;
}

static pid_t start_passer(struct sp_cache *cache, struct shared *s, long scan_us)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (unsigned n = 0; n < OBJECTS; n++)
            pass_in_process(cache, s, n, scan_us);
        _exit(0);
    }
    return pid;
}

static void await_end(pid_t pid, int want)
{
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, want);
}

START_TEST(processes_scan_once)
{
    struct sp_cache *cache = open_cache(HOUR_MS);
    struct shared *s = new_shared();
    pid_t pids[PROCESSES];
    for (size_t i = 0; i < PROCESSES; i++)
        pids[i] = start_passer(cache, s, 300);
    for (size_t i = 0; i < PROCESSES; i++)
        await_end(pids[i], 0);
    ck_assert(!s->is_wrong);
    ck_assert_uint_eq(s->passed, PROCESSES * OBJECTS);
    for (unsigned n = 0; n < OBJECTS; n++)
        ck_assert_msg(s->scans[n] == 1, "%u was scanned %u times", n, s->scans[n]);
    munmap(s, sizeof(*s));
    sp_cache_close(&cache);
}
END_TEST

/* Killed at any point, again and again: the others finish, and nothing is known that nobody called clean. */
START_TEST(killed_in_the_middle)
{
    struct sp_cache *cache = open_cache(HOUR_MS);
    struct shared *s = new_shared();
    pid_t lasting[3];
    for (size_t i = 0; i < 3; i++)
        lasting[i] = start_passer(cache, s, 2000);
    for (int i = 0; i < 15; i++) {
        pid_t victim = start_passer(cache, s, 2000);
        pause_us(20000 + i * 777);
        kill(victim, SIGKILL);
        int status;
        ck_assert_int_eq(waitpid(victim, &status, 0), victim);
    }
    for (size_t i = 0; i < 3; i++)
        await_end(lasting[i], 0);
    ck_assert(!s->is_wrong);
    munmap(s, sizeof(*s));
    sp_cache_close(&cache);
}
END_TEST

/* The one that scans is killed: who waits goes on by himself, with the dead one a zombie and with it gone. */
START_TEST(claim_of_the_dead)
{
    struct sp_cache *cache = open_cache(HOUR_MS);
    for (int is_reaped = 0; is_reaped < 2; is_reaped++) {
        const uint64_t n = 10 + (uint64_t) is_reaped;
        struct sp_cache_flight flight, next;
        siginfo_t info;
        pid_t pid = fork();
        if (pid == 0)
            _exit(begin(cache, n, PATIENCE_MS, &flight) == SP_CACHE_OURS ? 0 : 1);
        ck_assert_int_eq(waitid(P_PID, (id_t) pid, &info, WEXITED | (is_reaped ? 0 : WNOWAIT)), 0);
        ck_assert_int_eq(info.si_status, 0);
        ck_assert_int_eq(begin(cache, n, PATIENCE_MS, &flight), SP_CACHE_OTHERS);
        ck_assert_int_eq(sp_cache_wait(cache, &flight, -1), SP_CACHE_OURS);
        ck_assert_int_eq(begin(cache, n, PATIENCE_MS, &next), SP_CACHE_OURS); /* its claim is gone */
        ck_assert_int_eq(begin(cache, n, PATIENCE_MS, &flight), SP_CACHE_OTHERS);
        sp_cache_land(cache, &next, ENGINE);
        ck_assert_int_eq(sp_cache_wait(cache, &flight, 0), SP_CACHE_KNOWN);
        waitpid(pid, NULL, 0);
    }
    sp_cache_close(&cache);
}
END_TEST

/* --- nonsense ------------------------------------------------------------------------------------------------------------- */

/* Everything behind the header is random, while it is used: nobody waits longer than his patience, and nothing is clean. */
START_TEST(nonsense_in_the_table)
{
    struct sp_cache *cache = open_cache(HOUR_MS);
    const size_t header = 64, bytes = header + PLACES * header;
    unsigned others = 0, ours = 0;
    uint64_t x = 5;
    int fd = open(flights, O_RDWR);
    uint64_t *words = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(words, MAP_FAILED);
    close(fd);
    for (uint64_t n = 0; n < 300; n++) {
        struct sp_cache_flight flight;
        const struct sp_cache_key key = key_number(n);
        uint64_t *place = words + (header + key.word[3] % PLACES * header) / sizeof(*words);
        for (size_t i = 0; i < 4; i++)
            place[i] = x = spread(x);
        if (n % 2 == 0) { /* the right bits of the key, and now and then the process of one that lives */
            place[0] = (place[0] & ~((UINT64_C(1) << 26) - 1)) | ((key.word[3] / PLACES) & ((UINT64_C(1) << 26) - 1));
            place[2] = n % 4 == 0 ? 0 : UINT64_C(1) << 62;
        }
        if (n % 8 == 0 || n % 8 == 2)
            place[0] = (place[0] & ((UINT64_C(1) << 42) - 1)) | (uint64_t) getppid() << 42;
        enum sp_cache_answer answer = begin(cache, n, 3, &flight);
        others += answer == SP_CACHE_OTHERS;
        if (answer == SP_CACHE_OTHERS)
            answer = sp_cache_wait(cache, &flight, -1);
        ck_assert_int_eq(answer, SP_CACHE_OURS);
        ck_assert(n % 8 != 2 || flight.held != 0); /* it lives, but nobody has a claim for so long */
        ours += flight.held != 0;
        ck_assert(sp_cache_land(cache, &flight, ENGINE));
        ck_assert_int_eq(begin(cache, n, 3, &flight), SP_CACHE_KNOWN);
    }
    ck_assert_uint_gt(others, 10);
    ck_assert_uint_gt(ours, 10);
    munmap(words, bytes);
    sp_cache_close(&cache);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("cache_flight");
    tcase_add_checked_fixture(c, cache_setup, cache_teardown);
    tcase_add_test(c, clean_is_for_all);
    tcase_add_test(c, not_clean_is_everybodys_own);
    tcase_add_test(c, other_engine);
    tcase_add_test(c, shared_place);
    tcase_add_test(c, patience_ends);
    tcase_add_test(c, threads_scan_once);
    tcase_add_test(c, threads_write_over_each_other);
    tcase_add_test(c, processes_scan_once);
    tcase_add_test(c, killed_in_the_middle);
    tcase_add_test(c, claim_of_the_dead);
    tcase_add_test(c, nonsense_in_the_table);
    return unit_run("cache_flight", c);
}
