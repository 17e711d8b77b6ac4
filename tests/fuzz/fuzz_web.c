/* Any bytes as what the dashboard's server reads: fields of a request (Host, Cookie, Authorization), values of its query, an address to
 * take the host from, a line of the log; and as text for its JSON, which must come out as one string of harmless ASCII and UTF-8. */
#include "config.h"

#include "fuzz_kit.h"

#include "web/access.h"
#include "web/host.h"
#include "web/writer.h"
#include "web/query.h"

#include "sallyport/text.h"

#include <stdlib.h>
#include <string.h>

static void try_json(struct sp_str text)
{
    struct sp_buf out;
    sp_buf_init(&out, 8 * text.n + 16);
    struct sp_json json = { .out = &out };
    sp_json_text(&json, text);
    require(json.status == SP_OK && out.n >= 2 && out.p[0] == '"' && out.p[out.n - 1] == '"');
    for (size_t i = 1, n = 0; i + 1 < out.n; i += n) {
        uint32_t code;
        n = sp_utf8_next((struct sp_str){ out.p + i, out.n - i }, &code);
        require(n > 0 && code >= 0x20 && (code > 0x7f || strchr("\"<>&'\x7f", (int) code) == NULL));
        require(code != '\\' || (out.n - i > 6 && out.p[i + 1] == 'u'));
    }
    sp_buf_fini(&out);
}

static void try_filter(struct sp_str name, struct sp_str value)
{
    static const char *const names[] = { "q", "host", "client", "user", "rule", "outcome", "action", "limit", "before" };
    static const char line[] = "{\"id\":\"a\",\"client\":\"10.0.0.1\",\"url\":\"http:\\/\\/\\u0061.example\\/\",\"outcome\":\"rule\","
                               "\"action\":\"block\",\"rule\":\"r\"}";
    struct sp_web_filter filter;
    const char *fault;
    struct sp_web_entry *entry = sp_web_entry_new(SP_STR(line));
    require(entry && sp_str_equal(entry->host, SP_STR("a.example")));
    for (size_t i = 0; i <= sizeof(names) / sizeof(names[0]); i++) {
        struct sp_web_arg args[2] = { { i == 0 ? name : sp_str_from(names[i - 1]), value }, { SP_STR("user"), SP_STR("") } };
        bool is_good = sp_web_filter_parse(args, 2, &filter, &fault);
        require(is_good == (fault == NULL));
        if (!is_good)
            continue;
        require(filter.limit >= 1 && filter.limit <= SP_WEB_LIMIT_MAX);
        sp_web_filter_takes(&filter, entry);
    }
    free(entry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sp_web_access access = {
        .has_token = true, .cookie = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    };
    struct sp_str text = { (const char *) data, size };
    struct sp_web_address address;
    const uint8_t *cut = memchr(data, '=', size);
    size_t n = cut ? (size_t) (cut - data) : size;

    require_inside(sp_web_host(text), text);
    require_inside(sp_web_bearer(text), text);
    require(!sp_web_access_token(&access, text));
    sp_web_access_cookie(&access, text);
    if (sp_web_host_is_loopback(text))
        require(size < 64 && (memmem(data, size, "127.", 4) || memmem(data, size, ":", 1) || size >= 9));
    char *line = strndup(text.p ? text.p : "", size);
    if (line && sp_web_address_parse(line, NULL, &address) == SP_OK)
        require(address.at.any.sa_family == AF_INET || address.at.any.sa_family == AF_INET6);
    free(line);
    try_json(text);
    try_filter((struct sp_str){ text.p, n }, cut ? (struct sp_str){ text.p + n + 1, size - n - 1 } : text);
    struct sp_web_entry *entry = sp_web_entry_new(text);
    if (entry) {
        require(entry->host.n <= 253);
        require_inside(entry->d.url, entry->line);
    }
    free(entry);
    return 0;
}
