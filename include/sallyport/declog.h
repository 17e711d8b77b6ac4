/* The decision log: one JSON object a line, to a file, to syslog or to the journal. Any number of threads of any number of
 * processes write to the same one; a line is one write or one datagram, so lines never mix.
 * Rotation needs no signal: a file that was renamed or removed is noticed within a second and made anew.
 * It is bounded: so many lines a second in each process, so many bytes in the file. What is not written is counted, and the next
 * line that can be written is preceded by one that says how many are missing: {"time":"...","lost":7,"reason":"..."}.
 * Fields are described in docs/logs.md; decline.h reads them back. */
#ifndef SALLYPORT_DECLOG_H
#define SALLYPORT_DECLOG_H

#include "sallyport/outcome.h"
#include "sallyport/status.h"
#include "sallyport/str.h"

#include <stdint.h>

struct sp_declog;

enum sp_declog_to { SP_DECLOG_TO_FILE, SP_DECLOG_TO_SYSLOG, SP_DECLOG_TO_JOURNAL };
enum sp_declog_urls { SP_DECLOG_URLS_FULL, SP_DECLOG_URLS_PATH /* no query */, SP_DECLOG_URLS_HOST /* scheme, host and port */ };

struct sp_declog_options {
    enum sp_declog_to to;
    const char *path;     /* of the file, "" for a log that drops everything; or of the socket, NULL for the usual one */
    int64_t max_rate;     /* lines a second in this process; 0: any number */
    uint64_t max_size;    /* bytes of the file; 0: any number. Looked at once a second */
    enum sp_declog_urls urls;
    const char *hash_key; /* 32 hexadecimal digits: clients and users are logged as pseudonyms; "" or NULL: as they are */
};

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

/* Options are copied. SP_ERR_IO if the file cannot be opened for appending; SP_ERR_CONF for a bad key. That nobody listens at the
 * socket is no failure: he may come. */
enum sp_status sp_declog_open(const struct sp_declog_options *options, struct sp_error *err, struct sp_declog **log_out) SP_MUST_CHECK;
void sp_declog_close(struct sp_declog **log);

/* False if the line was lost (rate, size, disk full, no memory, nobody listens): count it. Never waits for syslog or the journal.
 * A file is written by the calling thread: while the file system has not finished a write for a fifth of a second, as a disk
 * that hangs, all further lines are lost instead of waiting too. */
bool sp_declog_write(struct sp_declog *log, const struct sp_decision *decision);

/* What stands for text in a log with that key: "~" and 16 digits; text itself cannot be found out without the key. False for a key
 * that is none. */
#define SP_DECLOG_PSEUDONYM_SIZE 20
bool sp_declog_pseudonym(const char *hash_key, struct sp_str text, char out[SP_DECLOG_PSEUDONYM_SIZE]);

#endif
