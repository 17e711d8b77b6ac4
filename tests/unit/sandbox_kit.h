/* Children that enter the sandbox of the workers and try something: what the tests of it share. */
#ifndef SALLYPORT_TESTS_SANDBOX_KIT_H
#define SALLYPORT_TESTS_SANDBOX_KIT_H

#include "unit.h"

#include "../../service/scand/sandbox.h"
#include "../../service/scand/sandbox_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1024ull * 1024)
#define NOTHING 0 /* an attempt that succeeds */

static char dir[] = "/tmp/sp-sandbox-XXXXXX";
static char scratch[64], beside[64], log_path[64]; /* of stderr; "" is /dev/null */
static struct shared {
    atomic_int forbidden;
} *shared;

static inline void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(scratch, sizeof(scratch), "%s/scratch", dir);
    snprintf(beside, sizeof(beside), "%s/beside", dir);
    ck_assert_int_eq(mkdir(scratch, 0700), 0);
    const int fd = open(beside, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ck_assert_int_eq((int) write(fd, "secret", 6), 6);
    close(fd);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static inline void teardown(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
    munmap(shared, sizeof(*shared));
    memcpy(strrchr(dir, '-') + 1, "XXXXXX", 6);
}

static inline struct sp_sandbox plan(void)
{
    return (struct sp_sandbox){ .scratch = scratch,
        .memory_bytes = 64 * MIB,
        .map_bytes = 256 * MIB,
        .file_bytes = 4 * MIB,
        .files = 32,
        .scan_ms = 500,
        .is_required = true,
        .forbidden_out = &shared->forbidden };
}

typedef int (*attempt_fn)(void); /* 0 or an errno */

/* The wait status of a child that entered and tried. */
static inline int try_in(const struct sp_sandbox *p, attempt_fn attempt)
{
    int status = 0;
    atomic_store(&shared->forbidden, 0);
    const pid_t pid = fork();
    if (pid == 0) {
        struct sp_error err = { 0 };
        struct sp_sandbox_state state;
        dup2(open(log_path[0] != '\0' ? log_path : "/dev/null", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600), STDERR_FILENO);
        if (sp_sandbox_enter(p, &err, &state) != SP_OK)
            _exit(255);
        _exit(attempt());
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

static inline int errno_of(long rc)
{
    return rc < 0 ? errno : NOTHING;
}

static inline int open_for(const char *path, int flags)
{
    return errno_of(open(path, flags | O_CLOEXEC, 0600));
}

static inline const char *in_scratch(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", scratch, name);
    return path;
}

#endif
