/* One head through the proxy's own code. inspect.h decides, so the answer is the proxy's; policy.h is then asked once more, with the
 * same input, for what the decision does not carry: the exception, and which conditions hold. */
#include "config.h"

#include "explain.h"

#include "sallyport/decode.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES (64u * 1024u)
#define LINES_MAX (256u * 1024u)

bool sp_explain_is_monitor(const struct sp_conf *conf)
{
    return conf->mode == SP_MODE_MONITOR;
}

/* --- body -------------------------------------------------------------------------------------------------------------- */

static enum sp_status keep_first(void *arg, const void *p, size_t n)
{
    struct sp_buf *plain = arg;
    size_t room = plain->max - plain->n;
    return sp_buf_add(plain, p, n < room ? n : room);
}

/* The first bytes of the body without its content codings, as far as rules look at them. What cannot be decoded ends where it
 * breaks. */
static void read_plain(const struct sp_gate *gate, const struct sp_message *carrier, struct sp_str body, struct sp_buf *plain)
{
    const struct sp_conf *conf = gate->conf;
    struct sp_error detail = { 0 };
    if (!carrier || !sp_decode_is_needed(carrier)) {
        (void) keep_first(plain, body.p, body.n);
        return;
    }
    struct sp_decode_limits limits = { (unsigned) conf->decode_layers, (uint64_t) conf->max_object_size, (unsigned) conf->decode_ratio };
    struct sp_decode *decode = NULL;
    size_t n = body.n < PIECE_BYTES ? body.n : PIECE_BYTES;
    if (sp_decode_new(carrier, &limits, keep_first, plain, &detail, &decode) == SP_DECODE_OK)
        (void) !sp_decode_feed(decode, body.p, n, &detail);
    sp_decode_free(&decode);
}

static ssize_t read_piece(int fd, char *piece)
{
    ssize_t n;
    do
        n = fd >= 0 ? read(fd, piece, PIECE_BYTES) : 0;
    while (n < 0 && errno == EINTR);
    return n;
}

/* Feeds the body until there is a decision. False if it could not be read to its end. */
static bool feed(struct sp_txn *txn, const struct sp_explain_input *in, enum sp_step *step)
{
    char piece[PIECE_BYTES];
    size_t taken = 0;
    if (in->body.n > 0)
        *step = sp_txn_body(txn, in->body.p, in->body.n, &taken);
    while (*step == SP_STEP_BODY) {
        ssize_t n = read_piece(in->body_fd, piece);
        if (n < 0)
            return false;
        *step = n > 0 ? sp_txn_body(txn, piece, (size_t) n, &taken) : sp_txn_end(txn);
    }
    return true;
}

/* --- answer ------------------------------------------------------------------------------------------------------------ */

/* Without a body given, may the message have one? A rule on it could then change the answer. */
static bool may_have_body(const struct sp_message *carrier, enum sp_stage stage)
{
    if (stage == SP_STAGE_CONNECT || !carrier)
        return false;
    unsigned long long length;
    if (sp_message_content_length(carrier, &length))
        return length > 0;
    if (stage == SP_STAGE_RESPONSE || sp_message_field(carrier, SP_STR("Transfer-Encoding")))
        return true;
    return !sp_str_equal_nocase(carrier->method, SP_STR("GET")) && !sp_str_equal_nocase(carrier->method, SP_STR("HEAD"));
}

static enum sp_status describe(const struct sp_gate *gate, const struct sp_policy_input *policy_in, struct sp_explain_answer *out)
{
    enum sp_status status = SP_OK;
    if (out->rule)
        status = sp_policy_describe(gate->policy, out->rule, policy_in, &out->conditions);
    if (status == SP_OK && out->excepted)
        status = sp_policy_describe(gate->policy, out->excepted, policy_in, &out->excepted_conditions);
    return status;
}

