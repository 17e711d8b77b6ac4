/* Seccomp: which system calls a worker can make. Three kinds: those that scanning needs; those that nothing in a scanner makes
 * unless somebody has taken it over, which end the process at once; and all others, which fail with EPERM, so that another
 * libc or libclamav that tries something harmless goes on. The forbidden ones come to a handler by SIGSYS. It leaves the call's
 * number where the parent finds it and ends the process by a call that the filter answers with death: the handler cannot be
 * replaced, for that is the call. */
#include "config.h"

#include "sandbox_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

/* By name: libseccomp knows the numbers of each architecture and passes over what it lacks. */
static const char *const allowed[] = {
    /* memory */
    "brk", "munmap", "mremap", "madvise",
    /* open files */
    "read", "pread64", "readv", "preadv", "preadv2", "write", "pwrite64", "writev", "pwritev", "pwritev2", "lseek", "_llseek",
    "close", "close_range", "dup", "dup2", "dup3", "fstat", "fstat64", "ftruncate", "ftruncate64", "fallocate", "fadvise64",
    "fadvise64_64", "readahead", "sendfile", "sendfile64", "copy_file_range", "fsync", "fdatasync", "sync_file_range", "flock",
    "getdents", "getdents64", "fstatfs", "fstatfs64",
    /* files by name: Landlock says which */
    "open", "openat", "creat", "stat", "stat64", "lstat", "lstat64", "newfstatat", "fstatat64", "statx", "statfs", "statfs64",
    "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getcwd", "umask", "mkdir", "mkdirat", "rmdir", "unlink",
    "unlinkat", "rename", "renameat", "renameat2", "truncate", "truncate64",
    /* connections that come in, and what comes through them */
    "accept", "accept4", "recv", "recvfrom", "recvmsg", "send", "sendto", "shutdown", "getsockopt", "poll", "ppoll", "ppoll_time64",
    "select", "_newselect", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl",
    /* time */
    "clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64", "gettimeofday", "time", "times", "nanosleep",
    "clock_nanosleep", "clock_nanosleep_time64", "timer_settime", "timer_settime64", "timer_gettime", "timer_gettime64",
    "timer_getoverrun", "timer_delete",
    /* signals, threads, the process itself */
    "rt_sigprocmask", "rt_sigreturn", "sigreturn", "rt_sigpending", "sigaltstack", "restart_syscall", "futex", "futex_time64",
    "set_robust_list", "get_robust_list", "rseq", "set_tid_address", "gettid", "getpid", "getppid", "getuid", "geteuid", "getgid",
    "getegid", "getuid32", "geteuid32", "getgid32", "getegid32", "sched_yield", "sched_getaffinity", "sched_getparam",
    "sched_getscheduler", "getcpu", "getrusage", "getrlimit", "ugetrlimit", "sysinfo", "uname", "getrandom", "membarrier", "exit",
    "exit_group",
    NULL,
};

/* Only a worker that has been taken over makes these. */
static const char *const forbidden[] = {
    "socket", "socketpair", "connect", "bind", "listen", "socketcall", "execve", "execveat", "fork", "vfork", "ptrace",
    "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
    "pidfd_open", "pidfd_send_signal", "pidfd_getfd", "mount", "umount", "umount2", "pivot_root", "chroot", "unshare", "setns",
    "open_tree", "move_mount", "fsopen", "fsmount", "fsconfig", "fspick", "mount_setattr", "bpf", "keyctl", "add_key",
    "request_key", "io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd", "perf_event_open", "open_by_handle_at",
    "name_to_handle_at", "init_module", "finit_module", "delete_module", "create_module", "kexec_load", "kexec_file_load", "reboot",
    "swapon", "swapoff", "sethostname", "setdomainname", "settimeofday", "stime", "clock_settime", "clock_settime64",
    "clock_adjtime", "adjtimex", "iopl", "ioperm", "modify_ldt", "setuid", "setgid", "setreuid", "setregid", "setresuid",
    "setresgid", "setfsuid", "setfsgid", "setgroups", "capset", "acct", "quotactl", "quotactl_fd", "fanotify_init", "syslog",
    "vhangup", "mknod", "mknodat",
    NULL,
};

/* libclamav sets modes of what it has unpacked, which has good ones, and ignores what comes of it. Landlock would let it set
 * those of any file of the same owner: so it is told that it was done. */
static const char *const pretended[] = { "chmod", "fchmod", "fchmodat", "fchmodat2", "utime", "utimes", "futimesat", "utimensat", NULL };

static const int fcntls[] = { F_GETFD, F_SETFD, F_GETFL, F_DUPFD, F_DUPFD_CLOEXEC, F_GET_SEALS };

static atomic_int *forbidden_told; /* for the signal handler, which gets no argument of ours */

