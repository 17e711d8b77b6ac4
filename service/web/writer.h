/* Writes JSON into a buffer, comma by comma. Text is of unknown origin: what is not UTF-8 becomes U+FFFD, and what could mean
 * something to HTML, a terminal or a reader's eye (markup, controls, marks that turn text around) is written as \u escapes. The first
 * failure makes the rest do nothing. */
#ifndef SALLYPORT_WEB_WRITER_H
#define SALLYPORT_WEB_WRITER_H

#include "sallyport/buf.h"

#include <stdint.h>

struct sp_json {
    struct sp_buf *out; /* borrowed */
    enum sp_status status;
};

void sp_json_open(struct sp_json *json, char bracket);  /* '{' or '[' */
void sp_json_close(struct sp_json *json, char bracket); /* '}' or ']' */
void sp_json_key(struct sp_json *json, const char *key); /* a literal; its value follows */

void sp_json_text(struct sp_json *json, struct sp_str text);
void sp_json_number(struct sp_json *json, int64_t number);
void sp_json_null(struct sp_json *json);

/* A key and its value. */
void sp_json_add_text(struct sp_json *json, const char *key, struct sp_str text);
void sp_json_add_cstr(struct sp_json *json, const char *key, const char *text);
void sp_json_add_number(struct sp_json *json, const char *key, int64_t number);
void sp_json_add_bool(struct sp_json *json, const char *key, bool is);

#endif
