/* Objects inside hostile bodies. Byte 0 picks the Content-Type (or says that the first line is it), byte 1 how the body is cut; the
 * rest is the body. It is split whole and in pieces: the result and what came out must be the same unless a cap ended it. */
#include "config.h"

#include "sallyport/split.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_PARTS 200

/* Objects of different depths interleave, so each depth has its own sum. */
struct sums {
    uint64_t n[SP_SPLIT_MAX_DEPTH];    /* bytes of the open object, plus 1; 0: none is open */
    uint64_t hash[SP_SPLIT_MAX_DEPTH]; /* FNV-1a of all objects and their ends */
};

static void add(struct sums *s, unsigned depth, unsigned value)
{
    s->hash[depth] = (s->hash[depth] ^ value) * 1099511628211u;
}

static enum sp_status on_begin(void *arg, unsigned depth)
{
    struct sums *s = arg;
    if (depth >= SP_SPLIT_MAX_DEPTH || s->n[depth] != 0)
        abort();
    s->n[depth] = 1;
    return SP_OK;
}

static enum sp_status on_bytes(void *arg, unsigned depth, const void *p, size_t n)
{
    struct sums *s = arg;
    const unsigned char *bytes = p;
    if (depth >= SP_SPLIT_MAX_DEPTH || s->n[depth] == 0 || n == 0)
        abort();
    for (size_t i = 0; i < n; i++)
        add(s, depth, bytes[i]);
    s->n[depth] += n;
    return SP_OK;
}

static enum sp_status on_end(void *arg, unsigned depth)
{
    struct sums *s = arg;
    if (depth >= SP_SPLIT_MAX_DEPTH || s->n[depth] <= 1)
        abort();
    add(s, depth, 256);
    s->n[depth] = 0;
    return SP_OK;
}

static enum sp_split_result run(struct sp_str type, const uint8_t *p, size_t n, size_t chunk, struct sums *sums)
{
    struct sp_field field = { SP_STR("Content-Type"), type };
    struct sp_message msg = { .kind = SP_MESSAGE_RESPONSE, .fields = &field, .n_fields = 1, .cap_fields = 1 };
    struct sp_split_limits limits = { .max_depth = SP_SPLIT_MAX_DEPTH,
        .max_parts = MAX_PARTS,
        .decode = { .max_layers = 3, .max_output_bytes = 256 * 1024, .max_ratio = 1000 } };
    struct sp_split_sink sink = { sums, on_begin, on_bytes, on_end };
    struct sp_error detail = { 0 };
    struct sp_split *split = NULL;

    memset(sums, 0, sizeof(*sums));
    enum sp_split_result result = sp_split_new(&msg, &limits, &sink, &detail, &split);
    for (size_t done = 0; result == SP_SPLIT_OK && done < n; done += chunk)
        result = sp_split_feed(split, p + done, n - done < chunk ? n - done : chunk, &detail);
    if (result == SP_SPLIT_OK)
        result = sp_split_finish(split, &detail);
    if ((result == SP_SPLIT_OK) != (detail.text[0] == '\0'))
        abort();
    sp_split_free(&split);
    for (size_t depth = 0; depth < SP_SPLIT_MAX_DEPTH; depth++)
        if (sums->n[depth] != 0 && result < SP_SPLIT_LIMIT)
            abort();
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = { "multipart/mixed; boundary=b", "multipart/form-data; boundary=\"--\"",
        "multipart/related; boundary=----abab", "application/x-www-form-urlencoded", "application/json", "text/html", "text/css" };
    struct sums whole, pieces;
    if (size < 2)
        return 0;
    size_t pick = data[0] % (sizeof(types) / sizeof(types[0]) + 1), chunk = 1u + data[1] % 64u;
    struct sp_str type = pick > 0 ? sp_str_from(types[pick - 1]) : (struct sp_str){ 0 };
    data += 2;
    size -= 2;
    if (pick == 0) {
        const uint8_t *line = memchr(data, '\n', size);
        if (line == NULL)
            return 0;
        type = (struct sp_str){ (const char *) data, (size_t) (line - data) };
        size -= type.n + 1;
        data = line + 1;
    }
    enum sp_split_result a = run(type, data, size, SIZE_MAX / 2, &whole);
    enum sp_split_result b = run(type, data, size, chunk, &pieces);
    if (a != b || (a < SP_SPLIT_LIMIT && memcmp(&whole, &pieces, sizeof(whole)) != 0))
        abort();
    return 0;
}
