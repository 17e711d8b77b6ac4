/* The chain of content codings on hostile bytes. Byte 0 picks the header, byte 1 how the body is cut; the rest is the body. The body is
 * decoded whole and in pieces: whether it may pass, and what came out if so, must be the same. */
#include "config.h"

#include "sallyport/decode.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_OUTPUT (256u * 1024u)

struct sum {
    uint64_t hash; /* FNV-1a */
    uint64_t n;
};

static enum sp_status sink(void *arg, const void *p, size_t n)
{
    struct sum *sum = arg;
    const unsigned char *bytes = p;
    for (size_t i = 0; i < n; i++)
        sum->hash = (sum->hash ^ bytes[i]) * 1099511628211u;
    sum->n += n;
    if (n == 0 || sum->n > MAX_OUTPUT)
        abort();
    return SP_OK;
}

static enum sp_decode_result decode(const char *codings, const uint8_t *p, size_t n, size_t chunk, struct sum *sum)
{
    struct sp_field field = { SP_STR("Content-Encoding"), sp_str_from(codings) };
    struct sp_message msg = { .kind = SP_MESSAGE_RESPONSE, .fields = &field, .n_fields = 1 };
    struct sp_decode_limits limits = { .max_layers = 4, .max_output_bytes = MAX_OUTPUT, .max_ratio = 100000 };
    struct sp_error detail = { 0 };
    struct sp_decode *chain = NULL;

    *sum = (struct sum){ .hash = 14695981039346656037u };
    enum sp_decode_result result = sp_decode_new(&msg, &limits, sink, sum, &detail, &chain);
    for (size_t done = 0; result == SP_DECODE_OK && done < n; done += chunk)
        result = sp_decode_feed(chain, p + done, n - done < chunk ? n - done : chunk, &detail);
    if (result == SP_DECODE_OK)
        result = sp_decode_finish(chain, &detail);
    if ((result == SP_DECODE_OK) != (detail.text[0] == '\0'))
        abort();
    sp_decode_free(&chain);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const codings[] = { "gzip", "deflate", "br", "zstd", "gzip, gzip", "gzip, br", "br, gzip", "zstd, deflate",
        "deflate, zstd", "deflate, gzip", "identity", "br, br" };
    if (size < 2)
        return 0;
    const char *name = codings[data[0] % (sizeof(codings) / sizeof(codings[0]))];
    size_t chunk = 1u + data[1] % 64u;
    struct sum whole, pieces;
    enum sp_decode_result a = decode(name, data + 2, size - 2, SIZE_MAX / 2, &whole);
    enum sp_decode_result b = decode(name, data + 2, size - 2, chunk, &pieces);
    if ((a == SP_DECODE_OK) != (b == SP_DECODE_OK))
        abort();
    if (a == SP_DECODE_OK && (whole.n != pieces.n || whole.hash != pieces.hash))
        abort();
    return 0;
}
