/* A report as one page: no script, nothing fetched, light or dark as the reader has it, and fit for paper. Every name in it may come
 * from an attacker, so all of them go through sp_report_html_text. */
#include "config.h"

#include "report.h"

#include "sallyport/text.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#define TEXT_SHOWN_BYTES 200

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#d9dee5;--paper:#fff;--panel:#f5f7fa;--all:#8aa4c8;"
    "--refused:#c8372d;--reported:#dd9a1f;--good:#2f8f5b}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e7ebf0;--soft:#9aa6b5;--line:#323a45;--paper:#14181e;--panel:#1c222a;--all:#5f7fab;"
    "--refused:#ef6a5f;--reported:#e5b04a;--good:#55b983}}\n"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:64rem;padding:2rem 1.25rem 4rem;background:var(--paper);color:var(--ink);"
    "font:16px/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,\"Noto Sans\",sans-serif}\n"
    "h1{font-size:1.7rem;line-height:1.2;margin:0}h2{font-size:1.1rem;margin:2.2rem 0 .6rem}p{margin:.3rem 0}\n"
    ".soft{color:var(--soft)}.warn{border-left:4px solid var(--reported);background:var(--panel);padding:.5rem .8rem;margin:1rem 0}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.8rem;margin:1.6rem 0 0}\n"
    ".card{background:var(--panel);border-radius:.6rem;padding:.8rem 1rem}.card b{display:block;font-size:1.6rem;line-height:1.2;"
    "font-variant-numeric:tabular-nums}.card.refused b{color:var(--refused)}.card.reported b{color:var(--reported)}\n"
    ".grid2{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(27rem,100%),1fr));gap:0 2.5rem}\n"
    "svg{width:100%;height:auto;display:block}svg text{font-size:12px;fill:var(--soft);font-variant-numeric:tabular-nums}\n"
    ".grid{stroke:var(--line);stroke-width:1}.all{fill:var(--all)}rect.refused{fill:var(--refused)}rect.reported{fill:var(--reported)}"
    ".hover{fill:transparent}g:hover .hover{fill:var(--line);fill-opacity:.5}\n"
    "table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}th{font-weight:500;color:var(--soft);text-align:right;"
    "font-size:.85rem}td,th{padding:.25rem .3rem;border-bottom:1px solid var(--line)}td{text-align:right;white-space:nowrap}"
    "th:first-child,td:first-child{text-align:left;white-space:normal;overflow-wrap:anywhere;width:99%}\n"
    ".share{display:block;height:4px;border-radius:2px;background:var(--all);margin-top:2px;min-width:1px}"
    ".share.refused{background:var(--refused)}.key i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .3em 0 1em}\n"
    "@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--line:#bbb;--paper:#fff;--panel:#f3f3f3;--all:#8aa4c8;--refused:#c8372d;"
    "--reported:#dd9a1f}body{padding:0;max-width:none;font-size:11pt}section{break-inside:avoid}"
    "*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}\n";

void sp_report_html_text(FILE *out, struct sp_str raw)
{
    struct sp_buf text;
    char shown[TEXT_SHOWN_BYTES];
    sp_buf_init(&text, 8192);
    const enum sp_status status = sp_decline_text(raw, &text);
    sp_text_escape(status == SP_OK ? (struct sp_str){ text.p ? text.p : "", text.n } : SP_STR("?"), shown, sizeof(shown));
    sp_buf_fini(&text);
    for (const char *p = shown; *p; p++) {
        switch (*p) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default:
            fputc(*p, out);
        }
    }
}

static void put_card(FILE *out, const char *class, const char *number, const char *what)
{
    fprintf(out, "<div class=\"card %s\"><b>%s</b>%s</div>\n", class, number, what);
}

static void put_cards(const struct sp_report *r, FILE *out)
{
    char text[SP_CLI_NUMBER_SIZE];
    fputs("<div class=\"cards\">\n", out);
    put_card(out, "", sp_cli_number(r->decisions, text), "decisions");
    put_card(out, "refused", sp_cli_number(r->refused, text), "refused");
    put_card(out, "reported", sp_cli_number(r->reported, text), "reported");
    put_card(out, "", sp_cli_number(r->outcomes[SP_OUTCOME_INFECTED], text), "infected");
    put_card(out, "", sp_cli_bytes(r->bytes, "bytes", text), "of bodies");
    if (r->total.n > 0)
        put_card(out, "", sp_report_us(sp_durations_at(&r->total, 990), text), "99 of 100 took no longer");
    fputs("</div>\n", out);
}

static void put_warning(FILE *out, uint64_t n, const char *what)
{
    char number[SP_CLI_NUMBER_SIZE];
    if (n > 0)
        fprintf(out, "<p class=\"warn\">%s %s</p>\n", sp_cli_number(n, number), what);
}

static void put_share(FILE *out, const char *class, uint64_t n, uint64_t most)
{
    fprintf(out, "<span class=\"share %s\" style=\"width:%.1f%%\"></span>", class, 100.0 * (double) n / (double) (most ? most : 1));
}

