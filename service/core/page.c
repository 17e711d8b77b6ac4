/* What stands in for refused content, in the forms that page_kind.c chooses from. Each form is a template and the way its values are
 * escaped; the one for people can be replaced by a file. */
#include "config.h"

#include "page_priv.h"

#include "sallyport/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPLATE_MAX_BYTES (1024u * 1024u)

struct sp_page {
    struct sp_buf source; /* of the HTML form */
    char *contact;
    struct sp_page_template templates[SP_PAGE_FORMATS];
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

static enum sp_status read_all(int fd, const char *path, struct sp_buf *out, struct sp_error *err)
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
            return sp_error_set(err, status, "%s: a page template may not be larger than %u bytes", path, TEMPLATE_MAX_BYTES);
        if (status != SP_OK)
            return sp_error_set(err, status, "%s: %s", path, sp_status_name(status));
    }
}

static enum sp_status read_template(const char *path, struct sp_buf *out, struct sp_error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not stop the start */
    if (fd < 0)
        return sp_error_set(err, SP_ERR_IO, "cannot open %s: %s", path, strerror(errno));
    enum sp_status status = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read_all(fd, path, out, err)
                                                                       : sp_error_set(err, SP_ERR_IO, "%s is not a regular file", path);
    close(fd);
    return status;
}

/* The file's template in place of the built-in one. */
static enum sp_status load_html(struct sp_page *page, const char *path, struct sp_error *err)
{
    enum sp_status status = read_template(path, &page->source, err);
    if (status != SP_OK)
        return status;
    return sp_page_template_cut(&page->templates[SP_PAGE_HTML], (struct sp_str){ page->source.p, page->source.n }, path, err);
}

enum sp_status sp_page_new(const char *path, const char *contact, struct sp_error *err, struct sp_page **page_out)
{
    *page_out = NULL;
    struct sp_page *page = calloc(1, sizeof(*page));
    if (page == NULL)
        return sp_error_set(err, SP_ERR_NOMEM, "no memory for the page template");
    sp_buf_init(&page->source, TEMPLATE_MAX_BYTES);
    page->contact = strdup(contact != NULL ? contact : "");
    enum sp_status status = page->contact != NULL ? SP_OK : sp_error_set(err, SP_ERR_NOMEM, "no memory for the page template");
    for (unsigned i = 0; status == SP_OK && i < SP_PAGE_FORMATS; i++) {
        if (i == SP_PAGE_HTML && path[0] != '\0')
            status = load_html(page, path, err);
        else
            status = sp_page_template_cut(&page->templates[i], forms[i].built_in, "built-in template", err);
    }
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
    for (unsigned i = 0; i < SP_PAGE_FORMATS; i++)
        sp_page_template_fini(&p->templates[i]);
    sp_buf_fini(&p->source);
    free(p->contact);
    free(p);
    *page = NULL;
}

enum sp_status sp_page_render(
    const struct sp_page *page, enum sp_page_format format, const struct sp_page_values *values, struct sp_buf *out)
{
    SP_ASSERT((unsigned) format < SP_PAGE_FORMATS);
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
    };
    return sp_page_template_fill(&page->templates[format], filled, forms[format].escape, out);
}

const char *sp_page_content_type(enum sp_page_format format)
{
    SP_ASSERT((unsigned) format < SP_PAGE_FORMATS);
    return forms[format].content_type;
}
