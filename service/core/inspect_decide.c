/* The end of a transaction: every way through inspect.c comes here exactly once, so that no outcome lacks its action, its
 * counter, its log line or its page. */
#include "config.h"

#include "inspect_priv.h"

#include "sallyport/assert.h"
#include "sallyport/clock.h"
#include "sallyport/text.h"

#include <stdio.h>
#include <string.h>

#define PAGE_MAX_BYTES (2u * 1024u * 1024u)
#define URL_MAX_BYTES (16u * 1024u)
#define MARK_VALUE_MAX_BYTES 256u

static struct sp_str url_of(const struct sp_message *request, struct sp_buf *scratch)
{
    if (!request)
        return (struct sp_str){ "", 0 };
    bool is_origin_form = request->target.n > 0 && request->target.p[0] == '/';
    if (!is_origin_form || request->authority.n == 0)
        return request->target;
    if (sp_buf_add_str(scratch, request->authority) != SP_OK || sp_buf_add_str(scratch, request->target) != SP_OK)
        return request->target;
    return (struct sp_str){ scratch->p, scratch->n };
}

static void render_page(struct sp_txn *txn, struct sp_str url)
{
    char time_text[SP_CLOCK_TEXT_SIZE];
    sp_clock_format(sp_txn_wall_us(txn), time_text);
    const struct sp_rule *rule = txn->rule;
    const struct sp_message *request = txn->start.request;
    struct sp_page_values values = {
        .outcome = sp_outcome_name(txn->result.outcome),
        .reason = txn->reason,
        .rule = rule ? rule->id : "",
        .rule_name = rule ? rule->name : "",
        .category = rule ? rule->category : "",
        .signature = txn->result.signature,
        .id = sp_txn_id(txn),
        .time = time_text,
        .url = url,
        .host = request ? request->host : (struct sp_str){ "", 0 },
    };
    enum sp_page_format format = sp_page_choose(request, txn->start.response);
    txn->result.content_type = sp_page_content_type(format);
    if (format == SP_PAGE_HTML) {
        values.language = sp_page_choose_language(txn->gate->page, request);
        txn->result.content_language = sp_page_language_tag(txn->gate->page, values.language);
    }
    sp_buf_init(&txn->page, PAGE_MAX_BYTES);
    if (sp_page_render(txn->gate->page, format, &values, &txn->page) != SP_OK)
        sp_buf_clear(&txn->page); /* refused all the same, with an empty body */
    txn->result.page_bytes = txn->page.n;
}

static bool is_notable(const struct sp_txn *txn)
{
    enum sp_outcome outcome = txn->result.outcome;
    return (outcome != SP_OUTCOME_CLEAN && outcome != SP_OUTCOME_NONE) || txn->result.action != SP_ACTION_ALLOW || txn->excepted;
}

static void write_log(struct sp_txn *txn, struct sp_str url, int64_t decided_us)
{
    const struct sp_gate *gate = txn->gate;
    if (!gate->declog || (gate->conf->log_decisions != SP_LOG_ALL && !is_notable(txn)))
        return;
    const struct sp_message *request = txn->start.request;
    const struct sp_message *response = txn->start.response;
    const struct sp_field *encoding = NULL;
    const struct sp_message *carrier = response ? response : request;
    if (carrier)
        encoding = sp_message_field(carrier, SP_STR("Content-Encoding"));
    struct sp_decision d = {
        .wall_us = sp_txn_wall_us(txn),
        .id = sp_txn_id(txn),
        .client = txn->start.client,
        .user = txn->start.user,
        .direction = txn->start.direction == SP_REQMOD ? SP_STR("REQMOD") : SP_STR("RESPMOD"),
        .method = request ? request->method : (struct sp_str){ "", 0 },
        .url = url,
        .status = response ? response->status_code : 0,
        .outcome = txn->result.outcome,
        .action = txn->result.action,
        .reason = txn->reason,
        .rule = txn->rule ? txn->rule->id : "",
        .category = txn->rule ? txn->rule->category : "",
        .excepted = txn->excepted ? txn->excepted->id : "",
        .is_monitored = txn->is_monitored,
        .is_cached = txn->is_cached,
        .signature = txn->result.signature,
        .encoding = encoding ? encoding->value : (struct sp_str){ "", 0 },
        .bytes = txn->body_bytes,
        .generation = txn->result.generation,
        .total_us = decided_us - txn->mono_us,
        .scan_us = txn->result.scan_us,
    };
    if (!sp_declog_write(gate->declog, &d))
        sp_metrics_add(gate->metrics, SP_METRIC_LOG_LOST, 1);
}

