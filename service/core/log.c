/* Operational log lines. What the network had a part in arrives here as %s, so every line is escaped as a whole before it
 * reaches a sink. */
#include "config.h"

#include "sallyport/log.h"

#include "sallyport/clock.h"
#include "sallyport/text.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 2048

const char *sp_log_level_name(enum sp_log_level level)
{
    static const char *const names[] = {
        [SP_LOG_ERROR] = "error",
        [SP_LOG_WARN] = "warn",
        [SP_LOG_NOTICE] = "notice",
        [SP_LOG_INFO] = "info",
        [SP_LOG_DEBUG] = "debug",
    };
    size_t i = (size_t) level;
    return i < sizeof(names) / sizeof(names[0]) ? names[i] : "unknown";
}

static void write_stderr(void *arg, enum sp_log_level level, const char *line)
{
    const char *name = arg;
    char when[SP_CLOCK_TEXT_SIZE + 1] = "";
    if (!getenv("JOURNAL_STREAM")) {
        sp_clock_format(sp_clock_wall_us(), when);
        size_t n = strlen(when);
        when[n] = ' ';
        when[n + 1] = '\0';
    }
    char out[LINE_BYTES + 256];
    int n = snprintf(out, sizeof(out), "%s%s: %s: %s\n", when, name, sp_log_level_name(level), line);
    if (n < 0)
        return;
    if ((size_t) n >= sizeof(out)) {
        n = (int) sizeof(out) - 1;
        out[n - 1] = '\n';
    }
    ssize_t written = write(STDERR_FILENO, out, (size_t) n); /* one write: threads and processes share it */
    (void) written;                                          /* there is nobody left to tell */
}

struct sp_log sp_log_stderr(const char *name, enum sp_log_level level)
{
    return (struct sp_log){ .sink = write_stderr, .arg = (void *) (uintptr_t) name, .level = level };
}

void sp_log(const struct sp_log *log, enum sp_log_level level, const char *fmt, ...)
{
    if (!log || !log->sink || level > log->level)
        return;
    int keep = errno;
    char text[LINE_BYTES], line[LINE_BYTES];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n >= 0)
        log->sink(log->arg, level, sp_text_escape(sp_str_from(text), line, sizeof(line)));
    errno = keep;
}
