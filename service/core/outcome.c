/* Names and defaults of outcomes and actions; the rows are in outcome.def. */
#include "config.h"

#include "sallyport/outcome.h"

#include "sallyport/assert.h"

struct row {
    const char *name;
    const char *when;
    enum sp_action action;
    bool is_configurable;
};

static const struct row rows[SP_OUTCOME_COUNT] = {
#define SP_OUTCOME_ROW(id, name, action, configurable, when) [SP_OUTCOME_##id] = { name, when, SP_ACTION_##action, configurable },
#include "sallyport/outcome.def"
#undef SP_OUTCOME_ROW
};

static const char *const action_names[] = {
    [SP_ACTION_ALLOW] = "allow",
    [SP_ACTION_REPORT] = "report",
    [SP_ACTION_BLOCK] = "block",
    [SP_ACTION_NONE] = "none",
};

static const struct row *row_of(enum sp_outcome outcome)
{
    SP_ASSERT((unsigned) outcome < SP_OUTCOME_COUNT);
    return &rows[outcome];
}

const char *sp_direction_name(enum sp_direction direction)
{
    SP_ASSERT((unsigned) direction < SP_DIRECTION_COUNT);
    return direction == SP_REQMOD ? "request" : "response";
}

const char *sp_outcome_name(enum sp_outcome outcome)
{
    return row_of(outcome)->name;
}

const char *sp_outcome_when(enum sp_outcome outcome)
{
    return row_of(outcome)->when;
}

enum sp_action sp_outcome_default(enum sp_outcome outcome)
{
    return row_of(outcome)->action;
}

bool sp_outcome_is_configurable(enum sp_outcome outcome)
{
    return row_of(outcome)->is_configurable;
}

const char *sp_action_name(enum sp_action action)
{
    SP_ASSERT((unsigned) action <= SP_ACTION_NONE);
    return action_names[action];
}

bool sp_action_parse(struct sp_str name, enum sp_action *action_out)
{
    for (unsigned i = 0; i < SP_ACTION_COUNT; i++) {
        if (sp_str_equal(name, sp_str_from(action_names[i]))) {
            *action_out = (enum sp_action) i;
            return true;
        }
    }
    return false;
}
