/* What stands in for refused content, in the forms that page_kind.c chooses from. Each form is a template and the way its values are
 * escaped; the one for people can be replaced by a file, and comes
 * in the languages that have texts beside it. */
#include "config.h"

#include "page_priv.h"

#include "sallyport/assert.h"
#include "sallyport/outcome.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPLATE_MAX_BYTES (1024u * 1024u)
#define DEFAULT_LANGUAGE "en"
#define BUILT_IN "built-in template"
#define NO_MEMORY "no memory for the page template"

/* The HTML form in one language. */
struct translation {
    struct sp_buf source;
    struct sp_page_template template;
    const char *why[SP_OUTCOME_COUNT]; /* borrowed from the texts; NULL: there is none */
};

struct sp_page {
    char *contact;
    struct sp_buf logo;
    struct sp_page_texts texts;                         /* the first is for those who ask for none that there is */
    struct translation *translations;                   /* one for each of texts */
    struct sp_page_template templates[SP_PAGE_FORMATS]; /* but HTML */
};

static const char html_template[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Blocked</title></head>\n"
    "<body><main><h1>This was blocked</h1>\n"
    "<p>{{reason}}</p>\n"
    "{{#url}}<p>Address: <code>{{url}}</code></p>\n{{/url}}"
    "{{#signature}}<p>Found: {{signature}}</p>\n{{/signature}}"
    "{{#rule}}<p>Rule: {{#rule_name}}{{rule_name}}, {{/rule_name}}{{rule}}{{#category}} ({{category}}){{/category}}</p>\n{{/rule}}"
    "{{#id}}<p>Reference: {{id}}{{#time}}, {{time}}{{/time}}</p>\n{{/id}}"
    "{{#contact}}<p>Contact: {{contact}}</p>\n{{/contact}}"
    "</main></body></html>\n";

/* Every key is always there, so that programs need not ask. */
static const char json_template[] =
    "{\"blocked\":true,\"outcome\":\"{{outcome}}\",\"reason\":\"{{reason}}\",\"rule\":\"{{rule}}\",\"category\":\"{{category}}\","
    "\"signature\":\"{{signature}}\",\"url\":\"{{url}}\",\"id\":\"{{id}}\",\"contact\":\"{{contact}}\"}\n";

#define TEXT_LINES                                                                                                                         \
    "Blocked: {{reason}}\n"                                                                                                                \
    "{{#url}}Address: {{url}}\n{{/url}}"                                                                                                   \
    "{{#signature}}Found: {{signature}}\n{{/signature}}"                                                                                   \
    "{{#rule}}Rule: {{#rule_name}}{{rule_name}}, {{/rule_name}}{{rule}}{{#category}} ({{category}}){{/category}}\n{{/rule}}"               \
    "{{#id}}Reference: {{id}}{{#time}}, {{time}}{{/time}}\n{{/id}}"                                                                        \
    "{{#contact}}Contact: {{contact}}\n{{/contact}}"

static const char text_template[] = TEXT_LINES;
static const char comment_template[] = "/*\n" TEXT_LINES "*/\n";

/* As wide as its words, and quiet: it may stand on a page many times. */
static const char svg_template[] =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"130\" height=\"24\" viewBox=\"0 0 130 24\">"
    "<title>Blocked: {{reason}}{{#id}} ({{id}}){{/id}}</title>"
    "<rect x=\"0.5\" y=\"0.5\" width=\"129\" height=\"23\" fill=\"#eee\" stroke=\"#999\"/>"
    "<text x=\"65\" y=\"16\" text-anchor=\"middle\" font-family=\"sans-serif\" font-size=\"11\" fill=\"#333\">Blocked{{#outcome}}: "
    "{{outcome}}{{/outcome}}</text></svg>\n";

/* One transparent pixel, for programs that do not say that they can draw. */
static const char gif_template[] = "GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff"
                                   "\x21\xf9\x04\x01\0\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0\x3b";

static const struct form {
    const char *content_type;
    struct sp_str built_in;
    sp_page_escape_fn escape;
} forms[SP_PAGE_FORMATS] = {
    [SP_PAGE_HTML] = { "text/html; charset=utf-8", SP_STR(html_template), sp_page_escape_html },
    [SP_PAGE_JSON] = { "application/json", SP_STR(json_template), sp_page_escape_json },
    [SP_PAGE_TEXT] = { "text/plain; charset=utf-8", SP_STR(text_template), sp_page_escape_text },
    [SP_PAGE_SCRIPT] = { "text/javascript; charset=utf-8", SP_STR(comment_template), sp_page_escape_comment },
    [SP_PAGE_STYLE] = { "text/css; charset=utf-8", SP_STR(comment_template), sp_page_escape_comment },
    [SP_PAGE_SVG] = { "image/svg+xml", SP_STR(svg_template), sp_page_escape_html },
    [SP_PAGE_GIF] = { "image/gif", SP_STR(gif_template), sp_page_escape_text },
};

static enum sp_status read_all(int fd, const char *path, const char *what, struct sp_buf *out, struct sp_error *err)
{
    char block[4096];
    for (;;) {
        ssize_t got = read(fd, block, sizeof(block));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return sp_error_set(err, SP_ERR_IO, "cannot read %s: %s", path, strerror(errno));
        if (got == 0)
            return SP_OK;
        enum sp_status status = sp_buf_add(out, block, (size_t) got);
        if (status == SP_ERR_LIMIT)
            return sp_error_set(err, status, "%s: a %s may not be larger than %zu bytes", path, what, out->max);
        if (status != SP_OK)
            return sp_error_set(err, status, "%s: %s", path, sp_status_name(status));
    }
}

enum sp_status sp_page_read_file(const char *path, const char *what, struct sp_buf *out, struct sp_error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not stop the start */
    if (fd < 0)
        return sp_error_set(err, SP_ERR_IO, "cannot open %s: %s", path, strerror(errno));
    enum sp_status status = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read_all(fd, path, what, out, err)
                                                                       : sp_error_set(err, SP_ERR_IO, "%s is not a regular file", path);
    close(fd);
    return status;
}

/* --- languages --------------------------------------------------------------------------------------------------------- */

static void find_whys(struct translation *translation, const struct sp_page_language *language)
{
    char name[64];
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++) {
        snprintf(name, sizeof(name), "why_%s", sp_outcome_name((enum sp_outcome) i));
        translation->why[i] = sp_page_text(language, name);
    }
}