static void count(const struct sp_txn *txn, int64_t decided_us)
{
    struct sp_metrics_txn counted = {
        .direction = txn->start.direction,
        .outcome = txn->result.outcome,
        .action = txn->result.action,
        .category = txn->rule ? txn->rule->category : NULL,
        .total_us = decided_us - txn->mono_us,
        .phase_us = { [SP_PHASE_POLICY] = decided_us - txn->mono_us,
            [SP_PHASE_RECEIVE] = SP_METRICS_NO_TIME,
            [SP_PHASE_DECODE] = txn->decode_us,
            [SP_PHASE_SCAN] = SP_METRICS_NO_TIME,
            [SP_PHASE_WAIT] = SP_METRICS_NO_TIME },
    };
    if (txn->head_us != 0) {
        counted.phase_us[SP_PHASE_POLICY] = txn->head_us - txn->mono_us;
        counted.phase_us[SP_PHASE_RECEIVE] = (txn->complete_us != 0 ? txn->complete_us : decided_us) - txn->head_us;
    }
    const int64_t scan_us = txn->result.scan_us; /* of several objects together, so it may seem to be longer than the wait */
    if (scan_us > 0)
        counted.phase_us[SP_PHASE_SCAN] = scan_us;
    if (txn->complete_us != 0)
        counted.phase_us[SP_PHASE_WAIT] = decided_us - txn->complete_us > scan_us ? decided_us - txn->complete_us - scan_us : 0;
    sp_metrics_count(txn->gate->metrics, &counted);
    if (txn->is_monitored)
        sp_metrics_add(txn->gate->metrics, SP_METRIC_MONITORED, 1);
}

static enum sp_step finish(struct sp_txn *txn, enum sp_outcome outcome, enum sp_action action, const char *reason, enum sp_step step)
{
    SP_ASSERT(txn->phase != SP_TXN_DECIDED);
    txn->phase = SP_TXN_DECIDED;
    txn->step = step;
    sp_str_copy(sp_str_from(reason), txn->reason, sizeof(txn->reason));
    txn->result.id = txn->id;
    txn->result.outcome = outcome;
    txn->result.action = action;
    txn->result.reason = txn->reason;
    txn->result.rule = txn->rule;
    if (!txn->result.signature)
        txn->result.signature = "";
    txn->result.content_type = txn->result.content_language = "";
    txn->result.body_bytes = txn->body_bytes;
    const int64_t decided_us = sp_clock_mono_us();
    count(txn, decided_us);
    struct sp_buf scratch;
    sp_buf_init(&scratch, URL_MAX_BYTES);
    if (step == SP_STEP_BLOCK || is_notable(txn) || txn->gate->conf->log_decisions == SP_LOG_ALL) {
        struct sp_str url = url_of(txn->start.request, &scratch);
        if (step == SP_STEP_BLOCK)
            render_page(txn, url);
        write_log(txn, url, decided_us);
    }
    sp_buf_fini(&scratch);
    return step;
}

static enum sp_step pass_step(const struct sp_txn *txn)
{
    if (txn->phase == SP_TXN_BODY || txn->is_trickling)
        return SP_STEP_RELEASE;
    return sp_txn_has_edits(txn) ? SP_STEP_EDIT : SP_STEP_PASS;
}

enum sp_step sp_txn_decide_as(struct sp_txn *txn, enum sp_outcome outcome, enum sp_action action, const char *reason)
{
    enum sp_step refuse = txn->is_trickling ? SP_STEP_CUT : SP_STEP_BLOCK;
    if (action == SP_ACTION_BLOCK && txn->is_trickling)
        sp_metrics_add(txn->gate->metrics, SP_METRIC_CUT, 1);
    return finish(txn, outcome, action, reason, action == SP_ACTION_BLOCK ? refuse : pass_step(txn));
}

enum sp_step sp_txn_decide(struct sp_txn *txn, enum sp_outcome outcome, const char *reason)
{
    return sp_txn_decide_as(txn, outcome, txn->gate->conf->outcomes[outcome], reason);
}

/* Appends "NAME: VALUE" and a NUL. A rule's name is what a person wrote: it must neither end the line nor break UTF-8. */
static enum sp_status add_mark(struct sp_buf *lines, const char *name, const char *value)
{
    enum sp_status status = sp_buf_addf(lines, "%s: ", name);
    size_t start = lines->n;
    if (status == SP_OK)
        status = sp_text_clean(sp_str_from(value), MARK_VALUE_MAX_BYTES, lines);
    for (size_t i = start; status == SP_OK && i < lines->n; i++)
        if ((unsigned char) lines->p[i] < ' ')
            lines->p[i] = '?';
    return status == SP_OK ? sp_buf_add(lines, "", 1) : status;
}

enum sp_step sp_txn_decide_mark(struct sp_txn *txn, const char *reason)
{
    SP_ASSERT(txn->rule);
    const struct { const char *name, *value; } marks[] = {
        { "X-Sallyport-Block", txn->rule->id },
        { "X-Sallyport-Rule", txn->rule->name },
        { "X-Sallyport-Category", txn->rule->category },
        { "X-Sallyport-Id", sp_txn_id(txn) },
    };
    const size_t n_marks = sizeof(marks) / sizeof(marks[0]);
    SP_ASSERT(txn->edits.n_add + n_marks <= SP_EDITS_MAX);
    sp_buf_init(&txn->page, PAGE_MAX_BYTES); /* there is no other page for it */
    enum sp_status status = SP_OK;
    for (size_t i = 0; i < n_marks && status == SP_OK; i++)
        status = add_mark(&txn->page, marks[i].name, marks[i].value);
    if (status != SP_OK) {
        sp_buf_fini(&txn->page);
        return sp_txn_decide_as(txn, SP_OUTCOME_RULE, SP_ACTION_BLOCK, reason);
    }
    const char *line = txn->page.p;
    for (size_t i = 0; i < n_marks; i++, line += strlen(line) + 1)
        txn->edits.add[txn->edits.n_add++] = line;
    return finish(txn, SP_OUTCOME_RULE, SP_ACTION_BLOCK, reason, SP_STEP_EDIT);
}
