/* c-icap's heads become message views without a copy: c-icap has the lines split and terminated already. Decisions become
 * heads. The order matters: once c-icap has made the reply's head, the views are gone. */
#include "config.h"

#include "bridge.h"

#include <c_icap/header.h>
#include <c_icap/simple_api.h>

#include "sallyport/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0x62726731u
#define OWN_PREFIX "X-Sallyport-"
#define HEADER_SIZE 512

struct bridge *bridge_new(struct sp_gate **gate, ci_request_t *req)
{
    struct bridge *b = malloc(sizeof(*b)); /* and not calloc, which the C library serves from its slow lists */
    if (!b)
        return NULL;
    *b = (struct bridge){ .magic = MAGIC, .req = req };
    if (sp_txn_new_taking(gate, &b->txn) == SP_OK)
        return b;
    free(b);
    return NULL;
}

void bridge_free(struct bridge *b)
{
    if (!b)
        return;
    sp_txn_free(&b->txn); /* before the views: it may write its log line now */
    sp_message_fini(&b->request);
    sp_message_fini(&b->response);
    free(b->kept_request.lines);
    free(b->kept_response.lines);
    b->magic = 0;
    free(b);
}

struct bridge *bridge_of(void *p)
{
    struct bridge *b = p;
    SP_ASSERT(!b || b->magic == MAGIC);
    return b;
}

/* --- in -------------------------------------------------------------------------------------------------------------- */

/* False if there is a head and no view could be built of it. */
static bool view_head(struct sp_message *msg, enum sp_message_kind kind, const ci_headers_list_t *head)
{
    return !head || head->used == 0 || sp_message_init_lines(msg, kind, head->headers, (size_t) head->used) == SP_OK;
}

/* Of the ICAP head. One walk for all of them: c-icap's own search would be one for each. Of several of a name the first counts. */
struct icap_fields {
    struct sp_str client, name, user, sni;
};

static void read_icap_fields(const ci_headers_list_t *head, struct icap_fields *fields)
{
    const struct { struct sp_str name, *value; } wanted[] = {
        { SP_STR("X-Client-IP"), &fields->client },
        { SP_STR("X-Client-Username"), &fields->name },
        { SP_STR("X-Authenticated-User"), &fields->user },
        { SP_STR("X-SNI"), &fields->sni },
    };
    for (int i = 1; i < head->used; i++) {
        const char *line = head->headers[i];
        if (line[0] != 'X' && line[0] != 'x')
            continue;
        struct sp_str text = sp_str_from(line);
        for (size_t k = 0; k < sizeof(wanted) / sizeof(wanted[0]); k++) {
            size_t n = wanted[k].name.n;
            if (text.n > n && line[n] == ':' && !wanted[k].value->p && sp_str_starts_nocase(text, wanted[k].name))
                *wanted[k].value = sp_str_trim_folded((struct sp_str){ line + n + 1, text.n - n - 1 });
        }
    }
}

enum sp_step bridge_head(struct bridge *b)
{
    ci_request_t *req = b->req;
    struct icap_fields fields = { 0 };
    read_icap_fields(req->request_header, &fields);
    struct sp_txn_start start = {
        .direction = ci_req_type(req) == ICAP_RESPMOD ? SP_RESPMOD : SP_REQMOD,
        .client = fields.client,
        .user = fields.name.n > 0 ? fields.name : fields.user,
        .sni = fields.sni, /* Squid: adaptation_meta X-SNI "%ssl::>sni"; "-" when there is none */
        .has_body = ci_req_hasbody(req),
    };
    if (sp_str_equal(start.sni, SP_STR("-")))
        start.sni.n = 0;
    bool is_viewed = view_head(&b->request, SP_MESSAGE_REQUEST, ci_http_request_headers(req));
    if (start.direction == SP_RESPMOD)
        is_viewed = view_head(&b->response, SP_MESSAGE_RESPONSE, ci_http_response_headers(req)) && is_viewed;
    start.is_head_broken = !is_viewed;
    start.request = b->request.start_line.n > 0 ? &b->request : NULL;
    start.response = b->response.start_line.n > 0 ? &b->response : NULL;
    return sp_txn_head(b->txn, &start);
}

/* --- out ------------------------------------------------------------------------------------------------------------- */

