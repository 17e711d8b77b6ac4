/* What a request asks for: the decoded name=value pairs of its query, read into a filter of decisions. Whoever sends something else
 * than what is meant gets an error, not a guess. Pure. */
#ifndef SALLYPORT_WEB_QUERY_H
#define SALLYPORT_WEB_QUERY_H

#include "recent.h"

#include "sallyport/declog.h"
#include "sallyport/outcome.h"

#include <stdint.h>

#define SP_WEB_ARGS_MAX 16
#define SP_WEB_VALUE_MAX 256 /* bytes */
#define SP_WEB_LIMIT_MAX 500

struct sp_web_arg {
    struct sp_str name, value; /* decoded; may hold any bytes */
};

struct sp_web_filter {
    struct sp_str text;                           /* anywhere in id, address, client, user, rule, signature, reason */
    struct sp_str host, client, user, rule;       /* a part of that field; rule also of the category */
    /* What stands for client and user in a log with pseudonyms; or empty. */
    char client_hashed[SP_DECLOG_PSEUDONYM_SIZE], user_hashed[SP_DECLOG_PSEUDONYM_SIZE];
    enum sp_outcome outcome;                      /* SP_OUTCOME_COUNT: any */
    enum sp_action action;
    bool has_action;
    bool is_notable; /* neither clean nor none */
    uint64_t before; /* only entries with a smaller number; 0: any */
    unsigned limit;
};

/* Fills the filter; what is in it points into args. False, and what is wrong (static): a name that is not known, or twice, a value
 * out of range or too long. An empty value is as if it were not there. */
bool sp_web_filter_parse(const struct sp_web_arg *args, size_t n_args, struct sp_web_filter *out, const char **fault_out);

/* For a log with that log.hash_key: client and user are found by their names too, if these are whole. */
void sp_web_filter_hash(struct sp_web_filter *filter, const char *hash_key);

bool sp_web_filter_takes(const struct sp_web_filter *filter, const struct sp_web_entry *entry);

/* Digits only, at most max. */
bool sp_web_number(struct sp_str text, uint64_t max, uint64_t *out);

#endif
