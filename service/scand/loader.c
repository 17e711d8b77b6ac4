/* A process that has lowered its priority may not raise it again without a privilege, and its children inherit it. But in Linux
 * each thread has a priority of its own: so the engine is loaded in a thread that is last in turn for processor and disk, and the
 * workers are forked from the one that has waited for it. */
#include "config.h"

#include "loader.h"

#include "builtin.h"
#include "hugepages.h"
#include "priority.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK_BYTES (8u * 1024 * 1024) /* what a main thread commonly has: libclamav recurses */
#define IOPRIO_WHO_THREAD 1            /* ioprio_set has no header: WHO_PROCESS, which means a thread, as for nice */
#define IOPRIO_IDLE (3 << 13)
#define LAST 19 /* the nicest there is */
#define PERCENT 100

struct load {
    const struct sp_loader_env *env;
    struct sp_error *err;
    struct sp_engine **engine_out;
    enum sp_status status;
};

/* Failures do not matter: then it loads at normal priority. */
static void become_gentle(const struct sp_log *log)
{
    if (!sp_priority_lower(0, LAST))
        sp_log(log, SP_LOG_DEBUG, "loading at normal priority: %s", strerror(errno));
    if (syscall(SYS_ioprio_set, IOPRIO_WHO_THREAD, 0, IOPRIO_IDLE) < 0)
        sp_log(log, SP_LOG_DEBUG, "loading at normal priority of the disk: %s", strerror(errno));
}

static void *load(void *arg)
{
    struct load *l = arg;
    if (l->env->is_gentle)
        become_gentle(l->env->log);
    l->status = sp_engine_build(l->env->conf, l->env->scratch, l->env->log, l->err, l->engine_out);
    if (l->status == SP_OK)
        sp_log(l->env->log, SP_LOG_DEBUG, "%zu MB lie on large pages", sp_hugepages_take() >> 20);
    return NULL;
}

static void load_in_thread(struct load *l)
{
    pthread_t thread;
    pthread_attr_t attributes;
    int rc = pthread_attr_init(&attributes);
    if (rc == 0) {
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        rc = pthread_create(&thread, &attributes, load, l);
        pthread_attr_destroy(&attributes);
    }
    if (rc == 0)
        pthread_join(thread, NULL);
    else
        l->status = sp_error_set(l->err, SP_ERR_NOMEM, "cannot make a thread to load in: %s", strerror(rc));
}

/* A database that was emptied, or half of a set that was moved away, loads well and finds little. */
static enum sp_status check_shrink(const struct sp_loader_env *env, const struct sp_engine *engine, struct sp_error *err)
{
    const uint64_t have = sp_engine_facts(engine)->signatures - SP_BUILTIN_SIGNATURES;
    const uint64_t had = env->serving > SP_BUILTIN_SIGNATURES ? env->serving - SP_BUILTIN_SIGNATURES : 0;
    if (have * PERCENT >= had * (uint64_t) (PERCENT - env->conf->scan_max_shrink))
        return SP_OK;
    return sp_error_set(err, SP_ERR_CONF,
        "the databases have shrunk from %llu signatures to %llu, by more than scan.max_shrink = %d percent; if that is meant: "
        "sallyport reload --force",
        (unsigned long long) had, (unsigned long long) have, (int) env->conf->scan_max_shrink);
}

enum sp_status sp_loader_run(const struct sp_loader_env *env, struct sp_error *err, struct sp_engine **engine_out)
{
    struct load l = { .env = env, .err = err, .engine_out = engine_out };
    *engine_out = NULL;
    if (env->is_gentle)
        load_in_thread(&l);
    else
        load(&l);
    if (l.status == SP_OK)
        l.status = check_shrink(env, *engine_out, err);
    return l.status;
}
