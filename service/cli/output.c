/* Output of the command line: file names, signatures and URLs are hostile, terminals obey control bytes, JSON wants UTF-8. */
#include "config.h"

#include "cli.h"

#include "sallyport/text.h"

#include <inttypes.h>
#include <json-c/json_object.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_BYTES 20480 /* the longest path, every byte escaped */
#define JSON_TEXT_MAX 65536

static void *need(void *p)
{
    if (p)
        return p;
    fputs("sallyport: error: out of memory\n", stderr);
    exit(SP_CLI_ERROR);
}

static void print_line(FILE *out, const char *prefix, const char *fmt, va_list ap)
{
    char text[LINE_BYTES], shown[LINE_BYTES];
    if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
        text[0] = '\0';
    fprintf(out, "%s%s\n", prefix, sp_text_escape(sp_str_from(text), shown, sizeof(shown)));
}

void sp_cli_line(FILE *out, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print_line(out, "", fmt, ap);
    va_end(ap);
}

enum sp_cli_exit sp_cli_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print_line(stderr, "sallyport: error: ", fmt, ap);
    va_end(ap);
    return SP_CLI_ERROR;
}

const char *sp_cli_number(uint64_t number, char out[SP_CLI_NUMBER_SIZE])
{
    char digits[SP_CLI_NUMBER_SIZE];
    const int n = snprintf(digits, sizeof(digits), "%" PRIu64, number);
    int to = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            out[to++] = ',';
        out[to++] = digits[i];
    }
    out[to] = '\0';
    return out;
}

const char *sp_cli_bytes(uint64_t bytes, const char *unit_one, char out[SP_CLI_NUMBER_SIZE])
{
    const char *const units[] = { unit_one, "kB", "MB", "GB", "TB", "PB", "EB" };
    double value = (double) bytes;
    unsigned unit = 0;
    for (; value >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        value /= 1000;
    snprintf(out, SP_CLI_NUMBER_SIZE, value < 9.95 && unit > 0 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}

struct json_object *sp_cli_json_object(void)
{
    return need(json_object_new_object());
}

struct json_object *sp_cli_json_array(void)
{
    return need(json_object_new_array());
}

static struct json_object *json_text(const char *text)
{
    struct sp_buf clean;
    sp_buf_init(&clean, 4 * JSON_TEXT_MAX);
    if (sp_text_clean(sp_str_from(text), JSON_TEXT_MAX, &clean) != SP_OK)
        need(NULL);
    struct json_object *value = need(json_object_new_string_len(clean.p ? clean.p : "", (int) clean.n));
    sp_buf_fini(&clean);
    return value;
}

void sp_cli_json_add(struct json_object *object, const char *key, struct json_object *value)
{
    if (json_object_object_add(object, key, value) < 0)
        need(NULL);
}

void sp_cli_json_add_text(struct json_object *object, const char *key, const char *text)
{
    sp_cli_json_add(object, key, json_text(text));
}

void sp_cli_json_add_number(struct json_object *object, const char *key, int64_t number)
{
    sp_cli_json_add(object, key, need(json_object_new_int64(number)));
}

void sp_cli_json_add_bool(struct json_object *object, const char *key, bool is)
{
    sp_cli_json_add(object, key, need(json_object_new_boolean(is)));
}

void sp_cli_json_append(struct json_object *array, struct json_object *value)
{
    if (json_object_array_add(array, value) < 0)
        need(NULL);
}

void sp_cli_json_append_text(struct json_object *array, const char *text)
{
    sp_cli_json_append(array, json_text(text));
}

void sp_cli_json_line(struct sp_str json)
{
    for (size_t plain = 0; json.n > 0; plain = 0) {
        while (plain < json.n && (unsigned char) json.p[plain] < 0x7f)
            plain++;
        fwrite(json.p, 1, plain, stdout);
        json.p += plain;
        json.n -= plain;
        if (json.n == 0)
            break;
        char shown[16];
        uint32_t code = 0xfffd;
        const size_t n = sp_utf8_next(json, &code), taken = n > 0 ? n : 1;
        sp_text_escape((struct sp_str){ json.p, taken }, shown, sizeof(shown));
        if (shown[0] != '\\')
            fwrite(json.p, 1, n, stdout);
        else
            printf("\\u%04x", code & 0xffff); /* nothing that is escaped has more digits */
        json.p += taken;
        json.n -= taken;
    }
    putchar('\n');
}

void sp_cli_json_print(struct json_object *object)
{
    sp_cli_json_line(sp_str_from(
        need((void *) (uintptr_t) json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE))));
    json_object_put(object);
}
