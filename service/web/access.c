/* Tokens are compared by their digests: how long it takes says nothing about the token. */
#include "config.h"

#include "access.h"

#include "sallyport/netaddr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COOKIE_SALT "sallyport dashboard session 1\n"
#define V4_LOOPBACK 127u

/* --- the address -------------------------------------------------------------------------------------------------------- */

static bool parse_port(const char *text, in_port_t *port_out)
{
    unsigned long port = 0;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9' || port > 65535)
            return false;
        port = port * 10 + (unsigned long) (*p - '0');
    }
    *port_out = htons((in_port_t) port);
    return text[0] != '\0' && port > 0 && port <= 65535;
}

static bool parse_host(struct sp_str host, in_port_t port, struct sp_web_address *out)
{
    char text[INET6_ADDRSTRLEN];
    if (sp_str_equal_nocase(host, SP_STR("localhost")) || host.n == 0)
        host = SP_STR("127.0.0.1");
    bool is_bracketed = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (is_bracketed)
        host = (struct sp_str){ host.p + 1, host.n - 2 };
    if (host.n >= sizeof(text))
        return false;
    sp_str_copy(host, text, sizeof(text));
    if (!is_bracketed && inet_pton(AF_INET, text, &out->at.v4.sin_addr) == 1) {
        out->at.v4.sin_family = AF_INET;
        out->at.v4.sin_port = port;
        out->is_loopback = ntohl(out->at.v4.sin_addr.s_addr) >> 24 == V4_LOOPBACK;
        return true;
    }
    if (!is_bracketed || inet_pton(AF_INET6, text, &out->at.v6.sin6_addr) != 1)
        return false;
    out->at.v6.sin6_family = AF_INET6;
    out->at.v6.sin6_port = port;
    out->is_v6 = true;
    out->is_loopback = IN6_IS_ADDR_LOOPBACK(&out->at.v6.sin6_addr);
    return true;
}

enum sp_status sp_web_address_parse(const char *text, struct sp_error *err, struct sp_web_address *out)
{
    in_port_t port;
    memset(out, 0, sizeof(*out));
    const char *colon = strrchr(text, ':');
    struct sp_str host = { text, colon ? (size_t) (colon - text) : 0 };
    if (parse_port(colon ? colon + 1 : text, &port) && (!colon || host.n > 0) && parse_host(host, port, out))
        return SP_OK;
    return sp_error_set(
        err, SP_ERR_CONF, "--listen %.80s: not ADDRESS:PORT with an address in numbers, such as 127.0.0.1:9301 or [::1]:9301", text);
}

/* --- the token ---------------------------------------------------------------------------------------------------------- */

static enum sp_status digest_of(const char *salt, struct sp_str text, unsigned char out[SP_DIGEST_BYTES], struct sp_error *err)
{
    struct sp_digest digest = { 0 };
    enum sp_status status = sp_digest_init(&digest, NULL, err);
    if (status == SP_OK) {
        sp_digest_add(&digest, salt, strlen(salt));
        sp_digest_add(&digest, text.p, text.n);
        status = sp_digest_finish(&digest, out);
    }
    sp_digest_fini(&digest);
    return status;
}

static enum sp_status read_token(const char *file, char *text, size_t size, struct sp_str *token_out, struct sp_error *err)
{
    enum sp_status status = SP_OK;
    struct stat st;
    ssize_t n = -1;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || (n = read(fd, text, size)) < 0)
        status = sp_error_set(err, SP_ERR_IO, "token file %s: %s", file, strerror(errno));
    else if (st.st_mode & (S_IROTH | S_IWOTH))
        status = sp_error_set(err, SP_ERR_CONF, "token file %s: everybody can read or write it. chmod 640", file);
    if (fd >= 0)
        close(fd);
    if (status != SP_OK)
        return status;
    const char *newline = memchr(text, '\n', (size_t) n);
    struct sp_str token = sp_str_trim_folded((struct sp_str){ text, newline ? (size_t) (newline - text) : (size_t) n });
    if (token.n < SP_WEB_TOKEN_MIN || token.n > SP_WEB_TOKEN_MAX)
        return sp_error_set(err, SP_ERR_CONF, "token file %s: its first line must have %d to %d characters. Make one: openssl rand -hex 24",
            file, SP_WEB_TOKEN_MIN, SP_WEB_TOKEN_MAX);
    for (size_t i = 0; i < token.n; i++)
        if (token.p[i] <= ' ' || token.p[i] > '~')
            return sp_error_set(err, SP_ERR_CONF, "token file %s: letters, digits and signs of ASCII only", file);
    *token_out = token;
    return SP_OK;
}

