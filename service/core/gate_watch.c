/* Swaps gates. What counts as a change is the identity, size or time of any file that the gate was built from; contents are
 * read only when those differ. Guarded by lock: thread state. The files' stamps belong to the thread alone.
 *
 * Each transaction asks for the gate, so that takes no lock. Who asks is counted until the reference is his; who swaps waits until
 * nobody is counted before he lets go of the old gate. All of it is sequentially consistent: who is not seen by the one that swapped has
 * not read the pointer yet, and will read the new one. */
#include "config.h"

#include "sallyport/gate_watch.h"

#include "sallyport/board.h"
#include "sallyport/fnv.h"
#include "sallyport/page.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BOARD_NAME "scand.stat"
#define LOOK_MS 50 /* how often the scanner is looked at: so long small objects may wait behind a long scan that has begun */
#define MS_PER_S 1000
#define NS_PER_MS 1000000
#define NS_PER_S 1000000000
#define LINE_BYTES 64 /* of a cache */
#define SHARDS 16

struct retired {
    struct sp_gate *gate;
    struct retired *next;
};

/* Those who are about to take a reference. One for each processor, and far enough apart that no two write to the same line. */
struct askers {
    atomic_uint n;
    char apart[LINE_BYTES - sizeof(atomic_uint)];
};

struct sp_gate_watch {
    char *conf_path;
    unsigned poll_ms;
    struct sp_log log;
    pthread_mutex_t lock;
    pthread_cond_t stop;
    struct sp_gate *_Atomic gate; /* written by the thread alone */
    struct askers askers[SHARDS];
    atomic_bool has_long_scans;
    bool is_stopping;     /* guarded by lock */
    _Atomic pid_t thread_pid; /* the process that has the thread (or could not make one); another after fork */
    /* An atomic byte in memory that the kernel empties on fork; not zero: thread_pid is this process. So nobody needs to ask who he is
     * for each transaction. NULL where the kernel cannot do that. */
    void *mark;
    bool has_thread;      /* of thread_pid; guarded by lock */
    pthread_t thread;
    uint64_t loaded;      /* stamp of the files behind gate, or of the change that was refused */
    struct retired *retired; /* replaced, but transactions may hold them still; of the thread alone */
};

static uint64_t stamp_file(uint64_t h, int dir_fd, const char *name)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, 0) < 0)
        return sp_fnv(h, &errno, sizeof(errno));
    const int64_t facts[] = { (int64_t) st.st_ino, (int64_t) st.st_dev, st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
        st.st_ctim.tv_sec, st.st_ctim.tv_nsec };
    return sp_fnv(h, facts, sizeof(facts));
}

/* Entries come in any order, so they are added and not chained. */
static uint64_t stamp_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        return (uint64_t) errno;
    uint64_t sum = 0;
    const struct dirent *entry;
    while ((entry = readdir(folder)))
        if (entry->d_name[0] != '.')
            sum += stamp_file(sp_fnv(SP_FNV_START, entry->d_name, strlen(entry->d_name)), dirfd(folder), entry->d_name);
    closedir(folder);
    return sum;
}

static uint64_t stamp_of(const struct sp_gate *gate, const char *conf_path)
{
    uint64_t h = stamp_file(SP_FNV_START, AT_FDCWD, conf_path);
    h = stamp_file(h, AT_FDCWD, gate->conf->page_template);
    h = stamp_file(h, AT_FDCWD, gate->conf->page_logo);
    char texts[PATH_MAX];
    const uint64_t words = sp_page_texts_folder(gate->conf->page_template, texts, sizeof(texts)) ? stamp_folder(texts) : 0;
    const uint64_t folders[] = { stamp_folder(gate->conf->catalogue), words };
    struct sp_policy_list list;
    for (size_t i = 0; sp_policy_list(gate->policy, i, &list); i++)
        h = stamp_file(h, AT_FDCWD, list.file);
    return sp_fnv(h, folders, sizeof(folders));
}

