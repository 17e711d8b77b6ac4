/* sallyport explain --access-log: what policy says today of the requests of the past. One pass, a fixed buffer, so a log of any
 * length can be piped through.
 *
 * What a log does not have is unknown, which is another thing than absent: no rule may match because a header field that nobody wrote
 * down is not there (sp_policy_input.is_from_log). */
#include "config.h"

#include "explain.h"
#include "progress.h"

#include "sallyport/accesslog.h"
#include "sallyport/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES (256u * 1024u)
#define LINE_MAX_BYTES (64u * 1024u) /* Squid's URLs are shorter */
#define TALLY_FIRST_CAP 64
#define TIME_SECONDS_CHARS 19 /* of "2026-11-22T14:26:39.123456Z" */

/* How often a rule was the answer. */
struct tally {
    const struct sp_rule *rule;
    uint64_t matched, passed_over;
};

struct survey {
    struct sp_gate *gate;
    bool is_json;
    uint64_t lines, judged, blocked, reported, passed_over, limited;
    uint64_t skipped[SP_ACCESSLOG_UNKNOWN + 1]; /* by kind */
    uint64_t too_long;
    uint64_t first_unknown; /* its line number; 0: none */
    struct tally *tallies;  /* owned */
    size_t n_tallies, cap_tallies;
    struct sp_buf text; /* one request line */
    struct sp_progress progress;
};

/* --- counts -------------------------------------------------------------------------------------------------------------- */

/* The few rules that match often come to the front, so the search is short. */
static struct tally *find_tally(struct survey *s, const struct sp_rule *rule)
{
    for (size_t i = 0; i < s->n_tallies; i++) {
        if (s->tallies[i].rule != rule)
            continue;
        if (i == 0)
            return &s->tallies[0];
        struct tally found = s->tallies[i];
        s->tallies[i] = s->tallies[i - 1];
        s->tallies[i - 1] = found;
        return &s->tallies[i - 1];
    }
    if (s->n_tallies == s->cap_tallies) {
        size_t cap = s->cap_tallies == 0 ? TALLY_FIRST_CAP : s->cap_tallies * 2;
        struct tally *tallies = realloc(s->tallies, cap * sizeof(*tallies));
        if (!tallies)
            return NULL;
        s->tallies = tallies;
        s->cap_tallies = cap;
    }
    s->tallies[s->n_tallies] = (struct tally){ .rule = rule };
    return &s->tallies[s->n_tallies++];
}

static int compare_tallies(const void *a, const void *b)
{
    const struct tally *x = a, *y = b;
    if (x->rule->action != y->rule->action)
        return x->rule->action > y->rule->action ? -1 : 1;
    if (x->matched != y->matched)
        return x->matched > y->matched ? -1 : 1;
    return strcmp(x->rule->id, y->rule->id);
}

/* --- one line ------------------------------------------------------------------------------------------------------------- */

static void format_time(int64_t seconds, char out[SP_CLOCK_TEXT_SIZE])
{
    sp_clock_format(seconds * 1000000, out);
    if (strlen(out) > TIME_SECONDS_CHARS) {
        out[TIME_SECONDS_CHARS] = 'Z'; /* the log of the past needs no fractions */
        out[TIME_SECONDS_CHARS + 1] = '\0';
    }
}

static void add_str(struct json_object *out, const char *key, struct sp_str s)
{
    char text[LINE_MAX_BYTES + 1];
    sp_cli_json_add_text(out, key, sp_str_copy(s, text, sizeof(text)));
}

static void print_json(const struct survey *s, const struct sp_accesslog_line *line, const struct sp_policy_result *found)
{
    char time[SP_CLOCK_TEXT_SIZE], user[SP_ACCESSLOG_USER_SIZE];
    struct json_object *out = sp_cli_json_object();
    format_time(line->seconds, time);
    sp_cli_json_add_number(out, "line", (int64_t) s->lines);
    sp_cli_json_add_text(out, "time", time);
    add_str(out, "client", line->client);
    add_str(out, "user", sp_accesslog_user(line->user, user));
    add_str(out, "method", line->method);
    add_str(out, "url", line->url);
    sp_cli_json_add_text(out, "action", sp_action_name(found->action));
    sp_cli_json_add_text(out, "rule", found->rule->id);
    sp_cli_json_add_text(out, "name", found->rule->name);
    sp_cli_json_add_text(out, "category", found->rule->category);
    sp_cli_json_print(out);
}

