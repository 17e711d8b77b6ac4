/* Decisions as lines of JSON: what is in a line, and how many lines there may be. The line is made without memory of its own but
 * one buffer, for with log.decisions = "all" it is made for each transaction.
 *
 * What was lost is told in the log itself, once a second at most, before the next line that can be written. */
#include "config.h"

#include "declog_priv.h"

#include "sallyport/assert.h"
#include "sallyport/buf.h"
#include "sallyport/clock.h"
#include "sallyport/siphash.h"
#include "sallyport/text.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX_BYTES 8192
#define TEXT_MAX_BYTES 1024
#define CLEAN_MAX_BYTES (4 * URL_MAX_BYTES) /* a byte becomes at most three, plus the mark of a cut */
#define LINE_MAX_BYTES (1024u * 1024u)      /* more than there can be: each byte of each field as \u00XX */
#define US_PER_S 1000000
#define KEY_DIGITS 32
#define LOST_REASON "past a limit, or not taken"

struct sp_declog {
    struct sp_declog_file *file;     /* owned; one of the two, or neither: drops everything */
    struct sp_declog_socket *socket; /* owned */
    int64_t max_rate;                /* immutable */
    enum sp_declog_urls urls;        /* immutable */
    bool has_key;                    /* immutable */
    uint64_t key[2];                 /* immutable */
    _Atomic int64_t second;          /* for which lines are counted in n_lines */
    _Atomic int64_t n_lines;
    _Atomic uint64_t n_lost; /* and not told yet */
    _Atomic int64_t next_told_us;
};

/* --- pseudonyms -------------------------------------------------------------------------------------------------------- */

static bool read_key(const char *text, uint64_t key[2])
{
    if (strlen(text) != KEY_DIGITS || strspn(text, "0123456789abcdefABCDEF") != KEY_DIGITS)
        return false;
    for (int i = 0; i < 2; i++) {
        char half[KEY_DIGITS / 2 + 1] = "";
        memcpy(half, text + i * (KEY_DIGITS / 2), KEY_DIGITS / 2);
        key[i] = strtoull(half, NULL, 16);
    }
    return true;
}

/* The text's bytes in words, the last one filled up with zeros, and its length. */
static void make_pseudonym(const uint64_t key[2], struct sp_str text, char out[SP_DECLOG_PSEUDONYM_SIZE])
{
    uint64_t words[TEXT_MAX_BYTES / sizeof(uint64_t) + 1] = { 0 };
    const size_t n = text.n < TEXT_MAX_BYTES ? text.n : TEXT_MAX_BYTES, n_words = (n + 7) / 8;
    for (size_t i = 0; i < n; i++)
        words[i / 8] |= (uint64_t) (unsigned char) text.p[i] << 8 * (i % 8);
    words[n_words] = text.n;
    snprintf(out, SP_DECLOG_PSEUDONYM_SIZE, "~%016" PRIx64, sp_siphash(key, words, n_words + 1));
}

bool sp_declog_pseudonym(const char *hash_key, struct sp_str text, char out[SP_DECLOG_PSEUDONYM_SIZE])
{
    uint64_t key[2];
    if (!read_key(hash_key, key))
        return false;
    make_pseudonym(key, text, out);
    return true;
}

/* --- life -------------------------------------------------------------------------------------------------------------- */

enum sp_status sp_declog_open(const struct sp_declog_options *options, struct sp_error *err, struct sp_declog **log_out)
{
    *log_out = NULL;
    struct sp_declog *log = calloc(1, sizeof(*log));
    if (!log)
        return sp_error_set(err, SP_ERR_NOMEM, "out of memory");
    log->max_rate = options->max_rate;
    log->urls = options->urls;
    log->has_key = options->hash_key && options->hash_key[0];
    enum sp_status status = SP_OK;
    if (log->has_key && !read_key(options->hash_key, log->key))
        status = sp_error_set(err, SP_ERR_CONF, "log.hash_key must be %d hexadecimal digits", KEY_DIGITS);
    else if (options->to != SP_DECLOG_TO_FILE)
        status = sp_declog_socket_open(options->to == SP_DECLOG_TO_JOURNAL, options->path, err, &log->socket);
    else if (options->path && options->path[0])
        status = sp_declog_file_open(options->path, options->max_size, err, &log->file);
    if (status == SP_OK)
        *log_out = log;
    else
        sp_declog_close(&log);
    return status;
}

/* --- the line ---------------------------------------------------------------------------------------------------------- */

/* One object in the making; the first failure makes the rest do nothing. */
struct line {
    struct sp_buf text;
    struct sp_buf clean; /* reused from field to field */
    bool is_failed;
};

