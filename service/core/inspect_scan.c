/* What is scanned of a body, and what its verdicts together mean. The objects go to the scanner one after the other; the first that
 * is infected ends it, of all others the worst counts. What the cache knows to be clean, or another transaction scans right now,
 * does not go to the scanner. */
#include "config.h"

#include "inspect_priv.h"

#include "sallyport/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODIES_MAX (2 + SP_SPLIT_MAX_DEPTH) /* decoded, as it came, and the objects of each depth */
#define TURNS 2 /* a scan may be retried once */

enum turn {
    TURN_BEGIN,   /* nobody was asked yet about the object at hand */
    TURN_AWAITED, /* another transaction scans it */
    TURN_SCAN
};

struct sp_plan {
    struct sp_part_body bodies[BODIES_MAX]; /* in this order */
    size_t n, done;
    enum turn turn;
    struct sp_cache_flight flight; /* of bodies[done] */
    struct sp_scan_job *job;       /* of bodies[done], or NULL */
    size_t n_scans;                /* that the scanner was asked for */
    uint64_t engine_asked;         /* that was known to serve when the job began */
    struct sp_scan_result worst;   /* so far */
};

static enum sp_step undecided(const struct sp_txn *txn)
{
    return txn->is_trickling ? SP_STEP_TRICKLE : SP_STEP_SCAN;
}

/* --- what ------------------------------------------------------------------------------------------------------------ */

static bool plan_spool(struct sp_plan *plan, struct sp_spool *spool, struct sp_error *err)
{
    if (sp_spool_seal(spool, err) != SP_OK)
        return false;
    plan->bodies[plan->n++].body = (struct sp_scan_body){ .spool = spool };
    return true;
}

/* The decoded body is what the client will see. If it could not be decoded whole (and that is not blocked), what there is of
 * it is scanned, and the body as it came too. */
static bool plan_all(struct sp_txn *txn, struct sp_error *err)
{
    struct sp_plan *plan = txn->plan;
    if (txn->plain && sp_spool_size(txn->plain) > 0 && !plan_spool(plan, txn->plain, err))
        return false;
    bool wants_raw = !txn->plain || txn->pending != SP_OUTCOME_NONE;
    if (wants_raw && !plan_spool(plan, txn->raw, err))
        return false;
    bool is_digest_of_first = plan->n > 0 && plan->bodies[0].body.spool == (txn->plain ? txn->plain : txn->raw);
    if (txn->has_digest && is_digest_of_first)
        plan->bodies[0].has_digest = sp_digest_finish(&txn->digest, plan->bodies[0].digest) == SP_OK;
    size_t n = 0;
    if (txn->parts && sp_parts_bodies(txn->parts, plan->bodies + plan->n, BODIES_MAX - plan->n, &n, err) != SP_OK)
        return false;
    plan->n += n;
    return true;
}

/* --- what came of it ------------------------------------------------------------------------------------------------- */

/* How much an outcome of the scanner says. */
static int weight(const struct sp_conf *conf, enum sp_outcome outcome)
{
    static const enum sp_outcome order[] = { SP_OUTCOME_CLEAN, SP_OUTCOME_ENCRYPTED, SP_OUTCOME_LIMIT, SP_OUTCOME_OVERLOAD,
        SP_OUTCOME_ERROR, SP_OUTCOME_INFECTED };
    const int n = (int) (sizeof(order) / sizeof(order[0]));
    int rank = 0;
    while (rank < n - 1 && order[rank] != outcome)
        rank++;
    bool is_first = outcome == SP_OUTCOME_INFECTED;
    return rank + (is_first ? 2 * n : conf->outcomes[outcome] == SP_ACTION_BLOCK ? n : 0);
}

static void count_scan(struct sp_txn *txn, const struct sp_scan_result *found)
{
    struct sp_metrics *metrics = txn->gate->metrics;
    sp_metrics_add(metrics, SP_METRIC_SCANS, 1);
    if (found->is_retried)
        sp_metrics_add(metrics, SP_METRIC_SCAN_RETRIES, 1);
    /* Whoever answers late must not set back what has been learned since it was asked. */
    if (found->reply.engine_id != 0 && sp_metrics_engine(metrics) == txn->plan->engine_asked)
        sp_metrics_set_engine(metrics, found->reply.engine_id);
    txn->plan->n_scans++;
}

