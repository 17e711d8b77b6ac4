/* The body store: tiers and their borders, reading, sealing, what a receiver can do with the descriptor, and disks that fail. */
#include "config.h"

#include "sallyport/spool.h"
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAP_MAX SP_SPOOL_HEAP_MAX
#define MEMORY (256u * 1024u)

/* --- failing on command: the linker routes these calls here (Makefile.am) ------------------------------------------------- */

enum call { CALL_NONE, CALL_CALLOC, CALL_REALLOC, CALL_OPEN, CALL_MEMFD, CALL_PWRITE, CALL_PREAD, CALL_FCNTL };

static enum call failing; /* which one */
static int until_failure; /* after so many that work; -1: done */
static int failure_errno;
static size_t piece_max; /* 0, or pread and pwrite do no more than this at once, and every second call is interrupted */
static unsigned n_reallocs;

static bool must_fail(enum call call)
{
    if (failing != call || until_failure < 0 || until_failure-- > 0)
        return false;
    errno = failure_errno;
    return true;
}

static void fail_at(enum call call, int n, int error)
{
    failing = call;
    until_failure = n;
    failure_errno = error;
}

static bool is_interrupted(void)
{
    static bool last;
    last = piece_max > 0 && !last;
    if (last)
        errno = EINTR;
    return last;
}

static size_t piece(size_t n)
{
    return piece_max > 0 && n > piece_max ? piece_max : n;
}

/* The function that is there, and the one that is called in its place. */
#define DECLARE(type, name, parameters)                                                                                                    \
    type __real_##name parameters;                                                                                                         \
    type __wrap_##name parameters;

DECLARE(void *, calloc, (size_t n, size_t m))
void *__wrap_calloc(size_t n, size_t m)
{
    return must_fail(CALL_CALLOC) ? NULL : __real_calloc(n, m);
}

DECLARE(void *, realloc, (void *p, size_t n))
void *__wrap_realloc(void *p, size_t n)
{
    n_reallocs++;
    return must_fail(CALL_REALLOC) ? NULL : __real_realloc(p, n);
}

DECLARE(int, open, (const char *path, int flags, ...))
int __wrap_open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = (flags & O_TMPFILE) == O_TMPFILE || (flags & O_CREAT) != 0 ? va_arg(args, int) : 0;
    va_end(args);
    return must_fail(CALL_OPEN) ? -1 : __real_open(path, flags, mode);
}

DECLARE(int, memfd_create, (const char *name, unsigned flags))
int __wrap_memfd_create(const char *name, unsigned flags)
{
    return must_fail(CALL_MEMFD) ? -1 : __real_memfd_create(name, flags);
}

DECLARE(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at))
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
    return must_fail(CALL_PWRITE) || is_interrupted() ? -1 : __real_pwrite(fd, p, piece(n), at);
}

DECLARE(ssize_t, pread, (int fd, void *p, size_t n, off_t at))
ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at)
{
    return must_fail(CALL_PREAD) || is_interrupted() ? -1 : __real_pread(fd, p, piece(n), at);
}

DECLARE(int, fcntl, (int fd, int command, ...))
int __wrap_fcntl(int fd, int command, ...)
{
    va_list args;
    va_start(args, command);
    int arg = va_arg(args, int);
    va_end(args);
    return must_fail(CALL_FCNTL) ? -1 : __real_fcntl(fd, command, arg);
}

/* --- helpers ---------------------------------------------------------------------------------------------------------- */

static char dir[64];
static unsigned char body[MEMORY * 2];

