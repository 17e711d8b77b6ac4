/* multipart/anything (RFC 2046 5.1): finds the delimiter lines, collects the heads of parts, hands the rest to the part.
 *
 * Bytes that may turn out to be a delimiter are held until that is known: at most a line end, the delimiter and some padding. So the
 * work is linear and the memory bounded, whatever comes. Two rules that types cannot say. The line end before a delimiter belongs to
 * it. And a line that begins as the delimiter and goes on is content to some receivers and the end of the part to others (the RFC
 * allows both): it is taken as content, and the body is BAD. The same holds for other things that only an attacker writes. */
#include "config.h"

#include "sallyport/buf.h"
#include "split_multipart_priv.h"

#include <stdlib.h>
#include <string.h>

#define MAX_HEAD_BYTES (16u * 1024u)
#define MAX_TAIL 256      /* after the boundary on its line */
#define GATHER_BYTES 2048 /* a body of line ends comes byte by byte, and a sink may ask the kernel for each */

#define START_LINE "HTTP/1.1 200\r\n" /* a part has none, the parser of heads wants one */
#define START_BYTES (sizeof(START_LINE) - 1)
#define HEAD_END "\r\n\r\n"

enum section {
    OUTSIDE, /* before the first part, behind the last one */
    HEAD,
    BODY
};

enum state {
    MID,  /* within a line that is none of interest; nothing is held */
    CR,   /* a CR is held */
    LINE, /* at the start of a line, or in what may become a delimiter: the line end before it and n_matched bytes are held */
    TAIL  /* behind a whole delimiter, which is held with what came after it on the line */
};

struct multipart {
    struct sp_split_ctx *ctx;
    unsigned depth;
    enum section section;
    enum state state;
    bool is_fed;
    bool is_closed; /* the last delimiter was a closing one */
    bool is_head_cut;
    size_t n_line;    /* bytes of this line that are not held */
    size_t n_matched; /* of the delimiter */
    size_t n_eol;     /* bytes of hold that end the line before */
    size_t n_hold;
    size_t n_needle;
    char needle[1 + 2 + SP_BOUNDARY_MAX]; /* LF "--" boundary */
    char hold[2 + 2 + SP_BOUNDARY_MAX + MAX_TAIL];
    struct sp_buf head;
    struct sp_mime_part part;
    size_t n_gathered;
    char gathered[GATHER_BYTES]; /* content on its way to the part */
};

static void note(struct multipart *m, const char *text)
{
    sp_error_set(&m->ctx->bad, SP_ERR_SYNTAX, "multipart %s", text);
}

/* --- init and fini -------------------------------------------------------------------------------------------------- */

static bool accepts(struct sp_str media_type)
{
    return sp_str_starts_nocase(media_type, SP_STR("multipart/"));
}

static enum sp_split_result init(
    struct sp_split_ctx *ctx, struct sp_str content_type, unsigned depth, struct sp_error *detail, void **state_out)
{
    char boundary[SP_BOUNDARY_MAX];
    struct sp_error odd = { 0 };
    size_t n;
    *state_out = NULL;
    bool is_usable = sp_boundary_parse(content_type, boundary, &n, &odd);
    if (!is_usable) {
        sp_error_set(detail, SP_ERR_SYNTAX, "%s", odd.text);
        return SP_SPLIT_BAD;
    }
    struct multipart *m = calloc(1, sizeof(*m));
    if (m == NULL) {
        sp_error_set(detail, SP_ERR_NOMEM, "no memory for a multipart body");
        return SP_SPLIT_ERROR;
    }
    if (odd.text[0] != '\0')
        sp_error_set(&ctx->bad, SP_ERR_SYNTAX, "%s", odd.text);
    m->ctx = ctx;
    m->depth = depth;
    m->section = OUTSIDE;
    m->state = LINE; /* a delimiter may be the first line */
    memcpy(m->needle, "\n--", 3);
    memcpy(m->needle + 3, boundary, n);
    m->n_needle = n + 3;
    sp_buf_init(&m->head, MAX_HEAD_BYTES + sizeof(START_LINE HEAD_END));
    *state_out = m;
    return SP_SPLIT_OK;
}

static void fini(void *state)
{
    struct multipart *m = state;
    sp_mime_part_fini(&m->part);
    sp_buf_fini(&m->head);
    free(m);
}

/* --- heads and contents of parts -------------------------------------------------------------------------------------- */

