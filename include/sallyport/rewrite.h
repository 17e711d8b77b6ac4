/* What a head must lose so that scanning stays honest. Pure functions on a view of the head: no memory is taken, nothing is
 * kept, the head is read once.
 *
 * Request: codings that decode.h cannot undo leave Accept-Encoding (RFC 9110 12.5.3), and with them what offers to use such codings:
 * the dictionaries of RFC 9842 and the delta encodings of RFC 3229. Range and If-Range go unless an exception holds, because an
 * object that is fetched in pieces is never seen whole (RFC 9110 14). Response: offers to leave for another protocol
 * (Alt-Svc, RFC 7838), if so configured. A DNS record that says the same (HTTPS, RFC 9460) cannot be seen here. */
#ifndef SALLYPORT_REWRITE_H
#define SALLYPORT_REWRITE_H

#include "sallyport/conf.h"
#include "sallyport/message.h"

#define SP_REWRITE_REMOVE_MAX 8 /* no head ever needs more */
#define SP_REWRITE_ADD_SIZE 256

struct sp_rewrite {
    const char *remove[SP_REWRITE_REMOVE_MAX]; /* names, constant for ever; each at most once; all fields of that name go */
    size_t n_remove;
    bool has_add;
    char add[SP_REWRITE_ADD_SIZE]; /* one complete field line without a line end, valid if has_add; its old form is in remove */
};

/* Both write all of *out but what n_remove and has_add say is unused. Nothing set: the head stays as it is, which is what an
 * ordinary browser's request gets. The message may be NULL. sni is the name that TLS asked for, or empty: an exception by host must cover
 * that name too, because inside TLS the host is only what the client wrote. */
void sp_rewrite_request(const struct sp_conf *conf, const struct sp_message *request, struct sp_str sni, struct sp_rewrite *out);
void sp_rewrite_response(const struct sp_conf *conf, const struct sp_message *response, struct sp_rewrite *out);

#endif
