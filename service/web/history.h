/* What the counters did over time: 5 s steps for an hour and one minute steps for a day, in a fixed amount of memory. A column that
 * nobody watched has no value there, which is something else than nothing happened. One thread at a time. */
#ifndef SALLYPORT_WEB_HISTORY_H
#define SALLYPORT_WEB_HISTORY_H

#include "sallyport/outcome.h"

#include <stdint.h>

enum sp_web_column {
    SP_WEB_REQUESTS,
    SP_WEB_REPLIES,
    SP_WEB_ALLOWED,
    SP_WEB_REPORTED,
    SP_WEB_BLOCKED,
    SP_WEB_BYTES,
    SP_WEB_SCANS,
    SP_WEB_CACHED,
    SP_WEB_LOST,
    SP_WEB_OUTCOMES, /* and one for each outcome */
    SP_WEB_COLUMNS = SP_WEB_OUTCOMES + SP_OUTCOME_COUNT
};

#define SP_WEB_UNKNOWN INT64_MIN

enum sp_web_range { SP_WEB_HOUR, SP_WEB_DAY, SP_WEB_RANGES };

struct sp_web_history;

struct sp_web_history *sp_web_history_new(void); /* NULL: no memory */
void sp_web_history_free(struct sp_web_history **history);

/* The counters as they are now, some time after the last call. What they rose by belongs to now; one that fell began anew. */
void sp_web_history_tick(struct sp_web_history *history, int64_t now_s, const uint64_t totals[SP_WEB_COLUMNS]);
/* Nothing is known now: the counters cannot be read. */
void sp_web_history_forget(struct sp_web_history *history);

/* The wall clock was set, by so many seconds: what is held moves with it, to the nearest step, and so stays as old as it is. */
void sp_web_history_shift(struct sp_web_history *history, int64_t seconds);

/* Before the first tick: these columns were watched by somebody else (the decision log) from then until now. */
void sp_web_history_cover(struct sp_web_history *history, enum sp_web_column column, int64_t from_s, int64_t now_s);
void sp_web_history_add(struct sp_web_history *history, enum sp_web_column column, int64_t when_s, int64_t n);

int64_t sp_web_history_step(enum sp_web_range range); /* seconds */
unsigned sp_web_history_length(enum sp_web_range range); /* steps */
/* Of the step that begins at start_s (a multiple of the step): SP_WEB_UNKNOWN if not known. */
int64_t sp_web_history_get(const struct sp_web_history *history, enum sp_web_range range, enum sp_web_column column, int64_t start_s);
/* Of all that is known of the last seconds, the step under way included. */
int64_t sp_web_history_sum(const struct sp_web_history *history, enum sp_web_column column, int64_t now_s, int64_t seconds);

const char *sp_web_column_name(enum sp_web_column column);

#endif