static enum sp_status translate(struct sp_page *page, unsigned i, struct sp_str source, const char *name, struct sp_error *err)
{
    struct translation *translation = &page->translations[i];
    const struct sp_page_language *language = &page->texts.languages[i];
    sp_buf_init(&translation->source, 2 * TEMPLATE_MAX_BYTES);
    enum sp_status status = sp_page_texts_put_in(language, source, name, &translation->source, err);
    if (status != SP_OK)
        return status;
    find_whys(translation, language);
    return sp_page_template_cut(&translation->template, (struct sp_str){ translation->source.p, translation->source.n }, name, err);
}

/* The language of a template without texts is English, as far as anybody knows. */
static enum sp_status open_texts(struct sp_page *page, struct sp_str source, const char *path, const char *language, struct sp_error *err)
{
    if (!sp_page_texts_are_used(source)) {
        page->texts.n = 1;
        sp_str_copy(SP_STR(DEFAULT_LANGUAGE), page->texts.languages[0].tag, sizeof(page->texts.languages[0].tag));
        return SP_OK;
    }
    unsigned fallback = 0;
    enum sp_status status = sp_page_texts_open(path, err, &page->texts);
    if (status == SP_OK && !sp_page_language_find(&page->texts, sp_str_from(language), &fallback))
        return sp_error_set(
            err, SP_ERR_CONF, "page_language \"%s\": there is no " SP_PAGE_TEXTS_FOLDER "/%s.conf beside %s", language, language, path);
    struct sp_page_language *languages = page->texts.languages, first = languages[0];
    languages[0] = languages[fallback];
    languages[fallback] = first;
    return status;
}

static enum sp_status load_html(struct sp_page *page, const char *path, const char *language, struct sp_error *err)
{
    struct sp_buf file;
    struct sp_str source = forms[SP_PAGE_HTML].built_in;
    sp_buf_init(&file, TEMPLATE_MAX_BYTES);
    enum sp_status status = SP_OK;
    if (path[0] != '\0') {
        status = sp_page_read_file(path, "page template", &file, err);
        source = (struct sp_str){ file.p, file.n };
    }
    if (status == SP_OK)
        status = open_texts(page, source, path, language, err);
    if (status == SP_OK && !(page->translations = calloc(page->texts.n, sizeof(*page->translations))))
        status = sp_error_set(err, SP_ERR_NOMEM, NO_MEMORY);
    for (unsigned i = 0; status == SP_OK && i < page->texts.n; i++)
        status = translate(page, i, source, path[0] != '\0' ? path : BUILT_IN, err);
    sp_buf_fini(&file);
    return status;
}

static const char *or_else(const char *text, const char *otherwise)
{
    return text && text[0] != '\0' ? text : otherwise;
}

