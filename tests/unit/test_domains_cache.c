/* Lists of domains in files: the table that processes share - damaged in every way, made by several at once - and what fails. */
#include "config.h"

#include "domains_kit.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int countdown = -1; /* calls until one fails; negative: none does */

static bool fails(void)
{
    return countdown >= 0 && countdown-- == 0;
}

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : __real_malloc(n);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

/* --- tools ----------------------------------------------------------------------------------------------------------- */

struct place {
    char dir[40];
    char list[64];
    char cache[64];
};

static void write_file(const char *path, const char *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, n, file), n);
    ck_assert_int_eq(fclose(file), 0);
}

static struct place new_place(const char *text)
{
    struct place place;
    snprintf(place.dir, sizeof(place.dir), "/tmp/sallyport-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(place.dir));
    snprintf(place.list, sizeof(place.list), "%s/list", place.dir);
    snprintf(place.cache, sizeof(place.cache), "%s/cache", place.dir);
    ck_assert_int_eq(mkdir(place.cache, 0700), 0);
    write_file(place.list, text, strlen(text));
    return place;
}

/* The number of tables in the cache; *name_out is one of them. */
static int count_tables(const struct place *place, char name_out[512])
{
    DIR *dir = opendir(place->cache);
    int n = 0;
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (!strstr(entry->d_name, ".table"))
            continue;
        snprintf(name_out, 512, "%s/%s", place->cache, entry->d_name);
        n++;
    }
    closedir(dir);
    return n;
}

static void drop_place(const struct place *place)
{
    char path[512];
    DIR *dir = opendir(place->cache);
    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        snprintf(path, sizeof(path), "%s/%s", place->cache, entry->d_name);
        if (unlink(path) != 0)
            rmdir(path);
    }
    if (dir)
        closedir(dir);
    rmdir(place->cache);
    unlink(place->list);
    ck_assert_int_eq(rmdir(place->dir), 0);
}

static struct sp_domains *open_ok(const struct place *place)
{
    struct sp_domains *domains = NULL;
    struct sp_error err = { 0 };
    ck_assert_msg(sp_domains_open(place->list, place->cache, &err, &domains) == SP_OK, "%s", err.text);
    return domains;
}

/* --- the shared file ------------------------------------------------------------------------------------------------- */

#define SMALL "one.example\ntwo.example\n192.0.2.1\n"

static void check_small(const struct sp_domains *domains)
{
    ck_assert_uint_eq(sp_domains_count(domains), 3);
    ck_assert(has(domains, "x.one.example") && has(domains, "two.example") && has(domains, "192.0.2.1"));
    ck_assert(!has(domains, "three.example") && !has(domains, "example") && !has(domains, "192.0.2.2"));
}

START_TEST(test_cache)
{
    struct place place = new_place(SMALL);
    char first[512], second[512];
    struct sp_domains *one = open_ok(&place);
    check_small(one);
    ck_assert(sp_domains_is_shared(one));
    ck_assert_str_eq(sp_domains_note(one), "");
    ck_assert_int_eq(count_tables(&place, first), 1);
    struct stat before, after;
    ck_assert_int_eq(stat(first, &before), 0);
    struct sp_domains *again = open_ok(&place);
    check_small(again);
    ck_assert(sp_domains_digest(one) == sp_domains_digest(again));
    ck_assert_int_eq(stat(first, &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);

    /* another content: a new file, and the old one goes; who has it mapped keeps it */
    write_file(place.list, "three.example\n", 14);
    struct sp_domains *changed = open_ok(&place);
    ck_assert_int_eq(count_tables(&place, second), 1);
    ck_assert_str_ne(first, second);
    ck_assert(has(changed, "three.example") && !has(changed, "one.example"));
    check_small(one);
    sp_domains_close(&one);
    sp_domains_close(&again);
    sp_domains_close(&changed);
    drop_place(&place);
}
END_TEST

/* A second list in the same directory has a file of its own. */
START_TEST(test_two_lists)
{
    struct place place = new_place(SMALL);
    char name[512], other_path[80];
    struct sp_error err = { 0 };
    struct sp_domains *one = open_ok(&place), *other = NULL;
    snprintf(other_path, sizeof(other_path), "%s2", place.list);
    write_file(other_path, SMALL, strlen(SMALL));
    ck_assert_int_eq(sp_domains_open(other_path, place.cache, &err, &other), SP_OK);
    check_small(other);
    ck_assert_int_eq(count_tables(&place, name), 2);
    sp_domains_close(&one);
    sp_domains_close(&other);
    unlink(other_path);
    drop_place(&place);
}
END_TEST

/* Opens over a file of those bytes: always right, and whole again afterwards. */
static void check_damaged(const struct place *place, const char *table, const char *bytes, size_t n, const char *good, size_t n_good)
{
    write_file(table, bytes, n);
    struct sp_domains *domains = open_ok(place);
    check_small(domains);
    ck_assert(sp_domains_is_shared(domains));
    sp_domains_close(&domains);
    char now[4096];
    FILE *file = fopen(table, "rb");
    ck_assert_uint_eq(fread(now, 1, sizeof(now), file), n_good);
    fclose(file);
    ck_assert_int_eq(memcmp(now, good, n_good), 0);
}

START_TEST(test_damaged_cache)
{
    struct place place = new_place(SMALL);
    char table[512], good[4096], bad[4097];
    struct sp_domains *domains = open_ok(&place);
    sp_domains_close(&domains);
    ck_assert_int_eq(count_tables(&place, table), 1);
    FILE *file = fopen(table, "rb");
    size_t n = fread(good, 1, sizeof(good), file);
    fclose(file);
    ck_assert_uint_eq(n, 128 + 16 * 5);
    for (size_t at = 0; at < n; at++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(bad, good, n);
            bad[at] = (char) (bad[at] ^ (1 << bit));
            check_damaged(&place, table, bad, n, good, n);
        }
        check_damaged(&place, table, good, at, good, n); /* torn */
    }
    memcpy(bad, good, n);
    bad[n] = '\0';
    check_damaged(&place, table, bad, n + 1, good, n);
    memset(bad, 0, sizeof(bad));
    check_damaged(&place, table, bad, sizeof(bad) - 1, good, n);
    drop_place(&place);
}
END_TEST

