/* sallyport find: the decision behind the id that a block page shows. The newest files are read first, and an id tells when its
 * transaction began, so files that were finished before are left out. */
#include "config.h"

#include "logfile.h"
#include "logview.h"

#include "sallyport/clock.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ID_DIGITS 16
#define LEAST_DIGITS 4
#define MAX_SHOWN 20
#define TIME_BITS 48 /* of an id; the rest is a counter */
#define SLACK_US 2000000 /* file times have their own clock */

struct search {
    char id[ID_DIGITS + 1];
    size_t n; /* digits given */
    char needle[ID_DIGITS + 8];
    bool is_json, is_colored;
    unsigned found;
    uint64_t too_long;
    struct sp_progress progress;
};

/* In the 48 bits of microseconds that an id has, time comes round after nine years: the last time that fits. */
static int64_t began_us(const struct search *s)
{
    uint64_t value = 0;
    for (size_t i = 0; i < ID_DIGITS; i++)
        value = value << 4 | (uint64_t) (s->id[i] <= '9' ? s->id[i] - '0' : s->id[i] - 'a' + 10);
    const int64_t round = INT64_C(1) << TIME_BITS, now = sp_clock_wall_us() + SLACK_US;
    int64_t at = now / round * round + (int64_t) (value >> (64 - TIME_BITS));
    return at > now ? at - round : at;
}

static bool read_id(struct search *s, const char *text)
{
    for (; *text == ' ' || *text == '\t'; text++)
        ;
    for (; isxdigit((unsigned char) *text) && s->n < ID_DIGITS; text++)
        s->id[s->n++] = (char) tolower((unsigned char) *text);
    bool is_whole = *text == '\0' || *text == ' ' || *text == '\t' || *text == '\n';
    snprintf(s->needle, sizeof(s->needle), "\"id\":\"%s%s", s->id, s->n == ID_DIGITS ? "\"" : "");
    return is_whole && s->n >= LEAST_DIGITS;
}

static bool take(void *arg, struct sp_str line)
{
    struct search *s = arg;
    struct sp_decline d;
    if (!memmem(line.p, line.n, s->needle, strlen(s->needle)))
        return true;
    /* Anybody can write the needle into a URL; there its quotes are escaped, and here it is looked at as a field. */
    if (sp_decline_parse(line, &d) != SP_OK || d.id.n < s->n || memcmp(d.id.p, s->id, s->n) != 0)
        return true;
    sp_progress_hide(&s->progress);
    if (s->is_json) {
        sp_cli_json_line(line);
    } else {
        if (s->found > 0)
            putchar('\n');
        sp_log_print_all(&d, s->is_colored);
    }
    s->found++;
    return s->n < ID_DIGITS && s->found < MAX_SHOWN;
}

static bool is_over(const struct search *s)
{
    return s->found >= (s->n == ID_DIGITS ? 1u : MAX_SHOWN);
}

/* What a person must know beside what was found. */
static void tell_rest(const struct search *s, const char *path, bool is_hashed)
{
    if (s->found > 0 && !s->is_json && is_hashed)
        sp_cli_line(stderr, SP_LOG_HASHED);
    if (s->found == 0 && !s->is_json)
        sp_cli_line(stderr, "no decision %s%s in %s and what rotation left of it", s->id, s->n < ID_DIGITS ? "..." : "", path);
    if (s->found == MAX_SHOWN && s->n < ID_DIGITS)
        sp_cli_line(stderr, "the first %d are shown; give more digits", MAX_SHOWN);
}

static enum sp_cli_exit run(const struct sp_cli_options *options)
{
    struct search s = { .is_json = options->json };
    struct sp_conf *conf = NULL;
    struct sp_logset set = { 0 };
    const char *path;
    if (options->n_args > 1)
        return sp_cli_fail("one id at a time");
    if (!read_id(&s, options->args[0]))
        return sp_cli_fail("\"%s\" is no id: the 16 digits (0-9, a-f) that the block page shows, or the first ones, at least %d",
            options->args[0], LEAST_DIGITS);
    bool is_good = sp_log_color(options, &s.is_colored) && sp_log_find(options, &conf, &path) && sp_logset_open(path, &set);
    if (!is_good) {
        sp_conf_free(&conf);
        return SP_CLI_ERROR;
    }
    uint64_t total = 0;
    const int64_t since = s.n == ID_DIGITS ? began_us(&s) - SLACK_US : 0;
    for (size_t i = 0; i < set.n; i++)
        total += set.files[i].changed_us >= since ? set.files[i].bytes : 0;
    sp_progress_start(&s.progress, total);
    for (size_t i = set.n; i > 0 && !is_over(&s); i--)
        if (set.files[i - 1].changed_us >= since)
            is_good = sp_logfile_read(&set.files[i - 1], take, &s, &s.progress, &s.too_long) && is_good;
    sp_progress_hide(&s.progress);
    tell_rest(&s, path, sp_log_is_hashed(options, conf));
    sp_logset_close(&set);
    sp_conf_free(&conf);
    return s.found > 0 ? SP_CLI_OK : is_good ? SP_CLI_FOUND : SP_CLI_ERROR;
}

const struct sp_cli_command sp_cli_find = {
    .name = "find",
    .args = "ID",
    .usage = "[--log FILE] [--color WHEN]",
    .summary = "show one decision, by the id on the block page",
    .help = "Looks through the decision log and what rotation left of it, packed files too, and shows all that was\n"
            "logged of the transaction. ID is the 16 digits that the block page shows, or the first ones, at least\n"
            "four: then every decision that begins with them is shown, up to 20. With --json a line of the log is\n"
            "printed as it is.\n\n"
            "      --log FILE    look in this log, and not in the one that the configuration names\n"
            "      --color WHEN  auto (on a terminal), always, never\n\n"
            "exit status: 0 found, 1 not found, 2 error\n\n"
            "examples:\n"
            "  sallyport find 4a1f09c2b7d30001\n"
            "  sallyport find 4a1f09c2 --json | jq -r '[.time, .client, .url] | @tsv'\n",
    .has_args = true,
    .takes = 1u << SP_CLI_COLOR | 1u << SP_CLI_LOG,
    .run = run,
};
