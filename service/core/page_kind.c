/* In which form something is refused: what a browser says it wants it for, then what the request says it can read, then what it
 * looks like. When nothing of this tells, a page for people.
 *
 * Nothing depends on a right guess but that people can read it: every form says no. */
#include "config.h"

#include "page_priv.h"

#include <string.h>

#define N_ITEMS(array) (sizeof(array) / sizeof((array)[0]))

struct sp_str sp_page_cut(struct sp_str *s, char c)
{
    if (s->n == 0)
        return *s; /* whose p may be NULL */
    const char *at = memchr(s->p, c, s->n);
    size_t n = at != NULL ? (size_t) (at - s->p) : s->n;
    struct sp_str before = { s->p, n };
    size_t skip = at != NULL ? n + 1 : n;
    s->p += skip;
    s->n -= skip;
    return sp_str_trim(before);
}

static bool ends_with(struct sp_str s, struct sp_str end)
{
    return s.n >= end.n && sp_str_equal_nocase((struct sp_str){ s.p + s.n - end.n, end.n }, end);
}

/* --- media types ----------------------------------------------------------------------------------------------------- */

/* The forms that a media type can stand for, best first: of several that a request names, the first of these counts. */
enum kind { KIND_HTML, KIND_JSON, KIND_SVG, KIND_IMAGE, KIND_STYLE, KIND_SCRIPT, KIND_TEXT, KIND_OTHER };

static const struct {
    const char *type;
    enum kind kind;
} types[] = {
    { "text/html", KIND_HTML },
    { "application/xhtml+xml", KIND_HTML },
    { "application/json", KIND_JSON },
    { "image/svg+xml", KIND_SVG },
    { "text/css", KIND_STYLE },
    { "text/javascript", KIND_SCRIPT },
    { "application/javascript", KIND_SCRIPT },
    { "application/x-javascript", KIND_SCRIPT },
    { "application/ecmascript", KIND_SCRIPT },
    { "text/ecmascript", KIND_SCRIPT },
    { "text/plain", KIND_TEXT },
};

static enum kind kind_of(struct sp_str type)
{
    for (size_t i = 0; i < N_ITEMS(types); i++)
        if (sp_str_equal_nocase(type, sp_str_from(types[i].type)))
            return types[i].kind;
    if (sp_str_starts_nocase(type, SP_STR("image/")))
        return KIND_IMAGE;
    return type.n > strlen("+json") && ends_with(type, SP_STR("+json")) ? KIND_JSON : KIND_OTHER;
}

/* q=0, q=0.0, ...: not acceptable (RFC 9110 12.4.2). */
static bool is_refused(struct sp_str parameters)
{
    while (parameters.n > 0) {
        struct sp_str parameter = sp_page_cut(&parameters, ';');
        if (!sp_str_starts_nocase(parameter, SP_STR("q=0")))
            continue;
        size_t i = sizeof("q=0") - 1;
        while (i < parameter.n && (parameter.p[i] == '.' || parameter.p[i] == '0'))
            i++;
        return i == parameter.n;
    }
    return false;
}

/* The kinds that the Accept fields name, as bits. "*" names none. */
static unsigned accepted_kinds(const struct sp_message *request)
{
    const struct sp_field *field;
    unsigned kinds = 0;
    size_t pos = 0;
    while ((field = sp_message_next(request, SP_STR("Accept"), &pos)) != NULL) {
        for (struct sp_str rest = field->value; rest.n > 0;) {
            struct sp_str parameters = sp_page_cut(&rest, ',');
            struct sp_str type = sp_page_cut(&parameters, ';');
            if (!is_refused(parameters))
                kinds |= 1u << kind_of(type);
        }
    }
    return kinds & ~(1u << KIND_OTHER);
}

static enum sp_page_format image_format(unsigned accepted)
{
    return accepted & 1u << KIND_SVG ? SP_PAGE_SVG : SP_PAGE_GIF;
}

/* Of at least one kind. */
static enum sp_page_format format_of(unsigned kinds)
{
    if (kinds & 1u << KIND_HTML)
        return SP_PAGE_HTML;
    if (kinds & 1u << KIND_JSON)
        return SP_PAGE_JSON;
    if (kinds & (1u << KIND_SVG | 1u << KIND_IMAGE))
        return image_format(kinds);
    if (kinds & 1u << KIND_STYLE)
        return SP_PAGE_STYLE;
    return kinds & 1u << KIND_SCRIPT ? SP_PAGE_SCRIPT : SP_PAGE_TEXT;
}

