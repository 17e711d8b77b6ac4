/* Between c-icap's request and the core's transaction: heads in, replies and edits out. Only service/icap uses it. */
#ifndef SALLYPORT_ICAP_BRIDGE_H
#define SALLYPORT_ICAP_BRIDGE_H

#include <c_icap/c-icap.h>
#include <c_icap/service.h>
#include <c_icap/request.h>

#include "sallyport/inspect.h"

/* One ICAP transaction: what ci_service_data(req) points to. */
struct bridge {
    unsigned magic;
    ci_request_t *req; /* owned by c-icap, outlives this */
    struct sp_txn *txn;
    struct sp_message request, response; /* views on c-icap's heads, valid until the reply's head is made; then on kept */
    struct bridge_copy {
        char **lines; /* owned, with all that they point to; NULL if there is no copy */
    } kept_request, kept_response;
    bool is_replied;  /* the reply has begun: page or edits are in place */
    bool is_complete; /* all of the body has arrived */
};

/* NULL without memory; else the caller's reference to gate is taken, and NULL. */
struct bridge *bridge_new(struct sp_gate **gate, ci_request_t *req);
void bridge_free(struct bridge *b); /* accepts NULL */

/* Checks that p is one of ours; a stale or foreign pointer ends the process (our bug). NULL passes. */
struct bridge *bridge_of(void *p);

/* Builds the views and asks the core about the head. */
enum sp_step bridge_head(struct bridge *b);

/* Carries out a decision on c-icap's request: the page's head instead of the encapsulated one, or the edits. After TRICKLE the
 * views stay valid. Once only, and before the reply's head is sent. False if there was no memory: the transaction must fail. */
bool bridge_reply(struct bridge *b, enum sp_step step);

#endif