static void setup(void)
{
    snprintf(dir, sizeof(dir), "/tmp/test_spool.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    unsigned x = 1;
    for (size_t i = 0; i < sizeof(body); i++) {
        x = x * 1103515245u + 12345u;
        body[i] = (unsigned char) (x >> 16);
    }
}

static void teardown(void)
{
    ck_assert_msg(rmdir(dir) == 0, "something was left in %s", dir);
}

static struct sp_spool *new_spool(uint64_t memory, uint64_t max)
{
    struct sp_spool_limits limits = { .memory_bytes = memory, .max_bytes = max, .dir = dir };
    struct sp_spool *spool = NULL;
    ck_assert_int_eq(sp_spool_new(&limits, &spool), SP_OK);
    return spool;
}

static enum sp_status append(struct sp_spool *spool, size_t from, size_t n, struct sp_error *err)
{
    return sp_spool_append(spool, body + from, n, err);
}

static void fill(struct sp_spool *spool, size_t n, size_t chunk)
{
    struct sp_error err = { 0 };
    for (size_t done = 0; done < n; done += chunk) {
        enum sp_status status = append(spool, done, n - done < chunk ? n - done : chunk, &err);
        if (status != SP_OK)
            ck_abort_msg("append at %zu of %zu: %s", done, n, err.text);
    }
    ck_assert_uint_eq(sp_spool_size(spool), n);
}

static void expect_body(const struct sp_spool *spool, size_t n)
{
    static unsigned char out[sizeof(body) + 1];
    size_t got = 0;
    memset(out, 0xee, sizeof(out));
    ck_assert_int_eq(sp_spool_read(spool, 0, out, sizeof(out), &got), SP_OK);
    ck_assert_uint_eq(got, n);
    ck_assert_msg(memcmp(out, body, n) == 0, "other bytes");
    ck_assert_uint_eq(out[n], 0xee);
}

static unsigned count_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

enum where { ON_HEAP, IN_MEMFD, IN_FILE };

static enum where where_is(const struct sp_spool *sealed)
{
    struct sp_str bytes;
    if (sp_spool_bytes(sealed, &bytes)) {
        ck_assert_uint_eq(bytes.n, sp_spool_size(sealed));
        ck_assert_int_eq(sp_spool_fd(sealed), -1);
        return ON_HEAP;
    }
    int fd = sp_spool_fd(sealed);
    ck_assert_int_ge(fd, 0);
    return __real_fcntl(fd, F_GET_SEALS, 0) >= 0 ? IN_MEMFD : IN_FILE;
}

/* --- tiers ------------------------------------------------------------------------------------------------------------ */

START_TEST(tiers_and_borders)
{
    static const struct {
        size_t memory, n;
        enum where where;
    } cases[] = {
        { MEMORY, 0, ON_HEAP },
        { MEMORY, 1, ON_HEAP },
        { MEMORY, 1024, ON_HEAP },
        { MEMORY, HEAP_MAX - 1, ON_HEAP },
        { MEMORY, HEAP_MAX, ON_HEAP },
        { MEMORY, HEAP_MAX + 1, IN_MEMFD },
        { MEMORY, MEMORY - 1, IN_MEMFD },
        { MEMORY, MEMORY, IN_MEMFD },
        { MEMORY, MEMORY + 1, IN_FILE },
        { MEMORY, MEMORY * 2, IN_FILE },
        { HEAP_MAX, HEAP_MAX, ON_HEAP },
        { HEAP_MAX, HEAP_MAX + 1, IN_FILE }, /* no room for a memfd between the two */
        { 0, HEAP_MAX, ON_HEAP },
        { 0, HEAP_MAX + 1, IN_FILE },
    };
    static const size_t chunks[] = { SIZE_MAX / 2, 1, 4096, 65536, 65537 };
    unsigned fds = count_fds();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t c = 0; c < sizeof(chunks) / sizeof(chunks[0]); c++) {
            if (chunks[c] == 1 && cases[i].n > HEAP_MAX + 1)
                continue;
            struct sp_spool *spool = new_spool(cases[i].memory, UINT64_MAX);
            fill(spool, cases[i].n, chunks[c]);
            expect_body(spool, cases[i].n); /* before the seal */
            ck_assert_int_eq(sp_spool_seal(spool, NULL), SP_OK);
            ck_assert_msg(where_is(spool) == cases[i].where, "case %zu: tier %d", i, (int) where_is(spool));
            expect_body(spool, cases[i].n);
            sp_spool_free(&spool);
            ck_assert_ptr_null(spool);
            sp_spool_free(&spool);
        }
    }
    ck_assert_uint_eq(count_fds(), fds);
}
END_TEST

