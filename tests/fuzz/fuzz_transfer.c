/* Transfer encodings on hostile bytes. Byte 0 picks the encoding, byte 1 how the input is cut, byte 2 how much room there is for what
 * comes out; the rest is the input. Whole and in pieces it must come out the same. */
#include "config.h"

#include "../../service/core/split_priv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Returns how many bytes came out. */
static size_t run(uint8_t pick, const uint8_t *p, size_t n, size_t chunk, size_t cap, char *out)
{
    static const enum sp_transfer_kind kinds[] = { SP_TRANSFER_BASE64, SP_TRANSFER_QUOTED_PRINTABLE, SP_TRANSFER_PERCENT,
        SP_TRANSFER_PERCENT, SP_TRANSFER_IDENTITY };
    struct sp_transfer t;
    char *room = malloc(cap), rest[8]; /* not a byte more, so that writing past the end is seen */
    size_t total = 0, done = 0;
    if (room == NULL)
        abort();
    sp_transfer_init(&t, kinds[pick % 5]);
    t.plus_is_space = pick % 5 == 3;
    while (done < n) {
        size_t used = 0, made = 0, piece = n - done < chunk ? n - done : chunk;
        sp_transfer_step(&t, (const char *) p + done, piece, &used, room, cap, &made);
        if (used == 0 || used > piece || made > cap || total + made > n)
            abort();
        memcpy(out + total, room, made);
        total += made;
        done += used;
    }
    size_t n_rest = sp_transfer_finish(&t, rest);
    if (n_rest > sizeof(rest) || total + n_rest > n)
        abort();
    memcpy(out + total, rest, n_rest);
    free(room);
    return total + n_rest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    struct sp_str name = { (const char *) data + 3, size - 3 };
    enum sp_transfer_kind kind;
    if (!sp_transfer_parse(name, &kind) && kind != SP_TRANSFER_IDENTITY)
        abort();

    size_t n = size - 3;
    char *whole = malloc(n + 1), *pieces = malloc(n + 1);
    if (whole == NULL || pieces == NULL)
        abort();
    size_t a = run(data[0], data + 3, n, SIZE_MAX, n + 8, whole);
    size_t b = run(data[0], data + 3, n, 1u + data[1] % 16u, 8u + data[2] % 32u, pieces);
    if (a != b || memcmp(whole, pieces, a) != 0)
        abort();
    free(whole);
    free(pieces);
    return 0;
}
