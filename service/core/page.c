/* The page that stands in for refused content. A template is cut into segments once; rendering walks them.
 *
 * Everything that fills a variable may have been chosen by an attacker: a URL, a host, even a signature name. Values are read as UTF-8,
 * cut to a length that people can look at, and lose what could break out of its place or turn the text around. */
#include "config.h"

#include "sallyport/page.h"
#include "sallyport/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPLATE_MAX_BYTES (1024u * 1024u)
#define MAX_SEGMENTS 4096u
#define MAX_DEPTH 8u
#define VALUE_MAX_BYTES 2048u
#define MAX_TAG_SHOWN 40
#define ESCAPE_BYTES 8 /* the longest replacement, "\u00e9" or "&quot;", and its NUL */

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define ELLIPSIS "\xe2\x80\xa6"

enum variable {
    VAR_OUTCOME,
    VAR_REASON,
    VAR_RULE,
    VAR_RULE_NAME,
    VAR_CATEGORY,
    VAR_SIGNATURE,
    VAR_URL,
    VAR_HOST,
    VAR_ID,
    VAR_TIME,
    VAR_CONTACT,
    N_VARIABLES
};

static const char *const variable_names[N_VARIABLES] = {
    [VAR_OUTCOME] = "outcome",
    [VAR_REASON] = "reason",
    [VAR_RULE] = "rule",
    [VAR_RULE_NAME] = "rule_name",
    [VAR_CATEGORY] = "category",
    [VAR_SIGNATURE] = "signature",
    [VAR_URL] = "url",
    [VAR_HOST] = "host",
    [VAR_ID] = "id",
    [VAR_TIME] = "time",
    [VAR_CONTACT] = "contact",
};

enum segment_kind {
    SEGMENT_TEXT,
    SEGMENT_VALUE,
    SEGMENT_IF,    /* the part follows; without a value go on at `next` */
    SEGMENT_UNLESS /* the same, with a value */
};

struct segment {
    enum segment_kind kind;
    enum variable variable;
    struct sp_str text; /* borrowed from the page's source */
    size_t next;
};

struct sp_page {
    struct sp_buf source;
    char *contact;
    struct segment *segments;
    size_t n_segments;
    size_t cap_segments;
};

static const char built_in[] =
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

/* --- reading and cutting a template --------------------------------------------------------------------------------- */

struct parser {
    struct sp_page *page;
    const char *name; /* of the template, for errors */
    struct sp_str rest;
    unsigned line;
    size_t open[MAX_DEPTH]; /* the segments of the parts that are open here */
    unsigned open_line[MAX_DEPTH];
    unsigned depth;
    struct sp_error *err;
};

static enum sp_status add_segment(struct parser *ps, struct segment segment)
{
    struct sp_page *page = ps->page;
    if (page->n_segments >= MAX_SEGMENTS)
        return sp_error_set(ps->err, SP_ERR_LIMIT, "%s:%u: more than %u variables and parts", ps->name, ps->line, MAX_SEGMENTS / 2);
    if (page->n_segments == page->cap_segments) {
        size_t cap = page->cap_segments > 0 ? page->cap_segments * 2 : 32;
        struct segment *segments = realloc(page->segments, cap * sizeof(*segments));
        if (segments == NULL)
            return sp_error_set(ps->err, SP_ERR_NOMEM, "no memory for the page template");
        page->segments = segments;
        page->cap_segments = cap;
    }
    page->segments[page->n_segments++] = segment;
    return SP_OK;
}

static enum sp_status add_text(struct parser *ps, size_t n)
{
    if (n == 0)
        return SP_OK;
    struct sp_str text = { ps->rest.p, n };
    for (size_t i = 0; i < n; i++)
        ps->line += text.p[i] == '\n';
    ps->rest.p += n;
    ps->rest.n -= n;
    return add_segment(ps, (struct segment){ .kind = SEGMENT_TEXT, .text = text });
}

static enum sp_status find_variable(struct parser *ps, struct sp_str name, enum variable *variable_out)
{
    for (unsigned i = 0; i < N_VARIABLES; i++)
        if (sp_str_equal(name, sp_str_from(variable_names[i]))) {
            *variable_out = (enum variable) i;
            return SP_OK;
        }
    int shown = (int) (name.n < MAX_TAG_SHOWN ? name.n : MAX_TAG_SHOWN);
    return sp_error_set(ps->err, SP_ERR_CONF, "%s:%u: there is no variable \"%.*s\"", ps->name, ps->line, shown, name.p);
}