static enum sp_split_result head_add(struct multipart *m, const char *p, size_t n, struct sp_error *detail)
{
    if (m->is_head_cut)
        return SP_SPLIT_OK;
    if (m->head.n - START_BYTES + n > MAX_HEAD_BYTES) {
        note(m, "with a part head that is too long");
        m->is_head_cut = true;
        return SP_SPLIT_OK;
    }
    /* Such a line continues another one, and there is none: some skip it, some read it as a field. */
    if (m->head.n == START_BYTES && (p[0] == ' ' || p[0] == '\t'))
        note(m, "with a part head that begins with a blank");
    if (sp_buf_add(&m->head, p, n) == SP_OK)
        return SP_SPLIT_OK;
    sp_error_set(detail, SP_ERR_NOMEM, "no memory for the head of a part");
    return SP_SPLIT_ERROR;
}

static enum sp_split_result pass_on(struct multipart *m, struct sp_error *detail)
{
    size_t n = m->n_gathered;
    m->n_gathered = 0;
    return n > 0 ? sp_mime_part_feed(&m->part, m->gathered, n, detail) : SP_SPLIT_OK;
}

static enum sp_split_result body_add(struct multipart *m, const char *p, size_t n, struct sp_error *detail)
{
    enum sp_split_result result = n > GATHER_BYTES - m->n_gathered ? pass_on(m, detail) : SP_SPLIT_OK;
    if (result != SP_SPLIT_OK)
        return result;
    if (n >= GATHER_BYTES)
        return sp_mime_part_feed(&m->part, p, n, detail);
    memcpy(m->gathered + m->n_gathered, p, n);
    m->n_gathered += n;
    return SP_SPLIT_OK;
}

static enum sp_split_result emit(struct multipart *m, const char *p, size_t n, struct sp_error *detail)
{
    if (n == 0 || m->section == OUTSIDE)
        return SP_SPLIT_OK;
    return m->section == HEAD ? head_add(m, p, n, detail) : body_add(m, p, n, detail);
}

/* What was held is no delimiter. */
static enum sp_split_result release(struct multipart *m, struct sp_error *detail)
{
    size_t n = m->n_hold;
    m->n_line += n - m->n_eol;
    m->n_hold = m->n_eol = 0;
    m->state = MID;
    return emit(m, m->hold, n, detail);
}

static void start_line(struct multipart *m)
{
    m->n_line = m->n_hold = m->n_eol = m->n_matched = 0;
    m->state = LINE;
}

static enum sp_split_result end_head(struct multipart *m, struct sp_error *detail)
{
    if (sp_buf_add_str(&m->head, SP_STR(HEAD_END)) != SP_OK) {
        sp_error_set(detail, SP_ERR_NOMEM, "no memory for the head of a part");
        return SP_SPLIT_ERROR;
    }
    m->section = BODY;
    start_line(m);
    return sp_mime_part_open(&m->part, m->ctx, (struct sp_str){ m->head.p, m->head.n }, m->depth, detail);
}

static enum sp_split_result end_part(struct multipart *m, struct sp_error *detail)
{
    enum section was = m->section;
    m->section = OUTSIDE;
    if (was == HEAD && m->head.n > START_BYTES)
        note(m, "with a part head without its end");
    if (was != BODY)
        return SP_SPLIT_OK;
    enum sp_split_result result = pass_on(m, detail);
    if (result == SP_SPLIT_OK)
        result = sp_mime_part_finish(&m->part, detail);
    sp_mime_part_fini(&m->part);
    return result;
}

static enum sp_split_result start_part(struct multipart *m, struct sp_error *detail)
{
    m->section = HEAD;
    m->is_head_cut = false;
    sp_buf_clear(&m->head);
    if (sp_buf_add_str(&m->head, SP_STR(START_LINE)) == SP_OK)
        return SP_SPLIT_OK;
    sp_error_set(detail, SP_ERR_NOMEM, "no memory for the head of a part");
    return SP_SPLIT_ERROR;
}

/* --- delimiters ------------------------------------------------------------------------------------------------------- */

static size_t tail_at(const struct multipart *m)
{
    return m->n_eol + m->n_needle - 1;
}

static bool is_close(const struct multipart *m)
{
    size_t at = tail_at(m);
    return m->n_hold >= at + 2 && m->hold[at] == '-' && m->hold[at + 1] == '-';
}

static bool is_tail_whole(const struct multipart *m)
{
    size_t at = tail_at(m);
    return m->n_hold == at || m->hold[at] != '-' || is_close(m);
}

/* May c be next in the tail? It is ["--"] *blank [CR] LF; is_tail_whole sees to half a close. */
static bool fits_tail(const struct multipart *m, char c)
{
    size_t at = tail_at(m), n = m->n_hold - at;
    char last = n > 0 ? m->hold[m->n_hold - 1] : '\0';
    if (n >= MAX_TAIL || last == '\r')
        return false;
    if (c == '-')
        return n == 0 || (n == 1 && last == '-');
    return c == ' ' || c == '\t' || c == '\r';
}

