/* Lines of log files, plain and packed: cut at each offset, damaged, with something behind them, too long, and of a bomb. What stands
 * before a fault is read, to the byte; a fault is told. */
#include "config.h"

#include "unit.h"

#include "logfile.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#define LONGEST (256u * 1024u)
#define MIB (1024u * 1024u)
#define BLOCK 65535u /* of data that deflate only stores */
#define HEAD_BYTES 10
#define TRAILER_BYTES 8
#define BOMB_MIB 256u
#define MEMORY_KIB (24 * 1024) /* that the bomb may take: the reader's own is a tenth of it */

struct bytes {
    char *p;
    size_t n;
};

struct seen {
    size_t lines, bytes;
    uint64_t too_long;
    struct bytes text; /* what is expected, whole lines */
};

static bool take(void *arg, struct sp_str line)
{
    struct seen *s = arg;
    s->lines++;
    if (s->text.p) {
        const char *want = s->text.p + s->bytes;
        ck_assert_msg(s->bytes + line.n <= s->text.n && memcmp(want, line.p, line.n) == 0, "line %zu is another one", s->lines);
    }
    s->bytes += line.n + 1;
    return true;
}

static bool read_bytes(const char *name, const char *p, size_t n, struct seen *s)
{
    char path[16];
    const int fd = memfd_create("log", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, p, n), (ssize_t) n);
    struct sp_logfile file = { .path = strcpy(path, name), .fd = fd, .bytes = n };
    s->lines = s->bytes = 0;
    s->too_long = 0;
    const bool is_good = sp_logfile_read(&file, take, s, NULL, &s->too_long);
    close(fd);
    return is_good;
}

static bool read_packed(const struct bytes *packed, struct seen *s)
{
    return read_bytes("log.1.gz", packed->p, packed->n, s);
}

/* Lines of all lengths up to 100, with NULs and whatever else in them. */
static struct bytes make_text(size_t n)
{
    struct bytes text = { malloc(n), n };
    uint32_t seed = 1;
    ck_assert_ptr_nonnull(text.p);
    for (size_t i = 0, left = 50; i < n; i++, left--) {
        seed = seed * 1664525 + 1013904223;
        text.p[i] = left == 0 || i + 1 == n ? '\n' : (char) (seed >> 24 == '\n' ? 'x' : seed >> 24);
        if (left == 0)
            left = 2 + seed % 99;
    }
    if (n > 1 && text.p[n - 2] == '\n')
        text.p[n - 2] = 'x';
    return text;
}

