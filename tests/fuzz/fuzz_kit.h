/* What the fuzz targets share: a promise of the code that hostile bytes must not break. */
#ifndef SALLYPORT_FUZZ_KIT_H
#define SALLYPORT_FUZZ_KIT_H

#include "sallyport/str.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(int condition)
{
    if (!condition)
        abort();
}

static inline void require_inside(struct sp_str part, struct sp_str whole)
{
    require(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

#endif
