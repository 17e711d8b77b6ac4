/* Any bytes as a line of the decision log: its fields lie inside it, text made of them is UTF-8 and no longer than it can be, and a
 * line that was taken is no longer one when its last bracket is gone. */
#include "config.h"

#include "fuzz_kit.h"

#include "sallyport/decline.h"
#include "sallyport/text.h"

#include <string.h>

static void require_text(struct sp_str raw, struct sp_str line)
{
    require(raw.n == 0 || (raw.p > line.p && raw.p + raw.n < line.p + line.n && raw.p[-1] == '"' && raw.p[raw.n] == '"'));
    struct sp_buf text;
    sp_buf_init(&text, 3 * raw.n + 1);
    require(sp_decline_text(raw, &text) == SP_OK);
    struct sp_str rest = { text.p, text.n };
    for (size_t i = 0; rest.n > 0; i++) {
        uint32_t code;
        size_t n = sp_utf8_next(rest, &code);
        require(n > 0);
        if (i < 3) /* what begins at one of its characters is in it */
            require(sp_decline_contains(raw, rest));
        rest.p += n;
        rest.n -= n;
        if (i < 3)
            require(sp_decline_contains(raw, (struct sp_str){ text.p, text.n - rest.n }));
    }
    sp_buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_str line = { (const char *) data, size };
    struct sp_decline d, again;
    enum sp_status status = sp_decline_parse(line, &d);
    require(status == SP_OK || status == SP_ERR_SYNTAX);
    const struct sp_str texts[] = { d.id, d.client, d.user, d.direction, d.method, d.url, d.reason, d.rule, d.category, d.excepted,
        d.signature, d.encoding };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        require_text(texts[i], line);
    require(d.outcome <= SP_OUTCOME_COUNT && (!d.has_action || d.action <= SP_ACTION_NONE));
    require(d.wall_us >= 0 && d.total_us >= 0 && d.scan_us >= 0 && d.bytes <= INT64_MAX);
    size_t n = size;
    while (n > 0 && data[n - 1] == ' ')
        n--;
    if (status == SP_OK)
        require(sp_decline_parse((struct sp_str){ line.p, n - 1 }, &again) == SP_ERR_SYNTAX);
    struct sp_buf text; /* as text by itself, which no parser has looked at */
    sp_buf_init(&text, 3 * size + 1);
    require(sp_decline_text(line, &text) == SP_OK);
    (void) sp_decline_contains(line, (struct sp_str){ line.p, size < 3 ? size : 3 });
    sp_buf_fini(&text);
    return 0;
}
