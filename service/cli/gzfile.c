/* Members of a gzip file, one behind the other. gzread() would do, but for a file that is damaged: it drops up to a whole buffer of good
 * data before the damage, takes a file without gzip's first bytes for plain text, and ends without a word where another member should
 * begin and does not. */
#include "config.h"

#include "gzfile.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define INPUT_BYTES (128u * 1024u)
#define WINDOW_OF_GZIP (15 + 16) /* the largest window, and gzip's head and checksum */
#define MAGIC_BYTES 2

enum place { AT_START, IN_MEMBER, BEHIND_MEMBER, AT_END };

struct sp_gzfile {
    int fd;
    enum place place;
    bool is_over; /* the file has no more bytes than those held */
    uint64_t taken;
    const char *fault; /* NULL: none yet */
    z_stream stream;   /* next_in, avail_in: what is held of the file */
    unsigned char input[INPUT_BYTES];
};

struct sp_gzfile *sp_gzfile_new(int fd)
{
    struct sp_gzfile *file = calloc(1, sizeof(*file));
    if (!file)
        return NULL;
    file->fd = fd;
    file->stream.next_in = file->input;
    if (inflateInit2(&file->stream, WINDOW_OF_GZIP) != Z_OK) {
        free(file);
        return NULL;
    }
    return file;
}

void sp_gzfile_free(struct sp_gzfile **file)
{
    if (*file)
        inflateEnd(&(*file)->stream);
    free(*file);
    *file = NULL;
}

uint64_t sp_gzfile_taken(const struct sp_gzfile *file)
{
    return file->taken;
}

static void drop(struct sp_gzfile *file, unsigned n)
{
    file->stream.next_in += n;
    file->stream.avail_in -= n;
    file->taken += n;
}

/* Holds at least so many bytes, if the file has them. False: it cannot be read. */
static bool hold(struct sp_gzfile *file, unsigned wanted)
{
    z_stream *s = &file->stream;
    if (s->avail_in >= wanted || file->is_over)
        return true;
    memmove(file->input, s->next_in, s->avail_in);
    s->next_in = file->input;
    while (s->avail_in < wanted && !file->is_over) {
        const ssize_t n = read(file->fd, file->input + s->avail_in, sizeof(file->input) - s->avail_in);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            file->fault = strerror(errno);
            return false;
        }
        file->is_over = n == 0;
        s->avail_in += (unsigned) n;
    }
    return true;
}

/* The start of a member, or the end of all. Zeros behind the last one are padding to gzip(1) too. */
static void begin_member(struct sp_gzfile *file)
{
    z_stream *s = &file->stream;
    if (!hold(file, MAGIC_BYTES))
        return;
    if (file->place == BEHIND_MEMBER && s->avail_in > 0 && *s->next_in == '\0') {
        unsigned zeros = 0;
        while (zeros < s->avail_in && s->next_in[zeros] == '\0')
            zeros++;
        drop(file, zeros);
    } else if (s->avail_in >= MAGIC_BYTES && s->next_in[0] == 0x1f && s->next_in[1] == 0x8b) {
        file->place = IN_MEMBER;
        if (inflateReset(s) != Z_OK)
            file->fault = "out of memory";
    } else if (s->avail_in > 0) {
        file->fault = file->place == AT_START ? "not packed by gzip" : "something that gzip did not pack stands behind what it did";
    } else {
        file->place = AT_END;
    }
}

static void inflate_some(struct sp_gzfile *file)
{
    z_stream *s = &file->stream;
    if (!hold(file, 1))
        return;
    const unsigned before = s->avail_in, room = s->avail_out;
    const int code = inflate(s, Z_NO_FLUSH);
    file->taken += before - s->avail_in;
    if (code == Z_STREAM_END)
        file->place = BEHIND_MEMBER;
    else if (code == Z_MEM_ERROR)
        file->fault = "out of memory";
    else if (code != Z_OK && code != Z_BUF_ERROR)
        file->fault = s->msg ? s->msg : "damaged";
    else if (s->avail_in == 0 && file->is_over && s->avail_out == room)
        file->fault = "it ends too early";
}

const char *sp_gzfile_read(struct sp_gzfile *file, char *to, size_t room, size_t *n_out)
{
    z_stream *s = &file->stream;
    s->next_out = (unsigned char *) to;
    s->avail_out = room < UINT32_MAX ? (unsigned) room : UINT32_MAX;
    const unsigned whole = s->avail_out;
    while (s->avail_out > 0 && !file->fault && file->place != AT_END) {
        if (file->place == IN_MEMBER)
            inflate_some(file);
        else
            begin_member(file);
    }
    *n_out = whole - s->avail_out;
    return file->fault;
}
