/* The text of a list to a table. Lists come from strangers by way of a download that may have gone wrong, so what is no domain
 * is counted, and a file that is mostly something else is refused as a whole: a page that says "not found" must not
 * become a list of its words. */
#include "config.h"

#include "domains_priv.h"

#include "sallyport/text.h"

#include <stdlib.h>
#include <string.h>

#define MAX_LINE_BYTES 1024
#define LABEL_MAX 63
#define BAD_ONE_IN 100
#define SHOWN_BYTES 64

struct builder {
    const char *name;
    struct sp_error *err;
    struct sp_domain_table *table;
    uint64_t line;      /* number of the one at hand */
    uint64_t n_lines;   /* that say something */
    uint64_t first_bad; /* number of the first bad one; 0 */
    char first_shown[SHOWN_BYTES];
};

/* --- names ----------------------------------------------------------------------------------------------------------- */

/* RFC 1035 letters and digits, and the underscore that names in use have. */
static bool is_label_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool is_domain(const struct sp_host *name, bool may_be_short)
{
    size_t label = 0;
    size_t n_labels = 1;
    bool is_number = true; /* the last label: then it is no domain, and as an address it was not readable */
    for (size_t i = 0; i < name->n; i++) {
        char c = name->bytes[i];
        if (c == '.') {
            if (label == 0)
                return false;
            label = 0;
            n_labels++;
            is_number = true;
            continue;
        }
        is_number = is_number && c >= '0' && c <= '9';
        if (!is_label_byte(c) || ++label > LABEL_MAX)
            return false;
    }
    return label > 0 && !is_number && n_labels <= SP_DOMAIN_MAX_LABELS && (n_labels > 1 || may_be_short);
}

bool sp_domain_parse(struct sp_str text, bool may_be_short, struct sp_host *name_out)
{
    bool has_star = text.n > 2 && text.p[0] == '*' && text.p[1] == '.';
    bool has_dot = text.n > 1 && text.p[0] == '.';
    size_t skip = has_star ? 2 : has_dot ? 1 : 0;
    sp_host_normalise((struct sp_str){ text.p + skip, text.n - skip }, name_out);
    if (name_out->is_address)
        return skip == 0;
    return is_domain(name_out, may_be_short || skip > 0);
}

/* --- table ----------------------------------------------------------------------------------------------------------- */

static void insert(struct sp_domain_table *table, struct sp_domain_key key)
{
    uint64_t at = sp_domain_place(key.a, table->n_slots);
    for (;;) { /* there are more slots than names */
        struct sp_domain_key *slot = &table->owned[at];
        if (slot->a == key.a && slot->b == key.b)
            return;
        if (slot->a == 0 && slot->b == 0) {
            *slot = key;
            table->n_entries++;
            return;
        }
        if (++at == table->n_slots)
            at = 0;
    }
}

/* --- lines ----------------------------------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Takes the next word off the front of s; empty at the end, and where a comment begins. */
static struct sp_str take_word(struct sp_str *s)
{
    size_t start = 0;
    while (start < s->n && is_blank(s->p[start]))
        start++;
    size_t end = start;
    while (end < s->n && !is_blank(s->p[end]) && !(end == start && s->p[end] == '#'))
        end++;
    struct sp_str word = { s->p + start, end - start };
    s->p += end;
    s->n -= end;
    return word;
}

static bool is_null_address(struct sp_str word)
{
    return sp_str_equal(word, SP_STR("0.0.0.0")) || sp_str_equal(word, SP_STR("127.0.0.1")) || sp_str_equal(word, SP_STR("::")) ||
        sp_str_equal(word, SP_STR("::1"));
}

static bool read_name(struct builder *b, struct sp_str word)
{
    struct sp_host name;
    if (!sp_domain_parse(word, false, &name))
        return false;
    insert(b->table, sp_domain_key_of(&name));
    return true;
}