static void print_text(const struct survey *s, const struct sp_accesslog_line *line, const struct sp_policy_result *found)
{
    char time[SP_CLOCK_TEXT_SIZE];
    struct sp_str client = line->client.n > 0 ? line->client : SP_STR("-"), user = line->user.n > 0 ? line->user : SP_STR("-");
    format_time(line->seconds, time);
    sp_cli_line(stdout, "%" PRIu64 " %s %s %s %.*s %.*s %.*s %.*s", s->lines, sp_action_name(found->action), found->rule->id, time,
        (int) client.n, client.p, (int) user.n, user.p, (int) line->method.n, line->method.p, (int) line->url.n, line->url.p);
}

/* True: the rule of found was counted. */
static bool take_result(struct survey *s, const struct sp_accesslog_line *line, const struct sp_policy_result *found)
{
    s->judged++;
    s->limited += found->is_limited;
    if (found->excepted) {
        struct tally *tally = find_tally(s, found->excepted);
        if (!tally)
            return false;
        s->passed_over++;
        tally->passed_over++;
    }
    if (!found->rule || found->action == SP_ACTION_ALLOW)
        return true;
    struct tally *tally = find_tally(s, found->rule);
    if (!tally)
        return false;
    tally->matched++;
    if (found->action == SP_ACTION_BLOCK)
        s->blocked++;
    else
        s->reported++;
    sp_progress_hide(&s->progress);
    s->is_json ? print_json(s, line, found) : print_text(s, line, found);
    return true;
}

static enum sp_status judge(struct survey *s, const struct sp_accesslog_line *line)
{
    char user[SP_ACCESSLOG_USER_SIZE];
    struct sp_message request;
    sp_buf_clear(&s->text);
    enum sp_status status =
        sp_buf_addf(&s->text, "%.*s %.*s HTTP/1.1", (int) line->method.n, line->method.p, (int) line->url.n, line->url.p);
    if (status == SP_OK)
        status = sp_message_init_lines(&request, SP_MESSAGE_REQUEST, &s->text.p, 1);
    if (status != SP_OK)
        return status;
    const struct sp_policy_input in = {
        .stage = request.is_connect ? SP_STAGE_CONNECT : SP_STAGE_REQUEST,
        .request = &request,
        .client = line->client,
        .user = sp_accesslog_user(line->user, user),
        .is_from_log = true,
    };
    struct sp_policy_result found;
    sp_policy_decide(s->gate->policy, &in, &found);
    if (!take_result(s, line, &found))
        status = SP_ERR_NOMEM;
    sp_message_fini(&request);
    return status;
}

/* The line's NUL bytes are replaced: c-icap takes them for blanks, and so would the columns fall apart. */
static enum sp_status take_line(struct survey *s, char *p, size_t n)
{
    struct sp_accesslog_line line;
    s->lines++;
    for (char *nul = memchr(p, '\0', n); nul; nul = memchr(nul, '\0', n - (size_t) (nul - p)))
        *nul = '?';
    if (n > 0 && p[n - 1] == '\r')
        n--;
    enum sp_accesslog_kind kind = sp_accesslog_parse((struct sp_str){ p, n }, &line);
    if (kind == SP_ACCESSLOG_REQUEST)
        return judge(s, &line);
    s->skipped[kind]++;
    if (s->first_unknown == 0 && (kind == SP_ACCESSLOG_UNKNOWN || kind == SP_ACCESSLOG_QUOTED))
        s->first_unknown = s->lines;
    return SP_OK;
}

static void skip_long_line(struct survey *s)
{
    s->lines++;
    s->too_long++;
    if (s->first_unknown == 0)
        s->first_unknown = s->lines;
}

/* --- the file --------------------------------------------------------------------------------------------------------------- */

struct reader {
    char *bytes; /* BUFFER_BYTES */
    size_t n;
    bool is_skipping; /* in a line that is too long */
};

