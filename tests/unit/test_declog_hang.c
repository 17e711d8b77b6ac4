/* A disk that hangs: the threads that are in a write then stay there, all others go on without their line, and how many were lost is
 * told when the disk is back. The disk is write() with a lock in it. */
#include "config.h"

#include "unit.h"

#include "sallyport/clock.h"
#include "sallyport/declog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define HANGS_AFTER_MS 200
#define LATE_WRITERS 500

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_hanging;   /* guarded by lock */
static atomic_int n_held; /* threads inside write() */

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    pthread_mutex_lock(&lock);
    atomic_fetch_add(&n_held, 1);
    while (is_hanging)
        pthread_cond_wait(&changed, &lock);
    atomic_fetch_sub(&n_held, 1);
    pthread_mutex_unlock(&lock);
    return __real_write(fd, p, n);
}

static void set_hanging(bool hangs)
{
    pthread_mutex_lock(&lock);
    is_hanging = hangs;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void pause_ms(long ms)
{
    const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

struct writer {
    pthread_t thread;
    struct sp_declog *log;
    bool is_written;
};

static const struct sp_decision decision = { .wall_us = 1795357599123456, .id = "held", .outcome = SP_OUTCOME_CLEAN };

static void *write_one(void *arg)
{
    struct writer *writer = arg;
    writer->is_written = sp_declog_write(writer->log, &decision);
    return NULL;
}

static void await_held(int n)
{
    for (int i = 0; i < 500 && atomic_load(&n_held) < n; i++)
        pause_ms(10);
    ck_assert_int_eq(atomic_load(&n_held), n);
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
        n++;
    return n;
}

START_TEST(hanging_disk)
{
    char path[] = "/tmp/sp_test_declog_hang.XXXXXX", text[8192] = "", lost[64];
    const int fd = mkstemp(path);
    struct sp_error err = { 0 };
    struct writer held[2] = { 0 };
    struct sp_declog *log;
    ck_assert_int_eq(sp_declog_open(&(struct sp_declog_options){ .path = path }, &err, &log), SP_OK);
    ck_assert(sp_declog_write(log, &decision));
    set_hanging(true);
    for (int i = 0; i < 2; i++) { /* both within the time in which nobody can know */
        held[i].log = log;
        ck_assert_int_eq(pthread_create(&held[i].thread, NULL, write_one, &held[i]), 0);
    }
    await_held(2);
    pause_ms(HANGS_AFTER_MS + 100);
    const int64_t before = sp_clock_mono_us();
    for (int i = 0; i < LATE_WRITERS; i++)
        ck_assert(!sp_declog_write(log, &decision));
    ck_assert_int_lt(sp_clock_mono_us() - before, 5000000);
    ck_assert_int_eq(atomic_load(&n_held), 2);
    set_hanging(false);
    for (int i = 0; i < 2; i++) {
        pthread_join(held[i].thread, NULL);
        ck_assert(held[i].is_written);
    }
    ck_assert(sp_declog_write(log, &decision));
    sp_declog_close(&log);
    ck_assert_int_gt(read(fd, text, sizeof(text) - 1), 0);
    snprintf(lost, sizeof(lost), "\"lost\":%d", LATE_WRITERS);
    ck_assert_msg(count(text, "\"id\":\"held\"") == 4 && count(text, lost) == 1, "%s", text);
    close(fd);
    unlink(path);
}
END_TEST

/* Between two writes that are far apart nothing hangs, whoever comes first. */
START_TEST(idle_log)
{
    char path[] = "/tmp/sp_test_declog_hang.XXXXXX";
    const int fd = mkstemp(path);
    struct sp_error err = { 0 };
    struct sp_declog *log;
    ck_assert_int_eq(sp_declog_open(&(struct sp_declog_options){ .path = path }, &err, &log), SP_OK);
    for (int round = 0; round < 3; round++) {
        struct writer writers[8] = { 0 };
        for (int i = 0; i < 8; i++) {
            writers[i].log = log;
            ck_assert_int_eq(pthread_create(&writers[i].thread, NULL, write_one, &writers[i]), 0);
        }
        for (int i = 0; i < 8; i++) {
            pthread_join(writers[i].thread, NULL);
            ck_assert(writers[i].is_written);
        }
        pause_ms(HANGS_AFTER_MS + 100);
    }
    sp_declog_close(&log);
    close(fd);
    unlink(path);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("declog_hang");
    tcase_add_test(tc, hanging_disk);
    tcase_add_test(tc, idle_log);
    return unit_run("declog_hang", tc);
}
