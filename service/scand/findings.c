/* Worst first, so that nothing hides what matters more. */
#include "config.h"

#include "findings.h"

#include "builtin.h"

#include <string.h>

#define LIMIT_PREFIX "Heuristics.Limits.Exceeded."
#define LIMIT_PREFIX_MAIL "Heuristics.Email.ExceedsMax" /* so libclamav before 1.0 */
#define ENCRYPTED_PREFIX "Heuristics.Encrypted."

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void copy_text(char *out, size_t size, const char *text)
{
    size_t n = strnlen(text, size - 1);
    memcpy(out, text, n);
    out[n] = '\0';
}

void sp_findings_init(struct sp_findings *findings)
{
    findings->infected[0] = findings->limit[0] = findings->error[0] = findings->encrypted[0] = '\0';
}

void sp_findings_copy(char *kind, size_t size, const char *text)
{
    if (kind[0] == '\0')
        copy_text(kind, size, text);
}

void sp_findings_note_alert(struct sp_findings *findings, const char *name)
{
    const char *mark = sp_builtin_mark(name);
    if (mark)
        sp_findings_note(findings->encrypted, mark);
    else if (starts_with(name, LIMIT_PREFIX) || starts_with(name, LIMIT_PREFIX_MAIL))
        sp_findings_note(findings->limit, name);
    else if (starts_with(name, ENCRYPTED_PREFIX))
        sp_findings_note(findings->encrypted, name + sizeof(ENCRYPTED_PREFIX) - 1);
    else
        sp_findings_note(findings->infected, name);
}

/* After an alert for a limit libclamav goes on, and reports a virus rather than that. */
bool sp_findings_may_hide_more(const struct sp_findings *findings)
{
    return findings->infected[0] == '\0' && findings->limit[0] == '\0' && findings->encrypted[0] != '\0';
}

/* What the operator can do about a limit: the option behind it. */
static const char *limit_text(const char *name)
{
    static const struct {
        const char *alert, *text;
    } limits[] = {
        { LIMIT_PREFIX "MaxScanTime", "longer than scan.timeout" },
        { SP_LIMIT_SCAN, "more than scan.max_scan_size unpacked" },
        { SP_LIMIT_FILE, "a file larger than scan.max_file_size" },
        { LIMIT_PREFIX "MaxFiles", "more files than scan.max_files" },
        { LIMIT_PREFIX "MaxRecursion", "deeper than scan.max_recursion" },
    };
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
        if (strcmp(name, limits[i].alert) == 0)
            return limits[i].text;
    return strstr(name, "Email") ? "a mail with too many headers, arguments or parts" : name;
}

static void set_result(struct sp_engine_result *result, enum sp_verdict verdict, const char *detail)
{
    result->verdict = verdict;
    copy_text(result->detail, sizeof(result->detail), detail);
}

void sp_findings_judge(const struct sp_findings *findings, struct sp_engine_result *result_out)
{
    memset(result_out, 0, sizeof(*result_out)); /* whole: the texts go over the socket as they are */
    result_out->verdict = SP_VERDICT_CLEAN;
    if (findings->infected[0] != '\0') {
        result_out->verdict = SP_VERDICT_INFECTED;
        copy_text(result_out->signature, sizeof(result_out->signature), sp_builtin_name(findings->infected));
    } else if (findings->limit[0] != '\0') {
        set_result(result_out, SP_VERDICT_LIMIT, limit_text(findings->limit));
    } else if (findings->error[0] != '\0') {
        set_result(result_out, SP_VERDICT_ERROR, findings->error);
        result_out->is_spoiled = true;
    } else if (findings->encrypted[0] != '\0') {
        set_result(result_out, SP_VERDICT_ENCRYPTED, findings->encrypted);
    }
}

static unsigned badness(enum sp_verdict verdict)
{
    switch (verdict) {
    case SP_VERDICT_INFECTED:
        return 4;
    case SP_VERDICT_LIMIT:
        return 3;
    case SP_VERDICT_ERROR:
        return 2;
    case SP_VERDICT_ENCRYPTED:
        return 1;
    case SP_VERDICT_CLEAN:
        break;
    }
    return 0;
}

void sp_engine_merge(struct sp_engine_result *all, const struct sp_engine_result *one)
{
    const bool is_spoiled = all->is_spoiled || one->is_spoiled;
    if (badness(one->verdict) > badness(all->verdict))
        *all = *one;
    all->is_spoiled = is_spoiled;
}
