/* Shared counters: many processes at once, files of another layout, readers. */
#include "config.h"

#include "unit.h"

#include "sallyport/metrics.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], path[96];

static void setup(void)
{
    snprintf(dir, sizeof(dir), "/tmp/sp_test_metrics.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/icap.stat", dir);
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

static struct sp_metrics *open_shared(void)
{
    struct sp_error err = { 0 };
    struct sp_metrics *metrics;
    ck_assert_msg(sp_metrics_open(path, &err, &metrics) == SP_OK, "%s", err.text);
    return metrics;
}

static void write_file(const char *p, size_t n)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(p, 1, n, f), n);
    fclose(f);
}

static off_t size_of_file(void)
{
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    return st.st_size;
}

/* Only icap.stat is left: no temporary file. */
static void check_folder(void)
{
    char command[160];
    snprintf(command, sizeof(command), "test \"$(ls -A %s)\" = icap.stat", dir);
    ck_assert_int_eq(system(command), 0);
}

static void count_one(struct sp_metrics *metrics, enum sp_direction direction, enum sp_outcome outcome, enum sp_action action)
{
    struct sp_metrics_txn txn = { .direction = direction, .outcome = outcome, .action = action };
    for (unsigned i = 0; i < SP_PHASE_COUNT; i++)
        txn.phase_us[i] = SP_METRICS_NO_TIME;
    sp_metrics_count(metrics, &txn);
}

START_TEST(test_counting)
{
    struct sp_metrics *metrics = open_shared();
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0644);
    for (unsigned i = 0; i < SP_METRIC_COUNT; i++)
        ck_assert_uint_eq(sp_metrics_get(metrics, (enum sp_metric) i), 0);
    for (unsigned i = 0; i < SP_METRIC_COUNT; i++)
        sp_metrics_add(metrics, (enum sp_metric) i, i + 1);
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++)
        for (unsigned n = 0; n <= i; n++)
            count_one(metrics, SP_REQMOD, (enum sp_outcome) i, SP_ACTION_ALLOW);
    sp_metrics_set_engine(metrics, 0xfedcba9876543210u);
    sp_metrics_close(&metrics);
    ck_assert_ptr_null(metrics);
    sp_metrics_close(&metrics);

    metrics = open_shared(); /* goes on */
    for (unsigned i = 0; i < SP_METRIC_COUNT; i++)
        ck_assert_uint_eq(sp_metrics_get(metrics, (enum sp_metric) i), i + 1);
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++)
        ck_assert_uint_eq(sp_metrics_get_outcome(metrics, (enum sp_outcome) i), i + 1);
    ck_assert_uint_eq(sp_metrics_engine(metrics), 0xfedcba9876543210u);
    sp_metrics_close(&metrics);
    check_folder();
}
END_TEST

