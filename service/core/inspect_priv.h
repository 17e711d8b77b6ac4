/* Only for inspect*.c: the state of one transaction, and the one place where it is decided. */
#ifndef SALLYPORT_INSPECT_PRIV_H
#define SALLYPORT_INSPECT_PRIV_H

#include "sallyport/buf.h"
#include "sallyport/decode.h"
#include "sallyport/inspect.h"
#include "sallyport/spool.h"

#define SP_TXN_ID_SIZE 17
#define SP_TXN_REASON_SIZE 256

enum sp_txn_phase {
    SP_TXN_NEW,     /* no head yet */
    SP_TXN_BODY,    /* the body arrives */
    SP_TXN_DECIDED  /* the result stands */
};

struct sp_txn {
    struct sp_gate *gate; /* pinned */
    struct sp_txn_start start;
    enum sp_txn_phase phase;
    enum sp_step step; /* the decision, once decided */
    int64_t wall_us, mono_us;
    char id[SP_TXN_ID_SIZE];
    char reason[SP_TXN_REASON_SIZE];

    const struct sp_rule *rule;     /* matched, or NULL */
    const struct sp_rule *excepted; /* matched, and an exception passed it over; or NULL */
    bool wants_body;                /* policy must be asked again with the first bytes of the body */
    bool is_monitored;              /* would have been refused, but for mode = "monitor" */
    bool is_partial;             /* a 206 */
    enum sp_outcome pending;     /* worst thing seen before the scan that does not end the transaction; NONE */

    struct sp_spool *raw;        /* the body as it came, for delivery */
    struct sp_spool *plain;      /* the body without its content codings, for the scan; NULL if it has none */
    struct sp_decode *decode;    /* NULL if there is nothing to undo, or no more */
    bool is_spool_broken;
    struct sp_buf tail;          /* bytes that pass through after RELEASE */
    size_t tail_read;
    uint64_t raw_read;           /* of the spool, delivered */
    uint64_t body_bytes;

    struct sp_buf page;
    size_t page_read;

    struct sp_txn_edits edits;
    char edit_field[192];
    struct sp_txn_result result;
};

/* Ends the transaction with this outcome and action: result, page, counters, log line. Returns the step to take: BLOCK, or
 * pass (RELEASE while the body arrives, else PASS or EDIT). reason is copied. Once only. */
enum sp_step sp_txn_decide_as(struct sp_txn *txn, enum sp_outcome outcome, enum sp_action action, const char *reason);

/* The same with the action that the configuration names for the outcome. */
enum sp_step sp_txn_decide(struct sp_txn *txn, enum sp_outcome outcome, const char *reason);

/* A CONNECT refused by marking it (connect_page): passes edited, and counts as blocked. */
enum sp_step sp_txn_decide_mark(struct sp_txn *txn, const char *reason);

#endif
