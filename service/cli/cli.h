/* What the subcommands of `sallyport` share: their table row, the options, output. One process, one thread, so out of memory
 * ends it. */
#ifndef SALLYPORT_CLI_H
#define SALLYPORT_CLI_H

#include "sallyport/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json_object;

enum sp_cli_exit { SP_CLI_OK = 0, SP_CLI_FOUND = 1 /* blocked, degraded */, SP_CLI_ERROR = 2 };

/* Options that only some commands take; what was not given is NULL, 0 or false. */
enum sp_cli_option {
    SP_CLI_ACCESS_LOG,
    SP_CLI_ACTION,
    SP_CLI_BLOCKED,
    SP_CLI_BODY,
    SP_CLI_CATEGORY,
    SP_CLI_CLIENT,
    SP_CLI_COLOR,
    SP_CLI_FORCE,
    SP_CLI_HEADER,
    SP_CLI_HOST,
    SP_CLI_HTML,
    SP_CLI_LINES,
    SP_CLI_LISTEN,
    SP_CLI_LOG,
    SP_CLI_NO_WAIT,
    SP_CLI_OUTCOME,
    SP_CLI_RESPONSE,
    SP_CLI_RESPONSE_HEAD,
    SP_CLI_RULE,
    SP_CLI_SINCE,
    SP_CLI_SNI,
    SP_CLI_TOKEN_FILE,
    SP_CLI_UNTIL,
    SP_CLI_USER,
    SP_CLI_OPTION_COUNT
};

struct sp_cli_options {
    const char *config; /* never NULL */
    bool json;
    bool defaults; /* check only */
    const char *values[SP_CLI_OPTION_COUNT]; /* the last one given; "" for those that have no value */
    char **headers;                          /* every SP_CLI_HEADER */
    int n_headers;
    char **args; /* what follows the command */
    int n_args;
};

struct sp_cli_command {
    const char *name;
    const char *args;    /* for the usage line: "FILE..." */
    const char *summary; /* one line */
    const char *help;    /* what it does, exit status, examples */
    bool has_defaults;   /* takes --defaults */
    bool has_args;
    bool may_lack_args;  /* with has_args: they may be left out */
    unsigned takes;      /* bit set of 1u << enum sp_cli_option */
    const char *usage;   /* its own options, for the usage line; or NULL */
    enum sp_cli_exit (*run)(const struct sp_cli_options *options);
};

extern const struct sp_cli_command sp_cli_check, sp_cli_explain, sp_cli_find, sp_cli_metrics, sp_cli_reload, sp_cli_report, sp_cli_rules,
    sp_cli_scan, sp_cli_status, sp_cli_tail;

/* --- output.c: everything from outside is escaped here ------------------------------------------------------------- */

/* One line, escaped as a whole after formatting, and a newline. */
void sp_cli_line(FILE *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "sallyport: error: ..." to stderr. Returns SP_CLI_ERROR. */
enum sp_cli_exit sp_cli_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define SP_CLI_NUMBER_SIZE 32
const char *sp_cli_number(uint64_t number, char out[SP_CLI_NUMBER_SIZE]); /* 1,234,567 */
const char *sp_cli_bytes(uint64_t bytes, const char *unit_one, char out[SP_CLI_NUMBER_SIZE]); /* 1.2 GB; unit_one: what a byte is called */

struct json_object *sp_cli_json_object(void);
struct json_object *sp_cli_json_array(void);
void sp_cli_json_add(struct json_object *object, const char *key, struct json_object *value); /* takes value */
void sp_cli_json_add_text(struct json_object *object, const char *key, const char *text);     /* copied, made UTF-8 */
void sp_cli_json_add_number(struct json_object *object, const char *key, int64_t number);
void sp_cli_json_add_bool(struct json_object *object, const char *key, bool is);
void sp_cli_json_append(struct json_object *array, struct json_object *value); /* takes value */
void sp_cli_json_append_text(struct json_object *array, const char *text);
void sp_cli_json_print(struct json_object *object); /* one line; frees */
/* JSON without control characters below a blank, and a newline. What else a terminal would obey or not show is escaped, so that it
 * means the same. */
void sp_cli_json_line(struct sp_str json);

#endif
