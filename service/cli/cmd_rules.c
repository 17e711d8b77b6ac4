/* sallyport rules: what is recognised, and what is done about it with the configuration as it is. */
#include "config.h"

#include "explain.h"

#include <fnmatch.h>
#include <string.h>

/* --- choice ------------------------------------------------------------------------------------------------------------- */

static bool is_glob(const char *pattern)
{
    return strpbrk(pattern, "*?[") != NULL;
}

static bool is_wanted(const struct sp_cli_options *options, const struct sp_rule *rule)
{
    const char *category = options->values[SP_CLI_CATEGORY];
    if (category && strcmp(category, rule->category) != 0)
        return false;
    for (int i = 0; i < options->n_args; i++)
        if (fnmatch(options->args[i], rule->id, 0) == 0)
            return true;
    return options->n_args == 0;
}

static bool is_category(const struct sp_policy *policy, const char *name)
{
    enum sp_category category;
    if (sp_category_parse(sp_str_from(name), &category))
        return true;
    for (size_t i = 0; i < sp_policy_count(policy); i++)
        if (strcmp(sp_policy_rule(policy, i)->category, name) == 0)
            return true;
    return false;
}

/* False, and told on stderr, if there is a pattern that no rule fits or a category that nobody knows. */
static bool check_choice(const struct sp_cli_options *options, const struct sp_policy *policy)
{
    const char *category = options->values[SP_CLI_CATEGORY];
    if (category && !is_category(policy, category)) {
        char names[512] = "";
        for (unsigned i = 0; i < SP_CATEGORY_COUNT; i++)
            snprintf(names + strlen(names), sizeof(names) - strlen(names), " %s", sp_category_name((enum sp_category) i));
        sp_cli_fail("there is no category \"%s\"; these are:%s", category, names);
        return false;
    }
    for (int a = 0; a < options->n_args; a++) {
        size_t i = 0, n = sp_policy_count(policy);
        while (i < n && fnmatch(options->args[a], sp_policy_rule(policy, i)->id, 0) != 0)
            i++;
        if (i == n) {
            sp_cli_fail("there is no rule \"%s\"", options->args[a]);
            return false;
        }
    }
    return true;
}

/* --- output ------------------------------------------------------------------------------------------------------------- */

struct widths {
    int id, category, origin;
};

static void widen(int *width, const char *text)
{
    int n = (int) strlen(text);
    if (n > *width)
        *width = n;
}

static void print_table(const struct sp_cli_options *options, const struct sp_policy *policy)
{
    struct widths widths = { sizeof("rule") - 1, sizeof("category") - 1, sizeof("defined at") - 1 };
    for (size_t i = 0; i < sp_policy_count(policy); i++) {
        const struct sp_rule *rule = sp_policy_rule(policy, i);
        if (!is_wanted(options, rule))
            continue;
        widen(&widths.id, rule->id);
        widen(&widths.category, rule->category);
        widen(&widths.origin, rule->origin);
    }
    sp_cli_line(stdout, "%-*s  %-6s  %-6s  %-*s  %-8s  %-*s  %s", widths.id, "rule", "action", "own", widths.category, "category", "stage",
        widths.origin, "defined at", "name");
    for (size_t i = 0; i < sp_policy_count(policy); i++) {
        const struct sp_rule *rule = sp_policy_rule(policy, i);
        if (is_wanted(options, rule))
            sp_cli_line(stdout, "%-*s  %-6s  %-6s  %-*s  %-8s  %-*s  %s", widths.id, rule->id, sp_action_name(rule->action),
                sp_action_name(rule->own_action), widths.category, rule->category, sp_explain_stage_name(rule->stage), widths.origin,
                rule->origin, rule->name);
    }
}

/* The conditions by themselves: they are described for a head that has nothing, and what they say of it is cut off. */
static enum sp_status describe(const struct sp_policy *policy, const struct sp_rule *rule, struct sp_buf *out)
{
    static const char empty[] = "GET / HTTP/1.1\r\n\r\n", empty_response[] = "HTTP/1.1 200 OK\r\n\r\n";
    struct sp_head *request = NULL, *response = NULL;
    struct sp_buf lines;
    sp_buf_init(&lines, out->max);
    enum sp_status status = sp_head_parse(empty, sizeof(empty) - 1, SP_MESSAGE_REQUEST, &request);
    if (status == SP_OK)
        status = sp_head_parse(empty_response, sizeof(empty_response) - 1, SP_MESSAGE_RESPONSE, &response);
    if (status == SP_OK) {
        struct sp_policy_input in = { .stage = rule->stage, .request = sp_head_message(request) };
        if (rule->stage == SP_STAGE_RESPONSE)
            in.response = sp_head_message(response);
        status = sp_policy_describe(policy, rule, &in, &lines);
    }
    struct sp_str rest = { lines.p, lines.n };
    while (status == SP_OK && rest.n > 0) {
        const char *newline = memchr(rest.p, '\n', rest.n);
        struct sp_str line = { rest.p, newline ? (size_t) (newline - rest.p) : rest.n };
        rest.p += line.n + (newline ? 1 : 0);
        rest.n -= line.n + (newline ? 1 : 0);
        const char *colon = memmem(line.p, line.n, ": ", 2);
        size_t skip = colon ? (size_t) (colon - line.p) + 2 : 0;
        status = sp_buf_addf(out, "%.*s\n", (int) (line.n - skip), line.p + skip);
    }
    sp_buf_fini(&lines);
    sp_head_free(&request);
    sp_head_free(&response);
    return status;
}

