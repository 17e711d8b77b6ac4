/* One line of the decision log (declog.h), read back: for `sallyport tail`, `report` and `find` and for the dashboard. The log is the
 * gate's own, but hosts and paths in it come from attackers, and a disk may have cut a line: any bytes are accepted, and what is
 * not one flat JSON object is an error. Nothing is copied and nothing is allocated: ten million lines are a matter of seconds. */
#ifndef SALLYPORT_DECLINE_H
#define SALLYPORT_DECLINE_H

#include "sallyport/buf.h"
#include "sallyport/outcome.h"
#include "sallyport/status.h"
#include "sallyport/str.h"

#include <stdbool.h>
#include <stdint.h>

struct sp_decline {
    int64_t wall_us; /* 0: the time was missing or not one of ours */
    /* Between the quotes, still escaped: sp_decline_text. Empty if the field was missing. Borrowed from the line. */
    struct sp_str id, client, user, direction, method, url, reason, rule, category, excepted, signature, encoding;
    enum sp_outcome outcome; /* SP_OUTCOME_COUNT: missing, or a name that this version does not know */
    enum sp_action action;   /* meaningful only if has_action */
    bool has_action, is_monitored, is_cached;
    unsigned status;
    uint64_t bytes;
    uint32_t generation;
    int64_t total_us, scan_us;
    uint64_t lost; /* not 0: no decision, but word of so many lines that could not be written */
};

/* line: without its newline. SP_ERR_SYNTAX if it is not one flat object, or has a control byte that JSON would have escaped; fields
 * that are not known are passed over, a value of another kind than its field's counts as missing, and of a field that stands
 * twice the last one counts. Numbers past INT64_MAX, negative ones and fractions are 0. */
enum sp_status sp_decline_parse(struct sp_str line, struct sp_decline *out) SP_MUST_CHECK;

/* Appends raw (a field of sp_decline) with its JSON escapes undone, as valid UTF-8; what is no valid escape and what is no UTF-8
 * becomes U+FFFD. Control characters come back to life here: escape the result for where it goes (text.h, HTML, JSON). */
enum sp_status sp_decline_text(struct sp_str raw, struct sp_buf *out) SP_MUST_CHECK;

/* True if raw, unescaped, contains the text, ASCII letters in any case. */
bool sp_decline_contains(struct sp_str raw, struct sp_str text);

#endif
