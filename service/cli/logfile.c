/* Files of the decision log, packed or not, and their lines. */
#include "config.h"

#include "logfile.h"

#include "cli.h"
#include "gzfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES (1024u * 1024u)
#define LINE_MAX_BYTES (256u * 1024u) /* declog.c's are shorter, even if every byte of theirs is escaped */
#define MAX_FILES 10000
#define MAX_OPEN 256 /* the others are opened when their turn comes */
#define PACKED ".gz"

/* --- which files ------------------------------------------------------------------------------------------------------- */

int sp_logfile_open(const char *path)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
        return fd;
    close(fd);
    errno = EINVAL; /* open() gives it for no name that can occur */
    return -1;
}

const char *sp_logfile_why(int error)
{
    return error == EINVAL ? "not a file" : strerror(error);
}

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0;
}

/* What logrotate appends: ".1", ".12.gz", "-20261122", "-20261122-15.gz". */
static bool is_rotated_end(const char *end)
{
    if (*end != '.' && *end != '-')
        return false;
    size_t n = strspn(end + 1, "0123456789-");
    return n > 0 && (end[1 + n] == '\0' || strcmp(end + 1 + n, PACKED) == 0);
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* A file may get its next name while we look, and be met under both. */
static bool has_file(const struct sp_logset *set, const struct stat *st)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->files[i].dev == st->st_dev && set->files[i].ino == st->st_ino)
            return true;
    return false;
}

static bool add_file(struct sp_logset *set, const char *path)
{
    struct stat st;
    if (set->n == MAX_FILES)
        return true;
    const int fd = set->n < MAX_OPEN ? sp_logfile_open(path) : -1;
    if ((fd >= 0 ? fstat(fd, &st) : stat(path, &st)) < 0 || !S_ISREG(st.st_mode) || has_file(set, &st)) {
        close_fd(fd);
        return true; /* rotated away meanwhile: under its next name it is found, or was, or it was removed */
    }
    struct sp_logfile *files = realloc(set->files, (set->n + 1) * sizeof(*files));
    if (!files) {
        close_fd(fd);
        return false;
    }
    set->files = files;
    files[set->n] = (struct sp_logfile){
        .path = strdup(path), .fd = fd, .dev = st.st_dev, .ino = st.st_ino, .bytes = (uint64_t) st.st_size
    };
    files[set->n].changed_us = (int64_t) st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
    return files[set->n++].path != NULL;
}

static int compare_files(const void *a, const void *b)
{
    const struct sp_logfile *x = a, *y = b;
    if (x->changed_us != y->changed_us)
        return x->changed_us < y->changed_us ? -1 : 1;
    return strcmp(x->path, y->path);
}

/* While gzip is at work both forms are there, and the packed one is not whole. */
static bool is_double(const struct sp_logset *set, const char *path)
{
    if (!ends_in(path, PACKED))
        return false;
    size_t n = strlen(path) - strlen(PACKED);
    for (size_t i = 0; i < set->n; i++)
        if (strlen(set->files[i].path) == n && memcmp(set->files[i].path, path, n) == 0)
            return true;
    return false;
}

static void drop_doubles(struct sp_logset *set)
{
    for (size_t i = set->n; i > 0; i--) {
        if (!is_double(set, set->files[i - 1].path))
            continue;
        free(set->files[i - 1].path);
        close_fd(set->files[i - 1].fd);
        memmove(&set->files[i - 1], &set->files[i], (set->n - i) * sizeof(*set->files));
        set->n--;
    }
}

bool sp_logset_open(const char *path, struct sp_logset *out)
{
    *out = (struct sp_logset){ 0 };
    char folder[PATH_MAX], whole[PATH_MAX];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const int n_folder = snprintf(folder, sizeof(folder), "%.*s", slash ? (int) (slash - path) + 1 : 1, slash ? path : ".");
    bool is_good = n_folder < (int) sizeof(folder);
    DIR *dir = is_good ? opendir(folder) : NULL;
    if (!dir) {
        sp_cli_fail("%s: %s", path, strerror(is_good ? errno : ENAMETOOLONG));
        return false;
    }
    is_good = add_file(out, path);
    for (struct dirent *entry = readdir(dir); entry && is_good; entry = readdir(dir)) {
        size_t n = strlen(name);
        if (strncmp(entry->d_name, name, n) != 0 || !is_rotated_end(entry->d_name + n))
            continue;
        if (snprintf(whole, sizeof(whole), "%s%s%s", folder, slash ? "" : "/", entry->d_name) < (int) sizeof(whole))
            is_good = add_file(out, whole);
    }
    closedir(dir);
    if (!is_good || out->n == 0) {
        sp_cli_fail("%s: %s", path, is_good ? sp_logfile_why(access(path, R_OK) < 0 ? errno : EINVAL) : "out of memory");
        sp_logset_close(out);
        return false;
    }
    drop_doubles(out);
    qsort(out->files, out->n, sizeof(*out->files), compare_files);
    return true;
}

