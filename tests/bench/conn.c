/* ICAP as a client speaks it (RFC 3507 4.4 to 4.6). The request is built once a class of bodies; only the digits in its URLs change
 * from one transaction to the next, so that the generator takes little of the processors that it measures. */
#include "config.h"

#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static const char end_of_body[] = "\r\n0\r\n\r\n";
static const char end_of_whole_body[] = "\r\n0; ieof\r\n\r\n";
static const char agent[] = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

static size_t build_request_head(const struct conn_target *target, char *out, size_t room)
{
    return (size_t) snprintf(out, room,
        "GET http://www.bench.example/items/0000000000000000.html HTTP/1.1\r\n"
        "Host: www.bench.example\r\nUser-Agent: %s\r\nAccept: text/html,application/xhtml+xml,*/*;q=0.8\r\n"
        "Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nReferer: http://www.bench.example/\r\n"
        "Cookie: session=4a1f0c9d8e7b6a55; theme=light\r\n%s\r\n",
        agent, target->is_reqmod ? "Cache-Control: max-age=259200\r\n" : "");
}

static size_t build_response_head(size_t body_bytes, const char *type, char *out, size_t room)
{
    return (size_t) snprintf(out, room,
        "HTTP/1.1 200 OK\r\nDate: Mon, 02 Jun 2025 10:00:00 GMT\r\nServer: Apache\r\nLast-Modified: Sun, 01 Jun 2025 09:00:00 GMT\r\n"
        "ETag: \"5f1c-63a2\"\r\nCache-Control: max-age=60\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
        type, body_bytes);
}

void conn_head_init(struct conn_head *head, const struct conn_target *t, size_t body_bytes, const char *type)
{
    char request[1024], response[1024], encapsulated[128], preview[32] = "";
    size_t request_bytes = build_request_head(t, request, sizeof request);
    size_t response_bytes = t->is_reqmod ? 0 : build_response_head(body_bytes, type, response, sizeof response);
    size_t first = t->is_reqmod ? 0 : body_bytes;
    if (t->is_previewing && !t->is_reqmod && t->preview < body_bytes)
        first = t->preview;
    response[response_bytes] = '\0';
    if (t->is_previewing)
        snprintf(preview, sizeof preview, "Preview: %zu\r\n", t->is_reqmod ? 0 : t->preview);
    if (t->is_reqmod)
        snprintf(encapsulated, sizeof encapsulated, "req-hdr=0, null-body=%zu", request_bytes);
    else
        snprintf(encapsulated, sizeof encapsulated, "req-hdr=0, res-hdr=%zu, res-body=%zu", request_bytes, request_bytes + response_bytes);
    int n = snprintf(head->text, sizeof head->text,
        "%s icap://127.0.0.1:%u/%s ICAP/1.0\r\nHost: 127.0.0.1:%u\r\nDate: Mon, 02 Jun 2025 10:00:00 GMT\r\nEncapsulated: %s\r\n"
        "%sAllow: 204\r\nX-Client-IP: 127.0.0.1\r\n%s\r\n%s%s",
        t->is_reqmod ? "REQMOD" : "RESPMOD", t->port, t->service, t->port, encapsulated, preview, t->extra, request, response);
    if (n > 0 && (size_t) n < sizeof head->text && first > 0)
        n += snprintf(head->text + n, sizeof head->text - (size_t) n, "%zx\r\n", first);
    if (n <= 0 || (size_t) n >= sizeof head->text)
        bench_die("request too long");
    head->n = (size_t) n;
    head->url_at = (size_t) (strstr(head->text, "/items/") - head->text) + strlen("/items/");
}

void conn_init(struct conn *c, const struct conn_target *target)
{
    memset(c, 0, sizeof *c);
    c->target = target;
    c->fd = -1;
    c->state = CONN_IDLE;
}

void conn_close(struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->is_watched = c->is_writable_wanted = false;
}

static enum conn_answer fail(struct conn *c, const char *why)
{
    c->error = why;
    conn_close(c);
    c->state = CONN_IDLE;
    return CONN_FAILED;
}

/* Loopback: connect completes at once or fails. */
static int dial(struct conn *c)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t) c->target->port) };
    int one = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return -1;
    if (connect(c->fd, (const struct sockaddr *) &to, sizeof to) != 0) {
        conn_close(c);
        return -1;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->is_closing = false;
    return 0;
}

static void set_part(struct conn *c, int i, const void *p, size_t n)
{
    union {
        const void *in;
        void *out;
    } unconst = { .in = p }; /* iov_base has no const, and writev does not write there */
    c->parts[i] = (struct iovec){ .iov_base = unconst.out, .iov_len = n };
}

