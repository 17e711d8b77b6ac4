/* What a person or program gets instead of refused content: an HTML page from a template, or a small answer in the form that was
 * asked for. Every value is escaped for where it lands. The template is read once; a page object is immutable and shared by
 * all threads.
 *
 * Template variables, all HTML-escaped: {{outcome}} {{reason}} {{rule}} {{rule_name}} {{category}} {{signature}} {{url}} {{host}}
 * {{id}} {{time}} {{contact}} {{why}} (the outcome in plain words; the reason if there are none) {{logo}} (a data: URI). A part
 * {{#name}}...{{/name}} stays only if that variable is not empty, a part {{^name}}...{{/name}} only if it is. Parts may stand
 * inside each other. Long values are cut.
 *
 * {{t:name}} is a text in the reader's language, from the files texts/TAG.conf beside the template (page_texts.c), which are read if
 * the template has one; {{t:lang}} is the tag itself. */
#ifndef SALLYPORT_PAGE_H
#define SALLYPORT_PAGE_H

#include "sallyport/buf.h"
#include "sallyport/message.h"

struct sp_page;

enum sp_page_format {
    SP_PAGE_HTML,
    SP_PAGE_JSON,
    SP_PAGE_TEXT,
    SP_PAGE_SCRIPT, /* JavaScript, one comment */
    SP_PAGE_STYLE,  /* CSS, one comment */
    SP_PAGE_SVG,    /* a small picture with the outcome */
    SP_PAGE_GIF,    /* a transparent pixel */
    SP_PAGE_FORMATS
};

struct sp_page_options {  /* borrowed for the call; NULL is "" */
    const char *path;     /* of the template; "" uses the built-in one */
    const char *contact;  /* whom to ask */
    const char *logo;     /* path of a picture (PNG, JPEG, GIF, WebP, SVG); "" for none */
    const char *language; /* for those who ask for none that there is; "" is "en" */
};

struct sp_page_values { /* all borrowed; may be empty or NULL */
    const char *outcome, *reason, *rule, *rule_name, *category, *signature, *id, *time;
    struct sp_str url, host;
    unsigned language; /* sp_page_choose_language; 0: the one for those who ask for none that there is */
};

/* SP_ERR_IO, SP_ERR_CONF (unknown variable, unclosed part, a text that a language lacks; with file and line), SP_ERR_LIMIT (a template
 * over 1 MiB, a logo over 64 KiB). */
enum sp_status sp_page_new(const struct sp_page_options *options, struct sp_error *err, struct sp_page **page_out) SP_MUST_CHECK;
void sp_page_free(struct sp_page **page);

/* What fits: by Sec-Fetch-Dest, by what Accept names (of several HTML first, then JSON), by X-Requested-With, by the end of
 * the path, by the response's Content-Type; else HTML, so also for curl, which accepts anything. Both may be NULL. */
enum sp_page_format sp_page_choose(const struct sp_message *request, const struct sp_message *response);
/* The folder of a template's texts. False if its path is longer than size allows. */
bool sp_page_texts_folder(const char *template_path, char *out, size_t size) SP_MUST_CHECK;

/* Of the HTML form: what the request's Accept-Language asks for. request may be NULL. The other forms are for programs, in English. */
unsigned sp_page_choose_language(const struct sp_page *page, const struct sp_message *request);
const char *sp_page_language_tag(const struct sp_page *page, unsigned language); /* "de"; lives as long as the page */
const char *sp_page_content_type(enum sp_page_format format);

enum sp_status sp_page_render(const struct sp_page *page, enum sp_page_format format, const struct sp_page_values *values,
    struct sp_buf *out) SP_MUST_CHECK;

#endif
