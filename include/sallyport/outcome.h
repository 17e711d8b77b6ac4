/* How a transaction can end, and what is done about it. Every path has one of these names:
 * unknown is never clean. The rows are in outcome.def. */
#ifndef SALLYPORT_OUTCOME_H
#define SALLYPORT_OUTCOME_H

#include "sallyport/str.h"

enum sp_direction { SP_REQMOD, SP_RESPMOD, SP_DIRECTION_COUNT };

enum sp_outcome {
#define SP_OUTCOME_ROW(id, name, action, configurable, when) SP_OUTCOME_##id,
#include "sallyport/outcome.def"
#undef SP_OUTCOME_ROW
    SP_OUTCOME_COUNT
};

enum sp_action {
    SP_ACTION_ALLOW,  /* passes as it came */
    SP_ACTION_REPORT, /* passes, and the log says that something was seen */
    SP_ACTION_BLOCK,  /* refused with a page, or the transfer is cut */
    SP_ACTION_COUNT,  /* of those that a person can choose */
    SP_ACTION_NONE = SP_ACTION_COUNT /* nobody is there any more to deliver to or to refuse */
};

const char *sp_direction_name(enum sp_direction direction); /* "request", "response" */

const char *sp_outcome_name(enum sp_outcome outcome); /* "clean", ...; never NULL */
const char *sp_outcome_when(enum sp_outcome outcome); /* one line of help */
enum sp_action sp_outcome_default(enum sp_outcome outcome);
bool sp_outcome_is_configurable(enum sp_outcome outcome);

const char *sp_action_name(enum sp_action action); /* "allow", "report", "block"; "none" */
bool sp_action_parse(struct sp_str name, enum sp_action *action_out);

#endif
