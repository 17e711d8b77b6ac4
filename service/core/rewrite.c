/* Which fields a head must lose, and the one that is written anew. Runs on every request, most of which keep all they have: one look at
 * each field's length decides whether it is any of ours.
 *
 * Both values come from whoever asks, who may want to be misread. So each is read by the strict form of its grammar, and what does not have
 * that form goes: a coding that is not understood is not offered, a range that is not understood is not asked for. */
#include "config.h"

#include "sallyport/rewrite.h"

#include "sallyport/assert.h"
#include "sallyport/decode.h"
#include "sallyport/domains.h"

#include <string.h>

#define MAX_OFFSET_DIGITS 18 /* more may not fit into 64 bits, here or where the range goes */
#define MAX_ZEROES 3         /* of a weight, RFC 9110 12.4.2 */

static const char accept_encoding[] = "Accept-Encoding";
static const char if_range[] = "If-Range";
/* The second is Netscape's, and servers still read it. */
static const struct sp_str range_names[] = { SP_STR("Range"), SP_STR("Request-Range") };
/* They offer bodies that are a difference to something the client has: RFC 9842, its forerunner SDCH, RFC 3229. */
static const struct sp_str dictionary_names[] = { SP_STR("Available-Dictionary"), SP_STR("Dictionary-ID"), SP_STR("Avail-Dictionary"),
    SP_STR("A-IM") };
/* RFC 7838, and its forerunner. */
static const struct sp_str alternative_names[] = { SP_STR("Alt-Svc"), SP_STR("Alternate-Protocol") };

#define N_ITEMS(array) (sizeof(array) / sizeof((array)[0]))

static void reset(struct sp_rewrite *out)
{
    out->n_remove = 0;
    out->has_add = false;
}

static void remove_once(struct sp_rewrite *out, const char *name)
{
    for (size_t i = 0; i < out->n_remove; i++)
        if (out->remove[i] == name)
            return;
    SP_ASSERT(out->n_remove < SP_REWRITE_REMOVE_MAX);
    out->remove[out->n_remove++] = name;
}

/* The one of names that this is, or NULL. */
static const char *find_name(struct sp_str name, const struct sp_str *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (sp_str_equal_nocase(name, names[i]))
            return names[i].p;
    return NULL;
}

/* --- pieces of a value ----------------------------------------------------------------------------------------------- */

/* What stands before the first c, trimmed; *s is what stands behind. */
static struct sp_str cut(struct sp_str *s, char c)
{
    if (s->n == 0)
        return *s;
    const char *at = memchr(s->p, c, s->n);
    size_t n = at ? (size_t) (at - s->p) : s->n;
    struct sp_str before = { s->p, n };
    size_t skip = at ? n + 1 : n;
    s->p += skip;
    s->n -= skip;
    return sp_str_trim_folded(before);
}

/* --- Accept-Encoding ------------------------------------------------------------------------------------------------- */

static bool has_control(struct sp_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char) s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
            return true;
    return false;
}

/* "q=0", "q=0.0", ...: the coding is not wanted. */
static bool is_refusal(struct sp_str weight)
{
    const struct sp_str zero = SP_STR("q=0");
    if (!sp_str_starts_nocase(weight, zero))
        return false;
    if (weight.n == zero.n)
        return true;
    if (weight.p[zero.n] != '.' || weight.n > zero.n + 1 + MAX_ZEROES)
        return false;
    for (size_t i = zero.n + 1; i < weight.n; i++)
        if (weight.p[i] != '0')
            return false;
    return true;
}

/* Whether an element ("br;q=0.5", trimmed) may stay, and whether it asks for its coding. A refusal asks for nothing, so it stays
 * whatever it names; "*" asks for everything. */
static bool may_stay(struct sp_str element, bool *asks_out)
{
    struct sp_str weight = element;
    struct sp_str name = cut(&weight, ';');
    bool refuses = is_refusal(sp_str_trim_folded(weight));
    *asks_out = !refuses;
    return !has_control(element) && (refuses || sp_decode_is_known(name));
}

