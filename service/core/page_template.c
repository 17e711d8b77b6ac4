/* A page template: cut into segments once, filled many times. */
#include "config.h"

#include "page_priv.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SEGMENTS 4096u
#define MAX_DEPTH 8u
#define MAX_TAG_SHOWN 40

static const char *const variable_names[SP_PAGE_VARIABLES] = {
    [SP_PAGE_VAR_OUTCOME] = "outcome",
    [SP_PAGE_VAR_REASON] = "reason",
    [SP_PAGE_VAR_RULE] = "rule",
    [SP_PAGE_VAR_RULE_NAME] = "rule_name",
    [SP_PAGE_VAR_CATEGORY] = "category",
    [SP_PAGE_VAR_SIGNATURE] = "signature",
    [SP_PAGE_VAR_URL] = "url",
    [SP_PAGE_VAR_HOST] = "host",
    [SP_PAGE_VAR_ID] = "id",
    [SP_PAGE_VAR_TIME] = "time",
    [SP_PAGE_VAR_CONTACT] = "contact",
    [SP_PAGE_VAR_WHY] = "why",
    [SP_PAGE_VAR_LOGO] = "logo",
};

enum segment_kind {
    SEGMENT_TEXT,
    SEGMENT_VALUE,
    SEGMENT_IF,    /* the part follows; without a value go on at `next` */
    SEGMENT_UNLESS /* the same, with a value */
};

struct sp_page_segment {
    enum segment_kind kind;
    enum sp_page_variable variable;
    struct sp_str text; /* borrowed from the source */
    size_t next;
};

/* --- cutting ---------------------------------------------------------------------------------------------------------- */

struct parser {
    struct sp_page_template *template;
    const char *name; /* of the template, for errors */
    struct sp_str rest;
    unsigned line;
    size_t open[MAX_DEPTH]; /* the segments of the parts that are open here */
    unsigned open_line[MAX_DEPTH];
    unsigned depth;
    struct sp_error *err;
};

static enum sp_status add_segment(struct parser *ps, struct sp_page_segment segment)
{
    struct sp_page_template *template = ps->template;
    if (template->n_segments >= MAX_SEGMENTS)
        return sp_error_set(ps->err, SP_ERR_LIMIT, "%s:%u: more than %u variables and parts", ps->name, ps->line, MAX_SEGMENTS / 2);
    if (template->n_segments == template->cap_segments) {
        size_t cap = template->cap_segments > 0 ? template->cap_segments * 2 : 32;
        struct sp_page_segment *segments = realloc(template->segments, cap * sizeof(*segments));
        if (segments == NULL)
            return sp_error_set(ps->err, SP_ERR_NOMEM, "no memory for the page template");
        template->segments = segments;
        template->cap_segments = cap;
    }
    template->segments[template->n_segments++] = segment;
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
    return add_segment(ps, (struct sp_page_segment){ .kind = SEGMENT_TEXT, .text = text });
}

static enum sp_status find_variable(struct parser *ps, struct sp_str name, enum sp_page_variable *variable_out)
{
    for (unsigned i = 0; i < SP_PAGE_VARIABLES; i++)
        if (sp_str_equal(name, sp_str_from(variable_names[i]))) {
            *variable_out = (enum sp_page_variable) i;
            return SP_OK;
        }
    int shown = (int) (name.n < MAX_TAG_SHOWN ? name.n : MAX_TAG_SHOWN);
    return sp_error_set(ps->err, SP_ERR_CONF, "%s:%u: there is no variable \"%.*s\"", ps->name, ps->line, shown, name.p);
}

static enum sp_status open_part(struct parser *ps, enum segment_kind kind, enum sp_page_variable variable)
{
    if (ps->depth == MAX_DEPTH)
        return sp_error_set(ps->err, SP_ERR_CONF, "%s:%u: parts are nested deeper than %u", ps->name, ps->line, MAX_DEPTH);
    enum sp_status status = add_segment(ps, (struct sp_page_segment){ .kind = kind, .variable = variable });
    if (status != SP_OK)
        return status;
    ps->open[ps->depth] = ps->template->n_segments - 1;
    ps->open_line[ps->depth] = ps->line;
    ps->depth++;
    return SP_OK;
}

static enum sp_status close_part(struct parser *ps, enum sp_page_variable variable)
{
    const char *name = variable_names[variable];
    if (ps->depth == 0)
        return sp_error_set(ps->err, SP_ERR_CONF, "%s:%u: {{/%s}} closes a part that was not opened", ps->name, ps->line, name);
    struct sp_page_segment *part = &ps->template->segments[ps->open[ps->depth - 1]];
    if (part->variable != variable)
        return sp_error_set(ps->err, SP_ERR_CONF, "%s:%u: {{/%s}} where {{/%s}} was expected (opened on line %u)", ps->name, ps->line, name,
            variable_names[part->variable], ps->open_line[ps->depth - 1]);
    part->next = ps->template->n_segments;
    ps->depth--;
    return SP_OK;
}

/* What stands between {{ and }}. */
static enum sp_status add_tag(struct parser *ps, struct sp_str tag)
{
    enum sp_page_variable variable = SP_PAGE_VAR_OUTCOME;
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
        return add_segment(ps, (struct sp_page_segment){ .kind = SEGMENT_VALUE, .variable = variable });
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
        const struct sp_page_segment *part = &ps->template->segments[ps->open[ps->depth - 1]];
        return sp_error_set(ps->err, SP_ERR_CONF, "%s:%u: the part {{#%s}} is not closed", ps->name, line, variable_names[part->variable]);
    }
    return add_text(ps, ps->rest.n);
}

enum sp_status sp_page_template_cut(struct sp_page_template *template, struct sp_str source, const char *name, struct sp_error *err)
{
    struct parser ps = { .template = template, .name = name, .rest = source, .line = 1, .err = err };
    return parse(&ps);
}

void sp_page_template_fini(struct sp_page_template *template)
{
    free(template->segments);
    *template = (struct sp_page_template){ 0 };
}

/* --- filling ---------------------------------------------------------------------------------------------------------- */

enum sp_status sp_page_template_fill(
    const struct sp_page_template *template, const struct sp_str *values, sp_page_escape_fn escape, struct sp_buf *out)
{
    enum sp_status status = SP_OK;
    for (size_t i = 0; status == SP_OK && i < template->n_segments;) {
        const struct sp_page_segment *segment = &template->segments[i++];
        const struct sp_str *value = &values[segment->variable];
        switch (segment->kind) {
        case SEGMENT_TEXT:
            status = sp_buf_add_str(out, segment->text);
            break;
        case SEGMENT_VALUE:
            status = segment->variable == SP_PAGE_VAR_LOGO ? sp_buf_add_str(out, *value) : escape(out, *value);
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