static enum sp_status open_part(struct parser *ps, enum segment_kind kind, enum variable variable)
{
    if (ps->depth == MAX_DEPTH)
        return sp_error_set(ps->err, SP_ERR_CONF, "%s:%u: parts are nested deeper than %u", ps->name, ps->line, MAX_DEPTH);
    enum sp_status status = add_segment(ps, (struct segment){ .kind = kind, .variable = variable });
    if (status != SP_OK)
        return status;
    ps->open[ps->depth] = ps->page->n_segments - 1;
    ps->open_line[ps->depth] = ps->line;
    ps->depth++;
    return SP_OK;
}

static enum sp_status close_part(struct parser *ps, enum variable variable)
{
    const char *name = variable_names[variable];
    if (ps->depth == 0)
        return sp_error_set(ps->err, SP_ERR_CONF, "%s:%u: {{/%s}} closes a part that was not opened", ps->name, ps->line, name);
    struct segment *part = &ps->page->segments[ps->open[ps->depth - 1]];
    if (part->variable != variable)
        return sp_error_set(ps->err, SP_ERR_CONF, "%s:%u: {{/%s}} where {{/%s}} was expected (opened on line %u)", ps->name, ps->line, name,
            variable_names[part->variable], ps->open_line[ps->depth - 1]);
    part->next = ps->page->n_segments;
    ps->depth--;
    return SP_OK;
}

/* What stands between {{ and }}. */
static enum sp_status add_tag(struct parser *ps, struct sp_str tag)
{
    enum variable variable = VAR_OUTCOME;
    char mark = '\0';

    tag = sp_str_trim(tag);
    if (tag.n > 0 && strchr("#^/", tag.p[0]) != NULL && tag.p[0] != '\0') {
        mark = tag.p[0];
        tag = sp_str_trim((struct sp_str){ tag.p + 1, tag.n - 1 });
    }
    enum sp_status status = find_variable(ps, tag, &variable);
    if (status != SP_OK)
        return status;
    switch (mark) {
    case '#':
        return open_part(ps, SEGMENT_IF, variable);
    case '^':
        return open_part(ps, SEGMENT_UNLESS, variable);
    case '/':
        return close_part(ps, variable);
    default:
        return add_segment(ps, (struct segment){ .kind = SEGMENT_VALUE, .variable = variable });
    }
}

static enum sp_status parse(struct parser *ps)
{
    const char *start;
    while (ps->rest.n > 0 && (start = memmem(ps->rest.p, ps->rest.n, "{{", 2)) != NULL) {
        enum sp_status status = add_text(ps, (size_t) (start - ps->rest.p));
        if (status != SP_OK)
            return status;
        struct sp_str tag = { start + 2, ps->rest.n - 2 };
        const char *end = memmem(tag.p, tag.n, "}}", 2);
        if (end == NULL)
            return sp_error_set(ps->err, SP_ERR_CONF, "%s:%u: {{ without }}", ps->name, ps->line);
        tag.n = (size_t) (end - tag.p);
        status = add_tag(ps, tag);
        if (status != SP_OK)
            return status;
        ps->rest.p += tag.n + 4;
        ps->rest.n -= tag.n + 4;
    }
    if (ps->depth > 0) {
        unsigned line = ps->open_line[ps->depth - 1];
        const struct segment *part = &ps->page->segments[ps->open[ps->depth - 1]];
        return sp_error_set(ps->err, SP_ERR_CONF, "%s:%u: the part {{#%s}} is not closed", ps->name, line, variable_names[part->variable]);
    }
    return add_text(ps, ps->rest.n);
}

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
    if (path[0] == '\0') {
        enum sp_status status = sp_buf_add(out, built_in, sizeof(built_in) - 1);
        return status == SP_OK ? status : sp_error_set(err, status, "no memory for the page template");
    }
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not stop the start */
    if (fd < 0)
        return sp_error_set(err, SP_ERR_IO, "cannot open %s: %s", path, strerror(errno));
    enum sp_status status = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read_all(fd, path, out, err)
                                                                       : sp_error_set(err, SP_ERR_IO, "%s is not a regular file", path);
    close(fd);
    return status;
}

