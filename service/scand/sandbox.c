/* The sandbox as a whole, in the order in which the parts must come: what a process gives up can be given up only while it may
 * still do so, and the filter on system calls closes behind everything else. Limits are of two kinds. Memory and open files
 * make a call fail, and the engine answers with an error; processor time and the size of a file end the process by a signal of
 * their own, which tells the parent why. There is no limit on processes: it would count those of the user, not ours, and the
 * filter lets no process be made. */
#include "config.h"

#include "sandbox.h"

#include "sandbox_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1024ull * 1024)
#define MEMORY_BASE (256 * MIB)    /* a scan of small objects needs less than this */
#define MEMORY_FILES 3             /* the largest file as it is, unpacked and normalized */
#define MAP_STACKS (512 * MIB)     /* stacks and heaps of threads: address space alone */
#define FILE_SLACK MIB             /* libclamav stops at its limit, and at times one block later */
#define LOG_ROOM (1024 * MIB)      /* stderr may be a file too, and a large one */
#define FILES_BASE 64
#define FILES_PER_LEVEL 8          /* of archives in archives */
#define CPU_SLACK_S 2              /* the limit counts whole seconds */

/* The kernel holds the limit against time that it counts in ticks of its timer. getrusage and the clocks with a name count another
 * way, and over a long life the two drift apart by minutes. This is the clock of the ticks of the calling process. */
#define CLOCK_OF_LIMIT ((clockid_t) -8)

#define MS_PER_S 1000
#define US_PER_MS 1000

void sp_sandbox_plan(const struct sp_conf *conf, const char *scratch, struct sp_sandbox *plan_out)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const uint64_t automatic = MEMORY_BASE + MEMORY_FILES * (uint64_t) conf->scan_max_file_size;
    *plan_out = (struct sp_sandbox){ .scratch = scratch,
        .memory_bytes = conf->scan_worker_memory > 0 ? (uint64_t) conf->scan_worker_memory : automatic,
        .map_bytes = MAP_STACKS + (uint64_t) (conf->max_object_size > conf->scan_max_size ? conf->max_object_size : conf->scan_max_size),
        .file_bytes = (uint64_t) conf->scan_max_size + FILE_SLACK,
        .files = FILES_BASE + FILES_PER_LEVEL * (uint64_t) conf->scan_max_recursion,
        .scan_ms = conf->scan_ms,
        .cores = cores > 0 ? (unsigned) cores : 1,
        .is_required = conf->scan_require_sandbox };
}

/* --- limits ---------------------------------------------------------------------------------------------------------- */

/* Address space and private memory of this process, in bytes. */
static enum sp_status measure(uint64_t *space_out, uint64_t *data_out)
{
    unsigned long space, data;
    FILE *file = fopen("/proc/self/statm", "re");
    const int n = file ? fscanf(file, "%lu %*u %*u %*u %*u %lu", &space, &data) : 0;
    if (file)
        fclose(file);
    if (n != 2)
        return SP_ERR_IO;
    *space_out = (uint64_t) space * (uint64_t) sysconf(_SC_PAGESIZE);
    *data_out = (uint64_t) data * (uint64_t) sysconf(_SC_PAGESIZE);
    return SP_OK;
}

/* Never more than there was. */
static bool set_limit(int which, uint64_t wanted)
{
    struct rlimit limit;
    if (getrlimit(which, &limit) < 0)
        return false;
    if (limit.rlim_max == RLIM_INFINITY || wanted < limit.rlim_max)
        limit.rlim_max = (rlim_t) wanted;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(which, &limit) == 0;
}

/* The log is written by workers too and may be a file longer than any that they unpack. */
static uint64_t log_bytes(void)
{
    struct stat st;
    return fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t) st.st_size + LOG_ROOM : 0;
}

static enum sp_status enter_limits(const struct sp_sandbox *plan, struct sp_error *err)
{
    uint64_t space = 0, data = 0;
    const uint64_t for_log = log_bytes();
    bool is_set = measure(&space, &data) == SP_OK;
    if (is_set && !SP_SANDBOX_SANITIZED)
        is_set = set_limit(RLIMIT_DATA, data + plan->memory_bytes) && set_limit(RLIMIT_AS, space + plan->memory_bytes + plan->map_bytes);
    is_set = is_set && set_limit(RLIMIT_CORE, 0) && set_limit(RLIMIT_NOFILE, plan->files) &&
        set_limit(RLIMIT_FSIZE, plan->file_bytes > for_log ? plan->file_bytes : for_log) && set_limit(RLIMIT_MEMLOCK, 0) &&
        set_limit(RLIMIT_MSGQUEUE, 0);
    return is_set ? SP_OK : sp_error_set(err, SP_ERR_IO, "cannot set limits: %s", strerror(errno));
}

void sp_sandbox_begin_cpu(struct sp_sandbox_cpu *cpu, int64_t scan_ms, unsigned cores)
{
    *cpu = (struct sp_sandbox_cpu){ .scan_ms = scan_ms, .cores = cores };
    struct timespec used;
    struct rlimit limit;
    if (clock_gettime(CLOCK_OF_LIMIT, &used) < 0 || getrlimit(RLIMIT_CPU, &limit) < 0)
        return;
    const rlim_t more_s = (rlim_t) (2 * scan_ms / MS_PER_S) * cores;
    limit.rlim_cur = (rlim_t) used.tv_sec + more_s + CPU_SLACK_S;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_CPU, &limit);
}

