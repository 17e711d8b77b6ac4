/* A ring of decisions, bounded in number and in bytes: an attacker who asks for long addresses makes the memory of it shorter, never
 * larger. */
#include "config.h"

#include "recent.h"

#include "host.h"

#include <stdlib.h>
#include <string.h>

#define HOST_MAX 253
#define URL_TEXT_MAX (256u * 1024)

struct sp_web_recent {
    size_t first, n; /* entries[first] is the oldest */
    size_t bytes;
    uint64_t last_number;
    struct sp_web_entry *entries[SP_WEB_RECENT_MAX]; /* owned */
};

struct sp_web_recent *sp_web_recent_new(void)
{
    return calloc(1, sizeof(struct sp_web_recent));
}

static void drop_oldest(struct sp_web_recent *recent)
{
    struct sp_web_entry *entry = recent->entries[recent->first];
    recent->bytes -= entry->bytes;
    free(entry);
    recent->entries[recent->first] = NULL;
    recent->first = (recent->first + 1) % SP_WEB_RECENT_MAX;
    recent->n--;
}

void sp_web_recent_free(struct sp_web_recent **recent)
{
    if (!*recent)
        return;
    while ((*recent)->n > 0)
        drop_oldest(*recent);
    free(*recent);
    *recent = NULL;
}

/* The entry, the line and the host lie in one piece of memory. */
struct sp_web_entry *sp_web_entry_new(struct sp_str line)
{
    struct sp_decline d;
    struct sp_web_entry *entry = NULL;
    struct sp_buf url;
    sp_buf_init(&url, URL_TEXT_MAX);
    if (sp_decline_parse(line, &d) != SP_OK || d.lost > 0 || sp_decline_text(d.url, &url) != SP_OK)
        goto out;
    struct sp_str host = sp_web_host((struct sp_str){ url.p, url.n });
    if (host.n > HOST_MAX)
        host.n = HOST_MAX;
    size_t bytes = sizeof(*entry) + line.n + host.n;
    entry = calloc(1, bytes);
    if (!entry)
        goto out;
    char *copy = (char *) (entry + 1), *name = copy + line.n;
    memcpy(copy, line.p, line.n);
    for (size_t i = 0; i < host.n; i++)
        name[i] = (char) (host.p[i] >= 'A' && host.p[i] <= 'Z' ? host.p[i] | 0x20 : host.p[i]);
    entry->line = (struct sp_str){ copy, line.n };
    entry->host = (struct sp_str){ name, host.n };
    entry->bytes = bytes;
    if (sp_decline_parse(entry->line, &entry->d) != SP_OK) { /* again: it points into what it was read from */
        free(entry);
        entry = NULL;
    } else {
        entry->when_us = d.wall_us;
    }
out:
    sp_buf_fini(&url);
    return entry;
}

void sp_web_recent_add(struct sp_web_recent *recent, struct sp_str line)
{
    struct sp_web_entry *entry = sp_web_entry_new(line);
    if (!entry)
        return;
    while (recent->n > 0 && (recent->n == SP_WEB_RECENT_MAX || recent->bytes + entry->bytes > SP_WEB_RECENT_BYTES))
        drop_oldest(recent);
    entry->number = ++recent->last_number;
    recent->entries[(recent->first + recent->n) % SP_WEB_RECENT_MAX] = entry;
    recent->n++;
    recent->bytes += entry->bytes;
}

void sp_web_recent_shift(struct sp_web_recent *recent, int64_t us)
{
    for (size_t i = 0; i < recent->n; i++) {
        struct sp_web_entry *entry = recent->entries[(recent->first + i) % SP_WEB_RECENT_MAX];
        const bool is_known = entry->when_us > 0 && entry->when_us > -us;
        entry->when_us = is_known ? entry->when_us + us : 0;
    }
}

const struct sp_web_entry *sp_web_recent_at(const struct sp_web_recent *recent, size_t i)
{
    return i < recent->n ? recent->entries[(recent->first + recent->n - 1 - i) % SP_WEB_RECENT_MAX] : NULL;
}

size_t sp_web_recent_count(const struct sp_web_recent *recent)
{
    return recent->n;
}