static struct bytes pack(const struct bytes *text, int level)
{
    z_stream s = { .next_in = (Bytef *) text->p, .avail_in = (uInt) text->n };
    ck_assert_int_eq(deflateInit2(&s, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    const size_t room = deflateBound(&s, text->n) + 64;
    struct bytes out = { malloc(room), 0 };
    ck_assert_ptr_nonnull(out.p);
    s.next_out = (Bytef *) out.p;
    s.avail_out = (uInt) room;
    ck_assert_int_eq(deflate(&s, Z_FINISH), Z_STREAM_END);
    out.n = room - s.avail_out;
    deflateEnd(&s);
    return out;
}

static struct bytes join(const struct bytes *a, const char *p, size_t n)
{
    struct bytes out = { malloc(a->n + n + 1), a->n + n };
    ck_assert_ptr_nonnull(out.p);
    memcpy(out.p, a->p, a->n);
    memcpy(out.p + a->n, p, n);
    return out;
}

START_TEST(cut)
{
    struct bytes text = make_text(6000), packed = pack(&text, 9);
    struct seen s = { .text = text };
    size_t most = 0;
    for (size_t n = 0; n <= text.n; n++) {
        ck_assert(read_bytes("log", text.p, n, &s));
        ck_assert_uint_eq(s.bytes, n + (n > 0 && text.p[n - 1] != '\n'));
    }
    for (size_t n = 0; n <= packed.n; n++) {
        ck_assert_msg(read_bytes("log.1.gz", packed.p, n, &s) == (n == 0 || n == packed.n), "cut at %zu of %zu", n, packed.n);
        ck_assert_msg(s.bytes >= most, "%zu bytes of the packed file give less than fewer do", n);
        most = s.bytes;
        ck_assert(n + TRAILER_BYTES < packed.n || s.bytes == text.n);
    }
    free(text.p);
    free(packed.p);
}
END_TEST

/* Three megabytes that are only stored: which of them stand before the damage is known to the byte. */
START_TEST(damaged)
{
    struct bytes text = make_text(3 * MIB), packed = pack(&text, 0);
    struct seen s = { .text = text };
    ck_assert(read_packed(&packed, &s));
    ck_assert_uint_eq(s.bytes, text.n);
    size_t at = HEAD_BYTES, before = 0;
    for (unsigned i = 0; at + 5 < packed.n - TRAILER_BYTES; i++) {
        const size_t n = (unsigned char) packed.p[at + 1] | (size_t) (unsigned char) packed.p[at + 2] << 8;
        if (i % 7 == 3) {
            packed.p[at] ^= 6; /* a kind of block that there is not */
            ck_assert_msg(!read_packed(&packed, &s), "damage in block %u is not told", i);
            ck_assert_msg(s.bytes >= before && s.bytes <= before + 1, "block %u is damaged: %zu bytes, not %zu", i, s.bytes, before);
            packed.p[at] ^= 6;
        }
        before += n;
        at += 5 + n;
    }
    packed.p[packed.n - TRAILER_BYTES] ^= 1;
    ck_assert(!read_packed(&packed, &s));
    ck_assert_uint_eq(s.bytes, text.n);
    free(text.p);
    free(packed.p);
}
END_TEST

START_TEST(members)
{
    static const char zeros[700000], rubbish[] = "rubbish", half[] = "\x1f";
    struct bytes text = make_text(3000), packed = pack(&text, 6), twice_text = join(&text, text.p, text.n);
    struct bytes twice = join(&packed, packed.p, packed.n), padded = join(&packed, zeros, sizeof(zeros));
    struct seen one = { .text = text }, two = { .text = twice_text };
    ck_assert(read_packed(&twice, &two));
    ck_assert_uint_eq(two.bytes, twice_text.n);
    ck_assert(read_packed(&padded, &one));
    ck_assert_uint_eq(one.bytes, text.n);
    twice.p[packed.n] ^= 1; /* the second one begins with nothing of gzip's */
    struct bytes behind[] = { twice, join(&packed, rubbish, sizeof(rubbish)), join(&packed, half, 1), join(&padded, rubbish, 1) };
    for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
        ck_assert_msg(!read_packed(&behind[i], &one), "what stands behind is not told: %zu", i);
        ck_assert_uint_eq(one.bytes, text.n);
        free(behind[i].p);
    }
    ck_assert(!read_packed(&text, &one) && !read_bytes("log.gz", "\x1f", 1, &one));
    ck_assert(!read_bytes("log.gz", zeros, sizeof(zeros), &one));
    ck_assert_uint_eq(one.lines, 0);
    free(text.p);
    free(packed.p);
    free(twice_text.p);
    free(padded.p);
}
END_TEST

/* Before, at and behind the longest; beside borders of the reader's buffer; with an end and without. */
START_TEST(long_lines)
{
    static const size_t lengths[] = { 1, LONGEST, LONGEST + 1, MIB - 1, MIB, MIB + 1, MIB + LONGEST, 2 * MIB, 5 * MIB };
    char *text = malloc(5 * MIB + 8);
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        const size_t n = lengths[i];
        const bool is_long = n > LONGEST;
        struct seen s = { 0 };
        memcpy(text, "a\n", 2);
        memset(text + 2, 'x', n);
        memcpy(text + 2 + n, "\nb\n", 3);
        const size_t ends[] = { n + 2, n + 3, n + 5 };
        for (size_t e = 0; e < 3; e++) {
            ck_assert(read_bytes("log", text, ends[e], &s));
            ck_assert_msg(s.too_long == is_long, "a line of %zu, end %zu: %d too long", n, e, (int) s.too_long);
            ck_assert_uint_eq(s.lines, 1 + !is_long + (e == 2));
        }
    }
    free(text);
}
END_TEST

START_TEST(bomb)
{
    struct bytes text = { calloc(BOMB_MIB, MIB), (size_t) BOMB_MIB * MIB };
    ck_assert_ptr_nonnull(text.p);
    struct bytes packed = pack(&text, 1);
    free(text.p);
    const int fd = memfd_create("log", MFD_CLOEXEC);
    ck_assert_int_eq(write(fd, packed.p, packed.n), (ssize_t) packed.n);
    free(packed.p);
    pid_t pid = fork(); /* a process of its own, whose highest use of memory is not that of packing */
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        char path[] = "log.gz";
        struct sp_logfile file = { .path = path, .fd = fd };
        struct seen s = { 0 };
        struct rusage before, after;
        getrusage(RUSAGE_SELF, &before);
        const bool is_good = sp_logfile_read(&file, take, &s, NULL, &s.too_long);
        getrusage(RUSAGE_SELF, &after);
        _exit(is_good && s.too_long == 1 && s.lines == 0 && after.ru_maxrss - before.ru_maxrss < MEMORY_KIB ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    close(fd);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("logfile");
    tcase_add_test(tc, cut);
    tcase_add_test(tc, damaged);
    tcase_add_test(tc, members);
    tcase_add_test(tc, long_lines);
    tcase_add_test(tc, bomb);
    return unit_run("logfile", tc);
}
