/* Events are hints, a look is the truth. An event says only that it is worth looking, or that what is being written is not done;
 * so a lost or surplus one does no harm. When a watched folder itself may have become another one (replaced, removed, made
 * anew), all watches are made again, and only then is looked: nothing can slip through between the two. */
#include "config.h"

#include "watch.h"

#include "dbset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define US_PER_MS 1000
#define LOOK_EVERY_US (10 * 1000 * US_PER_MS)
#define BATCH_US (100 * US_PER_MS) /* events are read no more often than this: a database may lie in a busy folder */
#define UNREST_FACTOR 60           /* after so many settle times files that never rest are taken as they are */
#define EVENTS_BYTES 16384
#define SPOTS_PER_DATABASE 2
#define WATCHED                                                                                                                            \
    (IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF)
#define OTHER_FILE (IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE) /* the name means another file now */
#define OTHER_FOLDER (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED | IN_Q_OVERFLOW)

/* One folder that is watched, and for what. */
struct spot {
    int wd;
    char *name; /* owned: this entry alone; NULL: whatever has the name of a database */
};

struct sp_watch {
    const struct sp_log *log;
    const struct sp_conf_list *databases;
    int64_t settle_us;
    int inotify_fd; /* -1: there is none, only looks */
    struct spot *spots;
    size_t n;
    bool must_arm;   /* the watches may be on folders that are no longer the right ones */
    bool must_look;  /* something has happened */
    bool has_warned; /* that the kernel does not help */
    uint64_t seen;
    int64_t looked_us;
    int64_t read_us;    /* when events were read last */
    int64_t changed_us; /* the last sign of a change; 0: at rest */
    int64_t unrest_us;  /* the first sign of it */
};

/* --- watches --------------------------------------------------------------------------------------------------------- */

static void disarm(struct sp_watch *w)
{
    if (w->inotify_fd >= 0)
        close(w->inotify_fd);
    w->inotify_fd = -1;
    for (size_t i = 0; i < w->n; i++)
        free(w->spots[i].name);
    w->n = 0;
}

static void warn_blind(struct sp_watch *w, const char *what)
{
    if (!w->has_warned)
        sp_log(w->log, SP_LOG_WARN, "cannot watch %s: %s; changes are looked for every %d seconds instead", what, strerror(errno),
            LOOK_EVERY_US / (1000 * US_PER_MS));
    w->has_warned = true;
}