/* What was counted where does not matter: sums are over all processors. */
START_TEST(test_transactions)
{
    struct sp_metrics *metrics = open_shared();
    struct sp_metrics_txn txn = { .direction = SP_RESPMOD, .outcome = SP_OUTCOME_RULE, .action = SP_ACTION_BLOCK,
        .category = "vpn", .total_us = 5 };
    for (unsigned i = 0; i < SP_PHASE_COUNT; i++)
        txn.phase_us[i] = i == SP_PHASE_SCAN ? SP_METRICS_NO_TIME : (int64_t) i;
    sp_metrics_count(metrics, &txn);
    txn.category = "our-own";
    txn.action = SP_ACTION_REPORT;
    sp_metrics_count(metrics, &txn);
    count_one(metrics, SP_REQMOD, SP_OUTCOME_GONE, SP_ACTION_NONE);
    ck_assert_uint_eq(sp_metrics_transactions(metrics, SP_METRICS_ANY, SP_METRICS_ANY, SP_METRICS_ANY), 3);
    ck_assert_uint_eq(sp_metrics_transactions(metrics, SP_RESPMOD, SP_METRICS_ANY, SP_METRICS_ANY), 2);
    ck_assert_uint_eq(sp_metrics_transactions(metrics, SP_METRICS_ANY, SP_METRICS_ANY, SP_ACTION_BLOCK), 1);
    ck_assert_uint_eq(sp_metrics_transactions(metrics, SP_REQMOD, SP_OUTCOME_GONE, SP_ACTION_NONE), 1);
    ck_assert_uint_eq(sp_metrics_transactions(metrics, SP_REQMOD, SP_OUTCOME_RULE, SP_METRICS_ANY), 0);
    ck_assert_uint_eq(sp_metrics_get_outcome(metrics, SP_OUTCOME_RULE), 2);
    ck_assert_uint_eq(sp_metrics_get_category(metrics, SP_METRICS_CATEGORY_VPN, SP_ACTION_BLOCK), 1);
    ck_assert_uint_eq(sp_metrics_get_category(metrics, SP_METRICS_CATEGORY_SITE, SP_ACTION_REPORT), 1);
    ck_assert_uint_eq(sp_metrics_get_category(metrics, SP_METRICS_CATEGORY_TUNNEL, SP_ACTION_BLOCK), 0);
    struct sp_histogram h;
    for (unsigned i = 0; i < SP_PHASE_COUNT; i++) {
        sp_metrics_get_phase(metrics, (enum sp_phase) i, &h);
        ck_assert_uint_eq(h.count, i == SP_PHASE_SCAN ? 0 : 2);
        ck_assert_uint_eq(h.sum_us, i == SP_PHASE_SCAN ? 0 : 2 * i);
    }
    sp_metrics_get_total(metrics, SP_RESPMOD, &h);
    ck_assert_uint_eq(h.count, 2);
    ck_assert_uint_eq(h.sum_us, 10);
    sp_metrics_close(&metrics);
}
END_TEST

/* A value is in the first bucket whose bound is not below it; the bounds grow by a half and a third in turns. */
START_TEST(test_buckets)
{
    static const int64_t more[] = { 1000, 999999, 1000000, 134217728, 201326592, 201326593, 268435456, 268435457, INT64_MAX };
    struct sp_histogram h;
    ck_assert_uint_eq(sp_histogram_bound_us(0), 1);
    ck_assert_uint_eq(sp_histogram_bound_us(SP_HISTOGRAM_BUCKETS - 2), 268435456);
    ck_assert_uint_eq(sp_histogram_bound_us(SP_HISTOGRAM_BUCKETS - 1), UINT64_MAX);
    for (unsigned i = 1; i < SP_HISTOGRAM_BUCKETS; i++)
        ck_assert_uint_gt(sp_histogram_bound_us(i), sp_histogram_bound_us(i - 1));
    const int n_small = 300;
    for (int i = 0; i < n_small + (int) (sizeof(more) / sizeof(more[0])); i++) {
        const int64_t us = i < n_small ? i : more[i - n_small];
        struct sp_metrics *metrics;
        ck_assert_int_eq(sp_metrics_open(NULL, NULL, &metrics), SP_OK);
        struct sp_metrics_txn txn = { .direction = SP_REQMOD, .total_us = us };
        sp_metrics_count(metrics, &txn);
        sp_metrics_get_total(metrics, SP_REQMOD, &h);
        ck_assert_uint_eq(h.count, 1);
        unsigned want = 0;
        while (sp_histogram_bound_us(want) < (uint64_t) us)
            want++;
        ck_assert_msg(h.buckets[want] == 1, "%lld us are not in bucket %u", (long long) us, want);
        sp_metrics_close(&metrics);
    }
}
END_TEST

START_TEST(test_quantiles)
{
    struct sp_histogram h = { .count = 0 };
    ck_assert(sp_histogram_quantile_us(&h, 0.5) == 0);
    h.buckets[4] = 100; /* 4 to 6 us */
    h.count = 100;
    ck_assert(sp_histogram_quantile_us(&h, 0.5) == 5);
    ck_assert(sp_histogram_quantile_us(&h, 1) == 6);
    h.buckets[0] = 100;
    h.count = 200;
    ck_assert(sp_histogram_quantile_us(&h, 0.25) == 0.5);
    ck_assert(sp_histogram_quantile_us(&h, 0.75) == 5);
    h.buckets[SP_HISTOGRAM_BUCKETS - 1] = 200; /* nobody knows how long: at least the last bound */
    h.count = 400;
    ck_assert(sp_histogram_quantile_us(&h, 0.9) == 268435456);
}
END_TEST