static void queue_head(struct conn *c)
{
    const struct conn_target *t = c->target;
    bool is_whole = t->is_reqmod || !t->is_previewing || c->body->n <= t->preview;
    const char *end = is_whole && t->is_previewing ? end_of_whole_body : end_of_body;
    c->part = 0;
    c->n_parts = 1;
    c->is_rest_due = !is_whole;
    set_part(c, 0, c->head.text, c->head.n);
    if (t->is_reqmod)
        return;
    if (!is_whole && t->preview == 0) {
        set_part(c, 1, "0\r\n\r\n", 5);
        c->n_parts = 2;
        return;
    }
    set_part(c, 1, c->body->p, is_whole ? c->body->n : t->preview);
    set_part(c, 2, end, strlen(end));
    c->n_parts = 3;
}

static void queue_rest(struct conn *c)
{
    size_t rest = c->body->n - c->target->preview;
    int n = snprintf(c->rest_line, sizeof c->rest_line, "%zx\r\n", rest);
    c->part = 0;
    set_part(c, 0, c->rest_line, (size_t) n);
    set_part(c, 1, c->body->p + c->target->preview, rest);
    set_part(c, 2, end_of_body, sizeof end_of_body - 1);
    c->n_parts = 3;
    c->is_rest_due = false;
}

/* 1 all sent, 0 the socket is full, -1 error. */
static int send_parts(struct conn *c)
{
    while (c->part < c->n_parts) {
        struct msghdr msg = { .msg_iov = &c->parts[c->part], .msg_iovlen = (size_t) (c->n_parts - c->part) };
        ssize_t n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
        c->part = bench_parts_sent(c->parts, c->part, c->n_parts, (size_t) n);
    }
    return 1;
}

enum conn_answer conn_begin(struct conn *c, const struct conn_head *head, const struct bench_body *body, uint64_t serial)
{
    if (c->is_closing)
        conn_close(c);
    if (c->fd < 0 && dial(c) != 0)
        return fail(c, "cannot connect");
    c->body = body;
    if (c->head_of != head)
        c->head = *head;
    c->head_of = head;
    bench_hex(c->head.text + c->head.url_at, bench_mix(serial));
    queue_head(c);
    c->in_at = c->in_end = 0;
    c->state = CONN_ICAP_HEAD;
    c->is_first_answer = true;
    c->is_block = false;
    c->body_at = 0;
    c->begin_us = bench_now_us();
    c->is_writable_wanted = send_parts(c) == 0; /* a failure shows again in conn_drive */
    return CONN_PENDING;
}

/* "req-hdr=0, res-hdr=9, res-body=99": where the heads end, and whether a body follows. False if it is nonsense. */
static bool parse_encapsulated(struct conn *c, const char *value)
{
    char text[160];
    size_t n = strcspn(value, "\r");
    if (n >= sizeof text)
        return false;
    memcpy(text, value, n);
    text[n] = '\0';
    const char *body = strstr(text, "-body=");
    if (!body)
        return false;
    c->has_body = !strstr(text, "null-body");
    c->http_bytes = strtoul(body + strlen("-body="), NULL, 10);
    if (strstr(text, "res-hdr") && c->target->is_reqmod)
        c->is_block = true;
    return c->http_bytes < CONN_IN_SIZE;
}

/* An ICAP head is at in_at and ends at end, its blank line included. */
static enum conn_answer take_icap_head(struct conn *c, char *end)
{
    char *head = c->in + c->in_at;
    const char *value;
    end[-2] = '\0'; /* the blank line's own */
    c->in_at = (size_t) (end - c->in);
    if (sscanf(head, "ICAP/1.0 %d", &c->status) != 1)
        return fail(c, "not an ICAP answer");
    value = bench_field(head, "Connection");
    if (value && strncasecmp(value, "close", 5) == 0)
        c->is_closing = true;
    if (c->status == 100) {
        if (!c->is_rest_due)
            return fail(c, "100 Continue that nothing asked for");
        queue_rest(c);
        return CONN_PENDING;
    }
    c->is_rest_due = false; /* a final answer to the preview: the rest is never sent */
    if (c->status == 204) {
        c->state = CONN_ANSWERED;
        return CONN_PENDING;
    }
    if (c->status != 200)
        return fail(c, "ICAP status is none of 100, 200, 204");
    c->is_block = bench_field(head, "X-Infection-Found") || bench_field(head, "X-Violations-Found");
    value = bench_field(head, "Encapsulated");
    if (!value || !parse_encapsulated(c, value))
        return fail(c, "200 without a good Encapsulated field");
    c->state = CONN_HTTP_HEAD;
    return CONN_PENDING;
}

static enum conn_answer take_http_head(struct conn *c)
{
    const char *head = c->in + c->in_at;
    const char *wanted = c->target->is_reqmod ? "GET http://www.bench.example/" : "HTTP/1.1 200 ";
    if (!c->is_block && strncmp(head, wanted, strlen(wanted)) != 0) {
        if (strncmp(head, "HTTP/1.", 7) != 0)
            return fail(c, "the HTTP head came back changed");
        c->is_block = true;
    }
    c->in_at += c->http_bytes;
    c->state = c->has_body ? CONN_CHUNK_SIZE : CONN_ANSWERED;
    return CONN_PENDING;
}

