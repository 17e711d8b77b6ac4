/* The order matters: nothing is told to whom has no token, not even whether an address exists. */
#include "config.h"

#include "gatekeep.h"

static struct sp_web_ruling refuse(unsigned status, const char *text)
{
    return (struct sp_web_ruling){ .verdict = SP_WEB_REFUSE, .status = status, .text = text };
}

/* Browsers say where a request comes from. A page of somebody else may lead here, but not use the API behind a person's back. */
static bool is_cross_site(const struct sp_web_head *head)
{
    return head->fetch_site.n > 0 && !sp_str_equal(head->fetch_site, SP_STR("same-origin")) &&
        !sp_str_equal(head->fetch_site, SP_STR("none"));
}

static struct sp_web_ruling judge_stranger(const struct sp_web_head *head, const struct sp_web_access *access, bool is_page)
{
    if (is_page && sp_web_access_token(access, head->token))
        return (struct sp_web_ruling){ .verdict = SP_WEB_LET_IN, .status = 303 };
    if (is_page)
        return (struct sp_web_ruling){ .verdict = SP_WEB_LOGIN, .status = 401 };
    return refuse(401, "a token is needed: Authorization: Bearer TOKEN");
}

static struct sp_web_ruling judge_login(const struct sp_web_head *head, const struct sp_web_access *access)
{
    if (!access->has_token)
        return (struct sp_web_ruling){ .verdict = SP_WEB_LET_IN, .status = 303 };
    if (head->authorization.n == 0)
        return (struct sp_web_ruling){ .verdict = SP_WEB_LOGIN, .status = 200 };
    if (is_cross_site(head) || !sp_web_access_token(access, sp_web_bearer(head->authorization)))
        return refuse(401, "this is not the token");
    return (struct sp_web_ruling){ .verdict = SP_WEB_LET_IN_QUIETLY, .status = 204 };
}

struct sp_web_ruling sp_web_judge(const struct sp_web_head *head, const struct sp_web_access *access, bool checks_host)
{
    const bool is_page = sp_str_equal(head->path, SP_STR("/"));
    if (!sp_str_equal(head->method, SP_STR("GET")) && !sp_str_equal(head->method, SP_STR("HEAD")))
        return refuse(405, "only GET and HEAD");
    if (head->has_body)
        return refuse(413, "no body is taken");
    if (head->is_too_long)
        return refuse(414, "the address is too long");
    if (checks_host && head->host.n > 0 && !sp_web_host_is_loopback(head->host))
        return refuse(421, "this server is 127.0.0.1; under other names it asks for a token (--token-file)");
    if (sp_str_equal(head->path, SP_STR("/login")))
        return judge_login(head, access);
    struct sp_web_ruling ruling = { .verdict = SP_WEB_ANSWER };
    ruling.route = sp_web_route_find(head->path, &ruling.rest);
    if (ruling.route && ruling.route->is_open)
        return ruling;
    if (is_cross_site(head) && !is_page)
        return refuse(403, "not for other sites");
    bool is_known = !access->has_token || sp_web_access_cookie(access, head->cookie) ||
        sp_web_access_token(access, sp_web_bearer(head->authorization));
    if (!is_known)
        return judge_stranger(head, access, is_page);
    if (is_page && head->token.n > 0) /* known already: out of the address bar with it */
        return (struct sp_web_ruling){ .verdict = SP_WEB_LET_IN, .status = 303 };
    return ruling.route ? ruling : refuse(404, "there is nothing here");
}