START_TEST(small_bodies_are_cheap)
{
    static const struct {
        size_t n, chunk;
        unsigned most;
    } cases[] = { { 1024, 1024, 1 }, { 1024, 100, 1 }, { 35 * 1024, 1024, 4 }, { 35 * 1024, 4096, 3 }, { 35 * 1024, 35 * 1024, 1 },
        { HEAP_MAX, 1, 4 } };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_spool *spool = new_spool(MEMORY, UINT64_MAX);
        n_reallocs = 0;
        size_t chunk = cases[i].chunk;
        for (size_t done = 0; done < cases[i].n; done += chunk)
            if (append(spool, done, cases[i].n - done < chunk ? cases[i].n - done : chunk, NULL) != SP_OK)
                ck_abort_msg("append");
        unsigned n = n_reallocs;
        ck_assert_msg(n <= cases[i].most, "case %zu: %u allocations", i, n);
        sp_spool_free(&spool);
    }
}
END_TEST

START_TEST(empty_appends_change_nothing)
{
    struct sp_spool *spool = new_spool(MEMORY, 10);
    ck_assert_int_eq(sp_spool_append(spool, NULL, 0, NULL), SP_OK);
    ck_assert_int_eq(append(spool, 0, 10, NULL), SP_OK);
    ck_assert_int_eq(sp_spool_append(spool, NULL, 0, NULL), SP_OK); /* at the cap too */
    expect_body(spool, 10);
    sp_spool_free(&spool);
}
END_TEST

START_TEST(cap_refuses_and_changes_nothing)
{
    static const size_t caps[] = { 0, 1, 1000, HEAP_MAX, HEAP_MAX + 1, MEMORY, MEMORY + 1 };
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        struct sp_spool *spool = new_spool(MEMORY, caps[i]);
        struct sp_error err = { 0 };
        fill(spool, caps[i], 4096);
        ck_assert_int_eq(append(spool, caps[i], 1, &err), SP_ERR_LIMIT);
        ck_assert_str_ne(err.text, "");
        ck_assert_int_eq(append(spool, 0, SIZE_MAX, NULL), SP_ERR_LIMIT); /* sums must not wrap */
        expect_body(spool, caps[i]);
        ck_assert_int_eq(sp_spool_seal(spool, NULL), SP_OK);
        expect_body(spool, caps[i]);
        sp_spool_free(&spool);
    }
    struct sp_spool *spool = new_spool(MEMORY, 1000);
    ck_assert_int_eq(append(spool, 0, 1001, NULL), SP_ERR_LIMIT);
    ck_assert_uint_eq(sp_spool_size(spool), 0);
    fill(spool, 1000, 1000);
    sp_spool_free(&spool);
}
END_TEST

START_TEST(read_at_all_offsets)
{
    static const size_t sizes[] = { 0, 1, 100, HEAP_MAX, HEAP_MAX + 7, MEMORY + 7 };
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct sp_spool *spool = new_spool(MEMORY, UINT64_MAX);
        fill(spool, sizes[i], 8192);
        ck_assert_int_eq(sp_spool_seal(spool, NULL), SP_OK);
        size_t step = sizes[i] > 1000 ? 997 : 1;
        for (size_t offset = 0; offset <= sizes[i] + 2 * step; offset += step) {
            unsigned char out[100];
            size_t got = 12345, left = offset < sizes[i] ? sizes[i] - offset : 0, want = left < sizeof(out) ? left : sizeof(out);
            enum sp_status status = sp_spool_read(spool, offset, out, sizeof(out), &got);
            if (status != SP_OK || got != want || (want > 0 && memcmp(out, body + offset, want) != 0))
                ck_abort_msg("size %zu, offset %zu: %d, %zu bytes", sizes[i], offset, (int) status, got);
        }
        size_t got = 1;
        ck_assert_int_eq(sp_spool_read(spool, UINT64_MAX, body, 1, &got), SP_OK);
        ck_assert_uint_eq(got, 0);
        sp_spool_free(&spool);
    }
}
END_TEST

/* --- handing over ----------------------------------------------------------------------------------------------------- */