/* False: this folder is not there. */
static bool add_spot(struct sp_watch *w, const char *folder, const char *name)
{
    const int wd = inotify_add_watch(w->inotify_fd, folder, WATCHED | IN_ONLYDIR | IN_MASK_ADD);
    if (wd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return false;
    struct spot spot = { wd, name ? strdup(name) : NULL };
    if (wd < 0 || (name && !spot.name))
        warn_blind(w, folder); /* a folder above that cannot be read: then only its replacement is noticed late */
    else
        w->spots[w->n++] = spot;
    return true;
}

/* Its entry in the folder above it, or the first one on the way there that is missing. */
static void watch_entry(struct sp_watch *w, char *path)
{
    for (;;) {
        size_t n = strlen(path);
        while (n > 1 && path[n - 1] == '/')
            path[--n] = '\0';
        char *slash = strrchr(path, '/');
        if (!slash || n == 1)
            return;
        const char *name = slash + 1;
        *slash = '\0';
        if (add_spot(w, slash == path ? "/" : path, name))
            return;
    }
}

static void arm(struct sp_watch *w)
{
    disarm(w);
    w->must_arm = false;
    w->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (w->inotify_fd < 0) {
        warn_blind(w, "the databases");
        return;
    }
    for (size_t i = 0; i < w->databases->n; i++) {
        struct stat st;
        const char *path = w->databases->items[i];
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
            add_spot(w, path, NULL);
        char *copy = strdup(path);
        if (copy)
            watch_entry(w, copy);
        free(copy);
    }
}

/* --- events ---------------------------------------------------------------------------------------------------------- */

static void note_change(struct sp_watch *w, int64_t now_us)
{
    w->changed_us = now_us;
    if (w->unrest_us == 0)
        w->unrest_us = now_us;
}

static void take_event(struct sp_watch *w, const struct inotify_event *event, int64_t now_us)
{
    const char *name = event->len > 0 ? event->name : "";
    if (event->mask & OTHER_FOLDER) {
        w->must_arm = w->must_look = true;
        note_change(w, now_us);
        return;
    }
    for (size_t i = 0; i < w->n; i++) {
        const struct spot *spot = &w->spots[i];
        if (spot->wd != event->wd || !(spot->name ? strcmp(name, spot->name) == 0 : name[0] == '\0' || sp_dbset_is_database(name)))
            continue;
        w->must_look = true;
        w->must_arm |= spot->name && event->mask & OTHER_FILE;
        note_change(w, now_us);
    }
}

static void read_events(struct sp_watch *w, int64_t now_us)
{
    union {
        struct inotify_event align;
        char bytes[EVENTS_BYTES];
    } buffer;
    ssize_t n;
    if (w->inotify_fd < 0 || now_us < w->read_us + BATCH_US)
        return;
    while ((n = read(w->inotify_fd, buffer.bytes, sizeof(buffer.bytes))) > 0) {
        w->read_us = now_us;
        for (size_t at = 0; at < (size_t) n;) {
            const struct inotify_event *event = (const void *) (buffer.bytes + at);
            take_event(w, event, now_us);
            at += sizeof(*event) + event->len;
        }
    }
}

/* --- what callers see ------------------------------------------------------------------------------------------------ */

enum sp_status sp_watch_new(const struct sp_log *log, struct sp_error *err, struct sp_watch **watch_out)
{
    *watch_out = calloc(1, sizeof(**watch_out));
    if (!*watch_out)
        return sp_error_set(err, SP_ERR_NOMEM, "no memory to watch the databases");
    (*watch_out)->log = log;
    (*watch_out)->inotify_fd = -1;
    return SP_OK;
}

void sp_watch_free(struct sp_watch **watch)
{
    if (*watch) {
        disarm(*watch);
        free((*watch)->spots);
        free(*watch);
    }
    *watch = NULL;
}

static void look(struct sp_watch *w, int64_t now_us)
{
    if (w->must_arm)
        arm(w);
    w->must_look = false;
    w->looked_us = now_us;
    const uint64_t seen = sp_dbset_look(w->databases, NULL);
    if (seen == w->seen)
        return;
    w->seen = seen;
    w->must_arm = true; /* the folder may be another one, and we were not told */
    note_change(w, now_us);
}

void sp_watch_set(struct sp_watch *watch, const struct sp_conf_list *databases, int64_t settle_ms, int64_t now_us)
{
    disarm(watch);
    free(watch->spots);
    static const struct sp_conf_list none;
    watch->spots = calloc(databases->n + 1, SPOTS_PER_DATABASE * sizeof(watch->spots[0]));
    watch->databases = watch->spots ? databases : &none; /* without memory: the next call may have some */
    watch->settle_us = settle_ms * US_PER_MS;
    watch->must_arm = true;
    look(watch, now_us);
    watch->changed_us = watch->unrest_us = 0;
}

int sp_watch_fd(const struct sp_watch *watch, int64_t now_us)
{
    return now_us < watch->read_us + BATCH_US ? -1 : watch->inotify_fd;
}

int64_t sp_watch_next_us(const struct sp_watch *watch, int64_t now_us)
{
    int64_t next_us = watch->looked_us + LOOK_EVERY_US;
    if (watch->changed_us != 0 && watch->changed_us + watch->settle_us < next_us)
        next_us = watch->changed_us + watch->settle_us;
    if (now_us < watch->read_us + BATCH_US && watch->read_us + BATCH_US < next_us)
        next_us = watch->read_us + BATCH_US;
    return next_us;
}

bool sp_watch_ask(struct sp_watch *watch, int64_t now_us, uint64_t *print_out)
{
    read_events(watch, now_us);
    if (watch->must_look || now_us >= watch->looked_us + LOOK_EVERY_US)
        look(watch, now_us);
    if (watch->changed_us == 0)
        return false;
    const bool is_endless = now_us >= watch->unrest_us + UNREST_FACTOR * watch->settle_us;
    if (now_us < watch->changed_us + watch->settle_us && !is_endless)
        return false;
    look(watch, now_us); /* it may be written without events */
    if (now_us < watch->changed_us + watch->settle_us && !is_endless)
        return false;
    watch->changed_us = watch->unrest_us = 0;
    *print_out = watch->seen;
    return true;
}
