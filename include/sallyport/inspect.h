/* One transaction from its head to its decision. The proxy module and the command line both drive this and nothing else,
 * so they say the same. It knows no ICAP: whoever drives it feeds a head, then body bytes, and does what the step says.
 *
 *   sp_txn_new -> sp_txn_head -+-> PASS ------------------------------------> (unchanged)
 *                              +-> EDIT ------------------------------------> (head changed, see sp_txn_edits)
 *                              +-> BLOCK -----------------------------------> (page)
 *                              +-> BODY: sp_txn_body ... sp_txn_end --> PASS | BLOCK
 *
 * A head that needs both an edit and a scan says BODY; sp_txn_edits then applies once the body passed.
 * While the body arrives sp_txn_body may say RELEASE: the object is too large and may pass; from then on its bytes must flow.
 * One thread drives one transaction. */
#ifndef SALLYPORT_INSPECT_H
#define SALLYPORT_INSPECT_H

#include "sallyport/gate.h"

enum sp_direction { SP_REQMOD, SP_RESPMOD };

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
    SP_STEP_PASS,   /* as it came */
    SP_STEP_EDIT,   /* pass with an edited head */
    SP_STEP_BODY,   /* feed the body */
    SP_STEP_RELEASE, /* pass, and do not wait for the end of the body */
    SP_STEP_BLOCK   /* refuse with the page */
};

/* Pins gate. SP_ERR_NOMEM: fail closed, without a page. */
enum sp_status sp_txn_new(struct sp_gate *gate, struct sp_txn **txn_out) SP_MUST_CHECK;
void sp_txn_free(struct sp_txn **txn); /* writes the log line if none was written: the client is gone */

enum sp_step sp_txn_head(struct sp_txn *txn, const struct sp_txn_start *start) SP_MUST_CHECK;

/* Takes body bytes: *taken_out of n, all of them unless they are passing through and the reader is slow (then read and
 * offer the rest again). BODY: go on. RELEASE: decided; everything received may be read and all that comes passes through.
 * BLOCK: refused. After BLOCK the call is still allowed and drops the bytes. */
enum sp_step sp_txn_body(struct sp_txn *txn, const void *p, size_t n, size_t *taken_out) SP_MUST_CHECK;

/* The body is complete: scans it. PASS, EDIT or BLOCK. */
enum sp_step sp_txn_end(struct sp_txn *txn) SP_MUST_CHECK;

/* Bytes to deliver: of the original body after PASS, EDIT or RELEASE, of the page after BLOCK. *got_out is 0 when there are
 * no more, or for now while bytes pass through. */
enum sp_status sp_txn_read(struct sp_txn *txn, void *p, size_t n, size_t *got_out) SP_MUST_CHECK;

/* How the head must change. Valid until free. */
struct sp_txn_edits {
    bool strip_own;         /* remove every field whose name starts with X-Sallyport- */
    const char *add_field;  /* one complete field line to add, or NULL */
};
const struct sp_txn_edits *sp_txn_edits(const struct sp_txn *txn);

/* The decision, valid after PASS, EDIT, RELEASE or BLOCK. All pointers live as long as the transaction. */
struct sp_txn_result {
    const char *id;
    enum sp_outcome outcome;
    enum sp_action action;
    const char *reason;    /* never NULL */
    const struct sp_rule *rule; /* or NULL */
    const char *signature; /* "" if none */
    const char *content_type; /* of the page */
    size_t page_bytes;
    uint64_t body_bytes;
    struct sp_scan_reply scan; /* zeroed if the scanner was not asked */
};
const struct sp_txn_result *sp_txn_result(const struct sp_txn *txn);

#endif
