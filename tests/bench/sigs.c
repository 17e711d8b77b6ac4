/* Writes a directory of made-up ClamAV signatures that costs memory and matching time like the real ones: mostly hashes of whole
 * files and sections, some body patterns, and the EICAR test file so that every contestant can be seen to scan.
 *
 *   sigs DIR HASHES PATTERNS */
#include "config.h"

#include "common.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 1;

static uint64_t next_random(void)
{
    return bench_mix(state++);
}

static FILE *create(const char *dir, const char *name)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int) sizeof path)
        bench_die("path too long");
    FILE *f = fopen(path, "w");
    if (!f)
        bench_die(path);
    return f;
}

static void finish(FILE *f)
{
    if (ferror(f) || fclose(f) != 0)
        bench_die("writing signatures");
}

static void put_hex(FILE *f, size_t bytes)
{
    char digits[BENCH_STAMP_DIGITS];
    for (size_t i = 0; i < bytes; i += 8) {
        bench_hex(digits, next_random());
        fwrite(digits, 1, bytes - i >= 8 ? sizeof digits : 2 * (bytes - i), f);
    }
}

/* File sizes spread evenly over the logarithm from 64 bytes to 4 MB, so that as with the real databases nearly every small size
 * has a hash and the engine must compute it. */
static unsigned file_size(void)
{
    unsigned bits = 6 + (unsigned) (next_random() % 16);
    return (1u << bits) + (unsigned) (next_random() % (1u << bits));
}

static void write_hashes(const char *dir, unsigned long n)
{
    FILE *hsb = create(dir, "bench.hsb"), *hdb = create(dir, "bench.hdb"), *mdb = create(dir, "bench.mdb");
    for (unsigned long i = 0; i < n; i++) {
        switch (i % 10) {
        case 0:
        case 1:
        case 2:
        case 3:
            fprintf(mdb, "%u:", file_size());
            put_hex(mdb, 16);
            fprintf(mdb, ":Bench.Section-%lu\n", i);
            break;
        case 4:
        case 5:
            put_hex(hdb, 16);
            fprintf(hdb, ":%u:Bench.Hash-%lu\n", file_size(), i);
            break;
        default:
            put_hex(hsb, 32);
            fprintf(hsb, ":%u:Bench.Sha-%lu:73\n", file_size(), i);
        }
    }
    finish(hsb);
    finish(hdb);
    finish(mdb);
}

/* A word or a few random letters: what patterns for scripts and pages are made of. */
static void put_letters(FILE *f, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        fprintf(f, "%02x", "abcdefghijklmnopqrstuvwxyz0123456789_=(\"./;"[next_random() % 43]);
}

static void put_pattern(FILE *f, int letters)
{
    if (letters)
        put_letters(f, 12 + (unsigned) (next_random() % 40));
    else
        put_hex(f, 12 + next_random() % 60);
}

/* Half of the patterns may stand in any file, the rest only in programs, pages and text. One in eight has a gap. */
static void write_patterns(const char *dir, unsigned long n)
{
    static const int targets[] = { 0, 0, 0, 0, 1, 1, 3, 7 };
    FILE *f = create(dir, "bench.ndb");
    for (unsigned long i = 0; i < n; i++) {
        int target = targets[next_random() % 8], letters = target == 3 || target == 7;
        fprintf(f, "Bench.Pattern-%lu:%d:*:", i, target);
        put_pattern(f, letters);
        switch (next_random() % 16) {
        case 0:
            fprintf(f, "{%u-%u}", (unsigned) (next_random() % 8), 16 + (unsigned) (next_random() % 64));
            put_pattern(f, letters);
            break;
        case 1:
            fputs("\?\?\?\?", f);
            put_pattern(f, letters);
            break;
        }
        fputc('\n', f);
    }
    finish(f);
}

static void write_eicar(const char *dir)
{
    char eicar[BENCH_EICAR_BYTES];
    FILE *f = create(dir, "eicar.ndb");
    bench_eicar(eicar);
    fputs("Eicar-Test-Signature:0:*:", f);
    for (size_t i = 0; i < sizeof eicar; i++)
        fprintf(f, "%02x", (unsigned char) eicar[i]);
    fputc('\n', f);
    finish(f);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("usage: sigs DIR HASHES PATTERNS\n", stderr);
        return 2;
    }
    write_hashes(argv[1], strtoul(argv[2], NULL, 10));
    write_patterns(argv[1], strtoul(argv[3], NULL, 10));
    write_eicar(argv[1]);
    return 0;
}