START_TEST(test_names)
{
    for (unsigned i = 0; i < SP_METRIC_COUNT; i++) {
        ck_assert_uint_gt(strlen(sp_metric_help((enum sp_metric) i)), 5);
        for (unsigned j = 0; j < i; j++)
            ck_assert_str_ne(sp_metric_name((enum sp_metric) i), sp_metric_name((enum sp_metric) j));
    }
    ck_assert_str_eq(sp_metric_name(SP_METRIC_LOG_LOST), "log_lost");
}
END_TEST

START_TEST(test_private)
{
    struct sp_error err = { 0 };
    struct sp_metrics *a, *b;
    ck_assert_int_eq(sp_metrics_open(NULL, &err, &a), SP_OK);
    ck_assert_int_eq(sp_metrics_open(NULL, &err, &b), SP_OK);
    pid_t pid = fork();
    if (pid == 0) {
        sp_metrics_add(a, SP_METRIC_SCANS, 7);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert_uint_eq(sp_metrics_get(a, SP_METRIC_SCANS), 7);
    ck_assert_uint_eq(sp_metrics_get(b, SP_METRIC_SCANS), 0);
    sp_metrics_close(&a);
    sp_metrics_close(&b);
}
END_TEST

START_TEST(test_reader)
{
    struct sp_error err = { 0 };
    struct sp_metrics *reader;
    ck_assert_int_eq(sp_metrics_open_reader(path, &err, &reader), SP_ERR_NOT_FOUND);
    ck_assert_ptr_null(reader);
    struct sp_metrics *metrics = open_shared();
    ck_assert_int_eq(sp_metrics_open_reader(path, &err, &reader), SP_OK);
    sp_metrics_add(metrics, SP_METRIC_STRIPPED, 3);
    ck_assert_uint_eq(sp_metrics_get(reader, SP_METRIC_STRIPPED), 3);
    sp_metrics_close(&reader);
    sp_metrics_close(&metrics);
}
END_TEST

/* Every single byte of the header counts, and so does the length. */
START_TEST(test_other_layouts)
{
    struct sp_metrics *metrics = open_shared();
    sp_metrics_close(&metrics);
    off_t size = size_of_file();
    char *good = malloc((size_t) size), *bad = malloc((size_t) size), *again = malloc((size_t) size);
    FILE *f = fopen(path, "r");
    ck_assert_uint_eq(fread(good, 1, (size_t) size, f), (size_t) size);
    fclose(f);
    for (int i = -4; i < 16; i++) {
        size_t n = i >= 0 ? (size_t) size : (i == -4 ? 0 : i == -3 ? 1 : i == -2 ? 16 : (size_t) size - 1);
        memcpy(bad, good, (size_t) size);
        if (i >= 0)
            bad[i] ^= 0x10;
        write_file(bad, n);
        int held = open(path, O_RDONLY);
        struct sp_error err = { 0 };
        struct sp_metrics *reader;
        ck_assert_msg(sp_metrics_open_reader(path, &err, &reader) == SP_ERR_CONF, "case %d", i);
        ck_assert_ptr_nonnull(strstr(err.text, "is of another version"));
        metrics = open_shared();
        sp_metrics_add(metrics, SP_METRIC_CUT, 1);
        ck_assert_int_eq(sp_metrics_open_reader(path, &err, &reader), SP_OK);
        ck_assert_uint_eq(sp_metrics_get(reader, SP_METRIC_CUT), 1);
        sp_metrics_close(&reader);
        sp_metrics_close(&metrics);
        /* Whoever had the old file still has it as it was. */
        ck_assert_int_eq(pread(held, again, (size_t) size, 0), (ssize_t) n);
        ck_assert_int_eq(memcmp(again, bad, n), 0);
        close(held);
        check_folder();
    }
    free(good);
    free(bad);
    free(again);
}
END_TEST

START_TEST(test_not_a_file)
{
    struct sp_error err = { 0 };
    struct sp_metrics *metrics;
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(sp_metrics_open(path, &err, &metrics), SP_ERR_IO);
    ck_assert_ptr_null(metrics);
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    memset(&err, 0, sizeof(err));
    ck_assert_int_eq(sp_metrics_open(path, &err, &metrics), SP_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "is not a regular file"));
    memset(&err, 0, sizeof(err));
    ck_assert_int_eq(sp_metrics_open_reader(path, &err, &metrics), SP_ERR_IO);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(symlink("/etc/hostname", path), 0);
    memset(&err, 0, sizeof(err));
    ck_assert_int_eq(sp_metrics_open(path, &err, &metrics), SP_ERR_IO);
    memset(&err, 0, sizeof(err));
    ck_assert_int_eq(sp_metrics_open("/nonexistent/icap.stat", &err, &metrics), SP_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/icap.stat"));
}
END_TEST

/* Anybody who can read the file can lock it: that must not stop the gate for ever, and not at all when the layout is right. */
START_TEST(test_foreign_lock)
{
    struct sp_metrics *metrics = open_shared();
    sp_metrics_close(&metrics);
    int fd = open(path, O_RDONLY);
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    metrics = open_shared();
    sp_metrics_close(&metrics);
    write_file("other", 5);
    struct sp_error err = { 0 };
    ck_assert_int_eq(sp_metrics_open(path, &err, &metrics), SP_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "locked"));
    close(fd);
    metrics = open_shared();
    sp_metrics_close(&metrics);
}
END_TEST

