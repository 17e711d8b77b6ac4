/* One decision of the log for a person: which ones are wanted (logfilter.c), and how they look (logview.c). Everything in a line
 * comes from clients and servers, so nothing of it reaches a terminal unescaped. */
#ifndef SALLYPORT_CLI_LOGVIEW_H
#define SALLYPORT_CLI_LOGVIEW_H

#include "cli.h"

#include "sallyport/conf.h"
#include "sallyport/decline.h"
#include "sallyport/netaddr.h"

/* --- logfilter.c ------------------------------------------------------------------------------------------------------- */

/* Where decisions are logged: by --log, or by the configuration. *conf_out may be NULL with --log. False: told on stderr. */
bool sp_log_find(const struct sp_cli_options *options, struct sp_conf **conf_out, const char **path_out);

/* Whether clients and users in the log are pseudonyms, as far as the configuration tells. */
bool sp_log_is_hashed(const struct sp_cli_options *options, const struct sp_conf *conf);
#define SP_LOG_HASHED "Clients and users are pseudonyms: log.hash_key is set."

#define SP_LOG_FILTER_OPTIONS \
    (1u << SP_CLI_ACTION | 1u << SP_CLI_BLOCKED | 1u << SP_CLI_CLIENT | 1u << SP_CLI_HOST | 1u << SP_CLI_LOG | 1u << SP_CLI_OUTCOME | \
        1u << SP_CLI_RULE | 1u << SP_CLI_USER)
#define SP_LOG_FILTER_HELP \
    "which decisions:\n" \
    "      --outcome NAME    of this outcome, or of these: infected,limit\n" \
    "      --action NAME     allow, report, block; or several: report,block\n" \
    "      --blocked         refused: the same as --action block\n" \
    "      --host NAME       of this host and all below it, or of this address\n" \
    "      --client ADDRESS  of this client or network: 10.1.2.3, 10.1.0.0/16\n" \
    "      --user NAME       of this user\n" \
    "      --rule ID         of this rule\n" \
    "      --log FILE        in this log, and not the one that the configuration names\n"

struct sp_log_filter {
    unsigned outcomes, actions; /* bit sets; 0: all */
    struct sp_host host;
    bool has_host, has_network;
    struct sp_network network;
    struct sp_str client, user, rule; /* empty: all; borrowed from the options or from hashed_ */
    char hashed_client[32], hashed_user[32];
};

/* False: told on stderr. conf may be NULL. */
bool sp_log_filter_init(const struct sp_cli_options *options, const struct sp_conf *conf, struct sp_log_filter *out);
bool sp_log_filter_takes(const struct sp_log_filter *filter, const struct sp_decline *line);

/* The host in a raw URL, or in the "host:port" of a CONNECT; borrowed from it, still escaped, without port. */
struct sp_str sp_log_host(struct sp_str raw_url);

/* --- logview.c --------------------------------------------------------------------------------------------------------- */

/* "2026-11-22 14:26:39" in the time of this machine. */
#define SP_LOG_TIME_SIZE 32
const char *sp_log_time(int64_t wall_us, char out[SP_LOG_TIME_SIZE]);

/* --color=auto|always|never, NO_COLOR and what stdout is. False: told on stderr. */
bool sp_log_color(const struct sp_cli_options *options, bool *color_out);

void sp_log_print_line(const struct sp_decline *line, bool is_colored);
void sp_log_print_all(const struct sp_decline *line, bool is_colored);

#endif
