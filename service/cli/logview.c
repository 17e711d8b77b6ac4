/* Decisions on a terminal: a line each, or all of one. */
#include "config.h"

#include "logview.h"

#include "sallyport/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FIELD_MAX_BYTES 65536
#define SHOWN_BYTES 20480
#define URL_SHOWN_BYTES 160 /* in a line; whole in what is printed of one */
#define US_PER_S 1000000

enum color { PLAIN, RED, YELLOW, GREEN, DIM, BOLD };

static const char *const color_codes[] = { [PLAIN] = "0", [RED] = "1;31", [YELLOW] = "33", [GREEN] = "32", [DIM] = "2", [BOLD] = "1" };

const char *sp_log_time(int64_t wall_us, char out[SP_LOG_TIME_SIZE])
{
    time_t s = (time_t) (wall_us / US_PER_S);
    struct tm tm = { 0 };
    if (wall_us == 0 || !localtime_r(&s, &tm) || strftime(out, SP_LOG_TIME_SIZE, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        snprintf(out, SP_LOG_TIME_SIZE, "%-19s", "-");
    return out;
}

bool sp_log_color(const struct sp_cli_options *options, bool *color_out)
{
    const char *when = options->values[SP_CLI_COLOR], *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    if (!when || strcmp(when, "auto") == 0) {
        *color_out = isatty(STDOUT_FILENO) == 1 && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
        return true;
    }
    *color_out = strcmp(when, "always") == 0;
    if (*color_out || strcmp(when, "never") == 0)
        return true;
    sp_cli_fail("--color is auto, always or never, not %s", when);
    return false;
}

/* A raw field, made fit for a terminal, at most max bytes of it. The result is valid until the next call with the same memory. */
static const char *shown(struct sp_str raw, char *out, size_t max)
{
    struct sp_buf text;
    sp_buf_init(&text, FIELD_MAX_BYTES);
    enum sp_status status = sp_decline_text(raw, &text); /* past the limit the beginning is there */
    (void) status;
    sp_text_escape((struct sp_str){ text.p ? text.p : "", text.n }, out, max);
    sp_buf_fini(&text);
    return out;
}

static enum color color_of(const struct sp_decline *d)
{
    if (!d->has_action)
        return PLAIN;
    switch (d->action) {
    case SP_ACTION_BLOCK:
        return RED;
    case SP_ACTION_REPORT:
        return YELLOW;
    case SP_ACTION_ALLOW:
        return d->is_monitored ? YELLOW : GREEN;
    case SP_ACTION_NONE: /* and COUNT, which is the same number */
    default:
        return DIM;
    }
}

static void put(bool is_colored, enum color color, const char *text, int width)
{
    if (is_colored && color != PLAIN)
        printf("\033[%sm%-*s\033[0m", color_codes[color], width, text);
    else
        printf("%-*s", width, text);
}

static const char *action_text(const struct sp_decline *d)
{
    if (d->is_monitored && d->action != SP_ACTION_BLOCK)
        return "monitor";
    return d->has_action ? sp_action_name(d->action) : "-";
}

/* Why it ended so, in as few words as there are: the signature, the rule with its category, or the reason. */
static void put_why(const struct sp_decline *d, bool is_colored)
{
    char text[1024], category[256];
    if (d->signature.n > 0) {
        put(is_colored, BOLD, shown(d->signature, text, sizeof(text)), 0);
    } else if (d->rule.n > 0) {
        put(is_colored, BOLD, shown(d->rule, text, sizeof(text)), 0);
        if (d->category.n > 0)
            printf(" (%s)", shown(d->category, category, sizeof(category)));
    } else {
        fputs(shown(d->reason, text, sizeof(text)), stdout);
    }
    if (d->is_cached)
        fputs(", known", stdout);
}

void sp_log_print_line(const struct sp_decline *d, bool is_colored)
{
    char when[SP_LOG_TIME_SIZE], text[SHOWN_BYTES];
    put(is_colored, DIM, sp_log_time(d->wall_us, when), 0);
    fputs("  ", stdout);
    put(is_colored, color_of(d), action_text(d), 8);
    put(is_colored, color_of(d), d->outcome == SP_OUTCOME_COUNT ? "-" : sp_outcome_name(d->outcome), 12);
    printf("%-15s ", d->client.n > 0 ? shown(d->client, text, 256) : "-");
    if (d->user.n > 0)
        printf("%s ", shown(d->user, text, 256));
    if (d->method.n > 0)
        printf("%s ", shown(d->method, text, 64));
    printf("%s  ", shown(d->url, text, URL_SHOWN_BYTES));
    put_why(d, is_colored);
    fputs("  ", stdout);
    put(is_colored, DIM, shown(d->id, text, 64), 0);
    putchar('\n');
}

static void put_name(bool is_colored, const char *name)
{
    put(is_colored, DIM, name, 12);
}

static void put_field(bool is_colored, const char *name, struct sp_str raw)
{
    char text[SHOWN_BYTES];
    if (raw.n == 0)
        return;
    put_name(is_colored, name);
    puts(shown(raw, text, sizeof(text)));
}

static void put_number(bool is_colored, const char *name, uint64_t number, const char *unit)
{
    if (number == 0)
        return;
    put_name(is_colored, name);
    printf("%" PRIu64 "%s\n", number, unit);
}

static void put_duration(bool is_colored, const char *name, int64_t us)
{
    if (us == 0)
        return;
    put_name(is_colored, name);
    printf("%.3f ms\n", (double) us / 1000);
}

void sp_log_print_all(const struct sp_decline *d, bool is_colored)
{
    char when[SP_LOG_TIME_SIZE];
    put_name(is_colored, "decision");
    put(is_colored, color_of(d), action_text(d), 0);
    if (d->outcome != SP_OUTCOME_COUNT)
        printf(": %s - %s", sp_outcome_name(d->outcome), sp_outcome_when(d->outcome));
    putchar('\n');
    if (d->is_monitored) {
        put_name(is_colored, "");
        puts("would have been refused, but for mode = \"monitor\"");
    }
    put_field(is_colored, "reason", d->reason);
    put_field(is_colored, "rule", d->rule);
    put_field(is_colored, "category", d->category);
    put_field(is_colored, "excepted", d->excepted);
    put_field(is_colored, "signature", d->signature);
    put_field(is_colored, "id", d->id);
    put_name(is_colored, "time");
    puts(sp_log_time(d->wall_us, when));
    put_field(is_colored, "client", d->client);
    put_field(is_colored, "user", d->user);
    put_field(is_colored, "direction", d->direction);
    put_field(is_colored, "method", d->method);
    put_field(is_colored, "url", d->url);
    put_number(is_colored, "status", d->status, "");
    put_field(is_colored, "encoding", d->encoding);
    put_number(is_colored, "body", d->bytes, " bytes");
    if (d->is_cached) {
        put_name(is_colored, "cached");
        puts("known to be clean, not scanned again");
    }
    put_number(is_colored, "generation", d->generation, " of the signatures");
    put_duration(is_colored, "took", d->total_us);
    put_duration(is_colored, "scan", d->scan_us);
}