static struct json_object *lines_json(const struct sp_buf *lines)
{
    struct json_object *out = sp_cli_json_array();
    struct sp_str rest = { lines->p, lines->n };
    char text[8192];
    while (rest.n > 0) {
        size_t n = (size_t) ((const char *) memchr(rest.p, '\n', rest.n) - rest.p);
        sp_cli_json_append_text(out, sp_str_copy((struct sp_str){ rest.p, n }, text, sizeof(text)));
        rest.p += n + 1;
        rest.n -= n + 1;
    }
    return out;
}

#define CONDITIONS_MAX (256u * 1024u)

/* All about each rule that is wanted. */
static enum sp_status show_rules(const struct sp_cli_options *options, const struct sp_policy *policy, struct json_object *array)
{
    enum sp_status status = SP_OK;
    bool is_first = true;
    for (size_t i = 0; i < sp_policy_count(policy) && status == SP_OK; i++) {
        const struct sp_rule *rule = sp_policy_rule(policy, i);
        if (!is_wanted(options, rule))
            continue;
        struct sp_buf conditions;
        sp_buf_init(&conditions, CONDITIONS_MAX);
        status = describe(policy, rule, &conditions);
        if (status == SP_OK && array) {
            struct json_object *out = sp_explain_rule_json(rule);
            sp_cli_json_add(out, "conditions", lines_json(&conditions));
            sp_cli_json_append(array, out);
        } else if (status == SP_OK) {
            if (!is_first)
                puts("");
            sp_explain_print_rule(rule, &conditions);
        }
        is_first = false;
        sp_buf_fini(&conditions);
    }
    return status;
}

/* --- the command ----------------------------------------------------------------------------------------------------------- */

static bool wants_details(const struct sp_cli_options *options)
{
    for (int i = 0; i < options->n_args; i++)
        if (is_glob(options->args[i]))
            return false;
    return options->n_args > 0;
}

static enum sp_cli_exit run(const struct sp_cli_options *options)
{
    struct sp_error err = { 0 };
    struct sp_gate *gate;
    if (sp_gate_open(options->config, 0, &err, &gate) != SP_OK)
        return sp_cli_fail("%s", err.text);
    enum sp_cli_exit exit_status = SP_CLI_ERROR;
    enum sp_status status = SP_OK;
    if (!check_choice(options, gate->policy))
        goto out;
    if (options->json) {
        struct json_object *out = sp_cli_json_object(), *rules = sp_cli_json_array();
        status = show_rules(options, gate->policy, rules);
        sp_cli_json_add_text(out, "mode", sp_explain_is_monitor(gate->conf) ? "monitor" : "enforce");
        sp_cli_json_add(out, "rules", rules);
        sp_cli_json_print(out);
    } else if (wants_details(options)) {
        status = show_rules(options, gate->policy, NULL);
    } else {
        print_table(options, gate->policy);
    }
    exit_status = status == SP_OK ? SP_CLI_OK : sp_cli_fail("%s", sp_status_name(status));
out:
    sp_gate_release(&gate);
    return exit_status;
}

const struct sp_cli_command sp_cli_rules = {
    .name = "rules",
    .args = "[ID|PATTERN]...",
    .usage = "[--category NAME]",
    .summary = "list the rules with what is done about a match",
    .help = "Lists the rules that the proxy would work with, in the order in which they are tried: the site's own, domain\n"
            "lists, the catalogue. \"action\" is what is done: the rule's own action (\"own\"), lowered by what the\n"
            "configuration says of its category, or set by name in rule_actions. \"stage\" is what the rule looks at.\n\n"
            "  ID                everything about that rule\n"
            "  PATTERN           the rules whose id fits; * and ? as in a shell, in quotes\n"
            "  --category NAME   only rules of that category\n\n"
            "With --json, one object with an array \"rules\" that has everything about each.\n\n"
            "exit status: 0, or 2 if there is no such rule or category, or the configuration has an error\n\n"
            "examples:\n"
            "  sallyport rules\n"
            "  sallyport rules sstp-a-version\n"
            "  sallyport rules --category vpn 'sstp-*'\n"
            "  sallyport rules --json | jq -r '.rules[] | select(.action == \"block\") | .id'\n",
    .has_args = true,
    .may_lack_args = true,
    .takes = 1u << SP_CLI_CATEGORY,
    .run = run,
};