static void put(struct line *line, const char *p, size_t n)
{
    if (!line->is_failed && sp_buf_add(&line->text, p, n) != SP_OK)
        line->is_failed = true;
}

/* The name of the next field. Names are ours: nothing in them needs an escape. */
static void put_name(struct line *line, const char *name)
{
    put(line, line->text.n > 1 ? ",\"" : "\"", line->text.n > 1 ? 2 : 1);
    put(line, name, strlen(name));
    put(line, "\":", 2);
}

/* RFC 8259 7. */
static size_t escape(char c, char out[8])
{
    static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof(named); i += 2) {
        if (named[i] == c) {
            out[0] = '\\';
            out[1] = named[i + 1];
            return 2;
        }
    }
    return (size_t) snprintf(out, 8, "\\u%04x", (unsigned char) c);
}

static void put_string(struct line *line, const char *p, size_t n)
{
    put(line, "\"", 1);
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        char escaped[8];
        if ((unsigned char) p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')
            continue;
        put(line, p + from, i - from);
        put(line, escaped, escape(p[i], escaped));
        from = i + 1;
    }
    put(line, p + from, n - from);
    put(line, "\"", 1);
}

static void add_text(struct line *line, const char *name, struct sp_str text, size_t max)
{
    if (text.n == 0 || line->is_failed)
        return;
    sp_buf_clear(&line->clean);
    if (sp_text_clean(text, max, &line->clean) != SP_OK) {
        line->is_failed = true;
        return;
    }
    put_name(line, name);
    put_string(line, line->clean.p, line->clean.n);
}

static void add_cstr(struct line *line, const char *name, const char *text)
{
    add_text(line, name, sp_str_from(text), TEXT_MAX_BYTES);
}

static void add_number(struct line *line, const char *name, uint64_t number)
{
    char text[24];
    put_name(line, name);
    put(line, text, (size_t) snprintf(text, sizeof(text), "%" PRIu64, number));
}

static void add_number_if_any(struct line *line, const char *name, uint64_t number)
{
    if (number != 0)
        add_number(line, name, number);
}

static void add_true(struct line *line, const char *name)
{
    put_name(line, name);
    put(line, "true", 4);
}

static uint64_t not_negative(int64_t us)
{
    return us > 0 ? (uint64_t) us : 0;
}

static void add_time(struct line *line, int64_t wall_us)
{
    char when[SP_CLOCK_TEXT_SIZE];
    sp_clock_format(wall_us, when);
    add_cstr(line, "time", when);
}

/* A client or a user. */
static void add_person(struct line *line, const struct sp_declog *log, const char *name, struct sp_str who)
{
    char pseudonym[SP_DECLOG_PSEUDONYM_SIZE];
    if (log->has_key && who.n > 0) {
        make_pseudonym(log->key, who, pseudonym);
        who = sp_str_from(pseudonym);
    }
    add_text(line, name, who, TEXT_MAX_BYTES);
}

/* As much of a URL as may be told. A CONNECT has no more than the host. */
static struct sp_str told_of(enum sp_declog_urls urls, struct sp_str url)
{
    if (urls == SP_DECLOG_URLS_FULL)
        return url;
    size_t n = 0;
    while (n < url.n && url.p[n] != '?' && url.p[n] != '#')
        n++;
    if (urls == SP_DECLOG_URLS_PATH)
        return (struct sp_str){ url.p, n };
    const char *scheme = memmem(url.p, n, "://", 3);
    size_t from = scheme ? (size_t) (scheme - url.p) + 3 : 0;
    const char *slash = memchr(url.p + from, '/', n - from);
    return (struct sp_str){ url.p, slash ? (size_t) (slash - url.p) : n };
}

static void fill(struct line *line, const struct sp_declog *log, const struct sp_decision *d)
{
    put(line, "{", 1);
    add_time(line, d->wall_us);
    add_cstr(line, "id", d->id);
    add_person(line, log, "client", d->client);
    add_person(line, log, "user", d->user);
    add_text(line, "direction", d->direction, TEXT_MAX_BYTES);
    add_text(line, "method", d->method, TEXT_MAX_BYTES);
    add_text(line, "url", told_of(log->urls, d->url), URL_MAX_BYTES);
    add_number_if_any(line, "status", d->status);
    add_cstr(line, "outcome", sp_outcome_name(d->outcome));
    add_cstr(line, "action", sp_action_name(d->action));
    add_cstr(line, "reason", d->reason);
    add_cstr(line, "rule", d->rule);
    add_cstr(line, "category", d->category);
    add_cstr(line, "excepted", d->excepted);
    if (d->is_monitored)
        add_true(line, "monitor");
    if (d->is_cached)
        add_true(line, "cached");
    add_cstr(line, "signature", d->signature);
    add_text(line, "encoding", d->encoding, TEXT_MAX_BYTES);
    add_number(line, "bytes", d->bytes);
    add_number_if_any(line, "generation", d->generation);
    add_number(line, "total_us", not_negative(d->total_us));
    add_number_if_any(line, "scan_us", not_negative(d->scan_us));
    put(line, "}\n", 2);
}