START_TEST(receiver_cannot_change_it)
{
    static const size_t sizes[] = { HEAP_MAX + 1, MEMORY + 1 };
    for (size_t i = 0; i < 2; i++) {
        struct sp_spool *spool = new_spool(MEMORY, UINT64_MAX);
        fill(spool, sizes[i], 4096);
        ck_assert_int_eq(sp_spool_seal(spool, NULL), SP_OK);
        int fd = sp_spool_fd(spool);
        struct stat st;
        ck_assert_int_eq(fstat(fd, &st), 0);
        ck_assert_uint_eq((size_t) st.st_size, sizes[i]);
        ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 0); /* a receiver that just reads starts at the start */
        ck_assert_int_eq(write(fd, "x", 1), -1);
        ck_assert_int_eq(__real_pwrite(fd, "x", 1, (off_t) sizes[i]), -1);
        ck_assert_int_eq(ftruncate(fd, 1), -1);
        ck_assert_int_eq(ftruncate(fd, 1 << 24), -1);
        ck_assert_ptr_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
        ck_assert_int_ne(__real_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC, 0);
        void *map = mmap(NULL, sizes[i], PROT_READ, MAP_PRIVATE, fd, 0);
        ck_assert_ptr_ne(map, MAP_FAILED);
        ck_assert_int_eq(memcmp(map, body, sizes[i]), 0);
        munmap(map, sizes[i]);
        if (i == 0)
            ck_assert_int_eq(__real_fcntl(fd, F_GET_SEALS, 0), F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
        else
            ck_assert_int_eq(__real_fcntl(fd, F_GETFL, 0) & O_ACCMODE, O_RDONLY);
        expect_body(spool, sizes[i]);
        sp_spool_free(&spool);
    }
}
END_TEST

/* Only the owner may read what waits in the directory, and nobody finds it there by name. */
START_TEST(file_has_no_name)
{
    struct sp_spool *spool = new_spool(0, UINT64_MAX);
    fill(spool, HEAP_MAX + 1, 4096);
    ck_assert_int_eq(sp_spool_seal(spool, NULL), SP_OK);
    struct stat st, dir_st;
    ck_assert_int_eq(fstat(sp_spool_fd(spool), &st), 0);
    ck_assert_int_eq(stat(dir, &dir_st), 0);
    ck_assert_uint_eq(st.st_nlink, 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_msg(st.st_dev == dir_st.st_dev, "in another file system than the directory");
    sp_spool_free(&spool);
}
END_TEST

START_TEST(without_o_tmpfile)
{
    static const int errors[] = { EOPNOTSUPP, EISDIR };
    for (size_t i = 0; i < 2; i++) {
        struct sp_spool *spool = new_spool(0, UINT64_MAX);
        fill(spool, 10, 10);
        fail_at(CALL_OPEN, 0, errors[i]);
        ck_assert_int_eq(append(spool, 10, HEAP_MAX, NULL), SP_OK);
        ck_assert_int_eq(until_failure, -1);
        ck_assert_int_eq(sp_spool_seal(spool, NULL), SP_OK);
        ck_assert_int_eq(where_is(spool), IN_FILE);
        ck_assert_int_eq(write(sp_spool_fd(spool), "x", 1), -1);
        expect_body(spool, HEAP_MAX + 10);
        sp_spool_free(&spool);
    }
}
END_TEST

START_TEST(without_memfd)
{
    struct sp_spool *spool = new_spool(MEMORY, UINT64_MAX);
    fail_at(CALL_MEMFD, 0, ENOSYS);
    fill(spool, MEMORY, 10000);
    ck_assert_int_eq(sp_spool_seal(spool, NULL), SP_OK);
    ck_assert_int_eq(where_is(spool), IN_FILE);
    expect_body(spool, MEMORY);
    sp_spool_free(&spool);
}
END_TEST

/* --- failures --------------------------------------------------------------------------------------------------------- */

START_TEST(short_and_interrupted_calls)
{
    static const size_t pieces[] = { 1000, 4096, 16383 };
    for (size_t i = 0; i < 3; i++) {
        struct sp_spool *spool = new_spool(MEMORY, UINT64_MAX);
        piece_max = pieces[i];
        fill(spool, MEMORY * 2, 50000);
        ck_assert_int_eq(sp_spool_seal(spool, NULL), SP_OK);
        expect_body(spool, MEMORY * 2);
        piece_max = 0;
        sp_spool_free(&spool);
    }
}
END_TEST

static void expect_broken(struct sp_spool *spool, const char *text, const struct sp_error *err)
{
    unsigned char c;
    size_t got;
    ck_assert_msg(strstr(err->text, text) != NULL, "text \"%s\" without \"%s\"", err->text, text);
    ck_assert_int_eq(append(spool, 0, 1, NULL), SP_ERR_IO);
    ck_assert_int_eq(sp_spool_read(spool, 0, &c, 1, &got), SP_ERR_IO);
    ck_assert_int_eq(sp_spool_seal(spool, NULL), SP_ERR_IO);
    sp_spool_free(&spool);
}

START_TEST(disk_full_at_every_write)
{
    static const int errors[] = { ENOSPC, EDQUOT, EFBIG, EIO };
    unsigned fds = count_fds();
    for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
        int n = 0;
        for (enum sp_status status = SP_ERR_IO; status != SP_OK; n++) {
            struct sp_spool *spool = new_spool(MEMORY, UINT64_MAX);
            struct sp_error err = { 0 };
            status = SP_OK;
            fail_at(CALL_PWRITE, n, errors[e]);
            for (size_t done = 0; status == SP_OK && done < MEMORY * 2; done += 16384)
                status = append(spool, done, 16384, &err);
            if (status == SP_OK) {
                sp_spool_free(&spool);
                break;
            }
            ck_assert_int_eq(status, SP_ERR_IO);
            expect_broken(spool, strerror(errors[e]), &err);
        }
        ck_assert_int_gt(n, 20);
        fail_at(CALL_NONE, 0, 0);
    }
    ck_assert_uint_eq(count_fds(), fds);
}
END_TEST

