/* sallyport tail: decisions as they are made. It reads what is added to the file, goes on in the new one after a rotation, and begins
 * again in one that was cut. */
#include "config.h"

#include "logfile.h"
#include "logview.h"

#include "sallyport/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINES 10
#define LINES_MAX 100000
#define LOOK_EVERY_MS 200
#define NEXT_MAX 16
#define LATE_US 2000000 /* each process finds the new file within a second; another one for a slow machine */
#define PIECE_BYTES (64u * 1024u)
#define LINE_MAX_BYTES (256u * 1024u)
#define BACK_BYTES (256u * 1024u)            /* first look back for the last lines; each next one four times as far */
#define BACK_MAX_BYTES (256u * 1024u * 1024u) /* with filters that hardly anything passes, a longer wait would be no answer either */

struct next_file {
    int fd;
    int64_t seen_us;
};

struct tail {
    const char *path;
    int fd;
    struct next_file next[NEXT_MAX]; /* what has had our name since; owned */
    size_t n_next;
    bool is_json, is_colored;
    struct sp_log_filter filter;
    struct sp_buf line;
    bool is_skipping; /* in a line that is too long, or that began before we looked */
    /* Looking back: the last lines that passed, not printed yet. */
    char **kept; /* owned; a ring of n_kept */
    size_t n_kept, n_passed;
    bool is_keeping;
};

static void print(const struct tail *t, struct sp_str line, const struct sp_decline *d)
{
    if (t->is_json)
        sp_cli_json_line(line);
    else if (d->lost > 0)
        printf("... %llu decisions could not be logged\n", (unsigned long long) d->lost);
    else
        sp_log_print_line(d, t->is_colored);
}

static void take_line(struct tail *t, struct sp_str line)
{
    struct sp_decline d;
    if (line.n == 0 || sp_decline_parse(line, &d) != SP_OK)
        return;
    if (!sp_log_filter_takes(&t->filter, &d) && d.lost == 0)
        return;
    if (!t->is_keeping) {
        print(t, line, &d);
    } else if (t->n_kept > 0) {
        char **slot = &t->kept[t->n_passed % t->n_kept];
        free(*slot);
        *slot = strndup(line.p, line.n);
    }
    t->n_passed++;
}

static void take_bytes(struct tail *t, const char *p, size_t n)
{
    while (n > 0) {
        const char *newline = memchr(p, '\n', n);
        const size_t part = newline ? (size_t) (newline - p) : n;
        if (!t->is_skipping && sp_buf_add(&t->line, p, part) != SP_OK)
            t->is_skipping = true;
        if (newline) {
            if (!t->is_skipping)
                take_line(t, (struct sp_str){ t->line.p ? t->line.p : "", t->line.n });
            sp_buf_clear(&t->line);
            t->is_skipping = false;
        }
        p += part + (newline != NULL);
        n -= part + (newline != NULL);
    }
}

/* All that there is, from where we are. False: told on stderr. */
static bool read_on(struct tail *t)
{
    char piece[PIECE_BYTES];
    for (;;) {
        const ssize_t n = read(t->fd, piece, sizeof(piece));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            sp_cli_fail("%s: %s", t->path, strerror(errno));
            return false;
        }
        if (n == 0)
            break;
        take_bytes(t, piece, (size_t) n);
    }
    return fflush(stdout) == 0;
}

static void forget_line(struct tail *t, bool is_inside)
{
    sp_buf_clear(&t->line);
    t->is_skipping = is_inside;
}

/* --- the last lines ------------------------------------------------------------------------------------------------------ */

/* Looks back far enough to have as many lines as are wanted, then prints them. */
static bool print_last(struct tail *t)
{
    struct stat st;
    if (fstat(t->fd, &st) < 0)
        return false;
    bool is_good = true;
    t->is_keeping = true;
    for (off_t back = BACK_BYTES; is_good; back *= 4) {
        const off_t from = back >= st.st_size ? 0 : st.st_size - back;
        t->n_passed = 0;
        forget_line(t, from > 0);
        is_good = lseek(t->fd, from, SEEK_SET) >= 0 && read_on(t);
        if (from == 0 || t->n_passed >= t->n_kept || back >= BACK_MAX_BYTES)
            break;
    }
    t->is_keeping = false;
    const size_t n = t->n_passed < t->n_kept ? t->n_passed : t->n_kept;
    for (size_t i = t->n_passed - n; i < t->n_passed && t->n_kept > 0; i++) {
        const struct sp_str line = sp_str_from(t->kept[i % t->n_kept]);
        struct sp_decline d;
        if (line.n > 0 && sp_decline_parse(line, &d) == SP_OK)
            print(t, line, &d);
    }
    return is_good && fflush(stdout) == 0;
}

/* --- following ----------------------------------------------------------------------------------------------------------- */