static enum sp_status load(struct sp_page *page, const struct sp_page_options *options, struct sp_error *err)
{
    sp_buf_init(&page->logo, SP_PAGE_LOGO_MAX_BYTES * 2);
    page->contact = strdup(or_else(options->contact, ""));
    if (!page->contact)
        return sp_error_set(err, SP_ERR_NOMEM, NO_MEMORY);
    enum sp_status status = load_html(page, or_else(options->path, ""), or_else(options->language, DEFAULT_LANGUAGE), err);
    for (unsigned i = 0; status == SP_OK && i < SP_PAGE_FORMATS; i++)
        if (i != SP_PAGE_HTML)
            status = sp_page_template_cut(&page->templates[i], forms[i].built_in, BUILT_IN, err);
    if (status == SP_OK && options->logo && options->logo[0] != '\0')
        status = sp_page_logo(options->logo, &page->logo, err);
    return status;
}

enum sp_status sp_page_new(const struct sp_page_options *options, struct sp_error *err, struct sp_page **page_out)
{
    *page_out = NULL;
    struct sp_page *page = calloc(1, sizeof(*page));
    if (page == NULL)
        return sp_error_set(err, SP_ERR_NOMEM, NO_MEMORY);
    enum sp_status status = load(page, options, err);
    if (status == SP_OK)
        *page_out = page;
    else
        sp_page_free(&page);
    return status;
}

void sp_page_free(struct sp_page **page)
{
    struct sp_page *p = *page;
    if (p == NULL)
        return;
    for (unsigned i = 0; p->translations && i < p->texts.n; i++) {
        sp_page_template_fini(&p->translations[i].template);
        sp_buf_fini(&p->translations[i].source);
    }
    free(p->translations);
    sp_page_texts_close(&p->texts);
    for (unsigned i = 0; i < SP_PAGE_FORMATS; i++)
        sp_page_template_fini(&p->templates[i]);
    sp_buf_fini(&p->logo);
    free(p->contact);
    free(p);
    *page = NULL;
}

unsigned sp_page_choose_language(const struct sp_page *page, const struct sp_message *request)
{
    return request ? sp_page_language_choose(&page->texts, request) : 0;
}

const char *sp_page_language_tag(const struct sp_page *page, unsigned language)
{
    SP_ASSERT(language < page->texts.n);
    return page->texts.languages[language].tag;
}

/* --- rendering --------------------------------------------------------------------------------------------------------- */

/* The outcome in plain words of the reader's language. */
static const char *why_of(const struct translation *translation, const struct sp_page_values *values)
{
    for (unsigned i = 0; i < SP_OUTCOME_COUNT; i++)
        if (values->outcome && translation->why[i] && strcmp(values->outcome, sp_outcome_name((enum sp_outcome) i)) == 0)
            return translation->why[i];
    return values->reason;
}

enum sp_status sp_page_render(
    const struct sp_page *page, enum sp_page_format format, const struct sp_page_values *values, struct sp_buf *out)
{
    SP_ASSERT((unsigned) format < SP_PAGE_FORMATS && values->language < page->texts.n);
    const struct translation *translation = &page->translations[values->language];
    const struct sp_str filled[SP_PAGE_VARIABLES] = {
        [SP_PAGE_VAR_OUTCOME] = sp_str_from(values->outcome),
        [SP_PAGE_VAR_REASON] = sp_str_from(values->reason),
        [SP_PAGE_VAR_RULE] = sp_str_from(values->rule),
        [SP_PAGE_VAR_RULE_NAME] = sp_str_from(values->rule_name),
        [SP_PAGE_VAR_CATEGORY] = sp_str_from(values->category),
        [SP_PAGE_VAR_SIGNATURE] = sp_str_from(values->signature),
        [SP_PAGE_VAR_URL] = values->url,
        [SP_PAGE_VAR_HOST] = values->host,
        [SP_PAGE_VAR_ID] = sp_str_from(values->id),
        [SP_PAGE_VAR_TIME] = sp_str_from(values->time),
        [SP_PAGE_VAR_CONTACT] = sp_str_from(page->contact),
        [SP_PAGE_VAR_WHY] = sp_str_from(why_of(translation, values)),
        [SP_PAGE_VAR_LOGO] = { page->logo.p, page->logo.n },
    };
    const struct sp_page_template *template = format == SP_PAGE_HTML ? &translation->template : &page->templates[format];
    return sp_page_template_fill(template, filled, forms[format].escape, out);
}

const char *sp_page_content_type(enum sp_page_format format)
{
    SP_ASSERT((unsigned) format < SP_PAGE_FORMATS);
    return forms[format].content_type;
}