static bool is_same_files(const struct sp_gate *a, const struct sp_gate *b)
{
    if (strcmp(a->conf->catalogue, b->conf->catalogue) != 0 || strcmp(a->conf->page_template, b->conf->page_template) != 0 ||
        strcmp(a->conf->page_logo, b->conf->page_logo) != 0)
        return false;
    for (size_t i = 0;; i++) {
        struct sp_policy_list x, y;
        const bool has_x = sp_policy_list(a->policy, i, &x), has_y = sp_policy_list(b->policy, i, &y);
        if (!has_x || !has_y)
            return has_x == has_y;
        if (strcmp(x.file, y.file) != 0)
            return false;
    }
}

static void release_retired(struct sp_gate_watch *w, bool all)
{
    struct retired **at = &w->retired;
    while (*at) {
        struct retired *entry = *at;
        if (!all && !sp_gate_is_unused(entry->gate)) {
            at = &entry->next;
            continue;
        }
        *at = entry->next;
        sp_gate_release(&entry->gate);
        free(entry);
    }
}

/* This thread made all the small pieces of a gate and frees them. Freed by the transaction that happens to be the last, they would stay
 * in the cache that malloc keeps for its thread, and reload after reload the heap would grow: measured, 0.9 MB with 12 threads
 * after 700. */
static void retire(struct sp_gate_watch *w, struct sp_gate *gate)
{
    struct retired *entry = malloc(sizeof(*entry));
    if (entry) {
        *entry = (struct retired){ gate, w->retired };
        w->retired = entry;
        release_retired(w, false);
    } else {
        sp_gate_release(&gate);
    }
}

/* The gate that served. All who have read its address have their reference now. */
static struct sp_gate *swap(struct sp_gate_watch *w, struct sp_gate *fresh)
{
    struct sp_gate *old = atomic_exchange(&w->gate, fresh);
    for (size_t i = 0; i < SHARDS; i++)
        while (atomic_load(&w->askers[i].n) > 0)
            sched_yield();
    return old;
}

/* now is the stamp of the change. */
static void reload(struct sp_gate_watch *w, uint64_t now)
{
    w->loaded = now;
    struct sp_error err = { 0 };
    struct sp_gate *fresh = NULL;
    if (sp_gate_open(w->conf_path, SP_GATE_SERVE, &err, &fresh) != SP_OK) {
        sp_log(&w->log, SP_LOG_ERROR, "the changed configuration is not used, the old one serves on: %s", err.text);
        sp_metrics_add(w->gate->metrics, SP_METRIC_RELOADS_REFUSED, 1);
        return;
    }
    struct sp_gate *old = swap(w, fresh);
    if (!is_same_files(old, fresh)) /* else `now' stands, so that a change since then is seen */
        w->loaded = stamp_of(fresh, w->conf_path);
    retire(w, old);
    sp_metrics_add(fresh->metrics, SP_METRIC_RELOADS, 1);
    sp_log(&w->log, SP_LOG_NOTICE, "the changed configuration serves now: %s", w->conf_path);
    sp_gate_tell(fresh, &w->log);
}

/* False when the watch ends. */
static bool wait_ms(struct sp_gate_watch *w, unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / MS_PER_S;
    until.tv_nsec += (long) (ms % MS_PER_S) * NS_PER_MS;
    if (until.tv_nsec >= NS_PER_S) {
        until.tv_sec++;
        until.tv_nsec -= NS_PER_S;
    }
    pthread_mutex_lock(&w->lock);
    while (!w->is_stopping && pthread_cond_timedwait(&w->stop, &w->lock, &until) == 0)
        ;
    const bool goes_on = !w->is_stopping;
    pthread_mutex_unlock(&w->lock);
    return goes_on;
}

/* Of another engine the ISTag tells from now on, and what the old one called clean is no longer known. */
static void follow_scanner(struct sp_gate_watch *w)
{
    const struct sp_gate *gate = w->gate;
    char path[PATH_MAX];
    struct sp_board_view view = { 0 };
    if (snprintf(path, sizeof(path), "%s/%s", gate->conf->run_dir, BOARD_NAME) >= (int) sizeof(path))
        return;
    if (sp_board_peek(path, &view) && view.engine != sp_metrics_engine(gate->metrics))
        sp_metrics_set_engine(gate->metrics, view.engine);
    atomic_store_explicit(&w->has_long_scans, view.long_scans > 0, memory_order_relaxed);
}

