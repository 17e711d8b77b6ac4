/* The sandbox of the workers, from inside: what a parser that has been taken over would try ends it, by a death that its parent can
 * name; and so does a scan without an end. */
#include "config.h"

#include "sandbox_kit.h"

#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* --- what ends the process ------------------------------------------------------------------------------------------- */

static int makes_socket(void)
{
    return errno_of(socket(AF_INET, SOCK_STREAM, 0));
}
static int makes_local_socket(void)
{
    return errno_of(socket(AF_UNIX, SOCK_STREAM, 0));
}
static int connects(void)
{
    const struct sockaddr_in to = { .sin_family = AF_INET };
    return errno_of(connect(STDERR_FILENO, (const struct sockaddr *) &to, sizeof(to)));
}
static int binds(void)
{
    const struct sockaddr_in at = { .sin_family = AF_INET };
    return errno_of(bind(STDERR_FILENO, (const struct sockaddr *) &at, sizeof(at)));
}
static int executes(void)
{
    return errno_of(execl("/bin/true", "true", (char *) NULL));
}
static int executes_descriptor(void)
{
    return errno_of(syscall(SYS_execveat, STDERR_FILENO, "", NULL, NULL, 0x1000));
}
static int forks(void)
{
    return errno_of(fork());
}
static int clones(void)
{
    return errno_of(syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0));
}
static int traces_parent(void)
{
    return errno_of(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}
static int reads_parent(void)
{
    char c;
    struct iovec here = { &c, 1 }, there = { &c, 1 };
    return errno_of(process_vm_readv(getppid(), &here, 1, &there, 1, 0));
}
static int kills_parent(void)
{
    return errno_of(kill(getppid(), SIGKILL));
}
static int kills_parents_thread(void)
{
    return errno_of(syscall(SYS_tgkill, getppid(), getppid(), SIGKILL));
}
static int mounts(void)
{
    return errno_of(syscall(SYS_mount, "none", scratch, "tmpfs", 0, NULL));
}
static int leaves_namespace(void)
{
    return errno_of(unshare(CLONE_NEWUSER));
}
static int uses_bpf(void)
{
    return errno_of(syscall(SYS_bpf, 0, NULL, 0));
}
static int uses_keys(void)
{
    return errno_of(syscall(SYS_keyctl, 0, 0));
}
static int uses_rings(void)
{
    return errno_of(syscall(425 /* io_uring_setup */, 1, NULL));
}
static int handles_faults(void)
{
    return errno_of(syscall(SYS_userfaultfd, 0));
}
static int counts_events(void)
{
    return errno_of(syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0));
}
static int replaces_handler(void)
{
    signal(SIGSYS, SIG_IGN);
    return NOTHING;
}
static int replaces_handler_by_wide_number(void)
{
    struct {
        void (*handler)(int);
        unsigned long flags, restorer, mask;
    } action = { SIG_IGN, 0, 0, 0 };
    syscall(SYS_rt_sigaction, (1ull << 32) | SIGSYS, &action, NULL, 8);
    socket(AF_INET, SOCK_STREAM, 0);
    return NOTHING;
}
static int blocks_the_signal(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    return errno_of(socket(AF_INET, SOCK_STREAM, 0));
}
static int64_t cpu_us(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (int64_t) (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}
static int burns_time(void)
{
    struct sp_sandbox_cpu cpu;
    sp_sandbox_begin_cpu(&cpu, 500, 1);
    while (cpu_us() < 60000000)
        continue;
    return NOTHING;
}
static int writes_large_file(void)
{
    static char block[65536];
    const int fd = open(in_scratch("large"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (int i = 0; i < 200; i++)
        if (write(fd, block, sizeof(block)) < 0)
            return errno;
    return NOTHING;
}

START_TEST(what_nothing_needs_kills)
{
    static const struct {
        const char *name;
        attempt_fn attempt;
        int signal_number;
        const char *told;
    } rows[] = {
        { "a socket", makes_socket, SIGSYS, "forbidden system call socket" },
        { "a local socket", makes_local_socket, SIGSYS, "forbidden system call socket" },
        { "connect", connects, SIGSYS, "forbidden system call connect" },
        { "bind", binds, SIGSYS, "forbidden system call bind" },
        { "execve", executes, SIGSYS, "forbidden system call execve" },
        { "execveat", executes_descriptor, SIGSYS, "forbidden system call execveat" },
        { "fork", forks, SIGSYS, "forbidden system call" }, /* newer libcs block signals around it: nobody notes which call */
        { "clone", clones, SIGSYS, "forbidden system call clone" },
        { "ptrace", traces_parent, SIGSYS, "forbidden system call ptrace" },
        { "process_vm_readv", reads_parent, SIGSYS, "forbidden system call process_vm_readv" },
        { "kill", kills_parent, SIGSYS, "forbidden system call kill" },
        { "tgkill of another", kills_parents_thread, SIGSYS, "forbidden system call tgkill" },
        { "mount", mounts, SIGSYS, "forbidden system call mount" },
        { "unshare", leaves_namespace, SIGSYS, "forbidden system call unshare" },
        { "bpf", uses_bpf, SIGSYS, "forbidden system call bpf" },
        { "keyctl", uses_keys, SIGSYS, "forbidden system call keyctl" },
        { "io_uring", uses_rings, SIGSYS, "forbidden system call io_uring_setup" },
        { "userfaultfd", handles_faults, SIGSYS, "forbidden system call userfaultfd" },
        { "perf events", counts_events, SIGSYS, "forbidden system call perf_event_open" },
        { "another handler", replaces_handler, SIGSYS, "forbidden system call" },
        { "another handler for a wide number", replaces_handler_by_wide_number, SIGSYS, "forbidden system call" },
        { "a blocked signal", blocks_the_signal, SIGSYS, "forbidden system call" },
        { "endless work", burns_time, SIGXCPU, "processor time" },
        { "a large file", writes_large_file, SIGXFSZ, "a file larger than" },
    };
    const struct sp_sandbox p = plan();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char buf[SP_SANDBOX_TEXT_SIZE];
        const bool names_itself = rows[i].attempt != kills_parents_thread; /* sanitizers send such signals themselves */
        if (SP_SANDBOX_SANITIZED && (!names_itself || rows[i].attempt == forks || rows[i].attempt == clones))
            continue;
        const int status = try_in(&p, rows[i].attempt);
        ck_assert_msg(WIFSIGNALED(status), "%s: status %d", rows[i].name, WEXITSTATUS(status));
        const char *why = sp_sandbox_death(WTERMSIG(status), atomic_load(&shared->forbidden), buf);
        ck_assert_msg(WTERMSIG(status) == rows[i].signal_number && why && strstr(why, rows[i].told), "%s: signal %d, %s", rows[i].name,
            WTERMSIG(status), why ? why : "untold");
    }
}
END_TEST

/* A log that is longer than any file that a worker may write. */
static int logs(void)
{
    return errno_of(write(STDERR_FILENO, "line\n", 5));
}

START_TEST(a_long_log_is_no_large_file)
{
    const struct sp_sandbox p = plan();
    snprintf(log_path, sizeof(log_path), "%s/log", dir);
    const int fd = open(log_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(ftruncate(fd, (off_t) (2 * p.file_bytes)), 0);
    close(fd);
    const int status = try_in(&p, logs);
    log_path[0] = '\0';
    ck_assert_int_eq(status, 0);
}
END_TEST

/* --- the limit on processor time moves on ---------------------------------------------------------------------------- */

static int works_long(void)
{
    struct sp_sandbox_cpu cpu;
    sp_sandbox_begin_cpu(&cpu, 100, 1);
    while (cpu_us() < 4000000) { /* the limit begins at two seconds */
        const int64_t until_us = cpu_us() + 20000;
        while (cpu_us() < until_us)
            continue;
        sp_sandbox_spend_cpu(&cpu, 20000);
    }
    return NOTHING;
}

START_TEST(many_scans_may_take_longer_than_one)
{
    const struct sp_sandbox p = plan();
    ck_assert_int_eq(try_in(&p, works_long), 0);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("sandbox_deaths");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, what_nothing_needs_kills);
    tcase_add_test(c, a_long_log_is_no_large_file);
    tcase_add_test(c, many_scans_may_take_longer_than_one);
    return unit_run("sandbox_deaths", c);
}
