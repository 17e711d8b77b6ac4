/* Any bytes as a decision log, all the way to the page of `sallyport report`: it has no control characters and no markup that is not ours,
 * and what is counted adds up. The first line is a time, as --since takes it. */
#include "config.h"

#include "fuzz_kit.h"

#include "cli/report.h"
#include "cli/when.h"

#include <stdio.h>
#include <string.h>

#define NOW (INT64_C(1795305600) * 1000000)
#define LONGEST_TIME 64

static int64_t read_since(struct sp_str first)
{
    char text[LONGEST_TIME];
    int64_t since = 0;
    if (first.n >= sizeof(text) || !sp_when_parse(sp_str_copy(first, text, sizeof(text)), NOW, &since))
        return 0;
    return since < NOW ? since : 0;
}

static void require_harmless(const char *page, size_t n)
{
    for (size_t i = 0; i < n; i++)
        require(((unsigned char) page[i] >= ' ' && page[i] != 0x7f) || page[i] == '\n');
    static const char *const markup[] = { "<script", "<img", "<iframe", "<a " };
    for (size_t i = 0; i < sizeof(markup) / sizeof(markup[0]); i++)
        require(!memmem(page, n, markup[i], strlen(markup[i])));
}

static void require_sums(const struct sp_report *r)
{
    uint64_t outcomes = 0, bins = 0;
    for (unsigned i = 0; i <= SP_OUTCOME_COUNT; i++)
        outcomes += r->outcomes[i];
    for (size_t i = 0; i < r->n_bins; i++)
        bins += r->bins[i].all;
    require(outcomes == r->decisions && bins == r->decisions && r->total.n == r->decisions);
    require(r->bytes <= INT64_MAX && r->lost <= INT64_MAX); /* as JSON has them */
    require(r->refused + r->reported <= r->decisions && r->broken <= r->lines && r->decisions <= r->lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sp_report r; /* too large for a stack */
    const char *p = (const char *) data, *end = p + size;
    bool is_first = true;
    memset(&r, 0, sizeof(r));
    r.until_us = INT64_C(253402300800) * 1000000; /* the year 10000 */
    r.path = "log";
    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t) (end - p)), *stop = newline ? newline : end;
        const struct sp_str line = { p, (size_t) (stop - p) };
        if (is_first) {
            r.since_us = read_since(line);
            require(sp_report_init(&r));
        } else if (line.n > 0) {
            require(sp_report_take(&r, line));
        }
        is_first = false;
        p = newline ? newline + 1 : end;
    }
    if (is_first)
        return 0;
    require_sums(&r);
    char *page = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&page, &n);
    require(out != NULL);
    sp_report_html(&r, out);
    fclose(out);
    require_harmless(page, n);
    free(page);
    sp_report_fini(&r);
    return 0;
}
