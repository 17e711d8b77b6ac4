/* sallyport check: everything that the proxy would refuse at its start, and what it would accept but an operator should know. */
#include "config.h"

#include "cli.h"

#include "sallyport/gate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define REPORT_MAX (64u * 1024u)

/* Where findings go, one call each: text or JSON. */
struct report {
    const char *path;                      /* of the configuration */
    struct json_object *errors, *warnings; /* NULL: text */
    bool has_errors;
};

/* "FILE:LINE: text" into its parts; line 0 if there is none. */
static int split_line(struct sp_str all, struct sp_str *file_out, struct sp_str *text_out)
{
    for (size_t i = 0; i < all.n; i++) {
        size_t digits = i + 1;
        int line = 0;
        if (all.p[i] != ':')
            continue;
        for (; digits < all.n && all.p[digits] >= '0' && all.p[digits] <= '9' && line < 100000000; digits++)
            line = line * 10 + (all.p[digits] - '0');
        if (digits == i + 1 || digits + 1 >= all.n || all.p[digits] != ':' || all.p[digits + 1] != ' ')
            continue;
        *file_out = (struct sp_str){ all.p, i };
        *text_out = (struct sp_str){ all.p + digits + 2, all.n - digits - 2 };
        return line;
    }
    *text_out = all;
    return 0;
}

static void add_error(struct report *report, struct sp_str all)
{
    report->has_errors = true;
    if (!report->errors) {
        sp_cli_line(stderr, "%.*s", (int) all.n, all.p);
        return;
    }
    struct sp_str file = sp_str_from(report->path), text;
    char part[4096];
    int line = split_line(all, &file, &text);
    struct json_object *error = sp_cli_json_object();
    sp_cli_json_add_text(error, "file", sp_str_copy(file, part, sizeof(part)));
    sp_cli_json_add_number(error, "line", line);
    sp_cli_json_add_text(error, "text", sp_str_copy(text, part, sizeof(part)));
    sp_cli_json_append(report->errors, error);
}

static void add_error_lines(struct report *report, struct sp_str lines)
{
    while (lines.n > 0) {
        const char *newline = memchr(lines.p, '\n', lines.n);
        size_t n = newline ? (size_t) (newline - lines.p) : lines.n;
        if (n > 0)
            add_error(report, (struct sp_str){ lines.p, n });
        n += newline ? 1 : 0;
        lines.p += n;
        lines.n -= n;
    }
}

static void warn(struct report *report, const char *fmt, ...) SP_PRINTF(2, 3);

static void warn(struct report *report, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (report->warnings)
        sp_cli_json_append_text(report->warnings, text);
    else
        sp_cli_line(stderr, "warning: %s", text);
}

/* --- what is legal but worth a word --------------------------------------------------------------------------------- */

/* Outcomes whose default is block: with any other action something unscanned, or infected, passes. */
static void warn_open_outcomes(struct report *report, const struct sp_conf *conf)
{
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++) {
        enum sp_outcome outcome = (enum sp_outcome) i;
        if (!sp_outcome_is_configurable(outcome) || sp_outcome_default(outcome) != SP_ACTION_BLOCK || conf->outcomes[i] == SP_ACTION_BLOCK)
            continue;
        warn(report, "outcomes.%s is %s, so this passes: %s", sp_outcome_name(outcome), sp_action_name(conf->outcomes[i]),
            sp_outcome_when(outcome));
    }
}

static void warn_missing(struct report *report, const char *key, const char *path)
{
    struct stat st;
    if (path[0] != '\0' && stat(path, &st) < 0)
        warn(report, "%s: there is no %s", key, path);
}