/* Takes all lines of the buffer; what is left of it moves to the front. */
static enum sp_status take_lines(struct survey *s, struct reader *r, bool is_end)
{
    char *p = r->bytes, *end = r->bytes + r->n;
    enum sp_status status = SP_OK;
    while (p < end && status == SP_OK) {
        char *newline = memchr(p, '\n', (size_t) (end - p));
        if (!newline && !is_end)
            break;
        char *stop = newline ? newline : end;
        if (!r->is_skipping && (size_t) (stop - p) > LINE_MAX_BYTES)
            skip_long_line(s);
        else if (!r->is_skipping)
            status = take_line(s, p, (size_t) (stop - p));
        r->is_skipping = false;
        p = newline ? newline + 1 : end;
    }
    if ((size_t) (end - p) > LINE_MAX_BYTES) { /* no end in sight */
        if (!r->is_skipping)
            skip_long_line(s);
        r->is_skipping = true;
        p = end;
    }
    r->n = (size_t) (end - p);
    memmove(r->bytes, p, r->n);
    return status;
}

static enum sp_status read_log(struct survey *s, int fd, struct sp_error *err)
{
    struct reader reader = { .bytes = malloc(BUFFER_BYTES) };
    enum sp_status status = reader.bytes ? SP_OK : SP_ERR_NOMEM;
    while (status == SP_OK) {
        ssize_t n = read(fd, reader.bytes + reader.n, BUFFER_BYTES - reader.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            status = sp_error_set(err, SP_ERR_IO, "%s", strerror(errno));
            break;
        }
        reader.n += (size_t) n;
        status = take_lines(s, &reader, n == 0);
        sp_progress_add(&s->progress, (size_t) n);
        if (n == 0)
            break;
    }
    free(reader.bytes);
    return status;
}

/* --- summary ------------------------------------------------------------------------------------------------------------------ */

static const char limits_text[] =
    "An access.log has no header fields and no bodies, and no queries unless Squid has strip_query_terms off:\n"
    "only rules on method, host, port, path, client and user could be judged.\n";

static uint64_t not_understood(const struct survey *s)
{
    return s->skipped[SP_ACCESSLOG_UNKNOWN] + s->skipped[SP_ACCESSLOG_QUOTED] + s->too_long;
}

static void print_not_understood(const struct survey *s)
{
    uint64_t n = not_understood(s);
    if (n == 0)
        return;
    printf("%" PRIu64 " not understood, the first is line %" PRIu64, n, s->first_unknown);
    if (s->skipped[SP_ACCESSLOG_QUOTED] > 0)
        printf(" (%" PRIu64 " in the form of web servers; needed is Squid's native one, \"logformat squid\")",
            s->skipped[SP_ACCESSLOG_QUOTED]);
    if (s->too_long > 0)
        printf(" (%" PRIu64 " longer than %u bytes)", s->too_long, LINE_MAX_BYTES);
    printf("\n");
}

static void print_summary(const struct survey *s)
{
    bool is_monitor = sp_explain_is_monitor(s->gate->conf);
    if (s->n_tallies > 0)
        printf("\n%10s  %10s  %-6s  rule\n", "lines", "excepted", "action");
    for (size_t i = 0; i < s->n_tallies; i++) {
        const struct tally *t = &s->tallies[i];
        sp_cli_line(stdout, "%10" PRIu64 "  %10" PRIu64 "  %-6s  %s: %s (%s)", t->matched, t->passed_over, sp_action_name(t->rule->action),
            t->rule->id, t->rule->name, t->rule->category);
    }
    printf("\n%" PRIu64 " lines, %" PRIu64 " requests judged: %" PRIu64 " %s, %" PRIu64 " reported, %" PRIu64
           " passed over by an exception\n",
        s->lines, s->judged, s->blocked, is_monitor ? "would be blocked without monitor mode" : "would be blocked", s->reported,
        s->passed_over);
    if (s->limited > 0)
        printf("%" PRIu64 " on which a rule that blocks took too much effort\n", s->limited);
    if (s->skipped[SP_ACCESSLOG_CHALLENGE] + s->skipped[SP_ACCESSLOG_NOTHING] > 0)
        printf("%" PRIu64 " left out: %" PRIu64 " asked for a password (407), %" PRIu64 " without a request\n",
            s->skipped[SP_ACCESSLOG_CHALLENGE] + s->skipped[SP_ACCESSLOG_NOTHING], s->skipped[SP_ACCESSLOG_CHALLENGE],
            s->skipped[SP_ACCESSLOG_NOTHING]);
    print_not_understood(s);
    fputs(limits_text, stdout);
}

