/* JSON, written piece by piece. Whether a comma is due shows in the last byte written: a value ends with none of "{[:". */
#include "config.h"

#include "writer.h"

#include "sallyport/text.h"

#include <inttypes.h>
#include <string.h>

#define MAX_BMP 0xffffu

static void put(struct sp_json *json, const char *p, size_t n)
{
    if (json->status == SP_OK)
        json->status = sp_buf_add(json->out, p, n);
}

static void put_comma(struct sp_json *json)
{
    const struct sp_buf *out = json->out;
    if (out->n > 0 && strchr("{[:", out->p[out->n - 1]) == NULL)
        put(json, ",", 1);
}

void sp_json_open(struct sp_json *json, char bracket)
{
    put_comma(json);
    put(json, &bracket, 1);
}

void sp_json_close(struct sp_json *json, char bracket)
{
    put(json, &bracket, 1);
}

void sp_json_key(struct sp_json *json, const char *key)
{
    put_comma(json);
    put(json, "\"", 1);
    put(json, key, strlen(key));
    put(json, "\":", 2);
}

/* Controls, quotes, markup, line separators, and invisible marks: of direction, of joining, the byte order mark. */
static bool needs_escape(uint32_t code)
{
    if (code < 0x80)
        return code < 0x20 || code == 0x7f || strchr("\"\\<>&'", (int) code) != NULL;
    return code <= 0x9f || code == 0xad || sp_text_is_mark(code) || (code >= 0xfff0 && code <= MAX_BMP);
}

void sp_json_text(struct sp_json *json, struct sp_str text)
{
    size_t kept = 0, pos = 0, len = 0; /* from kept to pos goes out as it is */
    put_comma(json);
    put(json, "\"", 1);
    for (; pos < text.n; pos += len) {
        uint32_t code = 0;
        len = sp_utf8_next((struct sp_str){ text.p + pos, text.n - pos }, &code);
        if (len > 0 && !needs_escape(code))
            continue;
        if (len == 0) {
            code = 0xfffd;
            len = 1;
        }
        put(json, text.p + kept, pos - kept);
        if (json->status == SP_OK)
            json->status = sp_buf_addf(json->out, "\\u%04x", (unsigned) (code & MAX_BMP));
        kept = pos + len;
    }
    if (pos > kept)
        put(json, text.p + kept, pos - kept);
    put(json, "\"", 1);
}

void sp_json_number(struct sp_json *json, int64_t number)
{
    put_comma(json);
    if (json->status == SP_OK)
        json->status = sp_buf_addf(json->out, "%" PRId64, number);
}

void sp_json_null(struct sp_json *json)
{
    put_comma(json);
    put(json, "null", 4);
}

void sp_json_add_text(struct sp_json *json, const char *key, struct sp_str text)
{
    sp_json_key(json, key);
    sp_json_text(json, text);
}

void sp_json_add_cstr(struct sp_json *json, const char *key, const char *text)
{
    sp_json_add_text(json, key, sp_str_from(text));
}

void sp_json_add_number(struct sp_json *json, const char *key, int64_t number)
{
    sp_json_key(json, key);
    sp_json_number(json, number);
}

void sp_json_add_bool(struct sp_json *json, const char *key, bool is)
{
    sp_json_key(json, key);
    put(json, is ? "true" : "false", is ? 4 : 5);
}
