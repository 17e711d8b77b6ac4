/* An answer as text and as JSON. What is shown of a head was written by somebody outside: all of it goes through output.c, which
 * escapes. */
#include "config.h"

#include "explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LABEL_WIDTH 13
#define ROW_BYTES 8192
#define WHAT_BYTES 16384
#define OWN_PREFIX "X-Sallyport-"

const char *sp_explain_stage_name(enum sp_stage stage)
{
    static const char *const names[SP_STAGE_COUNT] = { "connect", "request", "response" };
    return names[stage];
}

/* "GET http://host/path"; of a response "200 from GET http://host/path". */
static void format_what(const struct sp_explain_answer *answer, char out[WHAT_BYTES])
{
    char status[32] = "";
    if (answer->stage == SP_STAGE_RESPONSE)
        snprintf(status, sizeof(status), answer->request ? "%u from " : "%u", answer->response ? answer->response->status_code : 0);
    if (!answer->request) {
        snprintf(out, WHAT_BYTES, "%s", answer->stage == SP_STAGE_RESPONSE ? status : "a request that cannot be read");
        return;
    }
    const struct sp_message *request = answer->request;
    bool is_origin = request->target.n > 0 && request->target.p[0] == '/';
    struct sp_str host = is_origin ? request->authority : SP_STR("");
    snprintf(out, WHAT_BYTES, "%s%.*s %.*s%.*s", status, (int) request->method.n, request->method.p, (int) host.n, host.p,
        (int) request->target.n, request->target.p);
}

/* --- text ------------------------------------------------------------------------------------------------------------- */

/* "LABEL        text", escaped; nothing for an empty text. */
static void row(const char *label, const char *fmt, ...) SP_PRINTF(2, 3);

static void row(const char *label, const char *fmt, ...)
{
    char text[ROW_BYTES];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n > 0)
        sp_cli_line(stdout, "%-*s%s", LABEL_WIDTH, label, text);
}

/* A row for each line of lines. */
static void rows(const char *label, const struct sp_buf *lines)
{
    struct sp_str rest = { lines->p, lines->n };
    while (rest.n > 0) {
        const char *newline = memchr(rest.p, '\n', rest.n);
        size_t n = newline ? (size_t) (newline - rest.p) : rest.n;
        row(label, "%.*s", (int) n, rest.p);
        label = "";
        n += newline ? 1 : 0;
        rest.p += n;
        rest.n -= n;
    }
}

void sp_explain_print_rule(const struct sp_rule *rule, const struct sp_buf *conditions)
{
    row("rule", "%s: %s", rule->id, rule->name);
    row("category", "%s", rule->category);
    if (rule->action == rule->own_action)
        row("action", "%s", sp_action_name(rule->action));
    else
        row("action", "%s (the rule's own is %s)", sp_action_name(rule->action), sp_action_name(rule->own_action));
    rows("conditions", conditions);
    row("defined at", "%s", rule->origin);
    row("reference", "%s", rule->reference);
    row("may also hit", "%s", rule->false_positives);
}

static const char *verdict_of(const struct sp_explain_answer *answer)
{
    if (answer->is_unknown)
        return "cannot be said: rules let it pass, and the scanner has not looked at the body";
    if (answer->is_refused)
        return "would be blocked";
    if (answer->is_monitored)
        return "would have been blocked, passes in monitor mode";
    return answer->action == SP_ACTION_REPORT ? "passes, and is reported" : "passes";
}

static void print_exception(const struct sp_explain_answer *answer)
{
    if (!answer->exception)
        return;
    const struct sp_rule *rule = answer->excepted;
    row("exception", "%s (%s)", answer->exception->text, answer->exception->origin);
    row("passed over", "%s: %s (%s, would %s)", rule->id, rule->name, rule->category, sp_action_name(rule->action));
    rows("", &answer->excepted_conditions);
}

static void print_refusal(const struct sp_explain_answer *answer)
{
    if (answer->is_unknown)
        return;
    if (answer->is_marked)
        row("refusal", "%s", "Squid shows its page for it inside TLS (connect_page is on)");
    else if (answer->is_refused && answer->stage == SP_STAGE_CONNECT)
        row("refusal", "%s", "403 to the CONNECT; browsers hide the page that comes with it (connect_page is off)");
    else if (answer->is_refused)
        row("refusal", "403 with a page of %zu bytes, %s", answer->page_bytes, answer->page_type);
}

static void print_notes(const struct sp_explain_answer *answer)
{
    if (answer->strips_own)
        for (size_t i = 0; answer->request && i < answer->request->n_fields; i++) {
            const struct sp_field *field = &answer->request->fields[i];
            if (sp_str_starts_nocase(field->name, SP_STR(OWN_PREFIX)))
                row("dropped", "%.*s: %.*s", (int) field->name.n, field->name.p, (int) field->value.n, field->value.p);
        }
    if (answer->needs_body)
        row("body", "%s", "a rule that looks at the body could change this, and none was given");
    if (answer->is_limited)
        row("limit", "%s", "a rule that blocks took too much effort on this head and was not tested to its end");
    if (answer->is_unknown && answer->is_refused)
        row("scanner", "%s", "sallyport-scand must run here; a proxy without it would refuse this");
}