/* --- what a browser says --------------------------------------------------------------------------------------------- */

/* Destinations of the Fetch standard. "empty" (fetch, XMLHttpRequest) and unknown ones are not here: Accept knows more. */
static const struct {
    const char *name;
    enum sp_page_format format;
} destinations[] = {
    { "document", SP_PAGE_HTML },
    { "iframe", SP_PAGE_HTML },
    { "frame", SP_PAGE_HTML },
    { "fencedframe", SP_PAGE_HTML },
    { "embed", SP_PAGE_HTML },
    { "object", SP_PAGE_HTML },
    { "image", SP_PAGE_GIF },
    { "script", SP_PAGE_SCRIPT },
    { "worker", SP_PAGE_SCRIPT },
    { "sharedworker", SP_PAGE_SCRIPT },
    { "serviceworker", SP_PAGE_SCRIPT },
    { "audioworklet", SP_PAGE_SCRIPT },
    { "paintworklet", SP_PAGE_SCRIPT },
    { "style", SP_PAGE_STYLE },
    { "json", SP_PAGE_JSON },
    { "manifest", SP_PAGE_JSON },
    { "webidentity", SP_PAGE_JSON },
    { "audio", SP_PAGE_TEXT },
    { "video", SP_PAGE_TEXT },
    { "track", SP_PAGE_TEXT },
    { "font", SP_PAGE_TEXT },
    { "report", SP_PAGE_TEXT },
    { "text", SP_PAGE_TEXT },
    { "xslt", SP_PAGE_TEXT },
};

static bool by_destination(struct sp_str name, unsigned accepted, enum sp_page_format *format_out)
{
    for (size_t i = 0; i < N_ITEMS(destinations); i++) {
        if (!sp_str_equal_nocase(name, sp_str_from(destinations[i].name)))
            continue;
        *format_out = destinations[i].format == SP_PAGE_GIF ? image_format(accepted) : destinations[i].format;
        return true;
    }
    return false;
}

/* fetch or XMLHttpRequest: a program reads it, not a person. */
static bool is_script_call(const struct sp_message *request, struct sp_str destination)
{
    const struct sp_field *field = sp_message_field(request, SP_STR("X-Requested-With"));
    return sp_str_equal_nocase(destination, SP_STR("empty")) ||
        (field != NULL && sp_str_equal_nocase(field->value, SP_STR("XMLHttpRequest")));
}

/* --- what it looks like ---------------------------------------------------------------------------------------------- */

/* Not images: over plain HTTP too a browser names them in Accept. Who does not is a program that stores what comes under the name of
 * an image, and a person who wonders why. */
static enum sp_page_format by_looks(struct sp_str path, const struct sp_message *response)
{
    static const struct {
        const char *end;
        enum sp_page_format format;
    } ends[] = { { ".js", SP_PAGE_SCRIPT }, { ".mjs", SP_PAGE_SCRIPT }, { ".css", SP_PAGE_STYLE }, { ".json", SP_PAGE_JSON } };
    path = sp_page_cut(&path, '?');
    for (size_t i = 0; i < N_ITEMS(ends); i++)
        if (ends_with(path, sp_str_from(ends[i].end)))
            return ends[i].format;
    enum kind kind = response != NULL ? kind_of(sp_message_media_type(response)) : KIND_OTHER;
    return kind == KIND_JSON || kind == KIND_STYLE || kind == KIND_SCRIPT ? format_of(1u << kind) : SP_PAGE_HTML;
}

enum sp_page_format sp_page_choose(const struct sp_message *request, const struct sp_message *response)
{
    enum sp_page_format format;
    if (request == NULL)
        return by_looks(SP_STR(""), response);
    const struct sp_field *field = sp_message_field(request, SP_STR("Sec-Fetch-Dest"));
    struct sp_str destination = field != NULL ? field->value : SP_STR("");
    unsigned accepted = accepted_kinds(request);
    if (by_destination(destination, accepted, &format))
        return format;
    if (accepted != 0)
        return format_of(accepted);
    return is_script_call(request, destination) ? SP_PAGE_JSON : by_looks(request->path, response);
}
