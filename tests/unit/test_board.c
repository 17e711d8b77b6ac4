/* The scoreboard: what the supervisor writes is what a reader sees, and a reader refuses every other file. */
#include "config.h"

#include "unit.h"

#include "sallyport/board.h"
#include "sallyport/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/sp-board-XXXXXX";
static char path[64];

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/scand.stat", dir);
}

static void teardown(void)
{
    unlink(path);
    rmdir(path);
    ck_assert_int_eq(rmdir(dir), 0);
    memcpy(strrchr(dir, '-') + 1, "XXXXXX", 6);
}

static struct sp_board *create(void)
{
    struct sp_error err = { 0 };
    struct sp_board *board = NULL;
    ck_assert_msg(sp_board_create(path, &err, &board) == SP_OK, "%s", err.text);
    ck_assert_ptr_nonnull(board);
    return board;
}

static const struct sp_board *open_reader(void)
{
    struct sp_error err = { 0 };
    const struct sp_board *board = NULL;
    ck_assert_msg(sp_board_open_reader(path, &err, &board) == SP_OK, "%s", err.text);
    return board;
}

static void close_board(struct sp_board *board)
{
    const struct sp_board *b = board;
    sp_board_close(&b);
    ck_assert_ptr_null(b);
    sp_board_close(&b); /* NULL inside is fine */
}

START_TEST(reader_sees_writer)
{
    umask(0077); /* the mode does not depend on it */
    struct sp_board *board = create();
    const struct sp_board *reader = open_reader();
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0644);
    ck_assert_uint_ge((uint64_t) st.st_blocks * 512, sizeof(*board)); /* not sparse */
    ck_assert_int_eq(reader->supervisor_pid, 0);
    ck_assert_uint_eq(reader->state, SP_SCAND_LOADING);

    board->supervisor_pid = 4711;
    board->engine_id = 0xfedcba9876543210u;
    board->state = SP_SCAND_SERVING;
    memcpy(board->last_error, "why", 4);
    ck_assert_int_eq(reader->supervisor_pid, 4711);
    ck_assert(reader->engine_id == 0xfedcba9876543210u);
    ck_assert_uint_eq(reader->state, SP_SCAND_SERVING);
    ck_assert_str_eq(reader->last_error, "why");
    sp_board_close(&reader);
    close_board(board);
}
END_TEST

START_TEST(other_process_writes)
{
    struct sp_board *board = create();
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        for (int i = 0; i < 1000; i++)
            atomic_fetch_add(&board->scans, 1);
        _exit(0);
    }
    for (int i = 0; i < 1000; i++)
        atomic_fetch_add(&board->scans, 1);
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(board->scans, 2000);
    close_board(board);
}
END_TEST

START_TEST(create_empties_in_place)
{
    struct sp_board *old = create();
    const struct sp_board *reader = open_reader();
    old->scans = 7;
    old->workers[3].pid = 99;
    close_board(old);
    struct sp_board *board = create();
    ck_assert_uint_eq(board->scans, 0);
    ck_assert_int_eq(board->workers[3].pid, 0);
    board->scans = 1;
    ck_assert_uint_eq(reader->scans, 1); /* the reader of the old supervisor follows */
    sp_board_close(&reader);
    close_board(board);
}
END_TEST

static void write_file(size_t n, const void *start, size_t start_n)
{
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, start, start_n), (ssize_t) start_n);
    ck_assert_int_eq(ftruncate(fd, (off_t) n), 0);
    close(fd);
}

