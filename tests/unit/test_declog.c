/* Decision log lines: what is in them, what hostile text becomes, rotation under load, a full disk. */
#include "config.h"

#include "declog_kit.h"

#include "sallyport/text.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct sp_declog *open_log(const char *name)
{
    struct sp_error err = { 0 };
    struct sp_declog *log;
    ck_assert_msg(sp_declog_open(&(struct sp_declog_options){ .path = name }, &err, &log) == SP_OK, "%s", err.text);
    return log;
}

static void expect_utf8(struct sp_str s)
{
    uint32_t code;
    for (size_t step; s.n > 0; s.p += step, s.n -= step)
        ck_assert_msg((step = sp_utf8_next(s, &code)) > 0, "not UTF-8: %s", s.p);
}

/* Writes one decision to a fresh file and parses the line. */
static struct json_object *line_of(const struct sp_decision *decision)
{
    struct sp_declog *log = open_log(path);
    ck_assert(sp_declog_write(log, decision));
    sp_declog_close(&log);
    ck_assert_ptr_null(log);
    size_t n;
    char *text = read_text(path, &n);
    unlink(path);
    ck_assert_uint_gt(n, 0);
    ck_assert_ptr_eq(strchr(text, '\n'), text + n - 1);
    bool is_ascii = true;
    for (size_t i = 0; i + 1 < n; i++) {
        ck_assert_msg((unsigned char) text[i] >= 0x20 && text[i] != 0x7f, "control byte %02x in a line", text[i]);
        is_ascii = is_ascii && (unsigned char) text[i] < 0x80;
    }
    expect_utf8((struct sp_str){ text, n });
    struct json_tokener *tok = json_tokener_new();
    json_tokener_set_flags(tok, is_ascii ? JSON_TOKENER_STRICT : 0); /* json-c 0.18 is strict about every byte over 0x7f */
    struct json_object *object = json_tokener_parse_ex(tok, text, (int) n - 1);
    ck_assert_msg(object != NULL || json_tokener_get_error(tok) == json_tokener_continue, "%s: %s",
        json_tokener_error_desc(json_tokener_get_error(tok)), text);
    ck_assert_ptr_nonnull(object);
    json_tokener_free(tok);
    free(text);
    return object;
}

static const char *text_of(struct json_object *object, const char *key)
{
    struct json_object *value = NULL;
    return json_object_object_get_ex(object, key, &value) ? json_object_get_string(value) : NULL;
}

START_TEST(test_all_fields_in_order)
{
    static const char *const want[][2] = {
        { "time", "2026-11-22T14:26:39.123456Z" },
        { "id", "id-1" },
        { "client", "192.0.2.7" },
        { "user", "al\"ice" },
        { "direction", "RESPMOD" },
        { "method", "GET" },
        { "url", "http://h/p?q=1" },
        { "status", "200" },
        { "outcome", "infected" },
        { "action", "block" },
        { "reason", "why" },
        { "rule", "r-1" },
        { "category", "vpn" },
        { "signature", "Eicar-Test" },
        { "encoding", "gzip, br" },
        { "bytes", "12345678901234" },
        { "generation", "3" },
        { "total_us", "1500" },
        { "scan_us", "900" },
    };
    struct json_object *object = line_of(&full);
    size_t i = 0;
    json_object_object_foreach(object, key, value)
    {
        ck_assert_uint_lt(i, sizeof(want) / sizeof(want[0]));
        ck_assert_str_eq(key, want[i][0]);
        ck_assert_str_eq(json_object_get_string(value), want[i][1]);
        i++;
    }
    ck_assert_uint_eq(i, sizeof(want) / sizeof(want[0]));
    json_object_put(object);
}
END_TEST

START_TEST(test_empty_fields_are_left_out)
{
    const struct sp_decision empty = { .outcome = SP_OUTCOME_NONE, .user = { "", 0 }, .rule = "" };
    struct json_object *object = line_of(&empty);
    static const char *const keys[] = { "time", "outcome", "action", "bytes", "total_us" };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        ck_assert_msg(text_of(object, keys[i]) != NULL, "%s is missing", keys[i]);
    ck_assert_int_eq(json_object_object_length(object), sizeof(keys) / sizeof(keys[0]));
    json_object_put(object);
}
END_TEST

