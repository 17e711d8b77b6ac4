/* One transaction: head, body, scan. The order of the checks is the order in design.md section 3; each ends in a named
 * outcome, and sp_txn_decide*() is the only way out. */
#include "config.h"

#include "inspect_priv.h"

#include "sallyport/assert.h"
#include "sallyport/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAIL_FULL_BYTES (64u * 1024u)    /* held for a slow reader while bytes pass through; more is not taken */
#define TAIL_MAX_BYTES (4u * 1024 * 1024) /* the largest piece that one call may bring on top: a client's preview */
#define OWN_PREFIX "X-Sallyport-"
#define STATUS_PARTIAL_CONTENT 206 /* RFC 9110 15.3.7 */

/* Digits of time and of a counter salted with the process: unique on one machine for nine years. */
static void make_id(struct sp_gate *gate, int64_t wall_us, char out[SP_TXN_ID_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    const unsigned spread = 40503; /* so that processes that start together count in different places */
    unsigned n = atomic_fetch_add_explicit(&gate->next_id, 1, memory_order_relaxed) + (unsigned) getpid() * spread;
    uint64_t v = (uint64_t) wall_us << 16 | (n & 0xffff);
    for (int i = SP_TXN_ID_SIZE - 2; i >= 0; i--, v >>= 4)
        out[i] = hex[v & 0xf];
    out[SP_TXN_ID_SIZE - 1] = '\0';
}

enum sp_status sp_txn_new(struct sp_gate *gate, struct sp_txn **txn_out)
{
    struct sp_txn *txn = calloc(1, sizeof(*txn));
    *txn_out = txn;
    if (!txn)
        return SP_ERR_NOMEM;
    txn->gate = sp_gate_acquire(gate);
    txn->wall_us = sp_clock_wall_us();
    txn->mono_us = sp_clock_mono_us();
    txn->pending = SP_OUTCOME_NONE;
    sp_buf_init(&txn->tail, TAIL_MAX_BYTES);
    make_id(gate, txn->wall_us, txn->id);
    return SP_OK;
}

void sp_txn_free(struct sp_txn **txn_p)
{
    struct sp_txn *txn = *txn_p;
    if (!txn)
        return;
    if (txn->phase == SP_TXN_BODY) {
        sp_metrics_add(txn->gate->metrics, SP_METRIC_CLIENT_GONE, 1);
        (void) sp_txn_decide(txn, SP_OUTCOME_GONE, "the ICAP client left before the end of the body");
    }
    sp_decode_free(&txn->decode);
    sp_spool_free(&txn->raw);
    sp_spool_free(&txn->plain);
    sp_buf_fini(&txn->tail);
    sp_buf_fini(&txn->page);
    sp_gate_release(&txn->gate);
    free(txn);
    *txn_p = NULL;
}

/* --- head ------------------------------------------------------------------------------------------------------------ */

static bool has_own_field(const struct sp_message *msg)
{
    for (size_t i = 0; i < msg->n_fields; i++)
        if (sp_str_starts_nocase(msg->fields[i].name, SP_STR(OWN_PREFIX)))
            return true;
    return false;
}

static enum sp_stage stage_of(const struct sp_txn_start *start)
{
    if (start->direction == SP_RESPMOD)
        return SP_STAGE_RESPONSE;
    return start->request && start->request->is_connect ? SP_STAGE_CONNECT : SP_STAGE_REQUEST;
}

/* Policy refuses: with the page, by a mark on the CONNECT, or in monitor mode not at all (BODY: go on). */
static enum sp_step refuse(struct sp_txn *txn, enum sp_stage stage)
{
    const struct sp_conf *conf = txn->gate->conf;
    if (conf->mode == SP_MODE_MONITOR) {
        txn->is_monitored = true;
        return SP_STEP_BODY;
    }
    if (stage == SP_STAGE_CONNECT && conf->connect_page)
        return sp_txn_decide_mark(txn, txn->rule->name);
    return sp_txn_decide_as(txn, SP_OUTCOME_RULE, SP_ACTION_BLOCK, txn->rule->name);
}

/* BODY means that policy has nothing against it. body is what there is of the plain body; is_body_known that no more comes. */
static enum sp_step apply_policy(struct sp_txn *txn, struct sp_str body, bool is_body_known)
{
    const struct sp_gate *gate = txn->gate;
    const struct sp_policy_input in = {
        .stage = stage_of(&txn->start),
        .request = txn->start.request,
        .response = txn->start.response,
        .client = txn->start.client,
        .user = txn->start.user,
        .sni = txn->start.sni,
        .body = body,
        .is_body_known = is_body_known,
    };
    struct sp_policy_result found = { 0 };
    sp_policy_decide(gate->policy, &in, &found);
    if (found.rule && found.rule->action != SP_ACTION_ALLOW)
        txn->rule = found.rule;
    txn->excepted = found.excepted;
    txn->wants_body = found.wants_body;
    if (found.is_limited)
        sp_metrics_add(gate->metrics, SP_METRIC_POLICY_LIMITED, 1);
    if (found.rule && found.action == SP_ACTION_BLOCK)
        return refuse(txn, in.stage);
    if (found.is_limited && gate->conf->outcomes[SP_OUTCOME_LIMIT] == SP_ACTION_BLOCK && gate->conf->mode != SP_MODE_MONITOR)
        return sp_txn_decide(txn, SP_OUTCOME_LIMIT, "a policy pattern took too much effort on this head");
    return SP_STEP_BODY;
}

/* Types that a server sends for as long as the page is open (WHATWG HTML 9.2; multipart/x-mixed-replace of cameras). */
static bool is_endless_type(struct sp_str type)
{
    return sp_str_equal_nocase(type, SP_STR("text/event-stream")) || sp_str_equal_nocase(type, SP_STR("multipart/x-mixed-replace"));
}

static enum sp_status keep_plain(void *arg, const void *p, size_t n)
{
    struct sp_txn *txn = arg;
    return sp_spool_append(txn->plain, p, n, NULL);
}

static enum sp_status open_spools(struct sp_txn *txn, bool wants_plain)
{
    const struct sp_conf *conf = txn->gate->conf;
    struct sp_spool_limits limits = { (uint64_t) conf->spool_memory, (uint64_t) conf->max_object_size, conf->spool_dir };
    enum sp_status status = sp_spool_new(&limits, &txn->raw);
    if (status == SP_OK && wants_plain)
        status = sp_spool_new(&limits, &txn->plain);
    return status;
}

/* The first of several troubles is the one that is told. */
static void set_pending(struct sp_txn *txn, enum sp_outcome outcome, const char *reason)
{
    if (txn->pending != SP_OUTCOME_NONE)
        return;
    txn->pending = outcome;
    snprintf(txn->reason, sizeof(txn->reason), "%s", reason);
}

/* Ends the transaction if the trouble is to be blocked; otherwise it is remembered and the body is scanned as it came.
 * BODY means go on. */
static enum sp_step decoding_failed(struct sp_txn *txn, enum sp_decode_result result, const char *detail)
{
    /* ERROR is memory or disk, which is the gate's own shortage and not the body's fault. */
    enum sp_outcome outcome = SP_OUTCOME_OVERLOAD;
    if (result == SP_DECODE_BAD)
        outcome = SP_OUTCOME_UNDECODABLE;
    else if (result == SP_DECODE_LIMIT)
        outcome = SP_OUTCOME_LIMIT;
    sp_decode_free(&txn->decode);
    if (txn->gate->conf->outcomes[outcome] == SP_ACTION_BLOCK)
        return sp_txn_decide(txn, outcome, detail);
    set_pending(txn, outcome, detail);
    return SP_STEP_BODY;
}

static enum sp_step prepare_body(struct sp_txn *txn, const struct sp_message *carrier)
{
    const struct sp_conf *conf = txn->gate->conf;
    bool is_coded = carrier && sp_decode_is_needed(carrier);
    if (open_spools(txn, is_coded) != SP_OK)
        return sp_txn_decide_as(txn, SP_OUTCOME_OVERLOAD, SP_ACTION_BLOCK, "no memory for the body");
    txn->phase = SP_TXN_BODY;
    if (!is_coded)
        return SP_STEP_BODY;
    struct sp_decode_limits limits = { (unsigned) conf->decode_layers, (uint64_t) conf->max_object_size, (unsigned) conf->decode_ratio };
    struct sp_error detail = { 0 };
    enum sp_decode_result result = sp_decode_new(carrier, &limits, keep_plain, txn, &detail, &txn->decode);
    return result == SP_DECODE_OK ? SP_STEP_BODY : decoding_failed(txn, result, detail.text);
}

static enum sp_step look_at_body_head(struct sp_txn *txn)
{
    const struct sp_conf *conf = txn->gate->conf;
    const struct sp_message *carrier = txn->start.direction == SP_REQMOD ? txn->start.request : txn->start.response;
    bool is_response = carrier && txn->start.direction == SP_RESPMOD;
    if (is_response && is_endless_type(sp_message_media_type(carrier)))
        return sp_txn_decide(txn, SP_OUTCOME_STREAM, "the content type never ends");
    unsigned long long length = 0;
    if (carrier && sp_message_content_length(carrier, &length) && length > (uint64_t) conf->max_object_size)
        return sp_txn_decide(txn, SP_OUTCOME_OVERSIZE, "Content-Length is over max_object_size");
    txn->is_partial = is_response && carrier->status_code == STATUS_PARTIAL_CONTENT;
    return prepare_body(txn, carrier);
}

/* A rule matched and did not refuse: the log says so. */
static enum sp_step decide_reported(struct sp_txn *txn)
{
    return sp_txn_decide_as(txn, SP_OUTCOME_RULE, SP_ACTION_REPORT, txn->rule->name);
}

static enum sp_step decide_without_body(struct sp_txn *txn, const char *reason)
{
    return txn->rule ? decide_reported(txn) : sp_txn_decide(txn, SP_OUTCOME_NONE, reason);
}

enum sp_step sp_txn_head(struct sp_txn *txn, const struct sp_txn_start *start)
{
    SP_ASSERT(txn->phase == SP_TXN_NEW);
    txn->start = *start;
    struct sp_metrics *metrics = txn->gate->metrics;
    sp_metrics_add(metrics, start->direction == SP_REQMOD ? SP_METRIC_REQMOD : SP_METRIC_RESPMOD, 1);
    if (start->is_head_broken) {
        txn->edits.strip_own = start->direction == SP_REQMOD;
        return sp_txn_decide(txn, SP_OUTCOME_LIMIT, "the head has too many fields to look at");
    }
    if (start->direction == SP_REQMOD && start->request && has_own_field(start->request)) {
        txn->edits.strip_own = true;
        sp_metrics_add(metrics, SP_METRIC_STRIPPED, 1);
    }
    enum sp_step step = apply_policy(txn, SP_STR(""), !start->has_body);
    if (step != SP_STEP_BODY)
        return step;
    return start->has_body ? look_at_body_head(txn) : decide_without_body(txn, "no body");
}

/* --- body ------------------------------------------------------------------------------------------------------------ */

static enum sp_step spool_failed(struct sp_txn *txn, enum sp_status status, const char *detail)
{
    txn->is_spool_broken = true; /* what was received cannot be delivered any more, so there is no choice of action */
    return sp_txn_decide_as(txn, SP_OUTCOME_OVERLOAD, SP_ACTION_BLOCK, detail[0] ? detail : sp_status_name(status));
}

static enum sp_step keep_and_decode(struct sp_txn *txn, const void *p, size_t n)
{
    struct sp_error err = { 0 };
    enum sp_status status = sp_spool_append(txn->raw, p, n, &err);
    if (status != SP_OK)
        return spool_failed(txn, status, err.text);
    txn->body_bytes += n;
    if (!txn->decode)
        return SP_STEP_BODY;
    enum sp_decode_result result = sp_decode_feed(txn->decode, p, n, &err);
    return result == SP_DECODE_OK ? SP_STEP_BODY : decoding_failed(txn, result, err.text);
}

static size_t pass_through(struct sp_txn *txn, const void *p, size_t n)
{
    if (txn->tail_read == txn->tail.n) {
        sp_buf_clear(&txn->tail);
        txn->tail_read = 0;
    }
    if (txn->tail.n >= TAIL_FULL_BYTES || sp_buf_add(&txn->tail, p, n) != SP_OK)
        return 0;
    txn->body_bytes += n;
    return n;
}

enum sp_step sp_txn_body(struct sp_txn *txn, const void *p, size_t n, size_t *taken_out)
{
    SP_ASSERT(txn->phase != SP_TXN_NEW);
    *taken_out = n;
    if (txn->phase == SP_TXN_DECIDED) {
        if (txn->step != SP_STEP_BLOCK)
            *taken_out = pass_through(txn, p, n);
        return txn->step;
    }
    if (txn->body_bytes + n <= (uint64_t) txn->gate->conf->max_object_size)
        return keep_and_decode(txn, p, n);
    enum sp_step step = sp_txn_decide(txn, SP_OUTCOME_OVERSIZE, "the body is over max_object_size");
    if (step == SP_STEP_RELEASE)
        *taken_out = pass_through(txn, p, n);
    return step;
}

/* --- end ------------------------------------------------------------------------------------------------------------- */

static void scan(struct sp_txn *txn, struct sp_spool *body, struct sp_scan_result *found)
{
    struct sp_error err = { 0 };
    if (sp_spool_seal(body, &err) != SP_OK) {
        *found = (struct sp_scan_result){ .outcome = SP_OUTCOME_OVERLOAD };
        snprintf(found->detail, sizeof(found->detail), "cannot seal the body");
        return;
    }
    struct sp_metrics *metrics = txn->gate->metrics;
    sp_scan_client_ask(&txn->gate->scanner, body, txn->id, found);
    sp_metrics_add(metrics, SP_METRIC_SCANS, 1);
    if (found->is_retried)
        sp_metrics_add(metrics, SP_METRIC_SCAN_RETRIES, 1);
    if (found->reply.engine_id != 0 && found->reply.engine_id != sp_metrics_engine(metrics))
        sp_metrics_set_engine(metrics, found->reply.engine_id);
    txn->result.scan = found->reply;
}

/* The decoded body is what the client will see. If it could not be decoded whole (and that is not blocked), what there is of
 * it is scanned, and the body as it came too. */
static void scan_all(struct sp_txn *txn, struct sp_scan_result *found)
{
    *found = (struct sp_scan_result){ .outcome = SP_OUTCOME_CLEAN };
    if (txn->plain && sp_spool_size(txn->plain) > 0)
        scan(txn, txn->plain, found);
    bool needs_raw = !txn->plain || txn->pending != SP_OUTCOME_NONE;
    if (needs_raw && found->outcome == SP_OUTCOME_CLEAN)
        scan(txn, txn->raw, found);
}

static enum sp_step decide_scanned(struct sp_txn *txn, const struct sp_scan_result *found)
{
    txn->phase = SP_TXN_NEW; /* all of the body is here: pass means PASS, not RELEASE */
    if (found->outcome == SP_OUTCOME_INFECTED)
        return sp_txn_decide(txn, SP_OUTCOME_INFECTED, found->reply.signature);
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
        return decide_reported(txn);
    return sp_txn_decide(txn, SP_OUTCOME_CLEAN, "scanned");
}

/* Rules on the body see what the client will see of it, before the scanner is bothered. */
static enum sp_step apply_policy_to_body(struct sp_txn *txn)
{
    char first[SP_POLICY_BODY_BYTES];
    size_t n = 0;
    const struct sp_spool *body = txn->plain ? txn->plain : txn->raw;
    if (sp_spool_read(body, 0, first, sizeof(first), &n) != SP_OK)
        return spool_failed(txn, SP_ERR_IO, "cannot read the body back");
    return apply_policy(txn, (struct sp_str){ first, n }, true);
}

enum sp_step sp_txn_end(struct sp_txn *txn)
{
    SP_ASSERT(txn->phase != SP_TXN_NEW);
    if (txn->phase == SP_TXN_DECIDED)
        return txn->step;
    if (txn->decode) {
        struct sp_error detail = { 0 };
        enum sp_decode_result result = sp_decode_finish(txn->decode, &detail);
        if (result != SP_DECODE_OK && decoding_failed(txn, result, detail.text) == SP_STEP_BLOCK)
            return SP_STEP_BLOCK;
    }
    if (txn->wants_body) {
        enum sp_step step = apply_policy_to_body(txn);
        if (step != SP_STEP_BODY)
            return step;
    }
    if (txn->body_bytes == 0) {
        txn->phase = SP_TXN_NEW;
        return decide_without_body(txn, "empty body");
    }
    struct sp_scan_result found;
    scan_all(txn, &found);
    return decide_scanned(txn, &found);
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

enum sp_status sp_txn_read(struct sp_txn *txn, void *p, size_t n, size_t *got_out)
{
    SP_ASSERT(txn->phase == SP_TXN_DECIDED);
    *got_out = 0;
    if (txn->step == SP_STEP_BLOCK) {
        *got_out = read_buf(&txn->page, &txn->page_read, p, n);
        return SP_OK;
    }
    if (txn->is_spool_broken)
        return SP_ERR_IO;
    if (txn->raw && txn->raw_read < sp_spool_size(txn->raw)) {
        enum sp_status status = sp_spool_read(txn->raw, txn->raw_read, p, n, got_out);
        txn->raw_read += *got_out;
        return status == SP_OK && *got_out == 0 ? SP_ERR_IO : status;
    }
    *got_out = read_buf(&txn->tail, &txn->tail_read, p, n);
    return SP_OK;
}

const struct sp_txn_edits *sp_txn_edits(const struct sp_txn *txn)
{
    return &txn->edits;
}

const struct sp_txn_result *sp_txn_result(const struct sp_txn *txn)
{
    SP_ASSERT(txn->phase == SP_TXN_DECIDED);
    return &txn->result;
}
