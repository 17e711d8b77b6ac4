/* sallyport report: a period of the decision log in numbers, as text, as JSON or as a page. */
#include "config.h"

#include "logfile.h"
#include "report.h"
#include "when.h"

#include "sallyport/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAY_US (INT64_C(86400) * 1000000)

static bool read_time(const char *option, const char *text, int64_t now, int64_t *out)
{
    if (sp_when_parse(text, now, out))
        return true;
    sp_cli_fail("%s \"%s\" is no time: %s", option, text, SP_WHEN_HELP);
    return false;
}

static bool take_first(void *arg, struct sp_str line)
{
    int64_t *first = arg;
    struct sp_decline d;
    if (sp_decline_parse(line, &d) != SP_OK || d.wall_us == 0)
        return true;
    if (*first == 0 || d.wall_us < *first)
        *first = d.wall_us;
    return false;
}

/* --since all: the time of the first line of any file. Lines stand in the order in which transactions ended, so a few at the
 * beginning may have begun earlier: an hour is more than any may take. */
static int64_t find_first(const struct sp_logset *set)
{
    uint64_t too_long = 0;
    int64_t first_us = 0;
    for (size_t i = 0; i < set->n; i++)
        (void) sp_logfile_read(&set->files[i], take_first, &first_us, NULL, &too_long); /* what is wrong with it is told later */
    return first_us > DAY_US ? first_us - DAY_US / 24 : first_us;
}

static bool read_period(const struct sp_cli_options *options, const struct sp_logset *set, struct sp_report *r)
{
    const char *since = options->values[SP_CLI_SINCE], *until = options->values[SP_CLI_UNTIL];
    const int64_t now = sp_clock_wall_us();
    r->since_us = now - DAY_US;
    r->until_us = now + 1;
    if (until && !read_time("--until", until, now, &r->until_us))
        return false;
    if (since && strcmp(since, "all") == 0) {
        r->since_us = find_first(set);
    } else if (since && !read_time("--since", since, now, &r->since_us)) {
        return false;
    }
    if (r->since_us < r->until_us)
        return true;
    sp_cli_fail("the period ends before it begins");
    return false;
}

/* Files that were finished before the period begins are left out: no line is written before its transaction began. */
static bool read_files(const struct sp_logset *set, struct sp_report *r)
{
    struct sp_progress progress;
    uint64_t total = 0, too_long = 0;
    bool is_good = true;
    for (size_t i = 0; i < set->n; i++)
        total += set->files[i].changed_us >= r->since_us ? set->files[i].bytes : 0;
    sp_progress_start(&progress, total);
    for (size_t i = 0; i < set->n && !r->is_out_of_memory; i++) {
        if (set->files[i].changed_us < r->since_us)
            continue;
        is_good = sp_logfile_read(&set->files[i], sp_report_take, r, &progress, &too_long) && is_good;
        r->n_files++;
    }
    sp_progress_hide(&progress);
    r->broken += too_long;
    r->lines += too_long;
    if (r->is_out_of_memory)
        sp_cli_fail("out of memory");
    return is_good && !r->is_out_of_memory;
}

static bool write_html(struct sp_report *r, const char *path)
{
    const bool is_stdout = strcmp(path, "-") == 0;
    FILE *out = is_stdout ? stdout : fopen(path, "we");
    bool is_good = out != NULL;
    if (out)
        sp_report_html(r, out);
    if (out && !is_stdout)
        is_good = !ferror(out) & (fclose(out) == 0);
    if (!is_good)
        sp_cli_fail("%s: %s", path, strerror(errno));
    return is_good;
}

static bool show(const struct sp_cli_options *options, struct sp_report *r)
{
    const char *html = options->values[SP_CLI_HTML];
    if (html && !write_html(r, html))
        return false;
    if (options->json)
        sp_report_print_json(r);
    else if (!html)
        sp_report_print(r);
    return true;
}

static enum sp_cli_exit run(const struct sp_cli_options *options)
{
    struct sp_conf *conf = NULL;
    struct sp_logset set = { 0 };
    enum sp_cli_exit status = SP_CLI_ERROR;
    struct sp_report *r = calloc(1, sizeof(*r));
    if (!r)
        return sp_cli_fail("out of memory");
    if (options->json && options->values[SP_CLI_HTML] && strcmp(options->values[SP_CLI_HTML], "-") == 0) {
        sp_cli_fail("--json and --html - would both write to standard output");
        goto out;
    }
    if (!sp_log_find(options, &conf, &r->path) || !sp_log_filter_init(options, conf, &r->filter) || !sp_logset_open(r->path, &set))
        goto out;
    r->is_notable_only = conf && conf->log_decisions == SP_LOG_NOTABLE && !options->values[SP_CLI_LOG];
    r->is_hashed = sp_log_is_hashed(options, conf);
    for (int i = 0; i < SP_CLI_OPTION_COUNT; i++)
        if (options->values[i] && i != SP_CLI_LOG && (SP_LOG_FILTER_OPTIONS & 1u << i))
            r->is_filtered = true;
    if (!read_period(options, &set, r))
        goto out;
    if (!sp_report_init(r)) {
        sp_cli_fail("out of memory");
        goto out;
    }
    const bool is_whole = read_files(&set, r);
    if (!r->is_out_of_memory && show(options, r) && is_whole)
        status = SP_CLI_OK;
out:
    sp_report_fini(r);
    free(r);
    sp_logset_close(&set);
    sp_conf_free(&conf);
    return status;
}

const struct sp_cli_command sp_cli_report = {
    .name = "report",
    .args = "",
    .usage = "[--since WHEN] [--until WHEN] [--html FILE] [OPTION]...",
    .summary = "a period of the decision log in numbers, as text or as a page with charts",
    .help = "Reads the decision log and what rotation left of it, packed files too: traffic and refusals over time,\n"
            "outcomes, the rules, categories, signatures, hosts, clients and users behind most refusals, and how\n"
            "long decisions took. Memory stays small however long the log is; where names are too many to be all\n"
            "counted, that is said. Refused and reported are counted; reported includes what monitor mode let pass.\n\n"
            "      --since WHEN      " SP_WHEN_HELP ";\n"
            "                        or all. Without it: 1d\n"
            "      --until WHEN      likewise. Without it: now\n"
            "      --html FILE       write one page with charts, with nothing outside of it; \"-\" is standard output\n\n"
            SP_LOG_FILTER_HELP "\n"
            "Times are those of this machine. With --json the answer is one object.\n\n"
            "exit status: 0 done, 2 error, or a file could not be read to its end\n\n"
            "examples:\n"
            "  sallyport report\n"
            "  sallyport report --since yesterday --until today\n"
            "  sallyport report --since 7d --html /tmp/week.html\n"
            "  sallyport report --since 2026-11-01 --user bob\n"
            "  sallyport report --since 1h --json | jq '.hosts[:3]'\n",
    .takes = SP_LOG_FILTER_OPTIONS | 1u << SP_CLI_HTML | 1u << SP_CLI_SINCE | 1u << SP_CLI_UNTIL,
    .run = run,
};