enum sp_status sp_page_new(const char *path, const char *contact, struct sp_error *err, struct sp_page **page_out)
{
    *page_out = NULL;
    struct sp_page *page = calloc(1, sizeof(*page));
    if (page == NULL)
        return sp_error_set(err, SP_ERR_NOMEM, "no memory for the page template");
    sp_buf_init(&page->source, TEMPLATE_MAX_BYTES);
    page->contact = strdup(contact != NULL ? contact : "");
    enum sp_status status = page->contact != NULL ? read_template(path, &page->source, err)
                                                  : sp_error_set(err, SP_ERR_NOMEM, "no memory for the page template");
    if (status == SP_OK) {
        struct parser ps = { .page = page, .name = path[0] != '\0' ? path : "built-in template", .line = 1, .err = err };
        ps.rest = (struct sp_str){ page->source.p, page->source.n };
        status = parse(&ps);
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
    sp_buf_fini(&p->source);
    free(p->contact);
    free(p->segments);
    free(p);
    *page = NULL;
}

/* --- escaping ------------------------------------------------------------------------------------------------------- */

#define CODE_INVALID UINT32_MAX /* a byte that is not UTF-8 */

/* Controls, line separators, and marks that turn the direction of the text around them. */
static bool is_hostile(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x200e || code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
        (code >= 0x2066 && code <= 0x2069);
}

/* The text that takes the place of a code point, or NULL if it may stay. scratch has ESCAPE_BYTES. */
typedef const char *(*escape_fn)(uint32_t code, char *scratch);

static const char *escape_html(uint32_t code, char *scratch)
{
    (void) scratch;
    switch (code) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return code == CODE_INVALID || is_hostile(code) ? REPLACEMENT : NULL;
    }
}

static const char *escape_json(uint32_t code, char *scratch)
{
    if (code == CODE_INVALID)
        return REPLACEMENT;
    if (code == '"')
        return "\\\"";
    if (code == '\\')
        return "\\\\";
    /* The characters of markup too, for whoever pastes the reply into a page. */
    if (!is_hostile(code) && (code > 0x7f || strchr("<>&'", (int) code) == NULL))
        return NULL;
    static const char digits[] = "0123456789abcdef";
    scratch[0] = '\\';
    scratch[1] = 'u';
    for (unsigned i = 0; i < 4; i++)
        scratch[2 + i] = digits[code >> (12 - 4 * i) & 0xf];
    scratch[6] = '\0';
    return scratch;
}

static enum sp_status add_escaped(struct sp_buf *out, struct sp_str s, escape_fn escape)
{
    char scratch[ESCAPE_BYTES];
    size_t kept = 0, pos = 0; /* from kept to pos goes out as it is */
    size_t len = 0;

    for (; pos < s.n && pos < VALUE_MAX_BYTES; pos += len) {
        uint32_t code = CODE_INVALID;
        len = sp_utf8_next((struct sp_str){ s.p + pos, s.n - pos }, &code);
        if (len == 0) {
            code = CODE_INVALID;
            len = 1;
        }
        const char *text = escape(code, scratch);
        if (text == NULL)
            continue;
        enum sp_status status = sp_buf_add(out, s.p + kept, pos - kept);
        if (status == SP_OK)
            status = sp_buf_add_str(out, sp_str_from(text));
        if (status != SP_OK)
            return status;
        kept = pos + len;
    }
    enum sp_status status = sp_buf_add(out, s.p + kept, pos - kept);
    if (status == SP_OK && pos < s.n)
        status = sp_buf_add_str(out, SP_STR(ELLIPSIS));
    return status;
}

/* --- rendering ------------------------------------------------------------------------------------------------------ */

static void collect(const struct sp_page *page, const struct sp_page_values *v, struct sp_str *values)
{
    values[VAR_OUTCOME] = sp_str_from(v->outcome);
    values[VAR_REASON] = sp_str_from(v->reason);
    values[VAR_RULE] = sp_str_from(v->rule);
    values[VAR_RULE_NAME] = sp_str_from(v->rule_name);
    values[VAR_CATEGORY] = sp_str_from(v->category);
    values[VAR_SIGNATURE] = sp_str_from(v->signature);
    values[VAR_URL] = v->url;
    values[VAR_HOST] = v->host;
    values[VAR_ID] = sp_str_from(v->id);
    values[VAR_TIME] = sp_str_from(v->time);
    values[VAR_CONTACT] = sp_str_from(page->contact);
}

