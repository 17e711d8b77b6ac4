/* Writes one body to standard output, for a look at it or a test of it.
 *
 *   dump FORM-NUMBER BYTES SERIAL */
#include "config.h"

#include "bodies.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct bench_body body;
    if (argc != 4 || strtoul(argv[1], NULL, 10) > BENCH_PACKAGE) {
        fputs("usage: dump FORM-NUMBER BYTES SERIAL\n", stderr);
        return 2;
    }
    bench_body_init(&body, (enum bench_form) strtoul(argv[1], NULL, 10), strtoul(argv[2], NULL, 10), 0);
    bench_body_stamp(&body, strtoull(argv[3], NULL, 10));
    size_t n = fwrite(body.p, 1, body.n, stdout);
    int status = n == body.n && fflush(stdout) == 0 ? 0 : 1;
    bench_body_fini(&body);
    return status;
}
