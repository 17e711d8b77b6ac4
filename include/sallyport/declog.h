/* The decision log: one JSON object a line, appended with one write, so that several processes may share the file.
 * Rotation needs no signal: a file that was renamed or removed is noticed within a second and made anew.
 * The only includer of json-c's serialiser for logs is declog.c. */
#ifndef SALLYPORT_DECLOG_H
#define SALLYPORT_DECLOG_H

#include "sallyport/outcome.h"
#include "sallyport/status.h"
#include "sallyport/str.h"

#include <stdint.h>

struct sp_declog;

/* All text is borrowed, may hold any bytes (they are escaped; what is not UTF-8 becomes U+FFFD) and may be empty: an
 * empty field is left out. */
struct sp_decision {
    int64_t wall_us;
    const char *id;
    struct sp_str client, user, direction /* "REQMOD" or "RESPMOD" */, method, url;
    unsigned status; /* of the response; 0 if none */
    enum sp_outcome outcome;
    enum sp_action action;
    const char *reason; /* short text: why this outcome */
    const char *rule;
    const char *category;
    const char *excepted; /* a rule that matched and that an exception passed over */
    bool is_monitored;    /* would have been refused, but for mode = "monitor"; left out when false */
    bool is_cached;       /* known to be clean, not scanned; left out when false */
    const char *signature;
    struct sp_str encoding;
    uint64_t bytes;      /* of the body as it came */
    uint32_t generation; /* engine; 0 if none was asked */
    int64_t total_us;    /* from the head to the decision */
    int64_t scan_us;     /* inside the engine */
};

/* path "" gives a log that drops everything. SP_ERR_IO if the file cannot be opened for appending. */
enum sp_status sp_declog_open(const char *path, struct sp_error *err, struct sp_declog **log_out) SP_MUST_CHECK;
void sp_declog_close(struct sp_declog **log);

/* Never blocks on anything but the file system. False if the line was lost (disk full, no memory): count it. */
bool sp_declog_write(struct sp_declog *log, const struct sp_decision *decision);

#endif
