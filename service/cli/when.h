/* Points in time as a person names them, for `sallyport report`. */
#ifndef SALLYPORT_CLI_WHEN_H
#define SALLYPORT_CLI_WHEN_H

#include <stdbool.h>
#include <stdint.h>

#define SP_WHEN_HELP "2026-11-20, \"2026-11-20 14:30\", today, yesterday, or ago: 30m, 8h, 7d, 2w"

/* Microseconds since 1970. Dates are in the time of this machine, or in UTC with a Z behind. False: it is none of these. */
bool sp_when_parse(const char *text, int64_t now_us, int64_t *when_us_out);

#endif
