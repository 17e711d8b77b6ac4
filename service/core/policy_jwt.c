/* The predicate "jwt": a pattern on what is inside the JSON Web Tokens of a field (RFC 7519: header.payload.signature, each part
 * base64url), decoded.
 *
 * Where in the value a token stands, programs decide: "Bearer a.b.c", "v1, authorization.bearer.a.b.c", a cookie. So each part
 * between two dots that decodes to something that begins like a JSON object is a payload. The work is linear in the value:
 * a part is decoded once. Base64 of the plain kind and padding are read too, as lenient receivers do. */
#include "config.h"

#include "policy_priv.h"

#include "sallyport/text.h"

#include <stdlib.h>
#include <string.h>

#define BITS_PER_DIGIT 6
#define BITS_PER_BYTE 8

static bool is_token_byte(char c)
{
    return sp_base64_digit(c) >= 0 || c == '=';
}

/* Decodes into out, which has room for part.n bytes. */
static size_t decode(struct sp_str part, char *out)
{
    size_t n = 0;
    unsigned bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < part.n; i++) {
        int digit = sp_base64_digit(part.p[i]);
        if (digit < 0)
            continue; /* padding */
        held = (held << BITS_PER_DIGIT | (unsigned) digit) & 0xffffu;
        bits += BITS_PER_DIGIT;
        if (bits >= BITS_PER_BYTE) {
            bits -= BITS_PER_BYTE;
            out[n++] = (char) (held >> bits);
        }
    }
    return n;
}

static bool is_object(struct sp_str text)
{
    size_t i = 0;
    while (i < text.n && (text.p[i] == ' ' || (text.p[i] >= '\t' && text.p[i] <= '\r')))
        i++;
    return i < text.n && text.p[i] == '{';
}

/* One part, decoded into room for as many bytes. */
static enum sp_match match_part(const struct sp_cond *cond, struct sp_str part, char *room)
{
    struct sp_str payload = { room, decode(part, room) };
    return is_object(payload) ? sp_cond_run_pattern(cond, payload) : SP_MATCH_NO;
}

/* Ends with the first that is not a plain no: a value of a thousand hard parts is not worth a thousand efforts. */
static enum sp_match match_parts(const struct sp_cond *cond, struct sp_str value, char *room)
{
    size_t start = value.n; /* of a part that has a dot before it; none yet */
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '.') {
            if (start < i) {
                enum sp_match match = match_part(cond, (struct sp_str){ value.p + start, i - start }, room);
                if (match != SP_MATCH_NO)
                    return match;
            }
            start = i + 1;
        } else if (!is_token_byte(c)) {
            start = value.n;
        }
    }
    return SP_MATCH_NO;
}

enum sp_match sp_match_jwt(const struct sp_cond *cond, struct sp_subject *subject)
{
    enum sp_match result = SP_MATCH_NO;
    size_t pos = 0;
    const struct sp_field *field;
    while (result == SP_MATCH_NO && (field = sp_cond_next_field(cond, subject->head, &pos)) != NULL) {
        if (field->value.n == 0 || !memchr(field->value.p, '.', field->value.n))
            continue;
        char *room = malloc(field->value.n);
        result = room ? match_parts(cond, field->value, room) : SP_MATCH_LIMIT;
        free(room);
    }
    return result;
}
