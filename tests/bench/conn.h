/* One ICAP connection of the load generator: sends transactions as Squid does (Preview, Allow: 204, keep-alive), reads the answers
 * and checks them to the byte. Non-blocking; the owner waits with epoll and calls conn_drive. One thread. */
#ifndef SALLYPORT_BENCH_CONN_H
#define SALLYPORT_BENCH_CONN_H

#include "bodies.h"

#include <stdbool.h>
#include <sys/uio.h>

#define CONN_IN_SIZE 65536
#define CONN_HEAD_SIZE 2048
#define CONN_PARTS 3

struct conn_target {
    unsigned port; /* on 127.0.0.1 */
    const char *service;
    bool is_reqmod;         /* without body; else RESPMOD */
    bool is_previewing;     /* else the whole body is sent at once */
    bool is_page_a_refusal; /* a body that came back changed is a refusal: for servers that say so in the page alone */
    size_t preview;         /* bytes */
    const char *extra;      /* lines for the ICAP head, each with its end; "" for none */
};

/* ICAP head, HTTP heads and the first chunk's size line: alike for all bodies of one class. */
struct conn_head {
    char text[CONN_HEAD_SIZE];
    size_t n, url_at;
};

enum conn_state {
    CONN_IDLE,
    CONN_ICAP_HEAD, /* waits for the head of an answer */
    CONN_HTTP_HEAD,
    CONN_CHUNK_SIZE,
    CONN_CHUNK_DATA,
    CONN_CHUNK_END,
    CONN_TRAILER,
    CONN_ANSWERED /* the answer is complete; something may be left to send */
};

enum conn_answer {
    CONN_PENDING,
    CONN_CLEAN_204,
    CONN_CLEAN_200, /* sent back unchanged */
    CONN_BLOCKED,
    CONN_FAILED /* error says why; the connection is closed */
};

struct conn {
    const struct conn_target *target;
    int fd;                  /* owned; -1 if closed */
    bool is_watched;         /* the owner's: epoll knows fd; false again after a close */
    bool is_writable_wanted; /* the socket was full */
    struct conn_head head;   /* a copy, with digits of its own in the URL */
    const struct conn_head *head_of;
    const struct bench_body *body; /* borrowed; NULL without */
    struct iovec parts[CONN_PARTS];
    int part, n_parts;
    char rest_line[24];
    char in[CONN_IN_SIZE];
    size_t in_at, in_end;
    enum conn_state state;
    bool is_rest_due, is_first_answer, is_closing, is_block, has_body;
    int status;
    size_t http_bytes, chunk_left, body_at;
    uint64_t begin_us;
    unsigned reconnects;
    const char *error;
};

/* body_bytes and type are of the bodies that are sent with it; without a body they do not count. */
void conn_head_init(struct conn_head *head, const struct conn_target *target, size_t body_bytes, const char *type);
void conn_init(struct conn *c, const struct conn_target *target);
void conn_close(struct conn *c);

/* Connects if need be and begins a transaction; serial makes its URL unique. head is the one of the body's class.
 * Sends what can be sent and does not look for the answer, so that no connection keeps the others from their turn.
 * CONN_PENDING or CONN_FAILED. */
enum conn_answer conn_begin(struct conn *c, const struct conn_head *head, const struct bench_body *body, uint64_t serial);

/* Sends and receives what can be now; the owner calls it when epoll has something for fd. */
enum conn_answer conn_drive(struct conn *c);

#endif
