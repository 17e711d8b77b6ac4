/* The sandbox of the workers, from inside: what scanning needs works in it, what it does not need fails without an end, and a trial
 * tells beforehand what there will be. */
#include "config.h"

#include "sandbox_kit.h"

#include <iconv.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* --- what scanning needs --------------------------------------------------------------------------------------------- */

static int works_in_scratch(void)
{
    char buf[8];
    if (mkdir(in_scratch("d"), 0700) < 0)
        return errno;
    const int fd = open(in_scratch("d/f"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "data", 4) != 4 || pread(fd, buf, 4, 0) != 4 || ftruncate(fd, 2) < 0 || close(fd) < 0)
        return errno;
    struct stat st;
    if (stat(in_scratch("d/f"), &st) < 0 || st.st_size != 2 || chmod(in_scratch("d"), 0700) < 0)
        return errno;
    if (open(in_scratch("d"), O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0)
        return errno;
    return unlink(in_scratch("d/f")) < 0 || rmdir(in_scratch("d")) < 0 ? errno : NOTHING;
}

static void *nothing(void *arg)
{
    return arg;
}

static int has_threads_and_memory(void)
{
    pthread_t thread;
    int rc = pthread_create(&thread, NULL, nothing, NULL);
    if (rc == 0)
        rc = pthread_join(thread, NULL);
    char *p = rc == 0 ? malloc(16 * MIB) : NULL;
    if (!p)
        return rc != 0 ? rc : ENOMEM;
    memset(p, 1, 16 * MIB);
    free(p);
    return NOTHING;
}

static int has_charsets(void)
{
    return errno_of(iconv_open("UTF-8", "SHIFT_JIS") == (iconv_t) -1 ? -1 : 0);
}

static int aborts(void)
{
    abort();
}

START_TEST(what_scanning_needs_works)
{
    const struct sp_sandbox p = plan();
    ck_assert_int_eq(try_in(&p, works_in_scratch), 0);
    ck_assert_int_eq(try_in(&p, has_threads_and_memory), 0);
    sp_sandbox_warm_up();
    ck_assert_int_eq(try_in(&p, has_charsets), 0);
    const int status = try_in(&p, aborts);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
END_TEST

START_TEST(memory_at_the_fork_does_not_count)
{
    if (SP_SANDBOX_SANITIZED)
        return;
    char *p = malloc(256 * MIB);
    memset(p, 1, 256 * MIB);
    const struct sp_sandbox sandbox = plan();
    const int status = try_in(&sandbox, has_threads_and_memory);
    free(p);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* --- what fails ------------------------------------------------------------------------------------------------------ */

static int reads_passwd(void)
{
    return open_for("/etc/passwd", O_RDONLY);
}
static int reads_beside(void)
{
    return open_for(beside, O_RDONLY);
}
static int writes_beside(void)
{
    return open_for(beside, O_WRONLY);
}
static int makes_file_outside(void)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/new", dir);
    return open_for(path, O_WRONLY | O_CREAT);
}
static int climbs_out(void)
{
    return open_for(in_scratch("../beside"), O_RDONLY);
}
static int removes_outside(void)
{
    return errno_of(unlink(beside));
}
static int renames_out(void)
{
    char to[128];
    const int fd = open(in_scratch("f"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    snprintf(to, sizeof(to), "%s/f", dir);
    return fd < 0 ? errno : errno_of(rename(in_scratch("f"), to));
}
static int makes_symlink(void)
{
    return errno_of(symlink(beside, in_scratch("link")));
}
static int makes_hard_link(void)
{
    return errno_of(link(beside, in_scratch("hard")));
}
static int follows_symlink(void) /* planted before */
{
    return open_for(in_scratch("planted"), O_RDONLY);
}
static int writes_own_memory(void)
{
    return open_for("/proc/self/mem", O_RDWR);
}
static int writes_memory_of_parent(void)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/mem", (int) getppid());
    return open_for(path, O_RDWR);
}
static int truncates_outside(void)
{
    return errno_of(truncate(beside, 0));
}
static int maps_code(void)
{
    return errno_of(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
}
static int makes_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NOTHING : errno_of(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}
static int makes_memfd(void)
{
    return errno_of(memfd_create("code", 0));
}
static int redirects_signals(void)
{
    return errno_of(fcntl(STDERR_FILENO, F_SETOWN, getppid()));
}
static int asks_for_unknown_call(void)
{
    return errno_of(syscall(SYS_getsid, 0));
}
static int uses_newest_clone(void)
{
    return errno_of(syscall(SYS_clone3, NULL, 0));
}
static int raises_limits(void)
{
    const struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
    return errno_of(setrlimit(RLIMIT_NOFILE, &limit));
}
static int limits_parent(void)
{
    return errno_of(prlimit(getppid(), RLIMIT_NOFILE, NULL, NULL));
}
static int uses_prctl(void)
{
    return errno_of(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}
static int eats_memory(void)
{
    for (int i = 0; i < 1000; i++) {
        char *p = malloc(MIB);
        if (!p)
            return i < 96 ? ENOMEM : EFBIG; /* EFBIG: far more than allowed */
        memset(p, 1, MIB);
    }
    return NOTHING;
}
static int eats_shared_memory(void)
{
    for (int i = 0; i < 1000; i++)
        if (mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
            return i < 500 ? ENOMEM : EFBIG;
    return NOTHING;
}
static int eats_descriptors(void)
{
    for (int i = 0; i < 64; i++)
        if (dup(STDERR_FILENO) < 0)
            return errno;
    return NOTHING;
}

START_TEST(what_is_not_needed_fails)
{
    static const struct {
        const char *name;
        attempt_fn attempt;
        int want;
        bool also_sanitized;
    } rows[] = {
        { "read /etc/passwd", reads_passwd, EACCES, false },
        { "read a file beside the scratch folder", reads_beside, EACCES, false },
        { "write it", writes_beside, EACCES, true },
        { "make a file outside", makes_file_outside, EACCES, true },
        { "climb out by ..", climbs_out, EACCES, false },
        { "remove a file outside", removes_outside, EACCES, true },
        { "rename out of the folder", renames_out, EACCES, true },
        { "make a symbolic link", makes_symlink, EPERM, false },
        { "make a hard link", makes_hard_link, EPERM, false },
        { "follow a symbolic link out of the folder", follows_symlink, EACCES, false },
        { "write its own memory by /proc", writes_own_memory, EACCES, true },
        { "write its parent's memory by /proc", writes_memory_of_parent, EACCES, true },
        { "truncate a file outside", truncates_outside, EACCES, true },
        { "map memory as code", maps_code, EPERM, false },
        { "turn memory into code", makes_code, EPERM, false },
        { "make a file of memory", makes_memfd, EPERM, false },
        { "make a descriptor signal its parent", redirects_signals, EPERM, false },
        { "a call on no list", asks_for_unknown_call, EPERM, false },
        { "clone3", uses_newest_clone, ENOSYS, false },
        { "raise its limits", raises_limits, EPERM, true },
        { "limit its parent", limits_parent, EPERM, false },
        { "prctl", uses_prctl, EPERM, false },
        { "too much memory", eats_memory, ENOMEM, false },
        { "too much shared memory", eats_shared_memory, ENOMEM, false },
        { "too many descriptors", eats_descriptors, EMFILE, true },
    };
    const struct sp_sandbox p = plan();
    ck_assert_int_eq(symlink(beside, in_scratch("planted")), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (SP_SANDBOX_SANITIZED && !rows[i].also_sanitized)
            continue;
        const int status = try_in(&p, rows[i].attempt);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == rows[i].want, "%s: %s %d, not %s", rows[i].name,
            WIFEXITED(status) ? strerror(WEXITSTATUS(status)) : "signal", WIFEXITED(status) ? 0 : WTERMSIG(status), strerror(rows[i].want));
    }
    struct stat st;
    ck_assert_int_eq(stat(beside, &st), 0);
    ck_assert_int_eq((int) st.st_size, 6);
}
END_TEST

static int sets_mode(void)
{
    return errno_of(chmod(beside, 0777)) != NOTHING || errno_of(chmod(scratch, 0777)) != NOTHING ? EPERM : NOTHING;
}

START_TEST(modes_are_set_in_pretence_only)
{
    const struct sp_sandbox p = plan();
    struct stat st;
    if (SP_SANDBOX_SANITIZED)
        return;
    ck_assert_int_eq(try_in(&p, sets_mode), 0);
    ck_assert_int_eq(stat(beside, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

/* --- the trial ------------------------------------------------------------------------------------------------------- */

START_TEST(trial_tells_what_there_is)
{
    struct sp_sandbox p = plan();
    struct sp_sandbox_state state;
    struct sp_error err = { 0 };
    ck_assert_msg(sp_sandbox_try(&p, &err, &state) == SP_OK, "%s", err.text);
    ck_assert_str_eq(err.text, "");
    ck_assert_uint_eq(state.parts, SP_SANDBOX_LANDLOCK | SP_SANDBOX_SECCOMP | SP_SANDBOX_NO_NEW_PRIVS | SP_SANDBOX_LIMITS);
    ck_assert_uint_ge(state.landlock_abi, 1);
    ck_assert_int_eq(open_for("/etc/passwd", O_RDONLY), 0); /* it was another process */
}
END_TEST

/* A folder that is not there stands for a kernel that lacks Landlock. */
START_TEST(what_is_missing_is_told_or_refused)
{
    struct sp_sandbox p = plan();
    struct sp_sandbox_state state;
    struct sp_error err = { 0 };
    p.scratch = "/nonexistent";
    ck_assert_int_eq(sp_sandbox_try(&p, &err, &state), SP_ERR_CONF);
    ck_assert_ptr_nonnull(strstr(err.text, "landlock: cannot open /nonexistent"));
    p.is_required = false;
    memset(&err, 0, sizeof(err));
    ck_assert_int_eq(sp_sandbox_try(&p, &err, &state), SP_OK);
    ck_assert_ptr_nonnull(strstr(err.text, "landlock: cannot open /nonexistent"));
    ck_assert_uint_eq(state.parts & SP_SANDBOX_LANDLOCK, 0);
    ck_assert_uint_ne(state.parts & SP_SANDBOX_SECCOMP, 0);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("sandbox");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, what_scanning_needs_works);
    tcase_add_test(c, memory_at_the_fork_does_not_count);
    tcase_add_test(c, what_is_not_needed_fails);
    tcase_add_test(c, modes_are_set_in_pretence_only);
    tcase_add_test(c, trial_tells_what_there_is);
    tcase_add_test(c, what_is_missing_is_told_or_refused);
    return unit_run("sandbox", c);
}