/* A category set to block leaves rules that only report as they are; one that has no others refuses nothing. */
static void warn_idle_categories(struct report *report, const struct sp_gate *gate)
{
    for (unsigned c = 0; c < SP_CATEGORY_COUNT; c++) {
        const char *name = sp_category_name((enum sp_category) c);
        bool blocks = false;
        for (size_t i = 0; i < sp_policy_count(gate->policy); i++) {
            const struct sp_rule *rule = sp_policy_rule(gate->policy, i);
            blocks |= rule->action == SP_ACTION_BLOCK && strcmp(rule->category, name) == 0;
        }
        if (!blocks && gate->conf->has_category_action[c] && gate->conf->category_action[c] == SP_ACTION_BLOCK)
            warn(report, "categories.%s is block, but all of its rules only report: raise those you want with rule_actions", name);
    }
}

static void warn_lists(struct report *report, const struct sp_gate *gate)
{
    struct sp_policy_list list;
    for (size_t i = 0; sp_policy_list(gate->policy, i, &list); i++)
        if (list.note[0] != '\0')
            warn(report, "%s: %s", list.file, list.note);
}

static void warn_all(struct report *report, const struct sp_gate *gate)
{
    const struct sp_conf *conf = gate->conf;
    warn_open_outcomes(report, conf);
    warn_idle_categories(report, gate);
    warn_lists(report, gate);
    if (conf->connect_page)
        warn(report, "connect_page is on: Squid must include etc/squid/sallyport.conf, else what is marked would pass");
    if (!conf->ranges_remove)
        warn(report, "ranges.remove is off: an object that is fetched in parts is never scanned as a whole");
    if (conf->log_file[0] == '\0')
        warn(report, "log.file is empty: no decision is logged");
    warn_missing(report, "spool.dir", conf->spool_dir);
    for (size_t i = 0; i < conf->databases.n; i++)
        warn_missing(report, "scan.database", conf->databases.items[i]);
}

/* --- what holds ------------------------------------------------------------------------------------------------------ */

static size_t count_rules(const struct sp_policy *policy, const char *category)
{
    size_t n = 0;
    for (size_t i = 0; i < sp_policy_count(policy); i++)
        n += strcmp(sp_policy_rule(policy, i)->category, category) == 0;
    return n;
}

static const char *category_action(const struct sp_conf *conf, unsigned i)
{
    return conf->has_category_action[i] ? sp_action_name(conf->category_action[i]) : "default";
}

static void print_summary(const struct sp_gate *gate)
{
    const struct sp_conf *conf = gate->conf;
    sp_cli_line(stdout, "%s: ok", conf->path);
    sp_cli_line(stdout, "rules       %zu in %s", sp_policy_count(gate->policy), conf->catalogue);
    printf("categories ");
    for (unsigned i = 0; i < SP_CATEGORY_COUNT; i++) {
        const char *name = sp_category_name((enum sp_category) i);
        printf("%s %s %s (%zu)", i > 0 ? "," : "", name, category_action(conf, i), count_rules(gate->policy, name));
    }
    printf("\nexceptions  %zu\n", sp_policy_count_exceptions(gate->policy));
    struct sp_policy_list list;
    for (size_t i = 0; sp_policy_list(gate->policy, i, &list); i++)
        sp_cli_line(stdout, "list        %s %s: %llu domains of %s", list.rule->id, sp_action_name(list.rule->action),
            (unsigned long long) list.domains, list.file);
    if (conf->mode == SP_MODE_MONITOR)
        printf("mode        monitor: rules refuse nothing\n");
    printf("outcomes   ");
    const char *comma = "";
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++) {
        if (!sp_outcome_is_configurable((enum sp_outcome) i))
            continue;
        printf("%s %s %s", comma, sp_outcome_name((enum sp_outcome) i), sp_action_name(conf->outcomes[i]));
        comma = ",";
    }
    printf("\n");
    sp_cli_line(stdout, "log         %s", conf->log_file[0] ? conf->log_file : "off");
}

