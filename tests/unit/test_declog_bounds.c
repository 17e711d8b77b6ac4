/* What the decision log leaves out of a line, how it is bounded, and lines to syslog and the journal. */
#include "config.h"

#include "declog_kit.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* --- what a line tells ------------------------------------------------------------------------------------------------ */

static struct sp_declog *open_with(struct sp_declog_options options)
{
    struct sp_error err = { 0 };
    struct sp_declog *log;
    if (!options.path)
        options.path = path;
    ck_assert_msg(sp_declog_open(&options, &err, &log) == SP_OK, "%s", err.text);
    return log;
}

START_TEST(test_urls)
{
    static const struct {
        enum sp_declog_urls urls;
        const char *url, *want;
    } cases[] = {
        { SP_DECLOG_URLS_FULL, "http://h/p?q=1#f", "http://h/p?q=1#f" },
        { SP_DECLOG_URLS_PATH, "http://h/p?q=1", "http://h/p" },
        { SP_DECLOG_URLS_PATH, "http://h/p#f?q", "http://h/p" },
        { SP_DECLOG_URLS_PATH, "h:443", "h:443" },
        { SP_DECLOG_URLS_HOST, "http://h:80/p?q=1", "http://h:80" },
        { SP_DECLOG_URLS_HOST, "http://h?u=http://x/", "http://h" },
        { SP_DECLOG_URLS_HOST, "h.example/p", "h.example" },
        { SP_DECLOG_URLS_HOST, "h:443", "h:443" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_declog *log = open_with((struct sp_declog_options){ .urls = cases[i].urls });
        ck_assert(sp_declog_write(log, &(struct sp_decision){ .url = sp_str_from(cases[i].url) }));
        sp_declog_close(&log);
        size_t n;
        char *text = read_text(path, &n), want[128];
        snprintf(want, sizeof(want), "\"url\":\"%s\",", cases[i].want);
        ck_assert_msg(strstr(text, want) != NULL, "%s: %s", cases[i].url, text);
        free(text);
        unlink(path);
    }
}
END_TEST

START_TEST(test_pseudonyms)
{
    static const char key[] = "00112233445566778899aabbccddeeff";
    struct sp_declog *log = open_with((struct sp_declog_options){ .hash_key = key });
    ck_assert(sp_declog_write(log, &full));
    sp_declog_close(&log);
    size_t n;
    char *text = read_text(path, &n), a[SP_DECLOG_PSEUDONYM_SIZE], b[SP_DECLOG_PSEUDONYM_SIZE];
    ck_assert(!strstr(text, "192.0.2.7") && !strstr(text, "ice"));
    ck_assert(sp_declog_pseudonym(key, full.client, a) && strstr(text, a));
    ck_assert(sp_declog_pseudonym(key, full.user, b) && strstr(text, b));
    ck_assert_str_ne(a, b);
    ck_assert(strlen(a) == 17 && a[0] == '~');
    ck_assert(sp_declog_pseudonym("10112233445566778899aabbccddeeff", full.client, b));
    ck_assert_str_ne(a, b); /* another key */
    ck_assert(sp_declog_pseudonym(key, SP_STR("192.0.2.7\0"), b));
    ck_assert_str_ne(a, b); /* a zero byte counts */
    free(text);
    static const char *const bad[] = { "x", "00112233445566778899aabbccddee", "00112233445566778899aabbccddeefg",
        "00112233445566778899aabbccddeeff0" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sp_error err = { 0 };
        ck_assert(!sp_declog_pseudonym(bad[i], full.client, b));
        ck_assert_int_eq(sp_declog_open(&(struct sp_declog_options){ .path = path, .hash_key = bad[i] }, &err, &log), SP_ERR_CONF);
        ck_assert_ptr_null(log);
    }
}
END_TEST

/* --- bounds ------------------------------------------------------------------------------------------------------------- */

/* Lines with a decision, and the sum of those that are told to be lost. */
static void count_all(const char *name, uint64_t *written, uint64_t *lost)
{
    size_t n;
    char *text = read_text(name, &n);
    *written = *lost = 0;
    for (char *line = text, *end; *line; line = end + 1) {
        uint64_t here = 0;
        end = strchr(line, '\n');
        *end = '\0';
        const char *told = strstr(line, "\"lost\":");
        if (told && sscanf(told, "\"lost\":%" SCNu64, &here) == 1)
            *lost += here;
        else
            ++*written;
    }
    free(text);
}

START_TEST(test_rate)
{
    struct sp_declog *log = open_with((struct sp_declog_options){ .max_rate = 10 });
    uint64_t accepted = 0, written, lost;
    for (int i = 0; i < 1000; i++)
        accepted += sp_declog_write(log, &full);
    ck_assert(accepted >= 10 && accepted <= 30); /* this second and, on a slow machine, one or two more */
    pause_ms(1100);
    ck_assert(sp_declog_write(log, &full)); /* a new second: it is told first */
    count_all(path, &written, &lost);
    ck_assert_uint_eq(written + lost, 1001);
    sp_declog_close(&log);
    count_all(path, &written, &lost);
    ck_assert_uint_eq(written, accepted + 1);
    ck_assert_uint_eq(lost, 1000 - accepted);
}
END_TEST

START_TEST(test_size)
{
    struct sp_declog *log = open_with((struct sp_declog_options){ .max_size = 2000 });
    struct stat st;
    for (int i = 0; i < 20; i++)
        ck_assert(sp_declog_write(log, &full)); /* within the second */
    pause_ms(1100);
    ck_assert(!sp_declog_write(log, &full));
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert(!sp_declog_write(log, &full));
    struct stat again;
    ck_assert_int_eq(stat(path, &again), 0);
    ck_assert_int_eq(st.st_size, again.st_size);
    ck_assert_int_eq(unlink(path), 0);
    pause_ms(1100);
    ck_assert(sp_declog_write(log, &full));
    sp_declog_close(&log);
    uint64_t written, lost;
    count_all(path, &written, &lost);
    ck_assert_uint_eq(written, 1);
    ck_assert_uint_eq(lost, 2);
    log = open_with((struct sp_declog_options){ .max_size = 100 }); /* full from the start */
    ck_assert(!sp_declog_write(log, &full));
    sp_declog_close(&log);
}
END_TEST

/* --- syslog and the journal --------------------------------------------------------------------------------------------- */

static int listen_at(const char *name)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", name);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *) &address, sizeof(address)), 0);
    return fd;
}