static void init_line(struct line *line)
{
    *line = (struct line){ 0 };
    sp_buf_init(&line->text, LINE_MAX_BYTES);
    sp_buf_init(&line->clean, CLEAN_MAX_BYTES);
}

static void fini_line(struct line *line)
{
    sp_buf_fini(&line->text);
    sp_buf_fini(&line->clean);
}

/* --- out --------------------------------------------------------------------------------------------------------------- */

/* False: this second has had its lines. Threads that meet at the turn of a second may count for the old one; a few lines. */
static bool may_write(struct sp_declog *log, int64_t now)
{
    if (log->max_rate == 0)
        return true;
    const int64_t second = now / US_PER_S;
    int64_t counted = atomic_load_explicit(&log->second, memory_order_relaxed);
    if (counted != second && atomic_compare_exchange_strong(&log->second, &counted, second))
        atomic_store(&log->n_lines, 0);
    return atomic_fetch_add_explicit(&log->n_lines, 1, memory_order_relaxed) < log->max_rate;
}

/* The line has its newline. */
static bool send_line(struct sp_declog *log, const struct line *line, struct sp_str fields, int64_t now)
{
    const struct sp_str text = { line->text.p, line->text.n };
    if (line->is_failed)
        return false;
    if (log->file)
        return sp_declog_file_write(log->file, text, now);
    return sp_declog_socket_write(log->socket, (struct sp_str){ text.p, text.n - 1 }, fields);
}

/* What could not be told is kept for the next time. */
static void tell_lost(struct sp_declog *log, int64_t now)
{
    uint64_t lost = atomic_exchange(&log->n_lost, 0);
    if (lost == 0)
        return;
    struct line line;
    init_line(&line);
    put(&line, "{", 1);
    add_time(&line, sp_clock_wall_us());
    add_cstr(&line, "reason", LOST_REASON);
    add_number(&line, "lost", lost);
    put(&line, "}\n", 2);
    if (!send_line(log, &line, SP_STR(""), now))
        atomic_fetch_add(&log->n_lost, lost);
    fini_line(&line);
}

static void tell_lost_if_due(struct sp_declog *log, int64_t now)
{
    int64_t next = atomic_load_explicit(&log->next_told_us, memory_order_relaxed);
    if (atomic_load_explicit(&log->n_lost, memory_order_relaxed) > 0 && now >= next &&
        atomic_compare_exchange_strong(&log->next_told_us, &next, now + US_PER_S))
        tell_lost(log, now);
}

/* What one looks for in a journal without reading JSON: journalctl SALLYPORT_ID=... All of it is ours and without a newline. */
static struct sp_str journal_fields(const struct sp_decision *d, char *out, size_t size)
{
    int n = snprintf(out, size, "\nSALLYPORT_ID=%s\nSALLYPORT_OUTCOME=%s\nSALLYPORT_ACTION=%s\n", d->id ? d->id : "",
        sp_outcome_name(d->outcome), sp_action_name(d->action));
    return (struct sp_str){ out, n > 0 && (size_t) n < size ? (size_t) n : 0 };
}

bool sp_declog_write(struct sp_declog *log, const struct sp_decision *decision)
{
    if (!log->file && !log->socket)
        return true;
    const int64_t now = sp_clock_mono_us();
    bool is_written = may_write(log, now);
    if (is_written) {
        struct line line;
        char fields[256];
        init_line(&line);
        fill(&line, log, decision);
        tell_lost_if_due(log, now);
        is_written = send_line(log, &line, journal_fields(decision, fields, sizeof(fields)), now);
        fini_line(&line);
    }
    if (!is_written)
        atomic_fetch_add_explicit(&log->n_lost, 1, memory_order_relaxed);
    return is_written;
}

void sp_declog_close(struct sp_declog **log)
{
    if (!*log)
        return;
    if ((*log)->file || (*log)->socket)
        tell_lost(*log, sp_clock_mono_us());
    sp_declog_file_close(&(*log)->file);
    sp_declog_socket_close(&(*log)->socket);
    free(*log);
    *log = NULL;
}
