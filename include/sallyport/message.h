/* A read-only view of one HTTP head (RFC 9110, RFC 9112): start line and fields. It borrows all bytes from
 * whoever built it, so it lives no longer than they do. No thread may change it after it was built.
 *
 * Built either from lines (c-icap has them split already) or from raw bytes (message_parse.h). Nothing is
 * refused because it is odd: an attacker's head must still be matched. What cannot be told apart stays
 * empty. Only the field cap is an error, so that a head cannot hide a field behind thousands of others. */
#ifndef SALLYPORT_MESSAGE_H
#define SALLYPORT_MESSAGE_H

#include "sallyport/status.h"
#include "sallyport/str.h"

#include <stddef.h>

#define SP_MESSAGE_MAX_FIELDS 4096 /* more is SP_ERR_LIMIT */

enum sp_message_kind { SP_MESSAGE_REQUEST, SP_MESSAGE_RESPONSE };

struct sp_field {
    struct sp_str name;  /* without blanks around it, even before the colon */
    struct sp_str value; /* without blanks around it; a folded value keeps its inner line ends */
};

struct sp_message {
    enum sp_message_kind kind;
    struct sp_str start_line;
    struct sp_str version; /* "HTTP/1.1" */
    /* request only */
    struct sp_str method;
    struct sp_str target;    /* as it came: "http://h:p/path?q", "/path?q", "h:p", "*" */
    struct sp_str scheme;    /* of an absolute target, else empty */
    struct sp_str authority; /* of the target (userinfo removed), else the Host field: "h", "h:p", "[::1]:p" */
    struct sp_str host;      /* authority without port; brackets of an IPv6 literal and trailing dots removed */
    struct sp_str port;      /* digits, or empty */
    struct sp_str path;      /* path and query as they came, or empty ("*", CONNECT h:p); "?q" in "http://h?q" */
    bool is_connect;
    /* response only */
    unsigned status_code; /* 0 when unreadable */
    /* both */
    struct sp_field *fields; /* in order of arrival; owned by the message (sp_message_fini) */
    size_t n_fields;
    size_t cap_fields;
};

/* Builds the view from n terminated lines: lines[0] is the start line, line ends removed; a folded line
 * (RFC 9112 5.2) holds its CR LF inside. Lines without a colon become fields with an empty value.
 * SP_ERR_LIMIT past the field cap, SP_ERR_NOMEM. On failure the message is empty; fini is still allowed. */
enum sp_status sp_message_init_lines(struct sp_message *msg, enum sp_message_kind kind, char *const *lines, size_t n) SP_MUST_CHECK;
void sp_message_fini(struct sp_message *msg); /* frees the field array, not the bytes; zeroes */

/* The first field of that name (case-insensitive), or NULL. Borrowed from the message. */
const struct sp_field *sp_message_field(const struct sp_message *msg, struct sp_str name);

/* The field of that name at or after *pos; moves *pos past it. NULL when there is none. Start with *pos = 0. */
const struct sp_field *sp_message_next(const struct sp_message *msg, struct sp_str name, size_t *pos);

/* The media type of Content-Type without parameters, trimmed; empty when absent. */
struct sp_str sp_message_media_type(const struct sp_message *msg);

/* Content-Length if there is exactly one value (or equal repeats) made of digits that fits; false otherwise. */
bool sp_message_content_length(const struct sp_message *msg, unsigned long long *length_out);

#endif