void sp_logset_close(struct sp_logset *set)
{
    for (size_t i = 0; i < set->n; i++) {
        free(set->files[i].path);
        close_fd(set->files[i].fd);
    }
    free(set->files);
    *set = (struct sp_logset){ 0 };
}

/* --- lines ------------------------------------------------------------------------------------------------------------- */

struct reader {
    char *bytes; /* BUFFER_BYTES */
    size_t n;
    bool is_skipping, is_over; /* in a line that is too long; nobody wants more */
    uint64_t *too_long;
    sp_logline_fn take;
    void *arg;
};

/* Takes all lines of the buffer; what is left of it moves to the front. */
static void take_lines(struct reader *r, bool is_end)
{
    char *p = r->bytes, *end = r->bytes + r->n;
    while (p < end && !r->is_over) {
        char *newline = memchr(p, '\n', (size_t) (end - p));
        if (!newline && !is_end)
            break;
        char *stop = newline ? newline : end;
        const bool is_long = (size_t) (stop - p) > LINE_MAX_BYTES;
        if (is_long && !r->is_skipping)
            ++*r->too_long;
        else if (stop > p && !r->is_skipping)
            r->is_over = !r->take(r->arg, (struct sp_str){ p, (size_t) (stop - p) });
        r->is_skipping = false;
        p = newline ? newline + 1 : end;
    }
    if (!r->is_over && (size_t) (end - p) > LINE_MAX_BYTES) { /* no end in sight */
        *r->too_long += !r->is_skipping;
        r->is_skipping = true;
        p = end;
    }
    r->n = (size_t) (end - p);
    memmove(r->bytes, p, r->n);
}

struct source {
    int fd;
    struct sp_gzfile *packed; /* or NULL */
};

/* NULL with *n_out bytes read, or what went wrong behind them. */
static const char *read_piece(const struct source *from, char *to, size_t room, size_t *n_out)
{
    if (from->packed)
        return sp_gzfile_read(from->packed, to, room, n_out);
    ssize_t n;
    do
        n = read(from->fd, to, room);
    while (n < 0 && errno == EINTR);
    *n_out = n > 0 ? (size_t) n : 0;
    return n < 0 ? strerror(errno) : NULL;
}

/* Progress is counted in bytes of the file, so packed ones by how far we have come in it. */
static void note_progress(const struct source *from, struct sp_progress *progress, size_t n, uint64_t *told)
{
    if (!from->packed) {
        sp_progress_add(progress, n);
        return;
    }
    const uint64_t at = sp_gzfile_taken(from->packed);
    sp_progress_add(progress, at - *told);
    *told = at;
}

static bool open_source(const struct sp_logfile *file, struct source *out)
{
    *out = (struct source){ .fd = file->fd >= 0 ? fcntl(file->fd, F_DUPFD_CLOEXEC, 0) : sp_logfile_open(file->path) };
    if (out->fd < 0)
        return false;
    if (lseek(out->fd, 0, SEEK_SET) < 0) { /* it may have been read before */
        close(out->fd);
        return false;
    }
    if (!ends_in(file->path, PACKED)) {
        posix_fadvise(out->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        return true;
    }
    out->packed = sp_gzfile_new(out->fd);
    if (!out->packed)
        close(out->fd);
    errno = ENOMEM;
    return out->packed != NULL;
}

bool sp_logfile_read(const struct sp_logfile *file, sp_logline_fn take, void *arg, struct sp_progress *progress, uint64_t *too_long)
{
    struct source from;
    struct reader r = { .bytes = malloc(BUFFER_BYTES), .too_long = too_long, .take = take, .arg = arg };
    if (!r.bytes || !open_source(file, &from)) {
        if (progress)
            sp_cli_fail("%s: %s", file->path, sp_logfile_why(errno));
        free(r.bytes);
        return false;
    }
    const char *fault = NULL;
    uint64_t told = 0;
    size_t n = 1;
    while (n > 0 && !fault && !r.is_over) {
        fault = read_piece(&from, r.bytes + r.n, BUFFER_BYTES - r.n, &n);
        r.n += n;
        take_lines(&r, n == 0 || fault);
        if (progress)
            note_progress(&from, progress, n, &told);
    }
    if (fault && progress) {
        sp_progress_hide(progress);
        sp_cli_fail("%s: %s", file->path, fault);
    }
    sp_gzfile_free(&from.packed);
    close(from.fd);
    free(r.bytes);
    return fault == NULL;
}
