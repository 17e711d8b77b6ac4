/* For cmd_report.c and report_*.c only: a period of the decision log in numbers. Memory is bounded whatever the log holds.
 *
 *   report_collect.c  lines to numbers
 *   report_top.c      names and how often they came
 *   report_text.c     numbers as text and as JSON
 *   report_html.c     numbers as a page
 *   report_chart.c    its charts */
#ifndef SALLYPORT_CLI_REPORT_H
#define SALLYPORT_CLI_REPORT_H

#include "logview.h"

#include <stdio.h>

/* --- report_top.c ------------------------------------------------------------------------------------------------------ */

struct sp_top_entry {
    char *key; /* owned; not terminated, still escaped as in the log */
    size_t n;
    uint32_t hash;
    uint64_t refused, reported; /* since it was taken in */
    uint64_t weight;            /* what keeps it in the table */
    uint64_t missed;            /* it may have come so often before that, unseen; 0: the counts are exact */
};

struct sp_top {
    struct sp_top_entry *entries; /* owned; open addressing */
    size_t n, cap;                /* cap: a power of two */
    uint64_t hash_key[2];         /* random */
    uint64_t dropped;             /* the most often that any name came that is not in the table */
};

bool sp_top_init(struct sp_top *top); /* false: no memory */
void sp_top_fini(struct sp_top *top);
/* Counts key, which is not empty; only its first 256 bytes tell it from others. False: no memory. */
bool sp_top_add(struct sp_top *top, struct sp_str key, bool is_refused);
/* Sorts, most frequent first, and returns how many there are. No adding after that. */
size_t sp_top_sort(struct sp_top *top);

/* --- report_collect.c -------------------------------------------------------------------------------------------------- */

#define SP_REPORT_MAX_BINS 96
#define SP_REPORT_DURATIONS 2048
#define SP_REPORT_SHOWN 10

enum sp_report_top { SP_TOP_CATEGORIES, SP_TOP_RULES, SP_TOP_SIGNATURES, SP_TOP_HOSTS, SP_TOP_CLIENTS, SP_TOP_USERS, SP_TOP_COUNT };
const char *sp_report_top_name(enum sp_report_top which); /* "categories", ... */

struct sp_durations {
    uint64_t counts[SP_REPORT_DURATIONS];
    uint64_t n;
    int64_t max_us;
};

struct sp_report {
    int64_t since_us, until_us;
    int64_t bin_us; /* width of a bin */
    int64_t first_bin_us;
    size_t n_bins;
    struct sp_report_bin {
        uint64_t all, refused, reported;
    } bins[SP_REPORT_MAX_BINS];
    uint64_t decisions, refused, reported, monitored, excepted, cached, bytes;
    uint64_t requests, responses;
    uint64_t outcomes[SP_OUTCOME_COUNT + 1]; /* the last: not known */
    uint64_t lines, broken, lost;
    struct sp_top tops[SP_TOP_COUNT];
    struct sp_durations total, scan;
    struct sp_log_filter filter;
    bool is_filtered, is_notable_only, is_hashed, is_out_of_memory;
    const char *path; /* of the log; borrowed */
    size_t n_files;
};

/* since and until are set before. */
bool sp_report_init(struct sp_report *report);
void sp_report_fini(struct sp_report *report);
bool sp_report_take(void *report, struct sp_str line); /* an sp_logline_fn */

/* Of all durations, so many of 1000 are not longer. Three per cent too high at most. */
int64_t sp_durations_at(const struct sp_durations *durations, unsigned permille);
extern const unsigned sp_report_permilles[];
extern const size_t sp_report_n_permilles;

/* --- report_text.c, report_html.c -------------------------------------------------------------------------------------- */

const char *sp_report_us(int64_t us, char out[SP_CLI_NUMBER_SIZE]); /* 1.2 ms */
const char *sp_report_title(enum sp_report_top which);                        /* "Hosts" */
const char *sp_report_bin_time(const struct sp_report *report, size_t bin, char out[SP_LOG_TIME_SIZE]); /* "20 Nov" or "20 Nov 14:30" */

void sp_report_print(struct sp_report *report);
void sp_report_print_json(struct sp_report *report);

void sp_report_html(struct sp_report *report, FILE *out);
void sp_report_html_text(FILE *out, struct sp_str raw); /* a raw field: decoded, cut, escaped for HTML */
void sp_report_chart(const struct sp_report *report, FILE *out, bool is_refusals); /* report_chart.c: an <svg> */

#endif
