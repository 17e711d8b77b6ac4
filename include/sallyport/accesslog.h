/* One line of Squid's native access.log ("logformat squid") taken apart:
 *
 *   time elapsed client result/status bytes method URL user hierarchy/peer type
 *
 * Users of the proxy wrote the method, the URL and the user name, so nothing of a line is trusted and nothing in it is refused
 * for its bytes. Pure functions; all parts are borrowed from the line. */
#ifndef SALLYPORT_ACCESSLOG_H
#define SALLYPORT_ACCESSLOG_H

#include "sallyport/str.h"

#include <stdint.h>

#define SP_ACCESSLOG_USER_SIZE 1024

enum sp_accesslog_kind {
    SP_ACCESSLOG_REQUEST,   /* a request; all parts are set */
    SP_ACCESSLOG_CHALLENGE, /* Squid asked for a password (407) before the gate saw anything; the request comes again */
    SP_ACCESSLOG_NOTHING,   /* no HTTP request came of it: a connection without one, a broken one, ICP */
    SP_ACCESSLOG_QUOTED,    /* the common or combined form of web servers */
    SP_ACCESSLOG_UNKNOWN    /* any other */
};

struct sp_accesslog_line {
    int64_t seconds;      /* since 1970 */
    struct sp_str client; /* empty for "-" */
    struct sp_str method;
    struct sp_str url;  /* "host:port" of a CONNECT */
    struct sp_str user; /* as it is written; empty for "-" */
};

/* The line is without its line end. *out is zeroed unless the result is REQUEST. */
enum sp_accesslog_kind sp_accesslog_parse(struct sp_str line, struct sp_accesslog_line *out);

/* The name behind Squid's quoting ("%XX", and a backslash before r, n or itself) in out. A name that does not fit is cut. */
struct sp_str sp_accesslog_user(struct sp_str user, char out[SP_ACCESSLOG_USER_SIZE]);

#endif
