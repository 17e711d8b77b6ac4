/* Decisions as lines of JSON. Any number of threads of any number of processes append to one file:
 * - a line is one write() with O_APPEND, so lines never mix;
 * - after a rotation the new file is put under the same descriptor number with dup3(), so that a thread inside write()
 *   has the old file or the new one, never a number that something else was given meanwhile. */
#include "config.h"

#include "sallyport/declog.h"

#include "sallyport/buf.h"
#include "sallyport/clock.h"
#include "sallyport/text.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json_object.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define URL_MAX_BYTES 8192
#define TEXT_MAX_BYTES 1024
#define CLEAN_MAX_BYTES (4 * URL_MAX_BYTES) /* a byte becomes at most three, plus the mark of a cut */
#define LOOK_EVERY_US 1000000
#define FILE_MODE 0640

struct sp_declog {
    char *path;                   /* immutable; owned; NULL: drops everything */
    int fd;                       /* the number is immutable, the file behind it changes under reopening */
    _Atomic int64_t next_look_us; /* monotonic */
    atomic_bool is_torn;          /* the last line stopped in the middle */
    pthread_mutex_t reopening;    /* guards dev and ino */
    dev_t dev;
    ino_t ino;
};

/* --- the file ----------------------------------------------------------------------------------------------------- */

/* O_NONBLOCK: a FIFO without reader fails instead of stopping a transaction; files do not care. */
static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, FILE_MODE);
}

static bool remember_file(struct sp_declog *log, int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return false;
    log->dev = st.st_dev;
    log->ino = st.st_ino;
    return true;
}

enum sp_status sp_declog_open(const char *path, struct sp_error *err, struct sp_declog **log_out)
{
    *log_out = NULL;
    struct sp_declog *log = calloc(1, sizeof(*log));
    if (!log)
        return sp_error_set(err, SP_ERR_NOMEM, "out of memory");
    log->fd = -1;
    pthread_mutex_init(&log->reopening, NULL);
    enum sp_status status = SP_OK;
    if (path[0] == '\0')
        goto out;
    log->path = strdup(path);
    if (!log->path) {
        status = sp_error_set(err, SP_ERR_NOMEM, "out of memory");
        goto out;
    }
    log->fd = open_file(path);
    if (log->fd < 0 || !remember_file(log, log->fd))
        status = sp_error_set(err, SP_ERR_IO, "decision log %s cannot be opened: %s", path, strerror(errno));
    atomic_init(&log->next_look_us, sp_clock_mono_us() + LOOK_EVERY_US);
out:
    if (status == SP_OK)
        *log_out = log;
    else
        sp_declog_close(&log);
    return status;
}

void sp_declog_close(struct sp_declog **log)
{
    if (!*log)
        return;
    if ((*log)->fd >= 0)
        close((*log)->fd);
    pthread_mutex_destroy(&(*log)->reopening);
    free((*log)->path);
    free(*log);
    *log = NULL;
}

/* Keeps the old file when a new one cannot be had: its lines are not lost, and the next second tries again. */
static void reopen_if_rotated(struct sp_declog *log)
{
    struct stat st;
    if (stat(log->path, &st) == 0 && st.st_dev == log->dev && st.st_ino == log->ino)
        return;
    int fd = open_file(log->path);
    if (fd < 0)
        return;
    if (dup3(fd, log->fd, O_CLOEXEC) >= 0)
        remember_file(log, log->fd);
    close(fd);
}

static void look_at_file(struct sp_declog *log)
{
    int64_t now = sp_clock_mono_us();
    int64_t next = atomic_load_explicit(&log->next_look_us, memory_order_relaxed);
    if (now < next || !atomic_compare_exchange_strong(&log->next_look_us, &next, now + LOOK_EVERY_US))
        return;
    if (pthread_mutex_trylock(&log->reopening) != 0)
        return; /* another thread is at it, on a slow file system */
    reopen_if_rotated(log);
    pthread_mutex_unlock(&log->reopening);
}

