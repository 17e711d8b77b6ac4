/* Names of statuses and the first-error record. */
#include "config.h"

#include "sallyport/status.h"

#include <stddef.h>
#include <stdio.h>

const char *sp_status_name(enum sp_status status)
{
    static const char *const names[] = {
        [SP_OK] = "ok",
        [SP_ERR_NOMEM] = "out of memory",
        [SP_ERR_IO] = "system error",
        [SP_ERR_CONF] = "configuration error",
        [SP_ERR_SYNTAX] = "syntax error",
        [SP_ERR_LIMIT] = "limit reached",
        [SP_ERR_NOT_FOUND] = "not found",
        [SP_ERR_TIMEOUT] = "timed out",
        [SP_ERR_NO_ROOM] = "no room",
        [SP_ERR_CLOSED] = "closed by peer",
    };
    size_t i = (size_t) status;
    return i < sizeof(names) / sizeof(names[0]) ? names[i] : "unknown status";
}

enum sp_status sp_error_set(struct sp_error *err, enum sp_status status, const char *fmt, ...)
{
    if (!err || err->text[0] != '\0')
        return status;
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(err->text, sizeof(err->text), fmt, ap) < 0)
        snprintf(err->text, sizeof(err->text), "%s", sp_status_name(status));
    va_end(ap);
    return status;
}
