/* Two rings of cells, one for each step length. A cell belongs to the step whose number modulo the ring's length it has; the ring
 * remembers how far it has come, so old cells are emptied before they are used again. Steps are numbered by the clock as it was at
 * first: when it is set, cells stay where they are, and the ring remembers by how much. */
#include "config.h"

#include "history.h"

#include "sallyport/assert.h"

#include <stdlib.h>
#include <string.h>

#define HOUR_STEPS 720
#define DAY_STEPS 1440
#define MAX_STEPS DAY_STEPS
#define GAP_S 15 /* longer without a tick: nobody knows when in between it happened */

struct ring {
    int64_t newest; /* number of the step; 0: none yet */
    int64_t shift;  /* steps by which the clock was set since the first */
    int64_t cells[MAX_STEPS][SP_WEB_COLUMNS];
};

struct sp_web_history {
    struct ring rings[SP_WEB_RANGES];
    bool has_totals;
    int64_t totals_s; /* when they were taken */
    uint64_t totals[SP_WEB_COLUMNS];
};

static const struct {
    int64_t step_s;
    unsigned length;
} shapes[SP_WEB_RANGES] = { [SP_WEB_HOUR] = { 5, HOUR_STEPS }, [SP_WEB_DAY] = { 60, DAY_STEPS } };

struct sp_web_history *sp_web_history_new(void)
{
    return calloc(1, sizeof(struct sp_web_history));
}

void sp_web_history_free(struct sp_web_history **history)
{
    free(*history);
    *history = NULL;
}

int64_t sp_web_history_step(enum sp_web_range range)
{
    return shapes[range].step_s;
}

unsigned sp_web_history_length(enum sp_web_range range)
{
    return shapes[range].length;
}

/* The number of the step in which this time lies. */
static int64_t step_of(const struct ring *ring, enum sp_web_range range, int64_t when_s)
{
    return when_s / shapes[range].step_s - ring->shift;
}

static void fill(struct ring *ring, unsigned length, int64_t step, int64_t value)
{
    for (unsigned c = 0; c < SP_WEB_COLUMNS; c++)
        ring->cells[step % length][c] = value;
}

/* Steps up to this one exist from now on; nothing is known of them. */
static void advance(struct ring *ring, unsigned length, int64_t step)
{
    if (step <= ring->newest)
        return;
    int64_t from = ring->newest + 1;
    if (step - from >= length)
        from = step - length + 1;
    for (; from <= step; from++)
        fill(ring, length, from, SP_WEB_UNKNOWN);
    ring->newest = step;
}

/* NULL: the step is not kept, or no longer. */
static int64_t *cell_of(struct ring *ring, unsigned length, enum sp_web_column column, int64_t step)
{
    if (step <= 0 || step > ring->newest || step <= ring->newest - length)
        return NULL;
    return &ring->cells[step % length][column];
}

static void add(struct sp_web_history *history, enum sp_web_column column, int64_t when_s, int64_t n)
{
    for (unsigned r = 0; r < SP_WEB_RANGES; r++) {
        struct ring *ring = &history->rings[r];
        int64_t *cell = cell_of(ring, shapes[r].length, column, step_of(ring, (enum sp_web_range) r, when_s));
        if (cell)
            *cell = *cell == SP_WEB_UNKNOWN ? n : *cell + n;
    }
}

void sp_web_history_tick(struct sp_web_history *history, int64_t now_s, const uint64_t totals[SP_WEB_COLUMNS])
{
    bool is_known = history->has_totals && now_s - history->totals_s <= GAP_S && now_s >= history->totals_s;
    for (unsigned r = 0; r < SP_WEB_RANGES; r++)
        advance(&history->rings[r], shapes[r].length, step_of(&history->rings[r], (enum sp_web_range) r, now_s));
    for (unsigned c = 0; is_known && c < SP_WEB_COLUMNS; c++) {
        uint64_t rise = totals[c] >= history->totals[c] ? totals[c] - history->totals[c] : totals[c];
        /* Steps without a tick in them lie between two ticks that are close: nothing happened there, it happened now. */
        for (int64_t s = history->totals_s + 1; s < now_s; s++)
            add(history, (enum sp_web_column) c, s, 0);
        add(history, (enum sp_web_column) c, now_s, (int64_t) rise);
    }
    memcpy(history->totals, totals, sizeof(history->totals));
    history->has_totals = true;
    history->totals_s = now_s;
}

void sp_web_history_forget(struct sp_web_history *history)
{
    history->has_totals = false;
}

void sp_web_history_shift(struct sp_web_history *history, int64_t seconds)
{
    for (unsigned r = 0; r < SP_WEB_RANGES; r++) {
        const int64_t step_s = shapes[r].step_s, half = seconds < 0 ? -step_s / 2 : step_s / 2;
        history->rings[r].shift += (seconds + half) / step_s;
    }
    history->totals_s += seconds;
}

void sp_web_history_cover(struct sp_web_history *history, enum sp_web_column column, int64_t from_s, int64_t now_s)
{
    for (unsigned r = 0; r < SP_WEB_RANGES; r++) {
        struct ring *ring = &history->rings[r];
        const unsigned length = shapes[r].length;
        const int64_t now = step_of(ring, (enum sp_web_range) r, now_s);
        int64_t step = step_of(ring, (enum sp_web_range) r, from_s);
        advance(ring, length, now);
        if (step <= now - length)
            step = now - length + 1;
        for (; step <= now; step++) {
            int64_t *cell = cell_of(ring, length, column, step);
            if (cell && *cell == SP_WEB_UNKNOWN)
                *cell = 0;
        }
    }
}

void sp_web_history_add(struct sp_web_history *history, enum sp_web_column column, int64_t when_s, int64_t n)
{
    add(history, column, when_s, n);
}

int64_t sp_web_history_get(const struct sp_web_history *history, enum sp_web_range range, enum sp_web_column column, int64_t start_s)
{
    const struct ring *ring = &history->rings[range];
    const int64_t step = step_of(ring, range, start_s);
    if (step <= 0 || step > ring->newest || step <= ring->newest - (int64_t) shapes[range].length)
        return SP_WEB_UNKNOWN;
    return ring->cells[step % (int64_t) shapes[range].length][column];
}

int64_t sp_web_history_sum(const struct sp_web_history *history, enum sp_web_column column, int64_t now_s, int64_t seconds)
{
    const int64_t step_s = shapes[SP_WEB_HOUR].step_s;
    int64_t sum = 0;
    for (int64_t at = now_s - seconds + step_s; at <= now_s; at += step_s) {
        int64_t value = sp_web_history_get(history, SP_WEB_HOUR, column, at);
        sum += value == SP_WEB_UNKNOWN ? 0 : value;
    }
    return sum;
}

const char *sp_web_column_name(enum sp_web_column column)
{
    static const char *const names[SP_WEB_OUTCOMES] = { [SP_WEB_REQUESTS] = "requests", [SP_WEB_REPLIES] = "replies",
        [SP_WEB_ALLOWED] = "allowed", [SP_WEB_REPORTED] = "reported", [SP_WEB_BLOCKED] = "blocked", [SP_WEB_BYTES] = "bytes",
        [SP_WEB_SCANS] = "scans", [SP_WEB_CACHED] = "cached", [SP_WEB_LOST] = "lost" };
    SP_ASSERT(column < SP_WEB_COLUMNS);
    return column < SP_WEB_OUTCOMES ? names[column] : sp_outcome_name((enum sp_outcome) (column - SP_WEB_OUTCOMES));
}