/* False if not all of it was written. A torn line (disk full) is ended when there is room again. */
static bool append(struct sp_declog *log, const char *line, size_t n)
{
    if (atomic_load(&log->is_torn) && atomic_exchange(&log->is_torn, false) && write(log->fd, "\n", 1) != 1) {
        atomic_store(&log->is_torn, true);
        return false;
    }
    ssize_t written;
    do
        written = write(log->fd, line, n);
    while (written < 0 && errno == EINTR);
    if (written > 0 && (size_t) written < n)
        atomic_store(&log->is_torn, true);
    return written == (ssize_t) n;
}

/* --- the line ----------------------------------------------------------------------------------------------------- */

/* One object in the making; the first failure makes the rest do nothing. */
struct line {
    struct json_object *object;
    struct sp_buf clean; /* reused from field to field */
    bool is_failed;
};

/* Takes value. Keys are literals and each is used once. */
static void add_value(struct line *line, const char *key, struct json_object *value)
{
    const unsigned once = JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_ADD_CONSTANT_KEY;
    if (value && !line->is_failed && json_object_object_add_ex(line->object, key, value, once) == 0)
        return;
    line->is_failed = true;
    json_object_put(value);
}

static void add_text(struct line *line, const char *key, struct sp_str text, size_t max)
{
    if (text.n == 0 || line->is_failed)
        return;
    sp_buf_clear(&line->clean);
    if (sp_text_clean(text, max, &line->clean) != SP_OK) {
        line->is_failed = true;
        return;
    }
    add_value(line, key, json_object_new_string_len(line->clean.p, (int) line->clean.n));
}

static void add_cstr(struct line *line, const char *key, const char *text)
{
    add_text(line, key, sp_str_from(text), TEXT_MAX_BYTES);
}

static void add_number(struct line *line, const char *key, int64_t number)
{
    add_value(line, key, json_object_new_int64(number));
}

static void add_number_if_any(struct line *line, const char *key, int64_t number)
{
    if (number != 0)
        add_number(line, key, number);
}

static void fill(struct line *line, const struct sp_decision *d)
{
    char when[SP_CLOCK_TEXT_SIZE];
    sp_clock_format(d->wall_us, when);
    add_cstr(line, "time", when);
    add_cstr(line, "id", d->id);
    add_text(line, "client", d->client, TEXT_MAX_BYTES);
    add_text(line, "user", d->user, TEXT_MAX_BYTES);
    add_text(line, "direction", d->direction, TEXT_MAX_BYTES);
    add_text(line, "method", d->method, TEXT_MAX_BYTES);
    add_text(line, "url", d->url, URL_MAX_BYTES);
    add_number_if_any(line, "status", d->status);
    add_cstr(line, "outcome", sp_outcome_name(d->outcome));
    add_cstr(line, "action", sp_action_name(d->action));
    add_cstr(line, "reason", d->reason);
    add_cstr(line, "rule", d->rule);
    add_cstr(line, "category", d->category);
    add_cstr(line, "excepted", d->excepted);
    if (d->is_monitored)
        add_value(line, "monitor", json_object_new_boolean(1));
    if (d->is_cached)
        add_value(line, "cached", json_object_new_boolean(1));
    add_cstr(line, "signature", d->signature);
    add_text(line, "encoding", d->encoding, TEXT_MAX_BYTES);
    add_value(line, "bytes", json_object_new_uint64(d->bytes));
    add_number_if_any(line, "generation", d->generation);
    add_number(line, "total_us", d->total_us);
    add_number_if_any(line, "scan_us", d->scan_us);
}

bool sp_declog_write(struct sp_declog *log, const struct sp_decision *decision)
{
    if (!log->path)
        return true;
    struct line line = { .object = json_object_new_object() };
    line.is_failed = !line.object;
    sp_buf_init(&line.clean, CLEAN_MAX_BYTES);
    struct sp_buf out;
    sp_buf_init(&out, SIZE_MAX / 2);
    fill(&line, decision);
    size_t n = 0;
    const char *text =
        line.is_failed ? NULL : json_object_to_json_string_length(line.object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
    bool is_written = false;
    if (text && sp_buf_add(&out, text, n) == SP_OK && sp_buf_add(&out, "\n", 1) == SP_OK) {
        look_at_file(log);
        is_written = append(log, out.p, out.n);
    }
    sp_buf_fini(&out);
    sp_buf_fini(&line.clean);
    json_object_put(line.object);
    return is_written;
}