START_TEST(test_hostile_text)
{
    static const struct {
        const char *in;
        size_t n;
        const char *want;
    } cases[] = {
        { "a\nb\r\t\x1b[2J", 9, "a\nb\r\t\x1b[2J" }, /* escaped in the line, the same once parsed */
        { "\"}\\u0041", 8, "\"}\\u0041" },
        { "\xff\xfe", 2, "\xef\xbf\xbd\xef\xbf\xbd" },
        { "a\xc3(", 3, "a\xef\xbf\xbd(" },
        { "\xc0\xaf", 2, "\xef\xbf\xbd\xef\xbf\xbd" },                                 /* overlong */
        { "\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },                 /* a surrogate */
        { "\xf4\x90\x80\x80", 4, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* past U+10FFFF */
        { "\xe2\x82", 2, "\xef\xbf\xbd\xef\xbf\xbd" },                                 /* cut */
        { "\xc2\x9b[2J\x7f", 6, "\xef\xbf\xbd[2J\xef\xbf\xbd" },                       /* a terminal's CSI, and DEL */
        { "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x99\x82", 15, "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x99\x82" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct sp_decision d = { .url = { cases[i].in, cases[i].n }, .reason = "r" };
        struct json_object *object = line_of(&d);
        ck_assert_msg(strcmp(text_of(object, "url"), cases[i].want) == 0, "case %zu: %s", i, text_of(object, "url"));
        json_object_put(object);
    }
    const struct sp_decision nul = { .url = { "a\0b", 3 } };
    struct json_object *object = line_of(&nul), *value;
    ck_assert(json_object_object_get_ex(object, "url", &value));
    ck_assert_int_eq(json_object_get_string_len(value), 3);
    ck_assert_int_eq(memcmp(json_object_get_string(value), "a\0b", 3), 0);
    json_object_put(object);
}
END_TEST

START_TEST(test_long_text_is_cut)
{
    char *url = malloc(100000);
    memset(url, 'u', 100000);
    memcpy(url + 8190, "\xe2\x82\xac", 3); /* the cut goes through it */
    struct sp_decision d = { .url = { url, 8190 + 3 }, .user = { url, 2000 } };
    struct json_object *object = line_of(&d);
    ck_assert_uint_eq(strlen(text_of(object, "url")), 8190 + 3);
    ck_assert_str_eq(text_of(object, "url") + 8188, "uu\xe2\x80\xa6");
    ck_assert_uint_eq(strlen(text_of(object, "user")), 1024 + 3);
    json_object_put(object);
    d.url.n = 8192;
    memset(url, 'u', 8192);
    object = line_of(&d);
    ck_assert_uint_eq(strlen(text_of(object, "url")), 8192); /* just fits: no mark */
    json_object_put(object);
    memset(url, 0x01, 100000); /* the longest line there can be */
    d.url.n = 100000;
    object = line_of(&d);
    ck_assert_uint_eq(strlen(text_of(object, "url")), 8192 + 3);
    json_object_put(object);
    memset(url, 0xff, 100000);
    object = line_of(&d);
    ck_assert_uint_ge(strlen(text_of(object, "url")), 3 * 8189 + 3);
    json_object_put(object);
    free(url);
}
END_TEST

START_TEST(test_off)
{
    struct sp_declog *log = open_log("");
    ck_assert(sp_declog_write(log, &full));
    sp_declog_close(&log);
}
END_TEST

START_TEST(test_open_fails)
{
    struct sp_error err = { 0 };
    struct sp_declog *log;
    ck_assert_int_eq(sp_declog_open(&(struct sp_declog_options){ .path = "/nonexistent/x.log" }, &err, &log), SP_ERR_IO);
    ck_assert_str_eq(err.text, "decision log /nonexistent/x.log cannot be opened: No such file or directory");
    ck_assert_ptr_null(log);
    ck_assert_int_eq(mkfifo(path, 0600), 0); /* without a reader: refused at once, no waiting */
    ck_assert_int_eq(sp_declog_open(&(struct sp_declog_options){ .path = path }, &err, &log), SP_ERR_IO);
}
END_TEST

START_TEST(test_mode_and_append)
{
    struct sp_declog *log = open_log(path);
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 07137, 0); /* URLs are private: nothing for others */
    ck_assert(sp_declog_write(log, &full));
    sp_declog_close(&log);
    log = open_log(path);
    ck_assert(sp_declog_write(log, &full));
    sp_declog_close(&log);
    size_t n, lines = 0;
    char *text = read_text(path, &n);
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    ck_assert_uint_eq(lines, 2);
    free(text);
}
END_TEST

START_TEST(test_full_disk)
{
    struct sp_declog *log = open_log("/dev/full");
    ck_assert(!sp_declog_write(log, &full));
    ck_assert(!sp_declog_write(log, &full));
    sp_declog_close(&log);
}
END_TEST

/* A disk that fills up in the middle of a line: a file size limit does the same. */
START_TEST(test_torn_line_is_ended)
{
    static const char script[] = "ulimit -f 1; exec \"$0\" torn \"$1\""; /* 512 or 1024 bytes */
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    ck_assert_int_gt(n, 0);
    self[n] = '\0';
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", script, self, path, (char *) NULL);
        _exit(99);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

/* The child of the test above: writes until a line is lost, makes room, writes again. */
static int run_torn(const char *name)
{
    struct sp_error err = { 0 };
    struct sp_declog *log;
    signal(SIGXFSZ, SIG_IGN);
    if (sp_declog_open(&(struct sp_declog_options){ .path = name }, &err, &log) != SP_OK)
        return 1;
    int written = 0;
    while (written < 100 && sp_declog_write(log, &full))
        written++;
    if (written == 0 || written == 100)
        return 2;
    struct stat st;
    if (stat(name, &st) < 0 || truncate(name, st.st_size - 200) < 0) /* room for the newline and no more than part of a line */
        return 3;
    if (sp_declog_write(log, &full) || truncate(name, 10) < 0 || !sp_declog_write(log, &full))
        return 4;
    sp_declog_close(&log);
    size_t n;
    char *text = read_text(name, &n);
    char *line = strchr(text, '\n');
    int is_good = line && line == text + 10 && line[1] == '{' && text[n - 1] == '\n';
    free(text);
    return is_good ? 0 : 5;
}

static size_t count_descriptors(void)
{
    size_t n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

START_TEST(test_rotation)
{
    char old[128];
    snprintf(old, sizeof(old), "%s.1", path);
    struct sp_declog *log = open_log(path);
    size_t descriptors = count_descriptors();
    ck_assert(sp_declog_write(log, &full));
    ck_assert_int_eq(rename(path, old), 0);
    ck_assert(sp_declog_write(log, &full)); /* within the second: to the old file */
    ck_assert_int_ne(access(path, F_OK), 0);
    pause_ms(1100);
    ck_assert(sp_declog_write(log, &full));
    struct stat st_old, st_new;
    ck_assert_int_eq(stat(old, &st_old), 0);
    ck_assert_int_eq(stat(path, &st_new), 0);
    ck_assert_int_eq(st_old.st_size, 2 * st_new.st_size);
    ck_assert_int_eq(unlink(path), 0);
    pause_ms(1100);
    ck_assert(sp_declog_write(log, &full));
    ck_assert_int_eq(stat(path, &st_new), 0);
    ck_assert_int_eq(st_old.st_size, 2 * st_new.st_size);
    ck_assert_uint_eq(count_descriptors(), descriptors);
    sp_declog_close(&log);
}
END_TEST

/* The folder vanishes: lines go on into the old file, and the new one is found when the folder is back. */
START_TEST(test_rotation_without_a_folder)
{
    char away[128];
    snprintf(away, sizeof(away), "%s.away", dir);
    struct sp_declog *log = open_log(path);
    ck_assert_int_eq(rename(dir, away), 0);
    pause_ms(1100);
    ck_assert(sp_declog_write(log, &full));
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    pause_ms(1100);
    ck_assert(sp_declog_write(log, &full));
    ck_assert_int_eq(access(path, F_OK), 0);
    sp_declog_close(&log);
    char command[256];
    snprintf(command, sizeof(command), "rm -rf %s", away);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

#define THREADS 4

struct load {
    struct sp_declog *log;
    atomic_bool is_over;
    _Atomic size_t lines;
};

static void *write_lines(void *arg)
{
    struct load *load = arg;
    while (!load->is_over) {
        if (!sp_declog_write(load->log, &full))
            return load;
        load->lines++;
        pause_ms(1);
    }
    return NULL;
}

static size_t count_whole_lines(const char *name)
{
    size_t n, lines = 0;
    char *text = read_text(name, &n);
    for (char *line = text, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        ck_assert_msg(end && strncmp(line, "{\"time\":\"", 9) == 0 && end[-1] == '}', "a torn line");
        lines++;
    }
    free(text);
    return lines;
}

START_TEST(test_threads_and_rotation)
{
    struct load load = { .log = open_log(path) };
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, &load), 0);
    char old[2][128];
    for (int i = 0; i < 2; i++) {
        pause_ms(i == 0 ? 200 : 1200);
        snprintf(old[i], sizeof(old[i]), "%s.%d", path, i);
        ck_assert_int_eq(rename(path, old[i]), 0);
    }
    pause_ms(1200);
    load.is_over = true;
    for (int i = 0; i < THREADS; i++) {
        void *lost;
        pthread_join(threads[i], &lost);
        ck_assert_ptr_null(lost);
    }
    sp_declog_close(&load.log);
    size_t lines = count_whole_lines(path);
    ck_assert_uint_gt(lines, 0);
    for (int i = 0; i < 2; i++)
        lines += count_whole_lines(old[i]);
    ck_assert_uint_eq(lines, load.lines);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "torn") == 0)
        return run_torn(argv[2]);
    TCase *c = tcase_create("declog");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_all_fields_in_order);
    tcase_add_test(c, test_empty_fields_are_left_out);
    tcase_add_test(c, test_hostile_text);
    tcase_add_test(c, test_long_text_is_cut);
    tcase_add_test(c, test_off);
    tcase_add_test(c, test_open_fails);
    tcase_add_test(c, test_mode_and_append);
    tcase_add_test(c, test_full_disk);
    tcase_add_test(c, test_torn_line_is_ended);
    tcase_add_test(c, test_rotation);
    tcase_add_test(c, test_rotation_without_a_folder);
    tcase_add_test(c, test_threads_and_rotation);
    return unit_run("declog", c);
}
