/* The Makefile turns each file into numbers; nothing is read from the disk when the server runs. */
#include "config.h"

#include "assets.h"

static const unsigned char dashboard_html[] = {
#include "service/web/dashboard.html.inc"
};
static const unsigned char dashboard_css[] = {
#include "service/web/dashboard.css.inc"
};
static const unsigned char dashboard_js[] = {
#include "service/web/dashboard.js.inc"
};
static const unsigned char charts_js[] = {
#include "service/web/charts.js.inc"
};
static const unsigned char login_html[] = {
#include "service/web/login.html.inc"
};
static const unsigned char login_js[] = {
#include "service/web/login.js.inc"
};
static const unsigned char icon_svg[] = {
#include "service/web/icon.svg.inc"
};

#define BYTES(name) { (const char *) (name), sizeof(name) }
#define JAVASCRIPT "text/javascript; charset=utf-8"
#define HTML "text/html; charset=utf-8"

static const struct sp_web_asset assets[] = {
    { "/", HTML, BYTES(dashboard_html) },
    { "/dashboard.css", "text/css; charset=utf-8", BYTES(dashboard_css) },
    { "/dashboard.js", JAVASCRIPT, BYTES(dashboard_js) },
    { "/charts.js", JAVASCRIPT, BYTES(charts_js) },
    { "/login", HTML, BYTES(login_html) },
    { "/login.js", JAVASCRIPT, BYTES(login_js) },
    { "/icon.svg", "image/svg+xml", BYTES(icon_svg) },
};

const struct sp_web_asset *sp_web_asset_find(struct sp_str path)
{
    for (size_t i = 0; i < sizeof(assets) / sizeof(assets[0]); i++)
        if (sp_str_equal(path, sp_str_from(assets[i].path)))
            return &assets[i];
    return NULL;
}
