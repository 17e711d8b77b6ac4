/* What a person or program gets instead of refused content: an HTML page from a template, or JSON. Every value is escaped
 * for where it lands. The template is read once; a page object is immutable and shared by all threads.
 *
 * Template variables, all HTML-escaped: {{outcome}} {{reason}} {{rule}} {{rule_name}} {{category}} {{signature}} {{url}} {{host}}
 * {{id}} {{time}} {{contact}}. A part {{#name}}...{{/name}} stays only if that variable is not empty, a part
 * {{^name}}...{{/name}} only if it is. Parts may stand inside each other. Long values are cut. */
#ifndef SALLYPORT_PAGE_H
#define SALLYPORT_PAGE_H

#include "sallyport/buf.h"
#include "sallyport/message.h"

struct sp_page;

enum sp_page_format { SP_PAGE_HTML, SP_PAGE_JSON };

struct sp_page_values { /* all borrowed; may be empty or NULL */
    const char *outcome, *reason, *rule, *rule_name, *category, *signature, *id, *time;
    struct sp_str url, host;
};

/* path "" uses the built-in template. SP_ERR_IO, SP_ERR_CONF (unknown variable, unclosed part; with file and line),
 * SP_ERR_LIMIT (a template over 1 MiB). contact is copied. */
enum sp_status sp_page_new(const char *path, const char *contact, struct sp_error *err, struct sp_page **page_out) SP_MUST_CHECK;
void sp_page_free(struct sp_page **page);

/* JSON if the request asks for JSON and not for HTML (Accept, else X-Requested-With), HTML otherwise. NULL: HTML. */
enum sp_page_format sp_page_choose(const struct sp_message *request);
const char *sp_page_content_type(enum sp_page_format format);

enum sp_status sp_page_render(const struct sp_page *page, enum sp_page_format format, const struct sp_page_values *values,
    struct sp_buf *out) SP_MUST_CHECK;

#endif
