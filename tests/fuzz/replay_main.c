/* Runs a fuzz target over files instead of under a fuzzer: each argument is a file, or a folder whose files are taken recursively.
 * Prints how many; fails if there was none or one could not be read. */
#include "config.h"

#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_OPEN_FOLDERS 16

static unsigned long n_files, n_errors; /* nftw has no argument for its callback */

static void replay(const char *path, size_t size)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(size > 0 ? size : 1); /* not a byte more, so that reading past the end is seen */
    if (f == NULL || data == NULL || fread(data, 1, size, f) != size) {
        fprintf(stderr, "%s: cannot read\n", path);
        n_errors++;
    } else {
        LLVMFuzzerTestOneInput(data, size);
        n_files++;
    }
    free(data);
    if (f != NULL)
        fclose(f);
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *place)
{
    (void) place;
    if (type == FTW_F) {
        replay(path, (size_t) st->st_size);
    } else if (type != FTW_D) {
        fprintf(stderr, "%s: cannot read\n", path);
        n_errors++;
    }
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (nftw(argv[i], visit, MAX_OPEN_FOLDERS, 0) != 0) {
            perror(argv[i]);
            n_errors++;
        }
    }
    printf("%lu files\n", n_files);
    return n_errors == 0 && n_files > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