/* The object at hand has its outcome. */
static void note_result(struct sp_txn *txn, const struct sp_scan_result *found)
{
    struct sp_plan *plan = txn->plan;
    const struct sp_conf *conf = txn->gate->conf;
    uint32_t scan_us = plan->worst.reply.scan_us + found->reply.scan_us;
    if (plan->done == 0 || weight(conf, found->outcome) > weight(conf, plan->worst.outcome))
        plan->worst = *found;
    plan->worst.reply.scan_us = scan_us;
    plan->done++;
    plan->turn = TURN_BEGIN;
}

static enum sp_step decide_scanned(struct sp_txn *txn)
{
    const struct sp_scan_result *found = &txn->plan->worst;
    txn->result.generation = found->reply.generation;
    txn->result.scan_us = found->reply.scan_us;
    txn->is_cached = txn->plan->n > 0 && txn->plan->n_scans == 0;
    if (found->outcome == SP_OUTCOME_INFECTED) {
        txn->result.signature = found->reply.signature;
        return sp_txn_decide(txn, SP_OUTCOME_INFECTED, found->reply.signature);
    }
    if (txn->pending != SP_OUTCOME_NONE && txn->gate->conf->outcomes[found->outcome] != SP_ACTION_BLOCK) {
        char reason[SP_TXN_REASON_SIZE];
        memcpy(reason, txn->reason, sizeof(reason));
        return sp_txn_decide(txn, txn->pending, reason);
    }
    if (found->outcome != SP_OUTCOME_CLEAN)
        return sp_txn_decide(txn, found->outcome, found->detail);
    if (txn->is_partial)
        return sp_txn_decide(txn, SP_OUTCOME_PARTIAL, "a fragment was scanned, not the whole object");
    if (txn->rule)
        return sp_txn_decide_unscanned(txn, "");
    return sp_txn_decide(txn, SP_OUTCOME_CLEAN, txn->is_cached ? "known" : "scanned");
}

/* --- one object ------------------------------------------------------------------------------------------------------ */

static bool ask_scanner(struct sp_txn *txn, int wait_ms)
{
    struct sp_plan *plan = txn->plan;
    struct sp_gate *gate = txn->gate;
    struct sp_scan_result found;
    const bool is_new = !plan->job;
    if (is_new) {
        plan->engine_asked = sp_metrics_engine(gate->metrics);
        plan->job = sp_scan_job_new(&gate->scanner, &plan->bodies[plan->done].body, sp_txn_id(txn));
    }
    if (!plan->job)
        found = (struct sp_scan_result){ .outcome = SP_OUTCOME_OVERLOAD, .detail = "no memory to ask the scanner" };
    else if ((is_new && wait_ms == 0) || !sp_scan_job_wait(plan->job, wait_ms, &found))
        return false; /* at once there is no answer yet, and to look for one is a system call */
    sp_scan_job_free(&plan->job);
    count_scan(txn, &found);
    uint64_t clean_by = found.outcome == SP_OUTCOME_CLEAN ? found.reply.engine_id : 0;
    if (gate->cache && sp_cache_land(gate->cache, &plan->flight, clean_by))
        sp_metrics_add(gate->metrics, SP_METRIC_CACHE_STORED, 1);
    note_result(txn, &found);
    return true;
}

/* What the cache's answer means. True: the object is done. */
static bool follow(struct sp_txn *txn, enum sp_cache_answer answer, enum sp_metric known)
{
    struct sp_metrics *metrics = txn->gate->metrics;
    const struct sp_scan_result clean = { .outcome = SP_OUTCOME_CLEAN };
    switch (answer) {
    case SP_CACHE_KNOWN:
        sp_metrics_add(metrics, known, 1);
        note_result(txn, &clean);
        return true;
    case SP_CACHE_OTHERS:
        txn->plan->turn = TURN_AWAITED;
        return false;
    case SP_CACHE_OURS:
        sp_metrics_add(metrics, SP_METRIC_CACHE_MISSES, 1);
        break;
    }
    txn->plan->turn = TURN_SCAN;
    return false;
}