/* Behind the address of a hosts file: names without a dot are the machine's own (localhost), and some files name the address itself.
 * Behind another address than those that lead nowhere there may be such names alone. */
static bool read_hosts(struct builder *b, bool is_null, struct sp_str word, struct sp_str rest)
{
    bool is_good = true;
    for (; word.n > 0; word = take_word(&rest)) {
        struct sp_host host;
        sp_host_normalise(word, &host);
        bool is_local = host.n > 0 && (host.is_address || !memchr(host.bytes, '.', host.n));
        if (!is_local && !(is_null && read_name(b, word)))
            is_good = false;
    }
    return is_good;
}

static void read_line(struct builder *b, struct sp_str line)
{
    struct sp_str rest = line;
    struct sp_str word = take_word(&rest);
    if (word.n == 0)
        return;
    struct sp_str next = take_word(&rest);
    b->n_lines++;
    bool is_good = false;
    struct sp_netaddr address;
    if (next.n == 0)
        is_good = read_name(b, word);
    else if (sp_netaddr_parse(word, &address))
        is_good = read_hosts(b, is_null_address(word), next, rest);
    if (is_good)
        return;
    b->table->n_bad++;
    if (b->first_bad == 0) {
        b->first_bad = b->line;
        sp_text_escape(line, b->first_shown, sizeof(b->first_shown));
    }
}

/* Takes the next line off the front of text, without its end. */
static struct sp_str take_line(struct sp_str *text)
{
    const char *newline = memchr(text->p, '\n', text->n);
    struct sp_str line = { text->p, newline ? (size_t) (newline - text->p) : text->n };
    size_t used = line.n + (newline ? 1 : 0);
    text->p += used;
    text->n -= used;
    return line;
}

/* The most names that the text can hold, for the size of the table. */
static uint64_t count_names(struct sp_str text)
{
    uint64_t n = 0;
    while (text.n > 0) {
        struct sp_str line = take_line(&text);
        struct sp_str word = take_word(&line);
        if (word.n == 0)
            continue;
        n++;
        for (word = take_word(&line), word = take_word(&line); word.n > 0; word = take_word(&line))
            n++; /* from the third word on, of which the first is an address */
    }
    return n;
}

static enum sp_status read_lines(struct builder *b, struct sp_str text)
{
    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
        text.p += 3;
        text.n -= 3;
    }
    while (text.n > 0) {
        b->line++;
        struct sp_str line = take_line(&text);
        if (line.n > MAX_LINE_BYTES)
            return sp_error_set(b->err, SP_ERR_CONF, "%s:%llu: a line of more than %d bytes: this is not a list of domains", b->name,
                (unsigned long long) b->line, MAX_LINE_BYTES);
        read_line(b, line);
    }
    if (b->table->n_bad > b->n_lines / BAD_ONE_IN)
        return sp_error_set(b->err, SP_ERR_CONF, "%s:%llu: \"%s\" is not a domain (%llu of %llu lines are none: too many)", b->name,
            (unsigned long long) b->first_bad, b->first_shown, (unsigned long long) b->table->n_bad, (unsigned long long) b->n_lines);
    return SP_OK;
}

enum sp_status sp_domain_table_build(struct sp_str text, const char *name, struct sp_error *err, struct sp_domain_table *table)
{
    uint64_t most = count_names(text);
    *table = (struct sp_domain_table){ .n_slots = most + most / 2 + 1, .digest = sp_domain_hash(text.p, text.n) };
    table->owned = calloc(table->n_slots, sizeof(*table->owned));
    if (!table->owned) {
        *table = (struct sp_domain_table){ 0 };
        return sp_error_set(err, SP_ERR_NOMEM, "%s: no memory for about %llu domains", name, (unsigned long long) most);
    }
    table->slots = table->owned;
    struct builder b = { .name = name, .err = err, .table = table };
    enum sp_status status = read_lines(&b, text);
    if (status != SP_OK)
        sp_domain_table_fini(table);
    return status;
}