void sp_sandbox_spend_cpu(struct sp_sandbox_cpu *cpu, int64_t scan_took_us)
{
    cpu->spent_us += scan_took_us;
    if (cpu->spent_us >= cpu->scan_ms * US_PER_MS)
        sp_sandbox_begin_cpu(cpu, cpu->scan_ms, cpu->cores);
}

/* --- entering -------------------------------------------------------------------------------------------------------- */

/* Of use only to a scanner that stayed root: everybody else has none. */
static enum sp_status drop_capabilities(struct sp_error *err)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
    return syscall(SYS_capset, &header, none) == 0 ? SP_OK : sp_error_set(err, SP_ERR_IO, "cannot drop capabilities: %s", strerror(errno));
}

enum sp_status sp_sandbox_enter(const struct sp_sandbox *plan, struct sp_error *err, struct sp_sandbox_state *state_out)
{
    const unsigned needed = SP_SANDBOX_LANDLOCK | SP_SANDBOX_SECCOMP | SP_SANDBOX_NO_NEW_PRIVS | SP_SANDBOX_LIMITS;
    *state_out = (struct sp_sandbox_state){ 0 };
    if (enter_limits(plan, err) == SP_OK)
        state_out->parts |= SP_SANDBOX_LIMITS;
    if (drop_capabilities(err) == SP_OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        state_out->parts |= SP_SANDBOX_NO_NEW_PRIVS;
    if (sp_landlock_enter(plan->scratch, err, &state_out->landlock_abi) == SP_OK)
        state_out->parts |= SP_SANDBOX_LANDLOCK;
    if (sp_seccomp_enter(plan->forbidden_out, err) == SP_OK)
        state_out->parts |= SP_SANDBOX_SECCOMP;
    const bool is_missing = (state_out->parts & needed) != needed;
    return is_missing && plan->is_required ? sp_error_set(err, SP_ERR_CONF, "a part of the sandbox is missing") : SP_OK;
}

struct trial {
    struct sp_sandbox_state state;
    struct sp_error err;
    enum sp_status status;
};

enum sp_status sp_sandbox_try(const struct sp_sandbox *plan, struct sp_error *err, struct sp_sandbox_state *state_out)
{
    int pipe_fds[2], wait_status = 0;
    struct trial trial = { .status = SP_ERR_IO };
    *state_out = trial.state;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return sp_error_set(err, SP_ERR_IO, "cannot make a pipe: %s", strerror(errno));
    const pid_t pid = fork();
    if (pid == 0) {
        trial.status = sp_sandbox_enter(plan, &trial.err, &trial.state);
        _exit(write(pipe_fds[1], &trial, sizeof(trial)) == (ssize_t) sizeof(trial) ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    close(pipe_fds[1]);
    ssize_t n;
    do
        n = pid > 0 ? read(pipe_fds[0], &trial, sizeof(trial)) : -1;
    while (n < 0 && errno == EINTR);
    close(pipe_fds[0]);
    while (pid > 0 && waitpid(pid, &wait_status, 0) < 0 && errno == EINTR)
        continue;
    if (n != (ssize_t) sizeof(trial))
        return sp_error_set(err, SP_ERR_IO, "the sandbox cannot be tried: %s", pid < 0 ? strerror(errno) : "its process died");
    *state_out = trial.state;
    if (trial.err.text[0] != '\0')
        sp_error_set(err, trial.status, "%s", trial.err.text);
    return trial.status;
}

void sp_sandbox_announce(
    const struct sp_conf *conf, const char *scratch, uint64_t scratch_bytes, const struct sp_log *log, struct sp_board *board)
{
    struct sp_sandbox plan;
    struct sp_sandbox_state state;
    struct sp_error err = { 0 };
    char text[SP_BOARD_SANDBOX_TEXT_SIZE];
    sp_sandbox_plan(conf, scratch, &plan);
    plan.is_required = false; /* a generation refuses to load without it */
    const enum sp_status status = sp_sandbox_try(&plan, &err, &state);
    board->sandbox = state.parts | (scratch_bytes > 0 ? SP_SANDBOX_TMPFS : 0u);
    board->landlock_abi = state.landlock_abi;
    board->sandbox_scratch_bytes = scratch_bytes;
    sp_board_sandbox_text(board, text);
    if (status == SP_OK && err.text[0] == '\0')
        sp_log(log, SP_LOG_NOTICE, "sandbox: %s", text);
    else
        sp_log(log, SP_LOG_WARN, "sandbox: %s (%s)", text, err.text);
}

/* --- what happened --------------------------------------------------------------------------------------------------- */

const char *sp_sandbox_death(int signal_number, int forbidden, char buf[SP_SANDBOX_TEXT_SIZE])
{
    char name[SP_SANDBOX_CALL_NAME_SIZE];
    if (signal_number == SIGXCPU)
        return "sandbox: more processor time than a scan may take";
    if (signal_number == SIGXFSZ)
        return "sandbox: a file larger than scan.max_scan_size";
    if (signal_number != SIGSYS)
        return NULL;
    if (forbidden <= 0)
        return "sandbox: forbidden system call";
    sp_seccomp_call_name(forbidden - 1, name);
    snprintf(buf, SP_SANDBOX_TEXT_SIZE, "sandbox: forbidden system call %s", name);
    return buf;
}
