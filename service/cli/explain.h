/* For cmd_explain.c, cmd_rules.c and explain_*.c only.
 *
 *   explain_input.c  arguments, files and standard input to heads as Squid would send them
 *   explain_judge.c  one head through inspect.h and policy.h to an answer
 *   explain_show.c   an answer, and a rule, as text and as JSON
 *   explain_log.c    an access.log, line by line */
#ifndef SALLYPORT_CLI_EXPLAIN_H
#define SALLYPORT_CLI_EXPLAIN_H

#include "cli.h"

#include "sallyport/inspect.h"
#include "sallyport/message_parse.h"

/* --- explain_input.c --------------------------------------------------------------------------------------------------- */

/* What is to be explained. */
struct sp_explain_input {
    struct sp_head *request;                    /* owned; NULL if only a response was given */
    struct sp_head *response;                   /* owned; NULL if none was given */
    bool is_request_broken, is_response_broken; /* more fields than the proxy looks at, so there is no head */
    struct sp_str client, user, sni;            /* borrowed from the options */
    /* The body of the last message, as it goes over the wire: these bytes, and then what body_fd gives. */
    struct sp_buf text; /* owned: bytes that were read */
    struct sp_str body; /* part of it */
    int body_fd;        /* owned unless it is standard input; -1: none */
    bool has_body;
};

/* Reads all that the options name. False: told on stderr. Fini in any case. */
bool sp_explain_read(const struct sp_cli_options *options, struct sp_explain_input *in);
void sp_explain_fini(struct sp_explain_input *in);

/* --- explain_judge.c ----------------------------------------------------------------------------------------------------- */

#define SP_EXPLAIN_REASON_SIZE 256
#define SP_EXPLAIN_TYPE_SIZE 64

/* What the proxy does with one message. Rules and exceptions are borrowed from the gate. */
struct sp_explain_answer {
    enum sp_stage stage;
    const struct sp_message *request;  /* borrowed from the input; NULL if there is none */
    const struct sp_message *response; /* likewise */
    enum sp_outcome outcome;
    enum sp_action action; /* as decided; in monitor mode a head that policy blocks passes all the same */
    char reason[SP_EXPLAIN_REASON_SIZE];
    const struct sp_rule *rule;           /* NULL: none matched */
    const struct sp_exception *exception; /* that passed a rule over, or NULL */
    const struct sp_rule *excepted;       /* that rule */
    struct sp_buf conditions;             /* of rule, a line each */
    struct sp_buf excepted_conditions;
    bool is_refused;                      /* the client would not get what it asked for */
    bool is_monitored;                    /* it would, and only because of monitor mode */
    bool is_marked;                       /* a CONNECT that is refused by Squid's page inside TLS (connect_page) */
    bool is_limited;                      /* a pattern gave up */
    bool needs_body;                      /* none was given, and it could change the answer */
    bool strips_own;                      /* X-Sallyport- fields are dropped */
    bool is_unknown;                      /* the scanner did not answer, so nothing is known about the body */
    char page_type[SP_EXPLAIN_TYPE_SIZE]; /* of the refusal; "" if there is no page */
    size_t page_bytes;
};

/* Judges the request or the response of in. Only the last message has the body. False: told on stderr. Fini in any case. */
bool sp_explain_judge(struct sp_gate *gate, struct sp_explain_input *in, enum sp_direction direction, struct sp_explain_answer *out);
void sp_explain_answer_fini(struct sp_explain_answer *answer);

bool sp_explain_is_monitor(const struct sp_conf *conf);

/* --- explain_show.c ------------------------------------------------------------------------------------------------------ */

const char *sp_explain_stage_name(enum sp_stage stage);

void sp_explain_print(const struct sp_gate *gate, const struct sp_explain_answer *answer);
struct json_object *sp_explain_json(const struct sp_gate *gate, const struct sp_explain_answer *answer);

/* All about a rule; its conditions are a line each. */
void sp_explain_print_rule(const struct sp_rule *rule, const struct sp_buf *conditions);
struct json_object *sp_explain_rule_json(const struct sp_rule *rule); /* without its conditions */

/* --- explain_log.c ------------------------------------------------------------------------------------------------------- */

enum sp_cli_exit sp_explain_log(const struct sp_cli_options *options, struct sp_gate *gate, const char *path);

#endif
