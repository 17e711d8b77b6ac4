/* The bar is one line that is drawn over itself five times a second. It is never wider than the terminal, for a line that wraps
 * cannot be taken back. */
#include "config.h"

#include "progress.h"

#include "cli.h"

#include "sallyport/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define FIRST_AFTER_US 500000
#define EVERY_US 200000
#define US_PER_S 1000000
#define BAR_MAX 40
#define TEXT_COLUMNS 62 /* what stands beside the bar, at its longest */
#define RATE_COLUMNS 32 /* a size and a rate need no more */
#define SHOWN_LEFT_MAX 359999 /* seconds; who would believe more */

static unsigned columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void put_bar(unsigned width, double share)
{
    unsigned full = (unsigned) (share * width);
    fputc('[', stderr);
    for (unsigned i = 0; i < width; i++)
        fputc(i < full ? '=' : i == full ? '>' : ' ', stderr);
    fputs("] ", stderr);
}

static void draw(struct sp_progress *p, int64_t now)
{
    char done[SP_CLI_NUMBER_SIZE], total[SP_CLI_NUMBER_SIZE], rate[SP_CLI_NUMBER_SIZE];
    const double seconds = (double) (now - p->start_us) / US_PER_S;
    const double per_second = seconds > 0 ? (double) p->done / seconds : 0;
    unsigned width = columns();
    fputs("\r\033[K", stderr);
    p->is_shown = true;
    if (p->total == 0 || width < TEXT_COLUMNS) {
        fputs(sp_cli_bytes(p->done, "B", done), stderr);
        if (width >= RATE_COLUMNS)
            fprintf(stderr, ", %s/s", sp_cli_bytes((uint64_t) per_second, "B", rate));
        return;
    }
    const double share = p->done >= p->total ? 1 : (double) p->done / (double) p->total;
    unsigned room = width - TEXT_COLUMNS;
    if (room >= 8)
        put_bar(room < BAR_MAX ? room : BAR_MAX, share);
    fprintf(stderr, "%3.0f %%  %s of %s  %s/s", share * 100, sp_cli_bytes(p->done, "B", done), sp_cli_bytes(p->total, "B", total),
        sp_cli_bytes((uint64_t) per_second, "B", rate));
    if (per_second > 0 && p->done < p->total) {
        uint64_t left = (uint64_t) ((double) (p->total - p->done) / per_second + 0.5);
        if (left < SHOWN_LEFT_MAX)
            fprintf(stderr, "  %" PRIu64 ":%02" PRIu64 " left", left / 60, left % 60);
    }
}

void sp_progress_start(struct sp_progress *p, uint64_t total_bytes)
{
    *p = (struct sp_progress){ .total = total_bytes, .start_us = sp_clock_mono_us(), .is_on = isatty(STDERR_FILENO) == 1 };
    p->next_us = p->start_us + FIRST_AFTER_US;
}

void sp_progress_add(struct sp_progress *p, uint64_t bytes)
{
    p->done += bytes;
    if (!p->is_on)
        return;
    int64_t now = sp_clock_mono_us();
    if (now < p->next_us)
        return;
    p->next_us = now + EVERY_US;
    draw(p, now);
    fflush(stderr);
}

void sp_progress_hide(struct sp_progress *p)
{
    if (!p->is_shown)
        return;
    p->is_shown = false;
    fputs("\r\033[K", stderr);
    fflush(stderr);
}