#define PROCESSES 8
#define ROUNDS 30
#define ADDS 1000

static void add_in_child(int gate)
{
    char c;
    struct sp_metrics *metrics;
    if (read(gate, &c, 1) != 0 || sp_metrics_open(path, NULL, &metrics) != SP_OK)
        _exit(1);
    for (int i = 0; i < ADDS; i++)
        sp_metrics_add(metrics, SP_METRIC_SCANS, 1);
    sp_metrics_close(&metrics);
    _exit(0);
}

/* All start at once on a missing or a foreign file: no count may be lost in a file that another one replaced. */
START_TEST(test_creation_race)
{
    for (int round = 0; round < ROUNDS; round++) {
        unlink(path);
        if (round % 2 == 1)
            write_file("other layout", 12);
        int gate[2];
        ck_assert_int_eq(pipe(gate), 0);
        pid_t pids[PROCESSES];
        for (int i = 0; i < PROCESSES; i++) {
            pids[i] = fork();
            if (pids[i] == 0) {
                close(gate[1]);
                add_in_child(gate[0]);
            }
        }
        close(gate[0]);
        close(gate[1]); /* go */
        for (int i = 0; i < PROCESSES; i++) {
            int status;
            ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
            ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
        struct sp_metrics *metrics = open_shared();
        ck_assert_uint_eq(sp_metrics_get(metrics, SP_METRIC_SCANS), PROCESSES * ADDS);
        sp_metrics_close(&metrics);
        check_folder();
    }
}
END_TEST

static void *add_in_thread(void *metrics)
{
    for (int i = 0; i < 100000; i++)
        count_one(metrics, SP_RESPMOD, SP_OUTCOME_CLEAN, SP_ACTION_ALLOW);
    return NULL;
}

START_TEST(test_threads)
{
    struct sp_metrics *metrics = open_shared();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, add_in_thread, metrics), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(sp_metrics_get_outcome(metrics, SP_OUTCOME_CLEAN), 400000);
    sp_metrics_close(&metrics);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("metrics");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_counting);
    tcase_add_test(c, test_transactions);
    tcase_add_test(c, test_buckets);
    tcase_add_test(c, test_quantiles);
    tcase_add_test(c, test_names);
    tcase_add_test(c, test_private);
    tcase_add_test(c, test_reader);
    tcase_add_test(c, test_other_layouts);
    tcase_add_test(c, test_not_a_file);
    tcase_add_test(c, test_foreign_lock);
    tcase_add_test(c, test_creation_race);
    tcase_add_test(c, test_threads);
    return unit_run("metrics", c);
}