static bool is_same(const struct stat *a, int fd)
{
    struct stat b;
    return fstat(fd, &b) == 0 && a->st_ino == b.st_ino && a->st_dev == b.st_dev;
}

/* The file under our name may be another by now. Some may come and go before it is their turn, so all of them wait in a line. */
static void note_new_file(struct tail *t)
{
    struct stat named;
    const int newest = t->n_next > 0 ? t->next[t->n_next - 1].fd : t->fd;
    if (t->n_next == NEXT_MAX || stat(t->path, &named) < 0 || is_same(&named, newest))
        return;
    const int fd = sp_logfile_open(t->path);
    if (fd >= 0)
        t->next[t->n_next++] = (struct next_file){ fd, sp_clock_mono_us() };
}

/* Ours may be shorter than where we are. A renamed one is read to its end before the next, and a writer may still add to it for a
 * second. */
static bool look_at_files(struct tail *t)
{
    struct stat ours;
    if (fstat(t->fd, &ours) < 0)
        return false;
    if (ours.st_size < lseek(t->fd, 0, SEEK_CUR)) { /* cut */
        forget_line(t, false);
        return lseek(t->fd, 0, SEEK_SET) == 0 && read_on(t);
    }
    note_new_file(t);
    if (t->n_next == 0 || sp_clock_mono_us() - t->next[0].seen_us < LATE_US)
        return true;
    if (!read_on(t))
        return false;
    close(t->fd);
    t->fd = t->next[0].fd;
    memmove(t->next, t->next + 1, --t->n_next * sizeof(t->next[0]));
    forget_line(t, false);
    return read_on(t);
}

static bool follow(struct tail *t)
{
    const struct timespec pause = { .tv_nsec = LOOK_EVERY_MS * 1000000L };
    for (;;) {
        nanosleep(&pause, NULL);
        if (!read_on(t) || !look_at_files(t))
            return false;
    }
}

static bool read_count(const char *text, size_t *out)
{
    char *end;
    errno = 0;
    const unsigned long n = text ? strtoul(text, &end, 10) : LINES;
    *out = n;
    if (!text || (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && n <= LINES_MAX))
        return true;
    sp_cli_fail("-n is a number up to %d, not %s", LINES_MAX, text);
    return false;
}

static enum sp_cli_exit run(const struct sp_cli_options *options)
{
    struct tail t = { .fd = -1, .is_json = options->json };
    struct sp_conf *conf = NULL;
    bool is_good = sp_log_color(options, &t.is_colored) && read_count(options->values[SP_CLI_LINES], &t.n_kept) &&
        sp_log_find(options, &conf, &t.path) && sp_log_filter_init(options, conf, &t.filter);
    sp_buf_init(&t.line, LINE_MAX_BYTES);
    if (is_good) {
        t.kept = calloc(t.n_kept + 1, sizeof(*t.kept));
        t.fd = sp_logfile_open(t.path);
        is_good = t.kept && t.fd >= 0;
        if (!is_good)
            sp_cli_fail("%s: %s", t.path, sp_logfile_why(errno));
    }
    is_good = is_good && print_last(&t);
    if (is_good && !options->values[SP_CLI_NO_WAIT])
        is_good = follow(&t);
    for (size_t i = 0; t.kept && i < t.n_kept; i++)
        free(t.kept[i]);
    free(t.kept);
    for (size_t i = 0; i < t.n_next; i++)
        close(t.next[i].fd);
    if (t.fd >= 0)
        close(t.fd);
    sp_buf_fini(&t.line);
    sp_conf_free(&conf);
    return is_good ? SP_CLI_OK : SP_CLI_ERROR;
}

const struct sp_cli_command sp_cli_tail = {
    .name = "tail",
    .args = "",
    .usage = "[-n COUNT] [OPTION]...",
    .summary = "show decisions as they are made",
    .help = "Prints the last decisions of the log and then each new one, over rotations, until it is interrupted:\n"
            "time, action, outcome, client, user, method, URL, why, and the id for `sallyport find`. \"monitor\" is\n"
            "what would have been refused, but for mode = \"monitor\". With --json lines of the log are printed as\n"
            "they are.\n\n"
            "  -n, --lines COUNT     begin with so many of the past [10]\n"
            "      --no-wait         end after these\n"
            "      --color WHEN      auto (on a terminal, unless NO_COLOR is set), always, never\n\n"
            SP_LOG_FILTER_HELP "\n"
            "examples:\n"
            "  sallyport tail --blocked\n"
            "  sallyport tail --outcome infected,limit,error --host example.com\n"
            "  sallyport tail -n 100 --no-wait --user bob\n"
            "  sallyport tail --json | jq -r 'select(.status == 200) | .url'\n",
    .takes = SP_LOG_FILTER_OPTIONS | 1u << SP_CLI_COLOR | 1u << SP_CLI_LINES | 1u << SP_CLI_NO_WAIT,
    .run = run,
};
