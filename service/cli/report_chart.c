/* A chart of the report as SVG inside the page: bars over time, with a scale of round numbers. Colours come from the page's style, so
 * that they follow the reader's light or dark. */
#include "config.h"

#include "report.h"

#include <inttypes.h>

#define WIDTH 920
#define HEIGHT 190
#define LEFT 64
#define RIGHT 8
#define TOP 10
#define BOTTOM 28
#define LABEL_EVERY 130 /* units of width for a label of the time */

static uint64_t most_of(const struct sp_report *r, bool is_refusals)
{
    uint64_t most = 1;
    for (size_t i = 0; i < r->n_bins; i++) {
        const uint64_t n = is_refusals ? r->bins[i].refused + r->bins[i].reported : r->bins[i].all;
        most = n > most ? n : most;
    }
    return most;
}

/* 1, 2 or 5 times a power of ten, so that four of them or a few less reach the top. */
static uint64_t step_of(uint64_t most)
{
    uint64_t step = 1;
    for (unsigned i = 0; step * 4 < most; i++)
        step = i % 3 == 1 ? step / 2 * 5 : step * 2;
    return step;
}

static double y_of(double share)
{
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share);
}

static void put_grid(FILE *out, uint64_t step, uint64_t top)
{
    char number[SP_CLI_NUMBER_SIZE];
    for (uint64_t at = 0; at <= top; at += step) {
        const double y = y_of((double) at / (double) top);
        fprintf(out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, WIDTH - RIGHT, y, y);
        fprintf(out, "<text class=\"axis\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", LEFT - 8, y + 4,
            sp_cli_number(at, number));
    }
}

static void put_bar(FILE *out, const char *class, double x, double width, double from, double to)
{
    if (to > from)
        fprintf(out, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", class, x, y_of(to), width,
            y_of(from) - y_of(to));
}

static void put_bin(const struct sp_report *r, FILE *out, size_t i, bool is_refusals, uint64_t top)
{
    const struct sp_report_bin *bin = &r->bins[i];
    const double each = (double) (WIDTH - LEFT - RIGHT) / (double) r->n_bins, gap = each > 6 ? 2 : each > 3 ? 1 : 0;
    const double x = LEFT + each * (double) i + gap / 2, width = each - gap;
    char when[SP_LOG_TIME_SIZE], a[SP_CLI_NUMBER_SIZE], b[SP_CLI_NUMBER_SIZE], c[SP_CLI_NUMBER_SIZE];
    fprintf(out, "<g><title>%s: %s decisions, %s refused, %s reported</title>", sp_report_bin_time(r, i, when),
        sp_cli_number(bin->all, a), sp_cli_number(bin->refused, b), sp_cli_number(bin->reported, c));
    fprintf(out, "<rect class=\"hover\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>", x - gap / 2, TOP, each, HEIGHT - TOP - BOTTOM);
    if (is_refusals) {
        const double refused = (double) bin->refused / (double) top;
        put_bar(out, "refused", x, width, 0, refused);
        put_bar(out, "reported", x, width, refused, refused + (double) bin->reported / (double) top);
    } else {
        put_bar(out, "all", x, width, 0, (double) bin->all / (double) top);
    }
    fputs("</g>\n", out);
}

static void put_times(const struct sp_report *r, FILE *out)
{
    const double each = (double) (WIDTH - LEFT - RIGHT) / (double) r->n_bins;
    size_t every = (size_t) (LABEL_EVERY / each) + 1;
    char when[SP_LOG_TIME_SIZE];
    for (size_t i = 0; i < r->n_bins; i += every) {
        const double x = LEFT + each * (double) i;
        fprintf(out, "<text class=\"axis\" x=\"%.1f\" y=\"%d\">%s</text>\n", x, HEIGHT - 8, sp_report_bin_time(r, i, when));
    }
}

void sp_report_chart(const struct sp_report *r, FILE *out, bool is_refusals)
{
    const uint64_t most = most_of(r, is_refusals), step = step_of(most), top = (most + step - 1) / step * step;
    fprintf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n", WIDTH, HEIGHT,
        is_refusals ? "Bars over time: refused and reported" : "Bars over time: decisions");
    put_grid(out, step, top);
    for (size_t i = 0; i < r->n_bins; i++)
        put_bin(r, out, i, is_refusals, top);
    put_times(r, out);
    fputs("</svg>\n", out);
}