static enum sp_status render_html(const struct sp_page *page, const struct sp_str *values, struct sp_buf *out)
{
    enum sp_status status = SP_OK;
    for (size_t i = 0; status == SP_OK && i < page->n_segments;) {
        const struct segment *segment = &page->segments[i++];
        const struct sp_str *value = &values[segment->variable];
        switch (segment->kind) {
        case SEGMENT_TEXT:
            status = sp_buf_add_str(out, segment->text);
            break;
        case SEGMENT_VALUE:
            status = add_escaped(out, *value, escape_html);
            break;
        case SEGMENT_IF:
            i = value->n > 0 ? i : segment->next;
            break;
        case SEGMENT_UNLESS:
            i = value->n > 0 ? segment->next : i;
            break;
        }
    }
    return status;
}

static enum sp_status render_json(const struct sp_str *values, struct sp_buf *out)
{
    static const enum variable shown[] = { VAR_OUTCOME, VAR_REASON, VAR_RULE, VAR_CATEGORY, VAR_SIGNATURE, VAR_URL, VAR_ID, VAR_CONTACT };
    enum sp_status status = sp_buf_add_str(out, SP_STR("{\"blocked\":true"));
    for (size_t i = 0; status == SP_OK && i < sizeof(shown) / sizeof(shown[0]); i++) {
        status = sp_buf_addf(out, ",\"%s\":\"", variable_names[shown[i]]);
        if (status == SP_OK)
            status = add_escaped(out, values[shown[i]], escape_json);
        if (status == SP_OK)
            status = sp_buf_add_str(out, SP_STR("\""));
    }
    return status == SP_OK ? sp_buf_add_str(out, SP_STR("}\n")) : status;
}

enum sp_status sp_page_render(
    const struct sp_page *page, enum sp_page_format format, const struct sp_page_values *values, struct sp_buf *out)
{
    struct sp_str collected[N_VARIABLES];
    collect(page, values, collected);
    return format == SP_PAGE_JSON ? render_json(collected, out) : render_html(page, collected, out);
}

/* --- which form ----------------------------------------------------------------------------------------------------- */

/* Cuts s at the first c: returns what stands before it, trimmed; *s is what stands behind. */
static struct sp_str cut(struct sp_str *s, char c)
{
    const char *at = s->n > 0 ? memchr(s->p, c, s->n) : NULL;
    size_t n = at != NULL ? (size_t) (at - s->p) : s->n;
    struct sp_str before = { s->p, n };
    size_t skip = at != NULL ? n + 1 : n;
    s->p += skip;
    s->n -= skip;
    return sp_str_trim(before);
}

/* q=0, q=0.0, ...: not acceptable (RFC 9110 12.4.2). */
static bool is_refused(struct sp_str parameters)
{
    while (parameters.n > 0) {
        struct sp_str parameter = cut(&parameters, ';');
        if (!sp_str_starts_nocase(parameter, SP_STR("q=0")))
            continue;
        size_t i = sizeof("q=0") - 1;
        while (i < parameter.n && (parameter.p[i] == '.' || parameter.p[i] == '0'))
            i++;
        return i == parameter.n;
    }
    return false;
}

static bool is_html(struct sp_str type)
{
    return sp_str_equal_nocase(type, SP_STR("text/html")) || sp_str_equal_nocase(type, SP_STR("application/xhtml+xml"));
}

static bool is_json(struct sp_str type)
{
    const struct sp_str suffix = SP_STR("+json");
    return sp_str_equal_nocase(type, SP_STR("application/json")) ||
        (type.n > suffix.n && sp_str_equal_nocase((struct sp_str){ type.p + type.n - suffix.n, suffix.n }, suffix));
}

enum sp_page_format sp_page_choose(const struct sp_message *request)
{
    const struct sp_field *field;
    bool wants_json = false;
    size_t pos = 0;

    if (request == NULL)
        return SP_PAGE_HTML;
    while ((field = sp_message_next(request, SP_STR("Accept"), &pos)) != NULL) {
        for (struct sp_str rest = field->value; rest.n > 0;) {
            struct sp_str parameters = cut(&rest, ',');
            struct sp_str type = cut(&parameters, ';');
            if (is_refused(parameters))
                continue;
            if (is_html(type))
                return SP_PAGE_HTML;
            wants_json = wants_json || is_json(type);
        }
    }
    field = sp_message_field(request, SP_STR("X-Requested-With"));
    if (field != NULL && sp_str_equal_nocase(field->value, SP_STR("XMLHttpRequest")))
        wants_json = true;
    return wants_json ? SP_PAGE_JSON : SP_PAGE_HTML;
}

const char *sp_page_content_type(enum sp_page_format format)
{
    return format == SP_PAGE_JSON ? "application/json" : "text/html; charset=utf-8";
}
