/* For the page*.c files only: what a template is, and how a value is made fit for where it lands. */
#ifndef SALLYPORT_PAGE_PRIV_H
#define SALLYPORT_PAGE_PRIV_H

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
    SP_PAGE_VARIABLES
};

/* Appends s escaped, as valid UTF-8, cut to what people can look at. */
typedef enum sp_status (*sp_page_escape_fn)(struct sp_buf *out, struct sp_str s);

enum sp_status sp_page_escape_html(struct sp_buf *out, struct sp_str s) SP_MUST_CHECK; /* also inside "" or '', and for XML */
enum sp_status sp_page_escape_json(struct sp_buf *out, struct sp_str s) SP_MUST_CHECK; /* inside a string; harmless in HTML too */
enum sp_status sp_page_escape_text(struct sp_buf *out, struct sp_str s) SP_MUST_CHECK; /* stays on its line */
/* Inside a comment of JavaScript or CSS, also if somebody puts that into a page: neither ends. */
enum sp_status sp_page_escape_comment(struct sp_buf *out, struct sp_str s) SP_MUST_CHECK;

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