START_TEST(reader_refuses_other_files)
{
    struct sp_error err = { 0 };
    const struct sp_board *reader = NULL;
    ck_assert_int_eq(sp_board_open_reader(path, &err, &reader), SP_ERR_NOT_FOUND);
    ck_assert_ptr_null(reader);
    ck_assert_ptr_nonnull(strstr(err.text, path));

    struct sp_board *board = create();
    uint32_t head[2] = { board->magic, board->version };
    close_board(board);

    const struct {
        const char *name;
        uint32_t head[2];
        size_t n;
        enum sp_status want;
    } cases[] = {
        { "empty", { head[0], head[1] }, 0, SP_ERR_CONF },
        { "short", { head[0], head[1] }, sizeof(struct sp_board) - 1, SP_ERR_CONF },
        { "long", { head[0], head[1] }, sizeof(struct sp_board) + 1, SP_ERR_CONF },
        { "magic", { head[0] + 1, head[1] }, sizeof(struct sp_board), SP_ERR_CONF },
        { "version", { head[0], head[1] + 1 }, sizeof(struct sp_board), SP_ERR_CONF },
        { "half made", { 0, head[1] }, sizeof(struct sp_board), SP_ERR_CONF },
        { "right", { head[0], head[1] }, sizeof(struct sp_board), SP_OK },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_file(cases[i].n, cases[i].head, sizeof(cases[i].head));
        memset(&err, 0, sizeof(err));
        enum sp_status got = sp_board_open_reader(path, &err, &reader);
        ck_assert_msg(got == cases[i].want, "%s: %s", cases[i].name, sp_status_name(got));
        ck_assert_msg((reader != NULL) == (got == SP_OK), "%s", cases[i].name);
        ck_assert_msg((err.text[0] != '\0') == (got != SP_OK), "%s", cases[i].name);
        sp_board_close(&reader);
    }
}
END_TEST

START_TEST(create_replaces_another_layout)
{
    write_file(100, "x", 1);
    struct stat before, after;
    int old = open(path, O_RDONLY);
    ck_assert_int_eq(fstat(old, &before), 0);
    close_board(create());
    ck_assert_int_eq(stat(path, &after), 0);
    ck_assert(before.st_ino != after.st_ino);
    ck_assert_int_eq(fstat(old, &before), 0);
    ck_assert_int_eq(before.st_size, 100); /* its readers are safe */
    close(old);
    const struct sp_board *reader = open_reader();
    sp_board_close(&reader);
}
END_TEST