static enum sp_split_result delimiter(struct multipart *m, struct sp_error *detail)
{
    m->is_closed = is_close(m);
    start_line(m);
    enum sp_split_result result = end_part(m, detail);
    /* Some receivers read on behind the close delimiter, so OUTSIDE still looks for delimiters. */
    return result == SP_SPLIT_OK && !m->is_closed ? start_part(m, detail) : result;
}

/* A line has ended; its end is held. */
static enum sp_split_result line_end(struct multipart *m, struct sp_error *detail)
{
    if (m->section == HEAD && m->n_line == 0)
        return end_head(m, detail);
    size_t n = m->n_hold;
    start_line(m);
    m->n_hold = m->n_eol = n;
    return SP_SPLIT_OK;
}

static void push(struct multipart *m, char c)
{
    m->hold[m->n_hold++] = c;
}

/* One byte, in any state. */
static enum sp_split_result step(struct multipart *m, char c, struct sp_error *detail)
{
    switch (m->state) {
    case LINE:
        if (c != m->needle[1 + m->n_matched])
            break;
        push(m, c);
        if (++m->n_matched == m->n_needle - 1)
            m->state = TAIL;
        return SP_SPLIT_OK;
    case TAIL:
        if (c == '\n' && is_tail_whole(m))
            return delimiter(m, detail);
        if (fits_tail(m, c)) {
            push(m, c);
            return SP_SPLIT_OK;
        }
        note(m, "with a line that begins as its delimiter");
        break;
    case CR:
        if (c != '\n')
            break;
        push(m, c);
        return line_end(m, detail);
    case MID:
        break;
    }
    enum sp_split_result result = release(m, detail);
    if (result != SP_SPLIT_OK)
        return result;
    if (c == '\r' || c == '\n') {
        push(m, c);
        m->state = CR;
        return c == '\n' ? line_end(m, detail) : SP_SPLIT_OK;
    }
    m->n_line++;
    return emit(m, &c, 1, detail);
}

/* --- content, fast ---------------------------------------------------------------------------------------------------- */

/* Where the end of p begins that may be the start of a delimiter, n if there is none: a line end with some of the delimiter, or CR. */
static size_t find_start(const struct multipart *m, const char *p, size_t n)
{
    size_t window = n < m->n_needle - 1 ? n : m->n_needle - 1;
    const char *line = memrchr(p + n - window, '\n', window);
    if (line != NULL && memcmp(line, m->needle, (size_t) (p + n - line)) == 0)
        return (size_t) (line - p);
    return p[n - 1] == '\r' ? n - 1 : n;
}

/* All of p in state MID, where p[-1] is no CR: as far as it is clear emits it. *used_out may be less than n. */
static enum sp_split_result skim(struct multipart *m, const char *p, size_t n, size_t *used_out, struct sp_error *detail)
{
    const char *hit = memmem(p, n, m->needle, m->n_needle);
    size_t clear = hit != NULL ? (size_t) (hit - p) : find_start(m, p, n);
    if (clear > 0 && clear < n && p[clear] == '\n' && p[clear - 1] == '\r')
        clear--;
    *used_out = clear;
    return emit(m, p, clear, detail);
}

static enum sp_split_result feed(void *state, const char *p, size_t n, struct sp_error *detail)
{
    struct multipart *m = state;
    enum sp_split_result result = SP_SPLIT_OK;
    m->is_fed = m->is_fed || n > 0;
    while (result == SP_SPLIT_OK && n > 0) {
        size_t used = 0;
        if (m->state == MID && m->section != HEAD)
            result = skim(m, p, n, &used, detail);
        p += used;
        n -= used;
        if (result == SP_SPLIT_OK && n > 0) {
            result = step(m, *p, detail);
            p++;
            n--;
        }
    }
    return result;
}

/* The last line may lack its end. */
static enum sp_split_result finish(void *state, struct sp_error *detail)
{
    struct multipart *m = state;
    if (!m->is_fed)
        return SP_SPLIT_OK;
    enum sp_split_result result = m->state == TAIL && is_tail_whole(m) ? delimiter(m, detail) : release(m, detail);
    if (!m->is_closed)
        note(m, "without its close delimiter");
    return result == SP_SPLIT_OK ? end_part(m, detail) : result;
}

const struct sp_split_kind sp_split_multipart = { "multipart", accepts, init, feed, finish, fini };
