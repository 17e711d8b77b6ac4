/* Between cmd_status.c and status_json.c. */
#ifndef SALLYPORT_CLI_STATUS_H
#define SALLYPORT_CLI_STATUS_H

#include "look.h"

/* Of the gate as a whole: what is only good to know does not count. */
static inline enum sp_health sp_status_worst(const struct sp_finding *findings, size_t n)
{
    return n > 0 && findings[0].health > SP_HEALTH_NOTE ? findings[0].health : SP_HEALTH_OK;
}

void sp_status_print_json(const struct sp_look *look, const struct sp_finding *findings, size_t n);

#endif