static void *watch_files(void *arg)
{
    struct sp_gate_watch *w = arg;
    const unsigned step_ms = w->poll_ms < LOOK_MS ? w->poll_ms : LOOK_MS;
    uint64_t last = w->loaded;
    for (unsigned waited_ms = step_ms; wait_ms(w, step_ms); waited_ms += step_ms) {
        follow_scanner(w);
        if (waited_ms < w->poll_ms)
            continue;
        waited_ms = 0;
        release_retired(w, false);
        const uint64_t now = stamp_of(w->gate, w->conf_path);
        if (now != w->loaded && now == last) /* quiet for an interval: whoever writes has finished */
            reload(w, now);
        last = now;
    }
    return NULL;
}

static void *new_mark(void)
{
    void *page = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, 1, MADV_WIPEONFORK) == 0)
        return page;
    munmap(page, 1);
    return NULL;
}

static bool has_begun(const struct sp_gate_watch *w)
{
    const _Atomic unsigned char *mark = w->mark;
    return mark ? atomic_load_explicit(mark, memory_order_acquire) != 0 : w->thread_pid == getpid();
}

/* The first use in this process. */
static void begin(struct sp_gate_watch *w)
{
    pthread_mutex_lock(&w->lock);
    if (w->thread_pid != getpid()) {
        sp_gate_begin_ids(w->gate); /* before there is a thread that may swap it */
        sigset_t all, before; /* signals are the server's */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        const int failed = pthread_create(&w->thread, NULL, watch_files, w);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        w->has_thread = !failed;
        if (failed)
            sp_log(&w->log, SP_LOG_ERROR, "changes of the configuration will not be seen, no thread: %s", strerror(failed));
        w->thread_pid = getpid();
        _Atomic unsigned char *mark = w->mark;
        if (mark)
            atomic_store_explicit(mark, 1, memory_order_release);
    }
    pthread_mutex_unlock(&w->lock);
}

enum sp_status sp_gate_watch_new(const char *conf_path, unsigned poll_ms, const struct sp_log *log, struct sp_gate **gate,
    struct sp_gate_watch **watch_out)
{
    *watch_out = NULL;
    struct sp_gate_watch *w = calloc(1, sizeof(*w));
    char *path = strdup(conf_path);
    if (!w || !path) {
        free(w);
        free(path);
        sp_gate_release(gate);
        return SP_ERR_NOMEM;
    }
    w->conf_path = path;
    w->poll_ms = poll_ms;
    w->log = *log;
    w->gate = *gate;
    *gate = NULL;
    w->loaded = stamp_of(w->gate, path);
    w->mark = new_mark();
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->stop, &attr);
    pthread_condattr_destroy(&attr);
    *watch_out = w;
    return SP_OK;
}

void sp_gate_watch_free(struct sp_gate_watch **watch)
{
    struct sp_gate_watch *w = *watch;
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->is_stopping = true;
    const bool has_thread = w->has_thread && w->thread_pid == getpid();
    pthread_cond_broadcast(&w->stop);
    pthread_mutex_unlock(&w->lock);
    if (has_thread)
        pthread_join(w->thread, NULL);
    if (w->mark)
        munmap(w->mark, 1);
    release_retired(w, true);
    struct sp_gate *gate = w->gate;
    sp_gate_release(&gate);
    pthread_cond_destroy(&w->stop);
    pthread_mutex_destroy(&w->lock);
    free(w->conf_path);
    free(w);
    *watch = NULL;
}

struct sp_gate *sp_gate_watch_acquire(struct sp_gate_watch *w)
{
    if (!has_begun(w))
        begin(w);
    atomic_uint *asking = &w->askers[(unsigned) sched_getcpu() % SHARDS].n;
    atomic_fetch_add(asking, 1);
    struct sp_gate *gate = sp_gate_acquire(atomic_load(&w->gate));
    atomic_fetch_sub(asking, 1);
    return gate;
}

bool sp_gate_watch_has_long_scans(const struct sp_gate_watch *w)
{
    return atomic_load_explicit(&w->has_long_scans, memory_order_relaxed);
}