static bool ask_cache(struct sp_txn *txn)
{
    struct sp_plan *plan = txn->plan;
    const struct sp_gate *gate = txn->gate;
    const struct sp_part_body *at = &plan->bodies[plan->done];
    plan->flight = (struct sp_cache_flight){ 0 };
    plan->turn = TURN_SCAN;
    if (!at->has_digest || !txn->has_digest)
        return false;
    struct sp_cache_object object = { .engine_id = sp_metrics_engine(gate->metrics),
        .policy = sp_gate_digest(gate),
        .extents = at->body.extents,
        .n_extents = at->body.n_extents };
    memcpy(object.body, at->digest, sizeof(object.body));
    struct sp_cache_key key;
    if (sp_cache_key_of(&object, &txn->digest, &key) != SP_OK)
        return false;
    int64_t patience_ms = TURNS * ((int64_t) gate->scanner.queue_ms + gate->scanner.scan_ms) + gate->scanner.start_ms;
    return follow(txn, sp_cache_begin(gate->cache, &key, patience_ms, &plan->flight), SP_METRIC_CACHE_HITS);
}

/* False while it is not done. */
static bool do_next(struct sp_txn *txn, int wait_ms)
{
    struct sp_plan *plan = txn->plan;
    if (plan->turn == TURN_BEGIN && ask_cache(txn))
        return true;
    if (plan->turn == TURN_AWAITED && follow(txn, sp_cache_wait(txn->gate->cache, &plan->flight, wait_ms), SP_METRIC_CACHE_JOINED))
        return true;
    return plan->turn == TURN_SCAN && ask_scanner(txn, wait_ms);
}

/* --- the whole ------------------------------------------------------------------------------------------------------- */

enum sp_step sp_txn_begin_scan(struct sp_txn *txn)
{
    struct sp_error err = { 0 };
    txn->plan = calloc(1, sizeof(*txn->plan));
    if (!txn->plan)
        return sp_txn_decide(txn, SP_OUTCOME_OVERLOAD, "no memory to scan the body");
    txn->plan->worst.outcome = SP_OUTCOME_CLEAN;
    if (!plan_all(txn, &err))
        return sp_txn_decide(txn, SP_OUTCOME_OVERLOAD, err.text[0] ? err.text : "cannot seal the body");
    return txn->plan->n == 0 ? decide_scanned(txn) : sp_txn_wait(txn, 0); /* none: it decodes to nothing */
}

void sp_txn_end_scan(struct sp_txn *txn)
{
    if (!txn->plan)
        return;
    sp_scan_job_free(&txn->plan->job);
    if (txn->gate->cache)
        (void) sp_cache_land(txn->gate->cache, &txn->plan->flight, 0);
    free(txn->plan);
    txn->plan = NULL;
}

enum sp_step sp_txn_wait(struct sp_txn *txn, int wait_ms)
{
    SP_ASSERT(txn->phase == SP_TXN_SCAN || txn->phase == SP_TXN_DECIDED);
    const struct sp_plan *plan = txn->plan;
    while (txn->phase == SP_TXN_SCAN) {
        int hold_ms = sp_txn_hold_ms(txn);
        bool is_hold_first = hold_ms >= 0 && (wait_ms < 0 || hold_ms < wait_ms);
        if (!do_next(txn, is_hold_first ? hold_ms : wait_ms)) {
            enum sp_step step = sp_txn_trickle(txn);
            if (step != SP_STEP_SCAN || wait_ms >= 0)
                return step;
        } else if (plan->done == plan->n || plan->worst.outcome == SP_OUTCOME_INFECTED) {
            return decide_scanned(txn);
        } else if (wait_ms > 0) {
            wait_ms = 0; /* the caller has other things to do: he asks again */
        }
    }
    return txn->phase == SP_TXN_DECIDED ? txn->step : undecided(txn);
}

enum sp_step sp_txn_end(struct sp_txn *txn)
{
    enum sp_step step = sp_txn_complete(txn);
    while (step == SP_STEP_SCAN || step == SP_STEP_TRICKLE)
        step = sp_txn_wait(txn, -1);
    return step;
}
