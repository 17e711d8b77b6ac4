/* For the page*.c files only: what a template is, and how a value is made fit for where it lands. */
#ifndef SALLYPORT_PAGE_PRIV_H
#define SALLYPORT_PAGE_PRIV_H

#include "sallyport/cfgfile.h"
#include "sallyport/page.h"

#include <stdint.h>

enum sp_page_variable {
    SP_PAGE_VAR_OUTCOME,
    SP_PAGE_VAR_REASON,
    SP_PAGE_VAR_RULE,
    SP_PAGE_VAR_RULE_NAME,
    SP_PAGE_VAR_CATEGORY,
    SP_PAGE_VAR_SIGNATURE,
    SP_PAGE_VAR_URL,
    SP_PAGE_VAR_HOST,
    SP_PAGE_VAR_ID,
    SP_PAGE_VAR_TIME,
    SP_PAGE_VAR_CONTACT,
    SP_PAGE_VAR_WHY,
    SP_PAGE_VAR_LOGO, /* goes in as it is: made here, from the operator's file */
    SP_PAGE_VARIABLES
};

/* Appends s escaped, as valid UTF-8, cut to what people can look at. */
typedef enum sp_status (*sp_page_escape_fn)(struct sp_buf *out, struct sp_str s);

enum sp_status sp_page_escape_html(struct sp_buf *out, struct sp_str s) SP_MUST_CHECK; /* also inside "" or '', and for XML */
enum sp_status sp_page_escape_json(struct sp_buf *out, struct sp_str s) SP_MUST_CHECK; /* inside a string; harmless in HTML too */
enum sp_status sp_page_escape_text(struct sp_buf *out, struct sp_str s) SP_MUST_CHECK; /* stays on its line */
/* Inside a comment of JavaScript or CSS, also if somebody puts that into a page: neither ends. */
enum sp_status sp_page_escape_comment(struct sp_buf *out, struct sp_str s) SP_MUST_CHECK;

/* Cuts s at the first c: returns what stands before it, trimmed; *s is what stands behind. */
struct sp_str sp_page_cut(struct sp_str *s, char c);

/* --- languages ------------------------------------------------------------------------------------------------------------ */

#define SP_PAGE_TEXTS_FOLDER "texts"
#define SP_PAGE_TAG_SIZE 16
#define SP_PAGE_LANGUAGES_MAX 64u

struct sp_page_language {
    char tag[SP_PAGE_TAG_SIZE]; /* "de" */
    struct sp_cfgfile *file;    /* owned; NULL: has no texts */
};

struct sp_page_texts { /* zeroed: empty */
    struct sp_page_language languages[SP_PAGE_LANGUAGES_MAX];
    unsigned n;
};

bool sp_page_texts_are_used(struct sp_str source);
/* Reads every language beside the template. What was opened until a failure is there to be closed. */
enum sp_status sp_page_texts_open(const char *template_path, struct sp_error *err, struct sp_page_texts *texts) SP_MUST_CHECK;
void sp_page_texts_close(struct sp_page_texts *texts);
const char *sp_page_text(const struct sp_page_language *language, const char *name); /* NULL: there is none */
/* Appends source with its {{t:name}} replaced; name is the template's, for errors. */
enum sp_status sp_page_texts_put_in(const struct sp_page_language *language, struct sp_str source, const char *name, struct sp_buf *out,
    struct sp_error *err) SP_MUST_CHECK;

/* The one with this tag, or with its first subtag. */
bool sp_page_language_find(const struct sp_page_texts *texts, struct sp_str range, unsigned *index_out);
unsigned sp_page_language_choose(const struct sp_page_texts *texts, const struct sp_message *request); /* 0 if none fits */

/* --- logo ------------------------------------------------------------------------------------------------------------------ */

#define SP_PAGE_LOGO_MAX_BYTES 65536u

/* Appends the picture in a file as a data: URI. SP_ERR_IO, SP_ERR_LIMIT, SP_ERR_CONF (none of the kinds that browsers show). */
enum sp_status sp_page_logo(const char *path, struct sp_buf *out, struct sp_error *err) SP_MUST_CHECK;

/* Appends a regular file to an out with a cap of its own; `what` names its kind in the message for one that is larger. */
enum sp_status sp_page_read_file(const char *path, const char *what, struct sp_buf *out, struct sp_error *err) SP_MUST_CHECK;

/* --- templates ------------------------------------------------------------------------------------------------------------- */

struct sp_page_segment;

struct sp_page_template {             /* zeroed: empty */
    struct sp_page_segment *segments; /* owned; their texts lie in the source */
    size_t n_segments;
    size_t cap_segments;
};

/* Cuts source, which must outlive the template. SP_ERR_CONF, SP_ERR_LIMIT, SP_ERR_NOMEM with a text that begins with name; what was cut
 * until then is there to be freed. */
enum sp_status sp_page_template_cut(
    struct sp_page_template *template, struct sp_str source, const char *name, struct sp_error *err) SP_MUST_CHECK;
void sp_page_template_fini(struct sp_page_template *template);

/* values has SP_PAGE_VARIABLES of them. */
enum sp_status sp_page_template_fill(
    const struct sp_page_template *template, const struct sp_str *values, sp_page_escape_fn escape, struct sp_buf *out) SP_MUST_CHECK;

#endif