/* The kernel's own limit: a short write first, then the failure. */
START_TEST(full_for_real)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    struct rlimit limit = { 100000, 100000 };
    sigaction(SIGXFSZ, &ignore, NULL);
    for (size_t memory = 0; memory <= MEMORY; memory += MEMORY) { /* a file, a memfd */
        struct sp_spool *spool = new_spool(memory, UINT64_MAX);
        struct sp_error err = { 0 };
        fill(spool, 90000, 1000);
        struct rlimit old;
        getrlimit(RLIMIT_FSIZE, &old);
        limit.rlim_max = old.rlim_max;
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        enum sp_status status = append(spool, 90000, 30000, &err); /* the first part still fits */
        setrlimit(RLIMIT_FSIZE, &old);
        ck_assert_int_eq(status, SP_ERR_IO);
        expect_broken(spool, strerror(EFBIG), &err);
    }
}
END_TEST

START_TEST(directory_is_bad)
{
    char file[128], deep[PATH_MAX + 10];
    snprintf(file, sizeof(file), "%s/file", dir);
    memset(deep, 'x', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    /* In /proc there is no O_TMPFILE, and nothing can be created by name either. */
    const char *const dirs[] = { "/nonexistent/dir", file, "/proc/self", deep, "" };
    close(__real_open(file, O_CREAT | O_WRONLY, 0600));
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
        struct sp_spool_limits limits = { .memory_bytes = 0, .max_bytes = UINT64_MAX, .dir = dirs[i] };
        struct sp_spool *spool = NULL;
        struct sp_error err = { 0 };
        ck_assert_int_eq(sp_spool_new(&limits, &spool), SP_OK);
        fill(spool, HEAP_MAX, HEAP_MAX); /* not needed yet */
        ck_assert_int_eq(append(spool, 0, 1, &err), SP_ERR_IO);
        expect_broken(spool, "spool directory", &err);
    }
    unlink(file);
}
END_TEST

