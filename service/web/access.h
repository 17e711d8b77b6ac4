/* Who may look: the address to listen on, the token, the cookie that a browser gets for it, and the Host field, by which a page of
 * somebody else that was given our address (DNS rebinding) is known. Pure but for reading the token file. */
#ifndef SALLYPORT_WEB_ACCESS_H
#define SALLYPORT_WEB_ACCESS_H

#include "sallyport/digest.h"
#include "sallyport/status.h"
#include "sallyport/str.h"

#include <netinet/in.h>

#define SP_WEB_TOKEN_MIN 16
#define SP_WEB_TOKEN_MAX 256
#define SP_WEB_COOKIE "sallyport"
#define SP_WEB_COOKIE_SIZE (2 * SP_DIGEST_BYTES + 1)

struct sp_web_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } at;
    bool is_v6, is_loopback;
};

/* "127.0.0.1:9301", "[::1]:9301", "localhost:9301", "9301" (on 127.0.0.1). Numbers only: a name could be anywhere. */
enum sp_status sp_web_address_parse(const char *text, struct sp_error *err, struct sp_web_address *out) SP_MUST_CHECK;

struct sp_web_access {
    bool has_token;
    unsigned char token[SP_DIGEST_BYTES]; /* its digest */
    char cookie[SP_WEB_COOKIE_SIZE];      /* made of the token: the same after a restart, and good for this alone */
};

/* The first line of the file, which others than its owner and group must not be able to read. file NULL: no token is asked for. */
enum sp_status sp_web_access_load(const char *file, struct sp_error *err, struct sp_web_access *out) SP_MUST_CHECK;

/* Both take the same time for every text of a length. False without a token. */
bool sp_web_access_token(const struct sp_web_access *access, struct sp_str token);
bool sp_web_access_cookie(const struct sp_web_access *access, struct sp_str cookie_field);

/* The token in an Authorization field: "Bearer TOKEN". Empty: another scheme. */
struct sp_str sp_web_bearer(struct sp_str authorization);

/* Whether a Host field names this machine by a loopback address or "localhost". */
bool sp_web_host_is_loopback(struct sp_str field);

#endif
