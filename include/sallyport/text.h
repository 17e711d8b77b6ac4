/* Text of unknown origin made fit for a place: a terminal or log line (escape), a JSON string (clean); and read. Pure functions. */
#ifndef SALLYPORT_TEXT_H
#define SALLYPORT_TEXT_H

#include "sallyport/buf.h"
#include "sallyport/status.h"
#include "sallyport/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the UTF-8 character (RFC 3629) at the start of s: 1 to 4, with its code point; 0 if it is none. s is not empty. */
size_t sp_utf8_next(struct sp_str s, uint32_t *code_out);

/* An invisible mark that turns the reading direction, joins or breaks: it can make a name look like another one. */
bool sp_text_is_mark(uint32_t code);

/* One line that is safe to show: control characters, invisible direction marks and bytes that are not UTF-8 become \n, \t, \r or
 * \xHH. Never cuts an escape or a character; what does not fit is replaced by "...". size >= 8; always terminated. Returns out. */
char *sp_text_escape(struct sp_str s, char *out, size_t size);

/* Appends s as valid UTF-8 without DEL and C1 controls: each offending byte or character becomes U+FFFD. Looks at no more than
 * max bytes of s and marks a cut with U+2026. C0 controls stay: JSON escapes them. */
enum sp_status sp_text_clean(struct sp_str s, size_t max, struct sp_buf *out) SP_MUST_CHECK;

/* The value of a base64 digit, of the ordinary alphabet or the one for URLs (RFC 4648 4, 5): 0 to 63, or -1. */
int sp_base64_digit(char c);

/* The value of a hexadecimal digit, small or capital: 0 to 15, or -1. Any int will do. */
int sp_hex_digit(int c);

#endif
