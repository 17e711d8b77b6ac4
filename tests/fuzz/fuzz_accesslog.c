/* Any bytes as a line of an access.log: its parts lie inside it, columns have no blanks, and the request line made of it reads as
 * one. */
#include "config.h"

#include "fuzz_kit.h"

#include "sallyport/accesslog.h"

#include <string.h>

static void require_column(struct sp_str part)
{
    for (size_t i = 0; i < part.n; i++)
        require(part.p[i] != ' ' && part.p[i] != '\t');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_str line = { (const char *) data, size };
    struct sp_accesslog_line out;
    char user[SP_ACCESSLOG_USER_SIZE];
    enum sp_accesslog_kind kind = sp_accesslog_parse(line, &out);
    require(kind <= SP_ACCESSLOG_UNKNOWN);
    require((kind == SP_ACCESSLOG_REQUEST) == (out.url.n > 0) && (out.url.n > 0) == (out.method.n > 0));
    require(out.seconds >= 0);
    require_inside(out.client, line);
    require_inside(out.method, line);
    require_inside(out.url, line);
    require_inside(out.user, line);
    require_column(out.client);
    require_column(out.method);
    require_column(out.url);
    struct sp_str name = sp_accesslog_user(out.user, user);
    require(name.n <= out.user.n && name.n <= sizeof(user));
    name = sp_accesslog_user(line, user);
    require(name.n <= size && name.n <= sizeof(user));
    return 0;
}
