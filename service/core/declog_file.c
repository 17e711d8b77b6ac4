/* Lines to a file that several processes share:
 * - a line is one write() with O_APPEND, so lines never mix;
 * - after a rotation the new file is put under the same descriptor number with dup3(), so that a thread inside write()
 *   has the old file or the new one, never a number that something else was given meanwhile;
 * - no flag makes a write to a file give up when its disk hangs. So the threads that are in a write when that happens stay there,
 *   and those that come later see that nothing has been finished for a while, and go on without their line. */
#include "config.h"

#include "declog_priv.h"

#include "sallyport/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_EVERY_US 1000000
#define HANGS_AFTER_US 200000
#define FILE_MODE 0640

struct sp_declog_file {
    char *path;                      /* immutable; owned */
    uint64_t max_bytes;              /* immutable; 0: any number */
    int fd;                          /* the number is immutable, the file behind it changes under reopening */
    _Atomic int64_t next_look_us;    /* monotonic */
    atomic_bool is_torn;             /* the last line stopped in the middle */
    atomic_bool is_full;             /* max_bytes are reached */
    atomic_int n_writing;            /* threads inside write() */
    _Atomic int64_t waiting_since_us; /* when the first of them went in, or the last one came out; 0: nobody is inside */
    pthread_mutex_t reopening;       /* guards dev and ino */
    dev_t dev;
    ino_t ino;
};

/* O_NONBLOCK: a FIFO without reader fails instead of stopping a transaction; files do not care. */
static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, FILE_MODE);
}

static bool remember_file(struct sp_declog_file *file, int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return false;
    file->dev = st.st_dev;
    file->ino = st.st_ino;
    atomic_store(&file->is_full, file->max_bytes > 0 && S_ISREG(st.st_mode) && (uint64_t) st.st_size >= file->max_bytes);
    return true;
}

enum sp_status sp_declog_file_open(const char *path, uint64_t max_bytes, struct sp_error *err, struct sp_declog_file **file_out)
{
    *file_out = NULL;
    struct sp_declog_file *file = calloc(1, sizeof(*file));
    if (!file)
        return sp_error_set(err, SP_ERR_NOMEM, "out of memory");
    file->fd = -1;
    file->max_bytes = max_bytes;
    pthread_mutex_init(&file->reopening, NULL);
    enum sp_status status = SP_OK;
    file->path = strdup(path);
    if (!file->path) {
        status = sp_error_set(err, SP_ERR_NOMEM, "out of memory");
        goto out;
    }
    file->fd = open_file(path);
    if (file->fd < 0 || !remember_file(file, file->fd))
        status = sp_error_set(err, SP_ERR_IO, "decision log %s cannot be opened: %s", path, strerror(errno));
    atomic_init(&file->next_look_us, sp_clock_mono_us() + LOOK_EVERY_US);
out:
    if (status == SP_OK)
        *file_out = file;
    else
        sp_declog_file_close(&file);
    return status;
}

void sp_declog_file_close(struct sp_declog_file **file)
{
    if (!*file)
        return;
    if ((*file)->fd >= 0)
        close((*file)->fd);
    pthread_mutex_destroy(&(*file)->reopening);
    free((*file)->path);
    free(*file);
    *file = NULL;
}

/* Keeps the old file when a new one cannot be had: its lines are not lost, and the next second tries again. */
static void reopen_if_rotated(struct sp_declog_file *file)
{
    struct stat st;
    if (stat(file->path, &st) == 0 && st.st_dev == file->dev && st.st_ino == file->ino) {
        remember_file(file, file->fd); /* its size */
        return;
    }
    int fd = open_file(file->path);
    if (fd < 0)
        return;
    if (dup3(fd, file->fd, O_CLOEXEC) >= 0)
        remember_file(file, file->fd);
    close(fd);
}

static void look_at_file(struct sp_declog_file *file, int64_t now)
{
    int64_t next = atomic_load_explicit(&file->next_look_us, memory_order_relaxed);
    if (now < next || !atomic_compare_exchange_strong(&file->next_look_us, &next, now + LOOK_EVERY_US))
        return;
    if (pthread_mutex_trylock(&file->reopening) != 0)
        return; /* another thread is at it, on a slow file system */
    reopen_if_rotated(file);
    pthread_mutex_unlock(&file->reopening);
}

/* False if not all of it was written. A torn line (disk full) is ended when there is room again. */
static bool append(struct sp_declog_file *file, struct sp_str line)
{
    if (atomic_load(&file->is_torn) && atomic_exchange(&file->is_torn, false) && write(file->fd, "\n", 1) != 1) {
        atomic_store(&file->is_torn, true);
        return false;
    }
    ssize_t written;
    do
        written = write(file->fd, line.p, line.n);
    while (written < 0 && errno == EINTR);
    if (written > 0 && (size_t) written < line.n)
        atomic_store(&file->is_torn, true);
    return written == (ssize_t) line.n;
}

/* False: those inside have finished nothing for a while. Whoever finds no time sets his own, so that one who went in and was stopped
 * before he could do so is not taken for one who hangs. */
static bool enter(struct sp_declog_file *file, int64_t now)
{
    int64_t since = 0;
    const bool is_first = atomic_fetch_add(&file->n_writing, 1) == 0;
    if (atomic_compare_exchange_strong(&file->waiting_since_us, &since, now) || now - since <= HANGS_AFTER_US)
        return true;
    if (is_first)
        atomic_store(&file->waiting_since_us, now); /* two left at once, and the slower one told of the other */
    else
        atomic_fetch_sub(&file->n_writing, 1);
    return is_first;
}

static void leave(struct sp_declog_file *file)
{
    const int64_t now = sp_clock_mono_us();
    atomic_store(&file->waiting_since_us, atomic_fetch_sub(&file->n_writing, 1) == 1 ? 0 : now);
}

bool sp_declog_file_write(struct sp_declog_file *file, struct sp_str line, int64_t now)
{
    if (!enter(file, now))
        return false;
    look_at_file(file, now);
    const bool is_written = !atomic_load(&file->is_full) && append(file, line);
    leave(file);
    return is_written;
}
