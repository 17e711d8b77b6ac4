/* A generation: the process that loads one engine and keeps a crew of workers forked from it. */
#ifndef SALLYPORT_SCAND_GENERATION_H
#define SALLYPORT_SCAND_GENERATION_H

#include "sallyport/board.h"
#include "sallyport/conf.h"
#include "sallyport/log.h"

#include <sys/types.h>

struct sp_generation_env { /* borrowed for the life of the process */
    const struct sp_conf *conf;
    const struct sp_log *log;
    struct sp_board *board;
    unsigned number; /* counts up from 1 */
    int listen_fd;
    int lifeline_fd; /* end of file: retire */
    int report_fd;   /* one struct sp_generation_report is written when it is known */
    const char *scratch_root;
    int scratch_fd; /* the claim on scratch_root: every process keeps it */
    bool is_gentle; /* load with what the processor has left ... */
    uint32_t serving; /* ... for an engine with so many signatures serves; 0: accept any number */
};

struct sp_generation_report {
    bool is_ready;   /* else refused, text says why */
    bool is_passing; /* refused for what the system said, not for the databases: another try may succeed */
    uint64_t files;  /* sp_dbset_print of what was loaded */
    uint32_t signatures;
    uint32_t workers;
    uint64_t engine_id;
    int64_t database_time;
    char text[SP_BOARD_TEXT_SIZE];
};

/* Runs until the lifeline ends and every worker has left, or the engine is refused. The caller exits with the result. */
int sp_generation_run(const struct sp_generation_env *env);

/* Counts and logs how a reaped worker ended; whether it was a crash. is_killed: by us, past its deadline. */
bool sp_generation_note_death(struct sp_board *board, const struct sp_log *log, pid_t pid, int wait_status, bool is_killed);

#endif
