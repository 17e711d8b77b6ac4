/* Lists of domains as they are published: one a line, millions of them. A list is compiled into a table of 128-bit hashes; the table
 * is a file in a cache directory, made once by whoever opens the list first and mapped by all processes, so its pages are in
 * memory once. An opened list is immutable and shared by all threads. */
#ifndef SALLYPORT_DOMAINS_H
#define SALLYPORT_DOMAINS_H

#include "sallyport/netaddr.h"
#include "sallyport/status.h"

#include <stdint.h>

#define SP_DOMAIN_MAX_LABELS 32 /* of an entry; of a longer name the last 32 are looked at */

struct sp_domain_key { /* a hash of a name; two names with the same one are not expected before the end of time */
    uint64_t a;
    uint64_t b;
};

/* The keys of a host and of all names that it is below: "a.b.example" gives example, b.example, a.b.example. Of an address,
 * one. Of each only the first half: the other is made when that one is found somewhere. */
struct sp_domain_keys {
    const struct sp_host *host; /* borrowed */
    uint64_t halves[SP_DOMAIN_MAX_LABELS];
    unsigned char starts[SP_DOMAIN_MAX_LABELS]; /* where in the host the name begins */
    size_t n;
};
void sp_domain_keys_init(const struct sp_host *host, struct sp_domain_keys *keys_out);
bool sp_domain_keys_are(const struct sp_domain_keys *keys, size_t i, struct sp_domain_key key); /* the i-th is that one */

/* A line of a list, or the name in an exception: upper case, a leading "*." or "." and trailing dots are taken off. False if it
 * is neither a domain nor an address. A name of one label must begin with "*." or ".", unless may_be_short: else a file of
 * something else would shut out "com". */
bool sp_domain_parse(struct sp_str text, bool may_be_short, struct sp_host *name_out);
struct sp_domain_key sp_domain_key_of(const struct sp_host *name);

struct sp_domains;

/* path: "#" begins a comment, "0.0.0.0 name ..." (or 127.0.0.1, ::, ::1) is a line of a hosts file, CR LF ends a line too.
 * Lines that are no domains are counted; one in a hundred, or one of more than 1 KB, is SP_ERR_CONF with "FILE:LINE: text".
 * cache_dir, if not NULL: where the table is kept and found again. That it cannot be used is no failure: the table then is in
 * private memory, and sp_domains_note says why. Never waits for another process longer than some seconds. */
enum sp_status sp_domains_open(
    const char *path, const char *cache_dir, struct sp_error *err, struct sp_domains **domains_out) SP_MUST_CHECK;
void sp_domains_close(struct sp_domains **domains);

/* The same from bytes in memory, without a cache. name stands for the file in messages. */
enum sp_status sp_domains_from_text(
    struct sp_str text, const char *name, struct sp_error *err, struct sp_domains **domains_out) SP_MUST_CHECK;

/* Whether the list has the host, or a name that the host is below: *at_out is the shortest such, an index into keys. */
bool sp_domains_find(const struct sp_domains *domains, const struct sp_domain_keys *keys, size_t *at_out);

uint64_t sp_domains_count(const struct sp_domains *domains);     /* different names */
uint64_t sp_domains_bad_lines(const struct sp_domains *domains); /* passed over */
uint64_t sp_domains_digest(const struct sp_domains *domains);    /* of the file's bytes */
bool sp_domains_is_shared(const struct sp_domains *domains);     /* the table is a mapped file */
const char *sp_domains_note(const struct sp_domains *domains);   /* what the operator should know, or "" */

#endif
