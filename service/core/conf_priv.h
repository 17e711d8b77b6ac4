/* For the conf*.c files only: the options as a table, and what these files do for each other. */
#ifndef SALLYPORT_CONF_PRIV_H
#define SALLYPORT_CONF_PRIV_H

#include "sallyport/conf.h"

#define SP_CONF_OUTCOMES "outcomes" /* groups that are no options */
#define SP_CONF_CATEGORIES "categories"
/* Lists that are no options: the policy reads them itself (policy_build.c). */
#define SP_CONF_POLICY_KEYS "exceptions", "rules", "rule_actions", "lists"
#define SP_CONF_KEY_BYTES 96 /* a full key, in messages */

enum sp_option_type { SP_OPTION_STRING, SP_OPTION_LIST, SP_OPTION_BOOL, SP_OPTION_INT, SP_OPTION_SIZE, SP_OPTION_TIME, SP_OPTION_ENUM };

struct sp_option {
    const char *key; /* "run_dir", "scan.timeout" */
    enum sp_option_type type;
    size_t offset;    /* of its field in struct sp_conf */
    const char *text; /* default of STRING; default of LIST and the names of ENUM, as "a|b" */
    int64_t number;   /* default of all others */
    int64_t min, max;
    const char *help;
};

enum sp_option_index {
#define SP_CONF_STRING(field, key, def, help) SP_OPTION_OF_##field,
#define SP_CONF_LIST(field, key, def, help) SP_OPTION_OF_##field,
#define SP_CONF_BOOL(field, key, def, help) SP_OPTION_OF_##field,
#define SP_CONF_INT(field, key, def, min, max, help) SP_OPTION_OF_##field,
#define SP_CONF_SIZE(field, key, def, min, max, help) SP_OPTION_OF_##field,
#define SP_CONF_TIME(field, key, def, min, max, help) SP_OPTION_OF_##field,
#define SP_CONF_ENUM(field, key, def, names, help) SP_OPTION_OF_##field,
#include "sallyport/conf_options.def"
#undef SP_CONF_STRING
#undef SP_CONF_LIST
#undef SP_CONF_BOOL
#undef SP_CONF_INT
#undef SP_CONF_SIZE
#undef SP_CONF_TIME
#undef SP_CONF_ENUM
    SP_OPTION_COUNT
};

extern const struct sp_option sp_options[SP_OPTION_COUNT];

/* The field of an option in conf. */
char **sp_option_string(struct sp_conf *conf, const struct sp_option *option);
struct sp_conf_list *sp_option_list(struct sp_conf *conf, const struct sp_option *option);
/* Stores into a field of any type but STRING and LIST. */
void sp_option_set_number(struct sp_conf *conf, const struct sp_option *option, int64_t number);
/* SP_ERR_NOMEM. Replaces what the field held; text is copied. */
enum sp_status sp_option_set_string(struct sp_conf *conf, const struct sp_option *option, const char *text) SP_MUST_CHECK;
enum sp_status sp_option_add_item(struct sp_conf *conf, const struct sp_option *option, struct sp_str text) SP_MUST_CHECK;
void sp_option_clear_list(struct sp_conf *conf, const struct sp_option *option);

/* A number as the file has it: "64K", "2m", "17", "true", "notable". Always terminated. */
#define SP_OPTION_TEXT_SIZE 64
void sp_option_format(const struct sp_option *option, int64_t number, char out[SP_OPTION_TEXT_SIZE]);

/* "64K", "1G" or "1024"; "500ms", "30s", "5m", "1h": a unit is required. False if it is none of them or does not fit. */
bool sp_option_parse_scaled(const struct sp_option *option, const char *text, int64_t *number_out);

const char *sp_category_help(enum sp_category category);

/* The known key that is most like wanted; false if none is like it. */
bool sp_conf_guess_key(const char *wanted, char out[SP_CONF_KEY_BYTES]);

/* The i-th name of an ENUM, or element of a LIST's default; false past the end. */
bool sp_option_name(const struct sp_option *option, int i, struct sp_str *name_out);

#endif
