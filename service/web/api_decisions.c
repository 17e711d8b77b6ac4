/* /api/decisions: the latest ones that a filter takes. /api/decision/ID: one in full, also from further back in the log than what is
 * held. What a line says is unescaped and escaped anew: nothing of it is passed on as it stands. */
#include "config.h"

#include "api.h"
#include "writer.h"

#include "sallyport/text.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX (512u * 1024)
#define URL_SHOWN_BYTES 2048 /* in lists; in full with the id */
#define ID_MAX 64
#define SAME_ID_MAX 8
#define SEARCH_BYTES (64u * 1024 * 1024)
#define PAGE_BYTES (SP_WEB_BODY_MAX / 2) /* a list ends when it is that long */

struct writer {
    struct sp_json json;
    struct sp_buf text; /* reused from field to field */
    size_t max;         /* bytes of a field that are shown */
};

static void add_field(struct writer *w, const char *key, struct sp_str raw)
{
    if (raw.n == 0 || w->json.status != SP_OK)
        return;
    sp_buf_clear(&w->text);
    w->json.status = sp_decline_text(raw, &w->text);
    struct sp_str text = { w->text.p, w->text.n };
    bool is_cut = text.n > w->max;
    if (is_cut) { /* not inside a character */
        text.n = w->max;
        while (text.n > 0 && ((unsigned char) text.p[text.n] & 0xc0) == 0x80)
            text.n--;
    }
    sp_json_add_text(&w->json, key, text);
    if (is_cut && strcmp(key, "url") == 0)
        sp_json_add_bool(&w->json, "url_cut", true);
}

static void add_positive(struct writer *w, const char *key, int64_t number)
{
    if (number > 0)
        sp_json_add_number(&w->json, key, number);
}

static void write_entry(struct writer *w, const struct sp_web_entry *entry)
{
    const struct sp_decline *d = &entry->d;
    struct sp_json *json = &w->json;
    sp_json_open(json, '{');
    add_positive(w, "number", (int64_t) entry->number);
    add_positive(w, "time", d->wall_us / 1000);
    add_field(w, "id", d->id);
    add_field(w, "client", d->client);
    add_field(w, "user", d->user);
    add_field(w, "direction", d->direction);
    add_field(w, "method", d->method);
    add_field(w, "url", d->url);
    if (entry->host.n > 0)
        sp_json_add_text(json, "host", entry->host);
    add_positive(w, "status", d->status);
    sp_json_add_cstr(json, "outcome", d->outcome == SP_OUTCOME_COUNT ? "unknown" : sp_outcome_name(d->outcome));
    if (d->has_action)
        sp_json_add_cstr(json, "action", sp_action_name(d->action));
    add_field(w, "reason", d->reason);
    add_field(w, "rule", d->rule);
    add_field(w, "category", d->category);
    add_field(w, "excepted", d->excepted);
    if (d->is_monitored)
        sp_json_add_bool(json, "monitor", true);
    if (d->is_cached)
        sp_json_add_bool(json, "cached", true);
    add_field(w, "signature", d->signature);
    add_field(w, "encoding", d->encoding);
    sp_json_add_number(json, "bytes", (int64_t) (d->bytes & INT64_MAX));
    add_positive(w, "generation", d->generation);
    add_positive(w, "total_us", d->total_us);
    add_positive(w, "scan_us", d->scan_us);
    sp_json_close(json, '}');
}

static void writer_begin(struct writer *w, struct sp_web_reply *reply, size_t max)
{
    *w = (struct writer){ .json = { .out = &reply->body }, .max = max };
    sp_buf_init(&w->text, TEXT_MAX);
    reply->type = SP_WEB_JSON;
    sp_json_open(&w->json, '{');
    sp_json_key(&w->json, "decisions");
    sp_json_open(&w->json, '[');
}

static enum sp_status writer_end(struct writer *w)
{
    sp_json_close(&w->json, '}');
    sp_buf_fini(&w->text);
    return w->json.status;
}