START_TEST(create_fails_with_a_text)
{
    struct sp_error err = { 0 };
    struct sp_board *board = NULL;
    ck_assert_int_eq(sp_board_create("/nonexistent/scand.stat", &err, &board), SP_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/scand.stat"));
    ck_assert_ptr_null(board);
    ck_assert_int_eq(symlink("/etc/hostname", path), 0); /* a planted link is not followed */
    memset(&err, 0, sizeof(err));
    ck_assert_int_eq(sp_board_create(path, &err, &board), SP_ERR_IO);
    unlink(path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    memset(&err, 0, sizeof(err));
    ck_assert_int_eq(sp_board_create(path, &err, &board), SP_ERR_IO);
}
END_TEST

START_TEST(counts_workers)
{
    struct sp_board *board = create();
    unsigned alive = 9, busy = 9;
    sp_board_count_workers(board, &alive, &busy);
    ck_assert_uint_eq(alive, 0);
    ck_assert_uint_eq(busy, 0);
    board->workers[0].pid = 10;
    board->workers[1].busy_since_us = 5; /* free slot: left over */
    board->workers[2].pid = -1;          /* claimed, not forked yet */
    board->workers[SP_BOARD_MAX_WORKERS - 1].pid = 12;
    board->workers[SP_BOARD_MAX_WORKERS - 1].busy_since_us = 5;
    sp_board_count_workers(board, &alive, &busy);
    ck_assert_uint_eq(alive, 2);
    ck_assert_uint_eq(busy, 1);
    close_board(board);
}
END_TEST

/* Only the engine of one that serves and lives. */
START_TEST(engine_of_the_living)
{
    struct sp_board_view view = { .engine = 5 };
    ck_assert(!sp_board_peek(path, &view));
    struct sp_board *board = create();
    board->engine_id = 7;
    board->state = SP_SCAND_SERVING;
    ck_assert(!sp_board_peek(path, &view)); /* nobody's */
    const int64_t now_us = sp_clock_mono_us(), slack_us = SP_BOARD_STALE_US / 2;
    board->seen_us = now_us - SP_BOARD_STALE_US - 1; /* a dead one's */
    ck_assert(!sp_board_peek(path, &view));
    board->seen_us = now_us + slack_us; /* from before the machine was started anew */
    ck_assert(!sp_board_peek(path, &view));
    board->seen_us = now_us - SP_BOARD_STALE_US + slack_us;
    static const enum sp_scand_state silent[] = { SP_SCAND_LOADING, SP_SCAND_STOPPED };
    for (size_t i = 0; i < 2; i++) {
        board->state = silent[i];
        ck_assert(!sp_board_peek(path, &view));
    }
    ck_assert_uint_eq(view.engine, 5);
    board->state = SP_SCAND_DEGRADED;
    ck_assert(sp_board_peek(path, &view) && view.engine == 7);
    board->state = SP_SCAND_SERVING;
    board->engine_id = 8;
    ck_assert(sp_board_peek(path, &view) && view.engine == 8);
    board->engine_id = 0;
    ck_assert(!sp_board_peek(path, &view));
    close_board(board);
    write_file(100, "x", 1);
    ck_assert(!sp_board_peek(path, &view));
    ck_assert_uint_eq(view.engine, 8);
}
END_TEST

START_TEST(long_scans)
{
    struct sp_board *board = create();
    struct sp_board_view view;
    board->engine_id = 7;
    board->state = SP_SCAND_SERVING;
    board->seen_us = sp_clock_mono_us();
    ck_assert(sp_board_peek(path, &view) && view.long_scans == 0);
    board->workers[3].busy_since_us = board->seen_us - SP_BOARD_LONG_US;
    board->workers[SP_BOARD_MAX_WORKERS - 1].busy_since_us = board->seen_us - 10 * SP_BOARD_LONG_US;
    board->workers[5].busy_since_us = board->seen_us + (int64_t) 3600 * 1000000; /* one that has just begun */
    ck_assert(sp_board_peek(path, &view) && view.long_scans == 2);
    close_board(board);
}
END_TEST

START_TEST(names_of_states)
{
    ck_assert_str_eq(sp_scand_state_name(SP_SCAND_LOADING), "loading");
    ck_assert_str_eq(sp_scand_state_name(SP_SCAND_SERVING), "serving");
    ck_assert_str_eq(sp_scand_state_name(SP_SCAND_DEGRADED), "degraded");
    ck_assert_str_eq(sp_scand_state_name(SP_SCAND_STOPPED), "stopped");
    ck_assert_str_eq(sp_scand_state_name(SP_SCAND_STOPPING), "stopping");
    ck_assert_str_eq(sp_scand_state_name((enum sp_scand_state) 77), "unknown");
}
END_TEST

START_TEST(sandbox_is_told_in_one_line)
{
    char text[SP_BOARD_SANDBOX_TEXT_SIZE];
    struct sp_board *board = create();
    sp_board_sandbox_text(board, text);
    ck_assert_str_eq(text, "no landlock, no seccomp, not no_new_privs, no limits; scratch folder without a limit");
    board->sandbox = SP_SANDBOX_LANDLOCK | SP_SANDBOX_SECCOMP | SP_SANDBOX_NO_NEW_PRIVS | SP_SANDBOX_LIMITS | SP_SANDBOX_TMPFS;
    board->landlock_abi = 7;
    board->sandbox_scratch_bytes = 512 << 20;
    sp_board_sandbox_text(board, text);
    ck_assert_str_eq(text, "landlock abi 7, seccomp, no_new_privs, limits; scratch tmpfs 512M");
    board->landlock_abi = UINT32_MAX;
    board->sandbox_scratch_bytes = UINT64_MAX;
    sp_board_sandbox_text(board, text); /* fits, whatever a board of others says */
    ck_assert_uint_lt(strlen(text), SP_BOARD_SANDBOX_TEXT_SIZE);
    close_board(board);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("board");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, sandbox_is_told_in_one_line);
    tcase_add_test(c, reader_sees_writer);
    tcase_add_test(c, other_process_writes);
    tcase_add_test(c, create_empties_in_place);
    tcase_add_test(c, reader_refuses_other_files);
    tcase_add_test(c, create_replaces_another_layout);
    tcase_add_test(c, create_fails_with_a_text);
    tcase_add_test(c, counts_workers);
    tcase_add_test(c, engine_of_the_living);
    tcase_add_test(c, long_scans);
    tcase_add_test(c, names_of_states);
    return unit_run("board", c);
}
