/* What each address answers. A handler reads the world under its lock and fills the body; it knows nothing of HTTP but the status.
 * Any thread. */
#ifndef SALLYPORT_WEB_API_H
#define SALLYPORT_WEB_API_H

#include "query.h"
#include "world.h"

#include "sallyport/buf.h"

#define SP_WEB_BODY_MAX (4u * 1024 * 1024)

struct sp_web_request {
    struct sp_str path; /* decoded */
    struct sp_str rest; /* of the path, behind the route's */
    const struct sp_web_arg *args;
    size_t n_args;
};

struct sp_web_reply {
    unsigned status;
    const char *type;   /* of the body; static, or of the options */
    struct sp_buf body; /* the caller's to free */
};

#define SP_WEB_JSON "application/json; charset=utf-8"
#define SP_WEB_TEXT "text/plain; charset=utf-8"

/* SP_ERR_NOMEM or SP_ERR_LIMIT: the body is not complete, there is no answer. */
typedef enum sp_status (*sp_web_handler_fn)(struct sp_web_world *world, const struct sp_web_request *request, struct sp_web_reply *reply);

struct sp_web_route {
    const char *path; /* one that ends with "/" and is longer than that stands for all below it */
    bool is_open;     /* answers without a token: holds nothing about the site */
    sp_web_handler_fn answer;
};

/* NULL: there is no such address. *rest_out: what stands behind a route that ends with "/". */
const struct sp_web_route *sp_web_route_find(struct sp_str path, struct sp_str *rest_out);

/* {"error": text} with that status. */
enum sp_status sp_web_api_fault(struct sp_web_reply *reply, unsigned status, const char *text);

enum sp_status sp_web_api_status(struct sp_web_world *world, const struct sp_web_request *request, struct sp_web_reply *reply);
enum sp_status sp_web_api_series(struct sp_web_world *world, const struct sp_web_request *request, struct sp_web_reply *reply);
enum sp_status sp_web_api_decisions(struct sp_web_world *world, const struct sp_web_request *request, struct sp_web_reply *reply);
enum sp_status sp_web_api_decision(struct sp_web_world *world, const struct sp_web_request *request, struct sp_web_reply *reply);
enum sp_status sp_web_api_top(struct sp_web_world *world, const struct sp_web_request *request, struct sp_web_reply *reply);

#endif
