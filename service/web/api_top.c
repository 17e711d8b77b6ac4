/* /api/top: who and what was refused most, of the decisions held. What passed because mode is "monitor" counts too: it is what would
 * have been refused. */
#include "config.h"

#include "api.h"
#include "writer.h"

#include "sallyport/clock.h"

#include <stdlib.h>
#include <string.h>

#define TOP_ROWS 10
#define MINUTES_DEFAULT 60
#define MINUTES_MAX 1440
#define TEXT_MAX 4096u
#define SLACK_US 2000000 /* the clock may be set and we have not seen it yet */

enum list { LIST_RULES, LIST_HOSTS, LIST_CLIENTS, LIST_USERS, LIST_SIGNATURES, LISTS };
static const char *const list_names[LISTS] = { "rules", "hosts", "clients", "users", "signatures" };

struct row {
    struct sp_str name; /* as it is, or escaped as in the log */
    unsigned n;
};

static struct sp_str field_of(const struct sp_web_entry *entry, enum list list)
{
    const struct sp_decline *d = &entry->d;
    const struct sp_str fields[LISTS] = { d->rule, entry->host, d->client, d->user, d->signature };
    return fields[list];
}

static bool is_refused(const struct sp_decline *d)
{
    return (d->has_action && d->action == SP_ACTION_BLOCK) || d->is_monitored;
}

static int compare_names(const void *a, const void *b)
{
    const struct sp_str *p = a, *q = b;
    const size_t n = p->n < q->n ? p->n : q->n;
    int order = n > 0 ? memcmp(p->p, q->p, n) : 0;
    return order != 0 ? order : (p->n > q->n) - (p->n < q->n);
}

/* Keeps the rows with the most, in falling order. Returns how many there are then. */
static unsigned keep(struct row top[TOP_ROWS], unsigned n, struct row row)
{
    if (n == TOP_ROWS && top[n - 1].n >= row.n)
        return n;
    unsigned at = n < TOP_ROWS ? n++ : n - 1;
    for (; at > 0 && top[at - 1].n < row.n; at--)
        top[at] = top[at - 1];
    top[at] = row;
    return n;
}

/* names is sorted, so what is the same lies together. */
static unsigned rank(struct sp_str *names, size_t n, struct row top[TOP_ROWS])
{
    unsigned rows = 0;
    for (size_t i = 0, next; i < n; i = next) {
        for (next = i + 1; next < n && sp_str_equal(names[i], names[next]);)
            next++;
        rows = keep(top, rows, (struct row){ names[i], (unsigned) (next - i) });
    }
    return rows;
}

static void write_list(struct sp_json *json, enum list list, const struct row *top, unsigned rows)
{
    struct sp_buf text;
    sp_buf_init(&text, TEXT_MAX * 8);
    sp_json_key(json, list_names[list]);
    sp_json_open(json, '[');
    for (unsigned i = 0; i < rows && json->status == SP_OK; i++) {
        struct sp_str name = top[i].name;
        sp_buf_clear(&text);
        if (list != LIST_HOSTS) { /* which are not escaped any more */
            json->status = sp_decline_text(name, &text);
            name = (struct sp_str){ text.p, text.n };
        }
        sp_json_open(json, '{');
        sp_json_add_text(json, "name", name);
        sp_json_add_number(json, "n", top[i].n);
        sp_json_close(json, '}');
    }
    sp_json_close(json, ']');
    sp_buf_fini(&text);
}

/* What seems to be of the future is of a time when the clock was wrong. */
static size_t collect(const struct sp_web_recent *recent, int64_t since_us, int64_t until_us, enum list list, struct sp_str *names,
    int64_t *oldest_us)
{
    const struct sp_web_entry *entry;
    size_t n = 0;
    for (size_t i = 0; (entry = sp_web_recent_at(recent, i)) != NULL; i++) {
        struct sp_str name = field_of(entry, list);
        if (entry->when_us < since_us || entry->when_us > until_us)
            continue;
        *oldest_us = entry->when_us < *oldest_us ? entry->when_us : *oldest_us;
        if (is_refused(&entry->d) && name.n > 0 && name.n <= TEXT_MAX)
            names[n++] = name;
    }
    return n;
}

/* "since": how far back what is held goes, within what was asked for. */
enum sp_status sp_web_api_top(struct sp_web_world *world, const struct sp_web_request *request, struct sp_web_reply *reply)
{
    uint64_t minutes = MINUTES_DEFAULT;
    bool is_good = request->n_args == 0 ||
        (request->n_args == 1 && sp_str_equal(request->args[0].name, SP_STR("minutes")) &&
            sp_web_number(request->args[0].value, MINUTES_MAX, &minutes) && minutes > 0);
    if (!is_good)
        return sp_web_api_fault(reply, 400, "minutes is 1 to 1440");
    struct sp_json json = { .out = &reply->body };
    struct row top[TOP_ROWS];
    const int64_t now_us = sp_clock_wall_us(), since_us = now_us - (int64_t) minutes * 60 * 1000000;
    int64_t oldest_us = now_us;
    reply->type = SP_WEB_JSON;
    struct sp_str *names = calloc(SP_WEB_RECENT_MAX, sizeof(*names));
    if (!names)
        return SP_ERR_NOMEM;
    sp_json_open(&json, '{');
    pthread_mutex_lock(&world->lock);
    for (unsigned list = 0; list < LISTS; list++) {
        size_t n = collect(world->recent, since_us, now_us + SLACK_US, (enum list) list, names, &oldest_us);
        qsort(names, n, sizeof(*names), compare_names);
        write_list(&json, (enum list) list, top, rank(names, n, top));
    }
    pthread_mutex_unlock(&world->lock);
    free(names);
    sp_json_add_number(&json, "since", oldest_us / 1000);
    sp_json_close(&json, '}');
    return json.status;
}