static void add_summary(struct json_object *out, const struct sp_gate *gate)
{
    const struct sp_conf *conf = gate->conf;
    struct json_object *categories = sp_cli_json_object(), *outcomes = sp_cli_json_object();
    sp_cli_json_add_number(out, "rules", (int64_t) sp_policy_count(gate->policy));
    for (unsigned i = 0; i < SP_CATEGORY_COUNT; i++) {
        const char *name = sp_category_name((enum sp_category) i);
        struct json_object *category = sp_cli_json_object();
        sp_cli_json_add_text(category, "action", category_action(conf, i));
        sp_cli_json_add_number(category, "rules", (int64_t) count_rules(gate->policy, name));
        sp_cli_json_add(categories, name, category);
    }
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++)
        if (sp_outcome_is_configurable((enum sp_outcome) i))
            sp_cli_json_add_text(outcomes, sp_outcome_name((enum sp_outcome) i), sp_action_name(conf->outcomes[i]));
    sp_cli_json_add(out, "categories", categories);
    sp_cli_json_add(out, "outcomes", outcomes);
}

/* --- the command ----------------------------------------------------------------------------------------------------- */

static enum sp_cli_exit print_defaults(void)
{
    struct sp_buf sample;
    sp_buf_init(&sample, REPORT_MAX);
    enum sp_status status = sp_conf_sample(&sample);
    if (status == SP_OK)
        fwrite(sample.p, 1, sample.n, stdout);
    sp_buf_fini(&sample);
    return status == SP_OK ? SP_CLI_OK : sp_cli_fail("%s", sp_status_name(status));
}

/* The configuration first, for all of its errors; then all that is built from it, which stops at the first. */
static struct sp_gate *open_checked(struct report *report)
{
    struct sp_buf lines;
    sp_buf_init(&lines, REPORT_MAX);
    struct sp_error err = { 0 };
    struct sp_conf *conf = NULL;
    struct sp_gate *gate = NULL;
    enum sp_status status = sp_conf_load(report->path, &err, &lines, &conf);
    sp_conf_free(&conf);
    if (status != SP_OK && lines.n > 0)
        add_error_lines(report, (struct sp_str){ lines.p, lines.n });
    if (status == SP_OK)
        status = sp_gate_open(report->path, 0, &err, &gate);
    if (status != SP_OK && !report->has_errors)
        add_error_lines(report, sp_str_from(err.text));
    sp_buf_fini(&lines);
    return gate;
}

static enum sp_cli_exit run(const struct sp_cli_options *options)
{
    if (options->defaults)
        return print_defaults();
    struct json_object *out = NULL;
    struct report report = { .path = options->config };
    if (options->json) {
        out = sp_cli_json_object();
        report.errors = sp_cli_json_array();
        report.warnings = sp_cli_json_array();
    }
    struct sp_gate *gate = open_checked(&report);
    if (gate) {
        if (!out)
            print_summary(gate);
        fflush(stdout);
        warn_all(&report, gate);
    }
    if (out) {
        sp_cli_json_add_bool(out, "ok", gate != NULL);
        sp_cli_json_add_text(out, "file", report.path);
        sp_cli_json_add(out, "errors", report.errors);
        sp_cli_json_add(out, "warnings", report.warnings);
        if (gate)
            add_summary(out, gate);
        sp_cli_json_print(out);
    }
    enum sp_cli_exit status = gate ? SP_CLI_OK : SP_CLI_ERROR;
    sp_gate_release(&gate);
    return status;
}

const struct sp_cli_command sp_cli_check = {
    .name = "check",
    .args = "",
    .summary = "check the configuration, the rule catalogue and the page template",
    .help = "Reads all that the proxy reads at its start and changes nothing. Each error is one line on standard\n"
            "error, \"FILE:LINE: what is wrong\"; so are warnings about what is allowed but risky.\n\n"
            "  --defaults   print a configuration file with every option at its default, explained\n\n"
            "exit status: 0 the proxy would start with it, 2 it would not\n\n"
            "examples:\n"
            "  sallyport check\n"
            "  sallyport check -c ./new.conf && install -m 644 new.conf /etc/sallyport/sallyport.conf\n"
            "  sallyport check --defaults | less\n",
    .has_defaults = true,
    .run = run,
};
