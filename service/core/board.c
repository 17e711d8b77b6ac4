/* The scoreboard of sallyport-scand as a mapped file. The supervisor reuses the file of its predecessor in place, so that a
 * reader that mapped it long ago sees the new supervisor too; magic is written last, and first taken away. */
#include "config.h"

#include "sallyport/board.h"

#include "sallyport/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOARD_MAGIC 0x53504244u /* "SPBD" */
#define BOARD_VERSION 3u        /* raise it with every change of struct sp_board */
#define BOARD_MODE 0644

_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2, "processes can share only lock-free atomics");

static enum sp_status fail(struct sp_error *err, const char *what, const char *path)
{
    return sp_error_set(err, SP_ERR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

/* Opens path for writing as a regular file that is empty or of our size. A file of another size has another layout: readers of
 * the old one keep their inode, shrinking it under their maps would kill them. */
static enum sp_status open_file(const char *path, struct sp_error *err, int *fd_out)
{
    const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    struct stat st;
    int fd = open(path, flags, BOARD_MODE);
    if (fd < 0)
        return fail(err, "create", path);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size != 0 && st.st_size != (off_t) sizeof(struct sp_board)) {
        close(fd);
        if (unlink(path) < 0)
            return fail(err, "replace", path);
        fd = open(path, flags | O_EXCL, BOARD_MODE);
        if (fd < 0)
            return fail(err, "create", path);
    }
    *fd_out = fd;
    return SP_OK;
}

enum sp_status sp_board_create(const char *path, struct sp_error *err, struct sp_board **board_out)
{
    *board_out = NULL;
    int fd = -1;
    enum sp_status status = open_file(path, err, &fd);
    if (status != SP_OK)
        return status;
    /* Allocated now: with a sparse file a full disk would be a SIGBUS at some later write. */
    struct sp_board *board = MAP_FAILED;
    int rc = posix_fallocate(fd, 0, (off_t) sizeof(*board));
    if (rc != 0) {
        errno = rc;
        status = fail(err, "write", path);
    } else if (fchmod(fd, BOARD_MODE) < 0) {
        status = fail(err, "set the mode of", path);
    } else {
        board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (board == MAP_FAILED)
            status = fail(err, "map", path);
    }
    close(fd);
    if (status != SP_OK)
        return status;
    __atomic_store_n(&board->magic, 0, __ATOMIC_SEQ_CST);
    memset(board, 0, sizeof(*board));
    board->version = BOARD_VERSION;
    __atomic_store_n(&board->magic, BOARD_MAGIC, __ATOMIC_SEQ_CST);
    *board_out = board;
    return SP_OK;
}

enum sp_status sp_board_open_reader(const char *path, struct sp_error *err, const struct sp_board **board_out)
{
    *board_out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return sp_error_set(err, SP_ERR_NOT_FOUND, "no %s: sallyport-scand has not run here", path);
    if (fd < 0)
        return fail(err, "open", path);
    struct stat st = { 0 };
    struct sp_board *board = MAP_FAILED;
    enum sp_status status = SP_OK;
    if (fstat(fd, &st) < 0)
        status = fail(err, "read", path);
    else if (!S_ISREG(st.st_mode) || st.st_size != (off_t) sizeof(*board))
        status = sp_error_set(err, SP_ERR_CONF, "%s was not written by a sallyport-scand of this version", path);
    if (status == SP_OK) {
        board = mmap(NULL, sizeof(*board), PROT_READ, MAP_SHARED, fd, 0);
        if (board == MAP_FAILED)
            status = fail(err, "map", path);
    }
    close(fd);
    if (status != SP_OK)
        return status;
    if (__atomic_load_n(&board->magic, __ATOMIC_SEQ_CST) != BOARD_MAGIC || board->version != BOARD_VERSION) {
        munmap(board, sizeof(*board));
        return sp_error_set(err, SP_ERR_CONF, "%s was not written by a sallyport-scand of this version", path);
    }
    *board_out = board;
    return SP_OK;
}

void sp_board_close(const struct sp_board **board)
{
    if (*board) {
        void *start; /* munmap takes no const */
        memcpy(&start, board, sizeof(start));
        munmap(start, sizeof(**board));
    }
    *board = NULL;
}

void sp_board_count_workers(const struct sp_board *board, unsigned *alive_out, unsigned *busy_out)
{
    unsigned alive = 0, busy = 0;
    for (unsigned i = 0; i < SP_BOARD_MAX_WORKERS; i++) {
        const struct sp_board_worker *worker = &board->workers[i];
        if (atomic_load_explicit(&worker->pid, memory_order_relaxed) <= 0)
            continue;
        alive++;
        if (atomic_load_explicit(&worker->busy_since_us, memory_order_relaxed) != 0)
            busy++;
    }
    *alive_out = alive;
    *busy_out = busy;
}

/* A time to come is one from before the machine was started anew. */
static bool is_attended(const struct sp_board *board)
{
    const int64_t seen_us = atomic_load(&board->seen_us), age_us = sp_clock_mono_us() - seen_us;
    return seen_us != 0 && age_us >= 0 && age_us < SP_BOARD_STALE_US;
}

static unsigned count_long_scans(const struct sp_board *board)
{
    const int64_t long_us = sp_clock_mono_us() - SP_BOARD_LONG_US;
    unsigned n = 0;
    for (unsigned i = 0; i < SP_BOARD_MAX_WORKERS; i++) {
        const int64_t since_us = atomic_load_explicit(&board->workers[i].busy_since_us, memory_order_relaxed);
        n += since_us != 0 && since_us <= long_us;
    }
    return n;
}

/* Opened anew each time: the next scanner may have another board, and this is asked a few times a second at most. */
bool sp_board_peek(const char *path, struct sp_board_view *view_out)
{
    const struct sp_board *board = NULL;
    if (sp_board_open_reader(path, NULL, &board) != SP_OK)
        return false;
    const unsigned state = atomic_load(&board->state);
    const struct sp_board_view view = { .engine = atomic_load(&board->engine_id), .long_scans = count_long_scans(board) };
    const bool is_serving = (state == SP_SCAND_SERVING || state == SP_SCAND_DEGRADED) && is_attended(board);
    sp_board_close(&board);
    if (!is_serving || view.engine == 0)
        return false;
    *view_out = view;
    return true;
}

void sp_board_sandbox_text(const struct sp_board *board, char out[SP_BOARD_SANDBOX_TEXT_SIZE])
{
    const unsigned parts = atomic_load(&board->sandbox);
    char landlock[32] = "no landlock", scratch[48] = "scratch folder without a limit";
    if (parts & SP_SANDBOX_LANDLOCK)
        snprintf(landlock, sizeof(landlock), "landlock abi %u", atomic_load(&board->landlock_abi));
    if (parts & SP_SANDBOX_TMPFS)
        snprintf(scratch, sizeof(scratch), "scratch tmpfs %lluM", (unsigned long long) atomic_load(&board->sandbox_scratch_bytes) >> 20);
    snprintf(out, SP_BOARD_SANDBOX_TEXT_SIZE, "%s, %s, %s, %s; %s", landlock, parts & SP_SANDBOX_SECCOMP ? "seccomp" : "no seccomp",
        parts & SP_SANDBOX_NO_NEW_PRIVS ? "no_new_privs" : "not no_new_privs", parts & SP_SANDBOX_LIMITS ? "limits" : "no limits", scratch);
}

const char *sp_scand_state_name(enum sp_scand_state state)
{
    switch (state) {
    case SP_SCAND_LOADING:
        return "loading";
    case SP_SCAND_SERVING:
        return "serving";
    case SP_SCAND_DEGRADED:
        return "degraded";
    case SP_SCAND_STOPPED:
        return "stopped";
    case SP_SCAND_STOPPING:
        return "stopping";
    }
    return "unknown";
}