/* The whole file of another list under the name of this one. */
START_TEST(test_foreign_cache)
{
    struct place place = new_place("other.example\nmore.example\nlast.example\n");
    char table[512], other[4096], good[4096];
    struct sp_domains *domains = open_ok(&place);
    sp_domains_close(&domains);
    ck_assert_int_eq(count_tables(&place, table), 1);
    FILE *file = fopen(table, "rb");
    size_t n = fread(other, 1, sizeof(other), file);
    fclose(file);
    write_file(place.list, SMALL, strlen(SMALL));
    domains = open_ok(&place);
    sp_domains_close(&domains);
    ck_assert_int_eq(count_tables(&place, table), 1);
    file = fopen(table, "rb");
    size_t n_good = fread(good, 1, sizeof(good), file);
    fclose(file);
    check_damaged(&place, table, other, n, good, n_good);
    drop_place(&place);
}
END_TEST

/* What everyone may write is not believed; what is no file is replaced, or, if it cannot be, done without. */
START_TEST(test_odd_cache)
{
    struct place place = new_place(SMALL);
    char table[512];
    struct stat st;
    struct sp_domains *domains = open_ok(&place);
    sp_domains_close(&domains);
    ck_assert_int_eq(count_tables(&place, table), 1);

    ck_assert_int_eq(chmod(table, 0666), 0);
    domains = open_ok(&place);
    check_small(domains);
    sp_domains_close(&domains);
    ck_assert(stat(table, &st) == 0 && (st.st_mode & 022) == 0);

    ck_assert(unlink(table) == 0 && symlink("/dev/zero", table) == 0);
    domains = open_ok(&place);
    check_small(domains);
    sp_domains_close(&domains);
    ck_assert(lstat(table, &st) == 0 && S_ISREG(st.st_mode));

    ck_assert(unlink(table) == 0 && mkfifo(table, 0600) == 0);
    domains = open_ok(&place);
    check_small(domains);
    sp_domains_close(&domains);

    ck_assert(unlink(table) == 0 && mkdir(table, 0700) == 0);
    domains = open_ok(&place);
    check_small(domains);
    ck_assert(!sp_domains_is_shared(domains));
    ck_assert_ptr_nonnull(strstr(sp_domains_note(domains), "cannot be renamed"));
    sp_domains_close(&domains);
    drop_place(&place);
}
END_TEST

START_TEST(test_no_cache)
{
    struct place place = new_place(SMALL);
    const char *const dirs[] = { NULL, "/nonexistent", place.list, "/proc" };
    for (size_t i = 0; i < 4; i++) {
        struct sp_domains *domains = NULL;
        struct sp_error err = { 0 };
        ck_assert_int_eq(sp_domains_open(place.list, dirs[i], &err, &domains), SP_OK);
        check_small(domains);
        ck_assert(!sp_domains_is_shared(domains));
        ck_assert_int_eq(strstr(sp_domains_note(domains), "copy of its own") != NULL, dirs[i] != NULL);
        ck_assert_str_eq(err.text, "");
        sp_domains_close(&domains);
    }
    drop_place(&place);
}
END_TEST