/* Newest first. "before": where the next page begins, if there is one; "newest": the number of the newest of all, taken or not. */
enum sp_status sp_web_api_decisions(struct sp_web_world *world, const struct sp_web_request *request, struct sp_web_reply *reply)
{
    struct sp_web_filter filter;
    const char *fault;
    struct writer w;
    if (!sp_web_filter_parse(request->args, request->n_args, &filter, &fault))
        return sp_web_api_fault(reply, 400, fault);
    sp_web_filter_hash(&filter, world->options->conf->log_hash_key);
    uint64_t next = 0, newest = 0;
    unsigned n = 0;
    writer_begin(&w, reply, URL_SHOWN_BYTES);
    pthread_mutex_lock(&world->lock);
    const struct sp_web_entry *entry = sp_web_recent_at(world->recent, 0);
    newest = entry ? entry->number : 0;
    for (size_t i = 0; next == 0 && (entry = sp_web_recent_at(world->recent, i)) != NULL; i++) {
        if (!sp_web_filter_takes(&filter, entry))
            continue;
        if (n++ < filter.limit && reply->body.n < PAGE_BYTES)
            write_entry(&w, entry);
        else
            next = entry->number + 1;
    }
    size_t held = sp_web_recent_count(world->recent);
    pthread_mutex_unlock(&world->lock);
    sp_json_close(&w.json, ']');
    add_positive(&w, "before", (int64_t) next);
    sp_json_add_number(&w.json, "newest", (int64_t) newest);
    sp_json_add_number(&w.json, "held", (int64_t) held);
    return writer_end(&w);
}

/* --- one ------------------------------------------------------------------------------------------------------------------ */

struct found {
    struct writer *writer;
    struct sp_str id;
    unsigned n;
    struct sp_str seen[SAME_ID_MAX]; /* lines, owned: the search may come by one twice */
};

static void write_found(struct found *f, const struct sp_web_entry *entry)
{
    for (unsigned i = 0; i < f->n; i++)
        if (sp_str_equal(f->seen[i], entry->line))
            return;
    char *copy = f->n < SAME_ID_MAX ? malloc(entry->line.n + 1) : NULL;
    if (!copy)
        return;
    memcpy(copy, entry->line.p, entry->line.n);
    f->seen[f->n++] = (struct sp_str){ copy, entry->line.n };
    write_entry(f->writer, entry);
}

static void take_line(void *arg, struct sp_str line)
{
    struct found *f = arg;
    struct sp_web_entry *entry = sp_web_entry_new(line);
    if (entry && sp_str_equal(entry->d.id, f->id))
        write_found(f, entry);
    free(entry);
}

/* Ids are letters, digits and a few signs; anything else would have been escaped in the log. */
static bool is_id(struct sp_str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] > '~' || strchr("\"\\<>&'", text.p[i]) != NULL)
            return false;
    return text.n > 0 && text.n <= ID_MAX;
}

enum sp_status sp_web_api_decision(struct sp_web_world *world, const struct sp_web_request *request, struct sp_web_reply *reply)
{
    struct writer w;
    struct found f = { .writer = &w, .id = request->rest };
    if (request->n_args > 0 || !is_id(request->rest))
        return sp_web_api_fault(reply, 400, "this is no reference");
    writer_begin(&w, reply, TEXT_MAX);
    pthread_mutex_lock(&world->lock);
    const struct sp_web_entry *entry;
    for (size_t i = 0; f.n < SAME_ID_MAX && (entry = sp_web_recent_at(world->recent, i)) != NULL; i++)
        if (sp_str_equal(entry->d.id, f.id))
            write_found(&f, entry);
    pthread_mutex_unlock(&world->lock);
    const char *log_file = sp_web_log_file(world->options->conf);
    if (f.n == 0 && log_file[0] != '\0')
        sp_web_follow_search(log_file, f.id, SEARCH_BYTES, take_line, &f);
    for (unsigned i = 0; i < f.n; i++)
        free((void *) (uintptr_t) f.seen[i].p);
    sp_json_close(&w.json, ']');
    enum sp_status status = writer_end(&w);
    if (status == SP_OK && f.n == 0)
        return sp_web_api_fault(reply, 404, "no decision with this reference is in the log; older logs: sallyport find");
    return status;
}