static void print_summary_json(const struct survey *s)
{
    struct json_object *out = sp_cli_json_object(), *summary = sp_cli_json_object(), *rules = sp_cli_json_array();
    sp_cli_json_add_text(summary, "mode", sp_explain_is_monitor(s->gate->conf) ? "monitor" : "enforce");
    sp_cli_json_add_number(summary, "lines", (int64_t) s->lines);
    sp_cli_json_add_number(summary, "judged", (int64_t) s->judged);
    sp_cli_json_add_number(summary, "blocked", (int64_t) s->blocked);
    sp_cli_json_add_number(summary, "reported", (int64_t) s->reported);
    sp_cli_json_add_number(summary, "excepted", (int64_t) s->passed_over);
    sp_cli_json_add_number(summary, "limited", (int64_t) s->limited);
    sp_cli_json_add_number(summary, "challenges", (int64_t) s->skipped[SP_ACCESSLOG_CHALLENGE]);
    sp_cli_json_add_number(summary, "without_request", (int64_t) s->skipped[SP_ACCESSLOG_NOTHING]);
    sp_cli_json_add_number(summary, "not_understood", (int64_t) not_understood(s));
    sp_cli_json_add_number(summary, "first_not_understood", (int64_t) s->first_unknown);
    sp_cli_json_add_text(summary, "unseen", "header fields, bodies, queries");
    for (size_t i = 0; i < s->n_tallies; i++) {
        struct json_object *rule = sp_cli_json_object();
        sp_cli_json_add_text(rule, "rule", s->tallies[i].rule->id);
        sp_cli_json_add_text(rule, "action", sp_action_name(s->tallies[i].rule->action));
        sp_cli_json_add_text(rule, "category", s->tallies[i].rule->category);
        sp_cli_json_add_number(rule, "lines", (int64_t) s->tallies[i].matched);
        sp_cli_json_add_number(rule, "excepted", (int64_t) s->tallies[i].passed_over);
        sp_cli_json_append(rules, rule);
    }
    sp_cli_json_add(summary, "rules", rules);
    sp_cli_json_add(out, "summary", summary);
    sp_cli_json_print(out);
}

static enum sp_cli_exit exit_of(const struct survey *s)
{
    if (s->judged == 0 && not_understood(s) > 0)
        return sp_cli_fail("no line was understood: needed is Squid's native access.log (\"logformat squid\")");
    return s->blocked > 0 && !sp_explain_is_monitor(s->gate->conf) ? SP_CLI_FOUND : SP_CLI_OK;
}

enum sp_cli_exit sp_explain_log(const struct sp_cli_options *options, struct sp_gate *gate, const char *path)
{
    struct survey s = { .gate = gate, .is_json = options->json };
    struct sp_error err = { 0 };
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return sp_cli_fail("%s: %s", path, strerror(errno));
    sp_buf_init(&s.text, 2 * LINE_MAX_BYTES);
    enum sp_cli_exit exit_status;
    struct stat st;
    sp_progress_start(&s.progress, fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t) st.st_size : 0);
    enum sp_status status = read_log(&s, fd, &err);
    sp_progress_hide(&s.progress);
    if (status == SP_OK) {
        if (s.n_tallies > 0)
            qsort(s.tallies, s.n_tallies, sizeof(*s.tallies), compare_tallies);
        s.is_json ? print_summary_json(&s) : print_summary(&s);
        fflush(stdout);
        exit_status = exit_of(&s);
    } else {
        exit_status = sp_cli_fail("%s: %s", is_stdin ? "standard input" : path, err.text[0] ? err.text : sp_status_name(status));
    }
    if (!is_stdin)
        close(fd);
    sp_buf_fini(&s.text);
    free(s.tallies);
    return exit_status;
}