START_TEST(test_syslog)
{
    char text[4096];
    struct sp_declog *log = open_with((struct sp_declog_options){ .to = SP_DECLOG_TO_SYSLOG });
    ck_assert(!sp_declog_write(log, &full)); /* nobody there */
    int fd = listen_at(path);
    ck_assert(sp_declog_write(log, &full)); /* and told first */
    ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
    ck_assert(n > 0);
    text[n] = '\0';
    ck_assert_msg(strncmp(text, "<30>", 4) == 0 && text[19] == ' ' && strncmp(text + 20, "sallyport: {\"time\"", 18) == 0, "%s", text);
    ck_assert_msg(strstr(text, "\"lost\":1}") != NULL, "%s", text);
    n = recv(fd, text, sizeof(text) - 1, 0);
    ck_assert(n > 0);
    text[n] = '\0';
    ck_assert(strstr(text, "\"id\":\"id-1\"") && text[n - 1] == '}');
    int taken = 0;
    while (taken < 100000 && sp_declog_write(log, &full)) /* nobody reads: never waits */
        taken++;
    ck_assert(taken > 0 && taken < 100000);
    close(fd);
    sp_declog_close(&log);
}
END_TEST

START_TEST(test_journal)
{
    char text[4096];
    int fd = listen_at(path);
    struct sp_declog *log = open_with((struct sp_declog_options){ .to = SP_DECLOG_TO_JOURNAL });
    const struct sp_decision hostile = { .id = "id-2",
        .url = SP_STR("http://h/\nSALLYPORT_ID=forged\n"),
        .outcome = SP_OUTCOME_RULE,
        .action = SP_ACTION_BLOCK };
    static const char start[] = "PRIORITY=6\nSYSLOG_IDENTIFIER=sallyport\nMESSAGE={\"time\"";
    ck_assert(sp_declog_write(log, &hostile));
    ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
    ck_assert(n > 0);
    text[n] = '\0';
    ck_assert_msg(strncmp(text, start, sizeof(start) - 1) == 0, "%s", text);
    ck_assert_msg(strstr(text, "}\nSALLYPORT_ID=id-2\nSALLYPORT_OUTCOME=rule\nSALLYPORT_ACTION=block\n") != NULL, "%s", text);
    ck_assert_ptr_null(strstr(text, "\nSALLYPORT_ID=forged"));
    close(fd);
    sp_declog_close(&log);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("declog bounds");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_urls);
    tcase_add_test(c, test_pseudonyms);
    tcase_add_test(c, test_rate);
    tcase_add_test(c, test_size);
    tcase_add_test(c, test_syslog);
    tcase_add_test(c, test_journal);
    return unit_run("declog bounds", c);
}
