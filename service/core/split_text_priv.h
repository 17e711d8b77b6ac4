/* Only for the kinds of body that are text (split_form.c, split_text.c) and for what they are made of: an object that begins late,
 * a string that may be base64, a data: URL. Embed and zero them; all take any chunking and keep their state in themselves. */
#ifndef SALLYPORT_SPLIT_TEXT_PRIV_H
#define SALLYPORT_SPLIT_TEXT_PRIV_H

#include "split_priv.h"

/* --- what characters are (split_string.c) ------------------------------------------------------------------------------- */

enum {
    SP_CHAR_BASE = 1,   /* letters and digits */
    SP_CHAR_STD = 2,    /* + / */
    SP_CHAR_URL = 4,    /* - _ */
    SP_CHAR_PAD = 8,    /* = */
    SP_CHAR_EOL = 16,   /* CR LF */
    SP_CHAR_ESCAPE = 32, /* backslash */
    SP_CHAR_SPECIAL = 64 /* what may end the payload of a data: URL, or be more than itself in it */
};
#define SP_CHAR_BASE64 (SP_CHAR_BASE | SP_CHAR_STD | SP_CHAR_URL)
extern const unsigned char sp_split_chars[256];

static inline unsigned sp_split_char(char c)
{
    return sp_split_chars[(unsigned char) c];
}

/* --- escapes of JSON and JavaScript (split_string.c) ---------------------------------------------------------------------- */

enum { SP_UNESCAPE_MORE = -1, SP_UNESCAPE_BAD = -2 };
struct sp_split_unescape {
    bool is_open;
    unsigned n_digits; /* that are still to come */
    unsigned value;
};
/* A backslash, or what follows one while is_open: the character that it stands for, MORE, or BAD (a digit that is none: what came is
 * no escape). is_nested: strings in strings, several backslashes are one. Beyond ASCII it is '?'. */
int sp_split_unescape_step(struct sp_split_unescape *u, char c, bool is_nested);

/* --- an object that begins once enough of it is there (split_string.c) ---------------------------------------------------- */

#define SP_SPLIT_MIN_BYTES 32 /* shorter ones are not worth a scan, and a sink cannot forget */
#define SP_SPLIT_MAX_TYPE 128

struct sp_split_late {
    struct sp_split_ctx *ctx;
    unsigned depth;
    struct sp_transfer transfer;
    char type[SP_SPLIT_MAX_TYPE]; /* Content-Type for what begins; set it at any time before */
    size_t n_type;
    char held[SP_SPLIT_MIN_BYTES];
    size_t n_held;
    struct sp_split_part *part;
};
void sp_split_late_init(struct sp_split_late *late, struct sp_split_ctx *ctx, unsigned depth);
void sp_split_late_fini(struct sp_split_late *late);
void sp_split_late_begin(struct sp_split_late *late, enum sp_transfer_kind kind, struct sp_str content_type);
/* p is in the transfer encoding that begin named. */
enum sp_split_result sp_split_late_feed(struct sp_split_late *late, const char *p, size_t n, struct sp_error *detail) SP_MUST_CHECK;
enum sp_split_result sp_split_late_end(struct sp_split_late *late, struct sp_error *detail) SP_MUST_CHECK; /* also if nothing began */

/* --- a string that may be base64 (split_string.c) -------------------------------------------------------------------------- */

#define SP_SPLIT_MAX_STRING_MIN 1024

struct sp_split_string {
    struct sp_split_late object;
    enum { SP_STRING_HELD, SP_STRING_OPEN, SP_STRING_NOT } state;
    unsigned seen;      /* classes of what came */
    unsigned min_chars; /* 64 at least, at most SP_SPLIT_MAX_STRING_MIN */
    struct sp_split_unescape unescape;
    char held[SP_SPLIT_MAX_STRING_MIN];
    size_t n_held;
};
void sp_split_string_init(struct sp_split_string *s, struct sp_split_ctx *ctx, unsigned depth, unsigned min_chars);
void sp_split_string_fini(struct sp_split_string *s);
void sp_split_string_begin(struct sp_split_string *s);
/* Once it is not base64 (SP_STRING_NOT) what follows is ignored. */
enum sp_split_result sp_split_string_feed(struct sp_split_string *s, const char *p, size_t n, struct sp_error *detail) SP_MUST_CHECK;
/* is_whole: the string ended; false: it goes on, with what cannot be base64. */
enum sp_split_result sp_split_string_end(struct sp_split_string *s, bool is_whole, struct sp_error *detail) SP_MUST_CHECK;

/* --- a data: URL (split_url.c) ---------------------------------------------------------------------------------------------- */

/* Where a URL stands decides where it ends. */
struct sp_split_place {
    enum {
        SP_PLACE_UNKNOWN,
        SP_PLACE_START,    /* of the body: it ends with it */
        SP_PLACE_QUOTED,   /* behind quote, maybe escaped */
        SP_PLACE_ENTITY,   /* behind a quote that is a character reference */
        SP_PLACE_BRACKET,  /* url(data: */
        SP_PLACE_ATTRIBUTE /* src=data: */
    } kind;
    char quote;
    bool is_escaped;
};

struct sp_split_url {
    struct sp_split_late object;
    bool has_escapes;  /* backslashes in it are those of JSON and JavaScript */
    bool has_entities; /* character references in it are those of HTML and XML */
    struct sp_split_place place;
    enum { SP_URL_HEAD, SP_URL_BASE64, SP_URL_PERCENT, SP_URL_OVER } state;
    struct sp_split_unescape unescape;
    char reference[12]; /* a character reference from its & on */
    size_t n_reference;
    unsigned n_percent; /* how far a percent escape in base64 has come */
    unsigned percent;
    bool is_padded;    /* = was seen */
    size_t n_token;    /* characters of the parameter so far that match "base64"; SIZE_MAX: they do not */
    bool is_parameter; /* behind the first semicolon */
    bool is_base64;
    bool has_slash;
    uint32_t last_four;
};
void sp_split_url_init(struct sp_split_url *url, struct sp_split_ctx *ctx, unsigned depth, bool has_escapes, bool has_entities);
void sp_split_url_fini(struct sp_split_url *url);
void sp_split_url_begin(struct sp_split_url *url, struct sp_split_place place); /* behind "data:" */
/* Uses all of n, or less when it is over (SP_URL_OVER): what ended it is then the next byte, or the last one used. */
enum sp_split_result sp_split_url_feed(
    struct sp_split_url *url, const char *p, size_t n, size_t *used_out, struct sp_error *detail) SP_MUST_CHECK;
enum sp_split_result sp_split_url_end(struct sp_split_url *url, struct sp_error *detail) SP_MUST_CHECK; /* the body has ended */

#endif
