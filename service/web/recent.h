/* The latest decisions, as many as a bounded memory holds: the lines as they stand in the log, read once. The caller sees to it that
 * one thread uses it at a time. */
#ifndef SALLYPORT_WEB_RECENT_H
#define SALLYPORT_WEB_RECENT_H

#include "sallyport/decline.h"

#define SP_WEB_RECENT_MAX 20000
#define SP_WEB_RECENT_BYTES (24u * 1024 * 1024)

struct sp_web_entry {
    uint64_t number; /* counts up by one; never 0 */
    struct sp_str line;
    struct sp_decline d; /* points into line */
    int64_t when_us;     /* d.wall_us by the clock as it is set now; 0: not known */
    struct sp_str host;  /* in lower case; no longer escaped */
    size_t bytes;        /* that it takes in all */
};

struct sp_web_recent;

struct sp_web_recent *sp_web_recent_new(void); /* NULL: no memory */
void sp_web_recent_free(struct sp_web_recent **recent);

/* Copies the line. What cannot be read as a decision, or has no room, is passed over. The oldest give way. */
void sp_web_recent_add(struct sp_web_recent *recent, struct sp_str line);

/* The wall clock was set, by so much: entries stay as old as they are. */
void sp_web_recent_shift(struct sp_web_recent *recent, int64_t us);

/* 0 is the newest; NULL: there are no more. Valid until the next add. */
const struct sp_web_entry *sp_web_recent_at(const struct sp_web_recent *recent, size_t i);
size_t sp_web_recent_count(const struct sp_web_recent *recent);

/* Reads a line into an entry of its own, which the caller frees with free(). NULL: no decision, or no memory. */
struct sp_web_entry *sp_web_entry_new(struct sp_str line);

#endif