/* What browsers and curl send, so that nearly all requests cost one comparison. */
static bool is_usual(struct sp_str value)
{
    static const struct sp_str usual[] = { SP_STR("gzip, deflate, br, zstd"), SP_STR("gzip, deflate, br"), SP_STR("gzip, deflate") };
    for (size_t i = 0; i < N_ITEMS(usual); i++)
        if (sp_str_equal(value, usual[i]))
            return true;
    return false;
}

static bool is_decodable(struct sp_str value)
{
    bool asks;
    if (is_usual(value))
        return true;
    while (value.n > 0) {
        struct sp_str element = cut(&value, ',');
        if (element.n > 0 && !may_stay(element, &asks))
            return false;
    }
    return true;
}

/* Copies what may stay behind the n bytes that are there; returns how many are there then. What does not fit is not offered. */
static size_t copy_decodable(struct sp_str value, struct sp_rewrite *out, size_t n, bool *asks_any)
{
    while (value.n > 0) {
        struct sp_str element = cut(&value, ',');
        bool asks, is_first = out->add[n - 1] == ' ';
        size_t comma = is_first ? 0 : strlen(", ");
        if (!may_stay(element, &asks) || n + comma + element.n >= sizeof(out->add))
            continue;
        memcpy(out->add + n, ", ", comma);
        memcpy(out->add + n + comma, element.p, element.n);
        n += comma + element.n;
        *asks_any = *asks_any || asks;
    }
    return n;
}

static void rewrite_accept_encoding(const struct sp_message *request, struct sp_rewrite *out)
{
    static const char head[] = "Accept-Encoding: ";
    static const char nothing[] = "identity"; /* without the field, or with an empty one, some servers take their choice */
    const struct sp_field *field;
    bool asks_any = false;
    size_t n = sizeof(head) - 1, pos = 0;

    memcpy(out->add, head, n);
    while ((field = sp_message_next(request, SP_STR("Accept-Encoding"), &pos)) != NULL)
        n = copy_decodable(field->value, out, n, &asks_any);
    if (!asks_any) {
        n = sizeof(head) - 1;
        memcpy(out->add + n, nothing, sizeof(nothing) - 1);
        n += sizeof(nothing) - 1;
    }
    out->add[n] = '\0';
    out->has_add = true;
    remove_once(out, accept_encoding);
}

/* --- ranges ---------------------------------------------------------------------------------------------------------- */

static bool is_at_or_below(const struct sp_host *host, const struct sp_host *name)
{
    if (host->n < name->n || memcmp(host->bytes + host->n - name->n, name->bytes, name->n) != 0)
        return false;
    return host->n == name->n || (!name->is_address && host->bytes[host->n - name->n - 1] == '.');
}

static bool is_kept_host(const struct sp_conf_list *list, struct sp_str text)
{
    struct sp_host host, name;
    sp_host_normalise(text, &host);
    for (size_t i = 0; i < list->n; i++)
        if (sp_domain_parse(sp_str_from(list->items[i]), true, &name) && is_at_or_below(&host, &name))
            return true;
    return false;
}

static bool ends_with(struct sp_str s, struct sp_str end)
{
    return s.n >= end.n && sp_str_equal_nocase((struct sp_str){ s.p + s.n - end.n, end.n }, end);
}

static bool is_kept_type(const struct sp_conf_list *list, const struct sp_message *request)
{
    const struct sp_field *dest = sp_message_field(request, SP_STR("Sec-Fetch-Dest"));
    struct sp_str path = request->path;
    path = cut(&path, '?');
    for (size_t i = 0; i < list->n; i++) {
        struct sp_str type = sp_str_from(list->items[i]);
        if (list->items[i][0] == '.' ? ends_with(path, type) : dest != NULL && sp_str_equal_nocase(dest->value, type))
            return true;
    }
    return false;
}

