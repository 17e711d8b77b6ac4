/* What one scan came upon, by kind, and what follows from it. Knows the names that libclamav gives to alerts, not libclamav. */
#ifndef SALLYPORT_SCAND_FINDINGS_H
#define SALLYPORT_SCAND_FINDINGS_H

#include "engine.h"

#define SP_LIMIT_FILE "Heuristics.Limits.Exceeded.MaxFileSize"
#define SP_LIMIT_SCAN "Heuristics.Limits.Exceeded.MaxScanSize"

struct sp_findings { /* of each the first; "" if there is none */
    char infected[SP_SCAN_NAME_SIZE];
    char limit[SP_SCAN_NAME_SIZE]; /* an alert's name, or a text */
    char error[SP_SCAN_DETAIL_SIZE];
    char encrypted[SP_SCAN_NAME_SIZE]; /* what cannot be opened */
};

void sp_findings_init(struct sp_findings *findings);

/* Adds to one of the kinds; what does not fit is cut. */
#define sp_findings_note(kind, text) sp_findings_copy(kind, sizeof(kind), text)
void sp_findings_copy(char *kind, size_t size, const char *text);

/* Adds an alert to the kind that its name tells. */
void sp_findings_note_alert(struct sp_findings *findings, const char *name);

/* Whether in the mode that reports one alert this one may have hidden another that is worse. */
bool sp_findings_may_hide_more(const struct sp_findings *findings);

/* The worst counts: infected, limit, error, encrypted, clean. An error spoils. */
void sp_findings_judge(const struct sp_findings *findings, struct sp_engine_result *result_out);

#endif
