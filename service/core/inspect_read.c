/* What goes out of a transaction: the page, the body, or, while nobody knows yet, a trickle of it. Of a body that trickles never more
 * than half of what has arrived goes out before the verdict, and slowly: enough to show that something comes. */
#include "config.h"

#include "inspect_priv.h"

#include "sallyport/assert.h"
#include "sallyport/clock.h"

#include <string.h>

#define US_PER_MS 1000
#define US_PER_S 1000000

/* --- trickling ------------------------------------------------------------------------------------------------------- */

int sp_txn_hold_ms(const struct sp_txn *txn)
{
    const struct sp_conf *conf = txn->gate->conf;
    bool is_undecided = txn->phase == SP_TXN_BODY || txn->phase == SP_TXN_SCAN;
    if (!txn->may_trickle || txn->is_trickling || !is_undecided || conf->trickle_rate == 0)
        return -1;
    int64_t left_us = txn->mono_us + conf->hold_ms * US_PER_MS - sp_clock_mono_us();
    return left_us <= 0 ? 0 : (int) ((left_us + US_PER_MS - 1) / US_PER_MS);
}

void sp_txn_allow_trickle(struct sp_txn *txn)
{
    txn->may_trickle = true;
}

/* Rules on the body must speak before its first byte goes out, if they can. */
static enum sp_step ask_policy_first(struct sp_txn *txn)
{
    const struct sp_spool *body = txn->plain ? txn->plain : txn->raw;
    if (!txn->wants_body || sp_spool_size(body) < SP_POLICY_BODY_BYTES)
        return SP_STEP_BODY;
    return sp_txn_apply_body_policy(txn);
}

enum sp_step sp_txn_trickle(struct sp_txn *txn)
{
    if (txn->phase == SP_TXN_DECIDED)
        return txn->step;
    if (!txn->is_trickling && sp_txn_hold_ms(txn) == 0) {
        enum sp_step step = ask_policy_first(txn);
        if (step != SP_STEP_BODY)
            return step;
        txn->is_trickling = true;
        txn->trickle_us = sp_clock_mono_us();
        sp_metrics_add(txn->gate->metrics, SP_METRIC_TRICKLED, 1);
    }
    if (txn->is_trickling)
        return SP_STEP_TRICKLE;
    return txn->phase == SP_TXN_SCAN ? SP_STEP_SCAN : SP_STEP_BODY;
}

/* So much of the body may be out by now. */
static uint64_t trickle_limit(const struct sp_txn *txn)
{
    int64_t passed_us = sp_clock_mono_us() - txn->trickle_us;
    double by_time = 1.0 + (double) txn->gate->conf->trickle_rate * (double) passed_us / US_PER_S; /* the first byte at once */
    uint64_t half = sp_spool_size(txn->raw) / 2;
    return by_time < (double) half ? (uint64_t) by_time : half;
}

/* --- delivery -------------------------------------------------------------------------------------------------------- */

static size_t read_buf(const struct sp_buf *buf, size_t *pos, void *p, size_t n)
{
    size_t left = buf->n - *pos;
    size_t take = n < left ? n : left;
    if (take > 0)
        memcpy(p, buf->p + *pos, take);
    *pos += take;
    return take;
}

/* Up to the byte at limit. */
static enum sp_status read_raw(struct sp_txn *txn, uint64_t limit, void *p, size_t n, size_t *got_out)
{
    uint64_t left = limit - txn->raw_read;
    enum sp_status status = sp_spool_read(txn->raw, txn->raw_read, p, left < n ? (size_t) left : n, got_out);
    txn->raw_read += *got_out;
    return status == SP_OK && *got_out == 0 ? SP_ERR_IO : status;
}

enum sp_status sp_txn_read(struct sp_txn *txn, void *p, size_t n, size_t *got_out)
{
    SP_ASSERT(txn->phase == SP_TXN_DECIDED || txn->is_trickling);
    *got_out = 0;
    if (txn->phase != SP_TXN_DECIDED) {
        uint64_t limit = trickle_limit(txn);
        return txn->raw_read < limit ? read_raw(txn, limit, p, n, got_out) : SP_OK;
    }
    if (txn->step == SP_STEP_BLOCK) {
        *got_out = read_buf(&txn->page, &txn->page_read, p, n);
        return SP_OK;
    }
    if (txn->is_spool_broken || txn->step == SP_STEP_CUT)
        return SP_ERR_IO;
    if (txn->raw && txn->raw_read < sp_spool_size(txn->raw))
        return read_raw(txn, sp_spool_size(txn->raw), p, n, got_out);
    *got_out = read_buf(&txn->tail, &txn->tail_read, p, n);
    return SP_OK;
}

/* --- what was decided ------------------------------------------------------------------------------------------------ */

const struct sp_txn_edits *sp_txn_edits(const struct sp_txn *txn)
{
    return &txn->edits;
}

bool sp_txn_has_edits(const struct sp_txn *txn)
{
    return txn->edits.strip_own || txn->edits.n_remove > 0 || txn->edits.n_add > 0;
}

bool sp_txn_is_decided(const struct sp_txn *txn)
{
    return txn->phase == SP_TXN_DECIDED;
}

const struct sp_txn_result *sp_txn_result(const struct sp_txn *txn)
{
    SP_ASSERT(txn->phase == SP_TXN_DECIDED);
    return &txn->result;
}
