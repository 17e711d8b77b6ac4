/* The table of addresses, and those answers that are short. */
#include "config.h"

#include "api.h"

#include "assets.h"
#include "writer.h"

#include <string.h>

enum sp_status sp_web_api_fault(struct sp_web_reply *reply, unsigned status, const char *text)
{
    struct sp_json json = { .out = &reply->body };
    sp_buf_clear(&reply->body);
    reply->status = status;
    reply->type = SP_WEB_JSON;
    sp_json_open(&json, '{');
    sp_json_add_cstr(&json, "error", text);
    sp_json_close(&json, '}');
    return json.status;
}

static enum sp_status answer_asset(struct sp_web_world *world, const struct sp_web_request *request, struct sp_web_reply *reply)
{
    (void) world;
    const struct sp_web_asset *asset = sp_web_asset_find(request->path);
    if (!asset)
        return sp_web_api_fault(reply, 404, "there is nothing here");
    reply->type = asset->type;
    return sp_buf_add_str(&reply->body, asset->content);
}

static enum sp_status answer_health(struct sp_web_world *world, const struct sp_web_request *request, struct sp_web_reply *reply)
{
    (void) request;
    pthread_mutex_lock(&world->lock);
    bool serves = sp_web_state_serves(&world->state);
    pthread_mutex_unlock(&world->lock);
    reply->status = serves ? 200 : 503;
    reply->type = SP_WEB_TEXT;
    return sp_buf_add_str(&reply->body, serves ? SP_STR("ok\n") : SP_STR("the scanner does not serve\n"));
}

static enum sp_status answer_metrics(struct sp_web_world *world, const struct sp_web_request *request, struct sp_web_reply *reply)
{
    (void) request;
    const struct sp_web_options *options = world->options;
    reply->type = options->metrics_type;
    return options->metrics(options->conf, &reply->body);
}

static const struct sp_web_route routes[] = {
    { "/", false, answer_asset },
    { "/dashboard.css", true, answer_asset },
    { "/dashboard.js", true, answer_asset },
    { "/charts.js", true, answer_asset },
    { "/login", true, answer_asset },
    { "/login.js", true, answer_asset },
    { "/icon.svg", true, answer_asset },
    { "/healthz", true, answer_health },
    { "/metrics", false, answer_metrics },
    { "/api/status", false, sp_web_api_status },
    { "/api/series", false, sp_web_api_series },
    { "/api/top", false, sp_web_api_top },
    { "/api/decisions", false, sp_web_api_decisions },
    { "/api/decision/", false, sp_web_api_decision },
};

const struct sp_web_route *sp_web_route_find(struct sp_str path, struct sp_str *rest_out)
{
    *rest_out = (struct sp_str){ 0 };
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        struct sp_str whole = sp_str_from(routes[i].path);
        if (sp_str_equal(path, whole))
            return &routes[i];
        if (whole.n > 1 && whole.p[whole.n - 1] == '/' && path.n > whole.n && memcmp(path.p, whole.p, whole.n) == 0) {
            *rest_out = (struct sp_str){ path.p + whole.n, path.n - whole.n };
            return &routes[i];
        }
    }
    return NULL;
}