static void put_outcomes(const struct sp_report *r, FILE *out)
{
    char number[SP_CLI_NUMBER_SIZE];
    uint64_t most = 0;
    for (unsigned i = 0; i <= SP_OUTCOME_COUNT; i++)
        most = r->outcomes[i] > most ? r->outcomes[i] : most;
    fputs("<section><h2>Outcomes</h2><table><tr><th scope=\"col\">Outcome</th><th scope=\"col\">Decisions</th>"
          "<th scope=\"col\">Share</th></tr>\n",
        out);
    for (unsigned i = 0; i <= SP_OUTCOME_COUNT; i++) {
        if (r->outcomes[i] == 0)
            continue;
        fprintf(out, "<tr><td title=\"%s\">%s", i < SP_OUTCOME_COUNT ? sp_outcome_when((enum sp_outcome) i) : "",
            i < SP_OUTCOME_COUNT ? sp_outcome_name((enum sp_outcome) i) : "unknown");
        put_share(out, "", r->outcomes[i], most);
        fprintf(out, "</td><td>%s</td><td>%.1f %%</td></tr>\n", sp_cli_number(r->outcomes[i], number),
            100.0 * (double) r->outcomes[i] / (double) r->decisions);
    }
    fputs("</table></section>\n", out);
}

static void put_top(struct sp_report *r, FILE *out, enum sp_report_top which)
{
    struct sp_top *top = &r->tops[which];
    const size_t n = sp_top_sort(top);
    char number[SP_CLI_NUMBER_SIZE];
    if (n == 0)
        return;
    fprintf(out, "<section><h2>%s</h2><table><tr><th scope=\"col\">Name</th><th scope=\"col\">Refused</th>", sp_report_title(which));
    fputs("<th scope=\"col\">Reported</th></tr>\n", out);
    const uint64_t most = top->entries[0].refused + top->entries[0].reported;
    for (size_t i = 0; i < n && i < SP_REPORT_SHOWN; i++) {
        const struct sp_top_entry *entry = &top->entries[i];
        fputs("<tr><td>", out);
        sp_report_html_text(out, (struct sp_str){ entry->key, entry->n });
        if (entry->missed > 0)
            fprintf(out, " <span class=\"soft\">(up to %s more)</span>", sp_cli_number(entry->missed, number));
        put_share(out, entry->refused > 0 ? "refused" : "", entry->refused + entry->reported, most);
        fprintf(out, "</td><td>%s</td>", sp_cli_number(entry->refused, number));
        fprintf(out, "<td>%s</td></tr>\n", sp_cli_number(entry->reported, number));
    }
    fputs("</table>", out);
    if (n > SP_REPORT_SHOWN)
        fprintf(out, "<p class=\"soft\">and %s more</p>", sp_cli_number(n - SP_REPORT_SHOWN, number));
    fputs("</section>\n", out);
}

static void put_durations_row(FILE *out, const char *what, const struct sp_durations *d)
{
    char text[SP_CLI_NUMBER_SIZE];
    if (d->n == 0)
        return;
    fprintf(out, "<tr><td>%s</td>", what);
    for (size_t i = 0; i < sp_report_n_permilles; i++)
        fprintf(out, "<td>%s</td>", sp_report_us(sp_durations_at(d, sp_report_permilles[i]), text));
    fprintf(out, "<td>%s</td></tr>\n", sp_report_us(d->max_us, text));
}

static void put_durations(const struct sp_report *r, FILE *out)
{
    fputs("<section><h2>Durations</h2><table><tr><th scope=\"col\">What</th>", out);
    for (size_t i = 0; i < sp_report_n_permilles; i++)
        fprintf(out, "<th scope=\"col\">%g %%</th>", sp_report_permilles[i] / 10.0);
    fputs("<th scope=\"col\">longest</th></tr>\n", out);
    put_durations_row(out, "From the head to the decision", &r->total);
    put_durations_row(out, "Inside the scanner", &r->scan);
    fputs("</table></section>\n", out);
}

static void put_charts(const struct sp_report *r, FILE *out)
{
    fputs("<section><h2>Decisions</h2>\n", out);
    sp_report_chart(r, out, false);
    fputs("</section>\n<section><h2>Refusals <span class=\"soft key\"><i style=\"background:var(--refused)\"></i>refused"
          "<i style=\"background:var(--reported)\"></i>reported</span></h2>\n",
        out);
    sp_report_chart(r, out, true);
    fputs("</section>\n", out);
}

void sp_report_html(struct sp_report *r, FILE *out)
{
    char since[SP_LOG_TIME_SIZE], until[SP_LOG_TIME_SIZE], zone[16] = "";
    const time_t start = (time_t) (r->since_us / 1000000);
    struct tm tm = { 0 };
    if (localtime_r(&start, &tm))
        strftime(zone, sizeof(zone), "%z", &tm);
    sp_log_time(r->since_us, since);
    sp_log_time(r->until_us, until);
    fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
        out);
    fprintf(out, "<title>Sallyport, %s to %s</title>\n<style>\n%s</style>\n</head>\n<body>\n", since, until, style);
    fprintf(out, "<h1>What the gate did</h1>\n<p class=\"soft\">%s to %s, times in UTC%s</p>\n", since, until, zone);
    put_cards(r, out);
    if (r->is_notable_only)
        fputs("<p class=\"soft\">The log has no clean and uneventful transactions: log.decisions is &quot;notable&quot;.</p>\n", out);
    if (r->is_hashed)
        fputs("<p class=\"soft\">" SP_LOG_HASHED "</p>\n", out);
    put_warning(out, r->lost, "decisions could not be written to the log and are missing here.");
    put_warning(out, r->broken, "lines of the log are broken and are left out.");
    put_warning(out, r->monitored, "would have been refused, but for monitor mode.");
    if (r->decisions > 0) {
        put_charts(r, out);
        fputs("<div class=\"grid2\">\n", out);
        put_outcomes(r, out);
        for (unsigned i = 0; i < SP_TOP_COUNT; i++)
            put_top(r, out, (enum sp_report_top) i);
        fputs("</div>\n", out);
        put_durations(r, out);
    }
    fputs("</body>\n</html>\n", out);
}
