/* A raw head to a message view. It splits exactly as c-icap 0.5 does, so that what the tools and the tests see is what the
 * proxy sees. The copy is changed in place: line ends become terminators, NUL bytes become blanks. */
#include "config.h"

#include "sallyport/message_parse.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_MAX_BYTES (1024 * 1024)

struct sp_head {
    struct sp_message msg;
    char *bytes;  /* owned copy; the lines and the message point into it */
    char **lines; /* owned, grown by doubling; no more than the field cap allows */
    size_t n_lines;
    size_t cap_lines;
};

/* Length of the line end at p: 2 for CR LF, 1 for LF, else 0. */
static size_t line_end(const char *p, const char *end)
{
    if (p < end && *p == '\n')
        return 1;
    return end - p >= 2 && p[0] == '\r' && p[1] == '\n' ? 2 : 0;
}

/* Length of the head, which ends with its first empty line; 0 if there is none. */
static size_t head_length(const char *bytes, size_t n)
{
    const char *end = bytes + n;
    const char *line = bytes;
    while (line < end) {
        size_t blank = line_end(line, end);
        if (blank > 0)
            return (size_t) (line - bytes) + blank;
        const char *newline = memchr(line, '\n', (size_t) (end - line));
        if (!newline)
            return 0;
        line = newline + 1;
    }
    return 0;
}

static enum sp_status add_line(struct sp_head *head, char *line)
{
    if (head->n_lines == head->cap_lines) {
        size_t cap = head->cap_lines == 0 ? 64 : head->cap_lines * 2;
        char **lines = realloc(head->lines, cap * sizeof(*lines));
        if (!lines)
            return SP_ERR_NOMEM;
        head->lines = lines;
        head->cap_lines = cap;
    }
    /* The start line does not count as a field. */
    if (head->n_lines > SP_MESSAGE_MAX_FIELDS)
        return SP_ERR_LIMIT;
    head->lines[head->n_lines++] = line;
    return SP_OK;
}

static enum sp_status split_lines(struct sp_head *head, size_t n)
{
    char *end = head->bytes + n;
    char *line = head->bytes;
    for (char *p = head->bytes; p < end;) {
        size_t eol = line_end(p, end);
        if (*p == '\0')
            *p = ' ';
        if (eol == 0 || (p + eol < end && (p[eol] == ' ' || p[eol] == '\t'))) {
            p += eol > 0 ? eol : 1; /* a byte of a line, or a fold that continues it */
            continue;
        }
        *p = '\0';
        p += eol;
        if (*line == '\0')
            break; /* the empty line */
        enum sp_status status = add_line(head, line);
        if (status != SP_OK)
            return status;
        line = p;
    }
    return SP_OK;
}

enum sp_status sp_head_parse(const void *bytes, size_t n, enum sp_message_kind kind, struct sp_head **head_out)
{
    *head_out = NULL;
    if (n > HEAD_MAX_BYTES)
        n = HEAD_MAX_BYTES + 1; /* whether the rest has an end does not matter */
    size_t length = n > 0 ? head_length(bytes, n) : 0;
    if (length > HEAD_MAX_BYTES || (length == 0 && n > HEAD_MAX_BYTES))
        return SP_ERR_LIMIT;
    if (length == 0 || line_end(bytes, (const char *) bytes + n) > 0)
        return SP_ERR_SYNTAX;

    enum sp_status status = SP_ERR_NOMEM;
    struct sp_head *head = calloc(1, sizeof(*head));
    if (!head)
        goto out;
    head->bytes = malloc(length);
    if (!head->bytes)
        goto out;
    memcpy(head->bytes, bytes, length);
    status = split_lines(head, length);
    if (status == SP_OK)
        status = sp_message_init_lines(&head->msg, kind, head->lines, head->n_lines);
    if (status == SP_OK) {
        *head_out = head;
        head = NULL;
    }
out:
    sp_head_free(&head);
    return status;
}

const struct sp_message *sp_head_message(const struct sp_head *head)
{
    return &head->msg;
}

void sp_head_free(struct sp_head **head)
{
    if (!head || !*head)
        return;
    sp_message_fini(&(*head)->msg);
    free((*head)->lines);
    free((*head)->bytes);
    free(*head);
    *head = NULL;
}