/* No room on the disk: no half file, and the list works. */
START_TEST(test_full_disk)
{
    struct place place = new_place(SMALL);
    char table[512];
    struct rlimit limit = { 100, 100 };
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct sp_domains *domains = open_ok(&place);
    check_small(domains);
    ck_assert(!sp_domains_is_shared(domains));
    ck_assert_ptr_nonnull(strstr(sp_domains_note(domains), "cannot be written"));
    ck_assert_int_eq(count_tables(&place, table), 0);
    sp_domains_close(&domains);
    drop_place(&place);
}
END_TEST

#define PROCESSES 6
#define MANY 60000

/* All at once: all right, all share, one file. */
START_TEST(test_many_processes)
{
    char *text = malloc(MANY * 24);
    size_t n = 0;
    for (int i = 0; i < MANY; i++)
        n += (size_t) snprintf(text + n, 24, "host%d.example\n", i);
    struct place place = new_place(text);
    free(text);
    pid_t children[PROCESSES];
    for (int c = 0; c < PROCESSES; c++) {
        children[c] = fork();
        ck_assert_int_ge(children[c], 0);
        if (children[c] > 0)
            continue;
        struct sp_domains *domains = NULL;
        bool is_good = sp_domains_open(place.list, place.cache, NULL, &domains) == SP_OK && sp_domains_count(domains) == MANY &&
            sp_domains_is_shared(domains);
        char name[64];
        for (int i = c; i < MANY && is_good; i += 97) {
            snprintf(name, sizeof(name), "www.host%d.example", i);
            is_good = has(domains, name);
            snprintf(name, sizeof(name), "host%d.example", i + MANY);
            is_good = is_good && !has(domains, name);
        }
        sp_domains_close(&domains);
        _exit(is_good ? 0 : 1);
    }
    for (int c = 0; c < PROCESSES; c++) {
        int status;
        ck_assert_int_eq(waitpid(children[c], &status, 0), children[c]);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    char table[512];
    ck_assert_int_eq(count_tables(&place, table), 1);
    drop_place(&place);
}
END_TEST

/* --- failures -------------------------------------------------------------------------------------------------------- */

START_TEST(test_no_file)
{
    struct sp_error err = { 0 };
    struct sp_domains *domains = NULL;
    ck_assert_int_eq(sp_domains_open("/nonexistent/list", NULL, &err, &domains), SP_ERR_IO);
    ck_assert_str_eq(err.text, "/nonexistent/list: cannot be opened: No such file or directory");
    err.text[0] = '\0';
    ck_assert_int_eq(sp_domains_open("/tmp", NULL, &err, &domains), SP_ERR_IO);
    ck_assert_str_eq(err.text, "/tmp: is not a regular file");
    ck_assert_ptr_null(domains);
}
END_TEST

START_TEST(test_bad_file)
{
    struct place place = new_place("good.example\n<html>\n");
    struct sp_error err = { 0 };
    struct sp_domains *domains = NULL;
    char want[128], table[512];
    ck_assert_int_eq(sp_domains_open(place.list, place.cache, &err, &domains), SP_ERR_CONF);
    snprintf(want, sizeof(want), "%s:2: \"<html>\" is not a domain", place.list);
    ck_assert_msg(strncmp(err.text, want, strlen(want)) == 0, "%s", err.text);
    ck_assert_int_eq(count_tables(&place, table), 0);
    drop_place(&place);
}
END_TEST

START_TEST(test_no_memory)
{
    struct place place = new_place(SMALL);
    enum sp_status status = SP_ERR_NOMEM;
    int n = 0;
    for (; status != SP_OK; n++) {
        struct sp_error err = { 0 };
        struct sp_domains *domains = NULL;
        countdown = n;
        status = sp_domains_open(place.list, place.cache, &err, &domains);
        countdown = -1;
        ck_assert_msg(status == SP_OK || status == SP_ERR_NOMEM, "%s", err.text);
        ck_assert_int_eq(domains != NULL, status == SP_OK);
        sp_domains_close(&domains);
    }
    ck_assert_int_ge(n, 3);
    drop_place(&place);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("domains_cache");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_cache);
    tcase_add_test(tc, test_two_lists);
    tcase_add_test(tc, test_damaged_cache);
    tcase_add_test(tc, test_foreign_cache);
    tcase_add_test(tc, test_odd_cache);
    tcase_add_test(tc, test_no_cache);
    tcase_add_test(tc, test_full_disk);
    tcase_add_test(tc, test_many_processes);
    tcase_add_test(tc, test_no_file);
    tcase_add_test(tc, test_bad_file);
    tcase_add_test(tc, test_no_memory);
    return unit_run("domains_cache", tc);
}
