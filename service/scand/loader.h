/* Makes the engine of a generation: loads it, beside a serving one with little of the processor, and accepts or refuses it. */
#ifndef SALLYPORT_SCAND_LOADER_H
#define SALLYPORT_SCAND_LOADER_H

#include "engine.h"

struct sp_loader_env { /* borrowed for the call */
    const struct sp_conf *conf;
    const struct sp_log *log;
    const char *scratch;
    bool is_gentle;   /* another engine serves: take only what the processor and the disk have left */
    uint32_t serving; /* signatures of the engine that serves now; 0: there is none, or whatever comes is taken */
};

/* sp_engine_build, and its refusal. The calling thread keeps its priority, so that what it forks has the normal one; no other
 * thread is left. */
enum sp_status sp_loader_run(const struct sp_loader_env *env, struct sp_error *err, struct sp_engine **engine_out) SP_MUST_CHECK;

#endif
