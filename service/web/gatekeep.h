/* Whether a request is answered, and as what, before anybody looks at what it asks for: method, Host, cross-site requests, the token.
 * Pure: it gets what the request said and says what to do. */
#ifndef SALLYPORT_WEB_GATEKEEP_H
#define SALLYPORT_WEB_GATEKEEP_H

#include "access.h"
#include "api.h"

struct sp_web_head { /* borrowed; what was not sent is empty */
    struct sp_str method, path, host, authorization, cookie, fetch_site;
    struct sp_str token; /* of the query */
    bool has_body, is_too_long;
};

enum sp_web_verdict {
    SP_WEB_ANSWER,   /* ask the route */
    SP_WEB_REFUSE,   /* status and text */
    SP_WEB_LOGIN,    /* the login page, with status */
    SP_WEB_LET_IN,   /* 303 to "/", with the cookie */
    SP_WEB_LET_IN_QUIETLY /* 204, with the cookie */
};

struct sp_web_ruling {
    enum sp_web_verdict verdict;
    const struct sp_web_route *route; /* of SP_WEB_ANSWER */
    struct sp_str rest;
    unsigned status;
    const char *text; /* static */
};

/* checks_host: nothing but the Host field keeps strangers' pages out, for we listen on loopback and ask for no token. */
struct sp_web_ruling sp_web_judge(const struct sp_web_head *head, const struct sp_web_access *access, bool checks_host);

#endif