static enum conn_answer take_chunk_data(struct conn *c)
{
    size_t n = c->in_end - c->in_at < c->chunk_left ? c->in_end - c->in_at : c->chunk_left;
    if (!c->is_block && (!c->body || c->body_at + n > c->body->n || memcmp(c->in + c->in_at, c->body->p + c->body_at, n) != 0)) {
        if (!c->target->is_page_a_refusal)
            return fail(c, "the body came back changed");
        c->is_block = true;
    }
    c->body_at += n;
    c->in_at += n;
    c->chunk_left -= n;
    if (c->chunk_left == 0)
        c->state = CONN_CHUNK_END;
    return CONN_PENDING;
}

/* A line at in_at, NULL if it is not complete yet; moves past it. */
static char *take_line(struct conn *c)
{
    char *line = c->in + c->in_at, *end = memmem(line, c->in_end - c->in_at, "\r\n", 2);
    if (!end)
        return NULL;
    *end = '\0';
    c->in_at = (size_t) (end + 2 - c->in);
    return line;
}

/* One step on the bytes at hand. False when more are needed or the answer is complete. */
static bool parse_step(struct conn *c, enum conn_answer *answer)
{
    char *p = c->in + c->in_at, *end;
    size_t n = c->in_end - c->in_at;
    switch (c->state) {
    case CONN_ICAP_HEAD:
        end = n ? memmem(p, n, "\r\n\r\n", 4) : NULL;
        if (end)
            *answer = take_icap_head(c, end + 4);
        return end && *answer == CONN_PENDING;
    case CONN_HTTP_HEAD:
        if (n < c->http_bytes || n < 16)
            return false;
        *answer = take_http_head(c);
        return *answer == CONN_PENDING;
    case CONN_CHUNK_SIZE:
        if (!(p = take_line(c)))
            return false;
        c->chunk_left = strtoul(p, NULL, 16);
        c->state = c->chunk_left ? CONN_CHUNK_DATA : CONN_TRAILER;
        return true;
    case CONN_CHUNK_DATA:
        if (n == 0)
            return false;
        *answer = take_chunk_data(c);
        return *answer == CONN_PENDING;
    case CONN_CHUNK_END:
        if (!take_line(c))
            return false;
        c->state = CONN_CHUNK_SIZE;
        return true;
    case CONN_TRAILER:
        if (!(p = take_line(c)))
            return false;
        if (*p == '\0')
            c->state = CONN_ANSWERED;
        return true;
    case CONN_IDLE:
    case CONN_ANSWERED:
        break;
    }
    return false;
}

static enum conn_answer verdict(struct conn *c)
{
    c->state = CONN_IDLE;
    if (c->in_at != c->in_end)
        return fail(c, "bytes after the end of the answer");
    if (c->is_block)
        return CONN_BLOCKED;
    if (c->status == 204)
        return CONN_CLEAN_204;
    if (!c->target->is_reqmod && c->body_at != c->body->n)
        return fail(c, "the body came back shorter");
    return CONN_CLEAN_200;
}

/* 1 got bytes, 0 none for now, -1 end or error. */
static int receive(struct conn *c)
{
    if (c->in_at > 0) {
        memmove(c->in, c->in + c->in_at, c->in_end - c->in_at);
        c->in_end -= c->in_at;
        c->in_at = 0;
    }
    if (c->in_end == sizeof c->in)
        return -1;
    ssize_t n = recv(c->fd, c->in + c->in_end, sizeof c->in - c->in_end, MSG_DONTWAIT);
    if (n > 0) {
        c->in_end += (size_t) n;
        c->is_first_answer = false;
        return 1;
    }
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) ? 0 : -1;
}

/* The server may close an idle connection at the moment that we use it: a client begins anew, once for each time. */
static enum conn_answer begin_again(struct conn *c)
{
    conn_close(c);
    if (dial(c) != 0)
        return fail(c, "cannot connect");
    c->reconnects++;
    queue_head(c);
    c->is_first_answer = false;
    return conn_drive(c);
}

enum conn_answer conn_drive(struct conn *c)
{
    enum conn_answer answer = CONN_PENDING;
    for (;;) {
        int sent = send_parts(c);
        while (parse_step(c, &answer))
            ;
        if (answer != CONN_PENDING)
            return answer;
        if (c->state == CONN_ANSWERED && (sent == 1 || c->is_closing))
            return verdict(c);
        if (c->part < c->n_parts && sent == 1)
            continue; /* 100 Continue queued the rest */
        int got = sent < 0 ? -1 : receive(c);
        if (got < 0)
            return c->is_first_answer ? begin_again(c) : fail(c, "connection lost in the middle of a transaction");
        if (got == 0) {
            c->is_writable_wanted = sent == 0;
            return CONN_PENDING;
        }
    }
}
