/* The configuration as plain data. Immutable after it was loaded; nobody reads it from a global, everyone is given it.
 * The options are rows of conf_options.def. Loading is in conf_load.c on top of cfgfile.h. */
#ifndef SALLYPORT_CONF_H
#define SALLYPORT_CONF_H

#include "sallyport/buf.h"
#include "sallyport/outcome.h"
#include "sallyport/status.h"

#include <stdint.h>

enum sp_category {
#define SP_CATEGORY_ROW(id, name, help) SP_CATEGORY_##id,
#include "sallyport/category.def"
#undef SP_CATEGORY_ROW
    SP_CATEGORY_COUNT
};
const char *sp_category_name(enum sp_category category);
bool sp_category_parse(struct sp_str name, enum sp_category *category_out);

enum sp_mode { SP_MODE_ENFORCE, SP_MODE_MONITOR };
enum sp_log_decisions { SP_LOG_NOTABLE, SP_LOG_ALL };
enum sp_log_to { SP_LOG_TO_FILE, SP_LOG_TO_SYSLOG, SP_LOG_TO_JOURNAL };
enum sp_log_urls { SP_LOG_URLS_FULL, SP_LOG_URLS_PATH, SP_LOG_URLS_HOST };

struct sp_conf_list {
    char **items; /* owned */
    size_t n;
};

struct sp_conf {
    char *path; /* the file it was read from; owned */
#define SP_CONF_STRING(field, key, def, help) char *field;
#define SP_CONF_LIST(field, key, def, help) struct sp_conf_list field;
#define SP_CONF_BOOL(field, key, def, help) bool field;
#define SP_CONF_INT(field, key, def, min, max, help) int64_t field;
#define SP_CONF_SIZE(field, key, def, min, max, help) int64_t field;
#define SP_CONF_TIME(field, key, def, min, max, help) int64_t field;
#define SP_CONF_ENUM(field, key, def, names, help) int field;
#include "sallyport/conf_options.def"
#undef SP_CONF_STRING
#undef SP_CONF_LIST
#undef SP_CONF_BOOL
#undef SP_CONF_INT
#undef SP_CONF_SIZE
#undef SP_CONF_TIME
#undef SP_CONF_ENUM
    enum sp_action outcomes[SP_OUTCOME_COUNT];
    /* The most that the rules of a category may do; none: as "block", each rule its own action. */
    bool has_category_action[SP_CATEGORY_COUNT];
    enum sp_action category_action[SP_CATEGORY_COUNT];
};

/* The file that programs read when none is named: SP_SYSCONF_DIR "/sallyport.conf". */
const char *sp_conf_default_path(void);

/* Reads path. On failure the text is "FILE:LINE: what is wrong" and *conf_out is NULL. Unknown keys, wrong types, values
 * out of range and cross-field faults are refused. Further errors (all of them, one a line) go to report if not NULL. */
enum sp_status sp_conf_load(const char *path, struct sp_error *err, struct sp_buf *report, struct sp_conf **conf_out) SP_MUST_CHECK;

/* The built-in defaults, for tests and tools. */
enum sp_status sp_conf_defaults(struct sp_conf **conf_out) SP_MUST_CHECK;
void sp_conf_free(struct sp_conf **conf);

/* A commented file with every option at its default, as etc/sallyport.conf is shipped. */
enum sp_status sp_conf_sample(struct sp_buf *out) SP_MUST_CHECK;

#endif
