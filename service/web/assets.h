/* The files of the dashboard, as they were when this program was built. */
#ifndef SALLYPORT_WEB_ASSETS_H
#define SALLYPORT_WEB_ASSETS_H

#include "sallyport/str.h"

struct sp_web_asset {
    const char *path; /* address */
    const char *type;
    struct sp_str content;
};

/* NULL: there is none of that address. */
const struct sp_web_asset *sp_web_asset_find(struct sp_str path);

#endif