static bool add_icap_field(ci_request_t *req, const char *name, const char *value)
{
    char line[HEADER_SIZE];
    int n = snprintf(line, sizeof(line), "%s: %s", name, value);
    size_t first_value_byte = strlen(name) + 2;
    for (size_t i = first_value_byte; n > 0 && i < sizeof(line) && line[i] != '\0'; i++)
        if ((unsigned char) line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?'; /* a name from a signature file must not end a header line */
    return ci_icap_add_xheader(req, line) != NULL;
}

/* The headers that other ICAP clients and servers use for a detection; draft-stecher-icap-subid and common practice. */
static bool add_infection_fields(ci_request_t *req, const struct sp_txn_result *result)
{
    char threat[SP_SCAN_NAME_SIZE];
    snprintf(threat, sizeof(threat), "%s", result->signature);
    for (char *c = threat; *c; c++)
        if ((unsigned char) *c <= ' ' || *c == ';' || *c == 0x7f)
            *c = '_';
    char line[HEADER_SIZE];
    snprintf(line, sizeof(line), "Type=0; Resolution=2; Threat=%s;", threat);
    if (!add_icap_field(req, "X-Infection-Found", line) || !add_icap_field(req, "X-Virus-ID", threat))
        return false;
    snprintf(line, sizeof(line), "X-Violations-Found: 1\r\n\t-\r\n\t%s\r\n\t0\r\n\t0", threat);
    return ci_icap_add_xheader(req, line) != NULL;
}

static bool add_verdict_fields(ci_request_t *req, const struct sp_txn_result *result)
{
    char reason[HEADER_SIZE];
    if (result->rule)
        snprintf(reason, sizeof(reason), "%s; rule=%s; category=%s", sp_outcome_name(result->outcome), result->rule->id,
            result->rule->category);
    else
        snprintf(reason, sizeof(reason), "%s", sp_outcome_name(result->outcome));
    if (!add_icap_field(req, "X-Sallyport-Id", result->id) || !add_icap_field(req, "X-Block-Reason", reason))
        return false;
    return result->outcome != SP_OUTCOME_INFECTED || add_infection_fields(req, result);
}

static bool make_page_head(ci_request_t *req, const struct sp_txn_result *result)
{
    char type[128], length[64], id[64], language[64];
    snprintf(type, sizeof(type), "Content-Type: %s", result->content_type);
    snprintf(length, sizeof(length), "Content-Length: %zu", result->page_bytes);
    snprintf(id, sizeof(id), "X-Sallyport-Id: %s", result->id);
    snprintf(language, sizeof(language), "Content-Language: %s", result->content_language);
    const char *const lines[] = { "HTTP/1.1 403 Forbidden", type, length, "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff", id, language };
    const size_t n_lines = sizeof(lines) / sizeof(lines[0]) - (result->content_language[0] == '\0');
    ci_http_response_create(req, 1, 1);
    for (size_t i = 0; i < n_lines; i++)
        if (!ci_http_response_add_header(req, lines[i]))
            return false;
    return true;
}

static bool is_to_remove(const struct sp_txn_edits *edits, struct sp_str name)
{
    if (edits->strip_own && sp_str_starts_nocase(name, SP_STR(OWN_PREFIX)))
        return true;
    for (size_t i = 0; i < edits->n_remove; i++)
        if (sp_str_equal_nocase(name, sp_str_from(edits->remove[i])))
            return true;
    return false;
}

/* c-icap removes by exact name up to the colon; a client may have put blanks there, so the name is taken from the line. */
static void remove_fields(ci_headers_list_t *head, const struct sp_txn_edits *edits)
{
    for (int i = 1; i < head->used;) {
        const char *line = head->headers[i];
        const char *colon = strchr(line, ':');
        struct sp_str name = { line, colon ? (size_t) (colon - line) : strlen(line) };
        char exact[HEADER_SIZE];
        if (!colon || !is_to_remove(edits, sp_str_trim(name)) || name.n >= sizeof(exact)
            || !ci_headers_remove(head, sp_str_copy(name, exact, sizeof(exact))))
            i++;
    }
}

static bool apply_edits(ci_request_t *req, const struct sp_txn_edits *edits)
{
    ci_headers_list_t *head = ci_req_type(req) == ICAP_RESPMOD ? ci_http_response_headers(req) : ci_http_request_headers(req);
    if (!head)
        return true;
    if (edits->strip_own || edits->n_remove > 0)
        remove_fields(head, edits);
    for (size_t i = 0; i < edits->n_add; i++)
        if (!ci_headers_add(head, edits->add[i]))
            return false;
    return true;
}

/* One block of memory: the lines' addresses, then their text. */
static bool copy_lines(const ci_headers_list_t *head, struct bridge_copy *copy)
{
    size_t n = (size_t) head->used, bytes = n * sizeof(char *);
    for (size_t i = 0; i < n; i++)
        bytes += strlen(head->headers[i]) + 1;
    copy->lines = malloc(bytes);
    if (!copy->lines)
        return false;
    char *at = (char *) (copy->lines + n);
    for (size_t i = 0; i < n; i++) {
        size_t line_bytes = strlen(head->headers[i]) + 1;
        copy->lines[i] = memcpy(at, head->headers[i], line_bytes);
        at += line_bytes;
    }
    return true;
}

static bool keep_view(struct sp_message *view, enum sp_message_kind kind, const ci_headers_list_t *head, struct bridge_copy *copy)
{
    if (!head || head->used == 0)
        return true;
    sp_message_fini(view);
    return copy_lines(head, copy) && sp_message_init_lines(view, kind, copy->lines, (size_t) head->used) == SP_OK;
}

/* c-icap lets go of the request's head and adds to the response's when the reply begins. */
static bool keep_views(struct bridge *b)
{
    return keep_view(&b->request, SP_MESSAGE_REQUEST, ci_http_request_headers(b->req), &b->kept_request)
        && keep_view(&b->response, SP_MESSAGE_RESPONSE, ci_http_response_headers(b->req), &b->kept_response);
}

bool bridge_reply(struct bridge *b, enum sp_step step)
{
    if (b->is_replied)
        return true;
    b->is_replied = true;
    if (step == SP_STEP_TRICKLE)
        return keep_views(b) && apply_edits(b->req, sp_txn_edits(b->txn));
    const struct sp_txn_result *result = sp_txn_result(b->txn);
    bool is_done = true;
    if (result->action == SP_ACTION_BLOCK)
        is_done = add_verdict_fields(b->req, result);
    if (step == SP_STEP_BLOCK)
        return is_done && make_page_head(b->req, result);
    return is_done && apply_edits(b->req, sp_txn_edits(b->txn));
}
