/* Any bytes as a file of the decision log, plain, as a .gz file, and packed whole by gzip. The first byte says which; what is plain in
 * the end gives exactly the lines that a simple loop finds. 0xff stands for 100,000 letters, so that lines grow too long. */
#include "config.h"

#include "fuzz_kit.h"

#include "cli/logfile.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#define LONGEST (256u * 1024u)
#define LETTERS 100000u
#define MAX_GROWN 12

enum form { PLAIN, AS_GZIP, PACKED, FORMS };

struct expected {
    const char *p, *end;
    uint64_t too_long;
};

/* The next line of a simple loop; false: there is none. */
static bool next_line(struct expected *e, struct sp_str *out)
{
    while (e->p < e->end) {
        const char *newline = memchr(e->p, '\n', (size_t) (e->end - e->p));
        const char *stop = newline ? newline : e->end;
        *out = (struct sp_str){ e->p, (size_t) (stop - e->p) };
        e->p = newline ? newline + 1 : e->end;
        if (out->n > LONGEST)
            e->too_long++;
        else if (out->n > 0)
            return true;
    }
    return false;
}

struct taken {
    struct expected *expected; /* or NULL */
    unsigned left;             /* lines until no more are wanted */
};

static bool take(void *arg, struct sp_str line)
{
    struct taken *t = arg;
    struct sp_str want;
    require(t->left > 0 && line.n > 0 && line.n <= LONGEST && !memchr(line.p, '\n', line.n));
    require(!t->expected || (next_line(t->expected, &want) && sp_str_equal(want, line)));
    return --t->left > 0;
}

static bool read_file(const char *name, const char *p, size_t n, struct taken *taken, uint64_t *too_long)
{
    const int fd = memfd_create("log", MFD_CLOEXEC);
    require(fd >= 0 && write(fd, p, n) == (ssize_t) n);
    char path[16];
    struct sp_logfile file = { .path = strcpy(path, name), .fd = fd, .bytes = n };
    const bool is_good = sp_logfile_read(&file, take, taken, NULL, too_long);
    close(fd);
    return is_good;
}

static void expect_lines(const char *name, const char *file, size_t n_file, const char *text, size_t n)
{
    struct expected e = { text, text + n, 0 };
    struct taken taken = { &e, UINT32_MAX };
    struct sp_str rest;
    uint64_t too_long = 0;
    require(read_file(name, file, n_file, &taken, &too_long));
    require(!next_line(&e, &rest) && too_long == e.too_long);
    taken = (struct taken){ NULL, 2 };
    require(read_file(name, file, n_file, &taken, &too_long));
}

static char *grow(const uint8_t *data, size_t size, size_t *n_out)
{
    char *text = malloc(size + MAX_GROWN * LETTERS + 1);
    size_t n = 0;
    require(text != NULL);
    for (size_t i = 0, grown = 0; i < size; i++) {
        const bool is_grown = data[i] == 0xff && grown++ < MAX_GROWN;
        memset(text + n, is_grown ? 'x' : data[i], is_grown ? LETTERS : 1);
        n += is_grown ? LETTERS : 1;
    }
    *n_out = n;
    return text;
}

static void expect_packed(const char *text, size_t n)
{
    z_stream s = { .next_in = (Bytef *) (uintptr_t) text, .avail_in = (uInt) n };
    require(deflateInit2(&s, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    const size_t room = deflateBound(&s, n) + 64;
    char *packed = malloc(room);
    require(packed != NULL);
    s.next_out = (Bytef *) packed;
    s.avail_out = (uInt) room;
    require(deflate(&s, Z_FINISH) == Z_STREAM_END);
    const size_t size = room - s.avail_out;
    deflateEnd(&s);
    expect_lines("log.1.gz", packed, size, text, n);
    free(packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t n;
    char *text = grow(data + 1, size - 1, &n);
    struct taken taken = { NULL, UINT32_MAX };
    uint64_t too_long = 0;
    switch ((enum form) (data[0] % FORMS)) {
    case PLAIN:
        expect_lines("log.1", text, n, text, n);
        break;
    case AS_GZIP:
        (void) read_file("log.1.gz", (const char *) data + 1, size - 1, &taken, &too_long);
        break;
    case PACKED:
    case FORMS:
        expect_packed(text, n);
        break;
    }
    free(text);
    return 0;
}