START_TEST(each_call_fails)
{
    static const struct {
        enum call call;
        int error;
        size_t memory, n;
        enum sp_status append, seal;
        const char *text;
    } cases[] = {
        { CALL_REALLOC, ENOMEM, MEMORY, 100, SP_ERR_NOMEM, SP_OK, "no memory" },
        { CALL_OPEN, ENOSPC, 0, HEAP_MAX + 1, SP_ERR_IO, SP_OK, "spool directory" },
        { CALL_OPEN, EMFILE, 0, HEAP_MAX + 1, SP_ERR_IO, SP_OK, "spool directory" },
        { CALL_PREAD, EIO, MEMORY, MEMORY + 1, SP_ERR_IO, SP_OK, "memory" },
        { CALL_FCNTL, EPERM, MEMORY, MEMORY, SP_OK, SP_ERR_IO, "seal" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sp_spool *spool = new_spool(cases[i].memory, UINT64_MAX);
        struct sp_error err = { 0 };
        enum sp_status status = SP_OK;
        fail_at(cases[i].call, 0, cases[i].error);
        for (size_t done = 0; status == SP_OK && done < cases[i].n; done += 4096)
            status = append(spool, done, cases[i].n - done < 4096 ? cases[i].n - done : 4096, &err);
        ck_assert_msg(status == cases[i].append, "case %zu: append %d", i, (int) status);
        if (status == SP_OK) {
            ck_assert_msg(sp_spool_seal(spool, &err) == cases[i].seal, "case %zu: seal", i);
            expect_broken(spool, cases[i].text, &err);
            continue;
        }
        if (status == SP_ERR_IO) {
            expect_broken(spool, cases[i].text, &err);
            continue;
        }
        ck_assert_ptr_nonnull(strstr(err.text, cases[i].text)); /* no memory now, perhaps later */
        fill(spool, cases[i].n, cases[i].n);
        expect_body(spool, cases[i].n);
        sp_spool_free(&spool);
    }
    struct sp_spool_limits limits = { .memory_bytes = 0, .max_bytes = 1, .dir = dir };
    struct sp_spool *spool = (struct sp_spool *) dir;
    fail_at(CALL_CALLOC, 0, ENOMEM);
    ck_assert_int_eq(sp_spool_new(&limits, &spool), SP_ERR_NOMEM);
    ck_assert_ptr_null(spool);
}
END_TEST

START_TEST(reopening_fails)
{
    struct sp_spool *spool = new_spool(0, UINT64_MAX);
    struct sp_error err = { 0 };
    fill(spool, HEAP_MAX + 1, 4096);
    fail_at(CALL_OPEN, 0, EMFILE);
    ck_assert_int_eq(sp_spool_seal(spool, &err), SP_ERR_IO);
    expect_broken(spool, strerror(EMFILE), &err);
}
END_TEST

/* Bytes missing inside the body must not look like its end. */
START_TEST(read_failures_are_told)
{
    static unsigned char out[MEMORY * 2];
    size_t got = 1;
    struct sp_spool *spool = new_spool(0, UINT64_MAX);
    fill(spool, MEMORY, 4096);
    fail_at(CALL_PREAD, 0, EIO);
    ck_assert_int_eq(sp_spool_read(spool, 0, out, sizeof(out), &got), SP_ERR_IO);
    ck_assert_uint_eq(got, 0);
    expect_body(spool, MEMORY); /* only that call */
    sp_spool_free(&spool);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("spool");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, tiers_and_borders);
    tcase_add_test(c, small_bodies_are_cheap);
    tcase_add_test(c, empty_appends_change_nothing);
    tcase_add_test(c, cap_refuses_and_changes_nothing);
    tcase_add_test(c, read_at_all_offsets);
    tcase_add_test(c, receiver_cannot_change_it);
    tcase_add_test(c, file_has_no_name);
    tcase_add_test(c, without_o_tmpfile);
    tcase_add_test(c, without_memfd);
    tcase_add_test(c, short_and_interrupted_calls);
    tcase_add_test(c, disk_full_at_every_write);
    tcase_add_test(c, full_for_real);
    tcase_add_test(c, directory_is_bad);
    tcase_add_test(c, each_call_fails);
    tcase_add_test(c, reopening_fails);
    tcase_add_test(c, read_failures_are_told);
    return unit_run("spool", c);
}
