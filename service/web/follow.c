/* The tail of a file that others append to. A line counts when its newline has come; what is too long to be one of ours is passed over
 * up to its newline. A rotated file is read to its end before the new one is opened. */
#include "config.h"

#include "follow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES (1024 * 1024)

struct sp_web_follow {
    char *path;
    int fd; /* -1: none */
    dev_t dev;
    ino_t ino;
    off_t offset;     /* of the next byte to read */
    size_t held;      /* bytes of a line that has no end yet, at the start of chunk */
    bool is_skipping; /* up to the next newline */
    char chunk[SP_WEB_LINE_MAX + CHUNK_BYTES];
};

struct sp_web_follow *sp_web_follow_new(const char *path)
{
    struct sp_web_follow *follow = calloc(1, sizeof(*follow));
    if (!follow)
        return NULL;
    follow->fd = -1;
    follow->path = strdup(path);
    if (!follow->path)
        sp_web_follow_free(&follow);
    return follow;
}

static void close_file(struct sp_web_follow *follow)
{
    if (follow->fd >= 0)
        close(follow->fd);
    follow->fd = -1;
    follow->held = 0;
    follow->is_skipping = false;
}

void sp_web_follow_free(struct sp_web_follow **follow)
{
    if (!*follow)
        return;
    close_file(*follow);
    free((*follow)->path);
    free(*follow);
    *follow = NULL;
}

static bool open_file(struct sp_web_follow *follow, struct sp_error *err)
{
    struct stat st;
    int fd = open(follow->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0) {
        (void) sp_error_set(err, SP_ERR_IO, "%s: %s", follow->path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        (void) sp_error_set(err, SP_ERR_IO, "%s: not a file", follow->path);
    } else {
        follow->fd = fd;
        follow->dev = st.st_dev;
        follow->ino = st.st_ino;
        follow->offset = 0;
        return true;
    }
    if (fd >= 0)
        close(fd);
    return false;
}

/* Hands out the lines in chunk[0..n) and keeps the beginning of one at its start. */
static void take_lines(struct sp_web_follow *follow, size_t n, sp_web_line_fn fn, void *arg)
{
    const char *p = follow->chunk, *end = p + n, *newline;
    while (p < end && (newline = memchr(p, '\n', (size_t) (end - p))) != NULL) {
        size_t len = (size_t) (newline - p);
        if (!follow->is_skipping && len > 0 && len <= SP_WEB_LINE_MAX)
            fn(arg, (struct sp_str){ p, len });
        follow->is_skipping = false;
        p = newline + 1;
    }
    follow->held = (size_t) (end - p);
    if (follow->held > SP_WEB_LINE_MAX) {
        follow->is_skipping = true;
        follow->held = 0;
    }
    memmove(follow->chunk, p, follow->held);
}

/* To the end of what is there now, the last SP_WEB_TAIL_BYTES of it at most. */
static bool read_on(struct sp_web_follow *follow, sp_web_line_fn fn, void *arg, struct sp_error *err)
{
    struct stat st;
    if (fstat(follow->fd, &st) < 0)
        return false;
    if (st.st_size < follow->offset) { /* cut: it begins anew */
        follow->offset = 0;
        follow->held = 0;
        follow->is_skipping = false;
    }
    if (st.st_size - follow->offset > SP_WEB_TAIL_BYTES) {
        follow->offset = st.st_size - SP_WEB_TAIL_BYTES;
        follow->held = 0;
        follow->is_skipping = true;
    }
    while (follow->offset < st.st_size) {
        size_t want = CHUNK_BYTES;
        if (st.st_size - follow->offset < (off_t) want)
            want = (size_t) (st.st_size - follow->offset);
        ssize_t n = pread(follow->fd, follow->chunk + follow->held, want, follow->offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            (void) sp_error_set(err, SP_ERR_IO, "%s: %s", follow->path, strerror(errno));
        if (n <= 0)
            return n == 0;
        follow->offset += n;
        take_lines(follow, follow->held + (size_t) n, fn, arg);
    }
    return true;
}

static bool is_rotated(const struct sp_web_follow *follow)
{
    struct stat st;
    return stat(follow->path, &st) == 0 && (st.st_dev != follow->dev || st.st_ino != follow->ino);
}

bool sp_web_follow_step(struct sp_web_follow *follow, sp_web_line_fn fn, void *arg, struct sp_error *err)
{
    if (follow->fd < 0 && !open_file(follow, err))
        return false;
    bool has_next = is_rotated(follow); /* asked first: what is then read of the old file is all of it, or nearly */
    if (!read_on(follow, fn, arg, err))
        return false;
    if (!has_next)
        return true;
    close_file(follow);
    return open_file(follow, err) && read_on(follow, fn, arg, err);
}

/* --- search --------------------------------------------------------------------------------------------------------- */

/* The lines in p[0..n) that hold the text. The first line may be one that began before. */
static void search_chunk(const char *p, size_t n, struct sp_str text, sp_web_line_fn fn, void *arg)
{
    const char *end = p + n, *hit;
    for (const char *from = p; from < end && (hit = memmem(from, (size_t) (end - from), text.p, text.n)) != NULL;) {
        const char *start = memrchr(p, '\n', (size_t) (hit - p)), *stop = memchr(hit, '\n', (size_t) (end - hit));
        if (!stop)
            return;
        start = start ? start + 1 : p;
        fn(arg, (struct sp_str){ start, (size_t) (stop - start) });
        from = stop + 1;
    }
}

/* Chunks overlap by the longest line, so one that a border cuts is whole in the next; the caller must bear to see a line twice. */
void sp_web_follow_search(const char *path, struct sp_str text, size_t max_bytes, sp_web_line_fn fn, void *arg)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char *chunk = malloc(SP_WEB_LINE_MAX + CHUNK_BYTES);
    if (fd < 0 || !chunk || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || text.n == 0)
        goto out;
    off_t stop = st.st_size > (off_t) max_bytes ? st.st_size - (off_t) max_bytes : 0;
    for (off_t end = st.st_size; end > stop; end -= CHUNK_BYTES) {
        off_t start = end > SP_WEB_LINE_MAX + CHUNK_BYTES ? end - SP_WEB_LINE_MAX - CHUNK_BYTES : 0;
        ssize_t n = pread(fd, chunk, (size_t) (end - start), start);
        if (n <= 0)
            break;
        search_chunk(chunk, (size_t) n, text, fn, arg);
    }
out:
    free(chunk);
    if (fd >= 0)
        close(fd);
}
