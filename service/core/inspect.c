/* One transaction: its head and its body while it arrives (the scan is in inspect_scan.c, delivery in inspect_read.c). The order of
 * the checks is the order in design.md section 3; each ends in a named outcome, and sp_txn_decide*() is the only way out. */
#include "config.h"

#include "inspect_priv.h"

#include "sallyport/assert.h"
#include "sallyport/clock.h"
#include "sallyport/rewrite.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAIL_FULL_BYTES (64u * 1024u)    /* held for a slow reader while bytes pass through; more is not taken */
#define TAIL_MAX_BYTES (4u * 1024 * 1024) /* the largest piece that one call may bring on top: a client's preview */
#define OWN_PREFIX "X-Sallyport-"
#define STATUS_PARTIAL_CONTENT 206 /* RFC 9110 15.3.7 */

/* Digits of time and of a counter that begins elsewhere in each process: unique on one machine for nine years. */
static void make_id(struct sp_gate *gate, int64_t wall_us, char out[SP_TXN_ID_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    unsigned n = atomic_fetch_add_explicit(&gate->next_id, 1, memory_order_relaxed);
    uint64_t v = (uint64_t) wall_us << 16 | (n & 0xffff);
    for (int i = SP_TXN_ID_SIZE - 2; i >= 0; i--, v >>= 4)
        out[i] = hex[v & 0xf];
    out[SP_TXN_ID_SIZE - 1] = '\0';
}

int64_t sp_txn_wall_us(struct sp_txn *txn)
{
    if (txn->wall_us == 0)
        txn->wall_us = sp_clock_wall_us() - (sp_clock_mono_us() - txn->mono_us);
    return txn->wall_us;
}

const char *sp_txn_id(struct sp_txn *txn)
{
    if (txn->id[0] == '\0')
        make_id(txn->gate, sp_txn_wall_us(txn), txn->id);
    return txn->id;
}

enum sp_status sp_txn_new_taking(struct sp_gate **gate, struct sp_txn **txn_out)
{
    struct sp_txn *txn = malloc(sizeof(*txn));
    *txn_out = txn;
    if (!txn)
        return SP_ERR_NOMEM;
    memset(txn, 0, offsetof(struct sp_txn, reason));
    txn->reason[0] = '\0';
    txn->gate = *gate;
    *gate = NULL;
    txn->mono_us = sp_clock_mono_us();
    txn->pending = SP_OUTCOME_NONE;
    txn->decode_us = SP_METRICS_NO_TIME;
    sp_buf_init(&txn->tail, TAIL_MAX_BYTES);
    return SP_OK;
}

enum sp_status sp_txn_new(struct sp_gate *gate, struct sp_txn **txn_out)
{
    struct sp_gate *held = sp_gate_acquire(gate);
    enum sp_status status = sp_txn_new_taking(&held, txn_out);
    sp_gate_release(&held);
    return status;
}

void sp_txn_free(struct sp_txn **txn_p)
{
    struct sp_txn *txn = *txn_p;
    if (!txn)
        return;
    if (txn->phase == SP_TXN_BODY || txn->phase == SP_TXN_SCAN) {
        sp_metrics_add(txn->gate->metrics, SP_METRIC_CLIENT_GONE, 1);
        (void) sp_txn_decide(txn, SP_OUTCOME_GONE, "broken off before the decision: the ICAP client left, or c-icap was stopped");
    }
    if (txn->body_bytes > 0) /* only now all that passed through has passed */
        sp_metrics_add(txn->gate->metrics, txn->start.direction == SP_REQMOD ? SP_METRIC_REQUEST_BYTES : SP_METRIC_RESPONSE_BYTES,
            txn->body_bytes);
    sp_txn_end_scan(txn);
    sp_digest_fini(&txn->digest);
    sp_parts_free(&txn->parts);
    sp_decode_free(&txn->decode);
    sp_spool_free(&txn->raw);
    sp_spool_free(&txn->plain);
    sp_buf_fini(&txn->tail);
    sp_buf_fini(&txn->page);
    free(txn->troubles);
    free(txn->added);
    sp_gate_release(&txn->gate);
    free(txn);
    *txn_p = NULL;
}

/* --- head ------------------------------------------------------------------------------------------------------------ */

static bool has_own_field(const struct sp_message *msg)
{
    for (size_t i = 0; i < msg->n_fields; i++) {
        struct sp_str name = msg->fields[i].name;
        if (name.n > 0 && (name.p[0] | 0x20) == 'x' && sp_str_starts_nocase(name, SP_STR(OWN_PREFIX)))
            return true;
    }
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

/* The first of several troubles is the one that is told. Those that are to be blocked end the transaction; with the others the
 * body is scanned as far as it can be seen, and as it came. */
enum sp_step sp_txn_trouble(struct sp_txn *txn, enum sp_outcome outcome, const char *reason)
{
    if (txn->gate->conf->outcomes[outcome] == SP_ACTION_BLOCK)
        return sp_txn_decide(txn, outcome, reason);
    if (txn->pending == SP_OUTCOME_NONE) {
        txn->pending = outcome;
        snprintf(txn->reason, sizeof(txn->reason), "%.*s", SP_TXN_REASON_SIZE - 1, reason);
    }
    return SP_STEP_BODY;
}

static enum sp_step decoding_failed(struct sp_txn *txn, enum sp_decode_result result, const char *detail)
{
    /* ERROR is memory or disk, which is the gate's own shortage and not the body's fault. */
    enum sp_outcome outcome = SP_OUTCOME_OVERLOAD;
    if (result == SP_DECODE_BAD)
        outcome = SP_OUTCOME_UNDECODABLE;
    else if (result == SP_DECODE_LIMIT)
        outcome = SP_OUTCOME_LIMIT;
    sp_decode_free(&txn->decode);
    return sp_txn_trouble(txn, outcome, txn->troubles->plain.text[0] ? txn->troubles->plain.text : detail);
}

/* Remembered until the bytes at hand are kept: the decoder may be in the middle of its work. */
static void note_parts(struct sp_txn *txn, enum sp_split_result result, const struct sp_error *detail)
{
    if (result == SP_SPLIT_OK || txn->parts_trouble != SP_OUTCOME_NONE)
        return;
    txn->parts_trouble = SP_OUTCOME_OVERLOAD;
    if (result == SP_SPLIT_BAD)
        txn->parts_trouble = SP_OUTCOME_UNDECODABLE;
    else if (result == SP_SPLIT_LIMIT)
        txn->parts_trouble = SP_OUTCOME_LIMIT;
    txn->troubles->parts = *detail;
}

static enum sp_step tell_parts_trouble(struct sp_txn *txn)
{
    enum sp_outcome outcome = txn->parts_trouble;
    txn->parts_trouble = SP_OUTCOME_NONE;
    return outcome == SP_OUTCOME_NONE ? SP_STEP_BODY : sp_txn_trouble(txn, outcome, txn->troubles->parts.text);
}

static void feed_parts(struct sp_txn *txn, const void *p, size_t n)
{
    struct sp_error detail = { 0 };
    if (txn->parts)
        note_parts(txn, sp_parts_feed(txn->parts, p, n, &detail), &detail);
}

static enum sp_status keep_plain(void *arg, const void *p, size_t n)
{
    struct sp_txn *txn = arg;
    feed_parts(txn, p, n);
    enum sp_status status = sp_spool_append(txn->plain, p, n, &txn->troubles->plain);
    if (status == SP_OK && txn->has_digest)
        sp_digest_add(&txn->digest, p, n);
    return status;
}

static struct sp_spool_limits spool_limits(const struct sp_txn *txn)
{
    const struct sp_conf *conf = txn->gate->conf;
    return (struct sp_spool_limits){ (uint64_t) conf->spool_memory, (uint64_t) conf->max_object_size, conf->spool_dir, txn->gate->quota };
}

static struct sp_decode_limits decode_limits(const struct sp_txn *txn)
{
    const struct sp_conf *conf = txn->gate->conf;
    return (struct sp_decode_limits){ (unsigned) conf->decode_layers, (uint64_t) conf->max_object_size, (unsigned) conf->decode_ratio };
}

static enum sp_status open_body(struct sp_txn *txn, bool wants_plain)
{
    const struct sp_spool_limits limits = spool_limits(txn);
    txn->troubles = malloc(sizeof(*txn->troubles));
    if (!txn->troubles)
        return SP_ERR_NOMEM;
    txn->troubles->plain.text[0] = txn->troubles->parts.text[0] = '\0';
    enum sp_status status = sp_spool_new(&limits, &txn->raw);
    if (status == SP_OK && wants_plain)
        status = sp_spool_new(&limits, &txn->plain);
    return status;
}

static void open_parts(struct sp_txn *txn, const struct sp_message *carrier)
{
    const struct sp_parts_setup setup = {
        .carrier = carrier,
        .split = { .max_depth = SP_SPLIT_MAX_DEPTH, .max_parts = (unsigned) txn->gate->conf->decode_parts, .decode = decode_limits(txn) },
        .spool = spool_limits(txn),
        .model = txn->has_digest ? &txn->gate->digest_model : NULL,
    };
    struct sp_error detail = { 0 };
    note_parts(txn, sp_parts_new(&setup, &detail, &txn->parts), &detail);
}

static enum sp_step open_decode(struct sp_txn *txn, const struct sp_message *carrier)
{
    const struct sp_decode_limits limits = decode_limits(txn);
    struct sp_error detail = { 0 };
    enum sp_decode_result result = sp_decode_new(carrier, &limits, keep_plain, txn, &detail, &txn->decode);
    return result == SP_DECODE_OK ? SP_STEP_BODY : decoding_failed(txn, result, detail.text);
}

static enum sp_step prepare_body(struct sp_txn *txn, const struct sp_message *carrier)
{
    bool is_coded = carrier && sp_decode_is_needed(carrier);
    if (open_body(txn, is_coded) != SP_OK)
        return sp_txn_decide_as(txn, SP_OUTCOME_OVERLOAD, SP_ACTION_BLOCK, "no memory for the body");
    txn->phase = SP_TXN_BODY;
    /* A fragment's verdict says nothing about the object. Without memory for the digest it is scanned, that is all. */
    bool may_be_known = txn->gate->cache && !txn->is_partial;
    txn->has_digest = may_be_known && sp_digest_init(&txn->digest, &txn->gate->digest_model, NULL) == SP_OK;
    if (carrier && sp_split_is_needed(carrier))
        open_parts(txn, carrier);
    enum sp_step step = tell_parts_trouble(txn);
    return is_coded && step == SP_STEP_BODY ? open_decode(txn, carrier) : step;
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

enum sp_step sp_txn_decide_unscanned(struct sp_txn *txn, const char *reason)
{
    if (txn->rule)
        return sp_txn_decide_as(txn, SP_OUTCOME_RULE, SP_ACTION_REPORT, txn->rule->name);
    return sp_txn_decide(txn, SP_OUTCOME_NONE, reason);
}

/* The edits that keep scanning honest. False without memory for their text. */
static bool edit_head(struct sp_txn *txn)
{
    const struct sp_txn_start *start = &txn->start;
    const struct sp_conf *conf = txn->gate->conf;
    struct sp_rewrite rewrite;
    if (start->direction == SP_RESPMOD)
        sp_rewrite_response(conf, start->response, &rewrite);
    else
        sp_rewrite_request(conf, start->request, start->sni, &rewrite);
    struct sp_txn_edits *edits = &txn->edits;
    for (size_t i = 0; i < rewrite.n_remove; i++)
        edits->remove[edits->n_remove++] = rewrite.remove[i];
    if (!rewrite.has_add)
        return true;
    txn->added = strdup(rewrite.add);
    edits->add[edits->n_add] = txn->added;
    edits->n_add += txn->added != NULL;
    return txn->added != NULL;
}

enum sp_step sp_txn_head(struct sp_txn *txn, const struct sp_txn_start *start)
{
    SP_ASSERT(txn->phase == SP_TXN_NEW);
    txn->start = *start;
    struct sp_metrics *metrics = txn->gate->metrics;
    if (start->is_head_broken) {
        txn->edits.strip_own = start->direction == SP_REQMOD;
        return sp_txn_decide(txn, SP_OUTCOME_LIMIT, "the head has too many fields to look at");
    }
    if (start->direction == SP_REQMOD && start->request && has_own_field(start->request)) {
        txn->edits.strip_own = true;
        sp_metrics_add(metrics, SP_METRIC_STRIPPED, 1);
    }
    if (!edit_head(txn))
        return sp_txn_decide_as(txn, SP_OUTCOME_OVERLOAD, SP_ACTION_BLOCK, "no memory for the head");
    enum sp_step step = apply_policy(txn, SP_STR(""), !start->has_body);
    if (step != SP_STEP_BODY)
        return step;
    if (!start->has_body)
        return sp_txn_decide_unscanned(txn, "no body");
    txn->head_us = sp_clock_mono_us();
    return look_at_body_head(txn);
}

/* --- body ------------------------------------------------------------------------------------------------------------ */

enum sp_step sp_txn_spool_failed(struct sp_txn *txn, enum sp_status status, const char *detail)
{
    txn->is_spool_broken = true; /* what was received cannot be delivered any more, so there is no choice of action */
    return sp_txn_decide_as(txn, SP_OUTCOME_OVERLOAD, SP_ACTION_BLOCK, detail[0] ? detail : sp_status_name(status));
}

static void note_decode_time(struct sp_txn *txn, int64_t began_us)
{
    const int64_t before_us = txn->decode_us == SP_METRICS_NO_TIME ? 0 : txn->decode_us;
    txn->decode_us = before_us + sp_clock_mono_us() - began_us;
}

static enum sp_step keep_and_decode(struct sp_txn *txn, const void *p, size_t n)
{
    struct sp_error err = { 0 };
    enum sp_status status = sp_spool_append(txn->raw, p, n, &err);
    if (status != SP_OK)
        return sp_txn_spool_failed(txn, status, err.text);
    txn->body_bytes += n;
    enum sp_decode_result result = SP_DECODE_OK;
    const int64_t began_us = txn->decode || txn->parts ? sp_clock_mono_us() : 0;
    if (txn->decode) {
        result = sp_decode_feed(txn->decode, p, n, &err);
    } else if (!txn->plain) {
        feed_parts(txn, p, n);
        if (txn->has_digest)
            sp_digest_add(&txn->digest, p, n);
    }
    if (began_us != 0)
        note_decode_time(txn, began_us);
    enum sp_step step = result == SP_DECODE_OK ? SP_STEP_BODY : decoding_failed(txn, result, err.text);
    return step == SP_STEP_BODY ? tell_parts_trouble(txn) : step;
}

/* Rules on the body see what the client will see of it. */
enum sp_step sp_txn_apply_body_policy(struct sp_txn *txn)
{
    char first[SP_POLICY_BODY_BYTES];
    size_t n = 0;
    const struct sp_spool *body = txn->plain ? txn->plain : txn->raw;
    if (sp_spool_read(body, 0, first, sizeof(first), &n) != SP_OK)
        return sp_txn_spool_failed(txn, SP_ERR_IO, "cannot read the body back");
    return apply_policy(txn, (struct sp_str){ first, n }, true);
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
        if (txn->step != SP_STEP_BLOCK && txn->step != SP_STEP_CUT)
            *taken_out = pass_through(txn, p, n);
        return txn->step;
    }
    if (txn->body_bytes + n <= (uint64_t) txn->gate->conf->max_object_size) {
        enum sp_step step = keep_and_decode(txn, p, n);
        return step == SP_STEP_BODY ? sp_txn_trickle(txn) : step;
    }
    enum sp_step step = sp_txn_decide(txn, SP_OUTCOME_OVERSIZE, "the body is over max_object_size");
    if (step == SP_STEP_RELEASE)
        *taken_out = pass_through(txn, p, n);
    return step;
}

/* The end of decoding and splitting. BODY: nothing is wrong. */
static enum sp_step finish_decoding(struct sp_txn *txn)
{
    struct sp_error detail = { 0 };
    if (txn->decode) {
        enum sp_decode_result result = sp_decode_finish(txn->decode, &detail);
        if (result != SP_DECODE_OK) {
            enum sp_step step = decoding_failed(txn, result, detail.text);
            if (step != SP_STEP_BODY)
                return step;
        }
    }
    if (txn->parts && txn->pending == SP_OUTCOME_NONE) /* else it saw only the beginning, and its end says nothing */
        note_parts(txn, sp_parts_finish(txn->parts, &detail), &detail);
    return tell_parts_trouble(txn);
}

enum sp_step sp_txn_complete(struct sp_txn *txn)
{
    SP_ASSERT(txn->phase == SP_TXN_BODY || txn->phase == SP_TXN_DECIDED);
    if (txn->phase == SP_TXN_DECIDED)
        return txn->step;
    enum sp_step step = finish_decoding(txn);
    txn->complete_us = sp_clock_mono_us();
    if (step == SP_STEP_BODY && txn->wants_body)
        step = sp_txn_apply_body_policy(txn);
    if (step != SP_STEP_BODY)
        return step;
    txn->phase = SP_TXN_SCAN; /* all of the body is here: pass means PASS, not RELEASE */
    if (txn->body_bytes == 0)
        return sp_txn_decide_unscanned(txn, "empty body");
    return sp_txn_begin_scan(txn);
}
