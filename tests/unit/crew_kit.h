/* An engine for test_crew.c that does what the object tells it: there is no sample that ends libclamav, and a hook that does must
 * not be in the product. The first letter of the object:
 *   S crashes   M finds no memory   E fails otherwise   K is killed from outside   H hangs   L takes 0.9 s or longer, while the
 *   test holds it
 * Others are clean. And a sandbox that is none, so that the test runs anywhere. */
#ifndef SALLYPORT_TESTS_CREW_KIT_H
#define SALLYPORT_TESTS_CREW_KIT_H

#include "unit.h"

#include "../../service/scand/loader.h"
#include "../../service/scand/sandbox.h"

#include "sallyport/clock.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define LONG_SCAN_US 900000 /* of an object that begins with L, at least */

/* --- the engine ------------------------------------------------------------------------------------------------------ */

struct sp_engine {
    struct sp_engine_facts facts;
};

struct shared {
    atomic_uint scans;
    atomic_bool is_held; /* what has begun with L does not end */
};

static struct shared *shared; /* with the workers */

enum sp_status sp_loader_run(const struct sp_loader_env *env, struct sp_error *err, struct sp_engine **engine_out)
{
    static struct sp_engine engine = { { .id = 42, .signatures = 1 } };
    (void) env;
    (void) err;
    *engine_out = &engine;
    return SP_OK;
}

const struct sp_engine_facts *sp_engine_facts(const struct sp_engine *engine)
{
    return &engine->facts;
}

enum sp_status sp_engine_set_scratch(struct sp_engine *engine, const char *scratch)
{
    (void) engine;
    (void) scratch;
    return SP_OK;
}

void sp_engine_scan_memory(const struct sp_engine *engine, const void *p, size_t n, struct sp_engine_result *result_out)
{
    (void) engine;
    (void) n;
    atomic_fetch_add(&shared->scans, 1);
    *result_out = (struct sp_engine_result){ .verdict = SP_VERDICT_CLEAN };
    switch (*(const char *) p) {
    case 'S':
        signal(SIGSEGV, SIG_DFL); /* a sanitizer's report is not wanted */
        raise(SIGSEGV);
        break;
    case 'K':
        kill(getpid(), SIGKILL);
        break;
    case 'H':
        for (;;)
            pause();
    case 'L':
        for (int64_t end_us = sp_clock_mono_us() + LONG_SCAN_US; sp_clock_mono_us() < end_us || shared->is_held;)
            usleep(10000);
        break;
    case 'M':
    case 'E':
        *result_out = (struct sp_engine_result){ .verdict = SP_VERDICT_ERROR, .is_spoiled = true, .detail = "the engine's word" };
        result_out->is_out_of_memory = *(const char *) p == 'M';
        break;
    default:
        break;
    }
}

void sp_engine_scan_fd(const struct sp_engine *engine, int fd, uint64_t offset, size_t n, struct sp_engine_result *result_out)
{
    char first;
    ck_assert_int_eq(pread(fd, &first, 1, (off_t) offset), 1);
    sp_engine_scan_memory(engine, &first, n, result_out);
}

void sp_engine_merge(struct sp_engine_result *all, const struct sp_engine_result *one)
{
    const bool was_spoiled = all->is_spoiled;
    if (one->verdict != SP_VERDICT_CLEAN)
        *all = *one;
    all->is_spoiled |= was_spoiled;
}

/* --- no sandbox: the test runs anywhere ------------------------------------------------------------------------------ */

void sp_sandbox_plan(const struct sp_conf *conf, const char *scratch, struct sp_sandbox *plan_out)
{
    (void) conf;
    *plan_out = (struct sp_sandbox){ .scratch = scratch };
}

enum sp_status sp_sandbox_enter(const struct sp_sandbox *plan, struct sp_error *err, struct sp_sandbox_state *state_out)
{
    (void) plan;
    (void) err;
    *state_out = (struct sp_sandbox_state){ 0 };
    return SP_OK;
}

enum sp_status sp_sandbox_try(const struct sp_sandbox *plan, struct sp_error *err, struct sp_sandbox_state *state_out)
{
    return sp_sandbox_enter(plan, err, state_out);
}

void sp_sandbox_warm_up(void)
{
}

void sp_sandbox_begin_cpu(struct sp_sandbox_cpu *cpu, int64_t scan_ms, unsigned cores)
{
    (void) cpu;
    (void) cores;
    (void) scan_ms;
}

void sp_sandbox_spend_cpu(struct sp_sandbox_cpu *cpu, int64_t scan_took_us)
{
    (void) cpu;
    (void) scan_took_us;
}

const char *sp_sandbox_death(int signal_number, int forbidden, char buf[SP_SANDBOX_TEXT_SIZE])
{
    (void) signal_number;
    (void) forbidden;
    (void) buf;
    return NULL;
}

#endif