/* What the decision does not carry. */
static enum sp_status ask_policy(
    const struct sp_gate *gate, const struct sp_explain_input *in, struct sp_explain_answer *out, bool has_body)
{
    const struct sp_message *carrier = out->stage == SP_STAGE_RESPONSE ? out->response : out->request;
    if (!carrier)
        return SP_OK;
    struct sp_buf plain;
    sp_buf_init(&plain, SP_POLICY_BODY_BYTES);
    if (has_body)
        read_plain(gate, carrier, in->body, &plain);
    struct sp_policy_input policy_in = {
        .stage = out->stage,
        .request = out->request,
        .response = out->stage == SP_STAGE_RESPONSE ? out->response : NULL,
        .client = in->client,
        .user = in->user,
        .sni = in->sni,
        .body = { plain.p ? plain.p : "", plain.n },
        .is_body_known = true,
    };
    struct sp_policy_result found;
    sp_policy_decide(gate->policy, &policy_in, &found);
    out->exception = found.exception;
    out->excepted = found.excepted;
    out->is_limited = found.is_limited;
    if (!out->rule && found.action == SP_ACTION_ALLOW)
        out->rule = found.rule; /* a site's own that allows: nothing to log, but the reason why the head passes */
    enum sp_status status = describe(gate, &policy_in, out);
    if (!has_body && may_have_body(carrier, out->stage)) {
        policy_in.is_body_known = false;
        sp_policy_decide(gate->policy, &policy_in, &found);
        out->needs_body = found.wants_body;
    }
    sp_buf_fini(&plain);
    return status;
}

static void note_result(const struct sp_gate *gate, const struct sp_txn *txn, enum sp_step step, struct sp_explain_answer *out)
{
    const struct sp_txn_result *result = sp_txn_result(txn);
    const struct sp_txn_edits *edits = sp_txn_edits(txn);
    out->outcome = result->outcome;
    out->action = result->action;
    out->rule = result->rule;
    snprintf(out->reason, sizeof(out->reason), "%s", result->reason);
    out->strips_own = edits->strip_own;
    out->is_marked = step == SP_STEP_EDIT && result->action == SP_ACTION_BLOCK;
    out->is_refused = step == SP_STEP_BLOCK || out->is_marked;
    out->is_monitored = sp_explain_is_monitor(gate->conf) && !out->is_refused && out->rule && out->rule->action == SP_ACTION_BLOCK;
    out->is_unknown = result->outcome == SP_OUTCOME_ERROR || result->outcome == SP_OUTCOME_OVERLOAD;
    if (step == SP_STEP_BLOCK) {
        snprintf(out->page_type, sizeof(out->page_type), "%s", result->content_type);
        out->page_bytes = result->page_bytes;
    }
}

bool sp_explain_judge(struct sp_gate *gate, struct sp_explain_input *in, enum sp_direction direction, struct sp_explain_answer *out)
{
    bool is_last = direction == SP_RESPMOD || (!in->response && !in->is_response_broken);
    *out = (struct sp_explain_answer){ .stage = SP_STAGE_RESPONSE };
    sp_buf_init(&out->conditions, LINES_MAX);
    sp_buf_init(&out->excepted_conditions, LINES_MAX);
    out->request = in->request ? sp_head_message(in->request) : NULL;
    out->response = direction == SP_RESPMOD && in->response ? sp_head_message(in->response) : NULL;
    if (direction == SP_REQMOD)
        out->stage = out->request && out->request->is_connect ? SP_STAGE_CONNECT : SP_STAGE_REQUEST;
    const struct sp_txn_start start = {
        .direction = direction,
        .request = out->request,
        .response = out->response,
        .client = in->client,
        .user = in->user,
        .sni = in->sni,
        .has_body = is_last && in->has_body,
        .is_head_broken = in->is_request_broken || (direction == SP_RESPMOD && in->is_response_broken),
    };
    struct sp_txn *txn = NULL;
    enum sp_status status = sp_txn_new(gate, &txn);
    if (status == SP_OK) {
        enum sp_step step = sp_txn_head(txn, &start);
        if (step == SP_STEP_BODY && !feed(txn, in, &step)) {
            sp_cli_fail("the body: %s", strerror(errno));
            sp_txn_free(&txn);
            return false;
        }
        note_result(gate, txn, step, out);
        status = ask_policy(gate, in, out, start.has_body);
    }
    sp_txn_free(&txn);
    if (status != SP_OK)
        sp_cli_fail("%s", sp_status_name(status));
    return status == SP_OK;
}

void sp_explain_answer_fini(struct sp_explain_answer *answer)
{
    sp_buf_fini(&answer->conditions);
    sp_buf_fini(&answer->excepted_conditions);
}