static void on_forbidden(int signal_number, siginfo_t *info, void *context)
{
    (void) signal_number, (void) context;
    if (forbidden_told)
        atomic_store_explicit(forbidden_told, info->si_syscall + 1, memory_order_relaxed);
    syscall(SYS_rt_sigaction, SIGSYS, NULL, NULL, _NSIG / 8); /* the end */
    _exit(EXIT_FAILURE);
}

static int add_names(scmp_filter_ctx filter, uint32_t action, const char *const *names)
{
    int rc = 0;
    for (; rc == 0 && *names; names++) {
        const int call = seccomp_syscall_resolve_name(*names);
        if (call == __NR_SCMP_ERROR || call < 0)
            continue; /* another libseccomp, or another architecture */
        rc = seccomp_rule_add(filter, action, call, 0);
    }
    return rc;
}

static int add_fcntls(scmp_filter_ctx filter)
{
    static const char *const names[] = { "fcntl", "fcntl64" };
    int rc = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const int call = seccomp_syscall_resolve_name(names[i]);
        for (size_t k = 0; rc == 0 && call >= 0 && k < sizeof(fcntls) / sizeof(fcntls[0]); k++)
            rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t) fcntls[k]));
    }
    return rc;
}

/* Code comes from no map, and the kernel makes no threads but of this process. */
static int add_memory_and_threads(scmp_filter_ctx filter)
{
    static const char *const maps[] = { "mmap", "mmap2", "mprotect" };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(maps) / sizeof(maps[0]); i++) {
        const int call = seccomp_syscall_resolve_name(maps[i]);
        if (call >= 0)
            rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    }
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_TRAP, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    if (rc == 0) /* its flags lie in memory: libc takes clone instead */
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return rc;
}

/* Masked: the kernel looks at 32 bits of what is compared here in 64. */
static int guard_handler(scmp_filter_ctx filter)
{
    return seccomp_rule_add(
        filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(rt_sigaction), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, SIGSYS));
}

static int add_signals_and_limits(scmp_filter_ctx filter)
{
    const scmp_datum_t self = (scmp_datum_t) getpid();
    int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, self)); /* abort() */
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_TRAP, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_NE, self));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(rt_sigaction), 1, SCMP_A0(SCMP_CMP_LT, SIGSYS));
    if (rc == 0) /* 32 to 63 */
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(rt_sigaction), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, ~31ull, 32));
    if (rc == 0)
        rc = guard_handler(filter);
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_EQ, 0));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_VMA));
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, TCGETS)); /* isatty() */
    return rc;
}

/* Where everything else is allowed, the rules that allow would be refused as superfluous. */
static int add_rules(scmp_filter_ctx filter)
{
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree instead of a list; an older libseccomp has none */
    if (rc == 0)
        rc = add_names(filter, SCMP_ACT_TRAP, forbidden);
    if (rc == 0 && SP_SANDBOX_SANITIZED)
        return guard_handler(filter);
    if (rc == 0)
        rc = add_names(filter, SCMP_ACT_ALLOW, allowed);
    if (rc == 0)
        rc = add_names(filter, SCMP_ACT_ERRNO(0), pretended);
    if (rc == 0)
        rc = add_fcntls(filter);
    if (rc == 0)
        rc = add_memory_and_threads(filter);
    if (rc == 0)
        rc = add_signals_and_limits(filter);
    return rc;
}

enum sp_status sp_seccomp_enter(atomic_int *forbidden_out, struct sp_error *err)
{
    struct sigaction action = { .sa_sigaction = on_forbidden, .sa_flags = SA_SIGINFO };
    enum sp_status status = SP_OK;
    scmp_filter_ctx filter = seccomp_init(SP_SANDBOX_SANITIZED ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM));
    if (!filter)
        return sp_error_set(err, SP_ERR_NOMEM, "seccomp: no memory for a filter");
    forbidden_told = forbidden_out;
    sigemptyset(&action.sa_mask);
    int rc = sigaction(SIGSYS, &action, NULL) == 0 ? 0 : -errno;
    if (rc == 0)
        rc = add_rules(filter);
    if (rc == 0)
        rc = seccomp_load(filter);
    if (rc != 0)
        status = sp_error_set(err, SP_ERR_IO, "seccomp: the filter is refused: %s", strerror(-rc));
    seccomp_release(filter);
    return status;
}

void sp_seccomp_call_name(int number, char out[SP_SANDBOX_CALL_NAME_SIZE])
{
    char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
    if (name)
        snprintf(out, SP_SANDBOX_CALL_NAME_SIZE, "%s", name);
    else
        snprintf(out, SP_SANDBOX_CALL_NAME_SIZE, "number %d", number);
    free(name);
}
