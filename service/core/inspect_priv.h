/* Only for inspect*.c: the state of one transaction, and the one place where it is decided. */
#ifndef SALLYPORT_INSPECT_PRIV_H
#define SALLYPORT_INSPECT_PRIV_H

#include "inspect_parts.h"

#include "sallyport/buf.h"
#include "sallyport/decode.h"
#include "sallyport/digest.h"
#include "sallyport/inspect.h"
#include "sallyport/spool.h"

#define SP_TXN_ID_SIZE 17
#define SP_TXN_REASON_SIZE 256

enum sp_txn_phase {
    SP_TXN_NEW,     /* no head yet, or no body */
    SP_TXN_BODY,    /* the body arrives */
    SP_TXN_SCAN,    /* the body is here and is scanned */
    SP_TXN_DECIDED  /* the result stands */
};

struct sp_txn_troubles {
    struct sp_error plain; /* why plain took no more */
    struct sp_error parts; /* of parts_trouble */
};

/* Kept small, because most transactions have no body: the C library serves up to 1032 bytes from what the thread freed last, and takes a
 * lock for more. */
struct sp_txn {
    struct sp_gate *gate; /* pinned */
    struct sp_txn_start start;
    enum sp_txn_phase phase;
    enum sp_step step; /* the decision, once decided */
    int64_t mono_us; /* since when */
    int64_t wall_us; /* the same; 0 until somebody is told: sp_txn_wall_us */
    int64_t head_us, complete_us; /* when policy had spoken, and when all of the body was here; 0: not (yet) */
    int64_t decode_us;            /* spent so far; SP_METRICS_NO_TIME: there is nothing to decode */
    char id[SP_TXN_ID_SIZE]; /* "" until somebody is told: sp_txn_id */

    const struct sp_rule *rule;     /* matched, or NULL */
    const struct sp_rule *excepted; /* matched, and an exception passed it over; or NULL */
    bool wants_body;                /* policy must be asked again with the first bytes of the body */
    bool is_monitored;              /* would have been refused, but for mode = "monitor" */
    bool is_partial;             /* a 206 */
    enum sp_outcome pending;     /* worst thing seen before the scan that does not end the transaction; NONE */

    struct sp_spool *raw;        /* the body as it came, for delivery */
    struct sp_spool *plain;      /* the body without its content codings, for the scan; NULL if it has none */
    struct sp_decode *decode;    /* NULL if there is nothing to undo, or no more */
    struct sp_parts *parts;      /* the objects inside the plain body; NULL if its kind has none */
    enum sp_outcome parts_trouble; /* not told yet; NONE */
    struct sp_txn_troubles *troubles; /* texts; NULL without a body */
    bool is_spool_broken;

    bool may_trickle;            /* the driver can begin the reply before the decision */
    bool is_trickling;           /* the reply has begun before the decision */
    int64_t trickle_us;          /* since when */
    bool has_digest;
    struct sp_digest digest;     /* of what is scanned first, while it arrives */
    struct sp_plan *plan;        /* what is scanned, and how far that is; NULL before */
    bool is_cached;              /* clean without a scan */

    struct sp_buf tail;          /* bytes that pass through after RELEASE */
    size_t tail_read;
    uint64_t raw_read;           /* of the spool, delivered */
    uint64_t body_bytes;

    struct sp_buf page; /* or the field lines that mark a CONNECT */
    size_t page_read;

    struct sp_txn_edits edits;
    char *added; /* owned; the text of one of the edits, or NULL */
    struct sp_txn_result result;

    char reason[SP_TXN_REASON_SIZE]; /* not zeroed for each transaction, but for its first byte */
};

/* inspect.c. When it began, by the clock on the wall, and its id, which has that in it. Made by the first who asks. */
int64_t sp_txn_wall_us(struct sp_txn *txn);
const char *sp_txn_id(struct sp_txn *txn);

/* Ends the transaction with this outcome and action: result, page, counters, log line. Returns the step to take: BLOCK (CUT once
 * it trickles), or pass (RELEASE while the body arrives or trickles, else PASS or EDIT). reason is copied. Once only. */
enum sp_step sp_txn_decide_as(struct sp_txn *txn, enum sp_outcome outcome, enum sp_action action, const char *reason);

/* The same with the action that the configuration names for the outcome. */
enum sp_step sp_txn_decide(struct sp_txn *txn, enum sp_outcome outcome, const char *reason);

/* A CONNECT refused by marking it (connect_page): passes edited, and counts as blocked. */
enum sp_step sp_txn_decide_mark(struct sp_txn *txn, const char *reason);

/* inspect.c. What is known of the plain body is asked of the policy. BODY: nothing against it. */
enum sp_step sp_txn_apply_body_policy(struct sp_txn *txn);

/* inspect.c. What was received cannot be delivered any more: refused, whatever the configuration says. */
enum sp_step sp_txn_spool_failed(struct sp_txn *txn, enum sp_status status, const char *detail);

/* inspect.c. Something was wrong before the scan: refused, or remembered (the first of several is told). BODY: go on. */
enum sp_step sp_txn_trouble(struct sp_txn *txn, enum sp_outcome outcome, const char *reason);

/* inspect_scan.c. Makes the list of what is scanned and begins with the first. SCAN, TRICKLE or a decision. */
enum sp_step sp_txn_begin_scan(struct sp_txn *txn);
void sp_txn_end_scan(struct sp_txn *txn); /* frees the list, abandons what is under way */

/* inspect.c. There is nothing to scan, or nothing was found. */
enum sp_step sp_txn_decide_unscanned(struct sp_txn *txn, const char *reason);

#endif
