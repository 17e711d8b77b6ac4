/* One transaction from its head to its decision. The proxy module and the command line both drive this and nothing else,
 * so they say the same. It knows no ICAP: whoever drives it feeds a head, then body bytes, and does what the step says.
 *
 *   sp_txn_new -> sp_txn_head -+-> PASS ------------------------------------> (unchanged)
 *                              +-> EDIT ------------------------------------> (head changed, see sp_txn_edits)
 *                              +-> BLOCK -----------------------------------> (page)
 *                              +-> BODY: sp_txn_body ... sp_txn_complete -> SCAN: sp_txn_wait ... -> PASS | EDIT | BLOCK
 *
 * A head that needs both an edit and a scan says BODY; sp_txn_edits then applies once the body passed.
 * While the body arrives sp_txn_body may say RELEASE: the object is too large and may pass; from then on its bytes must flow.
 * Where the driver allows it, sp_txn_body and sp_txn_wait may say TRICKLE: hold_time has passed without a decision.
 * The reply begins, edited as sp_txn_edits says, and sp_txn_read gives the few bytes that may go out until the decision, which
 * then is RELEASE or CUT.
 * One thread drives one transaction. */
#ifndef SALLYPORT_INSPECT_H
#define SALLYPORT_INSPECT_H

#include "sallyport/gate.h"

struct sp_txn;

struct sp_txn_start {
    enum sp_direction direction;
    /* All borrowed until the decision (the first step that is not BODY), or free if it comes first: the log line and the page
     * are made then, and nothing is copied. */
    const struct sp_message *request;  /* NULL if unknown */
    const struct sp_message *response; /* NULL in REQMOD, and if unknown */
    struct sp_str client, user, sni;   /* may be empty */
    bool has_body;
    /* Set when the driver could not build a view of the heads (too many fields): the outcome is then LIMIT. */
    bool is_head_broken;
};

enum sp_step {
    SP_STEP_PASS,    /* as it came */
    SP_STEP_EDIT,    /* pass with an edited head */
    SP_STEP_BODY,    /* feed the body */
    SP_STEP_TRICKLE, /* undecided, and the reply begins or has begun: feed the body or wait on, and deliver what may be read */
    SP_STEP_SCAN,    /* undecided, the body is complete: wait */
    SP_STEP_RELEASE, /* pass: deliver all that is here, and what still comes */
    SP_STEP_BLOCK,   /* refuse with the page */
    SP_STEP_CUT      /* refuse although some of it was delivered: end the connection so that the client sees it is incomplete */
};

/* Pins gate. SP_ERR_NOMEM: fail closed, without a page. */
enum sp_status sp_txn_new(struct sp_gate *gate, struct sp_txn **txn_out) SP_MUST_CHECK;
/* The same with a reference of the caller's, which is taken (and NULL then) unless it fails. */
enum sp_status sp_txn_new_taking(struct sp_gate **gate, struct sp_txn **txn_out) SP_MUST_CHECK;
void sp_txn_free(struct sp_txn **txn); /* writes the log line if none was written: the client is gone */

enum sp_step sp_txn_head(struct sp_txn *txn, const struct sp_txn_start *start) SP_MUST_CHECK;

/* Takes body bytes: *taken_out of n, all of them unless they are passing through and the reader is slow (then read and
 * offer the rest again). BODY, TRICKLE: go on. RELEASE: decided; everything received may be read and all that comes passes
 * through. BLOCK, CUT: refused. After these the call is still allowed and drops the bytes. */
enum sp_step sp_txn_body(struct sp_txn *txn, const void *p, size_t n, size_t *taken_out) SP_MUST_CHECK;

/* From now on the step TRICKLE may come. The driver must then keep the messages alive although it began the reply. */
void sp_txn_allow_trickle(struct sp_txn *txn);

/* The body is complete: begins to scan it. SCAN (TRICKLE, if it was said before) or a decision. */
enum sp_step sp_txn_complete(struct sp_txn *txn) SP_MUST_CHECK;

/* Waits for the scan up to wait_ms (-1: until something happens). A decision, SCAN, or TRICKLE as after complete. */
enum sp_step sp_txn_wait(struct sp_txn *txn, int wait_ms) SP_MUST_CHECK;

/* complete and wait in one, until the decision. */
enum sp_step sp_txn_end(struct sp_txn *txn) SP_MUST_CHECK;

/* Milliseconds until TRICKLE is due; 0: the next body or wait says it, and sp_txn_trickle may. -1: never. */
int sp_txn_hold_ms(const struct sp_txn *txn);

/* For a driver that sees that nothing comes in time: says TRICKLE now, if it is due, and otherwise BODY or a decision. */
enum sp_step sp_txn_trickle(struct sp_txn *txn) SP_MUST_CHECK;

/* Bytes to deliver: of the original body after PASS, EDIT or RELEASE, some of it after TRICKLE, of the page after BLOCK.
 * *got_out is 0 when there are no more, or none for now while bytes pass through or trickle. */
enum sp_status sp_txn_read(struct sp_txn *txn, void *p, size_t n, size_t *got_out) SP_MUST_CHECK;

/* How the head must change: of the request in REQMOD, of the response in RESPMOD. Removals come first. Valid until free. */
#define SP_EDITS_MAX 12
struct sp_txn_edits {
    bool strip_own;                  /* remove every field whose name starts with X-Sallyport- */
    const char *remove[SP_EDITS_MAX]; /* names; every field of that name, any case, goes */
    size_t n_remove;
    const char *add[SP_EDITS_MAX]; /* complete field lines */
    size_t n_add;
};
const struct sp_txn_edits *sp_txn_edits(const struct sp_txn *txn);
bool sp_txn_has_edits(const struct sp_txn *txn);

/* The decision, valid after PASS, EDIT, RELEASE, BLOCK or CUT. All pointers live as long as the transaction. */
struct sp_txn_result {
    const char *id; /* as the log and the page say it; "" where neither says anything */
    enum sp_outcome outcome;
    enum sp_action action;
    const char *reason;    /* never NULL */
    const struct sp_rule *rule; /* or NULL */
    const char *signature; /* "" if none */
    const char *content_type; /* of the page */
    const char *content_language; /* of the page; "" for forms that are for programs */
    size_t page_bytes;
    uint64_t body_bytes;
    unsigned generation; /* of the engine; 0 if the scanner was not asked */
    unsigned scan_us;    /* likewise */
};
bool sp_txn_is_decided(const struct sp_txn *txn);
const struct sp_txn_result *sp_txn_result(const struct sp_txn *txn);

#endif