/* "300-" or "300-399", not "-99", which begins who knows where. from is over 0. */
static bool begins_at(struct sp_str part, int64_t from)
{
    int64_t begin = 0;
    size_t i = 0;
    for (; i < part.n && i <= MAX_OFFSET_DIGITS && part.p[i] >= '0' && part.p[i] <= '9'; i++)
        begin = i < MAX_OFFSET_DIGITS ? begin * 10 + (part.p[i] - '0') : -1;
    if (i == part.n || part.p[i] != '-' || begin < from)
        return false;
    for (i++; i < part.n; i++)
        if (part.p[i] < '0' || part.p[i] > '9')
            return false;
    return true;
}

static bool is_value_late(struct sp_str value, int64_t from)
{
    const struct sp_str unit = SP_STR("bytes=");
    if (!sp_str_starts_nocase(value, unit) || value.p[value.n - 1] == ',')
        return false;
    value.p += unit.n;
    value.n -= unit.n;
    do
        if (!begins_at(cut(&value, ','), from))
            return false;
    while (value.n > 0);
    return true;
}

/* Each part of each field begins where no object that is scanned has a byte. */
static bool is_late(const struct sp_conf *conf, const struct sp_message *request)
{
    int64_t from = conf->ranges_keep_from;
    if (from == 0) {
        if (conf->outcomes[SP_OUTCOME_OVERSIZE] == SP_ACTION_BLOCK)
            return false; /* in pieces it would get past that */
        from = conf->max_object_size;
    }
    for (size_t i = 0; i < request->n_fields; i++)
        if (find_name(request->fields[i].name, range_names, N_ITEMS(range_names)) && !is_value_late(request->fields[i].value, from))
            return false;
    return true;
}

static bool keeps_ranges(const struct sp_conf *conf, const struct sp_message *request, struct sp_str sni)
{
    const struct sp_conf_list *hosts = &conf->ranges_keep_hosts;
    if (hosts->n > 0 && is_kept_host(hosts, request->host) && (sni.n == 0 || is_kept_host(hosts, sni)))
        return true;
    return is_kept_type(&conf->ranges_keep_types, request) || is_late(conf, request);
}

static void remove_ranges(const struct sp_message *request, struct sp_rewrite *out)
{
    for (size_t i = 0; i < request->n_fields; i++) {
        struct sp_str name = request->fields[i].name;
        const char *range = find_name(name, range_names, N_ITEMS(range_names));
        if (range)
            remove_once(out, range);
        else if (sp_str_equal_nocase(name, SP_STR("If-Range")))
            remove_once(out, if_range);
    }
}

/* --- the heads ------------------------------------------------------------------------------------------------------- */

void sp_rewrite_request(const struct sp_conf *conf, const struct sp_message *request, struct sp_str sni, struct sp_rewrite *out)
{
    bool has_range = false, has_foreign_coding = false;
    const char *name;

    reset(out);
    for (size_t i = 0; request && i < request->n_fields; i++) {
        const struct sp_field *field = &request->fields[i];
        switch (field->name.n) {
        case sizeof("Accept-Encoding") - 1:
            if (!has_foreign_coding && sp_str_equal_nocase(field->name, SP_STR("Accept-Encoding")))
                has_foreign_coding = !is_decodable(field->value);
            break;
        case sizeof("A-IM") - 1:
        case sizeof("Range") - 1:
        case sizeof("Dictionary-ID") - 1: /* and Request-Range */
        case sizeof("Avail-Dictionary") - 1:
        case sizeof("Available-Dictionary") - 1:
            name = find_name(field->name, dictionary_names, N_ITEMS(dictionary_names));
            if (name)
                remove_once(out, name);
            else if (find_name(field->name, range_names, N_ITEMS(range_names)))
                has_range = true;
            break;
        default:
            break;
        }
    }
    if (has_foreign_coding)
        rewrite_accept_encoding(request, out);
    if (has_range && conf->ranges_remove && !keeps_ranges(conf, request, sni))
        remove_ranges(request, out);
}

void sp_rewrite_response(const struct sp_conf *conf, const struct sp_message *response, struct sp_rewrite *out)
{
    reset(out);
    if (!conf->remove_alt_svc || !response)
        return;
    for (size_t i = 0; i < response->n_fields; i++) {
        const char *name = find_name(response->fields[i].name, alternative_names, N_ITEMS(alternative_names));
        if (name)
            remove_once(out, name);
    }
}