enum sp_status sp_web_access_load(const char *file, struct sp_error *err, struct sp_web_access *out)
{
    char text[SP_WEB_TOKEN_MAX + 64];
    unsigned char cookie[SP_DIGEST_BYTES];
    struct sp_str token = { 0 };
    memset(out, 0, sizeof(*out));
    if (!file)
        return SP_OK;
    enum sp_status status = read_token(file, text, sizeof(text), &token, err);
    if (status == SP_OK)
        status = digest_of("", token, out->token, err);
    if (status == SP_OK)
        status = digest_of(COOKIE_SALT, token, cookie, err);
    for (size_t i = 0; status == SP_OK && i < SP_DIGEST_BYTES; i++)
        snprintf(out->cookie + 2 * i, 3, "%02x", cookie[i]);
    out->has_token = status == SP_OK;
    explicit_bzero(text, sizeof(text));
    return status;
}

static bool is_same(const void *a, const void *b, size_t n)
{
    const unsigned char *p = a, *q = b;
    unsigned char difference = 0;
    for (size_t i = 0; i < n; i++)
        difference |= (unsigned char) (p[i] ^ q[i]);
    return difference == 0;
}

bool sp_web_access_token(const struct sp_web_access *access, struct sp_str token)
{
    unsigned char digest[SP_DIGEST_BYTES];
    if (!access->has_token || token.n < SP_WEB_TOKEN_MIN || token.n > SP_WEB_TOKEN_MAX)
        return false;
    return digest_of("", token, digest, NULL) == SP_OK && is_same(digest, access->token, sizeof(digest));
}

static bool is_our_cookie(const struct sp_web_access *access, struct sp_str pair)
{
    const struct sp_str name = SP_STR(SP_WEB_COOKIE "=");
    return pair.n == name.n + SP_WEB_COOKIE_SIZE - 1 && memcmp(pair.p, name.p, name.n) == 0 &&
        is_same(pair.p + name.n, access->cookie, SP_WEB_COOKIE_SIZE - 1);
}

bool sp_web_access_cookie(const struct sp_web_access *access, struct sp_str field)
{
    if (!access->has_token)
        return false;
    while (field.n > 0) {
        const char *semicolon = memchr(field.p, ';', field.n);
        size_t n = semicolon ? (size_t) (semicolon - field.p) : field.n;
        if (is_our_cookie(access, sp_str_trim((struct sp_str){ field.p, n })))
            return true;
        n += semicolon ? 1 : 0;
        field = (struct sp_str){ field.p + n, field.n - n };
    }
    return false;
}

struct sp_str sp_web_bearer(struct sp_str authorization)
{
    const struct sp_str scheme = SP_STR("Bearer ");
    struct sp_str s = sp_str_trim(authorization);
    if (!sp_str_starts_nocase(s, scheme))
        return (struct sp_str){ 0 };
    return sp_str_trim((struct sp_str){ s.p + scheme.n, s.n - scheme.n });
}

/* --- the Host field ------------------------------------------------------------------------------------------------------ */

/* "host", "host:port", "[address]", "[address]:port". False: none of these. */
static bool split_host(struct sp_str field, struct sp_str *host_out, bool *is_bracketed_out)
{
    bool is_bracketed = field.n > 0 && field.p[0] == '[';
    const char *end = field.n > 0 ? memchr(field.p, is_bracketed ? ']' : ':', field.n) : NULL;
    if (is_bracketed && !end)
        return false;
    size_t n = end ? (size_t) (end - field.p) : field.n;
    *is_bracketed_out = is_bracketed;
    *host_out = is_bracketed ? (struct sp_str){ field.p + 1, n - 1 } : (struct sp_str){ field.p, n };
    n += is_bracketed ? 1 : 0;
    for (size_t i = n; i < field.n; i++)
        if (i == n ? field.p[i] != ':' : field.p[i] < '0' || field.p[i] > '9')
            return false;
    return true;
}

bool sp_web_host_is_loopback(struct sp_str field)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    struct sp_str host;
    bool is_bracketed;
    if (!split_host(sp_str_trim(field), &host, &is_bracketed) || host.n == 0 || host.n >= sizeof(text))
        return false;
    if (!is_bracketed && sp_str_equal_nocase(host, SP_STR("localhost")))
        return true;
    sp_str_copy(host, text, sizeof(text));
    if (is_bracketed)
        return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
    return inet_pton(AF_INET, text, &v4) == 1 && ntohl(v4.s_addr) >> 24 == V4_LOOPBACK;
}