void sp_explain_print(const struct sp_gate *gate, const struct sp_explain_answer *answer)
{
    char what[WHAT_BYTES];
    format_what(answer, what);
    sp_cli_line(stdout, "%s: %s", what, verdict_of(answer));
    if (answer->rule)
        sp_explain_print_rule(answer->rule, &answer->conditions);
    else
        row("rule", "%s", answer->request || answer->response ? "none matches" : "none was asked: the head has too many fields");
    if (answer->outcome != SP_OUTCOME_RULE && answer->outcome != SP_OUTCOME_NONE)
        row("outcome", "%s: %s", sp_outcome_name(answer->outcome), answer->reason);
    print_exception(answer);
    print_refusal(answer);
    print_notes(answer);
    if (sp_explain_is_monitor(gate->conf))
        row("mode", "%s", "monitor: rules refuse nothing");
}

/* --- JSON --------------------------------------------------------------------------------------------------------------- */

struct json_object *sp_explain_rule_json(const struct sp_rule *rule)
{
    struct json_object *out = sp_cli_json_object();
    sp_cli_json_add_text(out, "id", rule->id);
    sp_cli_json_add_text(out, "name", rule->name);
    sp_cli_json_add_text(out, "category", rule->category);
    sp_cli_json_add_text(out, "stage", sp_explain_stage_name(rule->stage));
    sp_cli_json_add_text(out, "action", sp_action_name(rule->action));
    sp_cli_json_add_text(out, "own_action", sp_action_name(rule->own_action));
    sp_cli_json_add_text(out, "origin", rule->origin);
    sp_cli_json_add_text(out, "reference", rule->reference);
    sp_cli_json_add_text(out, "false_positives", rule->false_positives);
    return out;
}

static void add_str(struct json_object *out, const char *key, struct sp_str s)
{
    char text[WHAT_BYTES];
    sp_cli_json_add_text(out, key, sp_str_copy(s, text, sizeof(text)));
}

/* "yes: TEXT" to { "holds": "yes", "text": "TEXT" }. */
static struct json_object *conditions_json(const struct sp_buf *lines)
{
    struct json_object *out = sp_cli_json_array();
    struct sp_str rest = { lines->p, lines->n };
    while (rest.n > 0) {
        const char *newline = memchr(rest.p, '\n', rest.n);
        struct sp_str line = { rest.p, newline ? (size_t) (newline - rest.p) : rest.n };
        const char *colon = memmem(line.p, line.n, ": ", 2);
        struct json_object *condition = sp_cli_json_object();
        if (colon) {
            add_str(condition, "holds", (struct sp_str){ line.p, (size_t) (colon - line.p) });
            add_str(condition, "text", (struct sp_str){ colon + 2, (size_t) (line.p + line.n - colon - 2) });
            sp_cli_json_append(out, condition);
        }
        size_t n = line.n + (newline ? 1 : 0);
        rest.p += n;
        rest.n -= n;
    }
    return out;
}

static struct json_object *judged_rule_json(const struct sp_rule *rule, const struct sp_buf *conditions)
{
    struct json_object *out = sp_explain_rule_json(rule);
    sp_cli_json_add(out, "conditions", conditions_json(conditions));
    return out;
}

static struct json_object *exception_json(const struct sp_explain_answer *answer)
{
    struct json_object *out = sp_cli_json_object();
    sp_cli_json_add_text(out, "text", answer->exception->text);
    sp_cli_json_add_text(out, "origin", answer->exception->origin);
    sp_cli_json_add(out, "passed_over", judged_rule_json(answer->excepted, &answer->excepted_conditions));
    return out;
}

static struct json_object *dropped_json(const struct sp_explain_answer *answer)
{
    struct json_object *out = sp_cli_json_array();
    char name[ROW_BYTES];
    for (size_t i = 0; answer->strips_own && answer->request && i < answer->request->n_fields; i++)
        if (sp_str_starts_nocase(answer->request->fields[i].name, SP_STR(OWN_PREFIX)))
            sp_cli_json_append_text(out, sp_str_copy(answer->request->fields[i].name, name, sizeof(name)));
    return out;
}

static const char *refusal_of(const struct sp_explain_answer *answer)
{
    if (answer->is_marked)
        return "page in TLS";
    return answer->is_refused ? "403" : "none";
}

struct json_object *sp_explain_json(const struct sp_gate *gate, const struct sp_explain_answer *answer)
{
    struct json_object *out = sp_cli_json_object();
    sp_cli_json_add_bool(out, "blocked", answer->is_refused);
    sp_cli_json_add_text(out, "action", sp_action_name(answer->is_monitored ? SP_ACTION_BLOCK : answer->action));
    sp_cli_json_add_text(out, "mode", sp_explain_is_monitor(gate->conf) ? "monitor" : "enforce");
    sp_cli_json_add_text(out, "outcome", sp_outcome_name(answer->outcome));
    sp_cli_json_add_text(out, "reason", answer->reason);
    sp_cli_json_add_text(out, "stage", sp_explain_stage_name(answer->stage));
    if (answer->request) {
        add_str(out, "method", answer->request->method);
        add_str(out, "target", answer->request->target);
        add_str(out, "host", answer->request->host);
    }
    if (answer->response)
        sp_cli_json_add_number(out, "status", answer->response->status_code);
    sp_cli_json_add(out, "rule", answer->rule ? judged_rule_json(answer->rule, &answer->conditions) : NULL);
    sp_cli_json_add(out, "exception", answer->exception ? exception_json(answer) : NULL);
    sp_cli_json_add_text(out, "refusal", refusal_of(answer));
    sp_cli_json_add_text(out, "page_type", answer->page_type);
    sp_cli_json_add(out, "dropped", dropped_json(answer));
    sp_cli_json_add_bool(out, "needs_body", answer->needs_body);
    sp_cli_json_add_bool(out, "limited", answer->is_limited);
    sp_cli_json_add_bool(out, "unknown", answer->is_unknown);
    return out;
}
